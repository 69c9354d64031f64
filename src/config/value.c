/* value.c - numbers with units: sizes, durations and rates, to and from text. */
#include "option.h"

struct unit {
    const char *name;
    uint64_t factor;
};

/* As redis.conf: k m g count by 1000, kb mb gb by 1024. Largest first of those that are printed. */
static const struct unit size_units[] = {
    {"gb", 1024ull * 1024 * 1024},
    {"mb", 1024 * 1024},
    {"kb", 1024},
    {"b", 1},
    {"", 1},
    {"k", 1000},
    {"m", 1000 * 1000},
    {"g", 1000 * 1000 * 1000},
};
static const struct unit duration_units[] = {
    {"d", 86400 * 1000}, {"h", 3600 * 1000}, {"m", 60 * 1000}, {"s", 1000}, {"ms", 1},
};
#define RATE_MAX (1ull << 40)
/* A rate is stored for one second. */
static const struct unit rate_units[] = {{"s", 1}, {"m", 60}, {"h", 3600}};

bool value_number(struct str text, uint64_t *out)
{
    int64_t value;
    if (!str_to_int(text, &value) || value < 0)
        return false;
    *out = (uint64_t)value;
    return true;
}

static size_t digits_len(struct str text)
{
    size_t len = 0;
    while (len < text.len && text.ptr[len] >= '0' && text.ptr[len] <= '9')
        len++;
    return len;
}

static const struct unit *unit_find(const struct unit *units, size_t count, struct str name)
{
    for (size_t i = 0; i < count; i++)
        if (str_equal_nocase(str_of(units[i].name), name))
            return &units[i];
    return NULL;
}

static bool number_with_unit(struct str text, const struct unit *units, size_t count, uint64_t *out)
{
    size_t len = digits_len(text);
    uint64_t number;
    const struct unit *unit = unit_find(units, count, (struct str){text.ptr + len, text.len - len});
    if (!unit || !value_number((struct str){text.ptr, len}, &number))
        return false;
    return !__builtin_mul_overflow(number, unit->factor, out);
}

bool config_parse_size(struct str text, uint64_t *bytes)
{
    return number_with_unit(text, size_units, ARRAY_LEN(size_units), bytes);
}

/* A bare number has no meaning, but 0 is 0 in every unit. */
bool config_parse_duration(struct str text, uint64_t *ms)
{
    if (str_equal(text, STR("0"))) {
        *ms = 0;
        return true;
    }
    return number_with_unit(text, duration_units, ARRAY_LEN(duration_units), ms);
}

/* "80%"; a bare number has no meaning, but 0 is 0. */
bool value_percent(struct str text, uint64_t *out)
{
    bool sign = text.len > 1 && text.ptr[text.len - 1] == '%';
    return value_number((struct str){text.ptr, text.len - sign}, out) && (sign || *out == 0);
}

/* A number or a size, each second, minute or hour. */
bool value_rate(struct str text, double *per_second)
{
    const char *slash = memchr(text.ptr, '/', text.len);
    if (!slash)
        return false;
    size_t len = (size_t)(slash - text.ptr);
    uint64_t number;
    const struct unit *unit =
        unit_find(rate_units, ARRAY_LEN(rate_units), (struct str){slash + 1, text.len - len - 1});
    if (!unit || !config_parse_size((struct str){text.ptr, len}, &number) || number == 0 ||
        number > RATE_MAX)
        return false;
    *per_second = (double)number / (double)unit->factor;
    return true;
}

/* In the largest unit that loses nothing. */
static void number_format(uint64_t value, const struct unit *units, size_t count, struct buf *out)
{
    size_t i = 0;
    while (i + 1 < count && value % units[i].factor != 0)
        i++;
    buf_printf(out, "%llu%s", (unsigned long long)(value / units[i].factor), units[i].name);
}

void value_format_size(uint64_t bytes, struct buf *out)
{
    if (bytes == 0)
        buf_text(out, "0");
    else
        number_format(bytes, size_units, 4, out);
}

void value_format_duration(uint64_t ms, struct buf *out)
{
    if (ms == 0)
        buf_text(out, "0");
    else
        number_format(ms, duration_units, ARRAY_LEN(duration_units), out);
}

/* The unit it was written in divides back to the very same double. */
void value_format_rate(double per_second, struct buf *out)
{
    for (size_t i = 0; i < ARRAY_LEN(rate_units); i++) {
        double factor = (double)rate_units[i].factor;
        uint64_t number = (uint64_t)(per_second * factor + 0.5);
        if ((double)number / factor == per_second) {
            buf_printf(out, "%llu/%s", (unsigned long long)number, rate_units[i].name);
            return;
        }
    }
    ASSERT(!"a rate that was not parsed");
}
