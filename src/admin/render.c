/* render.c - a table as RESP3 maps, RESP2 arrays, aligned lines, or JSON. */
#include <stdio.h>
#include <time.h>

#include "table.h"

/* Text columns of the lines; the last column may be longer. */
enum { TEXT_MAX = 64, LAST_MAX = 1000, JSON_TEXT_MAX = 2000 };

/* ---- cells as people read them ---- */

static void human_bytes(uint64_t bytes, struct buf *out)
{
    static const char units[] = "KMGTPE";
    double number = (double)bytes;
    int unit = -1;
    for (; number >= 1000 && unit < 5; unit++)
        number /= 1024;
    if (unit < 0)
        buf_printf(out, "%llu", (unsigned long long)bytes);
    else
        buf_printf(out,
                   number < 10    ? "%.2f%c"
                   : number < 100 ? "%.1f%c"
                                  : "%.0f%c",
                   number, units[unit]);
}

static void human_us(uint64_t us, struct buf *out)
{
    if (us < 1000)
        buf_printf(out, "%lluus", (unsigned long long)us);
    else if (us < 1000000)
        buf_printf(out, "%.2fms", (double)us / 1000);
    else
        buf_printf(out, "%.2fs", (double)us / 1000000);
}

static void human_ms(uint64_t ms, struct buf *out)
{
    unsigned long long s = ms / 1000;
    if (s < 60)
        buf_printf(out, "%llus", s);
    else if (s < 3600)
        buf_printf(out, "%llum%02llus", s / 60, s % 60);
    else if (s < 86400)
        buf_printf(out, "%lluh%02llum", s / 3600, s % 3600 / 60);
    else
        buf_printf(out, "%llud%02lluh", s / 86400, s % 86400 / 3600);
}

static void human_time(uint64_t seconds, struct buf *out)
{
    time_t when = (time_t)seconds;
    struct tm parts;
    char text[32] = "-";
    if (seconds && gmtime_r(&when, &parts))
        strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%SZ", &parts);
    buf_text(out, text);
}

void render_cell(enum column_kind kind, const struct cell *cell, struct buf *out)
{
    if (!column_is_text(kind) && cell->number == NUMBER_UNKNOWN)
        return;
    switch (kind) {
    case COLUMN_LABEL:
    case COLUMN_TEXT: buf_printable(out, cell->text, TEXT_MAX); return;
    case COLUMN_COUNT: buf_printf(out, "%llu", (unsigned long long)cell->number); return;
    case COLUMN_BYTES: human_bytes(cell->number, out); return;
    case COLUMN_US: human_us(cell->number, out); return;
    case COLUMN_MS: human_ms(cell->number, out); return;
    case COLUMN_SECONDS: human_ms(cell->number * 1000, out); return;
    case COLUMN_TIME: human_time(cell->number, out); return;
    }
}

/* ---- lines ---- */

static size_t text_width(const char *ptr, size_t len)
{
    size_t width = 0;
    for (size_t i = 0; i < len; i++)
        width += ((unsigned char)ptr[i] & 0xc0) != 0x80; /* not inside a UTF-8 sequence */
    return width;
}

static void pad(struct buf *out, size_t count)
{
    while (count--)
        buf_add(out, " ", 1);
}

static void line_cell(struct buf *out, const struct buf *text, size_t width, bool right, bool last)
{
    size_t own = text_width(text->ptr, text->len), space = width > own ? width - own : 0;
    if (right)
        pad(out, space);
    buf_str(out, buf_view(text));
    if (!right && !last)
        pad(out, space);
    if (!last)
        buf_text(out, "  ");
}

/* Row 0 is the head. An empty cell is a dash, so that columns can be counted. */
static void cell_line(const struct table *table, size_t row, size_t column, struct buf *out)
{
    const struct column *head = &table->kind->columns[column];
    bool last = column + 1 == table->kind->column_count;
    out->len = 0;
    if (row == 0) {
        buf_text(out, head->name);
        return;
    }
    const struct cell *cell = &table_row(table, row - 1)[column];
    if (last && column_is_text(head->kind))
        buf_printable(out, cell->text, LAST_MAX);
    else
        render_cell(head->kind, cell, out);
    if (out->len == 0)
        buf_text(out, "-");
}

static void render_lines(const struct table *table, struct buf *out)
{
    size_t columns = table->kind->column_count, widths[32] = {0};
    struct buf text = {0};
    ASSERT(columns <= ARRAY_LEN(widths));
    for (size_t row = 0; row <= table->rows; row++)
        for (size_t column = 0; column < columns; column++) {
            cell_line(table, row, column, &text);
            size_t width = text_width(text.ptr, text.len);
            widths[column] = width > widths[column] ? width : widths[column];
        }
    write_array(out, table->rows + 1 + (table->hidden > 0));
    for (size_t row = 0; row <= table->rows; row++) {
        buf_text(out, "+");
        for (size_t column = 0; column < columns; column++) {
            bool right = !column_is_text(table->kind->columns[column].kind);
            cell_line(table, row, column, &text);
            line_cell(out, &text, widths[column], right, column + 1 == columns);
        }
        buf_text(out, "\r\n");
    }
    if (table->hidden)
        buf_printf(out, "+(%zu more: LIMIT n)\r\n", table->hidden);
    buf_free(&text);
}

/* ---- values ---- */

static void value_write(enum column_kind kind, const struct cell *cell, int resp, struct buf *out)
{
    if (column_is_text(kind))
        write_bulk(out, cell->text);
    else if (cell->number == NUMBER_UNKNOWN)
        write_null(out, resp);
    else
        write_int(out, (int64_t)cell->number);
}

static void render_arrays(const struct table *table, struct buf *out)
{
    size_t columns = table->kind->column_count;
    write_array(out, table->rows + 1);
    write_array(out, columns);
    for (size_t column = 0; column < columns; column++)
        write_bulk(out, str_of(table->kind->columns[column].name));
    for (size_t row = 0; row < table->rows; row++) {
        write_array(out, columns);
        for (size_t column = 0; column < columns; column++)
            value_write(table->kind->columns[column].kind, &table_row(table, row)[column], 2, out);
    }
}

static void render_maps(const struct table *table, struct buf *out)
{
    size_t columns = table->kind->column_count;
    write_array(out, table->rows);
    for (size_t row = 0; row < table->rows; row++) {
        write_map(out, columns, 3);
        for (size_t column = 0; column < columns; column++) {
            write_bulk(out, str_of(table->kind->columns[column].name));
            value_write(table->kind->columns[column].kind, &table_row(table, row)[column], 3, out);
        }
    }
}

void render_resp(const struct table *table, enum format format, struct buf *out)
{
    switch (format) {
    case FORMAT_LINES: render_lines(table, out); return;
    case FORMAT_ARRAYS: render_arrays(table, out); return;
    case FORMAT_MAPS: render_maps(table, out); return;
    }
}

/* ---- JSON ---- */

static const char *kind_name(enum column_kind kind)
{
    switch (kind) {
    case COLUMN_LABEL:
    case COLUMN_TEXT: return "text";
    case COLUMN_COUNT: return "count";
    case COLUMN_BYTES: return "bytes";
    case COLUMN_US: return "us";
    case COLUMN_MS: return "ms";
    case COLUMN_SECONDS: return "seconds";
    case COLUMN_TIME: return "time";
    }
    return "";
}

static void json_cell(enum column_kind kind, const struct cell *cell, struct buf *out)
{
    if (!column_is_text(kind) && cell->number == NUMBER_UNKNOWN) {
        buf_text(out, "null");
        return;
    }
    if (!column_is_text(kind)) {
        buf_printf(out, "%llu", (unsigned long long)cell->number);
        return;
    }
    struct buf text = {0};
    buf_printable(&text, cell->text, JSON_TEXT_MAX);
    buf_json(out, buf_view(&text));
    buf_free(&text);
}

void render_json(const struct table *table, struct buf *out)
{
    size_t columns = table->kind->column_count;
    buf_text(out, "{\"columns\":[");
    for (size_t i = 0; i < columns; i++)
        buf_printf(out, "%s{\"name\":\"%s\",\"kind\":\"%s\"}", i ? "," : "",
                   table->kind->columns[i].name, kind_name(table->kind->columns[i].kind));
    buf_text(out, "],\"rows\":[");
    for (size_t row = 0; row < table->rows; row++) {
        buf_text(out, row ? ",[" : "[");
        for (size_t i = 0; i < columns; i++) {
            buf_text(out, i ? "," : "");
            json_cell(table->kind->columns[i].kind, &table_row(table, row)[i], out);
        }
        buf_text(out, "]");
    }
    buf_printf(out, "],\"hidden\":%zu}", table->hidden);
}
