#!/usr/bin/env python3
"""scripts/demo where everything is installed and built: from any folder, of files, of standard input, of
what it reads by default, and of what it cannot read. TAP on stdout.

    demo_test.py ROOT BUILD
"""
import os
import re
import subprocess
import sys
import tempfile

import tap

ROOT, BUILD = os.path.abspath(sys.argv[1]), os.path.abspath(sys.argv[2])
TEXT = "the cat and the dog and the bird\n"
TABLE = [("1", "the", "3"), ("2", "and", "2"), ("3", "bird", "1"), ("4", "cat", "1"),
         ("5", "dog", "1")]


def demo(*arguments, cwd, given=b""):
    return subprocess.run([os.path.join(ROOT, "scripts", "demo"), *arguments], cwd=cwd, check=False,
                          env={**os.environ, "S4_BUILD": BUILD}, input=given,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def result(done, code=0):
    out, errors = done.stdout.decode(), done.stderr.decode()
    assert done.returncode == code, f"exit code {done.returncode}\n{out}{errors}"
    for word in ["building", "configuring", "setup:"]:
        assert word not in errors, errors
    assert "counting" in errors, errors
    return re.findall(r"^ *(\d+) +(\S+) +(\d+)$", out, re.MULTILINE), out


def of_files(place):
    for name in ["one.txt", "two.txt"]:
        with open(os.path.join(place, name), "w", encoding="utf-8") as file:
            file.write(TEXT)
    table, out = result(demo("one.txt", cwd=place))
    assert table == TABLE, out
    assert re.search(r"^1 lines gave \d+ events in [\d.]+ s: [\d.]+ million events/s$", out,
                     re.MULTILINE), out
    table, out = result(demo("one.txt", "two.txt", cwd=place))
    assert table == [(rank, word, str(2 * int(n))) for rank, word, n in TABLE], out


def of_standard_input(place):
    table, out = result(demo("-", cwd=place, given=TEXT.encode()))
    assert table == TABLE, out


def of_the_licences(place):
    table, out = result(demo(cwd=place))
    assert len(table) == 20 and table[0][1] == "the", out


def of_what_is_no_text(place):
    table, out = result(demo("-", cwd=place, given=b"\xff\xfe bytes\n" + TEXT.encode()))
    assert table == TABLE, out


def of_nothing(place):
    done = demo("missing.txt", cwd=place)
    assert done.returncode == 2 and b"missing.txt" in done.stderr, done


def what_it_says_next_works(place):
    out = demo(cwd=ROOT).stdout.decode()
    lines = [line.strip().split("#")[0] for line in out.splitlines() if line.startswith("    ")]
    until = [" stop" in line for line in lines].index(True)
    ready = os.path.join(place, "ready")
    script = "\n".join(["set -eu", f": >{ready}", *lines[:until + 1], "wait"])
    script = script.replace(" node &", f" node >{ready} & until grep -q ready {ready}; do :; done")
    done = subprocess.run(["sh", "-c", script], cwd=ROOT, check=False, text=True, timeout=60,
                          env={**os.environ, "S4_NODE": os.path.join(place, "node")},
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    assert done.returncode == 0, f"{script}\n{done.stdout}"
    top = done.stdout[done.stdout.index("drained;"):].splitlines()
    assert len(top) == 1 + 1 + 10 and top[1].split() == ["word", "n"], done.stdout


TESTS = [of_files, of_standard_input, of_the_licences, of_what_is_no_text, of_nothing,
         what_it_says_next_works]


def in_a_place(test):
    with tempfile.TemporaryDirectory(prefix="s4-demo-") as place:
        test(place)


if __name__ == "__main__":
    sys.exit(tap.run(TESTS, in_a_place))
