/* Slots that leave an engine and come back: standing still among threads, what is saved and loaded,
 * and what is refused.
 */
#include "tests/support/suite.h"

#include <inttypes.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <unistd.h>

#include "pe/host/host.h"
#include "pe/host/pieces.h"
#include "pe/host/slots.h"
#include "runtime/base/mem.h"
#include "tests/support/model_app.h"
#include "tests/support/rig.h"

#define SLOTS 4

static const char events[] = "{\"user\":\"a\",\"n\":2}\n{\"user\":\"b\",\"n\":5}\n"
                             "{\"user\":\"c\",\"tags\":[\"x\",\"y\"]}\n{\"user\":\"a\"}\n";

static struct rig rig;

static void start(bool threads)
{
    static uint16_t map[SLOTS];
    rig_start(&rig, &(struct rig_options){ .app = &s4_plugin,
                                           .slots = SLOTS,
                                           .nodes = 2,
                                           .workers = threads ? 2 : 1,
                                           .map = threads ? NULL : map,
                                           .threads = threads });
}

static void stand_still(void)
{
    s4_status status;
    while ((status = engine_still_begin(rig.engine)) == S4_AGAIN)
        usleep(100); /* a deployment has the lock; there is nothing else to wait for */
    ck_assert_int_eq(status, S4_OK);
    while (!engine_is_still(rig.engine))
        usleep(10);
}

/* ---- saving and loading ---------------------------------------------------------------------- */

struct moved {
    _Atomic bool done;
    s4_status status;
    struct buffer bytes;
    char why[DIAG_TEXT_MAX];
};

static void saved(void *user, s4_status status, struct buffer *bytes)
{
    struct moved *moved = user;
    moved->status = status;
    moved->bytes = *bytes;
    atomic_store(&moved->done, true);
}

static void loaded(void *user, s4_status status, const struct diag *diag)
{
    struct moved *moved = user;
    moved->status = status;
    snprintf(moved->why, sizeof moved->why, "%s", diag->text);
    atomic_store(&moved->done, true);
}

static void save(uint32_t slot, struct moved *moved)
{
    *moved = (struct moved){ 0 };
    ck_assert_int_eq(engine_slot_save(rig.engine, slot, NULL, saved, moved), S4_OK);
    rig_settle(&rig);
    ck_assert(atomic_load(&moved->done));
    ck_assert_int_eq(moved->status, S4_OK);
}

static s4_status load(uint32_t slot, const char *bytes, size_t size, struct moved *moved)
{
    struct buffer copy;
    *moved = (struct moved){ 0 };
    buffer_init(&copy);
    ck_assert_int_eq(buffer_append(&copy, bytes, size), S4_OK);
    ck_assert_int_eq(engine_slot_load(rig.engine, slot, &copy, loaded, moved), S4_OK);
    ck_assert_ptr_null(copy.data);
    rig_settle(&rig);
    ck_assert(atomic_load(&moved->done));
    return moved->status;
}

static void hold(uint32_t slot)
{
    stand_still();
    engine_slot_hold(rig.engine, slot);
    engine_still_end(rig.engine);
}

static void leave_and_open(uint32_t slot, enum slot_start how)
{
    struct diag diag = { 0 };
    stand_still();
    engine_slot_close(rig.engine, slot);
    ck_assert(!engine_slot_is_here(rig.engine, slot));
    ck_assert_int_eq(engine_slot_open(rig.engine, slot, 1, how, &diag), S4_RANGE);
    ck_assert_str_eq(diag.text, "slot 1 for worker 1, this node has 1");
    ck_assert_int_eq(engine_slot_open(rig.engine, slot, 0, how, &diag), S4_OK);
    ck_assert(engine_slot_is_held(rig.engine, slot));
    engine_still_end(rig.engine);
    rig_settle(&rig); /* what left is freed */
}

static void go(uint32_t slot)
{
    stand_still();
    ck_assert_int_eq(engine_slot_go(rig.engine, slot, 2), S4_OK);
    engine_still_end(rig.engine);
    rig_settle(&rig);
}

START_TEST(a_slot_leaves_and_comes_back)
{
    struct moved moved, again;
    start(false);
    rig_feed(&rig, "ticks", events);
    char *before = rig_rows(&rig, "totals");
    struct engine_counters counted = rig_counters(&rig);
    hold(1);
    rig_feed(&rig, "ticks", events); /* some of these wait */
    save(1, &moved);
    leave_and_open(1, SLOT_ARRIVING);
    ck_assert_int_eq(load(1, moved.bytes.data, moved.bytes.size, &again), S4_OK);
    save(1, &again); /* the same state gives the same bytes, the waiting records among them */
    ck_assert_uint_eq(again.bytes.size, moved.bytes.size);
    ck_assert_mem_eq(again.bytes.data, moved.bytes.data, moved.bytes.size);
    go(1);
    struct engine_counters after = rig_counters(&rig);
    ck_assert_uint_eq(after.instances, counted.instances);
    ck_assert_uint_eq(after.state_bytes, counted.state_bytes);
    ck_assert_uint_eq(after.dead_letters + after.duplicates, 0);
    char *rows = rig_rows(&rig, "totals");
    ck_assert_str_ne(rows, before); /* the second time was counted, too */
    mem_free(rows);
    mem_free(before);
    buffer_fini(&moved.bytes);
    buffer_fini(&again.bytes);
    rig_stop(&rig);
}
END_TEST

/* ---- copied ahead ---------------------------------------------------------------------------- */

struct ahead {
    struct moved moved;
    struct buffer pieces;
    bool over;
};

static void copied(void *user, s4_status status, struct buffer *pieces, bool over)
{
    struct ahead *ahead = user;
    ahead->moved.status = status;
    ck_assert_int_eq(buffer_append(&ahead->pieces, pieces->data, pieces->size), S4_OK);
    buffer_fini(pieces);
    ahead->over = over;
    atomic_store(&ahead->moved.done, true);
}

/* One look at all of it, in steps of so many bytes; how many steps. */
static uint32_t copy_all(struct slot_copy *copy, size_t bytes, struct ahead *ahead)
{
    uint32_t steps = 0;
    do {
        atomic_store(&ahead->moved.done, false);
        engine_slot_copy(rig.engine, 1, copy, bytes, copied, ahead);
        rig_settle(&rig);
        ck_assert(atomic_load(&ahead->moved.done) && ahead->moved.status == S4_OK);
        steps++;
    } while (!ahead->over);
    return steps;
}

/* A slot is copied while events come, in steps that are small; what is saved in the end is, with
 * what was copied, what would be saved without. */
START_TEST(a_slot_is_copied_while_it_runs)
{
    struct ahead ahead = { 0 };
    struct slot_copy *copy;
    struct moved plain, whole = { 0 };
    struct buffer together;
    struct diag diag = { 0 };
    start(false);
    rig_feed(&rig, "ticks", events);
    ck_assert_int_eq(slot_copy_create(7, &copy), S4_OK);
    for (int look = 0; look < 3; look++) {
        size_t before = ahead.pieces.size;
        uint32_t steps = copy_all(copy, 1, &ahead);
        ck_assert_uint_gt(steps, 3);
        ck_assert_uint_gt(ahead.pieces.size, before); /* something of it has changed */
        before = ahead.pieces.size;
        ck_assert_uint_eq(copy_all(copy, SIZE_MAX, &ahead), 1);
        ck_assert_uint_eq(ahead.pieces.size, before); /* and now nothing has */
        rig_feed(&rig, "ticks", events);
    }
    hold(1);
    rig_feed(&rig, "ticks", events); /* some of these wait */
    save(1, &plain);
    ck_assert_int_eq(engine_slot_save(rig.engine, 1, copy, saved, &whole), S4_OK);
    rig_settle(&rig);
    ck_assert(atomic_load(&whole.done) && whole.status == S4_OK);
    buffer_init(&together);
    struct pieces_here here = { 0 };
    ck_assert_int_eq(pieces_take(&here, ahead.pieces.data, ahead.pieces.size), S4_OK);
    ck_assert_int_eq(pieces_read(&here, &whole.bytes, plain.bytes.size, &together, &diag), S4_OK);
    pieces_drop(&here);
    ck_assert_uint_eq(together.size, plain.bytes.size);
    ck_assert_mem_eq(together.data, plain.bytes.data, together.size);
    slot_copy_destroy(copy);
    slot_copy_destroy(NULL);
    buffer_fini(&ahead.pieces);
    buffer_fini(&plain.bytes);
    buffer_fini(&whole.bytes);
    buffer_fini(&together);
    rig_stop(&rig);
}
END_TEST

/* Of the records that waited, which are at the end. */
static struct record *last_record(struct buffer *bytes)
{
    for (size_t len = sizeof(struct record);; len += 8) {
        ck_assert_uint_lt(len, bytes->size);
        struct record *record = (struct record *)(void *)(bytes->data + bytes->size - len);
        if (record->len == len)
            return record;
    }
}

/* Bytes from another node: cut anywhere, or of something else, they are refused with the slot still
 * held. */
START_TEST(what_cannot_be_is_refused)
{
    struct moved moved, result;
    start(false);
    rig_feed(&rig, "ticks", events);
    hold(1);
    rig_feed(&rig, "ticks", events);
    save(1, &moved);
    leave_and_open(1, SLOT_ARRIVING);
    for (size_t size = 1; size < moved.bytes.size; size += 1 + size / 16) {
        ck_assert_int_ne(load(1, moved.bytes.data, size, &result), S4_OK);
        ck_assert_str_ne(result.why, "");
        ck_assert(engine_slot_is_held(rig.engine, 1));
    }
    static const struct {
        size_t at;
        s4_status status;
        const char *why;
    } damages[] = {
        { 0, S4_CORRUPT, "slot 1 as it came: " },
        { 8, S4_VERSION, "app \"model\" has another graph there" },
        { 40, S4_NOT_FOUND, "app \"lodel\" is not deployed here" },
    };
    for (size_t i = 0; i < ARRAY_LEN(damages); i++) {
        moved.bytes.data[damages[i].at] ^= 1;
        ck_assert_int_eq(load(1, moved.bytes.data, moved.bytes.size, &result), damages[i].status);
        ck_assert_msg(strncmp(result.why, damages[i].why, strlen(damages[i].why)) == 0, "%s",
                      result.why);
        moved.bytes.data[damages[i].at] ^= 1;
    }
    struct record *last = last_record(&moved.bytes);
    last->len -= 3; /* the one behind it would not be aligned */
    ck_assert_int_eq(load(1, moved.bytes.data, moved.bytes.size, &result), S4_CORRUPT);
    ck_assert_str_eq(result.why, "a record that waited has an impossible length");
    last->len += 3;
    ck_assert_int_eq(load(1, moved.bytes.data, moved.bytes.size, &result), S4_OK);
    go(1);
    buffer_fini(&moved.bytes);
    rig_stop(&rig);
}
END_TEST

/* In a new generation it is empty, and takes whatever number comes first. */
/* ---- who follows ----------------------------------------------------------------------------- */

#define PARTS_MAX 8

/* A reader, and what it saw of partition 1. */
struct following {
    struct tail *parts[PARTS_MAX];
    size_t n_parts;
    uint64_t rows;
    uint64_t last; /* the number of the newest change of partition 1; 0: none */
    uint64_t ended;
};

static void tail_added(void *user, s4_status status, struct tail *tail)
{
    struct following *following = user;
    ck_assert_int_eq(status, S4_OK);
    following->parts[following->n_parts++] = tail;
}

static void tail_arrived(void *user, struct tail *tail)
{
    tail_added(user, S4_OK, tail);
}

static void follow(struct following *following)
{
    struct engine_tail_options options = { .arrived = tail_arrived, .user = following };
    struct diag diag = { 0 };
    ck_assert_int_eq(
        engine_tail(rig.engine, "model", "journal", &options, tail_added, following, &diag), S4_OK);
    rig_settle(&rig);
    ck_assert_uint_eq(following->n_parts, 1);
}

/* Each part to its end, the oldest first. */
static void read_parts(struct following *following)
{
    struct tail_item item;
    following->ended = 0;
    for (size_t i = 0; i < following->n_parts; i++) {
        s4_status status;
        while ((status = tail_next(following->parts[i], &item)) == S4_OK &&
               item.kind != TAIL_ENDED) {
            ck_assert_int_eq(item.kind, TAIL_ROW);
            following->rows++;
            if (item.partition != 1)
                continue;
            ck_assert_msg(!following->last || item.number == following->last + 1,
                          "after %" PRIu64 " comes %" PRIu64, following->last, item.number);
            following->last = item.number;
        }
        following->ended += status == S4_OK;
    }
}

static void unfollow(struct following *following)
{
    engine_tail_leave(rig.engine, "model", following);
    for (size_t i = 0; i < following->n_parts; i++)
        tail_close(following->parts[i]);
}

/* Of users that are new, so many that each slot has some: a row in the journal for each. */
static void feed_new(void)
{
    static unsigned user;
    char lines[40 * 32];
    size_t at = 0;
    for (size_t i = 0; i < 40; i++)
        at += (size_t)snprintf(lines + at, sizeof lines - at, "{\"user\":\"u%u\"}\n", user++);
    rig_feed(&rig, "ticks", lines);
}

START_TEST(a_slot_that_comes_back_is_followed_on)
{
    struct following all = { 0 };
    struct moved moved, again;
    start(false);
    feed_new();
    size_t before = rig_count(&rig, "journal");
    follow(&all);
    for (size_t round = 1; round <= 3; round++) {
        feed_new();
        hold(1);
        save(1, &moved);
        leave_and_open(1, SLOT_ARRIVING);
        ck_assert_int_eq(load(1, moved.bytes.data, moved.bytes.size, &again), S4_OK);
        buffer_fini(&moved.bytes);
        feed_new();
        go(1);
        ck_assert_uint_eq(all.n_parts, round + 1);
        hold(1); /* and is taken back */
        go(1);
        ck_assert_uint_eq(all.n_parts, round + 1);
    }
    feed_new();
    read_parts(&all);
    ck_assert_uint_eq(all.rows, rig_count(&rig, "journal") - before);
    ck_assert_uint_gt(all.last, 0);
    ck_assert_uint_eq(all.ended, 2); /* the parts of the slot when it had come before */
    unfollow(&all);
    hold(1);
    save(1, &moved);
    leave_and_open(1, SLOT_ARRIVING);
    ck_assert_int_eq(load(1, moved.bytes.data, moved.bytes.size, &again), S4_OK);
    buffer_fini(&moved.bytes);
    go(1);
    ck_assert_uint_eq(all.n_parts, 4);
    rig_stop(&rig);
}
END_TEST

START_TEST(a_slot_begins_afresh)
{
    start(false);
    rig_feed(&rig, "ticks", events);
    size_t before = rig_count(&rig, "totals");
    for (uint32_t slot = 0; slot < SLOTS; slot++) {
        struct diag diag = { 0 };
        hold(slot);
        stand_still();
        engine_slot_close(rig.engine, slot);
        ck_assert_int_eq(engine_slot_open(rig.engine, slot, 0, SLOT_FRESH, &diag), S4_OK);
        ck_assert_int_eq(engine_source_forget(rig.engine, (uint16_t)slot, 3), S4_OK);
        engine_still_end(rig.engine);
        go(slot);
    }
    ck_assert_uint_eq(rig_count(&rig, "totals"), 0);
    ck_assert_uint_eq(rig_counters(&rig).instances, 1); /* the singleton, made anew */
    rig_feed(&rig, "ticks", events);
    ck_assert_uint_eq(rig_count(&rig, "totals"), before);
    rig_stop(&rig);
}
END_TEST

/* Each generation draws its own numbers: an answer to a probe is for one of them. */
START_TEST(generations_draw_their_own_numbers)
{
    uint64_t probes[3];
    start(false);
    for (uint64_t version = 2; version < 5; version++) {
        struct diag diag = { 0 };
        hold(1);
        stand_still();
        engine_slot_close(rig.engine, 1);
        ck_assert_int_eq(engine_source_forget(rig.engine, 1, version), S4_OK);
        ck_assert_int_eq(engine_slot_open(rig.engine, 1, 0, SLOT_FRESH, &diag), S4_OK);
        engine_still_end(rig.engine);
        probes[version - 2] = host_partition_at(host_app_at(rig.engine, 0), 1)->last_probe;
        go(1);
    }
    ck_assert_uint_ne(probes[0], probes[1]);
    ck_assert_uint_ne(probes[1], probes[2]);
    ck_assert_uint_ne(probes[0], probes[2]);
    rig_stop(&rig);
}
END_TEST

/* A batch names who waits for its answer: it goes to a partition that runs here, or nowhere. */
START_TEST(a_batch_is_for_a_slot_that_runs_here)
{
    static const char *const line = "{\"user\":\"a\",\"n\":2}\n";
    start(false);
    for (uint32_t slot = 0; slot < SLOTS; slot++)
        hold(slot);
    for (uint64_t producer = 1; producer <= 8; producer++)
        ck_assert_int_eq(rig_inject(&rig, "ticks", producer, 1, line, INJECTION_APPLIED),
                         S4_UNAVAILABLE);
    stand_still();
    engine_slot_close(rig.engine, 1);
    engine_slot_route(rig.engine, 1, ENGINE_WORKERS_MAX); /* the other node's first one */
    engine_still_end(rig.engine);
    for (uint32_t slot = 0; slot < SLOTS; slot++)
        if (slot != 1)
            go(slot);
    uint32_t refused = 0;
    for (uint64_t producer = 1; producer <= 16; producer++) {
        s4_status status = rig_inject(&rig, "ticks", producer, 1, line, INJECTION_TAKEN);
        refused += status == S4_UNAVAILABLE;
        ck_assert(status == S4_OK || status == S4_UNAVAILABLE);
    }
    ck_assert_uint_gt(refused, 0);
    ck_assert_uint_lt(refused, 16);
    rig_stop(&rig);
}
END_TEST

/* ---- what comes late ------------------------------------------------------------------------- */

/* Two workers, stepped by hand; every slot is worker 0's. */
static void start_two(void)
{
    static uint16_t map[SLOTS];
    rig_start(&rig, &(struct rig_options){
                        .app = &s4_plugin, .slots = SLOTS, .nodes = 2, .workers = 2, .map = map });
}

/* The slot goes, and comes back to another worker, before the old one has looked at its messages.
 */
static void change_worker(uint32_t slot, uint32_t worker)
{
    struct diag diag = { 0 };
    stand_still();
    if (!engine_slot_is_held(rig.engine, slot))
        engine_slot_hold(rig.engine, slot);
    engine_slot_close(rig.engine, slot);
    ck_assert_int_eq(engine_slot_open(rig.engine, slot, worker, SLOT_ARRIVING, &diag), S4_OK);
    engine_slot_route(rig.engine, slot, (uint16_t)worker);
    engine_still_end(rig.engine);
}

static void pinned(void *user, s4_status status, struct query_pins *pins)
{
    struct moved *moved = user;
    query_pins_destroy(pins);
    moved->status = status;
    atomic_store(&moved->done, true);
}

static void asked(void *user, s4_status status, const struct value *reply, const char *cause)
{
    struct moved *moved = user;
    moved->status = status;
    atomic_store(&moved->done, true);
}

START_TEST(a_query_that_comes_late_is_told_so)
{
    struct moved pin = { 0 }, ask = { 0 };
    struct diag diag = { 0 };
    start_two();
    rig_feed(&rig, "ticks", "{\"user\":\"a\",\"n\":2}\n"); /* its row lies in its slot */
    ck_assert_int_eq(engine_pin(rig.engine, "model", "totals", "a", pinned, &pin, &diag), S4_OK);
    ck_assert_int_eq(engine_ask(rig.engine, "model", "counters", "a", asked, &ask, &diag), S4_OK);
    for (uint32_t slot = 0; slot < SLOTS; slot++)
        change_worker(slot, 1);
    rig_settle(&rig);
    ck_assert(atomic_load(&pin.done) && atomic_load(&ask.done));
    ck_assert_int_eq(pin.status, S4_UNAVAILABLE);
    ck_assert_int_eq(ask.status, S4_UNAVAILABLE);
    rig_stop(&rig);
}
END_TEST

/* A load of a move that was called off, and a save, find another coming of the slot. */
START_TEST(a_load_is_for_one_coming_of_a_slot)
{
    struct moved state, late = { 0 }, late_save = { 0 };
    struct buffer copy;
    start_two();
    rig_feed(&rig, "ticks", events);
    hold(1);
    save(1, &state);
    change_worker(1, 0);
    buffer_init(&copy);
    ck_assert_int_eq(buffer_append(&copy, state.bytes.data, state.bytes.size), S4_OK);
    ck_assert_int_eq(engine_slot_load(rig.engine, 1, &copy, loaded, &late), S4_OK);
    ck_assert_int_eq(engine_slot_save(rig.engine, 1, NULL, saved, &late_save), S4_OK);
    change_worker(1, 1);
    rig_settle(&rig);
    ck_assert(atomic_load(&late.done) && atomic_load(&late_save.done));
    ck_assert_int_eq(late.status, S4_UNAVAILABLE);
    ck_assert_str_eq(late.why, "slot 1 has left meanwhile");
    ck_assert_int_eq(late_save.status, S4_UNAVAILABLE);
    ck_assert_int_eq(load(1, state.bytes.data, state.bytes.size, &late), S4_OK);
    go(1);
    buffer_fini(&state.bytes);
    buffer_fini(&late_save.bytes);
    rig_stop(&rig);
}
END_TEST

/* ---- among threads --------------------------------------------------------------------------- */

struct feeding {
    pthread_t thread;
    _Atomic bool done;
    _Atomic uint64_t times;
};

static void *feed(void *user)
{
    struct feeding *feeding = user;
    for (int i = 0; i < 300; i++)
        rig_feed(&rig, "ticks", events);
    atomic_store(&feeding->done, true);
    return NULL;
}

/* Nothing is lost when slots are held and go on while events come. */
START_TEST(workers_stand_still_while_events_come)
{
    struct feeding feeding = { 0 };
    uint32_t times = 0;
    rig_start(&rig, &(struct rig_options){
                        .app = &s4_plugin, .slots = SLOTS, .workers = 2, .threads = true });
    ck_assert_int_eq(pthread_create(&feeding.thread, NULL, feed, &feeding), 0);
    do {
        uint32_t slot = times++ % SLOTS;
        hold(slot);
        stand_still();
        ck_assert_int_eq(engine_slot_go(rig.engine, slot, times), S4_OK);
        engine_still_end(rig.engine);
    } while (!atomic_load(&feeding.done));
    pthread_join(feeding.thread, NULL);
    ck_assert_int_eq(rig_drain(&rig, true, NULL), S4_OK);
    struct engine_counters c = rig_counters(&rig);
    ck_assert_uint_eq(c.injected, 300 * 4);
    ck_assert_uint_eq(c.dead_letters + c.duplicates, 0);
    ck_assert(rig_has(&rig, "totals", "{\"key\":\"a\",\"n\":900}"));
    ck_assert(rig_has(&rig, "totals", "{\"key\":\"b\",\"n\":1500}"));
    ck_assert(rig_has(&rig, "totals", "{\"key\":\"#x\",\"n\":300}"));
    ck_assert_uint_gt(times, 3);
    rig_stop(&rig);
}
END_TEST

static void *use_other(void *user)
{
    struct feeding *using = user;
    struct rig other = rig;
    other.name = "other";
    for (uint64_t n = 1; !atomic_load(&using->done); n++) {
        uint64_t begun = 0, ended = 0;
        engine_flight(rig.engine, "other", &begun, &ended);
        engine_begun(rig.engine, "other", 1);
        engine_begun(rig.engine, "other", (uint64_t)-1);
        s4_status status = rig_inject(&other, "ticks", n % 5, n, events, INJECTION_APPLIED);
        ck_assert(status == S4_OK || status == S4_NOT_FOUND || status == S4_UNAVAILABLE);
        atomic_fetch_add(&using->times, status == S4_OK);
    }
    return NULL;
}

/* What finds an app on other threads may use it, and every batch that was handed over is answered.
 */
START_TEST(an_app_goes_while_others_use_it)
{
    struct feeding using = { 0 };
    rig_start(&rig, &(struct rig_options){
                        .app = &s4_plugin, .slots = SLOTS, .workers = 2, .threads = true });
    ck_assert_int_eq(pthread_create(&using.thread, NULL, use_other, &using), 0);
    for (uint64_t i = 0; i < 60; i++) {
        struct rig_other other;
        struct diag diag = { 0 };
        uint64_t dropped;
        uint64_t before = atomic_load(&using.times);
        rig_deploy_other(&rig, &s4_plugin, "other", &other);
        while (atomic_load(&using.times) < before + i % 4)
            sched_yield(); /* so that it goes in the middle of batches */
        ck_assert_int_eq(engine_undeploy(rig.engine, "other", &dropped, &diag), S4_OK);
        rig_other_fini(&other);
    }
    atomic_store(&using.done, true);
    pthread_join(using.thread, NULL);
    rig_stop(&rig);
}
END_TEST

Suite *suite_build(void)
{
    Suite *suite = suite_create("slots");
    suite_add(suite, "move", a_slot_leaves_and_comes_back, 10);
    suite_add(suite, "copy", a_slot_is_copied_while_it_runs, 10);
    suite_add(suite, "refuse", what_cannot_be_is_refused, 60);
    suite_add(suite, "follow", a_slot_that_comes_back_is_followed_on, 10);
    suite_add(suite, "fresh", a_slot_begins_afresh, 10);
    suite_add(suite, "generations", generations_draw_their_own_numbers, 10);
    suite_add(suite, "late", a_query_that_comes_late_is_told_so, 10);
    suite_add(suite, "coming", a_load_is_for_one_coming_of_a_slot, 10);
    suite_add(suite, "batch", a_batch_is_for_a_slot_that_runs_here, 10);
    suite_add(suite, "undeploy", an_app_goes_while_others_use_it, 120);
    suite_add(suite, "threads", workers_stand_still_while_events_come, 120);
    return suite;
}
