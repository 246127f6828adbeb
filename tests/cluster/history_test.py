#!/usr/bin/env python3
"""The history checker finds what is wrong, and nothing where all is right.

    history_test.py S4 BUNDLE
"""
import copy

from cluster import main, test
from history import KNUTH, STRIDE, VALUES, check

SENDERS, BATCHES, COUNT, KEYS = (1, 2), 6, 50, 7


def key_of(sender, i):
    return (i * KNUTH + sender * STRIDE & 0xffffffff) % KEYS


class Story:
    """A right history, to be spoiled: what was sent, what was answered, what the tables hold."""

    def __init__(self, skipped=(), statuses=None):
        self.lines, self.accounts, self.seconds = [], {}, {}
        for sender in SENDERS:
            self.lines.append({"op": "begin", "sender": sender, "keys": KEYS, "producer": sender})
            numbers = [0] * KEYS
            for number in range(1, BATCHES + 1):
                status = (statuses or {}).get((sender, number), "OK")
                self.send(sender, number, status)
                for i in range((number - 1) * COUNT, number * COUNT):
                    key = key_of(sender, i)
                    numbers[key] += 1
                    if (sender, number) not in skipped:
                        self.count(sender, key, numbers[key], i % VALUES)
            self.lines.append({"op": "end", "sender": sender, "events": BATCHES * COUNT, "t": 9})

    def send(self, sender, number, status):
        self.lines.append({"op": "send", "sender": sender, "number": number,
                           "first": (number - 1) * COUNT, "count": COUNT, "t": number})
        self.answer(sender, number, status)

    def answer(self, sender, number, status, duplicate=False):
        self.lines.append({"op": "done", "sender": sender, "number": number, "status": status,
                           "accepted": COUNT, "rejected": 0, "duplicate": duplicate, "t": number})

    def count(self, sender, key, number, value):
        row = take(self.accounts, sender, key, number, value)
        take(self.seconds, sender, key, row["n"], value)

    def read(self, sender, key, n, life=5, fresh_us=None, table="accounts"):
        row = {"sender": sender, "key": key, "life": life, "n": n}
        self.lines.append({"op": "read", "reader": "r", "table": table, "row": row, "partition": 1,
                           "fresh_us": n if fresh_us is None else fresh_us, "t": 1})

    def problems(self, **allowed):
        """The kinds that were found."""
        text = check(self.lines, self.accounts.values(), self.seconds.values(), **allowed).problems
        return {problem.split(":")[0] for problem in text}


def take(table, sender, key, number, value):
    row = table.setdefault((sender, key), {
        "sender": sender, "key": key, "life": 5, "n": 0, "sum": 0, "first": number,
        "last": number - 1, "gaps": 0, "back": 0, "lives": 1})
    if number <= row["last"]:
        row["back"] += 1
    else:
        row["gaps"] += number - row["last"] - 1
    row["last"] = number
    row["n"] += 1
    row["sum"] += value
    return row


def expect(found, *kinds):
    assert found == set(kinds), f"found {found or 'nothing'} instead of {kinds or 'nothing'}"


def missing(story, n):
    """Takes the last entries of one account away."""
    for table in (story.accounts, story.seconds):
        row = table[1, 3]
        row["n"] -= n
        row["last"] -= n
        row["sum"] -= 1


@test
def right_histories_pass():
    expect(Story().problems())
    story = Story()
    story.send(1, 2, "OK")
    story.lines[-1]["duplicate"] = True
    story.read(1, 3, 10)
    story.read(1, 3, 10)
    story.read(1, 3, 12)
    expect(story.problems())


@test
def what_is_in_doubt_may_be_there_or_not():
    expect(Story(statuses={(1, 3): "IN_DOUBT"}).problems())
    expect(Story(statuses={(1, 3): "IN_DOUBT"}, skipped=[(1, 3)]).problems())
    expect(Story(statuses={(2, BATCHES): "UNAVAILABLE"}, skipped=[(2, BATCHES)]).problems())
    expect(Story(statuses={(2, 1): "IN_DOUBT"}, skipped=[(2, 1)]).problems())


@test
def what_was_refused_may_not_be_there():
    expect(Story(statuses={(1, 3): "STATE"}, skipped=[(1, 3)]).problems())
    assert "doubled" in Story(statuses={(1, 3): "STATE"}).problems()


@test
def a_lost_batch():
    expect(Story(skipped=[(1, 3)]).problems(), "gap", "lost")


@test
def one_lost_entry_at_the_end():
    story = Story()
    missing(story, 1)
    expect(story.problems(), "gap", "lost")


@test
def a_lost_account():
    story = Story()
    del story.accounts[2, 4]
    expect(story.problems(), "lost")


@test
def a_loss_within_the_bound_and_one_beyond():
    story = Story()
    missing(story, 4)
    expect(story.problems(lost_max=4, seconds_lost_max=4))
    expect(story.problems(lost_max=3, seconds_lost_max=4), "lost")
    expect(story.problems(lost_max=4, seconds_lost_max=3), "lost")


@test
def a_doubled_entry():
    story = Story()
    for table in (story.accounts, story.seconds):
        last = table[1, 3]["last"]
        take(table, 1, 3, last, 7)
    expect(story.problems(), "doubled", "reordered")


@test
def a_doubled_entry_hidden_by_a_lost_one():
    story = Story()
    row = story.accounts[1, 3]
    row["gaps"], row["back"] = 1, 1
    found = story.problems(lost_max=100, seconds_lost_max=100)
    expect(found, "reordered")


@test
def a_doubled_batch_after_a_lost_life():
    """The account began empty and took a batch twice: within the loss, but not once."""
    story = Story()
    row = story.accounts[1, 3]
    row.update(life=9, n=8, sum=8, first=row["last"] - 5)
    expect(story.problems(lost_max=1000, seconds_lost_max=1000), "doubled")


@test
def what_was_passed_on_again():
    """By who took the place of a dead one; nobody else may."""
    story = Story()
    row = story.seconds[1, 3]
    row.update(n=row["n"] + 1, lives=2)
    expect(story.problems(lost_max=9, seconds_lost_max=9))
    row.update(lives=1)
    expect(story.problems(lost_max=9, seconds_lost_max=9), "doubled")
    row.update(lives=2)
    expect(story.problems(), "doubled", "passed")


@test
def reordered_entries():
    story = Story()
    story.accounts[2, 5]["back"] = 1
    expect(story.problems(), "reordered")
    story = Story()
    story.seconds[2, 5]["back"] = 1
    expect(story.problems(), "reordered")


@test
def a_wrong_value():
    story = Story()
    story.accounts[2, 5]["sum"] -= 1
    expect(story.problems(), "doubled", "passed")


@test
def an_account_that_nobody_wrote_to():
    story = Story()
    story.accounts[3, 1] = {**story.accounts[1, 1], "sender": 3}
    assert "doubled" in story.problems()


@test
def a_batch_acknowledged_twice():
    story = Story()
    story.answer(1, 2, "OK")
    expect(story.problems(), "twice")


@test
def a_number_used_twice():
    story = Story()
    story.lines.append({**story.lines[1], "first": 1000})
    expect(story.problems(), "twice")


@test
def a_batch_without_an_answer():
    story = Story()
    story.lines = [line for line in story.lines
                   if line["op"] != "done" or (line["sender"], line["number"]) != (1, 2)]
    expect(story.problems(), "unanswered")


@test
def an_entry_that_was_rejected():
    story = Story()
    story.lines[2]["rejected"] = 1
    expect(story.problems(), "refused")


@test
def what_the_first_stage_passed_on_is_missing():
    story = Story()
    row = story.seconds[1, 1]
    row["n"] -= 1
    row["gaps"] += 1
    expect(story.problems(), "lost", "passed")


@test
def a_reader_sees_an_older_row():
    story = Story()
    story.read(1, 3, 12)
    story.read(1, 3, 11, fresh_us=12)
    expect(story.problems(), "backwards")


@test
def a_reader_sees_a_life_that_is_over():
    story = Story()
    story.read(1, 3, 12, life=5)
    story.read(1, 3, 13, life=4)
    expect(story.problems(), "backwards")


@test
def a_reader_sees_an_older_time():
    story = Story()
    story.read(1, 3, 12, fresh_us=100)
    story.read(1, 3, 12, fresh_us=99)
    expect(story.problems(), "backwards")


@test
def what_a_reader_saw_is_gone():
    story = Story()
    story.read(1, 3, copy.deepcopy(story.accounts[1, 3])["n"] + 1)
    expect(story.problems(), "backwards")


@test
def a_node_dropped_something():
    story = Story()
    story.lines.append({"op": "counters", "node": "n1", "dead_letters": 1, "shed": 0})
    expect(story.problems(), "counters")


if __name__ == "__main__":
    main()
