"""conf/alerts.yml and conf/dashboard.json: promtool accepts the rules, alerts fire when they should,
and every metric in either exists."""
import json
import pathlib
import re
import shutil
import subprocess

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
ALERTS = ROOT / "conf" / "alerts.yml"
DASHBOARD = ROOT / "conf" / "dashboard.json"


@pytest.fixture
def promtool():
    if not shutil.which("promtool"):
        pytest.skip("promtool is not installed (Debian: prometheus)")

    def run(*words):
        done = subprocess.run(["promtool", *words], capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
    return run


def known():
    """Metrics of the reference; a histogram has more than one."""
    rows = re.findall(r"^\| `(respgate_\w+)` \| (\w+)", (ROOT / "conf/METRICS.md").read_text(), re.M)
    return {name + end for name, kind in rows
            for end in (("_bucket", "_sum", "_count") if kind == "histogram" else ("",))}


def expressions_of_alerts():
    return [line for line in ALERTS.read_text().splitlines() if "expr:" in line]


def expressions_of_dashboard():
    return [target["expr"] for panel in json.loads(DASHBOARD.read_text())["panels"]
            for target in panel.get("targets", [])]


@pytest.mark.parametrize("expressions", [expressions_of_alerts, expressions_of_dashboard])
def test_every_metric_exists(expressions):
    used = set(re.findall(r"respgate_\w+", "\n".join(expressions())))
    assert used and not used - known()


def test_promtool_accepts_the_alerts(promtool):
    promtool("check", "rules", ALERTS)


def test_alerts_fire_when_they_should(promtool, tmp_path):
    cases = (ROOT / "tests" / "drift" / "alerts_test.yml").read_text()
    path = tmp_path / "alerts_test.yml"
    path.write_text(cases.replace("[RULES]", json.dumps([str(ALERTS)])))
    promtool("test", "rules", path)


def test_promtool_accepts_the_expressions_of_the_dashboard(promtool, tmp_path):
    rules = [{"record": f"panel:{number}", "expr": expression.replace("$__rate_interval", "5m")}
             for number, expression in enumerate(expressions_of_dashboard())]
    path = tmp_path / "rules.yml"  # JSON is YAML
    path.write_text(json.dumps({"groups": [{"name": "dashboard", "rules": rules}]}))
    promtool("check", "rules", path)


def test_panels_of_the_dashboard_do_not_overlap():
    panels = json.loads(DASHBOARD.read_text())["panels"]
    places = [(x, y) for panel in panels for box in [panel["gridPos"]]
              for x in range(box["x"], box["x"] + box["w"]) for y in range(box["y"], box["y"] + box["h"])]
    assert len(places) == len(set(places)) and all(x < 24 for x, _ in places)
    assert len({panel["id"] for panel in panels}) == len(panels)
