/* fuzz_view.c - whatever a node says of the cluster: read or refused, and a map of it is whole.
 *
 * The first byte chooses the form: CLUSTER NODES, SLOTS or SHARDS. */
#include "respgate/route.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct cluster_view *view_read(unsigned form, struct str text)
{
    const char *error = NULL;
    struct cluster_view *view;
    if (form == 0) {
        view = view_of_nodes(text, &error);
    } else {
        struct arena *arena = arena_new();
        const struct tree *tree = tree_parse(arena, text.ptr, text.len);
        view = form == 1 ? view_of_slots(tree, &error) : view_of_shards(tree, form == 2, &error);
        arena_free(arena);
    }
    ASSERT((view == NULL) == (error != NULL));
    return view;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1)
        return 0;
    struct cluster_view *view =
        view_read(data[0] % 4, (struct str){(const char *)data + 1, size - 1});
    if (!view)
        return 0;
    struct cluster_view *views[] = {view, view};
    struct slot_map *map = map_vote(views, 2);
    struct buf text = {0};
    size_t holes = 0;
    for (unsigned slot = 0; slot < SLOT_COUNT; slot++) {
        ASSERT(map->owner[slot] == NO_OWNER || map->owner[slot] < map->node_count);
        holes += map->owner[slot] == NO_OWNER;
    }
    ASSERT(holes == map->holes && map->primary_count <= map->node_count);
    map_diff(NULL, map, 5, &text);
    buf_free(&text);
    map_drop(map);
    view_free(view);
    return 0;
}
