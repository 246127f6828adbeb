#!/usr/bin/env python3
"""Every command's --help and its man page say the same: the options, the exit codes, an example; and
s4(1) has them all. TAP on stdout.

    man_test.py ROOT S4
"""
import os
import re
import subprocess
import sys

ROOT, S4 = os.path.abspath(sys.argv[1]), os.path.abspath(sys.argv[2])
PAGES = os.path.join(ROOT, "docs", "man")
EVERYWHERE = {"--help", "--usage"}  # argp's own


def page(name):
    with open(os.path.join(PAGES, f"{name}.1.scd"), encoding="utf-8") as file:
        return file.read()


def section(text, name):
    found = re.search(rf"^# {name}\n(.*?)(?=^# |\Z)", text, re.DOTALL | re.MULTILINE)
    return found[1] if found else ""


def said(*arguments):
    done = subprocess.run([S4, *arguments], check=False, text=True, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE)
    assert done.returncode == 0, f"s4 {' '.join(arguments)}: {done.returncode}\n{done.stderr}"
    return done.stdout


def commands():
    found = re.findall(r"^  (\w+)  +\w", said("--help").split("Example")[0], re.MULTILINE)
    assert len(found) > 10, found
    return [name for name in found if name != "help"]


def options_are_the_same():
    for name in commands():
        helps = set(re.findall(r"^ +(?:-\w, |    )(--[\w-]+)", said(name, "--help"), re.MULTILINE))
        mans = set(re.findall(r"^(?:\*-\w\*, )?(?=\*--).*", section(page(f"s4-{name}"), "OPTIONS"),
                              re.MULTILINE))
        mans = {option for line in mans for option in re.findall(r"\*(--[\w-]+)\*", line)}
        assert mans and helps - EVERYWHERE == mans, f"{name}: --help {sorted(helps)}, man {sorted(mans)}"


def exit_codes_are_the_same():
    for name in commands():
        helps = re.search(r"^Exit codes: (.*)", said(name, "--help"), re.DOTALL | re.MULTILINE)
        assert helps, f"{name}: --help has no exit codes"
        helps = set(re.findall(r"(?:^|; )(\d+) ", helps[1].replace("\n", " ")))
        mans = set(re.findall(r"^\*(\d+)\*$", section(page(f"s4-{name}"), "EXIT CODES"), re.MULTILINE))
        assert helps == mans, f"{name}: --help {sorted(helps)}, man {sorted(mans)}"


def examples_are_there():
    for name in commands():
        assert re.search(rf"Example:\n  s4 .*{name}", said(name, "--help")), f"{name}: no example"
        assert f"s4 {name}" in section(page(f"s4-{name}"), "EXAMPLE"), f"s4-{name}(1): no example"


def pages_are_whole():
    listed = page("s4")
    for name in commands():
        assert f"*s4-{name}*(1)" in listed, f"s4(1) does not name s4-{name}(1)"
    for file in os.listdir(PAGES):
        text = page(file.removesuffix(".1.scd"))
        for hole in ("\\*\\*[,. ]", " __[,. ]", "[^\\\\]\\$\\W"):
            assert not re.search(hole, text), f"{file}: {re.search(hole, text)[0]!r} names nothing"


TESTS = [options_are_the_same, exit_codes_are_the_same, examples_are_there, pages_are_whole]


def main():
    print(f"1..{len(TESTS)}")
    failed = 0
    for number, test in enumerate(TESTS, 1):
        try:
            test()
            print(f"ok {number} - {test.__name__}")
        except AssertionError as error:
            failed += 1
            print(f"not ok {number} - {test.__name__}")
            print("".join(f"# {line}\n" for line in str(error).splitlines()), end="")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
