"""Clauses of rules that look at what a command asks for: sizes, answers, times to live, channels."""
import pytest

from harness.wire import Closed, encode
from harness.waiting import wait_until


def denied(command, rule="r"):
    return f"NOPERM respgate: '{command}' is denied by rule '{rule}'"


def rule(*lines, name="r", action="deny"):
    return "\n".join([f"[rule {name}]", *lines, f"action = {action}", ""])


@pytest.fixture
def ruled(start_gate, store):
    """A client of a gate with these rules, before the given redis."""
    clients = []

    def start(extra, redis=None, **options):
        gate = start_gate(redis or store, extra=extra, **options)
        clients.append(gate.client())
        clients[-1].gate = gate
        return clients[-1]
    yield start
    for client in clients:
        client.close()


def fill(store, count=20):
    store.call("RPUSH", "list", *range(count))
    store.call("SADD", "set", *range(count))
    store.call("HSET", "hash", *[word for i in range(count) for word in (i, i)])
    store.call("ZADD", "zset", *[word for i in range(count) for word in (i, i)])
    for i in range(count):
        store.call("XADD", "stream", f"{i + 1}-0", "f", i)


LARGE = ["LRANGE list 0 -1", "LRANGE list 5 -1", "SMEMBERS set", "HGETALL hash", "HKEYS hash",
         "HVALS hash", "ZRANGE zset 0 -1", "ZRANGE zset -inf +inf BYSCORE", "ZREVRANGE zset 0 -1",
         "ZRANGEBYSCORE zset -inf +inf", "ZRANGEBYSCORE zset -inf +inf LIMIT 0 -1",
         "XRANGE stream - +", "XREVRANGE stream + -", "SORT list", "SORT set ALPHA", "SORT zset",
         "SORT list LIMIT 0 6 GET # GET #", "XREAD STREAMS stream 0", "SUNION set none",
         "SUNIONSTORE to set", "ZUNION 2 zset set", "SINTER set set", "LRANGE list 0 10"]


@pytest.mark.parametrize("line", LARGE)
def test_more_elements_than_min_are_refused(ruled, store, line):
    fill(store)
    client = ruled(rule("unbounded = yes", "min-elements = 10"))
    assert client.call(line) == denied(line.split()[0])
    assert store.call("EXISTS to") == 0


@pytest.mark.parametrize("line", LARGE)
def test_few_elements_pass(ruled, store, line):
    fill(store, 5)
    client = ruled(rule("unbounded = yes", "min-elements = 12"))
    direct = store.client()
    assert client.call(line) == direct.call(line)
    direct.close()
