/* test_value.c - sizes, durations, rates and addresses: what is read, and what is not. */
#include "helper.h"

static void size_is(const char *text, uint64_t expected)
{
    uint64_t bytes = 0;
    assert_true(config_parse_size(str_of(text), &bytes));
    assert_int_equal(bytes, expected);
}

static void sizes(void **state)
{
    size_is("0", 0);
    size_is("17", 17);
    size_is("17b", 17);
    size_is("64kb", 64 * 1024);
    size_is("64KB", 64 * 1024);
    size_is("64k", 64000);
    size_is("10mb", 10 * 1024 * 1024);
    size_is("10m", 10000000);
    size_is("1gb", 1024 * 1024 * 1024);
    size_is("1g", 1000000000);
    size_is("9223372036854775807", INT64_MAX);
    const char *const wrong[] = {"",     "kb",  "-1",   "1.5gb",         "1 kb",
                                 "1tb",  "01",  "1kbb", "0x10",          "+1",
                                 "1kb ", "1,0", "1e3",  "99999999999gb", "9223372036854775808"};
    for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
        uint64_t bytes;
        if (config_parse_size(str_of(wrong[i]), &bytes))
            fail_msg("'%s' is no size", wrong[i]);
    }
}

static void duration_is(const char *text, uint64_t expected)
{
    uint64_t ms = 1;
    assert_true(config_parse_duration(str_of(text), &ms));
    assert_int_equal(ms, expected);
}

static void durations(void **state)
{
    duration_is("0", 0);
    duration_is("0s", 0);
    duration_is("500ms", 500);
    duration_is("10s", 10000);
    duration_is("5m", 300000);
    duration_is("2h", 7200000);
    duration_is("7d", 604800000);
    const char *const wrong[] = {"",    "10", "s",  "-1s", "1.5s",
                                 "1 s", "1y", "00", "1ss", "999999999999999d"};
    for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
        uint64_t ms;
        if (config_parse_duration(str_of(wrong[i]), &ms))
            fail_msg("'%s' is no duration", wrong[i]);
    }
}

static void rates(void **state)
{
    double rate;
    assert_true(value_rate(STR("100/s"), &rate) && rate == 100.0);
    assert_true(value_rate(STR("30/m"), &rate) && rate == 0.5);
    assert_true(value_rate(STR("36/h"), &rate) && rate == 0.01);
    assert_true(value_rate(STR("10mb/s"), &rate) && rate == 10 * 1024 * 1024);
    const char *const wrong[] = {"",     "10",    "/s",    "0/s",   "-1/s",           "10/",
                                 "10/d", "1.5/s", "10 /s", "2tb/s", "9999999999999/s"};
    for (size_t i = 0; i < ARRAY_LEN(wrong); i++)
        if (value_rate(str_of(wrong[i]), &rate))
            fail_msg("'%s' is no rate", wrong[i]);
}

/* Every rate that can be written is printed so that it reads back the same. */
static void rate_round_trip(void **state)
{
    for (unsigned i = 1; i < 3000; i++) {
        for (const char *unit = "smh"; *unit; unit++) {
            char text[32];
            double first, second;
            struct buf out = {0};
            snprintf(text, sizeof(text), "%u/%c", i, *unit);
            assert_true(value_rate(str_of(text), &first));
            value_format_rate(first, &out);
            assert_true(value_rate(buf_view(&out), &second) && first == second);
            buf_free(&out);
        }
    }
}

static void listen_is(const char *text, enum listen_kind kind, const char *host, uint16_t port)
{
    struct arena *arena = arena_new();
    struct listen_address address = {0};
    const char *error = listen_parse(arena, str_of(text), &address);
    if (error)
        fail_msg("'%s': %s", text, error);
    assert_int_equal(address.kind, kind);
    assert_string_equal(address.host, host);
    assert_int_equal(address.port, port);
    assert_string_equal(address.text, text);
    arena_free(arena);
}

static void listen_addresses(void **state)
{
    listen_is("6380", LISTEN_TCP, "127.0.0.1", 6380);
    listen_is("0.0.0.0:1", LISTEN_TCP, "0.0.0.0", 1);
    listen_is("cache.internal:65535", LISTEN_TCP, "cache.internal", 65535);
    listen_is("[::1]:6380", LISTEN_TCP, "::1", 6380);
    listen_is("tls://6390", LISTEN_TLS, "127.0.0.1", 6390);
    listen_is("tls://[2001:db8::1]:6390", LISTEN_TLS, "2001:db8::1", 6390);
    listen_is("unix:/run/r.sock", LISTEN_UNIX, "/run/r.sock", 0);
    listen_is("unix:///run/r.sock", LISTEN_UNIX, "/run/r.sock", 0);
    const char *const wrong[] = {
        "0",           "65536",     "127.0.0.1", ":6380",        "127.0.0.1:", "127.0.0.1:x",
        "::1:6380",    "[::1]",     "[::1:6380", "[nonsense]:1", "*:6380",     "unix:",
        "unix:r.sock", "tcp://h:1", "tls://",    "a b:1",        "[::1]x:1",   "h:0",
        "h:65536",     "h:1/0",     "[]:1",      "[::1]:0",
    };
    for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
        struct arena *arena = arena_new();
        struct listen_address address = {0};
        if (!listen_parse(arena, str_of(wrong[i]), &address))
            fail_msg("'%s' is no address", wrong[i]);
        arena_free(arena);
    }
}

static void local_listeners(void **state)
{
    const char *const local[] = {"6380", "127.9.9.9:1", "localhost:1", "[::1]:1", "unix:/a"};
    const char *const open[] = {"0.0.0.0:1",   "10.0.0.1:1",          "[::]:1",       "example:1",
                                "128.0.0.1:1", "[::ffff:10.0.0.1]:1", "127.example:1"};
    struct arena *arena = arena_new();
    struct listen_address address;
    for (size_t i = 0; i < ARRAY_LEN(local); i++) {
        address = (struct listen_address){0};
        assert_null(listen_parse(arena, str_of(local[i]), &address));
        assert_true(listen_is_local(&address));
    }
    for (size_t i = 0; i < ARRAY_LEN(open); i++) {
        address = (struct listen_address){0};
        assert_null(listen_parse(arena, str_of(open[i]), &address));
        assert_false(listen_is_local(&address));
    }
    arena_free(arena);
}

static void url_is(const char *text, const char *safe, const char *user, const char *password)
{
    struct arena *arena = arena_new();
    struct url url;
    const char *error = url_parse(arena, str_of(text), &url);
    if (error)
        fail_msg("'%s': %s", text, error);
    assert_string_equal(url.address.text, safe);
    assert_true(!user == !url.username && (!user || strcmp(user, url.username) == 0));
    assert_true(!password == !url.password || strcmp(password, url.password) == 0);
    arena_free(arena);
}

static void urls(void **state)
{
    url_is("redis://h", "redis://h:6379", NULL, NULL);
    url_is("redis://h:7000/", "redis://h:7000", NULL, NULL);
    url_is("redis://h/0", "redis://h:6379", NULL, NULL);
    url_is("rediss://[::1]:1", "rediss://[::1]:1", NULL, NULL);
    url_is("redis://:pw@h", "redis://h:6379", NULL, "pw");
    url_is("redis://u:p%40%3a%25@h:1", "redis://h:1", "u", "p@:%");
    url_is("redis://u:p@ss/w@h:1", "redis://h:1", "u", "p@ss/w");
    url_is("redis://u@h", "redis://h:6379", "u", NULL);
    url_is("unix:///run/r.sock", "unix:///run/r.sock", NULL, NULL);
    url_is("unix://u:p@/run/r.sock", "unix:///run/r.sock", "u", "p");
    const char *const wrong[] = {
        "",
        "h:6379",
        "http://h",
        "redis://",
        "redis://:6379",
        "redis://h:",
        "redis://h:0",
        "redis://h:65536",
        "redis://h/1",
        "redis://h/0/",
        "redis://h?x=1",
        "redis://@h",
        "redis://:@h",
        "redis://u:%zz@h",
        "redis://u:%0@h",
        "redis://u:%00@h",
        "redis://u:a%0ab@h",
        "unix://",
        "unix://r.sock",
        "unix:/r.sock",
        "redis://[::1",
        "redis://::1:6379",
        "redis://u:(hidden)@h",
        "unix:///a?db=1",
        "REDIS://h",
    };
    for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
        struct arena *arena = arena_new();
        struct url url;
        if (!url_parse(arena, str_of(wrong[i]), &url))
            fail_msg("'%s' is no url", wrong[i]);
        arena_free(arena);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sizes),
        cmocka_unit_test(durations),
        cmocka_unit_test(rates),
        cmocka_unit_test(rate_round_trip),
        cmocka_unit_test(listen_addresses),
        cmocka_unit_test(local_listeners),
        cmocka_unit_test(urls),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
