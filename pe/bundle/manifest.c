/* The typed reader of app.yaml: tables of settings, each with the member of the graph message that
 * it sets, walked beside the tree. All mistakes are told, in the order in which they stand.
 *
 * Whether the settings make sense together the graph's rules decide (graph/check.h); only what can
 * be told better here, where its line is known, is told here too.
 */
#include "pe/bundle/manifest.h"

#include "pe/bundle/quantity.h"
#include "pe/bundle/tree.h"
#include "pe/graph/graph.h"
#include "pe/graph/names.h"
#include "runtime/base/mem.h"

struct reader {
    const char *place;
    const struct schema *schema;
    S4__Graph__Graph *graph;
    struct problems *problems;
    char what[3 * GRAPH_NAME_MAX]; /* whose settings are read: `prototype "counters"`, or "" */
    const struct tree_node *clock; /* read last: it looks at the streams' settings */
};

struct setting;
typedef void setting_read(struct reader *reader, const struct setting *setting,
                          const struct tree_node *node, void *target);

struct word {
    const char *name; /* NULL ends a list */
    int value;
};

/* A key that a map may have, and where its value goes in the target message. */
struct setting {
    const char *key;
    setting_read *read;
    size_t value;
    size_t has;
    bool wide; /* 64 bits */
    uint64_t min;
    uint64_t max;
    const struct word *words;     /* read_word */
    const struct setting *nested; /* read_nested; ends with a NULL key */
};

/* ---- messages ------------------------------------------------------------------------------ */

#define AT(reader, place_, code, format, ...)                                          \
    (void)problems_add((reader)->problems, code, "%s:%u:%u: " format, (reader)->place, \
                       (place_).line, (place_).column, __VA_ARGS__)

struct shown {
    char text[96];
};

static struct shown show(const struct tree_node *node)
{
    struct shown shown;
    if (node->kind != TREE_TEXT)
        snprintf(shown.text, sizeof shown.text, node->kind == TREE_MAP ? "a map" : "a list");
    else if (node->plain && node->text[0] == '\0')
        snprintf(shown.text, sizeof shown.text, "nothing");
    else
        snprintf(shown.text, sizeof shown.text, "\"%.80s\"", node->text);
    return shown;
}

/* `ttl of prototype "counters": found "5x"; wanted a duration: ...` */
static void wrong(struct reader *reader, const struct tree_node *node, s4_status code,
                  const char *wanted)
{
    AT(reader, node->place, code, "%s%s%s: found %s; wanted %s", node->key ? node->key : "app.yaml",
       reader->what[0] ? " of " : "", reader->what, show(node).text, wanted);
}

static void no_memory(struct reader *reader)
{
    (void)problems_add(reader->problems, S4_NO_MEMORY, "%s: out of memory", reader->place);
}

/* ---- maps ---------------------------------------------------------------------------------- */

static bool is_map(struct reader *reader, const struct tree_node *node, const char *wanted)
{
    if (node->kind == TREE_MAP)
        return true;
    wrong(reader, node, S4_TYPE, wanted);
    return false;
}

static void unknown_key(struct reader *reader, const struct tree_node *node,
                        const struct setting *settings)
{
    struct name_nearest nearest;
    name_nearest_init(&nearest, node->key);
    for (; settings->key; settings++)
        name_nearest_try(&nearest, settings->key);
    AT(reader, node->key_place, S4_NOT_FOUND, "unknown key \"%.80s\"%s%s%s", node->key,
       reader->what[0] ? " in " : "", reader->what, name_hint(&nearest).text);
}

static void read_map(struct reader *reader, const struct tree_node *map,
                     const struct setting *settings, void *target)
{
    for (const struct tree_node *node = map->first; node; node = node->next) {
        const struct setting *setting = settings;
        while (setting->key && strcmp(setting->key, node->key) != 0)
            setting++;
        if (setting->key)
            setting->read(reader, setting, node, target);
        else
            unknown_key(reader, node, settings);
    }
}

static void read_nested(struct reader *reader, const struct setting *setting,
                        const struct tree_node *node, void *target)
{
    if (!is_map(reader, node, "a map"))
        return;
    char outer[sizeof reader->what];
    memcpy(outer, reader->what, sizeof outer);
    snprintf(reader->what, sizeof reader->what, "%s%s%.*s", setting->key, outer[0] ? " of " : "",
             (int)(sizeof outer - GRAPH_NAME_MAX), outer);
    read_map(reader, node, setting->nested, target);
    memcpy(reader->what, outer, sizeof outer);
}

/* ---- values -------------------------------------------------------------------------------- */

static const char *text_of(const struct tree_node *node)
{
    return node->kind == TREE_TEXT ? node->text : "";
}

static void set_number(struct reader *reader, const struct setting *setting,
                       const struct tree_node *node, void *target, uint64_t value)
{
    if (value < setting->min || value > setting->max) {
        char wanted[96];
        snprintf(wanted, sizeof wanted, "from %llu to %llu", (unsigned long long)setting->min,
                 (unsigned long long)setting->max);
        wrong(reader, node, S4_RANGE, wanted);
        return;
    }
    uint32_t narrow = (uint32_t)value;
    protobuf_c_boolean has = true;
    if (setting->wide)
        memcpy((char *)target + setting->value, &value, sizeof value);
    else
        memcpy((char *)target + setting->value, &narrow, sizeof narrow);
    memcpy((char *)target + setting->has, &has, sizeof has);
}

static void read_count(struct reader *reader, const struct setting *setting,
                       const struct tree_node *node, void *target)
{
    uint64_t value;
    s4_status status = quantity_count(text_of(node), &value);
    if (status != S4_OK)
        wrong(reader, node, status, "a number such as 100 or 1_000_000");
    else
        set_number(reader, setting, node, target, value);
}

static void read_duration(struct reader *reader, const struct setting *setting,
                          const struct tree_node *node, void *target)
{
    uint64_t value;
    s4_status status = quantity_duration(text_of(node), &value);
    if (status == S4_OK && value > DURATION_MAX_US)
        status = S4_RANGE;
    if (status != S4_OK)
        wrong(reader, node, status,
              status == S4_RANGE ? "at most 36525d"
                                 : "a duration such as 100us, 5ms, 10s, 3m, 2h or 1d");
    else
        set_number(reader, setting, node, target, value);
}

static void read_size(struct reader *reader, const struct setting *setting,
                      const struct tree_node *node, void *target)
{
    uint64_t value;
    s4_status status = quantity_size(text_of(node), &value);
    if (status != S4_OK)
        wrong(reader, node, status, "a size in bytes, or such as 64k, 10M or 1G");
    else
        set_number(reader, setting, node, target, value);
}

static bool bool_of(const struct tree_node *node, bool *value)
{
    if (node->kind != TREE_TEXT || !node->plain)
        return false;
    *value = strcmp(node->text, "true") == 0;
    return *value || strcmp(node->text, "false") == 0;
}

static void read_bool(struct reader *reader, const struct setting *setting,
                      const struct tree_node *node, void *target)
{
    bool value;
    if (!bool_of(node, &value)) {
        wrong(reader, node, S4_TYPE, "true or false");
        return;
    }
    protobuf_c_boolean set = value, has = true;
    memcpy((char *)target + setting->value, &set, sizeof set);
    memcpy((char *)target + setting->has, &has, sizeof has);
}

static void read_word(struct reader *reader, const struct setting *setting,
                      const struct tree_node *node, void *target)
{
    char wanted[128] = "";
    size_t at = 0;
    struct name_nearest nearest;
    name_nearest_init(&nearest, text_of(node));
    for (const struct word *word = setting->words; word->name; word++) {
        if (node->kind == TREE_TEXT && strcmp(node->text, word->name) == 0) {
            uint64_t wide = (uint64_t)word->value;
            protobuf_c_boolean has = true;
            if (setting->wide)
                memcpy((char *)target + setting->value, &wide, sizeof wide);
            else
                memcpy((char *)target + setting->value, &word->value, sizeof word->value);
            memcpy((char *)target + setting->has, &has, sizeof has);
            return;
        }
        name_nearest_try(&nearest, word->name);
        const char *comma = word == setting->words ? "" : word[1].name ? ", " : " or ";
        int n = snprintf(wanted + at, sizeof wanted - at, "%s%s", comma, word->name);
        at += (size_t)n;
    }
    snprintf(wanted + at, sizeof wanted - at, "%s", name_hint(&nearest).text);
    wrong(reader, node, S4_INVALID, wanted);
}

/* A text of the message, in the place of the one before. */
static void set_text(struct reader *reader, char **to, const char *text)
{
    char *copy = mem_strdup(text);
    if (!copy) {
        no_memory(reader);
        return;
    }
    mem_free(*to);
    *to = copy;
}

/* ---- parameters ---------------------------------------------------------------------------- */

static void set_parameter(struct reader *reader, const struct tree_node *node,
                          S4__Graph__Parameter *parameter)
{
    s4_status status;
    bool flag;
    switch (parameter->value_case) {
    case S4__GRAPH__PARAMETER__VALUE_INTEGER:
        status = quantity_integer(text_of(node), &parameter->integer);
        if (status != S4_OK)
            wrong(reader, node, status, "an integer");
        break;
    case S4__GRAPH__PARAMETER__VALUE_REAL:
        status = quantity_real(text_of(node), &parameter->real);
        if (status != S4_OK)
            wrong(reader, node, status, "a number such as 0.5");
        break;
    case S4__GRAPH__PARAMETER__VALUE_FLAG:
        if (bool_of(node, &flag))
            parameter->flag = flag;
        else
            wrong(reader, node, S4_TYPE, "true or false");
        break;
    default:
        if (node->kind != TREE_TEXT || (node->plain && node->text[0] == '\0'))
            wrong(reader, node, S4_TYPE, "a text (an empty one is \"\")");
        else if (strlen(node->text) > GRAPH_TEXT_MAX)
            AT(reader, node->place, S4_RANGE, "%s of %s: a text of more than %zu bytes", node->key,
               reader->what, GRAPH_TEXT_MAX);
        else
            set_text(reader, &parameter->text, node->text);
    }
}

static void read_parameters_of(struct reader *reader, const struct tree_node *map,
                               S4__Graph__Parameter **list, size_t n)
{
    if (!is_map(reader, map, "a map of names and values"))
        return;
    const char *of = reader->what[0] ? " of " : "";
    for (const struct tree_node *node = map->first; node; node = node->next) {
        struct name_nearest nearest;
        name_nearest_init(&nearest, node->key);
        size_t i = 0;
        for (; i < n && strcmp(list[i]->name, node->key) != 0; i++)
            name_nearest_try(&nearest, list[i]->name);
        if (i < n)
            set_parameter(reader, node, list[i]);
        else
            AT(reader, node->key_place, S4_NOT_FOUND, "unknown parameter \"%.80s\"%s%s%s",
               node->key, of, reader->what, name_hint(&nearest).text);
    }
}

static void read_app_parameters(struct reader *reader, const struct setting *setting,
                                const struct tree_node *node, void *target)
{
    read_parameters_of(reader, node, reader->graph->parameters, reader->graph->n_parameters);
}

static void read_parameters(struct reader *reader, const struct setting *setting,
                            const struct tree_node *node, void *target)
{
    S4__Graph__Prototype *prototype = target;
    read_parameters_of(reader, node, prototype->parameters, prototype->n_parameters);
}

/* ---- tables of settings -------------------------------------------------------------------- */

#define PLACE(Message, field)                                                 \
    .value = offsetof(Message, field), .has = offsetof(Message, has_##field), \
    .wide = sizeof(((Message *)0)->field) == 8
#define NUMBER(key_, read_, Message, field, min_, max_)                                     \
    {                                                                                       \
        .key = (key_), .read = (read_), PLACE(Message, field), .min = (min_), .max = (max_) \
    }
#define WORD(key_, Message, field, list)                                         \
    {                                                                            \
        .key = (key_), .read = read_word, PLACE(Message, field), .words = (list) \
    }
#define NESTED(key_, list)                                   \
    {                                                        \
        .key = (key_), .read = read_nested, .nested = (list) \
    }

typedef S4__Graph__Prototype Prototype;

static const struct word bound_words[] = {
    { "remove_oldest", S4__GRAPH__PROTOTYPE__BOUND__REMOVE_OLDEST },
    { "refuse", S4__GRAPH__PROTOTYPE__BOUND__REFUSE },
    { 0 },
};
static const struct word mailbox_words[] = {
    { "block", S4__GRAPH__PROTOTYPE__FULL__BLOCK },
    { "dead_letter", S4__GRAPH__PROTOTYPE__FULL__DEAD_LETTER },
    { "drop_oldest", S4__GRAPH__PROTOTYPE__FULL__DROP_OLDEST },
    { 0 },
};
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

static const struct setting trigger_settings[] = {
    NUMBER("events", read_count, Prototype, trigger_events, 0, UINT64_MAX),
    NUMBER("gap", read_duration, Prototype, trigger_gap_us, 0, DURATION_MAX_US),
    { 0 },
};
static const struct setting period_settings[] = {
    NUMBER("events", read_count, Prototype, output_events, 0, UINT64_MAX),
    NUMBER("every", read_duration, Prototype, output_every_us, 0, DURATION_MAX_US),
    { .key = "aligned", .read = read_bool, PLACE(Prototype, output_aligned) },
    { 0 },
};
static const struct setting instances_settings[] = {
    NUMBER("max", read_count, Prototype, instances_max, 1, UINT64_MAX),
    NUMBER("bytes_max", read_size, Prototype, instance_bytes_max, 1, UINT64_MAX),
    WORD("full", Prototype, instances_full, bound_words),
    { 0 },
};
static const struct setting mailbox_settings[] = {
    NUMBER("max", read_count, Prototype, mailbox_max, 1, MAILBOX_MAX),
    NUMBER("bytes_max", read_size, Prototype, mailbox_bytes_max, 1, UINT64_MAX),
    WORD("full", Prototype, mailbox_full, mailbox_words),
    { 0 },
};

static setting_read read_trigger, read_output, read_instances, read_ttl;

static const struct setting prototype_settings[] = {
    { .key = "parameters", .read = read_parameters },
    { .key = "ttl", .read = read_ttl, PLACE(Prototype, ttl_us), .min = 0, .max = DURATION_MAX_US },
    { .key = "trigger", .read = read_trigger, .nested = trigger_settings },
    { .key = "output", .read = read_output, .nested = period_settings },
    { .key = "instances", .read = read_instances, .nested = instances_settings },
    NESTED("mailbox", mailbox_settings),
    NUMBER("budget", read_count, Prototype, budget, 1, BUDGET_MAX),
    { 0 },
};

static void read_internal(struct reader *reader, const struct setting *setting,
                          const struct tree_node *node, void *target)
{
    S4__Graph__Stream *stream = target;
    bool internal;
    if (bool_of(node, &internal))
        stream->external = !internal;
    else
        wrong(reader, node, S4_TYPE, "true or false");
}

static const struct setting stream_settings[] = {
    WORD("full", S4__Graph__Stream, full, stream_words),
    { .key = "internal", .read = read_internal },
    { 0 },
};
static const struct setting output_settings[] = {
    NUMBER("rows_max", read_count, S4__Graph__Output, rows_max, 1, UINT64_MAX),
    NUMBER("bytes_max", read_size, S4__Graph__Output, bytes_max, 1, UINT64_MAX),
    WORD("full", S4__Graph__Output, full, output_words),
    { 0 },
};

/* ---- prototypes ---------------------------------------------------------------------------- */

static void needs_callback(struct reader *reader, const struct tree_node *node,
                           const Prototype *prototype, bool wanted)
{
    if (wanted && !graph_has_callback(prototype, node->key))
        AT(reader, node->key_place, S4_INVALID, "%s: class \"%s\" has no %s callback", reader->what,
           prototype->class_, node->key);
}

static void read_trigger(struct reader *reader, const struct setting *setting,
                         const struct tree_node *node, void *target)
{
    const Prototype *prototype = target;
    read_nested(reader, setting, node, target);
    needs_callback(reader, node, prototype, prototype->trigger_events || prototype->trigger_gap_us);
}

static void read_output(struct reader *reader, const struct setting *setting,
                        const struct tree_node *node, void *target)
{
    const Prototype *prototype = target;
    read_nested(reader, setting, node, target);
    needs_callback(reader, node, prototype, prototype->output_events || prototype->output_every_us);
    if (prototype->output_aligned && !prototype->output_every_us)
        AT(reader, node->key_place, S4_INVALID, "output of %s: aligned needs every: a duration",
           reader->what);
}

static bool not_singleton(struct reader *reader, const struct tree_node *node,
                          const Prototype *prototype)
{
    if (prototype->singleton)
        AT(reader, node->key_place, S4_INVALID,
           "%s is a singleton: one instance, as long as the app; it has no %s", reader->what,
           node->key);
    return !prototype->singleton;
}

static void read_instances(struct reader *reader, const struct setting *setting,
                           const struct tree_node *node, void *target)
{
    if (not_singleton(reader, node, target))
        read_nested(reader, setting, node, target);
}

static void read_ttl(struct reader *reader, const struct setting *setting,
                     const struct tree_node *node, void *target)
{
    if (not_singleton(reader, node, target))
        read_duration(reader, setting, node, target);
}

/* ---- what the app names -------------------------------------------------------------------- */

/* A map of names of one sort, each with settings of its own. The lists of the graph are arrays of
 * pointers to messages that begin with their base and their name. */
struct named {
    ProtobufCMessage base;
    const char *name;
};
_Static_assert(offsetof(S4__Graph__Stream, name) == offsetof(struct named, name), "name is first");
_Static_assert(offsetof(S4__Graph__Output, name) == offsetof(struct named, name), "name is first");
_Static_assert(offsetof(Prototype, name) == offsetof(struct named, name), "name is first");

static void read_named(struct reader *reader, const struct tree_node *map, const char *sort,
                       void *const *list, size_t n, const struct setting *settings)
{
    if (!is_map(reader, map, "a map of names and settings"))
        return;
    for (const struct tree_node *node = map->first; node; node = node->next) {
        struct name_nearest nearest;
        name_nearest_init(&nearest, node->key);
        size_t i = 0;
        for (; i < n && strcmp(((const struct named *)list[i])->name, node->key) != 0; i++)
            name_nearest_try(&nearest, ((const struct named *)list[i])->name);
        if (i == n) {
            AT(reader, node->key_place, S4_NOT_FOUND, "the code has no %s \"%.80s\"%s", sort,
               node->key, name_hint(&nearest).text);
            continue;
        }
        if (is_map(reader, node, "a map of settings")) {
            snprintf(reader->what, sizeof reader->what, "%s \"%s\"", sort, node->key);
            read_map(reader, node, settings, list[i]);
            reader->what[0] = '\0';
        }
    }
}

static void read_streams(struct reader *reader, const struct setting *setting,
                         const struct tree_node *node, void *target)
{
    read_named(reader, node, "stream", (void *const *)reader->graph->streams,
               reader->graph->n_streams, stream_settings);
}

static void read_outputs(struct reader *reader, const struct setting *setting,
                         const struct tree_node *node, void *target)
{
    read_named(reader, node, "output", (void *const *)reader->graph->outputs,
               reader->graph->n_outputs, output_settings);
}

static void read_prototypes(struct reader *reader, const struct setting *setting,
                            const struct tree_node *node, void *target)
{
    read_named(reader, node, "prototype", (void *const *)reader->graph->prototypes,
               reader->graph->n_prototypes, prototype_settings);
}

/* ---- the clock ----------------------------------------------------------------------------- */

static void keep_clock(struct reader *reader, const struct setting *setting,
                       const struct tree_node *node, void *target)
{
    reader->clock = node;
}

static void read_attribute(struct reader *reader, const struct setting *setting,
                           const struct tree_node *node, void *target)
{
    S4__Graph__Clock *clock = target;
    if (!name_valid(text_of(node))) {
        wrong(reader, node, S4_INVALID, "the name of an attribute");
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
        AT(reader, node->place, S4_NOT_FOUND,
           "type %.80s of stream \"%s\" has no attribute \"%s\"%s", type->name, stream->name,
           node->text, name_hint(&nearest).text);
    }
    set_text(reader, &clock->attribute, node->text);
}

static void read_clock(struct reader *reader, const struct tree_node *node)
{
    static const struct word units[] = { { "us", 1 }, { "ms", 1000 }, { "s", 1000000 }, { 0 } };
    static const struct setting settings[] = {
        { .key = "event", .read = read_attribute },
        WORD("unit", S4__Graph__Clock, unit_us, units),
        { 0 },
    };
    S4__Graph__Clock *clock = reader->graph->clock;
    if (node->kind == TREE_TEXT && strcmp(node->text, "processing") == 0)
        return;
    if (!is_map(reader, node, "processing, or a map such as {event: ATTRIBUTE, unit: ms}"))
        return;
    clock->kind = S4__GRAPH__CLOCK__KIND__EVENT;
    clock->has_unit_us = true;
    clock->unit_us = 1;
    snprintf(reader->what, sizeof reader->what, "clock");
    read_map(reader, node, settings, clock);
    reader->what[0] = '\0';
    const struct tree_node *event = node->first;
    while (event && strcmp(event->key, "event") != 0)
        event = event->next;
    if (!event)
        AT(reader, node->place, S4_INVALID, "clock: \"event\" is missing: %s",
           "the attribute that holds the time");
}

/* ---- the app ------------------------------------------------------------------------------- */

static void read_app(struct reader *reader, const struct setting *setting,
                     const struct tree_node *node, void *target)
{
    if (name_valid(text_of(node)))
        set_text(reader, &reader->graph->app, node->text);
    else
        wrong(reader, node, S4_INVALID,
              "a name: a letter or _, then at most 63 letters, digits or _");
}

static void read_version(struct reader *reader, const struct setting *setting,
                         const struct tree_node *node, void *target)
{
    size_t len = strnlen(text_of(node), GRAPH_NAME_MAX + 1);
    bool good = len > 0 && len <= GRAPH_NAME_MAX;
    for (size_t i = 0; good && i < len; i++)
        good = node->text[i] > ' ' && node->text[i] < 0x7f;
    if (good)
        set_text(reader, &reader->graph->version, node->text);
    else
        wrong(reader, node, S4_INVALID, "a version such as 1.0.0, at most 64 characters");
}

static bool library_valid(const char *name)
{
    size_t len = strnlen(name, GRAPH_NAME_MAX + 4);
    return len > 3 && len <= GRAPH_NAME_MAX + 3 && name[0] != '.' &&
           strcmp(name + len - 3, ".so") == 0 &&
           strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-") == len;
}

static void read_library(struct reader *reader, const struct setting *setting,
                         const struct tree_node *node, void *target)
{
    if (library_valid(text_of(node)))
        set_text(reader, &reader->graph->library, node->text);
    else
        wrong(reader, node, S4_INVALID, "a file's name such as words.so");
}

static const struct setting dead_settings[] = {
    NUMBER("rows_max", read_count, S4__Graph__Graph, dead_rows_max, 1, UINT64_MAX),
    NUMBER("bytes_max", read_size, S4__Graph__Graph, dead_bytes_max, 1, UINT64_MAX),
    { 0 },
};
static const struct setting app_settings[] = {
    { .key = "app", .read = read_app },
    { .key = "version", .read = read_version },
    { .key = "library", .read = read_library },
    { .key = "clock", .read = keep_clock },
    NUMBER("emits_max", read_count, S4__Graph__Graph, emits_max, 1, EMITS_MAX),
    NUMBER("parked_after", read_count, S4__Graph__Graph, parked_after, 1, UINT32_MAX),
    NESTED("dead_letters", dead_settings),
    { .key = "parameters", .read = read_app_parameters },
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
static void read_names(struct reader *reader, const struct tree_node *root)
{
    if (!child(root, "app"))
        AT(reader, root->place, S4_INVALID, "\"app\" is missing: %s", "the app's name");
    if (!child(root, "version"))
        AT(reader, root->place, S4_INVALID, "\"version\" is missing: %s", "such as 1.0.0");
    if (!child(root, "library")) {
        char library[GRAPH_NAME_MAX + 4];
        snprintf(library, sizeof library, "%.*s.so", GRAPH_NAME_MAX, reader->graph->app);
        set_text(reader, &reader->graph->library, library);
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
    (void)problems_add(problems, S4_TYPE, "%s:%u:%u: found %s; wanted a map: app: NAME, ...", place,
                       tree->root->place.line, tree->root->place.column, show(tree->root).text);
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
    struct reader reader = {
        .place = place, .schema = schema, .graph = graph, .problems = problems
    };
    read_map(&reader, tree.root, app_settings, graph);
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
    struct reader reader = { .place = place, .graph = &graph, .problems = problems };
    const struct tree_node *app = child(tree.root, "app");
    const struct tree_node *library = child(tree.root, "library");
    if (app)
        read_app(&reader, NULL, app, NULL);
    if (library)
        read_library(&reader, NULL, library, NULL);
    if (!app)
        AT(&reader, tree.root->place, S4_INVALID, "\"app\" is missing: %s", "the app's name");
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
