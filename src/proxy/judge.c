/* judge.c - one request before the rules: keys, verdict, refusal, and what is logged of it. */
#include <stdio.h>
#include <stdlib.h>

#include "confirm.h"
#include "count.h"
#include "health.h"
#include "stages.h"

enum { LOG_REFUSALS_MAX = 20 }; /* lines a second and worker: a flood must not fill the disk */

size_t call_keys(struct worker *worker, struct call *call)
{
    const struct str *argv = call->request.argv;
    size_t argc = call->request.argc;
    call->keys_unknown = false;
    call->keys = worker->keys;
    if (likely(worker->snapshot->traits[call->command->id] & TRAIT_ONE_KEY)) {
        worker->keys[0] = (struct key_ref){.arg = 1, .flags = call->command->specs[0].flags};
        return call->key_count = argc > 1;
    }
    call->key_count = command_keys(call->command, argv, argc, worker->keys, worker->key_room,
                                   &call->keys_unknown);
    if (unlikely(call->key_count > worker->key_room)) {
        worker->key_room = call->key_count * 2;
        worker->keys = xrealloc(worker->keys, worker->key_room * sizeof(*worker->keys));
        call->key_count = command_keys(call->command, argv, argc, worker->keys, worker->key_room,
                                       &call->keys_unknown);
    }
    call->keys = worker->keys;
    return call->key_count;
}

bool may_log(struct worker *worker)
{
    uint64_t window = loop_now(&worker->loop) / 1000;
    if (worker->log_window != window) {
        if (worker->log_count > LOG_REFUSALS_MAX)
            log_notice(NULL, "%llu more lines like these were not logged one by one",
                       (unsigned long long)(worker->log_count - LOG_REFUSALS_MAX));
        worker->log_window = window;
        worker->log_count = 0;
    }
    return worker->log_count++ < LOG_REFUSALS_MAX;
}

void judge_note(struct client *client, const char *format, ...)
{
    char text[256];
    va_list args;
    if (!may_log(client->worker))
        return;
    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    log_notice(client_who(client), "%s", text);
}

/* A rule whose code was given is skipped, and then another may want one of its own. */
static void judge_confirmed(struct client *client, struct call *call,
                            const struct question *question, struct verdict *verdict)
{
    const struct policy *policy = client->worker->snapshot->policy;
    struct question again = *question;
    again.confirmed = call->confirmed;
    for (;;) {
        again.confirmed_count = call->confirmed_count;
        policy_judge(policy, &again, verdict);
        if (likely(verdict->kind != VERDICT_CONFIRM) || call->confirmed_count == CONFIRMED_MAX ||
            !confirm_given(client, verdict->rule))
            return;
        call->confirmed[call->confirmed_count++] = verdict->rule;
    }
}

static void refuse_unconfirmed(struct client *client, const struct call *call,
                               const struct question *question, const struct verdict *verdict,
                               struct buf *out)
{
    const struct policy *policy = client->worker->snapshot->policy;
    count(client->worker, STAT_REQUESTS_UNCONFIRMED);
    audit_request(client, call, question->db, verdict->rule, "confirm", false);
    client->denied++;
    stats_rule(client->worker, verdict->rule, STATS_RULE_DENIED);
    count_refused(client->worker, question, PREFIX_DENIED);
    policy_confirmation(policy, question, verdict, confirm_offer(client, call, verdict->rule), out);
    judge_note(client, "'%s' needs confirmation by rule '%s'", call->command->name,
               policy_rule_name(policy, verdict->rule));
}

enum judged judge_question(struct client *client, struct call *call,
                           const struct question *question, struct buf *out)
{
    struct worker *worker = client->worker;
    const struct policy *policy = worker->snapshot->policy;
    struct verdict verdict;
    judge_confirmed(client, call, question, &verdict);
    if (question->command == call->command) { /* not one of a script's calls */
        call->exempt = verdict.exempt;
        call->read_from = (uint8_t)verdict.read_from;
    }
    for (unsigned i = 0; i < verdict.observed_count; i++) {
        count(worker, STAT_REQUESTS_OBSERVED);
        stats_rule(worker, verdict.observed[i], STATS_RULE_OBSERVED);
        audit_request(client, call, question->db, verdict.observed[i],
                      policy_rule_action(policy, verdict.observed[i]), true);
        if (may_log(worker))
            log_info(client_who(client), "observe: rule '%s' would refuse '%s'",
                     policy_rule_name(policy, verdict.observed[i]), call->command->name);
    }
    stats_rule(worker, verdict.rule, STATS_RULE_HITS);
    switch (verdict.kind) {
    case VERDICT_ALLOW: return JUDGED_ALLOWED;
    case VERDICT_ASK: return JUDGED_ASK;
    case VERDICT_DENY: break;
    case VERDICT_CONFIRM:
        refuse_unconfirmed(client, call, question, &verdict, out);
        return JUDGED_REFUSED;
    }
    if (verdict.blind && call->asks_lost) { /* not refused for what it is */
        buf_printf(out, "ERR respgate: backend %s is unavailable", worker->node->name);
        return JUDGED_REFUSED;
    }
    count(worker, STAT_REQUESTS_DENIED);
    audit_request(client, call, question->db, verdict.rule, "deny", false);
    client->denied++;
    stats_rule(worker, verdict.rule, STATS_RULE_DENIED);
    count_refused(worker, question, PREFIX_DENIED);
    policy_refusal(policy, question, &verdict, out);
    if (may_log(worker))
        log_notice(client_who(client), "denied '%s' by rule '%s'", call->command->name,
                   policy_rule_name(policy, verdict.rule));
    return JUDGED_REFUSED;
}

/* The rules that can hold for this client, as bits. */
const uint64_t *client_rules(struct client *client, int64_t db)
{
    const struct snapshot *snapshot = client->worker->snapshot;
    if (unlikely(client->rules_generation != snapshot->generation || client->rules_db != db)) {
        size_t words = policy_who_words(snapshot->policy);
        if (client->rules != client->rules_room)
            free(client->rules);
        client->rules = words > ARRAY_LEN(client->rules_room) ? xcalloc(words, sizeof(uint64_t))
                                                              : client->rules_room;
        policy_who(snapshot->policy, &client->subject, db, client->rules);
        client->rules_db = db;
        client->rules_generation = snapshot->generation;
    }
    return client->rules;
}

/* Inside MULTI the answer would come with EXEC; to a client that tracks keys it would be a read of
 * its own (CLIENT CACHING). */
static enum elements_state may_ask(const struct client *client, const struct call *call)
{
    if (call->asked)
        return call->asked;
    return client->transaction || client->pins & PIN_TRACKING ? ELEMENTS_CLOSED : ELEMENTS_MAY_ASK;
}

void call_question(struct client *client, const struct call *call, int64_t db, struct question *out)
{
    struct key_ref *real = client->worker->keys; /* in place: keys come first, channels go */
    size_t real_count = 0;
    for (size_t i = 0; i < call->key_count; i++)
        if (!(call->keys[i].flags & KEY_NOT_KEY))
            real[real_count++] = call->keys[i];
    *out = (struct question){
        .command = call->command,
        .argv = call->request.argv,
        .argc = call->request.argc,
        .keys = real,
        .key_count = real_count,
        .keys_unknown = call->keys_unknown,
        .db = db,
        .subject = &client->subject,
        .who = client_rules(client, db),
        .more_classes = call->more_classes,
        .called = call->called,
        .called_count = call->called_count,
        .kind = call->script_judged ? QUESTION_SCRIPT : QUESTION_REQUEST,
        .asked = may_ask(client, call),
        .elements = call->elements,
        .pressure = health_level(pressure_health(client, call)),
    };
}

enum judged judge_call(struct client *client, struct call *call, int64_t db, struct buf *out)
{
    struct question question;
    call->exempt = false;
    call->read_from = READ_UNSET;
    bool script = client->worker->snapshot->traits[call->command->id] & TRAIT_SCRIPT;
    call->more_classes = 0;
    call->script_judged = false;
    call->called_count = 0;
    if (likely(!script &&
               !policy_concerns(client->worker->snapshot->policy, call->command, call->request.argc,
                                client_rules(client, db)) &&
               !policy_reserved_among(call->request.argv, call->request.argc)))
        return JUDGED_ALLOWED;
    call_question(client, call, db, &question);
    if (unlikely(script) && !scripting_judge(client, call, &question, out))
        return JUDGED_REFUSED;
    enum judged judged = judge_question(client, call, &question, out);
    if (unlikely(judged == JUDGED_ASK))
        ask_node(client, &question);
    return judged;
}
