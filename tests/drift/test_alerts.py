"""conf/alerts.yml: promtool accepts it, and every metric in it exists."""
import pathlib
import re
import shutil
import subprocess

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
ALERTS = ROOT / "conf" / "alerts.yml"


def test_promtool_accepts_the_alerts():
    if not shutil.which("promtool"):
        pytest.skip("promtool is not installed (Debian: prometheus)")
    done = subprocess.run(["promtool", "check", "rules", ALERTS], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_metric_of_the_alerts_exists():
    known = set(re.findall(r"^\| `(respgate_\w+)`", (ROOT / "conf/METRICS.md").read_text(), re.M))
    used = set(re.findall(r"respgate_\w+", "\n".join(
        line for line in ALERTS.read_text().splitlines() if "expr:" in line)))
    assert used and not used - known
