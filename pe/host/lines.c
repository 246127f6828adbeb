/* What a plugin's code logs: so many lines a second of each level, of an app; the rest is counted
 * and told. It is outside of a partition's state: nothing that a partition does depends on it, so
 * it may look at the node's clock. */
#include "pe/host/host.h"
#include "pe/host/host_run.h"

static void tell_rest(struct host_app *app, enum log_level level, uint64_t lines)
{
    if (lines > HOST_LINES_MAX)
        log_write(app->engine->options.log, level, "%s: %llu more lines are left out",
                  app->graph->app, (unsigned long long)(lines - HOST_LINES_MAX));
}

void host_log_end(struct host_app *app)
{
    for (int level = LOG_ERROR; level <= LOG_DEBUG; level++)
        tell_rest(app, (enum log_level)level, atomic_exchange(&app->lines[level].n, 0));
}

/* Workers may find a new second at once: then the lines of the old one are told by one of them. */
void host_log(struct host_ctx *ctx, enum log_level level, const char *text)
{
    struct host_app *app = ctx->app;
    struct host_lines *lines = &app->lines[level];
    const struct clock *clock = app->engine->options.clock;
    uint64_t second = clock->mono_us(clock) / 1000000;
    if (atomic_exchange(&lines->second, second) != second)
        tell_rest(app, level, atomic_exchange(&lines->n, 0));
    if (atomic_fetch_add(&lines->n, 1) < HOST_LINES_MAX)
        log_write(app->engine->options.log, level, "%s: %s", app->graph->app, text);
}
