/* Addresses of nodes, read strictly, and the one rule about them: without keys only this machine
 * may be listened on or reached.
 *
 *     ipc://PATH               a socket of this machine: who may use it is for its directory's mode
 *     tcp://127.0.0.1:PORT     127.0.0.0/8, [::1] and `localhost` (which is 127.0.0.1 here, and
 *                              never looked up): this machine, any of its users
 *     tcp://HOST:PORT          anywhere: with keys only. IPv4, [IPv6]; a name, to be reached but
 *                              not to be listened on: it may resolve to anybody, the key says who
 *                              it is
 *
 * A listener's port may be `*` or 0 (any free one), its host `*` (every interface), its path `*`.
 * No state; any thread.
 */
#ifndef RUNTIME_NET_ADDRESS_H
#define RUNTIME_NET_ADDRESS_H

#include "runtime/base/diag.h"

#define ADDRESS_TEXT_MAX 255 /* bytes */

enum address_use { ADDRESS_LISTEN, ADDRESS_REACH };

struct address {
    char uri[ADDRESS_TEXT_MAX + 1]; /* as ZeroMQ wants it */
    bool tcp;
    bool local; /* this machine only */
    bool v6;
};

/* S4_INVALID: no address; S4_TOO_LARGE; S4_PERMISSION: not of this machine, and not `keyed`. */
s4_status address_read(const char *text, enum address_use use, bool keyed, struct address *address,
                       struct diag *diag) MUST_USE;

#endif
