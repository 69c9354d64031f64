"""MONITOR and CLIENT TRACKING: streams that belong to one connection."""
import pytest

from harness.waiting import wait_until
from harness.wire import encode


def test_monitor(connect):
    watcher, worker = connect(), connect()
    assert watcher.call("MONITOR") == b"OK"
    worker.ok("SET watched value")
    seen = []
    while not any(b'"watched"' in line for line in seen):
        seen.append(watcher.read())
    assert b'"SET" "watched" "value"' in seen[-1]


def test_monitor_ends_with_the_connection(connect, store):
    watcher = connect()
    watcher.call("MONITOR")
    watcher.abort()
    wait_until(lambda: not any(" flags=O" in line for line in
                               store.call("CLIENT LIST").decode().splitlines()), "no monitor")
    for _ in range(5):
        assert connect().pipeline("MULTI", "PING", "EXEC")[-1] == [b"PONG"]


def test_reset_ends_monitor(connect):
    watcher, worker = connect(), connect()
    watcher.call("MONITOR")
    watcher.send(encode("RESET"))
    reply = watcher.read()
    while reply != b"RESET":
        reply = watcher.read()
    worker.call("SET k v")
    assert watcher.call("GET k") == b"v"


def test_invalidation(connect, store):
    client, writer = connect(), connect()
    client.call("HELLO 3")
    client.ok("CLIENT TRACKING on")
    assert client.call("GET k") is None
    writer.ok("SET k v")
    assert client.push() == [b"invalidate", [b"k"]]
    assert client.call("GET k") == b"v"
    store.call("DEL k")
    assert client.push() == [b"invalidate", [b"k"]]


def test_invalidation_of_many_keys_between_replies(connect):
    client, writer = connect(), connect()
    client.call("HELLO 3")
    client.ok("CLIENT TRACKING on")
    client.pipeline(*(f"GET k{n}" for n in range(100)))
    writer.pipeline(*(f"SET k{n} v" for n in range(100)))
    got = {client.push()[1][0] for _ in range(100)}
    assert got == {b"k%d" % n for n in range(100)}
    assert client.call("GET k7") == b"v"


def test_broadcast(connect):
    client, writer = connect(), connect()
    client.call("HELLO 3")
    client.ok("CLIENT TRACKING on BCAST PREFIX user:")
    writer.ok("SET user:1 x")
    writer.ok("SET other x")
    writer.ok("SET user:2 x")
    keys = []
    while len(keys) < 2:
        keys += client.push()[1]
    assert keys == [b"user:1", b"user:2"]


def test_tracking_is_one_clients_own(connect):
    """Its invalidations reach nobody else, though all share the store."""
    client, bystander, writer = connect(), connect(), connect()
    for each in client, bystander:
        each.call("HELLO 3")
    client.ok("CLIENT TRACKING on")
    client.call("GET k")
    bystander.call("GET k")
    writer.ok("SET k v")
    assert client.push() == [b"invalidate", [b"k"]]
    bystander.silent()
    assert not bystander.pushes


def test_tracking_off(connect):
    client, writer = connect(), connect()
    client.call("HELLO 3")
    client.ok("CLIENT TRACKING on")
    client.call("GET k")
    client.ok("CLIENT TRACKING off")
    writer.ok("SET k v")
    client.silent()
    assert client.call("GET k") == b"v"
    assert not client.pushes


def test_options(client):
    client.call("HELLO 3")
    client.ok("CLIENT TRACKING on OPTIN")
    assert client.pipeline("CLIENT CACHING yes", "GET k") == [b"OK", None]
    assert client.call("CLIENT TRACKING on OPTOUT").code == "ERR"
    info = client.call("CLIENT TRACKINGINFO")
    assert b"optin" in info[b"flags"]


def test_opt_in_caches_only_what_was_asked(connect):
    client, writer = connect(), connect()
    client.call("HELLO 3")
    client.ok("CLIENT TRACKING on OPTIN")
    client.pipeline("CLIENT CACHING yes", "GET a", "GET b")
    writer.pipeline("SET b x", "SET a x")
    assert client.push() == [b"invalidate", [b"a"]]


@pytest.mark.parametrize("command", ["CLIENT CACHING yes", "CLIENT TRACKING maybe",
                                     "CLIENT TRACKING on PREFIX a"])
def test_errors_as_direct(client, store, command):
    with store.client() as direct:
        expected = direct.call(command)
    assert client.call(command) == expected


def test_the_link_is_clean_afterwards(connect):
    for _ in range(3):
        client = connect()
        client.call("HELLO 3")
        client.ok("CLIENT TRACKING on BCAST")
        client.close()
    writer = connect()
    clients = [connect() for _ in range(6)]
    for client in clients:
        client.call("HELLO 3")
        assert client.pipeline("MULTI", "GET k", "EXEC")[-1] == [None]
    writer.ok("SET k v")
    for client in clients:
        assert client.pipeline("WATCH k", "MULTI", "GET k", "EXEC")[-1] == [b"v"]
        assert not client.pushes
