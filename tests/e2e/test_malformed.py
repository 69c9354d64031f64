"""Malformed input: Redis' own words, then the connection closes; nobody else is hurt."""
from random import Random

import pytest

from harness.wire import Closed, encode

MALFORMED = {
    "array too long": b"*2147483648\r\n",
    "array longer still": b"*9999999999999999999999\r\n",
    "array of maximal int and one": b"*2147483647\r\n$-1\r\n",
    "array length no number": b"*abc\r\n",
    "array length with a tail": b"*3x\r\n",
    "array length with a sign": b"*+3\r\n",
    "array length empty": b"*\r\n",
    "bulk length negative": b"*1\r\n$-5\r\n",
    "bulk null": b"*1\r\n$-1\r\n",
    "bulk too long": b"*1\r\n$9999999999\r\n",
    "bulk just too long": b"*1\r\n$536870913\r\n",
    "bulk length no number": b"*1\r\n$x\r\n",
    "bulk length with blanks": b"*1\r\n$ 4\r\nPING\r\n",
    "bulk length empty": b"*1\r\n$\r\n\r\n",
    "nested array": b"*1\r\n*1\r\n$4\r\nPING\r\n",
    "integer argument": b"*1\r\n:1\r\n",
    "simple string argument": b"*2\r\n$4\r\nECHO\r\n+x\r\n",
    "inline as argument": b"*2\r\nPING\r\n",
    "null argument in RESP3": b"*2\r\n$4\r\nECHO\r\n_\r\n",
    "bare LF behind the length": b"*1\n$4\nPING\r\n",
    "64 KB without an end": b"A" * (64 * 1024 + 1),
    "array length without an end": b"*" + b"1" * (64 * 1024 + 1),
    "bulk length without an end": b"*1\r\n$" + b"1" * (64 * 1024 + 1),
    "quotes not closed": b"SET k \"open\r\n",
    "single quotes not closed": b"SET k 'open\r\n",
    "text behind a quote": b"SET k \"a\"b\r\n",
    "escape at the end": b"SET k \"\\\r\n",
}


def answer(client, data):
    """All that comes until the peer closes."""
    client.send(data)
    return client.closed()


@pytest.mark.parametrize("name", MALFORMED)
def test_error_text_is_that_of_redis(connect, store, name):
    data = MALFORMED[name]
    with store.client() as direct:
        expected = answer(direct, data)
    assert expected.startswith(b"-ERR Protocol error: ")
    assert answer(connect(), data) == expected


@pytest.mark.parametrize("name", MALFORMED)
def test_earlier_commands_are_answered_first(connect, store, name):
    before = encode("SET", "k", "v") + encode("MULTI") + encode("GET", "k") + encode("EXEC")
    with store.client() as direct:
        expected = answer(direct, before + MALFORMED[name])
    got = answer(connect(), before + MALFORMED[name])
    assert got == expected
    assert got.startswith(b"+OK\r\n+OK\r\n+QUEUED\r\n*1\r\n$1\r\nv\r\n-ERR Protocol error")


def test_nothing_behind_it_is_executed(connect, store):
    answer(connect(), b"*1\r\n$-5\r\n" + encode("SET", "evil", "1"))
    assert store.call("EXISTS evil") == 0


def test_a_wrong_end_of_a_bulk_is_never_forwarded(connect, store):
    """Redis skips the two bytes behind a bulk unseen; refusing them is as good. What must not
    happen is that the next command is read in another way than it is judged."""
    client = connect()
    client.send(b"*2\r\n$4\r\nECHO\r\n$5\r\nhelloXX" + encode("ECHO", "next"))
    try:
        first = client.read()
        assert first == b"hello" or first.startswith("ERR Protocol error")
        if first == b"hello":
            assert client.read() == b"next"
    except Closed:
        pass


def test_others_are_not_hurt(connect):
    """A bystander on the same shared link works on while others send garbage."""
    bystander = connect()
    for data in MALFORMED.values():
        bystander.send(encode("ECHO", "before"))
        answer(connect(), data)
        assert bystander.read() == b"before"


@pytest.mark.needs_gate
def test_random_garbage(start_gate, store):
    """No answer is prescribed; only that it lives, and serves."""
    gate = start_gate(store, proxy={"request-read-timeout": "300ms"})
    random = Random(20)
    bystander = gate.client()
    stems = [encode("SET", "k", "v"), b"*3\r\n$3\r\nSET\r\n", b"PING\r\n", b"\0\0\0\r\n", b"*1\r\n"]
    for number in range(200):
        data = bytearray(random.choice(stems) * random.randrange(1, 4))
        for _ in range(random.randrange(1, 20)):
            data[random.randrange(len(data))] = random.randrange(256)
        with gate.client() as client:
            client.send(bytes(data))
            if number % 3:
                client.abort()
        assert bystander.call("ECHO", str(number)) == b"%d" % number
    gate.check()


def test_http_is_refused(connect, store):
    """A browser made to POST at the port must not get its body executed."""
    data = b"POST / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\nSET evil 1\r\n"
    client = connect()
    client.send(data)
    client.closed()
    assert store.call("EXISTS evil") == 0
