#!/bin/sh
# The words of a text as s4 counts them, and as tr, sed, cut, sort and uniq do: both tables must be the
# same, for any number of workers and slots and in any order of the lines.
#
#   run.sh S4 BUNDLE SAMPLE
set -eu
export LC_ALL=C
s4=$1 bundle=$(realpath "$2") sample=$(realpath "$3")

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"

# The sample, and lines of words that are the rarer the longer they are.
cat "$sample" >text
awk 'BEGIN {
    srand(11)
    for (line = 0; line < 4000; line++) {
        words = ""
        for (n = int(rand() * 12); n > 0; n--)
            words = words " w" int(exp(rand() * 8))
        print words
    }
}' >>text
awk 'BEGIN { srand(12) } { print rand() "\t" $0 }' text | sort | cut -f2- >shuffled

tr '[:upper:]' '[:lower:]' <text | tr -cs "a-z0-9'" '\n' | sed "s/^'*//; s/'*\$//; /^\$/d" | cut -b1-64 |
    sort | uniq -c >counted
awk '{ printf "{\"word\":\"%s\",\"n\":%d}\n", $2, $1 }' counted | sort >counts.wanted
sort -k1,1nr -k2,2 counted | head -n 20 |
    awk '{ printf "{\"rank\":%d,\"word\":\"%s\",\"n\":%d}\n", NR, $2, $1 }' >top.wanted

check() {
    echo "# $*"
    input=$1
    shift
    "$s4" run "$bundle" --inject "lines=$input" --format text --output counts=counts \
        --output top=top "$@"
    sort counts | diff -u counts.wanted -
    diff -u top.wanted top
}
check text
check text --workers 4
check shuffled --workers 2 --slots 3
check shuffled --slots 1 --block-size 1k
