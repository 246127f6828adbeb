/* The unrolled emit of every shape against the general way: byte for byte the same blocks. Texts of
 * any length, absent ones and defaults, keys of every string of the type, blocks that fill up,
 * calls that are taken back. */
#include "tests/support/suite.h"

#include "router/emit/emitter_inside.h"
#include "tests/support/random_message.h"
#include "tests/support/record_bench.h"

#include "tests/support/protos/shapes.pb-c.h"

#define SLOTS    8u
#define WORKERS  2u
#define BLOCK    2048u
#define MESSAGES 600000

/* One emitter and all that it has sent. */
struct side {
    struct emitter emitter;
    uint32_t links[SLOTS];
    struct buffer sent;
};

static struct bench bench;
static struct block_pool *pool;
static _Atomic uint16_t map_workers[SLOTS];
static const struct slot_map map = { .slots = SLOTS, .worker = map_workers };

static void keep(void *user, struct block *block)
{
    struct side *side = user;
    const uint32_t head[] = { block->used, block->count, block->hops, block->worker };
    WANT(buffer_append(&side->sent, head, sizeof head) == S4_OK);
    WANT(buffer_append(&side->sent, block->data, block->used) == S4_OK);
    block_release(block);
}

static void side_open(struct side *side)
{
    const struct emitter_options options = {
        .map = &map, .pool = pool, .workers = WORKERS, .app = 1, .send = keep, .user = side
    };
    *side = (struct side){ 0 };
    buffer_init(&side->sent);
    ck_assert_int_eq(emitter_init(&side->emitter, &options, 50), S4_OK);
    emitter_source(&side->emitter, 3, side->links);
}

static void side_close(struct side *side)
{
    emitter_fini(&side->emitter);
    buffer_fini(&side->sent);
}

static void call_end(struct side *side, bool commit)
{
    if (commit)
        emitter_commit(&side->emitter);
    else
        emitter_rollback(&side->emitter);
}

static void same_sent(struct side *a, struct side *b)
{
    emitter_flush(&a->emitter);
    emitter_flush(&b->emitter);
    SUITE_SAME(a->sent.size, b->sent.size);
    WANT(a->sent.size == 0 || memcmp(a->sent.data, b->sent.data, a->sent.size) == 0);
    WANT(memcmp(a->links, b->links, sizeof a->links) == 0);
    buffer_clear(&a->sent);
    buffer_clear(&b->sent);
}

static void emit_calls(struct side *fast, struct side *slow, const struct route *route, int n)
{
    struct route general = *route;
    general.emit = emit_text_slowly;
    for (int i = 0; i < n;) {
        const struct emission emission = { .time = rng_next(&bench.rng),
                                           .flags = (uint8_t)rng_below(&bench.rng, 2),
                                           .hop = (uint8_t)rng_below(&bench.rng, 256) };
        s4_status status = S4_OK;
        for (uint64_t of_call = rng_below(&bench.rng, 60); of_call > 0 && status == S4_OK;
             of_call--, i++) {
            arena_reset(&bench.messages);
            const void *message = message_random(route->spec.type->descriptor, &bench.rng,
                                                 &bench.messages, 2, (int)of_call);
            status = emitter_emit(&fast->emitter, route, &emission, message);
            WANT(emitter_emit(&slow->emitter, &general, &emission, message) == status);
            SUITE_SAME(emitter_emitted(&fast->emitter), emitter_emitted(&slow->emitter));
        }
        bool commit = status == S4_OK && rng_below(&bench.rng, 4);
        call_end(fast, commit);
        call_end(slow, commit);
        i++;
    }
    same_sent(fast, slow);
}

static struct route route_by(const struct codec *codec, const char *key)
{
    struct route route = {
        .number = 7, .kind = ROUTE_KEYED, .codec = codec, .put = codec_put(codec)
    };
    ck_assert_int_eq(key_spec_compile(codec_type(codec), key, &route.spec, NULL), S4_OK);
    route_init(&route);
    return route;
}

static int by_each_string(const struct codec *codec, int messages)
{
    const struct type *type = codec_type(codec);
    struct side fast, slow;
    int keys = 0;
    side_open(&fast);
    side_open(&slow);
    for (uint32_t i = 0; i < type->n_strings; i++) {
        struct route route = route_by(codec, type->string_fields[i]->name);
        if (route.text_offset == FIELD_NONE)
            continue; /* one with a default is no plain text */
        emit_calls(&fast, &slow, &route, messages);
        keys++;
    }
    side_close(&fast);
    side_close(&slow);
    return keys;
}

#define SHAPE(name) &test__shape__##name##__descriptor
static const ProtobufCMessageDescriptor *const shapes[] = {
    SHAPE(w1_s1), SHAPE(w2_s1),  SHAPE(w2_s2), SHAPE(w3_s1), SHAPE(w3_s2), SHAPE(w3_s3),
    SHAPE(w4_s1), SHAPE(w4_s2),  SHAPE(w4_s4), SHAPE(w5_s1), SHAPE(w5_s2), SHAPE(w5_s4),
    SHAPE(w5_s5), SHAPE(w8_s1),  SHAPE(w8_s2), SHAPE(w8_s4), SHAPE(w8_s5), SHAPE(w8_s8),
    SHAPE(w9_s4), SHAPE(w12_s5), SHAPE(holes), SHAPE(tail),
};

START_TEST(every_shape_writes_what_the_general_way_writes)
{
    int keys = 0;
    bench_open(&bench, shapes, ARRAY_LEN(shapes));
    ck_assert_int_eq(block_pool_create(BLOCK, &pool), S4_OK);
    for (uint32_t slot = 0; slot < SLOTS; slot++)
        map_workers[slot] = slot_fixed_worker(slot, 1, WORKERS, WORKERS);
    for (size_t i = 0; i < ARRAY_LEN(shapes); i++) {
        struct codec *codec = codec_of(schema_find(bench.schema, shapes[i]->name));
        keys += by_each_string(codec, MESSAGES / 40);
        codec_destroy(codec);
    }
    ck_assert_int_gt(keys, 30);
    block_pool_destroy(pool);
    bench_close(&bench);
}
END_TEST

Suite *suite_build(void)
{
    Suite *suite = suite_create("emit_text");
    suite_add(suite, "shapes", every_shape_writes_what_the_general_way_writes, 60);
    return suite;
}
