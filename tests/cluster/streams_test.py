#!/usr/bin/env python3
"""One app hears another one's stream, on a node.

    streams_test.py S4 BUNDLE
"""
import os

from cluster import BUNDLE, Node, main, path, s4, test, write

FOLDER = os.path.dirname(BUNDLE)
LENGTHS = os.path.join(FOLDER, "lengths.s4r")
LIBRARY = os.path.join(FOLDER, "lengths.so")

MANIFEST = "app: lengths\nversion: 1.0.0\nstreams:\n  words: {%s}\n"


def packed(name, stream):
    manifest = write(name + ".yaml", MANIFEST % stream)
    made = path(name + ".s4r")
    return made, s4("pack", manifest, LIBRARY, "--output", made)


def lengths_of(node):
    node.s4("drain", "--wait-only").expect(0)
    rows = node.s4("query", "lengths.totals", "--json").expect(0).json()
    return {int(row["key"]): row["n"] for row in rows}


@test
def one_app_hears_another():
    with Node("--workers", "2") as node:
        node.s4("deploy", LENGTHS).expect(0)  # while there is nobody to hear
        assert lengths_of(node) == {}
        node.s4("deploy", BUNDLE).expect(0)
        words = ["be", "to", "not", "seven", "or"] * 2000
        node.s4("inject", "probe.lines", "-", given="\n".join(words) + "\n").expect(0)
        assert lengths_of(node) == {2: 6000, 3: 2000, 5: 2000}
        counters = node.counters()
        assert counters["probe.exported"] == counters["lengths.imported"] == "10000", counters
        assert counters["lengths.imports_lost"] == counters["lengths.injected"] == "0", counters
        node.s4("stop").expect(0)
        assert node.end() == 0, node.errors()


@test
def who_is_heard_goes_by_force_only():
    with Node() as node:
        node.s4("deploy", BUNDLE).expect(0)
        node.s4("deploy", LENGTHS).expect(0)
        done = node.s4("undeploy", "probe").expect(1)
        assert 'app "probe" is heard by "lengths"' in done.err, done
        node.s4("inject", "probe.lines", "-", given="still\nhere\n").expect(0)  # as if not asked
        assert lengths_of(node) == {4: 1, 5: 1}
        gone = node.s4("undeploy", "probe", "--force", "--json").expect(0).json()
        assert gone == [{"dropped": 0, "detached": 1}], gone
        assert lengths_of(node) == {4: 1, 5: 1}
        node.s4("deploy", BUNDLE).expect(0)
        node.s4("inject", "probe.lines", "-", given="again\n").expect(0)
        assert lengths_of(node) == {4: 1, 5: 2}
        gone = node.s4("undeploy", "lengths").expect(0)
        assert "other apps" not in gone.out, gone
        node.s4("undeploy", "probe").expect(0)


@test
def bundles_say_what_they_hear():
    shown = s4("inspect", LENGTHS).expect(0).out
    assert "words: probe.Item, may be injected, hears probe.inner\n" in shown, shown
    graph = s4("inspect", LENGTHS, "--json").expect(0).json()[0]["graph"]
    assert graph["streams"][0]["from_app"] == "probe", graph["streams"]
    assert graph["streams"][0]["from_stream"] == "inner", graph["streams"]
    _, done = packed("bad", "from: probe")
    assert "4:17: from of stream \"words\": found \"probe\"" in done.expect(6).err, done
    _, done = packed("own", "from: lengths.words")
    assert 'from "lengths.words", of the app itself' in done.expect(6).err, done
    _, done = packed("internal", "from: probe.inner, internal: true")
    assert 'stream "words" is internal, and from "probe.inner"' in done.expect(6).err, done


@test
def what_does_not_fit_is_refused():
    other, done = packed("other", "from: probe.lines")
    done.expect(0)
    absent, done = packed("absent", "from: probe.iner")
    done.expect(0)
    with Node() as node:
        node.s4("deploy", BUNDLE).expect(0)
        done = node.s4("deploy", other).expect(6)
        assert "is of type probe.Item" in done.err and "of probe.Line" in done.err, done
        done = node.s4("deploy", absent).expect(6)
        assert 'has no stream "iner"; did you mean "inner"?' in done.err, done
        node.s4("undeploy", "probe").expect(0)
        node.s4("deploy", other).expect(0)
        done = node.s4("deploy", BUNDLE).expect(6)
        assert "is of type probe.Item" in done.err and "of probe.Line" in done.err, done


main()
