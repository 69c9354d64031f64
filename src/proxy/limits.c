/* limits.c - what is refused for its form: unknown commands, keys and names that are too long. */
#include <stdio.h>
#include <stdlib.h>

#include "confirm.h"
#include "stages.h"

/* Redis' own text (server.c, commandCheckExistence): the first arguments in at most 128 bytes. */
enum step reply_unknown(struct client *client, struct call *call)
{
    const struct str *argv = call->request.argv;
    char args[160] = "";
    size_t used = 0;
    if (!call->command &&
        (str_equal_nocase(argv[0], STR("post")) || str_equal_nocase(argv[0], STR("host:")))) {
        /* A browser made to talk to us (server.c, securityWarningCommand): its body could be
         * commands. */
        log_warn(client_who(client), "closed: HTTP on a Redis port, possibly an attack");
        client_close(client, REASON_PROTOCOL);
        return CLOSED;
    }
    enum step step;
    if (!call->command && confirm_command(client, call, &step))
        return step;
    if (call->command && client_command_extra(client, call))
        return ANSWERED;
    transaction_abort(client);
    count(client->worker, STAT_REQUESTS_UNKNOWN);
    if (call->command) { /* a container with a subcommand it does not have */
        char upper[64];
        size_t i = 0;
        for (; call->command->name[i] && i < sizeof(upper) - 1; i++)
            upper[i] = (char)(call->command->name[i] & ~0x20);
        upper[i] = '\0';
        client_reply_error(client, "ERR unknown subcommand '%.*s'. Try %s HELP.",
                           (int)(argv[1].len < 128 ? argv[1].len : 128), argv[1].ptr, upper);
        return ANSWERED;
    }
    for (size_t i = 1; i < call->request.argc && used < 128; i++) {
        size_t room = 128 - used, len = argv[i].len < room ? argv[i].len : room;
        used +=
            (size_t)snprintf(args + used, sizeof(args) - used, "'%.*s' ", (int)len, argv[i].ptr);
    }
    client_reply_error(client, "ERR unknown command '%.*s', with args beginning with: %s",
                       (int)(argv[0].len < 128 ? argv[0].len : 128), argv[0].ptr, args);
    return ANSWERED;
}

static enum step too_long(struct client *client, const char *what, uint64_t limit,
                          const char *option)
{
    count(client->worker, STAT_REQUESTS_LIMITED_SIZE);
    transaction_abort(client);
    client_reply_error(client, "ERR respgate: %s is longer than %llu bytes (%s)", what,
                       (unsigned long long)limit, option);
    return ANSWERED;
}

/* Which arguments of a command are names the store keeps: consumers, groups, channels, client
 * names. from..to count from the first argument; to 0 is the last. after: behind that keyword. */
static const struct name_row {
    const char *command;
    uint8_t from, to;
    const char *after;
} name_rows[] = {
    {"subscribe", 1, 0, NULL},
    {"psubscribe", 1, 0, NULL},
    {"ssubscribe", 1, 0, NULL},
    {"publish", 1, 1, NULL},
    {"spublish", 1, 1, NULL},
    {"xgroup|create", 3, 3, NULL},
    {"xgroup|createconsumer", 3, 4, NULL},
    {"xgroup|setid", 3, 3, NULL},
    {"xgroup|delconsumer", 3, 4, NULL},
    {"xgroup|destroy", 3, 3, NULL},
    {"xack", 2, 2, NULL},
    {"xclaim", 2, 3, NULL},
    {"xautoclaim", 2, 3, NULL},
    {"xpending", 2, 2, NULL},
    {"xreadgroup", 2, 3, "group"},
    {"client|setname", 2, 2, NULL},
    {"client|setinfo", 3, 3, NULL},
};

bool limits_has_names(const char *command)
{
    for (size_t i = 0; i < ARRAY_LEN(name_rows); i++)
        if (strcmp(name_rows[i].command, command) == 0)
            return true;
    return false;
}

static bool names_fit(const struct call *call, uint64_t limit)
{
    const struct str *argv = call->request.argv;
    size_t argc = call->request.argc;
    for (size_t i = 0; i < ARRAY_LEN(name_rows); i++) {
        const struct name_row *row = &name_rows[i];
        if (strcmp(row->command, call->command->name) != 0)
            continue;
        /* XREADGROUP's GROUP may stand anywhere before STREAMS: all arguments up to there. */
        size_t to = row->to && !row->after ? (size_t)row->to + 1 : argc;
        for (size_t at = row->after ? 1 : row->from; at < to && at < argc; at++)
            if (argv[at].len > limit)
                return false;
    }
    return true;
}

enum step limits_check(struct client *client, struct call *call)
{
    const struct snapshot *snapshot = client->worker->snapshot;
    const struct config *config = snapshot->config;
    uint64_t key_max = config->proxy.max_key_size, name_max = config->proxy.max_name_size;
    for (size_t i = 0; i < call->key_count; i++)
        if (unlikely(key_max && call->request.argv[call->keys[i].arg].len > key_max))
            return too_long(client, "a key", key_max, "max-key-size");
    if (unlikely(snapshot->traits[call->command->id] & TRAIT_NAMES) && name_max &&
        !names_fit(call, name_max))
        return too_long(client, "a name", name_max, "max-name-size");
    return NEXT;
}
