"""Random mixtures of clients over a backend that stalls, dies and returns, with reloads: every
reply carries a tag only its client knows, so a reply that went to another shows at once."""
import random
import re
import signal
import socket
import threading
import time

import pytest

from harness.waiting import FACTOR
from harness.wire import Closed, Error, encode

SECONDS = 12
WORKERS = 16
SEED = 20
SOFT = re.compile("respgate|EXECABORT|LOADING|UNBLOCKED")


def soft(reply):
    """An error that a client may meet here, in the place of a reply."""
    return isinstance(reply, Error) and SOFT.search(reply)


class Worker(threading.Thread):
    """Client after client, each with a few steps chosen at random."""

    def __init__(self, number, gate, stop_at):
        super().__init__(daemon=True)
        self.random = random.Random(SEED * 1000 + number)
        self.number, self.gate, self.stop_at = number, gate, stop_at
        self.steps = [getattr(self, name) for name in sorted(dir(self)) if name.startswith("step_")]
        self.done = {step.__name__: 0 for step in self.steps}
        self.tags = 0
        self.wrong = []
        self.step = self.step_echo
        self.name_of_client = None

    def run(self):
        while time.monotonic() < self.stop_at and self.gate.alive():
            try:
                self.one_client()
            except (Closed, ConnectionError) as error:
                if not self.end_is_right(error):
                    self.wrong.append((self.step.__name__, "an early end", repr(error)))
            except Exception as error:  # pylint: disable=broad-except
                self.wrong.append((self.step.__name__, "an exception", repr(error)))

    def end_is_right(self, error):
        """Killed by another client; or its link died in the middle of a reply it has half of."""
        if self.name_of_client == "prey" and self.step != self.step_half_closed:
            return True
        return isinstance(error, Closed) and (
            self.step == self.step_big or "b'' left over" not in str(error))

    def one_client(self):
        client = self.gate.client(timeout=15)
        if self.random.random() < .4:
            client.call("HELLO 3")
        self.name_of_client = self.random.choice(["prey", "peer"])  # prey may be killed by others
        client.call("CLIENT", "SETNAME", self.name_of_client)
        for _ in range(self.random.randrange(1, 12)):
            self.step = self.random.choice(self.steps)
            self.tags += 1
            self.step(client, f"t{self.number}-{self.tags}-{self.random.getrandbits(30)}".encode())
            self.done[self.step.__name__] += 1
        self.random.choice([client.close, client.abort])()

    def check(self, wanted, got):
        if not soft(got) and got != wanted:
            self.wrong.append((self.step.__name__, repr(wanted)[:200], repr(got)[:200]))

    def replies(self, client, *commands):
        client.send(b"".join(encode(*command) for command in commands))
        return [client.read() for _ in commands]

    # -- what a client may do ---------------------------------------------------------------------

    def step_echo(self, client, tag):
        self.check(tag, client.call("ECHO", tag))

    def step_pipeline(self, client, tag):
        tags = [tag + b"-%d" % n for n in range(self.random.choice([2, 50, 1500]))]
        for wanted, got in zip(tags, self.replies(client, *(("ECHO", each) for each in tags))):
            self.check(wanted, got)

    def step_local_among_forwarded(self, client, tag):
        commands = [("ECHO", tag + b"-%d" % n) if n % 3 else ("CLIENT", "GETNAME")
                    for n in range(90)]
        name = self.name_of_client.encode()
        for command, got in zip(commands, self.replies(client, *commands)):
            self.check(command[1] if command[0] == "ECHO" else name, got)

    def step_multi(self, client, tag):
        *queued, result, after = self.replies(client, ("MULTI",), ("ECHO", tag),
                                              ("ECHO", tag + b"2"), ("EXEC",), ("ECHO", tag + b"3"))
        if not any(map(soft, queued)):
            self.check([b"OK", b"QUEUED", b"QUEUED"], queued)
            self.check([tag, tag + b"2"], result)
        self.check(tag + b"3", after)

    def step_watch(self, client, tag):
        replies = self.replies(client, ("WATCH", "k"), ("ECHO", tag), ("MULTI",), ("ECHO", tag),
                               ("EXEC",))
        self.check(tag, replies[1])
        if not any(map(soft, replies)) and replies[4] is not None:
            self.check([tag], replies[4])

    def step_blocking(self, client, tag):
        pushed, popped, after = self.replies(client, ("RPUSH", tag, tag), ("BLPOP", tag, "1"),
                                             ("ECHO", tag))
        if not soft(pushed):
            self.check([tag, tag], popped)
        self.check(tag, after)

    def step_blocking_in_vain(self, client, tag):
        popped, after = self.replies(client, ("BLPOP", tag, "0.05"), ("ECHO", tag))
        self.check(None, popped)
        self.check(tag, after)

    def step_subscribe(self, client, tag):
        with self.gate.client(timeout=15) as listener:
            try:
                self.listen(client, listener, tag)
            except (Closed, ConnectionError):
                pass  # its link died: as Redis would; and were it client, the next step tells

    def listen(self, client, listener, tag):
        first = listener.call("SUBSCRIBE", tag)
        self.check([b"subscribe", tag, 1], first)
        if soft(first):
            return
        client.call("PUBLISH", tag, tag)
        reply = listener.call("UNSUBSCRIBE")
        if isinstance(reply, list) and reply[0] == b"message":
            self.check([b"message", tag, tag], reply)
            reply = listener.read()
        self.check([b"unsubscribe", tag, 0], reply)
        if not soft(reply):  # else the message may still be on its way
            self.check(tag, listener.call("ECHO", tag))

    def step_big(self, client, tag):
        value = tag * self.random.randrange(1, 20000)
        stored, got = self.replies(client, ("SET", tag, value), ("GET", tag))
        if not soft(stored) and got is not None:  # a store that died has forgotten
            self.check(value, got)
        client.call("UNLINK", tag)

    def step_half_closed(self, _, tag):
        with self.gate.client(timeout=15) as other:
            other.send(encode("ECHO", tag) * 3)
            other.sock.shutdown(socket.SHUT_WR)
            for _ in range(3):
                self.check(tag, other.read())

    def step_abrupt(self, _, tag):
        """Gone in the middle of something, closed or reset."""
        other = self.gate.client()
        other.send(self.random.choice([
            encode("BLPOP", tag, "0"), encode("MULTI") + encode("SET", "k", "1"),
            encode("WATCH", "k"), encode("SUBSCRIBE", tag), encode("ECHO", tag) * 300,
            encode("ECHO", tag)[:9], encode("EVAL", "for i=1,100000 do end return 1", "0"),
            encode("BLPOP", tag, "0") + encode("MULTI") + encode("EXEC") + encode("SELECT", "1")]))
        time.sleep(self.random.random() * .02)
        self.random.choice([other.close, other.abort])()

    def step_kill_another(self, client, _):
        if self.random.random() < .3 and isinstance(listed := client.call("CLIENT LIST"), bytes):
            prey = re.findall(rb"id=(\d+) [^\n]* name=prey ", listed)
            if prey:
                client.call("CLIENT", "KILL", "ID", self.random.choice(prey))

    def step_select(self, client, tag):
        self.check(tag, self.replies(client, ("SELECT", self.random.randrange(4)),
                                     ("ECHO", tag))[1])

    def step_reset(self, client, tag):
        before, reset, after, _ = self.replies(client, ("ECHO", tag), ("RESET",), ("ECHO", tag),
                                               ("CLIENT", "SETNAME", self.name_of_client))
        self.check(tag, before)
        self.check(b"RESET", reset)
        self.check(tag, after)

    def step_script(self, client, tag):
        self.check(tag, client.call("EVAL", "return ARGV[1]", "0", tag))

    def step_reply_skip(self, client, tag):
        client.send(encode("CLIENT", "REPLY", "SKIP") + encode("ECHO", "no") + encode("ECHO", tag))
        self.check(tag, client.read())


def disturb(chance, gate, redis):
    """Something that happens to a backend, or an operator does."""
    what = chance.choice(["reload", "stall", "die", "cut", "nothing"])
    if what == "reload":
        gate.process.signal(signal.SIGHUP)
    elif what == "stall":
        redis.process.stop_running()
        time.sleep(chance.uniform(.1, 1.2))
        redis.process.continue_running()
    elif what == "die":
        redis.kill()
        time.sleep(chance.uniform(0, .4))
        redis.start()
    elif what == "cut":
        redis.call("CLIENT KILL TYPE normal")


@pytest.mark.parametrize("threads", [1, 2])
def test_nobody_gets_what_is_anothers(start_gate, start_redis, threads):
    redis = start_redis()
    gate = start_gate(redis, proxy={"threads": threads}, log={"level": "info"},
                      backend={"dial-rate": "500/s", "request-timeout": "700ms"})
    stop_at = time.monotonic() + SECONDS / 2
    workers = [Worker(number, gate, stop_at) for number in range(WORKERS)]
    chance = random.Random(SEED + threads)
    for worker in workers:
        worker.start()
    while time.monotonic() < stop_at and gate.alive():
        time.sleep(chance.uniform(.2, .8))
        disturb(chance, gate, redis)
    for worker in workers:
        worker.join(20 * FACTOR)
        assert not worker.is_alive(), "a client waits for a reply that does not come"
    gate.check()
    assert not [wrong for worker in workers for wrong in worker.wrong]
    for name in workers[0].done:
        assert sum(worker.done[name] for worker in workers), f"{name} has never been to its end"
