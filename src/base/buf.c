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

size_t utf8_len(const void *text, size_t left)
{
    const unsigned char *ptr = text;
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

/* C1 controls (U+0080 to U+009F) are well-formed and still move a terminal's cursor. */
static bool is_control(const unsigned char *at, size_t len)
{
    return len == 0 || *at < 0x20 || *at == 0x7f || (len == 2 && *at == 0xc2 && at[1] < 0xa0);
}

bool buf_printable(struct buf *buf, struct str text, size_t max)
{
    size_t start = buf->len;
    for (size_t i = 0; i < text.len;) {
        const unsigned char *at = (const unsigned char *)text.ptr + i;
        size_t len = utf8_len(at, text.len - i);
        if (buf->len - start + 4 > max) {
            buf_text(buf, "...");
            return false;
        }
        if (is_control(at, len)) {
            buf_printf(buf, "\\x%02x", *at);
            len = 1;
        } else if (*at == '\\') {
            buf_text(buf, "\\\\");
        } else {
            buf_add(buf, text.ptr + i, len);
        }
        i += len;
    }
    return true;
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
