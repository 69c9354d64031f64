/* test_tree.c - reply trees: shapes, bounds, lookup by name. */
#include "respgate/resp.h"

#include <setjmp.h>
#include <stdlib.h>
#include <cmocka.h>

static struct tree *parse(struct arena *arena, const char *text)
{
    return tree_parse(arena, text, strlen(text));
}

static void test_shapes(void **state)
{
    struct arena *arena = arena_new();
    const struct tree *tree =
        parse(arena, "*6\r\n$2\r\nab\r\n+OK\r\n-ERR x\r\n:-7\r\n$-1\r\n*-1\r\n");
    static const enum tree_type types[] = {TREE_STRING, TREE_STATUS, TREE_ERROR,
                                           TREE_INT,    TREE_NULL,   TREE_NULL};
    assert_non_null(tree);
    assert_int_equal(tree->type, TREE_ARRAY);
    assert_int_equal(tree->count, 6);
    for (size_t i = 0; i < 6; i++)
        assert_int_equal(tree->items[i].type, types[i]);
    assert_true(str_equal(tree->items[0].text, STR("ab")));
    assert_true(str_equal(tree->items[2].text, STR("ERR x")));
    assert_int_equal(tree->items[3].integer, -7);
    arena_free(arena);
}

static void test_not_one_reply(void **state)
{
    static const char *const bad[] = {
        "",
        "+OK",
        "+OK\r\n+OK\r\n",
        "+OK\r\nx",
        "*1\r\n",
        "$3\r\nab\r\n",
        "x\r\n",
        "*2147483647\r\n",
        "*1000000\r\n:1\r\n",
        "*x\r\n",
        ":x\r\n",
        "_\r\n",
        "%0\r\n",
        "*1\r\n_\r\n",
        "*1\r\n#t\r\n",
        "*1\r\n,1.5\r\n",
        "(1\r\n",
        "=5\r\ntxt:a\r\n",
        "~1\r\n:1\r\n",
        "*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n:1\r\n", /* nine deep */
    };
    struct arena *arena = arena_new();
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        if (parse(arena, bad[i]))
            fail_msg("\"%s\" was read as a reply", bad[i]);
    assert_non_null(parse(arena, "*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n:1\r\n"));
    arena_free(arena);
}

static void test_get(void **state)
{
    struct arena *arena = arena_new();
    const struct tree *tree =
        parse(arena, "*5\r\n$5\r\nproto\r\n:2\r\n+role\r\n$6\r\nmaster\r\n$3\r\nodd\r\n");
    assert_int_equal(tree_get(tree, "proto")->integer, 2);
    assert_true(str_equal(tree_get(tree, "role")->text, STR("master")));
    assert_null(tree_get(tree, "odd"));
    assert_null(tree_get(tree, "master"));
    assert_null(tree_get(tree, ""));
    assert_null(tree_get(NULL, "proto"));
    assert_null(tree_get(tree_get(tree, "proto"), "proto"));
    arena_free(arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_shapes),
        cmocka_unit_test(test_not_one_reply),
        cmocka_unit_test(test_get),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
