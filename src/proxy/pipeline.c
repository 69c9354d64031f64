/* pipeline.c - the path of one request, from parsed to sent. One page; each stage returns what
 * becomes of the request: NEXT, ANSWERED, PARKED, SENT, CLOSED.
 *
 *   classify  which command, which keys; what Redis and the limits refuse outright
 *   admit     who may speak at all (AUTH)
 *   judge     the rules: before the session, so that locally answered commands obey them too
 *   session   answered here (HELLO, CLIENT ...), or what the command does to the connection
 *   place     which link; earlier requests on another link are waited for
 *   dispatch  into the client's queue and the link's
 */
#include <stdio.h>

#include "respgate/proxy.h"

static enum step classify(struct client *client, struct call *call)
{
    const struct snapshot *snapshot = client->worker->snapshot;
    const struct str *argv = call->request.argv;
    size_t argc = call->request.argc;
    switch (command_lookup(snapshot->commands, argv, argc, &call->command)) {
    case LOOKUP_FOUND: break;
    case LOOKUP_UNKNOWN:
    case LOOKUP_UNKNOWN_SUB: return reply_unknown(client, call);
    }
    client->last_command = call->command->id;
    call_keys(client->worker, call);
    return limits_check(client, call);
}

static enum step admit(struct client *client, struct call *call)
{
    if (likely(client_authenticated(client) || (call->command->flags & CMD_NO_AUTH)))
        return NEXT;
    if (!client->worker->snapshot->config->user_count)
        return NEXT; /* the store itself says NOAUTH */
    transaction_abort(client);
    client_reply_text(client, "-NOAUTH Authentication required.\r\n");
    return ANSWERED;
}

static enum step judge(struct client *client, struct call *call)
{
    struct buf refusal = {0};
    if (likely(judge_call(client, call, client->transaction ? client->transaction->db : client->db,
                          &refusal)))
        return NEXT;
    transaction_abort(client);
    client_reply_error(client, "%.*s", (int)refusal.len, refusal.ptr);
    buf_free(&refusal);
    return ANSWERED;
}

/* Behind a blocking command the next request goes its own way again, once that is answered. */
static bool call_pinned(const struct client *client, const struct call *call)
{
    return (client->pins & ~(uint32_t)PIN_BLOCK) || call->pin || call->to_pinned;
}

/* The link the request goes to. A request never overtakes an earlier one of its client: when
 * those are on another link, it waits until they are answered. */
static enum step place(struct client *client, struct call *call)
{
    bool pinned = call_pinned(client, call);
    const void *lane = pinned ? (const void *)client->pinned : client->pool;
    if (client->queue.head && client->lane && client->lane != lane) {
        client_wait(client, WAIT_DRAIN);
        return PARKED;
    }
    if (!pinned || client->pinned)
        return NEXT;
    enum pool_answer answer = pool_pin(client->pool, client, call->pin & (PIN_MULTI | PIN_WATCH));
    switch (answer) {
    case POOL_READY: return NEXT;
    case POOL_WAIT: return PARKED;
    case POOL_REFUSED:
    case POOL_AWAY:
    case POOL_FULL: break;
    }
    return reply_no_pin(client, call, answer);
}

static enum step dispatch(struct client *client, struct call *call)
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
    req->bytes = call->request.bytes;
    call->request.bytes = (struct span){0};
    bool pinned = call_pinned(client, call);
    client->pins |= call->pin;
    client_enqueue(client, req);
    if (pinned) {
        ASSERT(client->pinned);
        client->lane = client->pinned;
        link_send(client->pinned, req);
        return SENT;
    }
    client->lane = client->pool;
    if (!pool_send(client->pool, req)) {
        char error[128];
        snprintf(error, sizeof(error), "-ERR respgate: backend %s is unavailable\r\n",
                 client->worker->node.name);
        client_answer_req(client, req, error);
        req_free(client->worker, req);
        return ANSWERED;
    }
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

enum step pipeline_run(struct client *client)
{
    struct call *call = &client->call;
    enum step step;
    switch (call->stage) {
        STAGE(0, classify);
        STAGE(1, admit);
        STAGE(2, judge);
        STAGE(3, session_run);
        STAGE(4, place);
    case 5: return dispatch(client, call);
    }
    return CLOSED;
}
