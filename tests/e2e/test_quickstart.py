"""conf/quickstart.sh for real: what it builds, starts, shows and leaves behind (nothing)."""
import os
import re
import signal
import socket
import subprocess

import pytest

from harness.servers import ROOT
from harness.waiting import wait_until
from harness.wire import Client

SCRIPT = ROOT / "conf" / "quickstart.sh"
BUILD_SECONDS = 150  # the first run compiles everything

pytestmark = [pytest.mark.slow, pytest.mark.needs_gate]


class Quickstart:
    """A running script, in a session of its own as a terminal's foreground job would be."""

    def __init__(self, folder, *arguments, cwd="/"):
        self.folder = folder
        self.output = folder / "output"
        self.temporary = folder / "tmp"
        self.temporary.mkdir()
        with open(self.output, "wb") as output:
            self.popen = subprocess.Popen(
                [SCRIPT, *map(str, arguments)], stdin=subprocess.DEVNULL, stdout=output, stderr=output,
                cwd=cwd, start_new_session=True, env={**os.environ, "TMPDIR": str(self.temporary)})

    def text(self):
        return self.output.read_text()

    def wait_running(self):
        wait_until(lambda: "Ctrl-C ends" in self.text() or self.popen.poll() is not None,
                   "the script to run", BUILD_SECONDS)
        assert self.popen.poll() is None, self.text()
        self.url = re.search(r"REDIS_URL=(\S+)", self.text()).group(1)
        self.port = int(self.url.rsplit(":", 1)[1])
        return self

    def gate_pid(self):
        return int(re.search(r"kill -HUP (\d+)", self.text()).group(1))

    def children(self):
        """Everything in the script's session but itself."""
        found = subprocess.run(["ps", "-o", "pid=", "--sid", str(self.popen.pid)],
                               capture_output=True, text=True).stdout.split()
        return [int(pid) for pid in found if int(pid) != self.popen.pid]

    def stop(self):
        if self.popen.poll() is None:
            os.killpg(self.popen.pid, signal.SIGTERM)
            self.popen.wait(30)

    def assert_nothing_left(self):
        assert self.children() == []
        assert list(self.temporary.iterdir()) == []
        with socket.socket() as probe:
            assert probe.connect_ex(("127.0.0.1", self.port)) != 0


@pytest.fixture
def start(keeper):
    def run(*arguments, **options):
        return keeper.add(Quickstart(keeper.folder("quickstart"), *arguments, **options))
    return run


def test_help_tells_the_options():
    run = subprocess.run([SCRIPT, "--help"], capture_output=True, text=True, cwd="/")
    assert run.returncode == 0
    assert "--backend URL" in run.stdout and "--port N" in run.stdout


@pytest.mark.parametrize("arguments", [["--unknown"], ["--backend"], ["--port", "http"], ["stray"]])
def test_mistaken_arguments_are_refused(arguments):
    run = subprocess.run([SCRIPT, *arguments], capture_output=True, text=True, cwd="/")
    assert run.returncode != 0
    assert run.stderr and not run.stdout


def test_its_packages_exist():
    """What a fresh Debian would be asked to install."""
    packages = re.search(r'^packages="([^"]+)"', SCRIPT.read_text(), re.M).group(1).split()
    run = subprocess.run(["apt-get", "install", "--simulate", "--no-install-recommends", *packages],
                         capture_output=True, text=True)
    assert run.returncode == 0, run.stderr


def test_shows_a_refusal_and_a_working_command(start):
    script = start().wait_running()
    shown = script.text()
    assert re.search(r"SET greeting hello\nOK\n", shown)
    assert len(re.findall(r"GET greeting\nhello\n", shown)) == 2, "before and after the refusal"
    assert re.search(r"FLUSHALL\n(\(error\) )?NOPERM respgate: 'FLUSHALL' is denied by rule 'no-flush'", shown)
    client = Client(script.port)
    assert client.call("SET", "a", "1") == b"OK"
    assert client.call("FLUSHALL").code == "NOPERM"
    client.close()
    assert script.popen.poll() is None


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_and_leaves_nothing(start, number):
    script = start().wait_running()
    assert len(script.children()) == 2
    os.kill(script.popen.pid, number)
    assert script.popen.wait(30) == 0
    script.assert_nothing_left()


def test_ctrl_c_reaches_its_children_too(start):
    """A terminal sends SIGINT to every process of the foreground job at once."""
    script = start().wait_running()
    os.killpg(script.popen.pid, signal.SIGINT)
    script.popen.wait(30)
    script.assert_nothing_left()


def test_two_at_once_from_other_folders(start, tmp_path):
    first = start().wait_running()
    second = start(cwd=tmp_path).wait_running()
    assert first.port != second.port
    second.stop()
    client = Client(first.port)
    assert client.call("PING") == b"PONG"
    client.close()


def test_a_taken_port_is_refused_by_name(start):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        script = start("--port", port)
        assert script.popen.wait(BUILD_SECONDS) == 1
    assert f"port {port} is taken" in script.text()
    assert list(script.temporary.iterdir()) == []


def test_in_front_of_a_redis_that_is_there(start, start_redis):
    redis = start_redis(requirepass="p@ss:w#rd")
    redis_url = f"redis://:p%40ss%3Aw%23rd@127.0.0.1:{redis.port}"
    script = start("--backend", redis_url).wait_running()
    shown = script.text()
    assert "PONG" in shown and "NOPERM respgate: 'SWAPDB' is denied" in shown
    assert "p%40ss" not in shown and "p@ss" not in shown, "a password on the screen"
    assert not re.search(r"^\$ .*(FLUSH|SET)", shown, re.M), "nothing that could harm the store"
    script.stop()
    assert redis.process.alive()
    script.assert_nothing_left()


def test_a_respgate_that_dies_is_told(start):
    script = start().wait_running()
    os.kill(script.gate_pid(), signal.SIGKILL)
    assert script.popen.wait(30) == 1
    assert "respgate ended with" in script.text()
    script.assert_nothing_left()
