"""confirm: a command runs when its code comes back, once, from the same hand."""
import json
import re

import pytest

from harness.waiting import wait_until

CODE = re.compile(r"NOPERM respgate: '([A-Z ]+)' needs confirmation \(rule '([\w-]+)'\): "
                  r"RESPGATE CONFIRM ([a-z2-9]{10})$")
CONFIRM = "[rule x]\ncommands = flushdb, del\naction = confirm\n"
UNKNOWN = "ERR respgate: no command waits for this code"


@pytest.fixture
def confirming(start_gate, store):
    clients = []

    def start(extra=CONFIRM, **options):
        gate = start_gate(store, extra=extra, **options)

        def connect():
            clients.append(gate.client())
            return clients[-1]
        connect.gate = gate
        return connect
    yield start
    for client in clients:
        client.close()


def code_of(reply, command="FLUSHDB", rule="x"):
    hit = CODE.match(str(reply))
    assert hit and hit.groups()[:2] == (command, rule), reply
    return hit.group(3)


def test_a_confirmed_command_runs_once(confirming, store):
    client = confirming()()
    client.ok("SET k v")
    code = code_of(client.call("FLUSHDB"))
    assert store.call("DBSIZE") == 1
    client.ok("RESPGATE", "CONFIRM", code)
    assert client.call("GET k") == b"v" # others come between
    client.ok("FLUSHDB")
    assert store.call("DBSIZE") == 0
    assert code_of(client.call("FLUSHDB")) != code
    assert client.call("RESPGATE", "CONFIRM", code) == UNKNOWN


def test_what_was_confirmed_is_what_runs(confirming, store):
    connect = confirming()
    client, other = connect(), connect()
    code = code_of(client.call("DEL a"), "DEL")
    assert other.call("RESPGATE", "CONFIRM", code) == UNKNOWN
    client.ok("respgate", "confirm", code)
    code_of(other.call("DEL a"), "DEL")
    code_of(client.call("DEL b"), "DEL")
    code_of(client.call("DEL a b"), "DEL")
    client.ok("SELECT 1")
    code_of(client.call("DEL a"), "DEL")
    client.ok("SELECT 0")
    assert client.call("DEL a") == 0
    code_of(client.call("DEL a"), "DEL")


def test_of_a_script_the_whole_request_is_confirmed(confirming, store):
    client = confirming()()
    store.call("MSET junk 1 precious 1")
    delete = ("EVAL", "return redis.call('DEL', ARGV[1] .. '')", "0")
    client.ok("RESPGATE", "CONFIRM", code_of(client.call(*delete, "junk"), "DEL"))
    code_of(client.call(*delete, "precious"), "DEL")
    code_of(client.call("DEL precious"), "DEL")
    client.ok("SELECT 3")
    flush = ("EVAL", "return redis.call('FLUSHDB')", "0")
    client.ok("RESPGATE", "CONFIRM", code_of(client.call(*flush)))
    code_of(client.call("FLUSHDB"))
    client.ok("SELECT 0")
    code_of(client.call("FLUSHDB"))
    code_of(client.call(*flush))
    assert store.call("EXISTS junk precious") == 2
    assert client.call(*delete, "junk") == 1
    code_of(client.call(*delete, "junk"), "DEL")


def test_another_user_has_not_confirmed_it(confirming):
    digest = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"
    users = "".join(f"[user {name}]\npassword-sha256 = {digest}\n" for name in "ab")
    client = confirming(users + CONFIRM)()
    client.ok("AUTH a test")
    client.ok("RESPGATE", "CONFIRM", code_of(client.call("FLUSHDB")))
    client.ok("AUTH b test")
    code_of(client.call("FLUSHDB"))
    client.ok("AUTH a test")
    client.ok("FLUSHDB")


def test_five_wrong_codes_close_the_client(confirming):
    connect = confirming()
    client = connect()
    code = code_of(client.call("FLUSHDB"))
    for _ in range(4):
        assert client.call("RESPGATE", "CONFIRM", "aaaaaaaaaa") == UNKNOWN
    client.ok("RESPGATE", "CONFIRM", code) # counts from the start again
    for wrong in (code, "", "x" * 1000, "aaaaaaaaab"):
        assert client.call("RESPGATE", "CONFIRM", wrong) == UNKNOWN
    assert client.call("RESPGATE", "CONFIRM", "aaaaaaaaac") == UNKNOWN
    client.closed()
    connect.gate.wait_log("too many wrong confirmation codes")


def test_a_reload_voids_it(confirming):
    connect = confirming()
    client = connect()
    armed, code = code_of(client.call("DEL a"), "DEL"), code_of(client.call("FLUSHDB"))
    client.ok("RESPGATE", "CONFIRM", armed)
    connect.gate.reload(extra=CONFIRM + "[rule y]\ncommands = get\naction = allow\n",
                        expect="reload done")
    assert client.call("RESPGATE", "CONFIRM", code) == UNKNOWN
    code_of(client.call("DEL a"), "DEL")


def test_not_inside_multi(confirming):
    client = confirming()()
    client.ok("RESPGATE", "CONFIRM", code_of(client.call("FLUSHDB")))
    client.ok("MULTI")
    assert client.call("FLUSHDB") == \
        "NOPERM respgate: 'FLUSHDB' needs confirmation (rule 'x'): not inside MULTI"
    assert client.call("EXEC").code == "EXECABORT"
    client.ok("MULTI")
    assert client.call("RESPGATE HELP") == "ERR Command not allowed inside a transaction"
    assert client.call("EXEC").code == "EXECABORT"
    client.ok("FLUSHDB") # the confirmation is still there


def test_it_skips_this_rule_only(confirming):
    client = confirming(CONFIRM + "[rule z]\ncommands = flushdb\naction = confirm\n"
                        "[rule no]\ncommands = del\naction = deny\n")()
    client.ok("RESPGATE", "CONFIRM", code_of(client.call("FLUSHDB")))
    client.ok("RESPGATE", "CONFIRM", code_of(client.call("FLUSHDB"), rule="z"))
    client.ok("FLUSHDB")
    client.ok("RESPGATE", "CONFIRM", code_of(client.call("DEL a"), "DEL"))
    assert client.call("DEL a") == "NOPERM respgate: 'DEL' is denied by rule 'no'"


def test_with_a_rewrite_behind_it(confirming, store):
    client = confirming(CONFIRM + "[rule async]\ncommands = flushdb\naction = rewrite\nadd = ASYNC\n")()
    client.ok("RESPGATE", "CONFIRM", code_of(client.call("FLUSHDB")))
    client.ok("FLUSHDB")
    assert "cmdstat_flushdb" in store.call("INFO", "commandstats").decode()


def test_an_observing_rule_asks_nothing(confirming):
    connect = confirming(CONFIRM + "mode = observe\n")
    connect().ok("FLUSHDB")
    connect.gate.wait_log("observe: rule 'x' would refuse 'flushdb'")


def test_a_code_for_the_console_is_not_told_to_the_client(confirming, tmp_path):
    audit = tmp_path / "audit.log"
    connect = confirming(CONFIRM + "confirm = console\n", log={"audit-file": audit})
    client = connect()
    reply = client.call("FLUSHDB")
    assert reply == ("NOPERM respgate: 'FLUSHDB' needs confirmation (rule 'x'): "
                     "its code is on the admin console")

    def code():
        lines = [json.loads(line) for line in audit.read_text().splitlines()]
        return [line["detail"].split()[0] for line in lines if line.get("event") == "confirm"
                and "detail" in line]
    wait_until(code, "the code in the audit log")
    log = connect.gate.process.log()
    assert code()[0] not in log and code()[0] not in reply
    client.ok("RESPGATE", "CONFIRM", code()[0])
    client.ok("FLUSHDB")


def test_respgate_is_no_command_of_the_store(confirming, store):
    client = confirming()()
    assert client.call("RESPGATE HELP")[1] == b"CONFIRM <code>"
    for words in ("RESPGATE", "RESPGATE CONFIRM", "RESPGATE x y z"):
        assert client.call(words).code == "ERR"
    assert b"respgate" not in store.call("INFO", "commandstats")


def test_under_the_control_identity_where_there_is_one(start_redis, start_gate, tmp_path):
    """The application's own user at the store may not do it: that is the second wall."""
    redis = start_redis(user=[("app", "on", ">a", "~*", "&*", "+@all", "-flushdb"),
                              ("control", "on", ">c", "~*", "&*", "+@all"), ("default", "off")])
    secret = tmp_path / "control"
    secret.write_text("c\n")
    secret.chmod(0o600)
    gate = start_gate(redis, extra=CONFIRM, backend={"control-username": "control",
                                                     "control-password-file": secret})
    with gate.client() as client, gate.client() as stranger:
        client.ok("AUTH app a")
        client.ok("SELECT 3")
        client.ok("SET k v")
        client.ok("RESPGATE", "CONFIRM", code_of(client.call("FLUSHDB")))
        client.ok("FLUSHDB")
        assert client.call("DBSIZE") == 0
        code_of(client.call("FLUSHDB"))
        client.ok("SET k v")
        stranger.call("RESPGATE", "CONFIRM", code_of(stranger.call("FLUSHDB")))
        assert stranger.call("FLUSHDB").code == "NOAUTH"
        assert client.call("GET k") == b"v"


def test_without_one_as_the_client_itself(start_redis, start_gate):
    redis = start_redis(user=[("app", "on", ">a", "~*", "&*", "+@all", "-flushdb")])
    gate = start_gate(redis, extra=CONFIRM)
    with gate.client() as client:
        client.ok("AUTH app a")
        client.ok("RESPGATE", "CONFIRM", code_of(client.call("FLUSHDB")))
        reply = client.call("FLUSHDB")
        assert reply.startswith("NOPERM") and "respgate" not in reply


def test_a_script_stays_with_its_client(start_redis, start_gate, tmp_path):
    """Else it could do all the control user may, behind one call that was confirmed."""
    redis = start_redis(user=[("app", "on", ">a", "~own:*", "&*", "+@all"), ("control", "on", ">c", "~*", "&*", "+@all"),
                              ("default", "off")])
    secret = tmp_path / "control"
    secret.write_text("c\n")
    secret.chmod(0o600)
    gate = start_gate(redis, extra=CONFIRM, backend={"control-username": "control",
                                                     "control-password-file": secret})
    body = "redis.call('DEL', 'own:a'); return redis.call('SET', 'others:a', 'x')"
    with gate.client() as client, redis.client() as direct:
        direct.ok("AUTH control c")
        client.ok("AUTH app a")
        client.ok("SET own:a v")
        client.ok("RESPGATE", "CONFIRM", code_of(client.call("EVAL", body, 0), "DEL"))
        assert "can't access at least one of the keys" in client.call("EVAL", body, 0)
        assert direct.call("EXISTS others:a") == 0
