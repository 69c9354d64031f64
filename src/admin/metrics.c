/* metrics.c - /metrics in Prometheus' text format, and its reference.
 *
 * Rows of stats.def and scalars.def are one number each; a column of tables.def with a metric's
 * name gives one number a row of its table, labelled by the table's LABEL column. */
#include "table.h"

enum { LABEL_MAX = 256 };

static const char *metric_type(const char *name)
{
    size_t len = strlen(name);
    return len > 6 && strcmp(name + len - 6, "_total") == 0 ? "counter" : "gauge";
}

static void metric_head(struct buf *out, const char *name, const char *help)
{
    buf_printf(out, "# HELP respgate_%s %s\n# TYPE respgate_%s %s\n", name, help, name,
               metric_type(name));
}

static void metric_value(struct buf *out, enum column_kind kind, uint64_t number)
{
    switch (kind) {
    case COLUMN_US: buf_printf(out, " %.6f\n", (double)number / 1e6); return;
    case COLUMN_MS: buf_printf(out, " %.3f\n", (double)number / 1e3); return;
    case COLUMN_LABEL:
    case COLUMN_TEXT:
    case COLUMN_COUNT:
    case COLUMN_BYTES:
    case COLUMN_SECONDS:
    case COLUMN_TIME: buf_printf(out, " %llu\n", (unsigned long long)number); return;
    }
}

static uint32_t fnv1a(struct str text)
{
    uint32_t hash = 2166136261u;
    for (size_t i = 0; i < text.len; i++)
        hash = (hash ^ (unsigned char)text.ptr[i]) * 16777619u;
    return hash;
}

/* Valid UTF-8 without control characters; then what the format itself escapes. */
static void metric_label(struct buf *out, const char *name, struct str value)
{
    struct buf text = {0};
    if (!buf_printable(&text, value, LABEL_MAX)) /* two that begin alike stay two */
        buf_printf(&text, "%08x", fnv1a(value));
    buf_printf(out, "{%s=\"", name);
    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] == '"' || text.ptr[i] == '\\')
            buf_text(out, "\\");
        buf_add(out, text.ptr + i, 1);
    }
    buf_text(out, "\"}");
    buf_free(&text);
}

static const struct column *label_column(const struct table_kind *kind, size_t *place)
{
    for (*place = 0; *place < kind->column_count; ++*place)
        if (kind->columns[*place].kind == COLUMN_LABEL)
            return &kind->columns[*place];
    return NULL;
}

static bool has_metrics(const struct table_kind *kind)
{
    for (size_t i = 0; i < kind->column_count; i++)
        if (kind->columns[i].metric[0])
            return true;
    return false;
}

static void metrics_of_column(const struct table *table, size_t column, struct buf *out)
{
    const struct column *what = &table->kind->columns[column];
    size_t place;
    const struct column *label = label_column(table->kind, &place);
    ASSERT(label);
    metric_head(out, what->metric, what->help);
    for (size_t row = 0; row < table->rows; row++) {
        const struct cell *cells = table_row(table, row);
        if (cells[column].number == NUMBER_UNKNOWN)
            continue;
        buf_printf(out, "respgate_%s", what->metric);
        metric_label(out, label->name, cells[place].text);
        metric_value(out, what->kind, cells[column].number);
    }
}

static void metrics_of_table(const struct table_kind *kind, const struct source *source,
                             struct buf *out)
{
    struct table table;
    table_make(&table, kind, source);
    for (size_t i = 0; table.rows && i < kind->column_count; i++)
        if (kind->columns[i].metric[0])
            metrics_of_column(&table, i, out);
    table_free(&table);
}

/* ---- histograms ---- */

static const struct {
    const char *name, *help;
    size_t field; /* of struct report */
} histograms[] = {
    {"backend_seconds", "time from sending a request to its reply",
     offsetof(struct report, backend)},
    {"proxy_seconds", "time a request spends in respgate", offsetof(struct report, proxy)},
};
static const uint64_t bounds_us[] = {100,    250,    500,     1000,    2500,
                                     5000,   10000,  25000,   50000,   100000,
                                     250000, 500000, 1000000, 2500000, 10000000};

static void metrics_of_histogram(struct buf *out, const char *name, const char *help,
                                 const struct histogram *histogram)
{
    buf_printf(out, "# HELP respgate_%s %s\n# TYPE respgate_%s histogram\n", name, help, name);
    for (size_t i = 0; i < ARRAY_LEN(bounds_us); i++)
        buf_printf(out, "respgate_%s_bucket{le=\"%g\"} %llu\n", name, (double)bounds_us[i] / 1e6,
                   (unsigned long long)histogram_below(histogram, bounds_us[i]));
    buf_printf(out, "respgate_%s_bucket{le=\"+Inf\"} %llu\n", name,
               (unsigned long long)histogram->count);
    buf_printf(out, "respgate_%s_sum %.6f\nrespgate_%s_count %llu\n", name,
               (double)histogram->sum / 1e6, name, (unsigned long long)histogram->count);
}

void metrics_write(const struct source *source, struct buf *out)
{
    struct arena *arena = arena_new();
    uint64_t *values = arena_alloc(arena, scalar_count * sizeof(*values));
    scalars_read(source->report, values);
    buf_text(out, "# HELP respgate_build_info the version that runs\n"
                  "# TYPE respgate_build_info gauge\nrespgate_build_info");
    metric_label(out, "version", str_of(source->report->version));
    buf_text(out, " 1\n");
    for (size_t i = 0; i < scalar_count; i++) {
        metric_head(out, scalars[i].name, scalars[i].help);
        buf_printf(out, "respgate_%s", scalars[i].name);
        metric_value(out, scalars[i].kind, values[i]);
    }
    for (int stat = 0; stat < STAT_COUNT; stat++) {
        metric_head(out, stat_name(stat), stat_help(stat));
        buf_printf(out, "respgate_%s %llu\n", stat_name(stat),
                   (unsigned long long)source->report->counters[stat]);
    }
    for (size_t i = 0; i < ARRAY_LEN(histograms); i++)
        metrics_of_histogram(out, histograms[i].name, histograms[i].help,
                             (const void *)((const char *)source->report + histograms[i].field));
    for (size_t i = 0; i < TABLE_COUNT; i++)
        if (has_metrics(&table_kinds[i]))
            metrics_of_table(&table_kinds[i], source, out);
    arena_free(arena);
}

/* ---- the reference ---- */

static void reference_row(struct buf *out, const char *name, const char *label, const char *help)
{
    buf_printf(out, "| `respgate_%s` | %s | %s%s%s | %s |\n", name, metric_type(name),
               label[0] ? "`" : "", label, label[0] ? "`" : "", help);
}

void metrics_reference(struct buf *out)
{
    buf_text(out, "# Metrics\n\n"
                  "<!-- Made of stats.def, scalars.def and tables.def by `metrics-reference`; a "
                  "test compares. -->\n\n"
                  "What `/metrics` on `[admin] http` tells. Times are in seconds. A label holds "
                  "names of tables,\nof the configuration and of accepted logins; bytes that are "
                  "not printable become `\\xNN`, and a\nlong one is cut.\n\n"
                  "| metric | type | label | meaning |\n| --- | --- | --- | --- |\n");
    reference_row(out, "build_info", "version", "the version that runs");
    for (size_t i = 0; i < scalar_count; i++)
        reference_row(out, scalars[i].name, "", scalars[i].help);
    for (int stat = 0; stat < STAT_COUNT; stat++)
        reference_row(out, stat_name(stat), "", stat_help(stat));
    for (size_t i = 0; i < ARRAY_LEN(histograms); i++)
        buf_printf(out, "| `respgate_%s` | histogram | `le` | %s |\n", histograms[i].name,
                   histograms[i].help);
    for (size_t i = 0; i < TABLE_COUNT; i++) {
        size_t place;
        const struct column *label = label_column(&table_kinds[i], &place);
        for (size_t j = 0; j < table_kinds[i].column_count; j++) {
            const struct column *column = &table_kinds[i].columns[j];
            if (column->metric[0])
                reference_row(out, column->metric, label->name, column->help);
        }
    }
}
