#!/usr/bin/env python3
"""docs/ says what is so: the tutorial's app compiles and gives the rows that it shows, links lead
somewhere, and the manifest's defaults are the headers'. TAP on stdout.

    docs_test.py ROOT S4
"""
import os
import re
import shlex
import subprocess
import sys
import tempfile

import tap

ROOT, S4 = os.path.abspath(sys.argv[1]), os.path.abspath(sys.argv[2])
DOCS = os.path.join(ROOT, "docs")


def read(*path):
    with open(os.path.join(ROOT, *path), encoding="utf-8") as file:
        return file.read()


def blocks(text, language):
    return "\n".join(re.findall(rf"^```{language}\n(.*?)^```", text, re.DOTALL | re.MULTILINE))


class Tutorial:
    """The app of writing-a-pe.md, as its page says that it is built."""

    def __init__(self, place):
        self.place = place
        self.text = read("docs", "writing-a-pe.md")
        for name, language in [("shop.proto", "proto"), ("shop.c", "c"), ("app.yaml", "yaml"),
                               ("clicks.jsonl", "json")]:
            with open(os.path.join(place, name), "w", encoding="utf-8") as file:
                file.write(blocks(self.text, language))
        flags = shlex.split(self.run("pkg-config", "--cflags", "--libs", "libprotobuf-c"))
        self.run("protoc-c", "--c_out=.", "shop.proto")
        self.run("cc", "-std=gnu17", "-O2", "-Wall", "-Wextra", "-Werror", "-Wno-unused-parameter",
                 "-fPIC", "-shared", "-fvisibility=hidden", f"-I{ROOT}/runtime/include",
                 f"-I{ROOT}/pe/include", "shop.c", "shop.pb-c.c", "-o", "shop.so", *flags)

    def run(self, *command):
        done = subprocess.run(command, cwd=self.place, text=True, check=False,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        assert done.returncode == 0, f"{' '.join(command)}\n{done.stdout}"
        return done.stdout


def tutorial_is_so():
    with tempfile.TemporaryDirectory(prefix="s4-docs-") as place:
        tutorial = Tutorial(place)
        tutorial.run(S4, "pack", "app.yaml", "shop.so", "-o", "shop.s4r")
        outputs = re.findall(r"^```rows (\w+)\n(.*?)^```", tutorial.text, re.DOTALL | re.MULTILINE)
        assert len(outputs) == 2, outputs
        for name, rows in outputs:
            found = tutorial.run(S4, "run", "shop.s4r", "--inject", "clicks=clicks.jsonl",
                                 "--output", f"{name}=-")
            assert found == rows, f"{name}: the page says\n{rows}the run\n{found}"


def links_lead_somewhere():
    pages = [name for name in os.listdir(DOCS) if name.endswith(".md")]
    assert pages, "docs/ has no pages"
    for page in [os.path.join("docs", name) for name in pages] + ["README.md"]:
        text = read(page)
        for link in re.findall(r"\]\(([^)#]+)[^)]*\)", text):
            if not re.match(r"[a-z]+:", link):
                path = os.path.join(ROOT, os.path.dirname(page), link)
                assert os.path.exists(path), f"{page}: there is no {link}"
        for path in re.findall(r"`((?:runtime|router|pe|proto|apps|tests|scripts)/[\w./-]+)`", text):
            assert os.path.exists(os.path.join(ROOT, path)), f"{page}: there is no {path}"
    readme = read("README.md")
    for name in pages:
        assert f"docs/{name}" in readme, f"README.md does not name docs/{name}"


DEFAULTS = {
    "emits_max": "EMITS_DEFAULT",
    "parked_after": "PARKED_AFTER_DEFAULT",
    "dead_letters.rows_max": "DEAD_ROWS_DEFAULT",
    "dead_letters.bytes_max": "DEAD_BYTES_DEFAULT",
    "instances.max": "INSTANCES_DEFAULT",
    "instances.bytes_max": "INSTANCE_BYTES_DEFAULT",
    "mailbox.max": "MAILBOX_DEFAULT",
    "mailbox.bytes_max": "MAILBOX_BYTES_DEFAULT",
    "budget": "BUDGET_DEFAULT",
    "rows_max": "ROWS_DEFAULT",
    "bytes_max": "ROWS_BYTES_DEFAULT",
}


def manifest_keys(code):
    """Every key that manifest.c reads, except those that only hold others."""
    keys = re.findall(r'(?:\.key = |NUMBER\(|WORD\()"(\w+)"', code)
    return set(keys) - {"streams", "prototypes", "outputs", "event", "unit"}


def manifest_is_the_code():
    page, limits = read("docs", "manifest.md"), read("pe", "graph", "limits.h")
    rows = {key: value.strip()
            for key, value in re.findall(r"^\| `([\w.]+)` \|([^|]*)\|", page, re.MULTILINE)}
    for key, name in DEFAULTS.items():
        found = re.search(rf"#define {name}\s+\(?(\d+)u?(?: \* ([KMG])IB)?\)?", limits)
        assert found, f"limits.h defines no {name}"
        value = found[1] + (found[2] or "").replace("K", "k")
        assert rows.get(key) == value, f"{key}: {name} is {value}, the page says {rows.get(key)}"
    named = {part for key in rows for part in key.split(".")}
    missing = manifest_keys(read("pe", "bundle", "manifest.c")) - named
    assert not missing, f"the page does not have {sorted(missing)}"


TESTS = [tutorial_is_so, links_lead_somewhere, manifest_is_the_code]


if __name__ == "__main__":
    sys.exit(tap.run(TESTS))
