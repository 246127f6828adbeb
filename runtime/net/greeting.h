/* Who speaks to whom: what HELLO and WELCOME say about the two nodes, and whether they may talk.
 * Pure functions. */
#ifndef RUNTIME_NET_GREETING_H
#define RUNTIME_NET_GREETING_H

#include "runtime/net/envelope.h"

/* A node, as it tells others. */
struct self {
    char name[ENVELOPE_NAME_MAX + 1];
    uint64_t cluster;
    uint64_t incarnation; /* drawn at each start; 0: not known yet, so it talks to nobody */
};

/* Fills in the speaker; the name stays self's, and is not written to. */
void greeting_sign(Envelope *envelope, struct self *self);
/* Acceptor: may whoever says this HELLO talk to this node? The diag names what is not as it should
 * be, with both values. S4_AGAIN: not now. */
s4_status greeting_check_hello(const struct self *self, const Envelope *hello,
                               struct diag *diag) MUST_USE;
/* Opener: is it who was meant? `name` "": any; `incarnation` 0: any. */
s4_status greeting_check_welcome(const struct self *self, const char *name, uint64_t incarnation,
                                 const Envelope *welcome, struct diag *diag) MUST_USE;
/* Either: is the name that it says that of the key which it came with? `proved` as of
 * transport_peer_name. S4_PERMISSION. */
s4_status greeting_check_name(const char *proved, const Envelope *envelope,
                              struct diag *diag) MUST_USE;

#endif
