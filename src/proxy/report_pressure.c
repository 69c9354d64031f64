/* report_pressure.c - what the poller knows of nodes and queues, added to a report. */
#include "count.h"
#include "health.h"
#include "queues.h"

static int64_t known(uint64_t amount)
{
    return amount > INT64_MAX ? -1 : (int64_t)amount;
}

/* What shrinks does not grow. */
static int64_t known_growth(int64_t slope)
{
    return slope > 0 ? slope : 0;
}

static void report_health(struct report *report, const struct health *health)
{
    const struct info *info = &health->info;
    *REPORT_ADD(report, pressures) = (struct report_pressure){
        .node = report_text(report, health->name),
        .memory_level = health_get(health->memory_level),
        .used = known(gauge_now(&health->memory)),
        .limit = known(health_get(health->memory_limit)),
        .disk_level = health_get(health->disk_level),
        .disk = health_get(health->disk_size) ? known(gauge_now(&health->disk)) : -1,
        .disk_limit = known(health_get(health->disk_size)),
        .aof = health_get(info->aof_current_size),
        .aof_growth = known_growth(health_get(health->aof_growth)),
        .growth = known_growth(health_get(health->memory_growth)),
        .memory_full = health_get(health->memory_full_s),
        .disk_full = health_get(health->disk_full_s),
        .keys = health_get(info->keys),
        .clients = health_get(info->connected_clients),
        .clients_max = health_get(info->maxclients),
        .blocked = health_get(info->blocked_clients),
        .evicted = health_get(info->evicted_keys),
        .connects = health_get(info->total_connections_received),
        .rejected = health_get(info->rejected_connections),
        .slowlog = health_get(health->slowlog),
        .replicas = health_get(info->connected_slaves),
        .aof_ok = health_get(info->aof_last_write_status),
        .rdb_ok = health_get(info->rdb_last_bgsave_status),
        .rdb_saved = health_get(info->rdb_last_save_time),
        .outside = known(health_get(health->outside)),
        .polled = known(health_get(health->polled)),
    };
}

static void report_queue(struct report *report, const struct queue *queue)
{
    for (size_t i = 0; i < queue->key_count; i++) {
        const struct queue_key *key = queue->keys[i];
        const struct queue_facts *facts = &key->facts;
        *REPORT_ADD(report, queues) = (struct report_queue){
            .name = report_text(report, queue->name),
            .type = queue_type_names[health_get(facts->type)],
            .key = report_str(report, (struct str){key->name, key->name_len}),
            .length = gauge_now(&key->entries),
            .max_length = queue->max_length,
            .pending = health_get(facts->pending),
            .lag = health_get(facts->lag),
            .groups = health_get(facts->groups),
            .consumers = health_get(facts->consumers),
            .dead = health_get(facts->dead),
        };
    }
}

void report_pressure(struct report *report, struct proxy *proxy)
{
    const struct health *health = __atomic_load_n(&proxy->healths, __ATOMIC_ACQUIRE);
    for (; health; health = health->next)
        if (__atomic_load_n(&health->known, __ATOMIC_RELAXED))
            report_health(report, health);
    const struct queue_plan *plan =
        proxy->snapshot->pressure ? pressure_queues(proxy->snapshot->pressure) : NULL;
    for (size_t i = 0; plan && i < plan->queue_count; i++)
        report_queue(report, &plan->queues[i]);
}

/* On the poller's thread, for it is the poller's own. */
void report_outside(struct report *report, const struct health *health)
{
    const char *node = report_text(report, health->name);
    for (enum advice advice = 0; advice < ADVICE_COUNT; advice++)
        if (health->advice >> advice & 1)
            *REPORT_ADD(report, advice) =
                (struct report_advice){node, advice_name(advice), advice_text(advice)};
    for (unsigned i = 0; i < health->poll.outsider_count; i++) {
        const struct outsider *outsider = &health->poll.outsiders[i];
        *REPORT_ADD(report, outside) = (struct report_outside){
            .node = node,
            .address = report_text(report, outsider->address),
            .user = report_text(report, outsider->user),
            .name = report_text(report, outsider->name),
            .commands = report_text(report, outsider->commands),
            .connections = outsider->connections,
        };
    }
}
