/* test_accepted.c - bodies that pass, and every command they can run. */
#include "inspect.h"

static const struct {
    const char *body, *calls;
} accepted[] = {
    {"", ""},
    {"return 1", ""},
    {"return redis.call('GET', KEYS[1])", "GET"},
    {"return redis.pcall(\"get\", KEYS[1]);", "get"},
    {"return redis.call 'PING'", "PING"},
    {"return redis.call [[PING]]", "PING"},
    {"return redis.call[==[\nPING]==]", "PING"},
    {"return redis['call']('PING')", "PING"},
    {"return redis[\"pcall\"](\"PING\")", "PING"},
    {"return redis [ [[call]] ] ('PING')", "PING"},
    {"return redis['c\\097ll']('PING')", "PING"},
    {"return (redis.call)('PING')", "PING"},
    {"return (redis).call('PING')", "PING"},
    {"return redis --[[x]] . --y\n call ('PING')", "PING"},
    {"return redis.call(('PING'))", "PING"},
    {"return redis.call('FLUSH\\065LL')", "FLUSHALL"},
    {"return redis.call('\\x47ET')", "x47ET"},
    {"return redis.call('a\\\nb')", "a\nb"},
    {"return redis.call('a\\\r\nb')", "a\nb"},
    {"return redis.call([[a\r\nb]])", "a\nb"},
    {"return redis.call([[\n\rGET]])", "GET"},
    {"return redis.call('\\a\\b\\f\\n\\r\\t\\v\\\\\\'\\q\\0')",
     "\a\b\f\n\r\t\v\\'q"}, /* and a NUL behind, which the text of this test cannot show */
    {"return redis.call(123)", "123"},
    {"return redis.call('CONFIG', 'SET', 'x', 1)", "CONFIG|SET"},
    {"return redis.call('CONFIG', ARGV[1])", "CONFIG"},
    {"local s = ARGV[1] and 'GET' or 'SET' return redis.call('CONFIG', s)",
     "CONFIG|GET CONFIG|SET"},

    /* aliases */
    {"local rcall = redis.call return rcall('GET', KEYS[1])", "GET"},
    {"local a, b, c = redis.call, 1, redis.pcall a('GET') c('SET')", "GET SET"},
    {"local call = redis.call local c = call c('GET')", "GET"},
    {"local c = redis['call'] local function f() return c('GET', KEYS[1]) end return f()", "GET"},
    {"local c = redis.call do local c = function(x) end c('FLUSHALL') end c('GET')", "GET"},
    {"local c = redis.call for c = 1, 2 do local x = c end", ""},
    {"local c = redis.call local function f(c) return c('FLUSHALL') end", ""},
    {"return pcall(redis.call, 'GET', KEYS[1])", "GET"},
    {"local c = redis.call local ok, e = pcall(c, 'GET', KEYS[1])", "GET"},
    {"return pcall(redis.pcall, 'INCR', KEYS[1])", "INCR"},
    {"pcall(function() redis.call('GET', KEYS[1]) end)", "GET"},
    {"xpcall(function() redis.call('GET', KEYS[1]) end, function(e) return e end)", "GET"},

    /* what is called redis but is not */
    {"local redis = {call = function() end} return redis.call('FLUSHALL')", ""},
    {"local function f(redis) return redis.call('FLUSHALL') end", ""},
    {"for redis in pairs({}) do redis.call('FLUSHALL') end", ""},
    {"local t = {} t.call = 1 t.redis = 2 return t.redis.call", ""},
    {"local x = {redis = 1}", ""},
    {"return 'redis.call(\"FLUSHALL\")'", ""},
    {"-- redis.call('FLUSHALL')\nreturn 1", ""},
    {"--[[ redis.call('FLUSHALL') ]] return 1", ""},
    {"--[==[ ]] redis.call('FLUSHALL') ]==] return 1", ""},
    {"--[ [ \nreturn redis.call('GET')", "GET"},
    {"--[=[ ]] --]=] redis.call('GET')", "GET"},
    {"--[==\nredis.call('GET')", "GET"},
    {"local x = [[ ]=] ]] redis.call('GET')", "GET"},
    {"local x = [=[ ]] ]=] redis.call('GET')", "GET"},
    {"local x = [[ [[ ]] redis.call('GET') --]]", "GET"},
    {"local x = '--[[' redis.call('GET') local y = ']]'", "GET"},
    {"local x = \"\\\"\" redis.call('GET') local y = \"\"", "GET"},
    {"local x = '\\\\' redis.call('GET') --'", "GET"},
    {"--\rredis.call('GET')", "GET"},
    {"--x\n\rredis.call('GET')", "GET"},
    {"\v\f redis.call('GET')", "GET"},

    /* names in locals */
    {"local c = 'GET' return redis.call(c, KEYS[1])", "GET"},
    {"local c if ARGV[1] then c = 'RPUSH' else c = 'LPUSH' end redis.call(c, KEYS[1])",
     "RPUSH LPUSH"},
    {"local c = ARGV[1] == 'x' and 'RPUSH' or 'LPUSH' redis.call(c)", "RPUSH LPUSH"},
    {"redis.call(ARGV[1] and 'RPUSH' or 'LPUSH', KEYS[1])", "RPUSH LPUSH"},
    {"local c = 'GET' local function f() c = 'FLUSHALL' end redis.call(c)", "GET FLUSHALL"},
    {"local c = 'GET' redis.call(c) c = 'FLUSHALL'", "GET FLUSHALL"},
    {"local a, b = 'GET', 'SET' a, b = b, a redis.call(a)", "GET SET"},
    {"local a = 'GET' local b = a local c = b redis.call(c)", "GET"},
    {"local c = nil redis.call(c)", ""},
    {"local c redis.call(c)", ""},
    {"local c = 'GET' do local c = 'FLUSHALL' end redis.call(c)", "GET"},
    {"local c = 'GET' while true do local c = 'SET' redis.call(c) break end", "SET"},
    {"local c = 'GET' repeat local c = 'SET' until redis.call(c)", "SET"},
    {"local c = 'GET' local c = c redis.call(c)", "GET"},
    {"local c = 'GET' local t = {c = c} t.c = 'FLUSHALL' redis.call(c)", "GET"},
    {"local c = 'GET' for c = 1, 2 do end redis.call(c)", "GET"},
    {"local GET = 'SET' redis.call(GET)", "SET"},

    /* names in parameters */
    {"local function f(c, ...) return redis.call(c, ...) end f('GET', KEYS[1])", "GET"},
    {"local function f(...) return redis.call(...) end f('GET', KEYS[1]) f('SET')", "GET SET"},
    {"local f = function(c) return redis.call(c) end f'GET' f\"SET\"", "GET SET"},
    {"local f function f(c) redis.call(c) end f('GET')", "GET"},
    {"local f f = function(c) redis.call(c) end f('GET')", "GET"},
    {"local function f(c) if c then f('SET') end redis.call(c) end f('GET')", "SET GET"},
    {"local function f(c) redis.call(c) end local function g(d) f(d) end g('GET')", "GET"},
    {"local function f(k, c) redis.call(c, k) end f(KEYS[1], 'GET') f(KEYS[2], ARGV[1] and 'A' or "
     "'B')",
     "GET A B"},
    {"local function f(c) redis.call(c) end pcall(f, 'GET')", "GET"},
    {"local function f(c) redis.call(c) end", ""},
    {"local function f(c) redis.call(c) end f()", ""},
    {"local function f(c) c = c or 'SET' redis.call(c) end f() f('GET')", "SET GET"},
    {"local function f(c) redis.call(c) end f(ARGV[3]) f('GET')", "ARGV[3] GET"},
    {"redis.call(ARGV[1], KEYS[1])", "ARGV[1]"},
    {"local function f(c, f) redis.call(c) f('FLUSHALL') end f('GET', 1)", "GET"},

    /* harmless basics */
    {"#!lua\nreturn redis.call('GET', KEYS[1])", "GET"},
    {"#!lua flags=no-writes,allow-stale\nreturn 1", ""},
    {"return redis.error_reply('x')", ""},
    {"return redis.status_reply('x')", ""},
    {"redis.log(redis.LOG_NOTICE, 'x') redis.setresp(3) redis.replicate_commands()", ""},
    {"return redis.sha1hex('x') .. redis.REDIS_VERSION", ""},
    {"return redis.acl_check_cmd('FLUSHALL')", ""},
    {"return cjson.encode(cjson.decode(ARGV[1]))", ""},
    {"return bit.bor(1, 2) + struct.size('i') + math.floor(2.5)", ""},
    {"local insert = table.insert local t = {} insert(t, 1) return #t", ""},
    {"local t = setmetatable({}, {__index = function(t, k) return k end}) return t.x", ""},
    {"return {tonumber('1'), tostring(1), type(1), select('#', 1, 2), next({}), unpack({1})}", ""},
    {"for i, v in ipairs(KEYS) do redis.call('DEL', v) end", "DEL"},
    {"for k, v in pairs({1}) do if k > 1 then break end end", ""},
    {"assert(true, 'x') error({err = 'x'})", ""},
    {"local t = {1, 2; x = 3, ['y'] = 4, [5] = 6;} return t", ""},
    {"return 2 ^ -3 ^ 2 .. 'x' == 'y' and not -1 or #'x' % 2", ""},
    {"local t = {f = 1\n} ; (t).f = 2", ""},
    {"local function f() return end return f()", ""},
    {"do return 1 end", ""},
    {"return 0x1F + 1e3 + .5 + 3. + 1E-2", ""},
    {"local _ = 1 local _G1 = 2 return _, _G1", ""},
    {"local goto = 1 local continue = 2 return goto + continue", ""},
};

static void accepted_bodies(void **state)
{
    for (size_t i = 0; i < ARRAY_LEN(accepted); i++) {
        struct arena *arena = arena_new();
        struct buf verdict = verdict_of(arena, SCRIPT_EVAL, str_of(accepted[i].body));
        if (strcmp(verdict.ptr, accepted[i].calls) != 0)
            fail_msg("%s\n   is:       %s\n   expected: %s", accepted[i].body, verdict.ptr,
                     accepted[i].calls);
        buf_free(&verdict);
        arena_free(arena);
    }
}

/* What users run. */

/* a lock that only its owner releases */
static const char unlock[] = "if redis.call('get', KEYS[1]) == ARGV[1] then\n"
                             "  return redis.call('del', KEYS[1])\n"
                             "else\n"
                             "  return 0\n"
                             "end\n";
/* a lock on several resources, taken by all or by none */
static const char lock_many[] = "for i, key in ipairs(KEYS) do\n"
                                "  if redis.call('exists', key) == 1 then return 0 end\n"
                                "end\n"
                                "for i, key in ipairs(KEYS) do\n"
                                "  redis.call('set', key, ARGV[1], 'PX', ARGV[2])\n"
                                "end\n"
                                "return #KEYS\n";
/* a sliding window */
static const char rate_limit[] = "local now = tonumber(ARGV[1])\n"
                                 "local window, limit = tonumber(ARGV[2]), tonumber(ARGV[3])\n"
                                 "redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now - window)\n"
                                 "local count = redis.call('ZCARD', KEYS[1])\n"
                                 "if count >= limit then return {0, count} end\n"
                                 "redis.call('ZADD', KEYS[1], now, ARGV[4])\n"
                                 "redis.call('PEXPIRE', KEYS[1], window)\n"
                                 "return {1, count + 1}\n";
/* a fixed window */
static const char counter[] = "local current\n"
                              "current = redis.call(\"incr\", KEYS[1])\n"
                              "if current == 1 then\n"
                              "    redis.call(\"expire\", KEYS[1], ARGV[1])\n"
                              "end\n"
                              "return current\n";
/* due jobs of a sorted set */
static const char pop_due[] =
    "local key, now = KEYS[1], ARGV[1]\n"
    "local jobs = redis.call(\"zrange\", key, \"-inf\", now, \"byscore\",\n"
    "                        \"limit\", 0, 1)\n"
    "if jobs[1] then\n"
    "  redis.call(\"zrem\", key, jobs[1])\n"
    "  return jobs[1]\n"
    "end\n";
/* a bucket that fills with time */
static const char bucket[] =
    "local time = redis.call('TIME')\n"
    "local now = time[1] * 1000 + math.floor(time[2] / 1000)\n"
    "local state = redis.call('HMGET', KEYS[1], 'tokens', 'at')\n"
    "local tokens = tonumber(state[1] or ARGV[1])\n"
    "local spent = math.max(0, now - tonumber(state[2] or now))\n"
    "tokens = math.min(tonumber(ARGV[1]), tokens + spent * tonumber(ARGV[2]))\n"
    "local allowed = tokens >= 1\n"
    "if allowed then tokens = tokens - 1 end\n"
    "redis.call('HSET', KEYS[1], 'tokens', tokens, 'at', now)\n"
    "redis.call('PEXPIRE', KEYS[1], ARGV[3])\n"
    "return {allowed and 1 or 0, tostring(tokens)}\n";
/* several commands as data: names travel in a table, which is not followed */
static const char by_table[] = "local names = {get = 'GET', set = 'SET'}\n"
                               "return redis.call(names[ARGV[1]], KEYS[1])\n";

static const struct {
    const char *body, *calls;
} real[] = {
    {unlock, "get del"},
    {lock_many, "exists set"},
    {rate_limit, "ZREMRANGEBYSCORE ZCARD ZADD PEXPIRE"},
    {counter, "incr expire"},
    {pop_due, "zrange zrem"},
    {bucket, "TIME HMGET HSET PEXPIRE"},
    {by_table, "refused 2: the name of a command is not one of known literals"},
};

static void real_bodies(void **state)
{
    for (size_t i = 0; i < ARRAY_LEN(real); i++) {
        struct arena *arena = arena_new();
        struct buf verdict = verdict_of(arena, SCRIPT_EVAL, str_of(real[i].body));
        assert_string_equal(verdict.ptr, real[i].calls);
        buf_free(&verdict);
        arena_free(arena);
    }
}

static const struct {
    const char *body, *verdict;
} libraries[] = {
    {"#!lua name=lib\nredis.register_function('f', function(keys, args)\n"
     " return redis.call('GET', keys[1]) end)",
     "GET"},
    {"#!lua name=lib\nlocal function f(keys, args) return redis.call('SET', keys[1], args[1]) end\n"
     "redis.register_function('f', f)",
     "SET"},
    {"#!lua name=lib\nlocal function f(keys) return redis.call('GET', keys[1]) end\n"
     "redis.register_function{function_name='f', callback=f, flags={'no-writes'}}",
     "GET"},
    {"#!lua name=lib\nredis.register_function({function_name='f', description='x',\n"
     " callback=function() return redis.call('TIME') end, flags={}})",
     "TIME"},
    {"#!lua name=lib\nlocal function f(keys, args) return redis.call(args[1]) end\n"
     "redis.register_function('f', f)",
     "ARGV[1]"},
    {"#!lua name=lib\nlocal function f(keys, args) args[1] = 'x' return redis.call(args[1]) end\n"
     "redis.register_function('f', f)",
     "refused 2: the name of a command is not one of known literals"},
    {"#!lua name=lib\nlocal function f(keys) return redis.call('GET', keys[1]) end\n"
     "redis.register_function{function_name='f', callback=f, flags={'allow-oom'}}",
     "refused 3: the flag allow-oom is used"},
    {"#!lua name=lib\nlocal o = 'allow-oom'\n"
     "redis.register_function{function_name='f', callback=error, flags={o}}",
     "refused 3: redis.register_function is given something else than a literal"},
    {"#!lua name=lib\nlocal o = {'allow-oom'}\n"
     "redis.register_function{function_name='f', callback=error, flags=o}",
     "refused 3: the flags of a function are no literal table"},
    {"#!lua name=lib\nlocal o = {function_name='f'}\nredis.register_function(o)",
     "refused 3: redis.register_function is given something else than a literal"},
    {"#!lua name=lib\nredis.register_function{['flags']={'allow-oom'}}",
     "malformed 2: a name is expected"},
    {"#!lua name=lib\nlocal r = redis.register_function",
     "refused 2: redis.register_function is used as a value"},
    {"#!lua name=lib\npcall(redis.register_function, {flags={'allow-oom'}})",
     "refused 2: redis.register_function is used as a value"},
    {"#!lua name=lib\nredis.register_function('f', redis.call)",
     "refused 2: redis.call or pcall is used as a value: it may only be called, handed to pcall, "
     "or bound once to a local"},
    {"#!lua name=lib\nredis.register_function(redis, 'x')",
     "refused 2: redis.register_function is given something else than a literal"},
    {"return 1", "malformed 1: a library begins with #!lua name=NAME"},
    {"#!lua\nreturn 1", "malformed 1: the library has no name"},
    {"#!lua name=\nreturn 1", "malformed 1: the shebang has an unknown option"},
    {"#!lua name=a name=b\nreturn 1", "malformed 1: the shebang has an unknown option"},
    {"#!lua name=a flags=no-writes\nreturn 1", "malformed 1: the shebang has an unknown option"},
};

static void library_bodies(void **state)
{
    for (size_t i = 0; i < ARRAY_LEN(libraries); i++) {
        struct arena *arena = arena_new();
        struct buf verdict = verdict_of(arena, SCRIPT_LIBRARY, str_of(libraries[i].body));
        if (strcmp(verdict.ptr, libraries[i].verdict) != 0)
            fail_msg("%s\n   is:       %s\n   expected: %s", libraries[i].body, verdict.ptr,
                     libraries[i].verdict);
        buf_free(&verdict);
        arena_free(arena);
    }
}

static void shebang_told(void **state)
{
    struct arena *arena = arena_new();
    const struct script *script =
        script_inspect(arena, SCRIPT_EVAL, STR("#!lua flags=no-writes,no-cluster\nreturn 1"));
    assert_true(script->shebang && !script->library.ptr);
    assert_int_equal(script->flags, SCRIPT_NO_WRITES | SCRIPT_NO_CLUSTER);
    script = script_inspect(arena, SCRIPT_EVAL, STR("return 1"));
    assert_true(!script->shebang && script->flags == 0);
    script = script_inspect(arena, SCRIPT_LIBRARY, STR("#!lua  name=my_lib \r\nlocal x"));
    assert_true(str_equal(script->library, STR("my_lib")));
    arena_free(arena);
}

/* The result stands without the body. */
static void result_owned(void **state)
{
    char body[] = "return redis.call('CONFIG', 'SET', 'x')";
    struct arena *arena = arena_new();
    const struct script *script = script_inspect(arena, SCRIPT_EVAL, str_of(body));
    memset(body, 'z', sizeof(body));
    assert_true(str_equal(script->calls[0].name, STR("CONFIG")));
    assert_true(str_equal(*script->calls[0].first, STR("SET")));
    assert_true(str_equal(*script_literal(&script->calls[0].args[1]), STR("x")));
    arena_free(arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(accepted_bodies), cmocka_unit_test(real_bodies),
        cmocka_unit_test(library_bodies),  cmocka_unit_test(shebang_told),
        cmocka_unit_test(result_owned),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
