"""Clusters of real processes for tests: nodes behind proxies, clients that write a history, and
the verdict over it."""
import fcntl
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

from cluster import BUNDLE, LIMIT, NODES, PLACE, Node, Proxy, s4, until
from history import check, lines_of

EVERYTHING = "--all" in sys.argv  # the sizes that the issue of the day wants; else what takes a minute
SESSION_S = 2
SLOTS = 32
LEDGER = os.path.join(os.path.dirname(BUNDLE), "ledger.s4r")


def say(text):
    print(f"# {text}", flush=True)


def free_port():
    """One of the kernel's, for a process that is started at once."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


class Program:
    """A program of these tests that writes lines until it is told to stop."""

    def __init__(self, name, *args):
        self.place = tempfile.mktemp(prefix=f"{name}-", suffix=".jsonl", dir=PLACE)
        self.err = tempfile.TemporaryFile()
        with open(self.place, "w", encoding="utf-8") as out:
            self.process = subprocess.Popen(
                [os.path.join(os.path.dirname(BUNDLE), name), *map(str, args)],
                stdin=subprocess.DEVNULL, stdout=out, stderr=self.err)
        NODES.append(self)

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        self.end()

    def end(self, limit=LIMIT):
        code = self.process.wait(limit)
        self.err.seek(0)
        assert code == 0, f"{self.process.args}: {code}, {self.err.read().decode()}"

    def lines(self):
        return lines_of(self.place)

    def kill(self):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()


class Cluster:
    """A cluster in a directory of its own. As a context, it leaves nothing behind."""

    def __init__(self, *service, slots=SLOTS, session_s=SESSION_S):
        self.dir = tempfile.mkdtemp(prefix="cluster-", dir=PLACE)
        self.shared = os.path.join(self.dir, "shared")
        self.service = service or ("--shared", self.shared)
        self.session_s = session_s
        self.nodes = {}
        self.proxies = {}
        self.programs = []
        s4("cluster", "create", "test", *self.service, "--slots", slots).expect(0)

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        if kind:
            self.tell_all()
        for program in (*self.programs, *self.nodes.values(), *self.proxies.values()):
            program.kill()
        shutil.rmtree(self.dir, ignore_errors=True)

    def tell_all(self):
        """What the nodes said, for whoever reads the failure."""
        for name, node in self.nodes.items():
            state = node.process.poll()
            say(f"{name}: {'runs' if state is None else f'ended with {state}'}")
            for line in node.errors().splitlines()[-20:]:
                say(f"{name}: {line}")

    # ---- nodes ---------------------------------------------------------------------------------

    def start(self, name, *more, proxied=False):
        """Starts a node and waits until it is a member."""
        where = []
        if proxied:
            port = free_port()
            self.proxies[name] = proxy = Proxy(port)
            where = ["--address", f"tcp://127.0.0.1:{port}",
                     "--announce", f"tcp://127.0.0.1:{proxy.ports[0]}"]
        directory = os.path.join(self.dir, f"{name}-{len(self.nodes)}")
        self.nodes[name] = node = Node("--cluster", "test", *self.service, "--name", name,
                                       "--session", f"{self.session_s}s", *where, *more,
                                       directory=directory)
        return node

    def start_all(self, *names, **how):
        for name in names:
            self.start(name, **how)

    def forget(self, name):
        """It has ended, as it should."""
        self.nodes.pop(name).kill()
        if name in self.proxies:
            self.proxies.pop(name).kill()

    def living(self):
        return [node for node in self.nodes.values() if node.process.poll() is None]

    def any(self):
        return self.living()[0]

    def deploy(self, bundle=LEDGER):
        self.any().s4("deploy", bundle).expect(0)

    def leave(self, name):
        """A node is asked to end, hands its slots over, and ends."""
        node = self.nodes[name]
        node.process.send_signal(signal.SIGTERM)
        code = node.end()
        assert code == 0, f"{name} ended with {code}: {node.errors()}"
        self.forget(name)

    def crash(self, name):
        node = self.nodes[name]
        node.process.send_signal(signal.SIGKILL)
        node.process.wait()
        self.forget(name)

    def stop(self, name):
        """As if its machine stood still. Whoever has the shared directory's lock just then would
        stop the others, too: then a little later."""
        process = self.nodes[name].process
        for _ in range(100):
            process.send_signal(signal.SIGSTOP)
            if self.is_lock_free():
                return
            process.send_signal(signal.SIGCONT)
            time.sleep(0.01)
        raise AssertionError(f"{name} always has the lock")

    def is_lock_free(self):
        if "--shared" not in self.service:
            return True
        with open(os.path.join(self.shared, "lock"), "rb") as lock:
            end = time.monotonic() + 0.2
            while time.monotonic() < end:
                try:
                    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    return True
                except BlockingIOError:
                    time.sleep(0.001)
        return False

    def pause(self, name, seconds):
        node = self.nodes[name]
        node.process.send_signal(signal.SIGSTOP)
        time.sleep(seconds)
        node.process.send_signal(signal.SIGCONT)

    def applied_at(self, name):
        """Records that this node applied, by whoever answers."""
        return int(self.any().counters().get(f"node/{name}/ledger.applied", 0))

    # ---- clients -------------------------------------------------------------------------------

    def load(self, sender, events, *names, keys=1000, batch=500, window=8, rate=0, repeat=True):
        """A sender; at the nodes of these names, or of all, one after the other."""
        dirs = [self.nodes[name].dir for name in names or self.nodes]
        program = Program("load", "ledger", ",".join(dirs), sender, events, keys, batch, window,
                          rate, "repeat" if repeat else "doubt")
        self.programs.append(program)
        return program

    def reader(self, name, node, table="accounts", sender=1, keys=(1, 2, 3)):
        of_table = [f"{sender},{key}" if table == "accounts" else f"{key},{sender}" for key in keys]
        program = Program("reader", "ledger", self.nodes[node].dir, name, table, *of_table)
        self.programs.append(program)
        return program

    def rows(self, table):
        done = self.any().s4("query", f"ledger.{table}", "--json", "--limit", 1000000).expect(0)
        return done.json()

    def counted(self):
        """Entries in the first stage's table, now; from any node that answers."""
        done = self.any().s4("query", "ledger.accounts", "--json", "--limit", 1000000)
        return sum(int(row["n"]) for row in done.json()) if done.code == 0 else 0

    def await_counted(self, n, program=None):
        until(f"{n} entries", lambda: self.counted() >= n or
              (program and program.process.poll() is not None))

    # ---- the verdict ---------------------------------------------------------------------------

    def history(self):
        lines = [line for program in self.programs for line in program.lines()]
        for name, node in self.nodes.items():
            if node.process.poll() is None:
                counters = {key.split(".")[1]: int(value)
                            for key, value in node.counters().items()
                            if key.startswith("ledger.") and value.isdigit()}
                lines.append({"op": "counters", "node": name, **counters})
        return lines

    def judge(self, lost_max=0, seconds_lost_max=0):
        """Drains, and compares what clients were told with what is there."""
        self.any().s4("drain", "ledger").expect(0)
        result = check(self.history(), self.rows("accounts"), self.rows("seconds"), lost_max,
                       seconds_lost_max)
        say(f"{result.acknowledged} acknowledged, {result.doubted} in doubt, {result.lost} lost, "
            f"{result.lost_seconds} of the second stage")
        assert not result.problems, "\n".join(result.problems)
        return result
