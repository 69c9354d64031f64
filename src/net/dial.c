/* dial.c - making a connection: name look-up, one address after the other, TLS.
 *
 * struct dial is there from conn_dial until the connection is made or given up. A look-up cannot
 * always be cancelled, so it may outlive its conn: it goes when both its timer is closed and no
 * look-up is under way.
 */
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "conn_private.h"

struct dial {
    uv_getaddrinfo_t lookup;
    uv_timer_t
        timer; /* carries a failure out of conn_dial, and the close of a conn without socket */
    struct conn *conn;
    struct addrinfo *addresses, *next;
    struct sockaddr_storage single; /* numeric host or unix path */
    socklen_t single_len;
    struct tls_context *tls;
    char *server_name;
    bool looking_up, released, timer_closed, tell_closed;
    char reason[160];
};

static void dial_free(struct dial *dial)
{
    if (!dial->timer_closed || dial->looking_up)
        return;
    if (dial->addresses)
        uv_freeaddrinfo(dial->addresses);
    tls_context_drop(dial->tls);
    free(dial->server_name);
    free(dial);
}

static void dial_timer_closed(uv_handle_t *handle)
{
    struct dial *dial = handle->data;
    dial->timer_closed = true;
    if (dial->tell_closed)
        dial->conn->ops->closed(dial->conn);
    dial_free(dial);
}

void dial_release(struct conn *conn)
{
    struct dial *dial = conn->dial;
    conn->dial = NULL;
    dial->released = true;
    if (dial->looking_up)
        uv_cancel((uv_req_t *)&dial->lookup);
    uv_close((uv_handle_t *)&dial->timer, dial_timer_closed);
}

void dial_cancel(struct conn *conn)
{
    conn->dial->tell_closed = true;
    dial_release(conn);
}

static void dial_failed(uv_timer_t *timer)
{
    struct dial *dial = timer->data;
    conn_end(dial->conn, dial->reason, false);
}

/* Never from within conn_dial: the caller is not ready for an answer yet. */
static void dial_fail_later(struct dial *dial)
{
    uv_timer_start(&dial->timer, dial_failed, 0, 0);
}

/* Starts a connect to the next address that lets itself be tried; false when none is left. */
static int dial_socket(struct dial *dial)
{
    for (;;) {
        struct sockaddr *addr = NULL;
        socklen_t len = 0;
        if (dial->single_len) {
            addr = (struct sockaddr *)&dial->single;
            len = dial->single_len;
            dial->single_len = 0;
        } else if (dial->next) {
            addr = dial->next->ai_addr;
            len = dial->next->ai_addrlen;
            dial->next = dial->next->ai_next;
        } else {
            return -1;
        }
        int fd = socket(addr->sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        if (fd >= 0 && (connect(fd, addr, len) == 0 || errno == EINPROGRESS))
            return fd;
        snprintf(dial->reason, sizeof(dial->reason), "connect: %s", strerror(errno));
        if (fd >= 0)
            close(fd);
    }
}

void dial_connected(struct conn *conn)
{
    struct dial *dial = conn->dial;
    int error = 0;
    socklen_t len = sizeof(error);
    if (getsockopt(conn->fd, SOL_SOCKET, SO_ERROR, &error, &len) != 0)
        error = errno;
    if (error) {
        snprintf(dial->reason, sizeof(dial->reason), "connect: %s", strerror(error));
        int fd = dial_socket(dial);
        if (fd < 0)
            conn_end(conn, dial->reason, false);
        else
            conn_rewatch(conn, fd);
        return;
    }
    if (dial->tls)
        conn->tls = tls_session_new(dial->tls, conn->fd, dial->server_name);
    dial_release(conn);
    conn_connected(conn);
}

static void dial_resolved(uv_getaddrinfo_t *lookup, int status, struct addrinfo *addresses)
{
    struct dial *dial = lookup->data;
    dial->looking_up = false;
    dial->addresses = dial->next = addresses;
    if (dial->released) {
        dial_free(dial);
        return;
    }
    int fd = -1;
    if (status != 0)
        snprintf(dial->reason, sizeof(dial->reason), "name look-up: %s", uv_strerror(status));
    else
        fd = dial_socket(dial);
    if (fd < 0)
        conn_end(dial->conn, dial->reason, false);
    else
        conn_attach(dial->conn, fd, CONN_CONNECTING);
}

static bool dial_numeric(struct dial *dial, const struct dial_target *target)
{
    struct sockaddr_un *un = (struct sockaddr_un *)&dial->single;
    if (!target->host) {
        un->sun_family = AF_UNIX;
        snprintf(un->sun_path, sizeof(un->sun_path), "%s", target->path);
        dial->single_len = sizeof(*un);
    } else if (uv_ip4_addr(target->host, target->port, (struct sockaddr_in *)un) == 0) {
        dial->single_len = sizeof(struct sockaddr_in);
    } else if (uv_ip6_addr(target->host, target->port, (struct sockaddr_in6 *)un) == 0) {
        dial->single_len = sizeof(struct sockaddr_in6);
    }
    return dial->single_len > 0;
}

static void dial_lookup(struct dial *dial, const struct dial_target *target)
{
    char port[8];
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_ADDRCONFIG};
    snprintf(port, sizeof(port), "%u", target->port);
    dial->lookup.data = dial;
    dial->looking_up = true;
    int error = uv_getaddrinfo(&dial->conn->loop->uv, &dial->lookup, dial_resolved, target->host,
                               port, &hints);
    if (error) {
        dial->looking_up = false;
        snprintf(dial->reason, sizeof(dial->reason), "name look-up: %s", uv_strerror(error));
        dial_fail_later(dial);
    }
}

void conn_dial(struct conn *conn, struct loop *loop, const struct conn_ops *ops,
               const struct dial_target *target)
{
    struct dial *dial = xcalloc(1, sizeof(*dial));
    const char *name = target->server_name ? target->server_name : target->host;
    conn_setup(conn, loop, ops);
    conn->dial = dial;
    conn->state = CONN_RESOLVING;
    dial->conn = conn;
    dial->tls = target->tls ? tls_context_hold(target->tls) : NULL;
    dial->server_name = name ? xstrdup(name) : NULL;
    uv_timer_init(&loop->uv, &dial->timer);
    dial->timer.data = dial;
    if (!dial_numeric(dial, target)) {
        dial_lookup(dial, target);
        return;
    }
    int fd = dial_socket(dial);
    if (fd < 0)
        dial_fail_later(dial);
    else
        conn_attach(conn, fd, CONN_CONNECTING);
}
