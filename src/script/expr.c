/* expr.c - the grammar of Lua's expressions; operators by precedence as in lparser.c of 5.1. */
#include "internal.h"

#include <math.h>

/* What an operator does with its operands. */
enum operator_use {
    USE_AND,     /* the right one; or the left one, but only when that is nil or false */
    USE_OR,      /* either */
    USE_COMPUTE, /* a metamethod of either operand may get both */
    USE_ORDER,   /* the same, and the result is a boolean */
    USE_EQUAL,   /* __eq is called for two tables that both have it, so ours never are */
};
static const struct operator_row {
    int token;
    uint8_t left, right;
    enum operator_use use;
} operators[] = {
    {'+', 6, 6, USE_COMPUTE},          {'-', 6, 6, USE_COMPUTE},
    {'*', 7, 7, USE_COMPUTE},          {'/', 7, 7, USE_COMPUTE},
    {'%', 7, 7, USE_COMPUTE},          {'^', 10, 9, USE_COMPUTE},
    {TOKEN_CONCAT, 5, 4, USE_COMPUTE}, {TOKEN_NE, 3, 3, USE_EQUAL},
    {TOKEN_EQ, 3, 3, USE_EQUAL},       {'<', 3, 3, USE_ORDER},
    {TOKEN_LE, 3, 3, USE_ORDER},       {'>', 3, 3, USE_ORDER},
    {TOKEN_GE, 3, 3, USE_ORDER},       {TOKEN_AND, 2, 2, USE_AND},
    {TOKEN_OR, 1, 1, USE_OR},
};
enum { UNARY = 8 };

static struct expr expr_any(void)
{
    return (struct expr){.form = EXPR_ANY};
}

/* A number as a literal where Redis writes it as an integer. */
static struct expr expr_number(double number)
{
    bool plain =
        number == floor(number) && fabs(number) < 1e15 && !(number == 0 && signbit(number));
    if (!plain)
        return expr_any();
    return (struct expr){.form = EXPR_LITERAL, .is_number = true, .number = number};
}

static void field_parse(struct parser *parser)
{
    struct expr value;
    if (parser->token.kind == '[') {
        token_next(parser);
        value = expr_parse(parser);
        expr_escape(parser, &value);
        token_expect(parser, ']', "']' is expected");
        token_expect(parser, '=', "'=' is expected");
    } else if (parser->token.kind == TOKEN_NAME && token_ahead(parser) == '=') {
        token_next(parser);
        token_next(parser);
    }
    value = expr_parse(parser);
    expr_escape(parser, &value);
}

/* At '{'. What is put into a table is not followed. */
static struct expr table_parse(struct parser *parser)
{
    token_next(parser);
    while (parser->token.kind != '}') {
        field_parse(parser);
        if (!token_skip(parser, ',') && !token_skip(parser, ';'))
            break;
    }
    token_expect(parser, '}', "'}' is expected");
    return expr_any();
}

struct expr name_parse(struct parser *parser)
{
    struct str name = name_expect(parser);
    struct local *local = symbol_of(parser, name)->local;
    /* A Lua built without LUA_COMPAT_VARARG has no such local: there the name is the outer one. */
    if (local && local->implicit && local->shadowed && str_equal(name, STR("arg")))
        parser_refuse(parser, "'arg' means another local where functions take '...'");
    if (local)
        return (struct expr){.form = local->caller ? EXPR_CALLER : EXPR_LOCAL, .local = local};
    const struct global *global = global_find(name);
    if (!global) {
        parser_refuse(parser, "the global '%s' is not on the list", name_shown(parser, name));
        return expr_any();
    }
    return (struct expr){.form = EXPR_GLOBAL, .global = global};
}

static struct expr redis_member(struct parser *parser, const struct global *redis, struct str name)
{
    switch (redis_member_find(name)) {
    case REDIS_CALL: return (struct expr){.form = EXPR_CALLER};
    case REDIS_REGISTER:
        if (parser->kind == SCRIPT_LIBRARY)
            return (struct expr){.form = EXPR_REGISTER};
        break;
    case REDIS_HARMLESS:
        return (struct expr){.form = EXPR_FIELD, .base = BASE_GLOBAL, .global = redis};
    case REDIS_REFUSED:
    case REDIS_UNKNOWN: break;
    }
    parser_refuse(parser, "redis.%s is not on the list", name_shown(parser, name));
    return expr_any();
}

/* The element of `of` by a name, or by a key that is a literal; by any other key: no name. */
static struct expr field_of(struct parser *parser, struct expr of, const struct expr *key)
{
    struct expr field = {.form = EXPR_FIELD};
    bool named = key->form == EXPR_LITERAL && !key->is_number;
    if (key->is_number && key->number >= 1 && key->number <= 1000000)
        field.index = (uint32_t)key->number;
    if (of.form == EXPR_LOCAL) {
        field.base = BASE_LOCAL;
        field.local = of.local;
    } else if (of.form == EXPR_GLOBAL && of.global->kind == GLOBAL_TABLE) {
        field.base = BASE_TABLE;
        field.table = of.global->table;
    } else if (of.form == EXPR_GLOBAL && of.global->kind == GLOBAL_REDIS && named) {
        return redis_member(parser, of.global, key->literal);
    } else if (of.form == EXPR_GLOBAL && of.global->kind == GLOBAL_REDIS) {
        parser_refuse(parser, "a member of redis is chosen by a computed name");
    } else if (of.form == EXPR_GLOBAL) {
        field.base = BASE_GLOBAL;
        field.global = of.global;
        field.literal = named ? key->literal : STR("");
    } else {
        expr_escape(parser, &of);
    }
    return field;
}

/* At '.': the name behind it. */
struct expr dot_parse(struct parser *parser, struct expr of)
{
    token_next(parser);
    struct expr key = {.form = EXPR_LITERAL, .literal = name_expect(parser)};
    return field_of(parser, of, &key);
}

static struct expr index_parse(struct parser *parser, struct expr of)
{
    token_next(parser);
    struct expr key = expr_parse(parser);
    token_expect(parser, ']', "']' is expected");
    /* __index of a table of the body gets the key */
    expr_escape(parser, &key);
    return field_of(parser, of, &key);
}

static struct expr prefix_parse(struct parser *parser)
{
    if (parser->token.kind == TOKEN_NAME)
        return name_parse(parser);
    if (!token_skip(parser, '(')) {
        parser_malformed(parser, "unexpected symbol");
        return expr_any();
    }
    struct expr expr = expr_parse(parser);
    token_expect(parser, ')', "')' is expected");
    expr.parens = true;
    return expr;
}

struct expr suffixed_parse(struct parser *parser)
{
    struct expr expr = prefix_parse(parser);
    for (;;)
        switch (parser->token.kind) {
        case '.': expr = dot_parse(parser, expr); break;
        case '[': expr = index_parse(parser, expr); break;
        case ':':
            token_next(parser);
            name_expect(parser);
            expr_escape(parser, &expr); /* its first argument */
            expr = call_parse(parser, expr_any());
            break;
        case '(':
        case '{':
        case TOKEN_STRING: expr = call_parse(parser, expr); break;
        default: return expr;
        }
}

struct expr simple_parse(struct parser *parser)
{
    struct expr expr = {.form = EXPR_NOTHING};
    switch (parser->token.kind) {
    case TOKEN_NUMBER: expr = expr_number(parser->token.number); break;
    case TOKEN_STRING:
        expr = (struct expr){.form = EXPR_LITERAL, .literal = parser->token.text};
        break;
    case TOKEN_NIL:
    case TOKEN_TRUE:
    case TOKEN_FALSE: break;
    case TOKEN_DOTS:
        if (!parser->function->varargs)
            parser_malformed(parser, "'...' outside a function that takes it");
        else
            expr.form = EXPR_VARARG;
        break;
    case '{': return table_parse(parser);
    case TOKEN_FUNCTION:
        token_next(parser);
        return (struct expr){.form = EXPR_FUNCTION, .function = function_parse(parser, false)};
    default: return suffixed_parse(parser);
    }
    token_next(parser);
    return expr;
}

static struct expr expr_sub(struct parser *parser, unsigned limit);

static struct expr unary_parse(struct parser *parser)
{
    int op = parser->token.kind;
    if (op != '-' && op != '#' && op != TOKEN_NOT)
        return simple_parse(parser);
    token_next(parser);
    struct expr operand = expr_sub(parser, UNARY);
    if (op == '-' && operand.is_number)
        return expr_number(-operand.number);
    if (op == '-')
        expr_escape(parser, &operand);
    else
        expr_test(parser, &operand);
    return op == TOKEN_NOT ? (struct expr){.form = EXPR_NOTHING} : expr_any();
}

static struct expr choice_of(struct sources sources)
{
    return (struct expr){.form = EXPR_CHOICE, .sources = sources};
}

static struct expr binary_of(struct parser *parser, const struct operator_row *row,
                             struct expr *left, struct expr *right)
{
    struct sources sources = {0};
    switch (row->use) {
    case USE_OR:
        sources = expr_move(parser, left);
        sources_join(&sources, expr_move(parser, right));
        return choice_of(sources);
    case USE_AND: expr_test(parser, left); return choice_of(expr_move(parser, right));
    case USE_EQUAL:
        expr_test(parser, left);
        expr_test(parser, right);
        return (struct expr){.form = EXPR_NOTHING};
    case USE_COMPUTE:
    case USE_ORDER:
        expr_escape(parser, left);
        expr_escape(parser, right);
        break;
    }
    return (struct expr){.form = row->use == USE_ORDER ? EXPR_NOTHING : EXPR_ANY};
}

static const struct operator_row *operator_find(int token)
{
    for (size_t i = 0; i < ARRAY_LEN(operators); i++)
        if (operators[i].token == token)
            return &operators[i];
    return NULL;
}

/* Takes operators that bind stronger than limit. */
static struct expr expr_sub(struct parser *parser, unsigned limit)
{
    if (!depth_enter(parser))
        return expr_any();
    struct expr left = unary_parse(parser);
    const struct operator_row *row;
    while ((row = operator_find(parser->token.kind)) && row->left > limit) {
        token_next(parser);
        struct expr right = expr_sub(parser, row->right);
        left = binary_of(parser, row, &left, &right);
    }
    depth_leave(parser);
    return left;
}

struct expr expr_parse(struct parser *parser)
{
    return expr_sub(parser, 0);
}
