"""The same commands to Redis directly and through respgate: every reply byte must be equal."""
import threading
from random import Random

import pytest

from forms import FORMS, fill
from harness.servers import Redis
from harness.wire import encode

BATCH = 40


# Small hashes and sorted sets must stay lists: the order of a hash table hangs on a random seed.
ORDERED = {"hash_max_listpack_value": 4096, "zset_max_listpack_value": 4096}


@pytest.fixture(scope="module")
def module_store(module_keeper):
    return module_keeper.add(Redis(module_keeper.folder("store"), **ORDERED))


@pytest.fixture(scope="module")
def reference(module_keeper):
    return module_keeper.add(Redis(module_keeper.folder("reference"), **ORDERED))


@pytest.fixture
def pair(store, reference, gate):
    """A client of each: straight to one Redis, through respgate to another."""
    reference.call("FLUSHALL")
    for each in store, reference:
        each.call("SCRIPT", "LOAD", "return(1)")
    opened = []

    def both():
        clients = reference.client(), gate.client()
        opened.extend(clients)
        return clients
    yield both
    for client in opened:
        client.close()


def pieces(random, length):
    if random.random() < 0.4:
        return []
    return [random.randrange(length) for _ in range(random.randrange(1, 12))]


# What concerns the connection itself is not as direct inside MULTI, see test_transactions.py.
QUEUED_FORMS = [form for form in FORMS if not form.startswith(("CLIENT ", "SELECT "))]


def some(random, prefix, count, forms=FORMS):
    return [fill(random.choice(forms), random, prefix) for _ in range(count)]


def batch(random, prefix):
    """Some commands, now and then with a transaction in the middle."""
    if random.random() > 0.3:
        return some(random, prefix, BATCH)
    return [*some(random, prefix, BATCH // 2), [b"MULTI"],
            *some(random, prefix, random.randrange(10), QUEUED_FORMS),
            random.choice([[b"EXEC"], [b"DISCARD"]]), *some(random, prefix, 5), [b"DISCARD"]]


def compare(clients, commands, random):
    """Sends one pipeline to both, differently cut, and compares reply by reply."""
    direct, through = clients
    data = b"".join(encode(*command) for command in commands)
    direct.send(data)
    through.send_pieces(data, pieces(random, len(data)))
    for position, command in enumerate(commands):
        expected, got = direct.raw(), through.raw()
        assert got == expected, (
            f"{command!r}, number {position} of its pipeline: "
            f"Redis says {expected[:300]!r}, respgate {got[:300]!r}; before it: "
            f"{commands[max(0, position - 6):position]!r}")


def speak(clients, protocol):
    for each in clients:
        hello = each.call("HELLO", protocol)
        assert b"proto" in hello, hello


def run(clients, protocol, seed, batches, prefix):
    random = Random(seed)
    speak(clients, protocol)
    for _ in range(batches):
        compare(clients, batch(random, prefix), random)


@pytest.mark.parametrize("protocol", [2, 3])
@pytest.mark.parametrize("seed", range(4))
def test_random_commands_are_answered_alike(pair, protocol, seed):
    run(pair(), protocol, f"{protocol}-{seed}", 150, f"k-{protocol}-{seed}:")


def test_several_clients_at_once(pair):
    """Each with keys of its own, so that order between clients does not matter."""
    failures = []

    def work(number, clients):
        try:
            run(clients, 2 + number % 2, f"many-{number}", 80, f"own{number}:")
        except BaseException as error:  # noqa: BLE001 - reported by the test's thread
            failures.append(f"client {number}: {error}")

    threads = [threading.Thread(target=work, args=(number, pair())) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures, "\n".join(failures)


@pytest.mark.parametrize("protocol", [2, 3])
def test_every_form_alone(pair, protocol):
    """No form is left to chance."""
    clients = pair()
    random = Random(7)
    speak(clients, protocol)
    for form in FORMS:
        compare(clients, [fill(form, random, f"alone-{protocol}:") for _ in range(3)], random)


def wrong_arities(store):
    """Every command and subcommand with too few and too many arguments."""
    for entry in store.call("COMMAND"):
        subcommands = [] if len(entry) < 10 else entry[9]
        for name, arity in [(entry[0], entry[1]), *((sub[0], sub[1]) for sub in subcommands)]:
            words = name.split(b"|")
            for count in {arity + 1, arity - 1} if arity > 0 else {-arity - 1}:
                if count >= len(words):
                    yield [*words, *([b"1"] * (count - len(words)))]


def test_wrong_number_of_arguments(pair, store):
    commands = list(wrong_arities(store))
    assert len(commands) > 350
    clients = pair()
    for command in commands:
        compare(clients, [command], Random(1))


def test_wrong_arity_in_a_transaction(pair, store):
    clients = pair()
    for command in wrong_arities(store):
        compare(clients, [[b"MULTI"], command, [b"EXEC"]], Random(1))


def test_help_texts(pair, store):
    """Containers answer HELP; through respgate the same, also where it answers other
    subcommands itself (CLIENT, COMMAND)."""
    clients = pair()
    for entry in store.call("COMMAND"):
        if any(sub[0].endswith(b"|help") for sub in entry[9]):
            compare(clients, [[entry[0], b"HELP"], [entry[0], b"nonsense"]], Random(1))
