"""A cluster that takes mutual TLS only, its plain port off, behind services that have one REDIS_URL
each and about sixty key prefixes between them: plain clients cannot use it, a primary's loss breaks
them, and nobody knows who fills it."""
import socket
import ssl
import threading
import time

import pytest

from harness.admin import Admin
from harness.cluster import Cluster, key_slot
from harness.servers import Gate
from harness.waiting import wait_until
from harness.wire import Closed, Error

PREFIXES = ["job:state", "wf:run", "cordum:rl", *(f"svc{n % 7}:kind{chr(97 + n % 19)}{chr(97 + n // 7)}"
                                                  for n in range(57))]


@pytest.fixture(scope="module")
def cluster(tmp_path_factory, certs):
    cluster = Cluster(tmp_path_factory.mktemp("cluster-ops"), certs)
    yield cluster
    cluster.stop()


@pytest.fixture
def gate(request, tmp_path, cluster):
    if request.config.getoption("--direct"):
        pytest.skip("needs respgate")
    gate = Gate(tmp_path / "gate", url=cluster.url(), backend=cluster.backend(),
                admin=Admin.ports(), log={"level": "info"})
    yield gate
    gate.stop()


class Service(threading.Thread):
    """One of seven, with a plain client as an application has it: it keeps its connection."""

    def __init__(self, door, prefixes):
        super().__init__(daemon=True)
        self.client, self.prefixes = door.client(timeout=20), prefixes
        self.over, self.written, self.errors, self.lost = threading.Event(), {}, 0, None
        self.latest, self.gap = time.monotonic(), 0.0

    def run(self):
        number = 0
        try:
            while not self.over.wait(0.002):
                number += 1
                prefix = self.prefixes[number % len(self.prefixes)]
                if isinstance(self.client.call("SET", f"{prefix}:{number}", "v"), Error):
                    self.errors += 1
                    continue
                now = time.monotonic()
                self.gap, self.latest = max(self.gap, now - self.latest), now
                self.written[prefix] = self.written.get(prefix, 0) + 1
        except (Closed, OSError, AssertionError) as error:
            self.lost = error

    def finish(self):
        self.over.set()
        self.join()
        self.client.close()


def test_straight_a_plain_client_cannot_use_it(cluster):
    node = cluster.primaries[0]
    with socket.create_connection(("127.0.0.1", node.port), 5) as plain:
        plain.sendall(b"PING\r\n")
        try:
            assert plain.recv(100) == b"", "TLS is all it speaks"
        except ConnectionResetError:
            pass
    anybody = ssl.create_default_context(cafile=cluster.certs.ca)
    anybody.maximum_version = ssl.TLSVersion.TLSv1_2  # refuses inside the handshake
    with pytest.raises((ssl.SSLError, ConnectionError)):
        with socket.create_connection(("127.0.0.1", node.port), 5) as sock:
            anybody.wrap_socket(sock, server_hostname="localhost").recv(1)
    with node.client() as client:  # and with the certificate two of three keys are elsewhere
        replies = [client.call("SET", f"job:state:{number}", "v") for number in range(60)]
    moved = sum(isinstance(reply, Error) and reply.code == "MOVED" for reply in replies)
    print(f"\ndirect: no plain client connects; with the certificate, {moved} of 60 writes of one "
          "without cluster support are refused with MOVED")
    assert moved > 20


def test_through_respgate_plain_clients_use_it_and_a_lost_primary_costs_seconds(gate, cluster):
    admin = Admin(gate)
    services = [Service(gate, PREFIXES[n::7]) for n in range(7)]
    for service in services:
        service.start()
    wait_until(lambda: all(len(service.written) >= 8 for service in services), "all to write", 20)
    assert not any(service.errors for service in services)
    victim = cluster.primaries[0]
    slot = key_slot(next(f"x{n}" for n in range(100) if key_slot(f"x{n}") < 5000))
    killed = time.monotonic()
    victim.kill()
    others = [node for node in cluster.nodes if node is not victim]
    wait_until(lambda: cluster.slot_owner(slot, others[0]) is not victim, "a replica to take over",
               20)
    taken = time.monotonic() - killed
    wait_until(lambda: admin.stat("cluster_primaries_without_replica") == 1, "respgate to know", 10)
    assert admin.stat("cluster_slots_unowned") == 0
    before = [sum(service.written.values()) for service in services]
    wait_until(lambda: all(sum(service.written.values()) > count + 100
                           for service, count in zip(services, before)), "all to go on", 20)
    for service in services:
        service.finish()
    longest = max(service.gap for service in services)
    print(f"\nthrough respgate: 7 plain services, a replica took over after {taken:.1f} s, none "
          f"wrote nothing for longer than {longest:.1f} s, "
          f"{sum(service.errors for service in services)} errors, "
          f"{sum(service.lost is not None for service in services)} connections lost")
    assert not [service.lost for service in services if service.lost]
    assert longest < taken + 3
    assert admin.stat("clients_accepted_total") == len(services)
    counted(admin, services)
    cluster.heal()
    wait_until(lambda: admin.stat("cluster_ok") == 1, "all to be well again", 20)


def counted(admin, services):
    """Who fills it: each prefix has its writes. One whose reply was lost may have been done."""
    seen = {row["prefix"]: row["writes"] for row in admin.rows("prefixes")}
    wanted = {}
    for service in services:
        for prefix, count in service.written.items():
            wanted[prefix] = wanted.get(prefix, 0) + count
    assert set(wanted) == set(PREFIXES)
    assert {prefix: seen.get(prefix) for prefix in wanted} == wanted
