/* What the commands that talk to a node have in common: --node, --timeout, keys, and how failures
 * are told. */
#ifndef APPS_S4_REMOTE_H
#define APPS_S4_REMOTE_H

#include <s4/client.h>

#include "apps/s4/command.h"

struct remote {
    const char *node;
    const char *keys, *secret, *server;
    uint32_t timeout_ms;
    uint32_t window; /* of batches */
    uint64_t producer;
    uint64_t number;
};

#define REMOTE_NODE    0x1000
#define REMOTE_TIMEOUT 0x1001
#define REMOTE_KEYS    0x1002
#define REMOTE_SECRET  0x1003
#define REMOTE_SERVER  0x1004
/* All but --node. */
#define REMOTE_MORE_OPTIONS                                                                        \
    {                                                                                              \
        "keys",                                                                                    \
        REMOTE_KEYS,                                                                               \
        "DIR",                                                                                     \
        0,                                                                                         \
        "For tcp: the directory of keys (default: $S4_KEYS, or none)",                             \
        90                                                                                         \
    },                                                                                             \
        { "secret",                                                                                \
          REMOTE_SECRET,                                                                           \
          "FILE",                                                                                  \
          0,                                                                                       \
          "The own key pair (default: the only one in the directory)",                             \
          90 },                                                                                    \
        { "server",                                                                                \
          REMOTE_SERVER,                                                                           \
          "NAME",                                                                                  \
          0,                                                                                       \
          "The node's name among the keys (default: the only one)",                                \
          90 },                                                                                    \
    {                                                                                              \
        "timeout", REMOTE_TIMEOUT, "TIME", 0, "Without a sign of life of the node (default: 10s)", \
            90                                                                                     \
    }
#define REMOTE_OPTIONS                                                                             \
    { "node",                                                                                      \
      REMOTE_NODE,                                                                                 \
      "PLACE",                                                                                     \
      0,                                                                                           \
      "The node: a directory, ipc:///PATH or tcp://HOST:PORT (default: $S4_NODE, or this user's)", \
      90 },                                                                                        \
        REMOTE_MORE_OPTIONS

/* ARGP_ERR_UNKNOWN: none of these. */
error_t remote_parse(int key, const char *arg, const struct argp_state *state,
                     struct remote *remote);

/* EXIT_DONE and *client, which is the caller's to destroy; else it is told why not. */
int remote_connect(const struct remote *remote, s4_client **client) MUST_USE;

/* Tells why the last call failed; answers the exit code. */
int remote_failed(const s4_client *client, s4_status status);

/* "APP.OUTPUT" or "APP/PROTOTYPE" cut in two at the first '.' or '/'; wrong ones end the process
 * with EXIT_USAGE. */
struct target {
    char app[128];
    char part[128];
    char between;
};
void remote_target(const struct argp_state *state, const char *text, const char *between,
                   struct target *target);

#endif
