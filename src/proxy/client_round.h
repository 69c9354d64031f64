/* client_round.h - a question about other clients on its way round the workers. */
#ifndef RESPGATE_CLIENT_ROUND_H
#define RESPGATE_CLIENT_ROUND_H

#include "respgate/proxy.h"

enum round_kind { ROUND_LIST, ROUND_KILL, ROUND_UNBLOCK };

struct round {
    struct mail mail;
    struct proxy *proxy;
    unsigned asker, at; /* workers */
    uint64_t client_id; /* who asks */
    enum round_kind kind;
    bool admin; /* sees all users' clients */
    char *user; /* else: only this one's */
    /* filters; unset: NULL or 0 */
    uint64_t *ids;
    size_t id_count;
    char *addr, *laddr, *want_user;
    int type; /* 0 any, else one of enum client_type */
    bool skip_me, old_kill, unblock_error;
    int64_t hits;
    bool killed_asker;
    struct buf out;
};
enum client_type { TYPE_ANY, TYPE_NORMAL, TYPE_PUBSUB, TYPE_OTHER };

void client_line(const struct client *client, struct buf *out); /* as CLIENT LIST shows it */
struct round *round_new(struct client *client, enum round_kind kind);
void round_free(struct round *round);
/* The asker waits until it is answered. Takes the round over. */
enum step round_start(struct client *client, struct round *round);

#endif
