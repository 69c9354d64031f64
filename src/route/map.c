/* map.c - one map out of many views: who owns each slot, by majority.
 *
 *   views (one a node) -> union of nodes, by id -> votes for each slot -> owner[]
 */
#include <stdlib.h>

#include "respgate/route.h"

enum { CANDIDATES = 4 }; /* for one slot: three parties at odds are more than ever seen */

/* ---- the union of nodes ---- */

static int by_id(const void *a, const void *b)
{
    return memcmp(((const struct cluster_node *)a)->id, ((const struct cluster_node *)b)->id,
                  NODE_ID_LEN);
}

uint16_t map_find(const struct slot_map *map, const char *id)
{
    struct cluster_node want;
    memcpy(want.id, id, sizeof(want.id));
    const struct cluster_node *found =
        bsearch(&want, map->nodes, map->node_count, sizeof(want), by_id);
    return found ? (uint16_t)(found - map->nodes) : NO_OWNER;
}

/* What a node says of itself counts; else whoever knows more. */
static void node_merge(struct cluster_node *into, const struct cluster_node *from, bool itself)
{
    if (itself || from->epoch > into->epoch) {
        into->epoch = from->epoch;
        into->is_primary = from->is_primary;
        memcpy(into->primary_id, from->primary_id, sizeof(into->primary_id));
    }
    if (!*into->host)
        into->host = from->host;
    if (!*into->hostname)
        into->hostname = from->hostname;
    if (!into->port)
        into->port = from->port;
    into->failed = itself ? false : into->failed && from->failed;
}

static void union_make(struct slot_map *map, struct cluster_view *const *views, size_t count)
{
    size_t total = 0, unique = 0;
    for (size_t i = 0; i < count; i++)
        total += views[i]->node_count;
    struct cluster_node *all = xcalloc(total ? total : 1, sizeof(*all));
    total = 0;
    for (size_t i = 0; i < count; i++)
        for (size_t n = 0; n < views[i]->node_count; n++)
            all[total++] = views[i]->nodes[n];
    qsort(all, total, sizeof(*all), by_id);
    for (size_t i = 0; i < total; i++)
        if (!unique || by_id(&all[unique - 1], &all[i]) != 0)
            all[unique++] = all[i];
        else
            node_merge(&all[unique - 1], &all[i], false);
    if (unique >= NO_OWNER)
        unique = NO_OWNER - 1;
    map->node_count = unique;
    map->nodes = arena_alloc(map->arena, (unique + 1) * sizeof(*all));
    memcpy(map->nodes, all, unique * sizeof(*all));
    free(all);
    for (size_t i = 0; i < count; i++) {
        const struct cluster_node *self =
            views[i]->self >= 0 ? &views[i]->nodes[views[i]->self] : NULL;
        uint16_t at = self ? map_find(map, self->id) : NO_OWNER;
        if (at != NO_OWNER)
            node_merge(&map->nodes[at], self, true);
    }
    for (size_t i = 0; i < unique; i++) { /* the texts' arenas are the views' */
        map->nodes[i].host = arena_str(map->arena, str_of(map->nodes[i].host));
        map->nodes[i].hostname = arena_str(map->arena, str_of(map->nodes[i].hostname));
    }
}

/* ---- votes ---- */

struct candidate {
    uint16_t node;
    unsigned votes;
    uint64_t epoch;
};

/* Where each view's nodes are in the map. */
static uint16_t **places_make(const struct slot_map *map, struct cluster_view *const *views,
                              size_t count)
{
    uint16_t **places = xcalloc(count, sizeof(*places));
    for (size_t i = 0; i < count; i++) {
        places[i] = xcalloc(views[i]->node_count, sizeof(**places));
        for (size_t n = 0; n < views[i]->node_count; n++)
            places[i][n] = map_find(map, views[i]->nodes[n].id);
    }
    return places;
}

static void vote(struct candidate *candidates, size_t *used, uint16_t node, uint64_t epoch)
{
    for (size_t i = 0; i < *used; i++) {
        if (candidates[i].node != node)
            continue;
        candidates[i].votes++;
        if (epoch > candidates[i].epoch)
            candidates[i].epoch = epoch;
        return;
    }
    if (*used < CANDIDATES)
        candidates[(*used)++] = (struct candidate){node, 1, epoch};
}

static void slot_vote(struct slot_map *map, struct cluster_view *const *views, size_t count,
                      uint16_t **places, unsigned slot)
{
    struct candidate candidates[CANDIDATES];
    size_t used = 0, best = 0;
    uint16_t own[2] = {NO_OWNER, NO_OWNER};
    for (size_t i = 0; i < count; i++) {
        uint16_t owner = views[i]->owner[slot];
        if (owner == NO_OWNER || places[i][owner] == NO_OWNER)
            continue;
        vote(candidates, &used, places[i][owner], views[i]->nodes[owner].epoch);
        if ((int)owner == views[i]->self) { /* it calls the slot its own */
            own[1] = own[0];
            own[0] = places[i][owner];
        }
    }
    for (size_t i = 1; i < used; i++)
        if (candidates[i].votes > candidates[best].votes ||
            (candidates[i].votes == candidates[best].votes &&
             candidates[i].epoch > candidates[best].epoch))
            best = i;
    map->owner[slot] = used ? candidates[best].node : NO_OWNER;
    map->holes += !used;
    if (own[1] == NO_OWNER)
        return;
    if (!map->contested++) {
        map->contested_slot = (uint16_t)slot;
        map->contested_by[0] = own[0];
        map->contested_by[1] = own[1];
    }
}

static void primaries_make(struct slot_map *map)
{
    bool *owns = xcalloc(map->node_count + 1, sizeof(*owns));
    map->primaries = arena_alloc(map->arena, (map->node_count + 1) * sizeof(*map->primaries));
    for (unsigned slot = 0; slot < SLOT_COUNT; slot++)
        if (map->owner[slot] != NO_OWNER)
            owns[map->owner[slot]] = true;
    for (size_t i = 0; i < map->node_count; i++)
        if (owns[i])
            map->primaries[map->primary_count++] = (uint16_t)i;
    free(owns);
}

static void moves_make(struct slot_map *map, struct cluster_view *const *views, size_t count)
{
    size_t total = 0;
    for (size_t i = 0; i < count; i++)
        total += views[i]->move_count;
    map->moves = arena_alloc(map->arena, (total + 1) * sizeof(*map->moves));
    for (size_t i = 0; i < count; i++)
        for (size_t m = 0; m < views[i]->move_count; m++)
            map->moves[map->move_count++] = views[i]->moves[m];
}

static uint64_t mix(uint64_t hash, const void *ptr, size_t len) /* FNV-1a */
{
    for (size_t i = 0; i < len; i++)
        hash = (hash ^ ((const uint8_t *)ptr)[i]) * 0x100000001b3ull;
    return hash;
}

static uint64_t fingerprint(const struct slot_map *map)
{
    uint64_t hash = 0xcbf29ce484222325ull;
    for (size_t i = 0; i < map->primary_count; i++) {
        const struct cluster_node *node = &map->nodes[map->primaries[i]];
        hash = mix(hash, node->id, NODE_ID_LEN);
        hash = mix(hash, &node->epoch, sizeof(node->epoch)); /* rises with every slot it takes */
    }
    hash = mix(hash, map->owner, sizeof(map->owner));
    for (size_t i = 0; i < map->move_count; i++) {
        hash = mix(hash, &map->moves[i].slot, sizeof(map->moves[i].slot));
        hash = mix(hash, map->moves[i].other, NODE_ID_LEN);
    }
    return hash;
}

struct slot_map *map_vote(struct cluster_view *const *views, size_t count)
{
    struct slot_map *map = xcalloc(1, sizeof(*map));
    map->refs = 1;
    map->arena = arena_new();
    union_make(map, views, count);
    uint16_t **places = places_make(map, views, count);
    for (unsigned slot = 0; slot < SLOT_COUNT; slot++)
        slot_vote(map, views, count, places, slot);
    for (size_t i = 0; i < count; i++)
        free(places[i]);
    free(places);
    primaries_make(map);
    moves_make(map, views, count);
    map->fingerprint = fingerprint(map);
    return map;
}

struct slot_map *map_hold(struct slot_map *map)
{
    __atomic_fetch_add(&map->refs, 1, __ATOMIC_RELAXED);
    return map;
}

void map_drop(struct slot_map *map)
{
    if (!map || __atomic_sub_fetch(&map->refs, 1, __ATOMIC_ACQ_REL) > 0)
        return;
    arena_free(map->arena);
    free(map);
}

/* ---- comparing ---- */

static bool same_node(const struct cluster_node *a, const struct cluster_node *b)
{
    return strcmp(a->id, b->id) == 0 && strcmp(a->primary_id, b->primary_id) == 0 &&
           strcmp(a->host, b->host) == 0 && strcmp(a->hostname, b->hostname) == 0 &&
           a->port == b->port && a->is_primary == b->is_primary && a->failed == b->failed;
}

static bool same_nodes(const struct cluster_node *a, const struct cluster_node *b, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (!same_node(&a[i], &b[i]) || a[i].epoch != b[i].epoch)
            return false;
    return true;
}

bool view_equal(const struct cluster_view *a, const struct cluster_view *b)
{
    return a->node_count == b->node_count && a->self == b->self && a->move_count == b->move_count &&
           memcmp(a->owner, b->owner, sizeof(a->owner)) == 0 &&
           memcmp(a->moves, b->moves, a->move_count * sizeof(*a->moves)) == 0 &&
           same_nodes(a->nodes, b->nodes, a->node_count);
}

bool map_equal(const struct slot_map *a, const struct slot_map *b)
{
    if (!a || !b || a->fingerprint != b->fingerprint || a->node_count != b->node_count ||
        a->contested != b->contested || a->move_count != b->move_count ||
        memcmp(a->owner, b->owner, sizeof(a->owner)) != 0)
        return false;
    for (size_t i = 0; i < a->node_count; i++)
        if (!same_node(&a->nodes[i], &b->nodes[i]))
            return false;
    return true;
}

static const char *owner_id(const struct slot_map *map, unsigned slot)
{
    return map && map->owner[slot] != NO_OWNER ? map->nodes[map->owner[slot]].id : "none";
}

void map_diff(const struct slot_map *old, const struct slot_map *new, size_t max, struct buf *out)
{
    size_t ranges = 0;
    for (unsigned slot = 0; slot < SLOT_COUNT;) {
        const char *was = owner_id(old, slot), *is = owner_id(new, slot);
        unsigned first = slot++;
        if (strcmp(was, is) == 0)
            continue;
        while (slot < SLOT_COUNT && strcmp(owner_id(old, slot), was) == 0 &&
               strcmp(owner_id(new, slot), is) == 0)
            slot++;
        if (ranges++ < max)
            buf_printf(out, "slots %u-%u: %.8s -> %.8s\n", first, slot - 1, was, is);
    }
    if (ranges > max)
        buf_printf(out, "and %zu more ranges\n", ranges - max);
}
