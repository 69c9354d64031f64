/* acl_needs.c - what respgate itself sends to the backend: no rule for clients may keep it from
 * that. HELLO, AUTH, RESET and QUIT need no permission of an ACL. */
#include "acl.h"

static bool asks_lengths(const struct wall *wall)
{
    for (size_t i = 0; i < wall->config->rule_count; i++)
        if (clause_is_set(CLAUSE_UNBOUNDED, &wall->config->rules[i]))
            return true;
    return false;
}

static bool asks_rewrites(const struct wall *wall)
{
    return wall->config->pressure.aof_rewrite_at &&
           (wall->config->pressure.aof_limit || wall->config->pressure.volume_path);
}

static bool kills_scripts(const struct wall *wall)
{
    return wall->config->scripts.kill;
}

static bool shares_limits(const struct wall *wall)
{
    for (size_t i = 0; i < wall->config->rule_count; i++)
        if (wall->config->rules[i].shared)
            return true;
    return false;
}

static const struct need {
    const char *commands;                  /* by spaces */
    bool control;                          /* as the control user, else on links of clients */
    bool (*when)(const struct wall *wall); /* NULL: always */
} needs[] = {
    {"select ping discard client|id client|unblock asking readonly", false, NULL},
    {"llen scard hlen zcard xlen", false, asks_lengths},
    {"info command ping select role dbsize type config|get client|list slowlog|get function|list",
     true, NULL},
    {"cluster|info cluster|nodes cluster|slots cluster|shards cluster|myid", true, NULL},
    {"xlen llen zcard xinfo|stream xinfo|groups xpending pttl", true, NULL},
    {"bgrewriteaof", true, asks_rewrites},
    {"script|kill function|kill", true, kills_scripts},
    {"eval time get set", true, shares_limits},
};

static bool lists(const char *commands, struct str name)
{
    for (const char *at = commands; at; at = strchr(at, ' ')) {
        at += *at == ' ';
        if (strncmp(at, name.ptr, name.len) == 0 && (at[name.len] == ' ' || at[name.len] == '\0'))
            return true;
    }
    return false;
}

bool wall_needs(const struct wall *wall, const struct command *command)
{
    bool bare = command->parent && strcmp(command->parent->name, "command") == 0;
    struct str name = str_of(bare ? "command" : command->name);
    for (size_t i = 0; i < ARRAY_LEN(needs); i++)
        if ((!needs[i].control || wall->principal->control) &&
            (!needs[i].when || needs[i].when(wall)) && lists(needs[i].commands, name))
            return true;
    return false;
}
