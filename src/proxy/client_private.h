/* client_private.h - what client.c, answer.c and turn.c share. */
#ifndef RESPGATE_CLIENT_PRIVATE_H
#define RESPGATE_CLIENT_PRIVATE_H

#include "links.h"

/* What a client may have in flight at once, since all others queue behind it on the shared link: a
 * thousand requests keep Redis busy for about a millisecond. Clients at work at the same time share
 * it, down to the least. */
enum { IN_FLIGHT_MAX = 1024, IN_FLIGHT_MIN = 32 };

void client_settle(struct client *client); /* IDLE or BUSY, whichever holds */
void handshake_over(struct client *client);
void client_parser_back(struct client *client);
void client_freed(struct conn *conn);
void client_ended(struct conn *conn, const char *reason, bool clean);
void client_finished(struct conn *conn);
bool client_has_room(const struct client *client); /* for one more request in flight */

#endif
