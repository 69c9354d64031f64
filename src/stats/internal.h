/* internal.h - what the files of src/stats share. */
#ifndef RESPGATE_STATS_INTERNAL_H
#define RESPGATE_STATS_INTERNAL_H

#include "respgate/stats.h"

enum { DECLARED_BUCKETS = 64 };
struct declared {
    struct str name; /* owned */
    unsigned segments;
    bool wild;      /* has a '*' */
    uint64_t first; /* hash of its first segment */
    int next;       /* in its bucket; -1: the last */
};

struct prefix_scheme {
    char delimiter;
    unsigned depth;
    size_t head_max;  /* bytes of a key that can matter */
    uint64_t pattern; /* eight delimiters */
    size_t max;       /* discovered prefixes */
    size_t declared_count;
    struct declared *declared; /* the longest first */
    int bucket[DECLARED_BUCKETS +
               1]; /* first of each; the last is for a '*' in the first segment */
};

/* ---- on the path of every key: inline ---- */

/* Unaligned and of any type; a copy would put the word on the stack, and a guard behind it. */
typedef uint64_t any_word __attribute__((may_alias, aligned(1)));
typedef uint32_t any_half __attribute__((may_alias, aligned(1)));

static inline uint64_t load8(const char *ptr)
{
    return *(const any_word *)(const void *)ptr;
}

static inline uint64_t load4(const char *ptr)
{
    return *(const any_half *)(const void *)ptr;
}

static inline uint64_t mix(uint64_t a, uint64_t b)
{
    unsigned __int128 product = (unsigned __int128)a * b;
    return (uint64_t)product ^ (uint64_t)(product >> 64);
}

/* A keyed hash, so that nobody can choose keys that collide: folded 128-bit products of words with
 * secret numbers, as in the fast hashes of the day; the last word overlaps the one before it. */
static inline uint64_t stats_hash(uint64_t seed, const char *ptr, size_t len)
{
    static const uint64_t odd = 0x9e3779b97f4a7c15ull, other = 0xd6e8feb86659fd93ull;
    uint64_t hash = seed ^ (len * odd), last = 0;
    if (len >= 8) {
        const char *end = ptr + len - 8;
        for (; ptr < end; ptr += 8)
            hash = mix(hash ^ load8(ptr), odd);
        last = load8(end);
    } else if (len >= 4) {
        last = load4(ptr) << 32 | load4(ptr + len - 4);
    } else if (len) {
        last = (uint64_t)(unsigned char)ptr[0] << 16 | (uint64_t)(unsigned char)ptr[len / 2] << 8 |
               (unsigned char)ptr[len - 1];
    }
    return mix(mix(hash ^ last, other ^ seed), odd);
}

/* The top bit of each byte that is 0, and no other. */
static inline uint64_t zero_bytes(uint64_t word)
{
    const uint64_t low = 0x7f7f7f7f7f7f7f7full;
    return ~(((word & low) + low) | word | low);
}

/* How far a prefix could reach in this key, ids not looked at; 0: it has none. Eight bytes at a
 * time, the rest by the key's last eight. A segment too long to belong to a prefix may be in it all
 * the same: prefix_checked() ends before it. */
static inline size_t prefix_head(const struct prefix_scheme *scheme, struct str key)
{
    size_t head = 0, at = 0, len = key.len < scheme->head_max ? key.len : scheme->head_max;
    unsigned left = scheme->depth;
    uint64_t hits;
    for (; at + 8 <= len; at += 8)
        for (hits = zero_bytes(load8(key.ptr + at) ^ scheme->pattern); hits; hits &= hits - 1) {
            head = at + (size_t)__builtin_ctzll(hits) / 8;
            if (--left == 0)
                return head;
        }
    if (at == len)
        return head;
    if (unlikely(len < 8)) {
        for (; at < len && left; at++)
            if (key.ptr[at] == scheme->delimiter) {
                head = at;
                left--;
            }
        return head;
    }
    hits = zero_bytes(load8(key.ptr + len - 8) ^ scheme->pattern);
    for (hits &= ~0ull << (8 * (at + 8 - len)); hits; hits &= hits - 1) {
        head = len - 8 + (size_t)__builtin_ctzll(hits) / 8;
        if (--left == 0)
            return head;
    }
    return head;
}

/* How much of that is a prefix. */
size_t prefix_checked(const struct prefix_scheme *scheme, struct str head);

/* How often things were seen that are not kept: a count-min sketch. It never says too little. */
struct sketch {
    uint32_t *rows;
    uint32_t mask;  /* width - 1 */
    uint64_t added; /* since it was last halved */
};
void sketch_init(struct sketch *sketch, size_t kept);
void sketch_free(struct sketch *sketch);
uint32_t sketch_add(struct sketch *sketch, uint64_t hash); /* one more; the estimate */
/* Half of everything is forgotten, so that what was once much used can be displaced. True when it
 * was time: the caller halves its own weights too. */
bool sketch_age(struct sketch *sketch);
size_t sketch_bytes(const struct sketch *sketch);

#endif
