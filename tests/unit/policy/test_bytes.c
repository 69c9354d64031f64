/* test_bytes.c - what a write may reach: its own size, or where its offsets end. */
#include "../command/requests.h"
#include "respgate/policy.h"

static uint64_t reach(const char *line)
{
    struct test_request request = request_of(line);
    uint64_t bytes = policy_bytes(request_command(&request), request.argv, request.argc);
    request_free(&request);
    return bytes;
}

static void test_others_reach_what_they_bring(void **state)
{
    assert_int_equal(reach("SET k 12345"), 9);
    assert_int_equal(reach("XADD s * f v"), 8);
    assert_int_equal(reach("PING"), 4);
}

static void test_offsets(void **state)
{
    assert_int_equal(reach("SETRANGE k 536870911 x"), 536870912);
    assert_int_equal(reach("SETBIT k 4294967295 1"), 536870912);
    assert_int_equal(reach("BITFIELD k SET u8 4294967288 1"), 536870912);
    assert_int_equal(reach("BITFIELD k GET u8 1000000 INCRBY i16 #1000 1"), 2002);
    assert_int_equal(reach("BITFIELD k GET u8 4294967288"), 24);
    assert_int_equal(reach("setrange k 0 x"), 11);
}

/* What the store refuses reaches nothing; nothing wraps around. */
static void test_nonsense(void **state)
{
    assert_int_equal(reach("SETRANGE k -5 x"), 12);
    assert_int_equal(reach("SETRANGE k"), 9);
    assert_int_equal(reach("SETBIT k nonsense 1"), 16);
    assert_int_equal(reach("SETRANGE k 9223372036854775807 x"), 9223372036854775808ull);
    assert_int_equal(reach("BITFIELD k SET u64 #9223372036854775807 1"), UINT64_MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_others_reach_what_they_bring),
        cmocka_unit_test(test_offsets),
        cmocka_unit_test(test_nonsense),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
