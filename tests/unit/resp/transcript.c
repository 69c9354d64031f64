/* transcript.c - what a parser makes of bytes, as text that tests compare. */
#include "transcript.h"

static void request_check(const struct request *request)
{
    struct buf bytes = {0};
    const char *from = request->bytes.ptr, *end = from + request->bytes.len;
    write_command(&bytes, request->argc, request->argv);
    ASSERT(str_equal(buf_view(&bytes), (struct str){from, request->bytes.len}));
    for (size_t i = 0; i < request->argc; i++) {
        struct str arg = request->argv[i];
        ASSERT(arg.ptr > from && arg.ptr + arg.len + 2 <= end);
        from = arg.ptr + arg.len;
    }
    ASSERT(from + 2 == end);
    ASSERT(request->bytes.ptr >= request->bytes.chunk->data);
    ASSERT(end <= request->bytes.chunk->data + request->bytes.chunk->used);
    buf_free(&bytes);
}

static void request_print(struct buf *text, const struct request *request)
{
    for (size_t i = 0; i < request->argc; i++) {
        buf_text(text, "[");
        buf_str(text, request->argv[i]);
        buf_text(text, "]");
    }
    buf_text(text, "\n");
}

bool transcript_feed(struct buf *text, struct parser *parser, const struct request_limits *limits,
                     const char *ptr, size_t len)
{
    struct request request;
    parser_feed(parser, ptr, len);
    for (;;) {
        switch (parser_next(parser, limits, &request)) {
        case REQUEST_MORE: return true;
        case REQUEST_READY:
            request_check(&request);
            request_print(text, &request);
            span_drop(&request.bytes);
            break;
        case REQUEST_EMPTY: buf_text(text, "empty\n"); break;
        case REQUEST_ERROR: buf_printf(text, "! %s\n", parser_error(parser)); return false;
        }
    }
}

void transcript_pieces(struct buf *text, const struct request_limits *limits, struct str bytes,
                       size_t piece)
{
    struct parser *parser = parser_new();
    for (size_t at = 0; at < bytes.len; at += piece) {
        size_t len = bytes.len - at < piece ? bytes.len - at : piece;
        if (!transcript_feed(text, parser, limits, bytes.ptr + at, len))
            break;
    }
    parser_free(parser);
}

void transcript_cut(struct buf *text, const struct request_limits *limits, struct str bytes,
                    size_t cut)
{
    struct parser *parser = parser_new();
    if (transcript_feed(text, parser, limits, bytes.ptr, cut))
        (void)!transcript_feed(text, parser, limits, bytes.ptr + cut, bytes.len - cut);
    parser_free(parser);
}
