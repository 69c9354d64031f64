/* policy.c - the judgement of a request: built-in judgements, then the first rule that holds. */
#include "internal.h"

bool policy_concerns(const struct policy *policy, const struct command *command, size_t argc,
                     const uint64_t *who)
{
    if (unlikely(command->id >= policy->command_count))
        return true;
    const struct command_row *row = &policy->commands[command->id];
    if (row->always || !row->entry_count)
        return row->always;
    bool plain = argc <= command->plain;
    return who_meets(policy, plain ? row->plain_deciders : row->deciders, who_of(policy, row, who));
}

/* ---- one rule ---- */

static const char unknown_text[] = "\0?";
const struct str policy_unknown = {unknown_text, sizeof(unknown_text) - 1};

uint64_t question_classes(const struct question *question, bool refuses)
{
    const struct command *command = question->command;
    switch (question->kind) {
    case QUESTION_REQUEST: break;
    case QUESTION_SCRIPT: return command->classes | (refuses ? 0 : question->more_classes);
    case QUESTION_CALL_OPEN: return command->classes | (refuses ? command->maybe : 0);
    }
    return command_classes(command, question->argv, question->argc) | question->more_classes;
}

static bool entry_holds(const struct entry *entry, const struct question *question,
                        struct classes *classes)
{
    if (likely(entry->classes == 0))
        return true;
    bool refuses = entry->rule->action == ACTION_DENY || entry->rule->action == ACTION_CONFIRM;
    if (!classes->known[refuses]) {
        classes->bits[refuses] = question_classes(question, refuses);
        classes->known[refuses] = true;
    }
    return classes->bits[refuses] & entry->classes;
}

static bool rule_holds(const struct rule *rule, struct asking *asking)
{
    size_t known = asking->who ? rule->who_count : 0; /* entry_matches() has looked */
    asking->every = rule->action == ACTION_ALLOW;
    asking->blind = false;
    for (size_t i = known; i < rule->clause_count; i++)
        if (!rule->clauses[i].test(rule->clauses[i].data, asking))
            return false;
    return true;
}

struct asking asking_of(const struct policy *policy, const struct command_row *row,
                        const struct question *question)
{
    return (struct asking){.question = question,
                           .row = row,
                           .who = who_of(policy, row, question->who),
                           .special = row->special};
}

bool entry_matches(const struct policy *policy, const struct entry *entry, struct asking *asking,
                   struct classes *classes)
{
    return who_has(asking->who, (size_t)(entry->rule - policy->rules)) &&
           entry_holds(entry, asking->question, classes) && rule_holds(entry->rule, asking);
}

/* ---- verdicts ---- */

static enum verdict_kind action_verdict(enum rule_action action)
{
    switch (action) {
    case ACTION_ALLOW: return VERDICT_ALLOW;
    case ACTION_CONFIRM: return VERDICT_CONFIRM;
    case ACTION_DENY:
    case ACTION_LIMIT: /* these are of pass 2 */
    case ACTION_DELAY:
    case ACTION_LOG:
    case ACTION_REWRITE: return VERDICT_DENY;
    }
    return VERDICT_DENY;
}

static void verdict_decide(struct verdict *out, enum verdict_kind kind, uint16_t rule)
{
    out->kind = kind;
    out->rule = rule;
}

static void verdict_observe(struct verdict *out, uint16_t rule)
{
    if (out->observed_count < OBSERVED_MAX)
        out->observed[out->observed_count++] = rule;
}

static bool is_confirmed(const struct question *question, uint16_t rule)
{
    for (size_t i = 0; i < question->confirmed_count; i++)
        if (question->confirmed[i] == rule)
            return true;
    return false;
}

/* Pass 1: whether a rule decided. Under [proxy] observe the one that would have is noted, and
 * then those behind it would have had no say either. */
static bool rules_decide(const struct policy *policy, const struct command_row *row,
                         struct asking *asking, struct verdict *out)
{
    struct classes classes = {0};
    for (size_t i = 0; i < row->entry_count; i++) {
        const struct rule *rule = row->entries[i].rule;
        uint16_t index = (uint16_t)(rule - policy->rules);
        if (is_confirmed(asking->question, index) ||
            !entry_matches(policy, &row->entries[i], asking, &classes))
            continue;
        if (asking->ask) {
            *out = (struct verdict){.kind = VERDICT_ASK, .rule = index};
            return true;
        }
        if (rule->mode == RULE_OBSERVE || policy->observe) {
            verdict_observe(out, index);
        } else {
            verdict_decide(out, action_verdict(rule->action), index);
            out->blind = asking->blind;
            out->read_from = rule->read_from;
        }
        if (rule->mode != RULE_OBSERVE) {
            out->exempt = rule->exempt;
            return true;
        }
    }
    return false;
}

void policy_judge(const struct policy *policy, const struct question *question, struct verdict *out)
{
    *out = (struct verdict){.kind = VERDICT_ALLOW, .rule = POLICY_NO_RULE};
    if (unlikely(question->command->id >= policy->command_count)) {
        verdict_decide(out, VERDICT_DENY, POLICY_LEARNED);
        return;
    }
    const struct command_row *row = &policy->commands[question->command->id];
    struct asking asking = asking_of(policy, row, question);
    uint16_t builtin = builtin_judge(question, row->special);
    if (unlikely(builtin != POLICY_NO_RULE))
        verdict_decide(out, VERDICT_DENY, builtin);
    else if (rules_decide(policy, row, &asking, out) || !row->gated)
        return;
    else if (policy->observe)
        verdict_observe(out, POLICY_LEARNED);
    else
        verdict_decide(out, VERDICT_DENY, POLICY_LEARNED);
}

/* Clauses about who asks and where hold or not whatever the command is. */
static bool clause_is_about_client(const struct clause *clause)
{
    return clause->test == clause_types[CLAUSE_USERS].test ||
           clause->test == clause_types[CLAUSE_FROM].test ||
           clause->test == clause_types[CLAUSE_DB].test;
}

uint16_t policy_rule_with_keys(const struct policy *policy, const struct question *question)
{
    struct asking asking = {.question = question};
    for (size_t i = 0; i < policy->rule_count; i++) {
        const struct rule *rule = &policy->rules[i];
        bool holds = rule->keys && rule->mode == RULE_ENFORCE && !policy->observe;
        for (size_t c = 0; holds && c < rule->clause_count; c++)
            if (clause_is_about_client(&rule->clauses[c]))
                holds = rule->clauses[c].test(rule->clauses[c].data, &asking);
        if (holds)
            return (uint16_t)i;
    }
    return POLICY_NO_RULE;
}

uint16_t policy_rule_shared(const struct policy *policy)
{
    for (size_t i = 0; i < policy->rule_count && !policy->observe; i++)
        if (policy->rules[i].pace.shared && policy->rules[i].mode == RULE_ENFORCE)
            return (uint16_t)i;
    return POLICY_NO_RULE;
}

/* ---- the set ---- */

bool policy_samples_ttl(const struct policy *policy)
{
    return policy->samples_ttl;
}

size_t policy_rule_count(const struct policy *policy)
{
    return policy->rule_count;
}

const char *policy_rule_name(const struct policy *policy, uint16_t rule)
{
    if (rule < policy->rule_count)
        return policy->rules[rule].name;
    const char *name = builtin_name(rule);
    return name ? name : "(none)";
}

const char *policy_rule_action(const struct policy *policy, uint16_t rule)
{
    return action_name(rule < policy->rule_count ? policy->rules[rule].action : ACTION_DENY);
}

void policy_free(struct policy *policy)
{
    if (!policy)
        return;
    for (size_t i = 0; i < policy->rule_count; i++)
        limiter_drop(policy->rules[i].pace.limiter);
    arena_free(policy->arena); /* the policy itself lies in it */
}
