/* plan.c - how a command meets many nodes: by the policies in its row, and the exceptions. */
#include "respgate/route.h"

/* What the tips of COMMAND INFO do not tell, or tell for another kind of client. */
static const struct exception {
    const char *name;
    struct command_route route;
} exceptions[] = {
    {"ping", {ROUTE_SLOT, MERGE_FIRST}},   /* one node alive is enough */
    {"msetnx", {ROUTE_SLOT, MERGE_FIRST}}, /* all or nothing cannot be split */
    {"scan", {ROUTE_SCAN, MERGE_FIRST}},
    {"randomkey", {ROUTE_ALL, MERGE_RANDOM}},
    {"info", {ROUTE_ALL, MERGE_INFO}},
    {"wait", {ROUTE_ASIDE, MERGE_MIN}},
    {"script|kill", {ROUTE_ASIDE, MERGE_ANY}},
    {"function|kill", {ROUTE_ASIDE, MERGE_ANY}},
    {"function|stats", {ROUTE_ASIDE, MERGE_FIRST}},
    {"pubsub|channels", {ROUTE_ALL, MERGE_UNION}},
    {"pubsub|shardchannels", {ROUTE_ALL, MERGE_UNION}},
    {"pubsub|numsub", {ROUTE_ALL, MERGE_PAIRS}},
    {"pubsub|shardnumsub", {ROUTE_ALL, MERGE_PAIRS}},
    {"pubsub|numpat", {ROUTE_ALL, MERGE_SUM}},
    {"config|get", {ROUTE_SLOT, MERGE_FIRST}},
};

static enum merge merge_of(const struct command *command, bool keyed)
{
    switch ((enum response_policy)command->response_policy) {
    case RESPONSE_DEFAULT: return keyed ? MERGE_KEYED : MERGE_CONCAT;
    case RESPONSE_ONE_SUCCEEDED: return MERGE_ANY;
    case RESPONSE_ALL_SUCCEEDED: return MERGE_FIRST;
    case RESPONSE_AGG_SUM: return MERGE_SUM;
    case RESPONSE_AGG_MIN: return MERGE_MIN;
    case RESPONSE_AGG_LOGICAL_AND: return MERGE_AND;
    case RESPONSE_SPECIAL: return MERGE_FIRST;
    }
    return MERGE_FIRST;
}

struct command_route route_of(const struct command *command)
{
    for (size_t i = 0; i < ARRAY_LEN(exceptions); i++)
        if (strcmp(exceptions[i].name, command->name) == 0)
            return exceptions[i].route;
    switch ((enum request_policy)command->request_policy) {
    case REQUEST_ALL_NODES:
    case REQUEST_ALL_SHARDS:
        return (struct command_route){ROUTE_ALL, (uint8_t)merge_of(command, false)};
    case REQUEST_MULTI_SHARD:
        return (struct command_route){ROUTE_SPLIT, (uint8_t)merge_of(command, true)};
    case REQUEST_DEFAULT:
    case REQUEST_SPECIAL: break;
    }
    return (struct command_route){ROUTE_SLOT, MERGE_FIRST};
}

/* ---- splitting ---- */

size_t split_plan(const struct str *argv, const struct key_ref *keys, size_t count,
                  struct arena *arena, struct split_part **parts)
{
    /* Slots met so far, by open addressing: quick for ten keys, linear for a million. */
    size_t room = 16, used = 0;
    while (room < count * 2)
        room *= 2;
    uint32_t *table = arena_alloc(arena, room * sizeof(*table)); /* part number + 1 */
    uint32_t *part_of = arena_alloc(arena, count * sizeof(*part_of));
    *parts = arena_alloc(arena, count * sizeof(**parts));
    for (size_t i = 0; i < count; i++) {
        unsigned slot = key_slot(argv[keys[i].arg]);
        size_t at = slot & (room - 1);
        while (table[at] && (*parts)[table[at] - 1].slot != slot)
            at = (at + 1) & (room - 1);
        if (!table[at]) {
            (*parts)[used].slot = (uint16_t)slot;
            table[at] = (uint32_t)++used;
        }
        part_of[i] = table[at] - 1;
        (*parts)[part_of[i]].count++;
    }
    uint32_t *args = arena_alloc(arena, count * sizeof(*args));
    uint32_t **ends = arena_alloc(arena, used * sizeof(*ends));
    for (size_t i = 0; i < used; i++) {
        (*parts)[i].args = ends[i] = args;
        args += (*parts)[i].count;
    }
    for (size_t i = 0; i < count; i++)
        *ends[part_of[i]]++ = keys[i].arg;
    return used;
}

void split_write(const struct str *argv, const struct split_part *part, size_t step,
                 struct buf *out)
{
    write_array(out, 1 + part->count * step);
    write_bulk(out, argv[0]);
    for (size_t i = 0; i < part->count; i++)
        for (size_t j = 0; j < step; j++)
            write_bulk(out, argv[part->args[i] + j]);
}
