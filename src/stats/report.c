/* report.c - the memory of a report: one arena, and lists that grow. */
#include <stdlib.h>

#include "respgate/stats.h"

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
    free(report->memory);
    arena_free(report->arena);
    free(report);
}
