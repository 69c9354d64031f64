/* test_growth.c - whose the growth is: the prefix with most bytes, and who wrote them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "respgate/stats.h"

static void wrote(struct report *report, struct str name, uint64_t bytes, const char *address,
                  uint64_t of_that)
{
    struct report_prefix *row = report_prefix_row(report, name);
    row->minute_bytes = bytes;
    row->writer = (struct report_writer){.address = address, .bytes = of_that};
}

static void says(struct report *report, const char *expected)
{
    assert_string_equal(report_growth_text(report), expected);
}

static void nobody_wrote_nothing_is_said(void **state)
{
    struct report *report = report_new();
    struct report_growth growth;
    says(report, "");
    wrote(report, STR("job"), 0, NULL, 0);
    assert_false(report_growth(report, &growth));
    report_free(report);
}

static void the_prefix_with_most_bytes_is_named_and_who_wrote_them(void **state)
{
    struct report *report = report_new();
    wrote(report, STR("job"), 180, "10.0.3.8", 180);
    wrote(report, STR("firehose_*"), 820, "10.0.3.7:40712", 820);
    says(report, "82 % of the growth is firehose_* from 10.0.3.7");
    report_free(report);
}

static void one_of_many_writers_is_named_with_its_part(void **state)
{
    struct report *report = report_new();
    wrote(report, STR("job"), 1000, "[fd00::8]:9", 400);
    says(report, "100 % of the growth is job, 40 % of that from [fd00::8]");
    report_free(report);
}

static void a_long_prefix_is_cut(void **state)
{
    struct report *report = report_new();
    char name[300];
    memset(name, 'p', sizeof(name));
    wrote(report, (struct str){name, sizeof(name)}, 10, "10.0.3.8:1", 10);
    assert_int_equal(strlen(report_growth_text(report)), 159);
    report_free(report);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nobody_wrote_nothing_is_said),
        cmocka_unit_test(the_prefix_with_most_bytes_is_named_and_who_wrote_them),
        cmocka_unit_test(one_of_many_writers_is_named_with_its_part),
        cmocka_unit_test(a_long_prefix_is_cut),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
