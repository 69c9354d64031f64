/* reply.c - a reply on its way back: whose it is, where its bytes go, what it changes.
 *
 *   reply_begin  the head of a frame tells: the first request's reply, a push, or nobody's
 *   reply_bytes  pieces of it: to the client's socket when it is the client's first request,
 *                else into the req until it is; dropped when the client left
 *   reply_end    the req leaves the link's queue; what its kind means for the client happens
 */
#include "count.h"
#include "stages.h"

/* A reply up to this size is handed on whole or not at all: if the link dies in its middle the
 * client gets an error in its place and stays connected. */
enum { HOLD_MAX = 64 * 1024, OUTPUT_WAIT = 1024 * 1024 };

static struct worker *link_worker(const struct link *link)
{
    return link->pool->node->worker;
}

void reply_begin(struct link *link, const char *ptr, size_t len)
{
    struct req *req = link->sent.head;
    link->frame_bytes = 0;
    link->frame_error = *ptr == '-';
    link->frame_nil = *ptr == '_' || (len >= 3 && ptr[1] == '-' && *ptr == '*');
    if (link_may_push(link, *ptr))
        link->frame = (uint8_t)subscribe_frame(link, ptr, len);
    else if (!req && link->owner && (link->owner->pins & PIN_MONITOR) && *ptr == '+')
        link->frame = FRAME_PUSH;
    else
        link->frame = req ? FRAME_REQ : FRAME_NONE;
    if (link->frame == FRAME_NONE) {
        link_close(link, REASON_UNASKED, NULL);
        return;
    }
    if (unlikely(link->pool->noauth) && !link->frame_error && req && req->kind != REQ_INTERNAL)
        link->pool->noauth = false; /* the store asks for no login any more */
    if (unlikely(link->frame_error)) {
        count(link_worker(link), STAT_REPLY_ERRORS);
        if (req && req->client)
            client_reply_failed(req->client, link, ptr, len);
        if (link_worker(link)->clustered && req && req_wanted(req) && link->frame == FRAME_REQ &&
            redirect_wanted(link, req, ptr, len))
            link->frame = FRAME_REDIRECT;
    }
}

/* Bytes of a req's reply that have become due to the client. */
static void req_release(struct client *client, struct req *req)
{
    if (req->mute)
        spans_clear(&req->reply);
    else
        conn_write_all(&client->conn, &req->reply);
}

static void req_bytes(struct link *link, struct req *req, struct span span, bool last)
{
    struct client *client = req->client;
    if (!client && req->kind != REQ_INTERNAL && !req_wanted(req))
        return;
    if (unlikely(req->kind == REQ_ASK)) {
        ask_bytes(req, span);
        return;
    }
    if (req->mute && req->kind != REQ_INTERNAL)
        return;
    if (unlikely(req->kind == REQ_COUNT)) {
        spans_push(&req->reply, span_hold(span)); /* a few bytes, which change before they go */
    } else if (client && client->queue.head == req && (req->begun || (last && !req->reply.head))) {
        conn_write(&client->conn, span_hold(span));
        req->begun = true;
    } else {
        spans_push(&req->reply, span_hold(span));
        if (client && client->queue.head == req && (last || req->reply.bytes > HOLD_MAX)) {
            req_release(client, req);
            req->begun = true;
        }
    }
    if (client && !last && client_check_output(client) && client->conn.out.bytes > OUTPUT_WAIT)
        link_wait_for(link, client);
}

void reply_bytes(struct link *link, struct chunk *chunk, const char *ptr, size_t len, bool last)
{
    struct span span = {chunk, ptr, len};
    switch ((enum frame_target)link->frame) {
    case FRAME_REQ: req_bytes(link, link->sent.head, span, last); return;
    case FRAME_PUSH:
        if (link->hub) {
            hub_bytes(link, span_hold(span), last);
        } else if (link->owner) {
            link->owner->push_open = false;
            client_push(link->owner, span_hold(span));
            link->owner->push_open = !last;
        }
        return;
    case FRAME_REDIRECT:
    case FRAME_OWN:
    case FRAME_DROP:
    case FRAME_NONE: return;
    }
}

static struct req *sent_pop(struct link *link)
{
    struct req *req = link->sent.head;
    link->sent.head = req->next_link;
    if (!link->sent.head)
        link->sent.tail = NULL;
    link->sent.count--;
    if (link->expire == req)
        link->expire = req->next_link;
    req->next_link = NULL;
    return req;
}

static void internal_done(struct link *link, struct req *req)
{
    struct buf reply = {0};
    for (struct span_node *node = req->reply.head; node; node = node->next)
        buf_add(&reply, node->span.ptr, node->span.len);
    req->done(req, link, buf_view(&reply));
    buf_free(&reply);
    req_free(link_worker(link), req);
}

/* What the end of a reply means for its client, beyond the bytes. */
static void kind_done(struct link *link, struct client *client, struct req *req)
{
    switch ((enum req_kind)req->kind) {
    case REQ_FORWARD:
    case REQ_INTERNAL:
    case REQ_QUEUED: return;
    case REQ_ASK: ask_answered(client, req); return;
    case REQ_WATCH: transaction_watched(client, link); return;
    case REQ_MULTI:
        if (link->frame_error)
            transaction_refused(client, req);
        return;
    case REQ_EXEC: transaction_executed(client, link, req); return;
    case REQ_BLOCK: client->pins &= ~(uint32_t)PIN_BLOCK; return;
    case REQ_SUBSCRIBE: subscribe_done(client); return;
    case REQ_MONITOR:
        if (link->frame_error) {
            client->pins &= ~(uint32_t)PIN_MONITOR;
            link->monitor = false;
        }
        return;
    case REQ_TRACKING: tracking_done(client, link, req); return;
    case REQ_COUNT: share_counted(client, req); return;
    case REQ_GATHER:
    case REQ_PART: return;
    case REQ_KIND_COUNT: return;
    }
}

void reply_end(struct link *link)
{
    struct req *req = link->sent.head;
    if (link->frame == FRAME_PUSH && link->owner)
        client_release_held(link->owner);
    if (link->frame != FRAME_REQ && link->frame != FRAME_OWN && link->frame != FRAME_REDIRECT)
        return;
    if (req->kind == REQ_SUBSCRIBE && subscribe_more(link, req))
        return;
    sent_pop(link);
    if (link->role == LINK_PINNED && link->expire)
        link->expire->since = loop_now(link->conn.loop); /* its turn begins now */
    if (unlikely((req->traits & TRAIT_FUNCTIONS) || (req->kind == REQ_EXEC && req->aux)))
        functions_changed(link_worker(link)->proxy);
    struct client *client = req->client;
    if (req->kind == REQ_INTERNAL) {
        internal_done(link, req);
        return;
    }
    if (unlikely(link->frame == FRAME_REDIRECT) && req_wanted(req)) {
        redirect_take(link, req);
        return;
    }
    if (req->kind == REQ_PART && req->gather) {
        gather_done(link, req);
        req_free(link_worker(link), req);
        return;
    }
    if (!client) {
        count(link_worker(link), STAT_LATE_REPLIES);
        req_free(link_worker(link), req);
        return;
    }
    req->state = REQ_DONE;
    reply_count(link, client, req);
    span_drop(&req->bytes);
    kind_done(link, client, req);
    if (unlikely(client->deferred))
        redirect_ran(client, req);
    if (client->queue.head == req)
        client_advance(client);
}
