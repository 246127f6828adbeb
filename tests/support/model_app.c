/* The app of the engine's tests. What an event does is steered by its `kind`, so that a test reads
 * as a list of events and rows. */
#include "tests/support/model_app.h"

#include <s4/s4.h>
#include <stdio.h>

#include "tests/support/protos/model.pb-c.h"

S4_STREAM(ticks, Model__Tick, model__tick);
S4_STREAM(second, Model__Tick, model__tick, .internal = true);
S4_STREAM(everyone, Model__Tick, model__tick);
S4_STREAM(unheard, Model__Tick, model__tick);
S4_TABLE(totals, Model__Row, model__row, "key");
S4_LOG(journal, Model__Row, model__row);

enum kind {
    KIND_COUNT = 0,
    KIND_FAIL = 1, /* emits and publishes, then fails */
    KIND_REMOVE = 2,
    KIND_EMIT = 3,   /* to `second` */
    KIND_IGNORE = 4, /* ignores the failure of a service */
    KIND_TIMER = 5,  /* sets timer 7 at n */
    KIND_CANCEL = 6, /* cancels timer 7 */
    KIND_ASK = 7,    /* asks and waits */
    KIND_FANOUT = 8, /* emits n records */
    KIND_UNPUBLISH = 9,
    KIND_UNHEARD = 10,
    KIND_ASK_ON = 11, /* asks without waiting */
};

static s4_status note(s4_ctx *ctx, const char *key, int64_t n, const char *what)
{
    Model__Row row = MODEL__ROW__INIT;
    row.key = (char *)(uintptr_t)key;
    row.has_n = 1;
    row.n = n;
    row.note = (char *)(uintptr_t)what;
    return s4_publish(ctx, &journal, &row);
}

static s4_status total(s4_ctx *ctx, const char *key, int64_t n)
{
    Model__Row row = MODEL__ROW__INIT;
    row.key = (char *)(uintptr_t)key;
    row.has_n = 1;
    row.n = n;
    return s4_publish(ctx, &totals, &row);
}

/* ---- a keyed counter ----------------------------------------------------------------------- */

struct counter {
    int64_t n;
    int64_t events;
    int64_t answers;
};

struct counter_params {
    int64_t step;
    const char *label;
};
static const s4_param counter_params[] = {
    S4_PARAM(struct counter_params, step, 1, "what an event without n adds"),
    S4_PARAM(struct counter_params, label, "plain", "noted at creation"),
};

static s4_status look_up(s4_job *job, const Model__Question *question)
{
    Model__Answer answer = MODEL__ANSWER__INIT;
    answer.n = question->n * 10;
    if (question->n < 0)
        return S4_NOT_FOUND;
    return s4_answer(job, &answer);
}
S4_REQUEST(lookup, Model__Question, model__question, Model__Answer, model__answer, look_up);

static s4_status counter_create(s4_ctx *ctx, struct counter *self)
{
    const struct counter_params *params = s4_params(ctx);
    return note(ctx, s4_key(ctx, 0, NULL), params->step, params->label);
}

static s4_status emit_second(s4_ctx *ctx, const Model__Tick *tick, int64_t n)
{
    Model__Tick next = MODEL__TICK__INIT;
    next.user = tick->user;
    next.has_n = 1;
    next.n = n;
    return s4_emit(ctx, &second, &next);
}

static s4_status ask(s4_ctx *ctx, const Model__Tick *tick, bool wait)
{
    Model__Question question = MODEL__QUESTION__INIT;
    question.key = tick->user;
    question.has_n = 1;
    question.n = tick->n;
    s4_status status = s4_ask(ctx, &lookup, &question);
    return status == S4_OK && wait ? s4_wait(ctx) : status;
}

static s4_status on_tick(s4_ctx *ctx, struct counter *self, const Model__Tick *tick)
{
    const struct counter_params *params = s4_params(ctx);
    self->events++;
    switch (tick->kind) {
    case KIND_FAIL:
        total(ctx, tick->user, -1);
        emit_second(ctx, tick, -1);
        return s4_fail(ctx, S4_FAILED, "told to fail");
    case KIND_REMOVE:
        return S4_REMOVE;
    case KIND_EMIT:
        return emit_second(ctx, tick, tick->n);
    case KIND_IGNORE: {
        Model__Row row = MODEL__ROW__INIT;
        row.key = tick->user;
        s4_unpublish(ctx, &journal, &row); /* a log: fails */
        return S4_OK;
    }
    case KIND_TIMER:
        return s4_timer_set(ctx, 7, (uint64_t)tick->n);
    case KIND_CANCEL:
        return s4_timer_cancel(ctx, 7);
    case KIND_ASK:
        return ask(ctx, tick, true);
    case KIND_ASK_ON:
        return ask(ctx, tick, false);
    case KIND_FANOUT:
        for (int64_t i = 0; i < tick->n; i++)
            emit_second(ctx, tick, 1);
        return S4_OK;
    case KIND_UNPUBLISH: {
        Model__Row row = MODEL__ROW__INIT;
        row.key = tick->user;
        return s4_unpublish(ctx, &totals, &row);
    }
    case KIND_UNHEARD:
        return s4_emit(ctx, &unheard, tick);
    default:
        self->n += tick->has_n ? tick->n : params->step;
        return total(ctx, tick->user, self->n);
    }
}

static s4_status on_answer(s4_ctx *ctx, struct counter *self, s4_status result,
                           const Model__Answer *answer)
{
    self->answers++;
    return note(ctx, s4_key(ctx, 0, NULL), answer ? answer->n : -1,
                result == S4_OK ? "answer" : s4_status_name(result));
}
static const s4_answer_handler counter_answers[] = {
    S4_ANSWER(struct counter, on_answer, lookup),
};

static s4_status counter_timer(s4_ctx *ctx, struct counter *self, uint64_t id)
{
    return note(ctx, s4_key(ctx, 0, NULL), (int64_t)id, "timer");
}

static s4_status counter_output(s4_ctx *ctx, struct counter *self)
{
    return note(ctx, s4_key(ctx, 0, NULL), self->n, "output");
}

static s4_status counter_trigger(s4_ctx *ctx, struct counter *self)
{
    return note(ctx, s4_key(ctx, 0, NULL), self->events, "trigger");
}

static s4_status counter_remove(s4_ctx *ctx, struct counter *self)
{
    return note(ctx, s4_key(ctx, 0, NULL), self->n, "remove");
}

static s4_status counter_query(s4_ctx *ctx, const struct counter *self)
{
    Model__Row row = MODEL__ROW__INIT;
    row.key = (char *)(uintptr_t)s4_key(ctx, 0, NULL);
    row.has_n = 1;
    row.n = self->n;
    return s4_reply(ctx, &row);
}

S4_CLASS(counter, struct counter, S4_FLAT, S4_PARAMS(counter_params, struct counter_params),
         S4_ANSWERS(counter_answers), .create = counter_create, .timer = counter_timer,
         .output = counter_output, .trigger = counter_trigger, .remove = counter_remove,
         .query = counter_query, .reply = &model__row__descriptor);
S4_PROTOTYPE(counters, counter, S4_ON(counter, on_tick, ticks, "user"));

/* ---- what it emits ------------------------------------------------------------------------- */

struct sum {
    int64_t n;
};

static s4_status on_second(s4_ctx *ctx, struct sum *self, const Model__Tick *tick)
{
    self->n += tick->n;
    return note(ctx, tick->user, self->n, "second");
}
S4_CLASS(sum, struct sum, S4_FLAT);
S4_PROTOTYPE(seconds, sum, S4_ON(sum, on_second, second, "user"));

/* ---- composite and repeated keys, keyless, broadcast, singleton ----------------------------- */

static s4_status on_pair(s4_ctx *ctx, struct sum *self, const Model__Tick *tick)
{
    char key[128];
    snprintf(key, sizeof key, "%s+%lld", s4_key(ctx, 0, NULL), (long long)s4_key_integer(ctx, 1));
    self->n++;
    return total(ctx, key, self->n);
}
S4_CLASS(pair, struct sum, S4_FLAT);
S4_PROTOTYPE(pairs, pair, S4_ON(pair, on_pair, ticks, "user,at"));

static s4_status on_tag(s4_ctx *ctx, struct sum *self, const Model__Tick *tick)
{
    char key[128];
    snprintf(key, sizeof key, "#%s", s4_key(ctx, 0, NULL));
    self->n++;
    return total(ctx, key, self->n);
}
S4_CLASS(tag, struct sum, S4_FLAT);
S4_PROTOTYPE(tags, tag, S4_ON(tag, on_tag, ticks, "tags"));

static s4_status on_any(s4_ctx *ctx, struct sum *self, const Model__Tick *tick)
{
    self->n++;
    return S4_OK;
}
static s4_status any_query(s4_ctx *ctx, const struct sum *self)
{
    Model__Row row = MODEL__ROW__INIT;
    row.key = (char *)(uintptr_t) "any";
    row.has_n = 1;
    row.n = self->n;
    return s4_reply(ctx, &row);
}
S4_CLASS(any, struct sum, S4_FLAT, .query = any_query, .reply = &model__row__descriptor);
S4_PROTOTYPE(anys, any, S4_ON_ANY(any, on_any, everyone));

static s4_status on_all(s4_ctx *ctx, struct sum *self, const Model__Tick *tick)
{
    self->n++;
    return note(ctx, s4_key(ctx, 0, NULL), self->n, "broadcast");
}
static s4_status on_member(s4_ctx *ctx, struct sum *self, const Model__Tick *tick)
{
    return S4_OK;
}
S4_CLASS(member, struct sum, S4_FLAT);
S4_PROTOTYPE(members, member, S4_ON(member, on_member, ticks, "user"),
             S4_ON_BROADCAST(member, on_all, everyone));

static s4_status on_one(s4_ctx *ctx, struct sum *self, const Model__Tick *tick)
{
    self->n++;
    return total(ctx, "one", self->n);
}
S4_CLASS(one, struct sum, S4_FLAT);
S4_PROTOTYPE_SINGLETON(ones, one, S4_ON_ANY(one, on_one, everyone));

S4_APP(model, S4_STREAMS(&ticks.base, &second.base, &everyone.base, &unheard.base),
       S4_PROTOTYPES(&counters, &seconds, &pairs, &tags, &anys, &members, &ones),
       S4_OUTPUTS(&totals.base, &journal.base), S4_REQUESTS(&lookup.base));
