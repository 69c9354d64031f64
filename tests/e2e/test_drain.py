"""Draining while other things go on: what is under way is answered, what comes is no harm, and
respgate ends as soon as nobody has anything under way."""
import signal
import time

import pytest

from harness.waiting import FACTOR
from harness.wire import encode

pytestmark = pytest.mark.needs_gate

QUICK = {"park-timeout": "500ms", "connect-timeout": "300ms", "dial-rate": "500/s"}


@pytest.fixture
def redis(start_redis):
    return start_redis()


@pytest.fixture
def draining(start_gate, redis):
    """Two workers, one of them drained, and a client of the other in a transaction."""
    gate = start_gate(redis, proxy={"threads": 2, "drain-timeout": "20s"})
    stays, goes = gate.client(), gate.client()
    assert goes.call("PING") == b"PONG"
    stays.ok("MULTI")
    gate.process.signal(signal.SIGTERM)
    goes.closed()
    queued = 0
    end = time.monotonic() + 0.3  # several of a worker's ticks, so that one has nothing left to do
    while time.monotonic() < end:
        assert stays.call("PING") == b"QUEUED"
        queued += 1
    return gate, stays, queued


def ends_soon(gate):
    start = time.monotonic()
    assert gate.process.wait_exit(10) == 0
    assert time.monotonic() - start < 3 * FACTOR
    gate.check()


def test_draining_and_done(draining):
    gate, stays, queued = draining
    assert stays.call("EXEC") == [b"PONG"] * queued
    stays.closed()
    ends_soon(gate)


def test_reload_while_draining(draining):
    gate, stays, queued = draining
    for _ in range(3):
        gate.process.signal(signal.SIGHUP)
        assert stays.call("PING") == b"QUEUED"
    assert stays.call("EXEC") == [b"PONG"] * (queued + 3)
    stays.closed()
    ends_soon(gate)


def test_client_list_while_draining(draining):
    gate, stays, _ = draining
    replies = stays.pipeline("DISCARD", "CLIENT LIST")
    assert replies[0] == b"OK" and b" cmd=client|list " in replies[1]
    stays.closed()
    ends_soon(gate)


def test_draining_with_a_tracking_client_whose_command_waits(start_gate, redis):
    gate = start_gate(redis, proxy={"drain-timeout": "20s"}, backend=QUICK)
    with gate.client() as client:
        client.call("HELLO 3")
        client.ok("CLIENT TRACKING ON")
        redis.kill()
        assert client.push() == [b"invalidate", None]
        client.send(encode("GET", "k"))
        gate.process.signal(signal.SIGTERM)
        ends_soon(gate)
