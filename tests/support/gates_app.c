/* The app of the oracle of waiting instances; see the header. */
#include "tests/support/gates_app.h"

#include <s4/s4.h>

#include "tests/support/protos/gates.pb-c.h"

struct gate_watch gate_watch;

S4_STREAM(steps, Gates__Step, gates__step);

struct gate {
    uint32_t steps;
};

static s4_status look_up(s4_job *job, const Gates__Question *question)
{
    Gates__Answer answer = GATES__ANSWER__INIT;
    answer.left = question->left;
    return question->left == UINT32_MAX ? S4_NOT_FOUND : s4_answer(job, &answer);
}
S4_REQUEST(lookup, Gates__Question, gates__question, Gates__Answer, gates__answer, look_up);

static s4_status ask(s4_ctx *ctx, uint32_t left)
{
    Gates__Question question = GATES__QUESTION__INIT;
    question.gate = (uint32_t)s4_key_integer(ctx, 0);
    question.left = left;
    return s4_ask(ctx, &lookup, &question);
}

static s4_status ask_and_wait(s4_ctx *ctx, uint32_t left)
{
    s4_status status = ask(ctx, left);
    return status == S4_OK ? s4_wait(ctx) : status;
}

static s4_status on_step(s4_ctx *ctx, struct gate *self, const Gates__Step *step)
{
    gate_watch.step(step->gate, step->number, self->steps);
    self->steps++;
    switch (step->act) {
    case GATE_PASS:
        return S4_OK;
    case GATE_ASK:
        return ask(ctx, 0);
    case GATE_REFUSED:
        return ask_and_wait(ctx, UINT32_MAX);
    case GATE_FAIL:
        return ask_and_wait(ctx, 0) == S4_OK ? s4_fail(ctx, S4_FAILED, "told to fail") : S4_STATE;
    case GATE_REMOVE:
        return S4_REMOVE;
    default:
        return ask_and_wait(ctx, step->act - 1);
    }
}

static s4_status on_answer(s4_ctx *ctx, struct gate *self, s4_status result,
                           const Gates__Answer *answer)
{
    uint32_t left = answer ? answer->left : 0;
    gate_watch.answer((uint32_t)s4_key_integer(ctx, 0), left);
    return left > 0 ? ask_and_wait(ctx, left - 1) : S4_OK;
}
static const s4_answer_handler gate_answers[] = {
    S4_ANSWER(struct gate, on_answer, lookup),
};

static s4_status gate_query(s4_ctx *ctx, const struct gate *self)
{
    Gates__Report report = GATES__REPORT__INIT;
    report.gate = (uint32_t)s4_key_integer(ctx, 0);
    report.steps = self->steps;
    return s4_reply(ctx, &report);
}

S4_CLASS(gate, struct gate, S4_FLAT, S4_ANSWERS(gate_answers), .query = gate_query,
         .reply = &gates__report__descriptor);
S4_PROTOTYPE(all, gate, S4_ON(gate, on_step, steps, "gate"));

S4_APP(gates, S4_STREAMS(&steps.base), S4_PROTOTYPES(&all), S4_REQUESTS(&lookup.base));
