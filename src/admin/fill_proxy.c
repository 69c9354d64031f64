/* fill_proxy.c - tables of what there is: clients, nodes, links, configuration, version, audit. */
#include <stdio.h>
#include <unistd.h>

#include "fill.h"

void fill_CLIENTS(struct table *table, const struct source *source)
{
    const struct report *report = source->report;
    for (size_t i = 0; i < report->clients_count; i++) {
        const struct report_client *client = &report->clients[i];
        table_number(table, client->id);
        table_text(table, client->address);
        table_text(table, client->user);
        table_text(table, client->name);
        table_number(table, (uint64_t)client->db);
        table_number(table, client->age_ms);
        table_number(table, client->idle_ms);
        table_text(table, client->state);
        table_text(table, client->pins);
        table_text(table, client->command);
        table_number(table, client->requests);
        table_number(table, client->denied);
        table_number(table, client->bytes_in);
        table_number(table, client->bytes_out);
        table_number(table, client->output);
        table_number(table, client->in_flight);
    }
}

void fill_REHEARSAL(struct table *table, const struct source *source)
{
    const struct report *report = source->report;
    for (size_t i = 0; i < report->clients_count; i++) {
        const struct report_client *client = &report->clients[i];
        const uint64_t *rehearsed = client->rehearsed;
        if (!rehearsed[0] && !rehearsed[1] && !rehearsed[2])
            continue;
        table_number(table, client->id);
        table_text(table, client->address);
        table_text(table, client->user);
        table_text(table, client->name);
        for (size_t j = 0; j < ARRAY_LEN(client->rehearsed); j++)
            table_number(table, rehearsed[j]);
    }
}

static const char *node_state(const struct report_node *node)
{
    if (node->breaker_open)
        return "breaker open";
    return node->up == 0 ? "down" : node->up < node->workers ? "partly up" : "up";
}

void fill_NODES(struct table *table, const struct source *source)
{
    const struct report *report = source->report;
    for (size_t i = 0; i < report->nodes_count; i++) {
        const struct report_node *node = &report->nodes[i];
        table_text(table, node->name);
        table_text(table, node->address);
        table_text(table, node->server[0]
                              ? arena_printf(table->arena, "%s %s", node->server, node->version)
                              : "");
        table_text(table, node_state(node));
        table_number(table, node->up);
        table_number(table, node->requests);
        table_number(table, node->errors);
        table_number(table, node->redirects);
        table_number(table, histogram_percentile(&node->latency, 0.50));
        table_number(table, histogram_percentile(&node->latency, 0.99));
        table_number(table, node->in_flight);
        table_number(table, node->parked);
        table_number(table, node->shared_links);
        table_number(table, node->pinned_links);
        table_number(table, node->idle_links);
        table_number(table, node->dials);
        table_number(table, node->dial_failures);
    }
}

void fill_LINKS(struct table *table, const struct source *source)
{
    const struct report *report = source->report;
    for (size_t i = 0; i < report->pools_count; i++) {
        const struct report_pool *pool = &report->pools[i];
        table_text(table, pool->node);
        table_number(table, pool->worker);
        table_text(table, pool->identity);
        table_number(table, (uint64_t)pool->db);
        table_number(table, (uint64_t)pool->resp);
        table_text(table, pool->shared);
        table_number(table, pool->clients);
        table_number(table, pool->pinned);
        table_number(table, pool->idle);
        table_number(table, pool->in_flight);
        table_number(table, pool->parked);
        table_number(table, pool->waiting);
    }
}

/* ---- texts, line by line ---- */

static bool line_next(struct str *rest, struct str *line)
{
    if (!rest->len)
        return false;
    const char *end = memchr(rest->ptr, '\n', rest->len);
    size_t len = end ? (size_t)(end - rest->ptr) : rest->len, used = end ? len + 1 : len;
    *line = (struct str){rest->ptr, len};
    *rest = (struct str){rest->ptr + used, rest->len - used};
    return true;
}

static struct str str_copy(struct table *table, struct str text)
{
    return (struct str){arena_str(table->arena, text), text.len};
}

/* What --print-config would say, one option a row; those that are not set are left out. */
void fill_CONFIG(struct table *table, const struct source *source)
{
    struct buf text = {0};
    struct str section = {"", 0}, line;
    config_print(source->proxy->snapshot->config, &text);
    for (struct str rest = buf_view(&text); line_next(&rest, &line);) {
        const char *equals = line.len ? memchr(line.ptr, '=', line.len) : NULL;
        if (line.len > 2 && line.ptr[0] == '[')
            section = str_copy(table, (struct str){line.ptr + 1, line.len - 2});
        if (!equals || line.ptr[0] == ';' || line.ptr[0] == '[')
            continue;
        size_t key = (size_t)(equals - line.ptr) - 1, skip = key + 3;
        table_str(table, section);
        table_str(table, str_copy(table, (struct str){line.ptr, key}));
        table_str(table, skip < line.len
                             ? str_copy(table, (struct str){line.ptr + skip, line.len - skip})
                             : STR(""));
    }
    buf_free(&text);
}

/* A code that an administrator is to give out; who merely looks, without a password perhaps, is not
 * to read it here. CONFIRM lists them. */
static bool tells_a_code(struct str line)
{
    static const char mark[] = "\"event\":\"confirm\",\"detail\":";
    return memmem(line.ptr, line.len, mark, sizeof(mark) - 1) != NULL;
}

/* Newest first. */
void fill_AUDIT(struct table *table, const struct source *source)
{
    struct buf text = {0};
    struct str lines[AUDIT_TAIL], line;
    size_t count = 0;
    audit_tail(source->proxy, AUDIT_TAIL, &text);
    for (struct str rest = buf_view(&text); count < AUDIT_TAIL && line_next(&rest, &line);)
        if (!tells_a_code(line))
            lines[count++] = line;
    while (count--)
        table_str(table, str_copy(table, lines[count]));
    buf_free(&text);
}

static void fact(struct table *table, const char *name, const char *value)
{
    table_text(table, name);
    table_text(table, value);
}

void fill_VERSION(struct table *table, const struct source *source)
{
    const struct report *report = source->report;
    struct arena *arena = table->arena;
    struct cell started = {.number = (uint64_t)report->started};
    struct buf when = {0};
    render_cell(COLUMN_TIME, &started, &when);
    fact(table, "version", report->version);
    fact(table, "config-file", report->config_file);
    fact(table, "config-generation",
         arena_printf(arena, "%llu", (unsigned long long)report->generation));
    fact(table, "last-reload", report->reloads == 0 ? "none" : report->reload_ok ? "ok" : "failed");
    fact(table, "started", arena_printf(arena, "%.*s", (int)when.len, when.ptr));
    fact(table, "pid", arena_printf(arena, "%d", (int)getpid()));
    fact(table, "threads", arena_printf(arena, "%u", report->workers));
    fact(table, "state", report->draining ? "draining" : "serving");
    buf_free(&when);
}
