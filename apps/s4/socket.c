/* Sockets between nodes, for control; see the header. */
#include "apps/s4/socket.h"

#include <zmq.h>

#include "router/client/control.h"
#include "runtime/net/secure.h"

s4_status socket_open(void *socket, struct keyring *ring, const char *name, const char *uri,
                      struct diag *diag)
{
    const int linger_ms = 0;
    const int backoff_ms = 1000;
    const int64_t largest = (int64_t)CONTROL_MESSAGE_MAX;
    struct address address;
    TRY(address_read(uri, ADDRESS_REACH, ring, &address, diag));
    TRY(secure_limits(socket, &address, diag));
    if (ring && address.tcp)
        TRY(secure_connect(socket, ring, name, 0, NULL, diag));
    zmq_setsockopt(socket, ZMQ_LINGER, &linger_ms, sizeof linger_ms);
    zmq_setsockopt(socket, ZMQ_RECONNECT_IVL_MAX, &backoff_ms, sizeof backoff_ms);
    zmq_setsockopt(socket, ZMQ_MAXMSGSIZE, &largest, sizeof largest);
    if (zmq_connect(socket, address.uri) == 0)
        return S4_OK;
    return diag_set(diag, S4_INVALID, "%s: %s", uri, zmq_strerror(zmq_errno()));
}
