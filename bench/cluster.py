#!/usr/bin/python3
"""cluster.py - respgate in front of a cluster beside respgate in front of one Redis: CPU per request;
MGET over three nodes beside redis-py's own splitting client; the time from a promotion to the first
write that succeeds. Prints Markdown.

    bench/cluster.py --build DIR [--rounds N] [--requests N] [--failovers N]
"""

import argparse
import multiprocessing
import os
import shutil
import signal
import socket
import statistics
import subprocess
import tempfile
import time

from parties import ROOT, Program, cpu_seconds, free_port

NODE_TIMEOUT_MS = 1000


def redis(folder, *options):
    port = free_port()
    os.makedirs(os.path.join(folder, str(port)))
    return Program(folder, f"redis-{port}", [
        "redis-server", "--port", str(port), "--bind", "127.0.0.1", "--save", "",
        "--dir", os.path.join(folder, str(port)), *options], port, None)


def cluster_node(folder):
    return redis(folder, "--cluster-enabled", "yes", "--cluster-port", str(free_port()),
                 "--cluster-node-timeout", str(NODE_TIMEOUT_MS), "--cluster-require-full-coverage",
                 "no", "--repl-diskless-sync-delay", "0")


def cli(port, *words):
    return subprocess.run(["redis-cli", "-p", str(port), *words], check=True, capture_output=True,
                          text=True).stdout.strip()


def cluster(folder):
    nodes = [cluster_node(folder) for _ in range(6)]
    cli(nodes[0].port, "--cluster", "create", *(f"127.0.0.1:{node.port}" for node in nodes),
        "--cluster-replicas", "1", "--cluster-yes")
    while any("cluster_state:ok" not in cli(node.port, "CLUSTER", "INFO") for node in nodes):
        time.sleep(0.05)
    return nodes


def gate(build, folder, name, backend):
    port = free_port()
    path = os.path.join(folder, f"{name}.conf")
    with open(path, "w") as file:
        file.write(f"[proxy]\nlisten = 127.0.0.1:{port}\n[admin]\nconsole =\nhttp =\n"
                   f"[backend]\nurl = redis://127.0.0.1:{backend}\npark-timeout = 10s\n")
    os.chmod(path, 0o600)
    program = Program(folder, name, [os.path.join(build, "respgate"), "-c", path], port, None)
    while cli(port, "PING") != "PONG" or cli(port, "SET", "warm", "1") != "OK":
        time.sleep(0.05)
    return program


def cpu_per_request(program, requests, *options):
    before = cpu_seconds(program.pid)
    subprocess.run(["redis-benchmark", "-p", str(program.port), "-n", str(requests), "-d", "64",
                    "--csv", *options], check=True, capture_output=True)
    return (cpu_seconds(program.pid) - before) * 1e6 / requests


CASES = (
    ("P1 GET, 50 clients, random keys", 1, ("-c", "50", "-t", "get", "-r", "100000")),
    ("P1 SET, 50 clients, random keys", 1, ("-c", "50", "-t", "set", "-r", "100000")),
    ("P16 GET, 50 clients, one key", 8, ("-c", "50", "-P", "16", "-t", "get")),
    ("P16 SET, 50 clients, one key", 8, ("-c", "50", "-P", "16", "-t", "set")),
)


def compare_cpu(standalone, clustered, rounds, requests):
    print("| CPU of respgate, us a request | one Redis | cluster | ratio |")
    print("| --- | --- | --- | --- |")
    for title, times, options in CASES:
        samples = {standalone: [], clustered: []}
        for _ in range(rounds):
            for program, found in samples.items():
                found.append(cpu_per_request(program, requests * times, *options))
        one, many = (statistics.median(samples[program]) for program in (standalone, clustered))
        print(f"| {title} | {one:.2f} | {many:.2f} | {many / one:.2f} |")


MGET_KEYS = [f"m{i}" for i in range(10)]
MGET_CLIENTS = 4  # processes: a service has more than one connection


def mget_plain(port):
    import redis as library
    client = library.Redis(port=port)
    return lambda: client.mget(MGET_KEYS)


def mget_splitting(port):
    from redis.cluster import RedisCluster
    client = RedisCluster(host="127.0.0.1", port=port)
    return lambda: client.mget_nonatomic(*MGET_KEYS)


def mget_client(connect, port, seconds, done):
    call = connect(port)
    assert all(value is not None for value in call())
    count, began = 0, time.monotonic()
    while time.monotonic() < began + seconds:
        call()
        count += 1
    done.put(count / (time.monotonic() - began))


def mget_rate(connect, port, seconds=2.0):
    done = multiprocessing.Queue()
    clients = [multiprocessing.Process(target=mget_client, args=(connect, port, seconds, done))
               for _ in range(MGET_CLIENTS)]
    for client in clients:
        client.start()
    rate = sum(done.get() for _ in clients)
    for client in clients:
        client.join()
    return rate


def compare_mget(nodes, clustered, rounds):
    for key in MGET_KEYS:
        cli(clustered.port, "SET", key, "x" * 64)
    ways = {"through respgate": (mget_plain, clustered.port),
            "redis-py RedisCluster.mget_nonatomic": (mget_splitting, nodes[0].port)}
    rates = {name: [] for name in ways}
    for _ in range(rounds):
        for name, (connect, port) in ways.items():
            rates[name].append(mget_rate(connect, port))
    print(f"\n| MGET of 10 keys on 3 nodes, {MGET_CLIENTS} processes of redis-py | requests a second |")
    print("| --- | --- |")
    for name, found in rates.items():
        print(f"| {name} | {statistics.median(found):.0f} |")


def slot_key(nodes, port):
    """A key of the node on that port."""
    own = cli(nodes[0].port, "CLUSTER", "NODES")
    first = next(line.split()[8] for line in own.splitlines() if f":{port}@" in line)
    low, _, high = first.partition("-")
    for i in range(100000):
        slot = int(cli(port, "CLUSTER", "KEYSLOT", f"f{i}"))
        if int(low) <= slot <= int(high or low):
            return f"f{i}"
    raise SystemExit("no key found")


def encode(*words):
    return b"*%d\r\n" % len(words) + b"".join(
        b"$%d\r\n%s\r\n" % (len(w), w) for w in (str(word).encode() for word in words))


def failover(nodes, clustered):
    """Milliseconds from the replica being a primary to the first write that succeeds."""
    lines = [line.split() for line in cli(nodes[0].port, "CLUSTER", "NODES").splitlines()]
    victim_line = next(words for words in lines if "master" in words[2] and "myself" not in words[2])
    replica_line = next(words for words in lines if words[3] == victim_line[0])
    port_of = lambda words: int(words[1].split("@")[0].rsplit(":", 1)[1])
    victim = next(node for node in nodes if node.port == port_of(victim_line))
    replica = next(node for node in nodes if node.port == port_of(replica_line))
    key = slot_key(nodes, victim.port)
    client = socket.create_connection(("127.0.0.1", clustered.port))
    watcher = socket.create_connection(("127.0.0.1", replica.port))
    os.kill(victim.pid, signal.SIGKILL)
    victim.process.wait()
    while True: # the moment the replica takes writes itself
        watcher.sendall(encode("CLUSTER", "INFO"))
        watcher.recv(65536)
        watcher.sendall(encode("SET", key, "direct"))
        if watcher.recv(65536).startswith(b"+OK"):
            break
        time.sleep(0.001)
    promoted = time.monotonic()
    while True:
        client.sendall(encode("SET", key, "through"))
        if client.recv(65536).startswith(b"+OK"):
            break
    return (time.monotonic() - promoted) * 1000


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", default=os.path.join(ROOT, "build-release"))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--requests", type=int, default=60000)
    parser.add_argument("--failovers", type=int, default=3)
    options = parser.parse_args()
    folder = tempfile.mkdtemp(prefix="respgate-bench-")
    programs = []
    try:
        single = redis(folder)
        programs.append(single)
        nodes = cluster(folder)
        programs += nodes
        standalone = gate(options.build, folder, "standalone", single.port)
        clustered = gate(options.build, folder, "clustered", nodes[0].port)
        programs += [standalone, clustered]
        compare_cpu(standalone, clustered, options.rounds, options.requests)
        compare_mget(nodes, clustered, options.rounds)
        print("\n| failover | ms from the promotion to the first write |")
        print("| --- | --- |")
        if options.failovers:
            print(f"| a killed primary | {failover(nodes, clustered):.0f} |")
    finally:
        for program in reversed(programs):
            program.stop()
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
