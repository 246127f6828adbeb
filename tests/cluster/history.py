#!/usr/bin/env python3
"""Whether what clients were told and saw agrees with what the tables hold in the end.

    history.py --accounts ROWS --seconds ROWS [--lost-max N] [--seconds-lost-max N] HISTORY...

HISTORY are the lines of load.c and reader.c, ROWS the tables of ledger.c (s4 query --json). Prints
what is wrong, a line each, then how much was lost; exits with 1 if anything is.

Each batch ends as acknowledged, in doubt (nobody knows), or refused (not taken). Wrong is:

    lost       more acknowledged entries are not counted than were allowed to be lost
    doubled    entries counted that were not sent, or more often: more than acknowledged and in doubt,
               or the numbers of an account do not add up
    reordered  a number that came after a greater one of the same sender and key
    gap        a number missing in between that is neither in doubt, refused, nor within the loss
    twice      a batch acknowledged twice as if each time were the first
    refused    an entry that the node could not read, though it was right
    unanswered a batch with no outcome
    passed     the second stage does not have what the first one passed on
    backwards  a client saw a row, and later an older one; or a row that is not there any more
    counters   a node dropped something by a policy
"""
import argparse
import collections
import json
import sys

KNUTH, STRIDE, VALUES = 2654435761, 40503, 1000  # as load.c has them
DOUBT = ("IN_DOUBT", "UNAVAILABLE")
DROPS = ("dead_letters", "shed", "mailbox_dropped", "rows_dropped", "rows_refused", "parked")
SHOWN_MAX = 20  # of each kind

Result = collections.namedtuple("Result", "problems lost lost_seconds acknowledged doubted")


class Truth:
    """What was sent for one sender and key."""
    __slots__ = ("acked", "acked_sum", "doubted", "doubted_sum", "refused", "sent")

    def __init__(self):
        self.acked = self.acked_sum = self.doubted = self.doubted_sum = self.refused = 0
        self.sent = 0  # the last number


class Check:
    """One history. Rows are dicts of ints."""

    def __init__(self, lines, accounts, seconds):
        self.problems = collections.defaultdict(list)
        self.keys = {}     # by sender
        self.batches = {}  # (sender, number): (first, count)
        self.outcome = {}  # (sender, number): "ok", "doubt", "refused"
        self.reads = []
        for line in lines:
            getattr(self, "on_" + line["op"])(line)
        self.accounts = self.by_key("accounts", accounts)
        self.seconds = self.by_key("seconds", seconds)
        self.truth = self.sum_up()

    def wrong(self, kind, text):
        self.problems[kind].append(text)

    # ---- the lines -----------------------------------------------------------------------------

    def on_begin(self, line):
        self.keys[line["sender"]] = line["keys"]

    def on_send(self, line):
        which = line["sender"], line["number"]
        batch = line["first"], line["count"]
        if self.batches.setdefault(which, batch) != batch:
            self.wrong("twice", f"batch {which} was sent with other entries under its number")

    def on_done(self, line):
        which = line["sender"], line["number"]
        before = self.outcome.get(which)
        if line["status"] == "OK":
            if line["rejected"]:
                self.wrong("refused", f"batch {which}: {line['rejected']} entries")
            if before == "ok" and not line["duplicate"]:
                self.wrong("twice", f"batch {which}")
            self.outcome[which] = "ok"
        elif before != "ok":
            doubt = line["status"] in DOUBT or before == "doubt"
            self.outcome[which] = "doubt" if doubt else "refused"

    def on_read(self, line):
        self.reads.append(line)

    def on_missed(self, line):
        """Said, and nothing promised it."""

    def on_end(self, line):
        """The sender is done; its batches tell the rest."""

    def on_counters(self, line):
        for name in DROPS:
            if line.get(name):
                self.wrong("counters", f"node {line['node']}: {name} is {line[name]}")

    # ---- what was sent -------------------------------------------------------------------------

    def sum_up(self):
        truth = collections.defaultdict(Truth)
        for sender, keys in self.keys.items():
            mine = [(number, batch) for (who, number), batch in self.batches.items()
                    if who == sender]
            of_key = [None] * keys
            for number, (first, count) in sorted(mine, key=lambda each: each[1][0]):
                outcome = self.outcome.get((sender, number))
                if outcome is None:
                    self.wrong("unanswered", f"batch {sender, number}")
                self.add(of_key, sender, range(first, first + count), outcome)
            for key, one in enumerate(of_key):
                if one:
                    truth[sender, key] = one
        return truth

    @staticmethod
    def add(of_key, sender, entries, outcome):
        keys, shift = len(of_key), sender * STRIDE
        for i in entries:
            key = (i * KNUTH + shift & 0xffffffff) % keys
            one = of_key[key]
            if one is None:
                one = of_key[key] = Truth()
            one.sent += 1
            if outcome == "ok":
                one.acked += 1
                one.acked_sum += i % VALUES
            elif outcome == "refused":
                one.refused += 1
            else:
                one.doubted += 1
                one.doubted_sum += i % VALUES

    # ---- what is there -------------------------------------------------------------------------

    def by_key(self, table, rows):
        there = {}
        for row in rows:
            which = row["sender"], row["key"]
            if which in there:
                self.wrong("doubled", f"{table} {which}: two rows")
            there[which] = row
        return there

    def check_row(self, table, which, row, lossless):
        """How many acknowledged entries are missing in it."""
        one = self.truth.get(which) or Truth()
        name = f"{table} {which}"
        if row["n"] > one.acked + one.doubted:
            self.wrong("doubled", f"{name}: {row['n']} counted, {one.acked} acknowledged and "
                                  f"{one.doubted} in doubt")
        if row["back"]:
            self.wrong("reordered", f"{name}: {row['back']} numbers came late or twice")
        elif row["lives"] == 1 and row["n"] + row["gaps"] != row["last"] - row["first"] + 1:
            self.wrong("doubled", f"{name}: {row['n']} numbers and {row['gaps']} gaps from "
                                  f"{row['first']} to {row['last']}")
        if row["sum"] > one.acked_sum + one.doubted_sum:
            self.wrong("doubled", f"{name}: a sum of {row['sum']} from entries of "
                                  f"{one.acked_sum + one.doubted_sum}")
        if lossless:
            self.check_whole(name, one, row)
        return max(0, one.acked - row["n"])

    def check_whole(self, name, one, row):
        missing = row["gaps"] + row["first"] - 1 + max(0, one.sent - row["last"])
        if row["lives"] > 1:
            self.wrong("lost", f"{name}: what sent it began anew {row['lives'] - 1} times")
        elif missing > one.doubted + one.refused:
            self.wrong("gap", f"{name}: {missing} numbers are missing, {one.doubted} are in doubt "
                              f"and {one.refused} refused")
        if not one.doubted and row["n"] == one.acked and row["sum"] != one.acked_sum:
            self.wrong("doubled", f"{name}: a sum of {row['sum']}, not of {one.acked_sum}")

    def check_accounts(self, lost_max):
        lost = 0
        for which in self.truth.keys() | self.accounts.keys():
            row = self.accounts.get(which)
            if row is None:
                lost += self.truth[which].acked
            else:
                lost += self.check_row("accounts", which, row, lost_max == 0)
        if lost > lost_max:
            self.wrong("lost", f"accounts: {lost} acknowledged entries; {lost_max} are accounted for")
        return lost

    def check_seconds(self, lost_max):
        """Each entry that the first stage counted is passed on with its own number: without any
        loss the second one has just these. What a node passed on and had not acknowledged when it
        died, its sender sends again, and who took its place passes it on again: so an entry may be
        there twice, but only from one that began anew."""
        lost = 0
        for which in self.truth.keys() | self.seconds.keys():
            one = self.truth.get(which) or Truth()
            row, first = self.seconds.get(which), self.accounts.get(which)
            n = row["n"] if row else 0
            lost += max(0, one.acked - n)
            if row and row["back"]:
                self.wrong("reordered", f"seconds {which}: {row['back']} numbers came late or twice")
            again = row and row["lives"] > 1 and lost_max > 0
            if n > one.acked + one.doubted and not again:
                self.wrong("doubled", f"seconds {which}: {n} counted, {one.acked} acknowledged and "
                                      f"{one.doubted} in doubt")
            if lost_max == 0 and first and (not row or n != first["n"] or row["gaps"] or
                                            row["sum"] != first["sum"]):
                self.wrong("passed", f"seconds {which}: {row}, the first stage has {first}")
        if lost > lost_max:
            self.wrong("lost", f"seconds: {lost} acknowledged entries; {lost_max} are accounted for")
        return lost

    def check_reads(self):
        seen, fresh = {}, {}
        for line in self.reads:
            row, table = numbers(line["row"]), line["table"]
            what = line["reader"], table, row["sender"], row["key"]
            before = seen.get(what)
            if before and (row["life"], row["n"]) < (before["life"], before["n"]):
                self.wrong("backwards", f"{what} saw {row['n']} after {before['n']}")
            part = (*what, row["life"])
            if line["fresh_us"] < fresh.get(part, 0):
                self.wrong("backwards", f"{what}: as of {line['fresh_us']} after {fresh[part]}")
            seen[what], fresh[part] = row, line["fresh_us"]
        for (reader, table, *which), row in seen.items():
            last = getattr(self, table).get(tuple(which))
            if last is None or (last["life"], last["n"]) < (row["life"], row["n"]):
                self.wrong("backwards", f"{reader} saw {row} in {table}, and in the end there is {last}")


def numbers(row):
    """JSON has 64-bit numbers as text where a program might round them."""
    return {name: int(value) for name, value in row.items()}


def check(lines, accounts, seconds, lost_max=0, seconds_lost_max=0):
    """A Result; `problems` is a list of "kind: what" and empty if all is well."""
    one = Check(lines, map(numbers, accounts), map(numbers, seconds))
    lost = one.check_accounts(lost_max)
    lost_seconds = one.check_seconds(seconds_lost_max)
    one.check_reads()
    problems = []
    for kind, texts in one.problems.items():
        problems += [f"{kind}: {text}" for text in texts[:SHOWN_MAX]]
        if len(texts) > SHOWN_MAX:
            problems.append(f"{kind}: and {len(texts) - SHOWN_MAX} more")
    return Result(problems, lost, lost_seconds, sum(each.acked for each in one.truth.values()),
                  sum(each.doubted for each in one.truth.values()))


def lines_of(place):
    with open(place, encoding="utf-8") as file:
        return [json.loads(line) for line in file]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--accounts", required=True)
    parser.add_argument("--seconds", required=True)
    parser.add_argument("--lost-max", type=int, default=0)
    parser.add_argument("--seconds-lost-max", type=int, default=0)
    parser.add_argument("history", nargs="+")
    args = parser.parse_args()
    lines = [line for place in args.history for line in lines_of(place)]
    result = check(lines, lines_of(args.accounts), lines_of(args.seconds), args.lost_max,
                   args.seconds_lost_max)
    for problem in result.problems:
        print(problem)
    print(f"{result.acknowledged} acknowledged, {result.doubted} in doubt, {result.lost} lost, "
          f"{result.lost_seconds} of the second stage")
    sys.exit(1 if result.problems else 0)


if __name__ == "__main__":
    main()
