#!/usr/bin/python3
"""What Prometheus costs the traffic: p99 with /metrics scraped every second, and without.

    meson setup --buildtype=release -Db_lto=true build-release && ninja -C build-release
    bench/scrape.py build-release/respgate

1,000 prefixes are counted and 1,000 idle clients connected beside the traffic. Rounds are
interleaved; figures are medians, the ratio is the median of the ratios within the rounds. A third
party is the same gate without scrapes once more: how far two equal runs are apart on this machine.
"""
import argparse
import csv
import http.client
import pathlib
import socket
import statistics
import subprocess
import tempfile
import threading
import time

from pair import wait_for
from parties import free_port


class Scraper(threading.Thread):
    """Once a second, until it is told to stop."""

    def __init__(self, port, interval):
        super().__init__()
        self.port, self.interval = port, interval
        self.done, self.times, self.bytes = threading.Event(), [], 0

    def run(self):
        while not self.done.wait(self.interval):
            start = time.monotonic()
            self.bytes = len(scrape(self.port))
            self.times.append(time.monotonic() - start)


def scrape(port):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    connection.request("GET", "/metrics")
    body = connection.getresponse().read()
    connection.close()
    return body


def fill(port, prefixes):
    """Every prefix is written and read, so that all its counts are told."""
    name = lambda i: "".join(chr(ord("g") + i // 16 ** at % 16) for at in range(4))
    command = lambda *words: f"*{len(words)}\r\n".encode() + b"".join(
        f"${len(word)}\r\n{word}\r\n".encode() for word in words)
    with socket.create_connection(("127.0.0.1", port), 10) as sock:
        file = sock.makefile("rb")
        for i in range(prefixes):
            sock.sendall(command("SET", f"svc:{name(i)}:x:1", "v") + command("EXISTS", f"svc:{name(i)}:x:1"))
            assert file.readline() == b"+OK\r\n" and file.readline() == b":1\r\n"


def traffic(port, options):
    """p99 in ms of one run."""
    done = subprocess.run(["redis-benchmark", "-p", str(port), "-c", "50", "-P", str(options.pipeline), "-t",
                           "get", "-n", str(options.requests), "--csv"], check=True, capture_output=True, text=True)
    rows = list(csv.DictReader(done.stdout.splitlines()))
    return float(rows[0]["p99_latency_ms"])


def rounds(port, http_port, options):
    figures = {"scraped": [], "alone": [], "alone again": []}
    times, size = [], 0
    for turn in range(options.rounds + 1):
        names = list(figures)
        for name in names[turn % 3:] + names[:turn % 3]:
            scraper = Scraper(http_port, options.interval) if name == "scraped" else None
            if scraper:
                scraper.start()
            figures[name].append(traffic(port, options))
            if scraper:
                scraper.done.set()
                scraper.join()
                times, size = times + scraper.times, max(size, scraper.bytes)
    return {name: values[1:] for name, values in figures.items()}, times, size


def tell(figures, times, size):
    for name, values in figures.items():
        ratios = [value / alone for value, alone in zip(values, figures["alone"])]
        print(f"{name:12} p99 {statistics.median(values):.3f} ms, beside alone {statistics.median(ratios):.3f} "
              f"({min(ratios):.3f} to {max(ratios):.3f})")
    print(f"{len(times)} scrapes of {size} bytes, median {statistics.median(times) * 1e3:.1f} ms, "
          f"longest {max(times) * 1e3:.1f} ms")


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("binary")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--requests", type=int, default=400000)
    parser.add_argument("--pipeline", type=int, default=1)
    parser.add_argument("--interval", type=float, default=1)
    parser.add_argument("--prefixes", type=int, default=1000)
    parser.add_argument("--clients", type=int, default=1000)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        backend, port, http_port = free_port(), free_port(), free_port()
        config = pathlib.Path(folder) / "gate.conf"
        config.write_text(f"[proxy]\nlisten = 127.0.0.1:{port}\n[admin]\nhttp = 127.0.0.1:{http_port}\nconsole =\n"
                          f"[backend]\nurl = redis://127.0.0.1:{backend}\n")
        config.chmod(0o600)
        processes = [subprocess.Popen(["redis-server", "--port", str(backend), "--save", "", "--dir", folder],
                                      stdout=subprocess.DEVNULL)]
        try:
            wait_for(backend)
            processes.append(subprocess.Popen([options.binary, "-c", str(config)], stderr=subprocess.DEVNULL))
            wait_for(port)
            fill(port, options.prefixes)
            idle = [socket.create_connection(("127.0.0.1", port), 5) for _ in range(options.clients)]
            tell(*rounds(port, http_port, options))
            for sock in idle:
                sock.close()
        finally:
            for process in processes:
                process.terminate()
                process.wait()


if __name__ == "__main__":
    main()
