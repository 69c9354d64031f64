/* use.c - what becomes of a value: the one place where it can get out of sight.
 *
 * Three things must not: redis and redis.call (refused), a function of the body whose parameters
 * carry command names (then called with anything), KEYS and ARGV (then perhaps changed). */
#include "internal.h"

#include <stdio.h>

void sources_join(struct sources *to, struct sources from)
{
    if (!from.first)
        return;
    if (to->first)
        to->last->next = from.first;
    else
        to->first = from.first;
    to->last = from.last;
}

void sources_add(struct parser *parser, struct sources *sources, struct source source)
{
    struct source *copy = fact_new(parser, sizeof(*copy));
    *copy = source;
    sources_join(sources, (struct sources){copy, copy});
}

void sources_escape(struct parser *parser, const struct sources *sources)
{
    for (struct source *source = sources->first; source; source = source->next)
        switch (source->kind) {
        case SOURCE_LOCAL: source->local->escapes = true; break;
        case SOURCE_TABLE: parser->tampered[source->table] = true; break;
        case SOURCE_FUNCTION: source->function->open = true; break;
        case SOURCE_ANY:
        case SOURCE_LITERAL:
        case SOURCE_ELEMENT:
        case SOURCE_TABLE_ELEMENT: break; /* text, or nothing we know anything of */
        }
}

void functions_open(const struct sources *sources)
{
    for (struct source *source = sources->first; source; source = source->next)
        if (source->kind == SOURCE_FUNCTION)
            source->function->open = true;
}

struct sources sources_any(struct parser *parser)
{
    struct sources sources = {0};
    sources_add(parser, &sources, (struct source){.kind = SOURCE_ANY});
    return sources;
}

/* redis, redis.call and redis.register_function are no values. */
static bool is_value(struct parser *parser, const struct expr *expr)
{
    if (expr->form == EXPR_CALLER)
        parser_refuse(parser,
                      "redis.call or pcall is used as a value: it may only be called, handed to "
                      "pcall, or bound once to a local");
    else if (expr->form == EXPR_REGISTER)
        parser_refuse(parser, "redis.register_function is used as a value");
    else if (expr->form == EXPR_GLOBAL && expr->global->kind == GLOBAL_REDIS)
        parser_refuse(parser, "redis is used as a value");
    else
        return true;
    return false;
}

/* What the expression stands on goes where it cannot be followed. */
static void base_escape(struct parser *parser, const struct expr *expr)
{
    if (expr->base == BASE_LOCAL)
        expr->local->escapes = true;
    else if (expr->base == BASE_TABLE)
        parser->tampered[expr->table] = true;
}

struct sources expr_elements(struct parser *parser, const struct expr *expr, uint32_t index)
{
    struct sources sources = {0};
    if (expr->base == BASE_LOCAL)
        sources_add(parser, &sources,
                    (struct source){.kind = SOURCE_ELEMENT, .index = index, .local = expr->local});
    else if (expr->base == BASE_TABLE)
        sources_add(parser, &sources,
                    (struct source){.kind = SOURCE_TABLE_ELEMENT,
                                    .index = index,
                                    .table = expr->table});
    else
        return sources_any(parser);
    return sources;
}

/* A number's text is made here: most numbers are never moved. */
static struct str literal_text(struct parser *parser, const struct expr *expr)
{
    char number[32];
    if (!expr->is_number)
        return symbol_of(parser, expr->literal)->name;
    int len = snprintf(number, sizeof(number), "%.0f", expr->number);
    char *text = arena_str(parser->arena, (struct str){number, (size_t)len});
    return symbol_of(parser, (struct str){text, (size_t)len})->name;
}

static struct source source_of(struct parser *parser, struct expr *expr)
{
    switch (expr->form) {
    case EXPR_LITERAL:
        return (struct source){.kind = SOURCE_LITERAL, .literal = literal_text(parser, expr)};
    case EXPR_LOCAL:
        expr->local->moves = true;
        return (struct source){.kind = SOURCE_LOCAL, .local = expr->local};
    case EXPR_FUNCTION: return (struct source){.kind = SOURCE_FUNCTION, .function = expr->function};
    case EXPR_VARARG:
        parser->function->varargs->moves = true;
        return (struct source){.kind = SOURCE_LOCAL, .local = parser->function->varargs};
    case EXPR_GLOBAL:
        if (expr->global->kind == GLOBAL_TABLE)
            return (struct source){.kind = SOURCE_TABLE, .table = expr->global->table};
        break;
    case EXPR_ITERATOR: base_escape(parser, expr); break;
    case EXPR_NOTHING:
    case EXPR_CHOICE:
    case EXPR_FIELD:
    case EXPR_ELEMENTS:
    case EXPR_ANY:
    case EXPR_CALL:
    case EXPR_CALLER:
    case EXPR_REGISTER: break;
    }
    return (struct source){.kind = SOURCE_ANY};
}

struct sources expr_move(struct parser *parser, struct expr *expr)
{
    struct sources sources = {0};
    if (!is_value(parser, expr) || expr->form == EXPR_NOTHING)
        return sources;
    if (expr->form == EXPR_CHOICE)
        return expr->sources;
    if (expr->form == EXPR_FIELD)
        return expr_elements(parser, expr, expr->index);
    if (expr->form == EXPR_ELEMENTS)
        return expr_elements(parser, expr, 0);
    sources_add(parser, &sources, source_of(parser, expr));
    return sources;
}

void expr_escape(struct parser *parser, struct expr *expr)
{
    /* Most expressions: nothing in them is followed, so no source is made. */
    if (expr->form == EXPR_FIELD || expr->form == EXPR_CALL || expr->form == EXPR_LITERAL ||
        expr->form == EXPR_ANY || expr->form == EXPR_ELEMENTS)
        return;
    struct sources sources = expr_move(parser, expr);
    sources_escape(parser, &sources);
}

void expr_test(struct parser *parser, struct expr *expr)
{
    (void)is_value(parser, expr);
}

void expr_change(struct parser *parser, struct expr *field)
{
    switch (field->base) {
    case BASE_LOCAL: field->local->changed = true; break;
    case BASE_TABLE: parser->tampered[field->table] = true; break;
    case BASE_GLOBAL:
        parser_refuse(parser, "a member of '%s' is assigned", field->global->name);
        break;
    case BASE_OTHER: break;
    }
}

bool expr_many(const struct expr *expr)
{
    return !expr->parens && (expr->form == EXPR_CALL || expr->form == EXPR_VARARG ||
                             expr->form == EXPR_ITERATOR || expr->form == EXPR_ELEMENTS);
}

struct sources expr_others(struct parser *parser, const struct expr *expr)
{
    if (expr->form == EXPR_ELEMENTS)
        return expr_elements(parser, expr, 0);
    if (expr->form == EXPR_ITERATOR)
        base_escape(parser, expr);
    return sources_any(parser);
}

void local_assign(struct parser *parser, struct local *local, struct sources sources)
{
    if (local->caller)
        parser_refuse(parser, "'%s' stands for redis.call and is assigned again",
                      name_shown(parser, local->symbol->name));
    sources_join(&local->sources, sources);
}

void local_bind(struct parser *parser, struct local *local, struct expr *expr)
{
    if (expr->form == EXPR_CALLER)
        local->caller = true;
    else
        local_assign(parser, local, expr_move(parser, expr));
}
