#!/usr/bin/env python3
"""The sources that a build compiles and that somebody wrote (not generated), largest first, one per
line; with --json, their entries of the compilation database.

    written.py BUILD [--json]
"""
import json
import os
import sys


def main():
    build = os.path.realpath(sys.argv[1])
    root = os.path.dirname(build)
    with open(os.path.join(build, "compile_commands.json"), encoding="utf-8") as file:
        commands = json.load(file)
    found = {}
    for command in commands:
        path = os.path.realpath(os.path.join(command["directory"], command["file"]))
        if not path.startswith(build + "/"):
            found.setdefault(os.path.relpath(path, root), command)
    if "--json" in sys.argv:
        json.dump(list(found.values()), sys.stdout)
    else:
        print("\n".join(sorted(found, key=os.path.getsize, reverse=True)))


if __name__ == "__main__":
    sys.exit(main())
