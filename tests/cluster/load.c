/* A client that injects numbered entries into the ledger (ledger.c) and says what it did and what
 * became of it: the sender's part of a history (history.py).
 *
 *     load APP NODE[,NODE...] SENDER EVENTS KEYS BATCH WINDOW RATE repeat|doubt
 *
 * Entry i of a sender, from 0, has the key ((i * 2654435761 + sender * 40503) mod 2^32) mod KEYS,
 * the value i mod 1000, and the next number of its key; the checker knows this too. EVENTS 0 is
 * without end, RATE is entries per second, 0 as fast as they are taken. SIGTERM ends the input.
 *
 * A node that refuses or is gone is left for the next one. What had no answer is sent there again
 * under its old number (`repeat`: right while whoever had it lives, as after a node that left or a
 * connection that broke), or is in doubt and never sent again (`doubt`).
 *
 * Lines, JSON:
 *     {"op":"begin","sender":,"keys":,"producer":}
 *     {"op":"send","sender":,"number":,"first":,"count":,"t":}     before each attempt
 *     {"op":"done","sender":,"number":,"status":,"accepted":,"rejected":,"duplicate":,"t":,
 *      "why":}
 *     {"op":"end","sender":,"events":,"t":}
 * t is the machine's monotonic clock in seconds.
 */
#include <inttypes.h>
#include <signal.h>
#include <time.h>

#include <s4/client.h>

#include "runtime/base/base.h"
#include "tests/cluster/ledger.pb-c.h"

#define BATCHES_MAX 1024 /* under way */
#define KEYS_MAX    (1u << 20)
#define EVENT_MAX   64 /* bytes of one, packed */
#define NODES_MAX   16
#define ATTEMPTS    600 /* to find a node that takes batches, PAUSE_MS apart */
#define PAUSE_MS    100
#define TIMEOUT_MS  20000

enum fate { FREE, UNDER_WAY, UNANSWERED };

/* A batch under way: its bytes can be made again from the numbers of its keys before it. */
struct sent {
    struct load *load;
    enum fate fate;
    uint64_t number, first, count;
    size_t size;
    uint8_t *bytes;
};

struct load {
    const char *app;
    const char *nodes[NODES_MAX];
    size_t n_nodes, node;
    uint64_t sender, events, keys, batch, window, rate;
    bool repeat;
    uint64_t producer, number, at; /* of the next batch; of the next entry */
    uint64_t *numbers;             /* by key: the last */
    struct sent sent[BATCHES_MAX];
    s4_client *client;
    bool refused; /* the node takes no more */
};

static volatile sig_atomic_t stopped;

static void stop(int number)
{
    (void)number;
    stopped = 1;
}

static double now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

_Noreturn static void fail(const char *what, const char *why)
{
    fprintf(stderr, "load: %s: %s\n", what, why);
    exit(1);
}

static void sleep_s(double seconds)
{
    struct timespec time = { .tv_sec = (time_t)seconds };
    time.tv_nsec = (long)((seconds - (double)time.tv_sec) * 1e9);
    nanosleep(&time, NULL);
}

/* ---- batches ------------------------------------------------------------------------------- */

static void make(struct load *load, struct sent *sent)
{
    sent->size = 0;
    for (uint64_t i = sent->first; i < sent->first + sent->count; i++) {
        Ledger__Entry entry = LEDGER__ENTRY__INIT;
        entry.sender = load->sender;
        entry.key = (uint32_t)(i * 2654435761u + load->sender * 40503u) % load->keys;
        entry.number = ++load->numbers[entry.key];
        entry.value = i % 1000;
        uint8_t *at = sent->bytes + sent->size;
        at[0] = (uint8_t)ledger__entry__pack(&entry, at + 1); /* shorter than 128 bytes */
        sent->size += 1u + at[0];
    }
}

static struct sent *find_free(struct load *load)
{
    for (size_t i = 0; i < BATCHES_MAX; i++)
        if (load->sent[i].fate == FREE)
            return &load->sent[i];
    fail("batches", "more are under way than the window");
}

static void say_send(const struct sent *sent)
{
    printf("{\"op\":\"send\",\"sender\":%" PRIu64 ",\"number\":%" PRIu64 ",\"first\":%" PRIu64
           ",\"count\":%" PRIu64 ",\"t\":%.6f}\n",
           sent->load->sender, sent->number, sent->first, sent->count, now());
}

/* The words of a node, without what JSON would have to escape. */
static void say_done(const struct sent *sent, const s4_injected *result)
{
    char why[160];
    snprintf(why, sizeof why, "%s", result->message ? result->message : "");
    for (char *at = why; *at; at++)
        if (*at == '"' || *at == '\\' || (unsigned char)*at < ' ' || (unsigned char)*at > '~')
            *at = '\'';
    printf("{\"op\":\"done\",\"sender\":%" PRIu64 ",\"number\":%" PRIu64
           ",\"status\":\"%s\",\"accepted\":%" PRIu64 ",\"rejected\":%" PRIu64
           ",\"duplicate\":%s,\"t\":%.6f,\"why\":\"%s\"}\n",
           sent->load->sender, sent->number, s4_status_name(result->status), result->accepted,
           result->rejected, result->duplicate ? "true" : "false", now(), why);
}

/* ---- nodes --------------------------------------------------------------------------------- */

/* Of a node that did not answer, nothing is known; of one that refused, that it did not take it. */
static void answered(void *user, const s4_injected *result)
{
    struct sent *sent = user;
    struct load *load = sent->load;
    bool silent = result->status == S4_UNAVAILABLE;
    say_done(sent, result);
    bool over =
        result->status == S4_OK || result->status == S4_IN_DOUBT || (silent && !load->repeat);
    sent->fate = over ? FREE : UNANSWERED;
    load->refused |= result->status != S4_OK && result->status != S4_IN_DOUBT;
}

static bool connect_to(struct load *load, const char *node, uint64_t number, s4_client **client)
{
    s4_client_options options = { .node = node,
                                  .timeout_ms = TIMEOUT_MS,
                                  .window = (uint32_t)load->window,
                                  .producer = load->producer,
                                  .number = number };
    if (s4_client_create(&options, client) != S4_OK)
        fail(node, "no client");
    if (s4_client_connect(*client) == S4_OK)
        return true;
    s4_client_destroy(*client);
    *client = NULL;
    return false;
}

static s4_status begin(struct load *load, s4_client *client, struct sent *sent)
{
    s4_batch batch = { .app = load->app,
                       .stream = "entries",
                       .format = S4_CLIENT_PB,
                       .ack = S4_CLIENT_APPLIED,
                       .bytes = sent->bytes,
                       .size = sent->size };
    sent->fate = UNDER_WAY;
    say_send(sent);
    s4_status status = s4_client_inject_start(client, &batch, answered, sent);
    if (status != S4_OK)
        sent->fate = UNANSWERED;
    return status;
}

static struct sent *first_unanswered(struct load *load)
{
    struct sent *first = NULL;
    for (size_t i = 0; i < BATCHES_MAX; i++)
        if (load->sent[i].fate == UNANSWERED && (!first || load->sent[i].number < first->number))
            first = &load->sent[i];
    return first;
}

/* One after the other, in order: a later one that were taken first would make it a repeat. */
static bool send_again(struct load *load, const char *node)
{
    struct sent *sent;
    while ((sent = first_unanswered(load))) {
        s4_client *client;
        if (!connect_to(load, node, sent->number, &client))
            return false;
        load->refused = false;
        s4_status status = begin(load, client, sent);
        if (status == S4_OK)
            status = s4_client_inject_finish(client);
        s4_client_destroy(client);
        if (load->refused || status != S4_OK)
            return false;
    }
    return true;
}

static void find_node(struct load *load)
{
    s4_client_destroy(load->client);
    load->client = NULL;
    for (int i = 0; i < ATTEMPTS; i++) {
        const char *node = load->nodes[load->node];
        if (send_again(load, node) && connect_to(load, node, load->number, &load->client)) {
            load->refused = false;
            return;
        }
        load->node = (load->node + 1) % load->n_nodes;
        sleep_s(PAUSE_MS / 1e3);
    }
    fail("no node takes batches", load->nodes[load->node]);
}

/* ---- all of it ----------------------------------------------------------------------------- */

static void next_batch(struct load *load)
{
    struct sent *sent = find_free(load);
    uint64_t left = load->events ? load->events - load->at : load->batch;
    sent->number = load->number++;
    sent->first = load->at;
    sent->count = left < load->batch ? left : load->batch;
    load->at += sent->count;
    make(load, sent);
    if (begin(load, load->client, sent) != S4_OK)
        load->refused = true;
}

static void finish(struct load *load)
{
    do {
        if (load->refused)
            find_node(load);
        if (s4_client_inject_finish(load->client) != S4_OK)
            load->refused = true;
    } while (load->refused && first_unanswered(load));
}

static void run(struct load *load)
{
    double began = now();
    while (!stopped && (!load->events || load->at < load->events)) {
        double due = load->rate ? began + (double)load->at / (double)load->rate : 0;
        if (due > now())
            sleep_s(due - now());
        if (load->refused) {
            if (s4_client_inject_finish(load->client) != S4_OK)
                load->refused = true;
            find_node(load);
        }
        next_batch(load);
    }
    finish(load);
}

static uint64_t number_of(const char *text, uint64_t least, uint64_t most)
{
    char *end;
    unsigned long long value = strtoull(text, &end, 10);
    if (*end || value < least || value > most)
        fail(text, "no number that it takes");
    return value;
}

static void parse(struct load *load, char **argv)
{
    load->app = argv[1];
    for (char *at = argv[2]; at && load->n_nodes < NODES_MAX;) {
        char *comma = strchr(at, ',');
        if (comma)
            *comma++ = '\0';
        load->nodes[load->n_nodes++] = at;
        at = comma;
    }
    load->sender = number_of(argv[3], 1, UINT32_MAX);
    load->events = number_of(argv[4], 0, UINT32_MAX);
    load->keys = number_of(argv[5], 1, KEYS_MAX);
    load->batch = number_of(argv[6], 1, 1000);
    load->window = number_of(argv[7], 1, BATCHES_MAX - 1);
    load->rate = number_of(argv[8], 0, UINT32_MAX);
    load->repeat = strcmp(argv[9], "repeat") == 0;
    load->producer = load->sender * 1000003u;
    load->number = 1;
}

int main(int argc, char **argv)
{
    static struct load load;
    struct sigaction action = { .sa_handler = stop };
    if (argc != 10)
        fail("usage", "load APP NODES SENDER EVENTS KEYS BATCH WINDOW RATE repeat|doubt");
    parse(&load, argv);
    load.numbers = calloc(load.keys, sizeof *load.numbers);
    CHECK(load.numbers);
    for (size_t i = 0; i < BATCHES_MAX; i++) {
        load.sent[i].load = &load;
        load.sent[i].bytes = malloc(load.batch * EVENT_MAX);
        CHECK(load.sent[i].bytes);
    }
    sigaction(SIGTERM, &action, NULL);
    printf("{\"op\":\"begin\",\"sender\":%" PRIu64 ",\"keys\":%" PRIu64 ",\"producer\":%" PRIu64
           "}\n",
           load.sender, load.keys, load.producer);
    find_node(&load);
    run(&load);
    printf("{\"op\":\"end\",\"sender\":%" PRIu64 ",\"events\":%" PRIu64 ",\"t\":%.6f}\n",
           load.sender, load.at, now());
    s4_client_destroy(load.client);
    for (size_t i = 0; i < BATCHES_MAX; i++)
        free(load.sent[i].bytes);
    free(load.numbers);
    return 0;
}
