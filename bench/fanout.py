#!/usr/bin/python3
"""Publish/subscribe fan-out: what it costs Redis directly, and through respgate with
share-channels. Every subscriber's bytes are compared with what it must have got: each message
once, in order.

    bench/fanout.py [--subscribers 5000] [--channels 50] [--rate 1000] [--seconds 5]
"""
import argparse
import os
import resource
import select
import socket
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests" / "e2e"))
from harness.servers import Gate, Redis  # noqa: E402
from harness.wire import encode  # noqa: E402

TICKS = os.sysconf("SC_CLK_TCK")


def cpu(pid):
    """Seconds of CPU a process has used, user and system."""
    with open(f"/proc/{pid}/stat", encoding="ascii") as stat:
        fields = stat.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def message(channel, number):
    return encode("message", channel, f"message {number:08d} " + "x" * 64)


class Subscribers:
    def __init__(self, port, count, channels):
        self.poll = select.epoll()
        self.socks, self.got, self.channel = {}, {}, {}
        for number in range(count):
            sock = socket.create_connection(("127.0.0.1", port))
            channel = f"ws:{number % channels}"
            sock.sendall(encode("SUBSCRIBE", channel))
            fd = sock.fileno()
            self.socks[fd], self.got[fd], self.channel[fd] = sock, bytearray(), channel
            self.poll.register(fd, select.EPOLLIN)
        self.confirmed = {c: len(b"*3\r\n$9\r\nsubscribe\r\n$%d\r\n%s\r\n:1\r\n" % (len(c), c.encode()))
                          for c in set(self.channel.values())}
        self.read_until(lambda fd: len(self.got[fd]) >= self.confirmed[self.channel[fd]], 60)
        for fd in self.got:
            self.got[fd].clear()

    def read(self, timeout):
        for fd, _ in self.poll.poll(timeout, 4096):
            data = self.socks[fd].recv(1 << 16)
            if not data:
                raise SystemExit("a subscriber was closed")
            self.got[fd] += data

    def read_until(self, done, seconds):
        end = time.monotonic() + seconds
        waiting = set(self.got)
        while waiting and time.monotonic() < end:
            self.read(0.05)
            waiting = {fd for fd in waiting if not done(fd)}
        if waiting:
            raise SystemExit(f"{len(waiting)} subscribers still wait")


def run(port, watched, options):
    subscribers = Subscribers(port, options.subscribers, options.channels)
    expected = {f"ws:{c}": bytearray() for c in range(options.channels)}
    publisher = socket.create_connection(("127.0.0.1", port))
    before = {name: cpu(pid) for name, pid in watched.items()}
    started, sent = time.monotonic(), 0
    while sent < options.rate * options.seconds:
        due = min(int((time.monotonic() - started) * options.rate) + 1,
                  options.rate * options.seconds)
        batch = bytearray()
        for number in range(sent, due):
            channel = f"ws:{number % options.channels}"
            payload = f"message {number:08d} " + "x" * 64
            batch += encode("PUBLISH", channel, payload)
            expected[channel] += message(channel, number)
        publisher.sendall(batch)
        sent = max(sent, due)
        subscribers.read(0.005)
        try:
            while publisher.recv(1 << 16, socket.MSG_DONTWAIT):
                pass
        except BlockingIOError:
            pass
    subscribers.read_until(
        lambda fd: len(subscribers.got[fd]) >= len(expected[subscribers.channel[fd]]), 60)
    took = time.monotonic() - started
    used = {name: cpu(pid) - before[name] for name, pid in watched.items()}
    wrong = sum(bytes(data) != bytes(expected[subscribers.channel[fd]])
                for fd, data in subscribers.got.items())
    for sock in subscribers.socks.values():
        sock.close()
    return used, took, wrong


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--subscribers", type=int, default=5000)
    parser.add_argument("--channels", type=int, default=50)
    parser.add_argument("--rate", type=int, default=1000, help="messages a second, all channels")
    parser.add_argument("--seconds", type=int, default=5)
    options = parser.parse_args()
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    with tempfile.TemporaryDirectory() as folder:
        redis = Redis(Path(folder) / "redis", maxclients=20000)
        gate = Gate(Path(folder) / "gate", redis, log={"level": "notice"},
                    backend={"share-channels": "ws:*"})
        try:
            direct, _, wrong_direct = run(redis.port, {"redis": redis.process.pid}, options)
            pids = {"redis": redis.process.pid, "respgate": gate.process.pid}
            through, _, wrong = run(gate.port, pids, options)
        finally:
            gate.stop()
            redis.stop()
    print(f"{options.subscribers} subscribers, {options.channels} channels, "
          f"{options.rate} messages/s for {options.seconds} s")
    print(f"Redis direct            {direct['redis']:6.2f} s CPU, {wrong_direct} streams wrong")
    print(f"Redis through respgate  {through['redis']:6.2f} s CPU "
          f"({100 * through['redis'] / max(direct['redis'], 0.01):.1f} %), {wrong} streams wrong")
    print(f"respgate                {through['respgate']:6.2f} s CPU")
    return 1 if wrong or wrong_direct else 0


if __name__ == "__main__":
    sys.exit(main())
