"""Slots that move under load: redirects are followed, nothing is lost, SCAN misses nothing, and no
client sees where nodes are."""
import re
import subprocess
import threading

import pytest

from harness.admin import Admin
from harness.cluster import key_slot
from harness.waiting import wait_until
from harness.wire import Closed, Error, encode

ADDRESS = re.compile(r"127\.0\.0\.1|MOVED|ASK ")


def other_primary(cluster, node):
    return next(n for n in cluster.live_primaries() if n is not node)


def stat(door, name):
    """A counter of respgate's, from its console."""
    return int(re.search(rf"{name} (\d+)", door.process.log()).group(1))


@pytest.fixture
def moving(cluster):
    """A slot on its way: half of its keys are at its new node already."""
    slot = key_slot("{m}")
    source = cluster.slot_owner(slot)
    to = other_primary(cluster, source)
    source.call("SET", "{m}here", "h")
    source.call("SET", "{m}there", "t")
    cluster.begin_move(slot, to)
    assert source.call("MIGRATE", "127.0.0.1", to.port, "{m}there", 0, 5000) == b"OK"
    yield slot, source, to
    cluster.move_keys(slot, source, to)
    cluster.end_move(slot, to)
    wait_until(cluster.agreed, "all nodes to know", 10)


def test_ask_is_followed_for_one_request_only(moving, client):
    slot, source, to = moving
    for _ in range(3): # and the map stays: a key that is still there is asked for there
        assert client.call("GET {m}there") == b"t"
        assert client.call("GET {m}here") == b"h"
    assert client.pipeline("GET {m}there", "GET {m}here", "SET {m}new 1", "GET {m}new") == [
        b"t", b"h", b"OK", b"1"]


def test_redirects_count_for_the_node_that_sent_them(moving, start_door):
    _, source, _ = moving
    door = start_door(admin=Admin.ports())
    admin = Admin(door)

    def redirects():
        return {row["address"]: row["redirects"] for row in admin.rows("nodes")}
    with door.client() as client:
        assert client.call("GET {m}here") == b"h" # by now it has the map
        before = redirects()
        assert client.call("GET {m}there") == b"t"
    more = {address: count - before[address] for address, count in redirects().items()}
    assert [address for address in more if more[address]] == [
        address for address in more if address.endswith(f":{source.port}")]
    assert sum(more.values()) == 1


def test_keys_on_both_sides_wait_and_then_say_tryagain(moving, start_door):
    door = start_door(backend={"park-timeout": "200ms"})
    with door.client() as client:
        reply = client.call("MGET {m}here {m}there")
        assert reply.startswith("TRYAGAIN") and not ADDRESS.search(reply)


def test_a_request_waits_for_the_end_of_the_move(cluster, start_door):
    door = start_door(backend={"park-timeout": "10s"})
    slot = key_slot("{m}")
    source = cluster.slot_owner(slot)
    to = other_primary(cluster, source)
    source.call("MSET", "{m}here", "h", "{m}there", "t")
    cluster.begin_move(slot, to)
    source.call("MIGRATE", "127.0.0.1", to.port, "{m}there", 0, 5000)
    with door.client() as client, door.client() as other:
        client.send(encode("MGET", "{m}here", "{m}there"))
        door.wait_log("slots? (are|is)|cluster:")
        assert other.call("PING") == b"PONG"
        cluster.move_keys(slot, source, to)
        cluster.end_move(slot, to)
        assert client.read() == [b"h", b"t"]


def test_blocked_and_watching_clients_follow_their_slot(moving, door):
    with door.client() as client, door.client() as other:
        client.send(encode("BLPOP", "{m}list", 10))
        assert other.call("RPUSH {m}list x") == 1
        assert client.read() == [b"{m}list", b"x"]


def test_transactions_fail_without_an_address_while_the_slot_moves(moving, client):
    replies = client.pipeline("MULTI", "GET {m}there", "EXEC")
    assert not ADDRESS.search(str(replies)), replies
    assert isinstance(replies[2], Error) and replies[2].code in ("EXECABORT", "TRYAGAIN")
    client.ok("SET elsewhere 1")


def test_moved_goes_to_the_new_owner_at_once(cluster, door):
    with door.client() as client:
        for i in range(12):
            key = f"{{mv{i}}}"
            client.ok("SET", key, i)
            slot = key_slot(key)
            cluster.move_slot(slot, other_primary(cluster, cluster.slot_owner(slot)))
            assert client.pipeline(f"GET {key}", f"INCR {key}", f"GET {key}") == [
                str(i).encode(), i + 1, str(i + 1).encode()]


class Writer(threading.Thread):
    """Writes and reads keys of all slots until told to stop."""

    def __init__(self, door, number):
        super().__init__(daemon=True)
        self.door, self.number = door, number
        self.stopping, self.wrong = threading.Event(), []
        self.values = {}

    def run(self):
        try:
            with self.door.client(timeout=30) as client:
                turn = 0
                while not self.stopping.is_set():
                    turn += 1
                    keys = [f"w{self.number}:{(turn * 7 + i) % 400}" for i in range(5)]
                    pairs = {key: f"{key}={turn}" for key in keys}
                    self.expect(client.call("MSET", *sum(([k, v] for k, v in pairs.items()), [])),
                                b"OK")
                    self.values.update(pairs)
                    self.expect(client.call("MGET", *keys), [v.encode() for v in pairs.values()])
                    self.expect(client.pipeline(*(f"GET {key}" for key in keys)),
                                [v.encode() for v in pairs.values()])
        except (Closed, ConnectionError, AssertionError) as error:
            self.wrong.append(repr(error))

    def expect(self, reply, want):
        if reply != want:
            self.wrong.append((reply, want))


def scan_all(client, count):
    seen, cursor = set(), b"0"
    while True:
        reply = client.call("SCAN", cursor, "COUNT", count)
        assert not isinstance(reply, Error), reply
        cursor, keys = reply
        seen.update(keys)
        if cursor == b"0":
            return seen


@pytest.mark.slow
def test_resharding_under_load_loses_nothing(cluster, start_door):
    door = start_door(proxy={"threads": 2}, backend={"park-timeout": "5s"})
    with door.client() as client:
        client.ok("MSET", *sum(([f"fixed:{i}", i] for i in range(1500)), []))
        writers = [Writer(door, i) for i in range(3)]
        for writer in writers:
            writer.start()
        nodes = cluster.live_primaries()
        for source, to in ((nodes[0], nodes[1]), (nodes[1], nodes[0])):
            mover = subprocess.Popen(
                ["redis-cli", "--tls", "--cacert", str(cluster.certs.ca),
                 "--cert", str(cluster.certs.client[0]), "--key", str(cluster.certs.client[1]),
                 "--cluster", "reshard", f"127.0.0.1:{nodes[0].port}", "--cluster-from", source.id,
                 "--cluster-to", to.id, "--cluster-slots", "300", "--cluster-yes"],
                stdout=subprocess.DEVNULL, stderr=subprocess.STDOUT)
            scans = 0
            while mover.poll() is None:
                seen = scan_all(client, 100)
                missed = [i for i in range(1500) if f"fixed:{i}".encode() not in seen]
                assert not missed, f"SCAN missed {len(missed)} keys"
                scans += 1
            assert mover.wait() == 0
        for writer in writers:
            writer.stopping.set()
            writer.join(30)
            assert not writer.wrong, writer.wrong[:3]
            for key, value in writer.values.items():
                assert client.call("GET", key) == value.encode()
        for i in range(1500):
            assert client.call("GET", f"fixed:{i}") == str(i).encode()


def test_a_slot_that_is_stuck_on_its_way_shows(moving, start_door, cluster):
    slot, source, to = moving
    view = source.lines()[source.id]
    assert any(word.startswith(f"[{slot}->-") for word in view)
    door = start_door()
    with door.client() as client: # and it is served all the same
        assert client.call("GET {m}there") == b"t"
