/*
 * test_bucket.c - rate buckets against a slow model with a clock of its own, threads at one bucket,
 * tables at their limits, and changes of rate and burst.
 */
#include "bucket.h"

#include <math.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

enum { SECOND = 1000 * 1000 * 1000 };

static uint64_t random_state = 88172645463325252u;

static size_t pick(size_t bound)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return (size_t)(random_state >> 11) % bound;
}

static struct charge charge_of(struct limiter *limiter, uint64_t hash, uint64_t cost)
{
    return (struct charge){.limiter = limiter, .hash = hash, .cost = cost};
}

static bool take(struct limiter *limiter, uint64_t key, uint64_t cost, uint64_t now, uint64_t *wait)
{
    struct charge charge = charge_of(limiter, limiter_hash(limiter, &key, sizeof(key)), cost);
    bool passes = buckets_charge(&charge, 1, now);
    *wait = charge.wait;
    return passes;
}

static struct limiter *limiter_of(double rate, uint64_t burst)
{
    struct limiter *limiter = limiter_new();
    limiter_tune(limiter, rate, burst, 0);
    return limiter;
}

/* ---- the model: tokens that drip ---- */

struct model {
    double tokens;
    uint64_t at;
};

static void model_fill(struct model *model, double rate, double burst, uint64_t now)
{
    model->tokens = fmin(burst, model->tokens + (double)(now - model->at) * rate / 1e9);
    model->at = now;
}

/* Nanoseconds until the cost passes; one above the burst needs a full bucket. */
static double model_wait(const struct model *model, double rate, double burst, double cost)
{
    return fmax(0, (fmin(cost, burst) - model->tokens) * 1e9 / rate);
}

static void test_is_a_token_bucket(void **state)
{
    enum { KEYS = 20 };
    for (int round = 0; round < 60; round++) {
        double rate = (double)(1 + pick(5000)) / (double)(1 + pick(60));
        uint64_t burst = 1 + pick(50), now = SECOND, wait;
        struct limiter *limiter = limiter_of(rate, burst);
        struct model models[KEYS];
        for (int i = 0; i < KEYS; i++)
            models[i] = (struct model){(double)burst, now};
        for (int step = 0; step < 2000; step++) {
            size_t key = pick(KEYS);
            uint64_t cost = pick(20) ? 1 + pick(3) : 1 + pick(2 * burst);
            struct model *model = &models[key];
            now += (uint64_t)((double)pick(1000) / 500 * 1e9 / rate / KEYS * 2);
            model_fill(model, rate, (double)burst, now);
            double expected = model_wait(model, rate, (double)burst, (double)cost);
            bool passes = take(limiter, key, cost, now, &wait);
            /* Each charge may be off by the rounding of one nanosecond, never to the client's
             * favour. */
            assert_true((double)wait >= expected - 1 && (double)wait <= expected + 2000);
            assert_int_equal(passes, wait == 0);
            if (passes)
                model->tokens -= (double)cost;
        }
        limiter_drop(limiter);
    }
}

/* Whoever waits for as long as told gets through, and a nanosecond less does not do. */
static void test_the_wait_is_true(void **state)
{
    for (int round = 0; round < 2000; round++) {
        double rate = (double)(1 + pick(1000000)) / (double)(1 + pick(3600));
        uint64_t burst = 1 + pick(100), now = pick(SECOND), wait, none, cost = 1 + pick(burst * 2);
        struct limiter *limiter = limiter_of(rate, burst);
        while (take(limiter, 1, cost, now, &wait))
            continue;
        assert_true(wait > 0);
        assert_false(take(limiter, 1, cost, now + wait - 1, &none));
        assert_int_equal(none, 1);
        assert_true(take(limiter, 1, cost, now + wait, &none));
        limiter_drop(limiter);
    }
}

static void test_a_refusal_charges_none_of_several(void **state)
{
    uint64_t now = SECOND;
    struct limiter *wide = limiter_of(1, 10), *narrow = limiter_of(1, 1);
    for (int i = 0; i < 5; i++) {
        struct charge charges[] = {charge_of(wide, 7, 1), charge_of(narrow, 9, 1)};
        assert_int_equal(buckets_charge(charges, 2, now), i == 0);
    }
    struct charge rest = charge_of(wide, 7, 9);
    assert_true(buckets_charge(&rest, 1, now));
    assert_false(buckets_charge(&rest, 1, now));
    limiter_drop(wide);
    limiter_drop(narrow);
}

static void test_patience_reserves_in_order(void **state)
{
    uint64_t now = SECOND;
    struct limiter *limiter = limiter_of(10, 1);
    for (uint64_t i = 0; i < 6; i++) {
        struct charge charge = {.limiter = limiter, .hash = 1, .cost = 1, .patience = SECOND / 2};
        assert_true(buckets_charge(&charge, 1, now));
        assert_int_equal(charge.wait, i * SECOND / 10);
    }
    struct charge late = {.limiter = limiter, .hash = 1, .cost = 1, .patience = SECOND / 2};
    assert_false(buckets_charge(&late, 1, now));
    limiter_drop(limiter);
}

/* ---- threads ---- */

enum { THREADS = 4, TRIES = 60000 };
struct hammer {
    struct limiter *limiter, *other;
    uint64_t *clock, passed;
};

/* The clock is the threads' own work: every try is a microsecond. */
static void *hammer_run(void *arg)
{
    struct hammer *hammer = arg;
    for (int i = 0; i < TRIES; i++) {
        uint64_t now = __atomic_fetch_add(hammer->clock, 1000, __ATOMIC_RELAXED);
        struct charge charges[] = {charge_of(hammer->limiter, 5, 1),
                                   charge_of(hammer->other, 1 | (uint64_t)i % 64 << 58, 1)};
        hammer->passed += buckets_charge(charges, 2, now);
    }
    return NULL;
}

static void test_threads_get_no_more_than_the_rate(void **state)
{
    double rate = 250000;
    uint64_t burst = 100, clock = SECOND, passed = 0;
    struct limiter *limiter = limiter_of(rate, burst), *other = limiter_of(1e9, 1 << 30);
    pthread_t threads[THREADS];
    struct hammer hammers[THREADS];
    for (int i = 0; i < THREADS; i++) {
        hammers[i] = (struct hammer){limiter, other, &clock, 0};
        assert_int_equal(pthread_create(&threads[i], NULL, hammer_run, &hammers[i]), 0);
    }
    for (int i = 0; i < THREADS; i++) {
        pthread_join(threads[i], NULL);
        passed += hammers[i].passed;
    }
    double lasted = (double)(clock - SECOND) / 1e9;
    assert_true((double)passed <= rate * lasted + (double)burst);
    assert_true((double)passed >= rate * lasted * 0.95);
    limiter_drop(limiter);
    limiter_drop(other);
}

/* ---- memory ---- */

static void test_only_full_buckets_are_forgotten(void **state)
{
    struct limiter *limiter = limiter_of(1, 10);
    uint64_t now = SECOND, wait;
    for (uint64_t key = 0; key < 20000; key++)
        assert_true(take(limiter, key, key % 2 ? 10 : 1, now, &wait));
    size_t grown = limiter_memory(limiter);
    now += 5ull * SECOND; /* the even ones are full again */
    for (int i = 0; i < 200; i++)
        limiter_sweep(limiter, now);
    for (uint64_t key = 1; key < 20000; key += 2)
        assert_false(take(limiter, key, 6, now, &wait));
    for (uint64_t key = 0; key < 20000; key += 2)
        assert_true(take(limiter, key, 10, now, &wait));
    now += 60ull * SECOND;
    for (int i = 0; i < 200; i++)
        limiter_sweep(limiter, now);
    assert_int_equal(limiter_count(limiter), 0);
    assert_true(limiter_memory(limiter) < grown / 10);
    limiter_drop(limiter);
}

static void test_a_flood_shares_one_bucket_and_memory_stays(void **state)
{
    struct limiter *limiter = limiter_of(1, 2);
    uint64_t now = SECOND, wait, refused = 0, keys = 2500000;
    for (uint64_t key = 0; key < keys; key++)
        refused += !take(limiter, key, 1, now, &wait);
    assert_true(limiter_count(limiter) > 1000000);
    assert_true(limiter_memory(limiter) < 64 * 1024 * 1024);
    assert_true(limiter_overflows(limiter) == 2); /* its burst */
    assert_int_equal(limiter_count(limiter) + refused + 2, keys);
    assert_true(take(limiter, 0, 1, now, &wait)); /* who was known is not concerned */
    limiter_drop(limiter);
}

/* ---- changes ---- */

static void test_a_change_keeps_the_fill_as_a_fraction(void **state)
{
    uint64_t now = SECOND, wait;
    struct limiter *limiter = limiter_of(10, 100);
    assert_true(take(limiter, 1, 75, now, &wait)); /* a quarter is left */
    assert_true(take(limiter, 2, 100, now, &wait));
    limiter_tune(limiter, 1000, 400, now);
    assert_false(take(limiter, 1, 101, now, &wait));
    assert_true(take(limiter, 1, 100, now, &wait));
    assert_false(take(limiter, 2, 1, now, &wait));
    assert_int_equal(wait, SECOND / 1000);
    assert_true(take(limiter, 3, 400, now, &wait));
    limiter_drop(limiter);
}

/* Beyond any sense, but nothing overflows. */
static void test_extremes(void **state)
{
    static const double rates[] = {1.0 / 3600, 1, 1e9, 1e12};
    static const uint64_t bursts[] = {1, 1000, 1ull << 50};
    for (size_t i = 0; i < ARRAY_LEN(rates) * ARRAY_LEN(bursts); i++) {
        uint64_t now = 1ull << 58, wait;
        struct limiter *limiter = limiter_of(rates[i % ARRAY_LEN(rates)], bursts[i % 3]);
        assert_true(take(limiter, 1, UINT64_MAX, now, &wait));
        assert_false(take(limiter, 1, UINT64_MAX, now, &wait));
        assert_true(take(limiter, 2, 1, now, &wait));
        limiter_drop(limiter);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_is_a_token_bucket),
        cmocka_unit_test(test_the_wait_is_true),
        cmocka_unit_test(test_a_refusal_charges_none_of_several),
        cmocka_unit_test(test_patience_reserves_in_order),
        cmocka_unit_test(test_threads_get_no_more_than_the_rate),
        cmocka_unit_test(test_only_full_buckets_are_forgotten),
        cmocka_unit_test(test_a_flood_shares_one_bucket_and_memory_stays),
        cmocka_unit_test(test_a_change_keeps_the_fill_as_a_fraction),
        cmocka_unit_test(test_extremes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
