/* cluster.c - a cluster as one worker uses it: nodes of the map, where requests go, what moves when
 * the map does.
 *
 *   slot -> map->owner -> worker->by_index -> node -> pool of the client's class
 *
 * What has no key goes to the worker's own node, worker->node: any primary that answers. When that
 * one fails or is no primary any more, another takes its place and all clients come along.
 */
#include <stdio.h>
#include <stdlib.h>

#include "health.h"
#include "pool_private.h"
#include "stages.h"

enum { DOUBT_MS = 2000 }; /* so long is the cluster asked often, after each sign of change */

void cluster_doubt(struct worker *worker)
{
    if (worker->clustered)
        __atomic_store_n(&worker->proxy->cluster_doubt, loop_now(&worker->loop) + DOUBT_MS,
                         __ATOMIC_RELAXED);
}

void cluster_mode(struct node *node, bool is_cluster)
{
    struct worker *worker = node->worker;
    node->is_cluster = is_cluster;
    if (node->via)
        return; /* the worker is not there yet */
    enum backend_mode mode = worker->snapshot->config->backend.mode;
    worker->mode_known = true;
    if (!is_cluster || worker->clustered || mode == MODE_STANDALONE || mode == MODE_SENTINEL)
        return;
    worker->clustered = true;
    cluster_doubt(worker);
    log_info(NULL, "the backend is a cluster (worker %u)", worker->index);
}

struct pool *cluster_pool(struct worker *worker, struct link_class *class, int slot)
{
    if (slot < 0 || !worker->map)
        return pool_at(worker->node, class);
    uint16_t owner = worker->map->owner[slot];
    return owner == NO_OWNER ? NULL : pool_at(worker->by_index[owner], class);
}

struct node *cluster_node_of_slot(struct worker *worker, int slot)
{
    uint16_t owner = worker->map && slot >= 0 ? worker->map->owner[slot] : NO_OWNER;
    return owner == NO_OWNER ? worker->node : worker->by_index[owner];
}

struct node *cluster_node_of_key(struct worker *worker, struct str key)
{
    return worker->map ? cluster_node_of_slot(worker, (int)key_slot(key)) : worker->node;
}

/* ---- nodes of the map ---- */

static bool host_is(const struct node *node, struct str host, uint16_t port)
{
    return node->address.port == port && node->address.host &&
           (str_equal(str_of(node->address.host), host) ||
            (node->address.server_name && str_equal(str_of(node->address.server_name), host)));
}

struct node *cluster_node_by_address(struct worker *worker, struct str host, uint16_t port)
{
    list_each (it, &worker->nodes) {
        struct node *node = CONTAINER(it, struct node, entry);
        if (host_is(node, host, port))
            return node;
    }
    return NULL;
}

struct node *cluster_node_by_id(struct worker *worker, const char *id)
{
    list_each (it, &worker->nodes) {
        struct node *node = CONTAINER(it, struct node, entry);
        if (strcmp(node->id, id) == 0)
            return node;
    }
    return NULL;
}

/* Where it is reached may change while it is the same node. */
static void node_move(struct node *node, const struct cluster_node *at)
{
    const char *host = *at->host ? at->host : at->hostname;
    const char *name = node->address.server_name ? node->address.server_name : "";
    char text[320];
    if (!*host || !at->port ||
        (host_is(node, str_of(host), at->port) && strcmp(name, at->hostname) == 0))
        return;
    snprintf(text, sizeof(text), "%s:%u%s%s", host, at->port, *at->hostname ? " " : "",
             at->hostname);
    log_info(NULL, "node %.8s is at %s", at->id, text);
    /* A node that was reached is the same one: its links stay, and the next goes to the new place.
     */
    if (node->ready_links)
        node_address(node, host, at->port, at->hostname, text);
    else
        node_relocate(node, host, at->port, at->hostname, text);
}

static struct node *node_of(struct worker *worker, const struct cluster_node *at)
{
    struct node *node = cluster_node_by_id(worker, at->id);
    const char *host = *at->host ? at->host : at->hostname;
    if (!node) {
        node = cluster_node_by_address(worker, str_of(host), at->port);
        if (node && *node->id)
            node = NULL; /* another one was there before */
    }
    if (!node) {
        char text[320];
        snprintf(text, sizeof(text), "%s:%u", host, at->port);
        struct backend_address address = {.host = host, .port = at->port, .text = text};
        node = node_new(worker, &address, "");
        node_move(node, at);
    }
    memcpy(node->id, at->id, sizeof(node->id));
    node->dial_cell = (unsigned)strtoul(node->id + NODE_ID_LEN - 7, NULL, 16);
    snprintf(node->name, sizeof(node->name), "%.8s", at->id);
    node->health = health_of(worker->proxy, node->name);
    return node;
}

/* ---- what moves with the map ---- */

static void parked_reroute(struct worker *worker, struct pool *pool)
{
    struct req_queue waiting = pool->parked;
    pool->parked = (struct req_queue){0};
    while (waiting.head) {
        struct req *req = waiting.head;
        struct pool *to = cluster_pool(worker, pool->class, req->slot);
        waiting.head = req->next_link;
        pool->node->parked_bytes -= req->size;
        parked_append(to ? to : pool, req); /* without an owner: until its time is up */
        if (to && to != pool) {
            pool_want_shared(to);
            parked_flush(to);
        }
    }
}

/* A client that waits for a link at the wrong node looks again. */
static void waiters_reroute(struct worker *worker, struct pool *pool)
{
    list_each_safe (it, &pool->pin_waiters) {
        struct client *client = CONTAINER(it, struct client, wait_entry);
        if (cluster_pool(worker, pool->class, client->call.slot) == pool)
            continue;
        client->call.phase = 0;
        waiter_go(client);
    }
    list_each_safe (had, &pool->restores) { /* any node will do for them, but one that lives */
        struct client *client = CONTAINER(had, struct client, restore_entry);
        if (pool->node == worker->node)
            break;
        list_remove(&client->restore_entry);
        pool_restore(client);
    }
    list_each_safe (login, &pool->login_waiters) {
        struct client *client = CONTAINER(login, struct client, wait_entry);
        if (pool->node == worker->node)
            break;
        client->call.phase = 0;
        waiter_go(client);
    }
}

static void pools_reroute(struct worker *worker)
{
    list_each (it, &worker->nodes)
        list_each_safe (entry, &CONTAINER(it, struct node, entry)->pools) {
            struct pool *pool = CONTAINER(entry, struct pool, node_entry);
            parked_reroute(worker, pool);
            waiters_reroute(worker, pool);
        }
}

/* ---- the worker's own node ---- */

static bool node_fit(const struct node *node)
{
    return !node->gone && !node->breaker_open && (node->is_up || !node->failures);
}

static void home_move(struct worker *worker, struct node *node)
{
    log_info(NULL, "requests without a key go to node %s now (worker %u)", node->name,
             worker->index);
    worker->node = node;
    for (int state = 0; state < CLIENT_CLOSED; state++)
        list_each (it, &worker->clients[state]) {
            struct client *client = CONTAINER(it, struct client, entry);
            if (client->pool)
                pool_join(client, pool_at(node, client->pool->class));
        }
    pools_reroute(worker);
}

/* The next primary that answers; each worker begins elsewhere, so that they spread. */
static struct node *home_choose(struct worker *worker)
{
    const struct slot_map *map = worker->map;
    for (size_t i = 0; map && i < map->primary_count; i++) {
        struct node *node =
            worker->by_index[map->primaries[(worker->index + i) % map->primary_count]];
        if (node != worker->node && node_fit(node))
            return node;
    }
    return NULL;
}

/* Without a map: the next seed. */
static struct node *seed_choose(struct worker *worker)
{
    struct list *next = worker->node->entry.next;
    if (next == &worker->nodes)
        next = next->next;
    struct node *node = CONTAINER(next, struct node, entry);
    return node != worker->node && loop_now(&worker->loop) >= node->retry_at ? node : NULL;
}

static void home_check(struct worker *worker)
{
    const struct node *home = worker->node;
    bool right = worker->map ? home->is_primary && !home->gone : true;
    if (right && node_fit(home))
        return;
    struct node *node = worker->map ? home_choose(worker) : seed_choose(worker);
    if (node)
        home_move(worker, node);
}

/* ---- a new map ---- */

void cluster_adopt(struct worker *worker, struct slot_map *map)
{
    struct slot_map *old = worker->map;
    worker->clustered = true;
    list_each (it, &worker->nodes) {
        struct node *node = CONTAINER(it, struct node, entry);
        node->gone = *node->id;
        node->is_primary = false;
    }
    worker->by_index = xrealloc(worker->by_index, (map->node_count + 1) * sizeof(struct node *));
    for (size_t i = 0; i < map->node_count; i++) {
        struct node *node = node_of(worker, &map->nodes[i]);
        node->gone = false;
        worker->by_index[i] = node;
    }
    for (size_t i = 0; i < map->node_count; i++)
        node_move(worker->by_index[i], &map->nodes[i]);
    for (size_t i = 0; i < map->primary_count; i++)
        worker->by_index[map->primaries[i]]->is_primary = true;
    replicas_adopt(worker, map);
    worker->map = map;
    map_drop(old);
    count(worker, STAT_MAP_CHANGES);
    home_check(worker);
    pools_reroute(worker);
    redirect_go(worker);
}

void cluster_tick(struct worker *worker)
{
    if (!worker->clustered && worker->snapshot->config->backend.mode != MODE_CLUSTER) {
        if (!worker->mode_known && worker->snapshot->config->backend.url_count > 1)
            home_check(worker); /* of several seeds, one may answer */
        return;
    }
    worker->clustered = worker->mode_known = true;
    home_check(worker);
    redirect_go(worker);
    list_each_safe (it, &worker->nodes) {
        struct node *node = CONTAINER(it, struct node, entry);
        if (node->gone)
            node_fade(node);
    }
}

void cluster_free(struct worker *worker)
{
    map_drop(worker->map);
    free(worker->by_index);
}

/* ---- where a request goes ---- */

/* mode = auto, and no node has been reached yet: what depends on the answer waits for it, and goes
 * on as to a single node when its time is up. */
static enum step wait_for_mode(struct client *client, struct call *call)
{
    struct worker *worker = client->worker;
    const struct command *command = call->command;
    bool depends = call->slot == SLOT_MANY || worker->snapshot->routes[command->id].kind ||
                   (command->classes & CLASS_TRANSACTION) || command->id == COMMAND_CLUSTER ||
                   (command->parent && command->parent->id == COMMAND_CLUSTER);
    uint64_t now = loop_now(&worker->loop);
    if (!depends || worker->node->is_up) /* it is up and did not tell: it wants a login first */
        return NEXT;
    if (call->phase == 0) {
        call->phase = 1;
        client->waiting_since = now;
    }
    if (now >= client->waiting_since + worker->snapshot->config->backend.park_timeout)
        return NEXT;
    client->wait_until = now;
    client_wait(client, WAIT_TIME); /* until the next tick */
    return PARKED;
}

enum step call_slot(struct client *client, struct call *call)
{
    if (likely(call->key_count == 1))
        call->slot = (int16_t)key_slot(call->request.argv[call->keys[0].arg]);
    else
        call->slot = (int16_t)keys_slot(call->request.argv, call->keys, call->key_count);
    return client->worker->clustered ? NEXT : wait_for_mode(client, call);
}

enum step reply_cross(struct client *client)
{
    transaction_abort(client);
    client_reply_text(client, "-CROSSSLOT Keys in request don't hash to the same slot\r\n");
    return ANSWERED;
}

/* No node owns the slot: nobody could answer, and Redis would say the same. */
enum step reply_unserved(struct client *client)
{
    transaction_abort(client);
    cluster_doubt(client->worker);
    client_reply_text(client, "-CLUSTERDOWN Hash slot not served\r\n");
    return ANSWERED;
}

enum { PHASE_MAP = 2 }; /* of call->phase: not pool_pin's */

/* Before the first map: a moment's patience, then one clear line. */
enum step cluster_wait(struct client *client, struct call *call)
{
    struct worker *worker = client->worker;
    uint64_t now = loop_now(&worker->loop);
    if (call->phase != PHASE_MAP) {
        call->phase = PHASE_MAP;
        client->waiting_since = now;
    }
    cluster_doubt(worker);
    if (now >= client->waiting_since + worker->snapshot->config->backend.park_timeout) {
        transaction_abort(client);
        client_reply_text(client, "-CLUSTERDOWN respgate: no node tells where slots are\r\n");
        return ANSWERED;
    }
    client->wait_until = now;
    client_wait(client, WAIT_TIME); /* until the next tick */
    return PARKED;
}

/* SPLIT, ALL and SCAN, outside transactions; NEXT: it goes to one node after all. */
static enum step place_many(struct client *client, struct call *call)
{
    const struct command_route *route = &client->worker->snapshot->routes[call->command->id];
    bool blocked = client->queue.head != NULL;
    switch ((enum route_kind)route->kind) {
    case ROUTE_SLOT: return NEXT;
    case ROUTE_SPLIT:
        if (call->slot != SLOT_MANY)
            return NEXT;
        break;
    case ROUTE_ALL:
    case ROUTE_ASIDE:
    case ROUTE_SCAN: break;
    }
    if (blocked) { /* its parts go to many links: all earlier ones are answered first */
        client_wait(client, WAIT_DRAIN);
        return PARKED;
    }
    if (route->kind == ROUTE_SCAN)
        return scan_run(client, call);
    if (route->kind == ROUTE_SPLIT)
        return gather_split(client, call);
    return gather_all(client, call, route->kind == ROUTE_ASIDE);
}

/* Whether the client's pinned link is the way to go: it stands at one node only, so what has a key
 * elsewhere goes there, unless it belongs to what the link is held for. */
static bool away_from_pin(const struct client *client, const struct call *call,
                          const struct pool *pool)
{
    return client->pinned && client->pinned->pool->node != pool->node && !call->pin &&
           !call->to_pinned && !client->transaction && call->slot >= 0 &&
           call->kind != REQ_SUBSCRIBE;
}

enum step place_cluster(struct client *client, struct call *call, struct pool **pool)
{
    struct worker *worker = client->worker;
    if (unlikely(!worker->map)) {
        if (call->slot != SLOT_NONE || worker->snapshot->routes[call->command->id].kind)
            return cluster_wait(client, call);
        *pool = client->pool;
        return NEXT;
    }
    if (unlikely(call->phase == PHASE_MAP))
        call->phase = 0;
    if (!client->transaction && worker->snapshot->routes[call->command->id].kind) {
        enum step step = place_many(client, call);
        if (step != NEXT)
            return step;
    }
    if (unlikely(call->slot == SLOT_MANY))
        return reply_cross(client);
    *pool = call->slot >= 0 ? cluster_pool(worker, client->pool->class, call->slot) : client->pool;
    if (unlikely(!*pool))
        return reply_unserved(client);
    if (unlikely(client->pinned && client->pinned->pool->node != (*pool)->node)) {
        if (!client->pins && !client->queue.head) { /* got before it was known where to */
            pool_unpin(client);
            call->phase = 0; /* pool_pin's: it is asked anew, at the right node */
            return NEXT;
        }
        if (away_from_pin(client, call, *pool)) {
            call->unpinned = true;
        } else if (call->pin && call->slot >= 0) {
            client_reply_text(client, "-CROSSSLOT respgate: this connection is held at the node "
                                      "of another key\r\n");
            return ANSWERED;
        }
    }
    return NEXT;
}
