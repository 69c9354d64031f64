/* test_plan.c - commands over many nodes: which way each goes, and splitting that loses nothing. */
#include "../command/requests.h"
#include "respgate/route.h"

#include <stdio.h>

static void ways(void **state)
{
    static const struct {
        const char *request;
        enum route_kind kind;
        enum merge merge;
    } cases[] = {
        {"GET a", ROUTE_SLOT, MERGE_FIRST},
        {"MSETNX a 1", ROUTE_SLOT, MERGE_FIRST},
        {"PING", ROUTE_SLOT, MERGE_FIRST},
        {"EVAL s 0", ROUTE_SLOT, MERGE_FIRST},
        {"MGET a", ROUTE_SPLIT, MERGE_KEYED},
        {"MSET a 1", ROUTE_SPLIT, MERGE_FIRST},
        {"DEL a", ROUTE_SPLIT, MERGE_SUM},
        {"UNLINK a", ROUTE_SPLIT, MERGE_SUM},
        {"EXISTS a", ROUTE_SPLIT, MERGE_SUM},
        {"TOUCH a", ROUTE_SPLIT, MERGE_SUM},
        {"DBSIZE", ROUTE_ALL, MERGE_SUM},
        {"KEYS *", ROUTE_ALL, MERGE_CONCAT},
        {"FLUSHALL", ROUTE_ALL, MERGE_FIRST},
        {"FLUSHDB", ROUTE_ALL, MERGE_FIRST},
        {"SCRIPT LOAD x", ROUTE_ALL, MERGE_FIRST},
        {"SCRIPT EXISTS x", ROUTE_ALL, MERGE_AND},
        {"SCRIPT FLUSH", ROUTE_ALL, MERGE_FIRST},
        {"SCRIPT KILL", ROUTE_ASIDE, MERGE_ANY},
        {"FUNCTION LOAD x", ROUTE_ALL, MERGE_FIRST},
        {"FUNCTION KILL", ROUTE_ASIDE, MERGE_ANY},
        {"WAIT 1 0", ROUTE_ASIDE, MERGE_MIN},
        {"SCAN 0", ROUTE_SCAN, MERGE_FIRST},
        {"RANDOMKEY", ROUTE_ALL, MERGE_RANDOM},
        {"INFO", ROUTE_ALL, MERGE_INFO},
        {"PUBSUB NUMSUB a", ROUTE_ALL, MERGE_PAIRS},
        {"PUBSUB CHANNELS", ROUTE_ALL, MERGE_UNION},
        {"PUBLISH a b", ROUTE_SLOT, MERGE_FIRST},
        {"MEMORY PURGE", ROUTE_ALL, MERGE_FIRST},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct test_request request = request_of(cases[i].request);
        struct command_route route = route_of(request_command(&request));
        if (route.kind != cases[i].kind || route.merge != cases[i].merge)
            fail_msg("%s: kind %d, merge %d", cases[i].request, route.kind, route.merge);
        request_free(&request);
    }
}

static void splitting_loses_nothing(void **state)
{
    (void)state;
    for (int round = 0; round < 2000; round++) {
        struct test_request request = request_of("MSET");
        struct key_ref keys[40];
        size_t count = 1 + random_below(40), seen = 0;
        for (size_t i = 0; i < count; i++) {
            char text[16];
            int len = snprintf(text, sizeof(text), "k%u", random_below(12));
            keys[i] = (struct key_ref){(uint32_t)request.argc, 0};
            request_add(&request, text, (size_t)len);
            request_add(&request, "v", 1);
        }
        struct arena *arena = arena_new();
        struct split_part *parts;
        size_t n = split_plan(request.argv, keys, count, arena, &parts);
        for (size_t p = 0; p < n; p++) {
            struct buf out = {0};
            for (size_t q = 0; q < p; q++)
                assert_int_not_equal(parts[p].slot, parts[q].slot);
            for (size_t i = 0; i < parts[p].count; i++) {
                assert_int_equal(key_slot(request.argv[parts[p].args[i]]), parts[p].slot);
                assert_true(i == 0 || parts[p].args[i] > parts[p].args[i - 1]);
            }
            seen += parts[p].count;
            split_write(request.argv, &parts[p], 2, &out);
            struct tree *tree = tree_parse(arena, out.ptr, out.len);
            assert_int_equal(tree->count, 1 + 2 * parts[p].count);
            assert_true(str_equal(tree->items[1].text, request.argv[parts[p].args[0]]));
            buf_free(&out);
        }
        assert_int_equal(seen, count);
        arena_free(arena);
        request_free(&request);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ways),
        cmocka_unit_test(splitting_loses_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
