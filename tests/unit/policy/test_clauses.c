/* test_clauses.c - clauses that look at arguments, over the real command table. */
#include "fixture.h"

static struct setup s;

static int before(void **state)
{
    setup_init(&s);
    s.table = command_table_builtin();
    return 0;
}

static int after(void **state)
{
    setup_free(&s);
    return 0;
}

static void rule_is(const char *options)
{
    setup_free(&s);
    setup_init(&s);
    s.table = command_table_builtin();
    setup_rule(&s, "r", options);
    setup_compile(&s);
}

static bool holds(const char *request)
{
    return strcmp(decided(&s, request), "-") != 0;
}

static void expect(const char *request, bool expected)
{
    if (holds(request) != expected)
        fail_msg("'%s': expected %s", request, expected ? "to hold" : "not to");
}

/* ---- unbounded ---- */

enum { OPEN = -1 };

/* The arguments allow so many: one less is too few for it, as many are not. */
static void expect_bound(const char *request, int64_t bound)
{
    rule_is("unbounded = yes; action = deny");
    expect(request, bound == OPEN);
    for (int64_t few = bound - 1; few <= bound && bound != OPEN; few++) {
        if (few <= 0)
            continue;
        char options[80]; /* the setup's own arena ends in rule_is() */
        snprintf(options, sizeof(options), "unbounded = yes; min-elements = %lld; action = deny",
                 (long long)few);
        rule_is(options);
        expect(request, few < bound);
    }
}

static const struct {
    const char *request;
    int64_t bound;
} bounds[] = {
    {"keys a", OPEN},
    {"smembers k", OPEN},
    {"sunionstore d a b", OPEN},
    {"zinter 2 a b", OPEN},
    {"lrange k 0 -1", OPEN},
    {"lrange k 0 99", 100},
    {"lrange k -100 -1", 100},
    {"lrange k -100 10", 11},
    {"lrange k -5 100", 5},
    {"lrange k 5 4", 0},
    {"lrange k 5 -9223372036854775808", OPEN},
    {"lrange k x 4", OPEN},
    {"zrange k 0 9", 10},
    {"zrange k 0 9 rev withscores", 10},
    {"zrange k 0 9 byscore", OPEN},
    {"zrange k (1 +inf byscore limit 5 20", 20},
    {"zrange k - + bylex limit 0 -1", OPEN},
    {"zrange k 0 9 nonsense", OPEN},
    {"zrangestore d k 0 9", 10},
    {"zrangebyscore k 0 9", OPEN},
    {"zrangebyscore k 0 9 withscores limit 0 7", 7},
    {"zrangebyscore k 0 9 limit 0 7 limit 0 8", 8},
    {"zrangebyscore k 0 9 limit 0", OPEN},
    {"zrevrange k 0 9", 10},
    {"xrange k - +", OPEN},
    {"xrange k - + COUNT 10", 10},
    {"xrevrange k + - count x", OPEN},
    {"sort k", OPEN},
    {"sort k limit 0 10", 10},
    {"sort k limit 0 10 get # get a*", 20},
    {"sort k by limit", OPEN},
    {"sort k limit 0 -1 store d", OPEN},
    {"xread streams a 0", OPEN},
    {"xread count 10 streams a b 0 0", 20},
    {"xread count 0 streams a 0", OPEN},
    {"xread block 0 streams a $", 0},
    {"xread count 5 streams a b $ 0", 5},
    {"xreadgroup group count 5 count 7 streams a >", 7},
    {"xreadgroup group g c streams a 0", OPEN},
    {"scan 0", 10},
    {"scan 0 match count count 77", 77},
    {"scan 0 count 1000000000", 1000000000},
    {"hscan k 0 count 20", 20},
    {"srandmember k", 1},
    {"srandmember k -3000000", 3000000},
    {"srandmember k x", OPEN},
    {"hrandfield k 5 withvalues", 5},
    {"zrandmember k -7", 7},
    {"spop k 12", 12},
    {"lpop k", 1},
    {"rpop k 3", 3},
    {"zpopmin k 4", 4},
    {"lmpop 2 count left left count 9", 9},
    {"lmpop 1 a left", 1},
    {"blmpop 0 2 a b left count 6", 6},
    {"bzmpop 0 1 a min count 6", 6},
    {"georadius k 1 2 3 m", OPEN},
    {"georadius k 1 2 3 m count 5 any", 5},
    {"georadius k 1 2 3 m store count", OPEN},
    {"geosearch k frommember count byradius 1 m", OPEN},
    {"geosearch k frommember m byradius 1 m count 8", 8},
    {"geosearchstore d k fromlonlat 1 2 bybox 1 2 m count 8 storedist", 8},
    {"xautoclaim k g c 0 0", 100},
    {"xautoclaim k g c 0 0 count 5 justid", 5},
    {"xpending k g", 1},
    {"xpending k g - + 10", 10},
    {"xpending k g idle 5 - + 11 c", 11},
    {"xinfo stream k full", 10},
    {"xinfo stream k full count 0", OPEN},
    {"lpos k e", 1},
    {"lpos k e count 0", OPEN},
    {"lpos k count rank 2 count 3", 3},
    {"cluster getkeysinslot 1 50", 50},
    {"get k", 0},
    {"hmget k a b c", 0},
};

static void test_bounds(void **state)
{
    for (size_t i = 0; i < ARRAY_LEN(bounds); i++)
        expect_bound(bounds[i].request, bounds[i].bound);
}

/* What is asked, as one line; "" when nothing is. */
static const char *asks(const char *request)
{
    struct asked asked;
    struct verdict verdict;
    struct str argv[2];
    struct buf out = {0};
    s.asked = ELEMENTS_MAY_ASK;
    asked_parse(&asked, &s, request);
    policy_judge(s.policy, &asked.question, &verdict);
    for (size_t at = 0;
         verdict.kind == VERDICT_ASK && policy_ask(s.policy, &asked.question, &at, argv);) {
        buf_text(&out, out.len ? ", " : "");
        buf_str(&out, argv[0]);
        buf_text(&out, " ");
        buf_str(&out, argv[1]);
    }
    const char *text = arena_str(s.arena, buf_view(&out));
    buf_free(&out);
    return text;
}

static void test_questions(void **state)
{
    rule_is("unbounded = yes; min-elements = 10; action = deny");
    assert_string_equal(asks("lrange k 0 -1"), "LLEN k");
    assert_string_equal(asks("lrange k 0 100"), "");
    assert_string_equal(asks("get k"), "");
    assert_string_equal(asks("keys *"), "");
    assert_string_equal(asks("sinterstore d a b"), "SCARD a, SCARD b");
    assert_string_equal(asks("zunion 2 a b"), "SCARD a, ZCARD a, SCARD b, ZCARD b");
    assert_string_equal(asks("sort k store d"), "LLEN k, SCARD k, ZCARD k");
    assert_string_equal(asks("zrangestore d k 0 -1"), "ZCARD k");
    assert_string_equal(asks("georadius k 1 2 3 m store d"), "ZCARD k");
    assert_string_equal(asks("xread streams a b 0 0"), "XLEN a, XLEN b");
    assert_string_equal(asks("hgetall k"), "HLEN k");
}

static void test_answers(void **state)
{
    rule_is("unbounded = yes; min-elements = 10; action = deny");
    s.asked = ELEMENTS_ASKED;
    s.elements = 10;
    expect("hgetall k", false);
    s.elements = 11;
    expect("hgetall k", true);
    expect("lrange k 1 -1", false);
    expect("lrange k -11 -1", true);
    expect("sort k get # get #", true);
    expect("xreadgroup group g c streams k 0", true); /* a history is not what XLEN counts */
    s.elements = -1;
    expect("hgetall k", true);
    s.asked = ELEMENTS_CLOSED;
    s.elements = 0;
    expect("hgetall k", true);
    rule_is("unbounded = yes; min-elements = 10; action = allow");
    expect("hgetall k", false);
}

/* ---- times to live ---- */

static void test_times(void **state)
{
    int64_t now = clock_wall();
    static const char *const longer[] = {
        "set k v ex 11",
        "set k v px 10001",
        "set k v nx get ex 11",
        "setex k 11 v",
        "psetex k 10001 v",
        "expire k 11 gt",
        "pexpire k 10001",
        "getex k ex 11",
        "restore k 10001 x",
        "restore k 10001 x replace",
        "expire k 9223372036854775807",
        "expire k nonsense",
        "expire k 10000000000000000000",
        "set k v ex 010",
        "set k v new ex 5",
    };
    static const char *const shorter[] = {
        "set k v ex 10", "set k v",       "set k v keepttl", "expire k 10",
        "expire k -1",   "setex k 10 v",  "persist k",       "restore k 0 x",
        "getex k",       "restore k 5 x", "get k",           "restore k 5 x absttl",
    };
    rule_is("max-ttl = 10000; action = deny");
    for (size_t i = 0; i < ARRAY_LEN(longer); i++)
        expect(longer[i], true);
    for (size_t i = 0; i < ARRAY_LEN(shorter); i++)
        expect(shorter[i], false);
    for (int far = 0; far <= 1; far++) {
        long long at = (long long)now + (far ? 20 : 5);
        static const char *const forms[] = {"set k v exat %lld",   "expireat k %lld",
                                            "getex k exat %lld",   "set k v pxat %lld000",
                                            "pexpireat k %lld000", "restore k %lld000 x absttl"};
        for (size_t i = 0; i < ARRAY_LEN(forms); i++) {
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
            expect(arena_printf(s.arena, forms[i], at), far);
#pragma GCC diagnostic pop
        }
    }
    rule_is("max-ttl = 10000; action = allow");
    expect("expire k nonsense", false);
    expect("expire k 9223372036854775807", false);
}

static void test_without_time(void **state)
{
    static const char *const without[] = {
        "set k v",
        "set k v nx get",
        "setnx k v",
        "getset k v",
        "mset k v",
        "msetnx k v",
        "restore k 0 x",
        "restore k 0 x absttl",
        "persist k",
        "getex k persist",
        "restore-asking k 0 x",
        "set k v ifeq keepttl",
        "set k v new ex",
        "set k v ifeq ex px",
    };
    static const char *const with[] = {"set k v ex 5", "set k v keepttl", "getex k",
                                       "getex k ex 5", "setex k 5 v",     "restore k 5 x",
                                       "hset k f v",   "get k",           "expire k 5"};
    rule_is("without-ttl = yes; action = deny");
    for (size_t i = 0; i < ARRAY_LEN(without); i++)
        expect(without[i], true);
    for (size_t i = 0; i < ARRAY_LEN(with); i++)
        expect(with[i], false);
}

/* ---- others ---- */

static void test_sizes(void **state)
{
    rule_is("min-bytes = 1000; action = deny");
    expect("setrange k 999 x", true);
    expect("setrange k 998 x", false);
    expect("setbit k 7992 1", true);
    expect("setbit k 7991 1", false);
    expect("bitfield k set u8 #999 1", true);
    expect("bitfield k get u8 #999", false);
    expect("bitfield k overflow sat incrby i64 7937 1", true);
}

static void test_pressure(void **state)
{
    rule_is("commands = @growth; when = high; action = deny");
    expect("set k v", false);
    s.pressure = PRESSURE_HIGH;
    expect("set k v", true);
    expect("get k", false);
    s.pressure = PRESSURE_CRITICAL;
    expect("set k v", true);
}

/* A rule costs nothing for commands of which no request could meet it. */
static void test_narrow(void **state)
{
    rule_is("channels = a; action = deny");
    assert_false(policy_concerns(s.policy, command_by_name(s.table, STR("get")), SIZE_MAX, NULL));
    assert_true(
        policy_concerns(s.policy, command_by_name(s.table, STR("subscribe")), SIZE_MAX, NULL));
    rule_is("unbounded = yes; action = deny");
    assert_false(policy_concerns(s.policy, command_by_name(s.table, STR("set")), SIZE_MAX, NULL));
    assert_true(policy_concerns(s.policy, command_by_name(s.table, STR("lrange")), SIZE_MAX, NULL));
}

static void test_never(void **state)
{
    static const char *const options[] = {
        "commands = get; channels = a; action = deny",
        "commands = set, del; unbounded = yes; "
        "action = deny",
        "commands = get; without-ttl = yes; action = deny",
        "commands = persist; max-ttl = 5; action = deny",
    };
    for (size_t i = 0; i < ARRAY_LEN(options); i++) {
        rule_is(options[i]);
        assert_true(setup_warned(&s, "rule 'r' can never match: '"));
    }
    rule_is("commands = @write; max-ttl = 5; action = deny");
    assert_false(setup_warned(&s, "can never match"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bounds),       cmocka_unit_test(test_questions),
        cmocka_unit_test(test_answers),      cmocka_unit_test(test_times),
        cmocka_unit_test(test_without_time), cmocka_unit_test(test_sizes),
        cmocka_unit_test(test_pressure),     cmocka_unit_test(test_narrow),
        cmocka_unit_test(test_never),
    };
    return cmocka_run_group_tests(tests, before, after);
}
