/* The emitter against a naive list: what is committed arrives, once, in order and numbered without
 * gaps; what is rolled back never was. */
#include "tests/support/suite.h"

#include <sys/mman.h>
#include <unistd.h>

#include "router/emit/emitter.h"
#include "runtime/base/hash.h"
#include "runtime/base/mem.h"
#include "tests/support/record_bench.h"

#include "tests/support/protos/model.pb-c.h"

#define WORKERS  3u
#define SLOTS    16u
#define SRC      5u
#define APP      9u
#define EMITS    1000000u
#define WAIT_MAX 65536u /* records that the naive list holds */
#define BLOCK    1024u
#define PAGE     4096u

enum route_name { BY_USER, BY_AT, BY_PAIR, BY_TAG, ANYWHERE, EVERYWHERE, AT_SLOT, ROUTES };

/* What the naive list knows of a record. */
struct expected {
    uint64_t hash;
    uint64_t time;
    int64_t n;
    uint32_t seq;
    uint16_t stream;
    uint16_t dst;
    uint8_t hop;
};

/* Records for one worker: [first, sure) are committed, [sure, end) are of the call. */
struct naive {
    struct expected list[WAIT_MAX];
    uint32_t first, sure, end;
};

static const ProtobufCMessageDescriptor *const types[] = { &model__tick__descriptor };
static struct bench bench;
static struct codec *codec;
static struct block_pool *pool;
static struct emitter emitter;
static struct route routes[ROUTES];
static _Atomic uint16_t map_workers[SLOTS];
static const struct slot_map map = { .slots = SLOTS, .worker = map_workers };
static uint32_t links[SLOTS];
static uint32_t seqs[SLOTS]; /* the naive counters */
static struct naive naive[WORKERS];
static struct keys keys;
static uint64_t arrived;
static bool raw; /* what arrives is raw: only numbers and sizes are looked at */
static size_t last_len;

static struct expected *naive_next(struct naive *list)
{
    WANT(list->first < list->sure);
    return &list->list[list->first++ % WAIT_MAX];
}

static void check_record(const struct block *block, const struct record *record)
{
    arena_reset(&bench.decoded);
    const struct expected *want = naive_next(&naive[block->worker]);
    const char *key = record_key(record);
    SUITE_SAME(record->stream, want->stream);
    SUITE_SAME(record->dst, want->dst);
    SUITE_SAME(record->seq, want->seq);
    SUITE_SAME(record->src, SRC);
    SUITE_SAME(record->time, want->time);
    SUITE_SAME(record->hop, want->hop);
    SUITE_SAME(record->key_hash, want->hash);
    SUITE_SAME(hash_bytes(key, record_key_len(record)), want->hash);
    WANT(key[record_key_len(record)] == '\0');
    WANT(block->hops >= record->hop);
    WANT(map_workers[record->dst] == block->worker);
    const Model__Tick *tick = (const Model__Tick *)get_message(&bench, codec, record);
    SUITE_SAME(tick->n, want->n);
    if (want->stream == BY_USER)
        WANT(strlen(tick->user) == record_key_len(record) && strcmp(tick->user, key) == 0);
}

static void take_block(void *user, struct block *block)
{
    struct diag diag = { 0 };
    uint32_t count = 0;
    if (block_check(block, SLOTS, &diag) != S4_OK)
        ck_abort_msg("%s", diag.text);
    WANT(block->app == APP && block->worker < WORKERS && block->count > 0);
    for (const struct record *r = block_first(block); r < block_end(block); r = record_next(r)) {
        last_len = r->len;
        if (!raw)
            check_record(block, r);
        count++;
    }
    SUITE_SAME(block->count, count);
    arrived += count;
    block_release(block);
}

static struct route make_route(uint16_t number, uint8_t kind, const char *key)
{
    struct diag diag = { 0 };
    struct route route = {
        .number = number, .kind = kind, .slot = 11, .codec = codec, .put = codec_put(codec)
    };
    route.spec.text_offset = FIELD_NONE;
    if (key && key_spec_compile(codec_type(codec), key, &route.spec, &diag) != S4_OK)
        ck_abort_msg("%s", diag.text);
    route_init(&route);
    return route;
}

static void start(uint32_t emits_max)
{
    bench_open(&bench, types, ARRAY_LEN(types));
    codec = codec_of(schema_find(bench.schema, "model.Tick"));
    ck_assert_int_eq(block_pool_create(BLOCK, &pool), S4_OK);
    for (uint32_t slot = 0; slot < SLOTS; slot++)
        map_workers[slot] = slot_fixed_worker(slot, 1, WORKERS, WORKERS);
    routes[BY_USER] = make_route(BY_USER, ROUTE_KEYED, "user");
    routes[BY_AT] = make_route(BY_AT, ROUTE_KEYED, "at");
    routes[BY_PAIR] = make_route(BY_PAIR, ROUTE_KEYED, "user,at");
    routes[BY_TAG] = make_route(BY_TAG, ROUTE_KEYED, "tags");
    routes[ANYWHERE] = make_route(ANYWHERE, ROUTE_KEYLESS, NULL);
    routes[EVERYWHERE] = make_route(EVERYWHERE, ROUTE_BROADCAST, NULL);
    routes[AT_SLOT] = make_route(AT_SLOT, ROUTE_SLOT, NULL);
    struct emitter_options options = {
        .map = &map, .pool = pool, .workers = WORKERS, .app = APP, .send = take_block
    };
    ck_assert_int_eq(emitter_init(&emitter, &options, emits_max), S4_OK);
    emitter_source(&emitter, SRC, links);
    keys_init(&keys);
}

static void stop(void)
{
    emitter_flush(&emitter);
    emitter_fini(&emitter);
    keys_fini(&keys);
    ck_assert_uint_eq(block_pool_bytes(pool), 0);
    block_pool_destroy(pool);
    codec_destroy(codec);
    bench_close(&bench);
}

/* ---- the naive way ------------------------------------------------------------------------- */

static void naive_put(const struct emission *emission, uint16_t stream, uint16_t slot,
                      uint64_t hash, int64_t n)
{
    struct naive *list = &naive[map_workers[slot]];
    WANT(list->end - list->first < WAIT_MAX);
    list->list[list->end++ % WAIT_MAX] = (struct expected){
        .hash = hash,
        .time = emission->time,
        .n = n,
        .seq = ++seqs[slot],
        .stream = stream,
        .dst = slot,
        .hop = emission->hop,
    };
}

/* Answers how many records. */
static uint32_t naive_emit(enum route_name name, const struct emission *emission,
                           const Model__Tick *tick)
{
    uint64_t none = hash_bytes("", 0);
    if (name == EVERYWHERE) {
        for (uint16_t slot = 0; slot < SLOTS; slot++)
            naive_put(emission, name, slot, none, tick->n);
        return SLOTS;
    }
    if (name == ANYWHERE || name == AT_SLOT) {
        naive_put(emission, name, name == AT_SLOT ? 11 : emission->keyless, none, tick->n);
        return 1;
    }
    WANT(keys_of_message(&keys, &routes[name].spec, tick) == S4_OK);
    for (size_t i = 0; i < keys_count(&keys); i++) {
        uint64_t hash = keys_at(&keys, i)->hash;
        naive_put(emission, name, slot_of_hash(hash, SLOTS), hash, tick->n);
    }
    return (uint32_t)keys_count(&keys);
}

static void naive_end(bool keep)
{
    for (uint32_t w = 0; w < WORKERS; w++) {
        struct naive *list = &naive[w];
        while (!keep && list->end > list->sure)
            seqs[list->list[--list->end % WAIT_MAX].dst]--;
        list->sure = list->end;
    }
}

/* ---- the oracle ---------------------------------------------------------------------------- */

/* All that a rollback has to give back. */
struct state {
    uint32_t links[SLOTS];
    struct block *blocks[WORKERS];
    uint32_t used[WORKERS];
    uint32_t count[WORKERS];
    uint32_t n_open;
    uint64_t begun;
    size_t bytes;
};

static struct state state_now(void)
{
    struct state s;
    memset(&s, 0, sizeof s); /* compared as bytes */
    s.n_open = emitter.n_open;
    s.begun = atomic_load(&emitter.begun);
    s.bytes = block_pool_bytes(pool);
    memcpy(s.links, links, sizeof links);
    for (uint32_t w = 0; w < WORKERS; w++) {
        const struct emitter_open *open = &emitter.open[w];
        s.blocks[w] = open->block;
        s.used[w] = open->block ? (uint32_t)(open->at - open->block->data) : 0;
        s.count[w] = emitter_open_count(open);
    }
    return s;
}

static char *random_user(char *room, size_t size)
{
    uint64_t len = rng_below(&bench.rng, rng_below(&bench.rng, 50) ? 20 : size - 1);
    for (uint64_t i = 0; i < len; i++)
        room[i] = (char)('a' + rng_below(&bench.rng, 26));
    room[len] = '\0';
    return room;
}

/* One emit of a random event by a random route: in the emitter and in the list. */
static uint32_t emit_one(uint8_t hop)
{
    static char user[3000];
    static const char *const tags[] = { "x", "y", "x", "", "a tag that is longer than 16 bytes" };
    struct rng *rng = &bench.rng;
    Model__Tick tick = MODEL__TICK__INIT;
    tick.user = random_user(user, sizeof user);
    tick.has_n = 1;
    tick.n = (int64_t)rng_next(rng);
    tick.has_at = rng_below(rng, 3) > 0;
    tick.at = (int64_t)rng_below(rng, 5);
    tick.tags = (char **)(uintptr_t)tags;
    tick.n_tags = rng_below(rng, ARRAY_LEN(tags) + 1);
    struct emission emission = { .time = rng_next(rng),
                                 .hop = hop,
                                 .keyless = (uint16_t)rng_below(rng, SLOTS) };
    enum route_name name = rng_below(rng, 3) ? BY_USER : (enum route_name)rng_below(rng, ROUTES);
    uint32_t before = emitter_emitted(&emitter);
    uint32_t n = naive_emit(name, &emission, &tick);
    WANT(emitter_emit(&emitter, &routes[name], &emission, &tick) == S4_OK);
    SUITE_SAME(emitter_emitted(&emitter) - before, n);
    return n;
}

static uint32_t one_call(void)
{
    uint32_t n = 0;
    struct state before = state_now();
    uint8_t hop = (uint8_t)rng_below(&bench.rng, 256);
    uint64_t emits = rng_below(&bench.rng, rng_below(&bench.rng, 20) ? 4 : 200);
    for (uint64_t i = 0; i < emits; i++)
        n += emit_one(hop);
    bool keep = rng_below(&bench.rng, 3) > 0;
    naive_end(keep);
    if (keep) {
        emitter_commit(&emitter);
    } else {
        emitter_rollback(&emitter);
        struct state after = state_now();
        /* state_now clears what lies between the members.
         * NOLINTNEXTLINE(bugprone-suspicious-memory-comparison) */
        WANT(memcmp(&before, &after, sizeof before) == 0);
    }
    WANT(memcmp(links, seqs, sizeof links) == 0);
    if (rng_below(&bench.rng, 30) == 0)
        emitter_flush(&emitter);
    return n;
}

/* A slot goes to another worker; what was sent before went to the one before. */
static void move_one(void)
{
    uint32_t slot = (uint32_t)rng_below(&bench.rng, SLOTS);
    uint16_t worker = (uint16_t)rng_below(&bench.rng, WORKERS);
    emitter_flush(&emitter);
    atomic_store(&map_workers[slot], worker);
    emitter_reroute(&emitter, slot, worker);
}

START_TEST(a_million_records_against_a_list)
{
    start(UINT32_MAX);
    rng_init(&bench.rng, suite_seed());
    for (uint32_t n = 0; n < EMITS;) {
        n += one_call();
        if (rng_below(&bench.rng, 200) == 0)
            move_one();
    }
    emitter_flush(&emitter);
    uint64_t sent = 0;
    for (uint32_t w = 0; w < WORKERS; w++)
        ck_assert_uint_eq(naive[w].first, naive[w].end); /* all arrived */
    for (uint32_t slot = 0; slot < SLOTS; slot++)
        sent += links[slot];
    ck_assert_uint_eq(sent, arrived);
    ck_assert_uint_gt(arrived, EMITS / 3);
    stop();
}
END_TEST

/* ---- limits -------------------------------------------------------------------------------- */

START_TEST(records_have_a_limit)
{
    start(UINT32_MAX);
    raw = true;
    static char data[RECORD_MAX];
    struct emission emission = { .hop = 1 };
    size_t head = sizeof(struct record) + record_key_room(3);
    size_t sizes[] = { 0, 1, BLOCK - head, BLOCK - head + 1, 200000, RECORD_MAX - head };
    for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
        ck_assert_int_eq(emitter_emit_raw(&emitter, 1, 2, &emission, "abc", 3, data, sizes[i]),
                         S4_OK);
        emitter_commit(&emitter);
        emitter_flush(&emitter);
        ck_assert_uint_eq(arrived, i + 1);
        ck_assert_uint_eq(last_len, head + align_up(sizes[i], 8));
        ck_assert_uint_eq(links[2], i + 1);
    }
    struct state before = state_now();
    ck_assert_int_eq(emitter_emit_raw(&emitter, 1, 2, &emission, "abc", 3, data, 8), S4_OK);
    ck_assert_int_eq(
        emitter_emit_raw(&emitter, 1, 2, &emission, "abc", 3, data, RECORD_MAX - head + 1),
        S4_TOO_LARGE);
    emitter_rollback(&emitter);
    struct state after = state_now();
    ck_assert_mem_eq(&before, &after, sizeof before);
    stop();
}
END_TEST

START_TEST(calls_have_a_limit)
{
    static char user[] = "user";
    start(5);
    raw = true;
    Model__Tick tick = MODEL__TICK__INIT;
    struct emission emission = { .hop = 1 };
    tick.user = user;
    for (int round = 0; round < 2; round++) {
        for (int i = 0; i < 5; i++)
            ck_assert_int_eq(emitter_emit(&emitter, &routes[BY_USER], &emission, &tick), S4_OK);
        if (round == 0) {
            emitter_commit(&emitter);
            continue;
        }
        ck_assert_int_eq(emitter_emit(&emitter, &routes[BY_USER], &emission, &tick), S4_FULL);
        emitter_rollback(&emitter);
    }
    ck_assert_int_eq(emitter_emit(&emitter, &routes[EVERYWHERE], &emission, &tick), S4_FULL);
    emitter_rollback(&emitter);
    emitter_flush(&emitter);
    ck_assert_uint_eq(arrived, 5);
    stop();
}
END_TEST

/* A short key is read 16 bytes at a time: never beyond a page that ends behind it. */
START_TEST(keys_may_lie_at_a_pages_end)
{
    start(UINT32_MAX);
    char *pages = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    ck_assert(pages != MAP_FAILED);
    ck_assert_int_eq(mprotect(pages + PAGE, PAGE, PROT_NONE), 0);
    memset(pages, 'x', PAGE - 1);
    Model__Tick tick = MODEL__TICK__INIT;
    struct emission emission = { .hop = 1 };
    for (int round = 0; round < 3; round++) {
        for (size_t len = 0; len <= 40; len++) {
            tick.user = pages + PAGE - 1 - len;
            naive_emit(BY_USER, &emission, &tick);
            ck_assert_int_eq(emitter_emit(&emitter, &routes[BY_USER], &emission, &tick), S4_OK);
            naive_end(true);
            emitter_commit(&emitter);
        }
    }
    tick.user = NULL; /* absent: no record, counted */
    ck_assert_uint_eq(emitter.absent, 0);
    ck_assert_int_eq(emitter_emit(&emitter, &routes[BY_USER], &emission, &tick), S4_OK);
    ck_assert_uint_eq(emitter_emitted(&emitter), 0);
    ck_assert_uint_eq(emitter.absent, 1);
    emitter_commit(&emitter);
    emitter_flush(&emitter);
    ck_assert_uint_eq(arrived, 3 * 41);
    munmap(pages, 2 * PAGE);
    stop();
}
END_TEST

START_TEST(a_text_key_has_a_limit)
{
    static char user[RECORD_KEY_MAX + 2];
    start(UINT32_MAX);
    Model__Tick tick = MODEL__TICK__INIT;
    struct emission emission = { .hop = 1 };
    memset(user, 'k', RECORD_KEY_MAX);
    tick.user = user;
    naive_emit(BY_USER, &emission, &tick);
    ck_assert_int_eq(emitter_emit(&emitter, &routes[BY_USER], &emission, &tick), S4_OK);
    naive_end(true);
    emitter_commit(&emitter);
    user[RECORD_KEY_MAX] = 'k';
    ck_assert_int_eq(emitter_emit(&emitter, &routes[BY_USER], &emission, &tick), S4_TOO_LARGE);
    emitter_rollback(&emitter);
    emitter_flush(&emitter);
    ck_assert_uint_eq(arrived, 1);
    stop();
}
END_TEST

START_TEST(memory_may_run_out_in_a_call)
{
    start(UINT32_MAX);
    raw = true;
    static char data[5000];
    struct emission emission = { .hop = 1 };
    for (int i = 0; i < 12; i++) {
        struct state before = state_now();
        s4_status status = S4_OK;
        mem_fail_after(i);
        for (int k = 0; k < 50 && status == S4_OK; k++)
            status = emitter_emit_raw(&emitter, 1, (uint16_t)(k % SLOTS), &emission, "k", 1, data,
                                      sizeof data);
        mem_fail_after(-1);
        ck_assert(status == S4_OK || status == S4_NO_MEMORY);
        emitter_rollback(&emitter);
        struct state after = state_now();
        ck_assert_mem_eq(&before, &after, sizeof before);
    }
    stop();
}
END_TEST

START_TEST(only_old_blocks_are_flushed)
{
    start(UINT32_MAX);
    raw = true;
    struct emission emission = { .hop = 1 };
    ck_assert(!emitter_flush_old(&emitter, UINT64_MAX)); /* there is none */
    for (uint32_t slot = 0; slot < 2; slot++) {          /* of two workers */
        emitter.now_us = 100 + slot;
        ck_assert_int_eq(emitter_emit_raw(&emitter, 1, (uint16_t)slot, &emission, "k", 1, "", 0),
                         S4_OK);
        naive_put(&emission, 1, (uint16_t)slot, hash_bytes("k", 1), 0);
        emitter_commit(&emitter);
    }
    naive_end(true);
    ck_assert(!emitter_flush_old(&emitter, 99));
    ck_assert_uint_eq(arrived, 0);
    ck_assert(emitter_flush_old(&emitter, 100));
    ck_assert_uint_eq(arrived, 1);
    ck_assert_uint_eq(emitter.n_open, 1);
    ck_assert(emitter_flush_old(&emitter, 101));
    ck_assert_uint_eq(arrived, 2);
    stop();
}
END_TEST

Suite *suite_build(void)
{
    Suite *suite = suite_create("emitter");
    suite_add(suite, "oracle", a_million_records_against_a_list, 60);
    suite_add(suite, "records", records_have_a_limit, 20);
    suite_add(suite, "calls", calls_have_a_limit, 20);
    suite_add(suite, "pages", keys_may_lie_at_a_pages_end, 20);
    suite_add(suite, "text", a_text_key_has_a_limit, 20);
    suite_add(suite, "memory", memory_may_run_out_in_a_call, 20);
    suite_add(suite, "old", only_old_blocks_are_flushed, 20);
    return suite;
}
