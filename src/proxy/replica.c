/* replica.c - reads from replicas, where read-from of [backend] or of a rule allows it.
 *
 * A replica serves reads on links that have said READONLY, which are a class of their own: a link
 * of the usual class gets MOVED from a node that is no primary, and must never read stale data
 * instead. Replication is asynchronous, so such a read may not show the client's own last write.
 */
#include <stdlib.h>

#include "health.h"
#include "links.h"
#include "stages.h"

void replicas_adopt(struct worker *worker, const struct slot_map *map)
{
    list_each (it, &worker->nodes)
        CONTAINER(it, struct node, entry)->replica_count = 0;
    for (size_t i = 0; i < map->node_count; i++) {
        const struct cluster_node *replica = &map->nodes[i];
        uint16_t at = *replica->primary_id ? map_find(map, replica->primary_id) : NO_OWNER;
        if (at == NO_OWNER || replica->failed)
            continue;
        struct node *primary = worker->by_index[at];
        if (primary->replica_count < REPLICAS_MAX)
            primary->replicas[primary->replica_count++] = worker->by_index[i];
    }
}

/* The pool of the replica when it can serve at once; else it is dialled for the next time. */
static struct pool *replica_pool(struct node *node, const struct link_class *class)
{
    struct pool *pool =
        pool_get(node, class->identity, class->resp, class->db, class->slot | READONLY_SLOT);
    pool->unused = loop_now(&node->worker->loop);
    if (node->gone || node->breaker_open)
        return NULL;
    if (pool->shared && pool->shared->state == LINK_READY)
        return pool;
    pool_want_shared(pool);
    return NULL;
}

static uint32_t distance(const struct node *node)
{
    uint32_t us = __atomic_load_n(&node->health->distance_us, __ATOMIC_RELAXED);
    return us ? us : UINT32_MAX; /* never measured: nobody's first choice */
}

/* One that is hardly nearer is no reason to go elsewhere: within a quarter all are near. */
static bool is_nearer(const struct node *node, const struct node *than)
{
    return (uint64_t)distance(node) * 5 < (uint64_t)distance(than) * 4;
}

/* A client keeps to one replica: its reads do not go back in time as long as that one lives. */
struct pool *replica_choose(struct client *client, const struct call *call, enum read_from from,
                            struct pool *primary)
{
    struct worker *worker = client->worker;
    struct node *home = primary->node;
    bool reads = worker->snapshot->traits[call->command->id] & TRAIT_READ;
    if (!reads || !home->replica_count || call->kind != REQ_FORWARD || call->pin)
        return primary;
    struct node *best = NULL;
    for (unsigned i = 0; i < home->replica_count; i++) {
        struct node *node = home->replicas[(client->id + i) % home->replica_count];
        if (from == READ_NEAREST && !is_nearer(node, best ? best : home))
            continue;
        if (!replica_pool(node, primary->class))
            continue;
        best = node;
        if (from == READ_PREFER_REPLICA)
            break;
    }
    return best ? replica_pool(best, primary->class) : primary;
}
