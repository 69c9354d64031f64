/* table.c - tables as rows of tables.def: filling, sorting, cutting. */
#include <stdlib.h>

#include "fill.h"

#define LABEL   COLUMN_LABEL
#define TEXT    COLUMN_TEXT
#define COUNT   COLUMN_COUNT
#define BYTES   COLUMN_BYTES
#define US      COLUMN_US
#define MS      COLUMN_MS
#define TIME    COLUMN_TIME
#define SECONDS COLUMN_SECONDS

#define TABLE(id, name, sorted_by, help) static const struct column columns_##id[] = {
#define COLUMN(text, type, measure, meaning)                                                       \
    {.name = text, .metric = measure, .help = meaning, .kind = type},
#define END(id)                                                                                    \
    }                                                                                              \
    ;
#include "respgate/tables.def"
#undef TABLE
#undef COLUMN
#undef END

const struct table_kind table_kinds[TABLE_COUNT] = {
#define TABLE(id, text, sorting, meaning)                                                          \
    [TABLE_##id] = {text, sorting, meaning, fill_##id, columns_##id, ARRAY_LEN(columns_##id)},
#define COLUMN(name, kind, metric, help)
#define END(id)
#include "respgate/tables.def"
#undef TABLE
#undef COLUMN
#undef END
};

const struct table_kind *table_by_name(struct str name)
{
    for (size_t i = 0; i < TABLE_COUNT; i++)
        if (str_equal_nocase(str_of(table_kinds[i].name), name))
            return &table_kinds[i];
    return NULL;
}

const char *table_nearest(struct str name)
{
    const char *names[TABLE_COUNT + 1] = {NULL};
    for (size_t i = 0; i < TABLE_COUNT; i++)
        names[i] = table_kinds[i].name;
    return word_nearest(names, name);
}

/* ---- filling ---- */

void table_begin(struct table *table, const struct table_kind *kind)
{
    *table = (struct table){.kind = kind, .arena = arena_new()};
}

static struct cell *cell_new(struct table *table, bool text)
{
    enum column_kind kind = table->kind->columns[table->used % table->kind->column_count].kind;
    ASSERT(column_is_text(kind) == text); /* the function that fills it has lost its place */
    if (table->used == table->room) {
        table->room = table->room ? table->room * 2 : 64;
        table->cells = xrealloc(table->cells, table->room * sizeof(*table->cells));
    }
    struct cell *cell = &table->cells[table->used++];
    *cell = (struct cell){0};
    return cell;
}

void table_str(struct table *table, struct str text)
{
    cell_new(table, true)->text = text;
}

void table_text(struct table *table, const char *text)
{
    table_str(table, str_of(text ? text : ""));
}

void table_number(struct table *table, uint64_t number)
{
    cell_new(table, false)->number = number;
}

void table_make(struct table *table, const struct table_kind *kind, const struct source *source)
{
    table_begin(table, kind);
    kind->fill(table, source);
    ASSERT(table->used % kind->column_count == 0);
    table->rows = table->used / kind->column_count;
}

void table_free(struct table *table)
{
    free(table->cells);
    arena_free(table->arena);
    *table = (struct table){0};
}

/* ---- sorting and cutting ---- */

struct order {
    const struct cell *row;
    size_t place; /* as collected: rows that are equal keep it */
    struct cell key;
    bool text;
};

static int compare_text(struct str a, struct str b)
{
    size_t len = a.len < b.len ? a.len : b.len;
    int order = len ? memcmp(a.ptr, b.ptr, len) : 0;
    return order ? order : (a.len > b.len) - (a.len < b.len);
}

/* What is not known comes after all that is. */
static int compare_numbers(uint64_t a, uint64_t b)
{
    _Static_assert(NUMBER_UNKNOWN + 1 == 0, "the largest one becomes the smallest");
    return (a + 1 < b + 1) - (a + 1 > b + 1);
}

static int compare_rows(const void *one, const void *other)
{
    const struct order *a = one, *b = other;
    int order = a->text ? compare_text(a->key.text, b->key.text)
                        : compare_numbers(a->key.number, b->key.number);
    return order ? order : (a->place > b->place) - (a->place < b->place);
}

static size_t column_find(const struct table_kind *kind, struct str name)
{
    size_t i = 0;
    while (i < kind->column_count && !str_equal_nocase(str_of(kind->columns[i].name), name))
        i++;
    return i;
}

bool table_sort(struct table *table, struct str name)
{
    const struct table_kind *kind = table->kind;
    size_t width = kind->column_count, column = column_find(kind, name);
    if (column == width)
        return false;
    if (table->rows < 2)
        return true;
    struct order *order = xcalloc(table->rows, sizeof(*order));
    struct cell *sorted = xcalloc(table->rows * width, sizeof(*sorted));
    for (size_t i = 0; i < table->rows; i++)
        order[i] = (struct order){table_row(table, i), i, table_row(table, i)[column],
                                  column_is_text(kind->columns[column].kind)};
    qsort(order, table->rows, sizeof(*order), compare_rows);
    for (size_t i = 0; i < table->rows; i++)
        memcpy(&sorted[i * width], order[i].row, width * sizeof(*sorted));
    free(table->cells);
    free(order);
    table->cells = sorted;
    table->room = table->used;
    return true;
}

void table_limit(struct table *table, size_t rows)
{
    if (table->rows <= rows)
        return;
    table->hidden += table->rows - rows;
    table->rows = rows;
}
