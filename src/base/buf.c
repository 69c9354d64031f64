/* buf.c - a growing text. */
#include "respgate/base.h"

#include <stdio.h>
#include <stdlib.h>

static char *buf_room(struct buf *buf, size_t len)
{
    if (buf->cap - buf->len < len) {
        size_t cap = buf->cap * 2 > buf->len + len ? buf->cap * 2 : buf->len + len;
        buf->cap = cap < 64 ? 64 : cap;
        buf->ptr = xrealloc(buf->ptr, buf->cap);
    }
    return buf->ptr + buf->len;
}

void buf_add(struct buf *buf, const char *ptr, size_t len)
{
    if (!len)
        return;
    memcpy(buf_room(buf, len), ptr, len);
    buf->len += len;
}

void buf_printf(struct buf *buf, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    int len = vsnprintf(NULL, 0, format, args);
    va_end(args);
    char *at = buf_room(buf, (size_t)len + 1);
    va_start(args, format);
    vsnprintf(at, (size_t)len + 1, format, args);
    va_end(args);
    buf->len += (size_t)len;
}

void buf_free(struct buf *buf)
{
    free(buf->ptr);
    *buf = (struct buf){0};
}

/* Length of the well-formed UTF-8 sequence at ptr, 0 when there is none (RFC 3629: no overlong
 * forms, no surrogates, nothing above U+10FFFF). */
static size_t utf8_len(const unsigned char *ptr, size_t left)
{
    unsigned char first = ptr[0], low = 0x80, high = 0xbf;
    size_t len = first < 0x80   ? 1
                 : first < 0xc2 ? 0
                 : first < 0xe0 ? 2
                 : first < 0xf0 ? 3
                 : first < 0xf5 ? 4
                                : 0;
    if (len == 0 || len > left)
        return 0;
    if (first == 0xe0)
        low = 0xa0;
    else if (first == 0xed)
        high = 0x9f;
    else if (first == 0xf0)
        low = 0x90;
    else if (first == 0xf4)
        high = 0x8f;
    for (size_t i = 1; i < len; i++, low = 0x80, high = 0xbf)
        if (ptr[i] < low || ptr[i] > high)
            return 0;
    return len;
}

void buf_json(struct buf *buf, struct str text)
{
    buf_add(buf, "\"", 1);
    for (size_t i = 0; i < text.len;) {
        const unsigned char *at = (const unsigned char *)text.ptr + i;
        size_t len = utf8_len(at, text.len - i);
        if (*at == '"' || *at == '\\')
            buf_printf(buf, "\\%c", *at);
        else if (len == 0 || *at < 0x20 || *at == 0x7f)
            buf_printf(buf, "\\u%04x", *at);
        else
            buf_add(buf, (const char *)at, len);
        i += len ? len : 1;
    }
    buf_add(buf, "\"", 1);
}
