/*
 * confirm.c - RESPGATE CONFIRM: a command refused once runs when its code comes back.
 *
 *   command -> refused with a code -> RESPGATE CONFIRM code -> the same command runs, once
 *
 * A code belongs to one connection, and to what it was given for: rule, user, db and arguments,
 * by hash. With `confirm = console` the client is not told; an administrator confirms or tells.
 */
#include <stdio.h>
#include <stdlib.h>

#include "confirm.h"
#include "stages.h"

/* A code of 32^10 and five tries for each connection: nobody guesses it. */
enum { CODE_LEN = 10, WRONG_MAX = 5, CODE_MS = 5 * 60 * 1000, ARMED_MS = 60 * 1000 };

struct confirmation {
    uint16_t rule;
    bool console, armed, used;
    char code[CODE_LEN + 1]; /* "": none */
    char command[48];
    uint64_t until;              /* loop ms */
    uint8_t digest[DIGEST_SIZE]; /* of user, db and arguments */
};

struct confirmations {
    uint64_t generation; /* of the rules: a reload voids them all */
    unsigned wrong, next;
    struct confirmation items[CONFIRM_MAX];
};

/* Of what the client sent, also when a rule asks about a call of its script: that call may be the
 * same for quite different arguments, which nobody has confirmed. */
static void request_digest(const struct client *client, uint8_t out[DIGEST_SIZE])
{
    char db[24];
    const struct call *call = &client->call;
    size_t argc = call->request.argc;
    struct str *parts = xmalloc((argc + 2) * sizeof(*parts));
    snprintf(db, sizeof(db), "%lld", (long long)call->db);
    parts[0] = client->subject.user;
    parts[1] = str_of(db);
    memcpy(parts + 2, call->request.argv, argc * sizeof(*parts));
    digest_parts(parts, argc + 2, out);
    free(parts);
}

/* Those of the present rules, or none. */
static struct confirmations *confirmations_of(struct client *client)
{
    struct confirmations *all = client->confirmations;
    uint64_t generation = client->worker->snapshot->generation;
    if (all && all->generation != generation) {
        memset(all->items, 0, sizeof(all->items));
        all->generation = generation;
    }
    return all;
}

static bool is_alive(const struct client *client, const struct confirmation *item)
{
    return item->code[0] && loop_now(&client->worker->loop) < item->until;
}

bool confirm_given(struct client *client, uint16_t rule)
{
    struct confirmations *all = confirmations_of(client);
    uint8_t digest[DIGEST_SIZE];
    if (likely(!all) || client->transaction)
        return false;
    request_digest(client, digest);
    for (size_t i = 0; i < CONFIRM_MAX; i++) {
        struct confirmation *item = &all->items[i];
        if (!item->armed || item->rule != rule || !is_alive(client, item) ||
            memcmp(item->digest, digest, DIGEST_SIZE) != 0)
            continue;
        item->used = true;
        return true;
    }
    return false;
}

bool confirm_settle(struct client *client, bool passes)
{
    struct confirmations *all = client->confirmations;
    bool used = false;
    for (size_t i = 0; i < CONFIRM_MAX; i++) {
        used |= all->items[i].used && passes;
        if (all->items[i].used && passes)
            all->items[i] = (struct confirmation){0};
        all->items[i].used = false;
    }
    return used;
}

/* ---- a code ---- */

static void code_make(char out[CODE_LEN + 1])
{
    static const char letters[33] =
        "abcdefghijkmnpqrstuvwxyz23456789"; /* none looks like another */
    uint8_t bytes[CODE_LEN];
    random_bytes(bytes, sizeof(bytes));
    for (size_t i = 0; i < CODE_LEN; i++)
        out[i] = letters[bytes[i] & 31];
    out[CODE_LEN] = '\0';
}

/* The place of the same command's last code, else the oldest one. */
static struct confirmation *item_for(struct confirmations *all, uint16_t rule,
                                     const uint8_t digest[DIGEST_SIZE])
{
    for (size_t i = 0; i < CONFIRM_MAX; i++)
        if (all->items[i].code[0] && all->items[i].rule == rule &&
            memcmp(all->items[i].digest, digest, DIGEST_SIZE) == 0)
            return &all->items[i];
    return &all->items[all->next++ % CONFIRM_MAX];
}

static void item_line(const struct client *client, const struct confirmation *item, struct buf *out)
{
    buf_printf(out, "%s '%s' by rule '%s', %s", item->code, item->command,
               policy_rule_name(client->worker->snapshot->policy, item->rule), client_who(client));
}

const char *confirm_offer(struct client *client, const struct call *call, uint16_t rule)
{
    static _Thread_local char text[64];
    uint8_t digest[DIGEST_SIZE];
    if (client->transaction)
        return "not inside MULTI";
    if (!client->confirmations) {
        client->confirmations = xcalloc(1, sizeof(*client->confirmations));
        client->confirmations->generation = client->worker->snapshot->generation;
    }
    struct confirmations *all = confirmations_of(client);
    request_digest(client, digest);
    struct confirmation *item = item_for(all, rule, digest);
    *item = (struct confirmation){
        .rule = rule,
        .console = policy_confirm_console(client->worker->snapshot->policy, rule),
        .until = loop_now(&client->worker->loop) + CODE_MS,
    };
    memcpy(item->digest, digest, DIGEST_SIZE);
    snprintf(item->command, sizeof(item->command), "%s", call->command->name);
    code_make(item->code);
    if (!item->console) {
        snprintf(text, sizeof(text), "RESPGATE CONFIRM %s", item->code);
        return text;
    }
    struct buf line = {0};
    item_line(client, item, &line);
    buf_add(&line, "", 1);
    audit_note(client->worker->proxy, "confirm", line.ptr);
    buf_free(&line);
    return "its code is on the admin console";
}

static struct confirmation *item_by_code(struct client *client, struct str code)
{
    struct confirmations *all = confirmations_of(client);
    struct confirmation *found = NULL;
    for (size_t i = 0; all && i < CONFIRM_MAX && code.len == CODE_LEN; i++)
        if (is_alive(client, &all->items[i]) &&
            digest_equal(all->items[i].code, code.ptr, CODE_LEN))
            found = &all->items[i];
    return found;
}

static void item_arm(struct client *client, struct confirmation *item)
{
    struct buf line = {0};
    item->armed = true;
    item->until = loop_now(&client->worker->loop) + ARMED_MS;
    client->confirmations->wrong = 0;
    buf_printf(&line, "'%s' by rule '%s' is confirmed, %s", item->command,
               policy_rule_name(client->worker->snapshot->policy, item->rule), client_who(client));
    buf_add(&line, "", 1);
    audit_note(client->worker->proxy, "confirmed", line.ptr);
    log_notice(NULL, "%s", line.ptr);
    buf_free(&line);
}

/* ---- RESPGATE ---- */

static enum step confirm_code(struct client *client, struct str code)
{
    struct confirmation *item = item_by_code(client, code);
    if (item && !item->armed) {
        item_arm(client, item);
        client_reply_text(client, "+OK\r\n");
        return ANSWERED;
    }
    if (!client->confirmations)
        client->confirmations = xcalloc(1, sizeof(*client->confirmations));
    client_reply_error(client, "ERR respgate: no command waits for this code");
    if (++client->confirmations->wrong < WRONG_MAX)
        return ANSWERED;
    log_warn(client_who(client), "closed: %s", reason_text(REASON_CODES));
    client_leave(client, REASON_CODES);
    return CLOSED;
}

static void reply_help(struct client *client)
{
    static const char *const lines[] = {
        "RESPGATE <subcommand> [<arg>]. Subcommands are:",
        "CONFIRM <code>",
        "    Lets the command the code was given for run once, on this connection, within 60 s.",
        "HELP",
        "    Print this help.",
    };
    struct buf out = {0};
    write_array(&out, ARRAY_LEN(lines));
    for (size_t i = 0; i < ARRAY_LEN(lines); i++)
        write_status(&out, lines[i]);
    client_reply(client, &out);
    buf_free(&out);
}

bool confirm_command(struct client *client, const struct call *call, enum step *step)
{
    const struct str *argv = call->request.argv;
    size_t argc = call->request.argc;
    if (!str_equal_nocase(argv[0], STR("respgate")))
        return false;
    *step = ANSWERED;
    if (client->transaction) {
        transaction_abort(client);
        client_reply_text(client, "-ERR Command not allowed inside a transaction\r\n");
    } else if (argc == 3 && str_equal_nocase(argv[1], STR("confirm"))) {
        *step = confirm_code(client, argv[2]);
    } else if (argc == 2 && str_equal_nocase(argv[1], STR("help"))) {
        reply_help(client);
    } else {
        client_reply_error(client, "ERR unknown subcommand or wrong number of arguments. Try "
                                   "RESPGATE HELP.");
    }
    return true;
}

void confirm_free(struct client *client)
{
    free(client->confirmations);
    client->confirmations = NULL;
}

/* ---- for administrators: at every worker ---- */

struct confirm_visit {
    struct visit visit; /* first: it is freed as a visit */
    struct confirm_answer answer;
    char code[CODE_LEN + 1]; /* "": list them */
    void (*done)(struct confirm_answer *answer, void *context);
    void *context;
};

static void visit_client(struct confirm_visit *visit, struct client *client)
{
    struct confirmations *all = confirmations_of(client);
    if (visit->code[0]) {
        struct confirmation *item = all ? item_by_code(client, str_of(visit->code)) : NULL;
        if (item && !item->armed) {
            item_arm(client, item);
            visit->answer.armed = true;
        }
        return;
    }
    for (size_t i = 0; all && i < CONFIRM_MAX; i++) {
        const struct confirmation *item = &all->items[i];
        if (!item->console || item->armed || !is_alive(client, item))
            continue;
        item_line(client, item, &visit->answer.lines);
        buf_text(&visit->answer.lines, "\n");
        visit->answer.count++;
    }
}

static void visit_worker(struct worker *worker, struct visit *visit)
{
    for (int state = 0; state < CLIENT_CLOSED; state++)
        list_each (it, &worker->clients[state])
            visit_client(CONTAINER(visit, struct confirm_visit, visit),
                         CONTAINER(it, struct client, entry));
}

static void visit_done(struct visit *base)
{
    struct confirm_visit *visit = CONTAINER(base, struct confirm_visit, visit);
    visit->done(&visit->answer, visit->context);
    buf_free(&visit->answer.lines);
    free(visit);
}

void proxy_confirm(struct proxy *proxy, const char *code,
                   void (*done)(struct confirm_answer *answer, void *context), void *context)
{
    struct confirm_visit *visit = xcalloc(1, sizeof(*visit));
    visit->done = done;
    visit->context = context;
    /* One of another length matches nothing, and is not the list. */
    bool fits = !code || strlen(code) == CODE_LEN;
    snprintf(visit->code, sizeof(visit->code), "%s", !fits ? "-" : code ? code : "");
    proxy_visit(proxy, &visit->visit, visit_worker, visit_done);
}
