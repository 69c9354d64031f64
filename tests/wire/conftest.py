"""Wire tests use the harness of the end-to-end tests."""
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "e2e"))

from harness.fixtures import *  # noqa: E402,F401,F403


def pytest_addoption(parser):
    try:
        parser.addoption("--direct", action="store_true", help="straight to Redis")
    except ValueError:
        pass  # tests/e2e is collected too and has added it
