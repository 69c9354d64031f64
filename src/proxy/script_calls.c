/* script_calls.c - the calls of a body as questions to the rules: KEYS[n] and ARGV[n] are what this
 * very EVAL brings, and what nobody knows is taken for the worst.
 *
 *   argv:  name  arg 1 .. arg argc | REST_SHOWN unknown ones, when more may follow
 *                                  | other values its keys can have: named by key_refs alone
 */
#include <stdio.h>
#include <stdlib.h>

#include "scripting.h"

/* Unknown arguments behind the known ones, so that keys among them show; no step is longer. */
enum { REST_SHOWN = 4, ARGS_ROOM = SCRIPT_ARGUMENTS_MAX + REST_SHOWN };
/* All values of all keys of one call, and of all calls together: beyond it they count as unknown,
 * for a body of many unpack(KEYS) must not hold the worker up. */
enum { KEYS_ROOM = 4096, KEYS_ALL = 100 * 1000 };

struct view {
    struct str argv[ARGS_ROOM + KEYS_ROOM];
    size_t argc, count;
    struct key_ref keys[KEYS_ROOM];
    size_t key_count;
    bool keys_unknown;
    bool exact; /* every argument is known, and so is their number */
};
static _Thread_local struct view scratch_view; /* one call at a time */

/* ---- values ---- */

/* False: it is nothing at all (nil ends the call with an error), or any element. */
static bool value_of(const struct script_run *run, const struct script_value *value,
                     struct str *out)
{
    bool key = value->kind == SCRIPT_KEY;
    if (value->kind == SCRIPT_LITERAL) {
        *out = value->literal;
        return true;
    }
    if (value->index == 0 || value->index > (key ? run->key_count : run->arg_count))
        return false;
    *out = (key ? run->keys : run->args)[value->index - 1];
    return true;
}

static struct str argument_shown(const struct script_run *run,
                                 const struct script_argument *argument)
{
    struct str text;
    if (!argument->open && argument->count == 1 && value_of(run, &argument->values[0], &text))
        return text;
    return policy_unknown;
}

/* ---- keys ---- */

static void key_add(struct script_run *run, struct view *view, struct str key)
{
    if (view->key_count == KEYS_ROOM || run->key_total++ >= KEYS_ALL) {
        view->keys_unknown = true;
        return;
    }
    view->argv[view->count] = key;
    view->keys[view->key_count++] = (struct key_ref){.arg = (uint32_t)view->count++};
}

static void value_keys(struct script_run *run, const struct script_value *value, struct view *view)
{
    struct str text;
    if (value_of(run, value, &text)) {
        key_add(run, view, text);
    } else if (value->index == 0 && !run->loading) { /* any of them */
        bool key = value->kind == SCRIPT_KEY;
        size_t count = key ? run->key_count : run->arg_count;
        for (size_t i = 0; i < count && !view->keys_unknown; i++)
            key_add(run, view, (key ? run->keys : run->args)[i]);
    } else {
        view->keys_unknown = true;
    }
}

static void argument_keys(struct script_run *run, const struct script_argument *argument,
                          struct view *view)
{
    if (argument->open || argument->count == 0)
        view->keys_unknown = true;
    for (size_t i = 0; i < argument->count; i++)
        value_keys(run, &argument->values[i], view);
}

/* Whether any word may be an option that says where keys are. */
static bool keys_by_words(const struct command *command)
{
    for (size_t i = 0; i < command->spec_count; i++)
        if (command->specs[i].begin != BEGIN_INDEX || command->specs[i].find == FIND_UNKNOWN ||
            command->specs[i].flags & KEY_INCOMPLETE)
            return true;
    return false;
}

/* Whether an argument stands where a key does, whatever the others say. */
static bool is_key_place(const struct command *command, size_t arg)
{
    for (size_t i = 0; i < command->spec_count; i++)
        if (command->specs[i].begin == BEGIN_INDEX && command->specs[i].index == (int64_t)arg)
            return true;
    return false;
}

static bool words_known(const struct command *command, const struct view *view, bool more)
{
    for (size_t i = 1; i < view->argc; i++)
        if (policy_is_unknown(view->argv[i]) && !is_key_place(command, i))
            return false;
    return !more;
}

/* XREAD: behind STREAMS come keys, then as many ids; only the words before must be known. */
static bool stream_words_known(const struct view *view, bool more)
{
    for (size_t i = 1; i < view->argc; i++) {
        if (str_equal_nocase(view->argv[i], STR("streams")))
            return !more;
        if (policy_is_unknown(view->argv[i]))
            return false;
    }
    return false;
}

static void keys_find(struct script_run *run, const struct script_call *call,
                      const struct command *command, struct view *view)
{
    static _Thread_local struct key_ref refs[ARGS_ROOM];
    bool xread = command->id == COMMAND_XREAD || command->id == COMMAND_XREADGROUP;
    bool fine = xread ? stream_words_known(view, call->more)
                      : !keys_by_words(command) || words_known(command, view, call->more);
    /* SCAN and KEYS take patterns, which count as keys. */
    bool patterns = command->id == COMMAND_SCAN || command->id == COMMAND_KEYS;
    size_t found = 0;
    if (!fine || (patterns && !view->exact))
        view->keys_unknown = true;
    if (fine)
        found = command_keys(command, view->argv, view->argc, refs, ARGS_ROOM, &view->keys_unknown);
    if (found > ARGS_ROOM)
        view->keys_unknown = true;
    bool rest = false; /* it stands for all the arguments that are shown of it */
    for (size_t i = 0; i < found && i < ARGS_ROOM; i++) {
        size_t at = refs[i].arg - 1; /* behind the name */
        if (refs[i].flags & KEY_NOT_KEY || (at >= call->argc && rest))
            continue;
        rest = at >= call->argc;
        argument_keys(run, rest ? &call->rest : &call->args[at], view);
    }
}

/* ---- one call ---- */

static void view_make(const struct script_run *run, const struct script_call *call, struct str name,
                      struct view *view)
{
    view->argc = view->key_count = 0;
    view->keys_unknown = false;
    view->exact = !call->more;
    view->argv[view->argc++] = name;
    for (uint32_t i = 0; i < call->argc; i++) {
        struct str shown =
            i == 0 && call->first ? *call->first : argument_shown(run, &call->args[i]);
        view->exact &= !policy_is_unknown(shown);
        view->argv[view->argc++] = shown;
    }
    for (int i = 0; call->more && i < REST_SHOWN; i++)
        view->argv[view->argc++] = policy_unknown;
    view->count = view->argc;
}

static bool refuse(struct script_run *run, uint32_t line, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
static bool refuse(struct script_run *run, uint32_t line, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(run->reason, sizeof(run->reason), format, args);
    va_end(args);
    run->reason_line = line;
    return false;
}

/* Limits, delays and logs are for the script as a whole. */
static bool called_note(struct script_run *run, const struct question *question, uint32_t line)
{
    const struct policy *policy = run->client->worker->snapshot->policy;
    if (policy_note_called(policy, question, run->call->called, &run->call->called_count))
        return true;
    return refuse(run, line, "more than %d rules limit what it calls", CALLED_MAX);
}

static bool command_publishes(const struct command *command)
{
    return command->id == COMMAND_PUBLISH || command->id == COMMAND_SPUBLISH;
}

static bool view_judge(struct script_run *run, const struct command *command,
                       const struct script_call *call, struct view *view, struct buf *out)
{
    struct client *client = run->client;
    keys_find(run, call, command, view);
    if (run->loading && (!view->exact || view->keys_unknown || view->key_count))
        return true; /* each EVALSHA or FCALL will tell what they are */
    if (view->keys_unknown && run->keys_rule != POLICY_NO_RULE)
        return refuse(run, call->line, "a key of '%s' is computed, and rule '%s' is about keys",
                      command->name,
                      policy_rule_name(client->worker->snapshot->policy, run->keys_rule));
    if (command_publishes(command) && view->argc > 1 && policy_is_unknown(view->argv[1]) &&
        !run->ignore_computed)
        return refuse(run, call->line, "the channel of '%s' is computed, and some are reserved",
                      command->name);
    if (view->keys_unknown && run->shared_rule != POLICY_NO_RULE && command->flags & CMD_WRITE)
        return refuse(run, call->line,
                      "a key of '%s' is computed, and rule '%s' keeps its bucket in a key",
                      command->name,
                      policy_rule_name(client->worker->snapshot->policy, run->shared_rule));
    struct question question = {
        .command = command,
        .argv = view->argv,
        .argc = view->argc,
        .keys = view->keys,
        .key_count = view->key_count,
        .keys_unknown = view->keys_unknown && !run->ignore_computed,
        .db = run->db,
        .subject = &client->subject,
        .pressure = run->pressure,
        .elements = -1,
        .kind = view->exact ? QUESTION_REQUEST : QUESTION_CALL_OPEN,
    };
    struct call inner = {
        .request = {view->argv, view->argc, run->call->request.bytes}, /* for its size only */
        .command = command,
        .keys = view->keys,
        .key_count = view->key_count,
        .keys_unknown = view->keys_unknown,
    };
    if (judge_question(client, &inner, &question, out) != JUDGED_ALLOWED)
        return false;
    return inner.exempt || run->loading || called_note(run, &question, call->line);
}

static uint64_t view_classes(const struct command *command, const struct view *view)
{
    return view->exact ? command_classes(command, view->argv, view->argc)
                       : command->classes | command->maybe;
}

static void select_note(struct script_run *run, const struct view *view)
{
    int64_t db;
    if (view->argc != 2 || !str_to_int(view->argv[1], &db)) {
        run->db_unknown |= !view->exact; /* else it is an error */
        return;
    }
    for (size_t i = 0; i < run->db_count; i++)
        if (run->dbs[i] == db)
            return;
    run->db_unknown |= run->db_count == SCRIPT_DBS_MAX;
    if (!run->db_unknown)
        run->dbs[run->db_count++] = db;
}

static bool command_judge(struct script_run *run, const struct command *command,
                          const struct script_call *call, struct view *view, bool judge,
                          struct buf *out)
{
    run->classes |= view_classes(command, view);
    if (command->id == COMMAND_SELECT)
        select_note(run, view);
    return !judge || view_judge(run, command, call, view, out);
}

/* Any subcommand: the worst of all of them. */
static bool subs_judge(struct script_run *run, const struct command *container,
                       const struct script_call *call, struct view *view, struct buf *out)
{
    const struct command_table *table = run->client->worker->snapshot->commands;
    for (size_t id = 0; id < command_count(table); id++) {
        const struct command *command = command_by_id(table, id);
        if (!command->parent || command->parent->id != container->id)
            continue;
        view_make(run, call, call->name, view);
        if (!command_judge(run, command, call, view, true, out))
            return false;
    }
    return true;
}

/* The name is an argument of the EVAL: what it is shows only now. */
static bool named_judge(struct script_run *run, const struct script_call *call, struct view *view,
                        struct buf *out)
{
    const struct command *command;
    if (run->loading)
        return true;
    if (call->name_argument > run->arg_count)
        return refuse(run, call->line, "the name of a command is an argument that is not given");
    view_make(run, call, run->args[call->name_argument - 1], view);
    enum lookup found =
        command_lookup(run->client->worker->snapshot->commands, view->argv, view->argc, &command);
    bool open_sub = found == LOOKUP_UNKNOWN_SUB && policy_is_unknown(view->argv[1]);
    if (open_sub)
        return subs_judge(run, command, call, view, out);
    if (found != LOOKUP_FOUND || command->classes & CLASS_SCRIPTING)
        return refuse(run, call->line, "an argument names no command a script can call");
    return command_judge(run, command, call, view, true, out);
}

static bool call_judge(struct script_run *run, const struct script_call *call,
                       const struct known_call *known, struct buf *out)
{
    struct view *view = &scratch_view;
    if (!known->command)
        return named_judge(run, call, view, out);
    if (known->any_sub)
        return subs_judge(run, known->command, call, view, out);
    bool judge = known->concerned || run->reserved || run->keys_rule != POLICY_NO_RULE ||
                 run->shared_rule != POLICY_NO_RULE;
    if (likely(!judge && !known->by_arguments))
        return true;
    view_make(run, call, call->name, view);
    return command_judge(run, known->command, call, view, judge, out);
}

bool script_calls_judge(struct script_run *run, struct script_entry *entry, struct buf *out)
{
    const struct script *script = entry->body->script;
    const struct policy *policy = run->client->worker->snapshot->policy;
    run->classes = entry->classes;
    run->shared_rule = run->refuse_computed ? policy_rule_shared(policy) : POLICY_NO_RULE;
    run->dbs[0] = run->db;
    run->db_count = 1;
    for (size_t at = 0; at < run->db_count; at++) { /* a SELECT adds one */
        struct question who = {.db = run->dbs[at], .subject = &run->client->subject};
        run->db = who.db;
        run->keys_rule =
            run->refuse_computed ? policy_rule_with_keys(policy, &who) : POLICY_NO_RULE;
        for (size_t i = 0; i < script->call_count; i++)
            if (!call_judge(run, &script->calls[i], &entry->calls[i], out))
                return false;
    }
    if (run->db_unknown && !run->loading)
        return refuse(run, 0, "it selects a database that is not known");
    return true;
}

/* ---- what the rules of now make of a body ---- */

static bool literal_is_reserved(const struct script_argument *argument)
{
    for (size_t i = 0; i < argument->count; i++)
        if (argument->values[i].kind == SCRIPT_LITERAL &&
            policy_reserved_key(argument->values[i].literal))
            return true;
    return false;
}

static bool names_reserved(const struct script_call *call)
{
    bool found = literal_is_reserved(&call->rest);
    for (uint32_t i = 0; i < call->argc; i++)
        found |= literal_is_reserved(&call->args[i]);
    return found;
}

static void entry_refuse(struct script_entry *entry, const struct script_call *call,
                         const char *what)
{
    char name[40];
    size_t len = call->name.len < sizeof(name) - 1 ? call->name.len : sizeof(name) - 1;
    for (size_t i = 0; i < len; i++)
        name[i] = call->name.ptr[i] > ' ' && call->name.ptr[i] <= '~' ? call->name.ptr[i] : '.';
    name[len] = '\0';
    snprintf(entry->refusal_text, sizeof(entry->refusal_text), "'%s' is %s", name, what);
    entry->refusal = entry->refusal_text;
    entry->refusal_line = call->line;
}

static void call_compile(const struct snapshot *snapshot, struct script_entry *entry,
                         const struct script_call *call, struct known_call *known)
{
    struct str argv[2] = {call->name, policy_unknown};
    const struct command *command = NULL;
    *known = (struct known_call){0};
    if (call->name_argument)
        return;
    if (call->first)
        argv[1] = *call->first;
    enum lookup found =
        command_lookup(snapshot->commands, argv, 1 + (call->argc || call->more), &command);
    known->any_sub = found == LOOKUP_UNKNOWN_SUB && !call->first;
    if (found == LOOKUP_UNKNOWN || (found == LOOKUP_UNKNOWN_SUB && !known->any_sub)) {
        entry_refuse(entry, call, "no command respgate or the backend knows");
        return;
    }
    if (command->classes & CLASS_SCRIPTING) {
        entry_refuse(entry, call, "not for scripts");
        return;
    }
    known->command = command;
    known->concerned = policy_concerns(snapshot->policy, command, SIZE_MAX, NULL) ||
                       policy_shapes(snapshot->policy, command, SIZE_MAX, NULL) ||
                       names_reserved(call);
    known->by_arguments = command->maybe != 0 || command->id == COMMAND_SELECT;
    entry->classes |= command->classes;
}

void script_entry_compile(struct worker *worker, struct script_entry *entry)
{
    const struct snapshot *snapshot = worker->snapshot;
    const struct script *script = entry->body->script;
    entry->generation = snapshot->generation;
    entry->trusted = trusted_has(snapshot->trusted, str_of(entry->body->sha1));
    entry->refusal = NULL;
    entry->classes = 0;
    entry->computed_line = 0;
    if (script->verdict != SCRIPT_ACCEPTED) {
        entry->refusal = script->reason;
        entry->refusal_line = script->line;
        return;
    }
    struct arena *arena = arena_new();
    entry->computed_line = script_keys(arena, script, snapshot->commands).computed_line;
    arena_free(arena);
    entry->calls = xrealloc(entry->calls, (script->call_count + 1) * sizeof(*entry->calls));
    for (size_t i = 0; i < script->call_count && !entry->refusal; i++)
        call_compile(snapshot, entry, &script->calls[i], &entry->calls[i]);
}
