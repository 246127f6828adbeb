/* Rates of an app, from two statuses in succession. One thread. */
#ifndef APPS_S4_STATUS_RATES_H
#define APPS_S4_STATUS_RATES_H

#include <s4/client.h>

struct rates {
    s4_node_status *before; /* owned; NULL: there are no rates yet */
    uint64_t before_us;
    uint64_t now_us;
};

/* How much one of the app's counters rose per second; in a cluster on all nodes that both statuses
 * have, together. False: the app is new, or it was replaced, or what counted went to a new node. */
bool rates_of(const struct rates *rates, const s4_node_status *now, const char *app,
              const char *counter, double *per_second);
/* The next ones count from this status, which is taken. */
void rates_next(struct rates *rates, s4_node_status *node);
void rates_fini(struct rates *rates);

#endif
