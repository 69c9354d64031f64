"""parties.py - the servers that are compared: one Redis and what stands in front of it."""

import os
import re
import resource
import shutil
import socket
import subprocess
import tempfile
import time

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
NUTCRACKER = "/usr/sbin/nutcracker"
HAPROXY = "/usr/sbin/haproxy"


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def cpu_seconds(pid):
    """CPU time of a whole process, threads that ended included, in nanosecond resolution.

    This is what clock_getcpuclockid(3) gives; the number's layout is the kernel's
    (include/linux/posix-timers_types.h). /proc/PID/stat has the same sum in ticks of 10 ms.
    """
    return time.clock_gettime((~pid << 3) | 2)


def resident_kib(pid):
    with open(f"/proc/{pid}/status") as status:
        return int(re.search(r"^VmRSS:\s+(\d+) kB", status.read(), re.M).group(1))


def file_limit():
    """Raises the limit of open files, for the servers started from here too, and returns it."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    if hard == resource.RLIM_INFINITY:
        hard = 1 << 20
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard


def haproxy_max_clients():
    """Two files a client and some for itself; it refuses to start with more than the limit allows."""
    return min(12000, (file_limit() - 100) // 2)


class Program:
    """A process of ours on its core, ended by its pid, its output kept for the error message."""

    def __init__(self, folder, name, command, port, core):
        self.name, self.port = name, port
        self.log = os.path.join(folder, name + ".log")
        if core is not None:
            command = ["taskset", "-c", str(core), *command]
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        self.pid = self.process.pid  # taskset execs, so this is the program
        self.wait_until_up()

    def wait_until_up(self):
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline and self.process.poll() is None:
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
                return
            except OSError:
                time.sleep(0.02)
        with open(self.log) as log:
            output = log.read()
        self.stop()
        raise SystemExit(f"{self.name} does not listen on port {self.port}:\n{output}")

    def stop(self):
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(15)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()


class Certificates:
    """A CA, and one certificate each for the server and for its clients."""

    def __init__(self, folder):
        self.folder = folder
        key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
        self.run("req", "-x509", *key, "-days", "2", "-subj", "/CN=bench CA",
                 "-keyout", self.path("ca.key"), "-out", self.path("ca.crt"))
        self.issue(key, "server", "subjectAltName=IP:127.0.0.1,DNS:localhost")
        self.issue(key, "client", "extendedKeyUsage=clientAuth")

    def path(self, name):
        return os.path.join(self.folder, name)

    def run(self, *arguments):
        subprocess.run(["openssl", *arguments], check=True, capture_output=True)

    def issue(self, key, name, extension):
        with open(self.path(name + ".ext"), "w") as file:
            file.write(extension + "\n")
        self.run("req", *key, "-subj", f"/CN={name}", "-keyout", self.path(name + ".key"),
                 "-out", self.path(name + ".csr"))
        self.run("x509", "-req", "-days", "2", "-in", self.path(name + ".csr"), "-CA",
                 self.path("ca.crt"), "-CAkey", self.path("ca.key"), "-CAcreateserial", "-extfile",
                 self.path(name + ".ext"), "-out", self.path(name + ".crt"))
        with open(self.path(name + ".pem"), "w") as pem:  # HAProxy wants both in one file
            for part in ("crt", "key"):
                with open(self.path(f"{name}.{part}")) as file:
                    pem.write(file.read())


def configure(text, changes):
    """The shipped configuration with some options set otherwise: {section: {key: value}}."""
    section, lines = "", []
    for line in text.splitlines():
        header = re.match(r"\s*\[([^]]+)\]", line)
        option = re.match(r"\s*([\w-]+)\s*=", line)
        if header:
            section = header.group(1)
            added = changes.get(section, {})
            lines += [line] + [f"{key} = {value}" for key, value in added.items()]
        elif not option or option.group(1) not in changes.get(section, {}):
            lines.append(line)
    return "\n".join(lines) + "\n"


class Field:
    """One Redis and, in front of it, each proxy; all run side by side, idle until measured."""

    def __init__(self, binary, cores, tls=False, names=("direct", "respgate", "nutcracker", "haproxy")):
        self.binary, self.cores, self.tls = binary, cores, tls
        file_limit()
        self.folder = tempfile.mkdtemp(prefix="respgate-bench-")
        self.programs = {}
        try:
            self.certificates = Certificates(self.folder) if tls else None
            self.start_redis()
            for name in names:
                if name != "direct" and not (tls and name == "nutcracker"):  # it knows no TLS
                    getattr(self, "start_" + name)()
        except BaseException:
            self.close()
            raise

    def start(self, name, command, port, core):
        self.programs[name] = Program(self.folder, name, command, port, core)

    def write(self, name, text):
        path = os.path.join(self.folder, name)
        with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
            file.write(text)
        return path

    def start_redis(self):
        self.plain_port = free_port()  # to put values there, and for direct without TLS
        self.redis_port = free_port() if self.tls else self.plain_port
        command = ["redis-server", "--bind", "127.0.0.1", "--port", str(self.plain_port), "--save", "",
                   "--appendonly", "no", "--maxclients", "15000", "--dir", self.folder]
        if self.tls:
            path = self.certificates.path
            command += ["--tls-port", str(self.redis_port), "--tls-ca-cert-file", path("ca.crt"),
                        "--tls-cert-file", path("server.crt"), "--tls-key-file", path("server.key"),
                        "--tls-auth-clients", "yes"]
        self.start("redis", command, self.plain_port, self.cores["redis"])

    def start_respgate(self):
        """As a user would: no file for plain; for TLS the shipped file with another backend."""
        port = free_port()
        if not self.tls:
            command = [self.binary, "--listen", str(port), "--backend", f"redis://127.0.0.1:{self.redis_port}"]
        else:
            path = self.certificates.path
            with open(os.path.join(ROOT, "conf", "respgate.conf")) as shipped:
                text = configure(shipped.read(), {
                    "proxy": {"listen": f"127.0.0.1:{port}", "threads": 1},
                    "admin": {"console": "", "http": ""},
                    "backend": {"url": f"rediss://127.0.0.1:{self.redis_port}",
                                "tls-ca-file": path("ca.crt"), "tls-cert-file": path("client.crt"),
                                "tls-key-file": path("client.key")}})
            command = [self.binary, "-c", self.write("respgate.conf", text)]
        self.start("respgate", command, port, self.cores["proxy"])

    def start_nutcracker(self):
        port = free_port()
        text = (f"bench:\n  listen: 127.0.0.1:{port}\n  redis: true\n  hash: fnv1a_64\n"
                f"  distribution: ketama\n  backlog: 4096\n  servers:\n   - 127.0.0.1:{self.redis_port}:1\n")
        config = self.write("nutcracker.yml", text)
        command = [NUTCRACKER, "-c", config, "-s", str(free_port()), "-v", "0"]
        self.start("nutcracker", command, port, self.cores["proxy"])

    def start_haproxy(self):
        port = free_port()
        server = f"server redis 127.0.0.1:{self.redis_port}"
        if self.tls:
            path = self.certificates.path
            server += f" ssl verify required ca-file {path('ca.crt')} crt {path('client.pem')}"
        text = (f"global\n  nbthread 1\n  maxconn {haproxy_max_clients()}\n"
                "defaults\n  mode tcp\n  timeout connect 5s\n  timeout client 1h\n  timeout server 1h\n"
                f"listen bench\n  bind 127.0.0.1:{port} backlog 4096\n  {server}\n")
        config = self.write("haproxy.cfg", text)
        # -db: in the foreground, one process, so its pid is the one that does the work
        self.start("haproxy", [HAPROXY, "-db", "-f", config], port, self.cores["proxy"])

    def close(self):
        for program in reversed(list(self.programs.values())):
            program.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    def __enter__(self):
        return self

    def __exit__(self, *failure):
        self.close()
