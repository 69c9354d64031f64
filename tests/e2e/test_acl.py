"""The second wall: what --print-acl prints, a real Redis refuses, and nothing that the rules allow."""
import hashlib
import re
import subprocess
from pathlib import Path

import pytest

from harness.servers import BINARY, ROOT, run_binary, section

pytestmark = pytest.mark.needs_gate

VERDICTS = Path(BINARY).parent / "tests" / "unit" / "policy" / "acl_verdicts"
PASSWORD = hashlib.sha256(b"pw").hexdigest()
SHIPPED = (ROOT / "conf" / "respgate.conf").read_text()

POLICIES = {
    "shipped": ("", SHIPPED[SHIPPED.index("[rule snoop]"):]),
    "only what is named": ("", """
[rule yes]
commands = @read, @connection, @transaction, set, client|setname, ft.search
action = allow
[rule no]
action = deny
"""),
    "keys by prefix": ("", """
[rule mine]
commands = @read, @write
keys = 1*, t1:*, !t1:secret:*
action = allow
[rule connection]
commands = @connection
action = allow
[rule no]
commands = *
action = deny
"""),
    "keys of others": ("", """
[rule own]
keys = *, !t1:*
action = deny
[rule no-flush]
commands = @dangerous
action = deny
"""),
    "by user": ("app", """
[rule app]
commands = @write
users = app
action = deny
[rule other]
commands = @read
users = other
action = deny
"""),
    "by what no ACL sees": ("", """
[rule from]
commands = @admin
from = 10.0.0.0/8
action = allow
[rule db]
commands = get
db = 3
action = deny
[rule watch]
commands = set
action = deny
mode = observe
[rule admin]
commands = @admin, module
action = deny
[rule secrets]
commands = hget, ft.drop
keys = secret:*
action = deny
"""),
    "nothing": ("", ""),
}


@pytest.fixture
def wall(tmp_path, start_redis):
    """Writes a file with these rules; a Redis of its own with the lines of --print-acl in force."""
    def build(user, rules):
        path, password = tmp_path / "respgate.conf", tmp_path / "password"
        password.write_text("pw\n")
        backend = {"url": "redis://127.0.0.1:1", "username": "gate", "password-file": password,
                   "control-username": "control", "control-password-file": password}
        users = f"[user {user or 'any'}]\npassword-sha256 = {PASSWORD}\n"
        users += f"[user other]\npassword-sha256 = {PASSWORD}\nbackend-username = other\n" \
                 f"backend-password-file = {password}\n"
        path.write_text(section("backend", backend) + users + rules)
        path.chmod(0o600)
        password.chmod(0o600)
        code, out, errors = run_binary("--print-acl", "-c", path)
        assert code == 0, errors
        redis = start_redis()
        for line in out.splitlines():
            if line and not line.startswith("#"):
                reply = redis.call(*line.split())
                assert reply == b"OK" or "." in line, (line, reply)
        return path, redis
    return build


def verdicts(path, user):
    out = subprocess.run([VERDICTS, path, user], check=True, capture_output=True, text=True).stdout
    for line in out.splitlines():
        verdict, *request = line.split()
        yield verdict, request


# What the rules refuse and the ACL does not, by policy: what some client may run, or a request of
# the same command with other arguments, and what respgate itself needs.
SCRIPTS = {"eval", "eval_ro", "evalsha", "evalsha_ro", "fcall", "fcall_ro"}
UNKNOWN_KEYS = {"xread", "xreadgroup", "scan"}
LOOSE = {
    "only what is named": SCRIPTS,
    "keys by prefix": SCRIPTS | UNKNOWN_KEYS | {"discard"},
    "keys of others": UNKNOWN_KEYS | {"client unblock", "randomkey", "cluster getkeysinslot"},
    "by what no ACL sees": {"@admin"},
}


@pytest.mark.parametrize("name", POLICIES)
def test_the_wall_stands_where_the_rules_refuse_and_nowhere_else(wall, name):
    user, rules = POLICIES[name]
    path, redis = wall(user, rules)
    refused, loose = 0, set()
    with redis.client() as client:
        admin = {command.decode().replace("|", " ") for command in client.call("ACL CAT admin")}
        for respgate_user, store_user in (user or "any", "gate"), ("other", "other"):
            for verdict, request in verdicts(path, respgate_user):
                reply = client.call("ACL", "DRYRUN", store_user, *request)
                command = " ".join(word for word in request if word != "1")
                assert verdict == "deny" or reply == b"OK", (store_user, request, reply)
                refused += reply != b"OK"
                if verdict == "deny" and reply == b"OK":
                    loose.add(command)
    expected = LOOSE.get(name, set())
    assert loose - (admin if "@admin" in expected else set()) == expected - {"@admin"}
    assert refused or name == "nothing"


# -- in force -----------------------------------------------------------------------------------

BATTERY = [
    ("SET k v", b"OK"), ("GET k", b"v"), ("INCR n", 1), ("MSET a 1 b 2", b"OK"), ("DEL a b", 2),
    ("EXPIRE k 100", 1), ("RPUSH l x", 1), ("BLPOP l 1", [b"l", b"x"]), ("XADD s 1-1 f v", b"1-1"),
    ("XTRIM s MAXLEN 0", 1), ("PUBLISH c m", 0), ("PING", b"PONG"), ("SELECT 3", b"OK"),
    ("GET k", None), ("SELECT 0", b"OK"), ("CLIENT SETNAME me", b"OK"), ("WATCH k", b"OK"),
    ("MULTI", b"OK"), ("GET k", b"QUEUED"), ("EXEC", [b"v"]), ("RESET", b"RESET"), ("ECHO x", b"x"),
    ("CONFIG GET maxmemory", [b"maxmemory", b"0"]), ("DBSIZE", 3), ("SCRIPT EXISTS x", [0]),
]


@pytest.fixture
def behind_the_wall(tmp_path, start_redis, start_gate):
    """The shipped rules, a store that has their lines, and a gate that runs as that user."""
    password = tmp_path / "password"
    password.write_text("pw\n")
    password.chmod(0o600)
    redis = start_redis()
    gate = start_gate(redis, proxy={"anonymous": "backend"}, extra=POLICIES["shipped"][1],
                      backend={"username": "gate", "password-file": password})
    code, out, errors = run_binary("--print-acl", "-c", gate.config_path)
    assert code == 0, errors
    lines = "\n".join(line for line in out.splitlines() if not line.startswith("#"))
    # as the head of the print-out says: through redis-cli
    subprocess.run(["redis-cli", "-p", str(redis.port)], input=lines, text=True, check=True)
    redis.call("ACL SETUSER gate on >pw")
    return redis, gate


def test_a_script_that_gets_past_the_rules_fails_at_the_store(behind_the_wall):
    redis, gate = behind_the_wall
    with gate.client() as client:
        for line, reply in BATTERY:
            assert client.call(line) == reply, line
        assert client.call("EVAL", "return redis.call('get', KEYS[1])", "1", "k") == b"v"
        assert client.call("FLUSHALL").code == "NOPERM"
    with redis.client() as past:
        past.ok("AUTH gate pw")
        assert past.call("GET k") == b"v"
        assert past.call("FLUSHALL").code == "NOPERM"
        for body in ("return redis.call('flush'..'all')",
                     "return redis.pcall('FLUSHDB')",
                     "for k,v in pairs(_G) do if type(v)=='table' and rawget(v,'call') then "
                     "v.call('FLUSHALL') end end"):
            reply = past.call("EVAL", body, "0")  # NOPERM in the words of Redis 7.0, or of later ones
            assert re.search("NOPERM|user executing the script can't run this command", reply)
        assert past.call("GET k") == b"v"
    assert redis.call("GET k") == b"v"


def test_respgate_itself_is_not_locked_out(behind_the_wall):
    redis, gate = behind_the_wall
    redis.call("ACL LOG RESET")
    since = gate.process.log_size()
    redis.call("CLIENT KILL TYPE normal")
    gate.wait_log("is up|connected", since)
    with gate.client() as client:
        client.ok("SELECT 2")
        client.ok("SET k v")
    assert "NOPERM" not in gate.process.log(since)
    assert redis.call("ACL LOG") == []


def test_check_and_print_need_a_file_without_mistakes(tmp_path):
    path = tmp_path / "respgate.conf"
    path.write_text("[rule a]\ncommands = flushal\naction = deny\n")
    path.chmod(0o600)
    code, out, errors = run_binary("--print-acl", "-c", path)
    assert code == 1 and not out and f"{path}:2:" in errors
