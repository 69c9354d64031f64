"""Thousands of clients as applications have them: one request at a time, and a new connection when
a reply does not come in time."""
import os
import select
import socket
import time

TICKS = os.sysconf("SC_CLK_TCK")
REQUEST = b"*2\r\n$4\r\nINCR\r\n$1\r\nn\r\n"


def cpu(pid):
    """Seconds of CPU a process has used, user and system."""
    with open(f"/proc/{pid}/stat", encoding="ascii") as stat:
        fields = stat.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


class Storm:
    """count clients that ask every `pause` seconds and give a connection up when a reply takes
    longer than `patience`."""

    def __init__(self, port, count, patience=1.5, pause=0.5):
        self.port, self.patience, self.pause = port, patience, pause
        self.poll = select.epoll()
        self.clients = {}  # fd: [socket, when its request was sent, when the next is due]
        self.connects = self.lost = self.replies = self.errors = 0
        for number in range(count):
            self.connect(time.monotonic() + pause * number / count)

    def connect(self, due):
        sock = socket.socket()
        sock.setblocking(False)
        sock.connect_ex(("127.0.0.1", self.port))
        self.connects += 1
        self.clients[sock.fileno()] = [sock, None, due]
        self.poll.register(sock.fileno(), select.EPOLLIN)

    def again(self, fd, now):
        self.lost += 1
        self.poll.unregister(fd)
        self.clients.pop(fd)[0].close()
        self.connect(now)

    def read(self, now):
        for fd, _ in self.poll.poll(0.01, 4096):
            client = self.clients[fd]
            try:
                data = client[0].recv(4096)
            except BlockingIOError:
                continue
            except OSError:
                data = b""
            if not data:
                self.again(fd, now)
                continue
            if data[:1] == b"-":
                self.errors += 1
            else:
                self.replies += 1
            client[1], client[2] = None, now + self.pause

    def write(self, now):
        for fd in list(self.clients):
            sock, sent, due = self.clients[fd]
            if sent is not None and now > sent + self.patience:
                self.again(fd, now)
            elif sent is None and now >= due:
                try:
                    sock.send(REQUEST)
                    self.clients[fd][1] = now
                except BlockingIOError:
                    self.clients[fd][1] = now  # not connected yet: that counts as waiting, too
                except OSError:
                    self.again(fd, now)

    def run(self, seconds):
        end = time.monotonic() + seconds
        while (now := time.monotonic()) < end:
            self.read(now)
            self.write(now)

    def close(self):
        for sock, _, _ in self.clients.values():
            sock.close()
