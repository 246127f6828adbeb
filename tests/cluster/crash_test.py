#!/usr/bin/env python3
"""A crash in any callback says whose it was before the process ends.

    crash_test.py S4 BUNDLE
"""
import os
import re
import signal

from cluster import BUNDLE, Node, main, path, s4, test, write

LIBRARY = os.path.join(os.path.dirname(BUNDLE), "crasher.so")
OF_FINE = " of prototype counters, partition "


def crasher(where):
    """A bundle that crashes there."""
    manifest = write("app.yaml",
                     f"app: crasher\nversion: 7.0.1\nparameters: {{in: '{where}'}}\n")
    s4("pack", manifest, LIBRARY, "--output", path("crasher.s4r")).expect(0)
    return path("crasher.s4r")


def expect_note(text, *words):
    for word in ("SIGSEGV", "bundle: crasher 7.0.1, build id ", "stack:", *words):
        assert word in text, f"{word} is not in {text}"
    code = re.search(r"^code: crasher.so, in the stack (/proc/self/fd/\d+)$", text, re.MULTILINE)
    assert code and f"{code[1]}(+0x" in text.split("stack:")[1], text


def expect_crash(where, *words):
    done = s4("run", crasher(where))
    assert done.code == -signal.SIGSEGV, done
    expect_note(done.err, *words)


@test
def nothing_crashes_unless_it_is_told_to():
    s4("run", crasher("")).expect(0)


@test
def in_a_request_on_the_pool():
    expect_crash("request", "in: the function of request lookup, asked by an instance" + OF_FINE,
                 "fine\n")


@test
def in_start_and_stop():
    expect_crash("start", "in: callback start\n")
    expect_crash("stop", "in: callback stop\n")


@test
def in_the_source():
    expect_crash("source", "in: callback source\n")
    done = s4("run", crasher("source"), "--feed-thread")
    assert done.code == -signal.SIGSEGV, done
    expect_note(done.err, "in: callback source\n")


@test
def in_callbacks_of_an_instance():
    for where in ("create", "timer", "output", "answer"):
        expect_crash(where, f"in: callback {where}" + OF_FINE, "fine\n")


@test
def in_a_query():
    node = Node()
    s4("deploy", "--node", node.dir, crasher("query")).expect(0)
    s4("drain", "--node", node.dir, "crasher").expect(0)
    s4("query", "--node", node.dir, "crasher/counters", "--key", "fine").expect(69)
    assert node.end() == -signal.SIGSEGV
    expect_note(node.errors(), "in: callback query" + OF_FINE, "fine\n")


main()
