/* test_print.c - the built-in configuration, and print -> load -> the same print. */
#include "helper.h"

static char *print(const struct config *config)
{
    struct buf out = {0};
    config_print(config, &out);
    buf_add(&out, "", 1);
    return out.ptr;
}

static void same_again(const char *text)
{
    struct config *first = loads(text);
    char *once = print(first);
    struct config *second = loads(once);
    char *twice = print(second);
    assert_string_equal(once, twice);
    option_each(option) if (!section_kinds[option->section].named)
        assert_true(option_equal(option, first, second));
    assert_int_equal(first->rule_count, second->rule_count);
    for (size_t i = 0; i < first->rule_count; i++) {
        assert_string_equal(first->rules[i].name, second->rules[i].name);
        option_each(option) if (option->section == SECTION_RULE)
            assert_true(option_equal(option, &first->rules[i], &second->rules[i]));
    }
    config_free(first);
    config_free(second);
    free(once);
    free(twice);
}

static void builtin(void **state)
{
    struct problems problems = {0};
    struct config *config = config_load(NULL, NULL, &problems);
    assert_non_null(config);
    assert_string_equal(problems_text(&problems), "");
    assert_int_equal(config->rule_count, 5);
    assert_string_equal(config->rules[1].name, "no-flush");
    assert_int_equal(config->rules[1].mode, RULE_ENFORCE);
    assert_int_equal(config->rules[1].action, ACTION_DENY);
    assert_string_equal(config->file, "(built in)");
    config_free(config);
    problems_free(&problems);
    struct str text = config_builtin();
    char *copy = xmalloc(text.len + 1);
    memcpy(copy, text.ptr, text.len);
    copy[text.len] = 0;
    same_again(copy);
    free(copy);
}

/* What has no section and what the shipped file says are the same: no default is told twice. */
static void shipped_is_default(void **state)
{
    struct problems problems = {0};
    struct config *shipped = config_load(NULL, NULL, &problems), *empty = loads("");
    option_each(option) if (!section_kinds[option->section].named &&
                            !option_equal(option, shipped, empty))
        fail_msg("%s differs", option->key);
    config_free(shipped);
    config_free(empty);
    problems_free(&problems);
}

/* Each option's example is accepted and survives printing. */
static void examples(void **state)
{
    file_write("secret", "s\n", 0600);
    option_each(option)
    {
        struct arena *arena = arena_new();
        struct problems problems = {0};
        struct scope scope = {.arena = arena, .problems = &problems, .where = {"t", 1}};
        void *base = arena_alloc(arena, section_kinds[option->section].size);
        bool file = option->type == VALUE_PASSWORD_FILE || option->type == VALUE_BODIES;
        struct str example = file ? STR("secret") : str_of(option->example);
        assert_true(option->example[0] && option->doc[0]);
        option_set(&scope, option, base, example);
        struct buf out = {0};
        assert_true(option_format(option, base, &out));
        if (!(option->flags & OPTION_SECRET))
            assert_true(str_equal(buf_view(&out), example));
        assert_string_equal(problems_text(&problems), "");
        buf_free(&out);
        problems_free(&problems);
        arena_free(arena);
    }
}

static void round_trips(void **state)
{
    same_again("");
    same_again("[proxy]\nlisten = 1, tls://[::]:2\nlisten = unix:/a\ntls-cert-file = \"/c d\"\n"
               "tls-key-file = /k\nmax-clients = 3\nclient-output-soft-limit = 1b 1500ms\n"
               "accept-rate = 77\nmax-key-size = 1000\n"
               "[backend]\ndial-rate = 7/m\nurl = unix:///r\nconnect-timeout = 90s\n");
    same_again("[rule a]\naction = deny\nkeys = \"a,b\", \"c ; d\", \"\\\"\", \\*, \"e\\\\\"\n"
               "message = \" x \\\" y ; z \\\\\"\n[rule b]\naction = allow\nmode = off\n");
}

static void random_messages(void **state)
{
    static const char letters[] = "ab \t;#\",\\'=[]{}%*\xC3\xA9";
    for (unsigned round = 0; round < 500; round++) {
        struct buf text = {0};
        char message[40];
        size_t len = 1 + random_below(sizeof(message) - 2);
        for (size_t i = 0; i < len; i++)
            message[i] = letters[random_below(sizeof(letters) - 1)];
        message[len] = 0;
        buf_text(&text, "[rule a]\naction = deny\nmessage = ");
        text_quote(&text, str_of(message), false);
        buf_text(&text, "\nkeys = x, ");
        text_quote(&text, str_of(message), true);
        buf_add(&text, "\n", 2);
        struct config *config = loads(text.ptr);
        assert_string_equal(config->rules[0].message, message);
        assert_int_equal(config->rules[0].keys.count, 2);
        assert_string_equal(config->rules[0].keys.items[1].ptr, message);
        config_free(config);
        same_again(text.ptr);
        buf_free(&text);
    }
}

#define SHA "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"

/* What was hidden does not load: it must not run without its password. Put back where the mark
 * stands, it does. */
static void secrets_hidden(void **state)
{
    struct config *config = loads("[backend]\nurl = redis://user:sesame@h\n"
                                  "[user a]\npassword-sha256 = " SHA "\n");
    char *text = print(config);
    assert_null(strstr(text, "sesame"));
    assert_null(strstr(text, SHA));
    assert_non_null(strstr(text, "url = redis://:(hidden)@h:6379\nmode = auto\n"));
    assert_non_null(strstr(text, "\nusername = user\n"));
    assert_non_null(strstr(text, "password-sha256 = (hidden)\n"));
    struct problems problems = {0};
    assert_null(config_load_text("t", str_of(text), NULL, &problems));
    assert_non_null(strstr(problems_text(&problems), "put it back"));
    problems_free(&problems);
    config_free(config);
    free(text);
}

static void password_file_loads_back(void **state)
{
    file_write("pw", "sesame\n", 0600);
    struct config *config = loads("[backend]\nusername = u\npassword-file = pw\n");
    char *text = print(config);
    assert_null(strstr(text, "sesame"));
    assert_non_null(strstr(text, "password-file = pw\n"));
    assert_non_null(strstr(text, ";control-username =\n"));
    config_free(config);
    same_again(text);
    free(text);
    same_again("[backend]\nurl = redis://u@h\npassword-file = pw\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(builtin),
        cmocka_unit_test(shipped_is_default),
        cmocka_unit_test(examples),
        cmocka_unit_test(round_trips),
        cmocka_unit_test(random_messages),
        cmocka_unit_test(secrets_hidden),
        cmocka_unit_test(password_file_loads_back),
    };
    return cmocka_run_group_tests(tests, folder_enter, folder_leave);
}
