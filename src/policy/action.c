/* action.c - what each action takes: its options, and the mistakes one can make with them. */
#include "internal.h"

const char *const action_details[DETAIL_COUNT] = {
    [DETAIL_RATE] = "rate",
    [DETAIL_BURST] = "burst",
    [DETAIL_PER] = "per",
    [DETAIL_COST] = "cost",
    [DETAIL_DELAY_MAX] = "delay-max",
    [DETAIL_EXEMPT] = "exempt",
    [DETAIL_ADD] = "add",
    [DETAIL_CONFIRM] = "confirm",
    [DETAIL_SHARED] = "shared",
    [DETAIL_READ_FROM] = "read-from",
};

/* Options an action knows and those it cannot do without, as bits. */
static const struct action_row {
    const char *name;
    unsigned takes, needs;
} actions[] = {
    [ACTION_DENY] = {"deny", 0, 0},
    [ACTION_ALLOW] = {"allow", 1u << DETAIL_EXEMPT | 1u << DETAIL_READ_FROM, 0},
    [ACTION_LIMIT] = {"limit",
                      1u << DETAIL_RATE | 1u << DETAIL_BURST | 1u << DETAIL_PER |
                          1u << DETAIL_COST | 1u << DETAIL_SHARED,
                      1u << DETAIL_RATE},
    [ACTION_DELAY] = {"delay",
                      1u << DETAIL_RATE | 1u << DETAIL_BURST | 1u << DETAIL_PER |
                          1u << DETAIL_COST | 1u << DETAIL_DELAY_MAX,
                      1u << DETAIL_RATE},
    [ACTION_LOG] = {"log", 0, 0},
    [ACTION_CONFIRM] = {"confirm", 1u << DETAIL_CONFIRM, 0},
    [ACTION_REWRITE] = {"rewrite", 1u << DETAIL_ADD, 1u << DETAIL_ADD},
};

const char *action_name(enum rule_action action)
{
    return actions[action].name;
}

/* "limit and delay": the actions that take an option. */
static void add_takers(struct buf *out, enum detail detail)
{
    for (size_t i = 0; i < ARRAY_LEN(actions); i++)
        if (actions[i].takes >> detail & 1)
            buf_printf(out, "%s%s", out->len ? " and " : "", actions[i].name);
}

static void details_check(struct compiler *compiler, const struct config_rule *source,
                          struct rule *rule)
{
    const struct action_row *row = &actions[source->action];
    for (enum detail detail = 0; detail < DETAIL_COUNT; detail++) {
        struct where where;
        struct buf text = {0};
        bool set = config_rule_where(source, action_details[detail], &where);
        if (set && source->has_action && !(row->takes >> detail & 1)) {
            add_takers(&text, detail);
            problem_error(compiler->problems, where,
                          "'%s' means nothing with '%s': it belongs to %.*s",
                          action_details[detail], row->name, (int)text.len, text.ptr);
        } else if (set) {
            config_rule_text(source, action_details[detail], &text);
            rule->details[detail] = arena_str(compiler->arena, buf_view(&text));
        }
        buf_free(&text);
    }
}

static bool is_missing(const struct config_rule *source, enum detail detail)
{
    if (!(actions[source->action].needs >> detail & 1))
        return false;
    return detail == DETAIL_RATE ? source->rate <= 0 : !source->add;
}

/* What the rate brings in a second is what passes at once, unless it is said. */
static uint64_t burst_of(const struct config_rule *source)
{
    if (source->burst)
        return source->burst;
    return source->rate > 1 ? (uint64_t)source->rate : 1;
}

static void pace_compile(const struct config_rule *source, struct rule *rule)
{
    rule->pace = (struct pace){
        .rate = source->rate,
        .burst = burst_of(source),
        .per = source->per,
        .cost = source->cost,
        .shared = source->shared,
        .patience = source->action == ACTION_DELAY ? source->delay_max * 1000000 : 0,
    };
}

/* A connection is known to one respgate only, and a request may be of several prefixes. */
static void shared_check(struct compiler *compiler, const struct config_rule *source)
{
    struct where where;
    config_rule_where(source, "shared", &where);
    if (source->shared && (source->per == PER_CLIENT || source->per == PER_PREFIX))
        problem_error(compiler->problems, where,
                      "rule '%s': 'shared = yes' goes with per = ip, user or rule", source->name);
}

static void rewrite_compile(struct compiler *compiler, const struct config_rule *source,
                            const struct command_set *commands, struct rule *rule)
{
    struct where where;
    config_rule_where(source, "add", &where);
    if (!rewrite_parse(str_of(source->add), &rule->rewrite)) {
        problem_error(compiler->problems, where,
                      "add: '%s' is none of: MAXLEN ~ N, MAXLEN = N, EX SECONDS, ASYNC",
                      source->add);
        return;
    }
    for (size_t id = 0; id < command_count(compiler->commands); id++)
        if (set_has(commands->possible, id) &&
            rewrite_fits(rule->rewrite.kind, command_by_id(compiler->commands, id)->name))
            return;
    problem_error(compiler->problems, where, "rule '%s' names no command that '%s' can be added to",
                  source->name, source->add);
}

void action_compile(struct compiler *compiler, const struct config_rule *source,
                    const struct command_set *commands, struct rule *rule)
{
    bool complete = source->has_action;
    rule->exempt = source->action == ACTION_ALLOW && source->exempt;
    rule->read_from = source->read_from; /* refused below where it means nothing */
    rule->console = source->confirm == CONFIRM_CONSOLE;
    details_check(compiler, source, rule);
    for (enum detail detail = 0; detail < DETAIL_COUNT; detail++)
        if (source->has_action && is_missing(source, detail)) {
            problem_error(compiler->problems, source->where, "rule '%s': '%s' needs '%s'",
                          source->name, action_name(source->action), action_details[detail]);
            complete = false;
        }
    if (!complete)
        return;
    if (source->action == ACTION_LIMIT || source->action == ACTION_DELAY)
        pace_compile(source, rule);
    if (source->action == ACTION_LIMIT)
        shared_check(compiler, source);
    if (source->action == ACTION_REWRITE)
        rewrite_compile(compiler, source, commands, rule);
}
