"""Two streams filled a noeviction Redis. XADD failed, and with it everything inside MULTI, XACK too:
consumers that acknowledge in a transaction stopped, and nothing drained."""
import threading
import time

import pytest

from harness.servers import section
from harness.waiting import FACTOR, wait_until

MB = 1024 * 1024
LIMIT, HIGH, CRITICAL, RESUME = 64 * MB, 80, 90, 75
STREAMS = ("firehose_live", "firehose_backfill")
PAYLOAD = b"x" * 2048
BATCH = 20


def used(client):
    fields = dict(line.split(":", 1) for line in client.call("INFO memory").decode().split("\r\n")
                  if ":" in line)
    return int(fields["used_memory"]) - int(fields["mem_not_counted_for_evict"])


class Job(threading.Thread):
    """A loop of its own on a connection of its own, until it is told to end."""

    def __init__(self, door):
        super().__init__(daemon=True)
        self.client = door.client()
        self.over = threading.Event()
        self.failure = None

    def run(self):
        try:
            while not self.over.is_set():
                self.step()
        except Exception as error:  # told by finish()
            self.failure = error

    def finish(self):
        self.over.set()
        self.join(30 * FACTOR)
        self.client.close()
        if self.failure:
            raise self.failure


class Producer(Job):
    def __init__(self, door, stream, name):
        super().__init__(door)
        self.stream, self.name_, self.number = stream, name, 0
        self.accepted, self.refused, self.accepted_at = set(), 0, 0.0
        self.reasons = set()

    def step(self):
        batch = [f"{self.name_}:{self.number + i}" for i in range(BATCH)]
        self.number += BATCH
        replies = self.client.pipeline(*[("XADD", self.stream, "*", "id", text, "body", PAYLOAD)
                                         for text in batch])
        for text, reply in zip(batch, replies):
            if hasattr(reply, "code"):
                self.refused += 1
                self.reasons.add(str(reply))
            else:
                self.accepted.add(text.encode())
                self.accepted_at = time.monotonic()
        if any(hasattr(reply, "code") for reply in replies):
            time.sleep(0.02)  # as a library backs off


class Consumer(Job):
    """Reads, works, and acknowledges and deletes in one transaction."""

    def __init__(self, door, stream, name):
        super().__init__(door)
        self.stream, self.name_, self.done, self.errors = stream, name, [], []
        self.may_work = threading.Event()

    def step(self):
        if not self.may_work.wait(0.02):
            return
        got = self.client.call("XREADGROUP", "GROUP", "workers", self.name_, "COUNT", 20, "STREAMS",
                               self.stream, ">")
        if hasattr(got, "code"):
            self.errors.append(str(got))
            time.sleep(0.02)
            return
        if not got:
            time.sleep(0.01)
            return
        entries = got[0][1]
        ids = [entry[0] for entry in entries]
        replies = self.client.pipeline(("MULTI",), ("XACK", self.stream, "workers", *ids),
                                       ("XDEL", self.stream, *ids), ("EXEC",))
        if any(hasattr(reply, "code") for reply in replies):
            self.errors.append(str([reply for reply in replies if hasattr(reply, "code")][0]))
            time.sleep(0.02)
        else:
            self.done += [entry[1][1] for entry in entries]


class Watch(Job):
    """Memory as the store tells it, straight."""

    def __init__(self, redis):
        super().__init__(redis)
        self.most, self.now, self.below_at = 0, 0, None

    def step(self):
        self.now = used(self.client)
        self.most = max(self.most, self.now)
        if self.now < LIMIT * RESUME // 100:
            self.below_at = self.below_at or time.monotonic()
        else:
            self.below_at = None
        time.sleep(0.01)


class Platform:
    def __init__(self, redis, door):
        for stream in STREAMS:
            redis.call("XGROUP", "CREATE", stream, "workers", "0", "MKSTREAM")
        self.watch = Watch(redis)
        self.producers = [Producer(door, stream, f"{stream}{i}") for stream in STREAMS
                          for i in range(2)]
        self.consumers = [Consumer(door, stream, f"c{i}") for stream in STREAMS for i in range(2)]
        self.jobs = [self.watch, *self.producers, *self.consumers]
        for job in self.jobs:
            job.start()

    def refused(self):
        return sum(producer.refused for producer in self.producers)

    def errors(self):
        return [error for consumer in self.consumers for error in consumer.errors]

    def done(self):
        return [text for consumer in self.consumers for text in consumer.done]

    def accepted(self):
        return set().union(*(producer.accepted for producer in self.producers))

    def work(self):
        for consumer in self.consumers:
            consumer.may_work.set()

    def finish(self, *jobs):
        for job in jobs or self.jobs:
            job.finish()


def start_store(start_redis):
    return start_redis(maxmemory=str(LIMIT), maxmemory_policy="noeviction")


def figures(name, platform, extra=""):
    print(f"\n{name}: memory at most {100 * platform.watch.most / LIMIT:.1f} % of maxmemory, "
          f"{len(platform.accepted())} messages accepted, {platform.refused()} refused, "
          f"{len(platform.errors())} errors at consumers, "
          f"{len(platform.accepted() - set(platform.done()))} unprocessed{extra}")


def test_straight_against_redis_it_happens(start_redis):
    redis = start_store(start_redis)
    platform = Platform(redis, redis)
    wait_until(lambda: platform.refused() > 100, "Redis to be full", 30)
    platform.work()
    wait_until(lambda: len(platform.errors()) > 20, "consumers to fail", 10)
    platform.finish()
    assert platform.watch.most > 0.95 * LIMIT
    assert any("EXECABORT" in error or "OOM" in error for error in platform.errors())
    assert len(platform.done()) < len(platform.accepted()) / 10, "hardly anything drains"
    figures("direct", platform)


def test_through_respgate_it_does_not(start_redis, start_gate):
    redis = start_store(start_redis)
    gate = start_gate(redis, extra=section("pressure", {
        "high": f"{HIGH}%", "critical": f"{CRITICAL}%", "resume": f"{RESUME}%"}),
        log={"level": "info"})
    platform = Platform(redis, gate)
    wait_until(lambda: platform.refused() > 100, "writes to be paused", 30)
    paused_with = platform.watch.now
    platform.work()
    wait_until(lambda: platform.watch.below_at, "consumers to drain it", 30)
    below_at = platform.watch.below_at
    wait_until(lambda: any(producer.accepted_at > below_at for producer in platform.producers),
               "producers to go on", 10)
    recovered = min(producer.accepted_at for producer in platform.producers
                    if producer.accepted_at > below_at) - below_at
    time.sleep(2)  # a while of both at once
    platform.finish(*platform.producers)
    accepted = platform.accepted()
    wait_until(lambda: len(platform.done()) >= len(accepted), "all to be processed", 30)
    platform.finish(platform.watch, *platform.consumers)
    figures("through respgate", platform, f", writes resumed after {recovered:.2f} s")
    assert platform.errors() == []
    assert platform.watch.most <= LIMIT * (CRITICAL + 2) / 100
    assert paused_with > LIMIT * RESUME / 100, "not paused for nothing"
    assert recovered < 2 * FACTOR
    assert set(platform.done()) == accepted and len(platform.done()) == len(accepted)
    reasons = set().union(*(producer.reasons for producer in platform.producers))
    assert all(reason.startswith("OOM respgate: writes that add data are paused, memory ")
               for reason in reasons), reasons
