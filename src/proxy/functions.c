/* functions.c - the libraries of the backend, as its FUNCTION LIST WITHCODE tells them: FCALL runs
 * only a function whose code was judged.
 *
 *   any worker: functions_want -> proxy->functions_wanted -> worker 0 asks -> a table to each
 * worker
 *
 * A clock counts changes seen and wishes; a table knows its time. FCALL waits for a table that is
 * not older than the last FUNCTION LOAD, DELETE, FLUSH or RESTORE that passed here, counted when it
 * is sent and again when it is answered. What changed without respgate shows after FRESH_MS.
 */
#include <stdio.h>
#include <stdlib.h>

#include "links.h"
#include "scripting.h"

enum { FRESH_MS = 10 * 1000, UNKNOWN_MS = 1000 };

struct function {
    char *name;
    size_t len;
    struct script_body *body; /* NULL: refusal tells why */
    char *refusal;
};
struct functions {
    int refs; /* atomic */
    uint64_t clock;
    uint64_t at;     /* monotonic ms */
    char error[160]; /* the list could not be had; "" when it could */
    struct function *items;
    size_t count;
};

static uint64_t now_ms(void)
{
    return clock_ns() / 1000000;
}

static uint64_t clock_of(const uint64_t *value)
{
    return __atomic_load_n(value, __ATOMIC_ACQUIRE);
}

void functions_drop(struct functions *functions)
{
    if (!functions || __atomic_sub_fetch(&functions->refs, 1, __ATOMIC_ACQ_REL) > 0)
        return;
    for (size_t i = 0; i < functions->count; i++) {
        free(functions->items[i].name);
        free(functions->items[i].refusal);
        script_body_drop(functions->items[i].body);
    }
    free(functions->items);
    free(functions);
}

struct script_body *functions_find(const struct functions *functions, struct str name, size_t n,
                                   const char **refusal)
{
    if (functions && functions->error[0])
        *refusal = functions->error;
    for (size_t i = 0; functions && i < functions->count; i++) {
        const struct function *function = &functions->items[i];
        if (!str_equal_nocase((struct str){function->name, function->len}, name))
            continue;
        if (!function->body)
            *refusal = function->refusal;
        else if (n-- == 0)
            return function->body;
    }
    return NULL;
}

/* ---- reading the list (worker 0) ---- */

static char *text_copy(struct str text)
{
    char *copy = xmalloc(text.len + 1);
    memcpy(copy, text.ptr, text.len);
    copy[text.len] = '\0';
    return copy;
}

static void function_add(struct functions *functions, struct str name, struct script_body *body,
                         const char *refusal)
{
    size_t count = functions->count++;
    if ((count & (count - 1)) == 0)
        functions->items =
            xrealloc(functions->items, (count ? count * 2 : 1) * sizeof(*functions->items));
    functions->items[count] = (struct function){
        .name = text_copy(name),
        .len = name.len,
        .body = body ? script_body_hold(body) : NULL,
        .refusal = refusal ? xstrdup(refusal) : NULL,
    };
}

static void library_read(struct worker *worker, struct functions *functions,
                         const struct tree *library)
{
    const struct tree *names = tree_get(library, "functions");
    const struct tree *code = tree_get(library, "library_code");
    uint64_t limit = worker->snapshot->config->scripts.max_script_size;
    const char *refusal = NULL;
    struct script_body *body = NULL;
    if (!names || names->type != TREE_ARRAY)
        return;
    if (!code || code->type != TREE_STRING)
        refusal = "the code of its library is not told";
    else if (code->text.len > limit)
        refusal = "its library is larger than max-script-size";
    else
        body = script_cache_text(worker, SCRIPT_LIBRARY, code->text)->body;
    for (size_t i = 0; i < names->count; i++) {
        const struct tree *name = tree_get(&names->items[i], "name");
        if (name && name->type == TREE_STRING)
            function_add(functions, name->text, body, refusal);
    }
}

static struct functions *functions_read(struct worker *worker, struct str reply, uint64_t clock)
{
    struct functions *functions = xcalloc(1, sizeof(*functions));
    struct arena *arena = arena_new();
    const struct tree *tree = tree_parse(arena, reply.ptr, reply.len);
    functions->refs = 1;
    functions->clock = clock;
    functions->at = now_ms();
    if (tree && tree->type == TREE_ARRAY)
        for (size_t i = 0; i < tree->count; i++)
            library_read(worker, functions, &tree->items[i]);
    else
        snprintf(functions->error, sizeof(functions->error),
                 "the store's functions cannot be listed: %.*s",
                 tree && tree->type == TREE_ERROR ? (int)tree->text.len : 20,
                 tree && tree->type == TREE_ERROR ? tree->text.ptr : "no list in the reply");
    arena_free(arena);
    return functions;
}

/* ---- to each worker ---- */

struct functions_mail {
    struct mail mail;
    struct functions *functions;
};

static void functions_adopt(struct worker *worker, struct functions *functions)
{
    functions_drop(worker->functions);
    worker->functions = functions;
}

static void functions_arrive(struct loop *loop, struct mail *mail)
{
    struct functions_mail *letter = CONTAINER(mail, struct functions_mail, mail);
    functions_adopt(CONTAINER(loop, struct worker, loop), letter->functions);
    free(letter);
}

static void functions_tell(struct worker *worker, struct functions *functions)
{
    struct proxy *proxy = worker->proxy;
    for (unsigned i = 0; i < proxy->worker_count; i++) {
        if (i == worker->index)
            continue;
        struct functions_mail *letter = xcalloc(1, sizeof(*letter));
        __atomic_fetch_add(&functions->refs, 1, __ATOMIC_RELAXED);
        letter->mail.run = functions_arrive;
        letter->functions = functions;
        loop_post(&proxy->workers[i].loop, &letter->mail);
    }
    functions_adopt(worker, functions);
}

static void list_done(struct req *req, struct link *link, struct str reply)
{
    struct worker *worker = link->pool->node->worker;
    uint64_t clock = worker->functions_asked;
    (void)req;
    worker->functions_asked = 0;
    if (reply.ptr) /* else the link died, and the next tick asks again */
        functions_tell(worker, functions_read(worker, reply, clock));
}

void functions_tick(struct worker *worker, struct link *control)
{
    static const char command[] = "*3\r\n$8\r\nFUNCTION\r\n$4\r\nLIST\r\n$8\r\nWITHCODE\r\n";
    struct proxy *proxy = worker->proxy;
    uint64_t have = worker->functions ? worker->functions->clock : 0;
    if (worker->functions_asked || clock_of(&proxy->functions_wanted) <= have)
        return;
    worker->functions_asked = clock_of(&proxy->functions_clock);
    link_ask(control, span_copy(command, sizeof(command) - 1), list_done, NULL);
}

/* ---- wishes ---- */

static uint64_t functions_want(struct proxy *proxy, uint64_t clock)
{
    uint64_t wanted = clock_of(&proxy->functions_wanted);
    while (wanted < clock &&
           !__atomic_compare_exchange_n(&proxy->functions_wanted, &wanted, clock, false,
                                        __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE))
        continue;
    return clock;
}

static uint64_t clock_advance(struct proxy *proxy)
{
    return __atomic_add_fetch(&proxy->functions_clock, 1, __ATOMIC_ACQ_REL);
}

void functions_changed(struct proxy *proxy)
{
    uint64_t clock = clock_advance(proxy);
    uint64_t changed = clock_of(&proxy->functions_changed);
    while (changed < clock &&
           !__atomic_compare_exchange_n(&proxy->functions_changed, &changed, clock, false,
                                        __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE))
        continue;
}

uint64_t functions_clock(const struct client *client, const struct command *command)
{
    bool calls = command->id == COMMAND_FCALL || command->id == COMMAND_FCALL_RO;
    return calls ? clock_of(&client->worker->proxy->functions_changed) : 0;
}

bool functions_stale(const struct client *client, uint64_t clock)
{
    enum scripts_mode mode = client->worker->snapshot->config->scripts.mode;
    bool read = mode == SCRIPTS_INSPECT || mode == SCRIPTS_ALLOWLIST;
    return clock && read && clock_of(&client->worker->proxy->functions_changed) != clock;
}

/* The time a table must have for this FCALL; 0: the one that is there will do. */
static uint64_t function_needs(struct worker *worker, struct str name)
{
    struct proxy *proxy = worker->proxy;
    const struct functions *functions = worker->functions;
    const char *refusal = NULL;
    uint64_t changed = clock_of(&proxy->functions_changed);
    if (!functions || functions->clock < changed)
        return functions_want(proxy, changed);
    bool known = functions_find(functions, name, 0, &refusal) || refusal;
    uint64_t age = now_ms() - functions->at;
    if (known && age > FRESH_MS && clock_of(&proxy->functions_wanted) <= functions->clock)
        functions_want(proxy, clock_advance(proxy)); /* meanwhile this one serves */
    if (known || age < UNKNOWN_MS)
        return 0;
    return functions_want(proxy, clock_advance(proxy));
}

enum step functions_prepare(struct client *client, struct call *call)
{
    struct worker *worker = client->worker;
    const struct config *config = worker->snapshot->config;
    uint64_t now = loop_now(&worker->loop);
    if (call->request.argc < 3)
        return NEXT;
    if (!call->phase) {
        call->wants = function_needs(worker, call->request.argv[1]);
        call->phase = 1;
        client->waiting_since = now;
    }
    uint64_t changed = clock_of(&worker->proxy->functions_changed);
    if (!call->wants)
        return NEXT;
    if (worker->functions && worker->functions->clock >= call->wants &&
        worker->functions->clock >= changed)
        return NEXT;
    functions_want(worker->proxy, changed);
    if (now >
        client->waiting_since + config->backend.park_timeout + config->backend.request_timeout) {
        transaction_abort(client);
        client_reply_away(client);
        return ANSWERED;
    }
    client->wait_until = now;
    client_wait(client, WAIT_TIME);
    return PARKED;
}
