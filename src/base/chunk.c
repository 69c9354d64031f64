/* chunk.c - counted bytes, and queues of pieces of them.
 *
 *   chunk  [ used ............................ | room ]     refs = spans into it + its writer
 *              ^ span A  ^ span B (adjoining A: they become one span, one iovec)
 */
#include "respgate/base.h"

#include <stdlib.h>

/* Per thread, so that no count needs to be atomic. Small: it only saves the malloc between a
 * burst's turns; what a burst leaves over goes back to the system. */
enum { POOL_MAX = 8, NODE_POOL_MAX = 1024 };
static _Thread_local struct {
    struct chunk *chunks[POOL_MAX];
    unsigned count;
    struct span_node *nodes;
    unsigned node_count;
} pool;
static size_t total_bytes; /* of all threads */

size_t chunk_total(void)
{
    return __atomic_load_n(&total_bytes, __ATOMIC_RELAXED);
}

struct chunk *chunk_new(size_t size)
{
    struct chunk *chunk;
    if (size == CHUNK_SIZE && pool.count) {
        chunk = pool.chunks[--pool.count];
    } else {
        chunk = xmalloc(sizeof(*chunk) + size);
        chunk->size = size;
        __atomic_fetch_add(&total_bytes, sizeof(*chunk) + size, __ATOMIC_RELAXED);
    }
    chunk->refs = 1;
    chunk->used = 0;
    return chunk;
}

void chunk_free(struct chunk *chunk)
{
    if (chunk->size == CHUNK_SIZE && pool.count < POOL_MAX) {
        pool.chunks[pool.count++] = chunk;
        return;
    }
    __atomic_fetch_sub(&total_bytes, sizeof(*chunk) + chunk->size, __ATOMIC_RELAXED);
    free(chunk);
}

void chunk_pool_clear(void)
{
    while (pool.count) {
        struct chunk *chunk = pool.chunks[--pool.count];
        __atomic_fetch_sub(&total_bytes, sizeof(*chunk) + chunk->size, __ATOMIC_RELAXED);
        free(chunk);
    }
    while (pool.nodes) {
        struct span_node *next = pool.nodes->next;
        free(pool.nodes);
        pool.nodes = next;
    }
    pool.node_count = 0;
}

struct span span_copy(const char *ptr, size_t len)
{
    struct chunk *chunk = chunk_new(len);
    memcpy(chunk->data, ptr, len);
    chunk->used = len;
    return (struct span){chunk, chunk->data, len};
}

static struct span_node *node_new(void)
{
    struct span_node *node = pool.nodes;
    if (!node)
        return xmalloc(sizeof(*node));
    pool.nodes = node->next;
    pool.node_count--;
    return node;
}

static void node_free(struct span_node *node)
{
    if (pool.node_count >= NODE_POOL_MAX) {
        free(node);
        return;
    }
    node->next = pool.nodes;
    pool.nodes = node;
    pool.node_count++;
}

void spans_push(struct spans *spans, struct span span)
{
    struct span_node *tail = spans->tail;
    spans->bytes += span.len;
    if (tail && tail->span.chunk == span.chunk && span.chunk &&
        tail->span.ptr + tail->span.len == span.ptr) {
        tail->span.len += span.len;
        span.chunk->refs--; /* one reference is enough for the joined span; never the last */
        return;
    }
    struct span_node *node = node_new();
    *node = (struct span_node){NULL, span};
    if (tail)
        tail->next = node;
    else
        spans->head = node;
    spans->tail = node;
}

void spans_push_copy(struct spans *spans, const char *ptr, size_t len)
{
    if (len)
        spans_push(spans, span_copy(ptr, len));
}

void spans_move(struct spans *to, struct spans *from)
{
    if (!from->head)
        return;
    if (to->tail)
        to->tail->next = from->head;
    else
        to->head = from->head;
    to->tail = from->tail;
    to->bytes += from->bytes;
    *from = (struct spans){0};
}

void spans_consume(struct spans *spans, size_t bytes)
{
    ASSERT(bytes <= spans->bytes);
    spans->bytes -= bytes;
    while (bytes) {
        struct span_node *node = spans->head;
        if (node->span.len > bytes) {
            node->span.ptr += bytes;
            node->span.len -= bytes;
            return;
        }
        bytes -= node->span.len;
        spans->head = node->next;
        if (!spans->head)
            spans->tail = NULL;
        chunk_drop(node->span.chunk);
        node_free(node);
    }
}

void spans_clear(struct spans *spans)
{
    while (spans->head) {
        struct span_node *node = spans->head;
        spans->head = node->next;
        chunk_drop(node->span.chunk);
        node_free(node);
    }
    *spans = (struct spans){0};
}

void spans_compact(struct spans *spans)
{
    for (struct span_node *node = spans->head; node; node = node->next) {
        struct chunk *chunk = node->span.chunk;
        if (!chunk || node->span.len >= chunk->size / 2)
            continue;
        struct span copy = span_copy(node->span.ptr, node->span.len);
        chunk_drop(chunk);
        node->span = copy;
    }
}
