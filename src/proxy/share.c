/* share.c - [backend] share-channels: many subscribers of a channel, one subscription at the
 * backend. This is a worker's side: its clients, and the letters to and from the hub (hub.c).
 *
 *   JOINING --the backend confirms--> JOINED       members: the clients that hear it
 *
 * A client is answered when the backend has confirmed, so that it misses nothing published after
 * its own SUBSCRIBE was answered.
 */
#include <stdlib.h>
#include <uthash.h>

#include "house.h"
#include "share.h"
#include "stages.h"

enum { UNWANTED_MS = 1000 };

struct worker *share_worker(const struct share *share)
{
    return share->worker;
}

const struct identity *share_identity(const struct share *share)
{
    return share->identity;
}

struct hub **share_hub(struct share *share)
{
    return &share->hub;
}

static struct tally *share_tally(const struct client *client, const struct share_channel *channel)
{
    return client->worker->proxy->shared_members[(uint8_t)channel->key[0]];
}

/* ---- letters ---- */

struct share_mail *share_mail_new(enum share_event event, struct share *share, int kind,
                                  struct str name, size_t len)
{
    struct share_mail *mail = xcalloc(1, sizeof(*mail) + name.len + len);
    mail->event = event;
    mail->share = share;
    mail->kind = (uint8_t)kind;
    mail->name_len = name.len;
    mail->len = len;
    memcpy(mail->bytes, name.ptr, name.len);
    return mail;
}

static void share_ask(struct share *share, enum share_event event,
                      const struct share_channel *channel)
{
    struct share_mail *mail =
        share_mail_new(event, share, channel->key[0], share_channel_name(channel), 0);
    mail->mail.run = hub_arrive;
    loop_post(&share->worker->proxy->workers[0].loop, &mail->mail);
}

/* ---- channels ---- */

struct share *share_of(struct client *client)
{
    struct worker *worker = client->worker;
    list_each (it, &worker->shares) {
        struct share *share = CONTAINER(it, struct share, entry);
        if (share->identity == client->identity)
            return share;
    }
    struct share *share = xcalloc(1, sizeof(*share));
    share->worker = worker;
    share->identity = identity_hold(client->identity);
    list_init(&share->waiters);
    list_append(&worker->shares, &share->entry);
    return share;
}

struct share_channel *share_channel_find(const struct share *share, int kind, struct str name)
{
    struct share_channel *channel = NULL;
    char room[SHARE_NAME_MAX + 1];
    if (name.len > SHARE_NAME_MAX)
        return NULL;
    struct str key = share_key(kind, name, room);
    HASH_FIND(hh, share->channels, key.ptr, key.len, channel);
    return channel;
}

struct share_channel *share_channel_join(struct share *share, int kind, struct str name)
{
    struct share_channel *channel = share_channel_find(share, kind, name);
    if (channel)
        return channel;
    channel = xcalloc(1, sizeof(*channel) + name.len + 1);
    channel->len = name.len + 1;
    channel->key[0] = (char)kind;
    memcpy(channel->key + 1, name.ptr, name.len);
    list_init(&channel->members);
    HASH_ADD_KEYPTR(hh, share->channels, channel->key, channel->len, channel);
    share_ask(share, SHARE_JOIN, channel);
    return channel;
}

static void channel_free(struct share *share, struct share_channel *channel)
{
    HASH_DEL(share->channels, channel);
    free(channel->error);
    free(channel);
}

/* Nobody of this worker hears it any more. */
static void channel_leave(struct share *share, struct share_channel *channel)
{
    if (channel->state != SHARE_IS_REFUSED)
        share_ask(share, SHARE_LEAVE, channel);
    channel_free(share, channel);
}

/* ---- members ---- */

static struct share_member *member_find(const struct client *client,
                                        const struct share_channel *channel)
{
    list_each (it, &client->memberships) {
        struct share_member *member = CONTAINER(it, struct share_member, by_client);
        if (member->channel == channel)
            return member;
    }
    return NULL;
}

void share_member_add(struct client *client, struct share *share, struct share_channel *channel)
{
    if (member_find(client, channel))
        return;
    struct share_member *member = xcalloc(1, sizeof(*member));
    member->client = client;
    member->share = share;
    member->channel = channel;
    list_append(&channel->members, &member->by_channel);
    list_append(&client->memberships, &member->by_client);
    client->shares[(uint8_t)channel->key[0]]++;
    (void)!tally_add(share_tally(client, channel), share_channel_name(channel), 0); /* no limit */
}

void share_member_remove(struct share_member *member)
{
    struct share_channel *channel = member->channel;
    member->client->shares[(uint8_t)channel->key[0]]--;
    tally_remove(share_tally(member->client, channel), share_channel_name(channel));
    list_remove(&member->by_channel);
    list_remove(&member->by_client);
    if (list_empty(&channel->members))
        channel_leave(member->share, channel);
    free(member);
}

void shares_leave(struct client *client)
{
    while (!list_empty(&client->memberships))
        share_member_remove(CONTAINER(client->memberships.next, struct share_member, by_client));
}

/* ---- from the hub ---- */

static void waiters_go(struct share *share)
{
    while (!list_empty(&share->waiters)) {
        struct client *client = CONTAINER(share->waiters.next, struct client, wait_entry);
        list_remove(&client->wait_entry);
        client_resume(client);
    }
}

static void member_push(struct client *client, const struct spans *frame)
{
    bool first = client->resp == 3; /* the same frame but for its first byte */
    if (first)
        client_push(client, (struct span){NULL, ">", 1});
    for (struct span_node *node = frame->head; node && client->state != CLIENT_CLOSED;
         node = node->next) {
        struct span span = node->span;
        if (first)
            span = (struct span){span.chunk, span.ptr + 1, span.len - 1};
        first = false;
        client_push(client, span_hold(span));
    }
}

void share_deliver(struct share *share, int kind, struct str name, const struct spans *frame)
{
    struct share_channel *channel = share_channel_find(share, kind, name);
    if (!channel)
        return;
    /* One that does not read may be closed on the way; the last one takes the channel with it. */
    struct list *next = channel->members.next;
    for (bool last = next == &channel->members; !last;) {
        struct share_member *member = CONTAINER(next, struct share_member, by_channel);
        next = next->next;
        last = next == &channel->members;
        member_push(member->client, frame);
    }
}

/* The link died: a RESP2 client is closed, as Redis would; one of RESP3 is subscribed again. */
static void channel_lost(struct share_channel *channel)
{
    list_each_safe (it, &channel->members) {
        struct client *client = CONTAINER(it, struct share_member, by_channel)->client;
        if (client->resp == 2)
            client_leave(client, REASON_SUBSCRIPTION_LOST);
    }
}

static void channel_told(struct share *share, struct share_channel *channel,
                         const struct share_mail *mail)
{
    const char *text = mail->bytes + mail->name_len;
    switch (mail->event) {
    case SHARE_JOIN:
    case SHARE_LEAVE: return;
    case SHARE_JOINED: channel->state = SHARE_IS_JOINED; break;
    case SHARE_REFUSED:
        channel->state = SHARE_IS_REFUSED;
        free(channel->error);
        channel->error = xcalloc(1, mail->len + 1);
        memcpy(channel->error, text, mail->len);
        break;
    case SHARE_LOST: channel_lost(channel); return;
    case SHARE_MESSAGE: {
        struct spans frame = {0};
        spans_push_copy(&frame, text, mail->len);
        share_deliver(share, mail->kind, share_mail_name(mail), &frame);
        spans_clear(&frame);
        return;
    }
    }
    channel->since = loop_now(&share->worker->loop);
    waiters_go(share);
}

void share_arrive(struct loop *loop, struct mail *mail)
{
    struct share_mail *letter = CONTAINER(mail, struct share_mail, mail);
    struct share_channel *channel =
        share_channel_find(letter->share, letter->kind, share_mail_name(letter));
    (void)loop;
    if (channel)
        channel_told(letter->share, channel, letter);
    free(letter);
}

/* ---- time ---- */

void shares_tick(struct worker *worker)
{
    uint64_t now = loop_now(&worker->loop);
    list_each (it, &worker->shares) {
        struct share *share = CONTAINER(it, struct share, entry);
        struct share_channel *channel, *next;
        waiters_go(share); /* those whose time is up say so, the others wait on */
        HASH_ITER(hh, share->channels, channel, next)
        {
            if (list_empty(&channel->members) && channel->state != SHARE_IS_JOINING &&
                now > channel->since + UNWANTED_MS)
                channel_leave(share, channel); /* who wanted it has gone, or was told */
        }
    }
}

/* Those of the configuration's identity are of the new one's from now on. */
void shares_enter(struct worker *worker)
{
    list_each (it, &worker->shares) {
        struct share *share = CONTAINER(it, struct share, entry);
        struct identity *identity = side_identity(worker->next, share->identity);
        identity_hold(identity);
        identity_drop(share->identity);
        share->identity = identity;
    }
}

void shares_free(struct worker *worker)
{
    list_each_safe (it, &worker->shares) {
        struct share *share = CONTAINER(it, struct share, entry);
        struct share_channel *channel, *next;
        HASH_ITER(hh, share->channels, channel, next)
        channel_free(share, channel);
        identity_drop(share->identity);
        free(share);
    }
}
