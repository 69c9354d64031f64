/* test_table.c - a report as tables: order, cut, and each form it is shown in. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>

#include "../../../src/admin/table.h"

struct world {
    struct report *report;
    struct source source;
};

static void add_memory(struct report *report, const char *purpose, uint64_t bytes)
{
    *REPORT_ADD(report, memory) = (struct report_memory){purpose, bytes};
}

static int setup(void **state)
{
    static struct world world;
    world.report = report_new();
    world.report->version = "1";
    world.source = (struct source){NULL, world.report};
    add_memory(world.report, "small", 7);
    add_memory(world.report, "a\"b\\c\n<script>", 1500);
    add_memory(world.report, "large", 3u << 20);
    *state = &world;
    return 0;
}

static int teardown(void **state)
{
    report_free(((struct world *)*state)->report);
    return 0;
}

static struct table memory_table(void **state)
{
    struct table table;
    table_make(&table, &table_kinds[TABLE_MEMORY], &((struct world *)*state)->source);
    return table;
}

static void is_text(struct buf *out, const char *expected)
{
    if (!str_equal(buf_view(out), str_of(expected)))
        fail_msg("%.*s\ninstead of\n%s", (int)out->len, out->ptr, expected);
    buf_free(out);
}

static void lines(void **state)
{
    struct table table = memory_table(state);
    struct buf out = {0};
    assert_true(table_sort(&table, STR("BYTES")));
    table_limit(&table, 2);
    render_resp(&table, FORMAT_LINES, &out);
    is_text(&out, "*4\r\n"
                  "+purpose             bytes\r\n"
                  "+large               3.00M\r\n"
                  "+a\"b\\\\c\\x0a<script>  1.46K\r\n+(1 more: LIMIT n)\r\n");
    table_free(&table);
}

static void arrays_and_maps(void **state)
{
    struct table table = memory_table(state);
    struct buf out = {0};
    table_limit(&table, 1);
    render_resp(&table, FORMAT_ARRAYS, &out);
    is_text(&out, "*2\r\n*2\r\n$7\r\npurpose\r\n$5\r\nbytes\r\n*2\r\n$5\r\nsmall\r\n:7\r\n");
    render_resp(&table, FORMAT_MAPS, &out);
    is_text(&out, "*1\r\n%2\r\n$7\r\npurpose\r\n$5\r\nsmall\r\n$5\r\nbytes\r\n:7\r\n");
    table_free(&table);
}

static void json(void **state)
{
    struct table table = memory_table(state);
    struct buf out = {0};
    table_limit(&table, 2);
    render_json(&table, &out);
    is_text(&out,
            "{\"columns\":[{\"name\":\"purpose\",\"kind\":\"text\"},{\"name\":\"bytes\",\"kind\":"
            "\"bytes\"}],\"rows\":[[\"small\",7],[\"a\\\"b\\\\\\\\c\\\\x0a<script>\",1500]],"
            "\"hidden\":1}");
    table_free(&table);
}

static void sorting(void **state)
{
    struct table table = memory_table(state);
    assert_false(table_sort(&table, STR("nothing")));
    assert_true(table_sort(&table, STR("purpose")));
    assert_true(str_equal(table_row(&table, 1)[0].text, STR("large")));
    assert_true(table_sort(&table, STR("bytes")));
    assert_int_equal(table_row(&table, 0)[1].number, 3u << 20);
    assert_int_equal(table_row(&table, 2)[1].number, 7);
    table_free(&table);
}

static bool contains(const struct buf *out, const char *text)
{
    return memmem(out->ptr, out->len, text, strlen(text)) != NULL;
}

static void metrics(void **state)
{
    struct world *world = *state;
    struct buf out = {0};
    *REPORT_ADD(world->report, pressures) =
        (struct report_pressure){.node = "n", .used = 5, .limit = -1};
    metrics_write(&world->source, &out);
    assert_true(contains(&out, "\n# TYPE respgate_memory_bytes gauge\n"));
    assert_true(contains(&out, "\nrespgate_memory_bytes{purpose=\"small\"} 7\n"));
    assert_true(contains(&out, "{purpose=\"a\\\"b\\\\\\\\c\\\\x0a<script>\"} 1500\n"));
    assert_true(contains(&out, "\nrespgate_node_memory_used_bytes{node=\"n\"} 5\n"));
    assert_false(contains(&out, "respgate_node_memory_limit_bytes{")); /* not known */
    buf_free(&out);
}

static void cells(void **state)
{
    static const struct {
        enum column_kind kind;
        uint64_t number;
        const char *text;
    } rows[] = {
        {COLUMN_BYTES, 999, "999"},
        {COLUMN_BYTES, 1024, "1.00K"},
        {COLUMN_BYTES, 20 << 20, "20.0M"},
        {COLUMN_US, 999, "999us"},
        {COLUMN_US, 1250, "1.25ms"},
        {COLUMN_US, 2500000, "2.50s"},
        {COLUMN_MS, 59999, "59s"},
        {COLUMN_MS, 3600000, "1h00m"},
        {COLUMN_SECONDS, 90061, "1d01h"},
        {COLUMN_TIME, 0, "-"},
        {COLUMN_TIME, 1, "1970-01-01T00:00:01Z"},
        {COLUMN_COUNT, NUMBER_UNKNOWN, ""},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct buf out = {0};
        render_cell(rows[i].kind, &(struct cell){.number = rows[i].number}, &out);
        is_text(&out, rows[i].text);
    }
}

static void names(void **state)
{
    assert_ptr_equal(table_by_name(STR("PREFIXES")), &table_kinds[TABLE_PREFIXES]);
    assert_null(table_by_name(STR("prefix")));
    assert_string_equal(table_nearest(STR("prefix")), "prefixes");
    assert_null(table_nearest(STR("xyzzy")));
    for (size_t i = 0; i < TABLE_COUNT; i++) { /* what it is sorted by is one of its columns */
        struct table table = {.kind = &table_kinds[i]};
        assert_true(!table_kinds[i].sorted_by[0] ||
                    table_sort(&table, str_of(table_kinds[i].sorted_by)));
    }
}

int main(void)
{
#define WITH_REPORT(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
    const struct CMUnitTest tests[] = {
        WITH_REPORT(lines),      WITH_REPORT(arrays_and_maps), WITH_REPORT(json),
        WITH_REPORT(sorting),    WITH_REPORT(metrics),         cmocka_unit_test(cells),
        cmocka_unit_test(names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
