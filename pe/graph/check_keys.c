/* The rules of keys: every part is an attribute of its stream's type, of a kind that makes a key,
 * and the subscriptions of one prototype agree, since one instance hears them all. What an
 * attribute has to be, the key's own compiler says (router/key). */
#include "pe/graph/check_parts.h"

#include "pe/graph/limits.h"

struct name_hint attribute_hint(const struct type *type, const char *name)
{
    struct name_nearest nearest;
    name_nearest_init(&nearest, name);
    for (uint32_t i = 0; i < type->n_fields; i++)
        name_nearest_try(&nearest, type->fields[i].name);
    return name_hint(&nearest);
}

/* The hint for the first component of "a.b.c" that its type does not have. */
static struct name_hint path_hint(const struct type *type, const char *path)
{
    char name[KEY_PATH_MAX + 1];
    while (type) {
        size_t len = strcspn(path, ".");
        const struct field *field = type_find_len(type, path, len);
        if (!field) {
            memcpy(name, path, len);
            name[len] = '\0';
            return attribute_hint(type, name);
        }
        if (path[len] == '\0')
            break;
        type = field->sub;
        path += len + 1;
    }
    return (struct name_hint){ "" };
}

static bool part_valid(const char *part)
{
    size_t len = strnlen(part, KEY_PATH_MAX + 1);
    return len > 0 && len <= KEY_PATH_MAX &&
           strspn(part, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.") == len;
}

/* The parts as the key's compiler reads them. */
static bool join(char *const *key, size_t n_key, char *text, size_t room)
{
    size_t at = 0;
    for (size_t i = 0; i < n_key; i++) {
        if (!part_valid(key[i]))
            return false;
        int n = snprintf(text + at, room - at, "%s%s", i ? "," : "", key[i]);
        at += (size_t)n;
    }
    return true;
}

bool check_key(const struct graph_rules *rules, const char *where, const struct type *type,
               char *const *key, size_t n_key, struct key_spec *spec)
{
    char text[GRAPH_KEY_PARTS_MAX * (KEY_PATH_MAX + 1) + 1];
    if (n_key == 0 || n_key > GRAPH_KEY_PARTS_MAX) {
        BAD(rules, S4_RANGE, "%s: its key has %zu parts; it has 1 to %d", where, n_key,
            GRAPH_KEY_PARTS_MAX);
        return false;
    }
    if (!join(key, n_key, text, sizeof text)) {
        BAD(rules, S4_INVALID, "%s: a part of its key is not the name of an attribute", where);
        return false;
    }
    struct diag diag = { .code = S4_OK };
    if (key_spec_compile(type, text, spec, &diag) == S4_OK)
        return true;
    struct name_hint hint = { "" };
    for (size_t i = 0; i < n_key && diag.code == S4_NOT_FOUND && !hint.text[0]; i++)
        hint = path_hint(type, key[i]);
    BAD(rules, diag.code, "%s: %s%s", where, diag.text, hint.text);
    return false;
}

/* ---- pairs --------------------------------------------------------------------------------- */

static const char *stream_name(const struct graph_rules *rules, const S4__Graph__Pair *pair)
{
    return rules->graph->streams[pair->stream]->name;
}

static bool same_pair(const S4__Graph__Pair *a, const S4__Graph__Pair *b)
{
    if (a->stream != b->stream || a->kind != b->kind || a->n_key != b->n_key ||
        a->prototype != b->prototype)
        return false;
    for (size_t i = 0; i < a->n_key; i++)
        if (strcmp(a->key[i], b->key[i]) != 0)
            return false;
    return true;
}

static bool pair_in_range(const struct graph_rules *rules, const S4__Graph__Pair *pair)
{
    const S4__Graph__Graph *graph = rules->graph;
    bool singleton = pair->kind == S4__GRAPH__PAIR__KIND__SINGLETON;
    if (pair->stream < graph->n_streams && pair->kind >= S4__GRAPH__PAIR__KIND__KEYED &&
        pair->kind <= S4__GRAPH__PAIR__KIND__SINGLETON && pair->has_prototype == singleton &&
        (!singleton || pair->prototype < graph->n_prototypes) &&
        (pair->kind == S4__GRAPH__PAIR__KIND__KEYED) == (pair->n_key > 0))
        return true;
    BAD(rules, S4_MALFORMED, "the graph is damaged: a pair names what is not there");
    return false;
}

bool check_pairs(const struct graph_rules *rules)
{
    const S4__Graph__Graph *graph = rules->graph;
    for (size_t i = 0; i < graph->n_pairs; i++) {
        if (!pair_in_range(rules, graph->pairs[i]))
            return false;
        for (size_t k = 0; k < i; k++)
            if (same_pair(graph->pairs[i], graph->pairs[k])) {
                BAD(rules, S4_MALFORMED, "the graph is damaged: two pairs are the same");
                return false;
            }
    }
    for (size_t i = 0; i < graph->n_pairs; i++) {
        const S4__Graph__Pair *pair = graph->pairs[i];
        const struct type *type = schema_find(rules->schema, graph->streams[pair->stream]->type);
        if (pair->kind != S4__GRAPH__PAIR__KIND__KEYED || !type)
            continue;
        char where[2 * GRAPH_NAME_MAX];
        snprintf(where, sizeof where, "the key of stream \"%.80s\"", stream_name(rules, pair));
        struct key_spec spec;
        (void)check_key(rules, where, type, pair->key, pair->n_key, &spec);
    }
    return true;
}

/* ---- prototypes ---------------------------------------------------------------------------- */

/* The spec of a keyed pair whose key is sound; problems were told by check_pairs. */
static bool spec_of(const struct graph_rules *rules, const S4__Graph__Pair *pair,
                    struct key_spec *spec)
{
    struct problems ignored;
    problems_init(&ignored);
    const struct graph_rules quiet = { rules->graph, rules->schema, &ignored };
    const struct type *type = schema_find(rules->schema, rules->graph->streams[pair->stream]->type);
    bool sound = type && check_key(&quiet, "", type, pair->key, pair->n_key, spec);
    problems_fini(&ignored);
    return sound;
}

static void compare_keys(const struct graph_rules *rules, const S4__Graph__Prototype *prototype,
                         const S4__Graph__Pair *a, const S4__Graph__Pair *b)
{
    struct key_spec x, y;
    if (!spec_of(rules, a, &x) || !spec_of(rules, b, &y))
        return;
    if (x.n_parts != y.n_parts) {
        BAD(rules, S4_TYPE,
            "prototype \"%s\": its key has %u parts by stream \"%s\" and %u by stream \"%s\"",
            prototype->name, x.n_parts, stream_name(rules, a), y.n_parts, stream_name(rules, b));
        return;
    }
    for (uint32_t i = 0; i < x.n_parts; i++)
        if (x.parts[i].number != y.parts[i].number)
            BAD(rules, S4_TYPE,
                "prototype \"%s\": part %u of its key is a %s by stream \"%s\" and a %s by stream "
                "\"%s\"",
                prototype->name, i + 1, x.parts[i].number ? "number" : "text",
                stream_name(rules, a), y.parts[i].number ? "number" : "text",
                stream_name(rules, b));
}

void check_keys_agree(const struct graph_rules *rules, const S4__Graph__Prototype *prototype)
{
    const S4__Graph__Pair *first = NULL;
    for (size_t i = 0; i < prototype->n_subscriptions; i++) {
        const S4__Graph__Pair *pair = rules->graph->pairs[prototype->subscriptions[i]->pair];
        if (pair->kind == S4__GRAPH__PAIR__KIND__BROADCAST)
            continue;
        if (!first)
            first = pair;
        else if (first->kind != pair->kind)
            BAD(rules, S4_TYPE,
                "prototype \"%s\" hears stream \"%s\" by key and stream \"%s\" without: one "
                "instance "
                "has one key or none",
                prototype->name,
                stream_name(rules, pair->kind == S4__GRAPH__PAIR__KIND__KEYED ? pair : first),
                stream_name(rules, pair->kind == S4__GRAPH__PAIR__KIND__KEYED ? first : pair));
        else if (pair->kind == S4__GRAPH__PAIR__KIND__KEYED)
            compare_keys(rules, prototype, first, pair);
    }
    if (!first && prototype->n_subscriptions > 0 && !prototype->singleton)
        BAD(rules, S4_INVALID,
            "prototype \"%s\" hears only broadcasts, which reach living instances and make none",
            prototype->name);
}
