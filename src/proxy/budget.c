/* budget.c - [proxy] memory-limit: what respgate itself holds, with the levels of the nodes.
 *
 *   high      who holds much of it is refused what would add more, until the level ends
 *   critical  who holds most goes, one a tick and worker, so that what that frees is seen first
 */
#include "health.h"
#include "stages.h"

enum { SHARE_MIN = 16 }; /* who holds less than this part of all is not the reason */

static size_t parser_held(const struct client *client)
{
    return client->parser ? parser_waiting(client->parser) : 0;
}

static size_t held_by(const struct client *client)
{
    return client->conn.out.bytes + client->queued_bytes + parser_held(client) +
           (client->transaction ? client->transaction->queued.bytes : 0);
}

/* Chunks count themselves. What parsers hold is each worker's own part, as of its last tick. */
static uint64_t budget_total(struct worker *worker)
{
    uint64_t parsers = 0;
    for (int state = 0; state < CLIENT_CLOSED; state++)
        list_each (it, &worker->clients[state])
            parsers += parser_held(CONTAINER(it, struct client, entry));
    uint64_t more = parsers - worker->parser_bytes; /* may be below zero: sums wrap back */
    worker->parser_bytes = parsers;
    return chunk_total() + __atomic_add_fetch(&worker->proxy->parser_bytes, more, __ATOMIC_RELAXED);
}

/* Marks those who hold much, when that matters; the one that holds most. */
static struct client *clients_weigh(struct worker *worker, uint64_t total)
{
    struct client *heaviest = NULL;
    size_t most = 0;
    for (int state = 0; state < CLIENT_CLOSED; state++)
        list_each (it, &worker->clients[state]) {
            struct client *client = CONTAINER(it, struct client, entry);
            size_t held = held_by(client);
            client->heavy = worker->own_level != PRESSURE_NORMAL && held >= total / SHARE_MIN;
            if (client->heavy && held > most) {
                most = held;
                heaviest = client;
            }
        }
    return heaviest;
}

static void say_level(const struct worker *worker, enum pressure before, uint64_t total)
{
    uint64_t limit = worker->snapshot->config->proxy.memory_limit;
    if (worker->own_level != before && worker->index == 0)
        log_line(worker->own_level > before ? LOG_WARN : LOG_NOTICE, NULL,
                 "respgate's own memory is %s: buffers hold %llu bytes, memory-limit is %llu",
                 pressure_name(worker->own_level), (unsigned long long)total,
                 (unsigned long long)limit);
}

void budget_tick(struct worker *worker)
{
    const struct config *config = worker->snapshot->config;
    const struct thresholds thresholds = {(unsigned)config->pressure.high,
                                          (unsigned)config->pressure.critical,
                                          (unsigned)config->pressure.resume};
    enum pressure before = worker->own_level;
    uint64_t limit = config->proxy.memory_limit;
    if (!limit && before == PRESSURE_NORMAL)
        return;
    uint64_t total = budget_total(worker);
    worker->own_level = pressure_next(before, total, limit, &thresholds);
    say_level(worker, before, total);
    if (worker->own_level == PRESSURE_NORMAL && before == PRESSURE_NORMAL)
        return;
    struct client *client = clients_weigh(worker, total);
    if (!client || total < pressure_amount(limit, thresholds.critical))
        return;
    count(worker, STAT_MEMORY_CLOSED);
    log_warn(client_who(client), "closed: %s: %zu bytes, respgate holds %llu of %llu",
             reason_text(REASON_MEMORY), held_by(client), (unsigned long long)total,
             (unsigned long long)limit);
    client_close(client, REASON_MEMORY);
}

/* What ends a transaction or a connection frees memory. */
bool budget_admits(struct client *client, const struct call *call)
{
    if (call->command->flags & CMD_NO_AUTH || call->command->classes & CLASS_TRANSACTION)
        return true;
    count(client->worker, STAT_MEMORY_REFUSED);
    transaction_abort(client);
    client_reply_error(client,
                       "OOM respgate: this connection holds too much of respgate's memory: read "
                       "the replies that wait, and send less at a time");
    return false;
}
