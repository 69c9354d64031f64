/* pressure.c - what a node's level means for one request, before any rule: pass, or be refused.
 *
 *   writes      refused while its disk is critical: removing data makes the AOF grow too
 *   @growth     refused while its memory is critical, but for protected keys; from high on for
 *               shed-first; and when it would carry the estimate there between two looks
 *   @drain      passes at every memory level
 *   queues      what adds to a declared queue that is full is refused
 *
 * What passes is charged to the node's gauges until it is answered (struct charge): it goes from
 * the call to the request in flight, or by way of the transaction to its EXEC.
 */
#include <stdio.h>
#include <stdlib.h>

#include "health.h"
#include "links.h"
#include "queues.h"
#include "stages.h"

/* What an entry costs the store beyond its bytes: a key, an object, a place in a table. */
enum { OVERHEAD_BYTES = 64 };

struct pressure_plan {
    struct arena *arena;
    const struct key_patterns *shed_first, *protect; /* NULL: none */
    const struct queue_plan *queues;
};

static const struct key_patterns *patterns_of(struct arena *arena, const struct text_list *list,
                                              struct problems *problems)
{
    return list->count ? key_patterns_compile(arena, list, problems) : NULL;
}

struct pressure_plan *pressure_plan_new(const struct config *config, struct problems *problems)
{
    struct arena *arena = arena_new();
    struct pressure_plan *plan = arena_alloc(arena, sizeof(*plan));
    plan->arena = arena;
    plan->shed_first = patterns_of(arena, &config->pressure.shed_first, problems);
    plan->protect = patterns_of(arena, &config->pressure.protect, problems);
    plan->queues = queue_plan_new(arena, config);
    return plan;
}

const struct queue_plan *pressure_queues(const struct pressure_plan *plan)
{
    return plan->queues;
}

void pressure_plan_free(struct pressure_plan *plan)
{
    if (plan)
        arena_free(plan->arena);
}

/* ---- what the request is ---- */

static bool is_write(const struct command *command)
{
    return (command->flags & CMD_WRITE) ||
           ((command->classes & CLASS_SCRIPTING) && !(command->flags & CMD_READONLY));
}

bool pressure_concerns(const struct command *command)
{
    return is_write(command) || ((command->classes | command->maybe) & CLASS_GROWTH);
}

/* Of a script whose calls are known, what those do; of any other, what it may do. */
static bool call_writes(const struct call *call)
{
    return call->script_judged ? call->more_classes & CLASS_WRITE : is_write(call->command);
}

static bool call_grows(const struct call *call)
{
    const struct command *command = call->command;
    if (call->script_judged)
        return (command->classes | call->more_classes) & CLASS_GROWTH;
    return command_classes(command, call->request.argv, call->request.argc) & CLASS_GROWTH;
}

static bool any_key(const struct call *call, const struct key_patterns *patterns)
{
    for (size_t i = 0; patterns && i < call->key_count; i++)
        if (key_patterns_match(patterns, call->request.argv[call->keys[i].arg]))
            return true;
    return patterns && call->keys_unknown;
}

static bool every_key(const struct call *call, const struct key_patterns *patterns)
{
    if (!patterns || call->keys_unknown || !call->key_count)
        return false;
    for (size_t i = 0; i < call->key_count; i++)
        if (!key_patterns_match(patterns, call->request.argv[call->keys[i].arg]))
            return false;
    return true;
}

/* From which level on its growth is refused; none when protected. */
enum shed_at { SHED_NEVER, SHED_AT_CRITICAL, SHED_AT_HIGH };
static enum shed_at shed_at(const struct pressure_plan *plan, const struct call *call)
{
    if (every_key(call, plan->protect))
        return SHED_NEVER;
    return any_key(call, plan->shed_first) ? SHED_AT_HIGH : SHED_AT_CRITICAL;
}

static bool level_sheds(enum pressure level, enum shed_at at)
{
    switch (at) {
    case SHED_NEVER: return false;
    case SHED_AT_CRITICAL: return level == PRESSURE_CRITICAL;
    case SHED_AT_HIGH: return level != PRESSURE_NORMAL;
    }
    return true;
}

/* ---- refusals ---- */

static void say_memory(const struct health *health, uint64_t more, struct buf *out)
{
    uint64_t used = gauge_now(&health->memory);
    used = used > UINT64_MAX - more ? UINT64_MAX : used + more;
    buf_printf(out, "OOM respgate: writes that add data are paused, memory %u%% of limit",
               pressure_percent(used, health_get(health->memory_limit)));
}

static void say_disk(const struct health *health, struct buf *out)
{
    uint64_t size = health_get(health->disk_size);
    if (health_get(health->disk_reason) == DISK_WRITE_FAILED || !size)
        buf_text(out, "MISCONF respgate: writes are paused, the node cannot write to its disk");
    else
        buf_printf(out, "MISCONF respgate: writes are paused, AOF %u%% of its volume",
                   pressure_percent(gauge_now(&health->disk), size));
}

/* ---- disk ---- */

static bool disk_admits(struct health *health, struct call *call, struct buf *out)
{
    uint64_t bound = health_get(health->disk_bound), size = call->request.bytes.len;
    if (health_get(health->disk_level) != PRESSURE_CRITICAL) {
        if (bound == UINT64_MAX && health_get(health->known))
            return true;
        if (gauge_add(&health->disk, size, bound)) {
            charge_add(&call->charges, &health->disk, size);
            return true;
        }
        health_push(health, PUSHED_DISK);
    }
    say_disk(health, out);
    return false;
}

/* ---- memory ---- */

static bool memory_admits(struct client *client, struct health *health, struct call *call,
                          struct buf *out)
{
    uint64_t bound = health_get(health->memory_bound);
    bool unguarded = bound == UINT64_MAX && health_get(health->known); /* else it may come to be */
    if ((unguarded && !client->transaction) || !call_grows(call))
        return true;
    enum pressure level = (enum pressure)health_get(health->memory_level);
    const struct str *argv = call->request.argv;
    size_t argc = call->request.argc;
    uint64_t bytes = policy_bytes(call->command, argv, argc);
    enum shed_at at = shed_at(client->worker->snapshot->pressure, call);
    if (bytes < UINT64_MAX / 2)
        bytes = gauge_allocated(bytes + OVERHEAD_BYTES * (uint64_t)argc);
    if (client->transaction && client->transaction->shed_at < at)
        client->transaction->shed_at = at;
    if (unguarded)
        return true;
    if (level_sheds(level, at)) {
        say_memory(health, 0, out);
        return false;
    }
    if (at == SHED_NEVER && level != PRESSURE_NORMAL)
        count(client->worker, STAT_PRESSURE_PROTECTED);
    if (!gauge_add(&health->memory, bytes, at == SHED_NEVER ? UINT64_MAX : bound)) {
        health_push(health, PUSHED_MEMORY);
        say_memory(health, bytes, out);
        return false;
    }
    charge_add(&call->charges, &health->memory, bytes);
    return true;
}

/* ---- round the gate ---- */

/* What came through here and may have removed keys: the rest of what vanishes did not. */
static void note_removal(struct client *client, struct call *call)
{
    const struct command *command = call->command;
    switch (command->id) {
    case COMMAND_FLUSHALL:
    case COMMAND_FLUSHDB:
    case COMMAND_SWAPDB:
        list_each (it, &client->worker->nodes) {
            struct gauge *wipes = &CONTAINER(it, struct node, entry)->health->wipes;
            if (gauge_add(wipes, 1, UINT64_MAX))
                charge_add(&call->charges, wipes, 1);
        }
        return;
    }
    if (!(command->classes & CLASS_GROWTH) && call->key_count)
        __atomic_fetch_add(&pressure_health(client, call)->removed, call->key_count,
                           __ATOMIC_RELAXED);
}

/* ---- the judgement ---- */

/* Under [proxy] observe nothing is refused, only counted. */
static bool shed(struct client *client, struct call *call, enum stat_id stat, struct buf *out)
{
    bool observe = client->worker->snapshot->config->proxy.observe;
    count(client->worker, observe ? STAT_REQUESTS_OBSERVED : stat);
    audit_request(client, call, call->db, POLICY_NO_RULE, "shed", observe);
    if (observe) {
        buf_free(out);
        return true;
    }
    charge_land(&call->charges);
    return false;
}

static bool node_admits(struct client *client, struct health *health, struct call *call,
                        struct buf *out)
{
    if (call_writes(call) && !disk_admits(health, call, out))
        return shed(client, call, STAT_PRESSURE_SHED_DISK, out);
    if (!memory_admits(client, health, call, out))
        return shed(client, call, STAT_PRESSURE_SHED_MEMORY, out);
    return true;
}

struct health *pressure_health(const struct client *client, const struct call *call)
{
    struct worker *worker = client->worker;
    if (likely(!worker->clustered) || !call->key_count)
        return worker->node->health;
    if (likely(call->slot >= 0))
        return cluster_node_of_slot(worker, call->slot)->health;
    return cluster_node_of_key(worker, call->request.argv[call->keys[0].arg])->health;
}

/* A request that is split is judged at, and charged to, each node it goes to. */
static bool nodes_admit(struct client *client, struct call *call, struct buf *out)
{
    enum { NODES_MAX = 16 };
    const struct health *seen[NODES_MAX];
    size_t count = 0;
    if (likely(!client->worker->clustered) || call->slot != SLOT_MANY)
        return node_admits(client, pressure_health(client, call), call, out);
    for (size_t i = 0; i < call->key_count; i++) {
        struct str key = call->request.argv[call->keys[i].arg];
        struct health *health = cluster_node_of_key(client->worker, key)->health;
        size_t at = 0;
        while (at < count && seen[at] != health)
            at++;
        if (at < count)
            continue;
        if (count < NODES_MAX) /* of more nodes than that some are charged more than once */
            seen[count++] = health;
        if (!node_admits(client, health, call, out))
            return false;
    }
    return true;
}

bool pressure_admits(struct client *client, struct call *call, struct buf *out)
{
    if (client->transaction && call_writes(call))
        client->transaction->writes = true;
    note_removal(client, call);
    if (!nodes_admit(client, call, out))
        return false;
    if (!queues_admit(client->worker->snapshot->pressure->queues, call, out))
        return shed(client, call, STAT_PRESSURE_SHED_QUEUE, out);
    return true;
}

/* What was queued under a calmer level must not run under this one. */
bool pressure_admits_exec(const struct client *client)
{
    const struct transaction *transaction = client->transaction;
    const struct node *node = client->pinned ? client->pinned->pool->node : client->worker->node;
    const struct health *health = node->health;
    if (client->worker->snapshot->config->proxy.observe)
        return true;
    if (transaction->writes && health_get(health->disk_level) == PRESSURE_CRITICAL)
        return false;
    return !level_sheds((enum pressure)health_get(health->memory_level),
                        (enum shed_at)transaction->shed_at) ||
           health_get(health->memory_bound) == UINT64_MAX;
}

/* Another client's MISCONF is everybody's news; the poller finds out when it is over. */
void pressure_heard_error(struct node *node, const char *ptr, size_t len)
{
    static const char misconf[] = "-MISCONF ";
    struct health *health = node->health;
    if (len < sizeof(misconf) - 1 || memcmp(ptr, misconf, sizeof(misconf) - 1) != 0)
        return;
    if (node->worker->snapshot->config->pressure.guard == GUARD_OFF)
        return;
    health_set(health->misconf, 1);
    health_set(health->disk_reason, DISK_WRITE_FAILED);
    health_set(health->disk_level, PRESSURE_CRITICAL);
    health_push(health, PUSHED_DISK);
}
