/* changes.c - what differs between two configurations, one line each; rules are told by the policy,
 * which knows what they mean. */
#include "option.h"

static void add_value(struct buf *out, const struct option *option, const void *base)
{
    if (!option_format(option, base, out))
        buf_text(out, "(none)");
}

/* "[proxy] max-clients 10000 -> 5000"; of a secret only that it is another one. */
static void add_option(struct buf *out, const struct option *option, const void *old,
                       const void *new)
{
    bool secret = option->flags & OPTION_SECRET || option->type == VALUE_PASSWORD_FILE;
    buf_text(out, option->key);
    if (secret) {
        buf_text(out, " changed");
        return;
    }
    buf_text(out, " ");
    add_value(out, option, old);
    buf_text(out, " -> ");
    add_value(out, option, new);
}

static void add_sections(const struct config *old, const struct config *new, struct buf *out)
{
    option_each(option)
    {
        const struct section_kind *kind = &section_kinds[option->section];
        if (kind->named || option_equal(option, old, new))
            continue;
        buf_printf(out, "[%s] ", kind->name);
        add_option(out, option, old, new);
        buf_text(out, "\n");
    }
}

/* ---- users ---- */

static const struct config_user *user_find(const struct config *config, const char *name)
{
    for (size_t i = 0; i < config->user_count; i++)
        if (strcmp(config->users[i].name, name) == 0)
            return &config->users[i];
    return NULL;
}

static bool same_texts(const struct text_list *a, const struct text_list *b)
{
    if (a->count != b->count)
        return false;
    for (size_t i = 0; i < a->count; i++)
        if (!str_equal(a->items[i], b->items[i]))
            return false;
    return true;
}

static void add_user(const struct config_user *old, const struct config_user *new, struct buf *out)
{
    option_each(option)
    {
        bool digests =
            option->section == SECTION_USER && strcmp(option->key, "password-sha256") == 0;
        if (option->section != SECTION_USER ||
            (digests ? same_texts(&old->password_sha256, &new->password_sha256)
                     : option_equal(option, old, new)))
            continue;
        buf_printf(out, "user '%s': ", new->name);
        add_option(out, option, old, new);
        buf_text(out, "\n");
    }
}

static void add_users(const struct config *old, const struct config *new, struct buf *out)
{
    for (size_t i = 0; i < old->user_count; i++)
        if (!user_find(new, old->users[i].name))
            buf_printf(out, "user '%s' removed\n", old->users[i].name);
    for (size_t i = 0; i < new->user_count; i++) {
        const struct config_user *before = user_find(old, new->users[i].name);
        if (before)
            add_user(before, &new->users[i], out);
        else
            buf_printf(out, "user '%s' added\n", new->users[i].name);
    }
}

void config_changes(const struct config *old, const struct config *new, struct buf *out)
{
    add_sections(old, new, out);
    add_users(old, new, out);
}
