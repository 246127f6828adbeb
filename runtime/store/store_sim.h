/* Files in memory, with what disks do: at a crash, what was not synced may be lost or torn, as
 * runtime/store/store.h says; calls fail, space ends. Everything is drawn from a seed. One thread.
 */
#ifndef RUNTIME_STORE_STORE_SIM_H
#define RUNTIME_STORE_STORE_SIM_H

#include "runtime/store/store.h"

enum store_fault {
    STORE_NO_FAULT,
    STORE_NO_SPACE, /* S4_FULL, where something would grow: opening a new file, append, rename */
    STORE_IO_ERROR, /* S4_IO */
    STORE_OFF,      /* the machine stops: S4_UNAVAILABLE, and so every call until a crash */
    STORE_FAULTS
};

struct store_sim_options {
    uint64_t seed;
    uint64_t bytes_max; /* of the files that have a name; 0: no bound */
};

s4_status store_sim_create(const struct store_sim_options *options, struct store **store) MUST_USE;

/* The machine stopped and is up again. Files that were open are to be closed; all else that is
 * done with them answers S4_STATE. */
void store_sim_crash(struct store *store);

/* A fault for one call in `one_in` (0: none). Closing and asking for the size are no calls. */
void store_sim_set_rate(struct store *store, enum store_fault fault, uint32_t one_in);
/* A fault for the n-th call, counted from 1. */
void store_sim_plan(struct store *store, enum store_fault fault, uint64_t call);
uint64_t store_sim_calls(const struct store *store);                          /* so far */
uint64_t store_sim_faults(const struct store *store, enum store_fault fault); /* so far */

#endif
