"""The operator's side in tests: a respgate with console and HTTP on free ports."""
import http.client
import json
import socket
import subprocess

from .process import free_port
from .waiting import FACTOR
from .wire import Client


class Admin:
    """Console and HTTP of a Gate that was started with Admin.ports()."""

    def __init__(self, gate):
        self.gate = gate
        self.console_port = int(gate.admin["console"].rsplit(":", 1)[1])
        self.http_port = int(gate.admin["http"].rsplit(":", 1)[1])

    @staticmethod
    def ports(**options):
        return {"console": f"127.0.0.1:{free_port()}", "http": f"127.0.0.1:{free_port()}", **options}

    def console(self, **options):
        return Client(self.console_port, **options)

    def call(self, *words):
        with self.console() as console:
            return console.call(*words)

    def cli(self, *words, flags=()):
        """What redis-cli prints when its output is no terminal."""
        done = subprocess.run(["redis-cli", "-p", str(self.console_port), *flags, *words],
                              capture_output=True, text=True, timeout=20 * FACTOR)
        return done.stdout

    def get(self, path, headers=None, method="GET", body=None):
        """(status, headers, body) of one request."""
        connection = http.client.HTTPConnection("127.0.0.1", self.http_port, timeout=10 * FACTOR)
        try:
            connection.request(method, path, body=body, headers=headers or {})
            answer = connection.getresponse()
            return answer.status, answer.headers, answer.read()
        finally:
            connection.close()

    def json(self, path):
        status, headers, body = self.get(path)
        assert status == 200 and headers["Content-Type"] == "application/json", (status, body)
        return json.loads(body)

    def rows(self, table, **options):
        """A table of /api as a list of dicts."""
        query = "&".join(f"{key}={value}" for key, value in options.items())
        found = self.json(f"/api/{table}.json" + (f"?{query}" if query else ""))
        names = [column["name"] for column in found["columns"]]
        return [dict(zip(names, row)) for row in found["rows"]]

    def stat(self, name):
        return next(row["value"] for row in self.rows("stats") if row["name"] == name)

    def raw(self, data, wait=True):
        """The bytes answered to these bytes until the other side closes."""
        with socket.create_connection(("127.0.0.1", self.http_port), timeout=10 * FACTOR) as sock:
            sock.sendall(data)
            answer = b""
            while wait and (piece := sock.recv(65536)):
                answer += piece
            return answer
