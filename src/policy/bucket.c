/* bucket.c - rate buckets in sharded tables: GCRA, tested and charged under short locks.
 *
 * A table has open addresses and 16 bytes a bucket, so a million addresses are some 32 MB. It
 * forgets only buckets that are full. One at its largest without any full bucket sends newcomers
 * to the limiter's one overflow bucket: a flood of addresses gets less, not more.
 */
#include "bucket.h"
#include "siphash.h"

#include <pthread.h>
#include <stdlib.h>
#include <sys/random.h>

enum {
    SHARDS = 64,
    SLOTS_MIN = 8,
    SLOTS_MAX = 32 * 1024, /* 64 shards of these: 2 million slots, 32 MB a rule */
};
/* A shard that is full is not searched for room again at once: newcomers of a flood would each
 * pay for it. */
static const uint64_t FULL_PAUSE_NS = 20 * 1000 * 1000;
/* Times far beyond any clock: sums of a few of them stay below 2^63. */
static const uint64_t TIME_CAP = 1ull << 60;

struct slot {
    uint64_t hash; /* 0: none */
    uint64_t full_at;
};

struct shard {
    pthread_mutex_t lock;
    struct slot *slots; /* NULL: none yet */
    uint32_t size, used;
    double interval; /* ns a unit */
    uint64_t window; /* ns from empty to full */
    uint64_t full_until;
} __attribute__((aligned(64)));

struct limiter {
    struct shard shards[SHARDS];
    uint64_t key[2];
    uint64_t overflow_at; /* the shared bucket, atomic */
    uint64_t overflows;   /* atomic */
    unsigned swept;       /* the next shard to sweep */
    uint32_t refs;        /* atomic */
};

/* ---- life ---- */

struct limiter *limiter_new(void)
{
    struct limiter *limiter = aligned_alloc(64, sizeof(*limiter));
    if (!limiter)
        die("out of memory (%zu bytes)", sizeof(*limiter));
    memset(limiter, 0, sizeof(*limiter));
    limiter->refs = 1;
    if (getrandom(limiter->key, sizeof(limiter->key), 0) != sizeof(limiter->key))
        die("no random bytes to be had");
    for (int i = 0; i < SHARDS; i++)
        if (pthread_mutex_init(&limiter->shards[i].lock, NULL) != 0)
            die("cannot make a lock");
    return limiter;
}

struct limiter *limiter_hold(struct limiter *limiter)
{
    __atomic_fetch_add(&limiter->refs, 1, __ATOMIC_RELAXED);
    return limiter;
}

void limiter_drop(struct limiter *limiter)
{
    if (!limiter || __atomic_sub_fetch(&limiter->refs, 1, __ATOMIC_ACQ_REL) > 0)
        return;
    for (int i = 0; i < SHARDS; i++) {
        pthread_mutex_destroy(&limiter->shards[i].lock);
        free(limiter->shards[i].slots);
    }
    free(limiter);
}

uint64_t limiter_hash(const struct limiter *limiter, const void *ptr, size_t len)
{
    uint64_t hash = siphash(limiter->key, ptr, len);
    return hash ? hash : 1;
}

/* ---- a table ---- */

static struct slot *slot_find(const struct shard *shard, uint64_t hash)
{
    if (!shard->size)
        return NULL;
    for (uint32_t i = (uint32_t)hash & (shard->size - 1);; i = (i + 1) & (shard->size - 1)) {
        if (shard->slots[i].hash == hash)
            return &shard->slots[i];
        if (!shard->slots[i].hash)
            return NULL;
    }
}

static void slot_place(struct shard *shard, uint64_t hash, uint64_t full_at)
{
    uint32_t i = (uint32_t)hash & (shard->size - 1);
    while (shard->slots[i].hash)
        i = (i + 1) & (shard->size - 1);
    shard->slots[i] = (struct slot){hash, full_at};
    shard->used++;
}

static bool slot_live(const struct slot *slot, uint64_t now)
{
    return slot->hash && slot->full_at > now;
}

static uint32_t room_of(uint32_t size)
{
    return size / 4 * 3; /* beyond three quarters the walks get long */
}

/* A table that fits its buckets: what is full is left behind. */
static void shard_rehash(struct shard *shard, uint64_t now)
{
    struct shard old = *shard;
    uint32_t live = 0, size = SLOTS_MIN;
    for (uint32_t i = 0; i < old.size; i++)
        live += slot_live(&old.slots[i], now);
    while (size < SLOTS_MAX && live >= room_of(size) / 2)
        size *= 2;
    shard->slots = xcalloc(size, sizeof(*shard->slots));
    shard->size = size;
    shard->used = 0;
    for (uint32_t i = 0; i < old.size; i++)
        if (slot_live(&old.slots[i], now))
            slot_place(shard, old.slots[i].hash, old.slots[i].full_at);
    free(old.slots);
}

/* Whether one more bucket fits. */
static bool shard_room(struct shard *shard, uint64_t now)
{
    if (likely(shard->used < room_of(shard->size)))
        return true;
    if (now < shard->full_until)
        return false;
    shard_rehash(shard, now);
    if (shard->used < room_of(shard->size))
        return true;
    shard->full_until = now + FULL_PAUSE_NS;
    return false;
}

/* ---- one bucket ---- */

static uint64_t time_capped(double ns)
{
    return ns < (double)TIME_CAP ? (uint64_t)ns + ((double)(uint64_t)ns < ns) : TIME_CAP;
}

static uint64_t cost_time(const struct shard *shard, const struct charge *charge)
{
    return time_capped((double)charge->cost * shard->interval);
}

/* How long a charge must wait. One above the burst needs the whole window. */
static uint64_t bucket_wait(const struct shard *shard, uint64_t full_at, uint64_t time,
                            uint64_t now)
{
    uint64_t from = full_at > now ? full_at : now;
    uint64_t need = time < shard->window ? time : shard->window;
    uint64_t until = from + need, limit = now + shard->window;
    return until > limit ? until - limit : 0;
}

/* The overflow bucket has no lock of its own: it is charged while it is tested, and given back
 * when another bucket refuses. */
static void overflow_test(struct shard *shard, struct charge *charge, uint64_t now)
{
    uint64_t *bucket = &charge->limiter->overflow_at, time = cost_time(shard, charge);
    uint64_t full_at = __atomic_load_n(bucket, __ATOMIC_RELAXED), after;
    do {
        charge->wait = bucket_wait(shard, full_at, time, now);
        if (charge->wait > charge->patience)
            return;
        after = (full_at > now ? full_at : now) + time;
    } while (!__atomic_compare_exchange_n(bucket, &full_at, after, false, __ATOMIC_RELAXED,
                                          __ATOMIC_RELAXED));
    charge->overflowed = true;
}

/* A newcomer that was tested before another one took the last room. */
static void overflow_add(struct shard *shard, struct charge *charge, uint64_t now)
{
    uint64_t *bucket = &charge->limiter->overflow_at, time = cost_time(shard, charge);
    uint64_t full_at = __atomic_load_n(bucket, __ATOMIC_RELAXED), after;
    do
        after = (full_at > now ? full_at : now) + time;
    while (!__atomic_compare_exchange_n(bucket, &full_at, after, false, __ATOMIC_RELAXED,
                                        __ATOMIC_RELAXED));
    __atomic_fetch_add(&charge->limiter->overflows, 1, __ATOMIC_RELAXED);
}

static void charge_test(struct charge *charge, uint64_t now)
{
    struct shard *shard = charge->shard;
    const struct slot *slot = slot_find(shard, charge->hash);
    charge->wait = 0;
    charge->overflowed = false;
    if (slot)
        charge->wait = bucket_wait(shard, slot->full_at, cost_time(shard, charge), now);
    else if (unlikely(!shard_room(shard, now)))
        overflow_test(shard, charge, now);
}

/* Looked up again: testing another charge may have moved the table. */
static void charge_commit(struct charge *charge, uint64_t now)
{
    struct shard *shard = charge->shard;
    uint64_t time = cost_time(shard, charge);
    struct slot *slot = slot_find(shard, charge->hash);
    if (slot)
        slot->full_at = (slot->full_at > now ? slot->full_at : now) + time;
    else if (shard_room(shard, now))
        slot_place(shard, charge->hash, now + time);
    else
        overflow_add(shard, charge, now);
}

/* ---- several buckets ---- */

static struct shard *charge_shard(const struct charge *charge)
{
    return &charge->limiter->shards[charge->hash >> 58];
}

/* By address, so that threads lock in the same order. There is nearly always one. */
static void charges_sort(struct charge *charges, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        struct charge charge = charges[i];
        charge.shard = charge_shard(&charge);
        size_t at = i;
        for (; at > 0 && (uintptr_t)charges[at - 1].shard > (uintptr_t)charge.shard; at--)
            charges[at] = charges[at - 1];
        charges[at] = charge;
    }
}

static void charges_lock(const struct charge *charges, size_t count, bool lock)
{
    for (size_t i = 0; i < count; i++) {
        struct shard *shard = charges[i].shard;
        if (i && shard == charges[i - 1].shard)
            continue;
        if (lock)
            pthread_mutex_lock(&shard->lock);
        else
            pthread_mutex_unlock(&shard->lock);
    }
}

/* After the verdict on all: charged, or the overflow bucket as it was before. */
static void charge_settle(struct charge *charge, bool charged, uint64_t now)
{
    if (likely(!charge->overflowed)) {
        if (charged)
            charge_commit(charge, now);
        return;
    }
    if (charged)
        __atomic_fetch_add(&charge->limiter->overflows, 1, __ATOMIC_RELAXED);
    else
        __atomic_fetch_sub(&charge->limiter->overflow_at, cost_time(charge->shard, charge),
                           __ATOMIC_RELAXED);
}

bool buckets_charge(struct charge *charges, size_t count, uint64_t now)
{
    bool conforms = true;
    charges_sort(charges, count);
    charges_lock(charges, count, true);
    for (size_t i = 0; i < count; i++) {
        charge_test(&charges[i], now);
        conforms &= charges[i].wait <= charges[i].patience;
    }
    for (size_t i = 0; i < count; i++)
        charge_settle(&charges[i], conforms, now);
    charges_lock(charges, count, false);
    return conforms;
}

/* ---- upkeep ---- */

static uint64_t scaled(uint64_t full_at, uint64_t now, double factor)
{
    return full_at > now ? now + time_capped((double)(full_at - now) * factor) : full_at;
}

void limiter_tune(struct limiter *limiter, double rate, uint64_t burst, uint64_t now)
{
    double interval = 1e9 / rate, factor = 1;
    uint64_t window = time_capped(interval * (double)burst);
    for (int i = 0; i < SHARDS; i++) {
        struct shard *shard = &limiter->shards[i];
        pthread_mutex_lock(&shard->lock);
        if (shard->window)
            factor = (double)window / (double)shard->window;
        shard->interval = interval;
        shard->window = window;
        for (uint32_t at = 0; factor != 1 && at < shard->size; at++)
            shard->slots[at].full_at = scaled(shard->slots[at].full_at, now, factor);
        pthread_mutex_unlock(&shard->lock);
    }
    uint64_t overflow = __atomic_load_n(&limiter->overflow_at, __ATOMIC_RELAXED);
    __atomic_store_n(&limiter->overflow_at, scaled(overflow, now, factor), __ATOMIC_RELAXED);
}

/* One shard a call. A table that is mostly past is made anew. */
void limiter_sweep(struct limiter *limiter, uint64_t now)
{
    struct shard *shard = &limiter->shards[limiter->swept++ % SHARDS];
    uint32_t live = 0;
    pthread_mutex_lock(&shard->lock);
    for (uint32_t i = 0; i < shard->size; i++)
        live += slot_live(&shard->slots[i], now);
    if (shard->size > SLOTS_MIN && live < shard->size / 8)
        shard_rehash(shard, now);
    pthread_mutex_unlock(&shard->lock);
}

size_t limiter_memory(const struct limiter *limiter)
{
    size_t bytes = sizeof(*limiter);
    for (int i = 0; i < SHARDS; i++)
        bytes += limiter->shards[i].size * sizeof(struct slot);
    return bytes;
}

size_t limiter_count(const struct limiter *limiter)
{
    size_t count = 0;
    for (int i = 0; i < SHARDS; i++)
        count += limiter->shards[i].used;
    return count;
}

uint64_t limiter_overflows(const struct limiter *limiter)
{
    return __atomic_load_n(&limiter->overflows, __ATOMIC_RELAXED);
}
