/*
 * proxy.h - the central types: who owns what, from client to backend and back.
 *
 *   proxy  1 -- n  worker (a thread's world)
 *   worker 1 -- n  client          1 -- n node (a backend as this worker sees it)
 *   node   1 -- n  pool (a class of links: identity, RESP version, db)
 *   pool   1 -- 1  shared link, 0 -- n pinned links, each idle (warm) or owned by one client
 *   req    in exactly one client's queue and at most one of: a link's queue, its pool's parked
 *
 * Threads share only immutable, counted snapshots and counters written by one thread; all else
 * goes by mail. Nobody keeps pointers into a snapshot across turns, only ids and names.
 */
#ifndef RESPGATE_PROXY_H
#define RESPGATE_PROXY_H

#include "respgate/command.h"
#include "respgate/config.h"
#include "respgate/net.h"
#include "respgate/policy.h"
#include "respgate/resp.h"
#include "respgate/route.h"
#include "respgate/stats.h"

struct worker;
struct proxy;
struct client;
struct link;
struct node;
struct pool;
struct link_class;
struct hub;
struct health;        /* src/proxy/health.h */
struct charge;        /* pressure.h */
struct pressure_plan; /* src/proxy/pressure.c */

/* ---- tables ---- */

enum reason {
#define REASON(id, text) REASON_##id,
#include "respgate/reasons.def"
#undef REASON
    REASON_COUNT
};
const char *reason_text(enum reason reason);

/* ---- snapshot (snapshot.c) ----------------------------------------------------------------------
 */

/* What a command needs beyond being forwarded; worked out once for each snapshot. */
enum {
    TRAIT_NO_TIMEOUT = 1u << 0, /* scripts, @memory-heavy, blocking: may rightly take long */
    TRAIT_MAY_BLOCK = 1u << 1,  /* ask command_blocks() */
    TRAIT_READ = 1u << 2,       /* may be sent again when its link died */
    TRAIT_ONE_KEY = 1u << 4,    /* its first argument, and no other: no need to look for keys */
    TRAIT_SCRIPT = 1u << 5,     /* brings or runs a script: scripting_judge() */
    TRAIT_FUNCTIONS = 1u << 6,  /* changes the functions of the store */
    TRAIT_PRESSURE = 1u << 7,   /* writes or adds data: pressure_admits() */
    TRAIT_NAMES = 1u << 3,      /* carries names (consumers, channels): limits_names() */
};

/* Configuration, rules and command facts, made whole at start, at each SIGHUP and when commands
 * are learned; counted, immutable, shared by all threads. */
struct snapshot {
    int refs; /* atomic */
    uint64_t generation;
    struct config *config;
    const struct command_table *commands; /* lives as long as the process */
    struct policy *policy;
    struct prefix_scheme *prefixes;  /* for the names of keys */
    struct trusted *trusted;         /* bodies of [scripts] allow-files and allow-sha1 */
    struct tls_context *listen_tls;  /* NULL: no tls:// listener */
    struct tls_context *backend_tls; /* NULL: plain */
    struct pressure_plan *pressure;
    uint8_t *traits;              /* by command id */
    uint8_t *counting;            /* by command id: how its keys count (count_keys.c) */
    uint8_t *session;             /* by command id: row of the session table, 0 none */
    struct command_route *routes; /* by command id: its way in a cluster */
};
/* Takes over a reference to config. NULL with problems when something does not fit. */
struct snapshot *snapshot_new(struct config *config, const struct command_table *commands,
                              struct problems *problems);
/* From a file (NULL: built in). old: what it is to replace, or NULL at the start. NULL with every
 * mistake of the file in problems. */
struct snapshot *snapshot_load(const char *path, const struct config_overrides *overrides,
                               const struct snapshot *old, struct problems *problems);
struct snapshot *snapshot_hold(struct snapshot *snapshot);
void snapshot_drop(struct snapshot *snapshot);

/* ---- identity (identity.c) ---- */

/* A name and password at the backend, of one worker. Interned: same credentials, same pointer. */
struct identity {
    struct list node;
    uint32_t refs;
    uint8_t digest[DIGEST_SIZE]; /* keyed: finds the identity without comparing secrets */
    char *username, *password;   /* both NULL: does not log in */
    uint64_t verified; /* loop ms of the last login that was accepted; 0: none, or refused since */
};
/* username NULL: the default user. */
struct identity *identity_get(struct worker *worker, const char *username, struct str password);
struct identity *identity_none(struct worker *worker); /* the one that does not log in */
struct identity *identity_hold(struct identity *identity);
void identity_drop(struct identity *identity);

/* ---- requests in flight (src/proxy/links.h) ---- */

struct req;
struct req_queue {
    struct req *head, *tail;
    size_t count;
};

/* ---- client (client.c) ---- */

enum client_state {
    CLIENT_HANDSHAKE, /* TLS or PROXY header */
    CLIENT_IDLE,      /* nothing in flight, nothing half read */
    CLIENT_BUSY,      /* requests in flight, or half a request read */
    CLIENT_WAITING,   /* its next request waits: client->wait tells for what */
    CLIENT_LEAVING,   /* reads no more; goes when all is answered and written */
    CLIENT_CLOSED,
    CLIENT_STATES
};
enum client_wait {
    WAIT_NONE,
    WAIT_DRAIN,  /* all earlier requests must be answered before the next goes another way */
    WAIT_PIN,    /* a pinned link */
    WAIT_LOGIN,  /* a link of its new class */
    WAIT_TIME,   /* client->wait_until */
    WAIT_ANSWER, /* another worker or respgate's own question */
    WAIT_HOLD,   /* the end of a pause, or of a move to another backend */
    WAIT_ROOM,   /* its own requests in flight are too many (max-queued) */
};
/* Why a client has a pinned link. */
enum {
    PIN_MULTI = 1u << 0,
    PIN_WATCH = 1u << 1,
    PIN_BLOCK = 1u << 2,
    PIN_SUBSCRIBE = 1u << 3,
    PIN_TRACKING = 1u << 4,
    PIN_MONITOR = 1u << 5,
    PIN_NO_TOUCH = 1u << 6,
    PIN_WAIT = 1u << 7,
};

enum { CONFIRMED_MAX = 4 };
/* The command a client is at: between parsing and being sent or answered. */
struct call {
    struct request request;
    const struct command *command;
    const struct key_ref *keys; /* in the worker's scratch: only while the pipeline runs */
    size_t key_count;
    bool keys_unknown;
    struct charge *charges; /* moves to the req, or to the transaction */
    bool active;
    bool as_control;   /* confirmed: runs under the control identity, where there is one */
    bool unpinned;     /* in a cluster: past the pinned link, which is at another node */
    struct pool *pool; /* where it goes; only from `place` to `dispatch` */
    int16_t slot;      /* in a cluster: of its keys, SLOT_NONE or SLOT_MANY */
    bool to_pinned;    /* goes to the pinned link though its command ends the reason for one */
    bool selects;      /* a SELECT queued in MULTI */
    uint8_t asked;     /* enum elements_state of the question the rules are asked */
    bool asks_failed;  /* the number is not known, */
    bool asks_lost;    /* because no answer came */
    uint32_t asks;     /* not yet answered, and one while they are being sent */
    int64_t elements;  /* answered so far */
    bool throttled;    /* its login attempt has waited already */
    bool exempt;       /* the rule that allowed it spares it pass 2 */
    uint8_t read_from; /* enum read_from of that rule; READ_UNSET: [backend]'s */
    uint8_t confirmed_count;
    uint16_t confirmed[CONFIRMED_MAX]; /* rules a code was given for: it meets them no more */
    uint64_t lease_since; /* loop ms since when it waits for a share of a bucket; 0: it does not */
    bool shaped;          /* its buckets are charged: not a second time */
    size_t held;          /* bytes of it that wait: hold.c */
    uint8_t stage;        /* where the pipeline goes on */
    uint64_t generation;  /* of the rules it was judged by, */
    int64_t db;           /* and the db it was judged for */
    uint8_t kind;         /* enum req_kind, chosen by the session */
    uint8_t pin;          /* reasons this command adds */
    uint8_t aux;
    uint32_t expect;
    bool computed;         /* its script has keys that are neither KEYS[n] nor literals */
    bool script_judged;    /* every call of its script was; */
    uint64_t more_classes; /* and this is what they are of */
    size_t called_count;
    uint64_t functions_clock; /* FCALL: what it was judged by is of then; 0: not judged so */
    uint64_t wants;           /* FCALL: the functions_clock its list of functions must have */
    uint32_t arrived;         /* us, as in req */
    int phase;                /* for session handlers that wait and are called again */
    struct called called[CALLED_MAX]; /* rules of pass 2 that hold for a call of its script. Last:
                                         call_begin() leaves it as it is */
};

struct transaction {
    struct spans queued; /* the commands as sent, to be judged again */
    size_t count;
    struct charge *charges; /* of what is queued, for EXEC */
    uint8_t shed_at;        /* enum shed_at: the soonest of its commands */
    bool writes;
    uint64_t generation;      /* of the rules they were queued under */
    int64_t db;               /* where the next queued command runs: SELECT may be queued */
    bool selected;            /* a SELECT was queued */
    uint32_t serial;          /* tells the client's transactions apart */
    bool aborted;             /* EXEC must answer EXECABORT */
    uint64_t functions_clock; /* the functions a queued FCALL was judged by; 0: none */
    bool functions;           /* a command that changes functions was queued */
    bool lost;                /* its link died, or there was none */
    struct key_mark *marks;   /* of the commands queued: they count when EXEC succeeds */
    size_t mark_count, mark_room;
    bool local; /* in a cluster, before its first key: no node knows of it yet */
    int slot;   /* in a cluster: of its keys; SLOT_NONE: none so far */
};

struct client {
    struct conn conn;
    /* What every request touches, side by side. */
    struct worker *worker;
    struct pool *pool;      /* its class */
    struct parser *parser;  /* lent while bytes wait */
    struct req_queue queue; /* in the order of requests; replies leave in this order */
    size_t queued_bytes;
    uint32_t at_work_tick; /* counted in worker->at_work */
    const void *lane;      /* where the requests in flight went: a pool or a pinned link */
    struct transaction *transaction;
    struct link *pinned;
    struct link *heir; /* what its pinned link will be at the backend it moves to; NULL: none */
    uint32_t pins;
    uint32_t deferred; /* requests that wait to be sent again (redirect.c) */
    int db;
    uint8_t resp;
    uint8_t state, wait;
    bool reply_off, skip_next, skip_this; /* CLIENT REPLY */
    bool authenticated;                   /* to respgate, when there are [user] sections */
    bool resume; /* the next turn is for the waiting call, not for the socket */
    bool heavy;  /* holds too much of memory-limit: only what frees is let through */
    bool eof;    /* the client will send no more */
    uint16_t last_command;
    struct call call;
    uint64_t active; /* loop ms of its last byte */
    uint64_t requests, denied, bytes_in;
    uint64_t rehearsed[3];                     /* what a cluster would refuse: rehearse.c */
    uint64_t requests_counted, denied_counted; /* of these, for its user */
    uint16_t user_at;            /* its user's place in the counts + 1; 0: not known */
    struct prefix_writer writer; /* as whom its writes count */
    struct key_mark *exec_marks; /* of the transaction whose EXEC is not sent yet */
    size_t exec_mark_count;
    uint64_t slow;          /* id of a slow request whose reply it has not taken yet; 0: none */
    uint32_t slow_since;    /* us */
    uint64_t soft_since;    /* loop ms since when output is above the soft limit */
    uint64_t request_since; /* loop ms when the unfinished request began */

    struct list entry;         /* of worker->clients[state] */
    struct list wait_entry;    /* of a pool's waiters */
    struct list restore_entry; /* of a pool's restores */
    uint64_t id;
    struct subject subject;         /* subject.user points to user_name */
    uint64_t *rules, rules_room[2]; /* those that can hold for it (policy_who); room for 64 */
    int64_t rules_db;               /* in this db, */
    uint64_t rules_generation;      /* of this snapshot; 0: to be worked out */
    char *user_name;                /* as logged in; NULL: not */
    struct identity *identity;
    bool user_admin, no_evict, is_tls, handshaking;
    struct address door; /* counted under this address */
    char *user_counted;  /* and under this user */
    uint64_t user_max_pinned;
    char *name, *lib_name, *lib_ver;
    uint64_t created; /* loop ms */
    uint64_t wait_until;

    uint32_t transaction_serial;
    bool watching;   /* the backend has accepted a WATCH */
    bool watch_lost; /* a watched link died: the next EXEC answers nil */
    bool lost_write; /* while a dead link's requests are sorted */
    uint64_t watched_keys;
    int watch_slot;                      /* in a cluster: of the keys it watches */
    struct subscriptions *subscriptions; /* subscribe.c: at its own link */
    struct confirmations *confirmations; /* confirm.c; NULL: none */
    struct list memberships;             /* share.c: those it shares with others, */
    uint32_t shares[2];                  /* how many, by kind */
    struct spans held;                   /* pushes that wait for the end of a reply */
    bool push_open;                      /* the beginning of a push from its own link has left */
    bool tracking;
    struct span tracking_command; /* to set tracking up again */
    int64_t redirect;             /* CLIENT TRACKING REDIRECT: our id of that client */
    struct pool *wait_pool;       /* in whose list of waiters it is */
    uint64_t waiting_since;
    bool pin_multi, pin_full; /* its last try for a pinned link */
    bool restoring;           /* its subscriptions wait for a new link */
    bool db_moves;            /* its EXEC under way holds a SELECT */
    bool impatient;           /* links have waited long enough for it, until its output is empty */
    struct link *pauses;      /* a link that waits until it has taken its output */
};
void client_new(struct worker *worker, int fd, bool tls, const struct address *door);
void client_move(struct client *client, enum client_state state);
void client_close(struct client *client, enum reason reason);
void client_leave(struct client *client, enum reason reason); /* after what is under way */
void client_wait(struct client *client, enum client_wait wait);
void client_resume(struct client *client); /* its waiting call goes on, later in this turn */
const char *client_who(const struct client *client); /* "client=7 addr=... user=app" */
/* Local answers keep the order of requests: behind what is in flight they wait. */
void client_reply(struct client *client, const struct buf *reply);
void client_reply_text(struct client *client, const char *reply); /* with CRLF */
void client_reply_error(struct client *client, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
void client_enqueue(struct client *client, struct req *req);
void client_answer_req(struct client *client, struct req *req, const char *error); /* and forget */
void client_advance(struct client *client); /* after its first req changed */
void client_set_identity(struct client *client, struct identity *identity, const char *user);
void client_push(struct client *client, struct span span); /* bytes between replies */
void client_release_held(struct client *client);           /* pushes that waited for an end */
bool client_check_output(struct client *client);           /* false: it was closed */
void client_check_pins(
    struct client *client); /* gives the pinned link back when it is not needed */
void client_pin_lost(struct client *client);
void client_reply_away(struct client *client);
void client_reply_failed(struct client *client, struct link *link, const char *ptr, size_t len);
void client_set_name(struct client *client, struct str name);
bool client_name_valid(struct str name);
#define CLIENT_NAME_ERROR                                                                          \
    "-ERR Client names cannot contain spaces, newlines or special characters.\r\n"
bool client_authenticated(const struct client *client);
bool auth_unknown(struct client *client);
void call_begin(struct client *client);
void call_end(struct client *client);
void kind_lost(struct client *client, const struct req *req); /* its reply will never come */
void address_text(const struct address *address, char out[64]);
struct str address_key(const struct address *address, char room[24]);
void client_tick(struct client *client, uint64_t now);

/* ---- audit (audit.c, key_names.c) ---- */

enum { AUDIT_TAIL = 200 };
/* A line about a request. action, in the words of the rules: "deny", "limit", "delay", "log",
 * "rewrite", "confirm", or "shed". rule: of the worker's rules of now, or POLICY_NO_RULE. Never
 * blocks. To be called while the call is in the pipeline: its keys are in the worker's scratch. */
void audit_request(struct client *client, const struct call *call, int64_t db, uint16_t rule,
                   const char *action, bool observed);
/* A line about anything else: "reload", "admin", "alert" ... From any thread; never blocks. */
void audit_note(struct proxy *proxy, const char *event, const char *detail);
/* What another snapshot is about to change, in log and audit, a line each. */
void audit_changes(struct proxy *proxy, const struct snapshot *next, const char *event);
/* A copy of the last lines, at most AUDIT_TAIL, oldest first, each with its newline. */
void audit_tail(struct proxy *proxy, size_t count, struct buf *out);
void audit_init(struct proxy *proxy);
/* After a change of proxy->snapshot; old: the audit-file so far, NULL none. Main thread. */
void audit_open(struct proxy *proxy, const char *old);
void audit_reopen(struct proxy *proxy);
void audit_free(struct proxy *proxy);
/* A request that took longer than [log] slow, with its times: a line in the log. */
void slow_log(struct client *client, const struct slow *slow);
/* A key as [log] key-names shows it: raw bytes, or a JSON string. From any thread. */
void key_text(const struct proxy *proxy, const struct snapshot *snapshot, struct str key,
              struct buf *out);
void key_shown(const struct proxy *proxy, const struct snapshot *snapshot, struct str key,
               struct buf *out);

/* ---- the path of a request (pipeline.c and its stages) ---- */

enum step {
    NEXT,     /* go on with the next stage */
    ANSWERED, /* replied here; done */
    PARKED,   /* waits; client_resume goes on at the same stage */
    SENT,     /* in flight */
    CLOSED,   /* the client is gone */
};

/* ---- worker and proxy (worker.c, proxy.c) ---- */

enum { PARSER_POOL = 32, WORKERS_MAX = 64, REQ_POOL = 4096, DIAL_CELLS = 64 };

struct worker {
    struct loop loop; /* first: a loop is cast back to its worker */
    struct proxy *proxy;
    uv_thread_t thread;
    unsigned index;
    struct snapshot *snapshot;
    struct script_cache *scripts; /* judged bodies */
    struct functions *functions;  /* the store's, as last listed; NULL: not yet */
    uint64_t functions_asked;     /* the clock of a list that is on its way; 0: none */
    uint64_t kill_at;             /* loop ms before which no script is killed again */
    struct list nodes;            /* all backends this worker knows */
    struct node *node;            /* where requests without a key go, and logins are tried */
    bool clustered;               /* the backend is a cluster, known or not */
    bool mode_known;              /* what stands behind is settled: one node or a cluster */
    struct slot_map *map;         /* NULL: not known yet */
    struct node **by_index;       /* nodes as the map numbers them */
    struct list held;             /* redirects: requests to be sent again */
    uint8_t hold;                 /* why requests are held (house.h); 0: they are not */
    struct list holding;          /* clients whose request is, */
    size_t held_bytes;            /* and how much that is */
    struct side *next;            /* the backend it is about to move to; NULL: none */
    uint32_t side;                /* serial of the backend it is at */
    struct list leaving;          /* nodes of the one before, until nothing is left of them */
    uint64_t parser_bytes;        /* of its clients, when it was last added up */
    enum pressure own_level;      /* of memory-limit, see budget.c */
    struct topology *topology;    /* worker 0 */
    struct sentinels *sentinels;  /* worker 0, mode = sentinel; NULL: none */
    struct link_class **classes;  /* by id; NULL: free */
    unsigned class_count;
    struct list clients[CLIENT_STATES];
    struct list identities;
    struct list shares; /* share.c: shared subscriptions of its clients, */
    struct list hubs;   /* hub.c, worker 0: those of the process */
    struct identity *identity_none, *identity_backend, *identity_control;
    struct identity *identity_scripts; /* [scripts] mode acl; NULL: none */
    uint8_t identity_key[DIGEST_SIZE];
    struct parser *parsers[PARSER_POOL];
    unsigned parser_count;
    struct req *free_reqs;
    unsigned free_req_count;
    uint32_t sample_in; /* requests until the next sample */
    struct chunk *rx;   /* where backend reads go */
    char *scratch;      /* where client reads go */
    struct key_ref *keys;
    size_t key_room;
    struct list auth_failures; /* by address */
    unsigned auth_failure_count;
    uint64_t client_seq, link_seq;
    uint64_t client_count;            /* read by the main thread: who has least */
    uint32_t tick;                    /* counts them */
    uint32_t at_work, at_work_before; /* clients with requests, this tick and in the last one */
    uint64_t next_scan;
    uint64_t log_window, log_count; /* refusals logged this second */
    uint64_t trim_at;
    bool drained;            /* no clients any more */
    uint64_t commands_asked; /* id of the link that was asked for COMMAND */
    bool draining, unblocked;
    uint64_t drain_until;
    uint64_t stats[STAT_COUNT];
    struct counts *counts; /* count.h */
    struct leases *leases; /* lease.c; NULL: none yet */
};
static inline void count(struct worker *worker, enum stat_id stat)
{
    __atomic_store_n(&worker->stats[stat], worker->stats[stat] + 1, __ATOMIC_RELAXED);
}
static inline void count_add(struct worker *worker, enum stat_id stat, uint64_t n)
{
    __atomic_store_n(&worker->stats[stat], worker->stats[stat] + n, __ATOMIC_RELAXED);
}
enum { SCRATCH_SIZE = 64 * 1024 };
void worker_init(struct worker *worker, struct proxy *proxy, unsigned index,
                 void (*tick)(struct loop *loop));
void worker_start(struct worker *worker, struct proxy *proxy, unsigned index); /* on a thread */
void worker_give_client(struct worker *worker, int fd, bool tls, const struct address *door);
void worker_give_snapshot(struct worker *worker, struct snapshot *snapshot);
void worker_drain(struct worker *worker);
void worker_free(struct worker *worker); /* after its thread has ended */
void worker_identities(struct worker *worker);
void control_tick(struct worker *worker);
void control_ready(struct worker *worker);
struct parser *worker_parser(struct worker *worker);
void worker_parser_back(struct worker *worker, struct parser *parser);
struct client *worker_client(struct worker *worker, uint64_t id); /* by id, or NULL */

/* What runs beside the proxy on the main loop and looks at it: the operator's side (src/admin),
 * of which this layer knows no more. */
struct proxy_side {
    bool (*start)(struct proxy *proxy); /* false, and told on stderr: respgate does not start */
    void (*tick)(struct proxy *proxy);
    void (*stop)(struct proxy *proxy); /* all threads have ended; the loop runs once more */
};
enum { RULE_SWITCHES_MAX = 256 };

/* The process. Owned by the main thread; workers read what is marked. */
struct proxy {
    struct loop loop; /* main: accepts, signals, reload, learning */
    struct worker *workers;
    unsigned worker_count;
    struct snapshot *snapshot; /* main's own reference */
    struct config_overrides overrides;
    const char *config_path;
    const struct proxy_side *side;
    struct rule_switch *switches; /* rules switched by hand since the last reload */
    size_t switch_count;
    struct listener **listeners;
    size_t listener_count;
    struct tally *addresses; /* clients by address */
    struct tally *users;     /* clients by user */
    /* Shared subscriptions, of channels and of patterns: clients that share one, and those
     * they share. */
    struct tally *shared_members[2], *shared_hubs[2];
    struct health *healths;                        /* by node; grows at its head, atomic */
    struct tally *pinned_addresses, *pinned_users; /* pinned links in use */
    uint64_t dial_next[DIAL_CELLS];                /* GCRA of dial-rate by node, atomic, ns */
    uint64_t cluster_doubt; /* atomic, loop ms: until then nodes are asked for the map often */
    uint64_t parser_bytes;  /* atomic: what parsers hold, in all workers; with memory-limit */
    int64_t handshakes;     /* atomic: TLS handshakes under way in all workers */
    int64_t pinned;         /* atomic: pinned links in use, of all workers */
    int64_t links[2];       /* atomic: by role, of all workers */
    uint64_t refused, refused_logged; /* clients turned away at the door */
    uint64_t reloads, reload_failures;
    bool reload_failed;        /* the last one */
    struct list reports;       /* letters under way: report.c */
    struct list visits;        /* and those of visit.c */
    int64_t started, reloaded; /* seconds since 1970 */
    /* functions.c: atomic. Changes of functions and wishes for a list of them. */
    uint64_t functions_clock, functions_changed, functions_wanted;
    struct command_table **tables; /* learned so far; snapshots and waiting calls point into them */
    size_t table_count;
    uv_signal_t signals[4];
    bool signalled; /* the handlers are set */
    bool draining;
    unsigned workers_done;
    unsigned workers_drained;
    struct {
        uint8_t bits;             /* HOLD_WRITES or HOLD_ALL; 0: no pause */
        uint64_t until, patience; /* loop ms */
        bool visiting;
        void (*done)(bool quiet, void *context);
        void *context;
    } pause;
    struct move *move; /* to another backend, under way; NULL: none */
    struct journal *audit;
    uint8_t key_secret[DIGEST_SIZE]; /* of this process, for key-names = hash */
    double accept_tokens;
    uint64_t accept_last;
};
void proxy_init(struct proxy *proxy, struct snapshot *snapshot, const char *config_path,
                const struct config_overrides *overrides);
void proxy_free(struct proxy *proxy);
/* respgate -t --connect: prints what it finds at the backend. False: it cannot be used. Takes over
 * the snapshot. */
bool proxy_check_backend(struct snapshot *snapshot);
/* Runs until SIGTERM; the exit code. */
int proxy_run(struct snapshot *snapshot, const char *config_path,
              const struct config_overrides *overrides, const struct proxy_side *side);
/* Main thread: what SIGHUP and SIGTERM do. problems may be NULL; false: nothing has changed. */
bool proxy_reload(struct proxy *proxy, struct problems *problems);
void proxy_drain(struct proxy *proxy);
void proxy_adopt(struct proxy *proxy, struct snapshot *snapshot); /* takes it over */
/* Main thread: a rule of the file gets another mode, until the next reload or for so many ms (0: no
 * end). False: no such rule, or too many are switched. who is for the log. */
bool must_check proxy_switch_rule(struct proxy *proxy, const char *who, struct str name,
                                  enum rule_mode mode, uint64_t ms); /* switches.c */
void proxy_switches_tick(struct proxy *proxy);
bool proxy_dial_allowed(struct proxy *proxy, unsigned cell, double rate);
/* Main thread: holds writes, or all, for so many ms unless proxy_resume ends it. done is called
 * once: quiet tells whether what was under way has ended, within request-timeout. False: another
 * one is waiting for that. (hold.c) */
bool must_check proxy_pause(struct proxy *proxy, bool writes, uint64_t ms,
                            void (*done)(bool quiet, void *context), void *context);
bool proxy_resume(struct proxy *proxy); /* false: there was no pause */
void proxy_pause_tick(struct proxy *proxy);
/* Collects what there is to tell from all workers. done is called once, on the main loop, and
 * frees the report with report_free(). Call it on the main thread. (report.c)
 * Ten thousand rows of clients hold a worker up for milliseconds: only for those who show them. */
enum report_extent { REPORT_COUNTS, REPORT_CLIENTS };
void proxy_report(struct proxy *proxy, enum report_extent extent,
                  void (*done)(struct report *report, void *context), void *context);
/* Something to be done at every worker, one after the other, and then on the main thread, which
 * asks for it. Embedded as the first member of an allocation: when the process ends before done, it
 * is freed as it is. (visit.c) */
struct visit {
    struct mail mail;
    struct list entry;
    struct proxy *proxy;
    unsigned next; /* worker */
    void (*at)(struct worker *worker, struct visit *visit);
    void (*done)(struct visit *visit);
};
void proxy_visit(struct proxy *proxy, struct visit *visit,
                 void (*at)(struct worker *worker, struct visit *visit),
                 void (*done)(struct visit *visit));
void counts_zero(struct worker *worker); /* on its thread (count.c) */
void visits_free(struct proxy *proxy);
void reports_free(struct proxy *proxy); /* those under way, at the end */
/* For administrators (confirm.c): with a code, confirms the command it was given for; with NULL,
 * lists the codes of rules with `confirm = console`. done is called once, on the main loop; the
 * answer lives until it returns. Call it on the main thread. */
struct confirm_answer {
    struct buf lines; /* "CODE 'command' by rule 'name', client=..." each */
    size_t count;
    bool armed; /* the code was found */
};
void proxy_confirm(struct proxy *proxy, const char *code,
                   void (*done)(struct confirm_answer *answer, void *context), void *context);
/* Worker to main: a COMMAND reply of the backend, to learn from. */
void proxy_learn(struct proxy *proxy, struct str reply);
void proxy_worker_done(struct worker *worker);
void proxy_worker_drained(struct worker *worker);
void worker_stop(struct worker *worker);
void proxy_client_gone(struct worker *worker, const struct address *address);

#endif
