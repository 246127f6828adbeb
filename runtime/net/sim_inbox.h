/* What is on its way to an endpoint of the simulated network, by due time. Under the network's
 * lock. */
#ifndef RUNTIME_NET_SIM_INBOX_H
#define RUNTIME_NET_SIM_INBOX_H

#include "runtime/record/block.h"

struct sim_conn;

enum item_kind { ITEM_CONNECTED, ITEM_MESSAGE, ITEM_CLOSED };

struct sim_item {
    uint64_t due_us;
    uint64_t number; /* ties */
    enum item_kind kind;
    struct sim_conn *conn; /* of transport_sim.c */
    int side;              /* of the receiver */
    const char *reason;    /* ITEM_CLOSED: static */
    struct block *block;   /* one hold, or NULL */
    uint64_t flip;         /* bit to flip when it arrives, plus one; 0: none */
    size_t size;
    char envelope[];
};

struct sim_inbox {
    struct sim_item **heap; /* the first is due first; owned */
    size_t count, capacity;
};

struct sim_item *sim_item_create(enum item_kind kind, struct sim_conn *conn, int side, size_t size);
void sim_item_destroy(struct sim_item *item); /* gives back its block; NULL is fine */
/* Flips the item's bit, if it has one, in its envelope or in `block`, the receiver's copy. */
void sim_item_flip(struct sim_item *item, struct block *block);

void sim_inbox_fini(struct sim_inbox *inbox); /* zeroed memory is an empty inbox */
/* Room for `more` pushes, which cannot fail then. */
bool sim_inbox_room(struct sim_inbox *inbox, size_t more) MUST_USE;
void sim_inbox_push(struct sim_inbox *inbox, struct sim_item *item);
struct sim_item *sim_inbox_pop(struct sim_inbox *inbox);  /* NULL: empty */
uint64_t sim_inbox_due_us(const struct sim_inbox *inbox); /* of the first; UINT64_MAX: empty */

#endif
