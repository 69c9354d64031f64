"""conf/examples/cluster-ops.conf, before a real cluster with mutual TLS."""
import shutil

from harness.process import Process, free_port
from harness.servers import BINARY, ROOT
from harness.wire import Client


def test_a_plain_client_uses_it(request, cluster, certs, tmp_path):
    folder = tmp_path / "examples"
    shutil.copytree(ROOT / "conf" / "examples", folder)
    text = (folder / "cluster-ops.conf").read_text()
    cert, key = certs.client
    for name, path in (("redis-ca.crt", certs.ca), ("respgate.crt", cert), ("respgate.key", key)):
        text = text.replace(f"/etc/respgate/tls/{name}", str(path))
    (folder / "cluster-ops.conf").write_text(text + "\n[admin]\nconsole =\nhttp =\n")
    for path in folder.glob("*.conf"):
        path.chmod(0o600)
    port = free_port()
    gate = Process("respgate", [BINARY, "-c", folder / "cluster-ops.conf", "--listen", port,
                                "--backend", cluster.url()], tmp_path / "log")
    try:
        gate.wait_log(" is ready: ", timeout=10)
        with Client(port) as client:
            for number in range(50):
                client.ok("SET", f"job:state:{number}", number)
            assert client.call("MGET", *(f"job:state:{n}" for n in range(50)))[49] == b"49"
            assert client.call("FLUSHALL").code == "NOPERM"
            assert client.call("DBSIZE") == 50
    finally:
        gate.signal(15)
        assert gate.wait_exit(20) == 0, gate.log()
