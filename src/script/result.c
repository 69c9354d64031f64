/* result.c - the calls of an accepted body: one row for each name and subcommand. */
#include "internal.h"

#include <stdlib.h>

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
    if (rows->size > rows->parser->results_max)
        parser_refuse(rows->parser, "its calls have too many forms to be judged");
}

static void complain_at(struct parser *parser, const struct call *call, const char *reason)
{
    parser->lexer.line = call->line;
    parser_refuse(parser, "%s", reason);
}

/* False: it can be none, or anything: a table is no argument, an element of a changed KEYS is
 * anything. */
static bool value_known(const struct parser *parser, const struct source *value)
{
    return value->kind == SOURCE_LITERAL ||
           (value->kind == SOURCE_TABLE_ELEMENT && !parser->tampered[value->table]);
}

static struct str text_keep(struct rows *rows, struct str text)
{
    rows_charge(rows, text.len / RESULT_TEXT);
    return (struct str){arena_str(rows->arena, text), text.len};
}

static struct script_value value_of(struct rows *rows, const struct source *value)
{
    if (value->kind == SOURCE_LITERAL)
        return (struct script_value){.kind = SCRIPT_LITERAL,
                                     .literal = text_keep(rows, value->literal)};
    enum script_value_kind kind = value->table == TABLE_KEYS ? SCRIPT_KEY : SCRIPT_ARGV;
    return (struct script_value){.kind = kind, .index = value->index};
}

static struct script_argument argument_of(struct rows *rows, const struct sources *sources)
{
    struct values values = {0};
    values_merge(rows->parser, &values, sources);
    struct script_value *list = arena_alloc(rows->arena, values.count * sizeof(*list));
    struct script_argument argument = {.values = list, .open = values.open};
    rows_charge(rows, 1u + values.count);
    for (size_t i = 0; i < values.count && rows->parser->verdict == SCRIPT_ACCEPTED; i++)
        if (value_known(rows->parser, values.items[i]))
            list[argument.count++] = value_of(rows, values.items[i]);
        else
            argument.open = true;
    return argument;
}

static void row_add(struct rows *rows, struct script_call row)
{
    rows_charge(rows, 1);
    if (rows->count == rows->room) {
        rows->room = rows->room ? rows->room * 2 : 16;
        rows->items = xrealloc(rows->items, rows->room * sizeof(*rows->items));
    }
    rows->items[rows->count++] = row;
}

static bool all_literals(const struct script_argument *argument)
{
    for (size_t i = 0; i < argument->count; i++)
        if (argument->values[i].kind != SCRIPT_LITERAL)
            return false;
    return argument->count > 0 && !argument->open;
}

/* One row, or one for each literal its first argument can be. */
static void name_add(struct rows *rows, struct script_call row)
{
    if (row.argc == 0 || !all_literals(&row.args[0])) {
        row_add(rows, row);
        return;
    }
    for (size_t i = 0; i < row.args[0].count; i++) {
        row.first = &row.args[0].values[i].literal;
        row_add(rows, row);
    }
}

/* A literal, or an element of ARGV that the caller can look up. Nothing at all is fine too: that
 * is the parameter of a function nobody calls. */
static bool name_known(const struct script_argument *name)
{
    for (size_t i = 0; i < name->count; i++) {
        const struct script_value *value = &name->values[i];
        bool argument = value->kind == SCRIPT_ARGV && value->index > 0;
        if (value->kind != SCRIPT_LITERAL && !argument)
            return false;
    }
    return !name->open;
}

static void arguments_add(struct rows *rows, struct script_call *row,
                          const struct arguments *arguments)
{
    struct script_argument *args;
    const struct argument *argument = arguments->first;
    row->argc = arguments->count - 1;
    row->args = args = arena_alloc(rows->arena, row->argc * sizeof(*args));
    for (uint32_t i = 0; i < row->argc; i++) {
        argument = argument->next;
        args[i] = argument_of(rows, &argument->sources);
    }
    row->more = arguments->more;
    if (row->more)
        row->rest = argument_of(rows, &arguments->rest);
}

static void call_add(struct rows *rows, const struct call *call)
{
    struct script_call row = {.line = call->line};
    struct script_argument name = {.open = true};
    if (call->arguments.first)
        name = argument_of(rows, &call->arguments.first->sources);
    if (!name_known(&name)) {
        complain_at(rows->parser, call, "the name of a command is not one of known literals");
        return;
    }
    arguments_add(rows, &row, &call->arguments);
    for (size_t i = 0; i < name.count; i++) {
        row.name = name.values[i].literal;
        row.name_argument = name.values[i].kind == SCRIPT_ARGV ? name.values[i].index : 0;
        name_add(rows, row);
    }
}

void result_make(struct parser *parser, struct arena *arena, struct script *script)
{
    struct rows rows = {.parser = parser, .arena = arena};
    for (const struct call *call = parser->calls; call && parser->verdict == SCRIPT_ACCEPTED;
         call = call->next)
        call_add(&rows, call);
    if (rows.count) {
        void *copy = arena_alloc(arena, rows.count * sizeof(*rows.items));
        script->calls = memcpy(copy, rows.items, rows.count * sizeof(*rows.items));
        script->call_count = rows.count;
    }
    free(rows.items);
}
