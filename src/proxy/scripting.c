/* scripting.c - what each script command needs before it may pass, by [scripts] mode.
 *
 *   EVAL, SCRIPT LOAD, FUNCTION LOAD   the body is inspected, and its calls are judged
 *   EVALSHA                            only a body that was: else NOSCRIPT, and libraries send it
 *   FCALL                              the body FUNCTION LIST told
 *   FUNCTION RESTORE                   a binary payload: cannot be judged
 *   SCRIPT EXISTS                      a body EVALSHA would not run is not there
 */
#include <stdio.h>

#include "scripting.h"

enum verb {
    VERB_BODY,
    VERB_SHA1,
    VERB_FUNCTION,
    VERB_LOAD,
    VERB_LIBRARY,
    VERB_RESTORE,
    VERB_OTHER,
};

static enum verb verb_of(const struct command *command)
{
    static const struct {
        uint16_t id;
        enum verb verb;
    } verbs[] = {
        {COMMAND_EVAL, VERB_BODY},
        {COMMAND_EVAL_RO, VERB_BODY},
        {COMMAND_EVALSHA, VERB_SHA1},
        {COMMAND_EVALSHA_RO, VERB_SHA1},
        {COMMAND_FCALL, VERB_FUNCTION},
        {COMMAND_FCALL_RO, VERB_FUNCTION},
        {COMMAND_SCRIPT_LOAD, VERB_LOAD},
        {COMMAND_FUNCTION_LOAD, VERB_LIBRARY},
        {COMMAND_FUNCTION_RESTORE, VERB_RESTORE},
    };
    for (size_t i = 0; i < ARRAY_LEN(verbs); i++)
        if (verbs[i].id == command->id)
            return verbs[i].verb;
    return VERB_OTHER;
}

uint8_t scripting_traits(const struct command *command)
{
    uint16_t id = command->id;
    uint8_t traits = verb_of(command) != VERB_OTHER ? TRAIT_SCRIPT : 0;
    if (id == COMMAND_FUNCTION_LOAD || id == COMMAND_FUNCTION_DELETE ||
        id == COMMAND_FUNCTION_FLUSH || id == COMMAND_FUNCTION_RESTORE)
        traits |= TRAIT_FUNCTIONS;
    return traits;
}

bool scripting_own_link(const struct client *client, const struct command *command)
{
    const struct snapshot *snapshot = client->worker->snapshot;
    return unlikely(snapshot->traits[command->id] & TRAIT_SCRIPT) &&
           snapshot->config->scripts.mode == SCRIPTS_ACL;
}

/* ---- refusals ---- */

/* Under [proxy] observe nothing is refused: it is counted and logged, and goes on. */
static bool refused(struct client *client, struct call *call, struct buf *out, const char *reason,
                    uint32_t line)
{
    struct worker *worker = client->worker;
    char where[32] = "";
    if (line)
        snprintf(where, sizeof(where), " (line %u)", line);
    audit_request(client, call, call->db, POLICY_NO_RULE, "deny",
                  worker->snapshot->config->proxy.observe);
    if (worker->snapshot->config->proxy.observe) {
        count(worker, STAT_REQUESTS_OBSERVED);
        judge_note(client, "observe: '%s' would be refused: %s%s", call->command->name, reason,
                   where);
        return true;
    }
    count(worker, STAT_SCRIPTS_REFUSED);
    client->denied++;
    judge_note(client, "refused '%s': %s%s", call->command->name, reason, where);
    buf_printf(out, "NOPERM respgate: script refused: %s%s", reason, where);
    return false;
}

/* ---- what it runs with ---- */

/* KEYS and ARGV out of EVAL body numkeys key ... arg ...; what cannot be told stays unknown. */
static void run_arguments(struct script_run *run, const struct str *argv, size_t argc)
{
    int64_t keys;
    if (argc < 3 || !str_to_int(argv[2], &keys) || keys < 0 || keys > (int64_t)(argc - 3))
        return;
    run->keys = argv + 3;
    run->key_count = (size_t)keys;
    run->args = argv + 3 + keys;
    run->arg_count = argc - 3 - (size_t)keys;
}

static bool entry_judge(struct client *client, struct call *call, struct script_entry *entry,
                        bool loading, struct question *question, struct buf *out)
{
    const struct snapshot *snapshot = client->worker->snapshot;
    const struct str *argv = call->request.argv;
    struct script_run run = {.client = client,
                             .call = call,
                             .db = question->db,
                             .pressure = question->pressure,
                             .loading = loading};
    if (entry->trusted)
        return true;
    if (snapshot->config->scripts.mode == SCRIPTS_ALLOWLIST)
        return refused(client, call, out, "it is in neither allow-files nor allow-sha1", 0);
    if (entry->forged)
        return refused(client, call, out, "another body has the same SHA-1", 0);
    if (entry->refusal)
        return refused(client, call, out, entry->refusal, entry->refusal_line);
    if (!loading)
        run_arguments(&run, argv, call->request.argc);
    run.reserved = policy_reserved_among(argv, call->request.argc);
    switch (snapshot->config->scripts.undeclared_keys) {
    case UNDECLARED_ALLOW: run.ignore_computed = true; break;
    case UNDECLARED_DENY:
        if (entry->computed_line)
            return refused(client, call, out,
                           "a key is neither KEYS[n] nor a literal (undeclared-keys = deny)",
                           entry->computed_line);
        break;
    case UNDECLARED_AUTO: run.refuse_computed = entry->computed_line && !loading; break;
    }
    if (!script_calls_judge(&run, entry, out))
        return run.reason[0] && refused(client, call, out, run.reason, run.reason_line);
    if (!loading) {
        call->computed = entry->computed_line != 0;
        question->kind = QUESTION_SCRIPT;
        question->more_classes |= run.classes;
        call->script_judged = true;
        call->more_classes = question->more_classes;
    }
    return true;
}

/* ---- verbs ---- */

/* A name that must not be found becomes one that never is, and the store answers in its own words,
 * inside MULTI at EXEC. What lies queued there already cannot be changed any more: false. The
 * views point into what will be sent. */
static bool hide(struct client *client, struct call *call, size_t at, char with, struct buf *out,
                 const char *error)
{
    struct str name = call->request.argv[at];
    bool hidden = true;
    for (size_t i = 0; i < name.len; i++)
        hidden &= name.ptr[i] == with;
    if (call == &client->call)
        memset((char *)name.ptr, with, name.len);
    else if (!hidden)
        buf_text(out, error);
    return hidden || call == &client->call;
}

static bool text_judge(struct client *client, struct call *call, enum script_kind kind, size_t at,
                       bool loading, struct question *question, struct buf *out)
{
    const struct str *argv = call->request.argv;
    uint64_t limit = client->worker->snapshot->config->scripts.max_script_size;
    if (argv[at].len > limit) {
        char reason[96];
        snprintf(reason, sizeof(reason), "%zu bytes are more than max-script-size (%llu)",
                 argv[at].len, (unsigned long long)limit);
        return refused(client, call, out, reason, 0);
    }
    return entry_judge(client, call, script_cache_text(client->worker, kind, argv[at]), loading,
                       question, out);
}

static bool sha1_judge(struct client *client, struct call *call, struct question *question,
                       struct buf *out)
{
    struct worker *worker = client->worker;
    struct str sha1 = call->request.argv[1];
    if (trusted_has(worker->snapshot->trusted, sha1))
        return true;
    struct script_entry *entry = script_cache_sha1(worker, sha1);
    if (entry)
        return entry_judge(client, call, entry, false, question, out);
    if (worker->snapshot->config->proxy.observe || sha1.len != SHA1_SIZE * 2)
        return true; /* Redis knows none of another length */
    count(worker, STAT_SCRIPTS_UNKNOWN);
    return hide(client, call, 1, '0', out, "NOSCRIPT No matching script. Please use EVAL.");
}

/* FUNCTION LOAD [REPLACE] code: Redis takes the last argument for the code. */
static bool library_judge(struct client *client, struct call *call, struct question *question,
                          struct buf *out)
{
    return text_judge(client, call, SCRIPT_LIBRARY, call->request.argc - 1, true, question, out);
}

static bool function_judge(struct client *client, struct call *call, struct question *question,
                           struct buf *out)
{
    struct worker *worker = client->worker;
    const char *refusal = NULL;
    struct script_body *body;
    size_t n = 0;
    if (call == &client->call && client->transaction && client->transaction->functions)
        return refused(client, call, out, "this transaction changes functions", 0);
    call->functions_clock = functions_clock(client, call->command);
    for (; (body = functions_find(worker->functions, call->request.argv[1], n, &refusal)); n++)
        if (!entry_judge(client, call, script_cache_body(worker, body), false, question, out))
            return false;
    if (refusal)
        return refused(client, call, out, refusal, 0);
    if (n || worker->snapshot->config->proxy.observe)
        return true;
    return hide(client, call, 1, ' ', out, "ERR Function not found"); /* no name has a space */
}

/* What EVALSHA would not run is not there. */
static void exists_hide(struct client *client, struct call *call)
{
    struct worker *worker = client->worker;
    if (worker->snapshot->config->scripts.mode == SCRIPTS_ALLOW ||
        worker->snapshot->config->scripts.mode == SCRIPTS_ACL)
        return;
    for (size_t i = 2; i < call->request.argc; i++) {
        struct str sha1 = call->request.argv[i];
        if (sha1.len != SHA1_SIZE * 2 || trusted_has(worker->snapshot->trusted, sha1) ||
            script_cache_sha1(worker, sha1))
            continue;
        (void)!hide(client, call, i, '0', NULL, NULL);
    }
}

bool scripting_judge(struct client *client, struct call *call, struct question *question,
                     struct buf *out)
{
    const struct config *config = client->worker->snapshot->config;
    enum verb verb = verb_of(call->command);
    int64_t arity = call->command->arity;
    if (config->scripts.mode == SCRIPTS_ALLOW ||
        (arity < 0 ? (int64_t)call->request.argc < -arity
                   : (int64_t)call->request.argc != arity)) /* the backend refuses it */
        return true;
    if (config->scripts.mode == SCRIPTS_ACL && !client->transaction)
        return true;
    if (config->scripts.mode == SCRIPTS_ACL)
        return refused(client, call, out,
                       "scripts run as a user of their own (mode = acl), so not inside MULTI", 0);
    if (config->scripts.mode == SCRIPTS_DENY)
        return refused(client, call, out, "scripts are refused (mode = deny)", 0);
    switch (verb) {
    case VERB_BODY: return text_judge(client, call, SCRIPT_EVAL, 1, false, question, out);
    case VERB_LOAD: return text_judge(client, call, SCRIPT_EVAL, 2, true, question, out);
    case VERB_LIBRARY: return library_judge(client, call, question, out);
    case VERB_SHA1: return sha1_judge(client, call, question, out);
    case VERB_FUNCTION: return function_judge(client, call, question, out);
    case VERB_RESTORE:
        return refused(client, call, out, "a dump of functions cannot be read (use FUNCTION LOAD)",
                       0);
    case VERB_OTHER: break;
    }
    return true;
}

/* ---- what has to be waited for first ---- */

/* A body another worker has judged a moment ago may still be on its way here. */
static bool sha1_on_its_way(struct client *client, struct call *call)
{
    struct worker *worker = client->worker;
    if (call->phase || worker->proxy->worker_count == 1 || call->request.argc < 2 ||
        trusted_has(worker->snapshot->trusted, call->request.argv[1]) ||
        script_cache_sha1(worker, call->request.argv[1]))
        return false;
    call->phase = 1;
    client->wait_until = 0;
    client_wait(client, WAIT_TIME);
    return true;
}

/* For what runs under another name: those links have logged in, so whether the store would let this
 * client in has to be known from a link of its own class. */
enum step client_admitted(struct client *client)
{
    if (client->worker->snapshot->config->user_count)
        return NEXT; /* it has logged in to respgate */
    enum pool_answer answer = pool_verify(client->pool, client);
    if (answer == POOL_WAIT)
        return PARKED;
    if (answer == POOL_READY && !client->pool->noauth)
        return NEXT;
    transaction_abort(client);
    if (client->pool->noauth)
        client_reply_text(client, "-NOAUTH Authentication required.\r\n");
    else if (answer == POOL_REFUSED)
        client_reply_error(client, "%s", client->pool->refusal);
    else
        client_reply_away(client);
    return ANSWERED;
}

enum step scripting_prepare(struct client *client, struct call *call)
{
    const struct snapshot *snapshot = client->worker->snapshot;
    if (likely(!(snapshot->traits[call->command->id] & (TRAIT_SCRIPT | TRAIT_FUNCTIONS)) &&
               call->command->id != COMMAND_SCRIPT_EXISTS))
        return NEXT;
    enum scripts_mode mode = snapshot->config->scripts.mode;
    if (mode == SCRIPTS_ACL && scripting_own_link(client, call->command)) {
        bool again = call->phase != 0;
        enum step step = client_admitted(client);
        if (step == NEXT && again)
            call_keys(client->worker, call); /* others have used the scratch */
        return step;
    }
    if (mode == SCRIPTS_ALLOW || mode == SCRIPTS_ACL || mode == SCRIPTS_DENY)
        return NEXT;
    if (call->command->id == COMMAND_SCRIPT_EXISTS) {
        exists_hide(client, call);
        return NEXT;
    }
    if (snapshot->traits[call->command->id] & TRAIT_FUNCTIONS)
        functions_changed(client->worker->proxy);
    enum verb verb = verb_of(call->command);
    bool waited = call->phase != 0;
    if (verb == VERB_SHA1 && sha1_on_its_way(client, call))
        return PARKED;
    enum step step = verb == VERB_FUNCTION ? functions_prepare(client, call) : NEXT;
    if (step == NEXT && waited)
        call_keys(client->worker, call); /* others have used the scratch */
    return step;
}
