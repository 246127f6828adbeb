/* The next map; see the header. Members and slots are here, bundles in plan_apps.c, shares in
 * balance.c. */
#include "router/map/plan.h"

#include "router/map/balance.h"
#include "router/map/plan_inside.h"
#include "router/map/planted.h"

/* The entry of a member: of its name and its incarnation. One that cannot be read is believed to be
 * its. */
static const struct plan_node *find_node(const struct plan *plan, const struct map_member *member)
{
    for (size_t i = 0; i < plan->view->n_nodes; i++) {
        const struct plan_node *node = &plan->view->nodes[i];
        if (strcmp(node->name, member->name) == 0)
            return !node->entry || node->entry->incarnation == member->incarnation ? node : NULL;
    }
    return NULL;
}

static void find_nodes(struct plan *plan)
{
    for (uint32_t i = 0; i < MAP_MEMBERS_MAX; i++)
        plan->at[i] =
            map_member_exists(plan->next, i) ? find_node(plan, &plan->next->members[i]) : NULL;
}

/* ---- moves that end -------------------------------------------------------------------------- */

static const struct entry_move *move_report(const struct plan *plan, uint32_t member,
                                            uint32_t number)
{
    const struct plan_node *node = plan->at[member];
    return node && node->entry
               ? entry_find_move(node->entry, number, plan->next->slots[number].move)
               : NULL;
}

/* The target's word that all is there counts, even when the owner is gone since: nothing is lost
 * then. What is called off is a change of the owner too: others may have heard from it that the
 * slot is not its own any more. */
static void settle_move(struct plan *plan, uint32_t number)
{
    struct map_slot *slot = &plan->next->slots[number];
    const struct entry_move *target = move_report(plan, slot->target, number);
    const struct entry_move *owner = move_report(plan, slot->owner, number);
    if ((target && target->done) || PLANTED(PLANTED_UNREPORTED)) {
        slot->owner = slot->target;
        slot->worker = slot->target_worker;
        plan->result->moved++;
    } else if (target || (owner && !owner->done)) {
        plan->result->failed_slot = number;
    } else if (plan->at[slot->target] && plan->next->members[slot->target].state != MAP_UNFIT) {
        return; /* it goes on */
    }
    slot->target = MAP_NOBODY;
    slot->epoch = plan->version;
}

static void settle_moves(struct plan *plan)
{
    for (uint32_t i = 0; i < plan->next->n_slots; i++)
        if (plan->next->slots[i].target != MAP_NOBODY)
            settle_move(plan, i);
}

/* ---- members --------------------------------------------------------------------------------- */

static void disown(struct plan *plan, uint32_t member)
{
    for (uint32_t i = 0; i < plan->next->n_slots; i++) {
        struct map_slot *slot = &plan->next->slots[i];
        if (slot->owner != member)
            continue;
        slot->owner = slot->target = MAP_NOBODY;
        slot->epoch = PLANTED(PLANTED_SAME_EPOCH) ? slot->epoch : plan->version;
    }
}

/* How many active members with slots died. */
static uint32_t bury(struct plan *plan)
{
    struct map *next = plan->next;
    uint32_t active = 0;
    for (uint32_t i = 0; i < MAP_MEMBERS_MAX; i++) {
        if (!map_member_exists(next, i) || plan->at[i])
            continue;
        active += next->members[i].state == MAP_ACTIVE && map_slots_of(next, i, false) > 0;
        disown(plan, i);
        memset(&next->members[i], 0, sizeof next->members[i]);
    }
    return active;
}

/* An index that nobody has in this version nor had in the one before, so that no version says that
 * one member became another. */
static uint32_t free_index(const struct plan *plan)
{
    for (uint32_t i = 0; i < MAP_MEMBERS_MAX; i++)
        if (!map_member_exists(plan->map, i) && !map_member_exists(plan->next, i))
            return i;
    return MAP_NOBODY;
}

static void join(struct plan *plan)
{
    for (size_t i = 0; i < plan->view->n_nodes; i++) {
        const struct entry_node *node = plan->view->nodes[i].entry;
        if (!node || map_find_member(plan->next, node->name) != MAP_NOBODY)
            continue;
        uint32_t index = free_index(plan);
        if (index == MAP_NOBODY)
            return; /* full: it waits until somebody goes */
        struct map_member *member = &plan->next->members[index];
        memcpy(member->name, node->name, sizeof member->name);
        memcpy(member->address, node->address, sizeof member->address);
        memcpy(member->clients, node->clients, sizeof member->clients);
        memcpy(member->release, node->release, sizeof member->release);
        memcpy(member->key, node->key, sizeof member->key);
        member->incarnation = node->incarnation;
        member->since = plan->version;
        member->workers = node->workers;
        member->state = MAP_JOINING;
        plan->at[index] = &plan->view->nodes[i];
    }
}

static bool is_drained(const struct plan *plan, const struct map_member *member)
{
    for (size_t i = 0; i < plan->view->n_drains; i++)
        if (plan->view->drains[i].incarnation == member->incarnation &&
            strcmp(plan->view->drains[i].node, member->name) == 0)
            return true;
    return false;
}

static void set_unfit(struct map_member *member, const struct entry_app *refused)
{
    char text[MAP_NAME_MAX + MAP_WHY_MAX + 3];
    snprintf(text, sizeof text, "%s: %s", refused->app, refused->why);
    map_text_clean(text, MAP_WHY_MAX, member->why);
    member->state = MAP_UNFIT;
}

static void set_state(struct plan *plan, uint32_t index)
{
    struct map_member *member = &plan->next->members[index];
    const struct entry_node *node = plan->at[index]->entry;
    const struct entry_app *refused;
    if (!node)
        return; /* nobody knows what it says */
    bool loaded = plan_apps_loaded(plan, node, &refused);
    member->why[0] = 0;
    if (is_drained(plan, member))
        member->state = MAP_DRAINING;
    else if (refused)
        set_unfit(member, refused);
    else if (member->state == MAP_ACTIVE || member->state == MAP_STANDBY)
        return; /* also while it loads what runs since now: it said that it can */
    else if (!loaded)
        member->state = MAP_JOINING;
    else if (node->standby && map_slots_of(plan->next, index, true) == 0)
        member->state = MAP_STANDBY;
    else
        member->state = MAP_ACTIVE;
}

static uint32_t find_state(const struct map *map, enum map_state state)
{
    for (uint32_t i = 0; i < MAP_MEMBERS_MAX; i++)
        if (map_member_exists(map, i) && map->members[i].state == state)
            return i;
    return MAP_NOBODY;
}

/* One standby for each active member that died, and one when no active member is left. */
static void promote(struct plan *plan, uint32_t died)
{
    struct map *next = plan->next;
    for (;;) {
        uint32_t standby = find_state(next, MAP_STANDBY);
        bool wanted = died > 0 || find_state(next, MAP_ACTIVE) == MAP_NOBODY;
        if (standby == MAP_NOBODY || !wanted)
            return;
        next->members[standby].state = MAP_ACTIVE;
        died -= died > 0;
    }
}

/* ---- slots ----------------------------------------------------------------------------------- */

static void give_empty(struct plan *plan, uint32_t number, struct balance *balance)
{
    struct map_slot *slot = &plan->next->slots[number];
    uint32_t taker = balance_taker(balance);
    CHECK(taker != MAP_NOBODY); /* what is below the shares is at least what nobody has */
    slot->worker = balance_worker(plan->next, taker);
    slot->owner = (uint8_t)taker;
    balance->has[taker]++;
    if (!PLANTED(PLANTED_SAME_EPOCH) || slot->epoch == 0)
        slot->epoch = plan->version;
    if (PLANTED(PLANTED_SAME_GENERATION) && slot->generation > 0)
        return;
    slot->generation++;
    slot->genesis = plan->version;
}

/* Who gets what nobody has: active members; without any, those that are draining and have slots
 * still. */
static void adopt(struct plan *plan)
{
    struct balance balance;
    uint32_t shares = 0;
    balance_of(plan->next, MAP_ACTIVE, &balance);
    if (find_state(plan->next, MAP_ACTIVE) == MAP_NOBODY) {
        balance_of(plan->next, MAP_DRAINING, &balance);
        for (uint32_t i = 0; i < MAP_MEMBERS_MAX; i++)
            balance.weight[i] = balance.has[i] > 0 ? balance.weight[i] : 0;
        balance_share(&balance, plan->next->n_slots);
    }
    for (uint32_t i = 0; i < MAP_MEMBERS_MAX; i++)
        shares += balance.share[i];
    for (uint32_t i = 0; i < plan->next->n_slots && shares > 0; i++)
        if (plan->next->slots[i].owner == MAP_NOBODY)
            give_empty(plan, i, &balance);
}

static void begin_move(struct plan *plan, uint32_t avoid)
{
    struct balance balance;
    balance_of(plan->next, MAP_ACTIVE, &balance);
    uint32_t giver = balance_giver(&balance), taker = balance_taker(&balance);
    uint32_t number = giver != MAP_NOBODY && taker != MAP_NOBODY
                          ? balance_slot(plan->next, giver, avoid)
                          : MAP_SLOTS_MAX;
    if (number == MAP_SLOTS_MAX)
        return;
    struct map_slot *slot = &plan->next->slots[number];
    slot->target_worker = balance_worker(plan->next, taker);
    slot->target = (uint8_t)taker;
    slot->move = plan->version;
    plan->result->began_slot = number;
}

void plan_next(const struct map *map, const struct plan_view *view,
               const struct plan_options *options, struct map *next, struct plan_result *result)
{
    *result = (struct plan_result){ .failed_slot = MAP_SLOTS_MAX, .began_slot = MAP_SLOTS_MAX };
    struct plan plan = {
        .map = map, .view = view, .next = next, .result = result, .version = map->version + 1
    };
    CHECK(next != map);
    map_assign(next, map);
    find_nodes(&plan);
    settle_moves(&plan);
    uint32_t died = bury(&plan);
    plan_apps(&plan);
    join(&plan);
    for (uint32_t i = 0; i < MAP_MEMBERS_MAX; i++)
        if (map_member_exists(next, i))
            set_state(&plan, i);
    promote(&plan, died);
    adopt(&plan);
    if (options->may_move && map_same(map, next) && map_moving(next) == MAP_SLOTS_MAX)
        begin_move(&plan, options->avoid_slot);
    result->changed = !map_same(map, next);
    next->version += result->changed;
}
