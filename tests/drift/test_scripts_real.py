"""test_scripts_real.py - scripts of real packages pass the inspector, where they are installed."""
import json
import pathlib
import shutil
import subprocess

import pytest

from scripts import ROOT, inspect

MODULES = ROOT / "tests/e2e/node/node_modules"
# Each file exports one object with the text of a script.
READ = """
const fs = require('fs'), folder = process.argv[1];
for (const name of fs.readdirSync(folder))
    if (name.endsWith('.js') && name !== 'index.js')
        for (const script of Object.values(require(folder + '/' + name)))
            console.log(JSON.stringify([name, script.content]));
"""
# Written out, since a script that can run these would be one to look at.
NEVER = {"flushall", "flushdb", "swapdb", "config", "eval", "keys", "script", "function"}


@pytest.mark.parametrize("package", ["bullmq5", "bullmq6"])
def test_bullmq(package):
    folder = MODULES / package / "dist/cjs/scripts"
    if not folder.is_dir() or not shutil.which("node"):
        pytest.skip(f"{package} is not installed")
    done = subprocess.run(["node", "-e", READ, str(folder)], stdout=subprocess.PIPE, check=True)
    scripts = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(scripts) > 30
    for (name, _), judged in zip(scripts, inspect([body.encode() for _, body in scripts])):
        assert judged["verdict"] == "accepted", (name, judged)
        assert judged["calls"], name
        assert not NEVER & {row["name"].lower() for row in judged["calls"]}, name
