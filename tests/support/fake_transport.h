/* A transport that sends nowhere and remembers what was last sent: for tests that play the other
 * side of a session by hand. */
#ifndef TESTS_SUPPORT_FAKE_TRANSPORT_H
#define TESTS_SUPPORT_FAKE_TRANSPORT_H

#include "runtime/net/envelope.h"

#define FAKE_PEER 1 /* the number of its only peer */

struct fake_transport {
    struct transport transport;
    s4_status status;                   /* of the next sends */
    unsigned refusals;                  /* so many sends are put off first */
    uint64_t sent;                      /* messages taken */
    char bytes[TRANSPORT_ENVELOPE_MAX]; /* the last envelope */
    size_t size;
    struct envelope_arena arena;
    const Envelope *last; /* the same, read; NULL: none yet */
};

void fake_transport_init(struct fake_transport *fake);

#endif
