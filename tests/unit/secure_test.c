/* Keys on sockets: who gets through to a node's transport, who does not and what is said, revoking,
 * and the handler of handshakes by itself. */
#include "tests/support/suite.h"

#include "runtime/net/secure.h"
#include "runtime/net/transport_zmq.h"
#include "tests/support/key_place.h"

struct seen {
    int connected, closed, received;
    uint64_t peer;
    char name[CURVE_NAME_MAX + 1]; /* that the peer proved */
    char reason[200];
    struct transport *transport;
};

/* A node: its keys, its transport, what it saw. */
struct end {
    struct keyring *ring;
    struct block_pool *pool;
    struct transport *transport;
    struct seen seen;
};

static struct key_place place, elsewhere;
static struct end server, client;

static void on_connected(void *user, uint64_t peer, bool opened)
{
    struct seen *seen = user;
    const char *name = transport_peer_name(seen->transport, peer);
    seen->connected++;
    seen->peer = peer;
    snprintf(seen->name, sizeof seen->name, "%s", name ? name : "");
}

static void on_received(void *user, uint64_t peer, const void *envelope, size_t size,
                        struct block *block)
{
    struct seen *seen = user;
    seen->received++;
    if (block)
        block_release(block);
}

static void on_closed(void *user, uint64_t peer, const char *reason)
{
    struct seen *seen = user;
    seen->closed++;
    snprintf(seen->reason, sizeof seen->reason, "%s", reason);
}

static const struct transport_upcalls upcalls = {
    .connected = on_connected,
    .received = on_received,
    .closed = on_closed,
};

/* From NULL: without keys. */
static void end_open(struct end *end, const struct key_place *from, const char *name)
{
    struct diag diag = { 0 };
    *end = (struct end){ .ring = from ? key_place_ring(from, name) : NULL };
    ck_assert_int_eq(block_pool_create(BLOCK_SIZE_DEFAULT, &end->pool), S4_OK);
    struct transport_zmq_options options = { .pool = end->pool, .ring = end->ring };
    ck_assert_msg(transport_zmq_create(&options, &end->transport, &diag) == S4_OK, "%s", diag.text);
    transport_attach(end->transport, &upcalls, &end->seen);
    end->seen.transport = end->transport;
}

static void end_close(struct end *end)
{
    if (!end->transport)
        return;
    transport_destroy(end->transport);
    block_pool_destroy(end->pool);
    keyring_close(end->ring);
    end->transport = NULL;
}

static void setup(void)
{
    key_place_open(&place);
    key_place_open(&elsewhere);
    key_place_draw(&place, KEYRING_NODE, "a");
    key_place_draw(&place, KEYRING_NODE, "b");
    key_place_draw(&place, KEYRING_CLIENT, "c");
}

static void teardown(void)
{
    end_close(&client);
    end_close(&server);
    key_place_close(&place);
    key_place_close(&elsewhere);
}

static void listen_as(const struct key_place *from, const char *name)
{
    struct diag diag = { 0 };
    end_open(&server, from, name);
    ck_assert_msg(transport_bind(server.transport, "tcp://127.0.0.1:*", &diag) == S4_OK, "%s",
                  diag.text);
}

static s4_status reach(const char *name, struct diag *diag)
{
    uint64_t peer;
    return transport_connect_to(client.transport, name, transport_address(server.transport), &peer,
                                diag);
}

static void reach_as(const struct key_place *from, const char *own, const char *name)
{
    struct diag diag = { 0 };
    end_open(&client, from, own);
    ck_assert_msg(reach(name, &diag) == S4_OK, "%s", diag.text);
}

static void step(void)
{
    if (!transport_step(server.transport, 64) + transport_step(client.transport, 64))
        transport_wait(client.transport, 1000);
}

static void talk(void)
{
    while (!client.seen.connected)
        step();
    while (transport_send(client.transport, client.seen.peer, "hello", 5, NULL) != S4_OK)
        step();
    while (!server.seen.received)
        step();
}

static void refused(const char *says)
{
    while (!client.seen.closed)
        step();
    ck_assert_msg(strstr(client.seen.reason, says), "%s; wanted: %s", client.seen.reason, says);
    ck_assert_int_eq(client.seen.connected, 0);
    ck_assert_int_eq(server.seen.connected, 0);
}

START_TEST(both_know_whom_they_talk_to)
{
    listen_as(&place, "b");
    reach_as(&place, "a", "b");
    talk();
    ck_assert_str_eq(client.seen.name, "b");
    ck_assert_str_eq(server.seen.name, "a");
}
END_TEST

START_TEST(an_unknown_key_is_refused)
{
    key_place_draw(&elsewhere, KEYRING_NODE, "a"); /* the same name, another key */
    key_place_admit(&elsewhere, KEYRING_NODE, "b", &place);
    listen_as(&place, "b");
    reach_as(&elsewhere, "a", "b");
    refused("it does not admit this node's key, a's");
}
END_TEST

START_TEST(a_client_is_no_node)
{
    listen_as(&place, "b");
    reach_as(&place, "c", "b");
    refused("it does not admit this node's key, c's");
}
END_TEST

START_TEST(another_node_than_expected_is_refused)
{
    listen_as(&place, "b");
    reach_as(&place, "b", "a"); /* a's key is wanted where b listens */
    refused("not the key of a");
}
END_TEST

START_TEST(keys_are_on_both_sides_or_on_none)
{
    listen_as(&place, "b");
    reach_as(NULL, NULL, "b");
    refused("it wants keys");
    end_close(&client);
    end_close(&server);
    listen_as(NULL, NULL);
    reach_as(&place, "a", "b");
    refused("it has no keys");
}
END_TEST

START_TEST(a_node_without_a_key_is_not_reached)
{
    struct diag diag = { 0 };
    listen_as(&place, "b");
    end_open(&client, &place, "a");
    ck_assert_int_eq(reach("z", &diag), S4_NOT_FOUND);
    ck_assert_ptr_nonnull(strstr(diag.text, "no key of a node 'z'"));
    ck_assert_int_eq(reach(NULL, &diag), S4_NOT_FOUND); /* there are two */
}
END_TEST

START_TEST(without_keys_only_this_machine)
{
    struct diag diag = { 0 };
    uint64_t peer;
    end_open(&client, NULL, NULL);
    ck_assert_int_eq(transport_bind(client.transport, "tcp://0.0.0.0:*", &diag), S4_PERMISSION);
    ck_assert_int_eq(transport_connect(client.transport, "tcp://10.0.0.1:1", &peer, &diag),
                     S4_PERMISSION);
    ck_assert_ptr_nonnull(strstr(diag.text, "without keys"));
    listen_as(&place, "b");
    end_close(&server);
    end_open(&server, &place, "b");
    ck_assert_int_eq(transport_bind(server.transport, "tcp://0.0.0.0:*", &diag), S4_OK);
}
END_TEST

START_TEST(a_revoked_key_loses_its_connections)
{
    listen_as(&place, "b");
    reach_as(&place, "a", "b");
    talk();
    key_place_revoke(&place, KEYRING_NODE, "a");
    while (!server.seen.closed)
        step();
    ck_assert_str_eq(server.seen.reason, "its key was removed");
    end_close(&client);
    server.seen = (struct seen){ .transport = server.transport };
    reach_as(&place, "a", "b");
    refused("it does not admit this node's key, a's");
}
END_TEST

START_TEST(a_key_takes_anothers_place)
{
    char path[128], text[512];
    struct curve_pair old, fresh;
    struct diag diag = { 0 };
    listen_as(&place, "b"); /* still has its old key */
    snprintf(path, sizeof path, "%s/b.secret", place.dir);
    ck_assert_int_eq(curve_file_read_secret(path, &old, &diag), S4_OK);
    ck_assert_int_eq(curve_pair_draw("b", &fresh, &diag), S4_OK);
    char before[CURVE_TEXT + 1], after[CURVE_TEXT + 1];
    curve_pair_text(old.public, before);
    curve_pair_text(fresh.public, after);
    snprintf(path, sizeof path, "%s/nodes/b.public", place.dir);
    snprintf(text, sizeof text, "name b\npublic %s\npublic %s\n", after, before);
    FILE *file = fopen(path, "w");
    ck_assert_ptr_nonnull(file);
    ck_assert_int_ge(fputs(text, file), 0);
    ck_assert_int_eq(fclose(file), 0);
    end_open(&client, &place, "a");
    for (int tries = 0; !client.seen.connected; tries++) { /* each with the next of its keys */
        ck_assert_int_lt(tries, 2);
        client.seen.closed = 0;
        ck_assert_int_eq(reach("b", &diag), S4_OK);
        while (!client.seen.connected && !client.seen.closed)
            step();
    }
    ck_assert_str_eq(client.seen.name, "b");
}
END_TEST

/* What is read of a handshake. */
START_TEST(handshakes_are_decided)
{
    struct keyring *ring = key_place_ring(&place, "a");
    uint8_t node[CURVE_BYTES], client_key[CURVE_BYTES], nobody[CURVE_BYTES] = { 1 };
    struct curve_pair pair;
    char path[128];
    snprintf(path, sizeof path, "%s/c.secret", place.dir);
    ck_assert_int_eq(curve_file_read_secret(path, &pair, NULL), S4_OK);
    memcpy(client_key, pair.public, sizeof client_key);
    ck_assert_int_eq(keyring_of_node(ring, "b", 0, node, NULL), S4_OK);
    const struct {
        struct zap_question question;
        bool admitted;
    } cases[] = {
        { { "1.0", ZAP_NODES, "10.0.0.1", "CURVE", node, 32 }, true },
        { { "1.0", ZAP_CLIENTS, "10.0.0.1", "CURVE", node, 32 }, true },
        { { "1.0", ZAP_CLIENTS, "10.0.0.1", "CURVE", client_key, 32 }, true },
        { { "1.0", ZAP_NODES, "10.0.0.1", "CURVE", client_key, 32 }, false },
        { { "1.0", "", "10.0.0.1", "CURVE", node, 32 }, false },
        { { "1.0", "other", "10.0.0.1", "CURVE", node, 32 }, false },
        { { "1.0", ZAP_NODES, "10.0.0.1", "CURVE", nobody, 32 }, false },
        { { "1.0", ZAP_NODES, "10.0.0.1", "CURVE", node, 31 }, false },
        { { "1.0", ZAP_NODES, "10.0.0.1", "CURVE", node, 0 }, false },
        { { "1.0", ZAP_NODES, "10.0.0.1", "curve", node, 32 }, false },
        { { "2.0", ZAP_NODES, "10.0.0.1", "CURVE", node, 32 }, false },
        { { "1.0", ZAP_NODES, "10.0.0.1", "NULL", node, 32 }, false },
        { { "1.0", ZAP_CLIENTS, "10.0.0.1", "NULL", "", 0 }, false },
        { { "1.0", ZAP_CLIENTS, "127.0.0.1", "NULL", "", 0 }, false },
        { { "1.0", ZAP_CLIENTS, "localhost:0:0:1", "NULL", "", 0 }, true },
        { { "1.0", ZAP_CLIENTS, "10.0.0.1", "PLAIN", "a", 1 }, false },
        { { "1.0", ZAP_CLIENTS, "localhost:0:0:1", "PLAIN", "a", 1 }, false },
        { { "1.0", ZAP_CLIENTS, "10.0.0.1", "GSSAPI", "a", 1 }, false },
        { { "", "", "", "", "", 0 }, false },
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct zap_answer answer;
        zap_decide(ring, &cases[i].question, &answer);
        ck_assert_msg(answer.admitted == cases[i].admitted, "case %zu: %s", i, answer.why);
        ck_assert_int_eq(answer.user[0] != '\0', answer.admitted);
        ck_assert_int_eq(answer.why[0] != '\0', !answer.admitted);
    }
    keyring_close(ring);
}
END_TEST

/* Without a handler nobody is let through, not even with a good key: libzmq by itself would take
 * every key there is. */
START_TEST(without_a_handler_nobody_gets_through)
{
    struct keyring *ring = key_place_ring(&place, "a");
    struct diag diag = { 0 };
    void *context = zmq_ctx_new();
    void *router = zmq_socket(context, ZMQ_ROUTER), *dealer = zmq_socket(context, ZMQ_DEALER);
    void *monitor = zmq_socket(context, ZMQ_PAIR);
    char endpoint[64];
    size_t size = sizeof endpoint;
    const int linger = 0;
    ck_assert_int_eq(secure_listen(router, ring, ZAP_NODES, &diag), S4_OK);
    ck_assert_int_eq(zmq_bind(router, "tcp://127.0.0.1:*"), 0);
    ck_assert_int_eq(zmq_getsockopt(router, ZMQ_LAST_ENDPOINT, endpoint, &size), 0);
    ck_assert_int_eq(secure_connect(dealer, ring, "a", 0, NULL, &diag), S4_OK);
    ck_assert_int_eq(zmq_setsockopt(dealer, ZMQ_LINGER, &linger, sizeof linger), 0);
    ck_assert_int_eq(zmq_socket_monitor(
                         dealer, "inproc://monitor",
                         ZMQ_EVENT_HANDSHAKE_SUCCEEDED | ZMQ_EVENT_HANDSHAKE_FAILED_NO_DETAIL |
                             ZMQ_EVENT_HANDSHAKE_FAILED_PROTOCOL | ZMQ_EVENT_HANDSHAKE_FAILED_AUTH),
                     0);
    ck_assert_int_eq(zmq_connect(monitor, "inproc://monitor"), 0);
    ck_assert_int_eq(zmq_connect(dealer, endpoint), 0);
    uint16_t event = 0;
    char bytes[6];
    ck_assert_int_eq(zmq_recv(monitor, bytes, sizeof bytes, 0), sizeof bytes);
    memcpy(&event, bytes, sizeof event);
    ck_assert_int_ne(event, ZMQ_EVENT_HANDSHAKE_SUCCEEDED);
    zmq_socket_monitor(dealer, NULL, 0);
    zmq_close(monitor);
    zmq_close(dealer);
    zmq_close(router);
    zmq_ctx_term(context);
    keyring_close(ring);
}
END_TEST

Suite *suite_build(void)
{
    Suite *suite = suite_create("secure");
    suite_add_with(suite, "names", both_know_whom_they_talk_to, 30, setup, teardown);
    suite_add_with(suite, "unknown", an_unknown_key_is_refused, 30, setup, teardown);
    suite_add_with(suite, "client", a_client_is_no_node, 30, setup, teardown);
    suite_add_with(suite, "expected", another_node_than_expected_is_refused, 30, setup, teardown);
    suite_add_with(suite, "both", keys_are_on_both_sides_or_on_none, 30, setup, teardown);
    suite_add_with(suite, "keyless", a_node_without_a_key_is_not_reached, 30, setup, teardown);
    suite_add_with(suite, "local", without_keys_only_this_machine, 30, setup, teardown);
    suite_add_with(suite, "revoked", a_revoked_key_loses_its_connections, 30, setup, teardown);
    suite_add_with(suite, "rotated", a_key_takes_anothers_place, 30, setup, teardown);
    suite_add_with(suite, "decided", handshakes_are_decided, 30, setup, teardown);
    suite_add_with(suite, "handler", without_a_handler_nobody_gets_through, 30, setup, teardown);
    return suite;
}
