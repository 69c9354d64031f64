"""One client's load, slowness or bad manners cost nobody else anything: what is held for it is
bounded, and nothing spins."""
import os
import resource
import socket
import time
from statistics import median

import pytest

from harness.servers import SANITIZED
from harness.waiting import FACTOR, wait_until
from harness.wire import encode

pytestmark = pytest.mark.needs_gate

QUICK = {"park-timeout": "2s", "connect-timeout": "300ms", "dial-rate": "500/s",
         "breaker-probe": "20ms"}


def pipeline(*commands):
    return b"".join(encode(*command.split()) for command in commands)


def open_files(gate):
    return len(os.listdir(f"/proc/{gate.process.pid}/fd"))


def cpu_share(gate, seconds=0.3):
    """Of one core, while nobody asks for anything: there is no event to wait for in a spin."""
    def used():
        with open(f"/proc/{gate.process.pid}/stat", encoding="ascii") as stat:
            fields = stat.read().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    before = used()
    time.sleep(seconds)
    return (used() - before) / seconds


def calls(redis, command):
    stats = redis.call("INFO commandstats").decode()
    lines = [line for line in stats.splitlines() if line.startswith(f"cmdstat_{command}:")]
    return int(lines[0].split("calls=")[1].split(",")[0]) if lines else 0


@pytest.fixture
def redis(start_redis):
    return start_redis()


# -- time ---------------------------------------------------------------------------------------


def test_waiting_behind_ones_own_blocking_command_is_not_slowness(start_gate, redis):
    """Neither an error for what waits there, nor a breaker that opens for all."""
    gate = start_gate(redis, backend={"request-timeout": "300ms", "breaker-errors": 5})
    with gate.client() as blocked, gate.client() as other:
        other.ok("SET x 1")
        blocked.send(pipeline("BLPOP q 0", "MULTI", *["SET x 2"] * 8, "EXEC", "WATCH x", "GET x"))
        end = time.monotonic() + 1
        while time.monotonic() < end:
            assert other.call("GET x") == b"1"
        redis.call("RPUSH q v")
        assert [blocked.read() for _ in range(13)] == [
            [b"q", b"v"], b"OK", *[b"QUEUED"] * 8, [b"OK"] * 8, b"OK", b"2"]
        assert "breaker" not in gate.process.log()


def test_a_client_that_does_not_read_stalls_nobody(start_gate, redis):
    gate = start_gate(redis)
    redis.call("SET", "big", "x" * 1_000_000)
    with gate.client() as other, gate.client() as greedy:
        other.call("PING")
        before = calls(redis, "get")
        greedy.send(encode("GET", "big") * 60)
        wait_until(lambda: calls(redis, "get") > before, "the first of them to run")
        took = []
        for _ in range(9):
            start = time.monotonic()
            assert other.call("GET none") is None
            took.append(time.monotonic() - start)
        assert max(took) < 2 * FACTOR and median(took) < 0.05 * FACTOR, took
        assert "breaker" not in gate.process.log()
        for _ in range(60):
            assert len(greedy.read()) == 1_000_000


# -- half-closed, and gone ----------------------------------------------------------------------


@pytest.mark.parametrize("last", [b"", encode("QUIT")], ids=["", "QUIT"])
def test_a_half_closed_client_gets_every_reply(start_gate, redis, last):
    """More than sockets hold, read only once all of it has been asked for."""
    gate = start_gate(redis)
    redis.call("SET", "big", "x" * 1_000_000)
    with gate.client() as client:
        client.send(encode("GET", "big") * 25 + last)
        client.sock.shutdown(socket.SHUT_WR)
        wait_until(lambda: calls(redis, "get") == 25, "all to be executed")
        reply = b"$1000000\r\n" + b"x" * 1_000_000 + b"\r\n"
        assert client.closed() == reply * 25 + (b"+OK\r\n" if last else b"")


@pytest.mark.parametrize("last", [b"", encode("QUIT")], ids=["", "QUIT"])
def test_reset_after_half_closed(start_gate, redis, last):
    """With output waiting: it is gone at once, and nothing spins before or after."""
    gate = start_gate(redis)
    redis.call("SET", "big", "x" * 1_000_000)
    with gate.client() as other:
        other.call("PING")
        before = open_files(gate)
        client = gate.client()
        client.send(encode("GET", "big") * 25 + last)
        wait_until(lambda: calls(redis, "get") == 25, "all to be executed")
        client.sock.shutdown(socket.SHUT_WR)
        assert cpu_share(gate) < 0.5
        client.abort()
        wait_until(lambda: open_files(gate) == before, "the client to be gone")
        assert cpu_share(gate) < 0.5
        assert other.call("PING") == b"PONG"


@pytest.mark.parametrize("last", [b"", encode("QUIT")], ids=["", "QUIT"])
def test_reset_while_something_runs(start_gate, redis, last):
    """With nothing to write, and nothing more to read, a reset is all there is to see."""
    gate = start_gate(redis)
    with gate.client() as other:
        other.call("PING")
        before = open_files(gate)
        client = gate.client()
        client.call("GET k")
        redis.process.stop_running()
        client.send(encode("EVAL", "return 1", "0") + last)
        client.sock.shutdown(socket.SHUT_WR)
        assert cpu_share(gate) < 0.5
        client.abort()
        assert cpu_share(gate) < 0.5
        redis.process.continue_running()
        wait_until(lambda: open_files(gate) == before, "the client to be gone")
        assert other.call("PING") == b"PONG"


# -- what is held for a client ------------------------------------------------------------------


def test_bytes_for_a_stalled_link_are_bounded(start_gate, redis):
    """park-limit and one request more; whoever comes then is told, and stays."""
    gate = start_gate(redis, backend={"park-limit": "1mb", "park-timeout": "200ms",
                                      "request-timeout": "20s"})
    value = "x" * 4_000_000
    clients = [gate.client() for _ in range(12)]
    clients[0].ok("SET k v")
    redis.process.stop_running()
    for client in clients:
        client.send(encode("SET", "k", value))
    answered = []

    def told():
        for client in clients:
            if client not in answered:
                client.sock.settimeout(0.01)
                try:
                    if client.sock.recv(1, socket.MSG_PEEK):
                        answered.append(client)
                except socket.timeout:
                    pass
        return len(answered) >= 9
    wait_until(told, "those that do not fit to be told")
    redis.process.continue_running()
    replies = []
    for client in clients:
        client.sock.settimeout(client.timeout)
        replies.append(client.read())
        assert client.call("PING") == b"PONG"
        client.close()
    assert set(replies) == {b"OK", "ERR respgate: backend redis is unavailable"}
    assert replies.count(b"OK") <= 3  # what the kernel holds among them


def test_replies_of_respgate_behind_a_blocked_command_are_bounded(start_gate, redis):
    """By max-queued. CLIENT SETNAME shows how far it has gone."""
    gate = start_gate(redis, proxy={"max-queued": "100kb"})
    with gate.client() as client, gate.client() as other:
        other.ok("CLIENT", "SETNAME", "n" * 1000)
        number = client.call("CLIENT ID")
        client.send(encode("BLPOP", "q", "0") + b"".join(
            pipeline("CLIENT LIST", f"CLIENT SETNAME at-{each}") for each in range(300)))

        def reached():
            line = other.call("CLIENT", "LIST", "ID", number).decode()
            name = line.split(" name=", 1)[1].split(" ", 1)[0]
            return int(name[3:]) if name else -1
        wait_until(lambda: reached() > 10, "it to begin")
        for _ in range(200):
            assert reached() < 200
        redis.call("RPUSH q v")
        assert client.read() == [b"q", b"v"]
        for _ in range(300):
            assert b" name=" in client.read()
            assert client.read() == b"OK"
        assert reached() == 299


def test_warm_links_of_one_class_do_not_lock_out_another(start_gate, redis):
    gate = start_gate(redis, backend={**QUICK, "max-pinned-links": 5})
    clients = [gate.client() for _ in range(4)]
    for client in clients:
        client.send(encode("BLPOP", "k", "0.05"))
    for client in clients:
        assert client.read() is None
    with gate.client() as other:
        other.ok("SELECT 1")
        assert other.call("BLPOP k 0.01") is None
    for client in clients:
        client.close()


@pytest.mark.skipif(SANITIZED, reason="sanitizers keep freed memory")
def test_learned_tables_do_not_pile_up(start_gate, redis, start_tap):
    """A backend that returns lists its commands in another order: that is no news."""
    tap = start_tap(redis)
    gate = start_gate(tap, backend=QUICK)
    gate.wait_log("commands learned")

    def learn_again(times):
        for _ in range(times):
            since = gate.process.log_size()
            redis.restart()
            gate.wait_log("commands learned", since)
        with open(f"/proc/{gate.process.pid}/statm", encoding="ascii") as statm:
            return int(statm.read().split()[1]) * 4
    before = learn_again(3)
    assert learn_again(8) - before < 1000


# -- no more files ------------------------------------------------------------------------------


def test_no_descriptors_left(start_gate, redis):
    gate = start_gate(redis)
    with gate.client() as early:
        early.call("PING")
        limit = open_files(gate) + 5
        _, hard = resource.prlimit(gate.process.pid, resource.RLIMIT_NOFILE)
        resource.prlimit(gate.process.pid, resource.RLIMIT_NOFILE, (limit, hard))
        clients = [gate.client() for _ in range(20)]
        gate.wait_log("accept on .*(too many open files)")
        since = gate.process.log_size()
        start = time.monotonic()
        assert cpu_share(gate, 0.5) < 0.5
        assert gate.process.log(since).count("accept on") <= 1 + time.monotonic() - start
        assert early.call("PING") == b"PONG"
        for client in clients:
            client.close()
        with gate.client() as late:
            assert late.call("PING") == b"PONG"
