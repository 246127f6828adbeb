/* The figures of two nodes over tcp, one round of some of them per process; scripts/bench puts
 * rounds together. Prints one line of JSON.
 *
 *     pair_bench lines FILE [COUNT [KEYS]]      make an input whose keys all belong to node 1
 *     pair_bench rates LINES BUNDLE             R1, R2, R2b and the nodes: million events per
 * second pair_bench times LINES BUNDLE FILE [MS]   R3 and the nodes at two rates: microseconds
 *     pair_bench passes LINES BUNDLE N          the nodes alone, for whoever counts system calls
 *     pair_bench r2|r2b|r3 LINES                a reference alone
 *
 * Two processes on one machine, each with all of its threads on a core of its own: node 0 has the
 * source, node 1 the instances of all keys. What is timed begins with the source's first step and
 * ends when node 0 has node 1's acknowledgement that the last record is applied. */
#include <unistd.h>

#include "pe/host/plugin.h"
#include "tests/bench/cores.h"
#include "tests/bench/joined.h"
#include "tests/bench/reference.h"
#include "tests/bench/wire.h"

#define RATE_LOW  100000u /* events per second */
#define RATE_HIGH 1000000u
#define TIMES_MS  2000u
#define RTT_TURNS 4000u
#define LOG2_KEYS 18u /* R1's table */

static void usage(void)
{
    fprintf(stderr,
            "usage: pair_bench lines FILE [COUNT [KEYS]]\n"
            "       pair_bench rates|times|passes|r2|r2b|r3 LINES [BUNDLE [FILE|N [MS]]]\n");
    exit(2);
}

static unsigned long number(const char *text, unsigned long fallback)
{
    return text ? strtoul(text, NULL, 10) : fallback;
}

static void read_lines(struct lines *lines, const char *path)
{
    if (lines_read(lines, path))
        return;
    fprintf(stderr, "pair_bench: %s is no file of lines\n", path);
    exit(1);
}

/* ---- rates --------------------------------------------------------------------------------- */

static double run_r1(const struct lines *lines, uint64_t *n, uint64_t *keys)
{
    struct counting counting;
    cores_pin_last(0);
    CHECK(counting_init(&counting, LOG2_KEYS));
    uint64_t start = bench_wall_ns();
    *n = counting_run(&counting, lines->text, lines->size);
    double rate = (double)*n * 1000 / (double)(bench_wall_ns() - start);
    *keys = counting.keys;
    counting_fini(&counting);
    return rate;
}

/* What came out must be what went in, and records as large as the references'. */
static void check(const struct joined_counts *counts, uint64_t lines, uint64_t keys)
{
    if (counts->applied == lines && counts->instances == keys &&
        counts->bytes == lines * WIRE_RECORD)
        return;
    fprintf(stderr,
            "pair_bench: %llu events, %llu instances and %llu bytes of %llu lines and %llu keys\n",
            (unsigned long long)counts->applied, (unsigned long long)counts->instances,
            (unsigned long long)counts->bytes, (unsigned long long)lines, (unsigned long long)keys);
    exit(1);
}

static void rates(char **argv)
{
    struct lines lines;
    uint64_t n, keys, keys_r2b;
    read_lines(&lines, argv[2]);
    double r1 = run_r1(&lines, &n, &keys);
    double r2 = wire_r2(n);
    double r2b = wire_r2b(&lines, &keys_r2b);
    lines_fini(&lines);
    struct joined *joined =
        joined_open(&(struct joined_options){ .bundle = argv[3], .lines = argv[2] });
    double runtime = (double)n * 1000 / (double)joined_pass(joined, 1);
    struct joined_counts counts = joined_counts(joined);
    joined_close(joined);
    CHECK(keys_r2b == keys);
    check(&counts, n, keys);
    printf("{\"r1\": %.2f, \"r2\": %.2f, \"r2b\": %.2f, \"runtime\": %.2f, \"record\": %u, "
           "\"events\": %llu, \"frames\": %llu}\n",
           r1, r2, r2b, runtime, WIRE_RECORD, (unsigned long long)n,
           (unsigned long long)counts.frames);
}

/* ---- times --------------------------------------------------------------------------------- */

struct times {
    double p50_us, p99_us, p999_us;
    double per_frame; /* events */
};

static struct times run_timed(char **argv, unsigned long rate, unsigned long ms)
{
    struct times times = { 0 };
    unsigned long count = rate * ms / 1000;
    struct joined *joined = joined_open(&(struct joined_options){
        .bundle = argv[3], .lines = argv[2], .rate = rate, .count = count, .times = argv[4] });
    joined_pass(joined, 1);
    struct joined_counts counts = joined_counts(joined);
    joined_close(joined);
    FILE *file = fopen(argv[4], "re");
    CHECK(file && counts.applied == count);
    char line[CHILD_LINE_MAX], *at = line;
    CHECK(fgets(line, sizeof line, file));
    fclose(file);
    unlink(argv[4]);
    times.p50_us = strtod(at, &at);
    times.p99_us = strtod(at, &at);
    times.p999_us = strtod(at, &at);
    times.per_frame = (double)counts.applied / (double)counts.frames;
    return times;
}

static void times(char **argv)
{
    unsigned long ms = number(argv[5], TIMES_MS);
    struct wire_rtt r3 = wire_r3((uint32_t)(RTT_TURNS * ms / TIMES_MS) + 1);
    struct times low = run_timed(argv, RATE_LOW, ms);
    struct times high = run_timed(argv, RATE_HIGH, ms);
    printf("{\"flush\": %u, \"r3_p50\": %.1f, \"r3_p99\": %.1f", JOINED_FLUSH_US, r3.p50_us,
           r3.p99_us);
    const struct times *const both[] = { &low, &high };
    for (size_t i = 0; i < ARRAY_LEN(both); i++) {
        const char *name = i ? "high" : "low";
        printf(", \"%s_p50\": %.1f, \"%s_p99\": %.1f, \"%s_p999\": %.1f, \"%s_per_frame\": %.1f",
               name, both[i]->p50_us, name, both[i]->p99_us, name, both[i]->p999_us, name,
               both[i]->per_frame);
    }
    printf("}\n");
}

/* ---- others -------------------------------------------------------------------------------- */

static void passes(char **argv)
{
    struct joined *joined =
        joined_open(&(struct joined_options){ .bundle = argv[3], .lines = argv[2] });
    uint64_t took = joined_pass(joined, number(argv[4], 1));
    struct joined_counts counts = joined_counts(joined);
    joined_close(joined);
    printf("{\"events\": %llu, \"frames\": %llu, \"bytes\": %llu, \"rate\": %.2f}\n",
           (unsigned long long)counts.applied, (unsigned long long)counts.frames,
           (unsigned long long)counts.bytes, (double)counts.applied * 1000 / (double)took);
}

static void r2(char **argv)
{
    struct lines lines;
    read_lines(&lines, argv[2]);
    printf("r2: %.2f million records of %u bytes per second\n", wire_r2(lines.size / LINES_LEN),
           WIRE_RECORD);
    lines_fini(&lines);
}

static void r2b(char **argv)
{
    struct lines lines;
    uint64_t keys;
    read_lines(&lines, argv[2]);
    double rate = wire_r2b(&lines, &keys);
    printf("r2b: %.2f million records of %u bytes per second, %llu keys\n", rate, WIRE_RECORD,
           (unsigned long long)keys);
    lines_fini(&lines);
}

static void r3(char **argv)
{
    struct wire_rtt rtt = wire_r3(RTT_TURNS);
    printf("r3: a round trip of %.1f us, one in a hundred above %.1f us\n", rtt.p50_us, rtt.p99_us);
}

static bool wanted(uint32_t key)
{
    return joined_is_far(key);
}

static int make_lines(char **argv, int argc)
{
    struct lines_options options;
    struct lines lines;
    CHECK(lines_named("zipf", &options));
    options.wanted = wanted;
    options.count = number(argc > 3 ? argv[3] : NULL, options.count);
    options.keys = (uint32_t)number(argc > 4 ? argv[4] : NULL, options.keys);
    if (lines_init(&lines, &options) && lines_write(&lines, argv[2])) {
        lines_fini(&lines);
        return 0;
    }
    fprintf(stderr, "pair_bench: cannot make %s\n", argv[2]);
    return 1;
}

int main(int argc, char **argv)
{
    static const struct {
        const char *name;
        void (*run)(char **argv);
        int arguments;
    } measures[] = {
        { "rates", rates, 4 }, { "times", times, 5 }, { "passes", passes, 4 },
        { "r2", r2, 3 },       { "r2b", r2b, 3 },     { "r3", r3, 2 },
    };
    if (argc > 1 && strcmp(argv[1], PLUGIN_CHECKER_FLAG) == 0)
        return plugin_checker_main(argc, argv);
    alarm(CHILD_SECONDS);
    cores_find();
    wire_child(argc, argv);
    joined_child(argc, argv);
    if (argc > 2 && strcmp(argv[1], "lines") == 0)
        return make_lines(argv, argc);
    for (size_t i = 0; argc > 1 && i < ARRAY_LEN(measures); i++)
        if (strcmp(argv[1], measures[i].name) == 0 && argc >= measures[i].arguments) {
            measures[i].run(argv);
            return 0;
        }
    usage();
}
