/* links.h - the backend's side of src/proxy: nodes, their pools, and the links in them. */
#ifndef RESPGATE_LINKS_H
#define RESPGATE_LINKS_H

#include "respgate/proxy.h"

/* ---- requests in flight (req.c) ---- */

/* What respgate itself does with the reply, beyond handing it on. */
enum req_kind {
    REQ_FORWARD,
    REQ_INTERNAL, /* respgate's own question: reply goes to done() */
    REQ_MULTI,
    REQ_QUEUED,
    REQ_EXEC,
    REQ_WATCH,
    REQ_BLOCK,     /* BLPOP and kin: the pin ends with the reply */
    REQ_SUBSCRIBE, /* answered once for each channel */
    REQ_MONITOR,
    REQ_TRACKING,
    REQ_GATHER, /* stands in its client's queue for the parts it was split into */
    REQ_PART,   /* one of them: of no client, its reply goes to the gather */
    REQ_COUNT,  /* PUBLISH, PUBSUB NUMSUB: a number that lacks who shares a subscription */
    REQ_ASK,    /* respgate's question for its client: ask.c */
    REQ_KIND_COUNT
};
enum req_state { REQ_LOCAL, REQ_PARKED, REQ_SENT, REQ_HELD, REQ_DONE };
/* What must precede a request on the very same link. */
enum req_prefix { PREFIX_NONE, PREFIX_ASKING, PREFIX_PING };

/* One key of a request, to be counted with its reply (count_keys.c). */
struct key_mark {
    struct prefix_ref ref;
    uint32_t bytes;
    uint8_t what;
};
enum {
    MARK_READ = 1,
    MARK_WRITE = 2,
    MARK_DELETE = 4,
    MARK_USES = 7, /* one of these three */
    MARK_EXPIRY = 8,
    MARK_WITHOUT_TTL = 16,
};

struct req {
    struct req *next_client; /* the client's queue, in the order of its requests */
    struct req *next_link;   /* the link's queue, or the pool's parked ones */
    struct client *client;   /* NULL: it left or was answered; the reply is read and dropped */
    struct span bytes;       /* kept while the request might have to be sent (again) */
    struct kept_key *key;    /* its first key, where the bytes are gone before the reply comes */
    struct spans reply;      /* waits here until the req is its client's first */
    struct charge *charges;  /* on gauges, until it is answered */
    void (*done)(struct req *req, struct link *link, struct str reply); /* REQ_INTERNAL; reply.ptr
                                                                           NULL: the link died */
    void *context;
    uint64_t offset; /* of its first byte in the link's stream: below conn.written it was begun */
    uint64_t since;  /* loop ms: parked, then written */
    struct gather *gather;     /* of REQ_GATHER, and of a REQ_PART whose reply is still wanted */
    struct redirect *redirect; /* NULL: it went where it belonged at once */
    size_t size;
    int16_t slot; /* of its keys in a cluster; else SLOT_NONE */
    uint8_t prefix;
    uint32_t expect; /* by kind: confirmations still to come, db of EXEC + 1, TRACKING_ON or OFF,
                        what a number lacks */
    uint8_t aux;     /* REQ_SUBSCRIBE: kind of subscription */
    bool resent;     /* once is enough: it may be what kills links */
    bool begun;      /* part of its reply has left for the client */
    uint16_t command;
    uint8_t kind, state, traits;
    bool mute;                       /* CLIENT REPLY OFF or SKIP: nothing reaches the client */
    uint8_t key_arg;                 /* argument that is its first key; 0: none */
    uint32_t arrived;                /* us, lower 32 bits: the turn it was read in began */
    uint32_t turn;                   /* of the loop, in which it was sent */
    uint32_t mark_count;             /* of keys, */
    struct key_mark *marks;          /* here when they are more than: */
    struct key_mark inline_marks[2]; /* last: only what is counted is ever set */
};
enum { TRACKING_OFF, TRACKING_ON };
struct req *req_new(struct worker *worker);
void req_free(struct worker *worker, struct req *req);

/* Whether anybody waits for its reply. */
static inline bool req_wanted(const struct req *req)
{
    return req->client || (req->kind == REQ_PART && req->gather);
}
/* Answers in place of the backend; the req stays with its link as a tombstone, or with the caller.
 * A line with its CRLF. */
void req_answer(struct req *req, const char *error);

/* ---- node and pool (pool.c) ---- */

/* Where a node is reached. */
struct node_address {
    char *host; /* name or numeric; NULL: unix */
    uint16_t port;
    char *path;        /* unix socket */
    char *server_name; /* for TLS; NULL: [backend] tls-server-name, or the host */
    char *text;        /* for the log: never shown to clients */
};

/* What links of one kind have in common at every node of a worker: who they log in as, and how.
 * Interned, so that a client's pool at another node is one look-up by `id`. */
struct link_class {
    unsigned id;      /* index in worker->classes */
    unsigned pools;   /* of this class; with the last one the class goes */
    uint32_t clients; /* that use this class */
    struct identity *identity;
    int db, resp;
    unsigned slot;   /* which of [backend] links */
    uint64_t unused; /* loop ms since when no client uses it */
};

struct node_counts {
    uint64_t requests, errors, redirects, dials, dial_failures;
    struct histogram latency; /* us, from sent to the reply */
};

enum { REPLICAS_MAX = 8, READONLY_SLOT = 1u << 17 /* in link_class.slot: said READONLY */ };

struct node {
    struct worker *worker;
    struct list entry;     /* of worker->nodes */
    struct health *health; /* of the process, by name */
    struct list pools;
    struct pool **by_class; /* the same, by class id; NULL where there is none */
    unsigned class_room;
    struct node_address address;
    char id[NODE_ID_LEN + 1]; /* in a cluster; "" until it is known */
    struct snapshot *via;     /* not yet moved to: by whose settings; NULL: the worker's */
    bool is_cluster;          /* says so in HELLO */
    bool is_primary, gone;    /* as the map has it; gone: not in it any more */
    struct node *replicas[REPLICAS_MAX]; /* of a primary, those that are well */
    unsigned replica_count;
    /* What it tells of the cluster; worker 0's. */
    struct cluster_view *view; /* NULL: none, or too old */
    uint64_t view_asked_ns;    /* when, by the clock: how far away it is */
    uint64_t view_asked;       /* loop ms; 0: not asked, or answered */
    uint64_t view_next;
    bool in_round; /* asked in this round of confirming, and not answered yet */
    bool had_round;
    bool view_failed;   /* said so in the log */
    char name[16];      /* "redis", or the beginning of its id: what clients may see */
    unsigned dial_cell; /* whose dial-rate it counts under */
    uint32_t failures;  /* dials failed in a row: backoff */
    uint64_t retry_at;  /* loop ms before which nothing is dialled */
    uint64_t timeouts;  /* in a row */
    bool breaker_open;  /* requests are refused at once until it answers */
    uint64_t probe_at;
    size_t parked_bytes;
    uint32_t ready_links;
    bool is_up;
    bool no_hello;      /* a server before Redis 6: AUTH alone */
    int db_limit;       /* the backend has refused this db: no dial for it or those above */
    struct link *spare; /* connected, but its login was refused: good for the next try */
    char server[32], version[32]; /* from HELLO; "" before the first login */
    struct node_counts counts;
};

/* One class of links at one node: same identity, RESP version and db, so that replies pass
 * untranslated and no client's SELECT or HELLO reaches another. */
struct pool {
    struct list node_entry;
    struct node *node;
    struct link_class *class;
    struct identity *identity; /* these three: the class's, at hand */
    int db;
    int resp;
    struct link *shared; /* dialling or ready; NULL: none */
    struct req_queue parked;
    struct list pin_waiters; /* clients, by client.wait_entry */
    struct list restores;    /* clients whose pinned link died, by client.restore_entry */
    struct list login_waiters;
    struct list idle;  /* warm pinned links, newest first */
    struct list links; /* all links but the idle ones */
    uint32_t pin_dialing;
    char refusal[256]; /* the backend's error to our login, "" when none; without '-' */
    bool seen;         /* a link of this class has been there */
    bool noauth;       /* the store wants a login this identity does not have */
    uint64_t unused;   /* loop ms since when nobody uses it */
};
struct pool *pool_get(struct node *node, struct identity *identity, int resp, int db,
                      unsigned slot);
/* The pool of that class at this node. On the path of every request of a cluster. */
struct pool *pool_new(struct node *node, struct link_class *class);
static inline struct pool *pool_at(struct node *node, struct link_class *class)
{
    if (likely(class->id < node->class_room && node->by_class[class->id]))
        return node->by_class[class->id];
    return pool_new(node, class);
}
/* [backend] links: a client keeps to one of so many shared links of its class. */
unsigned client_slot(const struct client *client);
void pool_join(struct client *client, struct pool *pool); /* client->pool := pool, counted */

enum pool_answer { POOL_READY, POOL_WAIT, POOL_REFUSED, POOL_AWAY, POOL_FULL };
enum { DB_MAX = 1000000 }; /* dbs are numbers a class is made for: no dial for nonsense */
/* Whether a client of this class can be served: used by AUTH, HELLO, SELECT. WAIT: the client is
 * queued and resumed. REFUSED: pool->refusal tells. */
enum pool_answer pool_verify(struct pool *pool, struct client *client);
/* A pinned link for the client: READY sets client->pinned; WAIT queues the client. */
enum pool_answer pool_pin(struct pool *pool, struct client *client, bool for_multi);
/* Gives the client's pinned link back: warm when clean, else reset or closed. */
void pool_unpin(struct client *client);
/* Sends on the shared link, or parks. False: beyond park-limit, the req was not taken. */
bool must_check pool_send(struct pool *pool, struct req *req);
void pool_link_ready(struct link *link);
void pool_link_gone(struct link *link, bool expected, const char *reason);
void pool_link_refused(struct link *link);
void pool_want_shared(struct pool *pool); /* dials when there is none and dialling is allowed */
void pool_restore(struct client *client);
void pool_forget_waiter(struct client *client);
/* A node of the worker at that address, of which it keeps a copy. */
struct node *node_new(struct worker *worker, const struct backend_address *address,
                      const char *name);
/* Where its next links go; those it has stay. The texts are copied, server_name may be NULL. */
void node_address(struct node *node, const char *host, uint16_t port, const char *server_name,
                  const char *text);
/* It is somewhere else from now on: its links are closed, what was on them is sent again there, or
 * answered, as when they die. host: copied; server_name may be NULL. */
void node_relocate(struct node *node, const char *host, uint16_t port, const char *server_name,
                   const char *text);
void node_timed_out(struct node *node);
void node_heard(struct node *node);
void node_tick(struct node *node);
void node_close(struct node *node); /* closes all links; their memory goes with the loop's turns */
void node_free(struct node *node);
/* One that is left behind: goes when nothing is under way there any more. */
void node_fade(struct node *node);
/* The nodes a configuration names, at the end of that list. */
void nodes_of_config(struct worker *worker, struct snapshot *snapshot, struct list *nodes);
static inline const struct snapshot *node_snapshot(const struct node *node)
{
    return node->via ? node->via : node->worker->snapshot;
}
static inline const struct config *config_of(const struct node *node)
{
    return node_snapshot(node)->config;
}

/* ---- link (link.c, login.c) ---- */

enum link_role { LINK_SHARED, LINK_PINNED };
enum link_state {
    LINK_DIALING,
    LINK_LOGIN,
    LINK_READY,
    LINK_RESETTING,
    LINK_SPARE, /* node->spare */
    LINK_CLOSED
};
enum frame_target {
    FRAME_NONE,
    FRAME_REQ,
    FRAME_PUSH,
    FRAME_DROP,
    FRAME_REDIRECT, /* the same: it has not run here, redirect.c */
    FRAME_OWN       /* the request's reply, of which respgate writes its own version */
};

/* One backend connection. */
struct link {
    struct conn conn;
    struct pool *pool;
    struct list entry;    /* pool->links or pool->idle */
    struct client *owner; /* pinned: whose; NULL: warm or shared */
    struct hub *hub;      /* pinned: the shared subscriptions it carries; NULL: none */
    struct client *heir;  /* at a backend not yet moved to: whose it will be; */
    struct hub *hub_heir; /* or which hub's */
    uint64_t id;          /* for the log */
    uint64_t backend_id;  /* the backend's CLIENT ID of this connection; 0 unknown */
    struct req_queue sent;
    struct req *expire; /* first of `sent` whose request-timeout may still come */
    struct scan scan;
    struct span carry;    /* the beginning of a reply too short to be told what it is */
    uint64_t frame_bytes; /* of the reply now passing */
    uint64_t queued;      /* bytes ever given to conn */
    uint64_t since;       /* loop ms: dialled, then when it became idle */
    uint64_t heard;       /* loop ms of the last byte from the backend */
    uint32_t subscribed;  /* confirmed subscriptions: from then on pushes may come */
    uint8_t role, state, frame;
    uint8_t login_steps;         /* replies of the login still to come */
    bool dirty;                  /* state a client left on it: needs a reset before anyone else */
    bool frame_error, frame_nil; /* of the reply now passing */
    bool lied;                   /* closed for what it sent: nothing is sent again on its account */
    struct address pin_address;  /* counted under this address */
    char *pin_user;              /* and under this user; NULL: none */
    bool refused, retry_login;   /* of the login under way */
    bool dialing;                /* counted in pool->pin_dialing */
    bool counted;                /* counted in node->ready_links */
    bool monitor;                /* a stream nobody can end */

    uint64_t paused_at;
    struct client *paused_for; /* reading waits for this client to take what it has */
};
struct link *link_dial(struct pool *pool, enum link_role role);
/* A login that was refused is no reason to give the connection up: it is kept as the node's spare,
 * so that wrong passwords cost no dials. link_reuse: the spare, now in this pool, or NULL. */
void link_refused(struct link *link);
struct link *link_reuse(struct pool *pool);
/* Appends to the link's queue and writes this turn. */
void link_send(struct link *link, struct req *req);
/* respgate's own command; done is called once, with the reply or with ptr NULL. */
void link_ask(struct link *link, struct span command,
              void (*done)(struct req *, struct link *, struct str), void *context);
/* For link_ask: that it was answered at all is enough, or its effect is seen elsewhere. */
void link_ignore(struct req *req, struct link *link, struct str reply);
void link_close(struct link *link, enum reason reason, const char *detail);
void link_expire(struct link *link, uint64_t now); /* request-timeout */
void link_reset(struct link *link);                /* RESET and a new login; then pool_link_ready */
void link_login(struct link *link);
bool link_may_push(const struct link *link, char type);
void link_wait_for(struct link *link, struct client *client);
void link_go_on(struct link *link);
void link_patience(struct link *link, uint64_t now);
const char *
link_who(const struct link *link); /* "link=3 node=redis": static, until the next call */

/* ---- clusters ---- */

/* cluster.c: the map as a worker uses it. */
/* Where a key lives; the worker's own node when nobody owns its slot, or it is no cluster. */
struct node *cluster_node_of_slot(struct worker *worker, int slot);
struct node *cluster_node_of_key(struct worker *worker, struct str key);
void cluster_adopt(struct worker *worker, struct slot_map *map); /* takes the reference over */
void cluster_tick(struct worker *worker);
void cluster_free(struct worker *worker);
struct node *cluster_node_by_id(struct worker *worker, const char *id);
/* The node of that id or address, or NULL. */
struct node *cluster_node_by_address(struct worker *worker, struct str host, uint16_t port);
/* A request is on its way to a node that may not be the right one any more: ask all, soon. */
void cluster_doubt(struct worker *worker);
void cluster_mode(struct node *node, bool is_cluster); /* HELLO tells */
/* The pool of that class where the slot is; without one, the worker's own node's. NULL: nobody
 * owns the slot. */
struct pool *cluster_pool(struct worker *worker, struct link_class *class, int slot);

/* topology.c: asks all nodes, votes, tells all workers; worker 0. */
void topology_tick(struct worker *worker);
void topology_free(struct worker *worker);
void topology_report(struct report *report, const struct worker *worker);
/* Comes back, `run` on the asker's loop, when all nodes have been asked anew and every worker has
 * the map of what they said (its own has come before the letter). */
struct confirm_mail {
    struct mail mail;
    struct worker *asker;
    void (*run)(struct loop *loop, struct mail *mail);
    struct list entry;
};
void topology_confirm(struct worker *asker, struct confirm_mail *letter,
                      void (*run)(struct loop *loop, struct mail *mail));

/* sentinel.c: asks the sentinels where the master is, tells all workers; worker 0. */
void sentinels_tick(struct worker *worker);
void sentinels_free(struct worker *worker);
struct sentinels;
struct sentinels *sentinels_new(struct worker *worker, const struct snapshot *snapshot,
                                uint32_t side);
void sentinels_poll(struct sentinels *all);
void sentinels_drop(struct sentinels *all);

/* replica.c */
void replicas_adopt(struct worker *worker, const struct slot_map *map);

/* redirect.c: MOVED, ASK and what else means "not here, not now". */
bool redirect_wanted(struct link *link, struct req *req, const char *ptr, size_t len);
void redirect_take(struct link *link, struct req *req); /* its reply has ended; off the queue */
void redirect_go(struct worker *worker);                /* whatever may go now */
void redirect_ran(struct client *client, const struct req *req);
void redirect_free(struct req *req);
void redirect_forget(const struct node *node); /* it is about to go */
void redirects_drop(struct worker *worker);    /* answers all: there is another backend now */

/* gather.c: one request, many parts. */
struct link_class *gather_class(const struct gather *gather);
void gather_done(struct link *link, struct req *req);
void gather_failed(struct req *req, const char *error);
void gather_abandon(struct gather *gather); /* its client is gone */

#endif
