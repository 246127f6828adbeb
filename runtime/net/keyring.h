/* The keys of a cluster, as one of its nodes or clients has them: its own pair, and whom it knows.
 *
 *     DIR/NAME.secret            one's own (curve_file.h)
 *     DIR/nodes/NAME.public      the nodes: their names in the cluster are these
 *     DIR/clients/NAME.public    who may talk to a node as a client
 *
 * The directories are read again when they changed: a file that goes is a key that is revoked. A
 * file that is changed in place does not change its directory; a new one is moved over it. A file
 * that cannot be read is one that is not there, and is complained of.
 *
 * Any thread, but keyring_close.
 */
#ifndef RUNTIME_NET_KEYRING_H
#define RUNTIME_NET_KEYRING_H

#include "runtime/net/curve_file.h"

#define KEYRING_MAX 1024 /* names of one role */

enum keyring_role { KEYRING_NODE, KEYRING_CLIENT };
#define KEYRING_ROLES 2

struct keyring;

/* Reads a directory; *ring is the caller's to keyring_close. `secret`: the file of one's own pair;
 * NULL: the only one in the directory. Here a file that cannot be read is an error. */
s4_status keyring_open(const char *dir, const char *secret, struct keyring **ring,
                       struct diag *diag) MUST_USE;
void keyring_close(struct keyring *ring); /* NULL is fine */

/* Borrowed, and never changed. */
const struct curve_pair *keyring_own(const struct keyring *ring);
const char *keyring_dir(const struct keyring *ring);

/* Whose key this is, in that role; false: nobody's. `name` may be NULL. */
bool keyring_find(struct keyring *ring, enum keyring_role role, const uint8_t key[CURVE_BYTES],
                  char name[CURVE_NAME_MAX + 1]) MUST_USE;

/* A key of the node `name`; NULL: of the only node there is. A node may have several: the next one
 * for the next `turn`. S4_NOT_FOUND: there is none, or it is not clear which node is meant. */
s4_status keyring_of_node(struct keyring *ring, const char *name, uint64_t turn,
                          uint8_t key[CURVE_BYTES], struct diag *diag) MUST_USE;

/* Reads again what changed; the diag tells of a file that is left out (S4_OK all the same: a bad
 * file must not keep another key from being revoked). Errors leave everything as it was. */
s4_status keyring_refresh(struct keyring *ring, bool *complaint, struct diag *diag) MUST_USE;

/* Counts the changes: who admitted somebody under one number asks again under the next. */
uint64_t keyring_version(const struct keyring *ring);

#endif
