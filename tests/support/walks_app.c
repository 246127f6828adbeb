/* The app of walks; see the header. */
#include "tests/support/walks_app.h"

#include <stdio.h>

#include <s4/s4.h>

#include "runtime/base/hash.h"
#include "tests/support/protos/walks.pb-c.h"

struct walks walks;

S4_STREAM(visits, Walks__Visit, walks__visit);
S4_TABLE(rows, Walks__Row, walks__row, "station");

/* Who sends to a station, as it knows it. */
struct sender {
    uint64_t life;
    uint32_t last;
};

struct station {
    uint64_t life, visits, sum;
    uint32_t sent[WALKS_STATIONS];
    struct sender from[WALKS_STATIONS + WALKS_PRODUCERS];
};

void walks_draw(struct rng *rng)
{
    walks = (struct walks){ .asks = rng_below(rng, 2) };
    for (uint32_t i = 0; i < WALKS_STATIONS; i++) {
        walks.degree[i] = (uint8_t)(1 + rng_below(rng, WALKS_DEGREE));
        for (uint32_t k = 0; k < WALKS_DEGREE; k++)
            walks.next[i][k] = (uint8_t)rng_below(rng, WALKS_STATIONS);
    }
}

/* ---- what a walk does ------------------------------------------------------------------------ */

static uint32_t branches(uint32_t walk, uint32_t hops)
{
    return hops == 0 ? 0 : 1 + (walk % 5 == 0 && hops % 3 == 2);
}

static uint32_t next_of(uint32_t station, uint32_t walk, uint32_t hops, uint32_t branch)
{
    return walks.next[station][(walk + hops + branch) % walks.degree[station]];
}

static uint64_t worth(uint32_t walk, uint32_t hops)
{
    return hash_mix(walk, hops) >> 32;
}

void walks_oracle(struct walks_totals *totals, uint32_t station, uint32_t walk, uint32_t hops)
{
    totals->visits[station]++;
    totals->sum[station] += worth(walk, hops);
    for (uint32_t k = 0; k < branches(walk, hops); k++)
        walks_oracle(totals, next_of(station, walk, hops, k), walk, hops - 1);
}

/* ---- stations -------------------------------------------------------------------------------- */

static void check_number(struct station *self, const Walks__Visit *visit)
{
    char text[160];
    struct sender *from = &self->from[visit->from];
    bool is_next = from->life == visit->life      ? visit->number == from->last + 1
                   : from->life == 0              ? true
                   : from->life > visit->life     ? false
                   : visit->from < WALKS_STATIONS ? visit->number == 1
                                                  : true;
    if (!is_next) {
        snprintf(text, sizeof text,
                 "station %u: number %u of life %llu from %u came behind %u of life %llu",
                 visit->station, visit->number, (unsigned long long)visit->life, visit->from,
                 from->last, (unsigned long long)from->life);
        walks.broke(text);
    }
    *from = (struct sender){ visit->life, visit->number };
}

static s4_status go_on(s4_ctx *ctx, struct station *self, uint32_t walk, uint32_t hops)
{
    uint32_t station = (uint32_t)s4_key_integer(ctx, 0);
    for (uint32_t k = 0; k < branches(walk, hops); k++) {
        Walks__Visit visit = WALKS__VISIT__INIT;
        visit.station = next_of(station, walk, hops, k);
        visit.from = station;
        visit.number = ++self->sent[visit.station];
        visit.life = self->life;
        visit.walk = walk;
        visit.hops = hops - 1;
        s4_status status = s4_emit(ctx, &visits, &visit);
        if (status != S4_OK)
            return status;
    }
    return S4_OK;
}

static s4_status look_up(s4_job *job, const Walks__Question *question)
{
    Walks__Answer answer = WALKS__ANSWER__INIT;
    answer.walk = question->walk;
    answer.hops = question->hops;
    return s4_answer(job, &answer);
}
S4_REQUEST(lookup, Walks__Question, walks__question, Walks__Answer, walks__answer, look_up);

static s4_status ask(s4_ctx *ctx, const Walks__Visit *visit)
{
    Walks__Question question = WALKS__QUESTION__INIT;
    question.walk = visit->walk;
    question.hops = visit->hops;
    s4_status status = s4_ask(ctx, &lookup, &question);
    return status == S4_OK ? s4_wait(ctx) : status;
}

static s4_status on_visit(s4_ctx *ctx, struct station *self, const Walks__Visit *visit)
{
    Walks__Row row = WALKS__ROW__INIT;
    if (self->life == 0)
        self->life = ++walks.lives;
    check_number(self, visit);
    row.station = visit->station;
    row.visits = ++self->visits;
    row.sum = self->sum += worth(visit->walk, visit->hops);
    s4_status status = s4_publish(ctx, &rows, &row);
    if (status != S4_OK)
        return status;
    if (walks.asks && visit->walk % 11 == 0)
        return ask(ctx, visit);
    return go_on(ctx, self, visit->walk, visit->hops);
}

static s4_status on_answer(s4_ctx *ctx, struct station *self, s4_status result,
                           const Walks__Answer *answer)
{
    return result == S4_OK ? go_on(ctx, self, answer->walk, answer->hops) : result;
}
static const s4_answer_handler answers[] = {
    S4_ANSWER(struct station, on_answer, lookup),
};

S4_CLASS(station, struct station, S4_FLAT, S4_ANSWERS(answers));
S4_PROTOTYPE(stations, station, S4_ON(station, on_visit, visits, "station"));

S4_APP(walks, S4_STREAMS(&visits.base), S4_PROTOTYPES(&stations), S4_OUTPUTS(&rows.base),
       S4_REQUESTS(&lookup.base));
