/* State in pieces, against the state itself: what changes between looks, by a seed, comes out as it
 * is in the end. And bytes that nobody vouches for.
 */
#include "tests/support/suite.h"

#include "pe/host/pieces.h"
#include "runtime/base/rng.h"

#define ENTRIES 200
#define LOOKS   5

/* A state of entries of drawn sizes, some of them equal. */
struct entry {
    char bytes[48];
    size_t size;
};
static struct entry state[ENTRIES];

static void change(struct rng *rng, struct entry *entry)
{
    entry->size = rng_below(rng, sizeof entry->bytes + 1);
    for (size_t i = 0; i < entry->size; i++)
        entry->bytes[i] = (char)('a' + rng_below(rng, 2));
}

static void write_state(struct buffer *out, struct cuts *cuts)
{
    for (size_t i = 0; i < ENTRIES; i++) {
        ck_assert_int_eq(buffer_append(out, state[i].bytes, state[i].size), S4_OK);
        ck_assert_int_eq(cuts_mark(cuts, out->size), S4_OK);
    }
    ck_assert_int_eq(buffer_append(out, "the end", 7), S4_OK); /* behind the last cut */
}

static void offer_some(struct rng *rng, struct pieces *pieces, struct buffer *out)
{
    for (size_t i = 0; i < ENTRIES; i++)
        if (rng_below(rng, 3))
            ck_assert_int_eq(pieces_offer(pieces, state[i].bytes, state[i].size, out), S4_OK);
}

struct made {
    struct buffer ahead, whole, plain;
};

static void made_fini(struct made *made)
{
    buffer_fini(&made->ahead);
    buffer_fini(&made->whole);
    buffer_fini(&made->plain);
}

static void make(uint64_t seed, struct made *made)
{
    struct rng rng;
    struct pieces *pieces;
    struct cuts cuts = { 0 };
    rng_init(&rng, seed);
    *made = (struct made){ 0 };
    for (size_t i = 0; i < ENTRIES; i++)
        change(&rng, &state[i]);
    ck_assert_int_eq(pieces_create(seed, &pieces), S4_OK);
    for (int look = 0; look < LOOKS; look++) {
        offer_some(&rng, pieces, &made->ahead);
        for (uint64_t n = rng_below(&rng, 20); n > 0; n--)
            change(&rng, &state[rng_below(&rng, ENTRIES)]);
    }
    write_state(&made->plain, &cuts);
    ck_assert_int_eq(pieces_write(pieces, made->plain.data, made->plain.size, &cuts, &made->whole),
                     S4_OK);
    pieces_destroy(pieces);
    cuts_fini(&cuts);
}

static s4_status read(const struct made *made, uint64_t max, struct buffer *out)
{
    struct diag diag = { 0 };
    buffer_clear(out);
    struct pieces_here here = { 0 };
    s4_status status = S4_OK;
    for (size_t at = 0, size = 1; at < made->ahead.size && status == S4_OK; at += size) {
        size = size_min(size % 37 + 1, made->ahead.size - at); /* cut anywhere */
        status = pieces_take(&here, made->ahead.data + at, size);
    }
    if (status == S4_OK)
        status = pieces_read(&here, &made->whole, max, out, &diag);
    else
        diag_set(&diag, status, "refused");
    pieces_drop(&here);
    ck_assert_int_eq(status == S4_OK, diag.text[0] == '\0');
    ck_assert(status == S4_OK || out->size == 0);
    return status;
}

START_TEST(what_comes_out_is_what_was_there)
{
    struct buffer out;
    buffer_init(&out);
    for (uint64_t seed = 1; seed <= 500; seed++) {
        struct made made;
        make(seed, &made);
        ck_assert_int_eq(read(&made, made.plain.size, &out), S4_OK);
        ck_assert_uint_eq(out.size, made.plain.size);
        ck_assert_mem_eq(out.data, made.plain.data, out.size);
        ck_assert_int_eq(read(&made, made.plain.size - 1, &out), S4_TOO_LARGE);
        made_fini(&made);
    }
    buffer_fini(&out);
}
END_TEST

/* Only what has changed since is in the whole. */
START_TEST(what_was_sent_is_not_sent_again)
{
    static char entries[100][100];
    struct pieces *pieces;
    struct buffer ahead, whole;
    struct cuts cuts = { 0 };
    buffer_init(&ahead);
    buffer_init(&whole);
    ck_assert_int_eq(pieces_create(1, &pieces), S4_OK);
    for (size_t i = 0; i < 100; i++) {
        memset(entries[i], (int)i + 1, sizeof entries[i]);
        ck_assert_int_eq(pieces_offer(pieces, entries[i], 100, &ahead), S4_OK);
        ck_assert_int_eq(cuts_mark(&cuts, (i + 1) * 100), S4_OK);
    }
    size_t sent = ahead.size;
    ck_assert_int_eq(pieces_offer(pieces, entries[7], 100, &ahead), S4_OK);
    ck_assert_uint_eq(ahead.size, sent);
    ck_assert_int_eq(pieces_write(pieces, entries[0], sizeof entries, &cuts, &whole), S4_OK);
    ck_assert_uint_eq(whole.size, 16); /* all of them, in their order */
    entries[50][3] = 0;
    buffer_clear(&whole);
    ck_assert_int_eq(pieces_write(pieces, entries[0], sizeof entries, &cuts, &whole), S4_OK);
    ck_assert_uint_eq(whole.size, 16 + 16 + 104 + 16);
    pieces_destroy(pieces);
    pieces_destroy(NULL);
    cuts_fini(&cuts);
    buffer_fini(&ahead);
    buffer_fini(&whole);
}
END_TEST

/* Cut anywhere, and with any bit turned, it is refused or is something of a bounded size. */
START_TEST(what_cannot_be_is_refused)
{
    struct made made;
    struct buffer out;
    buffer_init(&out);
    make(7, &made);
    uint64_t max = 2 * made.plain.size;
    size_t sizes[2] = { made.ahead.size, made.whole.size };
    for (size_t size = 0; size < sizes[0]; size += 1 + size / 64) {
        made.ahead.size = size;
        (void)!read(&made, max, &out);
    }
    made.ahead.size = sizes[0];
    for (size_t size = 1; size < sizes[1]; size++) {
        made.whole.size = size;
        s4_status status = read(&made, max, &out);
        ck_assert(status == S4_CORRUPT || out.size < made.plain.size);
    }
    made.whole.size = sizes[1];
    for (size_t bit = 0; bit < sizes[1] * 8; bit++) {
        made.whole.data[bit / 8] ^= (char)(1 << bit % 8);
        (void)!read(&made, max, &out);
        ck_assert_uint_le(out.size, max);
        made.whole.data[bit / 8] ^= (char)(1 << bit % 8);
    }
    for (size_t bit = 0; bit < sizes[0] * 8; bit += 13) {
        made.ahead.data[bit / 8] ^= (char)(1 << bit % 8);
        (void)!read(&made, max, &out);
        made.ahead.data[bit / 8] ^= (char)(1 << bit % 8);
    }
    ck_assert_int_eq(read(&made, max, &out), S4_OK);
    made_fini(&made);
    buffer_fini(&out);
}
END_TEST

START_TEST(out_of_memory_it_stays_as_it_was)
{
    struct pieces *pieces;
    struct buffer ahead;
    buffer_init(&ahead);
    mem_fail_after(0);
    ck_assert_int_eq(pieces_create(1, &pieces), S4_NO_MEMORY);
    mem_fail_after(-1);
    ck_assert_int_eq(pieces_create(1, &pieces), S4_OK);
    for (int n = 0; n < 3; n++) {
        mem_fail_after(n);
        s4_status status = pieces_offer(pieces, "0123456789", 10, &ahead);
        mem_fail_after(-1);
        ck_assert_int_eq(status, S4_NO_MEMORY);
        ck_assert_uint_eq(ahead.size, 0);
    }
    ck_assert_int_eq(pieces_offer(pieces, "0123456789", 10, &ahead), S4_OK);
    ck_assert_uint_eq(ahead.size, 24);
    pieces_destroy(pieces);
    buffer_fini(&ahead);
}
END_TEST

Suite *suite_build(void)
{
    Suite *suite = suite_create("pieces");
    suite_add(suite, "same", what_comes_out_is_what_was_there, 60);
    suite_add(suite, "again", what_was_sent_is_not_sent_again, 10);
    suite_add(suite, "refuse", what_cannot_be_is_refused, 60);
    suite_add(suite, "memory", out_of_memory_it_stays_as_it_was, 10);
    return suite;
}
