/* How many slots each member is to have, and where one goes next. Pure functions over a map; the
 * same map gives the same answer. Any thread.
 *
 * A member's weight is its number of workers. Its exact share, slots * weight / all weights, is cut
 * or raised to a whole number; who has more already is raised first, so that reaching the shares
 * takes as few moves as any whole shares allow: the sum of what members have beyond theirs. Each
 * move from one with too many to one with too few takes one off that sum, and the shares of the map
 * after it say the same.
 */
#ifndef ROUTER_MAP_BALANCE_H
#define ROUTER_MAP_BALANCE_H

#include "router/map/map.h"

struct balance {
    uint32_t weight[MAP_MEMBERS_MAX]; /* 0: gets nothing */
    uint32_t has[MAP_MEMBERS_MAX];    /* slots, counting one that moves where it moves to */
    uint32_t share[MAP_MEMBERS_MAX];
};

/* Of the members of a state. Without any such, all shares are 0. */
void balance_of(const struct map *map, enum map_state state, struct balance *balance);
/* The shares anew, after weights were changed. */
void balance_share(struct balance *balance, uint32_t slots);
/* What is to be moved until the active members have their shares and others have none. */
uint32_t balance_surplus(const struct map *map);
/* Who gets the next slot: below its share, and with the fewest slots by weight; MAP_NOBODY. */
uint32_t balance_taker(const struct balance *balance);
/* Who gives the next one: first those that are to have none, then the one with the most beyond its
 * share; MAP_NOBODY. */
uint32_t balance_giver(const struct balance *balance);

/* The worker of a member that has the fewest slots, coming ones counted. */
uint8_t balance_worker(const struct map *map, uint32_t member);
/* Which slot a member gives: the first of its worker that has the most; not `avoid` if it has
 * another. MAP_SLOTS_MAX: it has none. */
uint32_t balance_slot(const struct map *map, uint32_t member, uint32_t avoid);

#endif
