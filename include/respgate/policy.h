/*
 * policy.h - rules compiled to an immutable set, and the judgement of one request by it.
 *
 * A set is compiled at load, indexed by command: a command no rule names costs one look-up. It
 * is shared by all threads and never changes; counters live with the worker that counts.
 */
#ifndef RESPGATE_POLICY_H
#define RESPGATE_POLICY_H

#include "respgate/base.h"
#include "respgate/command.h"
#include "respgate/config.h"

/* Where a client comes from. */
struct address {
    bool is_unix;
    bool is_ipv6;
    uint8_t ip[16]; /* IPv4 in the first 4; IPv4-mapped IPv6 is stored as IPv4 */
    uint16_t port;
};

/* Who asks: kept by the client, changed at login and SELECT. */
struct subject {
    struct address address;
    struct str user; /* name the client authenticated as; empty: none */
    uint64_t client_id;
};

/* One request to be judged. keys are the real ones (NOT_KEY left out). */
struct question {
    const struct command *command;
    const struct str *argv;
    size_t argc;
    const struct key_ref *keys;
    size_t key_count;
    bool keys_unknown; /* there are keys no specification can tell: meets every deny, no allow */
    int64_t db;
    const struct subject *subject;
};

enum verdict_kind { VERDICT_ALLOW, VERDICT_DENY };
enum { OBSERVED_MAX = 8 };
struct verdict {
    enum verdict_kind kind;
    uint16_t rule; /* that decided; POLICY_NO_RULE when none matched, or one of the built-in ones */
    /* Rules in observe mode (or all, under [proxy] observe) that would have decided. */
    uint16_t observed_count;
    uint16_t observed[OBSERVED_MAX];
};
enum { POLICY_NO_RULE = 0xffff };

struct policy;
/* Compiles config's rules against a command table (which must outlive the policy). Problems name
 * the rule's line; NULL when there was an error. Learned commands are governed by
 * [proxy] learned: those it does not let through are denied unless an allow rule names them. */
struct policy *policy_compile(const struct config *config, const struct command_table *commands,
                              struct problems *problems);
void policy_free(struct policy *policy);
/* Whether any rule could apply to this command at all: false lets the caller skip key
 * extraction and the judgement. */
bool policy_concerns(const struct policy *policy, const struct command *command);
/* First match decides, in file order. Fills *out wholly. */
void policy_judge(const struct policy *policy, const struct question *question,
                  struct verdict *out);
/* The refusal as a client sees it, without "-" and CRLF:
 * "NOPERM respgate: 'FLUSHALL' is denied by rule 'no-flush': <message>". Placeholders {key}
 * {command} {client} in the message are filled in. */
void policy_refusal(const struct policy *policy, const struct question *question,
                    const struct verdict *verdict, struct buf *out);
size_t policy_rule_count(const struct policy *policy);
const char *policy_rule_name(const struct policy *policy, uint16_t rule);
/* Logs what differs, rule by rule: added, removed, changed (which fields), moved. */
void policy_log_changes(const struct policy *old, const struct policy *new);

/* "10.0.0.0/8", "2001:db8::/32", "unix", an address alone. */
struct network {
    bool is_unix;
    bool is_ipv6;
    uint8_t ip[16];
    uint8_t bits;
};
bool must_check network_parse(struct str text, struct network *out);
bool network_contains(const struct network *network, const struct address *address);

#endif
