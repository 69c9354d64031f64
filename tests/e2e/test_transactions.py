"""MULTI, EXEC, DISCARD, WATCH, as direct."""
import pytest

from harness.wire import encode

ABORTED = "EXECABORT Transaction discarded because of previous errors."


def test_exec(client, store):
    assert client.pipeline("MULTI", "SET a 1", "INCR a", "GET a", "EXEC") == [
        b"OK", b"QUEUED", b"QUEUED", b"QUEUED", [b"OK", 2, b"2"]]
    assert store.call("GET a") == b"2"


def test_nothing_happens_before_exec(client, store):
    assert client.pipeline("MULTI", "SET a 1") == [b"OK", b"QUEUED"]
    assert store.call("EXISTS a") == 0
    client.call("EXEC")
    assert store.call("GET a") == b"1"


def test_empty(client):
    assert client.pipeline("MULTI", "EXEC") == [b"OK", []]


def test_discard(client, store):
    assert client.pipeline("MULTI", "SET a 1", "DISCARD", "GET a") == [
        b"OK", b"QUEUED", b"OK", None]


def test_without_multi(client):
    assert client.pipeline("EXEC", "DISCARD", "UNWATCH") == [
        "ERR EXEC without MULTI", "ERR DISCARD without MULTI", b"OK"]


def test_nested(client):
    assert client.pipeline("MULTI", "SET a 1", "MULTI", "SET b 1", "EXEC", "EXISTS a b") == [
        b"OK", b"QUEUED", "ERR MULTI calls can not be nested", b"QUEUED", [b"OK", b"OK"], 2]


@pytest.mark.parametrize("bad", ["NONSENSE", "GET", "GET a b", "CONFIG NONSENSE", "CLIENT NONSENSE"])
def test_a_bad_command_aborts(client, store, bad):
    replies = client.pipeline("MULTI", "SET a 1", bad, "SET b 1", "EXEC", "EXISTS a b")
    with store.client() as direct:
        expected = direct.pipeline("MULTI", "SET a 1", bad, "SET b 1", "EXEC", "EXISTS a b")
    assert replies == expected
    assert replies[4] == ABORTED and replies[5] == 0


def test_an_error_while_executing_does_not_undo(client):
    replies = client.pipeline("MULTI", "SET a x", "LPUSH a y", "SET b z", "EXEC")
    assert replies[-1][0] == b"OK" and replies[-1][1].code == "WRONGTYPE"
    assert client.call("GET b") == b"z"


def test_resp3(client):
    client.call("HELLO 3")
    replies = client.pipeline("MULTI", "HSET h a 1", "HGETALL h", "GET none", "EXEC")
    assert replies[-1] == [1, {b"a": b"1"}, None]


def test_watch_without_conflict(client):
    assert client.pipeline("WATCH a", "MULTI", "SET a 1", "EXEC")[-1] == [b"OK"]


def test_watch_conflict(client, store):
    client.ok("WATCH a b")
    store.call("SET b changed")
    assert client.pipeline("MULTI", "SET a 1", "EXEC")[-1] is None
    assert store.call("EXISTS a") == 0
    # a watch ends with EXEC
    store.call("SET b again")
    assert client.pipeline("MULTI", "SET a 1", "EXEC")[-1] == [b"OK"]


def test_watch_conflict_by_another_client_of_the_gate(connect):
    one, two = connect(), connect()
    one.ok("WATCH a")
    two.ok("SET a theirs")
    assert one.pipeline("MULTI", "SET a mine", "EXEC")[-1] is None
    assert two.call("GET a") == b"theirs"


def test_watch_conflict_by_oneself(client):
    """Commands between WATCH and MULTI are of the same connection; they count too."""
    assert client.pipeline("WATCH a", "SET a 1", "MULTI", "SET a 2", "EXEC", "GET a")[-2:] == [
        None, b"1"]


def test_watch_sees_what_was_before_it_in_the_pipeline(client):
    """The write travels on a shared link, WATCH on a pinned one: it must not come too late."""
    for _ in range(50):
        assert client.pipeline("INCR a", "WATCH a", "MULTI", "INCR a", "EXEC")[-1] is not None


def test_unwatch_and_discard_end_a_watch(client, store):
    client.ok("WATCH a")
    client.ok("UNWATCH")
    store.call("SET a 1")
    assert client.pipeline("MULTI", "GET a", "EXEC")[-1] == [b"1"]
    client.ok("WATCH a")
    assert client.pipeline("MULTI", "DISCARD")[-1] == b"OK"
    store.call("SET a 2")
    assert client.pipeline("MULTI", "GET a", "EXEC")[-1] == [b"2"]


def test_watch_inside_multi(client):
    replies = client.pipeline("MULTI", "WATCH a", "SET a 1", "EXEC")
    assert replies[1] == "ERR WATCH inside MULTI is not allowed"
    assert replies[3] == [b"OK"] or replies[3] == ABORTED


def test_watch_is_one_connection_only(connect, store):
    one, two = connect(), connect()
    one.ok("WATCH a")
    store.call("SET a 1")
    assert two.pipeline("MULTI", "GET a", "EXEC")[-1] == [b"1"]
    assert one.pipeline("MULTI", "GET a", "EXEC")[-1] is None


def test_watch_in_another_db(client, store):
    client.ok("SELECT 2")
    client.ok("WATCH a")
    store.call("SET a other-db")
    assert client.pipeline("MULTI", "SET a 1", "EXEC")[-1] == [b"OK"]


def test_commands_around_a_transaction(client):
    replies = client.pipeline("SET n 0", "INCR n", "MULTI", "INCR n", "EXEC", "INCR n", "MULTI",
                              "INCR n", "DISCARD", "INCR n", "GET n")
    assert replies == [b"OK", 1, b"OK", b"QUEUED", [2], 3, b"OK", b"QUEUED", b"OK", 4, b"4"]


def test_blocking_commands_do_not_block_inside(client):
    assert client.pipeline("MULTI", "BLPOP none 0", "XREAD BLOCK 0 STREAMS x $", "EXEC")[-1] == [
        None, None]


@pytest.mark.parametrize("command", ["SUBSCRIBE c", "PSUBSCRIBE c", "SSUBSCRIBE c", "MONITOR",
                                     "HELLO 3", "AUTH x", "CLIENT REPLY OFF",
                                     "CLIENT TRACKING on"])
@pytest.mark.needs_gate
def test_what_would_act_in_the_middle_of_exec(client, command):
    """PRODUCT: refused, and it aborts."""
    replies = client.pipeline("MULTI", "SET a 1", command, "EXEC", "EXISTS a")
    assert replies[2].code in ("ERR", "NOPERM"), replies
    assert replies[3] == ABORTED and replies[4] == 0


def test_interleaved_transactions_of_many(connect):
    """Each collects its own; atomicity shows in the counter pairs."""
    clients = [connect() for _ in range(20)]
    for client in clients:
        client.ok("MULTI")
    for turn in range(10):
        for number, client in enumerate(clients):
            assert client.call("SET", f"k{number}", f"{turn}") == b"QUEUED"
            assert client.call("INCR", "all") == b"QUEUED"
    for number, client in enumerate(clients):
        reply = client.call("EXEC")
        assert reply[0::2] == [b"OK"] * 10
        assert reply[1::2] == list(range(number * 10 + 1, number * 10 + 11))


def test_a_large_transaction(client):
    client.send(encode("MULTI") + encode("INCR", "n") * 5000 + encode("EXEC"))
    assert client.read() == b"OK"
    for _ in range(5000):
        assert client.read() == b"QUEUED"
    assert client.read() == list(range(1, 5001))


def test_leaving_inside(connect, store):
    """The link that is used again must not carry half a transaction."""
    for turn in range(10):
        client = connect()
        client.send(encode("MULTI") + encode("SET", "evil", "1"))
        if turn % 2:
            client.read()
        client.abort()
    for _ in range(10):
        assert connect().pipeline("MULTI", "PING", "EXEC")[-1] == [b"PONG"]
    assert store.call("EXISTS evil") == 0


@pytest.mark.parametrize("command", ["CLIENT ID", "CLIENT GETNAME", "CLIENT KILL ID 1",
                                     "CLIENT LIST", "CLIENT SETNAME x"])
def test_the_client_command_inside(client, command):
    """The backend would answer for its own connections: refused, and the transaction with it."""
    assert client.call("MULTI") == b"OK"
    assert client.call(command).startswith("ERR Command not allowed inside a transaction")
    assert client.call("EXEC").code == "EXECABORT"


def test_select_inside(client):
    """It holds from there on, also behind EXEC."""
    assert client.pipeline("MULTI", "SELECT 3", "SET k three", "EXEC", "GET k", "SELECT 0",
                           "GET k") == [b"OK", b"QUEUED", b"QUEUED", [b"OK", b"OK"], b"three",
                                        b"OK", None]
    assert client.pipeline("MULTI", "SELECT 4", "DISCARD", "SET k zero", "SELECT 0", "GET k")[-1] == (
        b"zero")
