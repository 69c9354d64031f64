/* tally.c - counts by name, shared by threads under a lock: connections of an address, clients of a
 * user. Touched when something opens or closes, never for a request. */
#include <stdlib.h>
#include <uthash.h>

#include "respgate/net.h"

struct tally_row {
    UT_hash_handle hh;
    int64_t count;
    size_t len;
    char key[];
};
struct tally {
    uv_mutex_t lock;
    struct tally_row *rows;
};

struct tally *tally_new(void)
{
    struct tally *tally = xcalloc(1, sizeof(*tally));
    if (uv_mutex_init(&tally->lock) != 0)
        die("cannot make a lock");
    return tally;
}

bool tally_add(struct tally *tally, struct str key, uint64_t limit)
{
    struct tally_row *row = NULL;
    uv_mutex_lock(&tally->lock);
    HASH_FIND(hh, tally->rows, key.ptr, key.len, row);
    bool fits = !limit || !row || (uint64_t)row->count < limit;
    if (fits && !row) {
        row = xcalloc(1, sizeof(*row) + key.len);
        row->len = key.len;
        memcpy(row->key, key.ptr, key.len);
        HASH_ADD_KEYPTR(hh, tally->rows, row->key, row->len, row);
    }
    if (fits)
        row->count++;
    uv_mutex_unlock(&tally->lock);
    return fits;
}

void tally_remove(struct tally *tally, struct str key)
{
    struct tally_row *row = NULL;
    uv_mutex_lock(&tally->lock);
    HASH_FIND(hh, tally->rows, key.ptr, key.len, row);
    ASSERT(row);
    if (--row->count == 0) {
        HASH_DEL(tally->rows, row);
        free(row);
    }
    uv_mutex_unlock(&tally->lock);
}

int64_t tally_count(struct tally *tally, struct str key)
{
    struct tally_row *row = NULL;
    uv_mutex_lock(&tally->lock);
    HASH_FIND(hh, tally->rows, key.ptr, key.len, row);
    int64_t count = row ? row->count : 0;
    uv_mutex_unlock(&tally->lock);
    return count;
}

void tally_each(struct tally *tally, void (*visit)(void *context, struct str key, int64_t count),
                void *context)
{
    struct tally_row *row, *next;
    uv_mutex_lock(&tally->lock);
    HASH_ITER(hh, tally->rows, row, next)
    visit(context, (struct str){row->key, row->len}, row->count);
    uv_mutex_unlock(&tally->lock);
}

void tally_free(struct tally *tally)
{
    struct tally_row *row, *next;
    HASH_ITER(hh, tally->rows, row, next)
    {
        HASH_DEL(tally->rows, row);
        free(row);
    }
    uv_mutex_destroy(&tally->lock);
    free(tally);
}
