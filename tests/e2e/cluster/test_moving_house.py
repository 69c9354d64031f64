"""conf/MOVING.md, step by step: from one node to a cluster and back, with its data, under load."""
import subprocess
import threading
import time

import pytest

from harness.admin import Admin
from harness.process import free_port
from harness.servers import Redis
from harness.waiting import FACTOR, wait_until

MOVED = "moved to the new backend: requests were held for"


class App:
    """Appends 1, 2, 3 ... to a stream, reads it back, and publishes; one connection for ever."""

    def __init__(self, gate, name):
        self.gate, self.name, self.count, self.wrong, self.longest = gate, name, 0, [], 0.0
        self.over = threading.Event()
        self.thread = threading.Thread(target=self.run)
        self.thread.start()

    def run(self):
        try:
            with self.gate.client(timeout=60) as client:
                while not self.over.is_set() and not self.wrong:
                    self.step(client, str(self.count + 1))
        except Exception as error:  # noqa: BLE001 - a lost connection is the finding
            self.wrong.append(repr(error))

    def step(self, client, number):
        start = time.monotonic()
        added = client.call("XADD", self.name, "*", "n", number)
        last = client.call("XREVRANGE", self.name, "+", "-", "COUNT", "1")
        many = client.call("MGET", f"{self.name}:a", f"{self.name}:b", f"{self.name}:c")
        self.longest = max(self.longest, time.monotonic() - start)
        if not isinstance(added, bytes) or last != [[added, [b"n", number.encode()]]]:
            self.wrong.append(f"{number}: {added!r}, then {last!r}")
        elif many != [None] * 3:
            self.wrong.append(f"MGET: {many!r}")
        else:
            self.count += 1

    def stop(self):
        self.over.set()
        self.thread.join()
        assert not self.wrong, self.wrong


def redis_cli(cluster, *words):
    certs = cluster.certs
    done = subprocess.run(
        ["redis-cli", "--tls", "--cacert", certs.ca, "--cert", certs.client[0], "--key",
         certs.client[1], *map(str, words)], capture_output=True, text=True, timeout=60 * FACTOR)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture
def old(tmp_path_factory, certs):
    """One node, plain. For MIGRATE to and from a cluster of TLS it has a port for that as well."""
    cert, key = certs.server
    redis = Redis(tmp_path_factory.mktemp("old"), tls_port=free_port(), tls_cluster="yes",
                  tls_cert_file=cert, tls_key_file=key, tls_ca_cert_file=certs.ca)
    yield redis
    redis.stop()


@pytest.fixture
def gate(start_door, cluster, old, tmp_path):
    secret = tmp_path / "admin"
    secret.write_text("x\n")
    secret.chmod(0o600)
    return start_door(url=f"redis://127.0.0.1:{old.port}", backend={"mode": "standalone"},
                      proxy={"threads": "2"}, admin=Admin.ports(**{"password-file": secret}))


def entries(node, name):
    return [int(fields[1]) for _, fields in node.call("XRANGE", name, "-", "+")]


def go_on(apps):
    marks = [app.count for app in apps]
    wait_until(lambda: all(app.wrong or app.count > mark + 20 for app, mark in zip(apps, marks)),
               "the apps to go on", 20)
    assert not any(app.wrong for app in apps), [app.wrong for app in apps]


def test_to_a_cluster_and_back_with_the_data(gate, cluster, old):
    apps = [App(gate, f"app:{i}") for i in range(6)]
    with Admin(gate).console(timeout=60) as console, gate.client() as listener, \
            gate.client() as speaker:
        console.ok("AUTH", "x")
        listener.call("SUBSCRIBE news")
        go_on(apps)
        console.ok("PAUSE", "WRITES", "FOR", "5m")
        redis_cli(cluster, "--cluster", "import", f"127.0.0.1:{cluster.primaries[0].port}",
                  "--cluster-from", f"127.0.0.1:{old.port}", "--cluster-copy", "--cluster-replace")
        log = gate.reload(backend={"url": cluster.url(), "mode": "cluster"}, expect=MOVED)
        print([line for line in log.splitlines() if MOVED in line])
        console.ok("RESUME")
        go_on(apps)
        at_old = {app.name: entries(old, app.name) for app in apps}
        wait_until(lambda: speaker.call("PUBLISH news hi") is not None, "PUBLISH")
        assert listener.read() == [b"message", b"news", b"hi"]
        console.ok("PAUSE", "WRITES", "FOR", "5m")
        for app in apps:  # each only grew in the cluster
            here = entries(cluster.owner(app.name), app.name)
            assert here == list(range(1, len(here) + 1))
            assert len(here) > len(at_old[app.name])
            assert entries(old, app.name) == at_old[app.name]
        for primary in cluster.live_primaries():
            for key in redis_cli(cluster, "-p", primary.port, "--scan").split():
                redis_cli(cluster, "-p", primary.port, "MIGRATE", "127.0.0.1",
                          old.options["tls_port"], key, "0", "5000", "COPY", "REPLACE")
        gate.reload(backend={"url": f"redis://127.0.0.1:{old.port}", "mode": "standalone"},
                    expect=MOVED)
        console.ok("RESUME")
        go_on(apps)
        assert speaker.call("PUBLISH news back") == 1
        assert listener.read() == [b"message", b"news", b"back"]
    for app in apps:
        app.stop()
        assert entries(old, app.name) == list(range(1, app.count + 1))
    print(f"longest step with the copy {max(app.longest for app in apps) * 1000:.0f} ms")


def test_a_client_in_another_db_keeps_it_from_a_cluster(gate, cluster):
    with gate.client() as client:
        client.ok("SELECT 3")
        log = gate.reload(backend={"url": cluster.url(), "mode": "cluster"},
                          expect="the backend in force stays")
        assert "a cluster has db 0 alone, and a client uses db 3 (client=" in log
        client.ok("SET k v")
    gate.reload(expect=MOVED)


def test_one_node_is_no_cluster(gate, old, tmp_path_factory, certs):
    other = Redis(tmp_path_factory.mktemp("other"), certs=certs)
    try:
        log = gate.reload(backend={"url": f"rediss://127.0.0.1:{other.port}", "mode": "cluster"},
                          expect="the backend in force stays")
        assert "is no cluster" in log
    finally:
        other.stop()


def test_auto_finds_out(gate, cluster, old):
    with gate.client() as client:
        gate.reload(backend={"url": cluster.url(), "mode": "auto"}, expect=MOVED)
        for i in range(20):
            client.ok(f"SET k{i} {i}")
        assert client.call("MGET k1 k2 k3") == [b"1", b"2", b"3"]
        gate.reload(backend={"url": f"redis://127.0.0.1:{old.port}"}, expect=MOVED)
        assert client.call("GET k1") is None
        client.ok("SELECT 1")
