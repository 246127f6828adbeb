/* The simulated service: it decides on writes, its servers follow with a lag, and it counts the
 * silence of sessions.
 *
 * A server takes a connection's requests one after the other. Writes, FRESH reads and pings go to
 * the world, which decides at once and in one place; the server answers when it has applied all
 * that was decided then. Other reads see what the server has applied so far.
 */
#include "router/coord/sim_world.h"
#include "runtime/base/hash.h"
#include "runtime/base/mem.h"

/* ---- sessions -------------------------------------------------------------------------------- */

static void add_expiry(struct coord_world *world, struct sim_session *session)
{
    sim_event_add(world,
                  (struct sim_event){ .due_us = session->heard_us + world->options.session_us,
                                      .kind = SIM_EXPIRE,
                                      .session = session });
}

struct sim_session *sim_session_start(struct coord_world *world)
{
    struct sim_session *session = mem_zalloc(sizeof *session);
    CHECK(session);
    session->id = ++world->n_sessions;
    session->heard_us = sim_now_us(world);
    session->next = world->sessions;
    world->sessions = session;
    add_expiry(world, session);
    return session;
}

void sim_session_due(struct coord_world *world, struct sim_session *session)
{
    if (session->ended)
        return;
    bool silent = sim_now_us(world) >= session->heard_us + world->options.session_us;
    if (world->away)
        session->heard_us = sim_now_us(world);
    else if (silent)
        return sim_session_end(world, session);
    add_expiry(world, session);
}

/* Hands a decided write to every server, in order. */
static void spread(struct coord_world *world, struct sim_txn *txn)
{
    uint64_t now_us = sim_now_us(world);
    for (size_t i = 0; i < world->options.servers; i++) {
        struct sim_server *server = &world->servers[i];
        uint64_t due_us = now_us + sim_draw_us(world, world->options.lag_us_max);
        server->due_us = due_us > server->due_us ? due_us : server->due_us;
        sim_event_add(world,
                      (struct sim_event){
                          .due_us = server->due_us, .kind = SIM_APPLY, .server = i, .txn = txn });
    }
}

void sim_session_end(struct coord_world *world, struct sim_session *session)
{
    if (session->ended)
        return;
    session->ended = true;
    struct sim_txn *txn = mem_zalloc(sizeof *txn);
    CHECK(txn);
    txn->holds = 1;
    txn->number = ++world->numbers;
    txn->session = session->id;
    coord_tree_end_session(&world->tree, txn->number, session->id);
    spread(world, txn);
    sim_txn_release(txn);
    sim_note(world, SIM_EXPIRE, session->id, world->numbers);
    for (struct sim_client *client = world->clients; client; client = client->next) {
        if (client->conn && client->conn->session == session)
            sim_event_add(world, (struct sim_event){ .due_us = sim_now_us(world),
                                                     .kind = SIM_CUT,
                                                     .conn = client->conn });
    }
}

/* ---- requests -------------------------------------------------------------------------------- */

static void serve(struct coord_world *world, struct sim_conn *conn)
{
    struct sim_request *request = conn->head;
    if (!request)
        return;
    bool asks =
        request->kind == SIM_WRITE || request->kind == SIM_PING || (request->flags & COORD_FRESH);
    uint64_t delay_us = asks ? 1 + sim_draw_us(world, world->options.delay_us_max) : 0;
    conn->head = request->next;
    if (!conn->head)
        conn->tail = &conn->head;
    sim_event_add(world, (struct sim_event){ .due_us = sim_now_us(world) + delay_us,
                                             .kind = asks ? SIM_DECIDE : SIM_SERVED,
                                             .conn = conn,
                                             .request = request });
}

void sim_service_arrive(struct coord_world *world, struct sim_conn *conn,
                        struct sim_request *request)
{
    bool open = conn->client != NULL;
    if (!open && conn->late && !request->delayed) {
        request->delayed = true;
        sim_event_add(world,
                      (struct sim_event){ .due_us = sim_now_us(world) +
                                                    sim_draw_us(world, world->options.session_us),
                                          .kind = SIM_ARRIVE,
                                          .conn = conn,
                                          .request = request });
        return;
    }
    if (conn->session->ended || (!open && !conn->late)) {
        sim_request_destroy(request);
        return;
    }
    if (open)
        conn->session->heard_us = sim_now_us(world);
    request->next = NULL;
    *conn->tail = request;
    conn->tail = &request->next;
    if (!conn->busy) {
        conn->busy = true;
        serve(world, conn);
    }
}

static void decide_write(struct coord_world *world, struct sim_session *session,
                         struct sim_request *request)
{
    struct sim_txn *txn = request->txn;
    request->status = coord_tree_write(&world->tree, world->numbers + 1, session->id, txn->ops,
                                       txn->n, &request->failed_op, request->path);
    sim_note(world, SIM_DECIDE, session->id,
             hash_mix(hash_bytes(request->path, strlen(request->path)), (uint64_t)request->status));
    if (request->status != S4_OK)
        return;
    txn->number = ++world->numbers;
    txn->session = session->id;
    spread(world, txn);
}

void sim_service_decide(struct coord_world *world, struct sim_conn *conn,
                        struct sim_request *request)
{
    if (world->away || conn->session->ended) {
        sim_request_destroy(request);
        conn->busy = false;
        return;
    }
    if (request->kind == SIM_WRITE)
        decide_write(world, conn->session, request);
    uint64_t due_us = sim_now_us(world) + 1 + sim_draw_us(world, world->options.delay_us_max);
    uint64_t applied_us = world->servers[conn->server].due_us;
    sim_event_add(world, (struct sim_event){ .due_us = due_us > applied_us ? due_us : applied_us,
                                             .kind = SIM_SERVED,
                                             .conn = conn,
                                             .request = request });
}

static void read_entry(const struct coord_tree *tree, const struct sim_request *request,
                       const struct sim_session *session)
{
    struct coord_item *item = request->item;
    const struct coord_entry *entry = coord_tree_find(tree, request->path);
    item->answer.status = entry ? S4_OK : S4_NOT_FOUND;
    if (!entry)
        return;
    if (request->kind == SIM_GET) {
        item->answer.stat = (struct coord_stat){ .version = entry->version,
                                                 .created = entry->created,
                                                 .ephemeral = entry->session != 0,
                                                 .mine = entry->session == session->id };
        coord_item_set_data(item, entry->data, entry->size);
        return;
    }
    const char *names[COORD_CHILDREN_MAX + 1];
    coord_item_set_names(item, names,
                         coord_tree_children(tree, request->path, names, ARRAY_LEN(names)));
}

static struct sim_watch *same_watch(const struct sim_client *client, const struct sim_watch *watch)
{
    struct sim_watch *other = client->watches;
    while (other && (other->item->change != watch->item->change ||
                     strcmp(other->item->path, watch->item->path) != 0))
        other = other->next;
    return other;
}

static void set_watch(struct coord_world *world, struct sim_conn *conn, struct sim_request *request)
{
    struct sim_client *client = conn->client;
    struct sim_watch *watch = request->watch;
    const struct coord_tree *tree = &world->servers[conn->server].tree;
    if (same_watch(client, watch) ||
        (request->kind == SIM_CHILDREN && request->item->answer.status == S4_NOT_FOUND))
        return;
    watch->number = tree->applied;
    watch->existed = coord_tree_find(tree, request->path) != NULL;
    watch->next = client->watches;
    client->watches = watch;
    client->n_watches++;
    request->watch = NULL;
    if (sim_draw_fault(world, COORD_SPURIOUS))
        sim_watch_fire(world, conn, watch);
}

/* Served, for its client, which is there to be answered. */
static void fill_answer(struct coord_world *world, struct sim_conn *conn,
                        struct sim_request *request)
{
    struct coord_item *item = request->item;
    if (request->kind == SIM_WRITE) {
        item->answer.status = request->status;
        if (request->status != S4_OK)
            item->answer.failed_op = request->failed_op;
        else if (request->txn->n == 1)
            coord_item_set_path(item, request->path);
    } else if (request->kind != SIM_PING) {
        read_entry(&world->servers[conn->server].tree, request, conn->session);
    }
}

static uint64_t answer_due_us(struct coord_world *world, struct sim_conn *conn)
{
    uint64_t due_us = sim_now_us(world) + 1 + sim_draw_us(world, world->options.delay_us_max);
    conn->from_due_us = due_us > conn->from_due_us ? due_us : conn->from_due_us;
    return conn->from_due_us;
}

void sim_service_served(struct coord_world *world, struct sim_conn *conn,
                        struct sim_request *request)
{
    if (conn->client) {
        fill_answer(world, conn, request);
        sim_event_add(world, (struct sim_event){ .due_us = answer_due_us(world, conn),
                                                 .kind = SIM_ANSWER,
                                                 .conn = conn,
                                                 .request = request });
        if (request->watch)
            set_watch(world, conn, request);
    } else {
        sim_request_destroy(request);
    }
    conn->busy = conn->head != NULL;
    serve(world, conn);
}

/* ---- servers --------------------------------------------------------------------------------- */

bool sim_watch_stale(const struct coord_tree *tree, const struct sim_watch *watch)
{
    const struct coord_entry *entry = coord_tree_find(tree, watch->item->path);
    if (!entry)
        return watch->existed;
    if (watch->item->change == COORD_CHANGED_CHILDREN)
        return entry->children_changed > watch->number;
    return !watch->existed || entry->changed > watch->number;
}

void sim_watch_fire(struct coord_world *world, struct sim_conn *conn, struct sim_watch *watch)
{
    watch->fired = true;
    sim_event_add(world, (struct sim_event){ .due_us = answer_due_us(world, conn),
                                             .kind = SIM_CHANGED,
                                             .conn = conn,
                                             .watch = watch });
}

void sim_service_apply(struct coord_world *world, size_t server, const struct sim_txn *txn)
{
    struct coord_tree *tree = &world->servers[server].tree;
    size_t failed_op;
    char made[COORD_PATH_MAX + 1];
    if (txn->n == 0)
        coord_tree_end_session(tree, txn->number, txn->session);
    else
        CHECK(coord_tree_write(tree, txn->number, txn->session, txn->ops, txn->n, &failed_op,
                               made) == S4_OK);
    for (struct sim_client *client = world->clients; client; client = client->next) {
        if (!client->conn || client->conn->server != server)
            continue;
        for (struct sim_watch *watch = client->watches; watch; watch = watch->next) {
            if (!watch->fired && sim_watch_stale(tree, watch))
                sim_watch_fire(world, client->conn, watch);
        }
    }
}
