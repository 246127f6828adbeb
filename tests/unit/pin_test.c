/* Rows by key: one partition is asked for one row, unless rows lie elsewhere; then each is asked
 * for its own. */
#include "tests/support/suite.h"

#include "router/map/slots.h"
#include "runtime/base/hash.h"
#include "runtime/base/mem.h"
#include "tests/support/model_app.h"
#include "tests/support/rig.h"

#define SLOTS   16u
#define WORKERS 2u

static struct rig rig;

struct answer {
    bool done;
    s4_status status;
    struct query_pins *pins;
};

static void pinned(void *user, s4_status status, struct query_pins *pins)
{
    struct answer *answer = user;
    *answer = (struct answer){ .done = true, .status = status, .pins = pins };
}

static void start_with(struct store *store)
{
    struct rig_options options = {
        .app = &s4_plugin, .slots = SLOTS, .workers = WORKERS, .stores = { store, NULL }
    };
    rig_start(&rig, &options);
}

static uint32_t slot_of(const char *key)
{
    return slot_of_hash(hash_bytes(key, strlen(key)), SLOTS);
}

/* Only this worker is stepped: another that was asked would never answer. */
static struct query_pins *pin_on(const char *key, uint32_t worker)
{
    struct answer answer = { 0 };
    struct diag diag = { 0 };
    ck_assert_msg(engine_pin(rig.engine, "model", "totals", key, pinned, &answer, &diag) == S4_OK,
                  "%s", diag.text);
    for (int i = 0; i < 10 && !answer.done; i++)
        engine_step_worker(rig.engine, worker);
    ck_assert_msg(answer.done, "worker %u does not answer for \"%s\"", worker, key);
    ck_assert_int_eq(answer.status, S4_OK);
    return answer.pins;
}

static struct query_pins *pin_by_all(const char *key)
{
    struct answer answer = { 0 };
    struct diag diag = { 0 };
    ck_assert_msg(engine_pin(rig.engine, "model", "totals", key, pinned, &answer, &diag) == S4_OK,
                  "%s", diag.text);
    rig_settle(&rig);
    ck_assert(answer.done);
    ck_assert_int_eq(answer.status, S4_OK);
    return answer.pins;
}

/* All rows in the pins, as the query of the key gives them. */
static void check_rows(struct query_pins *pins, const char *key, const char *expected)
{
    struct query_request request = { .output = "totals", .key = key };
    struct diag diag = { 0 };
    struct query *query;
    struct query_result result;
    struct buffer text;
    uint64_t rows = 0;
    buffer_init(&text);
    for (uint32_t i = 0; i < pins->n; i++)
        rows += table_pin_rows(pins->pins[i].table);
    ck_assert_msg(query_compile(&request, pins->type, pins->key, &query, &diag) == S4_OK, "%s",
                  diag.text);
    ck_assert_int_eq(query_run(query, pins, &result), S4_OK);
    ck_assert_uint_eq(result.n_rows, rows); /* nothing else is pinned */
    ck_assert_int_eq(query_write_json(&result, &text), S4_OK);
    ck_assert_str_eq(buffer_text(&text), expected);
    query_result_fini(&result);
    query_destroy(query);
    query_pins_destroy(pins);
    buffer_fini(&text);
}

static void feed_letters(void)
{
    for (int user = 'a'; user <= 'z'; user++) {
        char line[64];
        snprintf(line, sizeof line, "{\"user\":\"%c\",\"n\":%d}\n", user, user - 'a' + 1);
        rig_feed(&rig, "ticks", line);
    }
    rig_feed(&rig, "ticks", "{\"user\":\"\",\"n\":77}\n");
}

START_TEST(only_the_owner_of_the_key_is_asked)
{
    bool asked[WORKERS] = { false };
    start_with(NULL);
    feed_letters();
    for (int user = 'a'; user <= 'z'; user++) {
        char key[2] = { (char)user, '\0' };
        char row[64];
        uint32_t worker = slot_fixed_worker(slot_of(key), 1, WORKERS, WORKERS);
        asked[worker] = true;
        struct query_pins *pins = pin_on(key, worker);
        ck_assert_uint_eq(pins->n, 1);
        ck_assert_uint_eq(pins->pins[0].partition, slot_of(key));
        snprintf(row, sizeof row, "{\"key\":\"%c\",\"n\":%d}\n", user, user - 'a' + 1);
        check_rows(pins, key, row);
    }
    ck_assert(asked[0] && asked[1]);
    check_rows(pin_by_all(""), "", "{\"key\":\"\",\"n\":77}\n");
    check_rows(pin_by_all("nobody"), "nobody", "");
    rig_stop(&rig);
}
END_TEST

/* `pairs` publishes under "a+1" from where ("a", 1) lives. */
static const char *publish_astray(void)
{
    static const char *const keys[] = { "a+1", "b+1", "c+1" };
    rig_feed(&rig, "ticks",
             "{\"user\":\"a\",\"at\":1}\n{\"user\":\"b\",\"at\":1}\n{\"user\":\"c\",\"at\":1}\n");
    for (size_t i = 0; i < ARRAY_LEN(keys); i++) {
        struct query_pins *pins = pin_by_all(keys[i]);
        const char *found = NULL;
        for (uint32_t p = 0; p < pins->n; p++)
            if (table_pin_rows(pins->pins[p].table) == 1 &&
                pins->pins[p].partition != slot_of(keys[i]))
                found = keys[i];
        query_pins_destroy(pins);
        if (found)
            return found;
    }
    ck_abort_msg("no row lies astray");
    return NULL;
}

START_TEST(rows_of_other_slots_are_found_where_they_are)
{
    char row[64];
    start_with(NULL);
    feed_letters();
    const char *key = publish_astray();
    snprintf(row, sizeof row, "{\"key\":\"%s\",\"n\":1}\n", key);
    struct query_pins *pins = pin_by_all(key);
    ck_assert_uint_eq(pins->n, SLOTS);
    check_rows(pins, key, row);
    check_rows(pin_by_all("z"), "z", "{\"key\":\"z\",\"n\":26}\n");
    rig_stop(&rig);
}
END_TEST

/* An engine that loads such a row knows of it. */
START_TEST(a_loaded_partition_tells_of_such_rows)
{
    struct diag diag = { 0 };
    char row[64];
    start_with(NULL);
    const char *key = publish_astray();
    snprintf(row, sizeof row, "{\"key\":\"%s\",\"n\":1}\n", key);
    for (uint32_t slot = 0; slot < SLOTS; slot++)
        ck_assert_int_eq(engine_save(rig.engine, "model", slot, &diag), S4_OK);
    struct store *store = rig.store;
    rig.store = NULL; /* outlives its engine */
    rig_stop(&rig);
    start_with(store);
    for (uint32_t slot = 0; slot < SLOTS; slot++)
        ck_assert_int_eq(engine_load(rig.engine, "model", slot, &diag), S4_OK);
    check_rows(pin_by_all(key), key, row);
    rig_stop(&rig);
    store_destroy(store);
}
END_TEST

START_TEST(what_has_no_such_key_is_refused)
{
    struct diag diag = { 0 };
    struct answer answer = { 0 };
    start_with(NULL);
    ck_assert_int_eq(engine_pin(rig.engine, "model", "journal", "a", pinned, &answer, &diag),
                     S4_TYPE);
    ck_assert_ptr_nonnull(strstr(diag.text, "it is a log"));
    ck_assert_int_eq(engine_pin(rig.engine, "model", "dead_letters", "a", pinned, &answer, &diag),
                     S4_TYPE);
    static char key[RECORD_KEY_MAX + 2];
    memset(key, 'a', RECORD_KEY_MAX + 1);
    ck_assert_int_eq(engine_pin(rig.engine, "model", "totals", key, pinned, &answer, &diag),
                     S4_TOO_LARGE);
    ck_assert(!answer.done);
    key[RECORD_KEY_MAX] = '\0';
    check_rows(pin_by_all(key), key, "");
    rig_stop(&rig);
}
END_TEST

Suite *suite_build(void)
{
    Suite *suite = suite_create("pin");
    suite_add(suite, "owner", only_the_owner_of_the_key_is_asked, 20);
    suite_add(suite, "astray", rows_of_other_slots_are_found_where_they_are, 20);
    suite_add(suite, "loaded", a_loaded_partition_tells_of_such_rows, 20);
    suite_add(suite, "refused", what_has_no_such_key_is_refused, 20);
    return suite;
}
