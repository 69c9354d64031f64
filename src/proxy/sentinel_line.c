/* sentinel_line.c - one connection to one sentinel: dialled, logged in, questions and their
 * answers in order, or messages.
 *
 *   opened -> AUTH -> sentinel_opened      bytes -> scan -> tree -> sentinel_answered, ..._message
 */
#include <stdio.h>
#include <stdlib.h>

#include "sentinel.h"

enum {
    ANSWER_MS = 1000,
    REPLY_MAX = 64 * 1024, /* SENTINEL MASTER is below 2 KB */
    QUESTIONS_MAX = 4,
    READ_SIZE = 4096,
};

struct sentinel_line {
    struct conn conn;
    struct sentinel *sentinel;
    bool listens, open;
    uint64_t since; /* loop ms: dialled, or asked */
    enum line_question asked[QUESTIONS_MAX];
    size_t asked_count;
    struct buf in;
    struct scan scan;
    size_t scanned; /* bytes of `in` */
};

static void line_fail(struct sentinel_line *line, const char *reason)
{
    if (line->conn.state == CONN_CLOSING)
        return;
    sentinel_failed(line->sentinel, line, reason);
    sentinel_line_close(line);
}

void sentinel_line_close(struct sentinel_line *line)
{
    conn_close(&line->conn);
}

/* ---- asking ---- */

void sentinel_line_ask(struct sentinel_line *line, enum line_question question)
{
    const struct sentinels *all = line->sentinel->all;
    struct str name = str_of(all->master_name);
    struct str address[] = {STR("SENTINEL"), STR("GET-MASTER-ADDR-BY-NAME"), name};
    struct str state[] = {STR("SENTINEL"), STR("MASTER"), name};
    struct str subscribe[] = {STR("SUBSCRIBE"), STR("+switch-master")};
    struct str login[] = {STR("AUTH"), str_of(all->username ? all->username : ""),
                          str_of(all->password ? all->password : "")};
    struct buf command = {0};
    ASSERT(line->asked_count < QUESTIONS_MAX);
    switch (question) {
    case LINE_ADDRESS: write_command(&command, ARRAY_LEN(address), address); break;
    case LINE_STATE: write_command(&command, ARRAY_LEN(state), state); break;
    case LINE_SUBSCRIBE: write_command(&command, ARRAY_LEN(subscribe), subscribe); break;
    case LINE_LOGIN:
        if (!all->username) /* the password alone */
            login[1] = login[2];
        write_command(&command, all->username ? 3 : 2, login);
        break;
    }
    if (!line->asked_count)
        line->since = loop_now(line->conn.loop);
    line->asked[line->asked_count++] = question;
    conn_write_copy(&line->conn, command.ptr, command.len);
    secret_wipe(command.ptr, command.len);
    buf_free(&command);
}

bool sentinel_line_idle(const struct sentinel_line *line)
{
    return line->open && !line->asked_count;
}

void sentinel_line_tick(struct sentinel_line *line, uint64_t now)
{
    const struct worker *worker = line->sentinel->all->worker;
    if (!line->open && now > line->since + worker->snapshot->config->backend.connect_timeout)
        line_fail(line, "not connected in time (connect-timeout)");
    else if (line->asked_count && now > line->since + ANSWER_MS)
        line_fail(line, "no answer");
}

/* ---- reading ---- */

static void line_tree(struct sentinel_line *line, const struct tree *tree)
{
    char reason[160];
    if (!line->asked_count) {
        if (line->listens)
            sentinel_message(line->sentinel, tree);
        else
            line_fail(line, "sent something nobody asked for");
        return;
    }
    enum line_question question = line->asked[0];
    memmove(line->asked, line->asked + 1, --line->asked_count * sizeof(line->asked[0]));
    bool refused = tree->type == TREE_ERROR;
    if (refused && (question == LINE_LOGIN || question == LINE_SUBSCRIBE)) {
        snprintf(reason, sizeof(reason), "%s is refused: %.*s",
                 question == LINE_LOGIN ? "the login" : "SUBSCRIBE", (int)tree->text.len,
                 tree->text.ptr);
        line_fail(line, reason);
        return;
    }
    sentinel_answered(line->sentinel, question, tree);
}

static void line_frame(struct sentinel_line *line)
{
    struct arena *arena = arena_new();
    const struct tree *tree = tree_parse(arena, line->in.ptr, line->scanned);
    if (tree)
        line_tree(line, tree);
    else
        line_fail(line, "its reply was not understood");
    arena_free(arena);
    memmove(line->in.ptr, line->in.ptr + line->scanned, line->in.len - line->scanned);
    line->in.len -= line->scanned;
    line->scanned = 0;
}

static void line_readable(struct conn *conn)
{
    struct sentinel_line *line = CONTAINER(conn, struct sentinel_line, conn);
    char room[READ_SIZE];
    size_t used;
    ssize_t got = conn_read(conn, room, sizeof(room));
    if (got <= 0)
        return;
    buf_add(&line->in, room, (size_t)got);
    while (line->scanned < line->in.len && conn->state == CONN_OPEN) {
        enum scan_status status = scan_feed(&line->scan, line->in.ptr + line->scanned,
                                            line->in.len - line->scanned, &used);
        line->scanned += used;
        if (status == SCAN_ERROR)
            line_fail(line, "sent something that is not RESP");
        else if (status == SCAN_END)
            line_frame(line);
    }
    if (line->in.len > REPLY_MAX)
        line_fail(line, "its reply is too long");
}

/* ---- life ---- */

static void line_opened(struct conn *conn)
{
    struct sentinel_line *line = CONTAINER(conn, struct sentinel_line, conn);
    line->open = true;
    if (line->sentinel->all->password)
        sentinel_line_ask(line, LINE_LOGIN);
    if (line->listens)
        sentinel_line_ask(line, LINE_SUBSCRIBE);
    sentinel_opened(line->sentinel, line);
}

static void line_ended(struct conn *conn, const char *reason, bool clean)
{
    (void)clean;
    line_fail(CONTAINER(conn, struct sentinel_line, conn), reason);
}

static void line_written(struct conn *conn)
{
    (void)conn;
}

static void line_freed(struct conn *conn)
{
    struct sentinel_line *line = CONTAINER(conn, struct sentinel_line, conn);
    buf_free(&line->in);
    free(line);
}

static const struct conn_ops line_ops = {
    .opened = line_opened,
    .readable = line_readable,
    .written = line_written,
    .ended = line_ended,
    .closed = line_freed,
};

struct sentinel_line *sentinel_dial(struct sentinel *sentinel, bool listens)
{
    const struct sentinels *all = sentinel->all;
    struct sentinel_line *line = xcalloc(1, sizeof(*line));
    struct dial_target target = {
        .host = sentinel->host,
        .port = sentinel->port,
        .tls = all->tls,
        .server_name = all->server_name,
    };
    line->sentinel = sentinel;
    line->listens = listens;
    line->since = loop_now(&all->worker->loop);
    scan_init(&line->scan);
    conn_dial(&line->conn, &all->worker->loop, &line_ops, &target);
    return line;
}
