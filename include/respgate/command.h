/*
 * command.h - what is known of each Redis command: flags, categories, classes, key positions.
 *
 * Facts are rows of commands.def, generated from a live Redis 7 by src/command/generate.py and
 * checked against one in tests/drift. Commands the table lacks are learned from the backend's
 * COMMAND reply into a second, immutable table.
 */
#ifndef RESPGATE_COMMAND_H
#define RESPGATE_COMMAND_H

#include "respgate/base.h"
#include "respgate/resp.h"

/* Flags, with the names COMMAND INFO gives them. */
enum {
    CMD_WRITE = 1u << 0,
    CMD_READONLY = 1u << 1,
    CMD_DENYOOM = 1u << 2,
    CMD_ADMIN = 1u << 3,
    CMD_PUBSUB = 1u << 4,
    CMD_NOSCRIPT = 1u << 5,
    CMD_BLOCKING = 1u << 6,
    CMD_LOADING = 1u << 7,
    CMD_STALE = 1u << 8,
    CMD_SKIP_MONITOR = 1u << 9,
    CMD_SKIP_SLOWLOG = 1u << 10,
    CMD_ASKING = 1u << 11,
    CMD_FAST = 1u << 12,
    CMD_NO_AUTH = 1u << 13,
    CMD_MAY_REPLICATE = 1u << 14,
    CMD_NO_MANDATORY_KEYS = 1u << 15,
    CMD_NO_MULTI = 1u << 16,
    CMD_MOVABLEKEYS = 1u << 17,
    CMD_ALLOW_BUSY = 1u << 18,
    CMD_NO_ASYNC_LOADING = 1u << 19,
    CMD_LEARNED = 1u << 20, /* ours: not in the generated table */
};

/* Class bits: Redis' ACL categories first, then respgate's own. The rows of classes.def give
 * bit, name without '@' and meaning; the enum is made of them: CLASS_READ, CLASS_DESTRUCTIVE. */
enum class_bit {
#define CLASS(id, name, doc) CLASS_BIT_##id,
#include "respgate/classes.def"
#undef CLASS
    CLASS_COUNT
};
#define CLASS(id, name, doc) static const uint64_t CLASS_##id = 1ull << CLASS_BIT_##id;
#include "respgate/classes.def"
#undef CLASS
/* "write" or "@write" to its bit mask; 0 when there is no such class. */
uint64_t class_by_name(struct str name);
const char *class_name(enum class_bit bit);

/* How a command without a single owner splits over the nodes of a cluster, and how the replies
 * merge: the tips of COMMAND INFO. */
enum request_policy {
    REQUEST_DEFAULT,
    REQUEST_ALL_NODES,
    REQUEST_ALL_SHARDS,
    REQUEST_MULTI_SHARD,
    REQUEST_SPECIAL
};
enum response_policy {
    RESPONSE_DEFAULT,
    RESPONSE_ONE_SUCCEEDED,
    RESPONSE_ALL_SUCCEEDED,
    RESPONSE_AGG_SUM,
    RESPONSE_AGG_MIN,
    RESPONSE_AGG_LOGICAL_AND,
    RESPONSE_SPECIAL
};

/* Key specification flags of Redis 7 (COMMAND INFO, "key specifications"). */
enum {
    KEY_RO = 1u << 0,
    KEY_RW = 1u << 1,
    KEY_OW = 1u << 2,
    KEY_RM = 1u << 3,
    KEY_ACCESS = 1u << 4,
    KEY_UPDATE = 1u << 5,
    KEY_INSERT = 1u << 6,
    KEY_DELETE = 1u << 7,
    KEY_NOT_KEY = 1u << 8, /* a channel of SPUBLISH: routed like a key, is none */
    KEY_INCOMPLETE = 1u << 9,
    KEY_VARIABLE_FLAGS = 1u << 10,
};
struct key_spec {
    uint16_t flags;
    uint8_t begin; /* enum key_begin */
    uint8_t find;  /* enum key_find */
    int16_t index; /* BEGIN_INDEX: position; BEGIN_KEYWORD: where the search starts */
    const char *keyword;
    int16_t last, step, limit; /* FIND_RANGE */
    int16_t numkeys, first;    /* FIND_KEYNUM, relative to where the search began */
};
enum key_begin { BEGIN_UNKNOWN, BEGIN_INDEX, BEGIN_KEYWORD };
enum key_find { FIND_UNKNOWN, FIND_RANGE, FIND_KEYNUM };

/* The built-in commands by name: COMMAND_MULTI, COMMAND_CONFIG_SET. */
enum command_id {
#define COMMAND(id, ...) COMMAND_##id,
#include "respgate/commands.def"
#undef COMMAND
    COMMAND_BUILTIN_COUNT
};

struct command {
    const char *name; /* lower case; a subcommand in full: "config|set" */
    uint16_t id;      /* dense: 0 .. command_count()-1, learned ones behind the built-in ones */
    int16_t arity;    /* as COMMAND: negative is "at least" */
    uint32_t flags;
    uint64_t classes; /* always holds */
    uint64_t maybe;   /* classes its arguments decide on: command_classes() tells */
    size_t plain;     /* with no more arguments than these it is of none of `maybe` */
    const struct key_spec *specs;
    uint8_t spec_count;
    uint8_t request_policy, response_policy;
    const struct command *parent;  /* of a subcommand */
    uint16_t first_sub, sub_count; /* ids of a container's subcommands are consecutive */
};

/* Immutable; the built-in one is static, one with learned commands is made at run time. Ids of
 * built-in commands are the same in all tables. */
struct command_table;
const struct command_table *command_table_builtin(void);
/* Built-in commands plus those of a backend's COMMAND reply that are unknown here (also unknown
 * subcommands of known containers). Rows that make no sense are left out and counted in
 * *malformed. Free with command_table_free(). */
struct command_table *command_table_learn(const struct tree *reply, size_t *malformed);
void command_table_free(struct command_table *table);
size_t command_count(const struct command_table *table);
const struct command *command_by_id(const struct command_table *table, size_t id);
/* By full name ("config|set"), any case. NULL when unknown. For configuration. */
const struct command *command_by_name(const struct command_table *table, struct str name);

enum lookup { LOOKUP_FOUND, LOOKUP_UNKNOWN, LOOKUP_UNKNOWN_SUB };
/* The command of a request; a container with a known subcommand gives the subcommand's row.
 * LOOKUP_UNKNOWN_SUB: *out is the container. A container alone (argc 1) is found as itself. The
 * hot path: one hash of the name, any case, no allocation. */
enum lookup must_check command_lookup(const struct command_table *table, const struct str *argv,
                                      size_t argc, const struct command **out);

/* One key of a request: its place in argv and how it is used. */
struct key_ref {
    uint32_t arg;
    uint16_t flags;
};
/* Fills refs (up to cap) and returns how many keys there are (may be more than cap: grow and ask
 * again). *unknown is set when keys exist that no spec can give. Requests with the wrong number
 * of arguments give the keys they have; nothing is read past argv. NOT_KEY ones are included
 * with their flag (they count for routing, not for rules). */
size_t command_keys(const struct command *command, const struct str *argv, size_t argc,
                    struct key_ref *refs, size_t cap, bool *unknown);
/* All classes of this very request: command->classes plus those of `maybe` its arguments meet. */
uint64_t command_classes(const struct command *command, const struct str *argv, size_t argc);
/* Whether this request may block its connection: BLPOP, XREAD with BLOCK, WAIT ... */
bool command_blocks(const struct command *command, const struct str *argv, size_t argc);

#endif
