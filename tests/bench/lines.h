/* Input of the benches: lines of 11 bytes, "key" and seven digits, drawn by a seed and kept in
 * memory; or each key once, of 16 bytes. Equal options give equal bytes. Needs nothing but libc, so
 * that a plugin reads the very lines that the references read, from the same kind of memory. */
#ifndef TESTS_BENCH_LINES_H
#define TESTS_BENCH_LINES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define LINES_LEN     11u /* with the newline */
#define LINES_LEN_MAX 17u /* of those with each key once */
#define LINES_SLACK   64u /* readable zeros behind the text */

#define LINES_ZIPF_KEYS     100000u
#define LINES_ZIPF_COUNT    10000000u
#define LINES_UNIFORM_KEYS  10000000u /* all that seven digits can say */
#define LINES_UNIFORM_COUNT 20000000u

struct lines_options {
    bool zipf;     /* frequency of the k-th key as 1/k; false: all the same */
    bool each;     /* no draw: keys of 16 bytes, each once, in order */
    uint32_t keys; /* at most 10^7 */
    uint64_t count;
    uint64_t seed;
    /* Which numbers may be keys: the first `keys` of these are (NULL: any). */
    bool (*wanted)(uint32_t number);
};

/* The inputs that figures are given for: "zipf", "uniform" and "each". False: no such. */
bool lines_named(const char *name, struct lines_options *options);

struct lines {
    char *text;
    size_t size;
    size_t mapped;
};

/* False: out of memory or too many keys. */
bool lines_init(struct lines *lines, const struct lines_options *options);
/* What lines_write wrote. False: it cannot be read, or is not lines. */
bool lines_read(struct lines *lines, const char *path);
void lines_fini(struct lines *lines);

bool lines_write(const struct lines *lines, const char *path);

/* The number in the line of a key at *at, which goes on to the next line. */
static inline uint64_t lines_number(const char **at)
{
    const char *digit = *at + 3;
    uint64_t number = 0;
    for (; *digit != '\n'; digit++)
        number = number * 10 + (uint64_t)(*digit - '0');
    *at = digit + 1;
    return number;
}

#endif
