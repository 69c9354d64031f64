"""A plain client sees one big Redis: commands over many slots are split and merged, what concerns
all nodes reaches all, and what Redis Cluster refuses is refused in its words."""
import random

import pytest

from harness.admin import Admin
from harness.cluster import SLOTS, key_slot
from harness.servers import Redis
from harness.wire import Error, encode

KEYS = [f"k{i}" for i in range(40)]
CROSS = "CROSSSLOT Keys in request don't hash to the same slot"

# Each form with keys of many slots, then what a single Redis must answer too, byte for byte.
FORMS = [
    "MSET k1 a k2 b k3 c k4 d k5 e", "MGET k1 k2 k3 nosuch k4 k5 k1", "MGET k1 k1 k1",
    "EXISTS k1 k2 k2 nosuch", "TOUCH k1 k9 k2", "DEL k1 k2 nosuch", "UNLINK k3 k3 k4",
    "MGET k1 k2 k3 k4 k5", "MSET k1 a k2", "MSET k1 a k1 b k2 c", "MGET k1 k2", "MGET", "DEL",
    "DBSIZE", "SADD set x", "MGET k1 set k2", "EXISTS", "TOUCH k1", "UNLINK k1 k2 set",
    "DBSIZE", "MSET a '' b '' c ''", "STRLEN a", "MGET a b c", "SELECT 0", "ECHO x", "PING",
    "SET a 1 EX 100", "TTL b", "TYPE a", "OBJECT ENCODING a", "APPEND a x", "GETRANGE a 0 -1",
    "LPUSH {l}1 a b c", "LMOVE {l}1 {l}2 LEFT RIGHT", "LRANGE {l}2 0 -1", "RPOPLPUSH {l}1 {l}1",
    "SORT {l}1 ALPHA", "ZADD {z}1 1 a 2 b", "ZRANGESTORE {z}2 {z}1 0 -1", "ZUNION 2 {z}1 {z}2",
    "SCRIPT EXISTS 0000", "EVAL return{KEYS[1],ARGV[1]} 1 k v", "EVAL return(1) 0",
    "WATCH k1", "UNWATCH", "PUBLISH nobody x", "PUBSUB NUMPAT", "PUBSUB CHANNELS",
    "PUBSUB NUMSUB a b", "BLPOP {l}1 {l}2 0.01", "XADD s 1-1 a b", "XREAD COUNT 1 STREAMS s 0",
    "XLEN s", "FLUSHDB", "DBSIZE", "RANDOMKEY", "KEYS *",
]


@pytest.fixture(scope="module")
def single(module_keeper):
    return module_keeper.add(Redis(module_keeper.folder("single")))


@pytest.mark.parametrize("hello", ["HELLO 2", "HELLO 3"])
def test_replies_are_those_of_one_redis(start_door, single, hello):
    door = start_door(extra="[rule open]\ncommands = flushdb\naction = allow\n")
    single.call("FLUSHALL")
    with door.client() as gated, single.client() as direct:
        gated.call(hello), direct.call(hello)
        for form in FORMS:
            words = [b"" if word == "''" else word for word in form.split()]
            for client in (gated, direct):
                client.send(encode(*words))
            ours, theirs = gated.raw(), direct.raw()
            assert ours == theirs, f"{form}: {ours!r}, a single Redis: {theirs!r}"


def test_random_split_commands_agree_with_one_redis(client, single):
    single.call("FLUSHALL")
    chance = random.Random(5)
    with single.client() as direct:
        for _ in range(300):
            keys = chance.choices(KEYS, k=chance.randint(1, 12))
            name = chance.choice(["MGET", "MSET", "DEL", "UNLINK", "EXISTS", "TOUCH"])
            args = [name]
            for key in keys:
                args += [key] + ([chance.choice(["", "x", "y" * 3000])] if name == "MSET" else [])
            assert client.call(*args) == direct.call(*args), args
        assert sorted(client.call("KEYS", "*")) == sorted(direct.call("KEYS", "*"))


@pytest.mark.parametrize("command", [
    "MSETNX a 1 b 2", "RENAME a b", "SINTER a b", "SDIFFSTORE a b c", "EVAL return(1) 2 a b",
    "BLPOP a b 1", "PFMERGE a b", "LMOVE a b LEFT LEFT", "COPY a b", "XREAD STREAMS a b 0 0",
    "WATCH a b", "BITOP AND a b c"])
def test_what_cannot_be_split_is_crossslot(client, command):
    assert client.call(command) == Error(CROSS)


def test_fan_outs_reach_every_primary(client, cluster):
    sha = client.call("SCRIPT", "LOAD", "return 7")
    assert all(node.call("SCRIPT", "EXISTS", sha) == [1] for node in cluster.live_primaries())
    for i in range(30):
        assert client.call("EVALSHA", sha, 1, f"k{i}") == 7
    client.ok("MSET", *sum(([key, 1] for key in KEYS), []))
    assert client.call("DBSIZE") == len(KEYS)
    assert sorted(client.call("KEYS", "*")) == sorted(key.encode() for key in KEYS)
    assert client.call("RANDOMKEY") in [key.encode() for key in KEYS]
    info = client.call("INFO", "keyspace").decode()
    assert f"db0:keys={len(KEYS)}," in info
    assert client.call("WAIT", 1, 1000) == 1


def test_info_names_no_address(client, cluster):
    info = client.call("INFO").decode()
    for node in cluster.nodes:
        assert str(node.port) not in info.replace("process_id", "")
    assert "cluster_enabled:1" in info


def test_scan_walks_all_nodes(client):
    client.ok("MSET", *sum(([f"s{i}", i] for i in range(500)), []))
    seen, cursor = set(), 0
    while True:
        cursor, keys = client.call("SCAN", cursor, "COUNT", 20)
        assert int(cursor) < 2 ** 53
        seen.update(keys)
        if cursor == b"0":
            break
    assert seen == {f"s{i}".encode() for i in range(500)}
    assert client.call("SCAN", "nonsense") == Error("ERR invalid cursor")


def test_select(client):
    client.ok("SELECT 0")
    assert client.call("SELECT 1") == Error("ERR SELECT is not allowed in cluster mode")


def test_a_pipeline_over_all_nodes_keeps_its_order(client):
    lines = []
    for i in range(200):
        lines += [f"SET o{i} {i}", f"GET o{i}", f"MGET o{i} o{i // 2}", "PING"]
    replies = client.pipeline(*lines)
    for i in range(200):
        value, half = str(i).encode(), str(i // 2).encode()
        assert replies[4 * i:4 * i + 4] == [b"OK", value, [value, half], b"PONG"]


def test_transactions_go_to_the_node_of_their_first_key(client):
    for i in range(20):
        key = f"{{t{i}}}"
        assert client.pipeline("MULTI", "PING", f"SET {key}a 1", f"INCR {key}a", "EXEC") == [
            b"OK", b"QUEUED", b"QUEUED", b"QUEUED", [b"PONG", b"OK", 2]]
    assert client.pipeline("MULTI", "EXEC") == [b"OK", []]
    assert client.pipeline("MULTI", "PING", "DISCARD") == [b"OK", b"QUEUED", b"OK"]
    assert client.pipeline("MULTI", "PING", "ECHO x", "EXEC") == [
        b"OK", b"QUEUED", b"QUEUED", [b"PONG", b"x"]]
    assert client.pipeline("MULTI", "MULTI", "WATCH x", "EXEC")[1:3] == [
        Error("ERR MULTI calls can not be nested"), Error("ERR WATCH inside MULTI is not allowed")]
    replies = client.pipeline("MULTI", "SET a 1", "SET b 1", "EXEC", "GET a")
    assert replies[2] == Error(CROSS)
    assert replies[3].startswith("EXECABORT") and replies[4] is None


def test_split_and_fan_out_commands_in_transactions_do_not_do_half(client):
    assert client.pipeline("MULTI", "MGET {m}1 {m}2", "EXEC")[2] == [[None, None]]
    replies = client.pipeline("MULTI", "DBSIZE", "EXEC")
    assert "one node of many" in replies[1] and replies[2].startswith("EXECABORT")


def test_watch_sees_changes(client, door):
    with door.client() as other:
        for i in range(6):
            client.ok(f"WATCH w{i}")
            other.ok(f"SET w{i} 1")
            assert client.pipeline("MULTI", f"SET w{i} 2", "EXEC")[2] is None
            client.ok(f"WATCH w{i}")
            assert client.call(f"GET w{i}") == b"1" and client.call("GET elsewhere") is None
            assert client.pipeline("MULTI", f"SET w{i} 2", "EXEC")[2] == [b"OK"]


def test_blocking_commands_wait_at_the_right_node(client, door):
    with door.client() as other:
        for i in range(9):
            client.send(encode("BLPOP", f"list{i}", 10))
            other.call("RPUSH", f"list{i}", i)
            assert client.read() == [f"list{i}".encode(), str(i).encode()]


def test_pub_sub(client, door):
    with door.client() as other:
        assert client.call("SUBSCRIBE news") == [b"subscribe", b"news", 1]
        assert other.call("PUBLISH news hello") >= 0
        assert client.value() == [b"message", b"news", b"hello"]
        assert other.call("PUBSUB NUMSUB news") == [b"news", 1]
        assert other.call("PUBSUB CHANNELS") == [b"news"]


def test_sharded_pub_sub(door):
    for i in range(6):
        with door.client() as client, door.client() as other:
            assert client.call(f"SSUBSCRIBE ch{i}") == [b"ssubscribe", f"ch{i}".encode(), 1]
            assert other.call(f"SPUBLISH ch{i} x") == 1
            assert client.value() == [b"smessage", f"ch{i}".encode(), b"x"]


def test_a_rule_judges_the_whole_of_a_split_command(start_door):
    door = start_door(extra="[rule no]\ncommands = del\nkeys = secret:*\naction = deny\n")
    with door.client() as client:
        client.ok("MSET a 1 secret:x 1 c 1")
        assert client.call("DEL a secret:x c").startswith("NOPERM")
        assert client.call("EXISTS a secret:x c") == 3


def test_a_rule_asks_the_node_that_has_the_key(start_door):
    door = start_door(extra="[rule no]\nunbounded = yes\nmin-elements = 3\naction = deny\n")
    refused = "NOPERM respgate: 'LRANGE' is denied by rule 'no'"
    with door.client() as client, door.client() as watcher:
        watcher.ok("WATCH w")
        for i in range(9):
            client.call("RPUSH", f"short{i}", *"ab")
            client.call("RPUSH", f"long{i}", *"abcd")
            for asker in client, watcher:
                assert asker.pipeline(f"LRANGE short{i} 0 -1", f"LRANGE long{i} 0 -1", f"SORT short{i} ALPHA",
                                      f"SUNION {{a}}{i} {{a}}b") == [[b"a", b"b"], refused, [b"a", b"b"], []]
        assert watcher.pipeline("MULTI", "SET w 1", "EXEC")[2] == [b"OK"]


def test_a_split_command_counts_once_and_each_of_its_keys(start_door):
    door = start_door(admin=Admin.ports())
    admin = Admin(door)
    with door.client() as client:
        client.ok("MSET job:a:1 1 job:b:2 1 job:c:3 1")
        client.call("MGET job:a:1 job:b:2 job:c:3")
    prefixes = {row["prefix"]: row for row in admin.rows("prefixes")}
    assert [prefixes[f"job:{name}"]["writes"] for name in "abc"] == [1, 1, 1], prefixes
    assert [prefixes[f"job:{name}"]["reads"] for name in "abc"] == [1, 1, 1], prefixes
    calls = {row["command"]: row["calls"] for row in admin.rows("commands")}
    assert calls["mset"] == calls["mget"] == 1
    assert {row["node"] for row in admin.rows("nodes")} >= {
        node.id[:8] for node in door.cluster.primaries}


def test_cluster_aware_clients_see_one_node(client, door):
    ((first, last, (host, port, node_id, _)),) = client.call("CLUSTER SLOTS")
    assert (first, last, host, port) == (0, SLOTS - 1, b"127.0.0.1", door.port)
    assert client.call("CLUSTER MYID") == node_id
    assert node_id in client.call("CLUSTER NODES")
    assert b"cluster_state:ok" in client.call("CLUSTER INFO")
    assert client.call("CLUSTER KEYSLOT {a}b") == key_slot("a")
    client.ok("SET here 1")
    assert client.call("CLUSTER", "COUNTKEYSINSLOT", key_slot("here")) == 1
    client.ok("READONLY")
    client.ok("READWRITE")
    client.ok("ASKING")
    assert "connect to it directly" in client.call("CLUSTER", "SETSLOT", 1, "STABLE")


def test_announce(start_door):
    door = start_door(backend={"announce": "redis.example.org:7777"})
    with door.client() as client:
        assert client.call("CLUSTER SLOTS")[0][2][:2] == [b"redis.example.org", 7777]


def test_what_comes_before_the_map_goes_where_it_belongs(start_door, cluster):
    """The first thing a fresh respgate hears: a blocking command, a transaction, a split one."""
    nodes = {cluster.owner(f"first{i}"): f"first{i}" for i in range(40)}
    for key in nodes.values():
        door = start_door()
        with door.client() as blocked, door.client() as client:
            blocked.send(encode("BLPOP", key, 10))
            assert client.pipeline("MULTI", f"SET {{{key}}}t 1", "EXEC")[2] == [b"OK"]
            assert client.call("RPUSH", key, "x") == 1
            assert blocked.read() == [key.encode(), b"x"]
