/* pin.c - pinned links: from the warm stock to a client and back.
 *
 *   pin_waiters <- idle (warm) <- reset <- given back        restores: clients whose link died
 */
#include <stdio.h>
#include <stdlib.h>

#include "pool_private.h"
#include "stages.h"

enum { MULTI_SHARE = 5 }; /* a fifth of the pinned links is kept for MULTI */

static size_t waiters_count(const struct pool *pool)
{
    size_t n = 0;
    list_each (it, &pool->pin_waiters)
        n++;
    list_each (had, &pool->restores)
        n++;
    return n;
}

/* Pinned links of all workers together stay below max-pinned-links; only MULTI may use the last
 * fifth, so that a thousand blocked consumers cannot keep everyone from transactions. */
static bool pin_take(struct pool *pool, const struct client *client, bool for_multi)
{
    struct proxy *proxy = pool->node->worker->proxy;
    int64_t max = (int64_t)config_of(pool->node)->backend.max_pinned_links;
    int64_t limit = for_multi ? max : max - max / MULTI_SHARE;
    char room[24];
    struct str address = address_key(&client->subject.address, room);
    if (__atomic_add_fetch(&proxy->pinned, 1, __ATOMIC_RELAXED) <= limit) {
        if (tally_add(proxy->pinned_addresses, address,
                      config_of(pool->node)->backend.pinned_per_ip)) {
            if (!client->user_counted ||
                tally_add(proxy->pinned_users, str_of(client->user_counted),
                          client->user_max_pinned))
                return true;
            tally_remove(proxy->pinned_addresses, address);
        }
    }
    __atomic_sub_fetch(&proxy->pinned, 1, __ATOMIC_RELAXED);
    return false;
}

/* Under the names it was taken: the client may have logged in as another since. */
static void pin_give(struct proxy *proxy, const struct address *address, const char *user)
{
    char room[24];
    tally_remove(proxy->pinned_addresses, address_key(address, room));
    if (user)
        tally_remove(proxy->pinned_users, str_of(user));
    __atomic_sub_fetch(&proxy->pinned, 1, __ATOMIC_RELAXED);
}

static void pin_give_back(const struct client *client)
{
    pin_give(client->worker->proxy, &client->subject.address, client->user_counted);
}

void link_pin_end(struct link *link)
{
    pin_give(link->pool->node->worker->proxy, &link->pin_address, link->pin_user);
    free(link->pin_user);
    link->pin_user = NULL;
    link->owner = NULL;
}

/* One dial for each client that waits, less those under way. */
void pool_want_pinned(struct pool *pool)
{
    size_t waiting = waiters_count(pool);
    while (pool->pin_dialing < waiting && may_dial(pool, LINK_PINNED)) {
        link_dial(pool, LINK_PINNED)->dialing = true;
        pool->pin_dialing++;
    }
}

static void pool_hand(struct client *client, struct link *link)
{
    struct pool *pool = link->pool;
    list_remove(&link->entry);
    list_append(&pool->links, &link->entry);
    link->owner = client;
    link->pin_address = client->subject.address;
    link->pin_user = client->user_counted ? xstrdup(client->user_counted) : NULL;
    link->dirty = false;
    client->pinned = link;
    count(pool->node->worker, STAT_PINS);
}

/* The warm link to hand out: the one used last, whose path is warmest. */
static struct link *pool_warm(struct pool *pool)
{
    return list_empty(&pool->idle) ? NULL : CONTAINER(pool->idle.next, struct link, entry);
}

enum pool_answer pool_pin(struct pool *pool, struct client *client, bool for_multi)
{
    if (client->pinned)
        return POOL_READY;
    if (client->call.phase == 1) { /* resumed without a link: time was up */
        client->call.phase = 0;
        return pool->refusal[0] ? POOL_REFUSED : client->pin_full ? POOL_FULL : POOL_AWAY;
    }
    struct link *link = pool_warm(pool);
    client->pin_multi = for_multi;
    client->pin_full = !pin_take(pool, client, for_multi);
    if (link && !client->pin_full) {
        pool_hand(client, link);
        return POOL_READY;
    }
    if (!client->pin_full)
        pin_give_back(client); /* taken again when there is a link */
    if (pool->node->breaker_open)
        return POOL_AWAY;
    client->call.phase = 1;
    list_append(&pool->pin_waiters, &client->wait_entry);
    client->wait_pool = pool;
    client->waiting_since = now_ms(pool);
    client_wait(client, WAIT_PIN);
    pool_want_pinned(pool);
    return POOL_WAIT;
}

bool pool_pin_now(struct pool *pool, struct client *client, bool for_multi)
{
    struct link *link = pool_warm(pool);
    if (!link) {
        if (!pool->pin_dialing && may_dial(pool, LINK_PINNED)) {
            link_dial(pool, LINK_PINNED)->dialing = true;
            pool->pin_dialing++;
        }
        return false;
    }
    if (!pin_take(pool, client, for_multi))
        return false;
    pool_hand(client, link);
    return true;
}

/* A link for a client whose pinned one died, as soon as there is one. */
void pool_restore(struct client *client)
{
    list_append(&client->pool->restores, &client->restore_entry);
    client->pin_multi = client->pin_full = false;
    pool_want_pinned(client->pool);
}

void pool_forget_waiter(struct client *client)
{
    list_remove(&client->wait_entry);
    client->wait_pool = NULL;
}

void waiter_go(struct client *client)
{
    pool_forget_waiter(client);
    client_resume(client);
}

/* A warm link for this client, if there is one and it may have it. */
static bool pin_serve(struct pool *pool, struct client *client)
{
    struct link *link = pool_warm(pool);
    if (!link)
        return false;
    client->pin_full = !pin_take(pool, client, client->pin_multi);
    if (!client->pin_full)
        pool_hand(client, link);
    return !client->pin_full;
}

/* Hands warm links to those that wait: first to those that had one, then by age. One that may use
 * the last fifth can be behind one that may not. */
void pool_serve_pins(struct pool *pool)
{
    list_each_safe (had, &pool->restores) {
        struct client *client = CONTAINER(had, struct client, restore_entry);
        if (!pin_serve(pool, client))
            continue;
        list_remove(&client->restore_entry);
        subscriptions_restore(client);
        if (client->wait == WAIT_PIN)
            waiter_go(client);
    }
    list_each_safe (it, &pool->pin_waiters) {
        struct client *client = CONTAINER(it, struct client, wait_entry);
        if (!client->restoring && pin_serve(pool, client))
            waiter_go(client);
    }
}

void link_make_idle(struct link *link)
{
    struct pool *pool = link->pool;
    list_remove(&link->entry);
    link->owner = NULL;
    link->since = now_ms(pool);
    /* newest first: list_append puts before the head, so the head's successor is set by hand */
    link->entry.next = pool->idle.next;
    link->entry.prev = &pool->idle;
    pool->idle.next->prev = &link->entry;
    pool->idle.next = &link->entry;
    pool_serve_pins(pool);
}

void pool_unpin(struct client *client)
{
    struct link *link = client->pinned;
    client->pinned = NULL;
    if (!link)
        return;
    link_pin_end(link);
    if (link->state != LINK_READY)
        return;
    bool blocked = false;
    for (struct req *req = link->sent.head; req; req = req->next_link)
        blocked |= req->kind == REQ_BLOCK || req->kind == REQ_MONITOR || req->kind == REQ_SUBSCRIBE;
    if (blocked || link->monitor)
        link_close(link, REASON_OWNER_LEFT, NULL); /* how many replies still come is not known */
    else if (link->dirty || link->sent.head || link->subscribed)
        link_reset(link);
    else
        link_make_idle(link);
}

/* Whether that is so now, not when it was tried last. */
bool pins_full(struct client *client)
{
    if (client->pin_full && pin_take(client->wait_pool, client, client->pin_multi)) {
        pin_give_back(client);
        client->pin_full = false;
    }
    return client->pin_full;
}
