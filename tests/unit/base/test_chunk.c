/* test_chunk.c - counted chunks, spans, and queues of spans. */
#include "respgate/base.h"

#include <setjmp.h>
#include <stdlib.h>
#include <cmocka.h>

static struct span piece(struct chunk *chunk, size_t from, size_t to)
{
    return (struct span){chunk_hold(chunk), chunk->data + from, to - from};
}

static struct chunk *alphabet_new(void)
{
    struct chunk *chunk = chunk_new(26);
    for (; chunk->used < 26; chunk->used++)
        chunk->data[chunk->used] = (char)('a' + chunk->used);
    return chunk;
}

static void spans_are(const struct spans *spans, size_t nodes, const char *expected)
{
    struct buf text = {0};
    size_t count = 0;
    for (struct span_node *node = spans->head; node; node = node->next, count++)
        buf_add(&text, node->span.ptr, node->span.len);
    buf_add(&text, "", 1);
    assert_string_equal(text.ptr, expected);
    assert_int_equal(count, nodes);
    assert_int_equal(spans->bytes, text.len - 1);
    assert_true((spans->tail == NULL) == (count == 0));
    buf_free(&text);
}

static void test_references(void **state)
{
    size_t before = chunk_total();
    struct chunk *chunk = chunk_new(100000);
    assert_int_equal(chunk->refs, 1);
    assert_true(chunk->size >= 100000 && chunk->used == 0);
    assert_true(chunk_total() >= before + 100000);
    struct span span = {chunk_hold(chunk), chunk->data, 10}, other = span_hold(span);
    assert_int_equal(chunk->refs, 3);
    span_drop(&span);
    assert_null(span.chunk);
    span_drop(&other);
    chunk_drop(chunk);
    chunk_drop(NULL);
    assert_int_equal(chunk_total(), before);
}

static void test_pool(void **state)
{
    struct chunk *chunks[40];
    size_t before = chunk_total();
    for (size_t i = 0; i < ARRAY_LEN(chunks); i++)
        chunks[i] = chunk_new(CHUNK_SIZE);
    for (size_t i = 0; i < ARRAY_LEN(chunks); i++)
        chunk_drop(chunks[i]);
    assert_true(chunk_total() - before < 16 * (CHUNK_SIZE + 64));
    struct chunk *again = chunk_new(CHUNK_SIZE);
    assert_int_equal(again->refs, 1);
    assert_int_equal(again->used, 0);
    chunk_drop(again);
}

static void test_push_joins(void **state)
{
    struct chunk *chunk = alphabet_new(), *second = alphabet_new();
    struct spans spans = {0};
    spans_push(&spans, piece(chunk, 0, 3));
    spans_push(&spans, piece(chunk, 3, 6));
    spans_are(&spans, 1, "abcdef");
    assert_int_equal(chunk->refs, 2);
    spans_push(&spans, piece(chunk, 7, 8)); /* a gap */
    spans_push(&spans, piece(second, 8, 9));
    spans_push(&spans, (struct span){NULL, "12", 2}); /* static bytes never join */
    spans_push(&spans, (struct span){NULL, "34", 2});
    spans_are(&spans, 5, "abcdefhi1234");
    spans_clear(&spans);
    spans_are(&spans, 0, "");
    assert_int_equal(chunk->refs, 1);
    assert_int_equal(second->refs, 1);
    chunk_drop(chunk);
    chunk_drop(second);
}

static void test_consume(void **state)
{
    struct chunk *chunk = alphabet_new();
    struct spans spans = {0};
    for (size_t i = 0; i < 10; i += 2)
        spans_push(&spans, piece(chunk, i, i + 1));
    spans_push(&spans, piece(chunk, 20, 26));
    spans_are(&spans, 6, "acegiuvwxyz");
    spans_consume(&spans, 0);
    spans_consume(&spans, 1);
    spans_are(&spans, 5, "cegiuvwxyz");
    spans_consume(&spans, 6);
    spans_are(&spans, 1, "wxyz");
    assert_int_equal(chunk->refs, 2);
    spans_consume(&spans, 4);
    spans_are(&spans, 0, "");
    assert_int_equal(chunk->refs, 1);
    spans_push_copy(&spans, "x", 1);
    spans_are(&spans, 1, "x");
    spans_clear(&spans);
    chunk_drop(chunk);
}

static void test_move(void **state)
{
    struct spans a = {0}, b = {0};
    spans_move(&a, &b);
    spans_are(&a, 0, "");
    spans_push_copy(&b, "12", 2);
    spans_push_copy(&b, "", 0);
    spans_move(&a, &b);
    spans_are(&a, 1, "12");
    spans_are(&b, 0, "");
    spans_push_copy(&b, "34", 2);
    spans_move(&a, &b);
    spans_push_copy(&a, "5", 1);
    spans_are(&a, 3, "12345");
    spans_clear(&a);
}

static void test_compact(void **state)
{
    size_t before = chunk_total();
    struct chunk *large = chunk_new(1 << 20);
    struct spans spans = {0};
    memset(large->data, 'x', 1 << 20);
    spans_push(&spans, piece(large, 5, 10));
    spans_push(&spans, (struct span){NULL, "static", 6});
    chunk_drop(large);
    spans_compact(&spans);
    spans_are(&spans, 2, "xxxxxstatic");
    assert_true(chunk_total() - before < 1000);
    spans_clear(&spans);
    assert_int_equal(chunk_total(), before);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_references), cmocka_unit_test(test_pool),
        cmocka_unit_test(test_push_joins), cmocka_unit_test(test_consume),
        cmocka_unit_test(test_move),       cmocka_unit_test(test_compact),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
