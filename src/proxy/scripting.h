/*
 * scripting.h - what the files about scripts share; only for src/proxy.
 *
 *   EVAL body --script_cache.c--> entry (judged body, and its calls under the rules of now)
 *   EVALSHA sha1 ------^               |
 *   FCALL name --functions.c-----------+--script_calls.c--> each call as a question of its own
 *
 *   scripting.c  what each script command needs, by [scripts] mode
 *
 * A body is inspected once (src/script) and then immutable, counted and shared by all workers; what
 * the rules make of its calls is worked out by each worker when it first meets it under a snapshot.
 */
#ifndef RESPGATE_SCRIPTING_H
#define RESPGATE_SCRIPTING_H

#include "respgate/script.h"
#include "stages.h"

/* One text as src/script understood it. */
struct script_body {
    int refs; /* atomic */
    enum script_kind kind;
    uint8_t digest[DIGEST_SIZE]; /* by which a text is found: SHA-1 would be forged */
    char sha1[SHA1_SIZE * 2 + 1];
    struct arena *arena;
    const struct script *script;
};
struct script_body *script_body_hold(struct script_body *body);
void script_body_drop(struct script_body *body);

/* A call under the present command table and rules. */
struct known_call {
    const struct command *command; /* NULL: the name is an argument of the EVAL */
    bool any_sub;                  /* a container whose subcommand is not known: all of them */
    bool concerned;                /* some rule may have a say */
    bool by_arguments;             /* its classes depend on them */
};

/* A body in a worker's cache. */
struct script_entry {
    struct list by_digest, by_sha1, used;
    struct script_body *body;
    uint64_t generation; /* of the snapshot the rest was worked out for; 0: none yet */
    bool forged;         /* another text has its SHA-1 already */
    bool trusted;        /* allow-files, allow-sha1 */
    const char *refusal; /* a call that can never be judged; NULL: none */
    uint32_t refusal_line;
    char refusal_text[128];
    uint64_t classes;       /* of the calls that have theirs whatever the arguments are */
    uint32_t computed_line; /* a key that is neither KEYS[n] nor a literal; 0: none */
    struct known_call *calls;
};

struct script_cache;
struct script_cache *script_cache_new(void);
void script_cache_free(struct script_cache *cache);
/* The entry of a text: inspected when it is new, and then told to the other workers. */
struct script_entry *script_cache_text(struct worker *worker, enum script_kind kind,
                                       struct str text);
/* By the SHA-1 of an EVALSHA, any case; NULL: never judged, or forgotten since. */
struct script_entry *script_cache_sha1(struct worker *worker, struct str sha1);
struct script_entry *script_cache_body(struct worker *worker, struct script_body *body);

/* ---- trusted bodies: a part of the snapshot ---- */

struct trusted *trusted_new(const struct config *config);
void trusted_free(struct trusted *trusted);
bool trusted_has(const struct trusted *trusted, struct str sha1);

/* ---- calls (script_calls.c) ---- */

enum { SCRIPT_DBS_MAX = 8 };
/* What a script is run with. */
struct script_run {
    struct client *client;
    struct call *call; /* the EVAL or FCALL */
    int64_t db;
    const struct str *keys, *args;
    size_t key_count, arg_count;
    bool loading;         /* SCRIPT LOAD, FUNCTION LOAD: only what is sure is refused */
    bool reserved;        /* a reserved key is among the arguments */
    bool refuse_computed; /* keys must be known where a rule has keys: */
    uint16_t keys_rule;   /* keys must be known because of this rule; POLICY_NO_RULE: need not */
    uint16_t shared_rule; /* as keys_rule, of keys that are written */
    bool ignore_computed;
    enum pressure pressure; /* of the node it runs on */
    /* SELECT holds for the calls behind it, in any order: each is judged in every db named. */
    int64_t dbs[SCRIPT_DBS_MAX];
    size_t db_count;
    bool db_unknown;  /* or more than those */
    size_t key_total; /* keys looked at so far */
    char reason[160]; /* result: it cannot be judged; "": a rule has spoken */
    uint32_t reason_line;
    uint64_t classes; /* result: of all calls */
};
/* Judges every call; false: refused, out has the text. */
bool must_check script_calls_judge(struct script_run *run, struct script_entry *entry,
                                   struct buf *out);
void script_entry_compile(struct worker *worker, struct script_entry *entry);

/* ---- functions (functions.c) ---- */

/* The libraries of the backend as FUNCTION LIST gave them; immutable, counted. */
struct functions;
/* The nth function of that name, any case, as Redis looks it up; NULL: no more. *refusal is set
 * when its library could not be judged. */
struct script_body *functions_find(const struct functions *functions, struct str name, size_t n,
                                   const char **refusal);
enum step functions_prepare(struct client *client, struct call *call);
void functions_drop(struct functions *functions);

#endif
