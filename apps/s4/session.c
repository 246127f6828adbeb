/* One run of an app in this process.
 *
 * The engine's upcalls come on its threads; they note what happened under the lock and ring the
 * eventfd. The main thread sleeps in poll and wakes for that, for a signal, and five times a second
 * to show how far it is and to see whether an app that is paused at the hard memory mark still
 * moves. If it does not, and no instance waits for an answer, nothing will ever relieve it: its
 * input comes from here alone.
 */
#include "apps/s4/session.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "apps/s4/ending.h"
#include "apps/s4/exit.h"
#include "apps/s4/say.h"
#include "pe/graph/graph.h"
#include "runtime/base/mem.h"

#define LOOK_MS     200
#define STUCK_LOOKS 5       /* without a move, until a pause is taken to be for good */
#define GRACE_US    2000000 /* to drain after --for: then the rows are read as they are */

static uint64_t now_us(void)
{
    return clock_real.mono_us(&clock_real);
}

/* ---- upcalls; the engine's threads --------------------------------------------------------- */

static void ended(struct session *session, s4_status status, const struct diag *diag)
{
    pthread_mutex_lock(&session->lock);
    session->open--;
    if (status != S4_END && status != S4_CANCELLED && session->failed == S4_OK) {
        session->failed = status;
        session->diag = *diag;
    }
    pthread_mutex_unlock(&session->lock);
    eventfd_write(session->wake, 1);
}

static void feed_ended(void *user, struct feed_file *feed, s4_status status)
{
    ended(user, status, &feed->diag);
}

static void source_ended(void *user, s4_status status)
{
    struct diag diag;
    diag_set(&diag, status, "the app's source failed: %s", s4_status_text(status));
    ended(user, status, &diag);
}

static void answer(struct session *session, struct session_answer *answer, s4_status status)
{
    pthread_mutex_lock(&session->lock);
    *answer = (struct session_answer){ .is_there = true, .status = status };
    pthread_mutex_unlock(&session->lock);
    eventfd_write(session->wake, 1);
}

static void drain_answered(void *user, s4_status status, const struct engine_drained *drained)
{
    struct session *session = user;
    if (status == S4_OK)
        session->drained = *drained; /* read after the answer was seen */
    answer(session, &session->drain, status);
}

static void pins_answered(void *user, s4_status status, struct query_pins *pins)
{
    struct session *session = user;
    session->pins = pins;
    answer(session, &session->pin, status);
}

/* ---- start --------------------------------------------------------------------------------- */

int session_init(struct session *session)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGTERM);
    CHECK(pthread_mutex_init(&session->lock, NULL) == 0);
    pthread_sigmask(SIG_BLOCK, &set, NULL); /* the engine's threads inherit it */
    session->wake = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    session->signals = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
    alarms_init(&session->alarms, session->wake);
    if (session->wake < 0 || session->signals < 0) {
        say_error("cannot wait for events: %s", strerror(errno));
        return EXIT_FAILED;
    }
    session->options.threads = true;
    session->options.log = &say_log;
    session->options.alarm = alarms_raise;
    session->options.fault = alarms_fault;
    session->options.user = &session->alarms;
    struct diag diag = { 0 };
    s4_status status = engine_create(&session->options, &session->engine, &diag);
    if (status == S4_OK)
        status = engine_start(session->engine, &diag);
    if (status == S4_OK)
        status = engine_deploy(session->engine, session->bundle, session->plugin, &diag);
    if (status != S4_OK)
        say_error("%s", diag.text);
    return exit_of(status);
}

static s4_status open_feed(struct session *session, const struct session_input *input,
                           struct diag *diag)
{
    const S4__Graph__Graph *graph = session->bundle->graph;
    const S4__Graph__Stream *stream = graph->streams[graph_find_stream(graph, input->stream)];
    struct feed_file *feed = &session->feeds[session->n_feeds];
    enum input_format format =
        session->format != INPUT_UNKNOWN ? session->format : input_format_guess(input->path);
    TRY(feed_file_open(feed, input->path, format,
                       schema_find(session->bundle->schema, stream->type), &session->rejects,
                       diag));
    feed->ended = feed_ended;
    feed->user = session;
    session->n_feeds++;
    return S4_OK;
}

static s4_status hand_over(struct session *session, struct diag *diag)
{
    const char *app = session->bundle->graph->app;
    for (uint32_t i = 0; i < session->n_feeds; i++) {
        s4_status status = engine_feed(session->engine, app, session->inputs[i].stream,
                                       &session->feeds[i].feed, diag);
        if (status != S4_OK) {
            pthread_mutex_lock(&session->lock);
            session->open -= session->n_feeds - i;
            pthread_mutex_unlock(&session->lock);
            return status;
        }
    }
    const S4__Graph__Source *source = session->bundle->graph->source;
    if (!source || !source->present)
        return S4_OK;
    pthread_mutex_lock(&session->lock);
    session->open++;
    pthread_mutex_unlock(&session->lock);
    s4_status status = engine_feed_source(session->engine, app, source_ended, session, diag);
    if (status != S4_OK) {
        pthread_mutex_lock(&session->lock);
        session->open--;
        pthread_mutex_unlock(&session->lock);
    }
    return status;
}

int session_start(struct session *session)
{
    struct diag diag = { 0 };
    s4_status status = S4_OK;
    for (uint32_t i = 0; i < session->n_inputs && status == S4_OK; i++)
        status = open_feed(session, &session->inputs[i], &diag);
    session->begin_us = now_us();
    session->open = session->n_feeds;
    if (status == S4_OK)
        status = hand_over(session, &diag);
    else
        session->open = 0;
    if (status == S4_OK)
        return EXIT_DONE;
    say_error("%s", diag.text);
    return EXIT_FAILED;
}

/* ---- waiting ------------------------------------------------------------------------------- */

uint64_t session_rejected(struct session *session)
{
    uint64_t sum = 0;
    for (uint32_t i = 0; i < session->n_feeds; i++)
        sum += atomic_load_explicit(&session->feeds[i].rejected, memory_order_relaxed);
    return sum;
}

static void take_signal(struct session *session)
{
    struct signalfd_siginfo info;
    if (read(session->signals, &info, sizeof info) != (ssize_t)sizeof info)
        return;
    if (session->interrupted) {
        say_note("stopped at once; what waited is dropped");
        _exit(EXIT_FAILED);
    }
    session->interrupted = true;
    say_note("ending the input; once more stops at once");
    engine_feed_cancel(session->engine, NULL);
}

static void take_alarms(struct session *session)
{
    char text[ALARM_TEXT_MAX];
    while (alarms_take(&session->alarms, text))
        say_note("alarm: %s", text);
}

/* Progress, and whether a paused app still moves. */
static void look(struct session *session)
{
    struct engine_status status;
    if (engine_status(session->engine, &status) != S4_OK)
        return;
    if (status.n_apps) {
        const struct engine_app_status *app = &status.apps[0];
        bool moves = app->counters.applied != session->applied_before || app->counters.waiting;
        session->applied_before = app->counters.applied;
        session->stuck = app->paused && !moves ? session->stuck + 1 : 0;
        session->paused = session->stuck >= STUCK_LOOKS;
        double seconds = (double)(now_us() - session->begin_us) / 1e6;
        say_progress("%.0f s, %" PRIu64 " events in, %" PRIu64 " applied, %" PRIu64
                     " instances, %.0f M waiting",
                     seconds, app->counters.injected, app->counters.applied,
                     app->counters.instances, (double)status.memory / (double)MIB);
    }
    mem_free(status.apps);
}

/* Sleeps until something happens, or `until_us`. */
static void wait_a_little(struct session *session, uint64_t until_us)
{
    uint64_t now = now_us();
    int timeout = LOOK_MS;
    if (until_us < now + LOOK_MS * 1000)
        timeout = until_us > now ? (int)((until_us - now + 999) / 1000) : 0;
    struct pollfd fds[] = { { .fd = session->wake, .events = POLLIN },
                            { .fd = session->signals, .events = POLLIN } };
    int ready = poll(fds, 2, timeout);
    if (ready > 0 && fds[0].revents) {
        eventfd_t count;
        eventfd_read(session->wake, &count);
    }
    if (ready > 0 && fds[1].revents)
        take_signal(session);
    take_alarms(session);
    if (alarms_has_fault(&session->alarms)) {
        say_error("stopped by the fault above; no rows are printed, since some may be wrong");
        _exit(EXIT_FAILED);
    }
    if (ready == 0 && !session->ends)
        look(session);
}

static uint32_t feeds_open(struct session *session)
{
    pthread_mutex_lock(&session->lock);
    uint32_t open = session->open;
    pthread_mutex_unlock(&session->lock);
    return open;
}

static bool is_there(struct session *session, const struct session_answer *answer)
{
    pthread_mutex_lock(&session->lock);
    bool is = answer->is_there;
    pthread_mutex_unlock(&session->lock);
    return is;
}

/* When it is to be over, for what should be quick: never without --for, since then all may take its
 * time, and a second signal ends it. */
static uint64_t patience(const struct session *session)
{
    return session->for_us ? now_us() + ENDING_PATIENCE_US : UINT64_MAX;
}

/* At the end of patience nothing more comes: somebody's code keeps its thread. */
static void wait_or_give_up(struct session *session, uint64_t until)
{
    if (now_us() >= until) {
        ending_tell();
        _exit(EXIT_FAILED);
    }
    wait_a_little(session, until);
}

/* With a limit in time and nothing to inject, the app itself is what runs so long. */
static void wait_for_feeds(struct session *session)
{
    uint64_t until = session->for_us ? session->begin_us + session->for_us : UINT64_MAX;
    const S4__Graph__Source *source = session->bundle->graph->source;
    bool idle = !session->n_feeds && !(source && source->present) && session->for_us;
    while ((idle || feeds_open(session)) && !session->paused && now_us() < until) {
        if (idle && session->interrupted)
            break;
        wait_a_little(session, until);
    }
    if (!session->paused && feeds_open(session)) {
        session->interrupted = true;
        engine_feed_cancel(session->engine, NULL);
        uint64_t until_closed = patience(session);
        while (feeds_open(session) && !session->paused)
            wait_or_give_up(session, until_closed);
    }
}

/* false: it is paused, or the time is over. */
static bool wait_for_drain(struct session *session, uint64_t until)
{
    while (!is_there(session, &session->drain) && !session->paused && now_us() < until)
        wait_a_little(session, until);
    return is_there(session, &session->drain);
}

static int tell_pause(struct session *session)
{
    take_alarms(session);
    say_error("%s is paused at the hard memory mark, and nothing outside could relieve it",
              session->bundle->graph->app);
    return EXIT_PAUSED;
}

int session_finish(struct session *session)
{
    wait_for_feeds(session);
    if (session->paused)
        return tell_pause(session);
    struct diag diag = { 0 };
    s4_status status = engine_drain(session->engine, NULL, true, drain_answered, session, &diag);
    uint64_t until = UINT64_MAX;
    if (session->for_us)
        until = size_max(session->begin_us + session->for_us, now_us()) + GRACE_US;
    bool drained = status == S4_OK && wait_for_drain(session, until);
    session->end_us = now_us();
    say_progress_end();
    if (status == S4_OK && drained)
        status = session->drain.status;
    if (session->paused || status == S4_PAUSED)
        return tell_pause(session);
    if (status != S4_OK)
        say_error("cannot drain: %s", diag.text[0] ? diag.text : s4_status_text(status));
    else if (!drained)
        say_note("the time is over and events are still in flight; rows are as they are now");
    if (session->failed != S4_OK)
        say_error("%s", session->diag.text);
    return status != S4_OK || session->failed != S4_OK ? EXIT_FAILED : EXIT_DONE;
}

s4_status session_pin(struct session *session, const char *output, struct query_pins **pins,
                      struct diag *diag)
{
    session->pin.is_there = false; /* no call is under way */
    TRY(engine_pin(session->engine, session->bundle->graph->app, output, NULL, pins_answered,
                   session, diag));
    uint64_t until = patience(session);
    while (!is_there(session, &session->pin))
        wait_or_give_up(session, until);
    if (session->pin.status != S4_OK)
        return diag_set(diag, session->pin.status, "cannot read %s: %s", output,
                        s4_status_text(session->pin.status));
    *pins = session->pins;
    return S4_OK;
}

static void stop_engine(void *engine)
{
    engine_stop(engine);
}

/* A signal still counts meanwhile. */
static void end_engine(struct session *session)
{
    struct ending ending;
    uint64_t until = patience(session);
    session->ends = true;
    ending_start(&ending, stop_engine, session->engine, session->wake);
    while (!ending_is_done(&ending))
        wait_or_give_up(session, until);
    ending_join(&ending);
    engine_destroy(session->engine);
}

void session_fini(struct session *session)
{
    if (session->engine)
        end_engine(session);
    take_alarms(session);
    for (uint32_t i = 0; i < session->n_feeds; i++)
        feed_file_close(&session->feeds[i]);
    alarms_fini(&session->alarms);
    pthread_mutex_destroy(&session->lock);
    if (session->wake >= 0)
        close(session->wake);
    if (session->signals >= 0)
        close(session->signals);
}
