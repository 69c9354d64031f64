/* auth.c - AUTH and HELLO: who a client is, to respgate and to the store.
 *
 * With [user] sections respgate checks clients itself. Without them credentials are tried alone on
 * a link of that identity, and when the store accepts them the client's commands run on its links.
 */
#include <stdio.h>
#include <stdlib.h>

#include "count.h"
#include "stages.h"

enum {
    VERIFIED_MS = 60 * 1000, /* an accepted login is believed so long without asking the store */
    FAILURE_WINDOW_MS = 10 * 1000,
    FAILURES_FREE = 5, /* in that window; each further try waits */
    FAILURE_WAIT_MS = 1000,
    FAILURE_ADDRESSES = 10000,
};
static const char wrong_pass[] = "WRONGPASS invalid username-password pair or user is disabled.";
static const char hello_noauth[] =
    "NOAUTH HELLO must be called with the client already authenticated, otherwise the HELLO "
    "AUTH <user> <pass> option can be used to authenticate the client and select the RESP protocol "
    "version at the same time";

bool client_authenticated(const struct client *client)
{
    if (client->worker->snapshot->config->user_count)
        return client->authenticated;
    return !client->pool || !client->pool->noauth;
}

/* What is answered here must not be answered to someone the store would not let in. While no link
 * of the class has been there, that is not known: such a command waits for one. */
bool auth_unknown(struct client *client)
{
    if (client->worker->snapshot->config->user_count)
        return false;
    return pool_verify(client->pool, client) == POOL_WAIT;
}

void client_set_identity(struct client *client, struct identity *identity, const char *user)
{
    user_count(client);
    struct identity *old = client->identity;
    client->identity = identity_hold(identity);
    identity_drop(old);
    free(client->user_name);
    client->user_name = user ? xstrdup(user) : NULL;
    client->user_at = 0;
    client->subject.user = client->user_name ? str_of(client->user_name) : (struct str){"", 0};
    client->rules_generation = 0;
}

static void user_forget(struct client *client)
{
    if (client->user_counted)
        tally_remove(client->worker->proxy->users, str_of(client->user_counted));
    free(client->user_counted);
    client->user_counted = NULL;
    client->authenticated = client->user_admin = false;
}

void auth_forget(struct client *client)
{
    user_forget(client);
    identity_drop(client->identity);
    client->identity = NULL;
}

/* ---- failures by address ---- */

struct auth_failure {
    struct list node; /* oldest first */
    struct address address;
    uint64_t since;
    unsigned count;
};

static bool same_address(const struct address *a, const struct address *b)
{
    return a->is_unix == b->is_unix && a->is_ipv6 == b->is_ipv6 &&
           memcmp(a->ip, b->ip, a->is_ipv6 ? 8 : 4) == 0; /* IPv6: a /64 is one person */
}

static struct auth_failure *failure_find(struct worker *worker, const struct address *address)
{
    uint64_t now = loop_now(&worker->loop);
    list_each_safe (it, &worker->auth_failures) {
        struct auth_failure *failure = CONTAINER(it, struct auth_failure, node);
        if (now > failure->since + FAILURE_WINDOW_MS) {
            list_remove(it);
            worker->auth_failure_count--;
            free(failure);
        } else if (same_address(&failure->address, address)) {
            return failure;
        }
    }
    return NULL;
}

static void auth_failed(struct client *client)
{
    struct worker *worker = client->worker;
    struct auth_failure *failure = failure_find(worker, &client->subject.address);
    count(worker, STAT_AUTH_FAILURES);
    log_notice(client_who(client), "authentication failed");
    if (!failure) {
        if (worker->auth_failure_count >= FAILURE_ADDRESSES)
            return;
        failure = xcalloc(1, sizeof(*failure));
        failure->address = client->subject.address;
        failure->since = loop_now(&worker->loop);
        worker->auth_failure_count++;
        list_append(&worker->auth_failures, &failure->node);
    }
    failure->count++;
}

void auth_failures_free(struct worker *worker)
{
    list_each_safe (it, &worker->auth_failures)
        free(CONTAINER(it, struct auth_failure, node));
    list_init(&worker->auth_failures);
}

/* True: the try has to wait first. Once for each try. */
static bool auth_throttled(struct client *client, struct call *call)
{
    struct auth_failure *failure = failure_find(client->worker, &client->subject.address);
    if (call->throttled || !failure || failure->count < FAILURES_FREE)
        return false;
    call->throttled = true;
    client->wait_until = loop_now(&client->worker->loop) + FAILURE_WAIT_MS;
    client_wait(client, WAIT_TIME);
    return true;
}

/* ---- respgate's own users ---- */

static const struct config_user *user_find(const struct config *config, struct str name)
{
    for (size_t i = 0; i < config->user_count; i++)
        if (str_equal(str_of(config->users[i].name), name))
            return &config->users[i];
    return NULL;
}

static bool user_password_fits(const struct config_user *user, struct str password)
{
    char hex[DIGEST_SIZE * 2 + 1];
    bool fits = false;
    digest_hex(password, hex);
    for (size_t i = 0; user && i < user->password_sha256.count; i++)
        fits |= digest_equal(user->password_sha256.items[i].ptr, hex, DIGEST_SIZE * 2);
    return fits;
}

static struct identity *user_identity(struct worker *worker, const struct config_user *user)
{
    if (!user->backend_username && !user->backend_password)
        return identity_hold(worker->identity_backend);
    return identity_get(worker, user->backend_username,
                        str_of(user->backend_password ? user->backend_password : ""));
}

/* Makes the client that user. False: the user has too many clients. */
static bool user_login(struct client *client, const struct config_user *user)
{
    struct worker *worker = client->worker;
    if (!client->user_counted || strcmp(client->user_counted, user->name) != 0) {
        if (!tally_add(worker->proxy->users, str_of(user->name), user->max_clients))
            return false;
        user_forget(client);
        client->user_counted = xstrdup(user->name);
    }
    struct identity *identity = user_identity(worker, user);
    client_set_identity(client, identity, user->name);
    identity_drop(identity);
    client->authenticated = true;
    client->user_admin = user->admin;
    client->user_max_pinned = user->max_pinned_links;
    return true;
}

static void user_by_certificate(struct client *client)
{
    const struct config *config = client->worker->snapshot->config;
    struct str subject = tls_peer_subject(client->conn.tls);
    struct str name = tls_peer_common_name(client->conn.tls);
    for (size_t i = 0; i < config->user_count; i++) {
        const char *want = config->users[i].tls_subject;
        if (!want || (!str_equal(str_of(want), subject) && !str_equal(str_of(want), name)))
            continue;
        if (!user_login(client, &config->users[i])) {
            log_warn(client_who(client), "%s", reason_text(REASON_USER_LIMIT));
            client_leave(client, REASON_USER_LIMIT);
        }
        return;
    }
}

/* Who a client is before it says anything, and after RESET. */
void auth_initial(struct client *client)
{
    struct worker *worker = client->worker;
    const struct config *config = worker->snapshot->config;
    bool backend = !config->user_count && config->proxy.anonymous == ANONYMOUS_BACKEND;
    user_forget(client);
    client_set_identity(client, backend ? worker->identity_backend : worker->identity_none, NULL);
    if (config->user_count && client->conn.tls)
        user_by_certificate(client);
    pool_join(client, pool_get(worker->node, client->identity, client->resp, client->db,
                               client_slot(client)));
}

/* ---- AUTH and HELLO ---- */

struct login {
    int resp;
    bool has_auth;
    struct str username, password;  /* username.ptr NULL: AUTH password */
    const struct config_user *user; /* respgate's own, once the password fits */
    const struct str *name;         /* SETNAME */
};

enum login_result { LOGIN_OK, LOGIN_PARKED, LOGIN_FAILED };

static enum login_result login_fail(struct client *client, const char *error)
{
    client_reply_error(client, "%s", error);
    return LOGIN_FAILED;
}

/* respgate's own check. Changes nothing yet: the store may still refuse. */
static enum login_result login_own(struct client *client, struct call *call, struct login *login)
{
    const struct config *config = client->worker->snapshot->config;
    if (!login->has_auth)
        return client->authenticated ? LOGIN_OK : login_fail(client, hello_noauth);
    if (auth_throttled(client, call))
        return LOGIN_PARKED;
    const struct config_user *user =
        user_find(config, login->username.ptr ? login->username : STR("default"));
    if (!user_password_fits(user, login->password)) {
        auth_failed(client);
        return login_fail(client, wrong_pass);
    }
    login->user = user;
    return LOGIN_OK;
}

/* Credentials go to the store as they are, on a link of their own. Redis takes an empty password
 * and any length; NUL bytes cannot be kept in our strings and no password has them. */
static struct identity *login_identity(struct client *client, const struct login *login)
{
    char *username = NULL;
    if (login->user)
        return user_identity(client->worker, login->user);
    if (!login->has_auth)
        return identity_hold(client->identity);
    if (memchr(login->password.ptr, 0, login->password.len) ||
        (login->username.ptr && memchr(login->username.ptr, 0, login->username.len)))
        return NULL;
    if (login->username.ptr) {
        username = xmalloc(login->username.len + 1);
        memcpy(username, login->username.ptr, login->username.len);
        username[login->username.len] = '\0';
    }
    struct identity *identity = identity_get(client->worker, username, login->password);
    free(username);
    return identity;
}

/* Whether the store need not be asked: it accepted this login a moment ago, or it is respgate's own
 * user, whose links log in by themselves, and the store is known to speak the version asked for. */
static bool login_known(const struct client *client, const struct login *login,
                        const struct identity *identity)
{
    uint64_t now = loop_now(&client->worker->loop);
    bool seen = client->worker->node->version[0] != '\0';
    if (login->user && (seen || login->resp == client->resp))
        return true;
    return seen && identity->verified && now < identity->verified + VERIFIED_MS;
}

/* All at once: who the client is, and the class of links that goes with it. */
static enum login_result login_apply(struct client *client, const struct login *login,
                                     struct identity *identity)
{
    if (login->user && !user_login(client, login->user))
        return login_fail(client, "ERR max number of clients of this user reached");
    if (login->has_auth && !login->user)
        client_set_identity(client, identity, identity->username ? identity->username : "default");
    if (client->pins)
        return LOGIN_OK; /* a HELLO that changes nothing */
    client->resp = (uint8_t)login->resp;
    pool_join(client, pool_get(client->worker->node, client->identity, client->resp, client->db,
                               client_slot(client)));
    return LOGIN_OK;
}

static enum login_result login_store(struct client *client, struct call *call,
                                     const struct login *login)
{
    struct identity *identity = login_identity(client, login);
    if (!identity)
        return login_fail(client, wrong_pass);
    struct pool *pool =
        pool_get(client->worker->node, identity, login->resp, client->db, client_slot(client));
    enum login_result result = LOGIN_FAILED;
    bool known = call->phase == 0 && login_known(client, login, identity);
    switch (known ? POOL_READY : pool_verify(pool, client)) {
    case POOL_WAIT: result = LOGIN_PARKED; break;
    case POOL_READY: result = login_apply(client, login, identity); break;
    case POOL_REFUSED:
        if (login->has_auth)
            auth_failed(client);
        client_reply_error(client, "%s", pool->refusal);
        break;
    case POOL_FULL:
    case POOL_AWAY: client_reply_away(client); break;
    }
    identity_drop(identity);
    return result;
}

static enum login_result login_run(struct client *client, struct call *call, struct login *login)
{
    if (client->queue.head) { /* they run as who the client was; then its pins are settled too */
        client_wait(client, WAIT_DRAIN);
        return LOGIN_PARKED;
    }
    if (client->pins && (login->has_auth || login->resp != client->resp))
        return login_fail(client, "ERR respgate: AUTH and HELLO cannot change a connection that "
                                  "watches, subscribes or tracks");
    if (client->worker->snapshot->config->user_count) {
        enum login_result result = login_own(client, call, login);
        if (result != LOGIN_OK)
            return result;
    } else if (login->has_auth && auth_throttled(client, call)) {
        return LOGIN_PARKED;
    }
    return login_store(client, call, login);
}

enum step auth_run(struct client *client, struct call *call)
{
    const struct str *argv = call->request.argv;
    size_t argc = call->request.argc;
    if (argc > 3) {
        client_reply_text(client, "-ERR syntax error\r\n");
        return ANSWERED;
    }
    struct login login = {.resp = client->resp, .has_auth = true};
    if (argc == 3)
        login.username = argv[1];
    login.password = argv[argc - 1];
    switch (login_run(client, call, &login)) {
    case LOGIN_PARKED: return PARKED;
    case LOGIN_FAILED: return ANSWERED;
    case LOGIN_OK: client_reply_text(client, "+OK\r\n"); return ANSWERED;
    }
    return ANSWERED;
}

/* The options as Redis reads them (networking.c, helloCommand). False: an error was answered. */
static bool hello_options(struct client *client, const struct call *call, struct login *login)
{
    const struct str *argv = call->request.argv;
    size_t argc = call->request.argc;
    int64_t version = login->resp;
    if (argc >= 2) {
        if (!str_to_int(argv[1], &version)) {
            client_reply_text(client,
                              "-ERR Protocol version is not an integer or out of range\r\n");
            return false;
        }
        if (version < 2 || version > 3) {
            client_reply_text(client, "-NOPROTO unsupported protocol version\r\n");
            return false;
        }
    }
    login->resp = (int)version;
    for (size_t i = 2; i < argc; i++) {
        size_t more = argc - 1 - i;
        if (str_equal_nocase(argv[i], STR("AUTH")) && more >= 2) {
            login->has_auth = true;
            login->username = argv[i + 1];
            login->password = argv[i + 2];
            i += 2;
        } else if (str_equal_nocase(argv[i], STR("SETNAME")) && more >= 1) {
            login->name = &argv[++i];
            if (!client_name_valid(*login->name)) {
                client_reply_text(client, CLIENT_NAME_ERROR);
                return false;
            }
        } else {
            client_reply_error(client, "ERR Syntax error in HELLO option '%.*s'", (int)argv[i].len,
                               argv[i].ptr);
            return false;
        }
    }
    return true;
}

static void hello_reply(struct client *client)
{
    const struct node *node = client->worker->node;
    struct buf buf = {0};
    int resp = client->resp;
    write_map(&buf, 7, resp);
    write_bulk(&buf, STR("server"));
    write_bulk(&buf, str_of(node->server[0] ? node->server : "redis"));
    write_bulk(&buf, STR("version"));
    write_bulk(&buf, str_of(node->version[0] ? node->version : "0.0.0"));
    write_bulk(&buf, STR("proto"));
    write_int(&buf, resp);
    write_bulk(&buf, STR("id"));
    write_int(&buf, (int64_t)client->id);
    write_bulk(&buf, STR("mode"));
    write_bulk(&buf, STR("standalone"));
    write_bulk(&buf, STR("role"));
    write_bulk(&buf, STR("master"));
    write_bulk(&buf, STR("modules"));
    write_array(&buf, 0);
    client_reply(client, &buf);
    buf_free(&buf);
}

enum step hello_run(struct client *client, struct call *call)
{
    struct login login = {.resp = client->resp};
    if (!hello_options(client, call, &login))
        return ANSWERED;
    switch (login_run(client, call, &login)) {
    case LOGIN_PARKED: return PARKED;
    case LOGIN_FAILED: return ANSWERED;
    case LOGIN_OK: break;
    }
    if (client->pool->noauth) { /* there is a link, but the store has not let it in */
        client_reply_error(client, "%s", hello_noauth);
        return ANSWERED;
    }
    if (login.name)
        client_set_name(client, *login.name);
    hello_reply(client);
    return ANSWERED;
}
