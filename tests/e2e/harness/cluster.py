"""A real Redis Cluster on loopback: three primaries with a replica each, mutual TLS, no plain port.

    cluster.owner("key")            the Redis that owns the key's slot, by what most nodes say
    cluster.move_slot(slot, to)     by hand, in the steps redis-cli takes
    cluster.heal()                  all nodes run, the slots are whole; what tests leave behind
"""
import re

from .process import free_port
from .servers import Redis
from .waiting import wait_until
from .wire import Error

SLOTS = 16384
TIMEOUT_MS = 1000


def crc16(data):
    crc = 0
    for byte in data:
        crc ^= byte << 8
        for _ in range(8):
            crc = (crc << 1) ^ 0x1021 if crc & 0x8000 else crc << 1
    return crc & 0xffff


def key_slot(key):
    data = key if isinstance(key, bytes) else str(key).encode()
    tag = re.search(rb"\{([^}]+)\}", data)
    if tag and data.index(b"{") == tag.start():
        data = tag.group(1)
    return crc16(data) % SLOTS


class Node(Redis):
    """One node; its id stays with it over restarts."""

    def __init__(self, folder, certs, **options):
        self.bus = free_port()
        self.name = options.get("cluster_announce_hostname", "localhost")
        super().__init__(folder, certs=certs, cluster_enabled="yes", cluster_port=self.bus,
                         cluster_node_timeout=TIMEOUT_MS, cluster_require_full_coverage="no",
                         cluster_allow_replica_migration="no", repl_diskless_sync_delay=0,
                         cluster_config_file=f"nodes-{self.bus}.conf", save="",
                         **({"tls_cluster": "yes", "tls_replication": "yes"} if certs else {}),
                         **options)
        self.id = self.call("CLUSTER", "MYID").decode()

    def client(self, **options):
        return super().client(server_name=self.name, **options)

    def lines(self):
        """CLUSTER NODES: {id: [words]}"""
        text = self.call("CLUSTER", "NODES").decode()
        return {line.split()[0]: line.split() for line in text.splitlines()}

    def info_field(self, field):
        return re.search(rf"{field}:(\S+)", self.call("CLUSTER", "INFO").decode()).group(1)


class Cluster:
    def __init__(self, folder, certs, primaries=3, replicas=True, **options):
        self.certs = certs
        self.primaries = [Node(folder / f"p{i}", certs, **options) for i in range(primaries)]
        self.replicas = [Node(folder / f"r{i}", certs, **options)
                         for i in range(primaries if replicas else 0)]
        self.layout()

    @property
    def nodes(self):
        return self.primaries + self.replicas

    @property
    def process(self): # what a failure shows
        return self.primaries[0].process

    def url(self, *nodes):
        scheme = "rediss" if self.certs else "redis"
        return ", ".join(f"{scheme}://127.0.0.1:{node.port}" for node in nodes or self.primaries)

    def backend(self):
        """The keys of [backend] that mutual TLS needs."""
        if not self.certs:
            return {}
        return {"tls-ca-file": self.certs.ca, "tls-cert-file": self.certs.client[0],
                "tls-key-file": self.certs.client[1]}

    def layout(self):
        share = -(-SLOTS // len(self.primaries))
        for i, node in enumerate(self.primaries):
            assert node.call("CLUSTER", "ADDSLOTSRANGE", i * share,
                             min(SLOTS, (i + 1) * share) - 1) == b"OK"
            node.call("CLUSTER", "SET-CONFIG-EPOCH", i + 1)
        for node in self.nodes[1:]:
            self.nodes[0].call("CLUSTER", "MEET", "127.0.0.1", node.port, node.bus)
        for node in self.nodes:
            wait_until(lambda n=node: len(n.lines()) == len(self.nodes), "all nodes to meet", 20)
        for primary, replica in zip(self.primaries, self.replicas):
            wait_until(lambda p=primary, r=replica: r.call("CLUSTER", "REPLICATE", p.id) == b"OK",
                       "a replica to follow", 20)
        self.wait_whole()

    def whole(self):
        for node in self.nodes:
            if not node.process.alive():
                return False
            lines = node.lines()
            if node.info_field("cluster_state") != "ok" or len(lines) != len(self.nodes):
                return False
            if any("fail" in words[2] or "handshake" in words[2] or words[7] != "connected"
                   for words in lines.values()):
                return False
            if "slave" in lines[node.id][2] and node.info("master_link_status") != "up":
                return False
        return self.agreed()

    def agreed(self):
        """All nodes name the same owners."""
        owners = [sorted((key, *words[8:]) for key, words in node.lines().items()
                         if "master" in words[2]) for node in self.nodes]
        plain = [[(row[0], *(w for w in row[1:] if not w.startswith("["))) for row in own]
                 for own in owners]
        return all(own == plain[0] for own in plain)

    def wait_whole(self):
        wait_until(self.whole, "the cluster to be whole", 30)

    def heal(self):
        for node in self.nodes:
            if node.process.alive():
                node.process.continue_running()
            else:
                node.start()
        self.wait_whole()

    def owner(self, key):
        return self.slot_owner(key_slot(key))

    def slot_owner(self, slot, asked=None):
        """As a node that runs tells."""
        for node in [asked] if asked else self.nodes:
            if not node.process.alive():
                continue
            for words in node.lines().values():
                if "master" not in words[2] or "fail" in words[2].split(","):
                    continue
                for word in words[8:]:
                    if word.startswith("["):
                        continue
                    first, _, last = word.partition("-")
                    if int(first) <= slot <= int(last or first):
                        return self.by_id(words[0])
            return None
        return None

    def by_id(self, node_id):
        return next(node for node in self.nodes if node.id == node_id)

    def replica_of(self, primary):
        lines = primary.lines()
        return next(self.by_id(key) for key, words in lines.items() if words[3] == primary.id)

    def is_primary(self, node):
        return "master" in node.lines()[node.id][2]

    def live_primaries(self):
        return [node for node in self.nodes if node.process.alive() and self.is_primary(node)]

    def flush(self):
        for node in self.live_primaries():
            reply = node.call("FLUSHALL")
            assert not isinstance(reply, Error), reply
            node.call("SCRIPT", "FLUSH")
            node.call("FUNCTION", "FLUSH")

    def keys(self):
        """All there are, with the nodes' own words."""
        found = []
        for node in self.live_primaries():
            found += node.call("KEYS", "*")
        return found

    # -- moving slots -----------------------------------------------------------------------------

    def begin_move(self, slot, to):
        source = self.slot_owner(slot)
        assert to.call("CLUSTER", "SETSLOT", slot, "IMPORTING", source.id) == b"OK"
        assert source.call("CLUSTER", "SETSLOT", slot, "MIGRATING", to.id) == b"OK"
        return source

    def move_keys(self, slot, source, to, count=1 << 20):
        keys = source.call("CLUSTER", "GETKEYSINSLOT", slot, count)
        if keys:
            assert source.call("MIGRATE", "127.0.0.1", to.port, "", 0, 5000, "KEYS",
                               *keys) == b"OK"
        return keys

    def end_move(self, slot, to):
        for node in [to, *self.live_primaries()]:
            node.call("CLUSTER", "SETSLOT", slot, "NODE", to.id)

    def move_slot(self, slot, to):
        source = self.begin_move(slot, to)
        if source is to:
            return
        self.move_keys(slot, source, to)
        self.end_move(slot, to)

    def stop(self):
        for node in self.nodes:
            node.stop()
