/* siphash.h - a short keyed hash. */
#ifndef RESPGATE_POLICY_SIPHASH_H
#define RESPGATE_POLICY_SIPHASH_H

#include "respgate/base.h"

uint64_t siphash(const uint64_t key[2], const void *ptr, size_t len);

#endif
