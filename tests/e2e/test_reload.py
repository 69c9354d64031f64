"""SIGHUP: a transaction. Right files take effect at once for open connections, wrong ones not at
all, and nobody is disconnected."""
import hashlib
import re
import signal
import threading
import time

import pytest

from harness.process import free_port
from harness.servers import ROOT, run_binary, section
from harness.waiting import FACTOR, wait_until
from harness.wire import encode

ABORTED = "EXECABORT Transaction discarded because of previous errors."
DENY = "[rule no-set]\ncommands = set\naction = deny\n"


def test_a_rule_comes_and_goes(start_gate, store):
    gate = start_gate(store)
    with gate.client() as client, gate.client() as idle:
        client.ok("SET k v")
        gate.reload(DENY)
        assert client.call("SET k w").code == "NOPERM"
        assert idle.call("SET k w").code == "NOPERM"
        assert client.call("GET k") == b"v"
        gate.reload(DENY + "mode = observe\n")
        client.ok("SET k w")
        gate.reload("")
        client.ok("SET k x")
        assert idle.call("GET k") == b"x"


def test_changes_are_logged_rule_by_rule(start_gate, store):
    gate = start_gate(store, extra=DENY)
    since = gate.process.log_size()
    gate.reload(DENY.replace("no-set", "other").replace("= set", "= get"))
    gate.wait_log("no-set", since)
    gate.wait_log("other", since)


# What an action cannot do without, and what an option goes with.
ACTIONS = {"deny": {}, "allow": {}, "limit": {"rate": "1/s"}, "delay": {"rate": "1/s"}, "log": {},
           "rewrite": {"commands": "xadd", "add": "MAXLEN ~ 7"}, "confirm": {}}
COMPANIONS = {"min-elements": {"unbounded": "yes"}, "channels": {"commands": "publish"}}


def option_rows(title):
    """Keys and examples of a section, out of options.def."""
    table = (ROOT / "include" / "respgate" / "options.def").read_text().splitlines()
    for row in table:
        if row.startswith(f"OPTION({title},"):
            key, *_, example, _ = re.findall(r'"((?:\\.|[^"\\])*)"', row)
            yield key, example


def test_a_change_of_any_option_of_a_rule_is_told(start_gate, store, tmp_path):
    gate = start_gate(store)
    check, silent, told_of = tmp_path / "check.conf", [], set()
    for key, example in option_rows("RULE"):
        if key == "action":
            continue
        for action, needs in ACTIONS.items():
            before = {"commands": "set", "action": action, **COMPANIONS.get(key, {}), **needs}
            after = section("rule r", {**before, key: example})
            check.write_text(after)
            check.chmod(0o600)
            if run_binary("-t", "-c", check)[0] == 0:
                break
        else:
            raise AssertionError(f"no action takes '{key} = {example}'")
        gate.reload(section("rule r", before))
        told = gate.reload(after, expect="reload done")
        if not re.search(rf"rule 'r' changed:.*\b{key}\b", told):
            silent.append(key)
        told_of.add(key)
    assert not silent and {"commands", "keys", "mode", "message"} <= told_of


def test_other_changes_are_told_but_no_secret(start_gate, store):
    gate = start_gate(store)
    user = "[user {}]\npassword-sha256 = " + "{}" * 32 + "\n"
    gate.reload(user.format("a", *["ab"] * 32) + user.format("b", *["ab"] * 32))
    told = gate.reload(user.format("a", *["cd"] * 32) + "max-clients = 7\n"
                       + user.format("c", *["ab"] * 32), proxy={"max-clients": "77"},
                       backend={"request-timeout": "3s"}, expect="reload done")
    for line in ("[proxy] max-clients 10000 -> 77", "[backend] request-timeout 2s -> 3s",
                 "user 'a': password-sha256 changed", "user 'a': max-clients 0 -> 7",
                 "user 'b' removed", "user 'c' added"):
        assert line in told, line
    assert "cdcd" not in told and "abab" not in told


@pytest.mark.parametrize("mistake, line", [
    ("[rule broken]\ncommands = flushal\naction = deny\n", 2),
    ("[rule broken]\ncommands = @nonsense\naction = deny\n", 2),
    ("[rule broken]\ncommands = get\naction = explode\n", 3),
    ("[rule broken]\ncommands = get\n", 1),
    ("[rule broken]\ncommand = get\naction = deny\n", 2),
    ("[rool broken]\ncommands = get\naction = deny\n", 1),
    ("[rule broken]\ncommands = get\naction = deny\naction = allow\n", 4),
    ("nonsense\n", 1)])
def test_a_mistake_keeps_the_old_rules(start_gate, store, mistake, line):
    gate = start_gate(store, extra=DENY)
    with gate.client() as client:
        assert client.call("SET k v").code == "NOPERM"
        above = gate.config_text().count("\n") - DENY.count("\n")
        gate.reload(mistake, expect=rf"{gate.config_path}:{above + line}:")
        assert client.call("SET k v").code == "NOPERM"
        assert gate.alive()
        gate.reload("")
        client.ok("SET k v")


def test_a_missing_file_keeps_the_old_rules(start_gate, store):
    gate = start_gate(store, extra=DENY)
    with gate.client() as client:
        client.call("PING")
        since = gate.process.log_size()
        gate.config_path.unlink()
        gate.process.signal(signal.SIGHUP)
        gate.wait_log(str(gate.config_path), since)
        assert client.call("SET k v").code == "NOPERM"


@pytest.mark.parametrize("option, value", [("threads", "2"), ("listen", None)])
def test_what_cannot_change_is_refused_by_name(start_gate, store, option, value):
    gate = start_gate(store, extra=DENY)
    before = gate.proxy.get(option)
    with gate.client() as client:
        gate.reload("", proxy={option: value or f"127.0.0.1:{free_port()}"}, expect=option)
        assert client.call("SET k v").code == "NOPERM"  # refused whole
        if before is None:
            del gate.proxy[option]
        else:
            gate.proxy[option] = before
        gate.reload("")
        client.ok("SET k v")


def test_between_queueing_and_exec(start_gate, store):
    """Queued under one set, executed under another: judged again."""
    gate = start_gate(store)
    with gate.client() as client:
        client.ok("SET k before")
        assert client.pipeline("MULTI", "GET k", "SET k after") == [b"OK", b"QUEUED", b"QUEUED"]
        gate.reload(DENY)
        assert client.call("EXEC") == ABORTED
        assert store.call("GET k") == b"before"
        # an unrelated change lets it through
        assert client.pipeline("MULTI", "INCR n") == [b"OK", b"QUEUED"]
        gate.reload(DENY + "[rule other]\ncommands = hset\naction = deny\n")
        assert client.call("EXEC") == [1]


def test_limits_and_timeouts_change(start_gate, store):
    gate = start_gate(store)
    with gate.client() as client:
        client.ok("SET", "k", "x" * 5000)
        gate.reload(proxy={"max-key-size": "10"})
        assert client.call("SET", "k" * 11, "x").code == "ERR"
        client.ok("SET", "k" * 10, "x")


def test_nobody_is_disconnected(start_gate, store):
    gate = start_gate(store)
    clients = [gate.client() for _ in range(10)]
    blocked, subscribed, queueing = gate.client(), gate.client(), gate.client()
    blocked.send(encode("BLPOP", "k", "0"))
    subscribed.call("SUBSCRIBE c")
    queueing.pipeline("MULTI", "INCR n")
    wait_until(lambda: store.info("blocked_clients") == "1", "one to block")
    for turn in range(5):
        gate.reload(DENY if turn % 2 else "")
    for client in clients:
        assert client.call("PING") == b"PONG"
    store.call("RPUSH k v")
    assert blocked.read() == [b"k", b"v"]
    assert store.call("PUBLISH c x") == 1
    assert subscribed.read() == [b"message", b"c", b"x"]
    assert queueing.call("EXEC") == [1]


def test_thousands_of_reloads_under_load(start_gate, store):
    """Every reply is one of the two right ones; memory does not grow without end."""
    gate = start_gate(store, log={"level": "notice"})
    stop = threading.Event()
    problems = []

    def load(number):
        with gate.client() as client:
            while not stop.is_set():
                replies = client.pipeline(*(["SET k v", f"ECHO {number}"] * 20))
                for first, second in zip(replies[::2], replies[1::2]):
                    if second != b"%d" % number or not (
                            first == b"OK" or getattr(first, "code", "") == "NOPERM"):
                        problems.append((first, second))
                        return

    def memory():
        with open(f"/proc/{gate.process.pid}/status", encoding="ascii") as status:
            return int(next(line for line in status if line.startswith("VmRSS")).split()[1])

    threads = [threading.Thread(target=load, args=(n,)) for n in range(3)]
    for thread in threads:
        thread.start()
    try:
        sizes = []
        end = time.monotonic() + 40 * FACTOR
        rounds = 2000 if FACTOR == 1 else 300
        for turn in range(rounds):
            gate.write_config(gate.config_text() + (DENY if turn % 2 else "")
                              + f"[rule turn-{turn}]\ncommands = hset\naction = deny\n")
            gate.process.signal(signal.SIGHUP)
            if turn % 20 == 0:
                with gate.client() as probe:
                    wait_until(lambda: f"turn-{turn}" in str(probe.call("HSET h f v")),
                               f"reload {turn} to take effect")
                sizes.append(memory())
            assert time.monotonic() < end, f"only {turn} reloads"
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert not problems, problems[:3]
    if FACTOR == 1:
        assert sizes[-1] < sizes[len(sizes) // 4] + 20_000, sizes[::10]


def test_users_come_and_go(start_gate, store):
    gate = start_gate(store)
    user = f"[user app]\npassword-sha256 = {hashlib.sha256(b'pw').hexdigest()}\n"
    with gate.client() as early:
        early.ok("SET k v")
        gate.reload(user)
        with gate.client() as late:
            assert late.call("GET k").code == "NOAUTH"
            late.ok("AUTH app pw")
            assert late.call("GET k") == b"v"
        assert gate.alive()
