#!/usr/bin/env python3
"""Three nodes whose network fails between them, or which stop for a while, but not so long that
their sessions end: the tables are exact.

    cluster_faults_test.py S4 BUNDLE [--all]
"""
import random
import time

from cluster import main, test
from nodes import EVERYTHING, SESSION_S, Cluster, say

EVENTS = 10_000_000 if EVERYTHING else 300_000
RATE = 0 if EVERYTHING else 40_000  # of each sender; so that there is time for faults
ROUNDS_MORE = 5 if EVERYTHING else 1
SENDERS = (1, 2)
NAMES = ("n1", "n2", "n3")
SEED = random.randrange(1 << 32)


def running(programs):
    return any(program.process.poll() is None for program in programs)


def under(fault, rounds=6):
    """Events flow, `fault(cluster, random numbers, round)` happens, and in the end all is right."""
    rng = random.Random(SEED)
    say(f"seed {SEED}")
    with Cluster() as cluster:
        cluster.start_all(*NAMES, proxied=True)
        cluster.deploy()
        programs = [cluster.load(sender, EVENTS // len(SENDERS), NAMES[sender], rate=RATE)
                    for sender in SENDERS]
        reader = cluster.reader("r1", "n1")
        happened = 0
        while running(programs) and happened < rounds * ROUNDS_MORE:
            fault(cluster, rng, happened)
            happened += 1
        for program in programs:
            program.end(600)
        reader.stop()
        result = cluster.judge()
        say(f"{happened} faults")
        assert happened and result.acknowledged == EVENTS and result.doubted == 0


def proxy_of(cluster, rng):
    return cluster.proxies[rng.choice(NAMES)]


@test
def connections_are_reset():
    def fault(cluster, rng, _):
        proxy_of(cluster, rng).reset()
        time.sleep(rng.uniform(0.1, 0.6))
    under(fault)


@test
def connections_are_cut_for_a_while():
    def fault(cluster, rng, _):
        proxy = proxy_of(cluster, rng)
        proxy.cut()
        time.sleep(rng.uniform(0.1, SESSION_S))
        if rng.random() < 0.5:
            proxy.reset()
        proxy.heal()
        time.sleep(rng.uniform(0.1, 0.4))
    under(fault, rounds=4)


@test
def connections_pass_one_way_only():
    def fault(cluster, rng, _):
        proxy = proxy_of(cluster, rng)
        proxy.oneway(rng.choice("ab"))
        time.sleep(rng.uniform(0.1, SESSION_S))
        proxy.heal()
        time.sleep(rng.uniform(0.1, 0.4))
    under(fault, rounds=4)


@test
def a_connection_is_half_open_until_somebody_notices():
    """Nothing passes and nothing closes, for longer than a node may be silent (5 s)."""
    def fault(cluster, rng, happened):
        if happened:
            time.sleep(0.2)
            return
        proxy = proxy_of(cluster, rng)
        proxy.cut()
        time.sleep(7)
        proxy.heal()
    under(fault, rounds=2)


@test
def connections_end_in_the_middle_of_a_message():
    def fault(cluster, rng, _):
        proxy_of(cluster, rng).close_after(rng.randrange(1, 200_000))
        time.sleep(rng.uniform(0.1, 0.6))
    under(fault)


@test
def everything_is_late_and_slow():
    def fault(cluster, rng, _):
        proxy = proxy_of(cluster, rng)
        proxy.delay(rng.choice((1, 20, 200)))
        if rng.random() < 0.3:
            proxy.slow(300_000)
        time.sleep(rng.uniform(0.2, 1))
        proxy.heal()
    under(fault, rounds=5)


@test
def a_node_stops_for_a_while():
    def fault(cluster, rng, _):
        cluster.pause(rng.choice(NAMES), rng.uniform(0.05, SESSION_S / 2))
        time.sleep(rng.uniform(0.1, 0.4))
    under(fault, rounds=5)


@test
def slots_move_while_connections_fail():
    """A node joins and leaves again and again; nobody is to notice."""
    def fault(cluster, rng, happened):
        name = f"x{happened}"
        cluster.start(name, proxied=True)
        for _ in range(3):
            rng.choice(list(cluster.proxies.values())).reset()
            time.sleep(rng.uniform(0.05, 0.3))
        cluster.leave(name)
    under(fault, rounds=2)


if __name__ == "__main__":
    main()
