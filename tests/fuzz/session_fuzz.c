/* Any bytes as what the other side of a session says and what its user does. The first byte chooses
 * the side; then each step is a byte that says what happens, and its arguments.
 *
 * Whatever comes: no crash, frames are handed up in order and within their credit whatever happens
 * to connections, what was not taken is heard of frames that are held, a connection is given up at
 * most once and a session fails at most once, and then is silent, what it says is well-formed (the
 * transport checks it), and every block comes back.
 */
#include "runtime/base/hash.h"
#include "runtime/net/session.h"
#include "tests/support/fake_transport.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define TYPE(name) S4__WIRE__ENVELOPE__TYPE__##name

enum { LANES = 4, WINDOW = 3, FRAMES_MAX = 256 };

struct input {
    const uint8_t *at;
    size_t left;
};

struct play {
    struct input input;
    struct fake_transport fake;
    struct clock_sim clock;
    struct block_pool *pool;
    struct session *session;
    bool opener;
    uint64_t serial, attempt; /* of what the other side said so far */
    uint64_t notice;
    bool connected;
    uint64_t next[LANES];
    uint64_t arrived[LANES], returned[LANES];
    bool applied[LANES][FRAMES_MAX + 1];
    int ended;
};

static unsigned take(struct input *input)
{
    if (input->left == 0)
        return 0;
    input->left--;
    return *input->at++;
}

static void on_opened(void *user, struct session *session)
{
    CHECK(session_state(session) == SESSION_OPEN);
}

static void on_arrived(void *user, struct session *session, const struct session_frame *frame,
                       struct block *block)
{
    struct play *play = user;
    CHECK(!play->opener && !play->ended);
    if (frame->lane < LANES) { /* others are never credited */
        CHECK(frame->frame == ++play->arrived[frame->lane]);
        CHECK(frame->frame <= play->returned[frame->lane] + WINDOW);
    }
    CHECK(frame->frame <= WINDOW || frame->lane < LANES);
    CHECK(block->count > 0 && block->used > 0 && block->used % 8 == 0);
    block_release(block);
}

static void on_not_mine(void *user, struct session *session, const struct session_frame *frame,
                        const struct block *block, uint32_t slot)
{
    struct play *play = user;
    CHECK(play->opener && !play->ended && slot <= UINT16_MAX);
    CHECK(frame->frame > 0 && frame->lane < LANES && block->used > 0 && block->used % 8 == 0);
}

static void on_broken(void *user, struct session *session, const char *reason)
{
    struct play *play = user;
    CHECK(play->connected && !play->ended && reason[0]);
    play->connected = false;
    for (const char *c = reason; *c; c++)
        CHECK(*c >= ' ' && *c <= '~');
}

static void on_unheard(void *user, struct session *session, bool heard)
{
    CHECK(session_is_unheard(session) != heard);
}

static void on_closed(void *user, struct session *session)
{
    struct play *play = user;
    CHECK(play->ended++ == 0);
}

static void on_failed(void *user, struct session *session, const struct diag *diag)
{
    struct play *play = user;
    CHECK(play->ended++ == 0 && diag->code != S4_OK && diag->text[0]);
    for (const char *c = diag->text; *c; c++)
        CHECK(*c >= ' ' && *c <= '~'); /* a peer's bytes do not reach a terminal as they are */
}

static const struct session_upcalls upcalls = {
    .opened = on_opened,
    .arrived = on_arrived,
    .not_mine = on_not_mine,
    .broken = on_broken,
    .unheard = on_unheard,
    .closed = on_closed,
    .failed = on_failed,
};

static struct block *make_block(struct play *play, size_t words)
{
    struct block *block = block_take(play->pool, 8 * words);
    CHECK(block);
    for (size_t i = 0; i < words; i++)
        memset(block->data + 8 * i, (int)take(&play->input), 8);
    block->used = (uint32_t)(8 * words);
    block->count = 1;
    return block;
}

/* Bytes as they are, or with a seal, so that they get as far as protobuf. */
static void hear_bytes(struct play *play, bool sealed)
{
    char bytes[300];
    size_t size = take(&play->input);
    size = size_min(size, play->input.left);
    memcpy(bytes, play->input.at, size);
    play->input.at += size;
    play->input.left -= size;
    if (sealed) {
        uint64_t seal = hash_bytes(bytes, size);
        bytes[size] = 0x79;
        memcpy(bytes + size + 1, &seal, sizeof seal);
        size += 9;
    }
    char *exact = malloc(size + 1); /* ASan sees the first byte behind it */
    CHECK(exact);
    memcpy(exact, bytes, size);
    session_receive(play->session, exact, size, size % 2 ? make_block(play, 1) : NULL);
    free(exact);
}

/* An envelope that is right but for what `odd` says. */
static void hear_envelope(struct play *play)
{
    static char names[][12] = { "carl", "", "a b\x1b[2J", "words" };
    Envelope envelope = S4__WIRE__ENVELOPE__INIT;
    unsigned odd = take(&play->input), lane = take(&play->input) % (LANES + (odd == 1));
    envelope.type = (S4__Wire__Envelope__Type)(1 + take(&play->input) % (9 + (odd == 2)));
    struct block *block =
        (envelope.type == TYPE(DATA)) != (odd == 3) ? make_block(play, 1 + odd % 5) : NULL;
    envelope.has_version = envelope.has_session = envelope.has_serial = true;
    envelope.version = ENVELOPE_VERSION + (odd == 4);
    envelope.has_incarnation = envelope.has_cluster = envelope.has_count = odd != 20;
    envelope.incarnation = odd == 21 ? 0 : 30;
    envelope.cluster = odd == 22;
    envelope.count = envelope.type == TYPE(WELCOME) ? take(&play->input) : 0;
    envelope.has_attempt = envelope.has_resumes = envelope.has_notice = envelope.has_slot = true;
    envelope.attempt = 1;
    envelope.slot = odd == 23 ? 70000 : lane;
    envelope.notice = odd == 24 ? take(&play->input) : play->notice;
    if (envelope.type == TYPE(NOT_MINE))
        envelope.notice = ++play->notice;
    uint64_t lanes[ENVELOPE_LANE_SIZE * LANES];
    if (envelope.type == TYPE(LANES)) {
        envelope.lanes = lanes;
        envelope.n_lanes = odd == 25 ? 3 : ENVELOPE_LANE_SIZE * (1 + take(&play->input) % LANES);
        for (size_t i = 0; i < envelope.n_lanes; i++)
            lanes[i] = i % ENVELOPE_LANE_SIZE == 0 ? i / ENVELOPE_LANE_SIZE : take(&play->input);
    }
    envelope.session = odd == 5 ? 41 : 42;
    envelope.serial = odd == 6 ? take(&play->input) : ++play->serial;
    envelope.has_lane = envelope.has_frame = odd != 7;
    envelope.lane = lane;
    envelope.frame = envelope.type == TYPE(DATA) && odd != 8 && lane < LANES ? ++play->next[lane]
                                                                             : take(&play->input);
    envelope.node = odd == 9 ? names[take(&play->input) % ARRAY_LEN(names)] : names[0];
    envelope.app = odd == 10 ? names[take(&play->input) % ARRAY_LEN(names)] : names[3];
    envelope.has_schema = envelope.has_worker = envelope.has_records = envelope.has_hops =
        odd != 11;
    envelope.records = odd == 12 ? 0 : 1;
    envelope.worker = odd == 13 ? 70000 : 1;
    envelope.has_bytes = envelope.has_checksum = true;
    envelope.bytes = block && odd != 14 ? block->used : take(&play->input);
    envelope.checksum = block ? hash_bytes(block->data, block->used) ^ (odd == 15) : 0;
    envelope.reason = odd >= 16 && odd < 20 ? names[odd - 16] : NULL;
    envelope.has_again = envelope.again = odd == 16 || odd == 19;
    char bytes[TRANSPORT_ENVELOPE_MAX];
    size_t size = envelope_pack(&envelope, bytes);
    session_receive(play->session, bytes, size, block);
}

static void settle(struct play *play, bool credit)
{
    unsigned lane = take(&play->input) % LANES;
    if (play->opener || play->arrived[lane] == 0)
        return;
    uint64_t frame = 1 + take(&play->input) % play->arrived[lane];
    if (credit && play->returned[lane] < play->arrived[lane]) {
        play->returned[lane]++;
        session_credit(play->session, lane);
    } else if (!credit && frame <= FRAMES_MAX && !play->applied[lane][frame]) {
        play->applied[lane][frame] = true;
        session_applied(play->session, lane, frame);
    }
}

/* A connection of the opener comes up, or a HELLO that is as it has to be. */
static void make_connection(struct play *play)
{
    if (session_is_over(play->session))
        return;
    play->serial = 0;
    play->connected = true;
    if (play->opener) {
        session_connected(play->session, FAKE_PEER);
        return;
    }
    char node[] = "carl";
    Envelope hello = S4__WIRE__ENVELOPE__INIT;
    hello.type = TYPE(HELLO);
    hello.node = node;
    hello.session = 42;
    hello.incarnation = 30;
    hello.attempt = ++play->attempt;
    hello.notice = take(&play->input) % 4 ? play->notice : take(&play->input);
    play->notice = hello.notice;
    play->serial = 1;
    CHECK(session_is_newer(play->session, &hello));
    session_greeted(play->session, FAKE_PEER, &hello);
}

static void lose_connection(struct play *play)
{
    play->connected = false;
    session_disconnected(play->session);
}

static void not_take(struct play *play)
{
    unsigned lane = take(&play->input) % LANES;
    uint64_t frame = play->arrived[lane];
    if (play->opener || frame == 0 || frame > FRAMES_MAX || play->applied[lane][frame])
        return;
    session_not_mine(play->session, lane, frame, take(&play->input));
}

static void use(struct play *play)
{
    if (!play->opener)
        return;
    unsigned what = take(&play->input);
    if (what == 0) {
        session_close(play->session);
        return;
    }
    struct block *block = make_block(play, 1 + what % 4);
    struct session_frame frame = {
        .lane = what % LANES, .app = "words", .schema = 1, .version = what
    };
    s4_status status = session_send(play->session, &frame, &block);
    CHECK(status == S4_OK || status == S4_STATE);
    if (block)
        block_release(block);
}

static void play_step(struct play *play)
{
    switch (take(&play->input) % 16) {
    case 0:
        hear_bytes(play, false);
        break;
    case 1:
        hear_bytes(play, true);
        break;
    case 2:
        settle(play, true);
        break;
    case 3:
        settle(play, false);
        break;
    case 4:
        use(play);
        break;
    case 5:
        session_step(play->session);
        break;
    case 6:
        clock_sim_advance(&play->clock, (uint64_t)take(&play->input) * 100000);
        session_step(play->session);
        break;
    case 7:
        play->fake.status = play->fake.status == S4_OK ? S4_FULL : S4_OK;
        break;
    case 8:
        make_connection(play);
        break;
    case 9:
        lose_connection(play);
        break;
    case 10:
        not_take(play);
        break;
    default:
        hear_envelope(play);
        break;
    }
}

static struct self dora = { .name = "dora", .incarnation = 70 };

static void play_open(struct play *play)
{
    static struct block_pool *pool; /* one for all: a pool begins with 2 MiB */
    if (!pool)
        CHECK(block_pool_create(BLOCK_SIZE_MIN, &pool) == S4_OK);
    play->pool = pool;
    fake_transport_init(&play->fake);
    clock_sim_init(&play->clock, 1000);
    play->opener = take(&play->input) % 2;
    struct session_options options = {
        .opener = play->opener,
        .transport = &play->fake.transport,
        .clock = &play->clock.clock,
        .self = &dora,
        .number = play->opener ? 42 : 0,
        .window = WINDOW,
        .upcalls = &upcalls,
        .user = play,
    };
    CHECK(session_create(&options, &play->session) == S4_OK);
    make_connection(play);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct play play = { .input = { data, size } };
    play_open(&play);
    while (play.input.left > 0) {
        play_step(&play);
        CHECK(play.ended == session_is_over(play.session));
    }
    session_cut(play.session, "the end");
    CHECK(session_is_over(play.session) && !session_step(play.session));
    session_destroy(play.session);
    CHECK(block_pool_bytes(play.pool) == 0);
    return 0;
}
