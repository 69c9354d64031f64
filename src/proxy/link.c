/* link.c - one backend connection: its queue of requests, its stream of replies.
 *
 *   link_send:  req -> sent queue,  bytes -> conn (written once this turn)
 *   readable :  carry + read -> scan -> reply_begin, reply_bytes..., reply_end   (reply.c)
 *
 *   DIALING -> LOGIN -> READY <-> RESETTING        any -> CLOSED (link_close only)
 */
#include <stdio.h>
#include <stdlib.h>

#include "count.h"
#include "stages.h"

/* How much of a reply must be there before reply_begin can tell what it is: three bytes tell
 * every type ("_\r\n" is the shortest reply), an error is wanted whole, and where pushes may come
 * so is the head of an aggregate. Replies longer than that are told by what has come. */
enum { PATIENCE_MS = 100 };
enum { HEAD_MIN = 3, HEAD_ERROR = 512, HEAD_PUSH = 4096, RX_ROOM = 16 * 1024 };

const char *link_who(const struct link *link)
{
    static _Thread_local char text[96];
    snprintf(text, sizeof(text), "link=%llu node=%s%s%s", (unsigned long long)link->id,
             link->pool->node->name, link->role == LINK_PINNED ? " pinned" : "",
             link->owner ? " owned" : "");
    return text;
}

static struct worker *link_worker(const struct link *link)
{
    return link->pool->node->worker;
}

static void queue_push(struct req_queue *queue, struct req *req)
{
    req->next_link = NULL;
    if (queue->tail)
        queue->tail->next_link = req;
    else
        queue->head = req;
    queue->tail = req;
    queue->count++;
}

static void prefix_send(struct link *link, struct req *req)
{
    uint8_t prefix = req->prefix;
    req->prefix = PREFIX_NONE;
    if (prefix == PREFIX_ASKING)
        link_ask(link, span_copy("*1\r\n$6\r\nASKING\r\n", 16), link_ignore, NULL);
    else
        link_ask(link, span_copy("*1\r\n$4\r\nPING\r\n", 14), link_ignore, NULL);
}

void link_send(struct link *link, struct req *req)
{
    if (unlikely(req->prefix))
        prefix_send(link, req);
    req->state = REQ_SENT;
    if (req->kind == REQ_MONITOR)
        link->monitor = true; /* from here on only a close makes it quiet again */
    if (COUNTING)
        loop_us(link->conn.loop); /* so that this turn's end is known */
    req->turn = link->conn.loop->turn;
    req->offset = link->queued;
    req->since = loop_now(link->conn.loop);
    link->queued += req->bytes.len;
    if (!link->sent.head)
        link->heard = req->since; /* silence counts from the first unanswered request */
    queue_push(&link->sent, req);
    if (!link->expire)
        link->expire = req;
    conn_write(&link->conn, span_hold(req->bytes));
    /* Never sent again: what it did to the link's state is gone. Only in a cluster a node may say
     * that it has not run at all (redirect.c). */
    if (link->role == LINK_PINNED && (!link_worker(link)->clustered || req->kind == REQ_FORWARD))
        req_forget(req);
}

void link_ask(struct link *link, struct span command,
              void (*done)(struct req *, struct link *, struct str), void *context)
{
    struct req *req = req_new(link_worker(link));
    req->kind = REQ_INTERNAL;
    req->done = done;
    req->context = context;
    req->bytes = command;
    req->size = command.len;
    link_send(link, req);
}

void link_ignore(struct req *req, struct link *link, struct str reply)
{
    (void)req;
    (void)link;
    (void)reply;
}

/* ---- request-timeout ---- */

void link_expire(struct link *link, uint64_t now)
{
    const struct config *config = link_worker(link)->snapshot->config;
    uint64_t limit = config->backend.request_timeout;
    if (!scan_at_start(&link->scan))
        return; /* a reply is passing: it has begun, and those behind it wait for its end; should
                   the backend fall silent in its middle, links_tick closes the link */
    bool silent = false;
    while (limit && link->expire && link->state == LINK_READY) {
        struct req *req = link->expire;
        if (req_wanted(req) && (req->traits & TRAIT_NO_TIMEOUT) && link->role == LINK_PINNED)
            break; /* what is behind one's own BLPOP waits for it, not for the backend */
        if (req_wanted(req) && !(req->traits & TRAIT_NO_TIMEOUT)) {
            if (req->offset + req->size > link->conn.written)
                req->since = now; /* the clock starts when it is written */
            if (now < req->since + limit)
                break;
            silent |= link->role == LINK_SHARED && link->heard <= req->since;
            char text[160];
            count(link_worker(link), STAT_REQUEST_TIMEOUTS);
            snprintf(text, sizeof(text),
                     "-ERR respgate: no reply from %s in %llu ms, the command may have run\r\n",
                     link->pool->node->name, (unsigned long long)limit);
            req_answer(req, text); /* stays in our queue: a tombstone */
        }
        link->expire = req->next_link;
    }
    if (silent)
        node_timed_out(link->pool->node);
}

/* ---- reading -----------------------------------------------------------------------------------
 */

/* Room for the next read, behind what spans of earlier replies still hold. */
static struct chunk *worker_rx(struct worker *worker)
{
    struct chunk *rx = worker->rx;
    if (rx && rx->refs == 1)
        rx->used = 0;
    if (!rx || rx->size - rx->used < RX_ROOM) {
        chunk_drop(rx);
        rx = worker->rx = chunk_new(CHUNK_SIZE);
    }
    return rx;
}

/* Whether this frame may be a push or a confirmation. RESP3 marks them; in RESP2 an array on a
 * subscribed link may be one. */
bool link_may_push(const struct link *link, char type)
{
    if (link->pool->resp == 3)
        return type == '>';
    return link->subscribed || link->hub ||
           (link->sent.head && link->sent.head->kind == REQ_SUBSCRIBE);
}

/* Whether reply_begin can tell what this reply is from the bytes that are there. */
static bool head_complete(const struct link *link, const char *ptr, size_t len)
{
    size_t want = *ptr == '-' ? HEAD_ERROR : link_may_push(link, *ptr) ? HEAD_PUSH : HEAD_MIN;
    if (len >= want)
        return true;
    if (want == HEAD_MIN)
        return false;
    struct scan trial = link->scan;
    size_t used;
    return scan_feed(&trial, ptr, len, &used) != SCAN_MORE; /* an error is found again */
}

static void link_parse(struct link *link, struct chunk *rx, const char *ptr, size_t len)
{
    while (len && link->state != LINK_CLOSED) {
        size_t used = 0;
        if (scan_at_start(&link->scan)) {
            if (!head_complete(link, ptr, len)) {
                link->carry = (struct span){chunk_hold(rx), ptr, len};
                return;
            }
            reply_begin(link, ptr, len);
            if (link->state == LINK_CLOSED)
                return;
        }
        enum scan_status status = scan_feed(&link->scan, ptr, len, &used);
        if (status == SCAN_ERROR) {
            link_close(link, REASON_GARBAGE, NULL);
            return;
        }
        link->frame_bytes += used;
        reply_bytes(link, rx, ptr, used, status == SCAN_END);
        if (status == SCAN_END && link->state != LINK_CLOSED)
            reply_end(link);
        ptr += used;
        len -= used;
    }
}

static void link_readable(struct conn *conn)
{
    struct link *link = CONTAINER(conn, struct link, conn);
    struct worker *worker = link_worker(link);
    struct chunk *rx = chunk_hold(worker_rx(worker));
    char *start = rx->data + rx->used;
    size_t carried = link->carry.len;
    if (carried) {
        memmove(start, link->carry.ptr, carried);
        span_drop(&link->carry);
    }
    ssize_t got = conn_read(conn, start + carried, rx->size - rx->used - carried);
    if (got > 0) {
        count_add(worker, STAT_BYTES_OUT, (uint64_t)got);
        link->heard = loop_now(conn->loop);
        node_heard(link->pool->node);
        rx->used += carried + (size_t)got;
        link_parse(link, rx, start, carried + (size_t)got);
    } else if (got == 0 && carried) {
        rx->used += carried;
        link->carry = (struct span){chunk_hold(rx), start, carried};
    }
    chunk_drop(rx);
}

/* ---- a client that is slower than its reply ---- */

/* All behind it on the link would wait with it, so it is waited for a moment only: one that reads
 * at all gets any reply in constant memory, one that does not fills its output limit. */
void link_wait_for(struct link *link, struct client *client)
{
    if (client->impatient || link->paused_for || client->pauses)
        return;
    link->paused_for = client;
    client->pauses = link;
    link->paused_at = loop_now(link->conn.loop);
    conn_pause(&link->conn, true);
}

void link_go_on(struct link *link)
{
    if (!link->paused_for)
        return;
    link->paused_for->pauses = NULL;
    link->paused_for = NULL;
    conn_pause(&link->conn, false);
}

void link_patience(struct link *link, uint64_t now)
{
    if (!link->paused_for || now < link->paused_at + PATIENCE_MS)
        return;
    link->paused_for->impatient = true; /* until it has taken all it has */
    link_go_on(link);
}

/* ---- life ---- */

static void link_opened(struct conn *conn)
{
    struct link *link = CONTAINER(conn, struct link, conn);
    link->state = LINK_LOGIN;
    link->heard = loop_now(conn->loop);
    log_debug(link_who(link), "connected%s",
              conn->tls ? tls_resumed(conn->tls) ? " (TLS resumed)" : " (TLS)" : "");
    link_login(link);
}

static void link_written(struct conn *conn)
{
    (void)conn;
}

static void link_ended(struct conn *conn, const char *reason, bool clean)
{
    struct link *link = CONTAINER(conn, struct link, conn);
    link_close(link, clean ? REASON_PEER : REASON_FAILED, reason);
}

static void link_freed(struct conn *conn)
{
    struct link *link = CONTAINER(conn, struct link, conn);
    free(link);
}

static const struct conn_ops link_ops = {
    .opened = link_opened,
    .readable = link_readable,
    .written = link_written,
    .ended = link_ended,
    .closed = link_freed,
};

struct link *link_dial(struct pool *pool, enum link_role role)
{
    struct worker *worker = pool->node->worker;
    const struct config *config = config_of(pool->node);
    const struct node_address *address = &pool->node->address;
    struct link *link = xcalloc(1, sizeof(*link));
    link->pool = pool;
    link->role = (uint8_t)role;
    link->id = ++worker->link_seq * worker->proxy->worker_count + worker->index;
    link->since = loop_now(&worker->loop);
    scan_init(&link->scan);
    list_init(&link->entry);
    list_append(&pool->links, &link->entry);
    __atomic_fetch_add(&worker->proxy->links[role], 1, __ATOMIC_RELAXED);
    count(worker, STAT_LINKS_DIALED);
    pool->node->counts.dials++;
    struct dial_target target = {
        .host = address->host,
        .port = address->port,
        .path = address->path,
        .tls = node_snapshot(pool->node)->backend_tls,
        .server_name = config->backend.tls_server_name ? config->backend.tls_server_name
                                                       : address->server_name,
    };
    conn_dial(&link->conn, &worker->loop, &link_ops, &target);
    return link;
}

void link_refused(struct link *link)
{
    struct node *node = link->pool->node;
    if (node->spare || link->role != LINK_SHARED || node->no_hello) {
        link_close(link, REASON_LOGIN, link->pool->refusal);
        return;
    }
    link->pool->shared = NULL;
    link->state = LINK_SPARE;
    node->spare = link;
}

struct link *link_reuse(struct pool *pool)
{
    struct link *link = pool->node->spare;
    if (!link)
        return NULL;
    pool->node->spare = NULL;
    link->pool = pool;
    list_remove(&link->entry);
    list_append(&pool->links, &link->entry);
    link_reset(link);
    return link;
}

void link_close(struct link *link, enum reason reason, const char *detail)
{
    struct worker *worker = link_worker(link);
    if (link->state == LINK_CLOSED)
        return;
    bool expected = reason == REASON_SURPLUS || reason == REASON_OWNER_LEFT ||
                    reason == REASON_LOGIN || link->state == LINK_SPARE || worker->draining;
    bool was_ready = link->state == LINK_READY;
    log_line(expected    ? LOG_DEBUG
             : was_ready ? LOG_WARN
                         : LOG_INFO,
             link_who(link), "%s%s%s", reason_text(reason), detail ? ": " : "",
             detail ? detail : "");
    if (!expected)
        count(worker, STAT_LINKS_FAILED);
    __atomic_fetch_sub(&worker->proxy->links[link->role], 1, __ATOMIC_RELAXED);
    link->state = LINK_CLOSED;
    link->lied = reason == REASON_GARBAGE || reason == REASON_UNASKED;
    list_remove(&link->entry);
    link_go_on(link);
    span_drop(&link->carry);
    pool_link_gone(link, expected, detail ? detail : reason_text(reason));
    conn_close(&link->conn);
}
