#!/usr/bin/env python3
"""scripts/cluster: what it starts it also ends, however that comes.

    cluster_script_test.py S4 BUNDLE SOURCE-ROOT BUILD-ROOT
"""
import os
import signal
import subprocess
import sys

from cluster import LIMIT, NODES, environment, main, path, test, until

SCRIPT = os.path.join(sys.argv[3], "scripts/cluster")
PLACE = path("cluster")


def start(*args, **more):
    # meson holds a lock on its build, and what is to be built is built: that is not asked again
    process = subprocess.Popen(
        [SCRIPT, *args], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env=environment(S4_BUILD=sys.argv[4], S4_CLUSTER_DIR=PLACE, **more))
    NODES.append(process)
    return process


def run(*args, code=0, **more):
    process = start(*args, **more)
    out, err = process.communicate(timeout=LIMIT)
    assert process.returncode == code, f"{args}: {process.returncode}, {out}{err}"
    return out, err


def left():
    """Processes that were started for it."""
    mark = f"S4_CLUSTER_OF={PLACE}".encode()
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/environ", "rb") as file:
                if mark in file.read():
                    found.append(pid)
        except OSError:
            pass
    return found


def expect_nothing():
    assert not os.path.exists(PLACE), os.listdir(PLACE)
    until("all processes are gone", lambda: not left())


@test
def up_status_down():
    try:
        out, _ = run("up", "2", "--shared", "--slots", "8")
        assert f"S4_NODE={PLACE}/n1" in out
        out, _ = run("status", "--kv")
        assert "node.slots=8" in out, out
        _, err = run("up", "--shared", code=1)
        assert "already" in err, err
    finally:
        run("down")
    expect_nothing()
    _, err = run("down", code=1)
    assert "there is no cluster" in err, err
    run("status", code=1)


@test
def an_up_that_fails_half_way():
    _, err = run("up", "2", "--shared", "--session", "1h", code=1)
    assert "--session" in err, err
    expect_nothing()


@test
def an_up_that_is_interrupted():
    for number in (signal.SIGINT, signal.SIGTERM):
        process = start("up", "3", "--shared")
        until("a node is started", lambda: os.path.exists(os.path.join(PLACE, "n1.err")))
        process.send_signal(number)
        _, err = process.communicate(timeout=LIMIT)
        assert process.returncode == 1 and signal.Signals(number).name in err, err
        expect_nothing()


@test
def an_up_that_was_killed_is_ended_by_down():
    process = start("up", "3", "--shared")
    until("a node is started", lambda: os.path.exists(os.path.join(PLACE, "n2.err")))
    process.kill()
    process.communicate(timeout=LIMIT)
    run("down")
    expect_nothing()


@test
def a_folder_that_is_not_a_clusters():
    os.mkdir(PLACE)
    with open(os.path.join(PLACE, "precious"), "w", encoding="utf-8"):
        pass
    run("up", "--shared", code=1)
    run("down", code=1)
    assert os.listdir(PLACE) == ["precious"]
    os.unlink(os.path.join(PLACE, "precious"))
    os.rmdir(PLACE)


@test
def wrong_words():
    for words in (["up", "0"], ["up", "33"], ["up", "x"], ["sideways"], [], ["down", "--zk"],
                  ["up", "--zk", "--shared"]):
        run(*words, code=2)
    out, _ = run("--help")
    assert "scripts/cluster up" in out


if __name__ == "__main__":
    main()
