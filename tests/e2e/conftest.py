"""pytest's door to the harness."""
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent))

from harness.fixtures import *  # noqa: E402,F401,F403
from harness.fixtures import report_logs  # noqa: E402


def pytest_addoption(parser):
    parser.addoption("--direct", action="store_true",
                     help="straight to Redis, without respgate: proves the tests themselves")


def pytest_configure(config):
    config.addinivalue_line("markers", "slow: takes long or much memory; not in sanitizer runs")
    config.addinivalue_line("markers", "needs_gate: shows what only respgate does")


def pytest_collection_modifyitems(config, items):
    if config.getoption("--direct"):
        skip = pytest.mark.skip(reason="needs respgate")
        for item in items:
            if item.get_closest_marker("needs_gate"):
                item.add_marker(skip)


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    outcome = yield
    report = outcome.get_result()
    if report.failed:
        report_logs(item, report)
