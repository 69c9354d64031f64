"""Commands that are not in the table: learned from the backend's COMMAND, governed by `learned`.

A real module teaches them: RediSearch as Debian packages it.
"""
import os

import pytest

from harness.waiting import wait_until
from harness.wire import Error

MODULE = "/usr/lib/redis/modules/redisearch.so"
pytestmark = [pytest.mark.needs_gate,
              pytest.mark.skipif(not os.path.exists(MODULE), reason="no redis-redisearch")]


@pytest.fixture
def searching(start_redis):
    return start_redis(loadmodule=MODULE)


def learning(start_gate, redis, rules="", **proxy):
    gate = start_gate(redis, proxy=proxy, extra=rules)
    client = gate.client()

    def learned():
        reply = client.call("FT.SEARCH nothing x")
        return not (isinstance(reply, Error) and "unknown command" in reply)
    wait_until(learned, "the new table")
    return client


def test_data_commands_pass(start_gate, searching):
    with learning(start_gate, searching) as client:
        client.ok("FT.CREATE idx SCHEMA title TEXT")
        client.ok("FT.ADD idx doc1 1.0 FIELDS title hello")
        assert client.call("ft.search idx hello NOCONTENT") == [1, b"doc1"]
        assert client.pipeline("MULTI", "FT.SEARCH idx hello NOCONTENT", "EXEC")[-1] == [
            [1, b"doc1"]]


def test_a_rule_may_name_what_is_not_known_yet(start_gate, searching):
    rules = "[rule no-create]\ncommands = ft.create\naction = deny\n"
    with learning(start_gate, searching, rules) as client:
        reply = client.call("FT.CREATE idx SCHEMA title TEXT")
        assert reply == "NOPERM respgate: 'FT.CREATE' is denied by rule 'no-create'"
    assert searching.call("KEYS *") == []


def test_keys_of_learned_commands_are_judged(start_gate, searching):
    rules = "[rule mine]\ncommands = *\nkeys = secret*\naction = deny\n"
    with learning(start_gate, searching, rules) as client:
        assert client.call("FT.CREATE secret SCHEMA title TEXT").code == "NOPERM"
        client.ok("FT.CREATE open SCHEMA title TEXT")


def test_classes_of_learned_commands(start_gate, searching):
    """By flags: what is denyoom adds data."""
    rules = "[rule no-growth]\ncommands = @growth\naction = deny\n"
    with learning(start_gate, searching, rules) as client:
        assert client.call("FT.CREATE idx SCHEMA title TEXT").code == "NOPERM"
        assert client.call("FT.SEARCH idx hello").code != "NOPERM"


def test_none(start_gate, searching):
    """Nothing that had to be learned, unless a rule names it."""
    gate = start_gate(searching, proxy={"learned": "none"},
                      extra="[rule search]\ncommands = ft.search\naction = allow\n")
    with gate.client() as client:
        def refused():
            reply = client.call("FT.CREATE idx SCHEMA title TEXT")
            return reply.code == "NOPERM" and "'learned'" in reply
        wait_until(refused, "the new table")
        assert client.call("FT.SEARCH idx hello").code != "NOPERM"
    assert searching.call("KEYS *") == []


def test_what_nobody_knows_is_not_forwarded(start_gate, searching):
    with learning(start_gate, searching) as client:
        assert client.call("NONSENSE a b") == (
            "ERR unknown command 'NONSENSE', with args beginning with: 'a' 'b' ")
