/*
 * queue_poll.c - looks at the declared queues: type, length, and of streams the groups.
 *
 *   TYPE -> XLEN | LLEN | ZCARD -> (stream) XINFO GROUPS -> XINFO CONSUMERS each
 *                                                        -> XINFO STREAM, where a lag is nil
 *
 * Redis tells no lag of a group that was set to an arbitrary place, or behind deleted entries: then
 * it is estimated from the time in the ids, as a part of the length, and marked.
 */
#include <stdio.h>
#include <stdlib.h>

#include "links.h"
#include "queues.h"

enum { HURRY_MS = 100, GROUPS_MAX = 16, DEAD_IDLE_MS = 5 * 60 * 1000 };

/* One question about one key, under way. */
struct look {
    char queue[44]; /* its name, for the log */
    struct queue_key *key;
    void (*done)(struct look *look, struct link *link, const struct tree *tree);
    uint64_t max_length, total;
    char name[44]; /* where a group has got to */
};

static void look_finish(struct queue_key *key);

static void look_done(struct req *req, struct link *link, struct str reply)
{
    struct look *look = req->context;
    struct arena *arena = arena_new();
    const struct tree *tree = reply.ptr ? tree_parse(arena, reply.ptr, reply.len) : NULL;
    if (tree && tree->type != TREE_ERROR)
        look->done(look, link, tree);
    if (--look->key->asking == 0)
        look_finish(look->key);
    arena_free(arena);
    free(look);
}

static void look_ask(const struct look *from, struct link *link, size_t argc,
                     const struct str *argv,
                     void (*done)(struct look *, struct link *, const struct tree *))
{
    struct look *look = xmalloc(sizeof(*look));
    struct buf buf = {0};
    *look = *from;
    look->done = done;
    look->key->asking++;
    write_command(&buf, argc, argv);
    link_ask(link, span_copy(buf.ptr, buf.len), look_done, look);
    buf_free(&buf);
}

static struct str key_name(const struct queue_key *key)
{
    return (struct str){key->name, key->name_len};
}

static uint64_t number_in(const struct tree *tree, const char *name)
{
    const struct tree *value = tree_get(tree, name);
    return value && value->type == TREE_INT && value->integer > 0 ? (uint64_t)value->integer : 0;
}

static void raise_to(uint64_t *most, uint64_t value)
{
    if (value > *most)
        *most = value;
}

/* ---- streams ---- */

/* The milliseconds of "1700000000000-3". */
static double id_time(struct str id)
{
    double time = 0;
    for (size_t i = 0; i < id.len && id.ptr[i] >= '0' && id.ptr[i] <= '9'; i++)
        time = time * 10 + (id.ptr[i] - '0');
    return time;
}

static uint64_t lag_estimate(struct str first, struct str last, struct str delivered,
                             uint64_t length)
{
    double span = id_time(last) - id_time(first), behind = id_time(last) - id_time(delivered);
    if (str_equal(last, delivered) || behind < 0)
        return 0;
    if (span <= 0 || behind >= span)
        return length;
    return (uint64_t)(behind / span * (double)length) + 1;
}

/* look->name is the id the group has got to. */
static void stream_done(struct look *look, struct link *link, const struct tree *tree)
{
    const struct tree *last = tree_get(tree, "last-generated-id");
    const struct tree *first = tree_get(tree, "first-entry");
    uint64_t length = number_in(tree, "length");
    (void)link;
    if (!last || last->type != TREE_STRING)
        return;
    struct str from = length && first && first->type == TREE_ARRAY && first->count
                          ? first->items[0].text
                          : last->text;
    uint64_t lag = length ? lag_estimate(from, last->text, str_of(look->name), length) : 0;
    raise_to(&look->key->seen.lag, lag);
}

static void consumers_done(struct look *look, struct link *link, const struct tree *tree)
{
    (void)link;
    for (size_t i = 0; tree->type == TREE_ARRAY && i < tree->count; i++) {
        bool stuck = number_in(&tree->items[i], "pending") > 0;
        look->key->seen.dead += stuck && number_in(&tree->items[i], "idle") > DEAD_IDLE_MS;
    }
}

static void group_look(struct look *look, struct link *link, const struct tree *group)
{
    struct queue_facts *seen = &look->key->seen;
    const struct tree *lag = tree_get(group, "lag"), *name = tree_get(group, "name");
    const struct tree *delivered = tree_get(group, "last-delivered-id");
    seen->groups++;
    seen->consumers += number_in(group, "consumers");
    raise_to(&seen->pending, number_in(group, "pending"));
    if (lag && lag->type == TREE_INT) {
        raise_to(&seen->lag, number_in(group, "lag"));
    } else if (delivered && delivered->type == TREE_STRING) {
        struct str argv[] = {STR("XINFO"), STR("STREAM"), key_name(look->key)};
        seen->lag_estimated = 1;
        snprintf(look->name, sizeof(look->name), "%.*s", (int)delivered->text.len,
                 delivered->text.ptr);
        look_ask(look, link, ARRAY_LEN(argv), argv, stream_done);
    }
    if (name && name->type == TREE_STRING && seen->groups <= GROUPS_MAX) {
        struct str argv[] = {STR("XINFO"), STR("CONSUMERS"), key_name(look->key), name->text};
        look_ask(look, link, ARRAY_LEN(argv), argv, consumers_done);
    }
}

static void groups_done(struct look *look, struct link *link, const struct tree *tree)
{
    for (size_t i = 0; tree->type == TREE_ARRAY && i < tree->count; i++)
        if (tree->items[i].type == TREE_ARRAY)
            group_look(look, link, &tree->items[i]);
}

/* ---- length ---- */

static void trim_done(struct look *look, struct link *link, const struct tree *tree)
{
    (void)link;
    if (tree->type == TREE_INT && tree->integer > 0)
        log_warn(NULL,
                 "queue '%s' was full: the oldest %lld entries of '%s' were dropped, read or not "
                 "(on-full = trim)",
                 look->queue, (long long)tree->integer, look->key->name);
}

/* Each stream keeps its share of what the queue may hold. */
static void trim(struct look *look, struct link *link, uint64_t length)
{
    char keep[24];
    unsigned __int128 share = (unsigned __int128)length * look->max_length / look->total;
    snprintf(keep, sizeof(keep), "%llu", (unsigned long long)share);
    struct str argv[] = {STR("XTRIM"), key_name(look->key), STR("MAXLEN"), STR("~"), str_of(keep)};
    look_ask(look, link, ARRAY_LEN(argv), argv, trim_done);
}

static void length_done(struct look *look, struct link *link, const struct tree *tree)
{
    struct queue_key *key = look->key;
    uint64_t length = tree->type == TREE_INT && tree->integer > 0 ? (uint64_t)tree->integer : 0;
    gauge_look(&key->entries, length, key->mark);
    if (key->seen.type != QUEUE_STREAM)
        return;
    struct str argv[] = {STR("XINFO"), STR("GROUPS"), key_name(key)};
    look_ask(look, link, ARRAY_LEN(argv), argv, groups_done);
    if (look->total < length)
        look->total = length;
    if (look->max_length && look->total > look->max_length)
        trim(look, link, length);
}

static void type_done(struct look *look, struct link *link, const struct tree *tree)
{
    static const struct {
        struct str type;
        enum queue_type is;
        struct str length;
    } types[] = {
        {{"stream", 6}, QUEUE_STREAM, {"XLEN", 4}},
        {{"list", 4}, QUEUE_LIST, {"LLEN", 4}},
        {{"zset", 4}, QUEUE_ZSET, {"ZCARD", 5}},
        {{"none", 4}, QUEUE_ABSENT, {NULL, 0}},
    };
    struct queue_key *key = look->key;
    key->seen = (struct queue_facts){.type = QUEUE_OTHER};
    key->mark = gauge_mark(&key->entries);
    for (size_t i = 0; i < ARRAY_LEN(types); i++) {
        if (tree->type != TREE_STATUS || !str_equal(tree->text, types[i].type))
            continue;
        key->seen.type = types[i].is;
        struct str argv[] = {types[i].length, key_name(key)};
        if (types[i].length.len)
            look_ask(look, link, ARRAY_LEN(argv), argv, length_done);
    }
    if (key->seen.type == QUEUE_ABSENT || key->seen.type == QUEUE_OTHER)
        gauge_look(&key->entries, 0, key->mark);
    if (key->seen.type == QUEUE_OTHER && !key->said_other)
        log_warn(NULL, "queue '%s': '%s' is neither stream nor list nor sorted set", look->queue,
                 key->name);
    key->said_other = key->seen.type == QUEUE_OTHER;
}

/* All answers of a look are there. */
static void look_finish(struct queue_key *key)
{
    uint64_t *to = (uint64_t *)&key->facts;
    const uint64_t *from = (const uint64_t *)&key->seen;
    for (size_t i = 0; i < sizeof(key->facts) / sizeof(*to); i++)
        __atomic_store_n(&to[i], from[i], __ATOMIC_RELAXED);
}

/* ---- warnings ---- */

static void warn_once(const struct queue *queue, const struct queue_key *key, bool *said,
                      uint64_t value, uint64_t limit, const char *what)
{
    bool over = limit && value > limit;
    if (over && !*said)
        log_warn(NULL, "queue '%s': %llu entries %s in '%s', warned of above %llu", queue->name,
                 (unsigned long long)value, what, key->name, (unsigned long long)limit);
    else if (!over && *said)
        log_notice(NULL, "queue '%s': %llu entries %s in '%s', no longer above %llu", queue->name,
                   (unsigned long long)value, what, key->name, (unsigned long long)limit);
    *said = over;
}

void queue_warn(const struct queue *queue, struct queue_key *key)
{
    const struct queue_facts *facts = &key->facts;
    if (key == queue->keys[0])
        warn_once(queue, key, &key->said_length, queue_length(queue), queue->warn_length, "wait");
    warn_once(queue, key, &key->said_pending, facts->pending, queue->warn_pending,
              "are delivered and not acknowledged");
    warn_once(queue, key, &key->said_lag, facts->lag, queue->warn_lag,
              facts->lag_estimated ? "(estimated) are not delivered yet" : "are not delivered yet");
    if (facts->dead && !key->said_dead)
        log_warn(NULL,
                 "queue '%s': %llu consumers of '%s' hold entries and have asked for none in "
                 "5 minutes",
                 queue->name, (unsigned long long)facts->dead, key->name);
    key->said_dead = facts->dead > 0;
}

/* ---- time ---- */

static void key_tick(const struct queue *queue, struct queue_key *key, struct link *link,
                     uint64_t now, uint64_t poll)
{
    bool hurry = __atomic_load_n(&key->hurry, __ATOMIC_RELAXED);
    if (hurry && poll > HURRY_MS)
        poll = HURRY_MS;
    if (key->asking || (key->asked && now < key->asked + poll))
        return;
    queue_warn(queue, key); /* of the look before */
    key->asked = now;
    __atomic_store_n(&key->hurry, 0, __ATOMIC_RELAXED);
    struct look look = {.key = key, .total = queue_length(queue)};
    snprintf(look.queue, sizeof(look.queue), "%s", queue->name);
    look.max_length = queue->trims ? queue->max_length : 0;
    struct str argv[] = {STR("TYPE"), key_name(key)};
    look_ask(&look, link, ARRAY_LEN(argv), argv, type_done);
}

void queues_tick(struct node *node, struct link *link)
{
    struct worker *worker = node->worker;
    const struct queue_plan *plan = pressure_queues(worker->snapshot->pressure);
    uint64_t now = loop_now(&worker->loop);
    for (size_t i = 0; i < plan->queue_count; i++)
        for (size_t j = 0; j < plan->queues[i].key_count; j++)
            if (cluster_node_of_key(worker, key_name(plan->queues[i].keys[j])) == node)
                key_tick(&plan->queues[i], plan->queues[i].keys[j], link, now,
                         worker->snapshot->config->pressure.stream_poll);
}
