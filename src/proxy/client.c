/* client.c - a client connection: its states, its queue of requests, its turn.
 *
 *   HANDSHAKE -> IDLE <-> BUSY <-> WAITING        any -> LEAVING -> CLOSED
 *
 * Replies leave in the order of requests: the first req of the queue streams to the socket, the
 * others collect theirs until they are first.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "respgate/proxy.h"

/* A turn's bounds. Commands: so that one deep pipeline does not keep a loop turn from the others.
 * In flight: what a client may have on the shared link at once, since all others queue behind it;
 * a thousand keep Redis busy for about a millisecond. */
enum { TURN_COMMANDS = 256, IN_FLIGHT_MAX = 1024, WAITING_INPUT_MAX = 64 * 1024 };

const char *client_who(const struct client *client)
{
    static _Thread_local char text[192];
    char address[64];
    address_text(&client->subject.address, address);
    snprintf(text, sizeof(text), "client=%llu addr=%s%s%.64s", (unsigned long long)client->id,
             address, client->user_name ? " user=" : "",
             client->user_name ? client->user_name : "");
    return text;
}

void address_text(const struct address *address, char out[64])
{
    char ip[48];
    if (address->is_unix) {
        snprintf(out, 64, "unix:%u", address->port);
    } else if (address->is_ipv6) {
        uv_inet_ntop(AF_INET6, address->ip, ip, sizeof(ip));
        snprintf(out, 64, "[%s]:%u", ip, address->port);
    } else {
        uv_inet_ntop(AF_INET, address->ip, ip, sizeof(ip));
        snprintf(out, 64, "%s:%u", ip, address->port);
    }
}

/* ---- states
 * --------------------------------------------------------------------------------------- */

void client_move(struct client *client, enum client_state state)
{
    static const uint8_t legal[CLIENT_STATES] = {
        [CLIENT_HANDSHAKE] = 1 << CLIENT_IDLE | 1 << CLIENT_LEAVING | 1 << CLIENT_CLOSED,
        [CLIENT_IDLE] =
            1 << CLIENT_BUSY | 1 << CLIENT_WAITING | 1 << CLIENT_LEAVING | 1 << CLIENT_CLOSED,
        [CLIENT_BUSY] =
            1 << CLIENT_IDLE | 1 << CLIENT_WAITING | 1 << CLIENT_LEAVING | 1 << CLIENT_CLOSED,
        [CLIENT_WAITING] =
            1 << CLIENT_IDLE | 1 << CLIENT_BUSY | 1 << CLIENT_LEAVING | 1 << CLIENT_CLOSED,
        [CLIENT_LEAVING] = 1 << CLIENT_CLOSED,
    };
    if (client->state == state)
        return;
    ASSERT(legal[client->state] & 1 << state);
    client->state = (uint8_t)state;
    list_remove(&client->entry);
    list_append(&client->worker->clients[state], &client->entry);
}

/* IDLE or BUSY, whichever holds. */
static void client_settle(struct client *client)
{
    if (client->state != CLIENT_IDLE && client->state != CLIENT_BUSY)
        return;
    bool busy = client->queue.head || client->parser || client->pins;
    client_move(client, busy ? CLIENT_BUSY : CLIENT_IDLE);
}

static void client_parser_back(struct client *client)
{
    if (client->parser)
        worker_parser_back(client->worker, client->parser);
    client->parser = NULL;
    client->request_since = 0;
}

void client_wait(struct client *client, enum client_wait wait)
{
    client->wait = (uint8_t)wait;
    if (client->state != CLIENT_LEAVING)
        client_move(client, CLIENT_WAITING);
}

void client_resume(struct client *client)
{
    if (client->state == CLIENT_CLOSED)
        return;
    client->wait = WAIT_NONE;
    client->resume = true;
    if (client->state == CLIENT_WAITING)
        client_move(client, CLIENT_BUSY);
    conn_pause(&client->conn, client->eof);
    conn_again(&client->conn);
}

/* ---- the end of a client
 * ----------------------------------------------------------------------------- */

static void client_forget_reqs(struct client *client)
{
    struct req *req = client->queue.head;
    while (req) {
        struct req *next = req->next_client;
        req->client = NULL;
        req->next_client = NULL;
        if (req->state == REQ_DONE || req->state == REQ_LOCAL)
            req_free(client->worker, req);
        else
            spans_clear(&req->reply); /* its link or pool still has it */
        req = next;
    }
    client->queue = (struct req_queue){0};
}

void client_close(struct client *client, enum reason reason)
{
    if (client->state == CLIENT_CLOSED)
        return;
    struct worker *worker = client->worker;
    log_debug(client_who(client), "closed: %s", reason_text(reason));
    if (client->state == CLIENT_HANDSHAKE)
        worker->handshakes--;
    client_move(client, CLIENT_CLOSED);
    client_forget_reqs(client);
    if (client->call.active)
        span_drop(&client->call.request.bytes);
    client->call.active = false;
    pool_forget_waiter(client);
    if (client->pinned && client->pins)
        client->pinned->dirty = true; /* in MULTI, watching, subscribed ... */
    client->pins = 0;
    pool_unpin(client);
    transaction_end(client);
    subscriptions_free(client);
    client_parser_back(client);
    pool_join(client, NULL);
    auth_forget(client);
    __atomic_fetch_sub(&worker->client_count, 1, __ATOMIC_RELAXED);
    proxy_client_gone(worker, &client->door);
    conn_close(&client->conn);
}

static void client_freed(struct conn *conn)
{
    struct client *client = CONTAINER(conn, struct client, conn);
    list_remove(&client->entry);
    span_drop(&client->tracking_command);
    free(client->user_name);
    free(client->name);
    free(client->lib_name);
    free(client->lib_ver);
    free(client);
}

void client_leave(struct client *client, enum reason reason)
{
    if (client->state == CLIENT_CLOSED || client->state == CLIENT_LEAVING)
        return;
    if (client->state == CLIENT_HANDSHAKE) {
        client_close(client, reason);
        return;
    }
    client_move(client, CLIENT_LEAVING);
    client->eof = true;
    conn_pause(&client->conn, true);
    if (!client->queue.head && !client->call.active)
        conn_finish(&client->conn);
}

static void client_ended(struct conn *conn, const char *reason, bool clean)
{
    struct client *client = CONTAINER(conn, struct client, conn);
    bool waits_long = client->pins & (PIN_BLOCK | PIN_SUBSCRIBE | PIN_MONITOR | PIN_TRACKING);
    if (clean && (client->queue.head || client->call.active || client->parser) && !waits_long &&
        client->state != CLIENT_LEAVING) {
        /* "printf ... | nc" closes its side before the replies are there: it still gets them. */
        client->eof = true;
        conn_pause(conn, true);
        return;
    }
    if (!clean)
        log_debug(client_who(client), "%s", reason);
    client_close(client, clean ? REASON_PEER : REASON_FAILED);
}

/* ---- replies
 * ------------------------------------------------------------------------------------------- */

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

static bool client_has_room(const struct client *client)
{
    return client->queue.count < IN_FLIGHT_MAX &&
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
    }
    if (!client_check_output(client, NULL))
        return;
    if (!client->queue.head)
        client_drained(client);
    else if (client->wait == WAIT_ROOM && client->queue.count < IN_FLIGHT_MAX / 2)
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

void client_reply(struct client *client, const struct buf *reply)
{
    bool mute = client->reply_off || client->skip_this;
    if (client->state == CLIENT_CLOSED)
        return;
    count(client->worker, STAT_REQUESTS_LOCAL);
    if (!client->queue.head) {
        if (!mute)
            conn_write_copy(&client->conn, reply->ptr, reply->len);
        return;
    }
    struct req *req = req_new(client->worker);
    req->state = REQ_DONE;
    req->mute = mute;
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

void client_push(struct client *client, struct span span)
{
    conn_write(&client->conn, span);
    client_check_output(client, NULL);
}

/* A client that does not read: closed when its output passes the hard limit, or stays over the
 * soft one. A link that streams to it is paused for a moment first (link). */
bool client_check_output(struct client *client, struct link *link)
{
    const struct config *config = client->worker->snapshot->config;
    size_t waiting = client->conn.out.bytes;
    uint64_t now = loop_now(&client->worker->loop);
    (void)link;
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
    (void)client;
}

void client_reply_away(struct client *client)
{
    client_reply_error(client, "ERR respgate: backend %s is unavailable",
                       client->worker->node.name);
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

/* A request whose reply will never come: what it was to change did not change, or may have. */
void kind_lost(struct client *client, const struct req *req)
{
    if (client->pinned)
        client->pinned->dirty = true;
    switch ((enum req_kind)req->kind) {
    case REQ_FORWARD:
    case REQ_INTERNAL:
    case REQ_EXEC:
    case REQ_WATCH:
    case REQ_KIND_COUNT: return;
    case REQ_MULTI:
    case REQ_QUEUED: transaction_abort(client); return;
    case REQ_BLOCK: client->pins &= ~(uint32_t)PIN_BLOCK; return;
    case REQ_SUBSCRIBE: subscribe_done(client); return;
    case REQ_MONITOR: client->pins &= ~(uint32_t)PIN_MONITOR; return;
    case REQ_TRACKING:
        if (!client->tracking)
            client->pins &= ~(uint32_t)PIN_TRACKING;
        return;
    }
}

void client_check_pins(struct client *client)
{
    if (client->pinned && !client->pins && !client->queue.head)
        pool_unpin(client);
}

/* The pinned link died under the client; its requests in flight have been answered. */
void client_pin_lost(struct client *client)
{
    static const char invalidate_all[] = ">2\r\n$10\r\ninvalidate\r\n_\r\n";
    uint32_t pins = client->pins;
    transaction_link_lost(client);
    client->pins &= PIN_SUBSCRIBE | PIN_TRACKING | PIN_NO_TOUCH;
    if (pins & PIN_MONITOR) {
        client_close(client, REASON_MONITOR_LOST);
        return;
    }
    if (pins & PIN_SUBSCRIBE && client->resp == 2) { /* as Redis would */
        client_close(client, REASON_SUBSCRIPTION_LOST);
        return;
    }
    if (client->tracking && client->resp == 3)
        conn_write_copy(&client->conn, invalidate_all, sizeof(invalidate_all) - 1);
    if (client->pins && !client->restoring && client->state != CLIENT_LEAVING) {
        client->restoring = true;
        pool_restore(client);
    }
}

/* ---- the turn
 * -------------------------------------------------------------------------------------------- */

/* Redis' bounds for those who have not logged in yet (networking.c: 10 arguments, 16 KiB). */
static struct request_limits client_limits(const struct client *client)
{
    const struct config *config = client->worker->snapshot->config;
    bool known = client_authenticated(client);
    return (struct request_limits){
        .max_request = config->proxy.max_request_size,
        .max_bulk = known ? config->proxy.max_value_size : 16 * 1024,
        .max_args = known ? INT32_MAX : 10,
        .authenticated = known,
    };
}

void call_begin(struct client *client)
{
    struct request request = client->call.request;
    client->call = (struct call){.request = request, .active = true};
    client->skip_this = client->skip_next;
    client->skip_next = false;
}

void call_end(struct client *client)
{
    span_drop(&client->call.request.bytes);
    client->call.active = false;
    client->skip_this = false;
}

static void client_malformed(struct client *client)
{
    count(client->worker, STAT_PROTOCOL_ERRORS);
    log_info(client_who(client), "%s", parser_error(client->parser));
    client->reply_off = client->skip_this = false;
    client_reply_error(client, "ERR %s", parser_error(client->parser));
    client_parser_back(client);
    client_leave(client, REASON_PROTOCOL);
}

/* Runs what is parsed. True: the next read may come; false: it waits, left, or its turn is over. */
static bool client_run(struct client *client)
{
    struct worker *worker = client->worker;
    for (int turn = 0; turn < TURN_COMMANDS; turn++) {
        if (!client->call.active) {
            if (!client_has_room(client)) {
                client_wait(client, WAIT_ROOM);
                return false;
            }
            struct request_limits limits = client_limits(client);
            enum request_status status =
                parser_next(client->parser, &limits, &client->call.request);
            if (status == REQUEST_MORE)
                return true;
            if (status == REQUEST_EMPTY)
                continue;
            if (status == REQUEST_ERROR) {
                client_malformed(client);
                return false;
            }
            count(worker, STAT_REQUESTS);
            client->request_since = 0;
            call_begin(client);
        }
        switch (pipeline_run(client)) {
        case NEXT:
        case ANSWERED:
        case SENT: call_end(client); break;
        case PARKED: return false;
        case CLOSED: call_end(client); return false;
        }
        if (client->state == CLIENT_CLOSED || client->state == CLIENT_LEAVING)
            return false;
    }
    conn_again(&client->conn); /* more is there: after the others' turn */
    client->resume = true;
    return false;
}

static void client_end_turn(struct client *client)
{
    if (client->state == CLIENT_CLOSED)
        return;
    if (client->parser && !client->call.active && parser_idle(client->parser))
        client_parser_back(client);
    if (client->parser && !client->request_since)
        client->request_since = loop_now(&client->worker->loop);
    if (client->state == CLIENT_WAITING && client->parser &&
        parser_waiting(client->parser) > WAITING_INPUT_MAX)
        conn_pause(&client->conn, true);
    client_settle(client);
    if (client->state == CLIENT_LEAVING && !client->queue.head && !client->call.active)
        conn_finish(&client->conn);
    if (client->eof && client->state != CLIENT_LEAVING && !client->resume &&
        client->wait == WAIT_NONE)
        client_leave(client, REASON_PEER);
}

static void client_readable(struct conn *conn)
{
    struct client *client = CONTAINER(conn, struct client, conn);
    struct worker *worker = client->worker;
    if (client->resume) {
        client->resume = false;
        if (client->parser)
            client_run(client);
        client_end_turn(client);
        return;
    }
    if (client->state == CLIENT_HANDSHAKE || client->eof) {
        client_end_turn(client);
        return;
    }
    ssize_t got = conn_read(conn, worker->scratch, SCRATCH_SIZE);
    if (got < 0 && client->state != CLIENT_CLOSED)
        client_end_turn(client);
    if (got <= 0)
        return;
    count_add(worker, STAT_BYTES_IN, (uint64_t)got);
    client->active = loop_now(conn->loop);
    if (!client->parser)
        client->parser = worker_parser(worker);
    parser_feed(client->parser, worker->scratch, (size_t)got);
    if (client->state != CLIENT_WAITING)
        client_run(client);
    client_end_turn(client);
}

/* ---- birth
 * -------------------------------------------------------------------------------------------------
 */

static void client_ready(struct client *client)
{
    struct worker *worker = client->worker;
    worker->handshakes--;
    client_move(client, CLIENT_IDLE);
    auth_initial(client);
}

static void client_opened(struct conn *conn)
{
    client_ready(CONTAINER(conn, struct client, conn));
}

static void client_written(struct conn *conn)
{
    struct client *client = CONTAINER(conn, struct client, conn);
    client->soft_since = 0;
}

static const struct conn_ops client_ops = {
    .opened = client_opened,
    .readable = client_readable,
    .written = client_written,
    .ended = client_ended,
    .closed = client_freed,
};

void client_new(struct worker *worker, int fd, bool tls, const struct address *door)
{
    struct client *client = xcalloc(1, sizeof(*client));
    client->worker = worker;
    client->id = worker->client_seq++ * worker->proxy->worker_count + worker->index + 1;
    client->door = *door;
    client->subject.address = *door;
    client->subject.client_id = client->id;
    client->resp = 2;
    client->is_tls = tls;
    client->created = client->active = loop_now(&worker->loop);
    list_init(&client->entry);
    list_init(&client->wait_entry);
    list_append(&worker->clients[CLIENT_HANDSHAKE], &client->entry);
    worker->handshakes++;
    count(worker, STAT_CLIENTS_ACCEPTED);
    conn_accept(&client->conn, &worker->loop, &client_ops, fd,
                tls ? worker->snapshot->listen_tls : NULL);
    if (!tls)
        client_ready(client);
    log_debug(client_who(client), "connected");
}

/* ---- time
 * --------------------------------------------------------------------------------------------------
 */

void client_tick(struct client *client, uint64_t now)
{
    const struct config *config = client->worker->snapshot->config;
    uint64_t quiet = now - client->active;
    bool pinned = client->pins & (PIN_MULTI | PIN_WATCH);
    bool waits = client->pins & (PIN_BLOCK | PIN_SUBSCRIBE | PIN_MONITOR | PIN_TRACKING);
    if (client->state == CLIENT_HANDSHAKE &&
        now > client->created + config->proxy.handshake_timeout)
        client_close(client, REASON_HANDSHAKE_TIMEOUT);
    else if (!client_check_output(client, NULL))
        return;
    else if (config->proxy.request_read_timeout && client->request_since && !client->call.active &&
             client->wait == WAIT_NONE &&
             now > client->request_since + config->proxy.request_read_timeout)
        client_close(client, REASON_READ_TIMEOUT);
    else if (config->proxy.transaction_timeout && pinned && !client->queue.head &&
             quiet > config->proxy.transaction_timeout)
        client_close(client, REASON_TRANSACTION_TIMEOUT);
    else if (config->proxy.client_idle_timeout && !client->queue.head && !waits &&
             quiet > config->proxy.client_idle_timeout)
        client_close(client, REASON_IDLE);
}
