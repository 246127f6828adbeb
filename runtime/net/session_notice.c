/* What the acceptor did not take: NOT_MINE, until the other side is known to have heard it.
 *
 * The acknowledgement of a frame lets the sender forget it, so it must have heard before which of
 * the frame's records it still has to look after. On one connection that is a matter of order:
 * notices go before acknowledgements. But the connection may end, and nobody knows what of it was
 * heard; and what is heard twice would be sent twice. So notices have numbers of their own, the
 * opener says which it heard (in its next HELLO, or in a PING), and those behind are said again, on
 * the next connection before it is told where the lanes stand (rule 13).
 */
#include "runtime/net/session_impl.h"

#include "runtime/base/mem.h"

bool session_notices_heard(struct session *session, uint64_t number)
{
    struct notices *notices = &session->notices;
    if (number < notices->heard || number - notices->heard > notices->count)
        return false;
    size_t gone = (size_t)(number - notices->heard);
    if (gone == 0)
        return true;
    notices->count -= gone;
    memmove(notices->list, notices->list + gone, notices->count * sizeof *notices->list);
    notices->heard = number;
    if (notices->said < number)
        notices->said = number;
    return true;
}

void session_not_mine(struct session *session, uint32_t number, uint64_t frame, uint32_t slot)
{
    if (session_is_over(session))
        return;
    struct notices *notices = &session->notices;
    const struct lane_in *lane = lane_table_find(&session->lanes, number);
    CHECK(lane && frame > lane->applied && frame <= lane->received && slot <= UINT16_MAX);
    void *list = notices->list;
    if (notices->count == SESSION_NOTICES_MAX) {
        session_fail(session, S4_FULL, "it has yet to hear of %u frames that were not taken",
                     SESSION_NOTICES_MAX);
        return;
    }
    if (!mem_grow(&list, &notices->capacity, notices->count + 1, sizeof *notices->list)) {
        session_fail(session, S4_NO_MEMORY, "no memory for what was not taken");
        return;
    }
    notices->list = list;
    notices->list[notices->count++] =
        (struct notice){ .lane = number, .frame = frame, .slot = slot };
}

s4_status session_notices_say(struct session *session, bool *said)
{
    struct notices *notices = &session->notices;
    while (notices->said < notices->heard + notices->count) {
        const struct notice *notice = &notices->list[notices->said - notices->heard];
        Envelope envelope = S4__WIRE__ENVELOPE__INIT;
        envelope.type = TYPE(NOT_MINE);
        envelope.has_lane = true;
        envelope.lane = notice->lane;
        envelope.has_frame = true;
        envelope.frame = notice->frame;
        envelope.has_slot = true;
        envelope.slot = notice->slot;
        envelope.has_notice = true;
        envelope.notice = notices->said + 1;
        TRY(session_say(session, &envelope, NULL));
        notices->said++;
        *said = true;
    }
    return S4_OK;
}
