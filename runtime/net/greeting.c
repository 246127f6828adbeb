/* Who speaks to whom; see the header, and rules 9 and 10 of the README.
 *
 * What is found here ends a session for good, because no other connection would mend it: the other
 * node speaks another version, belongs to another cluster, or is not the one that was meant, be it
 * by name or because it has started again since and its state is gone.
 */
#include "runtime/net/greeting.h"

#include "runtime/net/lane.h"

typedef unsigned long long ull;

void greeting_sign(Envelope *envelope, struct self *self)
{
    envelope->has_version = true;
    envelope->version = ENVELOPE_VERSION;
    envelope->node = self->name;
    envelope->has_incarnation = true;
    envelope->incarnation = self->incarnation;
    envelope->has_cluster = true;
    envelope->cluster = self->cluster;
}

static s4_status check_kind(const struct self *self, const Envelope *envelope, struct diag *diag)
{
    if (envelope->version != ENVELOPE_VERSION)
        return diag_set(diag, S4_VERSION, "%s speaks version %u of the protocol, %s version %d",
                        envelope->node, envelope->version, self->name, ENVELOPE_VERSION);
    if (envelope->cluster != self->cluster)
        return diag_set(diag, S4_PROTOCOL, "%s belongs to cluster %llx, %s to %llx", envelope->node,
                        (ull)envelope->cluster, self->name, (ull)self->cluster);
    return S4_OK;
}

s4_status greeting_check_hello(const struct self *self, const Envelope *hello, struct diag *diag)
{
    if (self->incarnation == 0)
        return diag_set(diag, S4_AGAIN, "%s is starting", self->name);
    TRY(check_kind(self, hello, diag));
    if (hello->peer && strcmp(hello->peer, self->name) != 0)
        return diag_set(diag, S4_PROTOCOL, "this is node %s, not %s", self->name, hello->peer);
    if (hello->has_peer_incarnation && hello->peer_incarnation != self->incarnation)
        return diag_set(diag, S4_PROTOCOL,
                        "this node %s is incarnation %llx, not %llx: it has started again",
                        self->name, (ull)self->incarnation, (ull)hello->peer_incarnation);
    return S4_OK;
}

s4_status greeting_check_welcome(const struct self *self, const char *name, uint64_t incarnation,
                                 const Envelope *welcome, struct diag *diag)
{
    TRY(check_kind(self, welcome, diag));
    if (name[0] && strcmp(name, welcome->node) != 0)
        return diag_set(diag, S4_PROTOCOL, "node %s answered at this address", welcome->node);
    if (incarnation && incarnation != welcome->incarnation)
        return diag_set(diag, S4_PROTOCOL, "incarnation %llx of it answered, wanted %llx",
                        (ull)welcome->incarnation, (ull)incarnation);
    if (welcome->frame == 0 || welcome->frame > LANE_WINDOW_MAX)
        return diag_set(diag, S4_PROTOCOL, "a window of %llu frames, wanted 1 to %d",
                        (ull)welcome->frame, LANE_WINDOW_MAX);
    return S4_OK;
}

s4_status greeting_check_name(const char *proved, const Envelope *envelope, struct diag *diag)
{
    if (!proved || strcmp(proved, envelope->node) == 0)
        return S4_OK;
    return diag_set(diag, S4_PERMISSION, "it says that it is node %s, and has the key of %s",
                    envelope->node, proved);
}
