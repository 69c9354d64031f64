/* test_keys.c - arguments of calls, and which keys a script names beside its KEYS. */
#include "inspect.h"

/* "a=literal k1=KEYS[1] k=any of KEYS v2=ARGV[2] ?=anything", alternatives by "/", rest after "+".
 */
static void argument_write(struct buf *out, const struct script_argument *argument)
{
    for (size_t i = 0; i < argument->count; i++) {
        const struct script_value *value = &argument->values[i];
        buf_text(out, i ? "/" : "");
        switch (value->kind) {
        case SCRIPT_LITERAL:
            buf_text(out, "=");
            buf_str(out, value->literal);
            break;
        case SCRIPT_KEY: buf_printf(out, "k%u", value->index); break;
        case SCRIPT_ARGV: buf_printf(out, "v%u", value->index); break;
        }
    }
    if (argument->open)
        buf_text(out, "?");
}

static const struct {
    const char *body, *arguments;
} arguments[] = {
    {"redis.call('SET', KEYS[1], ARGV[2])", "k1 v2"},
    {"redis.call('XTRIM', KEYS[1], 'MAXLEN', 0)", "k1 =MAXLEN =0"},
    {"redis.call('X', -1, 1e3, 0x10, 1.5, 1e99, -0, - -5, -'5')", "=-1 =1000 =16 ? ? ? =5 ?"},
    {"redis.call('X', nil, true, {}, function() end)", "  ? ?"},
    {"redis.call('X', KEYS[1] .. 'x', #KEYS, 1 + 1, 'a' == 'b')", "? ? ? "},
    {"redis.call('X', KEYS[ARGV[1]], KEYS[0], KEYS.x, KEYS['1'])", "k0 k0 k0 k0"},
    {"local k = KEYS[2] redis.call('X', k)", "k2"},
    {"local k = KEYS[2] k = k .. 'x' redis.call('X', k)", "k2?"},
    {"local k = KEYS[1] or 'none' redis.call('X', k)", "k1/=none"},
    {"local keys = KEYS redis.call('X', keys[3])", "k3"},
    {"local t = ARGV local a = t[1] redis.call('X', a)", "v1"},
    {"redis.call('X', unpack(KEYS))", "+k0"},
    {"redis.call('X', unpack(ARGV, 2))", "+v0"},
    {"redis.call('X', unpack({}))", "+?"},
    {"redis.call('X', 'a', unpack(KEYS), 'b')", "=a k0 =b"},
    {"redis.call('X', (unpack(KEYS)))", "k0"},
    {"redis.call('X', ...)", "+?"},
    {"redis.call('X', tostring(1))", "+?"},
    {"redis.call('X', (tostring(1)))", "?"},
    {"for _, k in ipairs(KEYS) do redis.call('X', k) end", "k0"},
    {"for i, k in pairs(KEYS) do redis.call('X', i, k) end", "? k0"},
    {"for i, k in pairs(KEYS), 1 do redis.call('X', i, k) end", "? ?"},
    {"for i, k in (pairs(KEYS)) do redis.call('X', i, k) end", "? ?"},
    {"local f, t = ipairs(KEYS) redis.call('X', KEYS[1])", "?"},
    {"for i = 1, #KEYS do redis.call('X', KEYS[i], i) end", "k0 ?"},
    {"local function f(k) redis.call('X', k) end f(KEYS[1]) f(KEYS[2])", "k1/k2"},
    {"local function f(k) redis.call('X', k) end f('a' .. 'b')", "?"},
    {"local function f(keys) redis.call('X', keys[1]) end f(KEYS)", "k1"},
    {"local function f(keys) redis.call('X', keys[1]) end f({'x'})", "?"},

    /* KEYS is changed */
    {"KEYS[1] = ARGV[1] redis.call('X', KEYS[1])", "?"},
    {"redis.call('X', KEYS[1]) KEYS[#KEYS + 1] = 'x'", "?"},
    {"local k = KEYS k[1] = 'x' redis.call('X', KEYS[1])", "?"},
    {"local a, b = 1, KEYS b[1] = 'x' redis.call('X', KEYS[1])", "?"},
    {"table.insert(KEYS, 'x') redis.call('X', KEYS[1])", "?"},
    {"local k = KEYS table.insert(k, 'x') redis.call('X', KEYS[1])", "?"},
    {"local k = (KEYS) local j = k or {} j[1] = 'x' redis.call('X', KEYS[1])", "?"},
    {"setmetatable(KEYS, {__index = ARGV}) redis.call('X', KEYS[1])", "?"},
    {"local function f(k) k[1] = 'x' end f(KEYS) redis.call('X', KEYS[1])", "?"},
    {"local function f(k) return k end f(KEYS)[1] = 'x' redis.call('X', KEYS[1])", "?"},
    {"local f = tostring f(KEYS) redis.call('X', KEYS[1])", "?"},
    {"local t = {KEYS} t[1][1] = 'x' redis.call('X', KEYS[1])", "?"},
    {"local _, t = pairs(KEYS) t[1] = 'x' redis.call('X', KEYS[1])", "?"},
    {"(KEYS)[1] = 'x' redis.call('X', KEYS[1])", "?"},
    {"(false or KEYS)[1] = 'x' redis.call('X', KEYS[1])", "?"},
    {"select(1, KEYS)[1] = 'x' redis.call('X', KEYS[1])", "?"},
    {"assert(KEYS)[1] = 'x' redis.call('X', KEYS[1])", "?"},
    {"local f = function(...) local t = {...} t[1][1] = 'x' end f(KEYS) redis.call('X', KEYS[1])",
     "?"},
    {"local f = function(...) (...)[1] = 'x' end f(KEYS) redis.call('X', KEYS[1])", "?"},
    {"local f = function(a, ...) select(2, ...)[1] = 'x' end f(1, 2, KEYS) redis.call('X', "
     "KEYS[1])",
     "?"},
    {"function KEYS.x() end redis.call('X', KEYS[1])", "?"},
    {"local k = KEYS function k:x() end redis.call('X', KEYS[1])", "?"},
    {"pcall(table.insert, KEYS, 'x') redis.call('X', KEYS[1])", "?"},
    {"pcall(function(k) k[1] = 'x' end, KEYS) redis.call('X', KEYS[1])", "?"},
    {"for _, t in pairs({KEYS}) do t[1] = 'x' end redis.call('X', KEYS[1])", "?"},
    {"return redis.call('X', KEYS[1]), KEYS", "?"},
    {"local x = KEYS .. '' redis.call('X', KEYS[1])", "?"},
    /* and is not */
    {"local n = #KEYS + table.getn(KEYS) local s = table.concat(KEYS, ',') .. cjson.encode(KEYS)"
     " if KEYS[1] == s and KEYS then redis.call('X', KEYS[n], KEYS[1]) end",
     "k0 k1"},
    {"local ARGV = {} ARGV[1] = 'x' redis.call('X', ARGV[1])", "?"},
    {"ARGV[1] = 'x' redis.call('X', KEYS[1], ARGV[1])", "k1 ?"},
};

static void arguments_of_calls(void **state)
{
    for (size_t i = 0; i < ARRAY_LEN(arguments); i++) {
        struct arena *arena = arena_new();
        struct buf out = {0};
        const struct script *script = script_inspect(arena, SCRIPT_EVAL, str_of(arguments[i].body));
        if (script->verdict != SCRIPT_ACCEPTED)
            fail_msg("%s\n   is refused: %s", arguments[i].body, script->reason);
        assert_int_equal(script->call_count, 1);
        for (uint32_t a = 0; a < script->calls->argc; a++) {
            buf_text(&out, a ? " " : "");
            argument_write(&out, &script->calls->args[a]);
        }
        if (script->calls->more) {
            buf_text(&out, out.len ? " +" : "+");
            argument_write(&out, &script->calls->rest);
        }
        buf_add(&out, "", 1);
        if (strcmp(out.ptr, arguments[i].arguments) != 0)
            fail_msg("%s\n   is:       %s\n   expected: %s", arguments[i].body, out.ptr,
                     arguments[i].arguments);
        buf_free(&out);
        arena_free(arena);
    }
}

/* Literal keys by " "; "?N": computed in line N. */
static const struct {
    const char *body, *keys;
} keys[] = {
    {"redis.call('GET', KEYS[1])", ""},
    {"redis.call('GET', 'counter')", "counter"},
    {"redis.call('GET', KEYS[1] or 'counter')", "counter"},
    {"redis.call('GET', KEYS[1] .. ':x')", "?1"},
    {"\nredis.call('GET',\nARGV[1])", "?2"},
    {"redis.call('SET', KEYS[1], ARGV[1])", ""},
    {"redis.call('MSET', KEYS[1], ARGV[1], 'b', ARGV[2])", "b"},
    {"redis.call('MSET', KEYS[1], ARGV[1], ARGV[2], 'b')", "?1"},
    {"redis.call('DEL', unpack(KEYS))", ""},
    {"redis.call('DEL', unpack(ARGV))", "?1"},
    {"redis.call('DEL', KEYS[1], ...)", "?1"},
    {"redis.call('MSET', unpack(KEYS))", ""},
    {"redis.call('ZREM', KEYS[1], unpack(ARGV))", ""},
    {"redis.call('RENAME', KEYS[1], ARGV[1])", "?1"},
    {"redis.call('ZUNIONSTORE', KEYS[1], 2, KEYS[2], 'b')", "b"},
    {"redis.call('ZUNIONSTORE', KEYS[1], ARGV[1], KEYS[2])", "?1"},
    {"redis.call('ZUNIONSTORE', KEYS[1], #KEYS, unpack(KEYS))", "?1"},
    {"redis.call('ZUNIONSTORE', KEYS[1], 1, KEYS[2], 'WEIGHTS', ARGV[1])", ""},
    {"redis.call('SORT', KEYS[1])", ""},
    {"redis.call('SORT', KEYS[1], 'STORE', 'b')", "b"},
    {"redis.call('SORT', KEYS[1], 'BY', 'w*')", "?1"},
    {"redis.call('SORT', KEYS[1], ARGV[1], 'b')", "?1"},
    {"redis.call('GEORADIUS', KEYS[1], 0, 0, 1, 'm', ARGV[1], 'b')", "?1"},
    {"redis.call('XREADGROUP', 'GROUP', ARGV[1], ARGV[2], 'STREAMS', KEYS[1], '>')", ""},
    {"redis.call('XREAD', 'COUNT', ARGV[1], 'STREAMS', 'a', ARGV[2])", "a"},
    {"redis.call('XREAD', ARGV[1], 'STREAMS', 'a', ARGV[2])", "?1"},
    {"redis.call('XADD', KEYS[1], '*', 'f', ARGV[1])", ""},
    {"redis.call('PUBLISH', ARGV[1], ARGV[2])", ""},
    {"redis.call('TIME') redis.call('PING')", ""},
    {"redis.call('OBJECT', 'ENCODING', ARGV[1])", "?1"},
    {"redis.call('OBJECT', 'ENCODING', KEYS[1])", ""},
    {"redis.call('XGROUP', ARGV[1], KEYS[1], 'g')", "?1"},
    {"redis.call('NOSUCH', KEYS[1])", "?1"},
    {"redis.call(ARGV[1], KEYS[1])", "?1"},
    {"redis.call('GET')", ""},
    {"local c = ARGV[1] and 'GET' or 'RENAME' redis.call(c, KEYS[1], ARGV[1])", "?1"},
    {"KEYS[1] = 'x' redis.call('GET', KEYS[1])", "?1"},
};

static void keys_of_scripts(void **state)
{
    for (size_t i = 0; i < ARRAY_LEN(keys); i++) {
        struct arena *arena = arena_new();
        struct buf out = {0};
        const struct script *script = script_inspect(arena, SCRIPT_EVAL, str_of(keys[i].body));
        if (script->verdict != SCRIPT_ACCEPTED)
            fail_msg("%s\n   is refused: %s", keys[i].body, script->reason);
        struct script_keys found = script_keys(arena, script, command_table_builtin());
        for (size_t k = 0; k < found.literal_count; k++) {
            buf_text(&out, k ? " " : "");
            buf_str(&out, found.literals[k]);
        }
        if (found.computed_line)
            buf_printf(&out, "%s?%u", out.len ? " " : "", found.computed_line);
        buf_add(&out, "", 1);
        if (strcmp(out.ptr, keys[i].keys) != 0)
            fail_msg("%s\n   is:       %s\n   expected: %s", keys[i].body, out.ptr, keys[i].keys);
        buf_free(&out);
        arena_free(arena);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(arguments_of_calls),
        cmocka_unit_test(keys_of_scripts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
