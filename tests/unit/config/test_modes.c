/* test_modes.c - rules switched by hand: a copy with other modes, and the file's own untouched. */
#include "helper.h"

static const char text[] = "[rule a]\ncommands = get\naction = deny\n"
                           "[rule b]\ncommands = set\naction = deny\nmode = observe\n";

static void switched(void **state)
{
    struct config *config = loads(text);
    struct rule_switch switches[] = {{"a", RULE_OFF, 0}, {"none", RULE_OFF, 0}};
    struct config *copy = config_with_modes(config, switches, ARRAY_LEN(switches));
    assert_int_equal(config->rules[0].mode, RULE_ENFORCE);
    assert_int_equal(copy->rules[0].mode, RULE_OFF);
    assert_int_equal(copy->rules[1].mode, RULE_OBSERVE);
    /* Made of the file's, not of the copy: what is no longer switched is as in the file. */
    struct config *again = config_with_modes(copy, &(struct rule_switch){"b", RULE_ENFORCE, 0}, 1);
    assert_int_equal(again->rules[0].mode, RULE_ENFORCE);
    assert_int_equal(again->rules[1].mode, RULE_ENFORCE);
    config_free(config);
    config_free(copy);
    assert_string_equal(again->rules[1].name, "b"); /* the first lives as long as a copy of it */
    config_free(again);
}

static void names(void **state)
{
    assert_string_equal(rule_mode_name(RULE_ENFORCE), "enforce");
    assert_string_equal(rule_mode_name(RULE_OBSERVE), "observe");
    assert_string_equal(rule_mode_name(RULE_OFF), "off");
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(switched), cmocka_unit_test(names)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
