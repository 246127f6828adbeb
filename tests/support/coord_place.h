/* Coordination services under a test, each with clients that are run until something is so. */
#ifndef TESTS_SUPPORT_COORD_PLACE_H
#define TESTS_SUPPORT_COORD_PLACE_H

#include "router/coord/coord_sim.h"

#define COORD_PLACE_CLIENTS 8
#define COORD_PLACE_CHANGES 64

enum coord_place_kind { COORD_PLACE_SIM, COORD_PLACE_DIR, COORD_PLACE_ZK };

/* ZK: where the servers are, set before a place is opened. Each place has a root of its own. */
extern const char *coord_place_hosts;
#define COORD_PLACE_SESSION_MS 2000 /* of ZK */

struct coord_client {
    struct coord_place *place;
    struct coord *coord; /* NULL: none */
    enum coord_state state;
    size_t states; /* told so far */
    size_t n_changes;
    struct {
        char path[COORD_PATH_MAX + 1];
        enum coord_change change;
    } changes[COORD_PLACE_CHANGES];
};

struct coord_place {
    enum coord_place_kind kind;
    const struct clock *clock;
    struct clock_sim sim;
    struct coord_world *world; /* SIM */
    char dir[64];              /* DIR; ZK: its root */
    struct waker waker;
    struct coord_client clients[COORD_PLACE_CLIENTS];
};

/* What a call was answered. */
struct coord_told {
    bool done;
    s4_status status;
    char path[COORD_PATH_MAX + 1];
    struct coord_stat stat;
    char *data; /* with a NUL behind */
    size_t size;
    char names[4096]; /* each with a space behind; cut */
    size_t n_names;
    size_t failed_op;
    uint64_t order; /* how many answers came before it in this process */
};

void coord_place_open(struct coord_place *place, enum coord_place_kind kind, uint64_t seed);
/* ZK, with this entry as its root, whether it is there or not. */
void coord_place_open_at(struct coord_place *place, const char *root);
void coord_place_close(struct coord_place *place);

/* A client that is connected. */
struct coord_client *coord_place_join(struct coord_place *place);
/* The same, not yet connected. */
struct coord_client *coord_place_start(struct coord_place *place);
void coord_place_leave(struct coord_client *client); /* coord_destroy */

/* Steps everybody until `so(user)`; fails the test when it takes too long. */
void coord_place_until(struct coord_place *place, bool (*so)(void *user), void *user,
                       const char *what);
void coord_place_until_state(struct coord_client *client, enum coord_state state);
void coord_place_until_changes(struct coord_client *client, size_t n);
/* Steps everybody for so long. */
void coord_place_pass(struct coord_place *place, uint64_t us);

/* For coord_call: told->done and what it was. */
struct coord_call coord_told_call(struct coord_told *told);
void coord_told_fini(struct coord_told *told);

/* A call and its answer, waited for; `told` (NULL is fine) is overwritten and to be finished. */
s4_status coord_place_get(struct coord_client *client, const char *path, unsigned flags,
                          struct coord_told *told);
s4_status coord_place_children(struct coord_client *client, const char *path, unsigned flags,
                               struct coord_told *told);
s4_status coord_place_create(struct coord_client *client, const char *path, enum coord_kind kind,
                             const char *text, struct coord_told *told);
s4_status coord_place_set(struct coord_client *client, const char *path, const char *text,
                          int64_t version);
s4_status coord_place_delete(struct coord_client *client, const char *path, int64_t version);
s4_status coord_place_multi(struct coord_client *client, const struct coord_op *ops, size_t n,
                            struct coord_told *told);

#endif
