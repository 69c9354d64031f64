#!/usr/bin/python3
"""generate.py - writes include/respgate/commands.def from the COMMAND reply of a live Redis 7.

    /usr/bin/python3 src/command/generate.py [redis-server] > include/respgate/commands.def

Starts the server itself, on a free port in a temporary folder. tests/drift/test_commands.py
compares the result with a live server, so run this again when a new base version is adopted.
"""
import contextlib
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import textwrap
import time

import redis

HEAD = """\
/* commands.def - every command of Redis {version}, written by src/command/generate.py: do not edit.
 *
 *   COMMAND(id, name, arity, flags, categories, request policy, response policy, keys, place)
 *
 * F() is a flag, C() an ACL category, K() a flag of a key specification. Keys are NO_KEYS or a
 * list: AT(first argument), AFTER(keyword, where its search starts) or UNKNOWN_KEYS, then
 * RANGE(last, step, limit) or KEYNUM(where the number is, first key, step). Place: TOP,
 * WITH_SUBCOMMANDS(how many follow right behind) or PART_OF(container). */
"""


@contextlib.contextmanager
def live_server(binary="redis-server"):
    """A connection to a fresh server whose replies come as they are on the wire."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    folder = tempfile.mkdtemp(prefix="respgate-commands-")
    process = subprocess.Popen([binary, "--port", str(port), "--dir", folder, "--save", ""],
                               stdout=subprocess.DEVNULL)
    try:
        yield connect(port)
    finally:
        process.kill()
        process.wait()
        shutil.rmtree(folder)


def connect(port):
    deadline = time.monotonic() + 10
    while True:
        connection = redis.connection.Connection(port=port)
        try:
            connection.connect()
            return connection
        except redis.ConnectionError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.02)


def call(connection, *args):
    connection.send_command(*args)
    return connection.read_response()


def text(value):
    return value.decode() if isinstance(value, bytes) else value


def pairs(flat):
    return {text(flat[i]): flat[i + 1] for i in range(0, len(flat), 2)}


def read_spec(flat):
    """A key specification as (flags, begin type, begin values, find type, find values)."""
    spec = pairs(flat)
    begin, find = pairs(spec["begin_search"]), pairs(spec["find_keys"])
    return (sorted(map(text, spec["flags"])),
            text(begin["type"]), {k: text(v) for k, v in pairs(begin["spec"]).items()},
            text(find["type"]), {k: text(v) for k, v in pairs(find["spec"]).items()})


def read_row(row):
    name, arity, flags, _, _, _, categories, tips, specs, subcommands = row
    policies = dict(tip.split(":", 1) for tip in map(text, tips) if ":" in tip)
    return {
        "name": text(name).lower(),
        "arity": arity,
        "flags": [text(flag) for flag in flags],
        "categories": [text(category).lstrip("@") for category in categories],
        "request": policies.get("request_policy", "default"),
        "response": policies.get("response_policy", "default"),
        "specs": [read_spec(spec) for spec in specs],
        "subcommands": sorted(map(read_row, subcommands), key=lambda sub: sub["name"]),
    }


def read_commands(connection):
    return sorted(map(read_row, call(connection, "COMMAND")), key=lambda row: row["name"])


def identifier(name):
    return re.sub(r"[^A-Z0-9]", "_", name.upper())


def joined(letter, names):
    return " | ".join(f"{letter}({identifier(name)})" for name in names) or "0"


def show_spec(spec):
    flags, begin, at, find, how = spec
    if begin == "unknown" or find == "unknown":
        return f"UNKNOWN_KEYS({joined('K', flags)})"
    start = f"AT({at['index']})" if begin == "index" else \
        f"AFTER(\"{at['keyword'].lower()}\", {at['startfrom']})"
    keys = f"RANGE({how['lastkey']}, {how['keystep']}, {how['limit']})" if find == "range" else \
        f"KEYNUM({how['keynumidx']}, {how['firstkey']}, {how['keystep']})"
    return f"SPEC({joined('K', flags)}, {start}, {keys})"


def show_row(row, container=None):
    keys = ", ".join(map(show_spec, row["specs"]))
    place = f"PART_OF({container})" if container else \
        f"WITH_SUBCOMMANDS({len(row['subcommands'])})" if row["subcommands"] else "TOP"
    columns = [identifier(row["name"]), f'"{row["name"]}"', str(row["arity"]),
               joined("F", row["flags"]), joined("C", row["categories"]),
               identifier(row["request"]), identifier(row["response"]),
               f"KEYS({keys})" if keys else "NO_KEYS", place]
    lines = textwrap.wrap(f"COMMAND({', '.join(columns)})", 99, subsequent_indent=" " * 8,
                          break_on_hyphens=False, break_long_words=False)
    return "\n".join(lines) + "\n"


def main():
    binary = sys.argv[1] if len(sys.argv) > 1 else "redis-server"
    with live_server(binary) as connection:
        info = text(call(connection, "INFO", "server"))
        version = re.search(r"redis_version:(\S+)", info).group(1)
        rows = read_commands(connection)
    sys.stdout.write(HEAD.format(version=version))
    for row in rows:
        sys.stdout.write(show_row(row))
        for sub in row["subcommands"]:
            sys.stdout.write(show_row(sub, identifier(row["name"])))


if __name__ == "__main__":
    main()
