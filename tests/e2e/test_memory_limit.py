"""[proxy] memory-limit: who makes respgate hold most goes first, and nobody else."""
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
