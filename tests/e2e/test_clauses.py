"""Clauses of rules that look at what a command asks for: sizes, answers, times to live, channels."""
import pytest

from harness.servers import run_binary
from harness.waiting import wait_until
from harness.wire import Closed, encode


def denied(command, rule="r"):
    return f"NOPERM respgate: '{command}' is denied by rule '{rule}'"


def rule(*lines, name="r", action="deny"):
    return "\n".join([f"[rule {name}]", *lines, f"action = {action}", ""])


@pytest.fixture
def ruled(start_gate, store):
    """A client of a gate with these rules, before the given redis."""
    clients = []

    def start(extra, redis=None, **options):
        gate = start_gate(redis or store, extra=extra, **options)
        clients.append(gate.client())
        clients[-1].gate = gate
        return clients[-1]
    yield start
    for client in clients:
        client.close()


def fill(store, count=20):
    store.call("RPUSH", "list", *range(count))
    store.call("SADD", "set", *range(count))
    store.call("HSET", "hash", *[word for i in range(count) for word in (i, i)])
    store.call("ZADD", "zset", *[word for i in range(count) for word in (i, i)])
    for i in range(count):
        store.call("XADD", "stream", f"{i + 1}-0", "f", i)


LARGE = ["LRANGE list 0 -1", "LRANGE list 5 -1", "SMEMBERS set", "HGETALL hash", "HKEYS hash",
         "HVALS hash", "ZRANGE zset 0 -1", "ZRANGE zset -inf +inf BYSCORE", "ZREVRANGE zset 0 -1",
         "ZRANGEBYSCORE zset -inf +inf", "ZRANGEBYSCORE zset -inf +inf LIMIT 0 -1",
         "XRANGE stream - +", "XREVRANGE stream + -", "SORT list", "SORT set ALPHA", "SORT zset",
         "SORT list LIMIT 0 6 GET # GET #", "XREAD STREAMS stream 0", "SUNION set none",
         "SUNIONSTORE to set", "ZUNION 2 zset set", "SINTER set set", "LRANGE list 0 10"]


@pytest.mark.parametrize("line", LARGE)
def test_more_elements_than_min_are_refused(ruled, store, line):
    fill(store)
    client = ruled(rule("unbounded = yes", "min-elements = 10"))
    assert client.call(line) == denied(line.split()[0])
    assert store.call("EXISTS to") == 0


@pytest.mark.parametrize("line", LARGE)
def test_few_elements_pass(ruled, store, line):
    fill(store, 5)
    client = ruled(rule("unbounded = yes", "min-elements = 12"))
    direct = store.client()
    assert client.call(line) == direct.call(line)
    direct.close()


ASKING = rule("unbounded = yes", "min-elements = 10")


@pytest.fixture
def tapped(ruled, start_tap, store):
    """As `ruled`, with a tap before the store."""
    def start(extra, **options):
        tap = start_tap(store)
        client = ruled(extra, redis=tap, **options)
        client.tap = tap
        return client
    return start


def test_the_refused_command_never_reaches_the_store(tapped, store):
    fill(store)
    client = tapped(ASKING)
    assert client.call("HGETALL hash") == denied("HGETALL")
    sent = client.tap.all_sent()
    assert encode("HLEN", "hash") in sent and b"HGETALL" not in sent


def test_what_arguments_tell_is_not_asked(tapped, store):
    fill(store)
    client = tapped(ASKING)
    assert client.call("LRANGE list 0 99") == denied("LRANGE")
    assert len(client.call("LRANGE list 0 3")) == 4
    assert client.call("SRANDMEMBER set -3000000") == denied("SRANDMEMBER")
    assert client.call("SCAN 0 COUNT 1000000000") == denied("SCAN")
    assert client.call("LPOP list 11") == denied("LPOP")
    assert client.call("KEYS nothing") == denied("KEYS")
    assert b"LLEN" not in client.tap.all_sent() and b"SCARD" not in client.tap.all_sent()


def test_without_min_elements_nobody_is_asked(tapped, store):
    fill(store, 2)
    client = tapped(rule("unbounded = yes"))
    assert client.call("HGETALL hash") == denied("HGETALL")
    assert client.call("LRANGE list 0 -1") == denied("LRANGE")
    assert len(client.call("LRANGE list 0 1000000")) == 2
    assert b"HLEN" not in client.tap.all_sent()


def test_several_keys_are_summed_up(ruled, store):
    for name in "abc":
        store.call("SADD", name, *range(4))
    client = ruled(ASKING)
    assert client.call("SUNION a b c") == denied("SUNION")
    assert len(client.call("SUNION a b")) == 4
    assert client.call("SUNIONSTORE c a b") == 4  # the destination does not count
    many = [f"k{i}" for i in range(300)]
    assert client.call("SUNION", *many) == denied("SUNION")  # too many to ask for


def test_answers_keep_the_order_of_a_pipeline(ruled, store):
    fill(store)
    store.call("HSET", "small", "f", "v")
    client = ruled(ASKING)
    lines, expected = [], []
    for i in range(40):
        lines += [f"SET k {i}", "HGETALL hash", "GET k", "HGETALL small", "HGETALL none"]
        expected += [b"OK", denied("HGETALL"), b"%d" % i, [b"f", b"v"], []]
    assert client.pipeline(*lines) == expected


def test_it_sees_the_clients_earlier_writes(ruled):
    client = ruled(ASKING)
    push = "RPUSH fresh " + " ".join("x" * 11)
    assert client.pipeline(push, "LRANGE fresh 0 -1", "LTRIM fresh 0 1", "LRANGE fresh 0 -1") == [
        11, denied("LRANGE"), b"OK", [b"x", b"x"]]


def test_another_db_is_asked_in_that_db(ruled, store):
    fill(store)
    client = ruled(ASKING)
    assert client.pipeline("SELECT 3", "HGETALL hash", "SELECT 0", "HGETALL hash") == [
        b"OK", [], b"OK", denied("HGETALL")]


def test_inside_multi_an_open_number_is_too_many(tapped, store):
    fill(store, 2)
    client = tapped(ASKING)
    replies = client.pipeline("MULTI", "HGETALL hash", "EXEC")
    assert replies[1] == denied("HGETALL") and replies[2].startswith("EXECABORT")
    assert client.pipeline("MULTI", "LRANGE list 0 5", "EXEC")[-1] == [[b"0", b"1"]]
    assert b"HLEN" not in client.tap.all_sent()


def test_on_a_pinned_link_the_same_link_is_asked(tapped, store):
    fill(store)
    client = tapped(ASKING)
    assert client.pipeline("WATCH k", "HGETALL hash", "GET k", "HGETALL none") == [
        b"OK", denied("HGETALL"), None, []]
    links = [bytes(sent) for sent in client.tap.sent if b"HLEN" in sent]
    assert len(links) == 1 and b"WATCH" in links[0]


def test_behind_a_blocking_command(ruled, store):
    fill(store)
    client = ruled(ASKING)
    client.send(encode("BLPOP", "later", 0) + encode("HGETALL", "hash") + encode("PING"))
    wait_until(lambda: b"blocked_clients:1" in store.call("INFO"), "the client to block")
    store.call("RPUSH", "later", "x")
    assert [client.read() for _ in range(3)] == [[b"later", b"x"], denied("HGETALL"), b"PONG"]


def test_a_tracking_client_is_judged_by_arguments(tapped, store):
    fill(store, 2)
    client = tapped(ASKING)
    client.call("HELLO 3")
    client.ok("CLIENT TRACKING ON OPTIN")
    client.ok("CLIENT CACHING YES")
    assert client.call("HGETALL hash") == denied("HGETALL")
    assert b"HLEN" not in client.tap.all_sent()


def test_the_wrong_type_is_the_stores_to_tell(ruled, store):
    store.call("SET", "text", "v")
    client = ruled(ASKING)
    assert client.call("HGETALL text").startswith("WRONGTYPE")
    assert client.call("SORT text").startswith("WRONGTYPE")


def test_an_answer_that_is_refused_refuses_the_command(ruled, start_redis):
    redis = start_redis()
    redis.call("HSET", "hash", "f", "v")
    redis.call("ACL", "SETUSER", "default", "-hlen")
    client = ruled(ASKING, redis=redis)
    assert client.call("HGETALL hash") == denied("HGETALL")


def test_no_answer_in_time(tapped, store):
    store.call("HSET", "hash", "f", "v")
    client = tapped(ASKING, backend={"request-timeout": "200ms"})
    client.ok("SET k v")
    client.tap.holding = True
    client.send(encode("HGETALL", "hash") + encode("GET", "k"))
    assert client.read() == "ERR respgate: backend redis is unavailable"
    client.tap.holding = False
    reply = client.read()
    assert reply == b"v" or reply.code == "ERR"
    assert client.call("HGETALL hash") == [b"f", b"v"]  # the late answer met nobody


def test_the_link_dies_while_it_is_asked(tapped, store):
    store.call("HSET", "hash", "f", "v")
    client = tapped(ASKING, backend={"dial-rate": "500/s", "park-timeout": "2s"})
    client.ok("SET k v")
    client.tap.holding = True
    client.send(encode("HGETALL", "hash") + encode("GET", "k"))
    wait_until(lambda: b"HLEN" in client.tap.all_sent(), "the question to be sent")
    client.tap.cut()
    client.tap.holding = False
    assert client.read() == [b"f", b"v"]  # a length is a read: it is asked again
    assert client.read() == b"v"


def test_a_pinned_link_dies_while_it_is_asked(tapped, store):
    store.call("HSET", "hash", "f", "v")
    client = tapped(ASKING, backend={"dial-rate": "500/s"})
    client.ok("WATCH k")
    client.tap.holding = True
    client.send(encode("HGETALL", "hash") + encode("PING"))
    wait_until(lambda: b"HLEN" in client.tap.all_sent(), "the question to be sent")
    client.tap.cut()
    client.tap.holding = False
    assert client.read() == "ERR respgate: backend redis is unavailable"
    assert client.read() == b"PONG"


def test_the_client_leaves_while_it_is_asked(tapped, store):
    fill(store)
    client = tapped(ASKING)
    client.ok("SET k v")
    other = client.gate.client()
    for _ in range(10):
        asked = client.tap.all_sent().count(b"HLEN")
        leaver = client.gate.client()
        client.tap.holding = True
        leaver.send(encode("HGETALL", "hash") + encode("GET", "k"))
        wait_until(lambda: client.tap.all_sent().count(b"HLEN") > asked, "the question to be sent")
        leaver.close()
        client.tap.holding = False
        assert other.call("GET k") == b"v"
    other.close()


def test_a_client_is_killed_while_it_is_asked(tapped, store):
    fill(store)
    client = tapped(ASKING)
    client.ok("SET k v")
    victim = client.gate.client()
    number = victim.call("CLIENT ID")
    client.tap.holding = True
    victim.send(encode("HGETALL", "hash"))
    wait_until(lambda: b"HLEN" in client.tap.all_sent(), "the question to be sent")
    assert client.call(f"CLIENT KILL ID {number}") == 1
    client.tap.holding = False
    with pytest.raises(Closed):
        victim.read()
    assert client.call("GET k") == b"v"
    victim.close()


@pytest.mark.parametrize("later, answer", [
    (rule("commands = hgetall", "message = no", name="other"), denied("HGETALL", "other") + ": no"),
    (rule("unbounded = yes", "min-elements = 100"), None),
    (rule("unbounded = yes", "min-elements = 2"), denied("HGETALL"))])
def test_a_reload_meanwhile_judges_by_the_new_rules(tapped, store, later, answer):
    fill(store, 5)
    client = tapped(ASKING)
    client.ok("SET k v")
    client.tap.holding = True
    client.send(encode("HGETALL", "hash"))
    wait_until(lambda: b"HLEN" in client.tap.all_sent(), "the question to be sent")
    client.gate.reload(extra=later)
    client.tap.holding = False
    reply = client.read()
    assert reply == answer if answer else len(reply) == 10


def test_observe_changes_nothing(ruled, store):
    fill(store)
    client = ruled(rule("unbounded = yes", "min-elements = 10", "mode = observe"))
    assert len(client.call("LRANGE list 0 -1")) == 20
    client.gate.wait_log("observe: rule 'r' would refuse 'lrange'")
    assert client.pipeline("MULTI", "SMEMBERS set", "EXEC")[1] == b"QUEUED"


def test_a_limit_counts_only_large_answers(ruled, store):
    fill(store)
    client = ruled(rule("unbounded = yes", "min-elements = 10", "rate = 1/h", "burst = 1",
                        action="limit"))
    assert client.call("HGETALL none") == []
    assert len(client.call("SMEMBERS set")) == 20
    assert client.call("SMEMBERS set").startswith("THROTTLED respgate: rule 'r'")
    assert client.call("HGETALL none") == []


# ---- sizes ----

def test_sizes(ruled, store):
    client = ruled(rule("min-bytes = 1kb", name="large") + rule("min-args = 8", name="args")
                   + rule("commands = del", "min-keys = 3", name="keys"))
    assert client.call("SETRANGE k 536870911 x") == denied("SETRANGE", "large")
    assert client.call("SETBIT k 4294967295 1") == denied("SETBIT", "large")
    assert client.call("BITFIELD k SET u8 #1024 1") == denied("BITFIELD", "large")
    assert client.call("SET k " + "x" * 1024) == denied("SET", "large")
    assert client.call("SETRANGE k 900 x") == 901
    assert client.call("RPUSH l 1 2 3 4 5 6 7") == denied("RPUSH", "args")
    assert client.call("RPUSH l 1 2 3 4 5 6") == 6
    assert client.call("DEL a b c") == denied("DEL", "keys")
    assert client.call("DEL a b") == 0
    replies = client.pipeline("MULTI", "SETRANGE k 536870911 x", "EXEC")
    assert replies[1] == denied("SETRANGE", "large") and replies[2].startswith("EXECABORT")
    assert store.call("STRLEN k") == 901


# ---- times to live ----

def test_without_ttl(ruled, store):
    client = ruled(rule("without-ttl = yes", "keys = cache:*"))
    for line in ("SET cache:a v", "SETNX cache:a v", "GETSET cache:a v", "MSET other v cache:a v",
                 "SET cache:a v XX GET", "GETEX cache:a PERSIST", "PERSIST cache:a"):
        assert client.call(line) == denied(line.split()[0]), line
    for line in ("SET cache:a v EX 10", "SET cache:a v KEEPTTL", "SET cache:a v PX 10000 NX",
                 "GETEX cache:a", "SETEX cache:a 10 v", "SET other v", "MSET a v b v"):
        reply = client.call(line)
        assert not str(reply).startswith("NOPERM"), line
    assert store.call("TTL cache:a") == 10


def test_max_ttl(ruled, store):
    client = ruled(rule("max-ttl = 1h"))
    now = int(store.call("TIME")[0])
    for line in ("SET k v EX 3601", "SET k v PX 3600001", f"SET k v EXAT {now + 4000}",
                 f"SET k v PXAT {(now + 4000) * 1000}", "SETEX k 3601 v", "PSETEX k 3600001 v",
                 "EXPIRE k 3601", "PEXPIRE k 3600001", f"EXPIREAT k {now + 4000}",
                 f"PEXPIREAT k {(now + 4000) * 1000}", "GETEX k EX 3601",
                 "EXPIRE k 9223372036854775807", "EXPIRE k 99999999999999999999", "EXPIRE k x"):
        assert client.call(line) == denied(line.split()[0]), line
    for line in ("SET k v EX 3600", "SET k v", f"SET k v EXAT {now + 3500}", "PEXPIRE k 3600000",
                 "EXPIRE k -1", f"EXPIREAT k {now - 5}"):
        assert not str(client.call(line)).startswith("NOPERM"), line


# ---- channels ----

def test_channels(ruled):
    client = ruled(rule("commands = publish, subscribe, psubscribe", "channels = news:*, chat",
                        name="open", action="allow")
                   + rule("commands = publish, subscribe, psubscribe", name="closed"))
    assert client.call("PUBLISH news:1 x") == 0
    assert client.call("PUBLISH chat x") == 0
    assert client.call("PUBLISH chats x") == denied("PUBLISH", "closed")
    assert client.call("SUBSCRIBE news:1 secret") == denied("SUBSCRIBE", "closed")
    assert client.call("PSUBSCRIBE news:1*") == denied("PSUBSCRIBE", "closed")
    assert client.call("PSUBSCRIBE *") == denied("PSUBSCRIBE", "closed")
    assert client.call("PSUBSCRIBE news:*")[1] == b"news:*"


def test_a_pattern_that_may_hear_a_closed_channel_is_refused(ruled):
    client = ruled(rule("channels = secret:*"))
    for pattern in ("*", "s*", "sec?et:*", "*:x", "[rs]ecret*", "secret:a"):
        assert client.call("PSUBSCRIBE", pattern) == denied("PSUBSCRIBE"), pattern
    assert client.call("SUBSCRIBE open secret:x") == denied("SUBSCRIBE")
    assert client.call("PSUBSCRIBE open:*")[1] == b"open:*"


# ---- mistakes ----

@pytest.mark.parametrize("line, text", [
    ("max-ttl = 0", "max-ttl: '0' is too small"),
    ("max-ttl = 7x", "max-ttl: '7x' is not a duration"),
    ("min-keys = many", "min-keys: 'many' is not a whole number"),
    ("min-bytes = 10mib", "min-bytes: '10mib' is not a size"),
    ("min-args = 0", "min-args: '0' is too small"),
    ("min-elements = 10", "'min-elements' needs 'unbounded = yes'"),
    ("when = full", "when: 'full' is not one of normal, high, critical"),
    ("unbounded = maybe", "unbounded: 'maybe' is not one of no, yes"),
    ("channels =", "'channels' has no value"),
])
def test_mistakes_are_told_with_their_line(tmp_path, line, text):
    path = tmp_path / "respgate.conf"
    path.write_text(f"[rule r]\n; a comment\n{line}\naction = deny\n")
    path.chmod(0o600)
    code, out, errors = run_binary("-t", "-c", path)
    assert code == 1 and f"{path}:3: {text}" in out + errors


def test_a_clause_that_can_never_hold_is_warned_of(tmp_path):
    path = tmp_path / "respgate.conf"
    path.write_text("[rule r]\ncommands = get, set\nchannels = news:*\naction = deny\n")
    path.chmod(0o600)
    code, out, errors = run_binary("-t", "-c", path)
    assert code == 0
    assert f"{path}:3: warning: rule 'r' can never match: 'channels' means nothing for its " \
           "commands" in out + errors


def test_times_to_live_of_collections_are_sampled(tapped, store):
    client = tapped(rule("commands = set", "without-ttl = yes"))
    for _ in range(20):
        client.pipeline(*["RPUSH list x"] * 500)
        if b"PTTL" in client.tap.all_sent():
            break
    assert encode("PTTL", "list") in client.tap.all_sent()
    assert client.call("LLEN list") % 500 == 0


def test_without_such_a_rule_nothing_is_sampled(tapped):
    client = tapped(rule("commands = flushall"))
    for _ in range(6):
        client.pipeline(*["RPUSH list x"] * 500)
    assert b"PTTL" not in client.tap.all_sent()
