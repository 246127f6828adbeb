/* What other nodes have of a tail. Each is asked for what comes next when what it said before was
 * passed on: so much of each waits here, and the rest there, in queues that are bounded. Its calls
 * are the carrier's, a request in no list. Who joins the cluster is followed from then on; who has
 * gone is not waited for. A node that was silent, and lives, may have said what was lost on its
 * way: how much, nobody knows, so that is the end.
 */
#include "apps/s4/node_relay.h"
#include "apps/s4/node_tail.h"
#include "runtime/base/mem.h"

#define RETRY_US 1000000

static const char *name_of(const struct node_tail *tail, uint32_t member)
{
    return tail->node->map->members[member].name;
}

static void send_add(struct node_tail *tail, uint32_t member)
{
    const S4__Control__Tail *asked = tail->carrier->message->tail;
    S4__Control__Request message = S4__CONTROL__REQUEST__INIT;
    S4__Control__Tail wanted = *asked;
    wanted.has_kept = true;
    wanted.kept = tail->far[member].kept;
    message.what_case = S4__CONTROL__REQUEST__WHAT_TAIL;
    message.tail = &wanted;
    tail->far[member].state = FAR_ADDING;
    relay_send(tail->node, tail->carrier, member, &message);
}

static void send_next(struct node_tail *tail, uint32_t member)
{
    S4__Control__Request message = S4__CONTROL__REQUEST__INIT;
    S4__Control__TailNext next = S4__CONTROL__TAIL_NEXT__INIT;
    next.tail = tail->far[member].number;
    message.what_case = S4__CONTROL__REQUEST__WHAT_TAIL_NEXT;
    message.tail_next = &next;
    tail->far[member].state = FAR_READING;
    relay_send(tail->node, tail->carrier, member, &message);
}

/* Nobody waits for the answer. */
static void send_end(struct node_tail *tail, uint32_t member)
{
    S4__Control__Request message = S4__CONTROL__REQUEST__INIT;
    S4__Control__TailEnd end = S4__CONTROL__TAIL_END__INIT;
    end.tail = tail->far[member].number;
    message.what_case = S4__CONTROL__REQUEST__WHAT_TAIL_END;
    message.tail_end = &end;
    relay_send(tail->node, tail->carrier, member, &message);
}

static bool is_same(const struct node_tail *tail, uint32_t member)
{
    const struct map_member *now = &tail->node->map->members[member];
    return now->name[0] && now->incarnation == tail->far[member].incarnation;
}

static void begin_at(struct node_tail *tail, uint32_t member, bool kept)
{
    control_reply_destroy(tail->far[member].came);
    tail->far[member] =
        (struct tail_far){ .incarnation = tail->node->map->members[member].incarnation,
                           .kept = kept };
    send_add(tail, member);
}

static s4_status copy_message(const S4__Control__Request *from, S4__Control__Request **to)
{
    void *bytes;
    size_t size;
    TRY(control_pack(&from->base, &bytes, &size));
    s4_status status = control_request_read(bytes, size, to);
    mem_free(bytes);
    return status;
}

s4_status tail_far_begin(struct node_tail *tail, const struct request *request)
{
    struct node *node = tail->node;
    tail->far = mem_calloc(MAP_MEMBERS_MAX, sizeof *tail->far);
    tail->carrier = mem_zalloc(sizeof *tail->carrier);
    if (!tail->far || !tail->carrier)
        return S4_NO_MEMORY;
    tail->carrier->node = node;
    tail->carrier->tail = tail;
    tail->carrier->carries = true;
    TRY(copy_message(request->message, &tail->carrier->message));
    for (uint32_t i = 0; i < MAP_MEMBERS_MAX; i++)
        if (i != node->self && map_member_exists(node->map, i))
            begin_at(tail, i, request->message->tail->kept);
    return S4_OK;
}

void tail_far_end(struct node_tail *tail)
{
    for (uint32_t i = 0; tail->far && i < MAP_MEMBERS_MAX; i++) {
        if (tail->far[i].number && tail->far[i].state != FAR_OVER && is_same(tail, i))
            send_end(tail, i);
        control_reply_destroy(tail->far[i].came);
    }
    if (tail->carrier) {
        relay_forget(tail->carrier);
        control_request_destroy(tail->carrier->message);
    }
    mem_free(tail->carrier);
    mem_free(tail->far);
    tail->far = NULL;
    tail->carrier = NULL;
}

/* ---- how far they are --------------------------------------------------------------------------
 */

/* One that is silent from the beginning is waited for, too. */
bool tail_far_is_adding(const struct node_tail *tail)
{
    for (uint32_t i = 0; tail->far && i < MAP_MEMBERS_MAX; i++)
        if (tail->far[i].state == FAR_ADDING || tail->far[i].state == FAR_SILENT)
            return true;
    return false;
}

bool tail_far_has_kept(const struct node_tail *tail)
{
    for (uint32_t i = 0; tail->far && i < MAP_MEMBERS_MAX; i++)
        if (tail->far[i].state != FAR_NONE && tail->far[i].state != FAR_OVER && tail->far[i].kept)
            return true;
    return false;
}

bool tail_far_is_over(const struct node_tail *tail)
{
    for (uint32_t i = 0; tail->far && i < MAP_MEMBERS_MAX; i++)
        if (tail->far[i].state != FAR_NONE && tail->far[i].state != FAR_OVER)
            return false;
    return true;
}

/* ---- what they say -----------------------------------------------------------------------------
 */

/* The item that says that what was there has come is put last, where it is not passed on: that is
 * told when it is so of all nodes. Answers how many are. */
static size_t set_apart(struct tail_far *far, S4__Control__Tailed *tailed)
{
    size_t n = 0;
    S4__Control__TailItem *apart = NULL;
    for (size_t i = 0; i < tailed->n_items; i++) {
        if (tailed->items[i]->kind == S4__CONTROL__TAIL_ITEM__KIND__CAUGHT_UP && !apart)
            apart = tailed->items[i];
        else
            tailed->items[n++] = tailed->items[i];
    }
    if (apart) {
        far->kept = false;
        tailed->items[n] = apart;
    }
    return n;
}

/* Of one node; false: there was nothing in it for the client. */
static bool pass_on(struct node_tail *tail, uint32_t member)
{
    struct tail_far *far = &tail->far[member];
    S4__Control__Reply *came = far->came;
    size_t n = set_apart(far, came->tailed), all = came->tailed->n_items;
    bool ended = came->tailed->ended;
    far->came = NULL;
    if (ended)
        far->state = FAR_OVER;
    else
        send_next(tail, member);
    if (n > 0) {
        struct request *asked = tail->asked;
        S4__Control__Tailed tailed = S4__CONTROL__TAILED__INIT;
        S4__Control__Reply reply = S4__CONTROL__REPLY__INIT;
        tailed.items = came->tailed->items;
        tailed.n_items = n;
        reply.what_case = S4__CONTROL__REPLY__WHAT_TAILED;
        reply.tailed = &tailed;
        tail->asked = NULL;
        request_reply(asked, &reply);
    }
    came->tailed->n_items = all;
    control_reply_destroy(came);
    return n > 0;
}

bool tail_far_answer(struct node_tail *tail)
{
    for (uint32_t i = 0; i < MAP_MEMBERS_MAX; i++) {
        uint32_t member = (tail->turn + i) % MAP_MEMBERS_MAX;
        if (tail->far[member].state != FAR_CAME || !pass_on(tail, member))
            continue;
        tail->turn = member + 1; /* beyond the last one it is this node's own turn */
        return true;
    }
    tail->turn = MAP_MEMBERS_MAX;
    return false;
}

static void is_silent(struct node_tail *tail, uint32_t member)
{
    struct tail_far *far = &tail->far[member];
    far->broken |= far->number != 0;
    far->state = FAR_SILENT;
    far->retry_us = clock_real.mono_us(&clock_real) + RETRY_US;
}

/* False: the tail has gone. */
static bool take_added(struct node_tail *tail, uint32_t member, const S4__Control__Reply *reply)
{
    struct tail_far *far = &tail->far[member];
    s4_status status = reply ? (s4_status)reply->status : S4_UNAVAILABLE;
    if (status == S4_OK && reply->what_case == S4__CONTROL__REPLY__WHAT_TAILING) {
        far->number = reply->tailing->tail;
        if (!far->broken) {
            send_next(tail, member);
            return true;
        }
        tail_leave(tail, S4_UNAVAILABLE,
                   "the node %s was silent for a while: some of its changes may be missed",
                   name_of(tail, member));
        return false;
    }
    if (status == S4_UNAVAILABLE || status == S4_STATE || status == S4_OK) {
        is_silent(tail, member);
    } else if (status == S4_NOT_FOUND && !tail->adding) {
        far->state = FAR_OVER; /* the app is being undeployed */
    } else {
        tail_leave(tail, status, "node %s: %s", name_of(tail, member),
                   reply->message ? reply->message : s4_status_text(status));
        return false;
    }
    return true;
}

void node_tail_relayed(struct request *carrier, uint32_t member, S4__Control__Reply *reply)
{
    struct node_tail *tail = carrier->tail;
    struct tail_far *far = &tail->far[member];
    if (tail->gone) {
        control_reply_destroy(reply);
        return;
    }
    if (far->state == FAR_ADDING) {
        bool there = take_added(tail, member, reply);
        control_reply_destroy(reply);
        if (there && tail->adding)
            tail_added(tail);
        return;
    }
    if (far->state == FAR_READING && reply && reply->status == S4_OK &&
        reply->what_case == S4__CONTROL__REPLY__WHAT_TAILED) {
        far->came = reply;
        far->state = FAR_CAME;
    } else {
        control_reply_destroy(reply);
        if (far->state == FAR_READING)
            is_silent(tail, member);
    }
    atomic_store(&tail->awake, true); /* looked at in this turn */
}

/* ---- time, and the map -------------------------------------------------------------------------
 */

static void let_go(struct node_tail *tail, uint32_t member)
{
    struct tail_far *far = &tail->far[member];
    if (far->state == FAR_CAME)
        return; /* that is passed on first */
    *far = (struct tail_far){ 0 };
    atomic_store(&tail->awake, true);
}

void tail_far_step(struct node_tail *tail, uint64_t now_us)
{
    struct node *node = tail->node;
    bool app_gone = atomic_load(&tail->app_gone);
    if (tail->gone)
        return;
    for (uint32_t i = 0; i < MAP_MEMBERS_MAX; i++) {
        struct tail_far *far = &tail->far[i];
        bool follows = far->state != FAR_NONE;
        if (follows && !is_same(tail, i))
            let_go(tail, i);
        else if (!follows && i != node->self && map_member_exists(node->map, i) && !app_gone)
            begin_at(tail, i, false);
        else if (far->state == FAR_SILENT && app_gone)
            far->state = FAR_OVER;
        else if (far->state == FAR_SILENT && now_us >= far->retry_us)
            send_add(tail, i);
    }
    if (tail->adding)
        tail_added(tail);
}
