/* share_command.c - SUBSCRIBE and kin for channels whose subscribers share a subscription, and the
 * numbers that PUBLISH and PUBSUB NUMSUB tell of them. */
#include <stdlib.h>

#include "share.h"
#include "stages.h"

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
        struct share_channel *channel = share_channel_join(share, kind, call->request.argv[i]);
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
        share_member_add(client, share, share_channel_find(share, kind, name));
        confirm(client, kind, name, true);
    }
    return ANSWERED;
}

/* ---- UNSUBSCRIBE, PUNSUBSCRIBE ---- */

static struct share_member *member_named(const struct client *client, int kind, struct str name)
{
    list_each (it, &client->memberships) {
        struct share_member *member = CONTAINER(it, struct share_member, by_client);
        if (member->channel->key[0] == kind && str_equal(share_channel_name(member->channel), name))
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
        struct str name = share_channel_name(member->channel);
        char *copy = xmalloc(name.len);
        memcpy(copy, name.ptr, name.len);
        share_member_remove(member);
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
            share_member_remove(member);
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

/* A subscription that is just ending may be counted by us still, and by the backend no more. */
static int64_t at_least_none(int64_t count)
{
    return count > 0 ? count : 0;
}

/* PUBLISH :N, or PUBSUB NUMSUB: the numbers of the backend, plus what they lack. */
static void count_correct(struct proxy *proxy, const struct tree *tree, int32_t missing,
                          struct buf *out)
{
    if (tree->type == TREE_INT) {
        write_int(out, at_least_none(tree->integer + missing));
        return;
    }
    write_array(out, tree->count);
    for (size_t i = 0; i + 1 < tree->count; i += 2) {
        write_bulk(out, tree->items[i].text);
        write_int(out, at_least_none(tree->items[i + 1].integer +
                                     missing_of(proxy, tree->items[i].text)));
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
