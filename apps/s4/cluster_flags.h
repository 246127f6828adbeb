/* Where the coordination service of a cluster is: the options that `s4 node` and `s4 cluster`
 * share. */
#ifndef APPS_S4_CLUSTER_FLAGS_H
#define APPS_S4_CLUSTER_FLAGS_H

#include "apps/s4/command.h"
#include "apps/s4/member.h"

#define CLUSTER_FLAG_ZK      0x3000
#define CLUSTER_FLAG_SHARED  0x3001
#define CLUSTER_FLAG_SESSION 0x3002

#define CLUSTER_FLAGS                                                                           \
    { "zk", CLUSTER_FLAG_ZK, "HOST:PORT,...[/ROOT]", 0, "The cluster's ZooKeeper servers", 3 }, \
        { "shared",                                                                             \
          CLUSTER_FLAG_SHARED,                                                                  \
          "DIR",                                                                                \
          0,                                                                                    \
          "Instead, a directory that the nodes of this machine share (default: "                \
          "$XDG_RUNTIME_DIR/s4-clusters, else /tmp/s4-clusters-UID)",                           \
          3 },                                                                                  \
    {                                                                                           \
        "session", CLUSTER_FLAG_SESSION, "TIME", 0,                                             \
            "Silence after which a node is taken for dead (default: 10s)", 3                    \
    }

/* ARGP_ERR_UNKNOWN: none of these. */
error_t cluster_flags_parse(int key, const char *arg, const struct argp_state *state,
                            struct member_service *service);
/* When all were read: the default place, if none was given. */
void cluster_flags_default(struct member_service *service);

#endif
