/* hold.c - requests that are held: by PAUSE, for a while or until RESUME, and by a move to another
 * backend until it is over.
 *
 *   judged -> hold_run -> holding, in its client's place -> released: judged anew, and on
 *
 * What is open already may end: a transaction's commands pass, and in a move those of a client that
 * watches keys. In a pause they do not: it could write for ever. What waits counts against
 * park-limit; beyond it requests get the error of a backend that is away. It does not end with
 * park-timeout: a pause ends by itself.
 */
#include <stdio.h>
#include <stdlib.h>

#include "house.h"
#include "stages.h"

/* ---- the stage ---- */

/* Redis holds the same with CLIENT PAUSE WRITE, and publishes and scripts as well. MULTI: what will
 * be queued is not known. */
static bool call_changes(const struct client *client, const struct call *call)
{
    const struct command *command = call->command;
    uint8_t traits = client->worker->snapshot->traits[command->id];
    if (command->flags & CMD_READONLY)
        return false;
    return command->flags & CMD_WRITE || traits & TRAIT_SCRIPT ||
           strcmp(command->name, "publish") == 0 || strcmp(command->name, "spublish") == 0 ||
           strcmp(command->name, "multi") == 0;
}

static bool held(const struct client *client, const struct call *call)
{
    uint8_t hold = client->worker->hold;
    if (!hold || client->transaction || strcmp(call->command->name, "quit") == 0)
        return false;
    if (hold & HOLD_ALL || (hold & HOLD_WRITES && call_changes(client, call)))
        return true;
    return hold & HOLD_MOVE && !(client->pins & PIN_WATCH);
}

static void hold_forget(struct client *client)
{
    client->worker->held_bytes -= client->call.held;
    client->call.held = 0;
}

enum step hold_run(struct client *client, struct call *call)
{
    struct worker *worker = client->worker;
    if (likely(!worker->hold && !call->held))
        return NEXT;
    hold_forget(client);
    if (!held(client, call))
        return NEXT;
    size_t size = call->request.bytes.len;
    if (worker->held_bytes + size > worker->snapshot->config->backend.park_limit) {
        client_reply_away(client);
        return ANSWERED;
    }
    if (!call->phase)
        count(worker, STAT_HELD);
    call->phase = 1;
    call->held = size;
    worker->held_bytes += size;
    list_append(&worker->holding, &client->wait_entry);
    client_wait(client, WAIT_HOLD);
    return PARKED;
}

void hold_ended(struct client *client)
{
    hold_forget(client);
}

void hold_change(struct worker *worker, uint8_t set, uint8_t clear)
{
    uint8_t before = worker->hold;
    worker->hold = (uint8_t)((before | set) & ~clear);
    if (worker->hold == before)
        return;
    struct list turn; /* they may come back to `holding` */
    list_init(&turn);
    while (!list_empty(&worker->holding)) {
        struct list *entry = worker->holding.next;
        list_remove(entry);
        list_append(&turn, entry);
    }
    while (!list_empty(&turn)) {
        struct client *client = CONTAINER(turn.next, struct client, wait_entry);
        list_remove(&client->wait_entry);
        client_resume(client);
    }
}

/* ---- is anything under way ---- */

static bool req_open(const struct req *req, bool all)
{
    if (req->state == REQ_LOCAL || req->state == REQ_DONE)
        return false;
    return all || (!(req->traits & TRAIT_READ) && req->kind != REQ_BLOCK &&
                   req->kind != REQ_SUBSCRIBE && req->kind != REQ_MONITOR);
}

static bool client_quiet(const struct client *client, uint8_t bits)
{
    bool all = bits != HOLD_WRITES;
    bool past_hold = client->call.active && client->call.stage > STAGE_HOLD;
    bool open = client->transaction || (bits & HOLD_MOVE && client->pins & PIN_WATCH);
    for (const struct req *req = client->queue.head; req; req = req->next_client)
        if (req_open(req, all))
            return false;
    return !open && (!past_hold || client->wait == WAIT_ANSWER);
}

bool hold_quiet(struct worker *worker, uint8_t bits)
{
    for (int state = 0; state < CLIENT_CLOSED; state++)
        list_each (it, &worker->clients[state])
            if (!client_quiet(CONTAINER(it, struct client, entry), bits))
                return false;
    return true;
}

void hold_unblock(struct worker *worker)
{
    list_each_safe (it, &worker->clients[CLIENT_BUSY]) {
        struct client *client = CONTAINER(it, struct client, entry);
        if (client->pins & PIN_BLOCK)
            client_unblock(client, false);
    }
    list_each_safe (waiting, &worker->clients[CLIENT_WAITING]) {
        struct client *client = CONTAINER(waiting, struct client, entry);
        if (client->pins & PIN_BLOCK)
            client_unblock(client, false);
    }
}

/* ---- PAUSE, RESUME: main thread ---- */

struct hold_visit {
    struct visit visit; /* first: visits that are lost at the end are freed as this */
    uint8_t set, clear;
    bool quiet;
};

static void hold_at(struct worker *worker, struct visit *visit)
{
    struct hold_visit *hold = CONTAINER(visit, struct hold_visit, visit);
    hold_change(worker, hold->set, hold->clear);
    hold->quiet &= !hold->set || hold_quiet(worker, hold->set);
}

static void pause_settle(struct proxy *proxy, bool quiet)
{
    void (*done)(bool quiet, void *context) = proxy->pause.done;
    proxy->pause.done = NULL;
    if (done)
        done(quiet, proxy->pause.context);
}

static void hold_done(struct visit *visit)
{
    struct hold_visit *hold = CONTAINER(visit, struct hold_visit, visit);
    struct proxy *proxy = visit->proxy;
    bool quiet = hold->quiet, over = loop_now(&proxy->loop) >= proxy->pause.patience;
    free(hold);
    proxy->pause.visiting = false;
    if (quiet || over)
        pause_settle(proxy, quiet);
}

static void hold_all(struct proxy *proxy, uint8_t set, uint8_t clear)
{
    struct hold_visit *hold = xcalloc(1, sizeof(*hold));
    hold->set = set;
    hold->clear = clear;
    hold->quiet = true;
    proxy->pause.visiting = true;
    proxy_visit(proxy, &hold->visit, hold_at, hold_done);
}

bool proxy_pause(struct proxy *proxy, bool writes, uint64_t ms,
                 void (*done)(bool quiet, void *context), void *context)
{
    uint64_t now = loop_now(&proxy->loop);
    if (proxy->pause.done)
        return false;
    proxy->pause.bits = writes ? HOLD_WRITES : HOLD_ALL;
    proxy->pause.until = now + ms;
    proxy->pause.patience = now + proxy->snapshot->config->backend.request_timeout;
    proxy->pause.done = done;
    proxy->pause.context = context;
    hold_all(proxy, proxy->pause.bits, writes ? HOLD_ALL : HOLD_WRITES);
    return true;
}

bool proxy_resume(struct proxy *proxy)
{
    bool paused = proxy->pause.bits;
    if (paused)
        hold_all(proxy, 0, HOLD_WRITES | HOLD_ALL);
    proxy->pause.bits = 0;
    return paused;
}

void proxy_pause_tick(struct proxy *proxy)
{
    if (proxy->pause.bits && loop_now(&proxy->loop) >= proxy->pause.until) {
        log_warn(NULL, "the pause is over: nobody has ended it with RESUME");
        audit_note(proxy, "admin", "the pause is over: nobody has ended it with RESUME");
        proxy_resume(proxy);
    }
    if (proxy->pause.done && !proxy->pause.visiting)
        hold_all(proxy, proxy->pause.bits, 0);
}
