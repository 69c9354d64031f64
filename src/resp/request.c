/* request.c - client commands: hiredis' reader finds the arguments, and their encoding arises
 * while it does.
 *
 * hiredis would allocate by announced counts and has its own opinion of what is malformed, so
 * every header line is judged before the reader acts on it: that of the request before the
 * reader is called, that of an argument while the one before it is handed over. What the reader
 * then sees is always good.
 */
#include "parser.h"

#include <sds.h>

/* ---- called by the reader ---- */

/* The reader goes on to the argument at `at` as soon as this returns; NULL stops it. */
static void *argument_next(struct parser *parser, char *at)
{
    size_t len = (size_t)(parser->reader->buf + parser->reader->len - at);
    parser->step = STEP_TYPE;
    enum request_status status = judge_argument(parser, at, len);
    if (status == REQUEST_MORE && len > 0)
        parser->step = STEP_LENGTH;
    return status == REQUEST_ERROR ? NULL : parser;
}

/* Lengths were judged to be in canonical form, so header and bytes are copied as they are. The
 * '$' may have left the reader's buffer, and Redis does not look at the CRLF behind the bytes. */
static void *argument_add(const redisReadTask *task, char *ptr, size_t len)
{
    struct parser *parser = task->privdata;
    size_t head = parser->head;
    char *to = request_room(parser, 1 + head + len + 2);
    to[0] = '$';
    memcpy(to + 1, ptr - head, head + len);
    to[1 + head + len] = '\r';
    to[1 + head + len + 1] = '\n';
    args_add(&parser->args, (struct str){to + 1 + head, len});
    if (parser->args.argc == parser->count)
        return parser;
    return argument_next(parser, ptr + len + 2);
}

static void *request_open(const redisReadTask *task)
{
    struct parser *parser = task->privdata;
    char *first = parser->reader->buf + parser->reader->pos;
    request_begin(parser);
    char *to = request_room(parser, 1 + parser->head);
    to[0] = '*';
    memcpy(to + 1, first - parser->head, parser->head);
    return argument_next(parser, first);
}

/* Only the root is an array, and nothing is allocated by its count. */
#if HIREDIS_MAJOR < 1
static void *array_open(const redisReadTask *task, int count)
#else
static void *array_open(const redisReadTask *task, size_t count)
#endif
{
    return request_open(task);
}

/* Values of other types and nulls never get past judge_argument. */
redisReplyObjectFunctions request_functions = {
    .createString = argument_add,
    .createArray = array_open,
};

/* ---- from bytes to requests ---- */

/* Takes bytes past hiredis; its buffer is kept short as it would do itself. */
void reader_skip(redisReader *reader, size_t len)
{
    reader->pos += len;
    if (reader->pos < 1024 && reader->pos < reader->len)
        return;
    sdsrange(reader->buf, (int)reader->pos, -1);
    reader->pos = 0;
    reader->len = sdslen(reader->buf);
}

void reader_shrink(redisReader *reader)
{
    sds unread = sdsnewlen(reader->buf + reader->pos, reader->len - reader->pos);
    if (!unread)
        die("out of memory");
    sdsfree(reader->buf);
    reader->buf = unread;
    reader->len -= reader->pos;
    reader->pos = 0;
}

static enum request_status reader_run(struct parser *parser, struct request *out)
{
    redisReader *reader = parser->reader;
    void *reply = NULL;
    if (unlikely(redisReaderGetReply(reader, &reply) != REDIS_OK)) {
        if (!parser->error[0])
            die("redisReader refused a judged request: %s", reader->errstr);
        return REQUEST_ERROR;
    }
    if (!reply)
        return REQUEST_MORE;
    ASSERT(parser->args.argc == parser->count);
    /* one large value must not make a parser large for ever */
    if (unlikely(request_len(parser) > READER_KEEP) && reader->pos == reader->len)
        reader_shrink(reader);
    return request_finish(parser, out);
}

/* The first line is judged whole, before the reader sees any of it. Redis answers nothing to a
 * count of zero or less. */
static enum request_status array_next(struct parser *parser, char *at, size_t len,
                                      struct request *out)
{
    enum request_status status = judge_request(parser, at, len);
    if (likely(status == REQUEST_READY))
        return reader_run(parser, out);
    if (status == REQUEST_EMPTY)
        reader_skip(parser->reader, 1 + parser->head);
    return status;
}

enum request_status request_next(struct parser *parser, struct request *out)
{
    redisReader *reader = parser->reader;
    char *at = reader->buf + reader->pos;
    size_t len = reader->len - reader->pos;
    enum request_status status;
    switch (parser->step) {
    case STEP_START:
        if (len == 0)
            return REQUEST_MORE;
        return likely(*at == '*') ? array_next(parser, at, len, out)
                                  : inline_next(parser, at, len, out);
    case STEP_TYPE:
    case STEP_LENGTH:
        status = judge_argument(parser, at, len);
        if (status != REQUEST_READY)
            return status;
        break;
    case STEP_DATA: break;
    }
    return parser->need > 0 ? REQUEST_MORE : reader_run(parser, out);
}
