/* sentinel.h - Redis Sentinel: what sentinel.c and sentinel_line.c tell each other. */
#ifndef RESPGATE_SENTINEL_H
#define RESPGATE_SENTINEL_H

#include "links.h"

enum { SENTINEL_HOST_MAX = 256 };

/* What a sentinel said last. */
struct sentinel_answer {
    bool known; /* the address is one */
    bool down;  /* it takes the master for down */
    uint16_t port;
    int64_t epoch; /* of the configuration it goes by: the highest is the newest */
    char host[SENTINEL_HOST_MAX];
};

struct sentinels;
struct sentinel_line;

/* One of [backend] sentinels. Two connections: in RESP2 one that listens cannot ask. */
struct sentinel {
    struct sentinels *all;
    char *host, *name; /* name: host:port, for the log */
    uint16_t port;
    struct sentinel_line *talk, *listen; /* NULL: none */
    uint64_t retry_at, ask_at;           /* loop ms */
    bool answers;                        /* has answered on this connection */
    bool said_unknown;                   /* that it does not know the master's name */
    struct sentinel_answer answer;
};

/* Worker 0's. Strings are copies: a reload does not touch them. */
struct sentinels {
    struct worker *worker;
    uint32_t side;                                         /* of which backend: worker->side */
    char *master_name, *username, *password, *server_name; /* password NULL: no login */
    struct tls_context *tls;                               /* NULL: plain */
    size_t count;
    struct sentinel *each;
    struct sentinel_answer master; /* the one told to all workers */
    char reason[200];              /* of the last failure */
    uint64_t away_since, down_since;
    bool said_away, said_down;
};

/* sentinel_line.c */
enum line_question { LINE_LOGIN, LINE_ADDRESS, LINE_STATE, LINE_SUBSCRIBE };
struct sentinel_line *sentinel_dial(struct sentinel *sentinel, bool listens);
void sentinel_line_close(struct sentinel_line *line);
/* Gives up a line that takes too long to open or to answer. */
void sentinel_line_tick(struct sentinel_line *line, uint64_t now);
bool sentinel_line_idle(const struct sentinel_line *line); /* open, and all is answered */
void sentinel_line_ask(struct sentinel_line *line, enum line_question question);

/* sentinel.c, called by sentinel_line.c */
void sentinel_opened(struct sentinel *sentinel, struct sentinel_line *line);
void sentinel_answered(struct sentinel *sentinel, enum line_question question,
                       const struct tree *reply);
void sentinel_message(struct sentinel *sentinel, const struct tree *message);
void sentinel_failed(struct sentinel *sentinel, struct sentinel_line *line, const char *reason);

#endif
