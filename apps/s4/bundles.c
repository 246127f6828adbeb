/* A node's bundles; see the header. */
#include "apps/s4/bundles.h"

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "apps/s4/ask.h"
#include "apps/s4/file.h"
#include "apps/s4/load.h"
#include "runtime/base/mem.h"

#define HASH_DIGITS    16
#define FETCH_PAUSE_NS 100000000 /* before all nodes are asked once more */

struct want {
    struct want *next;
    struct map *map; /* owned */
    struct map_app app;
    enum cluster_app what;
};

/* A bundle that was checked: what is loaded once need not be again. */
struct checked {
    struct checked *next;
    uint64_t id; /* of the deployment */
    struct bundle *bundle;
    struct plugin *plugin;
    bool runs;
};

struct bundles {
    struct bundles_options options;
    char dir[512];
    pthread_t thread;
    struct checked *checked; /* the thread's */
    _Atomic bool stop;

    pthread_mutex_t lock; /* of all below */
    pthread_cond_t changed;
    struct want *wants, **wants_end;
    struct bundles_news *news, **news_end;
};

/* ---- files ----------------------------------------------------------------------------------- */

static bool is_hash(const char *hash)
{
    return strlen(hash) == HASH_DIGITS && strspn(hash, "0123456789abcdef") == HASH_DIGITS;
}

static void path_of(const struct bundles *bundles, const char *hash, char path[600])
{
    snprintf(path, 600, "%s/%.16s.s4r", bundles->dir, hash);
}

s4_status bundles_keep(struct bundles *bundles, uint64_t hash, const void *bytes, size_t size,
                       struct diag *diag)
{
    char path[600], name[HASH_DIGITS + 1];
    snprintf(name, sizeof name, "%016" PRIx64, hash);
    path_of(bundles, name, path);
    return file_write(path, bytes, size, diag);
}

s4_status bundles_read(struct bundles *bundles, const char *hash, struct buffer *bytes,
                       struct diag *diag)
{
    char path[600];
    if (!is_hash(hash))
        return diag_set(diag, S4_INVALID, "the hash of a bundle has %d hexadecimal digits",
                        HASH_DIGITS);
    path_of(bundles, hash, path);
    return file_read(path, LOAD_BUNDLE_MAX, bytes, diag);
}

/* ---- fetching -------------------------------------------------------------------------------- */

/* From bytes that may be anybody's: is it what the map names? */
static s4_status open_bundle(const struct map_app *app, const struct buffer *bytes,
                             struct bundle **bundle, struct problems *problems)
{
    char hash[HASH_DIGITS + 1];
    struct bundle *opened;
    TRY(bundle_open_bytes(bytes->data, bytes->size, &opened, problems));
    snprintf(hash, sizeof hash, "%016" PRIx64, opened->content_hash);
    if (strcmp(hash, app->hash) == 0 && strcmp(opened->graph->app, app->name) == 0) {
        *bundle = opened;
        return S4_OK;
    }
    problems_add(problems, S4_CORRUPT, "it is %s with the hash %s; wanted %s with the hash %s",
                 opened->graph->app, hash, app->name, app->hash);
    bundle_release(opened);
    return S4_CORRUPT;
}

static s4_status ask_one(struct keyring *ring, const struct map_member *from, const char *hash,
                         struct buffer *bytes, struct diag *diag)
{
    union {
        const char *given;
        char *wanted;
    } name = { hash };
    S4__Control__Fetch fetch = S4__CONTROL__FETCH__INIT;
    S4__Control__Request request = S4__CONTROL__REQUEST__INIT;
    S4__Control__Reply *reply;
    fetch.hash = name.wanted;
    request.what_case = S4__CONTROL__REQUEST__WHAT_FETCH;
    request.fetch = &fetch;
    TRY(ask_node(ring, from->name, from->clients, &request, BUNDLES_FETCH_MS, &reply, diag));
    s4_status status = (s4_status)reply->status;
    if (status == S4_OK && reply->what_case == S4__CONTROL__REPLY__WHAT_FETCHED)
        status = buffer_append(bytes, reply->fetched->bundle.data, reply->fetched->bundle.len);
    else if (status == S4_OK)
        status = S4_PROTOCOL;
    control_reply_destroy(reply);
    return status;
}

/* The nodes are asked in turn, beginning behind this one, so that not all ask the same. */
static s4_status fetch(struct bundles *bundles, const struct want *want, struct bundle **bundle,
                       struct problems *problems)
{
    uint64_t hash = strtoull(want->app.hash, NULL, 16);
    struct diag diag = { 0 };
    for (uint32_t i = 0; i < MAP_MEMBERS_MAX * BUNDLES_FETCH_TRIES; i++) {
        const struct map_member *from = &want->map->members[i % MAP_MEMBERS_MAX];
        if (i % MAP_MEMBERS_MAX == 0 && i > 0) {
            struct timespec pause = { .tv_nsec = FETCH_PAUSE_NS };
            nanosleep(&pause, NULL);
        }
        if (atomic_load(&bundles->stop))
            return S4_CANCELLED;
        if (!from->name[0] || !from->clients[0])
            continue;
        struct buffer bytes;
        buffer_init(&bytes);
        s4_status status = ask_one(bundles->options.ring, from, want->app.hash, &bytes, &diag);
        if (status == S4_OK)
            status = open_bundle(&want->app, &bytes, bundle, problems);
        if (status == S4_OK && bundles_keep(bundles, hash, bytes.data, bytes.size, &diag) != S4_OK)
            log_write(bundles->options.log, LOG_WARN, "%s", diag.text);
        buffer_fini(&bytes);
        if (status == S4_OK)
            return S4_OK;
    }
    problems_add(problems, S4_NOT_FOUND, "no node has the bundle %s with the hash %s",
                 want->app.name, want->app.hash);
    return S4_NOT_FOUND;
}

static s4_status get(struct bundles *bundles, const struct want *want, struct bundle **bundle,
                     struct problems *problems)
{
    struct buffer bytes;
    struct diag diag = { 0 };
    buffer_init(&bytes);
    s4_status status = bundles_read(bundles, want->app.hash, &bytes, &diag);
    if (status == S4_OK) {
        struct problems own;
        problems_init(&own);
        status = open_bundle(&want->app, &bytes, bundle, &own);
        problems_fini(&own);
    }
    buffer_fini(&bytes);
    return status == S4_OK ? S4_OK : fetch(bundles, want, bundle, problems);
}

/* ---- what is wanted -------------------------------------------------------------------------- */

static struct checked **find(struct bundles *bundles, uint64_t id)
{
    struct checked **at = &bundles->checked;
    while (*at && (*at)->id != id)
        at = &(*at)->next;
    return at;
}

static void forget(struct checked **at)
{
    struct checked *checked = *at;
    *at = checked->next;
    plugin_release(checked->plugin);
    bundle_release(checked->bundle);
    mem_free(checked);
}

static void refuse(struct bundles *bundles, const struct want *want, const char *why)
{
    log_write(bundles->options.log, LOG_WARN, "the bundle %s %s is refused: %s", want->app.name,
              want->app.version, why);
    member_report_app(bundles->options.member, &want->app, ENTRY_REFUSED, why);
}

/* Opened, and loaded first in a process of its own. NULL: it was refused. */
static struct checked *check(struct bundles *bundles, const struct want *want)
{
    struct checked **at = find(bundles, want->app.id);
    struct checked *made = *at;
    if (made)
        return made;
    struct problems problems;
    struct bundle *bundle = NULL;
    struct plugin *plugin = NULL;
    problems_init(&problems);
    s4_status status = get(bundles, want, &bundle, &problems);
    if (status == S4_OK)
        status = plugin_load(bundle, NULL, &plugin, &problems);
    made = status == S4_OK ? mem_zalloc(sizeof *made) : NULL;
    if (made) {
        *made = (struct checked){ .id = want->app.id, .bundle = bundle, .plugin = plugin };
        *at = made;
    } else {
        bundle_release(bundle);
        if (status != S4_CANCELLED)
            refuse(bundles, want, problems.count ? problems.list[0].text : s4_status_text(status));
    }
    problems_fini(&problems);
    return made;
}

static void tell(struct bundles *bundles, const struct want *want, struct bundle *bundle,
                 uint64_t dropped)
{
    struct bundles_news *news = mem_zalloc(sizeof *news);
    CHECK(news);
    news->app = want->app;
    news->bundle = bundle;
    news->dropped = dropped;
    pthread_mutex_lock(&bundles->lock);
    *bundles->news_end = news;
    bundles->news_end = &news->next;
    pthread_mutex_unlock(&bundles->lock);
    eventfd_write(bundles->options.wake, 1);
}

static void load(struct bundles *bundles, const struct want *want)
{
    struct diag diag = { 0 };
    struct checked *checked = check(bundles, want);
    if (!checked)
        return;
    if (!checked->runs) {
        if (engine_deploy(bundles->options.engine, checked->bundle, checked->plugin, &diag) !=
            S4_OK) {
            refuse(bundles, want, diag.text);
            return;
        }
        checked->runs = true;
        tell(bundles, want, bundle_hold(checked->bundle), 0);
    }
    member_report_app(bundles->options.member, &want->app, ENTRY_LOADED, NULL);
}

/* Another deployment may need the same file. */
static bool is_used(const struct bundles *bundles, uint64_t hash)
{
    for (const struct checked *checked = bundles->checked; checked; checked = checked->next)
        if (checked->bundle->content_hash == hash)
            return true;
    return false;
}

static void drop(struct bundles *bundles, const struct want *want)
{
    struct checked **at = find(bundles, want->app.id);
    uint64_t dropped = 0;
    struct diag diag = { 0 };
    char path[600];
    bool ran = *at && (*at)->runs;
    if (ran && engine_undeploy(bundles->options.engine, want->app.name, &dropped, &diag) != S4_OK)
        log_write(bundles->options.log, LOG_ERROR, "%s", diag.text);
    if (*at)
        forget(at);
    path_of(bundles, want->app.hash, path);
    if (is_hash(want->app.hash) && !is_used(bundles, strtoull(want->app.hash, NULL, 16)))
        unlink(path);
    if (ran)
        tell(bundles, want, NULL, dropped);
}

static void obey(struct bundles *bundles, const struct want *want)
{
    switch (want->what) {
    case CLUSTER_APP_CHECK:
        if (check(bundles, want))
            member_report_app(bundles->options.member, &want->app, ENTRY_CHECKED, NULL);
        break;
    case CLUSTER_APP_LOAD:
        load(bundles, want);
        break;
    case CLUSTER_APP_DROP:
        drop(bundles, want);
        break;
    }
}

/* ---- the thread ------------------------------------------------------------------------------ */

static struct want *take_want(struct bundles *bundles)
{
    pthread_mutex_lock(&bundles->lock);
    while (!bundles->wants && !atomic_load(&bundles->stop))
        pthread_cond_wait(&bundles->changed, &bundles->lock);
    struct want *want = atomic_load(&bundles->stop) ? NULL : bundles->wants;
    if (want) {
        bundles->wants = want->next;
        if (!bundles->wants)
            bundles->wants_end = &bundles->wants;
    }
    pthread_mutex_unlock(&bundles->lock);
    return want;
}

static void want_free(struct want *want)
{
    map_destroy(want->map);
    mem_free(want);
}

static void *run(void *arg)
{
    struct bundles *bundles = arg;
    for (struct want *want; (want = take_want(bundles));) {
        obey(bundles, want);
        want_free(want);
    }
    return NULL;
}

void bundles_want(struct bundles *bundles, const struct map *map, const struct map_app *app,
                  enum cluster_app what)
{
    struct want *want = mem_zalloc(sizeof *want);
    CHECK(want);
    want->map = map_dup(map);
    CHECK(want->map);
    want->app = *app;
    want->what = what;
    pthread_mutex_lock(&bundles->lock);
    *bundles->wants_end = want;
    bundles->wants_end = &want->next;
    pthread_cond_signal(&bundles->changed);
    pthread_mutex_unlock(&bundles->lock);
}

struct bundles_news *bundles_take(struct bundles *bundles)
{
    pthread_mutex_lock(&bundles->lock);
    struct bundles_news *news = bundles->news;
    if (news)
        bundles->news = news->next;
    if (!bundles->news)
        bundles->news_end = &bundles->news;
    pthread_mutex_unlock(&bundles->lock);
    return news;
}

/* ---- life ------------------------------------------------------------------------------------ */

s4_status bundles_create(const struct bundles_options *options, struct bundles **bundles,
                         struct diag *diag)
{
    struct bundles *made = mem_zalloc(sizeof *made);
    if (!made)
        return diag_set(diag, S4_NO_MEMORY, "out of memory");
    made->options = *options;
    made->wants_end = &made->wants;
    made->news_end = &made->news;
    snprintf(made->dir, sizeof made->dir, "%s/bundles", options->dir);
    if (mkdir(made->dir, 0700) != 0 && errno != EEXIST) {
        s4_status status = file_failed(diag, made->dir, errno);
        mem_free(made);
        return status;
    }
    CHECK(pthread_mutex_init(&made->lock, NULL) == 0);
    CHECK(pthread_cond_init(&made->changed, NULL) == 0);
    CHECK(pthread_create(&made->thread, NULL, run, made) == 0);
    *bundles = made;
    return S4_OK;
}

void bundles_stop(struct bundles *bundles)
{
    pthread_mutex_lock(&bundles->lock);
    atomic_store(&bundles->stop, true);
    pthread_cond_signal(&bundles->changed);
    pthread_mutex_unlock(&bundles->lock);
    pthread_join(bundles->thread, NULL);
}

void bundles_destroy(struct bundles *bundles)
{
    if (!bundles)
        return;
    while (bundles->checked)
        forget(&bundles->checked);
    while (bundles->wants) {
        struct want *next = bundles->wants->next;
        want_free(bundles->wants);
        bundles->wants = next;
    }
    for (struct bundles_news *news; (news = bundles_take(bundles));) {
        bundle_release(news->bundle);
        mem_free(news);
    }
    pthread_mutex_destroy(&bundles->lock);
    pthread_cond_destroy(&bundles->changed);
    mem_free(bundles);
}
