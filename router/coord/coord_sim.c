/* A client of the simulated service: its calls, its connection, what it hears.
 *
 * It pings six times in a session's life, gives a connection up when it heard nothing for two
 * thirds of that life, and then tries again for as long as it is not told that its session is over.
 * What was under way on a connection that is lost is answered at once: reads are not done, writes
 * are in doubt.
 */
#include "router/coord/coord_sim.h"

#include "router/coord/sim_world.h"
#include "runtime/base/hash.h"
#include "runtime/base/mem.h"

#define PINGS_OF_A_SESSION  6
#define SILENCE_OF(session) ((session)*2 / 3)

static struct sim_client *client_of(struct coord *coord)
{
    return CONTAINER_OF(coord, struct sim_client, coord);
}

static void push_state(struct sim_client *client, enum coord_state state)
{
    sim_note(client->world, 100, client->number, state);
    coord_queue_push_state(&client->queue, state);
}

static void add_event(struct sim_client *client, enum sim_event_kind kind, uint64_t in_us)
{
    sim_event_add(client->world, (struct sim_event){ .due_us = sim_now_us(client->world) + in_us,
                                                     .kind = kind,
                                                     .client = client });
}

static void proven(struct sim_client *client, uint64_t sent_us)
{
    uint64_t until_us = sent_us + client->coord.session_us;
    if (until_us > client->proof_us)
        client->proof_us = until_us;
}

/* ---- sending --------------------------------------------------------------------------------- */

static void send_request(struct sim_client *client, struct sim_request *request)
{
    struct coord_world *world = client->world;
    struct sim_conn *conn = client->conn;
    request->sent_us = sim_now_us(world);
    if (client->cut_to || conn->broken) {
        conn->broken = true;
        sim_request_destroy(request);
        return;
    }
    uint64_t due_us = request->sent_us + 1 + sim_draw_us(world, world->options.delay_us_max);
    conn->to_due_us = due_us > conn->to_due_us ? due_us : conn->to_due_us;
    sim_event_add(world, (struct sim_event){ .due_us = conn->to_due_us,
                                             .kind = SIM_ARRIVE,
                                             .conn = conn,
                                             .request = request });
    if (request->kind != SIM_PING && sim_draw_fault(world, COORD_CUT)) {
        uint64_t in_us = sim_draw_us(world, 4 * world->options.delay_us_max);
        sim_event_add(world, (struct sim_event){ .due_us = request->sent_us + in_us,
                                                 .kind = SIM_CUT,
                                                 .conn = conn });
    }
}

/* ---- the connection -------------------------------------------------------------------------- */

void sim_client_lose(struct sim_client *client, const char *why)
{
    struct sim_conn *conn = client->conn;
    conn->client = NULL;
    conn->late = sim_draw_fault(client->world, COORD_LATE);
    client->conn = NULL;
    sim_conn_release(conn);
    for (struct coord_item *item; (item = coord_queue_pop(&client->pending));) {
        coord_item_lose(item);
        coord_queue_push(&client->queue, item);
    }
    diag_write(&client->coord.why, S4_UNAVAILABLE, "simulated: %s", why);
    push_state(client, COORD_SUSPENDED);
    add_event(client, SIM_CONNECT, 1 + sim_draw_us(client->world, client->coord.session_us / 20));
}

static void expire(struct sim_client *client)
{
    client->over = true;
    client->proof_us = 0;
    diag_write(&client->coord.why, S4_CANCELLED, "simulated: the session expired");
    push_state(client, COORD_EXPIRED);
}

/* What happened to the watches while nobody was connected. */
static void set_watches_again(struct sim_client *client)
{
    struct coord_world *world = client->world;
    const struct coord_tree *tree = &world->servers[client->conn->server].tree;
    for (struct sim_watch **at = &client->watches; *at;) {
        struct sim_watch *watch = *at;
        watch->fired = false;
        if (sim_draw_fault(world, COORD_WATCH_LOST)) {
            *at = watch->next;
            client->n_watches--;
            coord_item_destroy(watch->item);
            mem_free(watch);
            continue;
        }
        if (sim_watch_stale(tree, watch))
            sim_watch_fire(world, client->conn, watch);
        at = &watch->next;
    }
}

static void connected(struct sim_client *client, size_t server)
{
    struct coord_world *world = client->world;
    struct sim_conn *conn = mem_zalloc(sizeof *conn);
    CHECK(conn);
    if (!client->session)
        client->session = sim_session_start(world);
    *conn = (struct sim_conn){
        .client = client, .session = client->session, .server = server, .holds = 1
    };
    conn->tail = &conn->head;
    conn->session->heard_us = client->heard_us = sim_now_us(world);
    client->conn = conn;
    proven(client, client->heard_us);
    push_state(client, COORD_CONNECTED);
    set_watches_again(client);
}

void sim_client_connect(struct sim_client *client)
{
    struct coord_world *world = client->world;
    size_t server = rng_below(&world->rng, world->options.servers);
    if (client->stopped)
        return; /* it tries when it goes on */
    bool reached = !world->away && !client->cut_to && !client->cut_from;
    if (reached && client->session && client->session->ended)
        expire(client);
    else if (reached && world->servers[server].tree.applied >= client->seen)
        connected(client, server);
    else
        add_event(client, SIM_CONNECT, 1 + sim_draw_us(world, client->coord.session_us / 20));
}

void sim_client_tick(struct sim_client *client)
{
    if (client->stopped || client->over)
        return;
    uint64_t session_us = client->coord.session_us;
    uint64_t silent_us = sim_now_us(client->world) - client->heard_us;
    if (client->conn && silent_us > SILENCE_OF(session_us))
        sim_client_lose(client, "nothing was heard");
    if (client->conn) {
        struct sim_request *ping = mem_zalloc(sizeof *ping);
        CHECK(ping);
        ping->kind = SIM_PING;
        send_request(client, ping);
    }
    add_event(client, SIM_TICK, session_us / PINGS_OF_A_SESSION);
}

/* ---- hearing --------------------------------------------------------------------------------- */

bool sim_client_hears(struct sim_client *client, struct sim_conn *conn)
{
    if (client->cut_from || client->stopped)
        conn->broken = true;
    return !conn->broken;
}

void sim_client_answer(struct sim_client *client, struct sim_conn *conn,
                       struct sim_request *request)
{
    client->heard_us = sim_now_us(client->world);
    proven(client, request->sent_us);
    uint64_t applied = client->world->servers[conn->server].tree.applied;
    client->seen = applied > client->seen ? applied : client->seen;
    if (request->kind == SIM_PING)
        return;
    struct coord_item *item = coord_queue_pop(&client->pending);
    CHECK(item == request->item);
    sim_note(client->world, SIM_ANSWER, client->number, (uint64_t)item->answer.status);
    coord_queue_push(&client->queue, item);
}

static void drop_watch(struct sim_client *client, struct sim_watch *watch)
{
    struct sim_watch **at = &client->watches;
    while (*at != watch)
        at = &(*at)->next;
    *at = watch->next;
    client->n_watches--;
    mem_free(watch);
}

void sim_client_changed(struct sim_client *client, struct sim_watch *watch)
{
    const char *path = watch->item->path;
    client->heard_us = sim_now_us(client->world);
    sim_note(client->world, SIM_CHANGED, client->number, hash_bytes(path, strlen(path)));
    coord_queue_push(&client->queue, watch->item);
    drop_watch(client, watch);
}

/* ---- calls ----------------------------------------------------------------------------------- */

static struct sim_txn *copy_ops(const struct coord_op *ops, size_t n)
{
    size_t bytes = 0;
    for (size_t i = 0; i < n; i++)
        bytes += strlen(ops[i].path) + 1 + ops[i].size;
    struct sim_txn *txn = mem_alloc(sizeof *txn + bytes);
    if (!txn)
        return NULL;
    *txn = (struct sim_txn){ .n = n, .holds = 1 };
    char *at = (char *)(txn + 1);
    for (size_t i = 0; i < n; i++) {
        size_t path_size = strlen(ops[i].path) + 1;
        txn->ops[i] = ops[i];
        txn->ops[i].path = memcpy(at, ops[i].path, path_size);
        at += path_size;
        if (ops[i].size > 0)
            txn->ops[i].data = memcpy(at, ops[i].data, ops[i].size);
        at += ops[i].size;
    }
    return txn;
}

static bool add_watch(struct sim_request *request)
{
    request->watch = mem_zalloc(sizeof *request->watch);
    if (!request->watch)
        return false;
    request->watch->item = coord_item_create(COORD_ITEM_CHANGED, request->path);
    if (!request->watch->item)
        return false;
    request->watch->item->change =
        request->kind == SIM_GET ? COORD_CHANGED_ENTRY : COORD_CHANGED_CHILDREN;
    return true;
}

/* Takes the request over, or destroys it. */
static s4_status start_call(struct sim_client *client, struct sim_request *request,
                            struct coord_call call)
{
    struct coord_item *item = coord_item_create(COORD_ITEM_ANSWER, request->path);
    if (!item) {
        sim_request_destroy(request);
        return S4_NO_MEMORY;
    }
    item->call = call;
    if (!client->conn) {
        sim_request_destroy(request);
        coord_item_lose(item);
        coord_queue_push(&client->queue, item);
        return S4_OK;
    }
    if (request->kind == SIM_WRITE)
        item->lost = S4_IN_DOUBT;
    request->item = item;
    coord_queue_push(&client->pending, item);
    send_request(client, request);
    return S4_OK;
}

static struct sim_request *make_request(enum sim_request_kind kind, unsigned flags,
                                        const char *path)
{
    struct sim_request *request = mem_zalloc(sizeof *request);
    if (!request)
        return NULL;
    request->kind = kind;
    request->flags = flags;
    memcpy(request->path, path, strlen(path) + 1);
    return request;
}

static s4_status sim_read(struct coord *coord, enum sim_request_kind kind, const char *path,
                          unsigned flags, struct coord_call call)
{
    struct sim_client *client = client_of(coord);
    if ((flags & COORD_WATCH) && client->n_watches + coord->calls >= COORD_WATCHES_MAX)
        return S4_FULL;
    struct sim_request *request = make_request(kind, flags, path);
    if (request && (flags & COORD_WATCH) && !add_watch(request)) {
        sim_request_destroy(request);
        request = NULL;
    }
    return request ? start_call(client, request, call) : S4_NO_MEMORY;
}

static s4_status sim_get(struct coord *coord, const char *path, unsigned flags,
                         struct coord_call call)
{
    return sim_read(coord, SIM_GET, path, flags, call);
}

static s4_status sim_children(struct coord *coord, const char *path, unsigned flags,
                              struct coord_call call)
{
    return sim_read(coord, SIM_CHILDREN, path, flags, call);
}

static s4_status sim_write(struct coord *coord, const struct coord_op *ops, size_t n,
                           struct coord_call call)
{
    struct sim_request *request = make_request(SIM_WRITE, 0, ops[0].path);
    if (!request)
        return S4_NO_MEMORY;
    request->txn = copy_ops(ops, n);
    if (!request->txn) {
        sim_request_destroy(request);
        return S4_NO_MEMORY;
    }
    return start_call(client_of(coord), request, call);
}

/* ---- stepping -------------------------------------------------------------------------------- */

static size_t sim_step(struct coord *coord, size_t max)
{
    struct sim_client *client = client_of(coord);
    CHECK(!client->stopped);
    coord_world_step(client->world);
    size_t done = 0;
    coord->sure_until_us = client->proof_us;
    for (struct coord_item *item; done < max && (item = coord_queue_pop(&client->queue)); done++)
        coord_tell(coord, item);
    return done;
}

static uint64_t sim_timeout_us(struct coord *coord)
{
    struct sim_client *client = client_of(coord);
    if (client->queue.head)
        return 0;
    uint64_t due_us = coord_world_due_us(client->world);
    uint64_t now_us = sim_now_us(client->world);
    return due_us == UINT64_MAX ? WAKER_FOREVER : due_us > now_us ? due_us - now_us : 0;
}

/* ---- a client's life ------------------------------------------------------------------------- */

void coord_sim_crash(struct coord *coord)
{
    struct sim_client *client = client_of(coord);
    struct coord_world *world = client->world;
    struct sim_client **at = &world->clients;
    while (*at != client)
        at = &(*at)->next;
    *at = client->next;
    if (client->conn)
        client->conn->client = NULL;
    sim_conn_release(client->conn);
    sim_event_forget_client(world, client);
    while (client->watches) {
        coord_item_destroy(client->watches->item);
        drop_watch(client, client->watches);
    }
    coord_queue_fini(&client->pending);
    coord_queue_fini(&client->queue);
    mem_free(client);
}

static void sim_destroy(struct coord *coord)
{
    struct sim_client *client = client_of(coord);
    bool reached = client->conn && !client->cut_to && !client->world->away;
    if (reached)
        sim_session_end(client->world, client->session);
    coord_sim_crash(coord);
}

static const struct coord_ops sim_ops = {
    .get = sim_get,
    .children = sim_children,
    .write = sim_write,
    .step = sim_step,
    .timeout_us = sim_timeout_us,
    .destroy = sim_destroy,
};

s4_status coord_sim_create(struct coord_world *world, struct coord **coord)
{
    struct sim_client *client = mem_zalloc(sizeof *client);
    if (!client)
        return S4_NO_MEMORY;
    client->coord = (struct coord){ .ops = &sim_ops, .session_us = world->options.session_us };
    client->world = world;
    client->number = ++world->n_clients;
    coord_queue_init(&client->queue);
    coord_queue_init(&client->pending);
    client->next = world->clients;
    world->clients = client;
    add_event(client, SIM_CONNECT, sim_draw_us(world, world->options.delay_us_max));
    add_event(client, SIM_TICK, world->options.session_us / PINGS_OF_A_SESSION);
    *coord = &client->coord;
    return S4_OK;
}

/* ---- faults by hand -------------------------------------------------------------------------- */

void coord_sim_cut(struct coord *coord, bool to_service, bool from_service)
{
    struct sim_client *client = client_of(coord);
    bool healed = (client->cut_to && !to_service) || (client->cut_from && !from_service);
    client->cut_to = to_service;
    client->cut_from = from_service;
    if (healed && client->conn && client->conn->broken && !client->stopped)
        sim_client_lose(client, "messages were lost");
}

void coord_sim_stop(struct coord *coord, bool stopped)
{
    struct sim_client *client = client_of(coord);
    if (client->stopped == stopped)
        return;
    client->stopped = stopped;
    sim_event_forget_client(client->world, client);
    if (stopped || client->over)
        return;
    if (!client->conn)
        add_event(client, SIM_CONNECT, 0);
    else if (client->conn->broken)
        sim_client_lose(client, "messages were lost");
    add_event(client, SIM_TICK, 0);
}

void coord_sim_expire(struct coord *coord)
{
    struct sim_client *client = client_of(coord);
    if (client->session)
        sim_session_end(client->world, client->session);
}

bool coord_sim_lives(struct coord *coord)
{
    const struct sim_client *client = client_of(coord);
    return client->session && !client->session->ended;
}
