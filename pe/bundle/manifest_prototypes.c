/* The settings of prototypes, and parameters, which the app has as well. Whether settings make
 * sense together the graph's rules decide (graph/check.h); what can be told better where its line
 * is known, such as a trigger without its callback, is told here too. */
#include "pe/bundle/manifest_parts.h"

#include "pe/bundle/quantity.h"
#include "pe/graph/graph.h"
#include "pe/graph/names.h"

/* ---- parameters ---------------------------------------------------------------------------- */

static void set_parameter(struct setting_reader *reader, const struct tree_node *node,
                          S4__Graph__Parameter *parameter)
{
    s4_status status;
    bool flag;
    switch (parameter->value_case) {
    case S4__GRAPH__PARAMETER__VALUE_INTEGER:
        status = quantity_integer(setting_text(node), &parameter->integer);
        if (status != S4_OK)
            setting_wrong(reader, node, status, "an integer");
        break;
    case S4__GRAPH__PARAMETER__VALUE_REAL:
        status = quantity_real(setting_text(node), &parameter->real);
        if (status != S4_OK)
            setting_wrong(reader, node, status, "a number such as 0.5");
        break;
    case S4__GRAPH__PARAMETER__VALUE_FLAG:
        if (setting_bool_of(node, &flag))
            parameter->flag = flag;
        else
            setting_wrong(reader, node, S4_TYPE, "true or false");
        break;
    default:
        if (node->kind != TREE_TEXT || (node->plain && node->text[0] == '\0'))
            setting_wrong(reader, node, S4_TYPE, "a text (an empty one is \"\")");
        else if (strlen(node->text) > GRAPH_TEXT_MAX)
            SETTING_BAD(reader, node->place, S4_RANGE, "%s of %s: a text of more than %zu bytes",
                        node->key, reader->what, GRAPH_TEXT_MAX);
        else
            setting_set_text(reader, &parameter->text, node->text);
    }
}

static void read_parameters_of(struct setting_reader *reader, const struct tree_node *map,
                               S4__Graph__Parameter **list, size_t n)
{
    if (!setting_is_map(reader, map, "a map of names and values"))
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
            SETTING_BAD(reader, node->key_place, S4_NOT_FOUND, "unknown parameter \"%.80s\"%s%s%s",
                        node->key, of, reader->what, name_hint(&nearest).text);
    }
}

void manifest_app_parameters(struct setting_reader *reader, const struct setting *setting,
                             const struct tree_node *node, void *target)
{
    read_parameters_of(reader, node, reader->graph->parameters, reader->graph->n_parameters);
}

static void read_parameters(struct setting_reader *reader, const struct setting *setting,
                            const struct tree_node *node, void *target)
{
    S4__Graph__Prototype *prototype = target;
    read_parameters_of(reader, node, prototype->parameters, prototype->n_parameters);
}

/* ---- tables of settings -------------------------------------------------------------------- */

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

static const struct setting trigger_settings[] = {
    SETTING_NUMBER("events", setting_count, Prototype, trigger_events, 0, UINT64_MAX),
    SETTING_NUMBER("gap", setting_duration, Prototype, trigger_gap_us, 0, DURATION_MAX_US),
    { 0 },
};
static const struct setting period_settings[] = {
    SETTING_NUMBER("events", setting_count, Prototype, output_events, 0, UINT64_MAX),
    SETTING_NUMBER("every", setting_duration, Prototype, output_every_us, 0, DURATION_MAX_US),
    { .key = "aligned", .read = setting_bool, SETTING_PLACE(Prototype, output_aligned) },
    { 0 },
};
static const struct setting instances_settings[] = {
    SETTING_NUMBER("max", setting_count, Prototype, instances_max, 1, INSTANCES_BOUND),
    SETTING_NUMBER("bytes_max", setting_size, Prototype, instance_bytes_max, 1, UINT64_MAX),
    SETTING_WORD("full", Prototype, instances_full, bound_words),
    { 0 },
};
static const struct setting mailbox_settings[] = {
    SETTING_NUMBER("max", setting_count, Prototype, mailbox_max, 1, MAILBOX_MAX),
    SETTING_NUMBER("bytes_max", setting_size, Prototype, mailbox_bytes_max, 1, UINT64_MAX),
    SETTING_WORD("full", Prototype, mailbox_full, mailbox_words),
    { 0 },
};

static setting_read read_trigger, read_output, read_instances, read_ttl;

const struct setting manifest_prototype_settings[] = {
    { .key = "parameters", .read = read_parameters },
    { .key = "ttl",
      .read = read_ttl,
      SETTING_PLACE(Prototype, ttl_us),
      .min = 0,
      .max = TTL_MAX_US },
    { .key = "trigger", .read = read_trigger, .nested = trigger_settings },
    { .key = "output", .read = read_output, .nested = period_settings },
    { .key = "instances", .read = read_instances, .nested = instances_settings },
    SETTING_NESTED("mailbox", mailbox_settings),
    SETTING_NUMBER("budget", setting_count, Prototype, budget, 1, BUDGET_MAX),
    { 0 },
};

/* ---- prototypes ---------------------------------------------------------------------------- */

static void needs_callback(struct setting_reader *reader, const struct tree_node *node,
                           const Prototype *prototype, bool wanted)
{
    if (wanted && !graph_has_callback(prototype, node->key))
        SETTING_BAD(reader, node->key_place, S4_INVALID, "%s: class \"%s\" has no %s callback",
                    reader->what, prototype->class_, node->key);
}

static void read_trigger(struct setting_reader *reader, const struct setting *setting,
                         const struct tree_node *node, void *target)
{
    const Prototype *prototype = target;
    setting_nested(reader, setting, node, target);
    needs_callback(reader, node, prototype, prototype->trigger_events || prototype->trigger_gap_us);
}

static void read_output(struct setting_reader *reader, const struct setting *setting,
                        const struct tree_node *node, void *target)
{
    const Prototype *prototype = target;
    setting_nested(reader, setting, node, target);
    needs_callback(reader, node, prototype, prototype->output_events || prototype->output_every_us);
    if (prototype->output_aligned && !prototype->output_every_us)
        SETTING_BAD(reader, node->key_place, S4_INVALID,
                    "output of %s: aligned needs every: a duration", reader->what);
}

static bool not_singleton(struct setting_reader *reader, const struct tree_node *node,
                          const Prototype *prototype)
{
    if (prototype->singleton)
        SETTING_BAD(reader, node->key_place, S4_INVALID,
                    "%s is a singleton: one instance, as long as the app; it has no %s",
                    reader->what, node->key);
    return !prototype->singleton;
}

static void read_instances(struct setting_reader *reader, const struct setting *setting,
                           const struct tree_node *node, void *target)
{
    if (not_singleton(reader, node, target))
        setting_nested(reader, setting, node, target);
}

static void read_ttl(struct setting_reader *reader, const struct setting *setting,
                     const struct tree_node *node, void *target)
{
    if (not_singleton(reader, node, target))
        setting_duration(reader, setting, node, target);
}
