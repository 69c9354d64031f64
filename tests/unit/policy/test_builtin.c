/* test_builtin.c - rules over the real command table: its classes, key positions and learning. */
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

static void expect_all(const char *const *requests, size_t count, const char *rule)
{
    for (size_t i = 0; i < count; i++) {
        const char *got = decided(&s, requests[i]);
        if (strcmp(got, rule) != 0)
            fail_msg("'%s': expected %s, got %s", requests[i], rule, got);
    }
}
#define EXPECT(rule, ...)                                                                          \
    do {                                                                                           \
        const char *const requests[] = {__VA_ARGS__};                                              \
        expect_all(requests, ARRAY_LEN(requests), rule);                                           \
    } while (0)

/* What emptied a live platform is refused, what an administrator should do instead is not. */
static void test_destructive(void **state)
{
    setup_rule(&s, "no-flush", "commands = @destructive; action = deny");
    setup_compile(&s);
    EXPECT("no-flush", "flushall", "FlushDB async", "SWAPDB 0 1", "config SET maxmemory 0",
           "debug sleep 1", "shutdown", "script flush", "function flush", "move a 1",
           "cluster reset", "client pause 100", "xgroup destroy s g", "replicaof no one");
    EXPECT("-", "scan 0", "del a", "unlink a", "xtrim s maxlen 10", "memory usage a", "get a",
           "set a b", "info", "ping", "xack s g 1-1");
}

/* Keys are where the key specifications say, not only in front. */
static void test_key_positions(void **state)
{
    setup_rule(&s, "no", "commands = *; keys = t:*; action = deny");
    setup_compile(&s);
    EXPECT("no", "rename a t:x", "sort a store t:x", "bitop and t:d a b", "eval x 2 a t:x",
           "xread count 1 streams a t:x 0 0", "zunionstore d 2 a t:x", "mset a 1 t:b 2",
           "georadius a 1 2 3 m store t:x", "migrate h 1 t:x 0 10", "lmove a t:x left left",
           "sort a by t:*", "object encoding t:x", "keys t:*", "scan 0 match t*",
           "client tracking on bcast prefix t:");
    EXPECT("-", "set a t:x", "eval x 1 a t:x", "mset a t:x", "keys a*", "publish t:x y",
           "spublish t:x y", "sort a by nosort get #");
}

static void test_named_databases(void **state)
{
    setup_rule(&s, "no", "commands = *; db = 3; action = deny");
    setup_compile(&s);
    EXPECT("no", "copy a b db 3", "move a 3", "swapdb 3 1", "select 3");
    EXPECT("-", "copy a b db 1", "move a 1", "select 1", "get a");
}

static void test_reserved(void **state)
{
    setup_compile(&s);
    EXPECT("reserved-keys", "get {respgate}:a", "eval x 1 {respgate}:a", "keys {respgate}*");
    EXPECT("reserved-channels", "publish __keyevent@0__:del x", "spublish __redis__:x y");
    EXPECT("-", "set a {respgate}", "publish a b");
}

/* Every command and class can be named. */
static void test_all_names(void **state)
{
    for (size_t id = 0; id < command_count(s.table); id++) {
        s.config.rule_count = 0;
        setup_rule(&s, "r",
                   arena_printf(s.arena, "commands = %s; action = deny",
                                command_by_id(s.table, id)->name));
        setup_compile(&s);
        assert_true(policy_concerns(s.policy, command_by_id(s.table, id), SIZE_MAX, NULL));
    }
    for (int bit = 0; bit < CLASS_COUNT; bit++) {
        s.config.rule_count = 0;
        setup_rule(&s, "r",
                   arena_printf(s.arena, "commands = @%s; action = deny",
                                class_name((enum class_bit)bit)));
        setup_compile(&s);
    }
    assert_int_equal(s.problems.warnings, 0);
}

/* A rule that names a module's command warns, and applies once the backend has told of it. */
static void test_learned_later(void **state)
{
    static const char reply[] = "*2\r\n"
                                "*7\r\n$9\r\njson.wipe\r\n:-2\r\n*1\r\n+write\r\n:0\r\n:0\r\n:0\r\n"
                                "*1\r\n+@write\r\n"
                                "*7\r\n$8\r\njson.get\r\n:-2\r\n*1\r\n+readonly\r\n:1\r\n:1\r\n"
                                ":1\r\n*1\r\n+@read\r\n";
    size_t malformed;
    setup_rule(&s, "wipe", "commands = json.wipe; users = app; action = allow");
    setup_compile(&s);
    assert_true(setup_warned(&s, "command 'json.wipe' is not known to this version"));
    const struct tree *tree = tree_parse(s.arena, reply, sizeof(reply) - 1);
    struct command_table *learned = command_table_learn(tree, &malformed);
    assert_int_equal(malformed, 0);
    s.table = learned;
    setup_compile(&s);
    EXPECT("learned", "json.wipe k");
    EXPECT("-", "json.get k");
    s.subject.user = STR("app");
    EXPECT("allow:wipe", "JSON.WIPE k");
    command_table_free(learned);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, before, after)
int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_destructive), TEST(test_key_positions), TEST(test_named_databases),
        TEST(test_reserved),    TEST(test_all_names),     TEST(test_learned_later),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
