/* Decimal numbers against strtod, strtoll and a 128-bit decimal. */
#include "tests/support/suite.h"

#include <errno.h>
#include <inttypes.h>
#include <locale.h>
#include <math.h>

#include "runtime/base/rng.h"
#include "runtime/text/number.h"

static bool scan(const char *text, struct number *number)
{
    return number_scan(text, text + strlen(text), number);
}

START_TEST(grammar_is_that_of_json)
{
    static const char *const good[] = { "0",   "-0",   "10",    "1.5",   "0.25",
                                        "1e5", "1E+5", "1e-05", "-1.0e9" };
    static const char *const bad[] = { "",     "-",  "+1",  "01",  "-01", ".5", "1.",
                                       "1.e5", "1e", "1e+", "abc", "--1", "00", "1.+5" };
    struct number number;
    for (size_t i = 0; i < ARRAY_LEN(good); i++) {
        ck_assert_msg(scan(good[i], &number), "%s", good[i]);
        ck_assert_uint_eq(number.len, strlen(good[i]));
    }
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        ck_assert_msg(!scan(bad[i], &number), "%s", bad[i]);
    ck_assert(scan("12,", &number));
    ck_assert_uint_eq(number.len, 2);
}
END_TEST

START_TEST(limits_are_exact)
{
    static const struct {
        const char *text;
        s4_status as_signed, as_unsigned;
    } table[] = {
        { "9223372036854775807", S4_OK, S4_OK },
        { "9223372036854775808", S4_RANGE, S4_OK },
        { "-9223372036854775808", S4_OK, S4_RANGE },
        { "-9223372036854775809", S4_RANGE, S4_RANGE },
        { "18446744073709551615", S4_RANGE, S4_OK },
        { "18446744073709551616", S4_RANGE, S4_RANGE },
        { "18446744073709551615.0", S4_RANGE, S4_OK },
        { "1844674407370955161.5e1", S4_RANGE, S4_OK },
        { "184467440737095516150e-1", S4_RANGE, S4_OK },
        { "184467440737095516151e-1", S4_TYPE, S4_TYPE },
        { "184467440737095516160e-1", S4_RANGE, S4_RANGE },
        { "18446744073709551615.1", S4_TYPE, S4_TYPE },
        { "1e19", S4_RANGE, S4_OK },
        { "1e20", S4_RANGE, S4_RANGE },
        { "1e99999999999999", S4_RANGE, S4_RANGE },
        { "0e99999999999999", S4_OK, S4_OK },
        { "0.000", S4_OK, S4_OK },
        { "-0", S4_OK, S4_OK },
        { "-1", S4_OK, S4_RANGE },
        { "1.5", S4_TYPE, S4_TYPE },
        { "1e-1", S4_TYPE, S4_TYPE },
        { "1.00000000000000000000000000000001", S4_TYPE, S4_TYPE },
    };
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        struct number number;
        int64_t narrow;
        uint64_t wide;
        ck_assert(scan(table[i].text, &number));
        s4_status status = number_signed(&number, INT64_MIN, INT64_MAX, &narrow);
        ck_assert_msg(status == table[i].as_signed, "%s: %s", table[i].text,
                      s4_status_name(status));
        status = number_unsigned(&number, UINT64_MAX, &wide);
        ck_assert_msg(status == table[i].as_unsigned, "%s: %s", table[i].text,
                      s4_status_name(status));
    }
}
END_TEST

START_TEST(integers_in_any_form_are_themselves)
{
    struct rng rng;
    rng_init(&rng, suite_seed());
    for (int round = 0; round < 100000; round++) {
        int64_t want = (int64_t)(rng_next(&rng) >> rng_below(&rng, 63)) | 1;
        uint64_t magnitude = want < 0 ? -(uint64_t)want : (uint64_t)want;
        const char *sign = want < 0 ? "-" : "";
        char text[64];
        switch (rng_below(&rng, 4)) {
        case 0:
            snprintf(text, sizeof text, "%" PRId64, want);
            break;
        case 1:
            snprintf(text, sizeof text, "%" PRId64 ".000", want);
            break;
        case 2:
            snprintf(text, sizeof text, "%" PRId64 "000e-3", want);
            break;
        default:
            snprintf(text, sizeof text, "%s%" PRIu64 ".%03ue3", sign, magnitude / 1000,
                     (unsigned)(magnitude % 1000));
        }
        struct number number;
        int64_t value = 0;
        if (!scan(text, &number) || number_signed(&number, INT64_MIN, INT64_MAX, &value) != S4_OK ||
            value != want)
            ck_abort_msg("%s: %" PRId64, text, value);
    }
}
END_TEST

/* A decimal of up to 25 digits, with a point and an exponent now and then. */
static void random_decimal(struct rng *rng, char *text)
{
    size_t n = 0;
    if (rng_below(rng, 2))
        text[n++] = '-';
    text[n++] = (char)('1' + rng_below(rng, 9));
    for (uint64_t i = rng_below(rng, rng_below(rng, 4) ? 6 : 20); i > 0; i--)
        text[n++] = (char)('0' + rng_below(rng, 10));
    if (rng_below(rng, 2)) {
        text[n++] = '.';
        for (uint64_t i = 1 + rng_below(rng, rng_below(rng, 4) ? 4 : 20); i > 0; i--)
            text[n++] = (char)('0' + rng_below(rng, 10));
    }
    text[n] = '\0';
    if (rng_below(rng, 2))
        snprintf(text + n, 16, "e%d", (int)rng_below(rng, 60) - 30);
}

START_TEST(floating_point_is_what_strtod_says)
{
    struct rng rng;
    rng_init(&rng, suite_seed());
    for (int round = 0; round < 300000; round++) {
        char text[128];
        random_decimal(&rng, text);
        struct number number;
        double value = 0;
        float narrow = 0;
        if (!scan(text, &number) || number_double(&number, &value) != S4_OK ||
            value != strtod(text, NULL))
            ck_abort_msg("%s: %.17g", text, value);
        float want = strtof(text, NULL);
        s4_status status = number_float(&number, &narrow);
        if (status != (isinf(want) ? S4_RANGE : S4_OK) || (status == S4_OK && narrow != want))
            ck_abort_msg("%s: %.9g", text, (double)narrow);
    }
}
END_TEST

START_TEST(floating_point_has_limits)
{
    struct number number;
    double value;
    float narrow;
    ck_assert(scan("1.7976931348623157e308", &number));
    ck_assert_int_eq(number_double(&number, &value), S4_OK);
    ck_assert(scan("1.7976931348623159e308", &number));
    ck_assert_int_eq(number_double(&number, &value), S4_RANGE);
    ck_assert(scan("-1e400", &number));
    ck_assert_int_eq(number_double(&number, &value), S4_RANGE);
    ck_assert(scan("3.4028235e38", &number));
    ck_assert_int_eq(number_float(&number, &narrow), S4_OK);
    ck_assert(scan("3.4028236e38", &number));
    ck_assert_int_eq(number_float(&number, &narrow), S4_RANGE);
    ck_assert(scan("4e-324", &number));
    ck_assert_int_eq(number_double(&number, &value), S4_OK);
    ck_assert(value == 0x1p-1074);
    ck_assert(scan("1e-999", &number));
    ck_assert_int_eq(number_double(&number, &value), S4_OK);
    ck_assert(value == 0);
}
END_TEST

START_TEST(length_has_a_limit)
{
    char text[NUMBER_LEN_MAX + 2];
    memset(text, '0', sizeof text);
    text[1] = '.';
    for (size_t len = NUMBER_LEN_MAX; len <= NUMBER_LEN_MAX + 1; len++) {
        struct number number;
        uint64_t whole;
        double value;
        float narrow;
        s4_status want = len > NUMBER_LEN_MAX ? S4_TOO_LARGE : S4_OK;
        text[len - 1] = '0';
        ck_assert(number_scan(text, text + len, &number));
        ck_assert_int_eq(number_unsigned(&number, 5, &whole), want);
        text[len - 1] = '1'; /* digits that no fast path takes */
        text[0] = '7';
        ck_assert(number_scan(text, text + len, &number));
        ck_assert_int_eq(number_double(&number, &value), want);
        ck_assert_int_eq(number_float(&number, &narrow), want);
        text[0] = '0';
    }
}
END_TEST

static void check_print(double value)
{
    char text[NUMBER_TEXT_MAX + 1];
    size_t len = number_print_double(value, text);
    struct number number;
    double back = 0;
    if (!number_scan(text, text + len, &number) || number.len != len ||
        number_double(&number, &back) != S4_OK || back != value || signbit(back) != signbit(value))
        ck_abort_msg("%.17g printed as %.*s", value, (int)len, text);
    float narrow = (float)value;
    if (isinf(narrow))
        return;
    float narrow_back = 0;
    len = number_print_float(narrow, text);
    if (!number_scan(text, text + len, &number) || number.len != len ||
        number_float(&number, &narrow_back) != S4_OK || narrow_back != narrow ||
        signbit(narrow_back) != signbit(narrow))
        ck_abort_msg("%.9g printed as %.*s", (double)narrow, (int)len, text);
}

START_TEST(what_is_printed_reads_back)
{
    struct rng rng;
    rng_init(&rng, suite_seed());
    static const double specials[] = { 0.0,     -0.0, 1e15, 999999999999999.0, 1e16, 5e-324, 0x1p63,
                                       -0x1p63, 0.1,  1e22 };
    for (size_t i = 0; i < ARRAY_LEN(specials); i++)
        check_print(specials[i]);
    for (int round = 0; round < 100000; round++) {
        uint64_t bits = rng_next(&rng);
        double value;
        memcpy(&value, &bits, sizeof value);
        if (isfinite(value))
            check_print(value);
        check_print((double)(int64_t)bits / 1000);
        check_print((double)(bits >> 40));
    }
    char text[NUMBER_TEXT_MAX];
    ck_assert_uint_eq(number_print_double(0.1, text), 3);
    ck_assert_uint_eq(number_print_float(0.1f, text), 3);
    ck_assert_uint_eq(number_print_signed(INT64_MIN, text), 20);
    ck_assert_int_eq(memcmp(text, "-9223372036854775808", 20), 0);
    ck_assert_uint_eq(number_print_unsigned(UINT64_MAX, text), 20);
    ck_assert_int_eq(memcmp(text, "18446744073709551615", 20), 0);
}
END_TEST

/* Where no locale with a comma is installed, the "C" one must still do. */
START_TEST(the_locale_has_no_influence)
{
    static const char *const commas[] = { "de_DE.UTF-8", "de_DE.utf8", "fr_FR.UTF-8", "C" };
    for (size_t i = 0; i < ARRAY_LEN(commas); i++)
        if (setlocale(LC_ALL, commas[i]))
            break;
    check_print(1.0 / 3);
    setlocale(LC_ALL, "C");
}
END_TEST

Suite *suite_build(void)
{
    Suite *suite = suite_create("number");
    suite_add(suite, "grammar", grammar_is_that_of_json, 10);
    suite_add(suite, "limits", limits_are_exact, 10);
    suite_add(suite, "integers", integers_in_any_form_are_themselves, 30);
    suite_add(suite, "floating", floating_point_is_what_strtod_says, 60);
    suite_add(suite, "floating_limits", floating_point_has_limits, 10);
    suite_add(suite, "length", length_has_a_limit, 10);
    suite_add(suite, "print", what_is_printed_reads_back, 60);
    suite_add(suite, "locale", the_locale_has_no_influence, 10);
    return suite;
}
