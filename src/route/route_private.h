/* route_private.h - what the files of src/route ask of each other. */
#ifndef RESPGATE_ROUTE_PRIVATE_H
#define RESPGATE_ROUTE_PRIVATE_H

#include "respgate/route.h"

bool merge_info(const struct merge_part *parts, size_t count, struct buf *out);

#endif
