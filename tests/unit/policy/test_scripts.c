/* test_scripts.c - questions about scripts: which classes count for whom, and rules with keys. */
#include "fixture.h"

static struct setup s;
static struct asked asked;

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

/* The rule that denies a question of this kind; "-" when none does. */
static const char *denied(const char *request, enum question_kind kind, uint64_t more)
{
    struct verdict verdict;
    asked_parse(&asked, &s, request);
    asked.question.kind = kind;
    asked.question.more_classes = more;
    policy_judge(s.policy, &asked.question, &verdict);
    return verdict.kind == VERDICT_DENY ? policy_rule_name(s.policy, verdict.rule) : "-";
}

/* An unread script may add data; one whose calls are known is of their classes, for allows only:
 * denials have met each call with its own keys. */
static void test_classes_of_scripts(void **state)
{
    setup_rule(&s, "reads", "commands = @read; action = allow");
    setup_rule(&s, "growth", "commands = @growth; action = deny");
    setup_rule(&s, "rest", "commands = @scripting; action = deny");
    setup_compile(&s);
    assert_string_equal(denied("eval x 0", QUESTION_REQUEST, 0), "growth");
    assert_string_equal(denied("eval_ro x 0", QUESTION_REQUEST, 0), "rest");
    assert_string_equal(denied("eval x 0", QUESTION_SCRIPT, CLASS_READ), "-");
    assert_string_equal(denied("eval x 0", QUESTION_SCRIPT, CLASS_GROWTH), "rest");
    assert_string_equal(denied("eval x 0", QUESTION_SCRIPT, 0), "rest");
    assert_true(question_classes(&asked.question, false) & CLASS_SCRIPTING);
}

/* SORT drains or grows by its arguments: when they are not known it does both to a deny, and is
 * neither to an allow. */
static void test_open_calls(void **state)
{
    setup_rule(&s, "drain", "commands = @drain; action = allow");
    setup_rule(&s, "growth", "commands = @growth; action = deny");
    setup_compile(&s);
    assert_string_equal(denied("sort k", QUESTION_REQUEST, 0), "-");
    assert_string_equal(denied("sort k", QUESTION_CALL_OPEN, 0), "growth");
    assert_string_equal(denied("lpop k", QUESTION_CALL_OPEN, 0), "-");
}

static void test_open_copy_may_name_any_db(void **state)
{
    setup_rule(&s, "three", "commands = copy; db = 3; action = deny");
    setup_compile(&s);
    assert_string_equal(denied("copy a b", QUESTION_REQUEST, 0), "-");
    assert_string_equal(denied("copy a b", QUESTION_CALL_OPEN, 0), "three");
}

static const char *keys_rule(void)
{
    asked_parse(&asked, &s, "eval x 0");
    return policy_rule_name(s.policy, policy_rule_with_keys(s.policy, &asked.question));
}

static void test_rules_with_keys(void **state)
{
    setup_rule(&s, "observed", "keys = a:*; action = deny; mode = observe");
    setup_rule(&s, "elsewhere", "keys = a:*; from = 192.0.2.0/24; action = deny");
    setup_rule(&s, "db-seven", "keys = a:*; db = 7; action = deny");
    setup_rule(&s, "app", "keys = a:*; users = app; action = deny");
    setup_rule(&s, "no-keys", "commands = get; action = deny");
    setup_compile(&s);
    assert_string_equal(keys_rule(), "(none)");
    s.subject.user = STR("app");
    assert_string_equal(keys_rule(), "app");
    s.db = 7;
    assert_string_equal(keys_rule(), "db-seven");
}

/* Rules that go by classes match scripts only perhaps: that hides no rule that never matches. */
static void test_shadowed_all_the_same(void **state)
{
    setup_rule(&s, "first", "commands = @write, @read; action = deny");
    setup_rule(&s, "second", "commands = @write; action = deny");
    setup_rule(&s, "third", "commands = @admin; action = deny");
    setup_compile(&s);
    assert_true(setup_warned(&s, "rule 'second' can never match"));
    assert_false(setup_warned(&s, "rule 'third' can never match"));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, before, after)
int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_classes_of_scripts),        TEST(test_open_calls),
        TEST(test_open_copy_may_name_any_db), TEST(test_rules_with_keys),
        TEST(test_shadowed_all_the_same),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
