/* Nodes in one process; see the header. */
#include "tests/support/nodes.h"

#include <check.h>

#include "pe/host/host_run.h"
#include "pe/host/planted.h"
#include "pe/host/slots.h"
#include "runtime/actor/pool_sim.h"
#include "runtime/base/mem.h"

#define IDLE_STEPS 400

/* ---- the ferry ------------------------------------------------------------------------------- */

struct news {
    struct news *next;
    bool applied; /* else NOT_MINE */
    uint32_t slot;
};

/* From one node to another, of one incarnation each. */
struct carried {
    struct carried *next;
    uint64_t from, to; /* incarnations */
    char app[GRAPH_NAME_MAX + 1];
    struct ferry_frame frame;
    bool delivered;
    uint64_t given_back; /* bit per slot: its records were not the other one's */
    bool over;           /* applied, as the sender knows */
    struct news *news;   /* what the other one said, oldest first */
    struct news **news_end;
};

static struct nodes *world; /* of the test that runs */

static void carried_free(struct carried *c)
{
    while (c->news) {
        struct news *next = c->news->next;
        mem_free(c->news);
        c->news = next;
    }
    if (c->frame.block)
        block_release(c->frame.block);
    mem_free(c);
}

static void list_init(struct carried_list *list)
{
    list->first = NULL;
    list->end = &list->first;
}

static void list_drop(struct carried_list *list)
{
    while (list->first) {
        struct carried *next = list->first->next;
        carried_free(list->first);
        list->first = next;
    }
    list->end = &list->first;
}

static s4_status ferry_send(struct ferry *ferry, uint32_t to, const struct ferry_frame *frame)
{
    struct one_node *me = (struct one_node *)ferry;
    ck_assert_uint_lt(to, NODES_MAX);
    ck_assert_uint_ne(me->opened[to], 0);
    struct carried *c = mem_zalloc(sizeof *c);
    ck_assert_ptr_nonnull(c);
    c->frame = *frame;
    snprintf(c->app, sizeof c->app, "%s", frame->app);
    c->frame.app = c->app;
    c->frame.number = ++me->next_number;
    c->from = me->incarnation;
    c->to = me->opened[to];
    c->news_end = &c->news;
    *me->to[to].end = c;
    me->to[to].end = &c->next;
    return S4_OK;
}

static void ferry_walk(struct ferry *ferry, uint32_t to, ferry_frame_fn *fn, void *user)
{
    const struct one_node *me = (const struct one_node *)ferry;
    for (const struct carried *c = me->to[to].first; c; c = c->next)
        if (!c->over)
            fn(user, &c->frame);
}

/* A token: the nodes' indices and the sender's incarnation's low half; the number. */
static struct carried *find(const uint64_t token[2])
{
    uint32_t from = (uint32_t)(token[0] >> 32);
    uint32_t to = (uint32_t)token[0];
    struct carried *c = world->all[from].to[to].first;
    while (c && c->frame.number != token[1])
        c = c->next;
    return c;
}

static void say(const uint64_t token[2], bool applied, uint32_t slot)
{
    struct carried *c = find(token);
    if (!c)
        return; /* who sent it is gone */
    struct news *news = mem_zalloc(sizeof *news);
    ck_assert_ptr_nonnull(news);
    if (!applied)
        c->given_back |= UINT64_C(1) << slot;
    news->applied = applied;
    news->slot = slot;
    *c->news_end = news;
    c->news_end = &news->next;
}

static void ferry_credit(struct ferry *ferry, const uint64_t token[2])
{
}

/* What is said to be applied is: every record that was not given back has been counted by its link,
 * where its partition is here still. */
static void check_applied(const struct one_node *me, const struct carried *c)
{
    struct host_app *app = host_app_at(me->rig.engine, 0);
    const struct record *end = block_end(c->frame.block);
    for (const struct record *r = block_first(c->frame.block); app && r < end; r = record_next(r)) {
        const struct host_partition *p = host_partition_at(app, r->dst);
        bool given_back = c->given_back >> r->dst & 1;
        const struct engine *engine = me->rig.engine;
        if (!p || given_back || engine_slot_is_held(engine, r->dst) ||
            engine->genesis[r->src] > c->frame.version ||
            engine->slots[r->dst].epoch > c->frame.version) /* or it has come back since */
            continue;
        uint64_t last = p->links_in.last[r->src];
        ck_assert_msg(last == LINK_FRESH || (int32_t)((uint32_t)last - r->seq) >= 0,
                      "node %u: record %u of %u -> %u is applied, it says, and the last was %llu",
                      me->index, r->seq, r->src, r->dst, (unsigned long long)last);
    }
}

static void ferry_applied(struct ferry *ferry, const uint64_t token[2])
{
    struct carried *c = find(token);
    if (c && c->frame.lane != UINT32_MAX)
        check_applied((const struct one_node *)ferry, c);
    say(token, true, 0);
}

static void ferry_not_mine(struct ferry *ferry, const uint64_t token[2], uint32_t slot)
{
    say(token, false, slot);
}

static void ferry_open(struct ferry *ferry, uint32_t to, const struct map_member *member)
{
    ((struct one_node *)ferry)->opened[to] = member->incarnation;
}

static void ferry_end(struct ferry *ferry, uint32_t to)
{
    struct one_node *me = (struct one_node *)ferry;
    me->opened[to] = 0;
    list_drop(&me->to[to]);
}

static void ferry_refuse(struct ferry *ferry, uint32_t from, const struct diag *diag)
{
    ck_abort_msg("node %u is refused: %s", from, diag->text);
}

static uint32_t ferry_unsent(struct ferry *ferry)
{
    return 0;
}

static void ferry_wake(struct ferry *ferry)
{
}

static const struct ferry_ops ferry_ops = {
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

/* Whether the other node knows who sends: it listens to nobody else. */
static bool is_known(const struct one_node *from, const struct one_node *to,
                     const struct carried *c)
{
    return to->alive && c->to == to->incarnation && to->opened[from->index] == c->from;
}

/* As it would be after a wire: nothing is shared. */
static struct block *copy_for(struct one_node *to, const struct block *block)
{
    struct block *copy = block_take(engine_pool(to->rig.engine), block->used);
    ck_assert_ptr_nonnull(copy);
    memcpy(copy->data, block->data, block->used);
    copy->used = block->used;
    copy->count = block->count;
    copy->worker = block->worker;
    copy->hops = block->hops;
    return copy;
}

static bool deliver(struct one_node *from, struct one_node *to)
{
    struct carried *c = from->to[to->index].first;
    while (c && c->delivered)
        c = c->next;
    if (!c || !is_known(from, to, c))
        return false;
    c->delivered = true;
    uint64_t token[2] = { (uint64_t)from->index << 32 | to->index, c->frame.number };
    struct ferry_frame frame = c->frame;
    frame.block = copy_for(to, c->frame.block);
    node_arrived(to->node, from->index, &frame, token);
    return true;
}

/* What the other one said comes back, in its order; acknowledgements only of all before. */
static bool bring_back(struct one_node *from, uint32_t to)
{
    struct carried *c = from->to[to].first;
    if (!c || !c->news)
        return false;
    struct news *news = c->news;
    c->news = news->next;
    if (!c->news)
        c->news_end = &c->news;
    if (news->applied) {
        struct carried_list *list = &from->to[to];
        list->first = c->next;
        if (!list->first)
            list->end = &list->first;
        carried_free(c);
    } else {
        node_not_mine(from->node, to, &c->frame, news->slot);
    }
    mem_free(news);
    return true;
}

/* ---- the leader ------------------------------------------------------------------------------ */

static uint32_t draw_alive(struct nodes *nodes)
{
    for (;;) {
        uint32_t i = (uint32_t)rng_below(&nodes->rng, nodes->options.nodes);
        if (map_member_exists(nodes->map, i))
            return i;
    }
}

static void order_move(struct nodes *nodes)
{
    struct map *map = nodes->map;
    uint32_t slot = (uint32_t)rng_below(&nodes->rng, map->n_slots);
    uint32_t target = draw_alive(nodes);
    if (map->slots[slot].owner == target || map->slots[slot].owner == MAP_NOBODY)
        return;
    map->slots[slot].target = (uint8_t)target;
    map->slots[slot].target_worker = (uint8_t)rng_below(&nodes->rng, nodes->options.workers);
    map->slots[slot].move = ++map->version;
    nodes->moves_left--;
}

static void end_move(struct nodes *nodes, struct map_slot *s, bool commit)
{
    s->epoch = ++nodes->map->version;
    if (commit) {
        s->owner = s->target;
        s->worker = s->target_worker;
        nodes->commits++;
    } else {
        nodes->taken_back++;
    }
    s->target = MAP_NOBODY;
}

/* ---- deaths ---------------------------------------------------------------------------------- */

static void stop_node(struct one_node *n);
static void start_node(struct nodes *nodes, uint32_t i);
static void add_member(struct nodes *nodes, uint32_t i, uint64_t incarnation);

/* Slots of the dead begin empty on others; a move to it is taken back. */
static void bury(struct nodes *nodes, uint32_t dead)
{
    struct map *map = nodes->map;
    map->version++;
    map->members[dead] = (struct map_member){ 0 };
    for (uint32_t slot = 0; slot < map->n_slots; slot++) {
        struct map_slot *s = &map->slots[slot];
        if (s->owner == dead) {
            s->owner = (uint8_t)draw_alive(nodes);
            s->worker = (uint8_t)rng_below(&nodes->rng, nodes->options.workers);
            s->generation++;
            s->genesis = map->version;
        } else if (s->target != dead) {
            continue;
        }
        s->target = MAP_NOBODY;
        s->epoch = map->version;
    }
}

/* The first one is where events come in, and lives. */
static bool kill_one(struct nodes *nodes)
{
    uint32_t i = 1 + (uint32_t)rng_below(&nodes->rng, nodes->options.nodes - 1);
    if (!nodes->all[i].alive)
        return false;
    stop_node(&nodes->all[i]);
    nodes->deaths_left--;
    return true;
}

/* The leader sees that one is dead, or one that is back. */
static bool see_deaths(struct nodes *nodes)
{
    for (uint32_t i = 1; i < nodes->options.nodes; i++) {
        if (nodes->all[i].alive)
            continue;
        if (map_member_exists(nodes->map, i)) {
            bury(nodes, i);
            return true;
        }
        if (rng_below(&nodes->rng, 4) == 0) {
            nodes->map->version++;
            add_member(nodes, i, 1000 + 10 * nodes->map->version);
            start_node(nodes, i);
            nodes->joins++;
            return true;
        }
    }
    return false;
}

static bool lead(struct nodes *nodes)
{
    if (nodes->deaths_left > 0 && nodes->options.nodes > 1 && rng_below(&nodes->rng, 20) == 0)
        return kill_one(nodes);
    if (rng_below(&nodes->rng, 3) == 0 && see_deaths(nodes))
        return true;
    uint32_t slot = map_moving(nodes->map);
    if (slot == MAP_SLOTS_MAX) {
        if (nodes->moves_left == 0)
            return false;
        order_move(nodes);
        return true;
    }
    struct map_slot *s = &nodes->map->slots[slot];
    uint32_t one_in = nodes->options.failing_in;
    if (nodes->version_done == s->move)
        end_move(nodes, s, nodes->done_well && !(one_in && rng_below(&nodes->rng, one_in) == 0));
    else if (one_in && rng_below(&nodes->rng, 500 * one_in) == 0)
        end_move(nodes, s, false);
    else
        return false;
    return true;
}

static void moved(void *user, uint32_t slot, uint64_t move, bool done, const char *why)
{
    world->version_done = move;
    world->done_well = done;
    world->refused += !done;
}

static void failed(void *user, const struct diag *diag)
{
    ck_abort_msg("node %u failed: %s", ((struct one_node *)user)->index, diag->text);
}

static void flight(void *user, const char *app, uint64_t *begun, uint64_t *ended)
{
    const struct one_node *me = user;
    for (uint32_t i = 0; i < world->options.nodes; i++)
        if (i != me->index && world->all[i].alive)
            engine_flight(world->all[i].rig.engine, app, begun, ended);
}

/* ---- life ------------------------------------------------------------------------------------ */

static bool step_rig(void *user)
{
    return nodes_step(user);
}

static void start_node(struct nodes *nodes, uint32_t i)
{
    struct one_node *n = &nodes->all[i];
    const struct nodes_options *o = &nodes->options;
    uint16_t workers[MAP_SLOTS_MAX];
    uint64_t genesis[MAP_SLOTS_MAX + LINK_INTAKES_MAX];
    struct node_options options = { .upcalls = &n->upcalls,
                                    .clock = &nodes->clock.clock,
                                    .copy_step = o->copy_step,
                                    .copy_rate = o->copy_step * 100000 };
    n->upcalls =
        (struct node_upcalls){ .moved = moved, .flight = flight, .failed = failed, .user = n };
    n->ferry.ops = &ferry_ops;
    n->index = i;
    n->incarnation = nodes->map->members[i].incarnation;
    n->alive = true;
    for (uint32_t to = 0; to < NODES_MAX; to++)
        list_init(&n->to[to]);
    memset(n->opened, 0, sizeof n->opened);
    ck_assert_int_eq(node_create(&options, &n->node), S4_OK);
    node_first_map(nodes->map, workers, genesis);
    struct rig_options rig = {
        .app = o->app,
        .manifest = o->manifest,
        .seed = o->seed + n->incarnation,
        .slots = o->slots,
        .workers = o->workers,
        .block_size = o->block_size,
        .remote = node_remote(n->node),
        .nodes = ENGINE_NODES_MAX,
        .node = i,
        .map = workers,
        .genesis = genesis,
        .clock = &nodes->clock.clock,
        .without_store = true,
    };
    rig_start(&n->rig, &rig);
    n->rig.step = step_rig;
    n->rig.step_user = nodes;
    ck_assert_int_eq(node_join(n->node, n->rig.engine, &n->ferry, nodes->map, i), S4_OK);
}

static void stop_node(struct one_node *n)
{
    n->alive = false;
    engine_stop(n->rig.engine);
    for (uint32_t to = 0; to < NODES_MAX; to++)
        list_drop(&n->to[to]);
    node_stop(n->node);
    rig_stop(&n->rig);
    node_destroy(n->node);
    n->node = NULL;
}

static void add_member(struct nodes *nodes, uint32_t i, uint64_t incarnation)
{
    struct map_member *m = &nodes->map->members[i];
    snprintf(m->name, sizeof m->name, "node-%u", i);
    snprintf(m->address, sizeof m->address, "sim://%u", i);
    m->incarnation = incarnation;
    m->workers = nodes->options.workers;
    m->since = nodes->map->version;
    m->state = MAP_ACTIVE;
}

void nodes_start(struct nodes *nodes, const struct nodes_options *options)
{
    *nodes = (struct nodes){ .options = *options };
    world = nodes;
#ifdef PLANTED_BUGS
    const char *planted = getenv("S4_PLANTED");
    planted_bug = planted ? (int)strtol(planted, NULL, 10) : PLANTED_NOTHING;
#endif
    ck_assert(options->nodes > 0 && options->workers > 0 && options->slots <= 64);
    rng_init(&nodes->rng, options->seed);
    clock_sim_init(&nodes->clock, RIG_START_US);
    nodes->slow_from = (uint32_t)rng_below(&nodes->rng, options->nodes);
    nodes->slow_to = (uint32_t)rng_below(&nodes->rng, options->nodes);
    nodes->moves_left = options->moves;
    nodes->deaths_left = options->deaths;
    ck_assert_int_eq(map_create(1, options->slots, &nodes->map), S4_OK);
    nodes->map->version = 1;
    for (uint32_t i = 0; i < options->nodes; i++)
        add_member(nodes, i, 1000 + i);
    for (uint32_t slot = 0; slot < options->slots; slot++) {
        struct map_slot *s = &nodes->map->slots[slot];
        s->owner = (uint8_t)(slot % options->nodes);
        s->worker = (uint8_t)(slot / options->nodes % options->workers);
        s->target = MAP_NOBODY;
        s->epoch = s->generation = s->genesis = 1;
    }
    for (uint32_t i = 0; i < options->nodes; i++)
        start_node(nodes, i);
}

void nodes_stop(struct nodes *nodes)
{
    for (uint32_t i = 0; i < nodes->options.nodes; i++)
        if (nodes->all[i].alive)
            stop_node(&nodes->all[i]);
    map_destroy(nodes->map);
}

/* ---- steps ----------------------------------------------------------------------------------- */

static bool is_late(struct nodes *nodes, uint32_t from, uint32_t to)
{
    return nodes->options.slow && !nodes->healed && nodes->slow_from == from &&
           nodes->slow_to == to && rng_below(&nodes->rng, nodes->options.slow) != 0;
}

static bool step_one(struct nodes *nodes, struct one_node *n)
{
    uint32_t other = (uint32_t)rng_below(&nodes->rng, nodes->options.nodes);
    switch (rng_below(&nodes->rng, 8)) {
    case 0:
        return pool_sim_step(n->rig.pool);
    case 1:
        return node_step(n->node);
    case 2:
        return other != n->index && !is_late(nodes, n->index, other) &&
               deliver(n, &nodes->all[other]);
    case 3:
        return other != n->index && bring_back(n, other);
    case 4:
        if (rng_below(&nodes->rng, 4) != 0 || node_version(n->node) == nodes->map->version)
            return false;
        ck_assert_int_eq(node_map(n->node, nodes->map), S4_OK);
        return node_step(n->node);
    default:
        return engine_step(n->rig.engine);
    }
}

bool nodes_step(struct nodes *nodes)
{
    for (int n = 0; n < IDLE_STEPS; n++) {
        struct one_node *one = &nodes->all[rng_below(&nodes->rng, nodes->options.nodes)];
        bool any =
            rng_below(&nodes->rng, 40) == 0 ? lead(nodes) : one->alive && step_one(nodes, one);
        clock_sim_advance(&nodes->clock, rng_below(&nodes->rng, 20));
        if (any)
            return true;
    }
    return false;
}

static bool is_settled(const struct nodes *nodes)
{
    if (map_moving(nodes->map) != MAP_SLOTS_MAX)
        return false;
    for (uint32_t i = 0; i < nodes->options.nodes; i++) {
        const struct one_node *n = &nodes->all[i];
        if (!n->alive || node_version(n->node) != nodes->map->version || !node_is_settled(n->node))
            return false;
        for (uint32_t to = 0; to < NODES_MAX; to++)
            if (n->to[to].first)
                return false;
    }
    return true;
}

void nodes_settle(struct nodes *nodes)
{
    nodes->moves_left = nodes->deaths_left = 0;
    nodes->healed = true;
    for (uint64_t n = 0; n < 1000; n++) {
        while (nodes_step(nodes)) {
        }
        if (is_settled(nodes))
            return;
    }
    ck_abort_msg("the nodes do not settle");
}

void nodes_pass_time(struct nodes *nodes, uint64_t us)
{
    nodes_settle(nodes);
    for (int i = 0; i < 2; i++) { /* what came of the first may be put out in its turn */
        clock_sim_advance(&nodes->clock, us);
        nodes_settle(nodes);
    }
}

void nodes_finish(struct nodes *nodes)
{
    uint64_t rounds;
    nodes_settle(nodes);
    do {
        rounds = 0;
        for (uint32_t i = 0; i < nodes->options.nodes; i++) {
            struct engine_drained drained;
            if (!nodes->all[i].alive)
                continue;
            ck_assert_int_eq(rig_drain(&nodes->all[i].rig, true, &drained), S4_OK);
            rounds += drained.rounds;
        }
    } while (rounds > 0);
}

static int by_text(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

char *nodes_sorted(char *text)
{
    struct buffer out;
    char **lines = NULL;
    size_t n = 0, capacity = 0;
    buffer_init(&out);
    for (char *at = text, *end; (end = strchr(at, '\n')); at = end + 1) {
        *end = '\0';
        ck_assert(mem_grow((void **)&lines, &capacity, n + 1, sizeof *lines));
        lines[n++] = at;
    }
    if (n > 0)
        qsort(lines, n, sizeof *lines, by_text);
    for (size_t i = 0; i < n; i++)
        ck_assert_int_eq(buffer_printf(&out, "%s\n", lines[i]), S4_OK);
    ck_assert_ptr_nonnull(buffer_text(&out));
    mem_free(lines);
    mem_free(text);
    return out.data;
}

char *nodes_rows(struct nodes *nodes, const char *output)
{
    struct buffer all;
    buffer_init(&all);
    for (uint32_t i = 0; i < nodes->options.nodes; i++) {
        if (!nodes->all[i].alive)
            continue;
        char *rows = rig_rows(&nodes->all[i].rig, output);
        ck_assert_int_eq(buffer_append_text(&all, rows), S4_OK);
        mem_free(rows);
    }
    ck_assert_ptr_nonnull(buffer_text(&all));
    return nodes_sorted(all.data);
}
