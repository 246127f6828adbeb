/* One session, the other side played by hand; see the header. */
#include "tests/support/solo.h"

#include <check.h>

#include "runtime/base/hash.h"
#include "tests/support/ends.h"

#define TYPE(name) S4__WIRE__ENVELOPE__TYPE__##name

/* protobuf-c wants strings that could be written to. */
static char carl[] = "carl", words[] = "words";

static struct block_pool *solo_pool; /* one for all: a pool begins with 2 MiB */

struct self solo_self = { .name = "dora", .cluster = 7, .incarnation = 70 };

static void solo_opened(void *user, struct session *session)
{
    ((struct solo *)user)->opened++;
}

static void solo_arrived(void *user, struct session *session, const struct session_frame *frame,
                         struct block *block)
{
    struct solo *solo = user;
    solo->arrived++;
    solo->last = *frame;
    block_release(block);
}

static void solo_not_mine(void *user, struct session *session, const struct session_frame *frame,
                          const struct block *block, uint32_t slot)
{
    struct solo *solo = user;
    size_t len = strlen(solo->not_mine);
    ck_assert_uint_gt(block->used, 0);
    ck_assert_uint_eq(frame->version, 9);
    snprintf(solo->not_mine + len, sizeof solo->not_mine - len, " %u.%u/%u", frame->lane,
             (unsigned)frame->frame, slot);
}

static void solo_broken(void *user, struct session *session, const char *reason)
{
    struct solo *solo = user;
    solo->broken++;
    snprintf(solo->reason, sizeof solo->reason, "%s", reason);
}

static void solo_unheard(void *user, struct session *session, bool heard)
{
    struct solo *solo = user;
    solo->unheard += !heard;
    solo->heard_again += heard;
}

static void solo_closed(void *user, struct session *session)
{
    ((struct solo *)user)->closed++;
}

static void solo_failed(void *user, struct session *session, const struct diag *diag)
{
    ((struct solo *)user)->failed++;
}

static const struct session_upcalls solo_upcalls = {
    .opened = solo_opened,
    .arrived = solo_arrived,
    .not_mine = solo_not_mine,
    .broken = solo_broken,
    .unheard = solo_unheard,
    .closed = solo_closed,
    .failed = solo_failed,
};

Envelope solo_envelope(S4__Wire__Envelope__Type type)
{
    Envelope envelope = S4__WIRE__ENVELOPE__INIT;
    envelope.type = type;
    envelope.has_version = type == TYPE(HELLO) || type == TYPE(WELCOME);
    envelope.version = ENVELOPE_VERSION;
    if (envelope.has_version)
        envelope.node = carl;
    envelope.has_incarnation = envelope.has_cluster = envelope.has_version;
    envelope.incarnation = 30;
    envelope.cluster = 7;
    envelope.has_attempt = envelope.has_resumes = type == TYPE(HELLO);
    envelope.has_count = type == TYPE(WELCOME);
    envelope.has_frame = type != TYPE(HELLO) && type != TYPE(BYE) && type != TYPE(PING);
    envelope.has_slot = type == TYPE(NOT_MINE);
    envelope.has_notice = type == TYPE(HELLO) || type == TYPE(NOT_MINE);
    envelope.notice = type == TYPE(NOT_MINE);
    envelope.attempt = type == TYPE(HELLO);
    envelope.frame = type == TYPE(WELCOME) ? 4 : 1;
    envelope.has_lane =
        type == TYPE(DATA) || type == TYPE(ACK) || type == TYPE(CREDIT) || type == TYPE(NOT_MINE);
    envelope.lane = 5;
    return envelope;
}

void solo_hear(struct solo *solo, Envelope *envelope, struct block *block)
{
    char bytes[TRANSPORT_ENVELOPE_MAX];
    if (!envelope->has_session) {
        envelope->has_session = true;
        envelope->session = 42;
    }
    if (!envelope->has_serial) {
        envelope->has_serial = true;
        envelope->serial = ++solo->serial;
    }
    session_receive(solo->session, bytes, envelope_pack(envelope, bytes), block);
}

/* Acceptor: a connection with a HELLO that net has found right. */
void solo_hello(struct solo *solo, uint64_t notice)
{
    Envelope hello = solo_envelope(TYPE(HELLO));
    hello.session = 42;
    hello.attempt = ++solo->attempt;
    hello.notice = notice;
    solo->serial = 1;
    ck_assert(session_is_newer(solo->session, &hello));
    session_greeted(solo->session, FAKE_PEER, &hello);
    ck_assert(!session_is_newer(solo->session, &hello));
}

/* Opener: a connection that is up. */
void solo_connect(struct solo *solo)
{
    solo->serial = 0;
    session_connected(solo->session, FAKE_PEER);
    ck_assert_int_eq(solo->fake.last->type, TYPE(HELLO));
    ck_assert_uint_eq(solo->fake.last->attempt, ++solo->attempt);
    ck_assert_uint_eq(solo->fake.last->serial, 1);
}

void solo_hear_simple(struct solo *solo, S4__Wire__Envelope__Type type)
{
    Envelope envelope = solo_envelope(type);
    solo_hear(solo, &envelope, NULL);
}

Envelope solo_data(const struct block *block, uint64_t frame)
{
    Envelope envelope = solo_envelope(TYPE(DATA));
    envelope.frame = frame;
    envelope.app = words;
    envelope.has_schema = envelope.has_worker = envelope.has_records = envelope.has_bytes =
        envelope.has_checksum = envelope.has_hops = true;
    envelope.records = block->count;
    envelope.bytes = block->used;
    envelope.checksum = hash_bytes(block->data, block->used);
    return envelope;
}

void solo_hear_data(struct solo *solo, uint64_t frame)
{
    struct block *block = ends_block(solo->pool, frame);
    Envelope envelope = solo_data(block, frame);
    solo_hear(solo, &envelope, block);
}

void solo_open(struct solo *solo, bool opener)
{
    memset(solo, 0, sizeof *solo);
    fake_transport_init(&solo->fake);
    clock_sim_init(&solo->clock, 1000);
    if (!solo_pool)
        ck_assert_int_eq(block_pool_create(BLOCK_SIZE_DEFAULT, &solo_pool), S4_OK);
    solo->pool = solo_pool;
    struct session_options options = {
        .opener = opener,
        .transport = &solo->fake.transport,
        .clock = &solo->clock.clock,
        .self = &solo_self,
        .peer = opener ? "carl" : NULL,
        .number = opener ? 42 : 0,
        .window = 4,
        .upcalls = &solo_upcalls,
        .user = solo,
    };
    ck_assert_int_eq(session_create(&options, &solo->session), S4_OK);
}

/* Up to the open state. */
void solo_start(struct solo *solo, bool opener)
{
    solo_open(solo, opener);
    if (opener) {
        solo_connect(solo);
        solo_hear_simple(solo, TYPE(WELCOME));
    } else {
        solo_hello(solo, 0);
    }
    session_step(solo->session);
    ck_assert_int_eq(session_state(solo->session), SESSION_OPEN);
    ck_assert_int_eq(solo->opened, 1);
}

void solo_close(struct solo *solo)
{
    session_destroy(solo->session);
    ck_assert_uint_eq(block_pool_bytes(solo->pool), 0);
}

/* It failed once, for this reason, and said so to the other side. */
void solo_end(struct solo *solo, s4_status code, const char *text)
{
    const struct diag *diag = session_diag(solo->session);
    ck_assert_int_eq(solo->failed, 1);
    ck_assert_int_eq(session_state(solo->session), SESSION_FAILED);
    ck_assert_msg(diag->code == code && strstr(diag->text, text), "%d %s", diag->code, diag->text);
    if (solo->fake.last->reason) {
        ck_assert_int_eq(solo->fake.last->type, TYPE(BYE));
        ck_assert_ptr_nonnull(strstr(diag->text, solo->fake.last->reason));
    }
    solo_hear_simple(solo, TYPE(PING)); /* the dead hear nothing */
    ck_assert(!session_step(solo->session));
    session_disconnected(solo->session);
    ck_assert_int_eq(solo->failed, 1);
    solo_close(solo);
}

/* It gave its connection up, once, for this reason, and lives. */
void solo_end_conn(struct solo *solo, const char *text)
{
    ck_assert_int_eq(solo->failed, 0);
    ck_assert_int_eq(solo->broken, 1);
    ck_assert_msg(strstr(solo->reason, text) != NULL, "%s", solo->reason);
    ck_assert_int_eq(solo->fake.last->type, TYPE(BYE));
    ck_assert(solo->fake.last->again && strcmp(solo->fake.last->reason, solo->reason) == 0);
    ck_assert(!session_is_connected(solo->session) && !session_is_over(solo->session));
    uint64_t sent = solo->fake.sent;
    solo_hear_simple(solo, TYPE(PING)); /* what still comes by it is not heard */
    ck_assert(!session_step(solo->session));
    ck_assert_uint_eq(solo->fake.sent, sent);
    ck_assert_int_eq(solo->broken, 1);
}

s4_status solo_send(struct solo *solo, uint32_t lane, const char *app, struct block **block)
{
    struct session_frame frame = { .lane = lane, .app = app, .schema = 1, .version = 9 };
    return session_send(solo->session, &frame, block);
}

void solo_send_one(struct solo *solo, s4_status wanted)
{
    struct block *block = ends_block(solo->pool, 1);
    ck_assert_int_eq(solo_send(solo, 5, "words", &block), wanted);
    ck_assert((block == NULL) == (wanted == S4_OK));
    if (block)
        block_release(block);
}

void solo_add_lane(Envelope *envelope, uint64_t lane, uint64_t received, uint64_t applied,
                   uint64_t limit)
{
    static uint64_t numbers[ENVELOPE_LANES_MAX * ENVELOPE_LANE_SIZE];
    uint64_t told[] = { lane, received, applied, limit };
    envelope->lanes = numbers;
    memcpy(numbers + envelope->n_lanes, told, sizeof told);
    envelope->n_lanes += ARRAY_LEN(told);
}

/* Lane 5: 6 frames, 4 sent, 1 acknowledged; then another connection, which tells so many lanes. */
void solo_reopen(struct solo *solo, uint32_t lanes)
{
    solo_start(solo, true);
    for (int i = 0; i < 6; i++)
        solo_send_one(solo, S4_OK);
    Envelope ack = solo_envelope(TYPE(ACK));
    solo_hear(solo, &ack, NULL);
    session_disconnected(solo->session);
    solo_connect(solo);
    ck_assert(solo->fake.last->resumes);
    Envelope welcome = solo_envelope(TYPE(WELCOME));
    welcome.count = lanes;
    solo_hear(solo, &welcome, NULL);
}
