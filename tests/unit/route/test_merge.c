/* test_merge.c - replies of many nodes become one; what does not fit together is said so. */
#include "respgate/route.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>

static void merged(enum merge merge, const char *const *replies, size_t count, const char *want)
{
    struct merge_part parts[8] = {0};
    struct buf out = {0};
    for (size_t i = 0; i < count; i++)
        parts[i].reply = str_of(replies[i]);
    bool fits = merge_replies(merge, parts, count, 0, &out);
    assert_int_equal(fits, want != NULL);
    buf_add(&out, "", 1);
    assert_string_equal(out.ptr, want ? want : "");
    buf_free(&out);
}
#define MERGED(merge, want, ...)                                                                   \
    merged(merge, (const char *const[]){__VA_ARGS__},                                              \
           sizeof((const char *const[]){__VA_ARGS__}) / sizeof(char *), want)

static void every_way(void **state)
{
    (void)state;
    MERGED(MERGE_SUM, ":6\r\n", ":1\r\n", ":2\r\n", ":3\r\n");
    MERGED(MERGE_SUM, NULL, ":1\r\n", "+OK\r\n");
    MERGED(MERGE_SUM, NULL, ":9223372036854775807\r\n", ":1\r\n");
    MERGED(MERGE_MIN, ":-1\r\n", ":1\r\n", ":-1\r\n", ":3\r\n");
    MERGED(MERGE_SUM, "-ERR x\r\n", ":1\r\n", "-ERR x\r\n", "-ERR y\r\n");
    MERGED(MERGE_FIRST, "+OK\r\n", "+OK\r\n", "+NO\r\n");
    MERGED(MERGE_FIRST, "-ERR x\r\n", "+OK\r\n", "-ERR x\r\n");
    MERGED(MERGE_ANY, "+OK\r\n", "-NOTBUSY x\r\n", "+OK\r\n");
    MERGED(MERGE_ANY, "-NOTBUSY x\r\n", "-NOTBUSY x\r\n", "-NOTBUSY y\r\n");
    MERGED(MERGE_AND, "*2\r\n:0\r\n:1\r\n", "*2\r\n:1\r\n:1\r\n", "*2\r\n:0\r\n:1\r\n");
    MERGED(MERGE_AND, NULL, "*2\r\n:1\r\n:1\r\n", "*1\r\n:0\r\n");
    MERGED(MERGE_CONCAT, "*3\r\n$1\r\na\r\n$1\r\nb\r\n*0\r\n", "*1\r\n$1\r\na\r\n", "*0\r\n",
           "*2\r\n$1\r\nb\r\n*0\r\n");
    MERGED(MERGE_CONCAT, NULL, "*1\r\n:1\r\n", ":1\r\n");
    MERGED(MERGE_UNION, "*2\r\n$1\r\nb\r\n$1\r\na\r\n", "*1\r\n$1\r\nb\r\n",
           "*2\r\n$1\r\na\r\n$1\r\nb\r\n");
    MERGED(MERGE_PAIRS, "*4\r\n$1\r\nb\r\n:3\r\n$1\r\na\r\n:0\r\n",
           "*4\r\n$1\r\nb\r\n:1\r\n$1\r\na\r\n:0\r\n", "*4\r\n$1\r\nb\r\n:2\r\n$1\r\na\r\n:0\r\n");
    MERGED(MERGE_PAIRS, NULL, "*1\r\n$1\r\nb\r\n");
    MERGED(MERGE_RANDOM, "$1\r\na\r\n", "$-1\r\n", "$1\r\na\r\n", "_\r\n");
    MERGED(MERGE_RANDOM, "$-1\r\n", "$-1\r\n", "$-1\r\n");
}

static void info(void **state)
{
    (void)state;
    MERGED(MERGE_INFO,
           "$73\r\n# A\r\nused_memory:30\r\nrole:x\r\n# Keyspace\r\n"
           "db0:keys=7,expires=2,avg_ttl=0\r\n\r\n",
           "$100\r\n# A\r\nused_memory:10\r\nslave0:ip=1,port=2\r\nrole:x\r\n# Keyspace\r\n"
           "db0:keys=3,expires=1,avg_ttl=9\r\n\r\n",
           "$73\r\n# A\r\nused_memory:20\r\nrole:y\r\n# Keyspace\r\n"
           "db0:keys=4,expires=1,avg_ttl=9\r\n\r\n");
    MERGED(MERGE_INFO, "=14\r\ntxt:a:1\r\n# B\r\n\r\n", "=14\r\ntxt:a:1\r\n# B\r\n\r\n");
    MERGED(MERGE_INFO, NULL, "+x\r\n");
}

/* Values of random keys, dealt to parts and put together again. */
static void keyed(void **state)
{
    (void)state;
    for (int round = 0; round < 5000; round++) {
        size_t places = 1 + random_below(12), count = 1 + random_below(4);
        uint32_t lists[4][12];
        struct merge_part parts[4] = {0};
        struct buf replies[4] = {{0}}, bodies[4] = {{0}}, want = {0}, out = {0};
        write_array(&want, places);
        for (uint32_t place = 0; place < places; place++) {
            unsigned p = random_below((uint32_t)count);
            struct buf value = {0};
            char text[16];
            snprintf(text, sizeof(text), "v%u\r\n", place);
            if (random_below(3))
                write_bulk(&value, str_of(text));
            else
                write_null(&value, random_below(2) ? 2 : 3);
            buf_str(&bodies[p], buf_view(&value));
            buf_str(&want, buf_view(&value));
            buf_free(&value);
            lists[p][parts[p].count++] = place;
        }
        for (size_t p = 0; p < count; p++) {
            write_array(&replies[p], parts[p].count);
            buf_str(&replies[p], buf_view(&bodies[p]));
            parts[p].reply = buf_view(&replies[p]);
            parts[p].places = lists[p];
        }
        assert_true(merge_replies(MERGE_KEYED, parts, count, places, &out));
        assert_int_equal(out.len, want.len);
        assert_memory_equal(out.ptr, want.ptr, want.len);
        parts[0].count++; /* one value too few */
        out.len = 0;
        assert_false(merge_replies(MERGE_KEYED, parts, count, places, &out));
        for (size_t p = 0; p < count; p++) {
            buf_free(&replies[p]);
            buf_free(&bodies[p]);
        }
        buf_free(&want);
        buf_free(&out);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_way),
        cmocka_unit_test(info),
        cmocka_unit_test(keyed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
