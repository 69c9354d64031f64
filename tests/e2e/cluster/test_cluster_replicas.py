"""read-from: reads that may be a little old go to replicas, writes never do."""
import re

import pytest

from harness.waiting import wait_until


def commands(node, name):
    """How often clients ran the command there; what the primary replicates is not among it."""
    stats = node.call("INFO", "commandstats").decode()
    match = re.search(rf"cmdstat_{name}:calls=(\d+)", stats)
    return int(match.group(1)) if match else 0


@pytest.fixture
def counted(cluster):
    for node in cluster.nodes:
        node.call("CONFIG", "RESETSTAT")
    return cluster


def read_all(client, keys=30):
    for i in range(keys):
        assert client.call("GET", f"rr{i}") == str(i).encode()


def fill(client, cluster, keys=30):
    for i in range(keys):
        client.ok("SET", f"rr{i}", i)
    assert client.call("WAIT", 1, 2000) == 1 # the replicas have it: what is read is not old
    del cluster


@pytest.mark.parametrize("read_from, at_replicas", [("primary", False), ("prefer-replica", True)])
def test_where_reads_go(counted, start_door, read_from, at_replicas):
    door = start_door(backend={"read-from": read_from})
    replicas = [node for node in counted.nodes if not counted.is_primary(node)]
    with door.client() as client:
        fill(client, counted)

        def went():
            read_all(client)
            return sum(commands(node, "get") for node in replicas) >= 30
        if at_replicas:
            wait_until(went, "reads at the replicas", 10)
            before = sum(commands(node, "get") for node in counted.live_primaries())
            read_all(client)
            assert sum(commands(node, "get") for node in counted.live_primaries()) == before
            for i in range(30): # and writes go where they belong
                client.ok("SET", f"rr{i}", i + 1)
            assert client.pipeline("MULTI", "GET rr1", "EXEC")[2] == [b"2"]
        else:
            read_all(client)
            assert not sum(commands(node, "get") for node in replicas)


def cache_rule(read_from="prefer-replica", mode="enforce"):
    return ("[rule cache]\ncommands = get, getex, set\nkeys = cache:*\naction = allow\n"
            f"read-from = {read_from}\nmode = {mode}\n")


def gets(nodes):
    return sum(commands(node, "get") for node in nodes)


def fresh(client, replicas):
    before = gets(replicas)
    for i in range(30):
        client.call("GET", f"cache:{i}")
    return gets(replicas) == before


def test_a_rule_sends_its_reads_to_replicas(counted, start_door):
    door = start_door(extra=cache_rule())
    replicas = [node for node in counted.nodes if not counted.is_primary(node)]
    primaries = counted.live_primaries()
    with door.client() as client:
        fill(client, counted)
        for i in range(30):
            client.ok("SET", f"cache:{i}", i)
        assert client.call("WAIT", 1, 2000) == 1

        def read_cache():
            for i in range(30):
                assert client.call("GET", f"cache:{i}") == str(i).encode()

        def went():
            before = gets(primaries)
            read_cache()
            return gets(primaries) == before
        wait_until(went, "reads at the replicas", 10)
        before, at_replicas = gets(primaries), gets(replicas)
        read_all(client) # no rule names these
        assert gets(primaries) == before + 30
        read_cache()
        assert (gets(primaries), gets(replicas)) == (before + 30, at_replicas + 30)
        for i in range(30): # what the rule names too, but is no read
            client.ok("SET", f"cache:{i}", i + 1)
            assert client.call("GETEX", f"cache:{i}", "EX", 100) == str(i + 1).encode()
        assert client.pipeline("MULTI", "GET cache:1", "EXEC")[2] == [b"2"]
        assert gets(replicas) == at_replicas + 30


def test_a_rule_brings_reads_back_to_the_primary(counted, start_door):
    door = start_door(backend={"read-from": "prefer-replica"}, extra=cache_rule())
    replicas = [node for node in counted.nodes if not counted.is_primary(node)]
    with door.client() as client:

        def went():
            for i in range(30):
                assert client.call("GET", f"cache:{i}") is None
            return gets(replicas) >= 30
        wait_until(went, "reads at the replicas", 10)
        log = door.reload(extra=cache_rule("primary"), expect="rule 'cache' changed")
        assert "rule 'cache' changed: read-from prefer-replica -> primary" in log
        wait_until(lambda: fresh(client, replicas), "reads at the primaries", 10)
        for i in range(30): # each sees its own last write
            client.ok("SET", f"cache:{i}", i)
            assert client.call("GET", f"cache:{i}") == str(i).encode()
        assert fresh(client, replicas)


@pytest.mark.parametrize("mode, proxy", [("observe", {}), ("enforce", {"observe": "yes"})])
def test_a_rule_that_observes_sends_no_read_elsewhere(counted, start_door, mode, proxy):
    door = start_door(backend={"read-from": "prefer-replica"},
                      extra=cache_rule("primary", mode), proxy=proxy)
    replicas = [node for node in counted.nodes if not counted.is_primary(node)]
    with door.client() as client:

        def went():
            for i in range(30):
                assert client.call("GET", f"cache:{i}") is None
            return gets(replicas) >= 30
        wait_until(went, "reads at the replicas", 10)


def test_nearest_reads_somewhere(counted, start_door):
    door = start_door(backend={"read-from": "nearest"})
    with door.client() as client:
        fill(client, counted)
        for _ in range(5):
            read_all(client)


def test_a_replica_that_dies_costs_no_read(counted, start_door):
    door = start_door(backend={"read-from": "prefer-replica"})
    replicas = [node for node in counted.nodes if not counted.is_primary(node)]
    with door.client() as client:
        fill(client, counted)

        def went():
            read_all(client)
            return all(commands(node, "get") for node in replicas)
        wait_until(went, "reads at all replicas", 10)
        for node in replicas:
            node.kill()
        for _ in range(3):
            read_all(client)
