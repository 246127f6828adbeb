/* Clients of the whole cluster. Each injects its batches one after the other, by whichever node it
 * asks, until one says that the batch is applied; a batch that a node had when its slot began empty
 * elsewhere is in doubt, and given up, as the program does it.
 */
#include <check.h>

#include "pe/node/node_inside.h"
#include "router/map/slots.h"
#include "runtime/base/hash.h"
#include "runtime/base/mem.h"
#include "runtime/text/json.h"
#include "tests/sim/whole.h"

#define THINK_US_MAX 150000u
#define RETRY_US_MAX 20000u

/* What a node was asked. */
struct asked {
    struct whole_producer *producer;
    uint64_t serial;
};

static void draw_batch(struct whole_producer *p)
{
    struct whole *whole = p->whole;
    p->wanted = true;
    p->tried = false;
    p->number++;
    p->left--;
    p->n_events = 1 + (uint32_t)whole_below(whole, WHOLE_EVENTS_MAX);
    for (uint32_t i = 0; i < p->n_events; i++) {
        uint32_t station = (uint32_t)whole_below(whole, WALKS_STATIONS);
        p->events[i] = (struct whole_event){ station, whole->walks++,
                                             (uint32_t)whole_below(whole, WALKS_HOPS_MAX + 1),
                                             ++p->sent[station] };
    }
}

static void over(struct whole_producer *p, bool acked)
{
    struct whole *whole = p->whole;
    p->wanted = p->asked = false;
    p->due_us = whole->clock.now_us + whole_below(whole, THINK_US_MAX);
    whole_trace(whole, acked ? 'k' : 'd', p->index, p->number);
    if (!acked) {
        whole->in_doubt++;
        return;
    }
    whole->acked++;
    for (uint32_t i = 0; i < p->n_events; i++)
        walks_oracle(&whole->expected, p->events[i].station, p->events[i].walk, p->events[i].hops);
}

static void answered(void *user, s4_status status)
{
    struct asked *asked = user;
    struct whole_producer *p = asked->producer;
    bool mine = p->wanted && p->asked && asked->serial == p->serial;
    mem_free(asked);
    if (!mine)
        return;
    p->whole->busy_us = p->whole->clock.now_us;
    p->asked = false;
    p->due_us = p->whole->clock.now_us + whole_below(p->whole, RETRY_US_MAX);
    if (status == S4_OK || status == S4_DUPLICATE)
        over(p, true);
    else if (status != S4_UNAVAILABLE)
        whole_broke(p->whole, "producer %u: %s", p->index, s4_status_text(status));
}

/* The node that owns the producer's slot, as a node says that was asked. */
static struct whole_node *find_owner(struct whole_producer *p)
{
    struct whole *whole = p->whole;
    const struct whole_node *node = &whole->nodes[whole_below(whole, whole->draw.nodes)];
    if (!node->up || node->paused_us || !node->rig.engine)
        return NULL;
    const struct map *map = cluster_map(membership_cluster(node->membership));
    uint32_t owner = map ? map->slots[p->slot].owner : MAP_NOBODY;
    return owner == MAP_NOBODY ? NULL : whole_node_of(whole, map->members[owner].incarnation);
}

static void add_events(const struct whole_producer *p, struct injection *injection)
{
    struct writer writer;
    writer_init(&writer);
    for (uint32_t i = 0; i < p->n_events; i++) {
        char line[200];
        struct value value;
        struct diag diag = { 0 };
        const struct whole_event *event = &p->events[i];
        int len = snprintf(line, sizeof line,
                           "{\"station\":%u,\"from\":%u,\"number\":%u,\"life\":%llu,\"walk\":%u,"
                           "\"hops\":%u}",
                           event->station, WALKS_STATIONS + p->index, event->number,
                           (unsigned long long)p->life, event->walk, event->hops);
        ck_assert_msg(json_read(&writer, injection_type(injection), line, (size_t)len, &value,
                                &diag) == S4_OK,
                      "%s", diag.text);
        ck_assert_int_eq(injection_add(injection, &value, &diag), S4_OK);
    }
    writer_fini(&writer);
}

/* True: the node has it. */
static bool inject(struct whole_producer *p, struct whole_node *node)
{
    struct diag diag = { 0 };
    struct injection *injection;
    const struct map *map = membership_node(node->membership)->map;
    if (!map || engine_inject_begin(node->rig.engine, s4_plugin.name, "visits", p->id, p->number,
                                    &injection, &diag) != S4_OK)
        return false;
    uint64_t generation = map->slots[p->slot].generation;
    if (p->tried && p->generation != generation) {
        injection_destroy(injection);
        over(p, false);
        return false;
    }
    p->life += p->generation != generation;
    p->generation = generation;
    struct asked *asked = mem_zalloc(sizeof *asked);
    ck_assert_ptr_nonnull(asked);
    *asked = (struct asked){ p, ++p->serial };
    add_events(p, injection);
    p->asked = true; /* it may be answered at once */
    s4_status status =
        engine_inject(node->rig.engine, &injection, INJECTION_APPLIED, answered, asked);
    if (status != S4_OK) {
        mem_free(asked);
        injection_destroy(injection);
        p->asked = false;
        return false;
    }
    p->whole->retried += p->tried;
    p->tried = true;
    p->asked_of = cluster_incarnation(membership_cluster(node->membership));
    return true;
}

/* Who was asked is gone: nobody will answer. */
static void look_at_asked(struct whole_producer *p)
{
    if (whole_node_of(p->whole, p->asked_of))
        return;
    p->asked = false;
    p->serial++;
}

static bool step(struct whole_producer *p)
{
    struct whole *whole = p->whole;
    if (p->asked) {
        look_at_asked(p);
        return false;
    }
    if (p->due_us > whole->clock.now_us || (!p->wanted && p->left == 0))
        return false;
    if (!p->wanted)
        draw_batch(p);
    struct whole_node *node = find_owner(p);
    if (!node || node->paused_us || !node->rig.engine || !inject(p, node))
        p->due_us = whole->clock.now_us + whole_below(whole, RETRY_US_MAX);
    return true;
}

bool whole_client_step(struct whole *whole)
{
    return step(&whole->producers[whole_below(whole, whole->draw.producers)]);
}

bool whole_clients_are_done(const struct whole *whole)
{
    for (uint32_t i = 0; i < whole->draw.producers; i++)
        if (whole->producers[i].wanted || whole->producers[i].left > 0)
            return false;
    return true;
}

void whole_clients_go_on(struct whole *whole, uint32_t batches)
{
    for (uint32_t i = 0; i < whole->draw.producers; i++)
        whole->producers[i].left += batches;
}

void whole_clients_start(struct whole *whole)
{
    for (uint32_t i = 0; i < whole->draw.producers; i++) {
        struct whole_producer *p = &whole->producers[i];
        *p = (struct whole_producer){ .whole = whole, .index = i };
        p->id = rng_next(&whole->rng) | 1;
        p->slot = slot_of_hash(hash_bytes(&p->id, sizeof p->id), whole->draw.slots);
    }
}
