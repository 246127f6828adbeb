/* The app of states that own memory; see the header. */
#include "tests/support/keeps_app.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include <s4/containers.h>
#include <s4/s4.h>

#include "tests/support/protos/keeps.pb-c.h"

#define LATER_US 1000000

S4_STREAM(words, Keeps__Word, keeps__word);
S4_TABLE(rows, Keeps__Row, keeps__row, "key");

static s4_status show(s4_ctx *ctx, const char *what, const char *text, uint64_t n)
{
    char key[64];
    Keeps__Row row = KEEPS__ROW__INIT;
    snprintf(key, sizeof key, "%s of %s", what, s4_key(ctx, 0, NULL));
    row.key = key;
    row.text = (char *)(uintptr_t)text;
    row.n = n;
    return s4_publish(ctx, &rows, &row);
}

static s4_status later(s4_ctx *ctx, uint64_t id)
{
    return s4_timer_set(ctx, id, s4_time(ctx) + LATER_US * (1 + id));
}

/* ---- a message ----------------------------------------------------------------------------- */

static char *copy_text(s4_ctx *ctx, const char *text)
{
    size_t size = strlen(text) + 1;
    char *copy = s4_alloc(ctx, size);
    return copy ? memcpy(copy, text, size) : NULL;
}

static s4_status add_page(s4_ctx *ctx, Keeps__Book *self, const Keeps__Word *word)
{
    Keeps__Page **pages = s4_realloc(ctx, self->pages, (self->n_pages + 1) * sizeof *pages);
    if (!pages)
        return S4_NO_MEMORY;
    self->pages = pages;
    Keeps__Page *page = s4_alloc(ctx, sizeof *page);
    if (!page)
        return S4_NO_MEMORY;
    keeps__page__init(page);
    page->text = copy_text(ctx, word->text);
    page->n = word->n;
    pages[self->n_pages++] = page;
    return page->text ? S4_OK : S4_NO_MEMORY;
}

static s4_status on_book_word(s4_ctx *ctx, Keeps__Book *self, const Keeps__Word *word)
{
    if (strcmp(word->text, KEEPS_REMOVE) == 0)
        return S4_REMOVE;
    s4_status status = add_page(ctx, self, word);
    s4_free(ctx, self->last);
    self->last = copy_text(ctx, word->text);
    self->has_total = 1;
    self->total += word->n * self->n_pages;
    if (status == S4_OK && word->n % 3 == 0)
        status = later(ctx, word->n % 2);
    return status == S4_OK ? show(ctx, "book", self->last, self->total) : status;
}

/* All that there is goes into a number. */
static s4_status book_timer(s4_ctx *ctx, Keeps__Book *self, uint64_t id)
{
    uint64_t sum = id;
    for (size_t i = 0; i < self->n_pages; i++)
        for (const char *c = self->pages[i]->text; *c; c++)
            sum = sum * 31 + (unsigned char)*c + self->pages[i]->n;
    return show(ctx, "pages", self->last, sum);
}

S4_CLASS(book, Keeps__Book, S4_MESSAGE, .state_type = &keeps__book__descriptor,
         .timer = book_timer);
S4_PROTOTYPE(books, book, S4_ON(book, on_book_word, words, "user"));

/* ---- a map and a list ---------------------------------------------------------------------- */

struct pile {
    S4_MAP(uint64_t) sums;
    S4_LIST(uint64_t) order;
};

static s4_status on_pile_word(s4_ctx *ctx, struct pile *self, const Keeps__Word *word)
{
    if (strcmp(word->text, KEEPS_REMOVE) == 0)
        return S4_REMOVE;
    uint64_t *sum = s4_map_put(ctx, &self->sums, word->text, strlen(word->text));
    if (!sum)
        return S4_NO_MEMORY;
    *sum += word->n;
    s4_status status = s4_list_push(ctx, &self->order, &word->n);
    if (status == S4_OK && word->n % 5 == 0)
        status = later(ctx, 0);
    return status == S4_OK ? show(ctx, "pile", word->text, *sum) : status;
}

static s4_status pile_timer(s4_ctx *ctx, struct pile *self, uint64_t id)
{
    uint64_t sum = s4_map_count(&self->sums);
    s4_map_each(&self->sums, at) sum = sum * 31 + self->sums.values[at];
    for (uint32_t i = 0; i < self->order.n; i++)
        sum = sum * 31 + self->order.items[i];
    return show(ctx, "order", "", sum);
}

static s4_status pile_save(s4_ctx *ctx, const struct pile *self, s4_saver *saver)
{
    s4_status status = s4_map_save(ctx, saver, &self->sums);
    return status == S4_OK ? s4_list_save(ctx, saver, &self->order) : status;
}

static s4_status pile_load(s4_ctx *ctx, struct pile *self, s4_loader *loader)
{
    s4_status status = s4_map_load(ctx, loader, &self->sums);
    return status == S4_OK ? s4_list_load(ctx, loader, &self->order) : status;
}

S4_CLASS(pile, struct pile, S4_CUSTOM, .timer = pile_timer, .save = pile_save, .load = pile_load);
S4_PROTOTYPE(piles, pile, S4_ON(pile, on_pile_word, words, "user"));

S4_APP(keeps, S4_STREAMS(&words.base), S4_PROTOTYPES(&books, &piles), S4_OUTPUTS(&rows.base));
