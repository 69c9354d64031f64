/* test_histogram.c - percentiles within a percent of the truth, bounded memory, merging. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "respgate/stats.h"

static int by_size(const void *a, const void *b)
{
    uint64_t one = *(const uint64_t *)a, other = *(const uint64_t *)b;
    return one < other ? -1 : one > other;
}

/* Values of every size: microseconds to an hour. */
static uint64_t any_time(void)
{
    return ((uint64_t)random_below(1u << 30) << 2 | random_below(4)) >> random_below(32);
}

static void assert_near(uint64_t got, uint64_t want)
{
    double difference = got > want ? (double)(got - want) : (double)(want - got);
    if (difference > 0.01 * (double)want)
        fail_msg("%llu is not within 1 %% of %llu", (unsigned long long)got,
                 (unsigned long long)want);
}

static void percentiles_are_within_one_percent_of_sorted_values(void **state)
{
    enum { COUNT = 20000 };
    static uint64_t values[COUNT];
    struct histogram histogram = {0};
    uint64_t sum = 0;
    for (int i = 0; i < COUNT; i++) {
        sum += values[i] = any_time();
        histogram_add(&histogram, values[i], 1);
    }
    qsort(values, COUNT, sizeof(values[0]), by_size);
    for (int per_mille = 1; per_mille <= 1000; per_mille++)
        assert_near(histogram_percentile(&histogram, per_mille / 1000.0),
                    values[per_mille * COUNT / 1000 - 1]);
    assert_true(histogram.sum == sum && histogram.count == COUNT);
    assert_true(histogram.max == values[COUNT - 1]);
    histogram_clear(&histogram);
}

static void every_value_is_known_to_one_percent(void **state)
{
    for (uint64_t value = 0; value < 1ull << 31; value += 1 + value / 97) {
        struct histogram histogram = {.max = UINT64_MAX}; /* not helped by the maximum */
        histogram_add(&histogram, value, 1);
        assert_near(histogram_percentile(&histogram, 1), value);
        assert_true(histogram_below(&histogram, value + value / 64) == 1);
        assert_true(value == 0 || histogram_below(&histogram, value - 1 - value / 64) == 0);
        histogram_clear(&histogram);
    }
}

/* Where a part of the count is a whole number, rounding must not make it the next one. */
static void a_part_that_is_whole_is_that_value(void **state)
{
    struct histogram histogram = {0};
    for (uint64_t value = 1; value <= 50; value++)
        histogram_add(&histogram, value, 2);
    for (int percent = 2; percent <= 100; percent += 2)
        assert_int_equal(histogram_percentile(&histogram, percent / 100.0), percent / 2);
    histogram_clear(&histogram);
}

static void buckets_are_what_is_below_each_bound(void **state)
{
    static const uint64_t bounds[] = {0, 5, 63, 64, 1000, 1000, 50000, 1u << 30, UINT64_MAX};
    enum { BOUNDS = sizeof(bounds) / sizeof(bounds[0]) };
    struct histogram histogram = {0};
    uint64_t below[BOUNDS];
    histogram_buckets(&histogram, bounds, BOUNDS, below);
    for (int i = 0; i < BOUNDS; i++)
        assert_int_equal(below[i], 0);
    for (int i = 0; i < 5000; i++)
        histogram_add(&histogram, any_time(), 1);
    histogram_buckets(&histogram, bounds, BOUNDS, below);
    for (int i = 0; i < BOUNDS; i++)
        assert_int_equal(below[i], histogram_below(&histogram, bounds[i]));
    assert_int_equal(below[BOUNDS - 1], 5000);
    histogram_clear(&histogram);
}

static void merging_is_the_same_as_adding_to_one(void **state)
{
    struct histogram one = {0}, other = {0}, both = {0};
    for (int i = 0; i < 5000; i++) {
        uint64_t value = any_time();
        histogram_add(i % 3 ? &one : &other, value, 1 + i % 5);
        histogram_add(&both, value, 1 + i % 5);
    }
    histogram_merge(&one, &other);
    assert_true(one.count == both.count && one.sum == both.sum && one.max == both.max);
    for (int part = 1; part <= 100; part++)
        assert_true(histogram_percentile(&one, part / 100.0) ==
                    histogram_percentile(&both, part / 100.0));
    histogram_clear(&one);
    histogram_clear(&other);
    histogram_clear(&both);
}

static void what_is_longer_than_any_step_counts_in_the_last_one(void **state)
{
    struct histogram histogram = {0};
    histogram_add(&histogram, UINT64_MAX / 2, 1);
    assert_true(histogram.count == 1);
    assert_true(histogram_percentile(&histogram, 0.5) >= 1ull << 31);
    histogram_clear(&histogram);
    assert_true(histogram_percentile(&histogram, 0.5) == 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(percentiles_are_within_one_percent_of_sorted_values),
        cmocka_unit_test(every_value_is_known_to_one_percent),
        cmocka_unit_test(a_part_that_is_whole_is_that_value),
        cmocka_unit_test(buckets_are_what_is_below_each_bound),
        cmocka_unit_test(merging_is_the_same_as_adding_to_one),
        cmocka_unit_test(what_is_longer_than_any_step_counts_in_the_last_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
