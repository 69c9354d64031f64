/* sentinel.c - mode = sentinel: where the master is, as the sentinels say.
 *
 *   worker 0: SENTINEL GET-MASTER-ADDR-BY-NAME, SENTINEL MASTER to each sentinel, once a second,
 *             often while the master is in doubt, and at once when one publishes +switch-master
 *          -> the answer with the newest epoch -> another address? -> mail to every worker
 *
 * Sentinels agree by epoch (sentinel.c, sentinelProcessHelloMessage): one that was cut off for a
 * while still names the old master, under a lower epoch. What a node itself says of its role is
 * looked at in each login (login.c): one that is no master is never written to.
 */
#include <stdio.h>
#include <stdlib.h>

#include "house.h"
#include "sentinel.h"

enum {
    QUIET_MS = 1000,
    DOUBT_MS = 100,
    REDIAL_MS = 500,
    DOWN_MS = 5000, /* a failover takes a moment; one that has not come by then is told of */
};

/* ---- to all workers ---- */

struct master_mail {
    struct mail mail;
    uint32_t side;
    struct sentinel_answer master;
};

/* The node of that side: where the worker is, or is about to move to. NULL: neither. */
static struct node *node_of_side(const struct worker *worker, uint32_t side)
{
    if (worker->side == side)
        return worker->node;
    if (worker->next && worker->next->serial == side)
        return CONTAINER(worker->next->nodes.next, struct node, entry);
    return NULL;
}

static void master_adopt(struct worker *worker, uint32_t side, const struct sentinel_answer *master)
{
    char text[SENTINEL_HOST_MAX + 8];
    struct node *node = node_of_side(worker, side);
    if (!node)
        return;
    snprintf(text, sizeof(text), "%s:%u", master->host, master->port);
    node_relocate(node, master->host, master->port, NULL, text);
}

static void master_arrived(struct loop *loop, struct mail *mail)
{
    struct master_mail *letter = CONTAINER(mail, struct master_mail, mail);
    struct worker *worker = CONTAINER(loop, struct worker, loop);
    if (!worker->drained)
        master_adopt(worker, letter->side, &letter->master);
    free(letter);
}

static bool same_place(const struct sentinel_answer *a, const struct sentinel_answer *b)
{
    return a->port == b->port && strcmp(a->host, b->host) == 0;
}

static void master_publish(struct sentinels *all, const struct sentinel *source)
{
    struct proxy *proxy = all->worker->proxy;
    struct sentinel_answer *master = &all->master;
    bool moved = !same_place(master, &source->answer);
    bool first = !master->known;
    char text[2 * SENTINEL_HOST_MAX + 100];
    *master = source->answer;
    if (!moved)
        return;
    snprintf(text, sizeof(text), "master '%s' is at %s:%u (epoch %lld, says %s)", all->master_name,
             master->host, master->port, (long long)master->epoch, source->name);
    log_notice(NULL, "sentinel: %s", text);
    audit_note(proxy, "sentinel", text);
    if (!first)
        count(all->worker, STAT_MASTER_SWITCHES);
    for (unsigned i = 1; i < proxy->worker_count; i++) {
        struct master_mail *letter = xcalloc(1, sizeof(*letter));
        letter->mail.run = master_arrived;
        letter->master = *master;
        letter->side = all->side;
        loop_post(&proxy->workers[i].loop, &letter->mail);
    }
    master_adopt(all->worker, all->side, master);
}

/* ---- whom to believe ---- */

/* The newest epoch; of the same one, whoever says what is known already. */
static const struct sentinel *newest(const struct sentinels *all)
{
    const struct sentinel *best = NULL;
    for (size_t i = 0; i < all->count; i++) {
        const struct sentinel *one = &all->each[i];
        if (!one->answers || !one->answer.known)
            continue;
        if (!best || one->answer.epoch > best->answer.epoch ||
            (one->answer.epoch == best->answer.epoch && same_place(&one->answer, &all->master)))
            best = one;
    }
    return best;
}

/* An epoch older than what is known comes from sentinels that were cut off, or that were set up
 * anew: the latter are all of the same mind. */
static bool believed(const struct sentinels *all, const struct sentinel *source)
{
    size_t same = 0;
    if (!all->master.known || source->answer.epoch >= all->master.epoch)
        return true;
    for (size_t i = 0; i < all->count; i++)
        same += all->each[i].answers && all->each[i].answer.known &&
                same_place(&all->each[i].answer, &source->answer);
    return same > all->count / 2;
}

static void decide(struct sentinels *all)
{
    const struct sentinel *source = newest(all);
    if (source && believed(all, source))
        master_publish(all, source);
}

/* ---- answers ---- */

static bool address_read(const struct tree *reply, struct sentinel_answer *answer)
{
    int64_t port;
    if (reply->type != TREE_ARRAY || reply->count != 2 || reply->items[0].type != TREE_STRING ||
        reply->items[1].type != TREE_STRING)
        return false;
    struct str host = reply->items[0].text;
    if (!host.len || host.len >= SENTINEL_HOST_MAX || memchr(host.ptr, '\0', host.len) ||
        !str_to_int(reply->items[1].text, &port) || port < 1 || port > 65535)
        return false;
    snprintf(answer->host, sizeof(answer->host), "%s", host.ptr);
    answer->port = (uint16_t)port;
    return true;
}

static void address_answered(struct sentinel *sentinel, const struct tree *reply)
{
    struct sentinels *all = sentinel->all;
    sentinel->answer.known = address_read(reply, &sentinel->answer);
    if (sentinel->answer.known) {
        sentinel->said_unknown = false;
    } else if (!sentinel->said_unknown) {
        sentinel->said_unknown = true;
        log_error(NULL, "sentinel %s does not tell where master '%s' is: %.*s", sentinel->name,
                  all->master_name, (int)(reply->type == TREE_ERROR ? reply->text.len : 100),
                  reply->type == TREE_ERROR  ? reply->text.ptr
                  : reply->type == TREE_NULL ? "it knows no master of that name (master-name)"
                                             : "its answer is no address");
    }
}

static void state_answered(struct sentinel *sentinel, const struct tree *reply)
{
    const struct tree *epoch = tree_get(reply, "config-epoch");
    const struct tree *flags = tree_get(reply, "flags");
    int64_t number;
    sentinel->answers = true;
    sentinel->answer.epoch = epoch && str_to_int(epoch->text, &number) ? number : 0;
    sentinel->answer.down = flags && flags->text.ptr && strstr(flags->text.ptr, "s_down");
    decide(sentinel->all);
}

void sentinel_answered(struct sentinel *sentinel, enum line_question question,
                       const struct tree *reply)
{
    switch (question) {
    case LINE_ADDRESS: address_answered(sentinel, reply); return;
    case LINE_STATE: state_answered(sentinel, reply); return;
    case LINE_LOGIN:
    case LINE_SUBSCRIBE: return;
    }
}

/* +switch-master "NAME OLD-IP OLD-PORT NEW-IP NEW-PORT": the others hear of it now as well. */
void sentinel_message(struct sentinel *sentinel, const struct tree *message)
{
    struct sentinels *all = sentinel->all;
    size_t len = strlen(all->master_name);
    if (message->type != TREE_ARRAY || message->count != 3)
        return;
    struct str text = message->items[2].text;
    if (text.len <= len || memcmp(text.ptr, all->master_name, len) != 0 || text.ptr[len] != ' ')
        return;
    for (size_t i = 0; i < all->count; i++)
        all->each[i].ask_at = 0;
    sentinels_poll(all);
}

/* ---- lines ---- */

void sentinel_opened(struct sentinel *sentinel, struct sentinel_line *line)
{
    if (line == sentinel->talk)
        sentinel->ask_at = 0;
}

void sentinel_failed(struct sentinel *sentinel, struct sentinel_line *line, const char *reason)
{
    struct sentinels *all = sentinel->all;
    if (line == sentinel->listen) {
        sentinel->listen = NULL;
    } else {
        sentinel->talk = NULL;
        sentinel->answers = false;
    }
    sentinel->retry_at = loop_now(&all->worker->loop) + REDIAL_MS;
    snprintf(all->reason, sizeof(all->reason), "%s: %s", sentinel->name, reason);
    log_info(NULL, "sentinel %s", all->reason);
}

static void one_poll(struct sentinel *sentinel, uint64_t now, uint64_t step)
{
    if (sentinel->talk)
        sentinel_line_tick(sentinel->talk, now);
    if (sentinel->listen)
        sentinel_line_tick(sentinel->listen, now);
    if (now >= sentinel->retry_at && !sentinel->talk)
        sentinel->talk = sentinel_dial(sentinel, false);
    if (now >= sentinel->retry_at && !sentinel->listen && sentinel->answers)
        sentinel->listen = sentinel_dial(sentinel, true);
    if (!sentinel->talk || !sentinel_line_idle(sentinel->talk) || now < sentinel->ask_at)
        return;
    sentinel->ask_at = now + step;
    sentinel_line_ask(sentinel->talk, LINE_ADDRESS);
    sentinel_line_ask(sentinel->talk, LINE_STATE);
}

/* ---- what is wrong, said once ---- */

static void away_check(struct sentinels *all, uint64_t now)
{
    bool any = false;
    for (size_t i = 0; i < all->count; i++)
        any |= all->each[i].answers;
    if (any && all->said_away)
        log_notice(NULL, "sentinel: sentinels answer again");
    if (any) {
        all->away_since = now;
        all->said_away = false;
    } else if (!all->said_away &&
               now > all->away_since + all->worker->snapshot->config->backend.connect_timeout) {
        all->said_away = true;
        log_error(NULL, "sentinel: none of %zu sentinels answers (%s); %s%s", all->count,
                  *all->reason ? all->reason : "no answer",
                  all->master.known ? "the last known master stays: " : "no master is known",
                  all->master.known ? all->master.host : "");
    }
}

static void down_check(struct sentinels *all, uint64_t now)
{
    const struct sentinel *source = newest(all);
    if (!source || !source->answer.down) {
        all->down_since = 0;
        all->said_down = false;
        return;
    }
    if (!all->down_since)
        all->down_since = now;
    if (all->said_down || now < all->down_since + DOWN_MS)
        return;
    all->said_down = true;
    log_error(NULL,
              "sentinel: %s takes master '%s' (%s:%u) for down and there is no other one: a "
              "failover needs a quorum, a majority of the sentinels, and a replica",
              source->name, all->master_name, source->answer.host, source->answer.port);
}

/* ---- life ---- */

static char *copy_or_null(const char *text)
{
    return text ? xstrdup(text) : NULL;
}

struct sentinels *sentinels_new(struct worker *worker, const struct snapshot *snapshot,
                                uint32_t side)
{
    const struct config *config = snapshot->config;
    struct sentinels *all = xcalloc(1, sizeof(*all));
    all->worker = worker;
    all->side = side;
    all->master_name = xstrdup(config->backend.master_name);
    all->username = copy_or_null(config->backend.sentinel_username);
    all->password = copy_or_null(config->backend.sentinel_password);
    all->server_name = copy_or_null(config->backend.tls_server_name);
    all->tls = snapshot->backend_tls ? tls_context_hold(snapshot->backend_tls) : NULL;
    all->away_since = loop_now(&worker->loop);
    all->count = config->backend.sentinel_count;
    all->each = xcalloc(all->count, sizeof(*all->each));
    for (size_t i = 0; i < all->count; i++) {
        all->each[i].all = all;
        all->each[i].host = xstrdup(config->backend.sentinels[i].host);
        all->each[i].name = xstrdup(config->backend.sentinels[i].text);
        all->each[i].port = config->backend.sentinels[i].port;
    }
    return all;
}

void sentinels_poll(struct sentinels *all)
{
    const struct node *node = node_of_side(all->worker, all->side);
    uint64_t now = loop_now(&all->worker->loop);
    bool doubt =
        !node || !all->master.known || !node->ready_links || node->breaker_open || node->timeouts;
    for (size_t i = 0; i < all->count; i++)
        one_poll(&all->each[i], now, doubt ? DOUBT_MS : QUIET_MS);
    away_check(all, now);
    down_check(all, now);
}

/* A reload has read the certificates again: new connections show them. */
static void tls_renew(struct sentinels *all)
{
    struct tls_context *fresh = all->worker->snapshot->backend_tls;
    if (all->tls == fresh)
        return;
    tls_context_drop(all->tls);
    all->tls = fresh ? tls_context_hold(fresh) : NULL;
}

void sentinels_tick(struct worker *worker)
{
    if (!worker->sentinels && worker->snapshot->config->backend.mode == MODE_SENTINEL)
        worker->sentinels = sentinels_new(worker, worker->snapshot, worker->side);
    if (worker->sentinels) {
        tls_renew(worker->sentinels);
        sentinels_poll(worker->sentinels);
    }
}

void sentinels_free(struct worker *worker)
{
    sentinels_drop(worker->sentinels);
    worker->sentinels = NULL;
}

void sentinels_drop(struct sentinels *all)
{
    for (size_t i = 0; all && i < all->count; i++) {
        struct sentinel *one = &all->each[i];
        if (one->talk)
            sentinel_line_close(one->talk);
        if (one->listen)
            sentinel_line_close(one->listen);
        free(one->host);
        free(one->name);
    }
    if (!all)
        return;
    tls_context_drop(all->tls);
    if (all->password)
        secret_wipe(all->password, strlen(all->password));
    free(all->master_name);
    free(all->username);
    free(all->password);
    free(all->server_name);
    free(all->each);
    free(all);
}
