/*
 * parser.h - the state of one parser, shared by the files that make up the request parser.
 *
 * Private to the resp layer.
 *
 *   parser_feed -> [ rest ] -- SLICE --> [ reader->buf ] -- one copy --> [ chunk          | room ]
 *   parser.c                              ^ pos                           ^ spans  ^ begin ^ used
 *                                        request.c judge.c inline.c      encode.c
 */
#ifndef RESPGATE_RESP_PARSER_H
#define RESPGATE_RESP_PARSER_H

#include "respgate/resp.h"

#include <hiredis.h>

enum {
    LINE_LIMIT = 64 * 1024,   /* Redis: PROTO_INLINE_MAX_SIZE */
    READER_KEEP = 128 * 1024, /* a larger read buffer is given back once it is empty */
};

/* Grows with the arguments that arrive, never with the number a client announces. */
struct args {
    struct str *argv;
    size_t argc, cap;
};

/* What the reader waits for. */
enum step {
    STEP_START,  /* the first byte of a request, or the rest of its first line */
    STEP_TYPE,   /* the '$' of an argument */
    STEP_LENGTH, /* the line behind a '$' the reader has already taken */
    STEP_DATA,   /* the bytes of an argument whose header was judged and found good */
};

struct parser {
    redisReader *reader;
    const struct request_limits *limits; /* the caller's, during parser_next */
    enum step step;
    size_t count; /* arguments announced */
    size_t head;  /* length of the last good header line without its type byte */
    size_t need;  /* STEP_DATA: bytes the reader still lacks */
    struct chunk *chunk;
    size_t begin; /* of the unfinished request in chunk */
    struct args args;
    struct chunk *rest; /* fed, but not yet given to the reader; NULL: nothing */
    size_t rest_at;
    char error[80];
};

/* Always REQUEST_ERROR, with "Protocol error: <text>" for the client. */
enum request_status parser_fail(struct parser *parser, const char *text);

/* ---- encode.c ---- */

void args_grow(struct args *args);
void args_clear(struct args *args);
void request_begin(struct parser *parser);
void request_move(struct parser *parser, size_t size);
void request_grow(struct parser *parser, size_t len);
enum request_status request_finish(struct parser *parser, struct request *out);

static inline void args_add(struct args *args, struct str arg)
{
    if (unlikely(args->argc == args->cap))
        args_grow(args);
    args->argv[args->argc++] = arg;
}

static inline size_t request_len(const struct parser *parser)
{
    return parser->chunk->used - parser->begin;
}

/* Room for the next piece of the encoding. */
static inline char *request_room(struct parser *parser, size_t len)
{
    if (unlikely(parser->chunk->size - parser->chunk->used < len))
        request_grow(parser, len);
    char *at = parser->chunk->data + parser->chunk->used;
    parser->chunk->used += len;
    return at;
}

/* ---- judge.c: READY when the line is whole and good, MORE when it is not whole yet ---- */

/* The first line of a request; fills count and head. EMPTY: a count of zero or less. */
enum request_status must_check judge_request(struct parser *parser, char *at, size_t len);
/* What has come of an argument's header, from the '$' on in STEP_TYPE and from behind it in
 * STEP_LENGTH. READY leads to STEP_DATA and fills head and need. */
enum request_status must_check judge_argument(struct parser *parser, char *at, size_t len);

/* ---- request.c, inline.c: the next request in the reader's buffer ---- */

extern redisReplyObjectFunctions request_functions;
void reader_skip(redisReader *reader, size_t len);
void reader_shrink(redisReader *reader); /* its buffer keeps only what is unread */
enum request_status must_check request_next(struct parser *parser, struct request *out);
enum request_status must_check inline_next(struct parser *parser, char *at, size_t len,
                                           struct request *out);

#endif
