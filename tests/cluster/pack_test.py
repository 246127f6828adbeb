#!/usr/bin/env python3
"""`s4 pack`, above all the files of an app.

    pack_test.py S4 BUNDLE
"""
import os
import shutil

from cluster import BUNDLE, bundle, main, parts_of, path, s4, test, write

LIBRARY = os.path.join(os.path.dirname(BUNDLE), "stopwords.so")


def folder(name, files):
    """A folder with these files, made anew."""
    shutil.rmtree(path(name), ignore_errors=True)
    os.makedirs(path(name))
    for file, content in files.items():
        os.makedirs(os.path.dirname(path(f"{name}/{file}")), exist_ok=True)
        write(f"{name}/{file}", content)
    return path(name)


def pack(*options):
    manifest = write("app.yaml", "app: stopwords\nversion: '1'\n")
    return s4("pack", manifest, LIBRARY, "--output", path("stopwords.s4r"), *options)


def refused(files, code, message):
    """It says so, and what was there stays."""
    write("stopwords.s4r", "before")
    done = pack("--files", files).expect(code)
    assert message in done.err, done
    with open(path("stopwords.s4r"), encoding="utf-8") as file:
        assert file.read() == "before"


@test
def an_app_reads_the_files_of_its_bundle():
    pack("--files", folder("given", {"stop/words.txt": "the\nof\n", "more": b"\0"})).expect(0)
    done = s4("run", path("stopwords.s4r"), "-i", "lines=-", "-o", "totals=-", given="of\nink\n")
    assert [row["key"] for row in done.expect(0).json()] == ["ink"], done
    shown = s4("inspect", "--json", path("stopwords.s4r")).expect(0).json()[0]
    assert (shown["files"], shown["files_size"]) == (2, 8), shown
    assert "files: 2, 8 bytes" in s4("inspect", path("stopwords.s4r")).expect(0).out


@test
def equal_files_give_equal_bundles():
    bundles = []
    for name in ("one", "other"):
        files = {"b/c": "2", "a": "1"} if name == "one" else {"a": "1", "b/c": "2"}
        pack("--files", folder(name, files) + "//").expect(0)
        with open(path("stopwords.s4r"), "rb") as file:
            bundles.append(file.read())
    assert bundles[0] == bundles[1]


@test
def without_its_file_the_app_does_not_start():
    pack().expect(0)
    done = s4("run", path("stopwords.s4r"), "-i", "lines=-")
    assert done.code == 1 and "stop/words.txt is not in the bundle" in done.err, done


@test
def what_is_no_file_is_refused():
    files = folder("links", {"a": "1"})
    os.symlink("/etc/passwd", f"{files}/b")
    refused(files, 1, "links/b: neither a file nor a folder; a bundle has no links or devices")
    os.unlink(f"{files}/b")
    os.mkfifo(f"{files}/b")
    refused(files, 1, "links/b: neither a file nor a folder")
    refused(f"{files}/a", 1, "links/a: not a folder")
    refused(path("nowhere"), 1, "nowhere: No such file or directory")
    refused("", 1, "No such file or directory")


@test
def files_have_limits():
    most = 1000 - 4  # app.yaml, graph, schema, library
    files = folder("many", {f"{i}": "" for i in range(most)})
    pack("--files", files).expect(0)
    assert s4("check", path("stopwords.s4r")).code in (0, 6)
    write("many/more", "")
    refused(files, 6, "the bundle has more than 1000 files")
    deep = "d" * 97 + "/" + "e" * 96
    pack("--files", folder("deep", {deep: ""})).expect(0)
    refused(folder("deep", {deep + "e": ""}), 1, "of at most 200 plain letters")
    refused(folder("odd", {"a b": ""}), 1, 'the path "files/a b" is not taken')
    refused(folder("zeros", {"zeros": bytes(20 << 20)}), 6, "unpacks to more than 100 times its size")
    with open(path("zeros/zeros"), "wb") as file:
        file.truncate((64 << 20) + 1)
    refused(path("zeros"), 1, "larger than 67108864 bytes")


@test
def check_lists_the_problems_for_programs():
    pack().expect(0)
    fine = s4("check", "--json", path("stopwords.s4r")).expect(0).json()[0]
    assert fine.pop("build_id"), fine
    assert fine == {"ok": True, "app": "stopwords", "version": "1", "problems": [],
                    "more": 0}, fine
    parts = parts_of(path("stopwords.s4r"))
    parts["app.yaml"] = b"app: stopwords\nversion: '1'\nstrems: {}\nparked_after: x\n"
    parts["odd"] = b""
    bad = bundle("bad.s4r", *parts.items())
    done = s4("check", "--json", bad).expect(6)
    found = done.json()[0]
    assert not found["ok"] and found["more"] == 0 and len(found["problems"]) == 3, found
    for problem in found["problems"]:
        line = f":{problem['line']}:{problem['column']}" if "line" in problem else ""
        assert f"{problem['file']}{line}: {problem['message']}\n" in done.err, (problem, done)
    unknown, wrong, odd = found["problems"]
    assert (unknown["file"], unknown["line"], unknown["column"]) == ("app.yaml", 3, 1), unknown
    assert unknown["code"] == "NOT_FOUND" and unknown["message"].startswith('unknown key "strems"')
    assert (wrong["line"], wrong["column"], wrong["file"]) == (4, 15, "app.yaml"), wrong
    assert odd["file"] == bad and odd["code"] == "INVALID" and "line" not in odd, odd
    done = s4("check", "--json", path("nowhere")).expect(1)
    assert done.json()[0]["problems"] == [{"file": path("nowhere"), "code": "NOT_FOUND",
                                           "message": "No such file or directory"}], done
    assert done.err == f"s4 check: {path('nowhere')}: No such file or directory\n", done


main()
