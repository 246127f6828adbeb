/* The app of two nodes: a source on one of them, keys that all belong to the other. Two ways:
 *
 *     counted    the source gives the lines of S4_BENCH_LINES as fast as it is asked,
 * S4_BENCH_PASSES times; a counter per key timed      with S4_BENCH_RATE, it gives S4_BENCH_COUNT
 * events, so many per second, whose value is the time at which each was due (open loop: one that
 * comes late is late); the counter notes how long after that it got the event, S4_BENCH_TIMES gets
 * the percentiles when the app stops
 *
 * A bundle has no clock but its events'. This one reads the machine's, which is the same for both
 * nodes, because that is what it measures.
 */
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include <s4/s4.h>

#include "pair.pb-c.h"
#include "tests/bench/lines.h"

#define LINES_AT_ONCE 32
#define TIMES_MAX     (8u << 20)
#define WARM_PART     10 /* one event in so many comes before the times count */

S4_STREAM(counted, Event, event);
S4_STREAM(timed, Event, event);

struct counter {
    uint64_t n;
    uint64_t other;
};

/* Of this load of the plugin; used by the intake's thread, or by the only worker. */
static struct {
    struct lines lines;
    const char *at;
    unsigned long passes; /* still to do; 0: none has begun */
    double rate;          /* events per second; 0: as fast as it goes */
    uint64_t count, given;
    uint64_t start_ns;
} input;

static struct {
    uint32_t *ns; /* NULL: nobody asked */
    uint64_t n;
} times;

static uint64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static s4_status on_counted(s4_ctx *ctx, struct counter *self, const Event *event)
{
    self->n += event->value;
    return S4_OK;
}

static s4_status on_timed(s4_ctx *ctx, struct counter *self, const Event *event)
{
    uint64_t late = now_ns() - event->value;
    self->n++;
    if (times.ns && times.n < TIMES_MAX)
        times.ns[times.n++] = late < UINT32_MAX ? (uint32_t)late : UINT32_MAX;
    return S4_OK;
}

S4_CLASS(counter, struct counter, S4_FLAT);
S4_PROTOTYPE(counters, counter, S4_ON(counter, on_counted, counted, "key"),
             S4_ON(counter, on_timed, timed, "key"));

/* ---- the source ---------------------------------------------------------------------------- */

static s4_status emit_lines(s4_ctx *ctx, uint32_t budget)
{
    Event event = EVENT__INIT;
    event.value = 1;
    const char *end = input.lines.text + input.lines.size;
    s4_status status = S4_OK;
    for (uint32_t i = 0; i < budget && input.at < end && status == S4_OK; i++) {
        event.key = lines_number(&input.at);
        status = s4_emit(ctx, &counted, &event);
    }
    return status;
}

static unsigned long number(const char *name, unsigned long fallback)
{
    const char *text = getenv(name);
    return text ? strtoul(text, NULL, 10) : fallback;
}

static s4_status source_counted(s4_ctx *ctx, uint32_t budget)
{
    if (input.passes == 0) {
        input.passes = number("S4_BENCH_PASSES", 1);
        input.at = input.lines.text;
    }
    s4_status status = emit_lines(ctx, budget);
    if (status != S4_OK || input.at < input.lines.text + input.lines.size)
        return status;
    input.at = input.lines.text;
    return --input.passes ? S4_OK : S4_END;
}

static uint64_t due_ns(uint64_t number)
{
    return input.start_ns + (uint64_t)((double)number * 1e9 / input.rate);
}

static s4_status source_timed(s4_ctx *ctx, uint32_t budget)
{
    Event event = EVENT__INIT;
    uint64_t now = now_ns();
    if (input.start_ns == 0) {
        input.start_ns = now;
        input.at = input.lines.text;
    }
    uint32_t given = 0;
    for (; given < budget && input.given < input.count && due_ns(input.given) <= now; given++) {
        event.value = due_ns(input.given++);
        event.key = lines_number(&input.at);
        if (input.at == input.lines.text + input.lines.size)
            input.at = input.lines.text;
        s4_status status = s4_emit(ctx, &timed, &event);
        if (status != S4_OK)
            return status;
    }
    if (input.given == input.count)
        return S4_END;
    if (given == 0)
        sched_yield(); /* not S4_AGAIN: that is a millisecond */
    return S4_OK;
}

static s4_status source(s4_ctx *ctx, uint32_t budget)
{
    return input.rate > 0 ? source_timed(ctx, budget) : source_counted(ctx, budget);
}

/* ---- life ---------------------------------------------------------------------------------- */

static s4_status start(s4_ctx *ctx)
{
    const char *path = getenv("S4_BENCH_LINES"); /* on the node with the source */
    if (path && !lines_read(&input.lines, path))
        return s4_fail(ctx, S4_IO, "S4_BENCH_LINES names no file of lines");
    input.rate = (double)number("S4_BENCH_RATE", 0);
    input.count = number("S4_BENCH_COUNT", 0);
    if (getenv("S4_BENCH_TIMES"))
        times.ns = malloc(TIMES_MAX * sizeof *times.ns);
    return S4_OK;
}

static int by_size(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

static s4_status write_times(void)
{
    uint64_t warm = times.n / WARM_PART;
    uint64_t n = times.n - warm;
    uint32_t *ns = times.ns + warm;
    FILE *file = fopen(getenv("S4_BENCH_TIMES"), "we");
    if (!file)
        return S4_IO;
    qsort(ns, n, sizeof *ns, by_size);
    static const uint64_t per_mille[] = { 500, 990, 999 };
    for (size_t i = 0; n > 0 && i < sizeof per_mille / sizeof per_mille[0]; i++) {
        uint32_t at = ns[n * per_mille[i] / 1000];
        fprintf(file, "%.2f ", at / 1e3);
    }
    return fclose(file) == 0 ? S4_OK : S4_IO;
}

static s4_status stop(s4_ctx *ctx)
{
    s4_status status = times.ns ? write_times() : S4_OK;
    lines_fini(&input.lines);
    free(times.ns);
    times.ns = NULL;
    return status;
}

S4_APP(pair, S4_STREAMS(&counted.base, &timed.base), S4_PROTOTYPES(&counters), .start = start,
       .stop = stop, .source = source);
