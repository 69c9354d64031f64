/* gauge.c - what is let through between two looks, counted by all threads on one number. */
#include <stdlib.h>

#include "respgate/pressure.h"

static uint64_t load(const uint64_t *field)
{
    return __atomic_load_n(field, __ATOMIC_RELAXED);
}

static uint64_t sum(uint64_t a, uint64_t b)
{
    uint64_t total;
    return __builtin_add_overflow(a, b, &total) ? UINT64_MAX : total;
}

/* Two of the fields are read apart: a mark that is newer than begun means nothing is under way. */
uint64_t gauge_now(const struct gauge *gauge)
{
    uint64_t mark = load(&gauge->mark), begun = load(&gauge->begun);
    return sum(load(&gauge->told), begun > mark ? begun - mark : 0);
}

/* Added first and taken back, so that of two threads at the edge only one gets through. */
bool gauge_add(struct gauge *gauge, uint64_t amount, uint64_t bound)
{
    if (amount >= bound)
        return false;
    __atomic_fetch_add(&gauge->begun, amount, __ATOMIC_RELAXED);
    if (gauge_now(gauge) < bound)
        return true;
    gauge_take(gauge, amount);
    return false;
}

void gauge_take(struct gauge *gauge, uint64_t amount)
{
    __atomic_fetch_sub(&gauge->begun, amount, __ATOMIC_RELAXED);
}

void gauge_land(struct gauge *gauge, uint64_t amount)
{
    __atomic_fetch_add(&gauge->landed, amount, __ATOMIC_RELAXED);
}

uint64_t gauge_mark(const struct gauge *gauge)
{
    return load(&gauge->landed);
}

void gauge_look(struct gauge *gauge, uint64_t told, uint64_t mark)
{
    __atomic_store_n(&gauge->told, told, __ATOMIC_RELAXED);
    __atomic_store_n(&gauge->mark, mark, __ATOMIC_RELAXED);
}

uint64_t gauge_allocated(uint64_t bytes)
{
    if (bytes < 16 || bytes > UINT64_MAX / 2)
        return bytes;
    uint64_t step = (1ull << (63 - __builtin_clzll(bytes))) / 4;
    return (bytes + step - 1) / step * step;
}

/* ---- charges ---- */

void charge_add(struct charge **charges, struct gauge *gauge, uint64_t amount)
{
    struct charge *charge = xmalloc(sizeof(*charge));
    *charge = (struct charge){*charges, gauge, amount};
    *charges = charge;
}

void charges_land(struct charge **charges)
{
    while (*charges) {
        struct charge *charge = *charges;
        *charges = charge->next;
        gauge_land(charge->gauge, charge->amount);
        free(charge);
    }
}

void charge_move(struct charge **to, struct charge **from)
{
    while (*from) {
        struct charge *charge = *from;
        *from = charge->next;
        charge->next = *to;
        *to = charge;
    }
}
