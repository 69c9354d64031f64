/* row.c - reads one row of a COMMAND reply.
 *
 * The reply is another program's word and may be of any version, Redis 2.8 to 8, Valkey or with
 * modules: a row is an array of name, arity, flags, first, last, step, and since 6 categories,
 * since 7 tips, key specifications and subcommands. Names of flags, categories and tips that are
 * unknown here are passed over; a key specification that cannot be read makes keys unknown. */
#include "internal.h"

enum { SPECS_MAX = 32, POSITION_MAX = 10000 };

/* ---- names of things ---- */

struct word {
    const char *name;
    unsigned bits;
};

static const struct word flag_words[] = {
    {"write", CMD_WRITE},
    {"readonly", CMD_READONLY},
    {"denyoom", CMD_DENYOOM},
    {"admin", CMD_ADMIN},
    {"pubsub", CMD_PUBSUB},
    {"noscript", CMD_NOSCRIPT},
    {"blocking", CMD_BLOCKING},
    {"loading", CMD_LOADING},
    {"stale", CMD_STALE},
    {"skip_monitor", CMD_SKIP_MONITOR},
    {"skip_slowlog", CMD_SKIP_SLOWLOG},
    {"asking", CMD_ASKING},
    {"fast", CMD_FAST},
    {"no_auth", CMD_NO_AUTH},
    {"may_replicate", CMD_MAY_REPLICATE},
    {"no_mandatory_keys", CMD_NO_MANDATORY_KEYS},
    {"no_multi", CMD_NO_MULTI},
    {"movablekeys", CMD_MOVABLEKEYS},
    {"allow_busy", CMD_ALLOW_BUSY},
    {"no_async_loading", CMD_NO_ASYNC_LOADING},
};

static const struct word key_words[] = {
    {"RO", KEY_RO},
    {"RW", KEY_RW},
    {"OW", KEY_OW},
    {"RM", KEY_RM},
    {"access", KEY_ACCESS},
    {"update", KEY_UPDATE},
    {"insert", KEY_INSERT},
    {"delete", KEY_DELETE},
    {"not_key", KEY_NOT_KEY},
    {"incomplete", KEY_INCOMPLETE},
    {"variable_flags", KEY_VARIABLE_FLAGS},
};

static const struct word request_words[] = {
    {"request_policy:all_nodes", REQUEST_ALL_NODES},
    {"request_policy:all_shards", REQUEST_ALL_SHARDS},
    {"request_policy:multi_shard", REQUEST_MULTI_SHARD},
    {"request_policy:special", REQUEST_SPECIAL},
};

static const struct word response_words[] = {
    {"response_policy:one_succeeded", RESPONSE_ONE_SUCCEEDED},
    {"response_policy:all_succeeded", RESPONSE_ALL_SUCCEEDED},
    {"response_policy:agg_sum", RESPONSE_AGG_SUM},
    {"response_policy:agg_min", RESPONSE_AGG_MIN},
    {"response_policy:agg_logical_and", RESPONSE_AGG_LOGICAL_AND},
    {"response_policy:special", RESPONSE_SPECIAL},
};

/* The bits of all known words in an array of texts. */
static unsigned words_bits(const struct tree *tree, const struct word *words, size_t count)
{
    unsigned bits = 0;
    for (size_t i = 0; is_array(tree) && i < tree->count; i++)
        for (size_t j = 0; is_text(&tree->items[i]) && j < count; j++)
            if (is_word(tree->items[i].text, words[j].name))
                bits |= words[j].bits;
    return bits;
}

/* The value of the first known word; the tips of one kind exclude each other. */
static uint8_t words_first(const struct tree *tree, const struct word *words, size_t count)
{
    for (size_t i = 0; is_array(tree) && i < tree->count; i++)
        for (size_t j = 0; is_text(&tree->items[i]) && j < count; j++)
            if (is_word(tree->items[i].text, words[j].name))
                return (uint8_t)words[j].bits;
    return 0;
}

static uint64_t read_categories(const struct tree *tree)
{
    uint64_t classes = 0;
    for (size_t i = 0; is_array(tree) && i < tree->count; i++)
        if (is_text(&tree->items[i]))
            classes |= class_by_name(tree->items[i].text);
    /* Only Redis' own categories, which come first in classes.def: a server does not decide what
     * respgate calls a drain. */
    return classes & (CLASS_DESTRUCTIVE - 1);
}

/* ---- keys ---- */

static bool read_position(const struct tree *tree, const char *name, int64_t low, int16_t *out)
{
    const struct tree *value = tree_get(tree, name);
    if (!value || value->type != TREE_INT || value->integer < low || value->integer > POSITION_MAX)
        return false;
    *out = (int16_t)value->integer;
    return true;
}

static char *lower_copy(struct arena *arena, struct str text)
{
    char *copy = arena_str(arena, text);
    for (char *c = copy; *c; c++)
        *c = (char)(*c >= 'A' && *c <= 'Z' ? *c + 32 : *c);
    return copy;
}

static bool type_is(const struct tree *tree, const char *name)
{
    const struct tree *type = tree_get(tree, "type");
    return is_text(type) && is_word(type->text, name);
}

static bool read_begin(struct arena *arena, const struct tree *begin, struct key_spec *out)
{
    const struct tree *spec = tree_get(begin, "spec");
    if (type_is(begin, "index")) {
        out->begin = BEGIN_INDEX;
        return read_position(spec, "index", 1, &out->index);
    }
    const struct tree *keyword = tree_get(spec, "keyword");
    if (!type_is(begin, "keyword") || !is_text(keyword) || keyword->text.len == 0 ||
        keyword->text.len > NAME_MAX_BYTES)
        return false;
    out->begin = BEGIN_KEYWORD;
    out->keyword = lower_copy(arena, keyword->text);
    return read_position(spec, "startfrom", -POSITION_MAX, &out->index) && out->index != 0;
}

static bool read_find(const struct tree *find, struct key_spec *out)
{
    const struct tree *spec = tree_get(find, "spec");
    if (type_is(find, "range")) {
        out->find = FIND_RANGE;
        return read_position(spec, "lastkey", -POSITION_MAX, &out->last) &&
               read_position(spec, "keystep", 1, &out->step) &&
               read_position(spec, "limit", 0, &out->limit);
    }
    out->find = FIND_KEYNUM;
    return type_is(find, "keynum") && read_position(spec, "keynumidx", 0, &out->numkeys) &&
           read_position(spec, "firstkey", 1, &out->first) &&
           read_position(spec, "keystep", 1, &out->step);
}

/* What cannot be read becomes an unknown specification: then no allow rule on keys holds. */
static struct key_spec read_spec(struct arena *arena, const struct tree *tree)
{
    struct key_spec spec = {0};
    if (!is_array(tree))
        return (struct key_spec){.begin = BEGIN_UNKNOWN};
    spec.flags = (uint16_t)words_bits(tree_get(tree, "flags"), key_words, ARRAY_LEN(key_words));
    if (!read_begin(arena, tree_get(tree, "begin_search"), &spec) ||
        !read_find(tree_get(tree, "find_keys"), &spec))
        return (struct key_spec){.flags = spec.flags, .begin = BEGIN_UNKNOWN};
    return spec;
}

/* The first, last and step of servers before 7. Some modules say 0 for the last: to the end. */
static struct key_spec legacy_spec(const struct tree *row, uint32_t flags)
{
    int64_t first = row[ROW_FIRST].integer, last = row[ROW_LAST].integer;
    return (struct key_spec){
        .flags = flags & CMD_WRITE ? KEY_RW | KEY_ACCESS | KEY_UPDATE : KEY_RO | KEY_ACCESS,
        .begin = BEGIN_INDEX,
        .index = (int16_t)first,
        .find = FIND_RANGE,
        .last = (int16_t)(last < 0 ? last : last - first),
        .step = (int16_t)row[ROW_STEP].integer,
    };
}

static bool is_movable(const struct key_spec *spec)
{
    return spec->begin != BEGIN_INDEX || spec->find != FIND_RANGE || spec->flags & KEY_INCOMPLETE;
}

/* Keys that move and no specification that does: only the server's own function knows them. */
static void read_keys(struct arena *arena, const struct tree *row, struct command *command)
{
    const struct tree *list = row->count > ROW_SPECS ? &row->items[ROW_SPECS] : NULL;
    size_t count = is_array(list) ? list->count : 0;
    if (count > SPECS_MAX)
        count = 0;
    struct key_spec *specs = arena_alloc(arena, (count + 2) * sizeof(*specs));
    bool moves = false;
    for (size_t i = 0; i < count; i++) {
        specs[i] = read_spec(arena, &list->items[i]);
        moves |= is_movable(&specs[i]);
    }
    if (count == 0 && row->items[ROW_FIRST].integer > 0)
        specs[count++] = legacy_spec(row->items, command->flags);
    if ((command->flags & CMD_MOVABLEKEYS && !moves) || (is_array(list) && list->count > SPECS_MAX))
        specs[count++] = (struct key_spec){.begin = BEGIN_UNKNOWN};
    command->specs = specs;
    command->spec_count = (uint8_t)count;
}

/* ---- rows ---- */

/* Names go into rules, logs and metrics: letters, digits and the signs modules use. */
static bool is_name(struct str text)
{
    for (size_t i = 0; i < text.len; i++) {
        char c = text.ptr[i];
        bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
        if (!letter && (c == '\0' || !strchr("._-:/@+", c)))
            return false;
    }
    return text.len > 0;
}

/* The own name of a row; a subcommand's begins with its container's and a bar. */
bool row_name(const struct tree *row, const struct command *parent, struct str *out)
{
    struct str text = row->items[ROW_NAME].text;
    size_t skip = parent ? strlen(parent->name) + 1 : 0;
    if (text.len <= skip)
        return false;
    if (parent && (!str_equal_nocase((struct str){text.ptr, skip - 1}, str_of(parent->name)) ||
                   text.ptr[skip - 1] != '|'))
        return false;
    *out = (struct str){text.ptr + skip, text.len - skip};
    return is_name(*out);
}

static bool int_between(const struct tree *tree, int64_t low, int64_t high)
{
    return tree->type == TREE_INT && tree->integer >= low && tree->integer <= high;
}

bool row_is_sound(const struct tree *row)
{
    if (!is_array(row) || row->count <= ROW_STEP || !is_text(&row->items[ROW_NAME]))
        return false;
    const struct tree *items = row->items;
    int64_t first = items[ROW_FIRST].integer;
    return int_between(&items[ROW_ARITY], INT16_MIN, INT16_MAX) && is_array(&items[ROW_FLAGS]) &&
           int_between(&items[ROW_FIRST], 0, POSITION_MAX) &&
           int_between(&items[ROW_LAST], -POSITION_MAX, POSITION_MAX) &&
           int_between(&items[ROW_STEP], first > 0 ? 1 : 0, POSITION_MAX) &&
           (items[ROW_LAST].integer <= 0 || items[ROW_LAST].integer >= first);
}

/* "container|own" or own alone, in lower case. */
static const char *full_name(struct arena *arena, const struct command *parent, struct str own)
{
    const char *text = lower_copy(arena, own);
    return parent ? arena_printf(arena, "%s|%s", parent->name, text) : text;
}

struct command row_read(struct arena *arena, const struct tree *row, struct str own,
                        const struct command *parent)
{
    const struct tree *items = row->items;
    const struct tree *tips = row->count > ROW_TIPS ? &items[ROW_TIPS] : NULL;
    struct command command = {
        .name = full_name(arena, parent, own),
        .arity = (int16_t)items[ROW_ARITY].integer,
        .flags = words_bits(&items[ROW_FLAGS], flag_words, ARRAY_LEN(flag_words)) | CMD_LEARNED,
        .classes = row->count > ROW_CATEGORIES ? read_categories(&items[ROW_CATEGORIES]) : 0,
        .request_policy = words_first(tips, request_words, ARRAY_LEN(request_words)),
        .response_policy = words_first(tips, response_words, ARRAY_LEN(response_words)),
        .parent = parent,
    };
    /* WAITAOF waits as WAIT does, whatever its flags say. */
    if (!parent && is_word(own, "waitaof"))
        command.flags |= CMD_BLOCKING;
    read_keys(arena, row, &command);
    return command;
}
