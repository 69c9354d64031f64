"""TLS on both sides, and unix sockets."""
import ssl
import stat

import pytest

from harness.process import free_port
from harness.servers import run_binary, section
from harness.wire import Client, Closed

QUICK = {"park-timeout": "200ms", "breaker-probe": "50ms", "dial-rate": "100/s"}


@pytest.fixture
def tls_redis(start_redis, certs):
    return start_redis(certs=certs)


def backend(certs, **more):
    cert, key = certs.client
    return {**QUICK, "tls-ca-file": certs.ca, "tls-cert-file": cert, "tls-key-file": key, **more}


# -- towards the store -------------------------------------------------------------------------


def test_mutual_tls(start_gate, tls_redis, certs):
    gate = start_gate(tls_redis, backend=backend(certs))
    with gate.client() as client:
        client.ok("SET k v")
        assert client.pipeline("MULTI", "GET k", "EXEC")[-1] == [b"v"]
        value = b"x" * 3_000_000
        client.ok("SET", "big", value)
        assert client.call("GET big") == value
        assert client.call("BLPOP none 0.01") is None
    assert tls_redis.call("GET k") == b"v"


def refused(gate, pattern):
    """Client error and one clear log line; the store is never reached in the clear."""
    with gate.client() as client:
        assert client.call("SET k v") == "ERR respgate: backend redis is unavailable"
        gate.wait_log(pattern)
        assert client.call("PING").startswith("ERR respgate:")


def test_a_store_signed_by_another_ca(start_gate, tls_redis, certs):
    refused(start_gate(tls_redis, backend=backend(certs, **{"tls-ca-file": certs.other_ca})),
            "certificate|verify")


def test_a_store_with_another_name(start_gate, start_redis, certs):
    redis = start_redis(certs=certs, server_cert=certs.wrong_name)
    gate = start_gate(redis, backend=backend(certs))
    refused(gate, "hostname|host name|name mismatch|IP address mismatch|certificate")


def test_tls_server_name_chooses_the_name(start_gate, start_redis, certs):
    redis = start_redis(certs=certs, server_cert=certs.wrong_name)
    gate = start_gate(redis, backend=backend(certs, **{"tls-server-name": "elsewhere.test"}))
    with gate.client() as client:
        client.ok("SET k v")


def test_verify_ca_takes_any_name(start_gate, start_redis, certs):
    redis = start_redis(certs=certs, server_cert=certs.wrong_name)
    gate = start_gate(redis, backend=backend(certs, **{"tls-verify": "ca"}))
    with gate.client() as client:
        client.ok("SET k v")


def test_an_expired_store_certificate(start_gate, start_redis, certs):
    redis = start_redis(certs=certs, server_cert=certs.expired)
    refused(start_gate(redis, backend=backend(certs)), "expired")


def test_without_a_client_certificate(start_gate, tls_redis, certs):
    gate = start_gate(tls_redis, backend={**QUICK, "tls-ca-file": certs.ca})
    with gate.client() as client:
        assert client.call("SET k v").startswith("ERR respgate:")
        gate.wait_log("certificate|alert|tls")


def test_a_store_that_speaks_no_tls(start_gate, start_redis, certs):
    redis = start_redis()
    gate = start_gate(url=f"rediss://127.0.0.1:{redis.port}", backend=backend(certs))
    with gate.client() as client:
        assert client.call("SET k v").startswith("ERR respgate:")
        gate.wait_log("unavailable: .*(tls|ssl|wrong version|not connected in time)")


@pytest.mark.needs_gate
def test_a_ca_file_that_is_missing(tmp_path):
    config = tmp_path / "c.conf"
    config.write_text(section("proxy", {"listen": f"127.0.0.1:{free_port()}"})
                      + section("backend", {"url": "rediss://127.0.0.1:1",
                                            "tls-ca-file": tmp_path / "none.crt"}))
    config.chmod(0o600)
    code, _, errors = run_binary("-c", config)
    assert code == 1 and "none.crt" in errors


# -- towards clients ---------------------------------------------------------------------------


@pytest.fixture
def tls_gate(start_gate, store, certs):
    def start(**more):
        cert, key = certs.server
        proxy = {"tls-cert-file": cert, "tls-key-file": key, "tls-ca-file": certs.ca, **more}
        plain, secure = free_port(), free_port()
        proxy["listen"] = [f"127.0.0.1:{plain}", f"tls://127.0.0.1:{secure}"]
        gate = start_gate_on(start_gate, store, plain, proxy)
        gate.secure = secure
        return gate
    return start


def start_gate_on(start_gate, store, port, proxy, extra=""):
    """A gate with listeners of the test's own, of which port is the plain one."""
    gate = start_gate(store, proxy=proxy, extra=extra)
    gate.port = port
    return gate


def test_a_tls_listener(tls_gate, certs):
    gate = tls_gate()
    with Client(gate.secure, tls=certs.context()) as secure, gate.client() as plain:
        secure.ok("SET k v")
        assert plain.call("GET k") == b"v"
        value = b"y" * 2_000_000
        secure.ok("SET", "big", value)
        assert secure.call("GET big") == value
        assert secure.pipeline(*["INCR n"] * 1000)[-1] == 1000
        assert secure.sock.version() in ("TLSv1.2", "TLSv1.3")


def test_tls_auth_clients(tls_gate, certs):
    gate = tls_gate(**{"tls-auth-clients": "yes"})
    with Client(gate.secure, tls=certs.context(certs.client)) as client:
        client.ok("SET k v")
    for context in (certs.context(), certs.context(certs.stranger)):
        with pytest.raises((ssl.SSLError, OSError, Closed)):
            Client(gate.secure, tls=context).call("PING")
    gate.check()


def test_plain_text_at_the_tls_port(tls_gate, certs):
    gate = tls_gate()
    with Client(gate.secure) as client:
        client.send(b"PING\r\n")
        assert b"PONG" not in client.closed()
    with Client(gate.secure, tls=certs.context()) as client:
        assert client.call("PING") == b"PONG"


def test_a_handshake_that_does_not_go_on(tls_gate, certs):
    gate = tls_gate(**{"handshake-timeout": "200ms"})
    with Client(gate.secure) as client:
        client.send(b"\x16\x03\x01")
        client.closed()
    with Client(gate.secure, tls=certs.context()) as client:
        assert client.call("PING") == b"PONG"


def test_tls_pipelines_written_before_reading(tls_gate, certs):
    gate = tls_gate()
    with Client(gate.secure, tls=certs.context()) as client:
        replies = client.pipeline(*[f"ECHO {n}" for n in range(5000)])
        assert replies == [b"%d" % n for n in range(5000)]


def test_a_client_certificate_is_a_user(start_gate, store, certs):
    cert, key = certs.server
    plain, secure = free_port(), free_port()
    gate = start_gate_on(start_gate, store, plain, {
        "listen": [f"127.0.0.1:{plain}", f"tls://127.0.0.1:{secure}"], "tls-cert-file": cert,
        "tls-key-file": key, "tls-ca-file": certs.ca, "tls-auth-clients": "yes"},
        "[user app]\ntls-subject = CN=app,O=respgate test\n[user batch]\ntls-subject = other\n"
        "[rule no-batch-writes]\ncommands = @write\nusers = batch\naction = deny\n")
    with gate.client() as client:
        assert client.call("GET k").code == "NOAUTH"
    with Client(secure, tls=certs.context(certs.client)) as client:
        client.ok("SET k v")
    with Client(secure, tls=certs.context(certs.other)) as client:
        assert client.call("GET k") == b"v"
        assert client.call("SET k w").code == "NOPERM"
    with pytest.raises((ssl.SSLError, OSError, Closed)):
        Client(secure, tls=certs.context()).call("GET k")


# -- unix sockets ------------------------------------------------------------------------------


def test_a_unix_listener(start_gate, store, tmp_path):
    path, port = tmp_path / "gate.sock", free_port()
    gate = start_gate_on(start_gate, store, port, {
        "listen": [f"127.0.0.1:{port}", f"unix:{path}"]})
    with Client(path=path) as client:
        client.ok("SET k v")
        assert client.pipeline("MULTI", "GET k", "EXEC")[-1] == [b"v"]
    assert stat.S_ISSOCK(path.stat().st_mode)
    gate.stop()
    gate.start()  # a socket left behind, or removed, is no obstacle
    with Client(path=path) as client:
        assert client.call("GET k") == b"v"


def test_a_store_behind_a_unix_socket(start_gate, start_redis, tmp_path):
    path = tmp_path / "redis.sock"
    start_redis(unixsocket=path)
    gate = start_gate(url=f"unix://{path}")
    with gate.client() as client:
        client.ok("SET k v")
        assert client.pipeline("MULTI", "GET k", "EXEC")[-1] == [b"v"]
