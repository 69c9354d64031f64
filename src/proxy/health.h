/* health.h - what is known of each node's health, for the whole process; only for src/proxy.
 *
 * A struct health is found by the node's name, made when first asked for, and lives as long as the
 * process. The poller, on the first worker's thread, writes; everybody reads. What is shared are
 * relaxed atomics: a worker may act on what was true a moment ago.
 */
#ifndef RESPGATE_HEALTH_H
#define RESPGATE_HEALTH_H

#include "respgate/pressure.h"
#include "respgate/proxy.h"

enum { REWRITE_PAUSE_MS = 60 * 1000, OUTSIDERS_MAX = 32 };

/* Which gauge was full by what was reckoned between two looks. */
enum { PUSHED_MEMORY = 1, PUSHED_DISK = 2 };
/* Why a level is what it is, for texts. */
enum disk_reason { DISK_FILLING, DISK_WRITE_FAILED };

/* What the poller remembers; nobody else looks. */
struct poll_state {
    uint64_t next, asked;   /* loop ms */
    uint64_t asked_wall_ns; /* of the INFO under way */
    uint64_t memory_mark, disk_mark, removed_mark;
    uint32_t pushed; /* before the INFO under way */
    bool asking, said_refused, said_slow, said_unknown, said_no_room, said_failed;
    struct info last, fresh; /* the INFO before this one, and this one */
    bool judge_rewrite;      /* at the next tick */
    bool has_last, said_volume;
    struct trend memory, aof;
    uint64_t rewrite_asked; /* loop ms; 0: never */
    int64_t rewrite_from;   /* bytes of the AOF then */
    enum rewrite rewrite;   /* as last judged */
    int64_t wipes_offset;   /* FLUSHALL and kin in commandstats, less those of respgate */
    bool has_wipes, asking_wipes, asking_clients, asking_settings, asking_slowlog;
    uint64_t wipes_asked, wipes_begun, clients_asked, settings_asked,
        slowlog_asked; /* loop ms; begun: then */
    uint64_t removed_seen, removed_wipes;
    int64_t aof_min_size;
    struct outsider {
        char address[64], user[64], name[64];
        char commands[128];   /* those it was seen at, by spaces */
        uint64_t connections; /* 0: gone, and kept while there is room */
    } outsiders[OUTSIDERS_MAX];
    unsigned outsider_count;
};

struct health {
    struct health *next;
    char *name;

    uint32_t distance_us; /* until CLUSTER NODES was answered; written by topology.c */

    /* Written by the poller. */
    struct info info;      /* numbers only by atomics, texts only by the poller */
    bool known;            /* an INFO was understood */
    uint32_t memory_level; /* enum pressure */
    uint32_t disk_level;
    uint32_t disk_reason;
    uint64_t memory_limit; /* 0: unknown */
    uint64_t memory_bound; /* what growth may not reach; UINT64_MAX: the guard is off */
    uint64_t disk_size;    /* 0: unknown */
    uint64_t disk_bound;
    uint64_t disk_due;                  /* from here on a rewrite is due: look at once */
    int64_t memory_growth;              /* bytes a second */
    int64_t memory_full_s, disk_full_s; /* until then; -1 not in sight */
    int64_t aof_growth;                 /* bytes a second */
    uint64_t advice;                    /* bits of enum advice */
    uint64_t outside; /* destructive commands that did not come through respgate */
    int64_t slowlog;  /* entries its slow log ever got; -1 unknown */
    uint64_t polled;  /* wall seconds of the last INFO that was understood */
    uint64_t poll_us; /* how long it took */

    /* Written by all workers. */
    struct gauge memory __attribute__((aligned(64)));
    struct gauge disk;
    uint64_t removed;   /* keys that requests through respgate may have removed */
    struct gauge wipes; /* FLUSHALL and kin sent through respgate */
    uint32_t misconf;   /* the node answered MISCONF */
    uint32_t pushed;    /* PUSHED_*: something was refused for what is reckoned; look at once */

    struct poll_state poll;
    struct forecast {
        struct mail mail;
        struct proxy *proxy;
        const char *what;
        int64_t left;  /* seconds */
        uint64_t said; /* loop ms; 0: never */
        bool asking;   /* the letter is under way */
    } forecast;
    struct volume_letter {
        struct mail mail;
        struct proxy *proxy;
        struct health *health;
        char path[256];
        uint64_t size, used; /* size 0: not known */
        int error;
    } volume;
};
#define health_get(field)         __atomic_load_n(&(field), __ATOMIC_RELAXED)
#define health_push(health, bits) __atomic_fetch_or(&(health)->pushed, bits, __ATOMIC_RELAXED)
#define health_set(field, value)  __atomic_store_n(&(field), value, __ATOMIC_RELAXED)

struct health *health_of(struct proxy *proxy, const char *name);
/* The worse of both levels: for rules with `when`. */
enum pressure health_level(const struct health *health);
void health_free(struct proxy *proxy);

/* Takes in what INFO said, at loop time now, and logs what changed. The volume: as looked at after
 * that INFO, size 0 when it is not. (health.c) */
void health_learn(struct health *health, const struct info *info, const struct config *config,
                  uint64_t now);
/* After health_learn(): says when the node will be full within the hour, and whose writes do it.
 * (forecast.c) */
void forecast_tick(struct proxy *proxy, struct health *health, uint64_t now);
/* Round the gate (outside.c): what happened at the node and did not come through respgate. */
void outside_tick(struct node *node, struct link *link, uint64_t now);
/* After health_learn() of an INFO: whether keys vanished. before: the INFO before it. */
void outside_keys(struct proxy *proxy, struct health *health, const struct info *before,
                  const struct info *info);
/* Its advice and outsiders; on the poller's thread (report_pressure.c). */
void report_outside(struct report *report, const struct health *health);

/* Asks the node when it is time; the link is ready. (poller.c) */
void poller_tick(struct node *node, struct link *link);

#endif
