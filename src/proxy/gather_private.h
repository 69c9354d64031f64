/* gather_private.h - a request of many parts, as gather.c and scan.c see it. */
#ifndef RESPGATE_GATHER_PRIVATE_H
#define RESPGATE_GATHER_PRIVATE_H

#include "stages.h"

struct gather {
    struct worker *worker;
    struct req *parent;
    struct link_class *class;
    struct arena *arena;
    size_t count, left, places;
    struct merge_part *parts;
    struct req **reqs; /* NULL: answered */
    size_t bytes;      /* of replies so far */
    uint8_t merge;
    bool starting; /* parts are still being sent: not the time to finish */
    /* In place of merging: writes the reply, or returns false and calls gather_finish later. */
    bool (*finish)(struct gather *gather, struct buf *out);
    struct scan_cursor cursor; /* SCAN */
    struct confirm *confirm;   /* SCAN: what its end waits for */
    bool confirmed;
};

struct gather *gather_new(struct client *client, struct call *call, enum merge merge);
void gather_room(struct gather *gather, size_t count);
/* Takes the bytes over. pool NULL: the slot has no owner. */
void part_send(struct gather *gather, size_t index, struct pool *pool, struct span bytes, int slot,
               enum req_prefix prefix);
enum step gather_sent(struct gather *gather); /* all parts are sent */
void gather_finish(struct gather *gather);
void confirm_forget(struct confirm *confirm); /* its gather is no more */

#endif
