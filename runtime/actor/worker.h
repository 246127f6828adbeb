/* A worker: a thread that owns partitions and runs them, one run at a time.
 *
 * It takes blocks in, orders each block's records by partition (a counting sort of offsets, so that
 * a partition's records lie together and prefetching pays), and queues one run per partition that
 * the block has records for. Runs of one partition are executed in the order in which they came.
 * Between partitions the worker prefers the one whose oldest waiting run has the most hops: what is
 * nearest to leaving the system leaves it first, which keeps memory low.
 *
 * A partition that stalls pins no block: its waiting records are copied out, into as many bytes as
 * they take, and their blocks go back. So one slow partition costs what waits for it, and not the
 * blocks of all the others.
 *
 * What a run means is the host's: it gives a table of upcalls. The worker knows blocks, partitions
 * and time, but no key and no PE.
 *
 * Groups: worker_post, worker_send, worker_wake: any thread. Everything else: the owner thread.
 */
#ifndef RUNTIME_ACTOR_WORKER_H
#define RUNTIME_ACTOR_WORKER_H

#include <pthread.h>

#include "runtime/actor/inbox.h"
#include "runtime/base/clock.h"
#include "runtime/base/diag.h"
#include "runtime/record/block.h"

#define WORKER_HOPS 256 /* distinct values of a record's hop count */

struct worker;
struct block_runs;

/* Whether a partition takes records, and why not. */
enum partition_stall {
    PARTITION_TAKES,
    PARTITION_STALLED, /* until partition_resume: what waits for it is copied out of its blocks */
    PARTITION_PAUSED,  /* the same with its whole app: blocks of its own, which may stay whole */
    PARTITION_HELD, /* as stalled, until partition_go: it comes from another place or goes there */
};

/* Records of one block for one partition. */
struct run {
    struct run *next; /* in the partition's queue */
    struct partition *partition;
    struct block_runs *runs; /* of the block */
    const struct block *block;
    const struct block_place *order; /* of this run's records, and behind them those of the
                                        block's next runs */
    uint32_t first;                  /* place in the block's order */
    uint32_t count;
    uint32_t done;       /* executed: a stalled run goes on from here */
    uint32_t next_count; /* records of the block's next run; 0: this is the last */
};

/* How a worker sees a partition; embedded in the host's. Owner: its worker's thread. */
struct partition {
    const struct worker *home; /* whose it is: runs on another are for none */
    uint16_t app;
    uint16_t slot;
    bool ready;      /* in the worker's ready list */
    uint8_t stalled; /* enum partition_stall */
    struct run *oldest;
    struct run *newest;
    struct run *copied; /* up to this run all are copied out; NULL: none is */
    struct partition *ready_next;
};

struct worker_ops {
    /* The partitions of an app by slot, each NULL if it is not here (any more). NULL: there is no
     * such app. */
    struct partition *const *(*partitions)(void *user, uint16_t app);
    /* So many records of a block are for a partition that is not here, and are dropped. */
    void (*astray)(void *user, const struct block *block, uint32_t records);
    /* Executes the run's records from run->done on; answers how many are done in total. Fewer than
     * count: the host has set `stalled`, or the run goes on later (worker_yield). */
    uint32_t (*records)(void *user, struct partition *partition, struct run *run);
    /* A block's records are in their partitions' runs. */
    void (*block_taken)(void *user, struct block *block);
    /* Records of it that must wait now lie in `copy`, a block of their own with its own end. */
    void (*block_copied)(void *user, const struct block *block, struct block *copy);
    /* They are all executed, dropped or copied out. */
    void (*block_done)(void *user, struct block *block);
    /* Hands on what the host has buffered. True: it did something. */
    bool (*flush)(void *user);
    /* Does what is due at worker_now_us; answers when it wants to be called again (wall clock). */
    uint64_t (*tick)(void *user);
    /* Called when there is no run: brings in more (sources, the network). True: there was
     * something. */
    bool (*idle)(void *user);
    /* Sleeps until the inbox's wake_fd is readable or the time is over; NULL: poll(2) on it. */
    void (*wait)(void *user, struct inbox *inbox, uint64_t timeout_us);
};

struct worker_options {
    const struct worker_ops *ops;
    void *user;
    const struct clock *clock;
    uint32_t slots;    /* destinations are below */
    uint64_t flush_us; /* the longest that a record waits in an open block while runs go on */
    uint32_t spins;    /* looks at the inbox before it sleeps after work; 0: none (inbox_spin) */
};

s4_status worker_create(const struct worker_options *options, struct worker **worker) MUST_USE;
s4_status worker_start(struct worker *worker, const char *name) MUST_USE; /* its thread */
void worker_stop(
    struct worker *worker); /* at the next run's end; joins. Without a thread: nothing */
void worker_destroy(struct worker *worker); /* NULL is fine; what waits is released */

/* Any thread: hands a block over (the hold goes along). */
void worker_send(struct worker *worker, struct block *block);
/* Any thread: has message->run(user, message) called between two runs. */
void worker_post(struct worker *worker, struct message *message);

/* Any thread: has it look around again. */
void worker_wake(struct worker *worker);
/* After worker_stop: runs the messages that are left, on this thread. */
void worker_drain_messages(struct worker *worker);

/* Owner thread: the same without the inbox, for blocks from itself. */
void worker_keep(struct worker *worker, struct block *block);
/* Owner thread, or while that stands still in a message: takes in what blocks have come, so that
 * their records wait in their partitions' queues. */
void worker_take_in(struct worker *worker);

/* Owner thread, within a run: it is the last of this round, so that the host gets to look around.
 */
void worker_yield(struct worker *worker);

/* One round: takes in, executes a bounded number of runs, flushes, ticks. False: nothing to do.
 * Engines without threads call it. */
bool worker_step(struct worker *worker);

/* The wall clock as of the last look: once per round, never per event. */
uint64_t worker_now_us(const struct worker *worker);

/* Takes records again, unless it is held; owner thread. */
void partition_resume(struct worker *worker, struct partition *partition);
/* It takes nothing until partition_go; what waits is copied out, and so is what comes. Owner
 * thread, or while that stands still. */
void partition_hold(struct worker *worker, struct partition *partition);
void partition_go(struct worker *worker, struct partition *partition);
/* A block all of whose records are for this partition, which is held: it goes before what waits.
 * The hold goes along. */
void partition_put_first(struct worker *worker, struct partition *partition, struct block *block);
/* Forgets all runs that wait for it (their records count as dropped); how many records. */
uint64_t partition_clear(struct worker *worker, struct partition *partition);
/* Records that wait. */
uint64_t partition_waiting(const struct partition *partition);

/* The i-th of a run's `count` records. */
static inline const struct record *run_record(const struct run *run, uint32_t i)
{
    return block_record(run->block->data, &run->order[i]);
}

#endif
