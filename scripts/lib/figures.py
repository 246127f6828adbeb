"""How each figure is measured: what scripts/bench and the test that holds figures share.

runtime_bench measures one round in a process of its own and prints a line of JSON; what callgrind
counts is taken from its file.
"""
import json
import os
import re
import subprocess


class Bench:
    """The programs and bundles of a build, and the inputs made for them."""

    def __init__(self, build, inputs):
        self.folder = os.path.join(build, "tests", "bench")
        self.program = os.path.join(self.folder, "runtime_bench")
        self.pair_program = os.path.join(self.folder, "pair_bench")
        self.move_program = os.path.join(self.folder, "move_bench")
        self.inputs = inputs
        self.shared = {}

    def bundle(self, name):
        return os.path.join(self.folder, "bundles", name + ".s4r")

    def made(self, name, command, count, keys):
        """The path of an input, made when it is not there: `command`, its path, sizes."""
        path = os.path.join(self.inputs, "-".join(str(part) for part in (name, count, keys) if part))
        if not os.path.exists(path):
            os.makedirs(self.inputs, exist_ok=True)
            sizes = [str(size) for size in (count, keys) if size]
            made = f"{path}.{os.getpid()}"
            subprocess.run([*command, made, *sizes], check=True)
            os.rename(made, path)
        return path

    def lines(self, kind, count=None, keys=None):
        return self.made(f"lines-{kind}", [self.program, "lines", kind], count, keys)

    def pair_lines(self, count=None, keys=None):
        """Those whose keys all belong to the second of two nodes."""
        return self.made("lines-far", [self.pair_program, "lines"], count, keys)

    def round(self, measure, lines, *more):
        """One round in a process of its own."""
        done = subprocess.run([self.program, measure, lines, *map(str, more)], check=True,
                              text=True, stdout=subprocess.PIPE)
        return json.loads(done.stdout)

    def pair(self, figure, measure, *more):
        """One round of two nodes in processes of its own. What one has measured serves each figure
        once: a figure that asks again gets another round."""
        taken, served = self.shared.get(measure, (None, None))
        if not taken or figure in served:
            done = subprocess.run([self.pair_program, measure, *map(str, more)], check=True,
                                  text=True, stdout=subprocess.PIPE)
            taken, served = json.loads(done.stdout), set()
            self.shared[measure] = taken, served
        served.add(figure)
        return taken

    def moves(self, bundle, stream, *sizes):
        """One round of slots that move between two nodes; the lines are of no use."""
        done = subprocess.run([self.move_program, self.lines("each", 1000), self.bundle(bundle),
                               stream, *map(str, sizes)], check=True, text=True,
                              stdout=subprocess.PIPE)
        return json.loads(done.stdout)

    def system_calls(self, *measure):
        """Of a run of two processes in all its life, as the kernel counts them at the entry, which
        slows nothing down as a tracer would; and what it printed."""
        out = os.path.join(self.inputs, f"perf.{os.getpid()}")
        done = subprocess.run(["perf", "stat", "-x,", "-o", out, "-e", "raw_syscalls:sys_enter",
                               self.pair_program, *map(str, measure)],
                              check=True, text=True, stdout=subprocess.PIPE)
        with open(out, encoding="utf-8") as file:
            calls = int(re.search(r"^(\d+),[^,]*,raw_syscalls", file.read(), re.MULTILINE)[1])
        os.unlink(out)
        return calls, done.stdout

    def calls_and_frames(self, lines, passes):
        calls, said = self.system_calls("passes", lines, self.bundle("pair"), passes)
        return calls, json.loads(said)["frames"]

    def calls_per_frame(self, count=None, keys=None):
        """Of two nodes in the steady state: what begins and ends the processes is in both runs. And
        of R2b, which has next to nothing else."""
        lines = self.pair_lines(count, keys)
        (few, less), (many, more) = (self.calls_and_frames(lines, n) for n in (1, 3))
        return (many - few) / (more - less), self.system_calls("r2b", lines)[0] / less

    def instructions(self, lines, *measure):
        """All that one run executes, as callgrind counts it; measure is [name, arguments...]."""
        out = os.path.join(self.inputs, f"callgrind.{os.getpid()}")
        name, *more = map(str, measure)
        subprocess.run(["valgrind", "--quiet", "--tool=callgrind", f"--callgrind-out-file={out}",
                        self.program, name, lines, *more], check=True, stdout=subprocess.DEVNULL)
        with open(out, encoding="utf-8") as file:
            total = int(re.search(r"^(?:totals|summary): (\d+)", file.read(), re.MULTILINE)[1])
        os.unlink(out)
        return total

    def per_event(self, count, keys, bundle=None):
        """Instructions of an event in the steady state: two more passes over the same lines cost
        nothing else. Without a bundle, R1's."""
        lines = self.lines("zipf", count, keys)
        few, many = (self.instructions(lines, "passes", self.bundle(bundle), n) if bundle
                     else self.instructions(lines, "r1", n) for n in (1, 3))
        return (many - few) / (2 * count)
