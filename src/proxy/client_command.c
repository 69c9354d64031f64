/* client_command.c - CLIENT: what Redis tells of its connections, respgate tells of its own.
 *
 * One row a subcommand; those without a row are forwarded.
 */
#include <stdio.h>
#include <stdlib.h>

#include "client_round.h"
#include "stages.h"

enum { TRACKING_ARGS_MAX = 64 };

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
    if (on && client->worker->clustered) /* invalidations would come from one node of many */
        return answer(client, "-ERR respgate: CLIENT TRACKING is not possible with a cluster\r\n");
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
