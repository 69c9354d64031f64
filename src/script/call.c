/* call.c - calls: which arguments are followed into the callee, and which are lost to it. */
#include "internal.h"

/* What becomes of the arguments. */
enum arguments_use { ARGUMENTS_KEEP, ARGUMENTS_ESCAPE, ARGUMENTS_TEST };

/* A call while it is parsed. Its first argument waits in `first` until it is known what takes the
 * others. */
struct calling {
    enum arguments_use use;
    bool has_first, has_more; /* more: a ',' was read behind the first */
    bool in_parens;
    struct expr first;
    struct arguments arguments;
};

static void argument_add(struct parser *parser, struct arguments *arguments, struct sources sources)
{
    struct argument *argument = fact_new(parser, sizeof(*argument));
    argument->sources = sources;
    if (arguments->last)
        arguments->last->next = argument;
    else
        arguments->first = argument;
    arguments->last = argument;
    if (++arguments->count > SCRIPT_ARGUMENTS_MAX)
        parser_malformed(parser, "function or expression too complex");
}

static void argument_take(struct parser *parser, struct calling *call, struct expr *expr, bool last)
{
    switch (call->use) {
    case ARGUMENTS_TEST: expr_test(parser, expr); return;
    case ARGUMENTS_ESCAPE: expr_escape(parser, expr); return;
    case ARGUMENTS_KEEP: break;
    }
    if (!last || !expr_many(expr)) {
        argument_add(parser, &call->arguments, expr_move(parser, expr));
        return;
    }
    /* The first of ... is a name often enough: local function run(...) return redis.call(...) */
    if (expr->form == EXPR_VARARG && call->arguments.count == 0)
        argument_add(parser, &call->arguments, expr_move(parser, expr));
    call->arguments.more = true;
    call->arguments.rest = expr_others(parser, expr);
}

/* At '(', a string or '{': reads up to the ',' behind the first argument or to the end. */
static void calling_begin(struct parser *parser, struct calling *call)
{
    *call = (struct calling){.in_parens = parser->token.kind == '('};
    if (!call->in_parens) {
        /* f"text" and f{...} */
        if (parser->token.kind != TOKEN_STRING && parser->token.kind != '{')
            parser_malformed(parser, "arguments are expected");
        call->first = simple_parse(parser);
        call->has_first = true;
        return;
    }
    if (parser->lexer.line != parser->last_line)
        parser_malformed(parser, "ambiguous syntax (function call x new statement)");
    token_next(parser);
    if (parser->token.kind == ')')
        return;
    call->first = expr_parse(parser);
    call->has_first = true;
    call->has_more = token_skip(parser, ',');
}

/* The arguments that were not read yet. */
static void calling_end(struct parser *parser, struct calling *call)
{
    while (call->has_more) {
        struct expr expr = expr_parse(parser);
        call->has_more = token_skip(parser, ',');
        argument_take(parser, call, &expr, !call->has_more);
    }
    if (call->in_parens)
        token_expect(parser, ')', "')' is expected");
}

/* All arguments, the first one too. */
static void calling_take(struct parser *parser, struct calling *call, enum arguments_use use)
{
    call->use = use;
    if (call->has_first)
        argument_take(parser, call, &call->first, !call->has_more);
    calling_end(parser, call);
}

static void call_record(struct parser *parser, uint32_t line, const struct arguments *arguments)
{
    struct call *call = fact_new(parser, sizeof(*call));
    call->line = line;
    call->arguments = *arguments;
    *parser->call_tail = call;
    parser->call_tail = &call->next;
}

static void site_record(struct parser *parser, struct local *local,
                        const struct arguments *arguments)
{
    struct site *site = fact_new(parser, sizeof(*site));
    site->arguments = *arguments;
    if (local->sites)
        local->last_site->next = site;
    else
        local->sites = site;
    local->last_site = site;
}

/* pcall(f, ...) is f(...) for what we follow. */
static void pcall_take(struct parser *parser, struct calling *call, uint32_t line)
{
    struct expr callee = call->first;
    call->use = ARGUMENTS_KEEP;
    if (callee.form == EXPR_CALLER) {
        calling_end(parser, call);
        call_record(parser, line, &call->arguments);
    } else if (callee.form == EXPR_LOCAL) {
        calling_end(parser, call);
        site_record(parser, callee.local, &call->arguments);
    } else {
        calling_take(parser, call, ARGUMENTS_ESCAPE);
    }
}

/* pairs(t), ipairs(t), unpack(t): the result remembers t. */
static struct expr table_call(struct parser *parser, struct calling *call, enum expr_form form)
{
    struct expr result = {.form = form}, *of = &call->first;
    bool table = of->form == EXPR_GLOBAL && of->global->kind == GLOBAL_TABLE;
    if (of->form == EXPR_LOCAL) {
        result.base = BASE_LOCAL;
        result.local = of->local;
    } else if (table) {
        result.base = BASE_TABLE;
        result.table = of->global->table;
    } else {
        calling_take(parser, call, ARGUMENTS_ESCAPE);
        return (struct expr){.form = EXPR_CALL};
    }
    call->use = ARGUMENTS_ESCAPE;
    calling_end(parser, call);
    return result;
}

static struct expr global_call(struct parser *parser, const struct global *global,
                               struct calling *call, uint32_t line)
{
    switch (global->kind) {
    case GLOBAL_PCALL: pcall_take(parser, call, line); break;
    case GLOBAL_ITERATOR: return table_call(parser, call, EXPR_ITERATOR);
    case GLOBAL_UNPACK: return table_call(parser, call, EXPR_ELEMENTS);
    case GLOBAL_READER: calling_take(parser, call, ARGUMENTS_TEST); break;
    case GLOBAL_REDIS: parser_refuse(parser, "redis is used as a value"); break;
    case GLOBAL_TABLE:
    case GLOBAL_LIBRARY:
    case GLOBAL_FUNCTION: calling_take(parser, call, ARGUMENTS_ESCAPE); break;
    }
    return (struct expr){.form = EXPR_CALL};
}

struct expr call_parse(struct parser *parser, struct expr callee)
{
    struct calling call;
    uint32_t line = parser->lexer.line;
    if (callee.form == EXPR_REGISTER) {
        register_parse(parser);
        return (struct expr){.form = EXPR_CALL};
    }
    calling_begin(parser, &call);
    if (callee.form == EXPR_GLOBAL)
        return global_call(parser, callee.global, &call, line);
    if (callee.form == EXPR_CALLER) {
        calling_take(parser, &call, ARGUMENTS_KEEP);
        call_record(parser, line, &call.arguments);
    } else if (callee.form == EXPR_LOCAL) {
        calling_take(parser, &call, ARGUMENTS_KEEP);
        site_record(parser, callee.local, &call.arguments);
    } else {
        bool reads = callee.form == EXPR_FIELD && callee.base == BASE_GLOBAL &&
                     reader_is(callee.global, callee.literal);
        expr_escape(parser, &callee);
        calling_take(parser, &call, reads ? ARGUMENTS_TEST : ARGUMENTS_ESCAPE);
    }
    return (struct expr){.form = EXPR_CALL};
}
