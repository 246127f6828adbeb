/* Any bytes as app.yaml of the good app: a mistake is told with its place, and what is taken
 * changes nothing when it is read a second time, as every bundle's is. */
#include "pe/bundle/manifest.h"
#include "pe/graph/app.h"
#include "pe/graph/check.h"
#include "pe/graph/graph.h"

extern const s4_app s4_plugin; /* tests/abi/good.c */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_problems(const struct problems *problems)
{
    CHECK(problems->count > 0);
    for (size_t i = 0; i < problems->count; i++)
        CHECK(problems->list[i].code != S4_OK &&
              strncmp(problems->list[i].text, "app.yaml:", 9) == 0);
}

static void check_again(const uint8_t *data, size_t size, const struct schema *schema,
                        S4__Graph__Graph *graph, struct problems *problems)
{
    struct buffer once, twice;
    buffer_init(&once);
    buffer_init(&twice);
    CHECK(graph_pack(graph, &once) == S4_OK);
    CHECK(manifest_apply("app.yaml", (const char *)data, size, schema, graph, problems) == S4_OK);
    CHECK(graph_pack(graph, &twice) == S4_OK);
    CHECK(once.size == twice.size && memcmp(once.data, twice.data, once.size) == 0);
    buffer_fini(&once);
    buffer_fini(&twice);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct schema *schema;
    struct problems problems;
    S4__Graph__Graph *graph;
    if (!schema)
        CHECK(app_schema(&s4_plugin, &schema, NULL) == S4_OK);
    CHECK(graph_from_app(&s4_plugin, &graph) == S4_OK);
    problems_init(&problems);
    if (manifest_apply("app.yaml", (const char *)data, size, schema, graph, &problems) != S4_OK) {
        check_problems(&problems);
    } else {
        check_again(data, size, schema, graph, &problems);
        s4_status status = graph_check(graph, schema, &problems);
        CHECK((status == S4_OK) == (problems.count == 0));
    }
    problems_fini(&problems);
    graph_destroy(graph);
    return 0;
}
