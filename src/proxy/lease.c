/*
 * lease.c - limits shared by all respgates of a backend (`shared = yes`).
 *
 *   request -> tokens in hand? -> spent            no: EVAL at the backend -> a share, or a wait
 *
 * The bucket is one timestamp (GCRA) under {respgate}, by the clock of the backend, and the script
 * that charges it is one atomic call for a share of some requests. So all respgates together pass
 * the rate, and each thread at most one share more. Requests that meet an empty hand wait for the
 * answer, never for longer than ANSWER_MS; then, and while the backend is away, each respgate goes
 * by a bucket of its own.
 */
#include <stdio.h>
#include <stdlib.h>

#include <uthash.h>

#include "lease.h"
#include "stages.h"

enum {
    SHARE_MS = 50,   /* of the rate, for all threads of a respgate together */
    ANSWER_MS = 250, /* a backend that takes longer counts as away, */
    AWAY_MS = 1000,  /* for so long */
    LINK_MS = 5,     /* how often a link that is being made is looked for */
    IDLE_MS = 10 * 1000,
    LEASES_MAX = 16 * 1024, /* of a worker; who comes then is counted here */
};

/* KEYS[1] the bucket. ARGV: us a token, burst, tokens wanted, tokens needed. Answers the tokens
 * granted and, when these are none, the milliseconds until the needed ones are there. */
static const char script[] =
    "local t = redis.call('TIME')\n"
    "local now = t[1] * 1000000 + t[2]\n"
    "local each, burst, want, need = ARGV[1] + 0, ARGV[2] + 0, ARGV[3] + 0, ARGV[4] + 0\n"
    "local full = tonumber(redis.call('GET', KEYS[1]) or 0)\n"
    "if full < now then full = now end\n"
    "local room = burst - (full - now) / each\n"
    "local must = math.min(need, burst)\n"
    "if room + 0.000001 < must then\n"
    "  return {0, math.ceil((must - room) * each / 1000)}\n"
    "end\n"
    "local grant = math.max(need, math.min(want, math.floor(room)))\n"
    "full = math.ceil(full + grant * each)\n"
    "redis.call('SET', KEYS[1], string.format('%.0f', full), 'PX',\n"
    "           math.ceil((full - now) / 1000) + 1)\n"
    "return {grant, 0}\n";

struct lease {
    UT_hash_handle hh;
    uint64_t generation;    /* of the rules: with others the share is another one */
    uint64_t tokens;        /* in hand */
    uint64_t refused_until; /* loop ms */
    uint64_t asked;         /* loop ms; 0: not under way */
    uint64_t used;          /* loop ms of the last request */
    size_t name_len;
    char name[SHARED_NAME_MAX];
};

struct leases {
    struct lease *all;
    size_t count;
    uint64_t away_until; /* loop ms */
    bool said_away;
    uint64_t next_sweep;
};

static void say_away(struct worker *worker, const char *reason, size_t len)
{
    struct leases *leases = worker->leases;
    leases->away_until = loop_now(&worker->loop) + AWAY_MS;
    if (leases->said_away)
        return;
    leases->said_away = true;
    log_warn(NULL, "shared limits count by themselves, the backend is away: %.*s (worker %u)",
             (int)len, reason, worker->index);
}

static struct lease *lease_find(struct worker *worker, const struct shared_cost *cost)
{
    struct leases *leases = worker->leases;
    struct lease *lease = NULL;
    if (!leases)
        leases = worker->leases = xcalloc(1, sizeof(*leases));
    HASH_FIND(hh, leases->all, cost->name, cost->name_len, lease);
    if (!lease && leases->count < LEASES_MAX) {
        lease = xcalloc(1, sizeof(*lease));
        memcpy(lease->name, cost->name, cost->name_len);
        lease->name_len = cost->name_len;
        HASH_ADD_KEYPTR(hh, leases->all, lease->name, lease->name_len, lease);
        leases->count++;
    }
    if (lease && lease->generation != worker->snapshot->generation) {
        lease->generation = worker->snapshot->generation;
        lease->tokens = lease->refused_until = 0;
    }
    return lease;
}

/* ---- asking ---- */

/* Those that wait look again. */
static void waiters_resume(struct worker *worker)
{
    list_each_safe (it, &worker->clients[CLIENT_WAITING]) {
        struct client *client = CONTAINER(it, struct client, entry);
        if (client->wait == WAIT_TIME && client->call.lease_since)
            client_resume(client);
    }
}

/* The answer finds its lease by name: it may have been forgotten. */
struct lease_name {
    uint64_t generation;
    size_t len;
    char text[SHARED_NAME_MAX];
};

static void lease_answered(struct req *req, struct link *link, struct str reply)
{
    struct worker *worker = link->pool->node->worker;
    struct lease_name *name = req->context;
    struct leases *leases = worker->leases;
    struct lease *lease = NULL;
    struct arena *arena = arena_new();
    const struct tree *tree = reply.ptr ? tree_parse(arena, reply.ptr, reply.len) : NULL;
    bool good = tree && tree->type == TREE_ARRAY && tree->count == 2;
    if (leases)
        HASH_FIND(hh, leases->all, name->text, name->len, lease);
    if (lease)
        lease->asked = 0;
    if (leases && !good) {
        say_away(worker, reply.ptr ? reply.ptr : "the link was lost",
                 reply.ptr ? (reply.len < 120 ? reply.len : 120) : 17);
    } else if (lease && lease->generation == name->generation) {
        lease->tokens += (uint64_t)tree->items[0].integer;
        if (!tree->items[0].integer)
            lease->refused_until = loop_now(&worker->loop) + (uint64_t)tree->items[1].integer;
    }
    if (leases && good && leases->said_away) {
        leases->said_away = false;
        leases->away_until = 0;
        log_notice(NULL, "shared limits are shared again (worker %u)", worker->index);
    }
    arena_free(arena);
    free(name);
    waiters_resume(worker);
}

/* All shared buckets have one hash tag, so one node of a cluster has them. */
static struct node *lease_node(struct worker *worker)
{
    return cluster_node_of_key(worker, STR(POLICY_RESERVED));
}

static struct link *control_link(struct worker *worker)
{
    struct node *node = lease_node(worker);
    struct pool *pool = pool_get(node, worker->identity_control, 2, 0, 0);
    pool->unused = loop_now(&worker->loop);
    pool_want_shared(pool);
    bool ready = pool->shared && pool->shared->state == LINK_READY && !pool->noauth;
    return ready && !node->breaker_open ? pool->shared : NULL;
}

static uint64_t share_of(const struct worker *worker, const struct shared_cost *cost)
{
    double share = cost->rate * SHARE_MS / 1000 / worker->proxy->worker_count;
    uint64_t tokens = share > 1 ? (uint64_t)share : 1;
    tokens = tokens < cost->burst ? tokens : cost->burst;
    return tokens > cost->cost ? tokens : cost->cost;
}

static bool lease_ask(struct worker *worker, struct lease *lease, const struct shared_cost *cost)
{
    struct link *link = control_link(worker);
    char each[40], burst[24], want[24], need[24];
    struct buf key = {0}, command = {0};
    if (!link)
        return false;
    snprintf(each, sizeof(each), "%.9f", 1e6 / cost->rate);
    snprintf(burst, sizeof(burst), "%llu", (unsigned long long)cost->burst);
    snprintf(want, sizeof(want), "%llu", (unsigned long long)share_of(worker, cost));
    snprintf(need, sizeof(need), "%llu", (unsigned long long)cost->cost);
    buf_text(&key, POLICY_RESERVED ":limit:");
    buf_add(&key, lease->name, lease->name_len);
    const struct str argv[] = {STR("EVAL"),  str_of(script), STR("1"),     buf_view(&key),
                               str_of(each), str_of(burst),  str_of(want), str_of(need)};
    write_command(&command, ARRAY_LEN(argv), argv);
    struct lease_name *name = xcalloc(1, sizeof(*name));
    name->generation = lease->generation;
    name->len = lease->name_len;
    memcpy(name->text, lease->name, lease->name_len);
    lease->asked = loop_now(&worker->loop);
    link_ask(link, span_copy(command.ptr, command.len), lease_answered, name);
    buf_free(&key);
    buf_free(&command);
    return true;
}

/* ---- one request ---- */

static enum lease_answer wait_for_share(struct client *client, struct call *call, uint64_t until)
{
    struct loop *loop = &client->worker->loop;
    if (!call->lease_since)
        call->lease_since = loop_now(loop);
    client->wait_until = until;
    client_wait(client, WAIT_TIME);
    loop_wake(loop, client->wait_until);
    return LEASE_WAIT;
}

/* A link that is only just being made is worth a moment. */
static bool link_may_come(struct worker *worker, const struct call *call, uint64_t now)
{
    const struct node *node = lease_node(worker);
    return node->failures == 0 && !node->breaker_open &&
           (!call->lease_since || now < call->lease_since + ANSWER_MS);
}

/* True: *answer is final. False: the request is counted here, or its tokens are in the hand. */
static bool lease_one(struct client *client, struct call *call, const struct shared_cost *cost,
                      struct lease_hand *hand, struct shape *shape, enum lease_answer *answer)
{
    struct worker *worker = client->worker;
    struct lease *lease = lease_find(worker, cost);
    uint64_t now = loop_now(&worker->loop);
    if (!lease)
        return false;
    lease->used = now;
    if (likely(lease->tokens >= cost->cost)) {
        hand->rules[hand->count] = cost->rule;
        hand->leases[hand->count] = lease;
        hand->costs[hand->count++] = cost->cost;
        return false;
    }
    if (now < lease->refused_until) {
        shape->kind = SHAPE_THROTTLE;
        shape->rule = cost->rule;
        shape->wait_ms = lease->refused_until - now;
        *answer = LEASE_REFUSED;
        return true;
    }
    if (now < worker->leases->away_until)
        return false;
    if (lease->asked && now >= lease->asked + ANSWER_MS) {
        say_away(worker, "it does not answer", 18);
        return false;
    }
    if (lease->asked || lease_ask(worker, lease, cost)) {
        *answer = wait_for_share(client, call, lease->asked + ANSWER_MS);
        return true;
    }
    if (link_may_come(worker, call, now)) {
        *answer = wait_for_share(client, call, now + LINK_MS);
        return true;
    }
    say_away(worker, "there is no link to it", 22);
    return false;
}

enum lease_answer leases_take(struct client *client, struct call *call, struct question *question,
                              struct lease_hand *hand, struct shape *shape)
{
    struct shared_cost costs[SHARED_MAX];
    enum lease_answer answer = LEASE_HAND;
    size_t count = policy_shared(client->worker->snapshot->policy, question, costs);
    hand->count = 0;
    for (size_t i = 0; i < count; i++)
        if (lease_one(client, call, &costs[i], hand, shape, &answer))
            return answer;
    call->lease_since = 0;
    question->leased = hand->rules;
    question->leased_count = hand->count;
    return LEASE_HAND;
}

void leases_spend(struct lease_hand *hand)
{
    for (size_t i = 0; i < hand->count; i++)
        hand->leases[i]->tokens -= hand->costs[i];
}

/* ---- upkeep ---- */

void leases_tick(struct worker *worker)
{
    struct leases *leases = worker->leases;
    uint64_t now = loop_now(&worker->loop);
    struct lease *lease, *next;
    if (!leases || now < leases->next_sweep)
        return;
    leases->next_sweep = now + IDLE_MS / 4;
    HASH_ITER(hh, leases->all, lease, next)
    {
        if (lease->asked || now < lease->refused_until || now < lease->used + IDLE_MS)
            continue;
        HASH_DEL(leases->all, lease);
        leases->count--;
        free(lease);
    }
}

void leases_free(struct worker *worker)
{
    struct lease *lease, *next;
    if (!worker->leases)
        return;
    HASH_ITER(hh, worker->leases->all, lease, next)
    {
        HASH_DEL(worker->leases->all, lease);
        free(lease);
    }
    free(worker->leases);
    worker->leases = NULL;
}
