/*
 * overlap.c - whether two globs can match the same text.
 *
 * Both are read as automata and walked together: a place is a pair (i, j) of how much of each
 * pattern has been matched, and from it both go on with one byte that both take. They overlap when
 * a walk reaches both ends. The places are pattern x pattern, so nothing is tried twice.
 */
#include "internal.h"

/* Longer patterns overlap as far as this file is concerned: a client must not buy much work. */
enum { TOKENS_MAX = 128 };

/* One pattern element: which bytes it takes. A star takes any number of any. */
struct token {
    bool star;
    uint64_t bytes[4];
};

struct tokens {
    size_t count;
    struct token list[TOKENS_MAX];
};

/* The bytes by trying each: so it takes what glob_match() takes. */
static size_t token_read(struct str glob, size_t at, struct token *out)
{
    size_t next = at + 1;
    *out = (struct token){.star = glob.ptr[at] == '*'};
    for (unsigned c = 0; c < 256 && !out->star; c++)
        if (glob_element(glob, at, (unsigned char)c, &next))
            out->bytes[c / 64] |= 1ull << (c % 64);
    return next;
}

static bool tokens_read(struct str glob, struct tokens *out)
{
    out->count = 0;
    for (size_t at = 0; at < glob.len; out->count++) {
        if (out->count == TOKENS_MAX)
            return false;
        at = token_read(glob, at, &out->list[out->count]);
    }
    return true;
}

static bool tokens_share(const struct token *a, const struct token *b)
{
    uint64_t shared = 0;
    for (size_t i = 0; i < ARRAY_LEN(a->bytes); i++)
        shared |= (a->star ? UINT64_MAX : a->bytes[i]) & (b->star ? UINT64_MAX : b->bytes[i]);
    return shared != 0;
}

/* Row by row: a place leads only to the right, below, or both. A star may be left without a
 * byte; while in it the other pattern goes on alone. */
static bool tokens_overlap(const struct tokens *a, const struct tokens *b)
{
    bool rows[2][TOKENS_MAX + 1] = {{true}};
    for (size_t i = 0; i <= a->count; i++) {
        bool *row = rows[i % 2], *below = rows[(i + 1) % 2];
        memset(below, 0, sizeof(rows[0]));
        for (size_t j = 0; j <= b->count; j++) {
            const struct token *one = i < a->count ? &a->list[i] : NULL;
            const struct token *other = j < b->count ? &b->list[j] : NULL;
            if (!row[j])
                continue;
            if (one && one->star)
                below[j] = true; /* left without another byte */
            if (other && other->star)
                row[j + 1] = true;
            if (!one || !other || !tokens_share(one, other))
                continue;
            if (one->star && !other->star)
                row[j + 1] = true;
            else if (!one->star && other->star)
                below[j] = true;
            else if (!one->star)
                below[j + 1] = true;
        }
    }
    return rows[a->count % 2][b->count];
}

bool globs_may_overlap(struct str a, struct str b)
{
    struct str head = glob_head(a), other = glob_head(b);
    struct tokens first, second;
    size_t len = head.len < other.len ? head.len : other.len;
    if (len && memcmp(head.ptr, other.ptr, len) != 0)
        return false;
    return !tokens_read(a, &first) || !tokens_read(b, &second) || tokens_overlap(&first, &second);
}
