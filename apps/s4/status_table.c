/* A status for people, on a terminal of 80 columns. Counters that are 0 are left out. */
#include <inttypes.h>
#include <stdio.h>

#include "apps/s4/say.h"
#include "apps/s4/status_print.h"

#define COLUMNS    80
#define SHORT_MAX  99999999
#define RANGES_MAX 48 /* of slots of one node; the others are counted */

/* All counters that are not 0, three to a line, or two where a number is long. */
static void print_counters(const char *indent, const s4_counter *counters, size_t n)
{
    size_t shown = 0, columns = 3;
    for (size_t i = 0; i < n; i++)
        if (counters[i].value > SHORT_MAX)
            columns = 2;
    for (size_t i = 0; i < n; i++) {
        if (!counters[i].value)
            continue;
        say_printf("%s%-15s %*" PRIu64, shown % columns == 0 ? indent : "  ", counters[i].name,
                   columns == 3 ? 8 : 20, counters[i].value);
        if (++shown % columns == 0)
            say_printf("\n");
    }
    if (shown % columns)
        say_printf("\n");
}

/* A text over as many lines as it needs, cut between words. */
static void print_words(const char *indent, const char *text)
{
    size_t at = 0;
    while (*text) {
        size_t len = strcspn(text, " \n");
        if (at && at + 1 + len > COLUMNS) {
            say_printf("\n");
            at = 0;
        }
        say_printf("%s%.*s", at ? " " : indent, (int)len, text);
        at += len + (at ? 1 : strlen(indent));
        text += len;
        text += strspn(text, " \n");
    }
    if (at)
        say_printf("\n");
}

static const char *bytes_text(uint64_t bytes, char text[16])
{
    static const char units[] = " kMG";
    double value = (double)bytes;
    size_t unit = 0;
    while (value >= 1000 && unit < 3) {
        value /= 1024;
        unit++;
    }
    if (unit)
        snprintf(text, 16, value < 10 ? "%.1f%c" : "%.0f%c", value, units[unit]);
    else
        snprintf(text, 16, "%" PRIu64, bytes);
    return text;
}

/* ---- nodes --------------------------------------------------------------------------------- */

struct widths {
    int name, state, release;
};

static int wider(int width, const char *text)
{
    int len = (int)strlen(text);
    return len > width ? len : width;
}

static struct widths measure(const s4_cluster_status *cluster)
{
    struct widths widths = { 4, 5, 7 };
    for (size_t i = 0; i < cluster->n_members; i++) {
        widths.name = wider(widths.name, cluster->members[i].name);
        widths.state = wider(widths.state, cluster->members[i].state);
        widths.release = wider(widths.release, cluster->members[i].release);
    }
    return widths;
}

static uint64_t memory_of(const s4_node_status *node)
{
    for (size_t i = 0; i < node->n_counters; i++)
        if (strcmp(node->counters[i].name, "memory") == 0)
            return node->counters[i].value;
    return 0;
}

static void print_node(const s4_cluster_status *cluster, const s4_member *member,
                       const struct widths *widths)
{
    char memory[16] = "-";
    if (member->status)
        bytes_text(memory_of(member->status), memory);
    int used = widths->name + widths->state + widths->release + 30;
    bool fits = used + (int)strlen(member->clients) <= COLUMNS;
    say_printf("%c %-*s  %-*s  %5u  %7u  %6s  %-*s",
               strcmp(member->name, cluster->self) ? ' ' : '*', widths->name, member->name,
               widths->state, member->state, member->slots, member->workers, memory,
               widths->release, member->release);
    say_printf(fits ? "  %s\n" : "\n    %s\n", member->clients);
    if (!member->status)
        say_printf("    it does not answer\n");
    if (member->why[0])
        print_words("    ", member->why);
}

static void print_nodes(const s4_cluster_status *cluster)
{
    struct widths widths = measure(cluster);
    say_printf("\n  %-*s  %-*s  slots  workers  memory  %-*s  clients\n", widths.name, "node",
               widths.state, "state", widths.release, "release");
    for (size_t i = 0; i < cluster->n_members; i++)
        print_node(cluster, &cluster->members[i], &widths);
}

/* ---- slots --------------------------------------------------------------------------------- */

/* False: it has none. */
static bool print_ranges(const s4_cluster_status *cluster, uint32_t member, const char *name,
                         int width)
{
    char text[32];
    uint32_t first, slot = 0;
    size_t n = 0;
    int at = 0;
    for (; status_range_next(cluster, member, &slot, &first); n++) {
        if (n >= RANGES_MAX)
            continue;
        snprintf(text, sizeof text, slot - 1 > first ? "%u-%u" : "%u", first, slot - 1);
        int len = (int)strlen(text);
        if (n == 0) {
            say_printf("  %-*s  ", width, name);
            at = width + 4;
        } else if (at + len + 2 >= COLUMNS) {
            say_printf(",\n  %*s  ", width, "");
            at = width + 4;
        } else {
            say_printf(", ");
            at += 2;
        }
        say_printf("%s", text);
        at += len;
    }
    if (n > RANGES_MAX)
        say_printf(", and %zu ranges more", n - RANGES_MAX);
    if (n)
        say_printf("\n");
    return n > 0;
}

static void print_slots(const s4_cluster_status *cluster)
{
    int width = measure(cluster).name;
    width = wider(width, "nobody");
    say_printf("\n  %-*s  slots\n", width, "owner");
    for (size_t i = 0; i < cluster->n_members; i++)
        print_ranges(cluster, (uint32_t)i, cluster->members[i].name, width);
    print_ranges(cluster, S4_NO_MEMBER, "nobody", width);
    if (cluster->moving == S4_NO_SLOT || cluster->moving >= cluster->n_slots)
        return;
    uint32_t owner = cluster->owners[cluster->moving];
    if (owner < cluster->n_members)
        say_printf("  slot %u moves away from %s\n", cluster->moving, cluster->members[owner].name);
}

/* ---- bundles ------------------------------------------------------------------------------- */

/* Nodes that do not run what the cluster runs. */
static void print_odd_nodes(const s4_cluster_status *cluster, const s4_cluster_app *bundle)
{
    for (size_t i = 0; i < cluster->n_members; i++) {
        const s4_member *member = &cluster->members[i];
        const s4_app_status *app =
            member->status ? status_app_of(member->status, bundle->name) : NULL;
        if (member->status && !app)
            say_printf("    not on %s\n", member->name);
        else if (app && strcmp(app->build_id, bundle->build_id) != 0)
            say_printf("    ANOTHER BUILD on %s: %s\n", member->name, app->build_id);
    }
}

static void print_bundles(const s4_cluster_status *cluster)
{
    int name = 6, version = 7, phase = 5;
    for (size_t i = 0; i < cluster->n_apps; i++) {
        name = wider(name, cluster->apps[i].name);
        version = wider(version, cluster->apps[i].version);
        phase = wider(phase, cluster->apps[i].phase);
    }
    if (cluster->n_apps)
        say_printf("\n  %-*s  %-*s  %-*s  build id\n", name, "bundle", version, "version", phase,
                   "phase");
    for (size_t i = 0; i < cluster->n_apps; i++) {
        const s4_cluster_app *app = &cluster->apps[i];
        say_printf("  %-*s  %-*s  %-*s  %s\n", name, app->name, version, app->version, phase,
                   app->phase, app->build_id);
        if (app->why[0])
            print_words("    ", app->why);
        if (strcmp(app->phase, "running") == 0)
            print_odd_nodes(cluster, app);
    }
}

static void print_cluster(const s4_cluster_status *cluster)
{
    say_printf("cluster %s, asked %s; map %" PRIu64 ", %zu slots, ", cluster->name, cluster->self,
               cluster->version, cluster->n_slots);
    say_printf(cluster->leader[0] ? "led by %s\n" : "it is not known who leads%s\n",
               cluster->leader);
    print_nodes(cluster);
    print_slots(cluster);
    print_bundles(cluster);
}

/* ---- apps ---------------------------------------------------------------------------------- */

static void print_app(const char *indent, const char *more, const s4_app_status *app)
{
    print_counters(indent, app->counters, app->n_counters);
    for (size_t i = 0; i < app->n_prototypes; i++) {
        say_printf("%s/%s\n", indent, app->prototypes[i].name);
        print_counters(more, app->prototypes[i].counters, app->prototypes[i].n_counters);
    }
}

static void print_on_nodes(const s4_cluster_status *cluster, const char *name)
{
    for (size_t i = 0; i < cluster->n_members; i++) {
        const s4_member *member = &cluster->members[i];
        const s4_app_status *app = member->status ? status_app_of(member->status, name) : NULL;
        if (!app)
            continue;
        say_printf("  on %s%s\n", member->name, app->paused ? ", PAUSED" : "");
        print_app("   ", "    ", app);
    }
}

static void print_apps(const struct status_view *view)
{
    for (size_t i = 0; i < view->sum.n_apps; i++) {
        const s4_app_status *app = &view->sum.apps[i];
        double applied, emitted;
        say_printf("\n%s %s%s\n", app->name, app->version,
                   app->paused ? ", PAUSED at the hard memory mark" : "");
        if (status_rate_of(view, app->name, 0, &applied) &&
            status_rate_of(view, app->name, 1, &emitted))
            say_printf("  %.1f events/s, %.1f emitted/s\n", applied, emitted);
        print_app("  ", "    ", app);
        if (view->each_node && view->node->cluster)
            print_on_nodes(view->node->cluster, app->name);
    }
    if (!view->sum.n_apps)
        say_printf("\nno app is deployed\n");
}

static void print_alarms(const s4_node_status *node, const char *name, bool *any)
{
    if (node->n_alarms && !*any)
        say_printf("\nlatest alarms\n");
    *any |= node->n_alarms > 0;
    for (size_t i = 0; i < node->n_alarms; i++)
        say_printf("  %s%s%s\n", name, *name ? ": " : "", node->alarms[i]);
}

void status_print_table(const struct status_view *view)
{
    const s4_node_status *node = view->node;
    const s4_cluster_status *cluster = node->cluster;
    bool alarms = false;
    if (cluster) {
        print_cluster(cluster);
    } else {
        say_printf("node %" PRIu64 ", s4 %s\n", node->pid, node->release);
        print_counters("  ", node->counters, node->n_counters);
    }
    print_apps(view);
    if (!cluster)
        print_alarms(node, "", &alarms);
    for (size_t i = 0; cluster && i < cluster->n_members; i++)
        if (cluster->members[i].status)
            print_alarms(cluster->members[i].status, cluster->members[i].name, &alarms);
}
