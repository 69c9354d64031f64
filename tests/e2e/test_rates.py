"""Limits and delays: what passes over time, whose bucket it is, and who is held up by whom."""
import re
import threading
import time

import pytest

from harness.servers import run_binary
from harness.waiting import wait_until

THROTTLED = re.compile(r"THROTTLED respgate: rule '([\w-]+)', retry after (\d+) ms$")


def rule(name, **options):
    lines = [f"[rule {name}]"] + [f"{key.replace('_', '-')} = {value}" for key, value in options.items()]
    return "\n".join(lines) + "\n"


def limit(name="slow", **options):
    return rule(name, **{"commands": "set", "action": "limit", "rate": "1/h", "per": "rule", **options})


def throttled(reply, name="slow"):
    """The milliseconds the refusal names."""
    hit = THROTTLED.match(str(reply))
    assert hit and hit.group(1) == name, reply
    return int(hit.group(2))


@pytest.fixture
def limited(start_gate, store):
    """Opens clients of a gate with these rules."""
    clients = []

    def start(extra, **options):
        gate = start_gate(store, extra=extra, **options)

        def connect():
            clients.append(gate.client())
            return clients[-1]
        connect.gate = gate
        return connect
    yield start
    for client in clients:
        client.close()


def test_a_burst_passes_and_the_next_request_is_told_when_to_come_back(limited, store):
    client = limited(limit(rate="1/h", burst=3))()
    replies = [client.call("SET", f"k{i}", "v") for i in range(4)]
    assert replies[:3] == [b"OK"] * 3
    assert 3590_000 < throttled(replies[3]) <= 3600_000
    assert client.call("GET k0") == b"v" and client.call("GET k3") is None
    assert store.call("DBSIZE") == 3


def test_who_waits_as_long_as_told_gets_through(limited):
    client = limited(limit(rate="5/s", burst=1))()
    client.ok("SET k v")
    for _ in range(3):
        wait = throttled(client.call("SET k w"))
        assert 0 < wait <= 200
        time.sleep(wait / 1000)
        client.ok("SET k w")


def test_the_rate_holds_over_time_for_clients_of_all_threads(limited):
    connect = limited(limit(rate="200/s", burst=20), proxy={"threads": 2})
    passed = []

    def hammer(client):
        count, end = 0, time.monotonic() + 1.5
        while time.monotonic() < end:
            count += client.pipeline(*["SET k v"] * 20).count(b"OK")
        passed.append(count)
    clients = [connect() for _ in range(4)]
    threads = [threading.Thread(target=hammer, args=(client,)) for client in clients]
    start = time.monotonic()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    lasted = time.monotonic() - start
    assert 1.5 * 200 * 0.7 < sum(passed) <= 20 + lasted * 200 + 1


@pytest.mark.parametrize("per, shared", [("client", False), ("ip", True), ("user", True), ("rule", True)])
def test_whose_bucket(limited, per, shared):
    connect = limited(limit(per=per, burst=2))
    one, other = connect(), connect()
    assert one.pipeline("SET a 1", "SET a 2") == [b"OK"] * 2
    throttled(one.call("SET a 3"))
    if shared:
        throttled(other.call("SET a 3"))
    else:
        other.ok("SET a 3")


def test_users_have_buckets_of_their_own(limited):
    digest = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"
    connect = limited(f"[user a]\npassword-sha256 = {digest}\n[user b]\npassword-sha256 = {digest}\n"
                      + limit(per="user", burst=1))
    one, other, again = connect(), connect(), connect()
    for client, name in (one, "a"), (other, "b"), (again, "a"):
        client.ok("AUTH", name, "test")
    one.ok("SET k v")
    other.ok("SET k v")
    throttled(again.call("SET k v"))


def test_cost_keys_and_bytes(limited):
    client = limited(limit("keys", commands="del", cost="keys", burst=5)
                     + limit("bytes", commands="@write", cost="bytes", burst=1000))()
    assert client.call("DEL a b c d") == 0
    throttled(client.call("DEL a b"), "keys")
    assert client.call("DEL a") == 0
    client.ok("SET", "k", "v" * 800)
    throttled(client.call("SETRANGE", "k", 536870900, "x"), "bytes")
    client.ok("SET", "k", "w")


def test_declared_prefixes_have_buckets_and_all_others_share_one(limited):
    client = limited("[prefixes]\ndeclare = job, session\n"
                     + limit(commands="set, mset", per="prefix", cost="keys", burst=2))()
    client.ok("SET job:1 v")
    client.ok("MSET job:2 v session:1 v x:1 v")
    throttled(client.call("SET job:3 v"))
    client.ok("SET session:2 v")
    client.ok("SET y:1 v")
    throttled(client.call("SET z:1 v")) # a fresh prefix brings no burst
    throttled(client.call("MSET session:3 v"))


def test_a_refusal_by_one_limit_charges_no_other(limited):
    client = limited(limit("wide", commands="set, get", burst=3) + limit("narrow", burst=1))()
    client.ok("SET k v")
    for _ in range(5):
        throttled(client.call("SET k v"), "narrow")
    assert client.call("GET k") == b"v" and client.call("GET k") == b"v"
    throttled(client.call("GET k"), "wide")


def test_a_denied_request_charges_nothing(limited):
    client = limited(limit(burst=1) + rule("no", commands="set", keys="x", action="deny"))()
    for _ in range(3):
        assert client.call("SET x v").code == "NOPERM"
    client.ok("SET k v")


def test_exempt_meets_no_limit(limited):
    client = limited(rule("vip", commands="set", keys="vip:*", action="allow", exempt="yes")
                     + rule("plain", commands="set", keys="plain:*", action="allow")
                     + limit(burst=1))()
    assert client.pipeline(*["SET vip:1 v"] * 5) == [b"OK"] * 5
    client.ok("SET plain:1 v")
    throttled(client.call("SET plain:1 v"))
    client.ok("SET vip:1 v")


def test_an_observing_limit_counts_and_changes_nothing(limited):
    connect = limited(limit("watch", burst=1, mode="observe"))
    client = connect()
    assert client.pipeline(*["SET k v"] * 3) == [b"OK"] * 3
    connect.gate.wait_log("observe: rule 'watch' would limit 'set'")


def test_a_limited_command_aborts_its_transaction(limited, store):
    client = limited(limit(burst=1))()
    client.ok("MULTI")
    assert client.call("SET a 1") == b"QUEUED"
    throttled(client.call("SET a 2"))
    assert client.call("EXEC").code == "EXECABORT"
    assert store.call("GET a") is None


def test_exec_charges_nothing_again_when_the_rules_change(limited):
    connect = limited(limit(burst=2))
    client = connect()
    assert client.pipeline("MULTI", "SET a 1", "SET a 2") == [b"OK", b"QUEUED", b"QUEUED"]
    connect.gate.reload(extra=limit(burst=2) + rule("other", commands="flushall", action="deny"),
                        expect="reload done")
    assert client.call("EXEC") == [b"OK", b"OK"]
    throttled(client.call("SET a 3"))


def test_a_reload_keeps_what_was_taken(limited):
    connect = limited(limit(burst=4))
    client = connect()
    assert client.pipeline(*["SET k v"] * 4) == [b"OK"] * 4
    log = connect.gate.reload(extra=limit(burst=4, keys="k*"), expect="reload done")
    assert "rule 'slow' changed: keys" in log
    throttled(client.call("SET k v"))
    log = connect.gate.reload(extra=limit(burst=8, keys="k*"), expect="reload done")
    assert "rule 'slow' changed: burst 4 -> 8" in log
    throttled(client.call("SET k v")) # empty stays empty
    connect.gate.reload(extra=limit("other", burst=4), expect="reload done")
    client.ok("SET k v")


# ---- delay -----------------------------------------------------------------------------------


def test_delay_paces_one_client_and_keeps_its_order(limited):
    connect = limited(rule("pace", commands="incr", action="delay", rate="20/s", burst=1,
                           per="client", delay_max="5s"))
    client, other = connect(), connect()
    start = time.monotonic()
    client.send(b"".join(b"*2\r\n$4\r\nINCR\r\n$1\r\nn\r\n" for _ in range(9)))
    assert other.call("PING") == b"PONG" and other.call("INCR m") == 1
    assert time.monotonic() - start < 0.4 # eight twentieths are what the other one takes
    assert [client.read() for _ in range(9)] == list(range(1, 10))
    assert 0.39 <= time.monotonic() - start < 3


def test_delay_gives_the_whole_rate_to_one_request_after_the_other(limited):
    client = limited(rule("pace", commands="incr", action="delay", rate="100/s", burst=1,
                          per="client", delay_max="5s"))()
    start = time.monotonic()
    assert [client.call("INCR n") for _ in range(31)] == list(range(1, 32))
    assert 0.29 <= time.monotonic() - start < 1.2 # not one a tick


def test_beyond_delay_max_it_refuses(limited):
    connect = limited(rule("pace", commands="incr", action="delay", rate="10/s", burst=1,
                           per="rule", delay_max="150ms"))
    client, other, third = connect(), connect(), connect()
    assert client.call("INCR n") == 1
    other.send(b"*2\r\n$4\r\nINCR\r\n$1\r\nn\r\n")
    connect.gate.wait_log("delayed|limited|ready")
    wait_until(lambda: str(third.call("INCR n")).startswith("THROTTLED"), "the bucket to be used up")
    assert isinstance(other.read(), int)


def test_a_client_that_leaves_while_it_is_held(limited):
    connect = limited(rule("pace", commands="incr", action="delay", rate="1/m", burst=1, delay_max="90s"))
    client, other = connect(), connect()
    assert client.call("INCR n") == 1
    other.send(b"*2\r\n$4\r\nINCR\r\n$1\r\nn\r\n")
    other.close()
    assert client.call("GET n") == b"1"


# ---- mistakes --------------------------------------------------------------------------------


@pytest.mark.parametrize("options, line, text", [
    ({"action": "deny", "rate": "1/s"}, 4, "'rate' means nothing with 'deny': it belongs to limit and delay"),
    ({"action": "limit"}, 1, "rule 'r': 'limit' needs 'rate'"),
    ({"action": "delay", "rate": "0/s"}, 4, "rate: '0/s' is not a rate"),
    ({"action": "limit", "rate": "10"}, 4, "rate: '10' is not a rate"),
    ({"action": "limit", "rate": "1/s", "burst": "0"}, 5, "burst: '0' is too small"),
    ({"action": "limit", "rate": "1/s", "per": "host"}, 5, "per: 'host' is not one of"),
    ({"action": "limit", "rate": "1/s", "cost": "byte"}, 5, "cost: 'byte' is not one of"),
    ({"action": "limit", "rate": "1/s", "exempt": "yes"}, 5, "'exempt' means nothing with 'limit'"),
    ({"action": "limit", "rate": "1/s", "delay-max": "1s"}, 5, "'delay-max' means nothing with 'limit'"),
    ({"action": "rewrite"}, 1, "rule 'r': 'rewrite' needs 'add'"),
    ({"action": "rewrite", "add": "MAXLEN ~ x"}, 4, "add: 'MAXLEN ~ x' is none of"),
    ({"action": "rewrite", "add": "ASYNC"}, 4, "names no command that 'ASYNC' can be added to"),
    ({"action": "limit", "rate": "1/s", "per": "client"}, 5, "who connects again has a full bucket"),
])
def test_mistakes_have_their_line(tmp_path, options, line, text):
    path = tmp_path / "respgate.conf"
    path.write_text(rule("r", commands="set, xadd", **options))
    path.chmod(0o600)
    code, out, err = run_binary("-t", "-c", path)
    assert code == (0 if "who connects" in text else 1)
    assert re.search(rf"^{re.escape(str(path))}:{line}: (warning: )?.*{re.escape(text)}", out + err, re.M), out + err


def test_keys_a_script_may_touch_count(limited, store):
    deletes = limit("deletes", commands="@delete", cost="keys", burst=10)
    names = [f"k{i}" for i in range(10)]
    body = "for i = 1, #ARGV do redis.call('DEL', ARGV[i]) end"
    for per in ("rule", "prefix"):
        store.call("MSET", *[word for name in names for word in (name, "v")])
        client = limited(deletes.replace("per = rule", f"per = {per}"))()
        assert client.call("EVAL", body, 0, *names[:8]) is None
        throttled(client.call("EVAL", body, 0, *names[8:], "x", "y"), "deletes")
        assert store.call("DBSIZE") == 2
        assert client.call("DEL k8 k9") == 2
        throttled(client.call("DEL k8"), "deletes")


def test_what_deletes_all_keys_costs_a_whole_bucket(limited, store):
    client = limited(limit("deletes", commands="@delete", cost="keys", burst=10))()
    client.ok("FLUSHDB")
    client.ok("SET k v")
    throttled(client.call("FLUSHDB"), "deletes")
    throttled(client.call("DEL k"), "deletes")
    assert store.call("DBSIZE") == 1


def test_a_script_meets_the_limits_of_its_calls_once(limited, store):
    connect = limited(limit(keys="a:*", burst=2) + limit("watched", commands="get", mode="observe"))
    client = connect()
    twice = "redis.call('SET', KEYS[1], 1); return redis.call('SET', ARGV[1], redis.call('GET', KEYS[1]))"
    assert client.call("EVAL", twice, 1, "b", "c") == b"OK"  # other keys
    assert client.call("EVAL", twice, 1, "b", "a:1") == b"OK"
    client.ok("SET a:2 v")
    throttled(client.call("EVAL", twice, 1, "a:3", "a:4"))
    assert client.call("EVAL", "return redis.call('GET', KEYS[1])", 1, "a:1") == b"1"
    assert store.call("KEYS a:3") == [] and store.call("DBSIZE") == 4
    connect.gate.wait_log("observe: rule 'watched' would limit 'eval'")
