/* The directory as a coordination service among processes: killed anywhere, stopped for too long,
 * and what is not its own. The contract itself: coord_test.c.
 */
#include "tests/support/suite.h"

#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "router/coord/coord_dir.h"
#include "runtime/base/rng.h"
#include "tests/support/coord_place.h"

#define KILLS       40
#define SESSION_MS  300
#define EXPIRED     7
#define CHILD_STEPS 20000

/* ---- the other process ------------------------------------------------------------------------
 */

static void on_session(void *user, enum coord_state state)
{
    if (state == COORD_EXPIRED)
        _exit(EXPIRED);
}

static void on_changed(void *user, const char *path, enum coord_change change)
{
}

static void on_answer(void *user, const struct coord_answer *answer)
{
    *(s4_status *)user = answer->status;
}

static const struct coord_upcalls upcalls = { .session = on_session, .changed = on_changed };

static s4_status call(struct coord *coord, s4_status started, s4_status *answered)
{
    if (started != S4_OK)
        _exit(1);
    coord_step(coord, 100);
    return *answered;
}

/* Writes as fast as it can: "/n" is set to what its version will be. */
static void write_on(struct coord *coord)
{
    s4_status status = S4_OK;
    struct coord_call answer = { on_answer, &status };
    call(coord, coord_create(coord, "/mine", COORD_EPHEMERAL, "", 0, answer), &status);
    int64_t version = 0;
    for (int i = 0; i < CHILD_STEPS; i++) {
        char text[32];
        int size = snprintf(text, sizeof text, "%lld", (long long)version + 1);
        s4_status set =
            call(coord, coord_set(coord, "/n", text, (size_t)size, version, answer), &status);
        version += set == S4_OK || set == S4_VERSION;
    }
}

static void child(const char *path, bool writes)
{
    struct diag diag = { 0 };
    struct coord *coord;
    struct coord_dir_options options = { .path = path,
                                         .session_ms = SESSION_MS,
                                         .clock = &clock_real };
    if (coord_dir_create(&options, &coord, &diag) != S4_OK ||
        coord_attach(coord, &upcalls, NULL, NULL) != S4_OK)
        _exit(1);
    coord_step(coord, 100);
    if (writes)
        write_on(coord);
    s4_status status;
    struct coord_call answer = { on_answer, &status };
    call(coord, coord_create(coord, "/mine", COORD_EPHEMERAL, "", 0, answer), &status);
    for (int i = 0; i < CHILD_STEPS; i++) {
        struct timespec pause = { .tv_nsec = 1000000 };
        nanosleep(&pause, NULL);
        coord_step(coord, 100);
    }
    _exit(0);
}

static pid_t start_child(const char *path, bool writes)
{
    pid_t pid = fork();
    ck_assert_int_ge(pid, 0);
    if (pid == 0)
        child(path, writes);
    return pid;
}

/* ---- */

struct wanted {
    struct coord_client *client;
    bool there;
};

static bool mine_is(void *user)
{
    const struct wanted *wanted = user;
    return (coord_place_get(wanted->client, "/mine", COORD_FRESH, NULL) == S4_OK) == wanted->there;
}

static void until_mine(struct coord_client *client, bool there)
{
    struct wanted wanted = { client, there };
    coord_place_until(client->place, mine_is, &wanted, there ? "/mine" : "its end");
}

START_TEST(a_killed_process_leaves_what_is_whole)
{
    struct coord_place place;
    struct rng rng;
    rng_init(&rng, suite_seed());
    coord_place_open(&place, COORD_PLACE_DIR, 1);
    struct coord_client *one = coord_place_join(&place);
    int64_t before = 0;
    ck_assert_int_eq(coord_place_create(one, "/n", COORD_PERSISTENT, "0", NULL), S4_OK);
    for (int i = 0; i < KILLS; i++) {
        pid_t pid = start_child(place.dir, true);
        until_mine(one, true);
        coord_place_pass(&place, rng_below(&rng, 20000));
        ck_assert_int_eq(kill(pid, SIGKILL), 0);
        ck_assert_int_eq(waitpid(pid, NULL, 0), pid);
        until_mine(one, false);
        struct coord_told told;
        ck_assert_int_eq(coord_place_get(one, "/n", COORD_FRESH, &told), S4_OK);
        ck_assert_int_eq(strtoll(told.data, NULL, 10), told.stat.version);
        ck_assert_int_ge(told.stat.version, before);
        before = told.stat.version;
        coord_told_fini(&told);
    }
    ck_assert_int_gt(before, KILLS);
    coord_place_close(&place);
}
END_TEST

START_TEST(who_is_stopped_for_too_long_has_expired)
{
    struct coord_place place;
    int status;
    coord_place_open(&place, COORD_PLACE_DIR, 1);
    struct coord_client *one = coord_place_join(&place);
    pid_t pid = start_child(place.dir, false);
    until_mine(one, true);
    coord_place_pass(&place, 2 * SESSION_MS * 1000); /* it lives on while it runs */
    until_mine(one, true);
    ck_assert_int_eq(kill(pid, SIGSTOP), 0);
    until_mine(one, false);
    ck_assert_int_eq(kill(pid, SIGCONT), 0);
    ck_assert_int_eq(waitpid(pid, &status, 0), pid);
    ck_assert(WIFEXITED(status));
    ck_assert_int_eq(WEXITSTATUS(status), EXPIRED);
    coord_place_close(&place);
}
END_TEST

/* ---- what is not its own ----------------------------------------------------------------------
 */

static s4_status create(const char *path, uint32_t session_ms, struct diag *diag)
{
    struct coord *coord;
    struct coord_dir_options options = { .path = path,
                                         .session_ms = session_ms,
                                         .clock = &clock_real };
    s4_status status = coord_dir_create(&options, &coord, diag);
    if (status == S4_OK)
        coord_destroy(coord);
    return status;
}

START_TEST(what_is_not_its_own_is_refused)
{
    struct coord_place place;
    struct diag diag = { 0 };
    coord_place_open(&place, COORD_PLACE_DIR, 1);
    ck_assert_int_eq(create("/nowhere/at/all", 0, &diag), S4_IO);
    ck_assert_str_eq(diag.text, "/nowhere/at/all: No such file or directory");
    ck_assert_int_eq(create(place.dir, COORD_SESSION_MS_MIN - 1, &diag), S4_RANGE);
    ck_assert_int_eq(create(place.dir, COORD_SESSION_MS_MIN, &diag), S4_OK);
    ck_assert_int_eq(create(place.dir, COORD_SESSION_MS_MAX, &diag), S4_OK);
    ck_assert_int_eq(create(place.dir, COORD_SESSION_MS_MAX + 1, &diag), S4_RANGE);
    ck_assert_int_eq(chmod(place.dir, 0755), 0);
    ck_assert_int_eq(create(place.dir, 0, &diag), S4_PERMISSION);
    ck_assert_ptr_nonnull(strstr(diag.text, "it has the mode 755"));
    ck_assert_int_eq(chmod(place.dir, 0700), 0);
    coord_place_close(&place);
}
END_TEST

/* Every byte of the file that is another makes it none. */
START_TEST(a_damaged_file_is_refused)
{
    struct coord_place place;
    char path[128];
    coord_place_open(&place, COORD_PLACE_DIR, 1);
    struct coord_client *one = coord_place_join(&place);
    ck_assert_int_eq(coord_place_create(one, "/a", COORD_PERSISTENT, "text", NULL), S4_OK);
    coord_place_leave(one);
    snprintf(path, sizeof path, "%s/entries", place.dir);
    int fd = open(path, O_RDWR | O_CLOEXEC);
    ck_assert_int_ge(fd, 0);
    struct stat stat;
    ck_assert_int_eq(fstat(fd, &stat), 0);
    for (off_t at = 0; at < stat.st_size; at += 1 + at / 8) {
        char byte, other;
        ck_assert_int_eq(pread(fd, &byte, 1, at), 1);
        other = (char)(byte ^ 4);
        ck_assert_int_eq(pwrite(fd, &other, 1, at), 1);
        struct coord_client *two = coord_place_start(&place);
        coord_place_until_state(two, COORD_REFUSED);
        const char *why = coord_why(two->coord)->text;
        ck_assert_msg(strstr(why, "/entries: it") != NULL, "%s", why);
        ck_assert_int_eq(coord_place_get(two, "/a", 0, NULL), S4_UNAVAILABLE);
        coord_place_leave(two);
        ck_assert_int_eq(pwrite(fd, &byte, 1, at), 1);
    }
    close(fd);
    one = coord_place_join(&place);
    ck_assert_int_eq(coord_place_get(one, "/a", 0, NULL), S4_OK);
    coord_place_close(&place);
}
END_TEST

static void overwrite(const char *path, const void *bytes, size_t size)
{
    char made[160];
    snprintf(made, sizeof made, "%s.new", path);
    int fd = open(made, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(write(fd, bytes, size), (ssize_t)size);
    close(fd);
    ck_assert_int_eq(rename(made, path), 0);
}

START_TEST(who_is_there_outlives_a_damaged_file)
{
    struct coord_place place;
    char path[128], good[4096];
    coord_place_open(&place, COORD_PLACE_DIR, 1);
    struct coord_client *one = coord_place_join(&place);
    ck_assert_int_eq(coord_place_create(one, "/a", COORD_PERSISTENT, "text", NULL), S4_OK);
    snprintf(path, sizeof path, "%s/entries", place.dir);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t size = read(fd, good, sizeof good);
    close(fd);
    ck_assert_int_gt(size, 0);
    overwrite(path, "garbage", 7);
    coord_place_until_state(one, COORD_SUSPENDED);
    ck_assert_ptr_nonnull(strstr(coord_why(one->coord)->text, "/entries: it"));
    overwrite(path, good, (size_t)size);
    coord_place_until_state(one, COORD_CONNECTED);
    ck_assert_int_eq(coord_place_get(one, "/a", 0, NULL), S4_OK);
    coord_place_close(&place);
}
END_TEST

Suite *suite_build(void)
{
    Suite *suite = suite_create("coord_dir");
    suite_add(suite, "killed", a_killed_process_leaves_what_is_whole, 120);
    suite_add(suite, "stopped", who_is_stopped_for_too_long_has_expired, 60);
    suite_add(suite, "own", what_is_not_its_own_is_refused, 20);
    suite_add(suite, "damaged", a_damaged_file_is_refused, 60);
    suite_add(suite, "outlives", who_is_there_outlives_a_damaged_file, 60);
    return suite;
}
