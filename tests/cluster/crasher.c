/* A bundle that crashes in the callback that its parameter names. */
#include <s4/s4.h>

#include "probe.pb-c.h"

struct settings {
    const char *in;
};

static const s4_param settings[] = {
    S4_PARAM(struct settings, in, "", "the callback"),
};

static void crash_if(const struct settings *set, const char *here)
{
    if (strcmp(set->in, here) == 0)
        *(volatile int *)8 = 1;
}

static void crash_in(const s4_ctx *ctx, const char *here)
{
    crash_if(s4_app_params(ctx), here);
}

S4_STREAM(lines, Probe__Line, probe__line);
S4_TABLE(totals, Probe__Total, probe__total, "key");

static s4_status look_up(s4_job *job, const Probe__Line *question)
{
    crash_if(s4_job_app_params(job), "request");
    return s4_answer(job, question);
}

S4_REQUEST(lookup, Probe__Line, probe__line, Probe__Line, probe__line, look_up);

struct counter {
    uint64_t n;
};

static s4_status on_create(s4_ctx *ctx, struct counter *self)
{
    (void)self;
    crash_in(ctx, "create");
    return S4_OK;
}

static s4_status on_line(s4_ctx *ctx, struct counter *self, const Probe__Line *line)
{
    self->n++;
    s4_status status = s4_timer_set(ctx, 1, s4_time(ctx));
    return status == S4_OK ? s4_ask(ctx, &lookup, line) : status;
}

static s4_status on_answer(s4_ctx *ctx, struct counter *self, s4_status result,
                           const Probe__Line *answer)
{
    (void)self;
    (void)result;
    (void)answer;
    crash_in(ctx, "answer");
    return S4_OK;
}

static s4_status on_timer(s4_ctx *ctx, struct counter *self, uint64_t id)
{
    (void)self;
    (void)id;
    crash_in(ctx, "timer");
    return S4_OK;
}

static s4_status on_output(s4_ctx *ctx, struct counter *self)
{
    (void)self;
    crash_in(ctx, "output");
    return S4_OK;
}

static s4_status on_query(s4_ctx *ctx, const struct counter *self)
{
    crash_in(ctx, "query");
    Probe__Total reply = PROBE__TOTAL__INIT;
    reply.key = (char *)(uintptr_t)s4_key(ctx, 0, NULL);
    reply.n = self->n;
    return s4_reply(ctx, &reply);
}

static const s4_answer_handler answers[] = { S4_ANSWER(struct counter, on_answer, lookup) };

S4_CLASS(counter, struct counter, S4_FLAT, .create = on_create, .timer = on_timer,
         .output = on_output, .query = on_query, .reply = &probe__total__descriptor,
         S4_ANSWERS(answers));
S4_PROTOTYPE_WITH(counters, counter, S4_POLICY(.output_events = 1),
                  S4_ON(counter, on_line, lines, "text"));

static s4_status start(s4_ctx *ctx)
{
    crash_in(ctx, "start");
    return S4_OK;
}

static s4_status stop(s4_ctx *ctx)
{
    crash_in(ctx, "stop");
    return S4_OK;
}

static s4_status source(s4_ctx *ctx, uint32_t budget)
{
    (void)budget;
    crash_in(ctx, "source");
    Probe__Line line = PROBE__LINE__INIT;
    line.text = (char *)"fine";
    const struct settings *set = s4_app_params(ctx);
    static bool emitted; /* the intake's thread alone calls it */
    s4_status status = emitted ? S4_OK : s4_emit(ctx, &lines, &line);
    emitted = true;
    if (status != S4_OK)
        return status;
    return strcmp(set->in, "timer") == 0 ? S4_AGAIN : S4_END; /* what ends fires no timer */
}

S4_APP(crasher, S4_STREAMS(&lines.base), S4_PROTOTYPES(&counters), S4_OUTPUTS(&totals.base),
       S4_REQUESTS(&lookup.base), S4_PARAMS(settings, struct settings), .start = start,
       .stop = stop, .source = source);
