/* test_net_journal.c - lines of many threads in one file: whole, in order, none unaccounted for. */
#include "respgate/net.h"

#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

enum { THREADS = 4, LINES = 20000, SMALL = 2 * JOURNAL_LINE_MAX };

static void note_lost(struct buf *out, uint64_t count)
{
    buf_printf(out, "lost %llu\n", (unsigned long long)count);
}

static struct journal *journal_small(size_t reserve, size_t tail)
{
    struct journal_settings settings = {SMALL, reserve, tail, note_lost};
    return journal_new(&settings);
}

struct adder {
    struct journal *journal;
    int number;
    uint64_t lost;
};

static void adder_run(void *arg)
{
    struct adder *adder = arg;
    struct buf line = {0};
    for (int i = 0; i < LINES; i++) {
        line.len = 0;
        buf_printf(&line, "%d %d %.*s\n", adder->number, i, i % 50,
                   "--------------------------------------------------");
        adder->lost += !journal_add(adder->journal, buf_view(&line), false);
    }
    buf_free(&line);
}

/* Lines of each thread that are in the file, in order, and those it says are lost. */
static void check_file(const char *path, uint64_t *told_lost)
{
    FILE *file = fopen(path, "r");
    int last[THREADS];
    uint64_t seen = 0, lost = 0;
    char line[256];
    for (int i = 0; i < THREADS; i++)
        last[i] = -1;
    assert_non_null(file);
    while (fgets(line, sizeof(line), file)) {
        unsigned long long count;
        int number, at, end = 0;
        if (sscanf(line, "lost %llu\n", &count) == 1) {
            lost += count;
            continue;
        }
        assert_int_equal(sscanf(line, "%d %d%n", &number, &at, &end), 2);
        assert_int_equal(strlen(line + end), at % 50 + 2); /* whole, its space and newline too */
        assert_true(at > last[number]);
        last[number] = at;
        seen++;
    }
    fclose(file);
    assert_int_equal(seen + lost, THREADS * LINES);
    *told_lost = lost;
}

static void test_every_line_of_every_thread_is_accounted_for(void **state)
{
    char path[] = "/tmp/respgate-journal-XXXXXX";
    close(mkstemp(path));
    struct journal *journal = journal_small(0, 0);
    struct adder adders[THREADS];
    uv_thread_t threads[THREADS];
    uint64_t lost = 0, told = 0;
    journal_open(journal, path);
    for (int i = 0; i < THREADS; i++) {
        adders[i] = (struct adder){journal, i, 0};
        uv_thread_create(&threads[i], adder_run, &adders[i]);
    }
    for (int i = 0; i < THREADS; i++) {
        uv_thread_join(&threads[i]);
        lost += adders[i].lost;
    }
    assert_int_equal(journal_lost(journal), lost);
    journal_free(journal);
    check_file(path, &told);
    assert_int_equal(told, lost);
    unlink(path);
}

/* However soon a file follows on none, the first line after it is in it. */
static void test_no_file_and_a_file_again(void **state)
{
    char path[] = "/tmp/respgate-journal-XXXXXX";
    int fd = mkstemp(path);
    struct journal *journal = journal_small(0, 0);
    for (int i = 1; i <= 1000; i++) {
        uint64_t until = clock_ns() + 5000000000u;
        journal_open(journal, NULL);
        for (volatile int spin = 0; spin < i * 20; spin++) /* the writer may be anywhere */
            ;
        journal_open(journal, path);
        assert_true(journal_add(journal, STR("a line\n"), false));
        while (lseek(fd, 0, SEEK_END) < i * 7 && clock_ns() < until)
            usleep(50);
        assert_int_equal(lseek(fd, 0, SEEK_END), i * 7);
    }
    journal_free(journal);
    close(fd);
    unlink(path);
}

static void test_what_is_urgent_has_room_of_its_own(void **state)
{
    struct journal *journal = journal_small(1000, 0);
    journal_open(journal, "/nonexistent/folder/file");
    while (journal_add(journal, STR("a common line\n"), false))
        ;
    assert_true(journal_add(journal, STR("an urgent line\n"), true));
    assert_false(journal_add(journal, STR("a common line\n"), false));
    assert_int_equal(journal_lost(journal), 2);
    journal_free(journal);
}

static void test_the_last_lines_are_kept_without_a_file(void **state)
{
    struct journal *journal = journal_small(0, 3);
    struct buf out = {0};
    journal_tail(journal, 3, &out);
    assert_int_equal(out.len, 0);
    for (int i = 0; i < 10; i++) {
        char line[] = {(char)('0' + i), '\n'};
        assert_true(journal_add(journal, (struct str){line, 2}, false));
    }
    journal_tail(journal, 2, &out);
    journal_tail(journal, 100, &out);
    assert_true(str_equal(buf_view(&out), STR("8\n9\n7\n8\n9\n")));
    buf_free(&out);
    journal_free(journal);
}

static void test_a_file_that_takes_nothing_does_not_hold_up_the_end(void **state)
{
    struct journal *journal = journal_small(0, 0);
    journal_open(journal, "/dev/full");
    assert_true(journal_add(journal, STR("a line\n"), false));
    uint64_t start = clock_ns();
    journal_free(journal);
    assert_true(clock_ns() - start < 5000000000u);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_line_of_every_thread_is_accounted_for),
        cmocka_unit_test(test_no_file_and_a_file_again),
        cmocka_unit_test(test_what_is_urgent_has_room_of_its_own),
        cmocka_unit_test(test_the_last_lines_are_kept_without_a_file),
        cmocka_unit_test(test_a_file_that_takes_nothing_does_not_hold_up_the_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
