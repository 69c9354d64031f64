/* result.c - the calls of an accepted body: one row for each name and subcommand. */
#include "internal.h"

/* Rows while they grow; limits keep a small body from becoming a large result. */
struct rows {
    struct parser *parser;
    struct arena *arena;
    struct script_call *items;
    size_t count, room;
    size_t size; /* rows, arguments and values */
};

static void rows_charge(struct rows *rows, size_t count)
{
    rows->size += count;
    if (rows->size > RESULTS_MAX)
        refuse(rows->parser, "its calls have too many forms to be judged");
}

static void complain_at(struct parser *parser, const struct call *call, const char *reason)
{
    parser->lexer.line = call->line;
    refuse(parser, "%s", reason);
}

/* False: it can be none, or anything: a table is no argument, an element of a changed KEYS is
 * anything. */
static bool value_known(const struct parser *parser, const struct source *value)
{
    return value->kind == SOURCE_LITERAL ||
           (value->kind == SOURCE_TABLE_ELEMENT && !parser->tampered[value->table]);
}

static struct script_value value_of(const struct source *value)
{
    if (value->kind == SOURCE_LITERAL)
        return (struct script_value){.kind = SCRIPT_LITERAL, .literal = value->literal};
    enum script_value_kind kind = value->table == TABLE_KEYS ? SCRIPT_KEY : SCRIPT_ARGV;
    return (struct script_value){.kind = kind, .index = value->index};
}

static struct script_argument argument_of(struct rows *rows, const struct sources *sources)
{
    struct values values = {0};
    values_merge(rows->parser, &values, sources);
    struct script_value *list = arena_alloc(rows->arena, values.count * sizeof(*list));
    struct script_argument argument = {.values = list, .open = values.open};
    for (size_t i = 0; i < values.count; i++)
        if (!value_known(rows->parser, values.items[i]))
            argument.open = true;
        else
            list[argument.count++] = value_of(values.items[i]);
    rows_charge(rows, 1u + argument.count);
    for (size_t i = 0; i < argument.count; i++)
        list[i].literal = text_copy(rows->arena, list[i].literal);
    return argument;
}
