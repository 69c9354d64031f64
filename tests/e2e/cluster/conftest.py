"""One cluster for all tests of this folder: it takes seconds to start. What a test does to it is
undone before the next."""
import pytest

from harness.cluster import Cluster
from harness.servers import Gate


@pytest.fixture(scope="session")
def session_cluster(tmp_path_factory, certs):
    cluster = Cluster(tmp_path_factory.mktemp("cluster"), certs)
    yield cluster
    cluster.stop()


@pytest.fixture
def cluster(session_cluster):
    """Whole and empty."""
    session_cluster.heal()
    session_cluster.flush()
    return session_cluster


class Doors:
    """Starts respgates in front of the cluster and ends them."""

    def __init__(self, factory, cluster):
        self.factory, self.cluster, self.gates = factory, cluster, []

    def start(self, backend=None, url=None, **options):
        gate = Gate(self.factory.mktemp("gate"), url=url or self.cluster.url(),
                    backend={**self.cluster.backend(), "dial-rate": "1000/s", **(backend or {})},
                    **options)
        gate.cluster = self.cluster
        self.gates.append(gate)
        return gate

    def stop(self):
        problems = []
        for gate in self.gates:
            try:
                gate.stop()
            except AssertionError as error:
                problems.append(str(error))
        assert not problems, "\n".join(problems)


@pytest.fixture
def start_door(request, tmp_path_factory, cluster):
    if request.config.getoption("--direct"):
        pytest.skip("needs respgate")
    doors = Doors(tmp_path_factory, cluster)
    yield doors.start
    doors.stop()


@pytest.fixture(scope="module")
def module_doors(request, tmp_path_factory, session_cluster):
    if request.config.getoption("--direct"):
        pytest.skip("needs respgate")
    doors = Doors(tmp_path_factory, session_cluster)
    yield doors
    doors.stop()


@pytest.fixture
def door(request, module_doors, cluster):
    """The module's respgate with default settings."""
    if not module_doors.gates or not module_doors.gates[0].alive():
        module_doors.gates.clear()
        module_doors.start()
    request.node.gate = module_doors.gates[0]
    yield request.node.gate
    request.node.gate.check()


@pytest.fixture
def client(door):
    with door.client() as client:
        yield client
