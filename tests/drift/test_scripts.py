"""test_scripts.py - the script inspector against a live redis-server.

What it accepts Lua must read in the same way: token soup that compiles here compiles there. And
what it says a body can run must be all that the body runs: random programs run as a user who may
run only that, under MONITOR, and each command they run must be one of those foretold.
"""
import os
import sys

import pytest
import redis

from scripts import ROOT, dice, inspect, program, shebang, soup, spoilt

sys.path.insert(0, str(ROOT / "src/command"))
import generate  # noqa: E402

ROUNDS = int(os.environ.get("SCRIPT_ROUNDS", 1))


@pytest.fixture(scope="module")
def server():
    with generate.live_server() as connection:
        yield connection


def call(server, *args):
    try:
        return generate.call(server, *args)
    except redis.ResponseError as error:
        return error


SCRIPT, LIBRARY = ["SCRIPT", "LOAD"], ["FUNCTION", "LOAD"]


def compare(server, bodies, load=SCRIPT):
    seen = {"accepted": 0, "refused": 0, "malformed": 0}
    options = ["--library"] if load is LIBRARY else []
    for body, judged in zip(bodies, inspect(bodies, *options)):
        verdict = judged["verdict"]
        call(server, "FUNCTION", "FLUSH")  # two libraries may not register the same function
        reply = call(server, *load, body)
        fine = not isinstance(reply, redis.ResponseError)
        seen[verdict] += 1
        assert fine or verdict != "accepted", (body, reply)
        assert not fine or verdict != "malformed", (body, judged)
    return seen


def test_soup(server):
    random = dice(1)
    seen = compare(server, [soup(random) for _ in range(20000 * ROUNDS)])
    assert seen["accepted"] > 300 and seen["malformed"] > 500


def test_spoilt_programs(server):
    random = dice(2)
    seen = compare(server, [spoilt(random, program(random)) for _ in range(5000 * ROUNDS)])
    assert seen["accepted"] > 50 and seen["malformed"] > 100


def test_programs_compile(server):
    random = dice(3)
    bodies = [program(random) for _ in range(2000 * ROUNDS)]
    compare(server, bodies)


def test_shebangs(server):
    random = dice(5)
    seen = compare(server, [shebang(random) + b"return 1" for _ in range(2000 * ROUNDS)])
    assert seen["accepted"] > 50
    libraries = [shebang(random) + b"redis.register_function('f', function(k) return 1 end)"
                 for _ in range(2000 * ROUNDS)]
    seen = compare(server, libraries, LIBRARY)
    assert seen["accepted"] > 50


# ---- what runs is what was said ----------------------------------------------------------------

KEYS = [b"k1", b"k2", b"k3"]
ARGV = [b"touch", b"exists", b"a3"]


def values(argument):
    """The texts an argument can be; None: any."""
    if argument["open"]:
        return None
    texts = set()
    for value in argument["values"]:
        if isinstance(value, str):
            texts.add(value.encode("latin-1"))
            continue
        kind, index = next(iter(value.items()))
        given = KEYS if kind == "key" else ARGV
        texts.update(given if index == 0 else given[index - 1:index])
    return texts


def foretold(row, argv):
    name = ARGV[row["name_argument"] - 1] if "name_argument" in row else row["name"].encode()
    count, args = len(row["args"]), argv[1:]
    if name.lower() != argv[0].lower() or len(args) < count or \
            (len(args) > count and "rest" not in row):
        return False
    sets = [values(one) for one in row["args"]]
    sets += [values(row["rest"])] * (len(args) - count) if "rest" in row else []
    return all(allowed is None or arg in allowed for arg, allowed in zip(args, sets)) and \
        ("first" not in row or args[0] == row["first"].encode("latin-1"))


def parsed(line):
    """MONITOR's line as arguments; None unless a script ran it."""
    head, _, rest = line.partition(b"] ")
    if not head.endswith(b" lua"):
        return None
    return [part.encode("latin-1").decode("unicode_escape").encode("latin-1")
            for part in rest.decode("latin-1")[1:-1].split('" "')]


def ran(monitor):
    """What scripts ran since the last time."""
    commands = []
    while True:
        line = monitor.read_response()
        if b'"ECHO" "end"' in line:
            return commands
        argv = parsed(line)
        if argv:
            commands.append(argv)


def permit(server, judged):
    names = {row["name"].lower() for row in judged["calls"] if row["name"]}
    names.update(ARGV[row["name_argument"] - 1].decode() for row in judged["calls"]
                 if row.get("name_argument", 9) <= len(ARGV))
    known = [name for name in names if name.isalpha() and name.isascii() and
             call(server, "COMMAND", "INFO", name)[0]]
    assert call(server, "ACL", "SETUSER", "script", "reset", "on", "nopass", "~*", "+eval",
                "+echo", *("+" + name for name in known)) == b"OK"


def test_programs_run_what_is_said(server):
    random = dice(4)
    bodies = [program(random) for _ in range(6000 * ROUNDS)]
    monitor = generate.connect(server.port)
    call(monitor, "MONITOR")
    user = generate.connect(server.port)
    accepted = commands = 0
    for body, judged in zip(bodies, inspect(bodies)):
        if judged["verdict"] != "accepted":
            continue
        accepted += 1
        permit(server, judged)
        assert call(user, "AUTH", "script", "x") == b"OK"
        call(server, "ACL", "LOG", "RESET")
        call(user, "EVAL", body, len(KEYS), *KEYS, *ARGV)
        assert call(server, "ACL", "LOG") == [], (body.decode(), judged)
        call(user, "ECHO", "end")
        for argv in ran(monitor):
            commands += 1
            assert any(foretold(row, argv) for row in judged["calls"]), \
                (body.decode(), argv, judged["calls"])
    print(f"{accepted} of {len(bodies)} accepted, {commands} commands")
    assert accepted > 300 and commands > 1000
