/*
 * shape.c - pass 2, for what was let through: limits and delays, then log, then rewrites.
 *
 *   every limit and delay that holds -> charges -> all buckets tested -> all charged, or none
 *
 * An observing rule has buckets of its own and only says what it would have done.
 */
#include "internal.h"

#include <stdlib.h>

/* What a request wants from the buckets. The room is enough for all but requests whose keys are of
 * many prefixes. */
struct charges {
    struct charge room[16], *items;
    size_t count, cap;
};

static void charges_init(struct charges *charges)
{
    charges->items = charges->room;
    charges->count = 0;
    charges->cap = ARRAY_LEN(charges->room);
}

static void charges_free(struct charges *charges)
{
    if (charges->items != charges->room)
        free(charges->items);
}

static void charges_grow(struct charges *charges)
{
    size_t bytes = charges->cap * sizeof(struct charge);
    struct charge *items = xmalloc(bytes * 2);
    memcpy(items, charges->items, bytes);
    charges_free(charges);
    charges->items = items;
    charges->cap *= 2;
}

/* Two of one bucket are one of both: keys of the same prefix. */
static void charges_add(struct charges *charges, const struct rule *rule, uint16_t index,
                        uint64_t hash, uint64_t cost, bool sum)
{
    for (size_t i = 0; i < charges->count; i++)
        if (charges->items[i].rule == index && charges->items[i].hash == hash) {
            charges->items[i].cost += sum ? cost : 0;
            return;
        }
    if (charges->count == charges->cap)
        charges_grow(charges);
    charges->items[charges->count++] = (struct charge){.limiter = rule->pace.limiter,
                                                       .hash = hash,
                                                       .cost = cost,
                                                       .patience = rule->pace.patience,
                                                       .rule = index};
}

/* ---- which rules ---- */

static const struct called *called_of(const struct question *question, uint16_t rule)
{
    for (size_t i = 0; i < question->called_count; i++)
        if (question->called[i].rule == rule)
            return &question->called[i];
    return NULL;
}

/* A request on its way through pass 2. */
struct pass {
    const struct policy *policy;
    struct asking asking;
    struct classes classes;
    size_t at, called_at; /* of next_rule() */
};

static struct pass pass_begin(const struct policy *policy, const struct question *question)
{
    const struct command_row *row = &policy->commands[question->command->id];
    return (struct pass){
        .policy = policy,
        .asking = asking_of(policy, row, question),
    };
}

/* The next rule that holds, for the request itself or for a call of its script; NULL: no more. */
static const struct rule *next_rule(struct pass *pass)
{
    const struct question *question = pass->asking.question;
    const struct command_row *row = pass->asking.row;
    while (pass->at < row->shape_count) {
        const struct entry *entry = &row->shapes[pass->at++];
        uint16_t index = (uint16_t)(entry->rule - pass->policy->rules);
        if (!called_of(question, index) &&
            entry_matches(pass->policy, entry, &pass->asking, &pass->classes))
            return entry->rule;
    }
    if (pass->called_at < question->called_count)
        return &pass->policy->rules[question->called[pass->called_at++].rule];
    return NULL;
}

/* What is computed counts as one. */
static void called_add(struct called *called, const struct question *call)
{
    size_t keys = call->key_count ? call->key_count : call->keys_unknown;
    size_t room = (size_t)UINT16_MAX - called->keys;
    called->keys = (uint16_t)(called->keys + (keys < room ? keys : room));
}

bool policy_note_called(const struct policy *policy, const struct question *call,
                        struct called called[CALLED_MAX], size_t *count)
{
    const struct rule *rule;
    struct pass pass = pass_begin(policy, call);
    while ((rule = next_rule(&pass))) {
        uint16_t index = (uint16_t)(rule - policy->rules);
        size_t at = 0;
        while (at < *count && called[at].rule != index)
            at++;
        if (rule->action == ACTION_REWRITE)
            continue;
        if (at == CALLED_MAX)
            return false;
        if (at == *count)
            called[(*count)++] = (struct called){.rule = index};
        called_add(&called[at], call);
    }
    return true;
}

/* ---- whose bucket, and how much of it ---- */

/* What deletes without naming keys deletes all of them: that is a bucketful. */
static uint64_t keys_cost(const struct rule *rule, uint16_t index, const struct question *question)
{
    const struct called *called = called_of(question, index);
    if (called)
        return called->keys;
    if (question->key_count)
        return question->key_count;
    if (question->kind == QUESTION_REQUEST && question_classes(question, false) & CLASS_DELETE)
        return rule->pace.burst;
    return question->keys_unknown;
}

static uint64_t request_cost(const struct rule *rule, uint16_t index,
                             const struct question *question)
{
    switch (rule->pace.cost) {
    case COST_REQUESTS: return 1;
    case COST_KEYS: return keys_cost(rule, index, question);
    case COST_BYTES: return policy_bytes(question->command, question->argv, question->argc);
    }
    return 1;
}

/* IPv6 counts by /64: one person has that many addresses at least. */
static uint64_t address_hash(const struct limiter *limiter, const struct address *address)
{
    char text[9] = {address->is_unix ? 'u' : address->is_ipv6 ? '6' : '4'};
    size_t len = address->is_unix ? 0 : address->is_ipv6 ? 8 : 4;
    memcpy(text + 1, address->ip, len);
    return limiter_hash(limiter, text, len + 1);
}

/* The declared prefix a key counts under; empty: none, and all such keys share one bucket. */
static struct str key_prefix(const struct question *question, struct str key)
{
    return question->prefix_of ? question->prefix_of(question->scheme, key) : STR("");
}

static void charge_prefixes(const struct rule *rule, uint16_t index,
                            const struct question *question, struct charges *charges)
{
    const struct pace *pace = &rule->pace;
    bool by_key = pace->cost == COST_KEYS;
    uint64_t cost = request_cost(rule, index, question), each = by_key ? 1 : cost;
    for (size_t i = 0; cost > 0 && i < question->key_count; i++) {
        struct str prefix = key_prefix(question, question->argv[question->keys[i].arg]);
        charges_add(charges, rule, index, limiter_hash(pace->limiter, prefix.ptr, prefix.len), each,
                    by_key);
    }
    uint64_t named = by_key ? question->key_count : question->key_count ? cost : 0;
    if (cost > named) /* of no key that is known */
        charges_add(charges, rule, index, limiter_hash(pace->limiter, "", 0), cost - named, by_key);
}

static void charge_rule(const struct rule *rule, uint16_t index, const struct question *question,
                        struct charges *charges)
{
    const struct pace *pace = &rule->pace;
    const struct subject *subject = question->subject;
    uint64_t hash = 0, cost;
    switch (pace->per) {
    case PER_CLIENT:
        hash = limiter_hash(pace->limiter, &subject->client_id, sizeof(subject->client_id));
        break;
    case PER_IP: hash = address_hash(pace->limiter, &subject->address); break;
    case PER_USER: hash = limiter_hash(pace->limiter, subject->user.ptr, subject->user.len); break;
    case PER_RULE: hash = limiter_hash(pace->limiter, "", 0); break;
    case PER_PREFIX: charge_prefixes(rule, index, question, charges); return;
    }
    cost = request_cost(rule, index, question);
    if (cost > 0)
        charges_add(charges, rule, index, hash, cost, false);
}

/* ---- shared by all respgates ---- */

static bool is_leased(const struct question *question, uint16_t rule)
{
    for (size_t i = 0; i < question->leased_count; i++)
        if (question->leased[i] == rule)
            return true;
    return false;
}

/* "RULE:4<ip>", "RULE:u<user>": bytes of any kind behind the colon. */
static void shared_name(const struct rule *rule, const struct subject *subject,
                        struct shared_cost *out)
{
    const struct address *address = &subject->address;
    size_t len = strlen(rule->name), room = sizeof(out->name);
    memcpy(out->name, rule->name, len);
    out->name[len++] = ':';
    if (rule->pace.per == PER_IP) {
        size_t bytes = address->is_unix ? 0 : address->is_ipv6 ? 8 : 4;
        out->name[len++] = address->is_unix ? 's' : address->is_ipv6 ? '6' : '4';
        memcpy(out->name + len, address->ip, bytes);
        len += bytes;
    } else if (rule->pace.per == PER_USER) {
        size_t bytes = subject->user.len < room - len - 1 ? subject->user.len : room - len - 1;
        out->name[len++] = 'u';
        memcpy(out->name + len, subject->user.ptr, bytes);
        len += bytes;
    }
    out->name_len = len;
}

size_t policy_shared(const struct policy *policy, const struct question *question,
                     struct shared_cost out[SHARED_MAX])
{
    const struct rule *rule;
    struct pass pass = pass_begin(policy, question);
    size_t count = 0;
    if (likely(!policy->shares))
        return 0;
    while (count < SHARED_MAX && (rule = next_rule(&pass))) {
        uint16_t index = (uint16_t)(rule - policy->rules);
        uint64_t cost = rule->pace.shared ? request_cost(rule, index, question) : 0;
        if (!cost || rule->mode == RULE_OBSERVE || policy->observe)
            continue;
        out[count] = (struct shared_cost){.rule = index,
                                          .cost = cost,
                                          .burst = rule->pace.burst,
                                          .rate = rule->pace.rate};
        shared_name(rule, question->subject, &out[count++]);
    }
    return pass.asking.ask ? 0 : count; /* the node is asked first: policy_shape() says so */
}

/* ---- the pass ---- */

static void note(uint16_t *rules, uint16_t *count, uint16_t index)
{
    if (*count < SHAPE_RULES_MAX && !(*count && rules[*count - 1] == index))
        rules[(*count)++] = index;
}

static bool only_observes(const struct policy *policy, const struct rule *rule)
{
    return rule->mode == RULE_OBSERVE || policy->observe;
}

/* The one that waits longest speaks: what it tells is true for the others too. */
static void paces_apply(struct charges *charges, uint64_t now, struct shape *out)
{
    bool passes = buckets_charge(charges->items, charges->count, now);
    uint64_t longest = 0;
    for (size_t i = 0; i < charges->count; i++) {
        const struct charge *charge = &charges->items[i];
        bool concerned = passes || charge->wait > charge->patience;
        if (!concerned || charge->wait <= longest)
            continue;
        longest = charge->wait;
        out->rule = charge->rule;
        out->kind = passes ? SHAPE_DELAY : SHAPE_THROTTLE;
    }
    /* A delay is over for a throttled one when its patience suffices again, but then it still has
     * to wait: the whole wait is what is told. */
    out->wait_ms = (longest + 999999) / 1000000;
}

/* What observes is charged only for what really passes, each for itself. */
static void paces_observe(const struct policy *policy, const struct question *question,
                          uint64_t now, struct shape *out)
{
    const struct rule *rule;
    struct pass pass = pass_begin(policy, question);
    while ((rule = next_rule(&pass))) {
        uint16_t index = (uint16_t)(rule - policy->rules);
        if (!only_observes(policy, rule))
            continue;
        if (rule->action == ACTION_LOG || rule->action == ACTION_REWRITE) {
            note(out->observed, &out->observed_count, index);
            continue;
        }
        struct charges charges;
        charges_init(&charges);
        charge_rule(rule, index, question, &charges);
        bool conforms = buckets_charge(charges.items, charges.count, now);
        for (size_t at = 0; at < charges.count; at++)
            if (!conforms || charges.items[at].wait > 0)
                note(out->observed, &out->observed_count, index);
        charges_free(&charges);
    }
}

bool policy_shapes(const struct policy *policy, const struct command *command, size_t argc,
                   const uint64_t *who)
{
    if (unlikely(command->id >= policy->command_count))
        return false;
    const struct command_row *row = &policy->commands[command->id];
    if (!row->shape_count)
        return false;
    bool plain = argc <= command->plain;
    return who_meets(policy, plain ? row->plain_shapers : row->shapers, who_of(policy, row, who));
}

/* Whether one of the rules goes by what the node has to be asked first. */
static bool shapes_ask(const struct policy *policy, const struct command_row *row,
                       const struct question *question)
{
    struct asking asking = asking_of(policy, row, question);
    struct classes classes = {0};
    for (size_t i = 0; i < row->shape_count; i++)
        if (row->shapes[i].rule->asks &&
            entry_matches(policy, &row->shapes[i], &asking, &classes) && asking.ask)
            return true;
    return false;
}

void policy_shape(const struct policy *policy, const struct question *question, uint64_t now,
                  struct shape *out)
{
    const struct rule *rule;
    struct pass pass = pass_begin(policy, question);
    struct charges charges;
    bool observers = false;
    out->kind = SHAPE_PASS;
    out->rule = POLICY_NO_RULE;
    out->wait_ms = 0;
    out->rewrites = false;
    out->logged_count = out->observed_count = 0;
    if (question->asked == ELEMENTS_MAY_ASK && shapes_ask(policy, pass.asking.row, question)) {
        out->kind = SHAPE_ASK;
        return;
    }
    charges_init(&charges);
    while ((rule = next_rule(&pass))) {
        uint16_t index = (uint16_t)(rule - policy->rules);
        if (only_observes(policy, rule))
            observers = true;
        else if (rule->action == ACTION_LOG)
            note(out->logged, &out->logged_count, index);
        else if (rule->action == ACTION_REWRITE)
            out->rewrites = true;
        else if (likely(!rule->pace.shared) || !is_leased(question, index))
            charge_rule(rule, index, question, &charges);
    }
    if (charges.count)
        paces_apply(&charges, now, out);
    charges_free(&charges);
    if (unlikely(observers) && out->kind != SHAPE_THROTTLE)
        paces_observe(policy, question, now, out);
}

void policy_throttled(const struct policy *policy, const struct shape *shape, struct buf *out)
{
    buf_printf(out, "THROTTLED respgate: rule '%s', retry after %llu ms",
               policy_rule_name(policy, shape->rule), (unsigned long long)shape->wait_ms);
}

/* ---- buckets from one policy to the next ---- */

/* Buckets that counted something else, or somebody else, say nothing. */
static bool same_buckets(const struct pace *a, const struct pace *b)
{
    return b->limiter && a->per == b->per && a->cost == b->cost;
}

void policy_inherit(struct policy *new, const struct policy *old, uint64_t now)
{
    size_t *old_of = old ? rules_counterparts(new, old) : NULL;
    for (size_t i = 0; i < new->rule_count; i++) {
        struct pace *pace = &new->rules[i].pace;
        bool stays = old_of && old_of[i] != SIZE_MAX;
        if (!pace->rate)
            continue;
        limiter_drop(pace->limiter);
        pace->limiter = stays && same_buckets(pace, &old->rules[old_of[i]].pace)
                            ? limiter_hold(old->rules[old_of[i]].pace.limiter)
                            : limiter_new();
        limiter_tune(pace->limiter, pace->rate, pace->burst, now);
    }
    free(old_of);
}

void policy_sweep(const struct policy *policy, uint64_t now)
{
    for (size_t i = 0; i < policy->rule_count; i++)
        if (policy->rules[i].pace.limiter)
            limiter_sweep(policy->rules[i].pace.limiter, now);
}
