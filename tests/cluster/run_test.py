#!/usr/bin/env python3
"""`s4 run` from end to end.

    run_test.py S4 BUNDLE
"""
import os
import re
import signal
import subprocess

from cluster import BUNDLE, LIMIT, PLACE, S4, environment, main, path, s4, test, write

FOLDER = os.path.dirname(BUNDLE)


@test
def rows_do_not_depend_on_how_it_runs():
    lines = write("lines", "".join(f"w{i * 7919 % 101}\n" for i in range(20000)))
    expected = None
    for options in ([], ["--workers", 2], ["--slots", 7, "--block-size", "1k"],
                    ["--workers", 4, "--feed-thread"]):
        done = s4("run", BUNDLE, "--inject", f"lines={lines}", "--output", "totals=-", *options)
        rows = done.expect(0).json()
        assert len(rows) == 101 and sum(row["n"] for row in rows) == 20000
        assert expected in (None, done.out), options
        expected = done.out


@test
def several_inputs_in_several_formats():
    items = write("items.jsonl", '{"key":"a","small":-5}\n{"key":"b","small":2}\n')
    done = s4("run", BUNDLE, "-i", f"items={items}", "-i", "lines=-", "--json", "--stats",
              given="a\n")
    rows = done.expect(0).json()
    stats = rows.pop()["stats"]
    assert stats["counters"]["injected"] == 3 and stats["rejected"] == 0, stats
    totals = [row["row"] for row in rows if row["output"] == "totals"]
    assert totals == [{"key": "a", "n": 2, "sum": -5}, {"key": "b", "n": 1, "sum": 2}], totals
    assert [row["row"] for row in rows if row["output"] == "seen"] == [{"text": "a"}], rows


@test
def outputs_go_to_files():
    done = s4("run", BUNDLE, "-i", "lines=-", "-o", f"totals={path('totals.pb')}",
              "-o", f"seen={path('seen.txt')}", "-o", "dead_letters=-", given="x\n").expect(0)
    assert done.out == ""
    with open(path("totals.pb"), "rb") as file:
        assert file.read() == b"\x07\x0a\x01x\x10\x01\x18\x00"
    with open(path("seen.txt"), encoding="utf-8") as file:
        assert file.read().split() == ["text", "x"]


@test
def rejected_lines_are_named():
    rejects = path("rejects")
    done = s4("run", BUNDLE, "-i", "items=-", "--format", "json", "-o", "totals=-",
              "--rejects", rejects, given='{"key":"a"}\n\n{"key":1}\nx\n{"key":"b"}').expect(3)
    assert [row["key"] for row in done.json()] == ["a", "b"]
    assert "(standard input):3: " in done.err and "(standard input):4: " in done.err, done
    with open(rejects, encoding="utf-8") as file:
        assert len(file.readlines()) == 2


@test
def code_logs_a_hundred_lines_a_second_and_the_rest_is_counted():
    for n in (100, 101, 5000):
        done = s4("run", BUNDLE, "-i", "lines=-", "-o", "totals=-", given="loud\n" * n).expect(0)
        shown = done.err.count("warning: probe: here I am\n")
        left = sum(map(int, re.findall("warning: probe: ([0-9]+) more lines are left out", done.err)))
        assert shown + left == n and (left == 0 or n > 100), done
        assert shown < 5000, done


@test
def a_flood_ends_with_the_alarm():
    done = s4("run", BUNDLE, "-i", "flood=-", "--format", "json", "--memory-soft", "1M",
              "--memory-hard", "4M", given='{"key":1}\n')
    assert done.code == 4, done
    assert "alarm: probe: paused" in done.err and "stream flood" in done.err, done
    assert "paused at the hard memory mark" in done.err, done


@test
def time_ends_what_would_never_end():
    done = s4("run", BUNDLE, "--for", "100ms", "-o", "totals=-")
    assert done.expect(0).out == ""


@test
def time_ends_a_handler_that_never_returns_and_says_whose_it_is():
    done = s4("run", BUNDLE, "-i", "lines=-", "-o", "totals=-", "--for", "100ms", given="stuck\n")
    assert done.code == 1 and done.out == "", done
    for word in ("does not return", "bundle: probe", "callback event of prototype counters", "key stuck"):
        assert word in done.err, f"{word} is not in {done.err}"


@test
def a_source_runs_to_its_end_or_as_long_as_it_may():
    done = s4("run", os.path.join(FOLDER, "ticker.s4r"), "-o", "totals=-", "--workers", 2)
    assert sum(row["n"] for row in done.expect(0).json()) == 12345, done
    done = s4("run", os.path.join(FOLDER, "endless.s4r"), "-o", "totals=-", "--for", "200ms")
    assert len(done.expect(0).json()) == 10, done


@test
def a_signal_ends_the_input():
    with subprocess.Popen([S4, "run", BUNDLE, "-i", "lines=-", "-o", "totals=-"],
                          stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          env=environment(), cwd=PLACE) as run:
        run.stdin.write(b"a\n" * 10)
        run.stdin.flush()
        run.send_signal(signal.SIGINT)
        out, err = run.communicate(timeout=LIMIT)
    # It may come before the program can take it: then it ends the program as ever.
    assert run.returncode in (0, -signal.SIGINT), err
    assert run.returncode or b"ending the input" in err, err
    assert run.returncode or out in (b"", b'{"key":"a","n":10,"sum":0}\n'), out


@test
def a_crash_says_who_it_was():
    done = s4("run", BUNDLE, "-i", "lines=-", given="fine\ncrash\n")
    assert done.code == -signal.SIGSEGV, done
    for word in ("SIGSEGV", "probe", "counters", "crash", "stack:", "s4(+0x"):
        assert word in done.err, f"{word} is not in {done.err}"


main()
