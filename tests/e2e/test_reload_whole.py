"""A reload changes all rules at one moment: no request sees some of the old and some of the new.

Two rule sets take turns as fast as they can be loaded. Each refuses what the other allows, and
together they leave no way through for some requests: whoever gets one through has met half of
each. RELOADS in the environment makes it as long as wanted (a soak)."""
import os
import signal

import pytest

from harness.servers import SANITIZED
from harness.waiting import FACTOR
from harness.wire import encode

pytestmark = pytest.mark.needs_gate

RELOADS = int(os.environ.get("RELOADS", "1500" if FACTOR == 1 else "200"))
ONE = """
[rule one-set]
commands = set
action = deny
[rule one-x]
commands = del
keys = x:*
action = deny
"""
OTHER = """
[rule other-y]
commands = del
keys = y:*
action = deny
[rule other-get]
commands = get
action = deny
"""
ABORTED = "EXECABORT Transaction discarded because of previous errors."


def refused_by(reply, rule):
    return getattr(reply, "code", "") == "NOPERM" and f"rule '{rule}'" in reply


class Turns:
    """Loads the two sets in turn: each call is one more SIGHUP, and nobody waits for it."""

    def __init__(self, gate):
        self.gate = gate
        self.count = 0

    def __call__(self):
        self.count += 1
        self.gate.write_config(self.gate.config_text() + (OTHER if self.count % 2 else ONE))
        self.gate.process.signal(signal.SIGHUP)

    def wait(self):
        """Until a reload after this moment has been made."""
        since = self.gate.process.log_size()
        self()
        self.gate.wait_log("reload done", since, 10)

    def taken(self):
        return self.gate.process.log().count("reload done")


@pytest.fixture
def gate(start_gate, store):
    return start_gate(store, proxy={"threads": 2}, log={"level": "notice"}, extra="",
                      backend={"dial-rate": "1000/s"})


@pytest.fixture
def turns(gate):
    gate.reload(ONE)
    gate.extra = ""
    return Turns(gate)


def memory(gate):
    with open(f"/proc/{gate.process.pid}/status", encoding="ascii") as status:
        return int(next(line for line in status if line.startswith("VmRSS")).split()[1])


def test_each_request_is_judged_by_one_set(gate, turns, store):
    """Every reply is right under one of the two sets, and in the order of the requests; DEL of
    both keys is right under neither; memory and descriptors stay."""
    store.call("MSET", "x:1", "v", "y:1", "v", "k", "v")
    clients = [gate.client() for _ in range(4)]
    batch = b"".join(encode(*words.split()) for words in ("SET k v", "GET k", "DEL x:1 y:1")) * 5
    seen, sizes = set(), []
    while turns.count < RELOADS:
        for number, client in enumerate(clients):
            client.send(batch)
            turns()
            client.send(encode("ECHO", f"{turns.count}-{number}"))
        for number, client in enumerate(clients):
            for _ in range(5):
                written, read, deleted = client.read(), client.read(), client.read()
                assert written == b"OK" or refused_by(written, "one-set"), written
                assert read == b"v" or refused_by(read, "other-get"), read
                assert refused_by(deleted, "one-x") or refused_by(deleted, "other-y"), deleted
                seen |= {str(written), str(read), str(deleted)}
            echo = turns.count - len(clients) + 1 + number
            assert client.read() == b"%d-%d" % (echo, number)
        sizes.append((memory(gate), len(os.listdir(f"/proc/{gate.process.pid}/fd"))))
    assert len(seen) == 6, "both sets were met"
    assert turns.taken() > RELOADS / 20, "reloads were made all the time"
    assert store.call("EXISTS", "x:1", "y:1") == 2
    warm = sizes[len(sizes) // 4]
    assert sizes[-1][1] == warm[1], "descriptors"
    if not SANITIZED:
        assert sizes[-1][0] < warm[0] + 4096, f"{warm[0]} kB became {sizes[-1][0]} kB"
    for client in clients:
        client.close()


def test_exec_is_judged_by_one_set(gate, turns, store):
    """MULTI with a command of each set: whichever holds when, none gets both through."""
    clients = [gate.client() for _ in range(4)]
    both_queued = 0
    for turn in range(max(RELOADS // 5, 40)):
        for client in clients:
            client.send(encode("MULTI") + encode("SET", "t", "v"))
        first = [(client.read(), client.read()) for client in clients]
        turns.wait() if turn % 4 == 0 else turns()
        for client in clients:
            client.send(encode("GET", "t") + encode("PING"))
        second = [(client.read(), client.read()) for client in clients]
        turns.wait() if turn % 4 == 2 else turns()
        for client, (multi, written), (read, ping) in zip(clients, first, second):
            assert multi == b"OK" and ping == b"QUEUED"
            assert written == b"QUEUED" or refused_by(written, "one-set"), written
            assert read == b"QUEUED" or refused_by(read, "other-get"), read
            both_queued += (written, read) == (b"QUEUED", b"QUEUED")
            assert client.call("EXEC") == ABORTED
        if turn % 3 == 0:  # the other set is first in the next rounds
            turns.wait()
    assert both_queued, "some were queued half under each"
    assert store.call("EXISTS", "t") == 0
    for client in clients:
        client.close()
