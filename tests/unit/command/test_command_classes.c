/* test_command_classes.c - respgate's classes, by row and by arguments, and what blocks. */
#include "requests.h"

static void names_and_bits(void **state)
{
    assert_true(class_by_name(STR("@write")) == CLASS_WRITE);
    assert_true(class_by_name(STR("Memory-Heavy")) == CLASS_MEMORY_HEAVY);
    assert_true(class_by_name(STR("")) == 0 && class_by_name(STR("@")) == 0);
    assert_true(class_by_name(STR("@@write")) == 0 && class_by_name(STR("writes")) == 0);
    for (int bit = 0; bit < CLASS_COUNT; bit++)
        assert_true(class_by_name(str_of(class_name((enum class_bit)bit))) == 1ull << bit);
}

static uint64_t classes_of(const char *line)
{
    struct test_request request = request_of(line);
    uint64_t classes = command_classes(request_command(&request), request.argv, request.argc);
    request_free(&request);
    return classes;
}

/* Class, requests that are in it, requests that are not; the latter between bars. */
static const struct {
    const char *class, *in, *out;
} cases[] = {
    {"destructive",
     "FLUSHALL|flushdb ASYNC|SWAPDB 0 1|SHUTDOWN|DEBUG SLEEP 1|CONFIG SET a b|CLUSTER RESET|"
     "ACL SETUSER x|ACL LOG reset|XGROUP DESTROY k g|XGROUP SETID k g $|SCRIPT FLUSH|MODULE LIST|"
     "FUNCTION RESTORE x|CLIENT KILL a|RESTORE k 0 v|MOVE k 1|PSYNC a 0|PFSELFTEST",
     "DEL k|KEYS *|SORT k|INFO|MONITOR|CONFIG GET *|CLIENT LIST|ACL LOG|XGROUP CREATE k g $|"
     "SLOWLOG GET|LASTSAVE|ROLE|SCRIPT LOAD x|CLUSTER SLOTS"},
    {"inspect", "INFO|KEYS *|CONFIG GET maxmemory|CLIENT LIST|LATENCY LATEST|COMMAND DOCS",
     "CONFIG GET *|CONFIG GET a requirepass|CONFIG GET MASTERaut?|MONITOR|LATENCY RESET"},
    {"snoop",
     "MONITOR|SLOWLOG GET 1|CONFIG GET *|CONFIG GET require*|CONFIG GET [r]*|CONFIG GET TLS-*|"
     "ACL GETUSER x|PSUBSCRIBE *|PSUBSCRIBE a **|CLIENT LIST",
     "CONFIG GET save|PSUBSCRIBE a*|PSUBSCRIBE ''|PSUBSCRIBE ?|CONFIG GET|CONFIG GET ''"},
    {"growth",
     "SET k v|XADD k * f v|EVAL s 0|EVALSHA s 0|FCALL f 0|SCRIPT LOAD x|FUNCTION LOAD x|SORT k "
     "STORE d|"
     "BITFIELD k SET u8 0 1|BITFIELD k GET u8|SETRANGE k 9 x|COPY a b|MSET a 1",
     "SORT k|BITFIELD k GET u8 0|LMOVE a b LEFT LEFT|DEL k|GET k|XREADGROUP GROUP g c STREAMS k >"},
    {"drain",
     "DEL k|XACK k g 1|XTRIM k MAXLEN 5|LPOP k|EXPIRE k 5|LMOVE a b LEFT LEFT|BRPOPLPUSH a b 0|"
     "SORT k|BITFIELD k|RENAME a b|XREADGROUP GROUP g c STREAMS k >",
     "FLUSHALL|SET k v|GET k|SORT k STORE d|XGROUP SETID k g $|MOVE k 1|FUNCTION FLUSH"},
    {"delete",
     "DEL k|EXPIRE k -1|EXPIRE k 0|EXPIRE k x|EXPIREAT k 1|SET k x EXAT 1|SET k x Get pXaT 1|"
     "GETEX k EXAT 5|SINTERSTORE k none|SORT none STORE k|BITOP AND k none|MOVE k 1|LTRIM k 1 0|"
     "LTRIM k 99999 -1|LTRIM k x 0|XTRIM k MAXLEN 0|XTRIM k MAXLEN ~ 0|XTRIM k MINID "
     "99999999999999|"
     "XADD k NOMKSTREAM MAXLEN 1 * f v|COPY a b DB 1 replace|RESTORE k 0 v ABSTTL REPLACE|"
     "RENAME a b|SPOP k 5|ZREMRANGEBYSCORE k -inf +inf|ZREMRANGEBYSCORE k 0 (inf|"
     "ZREMRANGEBYRANK k 0 -1|ZREMRANGEBYLEX k - +|LPOP k 100000|GEORADIUS k 0 0 1 m STORE d|"
     "LMPOP 1 k LEFT COUNT 99999|PEXPIREAT k 1000",
     "SET k v|SET k v EX 10|SET exat 1|BLMPOP 0 2 a count LEFT|SET k v PXAT 99999999999999|EXPIRE "
     "k 10|GETEX k PERSIST|"
     "LTRIM k 0 99|LTRIM k 100 -1|LTRIM k -100 -1|XTRIM k MAXLEN ~ 1000|XADD k * maxlen 0|"
     "XADD k 1-1 minid 99999999999999|XADD k MAXLEN ~ 1000 * f v|SPOP k|LPOP k 10|COPY a b|"
     "ZREMRANGEBYSCORE k 0 1700000000|ZREMRANGEBYRANK k 0 -101|SORT k|GEORADIUS k 0 0 1 m|"
     "XTRIM k MAXLEN|EXPIRE k|LTRIM k|XADD k|SET"},
    {"memory-heavy",
     "KEYS *|SMEMBERS k|LRANGE k 0 1|SORT k|COPY a b|SRANDMEMBER k -3000000|SCAN 0 COUNT 99999999|"
     "HSCAN k 0 NOVALUES COUNT 99999999|XINFO STREAM k FULL COUNT 0|CLUSTER GETKEYSINSLOT 1 999999",
     "GET k|SRANDMEMBER k 5|SRANDMEMBER k|SCAN 0 MATCH count|HSCAN k 0|XINFO STREAM k FULL"},
};

static void check_each(const char *lines, uint64_t class, bool expected)
{
    char line[256];
    while (*lines) {
        size_t len = strcspn(lines, "|");
        assert_in_range(len, 1, sizeof(line) - 1);
        memcpy(line, lines, len);
        line[len] = '\0';
        if (((classes_of(line) & class) != 0) != expected)
            fail_msg("%s: class expected: %d", line, expected);
        lines += len + (lines[len] == '|');
    }
}

static void classes_by_arguments(void **state)
{
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        uint64_t class = class_by_name(str_of(cases[i].class));
        check_each(cases[i].in, class, true);
        check_each(cases[i].out, class, false);
    }
}

static bool blocks(const char *line)
{
    struct test_request request = request_of(line);
    bool result = command_blocks(request_command(&request), request.argv, request.argc);
    request_free(&request);
    return result;
}

static void what_blocks(void **state)
{
    assert_true(blocks("BLPOP k 0") && blocks("brpoplpush a b 0") && blocks("BZMPOP 0 1 k MIN"));
    assert_true(blocks("WAIT 1 0"));
    assert_true(blocks("XREAD bLoCk 0 STREAMS k 0"));
    assert_true(blocks("XREADGROUP GROUP g c COUNT 1 BLOCK 0 STREAMS k >"));
    assert_true(blocks("XREADGROUP GROUP block streams BLOCK 0 STREAMS k >"));
    assert_true(blocks("XREADGROUP GROUP g c FUTURE 5 BLOCK 0 STREAMS k >"));
    assert_false(blocks("XREAD STREAMS block 0"));
    assert_false(blocks("XREADGROUP GROUP g block STREAMS k >"));
    assert_false(blocks("LPOP k") || blocks("XREAD") || blocks("XREADGROUP GROUP"));
}

static void long_patterns_are_suspect(void **state)
{
    char pattern[200];
    memset(pattern, 'x', sizeof(pattern));
    struct str argv[] = {STR("CONFIG"), STR("GET"), {pattern, sizeof(pattern)}};
    const struct command *command;
    assert_int_equal(command_lookup(command_table_builtin(), argv, 3, &command), LOOKUP_FOUND);
    assert_true(command_classes(command, argv, 3) & CLASS_SNOOP);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_and_bits),
        cmocka_unit_test(classes_by_arguments),
        cmocka_unit_test(what_blocks),
        cmocka_unit_test(long_patterns_are_suspect),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
