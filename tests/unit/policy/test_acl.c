/* test_acl.c - the words of --print-acl, on the real command table; test_acl.py of the end-to-end
 * tests shows what a store makes of them. */
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

/* What is printed; each of the texts must be in it, those with a '!' must not. */
static void expect(const char *const *texts, size_t count)
{
    struct buf out = {0};
    setup_compile(&s);
    policy_acl(s.policy, &s.config, s.table, &out);
    buf_add(&out, "", 1);
    for (size_t i = 0; i < count; i++) {
        bool absent = texts[i][0] == '!';
        if ((strstr(out.ptr, texts[i] + absent) == NULL) != absent)
            fail_msg("'%s' in\n%s", texts[i], out.ptr);
    }
    buf_free(&out);
}
#define EXPECT(...)                                                                                \
    do {                                                                                           \
        static const char *const texts[] = {__VA_ARGS__};                                          \
        expect(texts, ARRAY_LEN(texts));                                                           \
    } while (0)

#define ROOT "ACL SETUSER default clearselectors resetkeys ~* resetchannels &* "

static void test_without_rules_everything_is_open(void **state)
{
    EXPECT("\n" ROOT "+@all\n");
}

static void test_a_container_stands_for_its_subcommands(void **state)
{
    setup_rule(&s, "no", "commands = slowlog, config|set; action = deny");
    EXPECT("\n" ROOT "+@all -config|set -slowlog +slowlog|get\n");
}

static void test_an_allow_before_takes_out(void **state)
{
    setup_rule(&s, "yes", "commands = slowlog|len; action = allow");
    setup_rule(&s, "no", "commands = slowlog; action = deny");
    EXPECT(" -slowlog|get", " -slowlog|reset", "!slowlog|len", "! -slowlog ");
}

static void test_what_an_acl_cannot_see_opens(void **state)
{
    setup_rule(&s, "near", "commands = flushall; from = 10.0.0.0/8; action = allow");
    setup_rule(&s, "no", "commands = flushall, flushdb; action = deny");
    setup_rule(&s, "db", "commands = get; db = 1; action = deny");
    EXPECT("+@all -flushdb\n", "#   rule 'near': from\n", "#   rule 'db': db\n");
}

static void test_only_enforcing_rules_count(void **state)
{
    setup_rule(&s, "watch", "commands = get; action = deny; mode = observe");
    setup_rule(&s, "off", "commands = set; action = deny; mode = off");
    EXPECT("+@all\n", "rule 'watch' only observes");
}

static void test_what_shapes_is_not_said(void **state)
{
    setup_rule(&s, "slow", "action = limit; rate = 10/s");
    setup_rule(&s, "no", "commands = *; action = deny");
    EXPECT(" -@all +", "#   rule 'slow': limit\n");
}

static void test_a_deny_of_all_is_a_list_of_the_rest(void **state)
{
    setup_rule(&s, "yes", "commands = get, ping, ft.search; action = allow");
    setup_rule(&s, "no", "commands = *; action = deny");
    EXPECT(" -@all +get +ping ", "!+@all", "\nACL SETUSER default +ft.search\n", " +select");
}

static void test_keys_of_an_allow_become_a_selector(void **state)
{
    setup_rule(&s, "mine", "commands = get, flushall, del; keys = t1:*, !t1:x; action = allow");
    setup_rule(&s, "no", "action = deny");
    EXPECT(" (~t1:* &* +del +get)", "!+flushall");
}

static void test_keys_a_deny_leaves_become_a_selector(void **state)
{
    setup_rule(&s, "own", "commands = get, ping; keys = *, !t1:*; action = deny");
    EXPECT("+@all -get (~t1:* &* +get)\n");
}

static void test_scripts_have_a_line_of_their_own(void **state)
{
    s.config.scripts.mode = SCRIPTS_ACL;
    s.config.scripts.username = "lua";
    s.config.backend.control_username = "lua";
    s.config.scripts.kill = true;
    setup_rule(&s, "some", "commands = get; users = app; action = deny");
    setup_rule(&s, "no", "commands = flushall, script|kill, info; action = deny");
    EXPECT("\n" ROOT "+@all -flushall -info -script|kill\n",
           "\nACL SETUSER lua clearselectors resetkeys ~* resetchannels &* +@all -flushall -info "
           "-script|kill +info +script|kill\n");
}

static void test_patterns_a_selector_cannot_hold_open(void **state)
{
    setup_rule(&s, "mine", "commands = get; keys = t(1):*; action = allow");
    setup_rule(&s, "others", "commands = set; keys = secret:*; action = deny");
    setup_rule(&s, "no", "commands = get; action = deny");
    EXPECT("+@all\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_without_rules_everything_is_open, before, after),
        cmocka_unit_test_setup_teardown(test_a_container_stands_for_its_subcommands, before, after),
        cmocka_unit_test_setup_teardown(test_an_allow_before_takes_out, before, after),
        cmocka_unit_test_setup_teardown(test_what_an_acl_cannot_see_opens, before, after),
        cmocka_unit_test_setup_teardown(test_only_enforcing_rules_count, before, after),
        cmocka_unit_test_setup_teardown(test_what_shapes_is_not_said, before, after),
        cmocka_unit_test_setup_teardown(test_a_deny_of_all_is_a_list_of_the_rest, before, after),
        cmocka_unit_test_setup_teardown(test_keys_of_an_allow_become_a_selector, before, after),
        cmocka_unit_test_setup_teardown(test_keys_a_deny_leaves_become_a_selector, before, after),
        cmocka_unit_test_setup_teardown(test_scripts_have_a_line_of_their_own, before, after),
        cmocka_unit_test_setup_teardown(test_patterns_a_selector_cannot_hold_open, before, after),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
