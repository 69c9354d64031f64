/*
 * policy.h - rules compiled to an immutable set, and the judgement of one request by it.
 *
 * A set is compiled at load, indexed by command: a command no rule names costs one look-up. It
 * is shared by all threads and never changes; counters live with the worker that counts.
 */
#ifndef RESPGATE_POLICY_H
#define RESPGATE_POLICY_H

#include "respgate/base.h"
#include "respgate/command.h"
#include "respgate/config.h"

/* Where a client comes from. */
struct address {
    bool is_unix;
    bool is_ipv6;
    uint8_t ip[16]; /* IPv4 in the first 4; IPv4-mapped IPv6 is stored as IPv4 */
    uint16_t port;
};

/* Who asks: kept by the client, changed at login and SELECT. */
struct subject {
    struct address address;
    struct str user; /* name the client authenticated as; empty: none */
    uint64_t client_id;
};

/* A request inside MULTI or in a script is judged by its arguments alone. */
enum elements_state { ELEMENTS_CLOSED, ELEMENTS_MAY_ASK, ELEMENTS_ASKED };

/* What is known of a question's arguments, and so which classes count. */
enum question_kind {
    QUESTION_REQUEST, /* a client's own: what it says is what it does */
    /* EVAL or FCALL with calls that were all judged one by one. What refuses has met them there,
     * with their own keys, so for it only the command's own classes count; for all else the calls'
     * classes (more_classes) do too. */
    QUESTION_SCRIPT,
    /* One call of a script with arguments that are not known (policy_unknown): classes they decide
     * on hold for what refuses and for no allow. */
    QUESTION_CALL_OPEN,
};
/* Stands for an argument nobody knows: no number, no option word. Told by its pointer. */
extern const struct str policy_unknown;
static inline bool policy_is_unknown(struct str argument)
{
    return argument.ptr == policy_unknown.ptr;
}

/* A rule of pass 2 that holds for calls of a script, and how many keys these have (or more than any
 * bucket holds). */
struct called {
    uint16_t rule, keys;
};

/* One request to be judged. keys are the real ones (NOT_KEY left out). */
struct question {
    const struct command *command;
    const struct str *argv;
    size_t argc;
    const struct key_ref *keys;
    size_t key_count;
    bool keys_unknown; /* there are keys no specification can tell: meets every deny, no allow */
    int64_t db;
    const struct subject *subject;
    const uint64_t *who; /* policy_who() of subject and db; NULL: each rule's clauses are tested */
    /* The declared prefix of a key, for buckets by prefix; empty: none. NULL: nothing is declared.
     */
    struct str (*prefix_of)(const void *scheme, struct str key);
    const void *scheme;
    const uint16_t *leased; /* rules with `shared` whose tokens are in hand: no bucket here */
    size_t leased_count;
    const uint16_t *confirmed; /* confirm rules a code was given for: skipped */
    size_t confirmed_count;
    uint64_t more_classes;       /* classes beyond the command's own: of a script's calls */
    const struct called *called; /* of its script's calls */
    size_t called_count;
    enum question_kind kind;
    enum pressure pressure;    /* of the node it goes to */
    enum elements_state asked; /* whether the node can be asked, or was */
    int64_t elements;          /* ELEMENTS_ASKED: the node's answer; -1: it is not known */
};

/* VERDICT_ASK: a rule goes by how many elements the keys have. Sum up the answers to policy_ask()
 * and judge anew, with ELEMENTS_ASKED. */
enum verdict_kind { VERDICT_ALLOW, VERDICT_DENY, VERDICT_CONFIRM, VERDICT_ASK };
enum { OBSERVED_MAX = 8 };
struct verdict {
    enum verdict_kind kind;
    bool exempt;              /* allowed by a rule that spares it pass 2 */
    enum read_from read_from; /* of the rule that allowed it; READ_UNSET: it says nothing */
    uint16_t rule; /* that decided; POLICY_NO_RULE when none matched, or one of the built-in ones */
    bool blind;    /* it decided because the number of elements could not be learned */
    /* Rules in observe mode (or all, under [proxy] observe) that would have decided, in file
     * order; POLICY_LEARNED may be among them. */
    uint16_t observed_count;
    uint16_t observed[OBSERVED_MAX];
};
/* Judgements that are in no file have indexes above those of all rules. The reserved ones come
 * before the rules and nothing switches them off; LEARNED comes after them. */
enum {
    POLICY_LEARNED = 0xfffc,
    POLICY_RESERVED_KEYS = 0xfffd,
    POLICY_RESERVED_CHANNELS = 0xfffe,
    POLICY_NO_RULE = 0xffff,
    POLICY_RULES_MAX = POLICY_LEARNED,
};

/* Keys that begin so are respgate's own (shared rate buckets). They share one hash tag. */
#define POLICY_RESERVED "{respgate}"
static inline bool policy_reserved_key(struct str key)
{
    return unlikely(key.len >= sizeof(POLICY_RESERVED) - 1 && key.ptr[0] == '{' &&
                    memcmp(key.ptr, POLICY_RESERVED, sizeof(POLICY_RESERVED) - 1) == 0);
}
/* Whether an argument could be a reserved key: a look at first bytes, so that a request no rule
 * concerns needs no key extraction. True means: extract the keys and judge. */
static inline bool policy_reserved_among(const struct str *argv, size_t argc)
{
    for (size_t i = 1; i < argc; i++)
        if (policy_reserved_key(argv[i]))
            return true;
    return false;
}

struct policy;
/* Compiles config's rules against a command table (which must outlive the policy). Problems name
 * the rule's line; NULL when there was an error. Learned commands are governed by
 * [proxy] learned: those it does not let through are denied unless an allow rule names them. */
struct policy *policy_compile(const struct config *config, const struct command_table *commands,
                              struct problems *problems);
void policy_free(struct policy *policy);
/* The rules whose clauses about who asks and where (users, from, db) hold for a subject: bits in so
 * many words. Good until the subject, its db or the policy is another. */
size_t policy_who_words(const struct policy *policy);
void policy_who(const struct policy *policy, const struct subject *subject, int64_t db,
                uint64_t *who);
/* Whether a rule or built-in judgement could decide on this command with so many arguments of this
 * client (NULL: of any). False lets the caller skip key extraction and the judgement, unless
 * policy_reserved_among() its arguments:
 *     if (policy_concerns(p, cmd, argc, who) || policy_reserved_among(argv, argc)) judge */
bool policy_concerns(const struct policy *policy, const struct command *command, size_t argc,
                     const uint64_t *who);
/* First match decides, in file order. Fills *out wholly. The command must be of the table the
 * policy was compiled against: one behind its end is denied as POLICY_LEARNED. */
void policy_judge(const struct policy *policy, const struct question *question,
                  struct verdict *out);
/* All classes of a question. refuses: as a deny sees them, else as an allow or a limit does. */
uint64_t question_classes(const struct question *question, bool refuses);
/* The first enforcing rule with a keys clause that can concern who asks, in this db;
 * POLICY_NO_RULE: none. */
uint16_t policy_rule_with_keys(const struct policy *policy, const struct question *question);
/* The first enforcing rule that keeps its bucket in the store; POLICY_NO_RULE: none. */
uint16_t policy_rule_shared(const struct policy *policy);
/* The commands whose integer replies add up to question.elements, one for each call: *at is 0 at
 * first, argv[0] the command's name, argv[1] a key. False: no more. A key of another type
 * (WRONGTYPE) counts as 0. */
enum { POLICY_ASKS_MAX = 256 }; /* with more of them the number counts as not known */
bool policy_ask(const struct policy *policy, const struct question *question, size_t *at,
                struct str argv[2]);

/* ---- pass 2: what was let through ---- */

/* SHAPE_ASK: as VERDICT_ASK; nothing was charged. */
enum shape_kind { SHAPE_PASS, SHAPE_DELAY, SHAPE_THROTTLE, SHAPE_ASK };
enum { SHAPE_RULES_MAX = 8 };
struct shape {
    enum shape_kind kind;
    uint16_t rule;    /* that delays longest or refuses */
    uint64_t wait_ms; /* DELAY: for so long; THROTTLE: after which it would pass */
    bool rewrites;    /* a rule may rewrite it: policy_rewrite() */
    uint16_t logged_count, observed_count;
    uint16_t logged[SHAPE_RULES_MAX];   /* rules that log it */
    uint16_t observed[SHAPE_RULES_MAX]; /* rules in observe mode that would have done something */
};
struct rewritten {
    const struct str *argv;
    size_t argc;
    uint16_t rule; /* the last that changed it */
};
/* Whether a limit, delay, log or rewrite could apply to this command of this client. */
bool policy_shapes(const struct policy *policy, const struct command *command, size_t argc,
                   const uint64_t *who);
/* A call of a script: the rules of pass 2 that hold for it go to `called`, for the question of the
 * script as a whole. False: there is no room for all. */
enum { CALLED_MAX = 16 };
bool must_check policy_note_called(const struct policy *policy, const struct question *call,
                                   struct called called[CALLED_MAX], size_t *count);
/* What a request costs at the buckets that are shared by all respgates; at most SHARED_MAX, the
 * rules beyond count here. The name tells the bucket apart from all others, in every respgate. */
enum { SHARED_MAX = 4, SHARED_NAME_MAX = 160 };
struct shared_cost {
    uint16_t rule;
    uint64_t cost, burst;
    double rate; /* a second */
    size_t name_len;
    char name[SHARED_NAME_MAX];
};
size_t policy_shared(const struct policy *policy, const struct question *question,
                     struct shared_cost out[SHARED_MAX]);
/* Tests the buckets of every limit and delay that holds, and charges them all or none; then what
 * logs and what rewrites. now: of clock_ns(), or a little behind. Fills *out wholly. Any thread. */
void policy_shape(const struct policy *policy, const struct question *question, uint64_t now,
                  struct shape *out);
/* "THROTTLED respgate: rule 'NAME', retry after 120 ms". */
void policy_throttled(const struct policy *policy, const struct shape *shape, struct buf *out);
/* The request as the rewriting rules make it: arguments in the arena, or views of the old ones.
 * False: it stays as it is. */
bool policy_rewrite(const struct policy *policy, const struct question *question,
                    struct arena *arena, struct rewritten *out);
/* Before new is used: its limits take the buckets of the rules of the same name in old (NULL:
 * none), with their fill as a fraction when rate or burst changed. */
void policy_inherit(struct policy *new, const struct policy *old, uint64_t now);
/* Forgets a part of the buckets that are full; called some times a second, by one thread. */
void policy_sweep(const struct policy *policy, uint64_t now);

/* Whether a rule looks at times to live: then those of collections are sampled. */
bool policy_samples_ttl(const struct policy *policy);
/* The refusal as a client sees it, without "-" and CRLF:
 * "NOPERM respgate: 'FLUSHALL' is denied by rule 'no-flush': <message>". Placeholders {key}
 * {command} {client} in the message are filled in; a rule without message ends at its name. At
 * most POLICY_REFUSAL_MAX bytes, never a control character. The verdict must be a deny. */
enum { POLICY_REFUSAL_MAX = 1024 };
void policy_refusal(const struct policy *policy, const struct question *question,
                    const struct verdict *verdict, struct buf *out);
/* "NOPERM respgate: 'FLUSHDB' needs confirmation (rule 'x'): <text>". The verdict must be a
 * confirm. */
void policy_confirmation(const struct policy *policy, const struct question *question,
                         const struct verdict *verdict, const char *text, struct buf *out);
/* Whether a confirm rule shows its codes only to administrators. */
bool policy_confirm_console(const struct policy *policy, uint16_t rule);
/* Rules of the file, those in mode off included: an index is the place in config->rules. */
size_t policy_rule_count(const struct policy *policy);
/* Of a rule of the file or a built-in one; "(none)" for POLICY_NO_RULE. */
const char *policy_rule_name(const struct policy *policy, uint16_t rule);
/* Its action's word; "deny" for a built-in one. */
const char *policy_rule_action(const struct policy *policy, uint16_t rule);
/* What differs, rule by rule: added, removed, changed (which fields), moved; a line each. */
void policy_changes(const struct policy *old, const struct policy *new, struct buf *out);

/* Bytes a write may reach in the store: what it brings, or for SETRANGE, SETBIT and BITFIELD where
 * their offsets end. */
uint64_t policy_bytes(const struct command *command, const struct str *argv, size_t argc);

/* Patterns of keys outside rules: globs, ! excludes. Lives in the arena; mistakes are told. */
struct key_patterns;
const struct key_patterns *key_patterns_compile(struct arena *arena, const struct text_list *list,
                                                struct problems *problems);
bool key_patterns_match(const struct key_patterns *patterns, struct str key);

/* ACL SETUSER lines for the users respgate has at the backend, with comments: as much of the rules
 * as Redis' ACLs can hold, and never more than the rules refuse. commands: the built-in table. */
void policy_acl(const struct policy *policy, const struct config *config,
                const struct command_table *commands, struct buf *out);

/* What a request does to the time to live of the keys it writes. */
enum expiry_effect { EXPIRY_UNTOUCHED, EXPIRY_GIVEN, EXPIRY_REMOVED };
bool policy_may_expire(const struct command *command); /* only then policy_expiry() can be asked */
enum expiry_effect policy_expiry(const struct command *command, const struct str *argv,
                                 size_t argc);

/* "10.0.0.0/8", "2001:db8::/32", "unix", an address alone. IPv4-mapped IPv6 becomes IPv4. */
struct network {
    bool is_unix;
    bool is_ipv6;
    uint8_t ip[16];
    uint8_t bits;
};
bool must_check network_parse(struct str text, struct network *out);
bool network_contains(const struct network *network, const struct address *address);

#endif
