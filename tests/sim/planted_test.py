#!/usr/bin/env python3
"""The simulation finds what is wrong: each mistake that is planted, within 500 seeds.

    planted_test.py PLANTED_H PROGRAM...

The programs are simulations that were compiled with the mistakes in them; S4_PLANTED says which one
there is, by its place in the header's list. One of them must fail. Without a mistake none may.
"""
import os
import re
import subprocess
import sys

SEEDS = 500
FIRST = 1001  # those of the ordinary test have passed often enough


def planted(header):
    with open(header, encoding="utf-8") as file:
        return re.findall(r"^    PLANTED_(\w+),", file.read(), re.MULTILINE)


def fails(program, number):
    """What it failed with; None: it passed."""
    env = dict(os.environ, S4_PLANTED=str(number), S4_SEED=str(FIRST), S4_SEEDS=str(SEEDS), CK_FORK="no")
    try:
        ran = subprocess.run([program], env=env, capture_output=True, text=True, timeout=120)
    except subprocess.TimeoutExpired:
        return "it never ends"
    if ran.returncode == 0:
        return None
    seeds = re.findall(r"^seed (\d+)", ran.stderr, re.MULTILINE)
    return f"seed {seeds[-1] if seeds else '?'}"


def main():
    names = planted(sys.argv[1])
    programs = sys.argv[2:]
    print(f"1..{len(names)}")
    failed = 0
    for number, name in enumerate(names):
        found = None
        for program in programs:
            found = found or fails(program, number)
        ok = found is None if number == 0 else found is not None
        failed += not ok
        says = "passes" if found is None else f"found: {found}"
        print(f"{'ok' if ok else 'not ok'} {number + 1} - {name.lower()}: {says}", flush=True)
    sys.exit(failed > 0)


if __name__ == "__main__":
    main()
