/* An engine under a test: an app that is linked in, deployed on an engine that is stepped by hand,
 * with a simulated clock and a simulated pool (or with real threads when asked). Events come in as
 * JSON text, rows come out as JSON text. Every failure aborts the test with a message.
 */
#ifndef TESTS_SUPPORT_RIG_H
#define TESTS_SUPPORT_RIG_H

#include "pe/host/engine.h"
#include "runtime/base/buffer.h"

#define RIG_START_US 1700000000000000ull /* where the simulated clock starts */

struct rig_options {
    const s4_app *app;
    const char *manifest;            /* app.yaml's text; NULL: the code's settings */
    uint32_t workers;                /* 0: 1 */
    uint32_t slots;                  /* 0: the default */
    size_t block_size;               /* 0: the default */
    size_t memory_soft, memory_hard; /* 0: the defaults */
    uint64_t seed;                   /* 0: 1 */
    bool threads;                    /* real threads, real clock, real pool */
    const struct engine_remote *remote;
    uint32_t nodes, node;
    const uint16_t *map;       /* see engine_options */
    const uint64_t *genesis;   /* the same */
    const struct clock *clock; /* NULL: the rig's own */
    struct store *stores[2];   /* of node 0 and node 1; NULL: the rig's own, simulated */
    bool without_store;
    bool apps_wait; /* see engine_options */
};

struct rig {
    struct engine *engine;
    struct bundle *bundle;
    struct plugin *plugin;
    struct clock_sim clock;
    struct pool *pool;   /* simulated; NULL with threads */
    struct store *store; /* its own; NULL: it has another's */
    const char *name;    /* the app's */
    bool threads;
    char alarm[1024]; /* the last one */
    uint32_t alarms;
    char fault[512];
    bool (*step)(void *user); /* what waiting does; NULL: steps engine and pool */
    void *step_user;
};

void rig_start(struct rig *rig, const struct rig_options *options);
void rig_stop(struct rig *rig);

/* A second app on the rig's engine: some code under another name. */
struct rig_other {
    s4_app app;
    struct bundle *bundle;
    struct plugin *plugin;
};
void rig_deploy_other(struct rig *rig, const s4_app *app, const char *name,
                      struct rig_other *other);
/* The same with an app.yaml; what the engine says to it. */
s4_status rig_try_other(struct rig *rig, const s4_app *app, const char *name, const char *manifest,
                        struct rig_other *other, struct diag *diag);
void rig_other_fini(struct rig_other *other); /* after rig_stop */

/* Steps engine and pool until neither has anything to do (by hand only). The clock does not move.
 */
void rig_settle(struct rig *rig);
/* Moves the clock, then settles. */
void rig_advance(struct rig *rig, uint64_t by_us);

/* Feeds events, each a JSON object on a line, and settles. */
void rig_feed(struct rig *rig, const char *stream, const char *lines);
/* One batch as a client would inject it; answers what `done` said. */
s4_status rig_inject(struct rig *rig, const char *stream, uint64_t producer, uint64_t number,
                     const char *lines, enum injection_ack ack);
/* Saves a partition, drops it and loads it again. */
void rig_reload(struct rig *rig, uint32_t slot);
/* Waits until nothing is in flight; with `finish`, ends the input. */
s4_status rig_drain(struct rig *rig, bool finish, struct engine_drained *what);

/* The rows of an output ("dead_letters" too), sorted, as JSON lines; the caller frees it. */
char *rig_rows(struct rig *rig, const char *output);
/* The number of rows; a row's text is part of any. */
size_t rig_count(struct rig *rig, const char *output);
bool rig_has(struct rig *rig, const char *output, const char *text);
/* The reply of a living instance as JSON, or NULL with *status; the caller frees it. */
char *rig_ask(struct rig *rig, const char *prototype, const char *key, s4_status *status);
struct engine_counters rig_counters(struct rig *rig);

#endif
