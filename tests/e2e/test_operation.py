"""Running it: the command line, signals, logs, threads."""
import json
import os
import re
import signal
import time

import pytest

from harness.process import Process, free_port
from harness.servers import BINARY, run_binary, section
from harness.waiting import FACTOR, wait_until
from harness.wire import Client, encode

pytestmark = pytest.mark.needs_gate

GOOD = section("proxy", {"listen": "127.0.0.1:1"}) + section("backend",
                                                             {"url": "redis://127.0.0.1:2"})


@pytest.fixture
def config(tmp_path):
    def write(text, name="respgate.conf", mode=0o600):
        path = tmp_path / name
        path.write_text(text)
        path.chmod(mode)
        return path
    return write


# -- the command line --------------------------------------------------------------------------


def test_help_and_version():
    for flag in "--help", "--version":
        code, out, _ = run_binary(flag)
        assert code == 0 and "respgate" in out
    assert re.search(r"\d+\.\d+", run_binary("--version")[1])
    for word in "-c", "-t", "--listen", "--backend", "--print-config":
        assert word in run_binary("--help")[1]


@pytest.mark.parametrize("arguments", [["--nonsense"], ["-c"], ["-x"], ["extra"],
                                       ["-c", "/nonexistent/file"], ["--listen"]])
def test_wrong_arguments(arguments):
    code, _, errors = run_binary(*arguments)
    assert code == 1 and errors.strip()


def test_check_good(config):
    code, out, errors = run_binary("-t", "-c", config(GOOD))
    assert (code, out.strip().splitlines()[-1]) == (0, "ok"), errors


@pytest.mark.parametrize("addition, line, word", [
    ("[nonsense]\n", 1, "nonsense"),
    ("[rule a]\ncommands = get\naction = deny\n[rule a]\ncommands = set\naction = deny\n", 4, "a"),
    ("[rule a]\ncommands = flushal\naction = deny\n", 2, "flushal"),
    ("[rule a]\ncommands = @nonsense\naction = deny\n", 2, "nonsense"),
    ("[rule a]\ncommands = get\naction = forbid\n", 3, "forbid"),
    ("[rule a]\ncomands = get\naction = deny\n", 2, "comands"),
    ("[rule a]\ncommands = get\naction = deny\nmode = on\n", 4, "on"),
    ("[rule a]\ncommands = get\naction = deny\nfrom = 300.1.1.1\n", 4, "300.1.1.1"),
    ("[rule a]\ncommands = get\naction = deny\ndb = x\n", 4, "x"),
    ("[rule a]\ncommands = get\nmessage = \"open\naction = deny\n", 3, "quot"),
    ("[rule a]\ncommands = get\n", 1, "action"),
    ("[user a]\npassword-sha256 = short\n", 2, "password-sha256"),
    ("[log]\nlevel = chatty\n", 2, "chatty"),
    ("[proxy]\nmax-clients = 5\n", 1, "proxy"),
    ("no section or key\n", 1, ""),
])
def test_check_bad(config, addition, line, word):
    """FILE:LINE of every mistake, exit 1."""
    path = config(GOOD + addition)
    code, out, errors = run_binary("-t", "-c", path)
    number = GOOD.count("\n") + line
    assert code == 1
    assert re.search(rf"^{path}:{number}: .*{re.escape(word)}", out + errors, re.M), out + errors
    assert "ok" not in out.split()


@pytest.mark.parametrize("line", [
    "max-clients = many", "max-clients = -1", "threads = 1.5", "request-read-timeout = 30",
    "request-read-timeout = 30x", "max-key-size = 64kbb", "anonymous = maybe", "observe = 2",
    "listen = 127.0.0.1:99999", "listen = nonsense", "learned = some", "nonsense = 1",
    "max-key-size = 99999999999999999999gb"])
def test_check_bad_values(config, line):
    path = config("[proxy]\nlisten = 127.0.0.1:1\n" + line + "\n[backend]\nurl = redis://h:1\n")
    code, out, errors = run_binary("-t", "-c", path)
    assert code == 1 and f"{path}:3:" in out + errors, out + errors


@pytest.mark.parametrize("url", ["http://h:1", "redis://", "redis://h:99999", "nonsense", ""])
def test_check_bad_backend(config, url):
    path = config(f"[proxy]\nlisten = 127.0.0.1:1\n[backend]\nurl = {url}\n")
    code, out, errors = run_binary("-t", "-c", path)
    assert code == 1 and f"{path}:4:" in out + errors, out + errors


def test_all_mistakes_at_once(config):
    path = config(GOOD + "[rule a]\ncommands = nope\naction = deny\n[rule b]\ncommands = nada\n"
                  "action = deny\n[wrong]\n")
    _, out, errors = run_binary("-t", "-c", path)
    lines = {int(number) for number in re.findall(rf"{path}:(\d+):", out + errors)}
    start = GOOD.count("\n")
    assert {start + 2, start + 5, start + 7} <= lines


def test_include(config, tmp_path):
    (tmp_path / "rules").mkdir()
    inner = config("[rule inner]\ncommands = nope\naction = deny\n", "rules/inner.conf")
    outer = config(GOOD + "include = rules/inner.conf\n")
    code, out, errors = run_binary("-t", "-c", outer)
    assert code == 1 and f"{inner.name}:2:" in out + errors
    inner.write_text("[rule inner]\ncommands = get\naction = deny\n")
    assert run_binary("-t", "-c", outer)[0] == 0
    inner.write_text("include = inner.conf\n")
    assert run_binary("-t", "-c", outer)[0] == 1


def test_a_file_others_can_write_is_refused(config):
    for mode in 0o620, 0o602, 0o666:
        code, _, errors = run_binary("-t", "-c", config(GOOD, mode=mode))
        assert code == 1 and "write" in errors.lower()
    assert run_binary("-t", "-c", config(GOOD, mode=0o644))[0] == 0


def test_anonymous_backend_needs_a_safe_listener(config):
    text = "[proxy]\nlisten = {}\nanonymous = backend\n[backend]\nurl = redis://:x@127.0.0.1:1\n"
    assert run_binary("-t", "-c", config(text.format("127.0.0.1:1")))[0] == 0
    assert run_binary("-t", "-c", config(text.format("unix:/tmp/x.sock")))[0] == 0
    code, _, errors = run_binary("-t", "-c", config(text.format("0.0.0.0:1")))
    assert code == 1 and "anonymous" in errors


def test_print_config_loads_back(config):
    text = GOOD + ("[rule a]\ncommands = flushall, config|set, @destructive\nkeys = a:*, !a:b:*\n"
                   "action = deny\nmessage = \"why ; not # this\"\ndb = 1, 2\nfrom = 10.0.0.0/8\n"
                   "[user u]\npassword-sha256 = " + "ab" * 32 + "\n")
    code, first, errors = run_binary("--print-config", "-c", config(text))
    assert code == 0, errors
    again = config(first.replace("(hidden)", "ab" * 32), "again.conf")
    code, second, errors = run_binary("--print-config", "-c", again)
    assert code == 0, errors
    assert second == first
    assert "why ; not # this" in first and "a:b:*" in first


def test_print_config_hides_secrets(config):
    path = config("[proxy]\nlisten = 127.0.0.1:1\n[backend]\nurl = redis://me:zzsecretzz@h:1\n")
    code, out, errors = run_binary("--print-config", "-c", path)
    assert code == 0 and "zzsecretzz" not in out + errors


def test_a_port_that_is_taken(store, config):
    path = config(section("proxy", {"listen": f"127.0.0.1:{store.port}"})
                  + section("backend", {"url": "redis://127.0.0.1:1"}))
    code, _, errors = run_binary("-c", path)
    assert code == 1
    assert str(store.port) in errors


@pytest.fixture
def without_file(keeper, store, tmp_path):
    """respgate --listen PORT with the built-in rules."""
    processes = []

    def start(*arguments, env=None):
        port = free_port()
        process = Process("respgate", [BINARY, "--listen", port, *arguments], tmp_path / "log", env)
        processes.append(process)

        def up():
            assert process.alive(), process.log()
            try:
                return Client(port)
            except ConnectionError:
                return None
        process.client = wait_until(up, "respgate to accept")
        return process
    yield start
    for process in processes:
        process.client.close()
        process.signal(signal.SIGTERM)
        assert process.wait_exit(20) == 0, process.log()


def test_without_a_file_the_shipped_rules_hold(without_file, store):
    client = without_file("--backend", f"redis://127.0.0.1:{store.port}").client
    client.ok("SET k v")
    for command in "FLUSHALL", "FLUSHDB", "SWAPDB 0 1", "flushall async", "CONFIG SET maxmemory 1":
        assert client.call(command).code == "NOPERM", command
    for command in "INFO", "SCAN 0", "DEL none", "GET k", "XTRIM none MAXLEN 5", "MEMORY USAGE k":
        assert getattr(client.call(command), "code", "") != "NOPERM", command
    assert store.call("GET k") == b"v"


def test_backend_from_the_environment(without_file, store):
    client = without_file(env={"RESPGATE_BACKEND": f"redis://127.0.0.1:{store.port}"}).client
    client.ok("SET k v")
    assert store.call("GET k") == b"v"


def test_argv_shows_no_secret(without_file, store):
    process = without_file("--backend", f"redis://me:zzsecretzz@127.0.0.1:{store.port}")
    with open(f"/proc/{process.pid}/cmdline", "rb") as cmdline:
        assert b"zzsecretzz" not in cmdline.read()


# -- signals -----------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_drain(start_gate, store, number):
    """What is in flight is answered, new connections are refused, then exit 0."""
    gate = start_gate(store, proxy={"drain-timeout": "5s"}, backend={"request-timeout": "10s"})
    client = gate.client()
    client.call("PING")
    with store.client() as direct:
        direct.send(encode("DEBUG", "SLEEP", "0.3"))
        client.send(encode("INCR", "n") * 3)
        wait_until(lambda: not readable(gate, client), "the requests to be on their way")
        gate.process.signal(number)
        assert [client.read() for _ in range(3)] == [1, 2, 3]
        direct.read()
    client.close()
    assert gate.process.wait_exit(10) == 0
    with pytest.raises(OSError):
        gate.client()


def readable(gate, client):
    """Bytes that respgate has not read yet from this client, by /proc/net/tcp."""
    mine = f"0100007F:{client.sock.getsockname()[1]:04X}"
    with open("/proc/net/tcp", encoding="ascii") as table:
        for line in table:
            fields = line.split()
            if fields[2] == mine:
                return int(fields[4].split(":")[1], 16)
    return 0


def test_drain_ends_at_its_timeout(start_gate, store):
    gate = start_gate(store, proxy={"drain-timeout": "300ms"})
    client = gate.client()
    client.send(encode("BLPOP", "none", "0"))
    wait_until(lambda: store.info("blocked_clients") == "1", "the client to block")
    start = time.monotonic()
    gate.process.signal(signal.SIGTERM)
    assert gate.process.wait_exit(10) == 0
    assert time.monotonic() - start < 5 * FACTOR
    client.close()
    wait_until(lambda: store.info("blocked_clients") == "0", "the store to be left")


def test_idle_clients_do_not_hold_up_the_end(start_gate, store):
    gate = start_gate(store, proxy={"drain-timeout": "30s"})
    clients = [gate.client() for _ in range(5)]
    for client in clients:
        client.call("PING")
    gate.process.signal(signal.SIGTERM)
    for client in clients:
        client.closed(timeout=10)
    assert gate.process.wait_exit(10) == 0


def test_a_log_file_is_reopened(start_gate, store, tmp_path):
    path = tmp_path / "respgate.log"
    gate = start_gate(store, log={"file": path})
    wait_until(lambda: path.exists() and path.stat().st_size, "the log file")
    os.rename(path, tmp_path / "old.log")
    gate.process.signal(signal.SIGUSR1)
    wait_until(path.exists, "a new log file")
    gate.extra = "[rule nonsense]\n"
    gate.write_config()
    gate.process.signal(signal.SIGHUP)
    wait_until(lambda: "nonsense" in path.read_text(), "a line in the new file")


def test_log_lines_as_json(start_gate, store):
    gate = start_gate(store, log={"format": "json"},
                      extra="[rule r]\ncommands = set\naction = deny\n")
    with gate.client() as client:
        client.call("SET", b"a\"\n\xff", "x")
    gate.reload("[rule r]\ncommands = nope\naction = deny\n", expect="nope")
    lines = gate.process.log().splitlines()
    assert lines
    for line in lines:
        entry = json.loads(line)
        assert {"time", "level", "text"} <= entry.keys()


# -- threads -----------------------------------------------------------------------------------


def test_threads_share_the_clients(start_gate, store):
    gate = start_gate(store, proxy={"threads": 2})
    clients = [gate.client() for _ in range(20)]
    for number, client in enumerate(clients):
        client.ok(f"SET k{number} v")
    # each worker has links of its own: two shared ones at the store, and both are used
    ids = [client.call("CLIENT ID") for client in clients]
    assert len(set(ids)) == 20
    before = thread_times(gate.process.pid)
    for client in clients:
        client.send(encode("INCR", "n") * 3000)
    for client in clients:
        for _ in range(3000):
            assert isinstance(client.read(), int)
    busy = [after - before.get(thread, 0) for thread, after in thread_times(gate.process.pid).items()]
    assert sum(1 for ticks in busy if ticks > 0) >= 2 or sum(busy) <= 2, busy
    assert store.call("GET n") == b"60000"
    assert int(clients[0].call("CLIENT", "KILL", "ID", ids[1])) == 1
    clients[1].closed()
    listed = clients[0].call("CLIENT LIST").decode()
    assert all(f"id={number} " in listed for number in ids[2:])
    for client in clients:
        client.close()


def thread_times(pid):
    """CPU ticks of each thread."""
    times = {}
    for thread in os.listdir(f"/proc/{pid}/task"):
        with open(f"/proc/{pid}/task/{thread}/stat", encoding="ascii") as stat:
            fields = stat.read().rsplit(")", 1)[1].split()
        times[thread] = int(fields[11]) + int(fields[12])
    return times


def test_no_descriptor_is_left_behind(start_gate, store):
    gate = start_gate(store)

    def descriptors():
        return len(os.listdir(f"/proc/{gate.process.pid}/fd"))
    with gate.client() as client:
        client.pipeline("PING", "MULTI", "EXEC")
        before = descriptors()
        for turn in range(100):
            with gate.client() as other:
                other.pipeline("PING", "MULTI", "PING", "EXEC")
                if turn % 2:
                    other.send(b"*3\r\n$3\r\nSET")
                    other.abort()
        wait_until(lambda: descriptors() <= before + 5, "descriptors to be given back")


def test_check_with_a_look_at_the_backend(config, store):
    path = config(section("proxy", {"listen": "127.0.0.1:1"})
                  + section("backend", {"url": f"redis://127.0.0.1:{store.port}"}))
    code, out, errors = run_binary("-t", "-c", path, "--connect")
    assert code == 0 and out.strip().splitlines()[-1] == "ok", out + errors
