"""[pressure] aof-limit, volume-path, aof-rewrite-at: writes stop before the disk is full."""
import subprocess

import pytest

from harness.servers import section
from harness.waiting import wait_until

MB = 1024 * 1024
VALUE = b"x" * 64 * 1024


def pressure(**options):
    return section("pressure", {"poll": "100ms", **{k.replace("_", "-"): v
                                                    for k, v in options.items()}})


@pytest.fixture
def redis(start_redis):
    return start_redis(appendonly="yes", appendfsync="everysec", auto_aof_rewrite_percentage="0")


def test_a_rewrite_is_asked_for_in_time(start_gate, redis):
    gate = start_gate(redis, extra=pressure(aof_limit="10mb"))
    with gate.client() as client:
        for _ in range(110):
            client.ok("SET", "k", VALUE)
        gate.wait_log("asking for a rewrite")
        gate.wait_log(r"the AOF was rewritten: \d+ bytes, were \d+")
        for _ in range(10):
            client.ok("SET", "k", VALUE)
    assert int(redis.info("aof_current_size")) < 8 * MB


def test_at_disk_critical_every_write_is_refused_until_the_rewrite_ends(start_gate, redis):
    gate = start_gate(redis, extra=pressure(aof_limit="10mb", aof_rewrite_at="0"))
    gate.wait_log("AOF [0-9]+% of its volume")
    with gate.client() as client:
        client.ok("SET other v")
        reply = b"OK"
        for _ in range(300):
            reply = client.call("SET", "k", VALUE)
            if reply != b"OK":
                break
        assert reply.startswith("MISCONF respgate: writes are paused, AOF "), reply
        assert reply.endswith("% of its volume")
        assert int(redis.info("aof_current_size")) < 9.1 * MB
        gate.wait_log("disk pressure is critical")
        for command in ("DEL other", "EXPIRE other 100", "LPOP l", "XACK s g 1-1"):
            assert client.call(command).code == "MISCONF"
        assert client.call("GET other") == b"v" and client.call("PING") == b"PONG"
        replies = client.pipeline("MULTI", "DEL other", "EXEC")
        assert replies[1].code == "MISCONF" and replies[2].code == "EXECABORT"
        redis.call("BGREWRITEAOF")
        gate.wait_log("disk pressure is normal")
        client.ok("SET k v")


def test_without_an_aof_it_is_not_watched(start_gate, start_redis):
    gate = start_gate(start_redis(), extra=pressure(aof_limit="1mb"))
    with gate.client() as client:
        for _ in range(40):
            client.ok("SET", "k", VALUE)


def test_a_node_that_answers_misconf_is_critical_and_alive(start_gate, start_redis):
    redis = start_redis(save="3600 1", stop_writes_on_bgsave_error="yes")
    gate = start_gate(redis, extra=pressure())
    with gate.client() as client:
        client.ok("SET k v")
        break_saves(redis)
        assert client.call("SET k w").startswith("MISCONF ")
        gate.wait_log("it cannot write its AOF or RDB")
        assert client.call("SET k w").startswith("MISCONF respgate: writes are paused")
        assert client.call("GET k") == b"v"
        mend_saves(redis)
        gate.wait_log("it can write its AOF again")
        client.ok("SET k w")


def break_saves(redis):
    """A folder of that name cannot be replaced by the file, not even by root."""
    (redis.folder / "dump.rdb").mkdir()
    (redis.folder / "dump.rdb" / "x").touch()
    redis.call("BGSAVE")
    wait_until(lambda: redis.info("rdb_last_bgsave_status") == "err", "BGSAVE to fail")


def mend_saves(redis):
    (redis.folder / "dump.rdb" / "x").unlink()
    (redis.folder / "dump.rdb").rmdir()
    redis.call("BGSAVE")
    wait_until(lambda: redis.info("rdb_last_bgsave_status") == "ok", "BGSAVE to succeed")


@pytest.fixture
def volume(tmp_path):
    """A small tmpfs, where the machine lets us mount one."""
    path = tmp_path / "volume"
    path.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=16m", "tmpfs", path],
                      capture_output=True).returncode != 0:
        pytest.skip("cannot mount a tmpfs")
    yield path
    subprocess.run(["umount", path], check=True)


def test_the_volume_itself_is_looked_at(start_gate, start_redis, volume):
    redis = start_redis(appendonly="yes")
    gate = start_gate(redis, extra=pressure(volume_path=str(volume)))
    with gate.client() as client:
        client.ok("SET k v")
        (volume / "other-files").write_bytes(b"x" * 15 * MB)
        gate.wait_log("disk pressure is critical")
        assert client.call("SET k v").code == "MISCONF"
        gate.wait_log("a rewrite would give nothing back.*enlarge the volume")
        (volume / "other-files").unlink()
        gate.wait_log("disk pressure is normal")
        client.ok("SET k v")
