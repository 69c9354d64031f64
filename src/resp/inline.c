/* inline.c - inline requests: a line of words, quoted by the rules of Redis' sdssplitargs. */
#include "parser.h"

#include <stdio.h>
#include <stdlib.h>

/* A word shrinks while it is unquoted: to never overtakes at. */
struct cursor {
    const char *at, *end;
    char *to;
};

static bool is_blank(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

/* What ends a bare word; \v and \f do not, though they separate words. Redis does the same. */
static bool ends_word(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    char low = (char)(c | 0x20);
    return low >= 'a' && low <= 'f' ? low - 'a' + 10 : -1;
}

static char escaped(char c)
{
    static const char codes[] = "n\nr\rt\tb\ba\a";
    for (const char *code = codes; *code; code += 2)
        if (c == *code)
            return code[1];
    return c;
}

/* A backslash within double quotes: \xHH, a letter, or the byte itself. */
static void escape_read(struct cursor *cur)
{
    const char *at = cur->at + 1;
    if (cur->end - at >= 3 && *at == 'x' && hex_digit(at[1]) >= 0 && hex_digit(at[2]) >= 0) {
        *cur->to++ = (char)(hex_digit(at[1]) << 4 | hex_digit(at[2]));
        cur->at = at + 3;
    } else {
        *cur->to++ = escaped(*at);
        cur->at = at + 1;
    }
}

/* From behind the opening quote to behind the closing one, which must end the word. */
static bool quoted_read(struct cursor *cur, char quote)
{
    while (cur->at < cur->end) {
        bool more = cur->end - cur->at > 1;
        if (*cur->at == quote) {
            cur->at++;
            return !more || is_blank(*cur->at);
        }
        if (*cur->at == '\\' && more && quote == '"') {
            escape_read(cur);
        } else if (*cur->at == '\\' && more && cur->at[1] == '\'') {
            *cur->to++ = '\'';
            cur->at += 2;
        } else {
            *cur->to++ = *cur->at++;
        }
    }
    return false;
}

/* A quote may open in the middle of a bare word; with its end the word ends too. */
static bool word_read(struct cursor *cur)
{
    while (cur->at < cur->end && !ends_word(*cur->at)) {
        char c = *cur->at++;
        if (c == '"' || c == '\'')
            return quoted_read(cur, c);
        *cur->to++ = c;
    }
    return true;
}

/* Words are unquoted in place, so the views point into the line. False: unbalanced quotes. */
static bool inline_split(char *line, size_t len, struct args *args)
{
    struct cursor cur = {line, line + len, line};
    for (;;) {
        while (cur.at < cur.end && is_blank(*cur.at))
            cur.at++;
        if (cur.at == cur.end)
            return true;
        const char *word = cur.to;
        if (!word_read(&cur))
            return false;
        args_add(args, (struct str){word, (size_t)(cur.to - word)});
    }
}

static void word_add(struct parser *parser, struct str word)
{
    char head[24];
    size_t len = (size_t)snprintf(head, sizeof(head), "$%zu\r\n", word.len);
    char *to = request_room(parser, len + word.len + 2);
    memcpy(to, head, len);
    memcpy(to + len, word.ptr, word.len);
    memcpy(to + len + word.len, "\r\n", 2);
    args_add(&parser->args, (struct str){to + len, word.len});
}

static enum request_status inline_encode(struct parser *parser, const struct args *words,
                                         struct request *out)
{
    char head[24];
    size_t len = (size_t)snprintf(head, sizeof(head), "*%zu\r\n", words->argc);
    request_begin(parser);
    memcpy(request_room(parser, len), head, len);
    for (size_t i = 0; i < words->argc; i++)
        word_add(parser, words->argv[i]);
    if (request_len(parser) > parser->limits->max_request)
        return parser_fail(parser, "request exceeds max-request-size");
    return request_finish(parser, out);
}

/* A NUL hides what follows it, as it does from the strchr in Redis. */
static char *line_end(char *at, size_t len)
{
    char *end = memchr(at, '\n', len <= LINE_LIMIT ? len : LINE_LIMIT + 1);
    return end && !memchr(at, '\0', (size_t)(end - at)) ? end : NULL;
}

/* Redis does not hold inline requests to the limits of clients not yet authenticated. */
enum request_status inline_next(struct parser *parser, char *at, size_t len, struct request *out)
{
    char *end = line_end(at, len);
    if (!end)
        return len <= LINE_LIMIT ? REQUEST_MORE : parser_fail(parser, "too big inline request");
    struct args words = {0};
    size_t line = (size_t)(end - at);
    enum request_status status = REQUEST_EMPTY;
    if (line > 0 && at[line - 1] == '\r')
        line--;
    if (!inline_split(at, line, &words))
        status = parser_fail(parser, "unbalanced quotes in request");
    else if (words.argc > 0)
        status = inline_encode(parser, &words, out);
    free(words.argv);
    reader_skip(parser->reader, (size_t)(end - at) + 1);
    return status;
}
