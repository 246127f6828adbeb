"""What the tests of whole processes share: TAP, a place of their own that is cleaned up whatever
happens, commands with a limit in time, nodes that never outlive the test."""
import atexit
import ctypes
import io
import json
import os
import selectors
import shutil
import signal
import struct
import subprocess
import sys
import tarfile
import tempfile
import time
import traceback

S4 = os.path.abspath(sys.argv[1])
BUNDLE = os.path.abspath(sys.argv[2])
LIMIT = 60
PLACE = tempfile.mkdtemp(prefix="s4-test-")
NODES = []


def clean_up():
    for node in NODES:
        node.kill()
    shutil.rmtree(PLACE, ignore_errors=True)


atexit.register(clean_up)
for number in (signal.SIGTERM, signal.SIGINT):
    signal.signal(number, lambda *_: sys.exit(1))

TESTS = []


def test(function):
    TESTS.append(function)
    return function


def main():
    """Runs the tests; with S4_TEST in the environment, those whose name has its text."""
    wanted = [(each.__name__.replace("_", " "), each) for each in TESTS]
    wanted = [each for each in wanted if os.environ.get("S4_TEST", "") in each[0]]
    print(f"1..{len(wanted)}")
    failed = 0
    for i, (name, function) in enumerate(wanted, 1):
        try:
            function()
            print(f"ok {i} - {name}", flush=True)
        except Exception:  # pylint: disable=broad-except
            failed += 1
            print(f"not ok {i} - {name}", flush=True)
            for line in traceback.format_exc().splitlines():
                print(f"# {line}", flush=True)
    sys.exit(1 if failed else 0)


class Done:
    """How a command ended."""

    def __init__(self, argv, code, out, err):
        self.argv, self.code, self.out, self.err = argv, code, out, err

    def expect(self, code):
        assert self.code == code, f"{self} instead of {code}"
        return self

    def json(self):
        return [json.loads(line) for line in self.out.splitlines()]

    def __str__(self):
        return f"{' '.join(self.argv)}\n-> {self.code}\nout: {self.out[:2000]}\nerr: {self.err[:2000]}"


def environment(**more):
    env = {key: value for key, value in os.environ.items()
           if key not in ("S4_NODE", "S4_KEYS", "XDG_RUNTIME_DIR", "S4_LOG")}
    env.update(more)
    return env


def s4(*args, given="", env=None, preexec=None, cwd=PLACE, stdout=subprocess.PIPE):
    """Runs a command to its end; `given` is its standard input, text or bytes."""
    argv = [S4, *map(str, args)]
    given = given.encode() if isinstance(given, str) else given
    done = subprocess.run(argv, input=given, stdout=stdout, stderr=subprocess.PIPE, check=False,
                          timeout=LIMIT, cwd=cwd, env=environment(**(env or {})),
                          preexec_fn=preexec)
    return Done(["s4", *map(str, args)], done.returncode, (done.stdout or b"").decode(),
                done.stderr.decode(errors="replace"))


def path(name):
    return os.path.join(PLACE, name)


def write(name, content):
    with open(path(name), "wb") as file:
        file.write(content.encode() if isinstance(content, str) else content)
    return path(name)


def zstd(data):
    """A zstd frame that stores its bytes as they are; with this, no compressor is needed."""
    frame = struct.pack("<IBQ", 0xFD2FB528, 0xE0, len(data))
    blocks = [data[at:at + 100000] for at in range(0, len(data), 100000)] or [b""]
    for i, block in enumerate(blocks):
        head = len(block) << 3 | (i == len(blocks) - 1)
        frame += struct.pack("<I", head)[:3] + block
    return frame


def bundle(name, *entries):
    """A bundle of (path, content or a tarfile type and its target)."""
    tar = io.BytesIO()
    with tarfile.open(fileobj=tar, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for place, content in entries:
            info = tarfile.TarInfo(place)
            if isinstance(content, bytes):
                info.size = len(content)
                archive.addfile(info, io.BytesIO(content))
            else:
                info.type, info.linkname = content
                archive.addfile(info)
    return write(name, zstd(tar.getvalue()))


def parts_of(place):
    """What lies in a bundle that s4 packed: contents by path."""
    library = ctypes.CDLL("libzstd.so.1")
    library.ZSTD_decompress.restype = ctypes.c_size_t
    with open(place, "rb") as file:
        packed = file.read()
    room = ctypes.create_string_buffer(64 << 20)
    size = library.ZSTD_decompress(room, ctypes.c_size_t(len(room)), packed,
                                   ctypes.c_size_t(len(packed)))
    assert size < len(room), "not one zstd frame"
    with tarfile.open(fileobj=io.BytesIO(room.raw[:size])) as archive:
        return {entry.name: archive.extractfile(entry).read() for entry in archive}


def until(what, condition, instead=lambda: ""):
    """Waits for something that another process does; there is nothing to be woken by. `instead`
    says what there is when it does not come."""
    end = time.monotonic() + LIMIT
    while not condition():
        assert time.monotonic() < end, f"{what}: not within {LIMIT} s\n{instead()}"
        time.sleep(0.01)


class Node:
    """A node in a directory of its own."""

    def __init__(self, *args, directory=None, env=None, preexec=None):
        self.dir = directory or tempfile.mkdtemp(prefix="node-", dir=PLACE)
        self.err = tempfile.TemporaryFile()
        self.process = subprocess.Popen([S4, "node", "--dir", self.dir, *map(str, args)],
                                        stdout=subprocess.PIPE, stderr=self.err,
                                        env=environment(**(env or {})), cwd=PLACE, preexec_fn=preexec)
        NODES.append(self)
        self.ready = self.read_ready()

    def read_ready(self):
        with selectors.DefaultSelector() as selector:
            selector.register(self.process.stdout, selectors.EVENT_READ)
            assert selector.select(LIMIT), "the node does not get ready"
        line = self.process.stdout.readline().decode()
        assert line.startswith("ready "), f"{line!r}: {self.errors()}"
        return line.split()[1:]

    def s4(self, *args, **more):
        env = {"S4_NODE": self.dir, **more.pop("env", {})}
        return s4(*args, env=env, **more)

    def errors(self):
        self.err.seek(0)
        return self.err.read().decode(errors="replace")

    def counters(self):
        done = self.s4("status", "--kv").expect(0)
        return dict(line.split("=", 1) for line in done.out.splitlines())

    def end(self):
        """Waits until it has ended; its exit code."""
        return self.process.wait(LIMIT)

    def kill(self):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.kill()


class Reader:
    """`s4 tail`, or another command, on a node; what it prints goes to a file."""

    def __init__(self, node, *args, command="tail"):
        self.out, self.err = tempfile.TemporaryFile(dir=PLACE), tempfile.TemporaryFile(dir=PLACE)
        self.process = subprocess.Popen([S4, command, *map(str, args)], stdout=self.out,
                                        stderr=self.err, cwd=PLACE,
                                        env=environment(S4_NODE=node.dir))

    @staticmethod
    def read(file):
        """All of it; without seeking, since the process writes where the file stands."""
        return os.pread(file.fileno(), os.fstat(file.fileno()).st_size, 0).decode()

    def text(self):
        return self.read(self.out)

    def lines(self):
        whole = self.text().rpartition("\n")[0]
        return [json.loads(line) for line in whole.splitlines()]

    def errors(self):
        return self.read(self.err)

    def end(self):
        return self.process.wait(LIMIT)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()


class Cluster:
    """Nodes that share a directory instead of ZooKeeper."""

    def __init__(self, *names, slots=16):
        self.shared = tempfile.mkdtemp(prefix="shared-", dir=PLACE)
        self.place = ["--cluster", "test", "--shared", self.shared]
        self.nodes = {}
        s4("cluster", "create", "test", "--shared", self.shared, "--slots", slots).expect(0)
        for name in names:
            self.start(name)
        if names:
            self.settled(*names)

    def start(self, name, *args, **more):
        self.nodes[name] = Node(*self.place, "--name", name, *args, **more)
        return self.nodes[name]

    def any(self):
        return next(node for node in self.nodes.values() if node.process.poll() is None)

    def status(self, node=None):
        return (node or self.any()).s4("status", "--json").expect(0).json()[0]["cluster"]

    def slots(self):
        return {node["node"]: node["slots"] for node in self.status()["nodes"]}

    def settled(self, *names):
        """Waits until these nodes, and no others, share all slots and nothing moves."""
        def is_shared():
            cluster = self.status()
            owned = {node["node"]: node["slots"] for node in cluster["nodes"] if node["slots"]}
            share = -(-cluster["slots"] // len(names))
            return set(owned) == set(names) and sum(owned.values()) == cluster["slots"] and \
                max(owned.values()) <= share and "moving" not in cluster
        until("the slots are shared", is_shared,
              lambda: self.any().s4("status").out + "".join(node.errors()
                                                            for node in self.nodes.values()))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for node in self.nodes.values():
            node.kill()


class Proxy:
    """A network between processes that fails on command: a link per port (fault_proxy.c says what
    each command does). Connect to `ports` instead of the ports that it was made for."""

    def __init__(self, *targets):
        program = os.path.join(os.path.dirname(BUNDLE), "fault_proxy")
        self.process = subprocess.Popen([program, *map(str, targets)], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, text=True)
        NODES.append(self)
        self.ports = []
        while (line := self.process.stdout.readline().split()) != ["ready"]:
            assert line and line[0] == "listen", f"the proxy says {line}"
            self.ports.append(int(line[2]))

    def tell(self, command, *arguments, link="all"):
        """What it said before `ok`."""
        print(link, command, *arguments, file=self.process.stdin, flush=True)
        said = []
        while (line := self.process.stdout.readline()) != "ok\n":
            assert line and not line.startswith("error"), f"{command}: {line}"
            said.append(line.split())
        return said

    def delay(self, ms, **where):
        self.tell("delay", ms, **where)

    def slow(self, bytes_per_s, **where):
        self.tell("slow", bytes_per_s, **where)

    def cut(self, **where):
        self.tell("cut", **where)

    def oneway(self, side, **where):
        self.tell("oneway", side, **where)

    def reset(self, **where):
        self.tell("reset", **where)

    def close_after(self, count, **where):
        self.tell("close", count, **where)

    def heal(self, **where):
        self.tell("heal", **where)

    def count(self, link=0):
        """Connections accepted, and bytes passed on from a and from b."""
        return tuple(map(int, self.tell("count", link=link)[0][1:]))

    def kill(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.kill()
