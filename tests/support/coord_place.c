/* Clients of a coordination service that are stepped together, by one waker or one simulated clock.
 */
#include "tests/support/coord_place.h"

#include <check.h>
#include <dirent.h>
#include <stdlib.h>
#include <unistd.h>

#include "router/coord/coord_dir.h"
#include "router/coord/coord_zk.h"
#include "runtime/base/mem.h"

#define LIMIT_US     (20 * 1000000u)
#define SIM_LIMIT_US (600 * 1000000u)

const char *coord_place_hosts;
static uint64_t answers;

/* ---- what clients hear ----------------------------------------------------------------------- */

static void on_session(void *user, enum coord_state state)
{
    struct coord_client *client = user;
    client->state = state;
    client->states++;
}

static void on_changed(void *user, const char *path, enum coord_change change)
{
    struct coord_client *client = user;
    if (client->n_changes < COORD_PLACE_CHANGES) {
        snprintf(client->changes[client->n_changes].path, COORD_PATH_MAX + 1, "%s", path);
        client->changes[client->n_changes].change = change;
    }
    client->n_changes++;
}

static const struct coord_upcalls upcalls = { .session = on_session, .changed = on_changed };

static void on_answer(void *user, const struct coord_answer *answer)
{
    struct coord_told *told = user;
    ck_assert(!told->done);
    told->done = true;
    told->status = answer->status;
    snprintf(told->path, sizeof told->path, "%s", answer->path);
    told->stat = answer->stat;
    told->size = answer->size;
    told->data = mem_zalloc(answer->size + 1);
    if (answer->size > 0)
        memcpy(told->data, answer->data, answer->size);
    told->n_names = answer->n_names;
    size_t at = 0;
    for (size_t i = 0; i < answer->n_names && at < sizeof told->names; i++)
        at += (size_t)snprintf(told->names + at, sizeof told->names - at, "%s ", answer->names[i]);
    told->failed_op = answer->failed_op;
    told->order = answers++;
}

struct coord_call coord_told_call(struct coord_told *told)
{
    *told = (struct coord_told){ 0 };
    return (struct coord_call){ .answered = on_answer, .user = told };
}

void coord_told_fini(struct coord_told *told)
{
    mem_free(told->data);
    *told = (struct coord_told){ 0 };
}

/* ---- places ---------------------------------------------------------------------------------- */

/* What a coord_dir leaves. */
static void remove_dir(const char *path)
{
    DIR *dir = opendir(path);
    ck_assert_ptr_nonnull(dir);
    for (struct dirent *entry; (entry = readdir(dir));)
        if (entry->d_name[0] != '.')
            ck_assert_int_eq(unlinkat(dirfd(dir), entry->d_name, 0), 0);
    closedir(dir);
    ck_assert_int_eq(rmdir(path), 0);
}

static void create(struct coord_place *place, struct coord_client *client)
{
    struct diag diag = { 0 };
    if (place->kind == COORD_PLACE_SIM) {
        ck_assert_int_eq(coord_sim_create(place->world, &client->coord), S4_OK);
        return;
    }
    if (place->kind == COORD_PLACE_ZK) {
        struct coord_zk_options options = { .hosts = coord_place_hosts,
                                            .root = place->dir,
                                            .session_ms = COORD_PLACE_SESSION_MS,
                                            .clock = place->clock };
        ck_assert_msg(coord_zk_create(&options, &client->coord, &diag) == S4_OK, "%s", diag.text);
        return;
    }
    struct coord_dir_options options = { .path = place->dir, .clock = place->clock };
    ck_assert_msg(coord_dir_create(&options, &client->coord, &diag) == S4_OK, "%s", diag.text);
}

/* The first client is at the service's own root, and makes the place's. */
static void make_root(struct coord_place *place)
{
    static unsigned places;
    char path[sizeof place->dir];
    snprintf(path, sizeof path, "/place-%u", places++);
    snprintf(place->dir, sizeof place->dir, "/");
    struct coord_client *client = coord_place_join(place);
    ck_assert_int_eq(coord_place_create(client, path, COORD_PERSISTENT, "", NULL), S4_OK);
    coord_place_leave(client);
    memcpy(place->dir, path, sizeof path);
}

void coord_place_open(struct coord_place *place, enum coord_place_kind kind, uint64_t seed)
{
    *place = (struct coord_place){ .kind = kind, .clock = &clock_real };
    ck_assert_int_eq(waker_init(&place->waker), S4_OK);
    if (kind == COORD_PLACE_DIR) {
        snprintf(place->dir, sizeof place->dir, "/tmp/s4-coord-XXXXXX");
        ck_assert_ptr_nonnull(mkdtemp(place->dir));
        return;
    }
    if (kind == COORD_PLACE_ZK) {
        make_root(place);
        return;
    }
    clock_sim_init(&place->sim, 1000000);
    place->clock = &place->sim.clock;
    struct coord_sim_options options = { .clock = place->clock, .seed = seed };
    ck_assert_int_eq(coord_world_create(&options, &place->world), S4_OK);
}

void coord_place_open_at(struct coord_place *place, const char *root)
{
    *place = (struct coord_place){ .kind = COORD_PLACE_ZK, .clock = &clock_real };
    ck_assert_int_eq(waker_init(&place->waker), S4_OK);
    snprintf(place->dir, sizeof place->dir, "%s", root);
}

void coord_place_close(struct coord_place *place)
{
    for (size_t i = 0; i < COORD_PLACE_CLIENTS; i++)
        coord_place_leave(&place->clients[i]);
    coord_world_destroy(place->world);
    if (place->kind == COORD_PLACE_DIR)
        remove_dir(place->dir);
    waker_fini(&place->waker);
}

struct coord_client *coord_place_start(struct coord_place *place)
{
    struct coord_client *client = place->clients;
    while (client->coord)
        client++;
    ck_assert(client < place->clients + COORD_PLACE_CLIENTS);
    *client = (struct coord_client){ .place = place };
    create(place, client);
    ck_assert_int_eq(coord_attach(client->coord, &upcalls, client, &place->waker), S4_OK);
    return client;
}

struct coord_client *coord_place_join(struct coord_place *place)
{
    struct coord_client *client = coord_place_start(place);
    coord_place_until_state(client, COORD_CONNECTED);
    return client;
}

void coord_place_leave(struct coord_client *client)
{
    coord_destroy(client->coord);
    client->coord = NULL;
}

/* ---- running --------------------------------------------------------------------------------- */

static uint64_t now_us(const struct coord_place *place)
{
    return place->clock->boot_us(place->clock);
}

/* Everybody once; then sleeps, at most until `deadline_us`. */
static void turn(struct coord_place *place, uint64_t deadline_us)
{
    uint64_t timeout_us = WAKER_FOREVER;
    size_t done = 0;
    for (size_t i = 0; i < COORD_PLACE_CLIENTS; i++) {
        struct coord *coord = place->clients[i].coord;
        if (coord)
            done += coord_step(coord, 100);
    }
    for (size_t i = 0; i < COORD_PLACE_CLIENTS; i++) {
        struct coord *coord = place->clients[i].coord;
        uint64_t its_us = coord ? coord_timeout_us(coord) : WAKER_FOREVER;
        timeout_us = its_us < timeout_us ? its_us : timeout_us;
    }
    uint64_t left_us = deadline_us > now_us(place) ? deadline_us - now_us(place) : 0;
    timeout_us = done > 0 ? 0 : timeout_us < left_us ? timeout_us : left_us;
    if (place->kind == COORD_PLACE_SIM)
        clock_sim_advance(&place->sim, timeout_us);
    else if (timeout_us > 0)
        waker_wait(&place->waker, timeout_us);
}

void coord_place_until(struct coord_place *place, bool (*so)(void *user), void *user,
                       const char *what)
{
    uint64_t limit_us = place->kind == COORD_PLACE_SIM ? SIM_LIMIT_US : LIMIT_US;
    uint64_t deadline_us = now_us(place) + limit_us;
    while (!so(user)) {
        ck_assert_msg(now_us(place) < deadline_us, "waited in vain: %s", what);
        turn(place, deadline_us);
    }
}

void coord_place_pass(struct coord_place *place, uint64_t us)
{
    uint64_t deadline_us = now_us(place) + us;
    while (now_us(place) < deadline_us)
        turn(place, deadline_us);
}

struct wanted {
    struct coord_client *client;
    enum coord_state state;
    size_t changes;
};

static bool state_is(void *user)
{
    const struct wanted *wanted = user;
    return wanted->client->state == wanted->state;
}

static bool changes_are(void *user)
{
    const struct wanted *wanted = user;
    return wanted->client->n_changes >= wanted->changes;
}

void coord_place_until_state(struct coord_client *client, enum coord_state state)
{
    struct wanted wanted = { .client = client, .state = state };
    coord_place_until(client->place, state_is, &wanted, coord_state_name(state));
}

void coord_place_until_changes(struct coord_client *client, size_t n)
{
    struct wanted wanted = { .client = client, .changes = n };
    coord_place_until(client->place, changes_are, &wanted, "a change");
}

/* ---- calls, waited for ----------------------------------------------------------------------- */

static bool is_done(void *user)
{
    return ((const struct coord_told *)user)->done;
}

static s4_status wait_for(struct coord_client *client, s4_status status, struct coord_told *own,
                          struct coord_told *told)
{
    if (status == S4_OK) {
        coord_place_until(client->place, is_done, own, "an answer");
        status = own->status;
    }
    if (told)
        *told = *own;
    else
        coord_told_fini(own);
    return status;
}

s4_status coord_place_get(struct coord_client *client, const char *path, unsigned flags,
                          struct coord_told *told)
{
    struct coord_told own;
    s4_status status = coord_get(client->coord, path, flags, coord_told_call(&own));
    return wait_for(client, status, &own, told);
}

s4_status coord_place_children(struct coord_client *client, const char *path, unsigned flags,
                               struct coord_told *told)
{
    struct coord_told own;
    s4_status status = coord_children(client->coord, path, flags, coord_told_call(&own));
    return wait_for(client, status, &own, told);
}

s4_status coord_place_create(struct coord_client *client, const char *path, enum coord_kind kind,
                             const char *text, struct coord_told *told)
{
    struct coord_told own;
    s4_status status =
        coord_create(client->coord, path, kind, text, strlen(text), coord_told_call(&own));
    return wait_for(client, status, &own, told);
}

s4_status coord_place_set(struct coord_client *client, const char *path, const char *text,
                          int64_t version)
{
    struct coord_told own;
    s4_status status =
        coord_set(client->coord, path, text, strlen(text), version, coord_told_call(&own));
    return wait_for(client, status, &own, NULL);
}

s4_status coord_place_delete(struct coord_client *client, const char *path, int64_t version)
{
    struct coord_told own;
    s4_status status = coord_delete(client->coord, path, version, coord_told_call(&own));
    return wait_for(client, status, &own, NULL);
}

s4_status coord_place_multi(struct coord_client *client, const struct coord_op *ops, size_t n,
                            struct coord_told *told)
{
    struct coord_told own;
    s4_status status = coord_multi(client->coord, ops, n, coord_told_call(&own));
    return wait_for(client, status, &own, told);
}
