/* write.c - commands and replies as bytes, in the protocol version the receiver speaks. */
#include "respgate/resp.h"

#include <inttypes.h>
#include <stdio.h>

/* "<type><number>\r\n", without printf: commands are built for every probe and split request. */
static void header_write(struct buf *buf, char type, uint64_t number)
{
    char text[24], *at = text + sizeof(text);
    *--at = '\n';
    *--at = '\r';
    do
        *--at = (char)('0' + number % 10);
    while (number /= 10);
    *--at = type;
    buf_add(buf, at, (size_t)(text + sizeof(text) - at));
}

static void blob_write(struct buf *buf, struct str text)
{
    buf_str(buf, text);
    buf_add(buf, "\r\n", 2);
}

/* A line holds no line end: what would forge a second reply becomes spaces. */
static void line_clean(struct buf *buf, size_t from)
{
    for (size_t i = from; i < buf->len; i++)
        if (buf->ptr[i] == '\r' || buf->ptr[i] == '\n')
            buf->ptr[i] = ' ';
}

void write_error(struct buf *buf, const char *format, ...)
{
    char text[1024];
    va_list args;
    va_start(args, format);
    int len = vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    size_t start = buf->len;
    buf_add(buf, "-", 1);
    /* our own texts are shorter; what a client put into one may be cut */
    buf_add(buf, text, (size_t)len < sizeof(text) ? (size_t)len : sizeof(text) - 1);
    line_clean(buf, start);
    buf_add(buf, "\r\n", 2);
}

void write_status(struct buf *buf, const char *text)
{
    size_t start = buf->len;
    buf_add(buf, "+", 1);
    buf_text(buf, text);
    line_clean(buf, start);
    buf_add(buf, "\r\n", 2);
}

void write_int(struct buf *buf, int64_t value)
{
    if (value >= 0)
        header_write(buf, ':', (uint64_t)value);
    else
        buf_printf(buf, ":%" PRId64 "\r\n", value);
}

void write_bulk(struct buf *buf, struct str text)
{
    header_write(buf, '$', text.len);
    blob_write(buf, text);
}

void write_null(struct buf *buf, int resp)
{
    buf_text(buf, resp >= 3 ? "_\r\n" : "$-1\r\n");
}

void write_null_array(struct buf *buf, int resp)
{
    buf_text(buf, resp >= 3 ? "_\r\n" : "*-1\r\n");
}

void write_array(struct buf *buf, size_t count)
{
    header_write(buf, '*', count);
}

void write_map(struct buf *buf, size_t pairs, int resp)
{
    header_write(buf, resp >= 3 ? '%' : '*', resp >= 3 ? pairs : pairs * 2);
}

void write_push(struct buf *buf, size_t count, int resp)
{
    header_write(buf, resp >= 3 ? '>' : '*', count);
}

void write_verbatim(struct buf *buf, struct str text, int resp)
{
    if (resp < 3) {
        write_bulk(buf, text);
        return;
    }
    header_write(buf, '=', text.len + 4);
    buf_add(buf, "txt:", 4);
    blob_write(buf, text);
}

void write_command(struct buf *buf, size_t argc, const struct str *argv)
{
    header_write(buf, '*', argc);
    for (size_t i = 0; i < argc; i++)
        write_bulk(buf, argv[i]);
}
