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

/* name="value": valid UTF-8 without control characters; then what the format itself escapes. */
static void metric_label(struct buf *out, const char *name, struct str value)
{
    struct buf text = {0};
    if (!buf_printable(&text, value, LABEL_MAX)) /* two that begin alike stay two */
        buf_printf(&text, "%08x", fnv1a(value));
    buf_text(out, name);
    buf_text(out, "=\"");
    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] == '"' || text.ptr[i] == '\\')
            buf_text(out, "\\");
        buf_add(out, text.ptr + i, 1);
    }
    buf_text(out, "\"");
    buf_free(&text);
}

static struct str label_of(struct arena *arena, const char *name, struct str value)
{
    struct buf text = {0};
    metric_label(&text, name, value);
    struct str label = {arena_str(arena, buf_view(&text)), text.len};
    buf_free(&text);
    return label;
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

static void metrics_of_column(const struct table *table, const struct str *labels, size_t column,
                              struct buf *out)
{
    const struct column *what = &table->kind->columns[column];
    metric_head(out, what->metric, what->help);
    for (size_t row = 0; row < table->rows; row++) {
        const struct cell *cells = table_row(table, row);
        if (cells[column].number == NUMBER_UNKNOWN)
            continue;
        buf_text(out, "respgate_");
        buf_text(out, what->metric);
        buf_text(out, "{");
        buf_str(out, labels[row]);
        buf_text(out, "}");
        metric_value(out, what->kind, cells[column].number);
    }
}

static void metrics_of_table(const struct table_kind *kind, const struct source *source,
                             struct buf *out)
{
    struct table table;
    table_make(&table, kind, source);
    size_t place;
    const struct column *label = label_column(kind, &place);
    ASSERT(label);
    struct str *labels = arena_alloc(table.arena, (table.rows + 1) * sizeof(*labels));
    for (size_t row = 0; row < table.rows; row++)
        labels[row] = label_of(table.arena, label->name, table_row(&table, row)[place].text);
    for (size_t i = 0; table.rows && i < kind->column_count; i++)
        if (kind->columns[i].metric[0])
            metrics_of_column(&table, labels, i, out);
    table_free(&table);
}

/* ---- histograms ---- */

/* A row's histogram and the label that names it; NULL: there are no more rows. */
typedef const struct histogram *histogram_row(const struct report *report, size_t row,
                                              const char **label);

static const struct histogram *all_backend(const struct report *report, size_t row,
                                           const char **label)
{
    *label = "";
    return row == 0 ? &report->backend : NULL;
}

static const struct histogram *all_proxy(const struct report *report, size_t row,
                                         const char **label)
{
    *label = "";
    return row == 0 ? &report->proxy : NULL;
}

static const struct histogram *command_backend(const struct report *report, size_t row,
                                               const char **label)
{
    if (row >= report->commands_count)
        return NULL;
    *label = report->commands[row].name;
    return &report->commands[row].backend;
}

static const struct histogram *command_proxy(const struct report *report, size_t row,
                                             const char **label)
{
    if (row >= report->commands_count)
        return NULL;
    *label = report->commands[row].name;
    return &report->commands[row].proxy;
}

static const struct histogram *node_backend(const struct report *report, size_t row,
                                            const char **label)
{
    if (row >= report->nodes_count)
        return NULL;
    *label = report->nodes[row].name;
    return &report->nodes[row].latency;
}

static const struct series {
    const char *name, *label, *help;
    histogram_row *row;
} series[] = {
    {"backend_seconds", "", "time from sending a request to its reply", all_backend},
    {"proxy_seconds", "", "time a request spends in respgate", all_proxy},
    {"command_backend_seconds", "command", "the same of each command, at the backend",
     command_backend},
    {"command_proxy_seconds", "command", "the same of each command, in respgate", command_proxy},
    {"node_backend_seconds", "node", "time from sending a request to a node to its reply",
     node_backend},
};

static const uint64_t bounds_us[] = {100,    250,    500,     1000,    2500,
                                     5000,   10000,  25000,   50000,   100000,
                                     250000, 500000, 1000000, 2500000, 10000000};
static const char *const bounds_text[ARRAY_LEN(bounds_us)] = {"0.0001", "0.00025", "0.0005",
                                                              "0.001",  "0.0025",  "0.005",
                                                              "0.01",   "0.025",   "0.05",
                                                              "0.1",    "0.25",    "0.5",
                                                              "1",      "2.5",     "10"};

/* label: empty, or name="value". */
static void metrics_of_histogram(struct buf *out, const char *name, struct str label,
                                 const struct histogram *histogram)
{
    uint64_t below[ARRAY_LEN(bounds_us)];
    const char *comma = label.len ? "," : "", *open = label.len ? "{" : "",
               *close = label.len ? "}" : "";
    histogram_buckets(histogram, bounds_us, ARRAY_LEN(bounds_us), below);
    for (size_t i = 0; i <= ARRAY_LEN(bounds_us); i++) {
        bool last = i == ARRAY_LEN(bounds_us);
        buf_printf(out, "respgate_%s_bucket{%.*s%sle=\"%s\"} %llu\n", name, (int)label.len,
                   label.ptr, comma, last ? "+Inf" : bounds_text[i],
                   (unsigned long long)(last ? histogram->count : below[i]));
    }
    buf_printf(out, "respgate_%s_sum%s%.*s%s %.6f\n", name, open, (int)label.len, label.ptr, close,
               (double)histogram->sum / 1e6);
    buf_printf(out, "respgate_%s_count%s%.*s%s %llu\n", name, open, (int)label.len, label.ptr,
               close, (unsigned long long)histogram->count);
}

static void metrics_of_series(const struct series *one, const struct report *report,
                              struct buf *out)
{
    const struct histogram *histogram;
    const char *name;
    buf_printf(out, "# HELP respgate_%s %s\n# TYPE respgate_%s histogram\n", one->name, one->help,
               one->name);
    for (size_t row = 0; (histogram = one->row(report, row, &name)); row++) {
        struct buf label = {0};
        if (one->label[0])
            metric_label(&label, one->label, str_of(name));
        /* What is answered here never was at the backend. */
        if (histogram->count || !one->label[0])
            metrics_of_histogram(out, one->name, buf_view(&label), histogram);
        buf_free(&label);
    }
}

void metrics_write(const struct source *source, struct buf *out)
{
    struct arena *arena = arena_new();
    uint64_t *values = arena_alloc(arena, scalar_count * sizeof(*values));
    scalars_read(source->report, values);
    buf_text(out, "# HELP respgate_build_info the version that runs\n"
                  "# TYPE respgate_build_info gauge\nrespgate_build_info{");
    metric_label(out, "version", str_of(source->report->version));
    buf_text(out, "} 1\n");
    for (size_t i = 0; i < scalar_count; i++) {
        if (values[i] == NUMBER_UNKNOWN)
            continue;
        metric_head(out, scalars[i].name, scalars[i].help);
        buf_printf(out, "respgate_%s", scalars[i].name);
        metric_value(out, scalars[i].kind, values[i]);
    }
    for (int stat = 0; stat < STAT_COUNT; stat++) {
        metric_head(out, stat_name(stat), stat_help(stat));
        buf_printf(out, "respgate_%s %llu\n", stat_name(stat),
                   (unsigned long long)source->report->counters[stat]);
    }
    for (size_t i = 0; i < ARRAY_LEN(series); i++)
        metrics_of_series(&series[i], source->report, out);
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
    for (size_t i = 0; i < ARRAY_LEN(series); i++)
        buf_printf(out, "| `respgate_%s` | histogram | %s%s%s`le` | %s |\n", series[i].name,
                   series[i].label[0] ? "`" : "", series[i].label, series[i].label[0] ? "`, " : "",
                   series[i].help);
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
