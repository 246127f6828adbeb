/* Any bytes as what others do at a node's door and behind it: they connect, say who they are or
 * what they like, leave, answer the node's own connections, and the node uses and ends its
 * sessions.
 *
 * Whatever comes: no crash, the frames of a session's lane are handed up in order, what a session
 * that is over is told is ignored, nobody is listened to who was ended, and every block comes back.
 */
#include "runtime/base/hash.h"
#include "runtime/base/mem.h"
#include "runtime/net/net.h"
#include "runtime/net/transport_sim.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define TYPE(name) S4__WIRE__ENVELOPE__TYPE__##name

enum { CALLS = 6, LANES = 3, OWED = 64, PEERS = 3, SESSIONS = 64, CLUSTER = 7 };

struct input {
    const uint8_t *at;
    size_t left;
};

/* A connection of the others. */
struct call {
    uint64_t peer; /* 0: none */
    uint64_t serial, session;
    uint64_t frames[LANES];
};

struct play {
    struct input input;
    struct clock_sim clock;
    struct block_pool *pool;
    struct sim_net *sim;
    struct transport *others;
    struct net *net;
    struct call calls[CALLS];
    uint64_t seen[SESSIONS][LANES]; /* frames, by token */
    struct net_token owed[OWED];
    size_t owed_count;
    uint32_t peers[PEERS];
    bool opened[PEERS];
    bool closing;
};

static unsigned take(struct input *input)
{
    if (input->left == 0)
        return 0;
    input->left--;
    return *input->at++;
}

/* ---- the others ------------------------------------------------------------------------------ */

static struct call *call_of(struct play *play, uint64_t peer)
{
    for (size_t i = 0; i < CALLS; i++) {
        if (play->calls[i].peer == peer)
            return &play->calls[i];
    }
    return NULL;
}

static void others_up(void *user, uint64_t peer, bool opened)
{
    struct play *play = user;
    struct call *free_call = call_of(play, 0);
    if (!call_of(play, peer) && free_call)
        *free_call = (struct call){ .peer = peer };
}

static void others_hear(void *user, uint64_t peer, const void *bytes, size_t size,
                        struct block *block)
{
    struct call *call = call_of(user, peer);
    struct envelope_arena arena;
    const Envelope *envelope;
    struct diag diag;
    CHECK(envelope_read(bytes, size, &arena, &envelope, &diag) == S4_OK);
    if (call)
        call->session = envelope->session; /* they answer with the right one, mostly */
    if (block)
        block_release(block);
}

static void others_lose(void *user, uint64_t peer, const char *reason)
{
    struct call *call = call_of(user, peer);
    if (call)
        *call = (struct call){ 0 };
}

static const struct transport_upcalls others_upcalls = { others_up, others_hear, others_lose };

static void make_call(struct play *play)
{
    struct call *call = call_of(play, 0);
    struct diag diag;
    if (!call)
        return;
    *call = (struct call){ .session = 42 };
    CHECK(transport_connect(play->others, "node", &call->peer, &diag) == S4_OK);
}

static struct block *make_block(struct play *play)
{
    struct block *block = block_take(play->pool, 8);
    CHECK(block);
    memset(block->data, (int)take(&play->input), 8);
    block->used = 8;
    block->count = 1;
    return block;
}

static void send_bytes(struct play *play, const struct call *call, const void *bytes, size_t size,
                       struct block *block)
{
    s4_status status = transport_send(play->others, call->peer, bytes, size, block);
    CHECK(status == S4_OK || status == S4_FULL || status == S4_UNAVAILABLE);
    if (block)
        block_release(block);
}

static void say_bytes(struct play *play, const struct call *call)
{
    char bytes[64 + 9];
    size_t size = take(&play->input) % 64;
    size = size_min(size, play->input.left);
    memcpy(bytes, play->input.at, size);
    play->input.at += size;
    play->input.left -= size;
    uint64_t seal = hash_bytes(bytes, size);
    bytes[size] = 0x79;
    memcpy(bytes + size + 1, &seal, sizeof seal);
    send_bytes(play, call, bytes, size + 9, size % 2 ? make_block(play) : NULL);
}

static void fill_greeting(struct play *play, Envelope *envelope, unsigned odd)
{
    static char names[][8] = { "carl", "dora", "emil" };
    envelope->has_version = envelope->has_incarnation = envelope->has_cluster = true;
    envelope->version = ENVELOPE_VERSION + (odd == 1);
    envelope->incarnation = 30 + (odd == 2);
    envelope->cluster = CLUSTER + (odd == 3);
    envelope->node = names[odd == 4];
    envelope->peer = odd == 5 ? names[2] : NULL;
    envelope->has_peer_incarnation = odd == 6;
    envelope->peer_incarnation = take(&play->input);
    envelope->has_attempt = envelope->has_resumes = envelope->has_notice = true;
    envelope->attempt = 1 + take(&play->input) % 8;
    envelope->resumes = odd == 7;
    envelope->notice = odd == 8 ? take(&play->input) : 0;
    envelope->has_count = true;
    envelope->count = odd == 9 ? take(&play->input) : 0;
    envelope->has_frame = true;
    envelope->frame = 4;
}

static void fill_data(struct call *call, Envelope *envelope, const struct block *block,
                      unsigned odd)
{
    static char app[] = "app";
    envelope->frame = odd == 10 ? envelope->frame : ++call->frames[envelope->lane % LANES];
    envelope->app = app;
    envelope->has_schema = envelope->has_worker = envelope->has_records = envelope->has_hops = true;
    envelope->records = 1;
    envelope->has_bytes = envelope->has_checksum = true;
    envelope->bytes = block->used;
    envelope->checksum = hash_bytes(block->data, block->used) ^ (odd == 11);
}

/* An envelope that is right but for what `odd` says. */
static void say_envelope(struct play *play, struct call *call, S4__Wire__Envelope__Type type)
{
    unsigned odd = take(&play->input) % 16;
    uint64_t lanes[ENVELOPE_LANE_SIZE];
    char reason[] = "no";
    Envelope envelope = S4__WIRE__ENVELOPE__INIT;
    envelope.type = type;
    envelope.has_session = envelope.has_serial = true;
    envelope.session = odd == 12 ? 41 : call->session;
    envelope.serial = odd == 13 ? take(&play->input) : ++call->serial;
    envelope.has_lane = envelope.has_frame = true;
    envelope.lane = take(&play->input) % LANES;
    envelope.frame = take(&play->input);
    envelope.has_notice = type == TYPE(NOT_MINE);
    envelope.notice = 1 + envelope.frame % 4;
    envelope.has_slot = true;
    if (type == TYPE(HELLO) || type == TYPE(WELCOME))
        fill_greeting(play, &envelope, odd);
    if (type == TYPE(LANES)) {
        envelope.lanes = lanes;
        envelope.n_lanes = ENVELOPE_LANE_SIZE;
        for (size_t i = 0; i < ENVELOPE_LANE_SIZE; i++)
            lanes[i] = take(&play->input) % 8;
    }
    if (type == TYPE(BYE) && odd > 2)
        envelope.reason = reason;
    envelope.has_again = envelope.again = odd > 8;
    struct block *block = type == TYPE(DATA) ? make_block(play) : NULL;
    if (block)
        fill_data(call, &envelope, block, odd);
    char bytes[TRANSPORT_ENVELOPE_MAX];
    send_bytes(play, call, bytes, envelope_pack(&envelope, bytes), block);
}

static void others_act(struct play *play, unsigned what)
{
    struct call *call = &play->calls[take(&play->input) % CALLS];
    if (what == 0)
        make_call(play);
    if (call->peer == 0)
        return;
    if (what == 1) {
        transport_disconnect(play->others, call->peer);
        *call = (struct call){ 0 };
    } else if (what == 2) {
        say_bytes(play, call);
    } else if (what == 3) {
        say_envelope(play, call, TYPE(HELLO));
    } else if (what == 4) {
        say_envelope(play, call, TYPE(DATA));
    } else if (what == 5) {
        say_envelope(play, call, TYPE(WELCOME));
    } else if (what > 5) {
        say_envelope(play, call, (S4__Wire__Envelope__Type)(1 + take(&play->input) % 9));
    }
}

/* ---- the node -------------------------------------------------------------------------------- */

static void on_block(void *user, const struct net_arrival *arrival, struct block *block)
{
    struct play *play = user;
    const struct net_token *token = &arrival->token;
    block_release(block);
    if (token->session < SESSIONS && token->lane < LANES)
        CHECK(token->frame == ++play->seen[token->session][token->lane]);
    if (play->owed_count < OWED)
        play->owed[play->owed_count++] = *token;
}

static void on_not_mine(void *user, uint32_t peer, const struct session_frame *frame,
                        const struct block *block, uint32_t slot)
{
    CHECK(block->used == 8 && frame->frame > 0);
}

static void on_unheard(void *user, const struct net_silence *silence)
{
    CHECK(silence->peer[0]);
}

static void on_failed(void *user, const char *peer, uint64_t incarnation, const struct diag *diag)
{
    CHECK(peer[0] && diag->code != S4_OK);
    for (const char *c = diag->text; *c; c++)
        CHECK(*c >= ' ' && *c <= '~');
}

static const struct net_upcalls upcalls = {
    .block_arrived = on_block,
    .not_mine = on_not_mine,
    .unheard = on_unheard,
    .failed = on_failed,
};

static void settle(struct play *play)
{
    if (play->owed_count == 0)
        return;
    size_t i = take(&play->input) % play->owed_count;
    struct net_token token = play->owed[i];
    play->owed[i] = play->owed[--play->owed_count];
    if (take(&play->input) % 2)
        net_not_mine(play->net, &token, take(&play->input));
    net_credit(play->net, &token);
    net_applied(play->net, &token);
}

static void use_peer(struct play *play, unsigned what)
{
    size_t i = take(&play->input) % PEERS;
    struct diag diag;
    if (!play->opened[i]) {
        play->opened[i] =
            !play->closing && net_connect(play->net, what % 2 ? "carl" : NULL, what % 4 ? 0 : 30,
                                          "others", &play->peers[i], &diag) == S4_OK;
    } else if (what < 16) {
        net_end(play->net, play->peers[i]);
        play->opened[i] = false;
    } else {
        struct block *block = make_block(play);
        s4_status status = net_send(play->net, play->peers[i], what % LANES, "app", 1, 2, &block);
        CHECK(status == S4_OK || status == S4_STATE);
        if (block)
            block_release(block);
    }
}

static void end_others(struct play *play, unsigned what)
{
    struct diag diag = { 0 };
    diag_set(&diag, S4_CORRUPT, "odd");
    if (what < 8)
        net_end_from(play->net, "carl", 30);
    else if (what < 16)
        net_refuse(play->net, "dora", 30, &diag);
    else if (what == 16 && !play->closing) {
        play->closing = true;
        net_close(play->net);
    }
}

static void play_step(struct play *play)
{
    unsigned what = take(&play->input);
    switch (what % 16) {
    case 0:
        clock_sim_advance(&play->clock, 1000 * (uint64_t)take(&play->input));
        break;
    case 1:
        clock_sim_advance(&play->clock, 100000 * (uint64_t)take(&play->input));
        break;
    case 2:
    case 3:
        settle(play);
        break;
    case 4:
    case 5:
        use_peer(play, what / 4);
        break;
    case 6:
        end_others(play, what / 8 + take(&play->input) % 2);
        break;
    default:
        others_act(play, what % 16 - 7);
        break;
    }
    transport_step(play->others, 8);
    net_step(play->net, 8);
}

static void play_open(struct play *play)
{
    static struct block_pool *pool; /* one for all: a pool begins with 2 MiB */
    struct diag diag;
    if (!pool)
        CHECK(block_pool_create(BLOCK_SIZE_MIN, &pool) == S4_OK);
    play->pool = pool;
    clock_sim_init(&play->clock, 1000);
    struct sim_net_options sim = { .clock = &play->clock.clock };
    struct net_options options = {
        .clock = &play->clock.clock,
        .node = "node",
        .window = 4,
        .upcalls = &upcalls,
        .user = play,
    };
    CHECK(sim_net_create(&sim, &play->sim) == S4_OK);
    CHECK(sim_net_endpoint(play->sim, pool, &play->others) == S4_OK);
    CHECK(sim_net_endpoint(play->sim, pool, &options.transport) == S4_OK);
    CHECK(net_create(&options, &play->net, &diag) == S4_OK);
    CHECK(net_bind(play->net, "node", &diag) == S4_OK);
    transport_attach(play->others, &others_upcalls, play);
    CHECK(transport_bind(play->others, "others", &diag) == S4_OK);
    net_identify(play->net, CLUSTER, 70);
    make_call(play);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct play *play = mem_zalloc(sizeof *play);
    CHECK(play);
    play->input = (struct input){ data, size };
    play_open(play);
    while (play->input.left > 0)
        play_step(play);
    net_destroy(play->net);
    transport_destroy(play->others);
    sim_net_destroy(play->sim);
    CHECK(block_pool_bytes(play->pool) == 0);
    mem_free(play);
    return 0;
}
