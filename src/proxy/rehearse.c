/* rehearse.c - what a cluster would refuse, counted while one node still takes it: in total, and
 * for each client that is connected.
 *
 * Only a command with several keys, or inside a transaction, is looked at, after all judgement: the
 * others cost one comparison. What respgate splits by itself in front of a cluster (MGET, DEL ...)
 * counts as fine.
 */
#include "stages.h"

enum { REHEARSED_CROSSSLOT, REHEARSED_DB, REHEARSED_SCRIPT };

static void rehearsed(struct client *client, int what, enum stat_id stat)
{
    client->rehearsed[what]++;
    count(client->worker, stat);
}

/* The slot of a transaction is that of its first key; one that goes on in another counts once. */
static bool transaction_crosses(struct transaction *transaction, int slot)
{
    if (slot == SLOT_NONE || transaction->slot == SLOT_MANY)
        return false;
    if (transaction->slot == SLOT_NONE && slot != SLOT_MANY) {
        transaction->slot = slot;
        return false;
    }
    if (transaction->slot == slot)
        return false;
    transaction->slot = SLOT_MANY;
    return true;
}

/* WATCH on several slots, or on another one than before. */
static bool watch_crosses(struct client *client, int slot)
{
    bool more = client->pins & PIN_WATCH && client->watching;
    bool crosses = slot == SLOT_MANY || (more && slot != client->watch_slot);
    client->watch_slot = slot == SLOT_MANY ? SLOT_NONE : slot;
    return crosses;
}

void rehearse_call(struct client *client, const struct call *call)
{
    const struct command_route *route = &client->worker->snapshot->routes[call->command->id];
    int slot = keys_slot(call->request.argv, call->keys, call->key_count);
    bool crosses;
    if (client->transaction)
        crosses = transaction_crosses(client->transaction, slot);
    else if (call->kind == REQ_WATCH)
        crosses = watch_crosses(client, slot);
    else
        crosses = slot == SLOT_MANY && route->kind != ROUTE_SPLIT;
    if (crosses)
        rehearsed(client, REHEARSED_CROSSSLOT, STAT_REHEARSED_CROSSSLOT);
    if (call->computed)
        rehearsed(client, REHEARSED_SCRIPT, STAT_REHEARSED_SCRIPT);
}

void rehearse_select(struct client *client)
{
    rehearsed(client, REHEARSED_DB, STAT_REHEARSED_DB);
}
