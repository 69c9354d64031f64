/* compile.c - the rules of a configuration to an immutable set, indexed by command. */
#include "internal.h"

/* What is known of a rule only while it is compiled. */
struct draft {
    const struct config_rule *source;
    struct rule *rule;
    struct command_set *commands;
};

/* ---- learned commands ---- */

static bool has_key_specs(const struct command *command)
{
    for (size_t i = 0; i < command->spec_count; i++)
        if (!(command->specs[i].flags & KEY_NOT_KEY))
            return true;
    return false;
}

/* A learned command that reads, or tells its keys, and is of no dangerous kind: data. */
static bool handles_data(const struct command *command)
{
    if (command->flags & (CMD_ADMIN | CMD_NOSCRIPT) ||
        command->classes & (CLASS_ADMIN | CLASS_DANGEROUS))
        return false;
    return command->flags & CMD_READONLY || has_key_specs(command);
}

static bool command_gated(const struct command *command, enum learned_mode mode)
{
    if (!(command->flags & CMD_LEARNED))
        return false;
    switch (mode) {
    case LEARNED_DATA: return !handles_data(command);
    case LEARNED_ALL: return false;
    case LEARNED_NONE: return true;
    }
    return true;
}

/* A gated command is only let through by an allow that names it: a `*` or a class speaks of
 * commands nobody has looked at. */
static void allow_narrow(struct compiler *compiler, struct command_set *set)
{
    for (size_t id = 0; id < command_count(compiler->commands); id++)
        if (!set_has(set->named, id) &&
            command_gated(command_by_id(compiler->commands, id), compiler->config->proxy.learned))
            command_set_remove(set, id);
}

/* ---- one rule ---- */

/* Commands of which no request could meet the clause are not the rule's: they cost nothing then.
 * A rule that is left without any is a mistake. */
static void commands_narrow(struct compiler *compiler, struct draft *draft, enum clause_id id)
{
    const struct clause_type *type = &clause_types[id];
    struct command_set *set = draft->commands;
    bool had = false, left = set->incomplete;
    struct where where;
    if (!type->possible)
        return;
    for (size_t at = 0; at < command_count(compiler->commands); at++) {
        if (!set_has(set->possible, at))
            continue;
        had = true;
        if (type->possible(command_by_id(compiler->commands, at)))
            left = true;
        else
            command_set_remove(set, at);
    }
    if (had && !left) {
        config_rule_where(draft->source, type->name, &where);
        problem_warning(compiler->problems, where,
                        "rule '%s' can never match: '%s' means nothing for its commands",
                        draft->rule->name, type->name);
    }
}

static void clause_add(struct compiler *compiler, struct draft *draft, enum clause_id id)
{
    const struct clause_type *type = &clause_types[id];
    struct rule *rule = draft->rule;
    rule->text[id] = clause_text(compiler->arena, id, draft->source);
    if (!type->test || !clause_is_set(id, draft->source))
        return;
    const void *data = type->compile ? type->compile(compiler, draft->source) : NULL;
    rule->clauses[rule->clause_count++] = (struct clause){type->test, data};
    rule->who_count += id == CLAUSE_USERS || id == CLAUSE_FROM;
    if (id == CLAUSE_KEYS)
        rule->keys = data;
    rule->asks |= id == CLAUSE_UNBOUNDED && draft->source->min_elements > 0;
    commands_narrow(compiler, draft, id);
}

static void rule_compile(struct compiler *compiler, struct draft *draft)
{
    const struct config_rule *source = draft->source;
    struct rule *rule = draft->rule;
    rule->name = arena_str(compiler->arena, str_of(source->name));
    rule->action = source->action;
    rule->mode = source->mode;
    if (source->message)
        rule->message = arena_str(compiler->arena, str_of(source->message));
    if (!source->has_action)
        problem_error(compiler->problems, source->where, "rule '%s' has no action", source->name);
    if (builtin_has(source->name))
        problem_error(compiler->problems, source->where, "the name '%s' is that of a built-in rule",
                      source->name);
    draft->commands = command_set_compile(compiler, &source->commands);
    if (source->action == ACTION_ALLOW)
        allow_narrow(compiler, draft->commands);
    action_compile(compiler, source, draft->commands, rule);
    for (enum clause_id id = 0; id < CLAUSE_COUNT; id++)
        clause_add(compiler, draft, id);
    if (rule->clause_count == 0 && source->commands.count == 0)
        problem_warning(compiler->problems, source->where,
                        "rule '%s' has no clause: it matches everything", source->name);
}

/* ---- rules that never get a turn ---- */

/* An allow decides for the rules of pass 1; pass 2 still comes, unless it exempts. */
static bool always_decides(const struct draft *draft, const struct draft *behind)
{
    const struct rule *rule = draft->rule;
    if (rule->mode != RULE_ENFORCE || rule->clause_count > 0 || !action_decides(rule->action) ||
        rule->action == ACTION_CONFIRM) /* a code opens it */
        return false;
    return action_decides(behind->rule->action) || rule->action == ACTION_DENY || rule->exempt;
}

static void warn_shadowed(struct compiler *compiler, const struct draft *drafts, size_t at)
{
    size_t commands = command_count(compiler->commands);
    if (drafts[at].rule->mode == RULE_OFF)
        return;
    for (size_t i = 0; i < at; i++) {
        if (!always_decides(&drafts[i], &drafts[at]) ||
            !command_set_covers(drafts[i].commands, drafts[at].commands, commands))
            continue;
        problem_warning(compiler->problems, drafts[at].source->where,
                        "rule '%s' can never match: rule '%s' at line %d always decides first",
                        drafts[at].rule->name, drafts[i].rule->name, drafts[i].source->where.line);
        return;
    }
}

/* A bucket of a connection is new with each connection: something must count who connects. */
static void warn_reconnect(struct compiler *compiler, const struct draft *drafts, size_t count,
                           const struct draft *draft)
{
    struct where where;
    if (!draft->rule->pace.rate || draft->rule->pace.per != PER_CLIENT ||
        draft->rule->mode == RULE_OFF)
        return;
    for (size_t i = 0; i < count; i++) {
        const struct pace *pace = &drafts[i].rule->pace;
        if (pace->rate && (pace->per == PER_IP || pace->per == PER_USER) &&
            drafts[i].rule->mode == RULE_ENFORCE &&
            command_set_covers(drafts[i].commands, draft->commands,
                               command_count(compiler->commands)))
            return;
    }
    config_rule_where(draft->source, "per", &where);
    problem_warning(compiler->problems, where,
                    "rule '%s': who connects again has a full bucket: add a limit per ip or user",
                    draft->rule->name);
}

/* ---- the index ---- */

/* Where in a request's way a rule has its turn. */
enum turn { TURN_DECIDE, TURN_PACE, TURN_LOG, TURN_REWRITE, TURN_COUNT };

static enum turn action_turn(enum rule_action action)
{
    switch (action) {
    case ACTION_DENY:
    case ACTION_ALLOW:
    case ACTION_CONFIRM: return TURN_DECIDE;
    case ACTION_LIMIT:
    case ACTION_DELAY: return TURN_PACE;
    case ACTION_LOG: return TURN_LOG;
    case ACTION_REWRITE: return TURN_REWRITE;
    }
    return TURN_DECIDE;
}

static bool draft_applies(const struct draft *draft, const struct command *command, enum turn turn)
{
    return draft->rule->mode != RULE_OFF && action_turn(draft->rule->action) == turn &&
           set_has(draft->commands->possible, command->id);
}

/* The entries of these turns, one turn after the other. */
static const struct entry *entries_compile(struct compiler *compiler, const struct draft *drafts,
                                           size_t count, const struct command *command,
                                           enum turn first, enum turn end, uint32_t *total)
{
    size_t used = 0;
    for (enum turn turn = first; turn < end; turn++)
        for (size_t i = 0; i < count; i++)
            *total += draft_applies(&drafts[i], command, turn);
    struct entry *entries = arena_alloc(compiler->arena, *total * sizeof(*entries));
    for (enum turn turn = first; turn < end; turn++)
        for (size_t i = 0; i < count; i++)
            if (draft_applies(&drafts[i], command, turn))
                entries[used++] =
                    (struct entry){drafts[i].rule,
                                   command_set_condition(drafts[i].commands, command)};
    return entries;
}

static void row_compile(struct compiler *compiler, const struct policy *policy,
                        const struct draft *drafts, const struct command *command,
                        struct command_row *row)
{
    size_t count = policy->rule_count;
    row->gated = command_gated(command, compiler->config->proxy.learned);
    row->special = (uint8_t)special_of(command->name);
    row->expiry = expiry_of(command->name);
    row->bound = bound_of(command->name);
    row->entries = entries_compile(compiler, drafts, count, command, TURN_DECIDE, TURN_PACE,
                                   &row->entry_count);
    row->shapes =
        entries_compile(compiler, drafts, count, command, TURN_PACE, TURN_COUNT, &row->shape_count);
    row->deciders = who_mask(compiler, policy, row->entries, row->entry_count, false);
    row->shapers = who_mask(compiler, policy, row->shapes, row->shape_count, false);
    row->plain_deciders = who_mask(compiler, policy, row->entries, row->entry_count, true);
    row->plain_shapers = who_mask(compiler, policy, row->shapes, row->shape_count, true);
    row->always = row->gated || row->special == SPECIAL_PUBLISH;
}

static void index_compile(struct compiler *compiler, struct policy *policy,
                          const struct draft *drafts)
{
    size_t count = command_count(compiler->commands);
    struct command_row *rows = arena_alloc(compiler->arena, count * sizeof(*rows));
    for (size_t id = 0; id < count; id++)
        row_compile(compiler, policy, drafts, command_by_id(compiler->commands, id), &rows[id]);
    policy->commands = rows;
    policy->command_count = count;
}

/* ---- the set ---- */

static struct draft *drafts_compile(struct compiler *compiler, struct policy *policy)
{
    const struct config *config = compiler->config;
    struct rule *rules = arena_alloc(compiler->arena, policy->rule_count * sizeof(*rules));
    struct draft *drafts = arena_alloc(compiler->scratch, policy->rule_count * sizeof(*drafts));
    for (size_t i = 0; i < policy->rule_count; i++) {
        drafts[i] = (struct draft){.source = &config->rules[i], .rule = &rules[i]};
        rule_compile(compiler, &drafts[i]);
        policy->samples_ttl |= config->rules[i].without_ttl && config->rules[i].mode != RULE_OFF;
        policy->shares |= config->rules[i].shared && config->rules[i].mode != RULE_OFF;
        warn_shadowed(compiler, drafts, i);
    }
    for (size_t i = 0; i < policy->rule_count; i++)
        warn_reconnect(compiler, drafts, policy->rule_count, &drafts[i]);
    policy->rules = rules;
    return drafts;
}

struct policy *policy_compile(const struct config *config, const struct command_table *commands,
                              struct problems *problems)
{
    struct compiler compiler = {arena_new(), arena_new(), config, commands, problems};
    struct policy *policy = arena_alloc(compiler.arena, sizeof(*policy));
    size_t errors = problems->errors;
    *policy = (struct policy){.arena = compiler.arena,
                              .rule_count = config->rule_count,
                              .observe = config->proxy.observe};
    if (policy->rule_count > POLICY_RULES_MAX) {
        problem_error(problems, config->rules[POLICY_RULES_MAX].where, "more than %d rules",
                      POLICY_RULES_MAX);
        policy->rule_count = 0;
    }
    struct draft *drafts = drafts_compile(&compiler, policy);
    if (problems->errors == errors)
        index_compile(&compiler, policy, drafts);
    arena_free(compiler.scratch);
    if (problems->errors == errors)
        return policy;
    arena_free(compiler.arena);
    return NULL;
}
