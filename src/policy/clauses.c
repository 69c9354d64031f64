/* clauses.c - the table of clauses, and those about databases and who asks. */
#include "internal.h"

#define RULE_LIST(field) offsetof(struct config_rule, field)

/* ---- db ---- */

struct db_list {
    size_t count;
    int64_t numbers[];
};

static const void *db_compile(struct compiler *compiler, const struct text_list *list)
{
    struct db_list *dbs =
        arena_alloc(compiler->arena, sizeof(*dbs) + list->count * sizeof(dbs->numbers[0]));
    for (size_t i = 0; i < list->count; i++) {
        int64_t number;
        /* Redis keeps the number of databases in an int. */
        if (str_to_int(list->items[i], &number) && number >= 0 && number <= INT32_MAX)
            dbs->numbers[dbs->count++] = number;
        else
            problem_error(compiler->problems, list->where[i], "'%s' is no database number",
                          list->items[i].ptr);
    }
    return dbs;
}

static bool db_listed(const struct db_list *dbs, int64_t number)
{
    for (size_t i = 0; i < dbs->count; i++)
        if (dbs->numbers[i] == number)
            return true;
    return false;
}

/* Whether the client's present database counts. SWAPDB does not touch it. Nor does SELECT: an
 * allow of db 3 must let clients, who start in 0, get there; but a deny in the present database
 * stops every command. */
static bool db_present_counts(const struct asking *asking)
{
    return asking->special != SPECIAL_SWAPDB &&
           !(asking->special == SPECIAL_SELECT && asking->every && asking->question->argc > 1);
}

/* As with keys: the first database that differs settles it, one that is no number differs. */
static bool db_test(const void *data, const struct asking *asking)
{
    const struct question *question = asking->question;
    bool every = asking->every;
    if (asking->special == SPECIAL_FLUSHALL) /* it empties every db there is, the listed ones too */
        return !every;
    if (db_present_counts(asking) && db_listed(data, question->db) != every)
        return !every;
    for (size_t arg = 0; special_next_db(question, asking->special, &arg); arg++) {
        int64_t number;
        if (!str_to_int(question->argv[arg], &number) || db_listed(data, number) != every)
            return !every;
    }
    return every;
}

/* ---- users ---- */

struct user_list {
    size_t count;
    struct str names[];
};

/* With [user] sections nobody else can log in, so another name is a typo. */
static void user_check(struct compiler *compiler, struct str name, struct where where)
{
    const struct config *config = compiler->config;
    struct near near = {.wanted = name};
    for (size_t i = 0; i < config->user_count; i++) {
        if (str_equal(str_of(config->users[i].name), name))
            return;
        near_offer(&near, config->users[i].name);
    }
    if (near.count)
        problem_error(compiler->problems, where, "unknown user '%s', did you mean '%s'?", name.ptr,
                      near.found[0].name);
    else if (config->user_count)
        problem_error(compiler->problems, where, "unknown user '%s': no [user %s] section",
                      name.ptr, name.ptr);
}

static const void *users_compile(struct compiler *compiler, const struct text_list *list)
{
    struct user_list *users =
        arena_alloc(compiler->arena, sizeof(*users) + list->count * sizeof(users->names[0]));
    for (size_t i = 0; i < list->count; i++) {
        struct str name = list->items[i];
        user_check(compiler, name, list->where[i]);
        users->names[users->count++] = (struct str){arena_str(compiler->arena, name), name.len};
    }
    return users;
}

static bool users_test(const void *data, const struct asking *asking)
{
    const struct user_list *users = data;
    struct str user = asking->question->subject->user;
    if (user.len == 0) /* nobody: is no name's owner */
        return false;
    for (size_t i = 0; i < users->count; i++)
        if (str_equal(users->names[i], user))
            return true;
    return false;
}

/* ---- from ---- */

struct network_list {
    size_t count;
    struct network networks[];
};

static const void *from_compile(struct compiler *compiler, const struct text_list *list)
{
    struct network_list *from =
        arena_alloc(compiler->arena, sizeof(*from) + list->count * sizeof(from->networks[0]));
    for (size_t i = 0; i < list->count; i++)
        if (!network_parse(list->items[i], &from->networks[from->count++]))
            problem_error(compiler->problems, list->where[i],
                          "'%s' is neither an address, a network like 10.0.0.0/8, nor unix",
                          list->items[i].ptr);
    return from;
}

static bool from_test(const void *data, const struct asking *asking)
{
    const struct network_list *from = data;
    for (size_t i = 0; i < from->count; i++)
        if (network_contains(&from->networks[i], &asking->question->subject->address))
            return true;
    return false;
}

/* ---- the table ---- */

const struct clause_type clause_types[CLAUSE_COUNT] = {
    [CLAUSE_COMMANDS] = {"commands", RULE_LIST(commands), NULL, NULL},
    [CLAUSE_DB] = {"db", RULE_LIST(db), db_compile, db_test},
    [CLAUSE_USERS] = {"users", RULE_LIST(users), users_compile, users_test},
    [CLAUSE_FROM] = {"from", RULE_LIST(from), from_compile, from_test},
    [CLAUSE_KEYS] = {"keys", RULE_LIST(keys), keys_compile, keys_test},
};
