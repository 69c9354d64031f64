/* queues.c - the declared queues: whose keys they are, and what may still be added to them. */
#include <stdlib.h>

#include "queues.h"

const char *const queue_type_names[] = {
    [QUEUE_UNKNOWN] = "unknown", [QUEUE_ABSENT] = "none", [QUEUE_STREAM] = "stream",
    [QUEUE_LIST] = "list",       [QUEUE_ZSET] = "zset",   [QUEUE_OTHER] = "other",
};

/* Made on the main thread alone, when a configuration is loaded; never taken away, for charges and
 * answers under way point into them. */
static struct queue_key *all_keys;

static struct queue_key *key_of(struct str name)
{
    for (struct queue_key *key = all_keys; key; key = key->next)
        if (str_equal((struct str){key->name, key->name_len}, name))
            return key;
    struct queue_key *key = xcalloc(1, sizeof(*key));
    key->name = xmalloc(name.len + 1);
    memcpy(key->name, name.ptr, name.len);
    key->name[name.len] = '\0';
    key->name_len = name.len;
    key->next = all_keys;
    return all_keys = key;
}

static struct str place_name(const struct queue_place *place)
{
    return (struct str){place->key->name, place->key->name_len};
}

static int name_compare(struct str a, struct str b)
{
    size_t len = a.len < b.len ? a.len : b.len;
    int order = len ? memcmp(a.ptr, b.ptr, len) : 0;
    return order ? order : (a.len > b.len) - (a.len < b.len);
}

static int place_compare(const void *a, const void *b)
{
    return name_compare(place_name(a), place_name(b));
}

static void queue_fill(struct arena *arena, const struct config_queue *source, struct queue *queue)
{
    *queue = (struct queue){
        .name = source->name,
        .max_length = source->max_length,
        .warn_length = source->warn_length,
        .warn_pending = source->warn_pending,
        .warn_lag = source->warn_lag,
        .trims = source->on_full == FULL_TRIM,
        .key_count = source->keys.count,
        .keys = arena_alloc(arena, (source->keys.count + 1) * sizeof(*queue->keys)),
    };
    for (size_t i = 0; i < queue->key_count; i++)
        queue->keys[i] = key_of(source->keys.items[i]);
}

const struct queue_plan *queue_plan_new(struct arena *arena, const struct config *config)
{
    struct queue_plan *plan = arena_alloc(arena, sizeof(*plan));
    plan->queues = arena_alloc(arena, (config->queue_count + 1) * sizeof(*plan->queues));
    for (; plan->queue_count < config->queue_count; plan->queue_count++) {
        const struct config_queue *queue = &config->queues[plan->queue_count];
        queue_fill(arena, queue, &plan->queues[plan->queue_count]);
        plan->key_count += queue->keys.count;
    }
    plan->places = arena_alloc(arena, (plan->key_count + 1) * sizeof(*plan->places));
    size_t at = 0;
    for (size_t i = 0; i < plan->queue_count; i++)
        for (size_t j = 0; j < plan->queues[i].key_count; j++)
            plan->places[at++] = (struct queue_place){plan->queues[i].keys[j], &plan->queues[i]};
    qsort(plan->places, plan->key_count, sizeof(*plan->places), place_compare);
    return plan;
}

static const struct queue_place *place_find(const struct queue_plan *plan, struct str key)
{
    size_t low = 0, high = plan->key_count;
    while (low < high) {
        size_t middle = (low + high) / 2;
        int order = name_compare(key, place_name(&plan->places[middle]));
        if (order == 0)
            return &plan->places[middle];
        if (order < 0)
            high = middle;
        else
            low = middle + 1;
    }
    return NULL;
}

uint64_t queue_length(const struct queue *queue)
{
    uint64_t length = 0;
    for (size_t i = 0; i < queue->key_count; i++)
        length += gauge_now(&queue->keys[i]->entries);
    return length;
}

/* Streams that lose their oldest entries take what comes. */
static bool place_refuses(const struct queue_place *place, const struct command *command)
{
    return place->queue->max_length && !(place->queue->trims && command->id == COMMAND_XADD);
}

/* Added first, so that of two threads at the edge one gets through. What moves an entry on is never
 * refused, only counted: it is how a queue drains. */
static bool place_add(const struct queue_place *place, struct call *call, uint64_t adds,
                      struct buf *out)
{
    struct gauge *entries = &place->key->entries;
    const struct queue *queue = place->queue;
    bool drains = call->command->classes & CLASS_DRAIN;
    if (!gauge_add(entries, adds, UINT64_MAX))
        return true;
    uint64_t length = queue_length(queue);
    if (drains || !place_refuses(place, call->command) || length <= queue->max_length) {
        charge_add(&call->charges, entries, adds);
        if (queue->max_length && length > queue->max_length)
            __atomic_store_n(&place->key->hurry, 1, __ATOMIC_RELAXED);
        return true;
    }
    gauge_take(entries, adds);
    for (size_t i = 0; i < queue->key_count; i++)
        __atomic_store_n(&queue->keys[i]->hurry, 1, __ATOMIC_RELAXED);
    buf_printf(out, "OOM respgate: queue '%s' holds %llu", queue->name,
               (unsigned long long)queue_length(queue));
    return false;
}

bool queues_admit(const struct queue_plan *plan, struct call *call, struct buf *out)
{
    if (likely(plan->key_count == 0) || call->db != 0)
        return true;
    const struct str *argv = call->request.argv;
    for (size_t i = 0; i < call->key_count; i++) {
        size_t arg = call->keys[i].arg;
        uint64_t adds = queue_adds(call->command, argv, call->request.argc, arg);
        const struct queue_place *place = adds ? place_find(plan, argv[arg]) : NULL;
        if (place && !place_add(place, call, adds, out))
            return false;
    }
    return true;
}
