"""The audit file: who was refused what, complete, without values, and never in traffic's way."""
import json
import os
import re
import signal

import pytest

from harness.process import free_port
from harness.waiting import wait_until
from harness.wire import Client, encode

pytestmark = pytest.mark.needs_gate

DENY = "[rule no-set]\ncommands = set\naction = deny\n"
OBSERVE = "[rule watch]\ncommands = get\naction = deny\nmode = observe\n"


def events(path, kind=None):
    """The whole lines of a file."""
    text = path.read_bytes() if path.exists() else b""
    found = [json.loads(line) for line in text.split(b"\n")[:-1]]
    return [event for event in found if kind in (None, event["event"])]


def wait_events(path, kind, count=1):
    wait_until(lambda: len(events(path, kind)) >= count, f"{count} times {kind} in {path.name}")
    return events(path, kind)


@pytest.fixture
def audit(tmp_path):
    return tmp_path / "audit.log"


def test_a_refusal_is_told_whole(start_gate, store, audit):
    gate = start_gate(store, log={"audit-file": audit, "key-names": "full"}, extra=DENY)
    with gate.client() as client:
        client.ok("CLIENT", "SETNAME", "web-1")
        client.ok("SELECT 3")
        assert client.call("SET", b"session:\"\n\xff", "zzsecretzz").code == "NOPERM"
        address = "127.0.0.1:%d" % client.sock.getsockname()[1]
        number = client.call("CLIENT ID")
    event = wait_events(audit, "denied")[0]
    assert event.pop("time").endswith("Z")
    assert event == {
        "event": "denied", "client": address, "id": number, "name": "web-1", "db": 3,
        "command": "set", "keys": ["session:\"\n\xff"], "key_count": 1, "rule": "no-set",
        "action": "deny", "mode": "enforce",
        "size": len(encode("SET", b"session:\"\n\xff", "zzsecretzz"))}
    assert b"zzsecretzz" not in audit.read_bytes()


def test_observe_hits_and_reloads_are_told(start_gate, store, audit):
    gate = start_gate(store, log={"audit-file": audit}, extra=OBSERVE)
    with gate.client() as client:
        client.call("GET k")
    hit = wait_events(audit, "observed")[0]
    assert (hit["rule"], hit["mode"], hit["action"]) == ("watch", "observe", "deny")
    gate.reload(DENY)
    assert [event["detail"] for event in wait_events(audit, "reload", 3)] == [
        "rule 'watch' removed", "rule 'no-set' added: deny, mode enforce", "done"]
    gate.reload("[rule nonsense]\n", expect="reload failed")
    assert "failed" in wait_events(audit, "reload", 4)[-1]["detail"]


@pytest.mark.parametrize("names, shown", [
    ("prefix", ["job:state:*", "session:*", "*", "user:*"]),
    ("full", ["job:state:7f3a", "session:sometoken", "plain", "user:550e8400-e29b:cart:x"]),
    ("hash", None)])
def test_keys_are_shown_as_asked_for(start_gate, store, audit, names, shown):
    keys = ["job:state:7f3a", "session:sometoken", "plain", "user:550e8400-e29b:cart:x"]
    gate = start_gate(store, log={"audit-file": audit, "key-names": names},
                      extra="[rule r]\ncommands = del\naction = deny\n")
    with gate.client() as client:
        client.call("DEL", *keys)
        client.call("DEL", *keys, *keys, *keys)
    few, many = wait_events(audit, "denied", 2)
    assert (few["key_count"], many["key_count"], len(many["keys"])) == (4, 12, 10)
    if shown:
        assert few["keys"] == shown
    else:
        assert len(set(few["keys"])) == 4 and many["keys"][:4] == few["keys"]
        assert not any(key in audit.read_text() for key in keys)


def test_no_default_shows_a_key(start_gate, store, audit):
    gate = start_gate(store, log={"audit-file": audit}, extra=DENY)
    with gate.client() as client:
        client.call("SET session:zztokenzz v")
    assert wait_events(audit, "denied")[0]["keys"] == ["session:*"]
    assert "zztokenzz" not in audit.read_text() + gate.process.log()


@pytest.mark.parametrize("names, shown", [("prefix", r'"session:\*"'), ("hash", '"[0-9a-f]{16}"'),
                                          ("full", '"session:zztokenzz"')])
def test_slow_requests_are_logged_with_their_times(start_gate, store, names, shown):
    gate = start_gate(store, log={"slow": "100ms", "key-names": names})
    with gate.client() as client, store.client() as direct:
        client.ok("SET session:zztokenzz v")
        direct.send(encode("DEBUG", "SLEEP", "0.3"))
        wait_until(lambda: pending(store), "the store to sleep")
        assert client.call("GET session:zztokenzz") == b"v"
        direct.read()
    times = gate.wait_log(rf"slow: 'get' took (\d+)\.\d+ ms: queue \d+\.\d+, backend redis "
                          rf"(\d+)\.\d+ key {shown}")
    assert int(times.group(1)) >= int(times.group(2)) >= 100
    assert (names == "full") == ("zztokenzz" in gate.process.log())


def pending(store):
    """Whether the store does not answer at this moment."""
    with store.client() as probe:
        probe.send(encode("PING"))
        probe.sock.settimeout(0.02)
        try:
            return not probe.sock.recv(1)
        except TimeoutError:
            return True


@pytest.mark.parametrize("names, shown", [("prefix", b"session:*"), ("full", b"session:zztokenzz")])
def test_the_console_shows_keys_as_asked_for(start_gate, store, names, shown):
    port = free_port()
    gate = start_gate(store, log={"key-names": names}, admin={"console": f"127.0.0.1:{port}"})
    with gate.client() as client, Client(port) as console:
        client.ok("SET", "session:zztokenzz", "x" * 100_000)
        rows = wait_until(lambda: console.call("SHOW BIG"), "the large request")
        assert shown in b" ".join(rows).split()
        assert (names == "full") == (b"zztokenzz" in b" ".join(rows))


# -- floods and files that make trouble ----------------------------------------------------------

FLOOD = 30000 # lines of well over 140 bytes: more than the queue of 4 MB holds


def refused(client, count):
    """That many refusals, each of them answered."""
    for _ in range(0, count, 1000):
        client.send(encode("SET", "k", "v") * 1000)
        for _ in range(1000):
            assert client.read().code == "NOPERM"


def accounted(*paths):
    """Refusals the files tell of, those they say are missing included."""
    return sum(event.get("dropped", 1) for path in paths for event in events(path)
               if event["event"] in ("denied", "dropped"))


def glanced(*paths):
    """The same at a glance, for large files that are waited for."""
    text = b"".join(path.read_bytes() for path in paths if path.exists())
    return text.count(b'"event":"denied"') + sum(map(int, re.findall(rb'"dropped":(\d+)', text)))


def wait_accounted(count, *paths):
    wait_until(lambda: glanced(*paths) >= count, f"{count} refusals to be accounted for", 20)
    assert accounted(*paths) == count


def test_a_flood_is_told_whole_and_logged_in_part(start_gate, store, audit):
    gate = start_gate(store, log={"audit-file": audit, "level": "notice"}, extra=DENY)
    with gate.client() as client:
        refused(client, 5000)
    wait_until(lambda: len(events(audit, "denied")) == 5000, "5000 refusals in the audit file")
    assert gate.process.log().count("denied 'set'") < 2500


def test_a_full_disk_costs_lines_and_says_how_many(start_gate, store, audit):
    gate = start_gate(store, log={"audit-file": "/dev/full"}, extra=DENY)
    with gate.client() as client:
        refused(client, FLOOD)
        assert client.call("GET none") is None
        gate.wait_log("cannot write /dev/full")
        gate.log_options["audit-file"] = audit
        gate.reload(expect="reload done")
        client.call("SET k v")
    wait_accounted(FLOOD + 1, audit)
    dropped = sum(event["dropped"] for event in events(audit, "dropped"))
    assert dropped > 0
    assert wait_events(audit, "reload"), "what is no refusal has room of its own"
    gate.process.signal(signal.SIGTERM)
    assert gate.process.wait_exit(10) == 0
    assert f"audit_dropped_total {dropped} " in gate.process.log()


def test_a_missing_folder_is_waited_for(start_gate, store, tmp_path):
    path = tmp_path / "later" / "audit.log"
    gate = start_gate(store, log={"audit-file": path}, extra=DENY)
    with gate.client() as client:
        refused(client, 1000)
        gate.wait_log("cannot open .*later/audit.log")
        path.parent.mkdir()
        wait_accounted(1000, path)
        gate.wait_log("is written again")


def test_a_removed_file_comes_again(start_gate, store, audit):
    gate = start_gate(store, log={"audit-file": audit}, extra=DENY)
    with gate.client() as client:
        refused(client, 1000)
        wait_accounted(1000, audit)
        audit.unlink()
        client.call("SET k v")
        wait_accounted(1, audit)


def test_rotation_loses_no_line(start_gate, store, audit, tmp_path):
    gate = start_gate(store, log={"audit-file": audit}, extra=DENY)
    olds = []
    with gate.client() as client:
        for turn in range(5):
            refused(client, 1000)
            wait_until(audit.exists, "the file")
            olds.append(tmp_path / f"old.{turn}")
            os.rename(audit, olds[-1])
            gate.process.signal(signal.SIGUSR1)
            wait_until(audit.exists, "a new file")
    wait_accounted(5000, audit, *olds)


def test_a_pipe_nobody_reads_holds_nothing_up(start_gate, store, audit, tmp_path):
    os.mkfifo(audit)
    gate = start_gate(store, log={"audit-file": audit}, extra=DENY)
    with gate.client() as client:
        refused(client, 1000) # not even opened by a reader
        reader = os.open(audit, os.O_RDONLY | os.O_NONBLOCK)
        refused(client, FLOOD) # open, and full
        gate.wait_log("cannot write .*audit.log")
        assert client.call("GET none") is None
        out = tmp_path / "read"
        with out.open("ab") as copy:
            def drained():
                try:
                    copy.write(os.read(reader, 1 << 20))
                    copy.flush()
                except BlockingIOError:
                    pass
                return glanced(out) >= FLOOD + 1000
            wait_until(drained, "the rest to come through the pipe", 20)
        assert accounted(out) == FLOOD + 1000
        os.close(reader)
        refused(client, 1000) # and at the end it is not waited for


def test_a_reload_changes_the_file(start_gate, store, audit, tmp_path):
    gate = start_gate(store, extra=DENY)
    with gate.client() as client:
        client.call("SET k v")
        for name in "one", "two":
            gate.log_options["audit-file"] = tmp_path / name
            gate.reload(expect="reload done")
            client.call("SET k v")
            wait_accounted(1, tmp_path / name)
        del gate.log_options["audit-file"]
        gate.reload(expect="reload done")
        client.call("SET k v")
        gate.log_options["audit-file"] = audit
        gate.reload(expect="reload done")
        client.call("SET k v")
    wait_accounted(1, audit)
    assert accounted(tmp_path / "two") == 1


def test_threads_share_the_file(start_gate, store, audit):
    gate = start_gate(store, proxy={"threads": 2}, log={"audit-file": audit}, extra=DENY)
    clients = [gate.client() for _ in range(4)]
    for client in clients:
        client.send(encode("SET", "k", "v") * 1000)
    for client in clients:
        for _ in range(1000):
            assert client.read().code == "NOPERM"
        client.close()
    wait_accounted(4000, audit)
    assert len({event["client"] for event in events(audit, "denied")}) == 4
