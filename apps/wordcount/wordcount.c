/* Top-K words, as in Figure 1 of the S4 paper.
 *
 *     lines -> splitter -> words -> counter -> candidates -> sorter -> leaders -> merger
 *              (keyless)            (word)  \                (shard)              (one)  \
 *                                            counts (table)                               top
 * (table)
 *
 * A counter and a sorter tell what they have at most every so often (app.yaml: output), and once
 * more at the end of the input; each count is greater than the one before, and what one instance
 * sends to another stays in order. So the last word of each is its final one, the lists end as if
 * only final counts had been offered (top.h), and the tables do not depend on how many workers
 * there were, how the input was cut into blocks, or in which order its lines came.
 *
 * A word is a run of ASCII letters, digits and apostrophes without apostrophes at its ends, in
 * lower case; of a longer one the first 64 bytes count. test.sh says the same with tr, sed and cut.
 */
#include <s4/s4.h>

#include "top.h"
#include "words.pb-c.h"

#define SHARDS_MAX 1024

struct settings {
    int64_t shards;
    int64_t top;
};

static const s4_param settings[] = {
    S4_PARAM(struct settings, shards, 4, "how many sorters share the words, 1 to 1024"),
    S4_PARAM(struct settings, top, 20, "how many words the table top has, 1 to 100"),
};

S4_STREAM(lines, Line, line);
S4_STREAM(words, Word, word, .internal = true);
S4_STREAM(candidates, Candidate, candidate, .internal = true);
S4_STREAM(leaders, Leaders, leaders, .internal = true);
S4_TABLE(counts, Count, count, "word");
S4_TABLE(top, Rank, rank, "rank");

/* ---- splitter: one per partition ----------------------------------------------------------- */

struct splitter {
    uint64_t lines;
};

static bool is_letter(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

/* Takes the next word off *text; false: there is none. */
static bool next_word(const char **text, char word[WORD_MAX + 1])
{
    const char *at = *text;
    while (*at && !is_letter(*at))
        at++;
    const char *end = at;
    while (is_letter(*end) || *end == '\'')
        end++;
    *text = end;
    if (end == at)
        return false;
    while (end[-1] == '\'')
        end--;
    size_t len = end - at < WORD_MAX ? (size_t)(end - at) : WORD_MAX;
    for (size_t i = 0; i < len; i++)
        word[i] = (char)(at[i] | 0x20); /* digits and apostrophes have that bit already */
    word[len] = '\0';
    return true;
}

static s4_status on_line(s4_ctx *ctx, struct splitter *self, const Line *line)
{
    self->lines++;
    char text[WORD_MAX + 1];
    Word word = WORD__INIT;
    word.text = text;
    for (const char *at = line->text; next_word(&at, text);) {
        s4_status status = s4_emit(ctx, &words, &word);
        if (status != S4_OK)
            return status;
    }
    return S4_OK;
}

/* ---- counter: one per word ----------------------------------------------------------------- */

struct counter {
    uint64_t n;
};

static s4_status on_word(s4_ctx *ctx, struct counter *self, const Word *word)
{
    self->n++;
    return S4_OK;
}

/* FNV-1a: the shard of a word must be the same everywhere and always. */
static uint32_t shard_of(const char *word, int64_t shards)
{
    uint64_t hash = 0xcbf29ce484222325u;
    for (; *word; word++)
        hash = (hash ^ (unsigned char)*word) * 0x100000001b3u;
    return (uint32_t)(hash % (uint64_t)shards);
}

/* The key part 0 is the word; generated structs have no const, and nothing writes to it. */
static Count row_of(const s4_ctx *ctx, const struct counter *self)
{
    Count row = COUNT__INIT;
    row.word = (char *)(uintptr_t)s4_key(ctx, 0, NULL);
    row.n = self->n;
    return row;
}

static s4_status counter_output(s4_ctx *ctx, struct counter *self)
{
    const struct settings *set = s4_app_params(ctx);
    Count row = row_of(ctx, self);
    s4_status status = s4_publish(ctx, &counts, &row);
    if (status != S4_OK)
        return status;
    Candidate candidate = CANDIDATE__INIT;
    candidate.shard = shard_of(row.word, set->shards);
    candidate.word = row.word;
    candidate.n = row.n;
    return s4_emit(ctx, &candidates, &candidate);
}

static s4_status counter_query(s4_ctx *ctx, const struct counter *self)
{
    Count reply = row_of(ctx, self);
    return s4_reply(ctx, &reply);
}

/* ---- sorter: one per shard ----------------------------------------------------------------- */

static s4_status on_candidate(s4_ctx *ctx, struct top *self, const Candidate *candidate)
{
    const struct settings *set = s4_app_params(ctx);
    top_offer(self, (uint32_t)set->top, candidate->word, candidate->n);
    return S4_OK;
}

static s4_status sorter_output(s4_ctx *ctx, struct top *self)
{
    Count rows[TOP_MAX];
    Count *list[TOP_MAX];
    for (uint32_t i = 0; i < self->n; i++) {
        count__init(&rows[i]);
        rows[i].word = self->leaders[i].word;
        rows[i].n = self->leaders[i].n;
        list[i] = &rows[i];
    }
    Leaders event = LEADERS__INIT;
    event.words = list;
    event.n_words = self->n;
    return s4_emit(ctx, &leaders, &event);
}

/* ---- merger: one --------------------------------------------------------------------------- */

static s4_status on_leaders(s4_ctx *ctx, struct top *self, const Leaders *event)
{
    const struct settings *set = s4_app_params(ctx);
    for (size_t i = 0; i < event->n_words; i++)
        top_offer(self, (uint32_t)set->top, event->words[i]->word, event->words[i]->n);
    return S4_OK;
}

static s4_status merger_output(s4_ctx *ctx, struct top *self)
{
    for (uint32_t i = 0; i < self->n; i++) {
        Rank row = RANK__INIT;
        row.rank = i + 1;
        row.word = self->leaders[i].word;
        row.n = self->leaders[i].n;
        s4_status status = s4_publish(ctx, &top, &row);
        if (status != S4_OK)
            return status;
    }
    return S4_OK;
}

/* ---- the app ------------------------------------------------------------------------------- */

static s4_status start(s4_ctx *ctx)
{
    const struct settings *set = s4_app_params(ctx);
    if (set->shards < 1 || set->shards > SHARDS_MAX)
        return s4_fail(ctx, S4_RANGE, "shards is not between 1 and 1024");
    if (set->top < 1 || set->top > TOP_MAX)
        return s4_fail(ctx, S4_RANGE, "top is not between 1 and 100");
    return S4_OK;
}

S4_CLASS(splitter, struct splitter, S4_FLAT);
S4_CLASS(counter, struct counter, S4_FLAT, .output = counter_output, .query = counter_query,
         .reply = &count__descriptor);
S4_CLASS(sorter, struct top, S4_FLAT, .output = sorter_output);
S4_CLASS(merger, struct top, S4_FLAT, .output = merger_output);

S4_PROTOTYPE(splitters, splitter, S4_ON_ANY(splitter, on_line, lines));
S4_PROTOTYPE(counters, counter, S4_ON(counter, on_word, words, "text"));
S4_PROTOTYPE(sorters, sorter, S4_ON(sorter, on_candidate, candidates, "shard"));
S4_PROTOTYPE_SINGLETON(mergers, merger, S4_ON_ANY(merger, on_leaders, leaders));

S4_APP(wordcount, S4_STREAMS(&lines.base, &words.base, &candidates.base, &leaders.base),
       S4_PROTOTYPES(&splitters, &counters, &sorters, &mergers),
       S4_OUTPUTS(&counts.base, &top.base), S4_PARAMS(settings, struct settings), .start = start);
