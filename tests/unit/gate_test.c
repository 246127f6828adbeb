/* The limit of connections of a listener: N and one more, who is connected, who comes again. */
#include "tests/support/suite.h"

#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>
#include <zmq.h>

#include "runtime/net/gate.h"

#define MOST 8

static void *context, *router, *monitor, *dealer;
static struct gate gate;
static int strangers[MOST + 1];
static struct sockaddr_in address;

static void setup(void)
{
    char endpoint[64];
    size_t size = sizeof endpoint;
    const int linger = 0, second = 1000;
    gate_init(&gate, MOST);
    context = zmq_ctx_new();
    router = zmq_socket(context, ZMQ_ROUTER);
    dealer = zmq_socket(context, ZMQ_DEALER);
    monitor = zmq_socket(context, ZMQ_PAIR);
    ck_assert_int_eq(zmq_setsockopt(dealer, ZMQ_LINGER, &linger, sizeof linger), 0);
    ck_assert_int_eq(zmq_setsockopt(router, ZMQ_HANDSHAKE_IVL, &second, sizeof second), 0);
    ck_assert_int_eq(zmq_socket_monitor(router, "inproc://gate", GATE_EVENTS), 0);
    ck_assert_int_eq(zmq_connect(monitor, "inproc://gate"), 0);
    ck_assert_int_eq(zmq_bind(router, "tcp://127.0.0.1:*"), 0);
    ck_assert_int_eq(zmq_getsockopt(router, ZMQ_LAST_ENDPOINT, endpoint, &size), 0);
    address = (struct sockaddr_in){ .sin_family = AF_INET,
                                    .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
                                    .sin_port = htons(
                                        (uint16_t)strtoul(strrchr(endpoint, ':') + 1, NULL, 10)) };
    ck_assert_int_eq(zmq_connect(dealer, endpoint), 0);
    for (int i = 0; i <= MOST; i++)
        strangers[i] = -1;
}

static void teardown(void)
{
    for (int i = 0; i <= MOST; i++)
        if (strangers[i] >= 0)
            close(strangers[i]);
    zmq_socket_monitor(router, NULL, 0);
    zmq_close(monitor);
    zmq_close(dealer);
    zmq_close(router);
    zmq_ctx_term(context);
}

/* One event, waited for. */
static void step(void)
{
    unsigned char bytes[6];
    char text[256] = "";
    uint16_t event;
    int32_t value;
    ck_assert_int_eq(zmq_recv(monitor, bytes, sizeof bytes, 0), sizeof bytes);
    memcpy(&event, bytes, sizeof event);
    memcpy(&value, bytes + 2, sizeof value);
    ck_assert_int_ge(zmq_recv(monitor, text, sizeof text - 1, 0), 0);
    gate_note(&gate, event, value, text);
}

static void come(int i)
{
    strangers[i] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    ck_assert_int_ge(strangers[i], 0);
    ck_assert(connect(strangers[i], (const struct sockaddr *)&address, sizeof address) == 0 ||
              errno == EINPROGRESS);
}

/* A message of who is connected gets through. */
static void talk(void)
{
    char bytes[64];
    ck_assert_int_eq(zmq_send(dealer, "hello", 5, 0), 5);
    ck_assert_int_ge(zmq_recv(router, bytes, sizeof bytes, 0), 1); /* its route */
    ck_assert_int_eq(zmq_recv(router, bytes, sizeof bytes, 0), 5);
}

START_TEST(n_are_let_in_and_not_one_more)
{
    talk();
    for (int i = 0; i < MOST - 1; i++)
        come(i);
    while (gate.open < MOST) {
        ck_assert(!gate.shut);
        step();
    }
    ck_assert(gate.shut);
    come(MOST); /* one more */
    struct pollfd connected = { .fd = strangers[MOST], .events = POLLOUT };
    ck_assert_int_eq(poll(&connected, 1, 300), 0); /* not refused, not let in */
    ck_assert_uint_eq(gate.open, MOST);
    talk();
    while (gate.shut) /* the silent ones are closed after their second */
        step();
    ck_assert_uint_eq(gate.open, MOST - 1);
    ck_assert_int_eq(poll(&connected, 1, 20000), 1); /* TCP has tried again */
    int error = -1;
    socklen_t size = sizeof error;
    ck_assert_int_eq(getsockopt(strangers[MOST], SOL_SOCKET, SO_ERROR, &error, &size), 0);
    ck_assert_int_eq(error, 0);
    ck_assert_uint_eq(gate.shut_ever, 1);
    talk();
}
END_TEST

START_TEST(every_way_out_is_counted)
{
    talk();
    for (int round = 0; round < 5; round++) {
        for (int i = 0; i < MOST / 2; i++)
            come(i);
        while (gate.open < 1 + MOST / 2)
            step();
        for (int i = 0; i < MOST / 2; i++) { /* leaves, says nonsense, or is silent for too long */
            if (i % 3 == 1)
                ck_assert_int_eq(write(strangers[i], "GET / HTTP/1.1\r\n\r\n", 18), 18);
            if (i % 3 == 0) {
                close(strangers[i]);
                strangers[i] = -1;
            }
        }
        while (gate.open > 1)
            step();
        for (int i = 0; i < MOST / 2; i++)
            if (strangers[i] >= 0)
                close(strangers[i]);
        talk();
    }
    ck_assert_uint_eq(gate.open, 1);
    ck_assert_uint_eq(gate.shut_ever, 0);
}
END_TEST

START_TEST(the_default_leaves_descriptors_for_others)
{
    struct gate fresh;
    gate_init(&fresh, 0);
    ck_assert_uint_ge(fresh.most, 1);
    ck_assert_uint_le(fresh.most, GATE_MAX);
    gate_note(&fresh, ZMQ_EVENT_ACCEPTED, 5, "ipc:///tmp/x"); /* not counted */
    ck_assert_uint_eq(fresh.open, 0);
    gate_note(&fresh, ZMQ_EVENT_DISCONNECTED, 5, "tcp://127.0.0.1:1"); /* never below nothing */
    ck_assert_uint_eq(fresh.open, 0);
}
END_TEST

Suite *suite_build(void)
{
    Suite *suite = suite_create("gate");
    suite_add_with(suite, "limit", n_are_let_in_and_not_one_more, 60, setup, teardown);
    suite_add_with(suite, "counted", every_way_out_is_counted, 60, setup, teardown);
    suite_add(suite, "default", the_default_leaves_descriptors_for_others, 10);
    return suite;
}
