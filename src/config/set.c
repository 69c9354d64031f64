/* set.c - one value of each type: from text into its field, with every mistake told. */
#include "option.h"

#include <stdio.h>

void *option_field(const struct option *option, const void *base)
{
    return (char *)base + option->field;
}

static void *second_field(const struct option *option, const void *base)
{
    return (char *)base + option->second;
}

/* Numbers live in uint64_t; choices also in enums and bools, so the size decides. */
uint64_t option_number(const struct option *option, const void *base)
{
    const void *field = option_field(option, base);
    if (option->size == sizeof(bool))
        return *(const bool *)field;
    if (option->size == sizeof(uint32_t))
        return *(const uint32_t *)field;
    ASSERT(option->size == sizeof(uint64_t));
    return *(const uint64_t *)field;
}

static void number_store(const struct option *option, void *base, uint64_t number)
{
    void *field = option_field(option, base);
    if (option->size == sizeof(bool)) {
        *(bool *)field = number != 0;
    } else if (option->size == sizeof(uint32_t)) {
        uint32_t word = (uint32_t)number;
        memcpy(field, &word, sizeof(word));
    } else {
        ASSERT(option->size == sizeof(uint64_t));
        *(uint64_t *)field = number;
    }
}

static void complain(const struct scope *scope, const struct option *option, struct str text,
                     const char *what)
{
    if (option->flags & OPTION_SECRET)
        problem_error(scope->problems, scope->where, "%s: %s", option->key, what);
    else
        problem_error(scope->problems, scope->where, "%s: '%.*s' %s", option->key, (int)text.len,
                      text.ptr, what);
}

static void format_bound(enum value_type type, uint64_t number, struct buf *out)
{
    if (type == VALUE_SIZE || type == VALUE_SIZE_FOR)
        value_format_size(number, out);
    else if (type == VALUE_DURATION)
        value_format_duration(number, out);
    else if (type == VALUE_PERCENT)
        buf_printf(out, "%llu%%", (unsigned long long)number);
    else
        buf_printf(out, "%llu", (unsigned long long)number);
}

static bool in_range(const struct scope *scope, const struct option *option, struct str text,
                     uint64_t number)
{
    if (number >= option->min && number <= option->max)
        return true;
    struct buf what = {0};
    buf_text(&what, number < option->min ? "is too small, at least " : "is too large, at most ");
    format_bound(option->type, number < option->min ? option->min : option->max, &what);
    buf_add(&what, "", 1);
    complain(scope, option, text, what.ptr);
    buf_free(&what);
    return false;
}

static void set_count(const struct scope *scope, const struct option *option, void *base,
                      struct str text)
{
    uint64_t number;
    if (!value_number(text, &number))
        complain(scope, option, text, "is not a whole number");
    else if (in_range(scope, option, text, number))
        number_store(option, base, number);
}

static void set_size(const struct scope *scope, const struct option *option, void *base,
                     struct str text)
{
    uint64_t bytes;
    if (!config_parse_size(text, &bytes))
        complain(scope, option, text, "is not a size such as 64kb, 10mb or 1gb");
    else if (in_range(scope, option, text, bytes))
        number_store(option, base, bytes);
}

static void set_duration(const struct scope *scope, const struct option *option, void *base,
                         struct str text)
{
    uint64_t ms;
    if (!config_parse_duration(text, &ms))
        complain(scope, option, text, "is not a duration such as 500ms, 10s, 5m or 7d");
    else if (in_range(scope, option, text, ms))
        number_store(option, base, ms);
}

static void set_percent(const struct scope *scope, const struct option *option, void *base,
                        struct str text)
{
    uint64_t percent;
    if (!value_percent(text, &percent))
        complain(scope, option, text, "is not a percentage such as 80%");
    else if (in_range(scope, option, text, percent))
        number_store(option, base, percent);
}

static void set_size_for(const struct scope *scope, const struct option *option, void *base,
                         struct str text)
{
    size_t len = 0;
    while (len < text.len && text.ptr[len] != ' ' && text.ptr[len] != '\t')
        len++;
    uint64_t bytes, ms;
    if (!config_parse_size((struct str){text.ptr, len}, &bytes) ||
        !config_parse_duration(str_trim((struct str){text.ptr + len, text.len - len}), &ms)) {
        complain(scope, option, text, "is not a size and a duration such as 256mb 60s");
    } else if (in_range(scope, option, text, bytes)) {
        number_store(option, base, bytes);
        *(uint64_t *)second_field(option, base) = ms;
    }
}

static void set_rate(const struct scope *scope, const struct option *option, void *base,
                     struct str text)
{
    if (!value_rate(text, option_field(option, base)))
        complain(scope, option, text, "is not a rate such as 100/s or 5000/m");
}

static void complain_choice(const struct scope *scope, const struct option *option, struct str text)
{
    const char *nearest = word_nearest(option->words, text);
    struct buf what = {0};
    buf_text(&what, "is not one of ");
    words_join(option, "", &what);
    if (nearest)
        buf_printf(&what, "; did you mean '%s'?", nearest);
    buf_add(&what, "", 1);
    complain(scope, option, text, what.ptr);
    buf_free(&what);
}

static void set_choice(const struct scope *scope, const struct option *option, void *base,
                       struct str text)
{
    for (size_t i = 0; option->words[i]; i++)
        if (text.len && str_equal(str_of(option->words[i]), text)) {
            number_store(option, base, i);
            return;
        }
    complain_choice(scope, option, text);
}

static void complain_address(const struct scope *scope, const struct option *option,
                             struct str text, const char *error)
{
    struct buf what = {0};
    buf_printf(&what, "%s%s%c", strncmp(error, "is ", 3) == 0 ? "" : "is no address: ", error, 0);
    complain(scope, option, text, what.ptr);
    buf_free(&what);
}

/* An empty value is none. */
static void set_text(const struct scope *scope, const struct option *option, void *base,
                     struct str text)
{
    const char *value = NULL;
    bool path = option->type == VALUE_FILE || option->type == VALUE_PASSWORD_FILE ||
                (option->type == VALUE_LOG_FILE && !str_equal(text, STR("-")));
    if (text.len)
        value = path ? path_resolve(scope, text) : arena_str(scope->arena, text);
    *(const char **)option_field(option, base) = value;
    if (option->type == VALUE_PASSWORD_FILE && value)
        *(const char **)second_field(option, base) = password_read(scope, value);
}

/* An empty value switches off. */
static void set_address(const struct scope *scope, const struct option *option, void *base,
                        struct str text)
{
    struct listen_address *address = arena_alloc(scope->arena, sizeof(*address));
    const char *error = text.len ? listen_parse(scope->arena, text, address) : NULL;
    address->where = scope->where;
    if (error)
        complain_address(scope, option, text, error);
    *(struct listen_address **)option_field(option, base) = text.len && !error ? address : NULL;
}

/* ---- lists ---- */

/* Room for one more in an array that only ever grows by one: doubled at powers of two. */
static void *array_grow(struct arena *arena, void *items, size_t count, size_t size)
{
    if (count & (count - 1))
        return items;
    void *copy = arena_alloc(arena, (count ? count * 2 : 1) * size);
    return count ? memcpy(copy, items, count * size) : copy;
}

void text_list_add(const struct scope *scope, struct text_list *list, struct str item)
{
    list->items = array_grow(scope->arena, list->items, list->count, sizeof(*list->items));
    list->where = array_grow(scope->arena, list->where, list->count, sizeof(*list->where));
    list->items[list->count] = (struct str){arena_str(scope->arena, item), item.len};
    list->where[list->count++] = scope->where;
}

static void add_digest(const struct scope *scope, const struct option *option, void *base,
                       struct str item)
{
    char digits[64];
    if (str_equal(item, STR("(hidden)"))) {
        complain(scope, option, item, "'(hidden)' stands for a hash that was not printed");
        return;
    }
    bool fine = item.len == option->min;
    for (size_t i = 0; fine && i < item.len; i++) {
        char c = item.ptr[i];
        digits[i] = c >= 'A' && c <= 'F' ? (char)(c + 32) : c;
        fine = (c >= '0' && c <= '9') || (digits[i] >= 'a' && digits[i] <= 'f');
    }
    if (fine)
        text_list_add(scope, option_field(option, base), (struct str){digits, item.len});
    else
        complain(scope, option, item,
                 option->min == sizeof(digits) ? "not a SHA-256 of 64 hex digits"
                                               : "is not a SHA-1 of 40 hex digits");
}

/* Kept as it was resolved, so that what is printed loads to the same. */
static void add_bodies(const struct scope *scope, const struct option *option, void *base,
                       struct str item)
{
    const char *path = path_resolve(scope, item);
    if (bodies_read(scope, path, second_field(option, base)))
        text_list_add(scope, option_field(option, base), str_of(path));
}

static void add_listen(const struct scope *scope, const struct option *option, void *base,
                       struct str item)
{
    struct listen_address **all = option_field(option, base), address = {.where = scope->where};
    size_t *count = second_field(option, base);
    const char *error = listen_parse(scope->arena, item, &address);
    for (size_t i = 0; !error && i < *count; i++)
        if ((*all)[i].port == address.port && strcmp((*all)[i].host, address.host) == 0)
            error = "is listed twice";
    if (error) {
        complain_address(scope, option, item, error);
        return;
    }
    *all = array_grow(scope->arena, *all, *count, sizeof(**all));
    (*all)[(*count)++] = address;
}

/* A url may bring an identity; username and password-file say the same, so both is a mistake
 * that config_check() tells. */
static void add_url(const struct scope *scope, const struct option *option, void *base,
                    struct str item)
{
    struct backend_address **all = option_field(option, base);
    size_t *count = second_field(option, base);
    struct config *config = base;
    struct url url;
    const char *error = url_parse(scope->arena, item, &url);
    if (error) {
        complain(scope, option, item, error);
        return;
    }
    if (url.password && scope->others_read)
        problem_warning(scope->problems, scope->where,
                        "%s: a password stands here and the file can be read by all", option->key);
    config->backend.url_username = url.username;
    config->backend.url_password = url.password;
    url.address.where = scope->where;
    *all = array_grow(scope->arena, *all, *count, sizeof(**all));
    (*all)[(*count)++] = url.address;
}

static void add_host(const struct scope *scope, const struct option *option, void *base,
                     struct str item)
{
    struct backend_address **all = option_field(option, base), address = {.where = scope->where};
    size_t *count = second_field(option, base);
    const char *error = sentinel_parse(scope->arena, item, &address);
    for (size_t i = 0; !error && i < *count; i++)
        if (strcmp((*all)[i].text, address.text) == 0)
            error = "is listed twice";
    if (error) {
        complain_address(scope, option, item, error);
        return;
    }
    *all = array_grow(scope->arena, *all, *count, sizeof(**all));
    (*all)[(*count)++] = address;
}

static void add_text(const struct scope *scope, const struct option *option, void *base,
                     struct str item)
{
    text_list_add(scope, option_field(option, base), item);
}

typedef void set_function(const struct scope *scope, const struct option *option, void *base,
                          struct str text);

static void set_items(const struct scope *scope, const struct option *option, void *base,
                      struct str text, set_function *add)
{
    const char *error = NULL;
    struct str item;
    /* An empty clause would hold for everybody: a rule must not widen by a slip. */
    if (text.len == 0)
        problem_error(scope->problems, scope->where, "'%s' has no value: leave the line out",
                      option->key);
    for (struct str rest = text; str_trim(rest).len;) {
        if (!item_next(scope->arena, &rest, &item, &error)) {
            complain(scope, option, text, error);
            return;
        }
        add(scope, option, base, item);
    }
}

static set_function *const setters[] = {
    [VALUE_TEXT] = set_text,         [VALUE_FILE] = set_text,
    [VALUE_LOG_FILE] = set_text,     [VALUE_PASSWORD_FILE] = set_text,
    [VALUE_COUNT] = set_count,       [VALUE_SIZE] = set_size,
    [VALUE_AMOUNT] = set_size,       [VALUE_SIZE_FOR] = set_size_for,
    [VALUE_DURATION] = set_duration, [VALUE_RATE] = set_rate,
    [VALUE_CHOICE] = set_choice,     [VALUE_ADDRESS] = set_address,
    [VALUE_PERCENT] = set_percent,
};
static set_function *const adders[] = {
    [VALUE_TEXT] = add_text,     [VALUE_DIGEST] = add_digest, [VALUE_BODIES] = add_bodies,
    [VALUE_LISTEN] = add_listen, [VALUE_URL] = add_url,       [VALUE_HOSTS] = add_host,
};

void option_set(const struct scope *scope, const struct option *option, void *base, struct str text)
{
    const char *error;
    if (option->flags & OPTION_LIST)
        set_items(scope, option, base, text, adders[option->type]);
    else if (text_unquote(scope->arena, text, &text, &error))
        setters[option->type](scope, option, base, text);
    else
        complain(scope, option, text, error);
}
