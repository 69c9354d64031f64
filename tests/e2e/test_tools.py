"""The stock tools: redis-benchmark and redis-cli."""
import subprocess

import pytest
import redis

from harness.process import free_port
from harness.waiting import FACTOR, wait_until
from harness.wire import encode


def run(*arguments, stdin="", timeout=60):
    done = subprocess.run([str(a) for a in arguments], input=stdin, capture_output=True, text=True,
                          timeout=timeout * FACTOR)
    return done.returncode, done.stdout, done.stderr


@pytest.fixture
def cli(gate):
    def call(*arguments, stdin=""):
        code, out, errors = run("redis-cli", "-p", gate.port, *arguments, stdin=stdin)
        assert code == 0, (out, errors)
        return out
    return call


def test_benchmark_defaults(gate, store):
    code, out, errors = run("redis-benchmark", "-p", gate.port, "-n", "2000", "-q", "-c", "20")
    assert code == 0 and "rror" not in out + errors, out + errors
    tests = {line.split(":")[0].strip() for line in out.replace("\r", "\n").splitlines()
             if "requests per second" in line}
    assert {"PING_INLINE", "SET", "GET", "INCR", "LPUSH", "RPOP", "SADD", "HSET", "SPOP", "ZADD",
            "ZPOPMIN", "MSET (10 keys)"} <= tests
    assert len(tests) >= 20


@pytest.mark.parametrize("options", [("-P", "16"), ("-P", "100", "-c", "100"), ("-3",),
                                     ("-r", "1000", "-d", "500"), ("-k", "0")])
def test_benchmark_options(gate, options):
    code, out, errors = run("redis-benchmark", "-p", gate.port, "-n", "2000", "-q", "-t",
                            "set,get,lrange_100,mset", *options)
    assert code == 0 and "rror" not in out + errors, out + errors


def test_cli_command(cli, store):
    assert cli("SET", "k", "v") == "OK\n"
    assert cli("GET", "k") == "v\n"
    assert cli("-n", "3", "SET", "k", "three") == "OK\n"
    assert store.call("GET k") == b"v"
    assert cli("-r", "5", "INCR", "n").split() == ["1", "2", "3", "4", "5"]
    assert cli("NONSENSE").startswith("ERR unknown command")


def test_cli_resp3(cli):
    assert cli("-3", "HSET", "h", "a", "1") == "1\n"
    assert cli("-3", "--no-raw", "HGETALL", "h") == "1# \"a\" => \"1\"\n"


def test_cli_transaction_typed_in(cli):
    out = cli(stdin="MULTI\nSET a 1\nINCR a\nEXEC\nGET a\n")
    assert out.split() == ["OK", "QUEUED", "QUEUED", "OK", "2", "2"]


def test_cli_select_typed_in(cli, store):
    cli(stdin="SELECT 4\nSET k four\n")
    assert store.call("GET k") is None
    assert cli("-n", "4", "GET", "k") == "four\n"


def test_cli_mass_insertion(gate, store):
    data = b"".join(encode("SET", f"mass:{n}", n) for n in range(20_000))
    done = subprocess.run(["redis-cli", "-p", str(gate.port), "--pipe"], input=data,
                          capture_output=True, timeout=60 * FACTOR)
    assert done.returncode == 0
    assert b"errors: 0, replies: 20000" in done.stdout
    assert store.call("DBSIZE") == 20_000


def test_cli_scan(cli, store):
    with store.client() as direct:
        direct.pipeline(*(f"SET key:{n} v" for n in range(500)))
    assert len(cli("--scan", "--pattern", "key:*").split()) == 500
    assert "Biggest string found" in cli("--bigkeys")
    assert "Biggest string found" in cli("--memkeys")


def test_cli_eval(cli, tmp_path):
    script = tmp_path / "s.lua"
    script.write_text("return {KEYS[1], ARGV[1]}")
    assert cli("--eval", script, "k", ",", "v").split() == ["k", "v"]


def test_cli_stdin_argument(cli, store):
    cli("-x", "SET", "k", stdin="from stdin")
    assert store.call("GET k") == b"from stdin"


def test_cli_subscribe(gate, store):
    process = subprocess.Popen(["redis-cli", "-p", str(gate.port), "SUBSCRIBE", "c"],
                               stdout=subprocess.PIPE, text=True)
    try:
        wait_until(lambda: store.call("PUBSUB NUMSUB c")[1] == 1, "redis-cli to subscribe")
        store.call("PUBLISH c hello")
        lines = [process.stdout.readline().strip() for _ in range(6)]
        while "hello" not in lines:
            lines.append(process.stdout.readline().strip())
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def test_cli_over_tls(start_gate, store, certs):
    cert, key = certs.server
    plain, secure = free_port(), free_port()
    start_gate(store, proxy={
        "listen": [f"127.0.0.1:{plain}", f"tls://127.0.0.1:{secure}"], "tls-cert-file": cert,
        "tls-key-file": key, "tls-ca-file": certs.ca, "tls-auth-clients": "yes"})
    client_cert, client_key = certs.client
    tls = ("redis-cli", "-h", "localhost", "-p", secure, "--tls", "--cacert", certs.ca)
    code, out, errors = run(*tls, "--cert", client_cert, "--key", client_key, "PING")
    assert (code, out) == (0, "PONG\n"), errors
    code, out, _ = run(*tls, "PING")
    assert "PONG" not in out


def test_cli_with_password(start_gate, start_redis):
    redis = start_redis(requirepass="s3cret")
    gate = start_gate(redis)
    code, out, _ = run("redis-cli", "-p", gate.port, "-a", "s3cret", "--no-auth-warning", "SET",
                       "k", "v")
    assert (code, out) == (0, "OK\n")
    assert "NOAUTH" in run("redis-cli", "-p", gate.port, "GET", "k")[1]


def test_redis_py(gate, store):
    """The library of Debian, as an application uses it."""
    client = redis.Redis(port=gate.port, client_name="app")
    client.set("k", "v", ex=100)
    assert client.get("k") == b"v"
    with client.pipeline() as pipe:
        pipe.watch("k")
        pipe.multi()
        pipe.incr("n").get("k")
        assert pipe.execute() == [1, b"v"]
    assert client.register_script("return ARGV[1]")(args=["x"]) == b"x"
    with client.lock("lock", timeout=5):
        assert client.exists("lock")
    assert not client.exists("lock")
    listener = client.pubsub()
    listener.subscribe("c")
    listener.psubscribe("p*")
    wait_until(lambda: store.call("PUBSUB NUMSUB c")[1] == 1 and store.call("PUBSUB NUMPAT") == 1,
               "the subscriptions")
    client.publish("c", "one")
    client.publish("pattern", "two")
    data = []
    while len(data) < 2:
        message = listener.get_message(ignore_subscribe_messages=True, timeout=1)
        if message:
            data.append(message["data"])
    assert data == [b"one", b"two"]
    listener.close()
    assert client.blpop("none", timeout=0.01) is None
    client.xadd("x", {"f": "v"})
    client.xgroup_create("x", "g", 0)
    assert client.xreadgroup("g", "me", {"x": ">"}, block=100)[0][0] == b"x"
    client.close()
