/* Bundles: what is wanted becomes what is checked, and then what runs or is refused. A bundle runs
 * on all members or on none: it passes to MAP_RUN when every member that has slots or could get
 * some said that it can, and to MAP_REFUSED when one said that it cannot. Who joins later must load
 * what runs before it gets slots. */
#include "router/map/plan_inside.h"

static const struct plan_wanted *find_wanted(const struct plan *plan, const char *app)
{
    for (size_t i = 0; i < plan->view->n_wanted; i++)
        if (strcmp(plan->view->wanted[i].name, app) == 0)
            return &plan->view->wanted[i];
    return NULL;
}

static void remove_app(struct map *map, uint32_t at)
{
    memmove(&map->apps[at], &map->apps[at + 1], (--map->n_apps - at) * sizeof map->apps[0]);
}

static uint32_t count_phase(const struct map *map, bool refused)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < map->n_apps; i++)
        n += (map->apps[i].phase == MAP_REFUSED) == refused;
    return n;
}

static void refuse(struct plan *plan, struct map_app *app, const char *who, const char *why)
{
    char text[MAP_NAME_MAX + MAP_WHY_MAX + 3];
    snprintf(text, sizeof text, "%s%s%s", who, who[0] ? ": " : "", why);
    map_text_clean(text, MAP_WHY_MAX, app->why);
    app->phase = MAP_REFUSED;
    app->since = plan->version;
}

/* Of the refused ones, which are kept to be read, the oldest go. */
static void forget_refusals(struct map *map, uint32_t keep)
{
    while (count_phase(map, true) > keep) {
        uint32_t oldest = UINT32_MAX;
        for (uint32_t i = 0; i < map->n_apps; i++)
            if (map->apps[i].phase == MAP_REFUSED &&
                (oldest == UINT32_MAX || map->apps[i].since < map->apps[oldest].since))
                oldest = i;
        remove_app(map, oldest);
    }
}

static struct map_app *place_app(struct map *map, const char *name)
{
    uint32_t at = 0;
    while (at < map->n_apps && strcmp(map->apps[at].name, name) < 0)
        at++;
    if (at == map->n_apps || strcmp(map->apps[at].name, name) != 0) {
        CHECK(map->n_apps < ARRAY_LEN(map->apps));
        memmove(&map->apps[at + 1], &map->apps[at], (map->n_apps - at) * sizeof map->apps[0]);
        map->n_apps++;
    }
    return &map->apps[at];
}

/* A new deployment; under a name that is there already, that one's place. */
static void add_app(struct plan *plan, const struct entry_wanted *wanted)
{
    struct map *next = plan->next;
    const struct map_app *there = map_find_app(next, wanted->app);
    bool full = count_phase(next, false) - (there && there->phase != MAP_REFUSED) >= MAP_APPS_MAX;
    if (!there)
        forget_refusals(next, MAP_REFUSALS_MAX - 1); /* makes room, should it be refused */
    struct map_app *app = place_app(next, wanted->app);
    *app = (struct map_app){ .id = wanted->id, .since = plan->version, .phase = MAP_CHECK };
    memcpy(app->name, wanted->app, sizeof app->name);
    memcpy(app->hash, wanted->hash, sizeof app->hash);
    memcpy(app->version, wanted->version, sizeof app->version);
    memcpy(app->build_id, wanted->build_id, sizeof app->build_id);
    if (full)
        refuse(plan, app, "", "the cluster has as many apps as it can have");
}

static void check_app(struct plan *plan, struct map_app *app)
{
    bool all = true, any = false;
    for (uint32_t i = 0; i < MAP_MEMBERS_MAX; i++) {
        const struct map_member *member = &plan->next->members[i];
        if (!map_member_exists(plan->next, i) || member->state == MAP_JOINING ||
            member->state == MAP_UNFIT)
            continue;
        const struct entry_node *node = plan->at[i]->entry;
        const struct entry_app *report = node ? entry_find_app(node, app->name, app->id) : NULL;
        if (report && report->state == ENTRY_REFUSED) {
            refuse(plan, app, member->name, report->why);
            return;
        }
        any = true;
        all &= report != NULL;
    }
    if (any && all) {
        app->phase = MAP_RUN;
        app->since = plan->version;
    }
}

void plan_apps(struct plan *plan)
{
    struct map *next = plan->next;
    for (uint32_t i = next->n_apps; i-- > 0;)
        if (next->apps[i].phase != MAP_REFUSED && !find_wanted(plan, next->apps[i].name))
            remove_app(next, i);
    for (uint32_t i = 0; i < next->n_apps; i++)
        if (next->apps[i].phase == MAP_CHECK)
            check_app(plan, &next->apps[i]);
    for (size_t i = 0; i < plan->view->n_wanted; i++) {
        const struct entry_wanted *wanted = plan->view->wanted[i].entry;
        const struct map_app *app = wanted ? map_find_app(next, wanted->app) : NULL;
        if (wanted && (!app || app->id != wanted->id))
            add_app(plan, wanted);
    }
    forget_refusals(next, MAP_REFUSALS_MAX);
}

bool plan_apps_loaded(const struct plan *plan, const struct entry_node *node,
                      const struct entry_app **refused)
{
    bool all = true;
    *refused = NULL;
    for (uint32_t i = 0; i < plan->next->n_apps; i++) {
        const struct map_app *app = &plan->next->apps[i];
        if (app->phase != MAP_RUN)
            continue;
        const struct entry_app *report = entry_find_app(node, app->name, app->id);
        if (report && report->state == ENTRY_REFUSED && !*refused)
            *refused = report;
        all &= report && report->state == ENTRY_LOADED;
    }
    return all;
}
