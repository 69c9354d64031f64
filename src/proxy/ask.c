/*
 * ask.c - respgate's own question before a client's request: how many elements its keys have.
 *
 *   judge --JUDGED_ASK--> ask_node --LLEN k, SCARD k ...--> the client's lane
 *     ^                                                        |
 *     +---- client_resume <---- ask_answered, ask_lost <-------+
 *
 * The questions take their place in the client's queue like any request, muted, so that order,
 * timeouts, dead links and clients that leave are dealt with where they are for all requests. They
 * go to the lane of the client, behind its earlier requests and with its identity and db. The call
 * waits, and is then judged anew, by the rules of that moment.
 */
#include "stages.h"

enum { ANSWER_MAX = 64 }; /* an integer; of an error the first word */

/* Every question and the asking itself; the last to end lets the call go on. */
static void ask_ended(struct client *client)
{
    struct call *call = &client->call;
    ASSERT(call->asks > 0);
    if (--call->asks > 0)
        return;
    if (call->asks_failed)
        call->elements = -1;
    client_resume(client);
}

void ask_bytes(struct req *req, struct span span)
{
    if (req->reply.bytes < ANSWER_MAX)
        spans_push(&req->reply, span_hold(span));
}

void ask_answered(struct client *client, const struct req *req)
{
    static const char wrong_type[] = "-WRONGTYPE ";
    struct call *call = &client->call;
    char text[ANSWER_MAX];
    size_t len = 0;
    int64_t number = 0;
    for (struct span_node *node = req->reply.head; node && len < sizeof(text); node = node->next) {
        size_t part = node->span.len < sizeof(text) - len ? node->span.len : sizeof(text) - len;
        memcpy(text + len, node->span.ptr, part);
        len += part;
    }
    bool known = len > 3 && text[0] == ':' &&
                 str_to_int((struct str){text + 1, len - 3}, &number) && number >= 0;
    if (!known &&
        (len < sizeof(wrong_type) - 1 || memcmp(text, wrong_type, sizeof(wrong_type) - 1)))
        call->asks_failed = true;
    if (known && __builtin_add_overflow(call->elements, number, &call->elements))
        call->asks_failed = true;
    ask_ended(client);
}

void ask_lost(struct client *client)
{
    client->call.asks_failed = client->call.asks_lost = true;
    ask_ended(client);
}

static void ask_send(struct client *client, struct link *pinned, const struct str argv[2])
{
    struct worker *worker = client->worker;
    struct req *req = req_new(worker);
    struct buf bytes = {0};
    const struct command *command;
    write_command(&bytes, 2, argv);
    if (command_lookup(worker->snapshot->commands, argv, 2, &command) == LOOKUP_FOUND)
        req->command = command->id;
    req->kind = REQ_ASK;
    req->mute = true;
    req->traits = TRAIT_READ;
    req->bytes = span_copy(bytes.ptr, bytes.len);
    req->size = bytes.len;
    buf_free(&bytes);
    count(worker, STAT_ASKS);
    client->call.asks++;
    client_enqueue(client, req);
    req->slot = worker->clustered ? (int16_t)key_slot(argv[1]) : SLOT_NONE;
    struct pool *pool = cluster_pool(worker, client->pool->class, req->slot);
    if (pinned && pool && pinned->pool->node != pool->node)
        pinned = NULL; /* that node does not have the key: as away_from_pin() in cluster.c */
    client->lane = pinned ? (const void *)pinned : pool;
    if (pinned) {
        link_send(pinned, req);
    } else if (!pool || !pool_send(pool, req)) {
        client_answer_req(client, req, "");
        req_free(worker, req);
    }
}

void ask_node(struct client *client, const struct question *question)
{
    struct call *call = &client->call;
    struct link *pinned = client->pins & ~(uint32_t)PIN_BLOCK ? client->pinned : NULL;
    const void *lane = pinned ? (const void *)pinned : client->pool;
    if (client->queue.head && client->lane && (client->lane != lane || client->worker->clustered)) {
        client_wait(client, WAIT_DRAIN); /* then it is judged, and asked for, again */
        return;
    }
    struct str argv[2];
    client_wait(client, WAIT_ANSWER);
    call->asked = ELEMENTS_ASKED;
    call->asks = 1;
    for (size_t at = 0; client->state != CLIENT_CLOSED &&
                        policy_ask(client->worker->snapshot->policy, question, &at, argv);)
        ask_send(client, pinned, argv);
    if (client->state != CLIENT_CLOSED)
        ask_ended(client);
}
