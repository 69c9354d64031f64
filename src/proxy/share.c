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
enum share_state { SHARE_IS_JOINING, SHARE_IS_JOINED, SHARE_IS_REFUSED };

struct share_channel {
    UT_hash_handle hh;
    enum share_state state;
    struct list members;
    uint64_t since; /* loop ms of its state */
    char *error;    /* the backend's, with CRLF, when REFUSED */
    size_t len;     /* of key */
    char key[];     /* kind, then the name */
};
struct share_member {
    struct list by_channel, by_client;
    struct client *client;
    struct share *share;
    struct share_channel *channel;
};
/* Lives as long as its worker: there are no more of them than identities that logged in. */
struct share {
    struct list entry; /* of worker->shares */
    struct worker *worker;
    struct identity *identity;
    struct share_channel *channels;
    struct list waiters; /* clients, by wait_entry */
    struct hub *hub;     /* worker 0's */
};

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

static struct str channel_name(const struct share_channel *channel)
{
    return (struct str){channel->key + 1, channel->len - 1};
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
        share_mail_new(event, share, channel->key[0], channel_name(channel), 0);
    mail->mail.run = hub_arrive;
    loop_post(&share->worker->proxy->workers[0].loop, &mail->mail);
}

/* ---- channels ---- */

static struct share *share_of(struct client *client)
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

static struct share_channel *channel_find(const struct share *share, int kind, struct str name)
{
    struct share_channel *channel = NULL;
    char room[SHARE_NAME_MAX + 1];
    if (name.len > SHARE_NAME_MAX)
        return NULL;
    struct str key = share_key(kind, name, room);
    HASH_FIND(hh, share->channels, key.ptr, key.len, channel);
    return channel;
}

static struct share_channel *channel_join(struct share *share, int kind, struct str name)
{
    struct share_channel *channel = channel_find(share, kind, name);
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

static void member_add(struct client *client, struct share *share, struct share_channel *channel)
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
    (void)!tally_add(share_tally(client, channel), channel_name(channel), 0); /* no limit */
}

static void member_remove(struct share_member *member)
{
    struct share_channel *channel = member->channel;
    member->client->shares[(uint8_t)channel->key[0]]--;
    tally_remove(share_tally(member->client, channel), channel_name(channel));
    list_remove(&member->by_channel);
    list_remove(&member->by_client);
    if (list_empty(&channel->members))
        channel_leave(member->share, channel);
    free(member);
}

void shares_leave(struct client *client)
{
    while (!list_empty(&client->memberships))
        member_remove(CONTAINER(client->memberships.next, struct share_member, by_client));
}

/* ---- SUBSCRIBE, PSUBSCRIBE ---- */

/* Whether all names of the command are of [backend] share-channels. One that is not sends them
 * all to a link of the client's own: a command's confirmations come from one place. */
static bool all_shared(const struct client *client, const struct call *call)
{
    const struct text_list *list = &client->worker->snapshot->config->backend.share_channels;
    if (list->count == 0)
        return false;
    for (size_t i = 1; i < call->request.argc; i++) {
        struct str name = call->request.argv[i];
        bool hit = false;
        for (size_t j = 0; j < list->count && !hit; j++)
            hit = glob_match(list->items[j], name);
        if (!hit || name.len > SHARE_NAME_MAX)
            return false;
    }
    return true;
}

static void confirm(struct client *client, int kind, struct str name, bool joined)
{
    static const char *const words[SHARE_KINDS][2] = {
        [SHARE_CHANNEL] = {"unsubscribe", "subscribe"},
        [SHARE_PATTERN] = {"punsubscribe", "psubscribe"},
    };
    struct buf reply = {0};
    write_push(&reply, 3, client->resp);
    write_bulk(&reply, str_of(words[kind][joined]));
    if (name.ptr)
        write_bulk(&reply, name);
    else
        write_null(&reply, client->resp);
    write_int(&reply, (int64_t)subscriptions_shown(client));
    client_reply(client, &reply);
    buf_free(&reply);
}

/* Waits until the hub has an answer for each name, or for park-timeout. NEXT: all are joined. */
static enum step await_joined(struct client *client, struct call *call, struct share *share,
                              int kind)
{
    const struct config *config = client->worker->snapshot->config;
    uint64_t now = loop_now(&client->worker->loop);
    bool waits = false;
    list_remove(&client->wait_entry);
    for (size_t i = 1; i < call->request.argc; i++) {
        struct share_channel *channel = channel_join(share, kind, call->request.argv[i]);
        if (channel->state == SHARE_IS_REFUSED) {
            client_reply_text(client, channel->error);
            return ANSWERED;
        }
        waits |= channel->state == SHARE_IS_JOINING;
    }
    if (!waits)
        return NEXT;
    if (call->phase == 0) {
        call->phase = 1;
        client->waiting_since = now;
    } else if (now >= client->waiting_since + config->backend.park_timeout) {
        client_reply_away(client);
        return ANSWERED;
    }
    list_append(&share->waiters, &client->wait_entry);
    client_wait(client, WAIT_ANSWER);
    return PARKED;
}

enum step share_subscribe(struct client *client, struct call *call, int kind)
{
    if (kind >= SHARE_KINDS || !all_shared(client, call))
        return NEXT;
    if (client->queue.head) { /* a message must not come before the replies to what was earlier */
        client_wait(client, WAIT_DRAIN);
        return PARKED;
    }
    struct share *share = share_of(client);
    enum step step = await_joined(client, call, share, kind);
    if (step != NEXT)
        return step;
    for (size_t i = 1; i < call->request.argc; i++) {
        struct str name = call->request.argv[i];
        member_add(client, share, channel_find(share, kind, name));
        confirm(client, kind, name, true);
    }
    return ANSWERED;
}

/* ---- UNSUBSCRIBE, PUNSUBSCRIBE ---- */

static struct share_member *member_named(const struct client *client, int kind, struct str name)
{
    list_each (it, &client->memberships) {
        struct share_member *member = CONTAINER(it, struct share_member, by_client);
        if (member->channel->key[0] == kind && str_equal(channel_name(member->channel), name))
            return member;
    }
    return NULL;
}

static void leave_all(struct client *client, int kind)
{
    list_each_safe (it, &client->memberships) {
        struct share_member *member = CONTAINER(it, struct share_member, by_client);
        if (member->channel->key[0] != kind)
            continue;
        struct str name = channel_name(member->channel);
        char *copy = xmalloc(name.len);
        memcpy(copy, name.ptr, name.len);
        member_remove(member);
        confirm(client, kind, (struct str){copy, name.len}, false);
        free(copy);
    }
}

/* Names of subscriptions at the client's own link go on to it, without those answered here. */
static enum step leave_named(struct client *client, struct call *call, int kind)
{
    const struct request *request = &call->request;
    bool own_link = client->pins & PIN_SUBSCRIBE;
    struct str *rest = xmalloc(request->argc * sizeof(*rest));
    size_t count = 0;
    rest[count++] = request->argv[0];
    for (size_t i = 1; i < request->argc; i++) {
        struct share_member *member = member_named(client, kind, request->argv[i]);
        if (!member && own_link) {
            rest[count++] = request->argv[i];
            continue;
        }
        if (member)
            member_remove(member);
        confirm(client, kind, request->argv[i], false);
    }
    bool all_here = count == 1;
    if (!all_here && count < request->argc) {
        struct buf command = {0};
        write_command(&command, count, rest);
        span_drop(&call->request.bytes);
        call->request.bytes = span_copy(command.ptr, command.len);
        buf_free(&command);
    }
    call->expect = (uint32_t)count - 1;
    free(rest);
    return all_here ? ANSWERED : NEXT;
}

enum step share_unsubscribe(struct client *client, struct call *call, int kind)
{
    if (kind >= SHARE_KINDS || !client_shares(client))
        return NEXT;
    if (client->queue.head) {
        client_wait(client, WAIT_DRAIN);
        return PARKED;
    }
    if (call->request.argc > 1)
        return leave_named(client, call, kind);
    bool any = client->shares[kind] > 0;
    leave_all(client, kind);
    if (subscriptions_count(client, kind))
        return NEXT;
    if (!any)
        confirm(client, kind, (struct str){0}, false);
    return ANSWERED;
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
    struct share_channel *channel = channel_find(share, kind, name);
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
        channel_find(letter->share, letter->kind, share_mail_name(letter));
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

/* ---- numbers ---- */

/* What the backend's number of a channel's subscribers lacks: those here, less the subscriptions
 * they share. */
static int64_t missing_of(struct proxy *proxy, struct str channel)
{
    return tally_count(proxy->shared_members[SHARE_CHANNEL], channel) -
           tally_count(proxy->shared_hubs[SHARE_CHANNEL], channel);
}

struct published {
    struct str channel;
    int64_t hits;
};

static void published_visit(void *context, struct str pattern, int64_t count)
{
    struct published *published = context;
    if (glob_match(pattern, published->channel))
        published->hits += count;
}

static int64_t missing_of_publish(struct proxy *proxy, struct str channel)
{
    struct published members = {channel, 0}, hubs = {channel, 0};
    tally_each(proxy->shared_members[SHARE_PATTERN], published_visit, &members);
    tally_each(proxy->shared_hubs[SHARE_PATTERN], published_visit, &hubs);
    return missing_of(proxy, channel) + members.hits - hubs.hits;
}

static bool counts_shared(const struct client *client)
{
    return client->worker->snapshot->config->backend.share_channels.count > 0;
}

enum step share_publish(struct client *client, struct call *call)
{
    int64_t missing = counts_shared(client)
                          ? missing_of_publish(client->worker->proxy, call->request.argv[1])
                          : 0;
    if (missing) {
        call->kind = REQ_COUNT;
        call->expect = (uint32_t)(int32_t)missing;
    }
    return NEXT;
}

enum step share_numsub(struct client *client, struct call *call)
{
    if (counts_shared(client))
        call->kind = REQ_COUNT;
    return NEXT;
}

/* PUBLISH :N, or PUBSUB NUMSUB: the numbers of the backend, plus what they lack. */
static void count_correct(struct proxy *proxy, const struct tree *tree, int32_t missing,
                          struct buf *out)
{
    if (tree->type == TREE_INT) {
        write_int(out, tree->integer + missing);
        return;
    }
    write_array(out, tree->count);
    for (size_t i = 0; i + 1 < tree->count; i += 2) {
        write_bulk(out, tree->items[i].text);
        write_int(out, tree->items[i + 1].integer + missing_of(proxy, tree->items[i].text));
    }
}

void share_counted(struct client *client, struct req *req)
{
    struct arena *arena = arena_new();
    struct buf text = {0}, out = {0};
    for (struct span_node *node = req->reply.head; node; node = node->next)
        buf_add(&text, node->span.ptr, node->span.len);
    const struct tree *tree = tree_parse(arena, text.ptr, text.len);
    if (tree && (tree->type == TREE_INT || (tree->type == TREE_ARRAY && tree->count % 2 == 0))) {
        count_correct(client->worker->proxy, tree, (int32_t)req->expect, &out);
        spans_clear(&req->reply);
        spans_push_copy(&req->reply, out.ptr, out.len);
    }
    buf_free(&text);
    buf_free(&out);
    arena_free(arena);
}
