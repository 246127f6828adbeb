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

bool rates_of(const struct rates *rates, const s4_app_status *app, const char *counter,
              double *per_second)
{
    const s4_app_status *before = find_app(rates->before, app->name);
    uint64_t was, is;
    if (!before || rates->now_us <= rates->before_us || !value_of(before, counter, &was) ||
        !value_of(app, counter, &is) || is < was)
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
