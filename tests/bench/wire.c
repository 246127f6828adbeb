/* R2, R2b and R3; see the header. The sender has a few more frames than ZeroMQ's queues hold, and
 * waits for one to come back from ZeroMQ's thread when all are on their way. */
#include "tests/bench/wire.h"

#include <pthread.h>
#include <zmq.h>

#include "runtime/base/hash.h"
#include "tests/bench/child.h"
#include "tests/bench/cores.h"
#include "tests/bench/reference.h"
#include "tests/bench/wire_table.h"

#define FRAMES    64
#define QUEUE_MAX 16 /* frames in each of ZeroMQ's two queues: 1 MiB */
#define RTT_SIZE  100
#define RTT_WARM  200

static const char anywhere[] = "tcp://127.0.0.1:*";

/* ---- sockets ------------------------------------------------------------------------------- */

struct end {
    void *context;
    void *socket;
};

static void end_open(struct end *end, int kind, const char *connect)
{
    int queue = QUEUE_MAX;
    end->context = zmq_ctx_new();
    end->socket = zmq_socket(end->context, kind);
    CHECK(end->socket);
    CHECK(zmq_setsockopt(end->socket, ZMQ_SNDHWM, &queue, sizeof queue) == 0);
    CHECK(zmq_setsockopt(end->socket, ZMQ_RCVHWM, &queue, sizeof queue) == 0);
    CHECK(connect ? zmq_connect(end->socket, connect) == 0 : zmq_bind(end->socket, anywhere) == 0);
}

static void end_close(struct end *end)
{
    zmq_close(end->socket);
    zmq_ctx_term(end->context);
}

/* The other process, at work on `what`, and a socket that is connected to it. */
static void begin(const char *what, const char *count, int kind, struct child *child,
                  struct end *end)
{
    char address[CHILD_LINE_MAX];
    cores_pin_both(0); /* or the child sees but one */
    child_start(child, (const char *const[]){ what, count, NULL });
    cores_pin_first(0);
    child_read(child, address);
    end_open(end, kind, address);
}

static void begin_child(int kind, struct end *end)
{
    char address[128];
    size_t size = sizeof address;
    cores_pin_last(0);
    end_open(end, kind, NULL);
    CHECK(zmq_getsockopt(end->socket, ZMQ_LAST_ENDPOINT, address, &size) == 0);
    child_say("%s", address);
}

/* ---- frames -------------------------------------------------------------------------------- */

struct frames {
    pthread_mutex_t lock;
    pthread_cond_t returned;
    char *free[FRAMES];
    size_t count;
};

static void frames_init(struct frames *frames)
{
    *frames = (struct frames){ .count = FRAMES };
    pthread_mutex_init(&frames->lock, NULL);
    pthread_cond_init(&frames->returned, NULL);
    for (size_t i = 0; i < FRAMES; i++) {
        frames->free[i] = aligned_alloc(64, WIRE_FRAME);
        CHECK(frames->free[i]);
        memset(frames->free[i], 0, WIRE_FRAME);
    }
}

static char *frames_take(struct frames *frames)
{
    pthread_mutex_lock(&frames->lock);
    while (frames->count == 0)
        pthread_cond_wait(&frames->returned, &frames->lock);
    char *data = frames->free[--frames->count];
    pthread_mutex_unlock(&frames->lock);
    return data;
}

static void give_back(void *data, void *hint)
{
    struct frames *frames = hint;
    pthread_mutex_lock(&frames->lock);
    frames->free[frames->count++] = data;
    if (frames->count == 1)
        pthread_cond_signal(&frames->returned);
    pthread_mutex_unlock(&frames->lock);
}

static void frames_fini(struct frames *frames)
{
    CHECK(frames->count == FRAMES);
    for (size_t i = 0; i < FRAMES; i++)
        free(frames->free[i]);
    pthread_mutex_destroy(&frames->lock);
    pthread_cond_destroy(&frames->returned);
}

static void send_frame(struct end *end, struct frames *frames, char *data, size_t size)
{
    zmq_msg_t message;
    CHECK(zmq_msg_init_data(&message, data, size, give_back, frames) == 0);
    CHECK(zmq_msg_send(&message, end->socket, 0) >= 0);
}

/* ---- R2 and R2b: the sender ---------------------------------------------------------------- */

/* Fills frames until the input is at its end; answers the bytes in this one, 0 at the end. */
typedef size_t fill_fn(void *input, char *data);

/* Sends an empty message and waits until it was seen, so that connecting is not measured. */
static double send_all(const char *what, uint64_t records, fill_fn *fill, void *input,
                       char said[CHILD_LINE_MAX])
{
    struct child child;
    struct end end;
    struct frames frames;
    char count[24];
    snprintf(count, sizeof count, "%llu", (unsigned long long)records);
    frames_init(&frames);
    begin(what, count, ZMQ_PUSH, &child, &end);
    CHECK(zmq_send(end.socket, "", 0, 0) == 0);
    child_read(&child, said);
    uint64_t start = bench_wall_ns();
    for (;;) {
        char *data = frames_take(&frames);
        size_t size = fill(input, data);
        if (size == 0) {
            give_back(data, &frames);
            break;
        }
        send_frame(&end, &frames, data, size);
    }
    child_read(&child, said);
    uint64_t took = bench_wall_ns() - start;
    child_end(&child);
    end_close(&end);
    frames_fini(&frames);
    return (double)records * 1000 / (double)took;
}

static size_t fill_touched(void *input, char *data)
{
    uint64_t *left = input;
    uint64_t n = *left < WIRE_FRAME / WIRE_RECORD ? *left : WIRE_FRAME / WIRE_RECORD;
    *left -= n;
    memcpy(data, left, sizeof *left);
    return n * WIRE_RECORD;
}

double wire_r2(uint64_t records)
{
    char said[CHILD_LINE_MAX];
    uint64_t left = records;
    return send_all("--r2", records, fill_touched, &left, said);
}

struct input {
    const char *at;
    const char *end;
};

static inline void pack(struct wire_record *record, uint64_t number, uint64_t time)
{
    uint64_t form = __builtin_bswap64(number ^ (1ull << 63));
    *record = (struct wire_record){
        .len = sizeof *record,
        .stream = 1,
        .hash = hash_bytes(&form, sizeof form),
        .time = time,
        .key_len = sizeof form,
        .key_value = number,
        .value = 1,
    };
    memcpy(record->key, &form, sizeof form);
}

static size_t fill_packed(void *user, char *data)
{
    struct input *input = user;
    struct wire_record *record = (struct wire_record *)(void *)data;
    const struct wire_record *end = record + WIRE_FRAME / WIRE_RECORD;
    uint64_t time = bench_wall_ns();
    for (; record < end && input->at < input->end; record++)
        pack(record, lines_number(&input->at), time);
    return (size_t)((char *)record - data);
}

double wire_r2b(const struct lines *lines, uint64_t *keys)
{
    char said[CHILD_LINE_MAX];
    struct input input = { lines->text, lines->text + lines->size };
    uint64_t records = lines->size / LINES_LEN;
    double rate = send_all("--r2b", records, fill_packed, &input, said);
    *keys = strtoull(said, NULL, 10);
    return rate;
}

/* ---- R2 and R2b: the receiver -------------------------------------------------------------- */

static uint64_t touch(void *user, const char *data, size_t size)
{
    volatile char *sum = user;
    char all = 0;
    for (size_t i = 0; i < size; i += CACHE_LINE)
        all = (char)(all + data[i]);
    *sum = all;
    return size / WIRE_RECORD;
}

static uint64_t count(void *user, const char *data, size_t size)
{
    return wire_table_count(user, data, size);
}

static void receive_all(uint64_t records, uint64_t (*take)(void *, const char *, size_t),
                        void *user)
{
    struct end end;
    begin_child(ZMQ_PULL, &end);
    zmq_msg_t message;
    zmq_msg_init(&message);
    CHECK(zmq_msg_recv(&message, end.socket, 0) == 0);
    child_say("up");
    for (uint64_t seen = 0; seen < records;) {
        CHECK(zmq_msg_recv(&message, end.socket, 0) > 0);
        seen += take(user, zmq_msg_data(&message), zmq_msg_size(&message));
    }
    zmq_msg_close(&message);
    end_close(&end);
}

static void r2_child(uint64_t records)
{
    volatile char sum = 0;
    receive_all(records, touch, (void *)(uintptr_t)&sum);
    child_say("done");
}

static void r2b_child(uint64_t records)
{
    struct wire_table *table = wire_table_create();
    receive_all(records, count, table);
    CHECK(wire_table_sum(table) == records);
    child_say("%llu", (unsigned long long)wire_table_keys(table));
    wire_table_destroy(table);
}

/* ---- R3 ------------------------------------------------------------------------------------ */

static void r3_child(uint64_t turns)
{
    struct end end;
    begin_child(ZMQ_ROUTER, &end);
    for (uint64_t i = 0; i < turns; i++) {
        char route[256], bytes[RTT_SIZE];
        int size = zmq_recv(end.socket, route, sizeof route, 0);
        CHECK(size > 0 && zmq_recv(end.socket, bytes, sizeof bytes, 0) == RTT_SIZE);
        CHECK(zmq_send(end.socket, route, (size_t)size, ZMQ_SNDMORE) == size);
        CHECK(zmq_send(end.socket, bytes, sizeof bytes, 0) == RTT_SIZE);
    }
    char line[CHILD_LINE_MAX];
    child_hear(line); /* the last answer is there when the parent closes */
    end_close(&end);
}

static int by_size(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

struct wire_rtt wire_r3(uint32_t turns)
{
    struct child child;
    struct end end;
    char count[24], bytes[RTT_SIZE] = { 0 };
    uint64_t *took = calloc(turns, sizeof *took);
    CHECK(took && turns > 0);
    snprintf(count, sizeof count, "%u", turns + RTT_WARM);
    begin("--r3", count, ZMQ_DEALER, &child, &end);
    for (uint32_t i = 0; i < turns + RTT_WARM; i++) {
        uint64_t start = bench_wall_ns();
        CHECK(zmq_send(end.socket, bytes, sizeof bytes, 0) == RTT_SIZE);
        CHECK(zmq_recv(end.socket, bytes, sizeof bytes, 0) == RTT_SIZE);
        if (i >= RTT_WARM)
            took[i - RTT_WARM] = bench_wall_ns() - start;
    }
    child_end(&child);
    end_close(&end);
    qsort(took, turns, sizeof *took, by_size);
    uint64_t p50 = took[turns / 2], p99 = took[(uint64_t)turns * 99 / 100];
    struct wire_rtt rtt = { .p50_us = (double)p50 / 1000, .p99_us = (double)p99 / 1000 };
    free(took);
    return rtt;
}

void wire_child(int argc, char **argv)
{
    static const struct {
        const char *name;
        void (*run)(uint64_t count);
    } children[] = { { "--r2", r2_child }, { "--r2b", r2b_child }, { "--r3", r3_child } };
    for (size_t i = 0; argc == 3 && i < ARRAY_LEN(children); i++)
        if (strcmp(argv[1], children[i].name) == 0) {
            children[i].run(strtoull(argv[2], NULL, 10));
            exit(0);
        }
}
