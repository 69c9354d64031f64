/*
 * bucket.h - rate buckets: one timestamp for each client, address, user or prefix of a rule.
 *
 * GCRA (ITU-T I.371): a bucket is its theoretical arrival time, the moment at which it is full
 * again. A cost moves that moment on; it conforms as long as the moment stays within one window
 * (burst / rate) of now. A bucket whose moment has passed is full, equal to one never seen.
 *
 *   limiter --- shard[64] { lock, slots[] { keyed hash, full_at } }     one limiter a rule
 *
 * Limiters are shared by all threads and outlive the policies that use them, so that a reload
 * keeps what was taken. A request tests all its buckets under their locks before it charges any.
 */
#ifndef RESPGATE_POLICY_BUCKET_H
#define RESPGATE_POLICY_BUCKET_H

#include "respgate/base.h"

struct limiter;
struct limiter *limiter_new(void);
struct limiter *limiter_hold(struct limiter *limiter);
void limiter_drop(struct limiter *limiter);
/* rate a second, burst in the same unit. Buckets that are not full keep their fill as a fraction.
 * Times here and below: nanoseconds of one monotonic clock. */
void limiter_tune(struct limiter *limiter, double rate, uint64_t burst, uint64_t now);
/* Which bucket belongs to these bytes. Keyed by random: nobody can aim at another's. */
uint64_t limiter_hash(const struct limiter *limiter, const void *ptr, size_t len);
/* Forgets full buckets in a part of the table, and shrinks it: called regularly, by one thread. */
void limiter_sweep(struct limiter *limiter, uint64_t now);
size_t limiter_memory(const struct limiter *limiter);      /* bytes of its tables */
size_t limiter_count(const struct limiter *limiter);       /* buckets remembered */
uint64_t limiter_overflows(const struct limiter *limiter); /* charged to the shared bucket */

/* One bucket a request wants to charge. */
struct charge {
    struct limiter *limiter;
    uint64_t hash;
    uint64_t cost;
    uint64_t patience; /* how long the request may wait for it: 0 for a limit */
    uint16_t rule;
    uint64_t wait; /* out: until it conforms; 0: now. Above patience: refused */
    /* bucket.c's own, while locks are held */
    void *shard;
    bool overflowed;
};
/* Tests all and, only when each waits no longer than its patience, charges all. False: refused,
 * nothing is charged, and the waits tell when each would pass. A cost above the burst passes when
 * the bucket is full. The order of the charges may change; no two may be of the same bucket. */
bool must_check buckets_charge(struct charge *charges, size_t count, uint64_t now);

#endif
