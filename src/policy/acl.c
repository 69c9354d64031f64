/* acl.c - ACL SETUSER lines for the users respgate has at the backend: a second wall behind the
 * rules, which also holds for scripts and for who gets to the store past respgate. */
#include "acl.h"

/* What respgate itself sends on links that serve clients, and as the control user: nothing a rule
 * says to clients may keep it from that. HELLO, AUTH, RESET and QUIT need no permission. */
static const char *const own_commands[] = {"select",         "ping",   "discard", "client|id",
                                           "client|unblock", "asking", "readonly"};
static const char *const length_commands[] = {"llen", "scard", "hlen", "zcard", "xlen"};
static const char *const control_commands[] = {
    "info",          "command",        "role",         "dbsize",        "type",
    "bgrewriteaof",  "config|get",     "client|list",  "cluster|info",  "cluster|nodes",
    "cluster|slots", "cluster|shards", "cluster|myid", "function|list", "xinfo|stream",
    "xinfo|groups",  "xpending",       "pttl",
};

/* ---- sets of commands as words of an ACL ---- */

typedef bool command_filter(const struct wall *wall, const struct command *command,
                            const void *context);

static bool all_subs(const struct wall *wall, const struct command *container,
                     command_filter *filter, const void *context)
{
    for (size_t i = 0; i < container->sub_count; i++)
        if (!filter(wall, command_by_id(wall->commands, container->first_sub + i), context))
            return false;
    return true;
}

/* A container stands for its subcommands when all of them are meant. False: there was none. */
static bool add_commands(struct buf *out, const struct wall *wall, char sign,
                         command_filter *filter, const void *context)
{
    size_t start = out->len;
    for (size_t id = 0; id < command_count(wall->commands); id++) {
        const struct command *command = command_by_id(wall->commands, id);
        bool whole = command->sub_count && all_subs(wall, command, filter, context);
        bool part_of_whole = command->parent && all_subs(wall, command->parent, filter, context);
        if (whole || (!command->sub_count && !part_of_whole && filter(wall, command, context)))
            buf_printf(out, " %c%s", sign, command->name);
    }
    return out->len > start;
}

static bool is_open(const struct wall *wall, const struct command *command, const void *context)
{
    return wall->shut[command->id] == WALL_OPEN;
}

static bool is_shut_by(const struct wall *wall, const struct command *command, const void *context)
{
    return wall->shut[command->id] == *(const uint16_t *)context;
}

static bool is_opened_by(const struct wall *wall, const struct command *command,
                         const void *context)
{
    const uint64_t *set = wall->opened[*(const uint16_t *)context];
    return set && set_has(set, command->id);
}

static bool in_list(const char *const *list, size_t count, const char *name)
{
    for (size_t i = 0; i < count; i++)
        if (strcmp(list[i], name) == 0)
            return true;
    return false;
}

/* Shut for clients, but respgate cannot do without. */
static bool is_needed(const struct wall *wall, const struct command *command, const void *context)
{
    const char *name = command->parent && strcmp(command->parent->name, "command") == 0
                           ? "command"
                           : command->name;
    return wall->shut[command->id] != WALL_OPEN &&
           (in_list(own_commands, ARRAY_LEN(own_commands), name) ||
            (wall_asks_lengths(wall) &&
             in_list(length_commands, ARRAY_LEN(length_commands), name)) ||
            (wall->principal->control &&
             in_list(control_commands, ARRAY_LEN(control_commands), name)));
}

/* ---- lines ---- */

static void line_begin(struct buf *out, const struct wall *wall)
{
    buf_printf(out, "ACL SETUSER %s", wall->principal->name);
}

/* One line for all of it: between two the user could do what neither means. */
struct acl_text {
    struct buf comments, words;
};

static void print_root(struct acl_text *text, const struct wall *wall)
{
    buf_text(&text->words, " clearselectors resetkeys ~* resetchannels &* ");
    buf_text(&text->words, wall->others_shut ? "-@all" : "+@all");
    if (wall->others_shut)
        add_commands(&text->words, wall, '+', is_open, NULL);
}

static size_t count_shut(const struct wall *wall, uint16_t rule)
{
    size_t count = 0;
    for (size_t id = 0; id < command_count(wall->commands); id++)
        count += wall->shut[id] == rule;
    return count;
}

static void print_shut(struct acl_text *text, const struct wall *wall, uint16_t rule)
{
    size_t count = count_shut(wall, rule);
    if (!count)
        return;
    buf_printf(&text->comments, "# rule '%s' shuts %zu command%s\n", wall->policy->rules[rule].name,
               count, count == 1 ? "" : "s");
    if (!wall->others_shut)
        add_commands(&text->words, wall, '-', is_shut_by, &rule);
}

static void print_opened(struct acl_text *text, const struct wall *wall, uint16_t index)
{
    size_t count;
    const struct rule *rule = &wall->policy->rules[index];
    const struct str *patterns = wall->opened[index] ? wall_patterns(wall, rule, &count) : NULL;
    if (!patterns)
        return;
    buf_printf(&text->comments, "# rule '%s' %s its keys\n", rule->name,
               rule->action == ACTION_DENY ? "leaves" : "opens some of them for");
    for (size_t i = 0; i < count; i++)
        buf_printf(&text->words, "%s~%.*s", i ? " " : " (", (int)patterns[i].len, patterns[i].ptr);
    buf_text(&text->words, " &*");
    add_commands(&text->words, wall, '+', is_opened_by, &index);
    buf_text(&text->words, ")");
}

/* Names only a backend with the module knows: a line of its own each, which may fail alone. */
static void print_unknown(struct buf *out, const struct wall *wall)
{
    for (size_t i = 0; i < wall->policy->rule_count && !wall->policy->observe; i++) {
        const struct rule *rule = &wall->policy->rules[i];
        const struct text_list *names = &wall->config->rules[i].commands;
        bool denies = rule->action == ACTION_DENY;
        if (rule->mode != RULE_ENFORCE || !action_decides(rule->action) ||
            denies == wall->others_shut || (denies && !wall_rule_plain(wall, rule)))
            continue;
        for (size_t j = 0; j < names->count; j++) {
            struct str name = names->items[j];
            if (!memchr(name.ptr, '.', name.len) || command_by_name(wall->commands, name))
                continue;
            buf_printf(out, "# rule '%s': a module's command; without the module this line fails\n",
                       rule->name);
            line_begin(out, wall);
            buf_printf(out, " %c%.*s\n", denies ? '-' : '+', (int)name.len, name.ptr);
        }
    }
}

static void print_needed(struct acl_text *text, const struct wall *wall)
{
    if (add_commands(&text->words, wall, '+', is_needed, NULL))
        buf_text(&text->comments, "# the last words are what respgate itself has to ask\n");
}

static void print_principal(struct buf *out, const struct policy *policy,
                            const struct config *config, const struct command_table *commands,
                            const struct principal *principal)
{
    struct wall wall = {
        .arena = arena_new(),
        .policy = policy,
        .config = config,
        .commands = commands,
        .principal = principal,
    };
    struct acl_text text = {0};
    wall_build(&wall);
    print_root(&text, &wall);
    for (size_t i = 0; i < policy->rule_count; i++)
        print_shut(&text, &wall, (uint16_t)i);
    for (size_t i = 0; i < policy->rule_count; i++)
        print_opened(&text, &wall, (uint16_t)i);
    print_needed(&text, &wall);
    buf_printf(out, "\n# ---- %s: %s\n", principal->name, principal->what);
    buf_str(out, buf_view(&text.comments));
    line_begin(out, &wall);
    buf_str(out, buf_view(&text.words));
    buf_text(out, "\n");
    print_unknown(out, &wall);
    buf_free(&text.comments);
    buf_free(&text.words);
    arena_free(wall.arena);
}

/* ---- what stays with respgate ---- */

static void print_rest(struct buf *out, const struct policy *policy)
{
    if (policy->observe)
        buf_text(out, "# [proxy] observe = yes: nothing is enforced, here neither.\n");
    for (size_t i = 0; i < policy->rule_count && !policy->observe; i++) {
        const struct rule *rule = &policy->rules[i];
        struct buf rest = {0};
        wall_rest(policy, rule, &rest);
        if (rule->mode == RULE_OBSERVE)
            buf_printf(out, "#   rule '%s' only observes\n", rule->name);
        else if (rule->mode == RULE_ENFORCE && !action_decides(rule->action))
            buf_printf(out, "#   rule '%s': %s\n", rule->name, action_name(rule->action));
        else if (rule->mode == RULE_ENFORCE && rest.len)
            buf_printf(out, "#   rule '%s': %.*s\n", rule->name, (int)rest.len, rest.ptr);
        buf_free(&rest);
    }
    buf_text(out, "#   what no ACL can say of any rule: limits, delays, rewrites, confirmations, "
                  "sizes,\n#   addresses, databases, pressure, and exceptions in key patterns\n");
}

/* ---- whose lines ---- */

static const char *backend_name(const char *username)
{
    return username && *username ? username : "default";
}

/* The [user] sections that run as this backend user. */
static void principal_users(struct principal *principal, const struct config *config,
                            struct arena *arena)
{
    principal->users = arena_alloc(arena, (config->user_count + 1) * sizeof(char *));
    for (size_t i = 0; i < config->user_count; i++) {
        const struct config_user *user = &config->users[i];
        const char *runs_as =
            user->backend_username ? user->backend_username : config->backend.username;
        if (strcmp(backend_name(runs_as), principal->name) == 0)
            principal->users[principal->user_count++] = user->name;
    }
}

static bool printed_before(const struct config *config, size_t at, const char *clients)
{
    const char *name = config->users[at].backend_username;
    if (!name || strcmp(name, clients) == 0)
        return true;
    for (size_t i = 0; i < at; i++)
        if (config->users[i].backend_username &&
            strcmp(config->users[i].backend_username, name) == 0)
            return true;
    return false;
}

void policy_acl(const struct policy *policy, const struct config *config,
                const struct command_table *commands, struct buf *out)
{
    struct arena *arena = arena_new();
    bool own_users = config->user_count || config->proxy.anonymous == ANONYMOUS_BACKEND;
    const char *clients = own_users ? backend_name(config->backend.username) : "default";
    const char *control = backend_name(config->backend.control_username);
    struct principal principal = {
        .name = clients,
        .what = own_users ? "clients without a backend-username of their own"
                          : "clients that do not log in; the same lines suit every user others log "
                            "in as",
        .control = strcmp(clients, control) == 0,
    };
    buf_text(
        out,
        "# What the rules refuse, refused by the store as well (Redis 7 and newer):\n"
        "#   respgate --print-acl -c FILE | grep -v '^#' | redis-cli\n"
        "# The lines set commands, keys and channels of a user anew. Its passwords, and whether "
        "it is\n# on, stay; a new user needs `ACL SETUSER name on >password` too. "
        "ACL SAVE or CONFIG REWRITE\n# keeps them.\n#\n# With respgate alone stays\n");
    print_rest(out, policy);
    principal_users(&principal, config, arena);
    print_principal(out, policy, config, commands, &principal);
    for (size_t i = 0; i < config->user_count; i++) {
        if (printed_before(config, i, clients))
            continue;
        principal = (struct principal){
            .name = config->users[i].backend_username,
            .what = "a [user] section's backend-username",
            .control = strcmp(config->users[i].backend_username, control) == 0,
        };
        principal_users(&principal, config, arena);
        print_principal(out, policy, config, commands, &principal);
    }
    if (!principal.control && own_users && strcmp(control, clients) != 0)
        buf_printf(out,
                   "\n# %s, the control user, needs only: +info +command and the like; it runs "
                   "nothing of clients.\n",
                   control);
    arena_free(arena);
}
