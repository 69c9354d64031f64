"""A master, replicas, and redis-sentinels that watch them."""
import time

from .process import Process, free_port
from .servers import Redis
from .waiting import wait_until
from .wire import Client

DOWN_AFTER_MS = 1000


class Sentinel:
    """A redis-sentinel on 127.0.0.1; it rewrites its own file, so each has its folder."""

    def __init__(self, folder, master_port, name="mymaster", quorum=2, password=None, lines=()):
        self.folder = folder
        self.folder.mkdir(parents=True, exist_ok=True)
        self.port = free_port()
        self.password = password
        self.name = name
        self.config = folder / "sentinel.conf"
        text = [f"port {self.port}", "bind 127.0.0.1", f"dir {folder}", *lines,
                f"sentinel monitor {name} 127.0.0.1 {master_port} {quorum}",
                f"sentinel down-after-milliseconds {name} {DOWN_AFTER_MS}",
                f"sentinel failover-timeout {name} 3000"]
        text += [f"requirepass {password}"] if password else []
        self.config.write_text("\n".join(text) + "\n")
        self.process = None
        self.start()

    def start(self):
        self.process = Process(f"sentinel {self.port}", ["redis-sentinel", self.config],
                               self.folder / "sentinel.log")
        self.process.wait_log("Sentinel ID is", timeout=10)

    def call(self, *args):
        with Client(self.port) as client:
            if self.password:
                client.ok("AUTH", self.password)
            return client.call(*args)

    def master(self):
        """The port of the master as this one names it."""
        return int(self.call("SENTINEL", "GET-MASTER-ADDR-BY-NAME", self.name)[1])

    def state(self):
        flat = self.call("SENTINEL", "MASTER", self.name)
        return dict(zip(flat[::2], flat[1::2]))

    def stop(self):
        if self.process.alive():
            self.process.continue_running()
            self.process.kill()


class Watched:
    """One master, one replica, three sentinels that know each other."""

    def __init__(self, keeper, name="mymaster", sentinels=3, password=None, lines=()):
        self.keeper = keeper
        fast = {"repl_diskless_sync_delay": "0", "repl_ping_replica_period": "1"}
        self.master = keeper.add(Redis(keeper.folder("master"), **fast))
        self.replica = keeper.add(Redis(keeper.folder("replica"),
                                        replicaof=("127.0.0.1", str(self.master.port)), **fast))
        wait_until(lambda: self.replica.info("master_link_status") == "up", "the replica", 15)
        self.sentinels = [keeper.add(Sentinel(keeper.folder("sentinel"), self.master.port, name,
                                              password=password, lines=lines))
                          for _ in range(sentinels)]
        wait_until(lambda: all(self.knows_all(one) for one in self.sentinels),
                   "the sentinels to know each other and the replica", 20)

    def knows_all(self, sentinel):
        state = sentinel.state()
        return (int(state[b"num-other-sentinels"]) == len(self.sentinels) - 1
                and int(state[b"num-slaves"]) == 1)

    def backend(self, **more):
        return {"mode": "sentinel", "master-name": "mymaster", "dial-rate": "200/s",
                "sentinels": ", ".join(f"127.0.0.1:{one.port}" for one in self.sentinels), **more}

    def switched(self):
        """Waits until the replica is the master for a majority; the moment it was seen."""
        def majority():
            named = [one.master() == self.replica.port for one in self.sentinels
                     if one.process.alive()]
            return sum(named) * 2 > len(self.sentinels)
        wait_until(majority, "the failover", 30)
        return time.monotonic()
