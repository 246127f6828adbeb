/* A program of somebody else's: what client.h shows, built against the installed package. Prints
 * the count of "be", and its columns. */
#include <stdio.h>

#include <s4/client.h>

static int fail(const s4_client *client, const char *what)
{
    fprintf(stderr, "%s: %s\n", what, s4_client_message(client));
    s4_client_destroy((s4_client *)(uintptr_t)client);
    return 1;
}

int main(void)
{
    s4_client *client;
    if (s4_client_create(NULL, &client) != S4_OK)
        return 1;
    if (s4_client_connect(client) != S4_OK)
        return fail(client, "connect");
    const char lines[] = "to\nbe\nor\nnot\nto\nbe\n";
    s4_batch batch = { .app = "probe",
                       .stream = "lines",
                       .format = S4_CLIENT_TEXT,
                       .ack = S4_CLIENT_APPLIED,
                       .bytes = lines,
                       .size = sizeof lines - 1 };
    s4_injected taken;
    if (s4_client_inject(client, &batch, &taken) != S4_OK || taken.accepted != 6)
        return fail(client, "inject");
    if (s4_client_drain(client, "probe", false, NULL) != S4_OK)
        return fail(client, "drain");
    s4_query query = { .app = "probe", .output = "totals", .key = "be" };
    s4_rows *rows;
    if (s4_client_query(client, &query, &rows) != S4_OK || s4_rows_count(rows) != 1)
        return fail(client, "query");
    size_t size;
    const unsigned char *pb = s4_rows_pb(rows, 0, &size);
    printf("%s %zu %d\n", s4_rows_json(rows, 0), size, size ? pb[0] : -1);
    for (size_t i = 0; i < s4_rows_columns(rows); i++)
        printf("%s\n", s4_rows_column(rows, i));
    s4_rows_destroy(rows);
    s4_client_destroy(client);
    return 0;
}
