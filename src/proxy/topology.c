/* topology.c - what the cluster looks like: every node is asked, the majority decides, all workers
 * hear of it.
 *
 *   worker 0: CLUSTER NODES to each node -> view -> map_vote -> a new map? -> mail to every worker
 *
 * Seldom while all is quiet, often for two seconds after each sign of change (a redirect, a link
 * that failed, a timeout): proxy->cluster_doubt. Nobody's requests wait for it.
 */
#include <stdio.h>
#include <stdlib.h>

#include "health.h"
#include "pool_private.h"

enum {
    QUIET_MS = 5000,
    DOUBT_STEP_MS = 100,
    ANSWER_MS = 500,     /* a node that takes longer has no vote until it answers */
    CONTESTED_MS = 1000, /* an old primary that comes back needs a moment to learn of the new one */
    MOVES_MS = 30000,    /* and a slot that has been on its way for so long is named */
    DIFF_LINES = 16,
};

struct topology {
    struct slot_map *map; /* the one told to all; NULL: none yet */
    uint64_t version;
    bool fresh; /* a view has changed since the last vote */
    uint64_t contested_since, moves_since;
    bool contested_said, moves_said, holes_said;
    struct list asking;   /* letters of those who wait for a round that has not begun */
    struct list in_round; /* and for the one that has */
    uint64_t round_until; /* loop ms: a node that is silent for so long is not waited for */
};

/* ---- to all workers ---- */

struct map_mail {
    struct mail mail;
    struct slot_map *map;
};

static void map_arrived(struct loop *loop, struct mail *mail)
{
    struct map_mail *letter = CONTAINER(mail, struct map_mail, mail);
    struct worker *worker = CONTAINER(loop, struct worker, loop);
    if (worker->drained)
        map_drop(letter->map);
    else
        cluster_adopt(worker, letter->map);
    free(letter);
}

static void map_publish(struct worker *self, struct slot_map *map)
{
    struct topology *topology = self->topology;
    struct buf diff = {0};
    map->version = ++topology->version;
    map_diff(topology->map, map, DIFF_LINES, &diff);
    log_notice(NULL, "cluster: %zu nodes, %zu primaries own slots%s", map->node_count,
               map->primary_count, map->holes ? ", some slots have no owner" : "");
    for (char *line = diff.ptr, *end; diff.len && line < diff.ptr + diff.len; line = end + 1) {
        end = memchr(line, '\n', (size_t)(diff.ptr + diff.len - line));
        log_info(NULL, "cluster: %.*s", (int)(end - line), line);
    }
    buf_free(&diff);
    map_drop(topology->map);
    topology->map = map;
    for (unsigned i = 1; i < self->proxy->worker_count; i++) {
        struct map_mail *letter = xcalloc(1, sizeof(*letter));
        letter->mail.run = map_arrived;
        letter->map = map_hold(map);
        loop_post(&self->proxy->workers[i].loop, &letter->mail);
    }
    cluster_adopt(self, map_hold(map));
}

/* ---- what is wrong with it ---- */

static void complain(struct worker *worker, const char *text)
{
    log_error(NULL, "cluster: %s", text);
    audit_note(worker->proxy, "cluster", text);
}

/* Two that call a slot their own for longer than gossip takes: split brain. */
static void contested_check(struct worker *worker, uint64_t now)
{
    struct topology *topology = worker->topology;
    const struct slot_map *map = topology->map;
    char text[256];
    if (!map->contested) {
        if (topology->contested_said)
            log_notice(NULL, "cluster: no slot is claimed by two nodes any more");
        topology->contested_since = 0;
        topology->contested_said = false;
        return;
    }
    if (!topology->contested_since)
        topology->contested_since = now;
    cluster_doubt(worker);
    if (topology->contested_said || now < topology->contested_since + CONTESTED_MS)
        return;
    topology->contested_said = true;
    count(worker, STAT_SPLIT_BRAINS);
    snprintf(
        text, sizeof(text),
        "split brain: %zu slots (%u first) are claimed by node %.8s and by node %.8s; requests "
        "go to %.8s, whom most nodes name",
        map->contested, map->contested_slot, map->nodes[map->contested_by[0]].id,
        map->nodes[map->contested_by[1]].id, map->nodes[map->owner[map->contested_slot]].id);
    complain(worker, text);
}

static void moves_check(struct worker *worker, uint64_t now)
{
    struct topology *topology = worker->topology;
    const struct slot_map *map = topology->map;
    char text[256];
    if (!map->move_count) {
        topology->moves_since = 0;
        topology->moves_said = false;
        return;
    }
    if (!topology->moves_since)
        topology->moves_since = now;
    cluster_doubt(worker);
    if (topology->moves_said || now < topology->moves_since + MOVES_MS)
        return;
    topology->moves_said = true;
    snprintf(text, sizeof(text),
             "%zu slots are stuck on their way, slot %u first: %s %.8s, %s %.8s", map->move_count,
             map->moves[0].slot, map->moves[0].importing ? "to" : "from", map->moves[0].id,
             map->moves[0].importing ? "from" : "to", map->moves[0].other);
    complain(worker, text);
}

static void holes_check(struct worker *worker)
{
    struct topology *topology = worker->topology;
    char text[128];
    if (topology->holes_said == (topology->map->holes > 0))
        return;
    topology->holes_said = topology->map->holes > 0;
    if (topology->holes_said) {
        snprintf(text, sizeof(text), "%zu slots have no owner: requests for them get CLUSTERDOWN",
                 topology->map->holes);
        complain(worker, text);
    } else {
        log_notice(NULL, "cluster: all slots have an owner again");
    }
}

/* ---- voting ---- */

static void views_vote(struct worker *worker)
{
    struct topology *topology = worker->topology;
    struct cluster_view *views[CLUSTER_NODES_MAX];
    size_t count = 0;
    topology->fresh = false;
    list_each (it, &worker->nodes) {
        struct node *node = CONTAINER(it, struct node, entry);
        if (node->view && count < ARRAY_LEN(views))
            views[count++] = node->view;
    }
    if (!count)
        return; /* nobody to be asked: the last map stays, it may be right again soon */
    struct slot_map *map = map_vote(views, count);
    if (map_equal(topology->map, map))
        map_drop(map);
    else
        map_publish(worker, map);
}

static void view_set(struct node *node, struct cluster_view *view)
{
    struct topology *topology = node->worker->topology;
    bool same = node->view && view && view_equal(node->view, view);
    view_free(node->view);
    node->view = view;
    topology->fresh |= !same;
}

static void view_complain(struct link *link, const char *why)
{
    struct node *node = link->pool->node;
    if (!node->view_failed)
        log_error(link_who(link), "%s does not tell what the cluster looks like: %s",
                  node->address.text, why);
    node->view_failed = true;
}

/* Where the node itself is: it may not know its address, but it was reached. */
static void view_locate(struct cluster_view *view, struct node *node)
{
    if (view->self < 0)
        return;
    struct cluster_node *self = &view->nodes[view->self];
    if (!*self->host && node->address.host)
        self->host = arena_str(view->arena, str_of(node->address.host));
    if (!*node->id && !cluster_node_by_id(node->worker, self->id))
        memcpy(node->id, self->id, sizeof(node->id));
}

static struct cluster_view *view_read(struct arena *arena, struct str reply, const char **error)
{
    const struct tree *tree = tree_parse(arena, reply.ptr, reply.len);
    if (!tree || tree->type == TREE_ERROR) {
        *error = tree ? tree->text.ptr : "the reply is no RESP2";
        return NULL;
    }
    return tree->type == TREE_ARRAY ? view_of_slots(tree, error) : view_of_nodes(tree->text, error);
}

static void view_ask(struct link *link, bool slots);

static void round_step(struct worker *worker);

/* Half of what it was, half of what it is: one slow answer does not turn everybody round. */
static void distance_measure(struct node *node)
{
    uint32_t us = (uint32_t)((clock_ns() - node->view_asked_ns) / 1000) + 1;
    uint32_t was = node->health->distance_us;
    __atomic_store_n(&node->health->distance_us, was ? was / 2 + us / 2 : us, __ATOMIC_RELAXED);
}

static void view_done(struct req *req, struct link *link, struct str reply)
{
    struct node *node = link->pool->node;
    struct worker *worker = node->worker;
    const char *error = NULL;
    node->view_asked = 0;
    node->in_round = false;
    if (reply.ptr)
        distance_measure(node);
    if (!reply.ptr) { /* the link died */
        view_set(node, NULL);
        return;
    }
    struct arena *arena = arena_new();
    struct cluster_view *view = view_read(arena, reply, &error);
    if (!view && !req->context) {
        view_ask(link, true); /* CLUSTER NODES may be refused; CLUSTER SLOTS tells less */
    } else {
        if (view)
            view_locate(view, node);
        else
            view_complain(link, error);
        if (view)
            node->view_failed = false;
        view_set(node, view);
    }
    arena_free(arena);
    if (worker->topology->fresh)
        views_vote(worker);
    round_step(worker);
}

static void view_ask(struct link *link, bool slots)
{
    static const char nodes_text[] = "*2\r\n$7\r\nCLUSTER\r\n$5\r\nNODES\r\n";
    static const char slots_text[] = "*2\r\n$7\r\nCLUSTER\r\n$5\r\nSLOTS\r\n";
    struct node *node = link->pool->node;
    node->view_asked = loop_now(link->conn.loop);
    node->view_asked_ns = clock_ns();
    struct span text = slots ? span_copy(slots_text, sizeof(slots_text) - 1)
                             : span_copy(nodes_text, sizeof(nodes_text) - 1);
    link_ask(link, text, view_done, slots ? node : NULL);
}

static void node_poll(struct node *node, uint64_t now, uint64_t step)
{
    struct worker *worker = node->worker;
    struct pool *pool = pool_get(node, worker->identity_control, 2, 0, 0);
    struct link *link = pool->shared;
    pool->unused = now;
    if (node->view_asked && now > node->view_asked + ANSWER_MS && node->view) {
        log_info(NULL, "node %s is silent: it has no vote", node->name);
        view_set(node, NULL);
    }
    if (!link || link->state != LINK_READY) {
        if (node->view)
            view_set(node, NULL);
        pool_want_shared(pool);
        return;
    }
    if (node->view_asked || (now < node->view_next && node->view_next < now + step))
        return;
    node->view_next = now + step;
    view_ask(link, false);
}

/* ---- rounds: what the nodes say now, not a moment ago ---- */

/* Asks whom it can; true: all who can answer have. */
static bool round_ask(struct worker *worker, uint64_t now)
{
    bool over = true;
    list_each (it, &worker->nodes) {
        struct node *node = CONTAINER(it, struct node, entry);
        struct pool *pool = pool_get(node, worker->identity_control, 2, 0, 0);
        if (node->gone || !pool->shared || pool->shared->state != LINK_READY)
            continue;
        if (!node->had_round && !node->view_asked) {
            node->had_round = node->in_round = true;
            view_ask(pool->shared, false);
        }
        over &= node->had_round && !node->in_round;
    }
    return over || now >= worker->topology->round_until;
}

static void round_begin(struct worker *worker, uint64_t now)
{
    struct topology *topology = worker->topology;
    while (!list_empty(&topology->asking)) {
        struct list *entry = topology->asking.next;
        list_remove(entry);
        list_append(&topology->in_round, entry);
    }
    topology->round_until = now + ANSWER_MS;
    list_each (it, &worker->nodes)
        CONTAINER(it, struct node, entry)->had_round = false;
}

static void round_step(struct worker *worker)
{
    struct topology *topology = worker->topology;
    uint64_t now = loop_now(&worker->loop);
    if (list_empty(&topology->in_round)) {
        if (list_empty(&topology->asking))
            return;
        round_begin(worker, now);
    }
    if (!round_ask(worker, now))
        return;
    while (!list_empty(&topology->in_round)) {
        struct confirm_mail *letter =
            CONTAINER(topology->in_round.next, struct confirm_mail, entry);
        list_remove(&letter->entry);
        letter->mail.run = letter->run;
        loop_post(&letter->asker->loop, &letter->mail);
    }
}

static struct topology *topology_of(struct worker *worker)
{
    if (!worker->topology) {
        worker->topology = xcalloc(1, sizeof(*worker->topology));
        list_init(&worker->topology->asking);
        list_init(&worker->topology->in_round);
    }
    return worker->topology;
}

static void confirm_arrived(struct loop *loop, struct mail *mail)
{
    struct worker *worker = CONTAINER(loop, struct worker, loop);
    struct confirm_mail *letter = CONTAINER(mail, struct confirm_mail, mail);
    list_append(&topology_of(worker)->asking, &letter->entry);
    round_step(worker);
}

void topology_confirm(struct worker *asker, struct confirm_mail *letter,
                      void (*run)(struct loop *loop, struct mail *mail))
{
    letter->asker = asker;
    letter->run = run;
    letter->mail.run = confirm_arrived;
    loop_post(&asker->proxy->workers[0].loop, &letter->mail);
}

/* Whether the node is one to be asked: those of the map, and seeds while there is no map or none of
 * its nodes answers. */
static bool worth_asking(const struct worker *worker, const struct node *node, bool any_view)
{
    if (node->gone)
        return false;
    return *node->id || node == worker->node || !worker->map || !any_view;
}

void topology_tick(struct worker *worker)
{
    if (!worker->clustered || worker->draining)
        return;
    struct topology *topology = topology_of(worker);
    uint64_t now = loop_now(&worker->loop);
    bool doubt =
        now < __atomic_load_n(&worker->proxy->cluster_doubt, __ATOMIC_RELAXED) || !topology->map;
    bool any_view = false;
    list_each (it, &worker->nodes)
        any_view |= CONTAINER(it, struct node, entry)->view != NULL;
    list_each_safe (entry, &worker->nodes) {
        struct node *node = CONTAINER(entry, struct node, entry);
        if (worth_asking(worker, node, any_view))
            node_poll(node, now, doubt ? DOUBT_STEP_MS : QUIET_MS);
    }
    if (topology->fresh)
        views_vote(worker);
    round_step(worker);
    if (topology->map) {
        contested_check(worker, now);
        moves_check(worker, now);
        holes_check(worker);
    }
}

/* ---- for the operator ---- */

/* Primaries that nobody would follow: no replica, or only failed ones. */
static size_t primaries_bare(const struct slot_map *map)
{
    size_t bare = 0;
    for (size_t i = 0; i < map->primary_count; i++) {
        const char *id = map->nodes[map->primaries[i]].id;
        bool found = false;
        for (size_t at = 0; at < map->node_count && !found; at++)
            found = !map->nodes[at].failed && strcmp(map->nodes[at].primary_id, id) == 0;
        bare += !found;
    }
    return bare;
}

static bool primary_failed(const struct slot_map *map)
{
    for (size_t i = 0; i < map->primary_count; i++)
        if (map->nodes[map->primaries[i]].failed)
            return true;
    return false;
}

void topology_report(struct report *report, const struct worker *worker)
{
    const struct slot_map *map = worker->topology ? worker->topology->map : NULL;
    report->cluster = (struct report_cluster){-1, -1, -1, -1, -1, -1, -1};
    if (!worker->clustered || !map)
        return;
    report->cluster = (struct report_cluster){
        .ok = !map->holes && !map->contested && !primary_failed(map),
        .nodes = (int64_t)map->node_count,
        .primaries = (int64_t)map->primary_count,
        .bare = (int64_t)primaries_bare(map),
        .unowned = (int64_t)map->holes,
        .contested = (int64_t)map->contested,
        .moving = (int64_t)map->move_count,
    };
}

/* A letter is the first member of what its sender made. */
static void letters_free(struct list *letters)
{
    list_each_safe (it, letters)
        free(CONTAINER(it, struct confirm_mail, entry));
}

void topology_free(struct worker *worker)
{
    if (!worker->topology)
        return;
    letters_free(&worker->topology->asking);
    letters_free(&worker->topology->in_round);
    map_drop(worker->topology->map);
    free(worker->topology);
    worker->topology = NULL;
}
