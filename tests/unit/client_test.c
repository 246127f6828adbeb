/* The client against a node that the test plays: handshake, calls, windows, repeats, silence, and
 * what does not speak the protocol. */
#include "tests/support/suite.h"

#include <pthread.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zmq.h>

#include <s4/client.h>

#include "router/client/endpoint.h"
#include "router/client/control.h"
#include "runtime/base/mem.h"
#include "runtime/base/message.h"
#include "runtime/base/rng.h"

/* ---- the node ------------------------------------------------------------------------------ */

struct fake;
typedef void fake_fn(struct fake *fake, const S4__Control__Request *request);

/* A ROUTER on a thread of its own, until it is told to end. */
struct fake {
    char dir[64];
    char path[ENDPOINT_TEXT_MAX];
    void *context;
    void *socket;
    void *bell; /* the test's end of a pair that ends the thread */
    void *ear;
    pthread_t thread;
    fake_fn *serve;
    uint32_t version;
    int ignored;    /* injections that get no answer at first */
    bool backwards; /* answers injections two by two, in turned order */
    uint64_t held;  /* id of one that waits for its turn */
    int injections; /* seen */
    uint64_t numbers[64];
    zmq_msg_t sender;
};

static void fake_send(struct fake *fake, const void *bytes, size_t size)
{
    zmq_msg_t to;
    zmq_msg_init(&to);
    zmq_msg_copy(&to, &fake->sender);
    ck_assert_int_ge(zmq_msg_send(&to, fake->socket, ZMQ_SNDMORE), 0);
    ck_assert_int_eq(zmq_send(fake->socket, bytes, size, 0), (int)size);
}

static void fake_reply(struct fake *fake, const S4__Control__Reply *reply)
{
    void *bytes;
    size_t size;
    ck_assert_int_eq(control_pack(&reply->base, &bytes, &size), S4_OK);
    fake_send(fake, bytes, size);
    mem_free(bytes);
}

static void answer_injection(struct fake *fake, uint64_t id)
{
    S4__Control__Reject reject = S4__CONTROL__REJECT__INIT;
    reject.line = 2;
    reject.message = (char[]){ "no" };
    S4__Control__Reject *rejects[] = { &reject };
    S4__Control__Injected injected = S4__CONTROL__INJECTED__INIT;
    injected.accepted = 3;
    injected.rejected = 1;
    injected.n_rejects = 1;
    injected.rejects = rejects;
    S4__Control__Reply reply = S4__CONTROL__REPLY__INIT;
    reply.id = id;
    reply.what_case = S4__CONTROL__REPLY__WHAT_INJECTED;
    reply.injected = &injected;
    fake_reply(fake, &reply);
}

static void serve_injection(struct fake *fake, const S4__Control__Request *request)
{
    fake->numbers[fake->injections++ % 64] = request->inject->number;
    if (fake->injections <= fake->ignored)
        return;
    if (!fake->backwards) {
        answer_injection(fake, request->id);
    } else if (!fake->held) {
        fake->held = request->id;
    } else {
        answer_injection(fake, request->id);
        answer_injection(fake, fake->held);
        fake->held = 0;
    }
}

static void serve_well(struct fake *fake, const S4__Control__Request *request)
{
    char release[] = "0.0.1";
    char reason[] = "no such app";
    S4__Control__Welcome welcome = S4__CONTROL__WELCOME__INIT;
    S4__Control__Counted counted = S4__CONTROL__COUNTED__INIT;
    S4__Control__Reply reply = S4__CONTROL__REPLY__INIT;
    reply.id = request->id;
    switch (request->what_case) {
    case S4__CONTROL__REQUEST__WHAT_HELLO:
        welcome.version = fake->version;
        welcome.release = release;
        reply.what_case = S4__CONTROL__REPLY__WHAT_WELCOME;
        reply.welcome = &welcome;
        break;
    case S4__CONTROL__REQUEST__WHAT_COUNT:
        reply.status = S4_AGAIN; /* alive, not done */
        fake_reply(fake, &reply);
        reply.status = S4_OK;
        counted.instances = 42;
        reply.what_case = S4__CONTROL__REPLY__WHAT_COUNTED;
        reply.counted = &counted;
        break;
    case S4__CONTROL__REQUEST__WHAT_INJECT:
        serve_injection(fake, request);
        return;
    case S4__CONTROL__REQUEST__WHAT_DRAIN:
        return; /* never answered */
    case S4__CONTROL__REQUEST__WHAT_UNDEPLOY:
        reply.status = S4_OK; /* of the wrong kind */
        break;
    default:
        reply.status = S4_NOT_FOUND;
        reply.message = reason;
    }
    fake_reply(fake, &reply);
}

static void serve_garbage(struct fake *fake, const S4__Control__Request *request)
{
    fake_send(fake, "\xff\xff\xff\xff", 4);
}

static void *fake_run(void *arg)
{
    struct fake *fake = arg;
    for (;;) {
        zmq_pollitem_t items[] = { { .socket = fake->socket, .events = ZMQ_POLLIN },
                                   { .socket = fake->ear, .events = ZMQ_POLLIN } };
        ck_assert_int_ge(zmq_poll(items, 2, -1), 1);
        if (items[1].revents)
            return NULL;
        zmq_msg_init(&fake->sender);
        ck_assert_int_ge(zmq_msg_recv(&fake->sender, fake->socket, 0), 0);
        zmq_msg_t part;
        zmq_msg_init(&part);
        ck_assert_int_ge(zmq_msg_recv(&part, fake->socket, 0), 0);
        S4__Control__Request *request;
        ck_assert_int_eq(control_request_read(zmq_msg_data(&part), zmq_msg_size(&part), &request),
                         S4_OK);
        ck_assert_uint_eq(request->version, CONTROL_VERSION);
        fake->serve(fake, request);
        control_request_destroy(request);
        zmq_msg_close(&part);
        zmq_msg_close(&fake->sender);
    }
}

static void fake_start(struct fake *fake, fake_fn *serve)
{
    fake->serve = serve;
    fake->version = CONTROL_VERSION;
    snprintf(fake->dir, sizeof fake->dir, "/tmp/s4-client-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(fake->dir));
    snprintf(fake->path, sizeof fake->path, "ipc://%s/%s", fake->dir, ENDPOINT_SOCKET);
    fake->context = zmq_ctx_new();
    fake->socket = zmq_socket(fake->context, ZMQ_ROUTER);
    fake->bell = zmq_socket(fake->context, ZMQ_PAIR);
    fake->ear = zmq_socket(fake->context, ZMQ_PAIR);
    ck_assert_int_eq(zmq_bind(fake->socket, fake->path), 0);
    ck_assert_int_eq(zmq_bind(fake->ear, "inproc://end"), 0);
    ck_assert_int_eq(zmq_connect(fake->bell, "inproc://end"), 0);
    ck_assert_int_eq(pthread_create(&fake->thread, NULL, fake_run, fake), 0);
}

static void fake_stop(struct fake *fake)
{
    ck_assert_int_eq(zmq_send(fake->bell, "", 0, 0), 0);
    ck_assert_int_eq(pthread_join(fake->thread, NULL), 0);
    int linger = 0;
    zmq_setsockopt(fake->socket, ZMQ_LINGER, &linger, sizeof linger);
    zmq_close(fake->socket);
    zmq_close(fake->bell);
    zmq_close(fake->ear);
    zmq_ctx_term(fake->context);
    unlink(fake->path + strlen("ipc://"));
    ck_assert_int_eq(rmdir(fake->dir), 0);
}

/* ---- the client ---------------------------------------------------------------------------- */

static s4_client *client_of(const struct fake *fake, uint32_t timeout_ms, uint32_t window)
{
    s4_client_options options = { .node = fake->dir, .timeout_ms = timeout_ms, .window = window };
    s4_client *client;
    ck_assert_int_eq(s4_client_create(&options, &client), S4_OK);
    return client;
}

static const s4_batch batch = { .app = "words",
                                .stream = "lines",
                                .format = S4_CLIENT_TEXT,
                                .ack = S4_CLIENT_TAKEN,
                                .bytes = "a\n",
                                .size = 2 };

START_TEST(calls_are_answered)
{
    struct fake fake = { 0 };
    fake_start(&fake, serve_well);
    s4_client *client = client_of(&fake, 5000, 0);
    uint64_t count = 7;
    char endpoint[256];
    snprintf(endpoint, sizeof endpoint, "ipc://%s/control", fake.dir);
    ck_assert_str_eq(s4_client_endpoint(client), endpoint);
    ck_assert_str_eq(s4_client_release(client), "");
    ck_assert_int_eq(s4_client_count(client, "words", "p", &count), S4_STATE);
    ck_assert_int_eq(s4_client_connect(client), S4_OK);
    ck_assert_str_eq(s4_client_release(client), "0.0.1");
    ck_assert_int_eq(s4_client_connect(client), S4_STATE);
    ck_assert_int_eq(s4_client_count(client, "words", "p", &count), S4_OK);
    ck_assert_uint_eq(count, 42);
    s4_query query = { .app = "words", .output = "counts" };
    s4_rows *rows = NULL;
    ck_assert_int_eq(s4_client_query(client, &query, &rows), S4_NOT_FOUND);
    ck_assert_str_eq(s4_client_message(client), "no such app");
    ck_assert_ptr_null(rows);
    uint64_t dropped = 7;
    ck_assert_int_eq(s4_client_undeploy(client, "words", &dropped), S4_PROTOCOL);
    ck_assert_uint_eq(dropped, 7);
    ck_assert_int_eq(s4_client_count(client, "\xff", "p", &count), S4_INVALID);
    s4_client_destroy(client);
    fake_stop(&fake);
}
END_TEST

START_TEST(another_version_is_refused)
{
    struct fake fake = { 0 };
    fake_start(&fake, serve_well);
    fake.version =
        CONTROL_VERSION + 1; /* read by the thread only after the client's first message */
    s4_client *client = client_of(&fake, 5000, 0);
    ck_assert_int_eq(s4_client_connect(client), S4_VERSION);
    ck_assert_ptr_nonnull(strstr(s4_client_message(client), "speaks version 2"));
    s4_client_destroy(client);
    fake_stop(&fake);
}
END_TEST

START_TEST(garbage_is_no_answer)
{
    struct fake fake = { 0 };
    fake_start(&fake, serve_garbage);
    s4_client *client = client_of(&fake, 5000, 0);
    ck_assert_int_eq(s4_client_connect(client), S4_PROTOCOL);
    s4_client_destroy(client);
    fake_stop(&fake);
}
END_TEST

START_TEST(nobody_is_there)
{
    s4_client_options options = { .node = "/tmp/s4-no-such-directory" };
    s4_client *client;
    ck_assert_int_eq(s4_client_create(&options, &client), S4_OK);
    ck_assert_int_eq(s4_client_connect(client), S4_UNAVAILABLE);
    s4_client_destroy(client);
    options.node = "http://here";
    ck_assert_int_eq(s4_client_create(&options, &client), S4_OK);
    ck_assert_int_eq(s4_client_connect(client), S4_INVALID);
    s4_client_destroy(client);
    options.window = S4_CLIENT_WINDOW_MAX + 1;
    ck_assert_int_eq(s4_client_create(&options, &client), S4_RANGE);
}
END_TEST

START_TEST(silence_is_unavailable)
{
    struct fake fake = { 0 };
    fake_start(&fake, serve_well);
    s4_client *client = client_of(&fake, 200, 0);
    ck_assert_int_eq(s4_client_connect(client), S4_OK);
    ck_assert_int_eq(s4_client_drain(client, NULL, true, NULL), S4_UNAVAILABLE);
    ck_assert_ptr_nonnull(strstr(s4_client_message(client), "silent for 0.2 s"));
    uint64_t count;
    ck_assert_int_eq(s4_client_count(client, "words", "p", &count), S4_OK); /* goes on */
    s4_client_destroy(client);
    fake_stop(&fake);
}
END_TEST

START_TEST(an_injection_is_answered)
{
    struct fake fake = { 0 };
    fake_start(&fake, serve_well);
    s4_client *client = client_of(&fake, 5000, 0);
    ck_assert_int_eq(s4_client_connect(client), S4_OK);
    s4_injected result;
    ck_assert_int_eq(s4_client_inject(client, &batch, &result), S4_OK);
    ck_assert_uint_eq(result.number, 1);
    ck_assert_uint_eq(result.accepted, 3);
    ck_assert_uint_eq(result.rejected, 1);
    ck_assert_uint_eq(result.n_rejects, 1);
    ck_assert_uint_eq(result.rejects[0].line, 2);
    ck_assert_str_eq(result.rejects[0].message, "no");
    s4_batch wrong = batch;
    wrong.size = S4_CLIENT_BATCH_MAX + 1;
    ck_assert_int_eq(s4_client_inject(client, &wrong, &result), S4_TOO_LARGE);
    wrong = batch;
    wrong.format = (s4_client_format)4;
    ck_assert_int_eq(s4_client_inject(client, &wrong, &result), S4_INVALID);
    s4_client_destroy(client);
    fake_stop(&fake);
}
END_TEST

struct seen {
    int done;
    int failed;
    uint64_t sum;
};

static void count_done(void *user, const s4_injected *result)
{
    struct seen *seen = user;
    seen->done++;
    seen->failed += result->status != S4_OK;
    seen->sum += result->number;
}

START_TEST(a_window_is_filled_and_answered_in_any_order)
{
    struct fake fake = { .backwards = true };
    fake_start(&fake, serve_well);
    s4_client *client = client_of(&fake, 5000, 4);
    ck_assert_int_eq(s4_client_connect(client), S4_OK);
    struct seen seen = { 0 };
    for (int i = 0; i < 100; i++) {
        ck_assert_int_eq(s4_client_inject_start(client, &batch, count_done, &seen), S4_OK);
        ck_assert_int_ge(seen.done, i - 3);
    }
    ck_assert_int_eq(s4_client_inject_finish(client), S4_OK);
    ck_assert_int_eq(seen.done, 100);
    ck_assert_int_eq(seen.failed, 0);
    ck_assert_uint_eq(seen.sum, 5050);
    s4_client_destroy(client);
    fake_stop(&fake);
}
END_TEST

START_TEST(an_unanswered_batch_is_sent_again)
{
    struct fake fake = { .ignored = 2 };
    fake_start(&fake, serve_well);
    s4_client *client = client_of(&fake, 600, 0);
    ck_assert_int_eq(s4_client_connect(client), S4_OK);
    struct seen seen = { 0 };
    ck_assert_int_eq(s4_client_inject_start(client, &batch, count_done, &seen), S4_OK);
    ck_assert_int_eq(s4_client_inject_start(client, &batch, count_done, &seen), S4_OK);
    ck_assert_int_eq(s4_client_inject_finish(client), S4_OK);
    ck_assert_int_eq(seen.done, 2);
    ck_assert_int_eq(seen.failed, 0);
    s4_client_destroy(client);
    fake_stop(&fake);
    ck_assert_int_eq(fake.injections, 4);
    ck_assert_uint_eq(fake.numbers[0], fake.numbers[2]);
    ck_assert_uint_eq(fake.numbers[1], fake.numbers[3]);
}
END_TEST

START_TEST(what_is_never_answered_is_told_so)
{
    struct fake fake = { .ignored = 1000 };
    fake_start(&fake, serve_well);
    s4_client *client = client_of(&fake, 100, 0);
    ck_assert_int_eq(s4_client_connect(client), S4_OK);
    struct seen seen = { 0 };
    for (int i = 0; i < 3; i++)
        ck_assert_int_eq(s4_client_inject_start(client, &batch, count_done, &seen), S4_OK);
    ck_assert_int_eq(s4_client_inject_finish(client), S4_UNAVAILABLE);
    ck_assert_int_eq(seen.done, 3);
    ck_assert_int_eq(seen.failed, 3);
    s4_client_destroy(client);
    fake_stop(&fake);
}
END_TEST

/* ---- messages ------------------------------------------------------------------------------ */

/* A status of many empty parts: little on the wire, much in memory. */
START_TEST(what_would_need_too_much_memory_is_malformed)
{
    size_t n = 1000000;
    uint8_t *bytes = mem_alloc(2 * n + 64);
    ck_assert_ptr_nonnull(bytes);
    size_t at = 0;
    for (size_t i = 0; i < n; i++) { /* a hello after a hello: the last of a oneof stays */
        bytes[at++] = 3 << 3 | 2;
        bytes[at++] = 0;
    }
    bytes[at++] = 1 << 3;
    bytes[at++] = 1;
    bytes[at++] = 2 << 3;
    bytes[at++] = 1;
    S4__Control__Request *request = NULL;
    s4_status status = control_request_read(bytes, at, &request);
    if (status == S4_OK)
        control_request_destroy(request);
    else
        ck_assert_int_eq(status, S4_MALFORMED);
    mem_free(bytes);
    ck_assert_int_eq(control_request_read("", 0, &request), S4_MALFORMED);
    ck_assert_int_eq(control_request_read("\x08", 1, &request), S4_MALFORMED);
    ck_assert_uint_le(message_budget(CONTROL_MESSAGE_MAX), 512 * MIB);
    ck_assert_uint_ge(message_budget(0), 1024);
}
END_TEST

/* One valid request, cut at every byte and with every bit turned: refused or read, never a fault.
 */
START_TEST(damaged_messages_do_no_harm)
{
    S4__Control__Inject inject = S4__CONTROL__INJECT__INIT;
    inject.app = (char[]){ "words" };
    inject.stream = (char[]){ "lines" };
    inject.format = S4__CONTROL__FORMAT__PB;
    inject.ack = S4__CONTROL__INJECT__ACK__APPLIED;
    inject.events.data = (uint8_t[]){ 1, 2, 3 };
    inject.events.len = 3;
    S4__Control__Request request = S4__CONTROL__REQUEST__INIT;
    request.version = CONTROL_VERSION;
    request.id = 9;
    request.what_case = S4__CONTROL__REQUEST__WHAT_INJECT;
    request.inject = &inject;
    void *packed;
    size_t size;
    ck_assert_int_eq(control_pack(&request.base, &packed, &size), S4_OK);
    uint8_t *bytes = packed;
    S4__Control__Request *read;
    for (size_t cut = 0; cut < size; cut++) {
        void *copy = mem_dup(bytes, cut ? cut : 1);            /* of the exact size, for ASan */
        if (control_request_read(copy, cut, &read) == S4_OK) { /* cut before the last field */
            ck_assert_int_eq(read->what_case, S4__CONTROL__REQUEST__WHAT__NOT_SET);
            control_request_destroy(read);
        }
        mem_free(copy);
    }
    for (size_t bit = 0; bit < 8 * size; bit++) {
        bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
        if (control_request_read(bytes, size, &read) == S4_OK)
            control_request_destroy(read);
        bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
    for (int64_t n = 0;; n++) {
        mem_fail_after(n);
        s4_status status = control_request_read(bytes, size, &read);
        mem_fail_after(-1);
        if (status == S4_OK)
            break;
        ck_assert_int_eq(status, S4_NO_MEMORY);
    }
    control_request_destroy(read);
    mem_free(packed);
}
END_TEST

START_TEST(places_are_found)
{
    struct endpoint endpoint;
    struct diag diag;
    ck_assert_int_eq(endpoint_find("/a/b", false, &endpoint, &diag), S4_OK);
    ck_assert_str_eq(endpoint.uri, "ipc:///a/b/control");
    ck_assert_str_eq(endpoint.dir, "/a/b");
    ck_assert_int_eq(endpoint_find("tcp://127.0.0.1:5555", false, &endpoint, &diag), S4_OK);
    ck_assert_str_eq(endpoint.uri, "tcp://127.0.0.1:5555");
    ck_assert_str_eq(endpoint.socket, "");
    static const char *const wrong[] = { "tcp://127.0.0.1", "tcp://:1",   "tcp://a:0",
                                         "tcp://a:65536",   "tcp://a:1x", "udp://a:1" };
    for (size_t i = 0; i < ARRAY_LEN(wrong); i++)
        ck_assert_int_eq(endpoint_find(wrong[i], false, &endpoint, &diag), S4_INVALID);
    char path[ENDPOINT_TEXT_MAX];
    size_t room = ENDPOINT_PATH_MAX - strlen("/" ENDPOINT_SOCKET);
    memset(path, 'd', sizeof path);
    path[0] = '/';
    path[room] = '\0';
    ck_assert_int_eq(endpoint_find(path, false, &endpoint, &diag), S4_OK);
    path[room] = 'd';
    path[room + 1] = '\0';
    ck_assert_int_eq(endpoint_find(path, false, &endpoint, &diag), S4_TOO_LARGE);
    setenv("S4_NODE", "/from/env", 1);
    ck_assert_int_eq(endpoint_find(NULL, false, &endpoint, &diag), S4_OK);
    ck_assert_str_eq(endpoint.dir, "/from/env");
    unsetenv("S4_NODE");
    setenv("XDG_RUNTIME_DIR", "/run/user/1", 1);
    ck_assert_int_eq(endpoint_find(NULL, false, &endpoint, &diag), S4_OK);
    ck_assert_str_eq(endpoint.dir, "/run/user/1/s4");
}
END_TEST

START_TEST(out_of_memory_is_an_answer)
{
    struct fake fake = { 0 };
    fake_start(&fake, serve_well);
    s4_client *client;
    for (int64_t n = 0;; n++) {
        mem_fail_after(n);
        s4_client_options options = { .node = fake.dir };
        s4_status status = s4_client_create(&options, &client);
        mem_fail_after(-1);
        if (status == S4_OK)
            break;
        ck_assert_int_eq(status, S4_NO_MEMORY);
    }
    ck_assert_int_eq(s4_client_connect(client), S4_OK);
    s4_injected result;
    for (int64_t n = 0;; n++) {
        mem_fail_after(n);
        s4_status status = s4_client_inject(client, &batch, &result);
        mem_fail_after(-1);
        if (status == S4_OK)
            break;
        ck_assert_int_eq(status, S4_NO_MEMORY);
        ck_assert_int_lt(n, 100);
    }
    s4_client_destroy(client);
    fake_stop(&fake);
}
END_TEST

Suite *suite_build(void)
{
    Suite *suite = suite_create("client");
    suite_add(suite, "calls", calls_are_answered, 20);
    suite_add(suite, "version", another_version_is_refused, 20);
    suite_add(suite, "garbage", garbage_is_no_answer, 20);
    suite_add(suite, "nobody", nobody_is_there, 20);
    suite_add(suite, "silence", silence_is_unavailable, 20);
    suite_add(suite, "inject", an_injection_is_answered, 20);
    suite_add(suite, "window", a_window_is_filled_and_answered_in_any_order, 20);
    suite_add(suite, "again", an_unanswered_batch_is_sent_again, 20);
    suite_add(suite, "unanswered", what_is_never_answered_is_told_so, 20);
    suite_add(suite, "budget", what_would_need_too_much_memory_is_malformed, 20);
    suite_add(suite, "damaged", damaged_messages_do_no_harm, 20);
    suite_add(suite, "places", places_are_found, 20);
    suite_add(suite, "memory", out_of_memory_is_an_answer, 20);
    return suite;
}
