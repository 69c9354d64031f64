/* side.c - the backend a worker is about to move to: reached before anything is held, entered when
 * all is quiet.
 *
 *   worker->next: nodes of its own, links logged in as the new configuration says
 *                 heirs: a link for each client that is subscribed, beside its pinned one
 *   side_enter:   worker->nodes := next->nodes, what is left of the old ones goes to `leaving`
 */
#include <stdio.h>
#include <stdlib.h>

#include "house.h"
#include "pool_private.h"
#include "stages.h"

struct identity *side_identity(const struct side *side, struct identity *identity)
{
    return identity == side->was_backend ? side->backend : identity;
}

/* The pool at the new side of what this client uses at the old one. */
static struct pool *side_pool(const struct side *side, const struct client *client)
{
    const struct link_class *class = client->pool->class;
    return pool_get(side->home, side_identity(side, class->identity), class->resp, class->db,
                    class->slot);
}

/* ---- prepare ---- */

static struct identity *identity_of(struct worker *worker, const char *username,
                                    const char *password, struct identity *otherwise)
{
    return password ? identity_get(worker, username, str_of(password)) : identity_hold(otherwise);
}

void side_prepare(struct worker *worker, struct snapshot *snapshot, uint32_t serial)
{
    const struct config *config = snapshot->config;
    struct side *side = worker->next = xcalloc(1, sizeof(*side));
    side->snapshot = snapshot_hold(snapshot);
    side->serial = serial;
    side->since = loop_now(&worker->loop);
    side->backend = identity_of(worker, config->backend.username, config->backend.password,
                                worker->identity_none);
    side->control = identity_of(worker, config->backend.control_username,
                                config->backend.control_password, side->backend);
    side->was_backend = identity_hold(worker->identity_backend);
    list_init(&side->nodes);
    nodes_of_config(worker, snapshot, &side->nodes);
    if (worker->index == 0 && config->backend.mode == MODE_SENTINEL)
        side->sentinels = sentinels_new(worker, snapshot, serial);
}

/* ---- is it there ---- */

/* Dials until the control link of a node stands: that node is home. NULL: not yet. */
static struct node *home_find(struct worker *worker, struct side *side, struct side_state *state)
{
    char error[sizeof(state->error)] = "";
    list_each (it, &side->nodes) {
        struct node *node = CONTAINER(it, struct node, entry);
        struct pool *control = pool_get(node, side->control, 2, 0, 0);
        control->unused = loop_now(&worker->loop);
        pool_want_shared(control);
        if (control->refusal[0])
            snprintf(error, sizeof(error), "the login is refused: %.150s", control->refusal);
        if (control->shared && control->shared->state == LINK_READY && !control->noauth)
            return node;
        if (control->noauth)
            snprintf(error, sizeof(error), "it wants a password");
    }
    if (error[0])
        memcpy(state->error, error, sizeof(error));
    return NULL;
}

static bool becomes_cluster(const struct side *side)
{
    enum backend_mode mode = side->snapshot->config->backend.mode;
    return mode == MODE_CLUSTER || (mode == MODE_AUTO && side->home->is_cluster);
}

/* In a cluster there is db 0 alone. */
static void dbs_check(const struct worker *worker, const struct side *side,
                      struct side_state *state)
{
    for (int i = 0; becomes_cluster(side) && i < CLIENT_CLOSED; i++)
        list_each (it, &worker->clients[i]) {
            const struct client *client = CONTAINER(it, struct client, entry);
            if (client->db)
                snprintf(state->error, sizeof(state->error),
                         "a cluster has db 0 alone, and a client uses db %d (%s)", client->db,
                         client_who(client));
        }
}

struct link *side_link(struct pool *pool, unsigned *dialing)
{
    pool->unused = now_ms(pool);
    if (list_empty(&pool->idle)) {
        if (pool->pin_dialing <= *dialing && may_dial(pool, LINK_PINNED)) {
            link_dial(pool, LINK_PINNED)->dialing = true;
            pool->pin_dialing++;
        }
        (*dialing)++;
        return NULL;
    }
    struct link *link = CONTAINER(pool->idle.next, struct link, entry);
    list_remove(&link->entry);
    list_append(&pool->links, &link->entry);
    return link;
}

/* Subscriptions and tracking are set up on another link unseen, but for what a cluster keeps by
 * slot and what has begun to leave for the client. */
static bool wants_heir(const struct client *client)
{
    uint32_t pins = client->pins;
    uint32_t movable = PIN_SUBSCRIBE | PIN_NO_TOUCH | (client->resp == 3 ? PIN_TRACKING : 0u);
    return client->pool && client->pinned && pins && !(pins & ~movable) && !client->restoring &&
           !subscriptions_count(client, 2);
}

/* True: every client that wants an heir has one. */
static bool heirs_want(struct worker *worker, struct side *side)
{
    bool all = true;
    unsigned dialing = 0;
    for (int i = 0; i < CLIENT_CLOSED; i++)
        list_each (it, &worker->clients[i]) {
            struct client *client = CONTAINER(it, struct client, entry);
            if (client->heir || !wants_heir(client))
                continue;
            struct pool *pool = side_pool(side, client);
            if (pool->refusal[0] || pool->noauth)
                continue; /* its own login, which the new side does not know */
            client->heir = side_link(pool, &dialing);
            if (client->heir)
                client->heir->heir = client;
            all &= client->heir != NULL;
        }
    return all;
}

/* A shared link for each class in use. */
static bool shared_want(struct worker *worker, struct side *side, struct side_state *state)
{
    bool all = true;
    for (int i = 0; i < CLIENT_CLOSED; i++)
        list_each (it, &worker->clients[i]) {
            struct client *client = CONTAINER(it, struct client, entry);
            if (!client->pool)
                continue;
            struct pool *pool = side_pool(side, client);
            pool->unused = now_ms(pool);
            pool_want_shared(pool);
            bool ready = pool->shared && pool->shared->state == LINK_READY;
            if (pool->refusal[0] && pool->identity == side->backend)
                snprintf(state->error, sizeof(state->error), "the login is refused: %.150s",
                         pool->refusal);
            all &= ready || pool->refusal[0];
        }
    return all;
}

void side_ready(struct worker *worker, struct side_state *state)
{
    struct side *side = worker->next;
    if (!side)
        return;
    enum backend_mode mode = side->snapshot->config->backend.mode;
    side->home = home_find(worker, side, state);
    if (!side->home) {
        state->done = state->reached = false;
        return;
    }
    if (mode == MODE_CLUSTER && !side->home->is_cluster)
        snprintf(state->error, sizeof(state->error), "%s is no cluster", side->home->address.text);
    dbs_check(worker, side, state);
    if (!state->error[0])
        state->done &= (int)shared_want(worker, side, state) & (int)heirs_want(worker, side) &
                       (int)hubs_prepare(worker, false);
}

/* ---- subscriptions ---- */

void side_subscribe(struct worker *worker, struct side_state *state)
{
    struct side *side = worker->next;
    if (!side)
        return;
    dbs_check(worker, side, state);
    if (!state->error[0] && !home_find(worker, side, state))
        state->done = false; /* it has gone since it was found */
    if (state->error[0] || !state->done)
        return;
    bool all = heirs_want(worker, side);
    for (int i = 0; i < CLIENT_CLOSED; i++)
        list_each (it, &worker->clients[i]) {
            struct client *client = CONTAINER(it, struct client, entry);
            struct link *heir = client->heir;
            if (!heir)
                continue;
            if (!heir->subscribed) {
                heir->subscribed = (uint32_t)subscriptions_count(client, -1) + 1;
                heir->dirty = true;
                subscriptions_send(client, heir);
            }
            all &= !heir->sent.head;
        }
    all &= hubs_prepare(worker, true);
    state->done &= all;
}

/* ---- the moment ---- */

/* The new link takes the place of the pinned one, which is nobody's from here on. */
static void heir_enter(struct client *client)
{
    static const char invalidate_all[] = ">2\r\n$10\r\ninvalidate\r\n_\r\n";
    struct link *old = client->pinned, *heir = client->heir;
    client->heir = NULL;
    heir->heir = NULL;
    heir->owner = client;
    heir->pin_address = old->pin_address;
    heir->pin_user = old->pin_user;
    heir->subscribed = (uint32_t)subscriptions_count(client, -1);
    old->pin_user = NULL;
    old->owner = NULL;
    client->pinned = heir;
    if (client->tracking) /* what it has kept is of the other store */
        client_push(client, span_copy(invalidate_all, sizeof(invalidate_all) - 1));
}

static void client_enter(struct client *client, const struct side *side)
{
    if (!client->pool)
        return;
    bool waits = client->wait == WAIT_PIN || client->wait == WAIT_LOGIN ||
                 client->wait == WAIT_TIME || client->wait == WAIT_DRAIN;
    struct pool *pool = side_pool(side, client);
    if (client->identity == side->was_backend) {
        client->identity = identity_hold(side->backend);
        identity_drop(side->was_backend);
    }
    if (client->heir && (!wants_heir(client) || client->push_open))
        link_close(client->heir, REASON_SURPLUS, NULL);
    if (client->heir)
        heir_enter(client);
    if (client->transaction && client->transaction->local)
        transaction_abort(client);
    pool_join(client, pool);
    client->lane = NULL;
    if (client->restoring) {
        list_remove(&client->restore_entry);
        pool_restore(client);
    }
    if (client->state == CLIENT_WAITING && waits) {
        pool_forget_waiter(client);
        client_resume(client);
    }
}

static void clients_enter(struct worker *worker, const struct side *side)
{
    for (int i = 0; i < CLIENT_CLOSED; i++)
        list_each_safe (it, &worker->clients[i])
            client_enter(CONTAINER(it, struct client, entry), side);
}

/* What was on the old links is answered as when they die. Parked requests have not run. */
static void old_leave(struct worker *worker)
{
    list_each (it, &worker->leaving) {
        struct node *node = CONTAINER(it, struct node, entry);
        node->gone = true;
        list_each_safe (entry, &node->pools) {
            struct pool *pool = CONTAINER(entry, struct pool, node_entry);
            pool_close(pool, REASON_SURPLUS);
            parked_fail(pool, UINT64_MAX, "-ERR respgate: backend redis is unavailable\r\n");
        }
    }
}

static void list_take(struct list *from, struct list *to)
{
    list_each_safe (it, from) {
        list_remove(it);
        list_append(to, it);
    }
}

void side_enter(struct worker *worker)
{
    struct side *side = worker->next;
    if (!side)
        return;
    redirects_drop(worker);
    clients_enter(worker, side);
    shares_enter(worker);
    list_take(&worker->nodes, &worker->leaving);
    list_take(&side->nodes, &worker->nodes);
    list_each (it, &worker->nodes)
        CONTAINER(it, struct node, entry)->via = NULL;
    worker->node = side->home;
    worker->clustered = becomes_cluster(side);
    worker->mode_known = true;
    worker->side = side->serial;
    map_drop(worker->map);
    worker->map = NULL;
    topology_free(worker);
    sentinels_free(worker);
    worker->sentinels = side->sentinels;
    side->sentinels = NULL;
    worker->functions_asked = worker->commands_asked = 0;
    hubs_enter(worker);
    old_leave(worker);
    side_free(worker);
    count(worker, STAT_MOVES);
}

/* ---- otherwise ---- */

static void heirs_close(struct worker *worker)
{
    for (int i = 0; i < CLIENT_CLOSED; i++)
        list_each (it, &worker->clients[i]) {
            struct client *client = CONTAINER(it, struct client, entry);
            if (client->heir)
                link_close(client->heir, REASON_SURPLUS, NULL);
        }
}

void side_abandon(struct worker *worker)
{
    struct side *side = worker->next;
    if (!side)
        return;
    heirs_close(worker);
    hubs_abandon(worker);
    list_each (it, &side->nodes)
        CONTAINER(it, struct node, entry)->gone = true;
    list_each_safe (old, &side->nodes)
        node_close(CONTAINER(old, struct node, entry));
    side_free(worker);
}

void side_tick(struct worker *worker)
{
    if (worker->next)
        list_each_safe (it, &worker->next->nodes)
            node_tick(CONTAINER(it, struct node, entry));
    if (worker->next && worker->next->sentinels)
        sentinels_poll(worker->next->sentinels);
    list_each_safe (old, &worker->leaving)
        node_fade(CONTAINER(old, struct node, entry));
}

void side_close(struct worker *worker)
{
    side_abandon(worker);
    list_each (it, &worker->leaving)
        node_close(CONTAINER(it, struct node, entry));
}

void side_free(struct worker *worker)
{
    struct side *side = worker->next;
    worker->next = NULL;
    if (!side)
        return;
    list_each_safe (it, &side->nodes)
        node_free(CONTAINER(it, struct node, entry));
    sentinels_drop(side->sentinels);
    identity_drop(side->backend);
    identity_drop(side->control);
    identity_drop(side->was_backend);
    snapshot_drop(side->snapshot);
    free(side);
}
