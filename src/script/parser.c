/* parser.c - complaints, facts, tokens with one of look-ahead, depth. */
#include "internal.h"

#include <stdarg.h>
#include <stdio.h>

static void complain(struct parser *parser, enum script_verdict verdict, const char *reason)
{
    if (parser->verdict == SCRIPT_ACCEPTED) {
        parser->verdict = verdict;
        parser->reason = reason;
        parser->reason_line = parser->lexer.line;
    }
    parser->lexer.at = parser->lexer.end;
    parser->token.kind = TOKEN_END;
    parser->has_ahead = false;
}

void parser_refuse(struct parser *parser, const char *format, ...)
{
    char reason[256];
    va_list args;
    va_start(args, format);
    vsnprintf(reason, sizeof(reason), format, args);
    va_end(args);
    complain(parser, SCRIPT_REFUSED, arena_str(parser->arena, str_of(reason)));
}

void parser_malformed(struct parser *parser, const char *reason)
{
    complain(parser, SCRIPT_MALFORMED, reason);
}

void *fact_new(struct parser *parser, size_t size)
{
    if (++parser->facts > FACTS_MAX)
        parser_refuse(parser, "it is too large to be judged");
    return arena_alloc(parser->arena, size);
}

static void token_read(struct parser *parser, struct token *token)
{
    lexer_next(&parser->lexer, token);
    if (parser->lexer.error)
        parser_malformed(parser, parser->lexer.error);
}

/* As in Lua, last_line is that of the newest byte read, look-ahead included: whether a '(' stands
 * on a new line depends on it. */
void token_next(struct parser *parser)
{
    parser->last_line = parser->lexer.line;
    if (parser->has_ahead)
        parser->token = parser->ahead;
    else
        token_read(parser, &parser->token);
    parser->has_ahead = false;
}

int token_ahead(struct parser *parser)
{
    ASSERT(!parser->has_ahead);
    parser->has_ahead = true;
    token_read(parser, &parser->ahead);
    return parser->ahead.kind;
}

bool token_skip(struct parser *parser, int kind)
{
    if (parser->token.kind != kind)
        return false;
    token_next(parser);
    return true;
}

void token_expect(struct parser *parser, int kind, const char *error)
{
    if (!token_skip(parser, kind))
        parser_malformed(parser, error);
}

struct str name_expect(struct parser *parser)
{
    struct str name = parser->token.text;
    if (parser->token.kind != TOKEN_NAME) {
        parser_malformed(parser, "a name is expected");
        return STR("");
    }
    token_next(parser);
    return name;
}

const char *name_shown(struct parser *parser, struct str name)
{
    char *text = arena_str(parser->arena, (struct str){name.ptr, name.len > 64 ? 64 : name.len});
    for (char *p = text; p < text + (name.len > 64 ? 64 : name.len); p++)
        if (*p < ' ' || *p > '~')
            *p = '?';
    return text;
}

bool depth_enter(struct parser *parser)
{
    if (++parser->depth > DEPTH_MAX)
        parser_malformed(parser, "too many levels of syntax");
    return parser->depth <= DEPTH_MAX;
}

void depth_leave(struct parser *parser)
{
    parser->depth--;
}
