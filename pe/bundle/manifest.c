/* app.yaml, from its top: the app's own settings, its clock, and the maps of what the code names.
 * All mistakes are told, in the order in which they stand; the clock comes last, since it looks at
 * the streams' settings. */
#include "pe/bundle/manifest.h"

#include "pe/bundle/manifest_parts.h"
#include "pe/graph/names.h"
#include "runtime/base/mem.h"

/* ---- streams, outputs, prototypes ---------------------------------------------------------- */

static const struct word stream_words[] = {
    { "block", S4__GRAPH__STREAM__FULL__BLOCK },
    { "shed", S4__GRAPH__STREAM__FULL__SHED },
    { 0 },
};
static const struct word output_words[] = {
    { "refuse", S4__GRAPH__OUTPUT__FULL__REFUSE },
    { "drop_oldest", S4__GRAPH__OUTPUT__FULL__DROP_OLDEST },
    { 0 },
};

static void read_internal(struct setting_reader *reader, const struct setting *setting,
                          const struct tree_node *node, void *target)
{
    S4__Graph__Stream *stream = target;
    bool internal;
    if (setting_bool_of(node, &internal))
        stream->external = !internal;
    else
        setting_wrong(reader, node, S4_TYPE, "true or false");
}

/* APP.STREAM: what another app emits there is heard here, too. */
static void read_from(struct setting_reader *reader, const struct setting *setting,
                      const struct tree_node *node, void *target)
{
    S4__Graph__Stream *stream = target;
    char app[GRAPH_NAME_MAX + 1] = "";
    const char *dot = strchr(setting_text(node), '.');
    if (dot && (size_t)(dot - node->text) < sizeof app)
        memcpy(app, node->text, (size_t)(dot - node->text));
    if (!dot || !name_valid(app) || !name_valid(dot + 1)) {
        setting_wrong(reader, node, S4_INVALID, "APP.STREAM, a stream of another app");
        return;
    }
    setting_set_text(reader, &stream->from_app, app);
    setting_set_text(reader, &stream->from_stream, dot + 1);
}

static const struct setting stream_settings[] = {
    SETTING_WORD("full", S4__Graph__Stream, full, stream_words),
    { .key = "internal", .read = read_internal },
    { .key = "from", .read = read_from },
    { 0 },
};
static const struct setting output_settings[] = {
    SETTING_NUMBER("rows_max", setting_count, S4__Graph__Output, rows_max, 1, ROWS_MAX),
    SETTING_NUMBER("bytes_max", setting_size, S4__Graph__Output, bytes_max, 1, ROWS_BYTES_MAX),
    SETTING_WORD("full", S4__Graph__Output, full, output_words),
    { 0 },
};

static void read_streams(struct setting_reader *reader, const struct setting *setting,
                         const struct tree_node *node, void *target)
{
    setting_named(reader, node, "stream", (void *const *)reader->graph->streams,
                  reader->graph->n_streams, stream_settings);
}

static void read_outputs(struct setting_reader *reader, const struct setting *setting,
                         const struct tree_node *node, void *target)
{
    setting_named(reader, node, "output", (void *const *)reader->graph->outputs,
                  reader->graph->n_outputs, output_settings);
}

static void read_prototypes(struct setting_reader *reader, const struct setting *setting,
                            const struct tree_node *node, void *target)
{
    setting_named(reader, node, "prototype", (void *const *)reader->graph->prototypes,
                  reader->graph->n_prototypes, manifest_prototype_settings);
}

/* ---- the clock ----------------------------------------------------------------------------- */

static void keep_clock(struct setting_reader *reader, const struct setting *setting,
                       const struct tree_node *node, void *target)
{
    reader->clock = node;
}

static void read_attribute(struct setting_reader *reader, const struct setting *setting,
                           const struct tree_node *node, void *target)
{
    S4__Graph__Clock *clock = target;
    if (!name_valid(setting_text(node))) {
        setting_wrong(reader, node, S4_INVALID, "the name of an attribute");
        return;
    }
    for (size_t i = 0; i < reader->graph->n_streams; i++) {
        const S4__Graph__Stream *stream = reader->graph->streams[i];
        const struct type *type = schema_find(reader->schema, stream->type);
        if (!stream->external || !type || type_find(type, node->text))
            continue;
        struct name_nearest nearest;
        name_nearest_init(&nearest, node->text);
        for (uint32_t k = 0; k < type->n_fields; k++)
            name_nearest_try(&nearest, type->fields[k].name);
        SETTING_BAD(reader, node->place, S4_NOT_FOUND,
                    "type %.80s of stream \"%s\" has no attribute \"%s\"%s", type->name,
                    stream->name, node->text, name_hint(&nearest).text);
    }
    setting_set_text(reader, &clock->attribute, node->text);
}

static void read_clock(struct setting_reader *reader, const struct tree_node *node)
{
    static const struct word units[] = { { "us", 1 }, { "ms", 1000 }, { "s", 1000000 }, { 0 } };
    static const struct setting settings[] = {
        { .key = "event", .read = read_attribute },
        SETTING_WORD("unit", S4__Graph__Clock, unit_us, units),
        { 0 },
    };
    S4__Graph__Clock *clock = reader->graph->clock;
    if (node->kind == TREE_TEXT && strcmp(node->text, "processing") == 0)
        return;
    if (!setting_is_map(reader, node, "processing, or a map such as {event: ATTRIBUTE, unit: ms}"))
        return;
    clock->kind = S4__GRAPH__CLOCK__KIND__EVENT;
    clock->has_unit_us = true;
    clock->unit_us = 1;
    snprintf(reader->what, sizeof reader->what, "clock");
    setting_map(reader, node, settings, clock);
    reader->what[0] = '\0';
    const struct tree_node *event = node->first;
    while (event && strcmp(event->key, "event") != 0)
        event = event->next;
    if (!event)
        SETTING_BAD(reader, node->place, S4_INVALID, "clock: \"event\" is missing: %s",
                    "the attribute that holds the time");
}

/* ---- the app ------------------------------------------------------------------------------- */

static void read_app(struct setting_reader *reader, const struct setting *setting,
                     const struct tree_node *node, void *target)
{
    if (name_valid(setting_text(node)))
        setting_set_text(reader, &reader->graph->app, node->text);
    else
        setting_wrong(reader, node, S4_INVALID,
                      "a name: a letter or _, then at most 63 letters, digits or _");
}

static void read_version(struct setting_reader *reader, const struct setting *setting,
                         const struct tree_node *node, void *target)
{
    size_t len = strnlen(setting_text(node), GRAPH_NAME_MAX + 1);
    bool good = len > 0 && len <= GRAPH_NAME_MAX;
    for (size_t i = 0; good && i < len; i++)
        good = node->text[i] > ' ' && node->text[i] < 0x7f;
    if (good)
        setting_set_text(reader, &reader->graph->version, node->text);
    else
        setting_wrong(reader, node, S4_INVALID, "a version such as 1.0.0, at most 64 characters");
}

static void read_library(struct setting_reader *reader, const struct setting *setting,
                         const struct tree_node *node, void *target)
{
    if (library_name_valid(setting_text(node)))
        setting_set_text(reader, &reader->graph->library, node->text);
    else
        setting_wrong(reader, node, S4_INVALID, "a file's name such as words.so");
}

static const struct setting dead_settings[] = {
    SETTING_NUMBER("rows_max", setting_count, S4__Graph__Graph, dead_rows_max, 1, ROWS_MAX),
    SETTING_NUMBER("bytes_max", setting_size, S4__Graph__Graph, dead_bytes_max, 1, ROWS_BYTES_MAX),
    { 0 },
};
static const struct setting app_settings[] = {
    { .key = "app", .read = read_app },
    { .key = "version", .read = read_version },
    { .key = "library", .read = read_library },
    { .key = "clock", .read = keep_clock },
    SETTING_NUMBER("emits_max", setting_count, S4__Graph__Graph, emits_max, 1, EMITS_MAX),
    SETTING_NUMBER("parked_after", setting_count, S4__Graph__Graph, parked_after, 1, UINT32_MAX),
    SETTING_NESTED("dead_letters", dead_settings),
    { .key = "parameters", .read = manifest_app_parameters },
    { .key = "streams", .read = read_streams },
    { .key = "prototypes", .read = read_prototypes },
    { .key = "outputs", .read = read_outputs },
    { 0 },
};

static const struct tree_node *child(const struct tree_node *map, const char *key)
{
    const struct tree_node *node = map->first;
    while (node && strcmp(node->key, key) != 0)
        node = node->next;
    return node;
}

/* Both have to be there, and the library is named after the app unless it has a name of its own. */
static void read_names(struct setting_reader *reader, const struct tree_node *root)
{
    if (!child(root, "app"))
        SETTING_BAD(reader, root->place, S4_INVALID, "\"app\" is missing: %s", "the app's name");
    if (!child(root, "version"))
        SETTING_BAD(reader, root->place, S4_INVALID, "\"version\" is missing: %s", "such as 1.0.0");
    if (!child(root, "library")) {
        char library[GRAPH_NAME_MAX + 4];
        snprintf(library, sizeof library, "%.*s.so", GRAPH_NAME_MAX, reader->graph->app);
        setting_set_text(reader, &reader->graph->library, library);
    }
}

static s4_status parse(const char *place, const char *text, size_t size, struct tree *tree,
                       struct problems *problems)
{
    struct diag diag;
    if (tree_parse(place, text, size, tree, &diag) != S4_OK)
        return problems_add_diag(problems, &diag);
    if (tree->root->kind == TREE_MAP)
        return S4_OK;
    (void)problems_add_at(problems, S4_TYPE, place, tree->root->place.line,
                          tree->root->place.column, "found %s; wanted a map: app: NAME, ...",
                          setting_show(tree->root).text);
    tree_fini(tree);
    return S4_TYPE;
}

static s4_status outcome(const struct problems *problems, size_t before)
{
    return problems->count + problems->dropped == before ? S4_OK : problems->first;
}

s4_status manifest_apply(const char *place, const char *text, size_t size,
                         const struct schema *schema, S4__Graph__Graph *graph,
                         struct problems *problems)
{
    struct tree tree;
    TRY(parse(place, text, size, &tree, problems));
    size_t before = problems->count + problems->dropped;
    struct setting_reader reader = {
        .place = place, .schema = schema, .graph = graph, .problems = problems
    };
    setting_map(&reader, tree.root, app_settings, graph);
    if (reader.clock)
        read_clock(&reader, reader.clock);
    read_names(&reader, tree.root);
    tree_fini(&tree);
    return outcome(problems, before);
}

s4_status manifest_names(const char *place, const char *text, size_t size,
                         struct manifest_names *names, struct problems *problems)
{
    struct tree tree;
    TRY(parse(place, text, size, &tree, problems));
    size_t before = problems->count + problems->dropped;
    S4__Graph__Graph graph = S4__GRAPH__GRAPH__INIT;
    struct setting_reader reader = { .place = place, .graph = &graph, .problems = problems };
    const struct tree_node *app = child(tree.root, "app");
    const struct tree_node *library = child(tree.root, "library");
    if (app)
        read_app(&reader, NULL, app, NULL);
    if (library)
        read_library(&reader, NULL, library, NULL);
    if (!app)
        SETTING_BAD(&reader, tree.root->place, S4_INVALID, "\"app\" is missing: %s",
                    "the app's name");
    if (graph.app && (graph.library || !library)) {
        snprintf(names->app, sizeof names->app, "%s", graph.app);
        if (graph.library)
            snprintf(names->library, sizeof names->library, "%s", graph.library);
        else
            snprintf(names->library, sizeof names->library, "%s.so", graph.app);
    }
    mem_free(graph.app);
    mem_free(graph.library);
    tree_fini(&tree);
    return outcome(problems, before);
}
