/* lease.h - limits shared by all respgates: tokens taken from a bucket at the backend in shares. */
#ifndef RESPGATE_LEASE_H
#define RESPGATE_LEASE_H

#include "links.h"

struct lease;
/* What a request may spend, once all its limits have let it through. */
struct lease_hand {
    size_t count;
    uint16_t rules[SHARED_MAX];
    struct lease *leases[SHARED_MAX];
    uint64_t costs[SHARED_MAX];
};
enum lease_answer {
    LEASE_HAND,    /* go on; nothing is spent yet */
    LEASE_WAIT,    /* a share was asked for: the client waits, and is resumed */
    LEASE_REFUSED, /* *shape tells by which rule and for how long */
};
/* For every shared limit that holds. Tells the question which rules need no bucket here. */
enum lease_answer leases_take(struct client *client, struct call *call, struct question *question,
                              struct lease_hand *hand, struct shape *shape);
void leases_spend(struct lease_hand *hand);
void leases_tick(struct worker *worker);
void leases_free(struct worker *worker);

#endif
