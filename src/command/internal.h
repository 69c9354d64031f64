/*
 * internal.h - what the files of the command layer share: the table's shape, names as words,
 * and the functions that look at the arguments of single commands.
 */
#ifndef RESPGATE_COMMAND_INTERNAL_H
#define RESPGATE_COMMAND_INTERNAL_H

#include "respgate/command.h"

/* A command's own name (a subcommand's without its container) as zero-padded lower-case words,
 * so that a look-up compares four words and a length instead of bytes. */
enum { NAME_WORDS = 4, NAME_MAX_BYTES = NAME_WORDS * 8 };
struct name {
    uint64_t word[NAME_WORDS];
    size_t len;
};

/* Open addressing, at most a third full. scope 0 is for commands; a container's subcommands have
 * the container's id + 1. An empty slot has no command. */
struct slot {
    uint64_t word[NAME_WORDS];
    const struct command *command;
    uint16_t scope;
    uint16_t len;
};
struct command_table {
    struct slot *slots;
    size_t mask;
    const struct command *learned; /* ids from COMMAND_BUILTIN_COUNT on */
    size_t learned_count;
    struct arena *arena; /* of a learned table; the built-in one has none */
};

/* False for names no command can have: empty or longer than NAME_MAX_BYTES. */
bool must_check name_fold(struct str text, struct name *out);
const struct command *table_find(const struct command_table *table, const struct name *name,
                                 size_t scope);
/* The caller made sure that the name is new in its scope and that there is room. */
void table_insert(struct command_table *table, const struct name *name, size_t scope,
                  const struct command *command);
/* Puts all built-in commands into empty slots. */
void table_insert_builtin(struct command_table *table);

/* A class bit where the language wants a constant. */
#define CLASS_OF(name) (1ull << CLASS_BIT_##name)

/* Fills classes and maybe from flags, categories and the tables of classes.c and arguments.c. */
void classes_assign(struct command *command);
void classes_assign_learned(struct command *command);
/* What the arguments of a built-in command may decide on. */
bool arguments_by_options(size_t id); /* these classes come with options only */
uint64_t arguments_maybe(size_t id);

/* ---- rows of a COMMAND reply (row.c) ---- */

enum row_item {
    ROW_NAME,
    ROW_ARITY,
    ROW_FLAGS,
    ROW_FIRST,
    ROW_LAST,
    ROW_STEP,
    ROW_CATEGORIES,
    ROW_TIPS,
    ROW_SPECS,
    ROW_SUBCOMMANDS,
};
static inline bool is_array(const struct tree *tree)
{
    return tree && tree->type == TREE_ARRAY;
}
static inline bool is_text(const struct tree *tree)
{
    return tree && (tree->type == TREE_STRING || tree->type == TREE_STATUS);
}
/* Whether the items every server sends are there and of the right type and range. */
bool must_check row_is_sound(const struct tree *row);
/* The own name of a sound row; a subcommand's stands behind its container's and a bar. False when
 * it is no name that may stand in rules, logs and metrics. */
bool must_check row_name(const struct tree *row, const struct command *parent, struct str *out);
/* Everything but id, place among the subcommands, and respgate's classes. */
struct command row_read(struct arena *arena, const struct tree *row, struct str own,
                        const struct command *parent);

/* ---- option walks (options.c) ---- */

/* An option word: any case, as Redis takes them. */
static inline bool is_word(struct str arg, const char *word)
{
    /* Length and first letter are compared here: most words end at that, before any call. */
    size_t len = strlen(word);
    return arg.len == len && (arg.ptr[0] | 0x20) == (word[0] | 0x20) &&
           str_equal_nocase(arg, (struct str){word, len});
}

/* XREAD and XREADGROUP, walked as xreadCommand() in Redis' t_stream.c does: a group, a consumer
 * or a key may be called "streams" or "block". */
struct xread_options {
    bool block;
    bool strange;   /* an option Redis 7 does not have: the walk may have gone wrong */
    size_t streams; /* index of the first key, 0 when there is no STREAMS */
};
struct xread_options xread_options(const struct str *argv, size_t argc);

/* SORT and SORT_RO, walked as sortCommandGeneric() in sort.c does. */
struct sort_options {
    bool looks_up; /* BY or GET reads keys whose names come from the elements */
    size_t store;  /* index of the destination, the last one counts; 0 without STORE */
};
struct sort_options sort_options(const struct str *argv, size_t argc);

/* Index of the key behind the next STORE or STOREDIST of GEORADIUS or GEORADIUSBYMEMBER, or 0;
 * `from` is 0 at first, then the index returned before. */
size_t georadius_store(const struct command *command, const struct str *argv, size_t argc,
                       size_t from);
/* Whether BITFIELD has only GET: it then is a read, bitfieldGetKeys() in db.c says. */
bool bitfield_only_reads(const struct str *argv, size_t argc);

#endif
