/* answer.c - replies leave in the order of requests: the first req of the queue streams to the
 * socket, the others collect theirs until they are first. Local answers take their place in line.
 */
#include <stdio.h>
#include <stdlib.h>

#include "client_private.h"
#include "count.h"
#include "stages.h"

/* ---- replies ---- */

void client_enqueue(struct client *client, struct req *req)
{
    req->client = client;
    req->next_client = NULL;
    if (client->queue.tail)
        client->queue.tail->next_client = req;
    else
        client->queue.head = req;
    client->queue.tail = req;
    client->queue.count++;
    client->queued_bytes += req->size;
    if (unlikely(client->at_work_tick != client->worker->tick)) {
        client->at_work_tick = client->worker->tick;
        client->worker->at_work++;
    }
}

static void client_pop(struct client *client)
{
    struct req *req = client->queue.head;
    client->queue.head = req->next_client;
    if (!client->queue.head)
        client->queue.tail = NULL;
    client->queue.count--;
    client->queued_bytes -= req->size;
    req->next_client = NULL;
    req->client = NULL;
    req_free(client->worker, req);
}

/* Clients that are at work share what may be in flight: alone one may have all of it. */
static size_t in_flight_max(const struct worker *worker)
{
    uint32_t at_work =
        worker->at_work > worker->at_work_before ? worker->at_work : worker->at_work_before;
    size_t share = IN_FLIGHT_MAX / (at_work ? at_work : 1);
    return share > IN_FLIGHT_MIN ? share : IN_FLIGHT_MIN;
}

bool client_has_room(const struct client *client)
{
    return client->queue.count < in_flight_max(client->worker) &&
           client->queued_bytes <= client->worker->snapshot->config->proxy.max_queued;
}

/* Called when nothing of the client is in flight any more. */
static void client_drained(struct client *client)
{
    client->lane = NULL;
    client->lost_write = false;
    if (client->pinned && !client->pins)
        pool_unpin(client);
    if (client->wait == WAIT_DRAIN || client->wait == WAIT_ROOM)
        client_resume(client);
    else if (client->state == CLIENT_LEAVING && !client->call.active)
        conn_finish(&client->conn);
    else
        client_settle(client);
    if (client->eof && client->state == CLIENT_BUSY)
        conn_again(&client->conn);
}

void client_advance(struct client *client)
{
    if (client->state == CLIENT_CLOSED)
        return;
    struct req *req;
    while ((req = client->queue.head) && req->state == REQ_DONE) {
        if (req->mute)
            spans_clear(&req->reply);
        conn_write_all(&client->conn, &req->reply);
        client_pop(client);
        client_release_held(client);
    }
    if (!client_check_output(client))
        return;
    if (!client->queue.head)
        client_drained(client);
    else if (client->wait == WAIT_ROOM && client->queue.count < in_flight_max(client->worker) / 2)
        client_resume(client);
}

/* Answers in place of the backend. The req itself stays with its link, as a tombstone, or with
 * the caller: a stand-in takes its place in the queue. */
void client_answer_req(struct client *client, struct req *req, const char *error)
{
    struct req *stand_in = req_new(client->worker), **at = &client->queue.head;
    while (*at != req)
        at = &(*at)->next_client;
    stand_in->client = client;
    stand_in->next_client = req->next_client;
    stand_in->state = REQ_DONE;
    stand_in->size = req->size;
    stand_in->mute = req->mute;
    *at = stand_in;
    if (client->queue.tail == req)
        client->queue.tail = stand_in;
    bool begun = req->begun;
    req_failed(client->worker, req);
    kind_lost(client, req);
    req->client = NULL;
    req->next_client = NULL;
    spans_clear(&req->reply);
    span_drop(&req->bytes);
    if (begun) { /* part of the reply is out: an error in its middle would be read as data */
        client_close(client, REASON_FAILED);
        return;
    }
    spans_push_copy(&stand_in->reply, error, strlen(error));
    client_advance(client);
}

void req_answer(struct req *req, const char *error)
{
    if (req->kind == REQ_PART)
        gather_failed(req, error);
    else
        client_answer_req(req->client, req, error);
}

void client_reply(struct client *client, const struct buf *reply)
{
    bool mute = client->reply_off || client->skip_this;
    if (client->state == CLIENT_CLOSED)
        return;
    count(client->worker, STAT_REQUESTS_LOCAL);
    if (reply->len && reply->ptr[0] == '-')
        call_failed(client);
    if (!client->queue.head) {
        if (!mute)
            conn_write_copy(&client->conn, reply->ptr, reply->len);
        return;
    }
    struct req *req = req_new(client->worker);
    req->state = REQ_DONE;
    req->mute = mute;
    req->size = reply->len; /* held for the client: counts against max-queued */
    spans_push_copy(&req->reply, reply->ptr, reply->len);
    client_enqueue(client, req);
}

void client_reply_text(struct client *client, const char *reply)
{
    struct buf buf = {(char *)(uintptr_t)reply, strlen(reply), 0};
    client_reply(client, &buf);
}

void client_reply_error(struct client *client, const char *format, ...)
{
    char text[1024];
    struct buf buf = {0};
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    write_error(&buf, "%s", text);
    client_reply(client, &buf);
    buf_free(&buf);
}

/* Whether the next byte must be of the reply or push that has begun to leave. */
static bool client_mid_frame(const struct client *client)
{
    const struct req *head = client->queue.head;
    return client->push_open || (head && head->begun && head->state != REQ_DONE);
}

void client_push(struct client *client, struct span span)
{
    if (unlikely(client_mid_frame(client)))
        spans_push(&client->held, span);
    else
        conn_write(&client->conn, span);
    client_check_output(client);
}

void client_release_held(struct client *client)
{
    if (unlikely(client->held.head) && !client_mid_frame(client))
        conn_write_all(&client->conn, &client->held);
}

/* A client that does not read: closed when its output passes the hard limit, or stays over the
 * soft one. A link that streams to it is paused for a moment first (link). */
bool client_check_output(struct client *client)
{
    const struct config *config = client->worker->snapshot->config;
    size_t waiting = client->conn.out.bytes + client->held.bytes;
    uint64_t now = loop_now(&client->worker->loop);
    if (likely(waiting <= config->proxy.client_output_soft_limit)) {
        client->soft_since = 0;
        if (likely(waiting <= config->proxy.client_output_limit))
            return true;
    } else if (!client->soft_since) {
        client->soft_since = now;
    }
    bool hard = config->proxy.client_output_limit && waiting > config->proxy.client_output_limit;
    bool soft = config->proxy.client_output_soft_limit && client->soft_since &&
                now > client->soft_since + config->proxy.client_output_soft_time;
    if (!hard && !soft)
        return true;
    count(client->worker, STAT_OUTPUT_CLOSED);
    log_warn(client_who(client), "closed: %s: %zu bytes wait", reason_text(REASON_OUTPUT_LIMIT),
             waiting);
    client_close(client, REASON_OUTPUT_LIMIT);
    return false;
}

/* Error replies of the backend that mean something to respgate itself. */
void client_reply_failed(struct client *client, struct link *link, const char *ptr, size_t len)
{
    struct identity *identity = link->pool->identity;
    if (len > 8 && memcmp(ptr, "-NOAUTH ", 8) == 0 && identity->password)
        identity->verified = 0; /* the store no longer knows this login */
    pressure_heard_error(link->pool->node, ptr, len);
    (void)client;
}

void client_reply_away(struct client *client)
{
    client_reply_error(client, "ERR respgate: backend %s is unavailable",
                       client->worker->node->name);
}

enum step reply_no_pin(struct client *client, struct call *call, enum pool_answer answer)
{
    count(client->worker, STAT_PIN_REFUSED);
    if (call->kind == REQ_MULTI)
        transaction_start_lost(client);
    else if (answer == POOL_FULL)
        client_reply_error(client, "ERR respgate: all pinned links are in use (max-pinned-links)");
    else if (answer == POOL_REFUSED)
        client_reply_error(client, "%s", client->pool->refusal);
    else
        client_reply_away(client);
    if (call->kind == REQ_WATCH)
        client->watched_keys = 0;
    return ANSWERED;
}
