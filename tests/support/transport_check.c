/* One body per promise of runtime/net/transport.h. */
#include "tests/support/transport_check.h"

#include <check.h>
#include <pthread.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "runtime/base/hash.h"
#include "runtime/base/rng.h"
#include "tests/support/suite.h"

#define STEP_MAX 7 /* small, so that steps end in the middle of things */

/* What one end saw. Message n of a stream has the seed base + n in its envelope. */
struct seen {
    uint64_t peer; /* the connection, once it is up */
    bool opened;
    uint64_t base, count; /* of arriving messages */
    size_t last_size;     /* of the envelope */
    size_t last_block;
    int closed;
};

struct two {
    struct ends ends;
    struct seen seen[2];
};

static void on_connected(void *user, uint64_t peer, bool opened)
{
    struct seen *seen = user;
    ck_assert_uint_eq(seen->peer, 0);
    seen->peer = peer;
    seen->opened = opened;
}

static void on_received(void *user, uint64_t peer, const void *envelope, size_t size,
                        struct block *block)
{
    struct seen *seen = user;
    ck_assert_uint_eq(peer, seen->peer);
    seen->count++;
    seen->last_size = size;
    seen->last_block = block ? block->used : 0;
    uint64_t seed;
    ck_assert_uint_ge(size, sizeof seed);
    memcpy(&seed, envelope, sizeof seed);
    ck_assert_uint_eq(seed, seen->base + seen->count);
    if (!block)
        return;
    if (size == sizeof seed)
        ends_check_block(block, seed);
    block_release(block);
}

static void on_closed(void *user, uint64_t peer, const char *reason)
{
    struct seen *seen = user;
    ck_assert_uint_eq(peer, seen->peer);
    ck_assert_uint_gt(strlen(reason), 0);
    seen->closed++;
}

static const struct transport_upcalls upcalls = {
    .connected = on_connected,
    .received = on_received,
    .closed = on_closed,
};

static void two_step(struct two *two)
{
    size_t work = 0;
    for (int i = 0; i < 2; i++) {
        if (two->ends.transports[i])
            work += transport_step(two->ends.transports[i], STEP_MAX);
    }
    if (work == 0) {
        ends_idle(&two->ends, 0);
        ends_idle(&two->ends, 1);
    }
}

static s4_status send_seed(struct two *two, int from, uint64_t seed, bool with_block)
{
    struct block *block = with_block ? ends_block(two->ends.pools[from], seed) : NULL;
    s4_status status =
        transport_send(two->ends.transports[from], two->seen[from].peer, &seed, sizeof seed, block);
    if (block)
        block_release(block);
    return status;
}

/* Both ends up. End 0 connects; end 1 sees it with the first message (as ROUTERs do). */
static void two_open(struct two *two, enum ends_kind kind, uint64_t seed, uint32_t queue_max)
{
    *two = (struct two){ 0 };
    ends_open(&two->ends, kind, seed, queue_max);
    struct diag diag = { 0 };
    uint64_t peer;
    for (int i = 0; i < 2; i++)
        transport_attach(two->ends.transports[i], &upcalls, &two->seen[i]);
    s4_status status = transport_bind(two->ends.transports[1], ends_address(&two->ends), &diag);
    ck_assert_msg(status == S4_OK, "%s", diag.text);
    const char *address = transport_address(two->ends.transports[1]);
    ck_assert_ptr_null(strchr(address, '*'));
    ck_assert_int_eq(transport_connect(two->ends.transports[0], address, &peer, &diag), S4_OK);
    while (!two->seen[0].peer)
        two_step(two);
    ck_assert_uint_eq(two->seen[0].peer, peer);
    ck_assert(two->seen[0].opened);
    two->seen[1].base = 1000;
    while (send_seed(two, 0, 1001, false) != S4_OK)
        two_step(two);
    while (two->seen[1].count == 0)
        two_step(two);
    ck_assert(!two->seen[1].opened);
    two->seen[1].base = two->seen[1].count = 0;
}

void transport_check_order(enum ends_kind kind)
{
    enum { MESSAGES = 2000 };
    struct two two;
    struct rng rng;
    rng_init(&rng, suite_seed());
    two_open(&two, kind, rng_next(&rng), 0);
    two.seen[0].base = (uint64_t)1 << 32;
    uint64_t sent[2] = { 0 };
    while (two.seen[0].count < MESSAGES || two.seen[1].count < MESSAGES) {
        int from = (int)rng_below(&rng, 2);
        uint64_t seed = two.seen[!from].base + sent[from] + 1;
        if (sent[from] < MESSAGES && rng_below(&rng, 3) > 0) {
            s4_status status = send_seed(&two, from, seed, rng_below(&rng, 4) > 0);
            ck_assert(status == S4_OK || status == S4_FULL);
            sent[from] += status == S4_OK;
        } else {
            two_step(&two);
        }
    }
    ends_close(&two.ends);
}

void transport_check_limits(enum ends_kind kind)
{
    struct two two;
    two_open(&two, kind, 1, 0);
    char envelope[TRANSPORT_ENVELOPE_MAX + 1] = { 1 };
    struct transport *from = two.ends.transports[0];
    uint64_t peer = two.seen[0].peer;
    ck_assert_int_eq(transport_send(from, peer, envelope, TRANSPORT_ENVELOPE_MAX + 1, NULL),
                     S4_TOO_LARGE);
    struct block *block = block_take(two.ends.pools[0], TRANSPORT_BLOCK_MAX);
    ck_assert_ptr_nonnull(block);
    memset(block->data, 7, block->capacity);
    block->used = TRANSPORT_BLOCK_MAX + 8;
    ck_assert_int_eq(transport_send(from, peer, envelope, 8, block), S4_TOO_LARGE);
    block->used = TRANSPORT_BLOCK_MAX;
    ck_assert_int_eq(transport_send(from, peer, envelope, TRANSPORT_ENVELOPE_MAX, block), S4_OK);
    block_release(block);
    while (two.seen[1].count == 0)
        two_step(&two);
    ck_assert_uint_eq(two.seen[1].last_size, TRANSPORT_ENVELOPE_MAX);
    ck_assert_uint_eq(two.seen[1].last_block, TRANSPORT_BLOCK_MAX);
    ends_close(&two.ends);
}

/* ZeroMQ's own buffers add to the queue, so only the simulated one refuses at exactly N. */
void transport_check_full(enum ends_kind kind)
{
    enum { QUEUE = 5, REFUSALS = 1000000 };
    struct two two;
    two_open(&two, kind, 2, QUEUE);
    uint64_t sent = 0;
    s4_status status = S4_OK;
    while (status == S4_OK && sent < REFUSALS) {
        status = send_seed(&two, 0, sent + 1, true);
        sent += status == S4_OK;
    }
    ck_assert_int_eq(status, S4_FULL);
    if (two.ends.sim)
        ck_assert_uint_eq(sent, QUEUE);
    else
        ck_assert_uint_gt(sent, 0);
    while (two.seen[1].count < sent)
        two_step(&two);
    while (send_seed(&two, 0, sent + 1, true) == S4_FULL)
        two_step(&two);
    while (two.seen[1].count < sent + 1)
        two_step(&two);
    ends_close(&two.ends);
}

void transport_check_close(enum ends_kind kind)
{
    struct two two;
    two_open(&two, kind, 3, 0);
    for (uint64_t i = 1; i <= 20; i++)
        ck_assert_int_eq(send_seed(&two, 0, i, true), S4_OK);
    while (two.seen[1].count < 20)
        two_step(&two);
    transport_disconnect(two.ends.transports[0], two.seen[0].peer);
    ck_assert_int_eq(send_seed(&two, 0, 21, false), S4_UNAVAILABLE);
    while (!two.seen[1].closed)
        two_step(&two);
    ck_assert_int_eq(send_seed(&two, 1, 1, false), S4_UNAVAILABLE);
    for (int i = 0; i < 50; i++)
        two_step(&two);
    ck_assert_int_eq(two.seen[0].closed, 0);
    ck_assert_int_eq(two.seen[1].closed, 1);
    transport_disconnect(two.ends.transports[0], 12345); /* unknown: ignored */
    ends_close(&two.ends);

    two_open(&two, kind, 4, 0);
    transport_destroy(two.ends.transports[1]);
    two.ends.transports[1] = NULL;
    while (!two.seen[0].closed)
        two_step(&two);
    ck_assert_int_eq(send_seed(&two, 0, 1, true), S4_UNAVAILABLE);
    ends_close(&two.ends);
}

static void *call_waker(void *arg)
{
    transport_wake(arg);
    return NULL;
}

/* Without a timeout: a wait that does not end is the test's time limit. */
void transport_check_wake(enum ends_kind kind)
{
    struct two two;
    two_open(&two, kind, 5, 0);
    struct transport *transport = two.ends.transports[0];
    transport_wake(transport);
    transport_wait(transport, WAKER_FOREVER); /* called before: returns at once */
    for (int i = 0; i < 200; i++) {
        pthread_t thread;
        ck_assert_int_eq(pthread_create(&thread, NULL, call_waker, transport), 0);
        transport_wait(transport, WAKER_FOREVER);
        pthread_join(thread, NULL);
        transport_wake(transport); /* whatever is left of it */
        transport_wait(transport, WAKER_FOREVER);
    }
    int fd = eventfd(1, EFD_CLOEXEC);
    ck_assert_int_eq(waker_watch(&transport->waker, fd), S4_OK);
    transport_wait(transport, WAKER_FOREVER);
    waker_unwatch(&transport->waker, fd);
    close(fd);
    uint64_t before = clock_real.mono_us(&clock_real);
    transport_wait(transport, 2000);
    transport_wait(transport, 2000); /* the first may have been ended by an old write */
    ck_assert_uint_ge(clock_real.mono_us(&clock_real) - before, 2000);
    ends_close(&two.ends);
}

void transport_check_addresses(enum ends_kind kind)
{
    struct two two = { 0 };
    struct diag diag = { 0 };
    uint64_t peer;
    ends_open(&two.ends, kind, 6, 0);
    for (int i = 0; i < 2; i++)
        transport_attach(two.ends.transports[i], &upcalls, &two.seen[i]);
    ck_assert_int_eq(transport_bind(two.ends.transports[0], "", &diag), S4_INVALID);
    ck_assert_uint_gt(strlen(diag.text), 0);
    ck_assert_int_eq(transport_connect(two.ends.transports[0], "", &peer, &diag), S4_INVALID);
    ck_assert_int_eq(transport_bind(two.ends.transports[0], ends_address(&two.ends), &diag), S4_OK);
    const char *address = transport_address(two.ends.transports[0]);
    if (kind != ENDS_IPC) /* ZeroMQ takes over another's path */
        ck_assert_int_eq(transport_bind(two.ends.transports[1], address, &diag), S4_BUSY);
    ends_close(&two.ends);
}

/* --- a thread per end: each sends its messages and reads the other's --- */

enum { THREAD_MESSAGES = 3000 };

struct thread_end {
    struct two *two;
    int end;
};

static void *run_end(void *arg)
{
    struct thread_end *me = arg;
    struct seen *seen = &me->two->seen[me->end];
    struct transport *transport = me->two->ends.transports[me->end];
    uint64_t sent = 0;
    while (sent < THREAD_MESSAGES || seen->count < THREAD_MESSAGES) {
        bool more = sent < THREAD_MESSAGES;
        if (more && send_seed(me->two, me->end, sent + 1, true) == S4_OK)
            sent++;
        if (transport_step(transport, STEP_MAX) == 0)
            transport_wait(transport, more ? 100 : 100000);
    }
    return NULL;
}

void transport_check_threads(enum ends_kind kind)
{
    struct two two;
    two_open(&two, kind, 7, 0);
    struct thread_end ends[2] = { { &two, 0 }, { &two, 1 } };
    pthread_t threads[2];
    for (int i = 0; i < 2; i++)
        ck_assert_int_eq(pthread_create(&threads[i], NULL, run_end, &ends[i]), 0);
    for (int i = 0; i < 2; i++)
        pthread_join(threads[i], NULL);
    ends_close(&two.ends);
}
