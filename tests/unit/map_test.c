/* The map and the entries: to bytes and back, within their limits, and what is damaged is refused
 * with a reason or is a map still. */
#include "tests/support/suite.h"

#include "router/map/entry.h"
#include "router/map/map.h"
#include "runtime/base/mem.h"
#include "runtime/base/rng.h"

#include "proto/cluster.pb-c.h"

static void put_text(char *to, size_t max, char fill)
{
    memset(to, fill, max);
    to[max] = 0;
}

static void add_member(struct map *map, uint32_t index, uint32_t workers)
{
    struct map_member *member = &map->members[index];
    *member = (struct map_member){
        .incarnation = 1000 + index, .since = 2, .workers = workers, .state = MAP_ACTIVE
    };
    snprintf(member->name, sizeof member->name, "node-%u", index);
    snprintf(member->address, sizeof member->address, "tcp://10.0.0.%u:7000", index);
    snprintf(member->clients, sizeof member->clients, "tcp://10.0.0.%u:7001", index);
    snprintf(member->release, sizeof member->release, "0.1.0");
}

static void add_app(struct map *map, const char *name)
{
    struct map_app *app = &map->apps[map->n_apps++];
    *app = (struct map_app){ .id = 77 + map->n_apps, .since = 1, .phase = MAP_RUN };
    snprintf(app->name, sizeof app->name, "%s", name);
    snprintf(app->hash, sizeof app->hash, "0123456789abcdef");
    snprintf(app->version, sizeof app->version, "1.0");
}

static void own_all(struct map *map, uint32_t members, uint32_t workers)
{
    for (uint32_t i = 0; i < map->n_slots; i++) {
        struct map_slot *slot = &map->slots[i];
        slot->owner = (uint8_t)(i % members);
        slot->worker = (uint8_t)(i % workers);
        slot->epoch = map->version;
        slot->generation = slot->genesis = 1;
    }
}

/* Three members, 64 slots, two apps, one move. */
static struct map *sample(void)
{
    struct map *map;
    ck_assert_int_eq(map_create(42, 64, &map), S4_OK);
    map->version = 7;
    map->leader_epoch = 3;
    for (uint32_t i = 0; i < 3; i++)
        add_member(map, 2 * i, 2);
    add_app(map, "counts");
    add_app(map, "words");
    map->apps[1].phase = MAP_REFUSED;
    snprintf(map->apps[1].why, sizeof map->apps[1].why, "node-2: too new");
    own_all(map, 1, 2);
    for (uint32_t i = 0; i < map->n_slots; i++)
        map->slots[i].owner = (uint8_t)(2 * (i % 3));
    map->slots[5].epoch = 6;
    map->slots[5].target = 2;
    map->slots[5].owner = 4;
    map->slots[5].target_worker = 1;
    map->slots[5].move = 7;
    return map;
}

static struct map *round_trip(const struct map *map)
{
    struct buffer bytes;
    struct diag diag = { 0 };
    struct map *read = NULL;
    buffer_init(&bytes);
    ck_assert_int_eq(map_pack(map, &bytes), S4_OK);
    s4_status status = map_unpack(bytes.data, bytes.size, &read, &diag);
    ck_assert_msg(status == S4_OK, "%s", diag.text);
    buffer_fini(&bytes);
    return read;
}

START_TEST(a_map_comes_back)
{
    struct map *map = sample(), *read = round_trip(map);
    ck_assert(map_same(map, read));
    ck_assert_uint_eq(read->version, 7);
    ck_assert_uint_eq(read->leader_epoch, 3);
    ck_assert_uint_eq(map_members_count(read), 3);
    ck_assert_uint_eq(map_find_member(read, "node-4"), 4);
    ck_assert_uint_eq(map_find_member(read, "node-5"), MAP_NOBODY);
    ck_assert_uint_eq(map_find_incarnation(read, 1002), 2);
    ck_assert_str_eq(map_find_app(read, "words")->why, "node-2: too new");
    ck_assert_uint_eq(map_moving(read), 5);
    ck_assert_uint_eq(map_slots_of(read, 4, false), map_slots_of(read, 4, true) + 1);
    read->slots[9].worker ^= 1;
    ck_assert(!map_same(map, read));
    map_destroy(read);
    read = map_dup(map);
    read->members[2].state = MAP_DRAINING;
    ck_assert(!map_same(map, read));
    map_destroy(read);
    map_destroy(map);
}
END_TEST

/* The largest of all: every limit at once, numbers of the most bytes. */
START_TEST(the_largest_map_fits)
{
    struct map *map;
    ck_assert_int_eq(map_create(UINT64_MAX, MAP_SLOTS_MAX, &map), S4_OK);
    map->version = map->leader_epoch = UINT64_MAX;
    for (uint32_t i = 0; i < MAP_MEMBERS_MAX; i++) {
        add_member(map, i, MAP_WORKERS_MAX);
        put_text(map->members[i].name, MAP_NAME_MAX, 'm');
        snprintf(map->members[i].name, 4, "%03u", i);
        map->members[i].name[3] = 'm';
        put_text(map->members[i].address, MAP_ADDRESS_MAX, 'a');
        put_text(map->members[i].clients, MAP_ADDRESS_MAX, 'c');
        put_text(map->members[i].release, MAP_RELEASE_MAX, 'r');
        put_text(map->members[i].key, MAP_RELEASE_MAX, 'k');
        put_text(map->members[i].why, MAP_WHY_MAX, 'w');
    }
    for (uint32_t i = 0; i < ARRAY_LEN(map->apps); i++) {
        char name[8];
        snprintf(name, sizeof name, "%03u", i);
        add_app(map, name);
        put_text(map->apps[i].hash, MAP_RELEASE_MAX, 'h');
        put_text(map->apps[i].version, MAP_RELEASE_MAX, 'v');
        put_text(map->apps[i].build_id, MAP_RELEASE_MAX, 'b');
        put_text(map->apps[i].why, MAP_WHY_MAX, 'w');
        if (i >= MAP_APPS_MAX)
            map->apps[i].phase = MAP_REFUSED;
    }
    own_all(map, MAP_MEMBERS_MAX, MAP_WORKERS_MAX);
    for (uint32_t i = 0; i < MAP_SLOTS_MAX; i++) {
        struct map_slot *slot = &map->slots[i];
        slot->epoch = slot->generation = slot->genesis = UINT64_MAX - 1;
        slot->target = (uint8_t)((slot->owner + 1) % MAP_MEMBERS_MAX);
        slot->target_worker = MAP_WORKERS_MAX - 1;
        slot->move = UINT64_MAX;
    }
    struct map *read = round_trip(map);
    ck_assert(map_same(map, read));
    map_destroy(read);
    map_destroy(map);
    ck_assert_int_eq(map_create(1, MAP_SLOTS_MAX + 1, &map), S4_RANGE);
    ck_assert_int_eq(map_create(1, 0, &map), S4_RANGE);
}
END_TEST

/* ---- what is no map -------------------------------------------------------------------------- */

static void wrong(struct map *map, const char *why)
{
    struct diag diag = { 0 };
    struct buffer bytes;
    struct map *read;
    ck_assert_int_eq(map_check(map, &diag), S4_CORRUPT);
    ck_assert_msg(strstr(diag.text, why) != NULL, "%s, wanted %s", diag.text, why);
    buffer_init(&bytes);
    ck_assert_int_eq(map_pack(map, &bytes), S4_OK);
    ck_assert_int_eq(map_unpack(bytes.data, bytes.size, &read, &diag), S4_CORRUPT);
    buffer_fini(&bytes);
    map_destroy(map);
}

#define WRONG(change, why)          \
    do {                            \
        struct map *map = sample(); \
        change;                     \
        wrong(map, why);            \
    } while (0)

START_TEST(what_is_no_map_is_refused)
{
    WRONG(map->members[2].workers = 0, "0 workers");
    WRONG(map->members[2].workers = MAP_WORKERS_MAX + 1, "65 workers");
    WRONG(map->members[2].incarnation = 0, "no incarnation");
    WRONG(map->members[2].since = 0, "no incarnation, or of no version");
    WRONG(map->members[2].since = 8, "no incarnation, or of no version");
    WRONG(map->members[2].incarnation = 1000, "another one has its incarnation");
    WRONG(memcpy(map->members[2].name, "node-0", 7), "two members of the name node-0");
    WRONG(memcpy(map->members[2].name, "a/b", 4), "a member's name");
    WRONG(map->members[2].address[0] = 0, "an address");
    WRONG(map->members[2].release[0] = '\x1b', "a release");
    WRONG(map->members[2].state = (enum map_state)6, "state 6");
    WRONG(map->slots[3].owner = 1, "slot 3: owner 1");
    WRONG(map->slots[3].worker = 2, "slot 3: owner 0, worker 2");
    WRONG(map->slots[3].owner = MAP_NOBODY, "slot 3: nobody has it");
    WRONG(map->slots[5].owner = MAP_NOBODY, "slot 5: it moves, and nobody has it");
    WRONG(map->slots[3].epoch = 8, "slot 3: epoch 8 in version 7");
    WRONG(map->slots[3].epoch = 0, "slot 3: epoch 0");
    WRONG(map->slots[3].generation = 0, "slot 3: generation 0");
    WRONG(map->slots[3].generation = 2, "slot 3: generation 2, of version 1");
    WRONG(map->slots[3].genesis = 8, "slot 3: generation 1, of version 8");
    WRONG(map->slots[3].genesis = 0, "slot 3: generation 1, of version 0");
    WRONG(map->slots[5].target = 4, "slot 5: it moves to 4");
    WRONG(map->slots[5].target = 9, "slot 5: it moves to 9");
    WRONG(map->slots[5].target_worker = 2, "worker 2: it cannot");
    WRONG(map->slots[5].move = 8, "slot 5: a move of version 8");
    WRONG(map->slots[5].move = 6, "slot 5: a move of version 6");
    WRONG(map->apps[0].since = 0, "app counts");
    WRONG(map->apps[0].id = 0, "app counts");
    WRONG(map->apps[0].phase = (enum map_phase)4, "app counts");
    WRONG(memcpy(map->apps[1].name, "counts", 7), "app counts: twice");
    WRONG(map->apps[1].hash[0] = 0, "app words");
}
END_TEST

/* What only bytes can say. */
static void wrong_message(void (*change)(S4__Cluster__Map *message), s4_status code,
                          const char *why)
{
    struct map *map = sample(), *read;
    struct buffer bytes;
    struct diag diag = { 0 };
    buffer_init(&bytes);
    ck_assert_int_eq(map_pack(map, &bytes), S4_OK);
    S4__Cluster__Map *message =
        s4__cluster__map__unpack(NULL, bytes.size, (const uint8_t *)bytes.data);
    ck_assert_ptr_nonnull(message);
    change(message);
    buffer_clear(&bytes);
    size_t size = s4__cluster__map__get_packed_size(message);
    char *room = buffer_room(&bytes, size);
    s4__cluster__map__pack(message, (uint8_t *)room);
    s4__cluster__map__free_unpacked(message, NULL);
    ck_assert_int_eq(map_unpack(bytes.data, bytes.size, &read, &diag), code);
    ck_assert_msg(strstr(diag.text, why) != NULL, "%s, wanted %s", diag.text, why);
    buffer_fini(&bytes);
    map_destroy(map);
}

static void other_layout(S4__Cluster__Map *message)
{
    message->layout = 2;
}

static void index_beyond(S4__Cluster__Map *message)
{
    message->members[1]->index = MAP_MEMBERS_MAX;
}

static void index_twice(S4__Cluster__Map *message)
{
    message->members[1]->index = 0;
}

static void column_short(S4__Cluster__Map *message)
{
    message->n_epochs--;
}

static void column_absent(S4__Cluster__Map *message)
{
    message->n_geneses = 0;
}

static void column_none(S4__Cluster__Map *message)
{
    message->n_owners = message->n_workers = message->n_epochs = message->n_generations =
        message->n_geneses = 0;
}

static void owner_beyond(S4__Cluster__Map *message)
{
    message->owners[9] = MAP_MEMBERS_MAX + 1;
}

static void worker_beyond(S4__Cluster__Map *message)
{
    message->workers[9] = MAP_WORKERS_MAX;
}

static void move_beyond(S4__Cluster__Map *message)
{
    message->moves[0]->slot = 64;
}

START_TEST(what_bytes_say_is_checked)
{
    wrong_message(other_layout, S4_VERSION, "a map of layout 2, wanted 1");
    wrong_message(index_beyond, S4_CORRUPT, "the index 32: there is no such");
    wrong_message(index_twice, S4_CORRUPT, "the index 0: there is one already");
    wrong_message(column_short, S4_CORRUPT, "a map of 64 slots, with columns");
    wrong_message(column_absent, S4_CORRUPT, "a map of 64 slots, with columns");
    wrong_message(column_none, S4_CORRUPT, "a map of 0 slots");
    wrong_message(owner_beyond, S4_CORRUPT, "slot 9: owner 33");
    wrong_message(worker_beyond, S4_CORRUPT, "slot 9: owner 1, worker 64");
    wrong_message(move_beyond, S4_CORRUPT, "slot 64 moves");
    struct map *map;
    struct diag diag = { 0 };
    char *zeros = mem_zalloc(MAP_BYTES_MAX + 1);
    ck_assert_int_eq(map_unpack(zeros, MAP_BYTES_MAX + 1, &map, &diag), S4_TOO_LARGE);
    ck_assert_int_eq(map_unpack(zeros, MAP_BYTES_MAX, &map, &diag), S4_CORRUPT);
    ck_assert_int_eq(map_unpack(zeros, 0, &map, &diag), S4_CORRUPT);
    mem_free(zeros);
}
END_TEST

/* Cut anywhere, and with every bit turned: refused with a reason, or a map that is one. */
START_TEST(damage_is_no_fault)
{
    struct map *map = sample();
    struct buffer bytes;
    buffer_init(&bytes);
    ck_assert_int_eq(map_pack(map, &bytes), S4_OK);
    for (size_t i = 0; i < bytes.size * 9; i++) {
        size_t size = i < bytes.size ? i : bytes.size;
        char *copy = mem_dup(bytes.data, bytes.size);
        if (i >= bytes.size)
            copy[(i - bytes.size) / 8] ^= (char)(1 << (i % 8));
        char *exact = mem_alloc(size ? size : 1);
        memcpy(exact, copy, size);
        struct map *read = NULL;
        struct diag diag = { 0 };
        if (map_unpack(exact, size, &read, &diag) == S4_OK)
            SUITE_SAME(map_check(read, NULL), S4_OK);
        else
            SUITE_SAME(diag.text[0] != 0, true);
        map_destroy(read);
        mem_free(exact);
        mem_free(copy);
    }
    buffer_fini(&bytes);
    map_destroy(map);
}
END_TEST

START_TEST(out_of_memory_is_a_status)
{
    struct map *map = sample(), *read = NULL;
    struct buffer bytes;
    buffer_init(&bytes);
    s4_status status = S4_NO_MEMORY;
    for (int64_t n = 0; status != S4_OK; n++) {
        mem_fail_after(n);
        status = map_pack(map, &bytes);
        mem_fail_after(-1);
        ck_assert(status == S4_OK || status == S4_NO_MEMORY);
        ck_assert(status == S4_OK || bytes.size == 0);
    }
    status = S4_NO_MEMORY;
    for (int64_t n = 0; status != S4_OK; n++) {
        mem_fail_after(n);
        status = map_unpack(bytes.data, bytes.size, &read, NULL);
        mem_fail_after(-1);
        ck_assert(status == S4_OK || status == S4_NO_MEMORY);
    }
    ck_assert(map_same(map, read));
    map_destroy(read);
    map_destroy(map);
    buffer_fini(&bytes);
}
END_TEST

/* ---- entries --------------------------------------------------------------------------------- */

static void sample_node(struct entry_node *node)
{
    *node = (struct entry_node){ .cluster = 42, .incarnation = 9, .workers = 2, .standby = true };
    snprintf(node->name, sizeof node->name, "a");
    snprintf(node->address, sizeof node->address, "tcp://127.0.0.1:7000");
    snprintf(node->clients, sizeof node->clients, "ipc:///run/s4/control");
    snprintf(node->release, sizeof node->release, "0.1.0");
    snprintf(node->key, sizeof node->key, "key");
    ck_assert_int_eq(entry_report_app(node, "words", 5, ENTRY_CHECKED, NULL), S4_OK);
    ck_assert_int_eq(entry_report_app(node, "counts", 6, ENTRY_REFUSED, "too\nnew"), S4_OK);
    entry_report_move(node, 3, 12, true, NULL);
}

START_TEST(a_node_entry_comes_back)
{
    struct entry_node node, read;
    struct buffer bytes;
    struct diag diag = { 0 };
    sample_node(&node);
    buffer_init(&bytes);
    ck_assert_int_eq(entry_node_pack(&node, &bytes), S4_OK);
    ck_assert_int_eq(entry_node_unpack(bytes.data, bytes.size, &read, &diag), S4_OK);
    ck_assert_str_eq(read.name, "a");
    ck_assert_str_eq(read.address, "tcp://127.0.0.1:7000");
    ck_assert_str_eq(read.clients, "ipc:///run/s4/control");
    ck_assert_str_eq(read.key, "key");
    ck_assert(read.cluster == 42 && read.incarnation == 9 && read.workers == 2 && read.standby);
    ck_assert(read.n_apps == 2 && read.n_moves == 1);
    ck_assert_int_eq(entry_find_app(&read, "words", 5)->state, ENTRY_CHECKED);
    ck_assert_str_eq(entry_find_app(&read, "counts", 6)->why, "too?new");
    ck_assert_ptr_null(entry_find_app(&read, "counts", 5));
    ck_assert(entry_find_move(&read, 3, 12)->done);
    ck_assert_ptr_null(entry_find_move(&read, 3, 11));
    for (size_t i = 0; i < bytes.size * 9; i++) { /* cut, and each bit turned */
        size_t size = i < bytes.size ? i : bytes.size;
        char *exact = mem_dup(bytes.data, size ? size : 1);
        if (i >= bytes.size)
            exact[(i - bytes.size) / 8] ^= (char)(1 << (i % 8));
        diag.text[0] = 0;
        if (entry_node_unpack(exact, size, &read, &diag) != S4_OK)
            SUITE_SAME(diag.text[0] != 0, true);
        mem_free(exact);
    }
    buffer_fini(&bytes);
}
END_TEST

START_TEST(reports_have_limits)
{
    struct entry_node node;
    char name[16];
    sample_node(&node);
    node.n_apps = node.n_moves = 0;
    for (uint32_t i = 0; i < ENTRY_APPS_MAX; i++) {
        snprintf(name, sizeof name, "app-%u", i);
        ck_assert_int_eq(entry_report_app(&node, name, 1, ENTRY_CHECKED, NULL), S4_OK);
    }
    ck_assert_int_eq(entry_report_app(&node, "one-more", 1, ENTRY_CHECKED, NULL), S4_FULL);
    ck_assert_int_eq(entry_report_app(&node, "app-0", 2, ENTRY_LOADED, NULL), S4_OK);
    ck_assert_uint_eq(node.n_apps, ENTRY_APPS_MAX);
    for (uint32_t i = 0; i <= ENTRY_MOVES_MAX; i++)
        entry_report_move(&node, i, 1, true, NULL);
    ck_assert_uint_eq(node.n_moves, ENTRY_MOVES_MAX);
    ck_assert_ptr_null(entry_find_move(&node, 0, 1)); /* the oldest went */
    entry_report_move(&node, 1, 2, false, "away");
    ck_assert_uint_eq(node.n_moves, ENTRY_MOVES_MAX);
    ck_assert_str_eq(entry_find_move(&node, 1, 2)->why, "away");
    struct map *map = sample();
    ck_assert_int_eq(entry_report_app(&node, "app-1", map->apps[0].id, ENTRY_LOADED, NULL), S4_OK);
    memcpy(node.apps[1].app, "counts", 7);
    entry_report_move(&node, 5, 7, true, NULL);
    ck_assert(entry_forget(&node, map)); /* but for what this map asks */
    ck_assert_uint_eq(node.n_apps, 1);
    ck_assert_uint_eq(node.n_moves, 1);
    ck_assert(!entry_forget(&node, map));
    map_destroy(map);
}
END_TEST

START_TEST(small_entries_come_back)
{
    struct buffer bytes;
    struct diag diag = { 0 };
    struct entry_spec spec = { 42, MAP_SLOTS_MAX }, spec_read;
    buffer_init(&bytes);
    ck_assert_int_eq(entry_spec_pack(&spec, &bytes), S4_OK);
    ck_assert_int_eq(entry_spec_unpack(bytes.data, bytes.size, &spec_read, &diag), S4_OK);
    ck_assert_uint_eq(spec_read.cluster, 42);
    ck_assert_uint_eq(spec_read.slots, MAP_SLOTS_MAX);
    buffer_clear(&bytes);
    spec.slots++;
    ck_assert_int_eq(entry_spec_pack(&spec, &bytes), S4_OK);
    ck_assert_int_eq(entry_spec_unpack(bytes.data, bytes.size, &spec_read, &diag), S4_CORRUPT);
    ck_assert_str_eq(diag.text, "4097 slots, wanted 1 to 4096");

    struct entry_leader leader = { "a", 5, 6 }, leader_read;
    buffer_clear(&bytes);
    ck_assert_int_eq(entry_leader_pack(&leader, &bytes), S4_OK);
    ck_assert_int_eq(entry_leader_unpack(bytes.data, bytes.size, &leader_read, &diag), S4_OK);
    ck_assert_str_eq(leader_read.node, "a");
    ck_assert(leader_read.incarnation == 5 && leader_read.attempt == 6);
    ck_assert_int_eq(entry_leader_unpack("no", 2, &leader_read, &diag), S4_CORRUPT);

    struct entry_drain drain = { "b", 7 }, drain_read;
    buffer_clear(&bytes);
    ck_assert_int_eq(entry_drain_pack(&drain, &bytes), S4_OK);
    ck_assert_int_eq(entry_drain_unpack(bytes.data, bytes.size, &drain_read, &diag), S4_OK);
    ck_assert_str_eq(drain_read.node, "b");
    ck_assert_uint_eq(drain_read.incarnation, 7);

    struct entry_wanted wanted = { "words", "00ff", "1.0", "build", 8 }, wanted_read;
    buffer_clear(&bytes);
    ck_assert_int_eq(entry_wanted_pack(&wanted, &bytes), S4_OK);
    ck_assert_int_eq(entry_wanted_unpack(bytes.data, bytes.size, &wanted_read, &diag), S4_OK);
    ck_assert_str_eq(wanted_read.hash, "00ff");
    wanted.hash[0] = 0;
    buffer_clear(&bytes);
    ck_assert_int_eq(entry_wanted_pack(&wanted, &bytes), S4_OK);
    ck_assert_int_eq(entry_wanted_unpack(bytes.data, bytes.size, &wanted_read, &diag), S4_CORRUPT);
    buffer_fini(&bytes);

    char *zeros = mem_zalloc(ENTRY_BYTES_MAX + 1);
    ck_assert_int_eq(entry_spec_unpack(zeros, ENTRY_BYTES_MAX, &spec_read, &diag), S4_CORRUPT);
    ck_assert_int_eq(entry_spec_unpack(zeros, ENTRY_BYTES_MAX + 1, &spec_read, &diag),
                     S4_TOO_LARGE);
    mem_free(zeros);
}
END_TEST

START_TEST(names)
{
    char name[MAP_NAME_MAX + 2], out[9];
    put_text(name, MAP_NAME_MAX, 'n');
    ck_assert(map_name_valid(name));
    put_text(name, MAP_NAME_MAX + 1, 'n');
    ck_assert(!map_name_valid(name));
    ck_assert(map_name_valid("a-b_c.9") && !map_name_valid(".") && !map_name_valid("..") &&
              !map_name_valid("a/b") && !map_name_valid("") && !map_name_valid(NULL));
    map_text_clean("ab\x1b[2J\xff and more", 8, out);
    ck_assert_str_eq(out, "ab?[2J? ");
}
END_TEST

Suite *suite_build(void)
{
    Suite *suite = suite_create("map");
    suite_add(suite, "round trip", a_map_comes_back, 10);
    suite_add(suite, "largest", the_largest_map_fits, 10);
    suite_add(suite, "wrong", what_is_no_map_is_refused, 10);
    suite_add(suite, "bytes", what_bytes_say_is_checked, 10);
    suite_add(suite, "damage", damage_is_no_fault, 30);
    suite_add(suite, "memory", out_of_memory_is_a_status, 30);
    suite_add(suite, "node", a_node_entry_comes_back, 10);
    suite_add(suite, "reports", reports_have_limits, 10);
    suite_add(suite, "entries", small_entries_come_back, 10);
    suite_add(suite, "names", names, 10);
    return suite;
}
