"""The protocol as clients speak it: HELLO, both versions, inline, pipelines, splits, sizes."""
import os

import pytest

from harness.wire import encode

MIXED = (encode("SET", "a", "1") + encode("INCR", "a") + b"SET b 'two words'\r\n"
         + encode("MGET", "a", "b", "none") + b"\r\n" + b"*0\r\n" + encode("LPUSH", "l", "x", "")
         + encode("LRANGE", "l", "0", "-1") + b"get a\n" + encode("NONSENSE"))
MIXED_REPLY = (b"+OK\r\n:2\r\n+OK\r\n*3\r\n$1\r\n2\r\n$9\r\ntwo words\r\n$-1\r\n:2\r\n"
               b"*2\r\n$0\r\n\r\n$1\r\nx\r\n$1\r\n2\r\n"
               b"-ERR unknown command 'NONSENSE', with args beginning with: \r\n")


def exactly(client, expected):
    """Reads as many bytes as expected, and shows that no more follow."""
    got = client._exactly(len(expected))
    assert got == expected
    client.silent()


def test_hello_without_version_tells_the_server(client):
    hello = client.call("HELLO")
    fields = dict(zip(hello[::2], hello[1::2]))
    assert fields[b"server"] == b"redis" and fields[b"proto"] == 2
    assert fields[b"mode"] == b"standalone" and fields[b"role"] == b"master"
    assert isinstance(fields[b"id"], int) and fields[b"version"].startswith(b"7.")


def test_hello_3_switches_to_resp3_and_2_back(client):
    assert client.call("HELLO 3")[b"proto"] == 3
    client.call("HSET h a 1 b 2")
    assert client.call("HGETALL h") == {b"a": b"1", b"b": b"2"}
    client.call("ZADD z 2.5 m")
    client.send(encode("ZSCORE", "z", "m") + encode("SADD", "s", "1") + encode("SMEMBERS", "s")
                + encode("GET", "none") + encode("BLPOP", "none", "0.01"))
    assert [client.raw() for _ in range(5)] == [
        b",2.5\r\n", b":1\r\n", b"~1\r\n$1\r\n1\r\n", b"_\r\n", b"_\r\n"]
    assert isinstance(client.call("HELLO 2"), list)
    assert client.call("HGETALL h") == [b"a", b"1", b"b", b"2"]


@pytest.mark.parametrize("version", ["1", "4", "99", "-1"])
def test_hello_of_an_unknown_version(client, version):
    reply = client.call("HELLO", version)
    assert reply == "NOPROTO unsupported protocol version"
    assert client.call("PING") == b"PONG"


def test_hello_with_garbage(client):
    assert client.call("HELLO three") == "ERR Protocol version is not an integer or out of range"
    assert client.call("HELLO 3 NONSENSE").code == "ERR"
    assert client.call("HELLO 3 SETNAME").code == "ERR"
    client.call("HSET h a 1")
    assert client.call("HGETALL h") == [b"a", b"1"]


def test_hello_setname(client):
    client.call("HELLO 3 SETNAME worker-7")
    assert client.call("CLIENT GETNAME") == b"worker-7"


def test_hello_in_the_middle_of_a_pipeline(client):
    """Replies before it are RESP2, those behind it RESP3."""
    client.call("HSET h a 1")
    client.send(encode("HGETALL", "h") + encode("HELLO", "3") + encode("HGETALL", "h")
                + encode("HELLO", "2") + encode("HGETALL", "h"))
    replies = [client.value() for _ in range(5)]
    assert replies[0] == [b"a", b"1"] and replies[2] == {b"a": b"1"} and replies[4] == [b"a", b"1"]


def test_protocols_do_not_mix(connect):
    """Clients of both versions on the same shared links get their own shape."""
    two, three = connect(), connect()
    three.call("HELLO 3")
    two.call("HSET h a 1")
    for _ in range(20):
        assert two.call("HGETALL h") == [b"a", b"1"]
        assert three.call("HGETALL h") == {b"a": b"1"}
        assert two.call("GET none") is None


@pytest.mark.parametrize("line, reply", [
    (b"PING\r\n", b"+PONG\r\n"),
    (b"PING\n", b"+PONG\r\n"),
    (b"   PING   hello  \r\n", b"$5\r\nhello\r\n"),
    (b"ECHO \"a b\"\r\n", b"$3\r\na b\r\n"),
    (b"ECHO 'a b'\r\n", b"$3\r\na b\r\n"),
    (b"ECHO \"\\x41\\x00\\xff\"\r\n", b"$3\r\nA\0\xff\r\n"),
    (b"ECHO \"\\n\\r\\t\\b\\a\\\\\\\"\"\r\n", b"$7\r\n\n\r\t\b\a\\\"\r\n"),
    (b"ECHO '\\x41'\r\n", b"$4\r\n\\x41\r\n"),
    (b"ECHO 'it\\'s'\r\n", b"$4\r\nit's\r\n"),
    (b"ECHO \"\\xzz\"\r\n", b"$3\r\nxzz\r\n"),
    (b"ECHO \"\"\r\n", b"$0\r\n\r\n"),
    (b"eChO\ttab\r\n", b"$3\r\ntab\r\n"),
])
def test_inline(client, line, reply):
    client.send(line)
    exactly(client, reply)


@pytest.mark.parametrize("nothing", [b"\r\n", b"\n", b"   \r\n", b"*0\r\n", b"*-1\r\n", b"*-7\r\n",
                                     b"\r\n\r\n*0\r\n\n*-1\r\n"])
def test_what_is_answered_by_nothing(client, nothing):
    client.send(nothing)
    client.silent()
    client.send(encode("ECHO", "before") + nothing + encode("ECHO", "behind"))
    exactly(client, b"$6\r\nbefore\r\n$6\r\nbehind\r\n")


def test_a_split_at_every_byte(connect, store):
    client = connect()
    for cut in range(1, len(MIXED)):
        store.call("FLUSHALL")
        client.send_pieces(MIXED, [cut])
        exactly(client, MIXED_REPLY)
    assert store.call("LRANGE l 0 -1") == [b"", b"x"]


def test_byte_by_byte(client):
    client.send_pieces(MIXED, range(len(MIXED)))
    exactly(client, MIXED_REPLY)


def test_replies_read_byte_by_byte(client):
    """A tiny receive window: respgate must cope with short writes."""
    value = os.urandom(300_000)
    client.call("SET", "big", value)
    client.send(encode("GET", "big") * 5 + encode("ECHO", "end"))
    for _ in range(5):
        assert client.read() == value
    assert client.read() == b"end"


def test_keys_and_values_are_binary_safe(client, store):
    everything = bytes(range(256)) * 3 + b"\r\n$5\r\n*1\r\n"
    client.ok("SET", everything, everything)
    assert client.call("GET", everything) == everything
    assert store.call("GET", everything) == everything
    client.call("RPUSH", b"", b"", b"\0")
    assert store.call("LRANGE", b"", "0", "-1") == [b"", b"\0"]


def test_a_pipeline_100000_deep(client, store):
    """Everything is written before anything is read, as some clients do."""
    count = 100_000
    client.sock.settimeout(60)
    client.send(encode("INCR", "n") * count + encode("ECHO", "end"))
    for number in range(1, count + 1):
        assert client.read() == number
    assert client.read() == b"end"
    assert store.call("GET n") == b"%d" % count


def test_many_arguments(client, store):
    values = [str(n) for n in range(50_000)]
    assert client.call("RPUSH", "l", *values) == len(values)
    assert store.call("LLEN l") == len(values)
    assert client.call("LRANGE l 0 -1") == [v.encode() for v in values]


@pytest.mark.parametrize("size", [16 * 1024, 64 * 1024 - 1, 64 * 1024, 1 << 20, 20 << 20])
def test_values_of_any_size(connect, store, size):
    client, other = connect(), connect()
    value = os.urandom(size)
    client.ok("SET", "big", value)
    assert other.call("GET big") == value
    assert store.call("STRLEN big") == size


@pytest.mark.slow
def test_a_value_of_512_mb(connect, store):
    """The largest Redis takes; needs some 2 GB free."""
    free = int(next(line for line in open("/proc/meminfo", encoding="ascii")
                    if line.startswith("MemAvailable")).split()[1]) // 1024
    if free < 6000:
        pytest.skip(f"only {free} MB of memory available")
    client = connect(timeout=120.0)
    size = 512 << 20
    client.send(b"*3\r\n$3\r\nSET\r\n$3\r\nbig\r\n$%d\r\n" % size)
    block = b"0123456789abcdef" * 65536
    for _ in range(size // len(block)):
        client.send(block)
    client.send(b"\r\n")
    assert client.read() == b"OK"
    assert store.call("STRLEN big") == size
    client.send(encode("GET", "big") + encode("ECHO", "end"))
    assert client._line() == b"$%d" % size
    for _ in range(size // len(block)):
        same = client._exactly(len(block)) == block  # not in the assert, which would print it
        assert same
    assert client._exactly(2) == b"\r\n"
    assert client.read() == b"end"
    client.call("DEL big")


def test_a_client_that_shuts_down_its_writing_side_gets_all_replies(client):
    import socket
    client.send(encode("SET", "a", "1") + encode("INCR", "a") * 100 + encode("GET", "a"))
    client.sock.shutdown(socket.SHUT_WR)
    assert client.closed().endswith(b":101\r\n$3\r\n101\r\n")
