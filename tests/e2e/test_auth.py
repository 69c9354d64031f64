"""Authentication: passed through to the store, or respgate's own users; identities never mix."""
import hashlib
import time

import pytest

from harness.waiting import FACTOR
from harness.wire import encode

WRONGPASS = "WRONGPASS invalid username-password pair or user is disabled."
NOAUTH = "NOAUTH Authentication required."
USERS = [("alice", "on", ">wonder", "~a:*", "&*", "+@all", "-@dangerous"),
         ("bob", "on", ">builder", "~b:*", "&*", "+@read", "+@transaction")]


def sha256(password):
    return hashlib.sha256(password.encode()).hexdigest()


@pytest.fixture
def secret_store(start_redis):
    """Default user with a password, and two more with limits."""
    return start_redis(requirepass="s3cret", user=USERS)


@pytest.fixture
def passing(start_gate, secret_store):
    return start_gate(secret_store)


# -- passed through ----------------------------------------------------------------------------


def test_without_auth_as_direct(passing, secret_store):
    with passing.client() as client, secret_store.client() as direct:
        for command in ("GET a", "SET a 1", "PING", "ECHO x", "NONSENSE", "INFO", "MULTI", "EXEC",
                        "BLPOP k 1", "SUBSCRIBE c", "CLIENT ID", "COMMAND COUNT", "SELECT 1",
                        "WATCH a", "EVAL return(1) 0", "HELLO 3"):
            expected = direct.call(command)
            assert client.call(command) == expected, command
    assert secret_store.call("EXISTS a") == 0


def test_auth_with_the_password(passing, secret_store):
    with passing.client() as client:
        assert client.call("AUTH wrong") == WRONGPASS
        assert client.call("GET a") == NOAUTH
        client.ok("AUTH s3cret")
        client.ok("SET a 1")
        assert client.pipeline("MULTI", "INCR a", "EXEC")[-1] == [2]
    assert secret_store.call("GET a") == b"2"


def test_auth_as_a_user(passing, secret_store):
    with passing.client() as client:
        assert client.call("AUTH alice wrong") == WRONGPASS
        assert client.call("AUTH nobody wonder") == WRONGPASS
        client.ok("AUTH alice wonder")
        client.ok("SET a:1 x")
        assert client.call("SET b:1 x").code == "NOPERM"
        assert client.call("FLUSHALL").code == "NOPERM"
    assert secret_store.call("EXISTS b:1") == 0


def test_wrong_arguments_of_auth_as_direct(passing, secret_store):
    with passing.client() as client, secret_store.client() as direct:
        for command in ("AUTH", "AUTH a b c", "HELLO 3 AUTH alice", "HELLO 3 AUTH alice wrong",
                        "HELLO 9 AUTH alice wonder"):
            assert client.call(command) == direct.call(command), command
        assert client.call("GET a") == NOAUTH


def test_auth_without_any_password_as_direct(start_gate, store):
    gate = start_gate(store)
    with gate.client() as client, store.client() as direct:
        assert client.call("AUTH x") == direct.call("AUTH x")
        assert client.call("AUTH default x") == direct.call("AUTH default x")
        client.ok("SET a 1")


def test_hello_auth(passing):
    with passing.client() as client:
        hello = client.call("HELLO 3 AUTH bob builder SETNAME bobs")
        assert hello[b"proto"] == 3
        assert client.call("GET b:1") is None
        assert client.call("SET b:1 x").code == "NOPERM"


def test_a_failed_auth_keeps_the_old_identity(passing):
    with passing.client() as client:
        client.ok("AUTH alice wonder")
        assert client.call("AUTH bob wrong") == WRONGPASS
        client.ok("SET a:1 x")
        assert client.call("GET b:1").code == "NOPERM"


def test_auth_as_another(passing):
    with passing.client() as client:
        client.ok("AUTH alice wonder")
        client.ok("SET a:1 x")
        client.ok("AUTH bob builder")
        assert client.call("GET a:1").code == "NOPERM"
        assert client.call("GET b:1") is None


def test_auth_pipelined(passing, secret_store):
    """Commands before it run as nobody, commands behind it as the user; a failed one must not let
    anything through."""
    with passing.client() as client:
        replies = client.pipeline("SET a:1 x", "AUTH alice wonder", "SET a:2 x", "SET b:2 x",
                                  "AUTH bob wrong", "SET a:3 x", "AUTH bob builder", "GET b:1",
                                  "SET b:3 x")
        assert replies[0] == NOAUTH and replies[1:3] == [b"OK", b"OK"]
        assert replies[3].code == "NOPERM" and replies[4] == WRONGPASS and replies[5] == b"OK"
        assert replies[6:8] == [b"OK", None] and replies[8].code == "NOPERM"
    assert secret_store.call("EXISTS a:1 a:2 a:3 b:2 b:3") == 2


def test_a_wrong_password_in_front_of_a_pipeline(passing, secret_store):
    with passing.client() as client:
        replies = client.pipeline("AUTH wrong", "SET a 1", "MULTI", "SET a 2", "EXEC", "BLPOP l 1")
        assert replies[0] == WRONGPASS and replies[1] == NOAUTH
        assert all(getattr(reply, "code", "") in ("NOAUTH", "ERR", "EXECABORT")
                   for reply in replies[2:]), replies
    assert secret_store.call("EXISTS a") == 0


def test_identities_never_mix(passing):
    """Users take turns on shared and on pinned links."""
    alice, bob, nobody = passing.client(), passing.client(), passing.client()
    alice.ok("AUTH alice wonder")
    bob.call("HELLO 3 AUTH bob builder")
    for turn in range(20):
        assert alice.call(f"SET a:{turn} x") == b"OK"
        assert bob.call(f"GET a:{turn}").code == "NOPERM"
        assert nobody.call(f"GET a:{turn}") == NOAUTH
        assert alice.pipeline("MULTI", f"GET a:{turn}", "EXEC")[-1] == [b"x"]
        assert bob.call(f"WATCH a:{turn}").code == "NOPERM"
        assert bob.call("GET b:1") is None
        assert nobody.call("MULTI") == NOAUTH
        assert alice.call("BLPOP b:1 0.01").code == "NOPERM"


def test_who_i_am(passing, secret_store):
    secret_store.call("ACL", "SETUSER", "alice", "+acl|whoami")
    with passing.client() as client:
        client.ok("AUTH alice wonder")
        assert client.call("ACL WHOAMI") == b"alice"
        assert client.pipeline("MULTI", "ACL WHOAMI", "EXEC")[-1] == [b"alice"]
    with passing.client() as client:
        client.ok("AUTH s3cret")
        assert client.call("ACL WHOAMI") == b"default"


def test_reset_forgets_who_i_am(passing):
    with passing.client() as client:
        client.ok("AUTH alice wonder")
        assert client.call("RESET") == b"RESET"
        assert client.call("SET a:1 x") == NOAUTH


def test_a_changed_password_holds_for_new_clients(passing, secret_store):
    with passing.client() as client:
        client.ok("AUTH alice wonder")
        client.ok("SET a:1 x")
    secret_store.call("ACL", "SETUSER", "alice", "resetpass", ">other")
    with passing.client() as client:
        client.ok("AUTH alice other")
        client.ok("SET a:1 y")


def test_many_logins_are_few_at_the_store(passing, secret_store):
    """A reconnect storm costs one login, not hundreds."""
    with passing.client() as client:
        client.ok("AUTH alice wonder")
    before = int(secret_store.info("total_connections_received"))
    for _ in range(100):
        with passing.client() as client:
            assert client.pipeline("AUTH alice wonder", "SET a:1 x") == [b"OK", b"OK"]
    assert int(secret_store.info("total_connections_received")) - before < 20


# -- failures are slowed down ------------------------------------------------------------------


def test_failures_wait(passing):
    """After 5 failures within 10 s an address waits a second for each further try."""
    with passing.client() as client:
        start = time.monotonic()
        for _ in range(5):
            assert client.call("AUTH alice guess") == WRONGPASS
        quick = time.monotonic() - start
        start = time.monotonic()
        assert client.call("AUTH alice guess") == WRONGPASS
        slow = time.monotonic() - start
    assert quick < 0.9 * FACTOR and slow > 0.8


def test_a_new_connection_does_not_help(passing):
    for _ in range(5):
        with passing.client() as client:
            client.call("AUTH alice guess")
    with passing.client() as client:
        start = time.monotonic()
        client.call("AUTH alice guess")
        assert time.monotonic() - start > 0.8


def test_waiting_for_auth_does_not_hold_up_others(passing):
    with passing.client() as guesser, passing.client() as worker:
        worker.ok("AUTH alice wonder")
        guesser.send(encode("AUTH", "alice", "guess") * 6)
        start = time.monotonic()
        for _ in range(50):
            worker.ok("SET a:1 x")
        assert time.monotonic() - start < 0.9 * FACTOR
        for _ in range(6):
            assert guesser.read() == WRONGPASS


# -- respgate's own users ----------------------------------------------------------------------

OWN_USERS = f"""
[user app]
password-sha256 = {sha256("one")}
password-sha256 = {sha256("two")}

[user batch]
password-sha256 = {sha256("night")}

[rule batch-only-reads]
commands = @write
users = batch
action = deny
message = batch only reads
"""


@pytest.fixture
def guarded(start_gate, store):
    return start_gate(store, extra=OWN_USERS)


def test_own_users_must_log_in(guarded, store):
    with guarded.client() as client:
        assert client.call("SET k v") == NOAUTH
        assert client.call("HELLO 3").code == "NOAUTH"
        assert client.call("MULTI") == NOAUTH
        assert client.call("SUBSCRIBE c") == NOAUTH
        client.ok("AUTH app one")
        client.ok("SET k v")
        assert client.call("ACL WHOAMI") in (b"app", b"default")
    assert store.call("GET k") == b"v"


def test_two_passwords_for_rotation(guarded):
    for password in "one", "two":
        with guarded.client() as client:
            client.ok("AUTH", "app", password)
    with guarded.client() as client:
        assert client.call("AUTH app three") == WRONGPASS


def test_own_user_wrong(guarded):
    with guarded.client() as client:
        assert client.call("AUTH app night") == WRONGPASS
        assert client.call("AUTH stranger one") == WRONGPASS
        assert client.call("AUTH", "app", "") == WRONGPASS
        assert client.call("AUTH", "app", sha256("one")) == WRONGPASS
        assert client.call("PING") == NOAUTH


def test_own_user_by_hello(guarded):
    with guarded.client() as client:
        assert client.call("HELLO 3 AUTH app wrong") == WRONGPASS
        assert client.call("HELLO 3 AUTH app two SETNAME me")[b"proto"] == 3
        assert client.call("CLIENT GETNAME") == b"me"


def test_a_rule_for_one_user(guarded, store):
    with guarded.client() as app, guarded.client() as batch:
        app.ok("AUTH app one")
        batch.ok("AUTH batch night")
        app.ok("SET k v")
        assert batch.call("GET k") == b"v"
        assert batch.call("SET k w") == (
            "NOPERM respgate: 'SET' is denied by rule 'batch-only-reads': batch only reads")
        # the rule goes with the identity
        batch.ok("AUTH app two")
        batch.ok("SET k w")
        app.ok("AUTH batch night")
        assert app.call("SET k x").code == "NOPERM"
    assert store.call("GET k") == b"w"


def test_own_users_in_front_of_a_store_with_a_password(start_gate, start_redis, tmp_path):
    redis = start_redis(requirepass="s3cret")
    password = tmp_path / "password"
    password.write_text("s3cret\n")
    password.chmod(0o600)
    gate = start_gate(redis, backend={"password-file": password}, extra=OWN_USERS)
    with gate.client() as client:
        assert client.call("AUTH s3cret") == WRONGPASS
        assert client.call("GET k") == NOAUTH
        client.ok("AUTH app one")
        assert client.pipeline("SET k v", "MULTI", "GET k", "EXEC")[-1] == [b"v"]


def test_backend_user_of_a_user(start_gate, secret_store, tmp_path):
    """[user] may name the store's user its commands run under."""
    password = tmp_path / "password"
    password.write_text("wonder\n")
    password.chmod(0o600)
    gate = start_gate(secret_store, extra=(
        f"[user app]\npassword-sha256 = {sha256('one')}\nbackend-username = alice\n"
        f"backend-password-file = {password}\n"))
    with gate.client() as client:
        client.ok("AUTH app one")
        client.ok("SET a:1 x")
        assert client.call("SET b:1 x").code == "NOPERM"


def test_anonymous_backend(start_gate, start_redis):
    """Clients without AUTH use the proxy's identity."""
    redis = start_redis(requirepass="s3cret")
    gate = start_gate(url=f"redis://:s3cret@127.0.0.1:{redis.port}", proxy={"anonymous": "backend"})
    with gate.client() as client:
        assert client.pipeline("SET k v", "GET k", "MULTI", "GET k", "EXEC")[-1] == [b"v"]
    assert redis.call("GET k") == b"v"


def test_anonymous_no_means_no(start_gate, start_redis):
    """The proxy having a password lets nobody in by itself."""
    redis = start_redis(requirepass="s3cret")
    gate = start_gate(url=f"redis://:s3cret@127.0.0.1:{redis.port}")
    with gate.client() as client:
        assert client.call("GET k") == NOAUTH
        assert client.pipeline("MULTI", "GET k")[0] == NOAUTH
        client.ok("AUTH s3cret")
        assert client.call("GET k") is None


def test_secrets_stay_out_of_the_log(guarded, passing):
    for gate, passwords in (guarded, ("one", "zzguesszz")), (passing, ("wonder", "zzguesszz")):
        with gate.client() as client:
            client.call("AUTH", "alice" if gate is passing else "app", passwords[0])
            client.call("AUTH", "alice" if gate is passing else "app", passwords[1])
        assert "zzguesszz" not in gate.process.log()
        assert "s3cret" not in gate.process.log() and "wonder" not in gate.process.log()


def test_max_clients_of_a_user(start_gate, store):
    gate = start_gate(store, extra=(
        f"[user app]\npassword-sha256 = {sha256('one')}\nmax-clients = 2\n"))
    clients = [gate.client() for _ in range(3)]
    clients[0].ok("AUTH app one")
    clients[1].ok("AUTH app one")
    assert clients[2].call("AUTH app one").code == "ERR"
    assert clients[0].call("PING") == b"PONG"
