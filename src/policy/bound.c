/*
 * bound.c - the unbounded clause: how many elements a command's arguments allow.
 *
 *   arguments --bound--> a number: above min-elements or not
 *                    \-> OPEN: the node knows. ASK, and come back with question.elements
 *
 * One row of the table below for each command: how its arguments bound the answer, and what to ask
 * the node for where they leave it open.
 */
#include "internal.h"

static const uint64_t OPEN = UINT64_MAX;

/* What to ask for each key. A key that may be of several types is asked for each; the wrong ones
 * answer WRONGTYPE, which counts as nothing. */
enum { ASK_LIST = 1, ASK_SET = 2, ASK_HASH = 4, ASK_ZSET = 8, ASK_STREAM = 16 };
static const struct {
    unsigned bit;
    struct str command;
} asks[] = {
    {ASK_LIST, {"LLEN", 4}},  {ASK_SET, {"SCARD", 5}},   {ASK_HASH, {"HLEN", 4}},
    {ASK_ZSET, {"ZCARD", 5}}, {ASK_STREAM, {"XLEN", 4}},
};

/* An option, how many values it has, and which of them (from 1) is the number of elements. */
struct word {
    struct str name;
    uint8_t values, bound;
};

struct form {
    const char *command;
    unsigned ask; /* 0: nothing the node could tell */
    /* OPEN when the arguments leave it open. elements: the node's answer, or -1. */
    uint64_t (*bound)(const struct form *form, const struct question *question, int64_t elements);
    uint8_t at;     /* the first argument it goes by */
    uint64_t usual; /* when the argument or option is not there */
    const struct word *words;
};

/* ---- options ---- */

static const struct word count_words[] = {{{"count", 5}, 1, 1},
                                          {{"justid", 6}, 0, 0},
                                          {{NULL, 0}, 0, 0}};
static const struct word scan_words[] = {{{"count", 5}, 1, 1},
                                         {{"match", 5}, 1, 0},
                                         {{"type", 4}, 1, 0},
                                         {{"novalues", 8}, 0, 0},
                                         {{NULL, 0}, 0, 0}};
static const struct word range_words[] = {{{"limit", 5}, 2, 2},       {{"byscore", 7}, 0, 0},
                                          {{"bylex", 5}, 0, 0},       {{"rev", 3}, 0, 0},
                                          {{"withscores", 10}, 0, 0}, {{NULL, 0}, 0, 0}};
static const struct word sort_words[] = {{{"limit", 5}, 2, 2}, {{"by", 2}, 1, 0},
                                         {{"get", 3}, 1, 0},   {{"store", 5}, 1, 0},
                                         {{"asc", 3}, 0, 0},   {{"desc", 4}, 0, 0},
                                         {{"alpha", 5}, 0, 0}, {{NULL, 0}, 0, 0}};
static const struct word stream_words[] = {{{"count", 5}, 1, 1},
                                           {{"block", 5}, 1, 0},
                                           {{"group", 5}, 2, 0},
                                           {{"noack", 5}, 0, 0},
                                           {{NULL, 0}, 0, 0}};
static const struct word full_words[] = {{{"full", 4}, 0, 0},
                                         {{"count", 5}, 1, 1},
                                         {{NULL, 0}, 0, 0}};
static const struct word position_words[] = {{{"count", 5}, 1, 1},
                                             {{"rank", 4}, 1, 0},
                                             {{"maxlen", 6}, 1, 0},
                                             {{NULL, 0}, 0, 0}};
static const struct word geo_words[] = {
    {{"count", 5}, 1, 1},    {{"any", 3}, 0, 0},       {{"asc", 3}, 0, 0},
    {{"desc", 4}, 0, 0},     {{"withcoord", 9}, 0, 0}, {{"withdist", 8}, 0, 0},
    {{"withhash", 8}, 0, 0}, {{"store", 5}, 1, 0},     {{"storedist", 9}, 1, 0},
    {{NULL, 0}, 0, 0},
};
/* GEOSEARCHSTORE's STOREDIST has no value. */
static const struct word search_words[] = {
    {{"count", 5}, 1, 1},       {{"any", 3}, 0, 0},       {{"asc", 3}, 0, 0},
    {{"desc", 4}, 0, 0},        {{"withcoord", 9}, 0, 0}, {{"withdist", 8}, 0, 0},
    {{"withhash", 8}, 0, 0},    {{"storedist", 9}, 0, 0}, {{"frommember", 10}, 1, 0},
    {{"fromlonlat", 10}, 2, 0}, {{"byradius", 8}, 2, 0},  {{"bybox", 5}, 3, 0},
    {{NULL, 0}, 0, 0},
};

static const struct word *word_find(const struct word *words, struct str text)
{
    for (; words->name.ptr; words++)
        if (str_equal_nocase(words->name, text))
            return words;
    return NULL;
}

/* A number of elements: what is none, or negative, sets no bound. */
static uint64_t number_of(struct str text)
{
    int64_t number;
    return str_to_int(text, &number) && number >= 0 ? (uint64_t)number : OPEN;
}

/* Walks options from *at to the end, or to one that is not among them; *at is where it stopped.
 * The last bound counts, as in Redis; `usual` when there is none. */
static uint64_t words_walk(const struct form *form, const struct question *question, size_t *at)
{
    uint64_t bound = form->usual;
    size_t i = *at;
    for (const struct word *word; i < question->argc; i += word->values + 1u) {
        word = word_find(form->words, question->argv[i]);
        if (!word || i + word->values >= question->argc)
            break;
        if (word->bound)
            bound = number_of(question->argv[i + word->bound]);
    }
    *at = i;
    return bound;
}

static uint64_t least(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

/* Where the arguments leave it open the answer has what the keys have. */
static uint64_t at_most(uint64_t bound, int64_t elements)
{
    return elements < 0 ? bound : least(bound, (uint64_t)elements);
}

/* ---- shapes ---- */

/* Everything there is. */
static uint64_t whole(const struct form *form, const struct question *question, int64_t elements)
{
    return at_most(OPEN, elements);
}

/* An option says. One that is not known may change what the others mean. */
static uint64_t option(const struct form *form, const struct question *question, int64_t elements)
{
    size_t at = form->at;
    uint64_t bound = words_walk(form, question, &at);
    return at_most(at < question->argc ? OPEN : bound, elements);
}

/* As option(), where 0 means all. */
static uint64_t option_or_all(const struct form *form, const struct question *question,
                              int64_t elements)
{
    size_t at = form->at;
    uint64_t bound = words_walk(form, question, &at);
    return at_most(at < question->argc || bound == 0 ? OPEN : bound, elements);
}

/* XINFO STREAM key [FULL [COUNT n]]: each of entries, groups and consumers; 0 means all. */
static uint64_t stream_full(const struct form *form, const struct question *question,
                            int64_t elements)
{
    return question->argc > form->at ? option_or_all(form, question, elements) : 1;
}

/* start and stop, counted from the end when negative. */
static uint64_t places(const struct question *question, size_t at, int64_t elements)
{
    int64_t start, stop;
    if (at + 1 >= question->argc || !str_to_int(question->argv[at], &start) ||
        !str_to_int(question->argv[at + 1], &stop))
        return at_most(OPEN, elements);
    if (elements >= 0) {
        start = start < 0 ? start + elements : start;
        stop = stop < 0 ? stop + elements : stop;
        start = start < 0 ? 0 : start;
        stop = stop >= elements ? elements - 1 : stop;
    } else if (start >= 0 && stop < 0) {
        return OPEN;
    } else if (start < 0 && stop >= 0) { /* no more than there are at either end */
        return least(0 - (uint64_t)start, (uint64_t)stop + 1);
    }
    return start > stop ? 0 : (uint64_t)stop - (uint64_t)start + 1;
}

static uint64_t index_range(const struct form *form, const struct question *question,
                            int64_t elements)
{
    return places(question, form->at, elements);
}

/* ZRANGE: by index, unless BYSCORE or BYLEX, where LIMIT says. */
static uint64_t zrange(const struct form *form, const struct question *question, int64_t elements)
{
    size_t at = form->at + 2u;
    bool by_index = true;
    uint64_t bound = words_walk(form, question, &at);
    for (size_t i = form->at + 2u; i < question->argc; i++)
        if (str_equal_nocase(question->argv[i], STR("byscore")) ||
            str_equal_nocase(question->argv[i], STR("bylex")))
            by_index = false;
    if (at < question->argc)
        return at_most(OPEN, elements);
    return by_index ? places(question, form->at, elements) : at_most(bound, elements);
}

/* A count where it stands; random members are repeated when it is negative. */
static uint64_t count_at(const struct form *form, const struct question *question, int64_t elements)
{
    int64_t count;
    if (question->argc <= form->at)
        return form->usual;
    if (!str_to_int(question->argv[form->at], &count))
        return OPEN;
    return count < 0 ? 0 - (uint64_t)count : (uint64_t)count;
}

/* [BLOCK] LMPOP numkeys key ... LEFT [COUNT n] */
static uint64_t pop_many(const struct form *form, const struct question *question, int64_t elements)
{
    int64_t keys;
    if (question->argc <= form->at || !str_to_int(question->argv[form->at], &keys) || keys < 0 ||
        (uint64_t)keys >= question->argc)
        return OPEN;
    size_t at = form->at + (size_t)keys + 2;
    uint64_t bound = words_walk(form, question, &at);
    return at < question->argc ? OPEN : bound;
}

/* XPENDING key group [[IDLE ms] start end count [consumer]]: without a range, one row a consumer.
 */
static uint64_t pending(const struct form *form, const struct question *question, int64_t elements)
{
    size_t at = form->at;
    if (question->argc <= at)
        return 1;
    if (str_equal_nocase(question->argv[at], STR("idle")))
        at += 2;
    return at + 2 < question->argc ? number_of(question->argv[at + 2]) : OPEN;
}

/* SORT: every GET makes one more of each element. */
static uint64_t sort(const struct form *form, const struct question *question, int64_t elements)
{
    size_t at = form->at, gets = 0;
    uint64_t bound = words_walk(form, question, &at), all;
    for (size_t i = form->at; i < at;) {
        const struct word *word = word_find(form->words, question->argv[i]);
        gets += str_equal_nocase(question->argv[i], STR("get"));
        i += word->values + 1u;
    }
    bound = at_most(at < question->argc ? OPEN : bound, elements);
    if (bound == OPEN || __builtin_mul_overflow(bound, gets ? gets : 1, &all))
        return OPEN;
    return all;
}

/* XREAD, XREADGROUP: COUNT is for each stream, 0 is all. "$" waits for what is to come. A group's
 * history (any id but ">") is not what XLEN counts: entries in it may be deleted. */
static uint64_t streams(const struct form *form, const struct question *question, int64_t elements)
{
    size_t at = form->at, count, coming = 0, history = 0;
    uint64_t bound = words_walk(form, question, &at), all;
    bool group = question->argc > 1 && str_equal_nocase(question->argv[1], STR("group"));
    if (at >= question->argc || !str_equal_nocase(question->argv[at], STR("streams")))
        return at_most(OPEN, elements);
    count = (question->argc - at - 1) / 2;
    for (size_t i = question->argc - count; i < question->argc; i++) {
        coming += str_equal(question->argv[i], STR("$"));
        history += group && !str_equal(question->argv[i], STR(">"));
    }
    if (bound == 0 || bound == OPEN || __builtin_mul_overflow(bound, count - coming, &all))
        all = count == coming ? 0 : OPEN;
    return history ? all : at_most(all, elements);
}

/* ---- the table ---- */

static const struct form forms[] = {
    {"", 0, NULL, 0, 0, NULL},
    /* everything */
    {"keys", 0, whole, 0, 0, NULL},
    {"smembers", ASK_SET, whole, 0, 0, NULL},
    {"hgetall", ASK_HASH, whole, 0, 0, NULL},
    {"hkeys", ASK_HASH, whole, 0, 0, NULL},
    {"hvals", ASK_HASH, whole, 0, 0, NULL},
    {"sinter", ASK_SET, whole, 0, 0, NULL},
    {"sinterstore", ASK_SET, whole, 0, 0, NULL},
    {"sunion", ASK_SET, whole, 0, 0, NULL},
    {"sunionstore", ASK_SET, whole, 0, 0, NULL},
    {"sdiff", ASK_SET, whole, 0, 0, NULL},
    {"sdiffstore", ASK_SET, whole, 0, 0, NULL},
    {"zinter", ASK_ZSET | ASK_SET, whole, 0, 0, NULL},
    {"zinterstore", ASK_ZSET | ASK_SET, whole, 0, 0, NULL},
    {"zunion", ASK_ZSET | ASK_SET, whole, 0, 0, NULL},
    {"zunionstore", ASK_ZSET | ASK_SET, whole, 0, 0, NULL},
    {"zdiff", ASK_ZSET | ASK_SET, whole, 0, 0, NULL},
    {"zdiffstore", ASK_ZSET | ASK_SET, whole, 0, 0, NULL},
    /* from one place to another */
    {"lrange", ASK_LIST, index_range, 2, 0, NULL},
    {"zrevrange", ASK_ZSET, index_range, 2, 0, NULL},
    {"zrange", ASK_ZSET, zrange, 2, OPEN, range_words},
    {"zrangestore", ASK_ZSET, zrange, 3, OPEN, range_words},
    /* LIMIT and COUNT */
    {"zrangebyscore", ASK_ZSET, option, 4, OPEN, range_words},
    {"zrevrangebyscore", ASK_ZSET, option, 4, OPEN, range_words},
    {"zrangebylex", ASK_ZSET, option, 4, OPEN, range_words},
    {"zrevrangebylex", ASK_ZSET, option, 4, OPEN, range_words},
    {"xrange", ASK_STREAM, option, 4, OPEN, count_words},
    {"xrevrange", ASK_STREAM, option, 4, OPEN, count_words},
    {"georadius", ASK_ZSET, option, 6, OPEN, geo_words},
    {"georadius_ro", ASK_ZSET, option, 6, OPEN, geo_words},
    {"georadiusbymember", ASK_ZSET, option, 5, OPEN, geo_words},
    {"georadiusbymember_ro", ASK_ZSET, option, 5, OPEN, geo_words},
    {"geosearch", ASK_ZSET, option, 2, OPEN, search_words},
    {"geosearchstore", ASK_ZSET, option, 3, OPEN, search_words},
    {"sort", ASK_LIST | ASK_SET | ASK_ZSET, sort, 2, OPEN, sort_words},
    {"sort_ro", ASK_LIST | ASK_SET | ASK_ZSET, sort, 2, OPEN, sort_words},
    {"xread", ASK_STREAM, streams, 1, OPEN, stream_words},
    {"xreadgroup", ASK_STREAM, streams, 1, OPEN, stream_words},
    {"lpos", ASK_LIST, option_or_all, 3, 1, position_words},
    {"scan", 0, option, 2, 10, scan_words},
    {"hscan", 0, option, 3, 10, scan_words},
    {"sscan", 0, option, 3, 10, scan_words},
    {"zscan", 0, option, 3, 10, scan_words},
    {"xautoclaim", 0, option, 6, 100, count_words},
    {"xinfo|stream", 0, stream_full, 3, 10, full_words},
    {"xpending", 0, pending, 3, 0, NULL},
    {"cluster|getkeysinslot", 0, count_at, 3, 1, NULL},
    /* a count */
    {"srandmember", 0, count_at, 2, 1, NULL},
    {"hrandfield", 0, count_at, 2, 1, NULL},
    {"zrandmember", 0, count_at, 2, 1, NULL},
    {"spop", 0, count_at, 2, 1, NULL},
    {"lpop", 0, count_at, 2, 1, NULL},
    {"rpop", 0, count_at, 2, 1, NULL},
    {"zpopmin", 0, count_at, 2, 1, NULL},
    {"zpopmax", 0, count_at, 2, 1, NULL},
    {"lmpop", 0, pop_many, 1, 1, count_words},
    {"zmpop", 0, pop_many, 1, 1, count_words},
    {"blmpop", 0, pop_many, 2, 1, count_words},
    {"bzmpop", 0, pop_many, 2, 1, count_words},
};

uint8_t bound_of(const char *command)
{
    for (size_t i = 1; i < ARRAY_LEN(forms); i++)
        if (strcmp(forms[i].command, command) == 0)
            return (uint8_t)i;
    return 0;
}

/* ---- asking ---- */

/* A destination is overwritten, whatever it holds. (Redis 7 calls that of SINTERSTORE "RW".) */
static bool key_is_read(const struct key_ref *key)
{
    return !(key->flags & (KEY_OW | KEY_UPDATE)) || key->flags & KEY_ACCESS;
}

static size_t asks_needed(const struct form *form, const struct question *question)
{
    size_t keys = 0, kinds = (size_t)__builtin_popcount(form->ask);
    for (size_t i = 0; i < question->key_count; i++)
        keys += key_is_read(&question->keys[i]);
    return keys * kinds;
}

bool policy_ask(const struct policy *policy, const struct question *question, size_t *at,
                struct str argv[2])
{
    const struct form *form = &forms[policy->commands[question->command->id].bound];
    for (; *at < question->key_count * ARRAY_LEN(asks); ++*at) {
        const struct key_ref *key = &question->keys[*at / ARRAY_LEN(asks)];
        size_t kind = *at % ARRAY_LEN(asks);
        if (!key_is_read(key) || !(form->ask & asks[kind].bit))
            continue;
        argv[0] = asks[kind].command;
        argv[1] = question->argv[key->arg];
        ++*at;
        return true;
    }
    return false;
}

/* ---- the clause ---- */

bool unbounded_possible(const struct command *command)
{
    return bound_of(command->name) != 0;
}

const void *unbounded_compile(struct compiler *compiler, const struct config_rule *rule)
{
    uint64_t *few = arena_alloc(compiler->arena, sizeof(*few)); /* 0: any number that is told */
    *few = rule->min_elements;
    return few;
}

bool unbounded_test(const void *data, struct asking *asking)
{
    const uint64_t few = *(const uint64_t *)data;
    const struct question *question = asking->question;
    const struct form *form = &forms[asking->row->bound];
    if (!form->bound)
        return false;
    uint64_t bound = form->bound(form, question, -1);
    if (bound != OPEN)
        return few && bound > few;
    if (!few || !form->ask)
        return true;
    if (question->asked == ELEMENTS_ASKED && question->elements >= 0)
        return form->bound(form, question, question->elements) > few;
    size_t needed = asks_needed(form, question);
    if (question->asked == ELEMENTS_MAY_ASK && needed > 0 && needed <= POLICY_ASKS_MAX) {
        asking->ask = true;
        return true;
    }
    asking->blind = question->asked == ELEMENTS_ASKED;
    return unknown_holds(asking);
}
