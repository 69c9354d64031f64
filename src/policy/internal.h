/*
 * internal.h - what the files of src/policy share: the compiled rule, its clauses, the index.
 *
 *   config_rule --compile.c--> rule { clauses[] } --> command_row { entries[] }   (one arena)
 *                commands.c     clauses.c keys.c       by command id, in file order
 *
 *   question --policy.c--> built-in judgements --> entries of its command --> clauses of each rule
 *
 * A new clause is one row of clause_types and one enum value. What a clause must know of single
 * commands (which argument is an offset, a time to live, a number of elements) is a table by
 * command name, looked up when the rules are compiled and kept in command_row. Actions that shape
 * what was let through (limits, rewrites) get entries of their own beside command_row.entries.
 */
#ifndef RESPGATE_POLICY_INTERNAL_H
#define RESPGATE_POLICY_INTERNAL_H

#include "respgate/policy.h"

#include "bucket.h"

/* Those about who asks come first: they are tested once for a client (who.c). Then cheap ones: a
 * rule stops at the first clause that does not hold. */
enum clause_id {
    CLAUSE_COMMANDS,
    CLAUSE_USERS,
    CLAUSE_FROM,
    CLAUSE_WHEN,
    CLAUSE_MIN_ARGS,
    CLAUSE_MIN_KEYS,
    CLAUSE_DB,
    CLAUSE_MIN_BYTES,
    CLAUSE_WITHOUT_TTL,
    CLAUSE_MAX_TTL,
    CLAUSE_KEYS,
    CLAUSE_CHANNELS,
    CLAUSE_UNBOUNDED, /* last: it may have to ask the node */
    CLAUSE_MIN_ELEMENTS,
    CLAUSE_COUNT,
};

/* Commands whose arguments name databases, channels or patterns of keys that no key
 * specification tells. */
enum special {
    SPECIAL_NONE,
    SPECIAL_COPY,
    SPECIAL_MOVE,
    SPECIAL_SWAPDB,
    SPECIAL_FLUSHALL,
    SPECIAL_SELECT,
    SPECIAL_PUBLISH,
    SPECIAL_SUBSCRIBE,
    SPECIAL_PSUBSCRIBE,
    SPECIAL_KEYS,
    SPECIAL_SCAN,
    SPECIAL_TRACKING,
};

/* What a clause is tested against. `every` is how a request with several keys or databases is
 * judged: an allow must hold for each of them, everything else for any. */
struct asking {
    const struct question *question;
    const struct command_row *row;
    const uint64_t *who; /* rules that can hold; NULL: not known */
    enum special special;
    bool every;
    bool ask;   /* a clause holds or not by what the node has to be asked first */
    bool blind; /* the rule at hand holds only because the node's answer is not known */
};
/* What cannot be known meets everything but an allow. */
static inline bool unknown_holds(const struct asking *asking)
{
    return !asking->every;
}

struct compiler {
    struct arena *arena, *scratch; /* the policy's, and one that ends with the compilation */
    const struct config *config;
    const struct command_table *commands;
    struct problems *problems;
};

enum clause_field {
    FIELD_LIST,   /* struct text_list; set when it has items */
    FIELD_NUMBER, /* uint64_t; set when it is not 0 */
    FIELD_YES,    /* bool */
    FIELD_LEVEL,  /* enum pressure */
};
typedef bool clause_test(const void *data, struct asking *asking);
struct clause_type {
    const char *name; /* of the option */
    enum clause_field kind;
    size_t field; /* offset in struct config_rule */
    /* What test() needs of the rule; mistakes are reported, each at its item. */
    const void *(*compile)(struct compiler *compiler, const struct config_rule *rule);
    clause_test *test;
    /* Whether a request of this command could hold at all; NULL: any could. */
    bool (*possible)(const struct command *command);
};
/* A row without functions is no test of its own: CLAUSE_COMMANDS becomes the index. */
extern const struct clause_type clause_types[CLAUSE_COUNT];
bool clause_is_set(enum clause_id id, const struct config_rule *rule);
/* As written in the file, for the comparison at a reload; "" when it is not set. */
const char *clause_text(struct arena *arena, enum clause_id id, const struct config_rule *rule);

struct clause {
    clause_test *test;
    const void *data;
};

/* What a limit or a delay counts, and in which buckets. */
struct pace {
    double rate; /* a second */
    uint64_t burst;
    enum rule_per per;
    enum rule_cost cost;
    uint64_t patience; /* ns: how long a delay holds; 0 for a limit */
    bool shared;
    struct limiter *limiter;
};

/* What `add` says. */
enum addition { ADD_NONE, ADD_MAXLEN, ADD_EX, ADD_ASYNC };
struct rewrite {
    enum addition kind;
    bool exactly; /* MAXLEN = N */
    int64_t number;
};

/* Options that belong to some actions only: rows of action_details. */
enum detail {
    DETAIL_RATE,
    DETAIL_BURST,
    DETAIL_PER,
    DETAIL_COST,
    DETAIL_DELAY_MAX,
    DETAIL_EXEMPT,
    DETAIL_READ_FROM,
    DETAIL_ADD,
    DETAIL_CONFIRM,
    DETAIL_SHARED,
    DETAIL_COUNT
};
extern const char *const action_details[DETAIL_COUNT];

struct rule {
    uint8_t clause_count, who_count;     /* the first who_count are about who asks */
    struct clause clauses[CLAUSE_COUNT]; /* all must hold */
    enum rule_action action;
    enum rule_mode mode;
    const char *name;
    const char *message;             /* NULL: none */
    const struct key_patterns *keys; /* of the keys clause; NULL: none */
    bool exempt, console;
    enum read_from read_from;
    bool asks;        /* may need to know how many elements there are */
    struct pace pace; /* limit and delay */
    struct rewrite rewrite;
    const char *text[CLAUSE_COUNT];    /* as written, for the comparison at a reload */
    const char *details[DETAIL_COUNT]; /* the same of the action's options; NULL: not set */
};

/* A rule that may apply to a command. */
struct entry {
    const struct rule *rule;
    uint64_t classes; /* 0: surely; else when the request is of one of these classes */
};

/* Pass 1 walks the entries that decide, in file order; pass 2 those that shape: limits and delays
 * first, then log, then rewrite, each in file order. */
struct command_row {
    const struct entry *entries, *shapes;
    uint32_t entry_count, shape_count;
    /* Bits by rule: those of the entries and of the shapes; and of a request without options. */
    const uint64_t *deciders, *shapers, *plain_deciders, *plain_shapers;
    uint8_t special; /* enum special */
    uint8_t extent, expiry,
        bound;   /* rows of the tables in extent.c, expiry.c and bound.c; 0: none */
    bool gated;  /* learned, and not let through unless an allow names it */
    bool always; /* judged whoever asks */
};

struct policy {
    struct arena *arena;
    size_t command_count;
    const struct command_row *commands; /* by id */
    size_t rule_count;
    struct rule *rules;
    bool observe;
    bool samples_ttl; /* a rule has without-ttl */
    bool shares;      /* a rule has shared = yes */
};

/* ---- policy.c: one rule ---- */

struct asking asking_of(const struct policy *policy, const struct command_row *row,
                        const struct question *question);
/* A request's classes cost a look at its arguments: taken once, and only when an entry asks; by
 * whether the rule refuses. */
struct classes {
    bool known[2];
    uint64_t bits[2];
};
bool entry_matches(const struct policy *policy, const struct entry *entry, struct asking *asking,
                   struct classes *classes);

/* ---- action.c: what each action takes ---- */

const char *action_name(enum rule_action action);
static inline bool action_decides(enum rule_action action)
{
    return action == ACTION_DENY || action == ACTION_ALLOW || action == ACTION_CONFIRM;
}
struct command_set;
/* The action's own options; mistakes are told, those about its commands too. */
void action_compile(struct compiler *compiler, const struct config_rule *source,
                    const struct command_set *commands, struct rule *rule);

/* ---- changes.c ---- */

/* For each rule of `of` the index of its namesake in `in`, or SIZE_MAX; free() it. */
size_t *rules_counterparts(const struct policy *of, const struct policy *in);

/* ---- rewrite.c ---- */

/* False: the text is no addition. */
bool rewrite_parse(struct str text, struct rewrite *out);
/* Whether the addition does something to this command. */
bool rewrite_fits(enum addition addition, const char *command);

/* ---- commands.c: the commands clause ---- */

/* Bit sets over command ids. */
struct command_set {
    uint64_t *named;    /* by own or container's name */
    uint64_t *sure;     /* whatever the arguments are */
    uint64_t *possible; /* sure, or when the arguments make it one of `classes` */
    uint64_t classes;
    bool incomplete; /* names commands that only a backend can teach */
};
static inline bool set_has(const uint64_t *set, size_t id)
{
    return set[id / 64] >> (id % 64) & 1;
}
struct command_set *command_set_compile(struct compiler *compiler, const struct text_list *list);
void command_set_remove(struct command_set *set, size_t id);
/* The classes by which arguments decide whether the command is in the set; 0 when the name or a
 * sure class settles it. */
uint64_t command_set_condition(const struct command_set *set, const struct command *command);
/* Whether all of *inner is surely in *outer, and there is any. */
bool command_set_covers(const struct command_set *outer, const struct command_set *inner,
                        size_t command_count);

/* ---- who.c: rules and clients ---- */

/* The entries' rules, as bits. plain: only those that hold whatever the options. */
const uint64_t *who_mask(struct compiler *compiler, const struct policy *policy,
                         const struct entry *entries, size_t count, bool plain);
/* policy_who()'s bits for a command of this row; NULL stays NULL. */
const uint64_t *who_of(const struct policy *policy, const struct command_row *row,
                       const uint64_t *who);
/* Whether one of the mask's rules can hold for this client. */
bool who_meets(const struct policy *policy, const uint64_t *mask, const uint64_t *who);
static inline bool who_has(const uint64_t *who, size_t rule)
{
    return !who || who[rule / 64] >> (rule % 64) & 1;
}

/* ---- near.c: did you mean ---- */

enum { NEAR_MAX = 3, NEAR_LENGTH = 48 };
/* The best candidates for a misspelt name, nearest first. */
struct near {
    struct str wanted;
    size_t count;
    struct {
        const char *name;
        size_t distance;
    } found[NEAR_MAX];
};
void near_offer(struct near *near, const char *candidate);

/* ---- keys.c: the keys clause ---- */

const void *keys_compile(struct compiler *compiler, const struct config_rule *rule);
clause_test keys_test;

/* ---- bytes.c ---- */

/* Whether an argument tells how long a value becomes. */
bool bytes_by_offset(const struct command *command);

/* ---- channels.c: the channels clause ---- */

const void *channels_compile(struct compiler *compiler, const struct config_rule *rule);
clause_test channels_test;
bool channels_possible(const struct command *command);

/* ---- overlap.c ---- */

/* Whether a text may exist that both globs match. False is proven. */
bool globs_may_overlap(struct str a, struct str b);

/* ---- expiry.c: without-ttl and max-ttl ---- */

uint8_t expiry_of(const char *command);
clause_test without_ttl_test;
bool without_ttl_possible(const struct command *command);
const void *max_ttl_compile(struct compiler *compiler, const struct config_rule *rule);
clause_test max_ttl_test;
bool max_ttl_possible(const struct command *command);

/* ---- bound.c: unbounded ---- */

uint8_t bound_of(const char *command);
const void *unbounded_compile(struct compiler *compiler, const struct config_rule *rule);
clause_test unbounded_test;
bool unbounded_possible(const struct command *command);

/* ---- special.c: what some commands' arguments name ---- */

enum special special_of(const char *command);
bool special_names_db(enum special special); /* or acts on all */
/* The next argument at or behind *arg that names a database; false when there is none. */
bool special_next_db(const struct question *question, enum special special, size_t *arg);
/* The next argument at or behind *arg that names a channel; *pattern tells that it is a glob. */
bool special_next_channel(const struct question *question, enum special special, size_t *arg,
                          bool *pattern);
struct key_pattern {
    struct str head; /* every key it matches begins so */
    struct str text;
    bool literal; /* text is one key */
};
/* The bytes before the first that has a meaning. A backslash ends them too: a shorter head only
 * makes a judgement more careful. */
struct str glob_head(struct str glob);
/* The next pattern of keys, from *arg on (start with 0; *arg moves past it). A request that
 * could have a pattern and has none means all keys: one empty head. */
bool special_next_pattern(const struct question *question, enum special special, size_t *arg,
                          struct key_pattern *out);

/* ---- builtin.c: judgements that are in no file ---- */

/* The rule of a built-in judgement that denies before any rule; POLICY_NO_RULE: none. */
uint16_t builtin_judge(const struct question *question, enum special special);
bool builtin_has(const char *name);
const char *builtin_name(uint16_t rule);
const char *builtin_message(uint16_t rule);

#endif
