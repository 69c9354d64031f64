/* report.c - a report: its memory, one row for what several workers counted, order at the end. */
#include <stdlib.h>

#include "internal.h"

struct report *report_new(void)
{
    struct report *report = xcalloc(1, sizeof(*report));
    report->arena = arena_new();
    return report;
}

void *report_grow(void *items, size_t count, size_t *room, size_t size)
{
    if (count == *room) {
        *room = count ? count * 2 : 16;
        items = xrealloc(items, *room * size);
    }
    memset((char *)items + count * size, 0, size);
    return items;
}

const char *report_text(struct report *report, const char *text)
{
    return text && *text ? arena_str(report->arena, str_of(text)) : "";
}

struct str report_str(struct report *report, struct str text)
{
    return (struct str){arena_str(report->arena, text), text.len};
}

/* ---- prefixes ---- */

static uint32_t *index_place(const struct report *report, struct str name)
{
    size_t at = stats_hash(0, name.ptr, name.len) & report->prefix_mask;
    while (report->prefix_index[at] &&
           !str_equal(report->prefixes[report->prefix_index[at] - 1].name, name))
        at = (at + 1) & report->prefix_mask;
    return &report->prefix_index[at];
}

static void index_grow(struct report *report)
{
    report->prefix_mask = report->prefix_mask ? report->prefix_mask * 2 + 1 : 4095;
    free(report->prefix_index);
    report->prefix_index = xcalloc(report->prefix_mask + 1, sizeof(uint32_t));
    for (size_t i = 0; i < report->prefixes_count; i++)
        *index_place(report, report->prefixes[i].name) = (uint32_t)i + 1;
}

struct report_prefix *report_prefix_row(struct report *report, struct str name)
{
    if (report->prefixes_count * 2 >= report->prefix_mask)
        index_grow(report);
    uint32_t *place = index_place(report, name);
    if (*place)
        return &report->prefixes[*place - 1];
    struct report_prefix *row = REPORT_ADD(report, prefixes);
    row->name = report_str(report, name);
    row->writer.address = "";
    *place = (uint32_t)report->prefixes_count;
    return row;
}

static bool is_fixed(const struct report_prefix *row)
{
    return row->declared || (row->name.len && row->name.ptr[0] == '(');
}

static uint64_t uses_of(const struct report_prefix *row)
{
    return row->counts[PREFIX_WRITES] + row->counts[PREFIX_READS] + row->counts[PREFIX_DELETES];
}

static int by_uses(const void *a, const void *b)
{
    const struct report_prefix *one = a, *other = b;
    if (is_fixed(one) != is_fixed(other))
        return is_fixed(one) ? -1 : 1;
    return uses_of(one) > uses_of(other) ? -1 : uses_of(one) < uses_of(other);
}

static int by_writes(const void *a, const void *b)
{
    const struct report_prefix *one = a, *other = b;
    uint64_t writes = one->counts[PREFIX_WRITES], others = other->counts[PREFIX_WRITES];
    return writes > others ? -1 : writes < others ? 1 : by_uses(a, b);
}

/* Each worker keeps its own; together they may be more than anybody asked for. */
static void prefixes_cut(struct report *report)
{
    enum { ALWAYS = 2 }; /* (other) and (none) */
    size_t room = report->prefixes_max + ALWAYS;
    if (report->prefixes_count > room) {
        qsort(report->prefixes, report->prefixes_count, sizeof(*report->prefixes), by_uses);
        struct report_prefix *other = NULL;
        for (size_t i = 0; i < room && !other; i++)
            if (str_equal(report->prefixes[i].name, STR("(other)")))
                other = &report->prefixes[i];
        if (!other) { /* it takes the last one's row, which is counted with it */
            room--;
            struct report_prefix last = report->prefixes[room];
            other = &report->prefixes[room++];
            *other = (struct report_prefix){.name = STR("(other)"), .writer.address = ""};
            for (int count = 0; count < PREFIX_COUNTS; count++)
                other->counts[count] = last.counts[count];
        }
        for (size_t i = room; i < report->prefixes_count; i++)
            for (int count = 0; count < PREFIX_COUNTS; count++)
                other->counts[count] += report->prefixes[i].counts[count];
        report->prefixes_count = room;
    }
    if (report->prefixes_count)
        qsort(report->prefixes, report->prefixes_count, sizeof(*report->prefixes), by_writes);
}

/* ---- the others ---- */

static int hot_order(const void *a, const void *b)
{
    const struct report_hot *one = a, *other = b;
    return one->total > other->total ? -1 : one->total < other->total;
}

static int big_order(const void *a, const void *b)
{
    const struct report_big *one = a, *other = b;
    return one->bytes > other->bytes ? -1 : one->bytes < other->bytes;
}

static int slow_order(const void *a, const void *b)
{
    const struct report_slow *one = a, *other = b;
    if (one->when != other->when)
        return one->when > other->when ? -1 : 1;
    return one->id > other->id ? -1 : one->id < other->id;
}

void report_finish(struct report *report)
{
    prefixes_cut(report);
    if (report->hot_count)
        qsort(report->hot, report->hot_count, sizeof(*report->hot), hot_order);
    if (report->hot_count > HOT_SHOWN)
        report->hot_count = HOT_SHOWN;
    if (report->big_count)
        qsort(report->big, report->big_count, sizeof(*report->big), big_order);
    if (report->slow_count)
        qsort(report->slow, report->slow_count, sizeof(*report->slow), slow_order);
}

void report_free(struct report *report)
{
    for (size_t i = 0; i < report->commands_count; i++) {
        histogram_clear(&report->commands[i].proxy);
        histogram_clear(&report->commands[i].backend);
    }
    for (size_t i = 0; i < report->nodes_count; i++)
        histogram_clear(&report->nodes[i].latency);
    histogram_clear(&report->proxy);
    histogram_clear(&report->backend);
    free(report->prefix_index);
    free(report->clients);
    free(report->nodes);
    free(report->pools);
    free(report->prefixes);
    free(report->commands);
    free(report->rules);
    free(report->users);
    free(report->hot);
    free(report->big);
    free(report->slow);
    free(report->pressures);
    free(report->advice);
    free(report->outside);
    free(report->queues);
    free(report->memory);
    arena_free(report->arena);
    free(report);
}
