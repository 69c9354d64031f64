/*
 * outside.c - round the gate: what happens at a node and did not come through respgate.
 *
 *   commandstats  FLUSHALL and its kin ran more often than respgate sent them
 *   INFO          keys vanished that nothing which came through here can have removed
 *   CLIENT LIST   connections that are not named as respgate names its own
 *   SLOWLOG GET   how many entries it ever got
 *   CONFIG GET    what INFO does not tell of the settings, for SHOW ADVICE
 */
#include <stdio.h>

#include "health.h"
#include "links.h"
#include "queues.h"

enum { CLIENTS_MS = 5000, SETTINGS_MS = 60 * 1000, CLIENTS_MAX = 5000, COLLAPSE_MIN = 100 };

static void alert(struct proxy *proxy, struct health *health, const char *text)
{
    health_set(health->outside, health->outside + 1);
    log_error(NULL, "%s", text);
    audit_note(proxy, "alert", text);
}

/* ---- FLUSHALL and its kin ---- */

static uint64_t wipes_in(struct str text)
{
    struct str name;
    uint64_t calls, sum = 0;
    while (info_next_command(&text, &name, &calls))
        if (str_equal(name, STR("flushall")) || str_equal(name, STR("flushdb")) ||
            str_equal(name, STR("swapdb")))
            sum += calls;
    return sum;
}

/* What respgate has sent counts as run, until nothing of it is under way and both agree again. */
static void wipes_judge(struct proxy *proxy, struct health *health, uint64_t calls)
{
    char line[160];
    uint64_t begun = health_get(health->wipes.begun), landed = health_get(health->wipes.landed);
    int64_t others = (int64_t)calls - (int64_t)begun - health->poll.wipes_offset;
    bool restarted = calls == 0; /* or CONFIG RESETSTAT */
    if (health->poll.has_wipes && !restarted && others > 0) {
        snprintf(line, sizeof(line),
                 "node %s: FLUSHALL, FLUSHDB or SWAPDB ran %lld times without coming through "
                 "respgate",
                 health->name, (long long)others);
        alert(proxy, health, line);
    }
    if (others > 0 || restarted || (begun == landed && begun == health->poll.wipes_begun))
        health->poll.wipes_offset = (int64_t)calls - (int64_t)begun;
    health->poll.has_wipes = true;
}

static void wipes_done(struct req *req, struct link *link, struct str reply)
{
    struct health *health = req->context;
    health->poll.asking_wipes = false;
    struct arena *arena = arena_new();
    const struct tree *tree = reply.ptr ? tree_parse(arena, reply.ptr, reply.len) : NULL;
    if (tree && tree->type == TREE_STRING)
        wipes_judge(link->pool->node->worker->proxy, health, wipes_in(tree->text));
    arena_free(arena);
}

/* ---- keys that vanish ---- */

static int64_t gone(int64_t now, int64_t before)
{
    return now > before && before >= 0 ? now - before : 0;
}

void outside_keys(struct proxy *proxy, struct health *health, const struct info *before,
                  const struct info *info)
{
    char line[160];
    uint64_t removed = health_get(health->removed), wipes = health_get(health->wipes.begun);
    bool wiped = wipes != health->poll.removed_wipes;
    int64_t known = gone(info->expired_keys, before->expired_keys) +
                    gone(info->evicted_keys, before->evicted_keys) +
                    (int64_t)(removed - health->poll.removed_seen);
    int64_t lost = before->keys - info->keys - known;
    health->poll.removed_seen = removed;
    health->poll.removed_wipes = wipes;
    if (wiped || info->keys < 0 || before->keys < COLLAPSE_MIN || lost < before->keys / 2)
        return;
    snprintf(line, sizeof(line),
             "node %s: %lld of %lld keys are gone, and nothing that came through respgate removed "
             "them",
             health->name, (long long)lost, (long long)before->keys);
    alert(proxy, health, line);
}

/* ---- connections ---- */

/* The value behind " name=" in a line of CLIENT LIST. */
static struct str field_of(struct str line, const char *name)
{
    size_t len = strlen(name);
    for (size_t i = 0; i + len < line.len; i++)
        if ((i == 0 || line.ptr[i - 1] == ' ') && memcmp(line.ptr + i, name, len) == 0 &&
            line.ptr[i + len] == '=') {
            const char *from = line.ptr + i + len + 1;
            size_t left = line.len - i - len - 1;
            const char *end = left ? memchr(from, ' ', left) : NULL;
            return (struct str){from, end ? (size_t)(end - from) : left};
        }
    return STR("");
}

static void copy_text(char *out, size_t size, struct str text)
{
    size_t len = text.len < size - 1 ? text.len : size - 1;
    memcpy(out, text.ptr, len);
    out[len] = '\0';
}

static struct outsider *outsider_find(struct poll_state *poll, const struct outsider *like)
{
    for (unsigned i = 0; i < poll->outsider_count; i++) {
        struct outsider *known = &poll->outsiders[i];
        if (strcmp(known->address, like->address) == 0 && strcmp(known->user, like->user) == 0 &&
            strcmp(known->name, like->name) == 0)
            return known;
    }
    return NULL;
}

/* A place of its own, or that of one who is gone; NULL: there is none. */
static struct outsider *outsider_place(struct poll_state *poll)
{
    if (poll->outsider_count < OUTSIDERS_MAX)
        return &poll->outsiders[poll->outsider_count++];
    for (unsigned i = 0; i < OUTSIDERS_MAX; i++)
        if (!poll->outsiders[i].connections)
            return &poll->outsiders[i];
    return NULL;
}

static void command_note(struct outsider *outsider, struct str command)
{
    size_t used = strlen(outsider->commands);
    for (const char *at = outsider->commands; at && *at; at = strchr(at, ' ')) {
        at += *at == ' ';
        size_t len = strcspn(at, " ");
        if (len == command.len && memcmp(at, command.ptr, len) == 0)
            return;
    }
    if (!command.len || used + command.len + 2 > sizeof(outsider->commands))
        return;
    if (used)
        outsider->commands[used++] = ' ';
    copy_text(outsider->commands + used, sizeof(outsider->commands) - used, command);
}

static void outsider_add(struct health *health, struct str line)
{
    struct outsider fresh = {0};
    struct str address = field_of(line, "addr");
    while (address.len && address.ptr[address.len - 1] != ':') /* the port tells nothing */
        address.len--;
    copy_text(fresh.address, sizeof(fresh.address),
              (struct str){address.ptr, address.len ? address.len - 1 : 0});
    copy_text(fresh.user, sizeof(fresh.user), field_of(line, "user"));
    copy_text(fresh.name, sizeof(fresh.name), field_of(line, "name"));
    struct outsider *outsider = outsider_find(&health->poll, &fresh);
    if (!outsider) {
        outsider = outsider_place(&health->poll);
        if (!outsider)
            return;
        *outsider = fresh;
    }
    outsider->connections++;
    command_note(outsider, field_of(line, "cmd"));
}

/* Still logging in: it may be a link of respgate that is not named yet. */
static bool logs_in(struct str command)
{
    static const char *const first[] = {"NULL", "hello", "auth", "client|setname",
                                        "client|setinfo"};
    for (size_t i = 0; i < ARRAY_LEN(first); i++)
        if (str_equal(command, str_of(first[i])))
            return true;
    return false;
}

/* Replicas are connections too, with a flag of their own. */
static bool is_outsider(struct str line)
{
    struct str flags = field_of(line, "flags");
    return line.len && !str_equal(field_of(line, "name"), STR("respgate")) &&
           !logs_in(field_of(line, "cmd")) &&
           !(flags.len && (memchr(flags.ptr, 'S', flags.len) || memchr(flags.ptr, 'M', flags.len)));
}

static void clients_read(struct health *health, struct str rest)
{
    for (unsigned i = 0; i < health->poll.outsider_count; i++)
        health->poll.outsiders[i].connections = 0;
    while (rest.len) {
        const char *end = memchr(rest.ptr, '\n', rest.len);
        size_t len = end ? (size_t)(end - rest.ptr) : rest.len;
        if (is_outsider((struct str){rest.ptr, len}))
            outsider_add(health, (struct str){rest.ptr, len});
        len += end != NULL;
        rest = (struct str){rest.ptr + len, rest.len - len};
    }
}

static void clients_done(struct req *req, struct link *link, struct str reply)
{
    struct health *health = req->context;
    health->poll.asking_clients = false;
    (void)link;
    struct arena *arena = arena_new();
    const struct tree *tree = reply.ptr ? tree_parse(arena, reply.ptr, reply.len) : NULL;
    if (tree && tree->type == TREE_STRING)
        clients_read(health, tree->text);
    arena_free(arena);
}

/* ---- settings ---- */

static void settings_done(struct req *req, struct link *link, struct str reply)
{
    struct health *health = req->context;
    health->poll.asking_settings = false;
    (void)link;
    struct arena *arena = arena_new();
    const struct tree *tree = reply.ptr ? tree_parse(arena, reply.ptr, reply.len) : NULL;
    const struct tree *size = tree ? tree_get(tree, "auto-aof-rewrite-min-size") : NULL;
    int64_t bytes;
    if (size && size->type == TREE_STRING && str_to_int(size->text, &bytes))
        health->poll.aof_min_size = bytes;
    arena_free(arena);
}

/* ---- its slow log ---- */

/* Ids count up from 0, and the newest comes first; its length stops at slowlog-max-len. */
static void slowlog_done(struct req *req, struct link *link, struct str reply)
{
    struct health *health = req->context;
    health->poll.asking_slowlog = false;
    (void)link;
    struct arena *arena = arena_new();
    const struct tree *tree = reply.ptr ? tree_parse(arena, reply.ptr, reply.len) : NULL;
    const struct tree *newest =
        tree && tree->type == TREE_ARRAY && tree->count ? &tree->items[0] : NULL;
    if (newest && newest->type == TREE_ARRAY && newest->count && newest->items[0].type == TREE_INT)
        health_set(health->slowlog, newest->items[0].integer + 1);
    else if (tree && tree->type == TREE_ARRAY && health->slowlog < 0)
        health_set(health->slowlog, 0);
    arena_free(arena);
}

static void advise(const struct node *node, const struct link *link)
{
    struct health *health = node->health;
    const struct settings settings = {
        .aof_min_size = health->poll.aof_min_size ? health->poll.aof_min_size : INFO_UNKNOWN,
        .volume = health->disk_size,
        .queues = pressure_queues(node->worker->snapshot->pressure)->queue_count > 0,
        .no_password = !link->pool->identity->password,
    };
    if (health->known)
        health_set(health->advice, advice_judge(&health->poll.last, &settings));
}

/* ---- time ---- */

static bool due(uint64_t *asked, bool *asking, uint64_t now, uint64_t every)
{
    if (*asking || (*asked && now < *asked + every))
        return false;
    *asked = now;
    return *asking = true;
}

void outside_tick(struct node *node, struct link *link, uint64_t now)
{
    static const char stats[] = "*2\r\n$4\r\nINFO\r\n$12\r\ncommandstats\r\n";
    static const char clients[] = "*2\r\n$6\r\nCLIENT\r\n$4\r\nLIST\r\n";
    static const char settings[] = "*3\r\n$6\r\nCONFIG\r\n$3\r\nGET\r\n"
                                   "$25\r\nauto-aof-rewrite-min-size\r\n";
    static const char slowlog[] = "*3\r\n$7\r\nSLOWLOG\r\n$3\r\nGET\r\n$1\r\n1\r\n";
    struct health *health = node->health;
    struct poll_state *poll = &health->poll;
    uint64_t every = node->worker->snapshot->config->pressure.poll;
    if (due(&poll->wipes_asked, &poll->asking_wipes, now, every)) {
        poll->wipes_begun = health_get(health->wipes.begun);
        link_ask(link, span_copy(stats, sizeof(stats) - 1), wipes_done, health);
    }
    if (poll->last.connected_clients < CLIENTS_MAX &&
        due(&poll->clients_asked, &poll->asking_clients, now, CLIENTS_MS))
        link_ask(link, span_copy(clients, sizeof(clients) - 1), clients_done, health);
    if (due(&poll->slowlog_asked, &poll->asking_slowlog, now, CLIENTS_MS))
        link_ask(link, span_copy(slowlog, sizeof(slowlog) - 1), slowlog_done, health);
    if (due(&poll->settings_asked, &poll->asking_settings, now, SETTINGS_MS))
        link_ask(link, span_copy(settings, sizeof(settings) - 1), settings_done, health);
    advise(node, link);
}
