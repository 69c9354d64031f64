/* listener.c - sockets that accept. accept(2) by hand rather than uv_listen, because the accepted
 * descriptor goes to another thread's loop, and because pausing leaves newcomers in the backlog. */
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "respgate/net.h"

/* Newcomers taken at one go, so that a storm of them leaves room for everything else. */
enum { ACCEPT_STEP = 64, BACKLOG = 4096 };

struct listener {
    uv_poll_t poll;
    struct listen_address address; /* strings copied */
    int fd;
    bool paused;
    uint64_t log_at; /* loop ms before which failures are not logged again */
    listener_accept *accept;
    void *owner;
};

/* No more descriptors, most likely: those that wait stay in the backlog until the owner opens the
 * listener again; trying at once would only fail again. */
static void listener_failed(struct listener *listener, const char *reason)
{
    uint64_t now = uv_now(listener->poll.loop);
    if (now >= listener->log_at) {
        listener->log_at = now + 1000;
        log_error(NULL, "accept on %s: %s (LimitNOFILE?)", listener->address.text, reason);
    }
    listener_pause(listener, true);
}

static void listener_event(uv_poll_t *handle, int status, int events)
{
    struct listener *listener = handle->data;
    (void)status;
    (void)events;
    for (int i = 0; i < ACCEPT_STEP && !listener->paused; i++) {
        int fd = accept4(listener->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd < 0) {
            if (errno != EAGAIN && errno != EINTR && errno != ECONNABORTED)
                listener_failed(listener, strerror(errno));
            return;
        }
        listener->accept(listener->owner, listener, fd);
    }
}

static int socket_listen(int family, const struct sockaddr *addr, socklen_t len, bool private)
{
    int on = 1;
    int fd = socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -1;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    if (family == AF_INET6) /* "::" must not take the IPv4 port of another listener */
        setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on));
    if (private) /* before bind, so that there is no moment in which others get in (unix(7)) */
        fchmod(fd, 0600);
    if (bind(fd, addr, len) == 0 && listen(fd, BACKLOG) == 0)
        return fd;
    int saved = errno;
    close(fd);
    errno = saved;
    return -1;
}

/* A socket file that nobody listens on is left over from a killed process: it is removed. One in
 * use stays, and bind says so. */
static void unix_remove_stale(const struct sockaddr_un *addr)
{
    struct stat st;
    if (lstat(addr->sun_path, &st) != 0 || !S_ISSOCK(st.st_mode))
        return;
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return;
    if (connect(fd, (const struct sockaddr *)addr, sizeof(*addr)) != 0 && errno == ECONNREFUSED)
        unlink(addr->sun_path);
    close(fd);
}

static int listen_unix(const struct listen_address *address, const char **reason)
{
    struct sockaddr_un addr = {.sun_family = AF_UNIX};
    if (strlen(address->host) >= sizeof(addr.sun_path)) {
        *reason = "path is too long";
        return -1;
    }
    strcpy(addr.sun_path, address->host);
    unix_remove_stale(&addr);
    int fd = socket_listen(AF_UNIX, (struct sockaddr *)&addr, sizeof(addr), address->private);
    if (fd < 0)
        *reason = strerror(errno);
    return fd;
}

static int listen_tcp(const struct listen_address *address, const char **reason)
{
    char port[8];
    struct addrinfo *found = NULL;
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE};
    snprintf(port, sizeof(port), "%u", address->port);
    int error = getaddrinfo(address->host, port, &hints, &found);
    if (error) {
        *reason = gai_strerror(error);
        return -1;
    }
    int fd = socket_listen(found->ai_family, found->ai_addr, found->ai_addrlen, false);
    if (fd < 0)
        *reason = strerror(errno);
    freeaddrinfo(found);
    return fd;
}

struct listener *listener_new(struct loop *loop, const struct listen_address *address,
                              listener_accept *accept, void *owner, char error[256])
{
    const char *reason = "";
    int fd =
        address->kind == LISTEN_UNIX ? listen_unix(address, &reason) : listen_tcp(address, &reason);
    if (fd < 0) {
        snprintf(error, 256, "cannot listen on %s: %s", address->text, reason);
        return NULL;
    }
    struct listener *listener = xcalloc(1, sizeof(*listener));
    listener->address = *address;
    listener->address.host = xstrdup(address->host);
    listener->address.text = xstrdup(address->text);
    listener->fd = fd;
    listener->accept = accept;
    listener->owner = owner;
    if (uv_poll_init(&loop->uv, &listener->poll, fd) != 0)
        die("cannot watch a listening socket");
    listener->poll.data = listener;
    uv_poll_start(&listener->poll, UV_READABLE, listener_event);
    return listener;
}

const struct listen_address *listener_address(const struct listener *listener)
{
    return &listener->address;
}

void listener_pause(struct listener *listener, bool paused)
{
    if (listener->paused == paused)
        return;
    listener->paused = paused;
    if (paused)
        uv_poll_stop(&listener->poll);
    else
        uv_poll_start(&listener->poll, UV_READABLE, listener_event);
}

static void listener_closed(uv_handle_t *handle)
{
    struct listener *listener = handle->data;
    free((char *)(uintptr_t)listener->address.host);
    free((char *)(uintptr_t)listener->address.text);
    free(listener);
}

void listener_close(struct listener *listener)
{
    uv_poll_stop(&listener->poll);
    uv_close((uv_handle_t *)&listener->poll, listener_closed);
    close(listener->fd);
    if (listener->address.kind == LISTEN_UNIX)
        unlink(listener->address.host);
}
