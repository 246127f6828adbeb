/* R5, the inline table: what a key of 16 bytes with a state of 16 costs at the least.
 *
 *     r5_bench [keys]
 */
#include "tests/bench/reference.h"

int main(int argc, char **argv)
{
    uint64_t keys = argc > 1 ? strtoull(argv[1], NULL, 10) : 10000000;
    struct inline_cost cost;
    if (keys == 0 || !inline_cost_measure(keys, 10000000, &cost)) {
        fprintf(stderr, "usage: r5_bench [keys], and memory for 43 bytes each\n");
        return 2;
    }
    printf("r5: %.1f bytes per key, create %.1f ns, find %.1f ns\n", cost.bytes, cost.create_ns,
           cost.find_ns);
    return 0;
}
