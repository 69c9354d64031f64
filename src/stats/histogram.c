/* histogram.c - times in microseconds by a fixed relative error, in bounded memory.
 *
 *   octave 0: 0 .. 63 us one by one;  octave n: 32*2^n .. 64*2^n-1 in steps of 2^(n-1)
 *
 * Only the upper half of an octave's steps would be used from the second on, so steps are counted
 * from the leading bit instead: octave n > 0 holds 64*2^(n-1) .. 64*2^n-1 in 64 steps.
 */
#include <stdlib.h>

#include "respgate/stats.h"

enum { FIRST_BITS = 6 }; /* 2^6 steps */
static const uint64_t VALUE_MAX = ((uint64_t)HISTOGRAM_STEPS << (HISTOGRAM_OCTAVES - 1)) - 1;

static unsigned octave_of(uint64_t us)
{
    return us < HISTOGRAM_STEPS ? 0 : 64 - FIRST_BITS - (unsigned)__builtin_clzll(us);
}

static unsigned step_of(uint64_t us, unsigned octave)
{
    return (unsigned)(octave ? us >> (octave - 1) : us) & (HISTOGRAM_STEPS - 1);
}

/* The middle of a step: what the values in it are taken for. */
static uint64_t step_value(unsigned octave, unsigned step)
{
    if (!octave)
        return step;
    uint64_t low = (uint64_t)(HISTOGRAM_STEPS + step) << (octave - 1);
    return low + ((1ull << (octave - 1)) - 1) / 2;
}

static uint64_t step_last(unsigned octave, unsigned step)
{
    return octave ? ((uint64_t)(HISTOGRAM_STEPS + step + 1) << (octave - 1)) - 1 : step;
}

static uint64_t *octave_get(struct histogram *histogram, unsigned octave)
{
    if (unlikely(!histogram->octave[octave]))
        histogram->octave[octave] = xcalloc(HISTOGRAM_STEPS, sizeof(uint64_t));
    return histogram->octave[octave];
}

void histogram_add(struct histogram *histogram, uint64_t us, uint64_t times)
{
    histogram->count += times;
    histogram->sum += us * times;
    if (us > histogram->max)
        histogram->max = us;
    if (unlikely(us > VALUE_MAX))
        us = VALUE_MAX;
    unsigned octave = octave_of(us);
    octave_get(histogram, octave)[step_of(us, octave)] += times;
}

void histogram_merge(struct histogram *to, const struct histogram *from)
{
    to->count += from->count;
    to->sum += from->sum;
    if (from->max > to->max)
        to->max = from->max;
    for (unsigned octave = 0; octave < HISTOGRAM_OCTAVES; octave++) {
        if (!from->octave[octave])
            continue;
        uint64_t *steps = octave_get(to, octave);
        for (unsigned step = 0; step < HISTOGRAM_STEPS; step++)
            steps[step] += from->octave[octave][step];
    }
}

uint64_t histogram_percentile(const struct histogram *histogram, double part)
{
    /* 0.07 * 20000 is a bit more than 1400, and would be the value behind. */
    double rank = part * (double)histogram->count * (1 - 1e-12);
    uint64_t seen = 0;
    for (unsigned octave = 0; octave < HISTOGRAM_OCTAVES; octave++)
        for (unsigned step = 0; histogram->octave[octave] && step < HISTOGRAM_STEPS; step++) {
            seen += histogram->octave[octave][step];
            if (seen && (double)seen >= rank) {
                uint64_t value = step_value(octave, step);
                return value < histogram->max ? value : histogram->max;
            }
        }
    return histogram->max;
}

void histogram_buckets(const struct histogram *histogram, const uint64_t *bounds, size_t count,
                       uint64_t *below)
{
    uint64_t seen = 0;
    size_t at = 0;
    for (unsigned octave = 0; octave < HISTOGRAM_OCTAVES && at < count; octave++)
        for (unsigned step = 0; histogram->octave[octave] && step < HISTOGRAM_STEPS; step++) {
            while (at < count && step_last(octave, step) > bounds[at])
                below[at++] = seen;
            seen += histogram->octave[octave][step];
        }
    while (at < count)
        below[at++] = seen;
}

uint64_t histogram_below(const struct histogram *histogram, uint64_t us)
{
    uint64_t below;
    histogram_buckets(histogram, &us, 1, &below);
    return below;
}

void histogram_clear(struct histogram *histogram)
{
    for (unsigned octave = 0; octave < HISTOGRAM_OCTAVES; octave++)
        free(histogram->octave[octave]);
    *histogram = (struct histogram){0};
}
