/* One node's part in a cluster: it joins, hears of every new map, may be elected to decide on the
 * next one, and says what it is asked. Above the coordination service's seam, once for all
 * services; docs/cluster.md says what lies where and who writes it.
 *
 * A cluster belongs to one thread: it is created, stepped, called and destroyed there, and its
 * upcalls come out of cluster_step. It keeps a session with the service, makes another one when
 * that expired, under a new incarnation, and ends for good only when it was refused: no such
 * cluster, the name is another's, no permission. It knows no slot's contents: it is told what the
 * map says and told back what became of it.
 */
#ifndef ROUTER_COORD_CLUSTER_H
#define ROUTER_COORD_CLUSTER_H

#include "router/coord/coord.h"
#include "router/map/entry.h"
#include "router/map/map.h"
#include "runtime/base/log.h"

#define CLUSTER_ROOT                  "/s4"   /* every cluster is a folder below it */
#define CLUSTER_REREAD_US_DEFAULT     5000000 /* hints may be lost: everything is read again */
#define CLUSTER_MOVE_PAUSE_US_DEFAULT 50000   /* between two moves */
#define CLUSTER_MOVE_FAILED_US        5000000 /* after a move that failed */
#define CLUSTER_CONNECT_US            1000000 /* between two tries to have a session */
#define CLUSTER_REQUESTS_MAX          16      /* asked and not answered */

struct cluster;

enum cluster_state {
    CLUSTER_CONNECTING, /* there is no session, or not yet */
    CLUSTER_WAITING,    /* an earlier incarnation's entry, or another node's, has the name */
    CLUSTER_PRESENT,    /* its entry is there; a member once the map says so */
    CLUSTER_ENDED,      /* for good: cluster_why */
};

/* What becomes of a bundle on this node. */
enum cluster_app {
    CLUSTER_APP_CHECK, /* could it run? ENTRY_CHECKED or ENTRY_REFUSED is reported */
    CLUSTER_APP_LOAD,  /* it runs: ENTRY_LOADED or ENTRY_REFUSED is reported */
    CLUSTER_APP_DROP,  /* it does not, or no more */
};

/* From cluster_step only. They may call reports and requests, not step or destroy. Maps are
 * borrowed until the next step. */
struct cluster_upcalls {
    /* It is a member, under this index and incarnation. `changed` follows at once. */
    void (*joined)(void *user, uint32_t index, uint64_t incarnation);
    /* A higher version. `old` is what was told before; NULL: nothing since it joined. */
    void (*changed)(void *user, const struct map *old, const struct map *map);
    /* After `changed`, for each bundle whose phase is another now. */
    void (*app)(void *user, const struct map_app *app, enum cluster_app what);
    /* It is no member any more, others may have its slots: it stops all partitions before it
     * returns. It joins again under a new incarnation, or ended. */
    void (*stop)(void *user, const struct diag *why);
    /* It never was what it wanted to be, or is no more, for good. */
    void (*ended)(void *user, const struct diag *why);
};

/* Where sessions come from. */
struct cluster_service {
    s4_status (*connect)(void *user, struct coord **coord, struct diag *diag);
    void (*disconnect)(void *user, struct coord *coord); /* NULL: coord_destroy */
    void *user;
};

struct cluster_options {
    const char *cluster; /* its name */
    const struct entry_node
        *node; /* who it is; cluster, incarnation and reports are not looked at */
    struct cluster_service service;
    const struct clock *clock;
    const struct log *log;  /* NULL: silent */
    struct waker *waker;    /* called when a step would do something; NULL: nobody sleeps */
    uint64_t seed;          /* of what is drawn; 0: from the kernel */
    uint64_t reread_us;     /* 0: CLUSTER_REREAD_US_DEFAULT */
    uint64_t move_pause_us; /* 0: CLUSTER_MOVE_PAUSE_US_DEFAULT */
    const struct cluster_upcalls *upcalls;
    void *user;
};

/* All that options point to outlives the cluster, except `cluster` and `node`. S4_INVALID, with
 * why: a name or a number that is none. */
s4_status cluster_create(const struct cluster_options *options, struct cluster **cluster,
                         struct diag *diag) MUST_USE;
/* Leaves: its session ends, others get its slots. No upcalls. NULL is fine. */
void cluster_destroy(struct cluster *cluster);

void cluster_step(struct cluster *cluster);
/* How long the owner may sleep on its waker before it steps again. */
uint64_t cluster_timeout_us(struct cluster *cluster);

/* ---- what is so now -------------------------------------------------------------------------- */

enum cluster_state cluster_state(const struct cluster *cluster);
/* The last thing that went wrong; code S4_OK: nothing did. */
const struct diag *cluster_why(const struct cluster *cluster);
/* The newest map that it knows; NULL: none. Borrowed until the next step. */
const struct map *cluster_map(const struct cluster *cluster);
/* Its index in that map; MAP_NOBODY: it is no member. */
uint32_t cluster_index(const struct cluster *cluster);
uint64_t cluster_incarnation(const struct cluster *cluster);
/* Who leads, as far as it knows; "": nobody. */
const char *cluster_leader(const struct cluster *cluster);
bool cluster_leads(const struct cluster *cluster);
/* Whether it may answer for its slots at this instant of the boot-time clock, which is read after
 * the answer was made: false when its session could have expired, so that others could own them. */
bool cluster_may_answer(const struct cluster *cluster, uint64_t now_boot_us);
/* The moment past which it may not; 0: it may not at all. Only a step moves it. */
uint64_t cluster_sure_until_us(const struct cluster *cluster);

/* ---- reports --------------------------------------------------------------------------------- */

/* What this node has to say of a deployment, and of a move: by the target, that all of it is there,
 * or by either side that it failed. They are told to the leader until it needs them no more. Those
 * that do not fit the present map are forgotten. `why` may be NULL. */
s4_status cluster_report_app(struct cluster *cluster, const char *app, uint64_t id,
                             enum entry_app_state state, const char *why) MUST_USE;
void cluster_report_move(struct cluster *cluster, uint32_t slot, uint64_t move, bool done,
                         const char *why);

/* ---- requests -------------------------------------------------------------------------------- */

/* Called once, out of cluster_step: it is asked for, or why not. Whether it came true, maps tell.
 */
struct cluster_reply {
    void (*answered)(void *user, s4_status status, const struct diag *why);
    void *user;
};

/* S4_FULL: CLUSTER_REQUESTS_MAX are under way; S4_INVALID: a name that is none; S4_STATE: it ended.
 * Answers: S4_EXISTS, an app of this name is there; S4_NOT_FOUND, none is, or no such member;
 * S4_UNAVAILABLE, it ended meanwhile. While the service is away there is no answer. `wanted->id` is
 * drawn by the caller, and not 0. */
s4_status cluster_deploy(struct cluster *cluster, const struct entry_wanted *wanted,
                         struct cluster_reply reply) MUST_USE;
s4_status cluster_undeploy(struct cluster *cluster, const char *app,
                           struct cluster_reply reply) MUST_USE;
s4_status cluster_drain(struct cluster *cluster, const char *node,
                        struct cluster_reply reply) MUST_USE;

#endif
