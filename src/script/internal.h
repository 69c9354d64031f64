/*
 * internal.h - what the files of src/script share: the parser, expressions, and facts of flow.
 *
 *   body --shebang.c--> flags, tokens (token.c)
 *        --statement.c, expr.c, call.c, register.c--> facts
 *        --bind.c--> what parameters are given --solve.c--> what locals hold --result.c--> calls
 *
 *   rules.c    the white list          scope.c  which local a name is
 *   use.c      what becomes of a value: it moves on, escapes, or is refused
 *
 * There is no syntax tree: one pass over the tokens records where values move ("facts"), in terms
 * of locals and parameters and without regard to order; then it is asked what each can hold.
 * Soundness rests on one rule: an expression is consumed exactly once, by a function of use.c,
 * and only there redis.call, functions and KEYS can get out of sight.
 */
#ifndef RESPGATE_SCRIPT_INTERNAL_H
#define RESPGATE_SCRIPT_INTERNAL_H

#include "respgate/script.h"
#include "token.h"

enum {
    DEPTH_MAX = 200,     /* levels of syntax; the limit of Lua 5.1 (LUAI_MAXCCALLS) */
    NAMES_MAX = 200,     /* in one statement; Lua's limit of locals and of targets */
    FACTS_MAX = 1000000, /* sources, arguments, locals: bounds memory at some 100 MB */
    VALUES_MAX = 32,     /* of one local; more count as anything */
    RESULTS_MAX = 4096,  /* rows, arguments and values in the result; and one for each */
    RESULT_BYTES = 4,    /* so many bytes of body */
    RESULT_TEXT = 32,    /* bytes of a literal that count as a value more */
};

/* ---- the white list (rules.c) ---- */

enum global_kind {
    GLOBAL_TABLE,    /* KEYS, ARGV */
    GLOBAL_REDIS,    /* redis: only its listed members */
    GLOBAL_LIBRARY,  /* string, table ...: any member is harmless */
    GLOBAL_FUNCTION, /* may keep, return or call its arguments */
    GLOBAL_READER,   /* only looks at its arguments */
    GLOBAL_PCALL,
    GLOBAL_ITERATOR, /* pairs, ipairs: harmless to their argument in a for statement only */
    GLOBAL_UNPACK,
};
struct global {
    const char *name;
    enum global_kind kind;
    uint8_t table; /* GLOBAL_TABLE: which */
};
const struct global *global_find(struct str name);
/* Whether the library's function only looks at its arguments: table.concat. */
bool reader_is(const struct global *library, struct str name);

enum redis_member { REDIS_UNKNOWN, REDIS_REFUSED, REDIS_HARMLESS, REDIS_CALL, REDIS_REGISTER };
enum redis_member redis_member_find(struct str name);

/* Bit of a flag's name; SCRIPT_ALLOW_OOM for the one that refuses; 0 when there is none. */
enum { SCRIPT_ALLOW_OOM = 1u << 31 };
uint32_t script_flag_find(struct str name);

/* ---- facts ---- */

/* The two tables Redis gives a script; a function of a library gets them as parameters. */
enum { TABLE_KEYS, TABLE_ARGV, TABLE_COUNT };

/* Where a value can come from. */
enum source_kind {
    SOURCE_ANY,
    SOURCE_LITERAL,
    SOURCE_LOCAL,   /* whatever the local holds */
    SOURCE_ELEMENT, /* element of the table the local holds */
    SOURCE_TABLE,
    SOURCE_TABLE_ELEMENT,
    SOURCE_FUNCTION,
};
struct source {
    enum source_kind kind;
    uint32_t index; /* of an element; 0: any */
    uint8_t table;
    struct source *next; /* in the list of what holds it */
    union {
        struct str literal;
        struct local *local;
        struct function *function;
    };
    /* SOURCE_LOCAL and SOURCE_ELEMENT held by a local: who else learns what `local` learns. */
    struct local *owner;
    struct source *next_dependent;
};
struct sources {
    struct source *first, *last;
};

/* A growing set; what stands before `told` is known to the dependents. */
struct values {
    const struct source **items; /* literals, tables, elements of tables */
    uint16_t count, room, told;
    bool open, open_told; /* anything */
};

/* A local variable or a parameter. */
struct local {
    struct symbol *symbol;
    struct local *shadowed; /* what the name meant before */
    struct local *below;    /* declared before, in the stack of those in scope */
    struct local *next;     /* of all */
    bool caller;            /* stands for redis.call: bound once, only ever called */
    bool moves;             /* its value was given to another local or argument */
    bool escapes;           /* its value got where it cannot be followed */
    bool changed;           /* an element was assigned through it */
    bool registered;        /* is the callback of a registered function */
    bool parameter;
    bool implicit;                  /* given by Lua itself */
    bool followed;                  /* bind.c: holds functions of which all calls are known */
    struct sources sources;         /* all that is ever assigned to it */
    struct site *sites, *last_site; /* calls of it */
    struct values values;           /* what it can hold: solve.c */
    struct source *dependents;
    struct local *next_queued;
    bool queued;
};

/* A function of the body. Parameters are bound where it is called when all calls are known. */
struct function {
    struct function *next;  /* of all */
    struct function *outer; /* the one around it */
    struct parameter *parameters, *last_parameter;
    struct local *varargs; /* stands for the first of ...; NULL: takes none */
    bool open;             /* may be called with anything */
    bool registered;       /* called by Redis with its two tables */
    uint32_t loops;        /* around the current statement */
};
struct parameter {
    struct parameter *next;
    struct local *local;
};

/* One argument, not yet consumed. */
struct argument {
    struct argument *next;
    struct sources sources;
};
struct arguments {
    struct argument *first, *last;
    uint32_t count;      /* without the rest */
    bool more;           /* the last one may be many */
    struct sources rest; /* what those can be */
};
/* A call of a local: its arguments may reach the parameters of the functions it holds. */
struct site {
    struct site *next;
    struct arguments arguments;
};
/* A call of redis.call; the first argument is the name. */
struct call {
    struct call *next;
    uint32_t line;
    struct arguments arguments;
};

/* ---- expressions ---- */

enum expr_form {
    EXPR_NOTHING, /* nil, true, false: never text */
    EXPR_ANY,
    EXPR_LITERAL,
    EXPR_CHOICE, /* one of `sources` */
    EXPR_LOCAL,
    EXPR_GLOBAL,
    EXPR_FIELD, /* of a table; of a local's or of KEYS or ARGV when `base` says so */
    EXPR_FUNCTION,
    EXPR_ITERATOR, /* result of pairs(base), ipairs(base) */
    EXPR_ELEMENTS, /* result of unpack(base) */
    EXPR_VARARG,
    EXPR_CALL,     /* result of any other call */
    EXPR_CALLER,   /* redis.call, redis.pcall or a local that stands for one */
    EXPR_REGISTER, /* redis.register_function */
};
/* What a field belongs to. */
enum base_kind { BASE_OTHER, BASE_LOCAL, BASE_TABLE, BASE_GLOBAL };
struct expr {
    enum expr_form form;
    bool parens; /* neither assignable nor many */
    enum base_kind base;
    uint8_t table;
    uint32_t index;
    bool is_number; /* the literal is one: may be negated, may be an index; has no text yet */
    double number;
    struct local *local;
    const struct global *global;
    struct function *function;
    struct str literal;
    struct sources sources;
};

/* ---- the parser ---- */

struct symbol {
    struct symbol *next;
    struct str name;
    uint64_t hash;
    struct local *local; /* the innermost one in scope; NULL: a global */
};

struct parser {
    struct arena *arena; /* scratch: all facts, ends with the inspection */
    enum script_kind kind;
    struct lexer lexer;
    struct token token, ahead;
    bool has_ahead;
    uint32_t last_line; /* of the token before */
    uint32_t depth, facts;
    struct function *function;
    struct local *top;    /* innermost local in scope */
    struct local *locals; /* all of them */
    struct function *functions;
    struct symbol **symbols;
    size_t symbol_count, symbol_room; /* room: a power of two */
    uint64_t seed;
    size_t results_max;
    struct call *calls, **call_tail;
    bool tampered[TABLE_COUNT]; /* KEYS or ARGV may have been changed */
    /* the first complaint */
    enum script_verdict verdict;
    const char *reason;
    uint32_t reason_line;
};

/* Both keep the first complaint, and end the tokens so that every rule comes to its end. */
void parser_refuse(struct parser *parser, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
void parser_malformed(struct parser *parser, const char *reason);
/* Memory of one more fact. */
void *fact_new(struct parser *parser, size_t size);

/* tokens, with one of look-ahead */
void token_next(struct parser *parser);
int token_ahead(struct parser *parser);
bool token_skip(struct parser *parser, int kind); /* false: it is another one */
void token_expect(struct parser *parser, int kind, const char *what);
struct str name_expect(struct parser *parser);
/* A name as a reason can show it: short and printable. */
const char *name_shown(struct parser *parser, struct str name);
bool depth_enter(struct parser *parser);
void depth_leave(struct parser *parser);

/* scope.c */
struct symbol *symbol_of(struct parser *parser, struct str name);
struct local *local_new(struct parser *parser, struct symbol *symbol);
void local_declare(struct parser *parser, struct local *local); /* from here on in scope */
void scope_close(struct parser *parser, struct local *mark);    /* mark: top at its start */
void scope_free(struct parser *parser);

/* statement.c */
void body_parse(struct parser *parser);
/* At '(': parameters and block of a function. */
struct function *function_parse(struct parser *parser, bool self);

/* expr.c */
struct expr expr_parse(struct parser *parser);
struct expr name_parse(struct parser *parser);                /* a local or a global */
struct expr dot_parse(struct parser *parser, struct expr of); /* at '.': a field */
struct expr suffixed_parse(struct parser *parser);            /* with fields and calls */
struct expr simple_parse(struct parser *parser);              /* without operators */

/* call.c, register.c: at the arguments */
struct expr call_parse(struct parser *parser, struct expr callee);
void register_parse(struct parser *parser);

/* use.c: the only ways an expression ends */
struct sources expr_move(struct parser *parser, struct expr *expr); /* into one that is followed */
void expr_escape(struct parser *parser, struct expr *expr);         /* anything may happen to it */
void expr_test(struct parser *parser, struct expr *expr);           /* only looked at */
void expr_change(struct parser *parser, struct expr *field);        /* an element is assigned */
/* Whether it can stand for any number of values at the end of a list. The first of them is what
 * expr_move gives, the others are what this gives; it comes first. */
bool expr_many(const struct expr *expr);
struct sources expr_others(struct parser *parser, const struct expr *expr);
/* The elements of the table something stands on: base, local, table of a field or of a result. */
struct sources expr_elements(struct parser *parser, const struct expr *expr, uint32_t index);
/* What a local is given; also the binding of redis.call to a new one. */
void local_bind(struct parser *parser, struct local *local, struct expr *expr);
void local_assign(struct parser *parser, struct local *local, struct sources sources);
void sources_join(struct sources *to, struct sources from); /* from is used up */
void sources_add(struct parser *parser, struct sources *sources, struct source source);
struct sources sources_any(struct parser *parser);
void sources_escape(struct parser *parser, const struct sources *sources);
void functions_open(const struct sources *sources); /* those directly among them */

/* bind.c: what is called by whom, so what parameters are given */
void calls_bind(struct parser *parser);
/* solve.c: what every local can hold, after calls_bind() */
void values_solve(struct parser *parser);
/* Adds what the sources can be; true when that is more than was there. */
bool values_merge(struct parser *parser, struct values *values, const struct sources *sources);
/* result.c: the calls, after values_solve() */
void result_make(struct parser *parser, struct arena *arena, struct script *script);

/* shebang.c: skips the first line when it is one. */
void shebang_parse(struct parser *parser, struct arena *arena, struct str *body,
                   struct script *script);

#endif
