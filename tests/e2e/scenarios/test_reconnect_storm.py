"""A Redis for websockets, cache and job queues stalled; every web instance reconnected, and again,
and burnt its CPU and Redis' on it; autoscaling added more of them."""
import time

import pytest

from harness.waiting import FACTOR, wait_until
from harness.wire import Closed

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
