/* view.c - the cluster as one node tells it: CLUSTER NODES, SLOTS or SHARDS, taken with suspicion.
 *
 * A view that contradicts itself (a slot twice, an owner it does not name, a number out of range)
 * is refused whole: half of a map sends requests astray.
 */
#include <stdlib.h>

#include "respgate/route.h"

enum { HOST_MAX = 255 };

static struct cluster_view *view_new(void)
{
    struct arena *arena = arena_new();
    struct cluster_view *view = arena_alloc(arena, sizeof(*view));
    view->arena = arena;
    view->self = -1;
    memset(view->owner, 0xff, sizeof(view->owner));
    return view;
}

void view_free(struct cluster_view *view)
{
    if (view)
        arena_free(view->arena);
}

static struct cluster_view *view_refuse(struct cluster_view *view, const char **error,
                                        const char *why)
{
    view_free(view);
    *error = why;
    return NULL;
}

/* ---- pieces ---- */

static bool id_valid(struct str id)
{
    if (id.len != NODE_ID_LEN)
        return false;
    for (size_t i = 0; i < id.len; i++)
        if (!((id.ptr[i] >= '0' && id.ptr[i] <= '9') || (id.ptr[i] >= 'a' && id.ptr[i] <= 'f')))
            return false;
    return true;
}

/* Names and addresses go to the log and to the resolver: plain characters only. */
static bool host_valid(struct str host)
{
    if (host.len > HOST_MAX)
        return false;
    for (size_t i = 0; i < host.len; i++)
        if ((unsigned char)host.ptr[i] <= ' ' || (unsigned char)host.ptr[i] >= 0x7f)
            return false;
    return true;
}

/* "?" stands for an endpoint that the node does not know (CLUSTER SLOTS). */
static const char *host_copy(struct arena *arena, struct str host)
{
    return str_equal(host, STR("?")) ? "" : arena_str(arena, host);
}

static bool number_in(struct str text, int64_t min, int64_t max, int64_t *out)
{
    return str_to_int(text, out) && *out >= min && *out <= max;
}

static void id_set(char out[NODE_ID_LEN + 1], struct str id)
{
    memcpy(out, id.ptr, NODE_ID_LEN);
    out[NODE_ID_LEN] = '\0';
}

static int node_find(const struct cluster_view *view, struct str id)
{
    for (size_t i = 0; i < view->node_count; i++)
        if (memcmp(view->nodes[i].id, id.ptr, NODE_ID_LEN) == 0)
            return (int)i;
    return -1;
}

/* False: a slot out of range, or one that has an owner already. */
static bool slots_give(struct cluster_view *view, int64_t first, int64_t last, size_t node)
{
    if (first < 0 || last < first || last >= SLOT_COUNT)
        return false;
    for (int64_t slot = first; slot <= last; slot++) {
        if (view->owner[slot] != NO_OWNER)
            return false;
        view->owner[slot] = (uint16_t)node;
    }
    return true;
}

/* ---- CLUSTER NODES ----
 *
 * id ip:port@bus[,hostname[,...]] flags primary ping pong epoch state [slot ...] one line a node;
 * a slot is 5, 5-9, [5->-id] migrating, or [5-<-id] importing; only the node itself tells the
 * latter two, and only of itself.
 */

static struct str word_next(struct str *line)
{
    while (line->len && *line->ptr == ' ')
        line->ptr++, line->len--;
    const char *end = line->len ? memchr(line->ptr, ' ', line->len) : NULL;
    struct str word = {line->ptr, end ? (size_t)(end - line->ptr) : line->len};
    line->ptr += word.len;
    line->len -= word.len;
    return word;
}

static bool has_flag(struct str flags, struct str flag)
{
    while (flags.len) {
        const char *comma = memchr(flags.ptr, ',', flags.len);
        struct str one = {flags.ptr, comma ? (size_t)(comma - flags.ptr) : flags.len};
        if (str_equal(one, flag))
            return true;
        flags.ptr += one.len + (comma != NULL);
        flags.len -= one.len + (comma != NULL);
    }
    return false;
}

static bool endpoint_parse(struct cluster_view *view, struct str text, struct cluster_node *node)
{
    const char *comma = text.len ? memchr(text.ptr, ',', text.len) : NULL;
    struct str address = {text.ptr, comma ? (size_t)(comma - text.ptr) : text.len}, name = {0};
    if (comma) { /* the name ends at the next comma: behind it stand auxiliary fields */
        name = (struct str){comma + 1, text.len - address.len - 1};
        const char *more = name.len ? memchr(name.ptr, ',', name.len) : NULL;
        name.len = more ? (size_t)(more - name.ptr) : name.len;
    }
    const char *at = address.len ? memchr(address.ptr, '@', address.len) : NULL;
    size_t end = at ? (size_t)(at - address.ptr) : address.len, colon = end;
    while (colon > 0 && address.ptr[colon - 1] != ':')
        colon--;
    int64_t port = 0;
    struct str host = {address.ptr, colon ? colon - 1 : 0};
    if (!colon || !number_in((struct str){address.ptr + colon, end - colon}, 0, 65535, &port) ||
        !host_valid(host) || !host_valid(name))
        return false;
    node->port = (uint16_t)port;
    node->host = host_copy(view->arena, host);
    node->hostname = host_copy(view->arena, name);
    return true;
}

static bool move_parse(struct cluster_view *view, struct str word, size_t node, size_t room)
{
    /* "[5->-id]", "[5-<-id]" */
    if (word.len < 6 + NODE_ID_LEN || word.ptr[word.len - 1] != ']' || view->move_count >= room)
        return false;
    size_t digits = word.len - 5 - NODE_ID_LEN;
    const char *arrow = word.ptr + 1 + digits;
    struct str other = {arrow + 3, NODE_ID_LEN};
    int64_t slot;
    bool importing = memcmp(arrow, "-<-", 3) == 0;
    if ((!importing && memcmp(arrow, "->-", 3) != 0) || !id_valid(other) ||
        !number_in((struct str){word.ptr + 1, digits}, 0, SLOT_COUNT - 1, &slot))
        return false;
    struct cluster_move *move = &view->moves[view->move_count++];
    move->slot = (uint16_t)slot;
    move->importing = importing;
    memcpy(move->id, view->nodes[node].id, sizeof(move->id));
    id_set(move->other, other);
    return true;
}

static bool slots_parse(struct cluster_view *view, struct str line, size_t node, size_t room)
{
    for (;;) {
        struct str word = word_next(&line);
        int64_t first, last;
        if (!word.len)
            return true;
        if (*word.ptr == '[') {
            if (!move_parse(view, word, node, room))
                return false;
            continue;
        }
        const char *dash = memchr(word.ptr, '-', word.len);
        size_t head = dash ? (size_t)(dash - word.ptr) : word.len;
        struct str tail = dash ? (struct str){dash + 1, word.len - head - 1} : word;
        if (!number_in((struct str){word.ptr, head}, 0, SLOT_COUNT - 1, &first) ||
            !number_in(tail, 0, SLOT_COUNT - 1, &last) || !slots_give(view, first, last, node))
            return false;
    }
}

/* A node that is not known yet, or has no address, counts as none. */
static const char *line_parse(struct cluster_view *view, struct str line, size_t move_room)
{
    struct str id = word_next(&line), endpoint = word_next(&line), flags = word_next(&line);
    struct str primary = word_next(&line);
    int64_t epoch = 0;
    word_next(&line); /* ping sent */
    word_next(&line); /* pong received */
    struct str epoch_text = word_next(&line);
    word_next(&line); /* link state */
    if (!id_valid(id) || !number_in(epoch_text, 0, INT64_MAX, &epoch))
        return "a line is not as it should be";
    if (has_flag(flags, STR("handshake")) || has_flag(flags, STR("noaddr")))
        return NULL;
    if (node_find(view, id) >= 0)
        return "a node is named twice";
    struct cluster_node *node = &view->nodes[view->node_count];
    if (!endpoint_parse(view, endpoint, node))
        return "an address is not as it should be";
    id_set(node->id, id);
    node->epoch = (uint64_t)epoch;
    node->is_primary = has_flag(flags, STR("master"));
    node->failed = has_flag(flags, STR("fail"));
    if (!node->is_primary && id_valid(primary))
        id_set(node->primary_id, primary);
    if (has_flag(flags, STR("myself")))
        view->self = (int)view->node_count;
    view->node_count++;
    return slots_parse(view, line, view->node_count - 1, move_room) ? NULL
                                                                    : "its slots make no sense";
}

static size_t count_byte(struct str text, char byte)
{
    size_t n = 0;
    for (size_t i = 0; i < text.len; i++)
        n += text.ptr[i] == byte;
    return n;
}

struct cluster_view *view_of_nodes(struct str text, const char **error)
{
    struct cluster_view *view = view_new();
    size_t lines = count_byte(text, '\n') + 1, moves = count_byte(text, '[');
    if (lines > CLUSTER_NODES_MAX || moves > 2 * SLOT_COUNT)
        return view_refuse(view, error, "more nodes or moves than a cluster can have");
    view->nodes = arena_alloc(view->arena, lines * sizeof(*view->nodes));
    view->moves = arena_alloc(view->arena, (moves + 1) * sizeof(*view->moves));
    while (text.len) {
        const char *end = memchr(text.ptr, '\n', text.len);
        struct str line = {text.ptr, end ? (size_t)(end - text.ptr) : text.len};
        text.ptr += line.len + (end != NULL);
        text.len -= line.len + (end != NULL);
        if (line.len && line.ptr[line.len - 1] == '\r')
            line.len--;
        const char *wrong = line.len ? line_parse(view, line, moves) : NULL;
        if (wrong)
            return view_refuse(view, error, wrong);
    }
    return view->node_count ? view : view_refuse(view, error, "it names no nodes");
}

/* ---- CLUSTER SLOTS and SHARDS ---- */

static bool is_text(const struct tree *tree)
{
    return tree && (tree->type == TREE_STRING || tree->type == TREE_STATUS);
}

/* Adds the node, or finds it: in these replies one has a row for each of its ranges. */
static int node_add(struct cluster_view *view, struct str id, struct str host, struct str name,
                    int64_t port)
{
    if (!id_valid(id) || !host_valid(host) || !host_valid(name) || port < 0 || port > 65535)
        return -1;
    int found = node_find(view, id);
    if (found >= 0)
        return found;
    if (view->node_count >= CLUSTER_NODES_MAX)
        return -1;
    struct cluster_node *node = &view->nodes[view->node_count];
    id_set(node->id, id);
    node->host = host_copy(view->arena, host);
    node->hostname = host_copy(view->arena, name);
    node->port = (uint16_t)port;
    return (int)view->node_count++;
}

/* [endpoint, port, id, [hostname, h, ip, i]]: Redis before 4 has no id, and is too old. */
static int slots_node(struct cluster_view *view, const struct tree *row)
{
    if (row->type != TREE_ARRAY || row->count < 3 || row->items[1].type != TREE_INT ||
        !is_text(&row->items[2]))
        return -1;
    struct str host = is_text(&row->items[0]) ? row->items[0].text : STR("");
    const struct tree *meta = row->count > 3 ? &row->items[3] : NULL;
    const struct tree *name = tree_get(meta, "hostname"), *ip = tree_get(meta, "ip");
    if (is_text(ip) && !is_text(name)) /* the endpoint is the name, the address stands aside */
        return node_add(view, row->items[2].text, ip->text, host, row->items[1].integer);
    return node_add(view, row->items[2].text, host, is_text(name) ? name->text : STR(""),
                    row->items[1].integer);
}

static void replica_of(struct cluster_view *view, int replica, int primary)
{
    if (!view->nodes[replica].is_primary)
        memcpy(view->nodes[replica].primary_id, view->nodes[primary].id, NODE_ID_LEN + 1);
}

static bool slots_row(struct cluster_view *view, const struct tree *row)
{
    if (row->type != TREE_ARRAY || row->count < 3 || row->items[0].type != TREE_INT ||
        row->items[1].type != TREE_INT)
        return false;
    int primary = slots_node(view, &row->items[2]);
    if (primary < 0)
        return false;
    view->nodes[primary].is_primary = true;
    for (size_t i = 3; i < row->count; i++) {
        int replica = slots_node(view, &row->items[i]);
        if (replica < 0)
            return false;
        replica_of(view, replica, primary);
    }
    return slots_give(view, row->items[0].integer, row->items[1].integer, (size_t)primary);
}

struct cluster_view *view_of_slots(const struct tree *reply, const char **error)
{
    struct cluster_view *view = view_new();
    if (!reply || reply->type != TREE_ARRAY)
        return view_refuse(view, error, "it is no array");
    view->nodes = arena_alloc(view->arena, CLUSTER_NODES_MAX * sizeof(*view->nodes));
    for (size_t i = 0; i < reply->count; i++)
        if (!slots_row(view, &reply->items[i]))
            return view_refuse(view, error, "a row is not as it should be");
    return view->node_count ? view : view_refuse(view, error, "no slot has an owner");
}

static int shards_node(struct cluster_view *view, const struct tree *row, bool tls)
{
    const struct tree *id = tree_get(row, "id"), *ip = tree_get(row, "ip");
    const struct tree *port = tree_get(row, tls ? "tls-port" : "port");
    const struct tree *name = tree_get(row, "hostname"), *health = tree_get(row, "health");
    if (!is_text(id) || !is_text(ip) || !port || port->type != TREE_INT)
        return -1;
    int node =
        node_add(view, id->text, ip->text, is_text(name) ? name->text : STR(""), port->integer);
    if (node >= 0 && is_text(health) && str_equal(health->text, STR("fail")))
        view->nodes[node].failed = true;
    return node;
}

static bool shards_row(struct cluster_view *view, const struct tree *row, bool tls)
{
    const struct tree *slots = tree_get(row, "slots"), *nodes = tree_get(row, "nodes");
    int primary = -1;
    if (!slots || slots->type != TREE_ARRAY || slots->count % 2 || !nodes ||
        nodes->type != TREE_ARRAY)
        return false;
    size_t before = view->node_count;
    for (size_t i = 0; i < nodes->count; i++) {
        const struct tree *role = tree_get(&nodes->items[i], "role");
        int node = shards_node(view, &nodes->items[i], tls);
        if (node < 0 || !is_text(role))
            return false;
        view->nodes[node].is_primary = str_equal(role->text, STR("master"));
        /* a primary that failed stays in its shard beside its successor */
        if (view->nodes[node].is_primary && (primary < 0 || view->nodes[primary].failed))
            primary = node;
    }
    for (size_t i = before; primary >= 0 && i < view->node_count; i++)
        replica_of(view, (int)i, primary);
    for (size_t i = 0; i < slots->count; i += 2) {
        if (primary < 0 || slots->items[i].type != TREE_INT ||
            slots->items[i + 1].type != TREE_INT ||
            !slots_give(view, slots->items[i].integer, slots->items[i + 1].integer,
                        (size_t)primary))
            return false;
    }
    return true;
}

struct cluster_view *view_of_shards(const struct tree *reply, bool tls, const char **error)
{
    struct cluster_view *view = view_new();
    if (!reply || reply->type != TREE_ARRAY)
        return view_refuse(view, error, "it is no array");
    view->nodes = arena_alloc(view->arena, CLUSTER_NODES_MAX * sizeof(*view->nodes));
    for (size_t i = 0; i < reply->count; i++)
        if (!shards_row(view, &reply->items[i], tls))
            return view_refuse(view, error, "a shard is not as it should be");
    return view->node_count ? view : view_refuse(view, error, "no slot has an owner");
}
