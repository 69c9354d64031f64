/* transaction_cluster.c - MULTI in a cluster: no node knows of it until its first key.
 *
 *   MULTI, commands without keys   answered here, and kept
 *   the first key                  pins a link at its node: MULTI and what was kept go first
 *   keys of another slot           CROSSSLOT, and EXEC will say EXECABORT
 */
#include "stages.h"

static enum step open_failed(struct client *client, struct call *call, enum pool_answer answer)
{
    (void)call;
    count(client->worker, STAT_PIN_REFUSED);
    client->transaction->lost = client->transaction->aborted = true;
    if (answer == POOL_FULL)
        client_reply_error(client, "ERR respgate: all pinned links are in use (max-pinned-links)");
    else
        client_reply_away(client);
    return ANSWERED;
}

static void open_done(struct req *req, struct link *link, struct str reply)
{
    (void)req;
    if (reply.ptr && *reply.ptr == '-' && link->owner)
        transaction_abort(link->owner); /* refused by the store's ACL */
}

/* Pins the node of that slot (SLOT_NONE: any) and says there what was answered here so far. */
enum step transaction_open(struct client *client, struct call *call, int slot)
{
    struct transaction *transaction = client->transaction;
    struct worker *worker = client->worker;
    if (!worker->map)
        return cluster_wait(client, call);
    struct pool *pool = cluster_pool(worker, client->pool->class, slot);
    if (!pool)
        return reply_unserved(client);
    if (client->queue.head && !client->pinned) {
        client_wait(client, WAIT_DRAIN);
        return PARKED;
    }
    if (client->pinned && client->pinned->pool->node != pool->node) {
        transaction_abort(client);
        client_reply_text(client, "-CROSSSLOT respgate: this connection is held at the node of "
                                  "another key\r\n");
        return ANSWERED;
    }
    enum pool_answer answer = pool_pin(pool, client, true);
    if (answer == POOL_WAIT)
        return PARKED;
    if (answer != POOL_READY)
        return open_failed(client, call, answer);
    transaction->local = false;
    client->pins |= PIN_MULTI;
    client->lane = client->pinned;
    link_ask(client->pinned, span_copy("*1\r\n$5\r\nMULTI\r\n", 15), open_done, NULL);
    for (struct span_node *node = transaction->queued.head; node; node = node->next)
        link_ask(client->pinned, span_hold(node->span), open_done, NULL);
    return NEXT;
}

static enum step reply_everywhere(struct client *client, const struct call *call)
{
    transaction_abort(client);
    client_reply_error(client, "ERR respgate: '%s' inside MULTI would reach one node of many",
                       call->command->name);
    return ANSWERED;
}

/* NEXT: queued at the node. ANSWERED: +QUEUED was said here, or it was refused. */
enum step transaction_place(struct client *client, struct call *call)
{
    struct transaction *transaction = client->transaction;
    const struct command_route *route = &client->worker->snapshot->routes[call->command->id];
    if (route->kind == ROUTE_ALL || route->kind == ROUTE_ASIDE || route->kind == ROUTE_SCAN)
        return reply_everywhere(client, call);
    if (call->slot == SLOT_MANY ||
        (call->slot >= 0 && transaction->slot >= 0 && call->slot != transaction->slot))
        return reply_cross(client);
    if (call->slot < 0)
        return NEXT;
    if (transaction->local) {
        enum step step = transaction_open(client, call, call->slot);
        if (step != NEXT)
            return step;
    }
    transaction->slot = call->slot;
    return NEXT;
}
