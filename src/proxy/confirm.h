/* confirm.h - one-time codes for commands that need a second look; only for src/proxy. */
#ifndef RESPGATE_CONFIRM_H
#define RESPGATE_CONFIRM_H

#include "respgate/proxy.h"

enum { CONFIRM_MAX = 8 }; /* codes of one client at once */

/* Whether a code was given for this very command and rule: then the rule is skipped. */
bool confirm_given(struct client *client, uint16_t rule);
/* After the judgement: what was given is used up when the command was let through. Whether there
 * was any. */
bool confirm_settle(struct client *client, bool passes);
/* A new code for the command; what the client is told behind "needs confirmation". */
const char *confirm_offer(struct client *client, const struct call *call, uint16_t rule);
/* RESPGATE CONFIRM code, RESPGATE HELP; false: it is another command. */
bool confirm_command(struct client *client, const struct call *call, enum step *step);
void confirm_free(struct client *client);

#endif
