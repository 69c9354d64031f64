/* control.c - respgate's own link to the backend: kept up even with no client there, so that a
 * backend that is away is known at once; asks for COMMAND to learn what the table lacks. */
#include "health.h"
#include "links.h"
#include "queues.h"
#include "stages.h"

static void command_done(struct req *req, struct link *link, struct str reply)
{
    struct worker *worker = link->pool->node->worker;
    (void)req;
    if (!reply.ptr)
        worker->commands_asked = 0; /* the link died: ask the next one */
    else if (reply.ptr[0] == '-')
        log_notice(link_who(link),
                   "COMMAND was refused, so only the built-in command table is used: %.*s",
                   (int)(reply.len > 200 ? 200 : reply.len - 3), reply.ptr + 1);
    else
        proxy_learn(worker->proxy, reply);
}

/* A link has become ready: a node's health is asked for before anything is sent to it. */
void control_ready(struct worker *worker)
{
    if (worker->index == 0 && worker->proxy->workers)
        control_tick(worker);
}

/* Each node is looked at over a link of respgate's own identity. */
static void nodes_tick(struct worker *worker)
{
    list_each (it, &worker->nodes) {
        struct node *node = CONTAINER(it, struct node, entry);
        if (node->gone)
            continue;
        struct pool *pool = pool_get(node, worker->identity_control, 2, 0, 0);
        pool->unused = loop_now(&worker->loop);
        pool_want_shared(pool);
        struct link *link = pool->shared;
        if (!link || link->state != LINK_READY || pool->noauth)
            continue;
        poller_tick(node, link);
        queues_tick(node, link);
    }
}

void control_tick(struct worker *worker)
{
    if (worker->draining)
        return;
    topology_tick(worker);
    nodes_tick(worker);
    sentinels_tick(worker);
    struct pool *pool = pool_get(worker->node, worker->identity_control, 2, 0, 0);
    pool->unused = loop_now(&worker->loop);
    pool_want_shared(pool);
    struct link *link = pool->shared;
    if (!link || link->state != LINK_READY || pool->noauth)
        return;
    functions_tick(worker, link);
    if (worker->commands_asked == link->id)
        return;
    worker->commands_asked = link->id;
    link_ask(link, span_copy("*1\r\n$7\r\nCOMMAND\r\n", 17), command_done, NULL);
}
