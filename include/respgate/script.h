/*
 * script.h - judges a Lua body by a white list: which commands it can run, and with what.
 *
 * A body is parsed as Lua 5.1 (the language of Redis 7 and of Valkey) with its scopes. It is
 * accepted when it is proven that nothing but the listed calls can reach the store: only listed
 * globals, redis.call never a value that travels, and every command name one of known literals.
 * What cannot be proven is refused. Pure: no I/O, linear in the body, bounded recursion.
 */
#ifndef RESPGATE_SCRIPT_H
#define RESPGATE_SCRIPT_H

#include "respgate/base.h"
#include "respgate/command.h"

/* EVAL, EVALSHA and SCRIPT LOAD take a script; FUNCTION LOAD takes a library. */
enum script_kind { SCRIPT_EVAL, SCRIPT_LIBRARY };

/* MALFORMED: Redis would not load it either. It must not be forwarded all the same: whether Redis
 * agrees is its own opinion. */
enum script_verdict { SCRIPT_ACCEPTED, SCRIPT_REFUSED, SCRIPT_MALFORMED };

/* Flags of the shebang line, and of functions a library registers. allow-oom is not among them:
 * it refuses. */
enum {
    SCRIPT_NO_WRITES = 1u << 0,
    SCRIPT_ALLOW_STALE = 1u << 1,
    SCRIPT_NO_CLUSTER = 1u << 2,
    SCRIPT_ALLOW_CROSS_SLOT_KEYS = 1u << 3,
};

/* One value an argument can have. */
enum script_value_kind { SCRIPT_LITERAL, SCRIPT_KEY, SCRIPT_ARGV };
struct script_value {
    enum script_value_kind kind;
    uint32_t index;     /* KEYS[index], ARGV[index], from 1; 0: any element */
    struct str literal; /* text, or an integer as Redis writes it */
};
/* All the values an argument can have. */
struct script_argument {
    const struct script_value *values;
    uint16_t count;
    bool open; /* or anything else */
};

/* Lua has registers for no more arguments of one call, the name included (MAXSTACK). */
enum { SCRIPT_ARGUMENTS_MAX = 250 };

/* One redis.call with one name. A call whose name, or whose first argument behind it, has several
 * literals gives one row for each, so a subcommand is never hidden among others. */
struct script_call {
    struct str name;         /* as written: any case, perhaps no command at all */
    uint32_t name_argument;  /* n: the name is ARGV[n], so each EVAL is to be judged; name is "" */
    const struct str *first; /* the first argument, where that is a literal; NULL otherwise */
    uint32_t line;
    uint32_t argc; /* arguments behind the name */
    const struct script_argument *args;
    bool more;                   /* any number of arguments follow those: unpack(t), ..., f() */
    struct script_argument rest; /* what each of them can be */
};

/* Owned by the arena wholly; the body may go. */
struct script {
    enum script_verdict verdict;
    const char *reason; /* unless accepted: printable, without the line */
    uint32_t line;      /* of the reason, from 1 */
    uint32_t flags;     /* of the shebang */
    bool shebang;
    struct str library; /* its name, of a library */
    const struct script_call *calls;
    size_t call_count;
};

/* Never fails: a body that is not understood is refused. */
struct script *script_inspect(struct arena *arena, enum script_kind kind, struct str body);

/* The literal when the argument can be nothing else; NULL otherwise. */
static inline const struct str *script_literal(const struct script_argument *argument)
{
    bool known = !argument->open && argument->count == 1;
    return known && argument->values[0].kind == SCRIPT_LITERAL ? &argument->values[0].literal
                                                               : NULL;
}

/* The keys of an accepted script's calls that EVAL's own KEYS do not tell. */
struct script_keys {
    const struct str *literals; /* redis.call('GET', 'counter') */
    size_t literal_count;
    uint32_t computed_line; /* the first call with a key that is not known; 0: none */
};
/* A call with an unknown command, or whose keys depend on arguments that are not known, is
 * computed. Literals are owned by the script's arena. */
struct script_keys script_keys(struct arena *arena, const struct script *script,
                               const struct command_table *commands);

#endif
