"""Moving to another backend by a reload: live clients notice nothing but a pause, two stores are
never written at once, and a new side that cannot be used changes nothing."""
import threading
import time

import pytest

from harness.admin import Admin
from harness.process import free_port
from harness.waiting import wait_until
from harness.wire import encode

pytestmark = pytest.mark.needs_gate
MOVED = "moved to the new backend"
FAILED = "reload failed, the backend in force stays"
QUICK = {"dial-rate": "1000/s", "connect-timeout": "500ms"}


class Writer:
    """Appends 1, 2, 3 ... to a stream of its own, and reads its own writes."""

    def __init__(self, gate, name):
        self.gate, self.name, self.count, self.wrong = gate, name, 0, []
        self.longest = 0.0
        self.over = threading.Event()
        self.thread = threading.Thread(target=self.run)
        self.thread.start()

    def run(self):
        try:
            with self.gate.client(timeout=30) as client:
                while not self.over.is_set():
                    start = time.monotonic()
                    replies = client.pipeline(f"XADD {self.name} * n {self.count + 1}",
                                              f"ECHO {self.name}:{self.count}")
                    self.longest = max(self.longest, time.monotonic() - start)
                    if not isinstance(replies[0], bytes) or b"-" not in replies[0]:
                        self.wrong.append(f"XADD: {replies[0]!r}")
                        return
                    if replies[1] != f"{self.name}:{self.count}".encode():
                        self.wrong.append(f"ECHO: {replies[1]!r}")
                    self.count += 1
        except Exception as error:  # noqa: BLE001 - a lost connection is the finding
            self.wrong.append(repr(error))

    def stop(self):
        self.over.set()
        self.thread.join()
        assert not self.wrong, self.wrong


def say(client, line):
    client.send(encode(*line.split()))


def entries(store, name):
    return [(int(row[0].split(b"-")[0]), int(row[1][1])) for row in store.call("XRANGE", name, "-", "+")]


def move(gate, redis, expect=MOVED, **backend):
    scheme = "rediss" if getattr(redis, "certs", None) else "redis"
    return gate.reload(backend={"url": f"{scheme}://127.0.0.1:{redis.port}", **backend},
                       expect=expect)


@pytest.fixture
def stores(start_redis):
    return start_redis(), start_redis()


def test_under_load_nothing_is_lost_doubled_or_written_to_both(start_gate, stores):
    old, new = stores
    gate = start_gate(old, backend=QUICK, proxy={"threads": "2"})
    writers = [Writer(gate, f"log:{i}") for i in range(6)]
    wait_until(lambda: all(w.count > 50 for w in writers), "the load to run", 20)
    move(gate, new)
    after = [w.count for w in writers]
    wait_until(lambda: all(w.count > n + 50 for w, n in zip(writers, after)), "it to go on", 20)
    for writer in writers:
        writer.stop()
    before, behind = [], []
    for writer in writers:
        left, right = entries(old, writer.name), entries(new, writer.name)
        assert [n for _, n in left + right] == list(range(1, writer.count + 1))
        before += [ms for ms, _ in left]
        behind += [ms for ms, _ in right]
    assert max(before) <= min(behind)
    print(f"longest request {max(w.longest for w in writers) * 1000:.0f} ms")


def test_subscribers_stay(start_gate, stores):
    """Also of RESP2, whom a lost link would cost their connection."""
    old, new = stores
    gate = start_gate(old, backend={**QUICK, "share-channels": "shared:*"})
    with gate.client() as two, gate.client() as three, gate.client() as shared, \
            gate.client() as writer:
        three.call("HELLO", "3")
        say(two, "SUBSCRIBE c d")
        assert [two.read() for _ in range(2)][1] == [b"subscribe", b"d", 2]
        say(two, "PSUBSCRIBE p*")
        two.read()
        say(three, "SUBSCRIBE c")
        three.push()
        say(shared, "SUBSCRIBE shared:1")
        shared.read()
        assert writer.call("PUBLISH c before") == 2
        assert two.read() == [b"message", b"c", b"before"]
        assert three.push() == [b"message", b"c", b"before"]
        move(gate, new)
        assert writer.call("PUBLISH c after") == 2
        assert two.read() == [b"message", b"c", b"after"]
        assert three.push() == [b"message", b"c", b"after"]
        assert writer.call("PUBLISH px 1") == 1
        assert two.read() == [b"pmessage", b"p*", b"px", b"1"]
        assert writer.call("PUBLISH shared:1 yes") == 1
        assert shared.read() == [b"message", b"shared:1", b"yes"]
        assert old.call("PUBSUB", "CHANNELS") == []


def test_blocked_commands_end_with_nil_and_transactions_finish(start_gate, stores):
    old, new = stores
    gate = start_gate(old, backend=QUICK)
    with gate.client() as blocked, gate.client() as multi, gate.client() as plain:
        say(blocked, "BLPOP nothing 0")
        multi.pipeline("MULTI", "SET k 1")
        wait_until(lambda: old.call("CLIENT", "LIST").count(b"cmd=blpop"), "it to block")
        since = gate.process.log_size()
        threading.Timer(0.3, lambda: say(multi, "EXEC")).start()
        move(gate, new)
        assert blocked.read() is None
        assert multi.read() == [b"OK"]
        assert "cut off" not in gate.process.log(since)
        assert old.call("GET", "k") == b"1"
        assert plain.call("GET k") is None
        say(blocked, "BLPOP list 0")
        plain.call("RPUSH list x")
        assert blocked.read() == [b"list", b"x"]


def test_a_transaction_that_does_not_end_is_cut_off(start_gate, stores):
    old, new = stores
    gate = start_gate(old, backend={**QUICK, "request-timeout": "500ms"})
    with gate.client() as multi, gate.client() as watch:
        multi.pipeline("MULTI", "SET k 1")
        watch.ok("WATCH k")
        log = move(gate, new)
        assert "cut off" in log
        assert multi.call("EXEC").code == "EXECABORT"
        watch.ok("MULTI")
        assert watch.call("SET k 2") == b"QUEUED"
        assert watch.call("EXEC") is None
        assert old.call("GET", "k") is None and new.call("GET", "k") is None
        multi.ok("SET k 3")
    assert new.call("GET", "k") == b"3"


def test_a_new_side_that_is_away_changes_nothing(start_gate, stores):
    old, _ = stores
    gate = start_gate(old, backend=QUICK, admin=Admin.ports())
    with gate.client() as client:
        client.ok("SET k v")
        gate.reload(backend={"url": f"redis://127.0.0.1:{free_port()}"}, expect=FAILED)
        assert client.call("GET k") == b"v"
        assert b"respgate_reload_failures_total 1\n" in Admin(gate).get("/metrics")[2]


def test_a_login_that_is_refused_changes_nothing(start_gate, start_redis, stores, tmp_path):
    old, _ = stores
    locked = start_redis(requirepass="geheim")
    gate = start_gate(old, backend=QUICK)
    with gate.client() as client:
        client.ok("SET k v")
        log = move(gate, locked, expect=FAILED)
        assert "it wants a password" in log
        secret = tmp_path / "secret"
        secret.write_text("wrong\n")
        secret.chmod(0o600)
        log = move(gate, locked, expect=FAILED, **{"password-file": secret})
        assert "the login is refused: WRONGPASS" in log
        assert client.call("GET k") == b"v"


def test_with_another_identity(start_gate, start_redis, stores, tmp_path):
    old, _ = stores
    locked = start_redis(requirepass="geheim")
    gate = start_gate(old, backend=QUICK, proxy={"anonymous": "backend"})
    secret = tmp_path / "secret"
    secret.write_text("geheim\n")
    secret.chmod(0o600)
    with gate.client() as client:
        client.ok("SET k v")
        move(gate, locked, **{"password-file": secret})
        assert client.call("GET k") is None
        client.ok("SET k w")
        assert client.pipeline("MULTI", "GET k", "EXEC")[-1] == [b"w"]


def test_there_and_back_again(start_gate, stores):
    old, new = stores
    gate = start_gate(old, backend=QUICK, proxy={"threads": "2"})
    with gate.client() as client, gate.client() as other:
        for turn in range(3):
            for store in (new, old):
                move(gate, store)
                client.ok(f"SET k {turn}")
                assert other.call("GET k") == b"%d" % turn
                assert store.call("GET", "k") == b"%d" % turn


class TestPause:
    @pytest.fixture
    def gate(self, start_gate, stores, tmp_path):
        secret = tmp_path / "admin"
        secret.write_text("x\n")
        secret.chmod(0o600)
        return start_gate(stores[0], backend=QUICK, proxy={"threads": "2"},
                          admin=Admin.ports(**{"password-file": secret}))

    def console(self, gate):
        console = Admin(gate).console()
        console.ok("AUTH", "x")
        return console

    def test_writes_wait_and_reads_pass(self, gate):
        with self.console(gate) as console, gate.client() as client, gate.client() as reader:
            client.ok("SET k 1")
            console.ok("PAUSE", "WRITES")
            say(client, "SET k 2")
            assert reader.call("GET k") == b"1"
            assert reader.call("GET k") == b"1"
            console.ok("RESUME")
            assert client.read() == b"OK"
            assert reader.call("GET k") == b"2"

    def test_all_wait(self, gate):
        with self.console(gate) as console, gate.client() as client:
            console.ok("PAUSE")
            say(client, "PING")
            assert console.call("PING") == b"PONG"
            console.ok("RESUME")
            assert client.read() == b"PONG"
            assert console.call("RESUME") == "ERR there is no pause"

    def test_a_forgotten_pause_ends(self, gate):
        with self.console(gate) as console, gate.client() as client:
            console.ok("PAUSE", "WRITES", "FOR", "200ms")
            client.ok("SET k 1")
        gate.wait_log("the pause is over: nobody has ended it")

    def test_one_that_watches_writes_no_more(self, gate):
        with self.console(gate) as console, gate.client() as client, gate.client() as reader:
            client.ok("WATCH k")
            console.ok("PAUSE", "WRITES")
            assert client.call("GET k") is None
            client.send(encode("MULTI") + encode("SET", "k", "1") + encode("EXEC"))
            wait_until(lambda: b"respgate_requests_held_total 1\n" in Admin(gate).get("/metrics")[2],
                       "MULTI to be held")
            assert reader.call("GET k") is None
            console.ok("RESUME")
            assert [client.read() for _ in range(3)] == [b"OK", b"QUEUED", [b"OK"]]

    def test_an_open_transaction_ends_first(self, gate):
        with self.console(gate) as console, gate.client() as client:
            client.pipeline("MULTI", "SET k 1")
            say(console, "PAUSE WRITES")
            assert client.call("EXEC") == [b"OK"]
            assert console.read() == b"OK"
            console.ok("RESUME")
