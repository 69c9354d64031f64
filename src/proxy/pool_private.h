/* pool_private.h - what pool.c, pin.c, park.c and node.c share. */
#ifndef RESPGATE_POOL_PRIVATE_H
#define RESPGATE_POOL_PRIVATE_H

#include "links.h"

static inline uint64_t now_ms(const struct pool *pool)
{
    return loop_now(&pool->node->worker->loop);
}

/* pool.c */
bool may_dial(struct pool *pool, enum link_role role); /* backoff, limits and dial-rate allow it */
bool pool_tick(struct pool *pool, uint64_t now);       /* false: unused for long */
void pool_close(struct pool *pool, enum reason reason);
void pool_free(struct pool *pool);
bool pool_fade(struct pool *pool); /* of a node that has left; true: nothing is there any more */

/* pin.c */
/* A pinned link now or never; without one, one is dialled for the next try. */
bool pool_pin_now(struct pool *pool, struct client *client, bool for_multi);
void link_pin_end(struct link *link); /* the link is nobody's any more: it counts no longer */
void pool_want_pinned(struct pool *pool);
void waiter_go(struct client *client);   /* what it waited for is there, or its time is up */
void pool_serve_pins(struct pool *pool); /* hands warm links to those that wait */
void link_make_idle(struct link *link);  /* clean, and free for the next */
bool pins_full(struct client *client); /* whether it is still max-pinned-links that it waits for */

/* park.c */
void parked_push(struct pool *pool, struct req *req);   /* waits for the shared link */
void parked_append(struct pool *pool, struct req *req); /* the same, its time running on */
void parked_flush(struct pool *pool);                   /* the shared link is there */
void parked_fail(struct pool *pool, uint64_t since,
                 const char *error); /* answers those parked since then or before */
void sent_lost(
    struct link *link); /* the link died: what was on it is sent again or answered with an error */

/* node.c */
void node_up(struct node *node);                         /* a link is ready */
void node_failed(struct node *node, const char *reason); /* a link failed: backoff */
void breaker_tick(struct node *node, uint64_t now);

#endif
