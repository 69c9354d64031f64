/* encode.c - the canonical encoding of a request, and the views into it, as they arise. */
#include "parser.h"

#include <stdlib.h>

enum { ARGV_KEEP = 1024 /* entries */ };

void args_grow(struct args *args)
{
    args->cap = args->cap ? args->cap * 2 : 16;
    args->argv = xrealloc(args->argv, args->cap * sizeof(*args->argv));
}

void args_clear(struct args *args)
{
    args->argc = 0;
    if (unlikely(args->cap > ARGV_KEEP)) {
        free(args->argv);
        *args = (struct args){0};
    }
}

/* Between requests a chunk nobody else reads is used from its start again, and a nearly full one
 * is left to those who do: better than moving a request later. */
void request_begin(struct parser *parser)
{
    struct chunk *chunk = parser->chunk;
    if (chunk && chunk->refs == 1) {
        chunk->used = 0;
    } else if (!chunk || chunk->used > CHUNK_SIZE / 4 * 3) {
        chunk_drop(chunk);
        parser->chunk = chunk = chunk_new(CHUNK_SIZE);
    }
    parser->begin = chunk->used;
    args_clear(&parser->args);
}

/* The unfinished request moves to a chunk of its own, and the views go with it. */
void request_move(struct parser *parser, size_t size)
{
    struct chunk *from = parser->chunk, *to = chunk_new(size);
    const char *old = from->data + parser->begin;
    to->used = from->used - parser->begin;
    memcpy(to->data, old, to->used);
    for (size_t i = 0; i < parser->args.argc; i++)
        parser->args.argv[i].ptr = to->data + (parser->args.argv[i].ptr - old);
    chunk_drop(from);
    parser->chunk = to;
    parser->begin = 0;
}

/* A request that outgrows the usual size doubles, so that all moves together cost no more than
 * one copy. */
void request_grow(struct parser *parser, size_t len)
{
    size_t have = request_len(parser);
    request_move(parser, have + len <= CHUNK_SIZE ? CHUNK_SIZE : 2 * have + len);
}

enum request_status request_finish(struct parser *parser, struct request *out)
{
    struct chunk *chunk = parser->chunk;
    out->argv = parser->args.argv;
    out->argc = parser->args.argc;
    out->bytes = (struct span){chunk, chunk->data + parser->begin, request_len(parser)};
    if (likely(chunk->size == CHUNK_SIZE))
        chunk_hold(chunk);
    else /* made to measure for this request: it goes with it */
        parser->chunk = NULL;
    parser->step = STEP_START;
    return REQUEST_READY;
}

/* The encoding is our own: "*N\r\n" and "$LEN\r\n...\r\n" for each argument. */
struct str request_argument(struct str bytes, size_t index)
{
    const char *at = bytes.ptr, *end = bytes.ptr + bytes.len;
    while (at < end && *at++ != '\n')
        ;
    for (size_t i = 0; at < end && *at == '$'; i++) {
        size_t len = 0;
        for (at++; at < end && *at != '\r'; at++)
            len = len * 10 + (size_t)(*at - '0');
        at += 2;
        if (at > end || len > (size_t)(end - at))
            break;
        if (i == index)
            return (struct str){at, len};
        at += len + 2;
    }
    return (struct str){0};
}
