/* rules.c - the white list: what a body may name, with the reason where it is not plain. */
#include "internal.h"

/* Not here, since they reach redis without naming it or lift a function's call out of sight: _G,
 * getfenv, setfenv, load, loadstring, getmetatable (of strings), rawget, rawset, rawequal,
 * coroutine. Not here, since they act on the whole server: collectgarbage, gcinfo, newproxy, os. */
static const struct global globals[] = {
    {"KEYS", GLOBAL_TABLE, TABLE_KEYS},
    {"ARGV", GLOBAL_TABLE, TABLE_ARGV},
    {"redis", GLOBAL_REDIS, 0},
    {"string", GLOBAL_LIBRARY, 0}, /* string.dump too: nothing on this list loads its output */
    {"table", GLOBAL_LIBRARY, 0},
    {"math", GLOBAL_LIBRARY, 0},
    {"bit", GLOBAL_LIBRARY, 0},
    {"cjson", GLOBAL_LIBRARY, 0},
    {"cmsgpack", GLOBAL_LIBRARY, 0},
    {"struct", GLOBAL_LIBRARY, 0},
    {"assert", GLOBAL_FUNCTION, 0}, /* returns its arguments */
    {"error", GLOBAL_FUNCTION, 0},  /* pcall returns its argument */
    {"select", GLOBAL_FUNCTION, 0},
    {"setmetatable", GLOBAL_FUNCTION, 0}, /* of the body's own tables: no other can be got at */
    {"xpcall", GLOBAL_FUNCTION, 0},
    {"next", GLOBAL_READER, 0},
    {"tonumber", GLOBAL_READER, 0},
    {"tostring", GLOBAL_FUNCTION, 0}, /* calls __tostring, with the table alone */
    {"type", GLOBAL_READER, 0},
    {"pcall", GLOBAL_PCALL, 0},
    {"pairs", GLOBAL_ITERATOR, 0},
    {"ipairs", GLOBAL_ITERATOR, 0},
    {"unpack", GLOBAL_UNPACK, 0},
};

/* Functions that neither keep nor call what they are given. */
static const struct {
    const char *library, *name;
} readers[] = {
    {"table", "concat"}, {"table", "getn"},    {"table", "maxn"},
    {"cjson", "encode"}, {"cmsgpack", "pack"},
};

static const struct {
    const char *name;
    enum redis_member member;
} members[] = {
    {"call", REDIS_CALL},
    {"pcall", REDIS_CALL},
    {"register_function", REDIS_REGISTER},
    {"set_repl", REDIS_REFUSED}, /* hides writes from AOF and replicas */
    {"breakpoint", REDIS_REFUSED},
    {"debug", REDIS_REFUSED},
    {"log", REDIS_HARMLESS},
    {"error_reply", REDIS_HARMLESS},
    {"status_reply", REDIS_HARMLESS},
    {"sha1hex", REDIS_HARMLESS},
    {"setresp", REDIS_HARMLESS},
    {"acl_check_cmd", REDIS_HARMLESS},      /* asks, does not run */
    {"replicate_commands", REDIS_HARMLESS}, /* without effect since Redis 7 */
    {"LOG_DEBUG", REDIS_HARMLESS},
    {"LOG_VERBOSE", REDIS_HARMLESS},
    {"LOG_NOTICE", REDIS_HARMLESS},
    {"LOG_WARNING", REDIS_HARMLESS},
    {"REDIS_VERSION", REDIS_HARMLESS},
    {"REDIS_VERSION_NUM", REDIS_HARMLESS},
};

static const struct {
    const char *name;
    uint32_t flag;
} flags[] = {
    {"no-writes", SCRIPT_NO_WRITES},
    {"allow-oom", SCRIPT_ALLOW_OOM}, /* writes past maxmemory */
    {"allow-stale", SCRIPT_ALLOW_STALE},
    {"no-cluster", SCRIPT_NO_CLUSTER},
    {"allow-cross-slot-keys", SCRIPT_ALLOW_CROSS_SLOT_KEYS},
};

const struct global *global_find(struct str name)
{
    for (size_t i = 0; i < ARRAY_LEN(globals); i++)
        if (str_equal(name, str_of(globals[i].name)))
            return &globals[i];
    return NULL;
}

bool reader_is(const struct global *library, struct str name)
{
    for (size_t i = 0; i < ARRAY_LEN(readers); i++)
        if (strcmp(readers[i].library, library->name) == 0 &&
            str_equal(name, str_of(readers[i].name)))
            return true;
    return false;
}

enum redis_member redis_member_find(struct str name)
{
    for (size_t i = 0; i < ARRAY_LEN(members); i++)
        if (str_equal(name, str_of(members[i].name)))
            return members[i].member;
    return REDIS_UNKNOWN;
}

uint32_t script_flag_find(struct str name)
{
    for (size_t i = 0; i < ARRAY_LEN(flags); i++)
        if (str_equal(name, str_of(flags[i].name)))
            return flags[i].flag;
    return 0;
}
