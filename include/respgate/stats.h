/*
 * stats.h - counting: key prefixes, histograms, hot keys, large and slow requests; and the report
 * that all of it is collected into.
 *
 * Pure: no thread, lock, socket or clock of its own. A worker owns one of each and only its
 * thread touches it; a report is filled by one worker after the other and then read by whoever
 * asked for it. All memory is bounded, whatever keys come.
 */
#ifndef RESPGATE_STATS_H
#define RESPGATE_STATS_H

#include "respgate/base.h"

/* ---- counters of a worker (tables.c) ---- */

enum stat_id {
#define STAT(id, name, help) STAT_##id,
#include "respgate/stats.def"
#undef STAT
    STAT_COUNT
};
const char *stat_name(enum stat_id stat);
const char *stat_help(enum stat_id stat);

enum prefix_count {
#define PREFIX_COUNT(id, name, help) PREFIX_##id,
#include "respgate/prefix_counts.def"
#undef PREFIX_COUNT
    PREFIX_COUNTS
};
const char *prefix_count_name(enum prefix_count count);
const char *prefix_count_help(enum prefix_count count);

enum rule_count {
#define RULE_COUNT(id, name, help) STATS_RULE_##id,
#include "respgate/rule_counts.def"
#undef RULE_COUNT
    STATS_RULE_COUNTS
};
const char *rule_count_name(enum rule_count count);
const char *rule_count_help(enum rule_count count);

/* ---- histogram (histogram.c) ---- */

/* Microseconds, log-linear: each power of two is cut into 64 steps, so a value is known to 0.8 %.
 * A power of two gets its memory when it is first met; at most 14 KiB in all. */
enum { HISTOGRAM_STEPS = 64, HISTOGRAM_OCTAVES = 27 };
struct histogram {
    uint64_t count, sum, max;
    uint64_t *octave[HISTOGRAM_OCTAVES];
};
void histogram_add(struct histogram *histogram, uint64_t us, uint64_t times);
void histogram_merge(struct histogram *to, const struct histogram *from);
/* The value that this part (0.99) of all is not above; 0 when there is none. */
uint64_t histogram_percentile(const struct histogram *histogram, double part);
/* How many are at most this. */
uint64_t histogram_below(const struct histogram *histogram, uint64_t us);
/* The same for several bounds that rise, in one walk: the buckets of Prometheus. */
void histogram_buckets(const struct histogram *histogram, const uint64_t *bounds, size_t count,
                       uint64_t *below);
void histogram_clear(struct histogram *histogram);

/* ---- the prefix of a key (scheme.c) ---- */

/* How keys are cut, from [prefixes]; immutable.
 *
 *   wf:run:timeline:7f3a    delimiter ':', depth 2:  wf:run
 *   session:abc             session        its last segment never belongs to a prefix
 *   user:48211:cart         user           what looks like an id ends it
 *   greeting, 48211:cart    (none)
 *   {queue}:wait:1          {queue}:wait   a hash tag is a segment like others,
 *   {user:anna}:cart        (none)         but one with a delimiter inside ends it
 *
 * Like an id: four digits or more, eight hex digits in a row, twelve bytes or more of upper case,
 * lower case and digits mixed, more than 32 bytes, none at all, anything but printable ASCII. */
struct prefix_scheme;
enum { PREFIX_DEPTH_MAX = 16, PREFIX_SEGMENT_MAX = 32 };
struct prefix_scheme *prefix_scheme_new(char delimiter, unsigned depth, size_t max,
                                        const struct str *declared, size_t count);
bool prefix_scheme_equal(const struct prefix_scheme *a, const struct prefix_scheme *b);
void prefix_scheme_free(struct prefix_scheme *scheme);
/* The prefix by the rules above, a view into the key; len 0: "(none)". */
struct str prefix_discover(const struct prefix_scheme *scheme, struct str key);
/* Index of the declared prefix this key belongs to, the longest there is; -1: to none. A '*' in one
 * stands for any part of a segment; the key may end with it or go on behind a delimiter. */
int prefix_declared(const struct prefix_scheme *scheme, struct str key);
struct str prefix_declared_name(const struct prefix_scheme *scheme, int index);

/* ---- counts of prefixes (prefixes.c) ---- */

/* Where a key counts. Good for as long as the table lives: when the prefix has been evicted since,
 * it counts as (other). */
struct prefix_ref {
    uint32_t entry, serial;
};
/* Who wrote. origin tells addresses apart, address is opaque here. */
enum { PREFIX_ADDRESS = 24 };
struct prefix_writer {
    uint64_t origin, client;
    uint8_t address[PREFIX_ADDRESS];
};

struct prefix_table;
struct prefix_table *prefix_table_new(const struct prefix_scheme *scheme, uint64_t seed);
void prefix_table_free(struct prefix_table *table);
/* Another scheme from here on: counts stay, those that have no room any more go to (other). The
 * old scheme must live until this returns. */
void prefix_table_adopt(struct prefix_table *table, const struct prefix_scheme *scheme);
/* Of a key that is used: a new prefix is taken in when there is room, or when it is used more than
 * one of those there. */
struct prefix_ref prefix_touch(struct prefix_table *table, struct str key);
/* Of a key that was refused: never makes a prefix. */
struct prefix_ref prefix_find(struct prefix_table *table, struct str key);
void prefix_add(struct prefix_table *table, struct prefix_ref ref, enum prefix_count count,
                uint64_t n);
/* A write that succeeded: counts it, its bytes, and who did it. */
void prefix_wrote(struct prefix_table *table, struct prefix_ref ref, uint64_t bytes,
                  const struct prefix_writer *writer);
void prefix_minute(struct prefix_table *table, uint64_t minute); /* that it is now */
/* All counts are 0 again; places and what is known of their use stay. */
void prefix_table_zero(struct prefix_table *table);
size_t prefix_table_bytes(const struct prefix_table *table);

/* One prefix of a table, for reports and tests. */
struct prefix_view {
    struct str name; /* "(other)", "(none)" too */
    bool declared;
    uint64_t counts[PREFIX_COUNTS];
    uint64_t minute_writes, minute_bytes;
    struct prefix_writer writer; /* origin 0: nobody */
    uint64_t writer_writes, writer_bytes;
};
/* Calls back for each prefix that has counts. */
void prefix_each(struct prefix_table *table,
                 void (*visit)(const struct prefix_view *view, void *context), void *context);

/* ---- hot, big, slow (samples.c) ---- */

/* Keys are kept whole up to that many bytes. */
enum { KEY_KEPT = 256, HOT_KEPT = 128, HOT_SHOWN = 50, BIG_KEPT = 32, SLOW_KEPT = 128 };
struct kept_key {
    uint16_t len;
    char *ptr; /* NULL: not known */
};

/* The most used of a sample of keys (Space-Saving): counts are of samples. */
struct hot_keys {
    uint64_t seed;
    size_t used;
    uint64_t hash[HOT_KEPT], total[HOT_KEPT];
    struct {
        uint64_t inherited;   /* part of the total that is others' */
        uint64_t now, before; /* in this minute and in the last one */
        struct kept_key key;
    } more[HOT_KEPT];
};
void hot_add(struct hot_keys *hot, struct str key);
void hot_minute(struct hot_keys *hot, bool next); /* a new one began; next: right after the last */
void hot_clear(struct hot_keys *hot);

/* Who asked, as it is shown: the client may be gone when somebody looks. */
struct asker {
    uint64_t client;
    char address[64], user[32];
};

/* The largest requests, or replies, of different keys. */
struct big {
    struct kept_key key;
    uint64_t hash, bytes;
    uint16_t command;
    int64_t when;
    struct asker asker;
};
struct big_keys {
    uint64_t floor; /* what is not above it does not get in */
    size_t used;
    struct big rows[BIG_KEPT];
};
/* The row to be filled in (key and bytes are), or NULL: not large enough. */
struct big *big_add(struct big_keys *keys, struct str key, uint64_t bytes);
void big_clear(struct big_keys *keys);

struct slow {
    struct kept_key key;
    uint64_t id;
    uint16_t command;
    int64_t when;
    uint32_t queue, backend, output; /* us */
    char node[16];
    struct asker asker;
};
struct slow_requests {
    uint64_t count; /* ever; the last of them are kept, at id % SLOW_KEPT */
    struct slow *rows;
};
struct slow *slow_add(struct slow_requests *slow, struct str key);
struct slow *slow_find(struct slow_requests *slow, uint64_t id); /* NULL: overwritten */
void slow_clear(struct slow_requests *slow);

/* ---- the report ---- */

/* Everything there is to tell, at one moment: made by proxy_report(), freed with report_free().
 * All texts live in its arena. Lists are in no order unless said. Keys and prefixes are raw
 * bytes: whoever shows them escapes them. Durations: ms where the name says so, else us. */

struct report_client {
    uint64_t id;
    unsigned worker;
    const char *address, *user, *name, *command, *state, *pins; /* "" when there is none */
    uint64_t age_ms, idle_ms;
    uint64_t requests, denied, bytes_in, bytes_out;
    uint64_t rehearsed[3]; /* crossslot, select, scripts */
    size_t output;         /* replies it has not read yet, bytes */
    size_t in_flight;      /* requests without a reply */
    int db;
    unsigned resp;
    bool tls;
};

/* A node as all workers together see it. */
struct report_node {
    const char *name, *address, *server, *version;
    unsigned workers, up; /* workers that know it; of these, to which it is up */
    bool breaker_open;    /* to any */
    uint64_t requests, errors, redirects, dials, dial_failures;
    size_t in_flight, parked, parked_bytes;
    size_t shared_links, pinned_links, idle_links;
    struct histogram latency; /* of the backend */
};

/* A class of links of one worker. */
struct report_pool {
    unsigned worker;
    const char *node, *identity; /* "" does not log in */
    int db, resp;
    const char *shared; /* "ready", "dialling", "none" ... */
    size_t clients, pinned, idle, in_flight, parked, waiting;
};

/* What somebody wrote under a prefix in a minute. */
struct report_writer {
    const char *address; /* "" nobody; set when all workers have told */
    uint8_t raw[PREFIX_ADDRESS];
    uint64_t client; /* the last of its connections that wrote */
    uint64_t writes, bytes;
};
struct report_prefix {
    struct str name;
    bool declared;
    uint64_t counts[PREFIX_COUNTS];
    uint64_t minute_writes, minute_bytes; /* of the last full minute and the one under way */
    struct report_writer writer;          /* who wrote most of that */
};

struct report_command {
    const char *name;
    uint64_t calls, errors;
    struct histogram proxy, backend; /* time spent here, and there */
};

struct report_rule {
    const char *name, *action, *mode;
    uint64_t counts[STATS_RULE_COUNTS];
};

struct report_user {
    const char *name;
    uint64_t requests, denied;
    size_t clients;
};

struct report_hot {
    struct str key;
    uint64_t total, minute; /* estimated, never too many: since it is among them; in the minute as
                               above */
};

struct report_big {
    struct str key; /* len 0: not known */
    const char *command, *address;
    uint64_t client, bytes;
    int64_t when; /* seconds since 1970 */
    bool reply;   /* else the request was large */
};

struct report_slow {
    struct str key;
    const char *command, *address, *user, *node;
    uint64_t id, client;
    int64_t when;
    uint64_t queue, backend, output; /* us: before it was sent; until its reply; until taken */
};

struct report_memory {
    const char *purpose;
    uint64_t bytes;
};

/* What the last look at a node told; -1: not known. Bytes, seconds; levels 0 to 2. */
struct report_pressure {
    const char *node;
    int64_t memory_level, used, limit;                     /* limit 0: none known */
    int64_t disk_level, disk, disk_limit, aof, aof_growth; /* growth: bytes a second */
    int64_t growth;                                        /* of memory, bytes a second */
    int64_t memory_full, disk_full; /* seconds until then, as it goes on; -1 not in sight */
    int64_t keys, clients, clients_max, blocked, evicted, replicas;
    int64_t connects, rejected, slowlog; /* ever, by the node itself */
    int64_t aof_ok, rdb_ok, rdb_saved;   /* rdb_saved: seconds since 1970 */
    int64_t outside; /* destructive commands that did not come through respgate */
    int64_t polled;  /* when it was looked at, seconds since 1970 */
};

struct report_queue {
    const char *name, *type;
    struct str key;
    uint64_t length, max_length; /* max_length 0: no limit; it is of all keys of the queue */
    uint64_t pending, lag, groups, consumers, dead;
};

struct report_advice {
    const char *node, *name, *text;
};
/* Who talks to a node past respgate. */
struct report_outside {
    const char *node, *address, *user, *name, *commands; /* those seen, by spaces */
    uint64_t connections;                                /* 0: it is gone */
};

#define REPORT_LIST(type, name)                                                                    \
    struct type *name;                                                                             \
    size_t name##_count, name##_room

/* What the nodes of a cluster agree on; -1 without one. */
struct report_cluster {
    int64_t ok, nodes, primaries, bare, unowned, contested, moving;
};

struct report {
    struct arena *arena;
    uint32_t *prefix_index; /* while it is filled: rows + 1 by hash of their names */
    size_t prefix_mask;
    uint64_t at_ns;      /* clock_ns() when it was complete: rates come from two reports */
    int64_t at, started; /* seconds since 1970 */
    const char *version, *config_file;
    uint64_t generation; /* of the configuration in force */
    uint64_t reloads, reload_failures;
    bool reload_ok;   /* the last one */
    int64_t reloaded; /* when it was; 0: none yet */
    bool draining;
    unsigned workers;
    uint64_t rule_count, prefixes_max;
    uint64_t clients_max, clients_refused;
    int64_t links_shared, links_pinned, links_max, pinned_max;
    int64_t listen_expiry, backend_expiry; /* of certificates, seconds since 1970; 0 none */
    size_t addresses;                      /* distinct ones among the clients */
    uint64_t prefix_bytes;                 /* memory of the tables */
    size_t states[8];                      /* clients by state, see report_client.state */
    struct report_cluster cluster;
    const char *growth; /* report_growth_text() */
    size_t clients_now; /* of all states; they have no rows in every report */
    uint64_t cpu_us;    /* user and system, of the process */
    uint64_t counters[STAT_COUNT];
    struct histogram proxy, backend; /* of all commands */
    REPORT_LIST(report_client, clients);
    REPORT_LIST(report_node, nodes);
    REPORT_LIST(report_pool, pools);
    REPORT_LIST(report_prefix, prefixes);  /* most writes first */
    REPORT_LIST(report_command, commands); /* those that were called */
    REPORT_LIST(report_rule, rules);       /* in file order, then the built-in ones */
    REPORT_LIST(report_user, users);
    REPORT_LIST(report_hot, hot);   /* most first */
    REPORT_LIST(report_big, big);   /* largest first */
    REPORT_LIST(report_slow, slow); /* newest first */
    REPORT_LIST(report_pressure, pressures);
    REPORT_LIST(report_queue, queues);
    REPORT_LIST(report_advice, advice);
    REPORT_LIST(report_outside, outside);
    REPORT_LIST(report_memory, memory);
};
/* Whose writes were most of the last minute's, by bytes. False: nobody wrote. (growth.c) */
struct report_growth {
    struct str prefix;
    const char *address;     /* who wrote most of it; "" nobody */
    unsigned percent;        /* of all bytes written: the prefix */
    unsigned writer_percent; /* of the prefix: the writer */
};
bool must_check report_growth(const struct report *report, struct report_growth *out);
/* "82 % of the growth is firehose_* from 10.0.3.7", or "". */
const char *report_growth_text(struct report *report);
/* The row of this name, made when there is none yet. Good until the next call. */
struct report_prefix *report_prefix_row(struct report *report, struct str name);
/* When all parts are in: lists in their order, and no more prefixes than prefixes_max. */
void report_finish(struct report *report);
struct report *report_new(void);
void report_free(struct report *report);
/* One more, zeroed, at the end of a list: struct report_node *node = REPORT_ADD(report, nodes). */
#define REPORT_ADD(report, list)                                                                   \
    ((report)->list = report_grow((report)->list, (report)->list##_count, &(report)->list##_room,  \
                                  sizeof(*(report)->list)),                                        \
     &(report)->list[(report)->list##_count++])
void *report_grow(void *items, size_t count, size_t *room, size_t size);
const char *report_text(struct report *report, const char *text); /* its own copy; NULL is "" */
struct str report_str(struct report *report, struct str text);

#endif
