/* scheme.c - which prefix a key belongs to: segments, ids among them, declared patterns.
 *
 * Everything here decides by the text alone, segment by segment: a text that is once found to be a
 * prefix is one wherever it stands before a delimiter. prefixes.c relies on that.
 */
#include <stdlib.h>

#include "internal.h"

enum { DIGITS_MAX = 3, HEX_RUN_MAX = 7, TOKEN_MIN = 12, BUCKETS = DECLARED_BUCKETS };

/* What a byte may be in a segment. */
enum {
    IS_DIGIT = 1,
    IS_HEX = 2,
    IS_UPPER = 4,
    IS_LOWER = 8,
    IS_OPEN = 16,
    IS_CLOSE = 32,
    IS_BAD = 64
};

static const uint8_t kinds[256] = {
    [0 ... ' ' - 1] = IS_BAD,
    ['0' ... '9'] = IS_DIGIT | IS_HEX,
    ['A' ... 'F'] = IS_UPPER | IS_HEX,
    ['G' ... 'Z'] = IS_UPPER,
    ['a' ... 'f'] = IS_LOWER | IS_HEX,
    ['g' ... 'z'] = IS_LOWER,
    ['{'] = IS_OPEN,
    ['}'] = IS_CLOSE,
    ['~' + 1 ... 255] = IS_BAD,
};

/* Whether this segment ends a prefix: an id, a secret, half a hash tag, or nothing. */
static bool segment_ends(const char *ptr, size_t len)
{
    unsigned seen = 0, digits = 0, run = 0;
    bool open = false;
    if (len == 0 || len > PREFIX_SEGMENT_MAX)
        return true;
    for (size_t i = 0; i < len; i++) {
        unsigned kind = kinds[(unsigned char)ptr[i]];
        seen |= kind;
        digits += kind & IS_DIGIT;
        run = kind & IS_HEX ? run + 1 : 0;
        if (digits > DIGITS_MAX || run > HEX_RUN_MAX || kind == IS_BAD)
            return true;
        if (unlikely(kind & (IS_OPEN | IS_CLOSE)))
            open = kind == IS_OPEN;
    }
    unsigned mixed = IS_DIGIT | IS_UPPER | IS_LOWER;
    return open || (len >= TOKEN_MIN && (seen & mixed) == mixed);
}

size_t prefix_checked(const struct prefix_scheme *scheme, struct str head)
{
    size_t good = 0, at = 0;
    while (at <= head.len) {
        const char *end = memchr(head.ptr + at, scheme->delimiter, head.len - at);
        size_t len = end ? (size_t)(end - head.ptr) - at : head.len - at;
        if (segment_ends(head.ptr + at, len))
            break;
        good = at + len;
        at = good + 1;
    }
    return good;
}

struct str prefix_discover(const struct prefix_scheme *scheme, struct str key)
{
    struct str head = {key.ptr, prefix_head(scheme, key)};
    return (struct str){key.ptr, head.len ? prefix_checked(scheme, head) : 0};
}

/* ---- declared ----------------------------------------------------------------------------------
 *
 * Sorted with the longest first, and spread by the bytes before the first delimiter; those with a
 * '*' there are in a list of their own, which every key has to be compared with too.
 */

static size_t segment_len(const struct prefix_scheme *scheme, const char *ptr, size_t len)
{
    const char *end = len ? memchr(ptr, scheme->delimiter, len) : NULL;
    return end ? (size_t)(end - ptr) : len;
}

static bool declared_matches(const struct prefix_scheme *scheme, const struct declared *declared,
                             struct str key)
{
    struct str name = declared->name;
    if (!declared->wild)
        return key.len >= name.len && memcmp(key.ptr, name.ptr, name.len) == 0 &&
               (key.len == name.len || key.ptr[name.len] == scheme->delimiter);
    size_t at = 0, in_key = 0;
    for (;;) {
        size_t want = segment_len(scheme, name.ptr + at, name.len - at);
        size_t have = segment_len(scheme, key.ptr + in_key, key.len - in_key);
        if (!glob_match((struct str){name.ptr + at, want}, (struct str){key.ptr + in_key, have}))
            return false;
        at += want + 1;
        in_key += have + 1;
        if (at > name.len)
            return true;
        if (in_key > key.len)
            return false;
    }
}

int prefix_declared(const struct prefix_scheme *scheme, struct str key)
{
    if (likely(!scheme->declared_count))
        return -1;
    uint64_t first = stats_hash(0, key.ptr, segment_len(scheme, key.ptr, key.len));
    int best = scheme->bucket[first % BUCKETS];
    while (best >= 0 && !(scheme->declared[best].first == first &&
                          declared_matches(scheme, &scheme->declared[best], key)))
        best = scheme->declared[best].next;
    for (int i = scheme->bucket[BUCKETS]; i >= 0 && (best < 0 || i < best);
         i = scheme->declared[i].next)
        if (declared_matches(scheme, &scheme->declared[i], key))
            return i;
    return best;
}

struct str prefix_declared_name(const struct prefix_scheme *scheme, int index)
{
    return scheme->declared[index].name;
}

/* ---- life ---- */

static int by_length(const void *a, const void *b)
{
    const struct declared *one = a, *other = b;
    if (one->segments != other->segments)
        return one->segments > other->segments ? -1 : 1;
    if (one->wild != other->wild)
        return one->wild ? 1 : -1; /* the exact one is the closer */
    if (one->name.len != other->name.len)
        return one->name.len > other->name.len ? -1 : 1;
    return memcmp(one->name.ptr, other->name.ptr, one->name.len);
}

static struct declared declared_of(const struct prefix_scheme *scheme, struct str name)
{
    struct declared declared = {.segments = 1};
    while (name.len && name.ptr[name.len - 1] == scheme->delimiter)
        name.len--; /* "job:state:" is what people write too */
    char *copy = xmalloc(name.len + 1);
    memcpy(copy, name.ptr, name.len);
    copy[name.len] = '\0';
    declared.name = (struct str){copy, name.len};
    declared.wild = name.len && memchr(copy, '*', name.len);
    for (size_t i = 0; i < name.len; i++)
        declared.segments += copy[i] == scheme->delimiter;
    return declared;
}

static void declared_chain(struct prefix_scheme *scheme)
{
    int *tail[BUCKETS + 1];
    for (unsigned i = 0; i <= BUCKETS; i++) {
        scheme->bucket[i] = -1;
        tail[i] = &scheme->bucket[i];
    }
    for (size_t i = 0; i < scheme->declared_count; i++) {
        struct declared *declared = &scheme->declared[i];
        size_t first = segment_len(scheme, declared->name.ptr, declared->name.len);
        bool wild = first && memchr(declared->name.ptr, '*', first);
        declared->first = stats_hash(0, declared->name.ptr, first);
        unsigned bucket = wild ? BUCKETS : declared->first % BUCKETS;
        declared->next = -1;
        *tail[bucket] = (int)i;
        tail[bucket] = &declared->next;
    }
}

struct prefix_scheme *prefix_scheme_new(char delimiter, unsigned depth, size_t max,
                                        const struct str *declared, size_t count)
{
    struct prefix_scheme *scheme = xcalloc(1, sizeof(*scheme));
    scheme->delimiter = delimiter;
    scheme->depth = depth < PREFIX_DEPTH_MAX ? depth : PREFIX_DEPTH_MAX;
    scheme->max = max;
    scheme->pattern = 0x0101010101010101ull * (unsigned char)delimiter;
    scheme->head_max = scheme->depth * (PREFIX_SEGMENT_MAX + 1);
    scheme->declared = xcalloc(count + 1, sizeof(*scheme->declared));
    for (size_t i = 0; i < count; i++)
        scheme->declared[scheme->declared_count++] = declared_of(scheme, declared[i]);
    qsort(scheme->declared, count, sizeof(*scheme->declared), by_length);
    declared_chain(scheme);
    return scheme;
}

bool prefix_scheme_equal(const struct prefix_scheme *a, const struct prefix_scheme *b)
{
    if (a->delimiter != b->delimiter || a->depth != b->depth || a->max != b->max ||
        a->declared_count != b->declared_count)
        return false;
    for (size_t i = 0; i < a->declared_count; i++)
        if (!str_equal(a->declared[i].name, b->declared[i].name))
            return false;
    return true;
}

void prefix_scheme_free(struct prefix_scheme *scheme)
{
    if (!scheme)
        return;
    for (size_t i = 0; i < scheme->declared_count; i++)
        free((char *)(uintptr_t)scheme->declared[i].name.ptr);
    free(scheme->declared);
    free(scheme);
}
