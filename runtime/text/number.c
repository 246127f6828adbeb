/* Decimal numbers, read once and converted exactly.
 *
 * Scanning takes the grammar of JSON (no leading zeros, no bare point) and keeps the significant
 * digits that a uint64_t holds, with a power of ten. That is all that an integer needs, and a short
 * decimal is one exact multiplication or division of it (Clinger's fast path: both operands are
 * exact, so IEEE rounds once). The rest of floating point goes through strtod.
 *
 * strtod and printf obey the locale that a plugin may have set, so both run in the "C" one.
 */
#include "runtime/text/number.h"

#include <locale.h>
#include <math.h>

#define EXPONENT_MAX 99999 /* of the written exponent: beyond it nothing changes any more */

struct scan {
    const char *at;
    const char *end;
    bool full; /* a digit did not fit any more */
    struct number *number;
};

static bool is_digit(const struct scan *scan)
{
    return scan->at < scan->end && (uint8_t)(*scan->at - '0') < 10;
}

/* 20 digits overflow, or not: up to 18446744073709551615 they are kept. */
static bool add_digit(struct number *number, uint32_t digit)
{
    uint64_t digits;
    if (__builtin_mul_overflow(number->digits, 10, &digits) ||
        __builtin_add_overflow(digits, digit, &digits))
        return false;
    number->digits = digits;
    return true;
}

/* Digits up to the next other character; those behind the point move the exponent down, those that
 * are dropped before it move it up. */
static bool scan_digits(struct scan *scan, bool behind)
{
    const char *from = scan->at;
    struct number *number = scan->number;
    for (; is_digit(scan); scan->at++) {
        uint32_t digit = (uint32_t)(*scan->at - '0');
        if (!scan->full && add_digit(number, digit)) {
            number->exponent -= behind;
        } else {
            scan->full = true;
            number->cut = number->cut || digit != 0;
            number->exponent += !behind;
        }
    }
    return scan->at > from;
}

static bool scan_exponent(struct scan *scan)
{
    bool negative = false;
    scan->at++;
    if (scan->at < scan->end && (*scan->at == '+' || *scan->at == '-'))
        negative = *scan->at++ == '-';
    const char *from = scan->at;
    int32_t exponent = 0;
    for (; is_digit(scan); scan->at++)
        if (exponent < EXPONENT_MAX)
            exponent = exponent * 10 + (*scan->at - '0');
    scan->number->exponent += negative ? -exponent : exponent;
    return scan->at > from;
}

bool number_scan(const char *at, const char *end, struct number *number)
{
    *number = (struct number){ .text = at, .whole = true };
    struct scan scan = { .at = at, .end = end, .number = number };
    if (scan.at < end && *scan.at == '-') {
        number->negative = true;
        scan.at++;
    }
    if (scan.at < end && *scan.at == '0')
        scan.at++; /* the only digit before a point */
    else if (!scan_digits(&scan, false))
        return false;
    if (is_digit(&scan))
        return false;
    if (scan.at < end && *scan.at == '.') {
        number->whole = false;
        scan.at++;
        if (!scan_digits(&scan, true))
            return false;
    }
    if (scan.at < end && (*scan.at == 'e' || *scan.at == 'E')) {
        number->whole = false;
        if (!scan_exponent(&scan))
            return false;
    }
    number->len = (size_t)(scan.at - at);
    return true;
}

/* The magnitude of the integer that the number is, however it is written: 12, 12.0, 1.2e1. What was
 * cut off lies behind the last kept digit: with no power of ten left it is a fraction, with one the
 * number is too large, as the next digit did not fit. */
static s4_status magnitude_of(const struct number *number, uint64_t *magnitude)
{
    uint64_t digits = number->digits;
    int32_t exponent = number->exponent;
    if (number->len > NUMBER_LEN_MAX)
        return S4_TOO_LARGE;
    if (number->cut)
        return exponent > 0 ? S4_RANGE : S4_TYPE;
    for (; exponent < 0 && digits % 10 == 0 && digits != 0; exponent++)
        digits /= 10;
    if (exponent < 0 && digits != 0)
        return S4_TYPE;
    for (; exponent > 0 && digits != 0; exponent--)
        if (__builtin_mul_overflow(digits, 10, &digits))
            return S4_RANGE;
    *magnitude = digits;
    return S4_OK;
}

s4_status number_signed(const struct number *number, int64_t min, int64_t max, int64_t *value)
{
    uint64_t magnitude;
    TRY(magnitude_of(number, &magnitude));
    if (number->negative) {
        if (magnitude > -(uint64_t)min)
            return S4_RANGE;
        *value = (int64_t)-magnitude;
        return S4_OK;
    }
    if (magnitude > (uint64_t)max)
        return S4_RANGE;
    *value = (int64_t)magnitude;
    return S4_OK;
}

s4_status number_unsigned(const struct number *number, uint64_t max, uint64_t *value)
{
    uint64_t magnitude;
    TRY(magnitude_of(number, &magnitude));
    if (magnitude > max || (number->negative && magnitude != 0))
        return S4_RANGE;
    *value = magnitude;
    return S4_OK;
}

/* glibc answers its static "C" locale, without allocating. */
static locale_t c_locale(void)
{
    return newlocale(LC_ALL_MASK, "C", (locale_t)0);
}

/* The number's text with a NUL behind, for strtod. */
static s4_status number_text(const struct number *number, char text[NUMBER_LEN_MAX + 1])
{
    if (number->len > NUMBER_LEN_MAX)
        return S4_TOO_LARGE;
    memcpy(text, number->text, number->len);
    text[number->len] = '\0';
    return S4_OK;
}

/* Exact products and quotients: digits below 2^53 and powers of ten up to 10^22 are doubles. */
static bool fast_double(const struct number *number, double *value)
{
    static const double powers[] = { 1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,
                                     1e8,  1e9,  1e10, 1e11, 1e12, 1e13, 1e14, 1e15,
                                     1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22 };
    if (number->cut || number->digits > (uint64_t)1 << 53 || number->exponent < -22 ||
        number->exponent > 22)
        return false;
    double digits = (double)number->digits;
    double exact = number->exponent < 0 ? digits / powers[-number->exponent]
                                        : digits * powers[number->exponent];
    *value = number->negative ? -exact : exact;
    return true;
}

s4_status number_double(const struct number *number, double *value)
{
    if (fast_double(number, value))
        return S4_OK;
    char text[NUMBER_LEN_MAX + 1];
    TRY(number_text(number, text));
    double parsed = strtod_l(text, NULL, c_locale());
    if (isinf(parsed))
        return S4_RANGE;
    *value = parsed;
    return S4_OK;
}

/* The same in floats: below 2^24, and up to 10^10. */
static bool fast_float(const struct number *number, float *value)
{
    static const float powers[] = { 1e0f, 1e1f, 1e2f, 1e3f, 1e4f, 1e5f,
                                    1e6f, 1e7f, 1e8f, 1e9f, 1e10f };
    if (number->cut || number->digits > 1 << 24 || number->exponent < -10 || number->exponent > 10)
        return false;
    float digits = (float)number->digits;
    float exact = number->exponent < 0 ? digits / powers[-number->exponent]
                                       : digits * powers[number->exponent];
    *value = number->negative ? -exact : exact;
    return true;
}

s4_status number_float(const struct number *number, float *value)
{
    if (fast_float(number, value))
        return S4_OK;
    char text[NUMBER_LEN_MAX + 1];
    TRY(number_text(number, text));
    float parsed = strtof_l(text, NULL, c_locale());
    if (isinf(parsed))
        return S4_RANGE;
    *value = parsed;
    return S4_OK;
}

size_t number_print_unsigned(uint64_t value, char *text)
{
    char reversed[20];
    size_t n = 0;
    do {
        reversed[n++] = (char)('0' + value % 10);
        value /= 10;
    } while (value != 0);
    for (size_t i = 0; i < n; i++)
        text[i] = reversed[n - 1 - i];
    return n;
}

size_t number_print_signed(int64_t value, char *text)
{
    if (value >= 0)
        return number_print_unsigned((uint64_t)value, text);
    text[0] = '-';
    return 1 + number_print_unsigned(-(uint64_t)value, text + 1);
}

/* Integers below 10^15 print as such: it is what %.15g prints, at a tenth of the price. Minus zero
 * has a point, lest a reader take it for an integer, which has none. */
static bool print_whole(double value, char text[NUMBER_TEXT_MAX], size_t *len)
{
    if (!(fabs(value) < 1e15) || (double)(int64_t)value != value)
        return false;
    if (value == 0 && signbit(value)) {
        memcpy(text, "-0.0", 4);
        *len = 4;
        return true;
    }
    *len = number_print_signed((int64_t)value, text);
    return true;
}

size_t number_print_double(double value, char text[NUMBER_TEXT_MAX])
{
    size_t len;
    if (print_whole(value, text, &len))
        return len;
    locale_t locale = c_locale();
    locale_t before = uselocale(locale);
    int n = 0;
    for (int digits = 15; digits <= 17; digits++) {
        n = snprintf(text, NUMBER_TEXT_MAX, "%.*g", digits, value);
        if (strtod_l(text, NULL, locale) == value)
            break;
    }
    uselocale(before);
    return (size_t)n;
}

size_t number_print_float(float value, char text[NUMBER_TEXT_MAX])
{
    size_t len;
    if (fabsf(value) < 1e6f && print_whole((double)value, text, &len))
        return len;
    locale_t locale = c_locale();
    locale_t before = uselocale(locale);
    int n = 0;
    for (int digits = 6; digits <= 9; digits++) {
        n = snprintf(text, NUMBER_TEXT_MAX, "%.*g", digits, (double)value);
        if (strtof_l(text, NULL, locale) == value)
            break;
    }
    uselocale(before);
    return (size_t)n;
}
