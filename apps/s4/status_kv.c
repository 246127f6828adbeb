/* A status as key=value lines, for grep. `APP.NAME` has the sums over all nodes. */
#include <inttypes.h>
#include <stdio.h>

#include "apps/s4/say.h"
#include "apps/s4/status_print.h"

static void print_counters(const char *prefix, const char *more, const s4_counter *counters,
                           size_t n)
{
    for (size_t i = 0; i < n; i++)
        say_printf("%s%s.%s=%" PRIu64 "\n", prefix, more, counters[i].name, counters[i].value);
}

/* `prefix` begins each key; the view's rates are of all nodes; NULL: none are told. */
static void print_app(const struct status_view *view, const char *prefix, const s4_app_status *app)
{
    double rate;
    char name[256];
    snprintf(name, sizeof name, "%s%s", prefix, app->name);
    say_printf("%s.version=%s\n%s.build_id=%s\n%s.paused=%d\n", name, app->version, name,
               app->build_id, name, app->paused);
    for (size_t i = 0; view && i < STATUS_RATES; i++)
        if (status_rate_of(view, app->name, i, &rate))
            say_printf("%s.%s=%.1f\n", name, status_rates[i].name, rate);
    print_counters(name, "", app->counters, app->n_counters);
    for (size_t i = 0; i < app->n_prototypes; i++) {
        char more[128];
        snprintf(more, sizeof more, "/%s", app->prototypes[i].name);
        print_counters(name, more, app->prototypes[i].counters, app->prototypes[i].n_counters);
    }
}

static void print_owned(const s4_cluster_status *cluster, uint32_t member)
{
    uint32_t first, slot = 0;
    for (bool any = false; status_range_next(cluster, member, &slot, &first); any = true) {
        say_printf(any ? ",%u" : "%u", first);
        if (slot - 1 > first)
            say_printf("-%u", slot - 1);
    }
}

static void print_node(const s4_cluster_status *cluster, uint32_t index)
{
    const s4_member *member = &cluster->members[index];
    const s4_node_status *node = member->status;
    char name[128];
    snprintf(name, sizeof name, "node/%s", member->name);
    say_printf("%s.state=%s\n%s.why=%s\n%s.clients=%s\n%s.release=%s\n%s.answers=%d\n", name,
               member->state, name, member->why, name, member->clients, name, member->release, name,
               node != NULL);
    say_printf("%s.slots_owned=%u\n%s.owned=", name, member->slots, name);
    print_owned(cluster, index);
    say_printf("\n");
    if (!node)
        return;
    print_counters(name, "", node->counters, node->n_counters);
    for (size_t i = 0; i < node->n_apps; i++) {
        char prefix[132];
        snprintf(prefix, sizeof prefix, "%s/", name);
        print_app(NULL, prefix, &node->apps[i]);
    }
}

static void print_cluster(const s4_cluster_status *cluster)
{
    say_printf("cluster.name=%s\ncluster.self=%s\ncluster.leader=%s\ncluster.version=%" PRIu64
               "\ncluster.slots=%zu\ncluster.nodes=%zu\n",
               cluster->name, cluster->self, cluster->leader, cluster->version, cluster->n_slots,
               cluster->n_members);
    say_printf("cluster.moving=");
    if (cluster->moving != S4_NO_SLOT)
        say_printf("%u", cluster->moving);
    say_printf("\ncluster.unowned=");
    print_owned(cluster, S4_NO_MEMBER);
    say_printf("\n");
    for (size_t i = 0; i < cluster->n_members; i++)
        print_node(cluster, (uint32_t)i);
    for (size_t i = 0; i < cluster->n_apps; i++) {
        const s4_cluster_app *app = &cluster->apps[i];
        say_printf("bundle/%s.version=%s\nbundle/%s.build_id=%s\nbundle/%s.phase=%s\n"
                   "bundle/%s.why=%s\n",
                   app->name, app->version, app->name, app->build_id, app->name, app->phase,
                   app->name, app->why);
    }
}

void status_print_kv(const struct status_view *view)
{
    const s4_node_status *node = view->node;
    say_printf("node.release=%s\nnode.pid=%" PRIu64 "\n", node->release, node->pid);
    print_counters("node", "", node->counters, node->n_counters);
    for (size_t i = 0; i < view->sum.n_apps; i++)
        print_app(view, "", &view->sum.apps[i]);
    if (node->cluster)
        print_cluster(node->cluster);
}
