/* acl_wall.c - for each command: whether one backend user's clients can ever run it, and with which
 * keys. The walk is that of policy.c, with "always", "never" and "who knows" in place of a request.
 */
#include "acl.h"

/* ---- one rule for one command and one user, whatever the request ---- */

enum holds {
    HOLDS_NEVER,
    HOLDS_MAYBE, /* it depends on what an ACL cannot see */
    HOLDS_KEYS,  /* on the keys alone, in a way an ACL can say */
    HOLDS_ALWAYS,
};

static bool rule_has(const struct rule *rule, enum clause_id id)
{
    return rule->text[id] && *rule->text[id];
}

static const struct config_rule *rule_source(const struct wall *wall, const struct rule *rule)
{
    return &wall->config->rules[rule - wall->policy->rules];
}

/* A selector is read as words between parentheses. */
static bool pattern_fits(struct str pattern)
{
    for (size_t i = 0; i < pattern.len; i++) {
        unsigned char c = (unsigned char)pattern.ptr[i];
        if (c <= ' ' || c >= 0x7f || strchr("()\"'\\", c))
            return false;
    }
    return pattern.len > 0;
}

const struct str *wall_patterns(const struct wall *wall, const struct rule *rule, size_t *count)
{
    const struct text_list *keys = &rule_source(wall, rule)->keys;
    bool allows = rule->action != ACTION_DENY;
    struct str *found = arena_alloc(wall->arena, (keys->count + 1) * sizeof(*found));
    *count = 0;
    for (size_t i = 0; i < keys->count; i++) {
        struct str item = keys->items[i];
        bool excluded = item.len && item.ptr[0] == '!';
        if (excluded && allows)
            continue; /* ACLs know no exceptions: a little more is let through */
        if (!excluded && !allows && str_equal(item, STR("*")))
            continue;
        if (excluded)
            item = (struct str){item.ptr + 1, item.len - 1};
        if (excluded == allows || !pattern_fits(item))
            return NULL;
        found[(*count)++] = item;
    }
    return *count ? found : NULL;
}

static bool command_has_keys(const struct wall *wall, const struct command *command)
{
    unsigned special = wall->policy->commands[command->id].special;
    bool keys = command->flags & CMD_MOVABLEKEYS || special == SPECIAL_KEYS ||
                special == SPECIAL_SCAN || special == SPECIAL_TRACKING;
    for (size_t i = 0; i < command->spec_count; i++)
        keys |= !(command->specs[i].flags & KEY_NOT_KEY);
    return keys;
}

static enum holds users_hold(const struct wall *wall, const struct rule *rule)
{
    const struct principal *principal = wall->principal;
    const struct text_list *users = &rule_source(wall, rule)->users;
    size_t hits = 0;
    if (!rule_has(rule, CLAUSE_USERS))
        return HOLDS_ALWAYS;
    if (!principal->user_count)
        return HOLDS_MAYBE;
    for (size_t i = 0; i < principal->user_count; i++)
        for (size_t j = 0; j < users->count; j++)
            if (str_equal(str_of(principal->users[i]), users->items[j])) {
                hits++;
                break;
            }
    return hits == 0 ? HOLDS_NEVER : hits == principal->user_count ? HOLDS_ALWAYS : HOLDS_MAYBE;
}

static enum holds keys_hold(const struct wall *wall, const struct rule *rule,
                            const struct command *command)
{
    size_t count;
    if (!rule_has(rule, CLAUSE_KEYS))
        return HOLDS_ALWAYS;
    if (!command_has_keys(wall, command))
        return HOLDS_NEVER;
    return wall_patterns(wall, rule, &count) ? HOLDS_KEYS : HOLDS_MAYBE;
}

/* Clauses about the request or the moment. */
static bool rule_has_others(const struct rule *rule)
{
    for (enum clause_id id = 0; id < CLAUSE_COUNT; id++)
        if (id != CLAUSE_COMMANDS && id != CLAUSE_USERS && id != CLAUSE_KEYS && rule_has(rule, id))
            return true;
    return false;
}

static enum holds least(enum holds a, enum holds b)
{
    return a < b ? a : b;
}

static enum holds entry_holds(const struct wall *wall, const struct entry *entry,
                              const struct command *command)
{
    const struct rule *rule = entry->rule;
    enum holds holds = least(users_hold(wall, rule), keys_hold(wall, rule, command));
    return least(holds, entry->classes || rule_has_others(rule) ? HOLDS_MAYBE : HOLDS_ALWAYS);
}

/* ---- the walk ---- */

static void bit_add(uint64_t *set, size_t id)
{
    set[id / 64] |= 1ull << (id % 64);
}

/* Rules whose keys let the command through, as far as the walk has come. */
struct openers {
    const struct rule **rules;
    size_t count;
};

static void wall_shut(struct wall *wall, const struct command *command, const struct rule *by,
                      const struct openers *openers)
{
    size_t words = (command_count(wall->commands) + 63) / 64;
    wall->shut[command->id] = (uint16_t)(by - wall->policy->rules);
    for (size_t i = 0; i < openers->count; i++) {
        uint64_t **set = &wall->opened[openers->rules[i] - wall->policy->rules];
        if (!*set)
            *set = arena_alloc(wall->arena, words * sizeof(uint64_t));
        bit_add(*set, command->id);
    }
}

static void walk(struct wall *wall, const struct command *command)
{
    const struct command_row *row = &wall->policy->commands[command->id];
    struct openers openers = {arena_alloc(wall->arena,
                                          (row->entry_count + 1) * sizeof(struct rule *)),
                              0};
    const struct rule *narrow = NULL; /* a deny of all keys but some */
    for (size_t i = 0; i < row->entry_count; i++) {
        const struct rule *rule = row->entries[i].rule;
        enum holds holds = entry_holds(wall, &row->entries[i], command);
        if (rule->mode != RULE_ENFORCE || holds == HOLDS_NEVER)
            continue;
        if (rule->action == ACTION_DENY) {
            if (holds == HOLDS_ALWAYS) {
                wall_shut(wall, command, rule, &openers);
                return;
            }
            if (holds == HOLDS_KEYS && !narrow)
                narrow = rule;
        } else if (holds == HOLDS_KEYS && !narrow) {
            openers.rules[openers.count++] = rule;
        } else if (holds != HOLDS_KEYS) {
            break; /* let through, always or sometimes */
        }
    }
    if (!narrow)
        return;
    openers.rules[openers.count++] = narrow;
    wall_shut(wall, command, narrow, &openers);
}

/* ---- commands the table does not have ---- */

bool wall_rule_plain(const struct wall *wall, const struct rule *rule)
{
    return rule->mode == RULE_ENFORCE && users_hold(wall, rule) == HOLDS_ALWAYS &&
           !rule_has(rule, CLAUSE_KEYS) && !rule_has_others(rule);
}

static bool others_shut(const struct wall *wall)
{
    for (size_t i = 0; i < wall->policy->rule_count; i++) {
        const struct rule *rule = &wall->policy->rules[i];
        const struct text_list *names = &wall->config->rules[i].commands;
        bool all = names->count == 0;
        for (size_t j = 0; j < names->count; j++)
            all |= str_equal(names->items[j], STR("*"));
        if (!all || rule->mode != RULE_ENFORCE || !action_decides(rule->action))
            continue;
        if (rule->action != ACTION_DENY)
            return false;
        if (wall_rule_plain(wall, rule))
            return true;
    }
    return false;
}

void wall_build(struct wall *wall)
{
    size_t count = command_count(wall->commands);
    wall->shut = arena_alloc(wall->arena, count * sizeof(*wall->shut));
    wall->opened = arena_alloc(wall->arena, (wall->policy->rule_count + 1) * sizeof(uint64_t *));
    for (size_t id = 0; id < count; id++) {
        wall->shut[id] = WALL_OPEN;
        if (!wall->policy->observe)
            walk(wall, command_by_id(wall->commands, id));
    }
    wall->others_shut = !wall->policy->observe && others_shut(wall);
}

void wall_rest(const struct policy *policy, const struct rule *rule, struct buf *out)
{
    for (enum clause_id id = 0; id < CLAUSE_COUNT; id++)
        if (id != CLAUSE_COMMANDS && id != CLAUSE_USERS && id != CLAUSE_KEYS && rule_has(rule, id))
            buf_printf(out, "%s%s", out->len ? ", " : "", clause_types[id].name);
    bool arguments = false;
    for (size_t id = 0; id < policy->command_count; id++)
        for (size_t i = 0; i < policy->commands[id].entry_count; i++)
            arguments |= policy->commands[id].entries[i].rule == rule &&
                         policy->commands[id].entries[i].classes;
    if (arguments)
        buf_printf(out, "%sarguments that make a class", out->len ? ", " : "");
}
