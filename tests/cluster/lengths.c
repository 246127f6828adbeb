/* The app that hears another one's: counts what the app `probe` emits on `inner`, by the length of
 * its key. */
#include <s4/s4.h>
#include <stdio.h>

#include "probe.pb-c.h"

S4_STREAM(words, Probe__Item, probe__item);
S4_STREAM(lengths, Probe__Drop, probe__drop, .internal = true);
S4_TABLE(totals, Probe__Total, probe__total, "key");

struct counter {
    uint64_t n;
};

static s4_status on_word(s4_ctx *ctx, struct counter *self, const Probe__Item *word)
{
    Probe__Drop length = PROBE__DROP__INIT;
    length.key = strlen(word->key);
    return s4_emit(ctx, &lengths, &length);
}

static s4_status on_length(s4_ctx *ctx, struct counter *self, const Probe__Drop *length)
{
    char key[24];
    snprintf(key, sizeof key, "%llu", (unsigned long long)length->key);
    Probe__Total row = PROBE__TOTAL__INIT;
    row.key = key;
    row.n = ++self->n;
    return s4_publish(ctx, &totals, &row);
}

S4_CLASS(measure, struct counter, S4_FLAT);
S4_PROTOTYPE(measures, measure, S4_ON(measure, on_word, words, "key"));
S4_CLASS(counter, struct counter, S4_FLAT);
S4_PROTOTYPE(counters, counter, S4_ON(counter, on_length, lengths, "key"));
S4_APP(lengths, S4_STREAMS(&words.base, &lengths.base), S4_PROTOTYPES(&measures, &counters),
       S4_OUTPUTS(&totals.base));
