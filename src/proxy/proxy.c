/* proxy.c - the process: the door where clients come in, signals, reload, learning, the end. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#include "health.h"
#include "house.h"

enum { DIAL_BURST = 10, FILES_RESERVED = 64 };

/* ---- dial-rate ---- */

/* GCRA (ITU-T I.371): one number tells when the next dial conforms; shared by all workers, one for
 * each node (as far as cells suffice): a dead node's dials do not hold up those to its successor.
 */
bool proxy_dial_allowed(struct proxy *proxy, unsigned cell, double rate)
{
    if (rate <= 0)
        return true;
    uint64_t now = clock_ns(), interval = (uint64_t)(1e9 / rate);
    double burst = rate > DIAL_BURST ? rate : DIAL_BURST;
    uint64_t slack = (uint64_t)(burst * (double)interval);
    uint64_t next = __atomic_load_n(&proxy->dial_next[cell % DIAL_CELLS], __ATOMIC_RELAXED), after;
    do {
        uint64_t from = next > now ? next : now;
        if (from + interval > now + slack)
            return false;
        after = from + interval;
    } while (!__atomic_compare_exchange_n(&proxy->dial_next[cell % DIAL_CELLS], &next, after, false,
                                          __ATOMIC_RELAXED, __ATOMIC_RELAXED));
    return true;
}

/* ---- the door ---- */

/* IPv6 counts by /64: one person has that many addresses at least. */
struct str address_key(const struct address *address, char room[24])
{
    room[0] = address->is_unix ? 'u' : address->is_ipv6 ? '6' : '4';
    size_t len = address->is_unix ? 0 : address->is_ipv6 ? 8 : 4;
    memcpy(room + 1, address->ip, len);
    return (struct str){room, len + 1};
}

static uint64_t client_total(const struct proxy *proxy)
{
    uint64_t total = 0;
    for (unsigned i = 0; i < proxy->worker_count; i++)
        total += __atomic_load_n(&proxy->workers[i].client_count, __ATOMIC_RELAXED);
    return total;
}

static struct worker *least_loaded(struct proxy *proxy)
{
    struct worker *best = &proxy->workers[0];
    for (unsigned i = 1; i < proxy->worker_count; i++)
        if (__atomic_load_n(&proxy->workers[i].client_count, __ATOMIC_RELAXED) <
            __atomic_load_n(&best->client_count, __ATOMIC_RELAXED))
            best = &proxy->workers[i];
    return best;
}

static void turn_away(struct proxy *proxy, int fd, bool tls, const char *text)
{
    proxy->refused++;
    if (!tls && write(fd, text, strlen(text)) < 0) {
        /* it will see the close */
    }
    close(fd);
    if (proxy->refused_logged != loop_now(&proxy->loop) / 1000) {
        proxy->refused_logged = loop_now(&proxy->loop) / 1000;
        log_warn(NULL, "client refused: %.*s (%llu so far)", (int)strlen(text) - 7, text + 5,
                 (unsigned long long)proxy->refused);
    }
}

static void door_pace(struct proxy *proxy)
{
    const struct config *config = proxy->snapshot->config;
    uint64_t rate = config->proxy.accept_rate, now = loop_now(&proxy->loop);
    if (rate) {
        double room = (double)rate > 1 ? (double)rate : 1;
        proxy->accept_tokens += (double)(now - proxy->accept_last) * (double)rate / 1000;
        if (proxy->accept_tokens > room)
            proxy->accept_tokens = room;
    }
    proxy->accept_last = now;
    bool open = !proxy->draining && (!rate || proxy->accept_tokens >= 1);
    for (size_t i = 0; i < proxy->listener_count; i++)
        listener_pause(proxy->listeners[i], !open);
}

static void door_accept(void *owner, struct listener *listener, int fd)
{
    struct proxy *proxy = owner;
    const struct config *config = proxy->snapshot->config;
    bool tls = listener_address(listener)->kind == LISTEN_TLS;
    struct address address = conn_peer(fd);
    char room[24];
    if (config->proxy.accept_rate && --proxy->accept_tokens < 1)
        door_pace(proxy);
    if (config->proxy.max_clients && client_total(proxy) >= config->proxy.max_clients)
        turn_away(proxy, fd, tls, "-ERR max number of clients reached\r\n");
    else if (!tally_add(proxy->addresses, address_key(&address, room),
                        address.is_unix ? 0 : config->proxy.max_clients_per_ip))
        turn_away(proxy, fd, tls,
                  "-ERR max number of clients reached for this address (max-clients-per-ip)\r\n");
    else
        worker_give_client(least_loaded(proxy), fd, tls, &address);
}

void proxy_client_gone(struct worker *worker, const struct address *address)
{
    char room[24];
    tally_remove(worker->proxy->addresses, address_key(address, room));
}

/* ---- reload ---- */

static void log_problems(const struct problems *problems, enum log_level level)
{
    const char *at = problems->text.ptr, *end = at + problems->text.len;
    while (at < end) {
        const char *line = memchr(at, '\n', (size_t)(end - at));
        if (!line)
            line = end;
        log_line(level, NULL, "%.*s", (int)(line - at), at);
        at = line + 1;
    }
}

void proxy_adopt(struct proxy *proxy, struct snapshot *snapshot)
{
    struct snapshot *old = proxy->snapshot;
    policy_inherit(snapshot->policy, old->policy, clock_ns());
    proxy->snapshot = snapshot;
    for (unsigned i = 0; i < proxy->worker_count; i++)
        worker_give_snapshot(&proxy->workers[i], snapshot);
    snapshot_drop(old);
}

static void reload_failed(struct proxy *proxy)
{
    proxy->reload_failures++;
    proxy->reload_failed = true;
    audit_note(proxy, "reload", "failed, the configuration in force stays");
}

void proxy_reload_adopt(struct proxy *proxy, struct snapshot *snapshot)
{
    const struct config *config = snapshot->config;
    if (!log_open(config->log.file, config->log.level, config->log.json))
        log_error(NULL, "cannot open the log file %s; the old one stays", config->log.file);
    audit_changes(proxy, snapshot, "reload");
    struct config *old = config_hold(proxy->snapshot->config);
    proxy_adopt(proxy, snapshot);
    proxy->switch_count = 0;
    audit_open(proxy, old->log.audit_file);
    config_free(old);
    door_pace(proxy);
}

void proxy_reload_done(struct proxy *proxy)
{
    log_notice(NULL, "reload done: %zu rules in force", policy_rule_count(proxy->snapshot->policy));
    audit_note(proxy, "reload", "done");
}

bool proxy_reload(struct proxy *proxy, struct problems *problems)
{
    proxy->reloads++;
    proxy->reloaded = clock_wall();
    proxy->reload_failed = false;
    if (proxy->move) {
        reload_failed(proxy);
        problem_error(problems, (struct where){proxy->config_path, 0},
                      "a move to another backend is under way, try again when it is over");
        log_problems(problems, LOG_ERROR);
        return false;
    }
    struct snapshot *snapshot =
        snapshot_load(proxy->config_path, &proxy->overrides, proxy->snapshot, problems);
    log_problems(problems, snapshot ? LOG_WARN : LOG_ERROR);
    if (!snapshot) {
        reload_failed(proxy);
        log_error(NULL, "reload failed: %zu mistake%s, the configuration in force stays",
                  problems->errors, problems->errors == 1 ? "" : "s");
        return false;
    }
    if (config_moves(proxy->snapshot->config, snapshot->config))
        return move_start(proxy, snapshot);
    proxy_reload_adopt(proxy, snapshot);
    proxy_reload_done(proxy);
    return true;
}

/* ---- learning ---- */

struct learn_mail {
    struct mail mail;
    struct buf reply;
};

/* Rows come in any order, so a restarted server is no news. */
static bool same_commands(const struct command_table *a, const struct command_table *b)
{
    if (command_count(a) != command_count(b))
        return false;
    for (size_t i = command_count(command_table_builtin()); i < command_count(a); i++) {
        const struct command *one = command_by_id(a, i);
        const struct command *other = command_by_name(b, str_of(one->name));
        if (!other || other->arity != one->arity || other->flags != one->flags ||
            other->classes != one->classes)
            return false;
    }
    return true;
}

/* A table once learned is kept for the life of the process, for calls that wait point into it. */
static void proxy_adopt_table(struct proxy *proxy, struct command_table *table)
{
    struct problems problems = {0};
    proxy->tables = xrealloc(proxy->tables, (proxy->table_count + 1) * sizeof(*proxy->tables));
    proxy->tables[proxy->table_count++] = table;
    struct snapshot *snapshot =
        snapshot_new(config_hold(proxy->snapshot->config), table, &problems);
    if (snapshot)
        proxy_adopt(proxy, snapshot);
    else
        log_problems(&problems, LOG_ERROR);
    problems_free(&problems);
}

static void proxy_learned(struct loop *loop, struct mail *mail)
{
    struct proxy *proxy = CONTAINER(loop, struct proxy, loop);
    struct learn_mail *letter = CONTAINER(mail, struct learn_mail, mail);
    struct arena *arena = arena_new();
    size_t malformed = 0;
    const struct tree *tree = tree_parse(arena, letter->reply.ptr, letter->reply.len);
    struct command_table *table = tree ? command_table_learn(tree, &malformed) : NULL;
    if (!table)
        log_error(NULL, "the backend's COMMAND reply was not understood");
    else
        log_info(NULL, "%zu commands learned from the backend, %zu of its rows not understood",
                 command_count(table) - command_count(command_table_builtin()), malformed);
    if (table && (proxy->draining || same_commands(table, proxy->snapshot->commands)))
        command_table_free(table);
    else if (table)
        proxy_adopt_table(proxy, table);
    arena_free(arena);
    buf_free(&letter->reply);
    free(letter);
}

void proxy_learn(struct proxy *proxy, struct str reply)
{
    struct learn_mail *letter = xcalloc(1, sizeof(*letter));
    letter->mail.run = proxy_learned;
    buf_str(&letter->reply, reply);
    loop_post(&proxy->loop, &letter->mail);
}

/* ---- signals and the end ---- */

void proxy_drain(struct proxy *proxy)
{
    if (proxy->draining)
        return;
    proxy->draining = true;
    log_notice(NULL, "draining: no new clients, up to %llu ms for what is under way",
               (unsigned long long)proxy->snapshot->config->proxy.drain_timeout);
    for (size_t i = 0; i < proxy->listener_count; i++)
        listener_close(proxy->listeners[i]);
    proxy->listener_count = 0;
    for (unsigned i = 0; i < proxy->worker_count; i++)
        worker_drain(&proxy->workers[i]);
}

static void worker_drained(struct loop *loop, struct mail *mail)
{
    struct proxy *proxy = CONTAINER(loop, struct proxy, loop);
    free(mail);
    if (++proxy->workers_drained < proxy->worker_count)
        return;
    for (unsigned i = 0; i < proxy->worker_count; i++)
        worker_stop(&proxy->workers[i]);
}

void proxy_worker_drained(struct worker *worker)
{
    struct mail *mail = xcalloc(1, sizeof(*mail));
    mail->run = worker_drained;
    loop_post(&worker->proxy->loop, mail);
}

static void worker_gone(struct loop *loop, struct mail *mail)
{
    struct proxy *proxy = CONTAINER(loop, struct proxy, loop);
    free(mail);
    if (++proxy->workers_done == proxy->worker_count)
        loop_stop(loop);
}

void proxy_worker_done(struct worker *worker)
{
    struct mail *mail = xcalloc(1, sizeof(*mail));
    mail->run = worker_gone;
    loop_post(&worker->proxy->loop, mail);
}

static void proxy_signal(uv_signal_t *handle, int number)
{
    struct proxy *proxy = handle->data;
    struct problems problems = {0};
    switch (number) {
    case SIGHUP:
        proxy_reload(proxy, &problems);
        problems_free(&problems);
        break;
    case SIGUSR1:
        audit_reopen(proxy);
        if (!log_reopen())
            log_error(NULL, "cannot reopen the log file; the old one stays");
        else
            log_notice(NULL, "log files reopened");
        break;
    case SIGTERM:
    case SIGINT: proxy_drain(proxy); break;
    }
}

static void proxy_tick(struct loop *loop)
{
    struct proxy *proxy = CONTAINER(loop, struct proxy, loop);
    if (!proxy->draining)
        door_pace(proxy);
    policy_sweep(proxy->snapshot->policy, clock_ns());
    proxy_switches_tick(proxy);
    proxy_pause_tick(proxy);
    if (proxy->side)
        proxy->side->tick(proxy);
}

static bool proxy_listen(struct proxy *proxy)
{
    const struct config *config = proxy->snapshot->config;
    char error[256];
    proxy->listeners = xcalloc(config->proxy.listen_count, sizeof(*proxy->listeners));
    for (size_t i = 0; i < config->proxy.listen_count; i++) {
        proxy->listeners[i] =
            listener_new(&proxy->loop, &config->proxy.listen[i], door_accept, proxy, error);
        if (!proxy->listeners[i]) {
            fprintf(stderr, "respgate: %s\n", error);
            return false;
        }
        proxy->listener_count++;
        log_notice(NULL, "listening on %s", config->proxy.listen[i].text);
    }
    return true;
}

/* Each client is a file, and so is each link: the limit is raised as far as it goes. */
static void raise_file_limit(const struct config *config)
{
    struct rlimit limit;
    uint64_t want = config->proxy.max_clients + config->backend.max_links +
                    config->backend.max_pinned_links + FILES_RESERVED;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur >= want)
        return;
    limit.rlim_cur = limit.rlim_max < want ? limit.rlim_max : want;
    if (limit.rlim_max < want && limit.rlim_max != RLIM_INFINITY) {
        struct rlimit more = {want, want};
        if (setrlimit(RLIMIT_NOFILE, &more) == 0) /* root may */
            return;
    }
    setrlimit(RLIMIT_NOFILE, &limit);
    if (limit.rlim_cur < want)
        log_warn(NULL,
                 "only %llu open files are allowed, max-clients and links want %llu: raise "
                 "LimitNOFILE (systemd) or ulimit -n",
                 (unsigned long long)limit.rlim_cur, (unsigned long long)want);
}

static void proxy_signals(struct proxy *proxy)
{
    static const int numbers[] = {SIGHUP, SIGTERM, SIGINT, SIGUSR1};
    signal(SIGPIPE, SIG_IGN);
    proxy->signalled = true;
    for (size_t i = 0; i < ARRAY_LEN(numbers); i++) {
        uv_signal_init(&proxy->loop.uv, &proxy->signals[i]);
        proxy->signals[i].data = proxy;
        uv_signal_start(&proxy->signals[i], proxy_signal, numbers[i]);
    }
}

/* What was counted, before it is forgotten. */
static void log_stats(const struct proxy *proxy)
{
    for (int stat = 0; stat < STAT_COUNT; stat++) {
        uint64_t total = 0;
        for (unsigned i = 0; i < proxy->worker_count; i++)
            total += proxy->workers[i].stats[stat];
        if (total)
            log_info(NULL, "%s %llu (%s)", stat_name(stat), (unsigned long long)total,
                     stat_help(stat));
    }
}

static void proxy_join(struct proxy *proxy)
{
    for (unsigned i = 0; i < proxy->worker_count; i++)
        uv_thread_join(&proxy->workers[i].thread);
}

void proxy_free(struct proxy *proxy)
{
    for (size_t i = 0; i < proxy->listener_count; i++)
        listener_close(proxy->listeners[i]);
    for (unsigned i = 0; proxy->workers && i < proxy->worker_count; i++)
        worker_free(&proxy->workers[i]);
    for (size_t i = 0; proxy->signalled && i < ARRAY_LEN(proxy->signals); i++)
        uv_close((uv_handle_t *)&proxy->signals[i], NULL);
    loop_free(&proxy->loop);
    audit_free(proxy);
    reports_free(proxy);
    move_free(proxy);
    visits_free(proxy);
    snapshot_drop(proxy->snapshot);
    health_free(proxy);
    tally_free(proxy->addresses);
    tally_free(proxy->users);
    tally_free(proxy->pinned_addresses);
    tally_free(proxy->pinned_users);
    for (size_t kind = 0; kind < ARRAY_LEN(proxy->shared_hubs); kind++) {
        tally_free(proxy->shared_members[kind]);
        tally_free(proxy->shared_hubs[kind]);
    }
    free(proxy->listeners);
    free(proxy->switches);
    free(proxy->workers);
    for (size_t i = 0; i < proxy->table_count; i++)
        command_table_free(proxy->tables[i]);
    free(proxy->tables);
    chunk_pool_clear();
}

void proxy_init(struct proxy *proxy, struct snapshot *snapshot, const char *config_path,
                const struct config_overrides *overrides)
{
    *proxy = (struct proxy){
        .snapshot = snapshot,
        .config_path = config_path,
        .overrides = *overrides,
        .addresses = tally_new(),
        .users = tally_new(),
        .pinned_addresses = tally_new(),
        .pinned_users = tally_new(),
        .shared_members = {tally_new(), tally_new()},
        .shared_hubs = {tally_new(), tally_new()},
        .worker_count = 1,
        .functions_clock = 1,
        .functions_changed = 1,
        .started = clock_wall(),
    };
    audit_init(proxy);
    list_init(&proxy->reports);
    list_init(&proxy->visits);
    loop_init(&proxy->loop, proxy_tick);
    policy_inherit(snapshot->policy, NULL, clock_ns());
}

static const char *backend_text(const struct config *config)
{
    return config->backend.mode == MODE_SENTINEL ? config->backend.master_name
                                                 : config->backend.url[0].text;
}

int proxy_run(struct snapshot *snapshot, const char *config_path,
              const struct config_overrides *overrides, const struct proxy_side *side)
{
    static struct proxy proxy; /* one process, one proxy */
    proxy_init(&proxy, snapshot, config_path, overrides);
    proxy.worker_count = (unsigned)snapshot->config->proxy.threads;
    proxy_signals(&proxy);
    raise_file_limit(snapshot->config);
    proxy.accept_last = loop_now(&proxy.loop);
    audit_open(&proxy, NULL);
    proxy.side = side;
    if (!proxy_listen(&proxy) || !side->start(&proxy)) {
        side->stop(&proxy);
        proxy_free(&proxy);
        return 1;
    }
    proxy.workers = xcalloc(proxy.worker_count, sizeof(*proxy.workers));
    for (unsigned i = 0; i < proxy.worker_count; i++)
        worker_start(&proxy.workers[i], &proxy, i);
    log_notice(NULL, "respgate %s is ready: %u worker%s, backend %s, %zu rules", RESPGATE_VERSION,
               proxy.worker_count, proxy.worker_count == 1 ? "" : "s",
               backend_text(snapshot->config), policy_rule_count(snapshot->policy));
    loop_run(&proxy.loop);
    proxy_join(&proxy);
    side->stop(&proxy);
    log_stats(&proxy);
    proxy_free(&proxy);
    log_notice(NULL, "stopped");
    return 0;
}
