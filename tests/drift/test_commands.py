"""test_commands.py - the command table and what is derived from it, against a live redis-server.

The server is the oracle: COMMAND for the rows, COMMAND GETKEYSANDFLAGS for keys, and commands that
are run for the classes that depend on arguments.
"""
import json
import os
import pathlib
import random
import subprocess
import sys

import pytest
import redis

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = ROOT / os.environ.get("RESPGATE_BUILD", "build")
DUMP = BUILD / "tests/unit/command/command_dump"
sys.path.insert(0, str(ROOT / "src/command"))
import generate  # noqa: E402

CATEGORIES = """keyspace read write set sortedset list hash string bitmap hyperloglog geo stream
    pubsub admin fast slow blocking dangerous connection transaction scripting""".split()


def dump(mode, data=b""):
    done = subprocess.run([DUMP, mode], input=data, stdout=subprocess.PIPE, check=True)
    return [json.loads(line) for line in done.stdout.splitlines()]


def each(text):
    """Requests, between bars or lines."""
    return [line.strip() for line in text.replace("\n", "|").split("|")]


def encode(arg):
    return arg if isinstance(arg, bytes) else str(arg).encode()


def ask(requests):
    """What the command layer says of each request (a list of arguments)."""
    lines = [" ".join(encode(arg).hex() or "-" for arg in request) for request in requests]
    return dump("ask", "".join(line + "\n" for line in lines).encode())


@pytest.fixture(scope="module")
def server():
    with generate.live_server() as connection:
        yield connection


@pytest.fixture(scope="module")
def rows():
    return {row["name"]: row for row in dump("table")}


@pytest.fixture(scope="module")
def live(server):
    flat = {}
    for row in generate.read_commands(server):
        for part in [row] + row["subcommands"]:
            flat[part["name"]] = dict(part, parent="" if part is row else row["name"])
    return flat


def call(server, *args):
    try:
        return generate.call(server, *args)
    except redis.ResponseError as error:
        return error


# ---- rows --------------------------------------------------------------------------------------

def spec_row(spec):
    flags, begin, at, find, how = spec
    row = [sorted(flags), begin, at.get("index", at.get("startfrom", 0)),
           at.get("keyword", "").lower(), find]
    if find == "range":
        row += [how["lastkey"], how["keystep"], how["limit"]]
    if find == "keynum":
        row += [how["keynumidx"], how["firstkey"], how["keystep"]]
    return row


def facts(row):
    return {
        "arity": row["arity"],
        "flags": sorted(set(row["flags"]) - {"learned"}),
        "categories": sorted(set(row["classes"]) & set(CATEGORIES)),
        "policies": (row["request"], row["response"]),
        "parent": row["parent"],
        "specs": [[sorted(spec[0])] + spec[1:] for spec in row["specs"]],
    }


def test_same_names(rows, live):
    assert sorted(rows) == sorted(live)


def test_same_facts(rows, live):
    for name, row in live.items():
        assert facts(rows[name]) == {
            "arity": row["arity"],
            "flags": sorted(row["flags"]),
            "categories": sorted(row["categories"]),
            "policies": (row["request"], row["response"]),
            "parent": row["parent"],
            "specs": [spec_row(spec) for spec in row["specs"]],
        }, name


def test_subcommands_are_consecutive(rows):
    by_id = sorted(rows.values(), key=lambda row: row["id"])
    assert [row["id"] for row in by_id] == list(range(len(by_id)))
    for row in by_id:
        first, count = row["subcommands"]
        children = [sub["id"] for sub in by_id if sub["parent"] == row["name"]]
        assert children == list(range(first, first + count))


def test_file_is_generated(server):
    """Nobody edited commands.def by hand."""
    text = "".join(generate.show_row(row) + "".join(
        generate.show_row(sub, generate.identifier(row["name"])) for sub in row["subcommands"])
        for row in generate.read_commands(server))
    assert (ROOT / "include/respgate/commands.def").read_text().endswith(text)


# ---- classes -----------------------------------------------------------------------------------

def possible(row):
    return set(row["classes"]) | set(row["maybe"])


def test_admin_and_dangerous_have_a_class(rows):
    for name, row in rows.items():
        if "admin" in row["flags"] or "dangerous" in row["classes"]:
            assert possible(row) & {"destructive", "inspect", "snoop"}, name


def test_writes_grow_or_drain(rows):
    for name, row in rows.items():
        if "denyoom" in row["flags"]:
            assert possible(row) & {"growth", "drain"}, name
        elif "write" in row["flags"]:
            assert possible(row) & {"drain", "destructive"}, name
        if "drain" in row["classes"]:
            assert not {"growth", "destructive"} & set(row["classes"]), name


LISTED = {
    "destructive": """flushall flushdb swapdb shutdown debug save bgsave bgrewriteaof config|set
        config|rewrite config|resetstat replicaof slaveof failover migrate restore restore-asking
        move cluster|reset cluster|forget cluster|setslot cluster|failover acl|setuser acl|deluser
        acl|load acl|save client|pause script|flush script|kill script|debug function|flush
        function|delete function|restore function|kill module|load module|loadex module|unload
        module|list xgroup|destroy xgroup|setid xsetid latency|reset slowlog|reset psync sync
        replconf""",
    "inspect": """info role keys sort client|list client|info latency|latest latency|history
        slowlog|len command command|info""",
    "snoop": "monitor slowlog|get acl|list acl|getuser acl|log client|list",
    "memory-heavy": """keys smembers hgetall hkeys hvals lrange zrange zrangebyscore zrevrange
        xrange xrevrange sort sinter sunionstore zdiff zunionstore bitop pfmerge copy dump""",
    "growth": "set xadd lpush script|load function|load function|restore",
    "drain": """del xack xtrim lpop expire lmove blmove rpoplpush brpoplpush xreadgroup unlink
        xgroup|delconsumer""",
    "delete": "del unlink getdel rename renamenx sinterstore zunionstore bitop move",
}


@pytest.mark.parametrize("name", LISTED)
def test_listed(rows, name):
    for command in LISTED[name].split():
        assert name in rows[command]["classes"], command


def test_looks_are_not_destructive(rows):
    for name, row in rows.items():
        if {"inspect", "snoop"} & possible(row):
            assert "destructive" not in row["classes"], name


BY_ARGUMENTS = [
    ("CONFIG GET maxmemory", "inspect", "snoop"),
    ("config get RequirePass", "snoop", "inspect"),
    ("CONFIG GET *", "snoop", "inspect"),
    ("CONFIG GET maxmemory m[a]ster*", "snoop", "inspect"),
    ("CONFIG GET TLS-*-PASS", "snoop", "inspect"),
    ("CONFIG GET save*", "inspect", "snoop"),
    ("PSUBSCRIBE a* *", "snoop", ""),
    ("PSUBSCRIBE **?", "snoop", ""),
    ("PSUBSCRIBE a*", "", "snoop"),
    ("ACL LOG Reset", "destructive", ""),
    ("ACL LOG 5", "snoop", "destructive"),
    ("EVAL s 0", "growth", "drain"),
    ("FCALL f 0", "growth", "delete"),
    ("EVAL_RO s 0", "", "growth"),
    ("SORT k BY nosort GET #", "drain", "growth"),
    ("SORT k sToRe d", "growth", "drain"),
    ("SORT k BY store GET store", "drain", "delete"),
    ("BITFIELD k GET u8 0 OVERFLOW sat GET u4 0", "drain", "growth"),
    ("BITFIELD k GET u8 0 SET u8 0 1", "growth", "drain"),
    ("SRANDMEMBER s -3000000", "memory-heavy", ""),
    ("SRANDMEMBER s 3", "", "memory-heavy"),
    ("SCAN 0 MATCH count COUNT 1000000000", "memory-heavy", ""),
    ("HSCAN h 0 NOVALUES COUNT 1000000000", "memory-heavy", ""),
    ("SCAN 0 COUNT 100", "", "memory-heavy"),
]


def test_classes_by_arguments():
    answers = ask([line.split() for line, _, _ in BY_ARGUMENTS])
    for (line, there, absent), answer in zip(BY_ARGUMENTS, answers):
        assert not there or there in answer["classes"], line
        assert absent not in answer["classes"], line


# What each key holds before, and a request that is run: where the key is gone or replaced after
# it, the request has to be in @delete; the last column lists those that must not be.
DELETING = each("""EXPIRE str -1|EXPIRE str 0|PEXPIRE str -5|EXPIREAT str 1|PEXPIREAT str 1000
    SET str x EXAT 1|set str x get pxat 5|GETEX str EXAT 1|GETEX str PXAT 1|GETDEL str|DEL str
    UNLINK str|RENAME other str|RENAMENX str new|MOVE str 3|COPY other str REPLACE
    SINTERSTORE set none|SUNIONSTORE set none|SDIFFSTORE set none none2|ZUNIONSTORE zset 1 none
    ZINTERSTORE zset 1 none|ZDIFFSTORE zset 1 none|ZRANGESTORE zset none 0 -1
    SORT none STORE list|BITOP AND str none|GEORADIUS none 0 0 1 m STORE zset
    GEORADIUSBYMEMBER none m 1 m STOREDIST zset
    GEOSEARCHSTORE zset none FROMLONLAT 0 0 BYRADIUS 1 m|LTRIM list 1 0|LTRIM list -1 -2
    LTRIM list 5000 -1|LTRIM list 0 -5000|LTRIM list 99999 999999|LTRIM list -1 0|SPOP set 1000
    LPOP list 5000|RPOP list 5000|ZPOPMIN zset 5000|ZPOPMAX zset 5000
    LMPOP 1 list LEFT COUNT 5000|ZMPOP 1 zset MIN COUNT 5000|BLMPOP 1 1 list LEFT COUNT 5000
    BZMPOP 1 1 zset MAX count 5000|ZREMRANGEBYRANK zset 0 -1|ZREMRANGEBYRANK zset -5000 5000
    ZREMRANGEBYSCORE zset -inf +inf|ZREMRANGEBYSCORE zset 0 (1e300|ZREMRANGEBYLEX zset - +
    FLUSHDB|FLUSHALL|SWAPDB 0 1""")
EMPTYING = each("""XTRIM stream MAXLEN 0|XTRIM stream MAXLEN = 0|XTRIM stream maxlen ~ 0
    XTRIM stream MINID 99999999999999|XADD stream MAXLEN 0 * f v
    XADD stream NOMKSTREAM MINID 99999999999999-0 * f v""")
KEEPING = each("""EXPIRE str 100|PEXPIREAT str 99999999999999|SET str x|SET str x EX 5
    SET str x KEEPTTL|GETEX str PERSIST|GETEX str EX 10|COPY str new|LTRIM list 0 99
    LTRIM list -100 -1|LTRIM list 100 -1|LPOP list|LPOP list 10
    ZREMRANGEBYSCORE zset -inf 1700000000000|ZREMRANGEBYRANK zset 0 -101
    LMPOP 1 list LEFT COUNT 10|XTRIM stream MAXLEN ~ 1000|XADD stream MAXLEN ~ 1000 * maxlen 0
    XADD stream * f v|SPOP set|HDEL hash f|SORT list|XADD stream 5-1 minid 99999999999999""")


def fill(server):
    call(server, "FLUSHALL")
    call(server, "SET", "str", "value")
    call(server, "SET", "other", "thing")
    call(server, "RPUSH", "list", 3, 1, 2)
    call(server, "SADD", "set", "a", "b")
    call(server, "ZADD", "zset", 0, "a", 0, "b")
    call(server, "XADD", "stream", "*", "f", "v")


def state(server):
    return {key: call(server, "DUMP", key) for key in ("str", "list", "set", "zset")}


def test_what_deletes_is_in_delete(server):
    for line, answer in zip(DELETING, ask([line.split() for line in DELETING])):
        fill(server)
        before = state(server)
        reply = call(server, *line.split())
        assert not isinstance(reply, Exception), (line, reply)
        assert state(server) != before, line
        assert "delete" in answer["classes"], line


def test_what_empties_a_stream_is_in_delete(server):
    for line, answer in zip(EMPTYING, ask([line.split() for line in EMPTYING])):
        fill(server)
        reply = call(server, *line.split())
        assert not isinstance(reply, Exception), (line, reply)
        assert call(server, "XLEN", "stream") == 0, line
        assert "delete" in answer["classes"], line


def test_what_keeps_is_not_in_delete():
    for line, answer in zip(KEEPING, ask([line.split() for line in KEEPING])):
        assert "delete" not in answer["classes"], line


# ---- blocking ----------------------------------------------------------------------------------

BLOCKING = each("""BLPOP a 0|brpop a 0|BRPOPLPUSH a b 0|BLMOVE a b LEFT LEFT 0
    BLMPOP 0 1 a LEFT|BZPOPMIN a 0|BZPOPMAX a 0|BZMPOP 0 1 a MIN|WAIT 1 0
    XREAD bLoCk 0 STREAMS a 0|XREAD COUNT 1 BLOCK 0 STREAMS a 0
    XREADGROUP GROUP g c COUNT 1 BLOCK 0 STREAMS a >
    XREADGROUP GROUP block c BLOCK 0 STREAMS a >""")
NOT_BLOCKING = each("""LPOP a|XREAD STREAMS block 0|XREAD COUNT 1 STREAMS a 0
    XREADGROUP GROUP block block STREAMS a >|XREADGROUP GROUP g block NOACK STREAMS block 0
    XREAD count block STREAMS a 0|GET block""")


def test_blocks():
    assert all(answer["blocks"] for answer in ask([line.split() for line in BLOCKING]))
    for line, answer in zip(NOT_BLOCKING, ask([line.split() for line in NOT_BLOCKING])):
        assert not answer["blocks"], line


# ---- keys --------------------------------------------------------------------------------------

def server_keys(server, request):
    """[(key, flags)], or None when the server finds the request wrong."""
    reply = call(server, "COMMAND", "GETKEYSANDFLAGS", *request)
    if isinstance(reply, redis.ResponseError):
        return [] if "no key arguments" in str(reply) else None
    return sorted((generate.text(key), sorted(map(generate.text, flags))) for key, flags in reply)


def our_keys(request, answer):
    return sorted((str(request[arg]), sorted(flags)) for arg, flags in answer["keys"]
                  if "not_key" not in flags)


NUMKEYS = """eval eval_ro evalsha evalsha_ro fcall fcall_ro""".split()


def compare(server, requests):
    for request, answer in zip(requests, ask(requests)):
        expected = server_keys(server, request)
        if expected is None or (not expected and answer.get("name") in NUMKEYS):
            continue  # more keys announced than there are: ours are those that are there
        assert our_keys(request, answer) == expected, request


SAMPLES = each("""get a|MGET a b c|mset a 1 b 2|MSET a 1 b|DEL a b|RENAME a b|SMOVE a b m
    LCS a b|SUNIONSTORE d a b|BITOP AND d a b|COPY a b REPLACE DB 1|LMOVE a b LEFT RIGHT
    BLPOP a b 0|PFMERGE d a|PFCOUNT a b|GEOSEARCHSTORE d s FROMMEMBER m BYRADIUS 1 m
    ZRANGESTORE d s 0 -1|EVAL x 2 a b c|EVAL x 0 a|EVAL x 1 a|EVALSHA x 2 a b|EVAL_RO x 1 a b
    FCALL f 1 a b|FCALL_RO f 0|ZUNIONSTORE d 2 a b WEIGHTS 1 2|ZINTERSTORE d 1 a
    ZDIFF 2 a b WITHSCORES|SINTERCARD 2 a b LIMIT 1|LMPOP 2 a b LEFT
    BLMPOP 0 2 a b LEFT COUNT 1|ZMPOP 1 a MIN|BZMPOP 0 2 a b MIN|SINTERCARD 1 a|SORT a
    SORT a LIMIT 0 1 STORE d|sort a store d|SORT a STORE x STORE d|SORT a ALPHA GET # DESC
    SORT a BY store STORE d|SORT a GET store STORE d|SORT a LIMIT store store STORE d
    SORT a STORE|SORT_RO a BY nosort GET #|MIGRATE h 1 a 0 10
    MIGRATE h 1 a 0 10 COPY REPLACE AUTH p|MIGRATE h 1 a 0 10 AUTH2 u p|GEORADIUS a 0 0 1 m
    GEORADIUS a 0 0 1 m STORE d|GEORADIUS a 0 0 1 m COUNT 1 ASC StoreDist d
    GEORADIUSBYMEMBER a store 1 m STORE d|GEORADIUSBYMEMBER a m 1 m COUNT 5 STORE d
    GEORADIUS_RO a 0 0 1 m|GEORADIUS a 0 0 1 m STORE|XREAD STREAMS a b 0 0
    XREAD COUNT 1 BLOCK 5 streams a 0|XREADGROUP GROUP g c STREAMS a b > >
    XREADGROUP GROUP streams streams STREAMS a >
    XREADGROUP GROUP g c COUNT 1 NOACK STREAMS streams >
    XREADGROUP GROUP g streams STREAMS STREAMS 0|XREAD STREAMS a b 0|XINFO STREAM a FULL
    XGROUP CREATE a g $|OBJECT ENCODING a|MEMORY USAGE a SAMPLES 5|SET a v|SET a v GET
    SET a get|SET a v EX 5 gEt|BITFIELD a GET u8 0|BITFIELD a SET u8 0 1
    BITFIELD a OVERFLOW sat GET u8 0|BITFIELD a GET u8|BITFIELD_RO a GET u8 0|SPUBLISH a m
    SSUBSCRIBE a b|SUNSUBSCRIBE a|WATCH a b|PUBLISH a b|SUBSCRIBE a|PING|INFO|CONFIG GET a
    SCAN 0|KEYS a|FLUSHALL|CLIENT INFO|TOUCH a b|RESTORE a 0 v REPLACE|DUMP a|EXPIRE a 1
    PFDEBUG GETREG a|DEBUG OBJECT a|MOVE a 1|PERSIST a|LMPOP 4294967297 a|EVAL x -1 a|EVAL x
    LMPOP 9 a LEFT|ZUNIONSTORE d 9 a b|ZUNIONSTORE d -1 a b|EVAL x 9223372036854775808 a
    BLPOP a|DEL|BITOP AND d|ZDIFF 1""")


def test_sample_keys(server):
    requests = [line.split() for line in SAMPLES]
    compare(server, requests + [
        ["MIGRATE", "h", "1", "", "0", "10", "KEYS", "a", "b"],
        ["MIGRATE", "h", "1", "", "0", "10", "AUTH", "keys", "KEYS", "a"],
        ["MIGRATE", "h", "1", "", "0", "10", "AUTH2", "keys", "keys", "COPY", "keys", "keys"],
        ["GET", ""], ["SORT", "a", "STORE", ""],
    ])


# Where the server's key specifications are fooled by a value, though it executes something else:
# the keys are those of the execution.
BETTER = {
    "XREADGROUP COUNT 1 GROUP streams c STREAMS a >": ["a"],
    "XREADGROUP NOACK GROUP g streams STREAMS a >": ["a"],
    "GEORADIUS a 0 0 1 m STORE x STORE d": ["a", "d", "x"],
    "GEORADIUSBYMEMBER a m 1 m STOREDIST d STORE x": ["a", "d", "x"],
}
UNKNOWN = each("""SORT a BY w_*|SORT a GET x_*->f|SORT_RO a get y*|SORT a BY nosort GET # GET p
    SORT a BY store STORE d|SORT a GET store STORE d|XREAD FUTURE 1 STREAMS a 0|EVAL x 1x a
    EVAL x 9223372036854775808 a|ZUNIONSTORE d nine a|DEBUG OBJECT a""")


def test_better_keys():
    for (line, keys), answer in zip(BETTER.items(), ask([line.split() for line in BETTER])):
        assert sorted(line.split()[arg] for arg, _ in answer["keys"]) == keys, line
        assert not answer["unknown"]


def test_unknown_keys(server):
    assert all(answer["unknown"] for answer in ask([line.split() for line in UNKNOWN]))
    known = [line for line in SAMPLES if line not in UNKNOWN]
    for line, answer in zip(known, ask([line.split() for line in known])):
        assert not answer["unknown"], line


def test_keys_of_every_command(server, live):
    """Every command with every likely number of arguments, all of them different."""
    requests = []
    for name, row in live.items():
        if name in ("xread", "xreadgroup"):
            continue
        words = name.split("|")
        for argc in range(len(words), abs(row["arity"]) + 5):
            requests.append(words + [f"arg{i}" for i in range(argc - len(words))])
            requests.append(words + [str(i + 1) for i in range(argc - len(words))])
    compare(server, requests)


BY_HAND = {"sort", "sort_ro", "georadius", "georadiusbymember", "migrate", "xread", "xreadgroup"}
WORDS = """streams STORE storeDIST keys get SET incrby BY limit count block group NOACK auth AUTH2
    copy replace 0 1 2 3 -1 999999999999 nosort # k:a k:b k:c * overflow sat u8""".split()


def test_random_requests(server, live):
    """Option words everywhere. Commands with walks of their own are checked by samples above: a
    request with wrong syntax has no true keys."""
    dice = random.Random(7)
    names = [name for name in live if live[name]["specs"] and name not in BY_HAND]
    requests = []
    for _ in range(3000):
        name = dice.choice(names)
        words = [dice.choice(WORDS) for _ in range(dice.randrange(0, 9))]
        requests.append(name.upper().split("|") + words)
    compare(server, requests)


def random_options(dice, shapes):
    return [word for _ in range(dice.randrange(0, 5)) for word in dice.choice(shapes)]


def test_random_valid_requests(server):
    """Right syntax with nasty values, for the walks: values look like options."""
    dice = random.Random(8)
    nasty = ["store", "LIMIT", "streams", "keys", "auth", "k:a", "k:b", "get"]
    requests = []
    for _ in range(1000):
        a, b, c = (dice.choice(nasty) for _ in range(3))
        sort = random_options(dice, [["limit", "0", "1"], ["ASC"], ["Alpha"], ["BY", "nosort"],
                                     ["get", "#"]])
        requests.append(["SORT", a] + sort + dice.choice([[], ["sTore", "k:" + b]]))
        migrate = random_options(dice, [["copy"], ["REPLACE"], ["auth", b], ["AUTH2", b, c]])
        requests.append(["MIGRATE", a, "1", "", "0", "9"] + migrate + ["Keys", b, c])
        requests.append(["XREADGROUP", "GROUP", a, b] + random_options(
            dice, [["COUNT", "1"], ["block", "5"], ["noack"]]) + ["Streams", a, c, "0", ">"])
    compare(server, requests)


# ---- look-up -----------------------------------------------------------------------------------

def test_lookup_any_case(live):
    dice = random.Random(9)
    requests = []
    for name in live:
        mixed = "".join(dice.choice((c.upper(), c)) for c in name)
        requests.append(mixed.split("|"))
    for name, answer in zip(live, ask(requests)):
        assert (answer["lookup"], answer["name"]) == (0, name)


def test_lookup_misses():
    nothing = ["", "gett", "ge", "config|set", "get\0", "\0get", "get ", " get", "g\xc5t", "x" * 32,
               "x" * 33, "x" * 5000, "GET\r\n", "[ET", "`et"]
    assert [answer["lookup"] for answer in ask([[name, "set"] for name in nothing])] == \
        [1] * len(nothing)
    subs = ["", "sett", "set\0", "config|set", "get get"]
    assert {answer["lookup"] for answer in ask([["CONFIG", name] for name in subs])} == {2}


# ---- learning ----------------------------------------------------------------------------------

def resp(value):
    if isinstance(value, list):
        return b"*%d\r\n" % len(value) + b"".join(map(resp, value))
    if isinstance(value, int):
        return b":%d\r\n" % value
    if value is None:
        return b"$-1\r\n"
    value = encode(value)
    return b"$%d\r\n%s\r\n" % (len(value), value)


def test_nothing_to_learn(server):
    assert dump("learn", resp(generate.call(server, "COMMAND"))) == [{"malformed": 0}]


def test_learned_agree_with_rows(server, rows):
    """The same server under other names: what is learned is what the table has."""
    reply = generate.call(server, "COMMAND")
    for row in reply:
        row[0] = b"mod." + row[0]
        for sub in row[9]:
            sub[0] = b"mod." + sub[0]
    *learned, last = dump("learn", resp(reply))
    assert last == {"malformed": 0}
    assert len(learned) == len(rows)
    for row in learned:
        row["parent"] = row["parent"][len("mod."):]
    of_name = {row["name"][len("mod."):]: row for row in learned}
    for name, row in of_name.items():
        assert facts(row) == facts(rows[name]), name
        first, count = row["subcommands"]
        children = [sub["id"] for sub in learned if sub["parent"] == name]
        assert count == len(children) and (not count or children[0] == first)
    deletes = {row["name"] for row in rows.values() if "delete" in row["classes"]}
    blind = {name for name in deletes if "delete" not in of_name[name]["classes"]}
    assert blind == LEARNED_BLIND


# Their flags and key specifications say less than the hand-written lists know.
LEARNED_BLIND = {"getdel", "migrate", "sinterstore"}


def test_learned_subcommand_of_known_container(server):
    reply = generate.call(server, "COMMAND")
    config = next(row for row in reply if row[0] == b"config")
    extra = list(config[9][0])
    extra[0] = b"config|future"
    config[9].append(extra)
    learned, last = dump("learn", resp(reply))
    assert (learned["name"], learned["parent"]) == ("config|future", "config")
    assert last == {"malformed": 0}
