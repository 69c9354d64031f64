/* count.c - a worker's counts: made, carried over a reload, freed; rules and users by name. */
#include "count.h"

#include <stdlib.h>

#include "stages.h"

enum { MINUTE_MS = 60 * 1000 };
/* Judgements that are in no file have places behind the rules. */
enum { BUILTIN_RULES = POLICY_NO_RULE - POLICY_LEARNED };

/* ---- rules ---- */

static uint64_t *rule_counts_of(struct counts *counts, const char *name)
{
    for (size_t i = 0; i < counts->rule_count; i++)
        if (strcmp(counts->rules[i].name, name) == 0)
            return counts->rules[i].counts;
    return NULL;
}

static void rules_free(struct rule_counts *rules, size_t count)
{
    for (size_t i = 0; i < count; i++)
        free(rules[i].name);
    free(rules);
}

static void rules_adopt(struct worker *worker)
{
    struct counts *counts = worker->counts;
    const struct policy *policy = worker->snapshot->policy;
    size_t in_file = policy_rule_count(policy), count = in_file + BUILTIN_RULES;
    struct rule_counts *rules = xcalloc(count, sizeof(*rules));
    for (size_t i = 0; i < count; i++) {
        size_t rule = i < in_file ? i : POLICY_LEARNED + (i - in_file);
        rules[i].name = xstrdup(policy_rule_name(policy, (uint16_t)rule));
        const uint64_t *old = rule_counts_of(counts, rules[i].name);
        if (old)
            memcpy(rules[i].counts, old, sizeof(rules[i].counts));
    }
    rules_free(counts->rules, counts->rule_count);
    counts->rules = rules;
    counts->rule_count = count;
}

void stats_rule(struct worker *worker, uint16_t rule, enum rule_count count)
{
    struct counts *counts = worker->counts;
    size_t at = rule;
    if (rule == POLICY_NO_RULE)
        return;
    if (rule >= POLICY_LEARNED)
        at = counts->rule_count - BUILTIN_RULES + (rule - POLICY_LEARNED);
    if (at < counts->rule_count)
        counts->rules[at].counts[count]++;
}

/* ---- users ---- */

/* Names come only from logins that were accepted, and still there is an end to them. */
static struct user_counts *user_counts_of(struct counts *counts, const char *name)
{
    for (size_t i = 0; i < counts->user_count; i++)
        if (strcmp(counts->users[i].name, name) == 0)
            return &counts->users[i];
    if (counts->user_count == USERS_COUNTED)
        return &counts->users[USERS_COUNTED - 1];
    counts->users = xrealloc(counts->users, (counts->user_count + 1) * sizeof(*counts->users));
    if (counts->user_count == USERS_COUNTED - 1)
        name = "(other)";
    counts->users[counts->user_count] = (struct user_counts){.name = xstrdup(name)};
    return &counts->users[counts->user_count++];
}

struct user_counts *user_count(struct client *client)
{
    struct counts *counts = client->worker->counts;
    if (!client->user_at) {
        const char *name = client->user_name ? client->user_name : "(none)";
        client->user_at = (uint16_t)(user_counts_of(counts, name) - counts->users + 1);
    }
    struct user_counts *user = &counts->users[client->user_at - 1];
    user->requests += client->requests - client->requests_counted;
    user->denied += client->denied - client->denied_counted;
    client->requests_counted = client->requests;
    client->denied_counted = client->denied;
    return user;
}

/* ---- prefixes ---- */

_Static_assert(sizeof(struct address) <= PREFIX_ADDRESS, "an address fits into a writer");

/* Connections of one address are one writer: a pool of fifty would hide behind each other. */
void client_writer(struct client *client)
{
    char room[24];
    struct str key = address_key(&client->subject.address, room);
    uint64_t origin = 0;
    for (size_t i = 0; i < key.len; i++)
        origin = (origin ^ (unsigned char)key.ptr[i]) * 0x100000001b3ull;
    client->writer = (struct prefix_writer){.origin = origin | 1, .client = client->id};
    memcpy(client->writer.address, &client->subject.address, sizeof(struct address));
}

struct prefix_scheme *scheme_of(const struct config *config)
{
    return prefix_scheme_new(*config->prefixes.delimiter, (unsigned)config->prefixes.depth,
                             config->prefixes.max, config->prefixes.declare.items,
                             config->prefixes.declare.count);
}

static void prefixes_adopt(struct counts *counts, const struct config *config)
{
    struct prefix_scheme *scheme = scheme_of(config);
    if (prefix_scheme_equal(scheme, counts->scheme)) {
        prefix_scheme_free(scheme); /* what is in flight keeps its places */
        return;
    }
    prefix_table_adopt(counts->prefixes, scheme);
    prefix_scheme_free(counts->scheme);
    counts->scheme = scheme;
}

/* ---- life ---- */

static void slow_adopt(struct counts *counts, const struct config *config)
{
    uint64_t ms = config->log.slow;
    counts->slow_us = ms && ms < INT32_MAX / 1000 ? (uint32_t)ms * 1000 : UINT32_MAX;
}

void counts_adopt(struct worker *worker)
{
    const struct config *config = worker->snapshot->config;
    prefixes_adopt(worker->counts, config);
    slow_adopt(worker->counts, config);
    rules_adopt(worker);
}

void counts_tick(struct worker *worker)
{
    struct counts *counts = worker->counts;
    uint64_t minute = loop_now(&worker->loop) / MINUTE_MS + 1;
    if (likely(counts->minute == minute))
        return;
    prefix_minute(counts->prefixes, minute);
    hot_minute(&counts->hot, minute == counts->minute + 1);
    counts->minute = minute;
}

void counts_init(struct worker *worker)
{
    struct counts *counts = worker->counts = xcalloc(1, sizeof(*counts));
    uint64_t seed;
    random_bytes((uint8_t *)&seed, sizeof(seed));
    counts->scheme = scheme_of(worker->snapshot->config);
    counts->prefixes = prefix_table_new(counts->scheme, seed);
    counts->hot.seed = seed;
    counts->sample_in = 1;
    counts->big_requests.floor = counts->big_replies.floor = BIG_BYTES;
    slow_adopt(counts, worker->snapshot->config);
    rules_adopt(worker);
    counts_tick(worker);
    worker->loop.turn_over = counts_turn_over;
}

/* Requests in flight keep their places; what they add comes after. */
void counts_zero(struct worker *worker)
{
    struct counts *counts = worker->counts;
    for (int stat = 0; stat < STAT_COUNT; stat++)
        __atomic_store_n(&worker->stats[stat], 0, __ATOMIC_RELAXED);
    for (size_t i = 0; i < counts->command_room; i++) {
        if (!counts->commands[i])
            continue;
        histogram_clear(&counts->commands[i]->proxy);
        histogram_clear(&counts->commands[i]->backend);
        counts->commands[i]->calls = counts->commands[i]->errors = 0;
    }
    for (size_t i = 0; i < counts->rule_count; i++)
        memset(counts->rules[i].counts, 0, sizeof(counts->rules[i].counts));
    for (size_t i = 0; i < counts->user_count; i++)
        counts->users[i].requests = counts->users[i].denied = 0;
    prefix_table_zero(counts->prefixes);
    hot_clear(&counts->hot);
    big_clear(&counts->big_requests);
    big_clear(&counts->big_replies);
    counts->big_requests.floor = counts->big_replies.floor = BIG_BYTES;
    slow_clear(&counts->slow);
}

void counts_free(struct worker *worker)
{
    struct counts *counts = worker->counts;
    prefix_table_free(counts->prefixes);
    prefix_scheme_free(counts->scheme);
    for (size_t i = 0; i < counts->command_room; i++) {
        if (!counts->commands[i])
            continue;
        histogram_clear(&counts->commands[i]->proxy);
        histogram_clear(&counts->commands[i]->backend);
        free(counts->commands[i]);
    }
    free(counts->commands);
    rules_free(counts->rules, counts->rule_count);
    for (size_t i = 0; i < counts->user_count; i++)
        free(counts->users[i].name);
    free(counts->users);
    hot_clear(&counts->hot);
    big_clear(&counts->big_requests);
    big_clear(&counts->big_replies);
    slow_clear(&counts->slow);
    free(counts);
    worker->counts = NULL;
}
