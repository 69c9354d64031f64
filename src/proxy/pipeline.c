/* pipeline.c - the path of one request, from parsed to sent. One page; each stage returns what
 * becomes of the request: NEXT, ANSWERED, PARKED, SENT, CLOSED.
 *
 *   classify  which command, which keys; what Redis and the limits refuse outright
 *   admit     who may speak at all (AUTH)
 *   prepare   scripts: the body must be known
 *   judge     the rules: before the session, so that locally answered commands obey them too
 *   hold      waits while the operator, or a move to another backend, holds requests
 *   shape     limits, delays, rewrites of what the rules let through
 *   session   answered here (HELLO, CLIENT ...), or what the command does to the connection
 *   place     which link; earlier requests on another link are waited for
 *   dispatch  into the client's queue and the link's
 */
#include <stdio.h>

#include "count.h"
#include "respgate/pressure.h"
#include "confirm.h"
#include "stages.h"

static enum step classify(struct client *client, struct call *call)
{
    const struct snapshot *snapshot = client->worker->snapshot;
    const struct str *argv = call->request.argv;
    size_t argc = call->request.argc;
    if (unlikely(client->db_moves)) { /* behind an EXEC with a SELECT in it: its db decides */
        if (client->queue.head) {
            client_wait(client, WAIT_DRAIN);
            return PARKED;
        }
        client->db_moves = false;
    }
    switch (command_lookup(snapshot->commands, argv, argc, &call->command)) {
    case LOOKUP_FOUND: break;
    case LOOKUP_UNKNOWN:
    case LOOKUP_UNKNOWN_SUB: return reply_unknown(client, call);
    }
    client->last_command = call->command->id;
    call_keys(client->worker, call);
    if (unlikely(client->worker->clustered || !client->worker->mode_known)) {
        enum step step = call_slot(client, call);
        if (step != NEXT)
            return step;
    }
    return limits_check(client, call);
}

static enum step admit(struct client *client, struct call *call)
{
    if (unlikely(client->heavy) && !budget_admits(client, call))
        return ANSWERED;
    if (likely(!client->worker->snapshot->config->user_count))
        return NEXT; /* who must log in, and has not, hears it from the store itself */
    if (client->authenticated || (call->command->flags & CMD_NO_AUTH))
        return NEXT;
    transaction_abort(client);
    client_reply_text(client, "-NOAUTH Authentication required.\r\n");
    return ANSWERED;
}

/* Where its next command runs. */
static int64_t client_db(const struct client *client)
{
    return client->transaction ? client->transaction->db : client->db;
}

/* Before the rules; but of a script the rules find out first what it does. */
static bool judge_pressure(struct client *client, struct call *call, uint8_t when,
                           struct buf *refusal)
{
    uint8_t traits = client->worker->snapshot->traits[call->command->id];
    if (likely((traits & (TRAIT_PRESSURE | TRAIT_SCRIPT)) != when))
        return true;
    charge_land(&call->charges); /* it may come here twice */
    return pressure_admits(client, call, refusal);
}

static enum step judge_refused(struct client *client, struct buf *refusal)
{
    transaction_abort(client);
    client_reply_error(client, "%.*s", (int)refusal->len, refusal->ptr);
    buf_free(refusal);
    return ANSWERED;
}

static enum step judge(struct client *client, struct call *call)
{
    struct buf refusal = {0};
    call->generation = client->worker->snapshot->generation;
    call->db = client_db(client);
    if (unlikely(call->phase)) /* it has waited, and the scratch has been others' */
        call_keys(client->worker, call);
    if (unlikely(!judge_pressure(client, call, TRAIT_PRESSURE, &refusal)))
        return judge_refused(client, &refusal);
    enum judged judged = judge_call(client, call, call->db, &refusal);
    if (unlikely(client->confirmations) && judged != JUDGED_ASK)
        call->as_control = confirm_settle(client, judged == JUDGED_ALLOWED) &&
                           client->worker->snapshot->config->backend.control_password_file;
    switch (judged) {
    case JUDGED_ALLOWED:
        if (likely(judge_pressure(client, call, TRAIT_PRESSURE | TRAIT_SCRIPT, &refusal)))
            return NEXT;
        break;
    case JUDGED_ASK: call->phase = 1; return PARKED;
    case JUDGED_REFUSED: break;
    }
    return judge_refused(client, &refusal);
}

/* Under whose name a request runs when it is not its client's: scripts in mode acl, and what was
 * confirmed. Only what the shared link may carry; and no script, of which but one call may have
 * been confirmed. */
static struct identity *call_identity(const struct client *client, const struct call *call)
{
    if (unlikely(scripting_own_link(client, call->command)))
        return client->worker->identity_scripts;
    bool script = client->worker->snapshot->traits[call->command->id] & TRAIT_SCRIPT;
    bool forwarded = !call->pin && !call->to_pinned && call->kind == REQ_FORWARD && !script;
    return unlikely(call->as_control) && forwarded ? client->worker->identity_control : NULL;
}

/* Behind a blocking command the next request goes its own way again, once that is answered. */
static bool call_pinned(const struct client *client, const struct call *call)
{
    if (unlikely(call_identity(client, call)))
        return false;
    return ((client->pins & ~(uint32_t)PIN_BLOCK) || call->pin || call->to_pinned) &&
           !call->unpinned;
}

/* The class of links of a request that needs none of its own. */
static struct pool *call_pool(struct client *client, const struct call *call, struct pool *at)
{
    struct worker *worker = client->worker;
    struct identity *identity = call_identity(client, call);
    if (likely(!identity))
        return at;
    struct pool *pool = pool_get(at->node, identity, client->resp, client->db, client_slot(client));
    pool->unused = loop_now(&worker->loop);
    return pool;
}

/* A backend that takes no more bytes holds its clients up, and after park-timeout they get an
 * error: what waits for it in memory is bounded by park-limit and one request. */
static enum step place_shared(struct client *client, struct call *call, const struct pool *pool)
{
    const struct config *config = client->worker->snapshot->config;
    const struct link *link = pool->shared;
    uint64_t now = loop_now(&client->worker->loop);
    if (likely(!link || link->conn.out.bytes <= config->backend.park_limit))
        return NEXT;
    if (call->phase == 0) {
        call->phase = 1;
        client->waiting_since = now;
    }
    if (now >= client->waiting_since + config->backend.park_timeout) {
        client_reply_away(client);
        return ANSWERED;
    }
    client->wait_until = now;
    client_wait(client, WAIT_TIME); /* until the next tick */
    return PARKED;
}

/* The link the request goes to. A request never overtakes an earlier one of its client: when
 * those are on another link, it waits until they are answered. */
static enum step place(struct client *client, struct call *call)
{
    struct pool *pool = client->pool;
    call->unpinned = false;
    if (unlikely(client->worker->clustered)) {
        const struct slot_map *map = client->worker->map;
        bool plain = map && call->slot >= 0 && !client->pinned && !client->transaction;
        uint16_t owner = plain ? map->owner[call->slot] : NO_OWNER;
        if (likely(owner != NO_OWNER)) { /* the usual request, without a call */
            pool = pool_at(client->worker->by_index[owner], pool->class);
            enum read_from from = call->read_from;
            if (likely(from == READ_UNSET))
                from = client->worker->snapshot->config->backend.read_from;
            if (from != READ_PRIMARY)
                pool = replica_choose(client, call, from, pool);
        } else {
            enum step step = place_cluster(client, call, &pool);
            if (step != NEXT)
                return step;
        }
    }
    if (unlikely(
            call->as_control)) { /* the name of another is no way around the store's own door */
        enum step step = client_admitted(client);
        if (step != NEXT)
            return step;
    }
    bool pinned = call_pinned(client, call);
    call->pool = call_pool(client, call, pool);
    const void *lane = pinned ? (const void *)client->pinned : call->pool;
    if (client->queue.head && client->lane && client->lane != lane) {
        client_wait(client, WAIT_DRAIN);
        return PARKED;
    }
    if (!pinned)
        return place_shared(client, call, call->pool);
    if (client->pinned)
        return NEXT;
    enum pool_answer answer = pool_pin(pool, client, call->pin & (PIN_MULTI | PIN_WATCH));
    switch (answer) {
    case POOL_READY: return NEXT;
    case POOL_WAIT: return PARKED;
    case POOL_REFUSED:
    case POOL_AWAY:
    case POOL_FULL: break;
    }
    return reply_no_pin(client, call, answer);
}

struct req *call_req(struct client *client, struct call *call)
{
    struct req *req = req_new(client->worker);
    const struct snapshot *snapshot = client->worker->snapshot;
    req->command = call->command->id;
    req->traits = snapshot->traits[call->command->id];
    req->kind = call->kind;
    req->expect = call->expect;
    req->aux = call->aux;
    req->mute = client->reply_off || client->skip_this;
    req->size = call->request.bytes.len;
    call_count(client, call, req);
    req->bytes = call->request.bytes;
    call->request.bytes = (struct span){0};
    req->slot = call->slot;
    charge_move(&req->charges, &call->charges);
    client_enqueue(client, req);
    return req;
}

static enum step dispatch(struct client *client, struct call *call)
{
    bool pinned = call_pinned(client, call);
    if (unlikely(call->key_count > 1 || client->transaction || call->computed ||
                 call->kind == REQ_WATCH) &&
        !client->worker->clustered)
        rehearse_call(client, call);
    client->pins |= call->pin;
    struct span sample = {0};
    if (unlikely(sample_due(client->worker)))
        sample = sample_question(client, call);
    struct req *req = call_req(client, call);
    /* What changes a connection's state must never meet the shared one. */
    ASSERT(pinned ? client->pinned != NULL
                  : req->kind == REQ_FORWARD || req->kind == REQ_QUEUED ||
                        req->kind == REQ_SUBSCRIBE || req->kind == REQ_TRACKING ||
                        req->kind == REQ_COUNT);
    if (pinned) {
        client->lane = client->pinned;
        link_send(client->pinned, req);
        span_drop(&sample); /* inside MULTI it would be one of the client's */
        return SENT;
    }
    struct pool *pool = call->pool;
    client->lane = pool;
    if (!pool_send(pool, req)) {
        char error[128];
        snprintf(error, sizeof(error), "-ERR respgate: backend %s is unavailable\r\n",
                 pool->node->name);
        client_answer_req(client, req, error);
        req_free(client->worker, req);
        span_drop(&sample);
        return ANSWERED;
    }
    if (unlikely(sample.ptr))
        sample_send(pool, sample);
    return SENT;
}

/* A stage that parks is where the call goes on when client_resume brings it back. */
#define STAGE(number, function)                                                                    \
    case number:                                                                                   \
        call->stage = number;                                                                      \
        if ((step = function(client, call)) != NEXT)                                               \
            return step;                                                                           \
        call->phase = 0; /* a stage's own */                                                       \
        __attribute__((fallthrough))

/* While a call waited the rules may have changed, or the db, by an EXEC before it, or the function
 * it calls: then it is judged anew, from the start. */
static void call_freshen(struct client *client, struct call *call)
{
    if (call->stage < STAGE_HOLD ||
        (call->generation == client->worker->snapshot->generation &&
         call->db == client_db(client) && !functions_stale(client, call->functions_clock)))
        return;
    if (call->kind == REQ_MULTI)
        transaction_end(client);
    if (call->kind == REQ_WATCH)
        client->watched_keys -= call->request.argc - 1;
    struct request request = call->request;
    charge_land(&call->charges);
    *call = (struct call){.request = request,
                          .active = true,
                          .shaped = call->shaped,
                          .held = call->held,
                          .arrived = call->arrived};
}

enum step pipeline_run(struct client *client)
{
    struct call *call = &client->call;
    enum step step;
    if (unlikely(call->stage)) {
        call_freshen(client, call);
        if (call->command)
            call_keys(client->worker, call); /* others have used the scratch */
    }
    switch (call->stage) {
        STAGE(0, classify);
        STAGE(1, admit);
        STAGE(2, scripting_prepare);
        STAGE(3, judge);
        STAGE(STAGE_HOLD, hold_run);
        STAGE(5, shape_run);
        STAGE(6, session_run);
        STAGE(7, place);
    case 8: return dispatch(client, call);
    }
    return CLOSED;
}
