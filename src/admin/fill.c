/* fill.c - tables of what the workers counted. */
#include "fill.h"

void fill_STATS(struct table *table, const struct source *source)
{
    const struct report *report = source->report;
    uint64_t *values = arena_alloc(table->arena, scalar_count * sizeof(*values));
    scalars_read(report, values);
    for (size_t i = 0; i < scalar_count; i++) {
        table_text(table, scalars[i].name);
        table_number(table, values[i]);
        table_text(table, scalars[i].help);
    }
    for (int stat = 0; stat < STAT_COUNT; stat++) {
        table_text(table, stat_name(stat));
        table_number(table, report->counters[stat]);
        table_text(table, stat_help(stat));
    }
}

void fill_PREFIXES(struct table *table, const struct source *source)
{
    const struct report *report = source->report;
    for (size_t i = 0; i < report->prefixes_count; i++) {
        const struct report_prefix *prefix = &report->prefixes[i];
        table_str(table, prefix->name);
        table_number(table, prefix->minute_writes);
        table_number(table, prefix->minute_bytes);
        table_text(table, prefix->writer.address);
        table_number(table, prefix->writer.client);
        table_number(table, prefix->counts[PREFIX_WRITES]);
        table_number(table, prefix->counts[PREFIX_WRITE_BYTES]);
        table_number(table, prefix->counts[PREFIX_READS]);
        table_number(table, prefix->counts[PREFIX_DELETES]);
        table_number(table, prefix->counts[PREFIX_EXPIRIES]);
        table_number(table, prefix->counts[PREFIX_WITHOUT_TTL]);
        table_number(table, prefix->counts[PREFIX_DENIED]);
        table_number(table, prefix->counts[PREFIX_LIMITED]);
    }
}

void fill_COMMANDS(struct table *table, const struct source *source)
{
    const struct report *report = source->report;
    for (size_t i = 0; i < report->commands_count; i++) {
        const struct report_command *command = &report->commands[i];
        table_text(table, command->name);
        table_number(table, command->calls);
        table_number(table, command->errors);
        table_number(table, histogram_percentile(&command->backend, 0.50));
        table_number(table, histogram_percentile(&command->backend, 0.99));
        table_number(table, command->backend.max);
        table_number(table, histogram_percentile(&command->proxy, 0.99));
    }
}

void fill_RULES(struct table *table, const struct source *source)
{
    const struct report *report = source->report;
    for (size_t i = 0; i < report->rules_count; i++) {
        const struct report_rule *rule = &report->rules[i];
        table_text(table, rule->name);
        table_text(table, rule->action);
        table_text(table, rule->mode);
        table_number(table, rule->counts[STATS_RULE_HITS]);
        table_number(table, rule->counts[STATS_RULE_DENIED]);
        table_number(table, rule->counts[STATS_RULE_LIMITED]);
        table_number(table, rule->counts[STATS_RULE_DELAYED]);
        table_number(table, rule->counts[STATS_RULE_OBSERVED]);
    }
}

void fill_USERS(struct table *table, const struct source *source)
{
    const struct report *report = source->report;
    for (size_t i = 0; i < report->users_count; i++) {
        table_text(table, report->users[i].name);
        table_number(table, report->users[i].clients);
        table_number(table, report->users[i].requests);
        table_number(table, report->users[i].denied);
    }
}

/* A key as the configuration lets it be seen: its last segment may be somebody's secret. */
static struct str key_seen(struct table *table, const struct source *source, struct str key)
{
    const struct proxy *proxy = source->proxy;
    struct buf text = {0};
    if (key.len)
        key_text(proxy, proxy->snapshot, key, &text);
    struct str seen = {arena_str(table->arena, buf_view(&text)), text.len};
    buf_free(&text);
    return seen;
}

/* Keys that look the same become one row. */
void fill_HOT(struct table *table, const struct source *source)
{
    const struct report *report = source->report;
    struct report_hot *rows = arena_alloc(table->arena, (report->hot_count + 1) * sizeof(*rows));
    size_t count = 0;
    for (size_t i = 0; i < report->hot_count; i++) {
        struct str seen = key_seen(table, source, report->hot[i].key);
        size_t at = 0;
        while (at < count && !str_equal(rows[at].key, seen))
            at++;
        rows[at].key = seen;
        rows[at].minute += report->hot[i].minute;
        rows[at].total += report->hot[i].total;
        count += at == count;
    }
    for (size_t i = 0; i < count; i++) {
        table_str(table, rows[i].key);
        table_number(table, rows[i].minute);
        table_number(table, rows[i].total);
    }
}

void fill_BIG(struct table *table, const struct source *source)
{
    const struct report *report = source->report;
    for (size_t i = 0; i < report->big_count; i++) {
        const struct report_big *big = &report->big[i];
        table_number(table, big->bytes);
        table_text(table, big->reply ? "reply" : "request");
        table_text(table, big->command);
        table_str(table, key_seen(table, source, big->key));
        table_text(table, big->address);
        table_number(table, big->client);
        table_number(table, (uint64_t)big->when);
    }
}

void fill_SLOW(struct table *table, const struct source *source)
{
    const struct report *report = source->report;
    for (size_t i = 0; i < report->slow_count; i++) {
        const struct report_slow *slow = &report->slow[i];
        table_number(table, slow->id);
        table_number(table, (uint64_t)slow->when);
        table_text(table, slow->command);
        table_str(table, key_seen(table, source, slow->key));
        table_number(table, slow->queue);
        table_number(table, slow->backend);
        table_number(table, slow->output);
        table_text(table, slow->address);
        table_text(table, slow->user);
        table_text(table, slow->node);
    }
}

void fill_MEMORY(struct table *table, const struct source *source)
{
    const struct report *report = source->report;
    for (size_t i = 0; i < report->memory_count; i++) {
        table_text(table, report->memory[i].purpose);
        table_number(table, report->memory[i].bytes);
    }
}
