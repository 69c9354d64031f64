/* poller.c - asks each node for its INFO, and for a rewrite of its AOF when it is time.
 *
 *   tick -> mark the gauges, ask INFO -> (reply) -> health_learn -> BGREWRITEAOF?
 *
 * What was answered before INFO was sent is in its numbers; the marks tell. A look comes early when
 * a worker has refused something for what it reckons (health->pushed), and often while a node is at
 * critical, so that writes resume soon.
 */
#include <errno.h>
#include <stdio.h>
#include <sys/statvfs.h>

#include "health.h"
#include "links.h"

enum { HURRY_MS = 100, CRITICAL_POLL_MS = 250, SLOW_MS = 2000, TEXT_MAX = 160 };

/* ---- rewrites ---- */

static void rewrite_done(struct req *req, struct link *link, struct str reply)
{
    struct health *health = req->context;
    (void)link;
    if (reply.ptr && reply.ptr[0] == '-')
        log_error(NULL,
                  "node %s: BGREWRITEAOF was refused: %.*s; the control identity must be "
                  "allowed to ask for it, or a person must",
                  health->name, (int)(reply.len > TEXT_MAX ? TEXT_MAX : reply.len - 3),
                  reply.ptr + 1);
}

/* One node at a time: each rewrite is a fork, and their hosts may be one. */
static bool rewrite_elsewhere(const struct proxy *proxy, const struct health *health)
{
    for (const struct health *other = proxy->healths; other; other = other->next)
        if (other != health && other->info.aof_rewrite_in_progress == 1)
            return true;
    return false;
}

static void say_no_room(struct health *health)
{
    bool stuck = health->poll.rewrite == REWRITE_NO_ROOM || health->poll.rewrite == REWRITE_USELESS;
    if (stuck && !health->poll.said_no_room)
        log_error(NULL,
                  "node %s: the AOF's volume fills up and %s: enlarge the volume, or delete "
                  "data and then run BGREWRITEAOF",
                  health->name,
                  health->poll.rewrite == REWRITE_NO_ROOM
                      ? "there may be no room for a rewrite beside the AOF"
                      : "a rewrite would give nothing back: the AOF is mostly live data");
    health->poll.said_no_room = stuck;
}

static void rewrite_want(struct node *node, struct link *link, uint64_t now)
{
    struct health *health = node->health;
    const struct info *info = &health->poll.last;
    say_no_room(health);
    if (health->poll.rewrite != REWRITE_NOW || info->aof_rewrite_in_progress == 1 ||
        info->aof_rewrite_scheduled == 1 ||
        (health->poll.rewrite_asked && now < health->poll.rewrite_asked + REWRITE_PAUSE_MS) ||
        rewrite_elsewhere(node->worker->proxy, health))
        return;
    health->poll.rewrite_asked = now;
    health->poll.rewrite_from = info->aof_current_size;
    log_notice(NULL, "node %s: the AOF has %lld bytes, %u%% of its volume: asking for a rewrite",
               health->name, (long long)info->aof_current_size,
               pressure_percent(gauge_now(&health->disk), health->disk_size));
    link_ask(link, span_copy("*1\r\n$12\r\nBGREWRITEAOF\r\n", 23), rewrite_done, health);
}

/* The AOF is less than what the rewrite began with: it has ended. */
static void rewrite_ended(struct health *health)
{
    const struct info *info = &health->poll.last;
    if (!health->poll.rewrite_from || info->aof_rewrite_in_progress != 0)
        return;
    if (info->aof_last_bgrewrite_status == 0)
        log_error(NULL,
                  "node %s: the rewrite of the AOF failed; its own log says why. A new try "
                  "comes by itself, but room on the volume is for a person to make",
                  health->name);
    else if (info->aof_current_size < health->poll.rewrite_from)
        log_notice(NULL, "node %s: the AOF was rewritten: %lld bytes, were %lld", health->name,
                   (long long)info->aof_current_size, (long long)health->poll.rewrite_from);
    else
        return;
    health->poll.rewrite_from = 0;
}

/* ---- INFO ---- */

static void info_refused(struct health *health, const char *why, struct str text)
{
    if (!health->poll.said_refused)
        log_warn(NULL, "node %s: its health is not known: %s%.*s", health->name, why,
                 (int)(text.len > TEXT_MAX ? TEXT_MAX : text.len), text.ptr);
    health->poll.said_refused = true;
}

static void info_learn(struct worker *worker, struct health *health)
{
    health->poll.asking = false;
    struct info before = health->poll.last;
    bool compare = health->poll.has_last && strcmp(before.run_id, health->poll.fresh.run_id) == 0;
    health_learn(health, &health->poll.fresh, worker->snapshot->config, loop_now(&worker->loop));
    if (compare)
        outside_keys(worker->proxy, health, &before, &health->poll.last);
    rewrite_ended(health);
    forecast_tick(worker->proxy, health, loop_now(&worker->loop));
    health->poll.judge_rewrite = true;
}

/* ---- the volume ----
 *
 * It is looked at after INFO was answered: what was written before is then either in the buffer
 * that INFO tells or on the disk. The main thread looks, for a file system may take its time to
 * answer, and that thread serves nobody. */

static void volume_known(struct loop *loop, struct mail *mail)
{
    struct volume_letter *letter = CONTAINER(mail, struct volume_letter, mail);
    struct health *health = letter->health;
    if (!letter->size && !health->poll.said_volume)
        log_error(NULL, "volume-path %s cannot be looked at: %s", letter->path,
                  strerror(letter->error));
    health->poll.said_volume = !letter->size;
    info_learn(CONTAINER(loop, struct worker, loop), health);
}

static void volume_look(struct loop *loop, struct mail *mail)
{
    struct volume_letter *letter = CONTAINER(mail, struct volume_letter, mail);
    struct statvfs volume;
    (void)loop;
    letter->size = letter->used = 0;
    if (statvfs(letter->path, &volume) == 0) {
        letter->size = volume.f_blocks * volume.f_frsize;
        letter->used = letter->size - volume.f_bavail * volume.f_frsize;
    }
    letter->error = errno;
    letter->mail.run = volume_known;
    loop_post(&letter->proxy->workers[0].loop, &letter->mail);
}

static void volume_ask(struct worker *worker, struct health *health, const char *path)
{
    struct volume_letter *letter = &health->volume;
    letter->mail.run = volume_look;
    letter->proxy = worker->proxy;
    letter->health = health;
    snprintf(letter->path, sizeof(letter->path), "%s", path);
    loop_post(&worker->proxy->loop, &letter->mail);
}

static void info_understood(struct node *node, struct str text)
{
    struct health *health = node->health;
    struct worker *worker = node->worker;
    const char *path = worker->snapshot->config->pressure.volume_path;
    if (!info_parse(text, &health->poll.fresh)) {
        info_refused(health, "its INFO has none of the fields that tell it", STR(""));
        return;
    }
    health->poll.said_refused = false;
    health_set(health->poll_us, (clock_ns() - health->poll.asked_wall_ns) / 1000);
    if (path) {
        health->poll.asking = true; /* until the volume is known too */
        volume_ask(worker, health, path);
        return;
    }
    health->volume.size = 0;
    info_learn(worker, health);
}

static void info_done(struct req *req, struct link *link, struct str reply)
{
    struct node *node = link->pool->node;
    struct health *health = req->context;
    health->poll.asking = false;
    if (!reply.ptr)
        return; /* the link died: the next one is asked */
    struct arena *arena = arena_new();
    const struct tree *tree = tree_parse(arena, reply.ptr, reply.len);
    if (health != node->health) {
        /* the node became another one meanwhile */
    } else if (tree && tree->type == TREE_STRING) {
        info_understood(node, tree->text);
    } else if (tree && tree->type == TREE_ERROR) {
        info_refused(health, "INFO is refused: ", tree->text);
    } else {
        info_refused(health, "INFO was answered with something else", STR(""));
    }
    arena_free(arena);
}

static void info_ask(struct health *health, struct link *link, uint64_t now)
{
    health->poll.asking = true;
    health->poll.asked = now;
    health->poll.asked_wall_ns = clock_ns();
    health->poll.memory_mark = gauge_mark(&health->memory);
    health->poll.disk_mark = gauge_mark(&health->disk);
    health->poll.pushed = __atomic_exchange_n(&health->pushed, 0, __ATOMIC_RELAXED);
    link_ask(link, span_copy("*1\r\n$4\r\nINFO\r\n", 14), info_done, health);
}

/* A node that takes long keeps its level; what is written meanwhile counts on top. */
static void say_slow(struct health *health, uint64_t now, uint64_t poll)
{
    uint64_t patience = poll > SLOW_MS ? poll : SLOW_MS;
    bool slow = health->poll.asking && now > health->poll.asked + patience;
    if (slow && !health->poll.said_slow)
        log_warn(NULL, "node %s: no answer to INFO for %llu ms: its last known level stays",
                 health->name, (unsigned long long)(now - health->poll.asked));
    if (slow || !health->poll.asking)
        health->poll.said_slow = slow;
}

void poller_tick(struct node *node, struct link *link)
{
    struct health *health = node->health;
    const struct config *config = node->worker->snapshot->config;
    uint64_t now = loop_now(&node->worker->loop), poll = config->pressure.poll;
    if (health_level(health) == PRESSURE_CRITICAL && poll > CRITICAL_POLL_MS)
        poll = CRITICAL_POLL_MS;
    say_slow(health, now, poll);
    bool due = health->disk.told < health->disk_due && gauge_now(&health->disk) >= health->disk_due;
    bool hurry = due || health_get(health->pushed);
    if (hurry && poll > HURRY_MS)
        poll = HURRY_MS;
    outside_tick(node, link, now);
    if (health->poll.judge_rewrite)
        rewrite_want(node, link, now);
    health->poll.judge_rewrite = false;
    if (!health->poll.asking && now >= health->poll.asked + poll)
        info_ask(health, link, now);
}
