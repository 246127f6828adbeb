/* Sockets that keys guard; see the header. */
#include "runtime/net/secure.h"

/* From zmq_draft.h: without a handler of handshakes none succeeds. It works by its number. */
#define ZAP_ENFORCE_DOMAIN 93

static bool set_int(void *socket, int option, int value)
{
    return zmq_setsockopt(socket, option, &value, sizeof value) == 0;
}

static s4_status failed(struct diag *diag)
{
    return diag_set(diag, S4_UNSUPPORTED, "cannot guard a socket by keys: %s",
                    zmq_strerror(zmq_errno()));
}

s4_status secure_limits(void *socket, const struct address *address, struct diag *diag)
{
    if (set_int(socket, ZMQ_HANDSHAKE_IVL, SECURE_HANDSHAKE_MS) &&
        set_int(socket, ZMQ_BACKLOG, SECURE_BACKLOG) &&
        (!address->v6 || set_int(socket, ZMQ_IPV6, 1)))
        return S4_OK;
    return diag_set(diag, S4_IO, "cannot set up a socket: %s", zmq_strerror(zmq_errno()));
}

s4_status secure_listen(void *socket, struct keyring *ring, const char *domain, struct diag *diag)
{
    if (set_int(socket, ZMQ_CURVE_SERVER, 1) &&
        zmq_setsockopt(socket, ZMQ_CURVE_SECRETKEY, keyring_own(ring)->secret, CURVE_BYTES) == 0 &&
        zmq_setsockopt(socket, ZMQ_ZAP_DOMAIN, domain, strlen(domain)) == 0 &&
        set_int(socket, ZAP_ENFORCE_DOMAIN, 1))
        return S4_OK;
    return failed(diag);
}

s4_status secure_listen_local(void *socket, struct diag *diag)
{
    return set_int(socket, ZMQ_CURVE_SERVER, 0) ? S4_OK : failed(diag);
}

s4_status secure_connect(void *socket, struct keyring *ring, const char *name, uint64_t turn,
                         uint8_t key[CURVE_BYTES], struct diag *diag)
{
    const struct curve_pair *own = keyring_own(ring);
    uint8_t server[CURVE_BYTES];
    TRY(keyring_of_node(ring, name, turn, server, diag));
    if (zmq_setsockopt(socket, ZMQ_CURVE_SERVERKEY, server, CURVE_BYTES) != 0 ||
        zmq_setsockopt(socket, ZMQ_CURVE_PUBLICKEY, own->public, CURVE_BYTES) != 0 ||
        zmq_setsockopt(socket, ZMQ_CURVE_SECRETKEY, own->secret, CURVE_BYTES) != 0)
        return failed(diag);
    if (key)
        memcpy(key, server, CURVE_BYTES);
    return S4_OK;
}

bool secure_sender(zmq_msg_t *message, uint8_t key[CURVE_BYTES])
{
    const char *user = zmq_msg_gets(message, "User-Id");
    return user && strlen(user) == CURVE_TEXT && zmq_z85_decode(key, user);
}

bool secure_is_local(zmq_msg_t *message)
{
    const char *user = zmq_msg_gets(message, "User-Id");
    return user && strcmp(user, ZAP_LOCAL) == 0;
}
