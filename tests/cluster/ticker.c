/* A bundle with a source of its own: ticks, counted per key; so many as its parameter says, or
 * without end. */
#include <s4/s4.h>

#include "probe.pb-c.h"

struct settings {
    int64_t ticks;
};

static const s4_param settings[] = {
    S4_PARAM(struct settings, ticks, 0, "how many; 0: without end"),
};

S4_STREAM(ticks, Probe__Drop, probe__drop, .internal = true);
S4_TABLE(totals, Probe__Total, probe__total, "key");

struct counter {
    uint64_t n;
};

static s4_status on_tick(s4_ctx *ctx, struct counter *self, const Probe__Drop *tick)
{
    char key[8] = { (char)('0' + tick->key % 10) };
    Probe__Total row = PROBE__TOTAL__INIT;
    row.key = key;
    row.n = ++self->n;
    return s4_publish(ctx, &totals, &row);
}

S4_CLASS(counter, struct counter, S4_FLAT);
S4_PROTOTYPE(counters, counter, S4_ON(counter, on_tick, ticks, "key"));

static s4_status source(s4_ctx *ctx, uint32_t budget)
{
    static uint64_t next; /* of this load: the intake's thread alone calls it */
    const struct settings *set = s4_app_params(ctx);
    for (uint32_t i = 0; i < budget; i++) {
        if (set->ticks && next == (uint64_t)set->ticks)
            return S4_END;
        Probe__Drop tick = PROBE__DROP__INIT;
        tick.key = next++ % 10;
        s4_status status = s4_emit(ctx, &ticks, &tick);
        if (status != S4_OK)
            return status;
    }
    return set->ticks ? S4_OK : S4_AGAIN;
}

S4_APP(ticker, S4_STREAMS(&ticks.base), S4_PROTOTYPES(&counters), S4_OUTPUTS(&totals.base),
       S4_PARAMS(settings, struct settings), .source = source);
