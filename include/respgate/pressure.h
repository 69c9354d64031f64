/*
 * pressure.h - how near a node is to its limits: INFO read, levels with hysteresis, what is written
 * between two looks, where it is going. Pure: the poller in src/proxy asks and acts.
 */
#ifndef RESPGATE_PRESSURE_H
#define RESPGATE_PRESSURE_H

#include "respgate/policy.h"

/* ---- INFO (info.c) ---- */

enum { INFO_UNKNOWN = -1 };
struct info {
#define NUMBER(field)     int64_t field;
#define STATUS(field)     int64_t field;
#define TEXT(field, size) char field[size];
#include "respgate/info.def"
    int64_t keys; /* of all databases together */
};
/* Reads the text of INFO. What is missing, repeated nonsense or no number stays INFO_UNKNOWN (texts
 * stay empty). False: not one field was understood. */
bool must_check info_parse(struct str text, struct info *out);
/* The next "cmdstat_NAME:calls=N,..." line from *text on, which moves behind it. */
bool must_check info_next_command(struct str *text, struct str *name, uint64_t *calls);

/* ---- gauge (gauge.c) ---- */

/* A filling level that is looked at now and then and added to by many threads in between: memory in
 * bytes, an AOF in bytes, a queue in entries.
 *
 *      told at the last look          begun since, and not surely in it
 *   |----------- told -----------|------- begun - mark -------|            | limit
 *
 * What was answered before a look was asked for is surely in it; all else is counted on top, so
 * that neither a burst nor one huge request can pass unseen. All fields are relaxed atomics. */
struct gauge {
    uint64_t told;
    uint64_t begun;  /* ever let through */
    uint64_t landed; /* of that, answered */
    uint64_t mark;   /* landed, when the last look was asked for */
};
uint64_t gauge_now(const struct gauge *gauge);
/* Adds unless that would reach the bound. */
bool must_check gauge_add(struct gauge *gauge, uint64_t amount, uint64_t bound);
void gauge_take(struct gauge *gauge, uint64_t amount); /* back what was added and did not begin */
void gauge_land(struct gauge *gauge, uint64_t amount);
uint64_t gauge_mark(const struct gauge *gauge); /* when a look is asked for */
void gauge_look(struct gauge *gauge, uint64_t told, uint64_t mark);

/* What so many bytes cost a store that allocates with jemalloc: rounded up to its size class, four
 * to each power of two, so up to a quarter more. */
uint64_t gauge_allocated(uint64_t bytes);

/* What one request or transaction has on gauges, until it is answered. */
struct charge {
    struct charge *next;
    struct gauge *gauge;
    uint64_t amount;
};
void charge_add(struct charge **charges, struct gauge *gauge, uint64_t amount);
void charges_land(struct charge **charges);
/* All of them, and frees. Most requests have none. */
static inline void charge_land(struct charge **charges)
{
    if (unlikely(*charges))
        charges_land(charges);
}
void charge_move(struct charge **to, struct charge **from);

/* ---- levels (level.c) ---- */

struct thresholds {
    unsigned high, critical, resume; /* percent */
};
const char *pressure_name(enum pressure level);
/* A level ends only below resume. */
enum pressure pressure_next(enum pressure now, uint64_t used, uint64_t limit,
                            const struct thresholds *thresholds);
/* Whole percent, rounded down, so that 90 means at least 90; at most 999. */
unsigned pressure_percent(uint64_t used, uint64_t limit);
/* The first amount that is that many percent of the limit. */
uint64_t pressure_amount(uint64_t limit, unsigned percent);

/* ---- trend (trend.c) ---- */

/* Where a value is going: its slope, averaged over about a minute. */
struct trend {
    uint64_t at;         /* ms of the last sample; 0: none */
    double value, slope; /* slope: a second */
    unsigned samples;
};
void trend_add(struct trend *trend, uint64_t now, double value);
/* Seconds until the value reaches the limit; -1: not in a day, or not known yet. */
int64_t trend_until(const struct trend *trend, double limit);

/* ---- disk (disk.c) ---- */

/* What is known of the volume that holds a node's AOF, in bytes. */
struct volume {
    uint64_t size, used; /* size 0: not known */
    uint64_t aof, data;  /* the AOF now; what a rewrite would write at most */
};
enum rewrite {
    REWRITE_NOT_YET,
    REWRITE_NOW,
    REWRITE_NO_ROOM, /* the old and the new AOF do not fit together: a person must act */
    REWRITE_USELESS, /* the AOF holds little else than data: a person must act */
};
enum rewrite rewrite_judge(const struct volume *volume, unsigned rewrite_at);

/* ---- advice (advice.c) ---- */

/* What is unwise in a node's own settings. */
enum advice {
#define ADVICE(id, name, text) ADVICE_##id,
#include "respgate/advice.def"
#undef ADVICE
    ADVICE_COUNT
};
const char *advice_name(enum advice advice);
const char *advice_text(enum advice advice);
/* What INFO does not tell. */
struct settings {
    int64_t aof_min_size; /* auto-aof-rewrite-min-size; INFO_UNKNOWN */
    uint64_t volume;      /* of the AOF, bytes; 0 unknown */
    bool queues, no_password;
};
uint64_t advice_judge(const struct info *info, const struct settings *settings); /* bits */

/* ---- queues (queue.c) ---- */

/* How many entries a request may add to the queue that is its argument `arg`; 0: none. */
uint64_t queue_adds(const struct command *command, const struct str *argv, size_t argc, size_t arg);

#endif
