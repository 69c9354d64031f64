/* format.c - one value of each type: back to text, and compared. */
#include "option.h"

static void separator(struct buf *out, size_t index)
{
    if (index)
        buf_text(out, ", ");
}

static void format_texts(const struct text_list *list, struct buf *out)
{
    for (size_t i = 0; i < list->count; i++) {
        separator(out, i);
        text_quote(out, list->items[i], true);
    }
}

static void format_hidden(const struct text_list *list, struct buf *out)
{
    for (size_t i = 0; i < list->count; i++) {
        separator(out, i);
        buf_text(out, "(hidden)");
    }
}

static void format_listen(const struct config *config, struct buf *out)
{
    for (size_t i = 0; i < config->proxy.listen_count; i++) {
        separator(out, i);
        text_quote(out, str_of(config->proxy.listen[i].text), true);
    }
}

/* A password that came with the url is marked where it stood: the text then refuses to load,
 * instead of running without it. */
static void format_urls(const struct config *config, struct buf *out)
{
    const char *mark = config->backend.url_password ? ":(hidden)@" : "";
    for (size_t i = 0; i < config->backend.url_count; i++) {
        const char *text = config->backend.url[i].text;
        size_t scheme = (size_t)(strstr(text, "://") - text) + 3;
        separator(out, i);
        buf_printf(out, "%.*s%s%s", (int)scheme, text, mark, text + scheme);
    }
}

static void format_hosts(const struct option *option, const void *base, struct buf *out)
{
    const struct backend_address *const *hosts = option_field(option, base);
    size_t count = *(const size_t *)((const char *)base + option->second);
    for (size_t i = 0; i < count; i++) {
        separator(out, i);
        buf_text(out, (*hosts)[i].text);
    }
}

static void format_list(const struct option *option, const void *base, struct buf *out)
{
    const struct text_list *list = option_field(option, base);
    if (option->type == VALUE_LISTEN)
        format_listen(base, out);
    else if (option->type == VALUE_URL)
        format_urls(base, out);
    else if (option->type == VALUE_HOSTS)
        format_hosts(option, base, out);
    else if (option->flags & OPTION_SECRET)
        format_hidden(list, out);
    else
        format_texts(list, out);
}

static void format_scalar(const struct option *option, const void *base, struct buf *out)
{
    const char *text;
    switch (option->type) {
    case VALUE_TEXT:
    case VALUE_FILE:
    case VALUE_LOG_FILE:
    case VALUE_PASSWORD_FILE:
        text = *(const char **)option_field(option, base);
        if (text)
            text_quote(out, str_of(text), false);
        return;
    case VALUE_COUNT:
    case VALUE_AMOUNT:
        buf_printf(out, "%llu", (unsigned long long)option_number(option, base));
        return;
    case VALUE_PERCENT:
        buf_printf(out, "%llu%%", (unsigned long long)option_number(option, base));
        return;
    case VALUE_SIZE: value_format_size(option_number(option, base), out); return;
    case VALUE_DURATION: value_format_duration(option_number(option, base), out); return;
    case VALUE_SIZE_FOR:
        value_format_size(option_number(option, base), out);
        buf_text(out, " ");
        value_format_duration(*(const uint64_t *)((const char *)base + option->second), out);
        return;
    case VALUE_RATE: value_format_rate(*(double *)option_field(option, base), out); return;
    case VALUE_CHOICE: buf_text(out, option->words[option_number(option, base)]); return;
    case VALUE_ADDRESS: {
        struct listen_address *const *address = option_field(option, base);
        if (*address)
            text_quote(out, str_of((*address)->text), false);
        return;
    }
    case VALUE_DIGEST:
    case VALUE_BODIES:
    case VALUE_LISTEN:
    case VALUE_URL:
    case VALUE_HOSTS: break;
    }
    ASSERT(!"a list's type without its flag");
}

bool option_format(const struct option *option, const void *base, struct buf *out)
{
    size_t before = out->len;
    if (option->flags & OPTION_LIST)
        format_list(option, base, out);
    else
        format_scalar(option, base, out);
    return out->len > before;
}

static bool same_text(const char *a, const char *b)
{
    return a == b || (a && b && strcmp(a, b) == 0);
}

/* By what is in force: a password that moved to another file is the same, another password in
 * the same file is not. */
bool option_equal(const struct option *option, const void *a, const void *b)
{
    if (option->type == VALUE_PASSWORD_FILE)
        return same_text(*(const char *const *)((const char *)a + option->second),
                         *(const char *const *)((const char *)b + option->second));
    struct buf one = {0}, other = {0};
    option_format(option, a, &one);
    option_format(option, b, &other);
    bool equal = one.len == other.len && (one.len == 0 || memcmp(one.ptr, other.ptr, one.len) == 0);
    buf_free(&one);
    buf_free(&other);
    return equal;
}
