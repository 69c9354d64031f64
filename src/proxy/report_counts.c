/* report_counts.c - a worker's counts added to a report: commands, rules, users, prefixes, keys.
 *
 * Workers count the same things apart; rows of one name become one.
 */
#include <stdlib.h>

#include "count.h"
#include "stages.h"

/* ---- commands, rules, users ---- */

static struct report_command *command_row(struct report *report, const char *name)
{
    for (size_t i = 0; i < report->commands_count; i++)
        if (strcmp(report->commands[i].name, name) == 0)
            return &report->commands[i];
    struct report_command *row = REPORT_ADD(report, commands);
    row->name = name; /* of a command table: lives as long as the process */
    return row;
}

static void report_commands(struct report *report, const struct worker *worker)
{
    const struct counts *counts = worker->counts;
    const struct command_table *table = worker->snapshot->commands;
    for (size_t id = 0; id < counts->command_room && id < command_count(table); id++) {
        const struct command_counts *command = counts->commands[id];
        if (!command)
            continue;
        struct report_command *row = command_row(report, command_by_id(table, id)->name);
        row->calls += command->calls;
        row->errors += command->errors;
        histogram_merge(&row->proxy, &command->proxy);
        histogram_merge(&row->backend, &command->backend);
        histogram_merge(&report->proxy, &command->proxy);
        histogram_merge(&report->backend, &command->backend);
    }
}

static struct report_rule *rule_row(struct report *report, const char *name)
{
    for (size_t i = 0; i < report->rules_count; i++)
        if (strcmp(report->rules[i].name, name) == 0)
            return &report->rules[i];
    struct report_rule *row = REPORT_ADD(report, rules);
    row->name = report_text(report, name);
    row->action = row->mode = "";
    return row;
}

static void report_rules(struct report *report, const struct worker *worker)
{
    static const char *const modes[] = {
        [RULE_ENFORCE] = "enforce", [RULE_OBSERVE] = "observe", [RULE_OFF] = "off"};
    const struct counts *counts = worker->counts;
    const struct config *config = worker->snapshot->config;
    size_t in_file = policy_rule_count(worker->snapshot->policy);
    for (size_t i = 0; i < counts->rule_count; i++) {
        struct report_rule *row = rule_row(report, counts->rules[i].name);
        for (int count = 0; count < STATS_RULE_COUNTS; count++)
            row->counts[count] += counts->rules[i].counts[count];
        row->mode = i < config->rule_count ? modes[config->rules[i].mode] : "enforce";
        uint16_t rule = i < in_file ? (uint16_t)i : (uint16_t)(POLICY_LEARNED + (i - in_file));
        row->action = policy_rule_action(worker->snapshot->policy, rule);
    }
}

static void report_users(struct report *report, struct worker *worker)
{
    for (size_t i = 0; i < worker->counts->user_count; i++) {
        const struct user_counts *user = &worker->counts->users[i];
        struct report_user *row = NULL;
        for (size_t at = 0; at < report->users_count && !row; at++)
            if (strcmp(report->users[at].name, user->name) == 0)
                row = &report->users[at];
        if (!row) {
            row = REPORT_ADD(report, users);
            row->name = report_text(report, user->name);
        }
        row->clients += user->clients;
        row->requests += user->requests;
        row->denied += user->denied;
    }
}

/* ---- prefixes ---- */

static void merge_writer(struct report *report, struct report_prefix *row,
                         const struct prefix_view *view)
{
    if (!view->writer.origin || (row->writer.client && row->writer.bytes >= view->writer_bytes))
        return;
    row->writer = (struct report_writer){.address = "",
                                         .client = view->writer.client,
                                         .writes = view->writer_writes,
                                         .bytes = view->writer_bytes};
    memcpy(row->writer.raw, view->writer.address, sizeof(row->writer.raw));
}

/* A thousand of them are the longest part of a report: not at the workers. */
void report_writers(struct report *report)
{
    for (size_t i = 0; i < report->prefixes_count; i++) {
        struct report_writer *writer = &report->prefixes[i].writer;
        struct address address;
        char text[64];
        if (!writer->client)
            continue;
        memcpy(&address, writer->raw, sizeof(address));
        address_text(&address, text);
        writer->address = report_text(report, text);
    }
}

static void add_prefix(const struct prefix_view *view, void *context)
{
    struct report *report = context;
    struct report_prefix *row = report_prefix_row(report, view->name);
    row->declared |= view->declared;
    for (int i = 0; i < PREFIX_COUNTS; i++)
        row->counts[i] += view->counts[i];
    row->minute_writes += view->minute_writes;
    row->minute_bytes += view->minute_bytes;
    merge_writer(report, row, view);
}

/* ---- keys ---- */

static struct str kept(struct report *report, const struct kept_key *key)
{
    return key->ptr ? report_str(report, (struct str){key->ptr, key->len}) : (struct str){0};
}

static void report_hot(struct report *report, const struct hot_keys *hot)
{
    for (size_t i = 0; i < hot->used; i++) {
        struct report_hot *row = NULL;
        struct str key = {hot->more[i].key.ptr, hot->more[i].key.len};
        for (size_t at = 0; at < report->hot_count && !row; at++)
            if (str_equal(report->hot[at].key, key))
                row = &report->hot[at];
        if (!row) {
            row = REPORT_ADD(report, hot);
            row->key = report_str(report, key);
        }
        row->total += (hot->total[i] - hot->more[i].inherited) * HOT_SAMPLE;
        row->minute += (hot->more[i].now + hot->more[i].before) * HOT_SAMPLE;
    }
}

static const char *command_name(const struct worker *worker, uint16_t id)
{
    return command_by_id(worker->snapshot->commands, id)->name;
}

static void report_big(struct report *report, const struct worker *worker,
                       const struct big_keys *keys, bool reply)
{
    for (size_t i = 0; i < keys->used; i++) {
        const struct big *big = &keys->rows[i];
        *REPORT_ADD(report, big) = (struct report_big){
            .key = kept(report, &big->key),
            .command = command_name(worker, big->command),
            .address = report_text(report, big->asker.address),
            .client = big->asker.client,
            .bytes = big->bytes,
            .when = big->when,
            .reply = reply,
        };
    }
}

static void report_slow(struct report *report, const struct worker *worker)
{
    const struct slow_requests *requests = &worker->counts->slow;
    for (size_t i = 0; requests->rows && i < SLOW_KEPT; i++) {
        const struct slow *slow = &requests->rows[i];
        if (!slow->id)
            continue;
        *REPORT_ADD(report, slow) = (struct report_slow){
            .key = kept(report, &slow->key),
            .command = command_name(worker, slow->command),
            .address = report_text(report, slow->asker.address),
            .user = report_text(report, slow->asker.user),
            .node = report_text(report, slow->node),
            .id = slow->id * worker->proxy->worker_count + worker->index,
            .client = slow->asker.client,
            .when = slow->when,
            .queue = slow->queue,
            .backend = slow->backend,
            .output = slow->output,
        };
    }
}

void report_counts(struct report *report, struct worker *worker)
{
    struct counts *counts = worker->counts;
    report_commands(report, worker);
    report_rules(report, worker);
    report_users(report, worker);
    prefix_each(counts->prefixes, add_prefix, report);
    report->prefix_bytes += prefix_table_bytes(counts->prefixes);
    report_hot(report, &counts->hot);
    report_big(report, worker, &counts->big_requests, false);
    report_big(report, worker, &counts->big_replies, true);
    report_slow(report, worker);
}
