/* who.c - which rules can hold for a client at all: clauses about who asks, tested once for each
 * client and rule set, so that other clients' rules cost a request nothing. */
#include "internal.h"

static size_t rule_words(const struct policy *policy)
{
    return (policy->rule_count + 63) / 64;
}

static void mask_add(uint64_t *mask, const struct policy *policy, const struct rule *rule)
{
    size_t index = (size_t)(rule - policy->rules);
    mask[index / 64] |= 1ull << (index % 64);
}

/* Classes that only come with options do not count for a request without any. */
const uint64_t *who_mask(struct compiler *compiler, const struct policy *policy,
                         const struct entry *entries, size_t count, bool plain)
{
    uint64_t *mask = arena_alloc(compiler->arena, rule_words(policy) * sizeof(*mask));
    for (size_t i = 0; i < count; i++)
        if (!plain || !entries[i].classes)
            mask_add(mask, policy, entries[i].rule);
    return mask;
}

/* Two sets: for commands that run in the client's db, and for those that name another. */
size_t policy_who_words(const struct policy *policy)
{
    return rule_words(policy) * 2;
}

const uint64_t *who_of(const struct policy *policy, const struct command_row *row,
                       const uint64_t *who)
{
    return who && special_names_db(row->special) ? who + rule_words(policy) : who;
}

void policy_who(const struct policy *policy, const struct subject *subject, int64_t db,
                uint64_t *who)
{
    struct question question = {.subject = subject, .db = db};
    struct asking asking = {.question = &question};
    memset(who, 0, policy_who_words(policy) * sizeof(*who));
    for (size_t i = 0; i < policy->rule_count; i++) {
        const struct rule *rule = &policy->rules[i];
        bool holds = true, here = true;
        for (size_t at = 0; holds && at < rule->who_count; at++)
            holds = rule->clauses[at].test(rule->clauses[at].data, &asking);
        for (size_t at = rule->who_count; at < rule->clause_count; at++)
            if (rule->clauses[at].test == clause_types[CLAUSE_DB].test)
                here = rule->clauses[at].test(rule->clauses[at].data, &asking);
        if (holds && here)
            mask_add(who, policy, rule);
        if (holds)
            mask_add(who + rule_words(policy), policy, rule);
    }
}

bool who_meets(const struct policy *policy, const uint64_t *mask, const uint64_t *who)
{
    if (!who)
        return true;
    uint64_t met = 0;
    for (size_t i = 0; i < rule_words(policy); i++)
        met |= mask[i] & who[i];
    return met;
}
