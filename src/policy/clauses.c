/* clauses.c - the table of clauses, and those about databases, who asks, and plain numbers. */
#include "internal.h"

/* ---- db ---- */

struct db_list {
    size_t count;
    int64_t numbers[];
};

static const void *db_compile(struct compiler *compiler, const struct config_rule *rule)
{
    const struct text_list *list = &rule->db;
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
static bool db_test(const void *data, struct asking *asking)
{
    const struct question *question = asking->question;
    bool every = asking->every;
    if (asking->special == SPECIAL_FLUSHALL) /* it empties every db there is, the listed ones too */
        return !every;
    if (asking->special == SPECIAL_COPY && question->kind == QUESTION_CALL_OPEN)
        return !every; /* what is not known may be its DB option */
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

static const void *users_compile(struct compiler *compiler, const struct config_rule *rule)
{
    const struct text_list *list = &rule->users;
    struct user_list *users =
        arena_alloc(compiler->arena, sizeof(*users) + list->count * sizeof(users->names[0]));
    for (size_t i = 0; i < list->count; i++) {
        struct str name = list->items[i];
        user_check(compiler, name, list->where[i]);
        users->names[users->count++] = (struct str){arena_str(compiler->arena, name), name.len};
    }
    return users;
}

static bool users_test(const void *data, struct asking *asking)
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

static const void *from_compile(struct compiler *compiler, const struct config_rule *rule)
{
    const struct text_list *list = &rule->from;
    struct network_list *from =
        arena_alloc(compiler->arena, sizeof(*from) + list->count * sizeof(from->networks[0]));
    for (size_t i = 0; i < list->count; i++)
        if (!network_parse(list->items[i], &from->networks[from->count++]))
            problem_error(compiler->problems, list->where[i],
                          "'%s' is neither an address, a network like 10.0.0.0/8, nor unix",
                          list->items[i].ptr);
    return from;
}

static bool from_test(const void *data, struct asking *asking)
{
    const struct network_list *from = data;
    for (size_t i = 0; i < from->count; i++)
        if (network_contains(&from->networks[i], &asking->question->subject->address))
            return true;
    return false;
}

/* ---- numbers ---- */

static const void *number_keep(struct compiler *compiler, uint64_t number)
{
    uint64_t *kept = arena_alloc(compiler->arena, sizeof(*kept));
    *kept = number;
    return kept;
}

static const void *when_compile(struct compiler *compiler, const struct config_rule *rule)
{
    return number_keep(compiler, rule->when);
}

static bool when_test(const void *data, struct asking *asking)
{
    return asking->question->pressure >= *(const uint64_t *)data;
}

static const void *min_args_compile(struct compiler *compiler, const struct config_rule *rule)
{
    return number_keep(compiler, rule->min_args);
}

static bool min_args_test(const void *data, struct asking *asking)
{
    return asking->question->argc > *(const uint64_t *)data; /* argc counts the name too */
}

static const void *min_keys_compile(struct compiler *compiler, const struct config_rule *rule)
{
    return number_keep(compiler, rule->min_keys);
}

static bool min_keys_test(const void *data, struct asking *asking)
{
    const struct question *question = asking->question;
    if (question->keys_unknown)
        return unknown_holds(asking);
    return question->key_count >= *(const uint64_t *)data;
}

static const void *min_bytes_compile(struct compiler *compiler, const struct config_rule *rule)
{
    return number_keep(compiler, rule->min_bytes);
}

/* What a script computes is as large as it likes only where an offset may be computed. */
static bool min_bytes_test(const void *data, struct asking *asking)
{
    const struct question *question = asking->question;
    const uint64_t wanted = *(const uint64_t *)data;
    if (policy_bytes(question->command, question->argv, question->argc) >= wanted)
        return true;
    return question->kind == QUESTION_CALL_OPEN && bytes_by_offset(question->command) &&
           unknown_holds(asking);
}

/* ---- the table ---- */

#define FIELD(kind, member) FIELD_##kind, offsetof(struct config_rule, member)

const struct clause_type clause_types[CLAUSE_COUNT] = {
    [CLAUSE_COMMANDS] = {"commands", FIELD(LIST, commands), NULL, NULL, NULL},
    [CLAUSE_USERS] = {"users", FIELD(LIST, users), users_compile, users_test, NULL},
    [CLAUSE_FROM] = {"from", FIELD(LIST, from), from_compile, from_test, NULL},
    [CLAUSE_WHEN] = {"when", FIELD(LEVEL, when), when_compile, when_test, NULL},
    [CLAUSE_MIN_ARGS] = {"min-args", FIELD(NUMBER, min_args), min_args_compile, min_args_test,
                         NULL},
    [CLAUSE_MIN_KEYS] = {"min-keys", FIELD(NUMBER, min_keys), min_keys_compile, min_keys_test,
                         NULL},
    [CLAUSE_DB] = {"db", FIELD(LIST, db), db_compile, db_test, NULL},
    [CLAUSE_MIN_BYTES] = {"min-bytes", FIELD(NUMBER, min_bytes), min_bytes_compile, min_bytes_test,
                          NULL},
    [CLAUSE_WITHOUT_TTL] = {"without-ttl", FIELD(YES, without_ttl), NULL, without_ttl_test,
                            without_ttl_possible},
    [CLAUSE_MAX_TTL] = {"max-ttl", FIELD(NUMBER, max_ttl), max_ttl_compile, max_ttl_test,
                        max_ttl_possible},
    [CLAUSE_KEYS] = {"keys", FIELD(LIST, keys), keys_compile, keys_test, NULL},
    [CLAUSE_CHANNELS] = {"channels", FIELD(LIST, channels), channels_compile, channels_test,
                         channels_possible},
    [CLAUSE_UNBOUNDED] = {"unbounded", FIELD(YES, unbounded), unbounded_compile, unbounded_test,
                          unbounded_possible},
    [CLAUSE_MIN_ELEMENTS] = {"min-elements", FIELD(NUMBER, min_elements), NULL, NULL, NULL},
};

/* ---- its fields ---- */

static const void *clause_field(enum clause_id id, const struct config_rule *rule)
{
    return (const char *)rule + clause_types[id].field;
}

/* Of a field that is no list. */
static uint64_t field_number(enum clause_id id, const struct config_rule *rule)
{
    const void *field = clause_field(id, rule);
    switch (clause_types[id].kind) {
    case FIELD_LIST: break;
    case FIELD_NUMBER: return *(const uint64_t *)field;
    case FIELD_YES: return *(const bool *)field;
    case FIELD_LEVEL: return *(const enum pressure *)field;
    }
    return 0;
}

bool clause_is_set(enum clause_id id, const struct config_rule *rule)
{
    if (clause_types[id].kind == FIELD_LIST)
        return ((const struct text_list *)clause_field(id, rule))->count > 0;
    return field_number(id, rule) != 0;
}

static const char *list_text(struct arena *arena, const struct text_list *list)
{
    struct buf text = {0};
    for (size_t i = 0; i < list->count; i++) {
        buf_text(&text, i ? ", " : "");
        buf_str(&text, list->items[i]);
    }
    const char *copy = arena_str(arena, buf_view(&text));
    buf_free(&text);
    return copy;
}

const char *clause_text(struct arena *arena, enum clause_id id, const struct config_rule *rule)
{
    if (!clause_is_set(id, rule))
        return "";
    if (clause_types[id].kind == FIELD_LIST)
        return list_text(arena, clause_field(id, rule));
    return arena_printf(arena, "%llu", (unsigned long long)field_number(id, rule));
}
