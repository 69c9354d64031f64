/* pool.c - a class of links: one shared, a warm stock of pinned ones, and what waits for them.
 *
 *   shared:  parked reqs -> link ready -> link_send
 *   pinned:  pin_waiters <- idle (warm) <- reset <- given back
 */
#include <stdio.h>
#include <stdlib.h>

#include "respgate/proxy.h"

enum {
    IDLE_LINK_MS = 60 * 1000, /* warm links nobody took for so long are closed */
    POOL_UNUSED_MS = 60 * 1000,
    BACKOFF_MIN_MS = 20,
    BACKOFF_MAX_MS = 1000,
    MULTI_SHARE = 5, /* a fifth of the pinned links is kept for MULTI */
};

static uint64_t now_ms(const struct pool *pool)
{
    return loop_now(&pool->node->worker->loop);
}

static const struct config *config_of(const struct node *node)
{
    return node->worker->snapshot->config;
}

/* ---- classes ---- */

struct pool *pool_get(struct node *node, struct identity *identity, int resp, int db, unsigned slot)
{
    list_each (it, &node->pools) {
        struct pool *pool = CONTAINER(it, struct pool, node_entry);
        if (pool->identity == identity && pool->resp == resp && pool->db == db &&
            pool->slot == slot)
            return pool;
    }
    struct pool *pool = xcalloc(1, sizeof(*pool));
    pool->node = node;
    pool->identity = identity_hold(identity);
    pool->resp = resp;
    pool->db = db;
    pool->slot = slot;
    pool->unused = loop_now(&node->worker->loop);
    list_init(&pool->pin_waiters);
    list_init(&pool->restores);
    list_init(&pool->login_waiters);
    list_init(&pool->idle);
    list_init(&pool->links);
    list_append(&node->pools, &pool->node_entry);
    return pool;
}

void pool_join(struct client *client, struct pool *pool)
{
    if (client->pool == pool)
        return;
    if (client->pool && --client->pool->clients == 0)
        client->pool->unused = now_ms(client->pool);
    client->pool = pool;
    if (pool)
        pool->clients++;
}

static bool pool_idle(const struct pool *pool)
{
    list_each (it, &pool->links) {
        const struct link *link = CONTAINER(it, struct link, entry);
        if (link->owner || link->sent.head)
            return false;
    }
    return pool->clients == 0 && !pool->parked.head && list_empty(&pool->login_waiters) &&
           list_empty(&pool->pin_waiters) && list_empty(&pool->restores);
}

static void pool_free(struct pool *pool)
{
    ASSERT(!pool->parked.head);
    list_remove(&pool->node_entry);
    identity_drop(pool->identity);
    free(pool);
}

/* ---- dialling ----------------------------------------------------------------------------------
 */

static bool may_dial(struct pool *pool, enum link_role role)
{
    struct node *node = pool->node;
    struct proxy *proxy = node->worker->proxy;
    const struct config *config = config_of(node);
    if (now_ms(pool) < node->retry_at)
        return false;
    uint64_t limit =
        role == LINK_SHARED ? config->backend.max_links : config->backend.max_pinned_links;
    if (__atomic_load_n(&proxy->links[role], __ATOMIC_RELAXED) >= (int64_t)limit)
        return false;
    return proxy_dial_allowed(proxy, config->backend.dial_rate);
}

void pool_want_shared(struct pool *pool)
{
    if (pool->shared)
        return;
    pool->shared = link_reuse(pool);
    if (!pool->shared && may_dial(pool, LINK_SHARED))
        pool->shared = link_dial(pool, LINK_SHARED);
}

static size_t waiters_count(const struct pool *pool)
{
    size_t n = 0;
    list_each (it, &pool->pin_waiters)
        n++;
    list_each (had, &pool->restores)
        n++;
    return n;
}

/* Pinned links of all workers together stay below max-pinned-links; only MULTI may use the last
 * fifth, so that a thousand blocked consumers cannot keep everyone from transactions. */
static bool pin_take(struct pool *pool, const struct client *client, bool for_multi)
{
    struct proxy *proxy = pool->node->worker->proxy;
    int64_t max = (int64_t)config_of(pool->node)->backend.max_pinned_links;
    int64_t limit = for_multi ? max : max - max / MULTI_SHARE;
    char room[24];
    struct str address = address_key(&client->subject.address, room);
    if (__atomic_add_fetch(&proxy->pinned, 1, __ATOMIC_RELAXED) <= limit) {
        if (tally_add(proxy->pinned_addresses, address,
                      config_of(pool->node)->backend.pinned_per_ip)) {
            if (!client->user_counted ||
                tally_add(proxy->pinned_users, str_of(client->user_counted),
                          client->user_max_pinned))
                return true;
            tally_remove(proxy->pinned_addresses, address);
        }
    }
    __atomic_sub_fetch(&proxy->pinned, 1, __ATOMIC_RELAXED);
    return false;
}

/* Under the names it was taken: the client may have logged in as another since. */
static void pin_give(struct proxy *proxy, const struct address *address, const char *user)
{
    char room[24];
    tally_remove(proxy->pinned_addresses, address_key(address, room));
    if (user)
        tally_remove(proxy->pinned_users, str_of(user));
    __atomic_sub_fetch(&proxy->pinned, 1, __ATOMIC_RELAXED);
}

static void pin_give_back(const struct client *client)
{
    pin_give(client->worker->proxy, &client->subject.address, client->user_counted);
}

static void link_pin_end(struct link *link)
{
    pin_give(link->pool->node->worker->proxy, &link->pin_address, link->pin_user);
    free(link->pin_user);
    link->pin_user = NULL;
    link->owner = NULL;
}

/* One dial for each client that waits, less those under way. */
static void pool_want_pinned(struct pool *pool)
{
    size_t waiting = waiters_count(pool);
    while (pool->pin_dialing < waiting && may_dial(pool, LINK_PINNED)) {
        link_dial(pool, LINK_PINNED)->dialing = true;
        pool->pin_dialing++;
    }
}

/* ---- waiting clients ---- */

static const char db_out_of_range[] = "ERR DB index is out of range"; /* Redis' words */

enum pool_answer pool_verify(struct pool *pool, struct client *client)
{
    if (pool->shared && pool->shared->state == LINK_READY)
        return pool->noauth && (pool->resp == 3 || pool->db) ? POOL_REFUSED : POOL_READY;
    if (pool->node->db_limit && pool->db >= pool->node->db_limit) {
        snprintf(pool->refusal, sizeof(pool->refusal), "%s", db_out_of_range);
        return POOL_REFUSED;
    }
    if (client->call.phase == 0) {
        client->call.phase = 1;
        pool->refusal[0] = '\0';
        list_append(&pool->login_waiters, &client->wait_entry);
        client->wait_pool = pool;
        client->waiting_since = now_ms(pool);
        client_wait(client, WAIT_LOGIN);
        pool_want_shared(pool);
        return POOL_WAIT;
    }
    return pool->refusal[0] ? POOL_REFUSED : POOL_AWAY;
}

static void pool_hand(struct client *client, struct link *link)
{
    struct pool *pool = link->pool;
    list_remove(&link->entry);
    list_append(&pool->links, &link->entry);
    link->owner = client;
    link->pin_address = client->subject.address;
    link->pin_user = client->user_counted ? xstrdup(client->user_counted) : NULL;
    link->dirty = false;
    client->pinned = link;
    count(pool->node->worker, STAT_PINS);
}

/* The warm link to hand out: the one used last, whose path is warmest. */
static struct link *pool_warm(struct pool *pool)
{
    return list_empty(&pool->idle) ? NULL : CONTAINER(pool->idle.next, struct link, entry);
}

enum pool_answer pool_pin(struct pool *pool, struct client *client, bool for_multi)
{
    if (client->pinned)
        return POOL_READY;
    if (client->call.phase == 1) { /* resumed without a link: time was up */
        client->call.phase = 0;
        return pool->refusal[0] ? POOL_REFUSED : client->pin_full ? POOL_FULL : POOL_AWAY;
    }
    struct link *link = pool_warm(pool);
    client->pin_multi = for_multi;
    client->pin_full = !pin_take(pool, client, for_multi);
    if (link && !client->pin_full) {
        pool_hand(client, link);
        return POOL_READY;
    }
    if (!client->pin_full)
        pin_give_back(client); /* taken again when there is a link */
    if (pool->node->breaker_open)
        return POOL_AWAY;
    client->call.phase = 1;
    list_append(&pool->pin_waiters, &client->wait_entry);
    client->wait_pool = pool;
    client->waiting_since = now_ms(pool);
    client_wait(client, WAIT_PIN);
    pool_want_pinned(pool);
    return POOL_WAIT;
}

/* A link for a client whose pinned one died, as soon as there is one. */
void pool_restore(struct client *client)
{
    list_append(&client->pool->restores, &client->restore_entry);
    client->pin_multi = client->pin_full = false;
    pool_want_pinned(client->pool);
}

void pool_forget_waiter(struct client *client)
{
    list_remove(&client->wait_entry);
    client->wait_pool = NULL;
}

static void waiter_go(struct client *client)
{
    pool_forget_waiter(client);
    client_resume(client);
}

/* A warm link for this client, if there is one and it may have it. */
static bool pin_serve(struct pool *pool, struct client *client)
{
    struct link *link = pool_warm(pool);
    if (!link)
        return false;
    client->pin_full = !pin_take(pool, client, client->pin_multi);
    if (!client->pin_full)
        pool_hand(client, link);
    return !client->pin_full;
}

/* Hands warm links to those that wait: first to those that had one, then by age. One that may use
 * the last fifth can be behind one that may not. */
static void pool_serve_pins(struct pool *pool)
{
    list_each_safe (had, &pool->restores) {
        struct client *client = CONTAINER(had, struct client, restore_entry);
        if (!pin_serve(pool, client))
            continue;
        list_remove(&client->restore_entry);
        subscriptions_restore(client);
        if (client->wait == WAIT_PIN)
            waiter_go(client);
    }
    list_each_safe (it, &pool->pin_waiters) {
        struct client *client = CONTAINER(it, struct client, wait_entry);
        if (!client->restoring && pin_serve(pool, client))
            waiter_go(client);
    }
}

static void link_make_idle(struct link *link)
{
    struct pool *pool = link->pool;
    list_remove(&link->entry);
    link->owner = NULL;
    link->since = now_ms(pool);
    /* newest first: list_append puts before the head, so the head's successor is set by hand */
    link->entry.next = pool->idle.next;
    link->entry.prev = &pool->idle;
    pool->idle.next->prev = &link->entry;
    pool->idle.next = &link->entry;
    pool_serve_pins(pool);
}

void pool_unpin(struct client *client)
{
    struct link *link = client->pinned;
    client->pinned = NULL;
    if (!link)
        return;
    link_pin_end(link);
    if (link->state != LINK_READY)
        return;
    bool blocked = false;
    for (struct req *req = link->sent.head; req; req = req->next_link)
        blocked |= req->kind == REQ_BLOCK || req->kind == REQ_MONITOR;
    if (blocked || link->monitor)
        link_close(link, REASON_OWNER_LEFT, NULL); /* nothing but a close ends what it does */
    else if (link->dirty || link->sent.head || link->subscribed)
        link_reset(link);
    else
        link_make_idle(link);
}

/* ---- shared link: sending and parking ---- */

static void parked_push(struct pool *pool, struct req *req)
{
    req->state = REQ_PARKED;
    req->since = now_ms(pool);
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
    if (req->client) {
        count(pool->node->worker, STAT_PARK_TIMEOUTS);
        client_answer_req(req->client, req, error);
    }
    req_free(pool->node->worker, req);
}

static void parked_flush(struct pool *pool)
{
    while (pool->parked.head && pool->shared && pool->shared->state == LINK_READY) {
        struct req *req = parked_pop(pool);
        if (req->client)
            link_send(pool->shared, req);
        else
            req_free(pool->node->worker, req);
    }
}

static void parked_fail(struct pool *pool, uint64_t since, const char *error)
{
    while (pool->parked.head && pool->parked.head->since <= since)
        parked_answer(pool, parked_pop(pool), error);
}

static void login_waiters_go(struct pool *pool)
{
    while (!list_empty(&pool->login_waiters))
        waiter_go(CONTAINER(pool->login_waiters.next, struct client, wait_entry));
}

/* ---- links come and go ---- */

static void node_up(struct node *node)
{
    node->failures = 0;
    node->retry_at = 0;
    node->ready_links++;
    if (node->is_up)
        return;
    node->is_up = true;
    node->db_limit = 0; /* it may be another server now */
    log_notice(NULL, "backend %s is up: %s %s (worker %u)", node->name, node->server, node->version,
               node->worker->index);
}

static void node_failed(struct node *node, const char *reason)
{
    uint64_t delay = (uint64_t)BACKOFF_MIN_MS << (node->failures < 6 ? node->failures : 6);
    if (delay > BACKOFF_MAX_MS)
        delay = BACKOFF_MAX_MS;
    node->failures++;
    node->retry_at = loop_now(&node->worker->loop) + delay / 2 + random_below((uint32_t)delay);
    if (node->ready_links == 0 && (node->is_up || node->failures == 1)) {
        log_error(NULL, "backend %s (%s) is unavailable: %s (worker %u)", node->name,
                  config_of(node)->backend.url[0].text, reason, node->worker->index);
        node->is_up = false;
    }
}

void pool_link_ready(struct link *link)
{
    struct pool *pool = link->pool;
    pool->refusal[0] = '\0';
    pool->seen = true;
    if (!pool->noauth)
        pool->identity->verified = now_ms(pool);
    if (!link->counted) {
        link->counted = true;
        node_up(pool->node);
    }
    if (link->role == LINK_SHARED) {
        parked_flush(pool);
        login_waiters_go(pool);
        return;
    }
    if (link->dialing) {
        link->dialing = false;
        pool->pin_dialing--;
    }
    link_make_idle(link);
}

/* Credentials or db the backend does not accept: whoever waits is told in the backend's words. */
void pool_link_refused(struct link *link)
{
    struct pool *pool = link->pool;
    char error[300];
    count(pool->node->worker, STAT_LOGINS_REFUSED);
    pool->identity->verified = 0;
    snprintf(error, sizeof(error), "-%s\r\n", pool->refusal);
    log_line(pool->identity == pool->node->worker->identity_backend ? LOG_ERROR : LOG_INFO,
             link_who(link), "login as '%s' refused: %s",
             pool->identity->username ? pool->identity->username : "default", pool->refusal);
    if (strcmp(pool->refusal, db_out_of_range) == 0 &&
        (!pool->node->db_limit || pool->db < pool->node->db_limit))
        pool->node->db_limit = pool->db;
    link_refused(link);
    parked_fail(pool, UINT64_MAX, error);
    login_waiters_go(pool);
    while (!list_empty(&pool->pin_waiters))
        waiter_go(CONTAINER(pool->pin_waiters.next, struct client, wait_entry));
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
    if (!req->client || req->begun || !req->bytes.ptr || link->role == LINK_PINNED)
        return false;
    if (req->offset >= link->conn.written)
        return true; /* no byte of it has left */
    return (req->traits & TRAIT_READ) && !req->client->lost_write && !req->resent && !link->lied;
}

static void req_lost(struct link *link, struct req *req)
{
    struct worker *worker = link->pool->node->worker;
    struct client *client = req->client;
    char error[160];
    if (req->kind == REQ_INTERNAL) {
        req->done(req, link, (struct str){0});
    } else if (client) {
        count(worker, STAT_REQUESTS_LOST);
        if (req->begun) { /* half a reply has reached the client: nothing can follow it */
            client_close(client, REASON_FAILED);
        } else {
            snprintf(error, sizeof(error),
                     "-ERR respgate: connection to %s was lost, the command may have run\r\n",
                     link->pool->node->name);
            client_answer_req(client, req, error);
        }
    }
    req_free(worker, req);
}

static void sent_lost(struct link *link)
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

void pool_link_gone(struct link *link, bool expected, const char *reason)
{
    struct pool *pool = link->pool;
    struct client *owner = link->owner;
    if (pool->shared == link)
        pool->shared = NULL;
    if (pool->node->spare == link)
        pool->node->spare = NULL;
    if (link->dialing) {
        link->dialing = false;
        pool->pin_dialing--;
    }
    if (link->counted)
        pool->node->ready_links--;
    if (!expected)
        node_failed(pool->node, reason);
    if (owner) {
        owner->pinned = NULL;
        link_pin_end(link);
    }
    sent_lost(link);
    if (owner && owner->state != CLIENT_CLOSED)
        client_pin_lost(owner);
}

/* ---- time ---- */

static void links_tick(struct pool *pool, uint64_t now)
{
    const struct config *config = config_of(pool->node);
    uint64_t login = config->backend.connect_timeout + config->backend.request_timeout;
    uint64_t silence = config->backend.request_timeout * 5;
    list_each_safe (it, &pool->links) {
        struct link *link = CONTAINER(it, struct link, entry);
        struct req *head = link->sent.head;
        if (link->state == LINK_DIALING && now > link->since + config->backend.connect_timeout)
            link_close(link, REASON_CONNECT_TIMEOUT, NULL);
        else if (link->state == LINK_LOGIN && now > link->since + login)
            link_close(link, REASON_CONNECT_TIMEOUT, "no answer to the login");
        else if (link->state == LINK_RESETTING && now > link->since + login)
            link_close(link, REASON_DIRTY, "no answer to RESET");
        else if (link->state == LINK_READY && silence && head && link->role == LINK_SHARED &&
                 !(head->traits & TRAIT_NO_TIMEOUT) && now > link->heard + silence)
            link_close(link, REASON_SILENT, NULL);
        else
            link_expire(link, now);
        link_patience(link, now);
    }
    list_each_safe (warm, &pool->idle) {
        struct link *link = CONTAINER(warm, struct link, entry);
        if (now > link->since + IDLE_LINK_MS)
            link_close(link, REASON_SURPLUS, NULL);
    }
}

/* Whether that is so now, not when it was tried last. */
static bool pins_full(struct client *client)
{
    if (client->pin_full && pin_take(client->wait_pool, client, client->pin_multi)) {
        pin_give_back(client);
        client->pin_full = false;
    }
    return client->pin_full;
}

static void waiters_expire(struct list *waiters, uint64_t now, uint64_t limit, bool pins)
{
    list_each_safe (it, waiters) {
        struct client *client = CONTAINER(it, struct client, wait_entry);
        /* A pinned link that is only paced by dial-rate will come: while the backend is up, and
         * not all links are in use, waiting is not being away. */
        if (pins && client->wait_pool->node->is_up && !pins_full(client))
            continue;
        if (now < client->waiting_since + limit)
            continue;
        waiter_go(client);
    }
}

static bool pool_tick(struct pool *pool, uint64_t now)
{
    const struct config *config = config_of(pool->node);
    char error[128];
    links_tick(pool, now);
    if (now >= config->backend.park_timeout) {
        snprintf(error, sizeof(error), "-ERR respgate: backend %s is unavailable\r\n",
                 pool->node->name);
        parked_fail(pool, now - config->backend.park_timeout, error);
    }
    waiters_expire(&pool->login_waiters, now, config->backend.park_timeout, false);
    waiters_expire(&pool->pin_waiters, now, config->backend.park_timeout, true);
    if (!pool_idle(pool)) {
        pool_want_shared(pool);
        pool_serve_pins(pool);
        pool_want_pinned(pool);
        return true;
    }
    return now < pool->unused + POOL_UNUSED_MS;
}

static void pool_close(struct pool *pool, enum reason reason)
{
    list_each_safe (it, &pool->idle)
        link_close(CONTAINER(it, struct link, entry), reason, NULL);
    list_each_safe (busy, &pool->links)
        link_close(CONTAINER(busy, struct link, entry), reason, NULL);
}

/* ---- circuit breaker
 * ----------------------------------------------------------------------------------
 *
 * closed -- breaker-errors timeouts in a row --> open: requests are answered with an error at once
 * open   -- a probe every breaker-probe, and any byte from the backend --> closed
 */

void node_timed_out(struct node *node)
{
    uint64_t limit = config_of(node)->backend.breaker_errors;
    node->timeouts++;
    if (!limit || node->timeouts < limit || node->breaker_open)
        return;
    node->breaker_open = true;
    node->probe_at = loop_now(&node->worker->loop) + config_of(node)->backend.breaker_probe;
    log_error(NULL,
              "backend %s does not answer: circuit breaker open after %llu timeouts in a row "
              "(worker %u)",
              node->name, (unsigned long long)node->timeouts, node->worker->index);
}

void node_heard(struct node *node)
{
    node->timeouts = 0;
    if (likely(!node->breaker_open))
        return;
    node->breaker_open = false;
    log_notice(NULL, "backend %s answers again: circuit breaker closed (worker %u)", node->name,
               node->worker->index);
}

static void probe_done(struct req *req, struct link *link, struct str reply)
{
    (void)req;
    (void)link;
    (void)reply; /* node_heard has seen it come */
}

static void breaker_tick(struct node *node, uint64_t now)
{
    if (!node->breaker_open || now < node->probe_at)
        return;
    node->probe_at = now + config_of(node)->backend.breaker_probe;
    list_each (it, &node->pools) {
        struct link *link = CONTAINER(it, struct pool, node_entry)->shared;
        if (!link || link->state != LINK_READY)
            continue;
        link_ask(link, span_copy("*1\r\n$4\r\nPING\r\n", 14), probe_done, NULL);
        return;
    }
}

void node_init(struct node *node, struct worker *worker)
{
    node->worker = worker;
    node->name = "redis";
    list_init(&node->pools);
}

void node_tick(struct node *node)
{
    uint64_t now = loop_now(&node->worker->loop);
    breaker_tick(node, now);
    list_each_safe (it, &node->pools) {
        struct pool *pool = CONTAINER(it, struct pool, node_entry);
        if (pool_tick(pool, now))
            continue;
        pool_close(pool, REASON_SURPLUS);
        if (list_empty(&pool->links) && list_empty(&pool->idle))
            pool_free(pool);
    }
}

void node_close(struct node *node)
{
    list_each_safe (it, &node->pools) {
        struct pool *pool = CONTAINER(it, struct pool, node_entry);
        parked_fail(pool, UINT64_MAX, "-ERR respgate: shutting down\r\n");
        pool_close(pool, REASON_DRAIN);
    }
}

void node_free(struct node *node)
{
    list_each_safe (it, &node->pools)
        pool_free(CONTAINER(it, struct pool, node_entry));
}
