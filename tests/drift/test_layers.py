"""Layers look only down, each library has one door, files keep their shape, and every row of a
table is used by somebody."""
import os
import pathlib
import re

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]

# What a layer may include of the others' headers; src/README.md draws it.
LAYERS = {
    "base": set(),
    "resp": {"base"},
    "command": {"base", "resp"},
    "stats": {"base", "command"},
    "config": {"base"},
    "script": {"base", "command"},
    "policy": {"base", "command", "config"},
    "route": {"base", "resp", "command"},
    "net": {"base", "config", "policy"},
    "pressure": {"base", "command", "config", "policy"},
    "proxy": {"pressure", "base", "resp", "command", "stats", "config", "script", "policy", "route", "net"},
    "admin": {"pressure", "base", "resp", "command", "stats", "config", "script", "policy", "route", "net", "proxy"},
}

# A library is seen by these files alone, by its headers and by its names.
DOORS = {
    "libuv": (r"src/net/.*|include/respgate/net\.h", r"uv\.h", r"\b(?:uv|UV)_\w+"),
    "OpenSSL": (r"src/net/(?:tls\w*|digest)\.[ch]", r"openssl/.*",
                r"\b(?:SSL|EVP|X509|BIO|PEM|ERR|RAND|CRYPTO|OPENSSL)_\w+"),
    "hiredis": (r"src/resp/.*", r"(?:hiredis/)?(?:hiredis|read)\.h",
                r"\bredis(?:Reader|Reply|Context)\w*"),
    "libmicrohttpd": (r"src/admin/(?:http|route)\.[ch]", r"microhttpd\.h", r"\bMHD_\w+"),
    "inih": (r"src/config/.*", r"ini\.h", r"\bini_\w+"),
}

# Names used outside the door, by file: threads and signals concern no socket.
EXCEPTIONS = {
    "include/respgate/proxy.h": {"uv_thread_t", "uv_signal_t"},
    "src/proxy/client.c": {"uv_inet_ntop"},
    "src/proxy/proxy.c": {"uv_signal_t", "uv_signal_init", "uv_signal_start", "uv_thread_join",
                          "uv_close", "uv_handle_t"},
    "src/proxy/worker.c": {"uv_thread_create"},
}

FILE_LINES, FUNCTION_LINES = 600, 80
LONG_FILES = {
    "tests/unit/net/test_net_tls.c": "one table of handshakes and the fixture they share",
    "tests/unit/policy/test_rules.c": "one test a clause of a rule",
}
LONG_FUNCTIONS = {}

TREES = ("src", "include", "tests", "bench", "conf", "docker")
SKIPPED = {"node_modules", "__pycache__", ".git"}


def files(*suffixes, trees=TREES):
    """Paths below the root, as text, of the project's own files."""
    for tree in trees:
        for folder, folders, names in os.walk(ROOT / tree):
            folders[:] = sorted(set(folders) - SKIPPED)
            for name in sorted(names):
                if name.endswith(suffixes):
                    yield (pathlib.Path(folder) / name).relative_to(ROOT).as_posix()


def code(path):
    """A C file without its comments and strings; #include lines keep what they name."""
    pattern = r'/\*.*?\*/|//[^\n]*|#include[^\n]*|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\''

    def keep(match):
        text = match.group()
        return text if text.startswith("#include") else "\n" * text.count("\n") or " "
    return re.sub(pattern, keep, (ROOT / path).read_text(), flags=re.S)


def sources():
    return files(".c", ".h", trees=("src", "include"))


def layer_of(path):
    """src/net/conn.c and include/respgate/net.h are of layer net; main.c is above all."""
    parts = pathlib.PurePath(path).parts
    if parts[0] == "include":
        return pathlib.PurePath(path).stem
    return parts[1] if len(parts) > 2 else None


def test_every_folder_of_src_is_a_layer():
    folders = {path.name for path in (ROOT / "src").iterdir() if path.is_dir()} - SKIPPED
    assert folders <= set(LAYERS)


def test_layers_look_only_down():
    wrong = []
    for path in sources():
        layer = layer_of(path)
        for name in re.findall(r'#include "respgate/(\w+)\.h"', code(path)):
            if layer and name != layer and name not in LAYERS[layer]:
                wrong.append(f"{path} includes respgate/{name}.h")
    assert not wrong


def test_other_includes_stay_in_their_folder():
    wrong = []
    for path in sources():
        for name in re.findall(r'#include "(?!respgate/)([^"]+)"', code(path)):
            if not (ROOT / path).with_name(name).exists():
                wrong.append(f"{path} includes {name}")
    assert not wrong


@pytest.mark.parametrize("library", DOORS)
def test_a_library_has_one_door(library):
    door, header, names = DOORS[library]
    wrong = []
    for path in sources():
        if re.fullmatch(door, path):
            continue
        text = code(path)
        wrong += [f"{path} includes <{name}>"
                  for name in re.findall(r"#include <([^>]+)>", text) if re.fullmatch(header, name)]
        used = set(re.findall(names, text)) - EXCEPTIONS.get(path, set())
        wrong += [f"{path} uses {name}" for name in sorted(used)]
    assert not wrong


def test_exceptions_are_still_needed():
    stale = [f"{path}: {name}" for path, names in EXCEPTIONS.items() for name in sorted(names)
             if not (ROOT / path).exists() or not re.search(rf"\b{name}\b", code(path))]
    assert not stale


# ---- shape -----------------------------------------------------------------------------------


def test_every_file_begins_with_its_purpose():
    bare = [path for path in files(".c", ".h", ".def")
            if not re.match(r"/\*\s*(?:\*\s*)?\w.{15}", (ROOT / path).read_text())]
    bare += [path for path in files(".py")
             if not re.match(r'(?:#![^\n]*\n)?(?:"""|#)', (ROOT / path).read_text())]
    bare += [path for path in files(".sh")
             if not re.match(r"#![^\n]*\n# \w", (ROOT / path).read_text())]
    assert not bare


def test_files_are_short():
    long = {}
    for path in files(".c", ".h", ".py", ".sh", ".js"):
        count = (ROOT / path).read_text().count("\n")
        if count > FILE_LINES:
            long[path] = count
    assert not {path: count for path, count in long.items() if path not in LONG_FILES}
    assert set(LONG_FILES) <= set(long), "not long any more: take it off the list"


def functions(path):
    """(name, lines) of each function: braces in the first column are how clang-format sets them."""
    name, start = None, 0
    lines = (ROOT / path).read_text().splitlines()
    for number, line in enumerate(lines):
        head = re.match(r"[a-z][^=;]*?\b(\w+)\(", line)
        if head:
            name = head.group(1)
        if line == "{":
            start = number
        elif line == "}" and start:
            yield name, number - start - 1
            start = 0


def test_functions_are_short():
    long = [f"{path}: {name} has {count} lines" for path in files(".c") for name, count in
            functions(path) if count > FUNCTION_LINES and f"{path}:{name}" not in LONG_FUNCTIONS]
    assert not long


def test_nothing_is_left_to_do_and_no_machine_is_named():
    """Notes to oneself belong into the tracker, and a path of one machine into none."""
    words = "|".join(("TO" + "DO", "FIX" + "ME", "X" * 3))
    machines = "|".join(("work", "root", "farm"))
    pattern = re.compile(rf"\b(?:{words})\b|(?<![\w./$)}}-])/(?:{machines})(?![\w-])")
    found = []
    top = [path.name for path in ROOT.iterdir() if path.is_file()]
    for path in [*top, *files("", trees=(*TREES, ".ci"))]:
        if "/corpus/" in path:
            continue # bytes
        text = (ROOT / path).read_text(errors="replace")
        found += [f"{path}:{text.count(chr(10), 0, hit.start()) + 1}: {hit.group()}"
                  for hit in pattern.finditer(text)]
    assert not found


# ---- tables ----------------------------------------------------------------------------------


def rows(table, pattern):
    return re.findall(pattern, (ROOT / "include/respgate" / table).read_text(), re.M)


def all_code(without=()):
    return "\n".join(code(path) for path in sources() if path not in without
                     and not path.startswith(tuple(without)))


@pytest.mark.parametrize("table, prefix", [("stats.def", "STAT"), ("reasons.def", "REASON")])
def test_every_row_is_used(table, prefix):
    text = all_code()
    unused = [name for name in rows(table, rf"^{prefix}\((\w+),")
              if not re.search(rf"\b{prefix}_{name}\b", text)]
    assert not unused


# How the layers above config reach the struct a section fills.
OWNERS = {
    "PROXY": r"", "ADMIN": r"", "LOG": r"", "SCRIPTS": r"", "BACKEND": r"", "PRESSURE": r"",
    "PREFIXES": r"",
    "QUEUE": r"\b(?:queue|source)(?:->|\.)",
    "USER": r"\b(?:user|users\[\w+\])(?:->|\.)",
    "RULE": r"(?:\b(?:source|rules\[\w+\])(?:->|\.)|\bFIELD\(\w+, )",
}


def option_fields():
    """(section, key, field that is read): of files it is what they hold."""
    pattern = r'^OPTION\((\w+), "([^"]+)", ([\w.]+), (\w+(?:\([^)]*\))?),'
    for section, key, field, kind in rows("options.def", pattern):
        read = re.match(r"(?:PASSWORD_FILE\(struct \w+, |BODIES\()([\w.]+)\)", kind)
        yield section, key, read.group(1) if read else field


def test_every_option_is_read():
    """An option that nobody reads is a promise that nobody keeps."""
    text = all_code(without=("src/config/", "include/respgate/config.h"))
    unread = [f"[{section.lower()}] {key}" for section, key, field in option_fields()
              if not re.search(OWNERS[section] + rf"(?<!\w){re.escape(field)}\b", text)]
    assert not unread
