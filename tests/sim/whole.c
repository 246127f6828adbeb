/* The life of a whole cluster: it is founded, an app is deployed, clients inject while there are
 * faults; then all heals, everything comes to rest, and the tables are what the oracle says. When
 * nodes have died, what they had is lost: then a second round, without faults, has to be exact.
 */
#include "tests/sim/whole.h"

#include <check.h>

#include "router/coord/found.h"
#include "runtime/base/hash.h"
#include "runtime/base/planted.h"

#define CALM_US       1500000u   /* nothing happens for so long: all is at rest */
#define SETTLE_US     120000000u /* within this */
#define STEPS_MAX     30000000u
#define IDLE_STEPS    16u /* per node, in which nothing was to do: time goes on */
#define JUMP_US_FIRST 100u
#define JUMP_US_MAX   50000u
#define STEP_US       10u
#define LAG_US        200000u /* of a server of the coordination service, at most */
#define LAG_US_LONG   2000000u
#define BATCHES_AGAIN 12u /* in the second round, of each client */

void whole_trace(struct whole *whole, char what, uint32_t node, uint64_t number)
{
    whole->trace = hash_mix(whole->trace, (uint64_t)(uint8_t)what << 8 | node);
    whole->trace = hash_mix(whole->trace ^ number, whole->clock.now_us);
    if (whole->loud)
        fprintf(stderr, "%10llu %c %c %llu\n", (unsigned long long)whole->clock.now_us, what,
                (char)('a' + (int)node), (unsigned long long)number);
}

/* ---- steps ----------------------------------------------------------------------------------- */

static uint64_t earlier(uint64_t now, uint64_t a, uint64_t b)
{
    return b <= now || a < b ? a : b;
}

/* Time goes on to when something is due, by ever longer steps while nothing is. */
static void pass_time(struct whole *whole)
{
    uint64_t now = whole->clock.now_us, due = now + whole->jump_us;
    due = earlier(now, due, sim_net_due_us(whole->net));
    due = earlier(now, due, coord_world_due_us(whole->service));
    for (uint32_t i = 0; i < whole->draw.nodes; i++)
        due = earlier(now, due, whole_node_due_us(&whole->nodes[i]));
    if (whole->jump_us < JUMP_US_MAX)
        whole->jump_us *= 2;
    whole->idle = 0;
    clock_sim_advance(&whole->clock, due - now);
}

void whole_step(struct whole *whole)
{
    struct whole_node *node = &whole->nodes[whole_below(whole, whole->draw.nodes)];
    bool any = whole_one_in(whole, 16) ? whole_client_step(whole) : whole_node_step(node);
    whole_look_at_owners(whole);
    if (any) {
        whole->idle = 0;
        whole->jump_us = JUMP_US_FIRST;
        clock_sim_advance(&whole->clock, whole_below(whole, STEP_US));
    } else if (++whole->idle >= IDLE_STEPS * whole->draw.nodes) {
        pass_time(whole);
    }
    if (++whole->steps > STEPS_MAX)
        whole_broke(whole, "it goes on and on");
}

/* ---- the beginning --------------------------------------------------------------------------- */

/* A server that lags tells that there is nothing yet: then it is tried again. */
static void on_founded(void *user, s4_status status, const struct diag *why)
{
    struct whole *whole = user;
    whole->founded = status == S4_OK || status == S4_EXISTS;
    whole->founding = false;
}

static void operator_session(void *user, enum coord_state state)
{
}

static void operator_changed(void *user, const char *path, enum coord_change change)
{
}

static const struct coord_upcalls operator_upcalls = { operator_session, operator_changed };

static void found_cluster(struct whole *whole)
{
    struct found found = {
        .name = "t", .spec = { 42, whole->draw.slots }, .done = on_founded, .user = whole
    };
    ck_assert_int_eq(coord_sim_create(whole->service, &whole->operator_coord), S4_OK);
    ck_assert_int_eq(coord_attach(whole->operator_coord, &operator_upcalls, whole, NULL), S4_OK);
    found.coord = whole->operator_coord;
    while (!whole->founded) {
        clock_sim_advance(&whole->clock, 1000);
        coord_world_step(whole->service);
        coord_step(whole->operator_coord, COORD_CALLS_MAX);
        if (whole->founding || whole->founded ||
            coord_state(whole->operator_coord) != COORD_CONNECTED)
            continue;
        ck_assert_int_eq(found_start(&found, NULL), S4_OK);
        whole->founding = true;
    }
    coord_destroy(whole->operator_coord);
    whole->operator_coord = NULL;
}

static void on_deployed(void *user, s4_status status, const struct diag *why)
{
    struct whole *whole = user;
    whole->deployed_us = whole->clock.now_us;
    if (status != S4_OK && status != S4_EXISTS && status != S4_UNAVAILABLE)
        whole_broke(whole, "the app is not deployed: %s", s4_status_text(status));
}

/* The node that is asked must live: the first one, which begins at once. */
static void deploy(struct whole *whole)
{
    struct entry_wanted wanted = { .app = "walks", .hash = "00ff", .version = "1", .id = 77 };
    struct cluster_reply reply = { on_deployed, whole };
    struct cluster *cluster = membership_cluster(whole->nodes[0].membership);
    while (cluster_index(cluster) == MAP_NOBODY && !whole->broken[0])
        whole_step(whole);
    ck_assert_int_eq(cluster_deploy(cluster, &wanted, reply), S4_OK);
    while (!whole->deployed_us && !whole->broken[0])
        whole_step(whole);
}

static void draw_rates(struct whole *whole)
{
    uint32_t rates[SIM_FAULTS] = { 0 };
    for (int fault = SIM_NO_FAULT + 1; whole_has(whole, WHOLE_NET) && fault < SIM_FAULTS; fault++)
        rates[fault] = (uint32_t)whole_below(whole, fault >= SIM_HOLE ? 1000 : 10000);
    sim_net_rates(whole->net, rates);
    for (enum coord_fault fault = 0; whole_has(whole, WHOLE_SERVICE) && fault < COORD_FAULTS;
         fault++)
        coord_world_set_rate(whole->service, fault, 6 + (uint32_t)whole_below(whole, 60));
}

static void draw_all(struct whole *whole, const struct whole_draw *most)
{
    static const size_t blocks[] = { 1 * KIB, 4 * KIB, 64 * KIB };
    struct whole_draw *draw = &whole->draw;
    uint32_t rough = whole_one_in(whole, 2) ? UINT32_MAX : (1u << WHOLE_CRASH) - 1;
    *draw = (struct whole_draw){
        .nodes = 2 + (uint32_t)whole_below(whole, WHOLE_NODES - 1),
        .slots = whole_one_in(whole, 2) ? 8 : WHOLE_SLOTS_MAX,
        .workers = 1 + (uint32_t)whole_below(whole, 2),
        .window = 1 + (uint32_t)whole_below(whole, 16),
        .block_size = blocks[whole_below(whole, 3)],
        .faults = (uint32_t)rng_next(&whole->rng) & rough & ((1u << WHOLE_FAULTS) - 1),
        .batches = 4 + (uint32_t)whole_below(whole, 40),
        .producers = 1 + (uint32_t)whole_below(whole, WALKS_PRODUCERS),
        .faults_us = 3000000 + whole_below(whole, 8000000),
    };
    draw->faults &= most->faults;
    draw->nodes = draw->nodes < most->nodes ? draw->nodes : most->nodes;
    draw->batches = draw->batches < most->batches ? draw->batches : most->batches;
    draw->producers = draw->producers < most->producers ? draw->producers : most->producers;
    draw->faults_us = draw->faults_us < most->faults_us ? draw->faults_us : most->faults_us;
}

static struct whole *the_whole; /* of the app's instances */

static void walks_broke(const char *text)
{
    whole_broke(the_whole, "%s", text);
}

static void whole_open(struct whole *whole, uint64_t seed, const struct whole_draw *most)
{
    memset(whole, 0, sizeof *whole);
#ifdef PLANTED_BUGS
    const char *planted = getenv("S4_PLANTED");
    planted_bug = planted ? (int)strtol(planted, NULL, 10) : 0;
#endif
    whole->seed = seed;
    whole->loud = getenv("S4_LOUD") != NULL;
    whole->jump_us = JUMP_US_FIRST;
    rng_init(&whole->rng, seed);
    draw_all(whole, most);
    walks_draw(&whole->rng);
    walks.broke = walks_broke;
    the_whole = whole;
    clock_sim_init(&whole->clock, RIG_START_US);
    uint64_t lag_us = whole_one_in(whole, 3) ? LAG_US_LONG : LAG_US;
    struct coord_sim_options service = { .clock = &whole->clock.clock,
                                         .seed = rng_next(&whole->rng),
                                         .session_us = WHOLE_SESSION_US,
                                         .delay_us_max = 2000,
                                         .lag_us_max = whole_below(whole, lag_us) };
    struct sim_net_options net = { .clock = &whole->clock.clock,
                                   .seed = rng_next(&whole->rng),
                                   .delay_max_us = (uint32_t)whole_below(whole, 5000) };
    ck_assert_int_eq(coord_world_create(&service, &whole->service), S4_OK);
    ck_assert_int_eq(sim_net_create(&net, &whole->net), S4_OK);
    found_cluster(whole);
    whole_clients_start(whole);
    for (uint32_t i = 0; i < whole->draw.nodes; i++) {
        struct whole_node *node = &whole->nodes[i];
        bool late = i > 0 && whole_has(whole, WHOLE_JOIN) && whole_one_in(whole, 2);
        *node = (struct whole_node){ .whole = whole, .index = i };
        snprintf(node->name, sizeof node->name, "%c", (char)('a' + (int)i));
        node->start_us = whole->clock.now_us + whole_below(whole, late ? 6000000 : 100000);
        whole->joins += late;
    }
    whole_node_start(&whole->nodes[0]);
    deploy(whole);
}

/* ---- a life ---------------------------------------------------------------------------------- */

static void live_with_faults(struct whole *whole)
{
    uint64_t end = whole->clock.now_us + whole->draw.faults_us;
    draw_rates(whole);
    whole_clients_go_on(whole, whole->draw.batches);
    while (whole->clock.now_us < end && !whole->broken[0]) {
        whole_step(whole);
        if (whole->idle == 0)
            whole_befall(whole);
    }
}

/* Until all is at rest, and has been for a while. */
static void settle(struct whole *whole)
{
    uint64_t end = whole->clock.now_us + SETTLE_US, looked = 0;
    while (!whole->broken[0]) {
        whole_step(whole);
        uint64_t now = whole->clock.now_us;
        if (now - looked < CALM_US / 4)
            continue;
        looked = now;
        const char *what = whole_unsettled(whole);
        if (what)
            whole->busy_us = now;
        if (!what && now - whole->busy_us > CALM_US)
            return;
        if (now > end)
            whole_broke(whole, "it does not settle: %s", what ? what : "engines work still");
    }
}

void whole_live(struct whole *whole, uint64_t seed, const struct whole_draw *most)
{
    struct walks_totals before = { 0 };
    whole_open(whole, seed, most);
    if (!whole->broken[0])
        live_with_faults(whole);
    whole_heal(whole);
    settle(whole);
    if (!whole->broken[0] && whole->deaths > 0) {
        whole_totals(whole, &before);
        whole->expected = (struct walks_totals){ 0 };
        whole_clients_go_on(whole, BATCHES_AGAIN);
        settle(whole);
    }
    if (!whole->broken[0])
        whole_check_end(whole, &before);
    whole->trace = hash_mix(whole->trace, coord_world_hash(whole->service));
    whole->trace = hash_mix(whole->trace, sim_net_messages(whole->net));
}

void whole_close(struct whole *whole)
{
    for (uint32_t i = 0; i < whole->draw.nodes; i++)
        if (whole->nodes[i].up)
            whole_node_stop(&whole->nodes[i], false);
    sim_net_destroy(whole->net);
    coord_world_destroy(whole->service);
    for (uint32_t i = 0; i < whole->draw.nodes && !whole->broken[0]; i++)
        if (whole->nodes[i].blocks && block_pool_bytes(whole->nodes[i].blocks) > 0)
            whole_broke(whole, "node %s left blocks", whole->nodes[i].name);
}
