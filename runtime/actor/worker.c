/* The worker's loop; see the header for what it promises.
 *
 * The way of a block: inbox -> block_take_in (sort, runs) -> partitions' queues -> ready lists by
 * hops -> ops->records -> block_done, release. `struct block_runs` (runs.h) is what a worker knows
 * of one block: the order of its records and its runs; it is recycled with the blocks, so that the
 * steady state does not allocate.
 *
 * README.md has the rules; here are 4 (block_take_in), 5 and 6 (ready lists), 7 (worker_step), 8
 * (run_finish) and 9 (runs_set_aside). Of a partition that is PARTITION_STALLED every waiting run
 * is a copy, if there was memory for it.
 */
#include "runtime/actor/worker.h"

#include <errno.h>
#include <poll.h>

#include "runtime/actor/runs.h"
#include "runtime/base/mem.h"

#define RUNS_PER_ROUND 64 /* before the inbox, the clock and the timers are looked at again */
#define WAIT_MAX_US    100000u

struct worker {
    struct worker_options options;
    struct inbox inbox;
    struct block *kept; /* from itself, oldest first */
    struct block **kept_end;
    uint64_t now_us;
    uint64_t tick_us; /* when ops->tick wants to be called */
    uint64_t flushed_us;
    bool yields;                           /* no further run in this round */
    uint64_t ready_bits[WORKER_HOPS / 64]; /* hops that have a list that is not empty */
    uint32_t ready_words;                  /* and which of these words are not 0 */
    struct {
        struct partition *first;
        struct partition *last;
    } ready[WORKER_HOPS];
    struct block_runs *free_runs;
    uint32_t *counts; /* per slot; all zero between two blocks */
    uint16_t *touched;
    struct block_place *places; /* scratch, for blocks that come without */
    uint32_t places_max;
    pthread_t thread;
    bool has_thread;
    _Atomic bool stop; /* relaxed: only ends the loop; the join orders the rest */
};

/* ---- runs ---------------------------------------------------------------------------------- */

static bool runs_grow(struct block_runs *runs, uint32_t records, uint32_t n_runs)
{
    if (records > runs->order_max) {
        struct block_place *order = mem_realloc(runs->order, records * sizeof *order);
        if (!order)
            return false;
        runs->order = order;
        runs->order_max = records;
    }
    if (n_runs > runs->runs_max) {
        struct run *list = mem_realloc(runs->runs, n_runs * sizeof *list);
        if (!list)
            return false;
        runs->runs = list;
        runs->runs_max = n_runs;
    }
    return true;
}

static struct block_runs *runs_take(struct worker *worker)
{
    struct block_runs *runs = worker->free_runs;
    if (runs) {
        worker->free_runs = runs->next;
        return runs;
    }
    return mem_zalloc(sizeof *runs);
}

static void runs_give(struct worker *worker, struct block_runs *runs)
{
    runs->next = worker->free_runs;
    worker->free_runs = runs;
}

static void runs_destroy(struct block_runs *runs)
{
    mem_free(runs->order);
    mem_free(runs->runs);
    mem_free(runs);
}

static void run_finish(struct worker *worker, struct run *run)
{
    struct block_runs *runs = run->runs;
    if (--runs->runs_left > 0)
        return;
    struct block *block = runs->block;
    worker->options.ops->block_done(worker->options.user, block);
    if (LIKELY(!block->copied)) /* else they lie in it */
        runs_give(worker, runs);
    block_release(block);
}

/* The run that waits in this one's stead: a copy, or itself if there is no memory. */
static struct run *run_set_aside(struct worker *worker, struct run *run)
{
    struct run *copy = run_copy(run);
    if (!copy)
        return run;
    worker->options.ops->block_copied(worker->options.user, run->runs->block, copy->runs->block);
    run_finish(worker, run);
    return copy;
}

/* Whether what waits for it lies in copies. */
static inline bool is_set_aside(const struct partition *partition)
{
    return partition->stalled == PARTITION_STALLED || partition->stalled == PARTITION_HELD;
}

/* The partition has stalled: whatever came for it since it last did is copied out. */
static void runs_set_aside(struct worker *worker, struct partition *partition)
{
    struct run *last = partition->copied;
    struct run **at = last ? &last->next : &partition->oldest;
    while (*at) {
        struct run *next = (*at)->next;
        struct run *stays = run_set_aside(worker, *at);
        stays->next = next;
        *at = last = stays;
        at = &stays->next;
    }
    partition->newest = partition->copied = last;
}

/* ---- ready lists --------------------------------------------------------------------------- */

static void ready_push(struct worker *worker, struct partition *partition)
{
    if (partition->ready || partition->stalled || !partition->oldest)
        return;
    uint8_t hops = partition->oldest->runs->block->hops;
    partition->ready = true;
    partition->ready_next = NULL;
    struct partition *last = worker->ready[hops].last;
    worker->ready[hops].last = partition;
    if (LIKELY(worker->ready[hops].first != NULL)) {
        last->ready_next = partition;
        return;
    }
    worker->ready[hops].first = partition;
    worker->ready_bits[hops / 64] |= UINT64_C(1) << (hops % 64);
    worker->ready_words |= 1u << (hops / 64);
}

static void ready_emptied(struct worker *worker, uint32_t hops)
{
    uint64_t bits = worker->ready_bits[hops / 64] & ~(UINT64_C(1) << (hops % 64));
    worker->ready_bits[hops / 64] = bits;
    if (bits == 0)
        worker->ready_words &= ~(1u << (hops / 64));
}

static struct partition *ready_pop(struct worker *worker)
{
    if (worker->ready_words == 0)
        return NULL;
    uint32_t word = 31u - (uint32_t)__builtin_clz(worker->ready_words);
    uint32_t hops = word * 64 + 63u - (uint32_t)__builtin_clzll(worker->ready_bits[word]);
    struct partition *partition = worker->ready[hops].first;
    worker->ready[hops].first = partition->ready_next;
    if (!partition->ready_next)
        ready_emptied(worker, hops);
    partition->ready = false;
    return partition;
}

/* A partition whose queue was emptied from outside must leave its ready list. */
static void ready_remove(struct worker *worker, struct partition *partition)
{
    if (!partition->ready)
        return;
    for (uint32_t hops = 0; hops < WORKER_HOPS; hops++) {
        struct partition **at = &worker->ready[hops].first;
        struct partition *before = NULL;
        for (; *at; before = *at, at = &(*at)->ready_next) {
            if (*at != partition)
                continue;
            *at = partition->ready_next;
            if (worker->ready[hops].last == partition)
                worker->ready[hops].last = before;
            if (!worker->ready[hops].first)
                ready_emptied(worker, hops);
            partition->ready = false;
            return;
        }
    }
}

void partition_resume(struct worker *worker, struct partition *partition)
{
    if (partition->stalled == PARTITION_HELD)
        return;
    partition->stalled = PARTITION_TAKES;
    ready_push(worker, partition);
}

void partition_hold(struct worker *worker, struct partition *partition)
{
    ready_remove(worker, partition);
    partition->stalled = PARTITION_HELD;
    runs_set_aside(worker, partition);
}

void partition_go(struct worker *worker, struct partition *partition)
{
    CHECK(partition->stalled == PARTITION_HELD);
    partition->stalled = PARTITION_TAKES;
    ready_push(worker, partition);
}

uint64_t partition_waiting(const struct partition *partition)
{
    uint64_t n = 0;
    for (const struct run *run = partition->oldest; run; run = run->next)
        n += run->count - run->done;
    return n;
}

uint64_t partition_clear(struct worker *worker, struct partition *partition)
{
    uint64_t n = partition_waiting(partition);
    ready_remove(worker, partition);
    struct run *run = partition->oldest;
    partition->oldest = partition->newest = partition->copied = NULL;
    while (run) {
        struct run *next = run->next;
        run_finish(worker, run);
        run = next;
    }
    return n;
}

/* ---- taking a block in --------------------------------------------------------------------- */

/* The places of a block's records: those that were noted as they were written, or found now. */
static const struct block_place *places_find(struct worker *worker, const struct block *block)
{
    if (LIKELY(block->placed))
        return block_places(block);
    uint32_t n = block->count + (block->count == 0); /* a block may have none */
    if (n > worker->places_max) {
        struct block_place *grown = mem_realloc(worker->places, n * sizeof *worker->places);
        if (!grown)
            return NULL;
        worker->places = grown;
        worker->places_max = n;
    }
    struct block_place *place = worker->places;
    const struct record *end = block_end(block);
    for (const struct record *r = block_first(block); r < end; r = record_next(r))
        *place++ = block_place_of(block, r);
    return worker->places;
}

/* Counts the records per destination and notes which there are; answers how many. A block of few
 * records is looked at record by record, lest it cost a look at every slot. */
static uint32_t sort_count_few(struct worker *worker, const struct block_place *places, uint32_t n)
{
    uint32_t n_touched = 0;
    for (uint32_t i = 0; i < n; i++)
        if (worker->counts[places[i].dst]++ == 0)
            worker->touched[n_touched++] = places[i].dst;
    return n_touched;
}

static uint32_t sort_count(struct worker *worker, const struct block_place *places, uint32_t n)
{
    uint32_t *counts = worker->counts; /* in registers: what is written could alias *worker */
    uint32_t slots = worker->options.slots;
    if (n < slots)
        return sort_count_few(worker, places, n);
    for (const struct block_place *place = places, *end = places + n; place < end; place++)
        counts[place->dst]++;
    uint32_t n_touched = 0;
    for (uint32_t slot = 0; slot < slots; slot++)
        if (counts[slot])
            worker->touched[n_touched++] = (uint16_t)slot;
    return n_touched;
}

/* Makes one run per destination and turns the counts into places in the order. */
static void sort_runs(struct worker *worker, struct block_runs *runs, uint32_t n_touched)
{
    const struct worker_options *options = &worker->options;
    struct partition *const *partitions = options->ops->partitions(options->user, runs->block->app);
    uint32_t *counts = worker->counts;
    uint32_t at = 0;
    for (uint32_t t = 0; t < n_touched; t++) {
        uint16_t slot = worker->touched[t];
        struct run *run = &runs->runs[t];
        uint32_t count = counts[slot];
        struct partition *partition = partitions ? partitions[slot] : NULL;
        run->partition = partition && partition->home == worker ? partition : NULL;
        run->runs = runs;
        run->block = runs->block;
        run->order = runs->order + at;
        run->first = at;
        run->count = count;
        run->done = 0;
        run->next_count = t + 1 < n_touched ? counts[worker->touched[t + 1]] : 0;
        counts[slot] = at;
        at += count;
    }
}

static void sort_place(struct worker *worker, struct block_runs *runs,
                       const struct block_place *places)
{
    struct block_place *order = runs->order;
    uint32_t *counts = worker->counts;
    for (const struct block_place *place = places, *end = places + runs->block->count; place < end;
         place++)
        order[counts[place->dst]++] = *place;
}

static void run_queue(struct worker *worker, struct run *run)
{
    struct partition *partition = run->partition;
    if (UNLIKELY(is_set_aside(partition)))
        partition->copied = run = run_set_aside(worker, run);
    run->next = NULL;
    if (partition->newest)
        partition->newest->next = run;
    else
        partition->oldest = run;
    partition->newest = run;
    ready_push(worker, partition);
}

/* A run of all that is in the block, in its order. */
void partition_put_first(struct worker *worker, struct partition *partition, struct block *block)
{
    CHECK(partition->stalled == PARTITION_HELD && block->count > 0);
    struct block_runs *runs = runs_take(worker);
    const struct block_place *places = places_find(worker, block);
    CHECK(runs && places && runs_grow(runs, block->count, 1));
    runs->block = block;
    runs->n_runs = runs->runs_left = 1;
    memcpy(runs->order, places, block->count * sizeof *places);
    struct run *run = runs->runs;
    *run = (struct run){ .next = partition->oldest,
                         .partition = partition,
                         .runs = runs,
                         .block = block,
                         .order = runs->order,
                         .count = block->count };
    partition->oldest = run;
    if (!partition->newest)
        partition->newest = run;
    if (!partition->copied)
        partition->copied = run;
    worker->options.ops->block_taken(worker->options.user, block);
}

/* Orders a block's records and queues its runs. Memory is needed only while the working set grows;
 * an engine that cannot have these few kilobytes cannot go on without losing records. */
static void block_take_in(struct worker *worker, struct block *block)
{
    struct block_runs *runs = runs_take(worker);
    const struct block_place *places = places_find(worker, block);
    CHECK(runs && places);
    runs->block = block;
    uint32_t n_touched = sort_count(worker, places, block->count);
    CHECK(runs_grow(runs, block->count, n_touched));
    sort_runs(worker, runs, n_touched);
    sort_place(worker, runs, places);
    for (uint32_t t = 0; t < n_touched; t++)
        worker->counts[worker->touched[t]] = 0;
    runs->n_runs = n_touched;
    runs->runs_left = n_touched + 1; /* one for this function */
    for (uint32_t t = 0; t < n_touched; t++) {
        struct run *run = &runs->runs[t];
        if (LIKELY(run->partition != NULL)) {
            run_queue(worker, run);
            continue;
        }
        worker->options.ops->astray(worker->options.user, block, run->count);
        run_finish(worker, run);
    }
    worker->options.ops->block_taken(worker->options.user, block);
    struct run self = { .runs = runs };
    run_finish(worker, &self);
}

static bool take_blocks(struct worker *worker)
{
    bool any = false;
    struct block *lists[2] = { worker->kept, inbox_take_blocks(&worker->inbox) };
    worker->kept = NULL;
    worker->kept_end = &worker->kept;
    for (size_t i = 0; i < ARRAY_LEN(lists); i++) {
        for (struct block *block = lists[i]; block;) {
            struct block *next = block->next;
            block_take_in(worker, block);
            block = next;
            any = true;
        }
    }
    return any;
}

void worker_take_in(struct worker *worker)
{
    take_blocks(worker);
}

static bool take_in(struct worker *worker)
{
    bool any = take_blocks(worker);
    for (struct message *m = inbox_take_messages(&worker->inbox); m;) {
        struct message *next = m->next;
        m->run(worker->options.user, m);
        m = next;
        any = true;
    }
    return any;
}

/* ---- the loop ------------------------------------------------------------------------------ */

static bool execute_one(struct worker *worker)
{
    struct partition *partition = ready_pop(worker);
    if (!partition)
        return false;
    struct run *run = partition->oldest;
    run->done = worker->options.ops->records(worker->options.user, partition, run);
    if (run->done >= run->count) {
        partition->oldest = run->next;
        if (!partition->oldest)
            partition->newest = NULL;
        if (UNLIKELY(partition->copied == run))
            partition->copied = NULL;
        run_finish(worker, run);
    } else if (is_set_aside(partition)) {
        runs_set_aside(worker, partition);
    }
    ready_push(worker, partition);
    return true;
}

static void look_at_clock(struct worker *worker)
{
    uint64_t now = worker->options.clock->wall_us(worker->options.clock);
    if (now > worker->now_us)
        worker->now_us = now;
}

bool worker_step(struct worker *worker)
{
    const struct worker_ops *ops = worker->options.ops;
    void *user = worker->options.user;
    look_at_clock(worker);
    bool any = take_in(worker);
    uint32_t n = 0;
    worker->yields = false;
    while (n < RUNS_PER_ROUND && !worker->yields && execute_one(worker))
        n++;
    any |= n > 0;
    if (worker->now_us >= worker->tick_us) {
        worker->tick_us = ops->tick(user);
        any |= worker->kept != NULL;
    }
    bool starved = n == 0 && !worker->kept && !ops->idle(user);
    if (starved || worker->now_us - worker->flushed_us >= worker->options.flush_us) {
        worker->flushed_us = worker->now_us;
        any |= ops->flush(user);
    }
    return any || !starved || worker->kept;
}

static void default_wait(struct inbox *inbox, uint64_t timeout_us)
{
    struct pollfd fd = { .fd = inbox->wake_fd, .events = POLLIN };
    struct timespec t = { .tv_sec = (time_t)(timeout_us / 1000000),
                          .tv_nsec = (long)(timeout_us % 1000000) * 1000 };
    ppoll(&fd, 1, &t, NULL);
}

static void worker_sleep(struct worker *worker)
{
    if (!inbox_sleep(&worker->inbox))
        return;
    uint64_t wait_us = WAIT_MAX_US;
    if (worker->tick_us < worker->now_us + wait_us)
        wait_us = worker->tick_us > worker->now_us ? worker->tick_us - worker->now_us : 0;
    if (wait_us > 0 && !atomic_load_explicit(&worker->stop, memory_order_relaxed)) {
        if (worker->options.ops->wait)
            worker->options.ops->wait(worker->options.user, &worker->inbox, wait_us);
        else
            default_wait(&worker->inbox, wait_us);
    }
    inbox_woken(&worker->inbox);
}

static void *worker_main(void *arg)
{
    struct worker *worker = arg;
    bool worked = false; /* then more may come at once */
    while (!atomic_load_explicit(&worker->stop, memory_order_relaxed)) {
        if (worker_step(worker) || (worked && inbox_spin(&worker->inbox, worker->options.spins))) {
            worked = true;
            continue;
        }
        worked = false;
        worker_sleep(worker);
    }
    return NULL;
}

s4_status worker_create(const struct worker_options *options, struct worker **worker)
{
    struct worker *w = mem_zalloc(sizeof *w);
    if (!w)
        return S4_NO_MEMORY;
    w->options = *options;
    w->kept_end = &w->kept;
    w->counts = mem_calloc(options->slots, sizeof *w->counts);
    w->touched = mem_calloc(options->slots, sizeof *w->touched);
    if (!w->counts || !w->touched || inbox_init(&w->inbox) != S4_OK) {
        mem_free(w->counts);
        mem_free(w->touched);
        mem_free(w);
        return S4_NO_MEMORY;
    }
    look_at_clock(w);
    *worker = w;
    return S4_OK;
}

s4_status worker_start(struct worker *worker, const char *name)
{
    if (pthread_create(&worker->thread, NULL, worker_main, worker) != 0)
        return S4_UNAVAILABLE;
    worker->has_thread = true;
    pthread_setname_np(worker->thread, name);
    return S4_OK;
}

void worker_stop(struct worker *worker)
{
    if (!worker->has_thread)
        return;
    atomic_store_explicit(&worker->stop, true, memory_order_relaxed);
    atomic_store(&worker->inbox.sleeping, 1); /* forces the write that ends a sleep */
    inbox_wake(&worker->inbox);
    pthread_join(worker->thread, NULL);
    worker->has_thread = false;
}

void worker_destroy(struct worker *worker)
{
    if (!worker)
        return;
    for (struct block *block = worker->kept; block;) {
        struct block *next = block->next;
        block_release(block);
        block = next;
    }
    inbox_fini(&worker->inbox);
    while (worker->free_runs) {
        struct block_runs *runs = worker->free_runs;
        worker->free_runs = runs->next;
        runs_destroy(runs);
    }
    mem_free(worker->counts);
    mem_free(worker->touched);
    mem_free(worker->places);
    mem_free(worker);
}

void worker_send(struct worker *worker, struct block *block)
{
    inbox_push_block(&worker->inbox, block);
}

void worker_post(struct worker *worker, struct message *message)
{
    inbox_push_message(&worker->inbox, message);
}

void worker_wake(struct worker *worker)
{
    inbox_wake(&worker->inbox);
}

void worker_drain_messages(struct worker *worker)
{
    for (struct message *m = inbox_take_messages(&worker->inbox); m;) {
        struct message *next = m->next;
        m->run(worker->options.user, m);
        m = next;
    }
}

void worker_keep(struct worker *worker, struct block *block)
{
    block->next = NULL;
    *worker->kept_end = block;
    worker->kept_end = &block->next;
}

void worker_yield(struct worker *worker)
{
    worker->yields = true;
}

uint64_t worker_now_us(const struct worker *worker)
{
    return worker->now_us;
}
