"""[admin] http: metrics, probes and the page's data; hostile names, browsers and bytes."""
import base64
import re
import shutil
import socket
import subprocess

import pytest

from harness.admin import Admin
from harness.waiting import FACTOR, wait_until

pytestmark = pytest.mark.needs_gate

DENY = "[rule no-flush]\ncommands = flushall\naction = deny\n"
PASSWORD = "zzsecretzz"
HOSTILE = [b'a"b\\c:x', b"line\nbreak:x", b"carriage\r\nreturn:x", b"tab\tand\x00nul:x", b"\xff\xfe\x80:x",
           b'"><script>alert(1)</script>:x', b"x\\x0a:x", b"x\n:x", "grüße:日本:x".encode(), b"\xe2\x80\xae\xc2\x9b:x",
           b"{}=\",:x", b"p" * 10240 + b":x", b"p" * 10240 + b"q:x", b"(other):x"]


@pytest.fixture
def admin(start_gate, store):
    return Admin(start_gate(store, extra=DENY, admin=Admin.ports()))


def test_all_threads_are_told_of(start_gate, store):
    gate = start_gate(store, admin=Admin.ports(), proxy={"threads": "3"})
    admin = Admin(gate)
    clients = [gate.client() for _ in range(6)]
    for i, client in enumerate(clients):
        client.ok("SET", f"job:state:{i}", "v")
    assert admin.stat("requests_total") == 6 and admin.stat("clients") == 6
    assert len(admin.rows("clients")) == 6
    assert [row["writes"] for row in admin.rows("prefixes") if row["prefix"] == "job:state"] == [6]
    assert metrics(admin)["respgate_node_up", "redis"] == 3
    for client in clients:
        client.close()


@pytest.fixture
def guarded(start_gate, store, tmp_path):
    path = tmp_path / "admin.password"
    path.write_text(PASSWORD + "\n")
    path.chmod(0o600)

    def start(**options):
        return Admin(start_gate(store, extra=DENY, admin=Admin.ports(**{"password-file": path, **options})))
    return start


def basic(password, user="admin"):
    return {"Authorization": "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()}


# -- metrics -----------------------------------------------------------------------------------

LABEL = r'\w+="(?:[^"\\\n]|\\["\\n])*"'
SAMPLE = re.compile(rf'(respgate_\w+)(?:\{{({LABEL}(?:,{LABEL})*)\}})? (-?[0-9.e+]+)$')


def metrics(admin):
    """{(name, label): value}, (name, (label, label)) where there are two; every line must be
    understood, and none may come twice."""
    status, headers, body = admin.get("/metrics")
    assert status == 200 and headers["Content-Type"].startswith("text/plain; version=0.0.4")
    found = {}
    for line in body.decode().split("\n")[:-1]:
        if line.startswith("# "):
            continue
        match = SAMPLE.match(line)
        assert match, line
        labels = [label.split("=", 1)[1][1:-1] for label in re.findall(LABEL, match.group(2) or "")]
        key = match.group(1), labels[0] if len(labels) == 1 else tuple(labels) or None
        assert key not in found, line
        found[key] = float(match.group(3))
    return found


def promtool(admin):
    assert shutil.which("promtool"), "Debian's package prometheus"
    checked = subprocess.run(["promtool", "check", "metrics"], input=admin.get("/metrics")[2],
                             capture_output=True, timeout=30 * FACTOR)
    assert checked.returncode == 0 and not checked.stderr, checked.stderr.decode()


def write_hostile(admin):
    with admin.gate.client() as client:
        for key in HOSTILE:
            client.ok("SET", key, "v")
        client.call("FLUSHALL")


def test_metrics_pass_promtool_whatever_the_keys_are(admin):
    admin.gate.reload(proxy={"max-key-size": "64kb"})
    write_hostile(admin)
    promtool(admin)
    found = metrics(admin)
    assert found["respgate_requests_denied_total", None] == 1
    assert found["respgate_rule_denied_total", "no-flush"] == 1
    assert found["respgate_command_calls_total", "set"] == len(HOSTILE)
    writes = sum(value for (name, _), value in found.items() if name == "respgate_prefix_writes_total")
    assert writes == len(HOSTILE)


def test_labels_are_cut(admin):
    write_hostile(admin)
    assert max(len(label or "") for _, label in metrics(admin)) <= 400


def test_what_is_counted_is_what_was_done(admin):
    with admin.gate.client() as client:
        for i in range(7):
            client.ok("SET", f"job:state:{i}", "x" * 100)
        client.call("GET job:state:1")
        client.call("DEL job:state:1 job:state:2")
    found = metrics(admin)
    assert found["respgate_prefix_writes_total", "job:state"] >= 7
    assert found["respgate_prefix_write_bytes_total", "job:state"] >= 700
    assert found["respgate_prefix_reads_total", "job:state"] == 1
    assert found["respgate_prefix_deletes_total", "job:state"] == 2
    assert found["respgate_node_up", "redis"] == 1
    buckets = [value for (name, _), value in found.items() if name == "respgate_backend_seconds_bucket"]
    assert buckets == sorted(buckets) and buckets[-1] == found["respgate_backend_seconds_count", None] >= 9
    assert found["respgate_backend_seconds_sum", None] > 0
    assert found["respgate_memory_bytes", "resident"] > 1e6
    row = next(row for row in admin.rows("prefixes") if row["prefix"] == "job:state")
    assert row["minute-writes"] >= 7 and row["writer"].startswith("127.0.0.1")


def test_each_command_and_node_has_a_histogram_of_its_times(admin):
    with admin.gate.client() as client:
        for i in range(5):
            client.ok("SET", f"job:state:{i}", "x")
        client.call("GET job:state:1")
        client.call("FLUSHALL") # refused: it never was at the backend
    found = metrics(admin)
    for name, label, least in (("command_backend", "set", 5), ("command_backend", "get", 1),
                               ("command_proxy", "set", 5), ("node_backend", "redis", 6)):
        buckets = [value for (metric, labels), value in found.items()
                   if metric == f"respgate_{name}_seconds_bucket" and labels[0] == label]
        assert len(buckets) == 16 and buckets == sorted(buckets)
        assert buckets[-1] == found[f"respgate_{name}_seconds_count", label] >= least
    assert found["respgate_command_backend_seconds_count", "set"] == 5
    assert ("respgate_command_backend_seconds_count", "flushall") not in found
    promtool(admin)


def test_users_are_counted_with_their_connections(admin):
    clients = [admin.gate.client() for _ in range(3)]
    for client in clients:
        client.call("PING")
    found = metrics(admin)
    assert found["respgate_clients", None] == found["respgate_user_clients", "(none)"] == 3
    assert found["respgate_user_requests_total", "(none)"] == 3
    for client in clients:
        client.close()
    wait_until(lambda: metrics(admin)["respgate_user_clients", "(none)"] == 0, "all to be gone")
    assert admin.rows("users")[0]["requests"] == 3


# -- probes ------------------------------------------------------------------------------------


def test_probes_tell_a_backend_that_is_away(start_gate, start_redis):
    redis = start_redis()
    admin = Admin(start_gate(redis, admin=Admin.ports()))
    wait_until(lambda: admin.get("/readyz")[0] == 200, "readiness")
    assert admin.get("/healthz")[::2] == (200, b"ok\n")
    redis.kill()
    wait_until(lambda: admin.get("/readyz")[::2] == (503, b"no backend\n"), "the loss to be told")
    assert admin.get("/healthz")[0] == 200
    redis.start()
    wait_until(lambda: admin.get("/readyz")[0] == 200, "readiness", 20)


def test_probes_tell_draining(start_gate, store):
    gate = start_gate(store, admin=Admin.ports(), proxy={"drain-timeout": "20s"})
    admin = Admin(gate)
    wait_until(lambda: admin.get("/readyz")[0] == 200, "readiness")
    with gate.client() as client:
        client.ok("MULTI") # holds up the end
        gate.process.signal(15)
        wait_until(lambda: admin.get("/readyz")[::2] == (503, b"draining\n"), "draining to be told")
        assert admin.get("/healthz")[0] == 200
        client.call("EXEC")
    assert gate.process.wait_exit(10) == 0


# -- the page's data ---------------------------------------------------------------------------


def test_tables_as_json(admin):
    write_hostile(admin)
    for table in ("stats", "prefixes", "commands", "rules", "clients", "users", "nodes", "links", "hot", "big",
                  "slow", "memory", "config", "audit", "version"):
        assert isinstance(admin.rows(table), list), table
    rows = admin.rows("prefixes", by="writes", limit=3)
    assert len(rows) == 3
    names = {row["prefix"] for row in admin.rows("prefixes")}
    assert '"><script>alert(1)</script>' in names and "x\\\\x0a" in names, "as it is, and with two backslashes"
    assert admin.rows("version")[0] == {"name": "version", "value": "0.1.0"}


def test_live_holds_all_the_page_shows(admin):
    live = admin.json("/api/live.json")
    assert {"now", "clock", "stats", "prefixes", "prefixes_bytes", "rules", "nodes", "clients", "commands",
            "audit", "version", "history"} <= set(live)
    wait_until(lambda: len(admin.json("/api/live.json")["history"]) >= 2, "two samples")


def test_secrets_are_in_no_answer(guarded, store):
    admin = guarded()
    for path in ("/api/config.json", "/api/live.json", "/metrics", "/"):
        status, _, body = admin.get(path, basic(PASSWORD))
        assert status == 200 and PASSWORD.encode() not in body


def test_the_page_needs_nothing_from_elsewhere(admin):
    status, headers, body = admin.get("/")
    assert status == 200
    assert not re.search(rb'(?:src|href)\s*=\s*"(?!data:)|@import|url\(|https?://(?!www\.w3\.org)', body)
    policy = headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy and "unsafe" not in policy and "frame-ancestors 'none'" in policy
    assert headers["X-Content-Type-Options"] == "nosniff"


def test_head_and_unknown_paths(admin):
    assert admin.get("/metrics", method="HEAD")[::2] == (200, b"")
    for path in ("/nothing", "/api/", "/api/.json", "/api/nothing.json", "/api/stats", "//", "/../etc/passwd",
                 "/api/stats.json/", "/%2e%2e/"):
        assert admin.get(path)[0] in (400, 404), path


def test_pressure_and_queues_are_told(start_gate, start_redis):
    redis = start_redis(maxmemory="20mb", maxmemory_policy="noeviction")
    admin = Admin(start_gate(redis, admin=Admin.ports(), extra="[pressure]\npoll = 100ms\nstream-poll = 100ms\n"
                                                               "[queue jobs]\nkeys = firehose\nmax-length = 1000\n"))
    with admin.gate.client() as client:
        for i in range(7):
            client.call("XADD", "firehose", "*", "f", "v")
        client.ok("XGROUP", "CREATE", "firehose", "g", "0")
    wait_until(lambda: any(row["limit"] == 20 << 20 and row["used"] > 0 for row in admin.rows("pressure")), "the limit")
    row = admin.rows("pressure")[0]
    assert row["node"] == "redis" and row["memory"] == "normal" and row["rdb-ok"] == 1
    wait_until(lambda: [row["length"] for row in admin.rows("queues")] == [7]
               and admin.rows("queues")[0]["groups"] == 1, "the queue to be measured")
    queue = admin.rows("queues")[0]
    assert (queue["key"], queue["queue"], queue["type"], queue["max-length"]) == ("firehose", "jobs", "stream", 1000)
    found = metrics(admin)
    assert found["respgate_node_memory_limit_bytes", "redis"] == 20 << 20
    assert found["respgate_queue_length", "firehose"] == 7
    promtool(admin)


def test_hot_keys_are_seen_as_key_names_says(start_gate, store):
    admin = Admin(start_gate(store, admin=Admin.ports()))
    with admin.gate.client() as client:
        for i in range(500):
            client.ok("SET", f"session:token{i}", "x" * 2000)
    wait_until(lambda: admin.rows("hot"), "a sampled key")
    assert [row["key"] for row in admin.rows("hot")] == ["session:*"]
    assert {row["key"] for row in admin.rows("big")} == {"session:*"}
    assert b"token" not in admin.get("/api/live.json")[2] + admin.get("/metrics")[2]


# -- who may -----------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE"])
def test_nothing_but_get_is_taken(admin, method):
    """So a form on another page can change nothing, whatever it sends."""
    for path in ("/", "/api/rules.json", "/metrics"):
        status, headers, _ = admin.get(path, {"Origin": "http://evil.example", "Content-Type": "text/plain"},
                                       method, b"RULE no-flush OFF\r\n")
        assert status == 405 and headers["Allow"] == "GET, HEAD"
        assert "Access-Control-Allow-Origin" not in headers
    with admin.gate.client() as client:
        assert client.call("FLUSHALL").code == "NOPERM"


@pytest.mark.parametrize("host, status", [
    ("127.0.0.1", 200), ("127.0.0.1:9180", 200), ("localhost:9180", 200), ("LOCALHOST", 200), ("[::1]:9180", 200),
    ("evil.example", 403), ("evil.example:9180", 403), ("127.0.0.1.evil.example", 403), ("localhost.evil.example", 403),
    ("127.0.0.1@evil.example", 403), ("", 403), ("x" * 200, 403)])
def test_a_name_that_points_here_is_refused(admin, host, status):
    """DNS rebinding: a page's own name, pointed at 127.0.0.1, is still in the Host header."""
    for path in ("/", "/api/clients.json", "/metrics"):
        assert admin.get(path, {"Host": host})[0] == status
    assert admin.get("/healthz", {"Host": host})[0] == 200


def test_with_a_password_it_is_asked_for(guarded):
    admin = guarded()
    for path in ("/", "/api/live.json", "/api/config.json", "/nothing"):
        status, headers, _ = admin.get(path)
        assert status == 401 and headers["WWW-Authenticate"].startswith("Basic realm="), path
        assert admin.get(path, basic("wrong"))[0] in (401, 429)
    for path in ("/metrics", "/healthz", "/readyz"):
        assert admin.get(path)[0] in (200, 503)


def test_metrics_can_be_closed(guarded):
    admin = guarded(**{"metrics-open": "no"})
    assert admin.get("/metrics")[0] == 401
    assert admin.get("/metrics", basic(PASSWORD))[0] == 200
    assert admin.get("/healthz")[0] == 200


def test_guessing_is_slow(guarded):
    admin = guarded()
    found = [admin.get("/", basic(f"guess{i}"))[0] for i in range(12)]
    assert found[:5] == [401] * 5 and 429 in found
    wait_until(lambda: admin.get("/", basic(PASSWORD))[0] == 200, "the right one to be looked at again")


@pytest.mark.parametrize("value", ["Basic", "Basic !!!", "Basic " + "A" * 4000, "Bearer x", "Basic Og==", "Digest x"])
def test_malformed_logins_are_refused(guarded, value):
    assert guarded().get("/", {"Authorization": value})[0] == 401


# -- hostile bytes -----------------------------------------------------------------------------


@pytest.fixture
def traffic(admin):
    """A client whose commands must be answered at any moment."""
    with admin.gate.client() as client:
        yield lambda: client.call("PING") == b"PONG"


@pytest.mark.parametrize("data, statuses", [
    (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", {400}),
    (b"*1\r\n$4\r\nPING\r\n\r\n", {400, 405}),
    (b"GET / HTTP/9.9\r\nHost: localhost\r\n\r\n", {400, 505}),
    (b"GET /\r\n\r\n", {400, 200, 505}),
    (b"GET / HTTP/1.1\r\n\r\n", {400}),
    (b"GET / HTTP/1.1\r\nHost: localhost\r\nno colon here\r\n\r\n", {400}),
    (b"GET /" + b"a" * 30000 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n", {413, 414, 431}),
    (b"GET / HTTP/1.1\r\nHost: localhost\r\nX: " + b"a" * 30000 + b"\r\n\r\n", {413, 431}),
    (b"GET / HTTP/1.1\r\nHost: localhost\r\n" + b"X: y\r\n" * 5000 + b"\r\n", {413, 431}),
    (b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 999999999999\r\n\r\n", {405, 413}),
    (b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: -5\r\n\r\n", {400}),
    (b"POST / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\n", {400, 405, 413}),
], ids=["tls", "resp", "version", "old", "no host", "no colon", "long line", "long header", "many headers",
        "huge body", "negative body", "huge chunk"])
def test_garbage_is_closed_with_a_status(admin, traffic, data, statuses):
    answer = b""
    with socket.create_connection(("127.0.0.1", admin.http_port), timeout=15 * FACTOR) as sock:
        try:
            sock.sendall(data)
            sock.shutdown(socket.SHUT_WR)
            while piece := sock.recv(65536):
                answer += piece
        except OSError:
            pass  # a reset may come before what we still send, and before the shutdown
    if answer:
        assert int(answer.split()[1]) in statuses, answer[:200]
    assert traffic()
    assert admin.get("/healthz")[0] == 200


def test_a_slow_head_is_closed_with_408(admin, traffic):
    """One byte now and then keeps no connection."""
    with socket.create_connection(("127.0.0.1", admin.http_port), timeout=1) as sock:
        sock.sendall(b"GET / HTTP/1.1\r\n")
        answer = b""

        def ended():
            nonlocal answer
            try:
                sock.sendall(b"X")
                piece = sock.recv(1000)
            except TimeoutError:
                return False
            except ConnectionError:
                return True
            answer += piece
            return not piece
        sock.settimeout(0.5)
        wait_until(ended, "the slow one to be closed", 20)
    assert answer.startswith(b"HTTP/1.1 408 ") or not answer
    assert traffic()


def test_many_connections_are_bounded_and_traffic_unaffected(admin, traffic):
    idle = [socket.create_connection(("127.0.0.1", admin.http_port), timeout=5) for _ in range(150)]
    try:
        assert traffic()
        assert admin.get("/healthz")[0] == admin.get("/metrics")[0] == 200 # they make room
    finally:
        for sock in idle:
            sock.close()

    def served():
        try:
            return admin.get("/healthz")[0] == 200
        except OSError:
            return False
    wait_until(served, "room again")
    assert traffic()


def test_what_stands_behind_a_nul_belongs_to_the_path(admin):
    assert admin.get("/metrics%00x")[0] == 404
    assert admin.get("/api/stats.json%00")[0] == 404
    assert admin.get("/%6detrics")[0] == 200


def test_pipelined_and_kept_alive(admin):
    request = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"
    last = b"GET /readyz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
    answer = admin.raw(request * 3 + b"GET /api/version.json HTTP/1.1\r\nHost: localhost\r\n\r\n" + last)
    assert answer.count(b"HTTP/1.1 200 OK") >= 4 and answer.count(b"\r\n\r\nok\n") == 3


def test_clients_that_leave_while_a_report_goes_round(admin, traffic):
    for _ in range(50):
        with socket.create_connection(("127.0.0.1", admin.http_port), timeout=5) as sock:
            sock.sendall(b"GET /api/live.json HTTP/1.1\r\nHost: localhost\r\n\r\n")
    assert traffic()
    wait_until(lambda: admin.get("/metrics")[0] == 200, "an answer")
