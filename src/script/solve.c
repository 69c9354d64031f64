/* solve.c - what every local can hold: literals, KEYS and ARGV, their elements, or anything.
 *
 * Sets only grow and are bounded, and each value passes each edge once: the time is linear in the
 * facts. */
#include "internal.h"

/* True when that is news. */
static bool values_open(struct values *values)
{
    bool news = !values->open;
    values->open = true;
    return news;
}

static bool is_same(const struct source *a, const struct source *b)
{
    if (a->kind != b->kind)
        return false;
    if (a->kind == SOURCE_LITERAL) /* symbols: equal texts have one address */
        return a->literal.ptr == b->literal.ptr && a->literal.len == b->literal.len;
    return a->table == b->table && a->index == b->index;
}

static void values_grow(struct parser *parser, struct values *values)
{
    uint16_t room = values->room ? values->room * 2 : 2;
    const struct source **items = arena_alloc(parser->arena, room * sizeof(*items));
    if (values->count)
        memcpy(items, values->items, values->count * sizeof(*items));
    values->items = items;
    values->room = room;
}

/* One literal, table or element more. True when it is new. */
static bool value_add(struct parser *parser, struct values *values, const struct source *value)
{
    for (size_t i = 0; i < values->count; i++)
        if (is_same(values->items[i], value))
            return false;
    if (values->count == VALUES_MAX) {
        /* KEYS must not get lost among many: who changes this local may change it */
        if (value->kind == SOURCE_TABLE)
            parser->tampered[value->table] = true;
        return values_open(values);
    }
    if (values->count == values->room)
        values_grow(parser, values);
    values->items[values->count++] = value;
    return true;
}

/* What a source that depends on a local makes of one of its values. */
static bool value_pass(struct parser *parser, struct values *to, const struct source *through,
                       const struct source *value)
{
    if (through->kind == SOURCE_LOCAL)
        return value_add(parser, to, value);
    if (value->kind != SOURCE_TABLE)
        return values_open(to); /* an element of a text, or of an element */
    struct source *element = arena_alloc(parser->arena, sizeof(*element));
    element->kind = SOURCE_TABLE_ELEMENT;
    element->table = value->table;
    element->index = through->index;
    return value_add(parser, to, element);
}

bool values_merge(struct parser *parser, struct values *values, const struct sources *sources)
{
    bool news = false;
    for (const struct source *source = sources->first; source; source = source->next)
        switch (source->kind) {
        case SOURCE_ANY:
        case SOURCE_FUNCTION: news |= values_open(values); break;
        case SOURCE_LITERAL:
        case SOURCE_TABLE:
        case SOURCE_TABLE_ELEMENT: news |= value_add(parser, values, source); break;
        case SOURCE_LOCAL:
        case SOURCE_ELEMENT:
            for (size_t i = 0; i < source->local->values.count; i++)
                news |= value_pass(parser, values, source, source->local->values.items[i]);
            if (source->local->values.open)
                news |= values_open(values);
            break;
        }
    return news;
}

struct queue {
    struct local *first, **tail;
};

static void queue_add(struct queue *queue, struct local *local)
{
    if (local->queued)
        return;
    local->queued = true;
    local->next_queued = NULL;
    *queue->tail = local;
    queue->tail = &local->next_queued;
}

static struct local *queue_take(struct queue *queue)
{
    struct local *local = queue->first;
    if (!local)
        return NULL;
    queue->first = local->next_queued;
    if (!queue->first)
        queue->tail = &queue->first;
    local->queued = false;
    return local;
}

static void local_link(struct local *local)
{
    for (struct source *source = local->sources.first; source; source = source->next)
        if (source->kind == SOURCE_LOCAL || source->kind == SOURCE_ELEMENT) {
            source->owner = local;
            source->next_dependent = source->local->dependents;
            source->local->dependents = source;
        }
}

/* Hands on what the local learned since the last time. */
static void local_tell(struct parser *parser, struct queue *queue, struct local *local)
{
    struct values *values = &local->values;
    uint16_t from = values->told, count = values->count;
    bool open = values->open && !values->open_told;
    /* before the walk: the local may be its own dependent */
    values->told = count;
    values->open_told = values->open;
    for (struct source *to = local->dependents; to; to = to->next_dependent) {
        bool news = open && values_open(&to->owner->values);
        for (uint16_t i = from; i < count; i++)
            news |= value_pass(parser, &to->owner->values, to, values->items[i]);
        if (news)
            queue_add(queue, to->owner);
    }
}

/* KEYS was changed when a local that may hold it was, or when that got out of sight. */
static void tables_check(struct parser *parser)
{
    for (struct local *local = parser->locals; local; local = local->next)
        for (size_t i = 0; i < local->values.count; i++) {
            const struct source *value = local->values.items[i];
            if (value->kind == SOURCE_TABLE && (local->escapes || local->changed))
                parser->tampered[value->table] = true;
        }
}

void values_solve(struct parser *parser)
{
    struct queue queue = {.tail = &queue.first};
    struct local *local;
    for (local = parser->locals; local; local = local->next)
        local_link(local);
    for (local = parser->locals; local; local = local->next)
        if (values_merge(parser, &local->values, &local->sources))
            queue_add(&queue, local);
    while ((local = queue_take(&queue)))
        local_tell(parser, &queue, local);
    tables_check(parser);
}
