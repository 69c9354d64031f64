/* arguments.c - classes that depend on what a request says, and whether it blocks.
 *
 * A class that arguments decide on holds when they say so and also when they make no sense: such
 * a request is refused by the server anyway, and a new option must not open a way around. */
#include "internal.h"

#include <math.h>
#include <stdlib.h>

/* From how many elements on a pop or a trim counts as removing the whole, and a read as huge:
 * batches of consumers are smaller, and the real length cannot be known here. */
enum { POP_MANY = 1000, READ_MANY = 10000 };

/* A number; a text that is none (or too large for one) is as good as the worst one. */
static bool at_least(struct str arg, int64_t bound)
{
    int64_t value;
    return !str_to_int(arg, &value) || value >= bound;
}

static bool at_most(struct str arg, int64_t bound)
{
    int64_t value;
    return !str_to_int(arg, &value) || value <= bound;
}

static bool has_word(const struct str *argv, size_t argc, size_t from, const char *word)
{
    for (size_t i = from; i < argc; i++)
        if (is_word(argv[i], word))
            return true;
    return false;
}

/* ---- looking ---- */

static const char *const secret_names[] = {
    "requirepass",
    "masterauth",
    "masteruser",
    "primaryauth",
    "primaryuser",
    "tls-key-file-pass",
    "tls-client-key-file-pass",
};

/* CONFIG GET ignores case in patterns, so they are lowered first. */
static bool names_secret(struct str pattern)
{
    char lower[128];
    if (pattern.len > sizeof(lower))
        return true;
    for (size_t i = 0; i < pattern.len; i++) {
        char c = pattern.ptr[i];
        lower[i] = c >= 'A' && c <= 'Z' ? (char)(c + 32) : c;
    }
    for (size_t i = 0; i < ARRAY_LEN(secret_names); i++)
        if (glob_match((struct str){lower, pattern.len}, str_of(secret_names[i])))
            return true;
    return false;
}

static uint64_t config_get(const struct command *command, const struct str *argv, size_t argc)
{
    for (size_t i = 2; i < argc; i++)
        if (names_secret(argv[i]))
            return CLASS_SNOOP;
    return CLASS_INSPECT;
}

static uint64_t acl_log(const struct command *command, const struct str *argv, size_t argc)
{
    return argc > 2 && is_word(argv[2], "reset") ? CLASS_DESTRUCTIVE : 0;
}

/* A pattern of stars, question marks among them, takes everybody's messages. */
static bool takes_all(struct str pattern)
{
    bool star = false;
    for (size_t i = 0; i < pattern.len; i++) {
        if (pattern.ptr[i] != '*' && pattern.ptr[i] != '?')
            return false;
        star |= pattern.ptr[i] == '*';
    }
    return star;
}

static uint64_t psubscribe(const struct command *command, const struct str *argv, size_t argc)
{
    for (size_t i = 1; i < argc; i++)
        if (takes_all(argv[i]))
            return CLASS_SNOOP;
    return 0;
}

/* ---- reading much ---- */

/* SCAN cursor ..., HSCAN key cursor ...: a pattern may be called "count". */
static uint64_t scan(const struct command *command, const struct str *argv, size_t argc)
{
    for (size_t i = command->id == COMMAND_SCAN ? 2 : 3; i + 1 < argc; i++) {
        if (is_word(argv[i], "count") && at_least(argv[i + 1], READ_MANY))
            return CLASS_MEMORY_HEAVY;
        if (is_word(argv[i], "match") || is_word(argv[i], "type"))
            i++;
    }
    return 0;
}

/* SRANDMEMBER s -3000000 repeats the elements of the smallest set as often as it says. */
static uint64_t random_elements(const struct command *command, const struct str *argv, size_t argc)
{
    if (argc < 3 || (!at_least(argv[2], READ_MANY) && !at_most(argv[2], -READ_MANY)))
        return 0;
    return CLASS_MEMORY_HEAVY;
}

/* XINFO STREAM key FULL [COUNT n], 0 is all; CLUSTER GETKEYSINSLOT slot n. */
static uint64_t stream_full(const struct command *command, const struct str *argv, size_t argc)
{
    if (argc < 6 || !is_word(argv[3], "full"))
        return 0;
    return at_most(argv[5], 0) || at_least(argv[5], READ_MANY) ? CLASS_MEMORY_HEAVY : 0;
}

static uint64_t keys_in_slot(const struct command *command, const struct str *argv, size_t argc)
{
    return argc > 3 && at_least(argv[3], READ_MANY) ? CLASS_MEMORY_HEAVY : 0;
}

/* ---- growing or draining ---- */

static uint64_t sort(const struct command *command, const struct str *argv, size_t argc)
{
    return sort_options(argv, argc).store ? CLASS_GROWTH | CLASS_DELETE : CLASS_DRAIN;
}

static uint64_t bitfield(const struct command *command, const struct str *argv, size_t argc)
{
    return bitfield_only_reads(argv, argc) ? CLASS_DRAIN : CLASS_GROWTH;
}

/* ---- deleting without DEL ---- */

/* Two clocks are never the same: the coming second counts as past. */
static bool past_seconds(struct str arg)
{
    return at_most(arg, clock_wall() + 1);
}

static bool past_milliseconds(struct str arg)
{
    return at_most(arg, (clock_wall() + 1) * 1000);
}

static uint64_t delete_if(bool holds)
{
    return holds ? CLASS_DELETE : 0;
}

static uint64_t expire(const struct command *command, const struct str *argv, size_t argc)
{
    return delete_if(argc > 2 && at_most(argv[2], 0));
}

static uint64_t expireat(const struct command *command, const struct str *argv, size_t argc)
{
    return delete_if(argc > 2 && past_seconds(argv[2]));
}

static uint64_t pexpireat(const struct command *command, const struct str *argv, size_t argc)
{
    return delete_if(argc > 2 && past_milliseconds(argv[2]));
}

/* SET key value ..., GETEX key ...: EX and PX cannot be in the past, the server refuses them. */
static uint64_t set_expiry(const struct command *command, const struct str *argv, size_t argc)
{
    for (size_t i = command->id == COMMAND_SET ? 3 : 2; i + 1 < argc; i++) {
        if (is_word(argv[i], "exat") && past_seconds(argv[i + 1]))
            return CLASS_DELETE;
        if (is_word(argv[i], "pxat") && past_milliseconds(argv[i + 1]))
            return CLASS_DELETE;
    }
    return 0;
}

/* COPY source destination ..., RESTORE key ttl value ... */
static uint64_t replace(const struct command *command, const struct str *argv, size_t argc)
{
    return delete_if(has_word(argv, argc, command->id == COMMAND_COPY ? 3 : 4, "replace"));
}

static uint64_t georadius(const struct command *command, const struct str *argv, size_t argc)
{
    return delete_if(georadius_store(command, argv, argc, 0) != 0);
}

/* LTRIM key start stop keeps what lies between. Nothing does when start is behind stop or (by a
 * wide margin) behind the other end; of mixed signs only "from n to the end" is usual. */
static uint64_t ltrim(const struct command *command, const struct str *argv, size_t argc)
{
    int64_t start, stop;
    if (argc < 4)
        return 0;
    if (!str_to_int(argv[2], &start) || !str_to_int(argv[3], &stop))
        return CLASS_DELETE;
    if ((start < 0) == (stop < 0) && start > stop)
        return CLASS_DELETE;
    return delete_if(start >= POP_MANY || stop <= -POP_MANY || (start < 0 && stop >= 0));
}

/* The threshold of MAXLEN or MINID at `at`, behind an optional = or ~. An entry that XADD adds
 * stays, so MAXLEN 1 empties the stream of all others. A MINID of now or later is above all ids
 * the server made itself. */
static bool trims_all(const struct str *argv, size_t argc, size_t at, bool adds)
{
    struct str id;
    bool by_length = is_word(argv[at], "maxlen");
    if (++at < argc && (is_word(argv[at], "=") || is_word(argv[at], "~")))
        at++;
    if (at >= argc)
        return false;
    id = argv[at];
    if (by_length)
        return at_most(id, adds ? 1 : 0);
    const char *dash = id.len ? memchr(id.ptr, '-', id.len) : NULL;
    if (dash)
        id.len = (size_t)(dash - id.ptr);
    return at_least(id, (clock_wall() - 1) * 1000);
}

/* XADD's options end with the id, which is digits or a star; words begin with a letter. */
static uint64_t xtrim(const struct command *command, const struct str *argv, size_t argc)
{
    bool adds = command->id == COMMAND_XADD;
    for (size_t i = 2; i < argc; i++) {
        if (is_word(argv[i], "maxlen") || is_word(argv[i], "minid"))
            return delete_if(trims_all(argv, argc, i, adds));
        if (adds && argv[i].len && memchr("*0123456789", argv[i].ptr[0], 11))
            return 0;
    }
    return 0;
}

/* Sets are no queues: SPOP with a count is meant to empty them. */
static uint64_t spop(const struct command *command, const struct str *argv, size_t argc)
{
    return delete_if(argc > 2);
}

static uint64_t pop(const struct command *command, const struct str *argv, size_t argc)
{
    return delete_if(argc > 2 && at_least(argv[2], POP_MANY));
}

/* LMPOP numkeys key ... LEFT [COUNT n]: a key may be called "count", but LEFT is no number. */
static uint64_t mpop(const struct command *command, const struct str *argv, size_t argc)
{
    int64_t count;
    return delete_if(argc > 4 && is_word(argv[argc - 2], "count") &&
                     str_to_int(argv[argc - 1], &count) && count >= POP_MANY);
}

static uint64_t zremrangebyrank(const struct command *command, const struct str *argv, size_t argc)
{
    int64_t start, stop;
    if (argc < 4)
        return 0;
    if (!str_to_int(argv[2], &start) || !str_to_int(argv[3], &stop))
        return CLASS_DELETE;
    return delete_if((start == 0 || start <= -POP_MANY) && (stop == -1 || stop >= POP_MANY));
}

/* Beyond 2^53 doubles are no longer exact, so nobody's scores lie there. */
static uint64_t zremrangebyscore(const struct command *command, const struct str *argv, size_t argc)
{
    char text[64], *end;
    if (argc < 4)
        return 0;
    struct str max = argv[3];
    if (max.len && max.ptr[0] == '(')
        max = (struct str){max.ptr + 1, max.len - 1};
    if (max.len == 0 || max.len >= sizeof(text))
        return CLASS_DELETE;
    memcpy(text, max.ptr, max.len);
    text[max.len] = '\0';
    double value = strtod(text, &end);
    return delete_if(*end || isnan(value) || value >= 9007199254740992.0);
}

/* "+" is above every member, and so is 0xff, with which no UTF-8 text begins. */
static uint64_t zremrangebylex(const struct command *command, const struct str *argv, size_t argc)
{
    if (argc < 4 || argv[3].len == 0)
        return 0;
    struct str max = argv[3];
    return delete_if(max.ptr[0] == '+' || (max.len > 1 && (unsigned char)max.ptr[1] == 0xff));
}

/* ---- scripts ---- */

/* What a body calls is not in the arguments: whoever has judged it adds the classes of its calls.
 * An unread one may add data. */
static uint64_t unread_script(const struct command *command, const struct str *argv, size_t argc)
{
    return command->flags & CMD_READONLY ? 0 : CLASS_GROWTH;
}

/* ---- the table ---- */

typedef uint64_t class_function(const struct command *command, const struct str *argv, size_t argc);

/* WITH_OPTIONS: options behind the mandatory arguments decide, so without them none holds. */
#define DECIDES(command, function, classes) [COMMAND_##command] = {function, classes, false}
#define DELETES(command, function)          DECIDES(command, function, CLASS_OF(DELETE))
#define DELETES_WITH_OPTIONS(command, function)                                                    \
    [COMMAND_##command] = {function, CLASS_OF(DELETE), true}
#define SCRIPT(command)             DECIDES(command, unread_script, (1ull << CLASS_COUNT) - 1)
#define IS_HEAVY(command, function) DECIDES(command, function, CLASS_OF(MEMORY_HEAVY))
static const struct {
    class_function *function;
    uint64_t maybe;
    bool by_options;
} deciders[COMMAND_BUILTIN_COUNT] = {
    DECIDES(CONFIG_GET, config_get, CLASS_OF(SNOOP) | CLASS_OF(INSPECT)),
    DECIDES(ACL_LOG, acl_log, CLASS_OF(DESTRUCTIVE)),
    DECIDES(PSUBSCRIBE, psubscribe, CLASS_OF(SNOOP)),
    DECIDES(SORT, sort, CLASS_OF(GROWTH) | CLASS_OF(DRAIN) | CLASS_OF(DELETE)),
    DECIDES(BITFIELD, bitfield, CLASS_OF(GROWTH) | CLASS_OF(DRAIN)),
    IS_HEAVY(SCAN, scan),
    IS_HEAVY(HSCAN, scan),
    IS_HEAVY(SSCAN, scan),
    IS_HEAVY(ZSCAN, scan),
    IS_HEAVY(SRANDMEMBER, random_elements),
    IS_HEAVY(HRANDFIELD, random_elements),
    IS_HEAVY(ZRANDMEMBER, random_elements),
    IS_HEAVY(XINFO_STREAM, stream_full),
    IS_HEAVY(CLUSTER_GETKEYSINSLOT, keys_in_slot),
    SCRIPT(EVAL),
    SCRIPT(EVALSHA),
    SCRIPT(FCALL),
    SCRIPT(EVAL_RO),
    SCRIPT(EVALSHA_RO),
    SCRIPT(FCALL_RO),
    DELETES(EXPIRE, expire),
    DELETES(PEXPIRE, expire),
    DELETES(EXPIREAT, expireat),
    DELETES(PEXPIREAT, pexpireat),
    DELETES_WITH_OPTIONS(SET, set_expiry),
    DELETES_WITH_OPTIONS(GETEX, set_expiry),
    DELETES(COPY, replace),
    DELETES(RESTORE, replace),
    DELETES(RESTORE_ASKING, replace),
    DELETES(GEORADIUS, georadius),
    DELETES(GEORADIUSBYMEMBER, georadius),
    DELETES(LTRIM, ltrim),
    DELETES(XTRIM, xtrim),
    DELETES_WITH_OPTIONS(XADD, xtrim),
    DELETES(SPOP, spop),
    DELETES(LPOP, pop),
    DELETES(RPOP, pop),
    DELETES(ZPOPMIN, pop),
    DELETES(ZPOPMAX, pop),
    DELETES(LMPOP, mpop),
    DELETES(ZMPOP, mpop),
    DELETES(BLMPOP, mpop),
    DELETES(BZMPOP, mpop),
    DELETES(ZREMRANGEBYRANK, zremrangebyrank),
    DELETES(ZREMRANGEBYSCORE, zremrangebyscore),
    DELETES(ZREMRANGEBYLEX, zremrangebylex),
};

uint64_t arguments_maybe(size_t id)
{
    return deciders[id].maybe;
}

bool arguments_by_options(size_t id)
{
    return deciders[id].by_options;
}

uint64_t command_classes(const struct command *command, const struct str *argv, size_t argc)
{
    if (likely(!command->maybe))
        return command->classes;
    return command->classes | deciders[command->id].function(command, argv, argc);
}

bool command_blocks(const struct command *command, const struct str *argv, size_t argc)
{
    if (command->id == COMMAND_XREAD || command->id == COMMAND_XREADGROUP)
        return xread_options(argv, argc).block;
    return command->flags & CMD_BLOCKING || command->id == COMMAND_WAIT;
}
