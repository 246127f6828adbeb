#!/usr/bin/env python3
"""Writes the templates of `s4 new` as C: embed.py OUT PATH=FILE... where PATH is the file's place in
the new project. What it writes is an array `new_files` of { path, text }, ended by NULLs."""
import sys


def literal(text):
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\t", "\\t")
    return "\n".join(f'     "{line}\\n"' for line in escaped.splitlines())


def main():
    with open(sys.argv[1], "w", encoding="utf-8") as out:
        out.write("/* Made by embed.py. */\n"
                  '#include "apps/s4/template/template.h"\n\n'
                  "const struct new_file new_files[] = {\n")
        for argument in sys.argv[2:]:
            path, file = argument.split("=", 1)
            with open(file, encoding="utf-8") as template:
                out.write(f'    {{ "{path}",\n{literal(template.read())} }},\n')
        out.write("    { NULL, NULL },\n};\n")


main()
