/* Snapshots: whatever fails and whenever the machine stops, what is read is the old one or the new
 * one, and what is not whole is refused. */
#include "tests/support/suite.h"

#include "pe/host/snapshot.h"
#include "runtime/base/hash.h"
#include "runtime/base/mem.h"
#include "runtime/store/store_sim.h"
#include "tests/support/place.h"

#define NAME       "app.7.snapshot"
#define HEAD_SIZE  40
#define SEEDS      300
#define OLD_SIZE   3000
#define NEW_SIZE   5000
#define SMALL_TEXT "some state"

enum {
    WRITE_CALLS = 7, /* remove, open, append twice, sync, rename, sync */
    WRITE_GROWS = 4, /* of them */
};

static char old_bytes[OLD_SIZE], new_bytes[NEW_SIZE];

static void make_bytes(void)
{
    memset(old_bytes, 'o', sizeof old_bytes);
    memset(new_bytes, 'n', sizeof new_bytes);
}

static s4_status publish(struct place *place, const char *name, const void *data, size_t size)
{
    struct diag diag = { 0 };
    s4_status status = snapshot_write(place->store, name, data, size, &diag);
    ck_assert_int_eq(diag.code, status);
    return status;
}

/* Reads behind a byte that is there already. */
static s4_status read_back(struct place *place, const char *name, struct buffer *found)
{
    struct diag diag = { 0 };
    buffer_init(found);
    ck_assert_int_eq(buffer_append(found, "+", 1), S4_OK);
    s4_status status = snapshot_read(place->store, name, found, &diag);
    ck_assert_int_eq(diag.code, status);
    ck_assert(status == S4_OK || found->size == 1);
    return status;
}

static bool holds(struct place *place, const char *name, const void *data, size_t size)
{
    struct buffer found;
    bool same = read_back(place, name, &found) == S4_OK && found.size == size + 1 &&
                (size == 0 || memcmp(found.data + 1, data, size) == 0);
    buffer_fini(&found);
    return same;
}

static s4_status refusal(struct place *place, const char *name)
{
    struct buffer found;
    s4_status status = read_back(place, name, &found);
    buffer_fini(&found);
    return status;
}

static void check_kind(enum place_kind kind)
{
    struct place place;
    char name[STORE_NAME_MAX + 1];
    place_open(&place, kind, 1);
    ck_assert_int_eq(refusal(&place, NAME), S4_NOT_FOUND);
    ck_assert_int_eq(publish(&place, NAME, old_bytes, OLD_SIZE), S4_OK);
    place_again(&place);
    ck_assert(holds(&place, NAME, old_bytes, OLD_SIZE));
    ck_assert_int_eq(publish(&place, NAME, new_bytes, NEW_SIZE), S4_OK);
    ck_assert_int_eq(publish(&place, "other", NULL, 0), S4_OK);
    ck_assert(holds(&place, NAME, new_bytes, NEW_SIZE));
    ck_assert(holds(&place, "other", "", 0));

    memset(name, 'n', sizeof name);
    name[SNAPSHOT_NAME_MAX] = '\0';
    ck_assert_int_eq(publish(&place, name, "x", 1), S4_OK);
    ck_assert(holds(&place, name, "x", 1));
    name[SNAPSHOT_NAME_MAX] = 'n';
    name[SNAPSHOT_NAME_MAX + 1] = '\0';
    ck_assert_int_eq(publish(&place, name, "x", 1), S4_INVALID);
    place_close(&place);
}

START_TEST(published_and_replaced)
{
    make_bytes();
    check_kind(PLACE_SIM);
    check_kind(PLACE_POSIX);
}
END_TEST

/* The file of a small snapshot, as it lies in the store. */
static size_t small_file(char file[128])
{
    struct place place;
    struct store_file *at;
    size_t got;
    place_open(&place, PLACE_SIM, 1);
    ck_assert_int_eq(publish(&place, NAME, SMALL_TEXT, strlen(SMALL_TEXT)), S4_OK);
    ck_assert_int_eq(store_open(place.store, NAME, STORE_EXISTING, &at, NULL), S4_OK);
    ck_assert_int_eq(store_file_read(at, 0, file, 128, &got, NULL), S4_OK);
    store_file_close(at);
    place_close(&place);
    ck_assert_uint_eq(got, HEAD_SIZE + strlen(SMALL_TEXT));
    return got;
}

static s4_status refusal_of(const char *name, const void *file, size_t size)
{
    struct place place;
    place_open(&place, PLACE_SIM, 1);
    place_put(&place, name, file, size);
    s4_status status = refusal(&place, name);
    place_close(&place);
    return status;
}

START_TEST(damage_is_refused)
{
    char file[128] = { 0 };
    size_t size = small_file(file);
    ck_assert_int_eq(refusal_of(NAME, file, size), S4_OK);
    for (size_t bit = 0; bit < size * 8; bit++) {
        file[bit / 8] = (char)(file[bit / 8] ^ 1 << bit % 8);
        ck_assert_int_eq(refusal_of(NAME, file, size), S4_CORRUPT);
        file[bit / 8] = (char)(file[bit / 8] ^ 1 << bit % 8);
    }
    for (size_t less = 0; less < size; less++)
        ck_assert_int_eq(refusal_of(NAME, file, less), S4_CORRUPT);
    ck_assert_int_eq(refusal_of(NAME, file, size + 1), S4_CORRUPT);
    ck_assert_int_eq(refusal_of("app.8.snapshot", file, size), S4_CORRUPT);
}
END_TEST

START_TEST(later_version_is_told)
{
    char file[128] = { 0 };
    size_t size = small_file(file);
    uint32_t version = SNAPSHOT_VERSION + 1;
    memcpy(file + 4, &version, sizeof version);
    uint64_t hash = hash_bytes(file, HEAD_SIZE - sizeof hash);
    memcpy(file + HEAD_SIZE - sizeof hash, &hash, sizeof hash);
    ck_assert_int_eq(refusal_of(NAME, file, size), S4_VERSION);
}
END_TEST

/* ---- failures ------------------------------------------------------------------------------ */

static bool has_part(struct place *place)
{
    struct store_names names = { 0 };
    bool found = false;
    ck_assert_int_eq(store_list(place->store, &names, NULL), S4_OK);
    for (size_t i = 0; i < names.count; i++)
        found |= strstr(names.list[i], SNAPSHOT_PART) != NULL;
    store_names_fini(&names);
    return found;
}

struct tally {
    uint32_t kept, replaced, parts;
};

/* A fault at a call of a write, over an old snapshot or none; then a crash, or not. Answers whether
 * there was one. */
static bool fail_at(enum store_fault fault, uint64_t call, uint64_t seed, bool crash, bool first,
                    struct tally *tally)
{
    struct place place;
    place_open(&place, PLACE_SIM, seed);
    if (!first)
        ck_assert_int_eq(publish(&place, NAME, old_bytes, OLD_SIZE), S4_OK);
    store_sim_plan(place.store, fault, store_sim_calls(place.store) + call);
    s4_status status = publish(&place, NAME, new_bytes, NEW_SIZE);
    bool failed = store_sim_faults(place.store, fault) > 0;
    store_sim_plan(place.store, STORE_NO_FAULT, 0);
    if (crash || fault == STORE_OFF)
        store_sim_crash(place.store);

    bool is_new = holds(&place, NAME, new_bytes, NEW_SIZE);
    bool is_old =
        first ? refusal(&place, NAME) == S4_NOT_FOUND : holds(&place, NAME, old_bytes, OLD_SIZE);
    ck_assert(is_new || is_old);
    ck_assert(status != S4_OK || is_new);
    tally->kept += is_old;
    tally->replaced += status != S4_OK && is_new;
    tally->parts += has_part(&place);
    ck_assert_int_eq(snapshot_sweep(place.store, NULL), S4_OK);
    ck_assert(!has_part(&place));
    ck_assert(is_new ? holds(&place, NAME, new_bytes, NEW_SIZE)
                     : first || holds(&place, NAME, old_bytes, OLD_SIZE));
    ck_assert_int_eq(publish(&place, NAME, new_bytes, NEW_SIZE), S4_OK);
    store_sim_crash(place.store);
    ck_assert(holds(&place, NAME, new_bytes, NEW_SIZE));
    place_close(&place);
    return failed;
}

/* Every call of a write fails once, under many seeds. */
static struct tally fail_everywhere(enum store_fault fault, bool crash)
{
    struct tally tally = { 0 };
    make_bytes();
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        uint32_t failed = 0;
        for (uint64_t call = 1; call <= WRITE_CALLS; call++)
            failed += fail_at(fault, call, seed, crash, seed % 2, &tally);
        ck_assert_uint_eq(failed, fault == STORE_NO_SPACE ? WRITE_GROWS : WRITE_CALLS);
        ck_assert(!fail_at(fault, WRITE_CALLS + 1, seed, crash, seed % 2, &tally));
    }
    return tally;
}

START_TEST(machine_stops_at_every_call)
{
    struct tally tally = fail_everywhere(STORE_OFF, true);
    ck_assert_uint_gt(tally.kept, SEEDS);
    ck_assert_uint_gt(tally.replaced, 20); /* the rename survived without its sync */
    ck_assert_uint_gt(tally.parts, SEEDS / 2);
}
END_TEST

START_TEST(device_fails_at_every_call)
{
    struct tally tally = fail_everywhere(STORE_IO_ERROR, false);
    ck_assert_uint_eq(tally.parts, 0); /* it cleans up after itself */
    ck_assert_uint_ge(tally.replaced, SEEDS);
    fail_everywhere(STORE_IO_ERROR, true);
}
END_TEST

START_TEST(no_space_at_every_call)
{
    struct tally tally = fail_everywhere(STORE_NO_SPACE, false);
    ck_assert_uint_eq(tally.parts, 0);
    ck_assert_uint_eq(tally.replaced, 0);
    fail_everywhere(STORE_NO_SPACE, true);
}
END_TEST

START_TEST(without_memory)
{
    s4_status status = S4_NO_MEMORY;
    make_bytes();
    for (int64_t n = 0; status == S4_NO_MEMORY; n++) {
        struct place place;
        struct buffer found;
        place_open(&place, PLACE_SIM, 1);
        ck_assert_int_eq(publish(&place, NAME, old_bytes, OLD_SIZE), S4_OK);
        buffer_init(&found);
        mem_fail_after(n);
        status = snapshot_write(place.store, NAME, new_bytes, NEW_SIZE, NULL);
        if (status == S4_OK)
            status = snapshot_read(place.store, NAME, &found, NULL);
        if (status == S4_OK)
            status = snapshot_sweep(place.store, NULL);
        mem_fail_after(-1);
        buffer_fini(&found);
        ck_assert(status == S4_OK || status == S4_NO_MEMORY);
        ck_assert(holds(&place, NAME, old_bytes, OLD_SIZE) ||
                  holds(&place, NAME, new_bytes, NEW_SIZE));
        place_close(&place);
        ck_assert_int_lt(n, 100);
    }
}
END_TEST

Suite *suite_build(void)
{
    Suite *suite = suite_create("snapshot");
    suite_add(suite, "published", published_and_replaced, 10);
    suite_add(suite, "damage", damage_is_refused, 20);
    suite_add(suite, "version", later_version_is_told, 10);
    suite_add(suite, "off", machine_stops_at_every_call, 60);
    suite_add(suite, "io", device_fails_at_every_call, 60);
    suite_add(suite, "space", no_space_at_every_call, 60);
    suite_add(suite, "memory", without_memory, 10);
    return suite;
}
