/* hub.c - the one subscription that many clients share: worker 0's link for each identity.
 *
 *   WANTED --SUBSCRIBE--> ASKED --confirmed--> SUBSCRIBED      link lost: all back to WANTED
 *
 * Messages go to each worker that has subscribers; the hub knows workers, not clients.
 */
#include <stdlib.h>
#include <uthash.h>

#include "house.h"
#include "pool_private.h"
#include "share.h"
#include "stages.h"

enum hub_state { HUB_WANTED, HUB_ASKED, HUB_SUBSCRIBED };

struct hub_channel {
    UT_hash_handle hh;
    enum hub_state state;
    uint64_t serial;  /* tells a channel left and joined again from the first one */
    uint64_t workers; /* bits: who wants it */
    size_t len;       /* of key */
    char key[];       /* kind, then the name */
};
struct hub {
    struct list entry; /* of worker->hubs */
    struct worker *worker;
    struct identity *identity;
    struct share *shares[WORKERS_MAX]; /* by worker; NULL: it has never asked */
    struct hub_channel *channels;
    struct link *link;  /* NULL: none */
    struct link *heir;  /* at a backend not yet moved to; NULL: none */
    struct spans frame; /* the message now passing */
    struct hub_channel *target;
    uint64_t serial;
};
/* What a confirmation on its way is about. */
struct hub_ask {
    uint64_t serial;
    bool counted; /* of an UNSUBSCRIBE: the subscription counts until the backend has ended it */
    size_t len;
    char key[];
};

static const char *const hub_verbs[SHARE_KINDS][2] = {
    [SHARE_CHANNEL] = {"UNSUBSCRIBE", "SUBSCRIBE"},
    [SHARE_PATTERN] = {"PUNSUBSCRIBE", "PSUBSCRIBE"},
};

static struct str channel_name(const struct hub_channel *channel)
{
    return (struct str){channel->key + 1, channel->len - 1};
}

static struct tally *hub_tally(const struct hub *hub, const struct hub_channel *channel)
{
    return hub->worker->proxy->shared_hubs[(uint8_t)channel->key[0]];
}

/* ---- to the workers ---- */

static void hub_tell(struct hub *hub, const struct hub_channel *channel, uint64_t workers,
                     enum share_event event, struct str text)
{
    for (unsigned i = 0; i < hub->worker->proxy->worker_count; i++) {
        if (!(workers >> i & 1))
            continue;
        struct share_mail *mail =
            share_mail_new(event, hub->shares[i], channel->key[0], channel_name(channel), text.len);
        memcpy(mail->bytes + mail->name_len, text.ptr, text.len);
        mail->mail.run = share_arrive;
        loop_post(&hub->worker->proxy->workers[i].loop, &mail->mail);
    }
}

static void hub_deliver(struct hub *hub)
{
    const struct hub_channel *channel = hub->target;
    struct buf bytes = {0};
    hub->target = NULL;
    if (channel) {
        uint64_t own = 1ull << hub->worker->index, others = channel->workers & ~own;
        if (others) {
            for (struct span_node *node = hub->frame.head; node; node = node->next)
                buf_add(&bytes, node->span.ptr, node->span.len);
            hub_tell(hub, channel, others, SHARE_MESSAGE, buf_view(&bytes));
            buf_free(&bytes);
        }
        if (channel->workers & own)
            share_deliver(hub->shares[hub->worker->index], channel->key[0], channel_name(channel),
                          &hub->frame);
    }
    spans_clear(&hub->frame);
}

/* ---- to the backend ---- */

static void channel_free(struct hub *hub, struct hub_channel *channel)
{
    if (channel->state == HUB_SUBSCRIBED)
        tally_remove(hub_tally(hub, channel), channel_name(channel));
    if (hub->target == channel)
        hub->target = NULL;
    HASH_DEL(hub->channels, channel);
    free(channel);
}

static void hub_confirmed(struct req *req, struct link *link, struct str reply)
{
    struct hub_ask *ask = req->context;
    struct hub *hub = link->hub;
    struct hub_channel *channel = NULL;
    if (ask->counted)
        tally_remove(link->pool->node->worker->proxy->shared_hubs[(uint8_t)ask->key[0]],
                     (struct str){ask->key + 1, ask->len - 1});
    if (hub && reply.ptr)
        HASH_FIND(hh, hub->channels, ask->key, ask->len, channel);
    if (!channel || channel->serial != ask->serial || channel->state != HUB_ASKED) {
        /* left meanwhile, or the link died: nobody waits for it */
    } else if (reply.ptr[0] == '-') {
        hub_tell(hub, channel, channel->workers, SHARE_REFUSED, reply);
        channel_free(hub, channel);
    } else {
        channel->state = HUB_SUBSCRIBED;
        (void)!tally_add(hub_tally(hub, channel), channel_name(channel), 0); /* no limit */
        hub_tell(hub, channel, channel->workers, SHARE_JOINED, STR(""));
    }
    free(ask);
}

static void hub_ask(struct hub *hub, struct hub_channel *channel, bool subscribe)
{
    struct hub_ask *ask = xcalloc(1, sizeof(*ask) + channel->len);
    struct str argv[] = {str_of(hub_verbs[(uint8_t)channel->key[0]][subscribe]),
                         channel_name(channel)};
    struct buf command = {0};
    ask->serial = channel->serial;
    ask->counted = !subscribe && channel->state == HUB_SUBSCRIBED;
    ask->len = channel->len;
    memcpy(ask->key, channel->key, channel->len);
    write_command(&command, ARRAY_LEN(argv), argv);
    link_ask(hub->link, span_copy(command.ptr, command.len), hub_confirmed, ask);
    buf_free(&command);
}

static void channel_want(struct hub *hub, struct hub_channel *channel)
{
    if (channel->state != HUB_WANTED || !hub->link || hub->link->state != LINK_READY)
        return;
    channel->state = HUB_ASKED;
    hub_ask(hub, channel, true);
}

/* ---- letters ---- */

static struct hub *hub_of(struct worker *worker, struct share *share)
{
    struct hub **place = share_hub(share);
    if (*place)
        return *place;
    const struct identity *theirs = share_identity(share);
    struct identity *identity =
        theirs->password ? identity_get(worker, theirs->username, str_of(theirs->password))
                         : identity_hold(worker->identity_none);
    list_each (it, &worker->hubs) {
        struct hub *hub = CONTAINER(it, struct hub, entry);
        if (hub->identity != identity)
            continue;
        identity_drop(identity);
        hub->shares[share_worker(share)->index] = share;
        return *place = hub;
    }
    struct hub *hub = xcalloc(1, sizeof(*hub));
    hub->worker = worker;
    hub->identity = identity;
    hub->shares[share_worker(share)->index] = share;
    list_append(&worker->hubs, &hub->entry);
    return *place = hub;
}

static void hub_join(struct hub *hub, const struct share_mail *mail, unsigned index)
{
    struct hub_channel *channel = NULL;
    char room[SHARE_NAME_MAX + 1];
    struct str key = share_key(mail->kind, share_mail_name(mail), room);
    HASH_FIND(hh, hub->channels, key.ptr, key.len, channel);
    if (!channel) {
        channel = xcalloc(1, sizeof(*channel) + key.len);
        channel->serial = ++hub->serial;
        channel->len = key.len;
        memcpy(channel->key, key.ptr, key.len);
        HASH_ADD_KEYPTR(hh, hub->channels, channel->key, channel->len, channel);
    }
    channel->workers |= 1ull << index;
    if (channel->state == HUB_SUBSCRIBED)
        hub_tell(hub, channel, 1ull << index, SHARE_JOINED, STR(""));
    else
        channel_want(hub, channel);
}

static void hub_leave(struct hub *hub, const struct share_mail *mail, unsigned index)
{
    struct hub_channel *channel = NULL;
    char room[SHARE_NAME_MAX + 1];
    struct str key = share_key(mail->kind, share_mail_name(mail), room);
    HASH_FIND(hh, hub->channels, key.ptr, key.len, channel);
    if (!channel)
        return;
    channel->workers &= ~(1ull << index);
    if (channel->workers)
        return;
    if (channel->state != HUB_WANTED && hub->link && hub->link->state == LINK_READY) {
        hub_ask(hub, channel, false);
        channel->state = HUB_WANTED; /* its count is the confirmation's to end */
    }
    channel_free(hub, channel);
}

void hub_arrive(struct loop *loop, struct mail *mail)
{
    struct worker *worker = CONTAINER(loop, struct worker, loop);
    struct share_mail *letter = CONTAINER(mail, struct share_mail, mail);
    if (!worker->drained) {
        struct hub *hub = hub_of(worker, letter->share);
        unsigned index = share_worker(letter->share)->index;
        if (letter->event == SHARE_JOIN)
            hub_join(hub, letter, index);
        else
            hub_leave(hub, letter, index);
        hub_tick(worker);
    }
    free(letter);
}

/* ---- the link ---- */

void hub_ready(struct link *link)
{
    struct hub_channel *channel, *next;
    HASH_ITER(hh, link->hub->channels, channel, next)
    channel_want(link->hub, channel);
}

/* What was on the link is lost: subscribers hear of it, and the channels are wanted anew. */
void hub_gone(struct link *link)
{
    struct hub *hub = link->hub;
    struct hub_channel *channel, *next;
    spans_clear(&hub->frame);
    hub->target = NULL;
    hub->link = NULL;
    HASH_ITER(hh, hub->channels, channel, next)
    {
        if (channel->state == HUB_SUBSCRIBED) {
            tally_remove(hub_tally(hub, channel), channel_name(channel));
            hub_tell(hub, channel, channel->workers, SHARE_LOST, STR(""));
        }
        channel->state = HUB_WANTED;
    }
    link->hub = NULL;
}

/* The backend does not accept the identity: those who wait get its own words. */
void hub_refused(struct link *link)
{
    struct hub *hub = link->hub;
    struct hub_channel *channel, *next;
    struct buf error = {0};
    write_error(&error, "%s", link->pool->refusal);
    HASH_ITER(hh, hub->channels, channel, next)
    {
        hub_tell(hub, channel, channel->workers, SHARE_REFUSED, buf_view(&error));
        channel_free(hub, channel);
    }
    buf_free(&error);
}

enum frame_target hub_frame(struct link *link, int kind, struct str name, bool confirmation)
{
    struct hub *hub = link->hub;
    char room[SHARE_NAME_MAX + 1];
    if (confirmation)
        return link->sent.head ? FRAME_REQ : FRAME_NONE;
    hub->target = NULL;
    if (name.ptr && name.len <= SHARE_NAME_MAX && kind >= 0 && kind < SHARE_KINDS) {
        struct str key = share_key(kind, name, room);
        HASH_FIND(hh, hub->channels, key.ptr, key.len, hub->target);
    }
    return FRAME_PUSH;
}

void hub_bytes(struct link *link, struct span span, bool last)
{
    spans_push(&link->hub->frame, span);
    if (last)
        hub_deliver(link->hub);
}

static void hub_dial(struct hub *hub)
{
    struct pool *pool = pool_get(hub->worker->node, hub->identity, 2, 0, 0);
    if (!may_dial(pool, LINK_PINNED))
        return;
    hub->link = link_dial(pool, LINK_PINNED);
    hub->link->hub = hub;
}

void hub_tick(struct worker *worker)
{
    list_each (it, &worker->hubs) {
        struct hub *hub = CONTAINER(it, struct hub, entry);
        if (hub->channels && !hub->link)
            hub_dial(hub);
        else if (!hub->channels && hub->link && hub->link->state == LINK_READY &&
                 !hub->link->sent.head)
            link_close(hub->link, REASON_SURPLUS, NULL);
    }
}

/* ---- to another backend (house.h) ---- */

void hub_heir_gone(struct link *link)
{
    if (link->hub_heir)
        link->hub_heir->heir = NULL;
    link->hub_heir = NULL;
}

static void heir_subscribe(struct hub *hub)
{
    struct hub_channel *channel, *next;
    struct str *names = xmalloc((HASH_COUNT(hub->channels) + 1) * sizeof(*names));
    for (int kind = 0; kind < SHARE_KINDS; kind++) {
        size_t count = 0;
        HASH_ITER(hh, hub->channels, channel, next)
        {
            if (channel->key[0] == kind && channel->state == HUB_SUBSCRIBED)
                names[count++] = channel_name(channel);
        }
        if (count)
            subscribe_on(hub->heir, kind, names, count);
    }
    hub->heir->subscribed = 1;
    free(names);
}

bool hubs_prepare(struct worker *worker, bool subscribe)
{
    struct side *side = worker->next;
    bool all = true;
    unsigned dialing = 0;
    list_each (it, &worker->hubs) {
        struct hub *hub = CONTAINER(it, struct hub, entry);
        struct pool *pool = pool_get(side->home, side_identity(side, hub->identity), 2, 0, 0);
        if (!hub->channels || pool->refusal[0] || pool->noauth)
            continue;
        if (!hub->heir && (hub->heir = side_link(pool, &dialing)))
            hub->heir->hub_heir = hub;
        if (hub->heir && subscribe && !hub->heir->subscribed)
            heir_subscribe(hub);
        all &= hub->heir && !hub->heir->sent.head;
    }
    return all;
}

/* What is confirmed at the old backend is so at the new one; the rest is asked there. */
static void hub_enter(struct hub *hub)
{
    struct hub_channel *channel, *next;
    struct link *old = hub->link;
    if (!hub->heir)
        return; /* the old link dies like any other */
    spans_clear(&hub->frame);
    hub->target = NULL;
    if (old)
        old->hub = NULL;
    hub->link = hub->heir;
    hub->heir = NULL;
    hub->link->hub_heir = NULL;
    hub->link->hub = hub;
    HASH_ITER(hh, hub->channels, channel, next)
    {
        if (channel->state != HUB_SUBSCRIBED)
            channel->state = HUB_WANTED;
        channel_want(hub, channel);
    }
}

void hubs_enter(struct worker *worker)
{
    list_each (it, &worker->hubs) {
        struct hub *hub = CONTAINER(it, struct hub, entry);
        struct identity *identity = identity_hold(side_identity(worker->next, hub->identity));
        identity_drop(hub->identity);
        hub->identity = identity;
        hub_enter(hub);
    }
}

void hubs_abandon(struct worker *worker)
{
    list_each (it, &worker->hubs) {
        struct hub *hub = CONTAINER(it, struct hub, entry);
        if (hub->heir)
            link_close(hub->heir, REASON_SURPLUS, NULL);
    }
}

void hubs_free(struct worker *worker)
{
    list_each_safe (it, &worker->hubs) {
        struct hub *hub = CONTAINER(it, struct hub, entry);
        struct hub_channel *channel, *next;
        HASH_ITER(hh, hub->channels, channel, next)
        {
            HASH_DEL(hub->channels, channel);
            free(channel);
        }
        spans_clear(&hub->frame);
        identity_drop(hub->identity);
        free(hub);
    }
}
