/* house.h - moving to another backend, and holding requests meanwhile: hold.c, side.c, move.c.
 *
 *   PREPARE    each worker reaches the new side and logs in, a link for each subscriber too
 *   HOLD       new requests wait; transactions end, blocked commands get their nil
 *   SUBSCRIBE  at the new side, while the old one still delivers
 *   ENTER      each worker leaves the old side: its links are closed
 *   RESUME     when all have left: what was held goes to the new side
 *
 * Until ENTER everything can be taken back, and the old side stays. Between ENTER and RESUME no
 * worker sends anything, so that two stores are never written at once.
 */
#ifndef RESPGATE_HOUSE_H
#define RESPGATE_HOUSE_H

#include "links.h"

/* ---- holding (hold.c) ---- */

/* Why requests are held: bits of worker->hold. */
enum {
    HOLD_WRITES = 1, /* PAUSE WRITES */
    HOLD_ALL = 2,    /* PAUSE */
    HOLD_MOVE = 4,
};
void hold_change(struct worker *worker, uint8_t set, uint8_t clear);
/* Nothing is under way of what these bits hold: no request, no transaction. */
bool hold_quiet(struct worker *worker, uint8_t bits);
void hold_unblock(struct worker *worker); /* those that block get the nil of a timeout */

/* ---- the new side at one worker (side.c) ---- */

struct side {
    struct snapshot *snapshot;
    uint32_t serial;
    struct list nodes;
    struct node *home;                  /* the first that is ready; NULL: none yet */
    struct identity *backend, *control; /* of the new configuration */
    struct identity *was_backend;       /* what it is in the old one */
    struct sentinels *sentinels;        /* worker 0's; NULL: none */
    uint64_t since;                     /* loop ms */
};

/* What a worker says of itself. */
struct side_state {
    bool done, reached;
    char error[200]; /* "" when it can go on */
};
void side_prepare(struct worker *worker, struct snapshot *snapshot, uint32_t serial);
void side_ready(struct worker *worker, struct side_state *state);
void side_subscribe(struct worker *worker, struct side_state *state);
void side_enter(struct worker *worker);
void side_abandon(struct worker *worker); /* back to the old one as if nothing had been */
void side_tick(struct worker *worker);
void side_close(struct worker *worker); /* all its links, at the end */
void side_free(struct worker *worker);
/* The client's identity at the new side. */
struct identity *side_identity(const struct side *side, struct identity *identity);
/* Takes a warm link of this pool off the stock, or dials one: NULL, come again. */
struct link *side_link(struct pool *pool, unsigned *dialing);

/* hub.c: shared subscriptions. */
bool hubs_prepare(struct worker *worker, bool subscribe); /* true: all done */
void hubs_enter(struct worker *worker);
void hubs_abandon(struct worker *worker);
void shares_enter(struct worker *worker);

/* subscribe.c */
void subscriptions_send(struct client *client, struct link *link);
/* One SUBSCRIBE of respgate's own, to a link that is nobody's yet. */
void subscribe_on(struct link *link, int kind, const struct str *names, size_t count);

/* ---- the move (move.c), main thread ---- */

/* Takes the snapshot over. False: one is under way. */
bool must_check move_start(struct proxy *proxy, struct snapshot *snapshot);
void move_free(struct proxy *proxy);
/* proxy.c: the two halves of a reload. */
void proxy_reload_adopt(struct proxy *proxy, struct snapshot *snapshot); /* takes it over */
void proxy_reload_done(struct proxy *proxy);

#endif
