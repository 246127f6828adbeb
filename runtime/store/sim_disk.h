/* What a simulated store writes to: files and their names, with what is certain of each, and what a
 * crash makes of the rest. It knows no handle and no fault: that is store_sim.c. One thread. */
#ifndef RUNTIME_STORE_SIM_DISK_H
#define RUNTIME_STORE_SIM_DISK_H

#include "runtime/base/buffer.h"
#include "runtime/base/rng.h"
#include "runtime/store/store.h"

#define SIM_SECTOR 512 /* what a device writes whole */

/* A file, whatever it is called. */
struct sim_inode {
    uint32_t holds; /* names, steps that could be undone, handles */
    bool open;
    bool doubt; /* a sync failed: what is behind `certain` is never saved */
    struct buffer data;
    size_t certain;       /* bytes of `data` that a crash leaves alone */
    struct buffer behind; /* what the device still has behind them, cut since the last sync */
};

struct sim_name {
    struct sim_inode *inode; /* held */
    char name[STORE_NAME_MAX + 1];
};

/* A step since the names were synced: enough to undo it. */
struct sim_change {
    struct sim_name gone[2]; /* what was called so before; NULL inodes: nothing */
    struct sim_name come;    /* what is called so since */
};

struct sim_disk {
    struct rng rng;
    struct sim_name *names; /* in order */
    size_t n_names, names_capacity;
    struct sim_change *changes; /* oldest first */
    size_t n_changes, changes_capacity;
};

void sim_disk_init(struct sim_disk *disk, uint64_t seed);
void sim_disk_fini(struct sim_disk *disk);

struct sim_inode *sim_disk_find(const struct sim_disk *disk, const char *name); /* borrowed */
s4_status sim_disk_make(struct sim_disk *disk, const char *name,
                        struct sim_inode **inode) MUST_USE; /* borrowed */
s4_status sim_disk_rename(struct sim_disk *disk, const char *from, const char *to) MUST_USE;
s4_status sim_disk_remove(struct sim_disk *disk, const char *name) MUST_USE;
void sim_disk_sync(struct sim_disk *disk);
/* Everything that is not certain is drawn; then all that is there is certain, and nothing open. */
void sim_disk_crash(struct sim_disk *disk);
uint64_t sim_disk_bytes(const struct sim_disk *disk); /* of all files that have a name */

void sim_inode_hold(struct sim_inode *inode);
void sim_inode_release(struct sim_inode *inode); /* NULL is fine */
s4_status sim_inode_cut(struct sim_inode *inode, size_t size) MUST_USE;
void sim_inode_sync(struct sim_inode *inode);

#endif
