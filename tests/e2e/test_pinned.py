"""The death of a pinned link, as section 4 of the contract tells it, and limits on pinned links."""
import pytest

from harness.waiting import wait_until
from harness.wire import encode


@pytest.fixture
def redis(start_redis):
    return start_redis()


@pytest.fixture
def tap(redis, start_tap):
    return start_tap(redis)


@pytest.fixture
def gate(start_gate, tap):
    return start_gate(tap, backend={"park-timeout": "2s", "dial-rate": "500/s",
                                    "breaker-probe": "20ms"})


@pytest.fixture
def client(gate):
    with gate.client() as client:
        yield client


def cut(tap, gate):
    """Cuts all connections. What comes next finds the pinned link dead, not just dying: a command
    that is on its way then may have run, and is answered so."""
    since = gate.process.log_size()
    tap.cut()
    gate.wait_log(r" pinned owned\] ", since)


def recovered(client):
    wait_until(lambda: client.call("PING") == b"PONG", "the client to work again")


def test_multi(client, gate, tap, redis):
    assert client.pipeline("MULTI", "SET k v") == [b"OK", b"QUEUED"]
    cut(tap, gate)
    reply = client.call("EXEC")
    assert reply.code == "EXECABORT", reply
    recovered(client)
    assert redis.call("EXISTS k") == 0
    assert client.pipeline("MULTI", "SET k v", "EXEC")[-1] == [b"OK"]


def test_multi_between_commands(client, gate, tap, redis):
    client.pipeline("MULTI", "SET k v")
    cut(tap, gate)
    client.call("SET other v")
    assert client.call("EXEC").code == "EXECABORT"
    recovered(client)
    assert redis.call("EXISTS k other") == 0


def test_multi_and_discard(client, gate, tap):
    client.pipeline("MULTI", "SET k v")
    cut(tap, gate)
    assert client.call("DISCARD") == b"OK"
    recovered(client)


def test_while_exec_runs(client, gate, tap, redis):
    """Nobody knows whether it ran, and nobody says it did not."""
    assert client.pipeline("MULTI", "GET n", "EXEC")[-1] == [None]
    tap.holding = True
    client.send(encode("MULTI") + encode("INCR", "n") + encode("EXEC"))
    wait_until(lambda: tap.all_sent().count(encode("MULTI")) >= 2, "the transaction to be sent")
    cut(tap, gate)
    tap.holding = False
    replies = [client.read() for _ in range(3)]
    assert getattr(replies[2], "code", None) in ("EXECABORT", "ERR"), replies
    recovered(client)
    assert redis.call("GET n") in (None, b"1")


def test_watch(client, gate, tap, redis):
    redis.call("SET k before")
    client.ok("WATCH k")
    cut(tap, gate)
    assert client.pipeline("MULTI", "SET k after", "EXEC")[-1] is None
    assert redis.call("GET k") == b"before"
    recovered(client)
    # only the next EXEC
    assert client.pipeline("MULTI", "SET k after", "EXEC")[-1] == [b"OK"]


def test_watch_in_resp3(client, gate, tap):
    client.call("HELLO 3")
    client.ok("WATCH k")
    cut(tap, gate)
    client.send(encode("MULTI") + encode("SET", "k", "v") + encode("EXEC"))
    assert [client.raw() for _ in range(3)] == [b"+OK\r\n", b"+QUEUED\r\n", b"_\r\n"]


def test_watch_and_unwatch(client, gate, tap):
    client.ok("WATCH k")
    cut(tap, gate)
    client.ok("UNWATCH")
    assert client.pipeline("MULTI", "SET k v", "EXEC")[-1] == [b"OK"]


@pytest.mark.parametrize("command", ["BLPOP k 0", "BZPOPMIN k 0", "XREAD BLOCK 0 STREAMS k $",
                                     "BLMOVE k l LEFT LEFT 0"])
def test_blocked(client, gate, tap, redis, command):
    client.send(encode(*command.split()))
    wait_until(lambda: redis.info("blocked_clients") == "1", "the client to block")
    cut(tap, gate)
    assert client.read().startswith("ERR respgate:")
    recovered(client)


def test_blocked_is_not_sent_again(client, gate, tap, redis):
    client.send(encode("BLPOP", "k", "0"))
    wait_until(lambda: redis.info("blocked_clients") == "1", "the client to block")
    cut(tap, gate)
    client.read()
    redis.call("RPUSH k v")
    recovered(client)
    assert redis.call("LLEN k") == 1


def test_subscribed_in_resp2_closes(client, gate, tap):
    client.call("SUBSCRIBE c")
    cut(tap, gate)
    client.closed()


def test_subscribed_in_resp3_subscribes_again(client, gate, tap, redis):
    client.call("HELLO 3")
    for kind, channel in (("SUBSCRIBE", "c"), ("PSUBSCRIBE", "p*"), ("SSUBSCRIBE", "s")):
        client.send(encode(kind, channel))
        client.push()
    cut(tap, gate)
    wait_until(lambda: redis.call("PUBLISH c again") == 1, "the subscription")
    wait_until(lambda: redis.call("PUBLISH pattern again") == 1, "the pattern")
    wait_until(lambda: redis.call("SPUBLISH s again") == 1, "the sharded one")
    got = []
    while len(got) < 3:
        push = client.push()
        if push[0] in (b"message", b"pmessage", b"smessage"):
            got.append(push[-1])
    assert got == [b"again"] * 3
    recovered(client)


def test_monitor_closes(client, gate, tap):
    client.call("MONITOR")
    cut(tap, gate)
    client.closed()


def test_tracking_invalidates_all_and_goes_on(client, gate, tap, redis):
    client.call("HELLO 3")
    client.ok("CLIENT TRACKING on")
    client.call("GET k")
    cut(tap, gate)
    push = client.push()
    assert push == [b"invalidate", None]
    recovered(client)
    client.call("GET k")
    redis.call("SET k changed")
    assert client.push() == [b"invalidate", [b"k"]]


def test_the_death_of_a_pinned_link_hurts_only_its_client(gate, tap, redis):
    pinned, other = gate.client(), gate.client()
    pinned.pipeline("MULTI", "SET k v")
    other.ok("SET other v")
    # kill the connection that holds the transaction, at the store
    lines = redis.call("CLIENT LIST").decode().splitlines()
    victim = next(line for line in lines if " multi=" in line and " multi=-1" not in line) \
        if any(" multi=1" in line for line in lines) else None
    if victim is None:
        pytest.skip("the transaction is queued by respgate itself")
    redis.call("CLIENT", "KILL", "ID", victim.split()[0].split("=")[1])
    assert other.call("GET other") == b"v"
    assert pinned.call("EXEC").code == "EXECABORT"
    pinned.close()
    other.close()


# -- limits on pinned links --------------------------------------------------------------------


def test_blocked_clients_do_not_take_all_pinned_links(start_gate, redis):
    """A fifth of them is kept for MULTI."""
    gate = start_gate(redis, backend={"max-pinned-links": 10, "park-timeout": "200ms",
                                      "dial-rate": "500/s"})
    blocked = [gate.client() for _ in range(20)]
    for client in blocked:
        client.send(encode("BLPOP", "none", "0"))
    wait_until(lambda: int(redis.info("blocked_clients")) >= 8, "the links to be taken")
    with gate.client() as client:
        assert client.pipeline("MULTI", "SET k v", "EXEC")[-1] == [b"OK"]
        assert client.call("GET k") == b"v"
    assert int(redis.info("blocked_clients")) == 8
    for client in blocked:
        client.close()


def test_pinned_per_ip(start_gate, redis):
    gate = start_gate(redis, backend={"pinned-per-ip": 3, "park-timeout": "100ms",
                                      "dial-rate": "500/s"})
    blocked = [gate.client() for _ in range(3)]
    for client in blocked:
        client.send(encode("BLPOP", "none", "0"))
    wait_until(lambda: redis.info("blocked_clients") == "3", "three to block")
    with gate.client() as client:
        assert client.call("BLPOP none 1").code == "ERR"
        assert client.call("PING") == b"PONG"
    blocked[0].abort()
    wait_until(lambda: redis.info("blocked_clients") == "2", "one to leave")
    with gate.client() as client:
        assert client.call("BLPOP none 0.01") is None
    for client in blocked:
        client.close()
