"""Redis memory grew, and an administrator ran FLUSHALL on a live platform: work-tracking ids,
locks and stream state vanished while the message queue kept bundles that referred to dead ids."""
import pytest

from harness.servers import ROOT
from harness.wire import encode

SHIPPED = ROOT / "conf" / "respgate.conf"

WIPES = ["FLUSHALL", "FLUSHDB", "flushall async", "FlushDB SYNC", "SWAPDB 0 5"]


def fill(client):
    """The platform's state: ids of work, a lock, a stream with a consumer group."""
    for number in range(50):
        client.ok(f"SET work:{number} running")
    client.ok("SET lock:ingest holder")
    client.call("XADD events 1-1 bundle 7")
    client.ok("XGROUP CREATE events workers 0")


def intact(store):
    return (store.call("GET work:7") == b"running" and store.call("GET lock:ingest") == b"holder"
            and store.call("XLEN events") == 1 and store.call("DBSIZE") == 52)


@pytest.fixture
def guarded(start_gate, store):
    """A gate with the rules that are shipped."""
    text = SHIPPED.read_text()
    rules = text[text.index("\n[rule "):]
    return start_gate(store, extra=rules)


def test_straight_against_redis_it_happens(store):
    with store.client() as admin:
        fill(admin)
        admin.ok("FLUSHALL")
    assert not intact(store) and store.call("DBSIZE") == 0


@pytest.mark.parametrize("wipe", WIPES)
def test_through_respgate_it_does_not(guarded, store, wipe):
    with guarded.client() as admin:
        fill(admin)
        reply = admin.call(wipe)
        assert reply.code == "NOPERM" and " is denied by rule '" in reply
        assert len(reply.split("': ", 1)[1]) > 10, "the refusal says what to do instead"
    assert intact(store)


def test_not_inline_not_in_a_transaction(guarded, store):
    with guarded.client() as admin:
        fill(admin)
        admin.send(b"flushall\r\n\"FLUSH\\x41LL\" async\r\n")
        assert admin.read().code == admin.read().code == "NOPERM"
        replies = admin.pipeline("MULTI", "SET work:7 broken", "FLUSHALL", "EXEC")
        assert replies[2].code == "NOPERM" and replies[3].code == "EXECABORT"
    assert intact(store)


def test_not_after_auth_as_another_user(guarded, store):
    store.call("ACL", "SETUSER", "admin", "on", ">pw", "~*", "&*", "+@all")
    with guarded.client() as admin:
        fill(admin)
        assert admin.pipeline("AUTH admin pw", "FLUSHALL")[1].code == "NOPERM"
    assert intact(store)
    store.call("ACL", "DELUSER", "admin")


def test_the_safe_alternatives_go_through(guarded, store):
    with guarded.client() as admin:
        fill(admin)
        assert admin.call("SCAN 0 MATCH work:* COUNT 1000")[0] == b"0"
        assert isinstance(admin.call("MEMORY USAGE work:7"), int)
        assert admin.call("DEL work:1") == 1
        assert admin.call("UNLINK work:2") == 1
        assert admin.call("XTRIM events MAXLEN 100") == 0
        assert b"used_memory" in admin.call("INFO memory")


def test_the_platform_works_on_meanwhile(guarded, store):
    with guarded.client() as admin, guarded.client() as worker:
        fill(admin)
        worker.send(encode(*"XREADGROUP GROUP workers w1 COUNT 1 STREAMS events >".split()))
        assert worker.read()[0][0] == b"events"
        for _ in range(20):
            assert admin.call("FLUSHALL").code == "NOPERM"
            assert worker.call("GET work:7") == b"running"
        assert worker.call("XACK events workers 1-1") == 1
    guarded.wait_log("FLUSHALL")
