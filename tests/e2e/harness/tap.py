"""A TCP relay between respgate and Redis that sees and can disturb every byte."""
import selectors
import socket
import threading

from .process import free_port
from .waiting import wait_until


class Tap:
    """Relays connections to a Redis, records both directions of each, and on demand holds replies
    back, changes them or cuts connections. One thread; hooks run in it."""

    def __init__(self, target_port):
        self.target = target_port
        self.port = free_port()
        self.sent = []       # bytes towards Redis, one bytearray for each connection
        self.change = None   # change(bytes, link number) -> bytes, for replies
        self.on_request = None  # on_request(bytes, link number) -> False to swallow
        self.holding = False
        self._pairs = {}
        self._cut = False
        self._stop = False
        self._wake_out, self._wake_in = socket.socketpair()
        self._selector = selectors.DefaultSelector()
        self._listener = socket.create_server(("127.0.0.1", self.port))
        self._selector.register(self._listener, selectors.EVENT_READ, self._accept)
        self._selector.register(self._wake_out, selectors.EVENT_READ, lambda s: s.recv(100))
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self):
        while not self._stop:
            for key, _ in self._selector.select(0.05):
                if key.fileobj.fileno() >= 0:
                    key.data(key.fileobj)
            if self._cut:
                self._cut = False
                for sock in list(self._pairs):
                    self._drop(sock)
        for sock in list(self._pairs):
            self._drop(sock)
        self._listener.close()

    def _accept(self, listener):
        front, _ = listener.accept()
        try:
            back = socket.create_connection(("127.0.0.1", self.target))
        except OSError:
            front.close()
            return
        number = len(self.sent)
        self.sent.append(bytearray())
        for sock, peer, side in ((front, back, "request"), (back, front, "reply")):
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._pairs[sock] = (peer, side, number)
            self._selector.register(sock, selectors.EVENT_READ, self._relay)

    def _relay(self, sock):
        if sock not in self._pairs:
            return
        peer, side, number = self._pairs[sock]
        if side == "reply" and self.holding:
            threading.Event().wait(0.005)  # data stays in the kernel: look again soon
            return
        try:
            data = sock.recv(1 << 16)
            if not data:
                self._drop(sock)
                return
            if side == "request":
                self.sent[number] += data
                if self.on_request and self.on_request(data, number) is False:
                    return
            elif self.change:
                data = self.change(data, number)
            if data is None:
                self._drop(sock)
            elif data:
                peer.sendall(data)
        except OSError:
            self._drop(sock)

    def _drop(self, sock):
        for each in (sock, self._pairs.get(sock, (sock,))[0]):
            if each in self._pairs:
                self._selector.unregister(each)
                del self._pairs[each]
                each.close()

    def all_sent(self):
        return b"".join(bytes(part) for part in list(self.sent))

    def cut(self):
        """Closes every connection that is open now."""
        self._cut = True
        self._wake_in.send(b"x")
        wait_until(lambda: not self._cut, "the tap to cut")

    def stop(self):
        self._stop = True
        self._wake_in.send(b"x")
        self._thread.join()
