/* A status as JSON, one object on one line. `apps` has the sums over all nodes. */
#include <inttypes.h>

#include "apps/s4/say.h"
#include "apps/s4/status_print.h"

static void text_member(const char *name, const char *value)
{
    say_printf("\"%s\":", name);
    say_json_string(value);
    say_printf(",");
}

static void print_counters(const s4_counter *counters, size_t n)
{
    say_printf("\"counters\":{");
    for (size_t i = 0; i < n; i++) {
        say_printf("%s", i ? "," : "");
        say_json_string(counters[i].name);
        say_printf(":%" PRIu64, counters[i].value);
    }
    say_printf("}");
}

/* The view's rates are of all nodes; NULL: none are told. */
static void print_app(const struct status_view *view, const s4_app_status *app)
{
    double rate;
    say_printf("{");
    text_member("app", app->name);
    text_member("version", app->version);
    text_member("build_id", app->build_id);
    say_printf("\"paused\":%s,", app->paused ? "true" : "false");
    for (size_t i = 0; view && i < STATUS_RATES; i++)
        if (status_rate_of(view, app->name, i, &rate))
            say_printf("\"%s\":%.1f,", status_rates[i].name, rate);
    print_counters(app->counters, app->n_counters);
    say_printf(",\"prototypes\":[");
    for (size_t i = 0; i < app->n_prototypes; i++) {
        say_printf("%s{", i ? "," : "");
        text_member("prototype", app->prototypes[i].name);
        print_counters(app->prototypes[i].counters, app->prototypes[i].n_counters);
        say_printf("}");
    }
    say_printf("]}");
}

static void print_apps(const struct status_view *view, const s4_app_status *apps, size_t n)
{
    say_printf(",\"apps\":[");
    for (size_t i = 0; i < n; i++) {
        say_printf("%s", i ? "," : "");
        print_app(view, &apps[i]);
    }
    say_printf("]");
}

static void print_alarms(const s4_node_status *node)
{
    say_printf(",\"alarms\":[");
    for (size_t i = 0; i < node->n_alarms; i++) {
        say_printf("%s", i ? "," : "");
        say_json_string(node->alarms[i]);
    }
    say_printf("]");
}

static void print_owned(const s4_cluster_status *cluster, uint32_t member)
{
    uint32_t first, slot = 0;
    say_printf("\"owned\":[");
    for (bool any = false; status_range_next(cluster, member, &slot, &first); any = true)
        say_printf("%s[%u,%u]", any ? "," : "", first, slot - 1);
    say_printf("]");
}

static void print_node(const s4_cluster_status *cluster, uint32_t index)
{
    const s4_member *member = &cluster->members[index];
    say_printf("{");
    text_member("node", member->name);
    text_member("state", member->state);
    text_member("why", member->why);
    text_member("clients", member->clients);
    text_member("release", member->release);
    say_printf("\"workers\":%u,\"slots\":%u,", member->workers, member->slots);
    print_owned(cluster, index);
    say_printf(",\"answers\":%s", member->status ? "true" : "false");
    if (member->status) {
        say_printf(",\"pid\":%" PRIu64 ",", member->status->pid);
        print_counters(member->status->counters, member->status->n_counters);
        print_apps(NULL, member->status->apps, member->status->n_apps);
        print_alarms(member->status);
    }
    say_printf("}");
}

static void print_cluster(const s4_cluster_status *cluster)
{
    say_printf(",\"cluster\":{");
    text_member("name", cluster->name);
    text_member("self", cluster->self);
    text_member("leader", cluster->leader);
    say_printf("\"version\":%" PRIu64 ",\"slots\":%zu,", cluster->version, cluster->n_slots);
    if (cluster->moving != S4_NO_SLOT)
        say_printf("\"moving\":%u,", cluster->moving);
    say_printf("\"nodes\":[");
    for (size_t i = 0; i < cluster->n_members; i++) {
        say_printf("%s", i ? "," : "");
        print_node(cluster, (uint32_t)i);
    }
    say_printf("],\"bundles\":[");
    for (size_t i = 0; i < cluster->n_apps; i++) {
        const s4_cluster_app *app = &cluster->apps[i];
        say_printf("%s{", i ? "," : "");
        text_member("app", app->name);
        text_member("version", app->version);
        text_member("build_id", app->build_id);
        text_member("phase", app->phase);
        say_printf("\"why\":");
        say_json_string(app->why);
        say_printf("}");
    }
    say_printf("]}");
}

void status_print_json(const struct status_view *view)
{
    const s4_node_status *node = view->node;
    say_printf("{");
    text_member("release", node->release);
    say_printf("\"pid\":%" PRIu64 ",", node->pid);
    print_counters(node->counters, node->n_counters);
    print_apps(view, view->sum.apps, view->sum.n_apps);
    print_alarms(node);
    if (node->cluster)
        print_cluster(node->cluster);
    say_printf("}\n");
}
