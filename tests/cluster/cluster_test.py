#!/usr/bin/env python3
"""Three nodes and what is normal: events flow, nodes come and go, and the tables are exact.

    cluster_test.py S4 BUNDLE [--all]
"""
from cluster import main, test
from nodes import EVERYTHING, Cluster, say

EVENTS = 10_000_000 if EVERYTHING else 300_000
SENDERS = (1, 2)


def send(cluster, events=EVENTS, **how):
    """All senders, each at all nodes but beginning with another one."""
    names = list(cluster.nodes)
    return [cluster.load(sender, events // len(SENDERS), *names[i:], *names[:i], **how)
            for i, sender in enumerate(SENDERS)]


def end_all(programs):
    for program in programs:
        program.end(600)


@test
def three_nodes_and_exact_tables():
    with Cluster() as cluster:
        cluster.start_all("n1", "n2", "n3")
        cluster.deploy()
        readers = [cluster.reader("r1", "n2"), cluster.reader("r2", "n3", table="seconds")]
        end_all(send(cluster))
        for reader in readers:
            reader.stop()
        result = cluster.judge()
        assert result.acknowledged == EVENTS and result.doubted == 0
        applied = [cluster.applied_at(name) for name in cluster.nodes]
        say(f"applied by each: {applied}")
        assert min(applied) > EVENTS // 10, "a node has next to nothing to do"


@test
def nodes_join_while_events_flow():
    with Cluster() as cluster:
        cluster.start("n1")
        cluster.deploy()
        programs = send(cluster, rate=30_000)
        reader = cluster.reader("r1", "n1")
        cluster.start_all("n2", "n3")
        end_all(programs)
        reader.stop()
        cluster.judge()


@test
def nodes_leave_while_events_flow():
    with Cluster() as cluster:
        cluster.start_all("n1", "n2", "n3")
        cluster.deploy()
        programs = send(cluster, rate=30_000)
        cluster.await_counted(EVENTS // 20)
        cluster.leave("n2")
        cluster.leave("n1")
        end_all(programs)
        cluster.judge()


if __name__ == "__main__":
    main()
