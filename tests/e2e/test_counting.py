"""What is counted: ground truth of a mixed workload, transactions, scripts, refusals, reloads."""
import collections
import random

import pytest

from harness.process import free_port
from harness.waiting import wait_until
from harness.wire import Client, Error

pytestmark = pytest.mark.needs_gate

COLUMNS = {"writes", "reads", "deletes", "expiries", "without-ttl", "denied", "bytes"}


@pytest.fixture
def counted(start_gate, store):
    def start(extra="", threads=1, **log):
        port = free_port()
        gate = start_gate(store, extra=extra, admin={"console": f"127.0.0.1:{port}"}, log=log,
                          proxy={"threads": threads})
        gate.console = port
        return gate
    return start


def text(value):
    return value.decode() if isinstance(value, bytes) else str(value)


def show(gate, what):
    """A table of the console as a list of rows, each a dict."""
    with Client(gate.console) as console:
        rows = console.call("HELLO 3") and console.call(f"SHOW {what}")
    return [{text(key): text(value) for key, value in row.items()} for row in rows]


def prefixes(gate):
    return {row["prefix"]: {key: int(row[key]) for key in COLUMNS}
            for row in show(gate, "PREFIXES LIMIT 2000")}


# Segments as seven services use them; the ids behind them must not become prefixes.
NAMES = [f"{service}:{kind}" for service in
         ("job", "wf", "cordum", "cache", "mail", "lock", "bull", "feed", "audit", "user")
         for kind in ("state", "run", "rl", "meta", "queue", "index")]
IDS = ["123e4567-e89b-12d3-a456-426614174000", "48211", "deadbeef01", "Zk8qLpWmNbVc",
       "k" * 40, "x\ny", "\"><script>", "plain"]


def one_command(rng):
    """A command and what it counts."""
    name, ident = rng.choice(NAMES), rng.choice(IDS)
    key, value = f"{name}:{ident}:{rng.randrange(9)}", "v" * rng.randrange(1, 300)
    size = len(key) + len(value)
    choice = rng.randrange(7)
    if choice == 0:
        return ["GET", key], {(name, "reads"): 1}
    if choice == 1:
        return ["SET", key, value, "EX", "100"], {
            (name, "writes"): 1, (name, "expiries"): 1, (name, "bytes"): size + 5}
    if choice == 2:
        return ["DEL", key], {(name, "deletes"): 1}
    if choice == 3:
        other = rng.choice(NAMES)
        counts = collections.Counter({(name, "writes"): 1, (name, "without-ttl"): 1,
                                      (name, "bytes"): size})
        other_key = f"{other}:{ident}"
        counts.update({(other, "writes"): 1, (other, "without-ttl"): 1,
                       (other, "bytes"): len(other_key) + 1})
        return ["MSET", key, value, other_key, "1"], counts
    if choice == 4: # a text is no list: the error is no write
        return ["LPUSH", f"{name}:fixed", value], {}
    if choice == 5:
        return ["EXPIRE", key, "100"], {(name, "writes"): 1, (name, "expiries"): 1,
                                        (name, "bytes"): len(key) + 3}
    return ["SET", key, value], {(name, "writes"): 1, (name, "without-ttl"): 1,
                                 (name, "bytes"): size}


@pytest.mark.parametrize("threads", [1, 2])
def test_counts_are_those_of_a_mixed_workload(counted, store, threads):
    gate = counted(threads=threads)
    rng, truth = random.Random(7), collections.Counter()
    for name in NAMES:
        store.call("SET", f"{name}:fixed", "x")
    clients = [gate.client() for _ in range(4)]
    for _ in range(3000):
        argv, counts = one_command(rng)
        reply = rng.choice(clients).call(*argv)
        assert isinstance(reply, Error) == (argv[0] == "LPUSH")
        truth.update(counts)
    seen = prefixes(gate)
    assert set(seen) == set(NAMES)
    for name in NAMES:
        for column in COLUMNS - {"denied"}:
            assert seen[name][column] == truth[name, column], (name, column)


def test_a_transaction_counts_when_exec_succeeds(counted):
    gate = counted(extra="[rule r]\ncommands = flushall\naction = deny\n")
    client, other = gate.client(), gate.client()
    for line in ("MULTI", "SET tx:done:1 abc", "GET tx:done:2", "MSET tx:done:3 x tx:more:1 y"):
        client.call(line)
    assert "tx:done" not in prefixes(gate) # not yet
    client.call("EXEC")
    for line in ("MULTI", "SET tx:gone:1 x", "DISCARD",
                 "MULTI", "SET tx:gone:1 x", "FLUSHALL", "EXEC"):
        client.call(line)
    client.call("WATCH tx:done:1")
    other.call("SET tx:done:1 other")
    client.call("MULTI")
    client.call("SET tx:gone:1 x")
    assert client.call("EXEC") is None
    seen = prefixes(gate)
    assert seen["tx:done"]["writes"] == 3 and seen["tx:more"]["writes"] == 1
    assert seen["tx:done"]["reads"] == 2 # the GET, and WATCH
    assert "tx:gone" not in seen or seen["tx:gone"]["writes"] == 0


def test_keys_of_scripts_and_refusals(counted):
    gate = counted(extra="[rule r]\ncommands = set\nkeys = no:*\naction = deny\n")
    client = gate.client()
    client.call("EVAL", "return redis.call('set', KEYS[1], ARGV[1])", "2", "lua:a:1", "lua:b:1",
                "hello")
    assert isinstance(client.call("SET no:such:1 x"), Error)
    seen = prefixes(gate)
    assert seen["lua:a"]["writes"] == seen["lua:b"]["writes"] == 1
    assert "no:such" not in seen and seen["(other)"]["denied"] == 1 # a refusal makes no prefix
    rule = next(row for row in show(gate, "RULES") if row["rule"] == "r")
    assert (rule["hits"], rule["denied"]) == ("1", "1")


def test_a_reload_keeps_counts_and_declares_prefixes(counted):
    gate = counted(extra="[rule r]\ncommands = flushall\naction = deny\n")
    client = gate.client()
    client.call("SET job:8f3a1b2c9d:output x")
    client.call("SET job:state:1 x")
    client.call("FLUSHALL")
    gate.reload(extra="[rule r]\ncommands = flushall, flushdb\naction = deny\n"
                      "[prefixes]\ndeclare = job:*:output, job\n")
    client.call("SET job:8f3a1b2c9d:output x")
    client.call("FLUSHDB")
    seen = prefixes(gate)
    assert seen["job:*:output"]["writes"] == 1
    assert seen["job"]["writes"] == 1 and seen["job:state"]["writes"] == 1
    rule = next(row for row in show(gate, "RULES") if row["rule"] == "r")
    assert rule["denied"] == "2"


def test_the_prefix_that_wrote_most_and_who_did(counted):
    gate = counted()
    loud, quiet = gate.client(), gate.client()
    for i in range(30):
        loud.call("SET", f"big:one:{i}", "x" * 1000)
    quiet.call("SET small:one:1 x")
    row = show(gate, "PREFIXES BY minute-bytes")[0]
    assert row["prefix"] == "big:one" and int(row["minute-writes"]) == 30
    assert row["writer"].startswith("127.0.0.1:")
    assert row["writer-id"] == text(loud.call("CLIENT ID"))


def test_a_slow_request_shows_where_its_time_went(counted):
    gate = counted(slow="50ms")
    client = gate.client()
    client.call("SET fast:1 x")
    client.call("EVAL", "local i = 0 while i < 20000000 do i = i + 1 end return i", "1", "slow:key:1")
    row = show(gate, "SLOW")[0]
    assert row["command"] == "eval" and int(row["backend"]) > 50000 > int(row["queue"])


def test_large_requests_and_replies_are_known_by_key(counted):
    gate = counted(**{"key-names": "full"})
    client = gate.client()
    client.call("SET", "big:value:1", "x" * 200000)
    client.call("GET big:value:1")
    rows = show(gate, "BIG")
    assert {row["key"] for row in rows} == {"big:value:1"} and len(rows) == 2


def test_keys_of_requests_on_pinned_links_are_known_too(counted):
    gate = counted(slow="50ms", **{"key-names": "full"})
    client = gate.client()
    client.call("WATCH", "other:key:1") # from here on it has a link to itself
    client.call("SET", "big:pinned:1", "x" * 50000)
    client.call("GET", "big:pinned:1")
    client.call("EVAL", "local i = 0 while i < 20000000 do i = i + 1 end return i", "1", "slow:pinned:1")
    assert [row["key"] for row in show(gate, "BIG")] == ["big:pinned:1"] * 2
    assert show(gate, "SLOW")[0]["key"] == "slow:pinned:1"


@pytest.mark.parametrize("hello", [2, 3])
def test_info_has_our_section_when_it_is_asked_for(counted, hello):
    gate = counted()
    client = gate.client()
    client.call(f"HELLO {hello}")
    client.call("SET a 1")
    ours = text(client.call("INFO respgate"))
    assert ours.startswith("# respgate\r\n") and "respgate_requests_total:" in ours
    assert "redis_version" not in ours
    assert "# respgate" not in text(client.call("INFO"))
    replies = client.pipeline("SET a 2", "INFO everything", "GET a")
    whole = text(replies[1])
    assert "redis_version" in whole and whole.index("# respgate") > whole.index("redis_version")
    assert replies[2] == b"2"
