#!/usr/bin/env python3
"""A node from start to stop, from other processes.

    node_test.py S4 BUNDLE
"""
import json
import os
import signal
import socket
import subprocess

from cluster import BUNDLE, LIMIT, PLACE, S4, Node, environment, main, path, s4, test, until, write

FOLDER = os.path.dirname(BUNDLE)


def read(name):
    with open(name, "rb") as file:
        return file.read()


@test
def a_node_does_what_it_is_asked():
    with Node() as node:
        assert node.s4("deploy", BUNDLE).expect(0).out == "probe 1.0.0 runs\n"
        done = node.s4("inject", "probe.lines", "-", "--json", given="to\nbe\nor\nnot\nto\nbe\n")
        assert done.expect(0).json()[0]["accepted"] == 6, done
        node.s4("drain", "--wait-only").expect(0)
        rows = node.s4("query", "probe.totals", "--json").expect(0).json()
        assert [(row["key"], row["n"]) for row in rows] == [("be", 2), ("not", 1), ("or", 1),
                                                            ("to", 2)], rows
        text = node.s4("query", "probe.totals", "--top", 2, "--by", "n").expect(0).out
        assert text.splitlines()[0].split() == ["key", "n", "sum"], text
        assert len(text.splitlines()) >= 3, text
        one = node.s4("query", "probe.totals", "--key", "or", "--json").expect(0).json()
        assert one == [{"key": "or", "n": 1, "sum": 0}], one
        some = node.s4("query", "probe.totals", "--prefix", "n", "--json").expect(0).json()
        assert [row["key"] for row in some] == ["not"], some
        fresh = node.s4("query", "probe.totals", "--fresh", "--json").expect(0).json()
        assert len(fresh) == 64 and max(row["time_us"] for row in fresh) > 0, fresh[:3]
        one = node.s4("query", "probe.totals", "--key", "to", "--fresh", "--json").expect(0).json()
        assert len(one) == 1 and one[0] in fresh, one  # only its partition is asked
        asked = node.s4("query", "probe/counters", "--key", "to", "--json").expect(0).json()
        assert asked == [{"key": "to", "n": 2, "sum": 0}], asked
        assert node.s4("query", "probe/counters", "--count").expect(0).out == "4\n"
        assert node.s4("undeploy", "probe").expect(0).out.startswith("gone")
        assert "no app" in node.s4("status").expect(0).out
        node.s4("stop").expect(0)
        assert node.end() == 0, node.errors()
        assert not os.path.exists(os.path.join(node.dir, "control"))


@test
def all_events_are_accounted_for():
    with Node() as node:
        node.s4("deploy", BUNDLE).expect(0)
        lines = []
        for i in range(5000):
            lines.append('{"key":"k%d","small":%d}' % (i % 7, i))
            if i % 100 == 0:
                lines.append("no json")
            if i % 250 == 0:
                lines.append("")
        items = write("items.jsonl", "\n".join(lines))
        rejects = items + ".rejects"
        done = node.s4("inject", "probe.items", items, "--json", "--rejects", rejects,
                       "--batch", 100)
        counts = done.expect(3).json()[0]
        assert counts["accepted"] == 5000 and counts["rejected"] == 50, counts
        assert counts["unacknowledged"] == 0 and counts["lines"] == len(lines), counts
        with open(rejects, encoding="utf-8") as file:
            named = sorted(json.loads(line)["line"] for line in file)
        assert named == [i for i, line in enumerate(lines, 1) if line == "no json"], named
        assert "and 40 more" in done.err, done
        rows = node.s4("query", "probe.totals", "--json").expect(0).json()
        assert sum(row["n"] for row in rows) == 5000
        assert sum(row["sum"] for row in rows) == sum(range(5000))
        assert node.counters()["probe.injected"] == "5000"


@test
def a_repeated_batch_is_taken_once():
    with Node() as node:
        node.s4("deploy", BUNDLE).expect(0)
        for duplicates in (0, 1):
            done = node.s4("inject", "probe.lines", "-", "--producer", 77, "--number", 5,
                           "--json", given="a\nb\n").expect(0).json()[0]
            assert done["accepted"] == 2 and done["duplicate_batches"] == duplicates, done
        node.s4("drain", "--wait-only").expect(0)
        assert node.counters()["probe.injected"] == "2"


@test
def formats_are_what_they_are():
    with Node() as node:
        node.s4("deploy", BUNDLE).expect(0)
        message = b"\x0a\x02pb\x10\x07"  # key: "pb", small: 7
        node.s4("inject", "probe.items", write("items.pb", bytes([len(message)]) + message)
                ).expect(0)
        node.s4("inject", "probe.items", write("items.json", '{"key":"json","small":8}\n')
                ).expect(0)
        node.s4("inject", "probe.lines", write("lines", "text\r\n")).expect(0)
        node.s4("inject", "probe.items", "--format", "json", given='{"key":"","colour":"BLUE"}'
                ).expect(0)
        node.s4("drain").expect(0)
        rows = node.s4("query", "probe.totals", "--json").expect(0).json()
        assert {row["key"]: row["sum"] for row in rows} == {"pb": 7, "json": 8, "text": 0, "": 0}
        counters = node.counters()
        assert counters["probe.absent_keys"] != "0" or counters["probe/owners.instances"] == "0"


@test
def a_failing_event_is_a_dead_letter():
    with Node() as node:
        node.s4("deploy", BUNDLE).expect(0)
        node.s4("inject", "probe.items", "--format", "json", given='{"key":"poison"}').expect(0)
        letters = node.s4("query", "probe.dead_letters", "--json").expect(0).json()
        assert len(letters) == 1 and "poisoned" in json.dumps(letters), letters
        assert node.counters()["probe.dead_letters"] == "1"


@test
def tcp_is_served_on_the_loopback():
    with Node("--listen", "tcp://127.0.0.1:*") as node:
        address = node.ready[1]
        assert address.startswith("tcp://127.0.0.1:")
        assert s4("status", "--node", address, "--json").expect(0).json()[0]["apps"] == []
        assert s4("status", "--node", node.ready[0]).expect(0).out
        refused = s4("node", "--dir", node.dir + "2", "--listen", address)
        assert refused.code == 1 and "in use" in refused.err, refused
        s4("stop", "--node", address).expect(0)
        assert node.end() == 0


@test
def a_dead_nodes_place_is_taken_over():
    with Node() as node:
        node.process.kill()
        node.process.wait()
        assert os.path.exists(os.path.join(node.dir, "control"))
        gone = node.s4("status")
        assert gone.code == 69 and "no node answers" in gone.err, gone
        with Node(directory=node.dir) as second:
            second.s4("status").expect(0)
            third = s4("node", "--dir", node.dir)
            assert third.code == 1 and f"process {second.process.pid}" in third.err, third
            second.s4("status").expect(0)


@test
def signals_drain_and_the_second_one_does_not_wait():
    with Node() as node:
        node.s4("deploy", BUNDLE).expect(0)
        node.s4("inject", "probe.lines", "-", given="a\n").expect(0)
        node.process.send_signal(signal.SIGTERM)
        assert node.end() == 0, node.errors()
    with Node() as node:
        node.s4("deploy", BUNDLE).expect(0)
        node.s4("inject", "probe.items", "--ack", "taken", "--format", "json",
                given='{"key":"stuck"}').expect(0)
        node.process.send_signal(signal.SIGINT)
        until("the first signal", lambda: "draining" in node.errors())
        node.process.send_signal(signal.SIGINT)
        assert node.end() == 1
        assert "stopped at once" in node.errors()


@test
def a_signal_ends_what_is_injected_and_it_is_reported():
    with Node() as node:
        node.s4("deploy", BUNDLE).expect(0)
        for lines, code in ((b"a\nb\nwithout an e", 0), (b"stuck\n", -signal.SIGINT)):
            before = int(node.counters()["probe.injected"])
            said = path("inject-said")
            with open(said, "wb") as err, \
                    subprocess.Popen([S4, "inject", "probe.lines", "-", "--json"], stdin=subprocess.PIPE,
                                     stdout=subprocess.PIPE, stderr=err, cwd=PLACE,
                                     env=environment(S4_NODE=node.dir)) as client:
                client.stdin.write(lines)
                client.stdin.flush()
                whole = before + lines.count(b"\n")
                until("the lines", lambda n=whole: int(node.counters()["probe.injected"]) == n)
                client.send_signal(signal.SIGINT)
                until("it", lambda: client.poll() is not None or b"once more" in read(said))
                if code:
                    client.send_signal(signal.SIGINT)
                out = client.communicate(timeout=LIMIT)[0]
            assert client.returncode == code, (client.returncode, read(said))
            if not code:
                counts = json.loads(out)
                assert (counts["lines"], counts["accepted"]) == (2, 2), counts
        node.s4("stop", "--now").expect(0)


@test
def a_handler_that_never_returns_keeps_no_node():
    for ending in ("stop", "signals"):
        with Node() as node:
            node.s4("deploy", BUNDLE).expect(0)
            node.s4("inject", "probe.items", "--ack", "taken", "--format", "json",
                    given='{"key":"stuck"}').expect(0)
            if ending == "stop":
                node.s4("stop", "--now").expect(0)
                assert node.end() == 1
                for word in ("does not return", "bundle: probe", "prototype counters", "key stuck"):
                    assert word in node.errors(), f"{word} is not in {node.errors()}"
            else:
                with subprocess.Popen([S4, "stop", "--now"], cwd=PLACE, stderr=subprocess.DEVNULL,
                                      env=environment(S4_NODE=node.dir)) as client:
                    for number in (1, 2):  # also while it ends
                        if node.process.poll() is None:
                            node.process.send_signal(signal.SIGTERM)
                            until("the signal", lambda n=number: node.process.poll() is not None
                                  or "more stops" in node.errors() and n == 1)
                    assert node.end() == 1
                    client.wait(LIMIT)
            assert not os.path.exists(os.path.join(node.dir, "control"))


@test
def a_crash_says_who_it_was():
    with Node() as node:
        node.s4("deploy", BUNDLE).expect(0)
        done = node.s4("inject", "probe.items", "--format", "json", "--timeout", "5s", "--json",
                       given='{"key":"crash"}')
        assert done.code == 69 and done.json()[0]["unacknowledged"] == 1, done
        assert node.end() == -signal.SIGSEGV
        errors = node.errors()
        for word in ("SIGSEGV", "probe", "counters", "crash", "stack:", "s4(+0x"):
            assert word in errors, f"{word} is not in {errors}"


@test
def what_does_not_speak_the_protocol_is_not_heard():
    with Node("--listen", "tcp://127.0.0.1:*") as node:
        port = int(node.ready[1].rsplit(":", 1)[1])
        with socket.create_connection(("127.0.0.1", port), timeout=LIMIT) as peer:
            peer.sendall(b"GET / HTTP/1.1\r\n\r\n" * 1000)
        node.s4("status").expect(0)


@test
def who_waits_for_memory_waits_and_all_is_accounted_for():
    lines = write("many", '{"key":"%s"}\n' % ("k" * 1000) * 20000)
    with Node("--memory-soft", "1M", "--memory-hard", "1G") as node:
        node.s4("deploy", BUNDLE).expect(0)
        node.s4("inject", "probe.items", "--ack", "taken", "--format", "json",
                given='{"key":"stuck"}').expect(0)
        with subprocess.Popen([S4, "inject", "probe.items", lines, "--format", "json", "--json",
                               "--ack", "taken", "--timeout", "2s"], stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, cwd=PLACE,
                              env=environment(S4_NODE=node.dir)) as client:
            until("memory", lambda: int(node.counters()["node.memory"]) >= 1 << 20)
            begin = int(node.counters()["node.uptime_us"])
            until("waiting", lambda: int(node.counters()["node.uptime_us"]) > begin + 3000000)
            assert client.poll() is None, client.communicate()
            assert int(node.counters()["node.memory"]) < 8 << 20
            node.kill()
            out, err = client.communicate(timeout=LIMIT)
        counts = json.loads(out)
        assert client.returncode == 69, err
        assert counts["unacknowledged"] > 0, counts
        assert counts["accepted"] + counts["unacknowledged"] == counts["lines"], counts


@test
def sources_run_end_and_are_ended():
    with Node() as node:
        node.s4("deploy", os.path.join(FOLDER, "ticker.s4r")).expect(0)
        node.s4("drain", "ticker").expect(0)
        rows = node.s4("query", "ticker.totals", "--json").expect(0).json()
        assert [row["key"] for row in rows] == [str(i) for i in range(10)]
        node.s4("undeploy", "ticker").expect(0)
        node.s4("deploy", os.path.join(FOLDER, "endless.s4r")).expect(0)
        ticks = lambda: int(node.counters()["ticker.injected"])
        until("the source", lambda: ticks() > 0)
        before = ticks()
        until("more of it", lambda: ticks() > before)
        node.s4("drain").expect(0)
        after = ticks()
        node.s4("drain", "--wait-only").expect(0)
        assert ticks() == after
        node.s4("stop").expect(0)
        assert node.end() == 0, node.errors()


@test
def a_node_with_an_endless_source_stops():
    with Node() as node:
        node.s4("deploy", os.path.join(FOLDER, "endless.s4r")).expect(0)
        node.s4("stop").expect(0)
        assert node.end() == 0, node.errors()


@test
def apps_live_beside_each_other():
    with Node("--workers", 2, "--slots", 8) as node:
        node.s4("deploy", BUNDLE).expect(0)
        again = node.s4("deploy", BUNDLE)
        assert again.code == 1 and "probe" in again.err, again
        node.s4("deploy", os.path.join(FOLDER, "ticker.s4r")).expect(0)
        node.s4("inject", "probe.lines", given="x\n").expect(0)
        node.s4("drain").expect(0)
        status = node.s4("status", "--json").expect(0).json()[0]
        injected = {app["app"]: app["counters"]["injected"] for app in status["apps"]}
        assert injected == {"probe": 1, "ticker": 12345}, status
        assert status["counters"]["workers"] == 2 and status["counters"]["slots"] == 8
        node.s4("stop", "--now").expect(0)
        assert node.end() == 0


main()
