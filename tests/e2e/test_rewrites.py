"""rewrite: what reaches the store, and that replies are those the client expects."""
import pytest

ADD = ("[rule bound]\ncommands = xadd\naction = rewrite\nadd = MAXLEN ~ 100\n"
       "[rule ttl]\ncommands = set, getset\nkeys = cache:*\naction = rewrite\nadd = EX 60\n"
       "[rule async]\ncommands = flushall\naction = rewrite\nadd = ASYNC\n")


@pytest.fixture
def rewriting(start_gate, store):
    clients = []

    def start(extra=ADD, **options):
        gate = start_gate(store, extra=extra, **options)
        clients.append(gate.client())
        clients[-1].gate = gate
        return clients[-1]
    yield start
    for client in clients:
        client.close()


@pytest.fixture
def monitor(store):
    """The arguments of what the store runs, without what respgate asks itself."""
    with store.client() as client:
        client.ok("MONITOR")

        def seen(last):
            lines = []
            while not lines or last not in lines[-1]:
                lines.append(client.read().decode().split("] ", 1)[1])
            return lines
        yield seen


def test_what_the_store_sees(rewriting, monitor):
    client = rewriting()
    replies = client.pipeline("XADD s 1-1 f v", "XADD s MAXLEN 5000 1-2 f v", ("SET", "cache:a", "two words"),
                              "SET other v", "GETSET cache:a w", "GETSET cache:b x", "FLUSHALL", "ECHO end")
    assert replies == [b"1-1", b"1-2", b"OK", b"OK", b"two words", None, b"OK", b"end"]
    assert [line for line in monitor("end") if line.startswith(('"XADD', '"SET', '"GETSET', '"FLUSH'))] == [
        '"XADD" "s" "MAXLEN" "~" "100" "1-1" "f" "v"', '"XADD" "s" "MAXLEN" "~" "100" "1-2" "f" "v"',
        '"SET" "cache:a" "two words" "EX" "60"', '"SET" "other" "v"',
        '"SET" "cache:a" "w" "EX" "60" "GET"', '"SET" "cache:b" "x" "EX" "60" "GET"',
        '"FLUSHALL" "ASYNC"']


def test_large_values_survive(rewriting, store):
    client = rewriting()
    value = bytes(range(256)) * 4096
    client.ok("SET", "cache:big", value)
    assert store.call("GET", "cache:big") == value and 0 < store.call("TTL", "cache:big") <= 60


def test_inside_multi_what_is_queued_is_what_was_rewritten(rewriting, store):
    client = rewriting()
    assert client.pipeline("MULTI", "SET cache:a v", "GETSET cache:a w", "EXEC") == \
        [b"OK", b"QUEUED", b"QUEUED", [b"OK", b"v"]]
    assert store.call("TTL", "cache:a") > 0


def test_a_rule_that_comes_too_late_for_a_queued_command_aborts(rewriting, store):
    client = rewriting("")
    assert client.pipeline("MULTI", "SET cache:a v") == [b"OK", b"QUEUED"]
    client.gate.reload(extra=ADD, expect="reload done")
    assert client.call("EXEC").code == "EXECABORT"
    assert client.pipeline("MULTI", "SET cache:a v") == [b"OK", b"QUEUED"]
    client.gate.reload(extra=ADD + "[rule z]\ncommands = get\naction = log\n", expect="reload done")
    assert client.call("EXEC") == [b"OK"]


def test_the_rewritten_request_is_judged_again(rewriting, store):
    client = rewriting(ADD + "[rule no-set]\ncommands = set\nkeys = cache:*\naction = deny\n")
    assert client.call("GETSET cache:a v") == "NOPERM respgate: 'SET' is denied by rule 'no-set'"
    assert store.call("EXISTS cache:a") == 0


def test_an_observing_rule_changes_nothing(rewriting, store):
    client = rewriting(ADD, proxy={"observe": "yes"})
    client.ok("SET cache:a v")
    assert store.call("TTL cache:a") == -1
    client.gate.wait_log("observe: rule 'ttl' would rewrite 'set'")


def test_log_writes_a_line(rewriting):
    client = rewriting("[rule seen]\ncommands = get\nkeys = secret:*\naction = log\n")
    client.call("GET other")
    client.call("GET secret:a")
    client.gate.wait_log("'get' by rule 'seen'")
    assert client.gate.process.log().count("'get' by rule 'seen'") == 1


def test_of_several_times_to_live_the_last_one_counts(rewriting, store):
    client = rewriting()
    client.ok("SET cache:a v EX 1 EX 9999999")
    client.ok("SET cache:b v PX 1 NX PX 9999999 PX 99999999999")
    client.ok("SET cache:c v EX 9999999 EX 5")
    assert 55 < store.call("TTL cache:a") <= 60
    assert 55 < store.call("TTL cache:b") <= 60
    assert 0 < store.call("TTL cache:c") <= 5
