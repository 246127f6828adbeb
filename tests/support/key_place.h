/* A directory of keys under a test, removed with it. Aborts on any error. */
#ifndef TESTS_SUPPORT_KEY_PLACE_H
#define TESTS_SUPPORT_KEY_PLACE_H

#include "runtime/net/keyring.h"

struct key_place {
    char dir[64];
};

void key_place_open(struct key_place *place);
void key_place_close(struct key_place *place);

/* A new pair: its secret lies in the directory, its public key in the folder of its role. */
void key_place_draw(const struct key_place *place, enum keyring_role role, const char *name);
/* Takes a public key over from another directory, and away. */
void key_place_admit(const struct key_place *place, enum keyring_role role, const char *name,
                     const struct key_place *from);
void key_place_revoke(const struct key_place *place, enum keyring_role role, const char *name);

/* The keys as `name` has them. */
struct keyring *key_place_ring(const struct key_place *place, const char *name);

#endif
