/* The runtime's figures, one round of one of them per process; scripts/bench puts rounds together.
 * Prints one line of JSON.
 *
 *     runtime_bench lines zipf|uniform|each FILE [COUNT [KEYS]]     make an input
 *     runtime_bench MEASURE LINES [BUNDLE [BUNDLE2 | N]]
 *
 * In a round R1 goes first, then the runtime, on the same core and the same lines. */
#include "pe/host/plugin.h"
#include "runtime/base/mem.h"
#include "tests/bench/heap.h"
#include "tests/bench/lines.h"
#include "tests/bench/node.h"
#include "tests/bench/reference.h"

#include <time.h>
#include <unistd.h>

#define IDLE_S 5

struct round {
    const char *lines_path;
    const char *bundle;
    const char *more; /* another bundle, or a number; NULL: not given */
};

static void usage(void)
{
    fprintf(stderr, "usage: runtime_bench lines zipf|uniform|each FILE [COUNT [KEYS]]\n"
                    "       runtime_bench first|warm|threads|hops|bytes|calls|idle|passes|r1 LINES "
                    "[BUNDLE [BUNDLE2|N]]\n");
    exit(2);
}

static unsigned long number(const char *text, unsigned long fallback)
{
    return text ? strtoul(text, NULL, 10) : fallback;
}

static double rate(uint64_t n, uint64_t ns)
{
    return (double)n * 1000 / (double)ns;
}

/* ---- R1 ------------------------------------------------------------------------------------ */

struct base {
    uint64_t lines;
    uint64_t keys;
    double first; /* million lines per second */
    double warm;
};

static double count_once(struct counting *counting, const struct lines *lines, uint64_t *n)
{
    uint64_t start = bench_wall_ns();
    *n = counting_run(counting, lines->text, lines->size);
    return rate(*n, bench_wall_ns() - start);
}

static void read_lines(struct lines *lines, const char *path)
{
    if (lines_read(lines, path))
        return;
    fprintf(stderr, "runtime_bench: %s is no file of lines\n", path);
    exit(1);
}

/* `warm`: the second pass, too. The table is as in the first one's figure: under half full. */
static struct base run_r1(const char *path, bool warm)
{
    struct lines lines;
    struct counting counting;
    struct base base = { 0 };
    read_lines(&lines, path);
    CHECK(counting_init(&counting, warm ? 24 : 18));
    base.first = count_once(&counting, &lines, &base.lines);
    if (warm)
        base.warm = count_once(&counting, &lines, &base.lines);
    base.keys = counting.keys;
    counting_fini(&counting);
    lines_fini(&lines);
    return base;
}

static void r1(const struct round *round)
{
    struct lines lines;
    struct counting counting;
    read_lines(&lines, round->lines_path);
    CHECK(counting_init(&counting, 18));
    for (unsigned long i = number(round->bundle, 1); i > 0; i--)
        counting_run(&counting, lines.text, lines.size);
    printf("{\"keys\": %llu}\n", (unsigned long long)counting.keys);
    counting_fini(&counting);
    lines_fini(&lines);
}

/* ---- rates --------------------------------------------------------------------------------- */

/* What came out must be what went in: the oracle is R1's table. */
static void check_counts(struct node *node, const struct base *base, uint64_t events_per_line,
                         uint64_t keys_per_key)
{
    struct engine_counters counters = node_counters(node);
    if (counters.applied == base->lines * events_per_line &&
        counters.instances == base->keys * keys_per_key)
        return;
    fprintf(stderr, "runtime_bench: %llu events and %llu instances of %llu lines and %llu keys\n",
            (unsigned long long)counters.applied, (unsigned long long)counters.instances,
            (unsigned long long)base->lines, (unsigned long long)base->keys);
    exit(1);
}

static void say_ratio(const struct base *base, double reference, double runtime, double value)
{
    printf("{\"value\": %.4f, \"r1\": %.2f, \"reference\": %.2f, \"runtime\": %.2f}\n", value,
           base->first, reference, runtime);
}

static double run_first(const struct round *round, const char *bundle, const struct base *base,
                        bool feed_thread, uint64_t hops)
{
    struct node node;
    node_open(&node, &(struct node_options){ .bundle = bundle,
                                             .lines = round->lines_path,
                                             .feed_thread = feed_thread });
    double runtime = rate(base->lines, node_pass(&node, 1));
    check_counts(&node, base, hops, hops);
    node_close(&node);
    return runtime;
}

static void first(const struct round *round)
{
    struct base base = run_r1(round->lines_path, false);
    double runtime = run_first(round, round->bundle, &base, false, 1);
    say_ratio(&base, base.first, runtime, runtime / base.first);
}

static void threads(const struct round *round)
{
    struct base base = run_r1(round->lines_path, false);
    double runtime = run_first(round, round->bundle, &base, true, 1);
    say_ratio(&base, base.first, runtime, runtime / base.first);
}

static void warm(const struct round *round)
{
    struct base base = run_r1(round->lines_path, true);
    struct node node;
    node_open(&node, &(struct node_options){ .bundle = round->bundle, .lines = round->lines_path });
    node_pass(&node, 1);
    double runtime = rate(base.lines, node_pass(&node, 1));
    check_counts(&node, &base, 2, 1);
    node_close(&node);
    say_ratio(&base, base.warm, runtime, runtime / base.warm);
}

/* Two hops per line with the second bundle: what one of them reaches, against the one hop. */
static void hops(const struct round *round)
{
    if (!round->more)
        usage();
    struct base base = run_r1(round->lines_path, false);
    double one = run_first(round, round->bundle, &base, false, 1);
    double two = 2 * run_first(round, round->more, &base, false, 2);
    say_ratio(&base, one, two, two / one);
}

/* ---- what does not depend on the clock ----------------------------------------------------- */

static void instances(struct node *node, const struct round *round, uint32_t slots)
{
    node_open(node, &(struct node_options){
                        .bundle = round->bundle, .lines = round->lines_path, .slots = slots });
}

/* Bytes of this process that no file stands behind. */
static size_t resident_own(void)
{
    FILE *file = fopen("/proc/self/status", "re");
    CHECK(file);
    char line[256];
    size_t kib = 0;
    while (fgets(line, sizeof line, file))
        if (strncmp(line, "RssAnon:", 8) == 0)
            kib = strtoul(line + 8, NULL, 10);
    fclose(file);
    CHECK(kib > 0);
    return kib * KIB;
}

static void bytes(const struct round *round)
{
    struct node node;
    instances(&node, round, (uint32_t)number(round->more, 0));
    size_t before = resident_own();
    node_pass(&node, 1);
    double grown = (double)resident_own() - (double)before;
    uint64_t n = node_counters(&node).instances;
    printf("{\"value\": %.2f, \"instances\": %llu}\n", grown / (double)n, (unsigned long long)n);
    node_close(&node);
}

/* A feed itself allocates; what more passes of one feed cost is the events'. */
static void calls(const struct round *round)
{
    struct node node;
    instances(&node, round, 0);
    node_pass(&node, 2);
    uint64_t start = heap_calls();
    node_pass(&node, 1);
    uint64_t once = heap_calls();
    node_pass(&node, 3);
    uint64_t thrice = heap_calls();
    uint64_t lines = node_counters(&node).injected / 6;
    double more = (double)(thrice - once) - (double)(once - start);
    if (more < 0)
        more = 0; /* the shorter feed met what comes once in a while */
    printf("{\"value\": %.7f, \"per_feed\": %llu, \"events\": %llu}\n", more / (2 * (double)lines),
           (unsigned long long)(once - start), (unsigned long long)(2 * lines));
    node_close(&node);
}

/* For callgrind: nothing but so many passes. */
static void passes(const struct round *round)
{
    struct node node;
    instances(&node, round, 0);
    node_pass(&node, number(round->more, 1));
    printf("{\"events\": %llu}\n", (unsigned long long)node_counters(&node).injected);
    node_close(&node);
}

static uint64_t cpu_ns(void)
{
    struct timespec now;
    CHECK(clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now) == 0);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static void idle(const struct round *round)
{
    struct node node;
    node_open(&node, &(struct node_options){ .bundle = round->bundle,
                                             .lines = round->lines_path,
                                             .feed_thread = true });
    node_pass(&node, 1);
    sleep(1);
    uint64_t start = bench_wall_ns();
    uint64_t spent = cpu_ns();
    sleep(IDLE_S);
    double percent = 100.0 * (double)(cpu_ns() - spent) / (double)(bench_wall_ns() - start);
    printf("{\"value\": %.4f, \"instances\": %llu}\n", percent,
           (unsigned long long)node_counters(&node).instances);
    node_close(&node);
}

/* ---- the program --------------------------------------------------------------------------- */

static int make_lines(int argc, char **argv)
{
    struct lines_options options;
    struct lines lines;
    if (argc < 4 || !lines_named(argv[2], &options))
        usage();
    options.count = number(argc > 4 ? argv[4] : NULL, options.count);
    options.keys = (uint32_t)number(argc > 5 ? argv[5] : NULL, options.keys);
    if (lines_init(&lines, &options) && lines_write(&lines, argv[3])) {
        lines_fini(&lines);
        return 0;
    }
    fprintf(stderr, "runtime_bench: cannot make %s\n", argv[3]);
    return 1;
}

int main(int argc, char **argv)
{
    static const struct {
        const char *name;
        void (*run)(const struct round *round);
        int arguments;
    } measures[] = {
        { "first", first, 4 }, { "warm", warm, 4 },   { "threads", threads, 4 },
        { "hops", hops, 5 },   { "bytes", bytes, 4 }, { "calls", calls, 4 },
        { "idle", idle, 4 },   { "r1", r1, 3 },       { "passes", passes, 4 },
    };
    if (argc > 1 && strcmp(argv[1], PLUGIN_CHECKER_FLAG) == 0)
        return plugin_checker_main(argc, argv);
    if (argc > 1 && strcmp(argv[1], "lines") == 0)
        return make_lines(argc, argv);
    for (size_t i = 0; argc > 2 && i < ARRAY_LEN(measures); i++)
        if (strcmp(argv[1], measures[i].name) == 0 && argc >= measures[i].arguments) {
            node_pin();
            const struct round round = { argv[2], argv[3], argc > 4 ? argv[4] : NULL };
            measures[i].run(&round);
            return 0;
        }
    usage();
}
