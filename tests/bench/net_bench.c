/* What sessions cost between two processes: blocks of 64 KiB over tcp on the loopback, MB/s,
 * against a bare ZeroMQ PUSH to PULL of the same blocks, zero-copy, whose receiver only touches
 * them (R2). Both in turn, five rounds; the ratio is the median of the rounds' ratios. CPU is the
 * user and system time of both processes, ZeroMQ's threads included, per block.
 *
 *     net_bench [blocks per round]
 */
#include <spawn.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>
#include <zmq.h>

#include "runtime/base/mem.h"
#include "runtime/net/net.h"
#include "runtime/net/transport_zmq.h"

enum { ROUNDS = 5, BLOCKS = 6000, HELD_MAX = 64, SECONDS_MAX = 10 };

enum way { RAW, NET, WAYS };
static const char *const way_names[] = { "raw", "net" };

struct result {
    double mb_per_s;
    double cpu_us; /* per block */
};

struct receiver {
    struct net *net;
    uint64_t arrived;
    uint64_t touched;
};

static uint64_t cpu_us(void)
{
    struct rusage usage;
    CHECK(getrusage(RUSAGE_SELF, &usage) == 0);
    return (uint64_t)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1000000u +
           (uint64_t)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec);
}

static uint64_t touch(const char *data, size_t size)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < size; i += CACHE_LINE)
        sum += (unsigned char)data[i];
    return sum;
}

static void fail(const char *what, const struct diag *diag)
{
    fprintf(stderr, "net_bench: %s: %s\n", what, diag->text);
    exit(1);
}

static struct block_pool *make_pool(void)
{
    struct block_pool *pool;
    CHECK(block_pool_create(BLOCK_SIZE_DEFAULT, &pool) == S4_OK);
    return pool;
}

static struct block *make_block(struct block_pool *pool, uint64_t number)
{
    struct block *block = block_take(pool, 0);
    CHECK(block);
    memset(block->data, (int)number, 64); /* the rest is as the last user left it */
    block->used = (uint32_t)BLOCK_SIZE_DEFAULT;
    block->count = 655;
    return block;
}

/* --- the receiving process --- */

static void receive_raw(uint64_t blocks)
{
    char address[TRANSPORT_ADDRESS_MAX];
    size_t size = sizeof address;
    uint64_t sum = 0;
    void *context = zmq_ctx_new();
    void *pull = zmq_socket(context, ZMQ_PULL);
    CHECK(zmq_bind(pull, "tcp://127.0.0.1:*") == 0);
    CHECK(zmq_getsockopt(pull, ZMQ_LAST_ENDPOINT, address, &size) == 0);
    printf("%s\n", address);
    fflush(stdout);
    for (uint64_t i = 0; i < blocks; i++) {
        zmq_msg_t message;
        zmq_msg_init(&message);
        CHECK(zmq_msg_recv(&message, pull, 0) == BLOCK_SIZE_DEFAULT);
        sum += touch(zmq_msg_data(&message), zmq_msg_size(&message));
        zmq_msg_close(&message);
    }
    printf("%llu %llu\n", (unsigned long long)cpu_us(), (unsigned long long)sum);
    fflush(stdout);
    zmq_close(pull);
    zmq_ctx_term(context);
}

static void on_block(void *user, const struct net_arrival *arrival, struct block *block)
{
    struct receiver *receiver = user;
    receiver->arrived++;
    receiver->touched += touch(block->data, block->used);
    net_credit(receiver->net, &arrival->token);
    net_applied(receiver->net, &arrival->token);
    block_release(block);
}

static void on_failed(void *user, const char *peer, uint64_t incarnation, const struct diag *diag)
{
    fail(peer, diag);
}

static const struct net_upcalls upcalls = { .block_arrived = on_block, .failed = on_failed };

static struct net *make_net(struct block_pool *pool, const char *name, void *user)
{
    struct diag diag = { 0 };
    struct transport_zmq_options zmq_options = { .pool = pool };
    struct net_options options = {
        .clock = &clock_real,
        .node = name,
        .seed = 1,
        .upcalls = &upcalls,
        .user = user,
    };
    struct net *net = NULL;
    if (transport_zmq_create(&zmq_options, &options.transport, &diag) != S4_OK ||
        net_create(&options, &net, &diag) != S4_OK ||
        net_bind(net, "tcp://127.0.0.1:*", &diag) != S4_OK)
        fail(name, &diag);
    net_identify(net, 0, 1);
    return net;
}

static void receive_net(uint64_t blocks)
{
    struct receiver receiver = { 0 };
    struct block_pool *pool = make_pool();
    receiver.net = make_net(pool, "receiver", &receiver);
    printf("%s\n", net_address(receiver.net));
    fflush(stdout);
    bool told = false, was_up = false;
    while (!was_up || !net_is_closed(receiver.net)) {
        if (!net_step(receiver.net, 64))
            net_wait(receiver.net, 100000);
        was_up |= receiver.arrived > 0;
        if (receiver.arrived == blocks && !told) {
            printf("%llu %llu\n", (unsigned long long)cpu_us(),
                   (unsigned long long)receiver.touched);
            fflush(stdout);
            told = true;
        }
    }
    net_destroy(receiver.net);
    block_pool_destroy(pool);
}

/* --- the sending process --- */

struct child {
    pid_t pid;
    FILE *out;
    char address[TRANSPORT_ADDRESS_MAX];
};

static void start_child(struct child *child, const char *self, enum way way, uint64_t blocks)
{
    int ends[2];
    char count[32], name[8], flag[] = "--receive";
    char path[4096];
    snprintf(count, sizeof count, "%llu", (unsigned long long)blocks);
    snprintf(name, sizeof name, "%s", way_names[way]);
    snprintf(path, sizeof path, "%s", self);
    char *const args[] = { path, flag, name, count, NULL };
    posix_spawn_file_actions_t actions;
    CHECK(pipe(ends) == 0);
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, ends[1], STDOUT_FILENO);
    posix_spawn_file_actions_addclose(&actions, ends[0]);
    CHECK(posix_spawn(&child->pid, self, &actions, NULL, args, environ) == 0);
    posix_spawn_file_actions_destroy(&actions);
    close(ends[1]);
    child->out = fdopen(ends[0], "r");
    CHECK(child->out && fgets(child->address, sizeof child->address, child->out));
    child->address[strcspn(child->address, "\n")] = '\0';
}

/* Waits until the child has everything; its CPU time. */
static uint64_t child_cpu_us(struct child *child)
{
    char line[128];
    CHECK(fgets(line, sizeof line, child->out));
    return strtoull(line, NULL, 10);
}

static void end_child(struct child *child)
{
    int status;
    CHECK(waitpid(child->pid, &status, 0) == child->pid && status == 0);
    fclose(child->out);
}

static void release(void *data, void *hint)
{
    block_release(hint);
}

static void send_raw(struct child *child, uint64_t blocks)
{
    struct block_pool *pool = make_pool();
    int queue = HELD_MAX;
    void *context = zmq_ctx_new();
    void *push = zmq_socket(context, ZMQ_PUSH);
    CHECK(zmq_setsockopt(push, ZMQ_SNDHWM, &queue, sizeof queue) == 0);
    CHECK(zmq_connect(push, child->address) == 0);
    for (uint64_t i = 0; i < blocks; i++) {
        struct block *block = make_block(pool, i);
        zmq_msg_t message;
        CHECK(zmq_msg_init_data(&message, block->data, block->used, release, block) == 0);
        CHECK(zmq_msg_send(&message, push, 0) >= 0);
    }
    zmq_close(push);
    zmq_ctx_term(context);
    block_pool_destroy(pool);
}

static void send_net(struct child *child, uint64_t blocks)
{
    struct block_pool *pool = make_pool();
    struct net *net = make_net(pool, "sender", NULL);
    struct diag diag = { 0 };
    uint32_t peer;
    if (net_connect(net, "receiver", 0, child->address, &peer, &diag) != S4_OK)
        fail("connect", &diag);
    for (uint64_t sent = 0; sent < blocks;) {
        bool work = net_step(net, 64);
        while (sent < blocks && net_counters(net).out.frames_held < HELD_MAX) {
            struct block *block = make_block(pool, sent++);
            CHECK(net_send(net, peer, 0, "bench", 1, 0, &block) == S4_OK);
            work = true;
        }
        if (!work)
            net_wait(net, 100000);
    }
    net_close(net);
    while (!net_is_closed(net)) {
        if (!net_step(net, 64))
            net_wait(net, 100000);
    }
    net_destroy(net);
    block_pool_destroy(pool);
}

static struct result run(const char *self, enum way way, uint64_t blocks)
{
    struct child child;
    start_child(&child, self, way, blocks);
    uint64_t own_us = cpu_us(), start_us = clock_real.mono_us(&clock_real);
    if (way == RAW)
        send_raw(&child, blocks);
    else
        send_net(&child, blocks);
    uint64_t other_us = child_cpu_us(&child);
    uint64_t took_us = clock_real.mono_us(&clock_real) - start_us;
    own_us = cpu_us() - own_us;
    end_child(&child);
    double bytes = (double)blocks * (double)BLOCK_SIZE_DEFAULT;
    return (struct result){ .mb_per_s = bytes / (double)took_us,
                            .cpu_us = (double)(own_us + other_us) / (double)blocks };
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void print_line(const char *what, double values[ROUNDS], const char *unit)
{
    qsort(values, ROUNDS, sizeof *values, compare);
    printf("%-22s %9.2f %-6s [%.2f .. %.2f]\n", what, values[ROUNDS / 2], unit, values[0],
           values[ROUNDS - 1]);
}

int main(int argc, char **argv)
{
    if (argc == 4 && strcmp(argv[1], "--receive") == 0) {
        uint64_t count = strtoull(argv[3], NULL, 10);
        if (strcmp(argv[2], way_names[RAW]) == 0)
            receive_raw(count);
        else
            receive_net(count);
        return 0;
    }
    uint64_t blocks = argc > 1 ? strtoull(argv[1], NULL, 10) : BLOCKS;
    double speed[WAYS][ROUNDS], cpu[WAYS][ROUNDS], ratio[ROUNDS];
    if (blocks == 0) {
        fprintf(stderr, "usage: net_bench [blocks per round]\n");
        return 2;
    }
    alarm(SECONDS_MAX); /* a bench that hangs must not hang its caller */
    for (int round = 0; round < ROUNDS; round++) {
        for (int way = RAW; way < WAYS; way++) {
            struct result result = run(argv[0], (enum way)way, blocks);
            speed[way][round] = result.mb_per_s;
            cpu[way][round] = result.cpu_us;
        }
        ratio[round] = speed[NET][round] / speed[RAW][round];
    }
    printf("%llu blocks of 64 KiB over tcp, median [least .. most] of %d rounds\n",
           (unsigned long long)blocks, ROUNDS);
    print_line("raw PUSH/PULL", speed[RAW], "MB/s");
    print_line("sessions", speed[NET], "MB/s");
    print_line("ratio", ratio, "");
    print_line("raw CPU per block", cpu[RAW], "us");
    print_line("sessions CPU per block", cpu[NET], "us");
    return 0;
}
