#!/usr/bin/env python3
"""The figures of two nodes are measured at all, on a tiny input: every event arrives once, R2b counts
what R1 counts (pair_bench checks both), and what is printed are the numbers that scripts/bench reads.
No figure is judged here. TAP.

    pair_test.py ROOT BUILD
"""
import os
import subprocess
import sys
import tempfile
import traceback

ROOT, BUILD = map(os.path.abspath, sys.argv[1:3])
sys.path.insert(0, os.path.join(ROOT, "scripts", "lib"))
from figures import Bench  # noqa: E402  (the path is only known here)

LINES, KEYS = 30000, 500
RECORD = 64


def rates(bench):
    taken = bench.pair("", "rates", bench.pair_lines(LINES, KEYS), bench.bundle("pair"))
    assert taken["record"] == RECORD and taken["events"] == LINES, taken
    assert taken["frames"] * 65536 >= LINES * RECORD, taken
    assert all(taken[name] > 0 for name in ("r1", "r2", "r2b", "runtime")), taken


def times(bench):
    taken = bench.pair("", "times", bench.pair_lines(LINES, KEYS), bench.bundle("pair"),
                       os.path.join(bench.inputs, "times"), 50)
    assert 0 < taken["r3_p50"] <= taken["r3_p99"], taken
    for rate in ("low", "high"):
        assert 0 < taken[f"{rate}_p50"] <= taken[f"{rate}_p99"] <= taken[f"{rate}_p999"], taken


def a_round_serves_each_figure_once(bench):
    arguments = ["rates", bench.pair_lines(LINES, KEYS), bench.bundle("pair")]
    first = bench.pair("A", *arguments)
    assert bench.pair("B", *arguments) is first
    assert bench.pair("A", *arguments) is not first


def system_calls(bench):
    counts = subprocess.run(["perf", "stat", "-e", "raw_syscalls:sys_enter", "true"], check=False,
                            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL).returncode == 0
    if not counts:
        return "perf counts no system calls here"
    calls, frames = bench.calls_and_frames(bench.pair_lines(LINES, KEYS), 1)
    assert calls > frames > 0, (calls, frames)
    return None


def slots_that_move(bench):
    for bundle, stream in (("plain", "words"), ("rows", "reported")):
        taken = bench.moves(bundle, stream, 300, 3)
        assert taken["instances"] == 300 and taken["moves"] == 3, taken
        assert 0 < taken["least"] <= taken["median"] <= taken["value"], taken
        assert taken["copied"] > 0 and taken["reference"] > 0, taken


def run(test, bench):
    try:
        return True, test(bench)
    except FileNotFoundError as missing:
        return missing.filename == "perf", "there is no perf here"
    except Exception:  # pylint: disable=broad-except
        print("".join(f"# {line}\n" for line in traceback.format_exc().splitlines()), end="")
        return False, None


def main():
    tests = [rates, times, a_round_serves_each_figure_once, system_calls, slots_that_move]
    print(f"1..{len(tests)}")
    all_ok = True
    with tempfile.TemporaryDirectory(prefix="s4-pair-") as inputs:
        bench = Bench(BUILD, inputs)
        for number, test in enumerate(tests, 1):
            ok, skipped = run(test, bench)
            all_ok &= ok
            print(f"{'ok' if ok else 'not ok'} {number} - {test.__name__.replace('_', ' ')}"
                  f"{' # SKIP ' + skipped if ok and skipped else ''}", flush=True)
    return 0 if all_ok else 1


if __name__ == "__main__":
    sys.exit(main())
