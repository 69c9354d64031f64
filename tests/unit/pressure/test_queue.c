/* test_queue.c - how many entries a command may add to a queue. */
#include "../command/requests.h"
#include "respgate/pressure.h"

static void expect(const char *line, size_t arg, uint64_t adds)
{
    struct test_request request = request_of(line);
    uint64_t got = queue_adds(request_command(&request), request.argv, request.argc, arg);
    if (got != adds)
        fail_msg("'%s': %llu, not %llu", line, (unsigned long long)got, (unsigned long long)adds);
    request_free(&request);
}

static void test_adds(void **state)
{
    expect("XADD s * f v", 1, 1);
    expect("RPUSH l a b c", 1, 3);
    expect("lpushx l a", 1, 1);
    expect("LINSERT l BEFORE a b", 1, 1);
    expect("ZADD z 1 a 2 b", 1, 2);
    expect("ZADD z NX CH 1 a", 1, 1);
    expect("ZADD z xx 1 a", 1, 0);
    expect("ZADD z", 1, 0);
    expect("LMOVE a b LEFT RIGHT", 1, 0);
    expect("LMOVE a b LEFT RIGHT", 2, 1);
    expect("RPOPLPUSH a b", 2, 1);
    expect("LPOP l", 1, 0);
    expect("XACK s g 1", 1, 0);
    expect("LSET l 0 v", 1, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_adds)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
