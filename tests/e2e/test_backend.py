"""A backend that is away, slow, dying or talking nonsense: clients stay, get prompt errors, and
no write is sent twice."""
import socket
import threading
import time

import pytest

from harness.process import free_port
from harness.servers import Redis
from harness.waiting import FACTOR, wait_until
from harness.wire import Closed, encode

AWAY = "ERR respgate: backend redis is unavailable"
NO_REPLY = "ERR respgate: no reply from redis in {} ms, the command may have run"
QUICK = {"park-timeout": "200ms", "connect-timeout": "300ms", "dial-rate": "200/s",
         "breaker-probe": "50ms"}


def recovered(client, reply=b"PONG", command="PING", timeout=5.0):
    """The same connection works again."""
    wait_until(lambda: client.call(command) == reply, "the backend to be back", timeout)


@pytest.fixture
def redis(start_redis):
    return start_redis()


@pytest.fixture
def gate(start_gate, redis):
    return start_gate(redis, backend={**QUICK, "request-timeout": "2s"})


def test_away_at_start(start_gate, keeper):
    """No reason not to start; the first request after the backend comes is answered."""
    port = free_port()
    gate = start_gate(url=f"redis://127.0.0.1:{port}", backend=QUICK)
    with gate.client() as client:
        start = time.monotonic()
        assert client.call("GET k") == AWAY
        assert 0.1 < time.monotonic() - start < 2 * FACTOR
        assert client.call("NONSENSE").code == "ERR"
        keeper.add(Redis(keeper.folder("late"), port=port))
        recovered(client)
        client.ok("SET k v")
        assert client.pipeline("MULTI", "GET k", "EXEC")[-1] == [b"v"]


@pytest.mark.parametrize("first, reply", [
    ("SET k v", b"OK"), ("MULTI", b"OK"), ("WATCH k", b"OK"), ("SELECT 3", b"OK"), ("BLPOP k 0.01", None),
    ("SUBSCRIBE c", [b"subscribe", b"c", 1]), ("EVAL return(1) 0", 1), ("MONITOR", b"OK"),
    ("CLIENT TRACKING on BCAST", b"OK")])
def test_the_very_first_command(start_gate, redis, first, reply):
    """Nothing is connected yet: whatever comes first waits for the link."""
    gate = start_gate(redis)
    with gate.client() as client:
        assert client.pipeline(first, "PING")[0] == reply
    with start_gate(redis).client() as client:
        assert client.pipeline("MULTI", "SET k v", "GET k", "EXEC")[-1] == [b"OK", b"v"]


def test_dies_and_returns(gate, redis):
    clients = [gate.client() for _ in range(5)]
    for number, client in enumerate(clients):
        client.ok(f"SET k{number} v")
    redis.kill()
    for client in clients:
        reply = client.call("GET k1")
        assert reply == AWAY or reply.startswith("ERR respgate:")
        assert client.call("GET k1") == AWAY
    redis.start()
    for client in clients:
        recovered(client)
        client.ok("SET k1 again")
        client.close()


def test_parked_requests_run_when_it_returns_in_time(start_gate, redis):
    gate = start_gate(redis, backend={**QUICK, "park-timeout": "10s"})
    with gate.client() as one, gate.client() as two:
        one.ok("SET n 1")
        redis.kill()
        gate.wait_log("redis|backend|link")
        one.send(encode("SET", "n", "5") + encode("INCR", "n") + encode("GET", "n"))
        two.send(encode("MULTI") + encode("ECHO", "two") + encode("EXEC"))
        redis.start()
        replies = [one.read() for _ in range(3)]
        assert replies == [b"OK", 6, b"6"] or replies[0].startswith("ERR respgate")
        assert two.read() == b"OK"
    assert redis.call("GET n") == b"6"


def test_beyond_park_limit_errors_come_at_once(start_gate, redis):
    gate = start_gate(redis, backend={**QUICK, "park-timeout": "20s", "park-limit": "64kb"})
    with gate.client() as holder, gate.client() as late:
        holder.call("PING")
        redis.kill()
        holder.send(encode("SET", "k", "x" * 60_000))
        start = time.monotonic()
        assert late.call("SET", "k", "x" * 20_000) == AWAY
        assert time.monotonic() - start < 5 * FACTOR


def test_unavailable_in_multi(gate, redis):
    with gate.client() as client:
        client.call("PING")
        redis.kill()
        wait_until(lambda: client.call("PING") == AWAY, "the backend to be seen as away")
        assert client.call("MULTI") in (b"OK", AWAY)
        client.call("SET k v")
        assert client.call("EXEC").code in ("EXECABORT", "ERR")
        redis.start()
        recovered(client)


def test_slow_says_so_and_drops_the_late_reply(start_gate, redis):
    gate = start_gate(redis, backend={**QUICK, "request-timeout": "150ms"})
    with gate.client() as client, gate.client() as other:
        client.ok("SET n 0")
        redis.process.stop_running()
        start = time.monotonic()
        assert client.call("INCR n") == NO_REPLY.format(150)
        assert 0.1 < time.monotonic() - start < 1.5 * FACTOR
        redis.process.continue_running()
        recovered(client)
        recovered(other)
        for number in range(20):
            assert client.call("ECHO", f"{number}") == b"%d" % number
            assert other.call("ECHO", f"other-{number}") == b"other-%d" % number
        # it ran, once
        assert client.call("GET n") == b"1"


def test_a_reply_that_has_begun_is_not_timed_out(start_gate, redis, start_tap):
    """A large one may take longer than request-timeout; it must not be cut in the middle."""
    tap = start_tap(redis)
    gate = start_gate(tap, backend={**QUICK, "request-timeout": "300ms"})
    value = b"x" * 3_000_000
    redis.call("SET", "big", value)
    with gate.client() as client:
        client.call("PING")
        gate.wait_log("learned")
        passed = []

        def first_part_only(data, _):
            passed.append(len(data))
            tap.holding = sum(passed) > 100_000 and len(passed) < 1000
            return data
        tap.change = first_part_only
        client.send(encode("GET", "big"))
        assert client._line() == b"$3000000"
        wait_until(lambda: tap.holding, "the reply to stop in the middle")
        time.sleep(0.6)  # no condition to wait for: nothing must happen
        tap.change = None
        tap.holding = False
        same = client._exactly(3_000_002) == value + b"\r\n"
        assert same
        client.silent()


def test_time_out_of_a_pipeline(start_gate, redis):
    """The clock of a request starts when it is written; each of them gets its error."""
    gate = start_gate(redis, backend={**QUICK, "request-timeout": "150ms"})
    with gate.client() as client:
        client.call("PING")
        redis.process.stop_running()
        replies = client.pipeline(*(f"INCR n{n}" for n in range(20)))
        assert all(reply.startswith("ERR respgate:") for reply in replies)
        assert replies[0] == NO_REPLY.format(150)
        redis.process.continue_running()
        recovered(client)
        assert all(redis.call(f"GET n{n}") in (None, b"1") for n in range(20))


def test_a_slow_script_has_no_request_timeout(start_gate, redis):
    gate = start_gate(redis, backend={**QUICK, "request-timeout": "100ms"})
    with gate.client() as client:
        body = ("local t = redis.call('TIME'); local e = t[1] * 1000 + t[2] / 1000 + 300; repeat t "
                "= redis.call('TIME') until t[1] * 1000 + t[2] / 1000 > e; return 'done'")
        assert client.call("EVAL", body, 0) == b"done"


def test_dies_in_the_middle_of_a_reply(start_gate, redis, start_tap):
    """Half a reply has gone to the client: nothing right can follow, so that client is closed; its
    neighbours get errors and stay."""
    tap = start_tap(redis)
    gate = start_gate(tap, backend=QUICK)
    redis.call("SET", "big", "x" * 100_000)
    client, other = gate.client(), gate.client()
    assert other.call("PING") == b"PONG"

    cuts = []

    def cut_short(data, _):
        if cuts or len(data) > 10_000:
            cuts.append(True)
            return data[:1000] if len(cuts) == 1 else b""
        return data
    tap.change = cut_short
    client.send(encode("GET", "big"))
    other.send(encode("ECHO", "neighbour"))
    wait_until(lambda: cuts, "the reply to be cut short")
    tap.change = None
    tap.cut()
    assert half_or_nothing(client)
    reply = other.read()
    assert reply == b"neighbour" or reply.startswith("ERR respgate:")
    recovered(other)
    client.close()
    other.close()


def half_or_nothing(client):
    """Half a reply and then the end; or nothing of it and an error, or, as it was only a read,
    all of it by another link."""
    first = client._line()
    if first.startswith(b"-ERR respgate:"):
        return recovered(client) is None
    try:
        return first == b"$100000" and client._exactly(100_002) == b"x" * 100_000 + b"\r\n"
    except Closed:
        return True


class Speaker:
    """A backend that accepts and answers every read with the same bytes; None: hangs up."""

    def __init__(self, says):
        self.says = says
        self.server = socket.create_server(("127.0.0.1", 0))
        self.port = self.server.getsockname()[1]
        self.accepted = 0
        self.connections = []
        threading.Thread(target=self.run, daemon=True).start()

    def run(self):
        while True:
            try:
                connection, _ = self.server.accept()
            except OSError:
                return
            self.accepted += 1
            self.connections.append(connection)
            threading.Thread(target=self.talk, args=(connection,), daemon=True).start()

    def talk(self, connection):
        try:
            if self.says is None:
                connection.close()
                return
            while connection.recv(65536):
                if self.says:
                    connection.sendall(self.says)
        except OSError:
            pass

    def stop(self):
        self.server.close()
        for connection in self.connections:
            connection.close()


@pytest.mark.parametrize("says", [b"HTTP/1.1 400 Bad Request\r\n\r\n", b"\0" * 100, b"$-2\r\n",
                                  b"*99999999999999999999\r\n", b"+OK\r\n" * 50, b"",
                                  b"-LOADING Redis is loading the dataset in memory\r\n"],
                         ids=["http", "zeros", "bad length", "huge array", "too many replies",
                              "silence", "loading"])
def test_a_backend_that_is_no_redis(start_gate, keeper, says):
    speaker = keeper.add(Speaker(says))
    gate = start_gate(speaker, backend={**QUICK, "request-timeout": "200ms"})
    with gate.client() as client:
        for _ in range(3):
            reply = client.call("GET k")
            assert reply == b"OK" or reply.startswith(("ERR respgate:", "LOADING")), reply
        # it is not dialled in a frenzy
        assert speaker.accepted < 200
    gate.check()


def test_garbage_on_a_working_link(start_gate, redis, start_tap):
    """A reply with no request waiting, or a malformed one: that link is closed, never guessed."""
    tap = start_tap(redis)
    gate = start_gate(tap, backend=QUICK)
    clients = [gate.client() for _ in range(4)]
    for garbage in (b"garbage\r\n", b"+surplus\r\n", b":1\r\n:2\r\n"):
        for client in clients:
            recovered(client)
        tap.change = lambda data, _, garbage=garbage: garbage + data
        for number, client in enumerate(clients):
            client.send(encode("ECHO", f"{number}"))
        for client in clients:
            client.read()
        tap.change = None
        for client in clients:
            recovered(client)
        for number, client in enumerate(clients):
            wait_until(lambda: client.call("ECHO", f"{number}") == b"%d" % number, "own replies")
    for client in clients:
        client.close()


def test_writes_are_never_sent_twice(start_gate, redis, start_tap):
    """Links are cut under load at any moment; no INCR may count twice. An error says that it may
    have run; a reply says that it has."""
    tap = start_tap(redis)
    gate = start_gate(tap, backend={**QUICK, "park-timeout": "2s", "request-timeout": "2s"})
    clients = [gate.client() for _ in range(5)]
    sent = acknowledged = 0
    for turn in range(30):
        for client in clients:
            client.send(encode("INCR", "n") * 10)
            sent += 10
        if turn % 2:
            tap.cut()
        for client in clients:
            for _ in range(10):
                reply = client.read()
                if isinstance(reply, int):
                    acknowledged += 1
                else:
                    assert reply.startswith("ERR respgate:"), reply
    total = int(redis.call("GET n"))
    assert acknowledged <= total <= sent
    tap_count = tap.all_sent().count(encode("INCR", "n"))
    assert tap_count <= sent
    for client in clients:
        client.close()


def test_an_error_reply_is_no_reason_to_close_a_link(gate, redis):
    """-OOM and -BUSY are that client's reply."""
    with gate.client() as client:
        client.ok("SET k v")
        before = redis.info("total_connections_received")
        for _ in range(20):
            assert client.call("LPUSH k x").code == "WRONGTYPE"
            assert client.call("EVAL", "return redis.error_reply('OOM command not allowed')",
                               0).code == "OOM"
        assert int(redis.info("total_connections_received")) - int(before) <= 1


def busy_or_late(reply):
    """-BUSY when the link is not the script's, else the time-out of a request behind it."""
    return reply.code == "BUSY" or reply.startswith("ERR respgate: no reply")


def test_a_script_without_end_can_be_killed(start_gate, redis):
    gate = start_gate(redis, backend={**QUICK, "request-timeout": "300ms"})
    redis.call("CONFIG SET busy-reply-threshold 50")
    with gate.client() as busy, gate.client() as other:
        busy.send(encode("EVAL", "while true do end", "0"))
        assert busy_or_late(other.call("GET k"))
        wait_until(lambda: other.call("SCRIPT KILL") == b"OK", "the script to be killed")
        assert busy.read().code == "ERR"
        recovered(other)


def test_many_clients_share_few_links(gate, redis):
    clients = [gate.client() for _ in range(200)]
    for number, client in enumerate(clients):
        client.ok(f"SET k{number} v")
    assert int(redis.info("connected_clients")) < 15
    for client in clients:
        client.close()


def test_pinned_links_are_used_again(gate, redis):
    """Not one connection per MULTI."""
    with gate.client() as client:
        client.pipeline("MULTI", "PING", "EXEC")
        before = int(redis.info("total_connections_received"))
        for _ in range(100):
            assert client.pipeline("MULTI", "PING", "EXEC")[-1] == [b"PONG"]
        assert int(redis.info("total_connections_received")) - before < 10


def test_dials_are_limited(start_gate, keeper):
    """A backend that accepts and hangs up is not hammered."""
    speaker = keeper.add(Speaker(None))
    gate = start_gate(speaker, backend={"park-timeout": "1s", "dial-rate": "10/s"})
    clients = [gate.client() for _ in range(20)]
    for client in clients:
        client.send(encode("GET", "k") * 5)
    for client in clients:
        for _ in range(5):
            assert client.read().startswith("ERR respgate:")
        client.close()
    assert 1 <= speaker.accepted < 40


def test_unblocked_by_a_dead_backend(gate, redis):
    with gate.client() as client:
        client.send(encode("BLPOP", "k", "0"))
        wait_until(lambda: redis.info("blocked_clients") == "1", "the client to block")
        redis.kill()
        assert client.read().startswith("ERR respgate:")
        redis.start()
        recovered(client)
