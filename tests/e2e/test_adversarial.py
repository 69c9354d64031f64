"""Who means harm, or only dies at the wrong moment, gets nobody else's replies, no other rules and
no other name: links that die inside a transaction, while tracking, while a login waits."""
import hashlib
import os
import socket

import pytest

from harness.process import free_port
from harness.servers import Redis
from harness.waiting import wait_until
from harness.wire import Push, encode

QUICK = {"park-timeout": "2s", "connect-timeout": "300ms", "dial-rate": "500/s",
         "breaker-probe": "20ms"}
AWAY = "ERR respgate: backend redis is unavailable"


def rule(name, commands, **clauses):
    clauses = {"commands": commands, "action": "deny", **clauses}
    return f"[rule {name}]\n" + "".join(f"{key} = {value}\n" for key, value in clauses.items())


def user(name, password, **values):
    values = {"password-sha256": hashlib.sha256(password.encode()).hexdigest(), **values}
    return f"[user {name}]\n" + "".join(f"{key} = {value}\n" for key, value in values.items())


def denied(command, name):
    return f"NOPERM respgate: '{command}' is denied by rule '{name}'"


def pipeline(*commands):
    return b"".join(encode(*command.split()) for command in commands)


def open_files(gate):
    return len(os.listdir(f"/proc/{gate.process.pid}/fd"))


def flagged(redis, flag):
    """The store's connections that have a flag in CLIENT LIST: O monitors, t tracks."""
    fields = [dict(field.split("=", 1) for field in line.split())
              for line in redis.call("CLIENT LIST").decode().splitlines()]
    return [entry["id"] for entry in fields if flag in entry["flags"]]


@pytest.fixture
def redis(start_redis):
    return start_redis()


@pytest.fixture
def tap(redis, start_tap):
    return start_tap(redis)


# -- a transaction whose link died --------------------------------------------------------------


@pytest.mark.parametrize("again, error", [
    ("MULTI", "ERR MULTI calls can not be nested"),
    ("WATCH x", "ERR WATCH inside MULTI is not allowed")])
def test_a_lost_transaction_stays_off_the_shared_link(start_gate, tap, again, error):
    gate = start_gate(tap, backend=QUICK)
    with gate.client() as loser, gate.client() as other:
        other.ok("SET x secret")
        assert loser.pipeline("MULTI", "SET q 1") == [b"OK", b"QUEUED"]
        sent, since = tap.all_sent().count(pipeline(again)), gate.process.log_size()
        tap.cut()
        gate.wait_log(r" pinned owned\] (?!connected)", since)
        assert loser.call(again) == error
        assert other.pipeline("GET x", "GET x") == [b"secret", b"secret"]
        assert loser.call("EXEC").code == "EXECABORT"
        assert other.call("GET x") == b"secret"
        assert tap.all_sent().count(pipeline(again)) == sent


# -- rules are those of the moment a command runs -----------------------------------------------


def test_a_select_inside_exec_changes_the_db_rules_judge(start_gate, redis):
    gate = start_gate(redis, extra=rule("keep", "del", db=3))
    with gate.client() as client, redis.client() as direct:
        direct.pipeline("SELECT 3", "SET precious 1")
        assert client.pipeline("MULTI", "SELECT 3", "EXEC", "DEL precious") == [
            b"OK", b"QUEUED", [b"OK"], denied("DEL", "keep")]
        assert direct.call("EXISTS precious") == 1
        assert client.pipeline("MULTI", "SELECT 0", "EXEC")[-1] == [b"OK"]
        assert client.call("DEL precious") == 0


@pytest.mark.parametrize("waiting", ["DEL precious", "SELECT 1", "HELLO 3"])
def test_what_waited_through_a_reload_meets_the_new_rules(start_gate, redis, waiting):
    gate = start_gate(redis)
    redis.call("SET precious 1")
    with gate.client() as client:
        client.send(pipeline("BLPOP q 0", waiting))
        wait_until(lambda: redis.info("blocked_clients") == "1", "the client to block")
        gate.reload(extra=rule("keep", "del, select, hello"))
        redis.call("RPUSH q x")
        assert client.read() == [b"q", b"x"]
        assert client.read() == denied(waiting.split()[0], "keep")
        assert client.call("SET precious 2") == b"OK"
        assert client.call("EXEC") == "ERR EXEC without MULTI"


# -- a link that monitors or tracks is nobody else's --------------------------------------------


@pytest.mark.parametrize("leave", ["QUIT", "RESET", "close"])
def test_a_link_that_monitors_is_never_used_again(start_gate, redis, leave):
    """With other people's commands on their way to it, it goes; the only pinned link there may be
    is then the next one's, whose replies are its own."""
    gate = start_gate(redis, backend={**QUICK, "max-pinned-links": 1, "park-timeout": "5s"},
                      extra=rule("ok", "monitor", action="allow"))
    noisy = [redis.client() for _ in range(4)]
    with gate.client() as spy, gate.client() as next_one:
        spy.ok("MONITOR")
        redis.process.stop_running()
        for client in noisy:
            client.send(pipeline("SET n TOPSECRET") * 3)
        if leave == "close":
            spy.close()
        else:
            spy.send(encode(leave))
        next_one.send(pipeline("MULTI", "GET x", "GET x", "EXEC"))
        redis.process.continue_running()
        assert [next_one.read() for _ in range(4)] == [b"OK", b"QUEUED", b"QUEUED", [None, None]]
        wait_until(lambda: not flagged(redis, "O"), "the monitoring to end")
        if leave == "RESET":
            lines = iter(spy.read, b"RESET")
            assert all(b'"SET" "n"' in line for line in lines)
            spy.ok("SET x y")
    for client in noisy:
        client.close()


@pytest.mark.parametrize("first", ["message", "subscribe", "invalidate"])
def test_an_array_is_no_push(start_gate, redis, first):
    """In RESP3 the type says what is one, not what its first element spells. A reply taken for one
    leaves its request open, which would run into request-timeout."""
    gate = start_gate(redis, backend={"request-timeout": "200ms"})
    redis.call("RPUSH", "l", first, "evil", "data")
    redis.call("SET k v")
    with gate.client() as client:
        client.call("HELLO 3")
        client.send(encode("SUBSCRIBE", "c"))
        assert client.push() == [b"subscribe", b"c", 1]
        client.send(encode("LRANGE", "l", "0", "-1"))
        reply = client.value()
        assert not isinstance(reply, Push) and reply == [first.encode(), b"evil", b"data"]
        assert client.call("GET k") == b"v"
        client.sock.settimeout(0.6)
        with pytest.raises(socket.timeout):
            client.sock.recv(1)
        client.sock.settimeout(client.timeout)
        client.silent()
        redis.call("PUBLISH c hello")
        assert client.push() == [b"message", b"c", b"hello"]


def tracking(gate):
    client = gate.client()
    client.call("HELLO 3")
    client.ok("CLIENT TRACKING ON")
    return client


def test_select_while_a_restored_link_is_awaited(start_gate, redis):
    gate = start_gate(redis, backend={**QUICK, "park-timeout": "100ms"})
    with tracking(gate) as client:
        for db in (1, 0):
            client.ok("SELECT", db)
        redis.kill()
        assert client.push() == [b"invalidate", None]
        assert client.call("SELECT 1") == AWAY
        redis.start()
        wait_until(lambda: client.call("SELECT 1") == b"OK", "the backend to be back")
        client.call("GET k")
        redis.call("SET k v")
        wait_until(lambda: client.call("PING") and client.pushes, "the invalidation")
        assert client.push() == [b"invalidate", [b"k"]]


def test_select_while_only_the_tracking_link_dies(start_gate, redis):
    gate = start_gate(redis, backend=QUICK)
    with tracking(gate) as client:
        client.ok("SELECT 1")
        for number in flagged(redis, "t"):
            redis.call("CLIENT", "KILL", "ID", number)
        assert client.push() == [b"invalidate", None]
        wait_until(lambda: client.call("SELECT 1") == b"OK", "the link to be back")
        assert client.call("GET k") is None


def test_a_link_dies_while_its_tracking_client_waits_in_select(start_gate, redis):
    """The client waits for the first link of another class, and for its own to be restored."""
    gate = start_gate(redis, backend={**QUICK, "park-timeout": "200ms"})
    with tracking(gate) as client, gate.client() as other:
        client.call("GET k")
        other.call("PING")
        redis.process.stop_running()
        before = open_files(gate)
        client.send(encode("SELECT", "7"))
        other.send(encode("SELECT", "7"))
        wait_until(lambda: open_files(gate) > before, "a link of the other class")
        redis.process.kill()  # before it can answer the logins
        assert client.read().startswith("ERR respgate:")
        assert other.read().startswith("ERR respgate:")
        assert client.push() == [b"invalidate", None]
        redis.start()
        wait_until(lambda: client.call("GET k") is None, "the backend to be back")
        wait_until(lambda: other.call("SELECT 7") == b"OK", "the other one too")


# -- a read that kills links --------------------------------------------------------------------


@pytest.mark.parametrize("answer, most", [(None, 2), (b"?what\r\n", 1)], ids=["closes", "lies"])
def test_a_read_that_kills_its_link_is_not_sent_for_ever(start_gate, tap, answer, most):
    gate = start_gate(tap, backend=QUICK)
    with gate.client() as client:
        client.ok("SET poison POISON")
        tap.change = lambda data, _: answer if b"POISON" in data else data
        assert client.call("GET poison").startswith("ERR respgate: connection to redis was lost")
        assert 1 <= tap.all_sent().count(pipeline("GET poison")) <= most
        wait_until(lambda: client.call("PING") == b"PONG", "the link to be back")
        assert client.call("GET other") is None


# -- logins -------------------------------------------------------------------------------------


def add_low(redis):
    redis.call("ACL", "SETUSER", "low", "on", ">lowpw", "~low:*", "+@all")
    redis.call("SET other secret")


@pytest.fixture
def low_user(tmp_path):
    """The sections of a user of respgate's own, whose commands run as the store's user low."""
    path = tmp_path / "low"
    path.write_text("lowpw\n")
    path.chmod(0o600)
    return user("a", "pa", **{"backend-username": "low", "backend-password-file": path})


@pytest.mark.parametrize("login", ["AUTH a pa", "HELLO 3 AUTH a pa"])
def test_a_login_answered_with_an_error_is_none(start_gate, keeper, low_user, login):
    """While the store is away. Whatever the answer, nobody becomes more than it says."""
    port = free_port()
    gate = start_gate(url=f"redis://127.0.0.1:{port}", extra=low_user,
                      backend={**QUICK, "park-timeout": "100ms"})
    with gate.client() as client:
        assert client.call("GET other").code == "NOAUTH"
        accepted = not client.call(login) == AWAY
        add_low(keeper.add(Redis(keeper.folder("late"), port=port)))
        with gate.client() as probe:
            wait_until(lambda: probe.call("HELLO 3 AUTH a pa") != AWAY, "the backend")
        assert client.call("GET other").code == ("NOPERM" if accepted else "NOAUTH")
        assert client.call("AUTH a wrong").code == "WRONGPASS"
        assert client.call("GET other").code == ("NOPERM" if accepted else "NOAUTH")
        client.call("AUTH a pa")
        assert client.call("GET other").code == "NOPERM"


def test_auth_as_another_behind_exec(start_gate, redis):
    """The transaction is the first user's to its end, and so is its pinned link."""
    limit = {"max-pinned-links": 1}
    gate = start_gate(redis, backend=QUICK,
                      extra=user("a", "pa", **limit) + user("b", "pb", **limit))
    with gate.client() as client:
        client.ok("AUTH a pa")
        client.ok("SET x 1")
        for name in "baba":
            replies = client.pipeline("MULTI", "GET x", "EXEC", f"AUTH {name} p{name}", "GET x")
            assert replies == [b"OK", b"QUEUED", [b"1"], b"OK", b"1"]
            assert client.call("BLPOP none 0.01") is None
        assert client.call("CLIENT LIST").decode().count("user=a") == 1


def test_auth_behind_ones_own_blocking_command_waits(start_gate, redis):
    gate = start_gate(redis)
    expected = redis.call("AUTH x")
    with gate.client() as client:
        client.send(pipeline("BLPOP q 0", "AUTH x", "HELLO 3", "PING"))
        wait_until(lambda: redis.info("blocked_clients") == "1", "the client to block")
        redis.call("RPUSH q v")
        assert [client.read(), client.read()] == [[b"q", b"v"], expected]
        assert client.read()[b"proto"] == 3
        assert client.read() == b"PONG"


# -- CLIENT KILL --------------------------------------------------------------------------------


@pytest.mark.parametrize("threads", [1, 2])
def test_after_killing_oneself_nothing_runs(start_gate, redis, threads):
    gate = start_gate(redis, proxy={"threads": threads})
    with gate.client() as client:
        number = client.call("CLIENT ID")
        client.send(encode("CLIENT", "KILL", "ID", number, "SKIPME", "no")
                    + pipeline("SET marker 1", "MULTI", "SET marker 2", "EXEC"))
        assert client.closed() == b":1\r\n"
    with gate.client() as client:
        assert client.call("EXISTS marker") == 0


MOVED = ["MULTI", "SELECT 3", "EXEC"]


@pytest.mark.parametrize("before, after", [
    ([], ["DEL precious"]),
    ([], ["MULTI", "DEL precious", "EXEC"]),
    ([], ["WATCH k", "DEL precious"]),
    ([], ["BLPOP precious 0.01"]),
    (["HELLO 3", "CLIENT TRACKING ON"], ["DEL precious"]),
    (["HELLO 3", "SUBSCRIBE c"], ["DEL precious"]),
], ids=["shared", "MULTI", "WATCH", "blocking", "tracking", "subscribed"])
def test_no_way_behind_exec_leads_round_a_rule_for_a_db(start_gate, redis, before, after):
    """Also where what follows goes to the pinned link the EXEC is on, and need not wait for it."""
    gate = start_gate(redis, extra=rule("keep", "del, blpop", db=3))
    with gate.client() as client, redis.client() as direct:
        direct.pipeline("SELECT 3", "RPUSH precious 1")
        for command in before:
            client.send(encode(*command.split()))
            client.value()
        replies = client.pipeline(*MOVED, *after)
        assert replies[2] == [b"OK"]
        name = next(line for line in after if "precious" in line).split()[0]
        assert denied(name, "keep") in replies[3:]
        assert direct.call("LLEN precious") == 1


def test_the_db_that_exec_leaves_does_not_count(start_gate, redis):
    gate = start_gate(redis, extra=rule("keep", "del", db=3))
    with gate.client() as client:
        client.ok("SELECT 3")
        assert client.pipeline("MULTI", "SELECT 0", "EXEC", "DEL other")[-1] == 0


@pytest.mark.parametrize("version", ["2", "3"])
def test_leaving_with_confirmations_under_way_spoils_no_link(start_gate, redis, start_tap, version):
    """UNSUBSCRIBE from all is answered once for each channel: what still comes when the client has
    gone must not be taken for the answer to what cleans its link, nor reach the link's next owner."""
    tap = start_tap(redis)
    gate = start_gate(tap)
    for _ in range(3):
        leaver = gate.client()
        leaver.call("HELLO", version)
        leaver.call("BLPOP nothing 0.01")  # its link is warm
        tap.holding = True
        leaver.send(encode("SUBSCRIBE", "a", "b", "c") + encode("UNSUBSCRIBE"))
        seen = gate.process.log().count("closed: connection failed")
        leaver.abort()
        wait_until(lambda: gate.process.log().count("closed: connection failed") > seen, "it to be gone")
        tap.holding = False
        with gate.client() as other:
            other.call("HELLO", version)
            for number in range(20):
                assert other.pipeline("MULTI", f"ECHO {number}", "EXEC")[-1] == [b"%d" % number]
    assert "reply nobody asked for" not in gate.process.log()
