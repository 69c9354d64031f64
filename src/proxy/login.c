/* login.c - what a link says before it serves: HELLO with its identity, RESP version, db.
 *
 * All steps are written at once, but nobody's request follows before the last is answered: a
 * login that fails must not let anything through under another identity.
 */
#include <stdio.h>

#include "links.h"

static struct worker *link_worker(const struct link *link)
{
    return link->pool->node->worker;
}

static struct span command_span(size_t argc, const struct str *argv)
{
    struct buf buf = {0};
    write_command(&buf, argc, argv);
    struct span span = span_copy(buf.ptr, buf.len);
    secret_wipe(buf.ptr, buf.len);
    buf_free(&buf);
    return span;
}

static void login_refused(struct link *link, struct str error)
{
    if (link->refused)
        return;
    link->refused = true;
    if (link->retry_login)
        return;
    size_t len = error.len;
    while (len && (error.ptr[len - 1] == '\n' || error.ptr[len - 1] == '\r'))
        len--;
    struct pool *pool = link->pool;
    snprintf(pool->refusal, sizeof(pool->refusal), "%.*s", (int)(len ? len - 1 : 0),
             len ? error.ptr + 1 : "");
}

static void login_finish(struct link *link)
{
    if (--link->login_steps > 0 || link->state == LINK_CLOSED)
        return;
    if (link->retry_login) {
        link->retry_login = false;
        link_login(link);
        return;
    }
    if (link->refused) {
        pool_link_refused(link);
        return;
    }
    link->state = LINK_READY;
    link->dirty = false;
    link->subscribed = 0;
    pool_link_ready(link);
}

static bool by_sentinel(const struct link *link)
{
    return config_of(link->pool->node)->backend.mode == MODE_SENTINEL;
}

/* Behind sentinels a node that says it is no master is never written to, whoever named it. */
static void role_check(struct link *link, const struct tree *role)
{
    if (by_sentinel(link) && role && !str_equal(role->text, STR("master")))
        link_close(link, REASON_NO_MASTER, NULL);
}

static void login_role_done(struct req *req, struct link *link, struct str reply)
{
    (void)req;
    if (!reply.ptr)
        return;
    struct arena *arena = arena_new();
    const struct tree *tree = tree_parse(arena, reply.ptr, reply.len);
    role_check(link, tree && tree->type == TREE_ARRAY && tree->count ? &tree->items[0] : NULL);
    arena_free(arena);
    login_finish(link);
}

static void login_hello_facts(struct link *link, struct str reply)
{
    struct node *node = link->pool->node;
    struct arena *arena = arena_new();
    const struct tree *tree = tree_parse(arena, reply.ptr, reply.len);
    const struct tree *id = tree ? tree_get(tree, "id") : NULL;
    const struct tree *version = tree ? tree_get(tree, "version") : NULL;
    const struct tree *server = tree ? tree_get(tree, "server") : NULL;
    if (id && id->type == TREE_INT)
        link->backend_id = (uint64_t)id->integer;
    if (version)
        snprintf(node->version, sizeof(node->version), "%.*s", (int)version->text.len,
                 version->text.ptr);
    const struct tree *mode = tree ? tree_get(tree, "mode") : NULL;
    cluster_mode(node, mode && str_equal(mode->text, STR("cluster")));
    role_check(link, tree ? tree_get(tree, "role") : NULL);
    if (server)
        snprintf(node->server, sizeof(node->server), "%.*s", (int)server->text.len,
                 server->text.ptr);
    arena_free(arena);
}

static void login_hello_done(struct req *req, struct link *link, struct str reply)
{
    (void)req;
    if (!reply.ptr)
        return;
    if (reply.ptr[0] != '-') {
        login_hello_facts(link, reply);
    } else if (reply.len > 8 && memcmp(reply.ptr, "-NOAUTH ", 8) == 0 &&
               !link->pool->identity->password && link->pool->resp == 2 && link->pool->db == 0) {
        link->pool->noauth = true; /* as a client that has not logged in: every reply is NOAUTH */
    } else if (reply.len > 20 && memcmp(reply.ptr, "-ERR unknown command", 20) == 0) {
        link->pool->node->no_hello = true; /* before Redis 6: AUTH alone */
        cluster_mode(link->pool->node, false);
        link->retry_login = true;
    } else {
        login_refused(link, reply);
    }
    login_finish(link);
}

static void login_step_done(struct req *req, struct link *link, struct str reply)
{
    (void)req;
    if (!reply.ptr)
        return;
    if (reply.ptr[0] == '-')
        login_refused(link, reply);
    login_finish(link);
}

static void login_step(struct link *link, size_t argc, const struct str *argv,
                       void (*done)(struct req *, struct link *, struct str))
{
    link->login_steps++;
    link_ask(link, command_span(argc, argv), done, NULL);
}

void link_login(struct link *link)
{
    const struct pool *pool = link->pool;
    const struct identity *identity = pool->identity;
    bool hello = !pool->node->no_hello;
    bool name = identity->username != NULL;
    char db[16];
    link->state = LINK_LOGIN;
    link->refused = false;
    link->pool->noauth = false;
    link->login_steps = 1; /* of our own: nothing finishes before all steps are asked */
    if (identity->password && (!hello || !name)) {
        /* A password alone is sent as AUTH has it: the store's answer to it is the client's. */
        struct str auth[] = {STR("AUTH"), str_of(name ? identity->username : identity->password),
                             str_of(identity->password)};
        login_step(link, name ? 3 : 2, auth, login_step_done);
    }
    if (hello) {
        struct str argv[] = {STR("HELLO"),
                             STR("2"),
                             STR("SETNAME"),
                             STR("respgate"),
                             STR("AUTH"),
                             str_of(name ? identity->username : ""),
                             str_of(name ? identity->password : "")};
        login_step(link, name ? 7 : 4, argv, login_hello_done);
    }
    if (!hello && by_sentinel(link)) { /* HELLO tells it too */
        struct str role[] = {STR("ROLE")};
        login_step(link, ARRAY_LEN(role), role, login_role_done);
    }
    if (pool->resp == 3) {
        struct str hello3[] = {STR("HELLO"), STR("3")};
        login_step(link, ARRAY_LEN(hello3), hello3, login_step_done);
    }
    if (pool->class->slot & READONLY_SLOT) {
        struct str readonly[] = {STR("READONLY")};
        login_step(link, ARRAY_LEN(readonly), readonly, login_step_done);
    }
    if (pool->db) {
        snprintf(db, sizeof(db), "%d", pool->db);
        struct str select[] = {STR("SELECT"), str_of(db)};
        login_step(link, ARRAY_LEN(select), select, login_step_done);
    }
    login_finish(link);
}

static void reset_done(struct req *req, struct link *link, struct str reply)
{
    (void)req;
    if (!reply.ptr || link->state == LINK_CLOSED)
        return;
    if (!str_equal(reply, STR("+RESET\r\n"))) /* refused, or not its reply at all */
        link_close(link, REASON_DIRTY, "RESET was not answered as it should be");
    else
        link_login(link);
}

void link_reset(struct link *link)
{
    struct str reset[] = {STR("RESET")};
    link->state = LINK_RESETTING;
    link->since = loop_now(&link_worker(link)->loop);
    link_ask(link, command_span(1, reset), reset_done, NULL);
}
