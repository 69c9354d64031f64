/* route.c - what is served where, to whom, and in which words. */
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>

#include "http.h"

enum access {
    ACCESS_OPEN,    /* probes */
    ACCESS_METRICS, /* the password when metrics-open is no */
    ACCESS_LOOK,    /* the password where there is one */
};

typedef void route_report(struct exchange *exchange, struct report *report);
static route_report report_metrics, report_ready, report_live, report_table;
static enum MHD_Result serve_page(struct exchange *exchange);
static enum MHD_Result serve_health(struct exchange *exchange);

static const struct route {
    const char *path;
    enum access access;
    enum MHD_Result (*serve)(struct exchange *exchange); /* at once, or */
    route_report *report;                                /* when a report is there */
} routes[] = {
    {"/", ACCESS_LOOK, serve_page, NULL},
    {"/metrics", ACCESS_METRICS, NULL, report_metrics},
    {"/healthz", ACCESS_OPEN, serve_health, NULL},
    {"/readyz", ACCESS_OPEN, NULL, report_ready},
    {"/api/live.json", ACCESS_LOOK, NULL, report_live},
};
static const struct route table_route = {"/api/", ACCESS_LOOK, NULL, report_table};

/* ---- answers ---- */

struct MHD_Response *http_response(struct buf *body, const char *type)
{
    static const char *const headers[][2] = {
        {MHD_HTTP_HEADER_CACHE_CONTROL, "no-store"},
        {"X-Content-Type-Options", "nosniff"},
        {"X-Frame-Options", "DENY"},
        {"Referrer-Policy", "no-referrer"},
        {"Cross-Origin-Resource-Policy", "same-origin"},
        {"Cross-Origin-Opener-Policy", "same-origin"},
    };
    struct MHD_Response *response =
        MHD_create_response_from_buffer(body->len, body->ptr, MHD_RESPMEM_MUST_FREE);
    *body = (struct buf){0};
    if (!response)
        die("cannot make an HTTP response");
    MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, type);
    for (size_t i = 0; i < ARRAY_LEN(headers); i++)
        MHD_add_response_header(response, headers[i][0], headers[i][1]);
    return response;
}

enum MHD_Result http_answer(struct exchange *exchange, unsigned status, const char *text)
{
    struct buf body = {0};
    buf_text(&body, text);
    struct MHD_Response *response = http_response(&body, "text/plain; charset=utf-8");
    if (status == MHD_HTTP_METHOD_NOT_ALLOWED)
        MHD_add_response_header(response, MHD_HTTP_HEADER_ALLOW, "GET, HEAD");
    if (status == MHD_HTTP_UNAUTHORIZED)
        MHD_add_response_header(response, MHD_HTTP_HEADER_WWW_AUTHENTICATE,
                                "Basic realm=\"respgate\", charset=\"UTF-8\"");
    if (status == MHD_HTTP_TOO_MANY_REQUESTS)
        MHD_add_response_header(response, MHD_HTTP_HEADER_RETRY_AFTER, "1");
    enum MHD_Result result = MHD_queue_response(exchange->connection, status, response);
    MHD_destroy_response(response);
    return result;
}

static enum MHD_Result serve_page(struct exchange *exchange)
{
    struct buf body = {0};
    buf_add(&body, page_text, page_len);
    struct MHD_Response *response = http_response(&body, "text/html; charset=utf-8");
    MHD_add_response_header(response, "Content-Security-Policy", page_policy);
    enum MHD_Result result = MHD_queue_response(exchange->connection, MHD_HTTP_OK, response);
    MHD_destroy_response(response);
    return result;
}

static enum MHD_Result serve_health(struct exchange *exchange)
{
    return http_answer(exchange, MHD_HTTP_OK, "ok\n");
}

/* ---- from a report ---- */

static void body_is(struct exchange *exchange, unsigned status, struct buf *body, const char *type)
{
    exchange->status = status;
    exchange->response = http_response(body, type);
}

static void report_metrics(struct exchange *exchange, struct report *report)
{
    struct source source = {exchange->admin->proxy, report};
    struct buf body = {0};
    metrics_write(&source, &body);
    body_is(exchange, MHD_HTTP_OK, &body, "text/plain; version=0.0.4; charset=utf-8");
}

static bool any_node_up(const struct report *report)
{
    for (size_t i = 0; i < report->nodes_count; i++)
        if (report->nodes[i].up > 0)
            return true;
    return false;
}

static void report_ready(struct exchange *exchange, struct report *report)
{
    struct buf body = {0};
    bool up = any_node_up(report), ready = up && !report->draining;
    buf_text(&body, ready ? "ready\n" : report->draining ? "draining\n" : "no backend\n");
    body_is(exchange, ready ? MHD_HTTP_OK : MHD_HTTP_SERVICE_UNAVAILABLE, &body,
            "text/plain; charset=utf-8");
}

static void table_json(const struct table_kind *kind, const struct source *source, const char *by,
                       size_t limit, struct buf *out)
{
    struct table table;
    table_make(&table, kind, source);
    if (by[0] && !table_sort(&table, str_of(by)))
        log_debug(NULL, "http: no column %s", by);
    table_limit(&table, limit);
    render_json(&table, out);
    table_free(&table);
}

static void report_table(struct exchange *exchange, struct report *report)
{
    struct source source = {exchange->admin->proxy, report};
    struct buf body = {0};
    table_json(exchange->table, &source, exchange->by, exchange->limit, &body);
    body_is(exchange, MHD_HTTP_OK, &body, "application/json");
}

/* What the page needs at one look, by one report. */
static const struct part {
    enum table_id table;
    const char *name, *by;
    size_t limit;
} parts[] = {
    {TABLE_STATS, "stats", "", 1000},
    {TABLE_PREFIXES, "prefixes", "minute-writes", 12},
    {TABLE_PREFIXES, "prefixes_bytes", "minute-bytes", 12},
    {TABLE_RULES, "rules", "", 100},
    {TABLE_NODES, "nodes", "", 50},
    {TABLE_PRESSURE, "pressure", "", 50},
    {TABLE_QUEUES, "queues", "length", 20},
    {TABLE_CLIENTS, "clients", "bytes-in", 10},
    {TABLE_COMMANDS, "commands", "calls", 10},
    {TABLE_HOT, "hot", "minute", 8},
    {TABLE_AUDIT, "audit", "", 30},
    {TABLE_VERSION, "version", "", 100},
};

static void report_live(struct exchange *exchange, struct report *report)
{
    struct source source = {exchange->admin->proxy, report};
    struct buf body = {0};
    history_watched(loop_now(&exchange->admin->proxy->loop));
    buf_printf(&body, "{\"now\":%lld,\"clock\":%llu", (long long)report->at,
               (unsigned long long)(report->at_ns / 1000000));
    for (size_t i = 0; i < ARRAY_LEN(parts); i++) {
        buf_printf(&body, ",\"%s\":", parts[i].name);
        table_json(&table_kinds[parts[i].table], &source, parts[i].by, parts[i].limit, &body);
    }
    buf_text(&body, ",\"history\":");
    history_json(&body);
    buf_text(&body, "}");
    body_is(exchange, MHD_HTTP_OK, &body, "application/json");
}

static void report_came(struct report *report, void *context)
{
    struct exchange *exchange = context;
    exchange->route->report(exchange, report);
    report_free(report);
    exchange_wake(exchange);
}

/* ---- who may ---- */

/* A page elsewhere can point its own name at 127.0.0.1 (DNS rebinding) and read what it gets as its
 * own; the Host header still has that name. An address or localhost cannot be pointed anywhere. */
static bool host_is_plain(const char *host)
{
    struct in_addr ipv4;
    struct in6_addr ipv6;
    char name[64];
    if (!host)
        return true; /* HTTP/1.0: no browser */
    size_t len = host[0] == '[' ? strcspn(host, "]") : strcspn(host, ":");
    size_t skip = host[0] == '[';
    if (len >= sizeof(name))
        return false;
    snprintf(name, sizeof(name), "%.*s", (int)(len - skip), host + skip);
    return inet_pton(AF_INET, name, &ipv4) == 1 || inet_pton(AF_INET6, name, &ipv6) == 1 ||
           str_equal_nocase(str_of(name), STR("localhost"));
}

static struct address peer_of(struct MHD_Connection *connection)
{
    return conn_peer(
        MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD)->connect_fd);
}

/* The status to refuse with, or 0. */
static unsigned access_refused(struct exchange *exchange, enum access access)
{
    struct MHD_Connection *connection = exchange->connection;
    const struct config *config = exchange->admin->proxy->snapshot->config;
    if (access == ACCESS_OPEN)
        return 0;
    if (!admin_has_password(exchange->admin))
        return host_is_plain(MHD_lookup_connection_value(connection, MHD_HEADER_KIND, "Host"))
                   ? 0
                   : MHD_HTTP_FORBIDDEN;
    if (access == ACCESS_METRICS && config->admin.metrics_open)
        return 0;
    char *password = NULL;
    char *user = MHD_basic_auth_get_username_password(connection, &password);
    struct address from = peer_of(connection);
    enum pass pass = password ? admin_pass(exchange->admin, &from, str_of(password)) : PASS_WRONG;
    if (password)
        secret_wipe(password, strlen(password));
    MHD_free(user);
    MHD_free(password);
    switch (pass) {
    case PASS_RIGHT: return 0;
    case PASS_WRONG: return MHD_HTTP_UNAUTHORIZED;
    case PASS_LATER: return MHD_HTTP_TOO_MANY_REQUESTS;
    }
    return MHD_HTTP_UNAUTHORIZED;
}

static const char *refusal_text(unsigned status)
{
    return status == MHD_HTTP_FORBIDDEN      ? "this name is not known here: use an address, or "
                                               "localhost\n"
           : status == MHD_HTTP_UNAUTHORIZED ? "a password is needed\n"
                                             : "too many wrong passwords, try again in a second\n";
}

/* ---- which one ---- */

/* /api/TABLE.json?by=COLUMN&limit=N */
static bool table_of_url(struct exchange *exchange, const char *url)
{
    enum { ROWS = 1000 };
    static const char prefix[] = "/api/", suffix[] = ".json";
    size_t len = strlen(url), around = sizeof(prefix) + sizeof(suffix) - 2;
    if (len <= around || strncmp(url, prefix, sizeof(prefix) - 1) != 0 ||
        strcmp(url + len - (sizeof(suffix) - 1), suffix) != 0)
        return false;
    exchange->table = table_by_name((struct str){url + sizeof(prefix) - 1, len - around});
    if (!exchange->table)
        return false;
    const char *by = MHD_lookup_connection_value(exchange->connection, MHD_GET_ARGUMENT_KIND, "by");
    const char *limit =
        MHD_lookup_connection_value(exchange->connection, MHD_GET_ARGUMENT_KIND, "limit");
    int64_t rows;
    snprintf(exchange->by, sizeof(exchange->by), "%s", by ? by : exchange->table->sorted_by);
    exchange->limit = limit && str_to_int(str_of(limit), &rows) && rows > 0 ? (size_t)rows : ROWS;
    return true;
}

static const struct route *route_find(struct exchange *exchange, const char *url)
{
    for (size_t i = 0; i < ARRAY_LEN(routes); i++)
        if (strcmp(routes[i].path, url) == 0)
            return &routes[i];
    return table_of_url(exchange, url) ? &table_route : NULL;
}

enum MHD_Result route_run(struct exchange *exchange, const char *url)
{
    exchange->route = route_find(exchange, url);
    unsigned refused =
        access_refused(exchange, exchange->route ? exchange->route->access : ACCESS_LOOK);
    if (refused)
        return http_answer(exchange, refused, refusal_text(refused));
    if (!exchange->route)
        return http_answer(exchange, MHD_HTTP_NOT_FOUND, "not found\n");
    if (exchange->route->serve)
        return exchange->route->serve(exchange);
    bool clients = exchange->route->report == report_live || table_of_clients(exchange->table);
    exchange_sleep(exchange);
    proxy_report(exchange->admin->proxy, clients ? REPORT_CLIENTS : REPORT_COUNTS, report_came,
                 exchange);
    return MHD_YES;
}
