/* The graph message: bytes, memory, identity, look-up. A graph that was built here and one that was
 * unpacked own their memory alike, piece by piece from runtime/base/mem.h, so one destroy serves
 * both. */
#include "pe/graph/graph.h"

#include "runtime/base/hash.h"
#include "runtime/base/mem.h"

/* ---- bytes and memory ---------------------------------------------------------------------- */

static void *take(void *unused, size_t size)
{
    return mem_alloc(size);
}

static void give(void *unused, void *memory)
{
    mem_free(memory);
}

static ProtobufCAllocator memory = { .alloc = take, .free = give };

s4_status graph_unpack(const void *bytes, size_t size, S4__Graph__Graph **graph, struct diag *diag)
{
    S4__Graph__Graph *made = s4__graph__graph__unpack(&memory, size, bytes);
    if (!made)
        return diag_set(diag, S4_MALFORMED, "graph.pb is damaged: it is not a graph message");
    *graph = made;
    return S4_OK;
}

s4_status graph_pack(const S4__Graph__Graph *graph, struct buffer *out)
{
    char *at = buffer_room(out, s4__graph__graph__get_packed_size(graph));
    if (!at)
        return S4_NO_MEMORY;
    s4__graph__graph__pack(graph, (uint8_t *)at);
    return S4_OK;
}

void graph_destroy(S4__Graph__Graph *graph)
{
    if (graph)
        s4__graph__graph__free_unpacked(graph, &memory);
}

/* ---- identity ------------------------------------------------------------------------------ */

static void mix_type(uint64_t *hash, const struct schema *schema, const char *name)
{
    const struct type *type = name ? schema_find(schema, name) : NULL;
    if (type)
        *hash = hash_mix(*hash, type->hash);
}

s4_status graph_hash(const S4__Graph__Graph *graph, const struct schema *schema, uint64_t *hash)
{
    struct buffer packed;
    buffer_init(&packed);
    TRY(graph_pack(graph, &packed));
    uint64_t made = hash_bytes(packed.data, packed.size);
    buffer_fini(&packed);
    for (size_t i = 0; i < graph->n_streams; i++)
        mix_type(&made, schema, graph->streams[i]->type);
    for (size_t i = 0; i < graph->n_outputs; i++)
        mix_type(&made, schema, graph->outputs[i]->type);
    for (size_t i = 0; i < graph->n_requests; i++) {
        mix_type(&made, schema, graph->requests[i]->question);
        mix_type(&made, schema, graph->requests[i]->answer);
    }
    for (size_t i = 0; i < graph->n_prototypes; i++) {
        mix_type(&made, schema, graph->prototypes[i]->state_type);
        mix_type(&made, schema, graph->prototypes[i]->reply);
    }
    *hash = made;
    return S4_OK;
}

/* ---- look-up ------------------------------------------------------------------------------- */

/* Streams, prototypes, outputs and requests are arrays of pointers to structs with a `name`. */
#define FIND(list, n, wanted)                       \
    for (size_t i = 0; i < (n); i++)                \
        if (strcmp((list)[i]->name, (wanted)) == 0) \
            return (int)i;                          \
    return -1

int graph_find_stream(const S4__Graph__Graph *graph, const char *name)
{
    FIND(graph->streams, graph->n_streams, name);
}

int graph_find_prototype(const S4__Graph__Graph *graph, const char *name)
{
    FIND(graph->prototypes, graph->n_prototypes, name);
}

int graph_find_output(const S4__Graph__Graph *graph, const char *name)
{
    FIND(graph->outputs, graph->n_outputs, name);
}

int graph_find_request(const S4__Graph__Graph *graph, const char *name)
{
    FIND(graph->requests, graph->n_requests, name);
}

bool graph_has_callback(const S4__Graph__Prototype *prototype, const char *name)
{
    for (size_t i = 0; i < prototype->n_callbacks; i++)
        if (strcmp(prototype->callbacks[i], name) == 0)
            return true;
    return false;
}
