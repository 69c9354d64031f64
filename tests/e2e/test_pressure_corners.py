"""[pressure] where a store answers late, little or oddly; rules that wait for pressure; scripts."""
import re

import pytest

from harness.servers import section
from harness.waiting import wait_until

MB = 1024 * 1024
LIMIT = 64 * MB


def pressure(**options):
    return section("pressure", {"poll": "100ms", **{k.replace("_", "-"): v
                                                    for k, v in options.items()}})


@pytest.fixture
def redis(start_redis):
    return start_redis(maxmemory="64mb", maxmemory_policy="noeviction")


def fill(redis, percent, limit=LIMIT):
    with redis.client() as client:
        number = 0
        while int(redis.info("used_memory")) < limit * percent // 100:
            client.ok("SET", f"fill:{number}", b"x" * 256 * 1024)
            number += 1


# ---- the store ----

def test_info_without_the_fields_sheds_nothing_and_says_so(start_gate, start_tap, redis):
    fill(redis, 92)
    tap = start_tap(redis)
    tap.change = lambda data, number: data.replace(b"\nused_memory:", b"\nused_mmmmry:")
    gate = start_gate(tap, extra=pressure())
    gate.wait_log("memory pressure is not known, so nothing is shed: its INFO does not say what it "
                  "uses")
    with gate.client() as client:
        client.ok("SET k v")


@pytest.mark.parametrize("answer", [b"# Server\r\nname:other\r\n", b"", b"\xff\x00:\r\n:::\r\n"])
def test_info_with_none_of_the_fields_is_told_once(start_gate, start_tap, redis, answer):
    tap = start_tap(redis)
    info = re.compile(rb"\$[0-9]+\r\n# Server\r\n.*?# Keyspace\r\n(db[^\n]*\n)*\r\n", re.S)
    tap.change = lambda data, number: info.sub(b"$%d\r\n%s\r\n" % (len(answer), answer), data)
    gate = start_gate(tap, extra=pressure())
    gate.wait_log("its health is not known: its INFO has none of the fields that tell it")
    with gate.client() as client:
        for _ in range(20):
            client.ok("SET k v")
    assert gate.process.log().count("its health is not known") == 1


def test_while_info_is_slow_the_last_level_stays(start_gate, start_tap, redis):
    tap = start_tap(redis)
    gate = start_gate(tap, extra=pressure(), backend={"request-timeout": "60s"})
    fill(redis, 91)
    gate.wait_log("memory pressure is critical")
    silent = set()

    def swallow(data, number):
        if b"\r\nINFO\r\n" in data:
            silent.add(number)
        return number not in silent
    tap.on_request = swallow
    gate.wait_log("no answer to INFO for [0-9]+ ms: its last known level stays", timeout=10)
    with gate.client() as client:
        assert client.call("HELLO 3"), "on a link of its own: INFO goes over one of RESP2"
        assert client.call("SET k v").code == "OOM"
        assert client.call("DEL fill:0") == 1


def test_a_limit_below_what_is_used_at_the_start(start_gate, start_redis):
    redis = start_redis()
    fill(redis, 100, 24 * MB)
    gate = start_gate(redis, extra=pressure(memory_limit="20mb"))
    gate.wait_log("memory pressure is critical: [0-9]+mb of 20mb .1[0-9]{2}%")
    with gate.client() as client:
        assert re.search("memory 1[0-9]{2}% of limit", client.call("SET k v"))
        assert client.call("UNLINK", *[f"fill:{number}" for number in range(60)]) == 60
        gate.wait_log("memory pressure is normal")
        client.ok("SET k v")


# ---- rules and scripts ----

def test_a_rule_can_wait_for_pressure(start_gate, redis):
    rule = section("rule no-cache", {"commands": "@growth", "keys": "cache:*", "when": "high",
                                     "action": "deny"})
    gate = start_gate(redis, extra=rule + pressure())
    with gate.client() as client:
        client.ok("SET cache:1 v")
        fill(redis, 82)
        gate.wait_log("memory pressure is high")
        assert "is denied by rule 'no-cache'" in client.call("SET cache:1 v")
        client.ok("SET job:1 v")
        assert client.call("DEL cache:1") == 1
        redis.call("FLUSHALL")
        gate.wait_log("memory pressure is normal")
        client.ok("SET cache:1 v")


DRAINS = "return redis.call('DEL', KEYS[1])"
GROWS = "redis.call('SET', KEYS[1], ARGV[1]) return redis.call('DEL', KEYS[1])"


def test_scripts_that_drain_pass_and_those_that_add_are_refused(start_gate, redis):
    gate = start_gate(redis, extra=pressure())
    with gate.client() as client:
        client.ok("SET k v")
        drains, grows = (client.call("SCRIPT", "LOAD", body) for body in (DRAINS, GROWS))
        fill(redis, 91)
        gate.wait_log("memory pressure is critical")
        assert client.call("EVAL", GROWS, 1, "k", "w").code == "OOM"
        assert client.call("EVALSHA", grows, 1, "k", "w").code == "OOM"
        assert client.call("GET k") == b"v"
        assert client.call("EVAL", DRAINS, 1, "k") == 1
        assert client.call("EVALSHA", drains, 1, "fill:0") == 1
        replies = client.pipeline(("MULTI",), ("EVAL", GROWS, 1, "k", "w"), ("EXEC",))
        assert replies[1].code == "OOM" and replies[2].code == "EXECABORT"
        assert client.call("SCRIPT", "LOAD", "return 1").code == "OOM", "a new body adds data too"


# ---- queues ----

def test_consumers_that_hold_entries_and_ask_for_none_are_told(start_gate, start_tap, redis):
    tap = start_tap(redis)
    gate = start_gate(tap, extra=section("pressure", {"stream-poll": "100ms"})
                      + section("queue q", {"keys": "q"}))
    with gate.client() as client:
        client.ok("XGROUP CREATE q g 0 MKSTREAM")
        for number in range(4):
            client.call(f"XADD q {number + 1}-1 f v")
        client.call("XREADGROUP GROUP g dead COUNT 2 STREAMS q >")
        client.call("XREADGROUP GROUP g done COUNT 1 STREAMS q >")
        client.call("XACK q g 3-1")
    assert "hold entries" not in gate.process.log()
    tap.change = lambda data, number: re.sub(rb"(\$4\r\nidle\r\n:)[0-9]+", rb"\g<1>300001", data)
    gate.wait_log("queue 'q': 1 consumers of 'q' hold entries and have asked for none in 5 minutes")
    wait_until(lambda: gate.process.log().count("hold entries") == 1, "one line")
