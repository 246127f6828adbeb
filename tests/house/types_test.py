#!/usr/bin/env python3
"""What the public headers say does not compile does not, with the compiler's warnings as they are by
default: one app, and changes to it that each give something the wrong type. TAP on stdout.

    types_test.py ROOT CC
"""
import os
import shlex
import subprocess
import sys
import tempfile

ROOT, CC = os.path.abspath(sys.argv[1]), sys.argv[2:]

PROTO = """syntax = "proto2";
message Word { required string text = 1; }
message Other { required string text = 1; }
"""
APP = """#include <s4/s4.h>
#include "words.pb-c.h"
S4_STREAM(words, Word, word);
S4_TABLE(counts, Word, word, "text");
static s4_status look_up(s4_job *job, const Word *word)
{
    return s4_answer(job, word);
}
S4_REQUEST(lookup, Word, word, Word, word, look_up);
struct state { uint64_t n; };
struct wrong { uint64_t n; };
static s4_status on_word(s4_ctx *ctx, struct state *self, const Word *word)
{
    Other other = OTHER__INIT;
    other.text = word->text;
    self->n += other.text[0];
    s4_status status = s4_emit(ctx, &words, word);
    if (status == S4_OK)
        status = s4_publish(ctx, &counts, word);
    if (status == S4_OK)
        status = s4_unpublish(ctx, &counts, word);
    return status == S4_OK ? s4_ask(ctx, &lookup, word) : status;
}
static s4_status on_answer(s4_ctx *ctx, struct state *self, s4_status status, const Word *word)
{
    return s4_publish(ctx, &counts, word);
}
static s4_status create(s4_ctx *ctx, struct state *self)
{
    return S4_OK;
}
static s4_status query(s4_ctx *ctx, const struct state *self)
{
    return S4_OK;
}
static const s4_answer_handler answers[] = { S4_ANSWER(struct state, on_answer, lookup) };
S4_CLASS(counter, struct state, S4_FLAT, .create = create, .query = query,
         .reply = &word__descriptor, S4_ANSWERS(answers));
S4_PROTOTYPE(counters, counter, S4_ON(counter, on_word, words, "text"));
S4_APP(types, S4_STREAMS(&words.base), S4_PROTOTYPES(&counters), S4_OUTPUTS(&counts.base),
       S4_REQUESTS(&lookup.base));
"""
CHANGES = [
    ("a handler of another event", "self, const Word *word)\n{\n    Other",
     "self, const Other *word)\n{\n    Other"),
    ("a handler of another state",
     "on_word(s4_ctx *ctx, struct state",
     "on_word(s4_ctx *ctx, struct wrong"),
    ("an event of another type",
     "s4_emit(ctx, &words, word)",
     "s4_emit(ctx, &words, &other)"),
    ("a row of another type",
     "s4_publish(ctx, &counts, word);\n    if",
     "s4_publish(ctx, &counts, &other);\n    if"),
    ("a row to take away of another type",
     "s4_unpublish(ctx, &counts, word)",
     "s4_unpublish(ctx, &counts, &other)"),
    ("a question of another type",
     "s4_ask(ctx, &lookup, word)",
     "s4_ask(ctx, &lookup, &other)"),
    ("a request of another question",
     "look_up(s4_job *job, const Word",
     "look_up(s4_job *job, const Other"),
    ("a handler of another answer",
     "s4_status status, const Word",
     "s4_status status, const Other"),
    ("a callback of another state",
     "create(s4_ctx *ctx, struct state",
     "create(s4_ctx *ctx, struct wrong"),
    ("a query of another state",
     "query(s4_ctx *ctx, const struct state",
     "query(s4_ctx *ctx, const struct wrong"),
]


def compiles(place, text):
    with open(os.path.join(place, "app.c"), "w", encoding="utf-8") as file:
        file.write(text)
    flags = subprocess.run(["pkg-config", "--cflags", "libprotobuf-c"], check=True, text=True,
                           stdout=subprocess.PIPE).stdout
    done = subprocess.run([*CC, "-std=gnu17", "-fsyntax-only", f"-I{ROOT}/runtime/include",
                           f"-I{ROOT}/pe/include", *shlex.split(flags), "app.c"], cwd=place,
                          check=False, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    return done.returncode == 0, done.stdout


def main():
    print(f"1..{len(CHANGES) + 1}")
    failed = 0
    with tempfile.TemporaryDirectory(prefix="s4-types-") as place:
        with open(os.path.join(place, "words.proto"), "w", encoding="utf-8") as file:
            file.write(PROTO)
        subprocess.run(["protoc-c", "--c_out=.", "words.proto"], cwd=place, check=True)
        cases = [("as it stands", "", "", True)] + [(*change, False) for change in CHANGES]
        for number, (name, was, becomes, wanted) in enumerate(cases, 1):
            assert APP.count(was) == 1 or not was, f"{name}: {APP.count(was)} places"
            found, said = compiles(place, APP.replace(was, becomes) if was else APP)
            failed += found != wanted
            print(f"{'ok' if found == wanted else 'not ok'} {number} - {name}")
            if found != wanted:
                print("".join(f"# {line}\n" for line in said.splitlines()), end="")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
