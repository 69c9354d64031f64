"""[pressure]: what adds data is refused in time, what drains passes, and writes resume."""
import pytest

from harness.servers import run_binary, section
from harness.waiting import wait_until

MB = 1024 * 1024


def pressure(**options):
    return section("pressure", {"poll": "100ms", **{k.replace("_", "-"): v
                                                    for k, v in options.items()}})


@pytest.fixture
def redis(start_redis):
    return start_redis(maxmemory="64mb", maxmemory_policy="noeviction")


def used(redis):
    return int(redis.info("used_memory")) - int(redis.info("mem_not_counted_for_evict"))


def fill(redis, percent, limit=64 * MB):
    """Straight at the store: keys fill:N of 256 kB each."""
    with redis.client() as client:
        number = 0
        while used(redis) < limit * percent // 100:
            client.ok("SET", f"fill:{number}", b"x" * 256 * 1024)
            number += 1
    return number


def refused(client, *command):
    reply = client.call(*command)
    return isinstance(reply, Exception) or getattr(reply, "code", None) == "OOM"


def test_at_critical_growth_is_refused_and_drain_passes(start_gate, redis):
    gate = start_gate(redis, extra=pressure())
    with gate.client() as client:
        client.ok("SET k v")
        client.call("RPUSH l 1 2 3")
        fill(redis, 91)
        gate.wait_log("memory pressure is critical")
        reply = client.call("SET k2 v")
        assert reply.startswith("OOM respgate: writes that add data are paused, memory 9"), reply
        assert reply.endswith("% of limit")
        assert client.call("LPOP l") == b"1"
        assert client.call("RPOPLPUSH l m") == b"3"
        assert client.call("EXPIRE k 100") == 1
        assert client.call("DEL k") == 1
        assert client.call("GET fill:0")[:1] == b"x"
        redis.call("FLUSHALL")
        gate.wait_log("memory pressure is normal")
        client.ok("SET k2 v")


def test_a_level_lasts_until_resume(start_gate, redis):
    gate = start_gate(redis, extra=pressure())
    number = fill(redis, 91)
    gate.wait_log("memory pressure is critical")
    with gate.client() as client:
        while used(redis) > 78 * 64 * MB // 100:
            number -= 1
            assert client.call("DEL", f"fill:{number}") == 1
        since = gate.process.log_size()
        wait_until(lambda: refused(client, "SET k v"), "still critical above resume")
        while used(redis) > 70 * 64 * MB // 100:
            number -= 1
            assert client.call("DEL", f"fill:{number}") == 1
        gate.wait_log("memory pressure is normal", since)
        client.ok("SET k v")


def test_one_setrange_cannot_jump_the_gap(start_gate, redis):
    gate = start_gate(redis, extra=pressure(poll="60s"))
    gate.wait_log("guard is on")
    with gate.client() as client:
        assert refused(client, "SETRANGE big 60000000 x")
        assert redis.call("EXISTS big") == 0
        assert client.call("SETRANGE small 1000000 x") == 1000001


def test_a_burst_between_two_looks_is_counted(start_gate, redis):
    gate = start_gate(redis, extra=pressure(poll="60s"), proxy={"threads": 2})
    gate.wait_log("guard is on")
    with gate.client() as one, gate.client() as other:
        for number in range(600):
            for client in (one, other):
                client.call("SET", f"{client is one}:{number}", b"x" * 128 * 1024)
        assert used(redis) < 92 * 64 * MB // 100
        assert refused(one, "SET", "k", b"x" * 128 * 1024)


def test_a_queued_growth_aborts_and_draining_transactions_pass(start_gate, redis):
    gate = start_gate(redis, extra=pressure())
    with gate.client() as client:
        client.call("XADD s 1-1 f v")
        client.ok("XGROUP CREATE s g 0")
        assert client.call("XREADGROUP GROUP g c STREAMS s >")
        fill(redis, 91)
        gate.wait_log("memory pressure is critical")
        replies = client.pipeline("MULTI", "XACK s g 1-1", "XDEL s 1-1", "EXEC")
        assert replies[-1] == [1, 1]
        replies = client.pipeline("MULTI", "XADD s * f v", "DEL s", "EXEC")
        assert replies[1].code == "OOM" and replies[3].code == "EXECABORT"
        assert client.call("EXISTS s") == 1


def test_what_was_queued_before_it_became_critical_does_not_run(start_gate, redis):
    gate = start_gate(redis, extra=pressure())
    with gate.client() as client:
        assert client.pipeline("MULTI", "SET k v")[1] == b"QUEUED"
        fill(redis, 91)
        gate.wait_log("memory pressure is critical")
        assert client.call("EXEC").code == "EXECABORT"
        assert client.call("EXISTS k") == 0


def test_shed_first_at_high_and_protect_at_critical(start_gate, redis):
    gate = start_gate(redis, extra=pressure(shed_first="cache:*", protect="lock:*"))
    with gate.client() as client:
        client.ok("SET cache:1 v")
        fill(redis, 82)
        gate.wait_log("memory pressure is high")
        assert refused(client, "SET cache:1 v") and refused(client, "MSET a 1 cache:2 v")
        client.ok("SET job:1 v")
        fill(redis, 91)
        gate.wait_log("memory pressure is critical")
        assert refused(client, "SET job:1 v") and refused(client, "MSET lock:1 1 job:1 1")
        client.ok("SET lock:1 v")
        client.ok("MSET lock:1 v lock:2 v")


@pytest.mark.parametrize("options, policy, sheds", [
    ({}, "allkeys-lru", False), ({"guard": "on"}, "allkeys-lru", True),
    ({"memory_limit": "64mb"}, "allkeys-lru", True), ({"guard": "off"}, "noeviction", False),
])
def test_guard(start_gate, start_redis, options, policy, sheds):
    redis = start_redis(maxmemory="66mb", maxmemory_policy=policy)
    fill(redis, 92, 66 * MB)
    gate = start_gate(redis, extra=pressure(**options))
    with gate.client() as client:
        if sheds:
            gate.wait_log("memory pressure is critical")
            assert refused(client, "SET k v")
        else:
            gate.wait_log("guard is off")
            client.ok("SET k v")


def test_no_limit_sheds_nothing_and_says_so(start_gate, start_redis):
    gate = start_gate(start_redis(), extra=pressure())
    gate.wait_log("memory pressure is not known, so nothing is shed")
    with gate.client() as client:
        client.ok("SET k v")


def test_observing_counts_and_refuses_nothing(start_gate, redis):
    gate = start_gate(redis, extra=pressure(), proxy={"observe": "yes"})
    fill(redis, 91)
    gate.wait_log("memory pressure is critical")
    with gate.client() as client:
        client.ok("SET k v")


def test_a_node_that_refuses_info_is_told_once(start_gate, start_redis):
    redis = start_redis(user=[("default", "on", "nopass", "~*", "&*", "+@all", "-info")])
    gate = start_gate(redis, extra=pressure())
    gate.wait_log("its health is not known: INFO is refused: NOPERM")
    with gate.client() as client:
        for _ in range(20):
            client.ok("SET k v")
    assert gate.process.log().count("its health is not known") == 1


@pytest.mark.parametrize("options", [
    {"high": "95%"}, {"resume": "80%"}, {"critical": "70%"}, {"critical": "101%"}, {"high": "80"},
])
def test_conflicting_thresholds_are_refused(tmp_path, options):
    path = tmp_path / "respgate.conf"
    path.write_text("[pressure]\npoll = 1s\n" + "".join(f"{k} = {v}\n" for k, v in options.items()))
    path.chmod(0o600)
    code, out, err = run_binary("-t", "-c", path)
    assert code == 1 and f"{path}:3: " in out + err
