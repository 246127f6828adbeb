/* A bundle with files of its own: counts the words that do not stand in stop/words.txt. */
#include <s4/s4.h>

#include "probe.pb-c.h"

S4_STREAM(lines, Probe__Line, probe__line);
S4_TABLE(totals, Probe__Total, probe__total, "key");

static s4_status start(s4_ctx *ctx)
{
    size_t size = 1;
    if (s4_file(ctx, "stop", &size) || size != 0 || s4_file(ctx, "", NULL))
        return s4_fail(ctx, S4_STATE, "a folder is no file");
    const char *words = s4_file(ctx, "stop/words.txt", &size);
    if (!words)
        return s4_fail(ctx, S4_NOT_FOUND, "stop/words.txt is not in the bundle");
    if (strlen(words) != size)
        return s4_fail(ctx, S4_CORRUPT, "stop/words.txt is not text");
    s4_set_app_data(ctx, (void *)(uintptr_t)words);
    return S4_OK;
}

struct counter {
    uint64_t n;
};

static s4_status on_line(s4_ctx *ctx, struct counter *self, const Probe__Line *line)
{
    if (strstr(s4_app_data(ctx), line->text))
        return S4_OK;
    Probe__Total row = PROBE__TOTAL__INIT;
    row.key = line->text;
    row.n = ++self->n;
    return s4_publish(ctx, &totals, &row);
}

S4_CLASS(counter, struct counter, S4_FLAT);
S4_PROTOTYPE(counters, counter, S4_ON(counter, on_line, lines, "text"));
S4_APP(stopwords, S4_STREAMS(&lines.base), S4_PROTOTYPES(&counters), S4_OUTPUTS(&totals.base),
       .start = start);
