/* test_samples.c - hot keys stand out of a crowd; the largest are kept; slow ones by their turn. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "respgate/stats.h"

static struct str key_of(char room[32], unsigned number)
{
    return (struct str){room, (size_t)snprintf(room, 32, "key:%u", number)};
}

static void a_hot_key_stands_out_of_a_million_others(void **state)
{
    static struct hot_keys hot = {.seed = 5};
    char room[32];
    size_t found = 0;
    for (unsigned i = 0; i < 200000; i++)
        hot_add(&hot, i % 20 ? key_of(room, i) : STR("hot"));
    for (size_t i = 0; i < hot.used; i++) {
        struct str key = {hot.more[i].key.ptr, hot.more[i].key.len};
        uint64_t shown = hot.total[i] - hot.more[i].inherited;
        bool is_hot = str_equal(key, STR("hot"));
        found += is_hot;
        assert_true(is_hot ? shown >= 9900 && shown <= 10000 : shown < 100);
    }
    assert_int_equal(found, 1);
    hot_clear(&hot);
}

static void the_largest_are_kept_once_each(void **state)
{
    static struct big_keys keys;
    char room[32];
    for (unsigned i = 0; i < 1000; i++)
        big_add(&keys, key_of(room, i % 500), 1 + i % 500);
    assert_int_equal(keys.used, BIG_KEPT);
    for (size_t i = 0; i < keys.used; i++)
        assert_true(keys.rows[i].bytes > 500 - BIG_KEPT);
    assert_null(big_add(&keys, STR("small"), 10));
    big_clear(&keys);
}

static void the_last_slow_ones_are_kept(void **state)
{
    static struct slow_requests slow;
    char room[32];
    for (unsigned i = 1; i <= SLOW_KEPT + 5; i++)
        slow_add(&slow, key_of(room, i))->queue = i;
    assert_null(slow_find(&slow, 5));
    assert_int_equal(slow_find(&slow, SLOW_KEPT + 5)->queue, SLOW_KEPT + 5);
    slow_clear(&slow);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_hot_key_stands_out_of_a_million_others),
        cmocka_unit_test(the_largest_are_kept_once_each),
        cmocka_unit_test(the_last_slow_ones_are_kept),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
