/* park.c - requests for the shared link: sent, parked while there is none, saved when it dies. */
#include <stdio.h>
#include <stdlib.h>

#include "pool_private.h"

void parked_push(struct pool *pool, struct req *req)
{
    req->since = now_ms(pool);
    parked_append(pool, req);
}

void parked_append(struct pool *pool, struct req *req)
{
    req->state = REQ_PARKED;
    req->next_link = NULL;
    if (pool->parked.tail)
        pool->parked.tail->next_link = req;
    else
        pool->parked.head = req;
    pool->parked.tail = req;
    pool->parked.count++;
    pool->node->parked_bytes += req->size;
}

static struct req *parked_pop(struct pool *pool)
{
    struct req *req = pool->parked.head;
    pool->parked.head = req->next_link;
    if (!pool->parked.head)
        pool->parked.tail = NULL;
    pool->parked.count--;
    pool->node->parked_bytes -= req->size;
    req->next_link = NULL;
    return req;
}

bool pool_send(struct pool *pool, struct req *req)
{
    if (unlikely(pool->node->breaker_open))
        return false;
    if (likely(pool->shared && pool->shared->state == LINK_READY)) {
        link_send(pool->shared, req);
        return true;
    }
    if (pool->node->parked_bytes + req->size > config_of(pool->node)->backend.park_limit)
        return false;
    /* Parked bytes wait in a chunk of their own: a request chunk shared with others would stay
     * whole in memory for one small request. */
    struct span own = span_copy(req->bytes.ptr, req->bytes.len);
    span_drop(&req->bytes);
    req->bytes = own;
    count(pool->node->worker, STAT_PARKED);
    parked_push(pool, req);
    pool_want_shared(pool);
    return true;
}

static void parked_answer(struct pool *pool, struct req *req, const char *error)
{
    if (req_wanted(req)) {
        count(pool->node->worker, STAT_PARK_TIMEOUTS);
        req_answer(req, error);
    }
    req_free(pool->node->worker, req);
}

void parked_flush(struct pool *pool)
{
    while (pool->parked.head && pool->shared && pool->shared->state == LINK_READY) {
        struct req *req = parked_pop(pool);
        if (req_wanted(req))
            link_send(pool->shared, req);
        else
            req_free(pool->node->worker, req);
    }
}

void parked_fail(struct pool *pool, uint64_t since, const char *error)
{
    while (pool->parked.head && pool->parked.head->since <= since)
        parked_answer(pool, parked_pop(pool), error);
}

/* A read may be sent again only when none of its client's writes was on its way too: it must not
 * see what came after it. */
static void mark_writers(const struct link *link)
{
    for (struct req *req = link->sent.head; req; req = req->next_link)
        if (req->client && !(req->traits & TRAIT_READ) && req->offset < link->conn.written)
            req->client->lost_write = true;
}

static bool may_resend(const struct link *link, const struct req *req)
{
    if (!req_wanted(req) || req->begun || !req->bytes.ptr || link->role == LINK_PINNED)
        return false;
    if (req->offset >= link->conn.written)
        return true; /* no byte of it has left */
    bool behind_write = req->client && req->client->lost_write;
    return (req->traits & TRAIT_READ) && !behind_write && !req->resent && !link->lied;
}

static void req_lost(struct link *link, struct req *req)
{
    struct worker *worker = link->pool->node->worker;
    struct client *client = req->client;
    char error[160];
    if (req->kind == REQ_INTERNAL) {
        req->done(req, link, (struct str){0});
    } else if (req_wanted(req)) {
        count(worker, STAT_REQUESTS_LOST);
        if (req->begun) { /* half a reply has reached the client: nothing can follow it */
            client_close(client, REASON_FAILED);
        } else {
            snprintf(error, sizeof(error),
                     "-ERR respgate: connection to %s was lost, the command may have run\r\n",
                     link->pool->node->name);
            req_answer(req, error);
        }
    }
    req_free(worker, req);
}

void sent_lost(struct link *link)
{
    struct pool *pool = link->pool;
    struct req_queue again = {0};
    mark_writers(link);
    while (link->sent.head) {
        struct req *req = link->sent.head;
        link->sent.head = req->next_link;
        req->next_link = NULL;
        if (!may_resend(link, req)) {
            req_lost(link, req);
            continue;
        }
        count(pool->node->worker, STAT_REQUESTS_RESENT);
        req->resent |= req->offset < link->conn.written; /* once: it may be what kills links */
        spans_clear(&req->reply);
        if (again.tail)
            again.tail->next_link = req;
        else
            again.head = req;
        again.tail = req;
    }
    link->sent = (struct req_queue){0};
    link->expire = NULL;
    while (again.head) { /* nothing can be parked before them: the link was there until now */
        struct req *req = again.head;
        again.head = req->next_link;
        parked_push(pool, req);
    }
}
