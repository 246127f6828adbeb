/* The app of the overload tests; see the header. */
#include "tests/support/loads_app.h"

#include <s4/s4.h>

#include "tests/support/protos/loads.pb-c.h"

S4_STREAM(plain, Loads__Load, loads__load);
S4_STREAM(fans, Loads__Load, loads__load);
S4_STREAM(leaves, Loads__Load, loads__load, .internal = true);
S4_STREAM(turns, Loads__Load, loads__load);
S4_STREAM(growth, Loads__Load, loads__load);

struct tally {
    uint64_t n;
};

static s4_status on_plain(s4_ctx *ctx, struct tally *self, const Loads__Load *load)
{
    self->n++;
    return S4_OK;
}

/* n events of n keys. */
static s4_status on_fan(s4_ctx *ctx, struct tally *self, const Loads__Load *load)
{
    Loads__Load leaf = LOADS__LOAD__INIT;
    for (uint32_t i = 0; i < load->n; i++) {
        leaf.key = i;
        s4_status status = s4_emit(ctx, &leaves, &leaf);
        if (status != S4_OK)
            return status;
    }
    self->n++;
    return S4_OK;
}

static s4_status pass_on(s4_ctx *ctx, const s4_stream *stream, uint32_t key)
{
    Loads__Load next = LOADS__LOAD__INIT;
    next.key = key % LOADS_KEYS;
    return ctx->host->emit(ctx, stream, &next.base);
}

/* Gain 1: goes round for ever. */
static s4_status on_turn(s4_ctx *ctx, struct tally *self, const Loads__Load *load)
{
    self->n++;
    return pass_on(ctx, &turns.base, load->key * 7 + 1);
}

/* Gain 1.01. */
static s4_status on_growth(s4_ctx *ctx, struct tally *self, const Loads__Load *load)
{
    if (++self->n % 100 == 0) {
        s4_status status = pass_on(ctx, &growth.base, load->key + 1);
        if (status != S4_OK)
            return status;
    }
    return pass_on(ctx, &growth.base, load->key * 7 + 1);
}

static s4_status tally_query(s4_ctx *ctx, const struct tally *self)
{
    Loads__Report report = LOADS__REPORT__INIT;
    report.key = (uint32_t)s4_key_integer(ctx, 0);
    report.n = self->n;
    return s4_reply(ctx, &report);
}

S4_CLASS(tally, struct tally, S4_FLAT, .query = tally_query, .reply = &loads__report__descriptor);
S4_PROTOTYPE(plains, tally, S4_ON(tally, on_plain, plain, "key"));
S4_PROTOTYPE(fanners, tally, S4_ON(tally, on_fan, fans, "key"));
S4_PROTOTYPE(leaf, tally, S4_ON(tally, on_plain, leaves, "key"));
S4_PROTOTYPE(turners, tally, S4_ON(tally, on_turn, turns, "key"));
S4_PROTOTYPE(growers, tally, S4_ON(tally, on_growth, growth, "key"));

S4_APP(loads, S4_STREAMS(&plain.base, &fans.base, &leaves.base, &turns.base, &growth.base),
       S4_PROTOTYPES(&plains, &fanners, &leaf, &turners, &growers));
