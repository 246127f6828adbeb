#!/usr/bin/env python3
"""Every header of the tree stands alone: it compiles as the only include of a file, and its guard is
its path. TAP on stdout.

    headers_test.py ROOT BUILD CC
"""
import os
import re
import shlex
import subprocess
import sys
import tempfile

ROOT, BUILD, CC = os.path.abspath(sys.argv[1]), os.path.abspath(sys.argv[2]), sys.argv[3:]
PUBLIC = ["runtime/include/", "router/include/", "pe/include/"]


def headers():
    for top in ["runtime", "router", "pe", "apps/s4", "tests"]:
        for folder, _, names in os.walk(os.path.join(ROOT, top)):
            for name in sorted(names):
                if name.endswith(".h"):
                    yield os.path.relpath(os.path.join(folder, name), ROOT)


def guard_of(path):
    for prefix in PUBLIC:
        path = path.removeprefix(prefix)  # as a user includes it
    return re.sub(r"\W", "_", path).upper()


def guards():
    """What is wrong, one line per header."""
    for path in headers():
        with open(os.path.join(ROOT, path), encoding="utf-8") as file:
            found = re.findall(r"^#(?:ifndef|define) +(\w+)", file.read(), re.MULTILINE)[:2]
        if found != [guard_of(path)] * 2:
            yield f"{path}: its guard is {found}, wanted {guard_of(path)}"


def alone():
    packages = ["libprotobuf-c", "libzmq", "jansson", "yaml-0.1", "libarchive", "check"]
    flags = shlex.split(subprocess.run(["pkg-config", "--cflags", *packages], check=True, text=True,
                                       stdout=subprocess.PIPE).stdout)
    flags += [f"-I{folder}" for folder in [ROOT, BUILD]]
    flags += [f"-I{ROOT}/{folder}" for folder in PUBLIC]
    with tempfile.TemporaryDirectory(prefix="s4-headers-") as place:
        source = os.path.join(place, "alone.c")
        for path in headers():
            with open(source, "w", encoding="utf-8") as file:
                file.write(f'#include "{path}"\n')
            done = subprocess.run([*CC, "-std=gnu17", "-D_GNU_SOURCE", "-Wall", "-Wextra", "-Werror",
                                   "-Wno-unused-parameter", "-fsyntax-only", *flags, source],
                                  text=True, check=False, stdout=subprocess.PIPE,
                                  stderr=subprocess.STDOUT)
            if done.returncode != 0:
                yield f"{path}:\n{done.stdout}"


def main():
    print("1..2")
    failed = 0
    for number, test in enumerate([guards, alone], 1):
        problems = list(test())
        failed += len(problems)
        print(f"{'not ok' if problems else 'ok'} {number} - {test.__name__}")
        print("".join(f"# {line}\n" for text in problems for line in text.splitlines()), end="")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
