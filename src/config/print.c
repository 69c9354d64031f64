/* print.c - the configuration in force as a file that loads to the same. */
#include "option.h"

/* A rule is printed as far as it was written: an option at its default may not belong to its
 * action. */
static bool rule_has(const struct option *option, const void *base)
{
    struct where where;
    return option->section != SECTION_RULE || config_rule_where(base, option->key, &where);
}

static void print_options(enum section_id section, const void *base, bool all, struct buf *out)
{
    option_each(option)
    {
        if (option->section != section || !rule_has(option, base))
            continue;
        size_t start = out->len;
        buf_printf(out, "%s = ", option->key);
        if (option_format(option, base, out)) {
            buf_text(out, "\n");
            continue;
        }
        out->len = start;
        /* A comment would bring the default back. */
        if (all)
            buf_printf(out, option->value[0] ? "%s =\n" : ";%s =\n", option->key);
    }
}

/* What was filled in from elsewhere is not printed where it would be said twice. */
static struct config without_derived(const struct config *config)
{
    struct config copy = *config;
    if (!config->set[option_index(option_find(SECTION_BACKEND, STR("control-username")))].file)
        copy.backend.control_username = NULL;
    return copy;
}

void config_print(const struct config *config, struct buf *out)
{
    struct config plain = without_derived(config);
    for (enum section_id id = 0; id < SECTION_COUNT; id++) {
        if (section_kinds[id].named)
            continue;
        buf_printf(out, "%s[%s]\n", out->len ? "\n" : "", section_kinds[id].name);
        print_options(id, &plain, true, out);
    }
    for (size_t i = 0; i < config->queue_count; i++) {
        buf_printf(out, "\n[queue %s]\n", config->queues[i].name);
        print_options(SECTION_QUEUE, &config->queues[i], false, out);
    }
    for (size_t i = 0; i < config->user_count; i++) {
        buf_printf(out, "\n[user %s]\n", config->users[i].name);
        print_options(SECTION_USER, &config->users[i], false, out);
    }
    for (size_t i = 0; i < config->rule_count; i++) {
        buf_printf(out, "\n[rule %s]\n", config->rules[i].name);
        print_options(SECTION_RULE, &config->rules[i], false, out);
    }
}
