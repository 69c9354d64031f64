"""Rules: what is refused, in every form it can arrive, and that the store shows it."""
import hashlib

import pytest

from harness.wire import encode

ABORTED = "EXECABORT Transaction discarded because of previous errors."
NO_FLUSH = """
[rule no-flush]
commands = flushall, flushdb
action = deny
message = ask the platform team
"""


def denied(command, rule, message=None):
    text = f"NOPERM respgate: '{command}' is denied by rule '{rule}'"
    return f"{text}: {message}" if message else text


@pytest.fixture
def ruled(start_gate, store):
    """A client of a gate with these rules."""
    clients = []

    def start(extra, **options):
        gate = start_gate(store, extra=extra, **options)
        clients.append(gate.client())
        clients[-1].gate = gate
        return clients[-1]
    yield start
    for client in clients:
        client.close()


def test_deny(ruled, store):
    client = ruled(NO_FLUSH)
    client.ok("SET k v")
    assert client.call("FLUSHALL") == denied("FLUSHALL", "no-flush", "ask the platform team")
    assert client.call("FLUSHDB").startswith("NOPERM respgate: 'FLUSHDB' is denied by rule")
    assert store.call("GET k") == b"v"


@pytest.mark.parametrize("data", [
    encode("flushall"), encode("FlUsHaLl"), encode("FLUSHALL", "ASYNC"), encode("FLUSHALL", "SYNC"),
    encode("FLUSHDB", "async"), b"FLUSHALL\r\n", b"flushall\n", b"'FLUSHALL'\r\n",
    b"\"FLUSH\\x41LL\"\r\n", b"  \t FlushDB   ASYNC \r\n", encode("FLUSHALL", "nonsense"),
    encode("FLUSHALL", "a", "b", "c"), b"*1\r\n$8\r\nFLUSHALL\r\n", b"*01\r\n$08\r\nFLUSHALL\r\n"])
def test_every_form_of_it(ruled, store, data):
    client = ruled(NO_FLUSH)
    client.ok("SET k v")
    client.send(data)
    reply = client.read()
    assert reply.code in ("NOPERM", "ERR"), reply
    assert store.call("GET k") == b"v"


def test_split_and_pipelined(ruled, store):
    client = ruled(NO_FLUSH)
    data = encode("SET", "k", "v") + encode("FLUSHALL") + encode("GET", "k")
    for cut in range(1, len(data)):
        client.send_pieces(data, [cut])
        assert client.read() == b"OK"
        assert client.read().code == "NOPERM"
        assert client.read() == b"v"


def test_inside_multi(ruled, store):
    client = ruled(NO_FLUSH)
    client.ok("SET k v")
    replies = client.pipeline("MULTI", "SET k w", "FLUSHALL", "SET other x", "EXEC", "GET k")
    assert replies == [b"OK", b"QUEUED", denied("FLUSHALL", "no-flush", "ask the platform team"),
                       b"QUEUED", ABORTED, b"v"]
    assert store.call("EXISTS other") == 0
    assert client.pipeline("MULTI", "SET k w", "EXEC")[-1] == [b"OK"]


def test_first_matching_rule_decides(ruled):
    client = ruled("""
[rule let-cache]
commands = del
keys = cache:*
action = allow
[rule no-del]
commands = del
action = deny
[rule let-all]
commands = *
action = allow
""")
    assert client.call("DEL cache:1") == 0
    assert client.call("DEL other") == denied("DEL", "no-del")
    assert client.call("DEL cache:1 other").code == "NOPERM"


def test_nothing_matching_means_allow(ruled):
    client = ruled("[rule r]\ncommands = get\nkeys = secret:*\naction = deny\n")
    assert client.call("GET open") is None
    assert client.call("SET secret:1 x") == b"OK"
    assert client.call("GET secret:1").code == "NOPERM"


@pytest.mark.parametrize("command", [
    "SET t2:k v", "RENAME t1:k t2:k", "RENAME t2:k t1:k", "MSET t1:a 1 t2:b 2", "DEL t1:a t2:a",
    "SUNIONSTORE t1:a t1:b t2:c", "BITOP AND t1:a t1:b t2:c", "COPY t2:a t1:b",
    "LMOVE t1:a t2:b LEFT LEFT", "SORT t1:a STORE t2:b", "GEORADIUS t1:g 1 1 1 km STORE t2:x",
    "EVAL return(1) 2 t1:a t2:b", "XREAD STREAMS t1:a t2:b 0 0", "ZUNIONSTORE t1:z 2 t1:a t2:b",
    "XREADGROUP GROUP g c STREAMS t1:a t2:b > >", "SMOVE t1:a t2:b m", "OBJECT ENCODING t2:k",
    "MIGRATE 127.0.0.1 1 t2:k 0 100", "LMPOP 2 t1:a t2:b LEFT", "BLPOP t1:a t2:b 0",
    "PFMERGE t1:a t2:b", "WATCH t1:a t2:b", "TOUCH t2:a", "ZINTERCARD 2 t1:a t2:a",
    "SINTERSTORE t2:a t1:a t1:b", "GEOSEARCHSTORE t2:a t1:a FROMLONLAT 1 1 BYRADIUS 1 km",
    "XGROUP CREATE t2:x g 0 MKSTREAM", "XINFO STREAM t2:x", "MEMORY USAGE t2:x", "SET T1:k v"])
def test_allow_needs_every_key(ruled, store, command):
    """t1's client must not reach t2 by any key position."""
    client = ruled("[rule own]\ncommands = *\nkeys = t1:*\naction = allow\n"
                   "[rule no-keys]\ncommands = @read, @write, @scripting, @keyspace, @transaction\n"
                   "action = deny\n")
    store.call("SET t1:k v")
    store.call("SET t2:k v")
    assert client.call("GET t1:k") == b"v"
    reply = client.call(command)
    assert getattr(reply, "code", None) == "NOPERM", reply
    assert store.call("GET t2:k") == b"v" and store.call("DBSIZE") == 2


@pytest.mark.parametrize("command", [
    "SET lock:k v", "RENAME a lock:k", "MSET a 1 lock:b 2", "DEL a lock:b", "BITOP AND lock:a b c",
    "SORT a STORE lock:b", "XREAD STREAMS a lock:b 0 0", "BLPOP a lock:b 0", "COPY a lock:b"])
def test_deny_needs_one_key(ruled, store, command):
    client = ruled("[rule locks]\ncommands = *\nkeys = lock:*\naction = deny\n")
    assert client.call(command).code == "NOPERM"
    assert store.call("DBSIZE") == 0


def test_a_key_rule_does_not_hold_for_commands_without_keys(ruled, store):
    """FLUSHALL under keys = tenant:* is not allowed by it."""
    client = ruled("[rule own]\ncommands = *\nkeys = tenant:*\naction = allow\n"
                   "[rule rest]\ncommands = @destructive, @write\naction = deny\n")
    store.call("SET tenant:1 x")
    assert client.call("FLUSHALL").code == "NOPERM"
    assert client.call("SET tenant:1 y") == b"OK"


def test_excluded_keys(ruled):
    client = ruled("[rule jobs]\ncommands = del, unlink\nkeys = job:*, !job:tmp:*\naction = deny\n")
    assert client.call("DEL job:1").code == "NOPERM"
    assert client.call("DEL job:tmp:1") == 0
    assert client.call("UNLINK job:tmp:1 job:1").code == "NOPERM"
    assert client.call("DEL other") == 0


@pytest.mark.parametrize("pattern, hit, miss", [
    ("a*c", "abbc", "abbd"), ("a?c", "abc", "ac"), ("[ab]x", "ax", "cx"), ("[^a]x", "bx", "ax"),
    ("a\\*", "a*", "ab"), ("user:[0-9]*", "user:7", "user:x")])
def test_globs(ruled, pattern, hit, miss):
    client = ruled(f"[rule r]\ncommands = get\nkeys = {pattern}\naction = deny\n")
    assert client.call("GET", hit).code == "NOPERM"
    assert client.call("GET", miss) is None


def test_db(ruled, store):
    client = ruled("[rule db3]\ncommands = @write\ndb = 3\naction = deny\n")
    client.ok("SET k v")
    client.ok("SELECT 3")
    assert client.call("SET k v").code == "NOPERM"
    assert client.pipeline("MULTI", "SET k v", "EXEC")[1].code == "NOPERM"
    client.ok("SELECT 0")
    assert client.call("COPY k k DB 3").code == "NOPERM"
    assert client.call("MOVE k 3").code == "NOPERM"
    assert client.call("COPY k k2 DB 4") == 1
    assert store.call("GET k") == b"v"


def test_db_inside_multi(ruled, store):
    """SELECT queues and acts in the middle of EXEC: judged by the db it will run in."""
    client = ruled("[rule db3]\ncommands = set\ndb = 3\naction = deny\n")
    replies = client.pipeline("MULTI", "SELECT 3", "SET k v", "EXEC")
    assert replies[-1] == ABORTED
    with store.client() as direct:
        direct.ok("SELECT 3")
        assert direct.call("EXISTS k") == 0


def test_swapdb_is_judged_in_both(ruled):
    client = ruled("[rule db3]\ncommands = swapdb\ndb = 3\naction = deny\n")
    assert client.call("SWAPDB 0 3").code == "NOPERM"
    assert client.call("SWAPDB 3 1").code == "NOPERM"
    assert client.call("SWAPDB 0 1") == b"OK"


def test_from(ruled):
    client = ruled("[rule local]\ncommands = set\nfrom = 127.0.0.0/8\naction = deny\n"
                   "[rule elsewhere]\ncommands = get\nfrom = 10.0.0.0/8, 2001:db8::/32\n"
                   "action = deny\n")
    assert client.call("SET k v").code == "NOPERM"
    assert client.call("GET k") is None


def test_users(ruled):
    password = hashlib.sha256(b"pw").hexdigest()
    client = ruled(f"[user a]\npassword-sha256 = {password}\n[user b]\npassword-sha256 = {password}\n"
                   "[rule only-b]\ncommands = set\nusers = b\naction = allow\n"
                   "[rule rest]\ncommands = set\naction = deny\n")
    client.ok("AUTH a pw")
    assert client.call("SET k v").code == "NOPERM"
    client.ok("AUTH b pw")
    assert client.call("SET k v") == b"OK"


@pytest.mark.parametrize("command, allowed", [
    ("CONFIG SET maxmemory 1", False), ("config set maxmemory 1", False),
    ("CoNfIg SeT maxmemory 1", False), ("CONFIG GET maxmemory", True), ("CONFIG RESETSTAT", True),
    ("CONFIG", True)])
def test_subcommands(ruled, store, command, allowed):
    client = ruled("[rule no-config-set]\ncommands = config|set\naction = deny\n")
    reply = client.call(command)
    assert (getattr(reply, "code", "") == "NOPERM") is not allowed
    if not allowed:
        assert reply == denied("CONFIG SET", "no-config-set")
    assert store.call("CONFIG GET maxmemory")[1] == b"0"


def test_a_container_names_all_its_subcommands(ruled):
    client = ruled("[rule no-config]\ncommands = config\naction = deny\n")
    for command in ("CONFIG GET x", "CONFIG SET maxmemory 1", "config rewrite"):
        assert client.call(command).code == "NOPERM"


def test_inline_subcommand(ruled, store):
    client = ruled("[rule no-config-set]\ncommands = config|set\naction = deny\n")
    client.send(b"cOnFiG   \"s\\x65t\" maxmemory 1\r\n")
    assert client.read().code == "NOPERM"
    assert store.call("CONFIG GET maxmemory")[1] == b"0"


@pytest.mark.parametrize("command", [
    "FLUSHALL", "FLUSHDB", "SWAPDB 0 1", "SHUTDOWN NOSAVE", "DEBUG SLEEP 0", "SAVE", "BGSAVE",
    "BGREWRITEAOF", "CONFIG SET maxmemory 1", "CONFIG REWRITE", "CONFIG RESETSTAT",
    "REPLICAOF NO ONE", "SLAVEOF NO ONE", "FAILOVER", "MIGRATE 127.0.0.1 1 k 0 100", "MOVE k 1",
    "RESTORE k2 0 x", "CLUSTER RESET", "ACL SETUSER x", "ACL DELUSER x", "CLIENT PAUSE 1",
    "SCRIPT FLUSH", "SCRIPT KILL", "SCRIPT DEBUG YES", "FUNCTION FLUSH", "FUNCTION DELETE x",
    "FUNCTION KILL", "FUNCTION RESTORE x", "MODULE LIST", "MODULE LOAD x", "XGROUP DESTROY x g",
    "XGROUP SETID x g 0", "XSETID x 1-1", "LATENCY RESET", "SLOWLOG RESET", "ACL LOG RESET",
    "PSYNC ? -1", "SYNC", "REPLCONF ACK 0", "PFDEBUG ENCODING k", "PFSELFTEST"])
def test_the_destructive_class(ruled, store, command):
    client = ruled("[rule safe]\ncommands = @destructive\naction = deny\n")
    store.call("SET k v")
    assert client.call(command).code == "NOPERM"
    assert store.call("GET k") == b"v"


@pytest.mark.parametrize("command", [
    "INFO", "ROLE", "KEYS *", "SORT l", "CLIENT LIST", "CLIENT INFO", "SLOWLOG LEN",
    "COMMAND COUNT", "CONFIG GET maxmemory", "DEL k", "UNLINK k", "SCAN 0", "XTRIM x MAXLEN 5",
    "MEMORY USAGE k", "GETDEL k", "DBSIZE"])
def test_what_is_not_destructive(ruled, command):
    client = ruled("[rule safe]\ncommands = @destructive\naction = deny\n")
    assert getattr(client.call(command), "code", "") != "NOPERM"


def test_observe_changes_nothing_and_says_so(ruled, store):
    client = ruled(NO_FLUSH + "mode = observe\n")
    client.ok("SET k v")
    assert client.call("FLUSHALL") == b"OK"
    assert store.call("DBSIZE") == 0
    client.gate.wait_log("no-flush")


def test_observe_for_all(ruled, store):
    client = ruled(NO_FLUSH, proxy={"observe": "yes"})
    client.ok("SET k v")
    assert client.call("FLUSHALL") == b"OK"
    assert store.call("DBSIZE") == 0
    client.gate.wait_log("no-flush")


def test_off(ruled):
    client = ruled(NO_FLUSH + "mode = off\n")
    assert client.call("FLUSHALL") == b"OK"


def test_placeholders_in_a_message(ruled):
    client = ruled("[rule r]\ncommands = set\nkeys = a:*\naction = deny\n"
                   "message = {command} of {key} by {client}\n")
    port = client.sock.getsockname()[1]
    reply = client.call("SET a:1 x")
    assert reply.startswith("NOPERM respgate: 'SET' is denied by rule 'r': SET of a:1 by ")
    assert "127.0.0.1" in reply or str(client.call("CLIENT ID")) in reply or str(port) in reply


def test_no_key_can_forge_a_reply(ruled):
    client = ruled("[rule r]\ncommands = set\nkeys = a*\naction = deny\nmessage = no {key}\n")
    client.send(encode("SET", b"a\r\n+OK\r\n", "x") + encode("ECHO", "next"))
    assert client.read().code == "NOPERM"
    assert client.read() == b"next"


def test_unknown_commands_are_never_forwarded(ruled, store):
    client = ruled("[rule all]\ncommands = *\naction = allow\n")
    with store.client() as direct:
        expected = direct.call("NONSENSE a b")
    before = store.call("INFO errorstats")
    assert client.call("NONSENSE a b") == expected
    assert client.call("FLUSHALL\0").code == "ERR"
    assert client.call(b"FLUSHALL ").code == "ERR"
    assert store.call("INFO errorstats") == before


def test_keys_of_the_proxy_are_refused(ruled, store):
    client = ruled("[rule all]\ncommands = *\naction = allow\n")
    assert client.call("SET {respgate}x 1").code == "NOPERM"
    assert client.call("DEL a {respgate}x").code == "NOPERM"
    assert store.call("DBSIZE") == 0


def test_scripts_belong_to_the_scripting_class(ruled):
    client = ruled("[rule no-scripts]\ncommands = @scripting\naction = deny\n")
    for command in ("EVAL x 0", "EVALSHA x 0", "EVAL_RO x 0", "FCALL f 0", "SCRIPT LOAD x",
                    "FUNCTION LOAD x", "FCALL_RO f 0", "EVALSHA_RO x 0"):
        assert client.call(command).code == "NOPERM", command


def test_refusals_are_logged_without_values(ruled):
    client = ruled("[rule r]\ncommands = set\naction = deny\n")
    client.call("SET k zzvaluezz")
    client.gate.wait_log("SET.*rule|rule.*SET")
    assert "zzvaluezz" not in client.gate.process.log()


def test_in_resp3_and_while_others_work(ruled, store):
    client = ruled(NO_FLUSH)
    client.call("HELLO 3")
    with client.gate.client() as other:
        for number in range(50):
            client.send(encode("FLUSHALL") + encode("ECHO", f"{number}"))
            other.send(encode("INCR", "n"))
            assert client.read().code == "NOPERM"
            assert client.read() == b"%d" % number
            assert other.read() == number + 1
