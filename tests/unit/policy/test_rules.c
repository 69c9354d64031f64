/* test_rules.c - each clause, the order of judgement, built-in judgements, mistakes in rules. */
#include "fixture.h"

static struct setup s;

static int before(void **state)
{
    setup_init(&s);
    return 0;
}

static int after(void **state)
{
    setup_free(&s);
    return 0;
}

static void expect(const char *request, const char *rule)
{
    const char *got = decided(&s, request);
    if (strcmp(got, rule) != 0)
        fail_msg("'%s': expected %s, got %s", request, rule, got);
}

/* ---- commands ----------------------------------------------------------------------------- */

static void test_no_rules(void **state)
{
    setup_compile(&s);
    expect("flushall", "-");
    assert_int_equal(policy_rule_count(s.policy), 0);
    assert_false(policy_concerns(s.policy, command_by_name(NULL, STR("get")), SIZE_MAX, NULL));
    assert_true(policy_concerns(s.policy, command_by_name(NULL, STR("publish")), SIZE_MAX, NULL));
}

static void test_command_names(void **state)
{
    setup_rule(&s, "no", "commands = FlushAll, CONFIG|set; action = deny");
    setup_compile(&s);
    expect("FLUSHALL", "no");
    expect("flushall async", "no");
    expect("config set a b", "no");
    expect("config get a", "-");
    expect("config", "-");
    expect("get a", "-");
}

static void test_container_means_all_of_it(void **state)
{
    setup_rule(&s, "no", "commands = config; action = deny");
    setup_compile(&s);
    expect("config", "no");
    expect("config get a", "no");
    expect("config set a b", "no");
    expect("config new", "no"); /* learned, not next to the others */
    expect("client", "-");
}

static void test_classes(void **state)
{
    setup_rule(&s, "no", "commands = @Destructive, @inspect; action = deny");
    setup_compile(&s);
    expect("flushall", "no");
    expect("config get x", "no");
    expect("set a b", "-");
}

static void test_classes_by_arguments(void **state)
{
    setup_rule(&s, "no", "commands = @delete; action = deny");
    setup_compile(&s);
    expect("del a", "no");
    expect("expire a 10", "-");
    expect("expire a -1", "no");
    expect("sort a", "-");
    expect("sort a store b", "no");
    expect("copy a b replace", "no");
    expect("copy a b", "-");
}

static void test_star_and_absent(void **state)
{
    setup_rule(&s, "star", "commands = *; keys = a*; action = deny");
    setup_rule(&s, "absent", "keys = b*; action = deny");
    setup_compile(&s);
    expect("get a", "star");
    expect("get b", "absent");
    expect("get c", "-");
    expect("ping", "-");
    assert_int_equal(s.problems.warnings, 0);
}

/* ---- keys --------------------------------------------------------------------------------- */

static void test_keys_any_for_deny(void **state)
{
    setup_rule(&s, "no", "commands = *; keys = t1:*, lit, g?b:*; action = deny");
    setup_compile(&s);
    expect("rename t2:x t1:x", "no");
    expect("del x y z t1:", "no");
    expect("get lit", "no");
    expect("get lite", "-");
    expect("get li", "-");
    expect("get gab:1", "no");
    expect("get t1", "-");
    expect("ping", "-");
    expect("flushall", "-"); /* a key pattern does not stop commands without keys */
    expect("sort x by w_*", "no");
}

static void test_keys_every_for_allow(void **state)
{
    setup_rule(&s, "own", "commands = *; keys = t1:*; action = allow");
    setup_rule(&s, "rest", "commands = *; action = deny");
    setup_compile(&s);
    expect("get t1:x", "allow:own");
    expect("rename t1:x t1:y", "allow:own");
    expect("rename t2:x t1:x", "rest");
    expect("rename t1:x t2:x", "rest");
    expect("flushall", "rest");
    expect("ping", "rest");
    expect("sort t1:x", "allow:own");
    expect("sort t1:x by w_*", "rest");
}

static void test_keys_excluded(void **state)
{
    setup_rule(&s, "no", "commands = *; keys = job:*, !job:tmp:*, !job:x; action = deny");
    setup_compile(&s);
    expect("get job:1", "no");
    expect("get job:tmp:1", "-");
    expect("get job:x", "-");
    expect("get job:xy", "no");
    expect("rename job:tmp:1 job:tmp:2", "-");
    expect("rename job:tmp:1 job:2", "no");
}

static void test_keys_only_excluded(void **state)
{
    setup_rule(&s, "no", "commands = *; keys = !job:*; action = deny");
    setup_compile(&s);
    expect("get job:1", "-");
    expect("get x", "no");
    expect("ping", "-");
}

static void test_keys_escapes(void **state)
{
    setup_rule(&s, "no", "commands = *; keys = a\\*b, \\!c, d\\**, e\\; action = deny");
    setup_compile(&s);
    expect("get a*b", "no");
    expect("get axb", "-");
    expect("get !c", "no");
    expect("get d*z", "no");
    expect("get dz", "-");
    expect("get e\\", "no");
}

static void test_keys_covering_prefixes(void **state)
{
    setup_rule(&s, "no", "commands = *; keys = ab*, a, abc*, abd, b, ba*, ba, c**; action = deny");
    setup_compile(&s);
    const char *hits[] = {"a", "ab", "abc", "abzz", "abd", "b", "ba", "baz", "c", "cc"};
    const char *misses[] = {"aa", "ac", "bb", "bbz", "d", "A"};
    for (size_t i = 0; i < ARRAY_LEN(hits); i++)
        expect(arena_printf(s.arena, "get %s", hits[i]), "no");
    for (size_t i = 0; i < ARRAY_LEN(misses); i++)
        expect(arena_printf(s.arena, "get %s", misses[i]), "-");
}

/* Patterns of SCAN, KEYS and tracking count as keys. */
static void test_keys_patterns_deny(void **state)
{
    setup_rule(&s, "no", "commands = *; keys = secret:*, !secret:open:*; action = deny");
    setup_compile(&s);
    expect("keys *", "no");
    expect("keys secret:1", "no");
    expect("keys sec*", "no");
    expect("keys secret:a?", "no");
    expect("keys s[ae]cret*", "no");
    expect("keys job:*", "-");
    expect("keys secret:open:*", "-");
    expect("keys secret:open", "no");
    expect("scan 0", "no");
    expect("scan 0 count 10 match job:*", "-");
    expect("scan 0 MATCH secret:* count 10", "no");
    expect("scan 0 type match match secret:*", "no");
    expect("scan 0 match job:* match secret:*", "no");
    expect("client tracking on bcast", "no");
    expect("client tracking on bcast prefix job: prefix sec", "no");
    expect("client tracking on prefix job: bcast", "-");
    expect("client tracking on", "-");
}

static void test_keys_patterns_allow(void **state)
{
    setup_rule(&s, "own", "commands = *; keys = job:*, a:*:z, !job:tmp:*; action = allow");
    setup_rule(&s, "rest", "commands = *; action = deny");
    setup_compile(&s);
    expect("keys job:1", "allow:own");
    expect("keys job:1*", "allow:own");
    expect("keys job:*", "rest"); /* reaches what is excluded */
    expect("keys a:*:z", "allow:own");
    expect("keys a:*", "rest");
    expect("keys *", "rest");
    expect("scan 0", "rest");
    expect("scan 0 match job:x:*", "allow:own");
    expect("client tracking on bcast prefix job:x", "allow:own");
    expect("client tracking on bcast prefix job:x prefix y", "rest");
}

/* ---- db ----------------------------------------------------------------------------------- */

static void test_db_deny(void **state)
{
    setup_rule(&s, "no", "commands = *; db = 3, 5; action = deny");
    setup_compile(&s);
    expect("get a", "-");
    expect("copy a b", "-");
    expect("copy a b db 3", "no");
    expect("copy a b REPLACE DB 5", "no");
    expect("copy a b db 4 db 3", "no");
    expect("copy a b db", "-");
    expect("move a 3", "no");
    expect("move a 1", "-");
    expect("move a 03", "no"); /* no number: could be any */
    expect("swapdb 0 3", "no");
    expect("swapdb 5 0", "no");
    expect("swapdb 1 2", "-");
    expect("select 3", "no");
    expect("select 2", "-");
    s.db = 3;
    expect("get a", "no");
    expect("select 0", "no");
    expect("swapdb 1 2", "-"); /* touches neither 3 nor 5 */
}

static void test_db_allow(void **state)
{
    setup_rule(&s, "own", "commands = *; db = 3, 4; action = allow");
    setup_rule(&s, "rest", "commands = *; action = deny");
    setup_compile(&s);
    expect("get a", "rest");
    expect("select 3", "allow:own"); /* else nobody could get there */
    expect("select 0", "rest");
    expect("select", "rest");
    s.db = 3;
    expect("get a", "allow:own");
    expect("select 0", "rest");
    expect("move a 4", "allow:own");
    expect("move a 5", "rest");
    expect("move a x", "rest");
    expect("copy a b db 4", "allow:own");
    expect("copy a b db 0", "rest");
    expect("swapdb 3 4", "allow:own");
    expect("swapdb 3 0", "rest");
}

/* ---- who ---------------------------------------------------------------------------------- */

static void test_users(void **state)
{
    setup_rule(&s, "no", "commands = *; users = app, cron; action = deny");
    setup_compile(&s);
    expect("get a", "-");
    s.subject.user = STR("cron");
    expect("get a", "no");
    s.subject.user = STR("Cron");
    expect("get a", "-");
}

static void test_users_must_exist(void **state)
{
    s.users[0].name = "cronjob";
    s.config.user_count = 1;
    setup_rule(&s, "no", "commands = *; users = cronjbo; action = deny");
    setup_refused(&s, "test.conf:14: unknown user 'cronjbo', did you mean 'cronjob'?");
}

static void test_from(void **state)
{
    setup_rule(&s, "no", "commands = *; from = 10.0.0.0/8, unix, 2001:db8::/32; action = deny");
    setup_compile(&s);
    expect("get a", "no");
    s.subject.address = (struct address){.ip = {11, 0, 0, 7}};
    expect("get a", "-");
    s.subject.address = (struct address){.is_unix = true};
    expect("get a", "no");
    s.subject.address = (struct address){.is_ipv6 = true, .ip = {0x20, 1, 0xd, 0xb8, 9}};
    expect("get a", "no");
}

static void test_clauses_together(void **state)
{
    setup_rule(&s, "no",
               "commands = set; keys = a*; db = 1; users = app; from = 10.0.0.7; "
               "action = deny");
    setup_compile(&s);
    s.subject.user = STR("app");
    expect("set a 1", "-");
    s.db = 1;
    expect("set a 1", "no");
    expect("set b 1", "-");
    expect("get a", "-");
    s.subject.user = STR("other");
    expect("set a 1", "-");
}

/* ---- order and modes ---------------------------------------------------------------------- */

static void test_first_match_decides(void **state)
{
    setup_rule(&s, "one", "commands = get; keys = a; action = allow");
    setup_rule(&s, "two", "commands = @read; action = deny");
    setup_rule(&s, "three", "commands = *; action = allow");
    setup_compile(&s);
    expect("get a", "allow:one");
    expect("get b", "two");
    expect("set a b", "allow:three");
}

static void test_observe_and_off(void **state)
{
    setup_rule(&s, "off", "commands = *; action = deny; mode = off");
    setup_rule(&s, "look", "commands = get; action = deny; mode = observe");
    setup_rule(&s, "also", "commands = @read; action = allow; mode = observe");
    setup_rule(&s, "no", "commands = *; keys = a; action = deny");
    setup_compile(&s);
    assert_int_equal(policy_rule_count(s.policy), 4);
    assert_string_equal(policy_rule_name(s.policy, 0), "off");
    expect("get b", "-");
    expect("get a", "no");
    assert_string_equal(observed(&s, "get a"), "look also");
    assert_string_equal(observed(&s, "set a 1"), "");
}

static void test_global_observe(void **state)
{
    s.config.proxy.observe = true;
    setup_rule(&s, "look", "commands = get; action = deny; mode = observe");
    setup_rule(&s, "no", "commands = @read; action = deny");
    setup_rule(&s, "later", "commands = *; action = deny");
    setup_compile(&s);
    expect("get a", "-");
    assert_string_equal(observed(&s, "get a"), "look no");
    assert_string_equal(observed(&s, "set a 1"), "later");
    expect("get {respgate}:x", "reserved-keys");
}

static enum read_from read_from(const char *request)
{
    struct asked asked;
    asked_parse(&asked, &s, request);
    policy_judge(s.policy, &asked.question, &asked.verdict);
    return asked.verdict.read_from;
}

static void test_read_from_of_the_rule_that_decides(void **state)
{
    setup_rule(&s, "no", "commands = get; keys = cache:no; action = deny");
    setup_rule(&s, "watching",
               "commands = get; action = allow; read-from = primary; mode = observe");
    setup_rule(&s, "cache", "commands = get; keys = cache:*; action = allow; read-from = nearest");
    setup_rule(&s, "b", "commands = get; keys = b; action = allow");
    setup_rule(&s, "late", "commands = get; action = allow; read-from = prefer-replica");
    setup_compile(&s);
    assert_int_equal(read_from("get cache:1"), READ_NEAREST);
    assert_int_equal(read_from("get cache:no"), READ_UNSET);
    assert_int_equal(read_from("get b"), READ_UNSET);
    assert_int_equal(read_from("get c"), READ_PREFER_REPLICA);
    assert_int_equal(read_from("set c 1"), READ_UNSET);
    s.config.proxy.observe = true;
    setup_compile(&s);
    assert_int_equal(read_from("get cache:1"), READ_UNSET);
    assert_string_equal(observed(&s, "get cache:1"), "watching cache");
}

static void test_observed_is_bounded(void **state)
{
    for (int i = 0; i < OBSERVED_MAX + 3; i++)
        setup_rule(&s, arena_printf(s.arena, "r%d", i),
                   "commands = get; action = deny; mode = observe");
    setup_rule(&s, "no", "commands = *; action = deny");
    setup_compile(&s);
    expect("get a", "no");
    assert_string_equal(observed(&s, "get a"), "r0 r1 r2 r3 r4 r5 r6 r7");
}

/* ---- built in ----------------------------------------------------------------------------- */

static void test_reserved_keys(void **state)
{
    setup_rule(&s, "all", "commands = *; action = allow");
    setup_compile(&s);
    expect("get {respgate}:bucket", "reserved-keys");
    expect("del a b {respgate}", "reserved-keys");
    expect("get {respgate", "allow:all");
    expect("get x{respgate}", "allow:all");
    expect("set a {respgate}", "allow:all"); /* a value */
    expect("sort a by nosort get {respgate}:*", "reserved-keys");
    expect("sort a by w_*", "allow:all");
    expect("keys {respgate}*", "reserved-keys");
    expect("scan 0 match {respgate}:*", "reserved-keys");
    expect("keys *", "allow:all");
    assert_string_equal(policy_rule_name(s.policy, POLICY_RESERVED_KEYS), "reserved-keys");
}

static void test_reserved_keys_without_rules(void **state)
{
    setup_compile(&s);
    expect("get {respgate}:bucket", "reserved-keys");
    expect("get {a}", "-");
}

static void test_reserved_channels(void **state)
{
    setup_compile(&s);
    expect("publish __keyevent@0__:del x", "reserved-channels");
    expect("publish __keyspace@0__:k x", "reserved-channels");
    expect("spublish __redis__:invalidate x", "reserved-channels");
    expect("publish __other__:x y", "-");
    expect("publish news y", "-");
    expect("publish", "-");
}

static void test_learned_data(void **state)
{
    setup_rule(&s, "all", "commands = *; action = allow");
    setup_compile(&s);
    expect("ft.search i q", "allow:all");
    expect("ft.add k v", "allow:all");
    expect("ft.shout c m", "learned");
    expect("ft.admin", "learned");
    expect("ft.risky k", "learned");
    expect("ft.lua", "learned");
    expect("ft.plain", "learned");
}

static void test_learned_named(void **state)
{
    setup_rule(&s, "class", "commands = @slow, @read; action = allow");
    setup_rule(&s, "named", "commands = ft.plain, FT.Lua; users = app; action = allow");
    setup_rule(&s, "look", "commands = ft.admin; action = allow; mode = observe");
    setup_compile(&s);
    expect("ft.plain", "learned");
    s.subject.user = STR("app");
    expect("ft.plain", "allow:named");
    expect("ft.lua", "allow:named");
    expect("ft.admin", "learned");
    assert_string_equal(observed(&s, "ft.admin"), "look");
}

static void test_learned_denied_by_rule(void **state)
{
    setup_rule(&s, "no", "commands = @slow; action = deny");
    setup_rule(&s, "named", "commands = ft.plain; action = allow");
    setup_compile(&s);
    expect("ft.plain", "no");
}

static void test_learned_modes(void **state)
{
    s.config.proxy.learned = LEARNED_ALL;
    setup_compile(&s);
    expect("ft.plain", "-");
    s.config.proxy.learned = LEARNED_NONE;
    setup_compile(&s);
    expect("ft.search", "learned");
    expect("get a", "-");
    s.config.proxy.observe = true;
    setup_compile(&s);
    expect("ft.search", "-");
    assert_string_equal(observed(&s, "ft.search"), "learned");
}

static void test_command_of_another_table(void **state)
{
    setup_compile(&s);
    const struct command stranger = {.name = "stranger", .id = 60000};
    struct asked asked;
    asked_parse(&asked, &s, "ping");
    asked.question.command = &stranger;
    assert_true(policy_concerns(s.policy, &stranger, SIZE_MAX, NULL));
    policy_judge(s.policy, &asked.question, &asked.verdict);
    assert_int_equal(asked.verdict.kind, VERDICT_DENY);
}

/* ---- mistakes ----------------------------------------------------------------------------- */

static void test_mistakes(void **state)
{
    static const struct {
        const char *options, *error;
    } cases[] = {
        {"commands = flushal; action = deny",
         "test.conf:11: unknown command 'flushal', did you mean 'flushall'?"},
        {"commands = get, config set; action = deny",
         "unknown command 'config set', did you mean 'config|set'?"},
        {"commands = qqqqqqqq; action = deny", "unknown command 'qqqqqqqq'\n"},
        {"commands = config|s.t; action = deny", "unknown command 'config|s.t'"},
        {"commands = @destrutive; action = deny",
         "unknown class '@destrutive', did you mean '@destructive'?"},
        {"commands = @raed; action = deny", "did you mean '@read'"},
        {"commands = @all; action = deny", "unknown class '@all', did you mean '*'?"},
        {"commands = @; action = deny", "unknown class '@'"},
        {"commands = !get; action = deny", "commands cannot be excluded"},
        {"commands = get; keys = !; action = deny", "test.conf:12: an empty pattern"},
        {"commands = get; db = x; action = deny", "test.conf:13: 'x' is no database number"},
        {"commands = get; db = -1; action = deny", "'-1' is no database number"},
        {"commands = get; from = 10.0.0.0/33; action = deny", "'10.0.0.0/33' is neither"},
        {"commands = get", "test.conf:10: rule 'r' has no action"},
        {"commands = flushal; action = deny; mode = off", "unknown command 'flushal'"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        setup_free(&s);
        setup_init(&s);
        setup_rule(&s, "r", cases[i].options);
        setup_refused(&s, cases[i].error);
    }
}

static void test_all_mistakes_at_once(void **state)
{
    setup_rule(&s, "a", "commands = gte; db = x; action = deny");
    setup_rule(&s, "b", "commands = sett; action = deny");
    setup_refused(&s, "unknown command 'sett', did you mean 'set'?");
    assert_int_equal(s.problems.errors, 3);
}

static void test_module_command(void **state)
{
    setup_rule(&s, "no", "commands = json.set; action = deny");
    setup_compile(&s);
    assert_true(setup_warned(&s, "test.conf:11: warning: command 'json.set' is not known to this "
                                 "version: applies if the backend has it"));
    expect("get a", "-"); /* a rule about nothing known is no rule about everything */
}

static void test_warnings(void **state)
{
    setup_rule(&s, "nothing", "action = allow; mode = observe");
    setup_rule(&s, "reads", "commands = @read, @write; action = allow");
    setup_rule(&s, "some", "commands = get; keys = a*; action = deny");
    setup_rule(&s, "flush", "commands = @destructive; action = deny");
    setup_rule(&s, "late", "commands = sort; action = deny");
    setup_compile(&s);
    assert_true(setup_warned(&s, "test.conf:10: warning: rule 'nothing' has no clause: it matches "
                                 "everything"));
    assert_true(setup_warned(&s, "test.conf:30: warning: rule 'some' can never match: rule 'reads' "
                                 "at line 20 always decides first"));
    assert_true(setup_warned(&s, "rule 'late' can never match"));
    assert_false(setup_warned(&s, "rule 'flush'"));
    assert_int_equal(s.problems.warnings, 3);
}

static void test_not_shadowed(void **state)
{
    setup_rule(&s, "deletes", "commands = @delete; action = deny");
    setup_rule(&s, "expire", "commands = expire; action = deny"); /* @delete only at times */
    setup_rule(&s, "clause", "commands = get; db = 1; action = deny");
    setup_rule(&s, "get", "commands = get; action = deny");
    setup_rule(&s, "ft", "commands = get, json.set; action = deny"); /* may be more one day */
    setup_rule(&s, "off", "commands = get; action = deny; mode = off");
    setup_compile(&s);
    assert_false(setup_warned(&s, "never match"));
}

/* An allow of everything is none of what only a name opens. */
static void test_learned_is_not_shadowed(void **state)
{
    setup_rule(&s, "all", "commands = *; action = allow");
    setup_rule(&s, "named", "commands = ft.plain; action = allow");
    setup_compile(&s);
    expect("ft.plain", "allow:named");
    assert_int_equal(s.problems.warnings, 0);
}

/* Names are labels of counters: two rules must not share one. */
static void test_builtin_names_are_taken(void **state)
{
    setup_rule(&s, "reserved-keys", "commands = get; action = deny");
    setup_refused(&s, "test.conf:10: the name 'reserved-keys' is that of a built-in rule");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, before, after)
int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_no_rules),
        TEST(test_command_names),
        TEST(test_container_means_all_of_it),
        TEST(test_classes),
        TEST(test_classes_by_arguments),
        TEST(test_star_and_absent),
        TEST(test_keys_any_for_deny),
        TEST(test_keys_every_for_allow),
        TEST(test_keys_excluded),
        TEST(test_keys_only_excluded),
        TEST(test_keys_escapes),
        TEST(test_keys_covering_prefixes),
        TEST(test_keys_patterns_deny),
        TEST(test_keys_patterns_allow),
        TEST(test_db_deny),
        TEST(test_db_allow),
        TEST(test_users),
        TEST(test_users_must_exist),
        TEST(test_from),
        TEST(test_clauses_together),
        TEST(test_first_match_decides),
        TEST(test_observe_and_off),
        TEST(test_global_observe),
        TEST(test_observed_is_bounded),
        TEST(test_read_from_of_the_rule_that_decides),
        TEST(test_reserved_keys),
        TEST(test_reserved_keys_without_rules),
        TEST(test_reserved_channels),
        TEST(test_learned_data),
        TEST(test_learned_named),
        TEST(test_learned_denied_by_rule),
        TEST(test_learned_modes),
        TEST(test_command_of_another_table),
        TEST(test_mistakes),
        TEST(test_all_mistakes_at_once),
        TEST(test_module_command),
        TEST(test_warnings),
        TEST(test_not_shadowed),
        TEST(test_learned_is_not_shadowed),
        TEST(test_builtin_names_are_taken),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
