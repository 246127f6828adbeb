/* Two nets over TCP through a network that fails on command (fault_proxy.c): what one sends the
 * other applies, once and in order, whatever becomes of connections; and a node that is away is
 * told of, and told of again when it is back.
 *
 * FAULT_PROXY in the environment is the program.
 */
#include "tests/support/suite.h"

#include <dirent.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "runtime/base/rng.h"
#include "runtime/net/net.h"
#include "runtime/net/transport_zmq.h"

enum { LANES = 3, WORDS = 64, HELD_MAX = 200, STEP_MAX = 32 };

#define SECOND_US  1000000u
#define PATIENCE_S 60u
#define LINE_SIZE  128

struct end {
    struct net *net;
    struct block_pool *pool;
    uint32_t peer;
    uint64_t sent[LANES], applied[LANES];
    int unheard, heard_again, failed;
};

/* Node 0 sends to node 1 through link 0; their other session goes through link 1. */
struct rig {
    struct end ends[2];
    struct rng rng;
    pid_t proxy;
    FILE *tell, *hear;
    uint64_t begun_us;
};

static uint64_t now_us(void)
{
    return clock_real.mono_us(&clock_real);
}

/* ---- the network ----------------------------------------------------------------------------- */

static void hear_line(struct rig *rig, char line[LINE_SIZE])
{
    ck_assert_ptr_nonnull(fgets(line, LINE_SIZE, rig->hear));
}

static void command(struct rig *rig, const char *text)
{
    char line[LINE_SIZE];
    fprintf(rig->tell, "%s\n", text);
    fflush(rig->tell);
    hear_line(rig, line);
    ck_assert_str_eq(line, "ok\n");
}

static void start_proxy(struct rig *rig, const char *const ports[2], char addresses[2][64])
{
    int in[2], out[2];
    char line[LINE_SIZE];
    char *args[] = { getenv("FAULT_PROXY"), strdup(ports[0]), strdup(ports[1]), NULL };
    posix_spawn_file_actions_t actions;
    ck_assert_ptr_nonnull(args[0]);
    ck_assert(pipe2(in, O_CLOEXEC) == 0 && pipe2(out, O_CLOEXEC) == 0);
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, in[0], STDIN_FILENO);
    posix_spawn_file_actions_adddup2(&actions, out[1], STDOUT_FILENO);
    ck_assert_int_eq(posix_spawn(&rig->proxy, args[0], &actions, NULL, args, environ), 0);
    posix_spawn_file_actions_destroy(&actions);
    free(args[1]);
    free(args[2]);
    close(in[0]);
    close(out[1]);
    rig->tell = fdopen(in[1], "w");
    rig->hear = fdopen(out[0], "r");
    for (int i = 0; i < 2; i++) {
        hear_line(rig, line);
        char *at = strrchr(line, ' ');
        ck_assert_ptr_nonnull(at);
        snprintf(addresses[i], sizeof addresses[i], "tcp://127.0.0.1:%lu", strtoul(at, NULL, 10));
    }
    hear_line(rig, line);
    ck_assert_str_eq(line, "ready\n");
}

/* ---- the nodes ------------------------------------------------------------------------------- */

static void on_block(void *user, const struct net_arrival *arrival, struct block *block)
{
    struct end *end = user;
    uint32_t lane = arrival->token.lane;
    uint64_t word;
    ck_assert_uint_lt(lane, LANES);
    SUITE_SAME(arrival->token.frame, ++end->applied[lane]);
    SUITE_SAME(arrival->version, end->applied[lane]);
    SUITE_SAME(block->used, 8 * WORDS);
    memcpy(&word, block->data + 8 * (WORDS - 1), sizeof word);
    SUITE_SAME(word, arrival->token.frame << 8 | lane);
    net_credit(end->net, &arrival->token);
    net_applied(end->net, &arrival->token);
    block_release(block);
}

static void on_unheard(void *user, const struct net_silence *silence)
{
    struct end *end = user;
    end->unheard += !silence->heard;
    end->heard_again += silence->heard;
}

static void on_failed(void *user, const char *peer, uint64_t incarnation, const struct diag *diag)
{
    struct end *end = user;
    fprintf(stderr, "%s: %s\n", peer, diag->text);
    end->failed++;
}

static const struct net_upcalls upcalls = {
    .block_arrived = on_block,
    .unheard = on_unheard,
    .failed = on_failed,
};

static void end_open(struct end *end, uint32_t i)
{
    struct diag diag = { 0 };
    struct net_options options = {
        .clock = &clock_real, .node = i ? "b" : "a", .seed = i, .upcalls = &upcalls, .user = end
    };
    ck_assert_int_eq(block_pool_create(BLOCK_SIZE_MIN, &end->pool), S4_OK);
    struct transport_zmq_options zmq = { .pool = end->pool };
    ck_assert_int_eq(transport_zmq_create(&zmq, &options.transport, &diag), S4_OK);
    ck_assert_int_eq(net_create(&options, &end->net, &diag), S4_OK);
    net_identify(end->net, 1, i + 1);
    ck_assert_msg(net_bind(end->net, "tcp://127.0.0.1:*", &diag) == S4_OK, "%s", diag.text);
}

static void rig_open(struct rig *rig)
{
    char addresses[2][64];
    const char *ports[2];
    struct diag diag = { 0 };
    memset(rig, 0, sizeof *rig);
    rng_init(&rig->rng, suite_seed());
    for (uint32_t i = 0; i < 2; i++)
        end_open(&rig->ends[i], i);
    for (int i = 0; i < 2; i++)
        ports[i] = strrchr(net_address(rig->ends[!i].net), ':') + 1;
    start_proxy(rig, ports, addresses);
    for (int i = 0; i < 2; i++)
        ck_assert_int_eq(net_connect(rig->ends[i].net, i ? "a" : "b", 0, addresses[i],
                                     &rig->ends[i].peer, &diag),
                         S4_OK);
    rig->begun_us = now_us();
}

static void rig_close(struct rig *rig)
{
    fclose(rig->tell);
    fclose(rig->hear);
    ck_assert_int_eq(waitpid(rig->proxy, NULL, 0), rig->proxy);
    for (int i = 0; i < 2; i++) {
        ck_assert_int_eq(rig->ends[i].failed, 0);
        net_destroy(rig->ends[i].net);
        ck_assert_uint_eq(block_pool_bytes(rig->ends[i].pool), 0);
        block_pool_destroy(rig->ends[i].pool);
    }
}

static void send_one(struct rig *rig)
{
    struct end *end = &rig->ends[0];
    uint32_t lane = (uint32_t)rng_below(&rig->rng, LANES);
    uint64_t word = ++end->sent[lane] << 8 | lane;
    struct block *block = block_take(end->pool, 8 * WORDS);
    ck_assert_ptr_nonnull(block);
    block->used = 8 * WORDS;
    block->count = 1;
    for (size_t i = 0; i < WORDS; i++)
        memcpy(block->data + 8 * i, &word, sizeof word);
    s4_status status = net_send(end->net, end->peer, lane, "app", 1, end->sent[lane], &block);
    ck_assert_int_eq(status, S4_OK);
}

static void step(struct rig *rig, bool send)
{
    ck_assert_msg(now_us() - rig->begun_us < PATIENCE_S * SECOND_US, "it does not end");
    if (send && net_counters(rig->ends[0].net).out.frames_held < HELD_MAX)
        send_one(rig);
    bool any = false;
    for (int i = 0; i < 2; i++)
        any |= net_step(rig->ends[i].net, STEP_MAX);
    if (!any)
        net_wait(rig->ends[rng_below(&rig->rng, 2)].net, 1000);
}

static void step_for(struct rig *rig, uint64_t us)
{
    uint64_t until = now_us() + us;
    while (now_us() < until)
        step(rig, true);
}

static void settle(struct rig *rig)
{
    while (!net_is_drained(rig->ends[0].net))
        step(rig, false);
    for (int lane = 0; lane < LANES; lane++)
        ck_assert_uint_eq(rig->ends[1].applied[lane], rig->ends[0].sent[lane]);
}

static bool was_unheard(const struct rig *rig)
{
    return rig->ends[0].unheard > 0 && rig->ends[1].unheard > 0;
}

/* What was told of as silent is heard again. */
static bool is_heard(const struct rig *rig)
{
    return rig->ends[0].unheard == rig->ends[0].heard_again &&
           rig->ends[1].unheard == rig->ends[1].heard_again;
}

/* ---- what happens ---------------------------------------------------------------------------- */

static size_t count_fds(void)
{
    size_t n = 0;
    DIR *dir = opendir("/proc/self/fd");
    ck_assert_ptr_nonnull(dir);
    while (readdir(dir))
        n++;
    closedir(dir);
    return n;
}

START_TEST(connections_that_end)
{
    struct rig rig;
    char text[32];
    rig_open(&rig);
    step_for(&rig, 300000);
    size_t fds = count_fds();
    for (int i = 0; i < 30; i++) {
        step_for(&rig, 10000 + rng_below(&rig.rng, 150000));
        if (i % 2)
            snprintf(text, sizeof text, "all reset");
        else
            snprintf(text, sizeof text, "0 close %u", 1 + (unsigned)rng_below(&rig.rng, 20000));
        command(&rig, text);
    }
    settle(&rig);
    struct session_counters out = net_counters(rig.ends[0].net).out;
    fprintf(stderr, "%llu frames, %llu of them again, %llu connections made again\n",
            (unsigned long long)out.frames_sent, (unsigned long long)out.frames_resent,
            (unsigned long long)out.reopened);
    step_for(&rig, 2500000); /* what was given up is closed by and by */
    ck_assert_uint_le(count_fds(), fds + 4);
    settle(&rig);
    ck_assert_uint_gt(out.reopened, 3); /* each time it waits longer before it makes one again */
    ck_assert_int_eq(rig.ends[0].unheard + rig.ends[1].unheard, 0);
    rig_close(&rig);
}
END_TEST

/* Half-open for a while that is not told; what was on its way comes when it is no use any more. */
START_TEST(a_silence_that_is_short)
{
    struct rig rig;
    rig_open(&rig);
    step_for(&rig, 300000);
    command(&rig, "all cut");
    step_for(&rig, 3500000);
    command(&rig, "all heal");
    step_for(&rig, 1500000);
    settle(&rig);
    ck_assert_uint_gt(net_counters(rig.ends[0].net).out.reopened, 0);
    ck_assert_int_eq(rig.ends[0].unheard + rig.ends[1].unheard, 0);
    rig_close(&rig);
}
END_TEST

START_TEST(a_silence_that_is_told)
{
    struct rig rig;
    rig_open(&rig);
    step_for(&rig, 300000);
    command(&rig, "all cut");
    while (!was_unheard(&rig))
        step(&rig, true);
    ck_assert(!is_heard(&rig));
    command(&rig, "all heal");
    while (!is_heard(&rig))
        step(&rig, true);
    settle(&rig);
    rig_close(&rig);
}
END_TEST

START_TEST(one_way_only)
{
    struct rig rig;
    rig_open(&rig);
    step_for(&rig, 300000);
    command(&rig, "all oneway a");
    step_for(&rig, 4000000);
    command(&rig, "all heal");
    settle(&rig);
    rig_close(&rig);
}
END_TEST

Suite *suite_build(void)
{
    Suite *suite = suite_create("reopen");
    suite_add(suite, "ends", connections_that_end, 90);
    suite_add(suite, "short", a_silence_that_is_short, 90);
    suite_add(suite, "told", a_silence_that_is_told, 90);
    suite_add(suite, "one-way", one_way_only, 90);
    return suite;
}
