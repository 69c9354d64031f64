"""conf/examples: each file is right, and keeps its main promise."""
import re
import shutil

import pytest

from harness.process import Process, free_port
from harness.servers import BINARY, ROOT, run_binary, section
from harness.waiting import FACTOR, wait_until
from harness.wire import Client

pytestmark = pytest.mark.needs_gate

FOLDER = ROOT / "conf" / "examples"
FILES = sorted(path.name for path in FOLDER.glob("*.conf"))


@pytest.fixture
def folder(tmp_path, certs):
    """A copy of the examples that writes no log elsewhere, with certificates that exist."""
    copy = tmp_path / "examples"
    shutil.copytree(FOLDER, copy)
    for path in copy.glob("*.conf"):
        text = path.read_text().replace("/var/log/respgate", str(tmp_path))
        for name, file in zip(("redis-ca.crt", "respgate.crt", "respgate.key"),
                              (certs.ca, *certs.client)):
            text = text.replace(f"/etc/respgate/tls/{name}", str(file))
        path.write_text(text)
        path.chmod(0o600)
    return copy


@pytest.fixture
def example(folder, keeper):
    """Runs an example in front of a store; returns a function that connects to it."""
    processes = []

    def start(name, redis):
        port, path = free_port(), folder / name
        if "[admin]" not in path.read_text():
            path.write_text(path.read_text() + section("admin", {"console": "", "http": ""}))
        process = Process("respgate", [BINARY, "-c", path, "--listen", port, "--backend",
                                       f"redis://127.0.0.1:{redis.port}"], folder / "log")
        processes.append(process)
        process.wait_log(" is ready: ", timeout=10)
        return lambda: keeper.add(Connection(port))
    yield start
    for process in processes:
        process.signal(15)
        assert process.wait_exit(20) == 0, process.log()


class Connection(Client):
    def stop(self):
        self.close()


def code(reply):
    return getattr(reply, "code", None)


@pytest.mark.parametrize("name", FILES)
def test_it_is_right_and_has_nothing_to_warn_of(folder, name):
    code_, out, errors = run_binary("-t", "-c", folder / name)
    assert (code_, out.strip(), errors) == (0, "ok", "")


def test_each_says_what_it_is_for():
    for name in FILES:
        assert re.match(rf"; {name} - \w.{{20}}", (FOLDER / name).read_text()), name


def test_base_has_the_rules_that_are_shipped():
    shipped = (ROOT / "conf" / "respgate.conf").read_text()
    base = (FOLDER / "base.conf").read_text()
    assert base[base.index("; Who looks"):] == shipped[shipped.index("; Who looks"):]


def test_flush(example, store):
    client = example("flush.conf", store)()
    client.ok("SET k v")
    assert code(client.call("FLUSHALL")) == "NOPERM"
    assert "SCAN and UNLINK" in client.call("FLUSHDB")
    assert client.call("DEL k") == 1
    assert code(client.call("UNLINK", *range(1000))) == "NOPERM"
    replies = [client.call("DEL", *range(900)) for _ in range(8)]
    assert replies[0] == 0 and code(replies[-1]) == "THROTTLED"


def test_oom_queue(example, start_redis):
    redis = start_redis(maxmemory="4mb", maxmemory_policy="noeviction")
    with redis.client() as monitor:
        client = example("oom-queue.conf", redis)()
        monitor.ok("MONITOR")
        client.call("XADD s * f v")
        wait_until(lambda: b"MAXLEN" in monitor.read(), "XADD with a bound")

    def refused():
        reply = client.call("XADD", "s", "*", "f", "x" * 20000)
        return code(reply) == "OOM" and "respgate" in reply
    wait_until(refused, "what adds data to be refused", 20)
    client.ok("SET lock:a v")
    assert client.pipeline("MULTI", "XTRIM s MAXLEN 0", "EXEC")[-1][0] > 0
    wait_until(lambda: code(client.call("XADD s * f v")) is None, "writes to go on", 20)


def test_reconnect_storm(example, store):
    before = int(store.info("connected_clients"))
    connect = example("reconnect-storm.conf", store)
    clients = [connect() for _ in range(200)]
    assert all(client.call("INCR n") == number + 1 for number, client in enumerate(clients))
    assert int(store.info("connected_clients")) <= before + 5
    assert "max number of clients reached for this address" in connect().read()


def test_aof_full(example, store):
    client = example("aof-full.conf", store)()
    replies = [client.call("SET", "k", "x" * 500_000) for _ in range(20)]
    assert replies[0] == b"OK" and "THROTTLED respgate: rule 'write-bytes'" in replies[-1]
    assert client.call("STRLEN k") == 500_000


def test_cache(example, store):
    client = example("cache.conf", store)()
    client.ok("SET cache:a v")
    assert 3590 <= client.call("TTL cache:a") <= 3600
    assert code(client.call("SET cache:a v EX 9999999")) == "NOPERM"
    assert code(client.call("SET", "cache:a", "x" * 2_000_000, "EX", "9")) == "NOPERM"
    client.ok("SET other v")
    assert client.call("TTL other") == -1


def test_job_queue(example, store):
    client = example("job-queue.conf", store)()
    for _ in range(3):
        client.call("RPUSH", "bull:q:wait", *range(5000))
    assert client.call("BLPOP bull:q:wait 1") == [b"bull:q:wait", b"0"]
    assert len(client.call("LRANGE bull:q:wait 0 99")) == 100
    assert code(client.call("LRANGE bull:q:wait 0 -1")) == "NOPERM"
    body = "local rcall = redis.call return rcall('LLEN', KEYS[1])"
    assert client.call("EVAL", body, "1", "bull:q:wait") == 14999
    assert code(client.call("EVAL", "return redis.call('flush'..'all')", "0")) == "NOPERM"
    assert code(client.call("KEYS *")) == "NOPERM"


def test_sessions(example, store):
    client = example("sessions.conf", store)()
    assert code(client.call("SET session:zztoken v")) == "NOPERM"
    client.ok("SET session:zztoken v EX 3600")
    assert client.call("GET session:zztoken") == b"v"
    for command in "KEYS *", "KEYS session:zz*", "SCAN 0", "MONITOR", "RANDOMKEY":
        assert code(client.call(command)) == "NOPERM", command


def test_multi_tenant(example, store):
    connect = example("multi-tenant.conf", store)
    client = connect()
    assert code(client.call("GET t1:a")) == "NOAUTH"
    client.ok("AUTH t1 change-me-t1")
    client.ok("SET t1:a v")
    for command in ("SET t2:a v", "GET t2:a", "RENAME t1:a t2:a", "MGET t1:a t2:a", "KEYS *",
                    "SCAN 0", "DBSIZE", "SUBSCRIBE t2:news", "PSUBSCRIBE *",
                    "EVAL return(redis.call('get','t2:a')) 0"):
        assert code(client.call(command)) == "NOPERM", command
    assert client.call("KEYS t1:*") == [b"t1:a"]
    assert client.call("PUBLISH t1:news x") == 0
    replies = [client.pipeline(*["GET t1:a"] * 1000)[-1] for _ in range(8)]
    assert code(replies[-1]) == "THROTTLED" or FACTOR > 1
    other = connect()
    other.ok("AUTH t2 change-me-t2")
    other.ok("SET t2:a v")
