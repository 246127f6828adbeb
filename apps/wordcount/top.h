/* A partial top-K list: the words with the greatest counts that were offered, best first. Flat.
 *
 * Its order is total (count descending, then word ascending), so which words it ends with does not
 * depend on the order in which they were offered. It needs only that a word's counts rise and that
 * its last one is offered: a word that was pushed out by an earlier count comes back with a later
 * one, because what it has to beat only rises as well. */
#ifndef TOP_H
#define TOP_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#define TOP_MAX  100 /* words in a list */
#define WORD_MAX 64  /* bytes of a word */

struct leader {
    uint64_t n;
    char word[WORD_MAX + 1];
};

struct top {
    uint32_t n;
    struct leader leaders[TOP_MAX];
};

static inline bool leader_before(uint64_t n, const char *word, const struct leader *other)
{
    return n != other->n ? n > other->n : strcmp(word, other->word) < 0;
}

/* Whether the list of `room` words changed. */
static inline bool top_offer(struct top *top, uint32_t room, const char *word, uint64_t n)
{
    if (top->n == room && !leader_before(n, word, &top->leaders[room - 1]))
        return false; /* too few; or it is the last one and nothing new */
    uint32_t at = 0;
    while (at < top->n && strcmp(top->leaders[at].word, word) != 0)
        at++;
    if (at < top->n && top->leaders[at].n >= n)
        return false;
    if (at == top->n && top->n < room)
        top->n++;
    if (at == room)
        at--; /* the last one goes */
    for (; at > 0 && leader_before(n, word, &top->leaders[at - 1]); at--)
        top->leaders[at] = top->leaders[at - 1];
    top->leaders[at].n = n;
    snprintf(top->leaders[at].word, sizeof top->leaders[at].word, "%s", word);
    return true;
}

#endif
