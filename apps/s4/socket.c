/* Sockets between nodes, for control; see the header. */
#include "apps/s4/socket.h"

#include <zmq.h>

#include "router/client/control.h"

s4_status socket_open(void *socket, const char *uri)
{
    const int linger_ms = 0;
    const int backoff_ms = 1000;
    const int64_t largest = (int64_t)CONTROL_MESSAGE_MAX;
    zmq_setsockopt(socket, ZMQ_LINGER, &linger_ms, sizeof linger_ms);
    zmq_setsockopt(socket, ZMQ_RECONNECT_IVL_MAX, &backoff_ms, sizeof backoff_ms);
    zmq_setsockopt(socket, ZMQ_MAXMSGSIZE, &largest, sizeof largest);
    return zmq_connect(socket, uri) == 0 ? S4_OK : S4_INVALID;
}
