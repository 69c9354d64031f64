/* gather.c - one request, many parts: a REQ_GATHER stands in the client's queue while its parts,
 * REQ_PARTs of no client, are on links of many nodes; with the last reply they become one.
 *
 *   client queue:  ... [REQ_GATHER] ...          gather->parent
 *                        |  parts
 *   links:         [REQ_PART] [REQ_PART] ...     part->gather, NULL once it is not wanted
 */
#include <stdio.h>
#include <stdlib.h>

#include "count.h"
#include "gather_private.h"
#include "pool_private.h"

enum { ASIDE_SLOT = 1u << 16 }; /* a shared link of its own, for what may block */

struct link_class *gather_class(const struct gather *gather)
{
    return gather->class;
}

struct gather *gather_new(struct client *client, struct call *call, enum merge merge)
{
    struct arena *arena = arena_new();
    struct gather *gather = arena_alloc(arena, sizeof(*gather));
    gather->arena = arena;
    gather->worker = client->worker;
    gather->class = client->pool->class;
    gather->merge = (uint8_t)merge;
    gather->starting = true;
    call->kind = REQ_GATHER;
    gather->parent = call_req(client, call);
    gather->parent->gather = gather;
    gather->parent->state = REQ_SENT;
    client->lane = gather;
    return gather;
}

void gather_room(struct gather *gather, size_t count)
{
    gather->count = gather->left = count;
    gather->parts = arena_alloc(gather->arena, count * sizeof(*gather->parts));
    gather->reqs = arena_alloc(gather->arena, count * sizeof(struct req *));
}

void gather_abandon(struct gather *gather)
{
    if (gather->confirm)
        confirm_forget(gather->confirm);
    for (size_t i = 0; i < gather->count; i++)
        if (gather->reqs[i])
            gather->reqs[i]->gather = NULL;
    arena_free(gather->arena);
}

/* ---- the end ---- */

void gather_finish(struct gather *gather)
{
    struct req *parent = gather->parent;
    struct client *client = parent->client;
    struct buf out = {0};
    if (gather->finish) {
        if (!gather->finish(gather, &out))
            return; /* it is called again */
    } else if (!merge_replies((enum merge)gather->merge, gather->parts, gather->count,
                              gather->places, &out))
        write_error(&out, "ERR respgate: the nodes' replies do not fit together");
    gather_counted(client, parent, out.len && *out.ptr == '-');
    parent->gather = NULL;
    parent->state = REQ_DONE;
    spans_push_copy(&parent->reply, out.ptr, out.len);
    buf_free(&out);
    gather_abandon(gather);
    if (client->queue.head == parent)
        client_advance(client);
}

static void part_answered(struct req *req, struct str reply)
{
    struct gather *gather = req->gather;
    size_t part = req->expect;
    gather->parts[part].reply = (struct str){arena_str(gather->arena, reply), reply.len};
    gather->reqs[part] = NULL;
    req->gather = NULL;
    if (--gather->left == 0 && !gather->starting)
        gather_finish(gather);
}

void gather_failed(struct req *req, const char *error)
{
    part_answered(req, str_of(error));
}

/* The parts' replies together are held for one client: bounded as its output is. */
void gather_done(struct link *link, struct req *req)
{
    struct gather *gather = req->gather;
    const struct config *config = link->pool->node->worker->snapshot->config;
    struct buf reply = {0};
    gather->bytes += req->reply.bytes;
    if (config->proxy.client_output_limit && gather->bytes > config->proxy.client_output_limit) {
        gather_failed(req, "-ERR respgate: the reply is larger than client-output-limit\r\n");
        return;
    }
    for (struct span_node *node = req->reply.head; node; node = node->next)
        buf_add(&reply, node->span.ptr, node->span.len);
    part_answered(req, buf_view(&reply));
    buf_free(&reply);
}

/* ---- the beginning ---- */

void part_send(struct gather *gather, size_t index, struct pool *pool, struct span bytes, int slot,
               enum req_prefix prefix)
{
    struct req *req = req_new(gather->worker);
    req->kind = REQ_PART;
    req->command = gather->parent->command;
    req->traits = gather->parent->traits;
    req->bytes = bytes;
    req->size = bytes.len;
    req->expect = (uint32_t)index;
    req->gather = gather;
    req->slot = (int16_t)slot;
    req->prefix = (uint8_t)prefix;
    gather->reqs[index] = req;
    if (pool && pool_send(pool, req))
        return;
    char error[96];
    snprintf(error, sizeof(error), "-ERR respgate: backend %s is unavailable\r\n",
             pool ? pool->node->name : "");
    gather_failed(req, pool ? error : "-CLUSTERDOWN Hash slot not served\r\n");
    req_free(gather->worker, req);
}

enum step gather_sent(struct gather *gather)
{
    gather->starting = false;
    if (gather->left == 0)
        gather_finish(gather);
    return SENT;
}

/* How many arguments belong to a key; 0: they do not come out even. */
static size_t key_step(const struct call *call)
{
    size_t arguments = call->request.argc - 1;
    if (call->key_count == arguments)
        return 1;
    return call->key_count * 2 == arguments ? 2 : 0;
}

/* All parts' commands in one chunk: each part's bytes are a piece of it. */
static void parts_send(struct gather *gather, const struct str *argv,
                       const struct split_part *split, size_t step)
{
    size_t *ends = arena_alloc(gather->arena, gather->count * sizeof(*ends)), at = 0;
    struct buf out = {0};
    for (size_t i = 0; i < gather->count; i++) {
        split_write(argv, &split[i], step, &out);
        ends[i] = out.len;
    }
    struct span all = span_copy(out.ptr, out.len);
    buf_free(&out);
    for (size_t i = 0; i < gather->count; i++) {
        struct span bytes = span_hold((struct span){all.chunk, all.ptr + at, ends[i] - at});
        at = ends[i];
        part_send(gather, i, cluster_pool(gather->worker, gather->class, split[i].slot), bytes,
                  split[i].slot, PREFIX_NONE);
    }
    span_drop(&all);
}

enum step gather_split(struct client *client, struct call *call)
{
    call_keys(client->worker, call);
    size_t step = key_step(call), arguments = call->request.argc - 1;
    if (!step) { /* what Redis would say, before a node of a cluster could say CROSSSLOT */
        client_reply_error(client, "ERR wrong number of arguments for '%s' command",
                           call->command->name);
        return ANSWERED;
    }
    const struct command_route *route = &client->worker->snapshot->routes[call->command->id];
    struct split_part *split;
    struct span bytes = span_hold(call->request.bytes); /* argv points into them */
    struct gather *gather = gather_new(client, call, (enum merge)route->merge);
    size_t count =
        split_plan(call->request.argv, call->keys, call->key_count, gather->arena, &split);
    gather_room(gather, count);
    gather->places = arguments / step;
    for (size_t i = 0; i < count; i++) {
        uint32_t *places = arena_alloc(gather->arena, split[i].count * sizeof(*places));
        for (size_t n = 0; n < split[i].count; n++)
            places[n] = (split[i].args[n] - 1) / (uint32_t)step;
        gather->parts[i].count = split[i].count;
        gather->parts[i].places = places;
    }
    count_add(client->worker, STAT_SPLIT_PARTS, count);
    parts_send(gather, call->request.argv, split, step);
    span_drop(&bytes);
    return gather_sent(gather);
}

/* Not on the link others share: WAIT blocks. It covers what its connection has written before, so
 * a PING makes that connection's offset the newest there is, as session_wait does. */
static struct pool *pool_aside(struct node *node, const struct link_class *class)
{
    return pool_get(node, class->identity, class->resp, class->db, ASIDE_SLOT);
}

enum step gather_all(struct client *client, struct call *call, bool aside)
{
    struct worker *worker = client->worker;
    const struct slot_map *map = worker->map;
    const struct command_route *route = &worker->snapshot->routes[call->command->id];
    struct span bytes = span_hold(call->request.bytes);
    struct gather *gather = gather_new(client, call, (enum merge)route->merge);
    gather_room(gather, map->primary_count);
    for (size_t i = 0; i < gather->count; i++) {
        struct node *node = worker->by_index[map->primaries[i]];
        struct pool *pool = aside ? pool_aside(node, gather->class) : pool_at(node, gather->class);
        part_send(gather, i, pool, span_hold(bytes), SLOT_NONE, aside ? PREFIX_PING : PREFIX_NONE);
    }
    span_drop(&bytes);
    return gather_sent(gather);
}
