/* check.c - what no option can tell alone: contradictions, and changes a reload cannot make. */
#include "option.h"

enum { PREFIX_DECLARED_MAX = 256, PREFIXES_DECLARED_MAX = 10000 };

struct where option_where(const struct config *config, enum section_id section, const char *key)
{
    const struct option *option = option_find(section, str_of(key));
    ASSERT(option);
    struct where where = config->set[option_index(option)];
    return where.file ? where : (struct where){config->file, 0};
}

/* ---- limits ---- */

/* A value that must not be above another one of the same section. Left at its default it may be:
 * who only lowers the large one has said enough. A large one of 0 is no limit. */
static const struct order {
    enum section_id section;
    const char *small, *large;
} orders[] = {
    {SECTION_PROXY, "max-value-size", "max-request-size"},
    {SECTION_PROXY, "max-key-size", "max-request-size"},
    {SECTION_PROXY, "client-output-soft-limit", "client-output-limit"},
    {SECTION_BACKEND, "links", "max-links"},
};

static void check_orders(const struct config *config, struct problems *problems)
{
    for (size_t i = 0; i < ARRAY_LEN(orders); i++) {
        const struct order *order = &orders[i];
        const struct option *small = option_find(order->section, str_of(order->small));
        const struct option *large = option_find(order->section, str_of(order->large));
        struct where where = config->set[option_index(small)];
        uint64_t bound = option_number(large, config);
        if (where.file && bound > 0 && option_number(small, config) > bound)
            problem_error(problems, where, "'%s' is above '%s'", small->key, large->key);
    }
}

/* ---- clients ---- */

static bool has_tls_listener(const struct config *config)
{
    for (size_t i = 0; i < config->proxy.listen_count; i++)
        if (config->proxy.listen[i].kind == LISTEN_TLS)
            return true;
    return false;
}

static void check_listeners(const struct config *config, struct problems *problems)
{
    bool certificate = config->proxy.tls_cert_file && config->proxy.tls_key_file;
    for (size_t i = 0; i < config->proxy.listen_count; i++) {
        const struct listen_address *listen = &config->proxy.listen[i];
        bool checked = listen->kind == LISTEN_TLS && config->proxy.tls_auth_clients;
        if (listen->kind == LISTEN_TLS && !certificate)
            problem_error(problems, listen->where,
                          "listen: '%s' needs tls-cert-file and tls-key-file", listen->text);
        if (config->proxy.anonymous == ANONYMOUS_BACKEND && !listen_is_local(listen) && !checked)
            problem_error(problems, listen->where,
                          "'anonymous = backend' opens '%s' to everybody: it is neither loopback "
                          "nor unix nor TLS with tls-auth-clients",
                          listen->text);
    }
}

static void check_client_tls(const struct config *config, struct problems *problems)
{
    struct where where = option_where(config, SECTION_PROXY, "tls-auth-clients");
    if (!config->proxy.tls_cert_file != !config->proxy.tls_key_file)
        problem_error(problems,
                      option_where(config, SECTION_PROXY,
                                   config->proxy.tls_cert_file ? "tls-cert-file" : "tls-key-file"),
                      "tls-cert-file and tls-key-file go together");
    if (!config->proxy.tls_auth_clients)
        return;
    if (!config->proxy.tls_ca_file)
        problem_error(problems, where, "'tls-auth-clients = yes' needs tls-ca-file");
    if (!has_tls_listener(config))
        problem_error(problems, where,
                      "'tls-auth-clients = yes' guards nothing: no listener is "
                      "tls://");
}

static void check_user(const struct config *config, const struct config_user *user,
                       struct problems *problems)
{
    if (user->password_sha256.count == 0 && !user->tls_subject)
        problem_error(problems, user->where,
                      "[user %s] cannot log in: neither password-sha256 nor tls-subject",
                      user->name);
    if (user->tls_subject && !config->proxy.tls_auth_clients)
        problem_error(problems, user->where,
                      "[user %s] has a tls-subject: needs "
                      "'tls-auth-clients = yes' in [proxy]",
                      user->name);
    if (!user->backend_username != !user->backend_password_file)
        problem_error(problems, user->where,
                      "[user %s]: backend-username and backend-password-file go together",
                      user->name);
}

static void check_users(const struct config *config, struct problems *problems)
{
    for (size_t i = 0; i < config->user_count; i++)
        check_user(config, &config->users[i], problems);
    if (config->user_count > 0 && config->proxy.anonymous == ANONYMOUS_BACKEND)
        problem_warning(problems, option_where(config, SECTION_PROXY, "anonymous"),
                        "'anonymous = backend' means nothing with [user] sections: clients must "
                        "log in");
}

/* ---- admin ---- */

static void check_admin_address(const struct config *config, const char *key,
                                const struct listen_address *address, struct problems *problems)
{
    if (address && !config->admin.password && !listen_is_local(address))
        problem_error(problems, address->where,
                      "%s: '%s' is not on loopback: it needs a password-file", key, address->text);
}

static void check_admin(const struct config *config, struct problems *problems)
{
    const struct listen_address *console = config->admin.console, *http = config->admin.http;
    check_admin_address(config, "console", console, problems);
    check_admin_address(config, "http", http, problems);
    if (console && console->kind == LISTEN_TLS &&
        !(config->proxy.tls_cert_file && config->proxy.tls_key_file))
        problem_error(problems, console->where,
                      "console: '%s' needs tls-cert-file and tls-key-file in [proxy]",
                      console->text);
    if (http && http->kind == LISTEN_TLS)
        problem_error(problems, http->where,
                      "http: '%s' cannot be TLS: listen on loopback, behind what ends TLS",
                      http->text);
}

/* ---- backend ---- */

static void check_identity(const struct config *config, struct problems *problems)
{
    struct where url = option_where(config, SECTION_BACKEND, "url");
    struct where username = option_where(config, SECTION_BACKEND, "username");
    if (config->backend.username && config->backend.url_username)
        problem_error(problems, username, "'username' is set and the url has one too");
    if (config->backend.password_file && config->backend.url_password)
        problem_error(problems, option_where(config, SECTION_BACKEND, "password-file"),
                      "'password-file' is set and the url has a password too");
    if ((config->backend.username || config->backend.url_username) &&
        !config->backend.password_file && !config->backend.url_password)
        problem_error(problems, config->backend.username ? username : url,
                      "a username needs a password: set password-file");
    if (config->backend.control_username && !config->backend.control_password_file)
        problem_error(problems, option_where(config, SECTION_BACKEND, "control-username"),
                      "'control-username' needs control-password-file");
}

static void check_backend_tls(const struct config *config, struct problems *problems)
{
    static const char *const only_tls[] = {"tls-ca-file", "tls-cert-file", "tls-key-file",
                                           "tls-server-name", "tls-verify"};
    bool tls = config->backend.url_count > 0 && config->backend.url[0].tls;
    if (!config->backend.tls_cert_file != !config->backend.tls_key_file)
        problem_error(problems,
                      option_where(config, SECTION_BACKEND,
                                   config->backend.tls_cert_file ? "tls-cert-file"
                                                                 : "tls-key-file"),
                      "tls-cert-file and tls-key-file go together");
    if (tls && config->backend.tls_verify == VERIFY_NO)
        problem_warning(problems, option_where(config, SECTION_BACKEND, "tls-verify"),
                        "'tls-verify = no': anybody on the way can pose as the backend");
    for (size_t i = 0; i < ARRAY_LEN(only_tls) && !tls; i++) {
        const struct option *option = option_find(SECTION_BACKEND, str_of(only_tls[i]));
        struct buf value = {0};
        bool differs = option_format(option, config, &value) &&
                       !str_equal(buf_view(&value), str_of(option->value));
        if (differs)
            problem_warning(problems, option_where(config, SECTION_BACKEND, only_tls[i]),
                            "'%s' means nothing: the url is not rediss://", only_tls[i]);
        buf_free(&value);
    }
}

/* Several addresses are seeds of one cluster, and reached in one way. */
static void check_seeds(const struct config *config, struct problems *problems)
{
    const struct backend_address *url = config->backend.url;
    bool one = config->backend.mode == MODE_STANDALONE || config->backend.mode == MODE_SENTINEL;
    if (config->backend.url_count > 1 && one)
        problem_error(problems, url[1].where,
                      "url: several addresses belong to a cluster, and mode is %s",
                      config->backend.mode == MODE_SENTINEL ? "sentinel" : "standalone");
    for (size_t i = 1; i < config->backend.url_count; i++) {
        if (!url[i].host || !url[0].host)
            problem_error(problems, url[i].where, "url: a unix socket is no seed of a cluster");
        else if (url[i].tls != url[0].tls)
            problem_error(problems, url[i].where, "url: redis:// and rediss:// do not go together");
    }
}

/* Each of these needs the others. */
static void check_sentinels(const struct config *config, struct problems *problems)
{
    static const char *const keys[] = {"sentinels", "master-name", "sentinel-username",
                                       "sentinel-password-file"};
    const bool set[] = {config->backend.sentinel_count > 0, config->backend.master_name,
                        config->backend.sentinel_username, config->backend.sentinel_password_file};
    bool used = config->backend.mode == MODE_SENTINEL;
    for (size_t i = 0; i < ARRAY_LEN(keys); i++) {
        struct where where = option_where(config, SECTION_BACKEND, keys[i]);
        if (used && i < 2 && !set[i])
            problem_error(problems, option_where(config, SECTION_BACKEND, "mode"),
                          "'mode = sentinel' needs %s", keys[i]);
        if (!used && set[i])
            problem_warning(problems, where, "'%s' means nothing without 'mode = sentinel'",
                            keys[i]);
    }
    if (set[2] && !set[3])
        problem_error(problems, option_where(config, SECTION_BACKEND, keys[2]),
                      "'sentinel-username' needs sentinel-password-file");
    if (used && !config->backend.url[0].host)
        problem_error(problems, config->backend.url[0].where,
                      "url: a unix socket has no sentinel: redis:// or rediss:// tells how the "
                      "master is spoken to");
}

static void check_backend(const struct config *config, struct problems *problems)
{
    check_sentinels(config, problems);
    check_seeds(config, problems);
    check_identity(config, problems);
    check_backend_tls(config, problems);
}

/* ---- scripts ---- */

static void check_scripts(const struct config *config, struct problems *problems)
{
    struct where mode = option_where(config, SECTION_SCRIPTS, "mode");
    bool listed = config->scripts.bodies.count || config->scripts.allow_sha1.count;
    if (!config->scripts.username != !config->scripts.password_file)
        problem_error(problems, option_where(config, SECTION_SCRIPTS, "username"),
                      "[scripts] username and password-file go together");
    if (config->scripts.mode == SCRIPTS_ACL && !config->scripts.username)
        problem_error(problems, mode, "'mode = acl' needs username and password-file");
    if (config->scripts.mode != SCRIPTS_ACL && config->scripts.username)
        problem_warning(problems, option_where(config, SECTION_SCRIPTS, "username"),
                        "'username' means nothing without 'mode = acl'");
    if (config->scripts.mode == SCRIPTS_ALLOWLIST && !listed)
        problem_warning(problems, mode,
                        "'mode = allowlist' without allow-files or allow-sha1 refuses all scripts");
}

/* ---- rules ---- */

static void check_rules(const struct config *config, struct problems *problems)
{
    for (size_t i = 0; i < config->rule_count; i++) {
        const struct config_rule *rule = &config->rules[i];
        struct where where;
        if (config_rule_where(rule, "min-elements", &where) && !rule->unbounded)
            problem_error(problems, where, "'min-elements' needs 'unbounded = yes'");
    }
}

/* ---- pressure ---- */

/* Levels in their order, told at whichever was written. */
static void check_levels(const struct config *config, struct problems *problems)
{
    static const char *const keys[] = {"critical", "high", "resume"};
    struct where where = option_where(config, SECTION_PRESSURE, keys[0]);
    for (size_t i = 1; i < ARRAY_LEN(keys) && !where.line; i++)
        where = option_where(config, SECTION_PRESSURE, keys[i]);
    if (config->pressure.resume >= config->pressure.high ||
        config->pressure.high >= config->pressure.critical)
        problem_error(problems, where,
                      "resume %llu%%, high %llu%%, critical %llu%%: must be resume < high < "
                      "critical <= 100%%",
                      (unsigned long long)config->pressure.resume,
                      (unsigned long long)config->pressure.high,
                      (unsigned long long)config->pressure.critical);
}

static void check_queue_key(const struct config *config, size_t index, size_t item,
                            struct problems *problems)
{
    const struct config_queue *queue = &config->queues[index];
    struct str key = queue->keys.items[item];
    struct where where = queue->keys.where[item];
    if (key.len == 0 || strcspn(key.ptr, "*?[") < key.len)
        problem_error(problems, where,
                      "keys: '%s' is no name of a key: patterns cannot be measured", key.ptr);
    for (size_t i = 0; i <= index; i++)
        for (size_t j = 0; j < (i < index ? config->queues[i].keys.count : item); j++)
            if (str_equal(config->queues[i].keys.items[j], key))
                problem_error(problems, where, "keys: '%s' is in [queue %s] already", key.ptr,
                              config->queues[i].name);
}

static void check_pressure(const struct config *config, struct problems *problems)
{
    check_levels(config, problems);
    for (size_t i = 0; i < config->queue_count; i++)
        for (size_t j = 0; j < config->queues[i].keys.count; j++)
            check_queue_key(config, i, j, problems);
}

/* ---- prefixes ---- */

static void check_prefixes(const struct config *config, struct problems *problems)
{
    const char *delimiter = config->prefixes.delimiter;
    if (!delimiter || strlen(delimiter) != 1 || *delimiter < '!' || *delimiter > '~' ||
        strchr("*{}", *delimiter))
        problem_error(problems, option_where(config, SECTION_PREFIXES, "delimiter"),
                      "'delimiter' is one printable character, not *, { or }");
    for (size_t i = 0; i < config->prefixes.declare.count; i++)
        if (config->prefixes.declare.items[i].len > PREFIX_DECLARED_MAX)
            problem_error(problems, config->prefixes.declare.where[i],
                          "declare: a prefix is at most %d bytes", PREFIX_DECLARED_MAX);
    if (config->prefixes.declare.count > PREFIXES_DECLARED_MAX)
        problem_error(problems, option_where(config, SECTION_PREFIXES, "declare"),
                      "declare: at most %d prefixes", PREFIXES_DECLARED_MAX);
}

void config_check(const struct config *config, struct problems *problems)
{
    check_scripts(config, problems);
    check_prefixes(config, problems);
    check_orders(config, problems);
    check_listeners(config, problems);
    check_client_tls(config, problems);
    check_users(config, problems);
    check_admin(config, problems);
    check_backend(config, problems);
    check_rules(config, problems);
    check_pressure(config, problems);
}

/* ---- reload ---- */

void config_check_reload(const struct config *old, const struct config *new,
                         struct problems *problems)
{
    option_each(option) if ((option->flags & OPTION_RESTART) && !option_equal(option, old, new))
        problem_error(problems, option_where(new, option->section, option->key),
                      "'%s' cannot change at run time: restart respgate", option->key);
}

bool config_moves(const struct config *old, const struct config *new)
{
    option_each(option) if ((option->flags & OPTION_MOVES) &&
                            !option_equal(option, old, new)) return true;
    return false;
}
