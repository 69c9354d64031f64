/* redirect.c - "not here", "not now": MOVED, ASK, TRYAGAIN, CLUSTERDOWN, LOADING.
 *
 * These errors say that a request has not run, so it is sent again: at the node that MOVED or ASK
 * names, or by the map after a moment. Clients never see where nodes are.
 *
 *   reply_begin -> redirect_wanted     the reply is swallowed
 *   reply_end   -> redirect_take       HELD: off its link, in its place in the client's queue
 *   redirect_go                        sent again, in order, when nothing of its client is in
 * flight
 *
 * In order: requests of a client that were behind it on the link cannot be called back. Should one
 * for the same slot have run in the meantime, the held one gets an error instead: it must not run
 * after what came later.
 */
#include <stdio.h>
#include <stdlib.h>

#include "pool_private.h"
#include "stages.h"

enum outcome { NOT_HERE, ASK_THERE, NOT_NOW };

enum {
    HOPS_FREE = 5, /* MOVED and ASK followed at once; more of them wait like the others */
    BACKOFF_MS = 50,
    BACKOFF_MAX_MS = 400,
};

struct redirect {
    struct list entry; /* of worker->held */
    struct req *req;
    struct node *to; /* named by MOVED or ASK; NULL: by the map. Only until it is sent */
    uint64_t since;  /* loop ms: sent for the first time */
    uint64_t at;     /* loop ms: not before */
    uint32_t pin;    /* reasons of its client's pinned link, which has to follow */
    unsigned hops, waits;
    uint16_t slot; /* as the error says */
    uint8_t verdict;
};

/* ---- what the error says ---- */

static const struct verdict_row {
    struct str word;
    enum outcome verdict;
} verdicts[] = {
    {{"-MOVED ", 7}, NOT_HERE},       {{"-ASK ", 5}, ASK_THERE},   {{"-TRYAGAIN ", 10}, NOT_NOW},
    {{"-CLUSTERDOWN ", 13}, NOT_NOW}, {{"-LOADING ", 9}, NOT_NOW}, {{"-MASTERDOWN ", 12}, NOT_NOW},
};

static const struct verdict_row *verdict_find(struct str line)
{
    for (size_t i = 0; i < ARRAY_LEN(verdicts); i++)
        if (line.len > verdicts[i].word.len &&
            memcmp(line.ptr, verdicts[i].word.ptr, verdicts[i].word.len) == 0)
            return &verdicts[i];
    return NULL;
}

/* "3999 127.0.0.1:6381", "3999 :6381" (the same host), "3999 name:6381". The node when it is a
 * known one: an address that no map has is not dialled. */
static struct node *target_find(struct link *link, struct str rest, uint16_t *slot)
{
    const char *space = memchr(rest.ptr, ' ', rest.len);
    int64_t number, port;
    size_t digits = space ? (size_t)(space - rest.ptr) : 0;
    if (!space || !str_to_int((struct str){rest.ptr, digits}, &number) || number < 0 ||
        number >= SLOT_COUNT)
        return NULL;
    *slot = (uint16_t)number;
    struct str address = {space + 1, rest.len - digits - 1};
    while (address.len && (unsigned char)address.ptr[address.len - 1] <= ' ')
        address.len--;
    size_t colon = address.len;
    while (colon > 0 && address.ptr[colon - 1] != ':')
        colon--;
    if (!colon || !str_to_int((struct str){address.ptr + colon, address.len - colon}, &port) ||
        port < 1 || port > 65535)
        return NULL;
    struct str host = {address.ptr, colon - 1};
    if (!host.len && link->pool->node->address.host)
        host = str_of(link->pool->node->address.host);
    return cluster_node_by_address(link->pool->node->worker, host, (uint16_t)port);
}

/* ---- may it be sent again ---- */

static uint32_t pin_of(const struct req *req)
{
    switch ((enum req_kind)req->kind) {
    case REQ_BLOCK: return PIN_BLOCK;
    case REQ_WATCH: return PIN_WATCH;
    case REQ_SUBSCRIBE: return PIN_SUBSCRIBE;
    case REQ_FORWARD:
    case REQ_INTERNAL:
    case REQ_MULTI:
    case REQ_QUEUED:
    case REQ_EXEC:
    case REQ_MONITOR:
    case REQ_TRACKING:
    case REQ_COUNT:
    case REQ_ASK:
    case REQ_GATHER:
    case REQ_PART:
    case REQ_KIND_COUNT: return 0;
    }
    return 0;
}

/* On a pinned link only what was the first thing to need it: nothing else is on that link yet. */
static bool may_repeat(const struct link *link, const struct req *req)
{
    const struct client *client = req->client;
    if (!req->bytes.ptr || req->begun)
        return false;
    if (link->role == LINK_SHARED)
        return req->kind == REQ_FORWARD || req->kind == REQ_PART || req->kind == REQ_COUNT ||
               req->kind == REQ_ASK;
    uint32_t pin = pin_of(req);
    return pin && (client->pins & ~(uint32_t)PIN_BLOCK) == (pin & ~(uint32_t)PIN_BLOCK) &&
           !client->watching && !subscriptions_count(client, -1) && !req->next_link;
}

static struct redirect *redirect_of(struct req *req, uint64_t now)
{
    if (!req->redirect) {
        req->redirect = xcalloc(1, sizeof(*req->redirect));
        req->redirect->req = req;
        req->redirect->since = req->since < now ? req->since : now;
        list_init(&req->redirect->entry);
    }
    return req->redirect;
}

void redirect_free(struct req *req)
{
    if (!req->redirect)
        return;
    list_remove(&req->redirect->entry);
    free(req->redirect);
    req->redirect = NULL;
}

void redirect_forget(const struct node *node)
{
    list_each (it, &node->worker->held) {
        struct redirect *redirect = CONTAINER(it, struct redirect, entry);
        if (redirect->to == node)
            redirect->to = NULL;
    }
}

bool redirect_wanted(struct link *link, struct req *req, const char *ptr, size_t len)
{
    struct worker *worker = link->pool->node->worker;
    const char *end = memchr(ptr, '\r', len);
    struct str line = {ptr, end ? (size_t)(end - ptr) : len};
    const struct verdict_row *row = verdict_find(line);
    uint64_t now = loop_now(&worker->loop);
    if (!row)
        return false;
    bool repeat = may_repeat(link, req);
    struct redirect *redirect = redirect_of(req, now);
    bool late = now >= redirect->since + worker->snapshot->config->backend.park_timeout;
    redirect->verdict = row->verdict;
    redirect->to = NULL;
    redirect->pin = repeat && link->role == LINK_PINNED ? pin_of(req) : 0;
    cluster_doubt(worker);
    if (row->verdict == NOT_NOW) {
        redirect->waits++;
        return repeat && !late; /* else the client gets the error as it is */
    }
    struct str rest = {line.ptr + row->word.len, line.len - row->word.len};
    redirect->to = target_find(link, rest, &redirect->slot);
    redirect->hops++;
    if (!repeat || late)
        redirect->hops = UINT32_MAX; /* answered by redirect_take: not with that address */
    return true;
}

/* ---- giving up ---- */

static void redirect_refuse(struct req *req)
{
    char error[160];
    const struct redirect *redirect = req->redirect;
    const char *code =
        req->kind == REQ_EXEC ? "EXECABORT Transaction discarded because of:" : "TRYAGAIN";
    snprintf(error, sizeof(error), "-%s respgate: slot %u is moving between nodes\r\n", code,
             redirect->slot);
    req_answer(req, error);
}

/* ---- held ---- */

static uint64_t backoff(unsigned times)
{
    uint64_t delay = (uint64_t)BACKOFF_MS << (times < 4 ? times : 4);
    return delay < BACKOFF_MAX_MS ? delay : BACKOFF_MAX_MS;
}

static void client_go(struct client *client);

static void hold(struct worker *worker, struct link *link, struct req *req)
{
    struct redirect *redirect = req->redirect;
    struct client *client = req->client;
    uint64_t now = loop_now(&worker->loop);
    bool at_once = redirect->to && redirect->hops <= HOPS_FREE;
    redirect->at = at_once ? now : now + backoff(redirect->hops + redirect->waits);
    if (!at_once)
        redirect->to = NULL;
    req->state = REQ_HELD;
    list_append(&worker->held, &redirect->entry);
    if (!client)
        return;
    client->deferred++;
    client->lane = &client->deferred; /* what comes next waits until all this is settled */
    if (redirect->pin) {
        client->pins &= ~redirect->pin;
        if (link->owner == client && !client->pins)
            pool_unpin(client);
    }
}

void redirect_take(struct link *link, struct req *req)
{
    struct worker *worker = link->pool->node->worker;
    static const enum stat_id stats[] = {[NOT_HERE] = STAT_REDIRECTS_MOVED,
                                         [ASK_THERE] = STAT_REDIRECTS_ASK,
                                         [NOT_NOW] = STAT_REDIRECTS_LATER};
    count(worker, stats[req->redirect->verdict]);
    link->pool->node->counts.redirects += req->redirect->verdict != NOT_NOW;
    spans_clear(&req->reply);
    if (req->redirect->hops == UINT32_MAX) {
        redirect_refuse(req);
        req_free(worker, req);
        return;
    }
    hold(worker, link, req);
    if (req->client)
        client_go(req->client);
    else
        redirect_go(worker);
}

/* ---- sent again ---- */

/* Where it goes now: as it was told, or as the map says. NULL: nowhere yet. */
static struct pool *pool_of(struct worker *worker, struct req *req)
{
    struct redirect *redirect = req->redirect;
    struct link_class *class = req->client ? req->client->pool->class : gather_class(req->gather);
    if (redirect->to)
        return pool_at(redirect->to, class);
    return worker->map || req->slot < 0 ? cluster_pool(worker, class, req->slot) : NULL;
}

static bool pinned_send(struct client *client, struct pool *pool, struct req *req)
{
    struct redirect *redirect = req->redirect;
    if (client->pinned || !pool_pin_now(pool, client, redirect->pin & PIN_WATCH))
        return false;
    client->pins |= redirect->pin;
    client->lane = client->pinned;
    link_send(client->pinned, req);
    return true;
}

/* False: it cannot go yet. */
static bool req_go(struct worker *worker, struct req *req)
{
    struct redirect *redirect = req->redirect;
    struct client *client = req->client;
    struct pool *pool = pool_of(worker, req);
    uint64_t patience = worker->snapshot->config->backend.park_timeout;
    req->prefix = redirect->verdict == ASK_THERE && redirect->to ? PREFIX_ASKING : PREFIX_NONE;
    if (!pool || (redirect->pin && !pinned_send(client, pool, req))) {
        if (loop_now(&worker->loop) < redirect->since + patience)
            return false;
        pool = NULL;
    }
    list_remove(&redirect->entry);
    if (client) {
        client->deferred--;
        if (!redirect->pin)
            client->lane = pool;
    }
    if (redirect->pin && pool)
        return true;
    if (!pool || !pool_send(pool, req)) {
        req->state = REQ_SENT; /* nobody's any more, and about to be answered */
        req_answer(req, pool ? "-ERR respgate: backend is unavailable\r\n"
                             : "-CLUSTERDOWN Hash slot not served\r\n");
        req_free(worker, req);
    }
    return true;
}

/* Found anew each time: whatever is answered may take others off the queue with it. */
static struct req *first_held(const struct client *client)
{
    struct req *req = client->queue.head;
    while (req && req->state != REQ_HELD)
        req = req->next_client;
    return req;
}

/* The held requests of a client, in order, as far as they go one way. */
static void client_go(struct client *client)
{
    struct worker *worker = client->worker;
    const struct pool *way = NULL;
    uint64_t now = loop_now(&worker->loop);
    for (struct req *req = client->queue.head; req; req = req->next_client)
        if (req->state == REQ_SENT || req->state == REQ_PARKED)
            return; /* what was sent before is not answered yet */
    while (client->deferred && client->state != CLIENT_CLOSED) {
        struct req *req = first_held(client);
        const struct pool *pool = pool_of(worker, req);
        bool pinned = req->redirect->pin;
        if (now < req->redirect->at || (way && (pool != way || pinned)))
            break;
        way = pool;
        if (!req_go(worker, req) || pinned)
            break;
    }
    if (client->deferred)
        client->lane = &client->deferred;
}

void redirect_go(struct worker *worker)
{
    uint64_t now = loop_now(&worker->loop);
    struct list turn; /* answering one may hold or free others: each is looked at once */
    list_init(&turn);
    while (!list_empty(&worker->held)) {
        struct list *entry = worker->held.next;
        list_remove(entry);
        list_append(&turn, entry);
    }
    while (!list_empty(&turn)) {
        struct redirect *redirect = CONTAINER(turn.next, struct redirect, entry);
        struct req *req = redirect->req;
        list_remove(&redirect->entry);
        list_append(&worker->held, &redirect->entry);
        if (!req_wanted(req))
            req_free(worker, req);
        else if (req->client)
            client_go(req->client);
        else if (now >= redirect->at)
            (void)!req_go(worker, req);
    }
}

void redirects_drop(struct worker *worker)
{
    while (!list_empty(&worker->held)) {
        struct redirect *redirect = CONTAINER(worker->held.next, struct redirect, entry);
        struct req *req = redirect->req;
        list_remove(&redirect->entry);
        if (req->client)
            req->client->deferred--;
        req->state = REQ_SENT; /* nobody's any more, and about to be answered */
        if (req_wanted(req))
            req_answer(req, "-ERR respgate: backend is unavailable\r\n");
        req_free(worker, req);
    }
}

/* A later request has run. Held ones for the same slot must not run after it. */
static struct req *first_overtaken(const struct client *client, const struct req *ran)
{
    for (struct req *req = client->queue.head; req && req != ran; req = req->next_client)
        if (req->state == REQ_HELD && req->slot == ran->slot &&
            !(req->traits & ran->traits & TRAIT_READ))
            return req;
    return NULL;
}

void redirect_ran(struct client *client, const struct req *ran)
{
    struct req *req;
    while ((req = first_overtaken(client, ran))) {
        client->deferred--;
        redirect_refuse(req);
        req_free(client->worker, req);
    }
    client_go(client);
}
