/* A tree from libyaml's events. libyaml alone knows where an event stands; its own documents forget
 * it, and other readers on top of it report wrong lines. Events come one by one, so a bomb of
 * nested or repeated values is met at its first value too many.
 *
 * Open maps and lists know their parents. A map's text in the place of a key waits in
 * `key` until its value comes.
 */
#include "pe/bundle/tree.h"

#include <yaml.h>

#include "runtime/base/mem.h"

struct parse {
    const char *name;
    const char *text;
    size_t size;
    struct tree tree;
    struct tree_node *top; /* the innermost open map or list */
    size_t depth;
    size_t count;
    char *key; /* of the map at the top; owned */
    struct tree_place key_place;
    bool documents; /* one was begun */
    struct diag *diag;
};

static struct tree_place place_of(const yaml_mark_t *mark)
{
    return (struct tree_place){ (uint32_t)mark->line + 1, (uint32_t)mark->column + 1 };
}

static s4_status fail(struct parse *parse, struct tree_place place, const char *what)
{
    return diag_set_at(parse->diag, S4_MALFORMED, parse->name, place.line, place.column, "%s",
                       what);
}

static s4_status no_memory(struct parse *parse)
{
    return diag_set_at(parse->diag, S4_NO_MEMORY, parse->name, 0, 0, "out of memory");
}

/* ---- nodes --------------------------------------------------------------------------------- */

static s4_status add_node(struct parse *parse, enum tree_kind kind, struct tree_place place,
                          struct tree_node **made)
{
    if (parse->count == MANIFEST_NODES_MAX) {
        char what[64];
        snprintf(what, sizeof what, "more than %d values", MANIFEST_NODES_MAX);
        return fail(parse, place, what);
    }
    struct tree_node *node = mem_zalloc(sizeof *node);
    if (!node)
        return no_memory(parse);
    node->kind = kind;
    node->place = place;
    node->made_before = parse->tree.made_last;
    parse->tree.made_last = node;
    parse->count++;
    struct tree_node *parent = parse->top;
    node->parent = parent;
    if (!parent) {
        parse->tree.root = node;
    } else {
        node->key = parse->key;
        node->key_place = parse->key_place;
        parse->key = NULL;
        *(parent->last ? &parent->last->next : &parent->first) = node;
        parent->last = node;
    }
    *made = node;
    return S4_OK;
}

static bool awaits_key(const struct parse *parse)
{
    return parse->top && parse->top->kind == TREE_MAP && !parse->key;
}

static s4_status take_key(struct parse *parse, const yaml_event_t *event, struct tree_place place)
{
    const char *text = (const char *)event->data.scalar.value;
    const struct tree_node *child = parse->top->first;
    for (; child; child = child->next) {
        if (strcmp(child->key, text) != 0)
            continue;
        return diag_set_at(parse->diag, S4_EXISTS, parse->name, place.line, place.column,
                           "key \"%.80s\" stands here a second time; it was in line %u", text,
                           child->key_place.line);
    }
    parse->key = mem_strdup(text);
    parse->key_place = place;
    return parse->key ? S4_OK : no_memory(parse);
}

static s4_status take_text(struct parse *parse, const yaml_event_t *event, struct tree_place place)
{
    const char *text = (const char *)event->data.scalar.value;
    if (strlen(text) != event->data.scalar.length)
        return fail(parse, place, "a text with a NUL in it");
    if (awaits_key(parse))
        return take_key(parse, event, place);
    struct tree_node *node = NULL;
    TRY(add_node(parse, TREE_TEXT, place, &node));
    CHECK(node);
    node->plain = event->data.scalar.style == YAML_PLAIN_SCALAR_STYLE;
    node->text = mem_strdup(text);
    return node->text ? S4_OK : no_memory(parse);
}

static s4_status open_node(struct parse *parse, enum tree_kind kind, struct tree_place place)
{
    if (awaits_key(parse))
        return fail(parse, place, "a key is a text, not a map or a list");
    if (parse->depth == MANIFEST_DEPTH_MAX) {
        char what[64];
        snprintf(what, sizeof what, "nested more than %d deep", MANIFEST_DEPTH_MAX);
        return fail(parse, place, what);
    }
    struct tree_node *node = NULL;
    TRY(add_node(parse, kind, place, &node));
    CHECK(node);
    parse->top = node;
    parse->depth++;
    return S4_OK;
}

static s4_status close_node(struct parse *parse, struct tree_place place)
{
    if (!parse->top)
        return fail(parse, place, "an end without a beginning");
    parse->top = parse->top->parent;
    parse->depth--;
    return S4_OK;
}

/* ---- events -------------------------------------------------------------------------------- */

static s4_status check_properties(struct parse *parse, const yaml_event_t *event,
                                  struct tree_place place)
{
    const yaml_char_t *anchor = NULL, *tag = NULL;
    if (event->type == YAML_SCALAR_EVENT) {
        anchor = event->data.scalar.anchor;
        tag = event->data.scalar.tag;
    } else if (event->type == YAML_MAPPING_START_EVENT) {
        anchor = event->data.mapping_start.anchor;
        tag = event->data.mapping_start.tag;
    } else if (event->type == YAML_SEQUENCE_START_EVENT) {
        anchor = event->data.sequence_start.anchor;
        tag = event->data.sequence_start.tag;
    } else if (event->type == YAML_ALIAS_EVENT) {
        return fail(parse, place, "aliases (*name) are not taken; write the value out");
    }
    if (anchor)
        return fail(parse, place, "anchors (&name) are not taken");
    if (tag)
        return fail(parse, place, "tags (!name) are not taken");
    return S4_OK;
}

static s4_status take_event(struct parse *parse, const yaml_event_t *event)
{
    struct tree_place place = place_of(&event->start_mark);
    TRY(check_properties(parse, event, place));
    switch (event->type) {
    case YAML_SCALAR_EVENT:
        return take_text(parse, event, place);
    case YAML_MAPPING_START_EVENT:
        return open_node(parse, TREE_MAP, place);
    case YAML_SEQUENCE_START_EVENT:
        return open_node(parse, TREE_LIST, place);
    case YAML_MAPPING_END_EVENT:
    case YAML_SEQUENCE_END_EVENT:
        return close_node(parse, place);
    case YAML_DOCUMENT_START_EVENT:
        if (parse->documents)
            return fail(parse, place, "a second document; there is one");
        parse->documents = true;
        return S4_OK;
    default:
        return S4_OK;
    }
}

/* ---- libyaml ------------------------------------------------------------------------------- */

static struct tree_place place_at(const struct parse *parse, size_t offset)
{
    struct tree_place place = { 1, 1 };
    for (size_t i = 0; i < offset && i < parse->size; i++) {
        bool line = parse->text[i] == '\n';
        place.line += line;
        place.column = line ? 1 : place.column + ((parse->text[i] & 0xc0) != 0x80);
    }
    return place;
}

static s4_status fail_parser(struct parse *parse, const yaml_parser_t *parser)
{
    if (parser->error == YAML_MEMORY_ERROR)
        return no_memory(parse);
    const char *problem = parser->problem ? parser->problem : "it cannot be read";
    struct tree_place place = parser->error == YAML_READER_ERROR
                                  ? place_at(parse, parser->problem_offset)
                                  : place_of(&parser->problem_mark);
    char what[256];
    snprintf(what, sizeof what, "not YAML: %s", problem);
    return fail(parse, place, what);
}

static s4_status run(struct parse *parse, yaml_parser_t *parser)
{
    for (bool end = false; !end;) {
        yaml_event_t event;
        if (!yaml_parser_parse(parser, &event))
            return fail_parser(parse, parser);
        end = event.type == YAML_STREAM_END_EVENT;
        s4_status status = take_event(parse, &event);
        yaml_event_delete(&event);
        TRY(status);
    }
    if (!parse->tree.root)
        return fail(parse, (struct tree_place){ 1, 1 }, "it is empty");
    return S4_OK;
}

s4_status tree_parse(const char *name, const char *text, size_t size, struct tree *tree,
                     struct diag *diag)
{
    if (size > MANIFEST_SIZE_MAX)
        return diag_set(diag, S4_TOO_LARGE, "%s: %zu bytes; the limit is %zu", name, size,
                        MANIFEST_SIZE_MAX);
    struct parse parse = { .name = name, .text = text, .size = size, .diag = diag };
    yaml_parser_t parser;
    if (!yaml_parser_initialize(&parser))
        return no_memory(&parse);
    yaml_parser_set_encoding(&parser, YAML_UTF8_ENCODING);
    yaml_parser_set_input_string(&parser, (const unsigned char *)text, size);
    s4_status status = run(&parse, &parser);
    yaml_parser_delete(&parser);
    mem_free(parse.key);
    if (status != S4_OK) {
        tree_fini(&parse.tree);
        return status;
    }
    *tree = parse.tree;
    return S4_OK;
}

void tree_fini(struct tree *tree)
{
    for (struct tree_node *node = tree->made_last; node;) {
        struct tree_node *before = node->made_before;
        mem_free(node->key);
        mem_free(node->text);
        mem_free(node);
        node = before;
    }
    *tree = (struct tree){ 0 };
}
