"""No rule can be walked around: every type of rule meets every form a command can arrive in.

Each case asserts the refusal, word for word, that the store has not run the command (its own count
of calls), and that not a byte in it differs (its own digest of all databases).
"""
import hashlib
import re

import pytest

from harness.servers import Gate
from harness.wire import Error, encode, to_bytes

RULES = """
[rule secrets]
keys = secret:*
action = deny
[rule part]
keys = part:*, !part:open:*
action = deny
[rule three]
commands = set, copy, move
db = 3
action = deny
[rule mallory]
commands = incr
users = mallory
action = deny
[rule near]
keys = near:*
from = 10.0.0.0/8, 127.0.0.0/8
action = deny
[rule far]
keys = far:*
from = 10.0.0.0/8, unix, 2001:db8::/32
action = deny
[rule many-keys]
commands = del, mget
keys = mk:*
min-keys = 4
action = deny
[rule many-bytes]
keys = mb:*
min-bytes = 1kb
action = deny
[rule many-args]
keys = ma:*
min-args = 6
action = deny
[rule unbounded]
keys = ub:*
unbounded = yes
min-elements = 5
action = deny
[rule without-ttl]
keys = wt:*
without-ttl = yes
action = deny
[rule max-ttl]
keys = mt:*
max-ttl = 1h
action = deny
[rule asked]
keys = cf:*
action = confirm
[rule private]
channels = private:*
action = deny
[rule deletes]
commands = @delete
keys = keep:*
action = deny
[rule no-flush]
commands = flushall, flushdb, swapdb
action = deny
[rule sub]
commands = xgroup|destroy
action = deny
[rule snoop]
commands = @snoop
action = deny
[rule destructive]
commands = @destructive
action = deny
[rule limited]
commands = getset
keys = lim:*
action = limit
rate = 1/h
burst = 1
per = rule
[rule delayed]
commands = @write
keys = slow:*
action = delay
rate = 1/h
burst = 1
delay-max = 10ms
per = rule
[rule ttl]
commands = set
keys = rw:*
action = rewrite
add = EX 60
"""
PRESSED = """
[pressure]
memory-limit = 40mb
high = 2%
resume = 1%
critical = 100%
poll = 100ms

[rule pressed]
keys = wh:*
when = high
action = deny
"""
WHITE = """
[rule plumbing]
commands = @connection, @transaction, @scripting
action = allow
[rule mine]
keys = t1:*
action = allow
[rule rest]
commands = *
action = deny
"""
SEED = """SET open v|SET secret:a v|SET part:a v|SET part:open:a v|SET near:a v|SET far:a v|SET n 1
    MSET mk:a 1 mk:b 2 mk:c 3 mk:d 4|SET mb:a v|SET keep:a v|SET cf:a v|SET wh:a v|SET t1:a v
    SET t2:a v|RPUSH ub:l 1 2 3 4 5 6 7|RPUSH l 1 2|SADD s m|XADD st 1-1 f v|XGROUP CREATE st g 0
    XADD secret:s 1-1 f v|GEOADD geo 1 1 m|SET lim:a v|SET slow:a v|SET rw:a v"""


def lines(text):
    return [line.strip() for row in text.split("\n") for line in row.split("|") if line.strip()]


# The rule, a command it refuses, one beside it that it lets through, and what comes before both.
ROWS = [
    ("no-flush", "FLUSHALL", "PING"),
    ("no-flush", "FLUSHDB ASYNC", "DBSIZE"),
    ("no-flush", "SWAPDB 0 5", "ECHO x"),
    ("sub", "XGROUP DESTROY st g", "XGROUP CREATE st g2 $"),
    ("destructive", "XSETID st 9-9", "XADD st2 * f v"),
    ("destructive", "CONFIG SET maxmemory 1", "CONFIG GET maxmemory"),
    ("destructive", "SLOWLOG RESET", "SLOWLOG LEN"),
    ("snoop", "ACL LIST", "ACL WHOAMI"),
    ("snoop", "CONFIG GET require*", "CONFIG GET timeout"),
    ("deletes", "EXPIRE keep:a 0", "EXPIRE keep:a 1000"),
    ("deletes", "GETDEL keep:a", "GET keep:a"),
    ("deletes", "RENAME keep:a other", "SETRANGE keep:a 0 v"),
    ("deletes", "SINTERSTORE keep:a none", "SINTERCARD 1 keep:x"),
    ("secrets", "GET secret:a", "GET open"),
    ("secrets", "RENAME open secret:b", "COPY open open2"),
    ("part", "DEL part:open:a part:a", "EXISTS part:open:a part:open:b"),
    ("private", "PUBLISH private:x m", "PUBLISH public:x m"),
    ("three", "SET x v", "GET x", "SELECT 3"),
    ("three", "COPY open open DB 3", "COPY open open4"),
    ("three", "MOVE open 3", "COPY none open5 DB 4"),
    ("mallory", "INCR n", "DECR n", "AUTH mallory pw"),
    ("near", "SET near:a x", "SET nearby x"),
    ("many-keys", "DEL mk:a mk:b mk:c mk:d", "MGET mk:a mk:b mk:c"),
    ("many-bytes", "SETRANGE mb:a 536870000 x", "SETRANGE mb:a 0 x"),
    ("many-bytes", "SETBIT mb:a 4294967295 1", "SETBIT mb:b 7 1"),
    ("many-bytes", "BITFIELD mb:a SET u8 #99999 1", "BITFIELD mb:a GET u8 #99999"),
    ("many-args", "RPUSH ma:l 1 2 3 4 5 6", "RPUSH ma:l 1 2"),
    ("unbounded", "LRANGE ub:l 0 -1", "LRANGE ub:l 0 3"),
    ("unbounded", "SRANDMEMBER ub:s -3000000", "SRANDMEMBER ub:s 2"),
    ("without-ttl", "SET wt:a v", "SET wt:a v EX 9"),
    ("without-ttl", "MSET open v wt:b v", "SETEX wt:b 9 v"),
    ("max-ttl", "SET mt:a v EX 1 EX 86400", "SET mt:a v EX 60"),
    ("max-ttl", "EXPIREAT mt:a 99999999999", "PERSIST mt:a"),
    ("pressed", "APPEND wh:a x", "APPEND what x"),
    ("asked", "GETDEL cf:a", "GET cf"),
    ("limited", "GETSET lim:a x", "GET lim:a"),
    ("delayed", "APPEND slow:a x", "GET slow:a"),
    ("rest", "SET t2:a x", "SET t1:a v"),
    ("rest", "RENAME t2:a t1:b", "RENAME t1:a t1:a"),
    ("rest", "FLUSHALL", "GET t1:a"),
]
SECOND_KEYS = lines("""RENAMENX open secret:b|COPY open secret:b|COPY secret:a open2 REPLACE
    SORT l STORE secret:b|SORT l BY secret:*|SORT l GET # GET secret:*|SORT l LIMIT 0 1 STORE x STORE secret:b
    GEORADIUS geo 1 1 1 m STORE secret:b|GEORADIUS geo 1 1 1 m STOREDIST secret:b STORE x
    GEORADIUSBYMEMBER geo m 1 m COUNT 1 STOREDIST secret:b|GEOSEARCHSTORE secret:b geo FROMMEMBER m BYRADIUS 1 m
    LMOVE l secret:b LEFT RIGHT|RPOPLPUSH l secret:b|BLMOVE l secret:b LEFT LEFT 1|BRPOPLPUSH l secret:b 1
    BITOP AND secret:b open|BITOP NOT x secret:a|SMOVE s secret:b m|SINTERSTORE secret:b s s
    SUNIONSTORE x s secret:s|SDIFFSTORE x s secret:s|ZUNIONSTORE x 2 geo secret:z|ZINTERSTORE secret:b 1 geo
    ZRANGESTORE secret:b geo 0 -1|ZDIFF 2 geo secret:z|SINTERCARD 2 s secret:s|LMPOP 2 none secret:l LEFT
    ZMPOP 2 none secret:z MIN|BLMPOP 1 2 none secret:l LEFT|BZMPOP 1 2 none secret:z MIN|BLPOP none secret:l 1
    BZPOPMIN none secret:z 1|PFMERGE x secret:h|PFCOUNT none secret:h|MSET x v secret:b v|MSETNX x v secret:b v
    MGET open secret:a|DEL none secret:a|UNLINK none secret:a|EXISTS open secret:a|TOUCH open secret:a
    LCS open secret:a|OBJECT ENCODING secret:a|MEMORY USAGE secret:a SAMPLES 0|XINFO STREAM secret:s FULL
    XGROUP CREATE secret:b g $ MKSTREAM|XREAD STREAMS st secret:s 0 0|XREAD COUNT 1 BLOCK 1 STREAMS st secret:s 0 0
    XREADGROUP GROUP streams c STREAMS st secret:s > >|XREADGROUP GROUP g STREAMS STREAMS secret:s >
    MIGRATE 127.0.0.1 1 secret:a 0 10|RESTORE secret:b 0 x|DUMP secret:a|SUBSTR secret:a 0 1
    SCAN 0 MATCH secret:*|SCAN 0|SCAN 0 TYPE match MATCH *
    KEYS *|KEYS s?cret*|RANDOMKEY|DEBUG OBJECT secret:a|DEBUG POPULATE 2 secret|WATCH open secret:a
    CLIENT TRACKING ON BCAST PREFIX sec|CLUSTER GETKEYSINSLOT 1 1""")
BLANKS = [("EVAL", "return 1", "1", "secret:a"), ("EVAL", "return 1", "2", "open", "secret:a"),
          ("EVAL_RO", "return 1", "1", "secret:a"), ("EVALSHA", "0" * 40, "1", "secret:a"),
          ("FCALL", "none", "1", "secret:a"), ("FCALL_RO", "none", "2", "a", "secret:a"),
          ("MIGRATE", "127.0.0.1", "1", "", "0", "10", "KEYS", "open", "secret:a"),
          ("MIGRATE", "127.0.0.1", "1", "", "0", "10", "AUTH", "keys", "KEYS", "open", "secret:a")]


# ---- forms ----

def mixed(word):
    return "".join(c.upper() if i % 2 else c.lower() for i, c in enumerate(word))


def escaped(args):
    """Inline, every byte of every argument as \\xNN."""
    return b" ".join(b'"%s"' % b"".join(b"\\x%02x" % byte for byte in to_bytes(arg))
                     for arg in args) + b"\r\n"


def behind(*before):
    def form(client, args):
        for line in before:
            client.call(line)
        return client.call(*args)
    return form


def in_one_packet(before, after=()):
    def form(client, args):
        return client.pipeline(*before, tuple(args), *after)[len(before)]
    return form


def in_multi(*before):
    def form(client, args):
        replies = client.pipeline(*before, "MULTI", "ECHO 1", tuple(args), "ECHO 2", "EXEC")
        assert replies[-1] == "EXECABORT Transaction discarded because of previous errors."
        return replies[-3]
    return form


def sent(transform):
    def form(client, args):
        client.send(transform(args))
        return client.read()
    return form


def byte_by_byte(client, args):
    data = encode(*args)
    client.send_pieces(data, range(len(data)))
    return client.read()


def with_replies_off(client, args):
    client.send(encode("CLIENT", "REPLY", "OFF") + encode(*args) + encode("CLIENT", "REPLY", "ON"))
    assert client.read() == b"OK"
    return None


def with_a_reply_skipped(client, args):
    client.send(encode("CLIENT", "REPLY", "SKIP") + encode(*args))
    client.silent()
    return None


def lua(args):
    return ", ".join("'%s'" % arg for arg in args)


SCRIPTS = {
    "literal": lambda args: (f"return redis.call({lua(args)})", []),
    "pcall": lambda args: (f"return pcall(redis.pcall, {lua(args)})", []),
    "alias": lambda args: (f"local c = redis.call; return c({lua(args)})", []),
    "never": lambda args: (f"if ARGV[1] then return redis.call({lua(args)}) end", []),
    "by ARGV": lambda args: ("return redis.call(%s)" % ", ".join(
        f"ARGV[{i + 1}]" for i in range(len(args))), list(args)),
}


def eval_form(kind, command="EVAL"):
    def form(client, args):
        body, argv = SCRIPTS[kind](args)
        return client.call(command, body, 0, *argv)
    return form


def loaded(client, args):
    """A body that passes SCRIPT LOAD, where its keys are not judged yet, is refused at EVALSHA."""
    body, argv = SCRIPTS["literal"](args)
    reply = client.call("SCRIPT", "LOAD", body)
    sha = hashlib.sha1(body.encode()).hexdigest()
    run = client.call("EVALSHA", sha, 0, *argv)
    if isinstance(reply, Error):
        assert run.code in ("NOSCRIPT", "NOPERM", "THROTTLED")
        return reply
    return run


def function(client, args):
    code = ("#!lua name=bypass\nredis.register_function('bypass', function(KEYS, ARGV)\n"
            f"return redis.call({lua(args)})\nend)")
    reply = client.call("FUNCTION", "LOAD", "REPLACE", code)
    run = client.call("FCALL", "bypass", 0)
    return reply if isinstance(reply, Error) else run


FORMS = {
    "upper": lambda client, args: client.call(*args),
    "lower": lambda client, args: client.call(args[0].lower(), *args[1:]),
    "mixed": lambda client, args: client.call(mixed(args[0]), *args[1:]),
    "inline": sent(lambda args: " ".join(args).encode() + b"\r\n"),
    "inline blanks": sent(lambda args: b"  " + "\t ".join(args).encode() + b"  \n"),
    "inline quotes": sent(lambda args: " ".join(f"'{arg}'" for arg in args).encode() + b"\r\n"),
    "inline escapes": sent(escaped),
    "pipelined": in_one_packet(["ECHO 1", "PING"], ["ECHO 2"]),
    "behind HELLO 3 in one packet": in_one_packet(["HELLO 3"]),
    "MULTI": in_multi(),
    "WATCH and MULTI": in_multi("WATCH none"),
    "after DISCARD": behind("MULTI", "DISCARD"),
    "after HELLO 2": behind("HELLO 2"),
    "after HELLO 3": behind("HELLO 3"),
    "byte by byte": byte_by_byte,
    "replies off": with_replies_off,
    "reply skipped": with_a_reply_skipped,
    "EVAL literal": eval_form("literal"),
    "EVAL pcall": eval_form("pcall"),
    "EVAL alias": eval_form("alias"),
    "EVAL by ARGV": eval_form("by ARGV"),
    "EVAL behind an if": eval_form("never"),
    "EVAL_RO": eval_form("literal", "EVAL_RO"),
    "SCRIPT LOAD": loaded,
    "FUNCTION LOAD": function,
}
ELSEWHERE = {  # not for rules about where and who
    "another db": behind("SELECT 1"),
    "another user": behind("AUTH bob pw"),
    "HELLO AUTH": behind("HELLO 3 AUTH bob pw SETNAME x"),
    "after RESET": behind("RESET"),
}


# ---- the store and two gates ----

def said(rule, args):
    """What is answered, as a regular expression."""
    words = 2 if args[0].upper() in ("XGROUP", "CONFIG", "SLOWLOG", "ACL", "OBJECT", "MEMORY", "XINFO",
                                     "CLIENT", "CLUSTER") else 1
    name = " ".join(args[:words]).upper()
    if rule in ("limited", "delayed"):
        return rf"THROTTLED respgate: rule '{rule}', retry after \d+ ms$"
    if rule == "asked":
        return (rf"NOPERM respgate: '{name}' needs confirmation \(rule 'asked'\): "
                r"(RESPGATE CONFIRM \w{10}|not inside MULTI)$")
    return rf"NOPERM respgate: '{name}' is denied by rule '{rule}'$"


class Field:
    """A store with something in it, and gates before it."""

    def __init__(self, store, keeper):
        self.direct = store.client()
        for user in ("mallory", "bob"):
            self.direct.ok("ACL", "SETUSER", user, "on", ">pw", "~*", "&*", "+@all")
        for line in lines(SEED):
            assert not isinstance(self.direct.call(line), Error), line
        for line in "SELECT 1", "RPUSH ub:l 1 2 3 4 5 6 7", "SELECT 0":
            self.direct.call(line)
        gate = keeper.add(Gate(keeper.folder("gate"), store, extra=RULES))
        white = keeper.add(Gate(keeper.folder("white"), store, extra=WHITE))
        pressed = keeper.add(Gate(keeper.folder("pressed"), store, extra=PRESSED))
        self.gates = {"rest": white, "pressed": pressed}
        self.gate = gate
        pressed.wait_log("memory pressure is high", timeout=10)
        with gate.client() as client:  # the bursts
            client.call("GETSET lim:b x")
            client.call("APPEND slow:b x")

    def client(self, rule="", before=()):
        client = self.gates.get(rule, self.gate).client()
        for line in before:
            assert client.call(line) == b"OK", line
        return client

    def calls(self, args):
        """How often the store has run it; and all that is in the store."""
        stats = self.direct.call("INFO", "commandstats").decode().lower()
        names = [args[0].lower(), "|".join(args[:2]).lower()]
        names = [name for name in names if name != "debug"]  # asked below
        counts = [re.search(rf"cmdstat_{re.escape(name)}:calls=(\d+)", stats) for name in names]
        groups = self.direct.call("XINFO", "GROUPS", "st")
        return ([int(hit.group(1)) for hit in counts if hit], self.direct.call("DEBUG", "DIGEST"),
                [group[1] for group in groups], self.direct.call("DBSIZE"))


@pytest.fixture(scope="module")
def field(module_store, module_keeper, request):
    if request.config.getoption("--direct"):
        pytest.skip("needs respgate")
    field = Field(module_store, module_keeper)
    yield field
    field.direct.close()


def refused(field, rule, args, form, before=()):
    was = field.calls(args)
    with field.client(rule, before) as client:
        reply = form(client, args)
        assert client.call("ECHO", "in step") == b"in step"
    assert reply is None or re.match(said(rule, args), str(reply)), reply
    assert field.calls(args) == was


# ---- tests ----

def cases():
    for rule, line, _, *before in ROWS:
        for form in [*FORMS, *([] if before else ELSEWHERE)]:
            yield pytest.param(rule, line, form, before, id=f"{rule}-{line}-{form}")


@pytest.mark.parametrize("rule, line, form, before", cases())
def test_every_rule_in_every_form(field, rule, line, form, before):
    refused(field, rule, line.split(), {**FORMS, **ELSEWHERE}[form], before)


@pytest.mark.parametrize("rule, line, neighbour, before",
                         [(row[0], row[1], row[2], row[3:]) for row in ROWS])
def test_the_harmless_neighbour_passes(field, rule, line, neighbour, before):
    with field.client(rule, before) as client, field.client(rule, before) as script:
        assert not isinstance(client.call(neighbour), Error)
        assert client.call("EVAL", "return 1", 0) == 1
        if neighbour.split()[0] in ("GET", "SET", "MGET", "EXISTS", "SETRANGE", "LRANGE"):
            reply = script.call("EVAL", f"return redis.call({lua(neighbour.split())})", 0)
            assert not isinstance(reply, Error), reply


@pytest.mark.parametrize("args", [tuple(line.split()) for line in SECOND_KEYS] + BLANKS,
                         ids=lambda args: " ".join(args)[:60])
def test_a_key_in_any_place(field, args):
    refused(field, "secrets", args, FORMS["upper"])
    if args[0] != "WATCH":
        refused(field, "secrets", args, FORMS["MULTI"])
    refused(field, "secrets", args, FORMS["after HELLO 3"])


COMPUTED = {
    "name": "return redis.call('{0}' .. '{1}'{2})",
    "reversed": "return redis.call(('{3}'):reverse(){2})",
    "in a table": "local t = {{'{0}{1}'}}; return redis.call(t[1]{2})",
    "by unpack": "return redis.call(unpack(ARGV))",
    "by a global": "for k, v in pairs(_G) do if k == 'redis' then v.call('{0}{1}'{2}) end end",
    "loaded": "return loadstring('return 1')()",
}


@pytest.mark.parametrize("how", COMPUTED)
@pytest.mark.parametrize("line", ["FLUSHALL", "GET secret:a", "EXPIRE keep:a 0", "SET t2:a x"])
def test_what_a_script_computes_is_refused(field, line, how):
    args = line.split()
    name, rest = args[0], "".join(f", '{arg}'" for arg in args[1:])
    body = COMPUTED[how].format(name[:2], name[2:], rest, name[::-1])
    for rule in ("", "rest"):
        was = field.calls(args)
        with field.client(rule) as client:
            for command in (["EVAL", body, "0", *args], ["SCRIPT", "LOAD", body]):
                reply = client.call(*command)
                assert reply.code == "NOPERM" and "script refused: " in reply, reply
        assert field.calls(args) == was


@pytest.mark.parametrize("form", [form for form in FORMS if not re.search("EVAL|LOAD|off|skip|MULTI", form)])
def test_what_is_rewritten_is_rewritten_in_every_form(field, form):
    with field.client() as client:
        assert FORMS[form](client, ["SET", "rw:a", "v"]) == b"OK"
    assert 0 < field.direct.call("TTL rw:a") <= 60
    field.direct.call("PERSIST rw:a")


@pytest.mark.parametrize("before", [[], ["WATCH none"]])
def test_what_is_rewritten_is_rewritten_in_a_transaction(field, before):
    with field.client() as client:
        assert client.pipeline(*before, "MULTI", "SET rw:a v", "EXEC")[-1] == [b"OK"]
    assert 0 < field.direct.call("TTL rw:a") <= 60
    field.direct.call("PERSIST rw:a")


NO_COMMANDS = [(b"FLUSHALL\0",), (b"\0FLUSHALL",), (b" FLUSHALL",), (b"FLUSHALL ",), (b"",), (b"\r\nFLUSHALL",),
               (b"FLUSHALL\xff",), ("CONFIG", "SET\0", "maxmemory", "1"), ("XGROUP", "", "st", "g"),
               ("XGROUP", "DESTROY ", "st", "g"), ("config|set", "maxmemory", "1"), ("CONFIG",)]


@pytest.mark.parametrize("args", NO_COMMANDS, ids=repr)
def test_what_only_looks_like_a_command_is_none(field, args):
    was = field.calls(["FLUSHALL"])
    with field.client() as client:
        assert client.call(*args).code == "ERR"
        assert client.call("ECHO", "in step") == b"in step"
    assert field.calls(["FLUSHALL"]) == was


STRANGE = ["ZUNIONSTORE x 99999999999 secret:a", "ZUNIONSTORE x -1 secret:a", "EVAL x 9223372036854775808 secret:a",
           "LMPOP 0 secret:a LEFT", "LMPOP 2147483648 secret:a LEFT", "XREAD STREAMS secret:a", "SORT",
           "SORT secret:a BY", "GEORADIUS geo 1 1 1 m STORE", "SET wt:a v EX", "SET wt:a v EX -1",
           "SET wt:a v EX 10 KEEPTTL", "SET wt:a v EX 99999999999999999999", "SET mt:a v KEEPTTL EX 99999",
           "SETRANGE mb:a -1 x", "SETBIT mb:a 99999999999999999999 1", "BITFIELD mb:a SET i65 0 1",
           "LRANGE ub:l 0 x", "LRANGE ub:l -9223372036854775808 9223372036854775807",
           "EXPIRE keep:a x", "EXPIRE keep:a -9223372036854775808", "COPY open open DB x", "MOVE open x",
           "RENAME open", "GETSET lim:a", "XTRIM keep:a MAXLEN", "LPOP keep:a 99999999999999999999"]


@pytest.mark.parametrize("line", STRANGE)
def test_what_makes_no_sense_changes_nothing(field, line):
    args = line.split()
    was = field.calls(args)[1:]
    for form in ("upper", "EVAL literal"):
        with field.client() as client:
            assert isinstance(FORMS[form](client, args), Error)
            assert client.call("ECHO", "in step") == b"in step"
    assert field.calls(args)[1:] == was
