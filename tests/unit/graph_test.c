/* The graph: what is made of a table, the table's rules, the graph's rules, damaged messages,
 * memory. */
#include "tests/support/suite.h"

#include <s4/s4.h>

#include "pe/graph/app.h"
#include "pe/graph/check.h"
#include "pe/graph/graph.h"
#include "runtime/base/mem.h"
#include "runtime/base/rng.h"
#include "tests/abi/words.pb-c.h"

extern const s4_app s4_plugin; /* tests/abi/good.c */

/* ---- what is made of a good table ---------------------------------------------------------- */

struct made {
    struct schema *schema;
    S4__Graph__Graph *graph;
};

static struct made make(const s4_app *app)
{
    struct made made;
    ck_assert_int_eq(app_schema(app, &made.schema, NULL), S4_OK);
    ck_assert_int_eq(graph_from_app(app, &made.graph), S4_OK);
    return made;
}

static void made_fini(struct made *made)
{
    graph_destroy(made->graph);
    schema_destroy(made->schema);
}

static const char *first(const struct problems *problems)
{
    return problems->count ? problems->list[0].text : "nothing";
}

START_TEST(a_good_table_breaks_no_rule)
{
    struct problems problems;
    problems_init(&problems);
    ck_assert_msg(app_check(&s4_plugin, &problems) == S4_OK, "%s", first(&problems));
    struct made made = make(&s4_plugin);
    ck_assert_msg(graph_check(made.graph, made.schema, &problems) == S4_OK, "%s", first(&problems));
    made_fini(&made);
    problems_fini(&problems);
}
END_TEST

START_TEST(pairs_are_numbered_by_stream_and_shared)
{
    struct made made = make(&s4_plugin);
    const S4__Graph__Graph *graph = made.graph;
    ck_assert_uint_eq(graph->n_pairs, 4);
    ck_assert_int_eq(graph->pairs[0]->kind, S4__GRAPH__PAIR__KIND__KEYLESS);
    ck_assert_uint_eq(graph->pairs[0]->stream, 0);
    ck_assert_int_eq(graph->pairs[1]->kind, S4__GRAPH__PAIR__KIND__KEYED);
    ck_assert_str_eq(graph->pairs[1]->key[0], "text");
    ck_assert_uint_eq(graph->pairs[2]->n_key, 2);
    ck_assert_str_eq(graph->pairs[2]->key[0], "author.name");
    ck_assert_str_eq(graph->pairs[2]->key[1], "tags");
    ck_assert_int_eq(graph->pairs[3]->kind, S4__GRAPH__PAIR__KIND__SINGLETON);
    ck_assert_uint_eq(graph->pairs[3]->prototype, 3);
    for (size_t i = 0; i < 4; i++)
        ck_assert_uint_eq(graph->prototypes[i]->subscriptions[0]->pair, i);
    made_fini(&made);
}
END_TEST

START_TEST(numbers_reach_the_code)
{
    struct made made = make(&s4_plugin);
    app_number(&s4_plugin, made.graph);
    for (uint16_t i = 0; i < 2; i++) {
        ck_assert_uint_eq(*s4_plugin.streams[i]->number, i);
        ck_assert_uint_eq(*s4_plugin.outputs[i]->number, i);
    }
    ck_assert_uint_eq(*s4_plugin.requests[0]->number, 0);
    ck_assert_int_eq(graph_find_stream(made.graph, "words"), 1);
    ck_assert_int_eq(graph_find_stream(made.graph, "word"), -1);
    ck_assert_int_eq(graph_find_prototype(made.graph, "fans"), 2);
    ck_assert_int_eq(graph_find_output(made.graph, "seen"), 1);
    ck_assert_int_eq(graph_find_request(made.graph, "lookup"), 0);
    ck_assert(graph_has_callback(made.graph->prototypes[1], "query"));
    ck_assert(!graph_has_callback(made.graph->prototypes[0], "query"));
    ck_assert_str_eq(made.graph->prototypes[1]->reply, "abi.Count");
    ck_assert_uint_eq(made.graph->prototypes[1]->answers[0], 0);
    made_fini(&made);
}
END_TEST

START_TEST(parameters_reach_the_code)
{
    struct {
        int64_t least;
        double factor;
        bool loud;
        const char *greeting;
    } * params;
    struct made made = make(&s4_plugin);
    const s4_class *class = s4_plugin.prototypes[1]->of;
    S4__Graph__Prototype *prototype = made.graph->prototypes[1];
    prototype->parameters[0]->integer = 77;
    ck_assert_int_eq(app_params_create(class->params, class->n_params, class->params_size,
                                       prototype->parameters, prototype->n_parameters,
                                       (void **)&params),
                     S4_OK);
    ck_assert_int_eq(params->least, 77);
    ck_assert_double_eq(params->factor, 0.5);
    ck_assert(!params->loud);
    ck_assert_str_eq(params->greeting, "hello");
    mem_free(params);
    made_fini(&made);
}
END_TEST

START_TEST(hashes_tell_graphs_and_types_apart)
{
    struct made a = make(&s4_plugin), b = make(&s4_plugin);
    uint64_t x, y;
    ck_assert_int_eq(graph_hash(a.graph, a.schema, &x), S4_OK);
    ck_assert_int_eq(graph_hash(b.graph, b.schema, &y), S4_OK);
    ck_assert_uint_eq(x, y);
    b.graph->prototypes[1]->budget++;
    ck_assert_int_eq(graph_hash(b.graph, b.schema, &y), S4_OK);
    ck_assert_uint_ne(x, y);
    made_fini(&a);
    made_fini(&b);
}
END_TEST

/* ---- the rules of tables: one good table, broken in one place each time -------------------- */

struct table {
    s4_stream streams[3];
    const s4_stream *stream_list[GRAPH_STREAMS_MAX + 1];
    s4_output outputs[2];
    const s4_output *output_list[GRAPH_OUTPUTS_MAX + 1];
    s4_request request;
    const s4_request *request_list[GRAPH_REQUESTS_MAX + 1];
    s4_param params[GRAPH_PARAMETERS_MAX + 1];
    s4_answer_handler answers[2];
    s4_class class;
    s4_subscription subscriptions[GRAPH_KEY_PARTS_MAX];
    s4_prototype prototypes[2];
    const s4_prototype *prototype_list[GRAPH_PROTOTYPES_MAX + 1];
    s4_app app;
    uint16_t numbers[8];
};

static void any_callback(void)
{
}

static s4_status any_state(s4_ctx *ctx, void *self)
{
    return S4_OK;
}

static s4_status any_query(s4_ctx *ctx, const void *self)
{
    return S4_OK;
}

static s4_status any_save(s4_ctx *ctx, const void *self, s4_saver *saver)
{
    return S4_OK;
}

static s4_status any_load(s4_ctx *ctx, void *self, s4_loader *loader)
{
    return S4_OK;
}

static s4_status any_merge(s4_ctx *ctx, void *self, const void *other)
{
    return S4_OK;
}

static s4_status any_migrate(s4_ctx *ctx, void *self, uint32_t from, s4_loader *loader)
{
    return S4_OK;
}

static void fill_parts(struct table *t)
{
    const ProtobufCMessageDescriptor *word = &abi__word__descriptor;
    t->streams[0] = (s4_stream){ .name = "words", .type = word, .number = &t->numbers[0] };
    t->streams[1] = (s4_stream){ .name = "others", .type = word, .number = &t->numbers[1] };
    t->streams[2] = (s4_stream){ .name = "third", .type = word, .number = &t->numbers[6] };
    t->outputs[0] = (s4_output){ .name = "counts",
                                 .type = &abi__count__descriptor,
                                 .number = &t->numbers[2],
                                 .kind = S4_TABLE_KIND,
                                 .key = "word" };
    t->outputs[1] = (s4_output){ .name = "seen",
                                 .type = &abi__count__descriptor,
                                 .number = &t->numbers[3],
                                 .kind = S4_LOG_KIND };
    t->request = (s4_request){ .name = "lookup",
                               .question = &abi__lookup__descriptor,
                               .answer = &abi__meaning__descriptor,
                               .number = &t->numbers[4],
                               .run = any_callback };
    for (size_t i = 0; i < ARRAY_LEN(t->params); i++)
        t->params[i] = (s4_param){ .name = "least", .kind = S4_INTEGER };
    t->answers[0] = (s4_answer_handler){ &t->request, "on_meaning", any_callback };
    t->answers[1] = t->answers[0];
    t->class = (s4_class){ .size = sizeof(s4_class),
                           .state_kind = S4_FLAT,
                           .state_size = 8,
                           .name = "counter",
                           .params = t->params,
                           .n_params = 1,
                           .params_size = 8,
                           .answers = t->answers,
                           .n_answers = 1 };
    for (size_t i = 0; i < ARRAY_LEN(t->subscriptions); i++)
        t->subscriptions[i] = (s4_subscription){ .stream = &t->streams[i > 1 ? 1 : i],
                                                 .kind = S4_KEYED,
                                                 .key = "text",
                                                 .handler = "on_word",
                                                 .on_event = any_callback };
}

static void fill_lists(struct table *t)
{
    t->prototypes[0] = (s4_prototype){ .size = sizeof(s4_prototype),
                                       .name = "counters",
                                       .of = &t->class,
                                       .subscriptions = t->subscriptions,
                                       .n_subscriptions = 2 };
    t->prototypes[1] = t->prototypes[0];
    t->prototypes[1].name = "twins";
    for (size_t i = 0; i < ARRAY_LEN(t->stream_list); i++)
        t->stream_list[i] = &t->streams[i % 2];
    for (size_t i = 0; i < ARRAY_LEN(t->output_list); i++)
        t->output_list[i] = &t->outputs[i % 2];
    for (size_t i = 0; i < ARRAY_LEN(t->request_list); i++)
        t->request_list[i] = &t->request;
    for (size_t i = 0; i < ARRAY_LEN(t->prototype_list); i++)
        t->prototype_list[i] = &t->prototypes[i % 2];
    t->app = (s4_app){ .size = sizeof(s4_app),
                       .name = "app",
                       .prototypes = t->prototype_list,
                       .n_prototypes = 2,
                       .outputs = t->output_list,
                       .n_outputs = 2,
                       .streams = t->stream_list,
                       .n_streams = 2,
                       .requests = t->request_list,
                       .n_requests = 1 };
}

#define CASE(name) static void name(struct table *t)
CASE(short_app)
{
    t->app.size = sizeof(s4_app) - 8;
}
CASE(no_app_name)
{
    t->app.name = NULL;
}
CASE(bad_app_name)
{
    t->app.name = "an app";
}
CASE(many_streams)
{
    t->app.n_streams = GRAPH_STREAMS_MAX + 1;
}
CASE(many_outputs)
{
    t->app.n_outputs = GRAPH_OUTPUTS_MAX + 1;
}
CASE(many_requests)
{
    t->app.n_requests = GRAPH_REQUESTS_MAX + 1;
}
CASE(many_prototypes)
{
    t->app.n_prototypes = GRAPH_PROTOTYPES_MAX + 1;
}
CASE(no_list)
{
    t->app.outputs = NULL;
}
CASE(no_entry)
{
    t->prototype_list[1] = NULL;
}
CASE(same_streams)
{
    t->streams[1].name = "words";
}
CASE(no_stream_type)
{
    t->streams[0].type = NULL;
}
CASE(no_stream_number)
{
    t->streams[0].number = NULL;
}
CASE(same_outputs)
{
    t->outputs[1].name = "counts";
}
CASE(output_kind)
{
    t->outputs[0].kind = 3;
}
CASE(table_without_key)
{
    t->outputs[0].key = NULL;
}
CASE(log_with_key)
{
    t->outputs[1].key = "word";
}
CASE(no_request_run)
{
    t->request.run = NULL;
}
CASE(no_question)
{
    t->request.question = NULL;
}
CASE(short_class)
{
    t->class.size = 16;
}
CASE(bad_class_name)
{
    t->class.name = "9";
}
CASE(large_state)
{
    t->class.state_size = GRAPH_STATE_MAX + 1;
}
CASE(state_kind)
{
    t->class.state_kind = 4;
}
CASE(flat_with_save)
{
    t->class.save = any_save;
}
CASE(custom_without_load)
{
    t->class.state_kind = S4_CUSTOM;
    t->class.save = any_save;
}
CASE(custom_with_nothing)
{
    t->class.state_kind = S4_CUSTOM;
}
CASE(message_with_load)
{
    t->class.state_kind = S4_MESSAGE;
    t->class.state_type = &abi__count__descriptor;
    t->class.state_size = sizeof(Abi__Count);
    t->class.load = any_load;
}
CASE(message_without_type)
{
    t->class.state_kind = S4_MESSAGE;
}
CASE(message_of_wrong_size)
{
    t->class.state_kind = S4_MESSAGE;
    t->class.state_type = &abi__count__descriptor;
}
CASE(flat_with_type)
{
    t->class.state_type = &abi__count__descriptor;
}
CASE(merge)
{
    t->class.merge = any_merge;
}
CASE(migrate)
{
    t->class.migrate = any_migrate;
}
CASE(query_without_reply)
{
    t->class.query = any_query;
}
CASE(reply_without_query)
{
    t->class.reply = &abi__count__descriptor;
}
CASE(strange_request)
{
    t->app.n_requests = 0;
}
CASE(no_answer_handler)
{
    t->answers[0].on_answer = NULL;
}
CASE(answers_twice)
{
    t->class.n_answers = 2;
}
CASE(same_params)
{
    t->class.n_params = 2;
    t->class.params_size = 16;
}
CASE(many_params)
{
    t->class.n_params = GRAPH_PARAMETERS_MAX + 1;
}
CASE(param_outside)
{
    t->params[0].offset = 1;
}
CASE(param_kind)
{
    t->params[0].kind = 5;
}
CASE(short_prototype)
{
    t->prototypes[0].size = 0;
}
CASE(same_prototypes)
{
    t->prototypes[1].name = "counters";
}
CASE(no_class)
{
    t->prototypes[0].of = NULL;
}
CASE(no_subscription_stream)
{
    t->subscriptions[1].stream = NULL;
}
CASE(subscription_kind)
{
    t->subscriptions[0].kind = 0;
}
CASE(keyed_without_key)
{
    t->subscriptions[0].key = NULL;
}
CASE(keyless_with_key)
{
    t->subscriptions[0].kind = S4_KEYLESS;
}
CASE(no_handler)
{
    t->subscriptions[0].on_event = NULL;
}
CASE(handler_of_another_type)
{
    t->subscriptions[0].type = &abi__line__descriptor;
}

#define NAME_RULE ": a name is a letter or _, then at most 63 letters, digits or _"

static const struct {
    void (*break_it)(struct table *t);
    s4_status code;
    const char *message;
} table_rules[] = {
    { short_app, S4_VERSION, "the app's table has 112 bytes; this node's version wants 120" },
    { no_app_name, S4_INVALID, "the app has no name" },
    { bad_app_name, S4_INVALID, "the app \"an app\"" NAME_RULE },
    { many_streams, S4_RANGE, "the app has 257 streams; the limit is 256" },
    { many_outputs, S4_RANGE, "the app has 65 outputs; the limit is 64" },
    { many_requests, S4_RANGE, "the app has 65 requests; the limit is 64" },
    { many_prototypes, S4_RANGE, "the app has 65 prototypes; the limit is 64" },
    { no_list, S4_INVALID, "the app's list of outputs has 2 entries, and number 1 is missing" },
    { no_entry, S4_INVALID, "the app's list of prototypes has 2 entries, and number 2 is missing" },
    { same_streams, S4_EXISTS, "two streams are named \"words\"" },
    { no_stream_type, S4_TYPE,
      "stream \"words\": its type is unknown; give the descriptor of a protobuf message" },
    { no_stream_number, S4_INVALID, "stream \"words\" has no place for its number" },
    { same_outputs, S4_EXISTS, "two outputs are named \"counts\"" },
    { output_kind, S4_INVALID, "output \"counts\" is neither a table nor a log" },
    { table_without_key, S4_INVALID, "table \"counts\" has no key" },
    { log_with_key, S4_INVALID, "log \"seen\" has a key; only tables have one" },
    { no_request_run, S4_INVALID, "request \"lookup\" has no function to run" },
    { no_question, S4_TYPE,
      "the question of request \"lookup\": its type is unknown; give the descriptor of a protobuf "
      "message" },
    { short_class, S4_VERSION, "a class's table has 16 bytes; this node's version wants 152" },
    { bad_class_name, S4_INVALID, "a class \"9\"" NAME_RULE },
    { large_state, S4_RANGE,
      "class \"counter\": its state has 1048577 bytes; the limit is 1048576" },
    { state_kind, S4_INVALID, "class \"counter\": its state is neither flat, message nor custom" },
    { flat_with_save, S4_INVALID,
      "class \"counter\": a flat state is saved by the host; save and load are for custom ones" },
    { custom_without_load, S4_INVALID,
      "class \"counter\": a custom state needs both save and load; load is missing" },
    { custom_with_nothing, S4_INVALID,
      "class \"counter\": a custom state needs both save and load; each of them is missing" },
    { message_with_load, S4_INVALID,
      "class \"counter\": a message state is saved by the host; save and load are for custom "
      "ones" },
    { message_without_type, S4_TYPE,
      "the state of class \"counter\": its type is unknown; give the descriptor of a protobuf "
      "message" },
    { message_of_wrong_size, S4_INVALID,
      "class \"counter\": its state has 8 bytes, but abi.Count has 64" },
    { flat_with_type, S4_INVALID, "class \"counter\": a state_type is for message states" },
    { merge, S4_UNSUPPORTED, "class \"counter\": this version does not serve the callback merge" },
    { migrate, S4_UNSUPPORTED,
      "class \"counter\": this version does not serve the callback migrate" },
    { query_without_reply, S4_INVALID, "class \"counter\" has a query callback and no reply type" },
    { reply_without_query, S4_INVALID, "class \"counter\" has a reply type and no query callback" },
    { strange_request, S4_NOT_FOUND,
      "class \"counter\" takes the answers of a request that the app does not list" },
    { no_answer_handler, S4_INVALID,
      "class \"counter\" has no handler for the answers to \"lookup\"" },
    { answers_twice, S4_EXISTS, "class \"counter\" takes the answers to one request twice" },
    { same_params, S4_EXISTS, "class \"counter\": two parameters are named \"least\"" },
    { many_params, S4_RANGE, "class \"counter\" has 65 parameters; the limit is 64" },
    { param_outside, S4_RANGE,
      "class \"counter\": parameter \"least\" lies outside of its struct" },
    { param_kind, S4_INVALID, "class \"counter\": parameter \"least\" is of an unknown kind" },
    { short_prototype, S4_VERSION,
      "a prototype's table has 0 bytes; this node's version wants 96" },
    { same_prototypes, S4_EXISTS, "two prototypes are named \"counters\"" },
    { no_class, S4_INVALID, "prototype \"counters\" has no class" },
    { no_subscription_stream, S4_INVALID,
      "prototype \"counters\": subscription number 2 has no stream" },
    { subscription_kind, S4_INVALID,
      "prototype \"counters\" hears stream \"words\" in an unknown way" },
    { keyed_without_key, S4_INVALID,
      "prototype \"counters\" hears stream \"words\" by key, but no key is given" },
    { keyless_with_key, S4_INVALID,
      "prototype \"counters\" hears stream \"words\" without a key, but one is given" },
    { no_handler, S4_INVALID, "prototype \"counters\" has no handler for stream \"words\"" },
    { handler_of_another_type, S4_TYPE,
      "prototype \"counters\": the handler on_word takes abi.Line, but stream \"words\" carries "
      "abi.Word" },
};

START_TEST(each_rule_of_tables_is_kept)
{
    struct table t = { 0 };
    struct problems problems;
    problems_init(&problems);
    fill_parts(&t);
    fill_lists(&t);
    ck_assert_msg(app_check(&t.app, &problems) == S4_OK, "%s", first(&problems));
    table_rules[_i].break_it(&t);
    ck_assert_int_eq(app_check(&t.app, &problems), table_rules[_i].code);
    ck_assert_str_eq(first(&problems), table_rules[_i].message);
    problems_fini(&problems);
}
END_TEST

/* ---- the rules of graphs, by tables -------------------------------------------------------- */

CASE(unknown_attribute)
{
    t->subscriptions[0].key = "txet";
}
CASE(unknown_inner)
{
    t->subscriptions[0].key = "author.nam";
}
CASE(float_key)
{
    t->subscriptions[0].key = "weight";
}
CASE(message_key)
{
    t->subscriptions[0].key = "author";
}
CASE(path_through_list)
{
    t->subscriptions[0].key = "readers.name";
}
CASE(empty_part)
{
    t->subscriptions[0].key = "text,";
}
CASE(odd_part)
{
    t->subscriptions[0].key = "text/count";
}
CASE(nine_parts)
{
    t->subscriptions[0].key = "text,text,text,text,text,text,text,text,text";
}
CASE(more_parts)
{
    t->subscriptions[0].key = "text,text";
}
CASE(other_kind)
{
    t->subscriptions[0].key = "count";
}
CASE(keyed_and_keyless)
{
    t->subscriptions[1].kind = S4_KEYLESS;
    t->subscriptions[1].key = NULL;
}
CASE(only_broadcast)
{
    t->prototypes[0].n_subscriptions = 1;
    t->subscriptions[0].kind = S4_BROADCAST;
    t->subscriptions[0].key = NULL;
}
CASE(hears_twice)
{
    t->prototypes[0].n_subscriptions = 3;
}
CASE(hears_nothing)
{
    t->prototypes[0].n_subscriptions = 0;
}
CASE(keyed_singleton)
{
    t->prototypes[0].singleton = true;
}
CASE(singleton_with_ttl)
{
    keyed_singleton(t);
    t->subscriptions[0].kind = S4_KEYLESS;
    t->subscriptions[0].key = NULL;
    t->prototypes[0].n_subscriptions = 1;
    t->prototypes[0].policy.ttl_us = 1;
}
CASE(trigger_without_callback)
{
    t->prototypes[0].policy.trigger_events = 1;
}
CASE(output_without_callback)
{
    t->prototypes[0].policy.output_every_us = 1;
}
CASE(aligned_without_time)
{
    t->class.output = any_state;
    t->prototypes[0].policy.output_aligned = true;
}
CASE(long_ttl)
{
    t->prototypes[0].policy.ttl_us = TTL_MAX_US + 1;
}
CASE(reserved_output)
{
    t->outputs[1].name = "dead_letters";
}
CASE(unknown_table_key)
{
    t->outputs[0].key = "wrod";
}
CASE(repeated_table_key)
{
    t->outputs[0].key = "tags";
}

static const struct {
    void (*break_it)(struct table *t);
    s4_status code;
    const char *message;
} graph_rules[] = {
    { unknown_attribute, S4_NOT_FOUND,
      "the key of stream \"words\": type abi.Word has no attribute \"txet\"; did you mean "
      "\"text\"?" },
    { unknown_inner, S4_NOT_FOUND,
      "the key of stream \"words\": type abi.Author has no attribute \"nam\"; did you mean "
      "\"name\"?" },
    { float_key, S4_TYPE,
      "the key of stream \"words\": attribute \"weight\" of abi.Word is a double: a key takes "
      "text, "
      "bytes, integers, bools and enums" },
    { message_key, S4_TYPE,
      "the key of stream \"words\": attribute \"author\" of abi.Word is a message: name one of its "
      "attributes, as in \"author.x\"" },
    { path_through_list, S4_TYPE,
      "the key of stream \"words\": attribute \"readers\" of abi.Word is not a single message: a "
      "path goes only through these" },
    { empty_part, S4_INVALID,
      "the key of stream \"words\": a part of its key is not the name of an attribute" },
    { odd_part, S4_INVALID,
      "the key of stream \"words\": a part of its key is not the name of an attribute" },
    { nine_parts, S4_RANGE, "the key of stream \"words\": its key has 9 parts; it has 1 to 8" },
    { more_parts, S4_TYPE,
      "prototype \"counters\": its key has 2 parts by stream \"words\" and 1 by stream "
      "\"others\"" },
    { other_kind, S4_TYPE,
      "prototype \"counters\": part 1 of its key is a number by stream \"words\" and a text by "
      "stream \"others\"" },
    { keyed_and_keyless, S4_TYPE,
      "prototype \"counters\" hears stream \"words\" by key and stream \"others\" without: one "
      "instance has one key or none" },
    { only_broadcast, S4_INVALID,
      "prototype \"counters\" hears only broadcasts, which reach living instances and make none" },
    { hears_twice, S4_EXISTS,
      "prototype \"counters\" hears stream \"others\" twice by the same key" },
    { hears_nothing, S4_INVALID,
      "prototype \"counters\" hears no stream, so it would never have an instance" },
    { keyed_singleton, S4_INVALID,
      "prototype \"counters\" is a singleton and hears stream \"words\" by key; it hears keyless "
      "(S4_ON_ANY)" },
    { singleton_with_ttl, S4_INVALID,
      "prototype \"counters\" is a singleton, which lives as long as the app; it has no ttl" },
    { trigger_without_callback, S4_INVALID,
      "prototype \"counters\": a trigger is set, but class \"counter\" has no trigger callback" },
    { output_without_callback, S4_INVALID,
      "prototype \"counters\": an output is set, but class \"counter\" has no output callback" },
    { aligned_without_time, S4_INVALID,
      "prototype \"counters\": an aligned output needs a time (every)" },
    { long_ttl, S4_RANGE, "prototype \"counters\": its ttl is longer than 37d" },
    { reserved_output, S4_EXISTS,
      "an output cannot be named \"dead_letters\": every app has that log" },
    { unknown_table_key, S4_NOT_FOUND,
      "table \"counts\": type abi.Count has no attribute \"wrod\"; did you mean \"word\"?" },
    { repeated_table_key, S4_TYPE,
      "table \"counts\": a row has one key; a repeated attribute gives several" },
};

START_TEST(each_rule_of_graphs_is_kept)
{
    struct table t = { 0 };
    struct problems problems;
    problems_init(&problems);
    fill_parts(&t);
    fill_lists(&t);
    graph_rules[_i].break_it(&t);
    ck_assert_msg(app_check(&t.app, &problems) == S4_OK, "%s", first(&problems));
    struct made made = make(&t.app);
    ck_assert_int_eq(graph_check(made.graph, made.schema, &problems), graph_rules[_i].code);
    ck_assert_str_eq(first(&problems), graph_rules[_i].message);
    made_fini(&made);
    problems_fini(&problems);
}
END_TEST

/* The limits of key parts and pairs at N: accepted. N + 1 is above and below. */
START_TEST(limits_are_reached)
{
    struct table t = { 0 };
    struct problems problems;
    problems_init(&problems);
    fill_parts(&t);
    fill_lists(&t);
    t.subscriptions[0].key = t.subscriptions[1].key = "text,text,text,text,text,text,text,text";
    t.class.state_size = GRAPH_STATE_MAX;
    static char names[GRAPH_STREAMS_MAX + 1][8];
    static s4_stream streams[GRAPH_STREAMS_MAX + 1];
    for (size_t i = 0; i <= GRAPH_STREAMS_MAX; i++) {
        snprintf(names[i], sizeof names[i], "s%zu", i);
        streams[i] = (s4_stream){ names[i], &abi__word__descriptor, &t.numbers[5], false };
        t.stream_list[i] = &streams[i];
    }
    t.subscriptions[0].stream = &streams[0];
    t.subscriptions[1].stream = &streams[1];
    t.app.n_streams = GRAPH_STREAMS_MAX;
    ck_assert_msg(app_check(&t.app, &problems) == S4_OK, "%s", first(&problems));
    struct made made = make(&t.app);
    ck_assert_uint_eq(made.graph->n_streams, GRAPH_STREAMS_MAX);
    ck_assert_msg(graph_check(made.graph, made.schema, &problems) == S4_OK, "%s", first(&problems));
    made_fini(&made);
    /* One more, which only a subscription names. */
    t.subscriptions[1].stream = &streams[GRAPH_STREAMS_MAX];
    ck_assert_int_eq(app_check(&t.app, &problems), S4_RANGE);
    ck_assert_str_eq(first(&problems), "the app has more than 256 streams");
    problems_fini(&problems);
}
END_TEST

static const char *numbered(char letter, size_t i)
{
    static char names[4][GRAPH_PARAMETERS_MAX][8];
    char *name = names[letter - 'a'][i];
    snprintf(name, sizeof names[0][0], "%c%zu", letter, i);
    return name;
}

START_TEST(as_many_of_everything_as_there_may_be)
{
    static s4_output outputs[GRAPH_OUTPUTS_MAX];
    static s4_request requests[GRAPH_REQUESTS_MAX];
    static s4_prototype prototypes[GRAPH_PROTOTYPES_MAX];
    struct table t = { 0 };
    struct problems problems;
    problems_init(&problems);
    fill_parts(&t);
    fill_lists(&t);
    for (size_t i = 0; i < GRAPH_OUTPUTS_MAX; i++) {
        outputs[i] = t.outputs[0];
        outputs[i].name = numbered('a', i);
        t.output_list[i] = &outputs[i];
    }
    for (size_t i = 0; i < GRAPH_REQUESTS_MAX; i++) {
        requests[i] = t.request;
        requests[i].name = numbered('b', i);
        t.request_list[i] = &requests[i];
    }
    for (size_t i = 0; i < GRAPH_PROTOTYPES_MAX; i++) {
        prototypes[i] = t.prototypes[0];
        prototypes[i].name = numbered('c', i);
        t.prototype_list[i] = &prototypes[i];
    }
    for (size_t i = 0; i < GRAPH_PARAMETERS_MAX; i++) {
        t.params[i].name = numbered('d', i);
        t.params[i].offset = (uint32_t)i * 8;
    }
    t.class.n_params = GRAPH_PARAMETERS_MAX;
    t.class.params_size = GRAPH_PARAMETERS_MAX * 8;
    t.answers[0].request = &requests[5];
    t.app.n_outputs = GRAPH_OUTPUTS_MAX;
    t.app.n_requests = GRAPH_REQUESTS_MAX;
    t.app.n_prototypes = GRAPH_PROTOTYPES_MAX;
    ck_assert_msg(app_check(&t.app, &problems) == S4_OK, "%s", first(&problems));
    struct made made = make(&t.app);
    ck_assert_msg(graph_check(made.graph, made.schema, &problems) == S4_OK, "%s", first(&problems));
    ck_assert_uint_eq(made.graph->n_prototypes, GRAPH_PROTOTYPES_MAX);
    ck_assert_uint_eq(made.graph->n_pairs, 2); /* all of them hear the same */
    ck_assert_uint_eq(made.graph->prototypes[63]->n_parameters, GRAPH_PARAMETERS_MAX);
    made_fini(&made);
    problems_fini(&problems);
}
END_TEST

START_TEST(pairs_are_bounded)
{
    /* 64 prototypes x 17 subscriptions, all different: 1,024 pairs fit, not one more. */
    static s4_subscription subscriptions[GRAPH_PAIRS_MAX + 1];
    static char keys[GRAPH_PAIRS_MAX + 1][96];
    static const char *const parts[] = { "text", "author.name", "tags", "author.aliases" };
    for (size_t over = 0; over <= 1; over++) {
        struct table t = { 0 };
        struct problems problems;
        problems_init(&problems);
        fill_parts(&t);
        fill_lists(&t);
        for (size_t i = 0; i < GRAPH_PAIRS_MAX + over; i++) {
            snprintf(keys[i], sizeof keys[i], "%s,%s,%s,%s,%s", parts[i & 3], parts[(i >> 2) & 3],
                     parts[(i >> 4) & 3], parts[(i >> 6) & 3], parts[(i >> 8) & 3]);
            subscriptions[i] = (s4_subscription){ .stream = &t.streams[i == GRAPH_PAIRS_MAX],
                                                  .kind = S4_KEYED,
                                                  .key = keys[i],
                                                  .handler = "h",
                                                  .on_event = any_callback };
        }
        t.app.n_prototypes = over ? 2 : 1;
        t.prototypes[0].subscriptions = subscriptions;
        t.prototypes[0].n_subscriptions = GRAPH_PAIRS_MAX;
        t.prototypes[1].subscriptions = subscriptions + GRAPH_PAIRS_MAX;
        t.prototypes[1].n_subscriptions = 1;
        ck_assert_msg(app_check(&t.app, &problems) == S4_OK, "%s", first(&problems));
        struct made made = make(&t.app);
        ck_assert_uint_eq(made.graph->n_pairs, GRAPH_PAIRS_MAX + over);
        ck_assert_int_eq(graph_check(made.graph, made.schema, &problems), over ? S4_RANGE : S4_OK);
        if (over)
            ck_assert_str_eq(first(&problems),
                             "the app has 1025 pairs of stream and key; the limit is 1024");
        made_fini(&made);
        problems_fini(&problems);
    }
}
END_TEST

START_TEST(all_problems_are_told)
{
    struct table t = { 0 };
    struct problems problems;
    problems_init(&problems);
    fill_parts(&t);
    fill_lists(&t);
    merge(&t);
    same_streams(&t);
    log_with_key(&t);
    ck_assert_int_eq(app_check(&t.app, &problems), S4_EXISTS);
    ck_assert_uint_eq(problems.count, 3);
    problems_fini(&problems);
}
END_TEST

/* ---- graphs from elsewhere ----------------------------------------------------------------- */

START_TEST(a_graph_survives_its_bytes)
{
    struct made made = make(&s4_plugin);
    struct buffer packed, again;
    S4__Graph__Graph *back;
    buffer_init(&packed);
    buffer_init(&again);
    ck_assert_int_eq(graph_pack(made.graph, &packed), S4_OK);
    ck_assert_int_eq(graph_unpack(packed.data, packed.size, &back, NULL), S4_OK);
    ck_assert_int_eq(graph_pack(back, &again), S4_OK);
    ck_assert_uint_eq(again.size, packed.size);
    ck_assert_mem_eq(again.data, packed.data, packed.size);
    struct diag diag;
    ck_assert_int_eq(graph_unpack("\xff\xff", 2, &back, &diag), S4_MALFORMED);
    ck_assert_str_eq(diag.text, "graph.pb is damaged: it is not a graph message");
    graph_destroy(back);
    buffer_fini(&packed);
    buffer_fini(&again);
    made_fini(&made);
}
END_TEST

/* What a stream hears of another app: by name, and only a stream that takes events from outside. */
START_TEST(where_a_stream_is_from_is_judged)
{
    static char shop[] = "shop", own[] = "good", items[] = "items", odd[] = "it ems",
                nothing[] = "";
    static const struct {
        char *app, *stream;
        bool internal;
        s4_status code;
        const char *message;
    } table[] = {
        { shop, items, false, S4_OK, "nothing" },
        { shop, NULL, false, S4_MALFORMED, "stream \"lines\": where it is from is said by half" },
        { NULL, items, false, S4_MALFORMED, "stream \"lines\": where it is from is said by half" },
        { nothing, items, false, S4_INVALID,
          "from: the app \"\": a name is a letter or _, then at "
          "most 63 letters, digits or _" },
        { shop, odd, false, S4_INVALID,
          "from: the stream \"it ems\": a name is a letter or _, then "
          "at most 63 letters, digits or _" },
        { own, items, false, S4_INVALID,
          "stream \"lines\" is from \"good.items\", of the app "
          "itself: subscribe to that stream instead" },
        { shop, items, true, S4_INVALID,
          "stream \"lines\" is internal, and from \"shop.items\": an "
          "internal stream takes nothing from outside" },
    };
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        struct made made = make(&s4_plugin);
        struct problems problems;
        problems_init(&problems);
        S4__Graph__Stream *stream = made.graph->streams[0];
        stream->from_app = table[i].app;
        stream->from_stream = table[i].stream;
        stream->external = !table[i].internal;
        ck_assert_int_eq(graph_check(made.graph, made.schema, &problems), table[i].code);
        ck_assert_str_eq(first(&problems), table[i].message);
        stream->from_app = stream->from_stream = NULL;
        problems_fini(&problems);
        made_fini(&made);
    }
}
END_TEST

/* Whatever is flipped, the check ends, and what it lets through has its indexes in range. */
START_TEST(damaged_graphs_are_judged)
{
    struct made made = make(&s4_plugin);
    struct buffer packed;
    struct rng rng;
    int passed = 0;
    buffer_init(&packed);
    ck_assert_int_eq(graph_pack(made.graph, &packed), S4_OK);
    rng_init(&rng, suite_seed());
    for (int round = 0; round < 30000; round++) {
        S4__Graph__Graph *graph;
        size_t at = rng_below(&rng, packed.size);
        char before = packed.data[at];
        packed.data[at] = (char)rng_next(&rng);
        if (graph_unpack(packed.data, packed.size, &graph, NULL) == S4_OK) {
            struct problems problems;
            problems_init(&problems);
            if (graph_check(graph, made.schema, &problems) == S4_OK) {
                passed++;
                for (size_t i = 0; i < graph->n_prototypes; i++)
                    for (size_t k = 0; k < graph->prototypes[i]->n_subscriptions; k++)
                        ck_assert_uint_lt(graph->prototypes[i]->subscriptions[k]->pair,
                                          graph->n_pairs);
            }
            problems_fini(&problems);
            graph_destroy(graph);
        }
        packed.data[at] = before;
    }
    ck_assert_int_gt(passed, 0);
    buffer_fini(&packed);
    made_fini(&made);
}
END_TEST

START_TEST(memory_may_run_out_anywhere)
{
    int64_t n = 0;
    S4__Graph__Graph *graph;
    for (s4_status status = S4_NO_MEMORY; status != S4_OK; n++) {
        mem_fail_after(n);
        status = graph_from_app(&s4_plugin, &graph);
        mem_fail_after(-1);
        ck_assert(status == S4_OK || status == S4_NO_MEMORY);
    }
    ck_assert_int_gt(n, 50);
    struct buffer packed;
    buffer_init(&packed);
    ck_assert_int_eq(graph_pack(graph, &packed), S4_OK);
    graph_destroy(graph);
    n = 0;
    for (s4_status status = S4_MALFORMED; status != S4_OK; n++) {
        mem_fail_after(n);
        status = graph_unpack(packed.data, packed.size, &graph, NULL);
        mem_fail_after(-1);
    }
    ck_assert_int_gt(n, 50);
    graph_destroy(graph);
    buffer_fini(&packed);
}
END_TEST

Suite *suite_build(void)
{
    Suite *suite = suite_create("graph");
    suite_add(suite, "good", a_good_table_breaks_no_rule, 10);
    suite_add(suite, "pairs", pairs_are_numbered_by_stream_and_shared, 10);
    suite_add(suite, "numbers", numbers_reach_the_code, 10);
    suite_add(suite, "parameters", parameters_reach_the_code, 10);
    suite_add(suite, "hashes", hashes_tell_graphs_and_types_apart, 10);
    TCase *tables = tcase_create("table rules");
    tcase_add_loop_test(tables, each_rule_of_tables_is_kept, 0, (int)ARRAY_LEN(table_rules));
    suite_add_tcase(suite, tables);
    TCase *graphs = tcase_create("graph rules");
    tcase_add_loop_test(graphs, each_rule_of_graphs_is_kept, 0, (int)ARRAY_LEN(graph_rules));
    suite_add_tcase(suite, graphs);
    suite_add(suite, "limits", limits_are_reached, 10);
    suite_add(suite, "most", as_many_of_everything_as_there_may_be, 10);
    suite_add(suite, "pair limit", pairs_are_bounded, 30);
    suite_add(suite, "all", all_problems_are_told, 10);
    suite_add(suite, "bytes", a_graph_survives_its_bytes, 10);
    suite_add(suite, "from", where_a_stream_is_from_is_judged, 10);
    suite_add(suite, "damage", damaged_graphs_are_judged, 60);
    suite_add(suite, "memory", memory_may_run_out_anywhere, 10);
    return suite;
}
