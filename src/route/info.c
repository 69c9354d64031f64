/* info.c - INFO of many nodes as one: the first one's text, with what adds up added up, and
 * without what tells where nodes are. */
#include <stdlib.h>

#include "route_private.h"

/* Fields whose values of all primaries make the cluster's. */
static const char *const sums[] = {
    "connected_clients",
    "blocked_clients",
    "used_memory",
    "used_memory_rss",
    "used_memory_dataset",
    "maxmemory",
    "total_connections_received",
    "total_commands_processed",
    "instantaneous_ops_per_sec",
    "total_net_input_bytes",
    "total_net_output_bytes",
    "expired_keys",
    "evicted_keys",
    "keyspace_hits",
    "keyspace_misses",
};
/* Lines that name hosts or ports. */
static const char *const addresses[] = {"slave",    "master_host", "master_port",
                                        "tcp_port", "config_file", "executable"};

static bool is_one_of(struct str name, const char *const *names, size_t count, bool begins)
{
    for (size_t i = 0; i < count; i++) {
        struct str one = str_of(names[i]);
        if (str_equal(name, one) ||
            (begins && name.len > one.len && memcmp(name.ptr, one.ptr, one.len) == 0 &&
             name.ptr[one.len] >= '0' && name.ptr[one.len] <= '9'))
            return true;
    }
    return false;
}

static bool line_next(struct str *text, struct str *name, struct str *value)
{
    if (!text->len)
        return false;
    const char *end = memchr(text->ptr, '\n', text->len);
    struct str line = {text->ptr, end ? (size_t)(end - text->ptr) : text->len};
    text->ptr += line.len + (end != NULL);
    text->len -= line.len + (end != NULL);
    if (line.len && line.ptr[line.len - 1] == '\r')
        line.len--;
    const char *colon = line.len ? memchr(line.ptr, ':', line.len) : NULL;
    *name = (struct str){line.ptr, colon ? (size_t)(colon - line.ptr) : line.len};
    *value = colon ? (struct str){colon + 1, line.len - name->len - 1} : (struct str){0};
    return true;
}

static struct str field(struct str text, struct str want)
{
    struct str name, value;
    while (line_next(&text, &name, &value))
        if (value.ptr && str_equal(name, want))
            return value;
    return (struct str){0};
}

/* The text inside a bulk or verbatim string. */
static bool text_of(struct str reply, struct str *text)
{
    const char *end = reply.len ? memchr(reply.ptr, '\n', reply.len) : NULL;
    if (!end || (*reply.ptr != '$' && *reply.ptr != '='))
        return false;
    size_t head = (size_t)(end - reply.ptr) + 1, prefix = *reply.ptr == '=' ? 4 : 0;
    if (reply.len < head + prefix + 2)
        return false;
    *text = (struct str){reply.ptr + head + prefix, reply.len - head - prefix - 2};
    return true;
}

/* "keys=5,expires=1,avg_ttl=0": the numbers of all nodes, avg_ttl of the first. */
static void keyspace_add(struct str value, int64_t totals[2])
{
    static const char *const parts[] = {"keys=", "expires="};
    for (size_t i = 0; i < 2; i++) {
        const char *at =
            value.len ? memmem(value.ptr, value.len, parts[i], strlen(parts[i])) : NULL;
        if (!at)
            continue;
        at += strlen(parts[i]);
        int64_t number = 0;
        while (at < value.ptr + value.len && *at >= '0' && *at <= '9' && number < INT64_MAX / 20)
            number = number * 10 + (*at++ - '0');
        totals[i] += number;
    }
}

static void keyspace_write(const struct str *texts, size_t count, struct buf *out)
{
    int64_t totals[2] = {0};
    for (size_t i = 0; i < count; i++)
        keyspace_add(field(texts[i], STR("db0")), totals);
    if (totals[0])
        buf_printf(out, "db0:keys=%lld,expires=%lld,avg_ttl=0\r\n", (long long)totals[0],
                   (long long)totals[1]);
}

static void line_write(const struct str *texts, size_t count, struct str name, struct str value,
                       struct buf *out)
{
    int64_t total = 0, one;
    if (is_one_of(name, addresses, ARRAY_LEN(addresses), true) || str_equal(name, STR("db0")))
        return;
    buf_str(out, name);
    if (value.ptr) {
        buf_text(out, ":");
        if (is_one_of(name, sums, ARRAY_LEN(sums), false)) {
            for (size_t i = 0; i < count; i++)
                if (str_to_int(field(texts[i], name), &one))
                    total += one;
            buf_printf(out, "%lld", (long long)total);
        } else {
            buf_str(out, value);
        }
    }
    buf_text(out, "\r\n");
    if (str_equal(name, STR("# Keyspace")))
        keyspace_write(texts, count, out);
}

bool merge_info(const struct merge_part *parts, size_t count, struct buf *out)
{
    struct str *texts = xcalloc(count, sizeof(*texts)), name, value;
    struct buf text = {0};
    bool fits = true;
    for (size_t i = 0; i < count && fits; i++)
        fits = text_of(parts[i].reply, &texts[i]);
    if (fits) {
        struct str rest = texts[0];
        while (line_next(&rest, &name, &value))
            line_write(texts, count, name, value, &text);
        write_verbatim(out, buf_view(&text), *parts[0].reply.ptr == '=' ? 3 : 2);
    }
    buf_free(&text);
    free(texts);
    return fits;
}
