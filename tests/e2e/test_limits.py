"""Limits of [proxy]: each holds, and hurts only who goes beyond it."""
import socket
import time

import pytest

from harness.servers import SANITIZED
from harness.waiting import FACTOR, wait_until
from harness.wire import Closed, Error, encode

pytestmark = pytest.mark.needs_gate


def is_error(reply):
    return isinstance(reply, Error) and reply.startswith("ERR")


@pytest.fixture
def gate_with(start_gate, store):
    return lambda **proxy: start_gate(store, proxy={
        key.replace("_", "-"): value for key, value in proxy.items()})


def test_max_clients(gate_with):
    gate = gate_with(max_clients=3)
    clients = [gate.client() for _ in range(3)]
    for client in clients:
        assert client.call("PING") == b"PONG"
    with gate.client() as late:
        assert late.closed() == b"-ERR max number of clients reached\r\n"
    assert clients[0].call("PING") == b"PONG"
    clients[1].close()

    def room():
        client = gate.client()
        client.send(encode("PING"))
        try:
            return client if client.value() == b"PONG" else client.close()
        except Closed:
            return client.close()
    wait_until(room, "room for another").close()
    clients[0].close()
    clients[2].close()


def test_max_clients_per_ip(gate_with):
    gate = gate_with(max_clients_per_ip=2)
    clients = [gate.client() for _ in range(2)]
    assert [client.call("PING") for client in clients] == [b"PONG", b"PONG"]
    with gate.client() as late:
        assert late.closed().startswith(b"-ERR ")
    # another address of loopback
    other = socket.create_connection(("127.0.0.1", gate.port), 5, ("127.0.0.2", 0))
    other.sendall(b"PING\r\n")
    assert other.recv(100) == b"+PONG\r\n"
    other.close()
    for client in clients:
        client.close()


def test_a_client_that_does_not_read(gate_with, store):
    gate = gate_with(client_output_limit="2mb", client_output_soft_limit="1mb 60s")
    store.call("SET", "big", "x" * 100_000)
    greedy, other = gate.client(), gate.client()
    try:
        greedy.send(encode("GET", "big") * 2000)
    except OSError:
        pass
    for number in range(200):
        assert other.call("INCR n") == number + 1
    listed = greedy.sock.getsockname()[1]
    wait_until(lambda: f":{listed} " not in other.call("CLIENT LIST").decode(),
               "the client that does not read to be closed")
    greedy.close()
    other.close()


def test_soft_output_limit(gate_with, store):
    gate = gate_with(client_output_limit="1gb", client_output_soft_limit="1mb 300ms")
    store.call("SET", "big", "x" * 1_000_000)
    slow, other = gate.client(), gate.client()
    port = slow.sock.getsockname()[1]
    slow.send(encode("GET", "big") * 40)
    wait_until(lambda: f":{port} " not in other.call("CLIENT LIST").decode(),
               "the slow reader to be closed")
    slow.close()
    other.close()


def test_a_client_that_reads_late_but_reads(gate_with, store):
    gate = gate_with()
    store.call("SET", "big", "x" * 100_000)
    with gate.client() as client:
        client.send(encode("GET", "big") * 500)
        wait_until(lambda: int(store.call("INFO commandstats").split(b"cmdstat_get:calls=")[1]
                               .split(b",")[0]) >= 500, "all to be executed")
        for _ in range(500):
            assert len(client.read()) == 100_000


def test_max_request_size(gate_with, store):
    gate = gate_with(max_request_size="100kb")
    with gate.client() as client:
        client.ok("SET", "k", "x" * 90_000)
    with gate.client() as client:
        client.send(encode("MSET", *(["k", "x" * 30_000] * 4)))
        assert client.closed().startswith(b"-ERR")
    assert store.call("STRLEN k") == 90_000


def test_max_value_size(gate_with, store):
    gate = gate_with(max_value_size="10kb")
    with gate.client() as client:
        client.ok("SET", "k", "x" * 10_000)
        client.send(encode("SET", "k", "x" * 11_000))
        assert client.read().startswith("ERR")
    assert store.call("STRLEN k") == 10_000


def test_max_key_size(gate_with, store):
    gate = gate_with(max_key_size="100")
    with gate.client() as client:
        client.ok("SET", "k" * 100, "x")
        for command in (("SET", "k" * 101, "x"), ("MGET", "a", "k" * 101), ("WATCH", "k" * 101),
                        ("BLPOP", "k" * 101, "1")):
            assert is_error(client.call(*command)), command
        assert client.call("PING") == b"PONG"
        assert client.pipeline("MULTI", ("SET", "k" * 101, "x"), "EXEC")[-1].code == "EXECABORT"
    assert store.call("DBSIZE") == 1


@pytest.mark.parametrize("command", [
    ("CLIENT", "SETNAME", "n" * 101), ("SUBSCRIBE", "c" * 101), ("PSUBSCRIBE", "c" * 101),
    ("SSUBSCRIBE", "c" * 101), ("PUBLISH", "c" * 101, "x"),
    ("XREADGROUP", "GROUP", "g", "c" * 101, "STREAMS", "x", ">"),
    ("XGROUP", "CREATE", "x", "g" * 101, "0"), ("XGROUP", "CREATECONSUMER", "x", "g", "c" * 101)])
def test_max_name_size(gate_with, store, command):
    gate = gate_with(max_name_size="100")
    store.call("XGROUP CREATE x g 0 MKSTREAM")
    with gate.client() as client:
        assert is_error(client.call(*command))
        short = [part[:100] for part in command]
        assert not is_error(client.call(*short))


def test_max_watched_keys(gate_with):
    gate = gate_with(max_watched_keys=10)
    with gate.client() as client:
        client.ok("WATCH", *range(10))
        assert is_error(client.call("WATCH", "more"))
        client.ok("UNWATCH")
        client.ok("WATCH more")
        assert client.call("PING") == b"PONG"


def test_max_subscriptions(gate_with):
    gate = gate_with(max_subscriptions=5)
    with gate.client() as client:
        client.send(encode("SUBSCRIBE", *range(5)))
        assert [client.read()[2] for _ in range(5)] == [1, 2, 3, 4, 5]
        assert is_error(client.call("SUBSCRIBE more"))
        assert is_error(client.call("PSUBSCRIBE more*"))
        client.call("UNSUBSCRIBE 1")
        assert client.call("SUBSCRIBE other")[2] == 5


def test_max_queued(gate_with, store):
    """A transaction that grows beyond it is refused, and nothing of it is executed."""
    gate = gate_with(max_queued="100kb")
    with gate.client() as client:
        client.ok("MULTI")
        replies = [client.call("SET", f"k{n}", "x" * 10_000) for n in range(20)]
        assert replies[0] == b"QUEUED" and is_error(replies[-1])
        assert client.call("EXEC").code == "EXECABORT"
        assert store.call("DBSIZE") == 0
        assert client.pipeline("MULTI", "SET k v", "EXEC")[-1] == [b"OK"]


@pytest.mark.parametrize("half", [b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$100\r\nxxx", b"*3\r\n", b"SET k",
                                  b"*"])
def test_request_read_timeout(gate_with, half):
    gate = gate_with(request_read_timeout="200ms")
    with gate.client() as client, gate.client() as idle:
        client.call("PING")
        start = time.monotonic()
        client.send(half)
        client.closed()
        assert 0.1 < time.monotonic() - start < 3 * FACTOR
        # who is idle between requests is not meant
        assert idle.call("PING") == b"PONG"


def test_one_byte_now_and_then_does_not_help(gate_with):
    gate = gate_with(request_read_timeout="300ms")
    with gate.client() as client:
        client.send(b"*1\r\n$1000\r\n")
        end = time.monotonic() + 5 * FACTOR
        client.sock.settimeout(0.05)
        closed = False
        while not closed and time.monotonic() < end:
            try:
                client.send(b"x")
                closed = client.sock.recv(100) == b""
            except socket.timeout:
                pass
            except OSError:
                closed = True
        assert closed


def test_transaction_timeout(gate_with, store):
    gate = gate_with(transaction_timeout="200ms")
    for opening in (["MULTI", "SET k v"], ["WATCH k"]):
        with gate.client() as client:
            client.pipeline(*opening)
            client.closed()
    assert store.call("EXISTS k") == 0
    with gate.client() as client:
        for _ in range(5):
            assert client.pipeline("MULTI", "PING", "EXEC")[-1] == [b"PONG"]


def test_client_idle_timeout(gate_with, store):
    gate = gate_with(client_idle_timeout="300ms")
    idle, busy, blocked, subscribed = (gate.client() for _ in range(4))
    idle.call("PING")
    blocked.send(encode("BLPOP", "k", "0"))
    subscribed.call("SUBSCRIBE c")
    start = time.monotonic()
    while time.monotonic() - start < 0.8:
        assert busy.call("PING") == b"PONG"
    idle.closed()
    # as with Redis' own timeout: who waits for something is not idle
    store.call("RPUSH k v")
    assert blocked.read() == [b"k", b"v"]
    store.call("PUBLISH c x")
    assert subscribed.read() == [b"message", b"c", b"x"]
    for client in (busy, blocked, subscribed):
        client.close()


@pytest.mark.skipif(SANITIZED, reason="sanitizers keep freed memory")
def test_buffers_are_given_back(gate_with, store):
    gate = gate_with()

    def memory():
        with open(f"/proc/{gate.process.pid}/status", encoding="ascii") as status:
            return int(next(line for line in status if line.startswith("VmRSS")).split()[1])
    with gate.client() as client:
        client.ok("SET", "k", "x" * 1000)
        before = memory()
        for _ in range(3):
            client.ok("SET", "big", "x" * 50_000_000)
            assert len(client.call("GET big")) == 50_000_000
        client.call("DEL big")
        wait_until(lambda: memory() < before + 40_000 * FACTOR, "memory to be given back")


@pytest.mark.parametrize("data", [b"*2147483647\r\n", b"*1000000\r\n" + b"$0\r\n\r\n" * 10,
                                  b"*1\r\n$536870912\r\n", b"*0\r\n" * 200_000],
                         ids=["array", "empty arguments", "bulk", "empty arrays"])
def test_little_input_takes_little_memory(gate_with, data):
    """A length alone must not allocate."""
    gate = gate_with()
    clients = [gate.client() for _ in range(20)]
    for client in clients:
        client.send(data)
    with gate.client() as probe:
        for _ in range(5):
            assert probe.call("PING") == b"PONG"
    with open(f"/proc/{gate.process.pid}/status", encoding="ascii") as status:
        used = int(next(line for line in status if line.startswith("VmRSS")).split()[1])
    assert used < 100_000 * FACTOR
    for client in clients:
        client.close()


def test_proxy_protocol(gate_with):
    """The address of the client, as a balancer in front tells it."""
    gate = gate_with(proxy_protocol="yes")
    with gate.client() as client:
        client.send(b"PROXY TCP4 203.0.113.7 10.0.0.1 4711 6380\r\n" + encode("CLIENT", "INFO"))
        assert "addr=203.0.113.7:4711 " in client.read().decode()
    with gate.client() as client:
        client.send(b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c" + bytes([198, 51, 100, 9, 10, 0, 0, 1])
                    + (4712).to_bytes(2, "big") + (6380).to_bytes(2, "big") + encode("CLIENT", "INFO"))
        assert "addr=198.51.100.9:4712 " in client.read().decode()
    with gate.client() as client:
        client.send(encode("PING"))
        assert b"PONG" not in client.closed()


def test_accept_rate(gate_with):
    """The rest wait, and are served all the same."""
    gate = gate_with(accept_rate=20)
    start = time.monotonic()
    clients = [gate.client() for _ in range(30)]
    for client in clients:
        assert client.call("PING") == b"PONG"
        client.close()
    assert 0.3 < time.monotonic() - start < 10 * FACTOR


def test_a_large_reply_passes_in_little_memory(start_gate, store):
    """The proxy waits for a client that reads, rather than buffer for it."""
    gate = start_gate(store)
    size = 200_000_000
    store.call("SETRANGE", "large", size - 1, "x")

    def peak():
        with open(f"/proc/{gate.process.pid}/status", encoding="ascii") as status:
            return int(next(line for line in status if line.startswith("VmHWM")).split()[1])
    with gate.client(timeout=60.0) as client:
        client.call("PING")
        before = peak()
        client.send(encode("GET", "large"))
        assert client._line() == b"$%d" % size
        for _ in range(200):
            assert len(client._exactly(1_000_000)) == 1_000_000
        assert client._exactly(2) == b"\r\n"
        assert peak() < before + 20_000 * FACTOR
    store.call("DEL large")
