/* See the header. What is sent must be well-formed: every test that uses it checks that on the way.
 */
#include "tests/support/fake_transport.h"

static s4_status fake_send(struct transport *transport, uint64_t peer, const void *envelope,
                           size_t size, struct block *block)
{
    struct fake_transport *fake = (struct fake_transport *)transport;
    struct diag diag;
    CHECK(peer == FAKE_PEER);
    if (fake->refusals > 0) {
        fake->refusals--;
        return S4_FULL;
    }
    if (fake->status != S4_OK)
        return fake->status;
    fake->sent++;
    fake->size = size;
    memcpy(fake->bytes, envelope, size);
    CHECK(envelope_read(fake->bytes, size, &fake->arena, &fake->last, &diag) == S4_OK);
    return S4_OK;
}

static const struct transport_ops fake_ops = { .send = fake_send };

void fake_transport_init(struct fake_transport *fake)
{
    memset(fake, 0, sizeof *fake);
    fake->transport.ops = &fake_ops;
}
