/* The references that figures are ratios to: what one thread can do on this machine with a plain
 * loop (R1), and what a key and its state cost in a plain table (R5). Any thread, one at a time. */
#ifndef TESTS_BENCH_REFERENCE_H
#define TESTS_BENCH_REFERENCE_H

#include "runtime/base/base.h"

/* R1: counts lines by key. */
struct counting {
    struct counting_slot *slots;
    uint64_t mask;
    uint64_t keys;
};

/* Space for 2^log2_slots keys of up to 15 bytes; the caller keeps it well above the keys. */
bool counting_init(struct counting *counting, uint32_t log2_slots) MUST_USE;
void counting_fini(struct counting *counting);

/* Takes every line of the text, which ends with a newline; answers their number. */
uint64_t counting_run(struct counting *counting, const char *text, size_t size);
/* How often a key was seen. */
uint64_t counting_of(const struct counting *counting, const char *key, size_t len);

/* R5: a table of slots that are a key of 16 bytes and a state of 16, three quarters full. */
struct inline_cost {
    double bytes;     /* resident, per key */
    double create_ns; /* per key, of the processor */
    double find_ns;   /* per find of a random key */
};
bool inline_cost_measure(uint64_t keys, uint64_t finds, struct inline_cost *cost) MUST_USE;

/* The key that R5 and the bench of instances make of a number. */
#define BENCH_KEY_LEN 16u
static inline void bench_key(uint64_t number, char key[BENCH_KEY_LEN])
{
    memcpy(key, "k0000000", 8);
    memcpy(key + 8, &number, 8);
}

uint64_t bench_cpu_ns(void); /* of this thread */
uint64_t bench_wall_ns(void);
size_t bench_resident_bytes(void); /* of this process */

#endif
