/* near.c - "did you mean": the names nearest to a misspelt one. */
#include "internal.h"

static size_t least(size_t a, size_t b)
{
    return a < b ? a : b;
}

static char lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c + 32) : c;
}

/* Levenshtein's distance, one row at a time; case is ignored as in lookups. */
static size_t edit_distance(struct str a, struct str b)
{
    size_t row[NEAR_LENGTH + 1];
    for (size_t j = 0; j <= b.len; j++)
        row[j] = j;
    for (size_t i = 1; i <= a.len; i++) {
        size_t diagonal = row[0];
        row[0] = i;
        for (size_t j = 1; j <= b.len; j++) {
            size_t replace = diagonal + (lower(a.ptr[i - 1]) != lower(b.ptr[j - 1]));
            diagonal = row[j];
            row[j] = least(replace, least(row[j], row[j - 1]) + 1);
        }
    }
    return row[b.len];
}

void near_offer(struct near *near, const char *name)
{
    struct str candidate = str_of(name);
    if (candidate.len > NEAR_LENGTH || near->wanted.len > NEAR_LENGTH)
        return;
    size_t distance = edit_distance(near->wanted, candidate);
    /* More than a third of the letters wrong is another word. */
    if (distance > near->wanted.len / 3 + 1 || distance >= candidate.len)
        return;
    size_t at = near->count;
    while (at > 0 && near->found[at - 1].distance > distance)
        at--;
    if (at == NEAR_MAX)
        return;
    if (near->count < NEAR_MAX)
        near->count++;
    memmove(near->found + at + 1, near->found + at,
            (near->count - 1 - at) * sizeof(near->found[0]));
    near->found[at].name = name;
    near->found[at].distance = distance;
}
