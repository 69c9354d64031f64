"""Redis memory grew, and an administrator ran FLUSHALL on a live platform: work-tracking ids,
locks and stream state vanished while the message queue kept bundles that referred to dead ids."""
import hashlib
import re
import subprocess

import pytest

from harness.servers import ROOT
from harness.waiting import FACTOR
from harness.wire import encode

SHIPPED = ROOT / "conf" / "respgate.conf"

WIPES = ["FLUSHALL", "FLUSHDB", "flushall async", "FlushDB SYNC", "SWAPDB 0 5"]
KIN = ["SHUTDOWN NOSAVE", "DEBUG RELOAD", "CONFIG SET maxmemory 1", "REPLICAOF 127.0.0.1 1", "SCRIPT FLUSH",
       "FUNCTION FLUSH", "XGROUP DESTROY events workers", "XGROUP SETID events workers $", "MOVE work:1 5",
       "MIGRATE 127.0.0.1 1 work:1 0 10"]


def fill(client):
    """The platform's state: ids of work, a lock, a stream with a consumer group."""
    for number in range(50):
        client.ok(f"SET work:{number} running")
    client.ok("SET lock:ingest holder")
    client.call("XADD events 1-1 bundle 7")
    client.ok("XGROUP CREATE events workers 0")


def intact(store):
    return (store.call("XPENDING events workers")[0] == 0 and store.call("GET work:7") == b"running" and store.call("GET lock:ingest") == b"holder"
            and store.call("XLEN events") == 1 and store.call("DBSIZE") == 52)


def shipped(change=lambda text: text):
    text = SHIPPED.read_text()
    return change(text[text.index("\n[rule "):])


@pytest.fixture
def guarded(start_gate, store):
    """A gate with the rules that are shipped."""
    return start_gate(store, extra=shipped())


def tells_what_to_do(reply, command, rule):
    """It names the rule, and what to do instead."""
    head = f"NOPERM respgate: '{command}' is denied by rule '{rule}': "
    return reply.startswith(head) and len(reply) > len(head) + 20


def test_straight_against_redis_it_happens(store):
    with store.client() as admin:
        fill(admin)
        admin.ok("FLUSHALL")
    assert not intact(store) and store.call("DBSIZE") == 0


@pytest.mark.parametrize("wipe", WIPES)
def test_through_respgate_it_does_not(guarded, store, wipe):
    with guarded.client() as admin:
        fill(admin)
        reply = admin.call(wipe)
        assert tells_what_to_do(reply, wipe.split()[0].upper(), "no-flush")
        assert "SCAN and UNLINK" in reply and "XTRIM" in reply
    assert intact(store)


def test_nor_do_its_kin(guarded, store):
    with guarded.client() as admin:
        fill(admin)
        for line in KIN:
            reply = admin.call(line)
            assert reply.code == "NOPERM" and "by rule 'no-destructive': connect to the store directly" in reply
    assert intact(store)


def test_not_inline_not_in_a_transaction(guarded, store):
    with guarded.client() as admin:
        fill(admin)
        admin.send(b"flushall\r\n\"FLUSH\\x41LL\" async\r\n")
        assert admin.read().code == admin.read().code == "NOPERM"
        replies = admin.pipeline("MULTI", "SET work:7 broken", "FLUSHALL", "EXEC")
        assert replies[2].code == "NOPERM" and replies[3].code == "EXECABORT"
    assert intact(store)


def test_not_by_a_script_or_a_function(guarded, store):
    with guarded.client() as admin:
        fill(admin)
        for name in "FLUSHALL", "flushdb":
            body = f"return redis.call('{name}')"
            sha = hashlib.sha1(body.encode()).hexdigest()
            library = f"#!lua name=x\nredis.register_function('x', function() {body} end)"
            for command in (["EVAL", body, 0], ["EVAL", "return redis.call(ARGV[1])", 0, name],
                            ["SCRIPT", "LOAD", body], ["FUNCTION", "LOAD", library]):
                assert tells_what_to_do(admin.call(*command), name.upper(), "no-flush")
            hidden = admin.call("EVAL", f"return redis.call('{name[:5]}' .. '{name[5:]}')", 0)
            assert hidden.code == "NOPERM" and "script refused" in hidden
            assert store.call("SCRIPT", "LOAD", body) and store.call("FUNCTION", "LOAD", "REPLACE", library)
            assert admin.call("EVALSHA", sha, 0).code == "NOPERM"
            assert tells_what_to_do(admin.call("FCALL", "x", 0), name.upper(), "no-flush")
    assert intact(store)


def test_not_after_auth_as_another_user(guarded, store):
    store.call("ACL", "SETUSER", "admin", "on", ">pw", "~*", "&*", "+@all")
    with guarded.client() as admin:
        fill(admin)
        for login in "AUTH admin pw", "HELLO 3 AUTH admin pw":
            for wipe in "FLUSHALL", "FLUSHDB", "SWAPDB 0 1":
                assert tells_what_to_do(admin.pipeline(login, wipe)[1], wipe.split()[0], "no-flush")
    assert intact(store)
    store.call("ACL", "DELUSER", "admin")


def test_the_safe_alternatives_go_through(guarded, store):
    with guarded.client() as admin:
        fill(admin)
        assert admin.call("SCAN 0 MATCH work:* COUNT 1000")[0] == b"0"
        assert isinstance(admin.call("MEMORY USAGE work:7"), int)
        assert admin.call("DEL work:1") == 1
        assert admin.call("UNLINK work:2") == 1
        assert admin.call("XTRIM events MAXLEN 100") == 0
        assert b"used_memory" in admin.call("INFO memory")


def redis_cli(gate, line):
    """A shell's command line with redis-cli at the gate, and what it prints."""
    cli = f"redis-cli -p {gate.port}"
    done = subprocess.run(["sh", "-c", line.replace("redis-cli", cli)], capture_output=True, text=True,
                          timeout=20 * FACTOR)
    return done.stdout + done.stderr


def test_redis_cli_shows_what_is_big(guarded, store):
    with guarded.client() as admin:
        fill(admin)
        admin.ok("SET", "big", "x" * 5000)
    keys, memory = redis_cli(guarded, "redis-cli --bigkeys"), redis_cli(guarded, "redis-cli --memkeys")
    assert re.search(r'Biggest string found ["\']"?big', keys) and "Sampled 53 keys" in keys
    assert re.search(r'Biggest string found ["\']"?big', memory) and "Sampled 53 keys" in memory
    assert "NOPERM" not in keys + memory and store.call("DBSIZE") == 53


DELETE_ALL = "redis-cli --scan --pattern 'junk:*' | xargs -n 100 redis-cli del"
REMAINING = "return #redis.call('KEYS', 'junk:*')"


def fill_junk(store, count):
    store.call("MSET", *[word for i in range(count) for word in (f"junk:{i}", "v")])


def limit_of(text, mode):
    """The shipped rule with numbers for a small test, in this mode."""
    head, rule = text.split("[rule mass-delete]")
    for key, value in (("rate", "1/s"), ("burst", "300"), ("mode", mode)):
        rule, changed = re.subn(rf"^{key} = .*$", f"{key} = {value}", rule, flags=re.M)
        assert changed == 1
    return head + "[rule mass-delete]" + rule


def test_deleting_all_of_it_slowly_is_noticed(start_gate, store):
    gate = start_gate(store, extra=shipped(lambda text: limit_of(text, "observe")))
    with gate.client() as admin:
        fill(admin)
    fill_junk(store, 1000)
    assert redis_cli(gate, DELETE_ALL).split() == ["100"] * 10
    assert store.call("EVAL", REMAINING, 0) == 0 and intact(store)
    gate.wait_log("observe: rule 'mass-delete' would limit 'del'")


@pytest.mark.parametrize("road", [
    DELETE_ALL, DELETE_ALL.replace(" del", " unlink"),
    "redis-cli --scan --pattern 'junk:*' | sed 's/^/DEL /' | redis-cli",
    "redis-cli --scan --pattern 'junk:*' | sed 's/$/ 0/; s/^/EXPIRE /' | redis-cli",
    "redis-cli --scan --pattern 'junk:*' | xargs -n 100 redis-cli eval "
    "\"for i = 1, #KEYS do redis.call('DEL', KEYS[i]) end\" 100",
    "redis-cli --scan --pattern 'junk:*' | xargs -n 100 redis-cli eval \"redis.call('UNLINK', unpack(ARGV))\" 0",
])
def test_when_the_rule_is_enforced_it_stops(start_gate, store, road):
    gate = start_gate(store, extra=shipped(lambda text: limit_of(text, "enforce")))
    with gate.client() as admin:
        fill(admin)
        fill_junk(store, 1000)
        assert "THROTTLED respgate: rule 'mass-delete', retry after" in redis_cli(gate, road)
        assert 600 <= store.call("EVAL", REMAINING, 0) <= 700
        admin.ok("SET work:1 done")  # what deletes nothing is not held up
    store.call("EVAL", "return redis.call('DEL', unpack(redis.call('KEYS', 'junk:*')))", 0)
    assert intact(store)
    gate.wait_log("limited '[a-z]+' by rule 'mass-delete'")


def test_the_platform_works_on_meanwhile(guarded, store):
    with guarded.client() as admin, guarded.client() as worker:
        fill(admin)
        worker.send(encode(*"XREADGROUP GROUP workers w1 COUNT 1 STREAMS events >".split()))
        assert worker.read()[0][0] == b"events"
        for _ in range(20):
            assert tells_what_to_do(admin.call("FLUSHALL"), "FLUSHALL", "no-flush")
            assert worker.call("GET work:7") == b"running"
        assert worker.call("XACK events workers 1-1") == 1
    guarded.wait_log("FLUSHALL")
