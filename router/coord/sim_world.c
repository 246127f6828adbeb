/* The simulated world's clockwork: what is on its way, by due time and then in the order in which
 * it was sent, and the outside's knobs.
 *
 * The world cannot do without its own memory and stops the process where there is none; what a
 * client's call needs is allocated in the call, which says S4_NO_MEMORY.
 */
#include "router/coord/sim_world.h"

#include "runtime/base/hash.h"
#include "runtime/base/mem.h"

#define DELAY_US_DEFAULT 1000

uint64_t sim_now_us(const struct coord_world *world)
{
    return world->options.clock->boot_us(world->options.clock);
}

bool sim_draw_fault(struct coord_world *world, enum coord_fault fault)
{
    uint32_t one_in = world->options.one_in[fault];
    bool drawn = one_in > 0 && rng_below(&world->rng, one_in) == 0;
    world->faults[fault] += drawn;
    return drawn;
}

uint64_t sim_draw_us(struct coord_world *world, uint64_t max_us)
{
    return rng_below(&world->rng, max_us + 1);
}

void sim_note(struct coord_world *world, uint64_t what, uint64_t who, uint64_t value)
{
    uint64_t noted[4] = { sim_now_us(world), what, who, value };
    world->hash = hash_mix(world->hash, hash_bytes(noted, sizeof noted));
}

/* ---- what is on its way ---------------------------------------------------------------------- */

void sim_conn_release(struct sim_conn *conn)
{
    if (!conn || --conn->holds > 0)
        return;
    for (struct sim_request *request; (request = conn->head);) {
        conn->head = request->next;
        sim_request_destroy(request);
    }
    mem_free(conn);
}

void sim_txn_release(struct sim_txn *txn)
{
    if (txn && --txn->holds == 0)
        mem_free(txn);
}

void sim_request_destroy(struct sim_request *request)
{
    if (!request)
        return;
    if (request->watch)
        coord_item_destroy(request->watch->item);
    mem_free(request->watch);
    sim_txn_release(request->txn);
    mem_free(request);
}

void sim_event_add(struct coord_world *world, struct sim_event event)
{
    struct sim_event *added = mem_dup(&event, sizeof event);
    CHECK(added);
    if (event.conn)
        event.conn->holds++;
    if (event.txn)
        event.txn->holds++;
    struct sim_event **at = &world->events;
    while (*at && (*at)->due_us <= event.due_us)
        at = &(*at)->next;
    added->next = *at;
    *at = added;
}

static void destroy_event(struct sim_event *event)
{
    sim_request_destroy(event->request);
    sim_txn_release(event->txn);
    sim_conn_release(event->conn);
    mem_free(event);
}

void sim_event_forget_client(struct coord_world *world, const struct sim_client *client)
{
    for (struct sim_event **at = &world->events; *at;) {
        struct sim_event *event = *at;
        if (event->client != client) {
            at = &event->next;
            continue;
        }
        *at = event->next;
        destroy_event(event);
    }
}

static void happen(struct coord_world *world, struct sim_event *event)
{
    struct sim_conn *conn = event->conn;
    struct sim_request *request = event->request;
    event->request = NULL; /* whoever is called owns it */
    switch (event->kind) {
    case SIM_ARRIVE:
        sim_service_arrive(world, conn, request);
        break;
    case SIM_DECIDE:
        sim_service_decide(world, conn, request);
        break;
    case SIM_SERVED:
        sim_service_served(world, conn, request);
        break;
    case SIM_ANSWER:
        if (conn->client && sim_client_hears(conn->client, conn))
            sim_client_answer(conn->client, conn, request);
        sim_request_destroy(request);
        break;
    case SIM_CHANGED:
        if (conn->client && sim_client_hears(conn->client, conn))
            sim_client_changed(conn->client, event->watch);
        break;
    case SIM_CUT:
        if (conn->client && !conn->client->stopped)
            sim_client_lose(conn->client, "the connection was cut");
        else
            conn->broken = true;
        break;
    case SIM_APPLY:
        sim_service_apply(world, event->server, event->txn);
        break;
    case SIM_EXPIRE:
        sim_session_due(world, event->session);
        break;
    case SIM_CONNECT:
        sim_client_connect(event->client);
        break;
    case SIM_TICK:
        sim_client_tick(event->client);
        break;
    }
}

void coord_world_step(struct coord_world *world)
{
    uint64_t now_us = sim_now_us(world);
    while (world->events && world->events->due_us <= now_us) {
        struct sim_event *event = world->events;
        world->events = event->next;
        happen(world, event);
        destroy_event(event);
    }
}

uint64_t coord_world_due_us(const struct coord_world *world)
{
    return world->events ? world->events->due_us : UINT64_MAX;
}

/* ---- the world ------------------------------------------------------------------------------- */

s4_status coord_world_create(const struct coord_sim_options *options, struct coord_world **world)
{
    struct coord_world *w = mem_zalloc(sizeof *w);
    if (!w)
        return S4_NO_MEMORY;
    w->options = *options;
    if (w->options.servers == 0)
        w->options.servers = COORD_SIM_SERVERS_DEFAULT;
    if (w->options.session_us == 0)
        w->options.session_us = (uint64_t)COORD_SESSION_MS_DEFAULT * 1000;
    if (w->options.delay_us_max == 0)
        w->options.delay_us_max = DELAY_US_DEFAULT;
    CHECK(w->options.servers <= COORD_SIM_SERVERS_MAX);
    rng_init(&w->rng, options->seed);
    s4_status status = coord_tree_init(&w->tree);
    for (size_t i = 0; status == S4_OK && i < w->options.servers; i++)
        status = coord_tree_init(&w->servers[i].tree);
    if (status != S4_OK) {
        coord_world_destroy(w);
        return status;
    }
    *world = w;
    return S4_OK;
}

void coord_world_destroy(struct coord_world *world)
{
    if (!world)
        return;
    CHECK(!world->clients);
    for (struct sim_event *event; (event = world->events);) {
        world->events = event->next;
        destroy_event(event);
    }
    for (struct sim_session *session; (session = world->sessions);) {
        world->sessions = session->next;
        mem_free(session);
    }
    for (size_t i = 0; i < COORD_SIM_SERVERS_MAX; i++)
        coord_tree_fini(&world->servers[i].tree);
    coord_tree_fini(&world->tree);
    mem_free(world);
}

void coord_world_away(struct coord_world *world, bool away)
{
    world->away = away;
    for (struct sim_client *client = world->clients; client; client = client->next) {
        if (away && client->conn)
            sim_event_add(world, (struct sim_event){ .due_us = sim_now_us(world),
                                                     .kind = SIM_CUT,
                                                     .conn = client->conn });
    }
    for (struct sim_session *session = world->sessions; session; session = session->next)
        session->heard_us = sim_now_us(world); /* who decides anew gives every session its time */
}

void coord_world_set_rate(struct coord_world *world, enum coord_fault fault, uint32_t one_in)
{
    world->options.one_in[fault] = one_in;
}

uint64_t coord_world_hash(const struct coord_world *world)
{
    return world->hash;
}

uint64_t coord_world_faults(const struct coord_world *world, enum coord_fault fault)
{
    return world->faults[fault];
}

const void *coord_world_find(const struct coord_world *world, const char *path, size_t *size,
                             struct coord_stat *stat)
{
    const struct coord_entry *entry = coord_tree_find(&world->tree, path);
    if (!entry)
        return NULL;
    *size = entry->size;
    *stat = (struct coord_stat){ .version = entry->version,
                                 .created = entry->created,
                                 .ephemeral = entry->session != 0 };
    return entry->data;
}
