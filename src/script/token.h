/* token.h - Lua 5.1 tokens, exactly as Redis' Lua cuts them (llex.c of 5.1 is the rule). */
#ifndef RESPGATE_SCRIPT_TOKEN_H
#define RESPGATE_SCRIPT_TOKEN_H

#include "respgate/base.h"

/* A token is one of these or the byte itself: '(' '+' but also '@' or 0, which no rule takes. */
enum {
    TOKEN_END = 256,
    TOKEN_NAME,
    TOKEN_STRING,
    TOKEN_NUMBER,
    TOKEN_CONCAT,
    TOKEN_DOTS,
    TOKEN_EQ,
    TOKEN_GE,
    TOKEN_LE,
    TOKEN_NE,
    TOKEN_AND,
    TOKEN_BREAK,
    TOKEN_DO,
    TOKEN_ELSE,
    TOKEN_ELSEIF,
    TOKEN_END_WORD,
    TOKEN_FALSE,
    TOKEN_FOR,
    TOKEN_FUNCTION,
    TOKEN_IF,
    TOKEN_IN,
    TOKEN_LOCAL,
    TOKEN_NIL,
    TOKEN_NOT,
    TOKEN_OR,
    TOKEN_REPEAT,
    TOKEN_RETURN,
    TOKEN_THEN,
    TOKEN_TRUE,
    TOKEN_UNTIL,
    TOKEN_WHILE,
};

struct token {
    int kind;
    struct str text; /* name: as written; string: decoded; number: see integer */
    double number;
};

struct lexer {
    struct arena *arena; /* of decoded strings */
    const char *at, *end;
    uint32_t line;     /* where the lexer stands: the line its last token ended on */
    const char *error; /* the first one; TOKEN_END follows for ever */
};

void lexer_init(struct lexer *lexer, struct arena *arena, struct str body);
void lexer_next(struct lexer *lexer, struct token *token);

#endif
