"""The certificates of tests/certs.sh, for tests in Python."""
import ssl
import subprocess
from pathlib import Path

SCRIPT = Path(__file__).resolve().parents[2] / "certs.sh"


class Certs:
    """Paths: a CA alone, the rest as (certificate, key)."""

    def __init__(self, folder):
        subprocess.run(["sh", SCRIPT, folder], check=True, capture_output=True)
        self.ca = folder / "ca.crt"
        self.other_ca = folder / "stranger-ca.crt"
        for name in ("server", "wrong-name", "expired", "client", "other", "stranger"):
            pair = folder / f"{name}.crt", folder / f"{name}.key"
            setattr(self, name.replace("-", "_"), pair)

    def context(self, cert=None):
        """A TLS client's context: verifies the server, shows cert when given one."""
        context = ssl.create_default_context(cafile=str(self.ca))
        if cert:
            context.load_cert_chain(*map(str, cert))
        return context
