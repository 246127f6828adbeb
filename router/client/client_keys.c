/* A client's keys: CURVE on its socket, and what the socket's monitor tells of handshakes.
 *
 * ZeroMQ tries a refused handshake again for ever without a word. Its monitor tells a key that is
 * not admitted, and that one side has keys and the other none; another key of the node than was
 * expected it tells as a connection that ends, which also a node does that goes down.
 */
#include "router/client/client_internal.h"

#include <zmq.h>

#include "runtime/net/secure.h"

#define FAILURES_MAX 3 /* that end without a word, before the node's key is taken to be another */
#define EVENTS                                                                    \
    (ZMQ_EVENT_HANDSHAKE_FAILED_NO_DETAIL | ZMQ_EVENT_HANDSHAKE_FAILED_PROTOCOL | \
     ZMQ_EVENT_HANDSHAKE_FAILED_AUTH)

s4_status client_keys_open(s4_client *client, const s4_client_options *options)
{
    const char *keys = endpoint_keys(options->keys);
    struct diag *diag = &client->diag;
    if (client->endpoint.socket[0] || !keys)
        return S4_OK;
    if (options->server) {
        if (strlen(options->server) > CURVE_NAME_MAX)
            return diag_set(diag, S4_INVALID, "'%s' is no node's name", options->server);
        snprintf(client->server, sizeof client->server, "%s", options->server);
    }
    return keyring_open(keys, options->secret, &client->ring, diag);
}

/* The name of a watch is free again only some time after it ended: each has its own. */
static s4_status watch(s4_client *client)
{
    char endpoint[40];
    int linger_ms = 0;
    snprintf(endpoint, sizeof endpoint, "inproc://handshakes-%u", ++client->watches);
    client->monitor = zmq_socket(client->context, ZMQ_PAIR);
    if (client->monitor &&
        zmq_setsockopt(client->monitor, ZMQ_LINGER, &linger_ms, sizeof linger_ms) == 0 &&
        zmq_socket_monitor(client->socket, endpoint, EVENTS) == 0 &&
        zmq_connect(client->monitor, endpoint) == 0)
        return S4_OK;
    return diag_set(&client->diag, S4_IO, "cannot watch a socket: %s", zmq_strerror(zmq_errno()));
}

s4_status client_keys_guard(s4_client *client, uint32_t turn)
{
    struct address address;
    if (client->endpoint.socket[0])
        return S4_OK;
    TRY(address_read(client->endpoint.uri, ADDRESS_REACH, client->ring, &address, &client->diag));
    TRY(secure_limits(client->socket, &address, &client->diag));
    if (client->ring)
        TRY(secure_connect(client->socket, client->ring, *client->server ? client->server : NULL,
                           turn, NULL, &client->diag));
    client->failures = 0;
    return watch(client);
}

static s4_status not_admitted(s4_client *client)
{
    return diag_set(&client->diag, S4_PERMISSION,
                    "the node at %s does not admit the key of %s; wanted its file %s.public among "
                    "the keys of the node, in the folder clients",
                    client->endpoint.uri, client->ring ? keyring_own(client->ring)->name : "nobody",
                    client->ring ? keyring_own(client->ring)->name : "NAME");
}

static s4_status other_kind(s4_client *client)
{
    if (client->ring)
        return diag_set(&client->diag, S4_PERMISSION,
                        "what listens at %s has no keys, or is no node; it is not talked to with "
                        "the keys of %s",
                        client->endpoint.uri, keyring_dir(client->ring));
    return diag_set(&client->diag, S4_PERMISSION,
                    "the node at %s wants keys, or it is no node; give them with --keys or "
                    "$S4_KEYS",
                    client->endpoint.uri);
}

static s4_status other_key(s4_client *client)
{
    return diag_set(&client->diag, S4_END,
                    "the node at %s has not the key of %s that is in %s/nodes, or it cannot answer",
                    client->endpoint.uri, *client->server ? client->server : "the node",
                    keyring_dir(client->ring));
}

s4_status client_keys_look(s4_client *client)
{
    unsigned char bytes[6];
    char address[ENDPOINT_TEXT_MAX];
    uint16_t event;
    s4_status status = S4_OK;
    while (client->monitor && status == S4_OK &&
           zmq_recv(client->monitor, bytes, sizeof bytes, ZMQ_DONTWAIT) == sizeof bytes) {
        memcpy(&event, bytes, sizeof event);
        (void)zmq_recv(client->monitor, address, sizeof address, ZMQ_DONTWAIT);
        if (event == ZMQ_EVENT_HANDSHAKE_FAILED_AUTH)
            status = not_admitted(client);
        else if (event == ZMQ_EVENT_HANDSHAKE_FAILED_PROTOCOL)
            status = other_kind(client);
        else if (client->ring && ++client->failures == FAILURES_MAX && !client->release[0])
            status = other_key(client);
    }
    return status;
}

void client_keys_close_socket(s4_client *client)
{
    if (client->monitor) {
        zmq_socket_monitor(client->socket, NULL, 0);
        zmq_close(client->monitor);
    }
    if (client->socket)
        zmq_close(client->socket);
    client->socket = client->monitor = NULL;
}
