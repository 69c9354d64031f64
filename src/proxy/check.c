/* check.c - respgate -t --connect: logs in to the backend as the configuration says, looks at its
 * own settings, and tells what is unwise there. */
#include <stdio.h>

#include "links.h"
#include "respgate/pressure.h"

enum { CHECK_LIMIT_MS = 5000 };

struct check {
    struct worker *worker;
    struct pool *pool;
    uint64_t until; /* loop ms: the end of patience */
    int64_t aof_min_size;
    bool asked, done, reached;
};
static struct check check; /* one a process: it runs and ends it */

static const char *setting(const struct tree *tree, const char *name)
{
    static char text[64];
    const struct tree *value = tree ? tree_get(tree, name) : NULL;
    if (!value || value->type != TREE_STRING)
        return NULL;
    snprintf(text, sizeof(text), "%.*s", (int)value->text.len, value->text.ptr);
    return text;
}

/* The advice of SHOW ADVICE, less what was said already. */
static void check_info(struct req *req, struct link *link, struct str reply)
{
    const struct config *config = check.worker->snapshot->config;
    struct settings settings = {.aof_min_size = check.aof_min_size,
                                .volume = config->pressure.aof_limit,
                                .queues = config->queue_count > 0};
    struct arena *arena = arena_new();
    const struct tree *tree = reply.ptr ? tree_parse(arena, reply.ptr, reply.len) : NULL;
    struct info info;
    (void)req;
    (void)link;
    check.done = true;
    if (tree && tree->type == TREE_STRING && info_parse(tree->text, &info)) {
        uint64_t bits = advice_judge(&info, &settings);
        for (enum advice advice = 0; advice < ADVICE_COUNT; advice++)
            if (bits >> advice & 1 && advice != ADVICE_MAXMEMORY)
                printf("backend: warning: %s\n", advice_text(advice));
    } else {
        printf("backend: its INFO cannot be read, so pressure is not known\n");
    }
    arena_free(arena);
}

static void check_settings(struct req *req, struct link *link, struct str reply)
{
    (void)req;
    (void)link;
    struct arena *arena = arena_new();
    const struct tree *tree = reply.ptr ? tree_parse(arena, reply.ptr, reply.len) : NULL;
    const char *memory = setting(tree, "maxmemory");
    if (!memory)
        printf("backend: its settings cannot be read (CONFIG GET is refused)\n");
    else if (strcmp(memory, "0") == 0)
        printf("backend: warning: maxmemory is 0: it grows until the machine has no memory left; "
               "set a limit\n");
    const char *policy = setting(tree, "maxmemory-policy");
    if (policy)
        printf("backend: maxmemory-policy is %s\n", policy);
    const char *append = setting(tree, "appendonly");
    if (append)
        printf("backend: appendonly is %s\n", append);
    const char *size = setting(tree, "auto-aof-rewrite-min-size");
    if (!size || !str_to_int(str_of(size), &check.aof_min_size))
        check.aof_min_size = INFO_UNKNOWN;
    arena_free(arena);
    link_ask(link, span_copy("*1\r\n$4\r\nINFO\r\n", 14), check_info, NULL);
}

static void check_tick(struct loop *loop)
{
    static const char question[] = "*6\r\n$6\r\nCONFIG\r\n$3\r\nGET\r\n$9\r\nmaxmemory\r\n"
                                   "$16\r\nmaxmemory-policy\r\n$10\r\nappendonly\r\n"
                                   "$25\r\nauto-aof-rewrite-min-size\r\n";
    struct worker *worker = check.worker;
    struct link *link = check.pool->shared;
    node_tick(worker->node);
    sentinels_tick(worker);
    check.pool->unused = loop_now(loop);
    pool_want_shared(check.pool);
    if (link && link->state == LINK_READY && !check.asked) {
        check.asked = check.reached = true;
        printf("backend: %s %s answers\n", worker->node->server, worker->node->version);
        if (!check.pool->identity->password && !check.pool->noauth)
            printf("backend: warning: it asks for no password\n");
        link_ask(link, span_copy(question, sizeof(question) - 1), check_settings, NULL);
    }
    if (check.pool->refusal[0] && !check.asked) {
        printf("backend: login refused: %s\n", check.pool->refusal);
        check.done = true;
    }
    if (check.done || loop_now(loop) > check.until)
        loop_stop(loop);
}

bool proxy_check_backend(struct snapshot *snapshot)
{
    static struct proxy proxy;
    static struct worker worker;
    proxy_init(&proxy, snapshot, NULL, &(struct config_overrides){0});
    proxy.workers = NULL;
    worker_init(&worker, &proxy, 0, check_tick);
    check.worker = &worker;
    check.pool = pool_get(worker.node, worker.identity_control, 2, 0, 0);
    check.until = loop_now(&worker.loop) + CHECK_LIMIT_MS;
    pool_want_shared(check.pool);
    loop_run(&worker.loop);
    if (!check.reached && !check.done)
        printf("backend: no answer from %s in %d ms\n", worker.node->address.text, CHECK_LIMIT_MS);
    worker.draining = true;
    sentinels_free(&worker);
    node_close(worker.node);
    worker_free(&worker);
    proxy_free(&proxy);
    return check.reached;
}
