/* subscribe.c - SUBSCRIBE and kin, CLIENT TRACKING: replies that nobody asked for one by one.
 *
 * A subscribed client has a pinned link. Every frame on it is either a push (message, invalidate)
 * for the client, or a confirmation, of which one (UN)SUBSCRIBE gets as many as it has channels.
 * The set of subscriptions follows the confirmations, so it is what the backend says it is.
 */
#include <stdlib.h>
#include <uthash.h>

#include "house.h"
#include "stages.h"

struct subscription {
    UT_hash_handle hh;
    size_t len; /* of key */
    char key[]; /* kind, then the name */
};
struct subscriptions {
    struct subscription *rows;
    size_t counts[3];
};

/* Frame names and what they mean: kind of subscription, and its change. */
static const struct frame_row {
    struct str name;
    int kind;   /* index in counts */
    int change; /* 1 subscribed, -1 unsubscribed, 0 a push */
} frame_rows[] = {
    {{"message", 7}, 0, 0},      {{"subscribe", 9}, 0, 1},   {{"unsubscribe", 11}, 0, -1},
    {{"pmessage", 8}, 1, 0},     {{"psubscribe", 10}, 1, 1}, {{"punsubscribe", 12}, 1, -1},
    {{"smessage", 8}, 2, 0},     {{"ssubscribe", 10}, 2, 1}, {{"sunsubscribe", 12}, 2, -1},
    {{"invalidate", 10}, -1, 0},
};
static const char *const subscribe_names[] = {"SUBSCRIBE", "PSUBSCRIBE", "SSUBSCRIBE"};

size_t subscriptions_count(const struct client *client, int kind)
{
    const struct subscriptions *set = client->subscriptions;
    if (!set)
        return 0;
    return kind >= 0 ? set->counts[kind] : set->counts[0] + set->counts[1] + set->counts[2];
}

void subscriptions_free(struct client *client)
{
    struct subscription *row, *next;
    if (!client->subscriptions)
        return;
    HASH_ITER(hh, client->subscriptions->rows, row, next)
    {
        HASH_DEL(client->subscriptions->rows, row);
        free(row);
    }
    free(client->subscriptions);
    client->subscriptions = NULL;
}

static void subscription_change(struct client *client, int kind, struct str name, int change)
{
    struct subscription *row = NULL;
    char *key = xmalloc(name.len + 1);
    key[0] = (char)kind;
    memcpy(key + 1, name.ptr, name.len);
    if (!client->subscriptions)
        client->subscriptions = xcalloc(1, sizeof(*client->subscriptions));
    struct subscriptions *set = client->subscriptions;
    HASH_FIND(hh, set->rows, key, name.len + 1, row);
    if (change > 0 && !row) {
        row = xcalloc(1, sizeof(*row) + name.len + 1);
        row->len = name.len + 1;
        memcpy(row->key, key, row->len);
        HASH_ADD_KEYPTR(hh, set->rows, row->key, row->len, row);
        set->counts[kind]++;
    } else if (change < 0 && row) {
        HASH_DEL(set->rows, row);
        free(row);
        set->counts[kind]--;
    }
    free(key);
}

/* ---- the client's commands ---- */

/* -1 when the command is none of the six; *leaves tells UNSUBSCRIBE from SUBSCRIBE. */
static int subscribe_kind(const char *name, bool *leaves)
{
    for (size_t i = 0; i < ARRAY_LEN(frame_rows); i++) {
        if (frame_rows[i].change && strcmp(frame_rows[i].name.ptr, name) == 0) {
            *leaves = frame_rows[i].change < 0;
            return frame_rows[i].kind;
        }
    }
    return -1;
}

/* Those there are, and those asked for. */
static size_t subscriptions_coming(const struct client *client)
{
    size_t coming = subscriptions_count(client, -1);
    const struct req *req = client->pinned ? client->pinned->sent.head : NULL;
    for (; req; req = req->next_link)
        if (req->kind == REQ_SUBSCRIBE)
            coming += req->expect;
    return coming;
}

enum step subscribe_run(struct client *client, struct call *call)
{
    bool leaves = false;
    int kind = subscribe_kind(call->command->name, &leaves);
    uint64_t limit = client->worker->snapshot->config->proxy.max_subscriptions;
    size_t channels = call->request.argc - 1;
    if (!leaves && limit &&
        subscriptions_coming(client) + client_shares(client) + channels > limit) {
        client_reply_error(client, "ERR respgate: more than %llu subscriptions (max-subscriptions)",
                           (unsigned long long)limit);
        return ANSWERED;
    }
    enum step step =
        leaves ? share_unsubscribe(client, call, kind) : share_subscribe(client, call, kind);
    if (step != NEXT)
        return step;
    call->kind = REQ_SUBSCRIBE;
    if (!call->expect)                     /* share_unsubscribe may have answered for some */
        call->expect = (uint32_t)channels; /* 0: all of this kind, however many there are then */
    call->aux = (uint8_t)kind;
    if (!leaves)
        call->pin = PIN_SUBSCRIBE;
    return NEXT;
}

/* ---- frames ---- */

/* The bulk string at *at; NULL ptr for a null. False when it is not there whole. */
static bool frame_string(struct str frame, size_t *at, struct str *out)
{
    size_t i = *at;
    int64_t len = 0;
    if (i < frame.len && frame.ptr[i] == '_') {
        *out = (struct str){0};
        return true;
    }
    if (i >= frame.len || frame.ptr[i] != '$')
        return false;
    const char *end = memchr(frame.ptr + i, '\r', frame.len - i);
    if (!end ||
        !str_to_int((struct str){frame.ptr + i + 1, (size_t)(end - frame.ptr) - i - 1}, &len))
        return false;
    i = (size_t)(end - frame.ptr) + 2;
    *out = (struct str){0};
    *at = i;
    if (len < 0)
        return true;
    if (i + (size_t)len + 2 > frame.len)
        return false;
    *out = (struct str){frame.ptr + i, (size_t)len};
    *at = i + (size_t)len + 2;
    return true;
}

static const struct frame_row *frame_row(struct str frame, size_t *at)
{
    const char *end = memchr(frame.ptr, '\n', frame.len);
    struct str name;
    if (!end)
        return NULL;
    *at = (size_t)(end - frame.ptr) + 1;
    if (!frame_string(frame, at, &name) || !name.ptr)
        return NULL;
    for (size_t i = 0; i < ARRAY_LEN(frame_rows); i++)
        if (str_equal(frame_rows[i].name, name))
            return &frame_rows[i];
    return NULL;
}

size_t subscriptions_shown(const struct client *client)
{
    return subscriptions_count(client, -1) + client_shares(client);
}

/* The backend does not know of the subscriptions this client shares with others: its count would
 * tell a library that it is subscribed to nothing any more. */
static void confirmation_write(struct req *req, const struct frame_row *row, struct str name)
{
    struct client *client = req->client;
    struct buf text = {0};
    write_push(&text, 3, client->resp);
    write_bulk(&text, row->name);
    if (name.ptr)
        write_bulk(&text, name);
    else
        write_null(&text, client->resp);
    write_int(&text, (int64_t)subscriptions_shown(client));
    spans_push_copy(&req->reply, text.ptr, text.len);
    buf_free(&text);
}

enum frame_target subscribe_frame(struct link *link, const char *ptr, size_t len)
{
    struct req *req = link->sent.head;
    bool push = *ptr == '>';
    size_t at = 0;
    struct str frame = {ptr, len}, name;
    const struct frame_row *row = push || *ptr == '*' ? frame_row(frame, &at) : NULL;
    if (!row)
        return push ? FRAME_PUSH : req ? FRAME_REQ : FRAME_NONE;
    bool named = frame_string(frame, &at, &name);
    if (link->hub)
        return hub_frame(link, row->kind, named ? name : (struct str){0}, row->change != 0);
    if (row->change == 0)
        return FRAME_PUSH;
    if (!named)
        return push ? FRAME_PUSH : FRAME_NONE;
    if (link->owner && name.ptr) {
        subscription_change(link->owner, row->kind, name, row->change);
        link->subscribed = (uint32_t)subscriptions_count(link->owner, -1);
    }
    if (!req || req->kind != REQ_SUBSCRIBE)
        return FRAME_PUSH;
    if (likely(!link->owner || !req->client || !client_shares(link->owner)))
        return FRAME_REQ;
    confirmation_write(req, row, name);
    return FRAME_OWN;
}

bool subscribe_more(const struct link *link, struct req *req)
{
    if (link->frame_error)
        return false;
    if (req->expect)
        return --req->expect > 0;
    return req->client && subscriptions_count(req->client, req->aux) > 0;
}

/* The last confirmation of a command is in: whether the client is subscribed to anything still. */
void subscribe_done(struct client *client)
{
    if (subscriptions_count(client, -1) || !client->pinned)
        return;
    for (struct req *req = client->pinned->sent.head; req; req = req->next_link)
        if (req->kind == REQ_SUBSCRIBE)
            return;
    client->pins &= ~(uint32_t)PIN_SUBSCRIBE;
}

/* ---- a lost link: set up again, unseen by the client ---- */

static void restore_send(struct link *link, struct span command, uint32_t expect)
{
    struct req *req = req_new(link->pool->node->worker);
    req->kind = expect ? REQ_SUBSCRIBE : REQ_FORWARD;
    req->expect = expect;
    req->bytes = command;
    req->size = command.len;
    req->traits = TRAIT_NO_TIMEOUT;
    link_send(link, req); /* no client: the answers are read and dropped */
}

void subscribe_on(struct link *link, int kind, const struct str *names, size_t count)
{
    struct buf buf = {0};
    struct str *argv = xmalloc(sizeof(*argv) * (count + 1));
    argv[0] = str_of(subscribe_names[kind]);
    memcpy(argv + 1, names, count * sizeof(*argv));
    write_command(&buf, count + 1, argv);
    restore_send(link, span_copy(buf.ptr, buf.len), (uint32_t)count);
    buf_free(&buf);
    free(argv);
}

static void restore_kind(struct client *client, struct link *link, int kind)
{
    struct subscriptions *set = client->subscriptions;
    struct subscription *row, *next;
    if (!set || !set->counts[kind])
        return;
    struct str *names = xmalloc(sizeof(*names) * set->counts[kind]);
    size_t count = 0;
    HASH_ITER(hh, set->rows, row, next)
    {
        if (row->key[0] == kind)
            names[count++] = (struct str){row->key + 1, row->len - 1};
    }
    subscribe_on(link, kind, names, count);
    free(names);
}

void subscriptions_send(struct client *client, struct link *link)
{
    static const char no_touch[] = "*3\r\n$6\r\nCLIENT\r\n$8\r\nNO-TOUCH\r\n$2\r\nON\r\n";
    if (client->tracking_command.ptr)
        restore_send(link, span_copy(client->tracking_command.ptr, client->tracking_command.len),
                     0);
    if (client->pins & PIN_NO_TOUCH)
        restore_send(link, span_copy(no_touch, sizeof(no_touch) - 1), 0);
    for (int kind = 0; kind < 3; kind++)
        restore_kind(client, link, kind);
}

void subscriptions_restore(struct client *client)
{
    client->restoring = false;
    if (!client->pinned)
        return;
    subscriptions_send(client, client->pinned);
    log_info(client_who(client), "subscriptions and tracking set up again on a new link");
}

/* ---- CLIENT TRACKING ---- */

void tracking_done(struct client *client, const struct link *link, const struct req *req)
{
    bool on = req->expect == TRACKING_ON;
    if (link->frame_error && on && !client->tracking)
        client->pins &= ~(uint32_t)PIN_TRACKING;
    if (link->frame_error)
        return;
    client->tracking = on;
    if (!on) {
        client->pins &= ~(uint32_t)PIN_TRACKING;
        span_drop(&client->tracking_command);
    }
    if (client->pinned)
        client->pinned->dirty = true;
}
