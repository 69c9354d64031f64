/* parser.c - the life of a parser: bytes in, slices to the reader, what is kept while it waits. */
#include "parser.h"

#include <sds.h>
#include <stdio.h>
#include <stdlib.h>

enum {
    /* hiredis moves the rest of its buffer down after every KiB: keep the rest short. */
    SLICE = 4 * 1024,
    PARK_LIMIT = 4 * 1024, /* fewer waiting bytes do not hold on to larger buffers */
};

enum request_status parser_fail(struct parser *parser, const char *text)
{
    snprintf(parser->error, sizeof(parser->error), "Protocol error: %s", text);
    return REQUEST_ERROR;
}

/* ---- bytes fed but not yet read ---- */

static size_t rest_len(const struct parser *parser)
{
    return parser->rest ? parser->rest->used - parser->rest_at : 0;
}

static void rest_add(struct parser *parser, const char *ptr, size_t len)
{
    struct chunk *rest = parser->rest;
    size_t have = rest_len(parser);
    if (!rest || rest->size - rest->used < len) {
        size_t size = have ? 2 * (have + len) : len; /* half stays free: moves do not add up */
        struct chunk *to = chunk_new(size < CHUNK_SIZE ? CHUNK_SIZE : size);
        if (have)
            memcpy(to->data, rest->data + parser->rest_at, have);
        to->used = have;
        chunk_drop(rest);
        parser->rest = rest = to;
        parser->rest_at = 0;
    }
    memcpy(rest->data + rest->used, ptr, len);
    rest->used += len;
}

static void reader_feed(struct parser *parser, const char *ptr, size_t len)
{
    if (redisReaderFeed(parser->reader, ptr, len) != REDIS_OK)
        die("out of memory (%zu bytes for a request)", len);
    parser->need -= parser->need < len ? parser->need : len;
}

/* The next slice; false: there is none. A large argument gets all it lacks at once. */
static bool rest_feed(struct parser *parser)
{
    size_t left = rest_len(parser), len = parser->need > SLICE ? parser->need : SLICE;
    if (left == 0)
        return false;
    if (len > left)
        len = left;
    reader_feed(parser, parser->rest->data + parser->rest_at, len);
    parser->rest_at += len;
    if (len == left) {
        chunk_drop(parser->rest);
        parser->rest = NULL;
    }
    return true;
}

void parser_feed(struct parser *parser, const char *ptr, size_t len)
{
    size_t direct = parser->need > SLICE ? parser->need : SLICE;
    if (unlikely(parser->error[0]))
        return;
    if (rest_len(parser) > 0)
        direct = 0;
    else if (direct > len)
        direct = len;
    if (direct > 0)
        reader_feed(parser, ptr, direct);
    if (direct < len)
        rest_add(parser, ptr + direct, len - direct);
}

/* ---- the parser ---- */

static redisReader *reader_new(struct parser *parser)
{
    redisReader *reader = redisReaderCreateWithFunctions(&request_functions);
    if (!reader)
        die("out of memory");
    reader->privdata = parser;
    reader->maxbuf = READER_KEEP;
    return reader;
}

struct parser *parser_new(void)
{
    struct parser *parser = xcalloc(1, sizeof(*parser));
    parser->reader = reader_new(parser);
    return parser;
}

static void parser_clear(struct parser *parser)
{
    redisReaderFree(parser->reader);
    chunk_drop(parser->chunk);
    chunk_drop(parser->rest);
    free(parser->args.argv);
    *parser = (struct parser){0};
}

void parser_free(struct parser *parser)
{
    if (!parser)
        return;
    parser_clear(parser);
    free(parser);
}

void parser_reset(struct parser *parser)
{
    parser_clear(parser);
    parser->reader = reader_new(parser);
}

/* Nothing more to do until bytes come. An idle parser stays warm for the next client; one that
 * waits may do so for long, and thousands may, so it keeps little more than what it waits with. */
static void parser_park(struct parser *parser)
{
    redisReader *reader = parser->reader;
    size_t unread = reader->len - reader->pos;
    if (parser->step == STEP_START) {
        args_clear(&parser->args);
        if (unread == 0)
            return;
        chunk_drop(parser->chunk);
        parser->chunk = NULL;
    } else if (parser->chunk->size == CHUNK_SIZE && request_len(parser) < PARK_LIMIT) {
        request_move(parser, 2 * request_len(parser) + 64);
    }
    if (unread < PARK_LIMIT && sdsalloc(reader->buf) > 4 * PARK_LIMIT)
        reader_shrink(reader);
}

enum request_status parser_next(struct parser *parser, const struct request_limits *limits,
                                struct request *out)
{
    if (unlikely(parser->error[0]))
        return REQUEST_ERROR;
    parser->limits = limits;
    enum request_status status;
    do
        status = request_next(parser, out);
    while (status == REQUEST_MORE && rest_feed(parser));
    if (status == REQUEST_MORE)
        parser_park(parser);
    return status;
}

const char *parser_error(const struct parser *parser)
{
    return parser->error;
}

bool parser_idle(const struct parser *parser)
{
    return parser_waiting(parser) == 0 && !parser->error[0];
}

size_t parser_waiting(const struct parser *parser)
{
    size_t unread = parser->reader->len - parser->reader->pos;
    size_t waiting = unread + rest_len(parser);
    if (parser->step != STEP_START)
        waiting += request_len(parser) + parser->args.argc * sizeof(struct str);
    return waiting;
}
