/* model.c - random replies, and the slow obvious reading of them that the scanner is held to. */
#include "model.h"

static void random_text(struct buf *buf, size_t len, bool any)
{
    for (size_t i = 0; i < len; i++) {
        char c = any ? "\r\n$*\0ab"[random_below(7)] : (char)(' ' + random_below(90));
        buf_add(buf, &c, 1);
    }
}

static void random_line(struct buf *buf, char type)
{
    buf_add(buf, &type, 1);
    random_text(buf, random_below(random_below(10) ? 12 : 3000), false);
    buf_text(buf, "\r\n");
}

static void random_bulk(struct buf *buf, char type)
{
    size_t len = random_below(random_below(10) ? 20 : 3000);
    buf_printf(buf, "%c%zu\r\n", type, len);
    random_text(buf, len, true);
    buf_text(buf, "\r\n");
}

static void random_int(struct buf *buf)
{
    static const char *const extremes[] = {"0", "-1", "9223372036854775807",
                                           "-9223372036854775808"};
    if (random_below(3) == 0)
        buf_printf(buf, ":%s\r\n", extremes[random_below(ARRAY_LEN(extremes))]);
    else
        buf_printf(buf, ":%d\r\n", (int)random_below(100000) - 50000);
}

static void random_aggregate(struct buf *buf, char type, int resp, int depth)
{
    size_t count = random_below(5), values = type == '%' || type == '|' ? count * 2 : count;
    buf_printf(buf, "%c%zu\r\n", type, count);
    for (; values > 0; values--)
        model_reply(buf, resp, depth - 1);
}

void model_reply(struct buf *buf, int resp, int depth)
{
    static const char scalars[] = "+-:$N+-:$N_#,(!="; /* N: a null of RESP2 */
    static const char aggregates[] = "****%~>|";
    if (depth > 0 && random_below(2)) {
        char type = aggregates[random_below(resp == 2 ? 4 : 8)];
        random_aggregate(buf, type, resp, depth);
        if (type == '|') /* what the attribute speaks of */
            model_reply(buf, resp, depth - 1);
        return;
    }
    char type = scalars[random_below(resp == 2 ? 10 : 16)];
    switch (type) {
    case 'N': buf_text(buf, random_below(2) ? "$-1\r\n" : "*-1\r\n"); break;
    case '_': buf_text(buf, "_\r\n"); break;
    case '#': buf_text(buf, random_below(2) ? "#t\r\n" : "#f\r\n"); break;
    case ':': random_int(buf); break;
    case '$':
    case '!':
    case '=': random_bulk(buf, type); break;
    default: random_line(buf, type); break;
    }
}

/* The offset behind the CRLF that ends the line at `at`; 0: not there. */
static size_t line_behind(struct str bytes, size_t at)
{
    for (; at + 1 < bytes.len; at++)
        if (bytes.ptr[at] == '\r' && bytes.ptr[at + 1] == '\n')
            return at + 2;
    return 0;
}

/* Moves *at behind one value: 1; it is not whole: 0; it is none: -1. */
static int value_skip(struct str bytes, size_t *at)
{
    if (*at >= bytes.len)
        return 0;
    char type = bytes.ptr[*at];
    size_t text = *at + 1, behind = line_behind(bytes, text);
    struct str line = {bytes.ptr + text, behind ? behind - 2 - text : 0};
    int64_t number = 0;
    if (!strchr("+-,(:_#$!=*~>%|", type) || !type)
        return -1;
    if (!behind)
        return 0;
    *at = behind;
    if (strchr("+-,(", type))
        return 1;
    if (type == '_')
        return line.len == 0 ? 1 : -1;
    if (type == '#')
        return line.len == 1 && (*line.ptr == 't' || *line.ptr == 'f') ? 1 : -1;
    if (!str_to_int(line, &number))
        return -1;
    if (type == ':')
        return 1;
    if (number < 0)
        return number == -1 && (type == '$' || type == '*') ? 1 : -1;
    if (strchr("$!=", type)) {
        if ((uint64_t)number + 2 > bytes.len - *at)
            return 0;
        *at += (size_t)number + 2;
        return bytes.ptr[*at - 2] == '\r' && bytes.ptr[*at - 1] == '\n' ? 1 : -1;
    }
    uint64_t values = (uint64_t)number * (type == '%' || type == '|' ? 2 : 1);
    for (values += type == '|'; values > 0; values--) {
        int got = value_skip(bytes, at);
        if (got <= 0)
            return got;
    }
    return 1;
}

int64_t model_length(struct str bytes)
{
    size_t at = 0;
    int got = value_skip(bytes, &at);
    return got > 0 ? (int64_t)at : got;
}
