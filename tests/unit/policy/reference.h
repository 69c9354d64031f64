/* reference.h - clauses about sizes, answers, times and channels, evaluated the slow and obvious
 * way: for the random policies of test_random.c. */
#ifndef POLICY_REFERENCE_H
#define POLICY_REFERENCE_H

#include "fixture.h"

/* Whether all of them hold. *ask: it depends on what the node would have to be asked first. */
bool ref_clauses(const struct config_rule *rule, const struct question *q, bool *ask);

#endif
