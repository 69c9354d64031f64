/*
 * resp.h - bytes of the Redis protocol: client requests, backend replies, writing, reply trees.
 *
 * No I/O. Requests are parsed by hiredis' reader and re-encoded while they are parsed: what the
 * rules see is byte for byte what the backend gets. Replies are only framed, never copied.
 */
#ifndef RESPGATE_RESP_H
#define RESPGATE_RESP_H

#include "respgate/base.h"

/* ---- requests (request.c, inline.c) ---- */

/* One complete client command. argv points into bytes and lives as long as the span does, but
 * the argv array itself only until the parser's next call. */
struct request {
    const struct str *argv;
    size_t argc;
    struct span bytes; /* canonical encoding "*N\r\n$..."; the receiver owns the reference */
};

struct request_limits {
    size_t max_request; /* bytes of one encoded request */
    size_t max_bulk;    /* bytes of one argument; Redis: proto-max-bulk-len */
    size_t max_args;    /* Redis: INT_MAX, 10 before AUTH */
    bool authenticated; /* chooses the error text: "unauthenticated bulk length" */
};

enum request_status {
    REQUEST_MORE,  /* nothing complete: feed more */
    REQUEST_READY, /* *out is filled */
    REQUEST_EMPTY, /* *0, *-1, an empty inline line: Redis answers nothing, neither do we */
    REQUEST_ERROR, /* parser_error() says why; answer it and close: the stream is lost */
};

/* Holds what is unfinished of one client's stream. A client needs one only while bytes wait in
 * it, so a worker keeps a few and lends them out (parser_idle). */
struct parser;
struct parser *parser_new(void);
void parser_free(struct parser *parser);
/* Copies the bytes in, as many as a read brings. Call parser_next until it says REQUEST_MORE. */
void parser_feed(struct parser *parser, const char *ptr, size_t len);
enum request_status must_check parser_next(struct parser *parser,
                                           const struct request_limits *limits,
                                           struct request *out);
/* Redis' own text, e.g. "Protocol error: invalid bulk length", without "-ERR " and CRLF. */
const char *parser_error(const struct parser *parser);
bool parser_idle(const struct parser *parser); /* no byte waits: may serve another client */
/* Bytes held: those not yet parsed, and the unfinished request with its argument views. */
size_t parser_waiting(const struct parser *parser);
/* Forgets everything it holds, also an error; large buffers are given back. */
void parser_reset(struct parser *parser);

/* One argument of an encoded request; len 0 and ptr NULL when there is none. */
struct str request_argument(struct str bytes, size_t index);

/* ---- replies (scan.c) ---- */

/* Finds where one reply ends, whatever its shape: RESP2 and RESP3, in constant memory. One
 * counter serves as stack: an aggregate of n adds n, a map 2n, an attribute 2n and takes
 * nothing back. */
struct scan {
    uint64_t values;  /* values still to come before the reply is whole */
    uint64_t skip;    /* bytes of a bulk (with its CRLF) still to be passed over */
    uint8_t state;    /* where in a value the last byte lay */
    uint8_t type;     /* its type byte */
    uint8_t line_len; /* of line */
    char line[29];    /* a length line cut by the end of a read */
};
enum scan_status {
    SCAN_MORE,  /* all bytes belong to this reply, which goes on */
    SCAN_END,   /* the reply ended at *used */
    SCAN_ERROR, /* not RESP: close the link, never guess */
};
void scan_init(struct scan *scan); /* at the first byte of a reply */
static inline bool scan_at_start(const struct scan *scan)
{
    return scan->values == 0;
}
/* On SCAN_END the scanner stands at the start of the next reply. */
enum scan_status must_check scan_feed(struct scan *scan, const char *ptr, size_t len, size_t *used);

/* ---- writing (write.c) ---- */

void write_command(struct buf *buf, size_t argc, const struct str *argv);
/* "-CODE text\r\n": CR and LF inside become spaces, so no text can forge a second reply. */
void write_error(struct buf *buf, const char *format, ...) __attribute__((format(printf, 2, 3)));
void write_status(struct buf *buf, const char *text);
void write_int(struct buf *buf, int64_t value);
void write_bulk(struct buf *buf, struct str text);
void write_null(struct buf *buf, int resp);       /* "$-1" or "_" */
void write_null_array(struct buf *buf, int resp); /* "*-1" or "_" */
void write_array(struct buf *buf, size_t count);
void write_map(struct buf *buf, size_t pairs, int resp);         /* RESP2: an array of 2n */
void write_push(struct buf *buf, size_t count, int resp);        /* RESP2: an array */
void write_verbatim(struct buf *buf, struct str text, int resp); /* RESP2: a bulk */

/* ---- reply trees (tree.c) ---- */

/* For the control plane: HELLO, COMMAND, INFO. Read with hiredis' reader, RESP2 only. */
enum tree_type { TREE_NULL, TREE_STRING, TREE_STATUS, TREE_ERROR, TREE_INT, TREE_ARRAY };
struct tree {
    enum tree_type type;
    struct str text; /* STRING STATUS ERROR */
    int64_t integer;
    size_t count; /* ARRAY */
    struct tree *items;
};
/* One whole reply as a tree in the arena, or NULL when the bytes are not exactly one. */
struct tree *tree_parse(struct arena *arena, const char *ptr, size_t len);
/* The value behind a name in a flat array of pairs (HELLO 2, CONFIG GET), or NULL. */
const struct tree *tree_get(const struct tree *tree, const char *name);

#endif
