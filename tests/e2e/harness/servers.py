"""redis-server and respgate as processes, with the settings tests need."""
import os
import re
import signal
import subprocess
from pathlib import Path

from .process import Process, free_port
from .waiting import FACTOR, wait_until
from .wire import Client, Closed

ROOT = Path(__file__).resolve().parents[3]
BINARY = os.environ.get("RESPGATE", str(ROOT / "build" / "respgate"))
SANITIZED = "ASAN_OPTIONS" in os.environ  # freed memory stays resident: sizes tell nothing
SANITIZER = re.compile(r"ERROR: \w+Sanitizer|runtime error:|SUMMARY: \w+Sanitizer|Assertion .* failed")


class Redis:
    """A redis-server on 127.0.0.1 that keeps nothing on disk. Options are redis-server's own:
    Redis(folder, requirepass='x'); a list value repeats the option."""

    def __init__(self, folder, port=None, certs=None, server_cert=None, **options):
        self.folder = folder
        self.folder.mkdir(parents=True, exist_ok=True)
        self.certs = certs
        self.server_cert = server_cert or (certs and certs.server)
        self.port = port or free_port()
        self.options = options
        self.process = None
        self.start()

    def start(self):
        argv = ["redis-server", "--bind", "127.0.0.1", "--save", "", "--dir", self.folder,
                "--enable-debug-command", "yes", "--loglevel", "notice", "--daemonize", "no"]
        argv += ["--tls-port", self.port, "--port", "0"] if self.certs else ["--port", self.port]
        if self.certs:
            cert, key = self.server_cert
            argv += ["--tls-cert-file", cert, "--tls-key-file", key,
                     "--tls-ca-cert-file", self.certs.ca]
        for name, value in self.options.items():
            for item in value if isinstance(value, list) else [value]:
                words = item if isinstance(item, tuple) else (item,)
                argv += ["--" + name.replace("_", "-"), *words]
        log_path = self.folder / f"redis-{self.port}.log"
        since = log_path.stat().st_size if log_path.exists() else 0
        self.process = Process(f"redis {self.port}", argv, log_path)
        self.process.wait_log("Ready to accept connections|# Failed|FATAL", since)
        assert self.process.alive(), self.process.log()

    def tls(self):
        return self.certs.context(self.certs.client) if self.certs else None

    def client(self, **options):
        return Client(self.port, tls=self.tls(), **options)

    def call(self, *args):
        """One command over a connection of its own, as the default user with its password."""
        with self.client() as client:
            if "requirepass" in self.options:
                client.ok("AUTH", self.options["requirepass"])
            return client.call(*args)

    def info(self, field):
        text = self.call("INFO", "everything").decode()
        return re.search(rf"^{field}:(.*?)\r$", text, re.M).group(1)

    def kill(self):
        self.process.continue_running()
        self.process.kill()

    def restart(self):
        self.kill()
        self.start()

    def stop(self):
        if self.process.alive():
            self.kill()


class Direct:
    """Stands where respgate would: with --direct the tests prove themselves against Redis."""

    direct = True

    def __init__(self, redis):
        self.redis = redis
        self.port = redis.port

    def client(self, **options):
        return self.redis.client(**options)

    def alive(self):
        return True

    def check(self):
        pass

    def stop(self):
        pass


def section(title, values):
    """A section of the configuration; a list value repeats its key."""
    lines = [f"[{title}]"]
    for key, value in values.items():
        for item in value if isinstance(value, list) else [value]:
            lines.append(f"{key} = {item}")
    return "\n".join(lines) + "\n"


class Gate:
    """A respgate process. proxy, backend, admin and log are the keys of these sections; extra is
    the text of all others (rules, users). Console and HTTP are off unless the test names ports."""

    direct = False

    def __init__(self, folder, redis=None, proxy=None, backend=None, log=None, extra="", url=None,
                 env=None, wait=True, admin=None):
        self.folder = folder
        self.folder.mkdir(parents=True, exist_ok=True)
        self.port = free_port()
        self.env = env
        self.config_path = folder / "respgate.conf"
        self.proxy = {"listen": f"127.0.0.1:{self.port}", "drain-timeout": "200ms", **(proxy or {})}
        scheme = "rediss" if redis is not None and getattr(redis, "certs", None) else "redis"
        self.backend = {"url": url or f"{scheme}://127.0.0.1:{redis.port}", **(backend or {})}
        self.admin = {"console": "", "http": "", **(admin or {})}
        self.log_options = {"level": "debug", **(log or {})}
        self.extra = extra
        self.write_config()
        self.process = None
        self.start(wait)

    def config_text(self):
        return (section("proxy", self.proxy) + section("backend", self.backend)
                + section("admin", self.admin) + section("log", self.log_options) + self.extra)

    def write_config(self, text=None):
        """Replaces the file in one step, so that a reload never sees half of it."""
        fresh = self.config_path.with_suffix(".new")
        fresh.write_text(self.config_text() if text is None else text)
        fresh.chmod(0o600)
        os.rename(fresh, self.config_path)

    def start(self, wait=True):
        log_path = self.folder / f"respgate-{self.port}.log"
        since = log_path.stat().st_size if log_path.exists() else 0
        self.process = Process("respgate", [BINARY, "-c", self.config_path], log_path, self.env)
        if wait and "file" in self.log_options:
            wait_until(self.accepts, "respgate to accept", 10)
        elif wait:  # a probing connection would be one client too many for some tests
            wait_until(lambda: self.ready(since), "respgate to be ready", 10)

    def ready(self, since=0):
        log = self.process.log(since)
        assert self.process.alive(), f"respgate exited: {log}"
        return " is ready: " in log

    def accepts(self):
        assert self.process.alive(), f"respgate exited: {self.process.log()}"
        try:
            self.client().close()
            return True
        except (ConnectionError, FileNotFoundError):
            return False

    def client(self, **options):
        return Client(self.port, **options)

    def alive(self):
        return self.process.alive()

    def reload(self, extra=None, proxy=None, backend=None, text=None, expect="reload"):
        """Rewrites the file, sends SIGHUP, and waits for the log line that tells the outcome.
        Returns what was logged from the signal on."""
        self.extra = self.extra if extra is None else extra
        self.proxy.update(proxy or {})
        self.backend.update(backend or {})
        self.write_config(text)
        since = self.process.log_size()
        self.process.signal(signal.SIGHUP)
        self.process.wait_log(expect, since, timeout=10)
        return self.process.log(since)

    def wait_log(self, pattern, since=0, timeout=5.0):
        return self.process.wait_log(pattern, since, timeout)

    def check(self):
        """What holds at any moment: it lives, and no sanitizer has spoken."""
        log = self.process.log()
        assert not SANITIZER.search(log), f"sanitizer report:\n{log[-8000:]}"
        code = self.process.popen.poll()
        assert code is None or code == 0, f"respgate ended with {code}:\n{log[-400:]}"

    def stop(self):
        """SIGTERM must end it with 0, whatever the test has done to it."""
        if self.process.alive():
            self.process.continue_running()
            self.process.signal(signal.SIGTERM)
            try:
                self.process.wait_exit(10)
            except AssertionError:
                self.process.signal(signal.SIGABRT)
                self.process.kill()
                raise
        code = self.process.popen.returncode
        log = self.process.log()
        assert not SANITIZER.search(log), f"sanitizer report:\n{log[-8000:]}"
        assert code == 0, f"respgate ended with {code}:\n{log[-400:]}"


def run_binary(*args, env=None, timeout=10):
    """respgate run to its end: exit code, stdout, stderr."""
    done = subprocess.run([BINARY, *map(str, args)], capture_output=True, text=True,
                          timeout=timeout * FACTOR, stdin=subprocess.DEVNULL,
                          env={**os.environ, **(env or {})})
    assert not SANITIZER.search(done.stderr), done.stderr
    return done.returncode, done.stdout, done.stderr


__all__ = ["BINARY", "Closed", "Direct", "Gate", "Redis", "ROOT", "SANITIZED", "run_binary", "section"]
