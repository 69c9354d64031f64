/* health.c - what an INFO means: limits, levels, what is logged when they change. */
#include <stdio.h>
#include <stdlib.h>

#include "health.h"

/* ---- the list: grows at its head, without a lock, and nothing is ever taken off ---- */

static struct health *health_find(struct health *head, const char *name)
{
    for (struct health *health = head; health; health = health->next)
        if (strcmp(health->name, name) == 0)
            return health;
    return NULL;
}

struct health *health_of(struct proxy *proxy, const char *name)
{
    struct health *head = __atomic_load_n(&proxy->healths, __ATOMIC_ACQUIRE);
    struct health *found = health_find(head, name);
    if (found)
        return found;
    struct health *fresh = aligned_alloc(64, sizeof(*fresh));
    if (!fresh)
        die("out of memory");
    memset(fresh, 0, sizeof(*fresh));
    fresh->name = xstrdup(name);
    fresh->memory_bound = fresh->disk_bound = fresh->disk_due = UINT64_MAX;
    fresh->memory_full_s = fresh->disk_full_s = fresh->slowlog = -1;
    do {
        found = health_find(head, name); /* another worker was quicker */
        if (found) {
            free(fresh->name);
            free(fresh);
            return found;
        }
        fresh->next = head;
    } while (!__atomic_compare_exchange_n(&proxy->healths, &head, fresh, false, __ATOMIC_ACQ_REL,
                                          __ATOMIC_ACQUIRE));
    return fresh;
}

void health_free(struct proxy *proxy)
{
    while (proxy->healths) {
        struct health *next = proxy->healths->next;
        free(proxy->healths->name);
        free(proxy->healths);
        proxy->healths = next;
    }
}

enum pressure health_level(const struct health *health)
{
    uint32_t memory = health_get(health->memory_level), disk = health_get(health->disk_level);
    return (enum pressure)(memory > disk ? memory : disk);
}

/* ---- texts ---- */

struct size_text {
    char text[24];
};
static struct size_text size_text(double bytes)
{
    static const char *const units[] = {"b", "kb", "mb", "gb", "tb"};
    size_t unit = 0;
    struct size_text out;
    for (; bytes >= 10000 && unit + 1 < ARRAY_LEN(units); unit++)
        bytes /= 1024;
    snprintf(out.text, sizeof(out.text), "%.0f%s", bytes, units[unit]);
    return out;
}

static void log_level_change(const struct health *health, const char *what, enum pressure before,
                             enum pressure now, uint64_t used, uint64_t limit)
{
    enum log_level level = now > before ? LOG_WARN : LOG_NOTICE;
    log_line(level, NULL, "node %s: %s pressure is %s: %s of %s (%u%%)", health->name, what,
             pressure_name(now), size_text((double)used).text, size_text((double)limit).text,
             pressure_percent(used, limit));
}

/* At the edge the estimate refuses before a look ever tells critical; so a look that finds a node
 * this near to it after a refusal makes it critical, and what was paused stays so until resume. */
enum { EDGE_PERCENT = 2 };

static enum pressure level_of(enum pressure before, uint64_t used, uint64_t limit, bool pushed,
                              const struct config *config)
{
    const struct thresholds thresholds = {(unsigned)config->pressure.high,
                                          (unsigned)config->pressure.critical,
                                          (unsigned)config->pressure.resume};
    unsigned edge = thresholds.critical > EDGE_PERCENT ? thresholds.critical - EDGE_PERCENT : 0;
    if (limit && pushed && used >= pressure_amount(limit, edge))
        return PRESSURE_CRITICAL;
    return pressure_next(before, used, limit, &thresholds);
}

/* ---- memory ---- */

static uint64_t number(int64_t field)
{
    return field > 0 ? (uint64_t)field : 0;
}

static uint64_t memory_limit(const struct info *info, const struct config *config)
{
    return config->pressure.memory_limit ? config->pressure.memory_limit : number(info->maxmemory);
}

/* A cache that evicts is full for ever, and well. */
static bool memory_guarded(const struct info *info, const struct config *config)
{
    switch (config->pressure.guard) {
    case GUARD_OFF: return false;
    case GUARD_ON: return true;
    case GUARD_AUTO: break;
    }
    return config->pressure.memory_limit || strcmp(info->maxmemory_policy, "noeviction") == 0;
}

static void say_unknown(struct health *health, uint64_t limit, const struct info *info)
{
    bool unknown = limit == 0 || info->used_memory == INFO_UNKNOWN;
    if (unknown && !health->poll.said_unknown)
        log_notice(NULL,
                   "node %s: memory pressure is not known, so nothing is shed: %s; [pressure] "
                   "memory-limit sets a limit",
                   health->name,
                   info->used_memory == INFO_UNKNOWN ? "its INFO does not say what it uses"
                                                     : "it has no maxmemory");
    health->poll.said_unknown = unknown;
}

static void memory_learn(struct health *health, const struct info *info,
                         const struct config *config, uint64_t now)
{
    uint64_t limit = memory_limit(info, config);
    uint64_t used = number(info->used_memory), apart = number(info->mem_not_counted_for_evict);
    used = used > apart ? used - apart : 0;
    bool guarded = limit && info->used_memory != INFO_UNKNOWN && memory_guarded(info, config);
    enum pressure before = (enum pressure)health->memory_level;
    enum pressure level =
        guarded ? level_of(before, used, limit, health->poll.pushed & PUSHED_MEMORY, config)
                : PRESSURE_NORMAL;
    say_unknown(health, limit, info);
    gauge_look(&health->memory, used, health->poll.memory_mark);
    health_set(health->memory_limit, limit);
    health_set(health->memory_bound,
               guarded ? pressure_amount(limit, (unsigned)config->pressure.critical) : UINT64_MAX);
    health_set(health->memory_level, level);
    if (level != before)
        log_level_change(health, "memory", before, level, used, limit);
    trend_add(&health->poll.memory, now, (double)used);
    health_set(health->memory_growth, (int64_t)health->poll.memory.slope);
    health_set(health->memory_full_s,
               limit ? trend_until(&health->poll.memory, (double)limit) : -1);
}

/* ---- disk ---- */

/* The fuller of what aof-limit and the volume itself tell. */
static struct volume volume_of(const struct health *health, const struct info *info,
                               const struct config *config)
{
    struct volume volume = {.aof = number(info->aof_current_size),
                            .data = number(info->used_memory_dataset)};
    /* What waits in the buffer of the AOF has been answered and is on no disk yet. */
    uint64_t buffer = number(info->aof_buffer_length);
    uint64_t size = health->volume.size, used = health->volume.used + buffer;
    if (info->aof_enabled <= 0 || config->pressure.guard == GUARD_OFF)
        return volume;
    if (config->pressure.aof_limit) {
        volume.size = config->pressure.aof_limit;
        volume.used = volume.aof + buffer;
    }
    if (size && (!volume.size ||
                 pressure_percent(used, size) > pressure_percent(volume.used, volume.size))) {
        volume.size = size;
        volume.used = used;
    }
    return volume;
}

/* The node cannot write its AOF, or says that it takes no writes: until it says it can again. */
static bool disk_failed(struct health *health, const struct info *info)
{
    bool healthy = info->aof_last_write_status != 0 && info->rdb_last_bgsave_status != 0;
    if (health_get(health->misconf) == 1) /* the INFO after the one that was under way then */
        health_set(health->misconf, 2);
    else if (health_get(health->misconf) == 2 && healthy)
        health_set(health->misconf, 0);
    return info->aof_last_write_status == 0 || health_get(health->misconf);
}

static void log_disk_failed(const struct health *health, bool failed)
{
    if (failed)
        log_error(NULL,
                  "node %s: it cannot write its AOF or RDB, so all writes are refused. Its own log "
                  "says why; usually the disk is full: make room on the volume, and writes go on "
                  "by themselves",
                  health->name);
    else
        log_notice(NULL, "node %s: it can write its AOF again", health->name);
}

/* While a rewrite runs, the room it may need is not for writes. */
static uint64_t disk_bound(const struct volume *volume, const struct info *info,
                           const struct config *config)
{
    if (!volume->size)
        return UINT64_MAX;
    uint64_t bound = pressure_amount(volume->size, (unsigned)config->pressure.critical);
    uint64_t data = volume->data < volume->aof ? volume->data : volume->aof;
    if (info->aof_rewrite_in_progress <= 0)
        return bound;
    return bound > data ? bound - data : 0;
}

static void disk_learn(struct health *health, const struct info *info, const struct config *config,
                       uint64_t now)
{
    struct volume volume = volume_of(health, info, config);
    bool failed = config->pressure.guard != GUARD_OFF && disk_failed(health, info);
    enum disk_reason reason = failed ? DISK_WRITE_FAILED : DISK_FILLING;
    enum pressure before = (enum pressure)health->disk_level;
    enum pressure level =
        level_of(before, volume.used, volume.size, health->poll.pushed & PUSHED_DISK, config);
    gauge_look(&health->disk, volume.used, health->poll.disk_mark);
    health_set(health->disk_size, volume.size);
    health_set(health->disk_bound, disk_bound(&volume, info, config));
    health_set(health->disk_due,
               volume.size && config->pressure.aof_rewrite_at
                   ? pressure_amount(volume.size, (unsigned)config->pressure.aof_rewrite_at)
                   : UINT64_MAX);
    if (failed != health->poll.said_failed)
        log_disk_failed(health, failed);
    health->poll.said_failed = failed;
    if (failed)
        level = PRESSURE_CRITICAL;
    else if (level != before)
        log_level_change(health, "disk", before, level, volume.used, volume.size);
    health_set(health->disk_reason, reason);
    health_set(health->disk_level, level);
    if (info->aof_current_size != INFO_UNKNOWN)
        trend_add(&health->poll.aof, now, (double)info->aof_current_size);
    health_set(health->aof_growth, (int64_t)health->poll.aof.slope);
    double left = (double)volume.size - (double)volume.used;
    health_set(health->disk_full_s,
               volume.size ? trend_until(&health->poll.aof, health->poll.aof.value + left) : -1);
    health->poll.rewrite = rewrite_judge(&volume, (unsigned)config->pressure.aof_rewrite_at);
}

/* ---- the whole ---- */

static void facts_store(struct health *health, const struct info *info)
{
#define NUMBER(field) health_set(health->info.field, info->field);
#define STATUS(field) health_set(health->info.field, info->field);
#include "respgate/info.def"
    health_set(health->info.keys, info->keys);
    if (strcmp(info->role, "master") != 0) /* a replica needs none of its own */
        health_set(health->info.connected_slaves, INFO_UNKNOWN);
}

void health_learn(struct health *health, const struct info *info, const struct config *config,
                  uint64_t now)
{
    if (!health->known || strcmp(info->run_id, health->poll.last.run_id) != 0) {
        health->poll.memory = health->poll.aof = (struct trend){0}; /* another process now */
        health->poll.has_last = health->poll.has_wipes = false;
    }
    facts_store(health, info);
    bool news = !health->known;
    memory_learn(health, info, config, now);
    disk_learn(health, info, config, now);
    if (news && health->memory_limit)
        log_info(NULL, "node %s: memory %u%% of %s, guard is %s", health->name,
                 pressure_percent(gauge_now(&health->memory), health->memory_limit),
                 size_text((double)health->memory_limit).text,
                 health->memory_bound == UINT64_MAX ? "off: it evicts, or guard = off" : "on");
    if (news && health->disk_size)
        log_info(NULL, "node %s: AOF %u%% of its volume, %s", health->name,
                 pressure_percent(gauge_now(&health->disk), health->disk_size),
                 size_text((double)health->disk_size).text);
    health_set(health->polled, (uint64_t)clock_wall());
    health_set(health->known, true);
    health->poll.last = *info;
    health->poll.has_last = true;
}
