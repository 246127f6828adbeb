/* Frame 1 as bytes: packing with the seal, and reading what a peer sent.
 *
 * Reading trusts nothing and allocates nothing: the generated struct and its strings lie in an
 * arena that the caller gives, and live as long as it.
 */
#ifndef RUNTIME_NET_ENVELOPE_H
#define RUNTIME_NET_ENVELOPE_H

#include "proto/envelope.pb-c.h"
#include "runtime/base/diag.h"
#include "runtime/net/transport.h"

#define ENVELOPE_VERSION    2
#define ENVELOPE_NAME_MAX   128 /* bytes of a node's or an app's name */
#define ENVELOPE_REASON_MAX 400 /* bytes of a BYE's reason; longer ones are cut */
#define ENVELOPE_ARENA      4096
#define ENVELOPE_LANES_MAX  20 /* lanes in one LANES */
#define ENVELOPE_LANE_SIZE  4  /* numbers for each of them */

typedef S4__Wire__Envelope Envelope;

struct envelope_arena {
    size_t used;
    _Alignas(16) char bytes[ENVELOPE_ARENA];
};

/* A name that may be put on the wire: 1 to ENVELOPE_NAME_MAX of letters, digits, '.', '_', '-',
 * ':'. */
bool envelope_name_valid(const char *name);

/* Packs and seals into `bytes` (TRANSPORT_ENVELOPE_MAX of them); the result is the size. Aborts if
 * it does not fit: every field has its limit. */
size_t envelope_pack(const Envelope *envelope, char *bytes);

/* Checks size, seal and form: fields that the type needs are there, names are valid. Answers
 * S4_CORRUPT (the seal is wrong: damaged on the way) or S4_MALFORMED (sent wrong). */
s4_status envelope_read(const void *bytes, size_t size, struct envelope_arena *arena,
                        const Envelope **envelope, struct diag *diag) MUST_USE;

/* "DATA"; never NULL. */
const char *envelope_type_name(S4__Wire__Envelope__Type type);

#endif
