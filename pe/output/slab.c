/* Slots for rows; see the header for the picture.
 *
 * There are no free lists through the slots: the bits of live slots say which are free, and they
 * lie in the chunk, so that a version has its own. Only chunk numbers, bins and lists of chunks
 * are the owner's alone; of a page, other threads read `chunks` and nothing else.
 *
 * A number whose chunk emptied while pins may read it is kept in `emptied`, with the chunk: a
 * reader of an older pin finds its version through it. A new chunk takes such a number first and
 * becomes the newest version there, whatever its bin.
 */
#include "pe/output/slab.h"

#include "runtime/base/mem.h"

#define BIN_LARGE SLAB_BINS
#define CHUNK_FIRST                                                              \
    512u /* bytes of a bin's first chunk; each next one doubles up to SLAB_CHUNK \
          */
#define TOP_FIRST 4

static uint32_t bin_of(size_t size)
{
    if (size <= 128)
        return size <= 8 ? 0 : (uint32_t)(size - 1) / 8;
    if (size <= 256)
        return 16 + (uint32_t)(size - 129) / 16;
    if (size <= SLAB_SMALL)
        return 24 + (uint32_t)(size - 257) / 32;
    return BIN_LARGE;
}

static uint32_t bin_size(uint32_t bin)
{
    if (bin < 16)
        return (bin + 1) * 8;
    return bin < 24 ? 128 + (bin - 15) * 16 : 256 + (bin - 23) * 32;
}

uint32_t slab_slot_size(size_t size)
{
    uint32_t bin = bin_of(size);
    if (bin < BIN_LARGE)
        return bin_size(bin);
    size_t step = 64; /* an eighth of the power of two below */
    while (step * 16 < size)
        step *= 2;
    return (uint32_t)align_up(size, step);
}

static size_t chunk_bytes(uint32_t slot_size, uint32_t n_slots)
{
    return sizeof(struct chunk) + (size_t)slot_size * n_slots;
}

static uint32_t slots_of(const struct slab *slab, uint32_t bin, uint32_t slot_size)
{
    if (bin == BIN_LARGE)
        return 1;
    uint32_t n = slab->bins[bin].chunks;
    uint32_t bytes = n < 3 ? CHUNK_FIRST << n : SLAB_CHUNK;
    uint32_t slots = (bytes - (uint32_t)sizeof(struct chunk)) / slot_size;
    return slots < 1 ? 1 : slots > SLAB_SLOTS ? SLAB_SLOTS : slots;
}

s4_status slab_init(struct slab *slab, struct pins *pins)
{
    struct slab fresh = { .pins = pins, .n_places = 1 };
    size_t size = sizeof(struct slab_top) + TOP_FIRST * sizeof(struct slab_page *);
    fresh.top = mem_zalloc(size);
    if (!fresh.top)
        return S4_NO_MEMORY;
    fresh.top->n_pages = TOP_FIRST;
    fresh.bytes = size;
    *slab = fresh;
    return S4_OK;
}

void slab_fini(struct slab *slab)
{
    if (!slab->top)
        return;
    for (uint32_t number = 1; number < slab->n_places; number++)
        mem_free(slab_chunk(slab, number));
    for (size_t i = 0; i < slab->top->n_pages; i++)
        mem_free(slab->top->pages[i]);
    mem_free(slab->top);
    *slab = (struct slab){ 0 };
}

/* ---- numbers --------------------------------------------------------------------------------- */

static s4_status grow_top(struct slab *slab)
{
    struct slab_top *old = slab->top;
    size_t half = sizeof *old + old->n_pages * sizeof(struct slab_page *);
    size_t size = sizeof *old + 2 * old->n_pages * sizeof(struct slab_page *);
    struct slab_top *top = mem_zalloc(size);
    if (!top)
        return S4_NO_MEMORY;
    memcpy(top->pages, old->pages, old->n_pages * sizeof(struct slab_page *));
    top->n_pages = 2 * old->n_pages;
    slab->top = top; /* pins took the old one along */
    slab->bytes += size - half;
    pins_retire(slab->pins, &old->retired, half);
    return S4_OK;
}

/* A number for a new chunk: one of an emptied chunk, one without, or the next one. */
static s4_status take_number(struct slab *slab, uint32_t *number)
{
    uint32_t *chain = slab->emptied ? &slab->emptied : &slab->free_number;
    if (*chain) {
        *number = *chain;
        *chain = slab_place(slab, *number)->next;
        return S4_OK;
    }
    uint32_t next = slab->n_places;
    if (next == SLAB_CHUNKS)
        return S4_FULL;
    if (next / SLAB_PAGE == slab->top->n_pages)
        TRY(grow_top(slab));
    struct slab_page **page = &slab->top->pages[next / SLAB_PAGE];
    if (!*page) {
        *page = mem_zalloc(sizeof **page);
        if (!*page)
            return S4_NO_MEMORY;
        slab->bytes += sizeof **page;
    }
    slab->n_places++;
    *number = next;
    return S4_OK;
}

static void give_number(struct slab *slab, uint32_t *chain, uint32_t number)
{
    slab_place(slab, number)->next = *chain;
    *chain = number;
}

/* ---- chunks ---------------------------------------------------------------------------------- */

static bool is_full(const struct chunk *chunk)
{
    uint32_t n = 0;
    for (size_t i = 0; i < ARRAY_LEN(chunk->live); i++)
        n += (uint32_t)__builtin_popcountll(chunk->live[i]);
    return n == chunk->n_slots;
}

static bool is_empty(const struct chunk *chunk)
{
    uint64_t any = 0;
    for (size_t i = 0; i < ARRAY_LEN(chunk->live); i++)
        any |= chunk->live[i];
    return any == 0;
}

static void link_partial(struct slab *slab, uint32_t number)
{
    struct place *place = slab_place(slab, number);
    struct slab_bin *bin = &slab->bins[place->bin];
    place->prev = 0;
    place->next = bin->partial;
    if (bin->partial)
        slab_place(slab, bin->partial)->prev = number;
    bin->partial = number;
}

static void unlink_partial(struct slab *slab, uint32_t number)
{
    const struct place *place = slab_place(slab, number);
    if (place->prev)
        slab_place(slab, place->prev)->next = place->next;
    else
        slab->bins[place->bin].partial = place->next;
    if (place->next)
        slab_place(slab, place->next)->prev = place->prev;
}

/* Puts a version in its place: from here on pins that are taken later read it. */
static void publish(struct slab *slab, uint32_t number, struct chunk *chunk)
{
    struct slab_page *page = slab_page(slab, number);
    struct place *place = &page->places[number % SLAB_PAGE];
    struct chunk *older = slab_chunk(slab, number);
    size_t size = older ? chunk_bytes(older->slot_size, older->n_slots) : 0;
    chunk->epoch = slab->pins->epoch;
    chunk->older = older;
    place->epoch = chunk->epoch;
    place->slot_size = chunk->slot_size;
    slab->bytes += chunk_bytes(chunk->slot_size, chunk->n_slots) - size;
    atomic_store_explicit(&page->chunks[number % SLAB_PAGE], chunk, memory_order_release);
    if (older)
        pins_retire(slab->pins, &older->retired, size);
}

static s4_status new_chunk(struct slab *slab, size_t size, uint32_t *number)
{
    uint32_t bin = bin_of(size);
    uint32_t slot_size = slab_slot_size(size);
    uint32_t n_slots = slots_of(slab, bin, slot_size);
    struct chunk *chunk = mem_alloc(chunk_bytes(slot_size, n_slots));
    s4_status status = chunk ? take_number(slab, number) : S4_NO_MEMORY;
    if (status != S4_OK) {
        mem_free(chunk);
        return status;
    }
    *chunk = (struct chunk){ .slot_size = slot_size, .n_slots = n_slots };
    slab_place(slab, *number)->bin = (uint8_t)bin;
    publish(slab, *number, chunk);
    if (bin < BIN_LARGE)
        slab->bins[bin].chunks++;
    return S4_OK;
}

s4_status slab_copy(struct slab *slab, uint32_t number)
{
    pins_sweep(slab->pins);
    slab_trim(slab);
    if (!pins_see(slab->pins, slab_place(slab, number)->epoch))
        return S4_OK;
    const struct chunk *old = slab_chunk(slab, number);
    size_t size = chunk_bytes(old->slot_size, old->n_slots);
    struct chunk *chunk = mem_alloc(size);
    if (!chunk)
        return S4_NO_MEMORY;
    memcpy(chunk, old, size);
    publish(slab, number, chunk);
    return S4_OK;
}

static void free_chunk(struct slab *slab, uint32_t number)
{
    struct chunk *chunk = slab_chunk(slab, number);
    slab->bytes -= chunk_bytes(chunk->slot_size, chunk->n_slots);
    /* Relaxed: there are no readers. */
    atomic_store_explicit(&slab_page(slab, number)->chunks[number % SLAB_PAGE], NULL,
                          memory_order_relaxed);
    mem_free(chunk);
    give_number(slab, &slab->free_number, number);
}

/* Its last slot was given back, and it is in no list. */
static void drop_chunk(struct slab *slab, uint32_t number)
{
    const struct place *place = slab_place(slab, number);
    if (place->bin < BIN_LARGE)
        slab->bins[place->bin].chunks--;
    if (slab->pins->n == 0)
        free_chunk(slab, number);
    else
        give_number(slab, &slab->emptied, number);
}

void slab_trim(struct slab *slab)
{
    while (slab->pins->n == 0 && slab->emptied) {
        uint32_t number = slab->emptied;
        slab->emptied = slab_place(slab, number)->next;
        free_chunk(slab, number);
    }
}

/* ---- slots ----------------------------------------------------------------------------------- */

/* A chunk of this size with a free slot, writable and in its bin's list unless it is large. */
static s4_status chunk_with_room(struct slab *slab, size_t size, uint32_t *number)
{
    uint32_t bin = bin_of(size);
    if (bin == BIN_LARGE)
        return new_chunk(slab, size, number);
    struct slab_bin *of = &slab->bins[bin];
    *number = of->partial ? of->partial : of->spare;
    if (*number) {
        TRY(slab_writable(slab, *number << SLAB_REF_BITS));
        if (of->partial)
            return S4_OK;
        of->spare = 0;
    } else {
        TRY(new_chunk(slab, size, number));
    }
    link_partial(slab, *number);
    return S4_OK;
}

static uint32_t free_slot(const struct chunk *chunk)
{
    uint32_t word = 0;
    while (chunk->live[word] == UINT64_MAX)
        word++;
    return word * 64 + (uint32_t)__builtin_ctzll(~chunk->live[word]);
}

s4_status slab_take(struct slab *slab, size_t size, uint32_t *ref)
{
    uint32_t number;
    TRY(chunk_with_room(slab, size, &number));
    const struct place *place = slab_place(slab, number);
    struct chunk *chunk = slab_chunk(slab, number);
    uint32_t slot = free_slot(chunk);
    chunk->live[slot / 64] |= (uint64_t)1 << (slot % 64);
    if (place->bin < BIN_LARGE && is_full(chunk))
        unlink_partial(slab, number);
    size_t at = sizeof *chunk + (size_t)slot * chunk->slot_size;
    *ref = number << SLAB_REF_BITS | (uint32_t)(at / 8);
    return S4_OK;
}

void slab_give(struct slab *slab, uint32_t ref)
{
    uint32_t number = ref >> SLAB_REF_BITS;
    const struct place *place = slab_place(slab, number);
    struct chunk *chunk = slab_chunk(slab, number);
    uint32_t slot = ((ref & SLAB_REF_MASK) * 8 - (uint32_t)sizeof *chunk) / chunk->slot_size;
    CHECK(chunk->live[slot / 64] >> (slot % 64) & 1);
    CHECK(!pins_see(slab->pins, place->epoch));
    bool full = is_full(chunk);
    chunk->live[slot / 64] &= ~((uint64_t)1 << (slot % 64));
    if (place->bin == BIN_LARGE) {
        drop_chunk(slab, number);
        return;
    }
    struct slab_bin *of = &slab->bins[place->bin];
    if (!is_empty(chunk)) {
        if (full)
            link_partial(slab, number);
        return;
    }
    if (!full)
        unlink_partial(slab, number);
    if (of->spare == 0)
        of->spare = number;
    else
        drop_chunk(slab, number);
}

/* ---- views ----------------------------------------------------------------------------------- */

static const struct chunk *view_chunk(const struct slab_view *view, uint32_t number)
{
    const struct slab_page *page = view->top->pages[number / SLAB_PAGE];
    const struct chunk *chunk =
        atomic_load_explicit(&page->chunks[number % SLAB_PAGE], memory_order_acquire);
    while (chunk && chunk->epoch > view->epoch)
        chunk = chunk->older;
    return chunk;
}

/* The first live slot at or after `slot`, or SLAB_SLOTS. */
static uint32_t live_from(const struct chunk *chunk, uint32_t slot)
{
    while (slot < SLAB_SLOTS) {
        uint64_t word = chunk->live[slot / 64] >> (slot % 64);
        if (word != 0)
            return slot + (uint32_t)__builtin_ctzll(word);
        slot = (slot / 64 + 1) * 64;
    }
    return SLAB_SLOTS;
}

const char *slab_view_next(const struct slab_view *view, uint32_t *number, uint32_t *slot)
{
    for (; *number < view->n_places; ++*number, *slot = 0) {
        if (*number == 0)
            continue;
        const struct chunk *chunk = view_chunk(view, *number);
        uint32_t at = chunk ? live_from(chunk, *slot) : SLAB_SLOTS;
        if (at < SLAB_SLOTS) {
            *slot = at + 1;
            return (const char *)(chunk + 1) + (size_t)at * chunk->slot_size;
        }
    }
    return NULL;
}

/* ---- validation ------------------------------------------------------------------------------ */

static uint32_t chain_length(const struct slab *slab, uint32_t number)
{
    uint32_t n = 0;
    for (; number; number = slab_place(slab, number)->next)
        n++;
    return n;
}

static void validate_bin(const struct slab *slab, uint32_t bin)
{
    const struct slab_bin *of = &slab->bins[bin];
    uint32_t prev = 0;
    for (uint32_t number = of->partial; number; number = slab_place(slab, number)->next) {
        const struct place *place = slab_place(slab, number);
        const struct chunk *chunk = slab_chunk(slab, number);
        CHECK(place->bin == bin && place->prev == prev);
        CHECK(!is_full(chunk) && !is_empty(chunk));
        prev = number;
    }
    CHECK(of->spare == 0 || is_empty(slab_chunk(slab, of->spare)));
    CHECK(of->chunks >= chain_length(slab, of->partial) + (of->spare != 0));
}

void slab_validate(const struct slab *slab)
{
    uint32_t without = 0;
    uint32_t empty = 0;
    uint32_t spares = 0;
    size_t bytes = sizeof *slab->top + slab->top->n_pages * sizeof(struct slab_page *);
    for (size_t i = 0; i < slab->top->n_pages; i++)
        bytes += slab->top->pages[i] ? sizeof(struct slab_page) : 0;
    for (uint32_t number = 1; number < slab->n_places; number++) {
        const struct place *place = slab_place(slab, number);
        const struct chunk *chunk = slab_chunk(slab, number);
        without += chunk == NULL;
        if (!chunk)
            continue;
        CHECK(place->epoch == chunk->epoch && place->slot_size == chunk->slot_size);
        CHECK(chunk->epoch <= slab->pins->epoch);
        empty += is_empty(chunk);
        bytes += chunk_bytes(chunk->slot_size, chunk->n_slots);
    }
    for (uint32_t bin = 0; bin < SLAB_BINS; bin++) {
        validate_bin(slab, bin);
        spares += slab->bins[bin].spare != 0;
    }
    CHECK(without == chain_length(slab, slab->free_number));
    CHECK(empty == spares + chain_length(slab, slab->emptied));
    CHECK(bytes == slab->bytes);
}
