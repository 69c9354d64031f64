"""Scripts cannot walk around the rules: every trick is refused, the store is unchanged, and what is
harmless passes."""
import hashlib

import pytest

from harness.waiting import wait_until
from harness.wire import encode

RULES = """
[rule no-flush]
commands = flushall, flushdb, swapdb
action = deny
message = trim instead

[rule no-destructive]
commands = @destructive
action = deny

[rule secrets]
commands = *
keys = secret:*
action = deny
"""
BY_RULE = "NOPERM respgate: 'FLUSHALL' is denied by rule 'no-flush': trim instead"
ABORTED = "EXECABORT Transaction discarded because of previous errors."


def sha1(body):
    return hashlib.sha1(body.encode()).hexdigest()


def library(body, name="lib"):
    return f"#!lua name={name}\nredis.register_function('{name}_f', function(KEYS, ARGV)\n{body}\nend)"


@pytest.fixture
def guard(start_gate, store):
    """guard(rules, **options): a client of a gate with these rules; the store holds two keys."""
    clients = []
    store.call("SET kept yes")
    store.call("SET secret:a hidden")

    def start(extra=RULES, **options):
        gate = start_gate(store, extra=extra, **options)
        clients.append(gate.client())
        clients[-1].gate = gate
        return clients[-1]
    yield start
    for client in clients:
        client.close()


def untouched(store):
    return (store.call("GET kept") == b"yes" and store.call("GET secret:a") == b"hidden"
            and store.call("DBSIZE") == 2)


@pytest.fixture(scope="module")
def guarded(module_store, module_keeper, request):
    """One gate for all bodies."""
    from harness.servers import Gate
    if request.config.getoption("--direct"):
        pytest.skip("needs respgate")
    return module_keeper.add(Gate(module_keeper.folder("guarded"), module_store, extra=RULES))


NAMED = {  # the call is seen: the rule refuses it
    "literal": "return redis.call('FLUSHALL')",
    "case": "return redis.call('fLuShAlL', 'ASYNC')",
    "double quotes": 'return redis.call("FLUSHALL")',
    "escapes": r"return redis.call('\70LUSHALL')",
    "long string": "return redis.call([[FLUSHALL]])",
    "no parentheses": "return redis.call'FLUSHALL'",
    "comment": "return redis--[[x]].call--[==[ y ]==]('FLUSHALL')",
    "index": "return redis['call']('FLUSHALL')",
    "pcall of redis": "return redis.pcall('FLUSHALL')",
    "pcall": "return pcall(redis.call, 'FLUSHALL')",
    "alias": "local c = redis.call; return c('FLUSHALL')",
    "name in a local": "local n = 'FLUSHALL'; return redis.call(n)",
    "one of two": "local n = 'GET'; if KEYS[1] then n = 'FLUSHALL' end; return redis.call(n, 'kept')",
    "parameter": "local function f(n) return redis.call(n) end; return f('FLUSHALL')",
    "behind a false if": "if false then redis.call('FLUSHALL') end",
    "behind other calls": "redis.call('GET', 'kept'); redis.call('FLUSHALL')",
    "shebang": "#!lua\nreturn redis.call('FLUSHALL')",
}
UNPROVEN = {  # what it calls cannot be told
    "concatenated": "return redis.call('flush' .. 'all')",
    "reversed": "return redis.call(string.reverse('LLAHSULF'))",
    "method of a string": "return redis.call(('LLAHSULF'):reverse())",
    "format": "return redis.call(string.format('%s%s', 'FLUSH', 'ALL'))",
    "bytes": "return redis.call(string.char(70,76,85,83,72,65,76,76))",
    "computed member": "return redis['ca' .. 'll']('FLUSHALL')",
    "every global": "for k, v in pairs(_G) do if type(v) == 'table' and rawget(v, 'call') then "
                    "v.call('FLUSHALL') end end",
    "_G": "return _G.redis.call('FLUSHALL')",
    "_G by index": "return _G['redis']['call']('FLUSHALL')",
    "getfenv": "return getfenv(0).redis.call('FLUSHALL')",
    "setfenv": "setfenv(1, {redis = redis}); return redis.call('FLUSHALL')",
    "load": "return load(function() return \"return redis.call('FLUSHALL')\" end)()",
    "loadstring": "return loadstring(\"return redis.call('FLUSHALL')\")()",
    "dofile": "return dofile('/tmp/x')",
    "rawget": "return rawget(redis, 'call')('FLUSHALL')",
    "getmetatable": "getmetatable('').__index = function() return redis.call('FLUSHALL') end",
    "coroutine": "return coroutine.wrap(redis.call)('FLUSHALL')",
    "in a table": "local t = {redis.call}; return t[1]('FLUSHALL')",
    "as a field": "local t = {}; t.c = redis.call; return t.c('FLUSHALL')",
    "the module in a local": "local r = redis; return r.call('FLUSHALL')",
    "returned by a function": "local function f() return redis.call end; return f()('FLUSHALL')",
    "by a metatable": "local t = setmetatable({}, {__index = redis}); return t.call('FLUSHALL')",
    "assigned again": "local c = tostring; c = redis.call; return c('FLUSHALL')",
    "handed to gsub": "return string.gsub('FLUSHALL', '.*', redis.call)",
    "handed to table.foreach": "return table.foreach({FLUSHALL = 1}, redis.call)",
    "xpcall": "return xpcall(redis.call, redis.call)",
    "name from a table": "local t = {'FLUSHALL'}; return redis.call(t[1])",
    "name from a key": "return redis.call(redis.call('GET', 'kept'))",
    "name from KEYS": "return redis.call(KEYS[1])",
    "all from unpack": "return redis.call(unpack({'FLUSHALL'}))",
    "all from unpack of ARGV": "return redis.call(unpack(ARGV))",
    "hidden writes": "redis.set_repl(redis.REPL_NONE); return redis.call('SET', 'kept', 'no')",
    "past maxmemory": "#!lua flags=allow-oom\nreturn redis.call('SET', 'kept', 'no')",
    "not Lua": "return return",
    "unfinished string": "return redis.call('FLUSHALL",
    "unfinished comment": "--[[ redis.call('FLUSHALL')",
    "NUL": "return 1 --\0",
    "unknown command": "return redis.call('FLUSHEVERYTHING')",
    "a script in a script": "return redis.call('EVAL', \"redis.call('FLUSHALL')\", '0')",
    "a sub nobody knows": "return redis.call('XGROUP', 'EXPLODE')",
    "deep nesting": "return " + "(" * 5000 + "1" + ")" * 5000,
}
HOSTILE = {**NAMED, **UNPROVEN}
RUNS = {
    "EVAL": lambda body: [("EVAL", body, "1", "FLUSHALL", "FLUSHALL")],
    "EVAL_RO": lambda body: [("EVAL_RO", body, "1", "FLUSHALL", "FLUSHALL")],
    "SCRIPT LOAD": lambda body: [("SCRIPT", "LOAD", body)],
    "FUNCTION LOAD": lambda body: [("FUNCTION", "LOAD", "REPLACE", library(body.replace("#!lua\n", "")))],
}


@pytest.mark.parametrize("run", RUNS)
@pytest.mark.parametrize("trick", HOSTILE)
def test_every_trick_is_refused(guarded, store, trick, run):
    store.call("SET kept yes")
    store.call("SET secret:a hidden")
    with guarded.client() as client:
        for command in RUNS[run](HOSTILE[trick]):
            reply = client.call(*command)
            assert reply.code == "NOPERM", reply
            if trick in NAMED:
                assert reply == BY_RULE
            else:
                assert "script refused: " in reply and "line " in reply
        assert client.call("EVALSHA", sha1(HOSTILE[trick]), "0").code in ("NOSCRIPT", "NOPERM")
        assert client.call("FCALL", "lib_f", "0") == "ERR Function not found"
    assert untouched(store)
    assert store.call("FUNCTION", "LIST") == []


def test_what_is_not_sure_when_it_is_loaded_is_refused_when_it_runs(guard, store):
    client = guard()
    body = "local function f(...) return redis.call(...) end; return f('FLUSHALL')"
    assert client.call("EVAL", body, 0) == BY_RULE
    assert client.call("SCRIPT", "LOAD", body).decode() == sha1(body)
    assert client.call("EVALSHA", sha1(body), 0) == BY_RULE
    assert client.call("FUNCTION", "LOAD", library(body)) == b"lib"
    assert client.call("FCALL", "lib_f", 0) == BY_RULE
    assert untouched(store)


HARMLESS = {
    "arithmetic": ("return 1 + 1", 0, (), 2),
    "a string about it": ("return 'redis.call(FLUSHALL)'", 0, (), b"redis.call(FLUSHALL)"),
    "a comment about it": ("--[[ redis.call('FLUSHALL') ]] return 7", 0, (), 7),
    "get": ("return redis.call('GET', KEYS[1])", 1, ("kept",), b"yes"),
    "a local caller": ("local rcall = redis.call; return rcall('GET', KEYS[1])", 1, ("kept",), b"yes"),
    "pcall": ("local ok, v = pcall(redis.call, 'GET', KEYS[1]); return v", 1, ("kept",), b"yes"),
    "json": ("return cjson.encode({cjson.decode(ARGV[1]).a})", 0, ('{"a":1}',), b"[1]"),
    "loop": ("local n = 0; for i, k in ipairs(KEYS) do n = n + redis.call('EXISTS', k) end; return n",
             2, ("kept", "none"), 1),
    "name from ARGV": ("return redis.call(ARGV[1], KEYS[1])", 1, ("kept", "GET"), b"yes"),
    "unpack of keys": ("return redis.call('EXISTS', unpack(KEYS))", 1, ("kept",), 1),
}


@pytest.mark.parametrize("name", HARMLESS)
def test_what_is_harmless_passes(guarded, store, name):
    store.call("SET kept yes")
    body, keys, args, answer = HARMLESS[name]
    with guarded.client() as client:
        assert client.call("EVAL", body, keys, *args) == answer
        assert client.call("EVALSHA", sha1(body), keys, *args) == answer
        assert client.call("EVALSHA", sha1(body).upper(), keys, *args) == answer
        if name != "unpack of keys":
            assert client.call("FUNCTION", "LOAD", "REPLACE", library(body)) == b"lib"
            assert client.call("FCALL", "lib_f", keys, *args) == answer
            assert client.call("FUNCTION", "DELETE", "lib").code == "NOPERM"


def test_names_and_keys_of_arguments_are_judged_with_what_they_are(guard, store):
    client = guard()
    by_name = "return redis.call(ARGV[1], KEYS[1])"
    assert client.call("EVAL", by_name, 1, "kept", "GET") == b"yes"
    assert client.call("EVAL", by_name, 1, "kept", "FlushAll") == BY_RULE
    assert client.call("EVAL", by_name, 1, "kept", "NOSUCH").code == "NOPERM"
    assert client.call("EVAL", by_name, 1, "kept").code == "NOPERM"
    sub = "return redis.call('XGROUP', ARGV[1], KEYS[1], 'g')"
    assert "'XGROUP DESTROY'" in client.call("EVAL", sub, 1, "kept", "DESTROY")
    secret = "NOPERM respgate: 'GET' is denied by rule 'secrets'"
    assert client.call("EVAL", "return redis.call('GET', ARGV[1])", 0, "secret:a") == secret
    assert client.call("EVAL", "return redis.call('GET', ARGV[1])", 0, "kept") == b"yes"
    assert client.call("EVAL", "return redis.call('GET', 'secret:a')", 0) == secret
    assert client.call("EVAL", "return redis.call('GET', KEYS[2])", 2, "kept", "secret:a") == secret
    assert client.call("EVAL", "for _, k in ipairs(ARGV) do redis.call('DEL', k) end", 0, "kept",
                       "secret:a").code == "NOPERM"
    assert client.call("EVAL", "return redis.call('GET', '{respgate}:x')", 0).code == "NOPERM"
    assert untouched(store)


def test_a_subcommand_nobody_knows_is_the_worst_of_all(guard, store):
    client = guard()
    body = "return redis.call('XGROUP', redis.call('GET', KEYS[1]), 'kept', 'g')"
    assert client.call("EVAL", body, 1, "kept").code == "NOPERM"
    assert untouched(store)


def test_select_and_copy_reach_no_other_database_unseen(guard, store):
    client = guard("[rule three]\ncommands = set, copy\ndb = 3\naction = deny\n")
    there = "redis.call('SELECT', 3); return redis.call('SET', KEYS[1], 'x')"
    assert client.call("EVAL", there, 1, "new") == "NOPERM respgate: 'SET' is denied by rule 'three'"
    back = "redis.call('SET', KEYS[1], 'x'); redis.call('SELECT', ARGV[1]); return redis.call('DEL', KEYS[1])"
    assert client.call("EVAL", back, 1, "new", "3").code == "NOPERM", "the order is not followed"
    assert client.call("EVAL", back, 1, "new", "0") == 1
    computed = "redis.call('SELECT', redis.call('STRLEN', KEYS[1])); return redis.call('GET', KEYS[1])"
    assert "a database that is not known" in client.call("EVAL", computed, 1, "kept")
    copy = "return redis.call('COPY', KEYS[1], KEYS[2], string.lower('DB'), '3')"
    assert client.call("EVAL", copy, 2, "kept", "new").code == "NOPERM"
    assert untouched(store)


def test_a_queue_of_delayed_jobs_by_scripts(guard, store):
    """What job libraries do: take what is due off a sorted set, in one step, by EVALSHA."""
    client = guard()
    take = ("local due = redis.call('zrange', KEYS[1], '-inf', ARGV[1], 'byscore', 'limit', 0, 1)\n"
            "if due[1] then\n  redis.call('zrem', KEYS[1], due[1])\n"
            "  redis.call('lpush', KEYS[2], due[1])\n  return due[1]\nend")
    for number in range(3):
        client.call("ZADD", "schedule", number, f"job{number}")
    assert client.call("EVALSHA", sha1(take), 2, "schedule", "queue", "9").code == "NOSCRIPT"
    assert client.call("EVAL", take, 2, "schedule", "queue", "9") == b"job0"
    assert client.call("EVALSHA", sha1(take), 2, "schedule", "queue", "9") == b"job1"
    assert client.pipeline("MULTI", f"EVALSHA {sha1(take)} 2 schedule queue 9", "EXEC")[2] == [b"job2"]
    assert client.call("EVALSHA", sha1(take), 2, "schedule", "queue", "9") is None
    assert client.call("LRANGE queue 0 -1") == [b"job2", b"job1", b"job0"]
    assert client.call("EVALSHA", sha1(take), 2, "schedule", "secret:q", "9").code == "NOPERM"


COMPUTED = "return redis.call('GET', KEYS[1] .. ':a')"


def test_computed_keys_are_refused_where_a_rule_has_keys(guard, store):
    client = guard()
    reply = client.call("EVAL", COMPUTED, 1, "secret")
    assert reply == "NOPERM respgate: script refused: a key of 'get' is computed, and rule 'secrets' is about keys (line 1)"
    assert guard("").call("EVAL", COMPUTED, 1, "secret") == b"hidden"
    other = RULES + "from = 10.0.0.0/8\n"
    assert guard(other).call("EVAL", COMPUTED, 1, "secret") == b"hidden"
    assert guard(RULES + "mode = observe\n").call("EVAL", COMPUTED, 1, "secret") == b"hidden"
    allowed = guard(RULES + "[scripts]\nundeclared-keys = allow\n")
    assert allowed.call("EVAL", COMPUTED, 1, "secret") == b"hidden"
    strict = guard("[scripts]\nundeclared-keys = deny\n")
    assert "undeclared-keys = deny" in strict.call("EVAL", COMPUTED, 1, "secret")
    assert strict.call("EVAL", "return redis.call('GET', KEYS[1])", 1, "kept") == b"yes"


def test_inside_multi(guard, store):
    client = guard()
    client.ok("MULTI")
    assert client.call("EVAL", NAMED["literal"], 0) == BY_RULE
    assert client.call("EXEC") == ABORTED
    client.ok("MULTI")
    assert client.call("EVAL", UNPROVEN["_G"], 0).code == "NOPERM"
    assert client.call("EXEC") == ABORTED
    store.call("SCRIPT", "LOAD", NAMED["long string"])
    client.ok("MULTI")
    assert client.call("EVALSHA", sha1(NAMED["long string"]), 0) == b"QUEUED"
    assert client.call("EVAL", "return redis.call('GET', KEYS[1])", 1, "kept") == b"QUEUED"
    unknown, value = client.call("EXEC")
    assert unknown.code == "NOSCRIPT" and value == b"yes"
    assert untouched(store)


def test_a_stricter_reload_reaches_what_is_queued_and_what_is_loaded(guard, store):
    client = guard("")
    body = "return redis.call('RENAME', KEYS[1], KEYS[2])"
    assert client.call("SCRIPT", "LOAD", body).decode() == sha1(body)
    client.ok("MULTI")
    assert client.call("EVALSHA", sha1(body), 2, "kept", "lost") == b"QUEUED"
    client.gate.reload(extra="[rule r]\ncommands = rename\naction = deny\n")
    assert client.call("EXEC") == ABORTED
    refusal = "NOPERM respgate: 'RENAME' is denied by rule 'r'"
    assert client.call("EVALSHA", sha1(body), 2, "kept", "lost") == refusal
    assert untouched(store)


def test_a_sha_nobody_judged_is_not_there(guard, store):
    client = guard()
    body = "return redis.call('FLUSHALL')"
    store.call("SCRIPT", "LOAD", body)
    harmless = "return 12"
    store.call("SCRIPT", "LOAD", harmless)
    noscript = "NOSCRIPT No matching script. Please use EVAL."
    assert client.call("EVALSHA", sha1(body), 0) == noscript
    assert client.call("EVALSHA", sha1(harmless), 0) == noscript
    assert client.call("SCRIPT", "EXISTS", sha1(body), sha1(harmless), "ff") == [0, 0, 0]
    assert client.call("EVAL", harmless, 0) == 12
    assert client.call("SCRIPT", "EXISTS", sha1(body), sha1(harmless).upper(), "x") == [0, 1, 0]
    assert client.call("EVALSHA", sha1(harmless), 0) == 12
    gate = client.gate
    gate.stop()
    gate.start()
    with gate.client() as again:
        assert again.call("EVALSHA", sha1(harmless), 0) == noscript
        assert again.call("EVAL", harmless, 0) == 12
        assert again.call("EVALSHA", sha1(harmless), 0) == 12
    assert untouched(store)


def test_every_thread_knows_what_one_has_judged(guard, store):
    client = guard(proxy={"threads": 4})
    clients = [client] + [client.gate.client() for _ in range(7)]
    for number, loader in enumerate(clients):
        body = f"return {number}"
        assert loader.call("SCRIPT", "LOAD", body).decode() == sha1(body)
        assert [each.call("EVALSHA", sha1(body), 0) for each in clients] == [number] * 8
    for each in clients[1:]:
        each.close()


def test_functions_of_the_store_are_read_before_they_run(guard, store):
    bad, good = library("return redis.call('FLUSHALL')", "bad"), library("return 3", "good")
    store.call("FUNCTION", "LOAD", bad)
    client = guard(proxy={"threads": 2})
    with client.gate.client() as other:
        assert client.call("FCALL", "bad_f", 0) == BY_RULE
        assert client.call("FCALL_RO", "BAD_F", 0) == BY_RULE
        assert other.call("FCALL", "bad_f", 0) == BY_RULE
        assert client.call("FUNCTION", "LOAD", good) == b"good"
        assert other.call("FCALL", "good_f", 0) == 3
        assert client.call("FCALL", "good_f", 0) == 3
        two = ("#!lua name=two\nredis.register_function('one', function() return 1 end)\n"
               "redis.register_function('all', function() return redis.call('FLUSHALL') end)")
        assert client.call("FUNCTION", "LOAD", two) == BY_RULE
        store.call("FUNCTION", "LOAD", two)
        assert client.call("FUNCTION", "LOAD", "REPLACE", good) == b"good"
        assert client.call("FCALL", "one", 0) == BY_RULE, "its library cannot be told apart"
        dump = store.call("FUNCTION", "DUMP")
        assert client.call("FUNCTION", "RESTORE", dump, "REPLACE").code == "NOPERM"
    assert untouched(store)


def test_a_library_replaced_by_a_worse_one_is_judged_anew(guard, store):
    """One user may do what another may not: the function is judged for who calls it."""
    client = guard("[user boss]\npassword-sha256 = " + hashlib.sha256(b"b").hexdigest() +
                   "\n[user app]\npassword-sha256 = " + hashlib.sha256(b"a").hexdigest() +
                   "\n[rule boss]\nusers = boss\naction = allow\n" + RULES)
    client.ok("AUTH", "app", "a")
    with client.gate.client() as boss:
        boss.ok("AUTH", "boss", "b")
        assert boss.call("FUNCTION", "LOAD", library("return 5")) == b"lib"
        assert client.call("FCALL", "lib_f", 0) == 5
        worse = library("return redis.call('FLUSHALL')")
        assert boss.call("FUNCTION", "LOAD", "REPLACE", worse) == b"lib"
        assert client.call("FCALL", "lib_f", 0) == BY_RULE
        boss.ok("MULTI")
        boss.call("FUNCTION", "LOAD", "REPLACE", library("return 6"))
        boss.call("EXEC")
        assert client.call("FCALL", "lib_f", 0) == 6
        client.ok("MULTI")
        assert client.call("FCALL", "lib_f", 0) == b"QUEUED"
        assert boss.call("FUNCTION", "LOAD", "REPLACE", worse) == b"lib"
        assert client.call("EXEC") == ABORTED
    assert untouched(store)


def test_a_script_is_of_the_classes_its_calls_are_of(guard, store):
    reader = "[rule read]\ncommands = @read, @connection\naction = allow\n[rule rest]\ncommands = *\naction = deny\n"
    client = guard(reader)
    assert client.call("EVAL", "return redis.call('GET', KEYS[1])", 1, "kept") == b"yes"
    mixed = "redis.call('GET', KEYS[1]); return redis.call('SET', KEYS[1], 'no')"
    assert client.call("EVAL", mixed, 1, "kept") == "NOPERM respgate: 'SET' is denied by rule 'rest'"
    growth = guard("[rule no-growth]\ncommands = @growth\naction = deny\n")
    assert growth.call("EVAL", "return redis.call('DEL', KEYS[1])", 1, "none") == 0
    assert growth.call("EVAL", mixed, 1, "kept").code == "NOPERM"
    limited = guard("[rule deletes]\ncommands = @delete\naction = limit\nrate = 1/h\nburst = 1\n")
    delete = "return redis.call('DEL', KEYS[1])"
    assert limited.call("EVAL", delete, 1, "none") == 0
    assert limited.call("EVAL", delete, 1, "none").code == "THROTTLED"
    assert limited.call("EVAL", "return redis.call('GET', KEYS[1])", 1, "kept") == b"yes"
    assert untouched(store)


def test_modes(guard, store, tmp_path):
    flush, harmless = "return redis.call('PING', 'pong')", "return 1"
    trusted = tmp_path / "trusted.lua"
    trusted.write_text("return loadstring('return 9')()")
    trusted.chmod(0o600)
    scripts = "[scripts]\nmode = "
    deny = guard(scripts + "deny\n")
    for command in (("EVAL", harmless, 0), ("EVALSHA", sha1(harmless), 0), ("SCRIPT", "LOAD", harmless),
                    ("FUNCTION", "LOAD", library(harmless)), ("FCALL", "f", 0)):
        assert deny.call(*command).code == "NOPERM", command
    allow = guard(scripts + "allow\n")
    assert allow.call("EVAL", UNPROVEN["loadstring"].replace("FLUSHALL", "PING"), 0) == b"PONG"
    listed = guard(scripts + f"allowlist\nallow-files = {tmp_path}/*.lua\nallow-sha1 = {sha1(flush)}\n")
    assert listed.call("EVAL", trusted.read_text(), 0) == 9
    assert listed.call("EVAL", flush, 0) == b"pong"
    assert listed.call("EVALSHA", sha1(flush), 0) == b"pong"
    assert "neither allow-files nor" in listed.call("EVAL", harmless, 0)
    inspect = guard(RULES + f"[scripts]\nallow-files = {trusted}\n")
    assert inspect.call("EVAL", trusted.read_text(), 0) == 9
    assert inspect.call("EVAL", trusted.read_text() + " ", 0).code == "NOPERM"
    assert untouched(store)


def test_mode_acl_runs_scripts_as_a_user_of_their_own(guard, store, tmp_path):
    secret = tmp_path / "password"
    secret.write_text("pw\n")
    secret.chmod(0o600)
    store.call("ACL", "SETUSER", "lua", "on", ">pw", "~*", "+@all", "-flushall")
    client = guard(f"[scripts]\nmode = acl\nusername = lua\npassword-file = {secret}\n")
    assert client.call("EVAL", "return redis.call('ACL', 'WHOAMI')", 0).code == "ERR"
    assert client.call("EVAL", "return redis.call('flush' .. 'all')", 0).code in ("ERR", "NOPERM")
    client.ok("SET mine 1")
    assert client.call("EVAL", "return redis.call('flush' .. 'db', 'nonsense')", 0).code == "ERR"
    replies = client.pipeline("SET mine 2", "EVAL return(redis.call('GET','mine')) 0", "DEL mine")
    assert replies == [b"OK", b"2", 1]
    client.ok("MULTI")
    assert "not inside MULTI" in client.call("EVAL", "return 1", 0)
    assert client.call("EXEC") == ABORTED
    client.ok("WATCH kept")
    assert client.call("EVAL", "return redis.call('FLUSHALL')", 0).code in ("ERR", "NOPERM")
    assert "user=lua" in store.call("CLIENT", "LIST").decode()
    store.call("ACL", "DELUSER", "lua")
    assert untouched(store)


def test_mode_acl_lends_its_user_to_nobody_the_store_would_not_let_in(start_redis, start_gate, tmp_path):
    secret = tmp_path / "password"
    secret.write_text("pw\n")
    secret.chmod(0o600)
    store = start_redis(requirepass="geheim", user=("lua", "on", ">pw", "~*", "+@all"))
    gate = start_gate(store, extra=f"[scripts]\nmode = acl\nusername = lua\npassword-file = {secret}\n")
    for hello in (None, "HELLO 3"):
        with gate.client() as client:
            if hello:
                client.call(hello)
            assert client.call("EVAL", "return redis.call('SET', 'k', 'v')", 0).code == "NOAUTH"
            client.ok("AUTH geheim")
            assert client.call("EVAL", "return 1", 0) == 1
    with store.client() as direct:
        direct.ok("AUTH geheim")
        assert direct.call("EXISTS k") == 0


def test_observe_lets_through_and_says_so(guard, store):
    client = guard(RULES, proxy={"observe": "yes"})
    assert client.call("EVAL", "return redis.call('STRLEN', 'se' .. 'cret:a')", 0) == 6
    assert client.call("EVAL", "return tostring(loadstring ~= nil)", 0) == b"true"
    client.gate.wait_log("observe: 'eval' would be refused: the global 'loadstring'")
    assert client.call("EVAL", "return redis.call('GET', 'secret:a')", 0) == b"hidden"
    client.gate.wait_log("observe: rule 'secrets' would refuse 'get'")
    assert client.call("EVALSHA", sha1("return 'new'"), 0).code == "NOSCRIPT"


def test_large_and_many_bodies(guard, store):
    client = guard(RULES + "[scripts]\nmax-scripts = 3\nmax-script-size = 1kb\n")
    assert "more than max-script-size (1024)" in client.call("EVAL", "return 1 --" + "x" * 1024, 0)
    assert client.call("EVAL", b"return 1 --" + b"[" * (10 << 20), 0).code == "NOPERM"
    bodies = [f"return {n}" for n in range(4)]
    for number, body in enumerate(bodies):
        assert client.call("EVAL", body, 0) == number
    assert client.call("EVALSHA", sha1(bodies[0]), 0).code == "NOSCRIPT", "forgotten"
    assert client.call("EVALSHA", sha1(bodies[3]), 0) == 3


def test_a_script_that_runs_too_long_is_killed(guard, store):
    client = guard("[scripts]\nkill = yes\n", backend={"request-timeout": "300ms"})
    client.ok("CLIENT SETNAME endless")
    assert client.call("EVAL", "return 1", 0) == 1
    wait_until(lambda: store.call("CLIENT", "LIST").count(b"\n") > 2, "the link that kills")
    reply = client.call("EVAL", "while true do end", 0)
    assert "killed by user" in reply, reply
    client.gate.wait_log(r"\[client=\d+ .*'eval' has run for \d+ ms, longer than request-timeout: SCRIPT KILL")
    assert client.call("FUNCTION", "LOAD", library("while true do end")) == b"lib"
    assert "killed by user" in client.call("FCALL", "lib_f", 0)
    assert store.call("GET kept") == b"yes"


def test_a_computed_channel_may_be_a_reserved_one(guard, store):
    client = guard("")
    with store.client() as listener:
        assert listener.call("PSUBSCRIBE __key*") == [b"psubscribe", b"__key*", 1]
        for verb in "PUBLISH", "SPUBLISH":
            reply = client.call("EVAL", f"return redis.call('{verb}', '__key' .. 'event@0__:del', 'kept')", 0)
            assert reply == (f"NOPERM respgate: script refused: the channel of '{verb.lower()}' is computed, "
                             "and some are reserved (line 1)")
            by_name = f"return redis.call('{verb}', ARGV[1], 'kept')"
            assert "'reserved-channels'" in client.call("EVAL", by_name, 0, "__keyevent@0__:del")
            assert client.call("EVAL", by_name, 0, "news") == 0
        store.call("PUBLISH __key_end m")
        assert listener.read() == [b"pmessage", b"__key*", b"__key_end", b"m"]


READS = library("return redis.call('GET', ARGV[1])")
ECHOES = library("return ARGV[1]")


def test_a_function_is_not_changed_and_called_in_one_transaction(guard, store):
    client = guard()
    assert client.call("FUNCTION", "LOAD", ECHOES) == b"lib"
    call = ("FCALL", "lib_f", "0", "secret:a")
    assert client.call(*call) == b"secret:a"
    replies = client.pipeline("MULTI", ("FUNCTION", "LOAD", "REPLACE", READS), call, "EXEC")
    assert "script refused: this transaction changes functions" in replies[2] and replies[3] == ABORTED
    assert client.pipeline("MULTI", ("FUNCTION", "LOAD", "REPLACE", READS), "EXEC")[2] == [b"lib"]
    assert client.call(*call) == "NOPERM respgate: 'GET' is denied by rule 'secrets'"


def test_a_call_that_waits_is_judged_by_the_function_of_then(guard, store):
    client = guard()
    with client.gate.client() as other:
        assert other.call("FUNCTION", "LOAD", ECHOES) == b"lib"
        call = ("FCALL", "lib_f", "0", "secret:a")
        assert client.call(*call) == b"secret:a"
        client.send(encode("BLPOP", "list", "20") + encode(*call))
        wait_until(lambda: b"cmd=blpop" in store.call("CLIENT LIST"), "the list to be waited for")
        assert other.call("FUNCTION", "LOAD", "REPLACE", READS) == b"lib"
        assert other.call("RPUSH list x") == 1
        assert client.read() == [b"list", b"x"]
        assert client.read() == "NOPERM respgate: 'GET' is denied by rule 'secrets'"
