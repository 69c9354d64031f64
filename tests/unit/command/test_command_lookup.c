/* test_command_lookup.c - finding commands by name. */
#include "requests.h"

#include <ctype.h>

static enum lookup look_up(const char *line, const struct command **command)
{
    struct test_request request = request_of(line);
    enum lookup lookup =
        command_lookup(command_table_builtin(), request.argv, request.argc, command);
    request_free(&request);
    return lookup;
}

static void finds_in_any_case(void **state)
{
    const struct command *command;
    assert_int_equal(look_up("gEt k", &command), LOOKUP_FOUND);
    assert_int_equal(command->id, COMMAND_GET);
    assert_int_equal(look_up("GEORADIUSbymember_RO", &command), LOOKUP_FOUND);
    assert_int_equal(command->id, COMMAND_GEORADIUSBYMEMBER_RO);
    assert_int_equal(look_up("Config SET a b", &command), LOOKUP_FOUND);
    assert_int_equal(command->id, COMMAND_CONFIG_SET);
    assert_string_equal(command->name, "config|set");
    assert_int_equal(command->parent->id, COMMAND_CONFIG);
}

static void container_alone_is_itself(void **state)
{
    const struct command *command;
    assert_int_equal(look_up("config", &command), LOOKUP_FOUND);
    assert_int_equal(command->id, COMMAND_CONFIG);
    assert_int_equal(look_up("command", &command), LOOKUP_FOUND);
    assert_int_equal(command->id, COMMAND_COMMAND);
}

static void unknown_subcommand_gives_container(void **state)
{
    const struct command *command;
    assert_int_equal(look_up("config nosuch", &command), LOOKUP_UNKNOWN_SUB);
    assert_int_equal(command->id, COMMAND_CONFIG);
    assert_int_equal(look_up("config ''", &command), LOOKUP_UNKNOWN_SUB);
    assert_int_equal(look_up("config list", &command), LOOKUP_UNKNOWN_SUB); /* ACL's */
}

static void odd_names_are_unknown(void **state)
{
    static const struct str odd[] = {
        STR(""),
        STR("get\0"),
        STR("\0get"),
        STR("get "),
        STR("config|set"),
        STR("g"),
        STR("\xe7"
            "et"),
        STR("GET\r\n"),
        STR("[et"),
        STR("g`t"),
        STR("|"),
        STR("acl|"),
        STR("averyveryverylongnameofthirtytwob"),
        STR("config|"),
    };
    for (size_t i = 0; i < ARRAY_LEN(odd); i++) {
        const struct command *command = NULL;
        struct str argv[2] = {odd[i], STR("set")};
        assert_int_equal(command_lookup(command_table_builtin(), argv, 2, &command),
                         LOOKUP_UNKNOWN);
        assert_null(command);
    }
    const struct command *command;
    assert_int_equal(command_lookup(command_table_builtin(), NULL, 0, &command), LOOKUP_UNKNOWN);
}

static void every_row_is_found(void **state)
{
    const struct command_table *table = command_table_builtin();
    assert_int_equal(command_count(table), COMMAND_BUILTIN_COUNT);
    for (size_t id = 0; id < command_count(table); id++) {
        const struct command *command = command_by_id(table, id), *found;
        char name[64];
        size_t len = strlen(command->name);
        for (size_t i = 0; i <= len; i++)
            name[i] = (char)toupper((unsigned char)command->name[i]);
        assert_int_equal(command->id, id);
        assert_ptr_equal(command_by_name(table, (struct str){name, len}), command);
        for (size_t i = 0; i < command->sub_count; i++)
            assert_ptr_equal(command_by_id(table, command->first_sub + i)->parent, command);
        char *bar = strchr(name, '|');
        if (bar)
            *bar = ' ';
        assert_int_equal(look_up(name, &found), LOOKUP_FOUND);
        assert_ptr_equal(found, command);
    }
    assert_null(command_by_id(table, command_count(table)));
}

static void names_for_configuration(void **state)
{
    const struct command_table *table = command_table_builtin();
    assert_non_null(command_by_name(table, STR("CONFIG|set")));
    assert_null(command_by_name(table, STR("config|")));
    assert_null(command_by_name(table, STR("|set")));
    assert_null(command_by_name(table, STR("get|set")));
    assert_null(command_by_name(table, STR("config|set|x")));
    assert_null(command_by_name(table, (struct str){NULL, 0}));
}

/* One changed byte of a name must never still be found, unless it is another command's. */
static void mutations_are_compared_whole(void **state)
{
    const struct command_table *table = command_table_builtin();
    for (size_t id = 0; id < COMMAND_BUILTIN_COUNT; id++) {
        const struct command *command = command_by_id(table, id), *found;
        size_t len = strlen(command->name);
        for (int i = 0; i < 200 && !command->parent; i++) {
            char *name = xmalloc(len);
            memcpy(name, command->name, len);
            name[random_below((uint32_t)len)] ^= (char)(1u << random_below(8));
            struct str argv = {name, len};
            if (command_lookup(table, &argv, 1, &found) == LOOKUP_FOUND)
                assert_true(str_equal_nocase(argv, str_of(found->name)));
            free(name);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(finds_in_any_case),
        cmocka_unit_test(container_alone_is_itself),
        cmocka_unit_test(unknown_subcommand_gives_container),
        cmocka_unit_test(odd_names_are_unknown),
        cmocka_unit_test(every_row_is_found),
        cmocka_unit_test(names_for_configuration),
        cmocka_unit_test(mutations_are_compared_whole),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
