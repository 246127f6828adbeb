/* The base: buffers, diagnostics, memory failure, clocks, random numbers, the hash's vectors. */
#include "tests/support/suite.h"

#include "runtime/base/buffer.h"
#include "runtime/base/clock.h"
#include "runtime/base/diag.h"
#include "runtime/base/hash.h"
#include "runtime/base/mem.h"
#include "runtime/base/rng.h"

START_TEST(buffer_grows_and_fails_whole)
{
    struct buffer buffer;
    buffer_init(&buffer);
    for (int i = 0; i < 1000; i++)
        ck_assert_int_eq(buffer_printf(&buffer, "%d,", i), S4_OK);
    ck_assert_int_eq(strncmp(buffer_text(&buffer), "0,1,2,", 6), 0);
    size_t size = buffer.size;
    mem_fail_after(0);
    char big[100000] = { 0 };
    ck_assert_int_eq(buffer_append(&buffer, big, sizeof big), S4_NO_MEMORY);
    mem_fail_after(-1);
    ck_assert_uint_eq(buffer.size, size);
    buffer_fini(&buffer);
}
END_TEST

START_TEST(diag_cuts_and_prefixes)
{
    struct diag diag = { 0 };
    ck_assert_int_eq(diag_set(&diag, S4_TYPE, "wanted %s", "int32"), S4_TYPE);
    ck_assert_int_eq(diag_prefix(&diag, S4_TYPE, "a.yaml:%d: ", 3), S4_TYPE);
    ck_assert_str_eq(diag.text, "a.yaml:3: wanted int32");
    for (int i = 0; i < 300; i++)
        ck_assert_int_eq(diag_prefix(&diag, S4_TYPE, "longer and "), S4_TYPE);
    ck_assert_uint_eq(strlen(diag.text), DIAG_TEXT_MAX - 1);
    ck_assert_uint_eq(diag.place.message, 0);
    ck_assert_int_eq(diag_set_at(&diag, S4_TYPE, "a.yaml", 3, 14, "wanted %s", "int32"), S4_TYPE);
    ck_assert_str_eq(diag.text, "a.yaml:3:14: wanted int32");
    ck_assert_str_eq(diag.text + diag.place.message, "wanted int32");
    ck_assert_uint_eq(diag.place.file_len, strlen("a.yaml"));
    ck_assert_uint_eq(diag.place.line, 3);
    ck_assert_uint_eq(diag.place.column, 14);
    char file[2 * DIAG_TEXT_MAX];
    memset(file, 'f', sizeof file);
    file[sizeof file - 1] = '\0';
    ck_assert_int_eq(diag_set_at(&diag, S4_TYPE, file, 0, 0, "lost"), S4_TYPE);
    ck_assert_str_eq(diag.text + diag.place.message, "");
    ck_assert_uint_eq(diag.place.file_len, DIAG_TEXT_MAX - 1);
    ck_assert_int_eq(diag_set_at(&diag, S4_TYPE, "file", 0, 0, "kept"), S4_TYPE);
    ck_assert_str_eq(diag.text, "file: kept");
    ck_assert_int_eq(diag_set(&diag, S4_TYPE, "no place"), S4_TYPE);
    ck_assert_uint_eq(diag.place.file_len, 0);
    ck_assert_int_eq(diag_set_at(NULL, S4_FULL, "file", 0, 0, "ignored"), S4_FULL);
    ck_assert_int_eq(diag_set(NULL, S4_FULL, "ignored"), S4_FULL);
}
END_TEST

START_TEST(hash_vectors_hold)
{
    /* XXH3-64, seed 0: a key's slot depends on these on every node and in every version. */
    ck_assert_uint_eq(hash_bytes("", 0), 0x2d06800538d394c2u);
    ck_assert_uint_eq(hash_bytes("a", 1), 0xe6c632b61e964e1fu);
    ck_assert_uint_eq(hash_bytes("abc", 3), 0x78af5f94892f3950u);
}
END_TEST

START_TEST(rng_repeats_and_stays_below)
{
    struct rng a, b;
    rng_init(&a, 42);
    rng_init(&b, 42);
    for (int i = 0; i < 100000; i++) {
        ck_assert_uint_eq(rng_next(&a), rng_next(&b));
        ck_assert_uint_lt(rng_below(&a, 10), 10);
        rng_below(&b, 10);
    }
}
END_TEST

START_TEST(clock_moves_by_hand)
{
    struct clock_sim sim;
    clock_sim_init(&sim, 100);
    clock_sim_advance(&sim, 5);
    ck_assert_uint_eq(sim.clock.mono_us(&sim.clock), 105);
    ck_assert_uint_gt(clock_real.wall_us(&clock_real), 1600000000000000u);
}
END_TEST

Suite *suite_build(void)
{
    Suite *suite = suite_create("base");
    suite_add(suite, "buffer", buffer_grows_and_fails_whole, 10);
    suite_add(suite, "diag", diag_cuts_and_prefixes, 10);
    suite_add(suite, "hash", hash_vectors_hold, 10);
    suite_add(suite, "rng", rng_repeats_and_stays_below, 10);
    suite_add(suite, "clock", clock_moves_by_hand, 10);
    return suite;
}
