/* count.h - what a worker counts beyond stats.def: prefixes, commands, rules, users, times.
 *
 * On the path of every request: call_count() when it is sent, reply_count() when its reply is
 * whole. Nothing here is shared between threads; a report visits each (report.c).
 */
#ifndef RESPGATE_COUNT_H
#define RESPGATE_COUNT_H

#include "links.h"

struct command_counts {
    uint64_t calls, errors;
    struct histogram proxy, backend;
};
struct rule_counts {
    char *name; /* what they belong to, across reloads */
    uint64_t counts[STATS_RULE_COUNTS];
};
struct user_counts {
    char *name;
    uint64_t requests, denied;
    size_t clients; /* only while a report is filled */
};

/* Replies one after the other of which all times are the same: they arrived in one turn and were
 * asked for in another one. A turn of a pipeline is one of these for each command. */
struct run {
    struct node *node;
    uint32_t arrived, turn; /* us when its request was read; turn in which it was sent */
    uint16_t command;
    bool slow; /* all of them, by [log] slow */
    uint32_t count, errors;
};
enum { RUNS = 32, USERS_COUNTED = 1000 };
enum { HOT_SAMPLE = 64 };  /* of so many keys one is looked at, for hot ones */
enum { BIG_BYTES = 1024 }; /* below it nothing is called large */

struct counts {
    struct prefix_scheme *scheme;
    struct prefix_table *prefixes;
    struct command_counts **commands; /* by id; NULL: never called */
    size_t command_room;
    struct rule_counts *rules; /* of the rules in force, then the built-in ones */
    size_t rule_count;
    struct user_counts *users;
    size_t user_count;
    struct hot_keys hot;
    struct big_keys big_requests, big_replies;
    struct slow_requests slow;
    uint64_t minute;
    uint32_t slow_us;   /* from here on a request is slow */
    uint32_t sample_in; /* keys until the next one is sampled for hot */
    unsigned run_count;
    struct run runs[RUNS];
};

void counts_init(struct worker *worker);
void counts_free(struct worker *worker);
/* The worker has another snapshot: counts of what is still there stay. */
void counts_adopt(struct worker *worker);
void counts_turn_over(struct loop *loop, uint64_t end);
void counts_tick(struct worker *worker);
/* Before a node goes. */
void counts_settle(struct worker *worker);

/* How a command's keys count, by its flags: for snapshot_new. */
uint8_t counting_of(const struct command *command);

/* A build without counting: what it costs is the difference (bench/counting.sh). */
#ifdef RESPGATE_NO_COUNTING
enum { COUNTING = false };
#else
enum { COUNTING = true };
#endif
/* A command was read and answered here or sent. */
struct command_counts *command_counted(struct counts *counts, uint16_t id);
static inline void call_counted(struct client *client, const struct call *call)
{
    struct counts *counts = client->worker->counts;
    if (!COUNTING || unlikely(!call->command))
        return;
    uint16_t id = call->command->id;
    if (likely(id < counts->command_room && counts->commands[id]))
        counts->commands[id]->calls++;
    else
        command_counted(counts, id)->calls++;
}
/* A request is about to be sent: its keys are marked, to be counted with its reply. */
void call_count(struct client *client, struct call *call, struct req *req);
/* Its reply is whole. */
void reply_count(struct link *link, struct client *client, struct req *req);
/* It will not be sent again: its bytes go, and its key stays for what is slow or large. */
void req_forget(struct req *req);
/* The same of a request of many parts: its keys count once. */
void gather_counted(struct client *client, struct req *req, bool failed);
/* respgate answered in its place, with an error. */
void req_failed(struct worker *worker, const struct req *req);
void call_failed(struct client *client); /* the same, before it was sent */
void marks_land(struct client *client, struct req *req);
void marks_free(struct req *req);
/* The marks of the transaction go with its EXEC. */
void marks_keep(struct transaction *transaction, struct req *req);
/* A rule refused the request: its keys count where they already have a place. */
void count_refused(struct worker *worker, const struct question *question, enum prefix_count count);
void stats_rule(struct worker *worker, uint16_t rule, enum rule_count count);
/* The worker's part of a report (report_counts.c). */
void report_counts(struct report *report, struct worker *worker);
/* The texts of what workers told as bytes; main thread. */
void report_writers(struct report *report);
/* Nodes and queues as the poller knows them; main thread (report_pressure.c). */
void report_pressure(struct report *report, struct proxy *proxy);
/* The client leaves, logs in as somebody else, or is reported: brings its user up to date. */
struct user_counts *user_count(struct client *client);
/* As whom its writes count: its address is known from here on. */
void client_writer(struct client *client);
/* All of the client's output has been taken. */
struct prefix_scheme *scheme_of(const struct config *config); /* [prefixes] */
void slow_taken(struct client *client);

#endif
