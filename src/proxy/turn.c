/* turn.c - a client's turn: read once, run what is complete, give way to the others. */
#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "client_private.h"
#include "respgate/pressure.h"
#include "count.h"
#include "stages.h"

/* A turn's bounds: one deep pipeline must not keep the loop from the others; and a client that
 * waits (for a link, for its BLPOP) is read on only so far. */
enum { TURN_COMMANDS = 256, WAITING_INPUT_MAX = 64 * 1024 };

/* ---- out of the handshake ---- */

static void client_ready(struct client *client)
{
    handshake_over(client);
    client_move(client, CLIENT_IDLE);
    client_writer(client);
    auth_initial(client);
}

/* Behind a balancer that speaks the PROXY protocol: the address is in front of everything, TLS too.
 * It is looked at without taking it, so that what follows it stays where it belongs. */
static void client_proxy_header(struct client *client)
{
    char head[PROXY_HEADER_MAX];
    size_t used = 0;
    ssize_t got = recv(client->conn.fd, head, sizeof(head), MSG_PEEK | MSG_DONTWAIT);
    if (got < 0 && errno == EAGAIN)
        return;
    enum proxy_header_status status =
        got > 0 ? proxy_header_parse(head, (size_t)got, &client->subject.address, &used)
                : PROXY_HEADER_BAD;
    switch (status) {
    case PROXY_HEADER_MORE: return;
    case PROXY_HEADER_BAD:
        log_info(client_who(client), "%s", reason_text(REASON_PROXY_HEADER));
        client_close(client, REASON_PROXY_HEADER);
        return;
    case PROXY_HEADER_DONE:
    case PROXY_HEADER_LOCAL: break;
    }
    if (recv(client->conn.fd, head, used, 0) != (ssize_t)used) {
        client_close(client, REASON_PROXY_HEADER);
        return;
    }
    if (client->is_tls)
        conn_start_tls(&client->conn, client->worker->snapshot->listen_tls);
    else
        client_ready(client);
}

/* ---- the turn ---- */

/* Redis' bounds for those who have not logged in yet (networking.c: 10 arguments, 16 KiB). */
static struct request_limits client_limits(const struct client *client)
{
    const struct config *config = client->worker->snapshot->config;
    bool known = client_authenticated(client);
    return (struct request_limits){
        .max_request = config->proxy.max_request_size,
        .max_bulk = known ? config->proxy.max_value_size : 16 * 1024,
        .max_args = known ? INT32_MAX : 10,
        .authenticated = known,
    };
}

void call_begin(struct client *client)
{
    struct call *call = &client->call;
    memset(&call->command, 0, offsetof(struct call, called) - offsetof(struct call, command));
    call->active = true;
    if (COUNTING)
        call->arrived = (uint32_t)loop_us(&client->worker->loop);
    client->skip_this = client->skip_next;
    client->skip_next = false;
}

void call_end(struct client *client)
{
    span_drop(&client->call.request.bytes);
    charge_land(&client->call.charges);
    if (unlikely(client->call.held))
        hold_ended(client);
    client->call.active = false;
    client->skip_this = false;
}

static void client_malformed(struct client *client)
{
    count(client->worker, STAT_PROTOCOL_ERRORS);
    log_info(client_who(client), "%s", parser_error(client->parser));
    client->reply_off = client->skip_this = false;
    client_reply_error(client, "ERR %s", parser_error(client->parser));
    client_parser_back(client);
    client_leave(client, REASON_PROTOCOL);
}

/* Runs what is parsed. True: the next read may come; false: it waits, left, or its turn is over. */
static bool client_run(struct client *client)
{
    struct worker *worker = client->worker;
    struct request_limits limits = client_limits(client);
    for (int turn = 0; turn < TURN_COMMANDS; turn++) {
        if (!client->call.active) {
            if (!client_has_room(client)) {
                client_wait(client, WAIT_ROOM);
                return false;
            }
            enum request_status status =
                parser_next(client->parser, &limits, &client->call.request);
            if (status == REQUEST_MORE)
                return true;
            if (status == REQUEST_EMPTY)
                continue;
            if (status == REQUEST_ERROR) {
                client_malformed(client);
                return false;
            }
            count(worker, STAT_REQUESTS);
            client->requests++;
            client->request_since = 0;
            call_begin(client);
        }
        switch (pipeline_run(client)) {
        case NEXT:
        case ANSWERED:
            call_counted(client, &client->call);
            call_end(client);
            limits = client_limits(client); /* it may have logged in, or the rules be new */
            break;
        case SENT:
            call_counted(client, &client->call);
            call_end(client);
            break;
        case PARKED: return false;
        case CLOSED: call_end(client); return false;
        }
        if (client->state == CLIENT_CLOSED || client->state == CLIENT_LEAVING)
            return false;
    }
    conn_again(&client->conn); /* more is there: after the others' turn */
    client->resume = true;
    return false;
}

static void client_end_turn(struct client *client)
{
    if (client->state == CLIENT_CLOSED)
        return;
    if (client->parser && !client->call.active && parser_idle(client->parser))
        client_parser_back(client);
    if (client->parser && !client->request_since)
        client->request_since = loop_now(&client->worker->loop);
    if (client->state == CLIENT_WAITING && client->parser &&
        parser_waiting(client->parser) > WAITING_INPUT_MAX)
        conn_pause(&client->conn, true);
    client_settle(client);
    if (client->state == CLIENT_LEAVING && !client->queue.head && !client->call.active)
        conn_finish(&client->conn);
    if (client->eof && client->state != CLIENT_LEAVING && !client->resume &&
        client->wait == WAIT_NONE)
        client_leave(client, REASON_PEER);
}

static void client_readable(struct conn *conn)
{
    struct client *client = CONTAINER(conn, struct client, conn);
    struct worker *worker = client->worker;
    if (client->resume) {
        client->resume = false;
        if (client->parser && client->state != CLIENT_LEAVING)
            client_run(client);
        client_end_turn(client);
        return;
    }
    if (client->state == CLIENT_HANDSHAKE) {
        client_proxy_header(client);
        return;
    }
    ssize_t got = conn_read(conn, worker->scratch, SCRATCH_SIZE);
    if (client->eof) { /* what it still says is not wanted; that it is gone, is */
        client_end_turn(client);
        return;
    }
    if (got < 0 && client->state != CLIENT_CLOSED)
        client_end_turn(client);
    if (got <= 0)
        return;
    count_add(worker, STAT_BYTES_IN, (uint64_t)got);
    client->bytes_in += (uint64_t)got;
    client->active = loop_now(conn->loop);
    if (!client->parser)
        client->parser = worker_parser(worker);
    parser_feed(client->parser, worker->scratch, (size_t)got);
    if (client->state != CLIENT_WAITING)
        client_run(client);
    client_end_turn(client);
}

/* ---- birth ---- */

static void client_opened(struct conn *conn)
{
    client_ready(CONTAINER(conn, struct client, conn));
}

static void client_written(struct conn *conn)
{
    struct client *client = CONTAINER(conn, struct client, conn);
    client->soft_since = 0;
    client->impatient = false;
    if (unlikely(client->slow))
        slow_taken(client);
    if (client->pauses)
        link_go_on(client->pauses);
}

static const struct conn_ops client_ops = {
    .opened = client_opened,
    .readable = client_readable,
    .written = client_written,
    .ended = client_ended,
    .finished = client_finished,
    .closed = client_freed,
};

void client_new(struct worker *worker, int fd, bool tls, const struct address *door)
{
    struct client *client = xcalloc(1, sizeof(*client));
    bool refuse = false, header = worker->snapshot->config->proxy.proxy_protocol;
    client->worker = worker;
    client->id = worker->client_seq++ * worker->proxy->worker_count + worker->index + 1;
    client->door = *door;
    client->subject.address = *door;
    client->subject.client_id = client->id;
    client->resp = 2;
    client->is_tls = tls;
    client->created = client->active = loop_now(&worker->loop);
    list_init(&client->entry);
    list_init(&client->wait_entry);
    list_init(&client->restore_entry);
    list_init(&client->memberships);
    list_append(&worker->clients[CLIENT_HANDSHAKE], &client->entry);
    client->handshaking = true;
    if (__atomic_add_fetch(&worker->proxy->handshakes, 1, __ATOMIC_RELAXED) >
            (int64_t)worker->snapshot->config->proxy.max_handshakes &&
        tls) {
        log_warn(client_who(client), "closed: %s", reason_text(REASON_HANDSHAKES));
        refuse = true;
    }
    count(worker, STAT_CLIENTS_ACCEPTED);
    conn_accept(&client->conn, &worker->loop, &client_ops, fd,
                tls && !header ? worker->snapshot->listen_tls : NULL);
    if (refuse)
        client_close(client, REASON_HANDSHAKES);
    else if (!tls && !header)
        client_ready(client);
    log_debug(client_who(client), "connected");
}
