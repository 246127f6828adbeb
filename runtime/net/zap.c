/* The handler of handshakes; see the header.
 *
 *     ZeroMQ's I/O thread  --question-->  inproc://zeromq.zap.01, one thread  --yes or no-->
 *
 * A thread of its own, so that whoever steps sockets may stand still without anybody's handshake
 * running out of time. Questions come from libzmq, but what is in them comes from strangers.
 */
#include "runtime/net/zap.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/eventfd.h>
#include <unistd.h>
#include <zmq.h>

#include "runtime/base/clock.h"
#include "runtime/base/mem.h"

#define ENDPOINT    "inproc://zeromq.zap.01" /* where libzmq looks for it */
#define PARTS       7                        /* of a question with one credential */
#define PART_MAX    255                      /* bytes of one that are looked at */
#define LOOK_US     1000000
#define LOOK_MIN_US 100000 /* between two looks that questions ask for */
#define REPORT_US   1000000

struct zap {
    struct zap_options options;
    void *socket;
    int end; /* eventfd */
    pthread_t thread;
    uint64_t looked_us, reported_us;
    uint64_t unreported;
    atomic_uint_fast64_t admitted, refused;
};

/* ---- deciding ------------------------------------------------------------------------------ */

static bool refuse(struct zap_answer *answer, const char *format, ...) PRINTF(2, 3);
static bool refuse(struct zap_answer *answer, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(answer->why, sizeof answer->why, format, args);
    va_end(args);
    return false;
}

/* libzmq writes an ipc peer's address as localhost:UID:GID:PID; any other is numeric. */
static bool is_ipc(const char *address)
{
    return strncmp(address, "localhost:", strlen("localhost:")) == 0;
}

static bool decide_curve(struct keyring *ring, const struct zap_question *question,
                         struct zap_answer *answer)
{
    uint8_t key[CURVE_BYTES];
    char text[CURVE_TEXT + 1];
    bool nodes = strcmp(question->domain, ZAP_NODES) == 0;
    bool clients = strcmp(question->domain, ZAP_CLIENTS) == 0;
    if (question->credentials_size != CURVE_BYTES)
        return refuse(answer, "%s sent no key", question->address);
    memcpy(key, question->credentials, CURVE_BYTES);
    curve_pair_text(key, text);
    if (((nodes || clients) && keyring_find(ring, KEYRING_NODE, key, NULL)) ||
        (clients && keyring_find(ring, KEYRING_CLIENT, key, NULL))) {
        memcpy(answer->user, text, sizeof answer->user);
        return true;
    }
    return refuse(answer, "refused %s: its key %s is in no file of %s/nodes%s", question->address,
                  text, keyring_dir(ring), clients ? " or clients" : "");
}

void zap_decide(struct keyring *ring, const struct zap_question *question,
                struct zap_answer *answer)
{
    *answer = (struct zap_answer){ 0 };
    if (strcmp(question->version, "1.0") != 0) {
        answer->admitted = refuse(answer, "version %s of ZAP", question->version);
    } else if (strcmp(question->mechanism, "CURVE") == 0) {
        answer->admitted = decide_curve(ring, question, answer);
    } else if (strcmp(question->mechanism, "NULL") == 0 && is_ipc(question->address)) {
        snprintf(answer->user, sizeof answer->user, "%s", ZAP_LOCAL);
        answer->admitted = true;
    } else {
        answer->admitted = refuse(answer, "refused %s: it came without a key", question->address);
    }
}

/* ---- the thread ---------------------------------------------------------------------------- */

static uint64_t now_us(void)
{
    return clock_real.mono_us(&clock_real);
}

static void report(struct zap *zap, const char *text)
{
    char more[400];
    uint64_t now = now_us();
    if (!zap->options.report)
        return;
    if (zap->reported_us && now - zap->reported_us < REPORT_US) {
        zap->unreported++;
        return;
    }
    if (zap->unreported)
        snprintf(more, sizeof more, "%s (and %llu more)", text,
                 (unsigned long long)zap->unreported);
    else
        snprintf(more, sizeof more, "%s", text);
    zap->reported_us = now;
    zap->unreported = 0;
    zap->options.report(zap->options.user, more);
}

static void look(struct zap *zap, uint64_t at_least_us)
{
    struct diag diag = { 0 };
    bool left_out = false;
    uint64_t now = now_us();
    if (now - zap->looked_us < at_least_us)
        return;
    zap->looked_us = now;
    if (keyring_refresh(zap->options.ring, &left_out, &diag) != S4_OK || left_out)
        report(zap, diag.text);
}

struct parts {
    size_t count;
    size_t sizes[PARTS];
    char bytes[PARTS][PART_MAX + 1]; /* each ends with a NUL */
};

/* False: there is none. What is too long or too much is cut, and fits nothing then. */
static bool read_parts(void *socket, struct parts *parts)
{
    bool more = true;
    parts->count = 0;
    while (more) {
        zmq_msg_t message;
        zmq_msg_init(&message);
        int size = zmq_msg_recv(&message, socket, ZMQ_DONTWAIT);
        if (size >= 0 && parts->count < PARTS) {
            size_t kept = size_min((size_t)size, PART_MAX);
            memcpy(parts->bytes[parts->count], zmq_msg_data(&message), kept);
            parts->bytes[parts->count][kept] = '\0';
            parts->sizes[parts->count++] = kept;
        }
        more = size >= 0 && zmq_msg_more(&message);
        zmq_msg_close(&message);
        if (size < 0)
            return false;
    }
    return true;
}

static void send_part(void *socket, const char *bytes, size_t size, bool more)
{
    /* To a REP's asker inside this process; if it is gone, so is the question. */
    (void)zmq_send(socket, bytes, size, more ? ZMQ_SNDMORE : 0);
}

/* version, request's number, domain, address, identity, mechanism, credentials... */
static bool serve_one(struct zap *zap)
{
    struct parts parts;
    struct zap_answer answer;
    if (!read_parts(zap->socket, &parts))
        return false;
    for (size_t i = parts.count; i < PARTS; i++)
        parts.bytes[i][parts.sizes[i] = 0] = '\0';
    look(zap, LOOK_MIN_US);
    struct zap_question question = {
        .version = parts.bytes[0],
        .domain = parts.bytes[2],
        .address = parts.bytes[3],
        .mechanism = parts.bytes[5],
        .credentials = parts.bytes[6],
        .credentials_size = parts.sizes[6],
    };
    zap_decide(zap->options.ring, &question, &answer);
    atomic_fetch_add(answer.admitted ? &zap->admitted : &zap->refused, 1);
    if (!answer.admitted)
        report(zap, answer.why);
    send_part(zap->socket, "1.0", 3, true);
    send_part(zap->socket, parts.bytes[1], parts.sizes[1], true);
    send_part(zap->socket, answer.admitted ? "200" : "400", 3, true);
    send_part(zap->socket, "", 0, true);
    send_part(zap->socket, answer.user, strlen(answer.user), true);
    send_part(zap->socket, "", 0, false);
    return true;
}

static void *run(void *arg)
{
    struct zap *zap = arg;
    for (;;) {
        zmq_pollitem_t items[] = { { .socket = zap->socket, .events = ZMQ_POLLIN },
                                   { .fd = zap->end, .events = ZMQ_POLLIN } };
        (void)zmq_poll(items, ARRAY_LEN(items), LOOK_US / 1000);
        if (items[1].revents)
            return NULL;
        look(zap, LOOK_US);
        while (serve_one(zap))
            continue;
    }
}

/* ---- life ---------------------------------------------------------------------------------- */

static s4_status start_thread(struct zap *zap, struct diag *diag)
{
    sigset_t all, before;
    sigfillset(&all); /* signals are for whoever started the program's threads */
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int error = pthread_create(&zap->thread, NULL, run, zap);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (error)
        return diag_set(diag, S4_IO, "cannot start a thread: %s", strerror(error));
    return S4_OK;
}

static void destroy(struct zap *zap)
{
    if (zap->socket)
        zmq_close(zap->socket);
    if (zap->end >= 0)
        close(zap->end);
    mem_free(zap);
}

s4_status zap_start(const struct zap_options *options, struct zap **zap, struct diag *diag)
{
    struct zap *made = mem_zalloc(sizeof *made);
    if (!made)
        return diag_set(diag, S4_NO_MEMORY, "out of memory");
    int linger_ms = 0;
    s4_status status = S4_OK;
    made->options = *options;
    made->end = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    made->socket = zmq_socket(options->context, ZMQ_REP);
    if (made->end < 0 || !made->socket ||
        zmq_setsockopt(made->socket, ZMQ_LINGER, &linger_ms, sizeof linger_ms) != 0 ||
        zmq_bind(made->socket, ENDPOINT) != 0)
        status = diag_set(diag, S4_IO, "cannot watch handshakes: %s", zmq_strerror(errno));
    if (status == S4_OK)
        status = start_thread(made, diag);
    if (status == S4_OK)
        *zap = made;
    else
        destroy(made);
    return status;
}

void zap_stop(struct zap *zap)
{
    if (!zap)
        return;
    eventfd_write(zap->end, 1);
    pthread_join(zap->thread, NULL);
    destroy(zap);
}

struct zap_counters zap_count(const struct zap *zap)
{
    return (struct zap_counters){ .admitted = atomic_load(&zap->admitted),
                                  .refused = atomic_load(&zap->refused) };
}
