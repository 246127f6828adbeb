/* What else the coordination service holds of a cluster, as structs: what never changes, who leads,
 * what each node says of itself, what people want. To and from the messages of proto/cluster.proto.
 *
 * Plain values. Reading trusts nothing and sets `diag`: S4_CORRUPT, S4_VERSION (another layout),
 * S4_TOO_LARGE, S4_NO_MEMORY; writing goes to the end of a buffer. Any thread.
 */
#ifndef ROUTER_MAP_ENTRY_H
#define ROUTER_MAP_ENTRY_H

#include "router/map/map.h"

#define ENTRY_MOVES_MAX 8            /* reports of moves in one node's entry; the oldest goes */
#define ENTRY_APPS_MAX  MAP_APPS_MAX /* reports of apps in one node's entry */
#define ENTRY_BYTES_MAX (64 * KIB)   /* of everything but the map */

/* What never changes. */
struct entry_spec {
    uint64_t cluster; /* drawn when it was created */
    uint32_t slots;
};

/* Who leads, or just became the leader. */
struct entry_leader {
    char node[MAP_NAME_MAX + 1];
    uint64_t incarnation;
    uint64_t attempt; /* drawn for each try: tells an own write from another's */
};

/* How a node gets on with an app, and with a move. */
enum entry_app_state { ENTRY_CHECKED = 1, ENTRY_LOADED, ENTRY_REFUSED };
struct entry_app {
    char app[MAP_NAME_MAX + 1];
    char why[MAP_WHY_MAX + 1]; /* refused: why */
    uint64_t id;               /* of the deployment */
    enum entry_app_state state;
};
struct entry_move {
    char why[MAP_WHY_MAX + 1]; /* not done: why */
    uint64_t move;             /* the version that ordered it */
    uint32_t slot;
    bool done; /* by the target: all is here */
};

/* A node that lives. */
struct entry_node {
    char name[MAP_NAME_MAX + 1];
    char address[MAP_ADDRESS_MAX + 1]; /* where other nodes reach it */
    char clients[MAP_ADDRESS_MAX + 1]; /* where clients do; "": nowhere */
    char release[MAP_RELEASE_MAX + 1];
    char key[MAP_RELEASE_MAX + 1]; /* "": none */
    uint64_t cluster;
    uint64_t incarnation;
    uint32_t workers;
    bool standby;
    uint32_t n_apps, n_moves;
    struct entry_app apps[ENTRY_APPS_MAX];
    struct entry_move moves[ENTRY_MOVES_MAX];
};

/* Somebody wants this bundle to run. */
struct entry_wanted {
    char app[MAP_NAME_MAX + 1];
    char hash[MAP_RELEASE_MAX + 1];
    char version[MAP_RELEASE_MAX + 1];
    char build_id[MAP_RELEASE_MAX + 1];
    uint64_t id; /* drawn: two deployments of one name are two */
};

/* Somebody wants this incarnation of a node to hand over its slots. */
struct entry_drain {
    char node[MAP_NAME_MAX + 1];
    uint64_t incarnation;
};

s4_status entry_spec_pack(const struct entry_spec *spec, struct buffer *out) MUST_USE;
s4_status entry_spec_unpack(const void *bytes, size_t size, struct entry_spec *spec,
                            struct diag *diag) MUST_USE;
s4_status entry_leader_pack(const struct entry_leader *leader, struct buffer *out) MUST_USE;
s4_status entry_leader_unpack(const void *bytes, size_t size, struct entry_leader *leader,
                              struct diag *diag) MUST_USE;
s4_status entry_node_pack(const struct entry_node *node, struct buffer *out) MUST_USE;
s4_status entry_node_unpack(const void *bytes, size_t size, struct entry_node *node,
                            struct diag *diag) MUST_USE;
s4_status entry_wanted_pack(const struct entry_wanted *wanted, struct buffer *out) MUST_USE;
s4_status entry_wanted_unpack(const void *bytes, size_t size, struct entry_wanted *wanted,
                              struct diag *diag) MUST_USE;
s4_status entry_drain_pack(const struct entry_drain *drain, struct buffer *out) MUST_USE;
s4_status entry_drain_unpack(const void *bytes, size_t size, struct entry_drain *drain,
                             struct diag *diag) MUST_USE;

/* What a node has to say of an app and of a move, in its own entry. A report of the same app, or of
 * the same slot, takes the earlier one's place. `why` is cut and cleaned; NULL: none. S4_FULL: no
 * room for one more app. */
s4_status entry_report_app(struct entry_node *node, const char *app, uint64_t id,
                           enum entry_app_state state, const char *why) MUST_USE;
void entry_report_move(struct entry_node *node, uint32_t slot, uint64_t move, bool done,
                       const char *why);
const struct entry_app *entry_find_app(const struct entry_node *node, const char *app, uint64_t id);
const struct entry_move *entry_find_move(const struct entry_node *node, uint32_t slot,
                                         uint64_t move);
/* Drops the reports that a map no longer asks for; whether there were any. */
bool entry_forget(struct entry_node *node, const struct map *map);

#endif
