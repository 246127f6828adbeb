/* A status in its three shapes, on stdout. */
#ifndef APPS_S4_STATUS_PRINT_H
#define APPS_S4_STATUS_PRINT_H

#include "apps/s4/status_rates.h"
#include "apps/s4/status_sum.h"

/* What is shown; all is borrowed. */
struct status_view {
    const s4_node_status *node; /* the asked one */
    struct status_sum sum;      /* what is counted, on all nodes */
    struct rates rates;
    bool each_node; /* the table has also what each node of a cluster counts */
};

struct status_rate {
    const char *counter;
    const char *name;
};
#define STATUS_RATES 2
extern const struct status_rate status_rates[STATUS_RATES];
bool status_rate_of(const struct status_view *view, const char *app, size_t rate,
                    double *per_second);

/* Slots in succession that one member owns, from `*slot` on: [*first, *slot). False: no more. The
 * member: its place, or S4_NO_MEMBER. */
bool status_range_next(const s4_cluster_status *cluster, uint32_t member, uint32_t *slot,
                       uint32_t *first);
/* The node's of that app; NULL. */
const s4_app_status *status_app_of(const s4_node_status *node, const char *app);

void status_print_table(const struct status_view *view);
void status_print_kv(const struct status_view *view);
void status_print_json(const struct status_view *view);

#endif
