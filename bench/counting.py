#!/usr/bin/python3
"""What counting costs: CPU per request of two builds of respgate, with counts and without.

    meson setup --buildtype=release -Db_lto=true build-release && ninja -C build-release
    meson setup --buildtype=release -Db_lto=true -Dcounting=false build-bare && ninja -C build-bare
    bench/counting.py build-release/respgate build-bare/respgate

Rounds are interleaved, and each begins with the other build; the figure is the median of the
ratios within the rounds.
"""
import argparse
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


def gates(binaries, backend, folder):
    for name, binary in binaries.items():
        port = free_port()
        command = [binary, "--listen", str(port), "--backend", f"redis://127.0.0.1:{backend}"]
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
    ratios = [a / b for a, b in zip(figures["counting"], figures["bare"])]
    with_counts, bare = (statistics.median(figures[name]) for name in ("counting", "bare"))
    print(f"{case:18} {with_counts:7.1f} ns counting  {bare:7.1f} ns bare  ratio "
          f"{statistics.median(ratios):.3f}  ({min(ratios):.3f} to {max(ratios):.3f}), "
          f"of medians {with_counts / bare:.3f}", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("counting")
    parser.add_argument("bare")
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
            binaries = {"counting": options.counting, "bare": options.bare}
            for name, party in gates(binaries, backend, folder):
                parties[name] = party
            for case in options.cases.split(","):
                compare(parties, case, options.rounds, options.requests)
        finally:
            for process in [store, *(process for process, _ in parties.values())]:
                process.terminate()
                process.wait()


if __name__ == "__main__":
    main()
