/* ZooKeeper as a coordination service, when servers, networks and processes fail: killed, stopped
 * for too long, cut off. What nobody acts on a session's end before is compared with the machine's
 * boot-time clock each time.
 */
#include "tests/support/suite.h"

#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "router/coord/coord_zk.h"
#include "tests/support/coord_place.h"
#include "tests/support/driven.h"

#define WRITES_MAX 400 /* under way at once */
#define ROUNDS     4
#define EXPIRED    7

static struct zoo zoo;

static void open_one(void)
{
    zoo_open(&zoo, 1);
    coord_place_hosts = zoo.hosts;
}

static void open_three(void)
{
    zoo_open(&zoo, 3);
    coord_place_hosts = zoo.hosts;
}

static void close_zoo(void)
{
    zoo_close(&zoo);
}

static uint64_t now_us(void)
{
    return clock_real.boot_us(&clock_real);
}

/* ---- writes whose answers may be lost -------------------------------------------------------- */

static struct {
    size_t asked, done, doubts, answers;
} writes;

static void on_written(void *user, const struct coord_answer *answer)
{
    ck_assert_msg(answer->status == S4_OK || answer->status == S4_IN_DOUBT ||
                      answer->status == S4_UNAVAILABLE,
                  "%s", s4_status_text(answer->status));
    writes.answers++;
    writes.done += answer->status == S4_OK;
    writes.doubts += answer->status == S4_IN_DOUBT;
}

static void start_writes(struct coord_client *client)
{
    struct coord_call call = { .answered = on_written };
    for (size_t i = 0; i < WRITES_MAX; i++) {
        ck_assert_int_eq(coord_set(client->coord, "/n", "text", 4, COORD_ANY, call), S4_OK);
        writes.asked++;
    }
}

static bool some_are_written(void *user)
{
    return writes.answers >= writes.asked - WRITES_MAX * 7 / 8;
}

static bool all_written(void *user)
{
    return writes.answers == writes.asked;
}

struct reading {
    struct coord_client *client;
    const char *path;
    struct coord_stat stat;
};

static bool is_read(void *user)
{
    struct reading *reading = user;
    struct coord_told told;
    s4_status status = coord_place_get(reading->client, reading->path, COORD_FRESH, &told);
    reading->stat = told.stat;
    coord_told_fini(&told);
    return status == S4_OK;
}

/* While servers elect a leader they may let go of whoever is connected, more than once. */
static struct coord_stat read_stat(struct coord_client *client, const char *path)
{
    struct reading reading = { .client = client, .path = path };
    coord_place_until(client->place, is_read, &reading, path);
    return reading.stat;
}

/* As many as were done, and of those in doubt any number. */
static void check_writes(struct coord_client *client)
{
    coord_place_until(client->place, all_written, NULL, "all answers");
    uint64_t version = (uint64_t)read_stat(client, "/n").version;
    ck_assert_uint_ge(version, writes.done);
    ck_assert_uint_le(version, writes.done + writes.doubts);
}

static bool is_mine(struct coord_client *client)
{
    return read_stat(client, "/mine").mine;
}

static struct coord_client *join_with_entries(struct coord_place *place)
{
    struct coord_client *client = coord_place_join(place);
    ck_assert_int_eq(coord_place_create(client, "/n", COORD_PERSISTENT, "", NULL), S4_OK);
    ck_assert_int_eq(coord_place_create(client, "/mine", COORD_EPHEMERAL, "", NULL), S4_OK);
    return client;
}

/* ---- whether a session lives ----------------------------------------------------------------- */

static bool nobody_is_sure(void *user)
{
    const struct coord_client *client = user;
    return coord_sure_until_us(client->coord) <= now_us();
}

static bool is_decided(void *user)
{
    const struct coord_client *client = user;
    return client->state == COORD_CONNECTED || client->state == COORD_EXPIRED;
}

/* Its entry is there if it did not expire, and only then. */
static void check_mine(struct coord_place *place, struct coord_client *client)
{
    if (client->state != COORD_EXPIRED) {
        ck_assert(is_mine(client));
        return;
    }
    struct coord_client *other = coord_place_join(place);
    ck_assert_int_eq(coord_place_get(other, "/mine", COORD_FRESH, NULL), S4_NOT_FOUND);
    ck_assert_uint_eq(coord_sure_until_us(client->coord), 0);
    ck_assert_int_eq(coord_place_get(client, "/n", 0, NULL), S4_UNAVAILABLE);
}

/* A machine that is very busy lets a session expire that need not. */
static struct coord_client *go_on(struct coord_place *place, struct coord_client *client)
{
    coord_place_until(place, is_decided, client, "whether it has expired");
    if (client->state != COORD_EXPIRED)
        return client;
    check_mine(place, client);
    coord_place_leave(client);
    client = coord_place_join(place);
    ck_assert_int_eq(coord_place_create(client, "/mine", COORD_EPHEMERAL, "", NULL), S4_OK);
    return client;
}

/* ---- the only server fails ------------------------------------------------------------------- */

START_TEST(a_killed_server_comes_back_with_the_session)
{
    struct coord_place place;
    coord_place_open(&place, COORD_PLACE_ZK, 0);
    struct coord_client *client = join_with_entries(&place);
    for (int round = 0; round < ROUNDS; round++) {
        start_writes(client);
        coord_place_until(&place, some_are_written, NULL, "some answers");
        driven_tell(&zoo.driven, "kill 0");
        coord_place_until_state(client, COORD_SUSPENDED);
        ck_assert_uint_eq(client->coord->calls, 0); /* each was answered before */
        ck_assert_str_eq(coord_why(client->coord)->text + strlen("ZooKeeper at ") +
                             strlen(zoo.hosts),
                         ": the connection is lost");
        ck_assert_int_eq(coord_place_get(client, "/n", 0, NULL), S4_UNAVAILABLE);
        ck_assert_int_eq(coord_place_set(client, "/n", "", COORD_ANY), S4_UNAVAILABLE);
        driven_tell(&zoo.driven, "start 0");
        client = go_on(&place, client);
        check_writes(client);
        ck_assert(is_mine(client));
    }
    ck_assert_uint_gt(writes.doubts, 0);
    ck_assert_uint_gt(writes.done, 0);
    coord_place_close(&place);
}
END_TEST

START_TEST(a_server_that_is_stopped_for_long_ends_sessions_or_not)
{
    struct coord_place place;
    coord_place_open(&place, COORD_PLACE_ZK, 0);
    struct coord_client *client = join_with_entries(&place);
    driven_tell(&zoo.driven, "pause 0");
    coord_place_until_state(client, COORD_SUSPENDED);
    coord_place_pass(&place, 2 * coord_session_us(client->coord));
    ck_assert(nobody_is_sure(client));
    ck_assert_int_eq(client->state, COORD_SUSPENDED);
    driven_tell(&zoo.driven, "resume 0");
    coord_place_until(&place, is_decided, client, "whether it has expired");
    check_mine(&place, client);
    coord_place_close(&place);
}
END_TEST

/* ---- a client's process is stopped ----------------------------------------------------------- */

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
    if (answer->status != S4_OK)
        _exit(1);
}

/* Makes "/mine", and says in `sure_us` until when it is sure. */
static void live(_Atomic uint64_t *sure_us)
{
    static const struct coord_upcalls upcalls = { .session = on_session, .changed = on_changed };
    struct coord_zk_options options = { .hosts = zoo.hosts,
                                        .session_ms = COORD_PLACE_SESSION_MS,
                                        .clock = &clock_real };
    struct coord *coord;
    struct diag diag;
    struct timespec pause = { .tv_nsec = 1000000 };
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (coord_zk_create(&options, &coord, &diag) != S4_OK ||
        coord_attach(coord, &upcalls, NULL, NULL) != S4_OK)
        _exit(1);
    bool made = false;
    for (;;) {
        coord_step(coord, 100);
        *sure_us = coord_sure_until_us(coord);
        if (!made && coord_state(coord) == COORD_CONNECTED)
            made = coord_create(coord, "/mine", COORD_EPHEMERAL, "", 0,
                                (struct coord_call){ .answered = on_answer }) == S4_OK;
        nanosleep(&pause, NULL);
    }
}

struct wanted {
    struct coord_client *client;
    s4_status status;
};

static bool mine_is(void *user)
{
    const struct wanted *wanted = user;
    return coord_place_get(wanted->client, "/mine", COORD_FRESH, NULL) == wanted->status;
}

static void until_mine(struct coord_client *client, s4_status status)
{
    struct wanted wanted = { client, status };
    coord_place_until(client->place, mine_is, &wanted, s4_status_text(status));
}

/* It starts before there are threads in this process. */
START_TEST(a_process_that_is_stopped_for_long_has_expired)
{
    struct coord_place place;
    int status;
    _Atomic uint64_t *sure_us =
        mmap(NULL, sizeof *sure_us, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    ck_assert(sure_us != MAP_FAILED);
    pid_t pid = fork();
    ck_assert_int_ge(pid, 0);
    if (pid == 0)
        live(sure_us);
    coord_place_open_at(&place, "/");
    struct coord_client *client = coord_place_join(&place);
    until_mine(client, S4_OK);
    coord_place_pass(&place, 2 * 1000 * COORD_PLACE_SESSION_MS); /* while it runs it lives */
    ck_assert_int_eq(coord_place_get(client, "/mine", COORD_FRESH, NULL), S4_OK);
    ck_assert_uint_gt(*sure_us, now_us());
    ck_assert_int_eq(kill(pid, SIGSTOP), 0);
    until_mine(client, S4_NOT_FOUND);
    ck_assert_uint_le(*sure_us, now_us()); /* what it would find out, should it go on now */
    ck_assert_int_eq(kill(pid, SIGCONT), 0);
    ck_assert_int_eq(waitpid(pid, &status, 0), pid);
    ck_assert(WIFEXITED(status));
    ck_assert_int_eq(WEXITSTATUS(status), EXPIRED);
    coord_place_close(&place);
}
END_TEST

/* ---- the network fails ----------------------------------------------------------------------- */

static struct coord_client *join_through(struct coord_place *place, struct proxy *proxy)
{
    proxy_open(proxy, zoo.ports[0]);
    coord_place_hosts = proxy->host;
    struct coord_client *client = coord_place_join(place);
    coord_place_hosts = zoo.hosts;
    return client;
}

/* Half-open: neither side hears that the other is gone. */
START_TEST(who_is_cut_off_is_not_sure_any_more_when_others_see_its_end)
{
    static const char *const faults[] = { "cut", "oneway b" };
    struct coord_place place;
    coord_place_open(&place, COORD_PLACE_ZK, 0);
    struct coord_client *other = coord_place_join(&place);
    for (size_t i = 0; i < ARRAY_LEN(faults); i++) {
        struct proxy proxy;
        struct coord_client *client = join_through(&place, &proxy);
        ck_assert_int_eq(coord_place_create(client, "/mine", COORD_EPHEMERAL, "", NULL), S4_OK);
        ck_assert_uint_gt(coord_sure_until_us(client->coord), now_us());
        driven_tell(&proxy.driven, "0 %s", faults[i]);
        until_mine(other, S4_NOT_FOUND);
        ck_assert(nobody_is_sure(client));
        ck_assert_int_ne(client->state, COORD_CONNECTED);
        driven_tell(&proxy.driven, "0 heal");
        coord_place_until_state(client, COORD_EXPIRED);
        coord_place_leave(client);
        proxy_close(&proxy);
    }
    coord_place_close(&place);
}
END_TEST

/* The service hears it all the time, and it hears nothing. */
START_TEST(who_hears_nothing_is_not_sure_though_its_session_lives)
{
    struct coord_place place;
    struct proxy proxy;
    coord_place_open(&place, COORD_PLACE_ZK, 0);
    struct coord_client *client = join_through(&place, &proxy);
    ck_assert_int_eq(coord_place_create(client, "/mine", COORD_EPHEMERAL, "", NULL), S4_OK);
    driven_tell(&proxy.driven, "0 oneway a");
    coord_place_until(&place, nobody_is_sure, client, "that it is not sure");
    coord_place_until_state(client, COORD_SUSPENDED);
    coord_place_pass(&place, coord_session_us(client->coord) / 2);
    ck_assert(nobody_is_sure(client));
    ck_assert_int_eq(client->state, COORD_SUSPENDED);
    driven_tell(&proxy.driven, "0 heal");
    coord_place_until(&place, is_decided, client, "whether it has expired");
    check_mine(&place, client);
    coord_place_close(&place);
    proxy_close(&proxy);
}
END_TEST

struct states {
    const struct coord_client *client;
    size_t n;
};

static bool has_states(void *user)
{
    const struct states *wanted = user;
    return wanted->client->states >= wanted->n;
}

/* Connections that end at once, and in the middle of what is sent. */
START_TEST(a_connection_that_breaks_is_made_again)
{
    struct coord_place place;
    struct proxy proxy;
    coord_place_open(&place, COORD_PLACE_ZK, 0);
    struct coord_client *other = coord_place_join(&place);
    struct coord_client *client = join_through(&place, &proxy);
    ck_assert_int_eq(coord_place_create(client, "/n", COORD_PERSISTENT, "", NULL), S4_OK);
    ck_assert_int_eq(coord_place_create(client, "/mine", COORD_EPHEMERAL, "", NULL), S4_OK);
    ck_assert_int_eq(coord_place_get(client, "/watched", COORD_WATCH, NULL), S4_NOT_FOUND);
    for (int round = 0; round < 10; round++) {
        size_t states = client->states + 1;
        driven_tell(&proxy.driven, round == 0 ? "0 reset" : "0 close %d", 1000 + 777 * round);
        start_writes(client);
        struct states wanted = { client, states };
        coord_place_until(&place, has_states, &wanted, "the break");
        coord_place_until_state(client, COORD_CONNECTED);
        check_writes(client);
        ck_assert(is_mine(client));
    }
    ck_assert_uint_gt(writes.doubts, 0);
    /* The library brought the watch along. */
    ck_assert_uint_eq(client->n_changes, 0);
    ck_assert_int_eq(coord_place_create(other, "/watched", COORD_PERSISTENT, "", NULL), S4_OK);
    coord_place_until_changes(client, 1);
    ck_assert_str_eq(client->changes[0].path, "/watched");
    coord_place_close(&place);
    proxy_close(&proxy);
}
END_TEST

/* ---- an ensemble ----------------------------------------------------------------------------- */

static bool is_sure(void *user)
{
    return !nobody_is_sure(user);
}

START_TEST(a_session_outlives_the_servers_leader)
{
    struct coord_place place;
    coord_place_open(&place, COORD_PLACE_ZK, 0);
    struct coord_client *client = join_with_entries(&place), *other = coord_place_join(&place);
    for (int round = 0; round < ROUNDS; round++) {
        size_t leader = zoo_leader(&zoo);
        start_writes(client);
        driven_tell(&zoo.driven, "kill %zu", leader);
        coord_place_until(&place, all_written, NULL, "all answers");
        client = go_on(&place, client);
        check_writes(client);
        ck_assert(is_mine(client));
        coord_place_until(&place, is_sure, client, "to be sure again");
        ck_assert(read_stat(other, "/mine").ephemeral);
        driven_tell(&zoo.driven, "start %zu", leader);
    }
    coord_place_close(&place);
}
END_TEST

START_TEST(without_a_majority_it_is_away)
{
    struct coord_place place;
    coord_place_open(&place, COORD_PLACE_ZK, 0);
    struct coord_client *client = join_with_entries(&place);
    size_t leader = zoo_leader(&zoo), next = (leader + 1) % 3;
    driven_tell(&zoo.driven, "kill %zu", next);
    driven_tell(&zoo.driven, "kill %zu", leader);
    coord_place_until(&place, nobody_is_sure, client, "that it is not sure");
    coord_place_until_state(client, COORD_SUSPENDED);
    coord_place_pass(&place, 2 * coord_session_us(client->coord));
    ck_assert_int_eq(client->state, COORD_SUSPENDED);
    driven_tell(&zoo.driven, "start %zu", leader);
    coord_place_until(&place, is_decided, client, "whether it has expired");
    check_mine(&place, client);
    coord_place_close(&place);
}
END_TEST

Suite *suite_build(void)
{
    Suite *suite = suite_create("zookeeper_faults");
    suite_add_with(suite, "killed", a_killed_server_comes_back_with_the_session, 120, open_one,
                   close_zoo);
    suite_add_with(suite, "stopped", a_server_that_is_stopped_for_long_ends_sessions_or_not, 60,
                   open_one, close_zoo);
    suite_add_with(suite, "process", a_process_that_is_stopped_for_long_has_expired, 60, open_one,
                   close_zoo);
    suite_add_with(suite, "cut", who_is_cut_off_is_not_sure_any_more_when_others_see_its_end, 60,
                   open_one, close_zoo);
    suite_add_with(suite, "deaf", who_hears_nothing_is_not_sure_though_its_session_lives, 60,
                   open_one, close_zoo);
    suite_add_with(suite, "breaks", a_connection_that_breaks_is_made_again, 60, open_one,
                   close_zoo);
    suite_add_with(suite, "leader", a_session_outlives_the_servers_leader, 120, open_three,
                   close_zoo);
    suite_add_with(suite, "majority", without_a_majority_it_is_away, 120, open_three, close_zoo);
    return suite;
}
