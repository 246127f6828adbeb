/* A coordination service in ZooKeeper: the owner's side; see the header, zk_link.h and README.md.
 *
 *     library's threads --events--> step: state, calls, watches --> queue --> upcalls
 *
 * A call is in `link->calls` from when it is made until the library is done with it, and what it
 * answers is told in that order. When the connection is lost all of them are answered at once,
 * before the loss is told; what the library says of them later is of no interest.
 *
 * One watch of the library serves all calls that watch the same thing. It fires after the answers
 * of those: so whoever is told of a change has read before, and reads again.
 */
#include "router/coord/coord_zk.h"

#include <ctype.h>
#include <stdlib.h>

#include "router/coord/zk_link.h"
#include "runtime/base/mem.h"

#define BEATS_PER_SESSION 6
#define SILENT_US         1000000 /* nobody answers: then `why` says so */

struct coord_zk {
    struct coord coord; /* first */
    struct coord_queue queue;
    const struct clock *clock;
    struct zk_link *link;
    char *hosts, *root; /* owned */
    size_t n_watches;
    bool started;
    bool linked;        /* the library is connected */
    bool usable;        /* and the root is there: calls are handed over */
    bool was;           /* usable, at some time */
    bool over;          /* expired or refused */
    bool beating;       /* a ZK_FOR_BEAT or ZK_FOR_ROOT is under way */
    uint64_t beat_us;   /* when the next one is due */
    uint64_t silent_us; /* when `why` says that nobody answers; 0: it was said, or they do */
};

static struct coord_zk *zk_of(struct coord *coord)
{
    return (struct coord_zk *)(void *)coord;
}

static uint64_t now_us(const struct coord_zk *zk)
{
    return zk->clock->boot_us(zk->clock);
}

/* ---- answers --------------------------------------------------------------------------------- */

/* As if the answer had been lost, whatever the library will say. */
static void lose(struct coord_zk *zk, struct zk_call *call)
{
    if (!call->item)
        return;
    coord_item_lose(call->item);
    coord_queue_push(&zk->queue, call->item);
    call->item = NULL;
}

static void lose_all(struct coord_zk *zk)
{
    for (struct zk_call *call = zk->link->calls; call; call = call->next)
        lose(zk, call);
}

static void become(struct coord_zk *zk, enum coord_state state)
{
    if (zk->over)
        return;
    zk->over = state == COORD_EXPIRED || state == COORD_REFUSED;
    zk->usable = state == COORD_CONNECTED;
    zk->was |= zk->usable;
    if (!zk->usable)
        lose_all(zk);
    if (zk->over)
        zk->coord.sure_until_us = 0;
    coord_queue_push_state(&zk->queue, state);
}

/* What it was answered, in the item that is told. */
static void finish(struct coord_zk *zk, struct zk_call *call)
{
    struct coord_item *item = call->comes;
    s4_status status = zk_status(call->rc);
    item->call = call->item->call;
    if (status == S4_IN_DOUBT || status == S4_UNAVAILABLE) {
        lose(zk, call);
        return;
    }
    if (status != S4_OK) {
        coord_item_lose(item);
        item->answer.status = status;
        for (size_t i = call->n_ops; i-- > 0;)
            if (call->results[i].err != ZOK && call->results[i].err != ZRUNTIMEINCONSISTENCY)
                item->answer.failed_op = i;
    } else if (call->made[0] != '\0') {
        coord_item_set_path(item, call->made);
    }
    coord_queue_push(&zk->queue, item);
    call->comes = NULL;
}

/* ---- watches --------------------------------------------------------------------------------- */

/* One that serves a new call: it will fire after that call's answer. */
static struct zk_watch *find_watch(const struct coord_zk *zk, const char *path,
                                   enum coord_change change)
{
    for (struct zk_watch *w = zk->link->watches; w; w = w->next)
        if (!w->fired && w->item->change == change && strcmp(w->item->path, path) == 0)
            return w;
    return NULL;
}

/* The library has it no more. Whoever relied on it is told, though there may be no change. */
static void end_watch(struct coord_zk *zk, struct zk_watch *watch, bool tell)
{
    if (tell) {
        coord_queue_push(&zk->queue, watch->item);
        watch->item = NULL;
    }
    zk->n_watches--;
    zk_watch_destroy(watch);
}

static void on_fired(struct coord_zk *zk, struct zk_watch *watch)
{
    watch->fired = true;
    if (watch->users == 0)
        end_watch(zk, watch, true);
}

/* A call that relied on a watch was answered. */
static void leave_watch(struct coord_zk *zk, const struct zk_call *call)
{
    struct zk_watch *watch = call->watch;
    bool unset = call->sets_watch && call->watch_rc != ZOK;
    watch->users--;
    if (watch->users > 0)
        watch->fired |= unset;
    else if (watch->fired || unset)
        end_watch(zk, watch, watch->fired);
}

/* ---- calls that came back -------------------------------------------------------------------- */

static void refuse(struct coord_zk *zk, s4_status status, const char *what)
{
    diag_set(&zk->coord.why, status, "ZooKeeper at %s: %s%s%s", zk->hosts, zk->root,
             zk->root[0] ? ": " : "", what);
    become(zk, COORD_REFUSED);
}

/* The session lived when the call was sent: half of its timeout later at the earliest somebody acts
 * on its end; README.md says why not the whole. */
static void prove(struct coord_zk *zk, const struct zk_call *call)
{
    uint64_t until_us = call->sent_us + zk->coord.session_us / 2;
    if (call->rc == ZOK && !zk->over && until_us > zk->coord.sure_until_us)
        zk->coord.sure_until_us = until_us;
}

static void on_root(struct coord_zk *zk, const struct zk_call *call)
{
    switch (zk_status(call->rc)) {
    case S4_OK:
        become(zk, COORD_CONNECTED);
        break;
    case S4_NOT_FOUND:
        refuse(zk, S4_NOT_FOUND,
               "there is no such entry, which is to be the root here; it has to be made first");
        break;
    case S4_PERMISSION:
        refuse(zk, S4_PERMISSION,
               "no permission to read it; its ACL must allow this node to read, write, create and "
               "delete");
        break;
    case S4_UNAVAILABLE: /* it comes again with the next connection, or the next beat */
    case S4_IN_DOUBT:
        break;
    default:
        refuse(zk, S4_PROTOCOL, zerror(call->rc));
    }
}

static void come_back(struct coord_zk *zk, struct zk_call *call)
{
    if (call->proves)
        prove(zk, call);
    if (call->purpose != ZK_FOR_USER)
        zk->beating = false;
    if (call->purpose == ZK_FOR_ROOT && !zk->over && zk->linked)
        on_root(zk, call);
    if (call->item)
        finish(zk, call);
    if (call->watch)
        leave_watch(zk, call);
}

/* In the order in which they were made; the library's is the same, but for what it never took. */
static void come_back_all(struct coord_zk *zk)
{
    struct zk_link *link = zk->link;
    for (struct zk_call *call; (call = link->calls) && call->done;) {
        link->calls = call->next;
        if (!link->calls)
            link->calls_tail = &link->calls;
        come_back(zk, call);
        zk_call_destroy(call);
    }
}

/* Consumes the call; `call->item` is told some day. */
static void issue(struct coord_zk *zk, struct zk_call *call, const char *path,
                  const struct zk_request *request)
{
    *zk->link->calls_tail = call;
    zk->link->calls_tail = &call->next;
    call->sent_us = now_us(zk);
    call->proves = request->n_ops > 0;
    if (zk_call_issue(call, path, request))
        return;
    call->done = true;
    if (call->item)
        call->item->lost = S4_UNAVAILABLE;
    come_back_all(zk);
}

/* ---- the session ----------------------------------------------------------------------------- */

/* Asks whoever decides on the session, with a write that writes nothing. */
static void beat(struct coord_zk *zk, enum zk_purpose purpose)
{
    struct coord_op op = { .op = COORD_CHECK, .path = "/", .version = COORD_ANY };
    struct zk_request request = { .ops = &op, .n_ops = 1 };
    zk->beat_us = now_us(zk) + zk->coord.session_us / BEATS_PER_SESSION;
    struct zk_call *call = zk_call_create(zk->link, purpose, "/");
    if (!call)
        return; /* with the next one, perhaps */
    zk->beating = true;
    issue(zk, call, "/", &request);
}

static void on_up(struct coord_zk *zk)
{
    pthread_mutex_lock(&zk->link->lock);
    zk->coord.session_us = (uint64_t)zk->link->session_ms * 1000;
    pthread_mutex_unlock(&zk->link->lock);
    zk->linked = true;
    zk->silent_us = 0;
    zk->beat_us = 0;
    if (zk->was)
        become(zk, COORD_CONNECTED);
}

static void on_down(struct coord_zk *zk)
{
    zk->linked = false;
    if (zk->usable) {
        diag_set(&zk->coord.why, S4_UNAVAILABLE, "ZooKeeper at %s: the connection is lost",
                 zk->hosts);
        become(zk, COORD_SUSPENDED);
    }
}

static void on_event(struct coord_zk *zk, struct zk_event *event)
{
    switch (event->kind) {
    case ZK_UP:
        on_up(zk);
        break;
    case ZK_DOWN:
        on_down(zk);
        break;
    case ZK_EXPIRED:
        diag_set(&zk->coord.why, S4_UNAVAILABLE, "ZooKeeper at %s: the session has expired",
                 zk->hosts);
        become(zk, COORD_EXPIRED);
        break;
    case ZK_REFUSED:
        refuse(zk, S4_PERMISSION, zerror(zk->link->refused_rc));
        break;
    case ZK_NO_HOST:
        refuse(zk, S4_NOT_FOUND, "there is no host of such a name");
        break;
    case ZK_CALLED:
        ((struct zk_call *)(void *)event)->done = true;
        come_back_all(zk);
        break;
    case ZK_FIRED:
        on_fired(zk, (struct zk_watch *)(void *)event);
        break;
    }
}

/* ---- calls ----------------------------------------------------------------------------------- */

/* Not connected: the answer is clear. */
static s4_status answer_lost(struct coord_zk *zk, struct zk_call *call)
{
    lose(zk, call);
    zk_call_destroy(call);
    if (zk->coord.waker)
        waker_call(zk->coord.waker);
    return S4_OK;
}

static s4_status set_watch(struct coord_zk *zk, struct zk_call *call, const char *path,
                           enum coord_change change)
{
    struct zk_watch *watch = find_watch(zk, path, change);
    if (!watch) {
        if (zk->n_watches >= COORD_WATCHES_MAX)
            return S4_FULL;
        watch = zk_watch_create(zk->link, path, change);
        if (!watch)
            return S4_NO_MEMORY;
        zk->n_watches++;
        call->sets_watch = true;
    }
    watch->users++;
    call->watch = watch;
    return S4_OK;
}

static s4_status zk_read(struct coord *coord, const char *path, unsigned flags, bool children,
                         struct coord_call user)
{
    struct coord_zk *zk = zk_of(coord);
    struct zk_request request = { .fresh = flags & COORD_FRESH,
                                  .reads = true,
                                  .children = children };
    struct zk_call *call = zk_call_create(zk->link, ZK_FOR_USER, path);
    if (!call)
        return S4_NO_MEMORY;
    call->item->call = user;
    if (!zk->usable)
        return answer_lost(zk, call);
    if (flags & COORD_WATCH) {
        enum coord_change change = children ? COORD_CHANGED_CHILDREN : COORD_CHANGED_ENTRY;
        s4_status status = set_watch(zk, call, path, change);
        if (status != S4_OK) {
            zk_call_destroy(call);
            return status;
        }
    }
    issue(zk, call, path, &request);
    return S4_OK;
}

static s4_status zk_get(struct coord *coord, const char *path, unsigned flags,
                        struct coord_call call)
{
    return zk_read(coord, path, flags, false, call);
}

static s4_status zk_children(struct coord *coord, const char *path, unsigned flags,
                             struct coord_call call)
{
    return zk_read(coord, path, flags, true, call);
}

static s4_status zk_write(struct coord *coord, const struct coord_op *ops, size_t n,
                          struct coord_call user)
{
    struct coord_zk *zk = zk_of(coord);
    struct zk_request request = { .ops = ops, .n_ops = n };
    struct zk_call *call = zk_call_create(zk->link, ZK_FOR_USER, ops[0].path);
    if (!call)
        return S4_NO_MEMORY;
    call->item->call = user;
    if (!zk->usable)
        return answer_lost(zk, call);
    call->item->lost = S4_IN_DOUBT;
    issue(zk, call, ops[0].path, &request);
    return S4_OK;
}

/* ---- stepping -------------------------------------------------------------------------------- */

static void look_at_time(struct coord_zk *zk)
{
    uint64_t now = now_us(zk);
    if (zk->over)
        return;
    if (zk->silent_us > 0 && now >= zk->silent_us) {
        zk->silent_us = 0;
        diag_set(&zk->coord.why, S4_UNAVAILABLE,
                 "ZooKeeper at %s: no server has answered yet; does it run, and is it reachable?",
                 zk->hosts);
    }
    if (zk->linked && !zk->beating && now >= zk->beat_us)
        beat(zk, zk->was ? ZK_FOR_BEAT : ZK_FOR_ROOT);
}

static size_t zk_step(struct coord *coord, size_t max)
{
    struct coord_zk *zk = zk_of(coord);
    size_t done = 0;
    for (struct zk_event *event; (event = zk_link_pop(zk->link));)
        on_event(zk, event);
    look_at_time(zk);
    for (struct coord_item *item; done < max && (item = coord_queue_pop(&zk->queue)); done++)
        coord_tell(coord, item);
    return done;
}

static uint64_t zk_timeout_us(struct coord *coord)
{
    struct coord_zk *zk = zk_of(coord);
    uint64_t now = now_us(zk), due = WAKER_FOREVER;
    if (zk->queue.head || zk_link_has_events(zk->link))
        return 0;
    if (zk->over)
        return WAKER_FOREVER;
    if (zk->silent_us > 0)
        due = zk->silent_us;
    if (zk->linked && !zk->beating && zk->beat_us < due)
        due = zk->beat_us;
    return due == WAKER_FOREVER ? due : due > now ? due - now : 0;
}

static s4_status zk_attach(struct coord *coord)
{
    struct coord_zk *zk = zk_of(coord);
    zk->silent_us = now_us(zk) + SILENT_US;
    TRY(zk_link_start(zk->link, coord->waker));
    zk->started = true;
    return S4_OK;
}

static void zk_destroy(struct coord *coord)
{
    struct coord_zk *zk = zk_of(coord);
    coord_queue_fini(&zk->queue);
    if (zk->link)
        zk_link_close(zk->link, zk->started);
    mem_free(zk->hosts);
    mem_free(zk->root);
    mem_free(zk);
}

static const struct coord_ops zk_ops = {
    .get = zk_get,
    .children = zk_children,
    .write = zk_write,
    .step = zk_step,
    .timeout_us = zk_timeout_us,
    .attach = zk_attach,
    .destroy = zk_destroy,
};

/* ---- creation -------------------------------------------------------------------------------- */

/* "HOST:PORT" that begins here: its bytes, or 0. */
static size_t host_size(const char *at)
{
    size_t host = *at == '[' ? strcspn(at, "],/ ") + 1 : strcspn(at, ":,/ []");
    if (host == 0 || (*at == '[' && at[host - 1] != ']') || at[host] != ':')
        return 0;
    size_t digits = strspn(at + host + 1, "0123456789");
    long port = digits <= 5 ? strtol(at + host + 1, NULL, 10) : 0;
    return port >= 1 && port <= UINT16_MAX ? host + 1 + digits : 0;
}

static s4_status check_hosts(const char *hosts, struct diag *diag)
{
    if (strlen(hosts) > COORD_ZK_HOSTS_MAX)
        return diag_set(diag, S4_TOO_LARGE, "ZooKeeper's servers: %zu bytes, wanted at most %d",
                        strlen(hosts), COORD_ZK_HOSTS_MAX);
    for (const char *at = hosts;; at++) {
        size_t size = host_size(at);
        if (size == 0 || (at[size] != ',' && at[size] != '\0'))
            return diag_set(diag, S4_INVALID,
                            "ZooKeeper's servers: '%s', wanted HOST:PORT,HOST:PORT,...", hosts);
        at += size;
        if (*at == '\0')
            return S4_OK;
    }
}

static s4_status check_options(const struct coord_zk_options *options, struct diag *diag)
{
    uint32_t session_ms = options->session_ms ? options->session_ms : COORD_SESSION_MS_DEFAULT;
    if (session_ms < COORD_SESSION_MS_MIN || session_ms > COORD_SESSION_MS_MAX)
        return diag_set(diag, S4_RANGE, "a session of %u ms, wanted %d to %d", session_ms,
                        COORD_SESSION_MS_MIN, COORD_SESSION_MS_MAX);
    if (options->root && !coord_path_valid(options->root))
        return diag_set(diag, S4_INVALID,
                        "the root in ZooKeeper: '%s', wanted a path like /a/b of up to %d names of "
                        "letters, digits, '.', '_' and '-'",
                        options->root, COORD_DEPTH_MAX);
    return check_hosts(options->hosts, diag);
}

s4_status coord_zk_create(const struct coord_zk_options *options, struct coord **coord,
                          struct diag *diag)
{
    TRY(check_options(options, diag));
    struct coord_zk *zk = mem_zalloc(sizeof *zk);
    if (!zk)
        return diag_set(diag, S4_NO_MEMORY, "out of memory");
    uint32_t session_ms = options->session_ms ? options->session_ms : COORD_SESSION_MS_DEFAULT;
    bool has_root = options->root && options->root[1] != '\0';
    zk->coord.ops = &zk_ops;
    zk->coord.state = COORD_CONNECTING;
    zk->coord.session_us = (uint64_t)session_ms * 1000;
    zk->clock = options->clock;
    coord_queue_init(&zk->queue);
    zk->hosts = mem_strdup(options->hosts);
    zk->root = mem_strdup(has_root ? options->root : "");
    s4_status status = zk->hosts && zk->root
                           ? zk_link_create(zk->hosts, zk->root, (int)session_ms, &zk->link)
                           : S4_NO_MEMORY;
    if (status != S4_OK) {
        zk_destroy(&zk->coord);
        return diag_set(diag, status, "out of memory");
    }
    *coord = &zk->coord;
    return S4_OK;
}
