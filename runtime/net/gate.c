/* A limit on connections; see the header.
 *
 * ZeroMQ accepts as long as there are descriptors, and then spins; to unbind would end every
 * connection. So the listening socket itself gets a packet filter that keeps nothing: the SYN of
 * who is not connected yet is dropped. What is connected has sockets of its own.
 */
#include "runtime/net/gate.h"

#include <linux/filter.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <zmq.h>

void gate_init(struct gate *gate, uint32_t most)
{
    struct rlimit limit;
    uint64_t files = getrlimit(RLIMIT_NOFILE, &limit) == 0 ? limit.rlim_cur : 1024;
    if (most == 0)
        most = (uint32_t)size_max(1, size_min(GATE_MAX, files / 2));
    *gate = (struct gate){ .listener = -1, .most = most };
}

static void shut(struct gate *gate)
{
    struct sock_filter nothing = BPF_STMT(BPF_RET | BPF_K, 0);
    struct sock_fprog program = { .len = 1, .filter = &nothing };
    if (setsockopt(gate->listener, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof program) != 0)
        return; /* tried again with the next one */
    gate->shut = true;
    gate->shut_ever++;
}

static void reopen(struct gate *gate)
{
    int unused = 0;
    gate->shut =
        setsockopt(gate->listener, SOL_SOCKET, SO_DETACH_FILTER, &unused, sizeof unused) != 0;
}

void gate_note(struct gate *gate, uint16_t event, int32_t value, const char *address)
{
    if (strncmp(address, "tcp://", strlen("tcp://")) != 0)
        return;
    if (event == ZMQ_EVENT_LISTENING)
        gate->listener = value;
    else if (event == ZMQ_EVENT_ACCEPTED)
        gate->open++;
    else if (event == ZMQ_EVENT_DISCONNECTED && gate->open > 0)
        gate->open--;
    if (gate->listener < 0)
        return;
    if (!gate->shut && gate->open >= gate->most)
        shut(gate);
    else if (gate->shut && gate->open <= gate->most - (gate->most + 7) / 8)
        reopen(gate);
}
