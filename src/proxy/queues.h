/* queues.h - declared queues: how many entries each key holds, for the whole process; only for
 * src/proxy. */
#ifndef RESPGATE_QUEUES_H
#define RESPGATE_QUEUES_H

#include "respgate/pressure.h"
#include "respgate/proxy.h"

enum queue_type { QUEUE_UNKNOWN, QUEUE_ABSENT, QUEUE_STREAM, QUEUE_LIST, QUEUE_ZSET, QUEUE_OTHER };
extern const char *const queue_type_names[];

/* What was seen of one key at the last look. Written by the poller, relaxed atomics. */
struct queue_facts {
    uint64_t type; /* enum queue_type */
    uint64_t groups, consumers, dead;
    uint64_t pending, lag; /* of the group with most */
    uint64_t lag_estimated;
};

/* One key of a queue; found by name, lives as long as the process, so counts survive a reload. */
struct queue_key {
    struct queue_key *next;
    char *name;
    size_t name_len;
    struct gauge entries;
    struct queue_facts facts;
    uint32_t hurry; /* a look is wanted before its time */

    /* The poller's own. */
    uint64_t asked; /* loop ms */
    uint64_t mark;
    unsigned asking; /* answers still to come */
    struct queue_facts seen;
    bool said_other, said_length, said_pending, said_lag, said_dead;
};

struct queue {
    const char *name;
    uint64_t max_length, warn_length, warn_pending, warn_lag;
    bool trims;
    size_t key_count;
    struct queue_key **keys;
};

/* The queues of one configuration: part of a snapshot. */
struct queue_plan {
    size_t queue_count, key_count;
    struct queue *queues;
    struct queue_place { /* sorted by key */
        struct queue_key *key;
        const struct queue *queue;
    } * places;
};
const struct queue_plan *pressure_queues(const struct pressure_plan *plan); /* pressure.c */
/* In the arena; the keys' own counts come from the process. */
const struct queue_plan *queue_plan_new(struct arena *arena, const struct config *config);
uint64_t queue_length(const struct queue *queue);
/* Charges what the request adds to declared queues. False: one of them is full, out says so. */
bool must_check queues_admit(const struct queue_plan *plan, struct call *call, struct buf *out);
/* Measures the queues whose time has come; the link is ready and at db 0. (queue_poll.c) */
void queues_tick(struct node *node, struct link *link);
/* Of what was seen at the last look. */
void queue_warn(const struct queue *queue, struct queue_key *key);

#endif
