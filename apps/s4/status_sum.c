/* Sums over nodes; see the header. Apps, prototypes and counters are known by their names: nodes
 * may be of several releases. What another node has that the first one has not is left out of an
 * app's counters, and an app that the first has not is added. */
#include "apps/s4/status_sum.h"

#include "runtime/base/mem.h"

static void count(struct status_sum *sum, const s4_node_status *node)
{
    sum->n_apps += node->n_apps;
    for (size_t i = 0; i < node->n_apps; i++) {
        const s4_app_status *app = &node->apps[i];
        sum->n_prototypes += app->n_prototypes;
        sum->n_counters += app->n_counters;
        for (size_t j = 0; j < app->n_prototypes; j++)
            sum->n_counters += app->prototypes[j].n_counters;
    }
}

static s4_counter *copy_counters(struct status_sum *sum, const s4_counter *from, size_t n)
{
    s4_counter *first = sum->counters + sum->n_counters;
    for (size_t i = 0; i < n; i++)
        sum->counters[sum->n_counters++] = from[i];
    return first;
}

static void copy_app(struct status_sum *sum, const s4_app_status *from)
{
    s4_app_status *app = &sum->apps[sum->n_apps++];
    *app = *from;
    app->counters = copy_counters(sum, from->counters, from->n_counters);
    app->prototypes = sum->prototypes + sum->n_prototypes;
    for (size_t i = 0; i < from->n_prototypes; i++) {
        s4_prototype_status *prototype = &sum->prototypes[sum->n_prototypes++];
        *prototype = from->prototypes[i];
        prototype->counters =
            copy_counters(sum, from->prototypes[i].counters, from->prototypes[i].n_counters);
    }
}

/* They lie in the sum's own array. */
static void add_counters(struct status_sum *sum, const s4_counter *to, size_t n,
                         const s4_counter *from, size_t n_from)
{
    s4_counter *own = sum->counters + (to - sum->counters);
    for (size_t i = 0; i < n_from; i++)
        for (size_t j = 0; j < n; j++)
            if (strcmp(own[j].name, from[i].name) == 0)
                own[j].value += from[i].value;
}

static void add_to(struct status_sum *sum, s4_app_status *app, const s4_app_status *from)
{
    app->paused |= from->paused;
    add_counters(sum, app->counters, app->n_counters, from->counters, from->n_counters);
    for (size_t i = 0; i < from->n_prototypes; i++)
        for (size_t j = 0; j < app->n_prototypes; j++)
            if (strcmp(app->prototypes[j].name, from->prototypes[i].name) == 0)
                add_counters(sum, app->prototypes[j].counters, app->prototypes[j].n_counters,
                             from->prototypes[i].counters, from->prototypes[i].n_counters);
}

static void add_node(struct status_sum *sum, const s4_node_status *node)
{
    for (size_t i = 0; i < node->n_apps; i++) {
        size_t at = 0;
        while (at < sum->n_apps && strcmp(sum->apps[at].name, node->apps[i].name) != 0)
            at++;
        if (at < sum->n_apps)
            add_to(sum, &sum->apps[at], &node->apps[i]);
        else
            copy_app(sum, &node->apps[i]);
    }
}

static void for_all(struct status_sum *sum, const s4_node_status *status,
                    void (*each)(struct status_sum *, const s4_node_status *))
{
    if (!status->cluster)
        each(sum, status);
    for (size_t i = 0; status->cluster && i < status->cluster->n_members; i++)
        if (status->cluster->members[i].status)
            each(sum, status->cluster->members[i].status);
}

s4_status status_sum_init(struct status_sum *sum, const s4_node_status *status)
{
    *sum = (struct status_sum){ 0 };
    for_all(sum, status, count);
    sum->apps = mem_calloc(sum->n_apps + 1, sizeof *sum->apps);
    sum->prototypes = mem_calloc(sum->n_prototypes + 1, sizeof *sum->prototypes);
    sum->counters = mem_calloc(sum->n_counters + 1, sizeof *sum->counters);
    sum->n_apps = sum->n_prototypes = sum->n_counters = 0;
    if (!sum->apps || !sum->prototypes || !sum->counters) {
        status_sum_fini(sum);
        return S4_NO_MEMORY;
    }
    for_all(sum, status, add_node);
    return S4_OK;
}

void status_sum_fini(struct status_sum *sum)
{
    mem_free(sum->apps);
    mem_free(sum->prototypes);
    mem_free(sum->counters);
    *sum = (struct status_sum){ 0 };
}
