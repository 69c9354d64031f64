/* acl.c - ACL SETUSER lines for the users respgate has at the backend: a second wall behind the
 * rules, which also holds for scripts and for who gets to the store past respgate. */
#include "acl.h"

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

/* Shut for clients, but respgate cannot do without. */
static bool is_needed(const struct wall *wall, const struct command *command, const void *context)
{
    return wall->shut[command->id] != WALL_OPEN && wall_needs(wall, command);
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

static void print_principal(struct buf *out, const struct wall *source,
                            const struct principal *principal)
{
    struct wall wall = *source;
    struct acl_text text = {0};
    wall.principal = principal;
    wall_build(&wall);
    print_root(&text, &wall);
    for (size_t i = 0; i < wall.policy->rule_count; i++)
        print_shut(&text, &wall, (uint16_t)i);
    for (size_t i = 0; i < wall.policy->rule_count; i++)
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

struct principals {
    struct principal *list;
    size_t count;
};

static const char *backend_name(const char *username)
{
    return username && *username ? username : "default";
}

/* The one of this name, made when there is none yet. */
static struct principal *principal_add(struct principals *all, const struct config *config,
                                       const char *name, const char *what)
{
    for (size_t i = 0; i < all->count; i++)
        if (strcmp(all->list[i].name, name) == 0)
            return &all->list[i];
    struct principal *principal = &all->list[all->count++];
    *principal = (struct principal){
        .name = name,
        .what = what,
        .control = strcmp(name, backend_name(config->backend.control_username)) == 0,
    };
    return principal;
}

static void principal_has(struct principal *principal, const struct config *config,
                          struct arena *arena, const char *user)
{
    if (!principal->users)
        principal->users = arena_alloc(arena, config->user_count * sizeof(char *));
    principal->users[principal->user_count++] = user;
}

static struct principals principals_find(const struct config *config, struct arena *arena)
{
    struct principals all = {arena_alloc(arena,
                                         (config->user_count + 2) * sizeof(struct principal)),
                             0};
    const char *clients = backend_name(config->backend.username);
    bool scripts = config->scripts.mode == SCRIPTS_ACL && config->scripts.username;
    if (config->user_count == 0 && config->proxy.anonymous != ANONYMOUS_BACKEND)
        principal_add(
            &all, config, "default",
            "clients that do not log in; the same words suit every user others log in as");
    else
        principal_add(&all, config, clients, "clients without a backend-username of their own");
    for (size_t i = 0; i < config->user_count; i++) {
        const struct config_user *user = &config->users[i];
        struct principal *principal =
            principal_add(&all, config, user->backend_username ? user->backend_username : clients,
                          "a [user] section's backend-username");
        principal_has(principal, config, arena, user->name);
    }
    if (scripts) /* of whomever: a rule for some users may be no rule for this script */
        principal_add(&all, config, config->scripts.username,
                      "what scripts call, [scripts] mode = acl")
            ->user_count = 0;
    return all;
}

void policy_acl(const struct policy *policy, const struct config *config,
                const struct command_table *commands, struct buf *out)
{
    struct wall wall = {.arena = arena_new(),
                        .policy = policy,
                        .config = config,
                        .commands = commands};
    struct principals all = principals_find(config, wall.arena);
    buf_text(out,
             "# What the rules refuse, refused by the store as well (Redis 7 and newer):\n"
             "#   respgate --print-acl -c FILE | grep -v '^#' | redis-cli\n"
             "# as a user that is not named below: these can change no ACLs any more.\n"
             "# A line sets commands, keys and channels of its user anew. Passwords, and "
             "whether it is on,\n# stay; a new user needs `ACL SETUSER name on >password` too. "
             "ACL SAVE or CONFIG REWRITE\n# keeps them.\n#\n# With respgate alone stays\n");
    print_rest(out, policy);
    for (size_t i = 0; i < all.count; i++)
        print_principal(out, &wall, &all.list[i]);
    arena_free(wall.arena);
}
