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

/* How far a prefix could reach in this key, ids not looked at; 0: it has none. */
size_t prefix_head(const struct prefix_scheme *scheme, struct str key);
/* How much of that is a prefix. */
size_t prefix_checked(const struct prefix_scheme *scheme, struct str head);

/* A keyed hash, so that nobody can choose keys that collide. */
uint64_t stats_hash(uint64_t seed, const char *ptr, size_t len);

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
