/* register.c - redis.register_function of a library, in both forms:
 *
 *   redis.register_function('name', callback)
 *   redis.register_function{function_name = 'name', callback = f, flags = {'no-writes'}}
 *
 * The table must be written in place, so that its flags are known: a function with allow-oom
 * writes past maxmemory as a script with that shebang does. */
#include "internal.h"

/* Redis calls it with the tables of keys and arguments. */
static void callback_take(struct parser *parser, struct expr *callback)
{
    if (callback->form == EXPR_FUNCTION)
        callback->function->registered = true;
    else if (callback->form == EXPR_LOCAL)
        callback->local->registered = true;
    else
        expr_escape(parser, callback);
}

static void text_expect(struct parser *parser, struct expr *expr)
{
    if (expr->form != EXPR_LITERAL)
        parser_refuse(parser, "redis.register_function is given something else than a literal");
}

/* { 'no-writes', 'allow-stale' } */
static void flags_parse(struct parser *parser)
{
    if (!token_skip(parser, '{')) {
        parser_refuse(parser, "the flags of a function are no literal table");
        return;
    }
    while (parser->token.kind != '}') {
        struct expr flag = expr_parse(parser);
        text_expect(parser, &flag);
        if (flag.form == EXPR_LITERAL && script_flag_find(flag.literal) == SCRIPT_ALLOW_OOM)
            parser_refuse(parser, "the flag allow-oom is used");
        if (!token_skip(parser, ',') && !token_skip(parser, ';'))
            break;
    }
    token_expect(parser, '}', "'}' is expected");
}

static void option_parse(struct parser *parser)
{
    struct str name = name_expect(parser);
    token_expect(parser, '=', "'=' is expected");
    if (str_equal(name, STR("flags"))) {
        flags_parse(parser);
        return;
    }
    struct expr value = expr_parse(parser);
    if (str_equal(name, STR("callback")))
        callback_take(parser, &value);
    else if (str_equal(name, STR("function_name")) || str_equal(name, STR("description")))
        text_expect(parser, &value);
    else
        parser_refuse(parser, "redis.register_function is given '%s'", name_shown(parser, name));
}

/* At '{'. */
static void options_parse(struct parser *parser)
{
    token_next(parser);
    while (parser->token.kind != '}') {
        option_parse(parser);
        if (!token_skip(parser, ',') && !token_skip(parser, ';'))
            break;
    }
    token_expect(parser, '}', "'}' is expected");
}

void register_parse(struct parser *parser)
{
    if (parser->token.kind == '{') {
        options_parse(parser);
        return;
    }
    token_expect(parser, '(', "'(' is expected");
    if (parser->token.kind == '{') {
        options_parse(parser);
    } else {
        struct expr name = expr_parse(parser);
        text_expect(parser, &name);
        token_expect(parser, ',', "',' is expected");
        struct expr callback = expr_parse(parser);
        callback_take(parser, &callback);
    }
    token_expect(parser, ')', "')' is expected");
}
