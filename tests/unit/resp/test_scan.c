/* test_scan.c - the reply framer against hiredis' reader and against an obvious model. */
#include "model.h"

#include <setjmp.h>
#include <stdlib.h>
#include <cmocka.h>
#include <hiredis.h>

enum { ENDLESS = 1 << 30 };

/* Where the first reply ends when the bytes come cut at `cut`; 0: it does not, -1: error. */
static int64_t scan_cut(struct str bytes, size_t cut)
{
    struct scan scan;
    size_t used = 0;
    scan_init(&scan);
    enum scan_status status = scan_feed(&scan, bytes.ptr, cut, &used);
    if (status == SCAN_ERROR)
        return -1;
    if (status == SCAN_END) {
        assert_true(scan_at_start(&scan));
        return (int64_t)used;
    }
    assert_int_equal(used, cut);
    assert_true(scan_at_start(&scan) == (cut == 0));
    status = scan_feed(&scan, bytes.ptr + cut, bytes.len - cut, &used);
    return status == SCAN_ERROR ? -1 : status == SCAN_MORE ? 0 : (int64_t)(cut + used);
}

static int64_t scan_bytes(struct str bytes)
{
    struct scan scan;
    scan_init(&scan);
    for (size_t i = 0, used; i < bytes.len; i++) {
        switch (scan_feed(&scan, bytes.ptr + i, 1, &used)) {
        case SCAN_MORE: break;
        case SCAN_END: assert_int_equal(used, 1); return (int64_t)i + 1;
        case SCAN_ERROR: return -1;
        }
    }
    return 0;
}

static void scan_check(struct str bytes, int64_t expected)
{
    for (size_t cut = 0; cut <= bytes.len; cut++)
        if (scan_cut(bytes, cut) != expected)
            fail_msg("cut at %zu of %zu: %ld instead of %ld", cut, bytes.len,
                     (long)scan_cut(bytes, cut), (long)expected);
    assert_int_equal(scan_bytes(bytes), expected);
}

/* Whether hiredis, given the first `cut` bytes, finds a reply in them. */
static bool reader_whole(struct str bytes, size_t cut)
{
    redisReader *reader = redisReaderCreateWithFunctions(NULL);
    void *reply = NULL;
    redisReaderFeed(reader, bytes.ptr, cut);
    assert_int_equal(redisReaderGetReply(reader, &reply), REDIS_OK);
    redisReaderFree(reader);
    return reply != NULL;
}

static void test_hiredis_agrees(void **state)
{
    for (int round = 0; round < 100; round++) {
        struct buf bytes = {0};
        model_reply(&bytes, 2, 4);
        struct str reply = buf_view(&bytes);
        for (size_t cut = reply.len > 200 ? reply.len - 200 : 0; cut < reply.len; cut++)
            assert_false(reader_whole(reply, cut));
        assert_true(reader_whole(reply, reply.len));
        buf_text(&bytes, "+next\r\n");
        scan_check(buf_view(&bytes), (int64_t)bytes.len - 7);
        buf_free(&bytes);
    }
}

static void test_model_agrees(void **state)
{
    for (int round = 0; round < 100; round++) {
        struct buf bytes = {0};
        model_reply(&bytes, 3, 5);
        int64_t len = (int64_t)bytes.len;
        assert_int_equal(model_length(buf_view(&bytes)), len);
        buf_text(&bytes, "$-1\r\n");
        scan_check(buf_view(&bytes), len);
        buf_free(&bytes);
    }
}

/* Broken replies: whatever the model says of them, the scanner says too. */
static void test_mutations(void **state)
{
    for (int round = 0; round < 3000; round++) {
        struct buf bytes = {0};
        model_reply(&bytes, 3, 3);
        for (int i = 0; i < 2; i++)
            bytes.ptr[random_below((uint32_t)bytes.len)] = "\r\n0129-+:$*|%?x"[random_below(15)];
        int64_t expected = model_length(buf_view(&bytes));
        if (scan_bytes(buf_view(&bytes)) != expected)
            /* the scanner knows of a wrong number before its line has come to an end */
            assert_true(expected == 0 && scan_bytes(buf_view(&bytes)) == -1);
        for (size_t cut = 0; cut < bytes.len; cut += 1 + random_below(20))
            assert_int_equal(scan_cut(buf_view(&bytes), cut), scan_bytes(buf_view(&bytes)));
        buf_free(&bytes);
    }
}

static void test_errors(void **state)
{
    static const char *const bad[] = {
        "x",
        "\r\n",
        "$?\r\n",
        "*?\r\n",
        ";4\r\n",
        ".\r\n",
        "$-2\r\n",
        "*-2\r\n",
        "%-1\r\n",
        "~-1\r\n",
        ">-1\r\n",
        "|-1\r\n",
        "!-1\r\n",
        "=-1\r\n",
        "$\r\n",
        "$01\r\n",
        "$+1\r\n",
        "$1 \r\n",
        "$-\r\n",
        "$1\n\r\n",
        "*\r\n",
        ":\r\n",
        ":1.5\r\n",
        ":x\r\n",
        "_x\r\n",
        "_1\r\n",
        "#1\r\n",
        "#\r\n",
        "#tt\r\n",
        "#x\r\n",
        "$1\r\nabc",
        "$1\r\na\rb",
        "$0\r\nab",
        "$0\r\n\n\r",
        "*1\r\nx",
        "|0\r\nx",
        "$18446744073709551616\r\n",
        "*9223372036854775808\r\n",
        "*9223372036854775807\r\n*9223372036854775807\r\n*9223372036854775807\r\n",
        "%9223372036854775807\r\n%9223372036854775807\r\n",
        "$11111111111111111111111111111111",
    };
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        scan_check(str_of(bad[i]), -1);
}

static void test_shapes(void **state)
{
    static const struct {
        const char *bytes;
        int64_t len;
    } rows[] = {
        {"", 0},
        {"+\r\n", 3},
        {"+a\rb\nc\r\r\nx", 9},
        {"*0\r\n+x", 4},
        {"*-1\r\n", 5},
        {"$-1\r\n", 5},
        {"$0\r\n\r\n", 6},
        {"%0\r\n", 4},
        {"|0\r\n+x\r\n+y", 8},
        {"|1\r\n+k\r\n+v\r\n|1\r\n+k\r\n+v\r\n:1\r\n:2\r\n", 28},
        {"*2\r\n|1\r\n+k\r\n+v\r\n:1\r\n:2\r\n:3\r\n", 24},
        {"%1\r\n+k\r\n*2\r\n:1\r\n:2\r\n+x", 20},
        {"*9223372036854775807\r\n", 0},
        {"$9223372036854775807\r\n", 0},
        {"*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n_\r\n", 51},
        {"=8\r\ntxt:abcd\r\n", 14},
        {",inf\r\n", 6},
        {"(-3492890328409238509324850943850943825024385\r\n", 47},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        scan_check(str_of(rows[i].bytes), rows[i].len);
}

/* Half a gigabyte streams through without being kept. */
static void test_large(void **state)
{
    static char zeros[1 << 16];
    struct scan scan;
    size_t used;
    scan_init(&scan);
    assert_int_equal(scan_feed(&scan, "$1073741824\r\n", 13, &used), SCAN_MORE);
    for (int i = 0; i < ENDLESS / (1 << 16); i++)
        assert_int_equal(scan_feed(&scan, zeros, sizeof(zeros), &used), SCAN_MORE);
    assert_int_equal(scan_feed(&scan, "\r\n+", 3, &used), SCAN_END);
    assert_int_equal(used, 2);
}

static void test_pipeline(void **state)
{
    struct buf bytes = {0};
    size_t ends[200], at = 0, used;
    for (size_t i = 0; i < ARRAY_LEN(ends); i++) {
        model_reply(&bytes, 3, 3);
        ends[i] = bytes.len;
    }
    struct scan scan;
    scan_init(&scan);
    for (size_t i = 0; i < ARRAY_LEN(ends); i++) {
        assert_true(scan_at_start(&scan));
        assert_int_equal(scan_feed(&scan, bytes.ptr + at, bytes.len - at, &used), SCAN_END);
        at += used;
        assert_int_equal(at, ends[i]);
    }
    buf_free(&bytes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_shapes),         cmocka_unit_test(test_errors),
        cmocka_unit_test(test_hiredis_agrees), cmocka_unit_test(test_model_agrees),
        cmocka_unit_test(test_mutations),      cmocka_unit_test(test_large),
        cmocka_unit_test(test_pipeline),
    };
    assert_true(sizeof(struct scan) <= 64);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
