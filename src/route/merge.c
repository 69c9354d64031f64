/* merge.c - replies of many nodes as the one reply a single node would have given.
 *
 * Works on the bytes of replies: values are passed over by the scanner and copied whole, so a
 * merged array holds what the nodes wrote, in RESP2 and RESP3 alike.
 */
#include <stdlib.h>

#include "route_private.h"

/* ---- one reply's values ---- */

/* The head line of a reply: type, and the number behind it. */
struct head {
    char type;
    int64_t number;
    size_t len; /* of the line with its CRLF */
};

static bool head_read(struct str reply, struct head *head)
{
    const char *end = reply.len > 1 ? memchr(reply.ptr, '\r', reply.len) : NULL;
    if (!end)
        return false;
    head->type = *reply.ptr;
    head->len = (size_t)(end - reply.ptr) + 2;
    struct str digits = {reply.ptr + 1, (size_t)(end - reply.ptr) - 1};
    return head->len <= reply.len && str_to_int(digits, &head->number);
}

/* Takes the next value off the rest; false when there is none. */
static bool value_next(struct str *rest, struct str *value)
{
    struct scan scan;
    size_t used = 0;
    scan_init(&scan);
    if (!rest->len || scan_feed(&scan, rest->ptr, rest->len, &used) != SCAN_END)
        return false;
    *value = (struct str){rest->ptr, used};
    rest->ptr += used;
    rest->len -= used;
    return true;
}

static bool is_list(const struct head *head)
{
    return (head->type == '*' || head->type == '~') && head->number >= 0;
}

/* A list's values: head, and what is behind it. */
static bool list_open(struct str reply, struct head *head, struct str *values)
{
    if (!head_read(reply, head) || !is_list(head))
        return false;
    *values = (struct str){reply.ptr + head->len, reply.len - head->len};
    return true;
}

/* ---- numbers ---- */

static bool merge_number(enum merge merge, const struct merge_part *parts, size_t count,
                         struct buf *out)
{
    int64_t total = 0;
    struct head head;
    for (size_t i = 0; i < count; i++) {
        if (!head_read(parts[i].reply, &head) || head.type != ':')
            return false;
        if (i == 0)
            total = head.number;
        else if (merge == MERGE_MIN)
            total = head.number < total ? head.number : total;
        else if (__builtin_add_overflow(total, head.number, &total))
            return false;
    }
    write_int(out, total);
    return true;
}

static bool merge_and(const struct merge_part *parts, size_t count, struct buf *out)
{
    struct head first, head;
    struct str *rest = xcalloc(count, sizeof(*rest));
    bool fits = list_open(parts[0].reply, &first, &rest[0]);
    for (size_t i = 1; i < count && fits; i++)
        fits = list_open(parts[i].reply, &head, &rest[i]) && head.number == first.number;
    struct buf values = {0};
    for (int64_t n = 0; fits && n < first.number; n++) {
        bool all = true;
        for (size_t i = 0; i < count && fits; i++) {
            struct str value;
            fits = value_next(&rest[i], &value) && value.len > 2;
            all &= fits && value.ptr[1] != '0';
        }
        write_int(&values, all);
    }
    if (fits) {
        write_array(out, (size_t)first.number);
        buf_str(out, buf_view(&values));
    }
    buf_free(&values);
    free(rest);
    return fits;
}

/* ---- lists ---- */

static bool merge_keyed(const struct merge_part *parts, size_t count, size_t places,
                        struct buf *out)
{
    struct str *values = xcalloc(places ? places : 1, sizeof(*values));
    bool fits = true;
    for (size_t i = 0; i < count && fits; i++) {
        struct head head;
        struct str rest;
        fits = list_open(parts[i].reply, &head, &rest) && (size_t)head.number == parts[i].count;
        for (size_t n = 0; n < parts[i].count && fits; n++)
            fits = parts[i].places[n] < places && value_next(&rest, &values[parts[i].places[n]]);
    }
    for (size_t n = 0; n < places && fits; n++)
        fits = values[n].len > 0;
    if (fits) {
        write_array(out, places);
        for (size_t n = 0; n < places; n++)
            buf_str(out, values[n]);
    }
    free(values);
    return fits;
}

static bool merge_concat(const struct merge_part *parts, size_t count, struct buf *out)
{
    uint64_t total = 0;
    struct head head;
    struct str rest;
    char type = '*';
    for (size_t i = 0; i < count; i++) {
        if (!list_open(parts[i].reply, &head, &rest))
            return false;
        type = head.type;
        total += (uint64_t)head.number;
    }
    buf_printf(out, "%c%llu\r\n", type, (unsigned long long)total);
    for (size_t i = 0; i < count; i++)
        if (list_open(parts[i].reply, &head, &rest))
            buf_str(out, rest);
    return true;
}

struct pair {
    struct str name;
    int64_t count;
    size_t order;
};

static int pair_by_name(const void *a, const void *b)
{
    const struct pair *x = a, *y = b;
    size_t len = x->name.len < y->name.len ? x->name.len : y->name.len;
    int order = memcmp(x->name.ptr, y->name.ptr, len);
    if (order)
        return order;
    if (x->name.len != y->name.len)
        return x->name.len < y->name.len ? -1 : 1;
    return x->order < y->order ? -1 : x->order > y->order;
}

static int pair_by_order(const void *a, const void *b)
{
    const struct pair *x = a, *y = b;
    return x->order < y->order ? -1 : x->order > y->order;
}

/* All values of all parts: alone, or (pairs) each with the number behind it. */
static struct pair *pairs_read(const struct merge_part *parts, size_t count, bool pairs,
                               size_t *used)
{
    struct head head;
    struct str rest;
    size_t room = 0;
    *used = 0;
    for (size_t i = 0; i < count; i++) {
        if (!list_open(parts[i].reply, &head, &rest) || (uint64_t)head.number > rest.len)
            return NULL;
        room += (size_t)head.number;
    }
    struct pair *all = xcalloc(room + 1, sizeof(*all));
    for (size_t i = 0; i < count; i++) {
        (void)!list_open(parts[i].reply, &head, &rest);
        for (int64_t n = 0; n < head.number; n += pairs ? 2 : 1) {
            struct pair *pair = &all[*used];
            struct str number;
            struct head value = {0};
            if (!value_next(&rest, &pair->name) ||
                (pairs && (!value_next(&rest, &number) || !head_read(number, &value) ||
                           value.type != ':'))) {
                free(all);
                return NULL;
            }
            pair->count = value.number;
            pair->order = (*used)++;
        }
    }
    return all;
}

static bool merge_names(const struct merge_part *parts, size_t count, bool pairs, struct buf *out)
{
    size_t used, unique = 0;
    struct pair *all = pairs_read(parts, count, pairs, &used);
    if (!all)
        return false;
    qsort(all, used, sizeof(*all), pair_by_name);
    for (size_t i = 0; i < used; i++) {
        if (unique && str_equal(all[unique - 1].name, all[i].name))
            all[unique - 1].count += all[i].count;
        else
            all[unique++] = all[i];
    }
    qsort(all, unique, sizeof(*all), pair_by_order);
    write_array(out, unique * (pairs ? 2 : 1));
    for (size_t i = 0; i < unique; i++) {
        buf_str(out, all[i].name);
        if (pairs)
            write_int(out, all[i].count);
    }
    free(all);
    return true;
}

/* ---- one of them ---- */

static bool is_error(struct str reply)
{
    return reply.len && (*reply.ptr == '-' || *reply.ptr == '!');
}

static bool is_null(struct str reply)
{
    return !reply.len || *reply.ptr == '_' || (reply.len > 2 && reply.ptr[1] == '-');
}

static bool merge_random(const struct merge_part *parts, size_t count, struct buf *out)
{
    size_t from = random_below((uint32_t)count);
    for (size_t i = 0; i < count; i++) {
        struct str reply = parts[(from + i) % count].reply;
        if (!is_null(reply)) {
            buf_str(out, reply);
            return true;
        }
    }
    buf_str(out, parts[0].reply);
    return true;
}

/* False when no error is the answer: then *answer is not set. */
static bool error_among(enum merge merge, const struct merge_part *parts, size_t count,
                        struct str *answer)
{
    const struct merge_part *error = NULL, *good = NULL;
    for (size_t i = count; i-- > 0;)
        *(is_error(parts[i].reply) ? &error : &good) = &parts[i];
    if (merge == MERGE_ANY) {
        *answer = (good ? good : error)->reply;
        return true;
    }
    if (error)
        *answer = error->reply;
    return error != NULL;
}

bool merge_replies(enum merge merge, const struct merge_part *parts, size_t count, size_t places,
                   struct buf *out)
{
    struct str answer;
    if (!count)
        return false;
    if (error_among(merge, parts, count, &answer)) {
        buf_str(out, answer);
        return true;
    }
    switch (merge) {
    case MERGE_ANY:
    case MERGE_FIRST: buf_str(out, parts[0].reply); return true;
    case MERGE_SUM:
    case MERGE_MIN: return merge_number(merge, parts, count, out);
    case MERGE_AND: return merge_and(parts, count, out);
    case MERGE_KEYED: return merge_keyed(parts, count, places, out);
    case MERGE_CONCAT: return merge_concat(parts, count, out);
    case MERGE_UNION: return merge_names(parts, count, false, out);
    case MERGE_PAIRS: return merge_names(parts, count, true, out);
    case MERGE_RANDOM: return merge_random(parts, count, out);
    case MERGE_INFO: return merge_info(parts, count, out);
    }
    return false;
}
