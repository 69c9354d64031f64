/* client_round.c - CLIENT LIST, KILL, UNBLOCK: questions about clients of all workers.
 *
 * They go round by mail: each worker visits its own clients, and the asker's answers when the last
 * letter is back.
 */
#include <stdio.h>
#include <stdlib.h>

#include "client_round.h"
#include "stages.h"

static const char *text_or_empty(const char *text)
{
    return text ? text : "";
}

/* The fields of Redis 7.0 in its order; what respgate cannot know is 0. */
void client_line(const struct client *client, struct buf *out)
{
    uint64_t now = loop_now(&client->worker->loop);
    char peer[64], own[64], flags[16] = "", *flag = flags;
    const struct snapshot *snapshot = client->worker->snapshot;
    const struct command *last = client->last_command < command_count(snapshot->commands)
                                     ? command_by_id(snapshot->commands, client->last_command)
                                     : NULL;
    address_text(&client->subject.address, peer);
    conn_name(client->conn.fd, true, own);
    if (client->pins & PIN_MONITOR)
        *flag++ = 'O';
    if (client_subscribed(client))
        *flag++ = 'P';
    if (client->transaction)
        *flag++ = 'x';
    if (client->pins & PIN_BLOCK)
        *flag++ = 'b';
    if (client->tracking)
        *flag++ = 't';
    if (client->no_evict)
        *flag++ = 'e';
    if (client->subject.address.is_unix)
        *flag++ = 'U';
    if (flag == flags)
        *flag++ = 'N';
    *flag = '\0';
    buf_printf(out,
               "id=%llu addr=%s laddr=%s fd=%d name=%s age=%llu idle=%llu flags=%s db=%d sub=%zu "
               "psub=%zu ssub=%zu multi=%lld qbuf=%zu qbuf-free=0 argv-mem=0 multi-mem=%zu rbs=0 "
               "rbp=0 obl=0 oll=0 omem=%zu tot-mem=%zu events=r cmd=%s user=%s redir=%lld resp=%u",
               (unsigned long long)client->id, peer, own, client->conn.fd,
               text_or_empty(client->name), (unsigned long long)(now - client->created) / 1000,
               (unsigned long long)(now - client->active) / 1000, flags, client->db,
               subscriptions_count(client, 0) + client->shares[0],
               subscriptions_count(client, 1) + client->shares[1], subscriptions_count(client, 2),
               client->transaction ? (long long)client->transaction->count : -1LL,
               client->parser ? parser_waiting(client->parser) : 0,
               client->transaction ? client->transaction->queued.bytes : 0, client->conn.out.bytes,
               sizeof(*client) + client->queued_bytes + client->conn.out.bytes,
               last ? last->name : "NULL", client->user_name ? client->user_name : "default",
               client->tracking ? (long long)client->redirect : -1LL, client->resp);
    if (client->lib_name || client->lib_ver)
        buf_printf(out, " lib-name=%s lib-ver=%s", text_or_empty(client->lib_name),
                   text_or_empty(client->lib_ver));
}

void round_free(struct round *round)
{
    free(round->user);
    free(round->ids);
    free(round->addr);
    free(round->laddr);
    free(round->want_user);
    buf_free(&round->out);
    free(round);
}

/* "the caller's own user's connections" (and all for admin = yes). A client that has not logged in
 * counts as the user default, as in Redis. */
static bool round_may_see(const struct round *round, const struct client *client)
{
    const char *user = client->user_name ? client->user_name : "default";
    return round->admin || strcmp(user, round->user) == 0;
}

static bool round_matches(const struct round *round, const struct client *client)
{
    char text[64];
    bool hit = round->id_count == 0;
    if (!round_may_see(round, client))
        return false;
    for (size_t i = 0; i < round->id_count; i++)
        hit |= round->ids[i] == client->id;
    if (!hit)
        return false;
    address_text(&client->subject.address, text);
    if (round->addr && strcmp(round->addr, text) != 0)
        return false;
    conn_name(client->conn.fd, true, text);
    if (round->laddr && strcmp(round->laddr, text) != 0)
        return false;
    if (round->want_user &&
        strcmp(round->want_user, client->user_name ? client->user_name : "default") != 0)
        return false;
    if (round->type) {
        int type = client_subscribed(client) ? TYPE_PUBSUB : TYPE_NORMAL;
        if (type != round->type)
            return false;
    }
    return !(round->skip_me && client->id == round->client_id);
}

/* The backend knows the client's pinned link by its own id; it is told on the shared link. */
bool client_unblock(struct client *client, bool error)
{
    char id[24];
    struct link *pinned = client->pinned;
    struct pool *pool = pinned ? pool_at(pinned->pool->node, client->pool->class) : NULL;
    if (pool)
        pool_want_shared(pool);
    struct link *shared = pool ? pool->shared : NULL;
    if (!(client->pins & PIN_BLOCK) || !pinned || !pinned->backend_id || !shared ||
        shared->state != LINK_READY)
        return false;
    struct buf buf = {0};
    snprintf(id, sizeof(id), "%llu", (unsigned long long)pinned->backend_id);
    struct str argv[] = {STR("CLIENT"), STR("UNBLOCK"), str_of(id),
                         error ? STR("ERROR") : STR("TIMEOUT")};
    write_command(&buf, ARRAY_LEN(argv), argv);
    link_ask(shared, span_copy(buf.ptr, buf.len), link_ignore, NULL);
    buf_free(&buf);
    return true;
}

static void round_visit(struct round *round, struct client *client)
{
    if (client->state == CLIENT_HANDSHAKE || !round_matches(round, client))
        return;
    switch (round->kind) {
    case ROUND_LIST:
        client_line(client, &round->out);
        buf_text(&round->out, "\n");
        return;
    case ROUND_KILL:
        if (round->old_kill && round->hits)
            return;
        round->hits++;
        if (client->id == round->client_id) {
            round->killed_asker = true; /* it gets its answer first */
            return;
        }
        log_notice(client_who(client), "killed by client %llu",
                   (unsigned long long)round->client_id);
        client_close(client, REASON_KILLED);
        return;
    case ROUND_UNBLOCK: round->hits += client_unblock(client, round->unblock_error); return;
    }
}

static void round_answer(struct round *round, struct client *client)
{
    switch (round->kind) {
    case ROUND_LIST: {
        struct buf buf = {0};
        write_verbatim(&buf, buf_view(&round->out), client->resp);
        client_reply(client, &buf);
        buf_free(&buf);
        break;
    }
    case ROUND_KILL:
        if (round->old_kill) {
            client_reply_text(client, round->hits ? "+OK\r\n" : "-ERR No such client\r\n");
            break;
        }
        __attribute__((fallthrough));
    case ROUND_UNBLOCK: {
        struct buf buf = {0};
        write_int(&buf, round->hits);
        client_reply(client, &buf);
        buf_free(&buf);
        break;
    }
    }
    call_end(client);
    client_resume(client);
    if (round->killed_asker)
        client_leave(client, REASON_KILLED);
}

static void round_arrive(struct loop *loop, struct mail *mail)
{
    struct worker *worker = CONTAINER(loop, struct worker, loop);
    struct round *round = CONTAINER(mail, struct round, mail);
    if (round->at < round->proxy->worker_count) {
        for (int state = 0; state < CLIENT_CLOSED; state++)
            list_each_safe (it, &worker->clients[state])
                round_visit(round, CONTAINER(it, struct client, entry));
        round->at++;
        unsigned next = round->at < round->proxy->worker_count ? round->at : round->asker;
        loop_post(&round->proxy->workers[next].loop, mail);
        return;
    }
    struct client *client = worker_client(worker, round->client_id);
    if (client && client->wait == WAIT_ANSWER)
        round_answer(round, client);
    round_free(round);
}

struct round *round_new(struct client *client, enum round_kind kind)
{
    struct round *round = xcalloc(1, sizeof(*round));
    round->mail.run = round_arrive;
    round->proxy = client->worker->proxy;
    round->asker = client->worker->index;
    round->client_id = client->id;
    round->kind = kind;
    round->admin = client->user_admin;
    round->user = xstrdup(client->user_name ? client->user_name : "default");
    return round;
}

enum step round_start(struct client *client, struct round *round)
{
    client_wait(client, WAIT_ANSWER);
    loop_post(&round->proxy->workers[0].loop, &round->mail);
    return PARKED;
}
