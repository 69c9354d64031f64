"""Fixtures shared by tests/e2e and tests/wire."""
import os
import signal

import pytest

from .certs import Certs
from .servers import Direct, Gate, Redis
from .tap import Tap
from .waiting import FACTOR

TEST_SECONDS = 60
SLOW_SECONDS = 180


class Keeper:
    """Starts things, and ends all of them; a thing that ended badly fails the test."""

    def __init__(self, factory):
        self.factory = factory
        self.things = []

    def folder(self, name):
        return self.factory.mktemp(name)

    def add(self, thing):
        self.things.append(thing)
        return thing

    def stop(self):
        problems = []
        for thing in reversed(self.things):
            try:
                thing.stop()
            except AssertionError as error:
                problems.append(str(error))
        assert not problems, "\n".join(problems)


@pytest.fixture(autouse=True)
def time_limit(request):
    """No test hangs: SIGALRM raises in it."""
    seconds = SLOW_SECONDS if request.node.get_closest_marker("slow") else TEST_SECONDS

    def ring(*_):
        raise AssertionError(f"the test took longer than {seconds * FACTOR:g} s")

    before = signal.signal(signal.SIGALRM, ring)
    signal.alarm(int(seconds * FACTOR))
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


@pytest.fixture(scope="session")
def certs(tmp_path_factory):
    return Certs(tmp_path_factory.mktemp("certs"))


@pytest.fixture(scope="module")
def module_keeper(tmp_path_factory):
    keeper = Keeper(tmp_path_factory)
    yield keeper
    keeper.stop()


@pytest.fixture
def keeper(tmp_path_factory, request):
    keeper = Keeper(tmp_path_factory)
    request.node.keeper = keeper
    yield keeper
    keeper.stop()


@pytest.fixture(scope="module")
def module_store(module_keeper):
    return module_keeper.add(Redis(module_keeper.folder("store")))


@pytest.fixture
def store(module_store):
    """The module's Redis, empty."""
    if not module_store.process.alive():
        module_store.start()
    module_store.call("FLUSHALL")
    module_store.call("SCRIPT", "FLUSH")
    module_store.call("FUNCTION", "FLUSH")
    return module_store


@pytest.fixture(scope="module")
def gate_box():
    return {}


@pytest.fixture
def gate(request, module_keeper, store, gate_box):
    """The module's respgate with default settings in front of the module's Redis."""
    if request.config.getoption("--direct"):
        yield Direct(store)
        return
    if "gate" not in gate_box or not gate_box["gate"].alive():
        gate_box["gate"] = module_keeper.add(Gate(module_keeper.folder("gate"), store))
    gate = request.node.gate = gate_box["gate"]
    yield gate
    gate.check()


@pytest.fixture
def start_redis(keeper):
    def start(**options):
        return keeper.add(Redis(keeper.folder("redis"), **options))
    return start


@pytest.fixture
def start_gate(keeper, request):
    """Starts a respgate with settings of its own; such a test has no meaning without one."""
    if request.config.getoption("--direct"):
        pytest.skip("needs respgate")

    def start(redis=None, **options):
        return keeper.add(Gate(keeper.folder("gate"), redis, **options))
    return start


@pytest.fixture
def start_tap(keeper):
    def start(redis):
        return keeper.add(Tap(redis.port))
    return start


@pytest.fixture
def connect(gate):
    """Opens clients of the module's gate and closes them at the end."""
    clients = []

    def open_client(**options):
        clients.append(gate.client(**options))
        return clients[-1]
    yield open_client
    for client in clients:
        client.close()


@pytest.fixture
def client(connect):
    return connect()


def report_logs(item, report):
    """Adds the last lines of every process log to a failure."""
    things = list(getattr(getattr(item, "keeper", None), "things", []))
    if getattr(item, "gate", None):
        things.append(item.gate)
    for thing in things:
        process = getattr(thing, "process", None)
        if process is not None and os.path.exists(process.log_path):
            report.sections.append((f"log of {process.name}", process.log()[-6000:]))
