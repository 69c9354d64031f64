"""Certificates made on the fly by openssl: a CA, good ones, and each kind of bad one."""
import ssl
import subprocess


class Certs:
    def __init__(self, folder):
        self.folder = folder
        self.ca = self._ca("ca")
        self.other_ca = self._ca("other-ca")
        self.server = self._leaf("server", "/CN=localhost", "DNS:localhost,IP:127.0.0.1")
        self.wrong_name = self._leaf("wrong-name", "/CN=elsewhere", "DNS:elsewhere.example")
        self.expired = self._leaf("expired", "/CN=localhost", "DNS:localhost,IP:127.0.0.1",
                                  expired=True)
        self.client = self._leaf("client", "/O=corp/CN=app")
        self.client_two = self._leaf("client-two", "/O=corp/CN=batch")
        self.stranger = self._leaf("stranger", "/CN=app", signer="other-ca")

    def _run(self, *args):
        subprocess.run(["openssl", *map(str, args)], check=True, capture_output=True)

    def _path(self, name):
        return self.folder / name

    def _ca(self, name):
        self._run("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                  "-days", "30", "-subj", f"/CN={name}", "-keyout", self._path(f"{name}.key"),
                  "-out", self._path(f"{name}.crt"))
        return self._path(f"{name}.crt")

    def _leaf(self, name, subject, names=None, signer="ca", expired=False):
        key, request, cert = (self._path(f"{name}.{kind}") for kind in ("key", "csr", "crt"))
        self._run("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                  "-subj", subject, "-keyout", key, "-out", request)
        extensions = self._path(f"{name}.ext")
        extensions.write_text(f"subjectAltName={names}\n" if names else "basicConstraints=CA:FALSE\n")
        self._run("x509", "-req", "-in", request, "-CA", self._path(f"{signer}.crt"),
                  "-CAkey", self._path(f"{signer}.key"), "-CAcreateserial", "-extfile", extensions,
                  "-days", "-1" if expired else "30", "-out", cert)
        key.chmod(0o600)
        return cert, key

    def context(self, cert=None, ca=None):
        """A TLS client's context: verifies the server, shows cert when given one."""
        context = ssl.create_default_context(cafile=str(ca or self.ca))
        if cert:
            context.load_cert_chain(*map(str, cert))
        return context
