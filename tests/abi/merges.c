/* A callback that this version does not serve. */
#include <s4/s4.h>

#include "words.pb-c.h"

S4_STREAM(words, Abi__Word, abi__word);

struct counter {
    uint64_t n;
};

static s4_status on_word(s4_ctx *ctx, struct counter *self, const Abi__Word *word)
{
    self->n++;
    return S4_OK;
}

static s4_status merge(s4_ctx *ctx, struct counter *self, const struct counter *other)
{
    self->n += other->n;
    return S4_OK;
}

S4_CLASS(counter, struct counter, S4_FLAT, .merge = merge);
S4_PROTOTYPE(counters, counter, S4_ON(counter, on_word, words, "text"));
S4_APP(merges, S4_STREAMS(&words.base), S4_PROTOTYPES(&counters));
