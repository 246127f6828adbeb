/* The library's side of a coord_zk; see the header.
 *
 * The keeper lives as long as the handle. Until there is one, it tries to open it; then it waits
 * for the owner to go, and closes it.
 */
#include "router/coord/zk_link.h"

#include <errno.h>
#include <signal.h>
#include <time.h>

#include "router/coord/coord_zk.h"
#include "runtime/base/mem.h"

#define OPEN_AGAIN_MS 1000

/* ---- events ---------------------------------------------------------------------------------- */

void zk_link_push(struct zk_link *link, struct zk_event *event)
{
    if (event->queued)
        return;
    event->queued = true;
    event->next = NULL;
    *link->tail = event;
    link->tail = &event->next;
    if (link->waker)
        waker_call(link->waker);
}

/* The lock is held. */
static void drop(struct zk_link *link, struct zk_event *event)
{
    if (!event->queued)
        return;
    struct zk_event **at = &link->head;
    while (*at != event)
        at = &(*at)->next;
    *at = event->next;
    if (link->tail == &event->next)
        link->tail = at;
    event->queued = false;
}

struct zk_event *zk_link_pop(struct zk_link *link)
{
    pthread_mutex_lock(&link->lock);
    struct zk_event *event = link->head;
    if (event)
        drop(link, event);
    pthread_mutex_unlock(&link->lock);
    return event;
}

bool zk_link_has_events(struct zk_link *link)
{
    pthread_mutex_lock(&link->lock);
    bool any = link->head;
    pthread_mutex_unlock(&link->lock);
    return any;
}

/* ---- what the library says, on its threads --------------------------------------------------- */

/* A connection that is lost again before it was seen is not told. */
static void on_session(zhandle_t *handle, int type, int state, const char *path, void *user)
{
    struct zk_link *link = user;
    if (type != ZOO_SESSION_EVENT)
        return;
    pthread_mutex_lock(&link->lock);
    if (!link->handle)
        link->handle = handle; /* once: the owner reads it without the lock */
    if (state == ZOO_CONNECTED_STATE) {
        link->client_id = zoo_client_id(handle)->client_id;
        link->session_ms = zoo_recv_timeout(handle);
        zk_link_push(link, &link->events[ZK_UP]);
    } else if (state == ZOO_EXPIRED_SESSION_STATE) {
        drop(link, &link->events[ZK_UP]);
        zk_link_push(link, &link->events[ZK_EXPIRED]);
    } else if (state < 0) {
        link->refused_rc = state == ZOO_AUTH_FAILED_STATE ? ZAUTHFAILED : state;
        drop(link, &link->events[ZK_UP]);
        zk_link_push(link, &link->events[ZK_REFUSED]);
    } else {
        drop(link, &link->events[ZK_UP]);
        zk_link_push(link, &link->events[ZK_DOWN]);
    }
    pthread_mutex_unlock(&link->lock);
}

/* ---- the keeper ------------------------------------------------------------------------------ */

static void release(struct zk_link *link)
{
    pthread_mutex_lock(&link->lock);
    bool last = --link->holders == 0;
    pthread_mutex_unlock(&link->lock);
    if (!last)
        return;
    for (struct zk_call *call; (call = link->calls);) {
        link->calls = call->next;
        zk_call_destroy(call);
    }
    while (link->watches)
        zk_watch_destroy(link->watches);
    pthread_cond_destroy(&link->stopping);
    pthread_mutex_destroy(&link->lock);
    mem_free(link->servers);
    mem_free(link);
}

static struct timespec in_ms(clockid_t clock, int ms)
{
    struct timespec at;
    clock_gettime(clock, &at);
    at.tv_sec += ms / 1000;
    at.tv_nsec += ms % 1000 * 1000000L;
    at.tv_sec += at.tv_nsec / 1000000000;
    at.tv_nsec %= 1000000000;
    return at;
}

/* Looks names up, so it may take long. NULL: stopped, or there is no such host. A name that cannot
 * be looked up just now is tried again. */
static zhandle_t *open_handle(struct zk_link *link)
{
    for (;;) {
        errno = 0;
        zhandle_t *handle = zookeeper_init2(link->servers, on_session, link->session_ms_asked, NULL,
                                            link, ZOO_NO_LOG_CLIENTENV, NULL);
        int error = errno;
        if (handle)
            return handle;
        struct timespec again = in_ms(CLOCK_MONOTONIC, OPEN_AGAIN_MS);
        pthread_mutex_lock(&link->lock);
        bool over = error == ENOENT;
        if (over)
            zk_link_push(link, &link->events[ZK_NO_HOST]);
        int waited = 0;
        while (!over && !link->stopped && waited == 0)
            waited = pthread_cond_timedwait(&link->stopping, &link->lock, &again);
        over |= link->stopped;
        pthread_mutex_unlock(&link->lock);
        if (over)
            return NULL;
    }
}

static void *keep(void *user)
{
    struct zk_link *link = user;
    zhandle_t *handle = open_handle(link);
    pthread_mutex_lock(&link->lock);
    while (!link->stopped)
        pthread_cond_wait(&link->stopping, &link->lock);
    pthread_mutex_unlock(&link->lock);
    if (handle)
        zookeeper_close(handle);
    release(link);
    return NULL;
}

/* ---- life ------------------------------------------------------------------------------------ */

static s4_status init_lock(struct zk_link *link)
{
    pthread_condattr_t attributes;
    if (pthread_mutex_init(&link->lock, NULL) != 0)
        return S4_NO_MEMORY;
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    bool done = pthread_cond_init(&link->stopping, &attributes) == 0;
    pthread_condattr_destroy(&attributes);
    if (done)
        return S4_OK;
    pthread_mutex_destroy(&link->lock);
    return S4_NO_MEMORY;
}

s4_status zk_link_create(const char *hosts, const char *root, int session_ms, struct zk_link **out)
{
    struct zk_link *link = mem_zalloc(sizeof *link);
    size_t size = strlen(hosts) + strlen(root) + 1;
    char *servers = mem_alloc(size);
    if (!link || !servers || init_lock(link) != S4_OK) {
        mem_free(servers);
        mem_free(link);
        return S4_NO_MEMORY;
    }
    snprintf(servers, size, "%s%s", hosts, root);
    link->servers = servers;
    link->session_ms_asked = session_ms;
    link->holders = 1;
    link->tail = &link->head;
    link->calls_tail = &link->calls;
    for (size_t i = 0; i < ZK_LINK_EVENTS; i++)
        link->events[i].kind = (enum zk_event_kind)i;
    *out = link;
    return S4_OK;
}

/* The library's threads inherit the mask: signals are not for them. */
s4_status zk_link_start(struct zk_link *link, struct waker *waker)
{
    sigset_t all, before;
    zoo_set_debug_level((ZooLogLevel)0); /* it would print, from one buffer for all threads */
    link->waker = waker;
    link->holders++;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    bool started = pthread_create(&link->keeper, NULL, keep, link) == 0;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (started)
        return S4_OK;
    link->holders--;
    return S4_NO_MEMORY;
}

void zk_link_close(struct zk_link *link, bool started)
{
    pthread_mutex_lock(&link->lock);
    link->stopped = true;
    link->waker = NULL;
    pthread_cond_signal(&link->stopping);
    pthread_mutex_unlock(&link->lock);
    struct timespec until = in_ms(CLOCK_REALTIME, COORD_ZK_CLOSE_MS);
    if (started && pthread_timedjoin_np(link->keeper, NULL, &until) != 0)
        pthread_detach(link->keeper);
    release(link);
}
