/*
 * base.h - what every layer stands on: views, lists, chunks, builders, arenas, clock, log.
 *
 * Knows nothing of Redis, sockets or configuration. Allocation never fails here: the x*
 * wrappers end the process with a clear line, so no caller carries an untested branch.
 * What grows with traffic is bounded by its owner before it asks.
 */
#ifndef RESPGATE_BASE_H
#define RESPGATE_BASE_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define must_check                   __attribute__((warn_unused_result))
#define likely(x)                    __builtin_expect(!!(x), 1)
#define unlikely(x)                  __builtin_expect(!!(x), 0)
#define ARRAY_LEN(a)                 (sizeof(a) / sizeof((a)[0]))
#define CONTAINER(ptr, type, member) ((type *)((char *)(ptr)-offsetof(type, member)))

/* An assertion that stays in production: our own bug, found before it answers a wrong client. */
#define ASSERT(cond)                                                                               \
    do {                                                                                           \
        if (unlikely(!(cond)))                                                                     \
            die_at(__FILE__, __LINE__, "assertion failed: %s", #cond);                             \
    } while (0)
#define die(...) die_at(__FILE__, __LINE__, __VA_ARGS__)
_Noreturn void die_at(const char *file, int line, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* ---- memory ---- */

void *xmalloc(size_t size) __attribute__((malloc));
void *xcalloc(size_t count, size_t size) __attribute__((malloc));
void *xrealloc(void *ptr, size_t size);
char *xstrdup(const char *text);

/* Many small things that live and die together (a configuration, a rule set). Zeroed memory,
 * aligned to 16 bytes; freed as a whole. */
struct arena;
struct arena *arena_new(void);
void *arena_alloc(struct arena *arena, size_t size);
void arena_free(struct arena *arena);

/* ---- str: a view of bytes somebody else owns ---- */

struct str {
    const char *ptr;
    size_t len;
};
#define STR(literal) ((struct str){"" literal, sizeof(literal) - 1})

static inline struct str str_of(const char *text)
{
    return (struct str){text, strlen(text)};
}
static inline bool str_equal(struct str a, struct str b)
{
    return a.len == b.len && (!a.len || memcmp(a.ptr, b.ptr, a.len) == 0);
}
/* ASCII case is ignored, as Redis does with command names and options. */
bool str_equal_nocase(struct str a, struct str b);
/* Redis' string2ll: the whole text is one number in canonical form ("+1", "01", " 1" are not). */
bool str_to_int(struct str text, int64_t *out);
/* NUL-terminated copy in the arena; text may hold any bytes. */
char *arena_str(struct arena *arena, struct str text);
char *arena_printf(struct arena *arena, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* Redis' glob (util.c stringmatchlen): * ? [a-z] [^a] and \ escapes; case counts. Runs in
 * O(pattern x text) at worst: hostile patterns cannot make it exponential. */
bool glob_match(struct str pattern, struct str text);
/* Whether the pattern's element at `at`, which is no '*', takes this byte; *next: where it ends. */
bool glob_element(struct str pattern, size_t at, unsigned char c, size_t *next);

/* ---- list: intrusive, circular, doubly linked ---- */

struct list {
    struct list *prev, *next;
};
static inline void list_init(struct list *head)
{
    head->prev = head->next = head;
}
static inline bool list_empty(const struct list *head)
{
    return head->next == head;
}
static inline void list_append(struct list *head, struct list *node)
{
    node->prev = head->prev;
    node->next = head;
    head->prev->next = node;
    head->prev = node;
}
/* Taking out a node that is on no list (but was initialised) is allowed and does nothing. */
static inline void list_remove(struct list *node)
{
    node->prev->next = node->next;
    node->next->prev = node->prev;
    node->prev = node->next = node;
}
#define list_each(it, head) for (struct list *it = (head)->next; it != (head); it = it->next)
#define list_each_safe(it, head)                                                                   \
    for (struct list *it = (head)->next, *it##_next = it->next; it != (head);                      \
         it = it##_next, it##_next = it->next)

/* ---- chunk and span: counted bytes of one thread ---- */

/* Bytes written once and then shared by reference; never crosses threads, so plain counts. */
struct chunk {
    uint32_t refs;
    size_t size; /* room in data */
    size_t used; /* written so far; what lies before it never changes while refs > 1 */
    char data[];
};
enum { CHUNK_SIZE = 64 * 1024 - 64 }; /* the usual size; larger ones are made to measure */

struct chunk *chunk_new(size_t size); /* refs = 1; the usual size comes from a small pool */
void chunk_free(struct chunk *chunk); /* only for chunk_drop */
/* Bytes in all chunks of this process that are alive, pooled ones included. */
size_t chunk_total(void);
void chunk_pool_clear(void); /* this thread's pool, before the thread ends */
static inline struct chunk *chunk_hold(struct chunk *chunk)
{
    chunk->refs++;
    return chunk;
}
static inline void chunk_drop(struct chunk *chunk)
{
    if (chunk && --chunk->refs == 0)
        chunk_free(chunk);
}

/* A piece of a chunk; a span that is stored owns one reference (chunk NULL: static bytes). */
struct span {
    struct chunk *chunk;
    const char *ptr;
    size_t len;
};
static inline struct span span_hold(struct span span)
{
    if (span.chunk)
        chunk_hold(span.chunk);
    return span;
}
static inline void span_drop(struct span *span)
{
    chunk_drop(span->chunk);
    *span = (struct span){0};
}
/* A span of its own with a copy of the bytes, in a chunk just large enough. */
struct span span_copy(const char *ptr, size_t len);

/* ---- spans: a queue of spans ---- */

struct spans {
    struct span_node *head, *tail;
    size_t bytes;
};
struct span_node {
    struct span_node *next;
    struct span span;
};
/* Takes over the caller's reference. Neighbouring bytes of one chunk become one span. */
void spans_push(struct spans *spans, struct span span);
/* Copies into an own chunk: for short texts made on the spot. */
void spans_push_copy(struct spans *spans, const char *ptr, size_t len);
void spans_move(struct spans *to, struct spans *from); /* appends all, from is empty after */
void spans_consume(struct spans *spans, size_t bytes); /* drops that many from the front */
void spans_clear(struct spans *spans);
/* Bytes that wait long must not hold on to large chunks that others filled: copies out. */
void spans_compact(struct spans *spans);

/* ---- buf: a growing text ---- */

struct buf {
    char *ptr;
    size_t len, cap;
};
void buf_add(struct buf *buf, const char *ptr, size_t len);
static inline void buf_str(struct buf *buf, struct str text)
{
    buf_add(buf, text.ptr, text.len);
}
static inline void buf_text(struct buf *buf, const char *text)
{
    buf_add(buf, text, strlen(text));
}
void buf_printf(struct buf *buf, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* JSON string with quotes; bytes that are not UTF-8 become \u00XX, so any key can be shown. */
void buf_json(struct buf *buf, struct str text);
/* Length of the well-formed UTF-8 sequence at ptr, 0 when there is none (RFC 3629: no overlong
 * forms, no surrogates, nothing above U+10FFFF). */
size_t utf8_len(const void *ptr, size_t left);
/* For lines and labels: valid UTF-8 without control characters; other bytes become \xNN, and a
 * backslash two, so that no two texts look alike. What would be longer than max is cut, ends in
 * "...", and false is returned. */
bool buf_printable(struct buf *buf, struct str text, size_t max);
static inline struct str buf_view(const struct buf *buf)
{
    return (struct str){buf->ptr, buf->len};
}
void buf_free(struct buf *buf);

/* ---- clock ---- */

uint64_t clock_ns(void);  /* monotonic */
int64_t clock_wall(void); /* seconds since 1970 */

/* ---- random ---- */

uint32_t random_below(uint32_t bound); /* not for secrets: jitter, sampling */

/* ---- log ---- */

enum log_level { LOG_ERROR, LOG_WARN, LOG_NOTICE, LOG_INFO, LOG_DEBUG };

/* path "-" is stderr. Returns false with errno when the file cannot be opened; then the old
 * target stays. Safe to call from the main thread while others log. */
bool must_check log_open(const char *path, enum log_level level, bool json);
bool must_check log_reopen(void); /* after logrotate: SIGUSR1 */
bool log_enabled(enum log_level level);
/* One line, one write(2). Keys, values and secrets stay out above debug. `who` names the client
 * or link ("client=7 addr=10.0.0.1:4242 user=app", "link=3 node=redis"), or is NULL. */
void log_line(enum log_level level, const char *who, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
#define log_error(who, ...)  log_line(LOG_ERROR, who, __VA_ARGS__)
#define log_warn(who, ...)   log_line(LOG_WARN, who, __VA_ARGS__)
#define log_notice(who, ...) log_line(LOG_NOTICE, who, __VA_ARGS__)
#define log_info(who, ...)   log_line(LOG_INFO, who, __VA_ARGS__)
#define log_debug(who, ...)                                                                        \
    do {                                                                                           \
        if (log_enabled(LOG_DEBUG))                                                                \
            log_line(LOG_DEBUG, who, __VA_ARGS__);                                                 \
    } while (0)

#endif
