/* Rates; see the header. */
#include "apps/s4/status_rates.h"

#include "runtime/base/base.h"

static bool value_of(const s4_app_status *app, const char *name, uint64_t *value)
{
    for (size_t i = 0; i < app->n_counters; i++) {
        if (strcmp(app->counters[i].name, name) != 0)
            continue;
        *value = app->counters[i].value;
        return true;
    }
    return false;
}

static const s4_app_status *find_app(const s4_node_status *node, const char *name)
{
    for (size_t i = 0; node && i < node->n_apps; i++)
        if (strcmp(node->apps[i].name, name) == 0)
            return &node->apps[i];
    return NULL;
}

/* How much it rose on one node, and what it is; false: it was not there both times. */
static bool rise_of(const s4_node_status *before, const s4_node_status *now, const char *name,
                    const char *counter, uint64_t *was, uint64_t *is)
{
    const s4_app_status *then = find_app(before, name), *app = find_app(now, name);
    return then && app && before->pid == now->pid && value_of(then, counter, was) &&
           value_of(app, counter, is);
}

static const s4_node_status *find_node(const s4_node_status *status, const char *name)
{
    for (size_t i = 0; status->cluster && i < status->cluster->n_members; i++)
        if (strcmp(status->cluster->members[i].name, name) == 0)
            return status->cluster->members[i].status;
    return NULL;
}

/* Sums on nodes, since what moves from one to another takes its counts along. */
static bool sum_rises(const s4_node_status *before, const s4_node_status *now, const char *app,
                      const char *counter, uint64_t *was, uint64_t *is)
{
    uint64_t node_was, node_is;
    bool any = false;
    if (!now->cluster)
        return rise_of(before, now, app, counter, was, is);
    *was = *is = 0;
    for (size_t i = 0; i < now->cluster->n_members; i++) {
        const s4_member *member = &now->cluster->members[i];
        if (!rise_of(find_node(before, member->name), member->status, app, counter, &node_was,
                     &node_is))
            continue;
        *was += node_was;
        *is += node_is;
        any = true;
    }
    return any;
}

bool rates_of(const struct rates *rates, const s4_node_status *now, const char *app,
              const char *counter, double *per_second)
{
    uint64_t was, is;
    if (!rates->before || rates->now_us <= rates->before_us ||
        !sum_rises(rates->before, now, app, counter, &was, &is) || is < was)
        return false;
    *per_second = (double)(is - was) * 1e6 / (double)(rates->now_us - rates->before_us);
    return true;
}

void rates_next(struct rates *rates, s4_node_status *node)
{
    s4_node_status_destroy(rates->before);
    rates->before = node;
    rates->before_us = rates->now_us;
}

void rates_fini(struct rates *rates)
{
    s4_node_status_destroy(rates->before);
    rates->before = NULL;
}
