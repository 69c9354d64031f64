"""Stock redis-py in front of a cluster: the plain client, and the cluster client, which is shown one
node."""
import pytest
import redis
from redis.cluster import RedisCluster


@pytest.fixture
def plain(door):
    client = redis.Redis(port=door.port, decode_responses=True)
    yield client
    client.close()


@pytest.fixture
def aware(door):
    client = RedisCluster(host="127.0.0.1", port=door.port, decode_responses=True)
    yield client
    client.close()


def use(client, transactions=True):
    for i in range(50):
        assert client.set(f"u{i}", i)
    assert [client.get(f"u{i}") for i in range(50)] == [str(i) for i in range(50)]
    assert client.incr("{c}n") == 1
    assert client.lpush("{c}l", "a", "b") == 2 and client.blpop("{c}l", 1) == ("{c}l", "b")
    assert client.eval("return redis.call('incr', KEYS[1])", 1, "{c}n") == 2
    assert client.xadd("s", {"a": "b"}, id="1-1") == "1-1"
    if transactions:
        with client.pipeline(transaction=True) as pipe:
            assert pipe.set("{c}a", 1).incr("{c}a").get("{c}a").execute() == [True, 2, "2"]


def test_the_plain_client(plain):
    use(plain)
    assert plain.mset({f"u{i}": i for i in range(30)})
    assert plain.mget([f"u{i}" for i in range(30)]) == [str(i) for i in range(30)]
    assert len(list(plain.scan_iter("u*"))) == 50
    assert plain.delete(*(f"u{i}" for i in range(50))) == 50
    assert plain.dbsize() == len(plain.keys())
    script = plain.register_script("return redis.call('get', KEYS[1])")
    assert script(keys=["{c}n"]) == "2"
    with plain.lock("lock", timeout=5):
        assert plain.exists("lock")


def test_the_plain_client_gets_messages(plain):
    with plain.pubsub(ignore_subscribe_messages=True) as pubsub:
        pubsub.subscribe("news")
        pubsub.get_message(timeout=5)
        plain.publish("news", "hello")
        message = pubsub.get_message(timeout=5) or pubsub.get_message(timeout=5)
        assert message["data"] == "hello"


def test_the_cluster_client(aware, door):
    assert [node.port for node in aware.get_nodes()] == [door.port]
    use(aware, transactions=False)
    assert aware.mget_nonatomic(*(f"u{i}" for i in range(30))) == [str(i) for i in range(30)]
    with aware.pipeline() as pipe:
        for i in range(20):
            pipe.get(f"u{i}")
        assert pipe.execute() == [str(i) for i in range(20)]
    assert aware.keyslot("a") == 15495
    assert len(list(aware.scan_iter("u*"))) == 50


def test_the_cluster_client_reads_from_replicas(door):
    client = RedisCluster(host="127.0.0.1", port=door.port, read_from_replicas=True)
    assert client.set("r", 1) and client.get("r") == b"1"
    client.close()
