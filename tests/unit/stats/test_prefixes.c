/* test_prefixes.c - totals add up whatever comes, what is used most is kept, memory is bounded. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "respgate/stats.h"

static const struct prefix_writer nobody = {.origin = 1};

static struct str print_key(char *room, size_t size, const char *format, unsigned number)
{
    return (struct str){room, (size_t)snprintf(room, size, format, number, number, number)};
}

/* Letters only, so that no number is taken for an id. */
static size_t spell(char *out, unsigned number)
{
    size_t len = 0;
    do
        out[len++] = (char)('g' + number % 20);
    while ((number /= 20) != 0);
    return len;
}

static struct str numbered(char room[64], unsigned number)
{
    size_t len = 2 + spell(room + 2, number);
    memcpy(room, "p-", 2);
    memcpy(room + len, ":x", 2);
    return (struct str){room, len + 2};
}

struct totals {
    uint64_t counts[PREFIX_COUNTS];
    size_t rows, discovered;
};

static void add_up(const struct prefix_view *view, void *context)
{
    struct totals *totals = context;
    for (int i = 0; i < PREFIX_COUNTS; i++)
        totals->counts[i] += view->counts[i];
    totals->rows++;
    totals->discovered += !view->declared && view->name.ptr[0] != '(';
}

struct search {
    struct str name;
    struct prefix_view found;
};

static void look(const struct prefix_view *view, void *context)
{
    struct search *search = context;
    if (str_equal(view->name, search->name))
        search->found = *view;
}

static struct prefix_view view_of(struct prefix_table *table, const char *name)
{
    struct search search = {.name = str_of(name)};
    prefix_each(table, look, &search);
    return search.found;
}

/* ---- property: against one sum for each declared prefix and one for everything ---- */

static void one_step(struct prefix_table *table, uint64_t *all, uint64_t *declared)
{
    static struct prefix_ref kept[16]; /* requests in flight: counted long after they came */
    char room[64];
    unsigned number = random_below(random_below(2) ? 5 : 400);
    bool is_declared = random_below(10) == 0;
    struct str key = is_declared ? STR("job:state:42") : numbered(room, number);
    unsigned count = random_below(PREFIX_COUNTS);
    if (count == PREFIX_DENIED || count == PREFIX_LIMITED) {
        prefix_add(table, prefix_find(table, key), count, 1);
    } else if (is_declared) {
        prefix_add(table, prefix_touch(table, key), count, 3);
        all[count] += 2;
        declared[count] += 2;
    } else {
        unsigned at = random_below(ARRAY_LEN(kept));
        prefix_add(table, kept[at], count, 1); /* evicted since, perhaps: then (other) */
        kept[at] = prefix_touch(table, key);
    }
    all[count]++;
    declared[count] += is_declared;
}

static void totals_always_add_up_and_declared_prefixes_are_exact(void **state)
{
    struct str names[] = {STR("job:state")};
    struct prefix_scheme *scheme = prefix_scheme_new(':', 2, 20, names, 1);
    struct prefix_scheme *smaller = prefix_scheme_new(':', 2, 7, names, 1);
    struct prefix_table *table = prefix_table_new(scheme, 1);
    uint64_t all[PREFIX_COUNTS] = {0}, declared[PREFIX_COUNTS] = {0};
    for (int step = 1; step <= 200000; step++) {
        one_step(table, all, declared);
        if (step % 50000 == 0)
            prefix_table_adopt(table, step % 100000 ? smaller : scheme);
        if (step % 1000 && step % 50000)
            continue;
        struct totals totals = {0};
        prefix_each(table, add_up, &totals);
        assert_memory_equal(totals.counts, all, sizeof(all));
        assert_true(totals.discovered <= 20);
        assert_memory_equal(view_of(table, "job:state").counts, declared, sizeof(declared));
    }
    assert_true(view_of(table, "(other)").counts[PREFIX_WRITES] > 0);
    prefix_table_free(table);
    prefix_scheme_free(scheme);
    prefix_scheme_free(smaller);
}

static void refused_commands_never_make_a_prefix(void **state)
{
    struct prefix_scheme *scheme = prefix_scheme_new(':', 2, 10, NULL, 0);
    struct prefix_table *table = prefix_table_new(scheme, 1);
    prefix_add(table, prefix_find(table, STR("new:1")), PREFIX_DENIED, 1);
    assert_int_equal(view_of(table, "(other)").counts[PREFIX_DENIED], 1);
    assert_int_equal(view_of(table, "new").name.len, 0);
    prefix_touch(table, STR("new:1"));
    prefix_add(table, prefix_find(table, STR("new:2")), PREFIX_DENIED, 1);
    assert_int_equal(view_of(table, "new").counts[PREFIX_DENIED], 1);
    prefix_add(table, prefix_find(table, STR("plain")), PREFIX_DENIED, 1);
    assert_int_equal(view_of(table, "(none)").counts[PREFIX_DENIED], 1);
    prefix_table_free(table);
    prefix_scheme_free(scheme);
}

/* ---- the most used ---- */

/* Zipf over a million: the inverse of its harmonic sum, which is close to a logarithm. */
static unsigned zipf(double harmonic)
{
    double part = (random_below(1u << 30) + 0.5) / (double)(1u << 30);
    double rank = exp(part * harmonic);
    return rank < 1 ? 0 : rank > 1e6 ? 999999 : (unsigned)rank - 1;
}

struct ranked {
    struct str name;
    uint64_t writes;
};
struct ranking {
    struct ranked rows[2000];
    size_t count;
};

static void rank_add(const struct prefix_view *view, void *context)
{
    struct ranking *ranking = context;
    if (view->name.ptr[0] != '(')
        ranking->rows[ranking->count++] = (struct ranked){view->name, view->counts[PREFIX_WRITES]};
}

static int by_writes(const void *a, const void *b)
{
    const struct ranked *one = a, *other = b;
    return one->writes > other->writes ? -1 : one->writes < other->writes;
}

static void the_top_hundred_of_a_million_prefixes_are_right(void **state)
{
    enum { PREFIXES = 1000000, USES = 4000000, TOP = 100 };
    static uint32_t truth[PREFIXES];
    static struct ranking ranking;
    struct prefix_scheme *scheme = prefix_scheme_new(':', 2, 1000, NULL, 0);
    struct prefix_table *table = prefix_table_new(scheme, 7);
    char room[64];
    /* The worst start: rare ones take all places before the frequent ones come. */
    for (unsigned i = 0; i < 2000; i++)
        prefix_touch(table, numbered(room, PREFIXES - 1 - i));
    for (int i = 0; i < USES; i++) {
        unsigned number = zipf(log(PREFIXES));
        truth[number]++;
        prefix_wrote(table, prefix_touch(table, numbered(room, number)), 10, &nobody);
    }
    prefix_each(table, rank_add, &ranking);
    assert_true(ranking.count <= 1000);
    qsort(ranking.rows, ranking.count, sizeof(ranking.rows[0]), by_writes);
    for (unsigned i = 0; i < TOP; i++) { /* each of the true ones, nearly exact */
        struct str key = numbered(room, i), name = {key.ptr, key.len - 2};
        size_t at = 0;
        while (at < TOP * 11 / 10 && !str_equal(ranking.rows[at].name, name))
            at++;
        assert_true(at < TOP * 11 / 10); /* neighbours differ by 1 %: chance may swap them */
        assert_true(ranking.rows[at].writes <= truth[i]);
        assert_true(ranking.rows[at].writes >= truth[i] - truth[i] / 50);
    }
    prefix_table_free(table);
    prefix_scheme_free(scheme);
}

static void new_prefixes_displace_what_was_used_long_ago(void **state)
{
    struct prefix_scheme *scheme = prefix_scheme_new(':', 2, 10, NULL, 0);
    struct prefix_table *table = prefix_table_new(scheme, 7);
    char room[64];
    for (int i = 0; i < 1000000; i++)
        prefix_wrote(table, prefix_touch(table, numbered(room, (unsigned)i % 10)), 1, &nobody);
    for (int i = 0; i < 1000000; i++)
        prefix_wrote(table, prefix_touch(table, numbered(room, 100 + (unsigned)i % 5)), 1, &nobody);
    struct str key = numbered(room, 102);
    room[key.len - 2] = 0;
    assert_true(view_of(table, room).counts[PREFIX_WRITES] > 100000);
    prefix_table_free(table);
    prefix_scheme_free(scheme);
}

/* ---- memory ---- */

static void millions_of_distinct_keys_take_no_more_memory_than_ten_thousand(void **state)
{
    struct prefix_scheme *scheme = prefix_scheme_new(':', 2, 1000, NULL, 0);
    struct prefix_table *table = prefix_table_new(scheme, 7);
    char room[64];
    size_t before = 0;
    for (unsigned i = 0; i < 3000000; i++) {
        prefix_wrote(table, prefix_touch(table, numbered(room, i)), 1, &nobody);
        if (i == 10000)
            before = prefix_table_bytes(table);
    }
    assert_true(before > 0);
    assert_true(prefix_table_bytes(table) <= before + 1000 * PREFIX_SEGMENT_MAX * 2);
    struct totals totals = {0};
    prefix_each(table, add_up, &totals);
    assert_int_equal(totals.counts[PREFIX_WRITES], 3000000);
    prefix_table_free(table);
    prefix_scheme_free(scheme);
}

/* ---- who wrote most ---- */

static void who_wrote_most_in_the_last_minute_is_known(void **state)
{
    struct prefix_scheme *scheme = prefix_scheme_new(':', 2, 10, NULL, 0);
    struct prefix_table *table = prefix_table_new(scheme, 7);
    prefix_minute(table, 100);
    for (unsigned i = 0; i < 10000; i++) { /* one of them a third, the others one each */
        struct prefix_writer writer = {.origin = i % 3 ? 1000 + i : 42, .client = i};
        prefix_wrote(table, prefix_touch(table, STR("job:1")), 10, &writer);
    }
    struct prefix_view view = view_of(table, "job");
    assert_int_equal(view.writer.origin, 42);
    assert_int_equal(view.minute_writes, 10000);
    assert_int_equal(view.minute_bytes, 100000);
    prefix_minute(table, 101);
    assert_int_equal(view_of(table, "job").minute_writes, 10000);
    struct prefix_writer late = {.origin = 43, .client = 1};
    prefix_wrote(table, prefix_touch(table, STR("job:1")), 10, &late);
    view = view_of(table, "job");
    assert_int_equal(view.minute_writes, 10001);
    assert_int_equal(view.writer.origin, 42);
    prefix_minute(table, 102);
    view = view_of(table, "job");
    assert_int_equal(view.minute_writes, 1);
    assert_int_equal(view.writer.origin, 43);
    prefix_minute(table, 103);
    assert_int_equal(view_of(table, "job").minute_writes, 0);
    assert_int_equal(view_of(table, "job").counts[PREFIX_WRITES], 10001);
    prefix_table_free(table);
    prefix_scheme_free(scheme);
}

static void a_reload_keeps_counts_and_moves_what_is_declared_now(void **state)
{
    struct str names[] = {STR("job"), STR("job:*:out")};
    char room[64];
    struct prefix_scheme *plain = prefix_scheme_new(':', 1, 10, NULL, 0);
    struct prefix_scheme *declared = prefix_scheme_new(':', 1, 10, names, 2);
    struct prefix_table *table = prefix_table_new(plain, 7);
    for (unsigned i = 0; i < 5; i++) {
        prefix_add(table, prefix_touch(table, print_key(room, sizeof(room), "job:%u:x", i)),
                   PREFIX_READS, 1);
        prefix_add(table, prefix_touch(table, STR("session:x")), PREFIX_READS, 2);
    }
    struct prefix_ref in_flight = prefix_touch(table, STR("session:x"));
    prefix_table_adopt(table, declared);
    assert_int_equal(view_of(table, "job").counts[PREFIX_READS], 5);
    assert_true(view_of(table, "job").declared);
    assert_int_equal(view_of(table, "session").counts[PREFIX_READS], 10);
    prefix_add(table, in_flight, PREFIX_READS, 1); /* of another table: nobody's any more */
    assert_int_equal(view_of(table, "(other)").counts[PREFIX_READS], 1);
    prefix_table_adopt(table, plain);
    assert_int_equal(view_of(table, "job").counts[PREFIX_READS], 5);
    assert_false(view_of(table, "job").declared);
    prefix_table_free(table);
    prefix_scheme_free(plain);
    prefix_scheme_free(declared);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(totals_always_add_up_and_declared_prefixes_are_exact),
        cmocka_unit_test(refused_commands_never_make_a_prefix),
        cmocka_unit_test(the_top_hundred_of_a_million_prefixes_are_right),
        cmocka_unit_test(new_prefixes_displace_what_was_used_long_ago),
        cmocka_unit_test(millions_of_distinct_keys_take_no_more_memory_than_ten_thousand),
        cmocka_unit_test(who_wrote_most_in_the_last_minute_is_known),
        cmocka_unit_test(a_reload_keeps_counts_and_moves_what_is_declared_now),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
