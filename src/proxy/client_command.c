/* client_command.c - CLIENT: what Redis tells of its connections, respgate tells of its own.
 *
 * One row a subcommand; those without a row are forwarded. Questions about other clients (LIST,
 * KILL, UNBLOCK) go round all workers by mail: each visits its own clients, the asker's worker
 * answers when the last letter is back.
 */
#include <stdio.h>
#include <stdlib.h>

#include "respgate/proxy.h"

/* ---- lines and names ---- */

/* Redis' rule (networking.c, clientSetName): no spaces, newlines or special characters. */
bool client_name_valid(struct str name)
{
    for (size_t i = 0; i < name.len; i++)
        if (name.ptr[i] < '!' || name.ptr[i] > '~')
            return false;
    return true;
}

static char *str_keep(struct str text)
{
    if (!text.len)
        return NULL;
    char *copy = xmalloc(text.len + 1);
    memcpy(copy, text.ptr, text.len);
    copy[text.len] = '\0';
    return copy;
}

void client_set_name(struct client *client, struct str name)
{
    free(client->name);
    client->name = str_keep(name);
}

static const char *text_or_empty(const char *text)
{
    return text ? text : "";
}

/* The fields of Redis 7.0 in its order; what respgate cannot know is 0. */
static void client_line(const struct client *client, struct buf *out)
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
    if (client->pins & PIN_SUBSCRIBE)
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
               subscriptions_count(client, 0), subscriptions_count(client, 1),
               subscriptions_count(client, 2),
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

/* ---- questions that go round ---- */

enum { TRACKING_ARGS_MAX = 64 };
enum round_kind { ROUND_LIST, ROUND_KILL, ROUND_UNBLOCK };

struct round {
    struct mail mail;
    struct proxy *proxy;
    unsigned asker, at; /* workers */
    uint64_t client_id; /* who asks */
    enum round_kind kind;
    bool admin; /* sees all users' clients */
    char *user; /* else: only this one's */
    /* filters; unset: NULL or 0 */
    uint64_t *ids;
    size_t id_count;
    char *addr, *laddr, *want_user;
    int type; /* 0 any, else one of enum client_type */
    bool skip_me, old_kill, unblock_error;
    int64_t hits;
    bool killed_asker;
    struct buf out;
};
enum client_type { TYPE_ANY, TYPE_NORMAL, TYPE_PUBSUB, TYPE_OTHER };

static void round_free(struct round *round)
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
        int type = (client->pins & PIN_SUBSCRIBE) ? TYPE_PUBSUB : TYPE_NORMAL;
        if (type != round->type)
            return false;
    }
    return !(round->skip_me && client->id == round->client_id);
}

static void unblock_done(struct req *req, struct link *link, struct str reply)
{
    (void)req;
    (void)link;
    (void)reply; /* the blocked client's own reply is what tells */
}

/* The backend knows the client's pinned link by its own id; it is told on the shared link. */
bool client_unblock(struct client *client, bool error)
{
    char id[24];
    struct link *shared = client->pool->shared, *pinned = client->pinned;
    if (!(client->pins & PIN_BLOCK) || !pinned || !pinned->backend_id || !shared ||
        shared->state != LINK_READY)
        return false;
    struct buf buf = {0};
    snprintf(id, sizeof(id), "%llu", (unsigned long long)pinned->backend_id);
    struct str argv[] = {STR("CLIENT"), STR("UNBLOCK"), str_of(id),
                         error ? STR("ERROR") : STR("TIMEOUT")};
    write_command(&buf, ARRAY_LEN(argv), argv);
    link_ask(shared, span_copy(buf.ptr, buf.len), unblock_done, NULL);
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

static struct round *round_new(struct client *client, enum round_kind kind)
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

static enum step round_start(struct client *client, struct round *round)
{
    client_wait(client, WAIT_ANSWER);
    loop_post(&round->proxy->workers[0].loop, &round->mail);
    return PARKED;
}

/* ---- subcommands ---- */

static enum step reply_int(struct client *client, int64_t value)
{
    struct buf buf = {0};
    write_int(&buf, value);
    client_reply(client, &buf);
    buf_free(&buf);
    return ANSWERED;
}

static enum step answer(struct client *client, const char *text)
{
    client_reply_text(client, text);
    return ANSWERED;
}

static enum step client_id(struct client *client, struct call *call)
{
    (void)call;
    return reply_int(client, (int64_t)client->id);
}

static enum step client_info(struct client *client, struct call *call)
{
    struct buf line = {0}, buf = {0};
    (void)call;
    client_line(client, &line);
    buf_text(&line, "\n");
    write_verbatim(&buf, buf_view(&line), client->resp);
    client_reply(client, &buf);
    buf_free(&line);
    buf_free(&buf);
    return ANSWERED;
}

static enum step client_getname(struct client *client, struct call *call)
{
    struct buf buf = {0};
    (void)call;
    if (client->name)
        write_bulk(&buf, str_of(client->name));
    else
        write_null(&buf, client->resp);
    client_reply(client, &buf);
    buf_free(&buf);
    return ANSWERED;
}

static enum step client_setname(struct client *client, struct call *call)
{
    if (!client_name_valid(call->request.argv[2]))
        return answer(client, CLIENT_NAME_ERROR);
    client_set_name(client, call->request.argv[2]);
    return answer(client, "+OK\r\n");
}

/* Redis 7.2's; answered for older backends too, for some libraries do not start on an error. */
static enum step client_setinfo(struct client *client, struct call *call)
{
    const struct str *argv = call->request.argv;
    bool name = str_equal_nocase(argv[2], STR("lib-name"));
    if (!name && !str_equal_nocase(argv[2], STR("lib-ver"))) {
        client_reply_error(client, "ERR Unrecognized option '%.*s'", (int)argv[2].len, argv[2].ptr);
        return ANSWERED;
    }
    if (!client_name_valid(argv[3])) {
        client_reply_error(client, "ERR %s cannot contain spaces, newlines or special characters.",
                           name ? "lib-name" : "lib-ver");
        return ANSWERED;
    }
    char **field = name ? &client->lib_name : &client->lib_ver;
    free(*field);
    *field = str_keep(argv[3]);
    return answer(client, "+OK\r\n");
}

static enum step client_reply_mode(struct client *client, struct call *call)
{
    struct str mode = call->request.argv[2];
    if (str_equal_nocase(mode, STR("on"))) {
        client->reply_off = false;
        return answer(client, "+OK\r\n");
    }
    if (str_equal_nocase(mode, STR("off")))
        client->reply_off = true;
    else if (str_equal_nocase(mode, STR("skip")))
        client->skip_next = !client->reply_off;
    else
        return answer(client, "-ERR syntax error\r\n");
    return ANSWERED;
}

static bool on_off(struct str text, bool *on)
{
    *on = str_equal_nocase(text, STR("on"));
    return *on || str_equal_nocase(text, STR("off"));
}

/* No connection of a client is the backend's to evict: remembered, and shown in CLIENT LIST. */
static enum step client_no_evict(struct client *client, struct call *call)
{
    bool on;
    if (!on_off(call->request.argv[2], &on))
        return answer(client, "-ERR syntax error\r\n");
    client->no_evict = on;
    return answer(client, "+OK\r\n");
}

static enum step client_no_touch(struct client *client, struct call *call)
{
    bool on;
    if (!on_off(call->request.argv[2], &on))
        return answer(client, "-ERR syntax error\r\n");
    if (on) {
        call->pin = PIN_NO_TOUCH;
        return NEXT;
    }
    call->to_pinned = client->pinned && client->pins;
    if (client->pinned)
        client->pinned->dirty = true;
    client->pins &= ~(uint32_t)PIN_NO_TOUCH;
    return NEXT;
}

/* REDIRECT names a client by our id; the backend knows that client's pinned link by its own. */
static bool tracking_redirect(struct client *client, struct call *call)
{
    struct str argv[TRACKING_ARGS_MAX];
    size_t argc = call->request.argc, at = 0;
    int64_t id = 0;
    char backend_id[24];
    for (size_t i = 3; i + 1 < argc && !at; i++)
        if (str_equal_nocase(call->request.argv[i], STR("redirect")))
            at = i + 1;
    client->redirect = 0;
    if (!at || !str_to_int(call->request.argv[at], &id) || id == 0)
        return true; /* without, or as the backend will have it */
    struct client *target = worker_client(client->worker, (uint64_t)id);
    if (!target || argc > TRACKING_ARGS_MAX) {
        client_reply_text(client, "-ERR The client ID you want redirect to does not exist\r\n");
        return false;
    }
    if (!target->pinned || !target->pinned->backend_id) {
        client_reply_error(client, "ERR respgate: the client to redirect to must be subscribed to "
                                   "__redis__:invalidate first");
        return false;
    }
    memcpy(argv, call->request.argv, argc * sizeof(*argv));
    snprintf(backend_id, sizeof(backend_id), "%llu",
             (unsigned long long)target->pinned->backend_id);
    argv[at] = str_of(backend_id);
    struct buf buf = {0};
    write_command(&buf, argc, argv);
    span_drop(&call->request.bytes);
    call->request.bytes = span_copy(buf.ptr, buf.len);
    buf_free(&buf);
    client->redirect = id;
    return true;
}

/* Invalidations come on the connection that read: the client gets a link of its own. */
static enum step client_tracking(struct client *client, struct call *call)
{
    bool on;
    const struct str *argv = call->request.argv;
    if (!on_off(argv[2], &on))
        return answer(client, "-ERR syntax error\r\n");
    if (on && !tracking_redirect(client, call))
        return ANSWERED;
    call->kind = REQ_TRACKING;
    call->expect = on ? TRACKING_ON : TRACKING_OFF;
    if (on) {
        call->pin = PIN_TRACKING;
        span_drop(&client->tracking_command);
        client->tracking_command = span_copy(call->request.bytes.ptr, call->request.bytes.len);
    } else {
        call->to_pinned = client->pinned && client->pins;
    }
    return NEXT;
}

/* Acts on the tracking of its connection: means something only on the client's own link. */
static enum step client_caching(struct client *client, struct call *call)
{
    call->to_pinned = client->pinned && client->pins;
    return NEXT;
}

static bool parse_type(struct str text, int *type)
{
    if (str_equal_nocase(text, STR("normal")))
        *type = TYPE_NORMAL;
    else if (str_equal_nocase(text, STR("pubsub")))
        *type = TYPE_PUBSUB;
    else if (str_equal_nocase(text, STR("master")) || str_equal_nocase(text, STR("replica")) ||
             str_equal_nocase(text, STR("slave")))
        *type = TYPE_OTHER;
    else
        return false;
    return true;
}

static bool parse_ids(struct round *round, const struct str *argv, size_t argc)
{
    round->ids = xcalloc(argc + 1, sizeof(*round->ids));
    for (size_t i = 0; i < argc; i++) {
        int64_t id;
        if (!str_to_int(argv[i], &id) || id < 1)
            return false;
        round->ids[round->id_count++] = (uint64_t)id;
    }
    return true;
}

static enum step client_list(struct client *client, struct call *call)
{
    const struct str *argv = call->request.argv;
    size_t argc = call->request.argc;
    struct round *round = round_new(client, ROUND_LIST);
    const char *error = NULL;
    if (argc == 4 && str_equal_nocase(argv[2], STR("type"))) {
        if (!parse_type(argv[3], &round->type)) {
            client_reply_error(client, "ERR Unknown client type '%.*s'", (int)argv[3].len,
                               argv[3].ptr);
            round_free(round);
            return ANSWERED;
        }
    } else if (argc > 3 && str_equal_nocase(argv[2], STR("id"))) {
        if (!parse_ids(round, argv + 3, argc - 3))
            error = "-ERR Invalid client ID\r\n";
    } else if (argc != 2) {
        error = "-ERR syntax error\r\n";
    }
    if (error) {
        round_free(round);
        return answer(client, error);
    }
    return round_start(client, round);
}

static const char *kill_filter(struct round *round, struct str name, struct str value)
{
    char **text = str_equal_nocase(name, STR("addr"))    ? &round->addr
                  : str_equal_nocase(name, STR("laddr")) ? &round->laddr
                  : str_equal_nocase(name, STR("user"))  ? &round->want_user
                                                         : NULL;
    if (text) {
        free(*text);
        *text = xstrdup("");
        free(*text);
        *text = xmalloc(value.len + 1);
        memcpy(*text, value.ptr, value.len);
        (*text)[value.len] = '\0';
    } else if (str_equal_nocase(name, STR("id"))) {
        round->id_count = 0;
        free(round->ids);
        if (!parse_ids(round, &value, 1))
            return "-ERR client-id should be greater than 0\r\n";
    } else if (str_equal_nocase(name, STR("type"))) {
        if (!parse_type(value, &round->type))
            return "-ERR Unknown client type\r\n";
    } else if (str_equal_nocase(name, STR("skipme"))) {
        if (str_equal_nocase(value, STR("yes")))
            round->skip_me = true;
        else if (str_equal_nocase(value, STR("no")))
            round->skip_me = false;
        else
            return "-ERR syntax error\r\n";
    } else {
        return "-ERR syntax error\r\n";
    }
    return NULL;
}

static enum step client_kill(struct client *client, struct call *call)
{
    const struct str *argv = call->request.argv;
    size_t argc = call->request.argc;
    struct round *round = round_new(client, ROUND_KILL);
    const char *error = NULL;
    if (argc == 3) {
        round->old_kill = true;
        round->addr = xcalloc(1, argv[2].len + 1);
        memcpy(round->addr, argv[2].ptr, argv[2].len);
    } else {
        round->skip_me = true;
        if (argc % 2 != 0)
            error = "-ERR syntax error\r\n";
        for (size_t i = 2; i + 1 < argc && !error; i += 2)
            error = kill_filter(round, argv[i], argv[i + 1]);
    }
    if (error) {
        round_free(round);
        return answer(client, error);
    }
    return round_start(client, round);
}

static enum step client_unblock_run(struct client *client, struct call *call)
{
    const struct str *argv = call->request.argv;
    size_t argc = call->request.argc;
    bool error = argc == 4 && str_equal_nocase(argv[3], STR("error"));
    if (argc > 4 || (argc == 4 && !error && !str_equal_nocase(argv[3], STR("timeout"))))
        return answer(client, "-ERR CLIENT UNBLOCK reason should be TIMEOUT or ERROR\r\n");
    int64_t id;
    if (!str_to_int(argv[2], &id))
        return answer(client, "-ERR value is not an integer or out of range\r\n");
    struct round *round = round_new(client, ROUND_UNBLOCK);
    if (!parse_ids(round, argv + 2, 1)) {
        round_free(round);
        return reply_int(client, 0);
    }
    round->unblock_error = error;
    return round_start(client, round);
}

static const struct client_row {
    const char *command;
    enum step (*run)(struct client *client, struct call *call);
} rows[] = {
    {"client|id", client_id},
    {"client|info", client_info},
    {"client|list", client_list},
    {"client|kill", client_kill},
    {"client|getname", client_getname},
    {"client|setname", client_setname},
    {"client|setinfo", client_setinfo},
    {"client|reply", client_reply_mode},
    {"client|no-evict", client_no_evict},
    {"client|no-touch", client_no_touch},
    {"client|tracking", client_tracking},
    {"client|caching", client_caching},
    {"client|trackinginfo", client_caching},
    {"client|getredir", client_caching},
    {"client|unblock", client_unblock_run},
};

/* Younger than the table (Redis 7.2): SETINFO, which libraries send to every server, and NO-TOUCH,
 * which an older server has no use for. A backend that knows them has taught us their rows. */
bool client_command_extra(struct client *client, struct call *call)
{
    const struct str *argv = call->request.argv;
    size_t argc = call->request.argc;
    bool on;
    if (strcmp(call->command->name, "client") != 0 || client->transaction)
        return false;
    if (str_equal_nocase(argv[1], STR("setinfo")) && argc == 4)
        client_setinfo(client, call);
    else if (str_equal_nocase(argv[1], STR("no-touch")) && argc == 3)
        answer(client, on_off(argv[2], &on) ? "+OK\r\n" : "-ERR syntax error\r\n");
    else
        return false;
    return true;
}

enum step client_command_run(struct client *client, struct call *call)
{
    if (unlikely(!client->pool->seen) && auth_unknown(client))
        return PARKED;
    if (!client_authenticated(client))
        return answer(client, "-NOAUTH Authentication required.\r\n");
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        if (strcmp(rows[i].command, call->command->name) == 0)
            return rows[i].run(client, call);
    if (call->command->flags &
        CMD_LEARNED) { /* of a newer server: what it does is not known here */
        client_reply_error(client, "ERR respgate: '%s' acts on a connection and is not passed on",
                           call->command->name);
        return ANSWERED;
    }
    return NEXT;
}
