#!/usr/bin/env python3
"""What is installed is enough: `s4 new app` makes a project that builds, tests and packs as it stands,
and a program links the client library.

    installed_test.py S4 BUNDLE BUILD SOURCE CC
"""
import glob
import os
import re
import shlex
import shutil
import subprocess
import sys

from cluster import LIMIT, PLACE, Node, environment, main, path, test, BUNDLE

BUILD, SOURCE, CC = os.path.abspath(sys.argv[3]), os.path.abspath(sys.argv[4]), sys.argv[5]
ROOT = path("root")


def sh(*argv, cwd=PLACE, **env):
    done = subprocess.run(argv, cwd=cwd, check=False, timeout=5 * LIMIT, env=environment(**env),
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert done.returncode == 0, f"{' '.join(argv)}\n{done.stdout}"
    return done.stdout


def install():
    """Into a folder of our own, whose package files are told where they are."""
    if os.path.isdir(ROOT):
        return
    sh("meson", "install", "-C", BUILD, "--no-rebuild", "--destdir", ROOT)
    for package in glob.glob(f"{ROOT}/**/pkgconfig/s4*.pc", recursive=True):
        with open(package, encoding="utf-8") as file:
            text = file.read()
        with open(package, "w", encoding="utf-8") as file:
            file.write(re.sub(r"^prefix=", f"prefix={ROOT}", text, flags=re.MULTILINE))


def installed():
    package = glob.glob(f"{ROOT}/**/pkgconfig/s4.pc", recursive=True)
    assert len(package) == 1, package
    library = glob.glob(f"{ROOT}/**/libs4client.so", recursive=True)
    return {"PKG_CONFIG_PATH": os.path.dirname(package[0]),
            "LD_LIBRARY_PATH": os.path.dirname(library[0])}


@test
def a_new_app_builds_as_it_stands():
    install()
    program = sh("pkg-config", "--variable=s4", "s4", **installed()).strip()
    sh(program, "new", "app", "hello")
    project = path("hello")
    sh("meson", "setup", "build", cwd=project, **installed())
    sh("ninja", "-C", "build", cwd=project, **installed())
    assert "fine" in sh(program, "check", "build/hello.s4r", cwd=project)
    sh("meson", "test", "-C", "build", cwd=project, **installed())
    shutil.rmtree(project)


@test
def a_new_app_says_what_it_lacks():
    install()
    program = sh("pkg-config", "--variable=s4", "s4", **installed()).strip()
    sh(program, "new", "app", "lacking")
    done = subprocess.run(["meson", "setup", "build"], cwd=path("lacking"), check=False, text=True,
                          timeout=LIMIT, env=environment(PKG_CONFIG_LIBDIR=path("nowhere")),
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    assert done.returncode != 0 and "s4 is not installed where pkg-config looks" in done.stdout, done
    shutil.rmtree(path("lacking"))


@test
def the_readmes_app_is_so():
    install()
    with open(os.path.join(SOURCE, "..", "..", "README.md"), encoding="utf-8") as file:
        steps = re.search(r"^    s4 new app hello.*?^    s4 stop$", file.read(), re.S | re.M)[0]
    ready = path("readme-ready")
    node = f"s4 node >{ready} & until grep -q ready {ready}; do :; done"
    script = f": >{ready}\n" + steps.replace("s4 node &", node)
    program = sh("pkg-config", "--variable=s4", "s4", **installed()).strip()
    search = f"{os.path.dirname(program)}:{os.environ['PATH']}"
    said = sh("sh", "-eu", "-c", script + "\nwait", PATH=search, S4_NODE=path("readme-node"),
              **installed())
    assert said.count("word") >= 2 and "0 rejected" in said, said
    assert re.search(r"^hello 0.1.0 runs$", said, re.MULTILINE), said
    rows = said[said.index("0 unacknowledged"):].splitlines()
    assert rows[1].split() == ["word", "n"] and len(rows) == 12 + 5, said
    assert all(re.match(r'\+ {"word":"', row) for row in rows[12:]), said


@test
def the_bundles_of_the_tree_build_outside_of_it():
    install()
    for name in ["querycount", "wordcount"]:
        project = path(name)
        shutil.copytree(os.path.join(SOURCE, "..", "..", "apps", name), project)
        sh("meson", "setup", "build", cwd=project, **installed())
        sh("ninja", "-C", "build", cwd=project, **installed())
        sh("meson", "test", "-C", "build", "--print-errorlogs", cwd=project, **installed())
        shutil.rmtree(project)


@test
def a_program_links_the_client():
    install()
    flags = shlex.split(sh("pkg-config", "--cflags", "--libs", "s4-client", **installed()))
    source = os.path.join(SOURCE, "client_program.c")
    sh(CC, "-std=c11", "-Wall", "-Wextra", "-Werror", "-o", "client", source, *flags)
    with Node() as node:
        node.s4("deploy", BUNDLE).expect(0)
        printed = sh(path("client"), S4_NODE=node.dir, **installed())
    assert printed == '{"key":"be","n":2,"sum":0} 8 10\nkey\nn\nsum\n', printed


@test
def the_clients_header_is_fine_in_cxx():
    install()
    compiler = shutil.which("c++")
    if compiler:  # the header says extern "C" to whoever has one
        flags = shlex.split(sh("pkg-config", "--cflags", "s4-client", **installed()))
        with open(path("empty.cc"), "w", encoding="utf-8") as file:
            file.write("#include <s4/client.h>\nint main() { return S4_OK; }\n")
        sh(compiler, "-std=c++17", "-Wall", "-Wextra", "-Werror", "-fsyntax-only", "empty.cc", *flags)


main()
