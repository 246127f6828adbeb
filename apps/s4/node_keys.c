/* A node's keys, and who may talk to its socket for clients.
 *
 * By ipc: who may use its directory. By tcp without keys: every user of this machine, and nobody
 * else. With keys: clients and nodes of the directory, whose keys the handshake has proved; each
 * request is looked at once more, since a key may be removed while its connection lives.
 */
#include "apps/s4/exit.h"
#include "apps/s4/node.h"
#include "apps/s4/say.h"

int node_keys_open(struct node *node, const char *dir, const char *secret)
{
    struct diag diag = { 0 };
    if (!dir)
        return EXIT_DONE;
    s4_status status = keyring_open(dir, secret, &node->ring, &diag);
    if (status == S4_OK)
        return EXIT_DONE;
    say_error("%s", diag.text);
    return EXIT_FAILED;
}

/* The handler's thread. */
static void stranger_came(void *user, const char *text)
{
    struct node *node = user;
    alarms_raise(&node->alarms, "clients", text);
}

s4_status node_keys_guard(struct node *node, const struct address *address, struct diag *diag)
{
    TRY(secure_limits(node->socket, address, diag));
    if (!node->ring)
        return S4_OK;
    struct zap_options options = {
        .context = node->context, .ring = node->ring, .report = stranger_came, .user = node
    };
    TRY(zap_start(&options, &node->zap, diag));
    return secure_listen(node->socket, node->ring, ZAP_CLIENTS, diag);
}

s4_status node_keys_unguard(struct node *node, struct diag *diag)
{
    return node->zap ? secure_listen_local(node->socket, diag) : S4_OK;
}

struct node_sender node_keys_sender(zmq_msg_t *message)
{
    struct node_sender sender = { .local = secure_is_local(message) };
    sender.keyed = secure_sender(message, sender.key);
    return sender;
}

bool node_keys_admit(const struct node *node, const struct node_sender *sender)
{
    if (!node->zap || sender->local)
        return true;
    return sender->keyed && (keyring_find(node->ring, KEYRING_CLIENT, sender->key, NULL) ||
                             keyring_find(node->ring, KEYRING_NODE, sender->key, NULL));
}
