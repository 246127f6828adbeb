#!/usr/bin/env python3
"""Following outputs from other processes: what a reader gets and what it missed are all there was.

    tail_test.py S4 BUNDLE
"""
import signal

from cluster import BUNDLE, Node, Reader, main, test, until


def inject(node, *lines):
    text = "".join(line + "\n" for line in lines)
    node.s4("inject", "probe.lines", "-", given=text).expect(0)
    node.s4("drain", "--wait-only").expect(0)


def follow(node, *args):
    """A reader that has read the one row that was there before."""
    node.s4("deploy", BUNDLE).expect(0)
    inject(node, "first")
    reader = Reader(node, *args)
    until("the first row", lambda: reader.lines())
    return reader


@test
def rows_come_as_they_are_published():
    with Node() as node, follow(node, "probe.totals", "--snapshot", "--json", "--limit", 4) as reader:
        inject(node, "a", "b", "a")
        assert reader.end() == 0, reader.errors()
        rows = [(row["key"], row["n"]) for row in reader.lines()]
        assert rows[0] == ("first", 1), rows
        assert sorted(rows[1:]) == [("a", 1), ("a", 2), ("b", 1)], rows
        assert rows.index(("a", 1)) < rows.index(("a", 2)), rows
        with Reader(node, "probe.totals", "--snapshot", "--json", "--key", "a") as one, \
                Reader(node, "probe.seen", "--from", "start", "--json", "--for", "300ms") as log:
            until("the row", lambda: one.lines() == [{"key": "a", "n": 2, "sum": 0}])
            assert log.end() == 0, log.errors()
            assert sorted(row["text"] for row in log.lines()) == ["a", "a", "b", "first"]
            one.process.send_signal(signal.SIGINT)
            assert one.end() == 0, one.errors()
        node.s4("tail", "probe.nothing").expect(5)
        node.s4("tail", "probe.seen", "--key", "a").expect(1)


@test
def a_stopped_reader_is_told_what_it_missed():
    with Node() as node, follow(node, "probe.seen", "--from", "start", "--json") as reader:
        reader.process.send_signal(signal.SIGSTOP)
        n = 0
        for batch in range(8):
            lines = [f"{batch} {i} {'x' * 1000}" for i in range(2500)]
            inject(node, *lines)
            n += len(lines)
        reader.process.send_signal(signal.SIGCONT)
        inject(node, "last")

        def told():
            return [row for row in reader.lines() if "@missed" in row]

        def all_told():
            rows = reader.lines()
            return len(rows) - len(told()) + sum(row["@missed"] for row in told()) == n + 2

        until("all rows, or how many were missed", all_told)
        assert told(), "it missed nothing: the test is too small"
        assert "missed, of partition" in reader.errors(), reader.errors()
        assert reader.lines()[-1] == {"text": "last"} or "@missed" in reader.lines()[-1]


@test
def a_killed_reader_harms_nobody():
    with Node() as node, follow(node, "probe.seen", "--from", "start", "--json") as reader:
        reader.process.kill()
        reader.process.wait()
        with Reader(node, "probe.seen", "--from", "start", "--json", "--limit", 2) as other:
            until("its first row", lambda: other.lines())
            inject(node, "more")
            assert other.end() == 0, other.errors()
        node.s4("undeploy", "probe").expect(0)
        node.s4("stop").expect(0)
        assert node.end() == 0, node.errors()


@test
def the_end_is_told():
    with Node() as node, follow(node, "probe.seen", "--from", "start", "--json") as reader:
        inject(node, "more")
        node.s4("undeploy", "probe").expect(0)
        assert reader.end() == 1, reader.errors()
        assert "undeployed" in reader.errors(), reader.errors()
        assert [row["text"] for row in reader.lines()] == ["first", "more"]
    with Node() as node, follow(node, "probe.seen", "--from", "start", "--json") as reader:
        inject(node, *map(str, range(100)))
        node.s4("stop").expect(0)
        assert node.end() == 0, node.errors()
        assert reader.end() == 1, reader.errors()
        assert "the node has stopped" in reader.errors(), reader.errors()
        assert len(reader.lines()) == 101, len(reader.lines())


@test
def a_status_is_watched_with_rates():
    with Node() as node:
        node.s4("deploy", BUNDLE).expect(0)
        with Reader(node, "--watch", "0.1", "--json", command="status") as reader:
            until("a status", lambda: reader.lines())
            inject(node, *map(str, range(1000)))
            until("rates", lambda: any(line["apps"][0].get("events_per_s", 0) > 0
                                       for line in reader.lines()))
            reader.process.send_signal(signal.SIGINT)
            assert reader.end() == 0, reader.errors()
        with Reader(node, "--watch=0.1", "--kv", command="status") as reader:
            until("two", lambda: "\n\n" in reader.text())
            reader.process.send_signal(signal.SIGINT)
            assert reader.end() == 0, reader.errors()
            assert "probe.emitted_per_s=0.0" in reader.text()
        node.s4("status", "--watch", "0.01").expect(2)


main()
