/* Feeds: events from files, standard input and apps' sources, stepped on the intake's thread (one
 * of its own, or worker 0 when it has nothing else to do).
 *
 * A feed is stepped only while there is credit: waiting blocks of its app below a window, what was
 * copied out for the app's stalled partitions below its part, and the node's memory below the soft
 * mark. Above the mark a stream that sheds loses what is given,
 * counted; one that blocks is simply not asked.
 */
#include "pe/host/host_control.h"
#include "pe/host/host_run.h"

#include <poll.h>

#define FEED_BUDGET 1024u /* events per step */
#define FEED_BATCH                                                                          \
    256u                    /* events that share a keyless slot: fixed, so that it does not \
                               depend on how the feed is stepped */
#define FLUSH_LOOKS   4     /* per flush bound, at open blocks */
#define FEED_RETRY_US 1000u /* a feed that had nothing is asked again after this */

struct feeder {
    struct host_app *app;
    struct host_stream *stream; /* NULL: the app's source */
    uint64_t producer;          /* names the feed; batches count up */
    uint64_t given;
    uint64_t now_us;
};

struct feed_entry {
    struct feed_entry *next;
    struct feed *feed; /* NULL: the app's source */
    struct feeder feeder;
    uint64_t asleep_until_us;
    uint64_t looked_us;    /* for blocks that are open for too long */
    source_closed *closed; /* of a source; may be NULL */
    void *user;
    _Atomic bool cancelled; /* by control; relaxed, seen at the next step */
    bool over;              /* to be unlinked by the stepping thread */
};

static uint16_t keyless_slot(const struct feeder *feeder)
{
    return intake_keyless_slot(feeder->producer, feeder->given / FEED_BATCH,
                               feeder->app->engine->map.slots);
}

static struct host_counters *feed_counters(struct feeder *feeder)
{
    return &feeder->app->feed_counters;
}

s4_status feeder_give(struct feeder *feeder, const struct value *event)
{
    struct host_app *app = feeder->app;
    struct emitter *emitter = &app->feed_emitter;
    if (feeder->stream->shed &&
        (!host_has_credit(app) || atomic_load_explicit(&app->paused, memory_order_relaxed))) {
        count_add(&feed_counters(feeder)->shed, 1);
        return S4_OK;
    }
    const struct emission emission = { .time = feeder->now_us,
                                       .keyless = keyless_slot(feeder),
                                       .flags = RECORD_INJECTED };
    TRY(intake_emit(emitter, &feeder->stream->intake, event, &emission));
    feeder->given++;
    count_add(&feed_counters(feeder)->injected, 1);
    if (UNLIKELY(host_hearers(feeder->stream) != NULL))
        host_export_feed(app, (uint32_t)(feeder->stream - app->streams), event, &emission);
    else if (UNLIKELY(feeder->stream->n_routes == 0))
        count_add(&feed_counters(feeder)->unheard, 1);
    return S4_OK;
}

/* Events that give one record each only count in emitter_emitted; what stands there is settled
 * before and after an event that may give several, which is a call of its own. */
static void settle(struct host_ctx *ctx)
{
    ctx->feeder->given += emitter_emitted(ctx->emitter);
    emitter_commit(ctx->emitter);
}

void host_source_emits(struct host_ctx *ctx)
{
    settle(ctx);
    ctx->emission.keyless = keyless_slot(ctx->feeder);
}

void host_source_emitted(struct host_ctx *ctx, s4_status status)
{
    if (status != S4_OK)
        emitter_rollback(ctx->emitter);
    ctx->emitter->left = ctx->emitter->emits_max;
    ctx->feeder->given += status == S4_OK;
    settle(ctx);
}

static s4_status step_source(struct engine *engine, struct feeder *feeder)
{
    struct host_app *app = feeder->app;
    struct host_ctx *ctx = &engine->feeder.ctx;
    host_ctx_init(ctx, &engine->feeder);
    ctx->pub.host = &host_services_source;
    ctx->app = app;
    ctx->kind = CALL_SOURCE;
    ctx->feeder = feeder;
    ctx->emitter = &app->feed_emitter;
    ctx->emission = (struct emission){ .time = feeder->now_us, .flags = RECORD_INJECTED };
    ctx->run_us = feeder->now_us;
    uint64_t before = feeder->given;
    host_running = ctx;
    s4_status status = app->code->source(&ctx->pub, FEED_BUDGET);
    host_running = NULL;
    settle(ctx);
    if (ctx->emitter->failed != S4_OK)
        host_emit_failed(ctx);
    count_add(&app->feed_counters.injected, feeder->given - before);
    if (ctx->failed == S4_OK)
        return status;
    host_alarm(app, "the source failed: %s", ctx->cause);
    return ctx->failed;
}

size_t host_feed_window(const struct engine *engine)
{
    return HOST_FEED_WINDOW * engine->n_workers;
}

/* What a partition that takes nothing has had copied out is in nobody's way, but it is memory: the
 * app's own sources wait when it has its part, long before those of all apps would. */
bool host_has_credit(const struct host_app *app)
{
    const struct engine *engine = app->engine;
    size_t soft = engine->options.memory_soft;
    size_t apps = size_max(atomic_load_explicit(&engine->n_apps, memory_order_relaxed), 1);
    return host_memory(engine) < soft && atomic_load_explicit(&app->copied, memory_order_relaxed) <
                                             soft / HOST_COPIED_PART / apps;
}

/* Blocks for other nodes are in nobody's queue here, and what is held until it is applied there is
 * no reason to wait: a slow slot would hold all sources up. */
static bool remote_has_credit(const struct engine *engine)
{
    const struct engine_remote *remote = engine->options.remote;
    return !remote || !remote->waiting || remote->waiting(remote->user) < ENGINE_REMOTE_WAITING;
}

static bool feed_has_credit(const struct feed_entry *entry)
{
    const struct host_app *app = entry->feeder.app;
    if (!atomic_load_explicit(&app->open, memory_order_relaxed))
        return false;
    if (entry->feeder.stream && entry->feeder.stream->shed)
        return true; /* waits for nobody: what there is no room for is shed at the door */
    if (atomic_load_explicit(&app->paused, memory_order_relaxed) ||
        atomic_load_explicit(&app->queued, memory_order_relaxed) >= host_feed_window(app->engine))
        return false;
    return remote_has_credit(app->engine) && host_has_credit(app);
}

/* What feeds have emitted leaves: a feed of one app emits for those that hear it, too. */
static bool flush_feeds(struct engine *engine)
{
    bool any = false;
    for (uint32_t i = 0; i < host_places(engine); i++) {
        struct host_app *app = host_app_at(engine, i);
        if (app && app->feed_emitter.n_open)
            any |= emitter_flush(&app->feed_emitter);
    }
    return any;
}

static void close_feed(struct feed_entry *entry, s4_status status)
{
    flush_feeds(entry->feeder.app->engine);
    entry->over = true;
    if (entry->feed)
        entry->feed->closed(entry->feed, status);
    else if (entry->closed)
        entry->closed(entry->user, status);
}

/* A feed may give little for long, or have no credit now: what it gave waits no longer for that.
 * Looked at a few times per bound, not at every step. */
static bool flush_old(struct engine *engine, struct feed_entry *entry, uint64_t now_us)
{
    uint64_t bound_us = engine->options.flush_us;
    if (now_us - entry->looked_us < bound_us / FLUSH_LOOKS)
        return false;
    entry->looked_us = now_us;
    bool any = false;
    for (uint32_t i = 0; i < host_places(engine); i++) {
        struct host_app *app = host_app_at(engine, i);
        if (app && app->feed_emitter.n_open)
            any |= emitter_flush_old(&app->feed_emitter, now_us - bound_us);
    }
    return any;
}

/* One step of one feed; true: it gave something or ended. */
static bool step_feed(struct engine *engine, struct feed_entry *entry, uint64_t now_us)
{
    struct feeder *feeder = &entry->feeder;
    if (entry->over)
        return false;
    if (atomic_load_explicit(&entry->cancelled, memory_order_relaxed)) {
        close_feed(entry, S4_CANCELLED);
        return true;
    }
    bool flushed = flush_old(engine, entry, now_us);
    if (now_us < entry->asleep_until_us || !feed_has_credit(entry))
        return flushed;
    feeder->now_us = now_us;
    feeder->app->feed_emitter.now_us = now_us;
    s4_status status = entry->feed ? entry->feed->step(entry->feed, feeder, FEED_BUDGET)
                                   : step_source(engine, feeder);
    if (status == S4_OK)
        return true;
    if (status == S4_AGAIN) {
        entry->asleep_until_us = now_us + FEED_RETRY_US;
        return flush_feeds(engine);
    }
    close_feed(entry, status);
    return true;
}

static void unlink_over(struct engine *engine)
{
    pthread_mutex_lock(&engine->feeds_lock);
    for (struct feed_entry **at = &engine->feeds; *at;) {
        struct feed_entry *entry = *at;
        if (!entry->over) {
            at = &entry->next;
            continue;
        }
        *at = entry->next;
        mem_free(entry);
        atomic_fetch_sub(&engine->n_feeds, 1);
    }
    pthread_mutex_unlock(&engine->feeds_lock);
}

/* The intake's round. The list only grows at its head by others, and shrinks only here. */
bool host_feeds_step(struct engine *engine)
{
    if (atomic_load_explicit(&engine->n_feeds, memory_order_relaxed) == 0 ||
        atomic_load_explicit(&engine->still.wanted, memory_order_relaxed))
        return false;
    uint64_t now_us = engine->options.clock->wall_us(engine->options.clock);
    pthread_mutex_lock(&engine->step_lock);
    pthread_mutex_lock(&engine->feeds_lock);
    struct feed_entry *entry = engine->feeds;
    pthread_mutex_unlock(&engine->feeds_lock);
    bool any = false;
    bool over = false;
    for (; entry; entry = entry->next) {
        any |= step_feed(engine, entry, now_us);
        over |= entry->over;
    }
    pthread_mutex_unlock(&engine->step_lock);
    if (over)
        unlink_over(engine);
    return any;
}

/* ---- its own thread ------------------------------------------------------------------------ */

static void *feed_main(void *arg)
{
    struct engine *engine = arg;
    struct inbox *inbox = &engine->feed_inbox;
    while (!atomic_load(&engine->stopping)) {
        if (host_feeds_step(engine) || !inbox_sleep(inbox))
            continue;
        if (!host_feeds_step(engine)) { /* credit that came before the announcement is seen here */
            host_feed_flush(engine);
            struct pollfd fd = { .fd = inbox->wake_fd, .events = POLLIN };
            poll(&fd, 1, 5);
        }
        inbox_woken(inbox);
    }
    return NULL;
}

void host_feed_flush(struct engine *engine)
{
    pthread_mutex_lock(&engine->step_lock);
    flush_feeds(engine);
    pthread_mutex_unlock(&engine->step_lock);
}

s4_status host_feed_thread_start(struct engine *engine, struct diag *diag)
{
    if (pthread_create(&engine->feed_thread, NULL, feed_main, engine) != 0)
        return diag_set(diag, S4_UNAVAILABLE, "a thread cannot be started");
    engine->has_feed_thread = true;
    pthread_setname_np(engine->feed_thread, "intake");
    return S4_OK;
}

void host_feed_thread_stop(struct engine *engine)
{
    if (!engine->has_feed_thread)
        return;
    atomic_store(&engine->feed_inbox.sleeping, 1);
    inbox_wake(&engine->feed_inbox);
    pthread_join(engine->feed_thread, NULL);
    engine->has_feed_thread = false;
}

/* ---- control ------------------------------------------------------------------------------- */

void host_feeds_wake(struct engine *engine)
{
    if (engine->options.feed_thread)
        inbox_wake(&engine->feed_inbox);
    else
        worker_wake(engine->workers[0].actor);
}

void engine_credit(struct engine *engine)
{
    host_feeds_wake(engine);
}

static s4_status add_feed(struct engine *engine, struct host_app *app, struct host_stream *stream,
                          const struct feed_entry *what, struct diag *diag)
{
    struct feed_entry *entry = mem_dup(what, sizeof *what);
    if (!entry)
        return diag_set(diag, S4_NO_MEMORY, "out of memory");
    entry->feeder = (struct feeder){ .app = app, .stream = stream };
    pthread_mutex_lock(&engine->feeds_lock);
    entry->feeder.producer = ++app->n_feeds;
    entry->next = engine->feeds;
    engine->feeds = entry;
    atomic_fetch_add(&engine->n_feeds, 1);
    pthread_mutex_unlock(&engine->feeds_lock);
    host_feeds_wake(engine);
    return S4_OK;
}

struct host_stream *host_stream_find(const struct host_app *app, const char *name)
{
    for (uint32_t i = 0; i < app->n_streams; i++)
        if (strcmp(app->streams[i].name, name) == 0)
            return &app->streams[i];
    return NULL;
}

s4_status host_stream_for_injection(struct engine *engine, const char *app_name, const char *name,
                                    struct host_app **app, struct host_stream **stream,
                                    struct diag *diag)
{
    *app = host_app_find(engine, app_name);
    if (!*app)
        return diag_set(diag, S4_NOT_FOUND, "no app \"%s\" is deployed", app_name);
    *stream = host_stream_find(*app, name);
    if (!*stream)
        return diag_set(diag, S4_NOT_FOUND, "app \"%s\" has no stream \"%s\"", app_name, name);
    if ((*stream)->internal)
        return diag_set(diag, S4_PERMISSION,
                        "stream \"%s\" of app \"%s\" is internal: it takes nothing from outside",
                        name, app_name);
    return S4_OK;
}

s4_status engine_feed(struct engine *engine, const char *app_name, const char *stream_name,
                      struct feed *feed, struct diag *diag)
{
    struct host_app *app;
    struct host_stream *stream;
    TRY(host_stream_for_injection(engine, app_name, stream_name, &app, &stream, diag));
    struct feed_entry entry = { .feed = feed };
    return add_feed(engine, app, stream, &entry, diag);
}

s4_status engine_feed_source(struct engine *engine, const char *app_name, source_closed *closed,
                             void *user, struct diag *diag)
{
    struct host_app *app = host_app_find(engine, app_name);
    if (!app)
        return diag_set(diag, S4_NOT_FOUND, "no app \"%s\" is deployed", app_name);
    if (!app->code->source)
        return diag_set(diag, S4_NOT_FOUND, "app \"%s\" has no source", app_name);
    struct feed_entry entry = { .closed = closed, .user = user };
    return add_feed(engine, app, NULL, &entry, diag);
}

void engine_feed_cancel(struct engine *engine, const char *app_name)
{
    pthread_mutex_lock(&engine->feeds_lock);
    for (struct feed_entry *entry = engine->feeds; entry; entry = entry->next)
        if (!app_name || strcmp(entry->feeder.app->graph->app, app_name) == 0)
            atomic_store_explicit(&entry->cancelled, true, memory_order_relaxed);
    pthread_mutex_unlock(&engine->feeds_lock);
    host_feeds_wake(engine);
}

static bool has_feeds(struct engine *engine, const struct host_app *app)
{
    bool any = false;
    pthread_mutex_lock(&engine->feeds_lock);
    for (struct feed_entry *entry = engine->feeds; entry; entry = entry->next)
        any |= entry->feeder.app == app;
    pthread_mutex_unlock(&engine->feeds_lock);
    return any;
}

void host_feeds_close(struct engine *engine, struct host_app *app)
{
    engine_feed_cancel(engine, app->graph->app);
    while (has_feeds(engine, app))
        host_control_wait(engine);
}

/* The threads have ended. */
void host_feeds_end(struct engine *engine)
{
    engine_feed_cancel(engine, NULL);
    for (struct feed_entry *entry = engine->feeds; entry; entry = entry->next)
        if (!entry->over)
            close_feed(entry, S4_CANCELLED);
    unlink_over(engine);
}
