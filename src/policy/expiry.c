/* expiry.c - the clauses without-ttl and max-ttl: what a command does to a key's time to live. */
#include "internal.h"

/* What a request sets: nothing, a time, or that is not to be told (the server refuses such
 * requests, or knows an option this version does not). */
enum expiry_kind { EXPIRY_NONE, EXPIRY_SET, EXPIRY_UNKNOWN };
struct expiry {
    enum expiry_kind kind;
    uint64_t ms;  /* EXPIRY_SET: from now on; 0 when it is in the past */
    bool cleared; /* leaves the key without */
    bool kept;    /* leaves the key with what it has */
};

enum unit { SECONDS, MILLISECONDS, AT_SECONDS, AT_MILLISECONDS };

static struct expiry expiry_read(struct str text, enum unit unit)
{
    struct expiry expiry = {.kind = EXPIRY_SET};
    int64_t value;
    if (!str_to_int(text, &value))
        return (struct expiry){.kind = EXPIRY_UNKNOWN};
    bool seconds = unit == SECONDS || unit == AT_SECONDS;
    if (seconds && __builtin_mul_overflow(value, 1000, &value))
        return (struct expiry){.kind = EXPIRY_UNKNOWN};
    /* Two clocks are never the same: a second is granted. */
    if (unit == AT_SECONDS || unit == AT_MILLISECONDS)
        if (__builtin_sub_overflow(value, (clock_wall() + 1) * 1000, &value))
            return (struct expiry){.kind = EXPIRY_SET}; /* long past */
    expiry.ms = value > 0 ? (uint64_t)value : 0;
    return expiry;
}

/* ---- SET and GETEX: options behind the key, or key and value ---- */

enum word_kind { WORD_PLAIN, WORD_VALUE, WORD_TIME, WORD_KEEP, WORD_PERSIST };
static const struct word {
    struct str name;
    enum word_kind kind;
    enum unit unit;
} words[] = {
    {{"ex", 2}, WORD_TIME, SECONDS},
    {{"px", 2}, WORD_TIME, MILLISECONDS},
    {{"exat", 4}, WORD_TIME, AT_SECONDS},
    {{"pxat", 4}, WORD_TIME, AT_MILLISECONDS},
    {{"keepttl", 7}, WORD_KEEP, 0},
    {{"persist", 7}, WORD_PERSIST, 0},
    {{"nx", 2}, WORD_PLAIN, 0},
    {{"xx", 2}, WORD_PLAIN, 0},
    {{"get", 3}, WORD_PLAIN, 0},
    {{"ifeq", 4}, WORD_VALUE, 0}, /* Valkey 8.1; the value may read like an option */
};

static const struct word *word_find(struct str text)
{
    for (size_t i = 0; i < ARRAY_LEN(words); i++)
        if (str_equal_nocase(words[i].name, text))
            return &words[i];
    return NULL;
}

/* Walked as Redis does (t_string.c, parseExtendedStringArgumentsOrReply): an option it does not
 * know ends it. */
static struct expiry options_read(const struct question *question, size_t from)
{
    static const struct expiry unknown = {.kind = EXPIRY_UNKNOWN};
    struct expiry expiry = {.kind = EXPIRY_NONE};
    for (size_t i = from; i < question->argc; i++) {
        const struct word *word = word_find(question->argv[i]);
        if (!word)
            return unknown;
        bool valued = word->kind == WORD_TIME || word->kind == WORD_VALUE;
        if (valued && ++i == question->argc)
            return unknown;
        if (word->kind == WORD_TIME)
            expiry = expiry_read(question->argv[i], word->unit);
        if (expiry.kind == EXPIRY_UNKNOWN)
            return unknown;
        expiry.kept |= word->kind == WORD_KEEP;
        expiry.cleared |= word->kind == WORD_PERSIST;
    }
    return expiry;
}

static struct expiry set(const struct question *question, enum unit unit)
{
    struct expiry expiry = options_read(question, 3);
    expiry.cleared = expiry.kind == EXPIRY_NONE && !expiry.kept;
    return expiry;
}

static struct expiry getex(const struct question *question, enum unit unit)
{
    return options_read(question, 2);
}

/* ---- others ---- */

/* EXPIRE key time, SETEX key time value */
static struct expiry time_second(const struct question *question, enum unit unit)
{
    if (question->argc < 3)
        return (struct expiry){.kind = EXPIRY_UNKNOWN};
    return expiry_read(question->argv[2], unit);
}

/* RESTORE key ttl value [REPLACE] [ABSTTL] [IDLETIME n] [FREQ n]; 0 is none. */
static struct expiry restore(const struct question *question, enum unit unit)
{
    if (question->argc < 3)
        return (struct expiry){.kind = EXPIRY_UNKNOWN};
    for (size_t i = 4; i < question->argc; i++) {
        if (policy_is_unknown(question->argv[i]))
            return (struct expiry){.kind = EXPIRY_UNKNOWN};
        if (str_equal_nocase(question->argv[i], STR("absttl")))
            unit = AT_MILLISECONDS;
    }
    if (str_equal(question->argv[2], STR("0")))
        return (struct expiry){.kind = EXPIRY_NONE, .cleared = true};
    return expiry_read(question->argv[2], unit);
}

static struct expiry never(const struct question *question, enum unit unit)
{
    return (struct expiry){.kind = EXPIRY_NONE, .cleared = true};
}

/* ---- the table ---- */

enum { CLEARS = 1, SETS = 2 };
static const struct {
    const char *command;
    unsigned can;
    struct expiry (*read)(const struct question *question, enum unit unit);
    enum unit unit;
} expiries[] = {
    {"", 0, NULL, 0},
    {"set", CLEARS | SETS, set, 0},
    {"getex", CLEARS | SETS, getex, 0},
    {"setnx", CLEARS, never, 0},
    {"getset", CLEARS, never, 0},
    {"mset", CLEARS, never, 0},
    {"msetnx", CLEARS, never, 0},
    {"persist", CLEARS, never, 0},
    {"restore", CLEARS | SETS, restore, MILLISECONDS},
    {"restore-asking", CLEARS | SETS, restore, MILLISECONDS},
    {"expire", SETS, time_second, SECONDS},
    {"pexpire", SETS, time_second, MILLISECONDS},
    {"expireat", SETS, time_second, AT_SECONDS},
    {"pexpireat", SETS, time_second, AT_MILLISECONDS},
    {"setex", SETS, time_second, SECONDS},
    {"psetex", SETS, time_second, MILLISECONDS},
};

uint8_t expiry_of(const char *command)
{
    for (size_t i = 1; i < ARRAY_LEN(expiries); i++)
        if (strcmp(expiries[i].command, command) == 0)
            return (uint8_t)i;
    return 0;
}

static struct expiry request_expiry(const struct asking *asking)
{
    uint8_t row = asking->row->expiry;
    if (!row)
        return (struct expiry){.kind = EXPIRY_NONE};
    return expiries[row].read(asking->question, expiries[row].unit);
}

/* ---- for counting ---- */

bool policy_may_expire(const struct command *command)
{
    return expiry_of(command->name) != 0;
}

enum expiry_effect policy_expiry(const struct command *command, const struct str *argv, size_t argc)
{
    const struct question question = {.command = command, .argv = argv, .argc = argc};
    uint8_t row = expiry_of(command->name);
    struct expiry expiry = expiries[row].read(&question, expiries[row].unit);
    if (expiry.kind == EXPIRY_SET)
        return EXPIRY_GIVEN;
    return expiry.cleared ? EXPIRY_REMOVED : EXPIRY_UNTOUCHED;
}

/* ---- the clauses ---- */

bool without_ttl_possible(const struct command *command)
{
    return expiries[expiry_of(command->name)].can & CLEARS;
}

bool without_ttl_test(const void *data, struct asking *asking)
{
    struct expiry expiry = request_expiry(asking);
    return expiry.kind == EXPIRY_UNKNOWN ? unknown_holds(asking) : expiry.cleared;
}

bool max_ttl_possible(const struct command *command)
{
    return expiries[expiry_of(command->name)].can & SETS;
}

const void *max_ttl_compile(struct compiler *compiler, const struct config_rule *rule)
{
    uint64_t *ms = arena_alloc(compiler->arena, sizeof(*ms));
    *ms = rule->max_ttl;
    return ms;
}

bool max_ttl_test(const void *data, struct asking *asking)
{
    struct expiry expiry = request_expiry(asking);
    switch (expiry.kind) {
    case EXPIRY_NONE: return false;
    case EXPIRY_SET: return expiry.ms > *(const uint64_t *)data;
    case EXPIRY_UNKNOWN: break;
    }
    return unknown_holds(asking);
}
