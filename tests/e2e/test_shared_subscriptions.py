"""[backend] share-channels: thousands of subscribers, one subscription at the backend.

All that test_pubsub.py promises holds here too: its tests run again with every channel shared.
"""
import pytest

from harness.servers import Gate
from harness.waiting import wait_until
from harness.wire import Closed, encode
from test_pubsub import *  # noqa: F401,F403
from test_pubsub import subscribers

pytestmark = pytest.mark.needs_gate
SHARE_ALL = {"share-channels": "*"}


@pytest.fixture
def gate(request, module_keeper, store, gate_box):
    if "gate" not in gate_box or not gate_box["gate"].alive():
        gate_box["gate"] = module_keeper.add(
            Gate(module_keeper.folder("gate"), store, backend=SHARE_ALL))
    request.node.gate = gate_box["gate"]
    yield gate_box["gate"]
    gate_box["gate"].check()


def numsub(server, channel):
    return server.call("PUBSUB", "NUMSUB", channel)[1]


def pubsub_links(store):
    return [line for line in store.call("CLIENT", "LIST", "TYPE", "pubsub").decode().splitlines()]


def test_one_subscription_for_all(connect, store):
    readers = [connect() for _ in range(50)]
    for reader in readers:
        assert reader.call("SUBSCRIBE news") == [b"subscribe", b"news", 1]
        assert reader.call("PSUBSCRIBE n*") == [b"psubscribe", b"n*", 2]
    assert numsub(store, "news") == 1
    assert store.call("PUBSUB NUMPAT") == 1
    assert len(pubsub_links(store)) == 1
    writer = connect()
    assert writer.call("PUBSUB NUMSUB news") == [b"news", 50]
    assert writer.call("PUBLISH news x") == 100
    for reader in readers:
        got = [reader.read(), reader.read()]
        assert sorted(map(len, got)) == [3, 4]
        assert all(message[-1] == b"x" for message in got)
        reader.close()
    subscribers(store, "news", 0)


def test_both_protocols_hear_the_same(connect, store):
    old, new, writer = connect(), connect(), connect()
    new.call("HELLO 3")
    old.call("SUBSCRIBE a")
    new.send(encode("SUBSCRIBE", "a"))
    assert new.push() == [b"subscribe", b"a", 1]
    assert writer.call("PUBLISH a x") == 2
    assert old.read() == [b"message", b"a", b"x"]
    assert new.push() == [b"message", b"a", b"x"]
    assert len(pubsub_links(store)) == 1


def test_large_messages_arrive_whole(connect):
    """Longer than a read of the link, and between the replies of a client that asks meanwhile."""
    readers = [connect() for _ in range(3)]
    for reader in readers:
        reader.call("HELLO 3")
        reader.send(encode("SUBSCRIBE", "big"))
        reader.push()
    writer = connect()
    large = bytes(range(256)) * 4096
    writer.call("SET", "large", large)
    for _ in range(3):
        readers[0].send(encode("GET", "large"))
        assert writer.call("PUBLISH", "big", large) == 3
    for reader in readers:
        if reader is readers[0]:
            assert all(reader.read() == large for _ in range(3))
        assert all(reader.push() == [b"message", b"big", large] for _ in range(3))


def test_some_channels_shared_some_not(start_redis, start_gate):
    redis = start_redis()
    gate = start_gate(redis, backend={"share-channels": "ws:*, chat"})
    with gate.client() as one, gate.client() as two, gate.client() as writer:
        for client in (one, two):
            assert client.call("SUBSCRIBE ws:1") == [b"subscribe", b"ws:1", 1]
            assert client.call("SUBSCRIBE own") == [b"subscribe", b"own", 2]
            assert client.call("SUBSCRIBE chat") == [b"subscribe", b"chat", 3]
        assert [numsub(redis, name) for name in ("ws:1", "own", "chat")] == [1, 2, 1]
        for name in ("ws:1", "own", "chat"):
            assert writer.call("PUBLISH", name, name) == 2
            for client in (one, two):
                assert client.read() == [b"message", name.encode(), name.encode()]
        one.send(encode("UNSUBSCRIBE", "ws:1", "own", "none"))
        got = [one.read() for _ in range(3)]
        assert {reply[1] for reply in got} == {b"ws:1", b"own", b"none"}
        assert got[-1][2] == 1
        assert one.call("GET k").startswith("ERR Can't execute")  # subscribed to chat still
        assert one.call("UNSUBSCRIBE") == [b"unsubscribe", b"chat", 0]
        assert one.call("GET k") is None
        two.send(encode("UNSUBSCRIBE"))
        got = [two.read() for _ in range(3)]
        assert [reply[2] for reply in got] == [2, 1, 0]
        assert two.call("SET k v") == b"OK"
        wait_until(lambda: numsub(redis, "ws:1") == 0, "the last to leave ends the subscription")


def test_a_mixed_command_is_not_shared(start_redis, start_gate):
    """Its confirmations come from one place, in the order of its names."""
    redis = start_redis()
    gate = start_gate(redis, backend={"share-channels": "ws:*"})
    with gate.client() as client:
        client.send(encode("SUBSCRIBE", "ws:1", "own"))
        assert [client.read(), client.read()] == [[b"subscribe", b"ws:1", 1],
                                                  [b"subscribe", b"own", 2]]
        assert client.call("SUBSCRIBE ws:2") == [b"subscribe", b"ws:2", 3]
        assert client.call("UNSUBSCRIBE ws:1") == [b"unsubscribe", b"ws:1", 2]
        redis.call("PUBLISH", "ws:2", "x")
        assert client.read() == [b"message", b"ws:2", b"x"]


def test_all_threads_share_one(start_redis, start_gate):
    redis = start_redis()
    gate = start_gate(redis, proxy={"threads": 3}, backend=SHARE_ALL)
    clients = [gate.client() for _ in range(9)]
    for client in clients:
        assert client.call("SUBSCRIBE a") == [b"subscribe", b"a", 1]
    assert numsub(redis, "a") == 1
    with gate.client() as writer:
        for number in range(200):
            assert writer.call("PUBLISH", "a", number) == 9
        for client in clients:
            assert [int(client.read()[2]) for _ in range(200)] == list(range(200))
        for client in clients:
            client.close()
        wait_until(lambda: numsub(redis, "a") == 0, "all to leave")
        assert writer.call("PUBLISH a x") == 0


def test_a_lost_link(start_redis, start_gate):
    """RESP2 is closed, as Redis would; RESP3 hears what comes after."""
    redis = start_redis()
    gate = start_gate(redis, backend={**SHARE_ALL, "dial-rate": "1000/s"})
    with gate.client() as old, gate.client() as new, gate.client() as writer:
        new.call("HELLO 3")
        new.send(encode("SUBSCRIBE", "a"))
        new.push()
        old.call("SUBSCRIBE a")
        redis.call("CLIENT", "KILL", "TYPE", "pubsub")
        old.closed()
        wait_until(lambda: numsub(redis, "a") == 1, "the subscription to be made again")
        assert writer.call("PUBLISH a x") == 1
        assert new.push() == [b"message", b"a", b"x"]


def test_backend_away(start_redis, start_gate):
    redis = start_redis()
    gate = start_gate(redis, backend={**SHARE_ALL, "park-timeout": "300ms"})
    with gate.client() as client:
        assert client.call("PING") == b"PONG"
        redis.kill()
        assert client.call("SUBSCRIBE a") == "ERR respgate: backend redis is unavailable"
        assert client.call("GET k").startswith("ERR respgate")  # not subscribed
        redis.start()
        wait_until(lambda: client.call("SUBSCRIBE a") == [b"subscribe", b"a", 1], "it to be back")


def test_the_stores_own_acl_holds(start_redis, start_gate):
    redis = start_redis(user=[("app", "on", ">secret", "~*", "&open:*", "+@all")])
    gate = start_gate(redis, backend=SHARE_ALL)
    with gate.client() as client, gate.client() as other:
        client.ok("AUTH app secret")
        assert client.call("SUBSCRIBE closed").code == "NOPERM"
        assert client.call("SUBSCRIBE open:1") == [b"subscribe", b"open:1", 1]
        assert other.call("SUBSCRIBE closed") == [b"subscribe", b"closed", 1]
        redis.call("PUBLISH", "closed", "x")
        redis.call("PUBLISH", "open:1", "y")
        assert other.read() == [b"message", b"closed", b"x"]
        assert client.read() == [b"message", b"open:1", b"y"]


def test_reset_and_client_list(connect, store):
    client, other = connect(), connect()
    client.call("SUBSCRIBE a")
    client.call("PSUBSCRIBE p*")
    line = [row for row in other.call("CLIENT LIST TYPE pubsub").decode().splitlines()]
    assert len(line) == 1 and " sub=1 psub=1 " in line[0] and " flags=P " in line[0]
    assert client.call("RESET") == b"RESET"
    assert client.call("SET k v") == b"OK"
    subscribers(store, "a", 0)


def test_one_that_does_not_read_is_closed_alone(start_redis, start_gate):
    redis = start_redis()
    gate = start_gate(redis, proxy={"client-output-limit": "1mb"}, backend=SHARE_ALL)
    with gate.client() as lazy, gate.client() as good, gate.client() as writer:
        lazy.call("SUBSCRIBE a")
        good.call("SUBSCRIBE a")
        message = b"x" * 100_000
        for number in range(400):
            assert writer.call("PUBLISH", "a", message) >= 1
            assert good.read() == [b"message", b"a", message]
        assert writer.call("PUBLISH a last") == 1
        with pytest.raises((Closed, ConnectionError)):
            while True:
                lazy.read()
