/* Decimal numbers as JSON writes them: exact to integers and floating point, and the shortest text
 * that reads back as the same number. No state; any thread; the locale has no influence. */
#ifndef RUNTIME_TEXT_NUMBER_H
#define RUNTIME_TEXT_NUMBER_H

#include "runtime/base/base.h"

#define NUMBER_LEN_MAX  1024 /* characters of a number that is read */
#define NUMBER_TEXT_MAX 32   /* room for one that is printed */

/* A number in a text, taken apart: digits * 10^exponent, exactly, unless `cut`. */
struct number {
    const char *text; /* borrowed */
    size_t len;
    uint64_t digits; /* the first significant ones, as many as fit */
    int32_t exponent;
    bool negative;
    bool cut;   /* there are more digits, and they are not all zeros */
    bool whole; /* neither fraction nor exponent is written */
};

/* Takes the JSON number that starts at `at`: false if none does. One that is longer than
 * NUMBER_LEN_MAX is taken, and refused by the functions below with S4_TOO_LARGE. */
bool number_scan(const char *at, const char *end, struct number *number);

/* The exact value. S4_TYPE: it has a fraction; S4_RANGE: it is not in [min, max] or [0, max]. */
s4_status number_signed(const struct number *number, int64_t min, int64_t max,
                        int64_t *value) MUST_USE;
s4_status number_unsigned(const struct number *number, uint64_t max, uint64_t *value) MUST_USE;

/* The nearest value. S4_RANGE: it would be infinite. */
s4_status number_double(const struct number *number, double *value) MUST_USE;
s4_status number_float(const struct number *number, float *value) MUST_USE;

/* Prints what is neither NaN nor infinite; the length (no NUL is written). NUMBER_TEXT_MAX is room
 * for any of them, 20 characters for an integer. */
size_t number_print_double(double value, char text[NUMBER_TEXT_MAX]);
size_t number_print_float(float value, char text[NUMBER_TEXT_MAX]);
size_t number_print_signed(int64_t value, char *text);
size_t number_print_unsigned(uint64_t value, char *text);

#endif
