/* test_level.c - levels with hysteresis, trends by a clock of the test's own, when to rewrite. */
#include "respgate/pressure.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

static const struct thresholds usual = {.high = 80, .critical = 90, .resume = 75};

static void test_a_level_ends_only_below_resume(void **state)
{
    static const struct {
        uint64_t used;
        enum pressure level;
    } steps[] = {
        {0, PRESSURE_NORMAL},     {799, PRESSURE_NORMAL},   {800, PRESSURE_HIGH},
        {899, PRESSURE_HIGH},     {760, PRESSURE_HIGH},     {749, PRESSURE_NORMAL},
        {760, PRESSURE_NORMAL},   {900, PRESSURE_CRITICAL}, {899, PRESSURE_CRITICAL},
        {750, PRESSURE_CRITICAL}, {749, PRESSURE_NORMAL},   {5000, PRESSURE_CRITICAL},
    };
    enum pressure level = PRESSURE_NORMAL;
    for (size_t i = 0; i < ARRAY_LEN(steps); i++) {
        level = pressure_next(level, steps[i].used, 1000, &usual);
        assert_int_equal(level, steps[i].level);
    }
    assert_int_equal(pressure_next(PRESSURE_CRITICAL, 5000, 0, &usual), PRESSURE_NORMAL);
}

static void test_percent_and_amount_agree(void **state)
{
    static const uint64_t limits[] = {1, 7, 100, 999, 1ull << 20, 1ull << 50, UINT64_MAX};
    for (size_t i = 0; i < ARRAY_LEN(limits); i++)
        for (unsigned percent = 1; percent <= 100; percent++) {
            uint64_t amount = pressure_amount(limits[i], percent);
            assert_true(pressure_percent(amount, limits[i]) >= percent);
            assert_true(amount == 0 || pressure_percent(amount - 1, limits[i]) < percent);
        }
    assert_int_equal(pressure_percent(UINT64_MAX, 1), 999);
    assert_int_equal(pressure_percent(1, 0), 0);
}

static void test_a_trend_tells_when_it_is_full(void **state)
{
    struct trend trend = {0};
    for (uint64_t second = 0; second < 300; second++)
        trend_add(&trend, 1000 + second * 1000, (double)second * 10);
    int64_t until = trend_until(&trend, 2990 + 8400);
    assert_in_range(until, 838, 842);
    assert_int_equal(trend_until(&trend, 100), 0);
    assert_int_equal(trend_until(&trend, 1e12), -1);
}

static void test_a_trend_that_falls_or_is_young_tells_nothing(void **state)
{
    struct trend trend = {0};
    assert_int_equal(trend_until(&trend, 100), -1);
    trend_add(&trend, 1000, 0);
    trend_add(&trend, 2000, 50);
    trend_add(&trend, 2000, 90); /* no time has passed */
    assert_int_equal(trend_until(&trend, 100), -1);
    for (uint64_t second = 3; second < 20; second++)
        trend_add(&trend, second * 1000, 1000 - (double)second);
    for (uint64_t second = 20; second < 300; second++)
        trend_add(&trend, second * 1000, 1000 - (double)second);
    assert_int_equal(trend_until(&trend, 1e6), -1);
}

static void test_rewrite(void **state)
{
    enum { MB = 1024 * 1024 };
    static const struct {
        struct volume volume;
        enum rewrite answer;
    } cases[] = {
        {{50 * MB, 29 * MB, 29 * MB, 1 * MB}, REWRITE_NOT_YET},
        {{50 * MB, 31 * MB, 31 * MB, 1 * MB}, REWRITE_NOW},
        {{50 * MB, 48 * MB, 48 * MB, 1 * MB}, REWRITE_NOW},
        /* Earlier, for later the two would not fit. */
        {{50 * MB, 24 * MB, 24 * MB, 19 * MB}, REWRITE_NOT_YET},
        {{50 * MB, 26 * MB, 26 * MB, 20 * MB}, REWRITE_NOW},
        {{50 * MB, 40 * MB, 40 * MB, 20 * MB}, REWRITE_NO_ROOM},
        {{50 * MB, 32 * MB, 32 * MB, 30 * MB}, REWRITE_USELESS},
        {{50 * MB, 45 * MB, 3 * MB, 1 * MB}, REWRITE_USELESS}, /* other files fill it */
        {{0, 45 * MB, 45 * MB, 1 * MB}, REWRITE_NOT_YET},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        assert_int_equal(rewrite_judge(&cases[i].volume, 60), cases[i].answer);
    assert_int_equal(rewrite_judge(&cases[1].volume, 0), REWRITE_NOT_YET);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_level_ends_only_below_resume),
        cmocka_unit_test(test_percent_and_amount_agree),
        cmocka_unit_test(test_a_trend_tells_when_it_is_full),
        cmocka_unit_test(test_a_trend_that_falls_or_is_young_tells_nothing),
        cmocka_unit_test(test_rewrite),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
