/* test_view.c - what nodes tell of the cluster, read as it is and refused when it makes no sense.
 */
#include "respgate/route.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>
#include <stdlib.h>

#define A "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define B "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
#define C "cccccccccccccccccccccccccccccccccccccccc"

static struct cluster_view *nodes(const char *text)
{
    const char *error = NULL;
    struct cluster_view *view = view_of_nodes(str_of(text), &error);
    assert_true((view != NULL) != (error != NULL));
    return view;
}

static void cluster_nodes(void **state)
{
    (void)state;
    struct cluster_view *view = nodes(
        A " 127.0.0.1:7000@17000,redis-a.test myself,master - 0 0 3 connected 0-5 7 [7->-" B "]\n" B
          " ::1:7001@17001 master,fail? - 0 0 9 connected 8-16383 [6-<-" A "]\r\n" C
          " :7002@17002,,tls-port=1 slave,fail " A " 0 0 3 connected\n"
          "dddddddddddddddddddddddddddddddddddddddd :0@0 slave,noaddr " A " 0 0 3 connected\n");
    assert_non_null(view);
    assert_int_equal(view->node_count, 3);
    assert_int_equal(view->self, 0);
    assert_string_equal(view->nodes[0].host, "127.0.0.1");
    assert_string_equal(view->nodes[0].hostname, "redis-a.test");
    assert_int_equal(view->nodes[0].port, 7000);
    assert_int_equal(view->nodes[0].epoch, 3);
    assert_string_equal(view->nodes[1].host, "::1");
    assert_false(view->nodes[1].failed); /* only suspected */
    assert_true(view->nodes[2].failed);
    assert_false(view->nodes[2].is_primary);
    assert_string_equal(view->nodes[2].primary_id, A);
    assert_string_equal(view->nodes[2].host, "");
    assert_int_equal(view->owner[5], 0);
    assert_int_equal(view->owner[6], NO_OWNER);
    assert_int_equal(view->owner[7], 0);
    assert_int_equal(view->owner[16383], 1);
    assert_int_equal(view->move_count, 2);
    assert_int_equal(view->moves[0].slot, 7);
    assert_false(view->moves[0].importing);
    assert_true(view->moves[1].importing);
    assert_string_equal(view->moves[1].other, A);
    view_free(view);
}

static void refused(void **state)
{
    static const char *const texts[] = {
        "",
        "\n\n",
        "-ERR This instance has cluster support disabled",
        A,
        A " 127.0.0.1:7000@1 master - 0 0 x connected 0-5\n",
        A " 127.0.0.1:70000@1 master - 0 0 1 connected\n",
        A " 127.0.0.1 master - 0 0 1 connected\n",
        A " 127.0.0.\001:1@1 master - 0 0 1 connected\n",
        A " h:1@1 master - 0 0 1 connected 16384\n",
        A " h:1@1 master - 0 0 1 connected 5-4\n",
        A " h:1@1 master - 0 0 1 connected 5 5\n",
        A " h:1@1 master - 0 0 1 connected -5\n",
        A " h:1@1 master - 0 0 1 connected 1-\n",
        A " h:1@1 master - 0 0 1 connected [1->-xx]\n",
        A " h:1@1 master - 0 0 1 connected [1=>-" B "]\n",
        A " h:1@1 master - 0 0 1 connected 5\n" B " h:2@1 master - 0 0 1 connected 5\n",
        A " h:1@1 master - 0 0 1 connected 5\n" A " h:2@1 master - 0 0 1 connected 6\n",
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(texts); i++)
        assert_null(nodes(texts[i]));
}

static void cluster_slots(void **state)
{
    static const char text[] =
        "*2\r\n*4\r\n:0\r\n:99\r\n*4\r\n$1\r\nh\r\n:1\r\n$40\r\n" A
        "\r\n*2\r\n$8\r\nhostname\r\n$1\r\nn\r\n*4\r\n$-1\r\n:2\r\n$40\r\n" B "\r\n*0\r\n"
        "*3\r\n:100\r\n:100\r\n*3\r\n$1\r\nh\r\n:1\r\n$40\r\n" A "\r\n";
    struct arena *arena = arena_new();
    const char *error = NULL;
    (void)state;
    struct cluster_view *view = view_of_slots(tree_parse(arena, text, sizeof(text) - 1), &error);
    assert_non_null(view);
    assert_int_equal(view->node_count, 2);
    assert_string_equal(view->nodes[0].hostname, "n");
    assert_string_equal(view->nodes[1].host, "");
    assert_string_equal(view->nodes[1].primary_id, A);
    assert_int_equal(view->owner[100], 0);
    assert_int_equal(view->owner[101], NO_OWNER);
    view_free(view);
    static const char zero[] =
        "*1\r\n*3\r\n:0\r\n:16384\r\n*3\r\n$1\r\nh\r\n:1\r\n$40\r\n" A "\r\n";
    assert_null(view_of_slots(tree_parse(arena, zero, sizeof(zero) - 1), &error));
    assert_null(view_of_slots(tree_parse(arena, "*0\r\n", 4), &error));
    assert_null(view_of_slots(tree_parse(arena, "+OK\r\n", 5), &error));
    arena_free(arena);
}

static void cluster_shards(void **state)
{
    static const char text[] =
        "*1\r\n*4\r\n$5\r\nslots\r\n*2\r\n:0\r\n:16383\r\n$5\r\nnodes\r\n*2\r\n"
        "*10\r\n$2\r\nid\r\n$40\r\n" A "\r\n$8\r\ntls-port\r\n:5\r\n$2\r\nip\r\n$1\r\nh\r\n"
        "$4\r\nrole\r\n$6\r\nmaster\r\n$6\r\nhealth\r\n$4\r\nfail\r\n"
        "*10\r\n$2\r\nid\r\n$40\r\n" B "\r\n$8\r\ntls-port\r\n:6\r\n$2\r\nip\r\n$1\r\nh\r\n"
        "$4\r\nrole\r\n$6\r\nmaster\r\n$6\r\nhealth\r\n$6\r\nonline\r\n";
    struct arena *arena = arena_new();
    const char *error = NULL;
    (void)state;
    struct cluster_view *view =
        view_of_shards(tree_parse(arena, text, sizeof(text) - 1), true, &error);
    assert_non_null(view);
    assert_true(view->nodes[0].failed);
    assert_int_equal(view->owner[9], 1); /* the one that lives */
    assert_int_equal(view->nodes[1].port, 6);
    view_free(view);
    assert_null(view_of_shards(tree_parse(arena, text, sizeof(text) - 1), false, &error));
    arena_free(arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(cluster_nodes),
        cmocka_unit_test(refused),
        cmocka_unit_test(cluster_slots),
        cmocka_unit_test(cluster_shards),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
