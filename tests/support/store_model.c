/* Random steps on a store and on the simplest thing that could be one: arrays of bytes, and a list
 * of all the states in which the names were since they were last synced. After a crash, the store
 * must be in one of these, and each file must hold bytes that the model allows. */
#include "tests/support/store_check.h"

#include <check.h>

#include "runtime/base/buffer.h"
#include "runtime/base/mem.h"
#include "runtime/base/rng.h"
#include "runtime/store/store_sim.h"
#include "tests/support/suite.h"

enum {
    NAMES = 6,
    HANDLES = 3,
    STATES = 40, /* then the names are synced */
    FILES = NAMES + HANDLES + STATES + 1,
    SIZE_CUT = 4000, /* of a file; then it is cut */
    NONE = -1,
};

struct model_file {
    struct buffer data;
    struct buffer synced; /* the bytes at the last sync */
    size_t low;           /* to which it was cut since, or its size then */
    bool doubt;           /* a sync failed, and what it was about is still there */
};

struct state {
    int file[NAMES]; /* or NONE */
};

struct handle {
    struct store_file *file; /* NULL: free */
    int number;
};

struct model {
    struct place place;
    struct rng rng;
    struct model_file files[FILES];
    bool used[FILES];
    struct state states[STATES]; /* the last is now */
    int n_states;
    struct handle handles[HANDLES];
    bool faults;
    uint32_t crashes, names_lost, torn, zeros, cuts_undone, refused;
};

static const char *const names[NAMES] = { "a", "b", "c.part", "d", "e", "f" };

static uint32_t below(struct model *m, uint32_t n)
{
    return (uint32_t)rng_below(&m->rng, n);
}

static struct state *now(struct model *m)
{
    return &m->states[m->n_states - 1];
}

/* Was the call refused by a drawn fault? Then nothing may have changed. */
static bool refused(struct model *m, s4_status status)
{
    bool fault = m->faults && (status == S4_IO || status == S4_FULL);
    m->refused += fault;
    return fault;
}

static void set_faults(struct model *m, bool on)
{
    m->faults = on && m->place.kind == PLACE_SIM;
    if (m->place.kind == PLACE_SIM) {
        store_sim_set_rate(m->place.store, STORE_NO_SPACE, m->faults ? 50 : 0);
        store_sim_set_rate(m->place.store, STORE_IO_ERROR, m->faults ? 100 : 0);
    }
}

/* ---- the model ----------------------------------------------------------------------------- */

static void model_collect(struct model *m)
{
    bool needed[FILES] = { false };
    for (int i = 0; i < m->n_states; i++)
        for (int n = 0; n < NAMES; n++)
            if (m->states[i].file[n] != NONE)
                needed[m->states[i].file[n]] = true;
    for (int h = 0; h < HANDLES; h++)
        if (m->handles[h].file)
            needed[m->handles[h].number] = true;
    for (int f = 0; f < FILES; f++)
        m->used[f] = needed[f];
}

static int model_make(struct model *m)
{
    model_collect(m);
    int number = 0;
    while (m->used[number])
        number++;
    struct model_file *f = &m->files[number];
    m->used[number] = true;
    buffer_clear(&f->data);
    buffer_clear(&f->synced);
    f->low = 0;
    f->doubt = false;
    return number;
}

static void model_synced(struct model_file *f)
{
    if (f->doubt)
        return;
    buffer_clear(&f->synced);
    ck_assert(buffer_append(&f->synced, f->data.data, f->data.size) == S4_OK);
    f->low = f->data.size;
}

static void sync_names(struct model *m)
{
    s4_status status = store_sync(m->place.store, NULL);
    if (refused(m, status))
        return;
    SUITE_SAME(status, S4_OK);
    m->states[0] = *now(m);
    m->n_states = 1;
}

/* The next state of the names, to be changed. */
static struct state *next_state(struct model *m)
{
    m->states[m->n_states] = *now(m);
    m->n_states++;
    return now(m);
}

/* ---- steps --------------------------------------------------------------------------------- */

static bool is_open(const struct model *m, int number)
{
    for (int h = 0; h < HANDLES; h++)
        if (m->handles[h].file && m->handles[h].number == number)
            return true;
    return false;
}

static void step_open(struct model *m, struct handle *handle)
{
    int name = (int)below(m, NAMES), there = now(m)->file[name];
    enum store_open how = below(m, 2) ? STORE_NEW : STORE_EXISTING;
    s4_status wanted = S4_OK;
    if (how == STORE_NEW)
        wanted = there == NONE ? S4_OK : S4_EXISTS;
    else if (there == NONE)
        wanted = S4_NOT_FOUND;
    else if (is_open(m, there))
        wanted = S4_BUSY;
    struct store_file *file;
    s4_status status = store_open(m->place.store, names[name], how, &file, NULL);
    if (refused(m, status))
        return;
    SUITE_SAME(status, wanted);
    if (status != S4_OK)
        return;
    if (how == STORE_NEW) {
        there = model_make(m);
        next_state(m)->file[name] = there;
    }
    handle->file = file;
    handle->number = there;
}

static void step_close(struct handle *handle)
{
    store_file_close(handle->file);
    handle->file = NULL;
}

static void step_append(struct model *m, struct handle *handle)
{
    unsigned char bytes[1500];
    uint32_t size = below(m, below(m, 4) ? 100 : sizeof bytes);
    for (uint32_t i = 0; i < size; i++)
        bytes[i] = (unsigned char)(1 + below(m, 255)); /* zeros come from crashes only */
    s4_status status = store_file_append(handle->file, bytes, size, NULL);
    if (refused(m, status))
        return;
    SUITE_SAME(status, S4_OK);
    ck_assert(buffer_append(&m->files[handle->number].data, bytes, size) == S4_OK);
}

static void step_cut(struct model *m, struct handle *handle)
{
    struct model_file *f = &m->files[handle->number];
    uint32_t size = below(m, (uint32_t)f->data.size + 2);
    s4_status status = store_file_cut(handle->file, size, NULL);
    if (refused(m, status))
        return;
    SUITE_SAME(status, size > f->data.size ? S4_RANGE : S4_OK);
    if (status != S4_OK)
        return;
    f->data.size = size;
    f->low = size_min(f->low, size);
    f->doubt = f->doubt && size > f->low;
}

static void step_read(struct model *m, struct handle *handle)
{
    struct model_file *f = &m->files[handle->number];
    char found[2000];
    size_t got, offset = below(m, (uint32_t)f->data.size + 10), size = below(m, sizeof found);
    size_t wanted = offset < f->data.size ? size_min(size, f->data.size - offset) : 0;
    s4_status status = store_file_read(handle->file, offset, found, size, &got, NULL);
    if (refused(m, status))
        return;
    SUITE_SAME(status, S4_OK);
    SUITE_SAME(got, wanted);
    SUITE_SAME(store_file_size(handle->file), f->data.size);
    if (got > 0)
        SUITE_SAME(memcmp(found, f->data.data + offset, got), 0);
}

static void step_sync(struct model *m, struct handle *handle)
{
    struct model_file *f = &m->files[handle->number];
    s4_status status = store_file_sync(handle->file, NULL);
    if (!refused(m, status)) {
        SUITE_SAME(status, S4_OK);
        model_synced(f);
        return;
    }
    f->doubt = true;
    SUITE_SAME(store_file_append(handle->file, "x", 1, NULL), S4_IO);
    SUITE_SAME(store_file_cut(handle->file, 0, NULL), S4_IO);
    SUITE_SAME(store_file_sync(handle->file, NULL), S4_IO);
    step_close(handle);
}

static void step_file(struct model *m)
{
    struct handle *handle = &m->handles[below(m, HANDLES)];
    if (!handle->file)
        step_open(m, handle);
    else if (m->files[handle->number].data.size > SIZE_CUT)
        step_cut(m, handle);
    else
        switch (below(m, 16)) {
        case 0:
            step_close(handle);
            break;
        case 1:
            step_cut(m, handle);
            break;
        case 2:
            step_sync(m, handle);
            break;
        case 3:
        case 4:
        case 5:
            step_read(m, handle);
            break;
        default:
            step_append(m, handle);
            break;
        }
}

static void step_rename(struct model *m)
{
    int from = (int)below(m, NAMES), to = (int)below(m, NAMES);
    int number = now(m)->file[from];
    s4_status status = store_rename(m->place.store, names[from], names[to], NULL);
    if (refused(m, status))
        return;
    SUITE_SAME(status, number == NONE ? S4_NOT_FOUND : S4_OK);
    if (status != S4_OK || from == to)
        return;
    struct state *state = next_state(m);
    state->file[to] = number;
    state->file[from] = NONE;
}

static void step_remove(struct model *m)
{
    int name = (int)below(m, NAMES);
    s4_status status = store_remove(m->place.store, names[name], NULL);
    if (refused(m, status))
        return;
    SUITE_SAME(status, now(m)->file[name] == NONE ? S4_NOT_FOUND : S4_OK);
    if (status == S4_OK)
        next_state(m)->file[name] = NONE;
}

/* Which names are there, as bits. */
static uint32_t listed(struct model *m)
{
    struct store_names list = { 0 };
    uint32_t bits = 0;
    int last = -1;
    SUITE_SAME(store_list(m->place.store, &list, NULL), S4_OK);
    for (size_t i = 0; i < list.count; i++) {
        int n = 0;
        while (n < NAMES && strcmp(names[n], list.list[i]) != 0)
            n++;
        ck_assert(n < NAMES && n > last);
        last = n;
        bits |= 1u << n;
    }
    store_names_fini(&list);
    return bits;
}

static uint32_t bits_of(const struct state *state)
{
    uint32_t bits = 0;
    for (int n = 0; n < NAMES; n++)
        bits |= (uint32_t)(state->file[n] != NONE) << n;
    return bits;
}

/* ---- crashes ------------------------------------------------------------------------------- */

/* May a crash have left these bytes of the file? */
static bool allowed(const struct model_file *f, const struct buffer *found)
{
    if (f->low < f->synced.size && found->size == f->synced.size &&
        memcmp(found->data, f->synced.data, found->size) == 0)
        return true;
    if (found->size < f->low || found->size > f->data.size)
        return false;
    for (size_t i = 0; i < found->size; i++) {
        bool lost = i >= f->low && found->data[i] == 0;
        if (!lost && found->data[i] != f->data.data[i])
            return false;
    }
    return true;
}

static void count(struct model *m, const struct model_file *f, const struct buffer *found)
{
    bool back = f->low < f->synced.size && found->size == f->synced.size &&
                memcmp(found->data, f->synced.data, found->size) == 0;
    m->cuts_undone += back;
    m->torn += !back && found->size < f->data.size;
    m->zeros += found->size > 0 && memchr(found->data, 0, found->size) != NULL;
}

static bool matches(struct model *m, const struct state *state, uint32_t bits,
                    const struct buffer *found)
{
    if (bits_of(state) != bits)
        return false;
    for (int n = 0; n < NAMES; n++)
        if (state->file[n] != NONE && !allowed(&m->files[state->file[n]], &found[n]))
            return false;
    return true;
}

/* What was found is what is: all of it certain. */
static void adopt(struct model *m, const struct state *state, const struct buffer *found)
{
    struct state fresh = *state;
    for (int n = 0; n < NAMES; n++) {
        if (fresh.file[n] == NONE)
            continue;
        struct model_file *f = &m->files[fresh.file[n]];
        count(m, f, &found[n]);
        buffer_clear(&f->data);
        ck_assert(buffer_append(&f->data, found[n].data, found[n].size) == S4_OK);
        f->doubt = false;
        model_synced(f);
    }
    m->states[0] = fresh;
    m->n_states = 1;
}

static void read_all(struct model *m, uint32_t bits, struct buffer *found)
{
    for (int n = 0; n < NAMES; n++) {
        buffer_init(&found[n]);
        if (!(bits & 1u << n))
            continue;
        struct store_file *file;
        size_t got;
        SUITE_SAME(store_open(m->place.store, names[n], STORE_EXISTING, &file, NULL), S4_OK);
        char *room = buffer_room(&found[n], store_file_size(file) + 1);
        ck_assert(room != NULL);
        SUITE_SAME(store_file_read(file, 0, room, found[n].size, &got, NULL), S4_OK);
        SUITE_SAME(got, store_file_size(file));
        found[n].size = got;
        store_file_close(file);
    }
}

static void drop_handles(struct model *m)
{
    for (int h = 0; h < HANDLES; h++) {
        if (!m->handles[h].file)
            continue;
        if (!m->handles[h].file->failed)
            SUITE_SAME(store_file_append(m->handles[h].file, "x", 1, NULL), S4_STATE);
        step_close(&m->handles[h]);
    }
}

static void step_crash(struct model *m)
{
    struct buffer found[NAMES];
    set_faults(m, false);
    store_sim_crash(m->place.store);
    m->crashes++;
    drop_handles(m);
    uint32_t bits = listed(m);
    read_all(m, bits, found);
    int at = m->n_states - 1;
    while (at >= 0 && !matches(m, &m->states[at], bits, found))
        at--;
    ck_assert_msg(at >= 0, "after crash %u the store is as it never was", m->crashes);
    m->names_lost += bits != bits_of(now(m));
    adopt(m, &m->states[at], found);
    for (int n = 0; n < NAMES; n++)
        buffer_fini(&found[n]);
    set_faults(m, below(m, 2));
}

static void step(struct model *m)
{
    if (m->n_states == STATES)
        sync_names(m);
    else if (m->place.kind == PLACE_SIM && below(m, 400) == 0)
        step_crash(m);
    else
        switch (below(m, 40)) {
        case 0:
            step_rename(m);
            break;
        case 1:
            step_remove(m);
            break;
        case 2:
            if (!m->faults)
                SUITE_SAME(listed(m), bits_of(now(m)));
            break;
        case 3:
            if (below(m, 4) == 0)
                sync_names(m);
            break;
        default:
            step_file(m);
            break;
        }
}

void store_check_random(enum place_kind kind, uint64_t seed, uint32_t steps)
{
    static struct model m;
    m = (struct model){ .n_states = 1 };
    for (int n = 0; n < NAMES; n++)
        m.states[0].file[n] = NONE;
    place_open(&m.place, kind, seed);
    rng_init(&m.rng, seed);
    for (uint32_t i = 0; i < steps; i++)
        step(&m);
    for (int h = 0; h < HANDLES; h++)
        step_close(&m.handles[h]);
    for (int f = 0; f < FILES; f++) {
        buffer_fini(&m.files[f].data);
        buffer_fini(&m.files[f].synced);
    }
    place_close(&m.place);
    if (kind == PLACE_SIM && steps >= 100000) { /* the dangers were there */
        ck_assert_uint_gt(m.crashes, 100);
        ck_assert_uint_gt(m.names_lost, 100);
        ck_assert_uint_gt(m.torn, 100);
        ck_assert_uint_gt(m.zeros, 100);
        ck_assert_uint_gt(m.cuts_undone, 10);
        ck_assert_uint_gt(m.refused, 100);
    }
}
