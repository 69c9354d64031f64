"""Blocking commands: who waits holds up nobody, and gets its own answer."""
import time

import pytest

from harness.waiting import FACTOR, wait_until
from harness.wire import encode

BLOCKING = {
    "BLPOP": ("BLPOP k {}", "RPUSH k v", [b"k", b"v"]),
    "BRPOP": ("BRPOP k {}", "RPUSH k v", [b"k", b"v"]),
    "BRPOPLPUSH": ("BRPOPLPUSH k other {}", "RPUSH k v", b"v"),
    "BLMOVE": ("BLMOVE k other LEFT RIGHT {}", "RPUSH k v", b"v"),
    "BLMPOP": ("BLMPOP {} 1 k LEFT", "RPUSH k v", [b"k", [b"v"]]),
    "BZPOPMIN": ("BZPOPMIN k {}", "ZADD k 1 m", [b"k", b"m", b"1"]),
    "BZPOPMAX": ("BZPOPMAX k {}", "ZADD k 1 m", [b"k", b"m", b"1"]),
    "BZMPOP": ("BZMPOP {} 1 k MIN", "ZADD k 1 m", [b"k", [[b"m", b"1"]]]),
    "XREAD": ("XREAD BLOCK {ms} STREAMS k $", "XADD k 1-1 f v", [[b"k", [[b"1-1", [b"f", b"v"]]]]]),
    "xread in odd case": ("xReAd cOuNt 1 bLoCk {ms} sTrEaMs k $", "XADD k 1-1 f v",
                          [[b"k", [[b"1-1", [b"f", b"v"]]]]]),
}


@pytest.fixture
def waiting(store):
    """Waits until the store has so many blocked connections."""
    def wait(count):
        wait_until(lambda: int(store.info("blocked_clients")) == count,
                   f"{count} blocked connections")
    return wait


@pytest.mark.parametrize("name", BLOCKING)
def test_is_woken(connect, store, waiting, name):
    form, wake, expected = BLOCKING[name]
    blocked, other = connect(), connect()
    blocked.send(encode(*form.format("0", ms=0).split()))
    waiting(1)
    assert other.call("PING") == b"PONG"
    other.call(wake)
    assert blocked.read() == expected
    assert blocked.call("PING") == b"PONG"


@pytest.mark.parametrize("name", BLOCKING)
def test_times_out(client, name):
    form = BLOCKING[name][0]
    start = time.monotonic()
    assert client.call(*form.format("0.05", ms=50).split()) is None
    assert 0.04 < time.monotonic() - start < 2 * FACTOR
    assert client.call("PING") == b"PONG"


def test_xreadgroup(connect, waiting):
    blocked, other = connect(), connect()
    other.ok("XGROUP CREATE k g $ MKSTREAM")
    blocked.send(encode(*"XREADGROUP GROUP g c Block 0 COUNT 1 STREAMS k >".split()))
    waiting(1)
    other.call("XADD k 1-1 f v")
    assert blocked.read() == [[b"k", [[b"1-1", [b"f", b"v"]]]]]
    assert other.call("XACK k g 1-1") == 1
    assert blocked.call("XREADGROUP GROUP g c BLOCK 30 STREAMS k >") is None


def test_a_consumer_named_block_does_not_block(client):
    client.ok("XGROUP CREATE k g $ MKSTREAM")
    assert client.call("XREADGROUP GROUP g block STREAMS k >") is None
    assert client.call("XREADGROUP GROUP block 0 STREAMS k >").code == "NOGROUP"
    assert client.call("XREAD STREAMS block 0") is None


def test_available_at_once(client):
    assert client.pipeline("RPUSH k a b", "BLPOP k 0", "BRPOP none k 0") == [
        2, [b"k", b"a"], [b"k", b"b"]]


def test_commands_behind_it_wait(connect, waiting):
    """As direct: a connection's replies come in order."""
    blocked, other = connect(), connect()
    blocked.send(encode("SET", "a", "1") + encode("BLPOP", "k", "0") + encode("GET", "a")
                 + encode("INCR", "a"))
    assert blocked.read() == b"OK"
    waiting(1)
    assert other.call("GET a") == b"1"
    other.call("RPUSH k v")
    assert [blocked.read() for _ in range(3)] == [[b"k", b"v"], b"1", 2]


def test_first_come_first_served(connect, waiting):
    clients = [connect() for _ in range(10)]
    for number, client in enumerate(clients):
        client.send(encode("BLPOP", "k", "0"))
        waiting(number + 1)
    pusher = connect()
    pusher.call("RPUSH", "k", *range(10))
    assert [client.read()[1] for client in clients] == [b"%d" % n for n in range(10)]


def test_many_do_not_hold_up_others(connect, waiting):
    clients = [connect() for _ in range(50)]
    for client in clients:
        client.send(encode("BLPOP", "k", "0"))
    waiting(50)
    bystander = connect()
    for number in range(100):
        assert bystander.call("INCR n") == number + 1
    bystander.call("RPUSH", "k", *range(50))
    assert sorted(int(client.read()[1]) for client in clients) == list(range(50))


@pytest.mark.parametrize("how", ["close", "abort"])
def test_leaving_while_blocked_takes_nothing(connect, waiting, store, how):
    """Who left must not swallow the next element."""
    client = connect()
    client.send(encode("BLPOP", "k", "0"))
    waiting(1)
    getattr(client, how)()
    waiting(0)
    connect().call("RPUSH k v")
    assert store.call("LRANGE k 0 -1") == [b"v"]


def test_timeout_errors_as_direct(client):
    assert client.call("BLPOP k x") == "ERR timeout is not a float or out of range"
    assert client.call("BLPOP k -1") == "ERR timeout is negative"
    assert client.call("SET k string") == b"OK"
    assert client.call("BLPOP k 0").code == "WRONGTYPE"


def test_in_resp3(connect, waiting):
    client = connect()
    client.call("HELLO 3")
    client.send(encode("BLPOP", "k", "0.02"))
    assert client.raw() == b"_\r\n"
    client.call("ZADD z 1.5 m")
    assert client.call("BZPOPMIN z 0") == [b"z", b"m", 1.5]


@pytest.mark.needs_gate
def test_request_timeout_does_not_apply(start_gate, store):
    gate = start_gate(store, backend={"request-timeout": "100ms"})
    with gate.client() as client:
        assert client.call("BLPOP none 0.5") is None
        assert client.call("PING") == b"PONG"


def test_longer_than_a_request_timeout_elsewhere(connect, waiting):
    """Many short blocks after each other on links that are used again."""
    client = connect()
    for _ in range(20):
        assert client.call("BLPOP none 0.001") is None
    waiting(0)
