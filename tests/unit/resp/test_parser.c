/* test_parser.c - what a parser keeps, shares and gives back. */
#include "transcript.h"

#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define __SANITIZE_ADDRESS__ 1 /* clang's way to say it */
#endif
#endif
#ifdef __SANITIZE_ADDRESS__
static const bool sanitized = true;
#else
static const bool sanitized = false;
#endif

static const char get[] = "*2\r\n$3\r\nGET\r\n$3\r\nkey\r\n";
enum { GET_LEN = sizeof(get) - 1 };

static struct parser *parser_with(struct str bytes)
{
    struct parser *parser = parser_new();
    parser_feed(parser, bytes.ptr, bytes.len);
    return parser;
}

static struct request request_ready(struct parser *parser)
{
    struct request request;
    assert_int_equal(parser_next(parser, &limits_user, &request), REQUEST_READY);
    return request;
}

static void request_none(struct parser *parser)
{
    struct request request;
    assert_int_equal(parser_next(parser, &limits_user, &request), REQUEST_MORE);
}

static void test_neighbours_join(void **state)
{
    struct buf bytes = {0};
    struct spans queue = {0};
    for (int i = 0; i < 100; i++)
        buf_text(&bytes, get);
    struct parser *parser = parser_with(buf_view(&bytes));
    for (int i = 0; i < 100; i++)
        spans_push(&queue, request_ready(parser).bytes);
    request_none(parser);
    assert_ptr_equal(queue.head, queue.tail);
    assert_memory_equal(queue.head->span.ptr, bytes.ptr, bytes.len);
    assert_int_equal(queue.bytes, bytes.len);
    parser_free(parser);
    spans_clear(&queue);
    buf_free(&bytes);
}

/* With nobody else reading it, a chunk starts over; otherwise its bytes stay as they are. */
static void test_rewind(void **state)
{
    struct parser *parser = parser_with(str_of(get));
    struct request first = request_ready(parser);
    const char *where = first.bytes.ptr;
    span_drop(&first.bytes);
    parser_feed(parser, get, GET_LEN);
    struct request second = request_ready(parser);
    assert_ptr_equal(second.bytes.ptr, where);
    parser_feed(parser, get, GET_LEN);
    struct request third = request_ready(parser);
    assert_ptr_equal(third.bytes.ptr, where + GET_LEN);
    parser_free(parser);
    assert_memory_equal(second.bytes.ptr, get, GET_LEN);
    span_drop(&second.bytes);
    span_drop(&third.bytes);
}

/* A chunk that is held and nearly full is left alone; all spans stay good. */
static void test_chunks_change(void **state)
{
    enum { COUNT = 20000 };
    static struct span spans[COUNT];
    struct parser *parser = parser_new();
    size_t chunks = 1;
    for (int i = 0; i < COUNT; i++) {
        parser_feed(parser, get, GET_LEN);
        spans[i] = request_ready(parser).bytes;
        chunks += i > 0 && spans[i].chunk != spans[i - 1].chunk;
    }
    assert_true(chunks >= COUNT * GET_LEN / CHUNK_SIZE && chunks < COUNT * GET_LEN / 40000);
    parser_free(parser);
    for (int i = 0; i < COUNT; i++) {
        assert_memory_equal(spans[i].ptr, get, GET_LEN);
        span_drop(&spans[i]);
    }
}

static void test_idle_and_waiting(void **state)
{
    struct parser *parser = parser_new();
    assert_true(parser_idle(parser));
    for (size_t i = 0; i + 1 < GET_LEN; i++) {
        parser_feed(parser, get + i, 1);
        assert_true(parser_waiting(parser) > i);
        request_none(parser);
        assert_false(parser_idle(parser));
        assert_true(parser_waiting(parser) > 0);
    }
    parser_feed(parser, get + GET_LEN - 1, 1);
    struct request request = request_ready(parser);
    assert_true(parser_idle(parser));
    assert_int_equal(parser_waiting(parser), 0);
    span_drop(&request.bytes);
    parser_free(parser);
}

static void test_reset(void **state)
{
    static const char *const unfinished[] = {"*", "*2\r\n$3\r\nGET\r\n$", "GE", "*x\r\n", "a \"\n"};
    struct parser *parser = parser_new();
    for (size_t i = 0; i < ARRAY_LEN(unfinished); i++) {
        struct request request;
        parser_feed(parser, unfinished[i], strlen(unfinished[i]));
        (void)!parser_next(parser, &limits_user, &request);
        assert_false(parser_idle(parser));
        parser_reset(parser);
        assert_true(parser_idle(parser));
        assert_string_equal(parser_error(parser), "");
        parser_feed(parser, get, GET_LEN);
        request = request_ready(parser);
        span_drop(&request.bytes);
    }
    parser_free(parser);
}

static void test_error_stays(void **state)
{
    struct request request;
    struct parser *parser = parser_with(STR("*1\r\nx\r\n"));
    for (int i = 0; i < 3; i++) {
        assert_int_equal(parser_next(parser, &limits_user, &request), REQUEST_ERROR);
        assert_string_equal(parser_error(parser), "Protocol error: expected '$', got 'x'");
        parser_feed(parser, get, GET_LEN);
    }
    parser_free(parser);
}

/* Clients that stop in the middle, after `part` bytes of a request, must not hold a chunk of the
 * usual size each. */
static void waiting_check(size_t part)
{
    enum { COUNT = 200, PIPELINE = 500 };
    static struct parser *parsers[COUNT];
    size_t before = chunk_total();
    for (int i = 0; i < COUNT; i++) {
        struct buf many = {0};
        for (int n = 0; n < PIPELINE; n++)
            buf_text(&many, get);
        buf_add(&many, get, part);
        parsers[i] = parser_with(buf_view(&many));
        for (int n = 0; n < PIPELINE; n++) {
            struct request request = request_ready(parsers[i]);
            span_drop(&request.bytes);
        }
        request_none(parsers[i]);
        buf_free(&many);
    }
    assert_true(chunk_total() - before < COUNT * 512 + 16 * CHUNK_SIZE);
    for (int i = 0; i < COUNT; i++) {
        parser_feed(parsers[i], get + part, GET_LEN - part);
        struct request request = request_ready(parsers[i]);
        assert_memory_equal(request.bytes.ptr, get, GET_LEN);
        span_drop(&request.bytes);
        parser_free(parsers[i]);
    }
}

static void test_waiting_clients_are_small(void **state)
{
    for (size_t part = 1; part < GET_LEN; part++)
        waiting_check(part);
}

/* An announced count allocates nothing. */
static void test_count_is_not_believed(void **state)
{
    size_t before = chunk_total();
    struct parser *parser = parser_with(STR("*2147483647\r\n$536870912\r\nx"));
    request_none(parser);
    assert_true(chunk_total() - before < 4 * CHUNK_SIZE);
    assert_true(parser_waiting(parser) < 100);
    parser_free(parser);
}

static void test_many_arguments(void **state)
{
    enum { COUNT = 300000 };
    struct buf bytes = {0};
    write_array(&bytes, COUNT);
    for (int i = 0; i < COUNT; i++) {
        char text[16];
        snprintf(text, sizeof(text), "%d", i);
        write_bulk(&bytes, str_of(text));
    }
    struct parser *parser = parser_new();
    for (size_t at = 0; at < bytes.len; at += 1000) {
        parser_feed(parser, bytes.ptr + at, bytes.len - at < 1000 ? bytes.len - at : 1000);
        if (at + 1000 < bytes.len)
            request_none(parser);
    }
    struct request request = request_ready(parser);
    assert_int_equal(request.argc, COUNT);
    assert_int_equal(request.bytes.len, bytes.len);
    assert_memory_equal(request.bytes.ptr, bytes.ptr, bytes.len);
    assert_true(str_equal(request.argv[COUNT - 1], STR("299999")));
    span_drop(&request.bytes);
    request_none(parser);
    parser_free(parser);
    buf_free(&bytes);
}

/* Seconds for one value of that size in reads of 64 KiB; the best of some tries. */
static double value_time(size_t size)
{
    char *value = xcalloc(1, size);
    struct buf bytes = {0};
    double best = 1e9;
    write_command(&bytes, 3, (struct str[]){STR("SET"), STR("key"), {value, size}});
    for (int i = 0; i < 3; i++) {
        uint64_t start = clock_ns();
        struct parser *parser = parser_new();
        struct request request = {0};
        enum request_status status = REQUEST_MORE;
        for (size_t at = 0; at < bytes.len; at += 65536) {
            parser_feed(parser, bytes.ptr + at, bytes.len - at < 65536 ? bytes.len - at : 65536);
            status = parser_next(parser, &limits_user, &request);
        }
        assert_int_equal(status, REQUEST_READY);
        assert_int_equal(request.bytes.len, bytes.len);
        span_drop(&request.bytes);
        parser_free(parser);
        double seconds = (double)(clock_ns() - start) / 1e9;
        best = seconds < best ? seconds : best;
    }
    free(value);
    buf_free(&bytes);
    return best;
}

/* Four times the bytes may take somewhat more than four times as long, never sixteen. Both are
 * above the size from which malloc asks the system; ASan's realloc copies, which is not ours. */
static void test_large_values_are_linear(void **state)
{
    if (sanitized)
        skip();
    double small = value_time(40u << 20), large = value_time(160u << 20);
    assert_true(large / small < 12);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_neighbours_join),
        cmocka_unit_test(test_rewind),
        cmocka_unit_test(test_chunks_change),
        cmocka_unit_test(test_idle_and_waiting),
        cmocka_unit_test(test_reset),
        cmocka_unit_test(test_error_stays),
        cmocka_unit_test(test_waiting_clients_are_small),
        cmocka_unit_test(test_count_is_not_believed),
        cmocka_unit_test(test_many_arguments),
        cmocka_unit_test(test_large_values_are_linear),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
