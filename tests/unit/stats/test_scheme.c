/* test_scheme.c - which prefix a key belongs to; no id, token or half a hash tag is ever one. */
#include <ctype.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "respgate/stats.h"

static void check(const struct prefix_scheme *scheme, const char *key, const char *want)
{
    struct str got = prefix_discover(scheme, str_of(key));
    if (!str_equal(got, str_of(want)))
        fail_msg("'%s' belongs to '%.*s', not to '%s'", key, (int)got.len, got.ptr, want);
}

static void prefixes_are_the_first_segments_less_the_last(void **state)
{
    static const struct {
        const char *key, *prefix;
    } rows[] = {
        {"job:state:7f3a", "job:state"},
        {"wf:run:timeline:1", "wf:run"},
        {"session:abc", "session"},
        {"session:abc:data", "session:abc"},
        {"cordum:rl:10.0.0.1", "cordum:rl"},
        {"greeting", ""},
        {"", ""},
        {":", ""},
        {"a:", "a"},
        {"a:b", "a"},
        {"a::b", "a"},
        {":a:b", ""},
        /* ids */
        {"user:48211:cart", "user"},
        {"user:482:cart", "user:482"},
        {"48211:cart", ""},
        {"u:123e4567-e89b-12d3-a456-426614174000:x", "u"},
        {"u:deadbeef:x", "u"},
        {"u:deadbee:x", "u:deadbee"},
        {"u:run-20240101:x", "u"},
        {"u:a1b2c3d4:x", "u"},
        {"u:Zk8qLpWmNbVc:x", "u"},
        {"u:ZkqLpWmNbVc:x", "u:ZkqLpWmNbVc"},
        {"u:abcdefghijklmnopqrstuvwxyzabcdef:x", "u:abcdefghijklmnopqrstuvwxyzabcdef"},
        {"u:abcdefghijklmnopqrstuvwxyzabcdefg:x", "u"},
        {"u:caf\xc3\xa9:x", "u"},
        {"u:a\nb:x", "u"},
        {"u:\"><script>:x", "u:\"><script>"},
        /* hash tags */
        {"{user1000}.following", ""},
        {"{user1000}:following:x", ""},
        {"{queue}:wait:1", "{queue}:wait"},
        {"bull:{mail}:wait:1", "bull:{mail}"},
        {"{user:anna}:cart:x", ""},
        {"shop:{user:anna}:cart", "shop"},
        {"shop:}{:x", "shop"},
    };
    struct prefix_scheme *scheme = prefix_scheme_new(':', 2, 10, NULL, 0);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        check(scheme, rows[i].key, rows[i].prefix);
    prefix_scheme_free(scheme);
}

static void depth_and_delimiter_are_options(void **state)
{
    struct prefix_scheme *deep = prefix_scheme_new('/', 3, 10, NULL, 0);
    check(deep, "a/b/c/d/e", "a/b/c");
    check(deep, "a/b", "a");
    check(deep, "a:b:c", "");
    prefix_scheme_free(deep);
    struct prefix_scheme *flat = prefix_scheme_new(':', 1, 10, NULL, 0);
    check(flat, "a:b:c", "a");
    prefix_scheme_free(flat);
}

static void keys_of_ten_kilobytes_and_any_byte_are_cut(void **state)
{
    struct prefix_scheme *scheme = prefix_scheme_new(':', 2, 10, NULL, 0);
    char *key = xmalloc(10240);
    memset(key, 'k', 10240);
    assert_true(prefix_discover(scheme, (struct str){key, 10240}).len == 0);
    key[10000] = ':';
    assert_true(prefix_discover(scheme, (struct str){key, 10240}).len == 0);
    key[3] = ':';
    assert_true(prefix_discover(scheme, (struct str){key, 10240}).len == 3);
    memcpy(key, "a\0b:c:d", 7);
    assert_true(prefix_discover(scheme, (struct str){key, 7}).len == 0);
    free(key);
    prefix_scheme_free(scheme);
}

static void the_longest_declared_prefix_wins(void **state)
{
    static const char *const names[] = {"job",     "job:state", "job:*:output", "*:lock",
                                        "wf:run:", "{tenant}",  "a:b*:c"};
    static const struct {
        const char *key;
        const char *name;
    } rows[] = {
        {"job:1", "job"},
        {"job:state:1", "job:state"},
        {"job:state", "job:state"},
        {"job:stateful:1", "job"},
        {"job:8123-secret:output", "job:*:output"},
        {"job:8123-secret:output:2", "job:*:output"},
        {"job:8123-secret:input", "job"},
        {"x:lock:y", "*:lock"},
        {"job:lock:y", "*:lock"}, /* two segments beat one */
        {"wf:run:1", "wf:run"},
        {"wf:runs:1", "-"},
        {"{tenant}:x", "{tenant}"},
        {"a:bcd:c:x", "a:b*:c"},
        {"a:xcd:c:x", "-"},
        {"jobs:1", "-"},
        {"job", "job"},
        {"", "-"},
    };
    struct str declared[ARRAY_LEN(names)];
    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        declared[i] = str_of(names[i]);
    struct prefix_scheme *scheme = prefix_scheme_new(':', 2, 10, declared, ARRAY_LEN(names));
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        int at = prefix_declared(scheme, str_of(rows[i].key));
        struct str got = at < 0 ? STR("-") : prefix_declared_name(scheme, at);
        if (!str_equal(got, str_of(rows[i].name)))
            fail_msg("'%s' belongs to '%s'", rows[i].key, got.ptr);
    }
    prefix_scheme_free(scheme);
}

/* The rules once more, slowly: nothing a prefix may hold. */
static bool looks_like_a_secret(struct str segment)
{
    size_t digits = 0, run = 0, upper = 0, lower = 0;
    if (segment.len == 0 || segment.len > 32)
        return true;
    for (size_t i = 0; i < segment.len; i++) {
        unsigned char byte = (unsigned char)segment.ptr[i];
        if (byte < 0x20 || byte > 0x7e)
            return true;
        digits += isdigit(byte) != 0;
        upper += isupper(byte) != 0;
        lower += islower(byte) != 0;
        run = isxdigit(byte) ? run + 1 : 0;
        if (run >= 8)
            return true;
    }
    return digits >= 4 || (digits && upper && lower && segment.len >= 12);
}

static void no_random_key_gives_a_prefix_that_holds_a_secret_or_its_last_segment(void **state)
{
    static const char alphabet[] = "::::abcdefghXYZ0123456789{}-_\"\n\xff\0<";
    struct prefix_scheme *scheme = prefix_scheme_new(':', 3, 10, NULL, 0);
    size_t found = 0;
    for (int round = 0; round < 300000; round++) {
        char key[64];
        size_t len = random_below(sizeof(key)), letters = 1 + random_below(sizeof(alphabet) - 1);
        for (size_t i = 0; i < len; i++)
            key[i] = alphabet[random_below((uint32_t)letters)];
        struct str prefix = prefix_discover(scheme, (struct str){key, len});
        found += prefix.len > 0;
        if (!prefix.len)
            continue;
        assert_ptr_equal(prefix.ptr, key);
        assert_true(prefix.len < len && key[prefix.len] == ':'); /* the last never belongs */
        size_t segments = 0;
        for (const char *at = key, *stop = key + prefix.len; at <= stop; segments++) {
            const char *end = memchr(at, ':', (size_t)(stop - at));
            struct str segment = {at, (size_t)((end ? end : stop) - at)};
            assert_false(looks_like_a_secret(segment));
            at += segment.len + 1;
        }
        assert_true(segments <= 3);
    }
    assert_true(found > 1000);
    prefix_scheme_free(scheme);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(prefixes_are_the_first_segments_less_the_last),
        cmocka_unit_test(depth_and_delimiter_are_options),
        cmocka_unit_test(keys_of_ten_kilobytes_and_any_byte_are_cut),
        cmocka_unit_test(the_longest_declared_prefix_wins),
        cmocka_unit_test(no_random_key_gives_a_prefix_that_holds_a_secret_or_its_last_segment),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
