"""The audit file: who was refused what, complete, without values, and never in traffic's way."""
import json
import os
import signal

import pytest

from harness.waiting import wait_until
from harness.wire import encode

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
    assert wait_events(audit, "reload")
    gate.reload("[rule nonsense]\n", expect="reload failed")
    assert "failed" in wait_events(audit, "reload", 2)[-1]["detail"]
