/* A tail: what happens to one output from now on, for one reader, over many partitions.
 *
 *     worker 0  --changes of its partitions-->  [ queue ] --.
 *     worker 1  --changes of its partitions-->  [ queue ] ---+-->  tail_next, on one thread
 *
 * Whoever owns a partition offers each change to the output's tails as a call makes it, and ends
 * the call: its changes are read by nobody before the commit, and never after a rollback. It never
 * waits. What does not fit into the worker's queue is left out; since changes are numbered per
 * partition, the reader sees the gap, and is told how many it missed before whatever comes behind
 * it, or as soon as it has read the rest. So of each partition the reader gets, in order, all
 * changes or how many of them it did not get.
 *
 * A tail lives as long as anybody holds it: its reader, and each partition that offers to it. The
 * reader may outlive the partitions: what they offered is read, then the end.
 */
#ifndef PE_OUTPUT_TAIL_H
#define PE_OUTPUT_TAIL_H

#include "pe/output/query.h"

#define TAIL_BYTES_DEFAULT (4 * MIB) /* of each worker's queue */
#define TAIL_BYTES_MAX     (1024 * MIB)
#define TAIL_ITEM_BYTES    32u /* that a change takes in a queue, besides its row */
#define OUTPUT_TAILS_MAX   64u /* of one output in one partition */

struct tail;
struct tails;

struct tail_options {
    const char *output;      /* its name, for messages */
    const struct type *type; /* of its rows; alive until `release` */
    const char *key_text;    /* a table's key attributes "a,b.c"; NULL: a log */
    const char *key;         /* only the row of this key, as a person writes it; NULL: all */
    const char *prefix;      /* only rows whose key begins so; NULL: all */
    bool kept;               /* the rows that are there come first; then TAIL_CAUGHT_UP */
    uint32_t slots;
    uint32_t workers;
    size_t bytes_max; /* of each worker's queue, a multiple of 8; 0: default */
    /* There is something to read, after tail_sleep answered true; once. On a thread of whoever
     * offers: it must not block. NULL: nobody is woken. */
    void (*wake)(void *user);
    void *user;
    void (*release)(void *owned); /* with the last hold, on any thread; NULL: nothing */
    void *owned;
};

/* The reader holds it. S4_TYPE, S4_MALFORMED, S4_RANGE: the key or the prefix, as query_compile. */
s4_status tail_create(const struct tail_options *options, struct tail **tail,
                      struct diag *diag) MUST_USE;

/* ---- the owner of a partition ---------------------------------------------------------------- */

/* From now on the partition's changes are offered. *tails is what it has of the output: NULL, or
 * what earlier calls gave. `next` is the number of its next change: a log's rows have their own. A
 * pin of what is there may be given along (its table or log, NULL: none), taken on success: the
 * reader gets those rows first. Not within a call. S4_FULL: OUTPUT_TAILS_MAX; S4_NO_MEMORY. */
s4_status tails_add(struct tails **tails, struct tail *tail, uint32_t slot, uint32_t worker,
                    uint64_t next, const struct query_pin *pin) MUST_USE;

enum tail_kind {
    TAIL_KEPT = 1,  /* a row that was there before */
    TAIL_ROW,       /* appended to a log; the row of its key from now on in a table */
    TAIL_REMOVED,   /* from a table: unpublished or dropped; the row as it was */
    TAIL_MISSED,    /* here so many changes of a partition were left out */
    TAIL_CAUGHT_UP, /* all rows that were there before have come */
    TAIL_ENDED      /* every partition has gone */
};

/* Whether a tail that was made with this `user`, and whose reader has not gone, is among them. */
bool tails_has(const struct tails *tails, const void *user);
/* A change of the running call: TAIL_ROW or TAIL_REMOVED. The row's references count from
 * OUTPUT_ROW_BASE; it is copied. The key is canonical; of a log NULL. */
void tails_offer(struct tails *tails, enum tail_kind kind, uint64_t time_us, const char *key,
                 size_t key_len, const struct value *row);
/* Ends a call. */
void tails_commit(struct tails *tails);
void tails_rollback(struct tails *tails);
/* Forgets tails whose readers have gone. Cheap when there is nothing to do; not within a call. */
void tails_sweep(struct tails **tails);
/* The partition goes. NULL is fine. */
void tails_end(struct tails **tails);

/* ---- the reader: one thread at a time -------------------------------------------------------- */

struct tail_item {
    enum tail_kind kind;
    uint32_t partition;
    uint64_t number;    /* of a change in its partition: rises by one. 0 of a table's kept rows */
    uint64_t time_us;   /* the partition's when it changed; of a table's kept rows, of the pin */
    uint64_t missed;    /* TAIL_MISSED: how many; the last of them is `number` */
    struct value value; /* borrowed until the next call */
};

/* S4_AGAIN: there is nothing now. S4_NO_MEMORY: try again. TAIL_ENDED comes again and again. */
s4_status tail_next(struct tail *tail, struct tail_item *item) MUST_USE;
/* Wants to be woken. False: there is something to read, and nobody will wake. */
bool tail_sleep(struct tail *tail) MUST_USE;
/* The reader goes. NULL is fine. */
void tail_close(struct tail *tail);

#endif
