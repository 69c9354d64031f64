"""One worker's burst filled a 50 MB volume with AOF, smaller than the 64 MB from which Redis rewrites
by itself; fsync failed, the AOF was cut short, and Redis crash-looped."""
import multiprocessing
import subprocess
import threading
import time

import pytest

from harness.servers import section
from harness.waiting import FACTOR, wait_until

MB = 1024 * 1024
VOLUME = 50 * MB
NOISE_MS = 10  # what a machine with other work may add to a 99th percentile
VALUE = b"x" * 32 * 1024


@pytest.fixture
def volume(tmp_path):
    path = tmp_path / "volume"
    path.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={VOLUME}", "tmpfs", path],
                      capture_output=True).returncode != 0:
        pytest.skip("cannot mount a tmpfs")
    yield path
    subprocess.run(["umount", "-l", path], check=True)  # Redis goes after this


def start_store(start_redis, volume):
    return start_redis(dir=str(volume), appendonly="yes", appendfsync="everysec")


class Burst(threading.Thread):
    """One worker that writes its few keys over and over, as fast as it may."""

    def __init__(self, door, seconds):
        super().__init__(daemon=True)
        self.client, self.seconds = door.client(), seconds
        self.written, self.replies, self.resumed = 0, {}, 0

    def run(self):
        end, number, refused = time.monotonic() + self.seconds, 0, False
        while time.monotonic() < end:
            number += 1
            reply = self.client.call("SET", f"burst:{number % 20}", VALUE)
            if not hasattr(reply, "code"):
                self.written += len(VALUE)
                self.resumed += refused
                refused = False
                continue
            text = "MISCONF of respgate" if reply.startswith("MISCONF respgate: writes are paused")\
                else reply.code
            refused = refused or text == "MISCONF of respgate"
            self.replies[text] = self.replies.get(text, 0) + 1
            time.sleep(0.002)


FORK = multiprocessing.get_context("fork")


class Quiet(FORK.Process):
    """Everybody else: small requests, and how long they take. A process of its own, because in a
    thread it would wait for the others' turns in the interpreter, 5 ms each."""

    def __init__(self, door):
        super().__init__(daemon=True)
        self.door, self.over, (self.told, self.tell) = door, FORK.Event(), FORK.Pipe(False)

    def run(self):
        times, errors = [], []
        with self.door.client() as client:
            while not self.over.wait(0.005):
                start = time.monotonic()
                reply = client.call("GET k")
                times.append(time.monotonic() - start)
                if hasattr(reply, "code"):
                    errors.append(str(reply))
        self.tell.send((times, errors))

    def p99(self):
        self.over.set()
        assert self.told.poll(10), "the quiet client ended early"
        times, errors = self.told.recv()
        self.join()
        assert errors == []
        return sorted(times)[len(times) * 99 // 100] * 1000


class Health(threading.Thread):
    """What the store itself says of its AOF, straight; and how full the volume is."""

    def __init__(self, redis):
        super().__init__(daemon=True)
        self.client, self.over, self.failed, self.most = redis.client(), threading.Event(), 0, 0

    def run(self):
        while not self.over.wait(0.02):
            text = self.client.call("INFO persistence")
            self.failed += b"aof_last_write_status:err" in text
            size = int(text.split(b"aof_current_size:")[1].split(b"\r")[0])
            self.most = max(self.most, size)

    def finish(self):
        self.over.set()
        self.join()


def watch(redis, door, seconds):
    health, quiet, burst = Health(redis), Quiet(door), Burst(door, seconds)
    for job in (health, quiet, burst):
        job.start()
    burst.join()
    p99 = quiet.p99()
    health.finish()
    return health, burst, p99


def calm(door):
    quiet = Quiet(door)
    quiet.start()
    time.sleep(2)
    return quiet.p99()


def figures(name, health, burst, p99):
    print(f"\n{name}: {burst.written // MB} MB written, AOF at most "
          f"{100 * health.most / VOLUME:.0f} % of its volume, {health.failed} looks found a failed "
          f"write, refusals {burst.replies or 'none'}, the others' p99 {p99:.1f} ms")


def test_straight_against_redis_it_happens(start_redis, volume):
    redis = start_store(start_redis, volume)
    health, burst, p99 = watch(redis, redis, 4)
    figures("direct", health, burst, p99)
    assert health.failed and "MISCONF" in burst.replies
    assert redis.call("SET k v").startswith("MISCONF Errors writing to the AOF file")


def test_through_respgate_writes_stop_in_time_and_resume(start_redis, start_gate, volume):
    redis = start_store(start_redis, volume)
    gate = start_gate(redis, extra=section("pressure", {"volume-path": volume, "poll": "250ms"}),
                      log={"level": "info"})
    gate.wait_log("AOF [0-9]+% of its volume")
    health, burst, p99 = watch(redis, gate, 6)
    figures("through respgate, no limit", health, burst, p99)
    assert not health.failed and set(burst.replies) <= {"MISCONF of respgate"}
    gate.wait_log("asking for a rewrite")
    gate.wait_log("the AOF was rewritten")
    assert burst.written > VOLUME, "writes went on after the rewrite"


def test_through_respgate_the_noisy_client_is_limited_and_named(start_redis, start_gate, volume):
    redis = start_store(start_redis, volume)
    rule = section("rule noisy", {"commands": "@write", "action": "limit", "rate": "8mb/s",
                                  "burst": "8mb", "cost": "bytes", "per": "client"})
    gate = start_gate(redis, extra=rule + section("pressure", {"volume-path": volume}),
                      log={"level": "info"})
    gate.wait_log("AOF [0-9]+% of its volume")
    quiet = calm(gate)
    health, burst, p99 = watch(redis, gate, 8)
    figures(f"through respgate, limited (quiet: {quiet:.1f} ms)", health, burst, p99)
    assert not health.failed and set(burst.replies) <= {"THROTTLED", "MISCONF of respgate"}
    assert burst.replies["THROTTLED"]
    assert burst.written < 1.2 * (8 * 8 + 8) * MB
    assert p99 < 2 * quiet + NOISE_MS * FACTOR
    gate.wait_log("the AOF was rewritten")
    gate.wait_log("rule 'noisy'")
    with gate.client() as client:
        wait_until(lambda: client.call("SET k v") == b"OK", "writes to go on")
