/* test_limits.c - hostile sizes: judged in a time that grows with the body alone. */
#include "inspect.h"

#include <stdlib.h>

enum { MEGABYTE = 1024 * 1024 };

static struct buf repeated(const char *head, const char *part, size_t bytes, const char *tail)
{
    struct buf body = {0};
    size_t len = strlen(part);
    buf_text(&body, head);
    while (body.len < bytes)
        buf_add(&body, part, len);
    buf_text(&body, tail);
    return body;
}

/* expected NULL: any verdict, but soon. The bound is for a busy machine with sanitizers. */
static const struct {
    const char *head, *part, *tail;
    size_t size;
    const char *expected;
} bodies[] = {
    {"", "--x\n", "", 10 * MEGABYTE, ""},
    {"--[[", "] ", "]]return 1", 10 * MEGABYTE, ""},
    {"--[[", "x]", "", 10 * MEGABYTE, "malformed"},
    {"return '", "x", "'", 10 * MEGABYTE, ""},
    {"return '", "\\065", "'", 10 * MEGABYTE, ""},
    {"return '", "\\", "", 10 * MEGABYTE, "malformed"},
    {"return [", "=", "", 10 * MEGABYTE, "malformed"},
    {"return [[", "]=", "]]", 10 * MEGABYTE, ""},
    {"return ", "9", "", 10 * MEGABYTE, "malformed"},
    {"local ", "x", " = 1", 10 * MEGABYTE, ""},
    {"return ", "(", "", 10 * MEGABYTE, "malformed"},
    {"return ", "{", "", 10 * MEGABYTE, "malformed"},
    {"return ", "-", "1", 10 * MEGABYTE, ""},
    {"return ", "- ", "1", 10 * MEGABYTE, "malformed"},
    {"return ", "not ", "1", 10 * MEGABYTE, "malformed"},
    {"return 1", "..1 ", "", 10 * MEGABYTE, "malformed"},
    {"return 1", " ^ 1", "", 10 * MEGABYTE, "malformed"},
    {"return 1", " + 1", "", 10 * MEGABYTE, ""},
    {"", "do ", "", 10 * MEGABYTE, "malformed"},
    {"", "if 1 then ", "", 10 * MEGABYTE, "malformed"},
    {"", "local function f() ", "", 10 * MEGABYTE, "malformed"},
    {"local a ", "a=a ", "", 10 * MEGABYTE, NULL},
    {"local a ", "a()", "", 10 * MEGABYTE, NULL},
    {"local a a", "()", "", 10 * MEGABYTE, NULL},
    {"local a a", "''", "", 10 * MEGABYTE, NULL},
    {"local a a", ".b", " = 1", 10 * MEGABYTE, ""},
    {"redis.call('GET'", ",1", ")", 10 * MEGABYTE, "malformed"},
    {"", "redis.call'G'", "", 10 * MEGABYTE, NULL},
    {"return {", "1,", "}", 10 * MEGABYTE, ""},
    {"local a = 'x' ", "local a = a ", "redis.call(a)", MEGABYTE, "x"},
    {"local a = 1 == 1 ", "or 'x' ", "redis.call(a)", MEGABYTE, "x"},
    {"local a, b = 'x', 'y' ", "a,b=b,a ", "redis.call(a)", MEGABYTE, "x y"},
    {"local function f(a) redis.call(a) end ", "f('x') ", "", MEGABYTE, "x"},
    {"local function f(a) redis.call(a) end ", "f(KEYS) ", "", MEGABYTE, "refused"},
    {"local f ", "f=function(a) f(a) end ", "f('x')", MEGABYTE, NULL},
    {"local function f(a) ", "redis.call(a) ", "end f('x')", 64 * 1024, NULL},
    {"#!lua ", " ", "\nreturn 1", MEGABYTE, ""},
    {"#!lua flags=", ",", "\nreturn 1", MEGABYTE, "malformed"},
    {"", "\0", "", 16, "refused"},
};

static void hostile_sizes(void **state)
{
    for (size_t i = 0; i < ARRAY_LEN(bodies); i++) {
        struct buf body = {0};
        struct arena *arena = arena_new();
        if (bodies[i].part[0])
            body = repeated(bodies[i].head, bodies[i].part, bodies[i].size, bodies[i].tail);
        else
            buf_add(&body, "\0\0return 1", 10);
        uint64_t start = clock_ns();
        struct buf verdict = verdict_of(arena, SCRIPT_EVAL, buf_view(&body));
        uint64_t spent = (clock_ns() - start) / 1000000;
        if (getenv("SCRIPT_TIMES"))
            print_message("%6zu ms  %s%s\n", (size_t)spent, bodies[i].head, bodies[i].part);
        const char *expected = bodies[i].expected;
        if (expected && strncmp(verdict.ptr, expected, strlen(expected)) != 0)
            fail_msg("%s%s...: %.200s", bodies[i].head, bodies[i].part, verdict.ptr);
        if (expected && !*expected && *verdict.ptr)
            fail_msg("%s%s...: %.200s", bodies[i].head, bodies[i].part, verdict.ptr);
        assert_true(spent < 20000);
        buf_free(&verdict);
        buf_free(&body);
        arena_free(arena);
    }
}

/* Many different names and texts: one look-up each. */
static void many_names(void **state)
{
    struct buf body = {0};
    struct arena *arena = arena_new();
    for (size_t i = 0; body.len < 4 * MEGABYTE; i++)
        buf_printf(&body, "local n%zu = 'v%zu' ", i, i);
    buf_text(&body, "redis.call(n17)");
    struct buf verdict = verdict_of(arena, SCRIPT_EVAL, buf_view(&body));
    assert_string_equal(verdict.ptr, "v17");
    buf_free(&verdict);
    buf_free(&body);
    arena_free(arena);
}

/* A small body cannot have a large result. */
static void forms_bounded(void **state)
{
    struct buf body = {0};
    struct arena *arena = arena_new();
    buf_text(&body, "local a, b = 'x', 'x' ");
    for (int i = 0; i < 31; i++)
        buf_printf(&body, "a = 'c%d' b = 's%d' ", i, i);
    for (int i = 0; i < 100; i++)
        buf_text(&body, "redis.call(a, b, a, b, a, b) ");
    struct buf verdict = verdict_of(arena, SCRIPT_EVAL, buf_view(&body));
    assert_non_null(strstr(verdict.ptr, "too many forms"));
    buf_free(&verdict);
    buf_free(&body);
    arena_free(arena);
}

/* More values than are followed are anything. */
static void values_bounded(void **state)
{
    for (int many = 31; many <= 33; many++) {
        struct buf body = {0};
        struct arena *arena = arena_new();
        buf_text(&body, "local a ");
        for (int i = 0; i < many; i++)
            buf_printf(&body, "a = 'c%d' ", i);
        buf_text(&body, "redis.call(a)");
        const struct script *script = script_inspect(arena, SCRIPT_EVAL, buf_view(&body));
        assert_int_equal(script->verdict, many <= 32 ? SCRIPT_ACCEPTED : SCRIPT_REFUSED);
        buf_free(&body);
        arena_free(arena);
    }
}

/* KEYS does not get lost among them. */
static void tables_kept(void **state)
{
    struct buf body = {0};
    struct arena *arena = arena_new();
    buf_text(&body, "local a = 1 local b = KEYS ");
    for (int i = 0; i < 40; i++)
        buf_printf(&body, "a = 'c%d' ", i);
    buf_text(&body, "a = b a[1] = 'x' redis.call('GET', KEYS[1])");
    const struct script *script = script_inspect(arena, SCRIPT_EVAL, buf_view(&body));
    assert_int_equal(script->verdict, SCRIPT_ACCEPTED);
    assert_true(script->calls[0].args[0].open);
    buf_free(&body);
    arena_free(arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hostile_sizes), cmocka_unit_test(many_names),
        cmocka_unit_test(forms_bounded), cmocka_unit_test(values_bounded),
        cmocka_unit_test(tables_kept),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
