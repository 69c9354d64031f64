"""A child process with its output in a file, ended by its own id and nobody else's."""
import os
import re
import signal
import socket
import subprocess

from .waiting import FACTOR, wait_until

_handed_out = set()


def free_port():
    """A port nobody listens on; never the same twice, as the kernel would soon offer it again."""
    while True:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        if port not in _handed_out:
            _handed_out.add(port)
            return port


class Process:
    def __init__(self, name, argv, log_path, env=None, cwd=None):
        self.name = name
        self.log_path = log_path
        with open(log_path, "ab") as log:
            self.popen = subprocess.Popen(
                [str(a) for a in argv], stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=cwd,
                env={**os.environ, **(env or {})})

    @property
    def pid(self):
        return self.popen.pid

    def alive(self):
        return self.popen.poll() is None

    def log(self, since=0):
        with open(self.log_path, "rb") as log:
            log.seek(since)
            return log.read().decode(errors="replace")

    def log_size(self):
        return os.path.getsize(self.log_path)

    def wait_log(self, pattern, since=0, timeout=5.0):
        """The match of a regular expression in the log, once it is there."""
        expression = re.compile(pattern, re.IGNORECASE)
        return wait_until(lambda: expression.search(self.log(since)),
                          f"/{pattern}/ in the log of {self.name}:\n{self.log(since)[-2000:]}",
                          timeout)

    def signal(self, number):
        self.popen.send_signal(number)

    def stop_running(self):
        """SIGSTOP, and waits until the kernel says it has stopped."""
        self.signal(signal.SIGSTOP)
        wait_until(lambda: self._state() == "T", f"{self.name} to stop")

    def continue_running(self):
        self.signal(signal.SIGCONT)

    def _state(self):
        with open(f"/proc/{self.pid}/stat", encoding="ascii") as stat:
            return stat.read().rsplit(")", 1)[1].split()[0]

    def wait_exit(self, timeout=10.0):
        try:
            return self.popen.wait(timeout * FACTOR)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"{self.name} did not exit:\n{self.log()[-2000:]}") from None

    def kill(self):
        if self.alive():
            self.popen.kill()
        self.popen.wait()
