#!/usr/bin/env python3
"""Everything wrong that a user may give, in one table: what is given, the exit code, what is said; and
that nothing else has changed, neither on the node nor on the disk.

    bad_input_test.py S4 BUNDLE
"""
import ctypes
import hashlib
import os
import re
import socket
import tarfile

from cluster import BUNDLE, PLACE, Node, bundle, main, path, s4, test, write

MIB = 1 << 20
NODE = Node("--listen", "tcp://127.0.0.1:*")
NODE.s4("deploy", BUNDLE).expect(0)
NODE.s4("inject", "probe.lines", "-", given="old\n").expect(0)
NODE.s4("drain", "--wait-only").expect(0)

# ---- what is given ------------------------------------------------------------------------------


def without_permission():
    """Root may do everything; a child must not."""
    if os.geteuid() == 0:
        libc = ctypes.CDLL(None, use_errno=True)
        for capability in (1, 2):  # CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH
            libc.prctl(24, capability, 0, 0, 0)  # PR_CAPBSET_DROP


with open(BUNDLE, "rb") as whole:
    BYTES = whole.read()
CUT = write("cut.s4r", BYTES[:len(BYTES) // 2])
EMPTY = write("empty.s4r", b"")
UP = bundle("up.s4r", ("app.yaml", b"app: x\n"), ("files/../../evil", b"x"))
LINK = bundle("link.s4r", ("app.yaml", b"app: x\n"), ("files/evil", (tarfile.SYMTYPE, "/etc/passwd")))
MANY = bundle("many.s4r", *[(f"files/{i}", b"") for i in range(2000)])
BIG = write("big.s4r", b"\0" * (64 * MIB + 1))
HUGE_LINE = '{"key":"' + "k" * (4096 + 1) + '"}'
HUGE_EVENT = '{"key":"a","owner":"' + "o" * MIB + '"}'
READ_ONLY = path("read-only")
os.mkdir(READ_ONLY)
SECRET = write("secret.s4r", BYTES)
os.chmod(SECRET, 0)
os.chmod(READ_ONLY, 0o500)
OPEN_DIR = path("open")
os.mkdir(OPEN_DIR)
os.chmod(OPEN_DIR, 0o755)
BUSY = socket.create_server(("127.0.0.1", 0))
BUSY_PORT = BUSY.getsockname()[1]
ITEMS = ["inject", "probe.items", "-", "--format", "json"]
RUN = ["run", BUNDLE, "--inject", "items=-", "--format", "json", "--output", "totals=-"]

# ---- the table: name, arguments, exit code, what is said; more: given, preexec, stdout -----------

CASES = [
    # commands and flags
    ("no command", [], 2, "no command is given"),
    ("unknown command", ["rum"], 2, "unknown command 'rum'; did you mean 'run'"),
    ("unknown command, nothing near", ["xyzzyx"], 2, "`s4 --help` lists"),
    ("unknown command for help", ["help", "depoy"], 2, "did you mean 'deploy'"),
    ("unknown flag", ["run", "--injekt", "a=b"], 2, "unknown option --injekt; did you mean --inject"),
    ("unknown flag of status", ["status", "--jsn"], 2, "did you mean --json"),
    ("unknown short flag", ["status", "-Z"], 2, "invalid option"),
    ("a flag without its value", ["query", "probe.totals", "--top"], 2, "requires an argument"),
    ("too many arguments", ["status", "x"], 2, "'x' is too much"),
    ("no bundle", ["run"], 2, "no bundle is given"),
    ("no target", ["query"], 2, "it takes what to ask"),
    ("a target that is none", ["query", "probe"], 2, "'probe' names nothing"),
    ("a number that is none", ["run", BUNDLE, "--workers", "two"], 2, "wanted a whole number from 1"),
    ("a number out of range", ["run", BUNDLE, "--slots", "4097"], 2, "from 1 to 4096"),
    ("a size that is none", ["run", BUNDLE, "--memory-soft", "1X"], 2, "wanted bytes from"),
    ("a time that is none", ["run", BUNDLE, "--for", "soon"], 2, "wanted a time"),
    ("an unknown format", ["run", BUNDLE, "--format", "xml"], 2, "wanted json, text or pb"),
    ("marks in the wrong order", ["node", "--memory-soft", "2M", "--memory-hard", "1M"], 2, "is above"),
    ("input that is none", ["run", BUNDLE, "--inject", "lines"], 2, "wanted NAME=FILE"),
    ("no input", ["run", BUNDLE], 2, "no source of its own"),
    ("top without a column", ["query", "probe.totals", "--top", "3"], 2, "--top takes --by"),
    ("a key and its top", ["query", "probe.totals", "--key", "old", "--top", "1", "--by", "n"], 2,
     "--key asks for one row"),
    ("a key and a limit", ["query", "probe.totals", "--key", "old", "--limit", "1"], 2,
     "--key asks for one row"),
    ("a key and a prefix", ["query", "probe.totals", "--key", "old", "--prefix", "o"], 2,
     "exclude each other"),
    ("a prototype without a key", ["query", "probe/counters"], 2, "takes --key or --count"),
    ("not only the loopback", ["node", "--listen", "tcp://0.0.0.0:5555"], 2, "only the loopback"),
    ("a name like an address", ["node", "--listen", "tcp://127.example.org:5555"], 2,
     "is no host"),
    ("an address and more", ["node", "--listen", "tcp://127.0.0.1.example.org:5555"], 2,
     "is no host"),
    ("not a node of this machine", ["status", "--node", "tcp://10.0.0.1:5555"], 1,
     "without keys only the loopback"),
    ("a node by a name", ["status", "--node", "tcp://127.0.0.1.example.org:5555"], 1,
     "without keys only the loopback"),
    ("a key without a name", ["keygen"], 2, "no name is given"),
    ("a key's name that is none", ["keygen", "../a"], 2, "cannot name a key"),
    ("a key in no place", ["keygen", "a", "--dir", path("none/keys")], 1,
     "cannot make the directory"),
    ("a node that is no place", ["status", "--node", "http://here"], 2, "is no node; wanted"),
    ("a name that is none", ["new", "app", "7up"], 2, "is no name"),
    ("a kind that is none", ["new", "lib", "x"], 2, "'lib' cannot be made"),

    # names
    ("unknown app, inject", ["inject", "prob.lines", "-"], 5, "no app 'prob'.*did you mean .probe",
     {"given": "x\n"}),
    ("unknown app, query", ["query", "other.totals"], 5, "no app 'other' is deployed"),
    ("unknown app, undeploy", ["undeploy", "other"], 5, "no app 'other' is deployed"),
    ("unknown app, drain", ["drain", "other"], 5, "no app 'other' is deployed"),
    ("unknown stream", ["inject", "probe.line", "-"], 5, "no stream .line", {"given": "x\n"}),
    ("unknown stream, run", ["run", BUNDLE, "--inject", "line=-"], 5, "no stream 'line'; did you"),
    ("internal stream", ["inject", "probe.inner", "-"], 1, "internal", {"given": "x\n"}),
    ("internal stream, run", ["run", BUNDLE, "--inject", "inner=-"], 1, "is internal"),
    ("unknown output", ["query", "probe.total"], 5, "no output .total.*did you mean"),
    ("unknown output, run", ["run", BUNDLE, "-i", "lines=-", "-o", "total=-"], 5,
     "no output 'total'; did you"),
    ("unknown column", ["query", "probe.totals", "--top", "3", "--by", "nn"], 5, "column .nn"),
    ("unknown prototype", ["query", "probe/counter", "--count"], 5, "no prototype .counter.*did you"),
    ("unknown key of a row", ["query", "probe.totals", "--key", "new"], 5, "no row has the key 'new'"),
    ("unknown key of an instance", ["query", "probe/counters", "--key", "new"], 5, "has the key 'new'"),

    # lines
    ("no JSON", ITEMS, 3, ":1: column 1: found key, wanted an object", {"given": "key: a\n"}),
    ("JSON that is cut", ITEMS, 3, ":1: column 11: found the end of the text, wanted",
     {"given": '{"key":"a"'}),
    ("JSON with an unknown field", ITEMS, 3, ":2: column 2: .*keey", {"given": '\n{"keey":"a"}\n'}),
    ("JSON of a wrong type", ITEMS, 3, ":1: column 8: .*key.*found 7 .*wanted string",
     {"given": '{"key":7}\n'}),
    ("JSON without a required field", ITEMS, 3, ":1: column 1: .*key.*missing", {"given": '{"small":7}\n'}),
    ("a number out of range", ITEMS, 3, ":1: .*small.*found 2147483648 .*to 2147483647",
     {"given": '{"key":"a","small":2147483648}'}),
    ("an unknown enum", ITEMS, 3, ":1: .*GREEN.*wanted .*RED, BLUE",
     {"given": '{"key":"a","colour":"GREEN"}'}),
    ("invalid UTF-8 in JSON", ITEMS, 3, ":1: .*UTF-8", {"given": b'{"key":"\xff"}\n'}),
    ("invalid UTF-8 in text", ["inject", "probe.lines", "-"], 3, ":1: .*UTF-8", {"given": b"\xc0\x80\n"}),
    ("text for a type that is none", ["inject", "probe.items", "-", "--format", "text"], 1,
     "string", {"given": "x\n"}),
    ("a message that is cut", ["inject", "probe.lines", "-", "--format", "pb"], 3, ":1: truncated",
     {"given": b"\x05\x0a\x03ab"}),
    ("a message that is cut inside", ["inject", "probe.lines", "-", "--format", "pb"], 3,
     ":1: byte 1: field .text.: found a length of 3 bytes, and 1 are left",
     {"given": b"\x03\x0a\x03a"}),
    ("a length that is cut", ["inject", "probe.lines", "-", "--format", "pb"], 3, ":1: truncated",
     {"given": b"\x80"}),
    ("a length that is none", ["inject", "probe.lines", "-", "--format", "pb"], 3, ":1: its length",
     {"given": b"\xff" * 12}),
    ("a record over 1 MiB", ITEMS, 3, ":1: the event takes more than 1048576 bytes", {"given": HUGE_EVENT}),
    ("a line over 4 MiB", ["inject", "probe.lines", "-"], 3, ":1: the line is longer",
     {"given": "x" * (4 * MIB + 1)}),
    ("no JSON, run", RUN, 3, ":1: column 1: found key, wanted an object", {"given": "key: a\n"}),
    ("a record over 1 MiB, run", RUN, 3, ":1: .*1 MiB|:1: .*1048576", {"given": HUGE_EVENT}),
    ("a key over 4 KiB, run", RUN, 3, ":1: .*4 KiB", {"given": HUGE_LINE}),
    ("a file that is not there", ["inject", "probe.lines", path("nowhere")], 1, "No such file"),
    ("a file that is not there, run", ["run", BUNDLE, "-i", f"lines={path('nowhere')}"], 1,
     "No such file"),
    ("a folder for a file", ["run", BUNDLE, "-i", f"lines={PLACE}"], 1, "Is a directory"),

    # bundles
    ("a bundle that is not there", ["check", path("nowhere")], 1, "No such file"),
    ("an empty bundle", ["check", EMPTY], 6, "empty.s4r: the bundle is empty"),
    ("a bundle that is cut", ["check", CUT], 6, "cut.s4r: the bundle is damaged: "),
    ("a bundle that is cut, run", ["run", CUT, "-i", "lines=-"], 6, "cut.s4r: the bundle is damaged: "),
    ("a bundle that is cut, deploy", ["deploy", CUT], 6, "cut.s4r: the bundle is damaged: "),
    ("a bundle with ..", ["check", UP], 6, r"\.\."),
    ("a bundle with .., deploy", ["deploy", UP], 6, r"\.\."),
    ("a bundle with a link", ["check", LINK], 6, "files/evil.*(link|no plain file|regular)"),
    ("a bundle with a link, deploy", ["deploy", LINK], 6, "files/evil.*(link|no plain file|regular)"),
    ("a bundle with too many files", ["check", MANY], 6, "many.s4r: .*(more than|at most)"),
    ("a bundle that is too large", ["check", BIG], 6, "larger than"),
    ("two bundles of one name", ["deploy", BUNDLE], 1, "app \"probe\" is deployed already: undeploy"),
    ("a library that is none", ["pack", write("app.yaml", "app: probe\nversion: '1'\n"), EMPTY], 6,
     "empty.s4r: "),
    ("a manifest that is wrong", ["pack", write("bad.yaml", "app: probe\nversion: '1'\nprotos: 1\n"),
                                  os.path.join(os.path.dirname(BUNDLE), "probe.so")], 6, "bad.yaml:3:1: "),

    # places
    ("a node's directory in use", ["node", "--dir", NODE.dir], 1, "in use by a node"),
    ("a port in use", ["node", "--dir", path("port"), "--listen", f"tcp://127.0.0.1:{BUSY_PORT}"], 1,
     "in use"),
    ("a directory that others may read", ["node", "--dir", OPEN_DIR], 1, "mode 755.*wanted 0700"),
    ("a directory that is none", ["node", "--dir", CUT], 1, "is no directory"),
    ("a path that is too long", ["node", "--dir", path("d" * 100)], 2, "longer than the 107 bytes"),
    ("no node", ["status", "--node", path("nobody")], 69, "no node answers"),
    ("a project that is there", ["new", "app", "x", "--dir", OPEN_DIR], 1, "exists already"),
    ("a full disk, rows", ["run", BUNDLE, "-i", "lines=-", "-o", "totals=/dev/full"], 1,
     "/dev/full: No space left", {"given": "x\n"}),
    ("a full disk, standard output", ["query", "probe.totals"], 1, "No space left", {"full": True}),
    ("a full disk, rejects", [*RUN, "--rejects", "/dev/full"], 1, "/dev/full: No space left",
     {"given": "x\n"}),
    ("no permission to read", ["check", SECRET], 1, "Permission denied", {"preexec": without_permission}),
    ("no permission to write", ["new", "app", "x", "--dir", READ_ONLY + "/x"], 1, "Permission denied",
     {"preexec": without_permission}),
    ("no permission to write, rows", ["run", BUNDLE, "-i", "lines=-", "-o", f"totals={READ_ONLY}/x"],
     1, "Permission denied", {"given": "x\n", "preexec": without_permission}),
    ("no permission for a node", ["node", "--dir", READ_ONLY + "/n"], 1, "Permission denied",
     {"preexec": without_permission}),
]

# ---- nothing else changed -----------------------------------------------------------------------

MOVING = re.compile(r"^node\.(uptime_us|memory)=|\.(sampled_ns|queued_bytes)=")


def on_the_node():
    kv = NODE.s4("status", "--kv").expect(0).out
    rows = NODE.s4("query", "probe.totals", "--json").expect(0).out
    return [line for line in kv.splitlines() if not MOVING.search(line)] + [rows]


def on_the_disk():
    found = {}
    for folder, folders, names in os.walk(PLACE):
        found[folder] = sorted(folders + names)
        for name in names:
            file = os.path.join(folder, name)
            if os.path.isfile(file) and os.path.getsize(file) < MIB and os.access(file, os.R_OK):
                with open(file, "rb") as opened:
                    found[file] = hashlib.sha256(opened.read()).hexdigest()
    return found


def check(name, args, code, said, more=None):
    more = dict(more or {})
    before = on_the_node(), on_the_disk()
    if more.pop("full", False):
        with open("/dev/full", "wb") as full:
            done = NODE.s4(*args, stdout=full)
    else:
        done = NODE.s4(*args, **more)
    assert done.code == code, f"{name}: {done} instead of {code}"
    assert re.search(said, done.err), f"{name}: {done}\nwanted: {said}"
    assert not done.err.startswith("s4 run: alarm"), done
    after = on_the_node(), on_the_disk()
    for was, now in zip(before, after):
        assert was == now, f"{name}: {was}\nbecame {now}"


def add(case):
    def run():
        check(*case)
    run.__name__ = case[0]
    test(run)


for each in CASES:
    add(each)


@test
def a_key_of_4_kib_is_taken_and_a_longer_one_rejected():
    before = int(NODE.counters()["probe.dead_letters"])
    longest = HUGE_LINE.replace("kk", "k", 1)
    done = NODE.s4(*ITEMS, "--json", given=f'{longest}\n{HUGE_LINE}\n{{"key":"good"}}').expect(3)
    counts = done.json()[0]
    assert (counts["accepted"], counts["rejected"]) == (2, 1), counts
    assert ":2: its key is over 4 KiB" in done.err, done
    assert int(NODE.counters()["probe.dead_letters"]) == before
    NODE.s4("query", "probe.totals", "--key", "k" * 4096).expect(0)


@test
def an_empty_key_is_a_key_and_an_absent_one_is_counted():
    before, owned = (int(NODE.counters()[name]) for name in ("probe.absent_keys", "probe/owners.events"))
    NODE.s4(*ITEMS, given='{"key":""}\n{"key":"","owner":""}\n').expect(0)
    assert NODE.s4("query", "probe.totals", "--key", "", "--json").json()[0]["n"] == 2
    assert int(NODE.counters()["probe/owners.events"]) == owned + 1
    assert int(NODE.counters()["probe.absent_keys"]) == before + 1


main()
