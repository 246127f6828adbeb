#!/usr/bin/env python3
"""The simulation finds what is wrong: each mistake that is planted, within 500 seeds.

    planted_test.py PLANTED_H PROGRAM...
    planted_test.py --at-least N PLANTED_H PROGRAM [PLANTED_H PROGRAM]...

The programs are simulations that were compiled with the mistakes in them; S4_PLANTED says which one
there is, by its place in the header's list. One of them must fail. Without a mistake none may. In
the second form N of all mistakes must be found, each in the program of its header.
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


def fails(program, number, timeout=120):
    """What it failed with; None: it passed."""
    env = dict(os.environ, S4_PLANTED=str(number), S4_SEED=str(FIRST), S4_SEEDS=str(SEEDS), CK_FORK="no")
    try:
        ran = subprocess.run([program], env=env, capture_output=True, text=True, timeout=timeout)
    except subprocess.TimeoutExpired:
        return "it never ends"
    if ran.returncode == 0:
        return None
    seeds = re.findall(r"^seed (\d+)", ran.stderr, re.MULTILINE)
    return f"seed {seeds[-1] if seeds else '?'}"


def at_least(wanted, pairs):
    """Of all mistakes so many are found; and none where there is none."""
    bugs = [(header, program, number, name)
            for header, program in zip(pairs[::2], pairs[1::2])
            for number, name in enumerate(planted(header))]
    print(f"1..{len(bugs) + 1}")
    found = failed = 0
    for n, (header, program, number, name) in enumerate(bugs):
        wrong = fails(program, number, timeout=600)
        found += number > 0 and wrong is not None
        failed += number == 0 and wrong is not None
        ok = number > 0 or wrong is None
        folder = os.path.basename(os.path.dirname(header))
        says = f"found: {wrong}" if wrong else "passes"
        print(f"{'ok' if ok else 'not ok'} {n + 1} - {folder} {name.lower()}: {says}", flush=True)
    enough = found >= wanted
    print(f"{'ok' if enough else 'not ok'} {len(bugs) + 1} - {found} found of {wanted} wanted")
    sys.exit(failed > 0 or not enough)


def main():
    if sys.argv[1] == "--at-least":
        at_least(int(sys.argv[2]), sys.argv[3:])
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
