/* Any bytes as a bundle. Compressed bytes hide their content from a fuzzer, so the first byte
 * chooses where the rest goes in: as the whole file, as the tar within it, or as its graph. */
#include <archive.h>
#include <archive_entry.h>

#include "pe/bundle/bundle.h"
#include "pe/graph/app.h"
#include "pe/graph/check.h"
#include "pe/graph/graph.h"

extern const s4_app s4_plugin; /* tests/abi/good.c */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void open_file(const void *bytes, size_t size)
{
    struct problems problems;
    struct bundle *bundle;
    problems_init(&problems);
    if (bundle_open_bytes(bytes, size, &bundle, &problems) == S4_OK)
        bundle_release(bundle);
    else
        CHECK(problems.count > 0);
    problems_fini(&problems);
}

static la_ssize_t append(struct archive *archive, void *out, const void *data, size_t size)
{
    CHECK(buffer_append(out, data, size) == S4_OK);
    return (la_ssize_t)size;
}

static void open_tar(const void *tar, size_t size)
{
    struct buffer bytes;
    buffer_init(&bytes);
    struct archive *archive = archive_write_new();
    struct archive_entry *entry = archive_entry_new();
    CHECK(archive && entry);
    CHECK(archive_write_add_filter_zstd(archive) == ARCHIVE_OK);
    CHECK(archive_write_set_format_raw(archive) == ARCHIVE_OK);
    CHECK(archive_write_set_bytes_in_last_block(archive, 1) == ARCHIVE_OK);
    CHECK(archive_write_open(archive, &bytes, NULL, append, NULL) == ARCHIVE_OK);
    archive_entry_set_filetype(entry, AE_IFREG);
    CHECK(archive_write_header(archive, entry) == ARCHIVE_OK);
    CHECK(archive_write_data(archive, tar, size) == (la_ssize_t)size);
    CHECK(archive_write_close(archive) == ARCHIVE_OK);
    archive_entry_free(entry);
    archive_write_free(archive);
    open_file(bytes.data, bytes.size);
    buffer_fini(&bytes);
}

static void check_graph(const void *bytes, size_t size)
{
    static struct schema *schema;
    struct problems problems;
    S4__Graph__Graph *graph;
    uint64_t hash;
    if (!schema)
        CHECK(app_schema(&s4_plugin, &schema, NULL) == S4_OK);
    if (graph_unpack(bytes, size, &graph, NULL) != S4_OK)
        return;
    problems_init(&problems);
    s4_status status = graph_check(graph, schema, &problems);
    CHECK((status == S4_OK) == (problems.count == 0));
    if (status == S4_OK)
        CHECK(graph_hash(graph, schema, &hash) == S4_OK);
    problems_fini(&problems);
    graph_destroy(graph);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    switch (data[0]) {
    case 't':
        open_tar(data + 1, size - 1);
        break;
    case 'g':
        check_graph(data + 1, size - 1);
        break;
    default:
        open_file(data + 1, size - 1);
    }
    return 0;
}
