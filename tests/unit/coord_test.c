/* The coordination service's contract, and what only the simulated one does: faults on purpose. */
#include "tests/support/suite.h"

#include "router/coord/coord_sim.h"
#include "tests/support/coord_check.h"

START_TEST(sim_keeps_the_contract)
{
    coord_check_entries(COORD_PLACE_SIM);
    coord_check_sessions(COORD_PLACE_SIM);
    coord_check_multi(COORD_PLACE_SIM);
    coord_check_watches(COORD_PLACE_SIM);
    coord_check_order(COORD_PLACE_SIM);
}
END_TEST

START_TEST(sim_keeps_the_limits)
{
    coord_check_limits(COORD_PLACE_SIM);
}
END_TEST

START_TEST(a_directory_keeps_the_contract)
{
    coord_check_entries(COORD_PLACE_DIR);
    coord_check_sessions(COORD_PLACE_DIR);
    coord_check_multi(COORD_PLACE_DIR);
    coord_check_watches(COORD_PLACE_DIR);
    coord_check_order(COORD_PLACE_DIR);
}
END_TEST

START_TEST(a_directory_keeps_the_limits)
{
    coord_check_limits(COORD_PLACE_DIR);
}
END_TEST

/* ---- only the simulated one ------------------------------------------------------------------ */

START_TEST(a_session_ends_when_the_service_says_so)
{
    struct coord_place place;
    coord_place_open(&place, COORD_PLACE_SIM, 1);
    struct coord_client *one = coord_place_join(&place), *two = coord_place_join(&place);
    ck_assert_int_eq(coord_place_create(one, "/mine", COORD_EPHEMERAL, "x", NULL), S4_OK);
    ck_assert(coord_sim_lives(one->coord));
    ck_assert_uint_gt(coord_sure_until_us(one->coord), place.sim.now_us);
    coord_sim_expire(one->coord);
    coord_place_until_state(one, COORD_EXPIRED);
    ck_assert_uint_eq(coord_sure_until_us(one->coord), 0);
    ck_assert_int_eq(coord_place_get(two, "/mine", COORD_FRESH, NULL), S4_NOT_FOUND);
    coord_place_close(&place);
}
END_TEST

/* Silence as long as the session ends it, and not before nobody is sure of it any more. */
START_TEST(who_is_cut_off_expires_and_knows_it)
{
    struct coord_place place;
    size_t size;
    struct coord_stat stat;
    coord_place_open(&place, COORD_PLACE_SIM, 2);
    struct coord_client *one = coord_place_join(&place);
    ck_assert_int_eq(coord_place_create(one, "/mine", COORD_EPHEMERAL, "x", NULL), S4_OK);
    coord_sim_cut(one->coord, true, true);
    coord_place_until_state(one, COORD_SUSPENDED);
    ck_assert_ptr_nonnull(coord_world_find(place.world, "/mine", &size, &stat));
    while (coord_world_find(place.world, "/mine", &size, &stat))
        coord_place_pass(&place, 1000);
    ck_assert_uint_le(coord_sure_until_us(one->coord), place.sim.now_us);
    ck_assert_int_eq(one->state, COORD_SUSPENDED); /* nobody told it yet */
    coord_sim_cut(one->coord, false, false);
    coord_place_until_state(one, COORD_EXPIRED);
    coord_place_close(&place);
}
END_TEST

START_TEST(away_it_ends_no_session)
{
    struct coord_place place;
    coord_place_open(&place, COORD_PLACE_SIM, 3);
    struct coord_client *one = coord_place_join(&place);
    ck_assert_int_eq(coord_place_create(one, "/mine", COORD_EPHEMERAL, "x", NULL), S4_OK);
    coord_world_away(place.world, true);
    coord_place_until_state(one, COORD_SUSPENDED);
    coord_place_pass(&place, 5 * coord_session_us(one->coord));
    ck_assert_int_eq(coord_place_get(one, "/mine", 0, NULL), S4_UNAVAILABLE);
    coord_world_away(place.world, false);
    coord_place_until_state(one, COORD_CONNECTED);
    ck_assert_int_eq(coord_place_get(one, "/mine", COORD_FRESH, NULL), S4_OK);
    coord_place_close(&place);
}
END_TEST

/* Writes whose answer is lost: each is in doubt, and the entry says afterwards how many were done.
 */
START_TEST(a_write_in_doubt_was_done_or_not)
{
    struct coord_place place;
    size_t size, doubts = 0, done = 0;
    struct coord_stat stat;
    coord_place_open(&place, COORD_PLACE_SIM, suite_seed());
    struct coord_client *one = coord_place_join(&place);
    ck_assert_int_eq(coord_place_create(one, "/n", COORD_PERSISTENT, "", NULL), S4_OK);
    coord_world_set_rate(place.world, COORD_CUT, 3);
    for (int i = 0; i < 2000; i++) {
        s4_status status = coord_place_set(one, "/n", "x", COORD_ANY);
        ck_assert(status == S4_OK || status == S4_IN_DOUBT || status == S4_UNAVAILABLE);
        done += status == S4_OK;
        doubts += status == S4_IN_DOUBT;
        if (status != S4_OK)
            coord_place_until_state(one, COORD_CONNECTED);
    }
    coord_world_set_rate(place.world, COORD_CUT, 0);
    coord_place_pass(&place, 1000000);
    ck_assert_ptr_nonnull(coord_world_find(place.world, "/n", &size, &stat));
    ck_assert_int_gt(stat.version, (int64_t)done);            /* some of the doubtful were done */
    ck_assert_int_lt(stat.version, (int64_t)(done + doubts)); /* and some were not */
    ck_assert_uint_gt(coord_world_faults(place.world, COORD_CUT), 100);
    coord_place_close(&place);
}
END_TEST

Suite *suite_build(void)
{
    Suite *suite = suite_create("coord");
    suite_add(suite, "sim", sim_keeps_the_contract, 30);
    suite_add(suite, "sim limits", sim_keeps_the_limits, 30);
    suite_add(suite, "dir", a_directory_keeps_the_contract, 60);
    suite_add(suite, "dir_limits", a_directory_keeps_the_limits, 60);
    suite_add(suite, "expiry", a_session_ends_when_the_service_says_so, 10);
    suite_add(suite, "cut", who_is_cut_off_expires_and_knows_it, 10);
    suite_add(suite, "away", away_it_ends_no_session, 10);
    suite_add(suite, "doubt", a_write_in_doubt_was_done_or_not, 30);
    return suite;
}
