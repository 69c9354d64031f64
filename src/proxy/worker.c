/* worker.c - a thread: its loop, its clients, its side of the backend, its copy of the rules. */
#include <stdlib.h>
#include <malloc.h>

#include "count.h"
#include "house.h"
#include "lease.h"
#include "scripting.h"

enum { SCAN_CLIENTS_MS = 250, TRIM_MS = 2000, TRIM_BYTES = 8 * 1024 * 1024 };

struct parser *worker_parser(struct worker *worker)
{
    return worker->parser_count ? worker->parsers[--worker->parser_count] : parser_new();
}

void worker_parser_back(struct worker *worker, struct parser *parser)
{
    if (!parser_idle(parser))
        parser_reset(parser);
    if (worker->parser_count < PARSER_POOL)
        worker->parsers[worker->parser_count++] = parser;
    else
        parser_free(parser);
}

struct client *worker_client(struct worker *worker, uint64_t id)
{
    for (int state = 0; state < CLIENT_CLOSED; state++)
        list_each (it, &worker->clients[state]) {
            struct client *client = CONTAINER(it, struct client, entry);
            if (client->id == id)
                return client;
        }
    return NULL;
}

/* ---- mail --------------------------------------------------------------------------------------
 */

struct accept_mail {
    struct mail mail;
    int fd;
    bool tls;
    struct address door;
};

static void worker_accept(struct loop *loop, struct mail *mail)
{
    struct accept_mail *letter = CONTAINER(mail, struct accept_mail, mail);
    client_new(CONTAINER(loop, struct worker, loop), letter->fd, letter->tls, &letter->door);
    free(letter);
}

void worker_give_client(struct worker *worker, int fd, bool tls, const struct address *door)
{
    struct accept_mail *letter = xcalloc(1, sizeof(*letter));
    letter->mail.run = worker_accept;
    letter->fd = fd;
    letter->tls = tls;
    letter->door = *door;
    __atomic_fetch_add(&worker->client_count, 1, __ATOMIC_RELAXED);
    loop_post(&worker->loop, &letter->mail);
}

struct snapshot_mail {
    struct mail mail;
    struct snapshot *snapshot;
};

/* From here on every command meets the new rules; calls that wait are judged anew when they go on
 * (pipeline.c, call_freshen). */
static void worker_adopt(struct loop *loop, struct mail *mail)
{
    struct snapshot_mail *letter = CONTAINER(mail, struct snapshot_mail, mail);
    struct worker *worker = CONTAINER(loop, struct worker, loop);
    struct snapshot *old = worker->snapshot;
    worker->snapshot = letter->snapshot;
    worker_identities(worker);
    counts_adopt(worker);
    snapshot_drop(old);
    free(letter);
}

void worker_give_snapshot(struct worker *worker, struct snapshot *snapshot)
{
    struct snapshot_mail *letter = xcalloc(1, sizeof(*letter));
    letter->mail.run = worker_adopt;
    letter->snapshot = snapshot_hold(snapshot);
    loop_post(&worker->loop, &letter->mail);
}

/* ---- draining: idle clients go at once, the others after what is under way ---- */

static bool may_go(const struct client *client)
{
    return !client->queue.head && !client->transaction && !client->call.active;
}

static void nodes_close(struct worker *worker)
{
    sentinels_free(worker);
    side_close(worker);
    list_each (it, &worker->nodes)
        node_close(CONTAINER(it, struct node, entry));
}

static void worker_drain_step(struct worker *worker)
{
    /* Once: those that block get the nil of a timeout. */
    bool first = !worker->unblocked;
    bool over = loop_now(&worker->loop) >= worker->drain_until;
    bool empty = true;
    for (int state = 0; state < CLIENT_CLOSED; state++)
        list_each_safe (it, &worker->clients[state]) {
            struct client *client = CONTAINER(it, struct client, entry);
            empty = false;
            if (over)
                client_close(client, REASON_DRAIN);
            else if (first && (client->pins & PIN_BLOCK))
                client_unblock(client, false);
            else if (may_go(client) ||
                     (!client->call.active && (client->pins & ~(uint32_t)(PIN_MULTI | PIN_WATCH))))
                client_leave(client, REASON_DRAIN);
        }
    worker->unblocked = true;
    if (!empty && !over)
        return;
    worker->drained = true; /* its mail is still read: others may have clients */
    nodes_close(worker);
    proxy_worker_drained(worker);
}

static void worker_stopped(struct loop *loop, struct mail *mail)
{
    free(mail);
    loop_stop(loop);
}

void worker_stop(struct worker *worker)
{
    struct mail *mail = xcalloc(1, sizeof(*mail));
    mail->run = worker_stopped;
    loop_post(&worker->loop, mail);
}

static void worker_begin_drain(struct loop *loop, struct mail *mail)
{
    struct worker *worker = CONTAINER(loop, struct worker, loop);
    worker->draining = true;
    worker->drain_until = loop_now(loop) + worker->snapshot->config->proxy.drain_timeout;
    free(mail);
    worker_drain_step(worker);
}

void worker_drain(struct worker *worker)
{
    struct mail *mail = xcalloc(1, sizeof(*mail));
    mail->run = worker_begin_drain;
    loop_post(&worker->loop, mail);
}

/* ---- time ---- */

static void clients_tick(struct worker *worker, uint64_t now)
{
    for (int state = 0; state < CLIENT_CLOSED; state++)
        list_each_safe (it, &worker->clients[state])
            client_tick(CONTAINER(it, struct client, entry), now);
}

static void waits_tick(struct worker *worker, uint64_t now)
{
    list_each_safe (it, &worker->clients[CLIENT_WAITING]) {
        struct client *client = CONTAINER(it, struct client, entry);
        if (client->wait == WAIT_TIME && now >= client->wait_until)
            client_resume(client);
    }
}

/* Delays end to the millisecond: a client that is paced must get the whole of its rate. */
static void worker_alarmed(struct loop *loop)
{
    struct worker *worker = CONTAINER(loop, struct worker, loop);
    waits_tick(worker, loop_now(loop));
    list_each (it, &worker->clients[CLIENT_WAITING]) {
        const struct client *client = CONTAINER(it, struct client, entry);
        if (client->wait == WAIT_TIME && client->wait_until > loop_now(loop))
            loop_wake(loop, client->wait_until);
    }
}

static void worker_tick(struct loop *loop)
{
    struct worker *worker = CONTAINER(loop, struct worker, loop);
    uint64_t now = loop_now(loop);
    if (worker->drained)
        return;
    counts_tick(worker);
    leases_tick(worker);
    worker->tick++;
    worker->at_work_before = worker->at_work;
    worker->at_work = 0;
    list_each_safe (it, &worker->nodes)
        node_tick(CONTAINER(it, struct node, entry));
    side_tick(worker);
    shares_tick(worker);
    hub_tick(worker);
    cluster_tick(worker);
    waits_tick(worker, now);
    if (now >= worker->next_scan) {
        worker->next_scan = now + SCAN_CLIENTS_MS;
        clients_tick(worker, now);
    }
    if (worker->index == 0)
        control_tick(worker);
    script_kill_tick(worker, now);
    budget_tick(worker);
    if (worker->draining)
        worker_drain_step(worker);
    if (now >= worker->trim_at) {
        /* What a burst left in the allocator goes back to the system. */
        if (worker->index == 0 && mallinfo2().fordblks > TRIM_BYTES)
            malloc_trim(0);
        worker->trim_at = now + TRIM_MS;
    }
}

/* ---- life ---- */

/* The identities of the configuration; those of clients stay as long as they are used. */
void worker_identities(struct worker *worker)
{
    const struct config *config = worker->snapshot->config;
    const char *password = config->backend.password ? config->backend.password : "";
    struct identity *old = worker->identity_backend, *old_control = worker->identity_control;
    if (!worker->identity_none)
        worker->identity_none = identity_none(worker);
    worker->identity_backend =
        config->backend.password ? identity_get(worker, config->backend.username, str_of(password))
                                 : identity_hold(worker->identity_none);
    worker->identity_control = config->backend.control_password
                                   ? identity_get(worker, config->backend.control_username,
                                                  str_of(config->backend.control_password))
                                   : identity_hold(worker->identity_backend);
    struct identity *old_scripts = worker->identity_scripts;
    worker->identity_scripts =
        config->scripts.password
            ? identity_get(worker, config->scripts.username, str_of(config->scripts.password))
            : NULL;
    identity_drop(old_scripts);
    identity_drop(old);
    identity_drop(old_control);
}

static void worker_close_all(struct worker *worker)
{
    for (int state = 0; state < CLIENT_CLOSED; state++)
        list_each_safe (it, &worker->clients[state])
            client_close(CONTAINER(it, struct client, entry), REASON_DRAIN);
    nodes_close(worker);
}

static void worker_main(void *arg)
{
    struct worker *worker = arg;
    loop_run(&worker->loop);
    worker_close_all(worker);
    chunk_pool_clear();
    proxy_worker_done(worker);
}

/* When all threads have ended, for until then letters between them may still arrive. */
void worker_free(struct worker *worker)
{
    loop_free(&worker->loop);
    for (unsigned i = 0; i < worker->parser_count; i++)
        parser_free(worker->parsers[i]);
    while (worker->free_reqs) {
        struct req *next = worker->free_reqs->next_client;
        free(worker->free_reqs);
        worker->free_reqs = next;
    }
    auth_failures_free(worker);
    shares_free(worker);
    hubs_free(worker);
    list_each_safe (it, &worker->nodes)
        node_free(CONTAINER(it, struct node, entry));
    list_each_safe (old, &worker->leaving)
        node_free(CONTAINER(old, struct node, entry));
    free(worker->classes);
    cluster_free(worker);
    topology_free(worker);
    identity_drop(worker->identity_backend);
    identity_drop(worker->identity_control);
    identity_drop(worker->identity_scripts);
    script_cache_free(worker->scripts);
    functions_drop(worker->functions);
    identity_drop(worker->identity_none);
    chunk_drop(worker->rx);
    counts_free(worker);
    leases_free(worker);
    free(worker->scratch);
    free(worker->keys);
    snapshot_drop(worker->snapshot);
}

void worker_init(struct worker *worker, struct proxy *proxy, unsigned index,
                 void (*tick)(struct loop *loop))
{
    worker->proxy = proxy;
    worker->index = index;
    worker->snapshot = snapshot_hold(proxy->snapshot);
    worker->scratch = xmalloc(SCRATCH_SIZE);
    worker->scripts = script_cache_new();
    worker->key_room = 64;
    worker->keys = xmalloc(worker->key_room * sizeof(*worker->keys));
    for (int state = 0; state < CLIENT_STATES; state++)
        list_init(&worker->clients[state]);
    list_init(&worker->identities);
    list_init(&worker->shares);
    list_init(&worker->hubs);
    list_init(&worker->auth_failures);
    random_bytes(worker->identity_key, sizeof(worker->identity_key));
    worker_identities(worker);
    loop_init(&worker->loop, tick);
    worker->loop.alarmed = worker_alarmed;
    counts_init(worker);
    list_init(&worker->nodes);
    list_init(&worker->held);
    list_init(&worker->holding);
    list_init(&worker->leaving);
    const struct config *config = worker->snapshot->config;
    nodes_of_config(worker, worker->snapshot, &worker->nodes);
    worker->node = CONTAINER(worker->nodes.next, struct node, entry);
    worker->clustered = config->backend.mode == MODE_CLUSTER;
    worker->mode_known = config->backend.mode != MODE_AUTO;
}

void worker_start(struct worker *worker, struct proxy *proxy, unsigned index)
{
    worker_init(worker, proxy, index, worker_tick);
    if (uv_thread_create(&worker->thread, worker_main, worker) != 0)
        die("cannot start a worker thread");
}
