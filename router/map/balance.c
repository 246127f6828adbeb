/* Shares and choices; see the header. */
#include "router/map/balance.h"

static uint64_t remainder_of(const struct balance *balance, uint32_t i, uint32_t slots,
                             uint64_t total)
{
    return (uint64_t)slots * balance->weight[i] % total;
}

/* Whether `i` is raised before `best`: it has more than its cut share already, or a greater
 * remainder. */
static bool raised_before(const struct balance *balance, uint32_t i, uint32_t best, uint32_t slots,
                          uint64_t total)
{
    bool i_has = balance->has[i] > balance->share[i];
    bool best_has = balance->has[best] > balance->share[best];
    return i_has != best_has
               ? i_has
               : remainder_of(balance, i, slots, total) > remainder_of(balance, best, slots, total);
}

void balance_share(struct balance *balance, uint32_t slots)
{
    uint64_t total = 0;
    uint32_t left = slots;
    bool raised[MAP_MEMBERS_MAX] = { false };
    memset(balance->share, 0, sizeof balance->share);
    for (uint32_t i = 0; i < MAP_MEMBERS_MAX; i++)
        total += balance->weight[i];
    for (uint32_t i = 0; i < MAP_MEMBERS_MAX && total > 0; i++) {
        balance->share[i] = (uint32_t)((uint64_t)slots * balance->weight[i] / total);
        left -= balance->share[i];
        raised[i] = remainder_of(balance, i, slots, total) == 0;
    }
    for (; total > 0 && left > 0; left--) { /* fewer than there are members with a remainder */
        uint32_t best = MAP_NOBODY;
        for (uint32_t i = 0; i < MAP_MEMBERS_MAX; i++)
            if (!raised[i] && (best == MAP_NOBODY || raised_before(balance, i, best, slots, total)))
                best = i;
        CHECK(best != MAP_NOBODY);
        raised[best] = true;
        balance->share[best]++;
    }
}

void balance_of(const struct map *map, enum map_state state, struct balance *balance)
{
    memset(balance, 0, sizeof *balance);
    for (uint32_t i = 0; i < MAP_MEMBERS_MAX; i++) {
        const struct map_member *member = &map->members[i];
        if (!map_member_exists(map, i))
            continue;
        balance->has[i] = map_slots_of(map, i, true);
        balance->weight[i] = member->state == state ? member->workers : 0;
    }
    balance_share(balance, map->n_slots);
}

uint32_t balance_surplus(const struct map *map)
{
    struct balance balance;
    uint32_t surplus = 0, shares = 0;
    balance_of(map, MAP_ACTIVE, &balance);
    for (uint32_t i = 0; i < MAP_MEMBERS_MAX; i++) {
        shares += balance.share[i];
        if (balance.has[i] > balance.share[i])
            surplus += balance.has[i] - balance.share[i];
    }
    return shares > 0 ? surplus : 0;
}

static bool fewer_by_weight(const struct balance *balance, uint32_t a, uint32_t b)
{
    return (uint64_t)balance->has[a] * balance->weight[b] <
           (uint64_t)balance->has[b] * balance->weight[a];
}

uint32_t balance_taker(const struct balance *balance)
{
    uint32_t best = MAP_NOBODY;
    for (uint32_t i = 0; i < MAP_MEMBERS_MAX; i++)
        if (balance->has[i] < balance->share[i] &&
            (best == MAP_NOBODY || fewer_by_weight(balance, i, best)))
            best = i;
    return best;
}

uint32_t balance_giver(const struct balance *balance)
{
    uint32_t best = MAP_NOBODY;
    for (uint32_t i = 0; i < MAP_MEMBERS_MAX; i++) {
        if (balance->has[i] <= balance->share[i])
            continue;
        if (best == MAP_NOBODY || (balance->weight[i] == 0) > (balance->weight[best] == 0) ||
            ((balance->weight[i] == 0) == (balance->weight[best] == 0) &&
             balance->has[i] - balance->share[i] > balance->has[best] - balance->share[best]))
            best = i;
    }
    return best;
}

/* ---- within a member ------------------------------------------------------------------------- */

static void count_workers(const struct map *map, uint32_t member, bool coming,
                          uint32_t count[MAP_WORKERS_MAX])
{
    memset(count, 0, MAP_WORKERS_MAX * sizeof count[0]);
    for (uint32_t i = 0; i < map->n_slots; i++) {
        const struct map_slot *slot = &map->slots[i];
        bool moves = coming && slot->target != MAP_NOBODY;
        if ((moves ? slot->target : slot->owner) == member)
            count[moves ? slot->target_worker : slot->worker]++;
    }
}

uint8_t balance_worker(const struct map *map, uint32_t member)
{
    uint32_t count[MAP_WORKERS_MAX], best = 0;
    count_workers(map, member, true, count);
    for (uint32_t w = 1; w < map->members[member].workers; w++)
        if (count[w] < count[best])
            best = w;
    return (uint8_t)best;
}

uint32_t balance_slot(const struct map *map, uint32_t member, uint32_t avoid)
{
    uint32_t count[MAP_WORKERS_MAX], best = MAP_SLOTS_MAX;
    count_workers(map, member, false, count);
    for (uint32_t i = 0; i < map->n_slots; i++) {
        const struct map_slot *slot = &map->slots[i];
        if (slot->owner != member || slot->target != MAP_NOBODY || i == avoid)
            continue;
        if (best == MAP_SLOTS_MAX || count[slot->worker] > count[map->slots[best].worker])
            best = i;
    }
    bool only = best == MAP_SLOTS_MAX && avoid < map->n_slots &&
                map->slots[avoid].owner == member && map->slots[avoid].target == MAP_NOBODY;
    return only ? avoid : best;
}
