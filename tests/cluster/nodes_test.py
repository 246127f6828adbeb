#!/usr/bin/env python3
"""Several nodes in a cluster, as its users see them: asked at any node, it answers as one.

    nodes_test.py S4 BUNDLE
"""
import os
import re
import signal
import tempfile

from cluster import BUNDLE, PLACE, Cluster, Node, Reader, main, s4, test, until, write

PICKY = os.path.join(os.path.dirname(BUNDLE), "picky.s4r")
WORDS = "".join(f"w{i % 300}\n" for i in range(1000))


def query(node, *args):
    return node.s4("query", *args, "--json").expect(0).json()


def fill(node):
    node.s4("deploy", BUNDLE).expect(0)
    node.s4("inject", "probe.lines", "-", given=WORDS).expect(0)
    node.s4("drain", "--wait-only").expect(0)


@test
def a_cluster_is_created_once():
    place = tempfile.mkdtemp(dir=PLACE)
    shared = ("--shared", os.path.join(place, "shared"))
    done = s4("cluster", "create", "prod", *shared).expect(0)
    assert done.out == "cluster prod with 64 slots\n", done
    assert "a cluster of this name" in s4("cluster", "create", "prod", *shared).expect(1).err
    s4("cluster", "create", "other", *shared, "--slots", 4096).expect(0)
    s4("cluster", "create", "least", *shared, "--slots", 1).expect(0)
    for slots in (0, 4097, "x"):
        assert "from 1 to 4096" in s4("cluster", "create", "p", *shared, "--slots", slots).expect(2).err
    s4("cluster", "create", "x" * 64, *shared).expect(0)
    for name in (".p", "a/b", "", "x" * 65):
        assert "cannot name a cluster" in s4("cluster", "create", name, *shared).expect(2).err
    for wrong in ((), ("create",), ("make", "p"), ("create", "p", "q")):
        s4("cluster", *wrong, *shared).expect(2)
    s4("cluster", "create", "p", *shared, "--zk", "127.0.0.1:1").expect(2)


@test
def where_no_cluster_can_be_is_said():
    place = tempfile.mkdtemp(dir=PLACE)
    file = write("file", "")
    assert "Not a directory" in s4("cluster", "create", "p", "--shared", file).expect(1).err
    os.mkdir(os.path.join(place, "open"))
    os.chmod(os.path.join(place, "open"), 0o777)
    done = s4("cluster", "create", "p", "--shared", os.path.join(place, "open")).expect(1)
    assert "wanted 0700" in done.err, done
    done = s4("node", "--dir", os.path.join(place, "n"), "--cluster", "nope", "--shared",
              os.path.join(place, "shared")).expect(5)
    assert "s4 cluster create nope" in done.err, done
    for wrong in (("--name", "a"), ("--cluster", "p", "--slots", 8), ("--cluster", "p", "--name", "a b"),
                  ("--cluster", "p", "--session", "1ms")):
        s4("node", "--dir", os.path.join(place, "n"), *wrong).expect(2)


@test
def a_name_is_one_node():
    with Cluster("a") as cluster:
        done = s4("node", "--dir", os.path.join(PLACE, "second"), *cluster.place, "--name", "a",
                  "--session", "200ms").expect(1)
        assert "a node of the name a is in the cluster" in done.err, done
        assert [node["state"] for node in cluster.status()["nodes"]] == ["active"]


def pages(text):
    return [line for line in text.splitlines() if line]


@test
def status_shows_the_cluster_at_any_node():
    with Cluster("a", "b") as cluster:
        fill(cluster.nodes["a"])
        build = re.search(r"^probe\.build_id=(\w+)$",
                          cluster.nodes["a"].s4("status", "--kv").out, re.MULTILINE)[1]
        for name, node in cluster.nodes.items():
            found = node.s4("status", "--json").expect(0).json()[0]
            app = found["apps"][0]
            assert app["counters"]["injected"] == 1000, app
            assert [p["counters"]["events"] for p in app["prototypes"][:2]] == [1000, 1000], app
            inside = found["cluster"]
            assert inside["name"] == "test" and inside["self"] == name, inside
            assert inside["leader"] in ("a", "b") and inside["slots"] == 16, inside
            nodes = {one["node"]: one for one in inside["nodes"]}
            assert set(nodes) == {"a", "b"}, nodes
            owned = [range(first, last + 1) for one in nodes.values() for first, last in one["owned"]]
            assert sorted(slot for part in owned for slot in part) == list(range(16)), owned
            for one in nodes.values():
                assert one["state"] == "active" and one["answers"] and one["slots"] == 8, one
                assert one["apps"][0]["build_id"] == build and one["workers"] == 1, one
            parts = [one["apps"][0]["counters"]["applied"] for one in nodes.values()]
            assert sum(parts) == app["counters"]["applied"] and min(parts) > 0, parts
            assert inside["bundles"] == [{"app": "probe", "version": "1.0.0", "build_id": build,
                                          "phase": "running", "why": ""}], inside

            counters = node.counters()
            assert counters["probe.injected"] == "1000" and counters["cluster.self"] == name
            assert counters["node/a.state"] == "active" and counters["node/b.slots_owned"] == "8"
            assert counters["bundle/probe.phase"] == "running", counters
            assert counters["node/a/probe.build_id"] == counters["probe.build_id"] == build
            assert counters["cluster.moving"] == "" == counters["cluster.unowned"], counters

            table = node.s4("status").expect(0).out
            assert f"cluster test, asked {name}; map " in table, table
            assert re.search(rf"^\* {name} +active +8 ", table, re.MULTILINE), table
            assert re.search(rf"^  probe   1.0.0    running  {build}$", table, re.MULTILINE), table
            assert re.search(r"^  injected +1000 ", table, re.MULTILINE), table
            assert "  on a\n" not in table and "not on" not in table and "ANOTHER" not in table
            lines = [line for line in table.splitlines() if "ipc://" not in line]
            assert max(map(len, lines)) <= 80, table
            both = node.s4("status", "--nodes").expect(0).out
            assert "  on a\n" in both and "  on b\n" in both, both


@test
def a_silent_node_is_marked():
    with Cluster("a", "b") as cluster:
        cluster.nodes["b"].process.send_signal(signal.SIGSTOP)
        table = cluster.nodes["a"].s4("status").expect(0).out
        cluster.nodes["b"].process.send_signal(signal.SIGCONT)
        assert "it does not answer" in table, table


@test
def rates_are_of_all_nodes():
    with Cluster("a", "b") as cluster:
        a, b = cluster.nodes.values()
        fill(a)
        with Reader(b, "--watch", "0.2", "--kv", command="status") as reader:
            def rates():
                found = re.findall(r"^probe\.events_per_s=(.*)$", reader.text(), re.MULTILINE)
                return [float(rate) for rate in found]

            until("rates", rates)
            a.s4("inject", "probe.lines", "-", given=WORDS).expect(0)
            until("a rate", lambda: any(rate > 0 for rate in rates()))
            reader.process.send_signal(signal.SIGINT)
            assert reader.end() == 0, reader.errors()


@test
def answers_are_those_of_one_node():
    wanted = {}
    questions = (("probe.totals",), ("probe.totals", "--top", 7, "--by", "n"),
                 ("probe.totals", "--by", "sum", "--limit", 20), ("probe.totals", "--prefix", "w1"),
                 ("probe.totals", "--prefix", "w1", "--limit", 9), ("probe.totals", "--limit", 10),
                 ("probe.totals", "--key", "w17"), ("probe/counters", "--key", "w17"),
                 ("probe/counters", "--count"), ("probe.totals", "--stale"),
                 ("probe/counters", "--key", "w17", "--stale"))
    with Node("--slots", 16) as node:
        fill(node)
        for question in questions:
            wanted[question] = query(node, *question)
    with Cluster("a", "b") as cluster:
        fill(cluster.nodes["b"])
        for question in questions:
            for node in cluster.nodes.values():
                assert query(node, *question) == wanted[question], question
        for node in cluster.nodes.values():
            assert sorted(row["text"] for row in query(node, "probe.seen")) == \
                sorted(WORDS.split())
            fresh = query(node, "probe.totals", "--fresh")
            assert sorted(row["partition"] for row in fresh) == list(range(16)), fresh
            node.s4("query", "probe/counters", "--key", "nobody").expect(5)
            node.s4("query", "probe.totals", "--key", "nobody").expect(5)
            node.s4("query", "probe.nothing").expect(5)
            node.s4("query", "nothing.totals").expect(5)
            node.s4("query", "probe/counters", "--count", "--stale").expect(2)


@test
def a_bundle_runs_on_all_nodes_or_on_none():
    with Cluster("a", "b") as cluster:
        a, b = cluster.nodes.values()
        a.s4("deploy", BUNDLE).expect(0)
        for node in (a, b):
            assert "probe" in node.s4("deploy", BUNDLE).expect(1).err
            assert query(node, "probe.totals") == []
        assert b.s4("undeploy", "probe").expect(0).out.startswith("gone")
        b.s4("undeploy", "probe").expect(5)
        b.s4("query", "probe.totals").expect(5)
        until("it is gone everywhere", lambda: a.s4("query", "probe.totals").code == 5)
        b.s4("deploy", BUNDLE).expect(0)
        assert query(a, "probe.totals") == []


@test
def who_refuses_a_bundle_is_named():
    with Cluster() as cluster:
        a = cluster.start("a")
        cluster.start("b", env={"PROBE_REFUSED": "1"})
        cluster.settled("a", "b")
        done = a.s4("deploy", PICKY).expect(6)
        assert "node b" in done.err or "b:" in done.err, done
        a.s4("query", "probe.totals").expect(5)
        counters = a.counters()
        assert counters["bundle/probe.phase"] == "refused" and "b" in counters["bundle/probe.why"]
        a.s4("deploy", BUNDLE).expect(0)
        assert a.counters()["bundle/probe.phase"] == "running"


@test
def a_node_that_cannot_load_gets_no_slots():
    with Cluster("a") as cluster:
        cluster.nodes["a"].s4("deploy", PICKY).expect(0)
        cluster.start("b", env={"PROBE_REFUSED": "1"})
        until("it is known", lambda: cluster.any().counters().get("node/b.state") == "cannot load")
        counters = cluster.nodes["b"].counters()
        assert counters["node/b.slots_owned"] == "0" and "probe" in counters["node/b.why"], counters
        table = cluster.nodes["a"].s4("status").expect(0).out
        assert "cannot load" in table and "not on b" in table, table


@test
def a_node_is_drained_by_its_name():
    with Cluster("a", "b") as cluster:
        a, b = cluster.nodes.values()
        fill(a)
        before = query(a, "probe.totals")
        done = a.s4("drain", "--node", "b").expect(0)
        assert done.out == "drained; the node b has no slots any more\n", done
        assert cluster.slots() == {"a": 16, "b": 0}
        for node in (a, b):
            assert query(node, "probe.totals") == before
        assert a.s4("drain", "--node", "b", "--json").expect(0).json() == [{"node": "b", "slots": 0}]
        assert "start one first" in b.s4("drain", "--node", "a").expect(1).err
        a.s4("drain", "--node", "c").expect(5)
        s4("drain", "--node", "b", "--at", a.dir).expect(0)
        s4("drain", "--wait-only", "--at", a.dir).expect(0)
        s4("drain", "--wait-only", "--node", a.dir).expect(0)
        for wrong in (("probe", "--node", "b"), ("--wait-only", "--node", "b"),
                      ("--node", "./b", "--at", "./a")):
            a.s4("drain", *wrong).expect(2)
        with Node() as alone:
            assert "belongs to no cluster" in alone.s4("drain", "--node", "b").expect(1).err


@test
def a_node_that_stops_hands_its_slots_over():
    with Cluster("a", "b", "c") as cluster:
        a, b, c = cluster.nodes.values()
        fill(a)
        before = query(a, "probe.totals")
        b.s4("stop").expect(0)
        assert b.end() == 0, b.errors()
        assert query(a, "probe.totals") == before
        c.process.send_signal(signal.SIGTERM)
        assert c.end() == 0, c.errors()
        assert query(a, "probe.totals") == before
        until("they are gone", lambda: set(cluster.slots()) == {"a"})
        a.s4("stop").expect(0)
        assert a.end() == 0, a.errors()


@test
def a_node_that_is_stopped_now_takes_its_slots_along():
    with Cluster("a", "b") as cluster:
        a, b = cluster.nodes.values()
        fill(a)
        b.s4("stop", "--now").expect(0)
        assert b.end() == 0, b.errors()
        until("they begin empty", lambda: cluster.slots() == {"a": 16})
        assert len(query(a, "probe.totals")) < 300


def inject(node, *lines):
    node.s4("inject", "probe.lines", "-", given="".join(f"{line}\n" for line in lines)).expect(0)


def texts(reader):
    return sorted(row["text"] for row in reader.lines())


@test
def a_tail_follows_all_nodes():
    with Cluster("a", "b") as cluster:
        a, b = cluster.nodes.values()
        fill(a)
        with Reader(b, "probe.totals", "--snapshot", "--json", "--limit", 1300) as table, \
                Reader(a, "probe.seen", "--from", "start", "--json") as log, \
                Reader(b, "probe.totals", "--snapshot", "--json", "--key", "w17") as one:
            until("the rows that are there", lambda: len(table.lines()) == 300 and
                  len(log.lines()) == 1000 and one.lines())
            assert sorted(row["key"] for row in table.lines()) == sorted(set(WORDS.split()))
            b.s4("inject", "probe.lines", "-", given=WORDS).expect(0)
            assert table.end() == 0, table.errors()
            until("the log", lambda: len(log.lines()) >= 2000)
            assert texts(log) == sorted(2 * WORDS.split())
            last = {}
            for row in table.lines():
                assert row["n"] == last.get(row["key"], row["n"] - 1) + 1, row
                last[row["key"]] = row["n"]
            assert sum(last.values()) == 2000, last
            until("its rows", lambda: [row["n"] for row in one.lines()] == list(range(4, 9))
                  or len(one.lines()) > 5)
            assert {row["key"] for row in one.lines()} == {"w17"}, one.lines()
            a.s4("undeploy", "probe").expect(0)
            assert log.end() == 1 and "undeployed" in log.errors(), log.errors()
            assert one.end() == 1 and "undeployed" in one.errors(), one.errors()
        b.s4("tail", "probe.totals").expect(5)


@test
def a_tail_follows_slots_where_they_go():
    with Cluster("a", "b") as cluster:
        a, b = cluster.nodes.values()
        a.s4("deploy", BUNDLE).expect(0)
        inject(a, "first")
        with Reader(a, "probe.totals", "--snapshot", "--json") as table, \
                Reader(b, "probe.totals", "--snapshot", "--json") as other:
            until("the first row", lambda: table.lines() and other.lines())
            sent = ["first"]

            def send(round_):
                lines = [f"k{i % 50}-{round_ % 2}" for i in range(400)]
                inject(a if round_ % 2 else b, *lines)
                sent.extend(lines)

            send(0)
            c = cluster.start("c")
            for round_ in range(1, 6):
                send(round_)
            cluster.settled("a", "b", "c")
            send(6)
            a.s4("drain", "--node", "b").expect(0)
            send(7)
            c.s4("stop").expect(0)
            assert c.end() == 0, c.errors()
            send(8)
            a.s4("drain", "--wait-only").expect(0)
            for reader in (table, other):
                until("all rows", lambda: len(reader.lines()) >= len(sent))
                rows = reader.lines()
                assert "@missed" not in reader.text() and len(rows) == len(sent), len(rows)
                seen = sorted((row["key"], row["n"]) for row in rows)
                wanted = sorted((key, n + 1) for key in set(sent) for n in range(sent.count(key)))
                assert seen == wanted, [row for row in seen if row not in wanted]


@test
def a_stopped_reader_of_a_cluster_is_told_what_it_missed():
    with Cluster("a", "b") as cluster:
        a, b = cluster.nodes.values()
        fill(a)
        with Reader(b, "probe.seen", "--from", "start", "--json") as reader:
            until("what is there", lambda: len(reader.lines()) == 1000)
            reader.process.send_signal(signal.SIGSTOP)
            for batch in range(10):
                inject(a if batch % 2 else b, *(f"{batch} {i} {'x' * 1000}" for i in range(2500)))
            reader.process.send_signal(signal.SIGCONT)

            def count():
                rows = reader.lines()
                return sum(row.get("@missed", 1) for row in rows)

            until("all rows, or how many were missed", lambda: count() == 26000)
            assert "missed, of partition" in reader.errors(), "the test is too small"


@test
def a_tail_goes_on_without_a_node_that_dies():
    with Cluster("a") as cluster:
        a = cluster.nodes["a"]
        b = cluster.start("b", "--session", "1s")
        cluster.settled("a", "b")
        a.s4("deploy", BUNDLE).expect(0)
        inject(a, "x")
        with Reader(a, "probe.seen", "--from", "start", "--json") as reader:
            until("a row", reader.lines)
            b.kill()
            until("its slots are taken", lambda: cluster.slots() == {"a": 16})
            inject(a, *(f"after {i}" for i in range(100)))
            until("all rows", lambda: len(reader.lines()) == 101)


main()
