/* The bundle that the tests of clusters deploy. Entries are counted and summed per sender and key;
 * what is lost, doubled or reordered shows in their numbers. Each is passed on to a second stage,
 * whose keys are the same in another order, so that they lie in other slots: it sees what happens
 * between nodes. An account that begins empty has a life of its own, and its numbers begin anew. */
#include <s4/s4.h>

#include "ledger.pb-c.h"

S4_STREAM(entries, Ledger__Entry, ledger__entry);
S4_STREAM(passed, Ledger__Entry, ledger__entry, .internal = true);
S4_TABLE(accounts, Ledger__Account, ledger__account, "sender,key");
S4_TABLE(seconds, Ledger__Account, ledger__account, "key,sender");

struct account {
    uint64_t life;
    uint64_t from; /* the life of what sends */
    uint64_t n, sum, first, last, gaps, back, lives;
};

static void take(s4_ctx *ctx, struct account *self, const Ledger__Entry *entry)
{
    if (!self->life)
        self->life = s4_id(ctx);
    if (!self->lives || entry->life > self->from) {
        self->from = entry->life;
        self->lives++;
        if (self->lives == 1)
            self->first = entry->number;
    } else if (entry->life < self->from || entry->number <= self->last) {
        self->back++;
    } else {
        self->gaps += entry->number - self->last - 1;
    }
    self->last = entry->number;
    self->n++;
    self->sum += entry->value;
}

static Ledger__Account row_of(const struct account *self, const Ledger__Entry *entry)
{
    Ledger__Account row = LEDGER__ACCOUNT__INIT;
    row.sender = entry->sender;
    row.key = entry->key;
    row.life = self->life;
    row.n = self->n;
    row.sum = self->sum;
    row.first = self->first;
    row.last = self->last;
    row.gaps = self->gaps;
    row.back = self->back;
    row.lives = self->lives;
    return row;
}

static s4_status on_entry(s4_ctx *ctx, struct account *self, const Ledger__Entry *entry)
{
    take(ctx, self, entry);
    Ledger__Entry next = LEDGER__ENTRY__INIT;
    next.sender = entry->sender;
    next.key = entry->key;
    next.number = self->n;
    next.value = entry->value;
    next.has_life = 1;
    next.life = self->life;
    Ledger__Account row = row_of(self, entry);
    s4_status status = s4_emit(ctx, &passed, &next);
    return status == S4_OK ? s4_publish(ctx, &accounts, &row) : status;
}

static s4_status on_passed(s4_ctx *ctx, struct account *self, const Ledger__Entry *entry)
{
    take(ctx, self, entry);
    Ledger__Account row = row_of(self, entry);
    return s4_publish(ctx, &seconds, &row);
}

S4_CLASS(account, struct account, S4_FLAT);
S4_PROTOTYPE(first_stage, account, S4_ON(account, on_entry, entries, "sender,key"));
S4_PROTOTYPE(second_stage, account, S4_ON(account, on_passed, passed, "key,sender"));

S4_APP(ledger, S4_STREAMS(&entries.base, &passed.base), S4_PROTOTYPES(&first_stage, &second_stage),
       S4_OUTPUTS(&accounts.base, &seconds.base));
