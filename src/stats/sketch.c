/* sketch.c - a count-min sketch with conservative update, and the keyed hash it stands on. */
#include <stdlib.h>

#include "internal.h"

enum { ROWS = 4, WIDTH_MIN = 256, WIDTH_MAX = 65536, AGE_FACTOR = 64 };

static inline uint64_t load8(const char *ptr)
{
    uint64_t word;
    memcpy(&word, ptr, sizeof(word));
    return word;
}

static inline uint32_t load4(const char *ptr)
{
    uint32_t word;
    memcpy(&word, ptr, sizeof(word));
    return word;
}

static inline uint64_t mix(uint64_t a, uint64_t b)
{
    unsigned __int128 product = (unsigned __int128)a * b;
    return (uint64_t)product ^ (uint64_t)(product >> 64);
}

/* Folded 128-bit products of words with secret numbers, as in the fast hashes of the day; the last
 * word overlaps the one before it. */
uint64_t stats_hash(uint64_t seed, const char *ptr, size_t len)
{
    static const uint64_t odd = 0x9e3779b97f4a7c15ull, other = 0xd6e8feb86659fd93ull;
    uint64_t hash = seed ^ (len * odd), last;
    if (likely(len >= 8)) {
        const char *end = ptr + len - 8;
        for (; ptr < end; ptr += 8)
            hash = mix(hash ^ load8(ptr), odd);
        last = load8(end);
    } else if (len >= 4) {
        last = (uint64_t)load4(ptr) << 32 | load4(ptr + len - 4);
    } else {
        last = len ? (uint64_t)(unsigned char)ptr[0] << 16 |
                         (uint64_t)(unsigned char)ptr[len / 2] << 8 | (unsigned char)ptr[len - 1]
                   : 0;
    }
    return mix(mix(hash ^ last, other ^ seed), odd);
}

void sketch_init(struct sketch *sketch, size_t kept)
{
    uint32_t width = WIDTH_MIN;
    while (width < WIDTH_MAX && width < kept * 8)
        width *= 2;
    sketch->mask = width - 1;
    sketch->added = 0;
    sketch->rows = xcalloc((size_t)width * ROWS, sizeof(*sketch->rows));
}

void sketch_free(struct sketch *sketch)
{
    free(sketch->rows);
}

uint32_t sketch_add(struct sketch *sketch, uint64_t hash)
{
    uint32_t *cell[ROWS], least = UINT32_MAX;
    uint64_t step = hash >> 32 | 1;
    for (uint32_t row = 0; row < ROWS; row++) {
        cell[row] = &sketch->rows[row * (sketch->mask + 1) + ((hash + row * step) & sketch->mask)];
        if (*cell[row] < least)
            least = *cell[row];
    }
    if (least == UINT32_MAX)
        return least;
    for (uint32_t row = 0; row < ROWS; row++)
        if (*cell[row] == least)
            (*cell[row])++;
    sketch->added++;
    return least + 1;
}

bool sketch_age(struct sketch *sketch)
{
    size_t cells = ((size_t)sketch->mask + 1) * ROWS;
    if (likely(sketch->added < ((uint64_t)sketch->mask + 1) * AGE_FACTOR))
        return false;
    sketch->added /= 2;
    for (size_t i = 0; i < cells; i++)
        sketch->rows[i] /= 2;
    return true;
}

size_t sketch_bytes(const struct sketch *sketch)
{
    return ((size_t)sketch->mask + 1) * ROWS * sizeof(*sketch->rows);
}
