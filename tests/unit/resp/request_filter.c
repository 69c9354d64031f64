/* request_filter.c - the requests found in stdin in canonical form on stdout, and the error they
 * ended with on stderr: the tool of tests that compare with a live Redis.
 *
 * Argument 1: bytes for each feed (0: all), argument 2: "stranger" before AUTH. */
#include "transcript.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static bool requests_print(struct parser *parser, const struct request_limits *limits)
{
    struct request request;
    for (;;) {
        switch (parser_next(parser, limits, &request)) {
        case REQUEST_MORE: return true;
        case REQUEST_EMPTY: break;
        case REQUEST_ERROR: fputs(parser_error(parser), stderr); return false;
        case REQUEST_READY:
            fwrite(request.bytes.ptr, 1, request.bytes.len, stdout);
            span_drop(&request.bytes);
            break;
        }
    }
}

int main(int argc, char **argv)
{
    char part[65536];
    size_t piece = argc > 1 ? strtoul(argv[1], NULL, 10) : 0;
    bool stranger = argc > 2 && strcmp(argv[2], "stranger") == 0;
    struct parser *parser = parser_new();
    ssize_t len;
    if (piece == 0 || piece > sizeof(part))
        piece = sizeof(part);
    while ((len = read(STDIN_FILENO, part, piece)) > 0) {
        parser_feed(parser, part, (size_t)len);
        if (!requests_print(parser, stranger ? &limits_stranger : &limits_user))
            break;
    }
    parser_free(parser);
    return 0;
}
