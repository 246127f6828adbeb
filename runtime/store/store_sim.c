/* The simulated store: handles, space and faults over a sim_disk; see the header. Each call first
 * asks whether it may be done at all (`begin`), and either has its whole effect or none. That is
 * enough for a machine that stops in the middle of a call: the disk draws, of each call's effect,
 * how much of it survives. */
#include "runtime/store/store_sim.h"

#include "runtime/base/mem.h"
#include "runtime/store/sim_disk.h"

struct store_sim {
    struct store store;
    struct store_sim_options options;
    struct sim_disk disk;
    struct rng rng;   /* of faults; the disk has its own */
    uint32_t crashes; /* so far: tells the files of before from those of now */
    bool off;
    uint32_t rates[STORE_FAULTS];
    enum store_fault planned;
    uint64_t planned_at;
    uint64_t calls;
    uint64_t faults[STORE_FAULTS];
};

struct sim_file {
    struct store_file file;
    struct sim_inode *inode; /* held */
    uint32_t crashes;        /* when it was opened */
};

static struct store_sim *sim_of(struct store *store)
{
    return CONTAINER_OF(store, struct store_sim, store);
}

static const struct store_sim *sim_of_const(const struct store *store)
{
    return (const struct store_sim *)(const void *)store;
}

static struct sim_file *file_of(struct store_file *file)
{
    return CONTAINER_OF(file, struct sim_file, file);
}

/* ---- faults -------------------------------------------------------------------------------- */

static enum store_fault draw(struct store_sim *sim, bool grows)
{
    enum store_fault fault = STORE_NO_FAULT;
    for (int f = STORE_FAULTS - 1; f > STORE_NO_FAULT; f--)
        if (sim->rates[f] && rng_below(&sim->rng, sim->rates[f]) == 0)
            fault = (enum store_fault)f;
    if (sim->planned_at == sim->calls)
        fault = sim->planned;
    return fault == STORE_NO_SPACE && !grows ? STORE_NO_FAULT : fault;
}

static s4_status begin(struct store_sim *sim, const char *name, bool grows, struct diag *diag)
{
    sim->calls++;
    enum store_fault fault = draw(sim, grows);
    sim->faults[fault]++;
    sim->off |= fault == STORE_OFF;
    if (sim->off)
        return diag_set(diag, S4_UNAVAILABLE, "%s: the simulated machine is off", name);
    if (fault == STORE_NO_SPACE)
        return diag_set(diag, S4_FULL, "%s: a simulated lack of space", name);
    if (fault == STORE_IO_ERROR)
        return diag_set(diag, S4_IO, "%s: a simulated failure of the device", name);
    return S4_OK;
}

static s4_status begin_file(struct store_file *file, bool grows, struct diag *diag)
{
    struct store_sim *sim = sim_of(file->store);
    if (file_of(file)->crashes != sim->crashes)
        return diag_set(diag, S4_STATE, "%s: was opened before the crash", file->name);
    return begin(sim, file->name, grows, diag);
}

static s4_status no_memory(const char *name, struct diag *diag)
{
    return diag_set(diag, S4_NO_MEMORY, "%s: out of memory", name);
}

/* ---- the directory ------------------------------------------------------------------------- */

static s4_status find(struct store_sim *sim, const char *name, struct sim_inode **inode,
                      struct diag *diag)
{
    *inode = sim_disk_find(&sim->disk, name);
    return *inode ? S4_OK : diag_set(diag, S4_NOT_FOUND, "%s: there is no such file", name);
}

static s4_status open_inode(struct store_sim *sim, const char *name, enum store_open how,
                            struct sim_inode **inode, struct diag *diag)
{
    TRY(begin(sim, name, how == STORE_NEW, diag));
    if (how == STORE_EXISTING) {
        TRY(find(sim, name, inode, diag));
        return (*inode)->open ? diag_set(diag, S4_BUSY, "%s: is open already", name) : S4_OK;
    }
    if (sim_disk_find(&sim->disk, name))
        return diag_set(diag, S4_EXISTS, "%s: exists already", name);
    return sim_disk_make(&sim->disk, name, inode) == S4_OK ? S4_OK : no_memory(name, diag);
}

static s4_status open_file(struct store *store, const char *name, enum store_open how,
                           struct store_file **file, struct diag *diag)
{
    struct store_sim *sim = sim_of(store);
    struct sim_file *f = mem_zalloc(sizeof *f);
    if (!f)
        return no_memory(name, diag);
    s4_status status = open_inode(sim, name, how, &f->inode, diag);
    if (status != S4_OK) {
        mem_free(f);
        return status;
    }
    sim_inode_hold(f->inode);
    f->inode->open = true;
    f->crashes = sim->crashes;
    f->file = (struct store_file){ .store = store, .size = f->inode->data.size };
    memcpy(f->file.name, name, strlen(name) + 1);
    *file = &f->file;
    return S4_OK;
}

static s4_status rename_file(struct store *store, const char *from, const char *to,
                             struct diag *diag)
{
    struct store_sim *sim = sim_of(store);
    struct sim_inode *inode;
    TRY(begin(sim, from, true, diag));
    TRY(find(sim, from, &inode, diag));
    return sim_disk_rename(&sim->disk, from, to) == S4_OK ? S4_OK : no_memory(from, diag);
}

static s4_status remove_file(struct store *store, const char *name, struct diag *diag)
{
    struct store_sim *sim = sim_of(store);
    struct sim_inode *inode;
    TRY(begin(sim, name, false, diag));
    TRY(find(sim, name, &inode, diag));
    return sim_disk_remove(&sim->disk, name) == S4_OK ? S4_OK : no_memory(name, diag);
}

static s4_status list_files(struct store *store, struct store_names *names, struct diag *diag)
{
    struct store_sim *sim = sim_of(store);
    struct store_names found = { 0 };
    TRY(begin(sim, ".", false, diag));
    for (size_t i = 0; i < sim->disk.n_names; i++) {
        s4_status status = store_names_add(&found, sim->disk.names[i].name, diag);
        if (status != S4_OK) {
            store_names_fini(&found);
            return status;
        }
    }
    *names = found; /* in order already */
    return S4_OK;
}

static s4_status sync_names(struct store *store, struct diag *diag)
{
    struct store_sim *sim = sim_of(store);
    TRY(begin(sim, ".", false, diag));
    sim_disk_sync(&sim->disk);
    return S4_OK;
}

static void destroy(struct store *store)
{
    struct store_sim *sim = sim_of(store);
    sim_disk_fini(&sim->disk);
    mem_free(sim);
}

/* ---- files --------------------------------------------------------------------------------- */

static s4_status append(struct store_file *file, const void *data, size_t size, struct diag *diag)
{
    struct store_sim *sim = sim_of(file->store);
    uint64_t max = sim->options.bytes_max;
    TRY(begin_file(file, true, diag));
    if (max && (size > max || sim_disk_bytes(&sim->disk) > max - size))
        return diag_set(diag, S4_FULL, "%s: the simulated disk holds %llu bytes", file->name,
                        (unsigned long long)max);
    if (buffer_append(&file_of(file)->inode->data, data, size) != S4_OK)
        return no_memory(file->name, diag);
    file->size += size;
    return S4_OK;
}

static s4_status read_at(struct store_file *file, uint64_t offset, void *data, size_t size,
                         size_t *got, struct diag *diag)
{
    TRY(begin_file(file, false, diag));
    *got = offset < file->size ? size_min(size, file->size - offset) : 0;
    if (*got > 0)
        memcpy(data, file_of(file)->inode->data.data + offset, *got);
    return S4_OK;
}

static s4_status cut(struct store_file *file, uint64_t size, struct diag *diag)
{
    TRY(begin_file(file, false, diag));
    if (sim_inode_cut(file_of(file)->inode, size) != S4_OK)
        return no_memory(file->name, diag);
    file->size = size;
    return S4_OK;
}

static s4_status sync_file(struct store_file *file, struct diag *diag)
{
    struct sim_file *f = file_of(file);
    s4_status status = begin_file(file, false, diag);
    if (status == S4_OK)
        sim_inode_sync(f->inode);
    else if (status == S4_IO)
        file->failed = f->inode->doubt = true;
    return status;
}

static void close_file(struct store_file *file)
{
    struct sim_file *f = file_of(file);
    if (f->crashes == sim_of(file->store)->crashes)
        f->inode->open = false;
    sim_inode_release(f->inode);
    mem_free(f);
}

static const struct store_ops sim_ops = {
    .open = open_file,
    .rename = rename_file,
    .remove = remove_file,
    .list = list_files,
    .sync = sync_names,
    .destroy = destroy,
    .append = append,
    .read = read_at,
    .cut = cut,
    .sync_file = sync_file,
    .close = close_file,
};

/* ---- the simulation ------------------------------------------------------------------------ */

s4_status store_sim_create(const struct store_sim_options *options, struct store **store)
{
    struct store_sim *sim = mem_zalloc(sizeof *sim);
    if (!sim)
        return S4_NO_MEMORY;
    sim->store.ops = &sim_ops;
    sim->options = *options;
    sim_disk_init(&sim->disk, options->seed);
    rng_init(&sim->rng, ~options->seed);
    *store = &sim->store;
    return S4_OK;
}

void store_sim_crash(struct store *store)
{
    struct store_sim *sim = sim_of(store);
    sim_disk_crash(&sim->disk);
    sim->crashes++;
    sim->off = false;
}

void store_sim_set_rate(struct store *store, enum store_fault fault, uint32_t one_in)
{
    sim_of(store)->rates[fault] = one_in;
}

void store_sim_plan(struct store *store, enum store_fault fault, uint64_t call)
{
    struct store_sim *sim = sim_of(store);
    sim->planned = fault;
    sim->planned_at = call;
}

uint64_t store_sim_calls(const struct store *store)
{
    return sim_of_const(store)->calls;
}

uint64_t store_sim_faults(const struct store *store, enum store_fault fault)
{
    return sim_of_const(store)->faults[fault];
}
