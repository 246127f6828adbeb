#!/usr/bin/env python3
"""The stages of scripts/test: builds with their tests, then the lints; and the sum of it.

A stage is a list of commands. Each runs in a session of its own with a time limit, its output in
build/stages/. This process adopts what they leave behind (PR_SET_CHILD_SUBREAPER): a process that
outlives its stage is ended, and fails the stage. The count is of tests inside the test programs
(TAP), of programs that do not speak TAP, of builds that failed and of lints.
"""
import argparse
import ctypes
import glob
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
LOGS = os.path.join(ROOT, "build", "stages")
SUBREAPER = 36  # PR_SET_CHILD_SUBREAPER of linux/prctl.h
TAIL = 60  # lines of a failing log that are shown

SANITIZER_OPTIONS = {
    "ASAN_OPTIONS": "detect_stack_use_after_return=1:strict_string_checks=1:check_initialization_order=1",
    "UBSAN_OPTIONS": "halt_on_error=1:print_stacktrace=1",
    "TSAN_OPTIONS": "halt_on_error=1:second_deadlock_stack=1",
}


class Build:
    """A build directory, how it is set up, and which tests run in it."""

    def __init__(self, name, what, compiler, options=(), skip=(), slowness=1, limit_s=600):
        self.name, self.what, self.compiler = name, what, compiler
        self.options, self.skip = list(options), list(skip)
        self.slowness, self.limit_s = slowness, limit_s

    def setup(self):
        return ["meson", "setup", self.name, *self.options]

    def test(self, jobs):
        without = [arg for suite in self.skip for arg in ("--no-suite", suite)]
        return ["meson", "test", "-C", self.name, "--no-rebuild", "--num-processes", str(jobs),
                "--timeout-multiplier", str(self.slowness), "--print-errorlogs", *without]


def sanitized(sanitizer):
    return ["-Dbuildtype=debugoptimized", "-Db_lundef=false", f"-Db_sanitize={sanitizer}"]


def builds(everything):
    """The first is the one that scripts/demo uses too, and has all tests. The slow ones are
    simulations on one thread, models, and clusters of real processes at full speed: another compiler
    and races are looked for in the others."""
    if not everything:
        return [Build("build", "gcc", "gcc", skip=["slow", "long"]),
                Build("build-asan", "gcc, ASan+UBSan", "gcc", sanitized("address,undefined"),
                      ["slow", "long"], 4)]
    return [
        Build("build", "gcc", "gcc", skip=["long"], limit_s=1800),
        Build("build-asan", "gcc, ASan+UBSan", "gcc", sanitized("address,undefined"), ["slow", "long"], 4,
              900),
        Build("build-clang", "clang", "clang", skip=["slow", "long"]),
        Build("build-clang-asan", "clang, ASan+UBSan", "clang", sanitized("address,undefined"),
              ["house", "slow", "long"], 4, 900),
        Build("build-tsan", "clang, TSan", "clang", sanitized("thread"), ["house", "slow", "long"], 8, 900),
        Build("build-fuzz", "clang, libFuzzer", "clang",
              sanitized("address,undefined") + ["-Dfuzz=true"], ["unit", "cluster", "house", "slow", "long"]),
    ]


LINTS = [("format", 120), ("shell", 120), ("man", 60), ("cppcheck", 600), ("tidy", 900)]


class Count:
    def __init__(self, passed=0, failed=0, skipped=0):
        self.passed, self.failed, self.skipped = passed, failed, skipped

    def add(self, other):
        self.passed += other.passed
        self.failed += other.failed
        self.skipped += other.skipped

    def __str__(self):
        return f"{self.passed} passed, {self.failed} failed, {self.skipped} skipped"


def count_tap(output):
    count = Count()
    for line in output.splitlines():
        match = re.match(r"\s*(not )?ok\b[^#]*(#\s*(skip|todo))?", line, re.IGNORECASE)
        if match and match[3]:
            count.skipped += 1
        elif match:
            count.add(Count(failed=1) if match[1] else Count(passed=1))
    return count


def count_tests(build):
    """What `meson test` noted: one JSON object per program. None where it noted nothing."""
    path = os.path.join(ROOT, build.name, "meson-logs", "testlog.json")
    if not os.path.exists(path):
        return None
    count = Count()
    with open(path, encoding="utf-8") as lines:
        for line in lines:
            count.add(count_program(json.loads(line)))
    return count


def count_program(entry):
    count = count_tap(entry.get("stdout") or "")
    result = entry["result"]
    if result in ("OK", "EXPECTEDFAIL"):
        return count if count.passed or count.skipped else Count(passed=1)
    if result == "SKIP":
        return count if count.skipped else Count(skipped=1)
    return count if count.failed else Count(count.passed, 1, count.skipped)


def children():
    """Processes whose parent is this one, with their names."""
    found = {}
    for path in glob.glob("/proc/[0-9]*/stat"):
        try:
            with open(path, encoding="utf-8", errors="replace") as file:
                text = file.read()
        except OSError:
            continue  # it ended meanwhile
        name = text.partition("(")[2].rpartition(")")[0]
        state, parent = text.rpartition(")")[2].split()[:2]
        if int(parent) == os.getpid() and state != "Z":
            found[int(path.split("/")[2])] = name
    return found


def reap():
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        pass


def end_leftovers(grace_s):
    """Ends what a stage left behind; its names, without those that went by themselves in time."""
    deadline = time.monotonic() + grace_s
    while children() and time.monotonic() < deadline:
        reap()
        time.sleep(0.05)
    left = children()
    while children():  # an ended parent's children come to us in turn
        for pid in children():
            os.kill(pid, signal.SIGKILL)
        time.sleep(0.02)
        reap()
    return sorted(left.values())


class Runner:
    def __init__(self, jobs):
        self.jobs = jobs
        self.child = None
        self.total = Count()
        self.scratch = tempfile.mkdtemp(prefix="s4-test-")
        self.environment = {**os.environ, **SANITIZER_OPTIONS, "TMPDIR": self.scratch,
                            "NINJA_STATUS": "[%f/%t] "}

    def close(self):
        if self.child and self.child.poll() is None:
            self.child.terminate()  # meson ends its tests on this
            try:
                self.child.wait(10)
            except subprocess.TimeoutExpired:
                self.child.kill()
        end_leftovers(0)
        shutil.rmtree(self.scratch, ignore_errors=True)

    def run(self, command, log, limit_s, **more):
        """Whether it exited with 0 in time and left nothing behind; `more` is for its environment."""
        environment = {**self.environment, **more}
        log.write(f"$ {' '.join(command)}\n")
        log.flush()
        self.child = subprocess.Popen(command, cwd=ROOT, env=environment, stdin=subprocess.DEVNULL,
                                      stdout=log, stderr=subprocess.STDOUT, start_new_session=True)
        try:
            ok = self.child.wait(limit_s) == 0
        except subprocess.TimeoutExpired:
            log.write(f"took longer than {limit_s} s\n")
            ok = False
            self.child.terminate()
            try:
                self.child.wait(10)
            except subprocess.TimeoutExpired:
                self.child.kill()
                self.child.wait()
        left = end_leftovers(2 if ok else 0)
        if ok and left:
            log.write(f"left processes behind, which were ended: {', '.join(left)}\n")
        return ok and not left

    def stage(self, name, body):
        """Runs body(log), which returns a Count, and prints the stage's line."""
        path = os.path.join(LOGS, re.sub(r"\W+", "-", name) + ".log")
        start = time.monotonic()
        with open(path, "w", encoding="utf-8") as log:
            count = body(log)
        self.total.add(count)
        result = count if count.passed or count.failed or count.skipped else "done"
        print(f"test: {name:<28} {time.monotonic() - start:6.1f} s  {result}", flush=True)
        if count.failed:
            with open(path, encoding="utf-8", errors="replace") as log:
                print("".join(f"    {line}" for line in log.readlines()[-TAIL:]), end="")
            print(f"test: all of it is in {os.path.relpath(path, ROOT)}", flush=True)
        return count

    def build(self, build):
        """False where it does not compile."""
        def compile_it(log):
            ready = os.path.exists(os.path.join(ROOT, build.name, "build.ninja"))
            ok = ((ready or self.run(build.setup(), log, 120, CC=build.compiler)) and
                  self.run(["ninja", "-C", build.name, "-j", str(self.jobs)], log, build.limit_s))
            return Count(failed=0 if ok else 1)

        def test_it(log):
            noted = os.path.join(ROOT, build.name, "meson-logs", "testlog.json")
            if os.path.exists(noted):
                os.unlink(noted)
            # Meson's factor is for programs; Check has limits for the cases in them.
            ok = self.run(build.test(self.jobs), log, build.limit_s,
                          CK_TIMEOUT_MULTIPLIER=str(build.slowness))
            count = count_tests(build)
            if count is None or (ok and not count.passed):
                log.write("no test ran\n")
                return Count(failed=1)
            return count if ok or count.failed else Count(count.passed, 1, count.skipped)

        if self.stage(f"{build.what}: build", compile_it).failed:
            return False
        self.stage(f"{build.what}: tests", test_it)
        return True

    def lint(self, name, limit_s):
        def body(log):
            ok = self.run(["scripts/lint", name, "--jobs", str(self.jobs)], log, limit_s)
            return Count(passed=1) if ok else Count(failed=1)

        self.stage(f"lint: {name}", body)


def run_stages(runner, everything):
    for build in builds(everything):
        if not runner.build(build) and build.name == "build":
            return  # the others would say the same again
    if everything:
        for name, limit_s in LINTS:
            runner.lint(name, limit_s)


def main():
    parser = argparse.ArgumentParser(prog="scripts/test")
    parser.add_argument("--all", action="store_true")
    parser.add_argument("--jobs", type=int, default=len(os.sched_getaffinity(0)))
    args = parser.parse_args()
    ctypes.CDLL(None).prctl(SUBREAPER, 1, 0, 0, 0)
    os.makedirs(LOGS, exist_ok=True)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda number, _: sys.exit(128 + number))
    runner = Runner(args.jobs)
    start = time.monotonic()
    try:
        run_stages(runner, args.all)
    finally:
        runner.close()
    print(f"test: {'all of it':<28} {time.monotonic() - start:6.1f} s")
    print(runner.total)
    return 1 if runner.total.failed or (args.all and runner.total.skipped) else 0


if __name__ == "__main__":
    sys.exit(main())
