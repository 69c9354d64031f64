"""A Redis for websockets, cache and job queues stalled; every web instance reconnected, and again,
and burnt its CPU and Redis' on it; autoscaling added more of them."""
import resource
import time

import pytest

from harness.waiting import FACTOR, wait_until
from harness.wire import Closed
from storm import Storm, cpu

CLIENTS = 200


@pytest.fixture
def redis(start_redis):
    return start_redis()


def test_straight_against_redis_it_happens(redis):
    """A restart closes every client, and every one of them comes back at once."""
    clients = [redis.client() for _ in range(CLIENTS)]
    for client in clients:
        client.ok("SET k v")
    redis.restart()
    for client in clients:
        with pytest.raises((Closed, OSError)):
            client.call("GET k")
        client.close()
    for _ in range(CLIENTS):
        with redis.client() as again:
            again.call("PING")
    assert int(redis.info("total_connections_received")) >= CLIENTS


def test_through_respgate_clients_stay(start_gate, redis):
    gate = start_gate(redis, backend={"park-timeout": "200ms", "dial-rate": "50/s",
                                      "breaker-probe": "50ms"})
    clients = [gate.client() for _ in range(CLIENTS)]
    for client in clients:
        client.ok("SET k v")
    redis.kill()
    start = time.monotonic()
    for client in clients:
        client.send(b"GET k\r\n")
    for client in clients:
        assert client.read().startswith("ERR respgate: ")
    assert time.monotonic() - start < 3 * FACTOR, "errors are prompt"
    redis.start()
    for client in clients:
        wait_until(lambda: client.call("PING") == b"PONG", "the client to work again")
        client.ok("SET k v")
    assert int(redis.info("total_connections_received")) < 20
    for client in clients:
        client.close()


def test_a_stall_costs_errors_not_connections(start_gate, redis):
    gate = start_gate(redis, backend={"request-timeout": "150ms", "park-timeout": "200ms",
                                      "breaker-probe": "50ms", "dial-rate": "20/s"})
    clients = [gate.client() for _ in range(CLIENTS)]
    for client in clients:
        client.ok("SET k v")
    before = int(redis.info("total_connections_received"))
    redis.process.stop_running()
    for _ in range(3):
        for client in clients:
            client.send(b"INCR n\r\n")
        for client in clients:
            assert client.read().startswith("ERR respgate: ")
    redis.process.continue_running()
    for client in clients:
        wait_until(lambda: client.call("PING") == b"PONG", "the client to work again")
        client.close()
    assert int(redis.info("total_connections_received")) - before < 30


def test_a_storm_of_new_clients_logs_in_once(start_gate, start_redis):
    redis = start_redis(user=[("web", "on", ">pw", "~*", "&*", "+@all")])
    gate = start_gate(redis, backend={"dial-rate": "500/s"})
    before = int(redis.info("total_connections_received"))
    for _ in range(CLIENTS):
        with gate.client() as client:
            assert client.pipeline("AUTH web pw", "INCR n")[0] == b"OK"
    assert redis.call("GET n") == b"%d" % CLIENTS
    assert int(redis.info("total_connections_received")) - before < 20


FREEZE = 5  # seconds; a request is given up after 1.5


def storm_size():
    """5,000 clients, or what this process may open."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return min(5000, hard // 2)


def freeze(redis, port):
    """The storm while Redis is frozen, and what it cost Redis from then on."""
    storm = Storm(port, storm_size())
    try:
        storm.run(1.5)
        assert storm.replies and not storm.lost
        connects, used = int(redis.info("total_connections_received")), cpu(redis.process.pid)
        redis.process.stop_running()
        storm.run(FREEZE)
        redis.process.continue_running()
        replies = storm.replies
        storm.run(3)
        assert storm.replies > replies, "clients are served again"
        return {"clients lost": storm.lost, "errors read": storm.errors,
                "connects at Redis": int(redis.info("total_connections_received")) - connects,
                "Redis CPU, s": round(cpu(redis.process.pid) - used, 2)}
    finally:
        storm.close()


@pytest.mark.slow
def test_five_thousand_clients_before_a_frozen_redis(start_redis, start_gate):
    """Directly every client gives up and comes back, again and again; through respgate none does."""
    options = {"maxclients": 20000, "tcp_backlog": 4096}
    redis = start_redis(**options)
    direct = freeze(redis, redis.port)
    redis.stop()
    redis = start_redis(**options)
    gate = start_gate(redis, backend={"request-timeout": "1s"}, log={"level": "notice"})
    through = freeze(redis, gate.port)
    print(f"\nRedis frozen for {FREEZE} s, {storm_size()} clients")
    for name, value in direct.items():
        print(f"  {name:<18} {value:>8} direct {through[name]:>8} through respgate")
    assert direct["clients lost"] > storm_size() and direct["connects at Redis"] > storm_size()
    assert through["clients lost"] == 0
    assert through["errors read"] > storm_size(), "each heard why, promptly"
    assert through["connects at Redis"] <= 10 * (FREEZE + 3)
