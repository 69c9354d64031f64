/*
 * net.h - sockets: loop, connections (plain and TLS), listeners, mailbox, name look-up.
 *
 * The only user of libuv and OpenSSL. A connection is one non-blocking socket watched with
 * uv_poll: one read(2) a loop turn keeps turns fair without extra code, OpenSSL works on the
 * socket itself, and an idle connection owns no buffer.
 */
#ifndef RESPGATE_NET_H
#define RESPGATE_NET_H

#include <uv.h>

#include "respgate/base.h"
#include "respgate/config.h" /* struct listen_address */
#include "respgate/policy.h" /* struct address */

/* ---- TLS (tls.c) ---- */

struct tls_context; /* certificates and settings; immutable, refcounted, shared by threads */
struct tls_session; /* one connection's state */

struct tls_settings {
    bool server;
    const char *ca_file, *cert_file,
        *key_file;    /* NULL: not set; client without ca_file: system's */
    bool verify_peer; /* client: check the chain; server: ask for and require a certificate */
    bool verify_name; /* client: the certificate must name the host; implies the chain */
};
/* NULL with a one-line reason in *error (static or arena-free text copied into error). */
struct tls_context *tls_context_new(const struct tls_settings *settings, char error[256]);
struct tls_context *tls_context_hold(struct tls_context *context);
void tls_context_drop(struct tls_context *context);
/* Seconds since 1970 at which the own certificate (or, without one, the CA) expires; 0 unknown. */
int64_t tls_context_expiry(const struct tls_context *context);

/* server_name: SNI and the name to verify (client side; a numeric address is verified as IP and
 * sends no SNI). Resumes the context's last session with that name when there is one. */
struct tls_session *tls_session_new(struct tls_context *context, int fd, const char *server_name);
void tls_session_free(struct tls_session *session);

enum tls_result {
    TLS_DONE, /* handshake finished; or *count bytes moved */
    TLS_WANT_READ,
    TLS_WANT_WRITE,
    TLS_CLOSED, /* the peer said goodbye */
    TLS_FAILED, /* tls_session_error() says why */
};
enum tls_result must_check tls_handshake(struct tls_session *session);
enum tls_result must_check tls_read(struct tls_session *session, char *ptr, size_t len,
                                    size_t *count);
/* After TLS_WANT_WRITE the next call begins with the same bytes and offers no fewer; they may have
 * moved. At most one record (16 KiB) goes out at a time. */
enum tls_result must_check tls_write(struct tls_session *session, const char *ptr, size_t len,
                                     size_t *count);
/* Bytes wait inside OpenSSL, of which the socket will not tell: ask after the handshake and after
 * each read that did not end in TLS_WANT_READ. */
bool tls_readable(const struct tls_session *session);
void tls_shutdown(struct tls_session *session); /* sends close_notify, never waits */
const char *tls_session_error(const struct tls_session *session);
/* Subject of the verified peer certificate, RFC 2253 ("CN=app,O=corp"), and its common name;
 * empty when there is none. Valid as long as the session. */
struct str tls_peer_subject(struct tls_session *session);
struct str tls_peer_common_name(struct tls_session *session);
bool tls_resumed(const struct tls_session *session);

/* ---- digests (digest.c) ---- */

enum { DIGEST_SIZE = 32, SHA1_SIZE = 20 };
/* SHA-256 over the parts in order, each preceded by its length so that no two lists collide. */
void digest_parts(const struct str *parts, size_t count, uint8_t out[DIGEST_SIZE]);
void digest_hex(struct str text, char out[DIGEST_SIZE * 2 + 1]); /* plain SHA-256, lower-case hex */
/* Lower-case hex: how Redis names a script. Guards nothing: two bodies can be made to share one. */
void digest_sha1(struct str text, char out[SHA1_SIZE * 2 + 1]);
bool digest_equal(const void *a, const void *b, size_t len); /* in constant time */
void random_bytes(void *out, size_t len);                    /* fit for secrets */
void secret_wipe(void *ptr, size_t len);                     /* not optimised away */

/* ---- tally (tally.c) ---- */

/* Counts by name, shared by threads. */
struct tally;
struct tally *tally_new(void);
/* One more of `key`, unless there are `limit` already (0: no limit): then false. */
bool must_check tally_add(struct tally *tally, struct str key, uint64_t limit);
void tally_remove(struct tally *tally, struct str key);
int64_t tally_count(struct tally *tally, struct str key);
/* Visits all; visit must not use the tally. */
void tally_each(struct tally *tally, void (*visit)(void *context, struct str key, int64_t count),
                void *context);
void tally_free(struct tally *tally);

/* ---- journal (journal.c, journal_writer.c) ---- */

/* Lines from any thread to one file, written by a thread of its own: who adds one never waits for
 * a disk. Lines wait in a queue of bounded size; beyond it they are lost and counted. */
struct journal;
enum { JOURNAL_LINE_MAX = 16 * 1024 };
struct journal_settings {
    size_t size;    /* of the queue, bytes */
    size_t reserve; /* of it, for urgent lines alone */
    size_t tail;    /* so many last lines are kept to be shown */
    void (*note_lost)(struct buf *out, uint64_t count); /* the line that tells of lost ones */
};
struct journal *journal_new(const struct journal_settings *settings);
/* The file from here on; again with the same name: opens it anew. NULL: none, "-": stderr. Lines
 * added before go to the file before, when it takes them. Whether it can be opened is seen later:
 * the log tells, and it is tried again. From one thread. */
void journal_open(struct journal *journal, const char *path);
/* One line with its newline, at most JOURNAL_LINE_MAX. False: lost, the queue is full. */
bool journal_add(struct journal *journal, struct str line, bool urgent);
/* The last lines, oldest first; a copy. */
void journal_tail(struct journal *journal, size_t count, struct buf *out);
uint64_t journal_lost(struct journal *journal);
/* Writes what waits, for a second at most. */
void journal_free(struct journal *journal);

/* ---- loop (loop.c) ---- */

/* One thread's event loop. A turn: timers, then the poll with all its callbacks, then every
 * connection that was given something to write is written once. */
enum { LOOP_TURNS = 1024 };
struct loop {
    uv_loop_t uv;
    uv_prepare_t prepare;
    uv_check_t check;
    uv_idle_t idle; /* runs only while `again` is not empty: the poll must not wait then */
    uv_async_t wakeup;
    uv_timer_t timer;
    struct list flush; /* connections with bytes to write */
    struct list again; /* connections whose owner asked for another turn */
    uv_mutex_t mail_lock;
    struct list mail;
    void (*tick)(struct loop *loop); /* every LOOP_TICK_MS */
    uv_timer_t alarm;
    void (*alarmed)(struct loop *loop); /* loop_wake */
    uint64_t alarm_at;                  /* loop ms; 0: not set */
    /* Two readings of the clock a turn, and none in a turn that asks for none: what came in a turn
     * had been waiting since it began, and what it wrote left when it ended, which is before the
     * write(2). */
    uint64_t turn_us;               /* when this turn began to serve; 0: nobody has asked yet */
    uint32_t turn;                  /* its number */
    uint32_t turn_ends[LOOP_TURNS]; /* us, the lower 32 bits, of the last turns by number */
    void (*turn_over)(struct loop *loop, uint64_t end_us); /* may be NULL; for timed turns */
};
static inline uint64_t loop_us(struct loop *loop)
{
    if (unlikely(!loop->turn_us))
        loop->turn_us = clock_ns() / 1000;
    return loop->turn_us;
}
/* When that turn ended, the lower 32 bits; too long ago: `otherwise`. */
static inline uint32_t loop_turn_end(const struct loop *loop, uint32_t turn, uint32_t otherwise)
{
    return loop->turn - turn < LOOP_TURNS ? loop->turn_ends[turn % LOOP_TURNS] : otherwise;
}
enum { LOOP_TICK_MS = 50 };

void loop_init(struct loop *loop, void (*tick)(struct loop *loop));
void loop_run(struct loop *loop);                        /* until loop_stop */
void loop_stop(struct loop *loop);                       /* from the loop's own thread */
void loop_free(struct loop *loop);                       /* all handles of owners must be closed */
static inline uint64_t loop_now(const struct loop *loop) /* ms, as of this turn's poll */
{
    return uv_now(&loop->uv);
}

/* Calls loop->alarmed at that moment (loop ms), or earlier when it is set to one. Once. */
void loop_wake(struct loop *loop, uint64_t at);

/* A letter to another thread's loop; the receiver's thread runs it and owns it from then on. */
struct mail {
    struct list node;
    void (*run)(struct loop *loop, struct mail *mail);
};
void loop_post(struct loop *loop, struct mail *mail); /* from any thread, never blocks long */
struct conn;
void loop_again(struct loop *loop, struct conn *conn); /* for conn_again */

/* ---- watch (watch.c) ---- */

/* A readable descriptor of another library (its epoll set): ready is called in each turn in which
 * there is something. The owner closes the descriptor after watch_close. */
struct watch;
struct watch *watch_new(struct loop *loop, int fd, void (*ready)(void *owner), void *owner);
void watch_close(struct watch *watch);

/* ---- conn (conn.c, dial.c) ---- */

enum conn_state {
    CONN_RESOLVING,  /* name look-up under way */
    CONN_CONNECTING, /* waiting for connect(2) */
    CONN_HANDSHAKE,  /* TLS */
    CONN_OPEN,
    CONN_CLOSING, /* close asked for; memory goes in ops->closed */
};

struct conn;
struct conn_ops {
    void (*opened)(struct conn *conn);   /* connected and TLS done */
    void (*readable)(struct conn *conn); /* call conn_read; also called again after conn_again */
    void (*written)(struct conn *conn); /* everything queued has reached the kernel, after a wait */
    /* The peer failed: the owner must conn_close. Or it sends no more (clean): the owner may write
     * on, and closes when it is done. */
    void (*ended)(struct conn *conn, const char *reason, bool clean);
    void (*finished)(
        struct conn *conn);            /* conn_finish: all is written; the owner must conn_close */
    void (*closed)(struct conn *conn); /* last call: the owner frees */
};

struct conn {
    uv_poll_t poll;
    struct loop *loop;
    const struct conn_ops *ops;
    struct tls_session *tls; /* NULL: plain */
    struct dial *dial;       /* only while RESOLVING or CONNECTING */
    struct spans out;        /* not yet taken by the kernel */
    uint64_t written;        /* bytes of `out` ever taken by the kernel */
    struct list flush, again;
    int fd;
    uint8_t state;
    uint8_t events; /* asked of uv_poll at present */
    bool paused;    /* the owner does not want to read */
    bool blocked;   /* the kernel took no more: waiting for writable */
    bool eof;       /* the peer sends no more; writing may go on */
    bool finishing; /* ends when `out` is empty */
    bool tls_cross; /* TLS wants the other direction first (key update) */
};

/* For an accepted socket: takes the fd and, when tls is given, makes the handshake first. */
void conn_accept(struct conn *conn, struct loop *loop, const struct conn_ops *ops, int fd,
                 struct tls_context *tls);

/* Server side, on a connection that is open and plain so far: ops->opened follows. */
void conn_start_tls(struct conn *conn, struct tls_context *tls);

struct dial_target {
    const char *host; /* name or numeric; NULL: unix */
    uint16_t port;
    const char *path;
    struct tls_context *tls; /* NULL: plain */
    const char *server_name; /* for TLS: SNI and verification; NULL: host */
};
/* Starts a connection; ops->opened or ops->ended follows, never from within this call. Names are
 * resolved anew each time. The target's strings must live until then. */
void conn_dial(struct conn *conn, struct loop *loop, const struct conn_ops *ops,
               const struct dial_target *target);

/* Bytes read; 0: nothing now; -1: ended, and ops->ended has been called. At most len, and never
 * more than the kernel has at this moment. */
ssize_t must_check conn_read(struct conn *conn, char *ptr, size_t len);
/* Queues for this turn's flush; takes the reference. */
void conn_write(struct conn *conn, struct span span);
void conn_write_copy(struct conn *conn, const char *ptr, size_t len);
void conn_write_all(struct conn *conn, struct spans *spans); /* spans is empty after */
void conn_pause(struct conn *conn, bool paused);
/* Another ops->readable next turn, whether or not the socket has something. */
void conn_again(struct conn *conn);
/* Ends the connection (ops->finished) once everything queued has reached the kernel. */
void conn_finish(struct conn *conn);
void conn_close(struct conn *conn); /* may be called twice */
/* Tries to hand to the kernel what waits, now: for a last word before conn_close. */
void conn_flush(struct conn *conn);
/* "10.0.0.1:4242" or "unix"; of the peer or of our own end. */
void conn_name(int fd, bool own, char out[64]);
struct address conn_peer(int fd);

/* ---- listener (listener.c) ---- */

struct listener;
/* Called on the listener's loop for each accepted socket. */
typedef void listener_accept(void *owner, struct listener *listener, int fd);
/* NULL with a reason in error: "cannot listen on 127.0.0.1:6380: Address already in use". */
struct listener *listener_new(struct loop *loop, const struct listen_address *address,
                              listener_accept *accept, void *owner, char error[256]);
const struct listen_address *listener_address(const struct listener *listener);
/* While paused the kernel's backlog holds newcomers. */
void listener_pause(struct listener *listener, bool paused);
void listener_close(struct listener *listener); /* frees; a unix socket's file is removed */

/* ---- PROXY protocol (proxy_protocol.c) ---- */

enum proxy_header_status {
    PROXY_HEADER_MORE,  /* call again with more bytes */
    PROXY_HEADER_DONE,  /* *source is the client; *used bytes belong to the header */
    PROXY_HEADER_LOCAL, /* the same, but the socket's own address holds: *source is untouched */
    PROXY_HEADER_BAD,   /* close: nothing behind this can be trusted */
};
enum { PROXY_HEADER_MAX = 1024 }; /* MORE is never said to that many bytes */
/* Versions 1 and 2, told apart by their first bytes. Pure; ptr holds all that came so far. */
enum proxy_header_status must_check proxy_header_parse(const char *ptr, size_t len,
                                                       struct address *source, size_t *used);

#endif
