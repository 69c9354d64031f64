#!/usr/bin/python3
"""idle.py - what an idle client costs a proxy in memory, before and after a burst of large pipelines."""

import argparse
import os
import socket
import sys
import time
from collections import namedtuple

from parties import Field, file_limit, haproxy_max_clients, resident_kib

PROXIES = ("respgate", "nutcracker", "haproxy")
PLACES = {"proxy": None, "redis": None, "benchmark": None}
TARGET_KIB = 2.0

# The burst: some of the idle clients each send this much at once and read all of it back.
BURST_CLIENTS = 100
BURST_COMMANDS = 400
BURST_VALUE = b"v" * 4096

Growth = namedtuple("Growth", "party clients start connected after_burst")


def settled(pid):
    """Resident memory once it has not fallen for two seconds: buffers may go back by a timer."""
    least, since = resident_kib(pid), time.monotonic()
    while time.monotonic() - since < 2:
        time.sleep(0.1)
        now = resident_kib(pid)
        if now < least:
            least, since = now, time.monotonic()
    return least


def ping(client):
    """A round trip, so that the proxy has surely accepted the client and its backend link."""
    client.sendall(b"*1\r\n$4\r\nPING\r\n")
    reply = client.recv(64)
    if reply != b"+PONG\r\n":
        raise SystemExit(f"PING was answered {reply!r}")


def connect(port, count):
    clients = []
    for _ in range(count):
        client = socket.create_connection(("127.0.0.1", port), 10)
        clients.append(client)
        if len(clients) % 100 == 0:  # in step with the proxy, whose backlog is finite
            ping(client)
    for client in clients:
        ping(client)
    return clients


def read_exactly(client, size):
    while size:
        got = client.recv(min(size, 1 << 20))
        if not got:
            raise SystemExit("the proxy closed a client in the burst")
        size -= len(got)


def burst(clients):
    """Each client writes a pipeline of SETs and GETs without reading, then reads it all."""
    key = b"bench:idle"
    value = b"$%d\r\n%s\r\n" % (len(BURST_VALUE), BURST_VALUE)
    key_part = b"$%d\r\n%s\r\n" % (len(key), key)
    sets = b"*3\r\n$3\r\nSET\r\n" + key_part + value
    gets = b"*2\r\n$3\r\nGET\r\n" + key_part
    for client in clients:
        client.sendall(sets * BURST_COMMANDS)
    for client in clients:
        read_exactly(client, len(b"+OK\r\n") * BURST_COMMANDS)
        client.sendall(gets * BURST_COMMANDS)
    for client in clients:
        read_exactly(client, len(value) * BURST_COMMANDS)


def measure_party(binary, party, count):
    with Field(binary, PLACES, names=[party]) as field:
        program = field.programs[party]
        for client in connect(program.port, 10):  # what first use allocates is not a client's cost
            client.close()
        start = settled(program.pid)
        clients = connect(program.port, count)
        connected = settled(program.pid)
        burst(clients[:min(BURST_CLIENTS, count)])
        after = settled(program.pid)
        for client in clients:
            client.close()
        return Growth(party, count, start, connected, after)


def measure(binary, parties=PROXIES, count=10000):
    if file_limit() < count + 500:
        raise SystemExit(f"{count} clients need more open files than the hard limit, {file_limit()}")
    rows = []
    for party in (party for party in PROXIES if party in parties):
        clients = min(count, haproxy_max_clients() - 20) if party == "haproxy" else count
        print(f"memory: {clients} idle clients of {party}", file=sys.stderr)
        rows.append(measure_party(binary, party, clients))
    return rows


def print_table(rows, out=sys.stdout):
    print("\n| idle clients | through | RSS before MiB | growth per client KiB | after a burst KiB | |", file=out)
    print("| ---: | --- | ---: | ---: | ---: | --- |", file=out)
    for row in rows:
        each = [(kib - row.start) / row.clients for kib in (row.connected, row.after_burst)]
        verdict = ""
        if row.party == "respgate":
            verdict = f"target <= {TARGET_KIB:.0f} KiB each: " + ("met" if max(each) <= TARGET_KIB else "missed")
        print(f"| {row.clients:,} | {row.party} | {row.start / 1024:.1f} | {each[0]:.2f} | {each[1]:.2f} | {verdict} |", file=out)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--build", default=os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "build-release"))
    parser.add_argument("--parties", default="respgate", help="of " + ",".join(PROXIES))
    parser.add_argument("--clients", type=int, default=10000)
    options = parser.parse_args()
    print_table(measure(os.path.join(options.build, "respgate"), options.parties.split(","), options.clients))


if __name__ == "__main__":
    main()
