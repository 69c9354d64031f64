"""Clusters that are not what they should be: nodes that lie, wrong certificates, wrong names, a
password that one node does not take. A clear line, an error for the client, and no spinning."""
import re
import socketserver
import threading

import pytest

from harness.cluster import Cluster, key_slot
from harness.process import free_port
from harness.waiting import wait_until
from harness.wire import Error

NODE_ID = "a" * 40


class Liar:
    """Speaks enough RESP to be taken for a node; what it says is up to the test."""

    def __init__(self, nodes=None, answer=b"+OK\r\n"):
        self.port = free_port()
        self.nodes = nodes or f"{NODE_ID} 127.0.0.1:{self.port}@1 myself,master - 0 0 1 connected 0-16383\n"
        self.answer, self.asked = answer, []
        liar = self

        class Handler(socketserver.StreamRequestHandler):
            def handle(self):
                while (line := self.rfile.readline()):
                    count = int(line[1:])
                    words = []
                    for _ in range(count):
                        length = int(self.rfile.readline()[1:])
                        words.append(self.rfile.read(length + 2)[:-2])
                    self.wfile.write(liar.reply([word.upper() for word in words]))

        self.server = socketserver.ThreadingTCPServer(("127.0.0.1", self.port), Handler)
        self.server.daemon_threads = True
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def reply(self, words):
        if words[0] == b"HELLO":
            return b"*4\r\n$6\r\nserver\r\n$5\r\nredis\r\n$4\r\nmode\r\n$7\r\ncluster\r\n"
        if words[:2] == [b"CLUSTER", b"NODES"]:
            text = self.nodes.encode()
            return b"$%d\r\n%s\r\n" % (len(text), text)
        if words[0] in (b"GET", b"SET"):
            self.asked.append(words)
            return self.answer if isinstance(self.answer, bytes) else self.answer(self)
        return b"-ERR unknown command\r\n"

    def stop(self):
        self.server.shutdown()
        self.server.server_close()


@pytest.fixture
def lie(keeper):
    return lambda **options: keeper.add(Liar(**options))


@pytest.fixture
def gate_to(start_gate):
    return lambda *ports, **backend: start_gate(
        url=", ".join(f"redis://127.0.0.1:{port}" for port in ports),
        backend={"mode": "cluster", "park-timeout": "400ms", **backend})


def test_moved_in_circles_ends(lie, gate_to):
    liar = lie(answer=lambda self: b"-MOVED 12182 127.0.0.1:%d\r\n" % self.port)
    with gate_to(liar.port).client() as client:
        reply = client.call("GET foo")
        assert reply == Error("TRYAGAIN respgate: slot 12182 is moving between nodes")
        assert len(liar.asked) < 20
        assert client.call("MGET foo bar").startswith("ERR")
        assert client.call("PING") == Error("ERR unknown command")


def test_moved_to_a_stranger_is_not_followed(lie, gate_to):
    stranger = lie()
    liar = lie(answer=b"-MOVED 12182 127.0.0.1:%d\r\n" % stranger.port)
    with gate_to(liar.port).client() as client:
        assert client.call("GET foo").startswith("TRYAGAIN respgate: slot 12182")
        assert client.call("SET foo 1").startswith("TRYAGAIN")
        assert not stranger.asked


@pytest.mark.parametrize("answer", [
    b"-MOVED\r\n", b"-MOVED 1\r\n", b"-MOVED x 127.0.0.1:1\r\n", b"-MOVED 99999 127.0.0.1:1\r\n",
    b"-ASK 5 nowhere\r\n", b"-MOVED 5 :\r\n", b"-ASK 5 127.0.0.1:99999\r\n", b"-TRYAGAIN x\r\n"])
def test_malformed_redirects(lie, gate_to, answer):
    with gate_to(lie(answer=answer).port).client() as client:
        reply = client.call("GET foo")
        assert isinstance(reply, Error) and "127.0.0.1" not in reply
        assert client.call("ECHO x") == Error("ERR unknown command")


@pytest.mark.parametrize("nodes", [
    "nonsense", f"{NODE_ID} 127.0.0.1:1@1 myself,master - 0 0 1 connected 0-16384\n",
    f"{NODE_ID} 127.0.0.1:1@1 myself,master - 0 0 1 connected 5 5\n"])
def test_a_map_that_makes_no_sense_is_not_used(lie, gate_to, nodes):
    liar = lie(nodes=nodes)
    gate = gate_to(liar.port)
    with gate.client() as client:
        assert client.call("GET foo") == Error("CLUSTERDOWN respgate: no node tells where slots are")
        assert gate.process.log().count("does not tell what the cluster looks like") == 1
        assert not liar.asked


def test_two_that_claim_the_same_slots(lie, gate_to):
    """Split brain: three nodes name one owner, the fourth itself."""
    liars = [lie() for _ in range(4)]
    ids = [f"{i}" * 40 for i in range(1, 5)]

    def told(by, owner, epoch):
        return "".join(
            f"{ids[i]} 127.0.0.1:{liars[i].port}@1 {'myself,' if i == by else ''}master - 0 0 "
            f"{epoch if i == owner else 1} connected{' 0-16383' if i == owner else ''}\n"
            for i in range(4))
    for i, liar in enumerate(liars):
        liar.nodes = told(i, 3 if i == 3 else 0, 9 if i == 3 else 1)
        liar.answer = b"$1\r\n%d\r\n" % i
    gate = gate_to(*(liar.port for liar in liars))
    gate.wait_log("split brain: 16384 slots .* claimed by node", timeout=10)
    with gate.client() as client:
        assert client.call("GET foo") == b"0"
    for liar in liars:
        liar.nodes = told(liars.index(liar), 0, 9)
    gate.wait_log("no slot is claimed by two nodes any more", timeout=15)


def tls_error(gate, pattern):
    gate.wait_log(pattern, timeout=10)
    with gate.client() as client:
        reply = client.call("GET a")
        assert reply.startswith("CLUSTERDOWN respgate:"), reply


def test_a_wrong_authority_is_not_trusted(cluster, start_door, certs):
    door = start_door(backend={"mode": "cluster", "park-timeout": "200ms",
                               "tls-ca-file": certs.other_ca})
    tls_error(door, "certificate verify failed|self.signed certificate|unable to get")


def test_no_certificate_of_ones_own(cluster, start_door, certs):
    door = start_door(backend={"mode": "cluster", "park-timeout": "200ms",
                               "tls-cert-file": certs.stranger[0], "tls-key-file": certs.stranger[1]})
    tls_error(door, "unavailable")


@pytest.fixture(scope="module")
def named(module_keeper, certs):
    """A primary alone, whose certificate and announced name are elsewhere.test."""
    cluster = Cluster(module_keeper.folder("named"), certs, primaries=1, replicas=False,
                      server_cert=certs.wrong_name, cluster_announce_hostname="elsewhere.test")
    return module_keeper.add(cluster)


def test_the_announced_name_is_what_is_verified(named, start_gate):
    """The seed's address is not in its certificate, so the name has to be given for the seed; with
    tls-server-name it holds for all nodes."""
    node = named.primaries[0]
    wrong = start_gate(url=f"rediss://127.0.0.1:{node.port}", backend={
        **named.backend(), "mode": "cluster", "park-timeout": "200ms"})
    tls_error(wrong, "IP address mismatch|hostname mismatch|does not name|verify failed")
    right = start_gate(url=f"rediss://127.0.0.1:{node.port}", backend={
        **named.backend(), "tls-server-name": "elsewhere.test"})
    with right.client() as client:
        client.ok("SET a 1")
        assert client.call("MGET a b") == [b"1", None]
        assert node.call("GET a") == b"1"


def test_a_password_that_one_node_does_not_take(cluster, start_door, tmp_path):
    odd = cluster.live_primaries()[-1]
    secret = tmp_path / "secret"
    secret.write_text("right\n")
    secret.chmod(0o600)
    for node in cluster.nodes:
        node.call("ACL", "SETUSER", "app", "on", ">wrong" if node is odd else ">right", "~*", "&*",
                  "+@all")
    try:
        door = start_door(proxy={"anonymous": "backend"},
                          backend={"username": "app", "password-file": secret})
        keys = {cluster.owner(f"p{i}"): f"p{i}" for i in range(40)}
        with door.client() as client:
            for node, key in keys.items():
                reply = client.call("SET", key, 1)
                if node is odd:
                    assert reply.startswith("WRONGPASS"), reply
                else:
                    assert reply == b"OK"
        door.wait_log("login as 'app' refused: WRONGPASS")
    finally:
        for node in cluster.nodes:
            node.call("ACL", "DELUSER", "app")


def test_a_reload_keeps_links_and_reads_certificates_anew(cluster, start_door):
    door = start_door()
    with door.client() as client:
        client.ok("SET a 1")
        before = len(re.findall("connected \\(TLS", door.process.log()))
        door.reload(expect="reload")
        for i in range(20):
            client.ok(f"SET r{i} 1")
        assert client.call("GET a") == b"1"
        assert len(re.findall("connected \\(TLS", door.process.log())) <= before + 6
    assert key_slot("a") == 15495
    wait_until(door.alive, "respgate to live")
