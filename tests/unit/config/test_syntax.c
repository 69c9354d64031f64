/* test_syntax.c - lines, sections, quotes and lists: what is refused, where, and in which words. */
#include "helper.h"

#define OK_LINE "[rule a]\naction = deny\n"

static void malformed_lines(void **state)
{
    refused("[proxy]\nlisten 6380\n", "t:2: no '=' behind 'listen'\n");
    refused("\n\n[proxy]\n= 1\n", "t:4: no name of an option before the '='\n");
    refused("[proxy]\nlisten: 6380 = 1\n", "t:2: no name of an option before the '='\n");
    refused("[proxy]\nmax clients = 1\n", "t:2: no name of an option before the '='\n");
    refused("listen = 6380\n", "t:1: 'listen' stands before the first [section]\n");
    refused("[proxy\nlisten = 1\n", "t:1: ']' is missing\n");
    refused("[proxy] listen = 1\n", "t:1: text behind ']'\n");
    refused("[proxy];x\n", "t:1: text behind ']'\n");
    refused("[proxy]]\n", "t:1: text behind ']'\n");
    refused("[proxy]\nlisten = \"6380\n", "t:2: 'listen' has a quote that is not closed\n");
    refused("[log]\nfile = \"a\" b\n", "t:2: file: '\"a\" b' has text behind the closing quote\n");
    refused("[log]\nfile = a\x01"
            "b\n",
            "t:2: a control character (byte 1)\n");
    refused("[log]\nfile = a\x7f\n", "t:2: a control character (byte 127)\n");
    refused("[log]\nfile = a\rb\n", "t:2: a control character (byte 13)\n");
}

static void nul_byte(void **state)
{
    struct problems problems = {0};
    assert_null(
        config_load_text("t", STR("[log]\nfile = a\0b\n[proxy]\nthreads = 1\n"), NULL, &problems));
    assert_string_equal(problems_text(&problems), "t:2: a NUL byte\n");
    problems_free(&problems);
}

static void secrets_stay_out(void **state)
{
    refused("[backend]\npassword hunter2\n", "t:2: no '=' in this line\n");
    refused("hunter2\n", "t:1: no '=' in this line\n");
    refused("[backend]\nurl = redis://:hunter2@h:x\n", "t:2: url: the port must be 1 to 65535\n");
    refused("[user a]\npassword-sha256 = hunter2\ntls-subject =\n",
            "t:2: password-sha256: not a SHA-256 of 64 hex digits\n"
            "t:1: [user a] cannot log in: neither password-sha256 nor tls-subject\n");
}

static void sections(void **state)
{
    refused("[prxy]\nlisten = 1\n", "t:1: unknown section [prxy], did you mean [proxy]?\n");
    refused("[Proxy]\n", "t:1: unknown section [Proxy], did you mean [proxy]?\n");
    refused("[whatever]\njunk = 1\n", "t:1: unknown section [whatever]\n");
    refused("[]\n", "t:1: unknown section []\n");
    refused("[rule]\n", "t:1: section [rule] needs a name: [rule NAME]\n");
    refused("[log x]\n", "t:1: section [log] takes no name\n");
    refused("[proxy]\n[log]\n[proxy]\n", "t:3: section [proxy] is already at t:1\n");
    refused(OK_LINE OK_LINE, "t:3: section [rule a] is already at t:1\n");
    refused("[rule a b]\n", "t:1: a name has up to 40 letters, digits and . _ : @ + / -\n");
    refused("[rule aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa]\n",
            "t:1: a name has up to 40 letters, digits and . _ : @ + / -\n");
}

static void section_names(void **state)
{
    struct config *config = loads("[ rule   a ] ; first\naction = deny\n"
                                  "[rule A]\naction = allow\n"
                                  "[rule aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa]\naction=deny\n");
    assert_int_equal(config->rule_count, 3);
    assert_string_equal(config->rules[0].name, "a");
    assert_string_equal(config->rules[1].name, "A");
    assert_int_equal(strlen(config->rules[2].name), 40);
    assert_int_equal(config->rules[2].where.line, 5);
    config_free(config);
}

static void keys(void **state)
{
    refused("[proxy]\nlisen = 1\n", "t:2: unknown option 'lisen', did you mean 'listen'?\n");
    refused("[proxy]\nmax_clients = 1\n",
            "t:2: unknown option 'max_clients', did you mean 'max-clients'?\n");
    refused("[proxy]\nMax-Clients = 1\n",
            "t:2: unknown option 'Max-Clients', did you mean 'max-clients'?\n");
    refused("[proxy]\nzzzz = 1\n", "t:2: unknown option 'zzzz' in [proxy]\n");
    refused("[proxy]\nthreads = 1\nthreads = 1\n", "t:3: 'threads' is already set at t:2\n");
}

static void all_in_one_run(void **state)
{
    refused("[proxy]\nlisen = 1\nthreads = x\n[rul b]\nx = 1\n[rule a]\n[log]\nlevel = inf\n",
            "t:2: unknown option 'lisen', did you mean 'listen'?\n"
            "t:3: threads: 'x' is not a whole number\n"
            "t:4: unknown section [rul], did you mean [rule]?\n"
            "t:8: level: 'inf' is not one of error, warn, notice, info, debug; did you mean "
            "'info'?\n"
            "t:6: [rule a] has no 'action'\n");
}

static void comments_and_space(void **state)
{
    struct config *config = loads("\xEF\xBB\xBF; a comment\r\n"
                                  "  # another\r\n"
                                  "   [log]   # behind\r\n"
                                  "\tfile\t=\t/var/a;b#c ; rest\r\n"
                                  "    level = warn\r\n"
                                  "[rule a]\n"
                                  "message = no \"quotes\" here, or 'there' #x\n"
                                  "action=deny");
    assert_string_equal(config->log.file, "/var/a;b#c");
    assert_int_equal(config->log.level, LOG_WARN);
    assert_string_equal(config->rules[0].message, "no \"quotes\" here, or 'there'");
    config_free(config);
}

static void indented_line_is_no_continuation(void **state)
{
    refused("[rule a]\nmessage = one\n   two\naction = deny\n", "t:3: no '=' in this line\n");
    struct config *config = loads("[rule a]\nmessage = one\n    action = deny\n");
    assert_string_equal(config->rules[0].message, "one");
    config_free(config);
}

static void quotes(void **state)
{
    struct config *config = loads(
        "[rule a]\nmessage = \"  a ; b # c, \\\"d\\\" \\\\ \\*\t \" ; comment\naction = deny\n"
        "keys = \"a,b\" , c ; d\nkeys = \"x ; y\" #z\n");
    const struct config_rule *rule = &config->rules[0];
    assert_int_equal(rule->keys.count, 3);
    assert_string_equal(rule->keys.items[2].ptr, "x ; y");
    assert_string_equal(rule->message, "  a ; b # c, \"d\" \\ \\*\t ");
    config_free(config);
}

static void lists(void **state)
{
    struct config *config =
        loads("[rule a]\naction = deny\nkeys = a,b ,  c\n\nkeys = \"d, e\", f\n");
    const struct text_list *list = &config->rules[0].keys;
    const char *const expected[] = {"a", "b", "c", "d, e", "f"};
    assert_int_equal(list->count, 5);
    for (size_t i = 0; i < 5; i++) {
        assert_string_equal(list->items[i].ptr, expected[i]);
        assert_int_equal(list->where[i].line, i < 3 ? 3 : 5);
    }
    config_free(config);
    refused(OK_LINE "users =\n", "t:3: 'users' has no value: leave the line out\n");
    refused(OK_LINE "users = a,,b\n", "t:3: users: 'a,,b' has an empty item\n");
    refused(OK_LINE "users = a,\n", "t:3: users: 'a,' has an empty item\n");
    refused(OK_LINE "users = \"\"\n", "t:3: users: '\"\"' has an empty item\n");
}

/* Longer than inih's own line: handed over in parts, at every length around its edges. */
static void long_values(void **state)
{
    for (size_t len = 1; len < 900; len++) {
        struct buf text = {0};
        buf_text(&text, "[rule a]\naction = deny\nmessage = ");
        size_t start = text.len;
        for (size_t i = 0; i < len; i++)
            buf_text(&text, i % 7 == 3 && i + 1 < len ? " " : i % 11 == 5 ? ";" : "x");
        buf_add(&text, "", 1);
        struct config *config;
        /* " ;" begins a comment, so the expected text is quoted where it could occur. */
        struct buf quoted = {0};
        buf_add(&quoted, text.ptr, start);
        text_quote(&quoted, str_of(text.ptr + start), false);
        buf_add(&quoted, "", 1);
        config = loads(quoted.ptr);
        assert_string_equal(config->rules[0].message, text.ptr + start);
        config_free(config);
        buf_free(&quoted);
        buf_free(&text);
    }
}

static void long_lines(void **state)
{
    char text[4200];
    int start = snprintf(text, sizeof(text), "[log]\n");
    memset(text + start, ';', 4097);
    text[start + 4097] = 0;
    refused(text, "t:2: the line is longer than 4096 bytes\n");
    text[start + 4096] = 0;
    config_free(loads(text));
}

static void garbage_is_bounded(void **state)
{
    struct buf text = {0};
    for (int i = 0; i < 5000; i++)
        buf_text(&text, "x\n");
    struct problems problems = {0};
    assert_null(config_load_text("t", buf_view(&text), NULL, &problems));
    assert_int_equal(problems.errors, 5000);
    assert_non_null(strstr(problems_text(&problems), "more mistakes are not shown\n"));
    assert_true(problems.text.len < 100 * 1024);
    problems_free(&problems);
    buf_free(&text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(malformed_lines),
        cmocka_unit_test(nul_byte),
        cmocka_unit_test(secrets_stay_out),
        cmocka_unit_test(sections),
        cmocka_unit_test(section_names),
        cmocka_unit_test(keys),
        cmocka_unit_test(all_in_one_run),
        cmocka_unit_test(comments_and_space),
        cmocka_unit_test(indented_line_is_no_continuation),
        cmocka_unit_test(quotes),
        cmocka_unit_test(lists),
        cmocka_unit_test(long_values),
        cmocka_unit_test(long_lines),
        cmocka_unit_test(garbage_is_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
