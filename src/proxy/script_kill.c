/* script_kill.c - [scripts] kill: what runs past request-timeout gets SCRIPT KILL or FUNCTION KILL,
 * on another link, since the backend reads no further where the script came from. */
#include "links.h"
#include "scripting.h"

/* A class of its own: on a link that clients share the order to kill would wait behind the script.
 */
enum { KILL_SLOT = 1 << 18 };  /* no client has it, and it is not READONLY_SLOT */
enum { KILL_EVERY_MS = 1000 }; /* a script that has written cannot be killed: no use in hurry */

static void kill_done(struct req *req, struct link *link, struct str reply)
{
    struct worker *worker = link->pool->node->worker;
    (void)req;
    if (reply.len && reply.ptr[0] == '+')
        count(worker, STAT_SCRIPTS_KILLED);
    else if (reply.len > 3 && strncmp(reply.ptr, "-NOTBUSY", 8) != 0)
        log_warn(link_who(link), "the script was not killed: %.*s",
                 (int)(reply.len > 200 ? 200 : reply.len - 3), reply.ptr + 1);
}

/* The longest a script at the head of a link has been waited for, in ms. */
static uint64_t script_age(const struct link *link, uint64_t now)
{
    const struct req *req = link->sent.head;
    if (!req || req->kind == REQ_INTERNAL || !(req->traits & TRAIT_SCRIPT) ||
        link->state != LINK_READY)
        return 0;
    uint64_t since = link->heard > req->since ? link->heard : req->since;
    return now > since ? now - since : 0;
}

static const struct link *slowest_script(const struct node *node, uint64_t now, uint64_t *age)
{
    const struct link *slowest = NULL;
    list_each (it, &node->pools)
        list_each (at, &CONTAINER(it, struct pool, node_entry)->links) {
            const struct link *link = CONTAINER(at, struct link, entry);
            if (script_age(link, now) > *age) {
                *age = script_age(link, now);
                slowest = link;
            }
        }
    return slowest;
}

static void node_kill(struct worker *worker, struct node *node, uint64_t now)
{
    uint64_t age = worker->snapshot->config->backend.request_timeout;
    /* Kept up while nothing is wrong: a busy backend lets nobody log in. */
    struct pool *pool = pool_get(node, worker->identity_control, 2, 0, KILL_SLOT);
    pool->unused = now;
    pool_want_shared(pool);
    const struct link *link = slowest_script(node, now, &age);
    if (!link || !pool->shared || pool->shared->state != LINK_READY || now < worker->kill_at)
        return;
    const struct req *req = link->sent.head;
    const struct command *command = command_by_id(worker->snapshot->commands, req->command);
    bool function = strncmp(command->name, "fcall", 5) == 0;
    worker->kill_at = now + KILL_EVERY_MS;
    log_warn(req->client ? client_who(req->client) : "a client that has left",
             "'%s' has run for %llu ms, longer than request-timeout: %s", command->name,
             (unsigned long long)age, function ? "FUNCTION KILL" : "SCRIPT KILL");
    static const char eval_kill[] = "*2\r\n$6\r\nSCRIPT\r\n$4\r\nKILL\r\n";
    static const char fcall_kill[] = "*2\r\n$8\r\nFUNCTION\r\n$4\r\nKILL\r\n";
    link_ask(pool->shared,
             function ? span_copy(fcall_kill, sizeof(fcall_kill) - 1)
                      : span_copy(eval_kill, sizeof(eval_kill) - 1),
             kill_done, NULL);
}

void script_kill_tick(struct worker *worker, uint64_t now)
{
    const struct config *config = worker->snapshot->config;
    if (!config->scripts.kill || !config->backend.request_timeout || worker->draining)
        return;
    list_each (it, &worker->nodes)
        node_kill(worker, CONTAINER(it, struct node, entry), now);
}
