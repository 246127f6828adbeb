/* The map: which member of the cluster owns which slot, under which version, and which apps run.
 * One value, decided by the leader, the same for everybody who has the same version.
 *
 * A map is a plain value: made by map_create, map_dup or map_unpack, owned by whoever made it, and
 * not changed once others see it. One that came from outside was checked: every index is in range,
 * every slot of a cluster with an active member has an owner, names and incarnations are unique.
 * One thread at a time writes; any thread reads.
 */
#ifndef ROUTER_MAP_MAP_H
#define ROUTER_MAP_MAP_H

#include "runtime/base/base.h"
#include "runtime/base/buffer.h"
#include "runtime/base/diag.h"

#define MAP_MEMBERS_MAX   32
#define MAP_SLOTS_MAX     4096
#define MAP_SLOTS_DEFAULT 64
#define MAP_WORKERS_MAX   64  /* of a member */
#define MAP_APPS_MAX      64  /* that are checked or run */
#define MAP_REFUSALS_MAX  16  /* refused ones that are kept to be read; the oldest goes */
#define MAP_NAME_MAX      64  /* bytes of a member's or an app's name */
#define MAP_ADDRESS_MAX   256 /* bytes of an address */
#define MAP_RELEASE_MAX   64  /* bytes of a release, a version, a build id, a hash, a key */
#define MAP_WHY_MAX       240 /* bytes of a reason; a longer one is cut */
#define MAP_BYTES_MAX     (512 * KIB - 1)

#define MAP_LAYOUT 1    /* of everything in the coordination service */
#define MAP_NOBODY 0xff /* an index that is none */

_Static_assert(MAP_MEMBERS_MAX < MAP_NOBODY, "an index fits in a byte, and nobody's too");

enum map_state {
    MAP_JOINING = 1, /* does not run all bundles yet: gets no slots */
    MAP_ACTIVE,
    MAP_STANDBY,  /* becomes active when an active one dies, or when there is none */
    MAP_DRAINING, /* hands its slots over */
    MAP_UNFIT,    /* cannot load a bundle: gets no slots, and loses those that it has */
};

struct map_member {
    char name[MAP_NAME_MAX + 1];       /* "": nobody has this index */
    char address[MAP_ADDRESS_MAX + 1]; /* where other nodes reach it */
    char clients[MAP_ADDRESS_MAX + 1]; /* where clients do; "": nowhere */
    char release[MAP_RELEASE_MAX + 1];
    char key[MAP_RELEASE_MAX + 1]; /* "": none */
    char why[MAP_WHY_MAX + 1];     /* what makes it unfit; else "" */
    uint64_t incarnation;
    uint64_t since; /* the version at which it got its index */
    uint32_t workers;
    enum map_state state;
};

struct map_slot {
    uint64_t epoch; /* the version at which its owner changed last: it got it, got it back from a
                       move that was called off, or died and nobody took it; 0: never owned */
    uint64_t generation; /* one more each time that it starts empty; 0: never owned */
    uint64_t genesis;    /* the version at which this generation began */
    uint64_t move;       /* the version that ordered the move to `target` */
    uint8_t owner;       /* a member's index, or MAP_NOBODY */
    uint8_t worker;      /* of the owner */
    uint8_t target;      /* where it moves to, or MAP_NOBODY */
    uint8_t target_worker;
};

enum map_phase {
    MAP_CHECK = 1, /* each member checks whether it could run it */
    MAP_RUN,
    MAP_REFUSED, /* a member cannot; kept to be read */
};

struct map_app {
    char name[MAP_NAME_MAX + 1];
    char hash[MAP_RELEASE_MAX + 1]; /* of the bundle's content */
    char version[MAP_RELEASE_MAX + 1];
    char build_id[MAP_RELEASE_MAX + 1];
    char why[MAP_WHY_MAX + 1]; /* of a refused one */
    uint64_t id;               /* of this deployment */
    uint64_t since;            /* the version at which it came to this phase */
    enum map_phase phase;
};

struct map {
    uint64_t cluster;
    uint64_t version;      /* 0: as the cluster was created, nobody has anything */
    uint64_t leader_epoch; /* of the leader that wrote it */
    struct map_member members[MAP_MEMBERS_MAX];
    struct map_app apps[MAP_APPS_MAX + MAP_REFUSALS_MAX]; /* by name, the first n_apps */
    uint32_t n_apps;
    uint32_t n_slots;
    struct map_slot slots[];
};

/* A map of version 0, with no member and no owner. `slots`: 1 to MAP_SLOTS_MAX. */
s4_status map_create(uint64_t cluster, uint32_t slots, struct map **map) MUST_USE;
struct map *map_dup(const struct map *map); /* NULL: out of memory */
/* Makes `to` what `from` is; both have the same number of slots. */
void map_assign(struct map *to, const struct map *from);
void map_destroy(struct map *map); /* NULL is fine */

static inline bool map_member_exists(const struct map *map, uint32_t index)
{
    return index < MAP_MEMBERS_MAX && map->members[index].name[0] != 0;
}
uint32_t map_members_count(const struct map *map);
/* The index of who has this name, whatever the incarnation; MAP_NOBODY. */
uint32_t map_find_member(const struct map *map, const char *name);
/* The index of this very incarnation; MAP_NOBODY: it is no member, or no more. */
uint32_t map_find_incarnation(const struct map *map, uint64_t incarnation);
const struct map_app *map_find_app(const struct map *map, const char *name);
/* How many slots a member owns; `coming`: those that move to it instead of those that leave it. */
uint32_t map_slots_of(const struct map *map, uint32_t index, bool coming);
/* The slot that moves; MAP_SLOTS_MAX: none does. */
uint32_t map_moving(const struct map *map);
/* Equal in everything but version and leader epoch. */
bool map_same(const struct map *a, const struct map *b);

const char *map_state_name(enum map_state state);
const char *map_phase_name(enum map_phase phase);

/* Letters, digits, '.', '_' and '-', up to MAP_NAME_MAX of them, and the first is no '.'. */
bool map_name_valid(const char *name);
/* What is shown to people: at most `max` bytes, and nothing that a terminal acts upon. */
bool map_text_valid(const char *text, size_t max);
/* Cuts and cleans any text to such a one. `out` has max + 1 bytes. */
void map_text_clean(const char *text, size_t max, char *out);

/* Whether it is what the header says; S4_CORRUPT and why. What came from bytes was checked. */
s4_status map_check(const struct map *map, struct diag *diag) MUST_USE;

/* To the end of `out`. S4_TOO_LARGE: over MAP_BYTES_MAX. */
s4_status map_pack(const struct map *map, struct buffer *out) MUST_USE;
/* From bytes that nobody vouches for; S4_CORRUPT, S4_VERSION (of another layout), S4_TOO_LARGE,
 * S4_NO_MEMORY. *map is the caller's. */
s4_status map_unpack(const void *bytes, size_t size, struct map **map, struct diag *diag) MUST_USE;

#endif
