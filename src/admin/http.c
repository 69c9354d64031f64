/* http.c - the HTTP door: libmicrohttpd on the main loop.
 *
 *   listener --fd--> MHD --its epoll set, watched--> MHD_run --> http_handle --> route_run
 *                                                                  | suspended while a report
 *                                                                  v goes round the workers
 */
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "http.h"

enum {
    CONNECTIONS_MAX = 64,
    HEAD_MAX = 16 * 1024, /* a request line and its headers, in MHD's own memory */
    IDLE_SECONDS = 20,    /* nothing moves, in either direction */
    HEAD_MS = 5 * 1000,   /* from connecting, or the last answer, to the end of a head */
};

/* One connection: MHD's own timeout begins anew with every byte, which one byte a second evades. */
struct visitor {
    struct list entry;
    int fd;
    bool greeted;   /* has had an answer */
    uint64_t since; /* loop ms; 0: a request is under way */
};

struct http {
    struct admin *admin;
    struct MHD_Daemon *daemon;
    struct watch *watch;
    struct list visitors;
    unsigned visitor_count;
    struct list asleep; /* exchanges */
};

void exchange_sleep(struct exchange *exchange)
{
    list_append(&exchange->admin->http->asleep, &exchange->entry);
    MHD_suspend_connection(exchange->connection);
}

void exchange_wake(struct exchange *exchange)
{
    list_remove(&exchange->entry);
    MHD_resume_connection(exchange->connection);
}

static struct visitor *visitor_of(struct MHD_Connection *connection)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
    return info ? info->socket_context : NULL;
}

static void http_connection(void *context, struct MHD_Connection *connection, void **slot,
                            enum MHD_ConnectionNotificationCode code)
{
    struct http *http = context;
    struct visitor *visitor = *slot;
    switch (code) {
    case MHD_CONNECTION_NOTIFY_STARTED:
        visitor = xcalloc(1, sizeof(*visitor));
        visitor->fd =
            MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD)->connect_fd;
        visitor->since = loop_now(&http->admin->proxy->loop);
        list_append(&http->visitors, &visitor->entry);
        http->visitor_count++;
        *slot = visitor;
        return;
    case MHD_CONNECTION_NOTIFY_CLOSED:
        list_remove(&visitor->entry);
        http->visitor_count--;
        free(visitor);
        return;
    }
}

static void http_completed(void *context, struct MHD_Connection *connection, void **slot,
                           enum MHD_RequestTerminationCode code)
{
    struct http *http = context;
    struct exchange *exchange = *slot;
    struct visitor *visitor = visitor_of(connection);
    (void)code;
    if (visitor) {
        visitor->since = loop_now(&http->admin->proxy->loop);
        visitor->greeted = true;
    }
    if (exchange && exchange->response)
        MHD_destroy_response(exchange->response);
    free(exchange);
    *slot = NULL;
}

/* Called with the head, then with each piece of a body, and again when what it waited for is there.
 * Nothing here takes a body. */
static enum MHD_Result http_handle(void *context, struct MHD_Connection *connection,
                                   const char *url, const char *method, const char *version,
                                   const char *upload, size_t *upload_size, void **slot)
{
    struct http *http = context;
    struct exchange *exchange = *slot;
    (void)version;
    (void)upload;
    (void)upload_size;
    if (!exchange) {
        exchange = xcalloc(1, sizeof(*exchange));
        list_init(&exchange->entry);
        exchange->admin = http->admin;
        exchange->connection = connection;
        *slot = exchange;
        struct visitor *visitor = visitor_of(connection);
        if (visitor)
            visitor->since = 0;
        if (strcmp(method, MHD_HTTP_METHOD_GET) != 0 && strcmp(method, MHD_HTTP_METHOD_HEAD) != 0)
            return http_answer(exchange, MHD_HTTP_METHOD_NOT_ALLOWED, "only GET and HEAD\n");
        return MHD_YES;
    }
    if (!exchange->response)
        return route_run(exchange, url);
    return MHD_queue_response(connection, exchange->status, exchange->response);
}

/* ---- the loop ---- */

static void http_ready(void *owner)
{
    struct http *http = owner;
    MHD_run(http->daemon);
}

/* With the proper status where nothing was said yet. */
static void visitor_expire(struct visitor *visitor)
{
    static const char late[] = "HTTP/1.1 408 Request Timeout\r\nConnection: close\r\n"
                               "Content-Length: 0\r\n\r\n";
    if (!visitor->greeted && send(visitor->fd, late, sizeof(late) - 1, MSG_NOSIGNAL) < 0) {
        /* it is gone already */
    }
    shutdown(visitor->fd, SHUT_RDWR);
    visitor->since = 0;
}

/* Whoever holds connections open without a request keeps no probe out: the one that has waited
 * longest makes room. */
static void make_room(struct http *http)
{
    struct visitor *longest = NULL;
    if (http->visitor_count < CONNECTIONS_MAX)
        return;
    list_each (it, &http->visitors) {
        struct visitor *visitor = CONTAINER(it, struct visitor, entry);
        if (visitor->since && (!longest || visitor->since < longest->since))
            longest = visitor;
    }
    if (!longest)
        return;
    visitor_expire(longest);
    MHD_run(http->daemon);
}

void http_tick(struct http *http)
{
    uint64_t now = loop_now(&http->admin->proxy->loop);
    list_each_safe (it, &http->visitors) {
        struct visitor *visitor = CONTAINER(it, struct visitor, entry);
        if (visitor->since && now > visitor->since + HEAD_MS)
            visitor_expire(visitor);
    }
    MHD_run(http->daemon);
    history_tick(http->admin, now);
}

void http_accept(void *owner, struct listener *listener, int fd)
{
    struct admin *admin = owner;
    struct sockaddr_storage address;
    socklen_t len = sizeof(address);
    (void)listener;
    if (getpeername(fd, (struct sockaddr *)&address, &len) != 0) {
        close(fd);
        return;
    }
    make_room(admin->http);
    /* Beyond the limit MHD closes it. */
    if (MHD_add_connection(admin->http->daemon, fd, (struct sockaddr *)&address, len) == MHD_YES)
        MHD_run(admin->http->daemon);
}

/* MHD's own words, about clients that misbehave most of the time. */
static void http_log(void *context, const char *format, va_list args)
{
    char text[256];
    (void)context;
    if (!log_enabled(LOG_DEBUG))
        return;
    vsnprintf(text, sizeof(text), format, args);
    log_debug(NULL, "http: %.*s", (int)strcspn(text, "\r\n"), text);
}

/* A path is a C string from here on: what stands behind a %00 must not be cut off it. */
static size_t http_unescape(void *context, struct MHD_Connection *connection, char *text)
{
    size_t len = MHD_http_unescape(text);
    (void)context;
    (void)connection;
    for (size_t i = 0; i < len; i++)
        if (!text[i])
            text[i] = 0x7f;
    return len;
}

struct http *http_new(struct admin *admin)
{
    struct http *http = xcalloc(1, sizeof(*http));
    http->admin = admin;
    list_init(&http->visitors);
    list_init(&http->asleep);
    unsigned flags =
        MHD_USE_EPOLL | MHD_USE_NO_LISTEN_SOCKET | MHD_ALLOW_SUSPEND_RESUME | MHD_USE_ERROR_LOG;
    http->daemon =
        MHD_start_daemon(flags, 0, NULL, NULL, http_handle, http, MHD_OPTION_EXTERNAL_LOGGER,
                         http_log, http, MHD_OPTION_UNESCAPE_CALLBACK, http_unescape, NULL,
                         MHD_OPTION_CONNECTION_LIMIT, (unsigned)CONNECTIONS_MAX,
                         MHD_OPTION_CONNECTION_TIMEOUT, (unsigned)IDLE_SECONDS,
                         MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)HEAD_MAX,
                         MHD_OPTION_STRICT_FOR_CLIENT, 1, MHD_OPTION_NOTIFY_CONNECTION,
                         http_connection, http, MHD_OPTION_NOTIFY_COMPLETED, http_completed, http,
                         MHD_OPTION_END);
    if (!http->daemon)
        die("cannot start the HTTP server");
    http->watch = watch_new(&admin->proxy->loop,
                            MHD_get_daemon_info(http->daemon, MHD_DAEMON_INFO_EPOLL_FD)->epoll_fd,
                            http_ready, http);
    return http;
}

void http_close(struct http *http)
{
    watch_close(http->watch);
    while (!list_empty(&http->asleep)) /* MHD does not end while one sleeps */
        exchange_wake(CONTAINER(http->asleep.next, struct exchange, entry));
    MHD_stop_daemon(http->daemon);
    history_free();
    free(http);
}
