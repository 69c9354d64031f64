/*
 * route.h - where a request goes in a cluster: slots, the map of who owns them, and how a command
 * over many nodes is split and its replies merged.
 *
 * Pure: no sockets, no clock. What nodes say of the cluster is hostile input like any other.
 */
#ifndef RESPGATE_ROUTE_H
#define RESPGATE_ROUTE_H

#include "respgate/base.h"
#include "respgate/command.h"
#include "respgate/resp.h"

/* ---- slots (slot.c) ---- */

enum { SLOT_COUNT = 16384 };
enum { SLOT_NONE = -1, SLOT_MANY = -2 }; /* no key; keys of more than one slot */

/* CRC16 (XMODEM) of the key, or of its hash tag: the part between the first '{' and the first '}'
 * behind it, when that is not empty (cluster-spec, "Hash tags"). */
unsigned key_slot(struct str key);
/* The slot of all these keys together, SLOT_NONE or SLOT_MANY. */
int keys_slot(const struct str *argv, const struct key_ref *keys, size_t count);

/* ---- views: the cluster as one node sees it (view.c) ---- */

enum { NODE_ID_LEN = 40, CLUSTER_NODES_MAX = 2000, NO_OWNER = 0xffff };

struct cluster_node {
    char id[NODE_ID_LEN + 1];
    char primary_id[NODE_ID_LEN + 1]; /* of a replica; "" otherwise */
    const char *host;                 /* address; "" when the one that answered is meant */
    const char *hostname;             /* announced; "" when there is none */
    uint16_t port;
    uint64_t epoch; /* config epoch; 0 when not told */
    bool is_primary, failed;
};

/* A slot that is on its way, as the node at one of its ends tells. */
struct cluster_move {
    uint16_t slot;
    bool importing;              /* to the node that tells; else from it */
    char id[NODE_ID_LEN + 1];    /* who tells */
    char other[NODE_ID_LEN + 1]; /* the other end */
};

struct cluster_view {
    struct arena *arena; /* holds the view itself too */
    size_t node_count;
    struct cluster_node *nodes;
    int self; /* index of the node that tells; -1: it does not say */
    size_t move_count;
    struct cluster_move *moves;
    uint16_t owner[SLOT_COUNT]; /* index in nodes, or NO_OWNER */
};
/* NULL with a reason in *error: one that makes no sense is of no use at all. */
struct cluster_view *view_of_nodes(struct str text, const char **error); /* CLUSTER NODES */
/* CLUSTER SLOTS and CLUSTER SHARDS say less: no epochs, no moves, not who answers. */
struct cluster_view *view_of_slots(const struct tree *reply, const char **error);
struct cluster_view *view_of_shards(const struct tree *reply, bool tls, const char **error);
void view_free(struct cluster_view *view);

/* ---- the map (map.c) ---- */

/* What all views together say: immutable, counted, shared by threads. */
struct slot_map {
    int refs;             /* atomic */
    uint64_t version;     /* set by the owner: a later map has a higher one */
    uint64_t fingerprint; /* of owners and moves: SCAN tells by it whether anything moved */
    struct arena *arena;
    size_t node_count;
    struct cluster_node *nodes; /* by id */
    size_t primary_count;
    uint16_t *primaries; /* indices of those that own slots, in the order of their ids */
    size_t holes;        /* slots without an owner */
    size_t move_count;
    struct cluster_move *moves;
    size_t contested; /* slots that two reachable nodes both call their own */
    uint16_t contested_slot, contested_by[2];
    uint16_t owner[SLOT_COUNT]; /* index in nodes, or NO_OWNER */
};
/* Each slot goes to whom most views give it, and of those with as many, to the highest epoch.
 * At least one view. */
struct slot_map *map_vote(struct cluster_view *const *views, size_t count);
struct slot_map *map_hold(struct slot_map *map);
void map_drop(struct slot_map *map);
bool map_equal(const struct slot_map *a, const struct slot_map *b);
bool view_equal(const struct cluster_view *a, const struct cluster_view *b);
/* Index of the node with that id, or NO_OWNER. */
uint16_t map_find(const struct slot_map *map, const char *id);
/* What changed, one line a range ("slots 0-99: aaaaaaaa -> bbbbbbbb"), for the log. old may be
 * NULL. At most `max` lines, then how many more. */
void map_diff(const struct slot_map *old, const struct slot_map *new, size_t max, struct buf *out);

/* ---- commands over many nodes (plan.c) ---- */

enum route_kind {
    ROUTE_SLOT,  /* where its keys are; without keys, anywhere */
    ROUTE_SPLIT, /* one part for each slot of its keys */
    ROUTE_ALL,   /* to every primary */
    ROUTE_ASIDE, /* the same, but it may block: not on links that others share */
    ROUTE_SCAN,  /* one primary after the other */
};
enum merge {
    MERGE_FIRST, /* all succeeded: the first reply */
    MERGE_KEYED, /* arrays, put together in the order of the keys */
    MERGE_SUM,
    MERGE_MIN,
    MERGE_AND,    /* arrays of 0 and 1 */
    MERGE_ANY,    /* one success is enough */
    MERGE_CONCAT, /* arrays, one behind the other */
    MERGE_UNION,  /* the same, each value once */
    MERGE_PAIRS,  /* name and count in turns: counts added by name */
    MERGE_RANDOM, /* one that is not null */
    MERGE_INFO,   /* INFO: the first one's text, with what adds up added up */
};
struct command_route {
    uint8_t kind, merge;
};
/* By policy of the command, and a few exceptions. Once for each command: the result is kept. */
struct command_route route_of(const struct command *command);
/* One part of a split command: the keys of one slot, as argument numbers. */
struct split_part {
    uint16_t slot;
    size_t count;
    const uint32_t *args; /* places of its keys in argv */
};
/* Parts in the order of their first keys; memory from the arena. `step` arguments belong to each
 * key (MSET: 2). */
size_t split_plan(const struct str *argv, const struct key_ref *keys, size_t count,
                  struct arena *arena, struct split_part **parts);
/* The command of one part. */
void split_write(const struct str *argv, const struct split_part *part, size_t step,
                 struct buf *out);

/* ---- replies (merge.c) ---- */

struct merge_part {
    struct str reply; /* one whole reply */
    size_t count;     /* MERGE_KEYED: how many values, and which places they take */
    const uint32_t *places;
};
/* Writes the merged reply. False: the replies do not fit together (nothing is written). An error
 * among the parts is the answer, unless one success is enough. */
bool must_check merge_replies(enum merge merge, const struct merge_part *parts, size_t count,
                              size_t places, struct buf *out);

/* ---- SCAN over all nodes (cursor.c) ---- */

/* One decimal number below 2^53 (clients keep it as a double): how often it began anew, a piece
 * of the map's fingerprint, which primary, and that node's own cursor. */
struct scan_cursor {
    unsigned pass, fingerprint, node;
    uint64_t inner;
};
enum { CURSOR_PASS_BITS = 4, CURSOR_PRINT_BITS = 9, CURSOR_NODE_BITS = 8, CURSOR_INNER_BITS = 32 };
bool must_check cursor_pack(const struct scan_cursor *cursor, uint64_t *out); /* false: too large */
bool must_check cursor_parse(struct str text, struct scan_cursor *cursor);
unsigned cursor_print(uint64_t fingerprint); /* the piece of it */

#endif
