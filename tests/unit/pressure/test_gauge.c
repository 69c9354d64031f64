/* test_gauge.c - what is let through between two looks, against a model that knows the truth. */
#include "respgate/pressure.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>
#include <stdlib.h>

static void test_what_was_answered_before_the_look_is_in_it(void **state)
{
    struct gauge gauge = {0};
    assert_true(gauge_add(&gauge, 30, 100));
    assert_true(gauge_add(&gauge, 20, 100));
    assert_int_equal(gauge_now(&gauge), 50);
    gauge_land(&gauge, 30);
    uint64_t mark = gauge_mark(&gauge);
    assert_true(gauge_add(&gauge, 5, 100)); /* between question and answer */
    gauge_look(&gauge, 1000, mark);
    assert_int_equal(gauge_now(&gauge), 1025);
}

static void test_nothing_reaches_the_bound(void **state)
{
    struct gauge gauge = {0};
    assert_false(gauge_add(&gauge, 100, 100));
    assert_false(gauge_add(&gauge, UINT64_MAX, 100));
    assert_true(gauge_add(&gauge, 99, 100));
    assert_false(gauge_add(&gauge, 1, 100));
    assert_int_equal(gauge_now(&gauge), 99);
}

static void test_no_sum_wraps(void **state)
{
    struct gauge gauge = {.told = UINT64_MAX - 1, .begun = 5};
    assert_int_equal(gauge_now(&gauge), UINT64_MAX);
}

/* The store runs requests in any order, some time between begin and answer; looks come at random
 * and are answered late. The gauge must never be below what the store holds when it is told. */
static void test_never_below_the_truth(void **state)
{
    enum { REQUESTS = 64, STEPS = 200000 };
    struct flight {
        uint64_t size;
        bool ran;
    } flights[REQUESTS] = {{0}};
    struct gauge gauge = {0};
    uint64_t truth = 0, mark = 0, seen = 0;
    bool asked = false;
    srand(7);
    for (int step = 0; step < STEPS; step++) {
        struct flight *flight = &flights[rand() % REQUESTS];
        if (!flight->size) {
            flight->size = (uint64_t)(rand() % 100 + 1);
            flight->ran = false;
            assert_true(gauge_add(&gauge, flight->size, UINT64_MAX));
        } else if (!flight->ran) {
            flight->ran = true;
            truth += flight->size;
        } else {
            gauge_land(&gauge, flight->size);
            flight->size = 0;
        }
        switch (rand() % 50) {
        case 0:
            mark = asked ? mark : gauge_mark(&gauge);
            seen = asked ? seen : truth;
            asked = true;
            break;
        case 1:
            if (asked)
                gauge_look(&gauge, seen, mark);
            asked = false;
            break;
        }
        assert_true(gauge_now(&gauge) >= truth);
    }
}

static void test_charges_land_once(void **state)
{
    struct gauge gauge = {0};
    struct charge *call = NULL, *transaction = NULL;
    charge_add(&call, &gauge, 10);
    charge_add(&transaction, &gauge, 5);
    charge_move(&transaction, &call);
    assert_null(call);
    charge_land(&call);
    assert_int_equal(gauge.landed, 0);
    charge_land(&transaction);
    charge_land(&transaction);
    assert_int_equal(gauge.landed, 15);
}

static void test_size_classes(void **state)
{
    assert_int_equal(gauge_allocated(131072 + 20), 163840);
    assert_int_equal(gauge_allocated(131072), 131072);
    assert_int_equal(gauge_allocated(100), 112);
    assert_int_equal(gauge_allocated(0), 0);
    assert_int_equal(gauge_allocated(UINT64_MAX), UINT64_MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_was_answered_before_the_look_is_in_it),
        cmocka_unit_test(test_nothing_reaches_the_bound),
        cmocka_unit_test(test_no_sum_wraps),
        cmocka_unit_test(test_never_below_the_truth),
        cmocka_unit_test(test_charges_land_once),
        cmocka_unit_test(test_size_classes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
