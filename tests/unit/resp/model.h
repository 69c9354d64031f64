/*
 * model.h - random replies, and the slow obvious reading of them that the scanner is held to.
 */
#ifndef RESPGATE_MODEL_H
#define RESPGATE_MODEL_H

#include "respgate/resp.h"

/* Appends one random valid reply of protocol version 2 or 3. */
void model_reply(struct buf *buf, int resp, int depth);
/* Bytes of the first whole reply, 0 when there is none, -1 when it can be none. Recursive. */
int64_t model_length(struct str bytes);

#endif
