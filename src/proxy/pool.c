/* pool.c - a class of links: same identity, RESP version and db, so that replies pass untranslated.
 *
 *   shared:  parked reqs (park.c) -> link ready -> link_send
 *   pinned:  waiting clients (pin.c) <- warm links
 */
#include <stdio.h>
#include <stdlib.h>

#include "pool_private.h"
#include "stages.h"

enum {
    IDLE_LINK_MS = 60 * 1000, /* warm links nobody took for so long are closed */
    POOL_UNUSED_MS = 60 * 1000,
};

/* ---- classes ---- */

static bool class_fits(const struct link_class *class, const struct link_class *want)
{
    return class->identity == want->identity && class->resp == want->resp &&
           class->db == want->db && class->slot == want->slot;
}

/* A free id: classes come and go with logins, ids stay small. */
static unsigned class_id(struct worker *worker)
{
    unsigned id = 0;
    while (id < worker->class_count && worker->classes[id])
        id++;
    if (id == worker->class_count) {
        worker->classes =
            xrealloc(worker->classes, ++worker->class_count * sizeof(struct link_class *));
        worker->classes[id] = NULL;
    }
    return id;
}

static struct link_class *class_get(struct worker *worker, const struct link_class *want)
{
    for (unsigned i = 0; i < worker->class_count; i++)
        if (worker->classes[i] && class_fits(worker->classes[i], want))
            return worker->classes[i];
    struct link_class *class = xmalloc(sizeof(*class));
    *class = *want;
    class->id = class_id(worker);
    class->unused = loop_now(&worker->loop);
    identity_hold(class->identity);
    worker->classes[class->id] = class;
    return class;
}

static void class_drop(struct worker *worker, struct link_class *class)
{
    if (--class->pools > 0)
        return;
    worker->classes[class->id] = NULL;
    identity_drop(class->identity);
    free(class);
}

/* ---- pools ---- */

struct pool *pool_new(struct node *node, struct link_class *class)
{
    struct pool *pool = xcalloc(1, sizeof(*pool));
    pool->node = node;
    pool->class = class;
    pool->identity = class->identity;
    pool->resp = class->resp;
    pool->db = class->db;
    pool->unused = loop_now(&node->worker->loop);
    list_init(&pool->pin_waiters);
    list_init(&pool->restores);
    list_init(&pool->login_waiters);
    list_init(&pool->idle);
    list_init(&pool->links);
    list_append(&node->pools, &pool->node_entry);
    class->pools++;
    if (class->id >= node->class_room) {
        unsigned room = class->id + 8;
        node->by_class = xrealloc(node->by_class, room * sizeof(struct pool *));
        memset(node->by_class + node->class_room, 0,
               (room - node->class_room) * sizeof(struct pool *));
        node->class_room = room;
    }
    node->by_class[class->id] = pool;
    return pool;
}

struct pool *pool_get(struct node *node, struct identity *identity, int resp, int db, unsigned slot)
{
    struct link_class want = {.identity = identity, .resp = resp, .db = db, .slot = slot};
    return pool_at(node, class_get(node->worker, &want));
}

void pool_join(struct client *client, struct pool *pool)
{
    if (client->pool == pool)
        return;
    if (client->pool && --client->pool->class->clients == 0)
        client->pool->class->unused = now_ms(client->pool);
    client->pool = pool;
    if (pool)
        pool->class->clients++;
}

static bool pool_idle(const struct pool *pool)
{
    list_each (it, &pool->links) {
        const struct link *link = CONTAINER(it, struct link, entry);
        if (link->owner || link->hub || link->sent.head)
            return false;
    }
    return pool->class->clients == 0 && !pool->parked.head && list_empty(&pool->login_waiters) &&
           list_empty(&pool->pin_waiters) && list_empty(&pool->restores);
}

void pool_free(struct pool *pool)
{
    ASSERT(!pool->parked.head);
    list_remove(&pool->node_entry);
    pool->node->by_class[pool->class->id] = NULL;
    class_drop(pool->node->worker, pool->class);
    free(pool);
}

/* ---- dialling ----------------------------------------------------------------------------------
 */

bool may_dial(struct pool *pool, enum link_role role)
{
    struct node *node = pool->node;
    struct proxy *proxy = node->worker->proxy;
    const struct config *config = config_of(node);
    if (now_ms(pool) < node->retry_at || node->gone ||
        (!node->address.host && !node->address.path)) /* not known yet */
        return false;
    uint64_t limit =
        role == LINK_SHARED ? config->backend.max_links : config->backend.max_pinned_links;
    if (__atomic_load_n(&proxy->links[role], __ATOMIC_RELAXED) >= (int64_t)limit)
        return false;
    return proxy_dial_allowed(proxy, node->dial_cell, config->backend.dial_rate);
}

void pool_want_shared(struct pool *pool)
{
    if (pool->shared)
        return;
    pool->shared = link_reuse(pool);
    if (!pool->shared && may_dial(pool, LINK_SHARED))
        pool->shared = link_dial(pool, LINK_SHARED);
}

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

static void login_waiters_go(struct pool *pool)
{
    while (!list_empty(&pool->login_waiters))
        waiter_go(CONTAINER(pool->login_waiters.next, struct client, wait_entry));
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
        control_ready(pool->node->worker); /* what waits is counted against a known level */
        parked_flush(pool);
        login_waiters_go(pool);
        return;
    }
    if (link->hub) {
        hub_ready(link);
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
    if (link->hub)
        hub_refused(link);
    link_refused(link);
    parked_fail(pool, UINT64_MAX, error);
    login_waiters_go(pool);
    while (!list_empty(&pool->pin_waiters))
        waiter_go(CONTAINER(pool->pin_waiters.next, struct client, wait_entry));
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
    if (link->hub)
        hub_gone(link);
    if (link->heir)
        link->heir->heir = NULL;
    link->heir = NULL;
    hub_heir_gone(link);
    sent_lost(link);
    if (owner && owner->state != CLIENT_CLOSED)
        client_pin_lost(owner);
}

bool pool_fade(struct pool *pool)
{
    list_each_safe (warm, &pool->idle)
        link_close(CONTAINER(warm, struct link, entry), REASON_SURPLUS, NULL);
    list_each_safe (it, &pool->links) {
        struct link *link = CONTAINER(it, struct link, entry);
        if (!link->owner && !link->sent.head)
            link_close(link, REASON_SURPLUS, NULL);
    }
    return list_empty(&pool->links) && !pool->parked.head && list_empty(&pool->login_waiters) &&
           list_empty(&pool->pin_waiters) && list_empty(&pool->restores);
}

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

bool pool_tick(struct pool *pool, uint64_t now)
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
    return now < pool->unused + POOL_UNUSED_MS || now < pool->class->unused + POOL_UNUSED_MS;
}

void pool_close(struct pool *pool, enum reason reason)
{
    list_each_safe (it, &pool->idle)
        link_close(CONTAINER(it, struct link, entry), reason, NULL);
    list_each_safe (busy, &pool->links)
        link_close(CONTAINER(busy, struct link, entry), reason, NULL);
}
