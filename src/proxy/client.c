/* client.c - a client connection: its states, and how it ends.
 *
 *   HANDSHAKE -> IDLE <-> BUSY <-> WAITING        any -> LEAVING -> CLOSED
 */
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "client_private.h"
#include "confirm.h"
#include "count.h"
#include "stages.h"

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

/* ---- states ---- */

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
void client_settle(struct client *client)
{
    if (client->state != CLIENT_IDLE && client->state != CLIENT_BUSY)
        return;
    bool busy = client->queue.head || client->parser || client->pins || client_shares(client);
    client_move(client, busy ? CLIENT_BUSY : CLIENT_IDLE);
}

void client_parser_back(struct client *client)
{
    if (client->parser)
        worker_parser_back(client->worker, client->parser);
    client->parser = NULL;
    client->request_since = 0;
}

void handshake_over(struct client *client)
{
    if (client->handshaking)
        __atomic_sub_fetch(&client->worker->proxy->handshakes, 1, __ATOMIC_RELAXED);
    client->handshaking = false;
}

unsigned client_slot(const struct client *client)
{
    uint64_t links = client->worker->snapshot->config->backend.links;
    return links > 1 ? (unsigned)(client->id % links) : 0;
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

/* ---- the end of a client ---- */

static void client_forget_reqs(struct client *client)
{
    struct req *req = client->queue.head;
    while (req) {
        struct req *next = req->next_client;
        req->client = NULL;
        req->next_client = NULL;
        if (req->state == REQ_DONE || req->state == REQ_LOCAL || req->kind == REQ_GATHER)
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
    handshake_over(client);
    client_move(client, CLIENT_CLOSED);
    if (client->pauses)
        link_go_on(client->pauses);
    client_forget_reqs(client);
    if (client->call.active)
        call_end(client);
    client->call.active = false;
    pool_forget_waiter(client);
    list_remove(&client->restore_entry);
    if (client->pinned && client->pins)
        client->pinned->dirty = true; /* in MULTI, watching, subscribed ... */
    client->pins = 0;
    if (client->heir)
        link_close(client->heir, REASON_OWNER_LEFT, NULL);
    pool_unpin(client);
    transaction_end(client);
    subscriptions_free(client);
    shares_leave(client);
    spans_clear(&client->held);
    client_parser_back(client);
    user_count(client);
    free(client->exec_marks);
    client->exec_marks = NULL;
    pool_join(client, NULL);
    auth_forget(client);
    __atomic_fetch_sub(&worker->client_count, 1, __ATOMIC_RELAXED);
    proxy_client_gone(worker, &client->door);
    conn_close(&client->conn);
}

void client_freed(struct conn *conn)
{
    struct client *client = CONTAINER(conn, struct client, conn);
    list_remove(&client->entry);
    span_drop(&client->tracking_command);
    confirm_free(client);
    free(client->user_name);
    free(client->name);
    free(client->lib_name);
    free(client->lib_ver);
    if (client->rules != client->rules_room)
        free(client->rules);
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

void client_finished(struct conn *conn)
{
    client_close(CONTAINER(conn, struct client, conn), REASON_PEER);
}

void client_ended(struct conn *conn, const char *reason, bool clean)
{
    struct client *client = CONTAINER(conn, struct client, conn);
    bool waits_long =
        client->pins & (PIN_BLOCK | PIN_MONITOR | PIN_TRACKING) || client_subscribed(client);
    if (clean && client->state == CLIENT_LEAVING)
        return; /* goes when all is written */
    if (clean && !waits_long &&
        (client->queue.head || client->call.active || client->parser || conn->out.bytes)) {
        /* "printf ... | nc" closes its side before the replies are there: it still gets them. */
        client->eof = true;
        conn_again(conn);
        return;
    }
    if (!clean)
        log_debug(client_who(client), "%s", reason);
    client_close(client, clean ? REASON_PEER : REASON_FAILED);
}

/* ---- a pinned link, or a request, is lost ---- */

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
    case REQ_COUNT:
    case REQ_GATHER:
    case REQ_PART:
    case REQ_KIND_COUNT: return;
    case REQ_ASK: ask_lost(client); return;
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
    if (client->push_open) { /* half a push has left: nothing can follow it */
        client_close(client, REASON_SUBSCRIPTION_LOST);
        return;
    }
    /* As Redis would; a shard's channels may be anywhere by now, and are for the client to find. */
    bool sharded = client->worker->clustered && subscriptions_count(client, 2);
    if (pins & PIN_SUBSCRIBE && (client->resp == 2 || sharded)) {
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

/* ---- time ---- */

void client_tick(struct client *client, uint64_t now)
{
    const struct config *config = client->worker->snapshot->config;
    uint64_t quiet = now - client->active;
    bool pinned = client->pins & (PIN_MULTI | PIN_WATCH);
    bool waits =
        client->pins & (PIN_BLOCK | PIN_MONITOR | PIN_TRACKING) || client_subscribed(client);
    if (client->state == CLIENT_HANDSHAKE &&
        now > client->created + config->proxy.handshake_timeout)
        client_close(client, REASON_HANDSHAKE_TIMEOUT);
    else if (!client_check_output(client))
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
