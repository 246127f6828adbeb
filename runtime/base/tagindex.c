/* The index behind instances and timers; see the header.
 *
 * Growth: at 7/8 full, words of twice the number are taken and become the place of every new word;
 * each put then moves MOVED_PER_PUT of the old ones. Half of the new words is free when growth
 * starts, so it is over long before the next. Old words are never cleared while they are probed: a
 * probe goes over those that were moved (their number may be gone by now) without looking at them,
 * and over GONE ones, whose number was taken before it was moved. New words have no such marks:
 * taking shifts the rest of the cluster back, which needs only tags.
 */
#include "runtime/base/tagindex.h"

#include "runtime/base/mem.h"

#define WORDS_MIN     8u
#define HEAP_BYTES    (64 * KIB) /* above: pages of its own, which come zeroed when touched */
#define MOVED_PER_PUT 32u
#define GONE          ((uint64_t)1 << 32) /* tag 1 without a number */

static uint64_t nothing[1]; /* never written: the words of an index without memory */

static uint64_t *words_alloc(uint32_t n)
{
    size_t size = (size_t)n * sizeof(uint64_t);
    return size <= HEAP_BYTES ? mem_calloc(n, sizeof(uint64_t)) : mem_map(size);
}

static void words_free(uint64_t *words, uint32_t mask)
{
    size_t size = ((size_t)mask + 1) * sizeof(uint64_t);
    if (words == nothing)
        return;
    if (size <= HEAP_BYTES)
        mem_free(words);
    else
        mem_unmap(words, size);
}

void tagindex_init(struct tagindex *index)
{
    *index = (struct tagindex){ .words = nothing };
}

void tagindex_fini(struct tagindex *index)
{
    words_free(index->words, index->mask);
    words_free(index->old_words, index->old_mask);
    *index = (struct tagindex){ 0 };
}

static void insert(struct tagindex *index, uint64_t word)
{
    uint32_t i = (uint32_t)(word >> 32) & index->mask;
    while (index->words[i] != 0)
        i = (i + 1) & index->mask;
    index->words[i] = word;
}

static void move_some(struct tagindex *index)
{
    uint32_t end = index->old_at + MOVED_PER_PUT;
    for (; index->old_at <= index->old_mask && index->old_at < end; index->old_at++) {
        uint64_t word = index->old_words[index->old_at];
        if ((uint32_t)word != 0)
            insert(index, word);
    }
    if (index->old_at > index->old_mask) {
        words_free(index->old_words, index->old_mask);
        index->old_words = NULL;
    }
}

static bool has_room(const struct tagindex *index)
{
    uint64_t n = (uint64_t)index->mask + 1;
    return index->words != nothing && index->count < n - n / 8;
}

s4_status tagindex_reserve(struct tagindex *index)
{
    if (LIKELY(has_room(index)))
        return S4_OK;
    if (index->count >= TAGINDEX_MAX)
        return S4_FULL;
    uint32_t n = index->words == nothing ? WORDS_MIN : (index->mask + 1) * 2;
    uint64_t *words = words_alloc(n);
    if (!words)
        return S4_NO_MEMORY;
    CHECK(index->old_words == NULL);
    if (index->words != nothing) {
        index->old_words = index->words;
        index->old_mask = index->mask;
        index->old_at = 0;
    }
    index->words = words;
    index->mask = n - 1;
    return S4_OK;
}

void tagindex_put(struct tagindex *index, uint32_t tag, uint32_t number)
{
    CHECK(has_room(index));
    if (UNLIKELY(index->old_words != NULL))
        move_some(index);
    insert(index, tagindex_word(tag, number));
    index->count++;
}

uint32_t tagindex_next_old(const struct tagindex *index, uint32_t tag, struct tagindex_step *step)
{
    while (step->probed <= index->old_mask) {
        uint32_t i = (tag + step->probed) & index->old_mask;
        uint64_t word = index->old_words[i];
        if (word == 0)
            break;
        step->probed++;
        if (i >= index->old_at && (uint32_t)(word >> 32) == tag && (uint32_t)word != 0)
            return (uint32_t)word - 1;
    }
    return TAGINDEX_NONE;
}

static uint64_t *find_word(const struct tagindex *index, uint64_t word)
{
    for (uint32_t i = (uint32_t)(word >> 32) & index->mask;; i = (i + 1) & index->mask) {
        if (index->words[i] == word)
            return &index->words[i];
        if (index->words[i] == 0)
            return NULL;
    }
}

static uint64_t *find_old_word(const struct tagindex *index, uint64_t word)
{
    uint32_t tag = (uint32_t)(word >> 32);
    struct tagindex_step step = { .old = true };
    uint32_t number = 0;
    CHECK(index->old_words != NULL);
    do {
        number = tagindex_next_old(index, tag, &step);
        CHECK(number != TAGINDEX_NONE);
    } while (number != (uint32_t)word - 1);
    return &index->old_words[(tag + step.probed - 1) & index->old_mask];
}

/* Closes the hole in a cluster with those behind it that may lie there. */
static void shift_back(struct tagindex *index, uint32_t hole)
{
    for (uint32_t i = (hole + 1) & index->mask;; i = (i + 1) & index->mask) {
        uint64_t word = index->words[i];
        if (word == 0)
            break;
        uint32_t home = (uint32_t)(word >> 32) & index->mask;
        if (((i - home) & index->mask) >= ((i - hole) & index->mask)) {
            index->words[hole] = word;
            hole = i;
        }
    }
    index->words[hole] = 0;
}

void tagindex_take(struct tagindex *index, uint32_t tag, uint32_t number)
{
    uint64_t *at = find_word(index, tagindex_word(tag, number));
    if (at)
        shift_back(index, (uint32_t)(at - index->words));
    else
        *find_old_word(index, tagindex_word(tag, number)) = GONE;
    index->count--;
}

void tagindex_replace(struct tagindex *index, uint32_t tag, uint32_t number, uint32_t by)
{
    uint64_t *at = find_word(index, tagindex_word(tag, number));
    if (!at)
        at = find_old_word(index, tagindex_word(tag, number));
    *at = tagindex_word(tag, by);
}

size_t tagindex_bytes(const struct tagindex *index)
{
    size_t words = index->words == nothing ? 0 : (size_t)index->mask + 1;
    if (index->old_words)
        words += (size_t)index->old_mask + 1;
    return words * sizeof(uint64_t);
}

/* Every word is reached from its home, and they are as many as counted. */
void tagindex_validate(const struct tagindex *index)
{
    uint64_t found = 0;
    CHECK(nothing[0] == 0);
    for (uint64_t i = 0; i <= index->mask; i++)
        if (index->words[i] != 0) {
            CHECK(find_word(index, index->words[i]) != NULL);
            found++;
        }
    for (uint64_t i = index->old_at; index->old_words && i <= index->old_mask; i++)
        if ((uint32_t)index->old_words[i] != 0) {
            CHECK(find_old_word(index, index->old_words[i]) != NULL);
            found++;
        }
    CHECK(found == index->count);
    CHECK(index->words == nothing || found <= (uint64_t)index->mask + 1 - (index->mask + 1) / 8);
}
