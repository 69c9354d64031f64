/* classes.c - respgate's own classes: which commands are in them, by list and by flag. The
 * meanings are in classes.def; what depends on arguments is in arguments.c. */
#include "internal.h"

/* ---- lists ---- */

/* What no flag tells, or the flags tell wrongly. */
static const uint16_t destructive[] = {
    COMMAND_FLUSHALL,
    COMMAND_FLUSHDB,
    COMMAND_SWAPDB,
    COMMAND_SHUTDOWN,
    COMMAND_DEBUG,
    COMMAND_SAVE,
    COMMAND_BGSAVE,
    COMMAND_BGREWRITEAOF,
    COMMAND_CONFIG_SET,
    COMMAND_CONFIG_REWRITE,
    COMMAND_CONFIG_RESETSTAT,
    COMMAND_REPLICAOF,
    COMMAND_SLAVEOF,
    COMMAND_FAILOVER,
    COMMAND_MIGRATE,
    COMMAND_RESTORE,
    COMMAND_RESTORE_ASKING,
    COMMAND_MOVE,
    COMMAND_CLIENT_PAUSE,
    COMMAND_SCRIPT_FLUSH,
    COMMAND_SCRIPT_KILL,
    COMMAND_SCRIPT_DEBUG,
    COMMAND_FUNCTION_FLUSH,
    COMMAND_FUNCTION_DELETE,
    COMMAND_FUNCTION_RESTORE,
    COMMAND_FUNCTION_KILL,
    COMMAND_MODULE,
    COMMAND_MODULE_HELP,
    COMMAND_MODULE_LIST,
    COMMAND_MODULE_LOAD,
    COMMAND_MODULE_LOADEX,
    COMMAND_MODULE_UNLOAD,
    COMMAND_XGROUP_DESTROY,
    COMMAND_XGROUP_SETID,
    COMMAND_XSETID,
    COMMAND_LATENCY_RESET,
    COMMAND_SLOWLOG_RESET,
    COMMAND_PSYNC,
    COMMAND_SYNC,
    COMMAND_REPLCONF,
};

/* Looks that carry flag admin or category @dangerous, and their harmless neighbours. */
static const uint16_t inspect[] = {
    COMMAND_INFO,
    COMMAND_ROLE,
    COMMAND_KEYS,
    COMMAND_SORT,
    COMMAND_SORT_RO,
    COMMAND_LASTSAVE,
    COMMAND_CLIENT_LIST,
    COMMAND_CLIENT_INFO,
    COMMAND_LATENCY_DOCTOR,
    COMMAND_LATENCY_GRAPH,
    COMMAND_LATENCY_HELP,
    COMMAND_LATENCY_HISTOGRAM,
    COMMAND_LATENCY_HISTORY,
    COMMAND_LATENCY_LATEST,
    COMMAND_SLOWLOG_LEN,
    COMMAND_COMMAND,
    COMMAND_COMMAND_COUNT,
    COMMAND_COMMAND_DOCS,
    COMMAND_COMMAND_GETKEYS,
    COMMAND_COMMAND_GETKEYSANDFLAGS,
    COMMAND_COMMAND_HELP,
    COMMAND_COMMAND_INFO,
    COMMAND_COMMAND_LIST,
    COMMAND_ACL_DRYRUN,
    COMMAND_ACL_USERS,
    COMMAND_CLUSTER_COUNT_FAILURE_REPORTS,
    COMMAND_CLUSTER_REPLICAS,
    COMMAND_CLUSTER_SLAVES,
};

static const uint16_t snoop[] = {
    COMMAND_MONITOR,     COMMAND_SLOWLOG_GET, COMMAND_ACL_LIST,
    COMMAND_ACL_GETUSER, COMMAND_ACL_LOG,     COMMAND_CLIENT_LIST,
};

/* LCS builds a matrix of both lengths multiplied. */
static const uint16_t memory_heavy[] = {
    COMMAND_KEYS,
    COMMAND_SMEMBERS,
    COMMAND_HGETALL,
    COMMAND_HKEYS,
    COMMAND_HVALS,
    COMMAND_LRANGE,
    COMMAND_ZRANGE,
    COMMAND_ZRANGEBYLEX,
    COMMAND_ZRANGEBYSCORE,
    COMMAND_ZRANGESTORE,
    COMMAND_ZREVRANGE,
    COMMAND_ZREVRANGEBYLEX,
    COMMAND_ZREVRANGEBYSCORE,
    COMMAND_XRANGE,
    COMMAND_XREVRANGE,
    COMMAND_SORT,
    COMMAND_SORT_RO,
    COMMAND_SINTER,
    COMMAND_SINTERCARD,
    COMMAND_SINTERSTORE,
    COMMAND_SUNION,
    COMMAND_SUNIONSTORE,
    COMMAND_SDIFF,
    COMMAND_SDIFFSTORE,
    COMMAND_ZINTER,
    COMMAND_ZINTERCARD,
    COMMAND_ZINTERSTORE,
    COMMAND_ZUNION,
    COMMAND_ZUNIONSTORE,
    COMMAND_ZDIFF,
    COMMAND_ZDIFFSTORE,
    COMMAND_GEORADIUS,
    COMMAND_GEORADIUS_RO,
    COMMAND_GEORADIUSBYMEMBER,
    COMMAND_GEORADIUSBYMEMBER_RO,
    COMMAND_GEOSEARCH,
    COMMAND_GEOSEARCHSTORE,
    COMMAND_BITOP,
    COMMAND_PFMERGE,
    COMMAND_COPY,
    COMMAND_DUMP,
    COMMAND_LCS,
};

/* Beyond flag denyoom: bodies stay in the store. What runs them: arguments.c. */
static const uint16_t growth[] = {
    COMMAND_SCRIPT_LOAD,
    COMMAND_FUNCTION_LOAD,
    COMMAND_FUNCTION_RESTORE,
};

/* These carry denyoom, yet what they add they take away elsewhere. */
static const uint16_t drain[] = {
    COMMAND_LMOVE,
    COMMAND_BLMOVE,
    COMMAND_RPOPLPUSH,
    COMMAND_BRPOPLPUSH,
};

/* Whatever their arguments: a whole key may go or be replaced. Those that store a result
 * overwrite the destination, or remove it when the result is empty. */
static const uint16_t deletes[] = {
    COMMAND_DEL,         COMMAND_UNLINK,      COMMAND_GETDEL,         COMMAND_RENAME,
    COMMAND_RENAMENX,    COMMAND_MOVE,        COMMAND_MIGRATE,        COMMAND_FLUSHALL,
    COMMAND_FLUSHDB,     COMMAND_SWAPDB,      COMMAND_SINTERSTORE,    COMMAND_SUNIONSTORE,
    COMMAND_SDIFFSTORE,  COMMAND_ZINTERSTORE, COMMAND_ZUNIONSTORE,    COMMAND_ZDIFFSTORE,
    COMMAND_ZRANGESTORE, COMMAND_BITOP,       COMMAND_GEOSEARCHSTORE,
};

#define LIST(bit, ids)                                                                             \
    {                                                                                              \
        CLASS_OF(bit), ids, ARRAY_LEN(ids)                                                         \
    }
static const struct {
    uint64_t class;
    const uint16_t *ids;
    size_t count;
} lists[] = {
    LIST(DESTRUCTIVE, destructive),
    LIST(INSPECT, inspect),
    LIST(SNOOP, snoop),
    LIST(MEMORY_HEAVY, memory_heavy),
    LIST(GROWTH, growth),
    LIST(DRAIN, drain),
    LIST(DELETE, deletes),
};

/* ---- rules ---- */

static uint64_t listed_classes(size_t id)
{
    uint64_t classes = 0;
    for (size_t i = 0; i < ARRAY_LEN(lists); i++)
        for (size_t j = 0; j < lists[i].count; j++)
            if (lists[i].ids[j] == id)
                classes |= lists[i].class;
    return classes;
}

/* What flags and categories say once the lists have spoken. `known` are the classes the command
 * has or may have by its arguments: there the flags do not decide. */
static uint64_t flag_classes(const struct command *command, uint64_t known)
{
    uint64_t classes = 0;
    bool dangerous = command->flags & CMD_ADMIN || command->classes & CLASS_DANGEROUS;
    if (dangerous && !(known & (CLASS_INSPECT | CLASS_SNOOP)))
        classes |= CLASS_DESTRUCTIVE;
    if (known & CLASS_DRAIN)
        return classes;
    if (command->flags & CMD_DENYOOM)
        classes |= CLASS_GROWTH;
    else if (command->flags & CMD_WRITE && !((classes | known) & CLASS_DESTRUCTIVE))
        classes |= CLASS_DRAIN;
    return classes;
}

void classes_assign(struct command *command)
{
    command->maybe = arguments_maybe(command->id);
    if (arguments_by_options(command->id))
        command->plain = (size_t)(command->arity < 0 ? -command->arity : command->arity);
    uint64_t listed = listed_classes(command->id);
    command->classes |= listed | flag_classes(command, listed | command->maybe);
}

/* Categories follow from flags too, as in Redis' ACL; servers before 6 send none. */
static uint64_t implied_categories(uint32_t flags, uint64_t given)
{
    static const struct {
        uint32_t flag;
        uint64_t categories;
    } implied[] = {
        {CMD_WRITE, CLASS_OF(WRITE)},
        {CMD_READONLY, CLASS_OF(READ)},
        {CMD_ADMIN, CLASS_OF(ADMIN) | CLASS_OF(DANGEROUS)},
        {CMD_PUBSUB, CLASS_OF(PUBSUB)},
        {CMD_FAST, CLASS_OF(FAST)},
        {CMD_BLOCKING, CLASS_OF(BLOCKING)},
    };
    uint64_t categories = flags & CMD_FAST ? 0 : CLASS_SLOW;
    for (size_t i = 0; i < ARRAY_LEN(implied); i++)
        if (flags & implied[i].flag)
            categories |= implied[i].categories;
    /* A script that only reads is not @read for Redis. */
    return given & CLASS_SCRIPTING ? categories & ~CLASS_READ : categories;
}

/* A write that frees memory may remove keys, unless its key specifications say that it only adds
 * or removes elements; one that overwrites or removes keys by specification does in any case. */
static bool may_delete(const struct command *command)
{
    bool elements = false;
    if (!(command->flags & CMD_WRITE))
        return false;
    for (size_t i = 0; i < command->spec_count; i++) {
        if (command->specs[i].flags & (KEY_OW | KEY_RM))
            return true;
        elements |= (command->specs[i].flags & (KEY_INSERT | KEY_DELETE)) != 0;
    }
    return !(command->flags & CMD_DENYOOM) && !elements;
}

void classes_assign_learned(struct command *command)
{
    command->classes |= implied_categories(command->flags, command->classes);
    command->classes |= flag_classes(command, 0);
    if (command->classes & CLASS_SCRIPTING && !(command->flags & CMD_READONLY))
        command->classes |= CLASS_GROWTH;
    if (may_delete(command))
        command->classes |= CLASS_DELETE;
}

/* ---- names ---- */

static const char *const names[CLASS_COUNT] = {
#define CLASS(id, name, doc) [CLASS_BIT_##id] = name,
#include "respgate/classes.def"
#undef CLASS
};

uint64_t class_by_name(struct str name)
{
    if (name.len && name.ptr[0] == '@')
        name = (struct str){name.ptr + 1, name.len - 1};
    for (size_t i = 0; i < CLASS_COUNT; i++)
        if (str_equal_nocase(name, str_of(names[i])))
            return 1ull << i;
    return 0;
}

const char *class_name(enum class_bit bit)
{
    return names[bit];
}
