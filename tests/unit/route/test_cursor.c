/* test_cursor.c - SCAN's cursor: whatever fits comes back as it was, below 2^53. */
#include "respgate/route.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>

static void there_and_back(void **state)
{
    (void)state;
    for (int round = 0; round < 100000; round++) {
        struct scan_cursor cursor = {random_below(16), cursor_print(random_below(~0u)),
                                     random_below(256), random_below(~0u)},
                           back;
        uint64_t number;
        char text[32];
        assert_true(cursor_pack(&cursor, &number));
        assert_true(number > 0 && number < 1ull << 53);
        snprintf(text, sizeof(text), "%llu", (unsigned long long)number);
        assert_true(cursor_parse(str_of(text), &back));
        assert_int_equal(back.pass, cursor.pass);
        assert_int_equal(back.fingerprint, cursor.fingerprint);
        assert_int_equal(back.node, cursor.node);
        assert_int_equal(back.inner, cursor.inner);
    }
}

static void too_large(void **state)
{
    struct scan_cursor cursor = {0, 1, 0, 1ull << 32};
    uint64_t number;
    (void)state;
    assert_false(cursor_pack(&cursor, &number));
    cursor = (struct scan_cursor){16, 1, 0, 0};
    assert_false(cursor_pack(&cursor, &number));
    cursor = (struct scan_cursor){0, 1, 256, 0};
    assert_false(cursor_pack(&cursor, &number));
    static const char *const wrong[] = {"9007199254740992",    "-1", "", "x", "01", "1 ",
                                        "18446744073709551615"};
    for (size_t i = 0; i < ARRAY_LEN(wrong); i++)
        assert_false(cursor_parse(str_of(wrong[i]), &cursor));
    assert_true(cursor_parse(STR("9007199254740991"), &cursor));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(there_and_back),
        cmocka_unit_test(too_large),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
