/* test_buf.c - growing texts, JSON strings, arenas, lists. */
#include "respgate/base.h"

#include <setjmp.h>
#include <stdlib.h>
#include <cmocka.h>

static void json_is(struct str text, const char *expected)
{
    struct buf buf = {0};
    buf_json(&buf, text);
    if (!str_equal(buf_view(&buf), str_of(expected)))
        fail_msg("%.*s instead of %s", (int)buf.len, buf.ptr, expected);
    buf_free(&buf);
}

static void test_json(void **state)
{
    json_is(STR(""), "\"\"");
    json_is(STR("abc"), "\"abc\"");
    json_is(STR("a\"b\\c/"), "\"a\\\"b\\\\c/\"");
    json_is(STR("\0\n\x1f\x7f"), "\"\\u0000\\u000a\\u001f\\u007f\"");
    json_is(STR("<script>"), "\"<script>\"");
}

/* What is UTF-8 stays; every byte of what is not becomes \u00XX (RFC 3629, section 3 and 4). */
static void test_json_utf8(void **state)
{
    json_is(STR("\xc3\xa4"), "\"\xc3\xa4\"");
    json_is(STR("\xe2\x82\xac"), "\"\xe2\x82\xac\"");
    json_is(STR("\xf0\x9f\x98\x80"), "\"\xf0\x9f\x98\x80\"");
    json_is(STR("\xf4\x8f\xbf\xbf"), "\"\xf4\x8f\xbf\xbf\"");
    json_is(STR("\xff"), "\"\\u00ff\"");
    json_is(STR("\x80z"), "\"\\u0080z\"");
    json_is(STR("\xc3"), "\"\\u00c3\"");
    json_is(STR("\xc3z"), "\"\\u00c3z\"");
    json_is(STR("\xe2\x82"), "\"\\u00e2\\u0082\"");
    json_is(STR("\xc0\xaf"), "\"\\u00c0\\u00af\"");                       /* overlong */
    json_is(STR("\xe0\x80\xaf"), "\"\\u00e0\\u0080\\u00af\"");            /* overlong */
    json_is(STR("\xf0\x80\x80\xaf"), "\"\\u00f0\\u0080\\u0080\\u00af\""); /* overlong */
    json_is(STR("\xed\xa0\x80"), "\"\\u00ed\\u00a0\\u0080\"");            /* surrogate */
    json_is(STR("\xf4\x90\x80\x80"), "\"\\u00f4\\u0090\\u0080\\u0080\""); /* above U+10FFFF */
}

static void test_growth(void **state)
{
    struct buf buf = {0};
    buf_add(&buf, NULL, 0);
    for (int i = 0; i < 10000; i++) {
        buf_printf(&buf, "%d,", i);
        buf_text(&buf, "x");
    }
    assert_memory_equal(buf.ptr, "0,x1,x2,x", 9);
    assert_memory_equal(buf.ptr + buf.len - 6, "9999,x", 6);
    assert_true(buf.cap >= buf.len && buf.cap < 4 * buf.len);
    buf_free(&buf);
    assert_null(buf.ptr);
    assert_int_equal(buf.len, 0);
}

static void test_arena(void **state)
{
    struct arena *arena = arena_new();
    for (size_t size = 1; size < 40000; size = size * 3 / 2 + 1) {
        char *ptr = arena_alloc(arena, size);
        assert_int_equal((uintptr_t)ptr % 16, 0);
        for (size_t i = 0; i < size; i++)
            assert_int_equal(ptr[i], 0);
        memset(ptr, 'x', size);
    }
    assert_string_equal(arena_str(arena, STR("abc")), "abc");
    assert_string_equal(arena_str(arena, (struct str){NULL, 0}), "");
    assert_string_equal(arena_printf(arena, "%s-%d", "a", 7), "a-7");
    arena_free(arena);
    arena_free(NULL);
}

struct item {
    int number;
    struct list node;
};

static void test_list(void **state)
{
    struct item items[5];
    struct list head;
    int sum = 0, seen = 0;
    list_init(&head);
    assert_true(list_empty(&head));
    for (int i = 0; i < 5; i++) {
        items[i].number = i;
        list_append(&head, &items[i].node);
    }
    list_remove(&items[2].node);
    list_remove(&items[2].node); /* once more does nothing */
    list_each (it, &head) {
        struct item *item = CONTAINER(it, struct item, node);
        sum = sum * 10 + item->number;
    }
    assert_int_equal(sum, 134); /* 0 1 3 4 in order */
    list_each_safe (it, &head) {
        list_remove(it);
        seen++;
    }
    assert_int_equal(seen, 4);
    assert_true(list_empty(&head));
}

static void printable_is(struct str text, size_t max, bool whole, const char *expected)
{
    struct buf buf = {0};
    assert_int_equal(buf_printable(&buf, text, max), whole);
    if (!str_equal(buf_view(&buf), str_of(expected)))
        fail_msg("%.*s instead of %s", (int)buf.len, buf.ptr, expected);
    buf_free(&buf);
}

static void test_printable(void **state)
{
    printable_is(STR("job:state"), 64, true, "job:state");
    printable_is(STR("a\r\n\0\x1b[31m"), 64, true, "a\\x0d\\x0a\\x00\\x1b[31m");
    printable_is(STR("\xff\xc3\xa4\xc3"), 64, true, "\\xff\xc3\xa4\\xc3");
    printable_is(STR("\xc2\x9b\xc2\xa0"), 64, true, "\\xc2\\x9b\xc2\xa0"); /* C1 moves cursors */
    printable_is(STR("\\x0a"), 64, true, "\\\\x0a"); /* not what a newline becomes */
    printable_is(STR("abcdefgh"), 8, false, "abcde...");
    printable_is(STR(""), 8, true, "");
}

/* Whatever goes in, what comes out is valid UTF-8 without controls, within the bound, and another
 * text gives another one. */
static void test_printable_random(void **state)
{
    enum { ROUNDS = 20000, ROOM = 6 };
    for (int round = 0; round < ROUNDS; round++) {
        char one[ROOM], other[ROOM];
        size_t len = random_below(ROOM) + 1;
        for (size_t i = 0; i < len; i++) {
            one[i] = (char)random_below(256);
            other[i] = random_below(2) ? one[i] : (char)random_below(256);
        }
        struct buf a = {0}, b = {0};
        assert_true(buf_printable(&a, (struct str){one, len}, 64));
        assert_true(buf_printable(&b, (struct str){other, len}, 64));
        assert_true(a.len <= 64);
        assert_int_equal(str_equal(buf_view(&a), buf_view(&b)), memcmp(one, other, len) == 0);
        for (size_t i = 0; i < a.len;) {
            size_t step = utf8_len(a.ptr + i, a.len - i);
            assert_true(step > 0 && (unsigned char)a.ptr[i] >= 0x20 && a.ptr[i] != 0x7f);
            i += step;
        }
        buf_free(&a);
        buf_free(&b);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_json),
        cmocka_unit_test(test_json_utf8),
        cmocka_unit_test(test_growth),
        cmocka_unit_test(test_arena),
        cmocka_unit_test(test_list),
        cmocka_unit_test(test_printable),
        cmocka_unit_test(test_printable_random),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
