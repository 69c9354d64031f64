/* conn_private.h - what conn.c and dial.c share. */
#ifndef RESPGATE_CONN_PRIVATE_H
#define RESPGATE_CONN_PRIVATE_H

#include "respgate/net.h"

void conn_setup(struct conn *conn, struct loop *loop, const struct conn_ops *ops);
void conn_attach(struct conn *conn, int fd, enum conn_state state); /* starts watching */
void conn_connected(struct conn *conn);                             /* TLS next, or open */
void conn_end(struct conn *conn, const char *reason, bool clean);   /* tells the owner */
void conn_rewatch(struct conn *conn, int fd); /* the socket becomes another one, same number */

void dial_connected(struct conn *conn); /* connect(2) has an answer */
void dial_release(struct conn *conn);   /* done with: conn->dial is NULL after */
void dial_cancel(struct conn *conn);    /* the conn closes before it had a socket */

#endif
