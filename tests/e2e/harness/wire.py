"""RESP by hand: a raw socket, one reply at a time, as bytes and as values.

redis-py hides what these tests are about (which bytes came, in which order, on which connection),
so most of them speak RESP themselves.
"""
import socket
import ssl

from .waiting import FACTOR


class Error(str):
    """An error reply; equal to its text, without the leading '-'."""

    @property
    def code(self):
        return self.split(" ", 1)[0]


class Status(bytes):
    """A simple string; compares as bytes."""


class Push(list):
    """A RESP3 push."""



class Closed(Exception):
    """The peer closed the connection where a reply was expected."""


def encode(*args):
    out = [b"*%d\r\n" % len(args)]
    for arg in args:
        data = to_bytes(arg)
        out.append(b"$%d\r\n%s\r\n" % (len(data), data))
    return b"".join(out)


def to_bytes(arg):
    if isinstance(arg, bytes):
        return arg
    return str(arg).encode()


def text_args(line):
    """'SET k v' to its arguments; for commands without blanks inside arguments."""
    return line.split()


class Client:
    """One connection. Reads are buffered; nothing is read ahead of what is asked for by name."""

    def __init__(self, port=None, host="127.0.0.1", path=None, tls=None, server_name="localhost",
                 timeout=10.0):
        if path:
            self.sock = socket.socket(socket.AF_UNIX)
            self.sock.settimeout(timeout * FACTOR)
            self.sock.connect(str(path))
        else:
            self.sock = socket.create_connection((host, port), timeout * FACTOR)
            self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if tls:
            self.sock = tls.wrap_socket(self.sock, server_hostname=server_name)
        self.timeout = timeout * FACTOR
        self.buffer = bytearray()
        self.at = 0
        self.pushes = []

    # -- bytes ------------------------------------------------------------------------------------

    def send(self, data):
        self.sock.sendall(data)

    def send_pieces(self, data, cuts):
        """Sends data cut at the given offsets, each piece as a packet of its own."""
        last = 0
        for cut in [*sorted(cuts), len(data)]:
            if cut > last:
                self.sock.sendall(data[last:cut])
                last = cut

    def _more(self):
        try:
            data = self.sock.recv(1 << 18)
        except socket.timeout:
            raise AssertionError(f"nothing came for {self.timeout:g} s") from None
        except (ConnectionResetError, BrokenPipeError, ssl.SSLError) as error:
            if isinstance(error, ssl.SSLError) and not isinstance(
                    error, (ssl.SSLEOFError, ssl.SSLZeroReturnError)):
                raise
            data = b""
        if not data:
            raise Closed(f"closed by the peer, {bytes(self.buffer[self.at:self.at + 200])!r} left over")
        if self.at == len(self.buffer):
            self.buffer.clear()
            self.at = 0
        self.buffer += data

    def _line(self):
        start = self.at
        while True:
            end = self.buffer.find(b"\r\n", start)
            if end >= 0:
                line = bytes(self.buffer[self.at:end])
                self.at = end + 2
                return line
            held = len(self.buffer) - self.at
            self._more()
            start = max(self.at, self.at + held - 1)

    def _exactly(self, count):
        while len(self.buffer) - self.at < count:
            self._more()
        data = bytes(self.buffer[self.at:self.at + count])
        self.at += count
        return data

    def raw(self):
        """The bytes of the next reply, pushes included."""
        line = self._line()
        kind, rest = line[:1], line[1:]
        out = [line + b"\r\n"]
        if kind in b"$=!" and int(rest) >= 0:
            out.append(self._exactly(int(rest) + 2))
        elif kind in b"*~>%|" and int(rest) >= 0:
            count = int(rest) * (2 if kind in b"%|" else 1) + (1 if kind == b"|" else 0)
            out += [self.raw() for _ in range(count)]
        elif kind not in b"+-:_#,($=!*~>%|":
            raise AssertionError(f"not RESP: {line!r}")
        return b"".join(out)

    def rest(self):
        """All bytes until the peer closes."""
        while True:
            try:
                self._more()
            except Closed:
                data = bytes(self.buffer[self.at:])
                self.at = len(self.buffer)
                return data

    # -- values -----------------------------------------------------------------------------------

    def value(self):
        """The next reply or push as a value."""
        line = self._line()
        kind, rest = line[:1], line[1:]
        if kind == b"+":
            return Status(rest)
        if kind == b"-":
            return Error(rest.decode(errors="replace"))
        if kind == b":" or kind == b"(":
            return int(rest)
        if kind in b"$=!":
            if int(rest) < 0:
                return None
            data = self._exactly(int(rest) + 2)[:-2]
            if kind == b"!":
                return Error(data.decode(errors="replace"))
            return data[4:] if kind == b"=" else data
        if kind == b"_":
            return None
        if kind == b"#":
            return rest == b"t"
        if kind == b",":
            return float(rest)
        if kind == b"|":
            for _ in range(2 * int(rest)):
                self.value()
            return self.value()
        if kind in b"*~>":
            if int(rest) < 0:
                return None
            items = [self.value() for _ in range(int(rest))]
            return Push(items) if kind == b">" else items
        if kind == b"%":
            return {self.value(): self.value() for _ in range(int(rest))}
        raise AssertionError(f"not RESP: {line!r}")

    def read(self):
        """The next reply; pushes on the way are put aside in .pushes."""
        while True:
            value = self.value()
            if not isinstance(value, Push):
                return value
            self.pushes.append(value)

    def push(self):
        """The next push, from those put aside first."""
        if self.pushes:
            return self.pushes.pop(0)
        value = self.value()
        assert isinstance(value, Push), f"expected a push, got {value!r}"
        return value

    def call(self, *args):
        """Sends one command, returns its reply. A single string is split at blanks."""
        if len(args) == 1 and isinstance(args[0], str):
            args = text_args(args[0])
        self.send(encode(*args))
        return self.read()

    def ok(self, *args):
        reply = self.call(*args)
        assert reply == b"OK" and isinstance(reply, Status), f"{args!r} was answered {reply!r}"

    def pipeline(self, *lines):
        """Sends commands (strings or tuples) in one write, returns all replies."""
        self.send(b"".join(
            encode(*(text_args(line) if isinstance(line, str) else line)) for line in lines))
        return [self.read() for _ in lines]

    # -- ends -------------------------------------------------------------------------------------

    def silent(self):
        """Asserts that nothing was waiting: the next thing to arrive is the answer to an ECHO."""
        reply = self.call("ECHO", "nothing came before")
        assert reply == b"nothing came before", reply

    def closed(self, timeout=5.0):
        """Waits for the peer to close; returns what it said before."""
        self.sock.settimeout(timeout * FACTOR)
        try:
            return self.rest()
        except AssertionError:
            raise AssertionError("the connection was not closed") from None
        finally:
            self.sock.settimeout(self.timeout)

    def close(self):
        self.sock.close()

    def abort(self):
        """Leaves with RST, as a killed process with unread data does."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        self.sock.close()

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.close()
