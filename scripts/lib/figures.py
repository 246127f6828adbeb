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
        self.inputs = inputs

    def bundle(self, name):
        return os.path.join(self.folder, "bundles", name + ".s4r")

    def lines(self, kind, count=None, keys=None):
        """The path of an input, made when it is not there."""
        name = "-".join(str(part) for part in ("lines", kind, count, keys) if part)
        path = os.path.join(self.inputs, name)
        if not os.path.exists(path):
            os.makedirs(self.inputs, exist_ok=True)
            sizes = [str(size) for size in (count, keys) if size]
            made = f"{path}.{os.getpid()}"
            subprocess.run([self.program, "lines", kind, made, *sizes], check=True)
            os.rename(made, path)
        return path

    def round(self, measure, lines, *more):
        """One round in a process of its own."""
        done = subprocess.run([self.program, measure, lines, *map(str, more)], check=True,
                              text=True, stdout=subprocess.PIPE)
        return json.loads(done.stdout)

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
