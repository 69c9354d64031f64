"""What happens at the store and did not come through respgate is an alert; what is unwise there is
advice."""
from harness.admin import Admin
from harness.servers import run_binary, section
from harness.waiting import wait_until

POLL = section("pressure", {"poll": "100ms"})
WIPE = "ran 1 times without coming through respgate"


def start(start_gate, redis, tmp_path, extra=POLL):
    gate = start_gate(redis, extra=extra, admin=Admin.ports(),
                      log={"audit-file": tmp_path / "audit.log"})
    return gate, Admin(gate)


def looks(redis):
    """Waits until respgate has looked twice more; each look is two INFO."""
    own = 0

    def asked():
        nonlocal own
        own += 1
        stats = redis.call("INFO", "commandstats").decode()
        return int(stats.split("cmdstat_info:calls=")[1].split(",")[0]) - own
    before = asked()
    wait_until(lambda: asked() > before + 5, "the next looks")


def test_a_flush_past_the_gate_is_an_alert_and_one_through_it_is_not(start_gate, start_redis,
                                                                    tmp_path):
    redis = start_redis()
    gate, _ = start(start_gate, redis, tmp_path)
    gate.wait_log("0 commands learned")
    looks(redis)
    with gate.client() as client:
        client.ok("FLUSHALL")
        looks(redis)
        assert WIPE not in gate.process.log()
        redis.call("FLUSHALL")
        gate.wait_log(WIPE)
    wait_until(lambda: WIPE in (tmp_path / "audit.log").read_text(), "the audit line")


def test_keys_that_vanish_are_an_alert_unless_respgate_removed_them(start_gate, start_redis,
                                                                   tmp_path):
    redis = start_redis()
    for number in range(300):
        redis.call("SET", f"k{number}", "v")
    gate, _ = start(start_gate, redis, tmp_path)
    gate.wait_log("0 commands learned")
    looks(redis)
    with gate.client() as client:
        client.call("UNLINK", *[f"k{number}" for number in range(180)])
        looks(redis)
        assert "keys are gone" not in gate.process.log()
    redis.call("DEL", *[f"k{number}" for number in range(180, 290)])
    gate.wait_log("110 of 120 keys are gone, and nothing that came through respgate removed them")


def test_the_console_shows_health_advice_and_who_is_outside(start_gate, start_redis, tmp_path):
    redis = start_redis(maxmemory="100mb", maxmemory_policy="allkeys-lru")
    extra = POLL + section("queue jobs", {"keys": "jobs", "max-length": 10})
    with redis.client() as outside:
        outside.ok("CLIENT SETNAME backdoor")
        outside.ok("SET k v")
        gate, admin = start(start_gate, redis, tmp_path, extra)
        with gate.client() as client:
            client.call("RPUSH jobs 1 2 3")

        def advice():
            return {row["setting"] for row in admin.rows("advice")}
        wait_until(lambda: "maxmemory-policy" in advice(), "advice")
        assert advice() == {"maxmemory-policy", "default-user", "replica", "persistence"}
        wait_until(lambda: "backdoor" in [row["name"] for row in admin.rows("outside")],
                   "the outsider")
        assert "respgate" not in [row["name"] for row in admin.rows("outside")]
        node, = admin.rows("pressure")
        assert node["limit"] == 100 * 1024 * 1024 and 0 < node["used"] < 50 * 1024 * 1024
        wait_until(lambda: admin.rows("queues")[0]["type"] == "list", "the queue's type")
        queue, = admin.rows("queues")
        assert queue["queue"] == "jobs" and queue["length"] == 3 and queue["max-length"] == 10
    _, _, metrics = admin.get("/metrics")
    assert b'respgate_queue_length{key="jobs"}' in metrics
    assert b'respgate_node_memory_level{node="redis"} 0' in metrics


def test_the_check_tells_what_is_unwise(start_redis, tmp_path):
    redis = start_redis(appendonly="yes")
    path = tmp_path / "respgate.conf"
    path.write_text(f"[backend]\nurl = redis://127.0.0.1:{redis.port}\n"
                    "[pressure]\naof-limit = 50mb\n")
    path.chmod(0o600)
    code, out, _ = run_binary("-t", "-c", path, "--connect")
    assert code == 0
    assert "warning: auto-aof-rewrite-min-size is above half of the AOF's volume" in out
    assert "warning: no replica is connected" in out


def test_what_the_node_counts_itself_is_shown(start_gate, start_redis, tmp_path):
    redis = start_redis(slowlog_log_slower_than="0", slowlog_max_len="4")
    for _ in range(10):
        redis.call("PING")
    gate, admin = start(start_gate, redis, tmp_path)

    def node():
        rows = admin.rows("pressure")
        return rows[0] if rows else {"slowlog": None}
    wait_until(lambda: node()["slowlog"], "the slow log to be looked at")
    assert node()["slowlog"] > 4, "entries it ever got, not those it keeps"
    assert node()["rejected"] == 0
    before = node()["connects"]
    redis.call("PING")
    wait_until(lambda: node()["connects"] > before, "the connection past the gate to be counted")
    _, _, metrics = admin.get("/metrics")
    assert b"respgate_node_connects_total{" in metrics
    assert b"respgate_cluster_ok" not in metrics, "there is no cluster"


def test_who_goes_round_is_known_with_its_commands_also_when_it_is_gone(start_gate, start_redis,
                                                                       tmp_path):
    redis = start_redis()
    with redis.client() as direct:
        direct.ok("CLIENT SETNAME cron")
        direct.ok("SET k v")
        gate, admin = start(start_gate, redis, tmp_path)

        def cron():
            return next((row for row in admin.rows("outside") if row["name"] == "cron"), None)
        row = wait_until(cron, "the connection to be seen")
        assert row["commands"] == "set" and row["connections"] == 1
        assert row["address"] == "127.0.0.1" and row["user"] == "default"
        direct.call("GET k")
        wait_until(lambda: cron()["commands"] == "set get", "the next look", 10)
    wait_until(lambda: cron()["connections"] == 0, "it to be gone", 10)
