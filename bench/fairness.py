#!/usr/bin/python3
"""Fair turns: the latency of 50 light clients, quiet and while another client pipelines 100,000
commands at a time, through respgate.

    bench/fairness.py [--rounds 5] [--requests 200000] [--pipeline 100000]

Quiet and noisy runs alternate; figures are medians, the ratio is the median of the ratios.
"""
import argparse
import multiprocessing
import socket
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests" / "e2e"))
from harness.servers import Gate, Redis  # noqa: E402
from harness.wire import encode  # noqa: E402


def hog(port, depth, stop):
    """Sends depth commands at a time and reads all replies, again and again."""
    command, reply = encode("GET", "k"), len(b"$1\r\nv\r\n")
    sock = socket.create_connection(("127.0.0.1", port))
    sock.setblocking(False)
    batch = command * depth
    while not stop.is_set():
        sent, due = 0, reply * depth
        while due > 0:
            try:
                sent += sock.send(batch[sent:sent + (1 << 20)]) if sent < len(batch) else 0
            except BlockingIOError:
                pass
            try:
                due -= len(sock.recv(1 << 20))
            except BlockingIOError:
                if stop.wait(0.0002):
                    return


def light(port, requests):
    """p50 and p99 of 50 clients, in ms."""
    text = subprocess.run(
        ["redis-benchmark", "-p", str(port), "-c", "50", "-n", str(requests), "-t", "get", "--csv"],
        check=True, capture_output=True, text=True).stdout.splitlines()[-1]
    fields = [field.strip('"') for field in text.split(",")]
    return float(fields[4]), float(fields[6])


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--requests", type=int, default=200_000)
    parser.add_argument("--pipeline", type=int, default=100_000)
    options = parser.parse_args()
    quiet, noisy = [], []
    with tempfile.TemporaryDirectory() as folder:
        redis = Redis(Path(folder) / "redis")
        gate = Gate(Path(folder) / "gate", redis, log={"level": "notice"})
        redis.call("SET", "k", "v")
        try:
            light(gate.port, options.requests // 10)
            for _ in range(options.rounds):
                quiet.append(light(gate.port, options.requests))
                stop = multiprocessing.Event()
                process = multiprocessing.Process(
                    target=hog, args=(gate.port, options.pipeline, stop))
                process.start()
                try:
                    noisy.append(light(gate.port, options.requests))
                finally:
                    stop.set()
                    process.join()
        finally:
            gate.stop()
            redis.stop()
    for name, at in (("p50", 0), ("p99", 1)):
        before = statistics.median(row[at] for row in quiet)
        during = statistics.median(row[at] for row in noisy)
        ratio = statistics.median(n[at] / q[at] for n, q in zip(noisy, quiet))
        print(f"{name}: {before:.3f} ms quiet, {during:.3f} ms beside a pipeline of "
              f"{options.pipeline}: {ratio:.2f}x")


if __name__ == "__main__":
    sys.exit(main())
