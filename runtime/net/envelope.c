/* Frame 1 as bytes; see the header, and rules 2 and 3 of the README.
 *
 * The seal is checked before the bytes meet protobuf-c, so a byte that flipped on the way is always
 * named as damage and never parsed. What passes can still come from a wrong or hostile program:
 * protobuf-c gets a bump arena and no heap, and each type's fields are checked here, so that the
 * session reads them without looking at has_ again.
 */
#include "runtime/net/envelope.h"

#include "runtime/base/hash.h"

#define SEAL_TAG  0x79 /* field 15, fixed64 */
#define SEAL_SIZE 9

#define TYPE(name) S4__WIRE__ENVELOPE__TYPE__##name

const char *envelope_type_name(S4__Wire__Envelope__Type type)
{
    const ProtobufCEnumValue *value =
        protobuf_c_enum_descriptor_get_value(&s4__wire__envelope__type__descriptor, (int)type);
    return value ? value->name : "?";
}

bool envelope_name_valid(const char *name)
{
    static const char allowed[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
                                  "._-:";
    size_t len = name ? strnlen(name, ENVELOPE_NAME_MAX + 1) : 0;
    return len > 0 && len <= ENVELOPE_NAME_MAX && strspn(name, allowed) == len;
}

static uint64_t seal_of(const void *bytes, size_t size)
{
    return hash_bytes(bytes, size);
}

size_t envelope_pack(const Envelope *envelope, char *bytes)
{
    CHECK(!envelope->has_seal);
    CHECK(s4__wire__envelope__get_packed_size(envelope) + SEAL_SIZE <= TRANSPORT_ENVELOPE_MAX);
    size_t size = s4__wire__envelope__pack(envelope, (uint8_t *)bytes);
    uint64_t seal = seal_of(bytes, size);
    bytes[size] = SEAL_TAG;
    memcpy(bytes + size + 1, &seal, sizeof seal);
    return size + SEAL_SIZE;
}

static void *arena_alloc(void *data, size_t size)
{
    struct envelope_arena *arena = data;
    if (size > sizeof arena->bytes - arena->used)
        return NULL;
    void *at = arena->bytes + arena->used;
    arena->used = size_min(align_up(arena->used + size, 16), sizeof arena->bytes);
    return at;
}

static void arena_free(void *data, void *p)
{
}

static s4_status need(bool has, const Envelope *envelope, const char *field, struct diag *diag)
{
    return has ? S4_OK
               : diag_set(diag, S4_MALFORMED, "%s without %s", envelope_type_name(envelope->type),
                          field);
}

static s4_status need_name(const char *name, const Envelope *envelope, const char *field,
                           struct diag *diag)
{
    return need(envelope_name_valid(name), envelope, field, diag);
}

static s4_status check_data(const Envelope *envelope, struct diag *diag)
{
    TRY(need(envelope->has_lane, envelope, "lane", diag));
    TRY(need(envelope->has_frame, envelope, "frame", diag));
    TRY(need_name(envelope->app, envelope, "the name of an app", diag));
    TRY(need(envelope->has_schema, envelope, "schema", diag));
    TRY(need(envelope->has_worker && envelope->worker <= UINT16_MAX, envelope, "worker", diag));
    TRY(need(envelope->has_records && envelope->records > 0, envelope, "records", diag));
    TRY(need(envelope->has_bytes && envelope->bytes > 0 && envelope->bytes % 8 == 0, envelope,
             "a size in eights", diag));
    TRY(need(envelope->has_hops && envelope->hops <= UINT8_MAX, envelope, "hops", diag));
    return need(envelope->has_checksum, envelope, "checksum", diag);
}

static s4_status check_hello(const Envelope *envelope, struct diag *diag)
{
    TRY(need(envelope->has_attempt && envelope->attempt > 0, envelope, "attempt", diag));
    TRY(need(envelope->has_resumes, envelope, "resumes", diag));
    TRY(need(envelope->has_notice, envelope, "notice", diag));
    return envelope->peer ? need_name(envelope->peer, envelope, "a peer that can be", diag) : S4_OK;
}

static s4_status check_welcome(const Envelope *envelope, struct diag *diag)
{
    TRY(need(envelope->has_frame, envelope, "frame", diag));
    return need(envelope->has_count, envelope, "count", diag);
}

/* Of another version nothing is known but that it is another one. */
static s4_status check_greeting(const Envelope *envelope, struct diag *diag)
{
    TRY(need(envelope->has_version, envelope, "version", diag));
    TRY(need_name(envelope->node, envelope, "the name of a node", diag));
    if (envelope->version != ENVELOPE_VERSION)
        return S4_OK;
    TRY(need(envelope->has_incarnation && envelope->incarnation != 0, envelope, "incarnation",
             diag));
    TRY(need(envelope->has_cluster, envelope, "cluster", diag));
    return envelope->type == TYPE(HELLO) ? check_hello(envelope, diag)
                                         : check_welcome(envelope, diag);
}

static s4_status check_lanes(const Envelope *envelope, struct diag *diag)
{
    size_t n = envelope->n_lanes;
    bool right = n > 0 && n % ENVELOPE_LANE_SIZE == 0 &&
                 n <= (size_t)ENVELOPE_LANES_MAX * ENVELOPE_LANE_SIZE;
    for (size_t i = 0; right && i < n; i += ENVELOPE_LANE_SIZE)
        right = envelope->lanes[i] <= UINT32_MAX;
    return need(right, envelope, "lanes", diag);
}

static s4_status check_not_mine(const Envelope *envelope, struct diag *diag)
{
    TRY(need(envelope->has_lane, envelope, "lane", diag));
    TRY(need(envelope->has_frame, envelope, "frame", diag));
    TRY(need(envelope->has_slot && envelope->slot <= UINT16_MAX, envelope, "slot", diag));
    return need(envelope->has_notice && envelope->notice > 0, envelope, "notice", diag);
}

static s4_status check_fields(const Envelope *envelope, struct diag *diag)
{
    TRY(need(envelope->has_session && envelope->session != 0, envelope, "session", diag));
    TRY(need(envelope->has_serial, envelope, "serial", diag));
    switch (envelope->type) {
    case TYPE(HELLO):
    case TYPE(WELCOME):
        return check_greeting(envelope, diag);
    case TYPE(LANES):
        return check_lanes(envelope, diag);
    case TYPE(NOT_MINE):
        return check_not_mine(envelope, diag);
    case TYPE(DATA):
        return check_data(envelope, diag);
    case TYPE(ACK):
    case TYPE(CREDIT):
        TRY(need(envelope->has_lane, envelope, "lane", diag));
        return need(envelope->has_frame, envelope, "frame", diag);
    case TYPE(BYE):
    case TYPE(PING):
        return S4_OK;
    default:
        return diag_set(diag, S4_MALFORMED, "unknown message type %d", (int)envelope->type);
    }
}

s4_status envelope_read(const void *bytes, size_t size, struct envelope_arena *arena,
                        const Envelope **envelope, struct diag *diag)
{
    const uint8_t *at = bytes;
    if (size <= SEAL_SIZE || size > TRANSPORT_ENVELOPE_MAX)
        return diag_set(diag, S4_MALFORMED, "an envelope of %zu bytes, wanted %d to %zu", size,
                        SEAL_SIZE + 1, TRANSPORT_ENVELOPE_MAX);
    size_t rest = size - SEAL_SIZE;
    uint64_t seal;
    memcpy(&seal, at + rest + 1, sizeof seal);
    if (at[rest] != SEAL_TAG || seal != seal_of(at, rest))
        return diag_set(diag, S4_CORRUPT, "a damaged envelope: its seal is wrong");
    arena->used = 0;
    ProtobufCAllocator allocator = { arena_alloc, arena_free, arena };
    const Envelope *read = s4__wire__envelope__unpack(&allocator, rest, at);
    if (!read)
        return diag_set(diag, S4_MALFORMED, "an envelope that is not protobuf, or too odd");
    TRY(check_fields(read, diag));
    *envelope = read;
    return S4_OK;
}
