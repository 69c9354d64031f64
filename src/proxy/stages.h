/* stages.h - the stages of a request's path and what they ask of each other; only for src/proxy. */
#ifndef RESPGATE_STAGES_H
#define RESPGATE_STAGES_H

#include "links.h"

enum { STAGE_HOLD = 4 }; /* what comes before it is without effect on the client */
enum step pipeline_run(struct client *client);
enum step hold_run(struct client *client, struct call *call); /* hold.c */
void hold_ended(struct client *client);
enum step session_run(struct client *client, struct call *call); /* session.c */
uint8_t session_row(const char *command);                        /* for snapshot_new */
/* REFUSED: out holds the error text. ASK: only for the client's own call; it waits. */
enum judged { JUDGED_REFUSED, JUDGED_ALLOWED, JUDGED_ASK };
/* Judges under the worker's current rules. */
enum judged must_check judge_call(struct client *client, struct call *call, int64_t db,
                                  struct buf *out);
/* The call as the rules are asked about it; its keys must have been looked up (call_keys). */
void call_question(struct client *client, const struct call *call, int64_t db,
                   struct question *out);
bool may_log(struct worker *worker); /* lines about single requests are bounded */
enum step shape_run(struct client *client, struct call *call); /* shape.c */
/* Whether a rule would make another request of it: one that is queued already cannot change. */
bool shape_rewrites(struct client *client, const struct call *call, int64_t db);
/* The same of a question made by hand; call: what is logged of it. */
enum judged must_check judge_question(struct client *client, struct call *call,
                                      const struct question *question, struct buf *out);
/* A line of the log, within the bound of refusals a second. */
void judge_note(struct client *client, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* Scripts (scripting.c). */
uint8_t scripting_traits(const struct command *command);
/* Waits for what has to be known of a script first. */
enum step scripting_prepare(struct client *client, struct call *call);
/* Judges what a script command would run, and tells the question the classes of its calls. */
bool must_check scripting_judge(struct client *client, struct call *call, struct question *question,
                                struct buf *out);
/* [scripts] mode acl: it goes to links of another user. */
enum step client_admitted(struct client *client);
bool scripting_own_link(const struct client *client, const struct command *command);
void functions_changed(struct proxy *proxy);
/* The clock of the last change, for an FCALL that is queued; 0 where functions are not judged. */
uint64_t functions_clock(const struct client *client, const struct command *command);
bool functions_stale(const struct client *client, uint64_t clock);
void functions_tick(struct worker *worker, struct link *control);
void script_kill_tick(struct worker *worker, uint64_t now);

const uint64_t *client_rules(struct client *client, int64_t db);
size_t call_keys(struct worker *worker, struct call *call);
bool limits_has_names(const char *command);
enum step limits_check(struct client *client, struct call *call);
enum step reply_unknown(struct client *client, struct call *call);
enum step reply_no_pin(struct client *client, struct call *call, enum pool_answer answer);

/* How many elements there are (ask.c). Asks for the client's call, which waits for the answers and
 * is then judged anew. */
void ask_node(struct client *client, const struct question *question);
void ask_bytes(struct req *req, struct span span);
void ask_answered(struct client *client, const struct req *req);
void ask_lost(struct client *client);

/* Pressure (pressure.c). False: refused, out holds the error text. What passes is charged to
 * call->charges. */
void budget_tick(struct worker *worker); /* budget.c */
bool must_check budget_admits(struct client *client, const struct call *call);
/* Of the node its first key lives on. */
struct health *pressure_health(const struct client *client, const struct call *call);
bool must_check pressure_admits(struct client *client, struct call *call, struct buf *out);
bool must_check pressure_admits_exec(const struct client *client);
bool pressure_concerns(const struct command *command);
void pressure_heard_error(struct node *node, const char *ptr, size_t len);
struct pressure_plan *pressure_plan_new(const struct config *config, struct problems *problems);
void pressure_plan_free(struct pressure_plan *plan);

/* Times to live of collections (sample.c). */
bool sample_due(struct worker *worker);
struct span sample_question(struct client *client, struct call *call); /* ptr NULL: none */
void sample_send(struct pool *pool, struct span question);

/* Rehearsal of a cluster (rehearse.c): in front of one node, of what has several keys or belongs to
 * a transaction. */
void rehearse_call(struct client *client, const struct call *call);
void rehearse_select(struct client *client);

/* Replies (reply.c). */
void reply_begin(struct link *link, const char *ptr, size_t len);
void reply_bytes(struct link *link, struct chunk *chunk, const char *ptr, size_t len, bool last);
void reply_end(struct link *link);

/* Transactions (transaction.c). */
enum step transaction_multi(struct client *client, struct call *call);
enum step transaction_exec(struct client *client, struct call *call);
enum step transaction_exec_refused(struct client *client);
enum step transaction_discard(struct client *client, struct call *call);
enum step transaction_watch(struct client *client, struct call *call);
enum step transaction_unwatch(struct client *client, struct call *call);
enum step transaction_queue(struct client *client, struct call *call);
void transaction_abort(struct client *client);
void transaction_end(struct client *client);
void transaction_link_lost(struct client *client);
void transaction_watched(struct client *client, const struct link *link);
void transaction_start_lost(struct client *client);
void transaction_refused(struct client *client, const struct req *req);
void transaction_executed(struct client *client, struct link *link, const struct req *req);

/* Subscriptions (subscribe.c). */
enum step subscribe_run(struct client *client, struct call *call);
enum frame_target subscribe_frame(struct link *link, const char *ptr, size_t len);
void subscriptions_free(struct client *client);
size_t subscriptions_count(const struct client *client, int kind); /* -1: all kinds */
void subscriptions_restore(struct client *client);
bool subscribe_more(const struct link *link, struct req *req); /* more confirmations will come */
void subscribe_done(struct client *client);
size_t subscriptions_shown(const struct client *client); /* as the client counts them */
void tracking_done(struct client *client, const struct link *link, const struct req *req);

/* Shared subscriptions (share.c, hub.c). */
static inline uint32_t client_shares(const struct client *client)
{
    return client->shares[0] + client->shares[1];
}
static inline bool client_subscribed(const struct client *client)
{
    return client->pins & PIN_SUBSCRIBE || client_shares(client);
}
enum step share_subscribe(struct client *client, struct call *call, int kind);
enum step share_unsubscribe(struct client *client, struct call *call, int kind);
enum step share_publish(struct client *client, struct call *call);
enum step share_numsub(struct client *client, struct call *call);
void share_counted(struct client *client, struct req *req);
void shares_leave(struct client *client);
void shares_tick(struct worker *worker);
void shares_free(struct worker *worker);
void hub_ready(struct link *link);
void hub_gone(struct link *link);
void hub_heir_gone(struct link *link);
void hub_refused(struct link *link);
enum frame_target hub_frame(struct link *link, int kind, struct str name, bool confirmation);
void hub_bytes(struct link *link, struct span span, bool last);
void hub_tick(struct worker *worker);
void hubs_free(struct worker *worker);

/* Logins of clients (auth.c). */
enum step auth_run(struct client *client, struct call *call);
enum step hello_run(struct client *client, struct call *call);
void auth_initial(struct client *client);
void auth_forget(struct client *client);
void auth_failures_free(struct worker *worker);

enum step info_run(struct client *client, struct call *call); /* info.c */

/* CLIENT (client_command.c). */
enum step client_command_run(struct client *client, struct call *call);
bool client_unblock(struct client *client, bool error); /* false: it was not blocked */
bool client_command_extra(struct client *client, struct call *call);

/* Clusters. */
enum step place_cluster(struct client *client, struct call *call, struct pool **pool);
struct pool *replica_choose(struct client *client, const struct call *call, enum read_from from,
                            struct pool *primary);
enum step cluster_wait(struct client *client, struct call *call); /* for the first map */
enum step reply_cross(struct client *client);
enum step reply_unserved(struct client *client);
enum step session_never(struct client *client, struct call *call);
enum step transaction_place(struct client *client, struct call *call);
enum step transaction_open(struct client *client, struct call *call, int slot);
enum step call_slot(struct client *client, struct call *call);  /* fills call->slot */
struct req *call_req(struct client *client, struct call *call); /* takes the call's bytes over */
enum step gather_split(struct client *client, struct call *call);
enum step gather_all(struct client *client, struct call *call, bool aside);
enum step scan_run(struct client *client, struct call *call);
enum step cluster_command_run(struct client *client, struct call *call);
enum step cluster_mode_run(struct client *client, struct call *call); /* READONLY and kin */

#endif
