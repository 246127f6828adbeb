/* The ferry over a net; see the header. Sessions go one way: one is opened here to each member, and
 * each member opens one to here. */
#include "pe/node/ferry_net.h"

#include "pe/node/node.h"
#include "pe/node/planted.h"
#include "runtime/base/mem.h"
#include "runtime/record/block.h"

#define NO_PEER UINT32_MAX

/* A member of the map in force. */
struct other {
    char name[MAP_NAME_MAX + 1]; /* "": none */
    uint64_t incarnation;
    uint32_t peer; /* the session opened from here; NO_PEER: it could not be */
    bool unheard;
};

/* A frame of a node that the map does not name yet. */
struct early {
    struct early *next;
    char name[MAP_NAME_MAX + 1];
    uint64_t incarnation;
    uint64_t schema, version, number;
    uint64_t token[2];
    struct block *block; /* owned */
    uint32_t lane;
    char app[MAP_NAME_MAX + 1];
};

struct ferry_net {
    struct ferry ferry;
    struct net *net;
    struct node *node;
    const struct log *log;
    struct other others[MAP_MEMBERS_MAX];
    struct early *early; /* oldest first */
    struct early **early_end;
    bool opened; /* somebody was, since frames that wait were looked at */
};

_Static_assert(sizeof(struct net_token) == 2 * sizeof(uint64_t), "a token is two words");

static struct ferry_net *self_of(struct ferry *ferry)
{
    return (struct ferry_net *)(void *)ferry;
}

static uint32_t find_peer(const struct ferry_net *self, uint32_t peer)
{
    for (uint32_t i = 0; i < MAP_MEMBERS_MAX; i++)
        if (self->others[i].name[0] && self->others[i].peer == peer)
            return i;
    return MAP_NOBODY;
}

static uint32_t find_name(const struct ferry_net *self, const char *name, uint64_t incarnation)
{
    for (uint32_t i = 0; i < MAP_MEMBERS_MAX; i++)
        if (self->others[i].name[0] &&
            (self->others[i].incarnation == incarnation || PLANTED(PLANTED_ANY_INCARNATION)) &&
            strcmp(self->others[i].name, name) == 0)
            return i;
    return MAP_NOBODY;
}

/* ---- the node's calls ------------------------------------------------------------------------ */

static s4_status ferry_send(struct ferry *ferry, uint32_t node, const struct ferry_frame *frame)
{
    struct ferry_net *self = self_of(ferry);
    struct block *block = frame->block;
    if (!self->others[node].name[0] || self->others[node].peer == NO_PEER)
        return S4_UNAVAILABLE;
    return net_send(self->net, self->others[node].peer, frame->lane, frame->app, frame->schema,
                    frame->version, &block);
}

struct walking {
    ferry_frame_fn *fn;
    void *user;
};

static struct ferry_frame frame_of(const struct session_frame *held, const struct block *block)
{
    union {
        const struct block *held;
        struct block *lent; /* the node reads it only */
    } both = { block };
    return (struct ferry_frame){ .app = held->app,
                                 .schema = held->schema,
                                 .version = held->version,
                                 .lane = held->lane,
                                 .number = held->frame,
                                 .block = both.lent };
}

static void walk_one(void *user, const struct session_frame *held, const struct block *block)
{
    const struct walking *walking = user;
    struct ferry_frame frame = frame_of(held, block);
    walking->fn(walking->user, &frame);
}

static void ferry_walk(struct ferry *ferry, uint32_t node, ferry_frame_fn *fn, void *user)
{
    struct ferry_net *self = self_of(ferry);
    struct walking walking = { fn, user };
    if (self->others[node].name[0] && self->others[node].peer != NO_PEER)
        net_walk(self->net, self->others[node].peer, walk_one, &walking);
}

static struct net_token token_of(const uint64_t words[2])
{
    struct net_token token;
    memcpy(&token, words, sizeof token);
    return token;
}

static void ferry_credit(struct ferry *ferry, const uint64_t token[2])
{
    struct net_token named = token_of(token);
    net_credit(self_of(ferry)->net, &named);
}

static void ferry_applied(struct ferry *ferry, const uint64_t token[2])
{
    struct net_token named = token_of(token);
    net_applied(self_of(ferry)->net, &named);
}

static void ferry_not_mine(struct ferry *ferry, const uint64_t token[2], uint32_t slot)
{
    struct net_token named = token_of(token);
    net_not_mine(self_of(ferry)->net, &named, slot);
}

static void ferry_open(struct ferry *ferry, uint32_t node, const struct map_member *member)
{
    struct ferry_net *self = self_of(ferry);
    struct other *other = &self->others[node];
    struct diag diag = { 0 };
    *other = (struct other){ .incarnation = member->incarnation, .peer = NO_PEER };
    memcpy(other->name, member->name, sizeof other->name);
    if (net_connect(self->net, member->name, member->incarnation, member->address, &other->peer,
                    &diag) != S4_OK) {
        other->peer = NO_PEER;
        if (self->log)
            log_write(self->log, LOG_ERROR, "node %s cannot be reached: %s", member->name,
                      diag.text);
    }
    self->opened = true;
}

static void drop_early(struct ferry_net *self, const char *name, uint64_t incarnation)
{
    for (struct early **at = &self->early; *at;) {
        struct early *early = *at;
        if (name && (early->incarnation != incarnation || strcmp(early->name, name) != 0)) {
            at = &early->next;
            continue;
        }
        *at = early->next;
        block_release(early->block);
        mem_free(early);
    }
    self->early_end = &self->early;
    while (*self->early_end)
        self->early_end = &(*self->early_end)->next;
}

static void ferry_end(struct ferry *ferry, uint32_t node)
{
    struct ferry_net *self = self_of(ferry);
    struct other *other = &self->others[node];
    if (other->name[0] == 0)
        return;
    if (other->peer != NO_PEER)
        net_end(self->net, other->peer);
    if (!PLANTED(PLANTED_DEAD_HEARD))
        net_end_from(self->net, other->name, other->incarnation);
    drop_early(self, other->name, other->incarnation);
    *other = (struct other){ 0 };
}

static void ferry_refuse(struct ferry *ferry, uint32_t node, const struct diag *diag)
{
    struct ferry_net *self = self_of(ferry);
    const struct other *other = &self->others[node];
    if (self->log)
        log_write(self->log, LOG_ERROR, "node %s is not listened to any more: %s", other->name,
                  diag->text);
    net_refuse(self->net, other->name, other->incarnation, diag);
}

static uint32_t ferry_unsent(struct ferry *ferry)
{
    return (uint32_t)net_counters(self_of(ferry)->net).out.frames_waiting;
}

static void ferry_wake(struct ferry *ferry)
{
    net_wake(self_of(ferry)->net);
}

static const struct ferry_ops ops = {
    .send = ferry_send,
    .walk = ferry_walk,
    .credit = ferry_credit,
    .applied = ferry_applied,
    .not_mine = ferry_not_mine,
    .open = ferry_open,
    .end = ferry_end,
    .refuse = ferry_refuse,
    .unsent = ferry_unsent,
    .wake = ferry_wake,
};

/* ---- the net's upcalls ----------------------------------------------------------------------- */

static bool waits_already(const struct ferry_net *self, const char *name, uint64_t incarnation)
{
    for (const struct early *early = self->early; early; early = early->next)
        if (early->incarnation == incarnation && strcmp(early->name, name) == 0)
            return true;
    return false;
}

static void put_off(struct ferry_net *self, const struct net_arrival *arrival, struct block *block)
{
    if (PLANTED(PLANTED_EARLY_DROPPED)) {
        block_release(block);
        net_credit(self->net, &arrival->token);
        net_applied(self->net, &arrival->token);
        return;
    }
    struct early *early = mem_zalloc(sizeof *early);
    CHECK(early); /* else a frame would be lost that its sender must not send again */
    *early = (struct early){ .incarnation = arrival->incarnation,
                             .schema = arrival->schema,
                             .version = arrival->version,
                             .number = arrival->token.frame,
                             .block = block,
                             .lane = arrival->token.lane };
    memcpy(early->token, &arrival->token, sizeof early->token);
    snprintf(early->name, sizeof early->name, "%s", arrival->peer);
    snprintf(early->app, sizeof early->app, "%s", arrival->app);
    *self->early_end = early;
    self->early_end = &early->next;
}

static void arrived(void *user, const struct net_arrival *arrival, struct block *block)
{
    struct ferry_net *self = user;
    uint32_t from = find_name(self, arrival->peer, arrival->incarnation);
    if (from == MAP_NOBODY || (waits_already(self, arrival->peer, arrival->incarnation) &&
                               !PLANTED(PLANTED_EARLY_OVERTAKEN))) {
        put_off(self, arrival, block);
        return;
    }
    struct ferry_frame frame = { .app = arrival->app,
                                 .schema = arrival->schema,
                                 .version = arrival->version,
                                 .lane = arrival->token.lane,
                                 .number = arrival->token.frame,
                                 .block = block };
    uint64_t token[2];
    memcpy(token, &arrival->token, sizeof token);
    node_arrived(self->node, from, &frame, token);
}

static void not_mine(void *user, uint32_t peer, const struct session_frame *held,
                     const struct block *block, uint32_t slot)
{
    struct ferry_net *self = user;
    uint32_t from = find_peer(self, peer);
    struct ferry_frame frame = frame_of(held, block);
    if (from != MAP_NOBODY)
        node_not_mine(self->node, from, &frame, slot);
}

static void unheard(void *user, const struct net_silence *silence)
{
    struct ferry_net *self = user;
    uint32_t from = find_name(self, silence->peer, silence->incarnation);
    if (from != MAP_NOBODY)
        self->others[from].unheard = !silence->heard;
    if (self->log)
        log_write(self->log, LOG_WARN, "node %s is %s", silence->peer,
                  silence->heard ? "heard again" : "silent");
}

/* One of the two with that node; the map will say what becomes of it. What came early may be of the
 * other one, and waits on. */
static void failed(void *user, const char *name, uint64_t incarnation, const struct diag *diag)
{
    struct ferry_net *self = user;
    if (self->log)
        log_write(self->log, LOG_WARN, "a session with node %s is over: %s", name, diag->text);
}

static const struct net_upcalls upcalls = {
    .block_arrived = arrived,
    .not_mine = not_mine,
    .unheard = unheard,
    .failed = failed,
};

/* ---- life ------------------------------------------------------------------------------------ */

s4_status ferry_net_create(const struct ferry_net_options *options, struct ferry_net **ferry,
                           struct diag *diag)
{
    struct ferry_net *made = mem_zalloc(sizeof *made);
    if (!made)
        return diag_set(diag, S4_NO_MEMORY, "out of memory");
    made->ferry.ops = &ops;
    made->log = options->log;
    made->early_end = &made->early;
    struct net_options net = { .transport = options->transport,
                               .clock = options->clock,
                               .log = options->log,
                               .node = options->node,
                               .seed = options->seed,
                               .window = options->window,
                               .upcalls = &upcalls,
                               .user = made };
    s4_status status = net_create(&net, &made->net, diag);
    if (status == S4_OK)
        *ferry = made;
    else
        mem_free(made);
    return status;
}

void ferry_net_destroy(struct ferry_net *ferry)
{
    if (!ferry)
        return;
    drop_early(ferry, NULL, 0);
    net_destroy(ferry->net);
    mem_free(ferry);
}

struct ferry *ferry_net_ferry(struct ferry_net *ferry)
{
    return &ferry->ferry;
}

struct net *ferry_net_net(struct ferry_net *ferry)
{
    return ferry->net;
}

void ferry_net_identify(struct ferry_net *ferry, struct node *node, uint64_t cluster,
                        uint64_t incarnation)
{
    ferry->node = node;
    net_identify(ferry->net, cluster, incarnation);
}

/* Frames of who has become a member meanwhile go on, in their order. */
static void step_early(struct ferry_net *self)
{
    struct early *list = self->early;
    self->opened = false;
    self->early = NULL;
    self->early_end = &self->early;
    while (list) {
        struct early *early = list;
        list = early->next;
        early->next = NULL;
        uint32_t from = find_name(self, early->name, early->incarnation);
        if (from == MAP_NOBODY) {
            *self->early_end = early;
            self->early_end = &early->next;
            continue;
        }
        struct ferry_frame frame = { .app = early->app,
                                     .schema = early->schema,
                                     .version = early->version,
                                     .lane = early->lane,
                                     .number = early->number,
                                     .block = early->block };
        node_arrived(self->node, from, &frame, early->token);
        mem_free(early);
    }
}

bool ferry_net_step(struct ferry_net *ferry, size_t max)
{
    if (ferry->opened && ferry->early)
        step_early(ferry);
    return net_step(ferry->net, max);
}

bool ferry_net_is_unheard(const struct ferry_net *ferry, uint32_t node)
{
    return ferry->others[node].name[0] && ferry->others[node].unheard;
}
