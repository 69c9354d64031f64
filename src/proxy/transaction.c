/* transaction.c - MULTI, EXEC, DISCARD, WATCH: on a pinned link of their own.
 *
 * The commands go to the backend as they come, which queues them and answers QUEUED. respgate
 * keeps a copy: when the rules change before EXEC, all are judged again.
 */
#include <stdlib.h>

#include "respgate/pressure.h"
#include "stages.h"

void transaction_end(struct client *client)
{
    if (!client->transaction)
        return;
    spans_clear(&client->transaction->queued);
    charge_land(&client->transaction->charges);
    free(client->transaction->marks);
    free(client->transaction);
    client->transaction = NULL;
}

void transaction_abort(struct client *client)
{
    if (client->transaction)
        client->transaction->aborted = true;
}

enum step transaction_multi(struct client *client, struct call *call)
{
    if (client->transaction &&
        (client->transaction->lost || client->transaction->local)) { /* Redis' words (multi.c) */
        client_reply_text(client, "-ERR MULTI calls can not be nested\r\n");
        return ANSWERED;
    }
    if (client->transaction && !client->transaction->local)
        return NEXT; /* nested, and pinned: the backend says so */
    client->transaction = xcalloc(1, sizeof(*client->transaction));
    client->transaction->generation = client->worker->snapshot->generation;
    client->transaction->db = client->db;
    client->transaction->slot = client->pins & PIN_WATCH ? client->watch_slot : SLOT_NONE;
    if (client->worker->clustered && !(client->pins & PIN_WATCH)) {
        client->transaction->local = true;
        client->transaction->serial = ++client->transaction_serial;
        client_reply_text(client, "+OK\r\n");
        return ANSWERED;
    }
    call->kind = REQ_MULTI;
    call->expect = client->transaction->serial = ++client->transaction_serial;
    call->pin = PIN_MULTI;
    return NEXT;
}

/* There was no link for MULTI. It is answered as if there were one: clients send EXEC or DISCARD
 * after an OK, and must not have their commands run one by one instead. */
void transaction_start_lost(struct client *client)
{
    client->transaction->lost = client->transaction->aborted = true;
    client_reply_text(client, "+OK\r\n");
}

/* The backend refused MULTI (by its ACL): what follows runs one by one, as it would direct. */
void transaction_refused(struct client *client, const struct req *req)
{
    if (client->transaction && client->transaction->serial == req->expect) {
        transaction_end(client);
        client->pins &= ~(uint32_t)PIN_MULTI;
    }
}

/* SELECT inside MULTI runs at EXEC: what is queued behind it is judged for the db it goes to. */
static enum step queue_select(struct client *client, struct call *call)
{
    struct transaction *transaction = client->transaction;
    int64_t db = -1;
    if (call->request.argc != 2 || !str_to_int(call->request.argv[1], &db))
        return NEXT; /* the backend refuses it when it runs */
    if (db < 0 || db > DB_MAX)
        return NEXT;
    struct pool *pool = pool_get(client->worker->node, client->identity, client->resp, (int)db,
                                 client_slot(client));
    switch (pool_verify(pool, client)) { /* behind EXEC the client will be of that class */
    case POOL_WAIT: return PARKED;
    case POOL_READY: break;
    case POOL_REFUSED: return NEXT;
    case POOL_FULL:
    case POOL_AWAY:
        transaction_abort(client);
        client_reply_away(client);
        return ANSWERED;
    }
    transaction->db = db;
    transaction->selected = true;
    return NEXT;
}

enum step transaction_queue(struct client *client, struct call *call)
{
    struct transaction *transaction = client->transaction;
    const struct span *bytes = &call->request.bytes;
    size_t limit = client->worker->snapshot->config->proxy.max_queued;
    if (transaction->lost) {
        client_reply_error(client, "ERR respgate: backend %s is unavailable",
                           client->worker->node->name);
        return ANSWERED;
    }
    if (transaction->queued.bytes + bytes->len > limit) {
        transaction_abort(client);
        client_reply_error(client,
                           "ERR respgate: transaction is larger than max-queued (%zu bytes)",
                           limit);
        return ANSWERED;
    }
    enum step step = NEXT;
    if (unlikely(client->worker->clustered))
        step = transaction_place(client, call);
    else if (call->selects)
        step = queue_select(client, call);
    if (step != NEXT)
        return step;
    spans_push_copy(&transaction->queued, bytes->ptr, bytes->len);
    transaction->count++;
    if (!transaction->functions_clock)
        transaction->functions_clock = functions_clock(client, call->command);
    transaction->functions |=
        (client->worker->snapshot->traits[call->command->id] & TRAIT_FUNCTIONS) != 0;
    charge_move(&transaction->charges, &call->charges);
    if (transaction->local) { /* no node knows of this transaction yet */
        client_reply_text(client, "+QUEUED\r\n");
        return ANSWERED;
    }
    call->kind = REQ_QUEUED;
    return NEXT;
}

/* Judges every queued command by the rules of now. */
static bool transaction_still_allowed(struct client *client)
{
    struct transaction *transaction = client->transaction;
    struct worker *worker = client->worker;
    struct parser *parser = worker_parser(worker);
    struct request_limits limits = {SIZE_MAX, SIZE_MAX, INT32_MAX, true};
    int64_t db = client->db;
    bool allowed = true;
    count(worker, STAT_TRANSACTIONS_REJUDGED);
    for (struct span_node *node = transaction->queued.head; node && allowed; node = node->next) {
        struct call call = {0};
        struct buf refusal = {0};
        parser_feed(parser, node->span.ptr, node->span.len);
        if (parser_next(parser, &limits, &call.request) != REQUEST_READY)
            die("a queued command does not parse any more");
        if (command_lookup(worker->snapshot->commands, call.request.argv, call.request.argc,
                           &call.command) != LOOKUP_FOUND) {
            allowed = false;
        } else {
            call_keys(worker, &call);
            allowed = judge_call(client, &call, db, &refusal) == JUDGED_ALLOWED &&
                      !shape_rewrites(client, &call, db);
        }
        if (call.command && strcmp(call.command->name, "select") == 0 && call.request.argc == 2)
            (void)!str_to_int(call.request.argv[1], &db);
        buf_free(&refusal);
        span_drop(&call.request.bytes);
    }
    worker_parser_back(worker, parser);
    return allowed;
}

/* The backend forgets what it queued; the client has its answer from us. */
static void transaction_drop(struct client *client)
{
    bool lost = client->transaction->lost || client->transaction->local;
    client->pins &= ~(uint32_t)(PIN_MULTI | PIN_WATCH);
    client->watch_lost = false;
    client->watched_keys = 0;
    client->watching = false;
    transaction_end(client);
    if (client->pinned && !lost)
        link_ask(client->pinned, span_copy("*1\r\n$7\r\nDISCARD\r\n", 17), link_ignore, NULL);
}

/* EXEC itself was malformed: as in Redis (server.c, rejectCommand) that ends the transaction. */
enum step transaction_exec_refused(struct client *client)
{
    if (client->transaction)
        transaction_drop(client);
    client_reply_text(client, "-EXECABORT Transaction discarded because of: wrong number of "
                              "arguments for 'exec' command\r\n");
    client_check_pins(client);
    return ANSWERED;
}

enum step transaction_exec(struct client *client, struct call *call)
{
    struct transaction *transaction = client->transaction;
    if (!transaction) {
        call->to_pinned = client->pinned && client->pins;
        return NEXT; /* "EXEC without MULTI" */
    }
    if (!transaction->aborted && transaction->generation != client->worker->snapshot->generation &&
        !transaction_still_allowed(client))
        transaction->aborted = true;
    if (!transaction->aborted && !pressure_admits_exec(client))
        transaction->aborted = true;
    if (functions_stale(client, transaction->functions_clock))
        transaction->aborted = true; /* the function may be another one now */
    if (transaction->aborted || client->watch_lost) {
        bool aborted = transaction->aborted;
        transaction_drop(client);
        client_reply_text(client, aborted ? "-EXECABORT Transaction discarded because of previous "
                                            "errors.\r\n"
                                  : client->resp == 3 ? "_\r\n"
                                                      : "*-1\r\n");
        client_check_pins(client);
        return ANSWERED;
    }
    if (transaction->local) {
        if (!transaction->count) {
            transaction_drop(client);
            client_reply_text(client, "*0\r\n");
            return ANSWERED;
        }
        enum step step = transaction_open(client, call, SLOT_NONE);
        if (step != NEXT)
            return step;
    }
    free(client->exec_marks); /* of one that was never sent */
    client->exec_marks = transaction->marks;
    client->exec_mark_count = transaction->mark_count;
    transaction->marks = NULL;
    call->kind = REQ_EXEC;
    call->to_pinned = true;
    call->aux = transaction->functions;
    call->expect = transaction->selected ? (uint32_t)transaction->db + 1 : 0;
    client->db_moves = transaction->selected;
    client->pins &= ~(uint32_t)(PIN_MULTI | PIN_WATCH);
    client->watched_keys = 0;
    client->watching = false;
    charge_move(&call->charges, &transaction->charges);
    transaction_end(client);
    return NEXT;
}

void transaction_executed(struct client *client, struct link *link, const struct req *req)
{
    if (!req->expect || link->frame_error || link->frame_nil)
        return;
    link->dirty = true; /* it is in another db than its class now */
    client->db = (int)req->expect - 1;
    pool_join(client, pool_get(client->worker->node, client->identity, client->resp, client->db,
                               client_slot(client)));
}

enum step transaction_discard(struct client *client, struct call *call)
{
    struct transaction *transaction = client->transaction;
    if (!transaction) {
        call->to_pinned = client->pinned && client->pins;
        return NEXT; /* "DISCARD without MULTI" */
    }
    if (transaction->lost || transaction->local) {
        transaction_drop(client);
        client_reply_text(client, "+OK\r\n");
        client_check_pins(client);
        return ANSWERED;
    }
    client->pins &= ~(uint32_t)(PIN_MULTI | PIN_WATCH);
    client->watch_lost = false;
    client->watched_keys = 0;
    client->watching = false;
    transaction_end(client);
    call->to_pinned = true;
    return NEXT;
}

enum step transaction_watch(struct client *client, struct call *call)
{
    uint64_t limit = client->worker->snapshot->config->proxy.max_watched_keys;
    if (client->transaction && (client->transaction->lost || client->transaction->local)) {
        client_reply_text(client, "-ERR WATCH inside MULTI is not allowed\r\n");
        return ANSWERED;
    }
    if (client->transaction)
        return NEXT; /* "WATCH inside MULTI is not allowed" */
    if (limit && client->watched_keys + call->request.argc - 1 > limit) {
        client_reply_error(client, "ERR respgate: more than %llu watched keys (max-watched-keys)",
                           (unsigned long long)limit);
        return ANSWERED;
    }
    if (client->worker->clustered &&
        (call->slot == SLOT_MANY || (client->pins & PIN_WATCH && call->slot != client->watch_slot)))
        return reply_cross(client);
    client->watch_slot = call->slot;
    client->watched_keys += call->request.argc - 1;
    call->kind = REQ_WATCH;
    call->pin = PIN_WATCH;
    return NEXT;
}

/* WATCH that was refused (by the store's ACL) leaves nothing to hold a link for. */
void transaction_watched(struct client *client, const struct link *link)
{
    if (!link->frame_error) {
        client->watching = client->pins & PIN_WATCH;
        return;
    }
    for (struct req *req = link->sent.head; req; req = req->next_link)
        if (req->kind == REQ_WATCH)
            return;
    if (!client->watching) {
        client->pins &= ~(uint32_t)PIN_WATCH;
        client->watched_keys = 0;
    }
}

enum step transaction_unwatch(struct client *client, struct call *call)
{
    if (client->pins & PIN_WATCH)
        call->to_pinned = true;
    client->pins &= ~(uint32_t)PIN_WATCH;
    client->watch_lost = false;
    client->watched_keys = 0;
    client->watching = false;
    return NEXT;
}

/* The pinned link died: MULTI ends in EXECABORT, WATCH in a nil EXEC. */
void transaction_link_lost(struct client *client)
{
    if (client->transaction)
        client->transaction->lost = client->transaction->aborted = true;
    if (client->pins & PIN_WATCH)
        client->watch_lost = true;
    client->watched_keys = 0;
    client->watching = false;
    client->pins &= ~(uint32_t)(PIN_MULTI | PIN_WATCH);
}
