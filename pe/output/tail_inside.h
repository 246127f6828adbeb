/* How a tail lies in memory: for tail.c, tail_offer.c and nobody else.
 *
 * A queue is a ring of bytes between two counts that only rise: the worker writes behind `head`,
 * and moves it when a call commits; the reader reads up to `head`, and moves `read`. An item is its
 * head and the row's bytes, and may go round the ring's end.
 */
#ifndef PE_OUTPUT_TAIL_INSIDE_H
#define PE_OUTPUT_TAIL_INSIDE_H

#include <stdatomic.h>

#include "pe/output/tail.h"
#include "router/key/key.h"

struct item_head {
    uint32_t size; /* of the row */
    uint16_t slot;
    uint16_t kind;
    uint64_t number;
    uint64_t time_us;
    uint64_t zero;
};
_Static_assert(sizeof(struct item_head) == TAIL_ITEM_BYTES, "as the header says");

/* What one worker offers. */
struct tail_queue {
    /* Immutable. */
    char *ring; /* owned */
    size_t capacity;
    /* Worker. */
    uint64_t write;          /* of the running call */
    uint64_t left_out;       /* by the running call */
    _Atomic uint64_t head;   /* release in the commit pairs with acquire in the reader */
    _Atomic uint64_t missed; /* changes left out, as head; stored after `next` of its place */
    /* Reader. */
    char apart[CACHE_LINE];
    _Atomic uint64_t read; /* release, pairs with acquire in the worker: what is before it may be
                              written over */
    uint64_t told;         /* of the missed ones */
};

/* One partition. */
struct tail_place {
    uint64_t number;       /* worker: of the next change, in the running call */
    _Atomic uint64_t next; /* the same as committed: release, after the queue's head; the reader
                              acquires it before the head, so that all below it lie before that */
    uint64_t expected;     /* reader: the next number that it has not heard of */
    uint32_t worker;       /* immutable once offered to */
    bool used;
    struct query_pin pin; /* the reader's, once all partitions offer */
};

struct tail {
    const struct type *type;
    bool by_key;
    struct key_spec spec;
    struct buffer key; /* canonical; of by_key */
    char *prefix;      /* owned; NULL: all */
    size_t prefix_len;
    void (*wake)(void *user);
    void *user;
    void (*release)(void *owned);
    void *owned;
    uint32_t slots;
    uint32_t workers;
    struct tail_queue *queues; /* [workers], owned */
    struct tail_place *places; /* [slots], owned */
    _Atomic uint32_t holds;    /* acq_rel: the last one frees */
    _Atomic uint32_t offering; /* partitions; release when one goes pairs with acquire in the
                                  reader: all that it offered is there */
    _Atomic bool closed;       /* by the reader; relaxed: who offers may hear of it later */
    _Atomic bool sleeping;     /* seq_cst with a fence on both sides: see tail_sleep */
    /* Reader. */
    bool kept;       /* rows of pins come first */
    uint32_t at_pin; /* the place whose pin is read */
    bool reading;    /* with the cursors below */
    struct table_cursor table;
    struct rowlog_cursor log;
    uint32_t at_queue; /* whose turn it is */
    struct buffer row;
};

/* Whether the tail is of this key. */
bool tail_matches(const struct tail *tail, const char *key, size_t key_len);
void tail_release(struct tail *tail);
/* If the reader sleeps. */
void tail_wake(struct tail *tail);

#endif
