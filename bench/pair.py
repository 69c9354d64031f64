#!/usr/bin/python3
"""Two respgates beside each other: CPU per request of each, and the ratio.

    bench/pair.py BINARY[:CONFIG] BINARY[:CONFIG]

What counting costs:

    meson setup --buildtype=release -Db_lto=true build-release && ninja -C build-release
    meson setup --buildtype=release -Db_lto=true -Dcounting=false build-bare && ninja -C build-bare
    bench/pair.py build-release/respgate build-bare/respgate

What fifty rules cost:

    bench/pair.py build-release/respgate:bench/rules.conf build-release/respgate:bench/no-rules.conf

Rounds are interleaved, and each begins with the other one; the figure is the median of the
ratios within the rounds.
"""
import argparse
import os
import pathlib
import socket
import statistics
import subprocess
import tempfile
import time

from parties import cpu_seconds, free_port

CASES = {
    "get": ["-t", "get"],
    "set": ["-t", "set"],
    "get-p1": ["-t", "get", "-P", "1"],
    "set-1000-keys": ["-t", "set", "-r", "1000"],
    "get-two-segments": ["-r", "1000", "GET", "job:state:__rand_int__"],
}


def wait_for(port):
    for _ in range(200):
        try:
            socket.create_connection(("127.0.0.1", port), 0.5).close()
            return
        except OSError:
            time.sleep(0.05)
    raise SystemExit(f"nobody listens on {port}")


def measure(process, port, case, requests):
    before = cpu_seconds(process.pid)
    subprocess.run(["redis-benchmark", "-p", str(port), "-c", "50", "-P", "16", "-q", "-n",
                    str(requests), *case], check=True, stdout=subprocess.DEVNULL)
    return (cpu_seconds(process.pid) - before) / requests * 1e9


def gates(parties, backend, folder):
    for name, party in parties.items():
        binary, _, config = party.partition(":")
        port = free_port()
        command = [binary, "--listen", str(port), "--backend", f"redis://127.0.0.1:{backend}"]
        if config:
            os.chmod(config, 0o600)
            command += ["-c", config]
        log = open(pathlib.Path(folder) / f"{name}.log", "w")
        process = subprocess.Popen(command, stderr=log, stdout=log)
        wait_for(port)
        yield name, (process, port)


def compare(parties, case, rounds, requests):
    figures = {name: [] for name in parties}
    for turn in range(rounds + 1):
        names = list(parties)
        for name in names if turn % 2 else reversed(names):
            process, port = parties[name]
            figures[name].append(measure(process, port, CASES[case], requests))
    figures = {name: values[1:] for name, values in figures.items()} # the first is for warmth
    ratios = [a / b for a, b in zip(figures["first"], figures["second"])]
    first, second = (statistics.median(figures[name]) for name in ("first", "second"))
    print(f"{case:18} {first:7.1f} ns first  {second:7.1f} ns second  ratio "
          f"{statistics.median(ratios):.3f}  ({min(ratios):.3f} to {max(ratios):.3f}), "
          f"of medians {first / second:.3f}", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("first", metavar="BINARY[:CONFIG]")
    parser.add_argument("second", metavar="BINARY[:CONFIG]")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--requests", type=int, default=1000000)
    parser.add_argument("--cases", default=",".join(CASES))
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        backend = free_port()
        store = subprocess.Popen(["redis-server", "--port", str(backend), "--save", "",
                                  "--dir", folder], stdout=subprocess.DEVNULL)
        parties = {}
        try:
            wait_for(backend)
            parties_by_name = {"first": options.first, "second": options.second}
            for name, party in gates(parties_by_name, backend, folder):
                parties[name] = party
            for case in options.cases.split(","):
                compare(parties, case, options.rounds, options.requests)
        finally:
            for process in [store, *(process for process, _ in parties.values())]:
                process.terminate()
                process.wait()


if __name__ == "__main__":
    main()
