/*
 * shape.c - pass 2 of the rules for one request: refused for now, held back, logged, rewritten.
 *
 * What was charged is not charged again: not when a delay is over, and not when the rules changed
 * while it lasted. A rewritten request passes the first pass once more, as what it has become.
 */
#include <stdlib.h>

#include "count.h"
#include "lease.h"
#include "stages.h"

/* The clock as of this turn: reading it costs as much as a bucket. It is never ahead, so nobody
 * gets more than the rate. */
static uint64_t turn_ns(const struct worker *worker)
{
    return loop_now(&worker->loop) * 1000000;
}

static struct str declared_prefix(const void *scheme, struct str key)
{
    int index = prefix_declared(scheme, key);
    return index < 0 ? STR("") : prefix_declared_name(scheme, index);
}

static void shape_question(struct client *client, const struct call *call,
                           struct question *question)
{
    call_question(client, call, call->db, question);
    question->prefix_of = declared_prefix;
    question->scheme = client->worker->counts->scheme;
}

static void shape_observed(struct client *client, const struct call *call,
                           const struct shape *shape)
{
    struct worker *worker = client->worker;
    const struct policy *policy = worker->snapshot->policy;
    for (unsigned i = 0; i < shape->observed_count; i++) {
        const char *action = policy_rule_action(policy, shape->observed[i]);
        count(worker, STAT_REQUESTS_OBSERVED);
        stats_rule(worker, shape->observed[i], STATS_RULE_OBSERVED);
        audit_request(client, call, call->db, shape->observed[i], action, true);
        if (may_log(worker))
            log_info(client_who(client), "observe: rule '%s' would %s '%s'",
                     policy_rule_name(policy, shape->observed[i]), action, call->command->name);
    }
}

static void shape_logged(struct client *client, const struct call *call, const struct shape *shape)
{
    const struct policy *policy = client->worker->snapshot->policy;
    for (unsigned i = 0; i < shape->logged_count; i++) {
        stats_rule(client->worker, shape->logged[i], STATS_RULE_HITS);
        audit_request(client, call, call->db, shape->logged[i], "log", false);
        if (may_log(client->worker))
            log_notice(client_who(client), "'%s' by rule '%s'", call->command->name,
                       policy_rule_name(policy, shape->logged[i]));
    }
}

static enum step shape_throttle(struct client *client, const struct call *call,
                                const struct question *question, const struct shape *shape)
{
    struct worker *worker = client->worker;
    const struct policy *policy = worker->snapshot->policy;
    struct buf text = {0};
    count(worker, STAT_REQUESTS_LIMITED);
    stats_rule(worker, shape->rule, STATS_RULE_LIMITED);
    count_refused(worker, question, PREFIX_LIMITED);
    audit_request(client, call, call->db, shape->rule, policy_rule_action(policy, shape->rule),
                  false);
    if (may_log(worker))
        log_notice(client_who(client), "limited '%s' by rule '%s'", call->command->name,
                   policy_rule_name(policy, shape->rule));
    transaction_abort(client);
    policy_throttled(policy, shape, &text);
    client_reply_error(client, "%.*s", (int)text.len, text.ptr);
    buf_free(&text);
    return ANSWERED;
}

static enum step shape_delay(struct client *client, const struct call *call,
                             const struct shape *shape)
{
    struct worker *worker = client->worker;
    count(worker, STAT_REQUESTS_DELAYED);
    stats_rule(worker, shape->rule, STATS_RULE_HITS);
    stats_rule(worker, shape->rule, STATS_RULE_DELAYED);
    audit_request(client, call, call->db, shape->rule, "delay", false);
    client->wait_until = loop_now(&worker->loop) + shape->wait_ms;
    client_wait(client, WAIT_TIME);
    loop_wake(&worker->loop, client->wait_until);
    return PARKED;
}

/* ---- rewriting ---- */

/* Encodes the arguments and the views into them in one chunk: they end together. */
static void request_replace(struct request *request, const struct str *argv, size_t argc)
{
    struct buf bytes = {0};
    write_command(&bytes, argc, argv);
    size_t views = (bytes.len + sizeof(struct str) - 1) / sizeof(struct str) * sizeof(struct str);
    struct chunk *chunk = chunk_new(views + argc * sizeof(struct str));
    struct str *copy = (struct str *)(void *)(chunk->data + views);
    const char *at = chunk->data;
    memcpy(chunk->data, bytes.ptr, bytes.len);
    for (size_t i = 0; i < argc; i++) {
        /* Behind "*N\r\n", then behind the argument before: "$LEN\r\n". */
        at = strchr(at, '$');
        at = strchr(at, '\n') + 1;
        copy[i] = (struct str){at, argv[i].len};
        at += argv[i].len + 2;
    }
    chunk->used = chunk->size;
    span_drop(&request->bytes);
    *request = (struct request){copy, argc, {chunk, chunk->data, bytes.len}};
    buf_free(&bytes);
}

/* What it has become is another request: looked up, and judged by pass 1. */
static enum step rewritten_judge(struct client *client, struct call *call)
{
    struct buf refusal = {0};
    if (command_lookup(client->worker->snapshot->commands, call->request.argv, call->request.argc,
                       &call->command) != LOOKUP_FOUND)
        die("a rewritten request is of no known command");
    call_keys(client->worker, call);
    enum judged judged = judge_call(client, call, call->db, &refusal);
    ASSERT(judged != JUDGED_ASK); /* nothing that is rewritten reads elements */
    if (likely(judged == JUDGED_ALLOWED))
        return NEXT;
    transaction_abort(client);
    client_reply_error(client, "%.*s", (int)refusal.len, refusal.ptr);
    buf_free(&refusal);
    return ANSWERED;
}

static enum step shape_rewrite(struct client *client, struct call *call,
                               const struct question *question)
{
    struct worker *worker = client->worker;
    struct arena *arena = arena_new();
    struct rewritten rewritten;
    enum step step = NEXT;
    if (policy_rewrite(worker->snapshot->policy, question, arena, &rewritten)) {
        count(worker, STAT_REQUESTS_REWRITTEN);
        stats_rule(worker, rewritten.rule, STATS_RULE_HITS);
        audit_request(client, call, call->db, rewritten.rule, "rewrite", false);
        request_replace(&call->request, rewritten.argv, rewritten.argc);
        step = rewritten_judge(client, call);
    }
    arena_free(arena);
    return step;
}

bool shape_rewrites(struct client *client, const struct call *call, int64_t db)
{
    const struct policy *policy = client->worker->snapshot->policy;
    struct question question;
    struct rewritten rewritten;
    if (call->exempt ||
        !policy_shapes(policy, call->command, call->request.argc, client_rules(client, db)))
        return false;
    struct arena *arena = arena_new();
    call_question(client, call, db, &question);
    bool changes = policy_rewrite(policy, &question, arena, &rewritten);
    arena_free(arena);
    return changes;
}

enum step shape_run(struct client *client, struct call *call)
{
    struct worker *worker = client->worker;
    const struct policy *policy = worker->snapshot->policy;
    struct question question;
    struct shape shape = {.rewrites = true};
    if (likely(call->exempt || (!policy_shapes(policy, call->command, call->request.argc,
                                               client_rules(client, call->db)) &&
                                !call->called_count)))
        return NEXT;
    call_keys(worker, call);
    shape_question(client, call, &question);
    if (!call->shaped) {
        struct lease_hand hand;
        switch (leases_take(client, call, &question, &hand, &shape)) {
        case LEASE_HAND: break;
        case LEASE_WAIT: return PARKED;
        case LEASE_REFUSED: return shape_throttle(client, call, &question, &shape);
        }
        policy_shape(policy, &question, turn_ns(worker), &shape);
        if (unlikely(shape.kind == SHAPE_ASK)) {
            ask_node(client, &question);
            return PARKED;
        }
        shape_observed(client, call, &shape);
        if (shape.kind == SHAPE_THROTTLE)
            return shape_throttle(client, call, &question, &shape);
        shape_logged(client, call, &shape);
        call->shaped = true;
        leases_spend(&hand);
        if (shape.kind == SHAPE_DELAY)
            return shape_delay(client, call, &shape);
    }
    return shape.rewrites ? shape_rewrite(client, call, &question) : NEXT;
}
