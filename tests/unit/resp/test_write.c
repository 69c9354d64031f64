/* test_write.c - replies as bytes, in both protocol versions, and read back as trees. */
#include "respgate/resp.h"

#include <setjmp.h>
#include <stdlib.h>
#include <cmocka.h>

static void bytes_are(struct buf *buf, const char *expected)
{
    buf_add(buf, "", 1);
    assert_string_equal(buf->ptr, expected);
    buf->len = 0;
}

static void test_bytes(void **state)
{
    struct buf buf = {0};
    struct str argv[] = {STR("GET"), STR("")};
    write_command(&buf, 2, argv);
    bytes_are(&buf, "*2\r\n$3\r\nGET\r\n$0\r\n\r\n");
    write_command(&buf, 0, NULL);
    bytes_are(&buf, "*0\r\n");
    write_status(&buf, "OK");
    bytes_are(&buf, "+OK\r\n");
    write_int(&buf, 0);
    write_int(&buf, INT64_MAX);
    write_int(&buf, INT64_MIN);
    bytes_are(&buf, ":0\r\n:9223372036854775807\r\n:-9223372036854775808\r\n");
    write_bulk(&buf, STR("abc"));
    bytes_are(&buf, "$3\r\nabc\r\n");
    write_array(&buf, 10);
    bytes_are(&buf, "*10\r\n");
    buf_free(&buf);
}

static void test_versions(void **state)
{
    struct buf buf = {0};
    for (int resp = 2; resp <= 3; resp++) {
        write_null(&buf, resp);
        write_null_array(&buf, resp);
        write_map(&buf, 3, resp);
        write_push(&buf, 3, resp);
        write_verbatim(&buf, STR("ab"), resp);
        bytes_are(&buf, resp == 2 ? "$-1\r\n*-1\r\n*6\r\n*3\r\n$2\r\nab\r\n"
                                  : "_\r\n_\r\n%3\r\n>3\r\n=6\r\ntxt:ab\r\n");
    }
    buf_free(&buf);
}

static void test_no_second_reply(void **state)
{
    struct buf buf = {0};
    write_error(&buf, "ERR unknown command '%s'", "a\r\n+OK\r\n\n");
    bytes_are(&buf, "-ERR unknown command 'a  +OK   '\r\n");
    write_status(&buf, "a\r\n:1");
    bytes_are(&buf, "+a  :1\r\n");
    buf_text(&buf, "+OK\r\n"); /* what stood there before is not touched */
    write_error(&buf, "ERR x");
    bytes_are(&buf, "+OK\r\n-ERR x\r\n");
    buf_free(&buf);
}

static void test_long_error(void **state)
{
    char name[5000];
    struct buf buf = {0};
    memset(name, 'n', sizeof(name) - 1);
    name[sizeof(name) - 1] = 0;
    write_error(&buf, "ERR %s", name);
    assert_true(buf.len > 1000 && buf.len < 1100);
    assert_memory_equal(buf.ptr + buf.len - 2, "\r\n", 2);
    buf_free(&buf);
}

/* A random tree is written and must come back as it was. */
static void tree_write(struct buf *buf, struct arena *arena, struct tree *tree, int depth)
{
    *tree = (struct tree){.type = (enum tree_type)random_below(depth ? 6 : 5)};
    switch (tree->type) {
    case TREE_NULL: write_null(buf, 2); break;
    case TREE_STRING:
        tree->text = (struct str){"a\r\nb\0cdefghij", random_below(14)};
        write_bulk(buf, tree->text);
        break;
    case TREE_STATUS:
        tree->text = STR("OK");
        write_status(buf, "OK");
        break;
    case TREE_ERROR:
        tree->text = STR("ERR no 7");
        write_error(buf, "ERR no %d", 7);
        break;
    case TREE_INT:
        tree->integer = (int64_t)random_below(1000) - 500;
        write_int(buf, tree->integer);
        break;
    case TREE_ARRAY:
        tree->count = random_below(4);
        tree->items = arena_alloc(arena, tree->count * sizeof(*tree));
        write_array(buf, tree->count);
        for (size_t i = 0; i < tree->count; i++)
            tree_write(buf, arena, &tree->items[i], depth - 1);
        break;
    }
}

static void tree_equal(const struct tree *a, const struct tree *b)
{
    assert_int_equal(a->type, b->type);
    assert_int_equal(a->integer, b->integer);
    assert_int_equal(a->text.len, b->text.len);
    if (a->text.len)
        assert_memory_equal(a->text.ptr, b->text.ptr, a->text.len);
    assert_int_equal(a->count, b->count);
    for (size_t i = 0; i < a->count; i++)
        tree_equal(&a->items[i], &b->items[i]);
}

static void test_round_trip(void **state)
{
    for (int round = 0; round < 2000; round++) {
        struct arena *arena = arena_new();
        struct buf buf = {0};
        struct tree tree;
        tree_write(&buf, arena, &tree, 5);
        const struct tree *read = tree_parse(arena, buf.ptr, buf.len);
        assert_non_null(read);
        tree_equal(&tree, read);
        assert_null(tree_parse(arena, buf.ptr, buf.len - 1));
        buf_text(&buf, "+");
        assert_null(tree_parse(arena, buf.ptr, buf.len));
        buf_free(&buf);
        arena_free(arena);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bytes),           cmocka_unit_test(test_versions),
        cmocka_unit_test(test_no_second_reply), cmocka_unit_test(test_long_error),
        cmocka_unit_test(test_round_trip),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
