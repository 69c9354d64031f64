"""[proxy] memory-limit: who makes respgate hold most is refused, then goes first, and nobody else.
Open files: as many as clients and links want, or a clear line."""
from harness.servers import section
from harness.waiting import wait_until
from harness.wire import Closed

MB = 1024 * 1024


def test_the_heaviest_client_is_closed_and_the_others_stay(start_gate, store):
    store.call("SET", "big", b"x" * 4 * MB)
    gate = start_gate(store, proxy={"memory-limit": "32mb"})
    with gate.client() as light, gate.client() as heavy:
        light.ok("SET k v")
        heavy.send(b"GET big\r\n" * 40)  # and reads nothing
        gate.wait_log(r"closed: holds most of respgate's memory \(memory-limit\)", timeout=15)

        def ended():
            try:
                heavy.read()
                return False
            except (Closed, OSError):
                return True
        wait_until(ended, "the heavy client to be closed")
        assert light.call("GET k") == b"v"


def test_before_that_it_is_refused_and_may_go_on_when_it_has_read(start_gate, store):
    store.call("SET", "big", b"x" * MB)
    gate = start_gate(store, proxy={"memory-limit": "64mb"}, extra=section("pressure", {
        "high": "30%", "critical": "95%", "resume": "20%"}))
    with gate.client() as light, gate.client() as heavy:
        light.ok("SET k v")
        heavy.send(b"GET big\r\n" * 45)  # and reads nothing
        gate.wait_log("respgate's own memory is high", timeout=15)
        heavy.send(b"GET big\r\nMULTI\r\nSET k w\r\nEXEC\r\n")
        assert light.call("GET k") == b"v"
        for _ in range(45):
            assert len(heavy.read()) == MB
        assert heavy.read().startswith("OOM respgate: this connection holds too much")
        assert heavy.read() == b"OK" and heavy.read().code == "OOM"
        assert heavy.read().code == "EXECABORT"
        gate.wait_log("respgate's own memory is normal")
        wait_until(lambda: heavy.call("GET k") == b"v", "the client to be served again")


def test_half_a_request_counts_too(start_gate, store):
    gate = start_gate(store, proxy={"memory-limit": "16mb"})
    with gate.client() as light, gate.client() as heavy:
        heavy.send(b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$20000000\r\n" + b"x" * 15 * MB)
        gate.wait_log(r"closed: holds most of respgate's memory \(memory-limit\)", timeout=15)
        light.ok("SET k v")


def test_too_few_files_are_told_at_the_start(start_gate, store):
    with open("/proc/sys/fs/nr_open", encoding="ascii") as most:
        clients = int(most.read()) + 1
    gate = start_gate(store, proxy={"max-clients": clients})
    gate.wait_log("only [0-9]+ open files are allowed, max-clients and links want [0-9]+: raise "
                  "LimitNOFILE")
