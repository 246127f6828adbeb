/* The node of the benches; see the header. Threads inherit the core of the one that makes them, so
 * all are where node_pin put the main thread, which sleeps while it measures; with a thread for the
 * intake each is put on its core once it is there, found by its name. */
#include "tests/bench/node.h"

#include <dirent.h>
#include <unistd.h>

#include "runtime/base/mem.h"
#include "tests/bench/cores.h"
#include "tests/bench/reference.h"

static void die(const char *what, const char *why)
{
    fprintf(stderr, "bench: %s: %s\n", what, why);
    exit(1);
}

/* ---- cores --------------------------------------------------------------------------------- */

void node_pin(void)
{
    cores_find();
    cores_pin_last(0);
}

/* The intake's thread has the first core to itself, all others share the last. */
static void pin_thread(const char *thread)
{
    char path[64];
    char name[32] = "";
    snprintf(path, sizeof path, "/proc/self/task/%.20s/comm", thread);
    FILE *file = fopen(path, "re");
    if (!file)
        return;
    if (fgets(name, sizeof name, file)) {
        pid_t id = (pid_t)strtol(thread, NULL, 10);
        if (strcmp(name, "intake\n") == 0)
            cores_pin_first(id);
        else
            cores_pin_last(id);
    }
    fclose(file);
}

static void pin_threads(void)
{
    DIR *threads = opendir("/proc/self/task");
    CHECK(threads);
    for (const struct dirent *entry; (entry = readdir(threads));)
        if (entry->d_name[0] != '.')
            pin_thread(entry->d_name);
    closedir(threads);
}

/* ---- life ---------------------------------------------------------------------------------- */

static void alarmed(void *user, const char *app, const char *text)
{
    fprintf(stderr, "bench: %s: %s\n", app, text);
}

static void faulted(void *user, const char *text)
{
    die("engine", text);
}

static void deploy(struct node *node, const char *path)
{
    struct bundle *bundle = NULL;
    struct plugin *plugin = NULL;
    struct problems problems;
    struct diag diag = { 0 };
    char self[4096] = "";
    if (readlink("/proc/self/exe", self, sizeof self - 1) < 0) /* not so under valgrind */
        die(path, "who am I?");
    problems_init(&problems);
    const struct plugin_options options = { .checker = self };
    if (bundle_open(path, &bundle, &problems) != S4_OK ||
        plugin_load(bundle, &options, &plugin, &problems) != S4_OK)
        die(path, problems.count ? problems.list[0].text : "cannot be loaded");
    if (engine_deploy(node->engine, bundle, plugin, &diag) != S4_OK)
        die(path, diag.text);
    plugin_release(plugin);
    bundle_release(bundle);
    problems_fini(&problems);
}

void node_open(struct node *node, const struct node_options *options)
{
    const struct engine_options engine = {
        .workers = 1,
        .slots = options->slots,
        .threads = true,
        .feed_thread = options->feed_thread,
        .flush_us = options->flush_us,
        .seed = 1,
        .nodes = options->nodes,
        .node = options->number,
        .remote = options->remote,
        .alarm = alarmed,
        .fault = faulted,
    };
    struct diag diag = { 0 };
    *node = (struct node){ 0 };
    CHECK(sem_init(&node->answered, 0, 0) == 0);
    if (options->lines)
        CHECK(setenv("S4_BENCH_LINES", options->lines, 1) == 0);
    if (options->feed_thread)
        cores_pin_both(0); /* the engine sees both */
    if (engine_create(&engine, &node->engine, &diag) != S4_OK ||
        engine_start(node->engine, &diag) != S4_OK)
        die("engine", diag.text);
    if (options->feed_thread)
        pin_threads();
    deploy(node, options->bundle);
}

void node_close(struct node *node)
{
    engine_stop(node->engine);
    engine_destroy(node->engine);
    sem_destroy(&node->answered);
}

/* ---- a pass -------------------------------------------------------------------------------- */

static void answer(struct node *node, s4_status status)
{
    node->status = status;
    sem_post(&node->answered);
}

static void closed(void *user, s4_status status)
{
    answer(user, status);
}

static void drained(void *user, s4_status status, const struct engine_drained *drained)
{
    answer(user, status);
}

static void wait_for(struct node *node, s4_status wanted, const char *what)
{
    while (sem_wait(&node->answered) != 0)
        ;
    if (node->status != wanted)
        die(what, s4_status_text(node->status));
}

void node_feed(struct node *node, const char *app, unsigned long passes)
{
    char text[24];
    struct diag diag = { 0 };
    snprintf(text, sizeof text, "%lu", passes);
    CHECK(setenv("S4_BENCH_PASSES", text, 1) == 0);
    if (engine_feed_source(node->engine, app, closed, node, &diag) != S4_OK)
        die("source", diag.text);
    wait_for(node, S4_END, "source");
}

uint64_t node_pass(struct node *node, unsigned long passes)
{
    struct diag diag = { 0 };
    uint64_t start = bench_wall_ns();
    node_feed(node, "bench", passes);
    /* Finishing, so that nobody waits for an answer any more. */
    if (engine_drain(node->engine, "bench", true, drained, node, &diag) != S4_OK)
        die("drain", diag.text);
    wait_for(node, S4_OK, "drain");
    return bench_wall_ns() - start;
}

struct engine_counters node_counters(struct node *node)
{
    struct engine_status status;
    CHECK(engine_status(node->engine, &status) == S4_OK);
    struct engine_counters counters = status.apps[0].counters;
    mem_free(status.apps);
    if (counters.dead_letters || counters.waiting || counters.mailbox_dropped)
        die("bench", "events failed");
    return counters;
}
