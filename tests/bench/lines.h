/* Input of the benches: lines of 11 bytes, "key" and seven digits, drawn by a seed and kept in
 * memory. Equal options give equal bytes. Needs nothing but libc, so that a plugin can make the
 * very lines that the references read. */
#ifndef TESTS_BENCH_LINES_H
#define TESTS_BENCH_LINES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define LINES_LEN   11u /* with the newline */
#define LINES_SLACK 64u /* readable zeros behind the text */

#define LINES_ZIPF_KEYS     100000u
#define LINES_ZIPF_COUNT    10000000u
#define LINES_UNIFORM_KEYS  10000000u /* all that seven digits can say */
#define LINES_UNIFORM_COUNT 20000000u

struct lines_options {
    bool zipf;     /* frequency of the k-th key as 1/k; false: all the same */
    uint32_t keys; /* at most 10^7 */
    uint64_t count;
    uint64_t seed;
};

/* The two inputs that figures are given for: "zipf" and "uniform". False: no such. */
bool lines_named(const char *name, struct lines_options *options);

struct lines {
    char *text;
    size_t size;
    size_t mapped;
};

/* False: out of memory or too many keys. */
bool lines_init(struct lines *lines, const struct lines_options *options);
void lines_fini(struct lines *lines);

#endif
