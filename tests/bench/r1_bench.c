/* R1, the counting loop: millions of lines per second with an empty table and, a second time, with
 * the keys in it.
 *
 *     r1_bench zipf|uniform [rounds]
 */
#include "tests/bench/lines.h"
#include "tests/bench/reference.h"

static double run_once(struct counting *counting, const struct lines *lines)
{
    uint64_t start = bench_wall_ns();
    uint64_t n = counting_run(counting, lines->text, lines->size);
    return (double)n * 1000 / (double)(bench_wall_ns() - start);
}

int main(int argc, char **argv)
{
    struct lines_options options;
    if (argc < 2 || !lines_named(argv[1], &options)) {
        fprintf(stderr, "usage: r1_bench zipf|uniform [rounds]\n");
        return 2;
    }
    struct lines lines;
    CHECK(lines_init(&lines, &options));
    unsigned long rounds = argc > 2 ? strtoul(argv[2], NULL, 10) : 5;
    for (unsigned long round = 0; round < rounds; round++) {
        struct counting counting;
        CHECK(counting_init(&counting, options.zipf ? 18 : 24));
        double first = run_once(&counting, &lines);
        double warm = run_once(&counting, &lines);
        printf("r1 %s: first %.1f Mlines/s, warm %.1f Mlines/s, %llu keys\n", argv[1], first, warm,
               (unsigned long long)counting.keys);
        counting_fini(&counting);
    }
    lines_fini(&lines);
    return 0;
}
