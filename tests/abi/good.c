/* An app with one of everything, which breaks no rule. The tests of graph, manifest and bundle link
 * it; the loader's test loads it. */
#include <stdio.h>

#include <s4/s4.h>

#include "words.pb-c.h"

S4_STREAM(lines, Abi__Line, abi__line);
S4_STREAM(words, Abi__Word, abi__word, .internal = true);
S4_TABLE(counts, Abi__Count, abi__count, "word");
S4_LOG(seen, Abi__Count, abi__count);

static s4_status look_up(s4_job *job, const Abi__Lookup *question)
{
    Abi__Meaning meaning = ABI__MEANING__INIT;
    meaning.text = question->word;
    return s4_answer(job, &meaning);
}
S4_REQUEST(lookup, Abi__Lookup, abi__lookup, Abi__Meaning, abi__meaning, look_up);

struct splitter {
    uint64_t lines;
};

static s4_status on_line(s4_ctx *ctx, struct splitter *self, const Abi__Line *line)
{
    Abi__Word word = ABI__WORD__INIT;
    self->lines++;
    word.text = line->text;
    return s4_emit(ctx, &words, &word);
}

S4_CLASS(splitter, struct splitter, S4_FLAT);
S4_PROTOTYPE(splitters, splitter, S4_ON_ANY(splitter, on_line, lines));

struct counter {
    uint64_t n;
};

struct counter_params {
    int64_t least;
    double factor;
    bool loud;
    const char *greeting;
};

static const s4_param counter_params[] = {
    S4_PARAM(struct counter_params, least, 3, "counts below it are not published"),
    S4_PARAM(struct counter_params, factor, 0.5, "of the weight"),
    S4_PARAM(struct counter_params, loud, false, "whether it logs"),
    S4_PARAM(struct counter_params, greeting, "hello", "what it logs"),
};

static s4_status on_word(s4_ctx *ctx, struct counter *self, const Abi__Word *word)
{
    self->n += word->count;
    return S4_OK;
}

static s4_status on_meaning(s4_ctx *ctx, struct counter *self, s4_status result,
                            const Abi__Meaning *meaning)
{
    return S4_OK;
}

static s4_status counter_output(s4_ctx *ctx, struct counter *self)
{
    char word[64];
    Abi__Count row = ABI__COUNT__INIT;
    snprintf(word, sizeof word, "%s", s4_key(ctx, 0, NULL));
    row.word = word;
    row.n = self->n;
    return s4_publish(ctx, &counts, &row);
}

static s4_status counter_query(s4_ctx *ctx, const struct counter *self)
{
    char word[64];
    Abi__Count row = ABI__COUNT__INIT;
    snprintf(word, sizeof word, "%s", s4_key(ctx, 0, NULL));
    row.word = word;
    row.n = self->n;
    return s4_reply(ctx, &row);
}

static const s4_answer_handler counter_answers[] = { S4_ANSWER(struct counter, on_meaning,
                                                               lookup) };

S4_CLASS(counter, struct counter, S4_FLAT, S4_PARAMS(counter_params, struct counter_params),
         S4_ANSWERS(counter_answers), .trigger = counter_output, .output = counter_output,
         .query = counter_query, .reply = &abi__count__descriptor);
S4_PROTOTYPE_WITH(counters, counter, S4_POLICY(.ttl_us = 5000000, .output_events = 10),
                  S4_ON(counter, on_word, words, "text"));
S4_PROTOTYPE(fans, counter, S4_ON(counter, on_word, words, "author.name, tags"));

static s4_status total_word(s4_ctx *ctx, Abi__Count *self, const Abi__Word *word)
{
    self->n += word->count;
    return S4_OK;
}

S4_CLASS(total, Abi__Count, S4_MESSAGE, .state_type = &abi__count__descriptor);
S4_PROTOTYPE_SINGLETON(totals, total, S4_ON_ANY(total, total_word, words));

struct app_params {
    int64_t seed;
};
static const s4_param app_params[] = { S4_PARAM(struct app_params, seed, -1, "of nothing") };

S4_APP(good, S4_STREAMS(&lines.base, &words.base),
       S4_PROTOTYPES(&splitters, &counters, &fans, &totals), S4_OUTPUTS(&counts.base, &seen.base),
       S4_REQUESTS(&lookup.base), S4_PARAMS(app_params, struct app_params));
