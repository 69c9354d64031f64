#!/usr/bin/python3
"""compare.py - redis-benchmark against every party in interleaved rounds; prints Markdown tables."""

import argparse
import csv
import os
import platform
import statistics
import subprocess
import sys
from collections import namedtuple

import idle
from parties import Field, cpu_seconds

PARTIES = ("direct", "respgate", "nutcracker", "haproxy")

# Who runs on which core of two; "direct" is redis-benchmark without a proxy, never on Redis' core.
# See README.md for why "proxy" is the default.
LAYOUTS = {
    "apart": {"proxy": 1, "redis": 0, "benchmark": 0, "direct": 1},
    "shared": {"proxy": 0, "redis": 1, "benchmark": 0, "direct": 0},
    "proxy": {"proxy": 1, "redis": None, "benchmark": None, "direct": None},
    "free": {"proxy": None, "redis": None, "benchmark": None, "direct": None},
}

# Requests are for a run of two to four seconds on a machine where Redis answers 100,000 a second.
Case = namedtuple("Case", "name title clients pipeline command size requests tls")
CASES = (
    Case("p1-1", "P1 GET, 1 client", 1, 1, "get", 64, 60_000, False),
    Case("p1-50", "P1 GET, 50 clients", 50, 1, "get", 64, 250_000, False),
    Case("p1-1000", "P1 GET, 1000 clients", 1000, 1, "get", 64, 250_000, False),
    Case("p16-get", "P16 GET, 50 clients", 50, 16, "get", 64, 1_600_000, False),
    Case("p16-set", "P16 SET, 50 clients", 50, 16, "set", 64, 1_600_000, False),
    Case("16k-get", "P1 GET 16 KiB, 50 clients", 50, 1, "get", 16384, 120_000, False),
    Case("16k-set", "P1 SET 16 KiB, 50 clients", 50, 1, "set", 16384, 120_000, False),
    Case("tls-p1", "TLS, P1 GET, 50 clients", 50, 1, "get", 64, 200_000, True),
    Case("tls-p16", "TLS, P16 GET, 50 clients", 50, 16, "get", 64, 1_200_000, True),
)

# A ratio respgate must keep: of what, to whom, on which side of the limit.
Target = namedtuple("Target", "case measure against limit at_least")
TARGETS = (
    Target("p1-50", "proxy_us", "nutcracker", 0.85, False),
    Target("p1-50", "proxy_us", "haproxy", 0.75, False),
    Target("p16-get", "proxy_us", "nutcracker", 0.5, False),
    Target("p16-get", "proxy_us", "haproxy", 0.95, False),
    Target("p16-set", "proxy_us", "nutcracker", 0.5, False),
    Target("p16-set", "proxy_us", "haproxy", 0.95, False),
    Target("tls-p1", "proxy_us", "haproxy", 0.7, False),
    Target("tls-p16", "proxy_us", "haproxy", 0.7, False),
    Target("p1-50", "rate", "direct", 1.0, True),
    Target("p1-1000", "rate", "direct", 1.0, True),
    Target("p1-50", "redis_us", "direct", 0.75, False),
)

Sample = namedtuple("Sample", "rate p50 p99 proxy_us redis_us")


def pinned(core, command):
    return command if core is None else ["taskset", "-c", str(core), *command]


def benchmark(field, party, case, requests):
    """One redis-benchmark run; its row of figures as a dict."""
    direct = party == "direct"
    port = field.redis_port if direct else field.programs[party].port
    command = ["redis-benchmark", "-h", "127.0.0.1", "-p", str(port), "-c", str(case.clients),
               "-P", str(case.pipeline), "-n", str(requests), "-d", str(case.size), "-t", case.command,
               "--csv", "--precision", "3"]
    if direct and case.tls:
        path = field.certificates.path
        command += ["--tls", "--cacert", path("ca.crt"), "--cert", path("client.crt"), "--key", path("client.key")]
    core = field.cores["direct" if direct else "benchmark"]
    run = subprocess.run(pinned(core, command), capture_output=True, text=True)
    lines = [line for line in run.stdout.splitlines() if line.startswith('"')]
    if run.returncode or len(lines) != 2:
        raise SystemExit(f"redis-benchmark through {party} failed:\n{run.stdout}{run.stderr}")
    return next(csv.DictReader(lines))


def measure(field, party, case, requests):
    watched = [field.programs[name].pid for name in ("redis", party) if name in field.programs]
    before = [cpu_seconds(pid) for pid in watched]
    row = benchmark(field, party, case, requests)
    used = [(cpu_seconds(pid) - start) * 1e6 / requests for pid, start in zip(watched, before)]
    return Sample(float(row["rps"]), float(row["p50_latency_ms"]), float(row["p99_latency_ms"]),
                  used[1] if len(used) > 1 else None, used[0])


def put_value(field, size):
    """What GET reads: redis-benchmark without -r uses this one key."""
    subprocess.run(["redis-cli", "-p", str(field.plain_port), "-x", "SET", "key:__rand_int__"],
                   input=b"x" * size, check=True, capture_output=True)


def run_rounds(field, parties, case, options, samples):
    """Every party once a round, the first one another each time, so that drift meets all alike."""
    requests = options.requests or (case.requests // 8 if options.quick else case.requests)
    put_value(field, case.size)
    for party in parties:
        benchmark(field, party, case, max(requests // 20, case.clients))  # buffers grown, links open
    for turn in range(options.rounds):
        shift = turn % len(parties)
        for party in parties[shift:] + parties[:shift]:
            samples.setdefault((case.name, party), []).append(measure(field, party, case, requests))
        print(f"{case.name}: round {turn + 1} of {options.rounds}", file=sys.stderr)


def median(samples, case, party, measure_name):
    return statistics.median(getattr(sample, measure_name) for sample in samples[case, party])


def ratios(samples, case, measure_name, against):
    """respgate / against, one for each round: what slowed both in a round does not show."""
    ours, theirs = samples.get((case, "respgate"), []), samples.get((case, against), [])
    return [getattr(a, measure_name) / getattr(b, measure_name) for a, b in zip(ours, theirs)]


def print_figures(cases, samples, out):
    print("| case | through | requests/s | p50 ms | p99 ms | proxy CPU us/request | Redis CPU us/request |", file=out)
    print("| --- | --- | ---: | ---: | ---: | ---: | ---: |", file=out)
    for case in cases:
        for party in PARTIES:
            if (case.name, party) not in samples:
                continue
            middle = {name: median(samples, case.name, party, name) for name in Sample._fields
                      if name != "proxy_us" or party != "direct"}
            proxy = f"{middle['proxy_us']:.2f}" if "proxy_us" in middle else ""
            print(f"| {case.title} | {party} | {middle['rate']:,.0f} | {middle['p50']:.3f} | {middle['p99']:.3f} "
                  f"| {proxy} | {middle['redis_us']:.2f} |", file=out)


def print_ratios(cases, samples, out):
    print("\n| respgate's share, case | proxy CPU / nutcracker | proxy CPU / HAProxy | requests/s / direct "
          "| Redis CPU / direct |", file=out)
    print("| --- | ---: | ---: | ---: | ---: |", file=out)
    columns = (("proxy_us", "nutcracker"), ("proxy_us", "haproxy"), ("rate", "direct"), ("redis_us", "direct"))
    for case in cases:
        cells = [ratios(samples, case.name, *column) for column in columns]
        print(f"| {case.title} | " + " | ".join(f"{statistics.median(cell):.2f}" if cell else "" for cell in cells)
              + " |", file=out)


def print_targets(samples, out):
    titles = {case.name: case.title for case in CASES}
    names = {"proxy_us": "proxy CPU per request", "rate": "requests/s", "redis_us": "Redis' CPU per request"}
    rows = [(target, ratios(samples, target.case, target.measure, target.against)) for target in TARGETS]
    rows = [(target, values) for target, values in rows if values]
    if rows:
        print("\n| target | limit | median | in the rounds | |\n| --- | ---: | ---: | --- | --- |", file=out)
    for target, values in rows:
        middle = statistics.median(values)
        met = middle >= target.limit if target.at_least else middle <= target.limit
        sign = ">=" if target.at_least else "<="
        print(f"| {titles[target.case]}: {names[target.measure]} / {target.against} | {sign} {target.limit:.2f} "
              f"| {middle:.2f} | {min(values):.2f} to {max(values):.2f} | {'met' if met else 'missed'} |", file=out)


def print_machine(options, out):
    with open("/proc/cpuinfo") as cpuinfo:
        model = next((line.split(":")[1].strip() for line in cpuinfo if line.startswith("model name")), "?")
    versions = []
    for command in (["redis-server", "--version"], ["/usr/sbin/haproxy", "-v"], ["/usr/sbin/nutcracker", "--version"]):
        run = subprocess.run(command, capture_output=True, text=True)
        versions.append((run.stdout + run.stderr).splitlines()[0])
    print(f"{model}, {os.cpu_count()} cores, Linux {platform.release()}; {'; '.join(versions)}; "
          f"{options.rounds} rounds, layout {options.layout}.\n", file=out)


def parse():
    parser = argparse.ArgumentParser(prog="bench/run.sh", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="one round of an eighth of the requests: is it plausible?")
    parser.add_argument("--rounds", type=int, help="default 5; with --quick 1")
    parser.add_argument("--cases", help="of " + ",".join(case.name for case in CASES))
    parser.add_argument("--parties", default=",".join(PARTIES), help="of " + ",".join(PARTIES))
    parser.add_argument("--requests", type=int, help="in every run, in place of the case's own number")
    parser.add_argument("--layout", choices=LAYOUTS, default="proxy", help="who runs on which core")
    parser.add_argument("--build", required=True, help="folder with the respgate to measure; default build-release")
    parser.add_argument("--output", help="also write the tables to this file")
    parser.add_argument("--no-memory", action="store_true", help="leave out the idle connections")
    options = parser.parse_args()
    options.rounds = options.rounds or (1 if options.quick else 5)
    options.cases = options.cases.split(",") if options.cases else [case.name for case in CASES]
    options.parties = options.parties.split(",")
    unknown = set(options.cases) - {case.name for case in CASES} | set(options.parties) - set(PARTIES)
    if unknown:
        parser.error("unknown: " + ", ".join(sorted(unknown)))
    if (os.cpu_count() or 1) < 2 and options.layout != "free":
        parser.error("pinning needs two cores; use --layout free")
    return options


def main():
    options = parse()
    binary = os.path.join(options.build, "respgate")
    if "respgate" in options.parties and not os.access(binary, os.X_OK):
        raise SystemExit(f"no {binary}")
    cases = [case for case in CASES if case.name in options.cases]
    samples = {}
    for tls in (False, True):
        if not any(case.tls == tls for case in cases):
            continue
        parties = [party for party in options.parties if not (tls and party == "nutcracker")]
        with Field(binary, LAYOUTS[options.layout], tls, parties) as field:
            for case in (case for case in cases if case.tls == tls):
                run_rounds(field, parties, case, options, samples)
    outputs = [sys.stdout] + ([open(options.output, "w")] if options.output else [])
    memory = None if options.no_memory else idle.measure(binary, options.parties, 1000 if options.quick else 10000)
    for out in outputs:
        print_machine(options, out)
        print_figures(cases, samples, out)
        if "respgate" in options.parties:
            print_ratios(cases, samples, out)
            print_targets(samples, out)
        if memory:
            idle.print_table(memory, out)


if __name__ == "__main__":
    main()
