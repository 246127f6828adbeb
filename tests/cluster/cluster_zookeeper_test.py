#!/usr/bin/env python3
"""Three nodes that agree through ZooKeeper: one server, and three of which the leader dies.

    cluster_zookeeper_test.py S4 BUNDLE [--all]
"""
import os
import subprocess
import sys
import tempfile
import time

from cluster import NODES, PLACE, main, test, until
from nodes import EVERYTHING, SESSION_S, Cluster, say

EVENTS = 10_000_000 if EVERYTHING else 200_000
RATE = 0 if EVERYTHING else 30_000
PROGRAM = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../scripts/lib/zookeeper")
NO_ZOOKEEPER = 3  # its exit code


class ZooKeeper:
    """Servers of our own; each command is answered by the time that it returns."""

    def __init__(self, servers):
        place = tempfile.mktemp(prefix="zookeeper-", dir=PLACE)
        self.process = subprocess.Popen([PROGRAM, place, "--servers", str(servers), "--tick", "200"],
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        NODES.append(self)
        self.ports = []
        while (line := self.process.stdout.readline().split()) != ["ready"]:
            if not line and self.process.wait() == NO_ZOOKEEPER:
                self.ports = None
                return
            assert line and line[0] == "server", f"ZooKeeper says {line}"
            self.ports.append(line[2])

    def service(self):
        return "--zk", ",".join(f"127.0.0.1:{port}" for port in self.ports)

    def tell(self, *words):
        print(*words, file=self.process.stdin, flush=True)
        said = []
        while (line := self.process.stdout.readline()) != "ok\n":
            assert line and not line.startswith("error"), f"{words}: {line}"
            said.append(line.split())
        return said

    def leader(self):
        for number in range(len(self.ports)):
            if self.tell("mode", number)[0][2] == "leader":
                return number
        raise AssertionError("no server leads")

    def kill(self):
        """Its input ends, and it cleans up."""
        self.process.stdin.close()
        self.process.wait()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        NODES.remove(self)
        self.kill()


def senders(cluster, **how):
    names = list(cluster.nodes)
    return [cluster.load(sender, EVENTS // 2, names[sender - 1], rate=RATE, **how)
            for sender in (1, 2)]


@test
def three_nodes_and_exact_tables():
    with ZooKeeper(1) as servers, Cluster(*servers.service()) as cluster:
        cluster.start_all("n1", "n2")
        cluster.deploy()
        programs = senders(cluster)
        cluster.start("n3")
        cluster.leave("n3")
        for program in programs:
            program.end(600)
        assert cluster.judge().acknowledged == EVENTS


@test
def a_node_is_killed_under_load():
    with ZooKeeper(1) as servers, Cluster(*servers.service()) as cluster:
        cluster.start_all("n1", "n2", "n3")
        cluster.deploy()
        programs = senders(cluster, repeat=False)
        cluster.await_counted(EVENTS // 10)
        since = time.monotonic()
        cluster.crash("n3")
        until("all slots serve", lambda: cluster.any().s4(
            "query", "ledger.accounts", "--top", 1, "--by", "n", "--timeout", "60s").code == 0)
        took = time.monotonic() - since
        say(f"after kill -9 all slots answered again within {took:.2f} s (session {SESSION_S} s)")
        assert took <= SESSION_S + 3
        for program in programs:
            program.end(600)
        cluster.judge(lost_max=EVENTS, seconds_lost_max=EVENTS)


@test
def the_leader_of_three_servers_is_killed():
    with ZooKeeper(3) as servers, Cluster(*servers.service()) as cluster:
        cluster.start_all("n1", "n2")
        cluster.deploy()
        programs = senders(cluster)
        cluster.await_counted(EVENTS // 10)
        servers.tell("kill", servers.leader())
        cluster.start("n3")
        for program in programs:
            program.end(600)
        assert cluster.judge().acknowledged == EVENTS


@test
def the_only_server_is_away_and_comes_back():
    with ZooKeeper(1) as servers, Cluster(*servers.service()) as cluster:
        cluster.start_all("n1", "n2")
        cluster.deploy()
        programs = senders(cluster)
        cluster.await_counted(EVENTS // 10)
        servers.tell("kill", 0)
        for program in programs:
            program.end(600)  # under the map that there is
        servers.tell("start", 0)
        cluster.start("n3")
        assert cluster.judge().acknowledged == EVENTS


if __name__ == "__main__":
    with ZooKeeper(1) as found:
        there = found.ports is not None
    if not there:
        print("1..0 # SKIP there is no ZooKeeper here")
        sys.exit(0)
    main()
