/* Zipf by Walker's alias method: one draw picks a rank evenly, a second one decides between it and
 * its alias, so that ten million lines take a fraction of a second. Ranks are shuffled onto keys,
 * lest the frequent ones lie together in a table that is ordered by key. */
#include "tests/bench/lines.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#define KEYS_MAX 10000000u

struct alias {
    double keep; /* the chance to stay with this rank */
    uint32_t other;
};

struct draw {
    uint64_t state;
    const struct lines_options *options;
    uint32_t *keys; /* by rank */
    struct alias *alias;
};

bool lines_named(const char *name, struct lines_options *options)
{
    bool zipf = strcmp(name, "zipf") == 0;
    bool each = strcmp(name, "each") == 0;
    if (!zipf && !each && strcmp(name, "uniform") != 0)
        return false;
    *options = (struct lines_options){
        .zipf = zipf,
        .each = each,
        .keys = zipf ? LINES_ZIPF_KEYS : LINES_UNIFORM_KEYS,
        .count = zipf   ? LINES_ZIPF_COUNT
                 : each ? LINES_UNIFORM_KEYS
                        : LINES_UNIFORM_COUNT,
        .seed = 1,
    };
    return true;
}

/* splitmix64 */
static uint64_t next(struct draw *draw)
{
    uint64_t z = (draw->state += 0x9e3779b97f4a7c15u);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

static uint32_t below(struct draw *draw, uint32_t n)
{
    return (uint32_t)((next(draw) >> 32) * n >> 32);
}

static void shuffle(struct draw *draw)
{
    uint32_t n = draw->options->keys;
    for (uint32_t i = 0, number = 0; i < n; number++)
        if (!draw->options->wanted || draw->options->wanted(number))
            draw->keys[i++] = number;
    for (uint32_t i = n; i > 1; i--) {
        uint32_t other = below(draw, i);
        uint32_t key = draw->keys[i - 1];
        draw->keys[i - 1] = draw->keys[other];
        draw->keys[other] = key;
    }
}

/* Ranks that are too rare fill up with one that is too frequent. As 1/k falls, the frequent ones
 * are taken from the front and the rare ones from behind. */
static void make_alias(struct draw *draw)
{
    uint32_t n = draw->options->keys;
    double sum = 0;
    for (uint32_t i = 0; i < n; i++)
        sum += 1.0 / (i + 1);
    for (uint32_t i = 0; i < n; i++)
        draw->alias[i] = (struct alias){ n / sum / (i + 1), i };
    uint32_t giver = 0;
    for (uint32_t taker = n; taker-- > 0;) {
        uint32_t at = taker;
        while (giver < taker && draw->alias[at].keep < 1 && draw->alias[at].other == at) {
            draw->alias[at].other = giver;
            draw->alias[giver].keep -= 1 - draw->alias[at].keep;
            if (draw->alias[giver].keep >= 1)
                break;
            at = giver++; /* it became one that is too rare */
        }
    }
}

static uint32_t draw_key(struct draw *draw)
{
    uint32_t rank = below(draw, draw->options->keys);
    if (draw->options->zipf) {
        double unit = (double)(next(draw) >> 11) * 0x1p-53;
        if (unit >= draw->alias[rank].keep)
            rank = draw->alias[rank].other;
    }
    return draw->keys[rank];
}

static void write_line(char *at, const char *pattern, size_t len, uint32_t key)
{
    memcpy(at, pattern, len);
    for (char *digit = at + len - 2; key > 0; key /= 10)
        *digit-- = (char)('0' + key % 10);
}

static bool map(struct lines *lines, size_t size)
{
    size_t mapped = (size + LINES_SLACK + 4095) / 4096 * 4096;
    void *text = mmap(NULL, mapped, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (text == MAP_FAILED)
        return false;
    madvise(text, mapped, MADV_HUGEPAGE);
    *lines = (struct lines){ text, size, mapped };
    return true;
}

static bool write_drawn(struct lines *lines, struct draw *draw)
{
    if (!map(lines, draw->options->count * LINES_LEN))
        return false;
    for (uint64_t i = 0; i < draw->options->count; i++)
        write_line(lines->text + i * LINES_LEN, "key0000000\n", LINES_LEN, draw_key(draw));
    return true;
}

static bool write_each(struct lines *lines, uint32_t count)
{
    if (!map(lines, (size_t)count * LINES_LEN_MAX))
        return false;
    for (uint32_t i = 0; i < count; i++)
        write_line(lines->text + (size_t)i * LINES_LEN_MAX, "key0000000000000\n", LINES_LEN_MAX, i);
    return true;
}

bool lines_init(struct lines *lines, const struct lines_options *options)
{
    struct draw draw = { .state = options->seed, .options = options };
    *lines = (struct lines){ 0 };
    if (options->keys == 0 || options->keys > KEYS_MAX)
        return false;
    if (options->each)
        return options->count <= options->keys && write_each(lines, (uint32_t)options->count);
    draw.keys = malloc(options->keys * sizeof *draw.keys);
    draw.alias = calloc(options->keys, sizeof *draw.alias);
    bool ok = draw.keys && draw.alias;
    if (ok) {
        shuffle(&draw);
        make_alias(&draw);
        ok = write_drawn(lines, &draw);
    }
    free(draw.keys);
    free(draw.alias);
    if (!ok)
        *lines = (struct lines){ 0 };
    return ok;
}

void lines_fini(struct lines *lines)
{
    if (lines->text)
        munmap(lines->text, lines->mapped);
    *lines = (struct lines){ 0 };
}

bool lines_write(const struct lines *lines, const char *path)
{
    FILE *file = fopen(path, "we");
    if (!file)
        return false;
    bool ok = fwrite(lines->text, 1, lines->size, file) == lines->size;
    return fclose(file) == 0 && ok;
}

static bool read_all(struct lines *lines, FILE *file)
{
    struct stat stat;
    if (fstat(fileno(file), &stat) != 0 || stat.st_size <= 0 || !map(lines, (size_t)stat.st_size))
        return false;
    return fread(lines->text, 1, lines->size, file) == lines->size &&
           lines->text[lines->size - 1] == '\n';
}

bool lines_read(struct lines *lines, const char *path)
{
    *lines = (struct lines){ 0 };
    FILE *file = fopen(path, "re");
    if (!file)
        return false;
    bool ok = read_all(lines, file);
    fclose(file);
    if (!ok)
        lines_fini(lines);
    return ok;
}
