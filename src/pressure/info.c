/* info.c - the text of INFO to numbers. Other servers leave fields out or add some: what is missing
 * is unknown, never zero. */
#include "respgate/pressure.h"

enum field_kind { FIELD_NUMBER, FIELD_STATUS, FIELD_TEXT };
static const struct field {
    const char *name;
    enum field_kind kind;
    size_t offset, size;
} fields[] = {
#define NUMBER(field)     {#field, FIELD_NUMBER, offsetof(struct info, field), sizeof(int64_t)},
#define STATUS(field)     {#field, FIELD_STATUS, offsetof(struct info, field), sizeof(int64_t)},
#define TEXT(field, size) {#field, FIELD_TEXT, offsetof(struct info, field), size},
#include "respgate/info.def"
};

/* The next line without its end; false at the end of the text. */
static bool next_line(struct str *text, struct str *line)
{
    if (text->len == 0)
        return false;
    const char *end = memchr(text->ptr, '\n', text->len);
    size_t len = end ? (size_t)(end - text->ptr) : text->len, used = end ? len + 1 : len;
    *line = (struct str){text->ptr, len && text->ptr[len - 1] == '\r' ? len - 1 : len};
    *text = (struct str){text->ptr + used, text->len - used};
    return true;
}

/* "name:value" */
static bool split(struct str line, char separator, struct str *name, struct str *value)
{
    const char *colon = line.len ? memchr(line.ptr, separator, line.len) : NULL;
    if (!colon)
        return false;
    size_t len = (size_t)(colon - line.ptr);
    *name = (struct str){line.ptr, len};
    *value = (struct str){colon + 1, line.len - len - 1};
    return true;
}

/* A number below zero tells nothing either. */
static int64_t number_of(struct str text)
{
    int64_t number;
    return str_to_int(text, &number) && number >= 0 ? number : INFO_UNKNOWN;
}

/* Texts go to logs and pages: what is not printable is not taken. */
static void text_set(char *out, size_t size, struct str value)
{
    size_t len = value.len < size - 1 ? value.len : size - 1;
    for (size_t i = 0; i < len; i++)
        out[i] = value.ptr[i] > ' ' && value.ptr[i] <= '~' ? value.ptr[i] : '?';
    out[len] = '\0';
}

static void field_set(struct info *info, const struct field *field, struct str value)
{
    void *at = (char *)info + field->offset;
    switch (field->kind) {
    case FIELD_NUMBER: *(int64_t *)at = number_of(value); return;
    case FIELD_STATUS: *(int64_t *)at = str_equal(value, STR("ok")); return;
    case FIELD_TEXT: text_set(at, field->size, value); return;
    }
}

/* "db0:keys=12,expires=3,..." */
static bool add_keys(struct info *info, struct str name, struct str value)
{
    struct str number, rest;
    if (name.len < 3 || memcmp(name.ptr, "db", 2) != 0 || name.ptr[2] < '0' || name.ptr[2] > '9' ||
        value.len < 5 || memcmp(value.ptr, "keys=", 5) != 0)
        return false;
    value = (struct str){value.ptr + 5, value.len - 5};
    if (!split(value, ',', &number, &rest))
        number = value;
    int64_t keys = number_of(number), sum;
    if (keys == INFO_UNKNOWN || __builtin_add_overflow(info->keys, keys, &sum))
        return false;
    info->keys = sum;
    return true;
}

static const struct field *field_find(struct str name)
{
    for (size_t i = 0; i < ARRAY_LEN(fields); i++)
        if (str_equal(str_of(fields[i].name), name))
            return &fields[i];
    return NULL;
}

bool info_parse(struct str text, struct info *out)
{
    struct str line, name, value;
    bool understood = false, keyspace = false;
    memset(out, 0, sizeof(*out));
    for (size_t i = 0; i < ARRAY_LEN(fields); i++)
        if (fields[i].kind != FIELD_TEXT)
            *(int64_t *)(void *)((char *)out + fields[i].offset) = INFO_UNKNOWN;
    while (next_line(&text, &line)) {
        if (str_equal(line, STR("# Keyspace")))
            keyspace = true;
        if (!split(line, ':', &name, &value))
            continue;
        const struct field *field = field_find(name);
        if (field)
            field_set(out, field, value);
        else if (!add_keys(out, name, value))
            continue;
        understood = true;
    }
    if (!keyspace && out->keys == 0) /* no section, rather than no keys */
        out->keys = INFO_UNKNOWN;
    return understood;
}

bool info_next_command(struct str *text, struct str *name, uint64_t *calls)
{
    static const char head[] = "cmdstat_", count[] = "calls=";
    const size_t head_len = sizeof(head) - 1, count_len = sizeof(count) - 1;
    struct str line, value, rest;
    while (next_line(text, &line)) {
        if (line.len < head_len || memcmp(line.ptr, head, head_len) != 0 ||
            !split((struct str){line.ptr + head_len, line.len - head_len}, ':', name, &value) ||
            value.len < count_len || memcmp(value.ptr, count, count_len) != 0)
            continue;
        value = (struct str){value.ptr + count_len, value.len - count_len};
        struct str number = value;
        (void)split(value, ',', &number, &rest);
        int64_t parsed = number_of(number);
        if (parsed == INFO_UNKNOWN)
            continue;
        *calls = (uint64_t)parsed;
        return true;
    }
    return false;
}
