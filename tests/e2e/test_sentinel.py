"""mode = sentinel: the master is where the sentinels say, and a switch costs clients no connection."""
import threading
import time

import pytest

from harness.process import free_port
from harness.sentinels import DOWN_AFTER_MS, Sentinel, Watched
from harness.servers import run_binary
from harness.waiting import FACTOR, wait_until

pytestmark = pytest.mark.needs_gate
AWAY = "ERR respgate: backend redis is unavailable"
MAY_HAVE_RUN = "may have run"


class Load:
    """Writes and reads of one connection, until stopped. What a replica has confirmed (WAIT) must
    survive; a reply must be that of its request; the connection must stay."""

    def __init__(self, gate, name):
        self.gate, self.name = gate, name
        self.safe, self.errors, self.wrong = {}, [], []
        self.written_at = []
        self.over = threading.Event()
        self.thread = threading.Thread(target=self.run)
        self.thread.start()

    def run(self):
        try:
            with self.gate.client(timeout=30) as client:
                n = 0
                while not self.over.is_set():
                    n += 1
                    self.step(client, f"{self.name}:{n}", b"%d" % n)
        except Exception as error:  # noqa: BLE001 - a lost connection is the finding
            self.wrong.append(repr(error))

    def step(self, client, key, value):
        reply = client.call("SET", key, value)
        if reply != b"OK":
            self.errors.append(str(reply))
            return
        self.written_at.append(time.monotonic())
        if client.call("WAIT", "1", "200") == 1:
            self.safe[key] = value
        read = client.call("GET", key)
        if read not in (value, None) and not str(read).startswith("ERR respgate"):
            self.wrong.append(f"GET {key}: {read!r}")

    def stop(self):
        self.over.set()
        self.thread.join()


def follow(gate, watched, lose):
    """Load, a master that is lost, and what came of it."""
    loads = [Load(gate, f"load{i}") for i in range(3)]
    wait_until(lambda: all(len(load.safe) > 20 for load in loads), "the load to run", 20)
    lose()
    lost = time.monotonic() + DOWN_AFTER_MS / 2000  # nobody takes over sooner
    switched = watched.switched()
    wait_until(lambda: all(load.written_at[-1] > lost for load in loads),
               "writes at the new master", 10)
    first = max(min(t for t in load.written_at if t > lost) for load in loads) - switched
    for load in loads:
        load.stop()
        assert not load.wrong, load.wrong
        assert all(AWAY in text or MAY_HAVE_RUN in text for text in load.errors), load.errors
        for key, value in load.safe.items():
            assert watched.replica.call("GET", key) == value, key
    return first


@pytest.mark.parametrize("how", ["kill", "stop"])
def test_a_lost_master_is_followed_within_a_second(start_gate, keeper, how):
    watched = Watched(keeper)
    gate = start_gate(watched.master, backend=watched.backend(), proxy={"threads": "2"})
    lost = watched.master.process.kill if how == "kill" else watched.master.process.stop_running
    seconds = follow(gate, watched, lost)
    print(f"all write again {seconds * 1000:+.0f} ms after a majority of sentinels had switched")
    assert seconds < 1 * FACTOR
    if how == "stop":  # it wakes up as a master, and nobody writes to it
        watched.master.process.continue_running()
        wait_until(lambda: watched.master.info("role") == "slave", "its demotion", 20)
        with gate.client() as client:
            client.ok("SET after 1")
            assert watched.replica.call("GET", "after") == b"1"


def test_a_node_that_is_no_master_is_not_written_to(start_gate, keeper):
    """A sentinel that is wrong: it names a replica."""
    watched = Watched(keeper, sentinels=1)
    lonely = keeper.add(Sentinel(keeper.folder("wrong"), watched.replica.port, quorum=1))
    gate = start_gate(watched.master, backend={**watched.backend(),
                                               "sentinels": f"127.0.0.1:{lonely.port}"})
    with gate.client() as client:
        assert client.call("GET k") == AWAY
    gate.wait_log("the node says that it is no master")


def test_without_sentinels_the_last_known_master_stays(start_gate, keeper):
    watched = Watched(keeper, sentinels=1)
    gate = start_gate(watched.master, backend=watched.backend(**{"connect-timeout": "300ms"}))
    with gate.client() as client:
        client.ok("SET k v")
        watched.sentinels[0].process.kill()
        gate.wait_log("none of 1 sentinels answers .*the last known master stays", timeout=10)
        assert client.call("GET k") == b"v"
        watched.sentinels[0].start()
        gate.wait_log("sentinels answer again", timeout=10)
        assert gate.process.log().count("none of 1 sentinels answers") == 1


def test_a_wrong_name_is_told_once(start_gate, keeper):
    watched = Watched(keeper, sentinels=1)
    gate = start_gate(watched.master, backend={**watched.backend(), "master-name": "other"})
    with gate.client() as client:
        assert client.call("GET k") == AWAY
        assert client.call("GET k") == AWAY
    text = "does not tell where master 'other' is"
    gate.wait_log(text)
    assert gate.process.log().count(text) == 1


def test_sentinels_with_a_password(start_gate, keeper, tmp_path):
    watched = Watched(keeper, sentinels=1, password="geheim")
    secret = tmp_path / "secret"
    secret.write_text("geheim\n")
    secret.chmod(0o600)
    gate = start_gate(watched.master, backend=watched.backend(**{"sentinel-password-file": secret}))
    with gate.client() as client:
        client.ok("SET k v")
    none = start_gate(watched.master, backend=watched.backend())
    none.wait_log("NOAUTH", timeout=10)


def test_names_instead_of_addresses(start_gate, keeper):
    """Sentinels that announce host names: the name is looked up at each dial."""
    watched = Watched(keeper, sentinels=1, lines=("sentinel resolve-hostnames yes",
                                                  "sentinel announce-hostnames yes"))
    one = watched.sentinels[0]
    one.call("SENTINEL", "REMOVE", "mymaster")
    one.call("SENTINEL", "MONITOR", "mymaster", "localhost", str(watched.master.port), "1")
    gate = start_gate(watched.master, backend=watched.backend())
    with gate.client() as client:
        client.ok("SET k v")
    gate.wait_log("master 'mymaster' is at localhost")


def test_a_reload_moves_to_a_master_behind_sentinels_and_back(start_gate, start_redis, keeper):
    watched = Watched(keeper, sentinels=1)
    alone = start_redis()
    gate = start_gate(alone, backend={"dial-rate": "200/s"}, proxy={"threads": "2"})
    with gate.client() as client, gate.client() as other:
        client.ok("SET k alone")
        gate.reload(backend=watched.backend(), expect="moved to the new backend")
        client.ok("SET k watched")
        assert other.call("GET k") == watched.master.call("GET", "k") == b"watched"
        gate.reload(text=gate.config_text().replace("mode = sentinel", "mode = standalone"),
                    expect="moved to the new backend")
        assert client.call("GET k") == b"alone"


def test_what_belongs_together_is_checked(tmp_path):
    config = tmp_path / "respgate.conf"
    config.write_text("[backend]\nmode = sentinel\n")
    config.chmod(0o600)
    code, out, err = run_binary("-t", "-c", config)
    assert code == 1
    assert "'mode = sentinel' needs sentinels" in out + err
    assert "'mode = sentinel' needs master-name" in out + err
    config.write_text(f"[backend]\nsentinels = 127.0.0.1:{free_port()}\n")
    code, out, err = run_binary("-t", "-c", config)
    assert code == 0 and "'sentinels' means nothing without 'mode = sentinel'" in out + err
