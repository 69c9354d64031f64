"""A primary killed, stopped or cut off: others go on untouched, its slots wait and then succeed or
get a clear error, no client is dropped, and no reply goes astray."""
import re
import signal
import threading
import time

import pytest

from harness.cluster import key_slot
from harness.process import free_port
from harness.waiting import deadline, wait_until
from harness.wire import Closed, Error, encode

SOFT = re.compile(r"respgate|CLUSTERDOWN|TRYAGAIN|LOADING")


class Checker(threading.Thread):
    """Counts up in keys of its own and reads them back: what was acknowledged must be there, and
    every reply must be the one to its request."""

    def __init__(self, door, keys, tag):
        super().__init__(daemon=True)
        self.door, self.keys, self.tag = door, keys, tag
        self.stopping = threading.Event()
        self.acknowledged = dict.fromkeys(keys, 0)
        self.maybe = dict.fromkeys(keys, 0)
        self.errors, self.wrong, self.done = [], [], 0
        self.longest = 0.0
        self.last_ok = {}

    def run(self):
        try:
            with self.door.client(timeout=20) as client:
                number = 0
                while not self.stopping.is_set():
                    number += 1
                    self.step(client, number)
        except (Closed, ConnectionError, AssertionError) as error:
            self.wrong.append(f"the client was dropped: {error!r}")

    def step(self, client, number):
        key = self.keys[number % len(self.keys)]
        self.maybe[key] = number
        began = time.monotonic()
        reply = client.call("SET", key, f"{self.tag}:{key}:{number}")
        self.longest = max(self.longest, time.monotonic() - began)
        if reply == b"OK":
            self.acknowledged[key] = number
            self.last_ok[key] = time.monotonic()
        else:
            self.soft(reply)
        value = client.call("GET", key)
        if isinstance(value, Error):
            self.soft(value)
            return
        self.done += 1
        if value is not None and not value.startswith(f"{self.tag}:{key}:".encode()):
            self.wrong.append((key, value))

    def soft(self, reply):
        if not (isinstance(reply, Error) and SOFT.search(reply)):
            self.wrong.append(reply)
        self.errors.append(reply)
        if re.search(r"127\.0\.0\.1|:\d{4,}", str(reply)):
            self.wrong.append(f"an address leaked: {reply}")

    def stop(self):
        self.stopping.set()
        self.join(25)
        assert not self.wrong, self.wrong[:5]


def keys_of(cluster, node, count=4):
    found, i = [], 0
    while len(found) < count:
        key = f"f{i}"
        if cluster.owner(key) is node:
            found.append(key)
        i += 1
    return found


def promoted(cluster, lost, slot):
    """The node that took the lost one's slot over, once the others agree."""
    others = [node for node in cluster.nodes if node is not lost]
    return wait_until(lambda: (owner := cluster.slot_owner(slot, others[0])) is not lost and owner,
                      "a replica to take over", 20)


@pytest.fixture
def watched(start_door, cluster):
    """A door with two checkers: of one primary's slots, and of the others'."""
    door = start_door()
    victim = cluster.live_primaries()[0]
    keys = keys_of(cluster, victim)
    others = [key for node in cluster.live_primaries()[1:] for key in keys_of(cluster, node, 2)]
    lost, safe = Checker(door, keys, "lost"), Checker(door, others, "safe")
    lost.start(), safe.start()
    wait_until(lambda: lost.done > 20 and safe.done > 20, "the checkers to be under way", 10)
    yield cluster, victim, lost, safe
    lost.stopping.set(), safe.stopping.set()


def came_back(checker, since, timeout=20):
    wait_until(lambda: all(checker.last_ok.get(key, 0) > since for key in checker.keys),
               "writes to the lost slots to succeed again", timeout)


def no_write_lost(door_call, checker):
    for key in checker.keys:
        value = door_call("GET", key)
        number = int(value.rsplit(b":", 1)[1]) if value else 0
        assert number >= checker.acknowledged[key], (key, value, checker.acknowledged[key])


def test_a_killed_primary(watched):
    cluster, victim, lost, safe = watched
    slot = key_slot(lost.keys[0])
    before = len(safe.errors)
    victim.kill()
    promoted(cluster, victim, slot)
    taken = time.monotonic()
    came_back(lost, taken)
    first = min(lost.last_ok.values())
    lost.stop(), safe.stop()
    assert len(safe.errors) == before == 0, safe.errors[:3]
    assert safe.longest < 1.0, "requests to other nodes waited"
    assert first - taken < 2.0
    with lost.door.client() as client:
        for key in lost.keys:
            assert client.call("GET", key) is not None
    assert lost.door.process.log().count("unavailable") <= 3 * 2 # said once a worker, not on and on


def test_a_stopped_primary(watched):
    cluster, victim, lost, safe = watched
    slot = key_slot(lost.keys[0])
    victim.process.stop_running()
    promoted(cluster, victim, slot)
    came_back(lost, time.monotonic())
    lost.stop(), safe.stop()
    assert not safe.errors and safe.longest < 1.0
    victim.process.continue_running()
    cluster.wait_whole()
    with lost.door.client() as client: # and the node that came back is asked no more
        for _ in range(3):
            for key in lost.keys:
                client.ok("SET", key, f"lost:{key}:0")


def test_acknowledged_writes_survive_a_failover_that_was_asked_for(watched):
    cluster, victim, lost, safe = watched
    replica = cluster.replica_of(victim)
    assert replica.call("CLUSTER", "FAILOVER") == b"OK"
    wait_until(lambda: cluster.is_primary(replica), "the replica to take over", 20)
    came_back(lost, time.monotonic())
    lost.stop(), safe.stop()
    assert not safe.errors
    with lost.door.client() as client:
        no_write_lost(client.call, lost)


def test_the_whole_cluster_gone_and_back(cluster, start_door):
    door = start_door(backend={"park-timeout": "300ms"})
    with door.client() as client:
        client.ok("SET a 1")
        for node in cluster.nodes:
            node.kill()
        reply = client.call("SET a 2")
        assert isinstance(reply, Error) and "respgate" in reply
        assert isinstance(client.call("MGET a b c"), Error)
        for node in cluster.nodes:
            node.start()
        cluster.wait_whole()
        end = deadline(10)
        while (reply := client.call("SET a 3")) != b"OK":
            assert time.monotonic() < end, reply
        assert client.call("MSET a 1 b 2 c 3") == b"OK"


def test_a_cluster_that_is_broken_at_the_start(cluster, start_door):
    door = start_door(url=cluster.url(cluster.primaries[0]), backend={
        "mode": "cluster", "park-timeout": "200ms"}, wait=True)
    door.stop()
    for node in cluster.nodes:
        node.kill()
    door.start()
    with door.client() as client:
        reply = client.call("GET a")
        assert reply.startswith("CLUSTERDOWN respgate:"), reply
        assert door.process.log().count("is unavailable") == 1
        for node in cluster.nodes:
            node.start()
        cluster.wait_whole()
        wait_until(lambda: client.call("GET a") is None, "the cluster to be used", 10)


@pytest.mark.parametrize("mode", ["auto", "cluster"])
def test_a_dead_seed_is_passed_over(cluster, start_door, mode):
    door = start_door(url=f"rediss://127.0.0.1:{free_port()}, " + cluster.url(cluster.replicas[0]),
                      backend={"mode": mode, "park-timeout": "5s"})
    with door.client() as client:
        client.ok("SET a 1")
        assert client.call("MGET a b") == [b"1", None]


def test_a_seed_that_is_no_cluster(start_redis, start_gate):
    redis = start_redis()
    gate = start_gate(redis, backend={"mode": "cluster", "park-timeout": "200ms"})
    with gate.client() as client:
        assert client.call("GET a").startswith("CLUSTERDOWN respgate:")
        gate.wait_log("does not tell what the cluster looks like")
        assert gate.process.log().count("does not tell what") == 1


def test_slots_without_an_owner(cluster, start_door):
    door = start_door()
    slot = key_slot("orphan")
    owner = cluster.owner("orphan")
    with door.client() as client:
        client.ok("SET orphan 1")
        # the owner first: as long as it claims the slot, the others learn of it again
        for node in sorted(cluster.nodes, key=lambda node: node is not owner):
            node.call("CLUSTER", "DELSLOTS", slot)
        door.wait_log("slots have no owner", timeout=15)
        assert client.call("GET orphan") == Error("CLUSTERDOWN Hash slot not served")
        client.ok("SET other 1")
        assert client.call("MGET other orphan").startswith("CLUSTERDOWN")
        owner.call("CLUSTER", "ADDSLOTS", slot)
        wait_until(lambda: client.call("GET orphan") == b"1", "the slot to be served again", 15)


def test_blocked_clients_and_subscribers_survive_a_failover(cluster, start_door):
    door = start_door()
    victim = cluster.live_primaries()[0]
    key = keys_of(cluster, victim, 1)[0]
    with door.client(timeout=20) as blocked, door.client() as client:
        blocked.send(encode("BLPOP", key, 0))
        wait_until(lambda: b"blocked_clients:1" in victim.call("INFO", "clients"), "BLPOP to block")
        victim.kill()
        reply = blocked.read()
        assert isinstance(reply, Error) and "respgate" in reply
        promoted(cluster, victim, key_slot(key))
        wait_until(lambda: client.call("RPUSH", key, "x") == 1, "writes again", 10)
        assert blocked.call("BLPOP", key, 5) == [key.encode(), b"x"]


def test_links_are_given_up_when_the_kernel_never_said_so(cluster, start_door):
    """A half-open link: nothing comes, nothing fails. PING finds it."""
    door = start_door(backend={"request-timeout": "300ms"})
    victim = cluster.live_primaries()[0]
    key = keys_of(cluster, victim, 1)[0]
    with door.client() as client:
        client.ok("SET", key, 1)
        victim.process.signal(signal.SIGSTOP)
        try:
            door.wait_log("backend answers nothing any more", timeout=15)
        finally:
            victim.process.continue_running()
        wait_until(lambda: client.call("GET", key) == b"1", "the node to be used again", 10)


def test_subscribers_move_on_when_their_node_dies(cluster, start_door):
    """RESP3: subscribed again elsewhere, unseen. A shard's channels: closed, as Redis would."""
    door = start_door()
    with door.client(timeout=20) as client, door.client(timeout=20) as other:
        client.call("HELLO 3")
        client.send(encode("SUBSCRIBE", "news"))
        assert client.value() == [b"subscribe", b"news", 1]
        def heard_by():
            return [n for n in cluster.nodes if n.process.alive()
                    and b"news" in n.call("PUBSUB", "CHANNELS")]
        (victim,) = heard_by()
        victim.kill()
        wait_until(heard_by, "the subscription to be elsewhere", 15)
        wait_until(lambda: isinstance(other.call("PUBLISH news x"), int), "PUBLISH again", 10)
        other.call("PUBLISH news last")
        while client.push()[2] != b"last":
            pass


def test_a_subscriber_of_a_shard_is_closed_when_its_node_dies(cluster, start_door):
    door = start_door()
    with door.client(timeout=20) as client:
        client.call("HELLO 3")
        client.send(encode("SSUBSCRIBE", "shard"))
        assert client.value() == [b"ssubscribe", b"shard", 1]
        cluster.owner("shard").kill()
        client.closed(10)
