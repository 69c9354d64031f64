/* conn.c - one socket: reading, writing once a turn, TLS, closing.
 *
 *   RESOLVING -> CONNECTING -> HANDSHAKE -> OPEN -> CLOSING -> ops->closed
 *   (accepted sockets begin at HANDSHAKE or OPEN; only conn_close leads to CLOSING)
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "conn_private.h"
#include "respgate/net.h"

/* One writev a step; more steps only while the kernel takes everything. A socket that keeps
 * taking gives way to the others after WRITE_STEPS. */
enum { IOV_MAX_STEP = 256, WRITE_STEPS = 16, TLS_RECORD = 16 * 1024 };

static void conn_event(uv_poll_t *handle, int status, int events);

/* Asks uv_poll for what is needed now, and only when that changed: each change is a system call. */
static void conn_watch(struct conn *conn)
{
    int events = 0;
    if (conn->state == CONN_CLOSING)
        return;
    if (conn->state == CONN_CONNECTING || conn->blocked)
        events |= UV_WRITABLE;
    if (conn->state >= CONN_HANDSHAKE && !conn->paused && !conn->eof)
        events |= UV_READABLE;
    if (conn->paused && !conn->eof)
        events |= UV_DISCONNECT; /* a client that leaves while it blocks must be noticed */
    if (conn->state == CONN_HANDSHAKE && !conn->blocked)
        events = UV_READABLE;
    if (events == conn->events)
        return;
    conn->events = (uint8_t)events;
    if (events)
        uv_poll_start(&conn->poll, events, conn_event);
    else
        uv_poll_stop(&conn->poll);
}

void conn_end(struct conn *conn, const char *reason, bool clean)
{
    if (conn->state == CONN_CLOSING)
        return;
    if (clean) { /* the owner may still have something to say */
        conn->eof = true;
        conn_watch(conn);
    }
    conn->ops->ended(conn, reason, clean);
    ASSERT(conn->state == CONN_CLOSING || conn->eof);
}

void conn_setup(struct conn *conn, struct loop *loop, const struct conn_ops *ops)
{
    memset(conn, 0, sizeof(*conn));
    conn->loop = loop;
    conn->ops = ops;
    conn->fd = -1;
    list_init(&conn->flush);
    list_init(&conn->again);
}

void conn_attach(struct conn *conn, int fd, enum conn_state state)
{
    conn->fd = fd;
    conn->state = (uint8_t)state;
    if (uv_poll_init(&conn->loop->uv, &conn->poll, fd) != 0)
        die("cannot watch a socket");
    conn->poll.data = conn;
    conn_watch(conn);
}

/* The next address of a dial: dup3 keeps the number libuv knows the socket by. */
void conn_rewatch(struct conn *conn, int fd)
{
    uv_poll_stop(&conn->poll);
    dup3(fd, conn->fd, O_CLOEXEC);
    close(fd);
    conn->events = 0;
    conn_watch(conn);
}

static void socket_options(int fd)
{
    int on = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)); /* fails on unix: no matter */
    setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
}

/* A backend that is cut off answers neither data nor probes: the kernel gives up after this. */
static void dialed_options(int fd)
{
    unsigned user_timeout = 10 * 1000;
    int idle = 10, interval = 5, count = 3;
    setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &user_timeout, sizeof(user_timeout));
    setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle, sizeof(idle));
    setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &interval, sizeof(interval));
    setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &count, sizeof(count));
}

void conn_connected(struct conn *conn)
{
    socket_options(conn->fd);
    dialed_options(conn->fd);
    conn->state = conn->tls ? CONN_HANDSHAKE : CONN_OPEN;
    if (conn->tls) {
        conn->blocked = true; /* the client speaks first: the handshake starts when writable */
        conn_watch(conn);
    } else {
        conn_watch(conn);
        conn->ops->opened(conn);
    }
}

void conn_accept(struct conn *conn, struct loop *loop, const struct conn_ops *ops, int fd,
                 struct tls_context *tls)
{
    conn_setup(conn, loop, ops);
    socket_options(fd);
    if (tls)
        conn->tls = tls_session_new(tls, fd, NULL);
    conn_attach(conn, fd, tls ? CONN_HANDSHAKE : CONN_OPEN);
}

void conn_start_tls(struct conn *conn, struct tls_context *tls)
{
    conn->tls = tls_session_new(tls, conn->fd, NULL);
    conn->state = CONN_HANDSHAKE;
    conn_watch(conn);
}

static void conn_handshake(struct conn *conn)
{
    switch (tls_handshake(conn->tls)) {
    case TLS_DONE:
        conn->state = CONN_OPEN;
        conn->blocked = conn->out.bytes > 0;
        conn_watch(conn);
        conn->ops->opened(conn);
        if (conn->state == CONN_OPEN) /* the first records may have come with the handshake */
            conn->ops->readable(conn);
        return;
    case TLS_WANT_READ:
        conn->blocked = false;
        conn_watch(conn);
        return;
    case TLS_WANT_WRITE:
        conn->blocked = true;
        conn_watch(conn);
        return;
    case TLS_CLOSED: conn_end(conn, "connection closed in TLS handshake", false); return;
    case TLS_FAILED: conn_end(conn, tls_session_error(conn->tls), false); return;
    }
}

static int socket_error(int fd)
{
    int error = 0;
    socklen_t len = sizeof(error);
    return getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len) == 0 ? error : errno;
}

static void conn_event(uv_poll_t *handle, int status, int events)
{
    struct conn *conn = handle->data;
    if (conn->state == CONN_CLOSING)
        return;
    if (conn->state == CONN_CONNECTING) {
        dial_connected(conn);
        return;
    }
    if (conn->state == CONN_HANDSHAKE) {
        conn_handshake(conn);
        return;
    }
    if (status < 0) { /* POLLERR: libuv has stopped watching */
        int error = socket_error(conn->fd);
        conn->events = 0;
        if (error || conn->eof) {
            conn_end(conn, strerror(error ? error : ECONNRESET), false);
            return;
        }
        events = UV_READABLE;
    }
    if ((events & UV_WRITABLE) || (conn->tls_cross && conn->blocked)) {
        conn->tls_cross = false;
        conn_flush(conn);
        if (conn->state == CONN_OPEN && !conn->blocked)
            conn->ops->written(conn);
    }
    if ((events & (UV_READABLE | UV_DISCONNECT)) && conn->state == CONN_OPEN)
        conn->ops->readable(conn);
    if (status < 0)
        conn_watch(conn); /* an owner that did not read now is asked again */
}

static ssize_t conn_read_tls(struct conn *conn, char *ptr, size_t len)
{
    size_t total = 0;
    while (total < len && (total == 0 || tls_readable(conn->tls))) {
        size_t count = 0;
        switch (tls_read(conn->tls, ptr + total, len - total, &count)) {
        case TLS_DONE: total += count; continue;
        case TLS_WANT_READ: return (ssize_t)total;
        case TLS_WANT_WRITE:
            conn->blocked = true;
            conn_watch(conn);
            return (ssize_t)total;
        case TLS_CLOSED:
            if (total) { /* deliver first; the next read finds the end again */
                conn_again(conn);
                return (ssize_t)total;
            }
            conn_end(conn, "connection closed by peer", true);
            return -1;
        case TLS_FAILED: conn_end(conn, tls_session_error(conn->tls), false); return -1;
        }
    }
    if (tls_readable(conn->tls))
        conn_again(conn); /* decrypted already: the socket will not tell of it */
    return (ssize_t)total;
}

ssize_t conn_read(struct conn *conn, char *ptr, size_t len)
{
    if (conn->eof)
        return 0;
    if (conn->tls)
        return conn_read_tls(conn, ptr, len);
    ssize_t count;
    do
        count = recv(conn->fd, ptr, len, 0);
    while (count < 0 && errno == EINTR);
    if (count > 0)
        return count;
    if (count < 0 && errno == EAGAIN)
        return 0;
    conn_end(conn, count == 0 ? "connection closed by peer" : strerror(errno), count == 0);
    return -1;
}

static void conn_want_flush(struct conn *conn)
{
    if (!conn->blocked && list_empty(&conn->flush))
        list_append(&conn->loop->flush, &conn->flush);
}

void conn_write(struct conn *conn, struct span span)
{
    if (conn->state == CONN_CLOSING) {
        span_drop(&span);
        return;
    }
    spans_push(&conn->out, span);
    conn_want_flush(conn);
}

void conn_write_copy(struct conn *conn, const char *ptr, size_t len)
{
    if (conn->state == CONN_CLOSING)
        return;
    spans_push_copy(&conn->out, ptr, len);
    conn_want_flush(conn);
}

void conn_write_all(struct conn *conn, struct spans *spans)
{
    if (conn->state == CONN_CLOSING) {
        spans_clear(spans);
        return;
    }
    spans_move(&conn->out, spans);
    conn_want_flush(conn);
}

/* One writev. Returns bytes taken, 0 when the kernel is full, -1 on error. */
static ssize_t write_plain(struct conn *conn)
{
    struct iovec iov[IOV_MAX_STEP];
    int count = 0;
    for (struct span_node *node = conn->out.head; node && count < IOV_MAX_STEP; node = node->next)
        iov[count++] = (struct iovec){(void *)(uintptr_t)node->span.ptr, node->span.len};
    ssize_t done;
    do
        done = count == 1 ? send(conn->fd, iov[0].iov_base, iov[0].iov_len, MSG_NOSIGNAL)
                          : writev(conn->fd, iov, count);
    while (done < 0 && errno == EINTR);
    return done < 0 && errno == EAGAIN ? 0 : done;
}

/* One record: short spans are gathered first, for a record of forty bytes costs as much as one of
 * sixteen thousand. */
static ssize_t write_tls(struct conn *conn)
{
    char record[TLS_RECORD];
    struct span_node *node = conn->out.head;
    const char *ptr = node->span.ptr;
    size_t len = node->span.len, count = 0;
    if (len < TLS_RECORD && node->next) {
        for (len = 0; node && len < TLS_RECORD; node = node->next) {
            size_t part = node->span.len < TLS_RECORD - len ? node->span.len : TLS_RECORD - len;
            memcpy(record + len, node->span.ptr, part);
            len += part;
        }
        ptr = record;
    }
    switch (tls_write(conn->tls, ptr, len, &count)) {
    case TLS_DONE: return (ssize_t)count;
    case TLS_WANT_READ: conn->tls_cross = true; return 0;
    case TLS_WANT_WRITE: return 0;
    case TLS_CLOSED:
    case TLS_FAILED: return -1;
    }
    return -1;
}

void conn_flush(struct conn *conn)
{
    if (conn->state != CONN_OPEN)
        return;
    conn->blocked = false;
    for (int step = 0; conn->out.bytes; step++) {
        if (step == WRITE_STEPS) {
            conn->blocked = true; /* still writable: the next poll comes back here */
            break;
        }
        ssize_t done = conn->tls ? write_tls(conn) : write_plain(conn);
        if (done < 0) {
            conn_end(conn, conn->tls ? tls_session_error(conn->tls) : strerror(errno), false);
            return;
        }
        if (done == 0) {
            conn->blocked = true;
            spans_compact(&conn->out); /* may wait long: must not hold on to whole read buffers */
            break;
        }
        conn->written += (uint64_t)done;
        spans_consume(&conn->out, (size_t)done);
    }
    conn_watch(conn);
    if (conn->finishing && !conn->out.bytes)
        conn->ops->finished(conn);
}

void conn_finish(struct conn *conn)
{
    conn->finishing = true;
    conn_want_flush(conn);
}

void conn_pause(struct conn *conn, bool paused)
{
    if (conn->paused == paused)
        return;
    conn->paused = paused;
    conn_watch(conn);
}

void conn_again(struct conn *conn)
{
    if (list_empty(&conn->again) && conn->state != CONN_CLOSING)
        loop_again(conn->loop, conn);
}

static void conn_closed(uv_handle_t *handle)
{
    struct conn *conn = handle->data;
    conn->ops->closed(conn);
}

void conn_close(struct conn *conn)
{
    if (conn->state == CONN_CLOSING)
        return;
    if (conn->tls) {
        if (conn->state == CONN_OPEN)
            tls_shutdown(conn->tls);
        tls_session_free(conn->tls);
        conn->tls = NULL;
    }
    conn->state = CONN_CLOSING;
    list_remove(&conn->flush);
    list_remove(&conn->again);
    spans_clear(&conn->out);
    if (conn->fd < 0) {
        dial_cancel(conn); /* no handle of its own yet: the dial's calls ops->closed */
        return;
    }
    if (conn->dial)
        dial_release(conn);
    uv_poll_stop(&conn->poll);
    uv_close((uv_handle_t *)&conn->poll, conn_closed);
    close(conn->fd);
    conn->fd = -1;
}

void conn_name(int fd, bool own, char out[64])
{
    struct sockaddr_storage storage;
    socklen_t len = sizeof(storage);
    char host[INET6_ADDRSTRLEN] = "";
    struct sockaddr *addr = (struct sockaddr *)&storage;
    int got = own ? getsockname(fd, addr, &len) : getpeername(fd, addr, &len);
    if (got != 0 || (addr->sa_family != AF_INET && addr->sa_family != AF_INET6)) {
        snprintf(out, 64, "unix");
    } else if (addr->sa_family == AF_INET) {
        struct sockaddr_in *in = (struct sockaddr_in *)&storage;
        inet_ntop(AF_INET, &in->sin_addr, host, sizeof(host));
        snprintf(out, 64, "%s:%u", host, ntohs(in->sin_port));
    } else {
        struct sockaddr_in6 *in = (struct sockaddr_in6 *)&storage;
        inet_ntop(AF_INET6, &in->sin6_addr, host, sizeof(host));
        snprintf(out, 64, "[%s]:%u", host, ntohs(in->sin6_port));
    }
}

struct address conn_peer(int fd)
{
    struct sockaddr_storage storage;
    socklen_t len = sizeof(storage);
    struct address address = {0};
    if (getpeername(fd, (struct sockaddr *)&storage, &len) != 0)
        return address;
    if (storage.ss_family == AF_INET) {
        struct sockaddr_in *in = (struct sockaddr_in *)&storage;
        memcpy(address.ip, &in->sin_addr, 4);
        address.port = ntohs(in->sin_port);
    } else if (storage.ss_family == AF_INET6) {
        struct sockaddr_in6 *in = (struct sockaddr_in6 *)&storage;
        address.is_ipv6 = !IN6_IS_ADDR_V4MAPPED(&in->sin6_addr);
        memcpy(address.ip, in->sin6_addr.s6_addr + (address.is_ipv6 ? 0 : 12),
               address.is_ipv6 ? 16 : 4);
        address.port = ntohs(in->sin6_port);
    } else {
        address.is_unix = true;
    }
    return address;
}
