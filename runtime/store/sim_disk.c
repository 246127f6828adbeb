/* The disk of a simulated store; see the header.
 *
 * A file's bytes:
 *
 *      data    [ certain ......... | not synced ... ]
 *      device  [ certain ......... | behind ... ]        only after a cut
 *
 * A crash draws one of the two rows, and of `not synced` how far it came and which of its sectors
 * read as zeros.
 *
 * Names are a list, and a list of steps that lead to it from the names that are certain. A crash
 * undoes a drawn number of the latest steps: journals of file systems keep their order. Undoing
 * needs no memory: the list was as long before.
 */
#include "runtime/store/sim_disk.h"

#include "runtime/base/mem.h"

/* ---- files --------------------------------------------------------------------------------- */

void sim_inode_hold(struct sim_inode *inode)
{
    inode->holds++;
}

void sim_inode_release(struct sim_inode *inode)
{
    if (!inode || --inode->holds > 0)
        return;
    buffer_fini(&inode->data);
    buffer_fini(&inode->behind);
    mem_free(inode);
}

s4_status sim_inode_cut(struct sim_inode *inode, size_t size)
{
    if (size < inode->certain) {
        struct buffer behind;
        buffer_init(&behind);
        s4_status status = buffer_append(&behind, inode->data.data + size, inode->certain - size);
        if (status == S4_OK)
            status = buffer_append(&behind, inode->behind.data, inode->behind.size);
        if (status != S4_OK) {
            buffer_fini(&behind);
            return status;
        }
        buffer_fini(&inode->behind);
        inode->behind = behind;
        inode->certain = size;
    }
    inode->data.size = size;
    if (size == inode->certain)
        inode->doubt = false;
    return S4_OK;
}

void sim_inode_sync(struct sim_inode *inode)
{
    if (inode->doubt)
        return;
    inode->certain = inode->data.size;
    buffer_clear(&inode->behind);
}

/* Some of the sectors in [from, to) were allotted, but not written. */
static void lose_sectors(struct rng *rng, char *data, size_t from, size_t to)
{
    for (size_t at = from, next; at < to; at = next) {
        next = size_min(to, (at / SIM_SECTOR + 1) * SIM_SECTOR);
        if (rng_below(rng, 4) == 0)
            memset(data + at, 0, next - at);
    }
}

static void settle_inode(struct sim_inode *inode, struct rng *rng)
{
    struct buffer *data = &inode->data;
    if (inode->behind.size > 0 && rng_below(rng, 2) == 0) {
        CHECK(inode->certain + inode->behind.size <= data->capacity); /* it lay there once */
        memcpy(data->data + inode->certain, inode->behind.data, inode->behind.size);
        data->size = inode->certain + inode->behind.size;
    } else if (data->size > inode->certain) {
        data->size = inode->certain + rng_below(rng, data->size - inode->certain + 1);
        if (rng_below(rng, 2) == 0)
            lose_sectors(rng, data->data, inode->certain, data->size);
    }
    inode->certain = data->size;
    buffer_clear(&inode->behind);
    inode->doubt = false;
    inode->open = false;
}

/* ---- names --------------------------------------------------------------------------------- */

/* Where a name is, or belongs. */
static size_t place_of(const struct sim_disk *disk, const char *name)
{
    size_t low = 0, high = disk->n_names;
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        if (strcmp(disk->names[mid].name, name) < 0)
            low = mid + 1;
        else
            high = mid;
    }
    return low;
}

struct sim_inode *sim_disk_find(const struct sim_disk *disk, const char *name)
{
    size_t at = place_of(disk, name);
    return at < disk->n_names && strcmp(disk->names[at].name, name) == 0 ? disk->names[at].inode
                                                                         : NULL;
}

static struct sim_name name_of(struct sim_inode *inode, const char *name)
{
    struct sim_name result = { .inode = inode };
    if (inode) {
        memcpy(result.name, name, strlen(name) + 1);
        sim_inode_hold(inode);
    }
    return result;
}

/* There is room, and no such name; the hold goes along. */
static void insert(struct sim_disk *disk, const struct sim_name *name)
{
    size_t at = place_of(disk, name->name);
    memmove(&disk->names[at + 1], &disk->names[at], (disk->n_names - at) * sizeof *disk->names);
    disk->names[at] = *name;
    disk->n_names++;
}

static void erase(struct sim_disk *disk, const char *name)
{
    size_t at = place_of(disk, name);
    sim_inode_release(disk->names[at].inode);
    disk->n_names--;
    memmove(&disk->names[at], &disk->names[at + 1], (disk->n_names - at) * sizeof *disk->names);
}

/* Room for one more name and one more step. */
static bool reserve(struct sim_disk *disk)
{
    void *names = disk->names, *changes = disk->changes;
    bool ok = mem_grow(&names, &disk->names_capacity, disk->n_names + 1, sizeof *disk->names);
    disk->names = names;
    ok = ok &&
         mem_grow(&changes, &disk->changes_capacity, disk->n_changes + 1, sizeof *disk->changes);
    disk->changes = changes;
    return ok;
}

/* Does a step, and keeps what undoes it. */
static void change(struct sim_disk *disk, const struct sim_change *step)
{
    for (int i = 0; i < 2; i++)
        if (step->gone[i].inode)
            erase(disk, step->gone[i].name);
    if (step->come.inode) {
        insert(disk, &step->come);
        sim_inode_hold(step->come.inode);
    }
    disk->changes[disk->n_changes++] = *step;
}

static void undo(struct sim_disk *disk)
{
    struct sim_change *step = &disk->changes[--disk->n_changes];
    if (step->come.inode) {
        erase(disk, step->come.name);
        sim_inode_release(step->come.inode);
    }
    for (int i = 0; i < 2; i++)
        if (step->gone[i].inode)
            insert(disk, &step->gone[i]);
}

s4_status sim_disk_make(struct sim_disk *disk, const char *name, struct sim_inode **inode)
{
    struct sim_inode *made = mem_zalloc(sizeof *made);
    if (!made || !reserve(disk)) {
        mem_free(made);
        return S4_NO_MEMORY;
    }
    struct sim_change step = { .come = name_of(made, name) };
    change(disk, &step);
    *inode = made;
    return S4_OK;
}

s4_status sim_disk_rename(struct sim_disk *disk, const char *from, const char *to)
{
    struct sim_inode *inode = sim_disk_find(disk, from);
    if (strcmp(from, to) == 0)
        return S4_OK;
    if (!reserve(disk))
        return S4_NO_MEMORY;
    struct sim_change step = {
        .gone = { name_of(inode, from), name_of(sim_disk_find(disk, to), to) },
        .come = name_of(inode, to),
    };
    change(disk, &step);
    return S4_OK;
}

s4_status sim_disk_remove(struct sim_disk *disk, const char *name)
{
    if (!reserve(disk))
        return S4_NO_MEMORY;
    struct sim_change step = { .gone = { name_of(sim_disk_find(disk, name), name) } };
    change(disk, &step);
    return S4_OK;
}

void sim_disk_sync(struct sim_disk *disk)
{
    while (disk->n_changes > 0) {
        struct sim_change *step = &disk->changes[--disk->n_changes];
        sim_inode_release(step->gone[0].inode);
        sim_inode_release(step->gone[1].inode);
        sim_inode_release(step->come.inode);
    }
}

/* ---- the whole ----------------------------------------------------------------------------- */

void sim_disk_crash(struct sim_disk *disk)
{
    size_t kept = rng_below(&disk->rng, disk->n_changes + 1);
    while (disk->n_changes > kept)
        undo(disk);
    sim_disk_sync(disk);
    for (size_t i = 0; i < disk->n_names; i++)
        settle_inode(disk->names[i].inode, &disk->rng);
}

uint64_t sim_disk_bytes(const struct sim_disk *disk)
{
    uint64_t bytes = 0;
    for (size_t i = 0; i < disk->n_names; i++)
        bytes += disk->names[i].inode->data.size;
    return bytes;
}

void sim_disk_init(struct sim_disk *disk, uint64_t seed)
{
    *disk = (struct sim_disk){ 0 };
    rng_init(&disk->rng, seed);
}

void sim_disk_fini(struct sim_disk *disk)
{
    sim_disk_sync(disk);
    for (size_t i = 0; i < disk->n_names; i++)
        sim_inode_release(disk->names[i].inode);
    mem_free(disk->names);
    mem_free(disk->changes);
}
