/* test_command_keys.c - keys of requests: known cases, then anything at all within bounds. The
 * comparison with a live server is in tests/drift. */
#include "requests.h"

/* Expected: positions in argv, in order; "?" at the end when more keys exist that are unknown. */
static const struct {
    const char *request, *keys;
} cases[] = {
    {"GET a", "1"},
    {"GET", ""},
    {"PING", ""},
    {"MSET a 1 b 2", "1 3"},
    {"MSET a 1 b", "1 3"},
    {"BLPOP a b 0", "1 2"},
    {"BLPOP a", ""},
    {"BITOP and d a b", "2 3 4"},
    {"XGROUP CREATE a g $", "2"},
    {"EVAL s 2 a b x", "3 4"},
    {"EVAL s 9 a b", "3 4"},
    {"EVAL s 0 a", ""},
    {"EVAL s -1 a", ""},
    {"EVAL s 2", ""},
    {"EVAL s", ""},
    {"EVAL s 9223372036854775807 a", "3"},
    {"EVAL s -9223372036854775808 a", ""},
    {"EVAL s 9223372036854775808 a", "?"},
    {"EVAL s 01 a", "?"},
    {"EVAL s '' a", "?"},
    {"ZUNIONSTORE d 2 a b WEIGHTS 1 2", "1 3 4"},
    {"SPUBLISH c m", "1"},
    {"RANDOMKEY", "?"},
    {"DEBUG OBJECT a", "?"},
    {"DEBUG HELP", ""},
    {"CLUSTER GETKEYSINSLOT 1 1", "?"},
    {"SORT a", "1"},
    {"SORT a STORE b STORE c", "1 5"},
    {"SORT a LIMIT store 1 store d", "1 6"},
    {"SORT a BY w* STORE d", "1 5 ?"},
    {"SORT a BY NoSort GET #", "1"},
    {"SORT a GET x", "1 ?"},
    {"SORT a STORE", "1"},
    {"SORT", ""},
    {"SORT_RO a STORE d", "1"},
    {"MIGRATE h 1 a 0 9", "3"},
    {"MIGRATE h 1 '' 0 9 AUTH keys KEYS a b", "9 10"},
    {"MIGRATE h 1 '' 0 9 AUTH2 keys keys keys a", "10"},
    {"MIGRATE h 1 '' 0 9 KEYS", ""},
    {"MIGRATE h 1 a 0 9 KEYS b", "3 7"},
    {"GEORADIUS a 0 0 1 m STORE b STOREDIST c", "1 7 9"},
    {"GEORADIUS a 0 0 1 m STORE store", "1 7"},
    {"GEORADIUSBYMEMBER a store 1 m COUNT 1 ANY store d", "1 9"},
    {"XREAD STREAMS a b 0 0", "2 3"},
    {"XREAD COUNT 1 block 0 streams streams 0", "6"},
    {"XREADGROUP GROUP streams streams STREAMS a >", "5"},
    {"XREADGROUP NOACK GROUP streams block COUNT 1 STREAMS a >", "8"},
    {"XREAD STREAMS", ""},
    {"XREAD STREAMS a", ""},
    {"XREAD FUTURE STREAMS a 0", "3 ?"},
    {"XREADGROUP GROUP g", ""},
    {"SET", ""},
};

static void known_cases(void **state)
{
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct test_request request = request_of(cases[i].request);
        const struct command *command = request_command(&request);
        struct key_ref refs[16];
        struct buf keys = {0};
        bool unknown;
        size_t count = command_keys(command, request.argv, request.argc, refs, 16, &unknown);
        for (size_t k = 0; k < count; k++)
            buf_printf(&keys, "%s%u", k ? " " : "", refs[k].arg);
        if (unknown)
            buf_printf(&keys, "%s?", count ? " " : "");
        buf_add(&keys, "", 1);
        if (strcmp(keys.ptr, cases[i].keys) != 0)
            fail_msg("%s: keys %s, expected %s", cases[i].request, keys.ptr, cases[i].keys);
        buf_free(&keys);
        request_free(&request);
    }
}

static unsigned only_flags(const char *line)
{
    struct test_request request = request_of(line);
    struct key_ref ref = {0};
    bool unknown;
    assert_int_equal(command_keys(request_command(&request), request.argv, request.argc, &ref, 1,
                                  &unknown),
                     1);
    request_free(&request);
    return ref.flags;
}

static void flags_follow_arguments(void **state)
{
    assert_int_equal(only_flags("SET a get"), KEY_OW | KEY_UPDATE);
    assert_int_equal(only_flags("SET a v EX 5 GeT"), KEY_RW | KEY_ACCESS | KEY_UPDATE);
    assert_int_equal(only_flags("BITFIELD a GET u8 0"), KEY_RO | KEY_ACCESS);
    assert_int_equal(only_flags("BITFIELD a SET u8 0 1"), KEY_RW | KEY_ACCESS | KEY_UPDATE);
    assert_int_equal(only_flags("SPUBLISH c m"), KEY_NOT_KEY);
}

static void count_may_exceed_room(void **state)
{
    struct test_request request = request_of("DEL a b c d");
    struct key_ref refs[2] = {{0, 0}, {77, 77}};
    bool unknown;
    const struct command *command = request_command(&request);
    assert_int_equal(command_keys(command, request.argv, request.argc, refs, 1, &unknown), 4);
    assert_int_equal(refs[0].arg, 1);
    assert_int_equal(refs[1].arg, 77);
    assert_int_equal(command_keys(command, request.argv, request.argc, NULL, 0, &unknown), 4);
    request_free(&request);
}

static const char *const words[] = {
    "streams",
    "STORE",
    "storeDist",
    "keys",
    "get",
    "SET",
    "incrby",
    "BY",
    "limit",
    "COUNT",
    "block",
    "GROUP",
    "NOACK",
    "auth",
    "AUTH2",
    "overflow",
    "u8",
    "0",
    "1",
    "2",
    "3",
    "-1",
    "",
    "9223372036854775807",
    "-9223372036854775808",
    "99999999999999999999",
    "*",
    "[",
    "\\",
    "(inf",
    "key",
    "maxlen",
    "minid",
    "~",
    "=",
    "exat",
    "pxat",
    "replace",
    "reset",
    "full",
    "5-x",
    "nan",
};

static struct test_request random_request(const struct command *command)
{
    struct test_request request = request_of(command->name);
    char *bar = memchr(request.argv[0].ptr, '|', request.argv[0].len);
    if (bar) {
        size_t own = (size_t)(bar - request.argv[0].ptr);
        request_add(&request, bar + 1, request.argv[0].len - own - 1);
        request.argv[0].len = own;
    }
    for (uint32_t left = random_below(10); left; left--) {
        const char *word = words[random_below(ARRAY_LEN(words))];
        char noise[8];
        for (size_t i = 0; i < sizeof(noise); i++)
            noise[i] = (char)random_below(256);
        if (random_below(6) == 0)
            request_add(&request, noise, random_below(sizeof(noise)));
        else
            request_add(&request, word, strlen(word));
    }
    return request;
}

/* Whatever the arguments: positions lie within argv, classes within what the row promises. */
static void any_request_stays_in_bounds(void **state)
{
    for (size_t id = 0; id < COMMAND_BUILTIN_COUNT; id++) {
        const struct command *command = command_by_id(command_table_builtin(), id);
        for (int i = 0; i < 300; i++) {
            struct test_request request = random_request(command);
            struct key_ref refs[32];
            bool unknown;
            size_t count = command_keys(command, request.argv, request.argc, refs, 32, &unknown);
            assert_in_range(count, 0, 2 * request.argc);
            for (size_t k = 0; k < count; k++)
                assert_in_range(refs[k].arg, 1, request.argc - 1);
            uint64_t classes = command_classes(command, request.argv, request.argc);
            assert_int_equal(classes & command->classes, command->classes);
            assert_int_equal(classes & ~(command->classes | command->maybe), 0);
            (void)command_blocks(command, request.argv, request.argc);
            request_free(&request);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(known_cases),
        cmocka_unit_test(flags_follow_arguments),
        cmocka_unit_test(count_may_exceed_room),
        cmocka_unit_test(any_request_stays_in_bounds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
