/* node.c - the backend as one worker sees it: up or down, backoff, circuit breaker, ticks. */
#include <stdio.h>
#include <stdlib.h>

#include "health.h"
#include "count.h"
#include "pool_private.h"

enum { BACKOFF_MIN_MS = 20, BACKOFF_MAX_MS = 1000 };

void node_up(struct node *node)
{
    node->failures = 0;
    node->retry_at = 0;
    node->ready_links++;
    if (node->is_up)
        return;
    node->is_up = true;
    node->db_limit = 0; /* it may be another server now */
    log_notice(NULL, "backend %s is up: %s %s (worker %u)", node->name, node->server, node->version,
               node->worker->index);
}

void node_failed(struct node *node, const char *reason)
{
    uint64_t delay = (uint64_t)BACKOFF_MIN_MS << (node->failures < 6 ? node->failures : 6);
    if (delay > BACKOFF_MAX_MS)
        delay = BACKOFF_MAX_MS;
    node->failures++;
    node->counts.dial_failures++;
    cluster_doubt(node->worker);
    node->retry_at = loop_now(&node->worker->loop) + delay / 2 + random_below((uint32_t)delay);
    if (node->ready_links == 0 && (node->is_up || node->failures == 1)) {
        log_error(NULL, "backend %s (%s) is unavailable: %s (worker %u)", node->name,
                  node->address.text, reason, node->worker->index);
        node->is_up = false;
    }
}

/* ---- circuit breaker
 * ----------------------------------------------------------------------------------
 *
 * closed -- breaker-errors timeouts in a row --> open: requests are answered with an error at once
 * open   -- a probe every breaker-probe, and any byte from the backend --> closed
 */

void node_timed_out(struct node *node)
{
    uint64_t limit = config_of(node)->backend.breaker_errors;
    node->timeouts++;
    cluster_doubt(node->worker);
    if (!limit || node->timeouts < limit || node->breaker_open)
        return;
    node->breaker_open = true;
    node->probe_at = loop_now(&node->worker->loop) + config_of(node)->backend.breaker_probe;
    log_error(NULL,
              "backend %s does not answer: circuit breaker open after %llu timeouts in a row "
              "(worker %u)",
              node->name, (unsigned long long)node->timeouts, node->worker->index);
}

void node_heard(struct node *node)
{
    node->timeouts = 0;
    if (likely(!node->breaker_open))
        return;
    node->breaker_open = false;
    log_notice(NULL, "backend %s answers again: circuit breaker closed (worker %u)", node->name,
               node->worker->index);
}

void breaker_tick(struct node *node, uint64_t now)
{
    if (!node->breaker_open || now < node->probe_at)
        return;
    node->probe_at = now + config_of(node)->backend.breaker_probe;
    list_each (it, &node->pools) {
        struct link *link = CONTAINER(it, struct pool, node_entry)->shared;
        if (!link || link->state != LINK_READY)
            continue;
        link_ask(link, span_copy("*1\r\n$4\r\nPING\r\n", 14), link_ignore, NULL);
        return;
    }
}

static char *copy_or_null(const char *text)
{
    return text ? xstrdup(text) : NULL;
}

struct node *node_new(struct worker *worker, const struct backend_address *address,
                      const char *name)
{
    struct node *node = xcalloc(1, sizeof(*node));
    node->worker = worker;
    snprintf(node->name, sizeof(node->name), "%s", name);
    node->health = health_of(worker->proxy, node->name);
    list_init(&node->pools);
    list_append(&worker->nodes, &node->entry);
    node->address = (struct node_address){
        .host = copy_or_null(address->host),
        .port = address->port,
        .path = copy_or_null(address->path),
        .text = xstrdup(address->text),
    };
    return node;
}

void nodes_of_config(struct worker *worker, struct snapshot *snapshot, struct list *nodes)
{
    const struct config *config = snapshot->config;
    const struct backend_address nowhere = {.text = "(the master is not known yet)"};
    bool sentinel = config->backend.mode == MODE_SENTINEL;
    for (size_t i = 0; i < config->backend.url_count; i++) {
        struct node *node =
            node_new(worker, sentinel ? &nowhere : &config->backend.url[i], "redis");
        list_remove(&node->entry);
        list_append(nodes, &node->entry);
        node->via = snapshot == worker->snapshot ? NULL : snapshot;
    }
}

static void text_set(char **text, const char *value)
{
    free(*text);
    *text = value && *value ? xstrdup(value) : NULL;
}

void node_address(struct node *node, const char *host, uint16_t port, const char *server_name,
                  const char *text)
{
    text_set(&node->address.host, host);
    text_set(&node->address.server_name, server_name);
    text_set(&node->address.text, text);
    node->address.port = port;
}

void node_relocate(struct node *node, const char *host, uint16_t port, const char *server_name,
                   const char *text)
{
    node_address(node, host, port, server_name, text);
    list_each (it, &node->pools)
        pool_close(CONTAINER(it, struct pool, node_entry), REASON_SURPLUS);
    node->retry_at = 0; /* what was learned of the place before means nothing here */
    node->timeouts = 0;
    node->breaker_open = node->no_hello = false;
    node->db_limit = 0;
}

void node_tick(struct node *node)
{
    uint64_t now = loop_now(&node->worker->loop);
    breaker_tick(node, now);
    list_each_safe (it, &node->pools) {
        struct pool *pool = CONTAINER(it, struct pool, node_entry);
        if (pool_tick(pool, now))
            continue;
        pool_close(pool, REASON_SURPLUS);
        if (list_empty(&pool->links) && list_empty(&pool->idle))
            pool_free(pool);
    }
}

/* One that left: what is in flight there ends, then it goes. */
void node_fade(struct node *node)
{
    if (node == node->worker->node)
        return;
    list_each_safe (it, &node->pools) {
        struct pool *pool = CONTAINER(it, struct pool, node_entry);
        if (pool_fade(pool))
            pool_free(pool);
    }
    if (list_empty(&node->pools))
        node_free(node);
}

void node_close(struct node *node)
{
    list_each_safe (it, &node->pools) {
        struct pool *pool = CONTAINER(it, struct pool, node_entry);
        parked_fail(pool, UINT64_MAX, "-ERR respgate: shutting down\r\n");
        pool_close(pool, REASON_DRAIN);
    }
}

void node_free(struct node *node)
{
    list_each_safe (it, &node->pools)
        pool_free(CONTAINER(it, struct pool, node_entry));
    counts_settle(node->worker);
    redirect_forget(node);
    list_remove(&node->entry);
    histogram_clear(&node->counts.latency);
    view_free(node->view);
    free(node->by_class);
    free(node->address.host);
    free(node->address.path);
    free(node->address.server_name);
    free(node->address.text);
    free(node);
}
