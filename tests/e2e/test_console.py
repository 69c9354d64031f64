"""The console: what redis-cli shows, who may look, who may change, and that nobody else can."""
import os
import pty
import select
import socket
import subprocess

import pytest

from harness.admin import Admin
from harness.process import free_port
from harness.servers import run_binary, section
from harness.waiting import FACTOR, wait_until
from harness.wire import Client, Closed, Error

pytestmark = pytest.mark.needs_gate

DENY = "[rule no-flush]\ncommands = flushall\naction = deny\n"
PASSWORD = "zzsecretzz"


@pytest.fixture
def admin(start_gate, store):
    """Without a password: it looks and changes nothing."""
    return Admin(start_gate(store, extra=DENY, admin=Admin.ports()))


@pytest.fixture
def password_file(tmp_path):
    path = tmp_path / "admin.password"
    path.write_text(PASSWORD + "\n")
    path.chmod(0o600)
    return path


@pytest.fixture
def guarded(start_gate, store, password_file):
    """With a password."""
    return Admin(start_gate(store, extra=DENY, admin=Admin.ports(**{"password-file": password_file})))


@pytest.fixture
def operator(guarded):
    """A console that has logged in."""
    with guarded.console() as console:
        console.ok("AUTH", PASSWORD)
        console.admin = guarded
        yield console


# -- how tables read ---------------------------------------------------------------------------


def test_redis_cli_shows_lines_in_columns(admin):
    lines = admin.cli("SHOW", "RULES").splitlines()
    head, row = lines[0], lines[1]
    assert head.split() == ["rule", "action", "mode", "hits", "denied", "limited", "delayed", "observed"]
    assert row.split()[0] == "no-flush" and "enforce" in row
    assert row.index("enforce") == head.index("mode"), "under its column"


def test_a_terminal_sees_no_quotes_or_escapes(admin):
    """redis-cli quotes bulk strings on a terminal; lines are status replies, which it does not."""
    script = subprocess.run(["script", "-qec", f"redis-cli -p {admin.console_port} SHOW VERSION", "/dev/null"],
                            capture_output=True, text=True, timeout=20 * FACTOR, stdin=subprocess.DEVNULL)
    assert "version" in script.stdout and '"' not in script.stdout, script.stdout


def test_redis_cli_3_shows_maps(admin):
    out = admin.cli("SHOW", "RULES", flags=["-3", "--json"])
    assert '"rule":"no-flush"' in out and '"denied":0' in out


def test_resp3_has_maps_and_resp2_by_hello_has_arrays(admin):
    with admin.console() as console:
        console.call("HELLO", "3")
        table = console.call("SHOW", "RULES")
        assert table[0][b"rule"] == b"no-flush" and table[0][b"denied"] == 0
    with admin.console() as console:
        hello = console.call("HELLO", "2")
        assert hello[hello.index(b"proto") + 1] == 2
        table = console.call("SHOW", "RULES")
        assert table[0][0] == b"rule" and table[1][0] == b"no-flush" and table[1][4] == 0


def test_every_table_can_be_shown_in_every_form(admin):
    names = [line.split()[1] for line in admin.cli("SHOW").splitlines() if line.startswith("SHOW ")
             and line.split()[1].isupper()]
    assert {"STATS", "PREFIXES", "COMMANDS", "RULES", "CLIENTS", "NODES", "HOT", "BIG", "SLOW",
            "CONFIG", "VERSION", "AUDIT"} <= set(names)
    for setup in (), ("HELLO", "2"), ("HELLO", "3"):
        with admin.console() as console:
            if setup:
                console.call(*setup)
            for name in names:
                reply = console.call("SHOW", name)
                assert isinstance(reply, list) and not isinstance(reply, Error), (name, reply)


def test_show_by_and_limit(admin):
    with admin.gate.client() as client:
        for command in ("SET k v", "GET k", "PING"):
            client.call(command)
    lines = admin.cli("SHOW", "stats", "BY", "value", "LIMIT", "3").splitlines()
    values = [int(line.split()[1]) for line in lines[1:4]]
    assert values == sorted(values, reverse=True)
    assert "more: LIMIT n" in lines[4]
    assert admin.call("SHOW", "STATS", "BY", "nothing") == "ERR no column 'nothing' in SHOW stats"
    for wrong in (("LIMIT", "0"), ("LIMIT",), ("SINCE", "1"), ("LIMIT", "x")):
        assert admin.call("SHOW", "STATS", *wrong).code == "ERR"


def test_clients_are_shown_as_they_are(admin):
    with admin.gate.client() as client, admin.console() as console:
        client.ok("CLIENT", "SETNAME", "web-1")
        client.ok("SELECT 3")
        number = client.call("CLIENT ID")
        console.call("HELLO", "3")
        row = next(row for row in console.call("SHOW", "CLIENTS") if row[b"id"] == number)
        assert row[b"name"] == b"web-1" and row[b"db"] == 3
        assert row[b"address"] == b"127.0.0.1:%d" % client.sock.getsockname()[1]


def test_config_hides_secrets(guarded, operator):
    text = b"\n".join(operator.call("SHOW", "CONFIG")).decode()
    assert "no-flush" in text and "password-file" in text and PASSWORD not in text


def test_names_cannot_break_a_line(admin):
    """A client's name holds no newline, but its keys do: in the audit log they are escaped."""
    admin.gate.reload("[rule r]\ncommands = set\naction = deny\n", expect="reload done")
    admin.gate.log_options["key-names"] = "full"
    admin.gate.reload()
    with admin.gate.client() as client:
        client.call("SET", b"evil\r\n+OK\r\n\x1b[31m\"><script>", "v")
    lines = admin.call("SHOW", "AUDIT")
    assert not any(b"\n" in line or b"\x1b" in line for line in lines)
    assert any(b"script" in line for line in lines)


# -- commands and mistakes ---------------------------------------------------------------------


def test_a_slip_is_told_the_nearest_word(admin):
    assert "did you mean 'show'?" in admin.call("SHWO", "STATS")
    assert "did you mean 'prefixes'?" in admin.call("SHOW", "PREFIX")
    assert admin.call(b"xyzzy\r\nabc", "1") == "ERR unknown command 'xyzzy\\x0d\\x0aabc'; SHOW lists what there is"


def test_redis_cli_starts_interactively(admin):
    """It asks for COMMAND DOCS first, and its own help knows the verbs then."""
    master, slave = pty.openpty()
    shell = subprocess.Popen(["redis-cli", "-p", str(admin.console_port)], stdin=slave, stdout=slave,
                             stderr=slave, env={**os.environ, "TERM": "dumb"})
    os.close(slave)
    seen = b""

    def until(text):
        nonlocal seen
        while text not in seen:
            ready, _, _ = select.select([master], [], [], 20 * FACTOR)
            assert ready, seen
            seen += os.read(master, 65536)
    try:
        until(b"> ")
        os.write(master, b"SHOW RULES\n")
        until(b"no-flush")
        os.write(master, b"help drain\n")
        until(b"let the clients go")
        os.write(master, b"quit\n")
        assert shell.wait(20 * FACTOR) == 0
    finally:
        shell.kill()
        shell.wait()
        os.close(master)


@pytest.mark.parametrize("data", [b"*2147483647\r\n", b"*1\r\n$99999999\r\n", b"*1\r\n$-5\r\n", b"*1\r\n+PING\r\n",
                                  b"x" * 70000, b"*40\r\n" + b"$1\r\nx\r\n" * 40],
                         ids=["huge count", "huge bulk", "negative", "no bulk", "long line", "many arguments"])
def test_malformed_input_closes_this_console_alone(admin, data):
    with admin.console() as bad, admin.console() as good:
        bad.send(data)
        with pytest.raises((Closed, ConnectionError)):
            while bad.read().startswith("ERR"):
                pass
        assert good.call("PING") == b"PONG"


def test_half_closed_still_gets_its_answer(admin):
    with socket.create_connection(("127.0.0.1", admin.console_port)) as sock:
        sock.sendall(b"SHOW RULES\r\n")
        sock.shutdown(socket.SHUT_WR)
        answer = b""
        while piece := sock.recv(65536):
            answer += piece
    assert b"no-flush" in answer


def test_pipelined_commands_are_answered_in_order(admin):
    with admin.console() as console:
        console.send(b"PING a\r\nSHOW RULES\r\nPING b\r\nSHOW NODES\r\nPING c\r\n")
        replies = [console.read() for _ in range(5)]
    assert [replies[0], replies[2], replies[4]] == [b"a", b"b", b"c"]
    assert b"no-flush" in replies[1][1] and b"redis" in replies[3][1]


def test_only_so_many_consoles_and_those_that_idle_make_room(admin):
    consoles = [admin.console() for _ in range(64)]
    try:
        for console in consoles:
            assert console.call("PING") == b"PONG"
        with admin.console() as one_more:
            assert one_more.call("PING") == b"PONG"
        with pytest.raises((Closed, ConnectionError)):
            consoles[0].call("PING")
        assert consoles[-1].call("PING") == b"PONG"
    finally:
        for console in consoles:
            console.close()


def test_without_the_password_nobody_keeps_the_operator_out(guarded):
    with guarded.console() as operator:
        operator.ok("AUTH", PASSWORD)
        strangers = [guarded.console() for _ in range(100)]
        assert operator.call("PING") == b"PONG"
        with guarded.console() as one_more:
            one_more.ok("AUTH", PASSWORD)
        for console in strangers:
            console.close()
    wait_until(lambda: b"PONG" in try_ping(guarded), "all to be gone")
    consoles = [guarded.console() for _ in range(64)]
    try:
        for console in consoles:
            console.ok("AUTH", PASSWORD)
        with guarded.console() as one_more, pytest.raises((Closed, ConnectionError)):
            one_more.call("PING")
    finally:
        for console in consoles:
            console.close()
    wait_until(lambda: b"PONG" in try_ping(guarded), "room for a console again")


def try_ping(admin):
    try:
        return admin.call("PING")
    except (Closed, ConnectionError):
        return b""


# -- who may -----------------------------------------------------------------------------------

CHANGES = [("RULE", "no-flush", "OFF"), ("RELOAD",), ("DRAIN",), ("CLIENT", "KILL", "1"), ("RESET", "COUNTERS"), ("CONFIRM", "x")]


@pytest.mark.parametrize("change", CHANGES)
def test_without_a_password_nothing_can_be_changed(admin, change):
    """A sidecar shares loopback with the app it guards."""
    for prefix in (), ("AUTH", ""), ("AUTH", "x"), ("HELLO", "3", "AUTH", "default", "x"):
        with admin.console() as console:
            if prefix:
                console.call(*prefix)
            assert console.call(*change).code == "NOPERM"
    with admin.gate.client() as client:
        assert client.call("FLUSHALL").code == "NOPERM"
    assert admin.gate.alive()


@pytest.mark.parametrize("change", CHANGES + [("SHOW", "CLIENTS"), ("SHOW", "CONFIG"), ("HELP",), ("NONSENSE",)])
def test_with_a_password_it_is_asked_for(guarded, change):
    assert guarded.call(*change).code == "NOAUTH"
    with guarded.console() as console:
        assert console.call("AUTH", "wrong").code == "WRONGPASS"
        assert console.call(*change).code == "NOAUTH"
        assert console.call("HELLO", "3").code == "NOAUTH"
        assert console.call("HELLO", "3", "AUTH", "admin", "wrong").code == "WRONGPASS"
        assert console.call(*change).code == "NOAUTH"


def test_login_by_redis_cli_and_hello(guarded):
    assert "no-flush" in guarded.cli("SHOW", "RULES", flags=["-a", PASSWORD, "--no-auth-warning"])
    assert "no-flush" in guarded.cli("SHOW", "RULES", flags=["-3", "-a", PASSWORD, "--no-auth-warning"])
    with guarded.console() as console:
        assert console.call("HELLO", "3", "AUTH", "anybody", PASSWORD)[b"server"] == b"respgate"
        assert console.call("SHOW", "RULES")[0][b"rule"] == b"no-flush"


def test_guessing_is_slow(guarded):
    with guarded.console() as console:
        codes = [console.call("AUTH", f"guess{i}") for i in range(20)]
    assert [code.code for code in codes[:5]] == ["WRONGPASS"] * 5
    assert "try again in a second" in codes[-1]


def test_a_changed_password_ends_what_the_old_one_opened(operator, password_file):
    operator.ok("RULE", "no-flush", "OBSERVE")
    password_file.write_text("another\n")
    operator.admin.gate.reload()
    assert operator.call("SHOW", "RULES").code == "NOAUTH"
    assert operator.call("AUTH", PASSWORD).code == "WRONGPASS"
    operator.ok("AUTH", "another")
    assert isinstance(operator.call("SHOW", "RULES"), list)


@pytest.mark.parametrize("request_line", [b"POST /RULE HTTP/1.1\r\n", b"GET / HTTP/1.1\r\n", b"Host: x\r\n",
                                          b"OPTIONS * HTTP/1.1\r\n"])
def test_http_on_the_console_is_closed_before_its_lines_are_read(operator, request_line):
    """A page can make a browser send any bytes here, behind a first line of HTTP."""
    admin = operator.admin
    with admin.console() as console:
        console.send(request_line + b"Content-Type: text/plain\r\n\r\nAUTH " + PASSWORD.encode()
                     + b"\r\nRULE no-flush OFF\r\n")
        with pytest.raises((Closed, ConnectionError)):
            console.read()
    with admin.gate.client() as client:
        assert client.call("FLUSHALL").code == "NOPERM"


# -- changes -----------------------------------------------------------------------------------


def test_rule_off_holds_until_the_next_reload(operator):
    gate = operator.admin.gate
    with gate.client() as client:
        assert client.call("FLUSHALL").code == "NOPERM"
        operator.ok("RULE", "no-flush", "OFF")
        wait_until(lambda: client.call("FLUSHALL") == b"OK", "the rule to be off")
        assert b"off" in operator.call("SHOW", "RULES")[1]
        operator.ok("rule", "no-flush", "enforce")
        wait_until(lambda: client.call("FLUSHALL") != b"OK", "the rule to be back")
        operator.ok("RULE", "no-flush", "OFF")
        wait_until(lambda: client.call("FLUSHALL") == b"OK", "the rule to be off")
        operator.ok("RELOAD")
        wait_until(lambda: client.call("FLUSHALL") != b"OK", "the file to be in force")
    log = gate.process.log()
    assert "rule 'no-flush' is switched to off, until the next reload" in log and "console=" in log
    audit = b"\n".join(operator.call("SHOW", "AUDIT"))
    assert b"switched to off" in audit


def test_rule_observe_counts_and_lets_through(operator):
    operator.ok("RULE", "no-flush", "OBSERVE")
    with operator.admin.gate.client() as client:
        wait_until(lambda: client.call("FLUSHALL") == b"OK", "the rule to observe")
    assert operator.admin.gate.process.log().count("no-flush") > 1


def test_rule_for_a_while_ends_by_itself(operator):
    with operator.admin.gate.client() as client:
        operator.ok("RULE", "no-flush", "OFF", "FOR", "300ms")
        wait_until(lambda: client.call("FLUSHALL") == b"OK", "the rule to be off")
        wait_until(lambda: client.call("FLUSHALL") != b"OK", "its time to be over")


def test_mistaken_rules_change_nothing(operator):
    for wrong in (("RULE",), ("RULE", "no-flush"), ("RULE", "no-flush", "ON"), ("RULE", "no-flush", "OFF", "FOR"),
                  ("RULE", "no-flush", "OFF", "FOR", "0"), ("RULE", "no-flush", "OFF", "FOR", "never")):
        assert operator.call(*wrong) == "ERR syntax: RULE name OFF|OBSERVE|ENFORCE [FOR 10m]"
    assert "did you mean 'no-flush'?" in operator.call("RULE", "no-flsh", "OFF")
    with operator.admin.gate.client() as client:
        assert client.call("FLUSHALL").code == "NOPERM"


def test_reload_answers_with_the_mistakes(operator):
    gate = operator.admin.gate
    gate.write_config(gate.config_text() + "[rule x]\ncommands = flushal\naction = deny\n")
    answer = operator.call("RELOAD")
    assert answer.startswith("ERR reload failed") and "flushal" in answer and ".conf:" in answer
    gate.write_config()
    operator.ok("RELOAD")


def test_client_kill(operator):
    with operator.admin.gate.client() as client:
        number = client.call("CLIENT ID")
        assert operator.call("CLIENT", "KILL", "99999") == "ERR No such client"
        assert operator.call("CLIENT", "KILL", "x").startswith("ERR syntax")
        operator.ok("CLIENT", "KILL", str(number))
        with pytest.raises((Closed, ConnectionError)):
            client.call("PING")


def test_reset_counters(operator):
    admin = operator.admin
    with admin.gate.client() as client:
        for command in ("SET job:state:1 x", "GET job:state:1", "FLUSHALL"):
            client.call(command)
        operator.call("HELLO", "3")
        counted = {row[b"name"]: row[b"value"] for row in operator.call("SHOW", "STATS")}
        assert counted[b"requests_total"] == 3 and counted[b"requests_denied_total"] == 1
        assert operator.call("SHOW", "PREFIXES")[0][b"writes"] == 1
        operator.ok("RESET", "COUNTERS")
        counted = {row[b"name"]: row[b"value"] for row in operator.call("SHOW", "STATS")}
        assert counted[b"requests_total"] == 0 and counted[b"requests_denied_total"] == 0
        assert operator.call("SHOW", "RULES")[0][b"denied"] == 0
        assert not any(row[b"writes"] for row in operator.call("SHOW", "PREFIXES"))
        client.ok("SET job:state:2 x")
        prefixes = {row[b"prefix"]: row[b"writes"] for row in operator.call("SHOW", "PREFIXES")}
        assert prefixes[b"job:state"] == 1


CONFIRM = "[rule ask]\ncommands = flushall\naction = confirm\nconfirm = console\n"


def test_confirm_by_the_console(start_gate, store, password_file):
    admin = Admin(start_gate(store, extra=CONFIRM, admin=Admin.ports(**{"password-file": password_file})))
    with admin.gate.client() as client, admin.console() as console:
        console.ok("AUTH", PASSWORD)
        assert console.call("CONFIRM") == []
        refusal = client.call("FLUSHALL")
        assert refusal.code == "NOPERM"
        code, what = console.call("CONFIRM")[0].decode().split(" ", 1)
        assert code not in refusal and "'flushall' by rule 'ask'" in what
        assert console.call("CONFIRM", "A" * len(code)).code == "ERR"
        assert client.call("FLUSHALL").code == "NOPERM"
        code = console.call("CONFIRM")[-1].decode().split()[0]
        console.ok("CONFIRM", code)
        wait_until(lambda: client.call("FLUSHALL") == b"OK", "the confirmed command to run")
        assert client.call("FLUSHALL").code == "NOPERM", "once"


def test_codes_are_not_for_those_who_may_only_look(start_gate, store):
    """An application could confirm its own command with one."""
    admin = Admin(start_gate(store, extra=CONFIRM, admin=Admin.ports()))
    with admin.gate.client() as client:
        assert client.call("FLUSHALL").code == "NOPERM"
    assert admin.call("CONFIRM").code == "NOPERM"
    shown = b"\n".join(admin.call("SHOW", "AUDIT"))
    assert b"flushall" in shown and b"detail" not in shown.split(b"confirm", 1)[1].split(b"\n")[0]
    assert b"by rule 'ask'" not in shown + admin.get("/api/audit.json")[2] + admin.get("/api/live.json")[2]


def test_drain_ends_the_process(start_gate, store, password_file):
    admin = Admin(start_gate(store, admin=Admin.ports(**{"password-file": password_file})))
    with admin.console() as console:
        console.ok("AUTH", PASSWORD)
        console.ok("DRAIN")
        assert admin.gate.process.wait_exit(10) == 0


# -- where it listens --------------------------------------------------------------------------


def check(tmp_path, admin, proxy=None):
    path = tmp_path / "check.conf"
    path.write_text(section("proxy", proxy or {}) + section("admin", admin))
    path.chmod(0o600)
    return run_binary("-t", "-c", path)


@pytest.mark.parametrize("key", ["console", "http"])
@pytest.mark.parametrize("address", ["0.0.0.0:7000", "[::]:7000", "10.1.2.3:7000"])
def test_beyond_loopback_a_password_is_required(tmp_path, password_file, key, address):
    code, _, errors = check(tmp_path, {key: address})
    assert code == 1 and "it needs a password-file" in errors and ":3:" in errors
    code, _, errors = check(tmp_path, {key: address, "password-file": password_file})
    assert code == 0, errors


def test_addresses_that_cannot_be(tmp_path):
    code, _, errors = check(tmp_path, {"console": "tls://127.0.0.1:7000"})
    assert code == 1 and "needs tls-cert-file" in errors
    code, _, errors = check(tmp_path, {"http": "tls://127.0.0.1:7000"})
    assert code == 1 and "cannot be TLS" in errors
    code, _, errors = check(tmp_path, {"http": "nonsense"})
    assert code == 1 and "no address" in errors


def test_a_unix_console_is_its_owners_alone(start_gate, store, tmp_path):
    path = tmp_path / "console.sock"
    gate = start_gate(store, extra=DENY, admin={"console": f"unix:{path}"})
    assert os.stat(path).st_mode & 0o777 == 0o600
    with Client(path=path) as console:
        assert b"no-flush" in console.call("SHOW", "RULES")[1]
        assert console.call("RULE", "no-flush", "OFF").code == "NOPERM"
    gate.stop()
    assert not path.exists()


def test_a_console_over_tls(start_gate, store, certs):
    cert, key = certs.server
    port = free_port()
    start_gate(store, extra=DENY, admin={"console": f"tls://127.0.0.1:{port}"},
               proxy={"tls-cert-file": cert, "tls-key-file": key})
    with Client(port, tls=certs.context()) as console:
        assert b"no-flush" in console.call("SHOW", "RULES")[1]


def test_a_named_port_that_is_taken_is_an_error(store, tmp_path):
    path = tmp_path / "taken.conf"
    path.write_text(section("proxy", {"listen": f"127.0.0.1:{free_port()}"})
                    + section("admin", {"console": f"127.0.0.1:{store.port}", "http": ""}))
    path.chmod(0o600)
    code, _, errors = run_binary("-c", path)
    assert code == 1 and "[admin] console" in errors and "in use" in errors


def test_a_console_that_does_not_read_is_no_burden(admin):
    """Its answers wait in its own connection; others are answered."""
    with admin.console() as lazy:
        lazy.send(b"SHOW STATS\r\n" * 2000)
        assert admin.call("PING") == b"PONG"
        with admin.gate.client() as client:
            assert client.call("PING") == b"PONG"
