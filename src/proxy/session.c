/* session.c - commands that concern the connection: answered here, or sent to a link of its own.
 *
 * One row a command; a command without a row is only forwarded. IN_MULTI tells what happens to it
 * inside a transaction, where whatever acts on the connection would act in the middle of EXEC.
 */
#include <stdio.h>
#include <stdlib.h>

#include "stages.h"

enum in_multi {
    IN_MULTI_QUEUE,  /* forwarded, queued by the backend */
    IN_MULTI_REFUSE, /* refused, and the transaction with it */
    IN_MULTI_NOW,    /* the row's function runs all the same */
};

static enum step session_ping(struct client *client, struct call *call);
static enum step session_select(struct client *client, struct call *call);
static enum step session_quit(struct client *client, struct call *call);
static enum step session_reset(struct client *client, struct call *call);
static enum step session_monitor(struct client *client, struct call *call);
static enum step session_wait(struct client *client, struct call *call);
static enum step session_aside(struct client *client, struct call *call);

static const struct session_row {
    const char *command;
    enum step (*run)(struct client *client, struct call *call);
    enum in_multi in_multi;
} rows[] = {
    {NULL, NULL, IN_MULTI_QUEUE}, /* row 0: no row */
    {"auth", auth_run, IN_MULTI_REFUSE},
    {"hello", hello_run, IN_MULTI_REFUSE},
    {"ping", session_ping, IN_MULTI_QUEUE},
    {"publish", share_publish, IN_MULTI_QUEUE},
    {"pubsub|numsub", share_numsub, IN_MULTI_QUEUE},
    {"select", session_select, IN_MULTI_QUEUE},
    {"quit", session_quit, IN_MULTI_NOW},
    {"reset", session_reset, IN_MULTI_NOW},
    {"multi", transaction_multi, IN_MULTI_NOW},
    {"exec", transaction_exec, IN_MULTI_NOW},
    {"discard", transaction_discard, IN_MULTI_NOW},
    {"watch", transaction_watch, IN_MULTI_NOW},
    {"unwatch", transaction_unwatch, IN_MULTI_QUEUE},
    {"subscribe", subscribe_run, IN_MULTI_REFUSE},
    {"psubscribe", subscribe_run, IN_MULTI_REFUSE},
    {"ssubscribe", subscribe_run, IN_MULTI_REFUSE},
    {"unsubscribe", subscribe_run, IN_MULTI_REFUSE},
    {"punsubscribe", subscribe_run, IN_MULTI_REFUSE},
    {"sunsubscribe", subscribe_run, IN_MULTI_REFUSE},
    {"monitor", session_monitor, IN_MULTI_REFUSE},
    {"info", info_run, IN_MULTI_QUEUE},
    {"wait", session_wait, IN_MULTI_QUEUE},
    {"waitaof", session_wait, IN_MULTI_QUEUE},
    {"script|kill", session_aside, IN_MULTI_QUEUE},
    {"function|kill", session_aside, IN_MULTI_QUEUE},
    {"function|stats", session_aside, IN_MULTI_QUEUE},
    {"shutdown", session_aside, IN_MULTI_QUEUE},
    {"sync", session_never, IN_MULTI_REFUSE},
    {"psync", session_never, IN_MULTI_REFUSE},
    {"replconf", session_never, IN_MULTI_REFUSE},
    {"script|debug", session_never, IN_MULTI_REFUSE},
    {"asking", cluster_mode_run, IN_MULTI_REFUSE},
    {"readonly", cluster_mode_run, IN_MULTI_REFUSE},
    {"readwrite", cluster_mode_run, IN_MULTI_REFUSE},
    {"cluster", cluster_command_run, IN_MULTI_QUEUE}, /* with its subcommands */
    {"client", client_command_run, IN_MULTI_REFUSE},  /* with its subcommands */
};

uint8_t session_row(const char *command)
{
    size_t len = strcspn(command, "|");
    for (size_t i = 1; i < ARRAY_LEN(rows); i++) {
        bool whole = strcmp(rows[i].command, command) == 0;
        bool container = strlen(rows[i].command) == len && len < strlen(command) &&
                         memcmp(rows[i].command, command, len) == 0;
        if (whole || container)
            return (uint8_t)i;
    }
    return 0;
}

/* Redis checks the number of arguments before all else (server.c processCommand). Only commands
 * handled here need it: for the others the backend does it. */
static bool arity_fits(const struct command *command, size_t argc)
{
    return command->arity >= 0 ? argc == (size_t)command->arity : argc >= (size_t)-command->arity;
}

static bool in_subscribed_mode(const struct client *client, uint8_t row)
{
    if (!client_subscribed(client) || client->resp == 3)
        return false;
    return rows[row].run != subscribe_run && rows[row].run != session_quit &&
           rows[row].run != session_ping && rows[row].run != session_reset;
}

static enum step session_plain(struct client *client, struct call *call)
{
    uint8_t traits = client->worker->snapshot->traits[call->command->id];
    if (client->transaction)
        return transaction_queue(client, call);
    if (unlikely(traits & TRAIT_MAY_BLOCK) &&
        command_blocks(call->command, call->request.argv, call->request.argc)) {
        call->kind = REQ_BLOCK;
        call->pin = PIN_BLOCK;
    }
    return NEXT;
}

static enum step session_subscribed(struct client *client, struct call *call)
{
    client_reply_error(client,
                       "ERR Can't execute '%s': only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / "
                       "QUIT / RESET are allowed in this context",
                       call->command->name);
    return ANSWERED;
}

enum step session_run(struct client *client, struct call *call)
{
    uint8_t row = client->worker->snapshot->session[call->command->id];
    if (unlikely(client->pins & PIN_MONITOR) && rows[row].run != session_quit &&
        rows[row].run != session_reset) {
        client_reply_error(client, "ERR respgate: only QUIT and RESET are possible after MONITOR");
        return ANSWERED;
    }
    if (likely(!row && !(client_shares(client) && client->resp == 2)))
        return session_plain(client, call);
    if (!row)
        return session_subscribed(client, call);
    if (!arity_fits(call->command, call->request.argc)) {
        if (rows[row].run == transaction_exec)
            return transaction_exec_refused(client);
        transaction_abort(client);
        client_reply_error(client, "ERR wrong number of arguments for '%s' command",
                           call->command->name);
        return ANSWERED;
    }
    if (in_subscribed_mode(client, row))
        return session_subscribed(client, call);
    if (!client->transaction || rows[row].in_multi == IN_MULTI_NOW)
        return rows[row].run(client, call);
    if (rows[row].in_multi == IN_MULTI_QUEUE) {
        call->selects = rows[row].run == session_select;
        return transaction_queue(client, call);
    }
    transaction_abort(client);
    client_reply_text(client, "-ERR Command not allowed inside a transaction\r\n");
    return ANSWERED;
}

/* ---- rows ---- */

enum step session_never(struct client *client, struct call *call)
{
    client_reply_error(client, "ERR respgate: '%s' acts on a connection and is not passed on",
                       call->command->name);
    return ANSWERED;
}

/* Subscribed in RESP2, and only to what is shared: there is no link that would know (server.c,
 * pingCommand). */
static enum step session_ping(struct client *client, struct call *call)
{
    struct buf reply = {0};
    if (client->resp == 3 || !client_shares(client) || client->pins & PIN_SUBSCRIBE ||
        call->request.argc > 2)
        return session_plain(client, call);
    write_array(&reply, 2);
    write_bulk(&reply, STR("pong"));
    write_bulk(&reply, call->request.argc == 2 ? call->request.argv[1] : STR(""));
    client_reply(client, &reply);
    buf_free(&reply);
    return ANSWERED;
}

/* What ends a script that runs too long must not queue behind it on the shared link: Redis reads
 * no further on the connection the script came from. */
static enum step session_aside(struct client *client, struct call *call)
{
    if (client->worker->clustered)
        return NEXT; /* the same, by its route */
    call->kind = REQ_BLOCK;
    call->pin = PIN_BLOCK;
    return NEXT;
}

/* The client moves to the class of the other db once the backend has accepted it there. */
static enum step session_select(struct client *client, struct call *call)
{
    int64_t db = 0;
    if (!str_to_int(call->request.argv[1], &db)) {
        client_reply_text(client, "-ERR value is not an integer or out of range\r\n");
        return ANSWERED;
    }
    if (db < INT32_MIN || db > INT32_MAX) { /* Redis' words (object.c, getRangeLongFromObject) */
        client_reply_text(client, "-ERR value is out of range, value must between -2147483648 and "
                                  "2147483647\r\n");
        return ANSWERED;
    }
    if (db < 0 || db > DB_MAX) {
        client_reply_text(client, "-ERR DB index is out of range\r\n");
        return ANSWERED;
    }
    if (client->worker->clustered) { /* Redis' words (db.c, selectCommand) */
        client_reply_text(client,
                          db ? "-ERR SELECT is not allowed in cluster mode\r\n" : "+OK\r\n");
        return ANSWERED;
    }
    if (client->restoring) { /* its own link is of the old class still */
        client_reply_away(client);
        return ANSWERED;
    }
    struct pool *pool = pool_get(client->worker->node, client->identity, client->resp, (int)db,
                                 client_slot(client));
    switch (pool_verify(pool, client)) {
    case POOL_WAIT: return PARKED;
    case POOL_READY: break;
    case POOL_REFUSED:
        client_reply_error(client, "%s",
                           strncmp(pool->refusal, "NOAUTH", 6) == 0
                               ? "NOAUTH Authentication required."
                               : pool->refusal);
        return ANSWERED;
    case POOL_FULL:
    case POOL_AWAY: client_reply_away(client); return ANSWERED;
    }
    if (pool->noauth) {
        client_reply_text(client, "-NOAUTH Authentication required.\r\n");
        return ANSWERED;
    }
    if (db)
        rehearse_select(client);
    client->db = (int)db;
    pool_join(client, pool);
    if (client->pins) { /* the pinned link must follow; it is cleaned before anyone else has it */
        client->pinned->dirty = true;
        return NEXT;
    }
    client_reply_text(client, "+OK\r\n");
    return ANSWERED;
}

static enum step session_quit(struct client *client, struct call *call)
{
    (void)call;
    client_reply_text(client, "+OK\r\n");
    client_leave(client, REASON_QUIT);
    return CLOSED;
}

static enum step session_reset(struct client *client, struct call *call)
{
    if (client->queue.head && !(client->pins & PIN_MONITOR)) { /* their replies come first */
        client_wait(client, WAIT_DRAIN);
        return PARKED;
    }
    (void)call;
    transaction_end(client);
    list_remove(&client->restore_entry);
    client->restoring = false;
    client->pins = 0;
    client->watch_lost = client->tracking = client->no_evict = false;
    client->watched_keys = 0;
    span_drop(&client->tracking_command);
    if (client->pinned)
        client->pinned->dirty = true;
    pool_unpin(client);
    subscriptions_free(client);
    shares_leave(client);
    client->reply_off = client->skip_next = client->skip_this = false;
    free(client->name);
    client->name = NULL;
    client->resp = 2;
    client->db = 0;
    auth_initial(client);
    client_reply_text(client, "+RESET\r\n");
    return ANSWERED;
}

static enum step session_monitor(struct client *client, struct call *call)
{
    (void)client;
    call->kind = REQ_MONITOR;
    call->pin = PIN_MONITOR;
    return NEXT;
}

/* WAIT covers the writes of its own connection; the client's went over a shared one. A PING makes
 * the pinned connection's offset the newest there is, and that covers them all (Redis sets
 * client->woff behind every command). */
static enum step session_wait(struct client *client, struct call *call)
{
    if (client->worker->clustered)
        return NEXT; /* to all nodes, on links of their own: gather_all */
    if (!client->pinned) {
        call->kind = REQ_BLOCK;
        call->pin = PIN_BLOCK;
        if (client->queue.head) {
            client_wait(client, WAIT_DRAIN);
            return PARKED;
        }
        enum pool_answer answer = pool_pin(client->pool, client, false);
        if (answer == POOL_WAIT)
            return PARKED;
        if (answer != POOL_READY)
            return reply_no_pin(client, call, answer);
    }
    call->kind = REQ_BLOCK;
    call->pin = PIN_BLOCK;
    link_ask(client->pinned, span_copy("*1\r\n$4\r\nPING\r\n", 14), link_ignore, NULL);
    return NEXT;
}
