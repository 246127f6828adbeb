#!/usr/bin/env python3
"""README.md says what is so: its PE compiles against the public headers, its source tour names the
folders that there are, its limits are the headers', and the rules that the code cites are in the READMEs
of their folders. TAP on stdout.

    readme_test.py ROOT
"""
import os
import re
import shlex
import subprocess
import sys
import tempfile

import tap

ROOT = os.path.abspath(sys.argv[1])
with open(os.path.join(ROOT, "README.md"), encoding="utf-8") as readme:
    TEXT = readme.read()


def block(language):
    return re.search(rf"```{language}\n(.*?)```", TEXT, re.DOTALL)[1]


def section(title):
    return re.search(rf"^## {title}\n(.*?)(?=^## |\Z)", TEXT, re.DOTALL | re.MULTILINE)[1]


def pe_compiles():
    code = block("c")
    flags = shlex.split(subprocess.run(["pkg-config", "--cflags", "libprotobuf-c"], check=True,
                                       text=True, stdout=subprocess.PIPE).stdout)
    with tempfile.TemporaryDirectory(prefix="s4-readme-") as place:
        for name, text in [("words.proto", block("proto")), ("hello.c", code)]:
            with open(os.path.join(place, name), "w", encoding="utf-8") as file:
                file.write(text)
        subprocess.run(["protoc-c", "--c_out=.", "words.proto"], cwd=place, check=True)
        includes = [f"-I{ROOT}/runtime/include", f"-I{ROOT}/pe/include"]
        done = subprocess.run(["cc", "-std=gnu17", "-Wall", "-Wextra", "-Werror", "-fsyntax-only",
                               *includes, *flags, "hello.c"], cwd=place, text=True, check=False,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        assert done.returncode == 0, done.stdout


def tour_is_the_tree():
    named = re.findall(r"^\| `([^`]+)/` \|", section("Source tour"), re.MULTILINE)
    for folder in named:
        assert os.path.isdir(os.path.join(ROOT, folder)), f"the tour has {folder}, the tree has not"


def limits_are_the_headers():
    rows = re.findall(r"^\| [^|]+ \| ([^|]+) \| `([A-Z0-9_]+)` \|", section("Limits"), re.MULTILINE)
    assert rows, "no limits found"
    headers = ""
    for top in ["runtime", "router", "pe"]:
        for folder, _, names in os.walk(os.path.join(ROOT, top)):
            for name in names:
                if name.endswith(".h"):
                    with open(os.path.join(folder, name), encoding="utf-8") as file:
                        headers += file.read()
    for said, name in rows:
        found = re.search(rf"#define {name}\s+\(?([0-9]+)[uUlL]*(?: \* ([KMG])IB)?\)?", headers)
        assert found, f"no header defines {name}"
        value = found[1] + (f" {found[2]}iB" if found[2] else "")
        assert value == said, f"{name} is {value}, README says {said}"


CITED = re.compile(r"((?:\w+/)*README)(?:\.md)?, rules? (\d+(?:(?:, | to | and )\d+)*)|"
                   r"rules? (\d+(?:(?:, | to | and )\d+)*) of (?:the )?README")


def rules_that_the_code_cites_are_there():
    """A citation ("README.md, rule 3") without a folder means the file's own."""
    cited = 0
    for folder in ("runtime", "router", "pe"):
        for place, _, names in os.walk(os.path.join(ROOT, folder)):
            for name in names:
                if not name.endswith((".c", ".h")):
                    continue
                with open(os.path.join(place, name), encoding="utf-8") as file:
                    text = re.sub(r"\s*\n[\s*]*", " ", file.read())
                for path, after, before in CITED.findall(text):
                    path = path if "/" in path else os.path.join(os.path.relpath(place, ROOT), "README")
                    rules = os.path.join(ROOT, path + ".md")
                    assert os.path.exists(rules), f"{place}/{name} cites {path}.md, which is not there"
                    with open(rules, encoding="utf-8") as file:
                        known = re.findall(r"^(\d+)\. ", file.read(), re.MULTILINE)
                    for number in re.findall(r"\d+", after or before):
                        assert number in known, f"{place}/{name}: {path}.md has no rule {number}"
                        cited += 1
    assert cited > 20, cited


TESTS = [pe_compiles, tour_is_the_tree, limits_are_the_headers,
         rules_that_the_code_cites_are_there]


if __name__ == "__main__":
    sys.exit(tap.run(TESTS))
