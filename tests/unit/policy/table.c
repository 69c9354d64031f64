/* table.c - a command table of few rows in place of src/command: the facts tests count on. */
#include "fixture.h"

static const struct key_spec one_key[] = {
    {.begin = BEGIN_INDEX, .index = 1, .find = FIND_RANGE, .last = 0, .step = 1}};
static const struct key_spec two_keys[] = {
    {.begin = BEGIN_INDEX, .index = 1, .find = FIND_RANGE, .last = 1, .step = 1}};
static const struct key_spec all_keys[] = {
    {.begin = BEGIN_INDEX, .index = 1, .find = FIND_RANGE, .last = -1, .step = 1}};
static const struct key_spec every_second[] = {
    {.begin = BEGIN_INDEX, .index = 1, .find = FIND_RANGE, .last = -1, .step = 2}};
static const struct key_spec no_key[] = {{.flags = KEY_NOT_KEY,
                                          .begin = BEGIN_INDEX,
                                          .index = 1,
                                          .find = FIND_RANGE,
                                          .last = 0,
                                          .step = 1}};

enum { ROW_CONFIG = 6, ROW_CLIENT = 9 };
static const struct command rows[];

#define C(class)   (1ull << CLASS_BIT_##class)
#define KEYS(list) .specs = list, .spec_count = 1
static const struct command rows[] = {
    {.name = "get", .flags = CMD_READONLY, .classes = C(READ) | C(FAST), KEYS(one_key)},
    {.name = "set", .flags = CMD_WRITE, .classes = C(WRITE) | C(GROWTH), KEYS(one_key)},
    {.name = "del", .flags = CMD_WRITE, .classes = C(WRITE) | C(DELETE), KEYS(all_keys)},
    {.name = "rename", .flags = CMD_WRITE, .classes = C(WRITE) | C(DELETE), KEYS(two_keys)},
    {.name = "expire",
     .flags = CMD_WRITE,
     .classes = C(WRITE) | C(FAST),
     .maybe = C(DELETE),
     KEYS(one_key)},
    {.name = "flushall", .flags = CMD_WRITE, .classes = C(WRITE) | C(DESTRUCTIVE)},
    {.name = "config", .classes = C(SLOW)},
    {.name = "config|get", .flags = CMD_ADMIN, .classes = C(INSPECT), .parent = rows + ROW_CONFIG},
    {.name = "config|set",
     .flags = CMD_ADMIN,
     .classes = C(DESTRUCTIVE) | C(ADMIN),
     .parent = rows + ROW_CONFIG},
    {.name = "client", .classes = C(SLOW)},
    {.name = "client|tracking", .classes = C(CONNECTION), .parent = rows + ROW_CLIENT},
    {.name = "sort", .classes = C(READ), .maybe = C(WRITE) | C(DELETE), KEYS(one_key)},
    {.name = "copy", .flags = CMD_WRITE, .classes = C(WRITE), .maybe = C(DELETE), KEYS(two_keys)},
    {.name = "move", .flags = CMD_WRITE, .classes = C(WRITE), KEYS(one_key)},
    {.name = "swapdb", .flags = CMD_WRITE, .classes = C(WRITE) | C(DESTRUCTIVE)},
    {.name = "select", .classes = C(CONNECTION)},
    {.name = "publish", .classes = C(PUBSUB)},
    {.name = "spublish", .classes = C(PUBSUB), KEYS(no_key)},
    {.name = "keys", .classes = C(READ) | C(KEYSPACE)},
    {.name = "scan", .classes = C(READ) | C(KEYSPACE)},
    {.name = "ping", .classes = C(FAST) | C(CONNECTION)},
    {.name = "ft.search", .flags = CMD_LEARNED | CMD_READONLY, .classes = C(READ)},
    {.name = "ft.add", .flags = CMD_LEARNED | CMD_WRITE, .classes = C(WRITE), KEYS(one_key)},
    {.name = "ft.shout", .flags = CMD_LEARNED, .classes = C(PUBSUB), KEYS(no_key)},
    {.name = "ft.admin", .flags = CMD_LEARNED | CMD_READONLY | CMD_ADMIN, .classes = C(READ)},
    {.name = "ft.risky", .flags = CMD_LEARNED, .classes = C(DANGEROUS), KEYS(one_key)},
    {.name = "ft.lua", .flags = CMD_LEARNED | CMD_NOSCRIPT | CMD_READONLY, .classes = C(READ)},
    {.name = "ft.plain", .flags = CMD_LEARNED, .classes = C(SLOW)},
    {.name = "config|new", .flags = CMD_LEARNED, .classes = C(SLOW), .parent = rows + ROW_CONFIG},
    {.name = "subscribe", .classes = C(PUBSUB)},
    {.name = "psubscribe", .classes = C(PUBSUB)},
    {.name = "lrange", .flags = CMD_READONLY, .classes = C(READ) | C(SLOW), KEYS(one_key)},
    {.name = "hgetall", .flags = CMD_READONLY, .classes = C(READ) | C(SLOW), KEYS(one_key)},
    {.name = "sunion", .flags = CMD_READONLY, .classes = C(READ) | C(SLOW), KEYS(all_keys)},
    {.name = "srandmember", .flags = CMD_READONLY, .classes = C(READ), KEYS(one_key)},
    {.name = "setex", .flags = CMD_WRITE, .classes = C(WRITE) | C(GROWTH), KEYS(one_key)},
    {.name = "getex", .flags = CMD_WRITE, .classes = C(WRITE) | C(FAST), KEYS(one_key)},
    {.name = "mset", .flags = CMD_WRITE, .classes = C(WRITE) | C(GROWTH), KEYS(every_second)},
};

/* Ids are places; filled in once. */
static struct command table[ARRAY_LEN(rows)];

size_t command_count(const struct command_table *unused)
{
    return ARRAY_LEN(rows);
}

const struct command *command_by_id(const struct command_table *unused, size_t id)
{
    if (!table[id].name) {
        table[id] = rows[id];
        table[id].id = (uint16_t)id;
        if (rows[id].parent)
            table[id].parent = command_by_id(unused, (size_t)(rows[id].parent - rows));
    }
    return &table[id];
}

const struct command *command_by_name(const struct command_table *unused, struct str name)
{
    for (size_t id = 0; id < ARRAY_LEN(rows); id++)
        if (str_equal_nocase(str_of(rows[id].name), name))
            return command_by_id(unused, id);
    return NULL;
}

enum lookup command_lookup(const struct command_table *unused, const struct str *argv, size_t argc,
                           const struct command **out)
{
    char full[128];
    if (argc > 1) {
        snprintf(full, sizeof(full), "%.*s|%.*s", (int)argv[0].len, argv[0].ptr, (int)argv[1].len,
                 argv[1].ptr);
        *out = command_by_name(unused, str_of(full));
        if (*out)
            return LOOKUP_FOUND;
    }
    *out = command_by_name(unused, argv[0]);
    return *out ? LOOKUP_FOUND : LOOKUP_UNKNOWN;
}

static bool has_argument(const struct str *argv, size_t argc, const char *text)
{
    for (size_t i = 2; i < argc; i++)
        if (str_equal_nocase(argv[i], str_of(text)))
            return true;
    return false;
}

uint64_t command_classes(const struct command *command, const struct str *argv, size_t argc)
{
    uint64_t classes = command->classes;
    if (strcmp(command->name, "expire") == 0 && argc > 2 && argv[2].ptr[0] == '-')
        classes |= CLASS_DELETE;
    if (strcmp(command->name, "sort") == 0 && has_argument(argv, argc, "store"))
        classes |= CLASS_WRITE | CLASS_DELETE;
    if (strcmp(command->name, "copy") == 0 && has_argument(argv, argc, "replace"))
        classes |= CLASS_DELETE;
    return classes;
}

size_t command_keys(const struct command *command, const struct str *argv, size_t argc,
                    struct key_ref *refs, size_t cap, bool *unknown)
{
    size_t count = 0;
    for (size_t i = 0; i < command->spec_count; i++) {
        const struct key_spec *spec = &command->specs[i];
        size_t last = spec->last < 0 ? argc - 1 : (size_t)(spec->index + spec->last);
        for (size_t arg = (size_t)spec->index; arg <= last && arg < argc; arg += (size_t)spec->step)
            refs[count++] = (struct key_ref){(uint32_t)arg, spec->flags};
    }
    *unknown = strcmp(command->name, "sort") == 0 && has_argument(argv, argc, "by");
    return count;
}

static const char *const class_names[] = {
#define CLASS(id, name, doc) name,
#include "respgate/classes.def"
#undef CLASS
};

const char *class_name(enum class_bit bit)
{
    return class_names[bit];
}

uint64_t class_by_name(struct str name)
{
    if (name.len && name.ptr[0] == '@')
        name = (struct str){name.ptr + 1, name.len - 1};
    for (size_t bit = 0; bit < CLASS_COUNT; bit++)
        if (str_equal_nocase(name, str_of(class_names[bit])))
            return 1ull << bit;
    return 0;
}
