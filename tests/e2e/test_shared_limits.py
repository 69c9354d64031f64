"""shared = yes: one bucket for all respgates of a backend, and each for itself when that is away."""
import re
import signal
import time

import pytest

from harness.servers import run_binary
from harness.waiting import wait_until


def shared(rate="1/h", burst=10, **options):
    lines = {"commands": "set", "action": "limit", "rate": rate, "burst": burst, "per": "rule",
             "shared": "yes", **options}
    return "[rule s]\n" + "".join(f"{key} = {value}\n" for key, value in lines.items())


def passed(replies):
    others = [reply for reply in replies if reply != b"OK"]
    assert all(re.match(r"THROTTLED respgate: rule 's', retry after \d+ ms$", str(reply)) for reply in others)
    return len(replies) - len(others)


@pytest.fixture
def clients():
    opened = []

    def connect(gate):
        opened.append(gate.client())
        return opened[-1]
    yield connect
    for client in opened:
        client.close()


def scripts_run(store):
    hit = re.search(r"cmdstat_eval:calls=(\d+)", store.call("INFO", "commandstats").decode())
    return int(hit.group(1)) if hit else 0


def test_two_respgates_have_one_bucket(start_gate, store, clients):
    one, other = (clients(start_gate(store, extra=shared())) for _ in range(2))
    assert passed([one.call("SET k v") for _ in range(6)]) == 6
    assert passed([other.call("SET k v") for _ in range(6)]) == 4
    assert passed([one.call("SET k v")]) == 0
    wait = int(re.search(r"after (\d+) ms", one.call("SET k v")).group(1))
    assert 3590_000 < wait <= 3600_000


def test_the_rate_over_time_is_that_of_all(start_gate, store, clients):
    gates = [start_gate(store, extra=shared("200/s", 20)) for _ in range(2)]
    ends = [clients(gate) for gate in gates]
    for end in ends:
        end.call("PING")
    before, start, total = scripts_run(store), time.monotonic(), 0
    while time.monotonic() < start + 1.5:
        for end in ends:
            total += passed(end.pipeline(*["SET k v"] * 10))
    lasted = time.monotonic() - start
    assert 0.6 * 200 * 1.5 < total <= 20 + 200 * lasted + 2 * 10 + 1
    # one script for a share of ten, and those that were told to come back later
    assert scripts_run(store) - before < total / 2 + 4 * lasted * 200


def test_addresses_and_users_and_rules_have_keys_of_their_own(start_gate, store, clients):
    rules = shared(per="ip", burst=2) + shared(per="user", burst=5, commands="get").replace("rule s", "rule t")
    client = clients(start_gate(store, extra=rules))
    assert passed([client.call("SET k v") for _ in range(3)]) == 2
    client.call("GET k")
    keys = store.call("KEYS *")
    assert sorted(key for key in keys if key.startswith(b"{respgate}")) == \
        [b"{respgate}:limit:s:4\x7f\x00\x00\x01", b"{respgate}:limit:t:u"]


def test_clients_cannot_touch_the_bucket(start_gate, store, clients):
    client = clients(start_gate(store, extra=shared()))
    client.ok("SET k v")
    assert client.call("DEL", "{respgate}:limit:s:").code == "NOPERM"
    assert client.call("EVAL", "return redis.call('del', KEYS[1])", 1, "{respgate}:limit:s:").code == "NOPERM"
    assert store.call("EXISTS", "{respgate}:limit:s:") == 1


def test_a_pipeline_keeps_its_order_while_it_waits_for_a_share(start_gate, store, clients):
    client = clients(start_gate(store, extra=shared("1000/s", 1000)))
    lines = [line for i in range(200) for line in (f"SET k {i}", "GET k")]
    assert client.pipeline(*lines)[1::2] == [b"%d" % i for i in range(200)]


def test_a_refusal_by_another_limit_spends_no_token(start_gate, store, clients):
    rules = shared(burst=3) + "[rule own]\ncommands = set\nkeys = x\naction = limit\nrate = 1/h\nburst = 1\n"
    client = clients(start_gate(store, extra=rules))
    client.ok("SET x v")
    for _ in range(4):
        assert "rule 'own'" in client.call("SET x v")
    assert passed([client.call("SET k v") for _ in range(3)]) == 2


def test_inside_multi(start_gate, store, clients):
    client = clients(start_gate(store, extra=shared(burst=1)))
    replies = client.pipeline("MULTI", "SET a 1", "SET a 2", "EXEC")
    assert replies[1] == b"QUEUED" and passed([replies[2]]) == 0 and replies[3].code == "EXECABORT"


def test_a_frozen_backend_holds_nobody_up(start_gate, start_redis, clients):
    redis = start_redis()
    rules = shared("1/h", 3, commands="client|getname") # answered here
    gate = start_gate(redis, extra=rules)
    client = clients(gate)
    assert client.call("CLIENT GETNAME") is None
    redis.process.signal(signal.SIGSTOP)
    try:
        replies = client.pipeline(*["CLIENT GETNAME"] * 6)
    finally:
        redis.process.continue_running()
    assert replies[:3] == [None] * 3 # by its own bucket
    assert all(str(reply).startswith("THROTTLED") for reply in replies[3:])
    gate.wait_log("shared limits count by themselves")


def test_it_shares_again_when_the_backend_is_back(start_gate, start_redis, clients):
    redis = start_redis()
    gate = start_gate(redis, extra=shared("100/s", 100), backend={"park-timeout": "50ms"})
    client = clients(gate)
    client.ok("SET k v")
    redis.kill()
    gate.wait_log("is unavailable")

    def alone():
        client.call("SET k v") # until what is in hand is spent
        return "shared limits count by themselves" in gate.process.log()
    wait_until(alone, "the backend to be missed", 10)
    redis.start()
    wait_until(lambda: client.call("SET k v") == b"OK", "the backend to be back", 15)

    def again():
        client.call("SET k v")
        return "shared limits are shared again" in gate.process.log()
    wait_until(again, "shares to come again", 10)
    assert gate.process.log().count("count by themselves") == 1


def test_what_shared_goes_with(tmp_path):
    path = tmp_path / "respgate.conf"
    path.write_text(shared(per="client"))
    path.chmod(0o600)
    code, out, err = run_binary("-t", "-c", path)
    assert code == 1 and "7: rule 's': 'shared = yes' goes with per = ip, user or rule" in out + err


def test_no_script_reaches_a_bucket(start_gate, store, clients):
    client = clients(start_gate(store, extra=shared(burst=1)))
    assert passed([client.call("SET k v") for _ in range(2)]) == 1
    bucket, name = b"{respgate}:limit:s:", "'{resp' .. 'gate}:limit:s:'"
    for body in (f"return redis.call('DEL', {name})",
                 "for _, k in ipairs(redis.call('KEYS', '*')) do redis.call('DEL', k) end",
                 "return redis.call('RENAME', KEYS[1], ARGV[1] .. ARGV[2])"):
        reply = client.call("EVAL", body, 1, "k", "{resp", "gate}:limit:s:")
        assert reply.code == "NOPERM" and "rule 's' keeps its bucket in a key" in reply
    assert client.call("EVAL", f"return redis.call('TYPE', {name} .. KEYS[1])", 1, "x") == b"none"
    assert client.call("EVAL", "return redis.call('DEL', KEYS[1], ARGV[1])", 1, "k", "other") == 1
    assert client.call("EVAL", "return redis.call('DEL', ARGV[1])", 0, bucket).code == "NOPERM"
    assert store.call("EXISTS", bucket) == 1 and passed([client.call("SET k v")]) == 0
