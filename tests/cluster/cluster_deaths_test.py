#!/usr/bin/env python3
"""Nodes die, or are silent for so long that the others must take them for dead: they serve again
within the session's life and three seconds; what is missing is within the bound; nothing is there
twice.

    cluster_deaths_test.py S4 BUNDLE [--all]
"""
import signal
import time

from cluster import main, test, until
from nodes import EVERYTHING, SESSION_S, SLOTS, Cluster, say

EVENTS = 10_000_000 if EVERYTHING else 300_000
RATE = 0 if EVERYTHING else 30_000
SERVES_S = SESSION_S + 3
SENDERS = (1, 2)


def serves(node):
    """Every slot answers: a query of a whole table, and a batch into each."""
    given = "".join(f'{{"sender":999,"key":{key},"number":1,"value":0}}\n' for key in range(SLOTS * 8))
    asked = node.s4("query", "ledger.accounts", "--top", 1, "--by", "n", "--timeout", "60s")
    if asked.code != 0:
        return False
    return node.s4("inject", "ledger.entries", "--format", "json", given=given).code == 0


def probe(events_before):
    """The probes' own entries are not in the history."""
    return [row for row in events_before if int(row["sender"]) != 999]


def await_service(node, since, what):
    """Measures from the moment of death."""
    until(f"all slots serve after {what}", lambda: serves(node))
    took = time.monotonic() - since
    say(f"after {what} all slots served again within {took:.2f} s (session {SESSION_S} s)")
    return took


class Mourning(Cluster):
    """A cluster in which probes are told apart from what senders sent."""

    def rows(self, table):
        return probe(super().rows(table))


def by_key(rows):
    return {(int(row["sender"]), int(row["key"])): row for row in rows}


def begin(cluster, nodes, *more_of_first):
    cluster.start(nodes[0], *more_of_first)
    cluster.start_all(*nodes[1:])
    cluster.deploy()
    return [cluster.load(sender, EVENTS // len(SENDERS), nodes[0], rate=RATE, repeat=False)
            for sender in SENDERS]


def end(cluster, programs, lost_max):
    for program in programs:
        program.end(600)
    result = cluster.judge(lost_max=lost_max, seconds_lost_max=lost_max)
    say(f"truth - result: {result.lost}, and {result.lost_seconds} of the second stage")
    return result


@test
def a_node_is_killed_under_load():
    with Mourning() as cluster:
        programs = begin(cluster, ("n1", "n2", "n3"))
        cluster.await_counted(EVENTS // 10)
        since = time.monotonic()
        cluster.crash("n3")
        took = await_service(cluster.nodes["n1"], since, "kill -9")
        assert took <= SERVES_S, f"{took:.2f} s"
        # what was acknowledged until now is all that can be lost
        end(cluster, programs, lost_max=EVENTS)


@test
def nothing_is_lost_but_what_the_dead_node_had():
    """All is quiet when it dies: then an account is whole or gone, and the loss is exactly what is
    gone."""
    with Mourning() as cluster:
        programs = begin(cluster, ("n1", "n2", "n3"))
        for program in programs:
            program.end(600)
        cluster.any().s4("drain", "ledger").expect(0)
        before = {table: by_key(cluster.rows(table)) for table in ("accounts", "seconds")}
        cluster.crash("n3")
        await_service(cluster.nodes["n1"], time.monotonic(), "kill -9")
        result = end(cluster, programs, lost_max=EVENTS)
        for table, lost in (("accounts", result.lost), ("seconds", result.lost_seconds)):
            after = by_key(cluster.rows(table))
            gone = sum(int(row["n"]) for which, row in before[table].items() if which not in after)
            assert all(before[table][which] == row for which, row in after.items()), table
            assert lost == gone > 0, f"{table}: {lost} lost, {gone} gone with the node"


@test
def a_standby_takes_the_slots():
    with Mourning() as cluster:
        programs = begin(cluster, ("n1", "n2"))
        cluster.start("idle", "--standby")
        assert cluster.applied_at("idle") == 0
        cluster.await_counted(EVENTS // 10)
        since = time.monotonic()
        cluster.crash("n2")
        took = await_service(cluster.nodes["n1"], since, "kill -9")
        assert took <= SERVES_S, f"{took:.2f} s"
        until("the standby works", lambda: cluster.applied_at("idle") > 0)
        end(cluster, programs, lost_max=EVENTS)


@test
def a_node_stops_for_longer_than_its_session():
    """It comes back as another: what it had is lost as if it had died, and it takes part again."""
    with Mourning() as cluster:
        programs = begin(cluster, ("n1", "n2", "n3"))
        cluster.await_counted(EVENTS // 10)
        stopped = cluster.nodes["n3"]
        since = time.monotonic()
        cluster.stop("n3")
        try:
            took = await_service(cluster.nodes["n1"], since, "SIGSTOP")
        finally:
            stopped.process.send_signal(signal.SIGCONT)
        assert took <= SERVES_S, f"{took:.2f} s"
        until("it is back", lambda: stopped.s4("query", "ledger.accounts", "--top", 1, "--by",
                                               "n").code == 0)
        end(cluster, programs, lost_max=EVENTS)


@test
def the_node_that_clients_talk_to_is_killed():
    """Nobody knows of what was under way; the rest goes to another node."""
    with Mourning() as cluster:
        cluster.start_all("n1", "n2", "n3")
        cluster.deploy()
        programs = [cluster.load(sender, EVENTS // len(SENDERS), "n3", "n1", rate=RATE, repeat=False)
                    for sender in SENDERS]
        cluster.await_counted(EVENTS // 10)
        cluster.crash("n3")
        end(cluster, programs, lost_max=EVENTS)


@test
def two_nodes_die_one_after_the_other():
    with Mourning() as cluster:
        programs = begin(cluster, ("n1", "n2", "n3"))
        cluster.await_counted(EVENTS // 20)
        cluster.crash("n2")
        time.sleep(SESSION_S)
        cluster.crash("n3")
        await_service(cluster.nodes["n1"], time.monotonic(), "two kills")
        end(cluster, programs, lost_max=EVENTS)


if __name__ == "__main__":
    main()
