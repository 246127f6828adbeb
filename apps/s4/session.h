/* One run of an app in this process: engine, app, feeds, and the thread that waits for them while
 * it looks after signals, alarms, time and progress. Main thread, but for what says otherwise. */
#ifndef APPS_S4_SESSION_H
#define APPS_S4_SESSION_H

#include "apps/s4/alarms.h"
#include "apps/s4/feed_file.h"
#include "pe/host/engine.h"

#define SESSION_FEEDS_MAX 256

struct session_input {
    const char *stream;
    const char *path;
};

struct session_answer {
    bool is_there;
    s4_status status;
};

struct session {
    /* Given. */
    struct engine_options options;
    struct bundle *bundle;
    struct plugin *plugin;
    const struct session_input *inputs;
    uint32_t n_inputs;
    enum input_format format; /* INPUT_UNKNOWN: by each file's name */
    uint64_t for_us;          /* 0: as long as it takes */

    /* Kept. */
    struct engine *engine;
    struct rejects rejects;
    struct alarms alarms;
    int wake;                  /* eventfd: an upcall has changed something */
    int signals;               /* signalfd of SIGINT and SIGTERM */
    uint64_t begin_us, end_us; /* of the input */
    bool interrupted;          /* by a signal or by time */
    bool ends;                 /* its engine is not asked any more */
    bool paused;               /* at the hard mark, for good */
    uint64_t applied_before;   /* at the last look */
    uint32_t stuck;            /* looks since it moved, while paused */

    /* Written by upcalls under this lock. */
    pthread_mutex_t lock;
    uint32_t open;                    /* feeds and sources that have not ended */
    s4_status failed;                 /* the first failure of one */
    struct diag diag;                 /* of it */
    struct session_answer drain, pin; /* of the calls that are waited for */
    struct engine_drained drained;
    struct query_pins *pins;

    uint32_t n_feeds;
    struct feed_file feeds[SESSION_FEEDS_MAX];
};

/* Blocks SIGINT and SIGTERM, starts the engine, deploys, opens the feeds. Answers an exit code;
 * what is wrong is told. Also after a failure, session_fini is to be called. */
int session_init(struct session *session) MUST_USE;
int session_start(struct session *session) MUST_USE;
/* Waits until the feeds have ended (or time, or a signal), and drains. EXIT_DONE, EXIT_FAILED,
 * EXIT_PAUSED. */
int session_finish(struct session *session) MUST_USE;
/* Pins an output; the pins are the caller's. */
s4_status session_pin(struct session *session, const char *output, struct query_pins **pins,
                      struct diag *diag) MUST_USE;
void session_fini(struct session *session);

uint64_t session_rejected(struct session *session);

#endif
