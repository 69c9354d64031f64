/* scan_nodes.c - SCAN over all primaries behind one cursor, which holds all there is to remember.
 *
 * A key whose slot moves under the walk may go from a node that is still to come to one that was
 * passed already. So when the last node is through, all nodes are asked once more what the cluster
 * looks like (topology.c): has anything moved since the walk began, it begins anew. What is found
 * twice then, SCAN may always return twice.
 */
#include <stdio.h>
#include <stdlib.h>

#include "gather_private.h"

/* Walks that begin anew only because slots are on their way, not because any arrived: a slot that
 * is stuck there for days must not keep SCAN from ending. */
enum { PASSES_MAX = 3 };

/* A letter to worker 0 and back. */
struct confirm {
    struct confirm_mail letter;
    struct gather *gather; /* NULL: its client is gone */
};

void confirm_forget(struct confirm *confirm)
{
    confirm->gather = NULL; /* freed when it is back */
}

static void confirm_back(struct loop *loop, struct mail *mail)
{
    struct confirm *confirm = CONTAINER(mail, struct confirm, letter.mail);
    struct gather *gather = confirm->gather;
    (void)loop;
    free(confirm);
    if (!gather)
        return;
    gather->confirm = NULL;
    gather->confirmed = true;
    gather_finish(gather);
}

static void confirm_ask(struct gather *gather)
{
    struct confirm *confirm = xcalloc(1, sizeof(*confirm));
    confirm->gather = gather;
    gather->confirm = confirm;
    topology_confirm(gather->worker, &confirm->letter, confirm_back);
}

static void walk_begin(struct scan_cursor *cursor, const struct slot_map *map)
{
    cursor->fingerprint = cursor_print(map->fingerprint);
    cursor->node = 0;
    cursor->inner = 0;
}

/* Where the walk goes on when a node is through; false: it is over. */
static bool walk_next(struct scan_cursor *cursor, const struct slot_map *map)
{
    if (cursor->inner)
        return true;
    if (++cursor->node < map->primary_count)
        return true;
    if (cursor->fingerprint != cursor_print(map->fingerprint))
        cursor->pass = 0;
    else if (!map->move_count || ++cursor->pass >= PASSES_MAX)
        return false;
    walk_begin(cursor, map);
    return true;
}

/* "*2 $n cursor *m ...": the node's cursor, and the rest of the reply behind it. */
static bool reply_read(struct str reply, uint64_t *inner, struct str *rest)
{
    const char *head = reply.len > 8 ? memchr(reply.ptr + 4, '\n', reply.len - 4) : NULL;
    const char *end = head ? memchr(head, '\r', (size_t)(reply.ptr + reply.len - head)) : NULL;
    int64_t number;
    if (!end || memcmp(reply.ptr, "*2\r\n$", 5) != 0 ||
        !str_to_int((struct str){head + 1, (size_t)(end - head) - 1}, &number))
        return false;
    *inner = (uint64_t)number;
    *rest = (struct str){end + 2, (size_t)(reply.ptr + reply.len - end) - 2};
    return true;
}

static bool scan_finish(struct gather *gather, struct buf *out)
{
    const struct slot_map *map = gather->worker->map;
    struct str reply = gather->parts[0].reply, rest;
    struct scan_cursor cursor = gather->cursor;
    uint64_t packed = 0;
    char text[24];
    if (reply.len && *reply.ptr == '-') {
        buf_str(out, reply);
        return true;
    }
    if (!reply_read(reply, &cursor.inner, &rest)) {
        write_error(out, "ERR respgate: the node's cursor was not understood");
        return true;
    }
    if (!cursor.inner && cursor.node + 1 >= map->primary_count && !gather->confirmed) {
        confirm_ask(gather);
        return false;
    }
    if (walk_next(&cursor, map) && !cursor_pack(&cursor, &packed)) {
        write_error(out, "ERR respgate: the node's cursor is too large");
        return true;
    }
    snprintf(text, sizeof(text), "%llu", (unsigned long long)packed);
    write_array(out, 2);
    write_bulk(out, str_of(text));
    buf_str(out, rest);
    return true;
}

enum step scan_run(struct client *client, struct call *call)
{
    struct worker *worker = client->worker;
    const struct slot_map *map = worker->map;
    const struct str *args = call->request.argv;
    size_t argc = call->request.argc;
    struct scan_cursor cursor;
    char inner[24];
    if (argc < 2 || !cursor_parse(args[1], &cursor)) {
        client_reply_text(client, argc < 2 ? "-ERR wrong number of arguments for 'scan' command\r\n"
                                           : "-ERR invalid cursor\r\n");
        return ANSWERED;
    }
    if (!map->primary_count)
        return reply_unserved(client);
    if (!cursor.fingerprint || cursor.node >= map->primary_count)
        walk_begin(&cursor, map);
    struct str *argv = xcalloc(argc, sizeof(*argv));
    struct buf out = {0};
    memcpy(argv, args, argc * sizeof(*argv));
    snprintf(inner, sizeof(inner), "%llu", (unsigned long long)cursor.inner);
    argv[1] = str_of(inner);
    write_command(&out, argc, argv);
    free(argv);
    struct gather *gather = gather_new(client, call, MERGE_FIRST);
    gather_room(gather, 1);
    gather->finish = scan_finish;
    gather->cursor = cursor;
    part_send(gather, 0, pool_at(worker->by_index[map->primaries[cursor.node]], gather->class),
              span_copy(out.ptr, out.len), SLOT_NONE, PREFIX_NONE);
    buf_free(&out);
    return gather_sent(gather);
}
