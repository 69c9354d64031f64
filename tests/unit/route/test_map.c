/* test_map.c - one map out of many views: the majority, ties, split brain; and random views against
 * a slow count. */
#include "respgate/route.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>

static void id_make(unsigned node, char out[NODE_ID_LEN + 1])
{
    snprintf(out, NODE_ID_LEN + 1, "%040x", node + 1);
}

/* A view of `self` in which each node n owns the slots where owners[slot % 8] == n. */
static struct cluster_view *view_make(unsigned self, const unsigned owners[8],
                                      const unsigned epochs[4])
{
    struct buf text = {0};
    const char *error;
    for (unsigned node = 0; node < 4; node++) {
        char id[NODE_ID_LEN + 1];
        id_make(node, id);
        buf_printf(&text, "%s h%u:%u@1 %smaster - 0 0 %u connected", id, node, 7000 + node,
                   node == self ? "myself," : "", epochs[node]);
        for (unsigned slot = 0; slot < SLOT_COUNT; slot++)
            if (owners[slot % 8] == node)
                buf_printf(&text, " %u", slot);
        buf_text(&text, "\n");
    }
    struct cluster_view *view = view_of_nodes(buf_view(&text), &error);
    assert_non_null(view);
    buf_free(&text);
    return view;
}

static const unsigned same[8] = {0, 0, 0, 1, 1, 1, 2, 2}, epochs[4] = {1, 2, 3, 4};

static void majority_against_takeover(void **state)
{
    /* node 3 has taken over node 0's slots by itself, with the highest epoch */
    static const unsigned rogue[8] = {3, 3, 3, 1, 1, 1, 2, 2};
    (void)state;
    struct cluster_view *views[] = {view_make(0, same, epochs), view_make(1, same, epochs),
                                    view_make(2, same, epochs), view_make(3, rogue, epochs)};
    struct slot_map *map = map_vote(views, 4);
    assert_int_equal(map->owner[0], 0);
    assert_int_equal(map->contested, 3 * SLOT_COUNT / 8);
    assert_int_equal(map->contested_slot, 0);
    assert_int_equal(map->primary_count, 3);
    map_drop(map);
    map = map_vote(views + 1, 3); /* node 0 cannot be asked: two of three still name it */
    assert_int_equal(map->owner[0], 0);
    assert_int_equal(map->contested, 0);
    map_drop(map);
    map = map_vote(views + 2, 2); /* one against one: the epoch decides */
    assert_int_equal(map->owner[0], 3);
    map_drop(map);
    for (size_t i = 0; i < 4; i++)
        view_free(views[i]);
}

static void diff_and_equality(void **state)
{
    static const unsigned later[8] = {3, 0, 0, 1, 1, 1, 2, 9};
    struct cluster_view *a = view_make(0, same, epochs), *b = view_make(0, later, epochs);
    struct slot_map *old = map_vote(&a, 1), *again = map_vote(&a, 1), *new = map_vote(&b, 1);
    struct buf text = {0};
    (void)state;
    assert_true(map_equal(old, again));
    assert_false(map_equal(old, new));
    assert_false(map_equal(NULL, new));
    assert_int_equal(new->holes, SLOT_COUNT / 8);
    map_diff(old, again, 9, &text);
    assert_int_equal(text.len, 0);
    map_diff(old, new, 2, &text);
    buf_add(&text, "", 1);
    assert_string_equal(text.ptr, "slots 0-0: 00000000 -> 00000000\nslots 7-7: 00000000 -> none\n"
                                  "and 4094 more ranges\n");
    buf_free(&text);
    map_drop(old);
    map_drop(map_hold(again));
    map_drop(again);
    map_drop(new);
    view_free(a);
    view_free(b);
}

/* The slow count: for each slot, whom most views name; of those with as many, the higher epoch. */
static void random_views(void **state)
{
    (void)state;
    for (int round = 0; round < 60; round++) {
        size_t count = 1 + random_below(5);
        struct cluster_view *views[5];
        unsigned owners[5][8];
        for (size_t i = 0; i < count; i++) {
            for (unsigned s = 0; s < 8; s++)
                owners[i][s] = random_below(5); /* 4: nobody */
            views[i] = view_make(random_below(4), owners[i], epochs);
        }
        struct slot_map *map = map_vote(views, count);
        for (unsigned slot = 0; slot < 64; slot++) {
            unsigned votes[4] = {0}, best = 4;
            for (size_t i = 0; i < count; i++)
                if (owners[i][slot % 8] < 4)
                    votes[owners[i][slot % 8]]++;
            for (unsigned node = 0; node < 4; node++) /* epochs grow with the number */
                if (votes[node] && (best == 4 || votes[node] >= votes[best]))
                    best = node;
            assert_int_equal(map->owner[slot], best == 4 ? NO_OWNER : best);
        }
        map_drop(map);
        for (size_t i = 0; i < count; i++)
            view_free(views[i]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(majority_against_takeover),
        cmocka_unit_test(diff_and_equality),
        cmocka_unit_test(random_views),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
