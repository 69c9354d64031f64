/* count_time.c - how long requests take, here and at the backend; slow and large ones.
 *
 *   arrived ......... sent ............. reply ......... taken
 *   turn begins       that turn ends     turn begins     that turn ends
 *      |---- proxy ----|---- backend -----|---- proxy ----|
 *
 * A reading of the clock for each request would cost more than all other counting together, so
 * it is read twice a turn (net.h, loop_us). The kernel had a turn's bytes when the turn began and
 * gets what it writes when the turn ends; at -P 16 a turn of fifty clients is some 400 us, and to
 * the client its requests came and went together: that time is the proxy's, and shown as such.
 * Replies with the same times are added as one run.
 */
#include <stdio.h>

#include "count.h"
#include "stages.h"

/* What takes long by intention says nothing of anybody's speed. */
static bool is_timed(const struct req *req)
{
    static const uint32_t waits = 1u << REQ_BLOCK | 1u << REQ_SUBSCRIBE | 1u << REQ_MONITOR;
    return !(1u << req->kind & waits);
}

struct command_counts *command_counted(struct counts *counts, uint16_t id)
{
    if (unlikely(id >= counts->command_room)) {
        size_t room = (size_t)id + 64;
        counts->commands = xrealloc(counts->commands, room * sizeof(struct command_counts *));
        memset(counts->commands + counts->command_room, 0,
               (room - counts->command_room) * sizeof(struct command_counts *));
        counts->command_room = room;
    }
    if (unlikely(!counts->commands[id]))
        counts->commands[id] = xcalloc(1, sizeof(struct command_counts));
    return counts->commands[id];
}

static uint32_t between(uint32_t from, uint32_t to)
{
    return (int32_t)(to - from) > 0 ? to - from : 0;
}

static void run_add(struct worker *worker, const struct run *run, uint32_t end)
{
    struct command_counts *command = command_counted(worker->counts, run->command);
    uint32_t now = (uint32_t)worker->loop.turn_us;
    uint32_t sent = loop_turn_end(&worker->loop, run->turn, run->arrived);
    uint32_t total = between(run->arrived, end), backend = between(sent, now);
    command->errors += run->errors;
    histogram_add(&command->backend, backend, run->count);
    histogram_add(&command->proxy, total > backend ? total - backend : 0, run->count);
    run->node->counts.requests += run->count;
    run->node->counts.errors += run->errors;
    histogram_add(&run->node->counts.latency, backend, run->count);
}

static void runs_add(struct worker *worker, uint64_t end)
{
    struct counts *counts = worker->counts;
    for (unsigned i = 0; i < counts->run_count; i++)
        run_add(worker, &counts->runs[i], (uint32_t)end);
    counts->run_count = 0;
}

void counts_turn_over(struct loop *loop, uint64_t end)
{
    runs_add(CONTAINER(loop, struct worker, loop), end);
}

void counts_settle(struct worker *worker)
{
    if (worker->counts->run_count)
        runs_add(worker, clock_ns() / 1000);
}

static struct run *run_new(struct worker *worker, struct node *node, const struct req *req)
{
    struct counts *counts = worker->counts;
    uint32_t now = (uint32_t)loop_us(&worker->loop);
    if (unlikely(counts->run_count == RUNS))
        counts_settle(worker);
    struct run *run = &counts->runs[counts->run_count++];
    *run = (struct run){.node = node,
                        .arrived = req->arrived,
                        .turn = req->turn,
                        .command = req->command,
                        .slow = between(req->arrived, now) > counts->slow_us};
    return run;
}

static inline struct run *run_of(struct worker *worker, struct node *node, const struct req *req)
{
    struct counts *counts = worker->counts;
    struct run *run = counts->run_count ? &counts->runs[counts->run_count - 1] : NULL;
    if (likely(run && run->arrived == req->arrived && run->turn == req->turn &&
               run->command == req->command && run->node == node))
        return run;
    return run_new(worker, node, req);
}

void req_failed(struct worker *worker, const struct req *req)
{
    command_counted(worker->counts, req->command)->errors++;
}

void call_failed(struct client *client)
{
    if (client->call.active && client->call.command)
        command_counted(client->worker->counts, client->call.command->id)->errors++;
}

/* ---- slow and large ---- */

static struct asker asker_of(const struct client *client)
{
    struct asker asker = {.client = client->id};
    address_text(&client->subject.address, asker.address);
    if (client->user_name)
        snprintf(asker.user, sizeof(asker.user), "%.31s", client->user_name);
    return asker;
}

/* Its first key; len 0: it has none. */
static struct str req_key(const struct req *req)
{
    struct str bytes = {req->bytes.ptr, req->bytes.len};
    if (req->key)
        return (struct str){req->key->ptr, req->key->len};
    return req->key_arg && bytes.ptr ? request_argument(bytes, req->key_arg) : (struct str){0};
}

/* A copy of the key is small; the bytes would hold the whole chunk they were read into, for as long
 * as a BLPOP waits. */
void req_forget(struct req *req)
{
    struct str key = COUNTING ? req_key(req) : (struct str){0};
    if (key.len) {
        size_t len = key.len < KEY_KEPT ? key.len : KEY_KEPT;
        req->key = xmalloc(sizeof(*req->key) + len);
        *req->key = (struct kept_key){.len = (uint16_t)len, .ptr = (char *)(req->key + 1)};
        memcpy(req->key->ptr, key.ptr, len);
    }
    span_drop(&req->bytes);
}

static void slow_reply(struct worker *worker, struct node *node, struct client *client,
                       struct req *req)
{
    uint32_t now = (uint32_t)loop_us(&worker->loop);
    uint32_t sent = loop_turn_end(&worker->loop, req->turn, req->arrived);
    struct slow *slow = slow_add(&worker->counts->slow, req_key(req));
    slow->command = req->command;
    slow->when = clock_wall();
    slow->queue = between(req->arrived, sent);
    slow->backend = between(sent, now);
    slow->asker = asker_of(client);
    snprintf(slow->node, sizeof(slow->node), "%s", node->name);
    client->slow = slow->id;
    client->slow_since = now;
    count(worker, STAT_REQUESTS_SLOW);
    slow_log(client, slow);
}

void slow_taken(struct client *client)
{
    struct worker *worker = client->worker;
    struct slow *slow = slow_find(&worker->counts->slow, client->slow);
    if (slow)
        slow->output = between(client->slow_since, (uint32_t)(clock_ns() / 1000));
    client->slow = 0;
}

static void big_fill(struct big *big, struct client *client, uint16_t command)
{
    if (!big)
        return;
    big->command = command;
    big->when = clock_wall();
    big->asker = asker_of(client);
}

void reply_count(struct link *link, struct client *client, struct req *req)
{
    struct worker *worker = client->worker;
    struct counts *counts = worker->counts;
    bool failed = link->frame_error;
    if (!COUNTING)
        return;
    if (likely(is_timed(req))) {
        struct run *run = run_of(worker, link->pool->node, req);
        run->count++;
        run->errors += failed;
        if (unlikely(run->slow))
            slow_reply(worker, link->pool->node, client, req);
    }
    if (req->mark_count && likely(!failed && !(req->kind == REQ_EXEC && link->frame_nil)))
        marks_land(client, req);
    if (unlikely(req->size > counts->big_requests.floor))
        big_fill(big_add(&counts->big_requests, req_key(req), req->size), client, req->command);
    if (unlikely(link->frame_bytes > counts->big_replies.floor))
        big_fill(big_add(&counts->big_replies, req_key(req), link->frame_bytes), client,
                 req->command);
}

void gather_counted(struct client *client, struct req *req, bool failed)
{
    struct command_counts *command = command_counted(client->worker->counts, req->command);
    command->errors += failed; /* the call itself counted when its parts were sent */
    if (req->mark_count && !failed)
        marks_land(client, req);
}
