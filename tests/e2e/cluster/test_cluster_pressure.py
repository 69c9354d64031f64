"""Each node of a cluster has its own level: a full one refuses growth, the others go on."""
from harness.servers import section
from harness.waiting import wait_until

MB = 1024 * 1024


def test_only_the_full_node_refuses_growth(start_door, cluster):
    full = cluster.owner("full")
    other = next(f"k{i}" for i in range(100) if cluster.owner(f"k{i}") is not full)
    gate = start_door(extra=section("pressure", {"poll": "100ms", "memory-limit": "40mb"})
                      + section("queue other", {"keys": other, "max-length": 2}))
    with gate.client() as client:
        client.ok("SET", "full", b"x" * 30 * MB)
        reply = wait_until(lambda: client.call("APPEND", "full", b"x" * 8 * MB), "an answer")
        assert reply.startswith("OOM respgate: writes that add data are paused, memory "), reply
        assert client.call("RPUSH", other, "1", "2") == 2
        reply = client.call("MSET", "{full}1", b"x" * 9 * MB, "{" + other + "}2", "v")
        assert reply.code == "OOM"
        assert client.call("EXISTS", "{" + other + "}2") == 0, "refused whole"
        assert client.call("RPUSH", other, "3") == "OOM respgate: queue 'other' holds 2"
        assert client.call("DEL", "full") == 1
        wait_until(lambda: client.call("SET", "{full}1", b"x" * 9 * MB) == b"OK", "room again")
    assert gate.process.log().count("guard is on") >= 3, "all nodes are looked at"
