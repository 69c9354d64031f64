/* scan.c - finds where a reply ends, resumable at every byte, in constant memory.
 *
 *   type byte -> TEXT    ... CR LF                     + - , (
 *             -> NUMBER  digits CR LF                  : _ # and all that announce a length
 *                        -> BULK  bytes CR LF          $ ! =
 *                        -> count added to `values`    * ~ > % |
 */
#include "respgate/resp.h"

enum state { STATE_TYPE, STATE_TEXT, STATE_TEXT_END, STATE_NUMBER, STATE_BULK };

enum kind { KIND_NONE, KIND_TEXT, KIND_INT, KIND_NULL, KIND_BOOL, KIND_BULK, KIND_AGGREGATE };

static const struct type {
    uint8_t kind;
    uint8_t state;  /* behind the type byte */
    uint8_t values; /* for each one counted */
    bool null;      /* -1 is a null: RESP2 */
    bool prefix;    /* not a value itself: the value it speaks of follows */
} types[256] = {
    ['+'] = {.kind = KIND_TEXT, .state = STATE_TEXT},
    ['-'] = {.kind = KIND_TEXT, .state = STATE_TEXT},
    [','] = {.kind = KIND_TEXT, .state = STATE_TEXT},
    ['('] = {.kind = KIND_TEXT, .state = STATE_TEXT},
    [':'] = {.kind = KIND_INT, .state = STATE_NUMBER},
    ['_'] = {.kind = KIND_NULL, .state = STATE_NUMBER},
    ['#'] = {.kind = KIND_BOOL, .state = STATE_NUMBER},
    ['$'] = {.kind = KIND_BULK, .state = STATE_NUMBER, .null = true},
    ['!'] = {.kind = KIND_BULK, .state = STATE_NUMBER},
    ['='] = {.kind = KIND_BULK, .state = STATE_NUMBER},
    ['*'] = {.kind = KIND_AGGREGATE, .state = STATE_NUMBER, .values = 1, .null = true},
    ['~'] = {.kind = KIND_AGGREGATE, .state = STATE_NUMBER, .values = 1},
    ['>'] = {.kind = KIND_AGGREGATE, .state = STATE_NUMBER, .values = 1},
    ['%'] = {.kind = KIND_AGGREGATE, .state = STATE_NUMBER, .values = 2},
    ['|'] = {.kind = KIND_AGGREGATE, .state = STATE_NUMBER, .values = 2, .prefix = true},
};

void scan_init(struct scan *scan)
{
    *scan = (struct scan){0};
}

static bool value_end(struct scan *scan)
{
    scan->values--;
    scan->state = STATE_TYPE;
    return true;
}

static bool aggregate_start(struct scan *scan, const struct type *type, uint64_t count)
{
    uint64_t add;
    if (__builtin_mul_overflow(count, type->values, &add) ||
        __builtin_add_overflow(scan->values, add, &scan->values))
        return false;
    scan->state = STATE_TYPE;
    return type->prefix || value_end(scan);
}

/* A whole number line without its CRLF. */
static bool number_apply(struct scan *scan, int64_t number)
{
    const struct type *type = &types[scan->type];
    if (type->kind == KIND_INT)
        return value_end(scan);
    if (number < 0)
        return number == -1 && type->null && value_end(scan);
    if (type->kind == KIND_AGGREGATE)
        return aggregate_start(scan, type, (uint64_t)number);
    scan->skip = (uint64_t)number + 2;
    scan->state = STATE_BULK;
    return true;
}

static bool line_apply(struct scan *scan, struct str line)
{
    int64_t number;
    switch ((enum kind)types[scan->type].kind) {
    case KIND_NULL: return line.len == 0 && value_end(scan);
    case KIND_BOOL:
        return line.len == 1 && (*line.ptr == 't' || *line.ptr == 'f') && value_end(scan);
    case KIND_INT:
    case KIND_BULK:
    case KIND_AGGREGATE: return str_to_int(line, &number) && number_apply(scan, number);
    case KIND_NONE:
    case KIND_TEXT: break;
    }
    return false;
}

/* Gathers a line byte by byte: one cut by the end of a read, or anything but plain digits. */
static const char *number_gather(struct scan *scan, const char *at, const char *end)
{
    while (at < end) {
        char c = *at++;
        if (c == '\n' && scan->line_len > 0 && scan->line[scan->line_len - 1] == '\r')
            return line_apply(scan, (struct str){scan->line, scan->line_len - 1u}) ? at : NULL;
        if (scan->line_len == sizeof(scan->line))
            return NULL;
        scan->line[scan->line_len++] = c;
    }
    return at;
}

static inline const char *scan_number(struct scan *scan, const char *at, const char *end)
{
    const char *digit = at;
    int64_t number = 0;
    if (unlikely(scan->line_len > 0))
        return number_gather(scan, at, end);
    for (; digit < end && digit - at < 18 && *digit >= '0' && *digit <= '9'; digit++)
        number = number * 10 + (*digit - '0');
    if (unlikely(digit == at || end - digit < 2 || digit[0] != '\r' || digit[1] != '\n' ||
                 (*at == '0' && digit - at > 1)))
        return number_gather(scan, at, end);
    /* '_' and '#' take no digits */
    if (unlikely(types[scan->type].kind < KIND_BULK && types[scan->type].kind != KIND_INT))
        return NULL;
    return number_apply(scan, number) ? digit + 2 : NULL;
}

static inline const char *scan_bulk(struct scan *scan, const char *at, const char *end)
{
    uint64_t left = (uint64_t)(end - at);
    if (likely(left >= scan->skip)) {
        at += scan->skip;
        if (scan->skip >= 2 && at[-2] != '\r')
            return NULL;
        return at[-1] == '\n' && value_end(scan) ? at : NULL;
    }
    if (scan->skip - left == 1 && at[left - 1] != '\r')
        return NULL;
    scan->skip -= left;
    return end;
}

/* As in hiredis 0.14 only CR LF together end a line. */
static inline const char *scan_text(struct scan *scan, const char *at, const char *end)
{
    const char *cr = memchr(at, '\r', (size_t)(end - at));
    if (!cr)
        return end;
    if (likely(cr + 1 < end && cr[1] == '\n'))
        return value_end(scan) ? cr + 2 : NULL;
    scan->state = STATE_TEXT_END;
    return cr + 1;
}

static const char *scan_text_end(struct scan *scan, const char *at)
{
    if (*at == '\n')
        value_end(scan);
    else if (*at != '\r')
        scan->state = STATE_TEXT;
    return at + 1;
}

static inline const char *scan_type(struct scan *scan, const char *at)
{
    const struct type *type = &types[(uint8_t)*at];
    if (unlikely(type->kind == KIND_NONE))
        return NULL;
    scan->type = (uint8_t)*at;
    scan->line_len = 0;
    scan->state = type->state;
    return at + 1;
}

/* The reply most replies are: "$64\r\n" and its bytes, whole in the buffer. Its length, or 0 when
 * it is not that; what is odd about it is for the general path to find. */
static inline size_t scan_whole_bulk(const char *ptr, size_t len)
{
    size_t i = 1, size = 0;
    if (*ptr != '$' || ptr[1] < '1' || ptr[1] > '9')
        return 0;
    for (; i < 8 && ptr[i] >= '0' && ptr[i] <= '9'; i++) /* the caller has 16 bytes */
        size = size * 10 + (size_t)(ptr[i] - '0');
    if (i + 2 + size + 2 > len || ptr[i] != '\r' || ptr[i + 1] != '\n')
        return 0;
    const char *end = ptr + i + 2 + size;
    return end[0] == '\r' && end[1] == '\n' ? i + 2 + size + 2 : 0;
}

enum scan_status scan_feed(struct scan *scan, const char *ptr, size_t len, size_t *used)
{
    if (scan->values == 0 && len >= 16 && (*used = scan_whole_bulk(ptr, len)) > 0)
        return SCAN_END;
    const char *at = ptr, *end = ptr + len;
    if (len > 0 && scan->values == 0)
        scan->values = 1;
    while (at < end) {
        switch ((enum state)scan->state) {
        case STATE_TYPE: at = scan_type(scan, at); break;
        case STATE_TEXT: at = scan_text(scan, at, end); break;
        case STATE_TEXT_END: at = scan_text_end(scan, at); break;
        case STATE_NUMBER: at = scan_number(scan, at, end); break;
        case STATE_BULK: at = scan_bulk(scan, at, end); break;
        }
        if (unlikely(!at))
            return SCAN_ERROR;
        if (scan->values == 0) {
            *used = (size_t)(at - ptr);
            return SCAN_END;
        }
    }
    *used = len;
    return SCAN_MORE;
}
