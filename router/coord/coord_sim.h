/* A coordination service inside one process: a world of servers and clients on one thread, under a
 * simulated clock, with faults drawn from a seed.
 *
 * One of its servers decides on writes; the others, to one of which each client is connected,
 * follow it with a lag, so that reads may be stale [R3]. Watches are lost or come late, connections
 * are cut with calls under way, which are then applied, not applied, or applied later [R4]; a
 * session expires by the service's clock, whether its client knows or not [R6].
 */
#ifndef ROUTER_COORD_COORD_SIM_H
#define ROUTER_COORD_COORD_SIM_H

#include "router/coord/coord.h"

#define COORD_SIM_SERVERS_MAX     5
#define COORD_SIM_SERVERS_DEFAULT 3

enum coord_fault {
    COORD_CUT,        /* per request: the connection is cut within moments */
    COORD_LATE,       /* per cut: requests under way still arrive, up to a session's life later */
    COORD_WATCH_LOST, /* per watch and return of a connection */
    COORD_SPURIOUS,   /* per watch: it comes though nothing changed */
    COORD_FAULTS
};

struct coord_sim_options {
    const struct clock *clock; /* borrowed; a simulated one */
    uint64_t seed;
    size_t servers;                /* 0: COORD_SIM_SERVERS_DEFAULT */
    uint64_t session_us;           /* 0: COORD_SESSION_MS_DEFAULT */
    uint64_t delay_us_max;         /* of a message; 0: 1 ms */
    uint64_t lag_us_max;           /* of a server, behind what was decided */
    uint32_t one_in[COORD_FAULTS]; /* how often a fault is; 0: never */
};

struct coord_world;

s4_status coord_world_create(const struct coord_sim_options *options,
                             struct coord_world **world) MUST_USE;
void coord_world_destroy(struct coord_world *world); /* after its clients; NULL is fine */

/* A client with a session of its own, at most one per call. */
s4_status coord_sim_create(struct coord_world *world, struct coord **coord) MUST_USE;

/* Does what is due by the clock; coord_step does it too. */
void coord_world_step(struct coord_world *world);
/* When something is due next, by the clock; UINT64_MAX: nothing is. */
uint64_t coord_world_due_us(const struct coord_world *world);

/* ---- faults by hand ---- */

/* The process dies: nothing is said to the service. In place of coord_destroy. */
void coord_sim_crash(struct coord *coord);
/* What the client sends to the service, and what the service sends to it, is lost from now on; or
 * goes again. */
void coord_sim_cut(struct coord *coord, bool to_service, bool from_service);
/* The process stands still: it neither sends nor hears, and must not be stepped. */
void coord_sim_stop(struct coord *coord, bool stopped);
/* The service ends this session now. */
void coord_sim_expire(struct coord *coord);
/* The service decides nothing, has no connections, and ends no session; or is back. */
void coord_world_away(struct coord_world *world, bool away);
void coord_world_set_rate(struct coord_world *world, enum coord_fault fault, uint32_t one_in);

/* ---- what happened ---- */

/* A hash of everything that was decided, answered and told so far: the same for the same seed. */
uint64_t coord_world_hash(const struct coord_world *world);
uint64_t coord_world_faults(const struct coord_world *world, enum coord_fault fault);
/* An entry as it was decided, without any lag; NULL: there is none. Borrowed until the next step.
 */
const void *coord_world_find(const struct coord_world *world, const char *path, size_t *size,
                             struct coord_stat *stat);
/* The session of this client lives, in the eyes of the service. */
bool coord_sim_lives(struct coord *coord);

#endif
