"""docker/ without a Docker engine: everything its files name exists, and what they start works."""
import fnmatch
import json
import os
import re
import shutil
import ssl
import subprocess
from pathlib import Path

import pytest

from harness.process import Process, free_port
from harness.servers import BINARY, ROOT
from harness.waiting import wait_until
from harness.wire import Client

yaml = pytest.importorskip("yaml", reason="needs python3-yaml")

DOCKER = ROOT / "docker"
SHIPPED = ROOT / "conf" / "respgate.conf"


def instructions(text):
    """A Dockerfile as [(stage, word, rest)], comments dropped and continued lines joined."""
    text = re.sub(r"^\s*#.*\n", "", text, flags=re.M).replace("\\\n", " ")
    stage, found = None, []
    for line in filter(str.strip, text.splitlines()):
        word, rest = line.split(None, 1)
        if word == "FROM":
            stage = re.search(r"\bAS (\S+)", rest).group(1)
        found.append((stage, word, rest.strip()))
    return found


DOCKERFILE = instructions((DOCKER / "Dockerfile").read_text())
COMPOSE = yaml.safe_load((DOCKER / "compose.yml").read_text())


def rests(word, stage=None):
    return [rest for at, name, rest in DOCKERFILE if name == word and stage in (None, at)]


def packages(stage):
    lists = [re.search(r"apt-get install ([^&]*)", run) for run in rests("RUN", stage)]
    return [name for found in lists if found for name in found.group(1).split() if name[0] != "-"]


def copies(stage=None):
    """[(sources, target)] of what comes from the tree, not from another stage."""
    found = []
    for rest in rests("COPY", stage):
        words = rest.split()
        if not any(word.startswith("--from=") for word in words):
            words = [word for word in words if not word.startswith("--")]
            found.append((words[:-1], words[-1]))
    return found


def run(*arguments, **options):
    return subprocess.run([str(a) for a in arguments], capture_output=True, text=True, **options)


def let_in(path):
    """What Dockerfile.dockerignore makes of a path: the last line that matches it decides."""
    kept = True
    for line in (DOCKER / "Dockerfile.dockerignore").read_text().splitlines():
        pattern = line.lstrip("!")
        if line and line[0] != "#" and (fnmatch.fnmatch(path, pattern) or path.startswith(pattern + "/")):
            kept = line[0] == "!"
    return kept


# ---- Dockerfile ---------------------------------------------------------------------------------

@pytest.mark.parametrize("stage", ["build", "certificates", "run"])
def test_packages_of_a_stage_exist(stage):
    names = packages(stage)
    assert names
    found = run("apt-get", "install", "--simulate", "--no-install-recommends", *names)
    assert found.returncode == 0, found.stderr


def test_copied_files_exist_and_reach_the_builder():
    sources = [source for many, _ in copies() for source in many]
    assert sources
    for source in sources:
        assert (ROOT / source).exists(), source
        assert let_in(source), f"{source} is kept out by Dockerfile.dockerignore"
    assert not let_in("build/respgate") and not let_in(".git/config") and not let_in("conf.key")


def test_stages_copy_from_stages():
    stages = [re.search(r"\bAS (\S+)", rest).group(1) for rest in rests("FROM")]
    for rest in rests("COPY"):
        source = re.search(r"--from=(\S+)", rest)
        assert not source or source.group(1) in stages[:-1]


def test_runs_as_nobody_special_and_takes_signals():
    (user,) = rests("USER", "run")
    assert user not in ("root", "0")
    (entry,), (command,) = rests("ENTRYPOINT", "run"), rests("CMD", "run")
    assert json.loads(entry) == ["respgate"], "the exec form: a shell would not hand signals on"
    assert json.loads(command) == ["-c", "/etc/respgate/respgate.conf"]


@pytest.mark.slow
@pytest.mark.needs_gate
def test_build_stage_builds_from_what_it_copies(tmp_path):
    """The RUN lines in a folder that holds only what the stage has."""
    for sources, target in copies("build"):
        for source in sources:
            place = tmp_path / (source if target == "./" else target)
            place.parent.mkdir(parents=True, exist_ok=True)
            (shutil.copytree if (ROOT / source).is_dir() else shutil.copy)(ROOT / source, place)
    for command in rests("RUN", "build")[1:]:
        built = run("sh", "-ec", command, cwd=tmp_path, env={**os.environ, "PATH": "/usr/bin:/bin:/usr/sbin"})
        assert built.returncode == 0, built.stdout[-3000:] + built.stderr[-3000:]
    assert run(tmp_path / "build" / "respgate", "--version").returncode == 0
    rules = re.findall(r"^\[rule .*", SHIPPED.read_text(), re.M)
    assert re.findall(r"^\[.*", (tmp_path / "rules.conf").read_text(), re.M) == rules


def headers():
    """Where the headers that the sources include from outside lie on this machine."""
    names = set()
    for path in [*ROOT.glob("src/**/*.[ch]"), *ROOT.glob("include/**/*.h")]:
        names |= set(re.findall(r"^#include <([^>]+)>", path.read_text(), re.M))
    places = [Path("/usr/include"), *Path("/usr/include").glob("*-linux-gnu"), Path("/usr/include/hiredis")]
    found = {name: next((place / name for place in places if (place / name).exists()), None) for name in names}
    return [str(path) for path in found.values() if path]  # the rest are the compiler's own


@pytest.mark.parametrize("listed", [
    pytest.param(lambda: packages("build"), id="Dockerfile"),
    pytest.param(lambda: re.search(r'^packages="([^"]+)"', (ROOT / "conf/quickstart.sh").read_text(), re.M)
                 .group(1).split(), id="quickstart.sh"),
    pytest.param(lambda: re.findall(r"^ *need (\S+)", (ROOT / "bench/run.sh").read_text(), re.M),
                 id="bench/run.sh"),
])
def test_the_headers_of_the_sources_are_in_listed_packages(listed):
    """A test machine has everything, so a package that is missing from a list shows only here."""
    owners = {line.split(":")[0] for line in run("dpkg", "-S", *headers()).stdout.splitlines()}
    assert {"libuv1-dev", "libhiredis-dev"} <= owners
    assert owners - {"linux-libc-dev"} <= set(listed()), "linux-libc-dev comes with libc6-dev"


@pytest.mark.needs_gate
def test_run_stage_has_the_libraries_of_the_binary():
    """Those the binary itself needs; theirs come as their packages' dependencies."""
    listed = set(packages("run")) | {"libc6"}
    needed = re.findall(r"NEEDED\s+(\S+)", run("objdump", "-p", BINARY).stdout)
    owned = {name: run("dpkg", "-S", f"*/{name}").stdout.split(":")[0] for name in needed
             if not re.match(r"lib(asan|ubsan)", name)}
    assert owned and set(owned.values()) <= listed, owned


# ---- the configuration and the certificates -----------------------------------------------------

@pytest.fixture
def tls(tmp_path):
    made = make_certificates(tmp_path / "tls")
    assert made.returncode == 0, made.stderr
    return tmp_path / "tls"


def make_certificates(folder):
    me = str(os.getuid())
    return run("sh", DOCKER / "certificates.sh", folder, env={**os.environ, "REDIS_UID": me, "RESPGATE_UID": me})


@pytest.fixture
def etc(tmp_path, tls):
    """/etc/respgate of the image, with paths, ports and names of this machine put in."""
    folder = tmp_path / "etc"
    folder.mkdir(mode=0o755)
    extract = next(command for command in rests("RUN", "build") if "rules.conf" in command)
    done = run("sh", "-ec", extract.replace("> rules.conf", f"> {folder}/rules.conf").replace(
        "' rules.conf", f"' {folder}/rules.conf"), cwd=ROOT)
    assert done.returncode == 0, done.stderr
    ports = {"redis": free_port(), "plain": free_port(), "tls": free_port()}
    text = (DOCKER / "respgate.conf").read_text()
    for image, here in (("/tls/", f"{tls}/"), ("rediss://redis:6379", f"rediss://127.0.0.1:{ports['redis']}\n"
                         "tls-server-name = redis"), (":6380", f":{ports['plain']}"), (":6390", f":{ports['tls']}")):
        assert image in text
        text = text.replace(image, here)
    for name, content in (("respgate.conf", text), ("rules.conf", None)):
        path = folder / name
        if content:
            path.write_text(content)
        path.chmod(0o644)
    return folder, ports


def test_certificates_are_good_and_stay_as_they_are(tls):
    ca = tls / "clients" / "ca.crt"
    for name, purpose in (("redis/server", "sslserver"), ("respgate/server", "sslserver"),
                          ("respgate/client", "sslclient")):
        checked = run("openssl", "verify", "-CAfile", ca, "-purpose", purpose, tls / f"{name}.crt")
        assert checked.returncode == 0, checked.stderr
        assert (tls / f"{name}.key").stat().st_mode & 0o077 == 0
    before = {path: path.read_bytes() for path in tls.rglob("*") if path.is_file()}
    assert make_certificates(tls).returncode == 0
    assert before == {path: path.read_bytes() for path in tls.rglob("*") if path.is_file()}
    assert (tls / "ca").stat().st_mode & 0o077 == 0


def test_certificates_that_were_interrupted_are_made_again(tmp_path):
    folder = tmp_path / "tls"
    (folder / "ca").mkdir(parents=True)
    (folder / "ca" / "ca.key").write_text("half a key")
    assert make_certificates(folder).returncode == 0
    assert run("openssl", "verify", "-CAfile", folder / "ca/ca.crt", folder / "redis/server.crt").returncode == 0


@pytest.mark.needs_gate
def test_the_configuration_is_good(etc):
    folder, _ = etc
    checked = run(BINARY, "-t", "-c", folder / "respgate.conf")
    assert (checked.returncode, checked.stdout.strip()) == (0, "ok"), checked.stdout + checked.stderr
    assert "warning" not in checked.stdout + checked.stderr


@pytest.mark.needs_gate
def test_the_identity_is_not_lent_to_strangers(etc):
    """What the file says of anonymous = backend."""
    folder, _ = etc
    path = folder / "respgate.conf"
    path.write_text(path.read_text().replace("[proxy]", "[proxy]\nanonymous = backend"))
    checked = run(BINARY, "-t", "-c", path)
    assert checked.returncode == 1
    assert "anonymous" in checked.stdout + checked.stderr


# ---- compose.yml --------------------------------------------------------------------------------

def test_compose_names_what_exists():
    services = COMPOSE["services"]
    stages = {re.search(r"\bAS (\S+)", rest).group(1) for rest in rests("FROM")}
    for name, service in services.items():
        assert set(service.get("depends_on", {})) <= set(services)
        assert set(service.get("networks", [])) <= set(COMPOSE["networks"])
        for volume in service.get("volumes", []):
            assert volume.split(":")[0] in COMPOSE["volumes"]
        if "build" in service:
            context = (DOCKER / service["build"]["context"]).resolve()
            assert (context / service["build"]["dockerfile"]).samefile(DOCKER / "Dockerfile")
            assert service["build"]["target"] in stages, name


def test_compose_lets_nobody_past_respgate():
    redis, gate = COMPOSE["services"]["redis"], COMPOSE["services"]["respgate"]
    assert "ports" not in redis
    assert redis["networks"] == ["store"] and COMPOSE["networks"]["store"]["internal"] is True
    assert [name for name, service in COMPOSE["services"].items() if "store" in service.get("networks", [])] \
        == ["redis", "respgate"]
    plain = [port for port in gate["ports"] if port.endswith(":6380")]
    assert all(port.startswith("127.0.0.1:") for port in plain)
    exposed = {*rests("EXPOSE", "run")[0].split()}
    assert {port.rsplit(":", 1)[1] for port in gate["ports"]} == exposed


class Composed:
    """redis and respgate as compose.yml starts them, on this machine's ports and paths."""

    def __init__(self, keeper, etc, tls):
        self.folder, self.ports = etc
        self.tls = tls
        logs = keeper.folder("composed")
        command = [word.replace("/tls/", f"{tls}/") for word in COMPOSE["services"]["redis"]["command"]]
        command[command.index("--tls-port") + 1] = str(self.ports["redis"])
        self.redis = Process("redis", [*command, "--bind", "127.0.0.1", "--dir", logs], logs / "redis.log")
        self.redis.stop = self.redis.kill
        keeper.add(self.redis)
        self.gate = Process("respgate", [BINARY, "-c", self.folder / "respgate.conf"], logs / "respgate.log")
        self.gate.stop = self.gate.kill
        keeper.add(self.gate)
        self.password = (tls / "respgate" / "password").read_text().strip()
        wait_until(self.answers, f"respgate to answer:\n{self.gate.log()}{self.redis.log()}", 10)

    def answers(self):
        try:
            with Client(self.ports["plain"]) as client:
                return client.call("AUTH", self.password) == b"OK"
        except OSError:
            return False


@pytest.fixture
def composed(keeper, etc, tls):
    return Composed(keeper, etc, tls)


@pytest.mark.needs_gate
def test_composed_services_work_together(composed):
    with Client(composed.ports["plain"]) as client:
        assert client.call("GET", "a").code == "NOAUTH"
        assert client.call("AUTH", "wrong").code == "WRONGPASS"
        assert client.call("AUTH", composed.password) == b"OK"
        assert client.call("SET", "a", "1") == b"OK"
        assert client.call("FLUSHALL").code == "NOPERM"
        assert client.call("GET", "a") == b"1"


@pytest.mark.needs_gate
def test_composed_tls_listener(composed):
    context = ssl.create_default_context(cafile=str(composed.tls / "clients" / "ca.crt"))
    with Client(composed.ports["tls"], tls=context) as client:
        assert client.call("AUTH", composed.password) == b"OK"
        assert client.call("PING") == b"PONG"


@pytest.mark.needs_gate
def test_health_check(composed):
    (check,) = rests("HEALTHCHECK", "run")
    command = json.loads(check[check.index("CMD") + 3:])
    assert run(*command[:-1], command[-1].replace("6380", str(free_port()))).returncode != 0
    command[-1] = command[-1].replace("6380", str(composed.ports["plain"]))
    assert run(*command).returncode == 0
    composed.redis.kill()
    assert run(*command).returncode == 0, "a backend that is away is no illness of respgate"
