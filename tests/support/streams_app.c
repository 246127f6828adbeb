/* Two apps, one of which is to hear the other; see the header. */
#include "tests/support/streams_app.h"

#include <s4/s4.h>
#include <stdio.h>
#include <string.h>

#include "tests/support/protos/model.pb-c.h"

#define BIG (1020 * 1024) /* bytes of a large text: it fits in a record */

/* ---- who is heard: a keyed instance tells `said` what it got ----------------------------------
 */

S4_STREAM(told, Model__Tick, model__tick);
S4_STREAM(said, Model__Tick, model__tick, .internal = true);
S4_STREAM(numbers, Model__Answer, model__answer);

struct speaker {
    int64_t n;
};

static s4_status say(s4_ctx *ctx, const char *user, int64_t n)
{
    Model__Tick tick = MODEL__TICK__INIT;
    tick.user = (char *)(uintptr_t)user;
    tick.has_n = 1;
    tick.n = n;
    return s4_emit(ctx, &said, &tick);
}

static s4_status on_told(s4_ctx *ctx, struct speaker *self, const Model__Tick *tick)
{
    s4_status status = S4_OK;
    static char big[BIG];
    switch (tick->kind) {
    case TOLD_FAIL:
        (void)!say(ctx, "failed", 1);
        return s4_fail(ctx, S4_FAILED, "told to fail");
    case TOLD_MANY:
        for (int64_t i = 0; i < tick->n && status == S4_OK; i++)
            status = say(ctx, tick->user, i);
        return status;
    case TOLD_BIG:
        memset(big, 'x', sizeof big - 1);
        return say(ctx, big, 1);
    case TOLD_TIMER:
        return s4_timer_set(ctx, 1, (uint64_t)tick->n);
    default:
        return say(ctx, tick->user, ++self->n);
    }
}

static s4_status speaker_timer(s4_ctx *ctx, struct speaker *self, uint64_t id)
{
    return say(ctx, "timer", 1);
}

S4_CLASS(speaker, struct speaker, S4_FLAT, .timer = speaker_timer);
S4_PROTOTYPE(speakers, speaker, S4_ON(speaker, on_told, told, "user"));
S4_APP(speaks, S4_STREAMS(&told.base, &said.base, &numbers.base), S4_PROTOTYPES(&speakers));

/* ---- who hears: counts per user, and checks their order ---------------------------------------
 */

S4_STREAM(heard, Model__Tick, model__tick);
S4_TABLE(sums, Model__Row, model__row, "key");

struct hearer {
    int64_t events;
    uint64_t n; /* damaged events may hold anything */
};

static s4_status on_heard(s4_ctx *ctx, struct hearer *self, const Model__Tick *tick)
{
    self->events++;
    self->n += (uint64_t)tick->n;
    Model__Row row = MODEL__ROW__INIT;
    row.key = tick->user;
    row.has_n = 1;
    row.n = (int64_t)self->n;
    char note[32];
    snprintf(note, sizeof note, "%lld events", (long long)self->events);
    row.note = note;
    return s4_publish(ctx, &sums, &row);
}

S4_CLASS(hearer, struct hearer, S4_FLAT);
S4_PROTOTYPE(hearers, hearer, S4_ON(hearer, on_heard, heard, "user"));

const s4_app *streams_app_hears(void)
{
    static const s4_stream *const streams[] = { &heard.base };
    static const s4_prototype *const prototypes[] = { &hearers };
    static const s4_output *const outputs[] = { &sums.base };
    static s4_app app;
    app = s4_plugin;
    app.streams = streams;
    app.n_streams = 1;
    app.prototypes = prototypes;
    app.n_prototypes = 1;
    app.outputs = outputs;
    app.n_outputs = 1;
    return &app;
}
