/* What the nodes of a cluster count, together: each app once, with the sums of its counters. Of a
 * node that belongs to no cluster, its own. */
#ifndef APPS_S4_STATUS_SUM_H
#define APPS_S4_STATUS_SUM_H

#include <s4/client.h>

#include "runtime/base/base.h"

struct status_sum {
    s4_app_status *apps; /* owned, as the arrays below; texts are the status's */
    size_t n_apps;
    s4_prototype_status *prototypes;
    s4_counter *counters;
    size_t n_prototypes, n_counters; /* that are filled */
};

/* S4_NO_MEMORY. `status` outlives it. */
s4_status status_sum_init(struct status_sum *sum, const s4_node_status *status) MUST_USE;
void status_sum_fini(struct status_sum *sum); /* zeroed is fine */

#endif
