/* samples.c - hot keys, the largest requests and replies, slow requests: a few of each, with keys.
 */
#include <stdlib.h>

#include "internal.h"

static void key_keep(struct kept_key *kept, struct str key)
{
    free(kept->ptr);
    kept->ptr = NULL;
    kept->len = (uint16_t)(key.len < KEY_KEPT ? key.len : KEY_KEPT);
    if (!key.ptr)
        return;
    kept->ptr = xmalloc(kept->len + 1u);
    memcpy(kept->ptr, key.ptr, kept->len);
}

/* ---- hot ---- */

static size_t hot_place(struct hot_keys *hot, uint64_t hash)
{
    size_t least = 0;
    for (size_t i = 0; i < hot->used; i++)
        if (hot->hash[i] == hash)
            return i;
    if (hot->used < HOT_KEPT)
        return hot->used++;
    for (size_t i = 1; i < HOT_KEPT; i++)
        if (hot->total[i] < hot->total[least])
            least = i;
    return least;
}

void hot_add(struct hot_keys *hot, struct str key)
{
    uint64_t hash = stats_hash(hot->seed, key.ptr, key.len);
    size_t at = hot_place(hot, hash);
    if (hot->hash[at] != hash || !hot->more[at].key.ptr) {
        /* The place's total stays, so that a new key is not the next to go; it is not shown. */
        hot->more[at].inherited = hot->total[at];
        hot->hash[at] = hash;
        hot->more[at].now = hot->more[at].before = 0;
        key_keep(&hot->more[at].key, key);
    }
    hot->total[at]++;
    hot->more[at].now++;
}

void hot_minute(struct hot_keys *hot, bool next)
{
    for (size_t i = 0; i < hot->used; i++) {
        hot->more[i].before = next ? hot->more[i].now : 0;
        hot->more[i].now = 0;
    }
}

void hot_clear(struct hot_keys *hot)
{
    for (size_t i = 0; i < hot->used; i++)
        free(hot->more[i].key.ptr);
    *hot = (struct hot_keys){.seed = hot->seed};
}

/* ---- big ---- */

static struct big *big_place(struct big_keys *keys, uint64_t hash)
{
    struct big *least = &keys->rows[0];
    for (size_t i = 0; i < keys->used; i++)
        if (keys->rows[i].hash == hash)
            return &keys->rows[i];
    if (keys->used < BIG_KEPT)
        return &keys->rows[keys->used++];
    for (size_t i = 1; i < BIG_KEPT; i++)
        if (keys->rows[i].bytes < least->bytes)
            least = &keys->rows[i];
    return least;
}

static void big_find_floor(struct big_keys *keys)
{
    if (keys->used < BIG_KEPT)
        return;
    keys->floor = UINT64_MAX;
    for (size_t i = 0; i < BIG_KEPT; i++)
        if (keys->rows[i].bytes < keys->floor)
            keys->floor = keys->rows[i].bytes;
}

struct big *big_add(struct big_keys *keys, struct str key, uint64_t bytes)
{
    if (bytes <= keys->floor)
        return NULL;
    uint64_t hash = stats_hash(0, key.ptr, key.len);
    struct big *row = big_place(keys, hash);
    if (row->hash == hash && row->bytes >= bytes)
        return NULL;
    row->hash = hash;
    row->bytes = bytes;
    key_keep(&row->key, key);
    big_find_floor(keys);
    return row;
}

void big_clear(struct big_keys *keys)
{
    for (size_t i = 0; i < keys->used; i++)
        free(keys->rows[i].key.ptr);
    *keys = (struct big_keys){0};
}

/* ---- slow ---- */

struct slow *slow_add(struct slow_requests *slow, struct str key)
{
    if (!slow->rows)
        slow->rows = xcalloc(SLOW_KEPT, sizeof(*slow->rows));
    struct slow *row = &slow->rows[++slow->count % SLOW_KEPT];
    struct kept_key kept = row->key;
    *row = (struct slow){.key = kept, .id = slow->count};
    key_keep(&row->key, key);
    return row;
}

struct slow *slow_find(struct slow_requests *slow, uint64_t id)
{
    struct slow *row = slow->rows && id ? &slow->rows[id % SLOW_KEPT] : NULL;
    return row && row->id == id ? row : NULL;
}

void slow_clear(struct slow_requests *slow)
{
    for (size_t i = 0; slow->rows && i < SLOW_KEPT; i++)
        free(slow->rows[i].key.ptr);
    free(slow->rows);
    *slow = (struct slow_requests){0};
}
