/* token.c - cuts a body into Lua 5.1 tokens.
 *
 * Every oddity of the original is kept, since a byte read differently here and there is a way
 * around the judgement: escapes are decimal only and \x is an x, "\r\n" and "\n\r" are one newline,
 * and a number takes all letters that follow. Letters are those of the C locale, which Redis keeps
 * for LC_CTYPE. A [[ inside [[ ]] is text; some builds of Lua refuse it, none nests.
 */
#include "token.h"

#include <stdlib.h>

enum { NUMERAL_MAX = 200 }; /* bytes; longer ones help nobody */

static const struct {
    const char *text;
    int kind;
} keywords[] = {
    {"and", TOKEN_AND},       {"break", TOKEN_BREAK},   {"do", TOKEN_DO},
    {"else", TOKEN_ELSE},     {"elseif", TOKEN_ELSEIF}, {"end", TOKEN_END_WORD},
    {"false", TOKEN_FALSE},   {"for", TOKEN_FOR},       {"function", TOKEN_FUNCTION},
    {"if", TOKEN_IF},         {"in", TOKEN_IN},         {"local", TOKEN_LOCAL},
    {"nil", TOKEN_NIL},       {"not", TOKEN_NOT},       {"or", TOKEN_OR},
    {"repeat", TOKEN_REPEAT}, {"return", TOKEN_RETURN}, {"then", TOKEN_THEN},
    {"true", TOKEN_TRUE},     {"until", TOKEN_UNTIL},   {"while", TOKEN_WHILE},
};

/* Two bytes that are one token. */
static const struct {
    char first, second;
    int kind;
} pairs[] = {
    {'=', '=', TOKEN_EQ},
    {'<', '=', TOKEN_LE},
    {'>', '=', TOKEN_GE},
    {'~', '=', TOKEN_NE},
};

static bool is_digit(int byte)
{
    return byte >= '0' && byte <= '9';
}

static bool is_letter(int byte)
{
    return (byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z') || byte == '_';
}

static bool is_newline(int byte)
{
    return byte == '\n' || byte == '\r';
}

/* The byte `ahead` of where the lexer stands, or -1 behind the end. */
static int peek(const struct lexer *lexer, size_t ahead)
{
    return (size_t)(lexer->end - lexer->at) > ahead ? (unsigned char)lexer->at[ahead] : -1;
}

static int fail(struct lexer *lexer, const char *error)
{
    if (!lexer->error)
        lexer->error = error;
    lexer->at = lexer->end;
    return TOKEN_END;
}

static void newline_skip(struct lexer *lexer)
{
    int first = peek(lexer, 0), second = peek(lexer, 1);
    lexer->at += is_newline(second) && second != first ? 2 : 1;
    lexer->line++;
}

/* At '[' or ']': skips it and the '=' behind it and says how many those were, or -1 - that when
 * no second bracket follows (which is not skipped). */
static long bracket_level(struct lexer *lexer)
{
    int bracket = peek(lexer, 0);
    long level = 0;
    for (lexer->at++; peek(lexer, 0) == '='; lexer->at++)
        level++;
    return peek(lexer, 0) == bracket ? level : -1 - level;
}

/* Text of a long string between two places; every kind of newline is '\n' in it. */
static struct str long_text(struct lexer *lexer, const char *from, const char *to)
{
    struct str raw = {from, (size_t)(to - from)};
    if (raw.len == 0 || !memchr(from, '\r', raw.len))
        return raw;
    char *text = arena_alloc(lexer->arena, raw.len), *out = text;
    while (from < to) {
        bool pair = from + 1 < to && is_newline(from[0]) && is_newline(from[1]) && *from != from[1];
        *out++ = is_newline(*from) ? '\n' : *from;
        from += pair ? 2 : 1;
    }
    return (struct str){text, (size_t)(out - text)};
}

/* At the second bracket of the opening ones. */
static void long_bracket(struct lexer *lexer, long level, struct token *token)
{
    lexer->at++;
    if (is_newline(peek(lexer, 0)))
        newline_skip(lexer);
    const char *from = lexer->at;
    for (;;) {
        const char *here = lexer->at;
        switch (peek(lexer, 0)) {
        case -1: fail(lexer, "unfinished long string or comment"); return;
        case ']':
            if (bracket_level(lexer) == level) {
                lexer->at++;
                if (token)
                    token->text = long_text(lexer, from, here);
                return;
            }
            break;
        case '\n':
        case '\r': newline_skip(lexer); break;
        default: lexer->at++;
        }
    }
}

/* At a backslash: writes what it stands for and skips it. */
static void escape(struct lexer *lexer, char **out)
{
    static const char letters[] = "abfnrtv", meanings[] = "\a\b\f\n\r\t\v";
    lexer->at++;
    int byte = peek(lexer, 0);
    const char *letter = byte > 0 ? strchr(letters, byte) : NULL;
    if (byte == -1)
        return;
    if (is_newline(byte)) {
        *(*out)++ = '\n';
        newline_skip(lexer);
    } else if (is_digit(byte)) {
        int value = 0;
        for (int i = 0; i < 3 && is_digit(peek(lexer, 0)); i++)
            value = value * 10 + *lexer->at++ - '0';
        if (value > 255)
            fail(lexer, "escape sequence too large");
        *(*out)++ = (char)value;
    } else {
        *(*out)++ = letter ? meanings[letter - letters] : (char)byte;
        lexer->at++;
    }
}

/* The rest of a string from its first backslash on; head is what came before. */
static int string_decode(struct lexer *lexer, struct token *token, int quote, const char *head)
{
    size_t before = (size_t)(lexer->at - head), room = before;
    for (const char *p = lexer->at; p < lexer->end && *p != quote; p++, room++)
        p += *p == '\\' && p + 1 < lexer->end;
    char *text = arena_alloc(lexer->arena, room + 1), *out = text + before;
    memcpy(text, head, before);
    while (peek(lexer, 0) != quote) {
        int byte = peek(lexer, 0);
        if (byte == -1 || is_newline(byte))
            return fail(lexer, "unfinished string");
        if (byte == '\\')
            escape(lexer, &out);
        else
            *out++ = *lexer->at++;
    }
    lexer->at++;
    token->text = (struct str){text, (size_t)(out - text)};
    return TOKEN_STRING;
}

static int string_read(struct lexer *lexer, struct token *token)
{
    int quote = peek(lexer, 0);
    const char *from = ++lexer->at;
    for (; peek(lexer, 0) != quote; lexer->at++) {
        int byte = peek(lexer, 0);
        if (byte == '\\')
            return string_decode(lexer, token, quote, from);
        if (byte == -1 || is_newline(byte))
            return fail(lexer, "unfinished string");
    }
    token->text = (struct str){from, (size_t)(lexer->at++ - from)};
    return TOKEN_STRING;
}

/* At a digit, or at '.' with a digit behind it. */
static int number_read(struct lexer *lexer, struct token *token)
{
    char copy[NUMERAL_MAX + 1], *rest;
    const char *from = lexer->at;
    while (is_digit(peek(lexer, 0)) || peek(lexer, 0) == '.')
        lexer->at++;
    if (peek(lexer, 0) == 'E' || peek(lexer, 0) == 'e') {
        lexer->at++;
        if (peek(lexer, 0) == '+' || peek(lexer, 0) == '-')
            lexer->at++;
    }
    while (is_digit(peek(lexer, 0)) || is_letter(peek(lexer, 0)))
        lexer->at++;
    size_t len = (size_t)(lexer->at - from);
    if (len > NUMERAL_MAX)
        return fail(lexer, "malformed number");
    memcpy(copy, from, len);
    copy[len] = 0;
    token->number = strtod(copy, &rest);
    return *rest || rest == copy ? fail(lexer, "malformed number") : TOKEN_NUMBER;
}

static int name_read(struct lexer *lexer, struct token *token)
{
    const char *from = lexer->at;
    while (is_letter(peek(lexer, 0)) || is_digit(peek(lexer, 0)))
        lexer->at++;
    token->text = (struct str){from, (size_t)(lexer->at - from)};
    for (size_t i = 0; i < ARRAY_LEN(keywords); i++)
        if (*from == *keywords[i].text && str_equal(token->text, str_of(keywords[i].text)))
            return keywords[i].kind;
    return TOKEN_NAME;
}

/* At "--". */
static void comment_skip(struct lexer *lexer)
{
    lexer->at += 2;
    if (peek(lexer, 0) == '[') {
        long level = bracket_level(lexer);
        if (level >= 0) {
            long_bracket(lexer, level, NULL);
            return;
        }
    }
    while (peek(lexer, 0) != -1 && !is_newline(peek(lexer, 0)))
        lexer->at++;
}

static void blank_skip(struct lexer *lexer)
{
    for (;;) {
        int byte = peek(lexer, 0);
        if (is_newline(byte))
            newline_skip(lexer);
        else if (byte == ' ' || byte == '\t' || byte == '\v' || byte == '\f')
            lexer->at++;
        else if (byte == '-' && peek(lexer, 1) == '-')
            comment_skip(lexer);
        else
            return;
    }
}

static int bracket_read(struct lexer *lexer, struct token *token)
{
    long level = bracket_level(lexer);
    if (level == -1)
        return '[';
    if (level < 0)
        return fail(lexer, "invalid long string delimiter");
    long_bracket(lexer, level, token);
    return lexer->error ? TOKEN_END : TOKEN_STRING;
}

static int dots_read(struct lexer *lexer, struct token *token)
{
    if (is_digit(peek(lexer, 1)))
        return number_read(lexer, token);
    int dots = peek(lexer, 1) != '.' ? 1 : peek(lexer, 2) != '.' ? 2 : 3;
    lexer->at += dots;
    return dots == 1 ? '.' : dots == 2 ? TOKEN_CONCAT : TOKEN_DOTS;
}

static int operator_read(struct lexer *lexer)
{
    int byte = peek(lexer, 0), next = peek(lexer, 1);
    for (size_t i = 0; i < ARRAY_LEN(pairs); i++)
        if (byte == pairs[i].first && next == pairs[i].second) {
            lexer->at += 2;
            return pairs[i].kind;
        }
    lexer->at++;
    return byte;
}

static int token_read(struct lexer *lexer, struct token *token)
{
    blank_skip(lexer);
    int byte = peek(lexer, 0);
    if (byte == -1)
        return TOKEN_END;
    if (is_letter(byte))
        return name_read(lexer, token);
    if (is_digit(byte))
        return number_read(lexer, token);
    if (byte == '"' || byte == '\'')
        return string_read(lexer, token);
    if (byte == '[')
        return bracket_read(lexer, token);
    return byte == '.' ? dots_read(lexer, token) : operator_read(lexer);
}

void lexer_init(struct lexer *lexer, struct arena *arena, struct str body)
{
    *lexer = (struct lexer){.arena = arena, .at = body.ptr, .end = body.ptr + body.len, .line = 1};
}

void lexer_next(struct lexer *lexer, struct token *token)
{
    *token = (struct token){0};
    token->kind = token_read(lexer, token);
}
