/* The list against sorting: whatever the order in which rising counts of many words are offered to
 * a few lists, and these to one, the words with the greatest final counts remain. Prints its seed;
 * to repeat: top_test SEED. */
#include <stdlib.h>
#include <time.h>

#include "top.h"

#define WORDS 300
#define LISTS 3

struct row {
    uint64_t final; /* few different ones: ties */
    uint64_t told;  /* the last that was offered */
    char word[8];
};

static struct row rows[WORDS];

static int by_rank(const void *a, const void *b)
{
    const struct row *x = a, *y = b;
    if (x->final != y->final)
        return x->final > y->final ? -1 : 1;
    return strcmp(x->word, y->word);
}

static void merge(struct top *to, const struct top *from, uint32_t room)
{
    for (uint32_t i = 0; i < from->n; i++)
        top_offer(to, room, from->leaders[i].word, from->leaders[i].n);
}

/* Offers each word's counts in rising order, words and hand-overs to the last list in any. */
static void offer_all(struct top lists[LISTS], struct top *merged, uint32_t room)
{
    for (uint32_t left = WORDS; left > 0;) {
        uint32_t i = (uint32_t)(rand() % WORDS);
        struct row *row = &rows[i];
        if (row->told == row->final)
            continue;
        uint64_t step = 1 + (uint64_t)rand() % (row->final - row->told);
        row->told += step;
        left -= row->told == row->final;
        top_offer(&lists[i % LISTS], room, row->word, row->told);
        if (rand() % 10 == 0)
            merge(merged, &lists[rand() % LISTS], room);
    }
    for (uint32_t i = 0; i < LISTS; i++)
        merge(merged, &lists[i], room);
}

static int differs(const struct top *top, uint32_t room)
{
    qsort(rows, WORDS, sizeof rows[0], by_rank);
    if (top->n != (room < WORDS ? room : WORDS))
        return 1;
    for (uint32_t i = 0; i < top->n; i++)
        if (top->leaders[i].n != rows[i].final || strcmp(top->leaders[i].word, rows[i].word) != 0)
            return 1;
    return 0;
}

int main(int argc, char **argv)
{
    unsigned seed = argc > 1 ? (unsigned)strtoul(argv[1], NULL, 0) : (unsigned)time(NULL);
    printf("seed %u\n", seed);
    srand(seed);
    for (int round = 0; round < 300; round++) {
        static struct top lists[LISTS], merged;
        memset(lists, 0, sizeof lists);
        memset(&merged, 0, sizeof merged);
        for (int i = 0; i < WORDS; i++) {
            rows[i] = (struct row){ .final = 1 + (uint64_t)rand() % 40 };
            snprintf(rows[i].word, sizeof rows[i].word, "%d", i);
        }
        uint32_t room = 1 + (uint32_t)rand() % TOP_MAX;
        offer_all(lists, &merged, room);
        if (differs(&merged, room)) {
            printf("round %d: not the %u greatest\n", round, room);
            return 1;
        }
    }
    return 0;
}
