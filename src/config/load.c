/* load.c - from sections and options to one configuration, or to all its mistakes. */
#include "option.h"

#include <stdio.h>
#include <unistd.h>

enum { SECTION_NAME_MAX = 40 };

/* ---- sections ---- */

static struct section *section_seen(const struct loader *loader, enum section_id id,
                                    const char *name)
{
    for (struct section *section = loader->sections; section; section = section->next)
        if (section->id == id && (!name || strcmp(section->name, name) == 0))
            return section;
    return NULL;
}

static struct section *section_new(struct loader *loader, enum section_id id, const char *name,
                                   struct where where)
{
    struct arena *arena = loader->config->arena;
    struct section *section = arena_alloc(arena, sizeof(*section));
    const struct section *first = section_seen(loader, id, name);
    *section = (struct section){.id = id, .name = name, .where = where, .repeated = first};
    section->seen = arena_alloc(arena, option_count * sizeof(*section->seen));
    section->base = section_kinds[id].named || first ? arena_alloc(arena, section_kinds[id].size)
                                                     : loader->config;
    if (first)
        problem_error(loader->problems, where, "section [%s%s%s] is already at %s:%d",
                      section_kinds[id].name, name ? " " : "", name ? name : "", first->where.file,
                      first->where.line);
    *loader->last = section;
    loader->last = &section->next;
    return section;
}

static bool is_section_name(struct str name)
{
    for (size_t i = 0; i < name.len; i++) {
        char c = name.ptr[i];
        if (!((c | 32) >= 'a' && (c | 32) <= 'z') && !(c >= '0' && c <= '9') &&
            !strchr("._:@+/-", c))
            return false;
    }
    return name.len <= SECTION_NAME_MAX;
}

static void section_unknown(struct loader *loader, struct where where, struct str kind)
{
    const char *nearest = section_nearest(kind);
    if (nearest)
        problem_error(loader->problems, where, "unknown section [%.*s], did you mean [%s]?",
                      (int)kind.len, kind.ptr, nearest);
    else
        problem_error(loader->problems, where, "unknown section [%.*s]", (int)kind.len, kind.ptr);
}

struct section *section_open(struct loader *loader, struct where where, struct str header)
{
    header = str_trim(header);
    size_t len = 0;
    while (len < header.len && header.ptr[len] != ' ' && header.ptr[len] != '\t')
        len++;
    struct str kind = {header.ptr, len};
    struct str name = str_trim((struct str){header.ptr + len, header.len - len});
    enum section_id id = section_find(kind);
    if (id == SECTION_COUNT)
        section_unknown(loader, where, kind);
    else if (section_kinds[id].named && name.len == 0)
        problem_error(loader->problems, where, "section [%s] needs a name: [%s NAME]",
                      section_kinds[id].name, section_kinds[id].name);
    else if (!section_kinds[id].named && name.len > 0)
        problem_error(loader->problems, where, "section [%s] takes no name",
                      section_kinds[id].name);
    else if (!is_section_name(name))
        problem_error(loader->problems, where,
                      "a name has up to %d letters, digits and . _ : @ + / -", SECTION_NAME_MAX);
    else
        return section_new(loader, id, name.len ? arena_str(loader->config->arena, name) : NULL,
                           where);
    return NULL;
}

/* ---- options ---- */

static void option_unknown(const struct scope *scope, enum section_id id, struct str key)
{
    const char *nearest = option_nearest(id, key);
    if (nearest)
        problem_error(scope->problems, scope->where, "unknown option '%.*s', did you mean '%s'?",
                      (int)key.len, key.ptr, nearest);
    else
        problem_error(scope->problems, scope->where, "unknown option '%.*s' in [%s]", (int)key.len,
                      key.ptr, section_kinds[id].name);
}

void section_set(struct loader *loader, struct section *section, const struct scope *scope,
                 struct str key, struct str text)
{
    const struct option *option = option_find(section->id, key);
    if (!option) {
        option_unknown(scope, section->id, key);
        return;
    }
    struct where *seen = &section->seen[option_index(option)];
    if (seen->file && !(option->flags & OPTION_LIST))
        problem_error(loader->problems, scope->where, "'%s' is already set at %s:%d", option->key,
                      seen->file, seen->line);
    else
        option_set(scope, option, section->base, text);
    if (!seen->file)
        *seen = scope->where;
}

static void section_finish(struct loader *loader, struct section *section)
{
    struct scope scope = {.arena = loader->config->arena,
                          .problems = loader->problems,
                          .where = {"(default)", 0}};
    option_each(option)
    {
        if (option->section != section->id || section->seen[option_index(option)].file)
            continue;
        if (option->flags & OPTION_REQUIRED)
            problem_error(loader->problems, section->where, "[%s%s%s] has no '%s'",
                          section_kinds[section->id].name, section->name ? " " : "",
                          section->name ? section->name : "", option->key);
        else if (option->value[0])
            option_set(&scope, option, section->base, str_of(option->value));
    }
}

/* ---- the whole ---- */

static size_t section_total(const struct loader *loader, enum section_id id)
{
    size_t count = 0;
    for (const struct section *section = loader->sections; section; section = section->next)
        count += section->id == id;
    return count;
}

static void queues_collect(struct loader *loader)
{
    struct config *config = loader->config;
    size_t total = section_total(loader, SECTION_QUEUE);
    config->queues = arena_alloc(config->arena, (total + 1) * sizeof(*config->queues));
    for (const struct section *section = loader->sections; section; section = section->next) {
        if (section->id != SECTION_QUEUE)
            continue;
        struct config_queue *queue = &config->queues[config->queue_count++];
        *queue = *(struct config_queue *)section->base;
        queue->name = section->name;
        queue->where = section->where;
    }
}

static void users_collect(struct loader *loader)
{
    struct config *config = loader->config;
    size_t total = section_total(loader, SECTION_USER);
    config->users = arena_alloc(config->arena, (total + 1) * sizeof(*config->users));
    for (const struct section *section = loader->sections; section; section = section->next) {
        if (section->id != SECTION_USER)
            continue;
        struct config_user *user = &config->users[config->user_count++];
        *user = *(struct config_user *)section->base;
        user->name = section->name;
        user->where = section->where;
    }
}

static void rules_collect(struct loader *loader)
{
    struct config *config = loader->config;
    const size_t action = option_index(option_find(SECTION_RULE, STR("action")));
    size_t total = section_total(loader, SECTION_RULE);
    config->rules = arena_alloc(config->arena, (total + 1) * sizeof(*config->rules));
    for (const struct section *section = loader->sections; section; section = section->next) {
        if (section->id != SECTION_RULE)
            continue;
        struct config_rule *rule = &config->rules[config->rule_count++];
        *rule = *(struct config_rule *)section->base;
        rule->name = section->name;
        rule->where = section->where;
        rule->has_action = section->seen[action].file != NULL;
        rule->set = section->seen;
    }
}

bool config_rule_where(const struct config_rule *rule, const char *key, struct where *where)
{
    const struct option *option = option_find(SECTION_RULE, str_of(key));
    ASSERT(option);
    bool set = rule->set && rule->set[option_index(option)].file;
    *where = set ? rule->set[option_index(option)] : rule->where;
    return set;
}

void config_rule_text(const struct config_rule *rule, const char *key, struct buf *out)
{
    struct where where;
    if (config_rule_where(rule, key, &where))
        option_format(option_find(SECTION_RULE, str_of(key)), rule, out);
}

/* The rows of sections without a name remember where they were set, for errors between options
 * and for printing. */
static void places_collect(struct loader *loader)
{
    struct config *config = loader->config;
    config->set = arena_alloc(config->arena, option_count * sizeof(*config->set));
    for (const struct section *section = loader->sections; section; section = section->next)
        if (!section_kinds[section->id].named && !section->repeated)
            option_each(option) if (option->section == section->id)
                config->set[option_index(option)] = section->seen[option_index(option)];
}

static const struct where command_line = {"(command line)", 0};

/* The file's own value was judged like any other before it is replaced. */
static void override(struct loader *loader, enum section_id id, const char *key, const char *text)
{
    const struct option *option = option_find(id, str_of(key));
    struct config *config = loader->config;
    struct scope scope = {config->arena, loader->problems, command_line, NULL, false};
    config->set[option_index(option)] = command_line;
    option_set(&scope, option, config, str_trim(str_of(text)));
}

static void overrides_apply(struct loader *loader, const struct config_overrides *overrides)
{
    struct config *config = loader->config;
    if (overrides && overrides->listen) {
        config->proxy.listen_count = 0;
        override(loader, SECTION_PROXY, "listen", overrides->listen);
    }
    if (overrides && overrides->backend) {
        config->backend.url_count = 0;
        config->backend.url_username = config->backend.url_password = NULL;
        override(loader, SECTION_BACKEND, "url", overrides->backend);
        /* An identity on the command line goes before the file's. */
        if (config->backend.url_username || config->backend.url_password)
            config->backend.username = config->backend.password = config->backend.password_file =
                NULL;
    }
}

/* One identity out of url, username and password-file; that of control follows it. */
static void identity_resolve(struct config *config)
{
    if (!config->backend.username)
        config->backend.username = config->backend.url_username;
    if (!config->backend.password)
        config->backend.password = config->backend.url_password;
    if (!config->backend.control_username && !config->backend.control_password) {
        config->backend.control_username = config->backend.username;
        config->backend.control_password = config->backend.password;
    }
}

static void config_finish(struct loader *loader, const struct config_overrides *overrides)
{
    struct config *config = loader->config;
    for (enum section_id id = 0; id < SECTION_COUNT; id++)
        if (!section_kinds[id].named && !section_seen(loader, id, NULL))
            section_new(loader, id, NULL, (struct where){config->file, 0});
    for (struct section *section = loader->sections; section; section = section->next)
        section_finish(loader, section);
    places_collect(loader);
    queues_collect(loader);
    users_collect(loader);
    rules_collect(loader);
    overrides_apply(loader, overrides);
    config_check(config, loader->problems);
    identity_resolve(config);
    if (config->proxy.threads == 0) {
        long cores = sysconf(_SC_NPROCESSORS_ONLN);
        config->proxy.threads = cores > 0 ? (uint64_t)cores : 1;
    }
}

static struct config *config_read(const char *name, const struct str *text,
                                  const struct config_overrides *overrides,
                                  struct problems *problems)
{
    struct arena *arena = arena_new();
    struct config *config = arena_alloc(arena, sizeof(*config));
    struct loader loader = {.config = config, .problems = problems, .last = &loader.sections};
    config->arena = arena;
    config->file = arena_str(arena, str_of(name));
    if (text)
        source_read_text(&loader, config->file, *text);
    else
        source_read_file(&loader, config->file);
    config_finish(&loader, overrides);
    return config;
}

static struct config *config_if_right(struct config *config, size_t before,
                                      const struct problems *problems)
{
    if (problems->errors == before)
        return config;
    config_free(config);
    return NULL;
}

struct config *config_load_text(const char *name, struct str text,
                                const struct config_overrides *overrides, struct problems *problems)
{
    size_t before = problems->errors;
    return config_if_right(config_read(name, &text, overrides, problems), before, problems);
}

struct config *config_load(const char *path, const struct config_overrides *overrides,
                           struct problems *problems)
{
    size_t before = problems->errors;
    return config_if_right(config_load_all(path, overrides, problems), before, problems);
}

struct config *config_load_all(const char *path, const struct config_overrides *overrides,
                               struct problems *problems)
{
    struct str builtin = config_builtin();
    if (path)
        return config_read(path, NULL, overrides, problems);
    return config_read("(built in)", &builtin, overrides, problems);
}

struct config *config_hold(struct config *config)
{
    __atomic_fetch_add(&config->refs, 1, __ATOMIC_RELAXED);
    return config;
}

void config_free(struct config *config)
{
    if (!config || __atomic_fetch_sub(&config->refs, 1, __ATOMIC_ACQ_REL) != 0)
        return;
    config_free(config->base);
    arena_free(config->arena);
}
