/* One body per promise of router/coord/coord.h. */
#include "tests/support/coord_check.h"

#include <check.h>

#include "router/coord/coord_queue.h"
#include "router/coord/coord_tree.h"
#include "runtime/base/buffer.h"
#include "runtime/base/mem.h"
#include "runtime/base/rng.h"
#include "tests/support/suite.h"

static void check_entry(struct coord_client *client, const char *path, const char *text,
                        int64_t version)
{
    struct coord_told told;
    ck_assert_int_eq(coord_place_get(client, path, COORD_FRESH, &told), S4_OK);
    ck_assert_str_eq(told.path, path);
    ck_assert_str_eq(told.data, text);
    ck_assert_uint_eq(told.size, strlen(text));
    ck_assert_int_eq(told.stat.version, version);
    coord_told_fini(&told);
}

static void check_children(struct coord_client *client, const char *path, const char *names)
{
    struct coord_told told;
    ck_assert_int_eq(coord_place_children(client, path, COORD_FRESH, &told), S4_OK);
    ck_assert_str_eq(told.names, names);
    coord_told_fini(&told);
}

static void make(struct coord_client *client, const char *path, const char *text)
{
    ck_assert_int_eq(coord_place_create(client, path, COORD_PERSISTENT, text, NULL), S4_OK);
}

/* ---- entries --------------------------------------------------------------------------------- */

static uint64_t created_of(struct coord_client *client, const char *path)
{
    struct coord_told told;
    ck_assert_int_eq(coord_place_get(client, path, COORD_FRESH, &told), S4_OK);
    uint64_t created = told.stat.created;
    coord_told_fini(&told);
    return created;
}

static void check_bytes(struct coord_client *client)
{
    struct coord_told told;
    ck_assert_int_eq(coord_set(client->coord, "/a", "\0\xff\n", 3, 2, coord_told_call(&told)),
                     S4_OK);
    ck_assert_int_eq(coord_place_get(client, "/a", 0, NULL), S4_OK);
    ck_assert(told.done);
    coord_told_fini(&told);
    ck_assert_int_eq(coord_place_get(client, "/a", 0, &told), S4_OK);
    ck_assert_uint_eq(told.size, 3);
    ck_assert_int_eq(memcmp(told.data, "\0\xff\n", 3), 0);
    coord_told_fini(&told);
}

void coord_check_entries(enum coord_place_kind kind)
{
    struct coord_place place;
    coord_place_open(&place, kind, 1);
    struct coord_client *one = coord_place_join(&place), *two = coord_place_join(&place);
    struct coord_told told;
    check_children(one, "/", "");
    ck_assert_int_eq(coord_place_get(one, "/", 0, NULL), S4_OK);
    ck_assert_int_eq(coord_place_get(one, "/a", 0, NULL), S4_NOT_FOUND);
    ck_assert_int_eq(coord_place_children(one, "/a", 0, NULL), S4_NOT_FOUND);
    ck_assert_int_eq(coord_place_set(one, "/a", "", COORD_ANY), S4_NOT_FOUND);
    ck_assert_int_eq(coord_place_delete(one, "/a", COORD_ANY), S4_NOT_FOUND);
    ck_assert_int_eq(coord_place_create(one, "/a/b", COORD_PERSISTENT, "", &told), S4_NOT_FOUND);
    ck_assert_str_eq(told.path, "/a/b");
    coord_told_fini(&told);

    make(one, "/a", "one");
    check_entry(two, "/a", "one", 0);
    ck_assert_int_eq(coord_place_create(two, "/a", COORD_PERSISTENT, "two", NULL), S4_EXISTS);
    ck_assert_int_eq(coord_place_create(two, "/a", COORD_EPHEMERAL, "two", NULL), S4_EXISTS);
    ck_assert_int_eq(coord_place_set(two, "/a", "three", 1), S4_VERSION);
    ck_assert_int_eq(coord_place_set(two, "/a", "three", 0), S4_OK);
    check_entry(one, "/a", "three", 1);
    ck_assert_int_eq(coord_place_set(one, "/a", "", COORD_ANY), S4_OK);
    check_entry(two, "/a", "", 2);
    check_bytes(two);

    uint64_t created = created_of(one, "/a");
    make(one, "/a/b", "");
    make(one, "/a/b/c", "");
    make(one, "/a-b", "");
    make(one, "/a.b", "");
    make(one, "/B", "");
    check_children(two, "/", "B a a-b a.b ");
    check_children(two, "/a", "b ");
    check_children(two, "/a/b/c", "");
    ck_assert_int_eq(coord_place_delete(one, "/a/b", COORD_ANY), S4_BUSY);
    ck_assert_int_eq(coord_place_delete(one, "/a/b/c", 1), S4_VERSION);
    ck_assert_int_eq(coord_place_delete(one, "/a/b/c", 0), S4_OK);
    ck_assert_int_eq(coord_place_delete(one, "/a/b", 0), S4_OK);
    ck_assert_int_eq(coord_place_delete(one, "/a", 2), S4_VERSION);
    ck_assert_int_eq(coord_place_delete(one, "/a", 3), S4_OK);
    make(two, "/a", "again");
    check_entry(one, "/a", "again", 0);
    ck_assert_uint_gt(created_of(one, "/a"), created);
    coord_place_close(&place);
}

/* ---- sessions -------------------------------------------------------------------------------- */

static void check_mine(struct coord_client *client, const char *path, bool ephemeral, bool mine)
{
    struct coord_told told;
    ck_assert_int_eq(coord_place_get(client, path, COORD_FRESH, &told), S4_OK);
    ck_assert_int_eq(told.stat.ephemeral, ephemeral);
    ck_assert_int_eq(told.stat.mine, mine);
    coord_told_fini(&told);
}

static void sequential(struct coord_client *client, const char *path, const char *wanted)
{
    struct coord_told told;
    ck_assert_int_eq(coord_place_create(client, path, COORD_EPHEMERAL_SEQUENTIAL, "x", &told),
                     S4_OK);
    size_t size = strlen(path);
    ck_assert_uint_eq(strlen(told.path), size + COORD_SEQ_DIGITS);
    ck_assert_int_eq(strncmp(told.path, path, size), 0);
    if (wanted)
        ck_assert_str_gt(told.path + size, wanted);
    check_mine(client, told.path, true, true);
    coord_told_fini(&told);
}

/* Names of sequential entries rise, also beyond those that are gone. */
static void check_numbers(struct coord_client *one, struct coord_client *two)
{
    struct coord_told told;
    char highest[COORD_SEQ_DIGITS + 1] = "";
    make(one, "/seq", "");
    for (int i = 0; i < 5; i++) {
        struct coord_client *client = i % 2 ? one : two;
        sequential(client, "/seq/n-", i > 0 ? highest : NULL);
        ck_assert_int_eq(coord_place_children(client, "/seq", COORD_FRESH, &told), S4_OK);
        char *last = told.names + strlen(told.names) - COORD_SEQ_DIGITS - 1;
        snprintf(highest, sizeof highest, "%.*s", COORD_SEQ_DIGITS, last);
        coord_told_fini(&told);
        if (i == 2) {
            char path[64];
            snprintf(path, sizeof path, "/seq/n-%s", highest);
            ck_assert_int_eq(coord_place_delete(client, path, 0), S4_OK);
        }
    }
    ck_assert_int_eq(coord_place_children(one, "/seq", COORD_FRESH, &told), S4_OK);
    ck_assert_uint_eq(told.n_names, 4);
    coord_told_fini(&told);
}

/* Whether it is still under way to the service that it left, is not said. */
static bool mine_is_gone(void *user)
{
    return coord_place_get(user, "/mine", COORD_FRESH, NULL) == S4_NOT_FOUND;
}

void coord_check_sessions(enum coord_place_kind kind)
{
    struct coord_place place;
    coord_place_open(&place, kind, 2);
    struct coord_client *one = coord_place_start(&place);
    ck_assert_int_eq(coord_state(one->coord), COORD_CONNECTING);
    ck_assert_uint_eq(coord_sure_until_us(one->coord), 0);
    coord_place_until_state(one, COORD_CONNECTED);
    ck_assert_int_eq(coord_state(one->coord), COORD_CONNECTED);
    ck_assert_uint_eq(one->states, 1);
    struct coord_client *two = coord_place_join(&place);
    ck_assert_uint_ge(coord_session_us(two->coord), (uint64_t)COORD_SESSION_MS_MIN * 1000);

    make(one, "/plain", "");
    check_mine(one, "/plain", false, false);
    ck_assert_int_eq(coord_place_create(one, "/mine", COORD_EPHEMERAL, "me", NULL), S4_OK);
    check_mine(one, "/mine", true, true);
    check_mine(two, "/mine", true, false);
    ck_assert_int_eq(coord_place_create(two, "/mine/child", COORD_PERSISTENT, "", NULL), S4_TYPE);
    ck_assert_int_eq(coord_place_set(two, "/mine", "you", 0), S4_OK);
    check_entry(one, "/mine", "you", 1);
    check_mine(one, "/mine", true, true);
    check_numbers(one, two);

    for (int i = 0; i < 3; i++) {
        coord_place_pass(&place, coord_session_us(two->coord) / 2);
        uint64_t now_us = place.clock->boot_us(place.clock);
        ck_assert_uint_gt(coord_sure_until_us(two->coord), now_us);
        ck_assert_uint_le(coord_sure_until_us(two->coord), now_us + coord_session_us(two->coord));
    }
    ck_assert_int_eq(two->state, COORD_CONNECTED);
    coord_place_leave(one);
    coord_place_until(&place, mine_is_gone, two, "the end of what was mine");
    ck_assert_int_eq(coord_place_get(two, "/plain", COORD_FRESH, NULL), S4_OK);
    struct coord_told told; /* its answer must not come after the end */
    ck_assert_int_eq(coord_get(two->coord, "/plain", 0, coord_told_call(&told)), S4_OK);
    coord_place_leave(two);
    ck_assert(!told.done);
    coord_destroy(NULL);
    coord_place_close(&place);
}

/* ---- multi ----------------------------------------------------------------------------------- */

static void check_fails(struct coord_client *client, const struct coord_op *ops, size_t n,
                        s4_status status, size_t failed_op)
{
    struct coord_told told;
    ck_assert_int_eq(coord_place_multi(client, ops, n, &told), status);
    ck_assert_uint_eq(told.failed_op, failed_op);
    ck_assert_str_eq(told.path, ops[0].path);
    coord_told_fini(&told);
}

void coord_check_multi(enum coord_place_kind kind)
{
    struct coord_place place;
    coord_place_open(&place, kind, 3);
    struct coord_client *one = coord_place_join(&place), *two = coord_place_join(&place);
    make(one, "/epoch", "1");
    make(one, "/map", "a");
    struct coord_op ops[] = {
        { .op = COORD_CHECK, .path = "/epoch", .version = 0 },
        { .op = COORD_SET, .path = "/map", .data = "b", .size = 1, .version = 0 },
        { .op = COORD_CREATE, .path = "/new", .data = "n", .size = 1 },
        { .op = COORD_CREATE, .path = "/new/child", .kind = COORD_EPHEMERAL },
        { .op = COORD_SET, .path = "/new", .data = "m", .size = 1, .version = 0 },
    };
    ck_assert_int_eq(coord_place_multi(two, ops, 5, NULL), S4_OK);
    check_entry(one, "/epoch", "1", 0);
    check_entry(one, "/map", "b", 1);
    check_entry(one, "/new", "m", 1);
    check_mine(two, "/new/child", true, true);
    uint64_t created = created_of(one, "/new/child");

    struct coord_op ends[] = {
        { .op = COORD_DELETE, .path = "/new/child", .version = 0 },
        { .op = COORD_SET, .path = "/map", .data = "c", .size = 1, .version = 1 },
        { .op = COORD_DELETE, .path = "/new", .version = 1 },
        { .op = COORD_CREATE, .path = "/later" },
        { .op = COORD_CHECK, .path = "/epoch", .version = 1 },
        { .op = COORD_DELETE, .path = "/none", .version = 1 },
    };
    check_fails(one, ends, 6, S4_VERSION, 4);
    check_entry(one, "/map", "b", 1);
    check_entry(one, "/new", "m", 1);
    check_mine(two, "/new/child", true, true);
    ck_assert_uint_eq(created_of(one, "/new/child"), created);
    ck_assert_int_eq(coord_place_get(one, "/later", COORD_FRESH, NULL), S4_NOT_FOUND);
    ck_assert_int_eq(coord_place_set(one, "/epoch", "2", 0), S4_OK);
    check_fails(two, ops, 5, S4_VERSION, 0);
    check_fails(one, ends, 6, S4_NOT_FOUND, 5);
    ck_assert_int_eq(coord_place_multi(one, ends, 5, NULL), S4_OK);
    check_children(two, "/", "epoch later map ");
    check_entry(two, "/map", "c", 2);

    struct coord_op check = { .op = COORD_CHECK, .path = "/epoch", .version = 1 };
    ck_assert_int_eq(coord_place_multi(one, &check, 1, NULL), S4_OK);
    check.path = "/none";
    check_fails(one, &check, 1, S4_NOT_FOUND, 0);
    check = (struct coord_op){ .op = COORD_CHECK, .path = "/", .version = COORD_ANY };
    ck_assert_int_eq(coord_place_multi(one, &check, 1, NULL), S4_OK);
    coord_place_close(&place);
}

/* ---- watches --------------------------------------------------------------------------------- */

static void check_change(struct coord_client *client, size_t i, const char *path,
                         enum coord_change change)
{
    coord_place_until_changes(client, i + 1);
    ck_assert_str_eq(client->changes[i].path, path);
    ck_assert_int_eq(client->changes[i].change, change);
}

static void watch(struct coord_client *client, const char *path, s4_status wanted)
{
    ck_assert_int_eq(coord_place_get(client, path, COORD_WATCH | COORD_FRESH, NULL), wanted);
}

static void watch_children(struct coord_client *client, const char *path)
{
    ck_assert_int_eq(coord_place_children(client, path, COORD_WATCH | COORD_FRESH, NULL), S4_OK);
}

void coord_check_watches(enum coord_place_kind kind)
{
    struct coord_place place;
    coord_place_open(&place, kind, 4);
    struct coord_client *one = coord_place_join(&place), *two = coord_place_join(&place);
    watch(one, "/a", S4_NOT_FOUND);
    make(two, "/a", "");
    check_change(one, 0, "/a", COORD_CHANGED_ENTRY);
    watch(one, "/a", S4_OK);
    watch(one, "/a", S4_OK); /* the same one */
    ck_assert_int_eq(coord_place_set(two, "/a", "x", 0), S4_OK);
    check_change(one, 1, "/a", COORD_CHANGED_ENTRY);
    ck_assert_int_eq(coord_place_set(two, "/a", "y", 1), S4_OK);
    watch_children(one, "/a");
    make(two, "/a/b", "");
    check_change(one, 2, "/a", COORD_CHANGED_CHILDREN);
    watch_children(one, "/a");
    ck_assert_int_eq(coord_place_delete(two, "/a/b", 0), S4_OK);
    check_change(one, 3, "/a", COORD_CHANGED_CHILDREN);
    watch(one, "/a", S4_OK);
    ck_assert_int_eq(coord_place_delete(two, "/a", 2), S4_OK);
    check_change(one, 4, "/a", COORD_CHANGED_ENTRY);
    ck_assert_int_eq(coord_place_children(one, "/a", COORD_WATCH, NULL), S4_NOT_FOUND);

    ck_assert_int_eq(coord_place_create(two, "/two", COORD_EPHEMERAL, "", NULL), S4_OK);
    watch_children(one, "/");
    watch(one, "/two", S4_OK);
    coord_place_leave(two);
    coord_place_until_changes(one, 7);
    ck_assert_int_ne(one->changes[5].change, one->changes[6].change);
    /* And of one's own doing. */
    watch(one, "/own", S4_NOT_FOUND);
    make(one, "/own", "");
    check_change(one, 7, "/own", COORD_CHANGED_ENTRY);
    coord_place_pass(&place, 100000);
    ck_assert_uint_eq(one->n_changes, 8);
    coord_place_close(&place);
}

/* ---- order ----------------------------------------------------------------------------------- */

static bool all_done(void *user)
{
    struct coord_told *told = user;
    size_t done = 0;
    for (size_t i = 0; i < 8; i++)
        done += told[i].done;
    return done == 8;
}

void coord_check_order(enum coord_place_kind kind)
{
    struct coord_place place;
    coord_place_open(&place, kind, 5);
    struct coord_client *one = coord_place_join(&place);
    struct coord_told told[8];
    make(one, "/c", "");
    for (size_t i = 0; i < 8; i++) {
        struct coord_call call = coord_told_call(&told[i]);
        unsigned flags = i % 4 == 1 ? COORD_FRESH : i % 4 == 2 ? COORD_WATCH : 0;
        s4_status status = i % 4 == 0
                               ? coord_set(one->coord, "/c", &"abcdefgh"[i], 1, COORD_ANY, call)
                           : i % 4 == 3 ? coord_children(one->coord, "/", flags, call)
                                        : coord_get(one->coord, "/c", flags, call);
        ck_assert_int_eq(status, S4_OK);
        ck_assert(!told[0].done); /* answers come by steps only */
    }
    coord_place_until(&place, all_done, told, "eight answers");
    uint64_t first = told[0].order;
    for (size_t i = 0; i < 8; i++) {
        ck_assert_int_eq(told[i].status, S4_OK);
        ck_assert_uint_eq(told[i].order, first + i);
        if (i % 4 == 1 || i % 4 == 2)
            ck_assert_str_eq(told[i].data, i < 4 ? "a" : "e");
        coord_told_fini(&told[i]);
    }
    coord_place_close(&place);
}

/* ---- limits ---------------------------------------------------------------------------------- */

static void check_paths(struct coord_client *client)
{
    static const char *const bad[] = { "",     "a",    "//",    "/a/", "/a//b", "/.",    "/a/..",
                                       "/a b", "/a\n", "/\xc3", "/a@", "/*",    "/.../x" };
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        ck_assert_msg(coord_place_get(client, bad[i], 0, NULL) == S4_INVALID, "'%s'", bad[i]);
        ck_assert_int_eq(coord_place_create(client, bad[i], COORD_PERSISTENT, "", NULL),
                         S4_INVALID);
    }
    ck_assert_int_eq(coord_place_create(client, "/", COORD_PERSISTENT, "", NULL), S4_INVALID);
    ck_assert_int_eq(coord_place_delete(client, "/", COORD_ANY), S4_INVALID);
    ck_assert_int_eq(coord_place_set(client, "/", "", COORD_ANY), S4_INVALID);
    ck_assert_int_eq(coord_place_set(client, "/a", "", -2), S4_INVALID);

    char path[COORD_PATH_MAX + 2] = "/";
    memset(path + 1, 'n', COORD_NAME_MAX + 1);
    ck_assert_int_eq(coord_place_get(client, path, 0, NULL), S4_INVALID);
    path[COORD_NAME_MAX + 1] = '\0';
    make(client, path, "");
    ck_assert_int_eq(coord_place_create(client, path, COORD_EPHEMERAL_SEQUENTIAL, "", NULL),
                     S4_TOO_LARGE);
    path[COORD_NAME_MAX + 1 - COORD_SEQ_DIGITS] = '\0';
    ck_assert_int_eq(coord_place_create(client, path, COORD_EPHEMERAL_SEQUENTIAL, "", NULL), S4_OK);

    memset(path, '\0', sizeof path);
    for (int i = 0; i < COORD_DEPTH_MAX; i++) {
        size_t size = (i + 1) * COORD_PATH_MAX / COORD_DEPTH_MAX;
        path[strlen(path)] = '/';
        memset(path + strlen(path), 'x', size - strlen(path));
        make(client, path, "");
    }
    ck_assert_uint_eq(strlen(path), COORD_PATH_MAX);
    ck_assert_int_eq(coord_place_get(client, path, 0, NULL), S4_OK);
    path[COORD_PATH_MAX] = 'x';
    ck_assert_int_eq(coord_place_get(client, path, 0, NULL), S4_INVALID);
    ck_assert_int_eq(coord_place_get(client, "/1/2/3/4/5/6/7/8", 0, NULL), S4_NOT_FOUND);
    ck_assert_int_eq(coord_place_get(client, "/1/2/3/4/5/6/7/8/9", 0, NULL), S4_INVALID);
}

static void check_sizes(struct coord_client *client)
{
    struct coord_told told;
    char *data = mem_alloc(COORD_DATA_MAX + 1);
    ck_assert_ptr_nonnull(data);
    memset(data, 'd', COORD_DATA_MAX + 1);
    struct coord_op op = { .op = COORD_CREATE, .path = "/big", .data = data };
    op.size = COORD_DATA_MAX + 1;
    ck_assert_int_eq(coord_place_multi(client, &op, 1, NULL), S4_TOO_LARGE);
    op.size = COORD_DATA_MAX;
    ck_assert_int_eq(coord_place_multi(client, &op, 1, NULL), S4_OK);
    ck_assert_int_eq(coord_place_get(client, "/big", 0, &told), S4_OK);
    ck_assert_uint_eq(told.size, COORD_DATA_MAX);
    ck_assert_int_eq(memcmp(told.data, data, COORD_DATA_MAX), 0);
    coord_told_fini(&told);
    struct coord_op both[] = { op, { .op = COORD_SET, .path = "/big", .data = "x", .size = 1 } };
    ck_assert_int_eq(coord_place_multi(client, both, 2, NULL), S4_TOO_LARGE);
    mem_free(data);
}

/* More than COORD_CHILDREN_MAX, made by as few writes as can be. */
static void check_many(struct coord_client *client)
{
    struct coord_told told;
    struct coord_op ops[COORD_OPS_MAX + 1];
    char paths[COORD_OPS_MAX + 1][32];
    make(client, "/many", "");
    for (size_t i = 0; i < COORD_CHILDREN_MAX; i += COORD_OPS_MAX) {
        for (size_t k = 0; k <= COORD_OPS_MAX; k++) {
            snprintf(paths[k], sizeof paths[k], "/many/%zu", i + k);
            ops[k] = (struct coord_op){ .op = COORD_CREATE, .path = paths[k] };
        }
        if (i == 0)
            ck_assert_int_eq(coord_place_multi(client, ops, COORD_OPS_MAX + 1, NULL), S4_TOO_LARGE);
        ck_assert_int_eq(coord_place_multi(client, ops, COORD_OPS_MAX, NULL), S4_OK);
    }
    ck_assert_int_eq(coord_place_multi(client, ops, 0, NULL), S4_INVALID);
    ops[0] =
        (struct coord_op){ .op = COORD_CREATE, .kind = COORD_EPHEMERAL_SEQUENTIAL, .path = "/s" };
    ck_assert_int_eq(coord_place_multi(client, ops, 2, NULL), S4_INVALID);
    ck_assert_int_eq(coord_place_children(client, "/many", COORD_FRESH, &told), S4_OK);
    ck_assert_uint_eq(told.n_names, COORD_CHILDREN_MAX);
    coord_told_fini(&told);
    make(client, "/many/more", "");
    ck_assert_int_eq(coord_place_children(client, "/many", COORD_FRESH, NULL), S4_TOO_LARGE);
}

static size_t n_answered;

static void count_answer(void *user, const struct coord_answer *answer)
{
    n_answered += answer->status == S4_OK || answer->status == S4_NOT_FOUND;
}

static bool all_counted(void *user)
{
    return n_answered == *(const size_t *)user;
}

static void check_calls(struct coord_client *client)
{
    struct coord_call call = { .answered = count_answer };
    size_t wanted = COORD_CALLS_MAX;
    n_answered = 0;
    for (size_t i = 0; i < COORD_CALLS_MAX; i++)
        ck_assert_int_eq(coord_get(client->coord, "/", 0, call), S4_OK);
    ck_assert_int_eq(coord_get(client->coord, "/", 0, call), S4_FULL);
    ck_assert_int_eq(coord_set(client->coord, "/x", "", 0, 0, call), S4_FULL);
    coord_place_until(client->place, all_counted, &wanted, "all answers");

    char path[32];
    for (size_t i = 0; i < COORD_WATCHES_MAX; i++) {
        snprintf(path, sizeof path, "/w-%zu", i);
        ck_assert_int_eq(coord_get(client->coord, path, COORD_WATCH, call), S4_OK);
        wanted = COORD_CALLS_MAX + i + 1;
        if (i % 512 == 511 || i > COORD_WATCHES_MAX - 512)
            coord_place_until(client->place, all_counted, &wanted, "watches");
    }
    ck_assert_int_eq(coord_get(client->coord, "/w-more", COORD_WATCH, call), S4_FULL);
    ck_assert_int_eq(coord_get(client->coord, "/w-more", 0, call), S4_OK);
    make(client, "/w-7", "");
    coord_place_until_changes(client, 1);
    ck_assert_int_eq(coord_get(client->coord, "/w-more", COORD_WATCH, call), S4_OK);
}

void coord_check_limits(enum coord_place_kind kind)
{
    struct coord_place place;
    coord_place_open(&place, kind, 6);
    struct coord_client *client = coord_place_join(&place);
    check_paths(client);
    check_sizes(client);
    check_many(client);
    check_calls(client);
    coord_place_close(&place);
}
