"""[queue NAME]: measured, bounded exactly between two looks, and warned of."""
import pytest

from harness.servers import run_binary, section
from harness.waiting import wait_until


def queue(name="q", keys="q", poll="100ms", **options):
    return (section("pressure", {"stream-poll": poll})
            + section(f"queue {name}", {"keys": keys, **{k.replace("_", "-"): v
                                                         for k, v in options.items()}}))


@pytest.mark.parametrize("add, one_less", [
    ("XADD q * f v", "XTRIM q MAXLEN 99"), ("RPUSH q v", "LPOP q"), ("LPUSH q v", "RPOP q"),
    ("ZADD q {n} m{n}", "ZPOPMIN q"),
])
def test_a_full_queue_refuses_what_adds_and_goes_on_when_there_is_room(start_gate, start_redis, add,
                                                                     one_less):
    gate = start_gate(start_redis(), extra=queue(max_length=100))
    with gate.client() as client:
        for number in range(100):
            assert not isinstance(client.call(add.format(n=number)), str), number
        reply = client.call(add.format(n=100))
        assert reply == "OOM respgate: queue 'q' holds 100"
        assert client.call("GET other") is None
        client.call(one_less)
        wait_until(lambda: not str(client.call(add.format(n=101))).startswith("OOM"), "room")


def test_many_at_once_and_all_keys_together(start_gate, start_redis):
    gate = start_gate(start_redis(), extra=queue(keys="a, b", poll="60s", max_length=10),
                      proxy={"threads": 2})
    with gate.client() as one, gate.client() as other:
        assert one.call("RPUSH a 1 2 3 4") == 4
        assert other.call("RPUSH b 1 2 3 4") == 4
        assert one.call("RPUSH b 1 2 3").startswith("OOM respgate: queue 'q' holds 8")
        assert one.call("RPUSH b 1 2") == 6
        assert other.call("RPUSH a 1").startswith("OOM respgate: queue 'q' holds 10")


def test_moving_on_is_not_refused(start_gate, start_redis):
    gate = start_gate(start_redis(), extra=queue(keys="wait, active", max_length=2))
    with gate.client() as client:
        assert client.call("RPUSH wait 1 2") == 2
        assert client.call("LMOVE wait active LEFT RIGHT") == b"1"
        assert client.call("RPOPLPUSH wait active") == b"2"


def test_in_a_transaction_it_aborts_and_draining_ones_pass(start_gate, start_redis):
    gate = start_gate(start_redis(), extra=queue(max_length=2))
    with gate.client() as client:
        replies = client.pipeline("MULTI", "RPUSH q 1", "RPUSH q 2", "EXEC")
        assert replies[-1] == [1, 2]
        replies = client.pipeline("MULTI", "RPUSH q 3", "EXEC")
        assert replies[1].code == "OOM" and replies[2].code == "EXECABORT"
        assert client.pipeline("MULTI", "LPOP q", "EXEC")[-1] == [b"1"]


def test_another_db_is_another_key(start_gate, start_redis):
    gate = start_gate(start_redis(), extra=queue(max_length=1))
    with gate.client() as client:
        assert client.call("RPUSH q 1") == 1
        client.ok("SELECT 1")
        assert client.call("RPUSH q 1") == 1 and client.call("RPUSH q 2") == 2


def test_trim_drops_the_oldest_and_says_so(start_gate, start_redis):
    redis = start_redis(stream_node_max_entries="10")
    gate = start_gate(redis, extra=queue(max_length=100, on_full="trim"))
    with gate.client() as client:
        for number in range(200):
            assert client.call(f"XADD q {number + 1}-1 f v")
        gate.wait_log("queue 'q' was full: the oldest [0-9]+ entries of 'q' were dropped")
        wait_until(lambda: client.call("XLEN q") <= 110, "the stream to be trimmed")
        assert client.call("XREVRANGE q + - COUNT 1")[0][0] == b"200-1"


def test_warnings_come_once_and_their_end_too(start_gate, start_redis):
    gate = start_gate(start_redis(), extra=queue(warn_length=5, warn_pending=3, warn_lag=2))
    with gate.client() as client:
        client.ok("XGROUP CREATE q g 0 MKSTREAM")
        for number in range(8):
            client.call(f"XADD q {number + 1}-1 f v")
        gate.wait_log("queue 'q': 8 entries wait in 'q', warned of above 5")
        gate.wait_log("queue 'q': 8 entries are not delivered yet")
        client.call("XREADGROUP GROUP g c COUNT 8 STREAMS q >")
        gate.wait_log("queue 'q': 8 entries are delivered and not acknowledged")
        client.call("XTRIM q MAXLEN 0")
        gate.wait_log("queue 'q': 0 entries wait in 'q', no longer above 5")
    assert gate.process.log().count("warned of above 5") == 1


def test_a_lag_redis_does_not_know_is_estimated_and_marked(start_gate, start_redis):
    gate = start_gate(start_redis(), extra=queue(warn_lag=2))
    with gate.client() as client:
        for number in range(10):
            client.call(f"XADD q {1000 + number}-1 f v")
        client.ok("XGROUP CREATE q g 1004-1")
        client.call("XDEL q 1007-1")
        gate.wait_log(r"queue 'q': [456] entries \(estimated\) are not delivered yet")


def test_what_is_no_queue_is_told(start_gate, start_redis):
    redis = start_redis()
    redis.call("SET", "q", "v")
    gate = start_gate(redis, extra=queue(max_length=1))
    gate.wait_log("'q' is neither stream nor list nor sorted set")


@pytest.mark.parametrize("text, line", [
    ("[queue q]\nkeys = a*\n", 2), ("[queue q]\nkeys = a\n[queue r]\nkeys = b, a\n", 4),
    ("[queue q]\nmax-length = 5\n", 1), ("[queue q]\nkeys = a, a\n", 2),
])
def test_mistakes_are_refused(tmp_path, text, line):
    path = tmp_path / "respgate.conf"
    path.write_text(text)
    path.chmod(0o600)
    code, out, err = run_binary("-t", "-c", path)
    assert code == 1 and f"{path}:{line}: " in out + err
