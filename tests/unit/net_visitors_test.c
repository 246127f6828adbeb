/* Who comes from outside, played by hand: which HELLO opens a session, takes a session over, or is
 * turned away, and how many may stand at the door. */
#include "tests/support/suite.h"

#include "runtime/base/hash.h"
#include "runtime/net/net.h"
#include "tests/support/ends.h"

#define TYPE(name) S4__WIRE__ENVELOPE__TYPE__##name

enum { CLUSTER = 7, STEP_MAX = 100 };

/* What a connection of the other side has heard. */
struct call {
    uint64_t peer;
    bool up, closed;
    S4__Wire__Envelope__Type type; /* of the last message; 0: none */
    bool again;
    char reason[ENVELOPE_REASON_MAX + 1];
};

struct door {
    struct ends ends;
    struct net *net;
    struct call calls[NET_VISITORS_MAX + 2];
    size_t calls_count;
    int failed, arrived;
    struct net_token token;
    char diag[DIAG_TEXT_MAX];
};

static struct call *call_of(struct door *door, uint64_t peer)
{
    for (size_t i = 0; i < door->calls_count; i++) {
        if (door->calls[i].peer == peer)
            return &door->calls[i];
    }
    ck_abort_msg("a peer that nobody called");
}

static void call_up(void *user, uint64_t peer, bool opened)
{
    call_of(user, peer)->up = true;
}

static void call_hears(void *user, uint64_t peer, const void *bytes, size_t size,
                       struct block *block)
{
    struct call *call = call_of(user, peer);
    struct envelope_arena arena;
    const Envelope *envelope;
    struct diag diag;
    ck_assert_int_eq(envelope_read(bytes, size, &arena, &envelope, &diag), S4_OK);
    ck_assert_ptr_null(block);
    call->type = envelope->type;
    call->again = envelope->again;
    snprintf(call->reason, sizeof call->reason, "%s", envelope->reason ? envelope->reason : "");
}

static void call_closed(void *user, uint64_t peer, const char *reason)
{
    call_of(user, peer)->closed = true;
}

static const struct transport_upcalls call_upcalls = { call_up, call_hears, call_closed };

static void on_block(void *user, const struct net_arrival *arrival, struct block *block)
{
    struct door *door = user;
    door->arrived++;
    door->token = arrival->token;
    block_release(block);
}

static void on_failed(void *user, const char *peer, uint64_t incarnation, const struct diag *diag)
{
    struct door *door = user;
    door->failed++;
    ck_assert_str_eq(peer, "a");
    ck_assert_uint_eq(incarnation, 30);
    snprintf(door->diag, sizeof door->diag, "%s", diag->text);
}

static const struct net_upcalls upcalls = { .block_arrived = on_block, .failed = on_failed };

static void door_open(struct door *door, bool identified)
{
    struct diag diag = { 0 };
    memset(door, 0, sizeof *door);
    ends_open(&door->ends, ENDS_SIM, 1, 0);
    transport_attach(door->ends.transports[0], &call_upcalls, door);
    struct net_options options = { .transport = door->ends.transports[1],
                                   .clock = door->ends.clock,
                                   .node = "b",
                                   .upcalls = &upcalls,
                                   .user = door };
    ck_assert_int_eq(net_create(&options, &door->net, &diag), S4_OK);
    ck_assert_int_eq(net_bind(door->net, "b", &diag), S4_OK);
    if (identified)
        net_identify(door->net, CLUSTER, 40);
}

static void door_close(struct door *door)
{
    net_destroy(door->net);
    door->ends.transports[1] = NULL;
    ends_close(&door->ends);
}

/* Long enough for every message that is on its way. */
static void pass(struct door *door)
{
    for (int i = 0; i < 5; i++) {
        clock_sim_advance(&door->ends.sim_clock, 1000);
        transport_step(door->ends.transports[0], STEP_MAX);
        net_step(door->net, STEP_MAX);
    }
}

static struct call *call(struct door *door)
{
    struct diag diag;
    ck_assert_uint_lt(door->calls_count, ARRAY_LEN(door->calls));
    struct call *call = &door->calls[door->calls_count++];
    *call = (struct call){ 0 };
    ck_assert_int_eq(transport_connect(door->ends.transports[0], "b", &call->peer, &diag), S4_OK);
    pass(door);
    ck_assert(call->up);
    return call;
}

static Envelope hello(uint64_t attempt)
{
    static char name[] = "a";
    Envelope envelope = S4__WIRE__ENVELOPE__INIT;
    envelope.type = TYPE(HELLO);
    envelope.has_version = envelope.has_session = envelope.has_serial = true;
    envelope.version = ENVELOPE_VERSION;
    envelope.session = 99;
    envelope.serial = 1;
    envelope.node = name;
    envelope.has_incarnation = envelope.has_cluster = envelope.has_attempt = true;
    envelope.incarnation = 30;
    envelope.cluster = CLUSTER;
    envelope.attempt = attempt;
    envelope.has_resumes = envelope.has_notice = true;
    return envelope;
}

static void say(struct door *door, struct call *call, const Envelope *envelope, struct block *block)
{
    char bytes[TRANSPORT_ENVELOPE_MAX];
    size_t size = envelope_pack(envelope, bytes);
    ck_assert_int_eq(transport_send(door->ends.transports[0], call->peer, bytes, size, block),
                     S4_OK);
    pass(door);
}

static struct call *call_with(struct door *door, const Envelope *envelope)
{
    struct call *made = call(door);
    say(door, made, envelope, NULL);
    return made;
}

static void is_welcome(const struct call *call)
{
    ck_assert_msg(call->type == TYPE(WELCOME) || call->type == TYPE(LANES), "%s", call->reason);
    ck_assert(!call->closed);
}

static void is_turned_away(struct door *door, const struct call *call, bool again, const char *why)
{
    ck_assert_int_eq(call->type, TYPE(BYE));
    ck_assert_msg(strstr(call->reason, why) != NULL, "%s", call->reason);
    ck_assert_int_eq(call->again, again);
    ck_assert(call->closed);
    ck_assert_int_eq(door->failed, 0);
}

START_TEST(the_newest_connection_counts)
{
    struct door door;
    door_open(&door, true);
    Envelope first = hello(1), third = hello(3), second = hello(2);
    struct call *early = call(&door), *late = call(&door);
    struct call *middle = call_with(&door, &second);
    is_welcome(middle);
    say(&door, early, &first, NULL); /* given up, and on its way for long */
    ck_assert(early->closed && early->type == 0);
    ck_assert(!middle->closed);
    say(&door, late, &third, NULL);
    is_welcome(late);
    ck_assert(middle->closed);
    ck_assert_uint_eq(net_counters(door.net).refused, 0);
    ck_assert_uint_eq(net_counters(door.net).in.reopened, 1);
    door_close(&door);
}
END_TEST

START_TEST(a_session_is_one_of_its_node)
{
    struct door door;
    door_open(&door, true);
    Envelope first = hello(1), other = hello(1), resumed = hello(2);
    is_welcome(call_with(&door, &first));
    other.session = 98;
    is_turned_away(&door, call_with(&door, &other), false, "a node named a is connected already");
    other.incarnation = 31; /* it has started again, and who decides does not know yet */
    is_welcome(call_with(&door, &other));
    resumed.session = 97;
    resumed.incarnation = 32;
    resumed.resumes = true;
    is_turned_away(&door, call_with(&door, &resumed), false,
                   "b knows nothing of session 61, of which it acknowledged frames");
    ck_assert_uint_eq(net_counters(door.net).refused, 2);
    door_close(&door);
}
END_TEST

START_TEST(a_node_that_starts_says_later)
{
    struct door door;
    door_open(&door, false);
    Envelope first = hello(1);
    is_turned_away(&door, call_with(&door, &first), true, "b is starting");
    ck_assert_uint_eq(net_counters(door.net).refused, 0);
    net_identify(door.net, CLUSTER, 40);
    is_welcome(call_with(&door, &first));
    door_close(&door);
}
END_TEST

static void send_frame(struct door *door, struct call *call)
{
    static char app[] = "app";
    struct block *block = ends_block(door->ends.pools[0], 1);
    Envelope data = S4__WIRE__ENVELOPE__INIT;
    data.type = TYPE(DATA);
    data.has_session = data.has_serial = data.has_lane = data.has_frame = true;
    data.session = 99;
    data.serial = 2;
    data.frame = 1;
    data.app = app;
    data.has_schema = data.has_worker = data.has_records = data.has_bytes = data.has_hops = true;
    data.records = 1;
    data.bytes = block->used;
    data.has_checksum = true;
    data.checksum = hash_bytes(block->data, block->used);
    say(door, call, &data, block);
    block_release(block);
}

/* The dead, and those who said what cannot be, are not listened to any more. */
START_TEST(an_incarnation_can_be_over)
{
    struct door door;
    struct diag diag = { 0 };
    door_open(&door, true);
    Envelope first = hello(1), again = hello(2);
    struct call *heard = call_with(&door, &first);
    send_frame(&door, heard);
    ck_assert_int_eq(door.arrived, 1);
    net_end_from(door.net, "a", 30);
    pass(&door);
    ck_assert_int_eq(heard->type, TYPE(BYE));
    ck_assert(heard->closed);
    net_not_mine(door.net, &door.token, 1); /* of a session that is over */
    net_applied(door.net, &door.token);
    is_turned_away(&door, call_with(&door, &again), false, "incarnation 1e of a is over here");
    ck_assert_int_eq(door.failed, 0);
    door_close(&door);

    door_open(&door, true);
    heard = call_with(&door, &first);
    diag_set(&diag, S4_CORRUPT, "its records are odd");
    net_refuse(door.net, "a", 31, &diag); /* somebody else */
    ck_assert_int_eq(door.failed, 0);
    net_refuse(door.net, "a", 30, &diag);
    pass(&door);
    ck_assert_int_eq(door.failed, 1);
    ck_assert_str_eq(door.diag, "session from a: its records are odd");
    ck_assert_str_eq(heard->reason, "its records are odd");
    door.failed = 0;
    is_turned_away(&door, call_with(&door, &again), false, "incarnation 1e of a is over here");
    door_close(&door);
}
END_TEST

START_TEST(the_dead_are_so_many)
{
    struct door door;
    door_open(&door, true);
    Envelope first = hello(1), second = hello(1);
    for (uint64_t i = 0; i < NET_DEAD_MAX; i++)
        net_end_from(door.net, "a", 30 + i);
    is_turned_away(&door, call_with(&door, &first), false, "is over here");
    net_end_from(door.net, "a", 30 + NET_DEAD_MAX); /* one more: the oldest is not known any more */
    second.incarnation = 31;
    is_turned_away(&door, call_with(&door, &second), false, "is over here");
    is_welcome(call_with(&door, &first));
    door_close(&door);
}
END_TEST

START_TEST(the_door_has_room_for_some)
{
    struct door door;
    door_open(&door, true);
    for (unsigned i = 0; i < NET_VISITORS_MAX; i++)
        call(&door);
    ck_assert_uint_eq(net_counters(door.net).refused, 0);
    call(&door);
    ck_assert_uint_eq(net_counters(door.net).refused, 1);
    ck_assert(door.calls[0].closed);
    ck_assert(!door.calls[1].closed);
    Envelope first = hello(1);
    say(&door, &door.calls[1], &first, NULL);
    is_welcome(&door.calls[1]);
    clock_sim_advance(&door.ends.sim_clock, NET_VISIT_US);
    net_step(door.net, STEP_MAX);
    ck_assert_uint_eq(net_counters(door.net).refused, NET_VISITORS_MAX);
    pass(&door);
    ck_assert(door.calls[2].closed && door.calls[NET_VISITORS_MAX].closed);
    door_close(&door);
}
END_TEST

START_TEST(the_door_is_shut_in_time)
{
    struct door door;
    door_open(&door, true);
    call(&door);
    uint64_t deadline = net_deadline_us(door.net);
    ck_assert_uint_ne(deadline, UINT64_MAX);
    clock_sim_advance(&door.ends.sim_clock, deadline - 1 - door.ends.sim_clock.now_us);
    net_step(door.net, STEP_MAX);
    ck_assert_uint_eq(net_counters(door.net).refused, 0);
    clock_sim_advance(&door.ends.sim_clock, 1);
    net_step(door.net, STEP_MAX);
    ck_assert_uint_eq(net_counters(door.net).refused, 1);
    ck_assert_uint_eq(net_deadline_us(door.net), UINT64_MAX);
    door_close(&door);
}
END_TEST

/* A session by which nothing came leaves nothing behind; one by which frames came is kept. */
START_TEST(what_has_no_state_is_forgotten)
{
    struct door door;
    door_open(&door, true);
    Envelope first = hello(1), fourth = hello(4);
    struct call *heard = call_with(&door, &first);
    transport_disconnect(door.ends.transports[0], heard->peer);
    pass(&door);
    ck_assert(net_is_closed(door.net));
    heard = call_with(&door, &first);
    is_welcome(heard);
    send_frame(&door, heard);
    ck_assert_int_eq(door.arrived, 1);
    transport_disconnect(door.ends.transports[0], heard->peer);
    pass(&door);
    ck_assert(!net_is_closed(door.net));
    net_not_mine(door.net, &door.token, 5);
    fourth.resumes = true;
    heard = call_with(&door, &fourth);
    is_welcome(heard);
    ck_assert_int_eq(heard->type, TYPE(LANES));
    door_close(&door);
}
END_TEST

Suite *suite_build(void)
{
    Suite *suite = suite_create("net_visitors");
    suite_add(suite, "newest", the_newest_connection_counts, 10);
    suite_add(suite, "one", a_session_is_one_of_its_node, 10);
    suite_add(suite, "starts", a_node_that_starts_says_later, 10);
    suite_add(suite, "over", an_incarnation_can_be_over, 10);
    suite_add(suite, "dead", the_dead_are_so_many, 10);
    suite_add(suite, "room", the_door_has_room_for_some, 10);
    suite_add(suite, "time", the_door_is_shut_in_time, 10);
    suite_add(suite, "forgotten", what_has_no_state_is_forgotten, 10);
    return suite;
}
