/*
 * config.h - the configuration file: INI text to one immutable struct, every mistake with its line.
 *
 * Options are rows of options.def: name, type, default, where it is kept, whether a reload can
 * change it, and what it means. Parser, --print-config and the reference come from the rows.
 */
#ifndef RESPGATE_CONFIG_H
#define RESPGATE_CONFIG_H

#include "respgate/base.h"

/* Where a value came from, for error texts: FILE:LINE. */
struct where {
    const char *file; /* "(built in)", "(command line)" when there is no file */
    int line;         /* 0 when not set in a file */
};

struct text_list {
    size_t count;
    struct str *items;   /* NUL-terminated, but may be compared as str */
    struct where *where; /* one for each item */
};

enum listen_kind { LISTEN_TCP, LISTEN_TLS, LISTEN_UNIX };
struct listen_address {
    enum listen_kind kind;
    const char *text; /* as written, for logs and reload comparison */
    const char *host; /* numeric or name; path when unix */
    uint16_t port;
    bool private; /* unix: its owner alone may connect */
    struct where where;
};

enum anonymous_mode { ANONYMOUS_NO, ANONYMOUS_BACKEND };
enum learned_mode { LEARNED_DATA, LEARNED_ALL, LEARNED_NONE };
enum backend_mode { MODE_AUTO, MODE_STANDALONE, MODE_CLUSTER, MODE_SENTINEL };
enum read_from { READ_UNSET, READ_PRIMARY, READ_PREFER_REPLICA, READ_NEAREST };
enum tls_verify { VERIFY_FULL, VERIFY_CA, VERIFY_NO };
enum key_names { KEY_NAMES_PREFIX, KEY_NAMES_HASH, KEY_NAMES_FULL };
enum scripts_mode { SCRIPTS_INSPECT, SCRIPTS_ACL, SCRIPTS_ALLOWLIST, SCRIPTS_DENY, SCRIPTS_ALLOW };
enum undeclared_keys { UNDECLARED_AUTO, UNDECLARED_DENY, UNDECLARED_ALLOW };
enum guard_mode { GUARD_AUTO, GUARD_ON, GUARD_OFF };
enum full_action { FULL_REFUSE, FULL_TRIM };
enum rule_mode { RULE_ENFORCE, RULE_OBSERVE, RULE_OFF };
/* How full a node is; set from its health, read by `when`. */
enum pressure { PRESSURE_NORMAL, PRESSURE_HIGH, PRESSURE_CRITICAL };
enum rule_action {
    ACTION_DENY,
    ACTION_ALLOW,
    ACTION_LIMIT,
    ACTION_DELAY,
    ACTION_LOG,
    ACTION_REWRITE,
    ACTION_CONFIRM,
};
enum rule_confirm { CONFIRM_SELF, CONFIRM_CONSOLE };
enum rule_per { PER_CLIENT, PER_IP, PER_USER, PER_PREFIX, PER_RULE };
enum rule_cost { COST_REQUESTS, COST_KEYS, COST_BYTES };

/* One backend seed out of [backend] url, or a sentinel. */
struct backend_address {
    bool tls;
    const char *host; /* NULL when unix */
    uint16_t port;
    const char *path; /* unix socket */
    const char *text; /* "redis://host:port", never with user or password: safe to log */
    struct where where;
};

struct config_user {
    const char *name;
    struct where where;
    struct text_list password_sha256; /* 64 hex digits each, lower case */
    const char *tls_subject;          /* RFC 2253 subject or CN; NULL: none */
    bool admin;
    uint64_t max_clients, max_pinned_links;          /* 0: no limit */
    const char *backend_username, *backend_password; /* NULL: [backend]'s */
    const char *backend_password_file;               /* where the password was read from */
};

/* A [rule NAME] as written; src/policy compiles it and reports what makes no sense. */
struct config_rule {
    const char *name;
    struct where where;
    struct text_list commands, keys, channels, db, users, from;
    uint64_t min_keys, min_bytes, min_args, min_elements, max_ttl; /* 0: not set; max_ttl: ms */
    bool unbounded, without_ttl;
    enum pressure when;
    bool has_action;
    enum rule_action action;
    enum rule_mode mode;
    const char *message; /* NULL: none */
    double rate;         /* a second; 0: none */
    uint64_t burst;      /* 0: none */
    enum rule_per per;
    enum rule_cost cost;
    uint64_t delay_max; /* ms */
    bool exempt, shared;
    enum read_from read_from; /* READ_UNSET: [backend]'s */
    const char *add;          /* NULL: none */
    enum rule_confirm confirm;
    const struct where *set; /* where each option was set; ask config_rule_where() */
};
/* Where an option of the rule was set; false when it was not, and *where is the rule's own. */
bool config_rule_where(const struct config_rule *rule, const char *key, struct where *where);
/* Its value as it would be printed, appended; nothing when it was not set. */
void config_rule_text(const struct config_rule *rule, const char *key, struct buf *out);

/* A [queue NAME]: streams, lists or sorted sets, counted together. 0: no such bound. */
struct config_queue {
    const char *name;
    struct where where;
    struct text_list keys;
    uint64_t max_length;
    enum full_action on_full;
    uint64_t warn_length, warn_pending, warn_lag;
};

struct config {
    struct arena *arena;
    struct config *base; /* what config_with_modes() was made of; NULL: read from a file */
    uint32_t refs;       /* owners beyond the first; atomic */
    const char *file;
    struct where *set; /* where each row of options.def was set, by index; file NULL: default */

    struct {
        size_t listen_count;
        struct listen_address *listen;
        uint64_t threads; /* 0 in the file becomes the number of cores */
        enum anonymous_mode anonymous;
        bool observe;
        uint64_t max_clients, max_clients_per_ip,
            accept_rate;                            /* accept_rate: a second, 0 no limit */
        uint64_t max_handshakes, handshake_timeout; /* durations: milliseconds */
        uint64_t client_idle_timeout, request_read_timeout, transaction_timeout;
        uint64_t client_output_limit, client_output_soft_limit, client_output_soft_time;
        uint64_t max_request_size, max_value_size, max_key_size, max_name_size; /* bytes */
        uint64_t max_queued, max_watched_keys, max_subscriptions;
        uint64_t memory_limit; /* bytes; 0: none */
        uint64_t drain_timeout;
        bool proxy_protocol;
        enum learned_mode learned;
        const char *tls_cert_file, *tls_key_file, *tls_ca_file;
        bool tls_auth_clients;
    } proxy;

    struct {
        struct listen_address *console, *http; /* NULL: off */
        const char *password, *password_file;  /* NULL: none */
        bool metrics_open;
    } admin;

    struct {
        enum log_level level;
        bool json;
        const char *file;
        const char *audit_file; /* NULL: none */
        enum key_names key_names;
        uint64_t slow; /* ms; 0: none */
    } log;

    struct {
        const char *delimiter; /* one character */
        uint64_t depth, max;
        struct text_list declare;
    } prefixes;

    struct {
        size_t url_count;
        struct backend_address *url;
        enum backend_mode mode;
        const char *username, *password;         /* from the url or username / password-file */
        const char *url_username, *url_password; /* what stood in the url, or NULL */
        const char *control_username, *control_password;   /* default: the same */
        const char *password_file, *control_password_file; /* where they were read from, or NULL */
        size_t sentinel_count;
        struct backend_address *sentinels;
        const char *master_name;                           /* NULL: none */
        const char *sentinel_username, *sentinel_password; /* at the sentinels; NULL: none */
        const char *sentinel_password_file;
        const char *tls_ca_file, *tls_cert_file, *tls_key_file, *tls_server_name;
        enum tls_verify tls_verify;
        uint64_t links, max_links, max_pinned_links, pinned_per_ip;
        double dial_rate; /* a second */
        uint64_t connect_timeout, request_timeout, park_timeout, park_limit;
        uint64_t breaker_errors, breaker_probe;
        enum read_from read_from;
        const char *announce; /* host:port; NULL: the address a client came to */
        struct text_list share_channels;
    } backend;

    struct {
        enum scripts_mode mode;
        const char *username, *password;
        const char *password_file;            /* where the password was read from */
        struct text_list allow_files, bodies; /* bodies: what the files hold */
        struct text_list allow_sha1;          /* 40 hex digits each, lower case */
        enum undeclared_keys undeclared_keys;
        uint64_t max_scripts, max_script_size;
        bool kill;
    } scripts;

    struct {
        uint64_t poll, stream_poll; /* milliseconds */
        enum guard_mode guard;
        uint64_t memory_limit, aof_limit; /* bytes; 0: as the node says, none */
        uint64_t high, critical, resume;  /* percent */
        uint64_t aof_rewrite_at;          /* percent; 0: never */
        struct text_list shed_first, protect;
        const char *volume_path; /* NULL: not mounted here */
    } pressure;

    size_t queue_count;
    struct config_queue *queues;
    size_t user_count;
    struct config_user *users;
    size_t rule_count;
    struct config_rule *rules; /* in file order */
};

/* Mistakes and warnings, collected so that one run shows all of them. */
struct problems {
    struct buf text; /* "FILE:LINE: text\n" each; warnings as "FILE:LINE: warning: text\n" */
    size_t errors, warnings;
};
void problem_error(struct problems *problems, struct where where, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
void problem_warning(struct problems *problems, struct where where, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
void problems_free(struct problems *problems);

/* What the command line says over the file; all may be NULL. */
struct config_overrides {
    const char *listen;  /* --listen: replaces the file's listen lines */
    const char *backend; /* --backend or RESPGATE_BACKEND: replaces [backend] url */
};

/* Only this machine can reach it: loopback, or a unix socket. */
bool listen_is_local(const struct listen_address *address);

/* Reads and checks a file whole. path NULL: the built-in configuration, which is the shipped
 * conf/respgate.conf. NULL when there was an error; problems tells all of them. Does not open
 * sockets or certificates; does read password files. */
struct config *config_load(const char *path, const struct config_overrides *overrides,
                           struct problems *problems);
/* The same, but returned also when there were mistakes: only for finding those of the rules too, so
 * that one run shows them all. */
struct config *config_load_all(const char *path, const struct config_overrides *overrides,
                               struct problems *problems);
struct config *config_hold(struct config *config); /* one more owner */
void config_free(struct config *config);           /* the last owner's frees */
/* A rule switched by hand, until the next reload. */
struct rule_switch {
    char name[48];
    enum rule_mode mode;
    uint64_t until; /* loop ms; 0: no end */
};
/* The same configuration with the modes of some rules changed; keeps `config` alive. A name that is
 * no rule's is passed over. */
struct config *config_with_modes(struct config *config, const struct rule_switch *switches,
                                 size_t count);
const char *rule_mode_name(enum rule_mode mode);
/* The text of the built-in configuration (conf/respgate.conf as it was at build time). */
struct str config_builtin(void);
/* The configuration in force as a file that loads to the same; secrets shown as "(hidden)". */
void config_print(const struct config *config, struct buf *out);
/* The option reference, Markdown: generated into conf/README.md and checked there by a test. */
void config_reference(struct buf *out);
/* Compares what cannot change at run time (rows marked RESTART): each difference is an error
 * that names the option. */
void config_check_reload(const struct config *old, const struct config *new,
                         struct problems *problems);

/* Whether [backend] differs in where it is or how it is reached (rows marked MOVES): the new one
 * has to be moved to. */
bool config_moves(const struct config *old, const struct config *new);

/* What differs but for the rules, a line each; never a secret. */
void config_changes(const struct config *old, const struct config *new, struct buf *out);

/* Value syntax shared with the console: "64kb" to bytes, "10s" to milliseconds. */
bool config_parse_size(struct str text, uint64_t *bytes);
bool config_parse_duration(struct str text, uint64_t *ms);
/* The closest of the words (NULL ends them) when it is close enough for a typo, or NULL. */
const char *word_nearest(const char *const *words, struct str text);

#endif
