/* The inside of the ZeroMQ transport: transport_zmq.c (sockets, sending, stepping),
 * transport_zmq_receive.c (messages that come in), transport_zmq_monitor.c (which connections are
 * alive), transport_zmq_keys.c (whose they are). */
#ifndef RUNTIME_NET_TRANSPORT_ZMQ_IMPL_H
#define RUNTIME_NET_TRANSPORT_ZMQ_IMPL_H

#include "runtime/net/gate.h"
#include "runtime/net/secure.h"
#include "runtime/net/transport_zmq.h"

#define ROUTE_MAX 255 /* bytes of a ROUTER's routing id */

enum zpeer_state {
    ZPEER_CONNECTING, /* DEALER: not up yet */
    ZPEER_UP,
    ZPEER_CLOSING, /* the connection is gone; what it sent before may still have to be read */
    ZPEER_DEAD,    /* ended from here; ROUTER: what still comes is dropped until it is gone */
};

/* What is known of a socket without asking it: every question is two system calls. */
struct zwatch {
    int fd;
    bool ready; /* it may have something: its descriptor was readable, or it had something before */
    bool doubt; /* it was sent to, which may have taken in what the descriptor would have told */
};

struct zpeer {
    uint64_t number; /* what the user knows it by; 0: free */
    enum zpeer_state state;
    void *dealer;  /* own socket; NULL: it came in by the ROUTER */
    void *monitor; /* of the DEALER */
    struct zwatch watch, monitor_watch;
    int fd;       /* ROUTER: of its connection */
    bool drained; /* DEALER: nothing was there to read after it closed */
    bool gone;    /* ROUTER, dead: so is its connection; what it sent is still to be read */
    uint8_t route_size;
    uint8_t route[ROUTE_MAX];
    uint32_t failures; /* DEALER: handshakes that ended without a word */
    bool keyed;        /* its key is known, and in the keyring when it was looked for last */
    uint8_t key[CURVE_BYTES];
    char name[CURVE_NAME_MAX + 1]; /* that key's */
    char reason[64];               /* why it closed */
};

struct transport_zmq {
    struct transport transport;
    struct transport_zmq_options options;
    void *context;
    void *router; /* NULL: not bound */
    void *router_monitor;
    struct gate gate; /* of who connects to it */
    struct zwatch router_watch, router_monitor_watch;
    struct zpeer **peers; /* owned; by slot, NULL: free */
    size_t count, capacity;
    uint64_t numbers;  /* peers so far */
    uint64_t monitors; /* monitors so far: their names */
    struct zap *zap;   /* of its own context */
    uint64_t ring_version;
    uint64_t *alive; /* ROUTER's connections: bit fd */
    size_t alive_words;
    size_t turn;     /* where the next step begins to read */
    uint32_t unseen; /* steps since it was last looked at the descriptors */
};

s4_status zpeer_add(struct transport_zmq *zmq, struct zpeer **peer) MUST_USE;
/* Ends a peer from here and tells the user why. */
void zpeer_close_for(struct transport_zmq *zmq, struct zpeer *peer, const char *reason);

/* transport_zmq_keys.c; all of them do nothing without keys. */
s4_status zkeys_open(struct transport_zmq *zmq, struct diag *diag) MUST_USE;
s4_status zkeys_bind(struct transport_zmq *zmq, struct diag *diag) MUST_USE;
s4_status zkeys_connect(struct transport_zmq *zmq, struct zpeer *peer, const char *name,
                        struct diag *diag) MUST_USE;
/* Whose key the first message of a connection proves; false: nobody's any more. */
bool zkeys_accept(struct transport_zmq *zmq, struct zpeer *peer, zmq_msg_t *message) MUST_USE;
/* Ends the connections of keys that were revoked; how many. */
size_t zkeys_step(struct transport_zmq *zmq);
/* A DEALER's handshake failed (a monitor's event): closes the peer if it will not get better. */
bool zkeys_failed(struct transport_zmq *zmq, struct zpeer *peer, uint16_t event);
const char *zkeys_peer_name(struct transport *transport, uint64_t number);
struct zpeer *zpeer_find(const struct transport_zmq *zmq, uint64_t number);

/* One message handed up; false: there was none. */
bool zreceive_router(struct transport_zmq *zmq);
bool zreceive_dealer(struct transport_zmq *zmq, struct zpeer *peer); /* NULL is fine */

/* Has the waker watch a socket; what it may have already is looked for. */
s4_status zwatch_open(struct transport_zmq *zmq, void *socket, struct zwatch *watch) MUST_USE;

/* Starts to watch a socket's connections. */
s4_status zmonitor_open(struct transport_zmq *zmq, void *socket, void **monitor,
                        struct zwatch *watch) MUST_USE;
void zmonitor_close(struct transport_zmq *zmq, void *socket, void *monitor);
/* Reads what monitors say: peers come up or start to close. Returns how many events counted. */
size_t zmonitor_step(struct transport_zmq *zmq);
void zmonitor_read_router(struct transport_zmq *zmq);
bool zmonitor_is_alive(const struct transport_zmq *zmq, int fd);

#endif
