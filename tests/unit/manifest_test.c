/* app.yaml: what it sets, every mistake with its line and column, its limits, memory that runs out.
 */
#include "tests/support/suite.h"

#include "pe/bundle/manifest.h"
#include "pe/bundle/quantity.h"
#include "pe/bundle/tree.h"
#include "pe/graph/app.h"
#include "pe/graph/graph.h"
#include "pe/host/instances.h"
#include "pe/output/limits.h"
#include "runtime/base/buffer.h"
#include "runtime/base/mem.h"

extern const s4_app s4_plugin; /* tests/abi/good.c */

struct made {
    struct schema *schema;
    S4__Graph__Graph *graph;
    struct problems problems;
};

static s4_status apply(struct made *made, const char *text, size_t size)
{
    problems_init(&made->problems);
    ck_assert_int_eq(app_schema(&s4_plugin, &made->schema, NULL), S4_OK);
    ck_assert_int_eq(graph_from_app(&s4_plugin, &made->graph), S4_OK);
    return manifest_apply("app.yaml", text, size, made->schema, made->graph, &made->problems);
}

static void made_fini(struct made *made)
{
    graph_destroy(made->graph);
    schema_destroy(made->schema);
    problems_fini(&made->problems);
}

static const char whole[] = "app: words2 # the name\n"
                            "version: 1.2.3\n"
                            "library: lib-x.so\n"
                            "clock: {event: time, unit: ms}\n"
                            "emits_max: 1_000\n"
                            "parked_after: 3\n"
                            "dead_letters: {rows_max: 7, bytes_max: 64k}\n"
                            "parameters: {seed: -42}\n"
                            "streams:\n"
                            "  lines: {full: shed, from: other_app.all_lines}\n"
                            "  words: {internal: true}\n"
                            "prototypes:\n"
                            "  counters:\n"
                            "    parameters: {least: 9, factor: 2, loud: true, greeting: \"\"}\n"
                            "    ttl: 2h\n"
                            "    trigger: {events: 5, gap: 10s}\n"
                            "    output: {events: 0, every: 1d, aligned: true}\n"
                            "    instances: {max: 10, bytes_max: 1M, full: refuse}\n"
                            "    mailbox: {max: 2, bytes_max: 1G, full: drop_oldest}\n"
                            "    budget: 8\n"
                            "outputs:\n"
                            "  counts: {rows_max: 5, bytes_max: 10k, full: drop_oldest}\n";

static void check_app_settings(const S4__Graph__Graph *graph)
{
    ck_assert_str_eq(graph->app, "words2");
    ck_assert_str_eq(graph->version, "1.2.3");
    ck_assert_str_eq(graph->library, "lib-x.so");
    ck_assert_int_eq(graph->clock->kind, S4__GRAPH__CLOCK__KIND__EVENT);
    ck_assert_str_eq(graph->clock->attribute, "time");
    ck_assert_uint_eq(graph->clock->unit_us, 1000);
    ck_assert_uint_eq(graph->emits_max, 1000);
    ck_assert_uint_eq(graph->parked_after, 3);
    ck_assert_uint_eq(graph->dead_rows_max, 7);
    ck_assert_uint_eq(graph->dead_bytes_max, 65536);
    ck_assert_int_eq(graph->parameters[0]->integer, -42);
    ck_assert_int_eq(graph->streams[0]->full, S4__GRAPH__STREAM__FULL__SHED);
    ck_assert(graph->streams[0]->external && !graph->streams[1]->external);
    ck_assert_str_eq(graph->streams[0]->from_app, "other_app");
    ck_assert_str_eq(graph->streams[0]->from_stream, "all_lines");
    ck_assert_ptr_null(graph->streams[1]->from_app);
    ck_assert_uint_eq(graph->outputs[0]->rows_max, 5);
    ck_assert_uint_eq(graph->outputs[0]->bytes_max, 10240);
    ck_assert_int_eq(graph->outputs[0]->full, S4__GRAPH__OUTPUT__FULL__DROP_OLDEST);
}

static void check_prototype_settings(const S4__Graph__Prototype *p)
{
    ck_assert_int_eq(p->parameters[0]->integer, 9);
    ck_assert_double_eq(p->parameters[1]->real, 2.0);
    ck_assert(p->parameters[2]->flag);
    ck_assert_str_eq(p->parameters[3]->text, "");
    ck_assert_uint_eq(p->ttl_us, 7200000000u);
    ck_assert_uint_eq(p->trigger_events, 5);
    ck_assert_uint_eq(p->trigger_gap_us, 10000000);
    ck_assert_uint_eq(p->output_events, 0);
    ck_assert_uint_eq(p->output_every_us, 86400000000u);
    ck_assert(p->output_aligned);
    ck_assert_uint_eq(p->instances_max, 10);
    ck_assert_uint_eq(p->instance_bytes_max, MIB);
    ck_assert_int_eq(p->instances_full, S4__GRAPH__PROTOTYPE__BOUND__REFUSE);
    ck_assert_uint_eq(p->mailbox_max, 2);
    ck_assert_uint_eq(p->mailbox_bytes_max, GIB);
    ck_assert_int_eq(p->mailbox_full, S4__GRAPH__PROTOTYPE__FULL__DROP_OLDEST);
    ck_assert_uint_eq(p->budget, 8);
}

START_TEST(every_setting_arrives)
{
    struct made made;
    s4_status status = apply(&made, whole, strlen(whole));
    ck_assert_msg(status == S4_OK, "%s", made.problems.count ? made.problems.list[0].text : "");
    check_app_settings(made.graph);
    check_prototype_settings(made.graph->prototypes[1]);
    made_fini(&made);
}
END_TEST

START_TEST(what_is_not_set_keeps_the_codes_value)
{
    struct made made;
    static const char text[] = "app: a\nversion: 1\nclock: processing\n";
    ck_assert_int_eq(apply(&made, text, strlen(text)), S4_OK);
    ck_assert_str_eq(made.graph->library, "a.so");
    const S4__Graph__Prototype *p = made.graph->prototypes[1];
    ck_assert_uint_eq(p->ttl_us, 5000000);
    ck_assert_uint_eq(p->output_events, 10);
    ck_assert_int_eq(p->parameters[0]->integer, 3);
    ck_assert_str_eq(p->parameters[3]->text, "hello");
    ck_assert_uint_eq(p->mailbox_max, MAILBOX_DEFAULT);
    ck_assert_uint_eq(p->budget, BUDGET_DEFAULT);
    ck_assert_uint_eq(made.graph->emits_max, EMITS_DEFAULT);
    made_fini(&made);
}
END_TEST

/* ---- mistakes ------------------------------------------------------------------------------ */

#define HEAD      "app: a\nversion: 1\n"
#define LONG_NAME "a123456789012345678901234567890123456789012345678901234567890123" /* 64 */

static const struct {
    const char *text, *message; /* the first one */
} mistakes[] = {
    { "", "app.yaml:1:1: it is empty" },
    { "# only this\n", "app.yaml:1:1: it is empty" },
    { "hello\n", "app.yaml:1:1: found \"hello\"; wanted a map: app: NAME, ..." },
    { "- a\n", "app.yaml:1:1: found a list; wanted a map: app: NAME, ..." },
    { "app: a\n", "app.yaml:1:1: \"version\" is missing: such as 1.0.0" },
    { "version: 1\n", "app.yaml:1:1: \"app\" is missing: the app's name" },
    { "app: 9a\nversion: 1\n",
      "app.yaml:1:6: app: found \"9a\"; wanted a name: a letter or _, then "
      "at most 63 letters, digits or _" },
    { "app:\nversion: 1\n", "app.yaml:1:5: app: found nothing; wanted a name: a letter or _, then "
                            "at most 63 letters, digits or _" },
    { "app: a\nversion: [1]\n", "app.yaml:2:10: version: found a list; wanted a version such as "
                                "1.0.0, at most 64 characters" },
    { "app: a\nversion: \"1 2\"\n", "app.yaml:2:10: version: found \"1 2\"; wanted a version such "
                                    "as 1.0.0, at most 64 characters" },
    { HEAD "library: ../x.so\n",
      "app.yaml:3:10: library: found \"../x.so\"; wanted a file's name such as words.so" },
    { HEAD "strems: {}\n", "app.yaml:3:1: unknown key \"strems\"; did you mean \"streams\"?" },
    { HEAD "nonsense: {}\n", "app.yaml:3:1: unknown key \"nonsense\"" },
    { HEAD "prototypes:\n  counters:\n\n    # a comment\n    tll: 5s\n",
      "app.yaml:7:5: unknown key \"tll\" in prototype \"counters\"; did you mean \"ttl\"?" },
    { HEAD "prototypes:\n  counters:\n    trigger: {evnts: 5}\n",
      "app.yaml:5:15: unknown key \"evnts\" in trigger of prototype \"counters\"; did you mean "
      "\"events\"?" },
    { HEAD "prototypes:\n  conters: {}\n",
      "app.yaml:4:3: the code has no prototype \"conters\"; did you mean \"counters\"?" },
    { HEAD "streams:\n  wrods: {full: shed}\n",
      "app.yaml:4:3: the code has no stream \"wrods\"; did you mean \"words\"?" },
    { HEAD "outputs: {xyz: {}}\n", "app.yaml:3:11: the code has no output \"xyz\"" },
    { HEAD "parameters: {sead: 1}\n",
      "app.yaml:3:14: unknown parameter \"sead\"; did you mean \"seed\"?" },
    { HEAD "prototypes: {counters: {parameters: {laest: 1}}}\n",
      "app.yaml:3:38: unknown parameter \"laest\" of prototype \"counters\"; did you mean "
      "\"least\"?" },
    { HEAD "prototypes: {counters: {parameters: {least: 1.5}}}\n",
      "app.yaml:3:45: least of prototype \"counters\": found \"1.5\"; wanted an integer" },
    { HEAD "prototypes: {counters: {parameters: {least: 9223372036854775808}}}\n",
      "app.yaml:3:45: least of prototype \"counters\": found \"9223372036854775808\"; wanted an "
      "integer" },
    { HEAD "prototypes: {counters: {parameters: {factor: nan}}}\n",
      "app.yaml:3:46: factor of prototype \"counters\": found \"nan\"; wanted a number such as "
      "0.5" },
    { HEAD "prototypes: {counters: {parameters: {loud: yes}}}\n",
      "app.yaml:3:44: loud of prototype \"counters\": found \"yes\"; wanted true or false" },
    { HEAD "prototypes: {counters: {parameters: {greeting: }}}\n",
      "app.yaml:3:48: greeting of prototype \"counters\": found nothing; wanted a text (an empty "
      "one "
      "is \"\")" },
    { HEAD "prototypes: {counters: {ttl: 5}}\n",
      "app.yaml:3:30: ttl of prototype \"counters\": found \"5\"; wanted a duration such as 100us, "
      "5ms, 10s, 3m, 2h or 1d" },
    { HEAD "prototypes: {counters: {ttl: 38d}}\n",
      "app.yaml:3:30: ttl of prototype \"counters\": found \"38d\"; wanted at most 37d" },
    { HEAD "prototypes: {counters: {ttl: 99999999999999999999d}}\n",
      "app.yaml:3:30: ttl of prototype \"counters\": found \"99999999999999999999d\"; wanted at "
      "most "
      "37d" },
    { HEAD "prototypes: {counters: {budget: 0}}\n",
      "app.yaml:3:33: budget of prototype \"counters\": found \"0\"; wanted from 1 to 1048576" },
    { HEAD "prototypes: {counters: {budget: -1}}\n",
      "app.yaml:3:33: budget of prototype \"counters\": found \"-1\"; wanted a number such as 100 "
      "or "
      "1_000_000" },
    { HEAD "prototypes: {counters: {mailbox: {bytes_max: 1T}}}\n",
      "app.yaml:3:46: bytes_max of mailbox of prototype \"counters\": found \"1T\"; wanted a size "
      "in "
      "bytes, or such as 64k, 10M or 1G" },
    { HEAD "prototypes: {counters: {mailbox: {full: dead_leter}}}\n",
      "app.yaml:3:41: full of mailbox of prototype \"counters\": found \"dead_leter\"; wanted "
      "block, "
      "dead_letter or drop_oldest; did you mean \"dead_letter\"?" },
    { HEAD "prototypes: {counters: {output: {aligned: 1}}}\n",
      "app.yaml:3:43: aligned of output of prototype \"counters\": found \"1\"; wanted true or "
      "false" },
    { HEAD "prototypes: {counters: {output: {aligned: true}}}\n",
      "app.yaml:3:25: output of prototype \"counters\": aligned needs every: a duration" },
    { HEAD "prototypes: {counters: [a]}\n",
      "app.yaml:3:24: counters: found a list; wanted a map of settings" },
    { HEAD "prototypes: {counters: {trigger: 5}}\n",
      "app.yaml:3:34: trigger of prototype \"counters\": found \"5\"; wanted a map" },
    { HEAD "prototypes: {splitters: {trigger: {events: 5}}}\n",
      "app.yaml:3:26: prototype \"splitters\": class \"splitter\" has no trigger callback" },
    { HEAD "prototypes: {splitters: {output: {every: 5s}}}\n",
      "app.yaml:3:26: prototype \"splitters\": class \"splitter\" has no output callback" },
    { HEAD "prototypes: {totals: {ttl: 5s}}\n",
      "app.yaml:3:23: prototype \"totals\" is a singleton: one instance, as long as the app; it "
      "has "
      "no ttl" },
    { HEAD "prototypes: {totals: {instances: {max: 5}}}\n",
      "app.yaml:3:23: prototype \"totals\" is a singleton: one instance, as long as the app; it "
      "has "
      "no instances" },
    { HEAD "streams: {lines: {full: shet}}\n",
      "app.yaml:3:25: full of stream \"lines\": found \"shet\"; wanted block or shed; did you mean "
      "\"shed\"?" },
    { HEAD "streams: {lines: {from: lines}}\n",
      "app.yaml:3:25: from of stream \"lines\": found \"lines\"; wanted APP.STREAM, a stream of "
      "another app" },
    { HEAD "streams: {lines: {from: a.b.c}}\n",
      "app.yaml:3:25: from of stream \"lines\": found \"a.b.c\"; wanted APP.STREAM, a "
      "stream of another app" },
    { HEAD "streams: {lines: {from: .b}}\n",
      "app.yaml:3:25: from of stream \"lines\": found \".b\"; wanted APP.STREAM, a "
      "stream of another app" },
    { HEAD "streams: {lines: {from: [a, b]}}\n",
      "app.yaml:3:25: from of stream \"lines\": found a list; wanted APP.STREAM, a "
      "stream of another app" },
    { HEAD "streams: {lines: {from: " LONG_NAME "x.b}}\n",
      "app.yaml:3:25: from of stream \"lines\": found \"" LONG_NAME "x.b\"; wanted APP.STREAM, a "
      "stream of another app" },
    { HEAD "clock: event\n", "app.yaml:3:8: clock: found \"event\"; wanted processing, or a map "
                             "such as {event: ATTRIBUTE, "
                             "unit: ms}" },
    { HEAD "clock: {unit: ms}\n",
      "app.yaml:3:8: clock: \"event\" is missing: the attribute that holds the time" },
    { HEAD "clock: {event: tmie, unit: ms}\n",
      "app.yaml:3:16: type abi.Line of stream \"lines\" has no attribute \"tmie\"; did you mean "
      "\"time\"?" },
    { HEAD "clock: {event: time, unit: ns}\n",
      "app.yaml:3:28: unit of clock: found \"ns\"; wanted us, ms or s; did you mean \"us\"?" },
    { HEAD "parked_after: 4294967296\n",
      "app.yaml:3:15: parked_after: found \"4294967296\"; wanted from 1 to 4294967295" },
    { HEAD "streams: 5\n",
      "app.yaml:3:10: streams: found \"5\"; wanted a map of names and settings" },
    /* YAML itself */
    { HEAD "app: b\n", "app.yaml:3:1: key \"app\" stands here a second time; it was in line 1" },
    { HEAD "streams: &x {}\n", "app.yaml:3:10: anchors (&name) are not taken" },
    { HEAD "streams: *x\n", "app.yaml:3:10: aliases (*name) are not taken; write the value out" },
    { HEAD "streams: !x {}\n", "app.yaml:3:10: tags (!name) are not taken" },
    { HEAD "emits_max: !!int 5\n", "app.yaml:3:12: tags (!name) are not taken" },
    { HEAD "--- \nx: 1\n", "app.yaml:3:1: a second document; there is one" },
    { HEAD "? {a: b}\n: 1\n", "app.yaml:3:3: a key is a text, not a map or a list" },
    { HEAD "\"a\\0b\": 1\n", "app.yaml:3:1: a text with a NUL in it" },
    { HEAD "streams: {\n", "app.yaml:4:1: not YAML: did not find expected node content" },
    { HEAD "a: b: c\n", "app.yaml:3:5: not YAML: mapping values are not allowed in this context" },
    { HEAD "\tx: 1\n", "app.yaml:3:1: not YAML: found a tab character that violates indentation" },
    { HEAD "x: \xff\n", "app.yaml:3:4: not YAML: invalid leading UTF-8 octet" },
};

START_TEST(mistakes_are_told_with_their_place)
{
    struct made made;
    ck_assert_int_ne(apply(&made, mistakes[_i].text, strlen(mistakes[_i].text)), S4_OK);
    ck_assert_uint_ge(made.problems.count, 1);
    ck_assert_str_eq(made.problems.list[0].text, mistakes[_i].message);
    made_fini(&made);
}
END_TEST

START_TEST(all_mistakes_are_told)
{
    struct made made;
    static const char text[] = HEAD "emits_max: x\nstreams: {wrods: {}}\nbudget: 5\n";
    ck_assert_int_eq(apply(&made, text, strlen(text)), S4_MALFORMED);
    ck_assert_uint_eq(made.problems.count, 3);
    ck_assert_str_eq(made.problems.list[2].text, "app.yaml:5:1: unknown key \"budget\"");
    made_fini(&made);
}
END_TEST

/* ---- limits -------------------------------------------------------------------------------- */

static s4_status parse(const struct buffer *text, struct diag *diag)
{
    struct tree tree;
    s4_status status = tree_parse("app.yaml", text->data, text->size, &tree, diag);
    if (status == S4_OK)
        tree_fini(&tree);
    return status;
}

START_TEST(size_depth_and_values_are_bounded)
{
    struct buffer text;
    struct diag diag;
    buffer_init(&text);
    ck_assert_int_eq(buffer_append_text(&text, "a: b\n#"), S4_OK);
    while (text.size < MANIFEST_SIZE_MAX)
        ck_assert_int_eq(buffer_append_text(&text, "x"), S4_OK);
    ck_assert_int_eq(parse(&text, &diag), S4_OK);
    ck_assert_int_eq(buffer_append_text(&text, "x"), S4_OK);
    ck_assert_int_eq(parse(&text, &diag), S4_TOO_LARGE);
    ck_assert_str_eq(diag.text, "app.yaml: 1048577 bytes; the limit is 1048576");

    for (int depth = MANIFEST_DEPTH_MAX; depth <= MANIFEST_DEPTH_MAX + 1; depth++) {
        buffer_clear(&text);
        for (int i = 0; i < depth; i++)
            ck_assert_int_eq(buffer_append_text(&text, "["), S4_OK);
        for (int i = 0; i < depth; i++)
            ck_assert_int_eq(buffer_append_text(&text, "]"), S4_OK);
        ck_assert_int_eq(parse(&text, &diag), depth == MANIFEST_DEPTH_MAX ? S4_OK : S4_MALFORMED);
    }
    ck_assert_str_eq(diag.text, "app.yaml:1:17: nested more than 16 deep");

    buffer_clear(&text);
    for (int i = 1; i < MANIFEST_NODES_MAX; i++) /* the list is a value too */
        ck_assert_int_eq(buffer_append_text(&text, "- x\n"), S4_OK);
    ck_assert_int_eq(parse(&text, &diag), S4_OK);
    ck_assert_int_eq(buffer_append_text(&text, "- x\n"), S4_OK);
    ck_assert_int_eq(parse(&text, &diag), S4_MALFORMED);
    ck_assert_str_eq(diag.text, "app.yaml:10000:3: more than 10000 values");
    buffer_fini(&text);
}
END_TEST

/* What the host and the outputs serve, they do not have to refuse again. */
/* NOLINTNEXTLINE(misc-redundant-expression): that the two are equal is what is asserted. */
_Static_assert(ROWS_MAX <= OUTPUT_ROWS_MAX && ROWS_BYTES_MAX <= OUTPUT_BYTES_MAX, "outputs");
_Static_assert(INSTANCES_BOUND <= INSTANCES_MAX, "the instance table");
_Static_assert(TTL_MAX_US / 1000 <= INSTANCES_TTL_MAX_MS, "ages");

/* Each setting at its bound, and one beyond. */
START_TEST(settings_are_bounded)
{
    static const struct {
        const char *before, *unit;
        uint64_t most;
    } table[] = {
        { "{emits_max: ", "", EMITS_MAX },
        { "{parked_after: ", "", UINT32_MAX },
        { "{prototypes: {counters: {budget: ", "", BUDGET_MAX },
        { "{prototypes: {counters: {mailbox: {max: ", "", MAILBOX_MAX },
        { "{prototypes: {counters: {ttl: ", "us", TTL_MAX_US },
        { "{prototypes: {counters: {instances: {max: ", "", INSTANCES_BOUND },
        { "{outputs: {counts: {rows_max: ", "", ROWS_MAX },
        { "{outputs: {counts: {bytes_max: ", "", ROWS_BYTES_MAX },
        { "{dead_letters: {rows_max: ", "", ROWS_MAX },
        { "{dead_letters: {bytes_max: ", "", ROWS_BYTES_MAX },
        { "{prototypes: {counters: {trigger: {gap: ", "us", DURATION_MAX_US },
        { "{prototypes: {counters: {output: {every: ", "us", DURATION_MAX_US },
    };
    for (size_t i = 0; i < ARRAY_LEN(table); i++)
        for (uint64_t over = 0; over <= 1; over++) {
            char text[160];
            int depth = 0;
            for (const char *at = table[i].before; *at; at++)
                depth += *at == '{';
            snprintf(text, sizeof text, "%s%llu%s%.*s, app: a, version: 1}", table[i].before,
                     (unsigned long long)table[i].most + over, table[i].unit, depth - 1, "}}}}");
            struct made made;
            s4_status status = apply(&made, text, strlen(text));
            ck_assert_msg(status == (over ? S4_RANGE : S4_OK), "%s: %d", text, status);
            made_fini(&made);
        }
}
END_TEST

START_TEST(texts_are_bounded)
{
    static const char head[] = HEAD "prototypes: {counters: {parameters: {greeting: \"";
    for (size_t over = 0; over <= 1; over++) {
        struct made made;
        struct buffer text;
        buffer_init(&text);
        ck_assert_int_eq(buffer_append_text(&text, head), S4_OK);
        char *room = buffer_room(&text, GRAPH_TEXT_MAX + over);
        ck_assert_ptr_nonnull(room);
        memset(room, 'x', GRAPH_TEXT_MAX + over);
        ck_assert_int_eq(buffer_append_text(&text, "\"}}}\n"), S4_OK);
        ck_assert_int_eq(apply(&made, text.data, text.size), over ? S4_RANGE : S4_OK);
        if (over)
            ck_assert_str_eq(
                made.problems.list[0].text,
                "app.yaml:3:48: greeting of prototype \"counters\": a text of more than "
                "65536 bytes");
        made_fini(&made);
        buffer_fini(&text);
    }
}
END_TEST

START_TEST(nesting_without_end_is_met_early)
{
    struct buffer text;
    struct diag diag;
    buffer_init(&text);
    for (int i = 0; i < 500000; i++)
        ck_assert_int_eq(buffer_append_text(&text, "["), S4_OK);
    ck_assert_int_eq(parse(&text, &diag), S4_MALFORMED);
    ck_assert_str_eq(diag.text, "app.yaml:1:17: nested more than 16 deep");
    buffer_fini(&text);
}
END_TEST

START_TEST(memory_may_run_out_anywhere)
{
    int64_t n = 0;
    for (s4_status status = S4_NO_MEMORY; status != S4_OK; n++) {
        struct made made;
        problems_init(&made.problems);
        ck_assert_int_eq(app_schema(&s4_plugin, &made.schema, NULL), S4_OK);
        ck_assert_int_eq(graph_from_app(&s4_plugin, &made.graph), S4_OK);
        mem_fail_after(n);
        status = manifest_apply("app.yaml", whole, strlen(whole), made.schema, made.graph,
                                &made.problems);
        mem_fail_after(-1);
        ck_assert_msg(status == S4_OK || status == S4_NO_MEMORY, "%d", status);
        made_fini(&made);
    }
    ck_assert_int_gt(n, 50);
}
END_TEST

/* ---- names and numbers --------------------------------------------------------------------- */

START_TEST(names_are_read_before_the_code)
{
    struct problems problems;
    struct manifest_names names;
    problems_init(&problems);
    static const char text[] = "app: words\nprototypes: {whatever: 1}\n";
    ck_assert_int_eq(manifest_names("app.yaml", text, strlen(text), &names, &problems), S4_OK);
    ck_assert_str_eq(names.app, "words");
    ck_assert_str_eq(names.library, "words.so");
    ck_assert_int_eq(manifest_names("app.yaml", whole, strlen(whole), &names, &problems), S4_OK);
    ck_assert_str_eq(names.library, "lib-x.so");
    ck_assert_int_eq(manifest_names("app.yaml", "x: 1", 4, &names, &problems), S4_INVALID);
    ck_assert_str_eq(problems.list[0].text, "app.yaml:1:1: \"app\" is missing: the app's name");
    problems_fini(&problems);
}
END_TEST

START_TEST(quantities_are_exact)
{
    uint64_t value;
    int64_t integer;
    double real;
    ck_assert_int_eq(quantity_count("1_000_000", &value), S4_OK);
    ck_assert_uint_eq(value, 1000000);
    ck_assert_int_eq(quantity_count("18446744073709551615", &value), S4_OK);
    ck_assert_uint_eq(value, UINT64_MAX);
    ck_assert_int_eq(quantity_count("18446744073709551616", &value), S4_RANGE);
    static const char *const bad[] = {
        "", "_1", "1_", "1__0", "+1", " 1", "1 ", "0x1", "1.0", "k"
    };
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        ck_assert_msg(quantity_count(bad[i], &value) == S4_MALFORMED, "%s", bad[i]);
    ck_assert_int_eq(quantity_integer("-9223372036854775808", &integer), S4_OK);
    ck_assert_int_eq(integer, INT64_MIN);
    ck_assert_int_eq(quantity_integer("-9223372036854775809", &integer), S4_RANGE);
    ck_assert_int_eq(quantity_integer("--1", &integer), S4_MALFORMED);
    ck_assert_int_eq(quantity_duration("3m", &value), S4_OK);
    ck_assert_uint_eq(value, 180000000);
    ck_assert_int_eq(quantity_duration("3", &value), S4_MALFORMED);
    ck_assert_int_eq(quantity_size("16777216G", &value), S4_OK);
    ck_assert_int_eq(quantity_size("17179869184G", &value), S4_RANGE);
    ck_assert_int_eq(quantity_size("1K", &value), S4_MALFORMED);
    ck_assert_int_eq(quantity_real("-2.5e3", &real), S4_OK);
    ck_assert_double_eq(real, -2500.0);
    ck_assert_int_eq(quantity_real("1e999", &real), S4_RANGE);
    ck_assert_int_eq(quantity_real("inf", &real), S4_MALFORMED);
    ck_assert_int_eq(quantity_real(" 1", &real), S4_MALFORMED);
}
END_TEST

START_TEST(quantities_are_written_as_they_are_read)
{
    static const char *const durations[] = {
        "1us", "1500us", "5ms", "90s", "3m", "2h", "1d", "0us"
    };
    static const char *const sizes[] = { "0", "1", "1500", "64k", "10M", "1G", "3000M" };
    char text[32];
    uint64_t value;
    for (size_t i = 0; i < ARRAY_LEN(durations); i++) {
        ck_assert_int_eq(quantity_duration(durations[i], &value), S4_OK);
        quantity_write_duration(value, text, sizeof text);
        ck_assert_str_eq(text, durations[i]);
    }
    for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
        ck_assert_int_eq(quantity_size(sizes[i], &value), S4_OK);
        quantity_write_size(value, text, sizeof text);
        ck_assert_str_eq(text, sizes[i]);
    }
}
END_TEST

Suite *suite_build(void)
{
    Suite *suite = suite_create("manifest");
    suite_add(suite, "whole", every_setting_arrives, 10);
    suite_add(suite, "unset", what_is_not_set_keeps_the_codes_value, 10);
    TCase *table = tcase_create("mistakes");
    tcase_add_loop_test(table, mistakes_are_told_with_their_place, 0, (int)ARRAY_LEN(mistakes));
    suite_add_tcase(suite, table);
    suite_add(suite, "all", all_mistakes_are_told, 10);
    suite_add(suite, "limits", size_depth_and_values_are_bounded, 20);
    suite_add(suite, "settings", settings_are_bounded, 20);
    suite_add(suite, "texts", texts_are_bounded, 20);
    suite_add(suite, "nesting", nesting_without_end_is_met_early, 20);
    suite_add(suite, "memory", memory_may_run_out_anywhere, 20);
    suite_add(suite, "names", names_are_read_before_the_code, 10);
    suite_add(suite, "quantities", quantities_are_exact, 10);
    suite_add(suite, "written", quantities_are_written_as_they_are_read, 10);
    return suite;
}
