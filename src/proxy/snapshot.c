/* snapshot.c - configuration, rules and command facts as one immutable, counted thing. */
#include <stdlib.h>

#include "count.h"
#include "scripting.h"

static uint8_t traits_of(const struct command *command)
{
    uint8_t traits = 0;
    bool slow = (command->classes & (CLASS_SCRIPTING | CLASS_BLOCKING | CLASS_MEMORY_HEAVY)) ||
                (command->flags & CMD_BLOCKING) || strncmp(command->name, "wait", 4) == 0;
    if (slow)
        traits |= TRAIT_NO_TIMEOUT;
    if (command->flags & CMD_BLOCKING)
        traits |= TRAIT_MAY_BLOCK;
    if ((command->flags & CMD_READONLY) && !(command->classes & CLASS_SCRIPTING))
        traits |= TRAIT_READ;
    const struct key_spec *spec = command->specs;
    if (command->spec_count == 1 && spec->begin == BEGIN_INDEX && spec->index == 1 &&
        spec->find == FIND_RANGE && spec->last == 0 && !(spec->flags & KEY_NOT_KEY) &&
        !(command->flags & CMD_MOVABLEKEYS))
        traits |= TRAIT_ONE_KEY;
    traits |= scripting_traits(command);
    if (pressure_concerns(command))
        traits |= TRAIT_PRESSURE;
    if (limits_has_names(command->name))
        traits |= TRAIT_NAMES;
    return traits;
}

static bool has_tls_listener(const struct config *config)
{
    if (config->admin.console && config->admin.console->kind == LISTEN_TLS)
        return true;
    for (size_t i = 0; i < config->proxy.listen_count; i++)
        if (config->proxy.listen[i].kind == LISTEN_TLS)
            return true;
    return false;
}

enum { EXPIRY_WARNING_DAYS = 30 };
static void warn_expiry(const struct tls_context *context, const char *what, struct where where,
                        struct problems *problems)
{
    int64_t expiry = context ? tls_context_expiry(context) : 0;
    int64_t days = (expiry - clock_wall()) / (24 * 3600);
    if (expiry && days < EXPIRY_WARNING_DAYS)
        problem_warning(problems, where, "%s: the certificate %s %lld days", what,
                        days < 0 ? "expired, by now" : "expires in",
                        (long long)(days < 0 ? -days : days));
}

static bool snapshot_tls(struct snapshot *snapshot, struct problems *problems)
{
    const struct config *config = snapshot->config;
    struct where where = {config->file, 0};
    char error[256] = "";
    if (has_tls_listener(config)) {
        struct tls_settings settings = {
            .server = true,
            .ca_file = config->proxy.tls_ca_file,
            .cert_file = config->proxy.tls_cert_file,
            .key_file = config->proxy.tls_key_file,
            .verify_peer = config->proxy.tls_auth_clients,
        };
        snapshot->listen_tls = tls_context_new(&settings, error);
        if (!snapshot->listen_tls)
            problem_error(problems, where, "[proxy] %s", error);
    }
    if (config->backend.url[0].tls) {
        struct tls_settings settings = {
            .ca_file = config->backend.tls_ca_file,
            .cert_file = config->backend.tls_cert_file,
            .key_file = config->backend.tls_key_file,
            .verify_peer = config->backend.tls_verify != VERIFY_NO,
            .verify_name = config->backend.tls_verify == VERIFY_FULL,
        };
        snapshot->backend_tls = tls_context_new(&settings, error);
        if (!snapshot->backend_tls)
            problem_error(problems, where, "[backend] %s", error);
    }
    warn_expiry(snapshot->listen_tls, "[proxy] tls-cert-file", where, problems);
    warn_expiry(snapshot->backend_tls, "[backend] tls-cert-file", where, problems);
    return problems->errors == 0;
}

struct snapshot *snapshot_new(struct config *config, const struct command_table *commands,
                              struct problems *problems)
{
    static uint64_t generation; /* main thread only */
    struct snapshot *snapshot = xcalloc(1, sizeof(*snapshot));
    snapshot->refs = 1;
    snapshot->generation = ++generation;
    snapshot->config = config;
    snapshot->commands = commands;
    size_t count = command_count(commands);
    snapshot->traits = xcalloc(count, 1);
    snapshot->counting = xcalloc(count, 1);
    snapshot->session = xcalloc(count, 1);
    snapshot->routes = xcalloc(count, sizeof(*snapshot->routes));
    for (size_t i = 0; i < count; i++) {
        const struct command *command = command_by_id(commands, i);
        snapshot->traits[i] = traits_of(command);
        snapshot->counting[i] = counting_of(command);
        snapshot->session[i] = session_row(command->name);
        snapshot->routes[i] = route_of(command);
    }
    snapshot->prefixes = scheme_of(config);
    snapshot->policy = policy_compile(config, commands, problems);
    snapshot->trusted = trusted_new(config);
    snapshot->pressure = pressure_plan_new(config, problems);
    if (snapshot_tls(snapshot, problems) && snapshot->policy)
        return snapshot;
    snapshot_drop(snapshot);
    return NULL;
}

struct snapshot *snapshot_load(const char *path, const struct config_overrides *overrides,
                               const struct snapshot *old, struct problems *problems)
{
    const struct command_table *commands = old ? old->commands : command_table_builtin();
    struct config *config = config_load_all(path, overrides, problems);
    if (old && !problems->errors)
        config_check_reload(old->config, config, problems);
    if (!problems->errors)
        return snapshot_new(config, commands, problems);
    policy_free(policy_compile(config, commands, problems)); /* for the rules' own mistakes */
    pressure_plan_free(pressure_plan_new(config, problems));
    config_free(config);
    return NULL;
}

struct snapshot *snapshot_hold(struct snapshot *snapshot)
{
    __atomic_fetch_add(&snapshot->refs, 1, __ATOMIC_RELAXED);
    return snapshot;
}

void snapshot_drop(struct snapshot *snapshot)
{
    if (!snapshot || __atomic_sub_fetch(&snapshot->refs, 1, __ATOMIC_ACQ_REL) > 0)
        return;
    policy_free(snapshot->policy);
    prefix_scheme_free(snapshot->prefixes);
    trusted_free(snapshot->trusted);
    pressure_plan_free(snapshot->pressure);
    tls_context_drop(snapshot->listen_tls);
    tls_context_drop(snapshot->backend_tls);
    config_free(snapshot->config);
    free(snapshot->traits);
    free(snapshot->counting);
    free(snapshot->session);
    free(snapshot->routes);
    free(snapshot);
}
