/* A limit on the connections of a listener: at the limit the kernel drops whoever wants to connect,
 * unseen and without a cost in memory or descriptors, until an eighth of them has left. Who is
 * connected notices nothing; who is not tries again, as TCP does.
 *
 * It is fed with the events of the socket's monitor, by the thread that reads them. Connections by
 * ipc are not counted: a directory's mode is their limit.
 */
#ifndef RUNTIME_NET_GATE_H
#define RUNTIME_NET_GATE_H

#include "runtime/base/base.h"

#define GATE_MAX 4096 /* connections by tcp of one listener */

struct gate {
    int listener;       /* descriptor, borrowed from ZeroMQ; -1: not known yet */
    uint32_t open;      /* connections, those that have not shaken hands included */
    uint32_t most;      /* 0: GATE_MAX, or half of the descriptors that the process may have */
    bool shut;          /* nobody is let in */
    uint64_t shut_ever; /* how often that began */
};

#define GATE_EVENTS (ZMQ_EVENT_LISTENING | ZMQ_EVENT_ACCEPTED | ZMQ_EVENT_DISCONNECTED)

void gate_init(struct gate *gate, uint32_t most);
/* An event of the monitor: number, value, address. Others than GATE_EVENTS are ignored. */
void gate_note(struct gate *gate, uint16_t event, int32_t value, const char *address);

#endif
