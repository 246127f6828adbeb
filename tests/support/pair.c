/* Two nodes in one process; see the header. */
#include "tests/support/pair.h"

#include <check.h>
#include <stdatomic.h>

#include "runtime/actor/pool_sim.h"
#include "runtime/net/transport_zmq.h"

#define IDLE_STEPS   200 /* steps without work after which there is none */
#define DELAY_MAX_US 300

static bool is_threaded(const struct pair *pair)
{
    return pair->kind != ENDS_SIM;
}

static struct transport *open_transport(struct pair *pair, int i)
{
    struct diag diag = { 0 };
    struct transport *transport;
    struct block_pool *pool = engine_pool(pair->rigs[i].engine);
    if (pair->sim) {
        ck_assert_int_eq(sim_net_endpoint(pair->sim, pool, &transport), S4_OK);
        return transport;
    }
    struct transport_zmq_options options = { .pool = pool };
    ck_assert_msg(transport_zmq_create(&options, &transport, &diag) == S4_OK, "%s", diag.text);
    return transport;
}

static void open_net(struct pair *pair, int i, uint64_t seed)
{
    static const char *const names[2] = { "north", "south" };
    struct diag diag = { 0 };
    struct net_options options = {
        .transport = open_transport(pair, i),
        .clock = is_threaded(pair) ? &clock_real : &pair->clock.clock,
        .node = names[i],
        .seed = seed + (uint64_t)i,
        .upcalls = &peers_upcalls,
        .user = pair->peers[i],
    };
    ck_assert_msg(net_create(&options, &pair->nets[i], &diag) == S4_OK, "%s", diag.text);
    const char *where = pair->sim                ? names[i]
                        : pair->kind == ENDS_TCP ? "tcp://127.0.0.1:*"
                                                 : "ipc://*";
    net_identify(pair->nets[i], 0, (uint64_t)i + 1);
    ck_assert_msg(net_bind(pair->nets[i], where, &diag) == S4_OK, "%s", diag.text);
}

static void connect_nets(struct pair *pair)
{
    struct diag diag = { 0 };
    struct engine *engines[2] = { pair->rigs[0].engine, pair->rigs[1].engine };
    for (int i = 0; i < 2; i++) {
        uint32_t peer;
        ck_assert_msg(
            net_connect(pair->nets[i], NULL, 0, net_address(pair->nets[!i]), &peer, &diag) == S4_OK,
            "%s", diag.text);
        peers_join(pair->peers[i], engines[i], pair->nets[i], engines);
        peers_route(pair->peers[i], (uint32_t)!i, peer);
    }
}

static void *stepper(void *arg)
{
    struct pair *pair = ((void **)arg)[0];
    int i = (int)(uintptr_t)((void **)arg)[1];
    while (!atomic_load(&pair->stop))
        if (!peers_step(pair->peers[i]))
            net_wait(pair->nets[i], 1000);
    free(arg);
    return NULL;
}

static void start_steppers(struct pair *pair)
{
    for (int i = 0; i < 2; i++) {
        void **arg = malloc(2 * sizeof *arg);
        arg[0] = pair;
        arg[1] = (void *)(uintptr_t)i;
        ck_assert_int_eq(pthread_create(&pair->steppers[i], NULL, stepper, arg), 0);
    }
}

static bool step_all(void *user)
{
    struct pair *pair = user;
    bool any = false;
    for (int i = 0; i < 2; i++) {
        any |= engine_step(pair->rigs[i].engine);
        any |= pool_sim_step(pair->rigs[i].pool);
        any |= peers_step(pair->peers[i]);
    }
    if (!any && pair->sim && sim_net_due_us(pair->sim) != UINT64_MAX) {
        clock_sim_advance(&pair->clock, DELAY_MAX_US);
        return true;
    }
    if (!any)
        clock_sim_advance(&pair->clock, 100);
    return any;
}

void pair_start(struct pair *pair, enum ends_kind kind, const struct rig_options *options)
{
    *pair = (struct pair){ .kind = kind };
    clock_sim_init(&pair->clock, RIG_START_US);
    if (kind == ENDS_SIM || kind == ENDS_INPROC) {
        struct sim_net_options net = {
            .clock = kind == ENDS_SIM ? &pair->clock.clock : &clock_real,
            .seed = options->seed,
            .delay_max_us = kind == ENDS_SIM ? DELAY_MAX_US : 0,
        };
        ck_assert_int_eq(sim_net_create(&net, &pair->sim), S4_OK);
    }
    for (uint32_t i = 0; i < 2; i++) {
        struct rig_options o = *options;
        ck_assert_int_eq(peers_create(2, i, &pair->peers[i]), S4_OK);
        o.remote = peers_remote(pair->peers[i]);
        o.nodes = 2;
        o.node = i;
        o.threads = is_threaded(pair);
        o.clock = is_threaded(pair) ? NULL : &pair->clock.clock;
        rig_start(&pair->rigs[i], &o);
        if (!is_threaded(pair)) {
            pair->rigs[i].step = step_all;
            pair->rigs[i].step_user = pair;
        }
    }
    for (int i = 0; i < 2; i++)
        open_net(pair, i, options->seed);
    connect_nets(pair);
    if (is_threaded(pair))
        start_steppers(pair);
}

void pair_stop(struct pair *pair)
{
    atomic_store(&pair->stop, true);
    for (int i = 0; i < 2; i++) {
        ck_assert_msg(pair->faulty || peers_fault(pair->peers[i]) == NULL, "%s",
                      peers_fault(pair->peers[i]));
        if (is_threaded(pair)) {
            net_wake(pair->nets[i]);
            pthread_join(pair->steppers[i], NULL);
        }
    }
    for (int i = 0; i < 2; i++)
        engine_stop(pair->rigs[i].engine);
    for (int i = 0; i < 2; i++)
        net_destroy(pair->nets[i]);
    for (int i = 0; i < 2; i++) {
        peers_destroy(pair->peers[i]);
        rig_stop(&pair->rigs[i]);
    }
    sim_net_destroy(pair->sim);
}

bool pair_step(struct pair *pair, struct rng *draw)
{
    for (int n = 0; n < IDLE_STEPS; n++) {
        int i = (int)rng_below(draw, 2);
        bool any = false;
        switch (rng_below(draw, 4)) {
        case 0:
            any = pool_sim_step(pair->rigs[i].pool);
            break;
        case 1:
            any = peers_step(pair->peers[i]);
            break;
        default:
            any = engine_step(pair->rigs[i].engine);
            break;
        }
        clock_sim_advance(&pair->clock, rng_below(draw, 20));
        if (any)
            return true;
    }
    return false;
}

void pair_finish(struct pair *pair)
{
    struct engine_drained drained[2];
    do
        for (int i = 0; i < 2; i++)
            ck_assert_int_eq(rig_drain(&pair->rigs[i], true, &drained[i]), S4_OK);
    while (drained[0].rounds + drained[1].rounds > 0);
}
