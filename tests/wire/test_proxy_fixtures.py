"""Fixtures of bytes: what a client sends, what the backend gets, what the client gets.

A fixture file (proxy/*.txt) holds cases. A line '# text' begins one and names it; then

    > bytes from the client
    = bytes the backend gets, on one link, in this order and next to each other
    ! bytes the backend must never get
    < bytes the client gets, and nothing behind them

with Python's escapes (\\r \\n \\x00). Lines of a kind are joined. A line 'closes' means that the
connection ends behind the last byte. Each case is fed whole, byte by byte, and cut at every place.
"""
from pathlib import Path

import pytest

from harness.servers import Gate
from harness.tap import Tap
from harness.wire import Closed

FOLDER = Path(__file__).parent / "proxy"


def unescape(text):
    return text.encode("latin-1").decode("unicode_escape").encode("latin-1")


class Case:
    def __init__(self, name):
        self.name = name
        self.parts = {">": b"", "=": b"", "!": b"", "<": b""}
        self.closes = False


def load():
    for path in sorted(FOLDER.glob("*.txt")):
        case = None
        for line in path.read_text().splitlines():
            if line.startswith("# "):
                if case:
                    yield case
                case = Case(f"{path.stem}: {line[2:]}")
            elif line == "closes":
                case.closes = True
            elif line[:1] in case.parts if case and line else False:
                case.parts[line[0]] += unescape(line[2:])
            elif line:
                raise AssertionError(f"{path}: {line}")
        yield case


CASES = list(load())


@pytest.fixture(scope="module")
def tapped(request, module_keeper, module_store):
    """A gate whose links go through a tap."""
    if request.config.getoption("--direct"):
        pytest.skip("needs respgate")
    tap = module_keeper.add(Tap(module_store.port))
    gate = module_keeper.add(Gate(module_keeper.folder("gate"), tap, extra=(
        "[rule no-flush]\ncommands = flushall\naction = deny\nmessage = not here\n"
        "[rule locks]\ncommands = *\nkeys = lock:*\naction = deny\n")))
    return gate, tap


def feed(gate, tap, case, cuts):
    before = [len(sent) for sent in tap.sent]
    with gate.client() as client:
        try:
            client.send_pieces(case.parts[">"], cuts)
        except (BrokenPipeError, ConnectionResetError):
            assert case.closes  # the error was found before the last piece was sent
        expected = case.parts["<"]
        try:
            got = client.closed() if case.closes else client._exactly(len(expected))
        except Closed as error:
            raise AssertionError(f"{case.name}, cut at {cuts}: {error}") from None
        assert got == expected, f"{case.name}, cut at {cuts}"
        if not case.closes:
            client.silent()
    fresh = [bytes(sent)[start:] for sent, start in zip(
        list(tap.sent), before + [0] * (len(tap.sent) - len(before)))]
    if case.parts["="]:
        assert any(case.parts["="] in sent for sent in fresh), (case.name, cuts, fresh)
    if case.parts["!"]:
        assert not any(case.parts["!"] in sent for sent in fresh), (case.name, cuts, fresh)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_fixture(tapped, store, case):
    gate, tap = tapped
    data = case.parts[">"]
    variants = [[], range(len(data)), *([cut] for cut in range(1, len(data)))]
    for cuts in variants:
        store.call("FLUSHALL")
        feed(gate, tap, case, list(cuts))
    gate.check()
