/*
 * transcript.h - what a parser makes of bytes, as text that tests compare.
 *
 *   [GET][key]     one request and its arguments
 *   empty          nothing to answer
 *   ! Protocol error: ...
 */
#ifndef RESPGATE_TRANSCRIPT_H
#define RESPGATE_TRANSCRIPT_H

#include "respgate/resp.h"

#include <limits.h>

static const struct request_limits limits_user = {
    .max_request = 1024u * 1024 * 1024,
    .max_bulk = 512u * 1024 * 1024,
    .max_args = INT_MAX,
    .authenticated = true,
};
static const struct request_limits limits_stranger = {
    .max_request = 1024u * 1024 * 1024,
    .max_bulk = 16384,
    .max_args = 10,
    .authenticated = false,
};

/* An empty buf has no address to compare. */
static inline bool text_equal(const struct buf *text, struct str expected)
{
    return text->len == expected.len && (!text->len || str_equal(buf_view(text), expected));
}

/* Feeds the bytes and appends all that comes of them; false after an error. Every request is
 * checked on the way: its bytes are the canonical encoding of its arguments, which lie in it. */
bool transcript_feed(struct buf *text, struct parser *parser, const struct request_limits *limits,
                     const char *ptr, size_t len);
/* A whole life of a parser: all bytes in pieces of one length, or cut once. */
void transcript_pieces(struct buf *text, const struct request_limits *limits, struct str bytes,
                       size_t piece);
void transcript_cut(struct buf *text, const struct request_limits *limits, struct str bytes,
                    size_t cut);

#endif
