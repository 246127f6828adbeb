#!/bin/sh
# Queries as s4 counts them, and as sort and uniq do.
#
#   run.sh S4 BUNDLE
set -eu
export LC_ALL=C
s4=$1 bundle=$(realpath "$2")

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"

awk 'BEGIN {
    srand(7)
    for (line = 0; line < 20000; line++)
        print "how to " int(exp(rand() * 7)) " café"
}' >queries
# Some of them as another client would write them.
awk '{
    if (NR % 3 == 0)
        sub("é", "\\u00e9")
    printf "{\"text\": \"%s\"%s}\n", $0, NR % 2 ? ", \"user\": \"u" NR % 17 "\"" : ""
}' queries >queries.jsonl

sort queries | uniq -c |
    sed 's/^ *\([0-9]*\) \(.*\)$/{"query":"\2","count":\1}/' | sort >wanted

check() {
    echo "# $*"
    "$s4" run "$bundle" --inject queries=queries.jsonl --output counts=counts "$@"
    sort counts | diff -u wanted -
}
check
check --workers 3 --slots 7
