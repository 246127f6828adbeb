#!/usr/bin/env python3
"""Spin searches every state of the models in this folder: as the protocol is, nothing is found; each
variant that breaks a rule is found, by the check that is there for it. TAP on stdout.

    models_test.py COMPILER [MODEL]      only that model
"""
import glob
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
MEMORY_MIB = 2000
DEPTH = 200000
LIMIT_S = 600  # of a search on a busy machine; alone the longest takes 15 s

# What a broken variant is found by: a part of the check in the model.
GAP_AT_OWNER = "applied[k]+1"
GAP_AT_C = "applied_at_c+1"
LOST = "applied[s]=="
HOMELESS = "homeless[s]"
GAP_AT_P = "number<=receiver[n].counter"
TWICE = "!(applied[later].has[number])"
TWO_OWNERS = "part[n].state!=1"
STUCK = "acknowledged==3"
FREED = "applied[acknowledged]"
UNHEARD = "times[acknowledged]==1"
FOR_EVER = "acceptance cycle"
OLD_MAP = "versions[now]==version"

# Model: how it is set up where it must hold; what breaks it: setting, flag, what finds it.
MODELS = {
    "session": (
        ["", "FRAMES=4 WINDOW=3 FAULTS=1"],
        [("", "GAP_UNCHECKED", "frame>received"),
         ("", "ACKED_EARLY", FREED),
         ("", "ACKED_HIGHEST", FREED),
         ("", "RELATIVE_CREDIT", "taken_in+2"),
         ("", "CREDIT_FORGOTTEN", STUCK),
         ("", "WELCOME_APPLIED", "frame>received"),
         ("", "GOES_ON", STUCK),
         ("", "OLDER_READ", "connection<3"),
         ("", "HELLO_UNCOUNTED", STUCK)]),
    "notice": (
        ["", "FRAMES=3"],
        [("", "SAID_ONCE", UNHEARD),
         ("", "LANES_FIRST", UNHEARD),
         ("", "ACK_FIRST", UNHEARD),
         ("", "HELLO_TELLS_OLD REPEATS_COUNT", "times[frame]==1")]),
    "cycle": (
        ["", "WINDOW=2 SOFT=2 HARD=20", "NODES=3 WINDOW=2 SOFT=2 HARD=7"],
        [("", "EMITS_BLOCK", FOR_EVER),
         ("", "WITHHELD_BY_OUTPUT", FOR_EVER),
         ("", "PAUSED_SILENTLY", FOR_EVER),
         ("", "UNTHROTTLED", "ins+node[n].outs")]),
    "move": (
        ["DEATH M=2", "DEATH M=2 WAITING_REFUSED", "SECOND=B CALLED_OFF=1",
         "M=0 CALLED_OFF=1 UNRELATED=1", "M=0 MOVES=2"],
        [("CALLED_OFF=1", "NOT_MINE_DROPPED", LOST),
         ("CALLED_OFF=1", "LATE_NOT_MINE", HOMELESS),
         ("CALLED_OFF=1", "NEWER_FIRST", GAP_AT_OWNER),
         ("UNRELATED=1", "ANY_CHANGE", GAP_AT_OWNER),
         ("M=0 MOVES=2", "SAME_OWNER_KEEPS", LOST),
         ("M=0 MOVES=2", "EPOCH_UNCHECKED", GAP_AT_OWNER),
         ("CALLED_OFF=1", "EPOCH_UNCHECKED", GAP_AT_OWNER),
         ("", "EPOCH_GREATER", HOMELESS),
         ("CALLED_OFF=1", "STAMPED_ANEW", GAP_AT_OWNER),
         ("CALLED_OFF=1", "AHEAD_TAKEN", HOMELESS),
         ("DEATH", "TAKEN_BACK_ALONE", TWO_OWNERS),
         ("", "WAITING_LEFT", LOST),
         ("", "HELD_LEFT", GAP_AT_C)]),
    "failover": (
        ["", "O_DIES", "ANEW=A FIRST=1 SECOND=2", "FROM_A=2 SECOND=0"],
        [("FIRST=1 SECOND=2", "SENT_AGAIN_ANYHOW", TWICE),
         ("FIRST=1 SECOND=2", "OBSOLETE_TAKEN", TWICE),
         ("FIRST=1 SECOND=2", "FORGOTTEN_BY_MAP", TWICE),
         ("FROM_A=2 SECOND=0", "OBSOLETE_FIRST", GAP_AT_P),
         ("SECOND=0", "APART_LEFT", GAP_AT_P)]),
    "leader": (
        [""],
        [("", "UNCHECKED", OLD_MAP),
         ("", "UNCONDITIONAL", "==versions[now]"),
         ("", "WRITTEN_ON_TOP", "applied["),
         ("", "DOUBT_IS_NO", "applied[change]"),
         ("", "MAP_READ_FIRST", "applied[change]"),
         ("", "OVERWRITTEN_IS_NO", "applied[change]"),
         ("", "MAP_BEFORE_EPOCH", OLD_MAP)]),
}


class Search:
    """One model with its flags, in a directory of its own."""

    def __init__(self, compiler, place, model, flags):
        self.compiler, self.place, self.model = compiler, place, model
        self.flags = [f"-D{flag}" for flag in flags.split()]
        self.file = model + ".pml"
        shutil.copy(os.path.join(HERE, self.file), place)

    def command(self, *args):
        done = subprocess.run(args, cwd=self.place, text=True, check=False, timeout=LIMIT_S,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        return done.returncode, done.stdout

    def run(self):
        """What the search printed."""
        code, output = self.command("spin", "-a", *self.flags, self.file)
        assert code == 0 and "Error" not in output, output
        lasting = "ltl " in output
        options = ["-DNFAIR=3"] if lasting else ["-DSAFETY"]
        code, output = self.command(self.compiler, "-O2", "-w", "-DCOLLAPSE", "-DVECTORSZ=2048",
                                    f"-DMEMLIM={MEMORY_MIB}", *options, "-o", "pan", "pan.c")
        assert code == 0, output
        how = ["-a", "-f"] if lasting else []
        _, output = self.command("./pan", "-n", f"-m{DEPTH}", *how)
        complete = "errors: " in output and "MEMLIM" not in output and "too small" not in output
        assert complete, "the search was not complete:\n" + output
        return output

    def way(self):
        """The end of the way to the error, as spin tells it."""
        _, output = self.command("spin", "-t", "-p", "-g", *self.flags, self.file)
        steps = [line.strip() for line in output.splitlines() if "(state" in line]
        return "\n".join(steps[-60:])


def error_of(output):
    """The line that names the error; empty where there is none."""
    if re.search(r"errors: 0\b", output):
        return ""
    return next((line for line in output.splitlines() if line.startswith("pan:1:")), output)


def states_of(output):
    return re.search(r"(\d+) states, stored", output)[1]


def holds(search):
    output = search.run()
    error = error_of(output)
    assert not error, f"{error}\n{search.way()}"
    return f"{states_of(output)} states"


def is_found(search, what):
    error = error_of(search.run())
    assert what in error, f"wanted an error with '{what}', found '{error or 'none'}'"
    return error.partition(": ")[2]


def cases(chosen):
    for model, (settings, broken) in MODELS.items():
        if model in chosen:
            for flags in settings:
                yield model, flags, "holds " + flags, holds, ()
            for flags, name, what in broken:
                yield model, f"{flags} {name}", f"finds {name} {flags}", is_found, (what,)


def unused_variants():
    """What the models ask for, has no default there, and no case sets."""
    missing = []
    for path in sorted(glob.glob(os.path.join(HERE, "*.pml"))):
        model = os.path.basename(path)[:-len(".pml")]
        with open(path, encoding="utf-8") as file:
            text = file.read()
        asked = re.findall(r"^#ifn?def (\w+)$|defined\((\w+)\)", text, re.MULTILINE)
        defaults = re.findall(r"^#ifndef (\w+)\n#define \1\b", text, re.MULTILINE)
        names = {first or second for first, second in asked}.difference(defaults)
        used = " ".join(flags for of, flags, *_ in cases(MODELS) if of == model)
        missing += [f"{model}: {name}" for name in sorted(names)
                    if not re.search(rf"\b{name}\b", used)]
    return missing


def report(number, name, test):
    """One line of TAP, and why where it is not ok. Whether it is."""
    try:
        print(f"ok {number} - {name}: {test()}", flush=True)
        return True
    except (AssertionError, subprocess.TimeoutExpired) as error:
        print(f"not ok {number} - {name}")
        print("".join(f"# {line}\n" for line in str(error).splitlines()), end="", flush=True)
        return False


def every_variant_is_run():
    missing = unused_variants()
    assert not missing, f"no case sets {', '.join(missing)}"
    return "all"


def main():
    compiler, chosen = sys.argv[1], sys.argv[2:] or list(MODELS)
    if not shutil.which("spin"):
        print("1..0 # SKIP spin is not installed (scripts/setup --all)")
        return 0
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))  # directories are removed
    every = list(cases(chosen))
    print(f"1..{len(every) + 1}")
    good = report(1, "every variant is run", every_variant_is_run)
    for number, (model, flags, name, check, args) in enumerate(every, 2):
        with tempfile.TemporaryDirectory(prefix="s4-models-") as place:
            search = Search(compiler, place, model, flags)
            good &= report(number, f"{model} {name.strip()}", lambda: check(search, *args))
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
