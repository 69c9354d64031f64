/* judge.c - header lines of requests, judged as Redis does (networking.c processMultibulkBuffer)
 * and with its words. */
#include "parser.h"

#include <limits.h>

enum {
    BULK_LIMIT = INT_MAX - LINE_LIMIT, /* hiredis 0.14 counts its buffer in int */
    BULK_DEFAULT = 512 * 1024 * 1024,  /* Redis: proto-max-bulk-len */
};

struct header {
    size_t len; /* with CRLF, without the type byte; 0: not whole yet */
    int64_t value;
    bool number;
    bool too_long; /* no end within LINE_LIMIT */
};

/* Redis looks for the CR alone and steps over the byte behind it whatever it is; hiredis looks
 * for both, so that byte is put right. */
static struct header header_search(char *line, size_t len)
{
    char *end = memchr(line, '\r', len < LINE_LIMIT ? len : LINE_LIMIT);
    if (!end)
        return (struct header){.too_long = len >= LINE_LIMIT};
    if (end + 1 == line + len)
        return (struct header){0};
    struct header header = {.len = (size_t)(end - line) + 2};
    header.number = str_to_int((struct str){line, header.len - 2}, &header.value);
    end[1] = '\n';
    return header;
}

static inline struct header header_read(char *line, size_t len)
{
    size_t i = 0, max = len < 10 ? len : 10;
    int64_t value = 0;
    for (; i < max && line[i] >= '0' && line[i] <= '9'; i++)
        value = value * 10 + (line[i] - '0');
    if (unlikely(i == 0 || i + 1 >= len || line[i] != '\r' || (line[0] == '0' && i > 1)))
        return header_search(line, len);
    line[i + 1] = '\n';
    return (struct header){.len = i + 2, .value = value, .number = true};
}

enum request_status judge_request(struct parser *parser, char *at, size_t len)
{
    const struct request_limits *limits = parser->limits;
    struct header header = header_read(at + 1, len - 1);
    if (unlikely(header.too_long))
        return parser_fail(parser, "too big mbulk count string");
    if (!header.len)
        return REQUEST_MORE;
    if (unlikely(!header.number || header.value > INT_MAX))
        return parser_fail(parser, "invalid multibulk length");
    parser->head = header.len;
    if (unlikely(header.value <= 0))
        return REQUEST_EMPTY;
    parser->count = (size_t)header.value;
    if (unlikely(parser->count > limits->max_args))
        return parser_fail(parser, limits->authenticated ? "invalid multibulk length"
                                                         : "unauthenticated multibulk length");
    return REQUEST_READY;
}

static enum request_status bulk_judge(struct parser *parser, const struct header *header)
{
    const struct request_limits *limits = parser->limits;
    int64_t len = header->value;
    if (unlikely(!header->number || len < 0 || len > BULK_LIMIT))
        return parser_fail(parser, "invalid bulk length");
    if (unlikely((size_t)len > limits->max_bulk))
        return parser_fail(parser, limits->authenticated || len > BULK_DEFAULT
                                       ? "invalid bulk length"
                                       : "unauthenticated bulk length");
    /* by subtraction: the limit may be SIZE_MAX */
    size_t have = request_len(parser), add = 1 + header->len + (size_t)len + 2;
    if (unlikely(have > limits->max_request || add > limits->max_request - have))
        return parser_fail(parser, "request exceeds max-request-size");
    return REQUEST_READY;
}

static enum request_status type_refuse(struct parser *parser, char type)
{
    char text[] = "expected '$', got 'x'";
    text[sizeof(text) - 3] = type == '\r' || type == '\n' ? ' ' : type;
    return parser_fail(parser, text);
}

/* The header most arguments have, whole in the buffer: one to four digits and within all limits.
 * False for any other, which the general path judges. */
static inline bool judge_usual(struct parser *parser, char *at, size_t len)
{
    const struct request_limits *limits = parser->limits;
    size_t i = 1, value = 0;
    if (parser->step != STEP_TYPE || len < 8 || at[0] != '$' || at[1] == '0')
        return false;
    for (; i < 5 && (unsigned char)(at[i] - '0') <= 9; i++)
        value = value * 10 + (size_t)(at[i] - '0');
    if (i == 1 || at[i] != '\r' || value > limits->max_bulk)
        return false;
    size_t have = request_len(parser), add = i + 2 + value + 2;
    if (have > limits->max_request || add > limits->max_request - have)
        return false;
    at[i + 1] = '\n';
    parser->step = STEP_DATA;
    parser->head = i + 1;
    parser->need = add > len ? add - len : 0;
    return true;
}

/* Unlike Redis a wrong type byte is refused at once and not when its line is whole. */
enum request_status judge_argument(struct parser *parser, char *at, size_t len)
{
    if (likely(judge_usual(parser, at, len)))
        return REQUEST_READY;
    if (parser->step == STEP_TYPE) {
        if (len == 0)
            return REQUEST_MORE;
        if (unlikely(*at != '$'))
            return type_refuse(parser, *at);
        at++;
        len--;
    }
    struct header header = header_read(at, len);
    if (unlikely(header.too_long))
        return parser_fail(parser, "too big bulk count string");
    if (!header.len)
        return REQUEST_MORE;
    enum request_status status = bulk_judge(parser, &header);
    if (unlikely(status != REQUEST_READY))
        return status;
    size_t whole = header.len + (size_t)header.value + 2;
    parser->step = STEP_DATA;
    parser->head = header.len;
    parser->need = whole > len ? whole - len : 0;
    return REQUEST_READY;
}
