/* test_info.c - INFO read: of Redis, of others, and nonsense. */
#include "respgate/pressure.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

static struct info info_of(const char *text, bool understood)
{
    struct info info;
    assert_int_equal(info_parse(str_of(text), &info), understood);
    return info;
}

static void test_redis(void **state)
{
    struct info info = info_of("# Memory\r\nused_memory:1048576\r\nmaxmemory:67108864\r\n"
                               "maxmemory_policy:noeviction\r\naof_last_write_status:err\r\n"
                               "# Keyspace\r\ndb0:keys=12,expires=0\r\ndb1:keys=3,expires=1\r\n",
                               true);
    assert_int_equal(info.used_memory, 1048576);
    assert_int_equal(info.maxmemory, 67108864);
    assert_string_equal(info.maxmemory_policy, "noeviction");
    assert_int_equal(info.aof_last_write_status, 0);
    assert_int_equal(info.aof_current_size, INFO_UNKNOWN);
    assert_int_equal(info.keys, 15);
}

static void test_an_empty_keyspace_is_no_keys_and_none_is_unknown(void **state)
{
    assert_int_equal(info_of("used_memory:1\r\n# Keyspace\r\n", true).keys, 0);
    assert_int_equal(info_of("used_memory:1\r\n", true).keys, INFO_UNKNOWN);
}

static void test_nonsense_is_unknown(void **state)
{
    struct info info = info_of("used_memory:-1\nmaxmemory:12x\nloading:\nrole:a b\x01\n", true);
    assert_int_equal(info.used_memory, INFO_UNKNOWN);
    assert_int_equal(info.maxmemory, INFO_UNKNOWN);
    assert_int_equal(info.loading, INFO_UNKNOWN);
    assert_string_equal(info.role, "a?b?");
    info_of("", false);
    info_of("hello\r\n:\r\n", false);
}

static void test_commandstats(void **state)
{
    struct str text = STR("# Commandstats\r\ncmdstat_flushall:calls=2,usec=4\r\ncmdstat_x:no\r\n"
                          "cmdstat_config|get:calls=7");
    struct str name;
    uint64_t calls;
    assert_true(info_next_command(&text, &name, &calls));
    assert_true(str_equal(name, STR("flushall")) && calls == 2);
    assert_true(info_next_command(&text, &name, &calls));
    assert_true(str_equal(name, STR("config|get")) && calls == 7);
    assert_false(info_next_command(&text, &name, &calls));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_redis),
        cmocka_unit_test(test_an_empty_keyspace_is_no_keys_and_none_is_unknown),
        cmocka_unit_test(test_nonsense_is_unknown),
        cmocka_unit_test(test_commandstats),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
