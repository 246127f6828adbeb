#!/usr/bin/env python3
"""Who may be a node of a cluster and who not; what a node makes of garbage among the cluster's
entries, and of a service that is away.

    cluster_members_test.py S4 BUNDLE
"""
import os
import shutil
import subprocess
import tempfile
import time

from cluster import LIMIT, PLACE, S4, environment, main, s4, test, until
from nodes import SESSION_S, Cluster, free_port


def try_node(cluster, *more, service=None, name="test"):
    """A node that is not to become a member: how it ends and what it says."""
    directory = tempfile.mkdtemp(prefix="node-", dir=PLACE)
    done = subprocess.run(
        [S4, "node", "--dir", directory, "--cluster", name, *(service or cluster.service),
         "--session", f"{SESSION_S}s", *map(str, more)],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=LIMIT, check=False,
        env=environment(), cwd=PLACE)
    return done.returncode, done.stderr


def send(node, n=100, sender=7):
    lines = "".join(f'{{"sender":{sender},"key":{i},"number":1,"value":1}}\n' for i in range(n))
    return node.s4("inject", "ledger.entries", "--format", "json", given=lines)


def replace(place, content):
    """As the service itself writes: a reader sees the old or the new."""
    with open(place + ".new", "wb") as file:
        file.write(content)
    os.rename(place + ".new", place)


def await_calm(cluster):
    """Until the leader has nothing to do: no slot is on its way."""
    before = [None, time.monotonic()]

    def is_calm():
        with open(os.path.join(cluster.shared, "entries"), "rb") as file:
            now = file.read()
        if now != before[0]:
            before[:] = [now, time.monotonic()]
        return time.monotonic() - before[1] > SESSION_S / 2
    until("the cluster is calm", is_calm)


@test
def two_nodes_of_one_name():
    with Cluster() as cluster:
        first = cluster.start("n1")
        code, err = try_node(cluster, "--name", "n1")
        assert code != 0 and "n1" in err, f"{code}: {err}"
        first.s4("status").expect(0)


@test
def two_nodes_of_one_port():
    with Cluster() as cluster:
        port = f"tcp://127.0.0.1:{free_port()}"
        cluster.start("n1", "--address", port)
        code, err = try_node(cluster, "--name", "n2", "--address", port)
        assert code != 0 and port in err, f"{code}: {err}"


@test
def a_cluster_that_is_not_there():
    with Cluster() as cluster:
        code, err = try_node(cluster, "--name", "n1", name="nowhere")
        assert code != 0 and "nowhere" in err, f"{code}: {err}"


@test
def a_cluster_is_created_once():
    with Cluster() as cluster:
        done = s4("cluster", "create", "test", *cluster.service)
        assert done.code != 0 and "test" in done.err, done


@test
def nodes_of_two_clusters_keep_apart():
    """Each has its own bundle of the same name, and its own rows."""
    with Cluster() as one, Cluster() as other:
        one.start("n1")
        other.start("n1")
        one.deploy()
        other.deploy()
        send(one.any(), 10).expect(0)
        send(other.any(), 20).expect(0)
        assert len(one.rows("accounts")) == 10 and len(other.rows("accounts")) == 20


@test
def garbage_in_the_services_entries():
    """It is said, and not written over."""
    with Cluster() as cluster:
        place = os.path.join(cluster.shared, "entries")
        with open(place, "rb") as file:
            good = file.read()
        garbage = bytes(range(256)) * 4
        replace(place, garbage)
        code, err = try_node(cluster, "--name", "n1")
        assert code != 0 and f"{place}: it is no file of entries" in err, f"{code}: {err}"
        with open(place, "rb") as file:
            assert file.read() == garbage, "it was written over"
        replace(place, good)
        cluster.start("n1")


@test
def garbage_while_nodes_live():
    """It is as if the service were away: events go on, and all is well when it can be read again."""
    with Cluster() as cluster:
        cluster.start_all("n1", "n2")
        cluster.deploy()
        await_calm(cluster)
        place = os.path.join(cluster.shared, "entries")
        with open(place, "rb") as file:
            good = file.read()
        replace(place, b"garbage")
        send(cluster.nodes["n1"], 50).expect(0)
        replace(place, good)
        send(cluster.nodes["n2"], 50, sender=8).expect(0)
        until("all entries", lambda: cluster.counted() == 100)


@test
def the_service_is_away_and_comes_back():
    """Events go on under the map that there is; nobody joins until it is back."""
    with Cluster() as cluster:
        cluster.start_all("n1", "n2")
        cluster.deploy()
        await_calm(cluster)  # a slot on its way would stand still while nobody can decide
        away = cluster.shared + ".away"
        os.rename(cluster.shared, away)
        try:
            send(cluster.nodes["n1"], 50).expect(0)
            code, _ = try_node(cluster, "--name", "n3")
            assert code != 0
            send(cluster.nodes["n2"], 50, sender=8).expect(0)
        finally:
            shutil.rmtree(cluster.shared, ignore_errors=True)  # what somebody made in its place
            os.rename(away, cluster.shared)
        until("all entries", lambda: cluster.counted() == 100)
        cluster.start("n3")


if __name__ == "__main__":
    main()
