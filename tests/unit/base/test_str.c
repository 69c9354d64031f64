/* test_str.c - comparison, numbers and globs of src/base/str.c. */
#include "respgate/base.h"

#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

static void test_equal(void **state)
{
    assert_true(str_equal(STR("a"), STR("a")));
    assert_false(str_equal(STR("a"), STR("A")));
    assert_false(str_equal(STR("a"), STR("ab")));
    assert_true(str_equal_nocase(STR("GeT"), STR("gEt")));
    assert_true(str_equal_nocase(STR(""), STR("")));
    assert_false(str_equal_nocase(STR("get"), STR("gets")));
    assert_false(str_equal_nocase(STR("[a"), STR("{a"))); /* not letters, 32 apart */
    assert_false(str_equal_nocase(STR("\xc4"), STR("\xe4")));
}

static void test_int(void **state)
{
    static const struct {
        const char *text;
        int64_t value;
    } good[] = {
        {"0", 0},
        {"1", 1},
        {"-1", -1},
        {"10", 10},
        {"9223372036854775807", INT64_MAX},
        {"-9223372036854775808", INT64_MIN},
    };
    static const char *const bad[] = {
        "",
        "-",
        "+1",
        " 1",
        "1 ",
        "01",
        "-0",
        "-01",
        "00",
        "1x",
        "x",
        "0x1",
        "1.0",
        "1e3",
        "--1",
        "\t1",
        "1\n",
        "9223372036854775808",
        "-9223372036854775809",
        "18446744073709551616",
        "99999999999999999999999",
    };
    int64_t value;
    for (size_t i = 0; i < ARRAY_LEN(good); i++) {
        assert_true(str_to_int(str_of(good[i].text), &value));
        assert_int_equal(value, good[i].value);
    }
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        if (str_to_int(str_of(bad[i]), &value))
            fail_msg("\"%s\" was read as %ld", bad[i], (long)value);
    assert_false(str_to_int(STR("1\0"), &value));
}

static void test_int_round_trip(void **state)
{
    for (int i = 0; i < 10000; i++) {
        char text[32];
        int64_t value,
            number = (int64_t)((uint64_t)random_below(UINT32_MAX) << 32 | random_below(UINT32_MAX));
        number >>= random_below(64);
        snprintf(text, sizeof(text), "%ld", (long)number);
        assert_true(str_to_int(str_of(text), &value));
        assert_int_equal(value, number);
    }
}

/* Compared with KEYS of redis-server 7.0.15, but for the last row: there an empty text matches
 * no pattern but the empty one. */
static void test_glob(void **state)
{
    static const struct {
        const char *pattern, *text;
        bool match;
    } rows[] = {
        {"", "", true},           {"", "a", false},
        {"a", "", false},         {"a", "a", true},
        {"a", "A", false},        {"a", "ab", false},
        {"*", "abc", true},       {"**", "abc", true},
        {"a*", "a", true},        {"a*c", "abbc", true},
        {"a*c", "abcb", false},   {"*a*b*", "xxaxxbxx", true},
        {"?", "a", true},         {"?", "", false},
        {"a?c", "abc", true},     {"[abc]", "b", true},
        {"[abc]", "d", false},    {"[^abc]", "d", true},
        {"[^abc]", "a", false},   {"[a-c]", "b", true},
        {"[c-a]", "b", true},     {"[a-]", "-", false},
        {"[a-]", "]", true},      {"[", "[", false},
        {"[a", "a", true},        {"[]", "]", false},
        {"[^]", "a", true},       {"[\\]]", "]", true},
        {"[\\^a]", "^", true},    {"[a^]", "^", true},
        {"\\*", "*", true},       {"\\*", "a", false},
        {"\\", "\\", true},       {"a\\", "a\\", true},
        {"\\a", "a", true},       {"[[]", "[", true},
        {"t1:*", "t1:x", true},   {"t1:*", "t2:x", false},
        {"*:[0-9]", "k:7", true}, {"[\xe0-\xff]", "\xf0", true},
        {"*", "", true},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        if (glob_match(str_of(rows[i].pattern), str_of(rows[i].text)) != rows[i].match)
            fail_msg("pattern \"%s\", text \"%s\"", rows[i].pattern, rows[i].text);
    assert_true(glob_match(STR("a*\0"), STR("axx\0")));
}

/* The obvious recursion, on patterns without sets. */
static bool glob_model(struct str pattern, struct str text)
{
    if (pattern.len == 0)
        return text.len == 0;
    struct str pattern_rest = {pattern.ptr + 1, pattern.len - 1};
    struct str text_rest = {text.ptr + 1, text.len - 1};
    if (*pattern.ptr == '*')
        return glob_model(pattern_rest, text) || (text.len && glob_model(pattern, text_rest));
    return text.len && (*pattern.ptr == '?' || *pattern.ptr == *text.ptr) &&
           glob_model(pattern_rest, text_rest);
}

static void test_glob_model(void **state)
{
    for (int i = 0; i < 50000; i++) {
        char pattern[8], text[8];
        struct str p = {pattern, random_below(8)}, t = {text, random_below(8)};
        for (size_t n = 0; n < 8; n++) {
            pattern[n] = "ab*?*"[random_below(5)];
            text[n] = "ab"[random_below(2)];
        }
        assert_true(glob_match(p, t) == glob_model(p, t));
    }
}

/* With a naive matcher this takes longer than the world exists. */
static void test_glob_hostile(void **state)
{
    char pattern[2000], text[20000];
    for (size_t i = 0; i < sizeof(pattern); i++)
        pattern[i] = "a*"[i % 2];
    memset(text, 'a', sizeof(text));
    pattern[sizeof(pattern) - 1] = 'b';
    uint64_t start = clock_ns();
    assert_false(
        glob_match((struct str){pattern, sizeof(pattern)}, (struct str){text, sizeof(text)}));
    assert_true(clock_ns() - start < 5000000000ull);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_equal),          cmocka_unit_test(test_int),
        cmocka_unit_test(test_int_round_trip), cmocka_unit_test(test_glob),
        cmocka_unit_test(test_glob_model),     cmocka_unit_test(test_glob_hostile),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
