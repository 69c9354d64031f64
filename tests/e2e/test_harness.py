"""The harness itself: what other tests lean on must hold."""
import ssl

import pytest

from harness.servers import Redis
from harness.wire import Client, Closed, Error, encode


def test_values_of_both_protocols(client):
    assert client.call("SET k 1") == b"OK"
    assert client.call("INCR k") == 2
    assert client.call("GET none") is None
    assert client.call("LPUSH k x").code == "WRONGTYPE"
    hello = client.call("HELLO 3")
    assert hello[b"proto"] == 3
    client.call("HSET h f v")
    assert client.call("HGETALL h") == {b"f": b"v"}
    client.call("ZADD z 1.5 m")
    assert client.call("ZSCORE z m") == 1.5
    assert client.call("GET none") is None


def test_raw_replies_are_exact(client):
    client.send(encode("SET", "k", "v") + encode("MGET", "k", "none") + encode("NONSENSE"))
    assert client.raw() == b"+OK\r\n"
    assert client.raw() == b"*2\r\n$1\r\nv\r\n$-1\r\n"
    assert client.raw().startswith(b"-ERR unknown command 'NONSENSE'")


def test_mutual_tls_store(keeper, certs):
    store = keeper.add(Redis(keeper.folder("redis"), certs=certs))
    assert store.call("PING") == b"PONG"
    with pytest.raises((ssl.SSLError, OSError, Closed)):
        client = Client(store.port, tls=certs.context())
        client.call("PING")


def test_tap_records_holds_and_cuts(store, start_tap):
    tap = start_tap(store)
    with Client(tap.port) as client:
        assert client.call("SET k v") == b"OK"
        assert encode("SET", "k", "v") in tap.all_sent()
        tap.change = lambda data, _: data.replace(b"v", b"w")
        assert client.call("GET k") == b"w"
        tap.cut()
        assert client.closed() == b""


def test_an_error_compares_as_text(client):
    reply = client.call("GET")
    assert isinstance(reply, Error)
    assert reply == "ERR wrong number of arguments for 'get' command"
