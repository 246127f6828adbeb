/* A node's part in a cluster, on a thread of its own: the session with the coordination service,
 * what goes between the nodes, and the changes of the map (pe/node).
 *
 *     control thread  --requests, reports-->  member thread  --> coordination service
 *           ^                                   |       ^  '---> other nodes
 *           '------------ events ---------------'       '-- blocks, by the engine's workers
 *
 * The control thread creates it, makes the engine when the first map is there, and gives it the
 * engine. Functions without another word are the control thread's.
 *
 * A node whose membership is over (its session expired) must stop all at once, and join again as
 * another. It does both by starting its program anew in the same process: nothing of before is
 * left.
 */
#ifndef APPS_S4_MEMBER_H
#define APPS_S4_MEMBER_H

#include "pe/host/engine.h"
#include "router/coord/cluster.h"
#include "runtime/net/keyring.h"
#include "runtime/record/block.h"

#define MEMBER_SERVICE_MAX 1024

/* Where the coordination service is: one of the two. */
struct member_service {
    const char *zk;      /* "HOST:PORT,HOST:PORT/ROOT"; NULL */
    const char *shared;  /* a directory of this machine */
    uint32_t session_ms; /* 0: COORD_SESSION_MS_DEFAULT */
};
s4_status member_connect(const struct member_service *service, struct coord **coord,
                         struct diag *diag) MUST_USE; /* any thread */

struct member_options {
    struct member_service service;
    const char *cluster;
    const char *name;
    const char *address;  /* to bind for other nodes */
    const char *announce; /* where they reach it; NULL: what it bound */
    const char *clients;  /* where clients reach it */
    struct keyring *ring; /* borrowed; NULL: no keys, and nothing but this machine */
    uint32_t workers;
    size_t block_size; /* of the engine's blocks; 0: the default */
    bool standby;
    const struct log *log;
    int wake; /* an eventfd, borrowed: rung when there is an event */
    /* The program starts anew; it does not return. Member thread. */
    void (*restart)(void *user, const struct diag *why);
    void *user;
};

enum member_event_kind {
    MEMBER_MAP,      /* a newer one; the first tells that it is a member */
    MEMBER_APP,      /* what becomes of a bundle here */
    MEMBER_ANSWERED, /* to member_deploy and the like */
    MEMBER_FAILED,   /* it never was what it wanted to be, or cannot go on */
};

struct member_event {
    struct member_event *next;
    enum member_event_kind kind;
    struct map *map; /* MAP: the taker's */
    uint32_t self;   /* MAP: its index */
    struct map_app app;
    enum cluster_app what;
    void *request; /* ANSWERED: as it was given */
    s4_status status;
    struct diag why;
};

struct member;

/* Binds its address and begins to join. All that options point to outlives it. */
s4_status member_create(const struct member_options *options, struct member **member,
                        struct diag *diag) MUST_USE;
const char *member_address(const struct member *member); /* as it came out */
/* The oldest event, the caller's to free (member_event_free); NULL: none. */
struct member_event *member_take(struct member *member);
void member_event_free(struct member_event *event);

/* The engine's options that a cluster decides: nodes, slots, map, remote, blocks. When the first
 * map has come, and nothing is stepped by it yet. The arrays are the member's. */
void member_engine_options(struct member *member, struct engine_options *options);
/* The engine that was made of it: it takes part from now on. */
void member_join(struct member *member, struct engine *engine);

void member_report_app(struct member *member, const struct map_app *app, enum entry_app_state state,
                       const char *why); /* any thread */
void member_deploy(struct member *member, const struct entry_wanted *wanted, void *request);
void member_undeploy(struct member *member, const char *app, void *request);
void member_drain(struct member *member, const char *node, void *request);

/* Whether an answer that was made before this call may be sent: no other node can own its slots.
 * Any thread. */
bool member_may_answer(const struct member *member);
/* Who leads, as far as it is known. Any thread. */
void member_leader(struct member *member, char name[MAP_NAME_MAX + 1]);
/* Everything that was sent has been applied by the other nodes, and nothing is under way here,
 * since this map came; a map comes here before it is in force. */
bool member_is_settled(const struct member *member, const struct map *map);

/* The thread ends, and so does the session. Before engine_stop. */
void member_stop(struct member *member);
/* Between engine_stop and engine_destroy: lets go of every block. */
void member_release(struct member *member);
void member_destroy(struct member *member); /* after engine_destroy; NULL is fine */

#endif
