/* statement.c - the grammar of Lua's statements and functions, and who is assigned what. */
#include "internal.h"

/* What is assigned from a list of expressions: a local, or NULL for a field. */
struct targets {
    struct local *locals[NAMES_MAX];
    uint32_t count;
};

static void target_add(struct parser *parser, struct targets *targets, struct local *local)
{
    if (targets->count == NAMES_MAX)
        parser_malformed(parser, "too many names in one statement");
    else
        targets->locals[targets->count++] = local;
}

static void target_give(struct parser *parser, struct targets *targets, uint32_t i,
                        struct sources sources)
{
    if (i < targets->count && targets->locals[i])
        local_assign(parser, targets->locals[i], sources);
    else
        sources_escape(parser, &sources);
}

/* `local a, b = ...` and `a, b = ...`: fresh locals may be bound to redis.call. */
static void targets_give(struct parser *parser, struct targets *targets, bool fresh)
{
    for (uint32_t i = 0;; i++) {
        struct expr expr = expr_parse(parser);
        bool last = !token_skip(parser, ',');
        if (last && expr_many(&expr))
            for (uint32_t other = i + 1; other < targets->count; other++)
                target_give(parser, targets, other, expr_others(parser, &expr));
        if (fresh && i < targets->count)
            local_bind(parser, targets->locals[i], &expr);
        else
            target_give(parser, targets, i, expr_move(parser, &expr));
        if (last)
            return;
    }
}

static void list_escape(struct parser *parser)
{
    do {
        struct expr expr = expr_parse(parser);
        expr_escape(parser, &expr);
    } while (token_skip(parser, ','));
}

static void condition_parse(struct parser *parser)
{
    struct expr expr = expr_parse(parser);
    expr_test(parser, &expr);
}

/* ---- blocks ------------------------------------------------------------------------------ */

static bool statement_parse(struct parser *parser); /* true: it must be the block's last */

static bool block_ends(const struct parser *parser)
{
    switch (parser->token.kind) {
    case TOKEN_END:
    case TOKEN_END_WORD:
    case TOKEN_ELSE:
    case TOKEN_ELSEIF:
    case TOKEN_UNTIL: return true;
    default: return false;
    }
}

static void statements_parse(struct parser *parser)
{
    bool last = false;
    if (!depth_enter(parser))
        return;
    while (!last && !block_ends(parser)) {
        last = statement_parse(parser);
        token_skip(parser, ';');
    }
    depth_leave(parser);
}

static void block_parse(struct parser *parser)
{
    struct local *mark = parser->top;
    statements_parse(parser);
    scope_close(parser, mark);
}

static void loop_parse(struct parser *parser)
{
    parser->function->loops++;
    token_expect(parser, TOKEN_DO, "'do' is expected");
    block_parse(parser);
    token_expect(parser, TOKEN_END_WORD, "'end' is expected");
    parser->function->loops--;
}

/* ---- functions --------------------------------------------------------------------------- */

static void parameter_add(struct parser *parser, struct function *function, struct str name)
{
    struct parameter *parameter = fact_new(parser, sizeof(*parameter));
    parameter->local = local_new(parser, symbol_of(parser, name));
    parameter->local->parameter = true;
    if (function->last_parameter)
        function->last_parameter->next = parameter;
    else
        function->parameters = parameter;
    function->last_parameter = parameter;
    local_declare(parser, parameter->local);
}

/* A name that Lua itself gives a value: self, the old `arg` of functions that take "...". */
static void implicit_add(struct parser *parser, struct str name)
{
    struct local *local = local_new(parser, symbol_of(parser, name));
    local->implicit = true;
    local_assign(parser, local, sources_any(parser));
    local_declare(parser, local);
}

static void parameters_parse(struct parser *parser, struct function *function)
{
    token_expect(parser, '(', "'(' is expected");
    if (parser->token.kind != ')')
        do {
            if (token_skip(parser, TOKEN_DOTS)) {
                implicit_add(parser, STR("arg"));
                function->varargs = local_new(parser, NULL);
                break;
            }
            parameter_add(parser, function, name_expect(parser));
        } while (token_skip(parser, ','));
    token_expect(parser, ')', "')' is expected");
}

struct function *function_parse(struct parser *parser, bool self)
{
    struct function *function = fact_new(parser, sizeof(*function));
    struct local *mark = parser->top;
    function->outer = parser->function;
    function->next = parser->functions;
    parser->function = parser->functions = function;
    if (self)
        implicit_add(parser, STR("self"));
    parameters_parse(parser, function);
    block_parse(parser);
    token_expect(parser, TOKEN_END_WORD, "'end' is expected");
    scope_close(parser, mark);
    parser->function = function->outer;
    return function;
}

void body_parse(struct parser *parser)
{
    struct function main = {.varargs = local_new(parser, NULL)};
    local_assign(parser, main.varargs, sources_any(parser));
    parser->function = &main;
    token_next(parser);
    block_parse(parser);
    if (parser->token.kind != TOKEN_END)
        parser_malformed(parser, "'<eof>' is expected");
}

/* function name.field:method(...) */
static void function_statement(struct parser *parser)
{
    struct expr target = name_parse(parser);
    bool method = false;
    while (parser->token.kind == '.')
        target = dot_parse(parser, target);
    if (parser->token.kind == ':') {
        target = dot_parse(parser, target);
        method = true;
    }
    if (target.form == EXPR_FIELD)
        expr_change(parser, &target);
    else if (target.form != EXPR_LOCAL)
        parser_refuse(parser, target.form == EXPR_CALLER ? "redis.call is assigned"
                                                         : "a global is assigned");
    struct expr value = {.form = EXPR_FUNCTION, .function = function_parse(parser, method)};
    if (target.form == EXPR_LOCAL)
        local_assign(parser, target.local, expr_move(parser, &value));
    else
        expr_escape(parser, &value);
}

/* ---- statements -------------------------------------------------------------------------- */

static void if_statement(struct parser *parser)
{
    do {
        condition_parse(parser);
        token_expect(parser, TOKEN_THEN, "'then' is expected");
        block_parse(parser);
    } while (token_skip(parser, TOKEN_ELSEIF));
    if (token_skip(parser, TOKEN_ELSE))
        block_parse(parser);
    token_expect(parser, TOKEN_END_WORD, "'end' is expected");
}

/* The body's locals are in scope in the condition. */
static void repeat_statement(struct parser *parser)
{
    struct local *mark = parser->top;
    parser->function->loops++;
    statements_parse(parser);
    parser->function->loops--;
    token_expect(parser, TOKEN_UNTIL, "'until' is expected");
    condition_parse(parser);
    scope_close(parser, mark);
}

static void for_numbers(struct parser *parser, struct local *local)
{
    token_next(parser);
    for (int i = 0; i < 3; i++) {
        struct expr expr = expr_parse(parser);
        expr_escape(parser, &expr);
        if (i == 0)
            token_expect(parser, ',', "',' is expected");
        else if (!token_skip(parser, ','))
            break;
    }
    local_assign(parser, local, sources_any(parser));
}

/* The values of `for k, v in pairs(t)` are elements of t; of others nothing is known. */
static void for_values(struct parser *parser, struct targets *targets)
{
    struct expr expr = expr_parse(parser);
    bool elements = expr.form == EXPR_ITERATOR && !expr.parens && parser->token.kind != ',';
    if (!elements)
        expr_escape(parser, &expr);
    if (token_skip(parser, ','))
        list_escape(parser);
    for (uint32_t i = 0; i < targets->count; i++)
        target_give(parser, targets, i,
                    elements && i == 1 ? expr_elements(parser, &expr, 0) : sources_any(parser));
}

static void for_statement(struct parser *parser)
{
    struct local *mark = parser->top;
    struct targets targets = {.count = 0};
    do
        target_add(parser, &targets, local_new(parser, symbol_of(parser, name_expect(parser))));
    while (token_skip(parser, ','));
    if (targets.count == 1 && parser->token.kind == '=') {
        for_numbers(parser, targets.locals[0]);
    } else {
        token_expect(parser, TOKEN_IN, "'=' or 'in' is expected");
        for_values(parser, &targets);
    }
    for (uint32_t i = 0; i < targets.count; i++)
        local_declare(parser, targets.locals[i]);
    loop_parse(parser);
    scope_close(parser, mark);
}

static void local_statement(struct parser *parser)
{
    struct targets targets = {.count = 0};
    if (token_skip(parser, TOKEN_FUNCTION)) {
        struct local *local = local_new(parser, symbol_of(parser, name_expect(parser)));
        local_declare(parser, local); /* before its body: it may call itself */
        struct expr value = {.form = EXPR_FUNCTION, .function = function_parse(parser, false)};
        local_assign(parser, local, expr_move(parser, &value));
        return;
    }
    do
        target_add(parser, &targets, local_new(parser, symbol_of(parser, name_expect(parser))));
    while (token_skip(parser, ','));
    if (token_skip(parser, '='))
        targets_give(parser, &targets, true);
    for (uint32_t i = 0; i < targets.count; i++)
        local_declare(parser, targets.locals[i]);
}

static void assign_target(struct parser *parser, struct targets *targets, struct expr *target)
{
    if (target->parens || target->form == EXPR_CALL || target->form == EXPR_ITERATOR ||
        target->form == EXPR_ELEMENTS)
        parser_malformed(parser, "syntax error: this cannot be assigned");
    else if (target->form == EXPR_FIELD)
        expr_change(parser, target);
    else if (target->form == EXPR_CALLER)
        parser_refuse(parser, "redis.call, or a local that stands for it, is assigned");
    else if (target->form != EXPR_LOCAL)
        parser_refuse(parser, "a global is assigned");
    target_add(parser, targets, target->form == EXPR_LOCAL ? target->local : NULL);
}

/* A call, or an assignment. */
static void expr_statement(struct parser *parser)
{
    struct expr expr = suffixed_parse(parser);
    struct targets targets = {.count = 0};
    if (expr_many(&expr)) /* a call: "..." cannot stand here */
        return;
    assign_target(parser, &targets, &expr);
    while (token_skip(parser, ',')) {
        expr = suffixed_parse(parser);
        assign_target(parser, &targets, &expr);
    }
    token_expect(parser, '=', "'=' is expected");
    targets_give(parser, &targets, false);
}

static void return_statement(struct parser *parser)
{
    if (!block_ends(parser) && parser->token.kind != ';')
        list_escape(parser);
}

static bool statement_parse(struct parser *parser)
{
    int kind = parser->token.kind;
    switch (kind) {
    case TOKEN_IF:
    case TOKEN_WHILE:
    case TOKEN_DO:
    case TOKEN_FOR:
    case TOKEN_REPEAT:
    case TOKEN_FUNCTION:
    case TOKEN_LOCAL:
    case TOKEN_RETURN:
    case TOKEN_BREAK: token_next(parser); break;
    default: expr_statement(parser); return false;
    }
    switch (kind) {
    case TOKEN_IF: if_statement(parser); break;
    case TOKEN_WHILE:
        condition_parse(parser);
        loop_parse(parser);
        break;
    case TOKEN_DO:
        block_parse(parser);
        token_expect(parser, TOKEN_END_WORD, "'end' is expected");
        break;
    case TOKEN_FOR: for_statement(parser); break;
    case TOKEN_REPEAT: repeat_statement(parser); break;
    case TOKEN_FUNCTION: function_statement(parser); break;
    case TOKEN_LOCAL: local_statement(parser); break;
    case TOKEN_RETURN: return_statement(parser); break;
    case TOKEN_BREAK:
        if (parser->function->loops == 0)
            parser_malformed(parser, "no loop to break");
        break;
    }
    return kind == TOKEN_RETURN || kind == TOKEN_BREAK;
}
