/* test_rewrite.c - what a request becomes, and what is left as it is. */
#include "fixture.h"

static struct setup s;

static int before(void **state)
{
    setup_init(&s);
    s.table = command_table_builtin();
    return 0;
}

static int after(void **state)
{
    setup_free(&s);
    return 0;
}

static const char *becomes(const char *request)
{
    struct asked asked;
    struct rewritten rewritten;
    struct buf text = {0};
    asked_parse(&asked, &s, request);
    policy_rewrite(s.policy, &asked.question, s.arena, &rewritten);
    for (size_t i = 0; i < rewritten.argc; i++) {
        buf_text(&text, i ? " " : "");
        buf_str(&text, rewritten.argv[i]);
    }
    const char *copy = arena_str(s.arena, buf_view(&text));
    buf_free(&text);
    return copy;
}

static void expect(const char *const (*pairs)[2], size_t count)
{
    for (size_t i = 0; i < count; i++)
        assert_string_equal(becomes(pairs[i][0]), pairs[i][1] ? pairs[i][1] : pairs[i][0]);
}

static void test_streams_are_bounded(void **state)
{
    static const char *const pairs[][2] = {
        {"XADD s * f v", "XADD s MAXLEN ~ 1000 * f v"},
        {"xadd s NOMKSTREAM * f v", "xadd s NOMKSTREAM MAXLEN ~ 1000 * f v"},
        {"XADD s 1-1 maxlen 1", "XADD s MAXLEN ~ 1000 1-1 maxlen 1"},
        {"XADD s MAXLEN 999 * f v", NULL},
        {"XADD s maxlen = 1000 * f v", NULL},
        {"XADD s MAXLEN ~ 0 * f v", NULL},
        {"XADD s MAXLEN 1001 * f v", "XADD s MAXLEN ~ 1000 * f v"},
        {"XADD s MAXLEN = 5000000 nomkstream * f v", "XADD s MAXLEN ~ 1000 nomkstream * f v"},
        {"XADD s MAXLEN ~ 5000 LIMIT 1 * f v", "XADD s MAXLEN ~ 1000 * f v"},
        {"XADD s LIMIT 1 MAXLEN ~ 5000 * f v", "XADD s MAXLEN ~ 1000 * f v"},
        {"XADD s MAXLEN ~ 500 LIMIT 1 * f v", "XADD s MAXLEN ~ 500 * f v"},
        {"XADD s LIMIT 1 nomkstream MAXLEN ~ 500 * f v", "XADD s nomkstream MAXLEN ~ 500 * f v"},
        {"XADD s MINID 1-1 * f v", "XADD s MAXLEN ~ 1000 * f v"},
        {"XADD s MINID ~ 1-1 LIMIT 10 * f v", "XADD s MAXLEN ~ 1000 * f v"},
        /* Redis refuses these; numbers that are none are replaced, which does no harm. */
        {"XADD s MAXLEN 1 MAXLEN 2000 * f v", NULL},
        {"XADD s LIMIT 1 * f v", NULL},
        {"XADD s MAXLEN", "XADD s MAXLEN ~ 1000 MAXLEN"},
        {"XADD s MAXLEN ~", NULL},
        {"XADD s MAXLEN ~ 5", NULL},
        {"XADD s MAXLEN -1 * f v", "XADD s MAXLEN ~ 1000 * f v"},
        {"XADD s", NULL},
        {"XTRIM s MAXLEN 5000", NULL},
    };
    setup_rule(&s, "r", "commands = @write; action = rewrite; add = MAXLEN ~ 1000");
    setup_compile(&s);
    expect(pairs, ARRAY_LEN(pairs));
}

static void test_values_get_a_time_to_live(void **state)
{
    static const char *const pairs[][2] = {
        {"SET k v", "SET k v EX 60"},
        {"set k v NX GET", "set k v NX GET EX 60"},
        {"SET k v EX 60", NULL},
        {"SET k v EX 61 NX", "SET k v EX 60 NX"},
        {"SET k v px 60000", NULL},
        {"SET k v NX PX 60001", "SET k v NX EX 60"},
        {"SET k v EXAT 1", NULL},
        {"SET k v EXAT 99999999999", "SET k v EX 60"},
        {"SET k v PXAT 99999999999999 GET", "SET k v EX 60 GET"},
        {"SET k v KEEPTTL", NULL},
        {"SET k v EX 1 EX 61", "SET k v EX 60"},
        {"SET k v PX 1 NX PX 60001 GET PX 60001", "SET k v NX GET EX 60"},
        {"SET k v EX 61 EX 1", "SET k v EX 1"},
        {"SET k v IFEQ keepttl", "SET k v IFEQ keepttl EX 60"},
        {"SET k v IFEQ ex PX 60001", "SET k v IFEQ ex EX 60"},
        {"SET k v EX x", NULL},
        {"SET k v EX -5", NULL},
        {"SET k v EX 9223372036854775807", NULL},
        {"SET k", NULL},
        {"SET EX 5", "SET EX 5 EX 60"},
        {"GETSET k v", "SET k v EX 60 GET"},
        {"GETSET k", NULL},
        {"SETEX k 5 v", NULL},
        {"MSET k v", NULL},
    };
    setup_rule(&s, "r", "commands = *; action = rewrite; add = EX 60");
    setup_compile(&s);
    expect(pairs, ARRAY_LEN(pairs));
}

static void test_flushes_do_not_block(void **state)
{
    static const char *const pairs[][2] = {
        {"FLUSHALL", "FLUSHALL ASYNC"}, {"flushdb", "flushdb ASYNC"}, {"FLUSHALL ASYNC", NULL},
        {"FLUSHALL SYNC", NULL},        {"FLUSHDB x y", NULL},        {"DBSIZE", NULL},
    };
    setup_rule(&s, "r", "commands = *; action = rewrite; add = async");
    setup_compile(&s);
    expect(pairs, ARRAY_LEN(pairs));
}

static void test_several_rules_and_their_clauses(void **state)
{
    setup_rule(&s, "a", "commands = xadd; keys = a*; action = rewrite; add = MAXLEN = 100");
    setup_rule(&s, "b", "commands = xadd; action = rewrite; add = MAXLEN ~ 10");
    setup_rule(&s, "c", "commands = xadd; action = rewrite; add = MAXLEN ~ 1; mode = observe");
    setup_rule(&s, "d", "commands = xadd; action = rewrite; add = MAXLEN ~ 2; mode = off");
    setup_compile(&s);
    assert_string_equal(becomes("XADD a * f v"), "XADD a MAXLEN ~ 10 * f v");
    assert_string_equal(becomes("XADD b * f v"), "XADD b MAXLEN ~ 10 * f v");
    s.config.proxy.observe = true;
    setup_compile(&s);
    assert_string_equal(becomes("XADD a * f v"), "XADD a * f v");
}

static void test_what_cannot_be_added(void **state)
{
    static const char *const wrong[] = {
        "MAXLEN",
        "MAXLEN ~",
        "MAXLEN ~ 0",
        "MAXLEN ~ -1",
        "MAXLEN ~ 1 LIMIT 1",
        "MINID ~ 1",
        "MAXLEN ~1",
        "EX",
        "EX 0",
        "EX 1.5",
        "PX 5",
        "ASYNC ASYNC",
        "SYNC",
        "EX 99999999999999999999",
    };
    for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
        setup_free(&s);
        setup_init(&s);
        s.table = command_table_builtin();
        setup_rule(&s, "r",
                   arena_printf(s.arena, "commands = *; action = rewrite; add = %s", wrong[i]));
        setup_refused(&s, "is none of: MAXLEN ~ N");
    }
    setup_free(&s);
    setup_init(&s);
    s.table = command_table_builtin();
    setup_rule(&s, "r", "commands = set; action = rewrite; add = MAXLEN ~ 5");
    setup_refused(&s, "names no command that 'MAXLEN ~ 5' can be added to");
}

int main(void)
{
#define TEST(function) cmocka_unit_test_setup_teardown(function, before, after)
    const struct CMUnitTest tests[] = {
        TEST(test_streams_are_bounded),  TEST(test_values_get_a_time_to_live),
        TEST(test_flushes_do_not_block), TEST(test_several_rules_and_their_clauses),
        TEST(test_what_cannot_be_added),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
