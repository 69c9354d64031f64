/* sketch.c - a count-min sketch with conservative update. */
#include <stdlib.h>

#include "internal.h"

enum { ROWS = 4, WIDTH_MIN = 256, WIDTH_MAX = 65536, AGE_FACTOR = 64 };

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
