/* The rules of prototypes: their subscriptions, callbacks, policies, limits and parameters. */
#include "pe/graph/check_parts.h"

#include "pe/graph/graph.h"
#include "pe/graph/limits.h"
#include "runtime/base/utf8.h"

void check_parameters(const struct graph_rules *rules, const char *what, const char *owner,
                      S4__Graph__Parameter *const *list, size_t n)
{
    if (!check_count(rules, "parameters in one place", n, GRAPH_PARAMETERS_MAX))
        return;
    for (size_t i = 0; i < n; i++) {
        if (!check_name(rules, "parameter", list[i]->name))
            continue;
        for (size_t k = 0; k < i; k++)
            if (strcmp(list[i]->name, list[k]->name) == 0)
                BAD(rules, S4_EXISTS, "%s \"%s\": two parameters are named \"%s\"", what, owner,
                    list[i]->name);
        if (list[i]->value_case == S4__GRAPH__PARAMETER__VALUE__NOT_SET)
            BAD(rules, S4_MALFORMED, "%s \"%s\": parameter \"%s\" has no value", what, owner,
                list[i]->name);
        if (list[i]->value_case == S4__GRAPH__PARAMETER__VALUE_TEXT) {
            size_t len = strnlen(list[i]->text, GRAPH_TEXT_MAX + 1);
            if (len > GRAPH_TEXT_MAX || utf8_valid(list[i]->text, len) != len)
                BAD(rules, S4_RANGE,
                    "%s \"%s\": the text of parameter \"%s\" is longer than %zu bytes or not UTF-8",
                    what, owner, list[i]->name, GRAPH_TEXT_MAX);
        }
    }
}

/* ---- subscriptions ------------------------------------------------------------------------- */

/* Handlers are named for people only, as C names them; C has no limit of ours. */
static bool plain_identifier(const char *name)
{
    size_t len = strnlen(name, 256);
    return len < 256 &&
           strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_") == len;
}

static bool check_subscription(const struct graph_rules *rules,
                               const S4__Graph__Prototype *prototype, size_t index)
{
    uint32_t number = prototype->subscriptions[index]->pair;
    if (number >= rules->graph->n_pairs) {
        BAD(rules, S4_MALFORMED, "prototype \"%s\" hears a pair that the graph does not have",
            prototype->name);
        return false;
    }
    const S4__Graph__Pair *pair = rules->graph->pairs[number];
    const char *stream = rules->graph->streams[pair->stream]->name;
    if (!plain_identifier(prototype->subscriptions[index]->handler))
        BAD(rules, S4_INVALID, "prototype \"%s\": a handler's name is not one of C",
            prototype->name);
    for (size_t i = 0; i < index; i++)
        if (prototype->subscriptions[i]->pair == number)
            BAD(rules, S4_EXISTS, "prototype \"%s\" hears stream \"%s\" twice by the same key",
                prototype->name, stream);
    bool own = pair->kind == S4__GRAPH__PAIR__KIND__SINGLETON;
    if (prototype->singleton && !own)
        BAD(rules, S4_INVALID,
            "prototype \"%s\" is a singleton and hears stream \"%s\" %s; it hears keyless "
            "(S4_ON_ANY)",
            prototype->name, stream,
            pair->kind == S4__GRAPH__PAIR__KIND__BROADCAST ? "by broadcast" : "by key");
    if (own && (!prototype->singleton || rules->graph->prototypes[pair->prototype] != prototype))
        BAD(rules, S4_MALFORMED, "prototype \"%s\" hears what is another's alone", prototype->name);
    return true;
}

static void check_subscriptions(const struct graph_rules *rules,
                                const S4__Graph__Prototype *prototype)
{
    bool sound = true;
    if (prototype->n_subscriptions > GRAPH_PAIRS_MAX) {
        BAD(rules, S4_RANGE, "prototype \"%s\" has %zu subscriptions; the limit is %d",
            prototype->name, prototype->n_subscriptions, GRAPH_PAIRS_MAX);
        return;
    }
    for (size_t i = 0; i < prototype->n_subscriptions; i++)
        sound &= check_subscription(rules, prototype, i);
    if (prototype->n_subscriptions == 0 && !prototype->singleton)
        BAD(rules, S4_INVALID,
            "prototype \"%s\" hears no stream, so it would never have an instance",
            prototype->name);
    if (sound && !prototype->singleton)
        check_keys_agree(rules, prototype);
}

/* ---- callbacks and policies ---------------------------------------------------------------- */

static void check_callbacks(const struct graph_rules *rules, const S4__Graph__Prototype *prototype)
{
    static const char *const served[] = { "create", "trigger", "timer", "output",
                                          "query",  "remove",  "save",  "load" };
    for (size_t i = 0; i < prototype->n_callbacks; i++) {
        size_t k = 0;
        while (k < ARRAY_LEN(served) && strcmp(prototype->callbacks[i], served[k]) != 0)
            k++;
        if (k == ARRAY_LEN(served))
            BAD(rules, S4_UNSUPPORTED,
                "prototype \"%s\": this version does not serve the callback "
                "%.64s",
                prototype->name, prototype->callbacks[i]);
    }
    bool trigger = prototype->trigger_events || prototype->trigger_gap_us;
    if (trigger && !graph_has_callback(prototype, "trigger"))
        BAD(rules, S4_INVALID,
            "prototype \"%s\": a trigger is set, but class \"%s\" has no trigger "
            "callback",
            prototype->name, prototype->class_);
    bool output = prototype->output_events || prototype->output_every_us;
    if (output && !graph_has_callback(prototype, "output"))
        BAD(rules, S4_INVALID,
            "prototype \"%s\": an output is set, but class \"%s\" has no output "
            "callback",
            prototype->name, prototype->class_);
    if (prototype->reply)
        check_type(rules, "the reply of prototype", prototype->name, prototype->reply);
    if (graph_has_callback(prototype, "query") != (prototype->reply != NULL))
        BAD(rules, S4_INVALID,
            "prototype \"%s\": a query callback and a reply type belong together", prototype->name);
}

static void check_policies(const struct graph_rules *rules, const S4__Graph__Prototype *prototype)
{
    const char *name = prototype->name;
    if (!prototype->has_ttl_us || !prototype->has_trigger_events ||
        !prototype->has_trigger_gap_us || !prototype->has_output_events ||
        !prototype->has_output_every_us || !prototype->has_output_aligned ||
        !prototype->has_singleton)
        BAD(rules, S4_MALFORMED, "prototype \"%s\": the graph lacks some of its settings", name);
    if (prototype->ttl_us > TTL_MAX_US)
        BAD(rules, S4_RANGE, "prototype \"%s\": its ttl is longer than 37d", name);
    if (prototype->trigger_gap_us > DURATION_MAX_US || prototype->output_every_us > DURATION_MAX_US)
        BAD(rules, S4_RANGE, "prototype \"%s\": a time is longer than 36525d", name);
    if (prototype->output_aligned && !prototype->output_every_us)
        BAD(rules, S4_INVALID, "prototype \"%s\": an aligned output needs a time (every)", name);
    if (prototype->singleton && prototype->ttl_us)
        BAD(rules, S4_INVALID,
            "prototype \"%s\" is a singleton, which lives as long as the app; it "
            "has no ttl",
            name);
}

static void check_limits(const struct graph_rules *rules, const S4__Graph__Prototype *prototype)
{
    const char *name = prototype->name;
    if (!prototype->has_instances_max || prototype->instances_max == 0 ||
        prototype->instances_max > INSTANCES_BOUND || !prototype->has_instance_bytes_max ||
        prototype->instance_bytes_max == 0)
        BAD(rules, S4_RANGE,
            "prototype \"%s\": instances: max is from 1 to %u, bytes_max at least 1", name,
            INSTANCES_BOUND);
    if (!prototype->has_mailbox_max || prototype->mailbox_max == 0 ||
        prototype->mailbox_max > MAILBOX_MAX || !prototype->has_mailbox_bytes_max ||
        prototype->mailbox_bytes_max == 0)
        BAD(rules, S4_RANGE, "prototype \"%s\": mailbox: max is from 1 to %u, bytes_max at least 1",
            name, MAILBOX_MAX);
    if (!prototype->has_budget || prototype->budget == 0 || prototype->budget > BUDGET_MAX)
        BAD(rules, S4_RANGE, "prototype \"%s\": budget is from 1 to %u", name, BUDGET_MAX);
    if (!prototype->has_instances_full ||
        prototype->instances_full < S4__GRAPH__PROTOTYPE__BOUND__REMOVE_OLDEST ||
        prototype->instances_full > S4__GRAPH__PROTOTYPE__BOUND__REFUSE ||
        !prototype->has_mailbox_full ||
        prototype->mailbox_full < S4__GRAPH__PROTOTYPE__FULL__BLOCK ||
        prototype->mailbox_full > S4__GRAPH__PROTOTYPE__FULL__DROP_OLDEST)
        BAD(rules, S4_MALFORMED, "prototype \"%s\": a policy is missing or unknown", name);
}

static void check_state(const struct graph_rules *rules, const S4__Graph__Prototype *prototype)
{
    const char *name = prototype->name;
    check_name(rules, "class", prototype->class_);
    if (prototype->state < S4__GRAPH__PROTOTYPE__STATE__FLAT ||
        prototype->state > S4__GRAPH__PROTOTYPE__STATE__CUSTOM ||
        prototype->state_size > GRAPH_STATE_MAX)
        BAD(rules, S4_RANGE, "prototype \"%s\": its state is of an unknown kind or above %zu bytes",
            name, GRAPH_STATE_MAX);
    bool message = prototype->state == S4__GRAPH__PROTOTYPE__STATE__MESSAGE;
    if (message != (prototype->state_type != NULL))
        BAD(rules, S4_MALFORMED,
            "prototype \"%s\": a message state and a state type belong together", name);
    else if (message)
        check_type(rules, "the state of prototype", name, prototype->state_type);
    for (size_t i = 0; i < prototype->n_answers; i++)
        if (prototype->answers[i] >= rules->graph->n_requests)
            BAD(rules, S4_MALFORMED,
                "prototype \"%s\" takes answers to a request that is not there", name);
}

void check_prototypes(const struct graph_rules *rules)
{
    const S4__Graph__Graph *graph = rules->graph;
    for (size_t i = 0; i < graph->n_prototypes; i++) {
        const S4__Graph__Prototype *prototype = graph->prototypes[i];
        if (!check_name(rules, "prototype", prototype->name))
            continue;
        if (graph_find_prototype(graph, prototype->name) != (int)i)
            BAD(rules, S4_EXISTS, "two prototypes are named \"%s\"", prototype->name);
        check_subscriptions(rules, prototype);
        check_callbacks(rules, prototype);
        check_policies(rules, prototype);
        check_limits(rules, prototype);
        check_state(rules, prototype);
        check_parameters(rules, "prototype", prototype->name, prototype->parameters,
                         prototype->n_parameters);
    }
}
