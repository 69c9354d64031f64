/* cluster_command.c - CLUSTER for clients that know of clusters: they are shown one node that owns
 * all slots, the address they reached respgate at (or [backend] announce), and send all to it. */
#include <stdio.h>

#include "stages.h"

/* The one node's id: any 40 hex digits will do, the same for all clients and all respgates. */
static const char node_id[] = "7265737067617465726573706761746572657370";

struct self {
    char host[256];
    unsigned port;
};

static struct self self_of(const struct client *client)
{
    const char *announce = client->worker->snapshot->config->backend.announce;
    struct self self = {.port = 0};
    char text[256];
    if (announce)
        snprintf(text, sizeof(text), "%s", announce);
    else
        conn_name(client->conn.fd, true, text);
    char *colon = strrchr(text, ':');
    if (!colon)
        return self; /* a unix socket: no address at all */
    int64_t port = 0;
    if (str_to_int(str_of(colon + 1), &port) && port > 0 && port < 65536)
        self.port = (unsigned)port;
    *colon = '\0';
    size_t len = strlen(text);
    bool brackets = len > 1 && text[0] == '[' && text[len - 1] == ']';
    snprintf(self.host, sizeof(self.host), "%.*s", (int)(brackets ? len - 2 : len),
             text + brackets);
    return self;
}

static void write_text(struct buf *buf, const char *text)
{
    write_bulk(buf, str_of(text));
}

static void show_slots(const struct self *self, int resp, struct buf *out)
{
    (void)resp;
    write_array(out, 1);
    write_array(out, 3);
    write_int(out, 0);
    write_int(out, SLOT_COUNT - 1);
    write_array(out, 4);
    write_text(out, self->host);
    write_int(out, self->port);
    write_text(out, node_id);
    write_array(out, 0);
}

static void show_shards(const struct self *self, int resp, struct buf *out)
{
    write_array(out, 1);
    write_map(out, 2, resp);
    write_text(out, "slots");
    write_array(out, 2);
    write_int(out, 0);
    write_int(out, SLOT_COUNT - 1);
    write_text(out, "nodes");
    write_array(out, 1);
    write_map(out, 7, resp);
    write_text(out, "id");
    write_text(out, node_id);
    write_text(out, "port");
    write_int(out, self->port);
    write_text(out, "ip");
    write_text(out, self->host);
    write_text(out, "endpoint");
    write_text(out, self->host);
    write_text(out, "role");
    write_text(out, "master");
    write_text(out, "replication-offset");
    write_int(out, 0);
    write_text(out, "health");
    write_text(out, "online");
}

static void show_nodes(const struct self *self, int resp, struct buf *out)
{
    struct buf text = {0};
    buf_printf(&text, "%s %s:%u@%u myself,master - 0 0 1 connected 0-%d\n", node_id, self->host,
               self->port, self->port ? self->port : 0, SLOT_COUNT - 1);
    write_verbatim(out, buf_view(&text), resp);
    buf_free(&text);
}

static void show_info(const struct self *self, int resp, struct buf *out)
{
    static const char text[] = "cluster_enabled:1\r\ncluster_state:ok\r\n"
                               "cluster_slots_assigned:16384\r\ncluster_slots_ok:16384\r\n"
                               "cluster_slots_pfail:0\r\ncluster_slots_fail:0\r\n"
                               "cluster_known_nodes:1\r\ncluster_size:1\r\n"
                               "cluster_current_epoch:1\r\ncluster_my_epoch:1\r\n";
    (void)self;
    write_verbatim(out, (struct str){text, sizeof(text) - 1}, resp);
}

static void show_id(const struct self *self, int resp, struct buf *out)
{
    (void)self;
    (void)resp;
    write_text(out, node_id);
}

static const struct shown {
    const char *command;
    void (*show)(const struct self *self, int resp, struct buf *out);
} shown[] = {
    {"cluster|slots", show_slots}, {"cluster|shards", show_shards}, {"cluster|nodes", show_nodes},
    {"cluster|info", show_info},   {"cluster|myid", show_id},
};

static enum step show(struct client *client, const struct shown *row)
{
    struct self self = self_of(client);
    struct buf out = {0};
    row->show(&self, client->resp, &out);
    client_reply(client, &out);
    buf_free(&out);
    return ANSWERED;
}

static enum step key_slot_reply(struct client *client, const struct call *call)
{
    struct buf out = {0};
    write_int(&out, key_slot(call->request.argv[2]));
    client_reply(client, &out);
    buf_free(&out);
    return ANSWERED;
}

/* The number of a slot in argv[2]: the command goes to whoever owns it. */
static enum step by_slot(struct client *client, struct call *call)
{
    int64_t slot;
    if (!str_to_int(call->request.argv[2], &slot) || slot < 0 || slot >= SLOT_COUNT) {
        client_reply_text(client, "-ERR Invalid slot\r\n");
        return ANSWERED;
    }
    call->slot = (int16_t)slot;
    return NEXT;
}

enum step cluster_command_run(struct client *client, struct call *call)
{
    const char *name = call->command->name;
    if (!client->worker->clustered)
        return NEXT;
    for (size_t i = 0; i < ARRAY_LEN(shown); i++)
        if (strcmp(shown[i].command, name) == 0)
            return show(client, &shown[i]);
    if (strcmp(name, "cluster|keyslot") == 0)
        return key_slot_reply(client, call);
    if (strcmp(name, "cluster|countkeysinslot") == 0 || strcmp(name, "cluster|getkeysinslot") == 0)
        return by_slot(client, call);
    client_reply_error(client, "ERR respgate: '%s' concerns a single node: connect to it directly",
                       name);
    return ANSWERED;
}

/* READONLY, READWRITE, ASKING: meant for the one node the client sees, which needs none of them. */
enum step cluster_mode_run(struct client *client, struct call *call)
{
    if (!client->worker->clustered)
        return strcmp(call->command->name, "asking") == 0 ? session_never(client, call) : NEXT;
    client_reply_text(client, "+OK\r\n");
    return ANSWERED;
}
