"""In front of one node: what a cluster would refuse is counted, by client."""
import pytest

from harness.admin import Admin

pytestmark = pytest.mark.needs_gate


@pytest.fixture
def gate(start_gate, start_redis):
    return start_gate(start_redis(), admin=Admin.ports())


def counts(gate, name):
    rows = {row["name"]: row for row in Admin(gate).rows("rehearsal")}
    row = rows.get(name)
    return row and (row["crossslot"], row["select"], row["scripts"])


@pytest.mark.parametrize("lines, expected", [
    (["GET a", "MSET a 1 b 2", "MGET a b c", "DEL a b"], None),  # respgate splits these
    (["SET a 1", "RENAME a b"], (1, 0, 0)),
    (["SET {t}a 1", "RENAME {t}a {t}b"], None),
    (["SADD a 1", "SINTER a b", "SINTER a b c"], (2, 0, 0)),
    (["MULTI", "SET a 1", "SET b 2", "SET c 3", "EXEC"], (1, 0, 0)),
    (["MULTI", "SET {t}a 1", "PING", "SET {t}b 2", "EXEC"], None),
    (["WATCH a", "MULTI", "SET b 1", "EXEC"], (1, 0, 0)),
    (["WATCH {t}a", "MULTI", "SET {t}b 1", "EXEC"], None),
    (["WATCH a b"], (1, 0, 0)),
    (["SELECT 0"], None),
    (["SELECT 3", "GET a", "SELECT 0"], (0, 1, 0)),
    ([("EVAL", "return redis.call('get', KEYS[1])", "1", "a")], None),
    ([("EVAL", "return redis.call('get', KEYS[1] .. ':x')", "1", "a")], (0, 0, 1)),
    ([("EVAL", "return redis.call('get', KEYS[1])", "2", "a", "b")], (1, 0, 0)),
    (["BITOP AND d a b", "MSETNX a 1 b 2"], (2, 0, 0)),
])
def test_what_counts(gate, lines, expected):
    with gate.client() as client:
        client.ok("CLIENT SETNAME app")
        client.pipeline(*lines)
        assert counts(gate, "app") == expected


def test_totals_outlive_the_client(gate):
    with gate.client() as client:
        client.pipeline("SELECT 1", "RENAME a b", "RENAME a b")
    admin = Admin(gate)
    assert admin.stat("rehearsed_crossslot_total") == 2
    assert admin.stat("rehearsed_select_total") == 1
