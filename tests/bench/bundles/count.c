/* The app that the figures are measured with, built, packed and loaded as a user's is. Its source
 * parses the lines that S4_BENCH_LINES names, as often as S4_BENCH_PASSES says, and emits each into
 * one of four streams (app.yaml: `into`), which are four ways to count it:
 *
 *     words      a counter per word: what R1 does
 *     hops       a forwarder per word, which emits into `words`: one hop more
 *     asked      a counter per word that asks and waits at every hundredth event
 *     reported   a counter per word with trigger and output, which publishes its row
 *
 * The lines lie in memory before the first event, as they do for R1, and nothing else is kept
 * ready: lines are found, their ends made NULs for the length of some calls, and the structs handed
 * over one by one.
 */
#include <stdlib.h>
#include <string.h>

#include <s4/s4.h>

#include "count.pb-c.h"
#include "tests/bench/lines.h"

#define ASKS_EVERY    100
#define LINES_AT_ONCE 32

S4_STREAM(words, Word, word);
S4_STREAM(hops, Word, word);
S4_STREAM(asked, Word, word);
S4_STREAM(reported, Word, word);
S4_TABLE(rows, Row, row, "word");

/* ---- the ways to count --------------------------------------------------------------------- */

struct counter {
    int64_t n;
    int64_t other; /* with n the 16 bytes of state that R5 has */
};

static s4_status on_word(s4_ctx *ctx, struct counter *self, const Word *word)
{
    self->n += word->count;
    return S4_OK;
}

S4_CLASS(counter, struct counter, S4_FLAT);
S4_PROTOTYPE(counters, counter, S4_ON(counter, on_word, words, "text"));

/* To another key: the first letter differs. */
static s4_status on_hop(s4_ctx *ctx, struct counter *self, const Word *word)
{
    char text[16] = { 0 };
    strncpy(text, word->text, sizeof text - 1);
    text[0] = 'h';
    Word next = WORD__INIT;
    next.text = text;
    next.count = word->count;
    self->n += word->count;
    return s4_emit(ctx, &words, &next);
}

S4_CLASS(forwarder, struct counter, S4_FLAT);
S4_PROTOTYPE(forwarders, forwarder, S4_ON(forwarder, on_hop, hops, "text"));

static s4_status look_up(s4_job *job, const Number *question)
{
    Number answer = NUMBER__INIT;
    answer.n = question->n + 1;
    return s4_answer(job, &answer);
}

S4_REQUEST(lookup, Number, number, Number, number, look_up);

static s4_status on_asked(s4_ctx *ctx, struct counter *self, const Word *word)
{
    self->n += word->count;
    if (self->n % ASKS_EVERY != 0)
        return S4_OK;
    Number question = NUMBER__INIT;
    question.n = self->n;
    s4_status status = s4_ask(ctx, &lookup, &question);
    return status == S4_OK ? s4_wait(ctx) : status;
}

static s4_status on_answer(s4_ctx *ctx, struct counter *self, s4_status result,
                           const Number *answer)
{
    if (result != S4_OK)
        return result;
    self->other = answer->n;
    return S4_OK;
}

static const s4_answer_handler answers[] = {
    S4_ANSWER(struct counter, on_answer, lookup),
};

S4_CLASS(asker, struct counter, S4_FLAT, S4_ANSWERS(answers));
S4_PROTOTYPE(askers, asker, S4_ON(asker, on_asked, asked, "text"));

static s4_status reporter_trigger(s4_ctx *ctx, struct counter *self)
{
    self->other++;
    return S4_OK;
}

static s4_status reporter_output(s4_ctx *ctx, struct counter *self)
{
    char text[LINES_LEN_MAX + 1] = { 0 };
    size_t len;
    const char *key = s4_key(ctx, 0, &len);
    memcpy(text, key, len < sizeof text ? len : sizeof text - 1);
    Row row = ROW__INIT;
    row.word = text;
    row.n = self->n;
    return s4_publish(ctx, &rows, &row);
}

S4_CLASS(reporter, struct counter, S4_FLAT, .trigger = reporter_trigger, .output = reporter_output);
S4_PROTOTYPE(reporters, reporter, S4_ON(reporter, on_word, reported, "text"));

/* ---- the source ---------------------------------------------------------------------------- */

enum way { WORDS, HOPS, ASKED, REPORTED };
static const char *const way_names[] = { "words", "hops", "asked", "reported" };

/* Of this load of the plugin; the intake's thread uses it after start. */
static struct {
    struct lines lines;
    enum way way;
    char *at;
    unsigned long passes;           /* still to do; 0: none has begun */
    char *ended[LINES_AT_ONCE + 1]; /* lines that end with a NUL now, and where the next begins */
} input;

/* Ends the next lines with a NUL; how many. A few at once, since a byte that was written just now
 * is slow to read together with others. */
static inline uint32_t end_lines(char *end)
{
    char *at = input.at;
    uint32_t n = 0;
    for (; n < LINES_AT_ONCE && at < end; n++) {
        char *newline = memchr(at, '\n', (size_t)(end - at));
        *newline = '\0';
        input.ended[n] = at;
        at = newline + 1;
    }
    input.ended[n] = at;
    return n;
}

/* Unrolled per way by the compiler, so that the choice costs nothing per line. */
static inline __attribute__((always_inline)) s4_status emit_lines(s4_ctx *ctx, uint32_t budget,
                                                                  enum way way)
{
    Word word = WORD__INIT;
    word.count = 1;
    char *end = input.lines.text + input.lines.size;
    s4_status status = S4_OK;
    for (uint32_t i = 0; i < budget && input.at < end && status == S4_OK; i += LINES_AT_ONCE) {
        char **line = input.ended;
        char **stop = line + end_lines(end);
        while (line < stop) { /* a failure is remembered, and what comes after it does no harm */
            word.text = *line++;
            status = way == WORDS   ? s4_emit(ctx, &words, &word)
                     : way == HOPS  ? s4_emit(ctx, &hops, &word)
                     : way == ASKED ? s4_emit(ctx, &asked, &word)
                                    : s4_emit(ctx, &reported, &word);
            (*line)[-1] = '\n';
        }
        input.at = *line;
    }
    return status;
}

static s4_status emit_some(s4_ctx *ctx, uint32_t budget)
{
    switch (input.way) {
    case HOPS:
        return emit_lines(ctx, budget, HOPS);
    case ASKED:
        return emit_lines(ctx, budget, ASKED);
    case REPORTED:
        return emit_lines(ctx, budget, REPORTED);
    case WORDS:
        break;
    }
    return emit_lines(ctx, budget, WORDS);
}

static s4_status source(s4_ctx *ctx, uint32_t budget)
{
    if (input.passes == 0) {
        const char *passes = getenv("S4_BENCH_PASSES");
        input.passes = passes ? strtoul(passes, NULL, 10) : 1;
        input.at = input.lines.text;
    }
    s4_status status = emit_some(ctx, budget);
    if (status != S4_OK || input.at < input.lines.text + input.lines.size)
        return status;
    input.at = input.lines.text;
    return --input.passes ? S4_OK : S4_END;
}

struct parameters {
    const char *into;
};

static const s4_param parameters[] = {
    S4_PARAM(struct parameters, into, "words", "words, hops, asked or reported"),
};

static s4_status start(s4_ctx *ctx)
{
    const struct parameters *given = s4_app_params(ctx);
    const char *path = getenv("S4_BENCH_LINES");
    if (!path || !lines_read(&input.lines, path))
        return s4_fail(ctx, S4_IO, "S4_BENCH_LINES names no file of lines");
    for (size_t i = 0; i < sizeof way_names / sizeof way_names[0]; i++)
        if (strcmp(given->into, way_names[i]) == 0) {
            input.way = (enum way)i;
            return S4_OK;
        }
    return s4_fail(ctx, S4_INVALID, "`into` names no stream");
}

static s4_status stop(s4_ctx *ctx)
{
    lines_fini(&input.lines);
    return S4_OK;
}

S4_APP(bench, S4_STREAMS(&words.base, &hops.base, &asked.base, &reported.base),
       S4_PROTOTYPES(&counters, &forwarders, &askers, &reporters), S4_OUTPUTS(&rows.base),
       S4_REQUESTS(&lookup.base), S4_PARAMS(parameters, struct parameters), .start = start,
       .stop = stop, .source = source);
