/* A client that reads rows of the ledger again and again and says what it saw: the reader's part of
 * a history (history.py).
 *
 *     reader APP NODE READER TABLE KEY...
 *
 * Lines, JSON, until SIGTERM:
 *     {"op":"read","reader":,"table":,"row":{...},"partition":,"fresh_us":,"t":}
 *     {"op":"missed","reader":,"status":,"t":}
 */
#include <inttypes.h>
#include <signal.h>
#include <time.h>

#include <s4/client.h>

#include "runtime/base/base.h"

#define PAUSE_NS   20000000 /* between two reads */
#define TIMEOUT_MS 10000

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

static void say_rows(const char *reader, const char *table, const s4_rows *rows)
{
    if (s4_rows_count(rows) != 1 || s4_rows_partitions(rows) != 1)
        return;
    printf("{\"op\":\"read\",\"reader\":\"%s\",\"table\":\"%s\",\"row\":%s,\"partition\":%u,"
           "\"fresh_us\":%" PRIu64 ",\"t\":%.6f}\n",
           reader, table, s4_rows_json(rows, 0), s4_rows_partition(rows, 0), s4_rows_fresh(rows, 0),
           now());
}

static s4_client *join(const char *node)
{
    s4_client_options options = { .node = node, .timeout_ms = TIMEOUT_MS };
    s4_client *client;
    if (s4_client_create(&options, &client) != S4_OK)
        exit(1);
    if (s4_client_connect(client) == S4_OK)
        return client;
    s4_client_destroy(client);
    return NULL;
}

int main(int argc, char **argv)
{
    struct sigaction action = { .sa_handler = stop };
    if (argc < 6)
        return 2;
    sigaction(SIGTERM, &action, NULL);
    s4_client *client = NULL;
    for (int i = 0; !stopped; i = (i + 1) % (argc - 5)) {
        s4_query query = { .app = argv[1], .output = argv[4], .key = argv[5 + i] };
        s4_rows *rows = NULL;
        if (!client)
            client = join(argv[2]);
        s4_status status = client ? s4_client_query(client, &query, &rows) : S4_UNAVAILABLE;
        if (status == S4_OK) {
            say_rows(argv[3], argv[4], rows);
        } else {
            printf("{\"op\":\"missed\",\"reader\":\"%s\",\"status\":\"%s\",\"t\":%.6f}\n", argv[3],
                   s4_status_name(status), now());
            s4_client_destroy(client);
            client = NULL;
        }
        s4_rows_destroy(rows);
        nanosleep(&(struct timespec){ .tv_nsec = PAUSE_NS }, NULL);
    }
    s4_client_destroy(client);
    return 0;
}
