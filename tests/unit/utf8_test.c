/* UTF-8 against a decoder that puts every code point together and judges the number. */
#include "tests/support/suite.h"

#include "runtime/base/rng.h"
#include "runtime/base/utf8.h"

/* Bytes of the sequence at `at`, by decoding; 0 if it is none. */
static size_t naive_sequence(const uint8_t *at, size_t len)
{
    static const uint32_t smallest[5] = { 0, 1, 0x80, 0x800, 0x10000 };
    size_t n = at[0] < 0x80       ? 1
               : at[0] >> 5 == 6  ? 2
               : at[0] >> 4 == 14 ? 3
               : at[0] >> 3 == 30 ? 4
                                  : 0;
    if (n == 0 || n > len)
        return 0;
    uint32_t code = n == 1 ? at[0] : at[0] & (0x7fu >> n);
    for (size_t i = 1; i < n; i++) {
        if (at[i] >> 6 != 2)
            return 0;
        code = code << 6 | (at[i] & 0x3f);
    }
    if (code < smallest[n] || code > 0x10ffff || (code >= 0xd800 && code < 0xe000))
        return 0;
    return n;
}

static size_t naive_valid(const char *text, size_t len)
{
    size_t at = 0;
    while (at < len) {
        size_t n = naive_sequence((const uint8_t *)text + at, len - at);
        if (n == 0)
            break;
        at += n;
    }
    return at;
}

START_TEST(code_points_round_trip)
{
    for (uint32_t code = 1; code <= 0x10ffff; code++) {
        char text[4];
        size_t n = utf8_put(code, text);
        bool surrogate = code >= 0xd800 && code < 0xe000;
        size_t want = surrogate ? 0 : n;
        if (utf8_valid(text, n) != want || utf8_sequence(text, n) != want ||
            utf8_valid(text, n - 1) != 0)
            ck_abort_msg("U+%04x", code);
    }
}
END_TEST

START_TEST(three_leading_bytes_are_judged_alike)
{
    char text[5] = { 0 };
    for (uint32_t lead = 0; lead < 1u << 24; lead += 1 + (lead & 0x1ff)) {
        text[0] = (char)(lead >> 16);
        text[1] = (char)(lead >> 8);
        text[2] = (char)lead;
        text[3] = (char)0x80;
        text[4] = 'x';
        for (size_t len = 1; len <= 5; len++)
            if (utf8_valid(text, len) != naive_valid(text, len))
                ck_abort_msg("%06x, %zu bytes", lead, len);
    }
}
END_TEST

START_TEST(random_texts_are_judged_alike)
{
    struct rng rng;
    rng_init(&rng, suite_seed());
    static const char pieces[][5] = { "a", "\xc3\xa9", "\xe2\x82\xac", "\xf0\x9f\x98\x80", "\x7f" };
    for (int round = 0; round < 100000; round++) {
        char text[64];
        size_t len = 0;
        size_t want = rng_below(&rng, 50);
        while (len < want) {
            const char *piece = pieces[rng_below(&rng, 3) ? 0 : rng_below(&rng, ARRAY_LEN(pieces))];
            memcpy(text + len, piece, strlen(piece));
            len += strlen(piece);
        }
        if (len > 0 && rng_below(&rng, 2))
            text[rng_below(&rng, len)] = (char)rng_next(&rng);
        if (utf8_valid(text, len) != naive_valid(text, len))
            ck_abort_msg("round %d", round);
    }
}
END_TEST

START_TEST(a_nul_ends_the_valid_part)
{
    ck_assert_uint_eq(utf8_valid("abc\0defghijklmnop", 17), 3);
    ck_assert_uint_eq(utf8_valid("abcdefghijk\0", 12), 11);
    ck_assert_uint_eq(utf8_valid("", 0), 0);
}
END_TEST

Suite *suite_build(void)
{
    Suite *suite = suite_create("utf8");
    suite_add(suite, "code_points", code_points_round_trip, 30);
    suite_add(suite, "leading", three_leading_bytes_are_judged_alike, 60);
    suite_add(suite, "random", random_texts_are_judged_alike, 60);
    suite_add(suite, "nul", a_nul_ends_the_valid_part, 10);
    return suite;
}
