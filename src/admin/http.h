/* http.h - what the HTTP door and its routes share. */
#ifndef RESPGATE_ADMIN_HTTP_H
#define RESPGATE_ADMIN_HTTP_H

#include <microhttpd.h>

#include "internal.h"
#include "table.h"

/* One request, from its head to its last byte. */
struct exchange {
    struct list entry; /* on a list of those suspended, or on none */
    struct admin *admin;
    struct MHD_Connection *connection;
    const struct route *route;
    const struct table_kind *table;
    char by[32];
    size_t limit;
    struct MHD_Response *response; /* made while it was suspended */
    unsigned status;
};

/* Answers, or suspends the connection until a report is there. */
enum MHD_Result route_run(struct exchange *exchange, const char *url);
/* The connection sleeps until exchange_wake. */
void exchange_sleep(struct exchange *exchange);
void exchange_wake(struct exchange *exchange);
/* An answer with the headers all answers have. body is taken over. */
struct MHD_Response *http_response(struct buf *body, const char *type);
enum MHD_Result http_answer(struct exchange *exchange, unsigned status, const char *text);

/* ---- the page (made by embed.py) ---- */

extern const char page_text[];
extern const size_t page_len;
extern const char page_policy[]; /* Content-Security-Policy, with the digests of what is inline */

/* ---- history (history.c) ---- */

void history_tick(struct admin *admin, uint64_t now);
void history_watched(uint64_t now); /* somebody looks: percentiles are worth their price */
void history_json(struct buf *out);
void history_free(void);

#endif
