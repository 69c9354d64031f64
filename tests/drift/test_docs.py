"""What README.md and src/README.md say is so: paths exist, options are there, samples load."""
import os
import pathlib
import re
import subprocess

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
RESPGATE = pathlib.Path(os.environ.get("RESPGATE", ROOT / "build" / "respgate")).resolve()
DOCUMENTS = ("README.md", "src/README.md")
SKIPPED = {"node_modules", "__pycache__", ".git"}


def text_of(path):
    return (ROOT / path).read_text()


def run(*arguments, **options):
    if not RESPGATE.exists():
        pytest.skip(f"no {RESPGATE}: build it, or set RESPGATE")
    return subprocess.run([RESPGATE, *arguments], capture_output=True, text=True, timeout=20,
                          stdin=subprocess.DEVNULL, check=False, **options)


# ---- paths -----------------------------------------------------------------------------------


def all_names():
    names = set()
    for _, folders, files in os.walk(ROOT):
        folders[:] = [name for name in folders if name not in SKIPPED
                      and not name.startswith("build")]
        names.update(files)
    return names


def mentioned(document):
    """Folders (with a slash at the end) and files of our kinds; absolute paths and URLs are
    other people's."""
    text = text_of(document)
    word = r"[\w.*-]+"
    found = re.findall(rf"(?<![\w/:.@~-])({word}(?:/{word})*(?:/|\.(?:c|h|def|py|sh|conf|md|yml)))"
                       r"(?![\w/])", text)
    return sorted(set(found + re.findall(r"\]\(([^)#:]+)\)", text)))


def exists(path, document, names):
    """From the top, beside the document, or below one of the folders a table is about."""
    for base in (ROOT, (ROOT / document).parent, ROOT / "include" / "respgate"):
        if any(base.glob(path.rstrip("/"))):
            return True
    return "/" not in path and ("*" in path or path in names)


@pytest.mark.parametrize("document", DOCUMENTS)
def test_paths_exist(document):
    names = all_names()
    paths = mentioned(document)
    assert len(paths) > 10
    assert not [path for path in paths if not exists(path, document, names)]


def test_the_map_has_every_folder_and_no_other():
    folders = {path.name for path in (ROOT / "src").iterdir() if any(path.glob("meson.build"))}
    assert set(re.findall(r"^\| `(\w+)/` \|", text_of("src/README.md"), re.M)) == folders


def test_the_pipeline_is_drawn_as_it_is():
    stages = re.findall(r"(?:STAGE\(\w+, |case \d+: return )(\w+)", text_of("src/proxy/pipeline.c"))
    stages = [name.removesuffix("_run") for name in stages if name != "function"]
    assert len(stages) == 9
    drawn = text_of("src/README.md").split("## A request", 1)[1].split("`pipeline.c` is", 1)[0]
    assert [name for name in re.findall(r"\|  (\w+)  ", drawn) if name in stages] == stages


# ---- the command line ------------------------------------------------------------------------


def options():
    table = re.search(r"struct option options\[\] = \{(.*?)\n    \};", text_of("src/main.c"), re.S)
    return set(re.findall(r'\{"([\w-]+)"', table.group(1)))


def test_help_has_every_option_and_no_other():
    done = run("--help")
    assert done.returncode == 0
    assert set(re.findall(r"--([a-z][\w-]*)", done.stdout)) == options()


def test_the_readme_uses_options_that_exist():
    lines = re.findall(r"(?:build/|^    )respgate ([^\n`]*)", text_of("README.md"), re.M)
    used = {name for line in lines for name in re.findall(r"--([a-z][\w-]*)", line)}
    assert used and used <= options()


# ---- what it answers -------------------------------------------------------------------------


def code_pieces(text):
    """Lines of code blocks and `spans`."""
    plain = re.sub(r"```.*?```", lambda block: re.sub(r"^", "    ", block.group(), flags=re.M),
                   text, flags=re.S)
    for line in re.findall(r"^(?: {4,}|\t)(.*)$", plain, re.M):
        yield line
    prose = re.sub(r"^(?: {4,}|\t).*$", "", plain, flags=re.M)
    for span in re.findall(r"`([^`]+)`", prose):
        yield " ".join(span.split())


def answers():
    """The error replies and log lines README.md quotes."""
    for piece in code_pieces(text_of("README.md")):
        found = re.match(r"(?:\(error\) )?((?:NOPERM|EXECABORT|NOAUTH|ERR) .*)", piece) \
            or re.match(r"(?:notice|error) +(.*)", piece) \
            or re.match(r"(reload failed.*|is not available.*)", piece)
        if found:
            yield found.group(1)


def test_quoted_answers_are_those_of_the_source():
    """Names in quotes, numbers, the node and the words of a choice are filled in: what stands
    between them must be in the source, or in a sample's message."""
    source = "\n".join(path.read_text() for path in sorted((ROOT / "src").rglob("*.c")))
    said = re.sub(r'"\s*\n\s*"', "", source)  # as the compiler joins them
    said = re.sub(r"%[-.*]*(?:zu|llu|s|d|u)", "", said) + "\n".join(samples())
    quoted = sorted(set(answers()))
    assert len(quoted) >= 6
    missing = []
    for text in quoted:
        parts = re.split(r"'[^']*'(?:: )?|\d+|\bredis\b|\b\w+ \w+ -> \w+|\.\.\.", text)
        missing += [(text, part) for part in parts if len(part.strip()) > 3
                    and part.strip() not in said]
    assert not missing


# ---- the samples -----------------------------------------------------------------------------


def samples():
    text = text_of("README.md")
    fenced = re.findall(r"^```ini\n(.*?)^```", text, re.M | re.S)
    indented = re.findall(r"^ +(\[\w+[^\n]*\n(?: +[a-z-]+ = [^\n]*\n)+)", text, re.M)
    return fenced + ["\n".join(line.strip() for line in block.splitlines()) for block in indented]


@pytest.fixture(scope="module")
def certs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("certs")
    subprocess.run(["sh", ROOT / "tests" / "certs.sh", folder], check=True)
    return folder


def with_files(sample, certs):
    """The sample's certificates are on nobody's disk: ours stand in for them."""
    for name, ours in (("server", "server"), ("respgate", "client"), ("redis-ca", "ca")):
        sample = sample.replace(f"/etc/respgate/tls/{name}.", f"{certs}/{ours}.")
    return sample


def test_samples_load(tmp_path, certs):
    found = samples()
    assert len(found) >= 3
    for number, sample in enumerate(found):
        path = tmp_path / f"sample{number}.conf"
        path.write_text(with_files(sample, certs))
        path.chmod(0o600)
        done = run("-t", "-c", path)
        assert (done.returncode, done.stdout, done.stderr) == (0, "ok\n", ""), sample


def test_the_first_sample_is_short():
    assert len([line for line in samples()[0].splitlines() if line]) <= 10
