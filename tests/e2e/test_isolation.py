"""No reply reaches the wrong client: every request carries a tag and so must its reply.

The worst thing a proxy with shared links can do. Many clients of all kinds at once; some leave
with requests in flight, are killed, or outlast a request timeout.
"""
import asyncio
from random import Random

import pytest

from harness.waiting import FACTOR
from harness.wire import encode


class Stream:
    """A connection in asyncio. Replies as nested values, like harness.wire but awaiting."""

    def __init__(self, reader, writer):
        self.reader, self.writer = reader, writer

    @classmethod
    async def open(cls, port):
        return cls(*await asyncio.open_connection("127.0.0.1", port, limit=1 << 22))

    async def read(self):
        line = (await self.reader.readuntil(b"\r\n"))[:-2]
        kind, rest = line[:1], line[1:]
        if kind == b"$":
            return None if rest == b"-1" else (await self.reader.readexactly(int(rest) + 2))[:-2]
        if kind == b"*":
            return None if rest == b"-1" else [await self.read() for _ in range(int(rest))]
        if kind == b":":
            return int(rest)
        assert kind in b"+-", line
        return line

    def send(self, *commands):
        self.writer.write(b"".join(encode(*command) for command in commands))

    async def call(self, *command):
        self.send(command)
        return await self.read()

    def leave(self, abruptly):
        if abruptly:
            self.writer.transport.abort()
        else:
            self.writer.close()


class Tagger:
    """One client's endless variety. Each step is (commands, expected replies)."""

    def __init__(self, number, random):
        self.number, self.random, self.count = number, random, 0

    def tag(self):
        self.count += 1
        return f"tag-{self.number}-{self.count}-" + "x" * self.random.choice([0, 0, 0, 10, 2000, 70_000])

    def step(self):
        tag = self.tag()
        data = tag.encode()
        key = f"key-{self.number}-{self.random.randrange(5)}"
        kinds = [
            ([("ECHO", tag)], [data]),
            ([("SET", key, tag), ("GET", key)], [b"+OK", data]),
            ([("PING", tag)], [data]),
            ([("SET", key, tag), ("MGET", key, "none", key)], [b"+OK", [data, None, data]]),
            ([("MULTI",), ("ECHO", tag), ("SET", key, tag), ("GET", key), ("EXEC",)],
             [b"+OK", b"+QUEUED", b"+QUEUED", b"+QUEUED", [data, b"+OK", data]]),
            ([("DEL", key), ("WATCH", key), ("MULTI",), ("SET", key, tag), ("EXEC",), ("GET", key)],
             [..., b"+OK", b"+OK", b"+QUEUED", [b"+OK"], data]),
            ([("DEL", key + "l"), ("RPUSH", key + "l", tag), ("BLPOP", key + "l", "5")],
             [..., 1, [(key + "l").encode(), data]]),
            ([("EVAL", "return ARGV[1]", "0", tag)], [data]),
            ([("NONSENSE", tag[:50])],
             [b"-ERR unknown command 'NONSENSE', with args beginning with: '" + data[:50] + b"' "]),
            ([("CLIENT", "REPLY", "SKIP"), ("ECHO", "nobody"), ("ECHO", tag)], [data]),
            ([("SELECT", str(self.number % 16)), ("SET", key, tag), ("GET", key), ("SELECT", "0")],
             [b"+OK", b"+OK", data, b"+OK"]),
        ]
        return self.random.choice(kinds)


def matches(reply, expected):
    return expected is ... or reply == expected


async def steady(port, number, rounds, failures, random):
    """Random pipelining depths, everything checked."""
    stream = await Stream.open(port)
    tagger = Tagger(number, random)
    for _ in range(rounds):
        steps = [tagger.step() for _ in range(random.randrange(1, 20))]
        for commands, _ in steps:
            stream.send(*commands)
        for commands, expected in steps:
            for wanted in expected:
                reply = await stream.read()
                if not matches(reply, wanted):
                    failures.append(f"client {number}: {str(commands)[:200]} got "
                                    f"{str(reply)[:200]}, expected {str(wanted)[:200]}")
                    return
        await asyncio.sleep(0)
    stream.leave(False)


async def restless(port, number, rounds, random):
    """Leaves with requests in flight, again and again."""
    tagger = Tagger(number, random)
    for _ in range(rounds):
        stream = await Stream.open(port)
        for _ in range(random.randrange(1, 10)):
            stream.send(*tagger.step()[0])
        if random.random() < 0.3:
            stream.send(("BLPOP", "none", "0"))
        if random.random() < 0.3:
            stream.send(("SUBSCRIBE", "noise"))
        if random.random() < 0.3:
            stream.writer.write(b"*3\r\n$3\r\nSET\r\n$3\r\nhal")
        if random.random() < 0.5:
            await asyncio.sleep(random.random() * 0.01)
        stream.leave(random.random() < 0.7)


async def listener(port, number, messages, failures):
    """Subscribed to a channel of its own: only what was said there may arrive."""
    stream = await Stream.open(port)
    channel = f"channel-{number}".encode()
    await stream.call("SUBSCRIBE", channel)
    speaker = await Stream.open(port)
    for count in range(messages):
        await speaker.call("PUBLISH", channel, f"message-{number}-{count}")
        reply = await stream.read()
        if reply != [b"message", channel, f"message-{number}-{count}".encode()]:
            failures.append(f"listener {number} got {reply!r}")
            return
    stream.leave(True)
    speaker.leave(True)


async def killer(port, rounds, random):
    """Lets victims be killed in the middle of a pipeline."""
    own = await Stream.open(port)
    for turn in range(rounds):
        victim = await Stream.open(port)
        number = await victim.call("CLIENT", "ID")
        tagger = Tagger(90_000 + turn, random)
        for _ in range(5):
            victim.send(*tagger.step()[0])
        await own.call("CLIENT", "KILL", "ID", str(number))
        try:
            while True:
                await victim.read()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        victim.leave(False)
    own.leave(False)


def crowd(port, *, steadies=25, restlesses=10, listeners=6, rounds=25, seed=1):
    async def main():
        failures = []
        tasks = [steady(port, n, rounds, failures, Random(f"{seed}-{n}")) for n in range(steadies)]
        tasks += [restless(port, 1000 + n, rounds, Random(f"{seed}-r{n}")) for n in range(restlesses)]
        tasks += [listener(port, 2000 + n, rounds * 2, failures) for n in range(listeners)]
        tasks.append(killer(port, rounds, Random(f"{seed}-k")))
        await asyncio.wait_for(asyncio.gather(*tasks), 50 * FACTOR)
        return failures
    failures = asyncio.run(main())
    assert not failures, "\n".join(failures)


# The crowd wants many new links at once, which is not what is tested here.
PATIENT = {"dial-rate": "1000/s", "park-timeout": "20s"}


def test_a_crowd_straight_to_redis(store):
    """That the crowd itself expects what Redis does."""
    crowd(store.port)


@pytest.mark.parametrize("seed", range(3))
def test_a_crowd(start_gate, store, seed):
    crowd(start_gate(store, backend=PATIENT).port, seed=seed)


@pytest.mark.parametrize("settings", [
    {"proxy": {"threads": 2}}, {"backend": {"links": 3}}, {"backend": {"max-pinned-links": 14}}],
    ids=["two threads", "three links", "few pinned links"])
def test_a_crowd_under_other_settings(start_gate, store, settings):
    gate = start_gate(store, proxy=settings.get("proxy"),
                      backend={**PATIENT, **settings.get("backend", {})})
    crowd(gate.port, seed=9, rounds=15)


def test_late_replies_reach_nobody(start_gate, start_redis):
    """The store stops again and again for longer than request-timeout. Each reply carries its tag
    or says that there was none; never somebody else's tag."""
    redis = start_redis()
    gate = start_gate(redis, backend={"request-timeout": "60ms", "park-timeout": "100ms"})
    clients = [gate.client() for _ in range(12)]
    random = Random(3)
    count = timeouts = 0
    for turn in range(25):
        expected = {}
        stop = turn % 2 == 0
        if stop:
            redis.process.stop_running()
        for client in clients:
            tags = []
            for _ in range(random.randrange(1, 8)):
                count += 1
                tags.append(f"tag-{count}-" + "y" * random.choice([0, 5, 3000]))
            client.send(b"".join(encode("ECHO", tag) for tag in tags))
            expected[client] = tags
        for position, client in enumerate(clients):
            for tag in expected[client]:
                reply = client.read()
                if reply == tag.encode():
                    continue
                assert reply.startswith("ERR respgate:"), f"expected {tag[:30]}, got {reply[:60]!r}"
                timeouts += 1
            if stop and position == 5 and turn % 4 == 0:
                redis.process.continue_running()
        if stop:
            redis.process.continue_running()
    assert timeouts > 20
    for client in clients:
        client.sock.settimeout(10 * FACTOR)
        reply = client.call("ECHO", "end")
        assert reply == b"end" or reply.startswith("ERR respgate:")


def test_killed_in_flight_while_the_store_is_slow(start_gate, store):
    gate = start_gate(store, backend={"request-timeout": "5s"})
    control, bystander = gate.client(), gate.client()
    for turn in range(10):
        victims = [gate.client() for _ in range(5)]
        ids = [victim.call("CLIENT ID") for victim in victims]
        with store.client() as direct:
            direct.send(encode("DEBUG", "SLEEP", "0.03"))
            for number, victim in enumerate(victims):
                victim.send(encode("ECHO", f"victim-{turn}-{number}") * 3)
            bystander.send(encode("ECHO", f"bystander-{turn}"))
            for each in ids[:3]:
                control.call("CLIENT", "KILL", "ID", each)
            victims[3].abort()
            assert bystander.read() == b"bystander-%d" % turn
            assert victims[4].read() == b"victim-%d-4" % turn
            direct.read()
    gate.check()
