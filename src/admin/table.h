/*
 * table.h - a table: rows of cells under the columns of tables.def; and its renderers.
 *
 *   report --fill--> table --sort, limit--> RESP3 maps | RESP2 arrays | lines of text | JSON
 *                                      \--> metrics (where a column has a metric's name)
 */
#ifndef RESPGATE_ADMIN_TABLE_H
#define RESPGATE_ADMIN_TABLE_H

#include "respgate/admin.h"

enum column_kind {
    COLUMN_LABEL,
    COLUMN_TEXT,
    COLUMN_COUNT,
    COLUMN_BYTES,
    COLUMN_US,
    COLUMN_MS,
    COLUMN_SECONDS,
    COLUMN_TIME,
};
static inline bool column_is_text(enum column_kind kind)
{
    return kind <= COLUMN_TEXT;
}

struct column {
    const char *name, *metric, *help;
    enum column_kind kind;
};

enum table_id {
#define TABLE(id, name, sorted_by, help) TABLE_##id,
#define COLUMN(name, kind, metric, help)
#define END(id)
#include "respgate/tables.def"
#undef TABLE
#undef COLUMN
#undef END
    TABLE_COUNT
};

#define NUMBER_UNKNOWN UINT64_MAX
struct cell {
    struct str text; /* of text columns; lives as long as the table's source */
    uint64_t number; /* of the others */
};

struct table_kind;
struct table {
    const struct table_kind *kind;
    struct cell *cells;
    size_t used, room;   /* cells */
    size_t rows;         /* complete ones, set by table_end */
    size_t hidden;       /* cut off by table_limit */
    struct arena *arena; /* texts made for this table */
};

/* What a table is filled from. */
struct source {
    struct proxy *proxy;
    const struct report *report;
};

struct table_kind {
    const char *name, *sorted_by, *help;
    void (*fill)(struct table *table, const struct source *source); /* fill.h */
    const struct column *columns;
    size_t column_count;
};
extern const struct table_kind table_kinds[TABLE_COUNT];
/* Whether it has rows of single clients, which a report has only when asked. */
static inline bool table_of_clients(const struct table_kind *kind)
{
    return kind == &table_kinds[TABLE_CLIENTS] || kind == &table_kinds[TABLE_REHEARSAL];
}
const struct table_kind *table_by_name(struct str name); /* NULL: none; case does not matter */
/* The closest name to a slip, or NULL. */
const char *table_nearest(struct str name);

void table_begin(struct table *table, const struct table_kind *kind);
void table_text(struct table *table, const char *text);
void table_str(struct table *table, struct str text);
void table_number(struct table *table, uint64_t number);
/* The table, filled and closed. */
void table_make(struct table *table, const struct table_kind *kind, const struct source *source);
/* Largest first, text in its order; false: no such column. */
bool must_check table_sort(struct table *table, struct str column);
void table_limit(struct table *table, size_t rows);
void table_free(struct table *table);
static inline const struct cell *table_row(const struct table *table, size_t row)
{
    return &table->cells[row * table->kind->column_count];
}

/* ---- renderers (render.c) ---- */

enum format {
    FORMAT_LINES,  /* RESP2: an array of lines, aligned, for redis-cli and people */
    FORMAT_ARRAYS, /* RESP2: an array of arrays, the names of the columns first */
    FORMAT_MAPS,   /* RESP3: an array of maps */
};
void render_resp(const struct table *table, enum format format, struct buf *out);
/* {"columns":[{"name":...,"kind":...}],"rows":[[...]],"hidden":0} */
void render_json(const struct table *table, struct buf *out);
/* A cell as people read it: 12.3M, 1.25 ms, 3m12s. */
void render_cell(enum column_kind kind, const struct cell *cell, struct buf *out);

/* ---- metrics (metrics.c) ---- */

void metrics_write(const struct source *source, struct buf *out);
/* conf/METRICS.md; a drift test compares. */
void metrics_reference(struct buf *out);

/* ---- the rows of scalars.def (scalars.c) ---- */

struct scalar {
    const char *name, *help;
    enum column_kind kind;
};
extern const struct scalar scalars[];
extern const size_t scalar_count;
void scalars_read(const struct report *report, uint64_t *out); /* scalar_count of them */

#endif
