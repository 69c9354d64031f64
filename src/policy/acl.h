/*
 * acl.h - the rules as far as Redis' ACLs can hold them, between the files that find out and print.
 *
 *   rules --acl_wall.c--> struct wall: what of each command one backend user may do --acl.c--> text
 *
 * Two promises: what respgate lets through, the ACL lets through; and as much as possible of the
 * rest it refuses.
 */
#ifndef RESPGATE_POLICY_ACL_H
#define RESPGATE_POLICY_ACL_H

#include "internal.h"

enum { WALL_OPEN = POLICY_NO_RULE };

/* A backend user, and who runs commands as it. */
struct principal {
    const char *name;
    const char *what;   /* for the comment */
    size_t user_count;  /* of [user] sections; */
    const char **users; /* none: anybody */
    bool control;       /* respgate asks its own questions as this user */
};

struct wall {
    struct arena *arena;
    const struct policy *policy;
    const struct config *config;
    const struct command_table *commands;
    const struct principal *principal;
    uint16_t *shut;    /* by command id: the rule that refuses it, or WALL_OPEN */
    uint64_t **opened; /* by rule: of the commands shut, those it lets through with its keys */
    bool others_shut;  /* commands that are not in the table */
};
void wall_build(struct wall *wall);
/* What of an enforcing rule an ACL cannot say; "" when nothing. */
void wall_rest(const struct policy *policy, const struct rule *rule, struct buf *out);
/* Whether a rule that names this command by its full name (one the table does not have) always
 * decides for this user. */
bool wall_rule_plain(const struct wall *wall, const struct rule *rule);

/* Whether respgate itself sends the command as this user. */
bool wall_needs(const struct wall *wall, const struct command *command);

/* The patterns of a rule's keys clause that an ACL can hold: those an allow names, those a deny
 * leaves out ("*, !t1:*"). NULL-terminated. */
const struct str *wall_patterns(const struct wall *wall, const struct rule *rule, size_t *count);

#endif
