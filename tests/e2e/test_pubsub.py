"""Publish and subscribe, in both protocols, also sharded."""
import pytest

from harness.waiting import wait_until
from harness.wire import encode


def subscribers(store, channel, count, kind="NUMSUB"):
    wait_until(lambda: store.call("PUBSUB", kind, channel)[1] == count,
               f"{count} subscriptions of {channel}")


def test_subscribe(connect, store):
    reader, writer = connect(), connect()
    reader.send(encode("SUBSCRIBE", "a", "b"))
    assert reader.read() == [b"subscribe", b"a", 1]
    assert reader.read() == [b"subscribe", b"b", 2]
    assert writer.call("PUBLISH a hello") == 1
    assert reader.read() == [b"message", b"a", b"hello"]
    assert writer.call("PUBLISH none hello") == 0
    assert reader.call("UNSUBSCRIBE a") == [b"unsubscribe", b"a", 1]
    assert writer.call("PUBLISH a lost") == 0
    assert writer.call("PUBLISH b kept") == 1
    assert reader.read() == [b"message", b"b", b"kept"]


def test_psubscribe(connect):
    reader, writer = connect(), connect()
    reader.send(encode("PSUBSCRIBE", "news.*", "h?llo") + encode("SUBSCRIBE", "news.one"))
    assert [reader.read() for _ in range(3)] == [
        [b"psubscribe", b"news.*", 1], [b"psubscribe", b"h?llo", 2], [b"subscribe", b"news.one", 3]]
    assert writer.call("PUBLISH news.one x") == 2
    assert [reader.read(), reader.read()] == [
        [b"message", b"news.one", b"x"], [b"pmessage", b"news.*", b"news.one", b"x"]]
    assert writer.call("PUBLISH hallo y") == 1
    assert reader.read() == [b"pmessage", b"h?llo", b"hallo", b"y"]


def test_ssubscribe(connect):
    reader, writer = connect(), connect()
    assert reader.call("SSUBSCRIBE shard") == [b"ssubscribe", b"shard", 1]
    assert writer.call("SPUBLISH shard x") == 1
    assert reader.read() == [b"smessage", b"shard", b"x"]
    assert reader.call("SUNSUBSCRIBE") == [b"sunsubscribe", b"shard", 0]


def test_unsubscribe_from_all_and_back_to_normal(connect):
    client, writer = connect(), connect()
    client.send(encode("SUBSCRIBE", "a", "b") + encode("PSUBSCRIBE", "p*"))
    for _ in range(3):
        client.read()
    client.send(encode("UNSUBSCRIBE"))
    replies = [client.read(), client.read()]
    assert {reply[1] for reply in replies} == {b"a", b"b"}
    assert [reply[2] for reply in replies] == [2, 1]
    assert client.call("PUNSUBSCRIBE") == [b"punsubscribe", b"p*", 0]
    assert client.call("SET k v") == b"OK"
    assert client.pipeline("MULTI", "GET k", "EXEC")[-1] == [b"v"]
    assert writer.call("PUBLISH a x") == 0


def test_unsubscribe_without_subscription(client):
    assert client.call("UNSUBSCRIBE") == [b"unsubscribe", None, 0]
    assert client.call("PUNSUBSCRIBE none") == [b"punsubscribe", b"none", 0]
    assert client.call("SUNSUBSCRIBE") == [b"sunsubscribe", None, 0]
    client.send(encode("UNSUBSCRIBE", "a", "b"))
    assert [client.read(), client.read()] == [[b"unsubscribe", b"a", 0], [b"unsubscribe", b"b", 0]]
    client.silent()


def test_the_same_channel_twice_counts_once(client):
    client.send(encode("SUBSCRIBE", "a", "a") + encode("SUBSCRIBE", "a"))
    assert [client.read()[2] for _ in range(3)] == [1, 1, 1]
    assert client.call("UNSUBSCRIBE a") == [b"unsubscribe", b"a", 0]


def test_resp2_allows_little_while_subscribed(client, store):
    client.call("SUBSCRIBE a")
    for command in ("GET k", "SET k v", "MULTI", "HELLO 3", "CLIENT ID", "PUBLISH a x", "NONSENSE"):
        reply = client.call(command)
        with store.client() as direct:
            direct.call("SUBSCRIBE a")
            assert reply == direct.call(command)
    assert store.call("EXISTS k") == 0
    assert client.call("PING") == [b"pong", b""]
    assert client.call("PING hi") == [b"pong", b"hi"]
    assert client.call("SUBSCRIBE b") == [b"subscribe", b"b", 2]


def test_quit_while_subscribed(connect):
    client = connect()
    client.call("SUBSCRIBE a")
    client.send(encode("QUIT"))
    assert client.closed() == b"+OK\r\n"


def test_resp3_allows_everything_while_subscribed(connect):
    client, writer = connect(), connect()
    client.call("HELLO 3")
    client.send(encode("SUBSCRIBE", "a"))
    assert client.push() == [b"subscribe", b"a", 1]
    assert client.call("SET k v") == b"OK"
    assert client.call("GET k") == b"v"
    assert client.pipeline("MULTI", "INCR n", "EXEC")[-1] == [1]
    assert writer.call("PUBLISH a x") == 1
    assert client.push() == [b"message", b"a", b"x"]
    assert client.call("PING") == b"PONG"
    client.send(encode("UNSUBSCRIBE", "a"))
    assert client.push() == [b"unsubscribe", b"a", 0]
    assert client.call("GET k") == b"v"


def test_resp3_pushes_between_replies(connect):
    """Never inside a reply, and every one of both arrives."""
    client, writer = connect(), connect()
    client.call("HELLO 3")
    client.send(encode("SUBSCRIBE", "a"))
    client.push()
    writer.send(encode("PUBLISH", "a", "x" * 100) * 300)
    for number in range(300):
        assert client.call("ECHO", f"{number}") == b"%d" % number
    for _ in range(300):
        assert writer.read() == 1
    client.silent()
    while len(client.pushes) < 300:
        client.pushes.append(client.value())
    assert all(push == [b"message", b"a", b"x" * 100] for push in client.pushes)


def test_a_client_that_publishes_to_itself(client):
    client.call("HELLO 3")
    client.send(encode("SUBSCRIBE", "a"))
    client.push()
    assert client.call("PUBLISH a x") == 1
    assert client.push() == [b"message", b"a", b"x"]


def test_many_subscribers(connect, store):
    readers = [connect() for _ in range(40)]
    for number, reader in enumerate(readers):
        reader.send(encode("SUBSCRIBE", "all", f"own-{number}"))
        reader.read(), reader.read()
    writer = connect()
    assert writer.call("PUBLISH all hello") == 40
    for number, reader in enumerate(readers):
        assert writer.call("PUBLISH", f"own-{number}", f"{number}") == 1
        assert reader.read() == [b"message", b"all", b"hello"]
        assert reader.read() == [b"message", b"own-%d" % number, b"%d" % number]
    for reader in readers:
        reader.close()
    subscribers(store, "all", 0)


def test_leaving_while_subscribed(connect, store):
    for how in ("close", "abort"):
        client = connect()
        client.call("SUBSCRIBE gone")
        getattr(client, how)()
    subscribers(store, "gone", 0)
    # the links are used again: no message may reach whoever gets them
    client = connect()
    assert client.pipeline("MULTI", "PUBLISH gone x", "EXEC")[-1] == [0]


def test_pubsub_command(connect):
    client, other = connect(), connect()
    client.call("SUBSCRIBE a")
    client.call("PSUBSCRIBE p*")
    assert other.call("PUBSUB CHANNELS") == [b"a"]
    assert other.call("PUBSUB NUMSUB a b") == [b"a", 1, b"b", 0]
    assert other.call("PUBSUB NUMPAT") == 1


def test_a_burst_of_messages_arrives_in_order(connect):
    reader, writer = connect(), connect()
    reader.call("SUBSCRIBE a")
    writer.send(b"".join(encode("PUBLISH", "a", n) for n in range(5000)))
    for number in range(5000):
        assert reader.read() == [b"message", b"a", b"%d" % number]
    for _ in range(5000):
        assert writer.read() == 1


def test_binary_channels_and_messages(connect):
    reader, writer = connect(), connect()
    channel, message = bytes(range(256)), b"\r\n*3\r\n$7\r\nmessage\r\n"
    assert reader.call("SUBSCRIBE", channel) == [b"subscribe", channel, 1]
    assert writer.call("PUBLISH", channel, message) == 1
    assert reader.read() == [b"message", channel, message]


def test_subscribed_in_a_db_other_than_0(connect):
    client, writer = connect(), connect()
    client.ok("SELECT 3")
    client.call("SUBSCRIBE a")
    writer.call("PUBLISH a x")
    assert client.read() == [b"message", b"a", b"x"]
    client.call("UNSUBSCRIBE a")
    client.ok("SET k three")
    assert writer.call("GET k") is None


@pytest.mark.needs_gate
def test_events_of_the_server_cannot_be_forged(connect):
    """PUBLISH to __key*__:* is refused to all; listening is not."""
    client = connect()
    for command in ("PUBLISH __keyevent@0__:del x", "PUBLISH __keyspace@0__:k del",
                    "PUBLISH __redis__:invalidate k"):
        assert client.call(command).code == "NOPERM", command
    assert client.call("PSUBSCRIBE __keyevent@*__:*")[0] == b"psubscribe"


def test_keyspace_events(connect, store):
    store.call("CONFIG SET notify-keyspace-events KEA")
    client, writer = connect(), connect()
    client.call("PSUBSCRIBE __keyevent@0__:*")
    writer.call("SET k v")
    assert client.read() == [b"pmessage", b"__keyevent@0__:*", b"__keyevent@0__:set", b"k"]
    store.call("CONFIG", "SET", "notify-keyspace-events", "")
