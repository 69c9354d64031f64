/* prefixes.c - counts of key prefixes, as many as memory was set aside for.
 *
 *   entries:  (other) | (none) | declared ... | discovered, up to max
 *
 * Declared ones are exact. A prefix that is new gets a place while there is one; after that only
 * when a sketch says it has been used more than one of those kept, whose counts then move to
 * (other). So what is used most is kept, once it is kept it is exact, and totals always add up.
 */
#include <stdlib.h>

#include "internal.h"

enum { OTHER, NONE, FIXED, WRITERS = 4 };
enum { LOOK_EVERY = 4 };
enum { EVICT_PART = 8 }; /* a new one must be used more by an eighth, or equals would take turns */

/* Who wrote under a prefix in this minute; a new one takes the place of the least, and its rank
 * with it (Space-Saving), so that who wrote most is among them. */
struct slot {
    struct prefix_writer writer;
    uint64_t rank, writes, bytes;
};

struct window {
    uint64_t minute, writes, bytes;
};

struct entry {
    uint64_t counts[PREFIX_COUNTS];
    uint64_t hash;
    char *name; /* of a discovered one; else NULL */
    uint32_t len, serial;
    uint64_t weight; /* how often it was used, of late */
    struct window now, before;
    struct slot writers[WRITERS];
    struct slot writer_before; /* who wrote most in the minute before */
};

struct place {
    uint64_t hash;
    uint32_t entry; /* + 1; 0: free */
};

struct prefix_table {
    const struct prefix_scheme *scheme;
    uint64_t seed, minute;
    size_t fixed; /* entries before the discovered ones */
    size_t used, room;
    struct entry *entries;
    struct place *index;          /* of entries by hash, open addressing */
    uint32_t mask, serial, least; /* least: see least_used() */
    size_t name_bytes;
    struct sketch sketch;
};

/* ---- index ----
 *
 * Names are told apart by their hash alone: it has 64 bits and a secret key, so that two of some
 * thousand names are the same by chance once in 10^13 tables, and by nobody's will.
 */

static inline struct place *index_find(const struct prefix_table *table, uint64_t hash)
{
    uint32_t at = (uint32_t)hash & table->mask;
    while (table->index[at].entry && table->index[at].hash != hash)
        at = (at + 1) & table->mask;
    return &table->index[at];
}

/* What stood behind the freed place moves up, so that no search ends too early. */
static void index_remove(struct prefix_table *table, struct place *place)
{
    uint32_t hole = (uint32_t)(place - table->index);
    for (uint32_t at = (hole + 1) & table->mask; table->index[at].entry;
         at = (at + 1) & table->mask) {
        uint32_t home = (uint32_t)table->index[at].hash & table->mask;
        if (((at - home) & table->mask) < ((at - hole) & table->mask))
            continue;
        table->index[hole] = table->index[at];
        hole = at;
    }
    table->index[hole].entry = 0;
}

/* ---- keeping and evicting ---- */

static struct prefix_ref ref_of(const struct prefix_table *table, size_t entry)
{
    return (struct prefix_ref){(uint32_t)entry, table->entries[entry].serial};
}

static void counts_to_other(struct prefix_table *table, const struct entry *entry)
{
    for (int i = 0; i < PREFIX_COUNTS; i++)
        table->entries[OTHER].counts[i] += entry->counts[i];
}

static void entry_fill(struct prefix_table *table, struct entry *entry, uint64_t hash,
                       const char *name, size_t len, uint64_t weight)
{
    *entry = (struct entry){.hash = hash, .len = (uint32_t)len, .weight = weight};
    entry->serial = ++table->serial;
    entry->name = xmalloc(len);
    memcpy(entry->name, name, len);
    table->name_bytes += len;
    *index_find(table, hash) = (struct place){hash, (uint32_t)(entry - table->entries) + 1};
}

static void entry_evict(struct prefix_table *table, struct entry *entry)
{
    counts_to_other(table, entry);
    index_remove(table, index_find(table, entry->hash));
    table->name_bytes -= entry->len;
    free(entry->name);
}

/* The least used one of all that were looked at since it was found: one more, chosen at random,
 * every few times. No order has to be kept for that. */
static struct entry *least_used(struct prefix_table *table)
{
    if (table->sketch.added % LOOK_EVERY)
        return &table->entries[table->least]; /* a look is a miss of the cache */
    uint32_t discovered = (uint32_t)(table->used - table->fixed);
    struct entry *entry = &table->entries[table->fixed + random_below(discovered)];
    struct entry *least = &table->entries[table->least];
    if (entry->weight < least->weight)
        table->least = (uint32_t)(entry - table->entries);
    return &table->entries[table->least];
}

static void weights_age(struct prefix_table *table)
{
    for (size_t i = table->fixed; i < table->used; i++)
        table->entries[i].weight /= 2;
}

static struct prefix_ref prefix_new(struct prefix_table *table, uint64_t hash, const char *name,
                                    size_t len)
{
    if (table->used < table->room) {
        struct entry *entry = &table->entries[table->used++];
        entry_fill(table, entry, hash, name, len, 1);
        return ref_of(table, (size_t)(entry - table->entries));
    }
    if (table->room == table->fixed)
        return ref_of(table, OTHER);
    uint64_t uses = sketch_add(&table->sketch, hash);
    if (sketch_age(&table->sketch))
        weights_age(table);
    struct entry *least = least_used(table);
    if (uses <= least->weight + least->weight / EVICT_PART + 1)
        return ref_of(table, OTHER);
    entry_evict(table, least);
    entry_fill(table, least, hash, name, len, uses);
    return ref_of(table, (size_t)(least - table->entries));
}

/* ---- looking up ---- */

/* The common case first: the head of the key, as it stands, is known already, so it is a prefix
 * (scheme.c) and its segments need no look. */
/* A head that is no prefix as it stands: perhaps it has an id in it, or it is new. */
static struct prefix_ref look_further(struct prefix_table *table, struct str head, uint64_t hash,
                                      bool touch) __attribute__((noinline));
static struct prefix_ref look_further(struct prefix_table *table, struct str head, uint64_t hash,
                                      bool touch)
{
    size_t good = prefix_checked(table->scheme, head);
    uint32_t entry = 0;
    if (!good)
        return ref_of(table, NONE);
    if (good < head.len) {
        hash = stats_hash(table->seed, head.ptr, good);
        entry = index_find(table, hash)->entry;
    }
    if (!entry)
        return touch ? prefix_new(table, hash, head.ptr, good) : ref_of(table, OTHER);
    table->entries[entry - 1].weight += touch;
    return ref_of(table, entry - 1);
}

/* The common case is short: the head of the key, as it stands, is known already, so it is a prefix
 * (scheme.c) and its segments need no look. */
static inline struct prefix_ref look_up(struct prefix_table *table, struct str key, bool touch)
{
    const struct prefix_scheme *scheme = table->scheme;
    int declared = scheme->declared_count ? prefix_declared(scheme, key) : -1;
    if (unlikely(declared >= 0)) {
        table->entries[FIXED + declared].weight += touch;
        return ref_of(table, FIXED + (size_t)declared);
    }
    struct str head = {key.ptr, prefix_head(scheme, key)};
    if (!head.len)
        return ref_of(table, NONE);
    uint64_t hash = stats_hash(table->seed, head.ptr, head.len);
    uint32_t entry = index_find(table, hash)->entry;
    if (unlikely(!entry))
        return look_further(table, head, hash, touch);
    table->entries[entry - 1].weight += touch;
    return ref_of(table, entry - 1);
}

struct prefix_ref prefix_touch(struct prefix_table *table, struct str key)
{
    return look_up(table, key, true);
}

struct prefix_ref prefix_find(struct prefix_table *table, struct str key)
{
    return look_up(table, key, false);
}

/* ---- counting ---- */

static struct entry *entry_of(struct prefix_table *table, struct prefix_ref ref)
{
    if (likely(ref.entry < table->used && table->entries[ref.entry].serial == ref.serial))
        return &table->entries[ref.entry];
    return &table->entries[OTHER];
}

void prefix_add(struct prefix_table *table, struct prefix_ref ref, enum prefix_count count,
                uint64_t n)
{
    entry_of(table, ref)->counts[count] += n;
}

static const struct slot *slot_most(const struct slot *slots)
{
    const struct slot *most = &slots[0];
    for (int i = 1; i < WRITERS; i++)
        if (slots[i].rank > most->rank)
            most = &slots[i];
    return most;
}

static void window_roll(struct entry *entry, uint64_t minute)
{
    if (entry->now.minute + 1 == minute) {
        entry->before = entry->now;
        entry->writer_before = *slot_most(entry->writers);
    } else {
        entry->before = (struct window){0};
        entry->writer_before = (struct slot){0};
    }
    entry->now = (struct window){.minute = minute};
    memset(entry->writers, 0, sizeof(entry->writers));
}

static struct slot *slot_for(struct slot *slots, const struct prefix_writer *writer)
{
    struct slot *least = &slots[0];
    for (int i = 0; i < WRITERS; i++) {
        if (likely(slots[i].writer.origin == writer->origin))
            return &slots[i];
        if (slots[i].rank < least->rank)
            least = &slots[i];
    }
    least->writes = least->bytes = 0;
    return least;
}

void prefix_wrote(struct prefix_table *table, struct prefix_ref ref, uint64_t bytes,
                  const struct prefix_writer *writer)
{
    struct entry *entry = entry_of(table, ref);
    entry->counts[PREFIX_WRITES]++;
    entry->counts[PREFIX_WRITE_BYTES] += bytes;
    if (unlikely(entry->now.minute != table->minute))
        window_roll(entry, table->minute);
    entry->now.writes++;
    entry->now.bytes += bytes;
    struct slot *slot = slot_for(entry->writers, writer);
    if (slot->writer.client != writer->client)
        slot->writer = *writer;
    slot->rank += bytes + 1;
    slot->writes++;
    slot->bytes += bytes;
}

void prefix_minute(struct prefix_table *table, uint64_t minute)
{
    table->minute = minute;
}

/* ---- reporting ---- */

static struct str entry_name(const struct prefix_table *table, size_t at)
{
    const struct entry *entry = &table->entries[at];
    if (entry->name)
        return (struct str){entry->name, entry->len};
    if (at == OTHER)
        return STR("(other)");
    return at == NONE ? STR("(none)") : prefix_declared_name(table->scheme, (int)(at - FIXED));
}

static void view_minute(const struct prefix_table *table, const struct entry *entry,
                        struct prefix_view *view)
{
    bool now = entry->now.minute == table->minute;
    const struct window *before = now ? &entry->before : &entry->now;
    struct slot most = now ? entry->writer_before : *slot_most(entry->writers);
    if (!now && entry->now.minute + 1 != table->minute)
        return;
    view->minute_writes = before->writes + (now ? entry->now.writes : 0);
    view->minute_bytes = before->bytes + (now ? entry->now.bytes : 0);
    for (int i = 0; now && i < WRITERS; i++) {
        struct slot slot = entry->writers[i];
        if (slot.writer.origin == entry->writer_before.writer.origin) {
            slot.writes += entry->writer_before.writes;
            slot.bytes += entry->writer_before.bytes;
        }
        if (slot.writes && slot.bytes + slot.writes >= most.bytes + most.writes)
            most = slot;
    }
    view->writer = most.writer;
    view->writer_writes = most.writes;
    view->writer_bytes = most.bytes;
}

void prefix_each(struct prefix_table *table,
                 void (*visit)(const struct prefix_view *view, void *context), void *context)
{
    for (size_t i = 0; i < table->used; i++) {
        const struct entry *entry = &table->entries[i];
        struct prefix_view view = {.name = entry_name(table, i),
                                   .declared = i >= FIXED && i < table->fixed};
        uint64_t any = 0;
        for (int count = 0; count < PREFIX_COUNTS; count++)
            any |= view.counts[count] = entry->counts[count];
        view_minute(table, entry, &view);
        if (any)
            visit(&view, context);
    }
}

size_t prefix_table_bytes(const struct prefix_table *table)
{
    return sizeof(*table) + table->room * sizeof(*table->entries) +
           ((size_t)table->mask + 1) * sizeof(*table->index) + table->name_bytes +
           sketch_bytes(&table->sketch);
}

/* ---- life ---- */

static void table_lay_out(struct prefix_table *table, const struct prefix_scheme *scheme)
{
    table->scheme = scheme;
    table->used = table->fixed = FIXED + scheme->declared_count;
    table->room = table->fixed + scheme->max;
    table->least = (uint32_t)table->fixed;
    table->entries = xcalloc(table->room, sizeof(*table->entries));
    table->mask = 15;
    while (table->mask < scheme->max * 2)
        table->mask = table->mask * 2 + 1;
    table->index = xcalloc((size_t)table->mask + 1, sizeof(*table->index));
    table->name_bytes = 0;
    for (size_t i = 0; i < table->fixed; i++)
        table->entries[i].serial = ++table->serial;
    sketch_init(&table->sketch, scheme->max);
}

struct prefix_table *prefix_table_new(const struct prefix_scheme *scheme, uint64_t seed)
{
    struct prefix_table *table = xcalloc(1, sizeof(*table));
    table->seed = seed;
    table_lay_out(table, scheme);
    return table;
}

static void table_free_parts(struct prefix_table *table)
{
    for (size_t i = table->fixed; i < table->used; i++)
        free(table->entries[i].name);
    free(table->entries);
    free(table->index);
    sketch_free(&table->sketch);
}

void prefix_table_free(struct prefix_table *table)
{
    if (!table)
        return;
    table_free_parts(table);
    free(table);
}

/* Where what was counted under this name belongs now. */
static struct entry *entry_named(struct prefix_table *table, struct str name)
{
    for (size_t i = 0; i < table->scheme->declared_count; i++)
        if (str_equal(table->scheme->declared[i].name, name))
            return &table->entries[FIXED + i];
    if (table->used == table->room)
        return &table->entries[OTHER];
    struct entry *entry = &table->entries[table->used++];
    entry_fill(table, entry, stats_hash(table->seed, name.ptr, name.len), name.ptr, name.len, 0);
    return entry;
}

static void entry_move(struct entry *to, const struct entry *from)
{
    struct entry kept = *to;
    *to = *from;
    to->hash = kept.hash;
    to->name = kept.name;
    to->len = kept.len;
    to->serial = kept.serial;
    for (int i = 0; i < PREFIX_COUNTS; i++)
        to->counts[i] += kept.counts[i];
}

static int by_weight(const void *a, const void *b)
{
    const struct entry *const *one = a, *const *other = b;
    return (*one)->weight > (*other)->weight ? -1 : (*one)->weight < (*other)->weight;
}

void prefix_table_zero(struct prefix_table *table)
{
    for (size_t i = 0; i < table->used; i++) {
        struct entry *entry = &table->entries[i];
        memset(entry->counts, 0, sizeof(entry->counts));
        memset(&entry->now, 0, sizeof(entry->now));
        memset(&entry->before, 0, sizeof(entry->before));
        memset(entry->writers, 0, sizeof(entry->writers));
        memset(&entry->writer_before, 0, sizeof(entry->writer_before));
    }
}

/* The most used first, should there be less room than before. */
void prefix_table_adopt(struct prefix_table *table, const struct prefix_scheme *scheme)
{
    struct prefix_table old = *table;
    size_t count = 0;
    const struct entry **order = xcalloc(old.used, sizeof(struct entry *));
    table_lay_out(table, scheme);
    entry_move(&table->entries[OTHER], &old.entries[OTHER]);
    entry_move(&table->entries[NONE], &old.entries[NONE]);
    for (size_t i = FIXED; i < old.used; i++)
        order[count++] = &old.entries[i];
    qsort(order, count, sizeof(*order), by_weight);
    for (size_t i = 0; i < count; i++) {
        struct entry *to = entry_named(table, entry_name(&old, (size_t)(order[i] - old.entries)));
        if (to == &table->entries[OTHER])
            counts_to_other(table, order[i]);
        else
            entry_move(to, order[i]);
    }
    free(order);
    table_free_parts(&old);
}
