/* budget.c - [proxy] memory-limit: what respgate itself holds, with the levels of the nodes. At
 * critical those who make it hold most go first, one a tick and worker, so that what that frees is
 * seen before the next. */
#include "health.h"
#include "stages.h"

enum { SHARE_MIN = 16 }; /* who holds less than this part of all is not the reason */

static size_t held_by(const struct client *client)
{
    return client->conn.out.bytes + client->queued_bytes +
           (client->parser ? parser_waiting(client->parser) : 0) +
           (client->transaction ? client->transaction->queued.bytes : 0);
}

static struct client *heaviest(struct worker *worker, size_t *held)
{
    struct client *found = NULL;
    *held = 0;
    for (int state = 0; state < CLIENT_CLOSED; state++)
        list_each (it, &worker->clients[state]) {
            struct client *client = CONTAINER(it, struct client, entry);
            if (held_by(client) > *held) {
                *held = held_by(client);
                found = client;
            }
        }
    return found;
}

void budget_tick(struct worker *worker)
{
    const struct config *config = worker->snapshot->config;
    uint64_t limit = config->proxy.memory_limit, total = chunk_total();
    size_t held;
    if (!limit || total < pressure_amount(limit, (unsigned)config->pressure.critical))
        return;
    struct client *client = heaviest(worker, &held);
    if (!client || held < total / SHARE_MIN)
        return;
    count(worker, STAT_MEMORY_CLOSED);
    log_warn(client_who(client), "closed: %s: %zu bytes, respgate holds %llu of %llu",
             reason_text(REASON_MEMORY), held, (unsigned long long)total,
             (unsigned long long)limit);
    client_close(client, REASON_MEMORY);
}
