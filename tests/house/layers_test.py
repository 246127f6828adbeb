#!/usr/bin/env python3
"""scripts/layers finds what it is there to find: each test plants one offence in a copy of the tree
(for symbols, in a small build of its own) and expects it to be named. TAP on stdout.

    layers_test.py ROOT
"""
import json
import os
import shutil
import subprocess
import sys
import tempfile

import tap

ROOT = os.path.abspath(sys.argv[1])
TOPS = ["proto", "runtime", "router", "pe", "apps", "tests", "scripts"]


def write(root, path, text):
    place = os.path.join(root, path)
    os.makedirs(os.path.dirname(place), exist_ok=True)
    with open(place, "w", encoding="utf-8") as file:
        file.write(text)


def layers(root, *args):
    done = subprocess.run([sys.executable, os.path.join(root, "scripts/layers"), *args], text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
    return done.returncode, done.stdout


def expect(root, what, *args):
    code, output = layers(root, *args)
    if code != 1 or what not in output:
        raise AssertionError(f"wanted exit code 1 and '{what}', got {code} and:\n{output}")


def copy_tree(root):
    for top in TOPS:
        shutil.copytree(os.path.join(ROOT, top), os.path.join(root, top))


def clean_tree_passes(root):
    code, output = layers(root)
    if code != 0:
        raise AssertionError(output)


def upward_between_folders(root):
    write(root, "pe/host/planted.h", "struct planted;\n")
    write(root, "runtime/base/planted.c", '#include "pe/host/planted.h"\n')
    expect(root, "runtime/base/planted.c:1: includes pe/host/planted.h, which lies above")


def upward_inside_a_folder(root):
    write(root, "runtime/base/planted.c", '\n#include "runtime/record/record.h"\n')
    expect(root, "runtime/base/planted.c:2: includes runtime/record/record.h, which lies above")


def upward_to_a_public_header(root):
    write(root, "pe/include/s4/planted.h", "struct planted;\n")
    write(root, "runtime/base/planted.c", "#include <s4/planted.h>\n")
    expect(root, "runtime/base/planted.c:1: includes pe/include/s4/planted.h, which lies above")


def header_cycle(root):
    write(root, "runtime/record/planted_a.h", '#include "runtime/record/planted_b.h"\n')
    write(root, "runtime/record/planted_b.h", '#include "runtime/record/planted_a.h"\n')
    expect(root, "header cycle: runtime/record/planted_a.h -> runtime/record/planted_b.h -> "
                 "runtime/record/planted_a.h")


def engine_header_in_a_bundle(root):
    write(root, "apps/planted/planted.c", '#include "runtime/base/base.h"\n')
    expect(root, "apps/planted may use only the public headers")


def unknown_folder(root):
    write(root, "runtime/elsewhere/planted.c", "int planted;\n")
    expect(root, "runtime/elsewhere/planted.c: its folder is not in the list")


def unknown_header(root):
    write(root, "runtime/base/planted.c", '#include "planted.h"\n')
    expect(root, "runtime/base/planted.c:1: includes planted.h, which lies in no folder")


def upward_symbol(root):
    """The declaration is repeated by hand, so that no #include gives it away."""
    write(root, "pe/host/upper.c", "int planted_upper(void) { return 1; }\n")
    write(root, "runtime/base/lower.c",
          "int planted_upper(void);\nint planted_lower(void) { return planted_upper(); }\n")
    build = os.path.join(root, "build")
    os.mkdir(build)
    commands = []
    for source in ["pe/host/upper.c", "runtime/base/lower.c"]:
        output = source.replace("/", "_") + ".o"
        subprocess.run(["cc", "-c", os.path.join("..", source), "-o", output], cwd=build, check=True)
        commands.append({"directory": build, "file": os.path.join("..", source), "output": output})
    write(build, "compile_commands.json", json.dumps(commands))
    expect(root, "runtime/base/lower.c: uses planted_upper, which only pe/host/upper.c defines",
           "--build", build)


def nothing_built(root):
    write(root, "build/compile_commands.json", "[]")
    expect(root, "no object file is built", "--build", os.path.join(root, "build"))


TESTS = [clean_tree_passes, upward_between_folders, upward_inside_a_folder,
         upward_to_a_public_header, header_cycle, engine_header_in_a_bundle, unknown_folder,
         unknown_header, upward_symbol, nothing_built]


def in_a_copy(test):
    with tempfile.TemporaryDirectory(prefix="s4-layers-") as root:
        copy_tree(root)
        test(root)


if __name__ == "__main__":
    sys.exit(tap.run(TESTS, in_a_copy))
