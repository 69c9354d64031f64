"""A live Redis is the oracle: raw bytes, and what our parser makes of them, mean the same to it.

The filter prints the requests it found in canonical form, and the error it ended with. Sent to
Redis, the canonical form must bring the replies that the raw bytes bring, then that error.
"""
import os
import pathlib
import random
import socket
import subprocess
import time

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
FILTER = os.environ.get("REQUEST_FILTER", str(ROOT / "build/tests/unit/resp/request_filter"))

pytestmark = pytest.mark.skipif(not os.access(FILTER, os.X_OK), reason="request_filter not built")


def encode(*args):
    return b"*%d\r\n" % len(args) + b"".join(b"$%d\r\n%s\r\n" % (len(a), a) for a in args)


SEEDS = [
    encode(b"ECHO", b"hallo"),
    encode(b"ECHO", b""),
    encode(b"ECHO", b"\r\n$3\r\n"),
    encode(b"x", b"a", b"b c", b"d"),
    encode(b"PING") * 3,
    b"*0\r\n" + encode(b"PING") + b"*-1\r\n*-7\r\n",
    b"ECHO hallo\r\n",
    b"\r\n\nPING\n",
    b"x \"a\\x41\\n\\\"b\" 'c\\'d' e\"f\"\r\n",
    b"x  a\tb\vc\fd \r\r\n",
    b"ECHO \"\\t\\b\\a\\r\\q\\\\\"\r\n",
]

FIXED = SEEDS + [
    b"*1\rx$4\ryPINGzz", b"*1\n$4\nPING\r\n", b"*\r\n", b"*x\r\n", b"*01\r\n", b"*-0\r\n",
    b"*+1\r\n", b"* 1\r\n", b"*1 \r\n", b"*2147483648\r\n", b"*9223372036854775808\r\n",
    b"*-9223372036854775808\r\nPING\r\n", b"*-9223372036854775809\r\n", b"*2147483647\r\n",
    b"*10\r\n", b"*11\r\n", b"*1\r\n$\r\n", b"*1\r\n$x\r\n", b"*1\r\n$-1\r\n", b"*1\r\n$-0\r\n",
    b"*1\r\n$04\r\nPING\r\n", b"*1\r\n$ 4\r\nPING\r\n", b"*1\r\n$4 \r\nPING\r\n",
    b"*1\r\n$536870912\r\n", b"*1\r\n$536870913\r\n", b"*1\r\n$9223372036854775808\r\n",
    b"*1\r\n$16384\r\n", b"*1\r\n$16385\r\n", b"*1\r\n\r\n", b"*1\r\n\n\r\n", b"*1\r\n\xff\r\n",
    b"*1\r\n*1\r\n$4\r\nPING\r\n", b"*1\r\n:1\r\n", b"*1\r\n+PING\r\n", b"*2\r\n$4\r\nECHO\r\n_\r\n",
    b"*2\r\n$4\r\nECHO\r\nPING\r\n", b"*1\r\n%1\r\n", encode(b"PING") + b"*1\r\n$x\r\n",
    b"$4\r\nPING\r\n", b"+PING\r\n", b"x \"a\r\n", b"x 'a\r\n", b"x \"a\"b\r\n", b"x 'a'b\r\n",
    b"x \"a\\\r\n", b"x 'a\\'\r\n", b"x \"a\"\vb\r\n", b"x \"\\x4\" \"\\xzz\"\r\n", b"x \x80\xff\r\n",
    b"*" + b"1" * 60000 + b"\r\n",
    b"*1\r\n$" + b"1" * 60000 + b"\r\n", b"x" + b" " * 60000 + b"y\r\n", b"x \"" + b"y" * 60000 + b"\r\n",
]

# Redis notices these after a read of its own choice, so nothing may follow.
ENDLESS = [b"*" + b"1" * 90000, b"*1\r\n$" + b"1" * 90000, b"x" * 90000]


def mutations(count):
    rng = random.Random(7)
    for _ in range(count):
        data = bytearray(b"".join(rng.choice(SEEDS) for _ in range(rng.randint(1, 4))))
        for _ in range(rng.randint(1, 4)):
            at = rng.randrange(len(data))
            # no NUL: strchr makes Redis wait for ever where we answer
            what = rng.choice(b"\r\n$*-+0123456789\"'\\ \t\vxyz\xff")
            data[at : at + rng.randint(0, 2)] = bytes([what] * rng.randint(0, 2))
        yield bytes(data)


class Server:
    def __init__(self, folder, *options):
        self.path = str(folder / "redis.sock")
        self.process = subprocess.Popen(
            ["redis-server", "--port", "0", "--unixsocket", self.path, "--save", "", "--dir",
             str(folder), *options], stdout=subprocess.DEVNULL)
        deadline = time.monotonic() + 20
        while self.answer(b"") is None:
            assert time.monotonic() < deadline, "redis-server does not answer"
            time.sleep(0.02)

    def answer(self, data):
        """All that Redis says until it has read everything or closes."""
        with socket.socket(socket.AF_UNIX) as link:
            link.settimeout(20)
            try:
                link.connect(self.path)
            except OSError:
                return None
            got = b""
            try:
                link.sendall(data)
                link.shutdown(socket.SHUT_WR)
            except OSError:
                pass  # closed early: what it said is still there
            try:
                while part := link.recv(65536):
                    got += part
            except ConnectionResetError:
                pass
            return got

    def stop(self):
        self.process.terminate()
        self.process.wait()


@pytest.fixture(scope="module", params=["user", "stranger"])
def server(request, tmp_path_factory):
    options = ["--requirepass", "secret"] if request.param == "stranger" else []
    server = Server(tmp_path_factory.mktemp(request.param), *options)
    server.limits = request.param
    yield server
    server.stop()


def check(server, data):
    for piece in (0, 1, 7, 5000) if len(data) < 1000 else (0, 5000):
        got = subprocess.run([FILTER, str(piece), server.limits], input=data,
                             capture_output=True, check=True)
        replies = server.answer(got.stdout)
        if got.stderr:
            replies += b"-ERR " + got.stderr + b"\r\n"
        # a wrong type byte we refuse at once, Redis when its line has come
        line = b"\r\n" if b"expected '$'" in got.stderr else b""
        assert replies == server.answer(data + line), (data[:200], piece, got)


@pytest.mark.parametrize("data", FIXED, ids=range(len(FIXED)))
def test_fixed(server, data):
    check(server, data)


@pytest.mark.parametrize("data", ENDLESS, ids=range(len(ENDLESS)))
def test_endless(server, data):
    check(server, data)


def test_mutated(server):
    for data in mutations(int(os.environ.get("ORACLE_ROUNDS", "300"))):
        check(server, data)
