"""conf/METRICS.md is what the tables say, and no metric has two rows."""
import collections
import os
import pathlib
import re
import subprocess

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]


def reference_tool():
    """The tool of the build folder: RESPGATE_BUILD, or the newest build*/ of the tree."""
    folders = [pathlib.Path(os.environ["RESPGATE_BUILD"])] if "RESPGATE_BUILD" in os.environ \
        else sorted(ROOT.glob("build*"), key=lambda path: path.stat().st_mtime, reverse=True)
    for folder in folders:
        tool = folder / "src" / "admin" / "metrics-reference"
        if tool.exists():
            return tool
    pytest.skip("metrics-reference is not built: set RESPGATE_BUILD to the build folder")


@pytest.fixture(scope="module")
def reference():
    return subprocess.run([reference_tool()], check=True, capture_output=True, text=True).stdout


def test_the_reference_is_of_this_code(reference):
    assert (ROOT / "conf" / "METRICS.md").read_text() == reference, \
        "BUILD/src/admin/metrics-reference > conf/METRICS.md"


def test_no_metric_has_two_rows(reference):
    names = re.findall(r"^\| `(respgate_\w+)`", reference, re.M)
    assert not [name for name, count in collections.Counter(names).items() if count > 1]


def test_names_follow_prometheus(reference):
    """Base units, and _total for what only grows."""
    rows = re.findall(r"^\| `(respgate_\w+)` \| (\w+) \|", reference, re.M)
    assert rows and all(re.fullmatch(r"[a-z][a-z0-9_]*", name) for name, _ in rows)
    assert not [name for name, kind in rows if re.search(r"_(ms|us|milliseconds|kb|mb)(_|$)", name)]
    assert all((kind == "counter") == name.endswith("_total") for name, kind in rows)
