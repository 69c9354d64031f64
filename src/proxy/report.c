/* report.c - everything there is to tell, collected by a letter that goes round all workers.
 *
 *   main: process facts -> worker 0 -> worker 1 ... -> main: done(report)
 *
 * Each worker adds its own counts to the one report and passes it on; nobody waits for it.
 */
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#include "count.h"
#include "health.h"

struct report_mail {
    struct mail mail;
    struct list entry; /* of proxy->reports, so that none is lost at the end */
    struct proxy *proxy;
    unsigned at; /* the worker it is at */
    enum report_extent extent;
    struct report *report;
    void (*done)(struct report *report, void *context);
    void *context;
};

/* ---- clients ---- */

static const char *const state_names[CLIENT_STATES] = {
    [CLIENT_HANDSHAKE] = "handshake", [CLIENT_IDLE] = "idle",       [CLIENT_BUSY] = "busy",
    [CLIENT_WAITING] = "waiting",     [CLIENT_LEAVING] = "leaving", [CLIENT_CLOSED] = "closed",
};

static const char *pins_text(struct report *report, uint32_t pins)
{
    static const char *const names[] = {"multi",    "watch",   "blocked",  "subscribed",
                                        "tracking", "monitor", "no-touch", "wait"};
    char text[80] = "";
    size_t used = 0;
    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        if (pins & 1u << i)
            used += (size_t)snprintf(text + used, sizeof(text) - used, "%s%s", used ? "," : "",
                                     names[i]);
    return report_text(report, text);
}

static void report_one_client(struct report *report, const struct client *client)
{
    const struct worker *worker = client->worker;
    const struct command_table *commands = worker->snapshot->commands;
    uint64_t now = loop_now(&worker->loop);
    char address[64];
    address_text(&client->subject.address, address);
    *REPORT_ADD(report, clients) = (struct report_client){
        .id = client->id,
        .worker = worker->index,
        .address = report_text(report, address),
        .user = report_text(report, client->user_name),
        .name = report_text(report, client->name),
        .command = client->requests && client->last_command < command_count(commands)
                       ? command_by_id(commands, client->last_command)->name
                       : "",
        .state = state_names[client->state],
        .pins = pins_text(report, client->pins),
        .age_ms = now - client->created,
        .idle_ms = now - client->active,
        .requests = client->requests,
        .denied = client->denied,
        .bytes_in = client->bytes_in,
        .bytes_out = client->conn.written,
        .rehearsed = {client->rehearsed[0], client->rehearsed[1], client->rehearsed[2]},
        .output = client->conn.out.bytes,
        .in_flight = client->queue.count,
        .db = client->db,
        .resp = client->resp,
        .tls = client->is_tls,
    };
}

static void report_clients(struct report *report, struct worker *worker, enum report_extent extent)
{
    struct counts *counts = worker->counts;
    for (size_t i = 0; i < counts->user_count; i++)
        counts->users[i].clients = 0;
    for (int state = 0; state < CLIENT_CLOSED; state++)
        list_each (it, &worker->clients[state]) {
            struct client *client = CONTAINER(it, struct client, entry);
            report->states[state]++;
            report->clients_now++;
            user_count(client)->clients++;
            if (extent == REPORT_CLIENTS)
                report_one_client(report, client);
        }
}

/* ---- nodes and links ---- */

static struct report_node *node_of(struct report *report, const struct node *node)
{
    for (size_t i = 0; i < report->nodes_count; i++)
        if (strcmp(report->nodes[i].name, node->name) == 0)
            return &report->nodes[i];
    struct report_node *found = REPORT_ADD(report, nodes);
    found->name = report_text(report, node->name);
    found->address = report_text(report, node->address.text);
    found->server = found->version = "";
    return found;
}

static const char *link_state(const struct link *link)
{
    if (!link)
        return "none";
    switch ((enum link_state)link->state) {
    case LINK_DIALING: return "dialling";
    case LINK_LOGIN: return "login";
    case LINK_READY: return "ready";
    case LINK_RESETTING: return "resetting";
    case LINK_SPARE: return "spare";
    case LINK_CLOSED: return "closed";
    }
    return "";
}

static size_t list_length(const struct list *head)
{
    size_t length = 0;
    list_each (it, head)
        length++;
    return length;
}

static void report_one_pool(struct report *report, struct report_node *node,
                            const struct pool *pool)
{
    struct report_pool row = {
        .worker = pool->node->worker->index,
        .node = node->name,
        .identity = report_text(report, pool->identity->username   ? pool->identity->username
                                        : pool->identity->password ? "default"
                                                                   : ""),
        .db = pool->db,
        .resp = pool->resp,
        .shared = link_state(pool->shared),
        .clients = pool->class->clients,
        .idle = list_length(&pool->idle),
        .parked = pool->parked.count,
        .waiting = list_length(&pool->pin_waiters) + list_length(&pool->login_waiters),
    };
    list_each (it, &pool->links) {
        const struct link *link = CONTAINER(it, struct link, entry);
        row.pinned += link->role == LINK_PINNED;
        row.in_flight += link->sent.count;
    }
    node->shared_links += pool->shared != NULL;
    node->pinned_links += row.pinned;
    node->idle_links += row.idle;
    node->in_flight += row.in_flight;
    node->parked += row.parked;
    *REPORT_ADD(report, pools) = row;
}

static void report_one_node(struct report *report, const struct node *node)
{
    struct report_node *row = node_of(report, node);
    row->workers++;
    row->up += node->is_up;
    row->breaker_open |= node->breaker_open;
    row->parked_bytes += node->parked_bytes;
    row->requests += node->counts.requests;
    row->errors += node->counts.errors;
    row->redirects += node->counts.redirects;
    row->dials += node->counts.dials;
    row->dial_failures += node->counts.dial_failures;
    histogram_merge(&row->latency, &node->counts.latency);
    if (node->server[0] && !row->server[0]) {
        row->server = report_text(report, node->server);
        row->version = report_text(report, node->version);
    }
    list_each (it, &node->pools)
        report_one_pool(report, row, CONTAINER(it, struct pool, node_entry));
}

/* ---- the worker's part ---- */

static void report_worker(struct report *report, struct worker *worker, enum report_extent extent)
{
    counts_settle(worker);
    for (int stat = 0; stat < STAT_COUNT; stat++)
        report->counters[stat] += worker->stats[stat];
    report_clients(report, worker, extent);
    const struct health *health = __atomic_load_n(&worker->proxy->healths, __ATOMIC_ACQUIRE);
    if (worker->index == 0)
        topology_report(report, worker);
    for (; worker->index == 0 && health; health = health->next)
        report_outside(report, health);
    list_each (it, &worker->nodes)
        report_one_node(report, CONTAINER(it, struct node, entry));
    report_counts(report, worker);
}

/* ---- the process' part ---- */

static void one_more(void *context, struct str key, int64_t count)
{
    ++*(size_t *)context;
}

static void report_process(struct report *report, const struct proxy *proxy)
{
    const struct snapshot *snapshot = proxy->snapshot;
    const struct config *config = snapshot->config;
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    report->version = RESPGATE_VERSION;
    report->config_file = report_text(report, config->file);
    report->generation = snapshot->generation;
    report->started = proxy->started;
    report->reloads = proxy->reloads;
    report->reload_failures = proxy->reload_failures;
    report->reload_ok = !proxy->reload_failed;
    report->reloaded = proxy->reloaded;
    report->draining = proxy->draining;
    report->workers = proxy->worker_count;
    report->rule_count = config->rule_count;
    report->prefixes_max = config->prefixes.max + config->prefixes.declare.count;
    tally_each(proxy->addresses, one_more, &report->addresses);
    report->clients_max = config->proxy.max_clients;
    report->clients_refused = proxy->refused;
    report->links_shared = __atomic_load_n(&proxy->links[LINK_SHARED], __ATOMIC_RELAXED);
    report->links_pinned = __atomic_load_n(&proxy->links[LINK_PINNED], __ATOMIC_RELAXED);
    report->links_max = (int64_t)config->backend.max_links;
    report->pinned_max = (int64_t)config->backend.max_pinned_links;
    if (snapshot->listen_tls)
        report->listen_expiry = tls_context_expiry(snapshot->listen_tls);
    if (snapshot->backend_tls)
        report->backend_expiry = tls_context_expiry(snapshot->backend_tls);
    report->cpu_us = (uint64_t)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1000000 +
                     (uint64_t)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec);
}

static uint64_t resident_bytes(void)
{
    unsigned long long size = 0, resident = 0;
    FILE *file = fopen("/proc/self/statm", "re");
    if (file && fscanf(file, "%llu %llu", &size, &resident) != 2)
        resident = 0;
    if (file)
        fclose(file);
    return resident * (uint64_t)sysconf(_SC_PAGESIZE);
}

static void add_memory(struct report *report, const char *purpose, uint64_t bytes)
{
    *REPORT_ADD(report, memory) = (struct report_memory){purpose, bytes};
}

static void report_memory(struct report *report)
{
    add_memory(report, "resident", resident_bytes());
    add_memory(report, "buffers", chunk_total());
    add_memory(report, "prefixes", report->prefix_bytes);
    add_memory(report, "clients", report->clients_now * sizeof(struct client));
}

/* ---- the round ---- */

static void letter_free(struct report_mail *letter)
{
    list_remove(&letter->entry);
    free(letter);
}

static void report_home(struct loop *loop, struct mail *mail)
{
    struct report_mail *letter = CONTAINER(mail, struct report_mail, mail);
    struct report_mail came = *letter;
    (void)loop;
    letter_free(letter);
    report_finish(came.report);
    report_writers(came.report);
    came.report->growth = report_growth_text(came.report);
    report_pressure(came.report, came.proxy);
    report_memory(came.report);
    came.report->at_ns = clock_ns();
    came.report->at = clock_wall();
    came.done(came.report, came.context);
}

static void report_visit(struct loop *loop, struct mail *mail)
{
    struct report_mail *letter = CONTAINER(mail, struct report_mail, mail);
    struct proxy *proxy = letter->proxy;
    report_worker(letter->report, CONTAINER(loop, struct worker, loop), letter->extent);
    if (++letter->at < proxy->worker_count) {
        loop_post(&proxy->workers[letter->at].loop, mail);
        return;
    }
    mail->run = report_home;
    loop_post(&proxy->loop, mail);
}

void proxy_report(struct proxy *proxy, enum report_extent extent,
                  void (*done)(struct report *report, void *context), void *context)
{
    struct report_mail *letter = xcalloc(1, sizeof(*letter));
    letter->mail.run = report_visit;
    letter->proxy = proxy;
    letter->report = report_new();
    letter->extent = extent;
    letter->done = done;
    letter->context = context;
    list_append(&proxy->reports, &letter->entry);
    report_process(letter->report, proxy);
    loop_post(&proxy->workers[0].loop, &letter->mail);
}

/* Letters that were on their way when the workers ended: done() is not called any more. */
void reports_free(struct proxy *proxy)
{
    list_each_safe (it, &proxy->reports) {
        struct report_mail *letter = CONTAINER(it, struct report_mail, entry);
        report_free(letter->report);
        letter_free(letter);
    }
}
