"""What belongs to one connection stays with it: db, name, id, reply mode, identity in lists."""
import re
import time

import pytest

from harness.waiting import FACTOR, wait_until
from harness.wire import Closed, encode


def list_of_clients(client, *args):
    """CLIENT LIST as dictionaries."""
    text = client.call("CLIENT", "LIST", *args).decode()
    return [dict(field.split("=", 1) for field in line.split(" "))
            for line in text.splitlines() if line]


def test_select_belongs_to_one_client(connect, store):
    clients = [connect() for _ in range(8)]
    for number, client in enumerate(clients):
        client.ok("SELECT", number)
        client.ok("SET", "k", number)
    for _ in range(5):
        for number, client in enumerate(clients):
            assert client.call("GET k") == b"%d" % number
    with store.client() as direct:
        for number in range(8):
            direct.ok("SELECT", number)
            assert direct.call("GET k") == b"%d" % number


def test_select_in_a_pipeline(client, store):
    replies = client.pipeline("SET k zero", "SELECT 3", "SET k three", "SELECT 99", "GET k",
                              "SELECT x", "GET k", "SELECT 0", "GET k", "DBSIZE")
    assert replies == [b"OK", b"OK", b"OK", "ERR DB index is out of range", b"three",
                       "ERR value is not an integer or out of range", b"three", b"OK", b"zero", 1]


def test_select_holds_for_pinned_commands(client, connect):
    client.ok("SELECT 2")
    client.ok("SET k two")
    assert client.pipeline("MULTI", "GET k", "SELECT 4", "SET k four", "EXEC", "GET k")[-2:] == [
        [b"two", b"OK", b"OK"], b"four"]
    other = connect()
    assert other.pipeline("MULTI", "DBSIZE", "EXEC")[-1] == [0]
    client.call("LPUSH l x")
    assert client.call("BLPOP l 1") == [b"l", b"x"]
    assert client.call("GET k") == b"four"


def test_name(connect):
    one, two = connect(), connect()
    assert one.call("CLIENT GETNAME") is None
    one.ok("CLIENT SETNAME worker-1")
    assert one.call("client getname") == b"worker-1"
    assert two.call("CLIENT GETNAME") is None
    assert one.call("CLIENT", "SETNAME", "two words").startswith(
        "ERR Client names cannot contain spaces, newlines or special characters.")
    assert one.call("CLIENT GETNAME") == b"worker-1"
    one.ok("CLIENT", "SETNAME", "")
    assert one.call("CLIENT GETNAME") is None


def test_id_is_unique_and_stable(connect):
    clients = [connect() for _ in range(10)]
    ids = [client.call("CLIENT ID") for client in clients]
    assert len(set(ids)) == 10 and all(isinstance(each, int) and each > 0 for each in ids)
    for client, number in zip(clients, ids):
        client.pipeline("MULTI", "PING", "EXEC")
        assert client.call("CLIENT ID") == number
        hello = client.call("HELLO 2")
        assert dict(zip(hello[::2], hello[1::2]))[b"id"] == number


def test_info_and_list(connect):
    one, two = connect(), connect()
    one.ok("CLIENT SETNAME visible")
    one.ok("SELECT 5")
    info = one.call("CLIENT INFO").decode()
    for field in (f"id={one.call('CLIENT ID')} ", "name=visible", "db=5", "addr=127.0.0.1:",
                  "cmd=client|info"):
        assert field in info, info
    listed = {entry["id"]: entry for entry in list_of_clients(two)}
    assert listed[str(one.call("CLIENT ID"))]["name"] == "visible"
    assert str(two.call("CLIENT ID")) in listed
    only = list_of_clients(two, "ID", one.call("CLIENT ID"))
    assert [entry["name"] for entry in only] == ["visible"]
    port = one.sock.getsockname()[1]
    assert listed[str(one.call("CLIENT ID"))]["addr"] == f"127.0.0.1:{port}"


def test_list_forgets_who_left(connect):
    stays, leaves = connect(), connect()
    number = str(leaves.call("CLIENT ID"))
    assert number in [entry["id"] for entry in list_of_clients(stays)]
    leaves.close()
    wait_until(lambda: number not in [entry["id"] for entry in list_of_clients(stays)],
               "the client to leave the list")


def test_kill_by_id(connect):
    killer, victim, bystander = connect(), connect(), connect()
    assert killer.call("CLIENT", "KILL", "ID", victim.call("CLIENT ID")) == 1
    assert victim.closed() == b""
    assert bystander.call("PING") == b"PONG"
    assert killer.call("CLIENT KILL ID 999999999") == 0


def test_kill_by_address(connect):
    killer, victim = connect(), connect()
    victim.call("PING") # it has been let in
    port = victim.sock.getsockname()[1]
    killer.ok("CLIENT", "KILL", f"127.0.0.1:{port}")
    victim.closed()
    assert killer.call("CLIENT KILL 127.0.0.1:1") == "ERR No such client"
    other = connect()
    other.call("PING")
    assert killer.call("CLIENT", "KILL", "ADDR", f"127.0.0.1:{other.sock.getsockname()[1]}") == 1
    other.closed()


def test_kill_of_oneself(connect):
    client = connect()
    number = client.call("CLIENT ID")
    client.send(encode("CLIENT", "KILL", "ID", number, "SKIPME", "no") + encode("PING"))
    assert client.closed() == b":1\r\n"


def test_kill_does_not_reach_the_links(connect, store):
    """CLIENT KILL TYPE normal would, direct, close every connection but the caller's."""
    killer, other = connect(), connect()
    assert killer.call("CLIENT KILL TYPE normal SKIPME yes") >= 1
    other.closed()
    assert killer.call("PING") == b"PONG"
    assert connect().call("SET k v") == b"OK"
    assert store.call("GET k") == b"v"


def test_reply_off_skip_on(client, store):
    client.send(encode("CLIENT", "REPLY", "OFF") + encode("SET", "a", "1") + encode("NONSENSE")
                + encode("CLIENT", "REPLY", "ON") + encode("GET", "a"))
    assert client.value() == b"OK"
    assert client.value() == b"1"
    client.send(encode("CLIENT", "REPLY", "SKIP") + encode("INCR", "a") + encode("GET", "a"))
    assert client.value() == b"2"
    assert client.call("CLIENT REPLY MAYBE") == "ERR syntax error"
    client.silent()
    assert store.call("GET a") == b"2"


def test_reply_off_of_one_does_not_silence_others(connect, store):
    silent, loud = connect(), connect()
    silent.send(encode("CLIENT", "REPLY", "OFF") + encode("SET", "a", "1") * 50)
    for number in range(50):
        assert loud.call("ECHO", str(number)) == b"%d" % number
    silent.send(encode("SET", "done", "1"))
    wait_until(lambda: store.call("GET done") == b"1", "the silent client's writes")
    silent.send(encode("CLIENT", "REPLY", "ON"))
    assert silent.value() == b"OK"


def test_reply_skip_with_pinned_commands(client):
    client.send(encode("CLIENT", "REPLY", "SKIP") + encode("MULTI") + encode("SET", "k", "v")
                + encode("EXEC") + encode("GET", "k"))
    assert [client.value() for _ in range(3)] == [b"QUEUED", [b"OK"], b"v"]


def test_settings_that_touch_only_oneself(client, store):
    version = tuple(map(int, store.info("redis_version").split(".")))
    client.ok("CLIENT NO-EVICT on")
    client.ok("CLIENT NO-EVICT off")
    assert client.call("CLIENT NO-EVICT maybe") == "ERR syntax error"
    if version >= (7, 2):
        client.ok("CLIENT NO-TOUCH on")
        client.ok("CLIENT NO-TOUCH off")


@pytest.mark.needs_gate
def test_setinfo_is_known_whatever_the_server(client):
    """Newer libraries send these first and some do not survive an error."""
    client.ok("CLIENT SETINFO LIB-NAME redis-py")
    client.ok("CLIENT SETINFO LIB-VER 5.0.0")
    assert client.call("CLIENT", "SETINFO", "LIB-NAME", "two words").code == "ERR"


def test_unblock(connect):
    blocked, other = connect(), connect()
    number = blocked.call("CLIENT ID")
    blocked.send(encode("BLPOP", "none", "0"))
    wait_until(lambda: other.call("CLIENT", "UNBLOCK", number) == 1, "the client to be blocked")
    assert blocked.read() is None
    blocked.send(encode("BRPOP", "none", "0"))
    wait_until(lambda: other.call("CLIENT", "UNBLOCK", number, "ERROR") == 1, "the same again")
    assert blocked.read() == "UNBLOCKED client unblocked via CLIENT UNBLOCK"
    assert other.call("CLIENT", "UNBLOCK", number) == 0
    assert blocked.call("PING") == b"PONG"


def test_reset(client):
    client.call("HELLO 3 SETNAME somebody")
    client.ok("SELECT 4")
    client.call("MULTI")
    client.call("SET k v")
    assert client.call("RESET") == b"RESET"
    assert client.call("CLIENT GETNAME") is None
    assert client.call("EXEC") == "ERR EXEC without MULTI"
    client.call("HSET h a 1")
    assert client.call("HGETALL h") == [b"a", b"1"]
    assert "db=0" in client.call("CLIENT INFO").decode()


def test_reset_ends_a_subscription(client):
    client.call("SUBSCRIBE c")
    assert client.call("RESET") == b"RESET"
    assert client.call("GET none") is None
    client.call("WATCH k")
    assert client.call("RESET") == b"RESET"


@pytest.mark.parametrize("word", ["QUIT", "quit"])
def test_quit(connect, word):
    client = connect()
    client.send(encode("SET", "k", "v") + encode(word) + encode("SET", "k", "never"))
    assert client.closed() == b"+OK\r\n+OK\r\n"
    assert connect().call("GET k") == b"v"


def test_quit_in_multi(connect):
    client = connect()
    client.send(encode("MULTI") + encode("SET", "k", "v") + encode("QUIT"))
    assert client.closed() == b"+OK\r\n+QUEUED\r\n+OK\r\n"
    assert connect().call("EXISTS k") == 0


def test_command(client, store):
    """What libraries read at start."""
    assert client.call("COMMAND COUNT") == store.call("COMMAND COUNT")
    mine = {entry[0]: entry[:6] for entry in client.call("COMMAND")}
    theirs = {entry[0]: entry[:6] for entry in store.call("COMMAND")}
    assert mine.keys() == theirs.keys()
    for name, entry in theirs.items():
        assert mine[name][1] == entry[1] and mine[name][3:] == entry[3:], name
    assert client.call("COMMAND INFO get nonsense")[1] is None
    assert client.call("COMMAND GETKEYS MSET a 1 b 2") == [b"a", b"b"]


def test_a_client_sees_its_own_writes_in_order(client):
    """Shared and pinned commands in one pipeline do not overtake each other."""
    for turn in range(30):
        replies = client.pipeline(
            "SET k 0", "INCR k", "MULTI", "INCR k", "GET k", "EXEC", "INCR k", "RPUSH l a",
            "BLPOP l 1", "INCR k", "WATCH k", "MULTI", "INCR k", "EXEC", "GET k",
            ("EVAL", "return redis.call('incr', KEYS[1])", "1", "k"), "INCR k", "WAIT 0 10",
            "GET k", "DEL k l")
        assert replies[5] == [2, b"2"], turn
        assert replies[6] == 3
        assert replies[8] == [b"l", b"a"]
        assert replies[13] == [5]
        assert replies[14:17] == [b"5", 6, 7]
        assert replies[18] == b"7"


def test_wait_covers_earlier_writes(client):
    assert client.pipeline("SET k v", "WAIT 0 100")[1] == 0
    assert client.call("WAIT 1 50") == 0
    assert client.call("WAIT x 0").code == "ERR"


def test_scripts(client, store):
    assert client.call("EVAL", "return {KEYS[1], ARGV[1]}", 1, "k", "v") == [b"k", b"v"]
    sha = client.call("SCRIPT", "LOAD", "return redis.call('set', KEYS[1], ARGV[1])")
    assert client.call("EVALSHA", sha, 1, "k", "v") == b"OK"
    assert store.call("GET k") == b"v"
    assert client.call("SCRIPT", "EXISTS", sha, "f" * 40) == [1, 0]
    assert client.call("EVALSHA", "f" * 40, 0) == "NOSCRIPT No matching script. Please use EVAL."
    assert client.call("EVAL_RO", "return redis.call('set', KEYS[1], 'x')", 1, "k").code == "ERR"
    assert client.pipeline("MULTI", ("EVALSHA", sha, 1, "k", "w"), "GET k", "EXEC")[-1] == [
        b"OK", b"w"]


def test_functions(client):
    library = ("#!lua name=mylib\nredis.register_function('put', function(keys, args) "
               "return redis.call('SET', keys[1], args[1]) end)")
    assert client.call("FUNCTION", "LOAD", library) == b"mylib"
    assert client.call("FCALL put 1 k v") == b"OK"
    assert client.call("GET k") == b"v"
    assert client.call("FCALL_RO put 1 k v").code == "ERR"
    assert client.call("FUNCTION LIST")[0][1] == b"mylib"
    client.ok("FUNCTION DELETE mylib")


def test_a_slow_script_delays_nobody_for_ever(client):
    body = "local n = 0; for i = 1, 2000000 do n = n + i % 3 end; return n"
    assert isinstance(client.call("EVAL", body, 0), int)
    assert client.call("PING") == b"PONG"


def test_info_comes_from_the_store(client, store):
    run_id = re.search(rb"run_id:(\w+)", client.call("INFO server")).group(1).decode()
    assert run_id == store.info("run_id")
    assert client.call("DBSIZE") == 0
    assert client.call("TYPE none") == b"none"
    assert client.call("CONFIG GET maxmemory") == [b"maxmemory", b"0"]


def test_leaving_a_mess_behind_does_not_reach_the_next(connect):
    """Every kind of state, then gone; links that are used again must be clean."""
    mess = ["MULTI|SET k evil", "WATCH k|MULTI|SET k evil", "SELECT 7|MULTI|SET k evil",
            "SUBSCRIBE c", "MONITOR", "HELLO 3|CLIENT TRACKING on|GET k", "CLIENT REPLY OFF",
            "CLIENT NO-EVICT on|WATCH k", "SELECT 3|BLPOP none 0", "SELECT 9", "CLIENT SETNAME x"]
    for turn in range(4):
        for line in mess:
            client = connect()
            client.send(b"".join(encode(*part.split()) for part in line.split("|")))
            if turn % 2:
                client.abort()
            else:
                client.close()
    for _ in range(10):
        client = connect()
        assert client.pipeline("GET k", "MULTI", "GET k", "EXEC", "DBSIZE", "CLIENT GETNAME",
                               "PING", "BLPOP none 0.01") == [
            None, b"OK", b"QUEUED", [None], 0, None, b"PONG", None]
        assert client.call("EXEC") == "ERR EXEC without MULTI"
        assert not client.pushes


def test_closing_is_seen(connect):
    with pytest.raises(Closed):
        client = connect()
        client.send(encode("QUIT"))
        client.read()
        client.read()


def test_an_impossible_db_costs_nothing(connect):
    """Not even when it is asked for again and again: nobody else may feel it."""
    bad, good = connect(), connect()
    start = time.monotonic()
    for turn in range(40):
        assert bad.call("SELECT", 90 + turn % 5) == "ERR DB index is out of range"
        assert good.pipeline(f"SELECT {turn % 16}", "SET k v")[1] == b"OK"
    assert time.monotonic() - start < 10 * FACTOR


def test_a_burst_of_clients_that_need_links_of_their_own(connect, store):
    """Workers of a job queue start together and block at once: with a healthy store and default
    settings none of them may be turned away."""
    clients = [connect() for _ in range(40)]
    for number, client in enumerate(clients):
        client.send(encode("SELECT", number % 16) + encode("BLPOP", f"jobs-{number}", "0"))
    wait_until(lambda: int(store.info("blocked_clients")) == 40, "all to block", 15)
    for client in clients:
        assert client.read() == b"OK"
    with store.client() as direct:
        for number in range(40):
            direct.ok("SELECT", number % 16)
            direct.call("RPUSH", f"jobs-{number}", number)
    assert [int(client.read()[1]) for client in clients] == list(range(40))
