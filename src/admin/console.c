/* console.c - connections to the console: RESP in, RESP out, one command at a time. */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "console.h"

enum {
    CONSOLES_MAX = 64,
    REQUEST_MAX = 64 * 1024,
    ARGUMENTS_MAX = 32,
    OUTPUT_MAX = 64 * 1024 * 1024, /* of one that does not read */
    HANDSHAKE_MS = 10 * 1000,      /* TLS, and the password where there is one */
    IDLE_MS = 15 * 60 * 1000,
};

static struct console *console_of(struct conn *conn)
{
    return CONTAINER(conn, struct console, conn);
}

static void console_free(struct console *console)
{
    list_remove(&console->entry);
    parser_free(console->parser);
    buf_free(&console->out);
    free(console);
}

/* ---- answers ---- */

static void console_write(struct console *console)
{
    if (console->out.len)
        conn_write_copy(&console->conn, console->out.ptr, console->out.len);
    buf_free(&console->out);
    if (console->conn.out.bytes > OUTPUT_MAX)
        conn_close(&console->conn);
}

void console_error(struct console *console, const char *format, ...)
{
    char text[1024];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    write_error(&console->out, "%s", text);
}

void console_leave(struct console *console)
{
    console->leaving = true;
}

void console_wait(struct console *console)
{
    console->waiting = true;
    conn_pause(&console->conn, true);
}

bool console_passed(const struct console *console)
{
    uint8_t now[DIGEST_SIZE];
    if (!admin_has_password(console->admin))
        return true;
    admin_credential(console->admin, now);
    return console->passed && digest_equal(now, console->credential, DIGEST_SIZE);
}

/* ---- requests ---- */

static bool console_step(struct console *console)
{
    static const struct request_limits limits = {
        .max_request = REQUEST_MAX,
        .max_bulk = REQUEST_MAX,
        .max_args = ARGUMENTS_MAX,
        .authenticated = true,
    };
    struct request request;
    switch (parser_next(console->parser, &limits, &request)) {
    case REQUEST_MORE: return false;
    case REQUEST_EMPTY: return true;
    case REQUEST_ERROR:
        console_error(console, "ERR %s", parser_error(console->parser));
        console_leave(console);
        console_write(console);
        return false;
    case REQUEST_READY: break;
    }
    console_run(console, request.argv, request.argc);
    span_drop(&request.bytes);
    if (!console->waiting)
        console_write(console);
    return console->conn.state == CONN_OPEN;
}

static void console_turn(struct console *console)
{
    while (!console->waiting && !console->leaving && console_step(console))
        continue;
    if (console->waiting || console->conn.state != CONN_OPEN)
        return;
    if (console->leaving || console->eof)
        conn_finish(&console->conn);
}

void console_answer(struct console *console)
{
    console->waiting = false;
    if (console->gone) {
        console_free(console);
        return;
    }
    console_write(console);
    if (console->conn.state != CONN_OPEN)
        return;
    conn_pause(&console->conn, false);
    console_turn(console);
}

/* ---- the connection ---- */

static void console_opened(struct conn *conn)
{
    (void)conn;
}

static void console_readable(struct conn *conn)
{
    static char room[16 * 1024]; /* main thread only */
    struct console *console = console_of(conn);
    if (console->waiting || console->leaving)
        return;
    ssize_t got = conn_read(conn, room, sizeof(room));
    if (got <= 0)
        return;
    console->active = loop_now(conn->loop);
    parser_feed(console->parser, room, (size_t)got);
    console_turn(console);
}

static void console_ended(struct conn *conn, const char *reason, bool clean)
{
    struct console *console = console_of(conn);
    (void)reason;
    console->eof = true;
    if (!clean)
        conn_close(conn);
    else if (!console->waiting)
        conn_finish(conn);
}

static void console_written(struct conn *conn)
{
    (void)conn;
}

static void console_finished(struct conn *conn)
{
    conn_close(conn);
}

static void console_closed(struct conn *conn)
{
    struct console *console = console_of(conn);
    console->admin->console_count--;
    console->gone = true;
    if (!console->waiting)
        console_free(console);
}

static const struct conn_ops console_ops = {
    .opened = console_opened,
    .readable = console_readable,
    .written = console_written,
    .ended = console_ended,
    .finished = console_finished,
    .closed = console_closed,
};

/* Which one makes room when all are taken: the one that has been silent longest, of those that have
 * shown no password where there is one. NULL: none. */
static struct console *console_least(const struct admin *admin)
{
    struct console *least = NULL;
    list_each (it, &admin->consoles) {
        struct console *console = CONTAINER(it, struct console, entry);
        if (console->gone || console->waiting || console->conn.state == CONN_CLOSING)
            continue;
        if (admin_has_password(admin) && console_passed(console))
            continue;
        if (!least || console->active < least->active)
            least = console;
    }
    return least;
}

void console_accept(void *owner, struct listener *listener, int fd)
{
    static uint64_t seq;
    struct admin *admin = owner;
    const struct snapshot *snapshot = admin->proxy->snapshot;
    bool tls = listener_address(listener)->kind == LISTEN_TLS;
    struct console *least = admin->console_count < CONSOLES_MAX ? NULL : console_least(admin);
    if (least)
        conn_close(&least->conn);
    if (admin->console_count >= CONSOLES_MAX && !least) {
        log_warn(NULL, "console: more than %d connections, one is turned away", CONSOLES_MAX);
        close(fd);
        return;
    }
    struct console *console = xcalloc(1, sizeof(*console));
    char address[64];
    console->admin = admin;
    console->id = ++seq;
    console->resp = 2;
    console->parser = parser_new();
    console->address = conn_peer(fd);
    address_text(&console->address, address);
    snprintf(console->who, sizeof(console->who), "console=%llu addr=%s",
             (unsigned long long)console->id, address);
    console->since = console->active = loop_now(&admin->proxy->loop);
    list_append(&admin->consoles, &console->entry);
    admin->console_count++;
    conn_accept(&console->conn, &admin->proxy->loop, &console_ops, fd,
                tls ? snapshot->listen_tls : NULL);
}

void consoles_tick(struct admin *admin)
{
    uint64_t now = loop_now(&admin->proxy->loop);
    list_each_safe (it, &admin->consoles) {
        struct console *console = CONTAINER(it, struct console, entry);
        if (console->gone)
            continue;
        bool inside = console->conn.state == CONN_OPEN && console_passed(console);
        if (now > console->active + IDLE_MS || (!inside && now > console->since + HANDSHAKE_MS))
            conn_close(&console->conn);
    }
}

void consoles_close(struct admin *admin)
{
    list_each_safe (it, &admin->consoles) {
        struct console *console = CONTAINER(it, struct console, entry);
        console->waiting = false; /* no letter will come any more */
        if (console->gone)
            console_free(console);
        else
            conn_close(&console->conn);
    }
}
