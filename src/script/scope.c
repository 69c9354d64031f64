/* scope.c - names: each distinct one is a symbol, which knows the innermost local it means now.
 *
 * A look-up costs one hash however many locals are in scope. Texts that are values are symbols
 * too, so that equal ones have equal addresses. */
#include "internal.h"

#include <stdlib.h>

/* Symbols in one slot. Honest bodies have a few; the seed is not known to whoever looks for many.
 */
enum { CHAIN_MAX = 64 };

static uint64_t hash_of(uint64_t seed, struct str name)
{
    uint64_t hash = seed;
    for (size_t i = 0; i < name.len; i++)
        hash = ((hash ^ (unsigned char)name.ptr[i]) * 0x9e3779b97f4a7c15u) ^ (hash >> 29);
    return hash ^ (hash >> 32);
}

static void symbols_grow(struct parser *parser)
{
    size_t room = parser->symbol_room ? parser->symbol_room * 2 : 256;
    struct symbol **slots = xcalloc(room, sizeof(*slots));
    for (size_t i = 0; i < parser->symbol_room; i++)
        for (struct symbol *symbol = parser->symbols[i], *next; symbol; symbol = next) {
            struct symbol **slot = &slots[symbol->hash & (room - 1)];
            next = symbol->next;
            symbol->next = *slot;
            *slot = symbol;
        }
    free(parser->symbols);
    parser->symbols = slots;
    parser->symbol_room = room;
}

struct symbol *symbol_of(struct parser *parser, struct str name)
{
    uint64_t hash = hash_of(parser->seed, name);
    size_t length = 0;
    if (parser->symbol_count >= parser->symbol_room)
        symbols_grow(parser);
    struct symbol **slot = &parser->symbols[hash & (parser->symbol_room - 1)];
    for (struct symbol *symbol = *slot; symbol; symbol = symbol->next, length++)
        if (symbol->hash == hash && str_equal(symbol->name, name))
            return symbol;
    if (length >= CHAIN_MAX)
        parser_refuse(parser, "its names collide");
    struct symbol *symbol = fact_new(parser, sizeof(*symbol));
    *symbol = (struct symbol){.next = *slot, .name = name, .hash = hash};
    parser->symbol_count++;
    return *slot = symbol;
}

struct local *local_new(struct parser *parser, struct symbol *symbol)
{
    struct local *local = fact_new(parser, sizeof(*local));
    local->symbol = symbol;
    local->next = parser->locals;
    return parser->locals = local;
}

void local_declare(struct parser *parser, struct local *local)
{
    local->shadowed = local->symbol->local;
    local->symbol->local = local;
    local->below = parser->top;
    parser->top = local;
}

void scope_close(struct parser *parser, struct local *mark)
{
    for (; parser->top != mark; parser->top = parser->top->below)
        parser->top->symbol->local = parser->top->shadowed;
}

void scope_free(struct parser *parser)
{
    free(parser->symbols);
}
