"""Where it is going: when memory or the AOF's volume will be full, and whose writes do it."""
import re
import threading

import pytest

from harness.admin import Admin
from harness.servers import section
from harness.waiting import wait_until

WHO = r"[0-9]+ % of the growth is firehose_\* from 127\.0\.0\.1"


class Writer(threading.Thread):
    """Keeps on adding: a little to others', most to one stream."""

    def __init__(self, gate):
        super().__init__(daemon=True)
        self.client, self.over, self.number = gate.client(), threading.Event(), 0

    def run(self):
        while not self.over.wait(0.02):
            self.number += 1
            self.client.call("SET", f"job:state:{self.number}", b"x" * 1000)
            self.client.call("XADD", "firehose_live", "*", "body", b"x" * 20000)

    def finish(self):
        self.over.set()
        self.join()
        self.client.close()


@pytest.fixture
def writing(start_gate, start_redis, tmp_path):
    """gate(pressure options, redis options): one that is being written through."""
    writers = []

    def start(pressure, **redis):
        gate = start_gate(start_redis(**redis), admin=Admin.ports(),
                          log={"level": "info", "audit-file": tmp_path / "audit.log"},
                          extra=section("pressure", {"poll": "100ms", **pressure})
                          + section("prefixes", {"declare": "firehose_*"}))
        writers.append(Writer(gate))
        writers[-1].start()
        return gate
    yield start
    for writer in writers:
        writer.finish()


def test_memory_full_within_the_hour_is_said_once_with_who_does_it(writing, tmp_path):
    gate = writing({}, maxmemory="400mb", maxmemory_policy="noeviction")
    gate.wait_log(r"node redis: memory full in [0-9]+ min, " + WHO, timeout=20)
    wait_until(lambda: "full in" in (tmp_path / "audit.log").read_text(), "the audit line")

    def shown():
        row, = Admin(gate).rows("pressure")
        row, = Admin(gate).rows("pressure"); print(row)
        return row["full-in"] is not None and row["growth"] > 1000 and re.fullmatch(
            WHO, row["grown-by"])
    wait_until(shown, "the forecast in SHOW PRESSURE")
    share = int(re.search(r"([0-9]+) % of the growth", gate.process.log()).group(1))
    assert 80 <= share <= 99
    assert gate.process.log().count("memory full in") == 1


def test_the_volume_too(writing):
    gate = writing({"aof-limit": "1gb"}, appendonly="yes")
    gate.wait_log(r"node redis: the AOF's volume full in [0-9]+ min, " + WHO, timeout=20)


def test_what_will_not_be_full_in_an_hour_is_not_said(writing):
    gate = writing({}, maxmemory="1000gb", maxmemory_policy="noeviction")

    def grows():
        return any(row["growth"] > 1000 and row["grown-by"] for row in Admin(gate).rows("pressure"))
    wait_until(grows, "growth to be seen", 20)
    assert "full in" not in gate.process.log()
