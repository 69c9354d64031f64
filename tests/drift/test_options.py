"""Every row of options.def is in the shipped file at its default and in the reference."""
import os
import pathlib
import re
import subprocess

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
CONF = ROOT / "conf"


def reference_tool():
    """The tool of the build folder: RESPGATE_BUILD, or the newest build*/ of the tree."""
    folders = [pathlib.Path(os.environ["RESPGATE_BUILD"])] if "RESPGATE_BUILD" in os.environ \
        else sorted(ROOT.glob("build*"), key=lambda path: path.stat().st_mtime, reverse=True)
    for folder in folders:
        tool = folder / "src" / "config" / "config-reference"
        if tool.exists():
            return tool
    pytest.skip("config-reference is not built: set RESPGATE_BUILD to the build folder")


def output(*arguments):
    return subprocess.run([reference_tool(), *arguments], check=True, capture_output=True,
                          text=True).stdout


def rows():
    return [tuple(line.split("\t")) for line in output("--rows").splitlines()]


def shipped():
    """(section, key) -> value, and the set of those that are there as a comment."""
    values, samples, section = {}, set(), None
    for line in (CONF / "respgate.conf").read_text().splitlines():
        head = re.match(r";?\[(\w+)[^\]]*\]$", line)
        option = re.match(r"(;?)([a-z0-9-]+) = ?(.*)$", line)
        if head:
            section = head.group(1)
        elif option and option.group(1):
            samples.add((section, option.group(2)))
        elif option:
            values.setdefault((section, option.group(2)), option.group(3))
    return values, samples


def test_shipped_file_has_every_option():
    values, samples = shipped()
    missing = [f"[{section}] {key}" for section, key, _ in rows()
               if (section, key) not in values and (section, key) not in samples]
    assert not missing


def test_shipped_values_are_the_defaults():
    values, _ = shipped()
    wrong = []
    for section, key, default in rows():
        if section in ("user", "rule", "queue"): # named: shown as samples
            continue
        shown = values.get((section, key), "")
        if shown != default:
            wrong.append(f"[{section}] {key} = {shown!r}, the default is {default!r}")
    assert not wrong


def test_shipped_file_has_no_other_option():
    known = {(section, key) for section, key, _ in rows()}
    values, samples = shipped()
    assert not (set(values) | samples) - known


def test_every_option_of_the_shipped_file_is_explained():
    """A comment stands above each block of options."""
    lines = (CONF / "respgate.conf").read_text().splitlines()
    bare = []
    for number, line in enumerate(lines):
        if re.match(r"\[(proxy|admin|log|backend)\]", line) and not lines[number + 1].startswith("; "):
            bare.append(line)
    assert not bare


def test_reference_is_the_generated_one():
    assert (CONF / "README.md").read_text() == output(), \
        "run: config-reference > conf/README.md"


def test_reference_has_every_option():
    sections = re.split(r"^## ", (CONF / "README.md").read_text(), flags=re.M)
    tables = {part[1:].split("]")[0].split()[0]: part for part in sections if part.startswith("[")}
    missing = [f"[{section}] {key}" for section, key, _ in rows()
               if f"\n| `{key}` |" not in tables[section]]
    assert not missing


def test_shipped_file_is_readable_and_not_writable_by_others():
    mode = (CONF / "respgate.conf").stat().st_mode & 0o777
    assert mode & 0o022 == 0 and mode & 0o444 == 0o444
