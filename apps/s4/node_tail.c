/* Live subscriptions of clients to outputs (`s4 tail`).
 *
 *     Tail      -> the engine adds a tail; it gets a number
 *     TailNext  -> answered at once if there is something, else held until the engine wakes us; the
 *                  job thread that reads renders the rows
 *     TailEnd, an undeployed app, a peer that cannot be reached: the tail goes
 *
 * A client has one TailNext under way for each tail: that is its credit. Without one nothing is
 * sent, and changes wait in the tail's queues, which are bounded. A peer of which nothing is under
 * way is given a sign now and then, since only sending tells whether it is still there.
 */
#include "apps/s4/node_tail.h"

#include <stdarg.h>
#include <sys/eventfd.h>

#include "apps/s4/node_cluster.h"
#include "runtime/base/mem.h"

/* ---- the list of tails --------------------------------------------------------------------- */

static bool same_peer(zmq_msg_t *a, zmq_msg_t *b)
{
    return zmq_msg_size(a) == zmq_msg_size(b) &&
           memcmp(zmq_msg_data(a), zmq_msg_data(b), zmq_msg_size(a)) == 0;
}

static struct node_tail *find(struct node *node, struct request *request, uint64_t number)
{
    for (struct node_tail *tail = node->tails; tail; tail = tail->next)
        if (tail->number == number && same_peer(&tail->peer, &request->peer))
            return tail;
    return NULL;
}

static void drop_parts(struct tail_part *parts)
{
    while (parts) {
        struct tail_part *next = parts->next;
        tail_close(parts->tail);
        mem_free(parts);
        parts = next;
    }
}

static void destroy(struct node_tail *tail)
{
    struct node_tail **at = &tail->node->tails;
    while (*at != tail)
        at = &(*at)->next;
    *at = tail->next;
    tail->node->n_tails--;
    if (tail->added)
        engine_tail_leave(tail->node->engine, tail->bundle->graph->app, tail);
    tail_far_end(tail);
    tail_close(tail->first);
    drop_parts(tail->parts);
    drop_parts(tail->came); /* nobody adds to it any more */
    bundle_release(tail->bundle);
    zmq_msg_close(&tail->peer);
    mem_free(tail);
}

/* Upcalls, on the engine's threads. */
static void woken(void *user)
{
    struct node_tail *tail = user;
    struct node *node = tail->node;
    atomic_store(&tail->awake, true);
    eventfd_write(node->wake, 1);
}

static void arrived(void *user, struct tail *got)
{
    struct node_tail *tail = user;
    struct tail_part *part = got ? mem_zalloc(sizeof *part) : NULL;
    if (part)
        part->tail = got;
    else
        tail_close(got);
    pthread_mutex_lock(&tail->node->lock);
    struct tail_part **at = &tail->came;
    while (*at)
        at = &(*at)->next;
    *at = part;
    tail->lost |= !part;
    pthread_mutex_unlock(&tail->node->lock);
    woken(tail);
}

static void added(void *user, s4_status status, struct tail *got)
{
    struct request *request = user;
    request->status = status;
    request->tail->first = got;
    node_done(request);
}

static void serve_tail(struct node *node, struct request *request, const struct bundle *bundle)
{
    const S4__Control__Tail *asked = request->message->tail;
    struct diag diag = { 0 };
    struct node_tail *tail = node->n_tails < NODE_TAILS_MAX ? mem_zalloc(sizeof *tail) : NULL;
    if (!tail) {
        if (node->n_tails == NODE_TAILS_MAX)
            request_fail(request, S4_FULL, "%d subscriptions are there already", NODE_TAILS_MAX);
        else
            request_fail(request, S4_NO_MEMORY, "out of memory");
        return;
    }
    *tail = (struct node_tail){ .node = node,
                                .next = node->tails,
                                .number = ++node->last_tail,
                                .bundle = bundle_hold(bundle),
                                .kept = asked->kept,
                                .tells_caught_up = asked->kept && cluster_node_asks(node, request),
                                .turn = MAP_MEMBERS_MAX,
                                .signed_us = clock_real.mono_us(&clock_real) };
    zmq_msg_init(&tail->peer);
    zmq_msg_copy(&tail->peer, &request->peer);
    tail->sender = request->sender;
    node->tails = tail;
    node->n_tails++;
    request->tail = tail;
    struct engine_tail_options options = { .key = asked->key,
                                           .prefix = asked->prefix,
                                           .kept = asked->kept,
                                           .wake = woken,
                                           .arrived = arrived,
                                           .user = tail };
    s4_status status =
        engine_tail(node->engine, asked->app, asked->output, &options, added, request, &diag);
    if (status == S4_OK)
        return;
    destroy(tail);
    request_fail(request, status, "%s", diag.text);
}

/* ---- what comes next ------------------------------------------------------------------------- */

static struct tail_part **last_of(struct tail_part **parts)
{
    while (*parts)
        parts = &(*parts)->next;
    return parts;
}

/* Those that came join the others; those that were read to their end go. Not while the job thread
 * reads. */
static void sort_parts(struct node_tail *tail)
{
    pthread_mutex_lock(&tail->node->lock);
    *last_of(&tail->parts) = tail->came;
    tail->came = NULL;
    pthread_mutex_unlock(&tail->node->lock);
    for (struct tail_part **at = &tail->parts; tail->node->member && *at;) {
        struct tail_part *part = *at;
        if (!part->ended) {
            at = &part->next;
            continue;
        }
        *at = part->next;
        part->next = NULL;
        drop_parts(part);
    }
}

static bool is_lost(struct node_tail *tail)
{
    pthread_mutex_lock(&tail->node->lock);
    bool lost = tail->lost;
    pthread_mutex_unlock(&tail->node->lock);
    return lost;
}

/* `woken` comes, if none has anything. */
static bool is_anything(struct node_tail *tail)
{
    bool any = false;
    for (struct tail_part *part = tail->parts; part; part = part->next)
        any |= !tail_sleep(part->tail);
    return any;
}

static void answer(struct node_tail *tail, S4__Control__Tailed *tailed)
{
    struct request *asked = tail->asked;
    S4__Control__Reply reply = S4__CONTROL__REPLY__INIT;
    tail->asked = NULL;
    reply.what_case = S4__CONTROL__REPLY__WHAT_TAILED;
    reply.tailed = tailed;
    request_reply(asked, &reply);
}

static void tell_caught_up(struct node_tail *tail)
{
    S4__Control__TailItem item = S4__CONTROL__TAIL_ITEM__INIT;
    S4__Control__TailItem *items[] = { &item };
    S4__Control__Tailed tailed = S4__CONTROL__TAILED__INIT;
    item.kind = S4__CONTROL__TAIL_ITEM__KIND__CAUGHT_UP;
    tailed.items = items;
    tailed.n_items = 1;
    tail->tells_caught_up = false;
    answer(tail, &tailed);
}

static void tell_end(struct node_tail *tail)
{
    char why[] = "the app is undeployed";
    S4__Control__Tailed tailed = S4__CONTROL__TAILED__INIT;
    tailed.has_ended = true;
    tailed.ended = true;
    tailed.why = why;
    answer(tail, &tailed);
    destroy(tail);
}

/* This node and the others take turns. */
void tail_look(struct node_tail *tail)
{
    if (!tail->asked || tail->reading || tail->gone)
        return;
    sort_parts(tail);
    if (is_lost(tail)) {
        tail_leave(tail, S4_NO_MEMORY, "out of memory for a slot that came");
        return;
    }
    bool far_first = tail->far && tail->turn < MAP_MEMBERS_MAX;
    if (far_first && tail_far_answer(tail))
        return;
    if (is_anything(tail)) {
        tail->reading = true;
        tail->turn = 0;
        node_jobs_push(&tail->node->reads, tail->asked);
    } else if (tail->far && tail_far_answer(tail)) {
        return;
    } else if (tail->tells_caught_up && !tail->kept && !tail_far_has_kept(tail)) {
        tell_caught_up(tail);
    } else if (atomic_load(&tail->app_gone) && !tail->parts && tail_far_is_over(tail)) {
        tell_end(tail);
    }
}

/* ---- requests ------------------------------------------------------------------------------ */

static void serve_next(struct node *node, struct request *request)
{
    struct node_tail *tail = find(node, request, request->message->tail_next->tail);
    if (!tail || !tail->added) {
        request_fail(request, S4_NOT_FOUND, "there is no such subscription (any more)");
    } else if (tail->asked) {
        request_fail(request, S4_STATE, "the subscription is asked already");
    } else {
        tail->asked = request;
        request->tail = tail;
        tail_look(tail);
    }
}

void tail_leave(struct node_tail *tail, s4_status status, const char *format, ...)
{
    struct request *told = tail->asked ? tail->asked : tail->adding;
    char why[DIAG_TEXT_MAX];
    va_list args;
    va_start(args, format);
    vsnprintf(why, sizeof why, format, args);
    va_end(args);
    tail->gone = true;
    if (tail->reading || !tail->added)
        return;
    tail->asked = tail->adding = NULL;
    destroy(tail);
    if (told)
        request_fail(told, status, "%s", why);
}

static void serve_end(struct node *node, struct request *request)
{
    struct node_tail *tail = find(node, request, request->message->tail_end->tail);
    S4__Control__Reply reply = S4__CONTROL__REPLY__INIT;
    if (tail)
        tail_leave(tail, S4_CANCELLED, "the subscription was ended");
    request_reply(request, &reply);
}

bool node_tail_serve(struct node *node, struct request *request)
{
    const S4__Control__Request *message = request->message;
    const struct node_app *app;
    switch (message->what_case) {
    case S4__CONTROL__REQUEST__WHAT_TAIL:
        app = node_app_of(node, request, message->tail->app);
        if (app)
            serve_tail(node, request, app->bundle);
        return true;
    case S4__CONTROL__REQUEST__WHAT_TAIL_NEXT:
        serve_next(node, request);
        return true;
    case S4__CONTROL__REQUEST__WHAT_TAIL_END:
        serve_end(node, request);
        return true;
    default:
        return false;
    }
}

void tail_added(struct node_tail *tail)
{
    struct request *request = tail->adding;
    S4__Control__Tailing tailing = S4__CONTROL__TAILING__INIT;
    S4__Control__Reply reply = S4__CONTROL__REPLY__INIT;
    if (!request || tail_far_is_adding(tail))
        return;
    tail->adding = NULL;
    tailing.tail = tail->number;
    reply.what_case = S4__CONTROL__REPLY__WHAT_TAILING;
    reply.tailing = &tailing;
    request_reply(request, &reply);
}

static void finish_adding(struct request *request)
{
    struct node_tail *tail = request->tail;
    tail->parts = tail->first && !tail->gone ? mem_zalloc(sizeof *tail->parts) : NULL;
    tail->added = tail->first != NULL;
    s4_status status = tail->gone ? S4_CANCELLED : tail->first ? S4_NO_MEMORY : request->status;
    if (tail->parts) {
        tail->parts->tail = tail->first;
        tail->first = NULL;
        status = cluster_node_asks(tail->node, request) ? tail_far_begin(tail, request) : S4_OK;
    }
    if (status != S4_OK) {
        destroy(tail);
        request_fail(request, status, "the subscription cannot be made: %s",
                     s4_status_text(status));
        return;
    }
    tail->adding = request;
    tail_added(tail);
}

static void finish_reading(struct request *request)
{
    struct node_tail *tail = request->tail;
    tail->reading = false;
    if (!request->packed && request->status == S4_OK && !tail->gone) {
        tail_look(tail); /* there was nothing after all */
        return;
    }
    tail->asked = NULL;
    if (!request->packed && request->status == S4_OK)
        request->status = S4_CANCELLED; /* it was ended meanwhile */
    if (tail->over || tail->gone || request->gone)
        destroy(tail);
    request_send(request);
}

bool node_tail_finish(struct request *request)
{
    if (!request->tail)
        return false;
    if (request->message->what_case == S4__CONTROL__REQUEST__WHAT_TAIL)
        finish_adding(request);
    else
        finish_reading(request);
    return true;
}

/* ---- at every turn of the control thread --------------------------------------------------- */

/* False: the peer is not there any more. */
static bool give_sign(struct node_tail *tail)
{
    S4__Control__Reply reply = S4__CONTROL__REPLY__INIT;
    void *bytes;
    size_t size;
    zmq_msg_t to;
    reply.status = S4_AGAIN;
    if (control_pack(&reply.base, &bytes, &size) != S4_OK)
        return true;
    zmq_msg_init(&to);
    zmq_msg_copy(&to, &tail->peer);
    bool there = zmq_msg_send(&to, tail->node->socket, ZMQ_SNDMORE | ZMQ_DONTWAIT) >= 0;
    if (there)
        there = control_send(tail->node->socket, &bytes, size, ZMQ_DONTWAIT) == S4_OK;
    else
        zmq_msg_close(&to);
    mem_free(bytes);
    return there;
}

void node_tails_step(struct node *node, uint64_t now_us)
{
    for (struct node_tail *tail = node->tails, *next; tail; tail = next) {
        next = tail->next;
        if (!tail->added)
            continue;
        if (tail->far)
            tail_far_step(tail, now_us);
        if (atomic_exchange(&tail->awake, false)) {
            tail_look(tail);
            continue; /* it may have gone */
        }
        if (now_us - tail->signed_us < TAIL_SIGN_US || tail->adding)
            continue;
        tail->signed_us = now_us;
        if (tail->asked ? tail->asked->gone : !give_sign(tail))
            tail_leave(tail, S4_UNAVAILABLE, "its client has gone");
        else if (!node_keys_admit(node, &tail->sender))
            tail_leave(tail, S4_PERMISSION, "your key was removed from the node's");
    }
}

void node_tails_app_ended(struct node *node, const char *app)
{
    for (struct node_tail *tail = node->tails; tail; tail = tail->next) {
        if (!node->member || strcmp(tail->bundle->graph->app, app) != 0)
            continue;
        atomic_store(&tail->app_gone, true);
        atomic_store(&tail->awake, true);
    }
}

void node_tails_end(struct node *node)
{
    while (node->tails) {
        struct node_tail *tail = node->tails;
        struct request *asked = tail->asked;
        if (asked && !asked->packed)
            tail_tell_rest(tail, asked);
        destroy(tail);
        if (asked)
            request_send(asked);
    }
}
